"""A plan: a schedule for one set of sizes as straight-line NumPy, made once and called many times."""

from __future__ import annotations

import builtins
import keyword
import linecache
import re
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .blocks import chains
from .buffers import lay_out, most_apart
from .explain import Explanation
from .lowering import Lowering, Value
from .threads import together

if TYPE_CHECKING:
    from ..graph import Array, Node
    from .blocks import Chain
    from .buffers import Layout
    from .interpreter import Prepared

_ARENA = """\
    arena = empty({}, 'uint8')
    arena = arena[-arena.ctypes.data % 64:]  # begins where a line of the cache does
"""
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

    def __init__(self, prepared: Prepared, threads: int = 1) -> None:
        lowering = Lowering(prepared)
        self.given = [value.node for value in lowering.given]
        self.specs = [(value.node, value.node.name, value.shape, value.dtype) for value in lowering.given]
        self._fed = len(prepared.program.placeholders)
        self.parameters = self.given[self._fed :]
        program = prepared.program
        self._graph = program.graph
        told = {dim for node in program.placeholders for dim in node.shape}
        # Sizes that no feed tells are told at each call anew, and what needs much memory is held against what is free.
        self._settled = prepared.fits_any_memory and told.issuperset(program.names)
        self._lowering = lowering
        self._chains = found = chains(lowering.values, lowering.fetches, threads)
        self._layout = lay_out(lowering.values, lowering.fetches, found)
        self._names = _Names(lowering)
        self.arguments = {
            **({"together": together} if any(chain.parts > 1 for chain in found) else {}),
            **lowering.arguments,
            **{self._names[value]: value.array for value in lowering.values if value.kind == "constant"},
        }
        self.source = _Writer(lowering, found, self._layout, self._names).source(self.arguments)
        file = f"<plan of {prepared.program.graph.name[:40]!r} {id(self):x}>"
        linecache.cache[file] = (len(self.source), None, self.source.splitlines(keepends=True), file)
        weakref.finalize(self, linecache.cache.pop, file, None)
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

    def explain(self) -> Explanation:
        """Return what was folded, merged and fused, and which memory is whose."""
        return Explanation(self._lowering, self._chains, self._layout, most_apart(self._lowering.values))

    def fitting(self, feed: Mapping[Any, Any]) -> list[Any] | None:
        """Return the arrays of a feed in order, or None where they are not just as the plan is made for."""
        if not self._settled or self._graph.memory_budget is not None:
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


class _Writer:
    """Writes the code of a plan."""

    def __init__(self, lowering: Lowering, chains: Sequence[Chain], layout: Layout, names: Mapping[Value, str]) -> None:
        self._lowering = lowering
        self._layout = layout
        self._names = names
        self._made: list[str] = []
        self._body: list[str] = []
        self._chain_of = {member: (number, chain) for number, chain in enumerate(chains, 1) for member in chain.members}

    def source(self, arguments: Iterable[str]) -> str:
        """Return the code."""
        for value in self._lowering.values:
            if value.kind == "view":
                line = f"{self._names[value]} = {self._filled(value, value.code)}"
                (self._body if self._moves(value) else self._made).append(line)
            elif value.kind == "fresh":
                self._body.append(f"{self._names[value]} = {self._filled(value, value.code)}")
            elif value.kind != "constant":
                self._write(value)
        words = ", ".join(sorted({*self._lowering.numpy, "empty", "ndarray"}))
        given = ", ".join(self._names[value] for value in self._lowering.given)
        return "\n".join(
            [
                f"from numpy import {words}",
                "",
                "",
                f"def plan({', '.join(arguments)}):",
                *_ARENA.format(self._layout.size + 64).splitlines() * bool(self._layout.size),
                *[f"    {line}" for line in self._made],
                "",
                f"    def step({given}):",
                *[f"        {line}" for line in self._body],
                f"        return {self._handed_out()}",
                "",
                "    return step",
                "",
            ]
        )

    def _write(self, value: Value) -> None:
        name, (number, chain) = self._names[value], self._chain_of.get(value, (0, None))
        if value in self._layout.of:
            self._made.append(self._array(name, value.shape, value, self._layout.of[value].offset))
        elif chain is not None:
            if value not in chain.inner:
                self._body.append(f"{name} = empty({value.shape}, {value.dtype.name!r})")
        elif own_call := _without_out(value):
            self._body.append(f"{name} = {self._filled(value, own_call)}")
            return
        else:
            self._body.append(f"{name} = empty({value.shape}, {value.dtype.name!r})")
        if chain is None:
            self._body.extend(self._filled(value, value.code).split("\n"))
        elif value is chain.members[-1]:
            self._write_blocks(number, chain)

    def _write_blocks(self, number: int, chain: Chain) -> None:
        """Write a loop over blocks of rows: what lies still is cut beforehand, the rest in the loop."""
        shape = chain.members[0].shape
        cut: dict[Value, str] = {}
        standing: list[str] = []
        moving: list[str] = []
        pieces: list[list[str]] = [[] for _ in range(chain.parts)]
        for member in chain.members:
            for value in (*member.operands, member):
                if value in cut or not (value in chain.inner or chain.sliced(value)):
                    continue
                name = self._names[value]
                cut[value] = f"{name}__rows"
                if value in chain.inner:
                    standing.append(cut[value])
                    for part, piece in enumerate(pieces):
                        scratch = name if chain.parts == 1 else f"{name}__{part + 1}"
                        offset = self._layout.slot(chain, value, part)
                        self._made.append(self._array(scratch, (chain.rows, *shape[1:]), value, offset))
                        piece.append(f"{scratch}[:rows.stop - rows.start]")
                elif self._comes_anew(value):
                    moving.append(name)
                else:
                    standing.append(cut[value])
                    for piece in pieces:
                        piece.append(f"{name}[rows]")
        loop = [f"for {', '.join(['rows', *standing])}{',' * (not standing)} in blocks:"]
        loop += [f"    {name}__rows = {name}[rows]" for name in moving]
        for member in chain.members:
            operands = [cut.get(operand, self._names[operand]) for operand in member.operands]
            code = member.code.format(*operands, out=cut[member])
            loop.extend(f"    {line}" for line in code.split("\n"))
        each = -(-chain.blocks // chain.parts) * chain.rows
        lists = []
        for part, piece in enumerate(pieces):
            end = min((part + 1) * each, shape[0])
            rows = f"(slice(i, min(i + {chain.rows}, {end})) for i in range({part * each}, {end}, {chain.rows}))"
            lists.append(f"[({', '.join(['rows', *piece])},) for rows in {rows}]")
        if chain.parts == 1:
            self._made.append(f"blocks__{number} = {lists[0]}")
            self._body += [loop[0].replace(" in blocks:", f" in blocks__{number}:"), *loop[1:]]
            return
        # What moves and is no block's own goes in as it is, too: the part is a function beside the step.
        whole = {operand for member in chain.members for operand in member.operands if operand not in cut}
        moving += [self._names[value] for value in sorted(whole, key=self._place) if self._comes_anew(value)]
        self._made += [f"blocks__{number} = [", *[f"    {text}," for text in lists], "]"]
        self._made += [f"def part__{number}(blocks{''.join(f', {name}' for name in moving)}):"]
        self._made += [f"    {line}" for line in loop]
        self._body.append(f"together(part__{number}, blocks__{number}{''.join(f', {name}' for name in moving)})")

    def _comes_anew(self, value: Value) -> bool:
        return value.root.kind != "constant" and value.root not in self._layout.of

    def _place(self, value: Value) -> str:
        return self._names[value]

    def _array(self, name: str, shape: tuple[int, ...], value: Value, offset: int) -> str:
        return f"{name} = ndarray({shape}, {value.dtype.name!r}, arena, {offset})"

    def _handed_out(self) -> str:
        returned = []
        seen: set[Value] = set()
        for value in self._lowering.fetches:
            own = value.kind in ("each", "call") and value not in seen
            returned.append(self._names[value] if own else f"{self._names[value]}.copy()")
            seen.add(value)
        return f"({', '.join(returned)}{',' * (len(returned) == 1)})"

    def _moves(self, value: Value) -> bool:
        """Tell whether a view must be taken anew at each call."""
        return self._comes_anew(value)

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
    """The variable of each value: its node's name reduced to an identifier, unique.

    None has two underscores in a row: by such the writer calls its own.
    """

    def __init__(self, lowering: Lowering) -> None:
        super().__init__()
        self._taken = {
            *keyword.kwlist,
            *dir(builtins),
            *lowering.numpy,
            *lowering.arguments,
            *("arena", "blocks", "empty", "ndarray", "plan", "rows", "step", "together"),
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
