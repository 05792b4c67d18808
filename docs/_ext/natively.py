"""How native plans compute the operations, found by planning samples of each."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from reference import operations, table

import graphnn as gn
from graphnn.compiler.lowering import Lowering
from graphnn.native.native_plan import NATIVE
from graphnn.native.work_list import form_of
from graphnn.testing import Draw

if TYPE_CHECKING:
    from graphnn.core import Op

_SAMPLES = 40


class Ways(NamedTuple):
    """How often the samples of an operation were planned in which way.

    Attributes
    ----------
    native, view, numpy : int
        Planned without Python; as a view or a constant, for which there is nothing to do; with a call of NumPy.
    kinds : set of str
        What there was in them: ``"fused"``, ``"loop"``.
    why : Counter of str
        Why NumPy was called.
    """

    native: int
    view: int
    numpy: int
    kinds: frozenset[str]
    why: Counter[str]

    @property
    def all(self) -> str:
        """In a word."""
        if self.numpy:
            return "in part" if self.native or self.view else "NumPy"
        return "native" if self.native else "a view or constant"


class _Floats(Draw):
    """Draws of one dtype of floats."""

    def __init__(self, rng: np.random.Generator, dtype: str) -> None:
        super().__init__(rng)
        self._dtype = np.dtype(dtype)

    def array(self, shape: Sequence[int], lo: float = -3.0, hi: float = 3.0) -> Any:
        """Draw an array of it."""
        self.dtype = self._dtype
        return super().array(shape, lo, hi)


def ways_of(cls: type[Op]) -> Ways:
    """Return how samples of an operation are planned: of float32 and float64, fed in C order, none of them empty."""
    counts, why, kinds = Counter[str](), Counter[str](), set[str]()
    for number in range(_SAMPLES):
        op, arrays = cls.samples(_Floats(np.random.default_rng([number, 3]), ("float64", "float32")[number % 2]))
        graph = gn.Graph()
        feed = {graph.placeholder(f"x{i}", np.shape(x), np.asarray(x).dtype): x for i, x in enumerate(arrays)}
        if any(0 in node.shape for node in feed):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gn.errors.GraphnnWarning)
            try:
                prepared = gn.compile(op(*feed, graph=graph), backend="numpy").prepared(feed)
            except gn.GraphnnError:
                continue
        forms = [form_of(value) for value in Lowering(prepared, NATIVE).values if value.kind in _COMPUTED]
        reasons = [reason for how, reason in forms if how == "python"]
        counts["numpy" if reasons else "native" if forms else "view"] += 1
        why.update(reasons)
        kinds |= {how for how, _ in forms} - {"python"}
    return Ways(counts["native"], counts["view"], counts["numpy"], frozenset(kinds), why)


_COMPUTED = ("check", "each", "call", "fresh")


def natively() -> str:
    """Return how many operations are native, and the table of all, as Markdown."""
    found = {cls.name: ways_of(cls) for ops in operations().values() for cls in ops}
    many = Counter(ways.all for ways in found.values())
    count = (
        f"Of {len(found)} operations, {many['native']} are native and {many['a view or constant']} are views or "
        f"constants in every sample, {many['in part']} are native in part, and {many['NumPy']} are calls of NumPy."
    )
    said = {"fused": "kernel", "loop": "loops"}
    rows = [
        (f"`{name}`", ways.all, " and ".join(said[kind] for kind in sorted(ways.kinds)), "; ".join(sorted(ways.why)))
        for name, ways in sorted(found.items())
    ]
    return f"{count}\n\n" + table(("operation", "computed", "by", "why NumPy is called"), rows)
