"""A plan: a schedule for one set of sizes as straight-line NumPy, made once and called many times."""

from __future__ import annotations

import builtins
import keyword
import linecache
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .buffers import lay_out
from .lowering import Lowering, Value

if TYPE_CHECKING:
    from ..graph import Array, Node
    from .interpreter import Prepared

_LONGEST = 60  # characters of a variable


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
    """

    def __init__(self, prepared: Prepared) -> None:
        lowering = Lowering(prepared)
        self.given = [value.node for value in lowering.given]
        self.specs = [(value.node, value.node.name, value.shape, value.dtype) for value in lowering.given]
        self._fed = len(prepared.program.placeholders)
        self.parameters = self.given[self._fed :]
        self._fits_any_memory = prepared.fits_any_memory
        self._lowering = lowering
        self._layout = lay_out(lowering.values, lowering.fetches)
        self._names = _Names(lowering)
        self.arguments = {
            **lowering.arguments,
            **{self._names[value]: value.array for value in lowering.values if value.kind == "constant"},
        }
        self.source = self._written()
        file = f"<plan of {prepared.program.graph.name[:40]!r} {id(self):x}>"
        linecache.cache[file] = (len(self.source), None, self.source.splitlines(keepends=True), file)
        space: dict[str, Any] = {}
        exec(compile(self.source, file, "exec"), space)  # noqa: S102 - written here, and of nothing but numbers and names
        self._make = space["plan"]
        self._idle: list[Callable[..., tuple[Any, ...]]] = []

    def __call__(self, *given: Array) -> tuple[Array, ...]:
        """Return the fetches, each an array of its own.

        Each call that runs at the same time has buffers of its own.
        """
        try:
            step = self._idle.pop()
        except IndexError:
            step = self._make(**self.arguments)
        with np.errstate(all="ignore"):
            results = step(*given)
        self._idle.append(step)
        return results

    def fitting(self, feed: Mapping[Any, Any]) -> list[Any] | None:
        """Return the arrays of a feed in order, or None where they are not just as the plan is made for."""
        if not self._fits_any_memory:
            return None
        arrays = []
        for node, name, shape, dtype in self.specs[: self._fed]:
            array = feed.get(node)
            if array is None:
                array = feed.get(name)
            if (
                type(array) is not np.ndarray
                or array.dtype is not dtype
                or array.shape != shape
                or array.flags.num & 257 != 257  # C order, aligned
            ):
                return None
            arrays.append(array)
        # What is fed besides is to be checked, too.
        return arrays if len(feed) == self._fed else None

    def _written(self) -> str:
        lowering, names = self._lowering, self._names
        head: list[str] = []
        made: list[str] = []
        body: list[str] = []
        size = self._layout.size
        for value in lowering.values:
            name = names[value]
            if value.kind == "constant":
                continue
            if value in self._layout.of:
                buffer = self._layout.of[value]
                made.append(f"{name} = ndarray({value.shape}, {value.dtype.name!r}, arena, {buffer.offset})")
            if value.kind == "view":
                line = f"{name} = {self._call(value)}"
                (body if self._moves(value) else made).append(line)
                continue
            if value.kind == "fresh":
                body.append(f"{name} = {self._call(value)}")
                continue
            if value in self._layout.of:
                body.extend(self._call(value).split("\n"))
            elif own_call := _without_out(value):
                body.append(f"{name} = {self._filled(value, own_call)}")
            else:
                body.append(f"{name} = empty({value.shape}, {value.dtype.name!r})")
                body.extend(self._call(value).split("\n"))
        returned, seen = [], set()
        for value in lowering.fetches:
            own = value.kind in ("each", "call") and value not in seen
            returned.append(names[value] if own else f"{names[value]}.copy()")
            seen.add(value)
        body.append(f"return ({', '.join(returned)}{',' * (len(returned) == 1)})")
        words = sorted({*lowering.numpy, "empty", "ndarray"})
        head.append(f"from numpy import {', '.join(words)}")
        arguments = ", ".join(self.arguments)
        steps = ", ".join(names[value] for value in lowering.given)
        return "\n".join(
            [
                *head,
                "",
                "",
                f"def plan({arguments}):",
                *[f"    arena = empty({size}, 'uint8')"] * bool(size),
                *[f"    {line}" for line in made],
                "",
                f"    def step({steps}):",
                *[f"        {line}" for line in body],
                "",
                "    return step",
                "",
            ]
        )

    def _moves(self, value: Value) -> bool:
        """Tell whether a view must be taken anew at each call."""
        root = value.root
        return root.kind in ("given", "fresh") or (root.kind != "constant" and root not in self._layout.of)

    def _call(self, value: Value) -> str:
        return self._filled(value, value.code)

    def _filled(self, value: Value, code: str) -> str:
        operands = [self._names[operand] for operand in value.operands]
        return code.format(*operands, out=self._names[value])


def _without_out(value: Value) -> str | None:
    """Return the code of a ufunc's call that makes the array itself, which costs less than to make one for it."""
    call = re.fullmatch(r"(\w+)\((.*), (?:out=)?\{out\}\)", value.code)
    if call is None or not value.shape or not isinstance(getattr(np, call[1], None), np.ufunc):
        return None
    return f"{call[1]}({call[2]})"


class _Names(dict[Value, str]):
    """The variable of each value: its node's name reduced to an identifier, unique."""

    def __init__(self, lowering: Lowering) -> None:
        super().__init__()
        self._taken = {
            *keyword.kwlist,
            *dir(builtins),
            *lowering.numpy,
            *lowering.arguments,
            *("arena", "empty", "ndarray", "plan", "step"),
        }
        for value in [*lowering.given, *lowering.values]:
            self[value] = self._free(value.node)

    def _free(self, node: Node) -> str:
        base = re.sub(r"[^A-Za-z0-9]+", "_", node.name).strip("_")[:_LONGEST] or "value"
        if base[0].isdigit():
            base = f"_{base}"
        name, number = base, 2
        while name in self._taken:
            name, number = f"{base}_{number}", number + 1
        self._taken.add(name)
        return name
