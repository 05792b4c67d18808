"""Instructions as NumPy source: the only place where code is written.

Of a graph, the code contains only names reduced to identifiers, and numbers that are exactly bool, int or finite float.
Everything else is passed to the written function as an argument.
"""

from __future__ import annotations

import builtins
import keyword
import math
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .._util.rules import Rules
from ..core import is_bfloat16
from . import intermediate_representation as do
from .codegen_functions import Part, written_out
from .fusion import adds_up, reads
from .symbolic_sizes import Size
from .threads import together

if TYPE_CHECKING:
    from .buffer_allocation import Buffer, Layout
    from .fusion import Chain
    from .intermediate_representation import DType, Function
    from .ir_values import Value
    from .lowering import Lowering

# The arena begins at a cache line. (The early `if` also keeps Python's compiler fast: for each variable that the inner
# function reads, it shifts all instructions before the first branch.)
_ARENA = """\
arena = empty({}, 'uint8')
if arena.ctypes.data % 64:
    arena = arena[-arena.ctypes.data % 64:]
"""
_LONGEST = 60  # characters of a variable
_OWN = {"arena", "asarray", "blocks", "dtype", "empty", "made", "moved", "ndarray", "part", "plan", "rows", "step"}
_OWN |= {"together"}

Literal = bool | int | float | None | Size | tuple["Literal", ...]


def literal(value: Literal) -> str:
    """Return a number, or a tuple of numbers, as the code has it; for a size that records, where it finds the number.

    Raises
    ------
    TypeError
        When it is anything else: no text, and no class derived from a number's.

    Examples
    --------
    >>> literal((2, 3)), literal(0.5)
    ('(2, 3)', '0.5')
    """
    if type(value) is int or value is None or type(value) is bool or (type(value) is float and math.isfinite(value)):
        return repr(value)
    if isinstance(value, Size):
        return f"sizes__[{literal(value.cell)}]"
    if type(value) is tuple:
        if {*map(type, value)} == {int}:
            return repr(value)
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    raise TypeError(f"a literal is a bool, an int, a finite float or a tuple of them, not {type(value).__name__}")


class Source:
    """The code of a plan.

    Attributes
    ----------
    texts : list of str
        What is compiled, one after the other: ``plan(**arguments)`` returns a function of the given values that returns
        the fetches.
    arguments : dict of str to object
        Constants, and functions of operations.
    """

    def __init__(self, lowering: Lowering, chains: Sequence[Chain], layout: Layout, most: int) -> None:
        names = _Names(lowering)
        self.arguments: dict[str, object] = {
            **({"together": together} if any(chain.parts > 1 for chain in chains) else {}),
            **{called: function for function, called in names.functions.items()},
            **{names[value]: value.array for value in lowering.values if value.kind == "constant"},
        }
        self.texts = _Writer(lowering, chains, layout, names, most).source(self.arguments)


class _Writer:
    """Writes the code of a plan."""

    def __init__(self, lowering: Lowering, chains: Sequence[Chain], layout: Layout, names: _Names, most: int) -> None:
        self._lowering = lowering
        self._layout = layout
        self._names = names
        self._parts: list[Part] = []
        self._made: list[str] = []
        self._body: list[str] = []
        self._most = most
        self._laid: dict[tuple[tuple[int, ...], DType, int], str] = {}
        self._chain_of = {member: (number, chain) for number, chain in enumerate(chains, 1) for member in chain.members}
        self._read = set(lowering.fetches)
        for value in lowering.values:
            self._read.update([x for x, _ in reads(value)] if value in self._chain_of else value.operands)

    def source(self, arguments: Iterable[str]) -> list[str]:
        """Return the code: the texts to compile, one after the other."""
        if self._layout.size:
            self._made.extend(_ARENA.format(literal(self._layout.size + 64)).splitlines())
        for value in self._lowering.values:
            if value.kind == "view":
                if value in self._read:
                    self._view(value)
            elif value.kind == "fresh":
                self._body.append(f"{self._names[value]} = {self._anew(value)}")
            elif value.kind == "check":
                self._body += self._lines(value)
            elif value.kind != "constant":
                self._write(value)
            if len(self._made) + len(self._body) >= self._most:
                self._end_part()
        self._end_part()
        names = self._names
        given = [names[value] for value in self._lowering.given]
        return written_out(
            self._parts, sorted({*names.numpy, "empty", "ndarray"}), [*arguments], given, self._handed_out()
        )

    def _end_part(self) -> None:
        self._parts.append(Part(self._made, self._body))
        self._made, self._body = [], []

    def _write(self, value: Value) -> None:
        name, (number, chain) = self._names[value], self._chain_of.get(value, (0, None))
        if value in self._layout.of:
            self._made.append(self._array(name, value.shape, value, self._layout.of[value].offset))
        elif chain is None and value not in self._layout.anew and _makes_arrays(value):
            self._body.append(f"{name} = {self._anew(value)}")
            return
        elif value not in self._lowering.over and (chain is None or value not in chain.inner):
            first = self._layout.anew[value].values[0] if value in self._layout.anew else value
            memory = f"empty({literal(value.shape)}, {_called(value.dtype)})"
            self._body.append(f"{name} = {memory if first is value else self._names[first]}")
        if adds_up(value):
            self._body.append(f"{name}.fill(0)")
        if chain is None:
            self._body += self._lines(value)
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
        over = ", ".join(["rows", *cuts.standing]) if cuts.standing else "rows,"
        blocks = f"blocks__{number}"
        lists = cuts.lists(chain)
        if chain.parts == 1:
            self._made.append(f"{blocks} = {lists[0]}")
            self._body += [f"for {over} in {blocks}:", *_indented(loop)]
            return
        # What moves and is no block's own goes in as it is, too: the part is a function beside the step.
        outside = {value for value, _ in cuts.called if value not in chain.inner and self._comes_anew(value)}
        moving = "".join(f", {name}" for name in sorted(self._names[value] for value in outside))
        self._made += [f"{blocks} = [", *_indented(f"{text}," for text in lists), "]"]
        self._made.append(f"def part__{number}(blocks{moving}):")
        self._made += _indented([f"for {over} in blocks:", *_indented(loop)])
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
            return _written(member, operands, cuts.called[member, 0], self._names)
        if member.operands[0].is_turned:
            operands[0] += ".T"
        total = cuts.called[member, None]
        part = f"{total}__part"
        self._made.append(self._array(part, member.shape, member, self._layout.slot(chain, member, 0)))
        return [*_written(member, operands, part, self._names), f"add({total}, {part}, {total})"]

    def _memory(self, value: Value, chain: Chain) -> tuple[int | Buffer, tuple[int, ...], DType] | Value:
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
        (self._body if self._comes_anew(value) else self._made).append(f"{name} = {self._anew(value)}")
        if buffer is not None and value.whole and value.size == value.root.size:
            self._laid[value.shape, value.dtype, buffer.offset] = name

    def _array(self, name: str, shape: tuple[int, ...], value: Value, offset: int) -> str:
        # Of two arrays that are one object, NumPy knows without asking further that one may be written over the other.
        known = self._laid.setdefault((shape, value.dtype, offset), name)
        made = f"ndarray({literal(shape)}, {_called(value.dtype)}, arena, {literal(offset)})"
        return f"{name} = {made if known == name else known}"

    def _handed_out(self) -> str:
        returned = []
        seen: set[Value] = set()
        for value in self._lowering.fetches:
            own = value.kind in ("each", "call") and value not in seen
            returned.append(self._names[value] if own else f"{self._names[value]}.copy()")
            seen.add(value)
        return f"({', '.join(returned)}{',' if len(returned) == 1 else ''})"

    def _lines(self, value: Value) -> list[str]:
        return _written(value, [self._names[operand] for operand in value.operands], self._names[value], self._names)

    def _anew(self, value: Value) -> str:
        return _expression(value, [self._names[operand] for operand in value.operands], self._names)


class _Cuts:
    """What a loop over blocks of rows has of each block, and what its body calls it."""

    def __init__(self, parts: int) -> None:
        self.called: dict[tuple[Value, int | None], str] = {}
        self.of_memory: dict[tuple[int, tuple[int | Buffer, tuple[int, ...], DType] | Value], str] = {}
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
        step = literal(chain.rows)
        lists = []
        for part, pieces in enumerate(self._pieces):
            start, end = literal(part * each), literal(min((part + 1) * each, chain.length))
            rows = f"(slice(i, min(i + {step}, {end})) for i in range({start}, {end}, {step}))"
            lists.append(f"[({', '.join(['rows', *pieces])},) for rows in {rows}]")
        return lists


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]


# --- instruction by instruction -------------------------------------------------------------------------------


_MAKES_ARRAYS: Rules[[], bool] = Rules()
_MAKES_ARRAYS[do.Instruction] = lambda how: False
_MAKES_ARRAYS[do.Ufunc] = lambda how: not how.bits
_MAKES_ARRAYS[do.Product] = lambda how: not how.plain
_MAKES_ARRAYS[do.Patch] = lambda how: True


def _makes_arrays(value: Value) -> bool:
    """Tell whether its call can make the array itself, which costs less than to make one for it."""
    return bool(value.shape) and _MAKES_ARRAYS(value.how)


_EXPRESSIONS: Rules[[Sequence[str], _Names], str] = Rules()
_EXPRESSIONS[do.Reshape] = lambda how, x, _: f"{x[0]}.reshape({literal(how.shape)})"
_EXPRESSIONS[do.Transpose] = lambda how, x, _: (
    f"{x[0]}.T" if how.axes == (1, 0) else f"{x[0]}.transpose({literal(how.axes)})"
)
_EXPRESSIONS[do.ExpandDims] = lambda how, x, _: f"expand_dims({x[0]}, {literal(how.axes)})"
_EXPRESSIONS[do.Squeeze] = lambda how, x, _: f"{x[0]}.squeeze({literal(how.axes)})"
_EXPRESSIONS[do.Index] = lambda how, x, _: f"{x[0]}[{', '.join(map(_part, how.parts))}]"
_EXPRESSIONS[do.Broadcast] = lambda how, x, _: f"broadcast_to({x[0]}, {literal(how.shape)})"
_EXPRESSIONS[do.Slide] = lambda how, x, names: f"{names.functions[how.windows]}({x[0]})"
_EXPRESSIONS[do.Ufunc] = lambda how, x, _: f"{how.ufunc.__name__}({', '.join(x)})"
_EXPRESSIONS[do.Product] = lambda how, x, _: f"matmul({', '.join(x)})"
_EXPRESSIONS[do.Patch] = lambda how, x, names: f"{names.functions[how.function]}({', '.join(x)})"
_EXPRESSIONS[do.Own] = lambda how, x, names: (
    f"matmul({', '.join(x)})"
    if how.function is np.matmul
    else f"asarray({names.functions[how.function]}({', '.join(x)}))"
)


def _expression(value: Value, x: Sequence[str], names: _Names) -> str:
    """Return what gives the array of a view, or makes one."""
    return _EXPRESSIONS(value.how, x, names)


class _Target(NamedTuple):
    """What is written: a value, its operands as the code has them, where to, and the names of the code."""

    value: Value
    x: Sequence[str]
    out: str
    names: _Names


_WRITE: Rules[[_Target], list[str]] = Rules()
_WRITE[do.Clip] = lambda how, to: [f"{to.x[0]}.clip({to.x[1]}, {to.x[2]}, {to.out})"]
_WRITE[do.Cast] = lambda how, to: [
    f"copyto({to.out}, {to.x[0]}{_forced(to.value)})" if to.value.shape else f"{to.out}[()] = {to.x[0]}"
]
_WRITE[do.Select] = lambda how, to: [
    f"copyto({to.out}, {to.x[2]})" if to.value.operands[2].shape else f"{to.out}.fill({to.x[2]})",
    f"copyto({to.out}, {to.x[1]}, where={to.x[0]})",
]
_WRITE[do.Reduce] = lambda how, to: [
    f"{how.ufunc.__name__}.reduce({to.x[0]}, {literal(how.axes[0] if len(how.axes) == 1 else how.axes)}, "
    f"None, {to.out}, {literal(how.keepdims)})"
]
_WRITE[do.Fill] = lambda how, to: [f"{to.out}.fill({to.x[0]})"]
_WRITE[do.Repeat] = lambda how, to: [f"{to.out}[...] = {to.x[0]}"]
_WRITE[do.Copy] = lambda how, to: [f"copyto({to.out}, {to.x[0]})"]
_WRITE[do.Product] = lambda how, to: [
    f"{to.x[0]}.dot({to.x[1]}, {to.out})" if how.plain else f"matmul({to.x[0]}, {to.x[1]}, {to.out})"
]
_WRITE[do.Gather] = lambda how, to: [f"{to.x[0]}.take({to.x[1]}, None, {to.out}, 'clip')"]
_WRITE[do.Scatter] = lambda how, to: [f"{to.out}.fill(0)", f"{to.out}[{to.x[1]}] = {to.x[0]}"]
_WRITE[do.Call] = lambda how, to: [f"{to.names.functions[how.function]}({', '.join([*to.x, 'out=' + to.out])})"]
"""The lines that write a value, or a block of it, to memory."""


def _forced(value: Value) -> str:
    return "" if np.can_cast(value.operands[0].dtype, value.dtype, "same_kind") else ", 'unsafe'"


def _ufunc(how: do.Ufunc, to: _Target) -> list[str]:
    # NumPy deprecates a third argument by position for these two.
    parts = [*to.x, f"out={to.out}" if how.ufunc in (np.maximum, np.minimum) else to.out]
    if how.bits:
        parts = [
            name if each.dtype == own else f"{name}.view({_called(own)})"
            for name, each, own in zip([*to.x, to.out], [*to.value.operands, to.value], how.loop, strict=True)
        ]
    return [f"{how.ufunc.__name__}({', '.join(parts)})"]


def _check(how: do.Check, to: _Target) -> list[str]:
    # Seen as unsigned, a negative label is the largest; to find its place costs less than to find the maximum.
    largest = f"{to.x[0]}.item({to.x[0]}.view('uint64').argmax())"
    refused = f"{to.names.functions[how.refuse]}('labels', {to.x[0]}, {literal(how.classes)})"
    return [f"if not 0 <= {largest} < {literal(how.classes)}: {refused}"]


_WRITE[do.Ufunc], _WRITE[do.Check] = _ufunc, _check


def _written(value: Value, x: Sequence[str], out: str, names: _Names) -> list[str]:
    """Return the lines that write a value, or a block of it, to memory."""
    return _WRITE(value.how, _Target(value, x, out, names))


def _part(part: do.Part) -> str:
    if isinstance(part, tuple):
        start, stop, step = ("" if bound is None else literal(bound) for bound in part)
        return f"{start}:{stop}:{step}" if step else f"{start}:{stop}"
    return "..." if part is Ellipsis else literal(part)


_WORDS: Rules[[Value], Sequence[str]] = Rules()
_WORDS[do.Instruction] = lambda how, value: ()
_WORDS[do.Ufunc] = lambda how, value: (how.ufunc.__name__,)
_WORDS[do.Reduce] = lambda how, value: (how.ufunc.__name__,)
_WORDS[do.Product] = lambda how, value: ("matmul",) * (not how.plain) + ("add",) * bool(how.blocks and how.blocks.along)
_WORDS[do.Cast] = lambda how, value: ("copyto",) if value.shape else ()
_WORDS[do.Select] = lambda how, value: ("copyto",)
_WORDS[do.Copy] = lambda how, value: ("copyto",)
_WORDS[do.Broadcast] = lambda how, value: ("broadcast_to",)
_WORDS[do.ExpandDims] = lambda how, value: ("expand_dims",)
_WORDS[do.Own] = lambda how, value: ("matmul" if how.function is np.matmul else "asarray",)
"""The functions of NumPy that a value's code calls by name."""

_FUNCTIONS: Rules[[], tuple[Function, str] | None] = Rules()
_FUNCTIONS[do.Instruction] = lambda how: None
_FUNCTIONS[do.Call] = lambda how: (how.function, how.name)
_FUNCTIONS[do.Own] = lambda how: None if how.function is np.matmul else (how.function, how.name)
_FUNCTIONS[do.Slide] = lambda how: (how.windows, "windows")
_FUNCTIONS[do.Check] = lambda how: (how.refuse, "codes")
"""The function that a value's code is given, and what it is of."""


# --- names ----------------------------------------------------------------------------------------------------


class _Names(dict["Value", str]):
    """The variable of each value: its node's name reduced to an identifier, unique.

    None has two underscores in a row: by such the writer calls its own.

    Attributes
    ----------
    numpy : set of str
        The functions of NumPy that the code calls by name.
    functions : dict of callable to str
        Those that it is given, and how it calls them.
    """

    def __init__(self, lowering: Lowering) -> None:
        super().__init__()
        self.numpy = {word for value in lowering.values for word in _WORDS(value.how, value)}
        self.functions: dict[Function, str] = {}
        self._taken = {*keyword.kwlist, *dir(builtins), *self.numpy, *_OWN}
        self._last: dict[str, int] = {}
        for function, name in filter(None, (_FUNCTIONS(value.how) for value in lowering.values)):
            if function not in self.functions:
                self.functions[function] = self._free(f"{_identifier(name)}_forward")
        for value in [*lowering.given, *lowering.values]:
            if value.kind == "check":
                self[value] = self[value.operands[0]]
                continue
            own = isinstance(value.how, do.Constant) and value.how.name
            self[value] = self._free(_identifier(own or value.node.name))
        self.update({value: self[given] for value, given in lowering.over.items()})

    def _free(self, base: str) -> str:
        """Return a name that is not taken yet, and take it."""
        unique, number = base, self._last.get(base, 1)  # all up to this number are taken
        while unique in self._taken:
            number += 1
            unique = f"{base}_{number}"
        self._last[base] = number
        self._taken.add(unique)
        return unique


@lru_cache(2**10)
def _identifier(name: str) -> str:
    base = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:_LONGEST] or "value"
    return f"_{base}" if base[0].isdigit() else base


@lru_cache(32)
def _called(dtype: DType) -> str:
    """Return a dtype as the code has it: NumPy makes its name anew each time."""
    if not (dtype.kind in "biuf" or is_bfloat16(dtype)) or not dtype.isnative:
        raise TypeError(f"values are bool, integers and floats, not {dtype}")
    return repr(dtype.name)
