"""A plan: a schedule for one set of sizes as straight-line NumPy, made once and called many times."""

from __future__ import annotations

import linecache
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from ..graph.quiet import quietly
from .blocks import chains
from .buffers import Layout, most_apart
from .explain import Explanation
from .lowering import Lowering
from .printer import Source, literal
from .settings import Settings

if TYPE_CHECKING:
    from ..graph import Array
    from .loop import Prepared
    from .values import Value

_USUAL = Settings()


class Plan:
    """A schedule for one set of sizes as straight-line NumPy.

    Attributes
    ----------
    source : str
        The code, complete: ``plan(**arguments)`` returns the step, which takes what is given and returns the fetches.
    arguments : dict of str to object
        What the code is given besides: constants, and functions of operations that are not one call of NumPy.
    given : list of Node
        The placeholders, then the parameters that are read.
    calls : int
        How often its step has called it.
    """

    def __init__(self, prepared: Prepared, settings: Settings = _USUAL) -> None:
        self.calls = 0
        lowering = Lowering(prepared, settings)
        program = prepared.program
        self.given = [value.node for value in lowering.given]
        count = len(program.placeholders)
        self._fed = self.given[:count]
        self._count = count
        self._from_feed = _all_of(self._fed)
        self._fits = _check_of(lowering.given[:count])
        self.read = _all_of(self.given[count:])
        """Takes the values of the parameters out of a state, all at once."""
        self._graph = program.graph
        told = {dim for node in program.placeholders for dim in node.shape}
        # Sizes that no feed tells are told at each call anew, and what needs much memory is held against what is free.
        self._settled = prepared.binding.fits_any_memory(program.graph) and told.issuperset(program.dimension_names)
        self._lowering = lowering
        self._chains = found = chains(lowering.values, lowering.fetches, settings)
        self._layout = Layout(lowering.values, lowering.fetches, found, settings)
        source = Source(lowering, found, self._layout)
        self.source, self.arguments = source.text, source.arguments
        file = f"<plan of {prepared.program.graph.name[:40]!r} {id(self):x}>"
        linecache.cache[file] = (len(self.source), None, self.source.splitlines(keepends=True), file)
        weakref.finalize(self, linecache.cache.pop, file, None)
        space: dict[str, Any] = {}
        exec(compile(self.source, file, "exec"), space)  # noqa: S102 - written here, and of nothing but numbers and names
        self._make = space["plan"]
        self._quietly = quietly if lowering.foreign else None
        self._idle: list[tuple[Callable[..., Any], Callable[..., tuple[Array, ...]]]] = []

    def __call__(self, *given: Array) -> tuple[Array, ...]:
        """Return the fetches, each an array of its own.

        Each call that runs at the same time has buffers of its own.
        """
        return self.of(given)

    def of(self, given: tuple[Array, ...]) -> tuple[Array, ...]:
        """Return the fetches, as a call does."""
        try:
            idle = self._idle.pop()
        except IndexError:
            idle = self._quietly or _quiet_context(), self._make(**self.arguments)
        call, step = idle
        results: tuple[Array, ...] = call(step, *given)
        self._idle.append(idle)
        return results

    def explain(self) -> Explanation:
        """Return what was folded, merged and fused, and which memory is whose."""
        return Explanation(self._lowering, self._chains, self._layout, most_apart(self._lowering.values))

    def fitting(self, feed: Mapping[Any, Any]) -> tuple[Any, ...] | None:
        """Return the arrays of a feed in order, or None where they are not just as the plan is made for."""
        # What is fed besides is to be checked, too.
        if (
            type(feed) is not dict
            or len(feed) != self._count
            or not self._settled
            or self._graph.memory_budget is not None
        ):
            return None
        try:
            arrays = self._from_feed(feed)
        except KeyError:
            keys = [node if node in feed else node.name for node in self._fed]
            if not all(key in feed for key in keys):
                return None
            self._from_feed = _all_of(keys)
            arrays = self._from_feed(feed)
        return arrays if self._fits(*arrays) else None


def _all_of(keys: Sequence[Any]) -> Callable[[Mapping[Any, Any]], tuple[Any, ...]]:
    """Return what takes the values of some keys out of a mapping."""
    if len(keys) > 1:
        return itemgetter(*keys)
    if not keys:
        return lambda mapping: ()
    (key,) = keys
    return lambda mapping: (mapping[key],)


def _check_of(given: Sequence[Value]) -> Callable[..., bool]:
    """Return what tells whether arrays are just like these values: written out, since every call asks it."""
    names = [f"x{i}" for i in range(len(given))]
    dtypes = {f"dtype{i}": value.dtype for i, value in enumerate(given)}
    tests = [
        # The flags say C order, and aligned.
        f"type({x}) is ndarray and {x}.dtype is {dtype} and {x}.shape == {literal(value.shape)} "
        f"and {x}.flags.num & 257 == 257"
        for x, dtype, value in zip(names, dtypes, given, strict=True)
    ]
    code = f"lambda {', '.join(names)}: {' and '.join(tests) or True}"
    check: Callable[..., bool] = eval(code, {"ndarray": np.ndarray, **dtypes})  # noqa: S307 - nothing but numbers
    return check


def _quiet_context() -> Callable[..., Any]:
    """Return what calls a function with NumPy's warnings off; not by two threads at once.

    To enter a context costs less than `np.errstate`.
    """
    context = Context()
    context.run(np.seterr, all="ignore")
    return context.run
