"""A plan: a schedule for one set of sizes as straight-line NumPy, made once and called many times."""

from __future__ import annotations

import builtins
import keyword
import linecache
import re
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import Context
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from .blocks import adds_up, chains, is_turned, reads
from .buffers import lay_out, most_apart
from .explain import Explanation
from .lowering import Lowering, Value
from .threads import together

if TYPE_CHECKING:
    from ..graph import Array
    from .blocks import Chain
    from .buffers import Layout
    from .interpreter import Prepared

# It is to begin where a line of the cache does. (And for each variable that the inner function reads, Python moves all
# that it has compiled before the first branch: there is one early.)
_ARENA = """\
    arena = empty({}, 'uint8')
    if arena.ctypes.data % 64:
        arena = arena[-arena.ctypes.data % 64:]
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
        self._quietly = _quietly if lowering.foreign else None
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
        quietly, step = idle
        results: tuple[Array, ...] = quietly(step, *given)
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
        f"type({x}) is ndarray and {x}.dtype is {dtype} and {x}.shape == {value.shape} and {x}.flags.num & 257 == 257"
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


def _quietly(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function with NumPy's warnings off, and all else as its caller has set it."""
    with np.errstate(all="ignore"):
        return function(*arguments)


class _Writer:
    """Writes the code of a plan."""

    def __init__(self, lowering: Lowering, chains: Sequence[Chain], layout: Layout, names: Mapping[Value, str]) -> None:
        self._lowering = lowering
        self._layout = layout
        self._names = names
        self._made: list[str] = []
        self._body: list[str] = []
        self._laid: dict[tuple[Any, ...], str] = {}
        self._chain_of = {member: (number, chain) for number, chain in enumerate(chains, 1) for member in chain.members}
        self._read = set(lowering.fetches)
        for value in lowering.values:
            self._read.update([x for x, _ in reads(value)] if value in self._chain_of else value.operands)

    def source(self, arguments: Iterable[str]) -> str:
        """Return the code."""
        for value in self._lowering.values:
            if value.kind == "view":
                if value in self._read:
                    self._view(value)
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
        elif chain is None and value not in self._layout.anew and (own_call := _without_out(value)):
            self._body.append(f"{name} = {self._filled(value, own_call)}")
            return
        elif chain is None or value not in chain.inner:
            first = self._layout.anew[value].values[0] if value in self._layout.anew else value
            memory = f"empty({value.shape}, {_called(value.dtype)})" if first is value else self._names[first]
            self._body.append(f"{name} = {memory}")
        if adds_up(value):
            self._body.append(f"{name}.fill(0)")
        if chain is None:
            self._body.extend(self._filled(value, value.code).split("\n"))
        elif value is chain.members[-1]:
            self._write_blocks(number, chain)

    def _write_blocks(self, number: int, chain: Chain) -> None:
        """Write a loop over blocks of rows: what lies still is cut beforehand, the rest in the loop."""
        cuts = _Cuts(chain.parts)
        for value in chain.repeated:
            self._repeat(value, number, chain, cuts)
        for member in chain.members:
            for value, axis in [*reads(member), (member, None if adds_up(member) else 0)]:
                if (value, axis) not in cuts.called:
                    self._cut(value, axis, chain, cuts)
        loop = [*cuts.moving, *cuts.same]
        for member in chain.members:
            loop += self._of_a_block(member, chain, cuts)
        loop = [f"for {', '.join(['rows', *cuts.standing])}{',' * (not cuts.standing)} in {{}}:", *_indented(loop)]
        blocks = f"blocks__{number}"
        lists = cuts.lists(chain)
        if chain.parts == 1:
            self._made.append(f"{blocks} = {lists[0]}")
            self._body += [loop[0].format(blocks), *loop[1:]]
            return
        # What moves and is no block's own goes in as it is, too: the part is a function beside the step.
        outside = {value for value, _ in cuts.called if value not in chain.inner and self._comes_anew(value)}
        moving = "".join(f", {name}" for name in sorted(self._names[value] for value in outside))
        self._made += [f"{blocks} = [", *_indented(f"{text}," for text in lists), "]"]
        self._made += [f"def part__{number}(blocks{moving}):", *_indented([loop[0].format("blocks"), *loop[1:]])]
        self._body.append(f"together(part__{number}, {blocks}{moving})")

    def _repeat(self, value: Value, number: int, chain: Chain, cuts: _Cuts) -> None:
        """Write a row repeated to a block."""
        name = f"{self._names[value]}__repeated__{number}"
        shape = (chain.rows, *value.shape[-1:])
        self._made.append(self._array(name, shape, value, self._layout.slot(chain, value, 0)))
        self._body.append(f"{name}[...] = {self._names[value]}")
        cuts.called[value, None] = f"{name}__rows"
        cuts.stands(f"{name}__rows", [f"{name}[:rows.stop - rows.start]"])

    def _cut(self, value: Value, axis: int | None, chain: Chain, cuts: _Cuts) -> None:
        """Have the rows (0) or columns (1) of a value in each block, or all of it (None)."""
        name = self._names[value]
        if axis is None:
            cuts.called[value, axis] = name
            return
        cuts.called[value, axis] = made = f"{name}__{'columns' if axis else 'rows'}"
        first = cuts.of_memory.setdefault((axis, self._memory(value, chain)), made)
        whole = f"{name}[{':, ' * axis}rows]"
        if first != made:
            cuts.same.append(f"{made} = {first}")
        elif value in chain.inner:
            scratch = [name if chain.parts == 1 else f"{name}__{part + 1}" for part in range(chain.parts)]
            for part, own in enumerate(scratch):
                offset = self._layout.slot(chain, value, part)
                self._made.append(self._array(own, (chain.rows, *value.shape[1:]), value, offset))
            cuts.stands(made, [f"{own}[:rows.stop - rows.start]" for own in scratch])
        elif self._comes_anew(value):
            cuts.moving.append(f"{made} = {whole}")
        else:
            cuts.stands(made, [whole] * chain.parts)

    def _of_a_block(self, member: Value, chain: Chain, cuts: _Cuts) -> list[str]:
        """Return what computes a member's block; of a sum, its part, which is added."""
        operands = [cuts.called[part] for part in reads(member)]
        if not adds_up(member):
            return member.code.format(*operands, out=cuts.called[member, 0]).split("\n")
        operands[0] += ".T" * is_turned(member.operands[0])
        total = cuts.called[member, None]
        self._made.append(self._array(f"{total}__part", member.shape, member, self._layout.slot(chain, member, 0)))
        return [member.code.format(*operands, out=f"{total}__part"), f"add({total}, {total}__part, {total})"]

    def _memory(self, value: Value, chain: Chain) -> Any:
        """Return what is the same of two values that stand in the same place and look alike."""
        if value in chain.inner:
            return chain.slots[value], value.shape, value.dtype
        buffer = self._layout.of.get(value.root) or self._layout.anew.get(value.root)
        if buffer is None or not value.whole or value.size != value.root.size:
            return value
        return buffer, value.shape, value.dtype

    def _comes_anew(self, value: Value) -> bool:
        return value.root.kind != "constant" and value.root not in self._layout.of

    def _view(self, value: Value) -> None:
        """Write a view: once, unless it must be taken anew at each call."""
        name, buffer = self._names[value], self._layout.of.get(value.root)
        (self._body if self._comes_anew(value) else self._made).append(f"{name} = {self._filled(value, value.code)}")
        if buffer is not None and value.whole and value.size == value.root.size:
            self._laid[value.shape, value.dtype, buffer.offset] = name

    def _array(self, name: str, shape: tuple[int, ...], value: Value, offset: int) -> str:
        # Of two arrays that are one object, NumPy knows without asking further that one may be written over the other.
        known = self._laid.setdefault((shape, value.dtype, offset), name)
        made = f"ndarray({shape}, {_called(value.dtype)}, arena, {offset})"
        return f"{name} = {made if known == name else known}"

    def _handed_out(self) -> str:
        returned = []
        seen: set[Value] = set()
        for value in self._lowering.fetches:
            own = value.kind in ("each", "call") and value not in seen
            returned.append(self._names[value] if own else f"{self._names[value]}.copy()")
            seen.add(value)
        return f"({', '.join(returned)}{',' * (len(returned) == 1)})"

    def _filled(self, value: Value, code: str) -> str:
        operands = [self._names[operand] for operand in value.operands]
        return code.format(*operands, out=self._names[value])


class _Cuts:
    """What a loop over blocks of rows has of each block, and what its body calls it."""

    def __init__(self, parts: int) -> None:
        self.called: dict[tuple[Value, int | None], str] = {}
        self.of_memory: dict[Any, str] = {}
        self.standing: list[str] = []
        self.moving: list[str] = []
        """Lines that cut, in the loop, what is made anew at each call."""
        self.same: list[str] = []
        """Lines that give a second name to what stands in the same place."""
        self._pieces: list[list[str]] = [[] for _ in range(parts)]

    def stands(self, called: str, pieces: Sequence[str]) -> None:
        """Take what lies still, and is cut beforehand for each part."""
        self.standing.append(called)
        for part, piece in zip(self._pieces, pieces, strict=True):
            part.append(piece)

    def lists(self, chain: Chain) -> list[str]:
        """Return for each part the list of its blocks."""
        each = -(-chain.blocks // chain.parts) * chain.rows
        lists = []
        for part, pieces in enumerate(self._pieces):
            end = min((part + 1) * each, chain.length)
            rows = f"(slice(i, min(i + {chain.rows}, {end})) for i in range({part * each}, {end}, {chain.rows}))"
            lists.append(f"[({', '.join(['rows', *pieces])},) for rows in {rows}]")
        return lists


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]


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
            *("arena", "blocks", "empty", "ndarray", "part", "plan", "rows", "step", "together"),
        }
        for value in [*lowering.given, *lowering.values]:
            own = value.kind == "constant" and value.code.isidentifier()
            self[value] = self._free(value.code if own else value.node.name)

    def _free(self, name: str) -> str:
        base = unique = _identifier(name)
        number = 2
        while unique in self._taken:
            unique, number = f"{base}_{number}", number + 1
        self._taken.add(unique)
        return unique


@lru_cache(2**10)
def _identifier(name: str) -> str:
    base = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:_LONGEST] or "value"
    return f"_{base}" if base[0].isdigit() else base


@lru_cache(32)
def _called(dtype: np.dtype[Any]) -> str:
    """Return a dtype as the code has it: NumPy makes its name anew each time."""
    return repr(dtype.name)
