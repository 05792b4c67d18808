"""Instructions as NumPy source: the only place where code is written.

Of a graph, the code contains only names reduced to identifiers, and numbers that are exactly bool, int or finite float.
Everything else is passed to the written function as an argument.
"""

from __future__ import annotations

import builtins
import keyword
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

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
        return f"({', '.join(map(literal, value))}{',' * (len(value) == 1)})"
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
        over = ", ".join(["rows", *cuts.standing]) + "," * (not cuts.standing)
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
        operands[0] += ".T" * member.operands[0].is_turned
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
        return f"({', '.join(returned)}{',' * (len(returned) == 1)})"

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


def _makes_arrays(value: Value) -> bool:
    """Tell whether its call can make the array itself, which costs less than to make one for it."""
    match value.how:
        case do.Ufunc(bits=False) | do.Product(plain=False) | do.Patch():
            return bool(value.shape)
    return False


def _expression(value: Value, x: Sequence[str], names: _Names) -> str:
    """Return what gives the array of a view, or makes one."""
    match value.how:
        case do.Reshape(shape):
            return f"{x[0]}.reshape({literal(shape)})"
        case do.Transpose((1, 0)):
            return f"{x[0]}.T"
        case do.Transpose(axes):
            return f"{x[0]}.transpose({literal(axes)})"
        case do.ExpandDims(axes):
            return f"expand_dims({x[0]}, {literal(axes)})"
        case do.Squeeze(axes):
            return f"{x[0]}.squeeze({literal(axes)})"
        case do.Index(parts):
            return f"{x[0]}[{', '.join(map(_part, parts))}]"
        case do.Broadcast(shape):
            return f"broadcast_to({x[0]}, {literal(shape)})"
        case do.Slide(windows=windows):
            return f"{names.functions[windows]}({x[0]})"
        case do.Ufunc(ufunc):
            return f"{ufunc.__name__}({', '.join(x)})"
        case do.Product():
            return f"matmul({', '.join(x)})"
        case do.Patch(function):
            return f"{names.functions[function]}({', '.join(x)})"
        case do.Own(np.matmul):
            return f"matmul({', '.join(x)})"
        case do.Own(function):
            return f"asarray({names.functions[function]}({', '.join(x)}))"
    raise AssertionError(f"{value.how} writes to memory")


def _written(value: Value, x: Sequence[str], out: str, names: _Names) -> list[str]:
    """Return the lines that write a value, or a block of it, to memory."""
    match value.how:
        case do.Ufunc(ufunc, loop, bits=True):
            dtypes = [*[operand.dtype for operand in value.operands], value.dtype]
            parts = [
                name if dtype == own else f"{name}.view({_called(own)})"
                for name, dtype, own in zip([*x, out], dtypes, loop, strict=True)
            ]
            return [f"{ufunc.__name__}({', '.join(parts)})"]
        case do.Ufunc(ufunc):
            # NumPy deprecates a third argument by position for these two.
            by_name = "out=" if ufunc in (np.maximum, np.minimum) else ""
            return [f"{ufunc.__name__}({', '.join([*x, by_name + out])})"]
        case do.Clip():
            return [f"{x[0]}.clip({x[1]}, {x[2]}, {out})"]
        case do.Cast() if not value.shape:
            return [f"{out}[()] = {x[0]}"]
        case do.Cast():
            by_force = "" if np.can_cast(value.operands[0].dtype, value.dtype, "same_kind") else ", 'unsafe'"
            return [f"copyto({out}, {x[0]}{by_force})"]
        case do.Fill():
            return [f"{out}.fill({x[0]})"]
        case do.Repeat():
            return [f"{out}[...] = {x[0]}"]
        case do.Select():
            third = value.operands[2]
            fill = f"copyto({out}, {x[2]})" if third.shape else f"{out}.fill({x[2]})"
            return [fill, f"copyto({out}, {x[1]}, where={x[0]})"]
        case do.Copy():
            return [f"copyto({out}, {x[0]})"]
        case do.Reduce(ufunc, axes, keepdims):
            over = literal(axes[0] if len(axes) == 1 else axes)
            return [f"{ufunc.__name__}.reduce({x[0]}, {over}, None, {out}, {literal(keepdims)})"]
        case do.Product(plain=True):
            return [f"{x[0]}.dot({x[1]}, {out})"]
        case do.Product():
            return [f"matmul({x[0]}, {x[1]}, {out})"]
        case do.Gather():
            return [f"{x[0]}.take({x[1]}, None, {out}, 'clip')"]
        case do.Scatter():
            return [f"{out}.fill(0)", f"{out}[{x[1]}] = {x[0]}"]
        case do.Call(function):
            return [f"{names.functions[function]}({', '.join([*x, f'out={out}'])})"]
        case do.Check(classes, refuse):
            # Seen as unsigned, a negative label is the largest; to find its place costs less than to find the maximum.
            largest = f"{x[0]}.item({x[0]}.view('uint64').argmax())"
            refused = f"{names.functions[refuse]}('labels', {x[0]}, {literal(classes)})"
            return [f"if not 0 <= {largest} < {literal(classes)}: {refused}"]
    raise AssertionError(f"{value.how} makes its array itself")


def _part(part: do.Part) -> str:
    if isinstance(part, tuple):
        start, stop, step = ("" if bound is None else literal(bound) for bound in part)
        return f"{start}:{stop}:{step}" if step else f"{start}:{stop}"
    return "..." if part is Ellipsis else literal(part)


def _words(value: Value) -> Iterator[str]:
    """Yield the functions of NumPy that a value's code calls by name."""
    match value.how:
        case do.Ufunc(ufunc) | do.Reduce(ufunc):
            yield ufunc.__name__
        case do.Product(blocks, plain):
            if not plain:
                yield "matmul"
            if blocks and blocks.along:
                yield "add"
        case do.Cast() if not value.shape:
            pass
        case do.Cast() | do.Select() | do.Copy():
            yield "copyto"
        case do.Broadcast():
            yield "broadcast_to"
        case do.ExpandDims():
            yield "expand_dims"
        case do.Own(function):
            yield "matmul" if function is np.matmul else "asarray"


def _function_of(value: Value) -> tuple[Function, str] | None:
    """Return the function that a value's code is given, and what it is of."""
    match value.how:
        case do.Call(function, name) | do.Own(function, name) if function is not np.matmul:
            return function, name
        case do.Slide(windows=windows):
            return windows, "windows"
        case do.Check(_, refuse):
            return refuse, "codes"
    return None


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
        self.numpy = {word for value in lowering.values for word in _words(value)}
        self.functions: dict[Function, str] = {}
        self._taken = {*keyword.kwlist, *dir(builtins), *self.numpy, *_OWN}
        self._last: dict[str, int] = {}
        for function, name in filter(None, map(_function_of, lowering.values)):
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
    if dtype.kind not in "biuf" or not dtype.isnative:
        raise TypeError(f"values are bool, integers and floats, not {dtype}")
    return repr(dtype.name)
