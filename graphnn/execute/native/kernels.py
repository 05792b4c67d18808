"""Fused kernels: exact arithmetic, element by element, as LLVM text.

What is exact (sums, products, quotients, roots, comparisons, choices, casts that lose nothing undefined) has one right
result to the bit. So it may be computed in any order, for any number of elements at a time. A kernel has the call of
NumPy's loops, (arguments, dimensions, steps, data), and takes any sizes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from ..instructions import DType

Way = Literal["each", "same", "apart", "row", "column"]
"""How an operand lies along the innermost axis: elements side by side, one for all, or apart.

In a narrow kernel, along both of its axes: elements side by side, one for all, a row for all rows, or one for each row.
"""


@dataclass(frozen=True, slots=True)
class Operand:
    """An operand or a result of a kernel.

    Attributes
    ----------
    char : str
        Of its dtype.
    way : {"each", "same", "apart", "row", "column"}
    """

    char: str
    way: Way


@dataclass(frozen=True, slots=True)
class Line:
    """One operation of a kernel.

    Attributes
    ----------
    name : str
        Of a ufunc; or "cast", "select", "clip".
    takes, gives : str
        The chars of the dtypes of its operands, and of its result.
    places : tuple of int
        Its operands: those of the kernel first, then its lines.
    """

    name: str
    takes: str
    gives: str
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Kernel:
    """A fused kernel.

    Attributes
    ----------
    depth : int
        The number of loops, one in the other.
    inputs : tuple of Operand
    lines : tuple of Line
    outputs : tuple of (int, Operand)
        The place of what is written, and how it lies.
    narrow : int
        Of a kernel for rows of so few elements that several fit a register: how many; else 0.
    """

    depth: int
    inputs: tuple[Operand, ...]
    lines: tuple[Line, ...]
    outputs: tuple[tuple[int, Operand], ...]
    narrow: int = 0

    def __str__(self) -> str:
        """Return it readably: a line for each operation."""
        told = [f"x{i}: {operand.char} {operand.way}" for i, operand in enumerate(self.inputs)]
        for place, line in enumerate(self.lines, len(self.inputs)):
            told.append(f"x{place} = {line.name}({', '.join(f'x{i}' for i in line.places)}): {line.gives}")
        told += [f"write x{place}: {operand.char} {operand.way}" for place, operand in self.outputs]
        return "\n".join(told)


# --- what is exact ----------------------------------------------------------------------------------------------

_FLOATS = {"f": "float", "d": "double"}
_TYPES = {**_FLOATS, "?": "i1", **{char: f"i{8 * np.dtype(char).itemsize}" for char in "bBhHiIlLqQ"}}
_INTRINSICS = {"sqrt": "sqrt", "absolute": "fabs", "floor": "floor", "ceil": "ceil", "trunc": "trunc", "rint": "rint"}
_COMPARISONS = {"equal": "eq", "not_equal": "ne", "less": "lt", "less_equal": "le", "greater": "gt"}
_COMPARISONS["greater_equal"] = "ge"
_ARITHMETIC = {"add": "add", "subtract": "sub", "multiply": "mul"}
_LOGIC = {"logical_and": "and", "logical_or": "or", "logical_xor": "xor"}
_BITWISE = {"bitwise_and": "and", "bitwise_or": "or", "bitwise_xor": "xor"}
_OF_BOOLS = {"add": "or", "multiply": "and", "maximum": "or", "minimum": "and", **_BITWISE}


def is_known(name: str, takes: str, gives: str) -> bool:
    """Tell whether there is an exact form of an operation for these dtypes.

    Examples
    --------
    >>> is_known("add", "ff", "f"), is_known("exp", "f", "f")
    (True, False)
    """
    if not {*takes, gives} <= _TYPES.keys():
        return False
    if name == "cast":
        return not (takes in _FLOATS and gives not in "fd?")  # of NaN, or what is out of range, C promises nothing
    if name == "select":
        return takes[0] == "?" and takes[1:] == 2 * gives
    if name == "clip":
        return takes == 3 * gives and gives in _FLOATS
    char = takes[:1]
    if takes != char * len(takes):
        return False
    if name in _COMPARISONS or name in _LOGIC or name == "logical_not":
        return gives == "?"
    if name in ("isnan", "isfinite", "isinf"):
        return char in _FLOATS and gives == "?"
    if gives != char:
        return False
    if char == "?":
        return name in _OF_BOOLS or name == "positive"
    if name in ("add", "subtract", "multiply", "maximum", "minimum", "square", "positive", "negative", "absolute"):
        return True
    if char in _FLOATS:
        return name in _INTRINSICS or name in ("divide", "reciprocal", "sign")
    return name in _BITWISE or name in ("invert", "sign")


class _Text:
    """Writes the lines of a kernel for so many elements at a time."""

    def __init__(self, width: int, prefix: str) -> None:
        self.lines: list[str] = []
        self._width = width
        self._prefix = prefix
        self._count = 0

    def type(self, char: str) -> str:
        """Return the type of a dtype's elements."""
        return self.of(_TYPES[char])

    def of(self, kind: str) -> str:
        """Return the type of so many elements of a type."""
        return f"<{self._width} x {kind}>" if self._width > 1 else kind

    def add(self, text: str) -> str:
        """Add an operation, and return its name."""
        self._count += 1
        name = f"%{self._prefix}{self._count}"
        self.lines.append(f"{name} = {text}")
        return name

    def number(self, char: str, value: int) -> str:
        """Return a number throughout."""
        text = f"{float(value)}" if char in _FLOATS else ("true" if value else "false") if char == "?" else str(value)
        if self._width == 1:
            return text
        return f"splat ({_TYPES[char]} {text})"

    def intrinsic(self, name: str, char: str, *operands: str) -> str:
        """Add a call of one of LLVM's functions."""
        kind = self.type(char)
        bits = _TYPES[char].replace("float", "f32").replace("double", "f64")
        suffix = f"v{self._width}{bits}" if self._width > 1 else bits
        return self.add(f"call {kind} @llvm.{name}.{suffix}({', '.join(f'{kind} {x}' for x in operands)})")

    def holds(self, char: str, x: str) -> str:
        """Return whether elements are not 0."""
        if char == "?":
            return x
        compare = "fcmp une" if char in _FLOATS else "icmp ne"
        return self.add(f"{compare} {self.type(char)} {x}, {self.number(char, 0)}")

    def choice(self, condition: str, char: str, x: str, y: str) -> str:
        """Return x where the condition holds, else y."""
        kind = self.type(char)
        return self.add(f"select {self.of('i1')} {condition}, {kind} {x}, {kind} {y}")

    def line(self, line: Line, x: Sequence[str]) -> str:
        """Write an operation of these operands, and return the name of its result."""
        name, char, kind = line.name, line.takes[:1], self.type(line.takes[0])
        real = char in _FLOATS
        if name == "cast":
            return self._cast(char, line.gives, x[0])
        if name == "select":
            return self.choice(x[0], line.gives, x[1], x[2])
        if name == "clip":
            return self._clipped(char, *x)
        if name in _COMPARISONS:
            how = _COMPARISONS[name]
            if real:
                return self.add(f"fcmp {'u' if how == 'ne' else 'o'}{how} {kind} {x[0]}, {x[1]}")
            signed = "" if how in ("eq", "ne") else "s" if char in "bhilq" else "u"
            return self.add(f"icmp {signed}{how} {kind} {x[0]}, {x[1]}")
        if name in _LOGIC:
            truths = [self.holds(char, each) for each in x]
            return self.add(f"{_LOGIC[name]} {self.of('i1')} {truths[0]}, {truths[1]}")
        if name == "logical_not":
            return self.add(f"xor {self.of('i1')} {self.holds(char, x[0])}, {self.number('?', 1)}")
        if char == "?":
            return x[0] if name == "positive" else self.add(f"{_OF_BOOLS[name]} {kind} {x[0]}, {x[1]}")
        return self._real(name, char, kind, x) if real else self._whole(name, char, kind, x)

    def _real(self, name: str, char: str, kind: str, x: Sequence[str]) -> str:
        match name:
            case "add" | "subtract" | "multiply":
                return self.add(f"f{_ARITHMETIC[name]} {kind} {x[0]}, {x[1]}")
            case "divide":
                return self.add(f"fdiv {kind} {x[0]}, {x[1]}")
            case "square":
                return self.add(f"fmul {kind} {x[0]}, {x[0]}")
            case "reciprocal":
                return self.add(f"fdiv {kind} {self.number(char, 1)}, {x[0]}")
            case "positive":
                return x[0]
            case "negative":
                return self.add(f"fneg {kind} {x[0]}")
            case "maximum" | "minimum":
                return self._extremum("ogt" if name == "maximum" else "olt", char, *x)
            case "isnan":
                return self.add(f"fcmp uno {kind} {x[0]}, {x[0]}")
            case "isfinite" | "isinf":
                size = self.intrinsic("fabs", char, x[0])
                infinite = self.infinite(char)
                return self.add(f"fcmp {'one' if name == 'isfinite' else 'oeq'} {kind} {size}, {infinite}")
            case "sign":
                zero, one, minus = (self.number(char, value) for value in (0, 1, -1))
                equal = self.add(f"fcmp oeq {kind} {x[0]}, {zero}")
                below = self.add(f"fcmp olt {kind} {x[0]}, {zero}")
                above = self.add(f"fcmp ogt {kind} {x[0]}, {zero}")
                found = self.choice(equal, char, zero, x[0])
                return self.choice(above, char, one, self.choice(below, char, minus, found))
        return self.intrinsic(_INTRINSICS[name], char, x[0])

    def infinite(self, char: str) -> str:
        """Return infinity throughout."""
        text = "0x7FF0000000000000"
        return text if self._width == 1 else f"splat ({_TYPES[char]} {text})"

    def _extremum(self, compare: str, char: str, x: str, y: str) -> str:
        """Of two equal ones, 0 and -0, NumPy takes the second; a NaN passes."""
        kind = self.type(char)
        nan = self.add(f"fcmp uno {kind} {x}, {x}")
        found = self.choice(self.add(f"fcmp {compare} {kind} {x}, {y}"), char, x, y)
        return self.choice(nan, char, x, found)

    def _clipped(self, char: str, x: str, lo: str, hi: str) -> str:
        return self._extremum("olt", char, self._extremum("ogt", char, x, lo), hi)

    def _whole(self, name: str, char: str, kind: str, x: Sequence[str]) -> str:
        zero = self.number(char, 0)
        signed = char in "bhilq"
        match name:
            case "add" | "subtract" | "multiply":
                return self.add(f"{_ARITHMETIC[name]} {kind} {x[0]}, {x[1]}")
            case "square":
                return self.add(f"mul {kind} {x[0]}, {x[0]}")
            case "positive":
                return x[0]
            case "negative":
                return self.add(f"sub {kind} {zero}, {x[0]}")
            case "invert":
                return self.add(f"xor {kind} {x[0]}, {self.number(char, -1)}")
            case "maximum" | "minimum":
                how = ("s" if signed else "u") + ("gt" if name == "maximum" else "lt")
                return self.choice(self.add(f"icmp {how} {kind} {x[0]}, {x[1]}"), char, x[0], x[1])
            case "absolute" if not signed:
                return x[0]
            case "absolute":
                turned = self.add(f"sub {kind} {zero}, {x[0]}")
                return self.choice(self.add(f"icmp slt {kind} {x[0]}, {zero}"), char, turned, x[0])
            case "sign":
                one, minus = self.number(char, 1), self.number(char, -1)
                above = self.add(f"icmp {'sgt' if signed else 'ne'} {kind} {x[0]}, {zero}")
                if not signed:
                    return self.choice(above, char, one, zero)
                below = self.add(f"icmp slt {kind} {x[0]}, {zero}")
                return self.choice(above, char, one, self.choice(below, char, minus, zero))
        return self.add(f"{_BITWISE[name]} {kind} {x[0]}, {x[1]}")

    def _cast(self, takes: str, gives: str, x: str) -> str:
        one, other = self.type(takes), self.type(gives)
        if gives == "?":
            return self.holds(takes, x)
        if one == other:
            return x
        if takes in _FLOATS:
            return self.add(f"{'fpext' if gives == 'd' else 'fptrunc'} {one} {x} to {other}")
        signed = takes in "bhilq"
        if gives in _FLOATS:
            return self.add(f"{'sitofp' if signed else 'uitofp'} {one} {x} to {other}")
        before, after = (int(_TYPES[char][1:]) for char in (takes, gives))
        how = "trunc" if after < before else "sext" if signed else "zext"
        return self.add(f"{how} {one} {x} to {other}")


# --- loops --------------------------------------------------------------------------------------------------------


@lru_cache(4096)
def written(kernel: Kernel, register: int) -> tuple[str, str]:
    """Return the name of a kernel's function, and its text, for registers of so many bytes."""
    text = (_Narrow if kernel.narrow else _Loops)(kernel, register).text()
    name = "k" + hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
    return name, text.replace("@NAME", f"@{name}")


class _Loops:
    """Writes a kernel: loops over the outer axes, and along the innermost one as many elements as fit a register."""

    def __init__(self, kernel: Kernel, register: int) -> None:
        self._kernel = kernel
        self._operands = [*kernel.inputs, *[operand for _, operand in kernel.outputs]]
        widest = max(np.dtype(operand.char).itemsize for operand in self._operands)
        self._width = max(2, register // widest)
        self._lines: list[str] = []

    def text(self) -> str:
        count, depth = len(self._operands), self._kernel.depth
        self._label("entry")
        for k in range(count):
            self._add(f"%a{k}.p = getelementptr ptr, ptr %args, i64 {k}")
            self._add(f"%a{k} = load ptr, ptr %a{k}.p")
        for d in range(depth):
            self._add(f"%n{d}.p = getelementptr i64, ptr %dims, i64 {d}")
            self._add(f"%n{d} = load i64, ptr %n{d}.p")
            for k in range(count):
                if d == depth - 1 and self._operands[k].way != "apart":
                    continue
                self._add(f"%s{d}.{k}.p = getelementptr i64, ptr %steps, i64 {d * count + k}")
                self._add(f"%s{d}.{k} = load i64, ptr %s{d}.{k}.p")
        self._loops(0, "entry", [f"%a{k}" for k in range(count)])
        self._add("ret void")
        body = "\n".join(self._lines)
        return f"define void @NAME(ptr %args, ptr %dims, ptr %steps, ptr %data) nounwind {{\n{body}\n}}\n"

    def _loops(self, d: int, before: str, pointers: list[str]) -> str:
        """Write the loop over an axis and all within it; return the label of where it goes on."""
        if d == self._kernel.depth - 1:
            return self._innermost(before, pointers)
        self._add(f"br label %loop{d}")
        self._label(f"loop{d}")
        head = len(self._lines)
        inner = [f"%q{d}.{k}" for k in range(len(pointers))]
        end = self._loops(d + 1, f"loop{d}", inner)
        self._add(f"%j{d} = add i64 %i{d}, 1")
        phis = [f"%i{d} = phi i64 [0, %{before}], [%j{d}, %{end}]"]
        for k, pointer in enumerate(pointers):
            phis.append(f"%q{d}.{k} = phi ptr [{pointer}, %{before}], [%r{d}.{k}, %{end}]")
            self._add(f"%r{d}.{k} = getelementptr i8, ptr %q{d}.{k}, i64 %s{d}.{k}")
        self._lines[head:head] = phis
        self._add(f"%m{d} = icmp slt i64 %j{d}, %n{d}")
        self._add(f"br i1 %m{d}, label %loop{d}, label %end{d}")
        self._label(f"end{d}")
        return f"end{d}"

    def _innermost(self, before: str, pointers: list[str]) -> str:
        n, width = f"%n{self._kernel.depth - 1}", self._width
        same = {}
        for k, operand in enumerate(self._kernel.inputs):
            if operand.way == "same":
                same[k] = self._loaded(operand.char, pointers[k], f"c{k}")
        wide = dict(same)
        for k, x in same.items():
            kind = _TYPES[self._kernel.inputs[k].char]
            self._add(f"%w{k}.0 = insertelement <{width} x {kind}> poison, {kind} {x}, i64 0")
            self._add(
                f"%w{k} = shufflevector <{width} x {kind}> %w{k}.0, <{width} x {kind}> poison, "
                f"<{width} x i32> zeroinitializer"
            )
            wide[k] = f"%w{k}"
        self._add(f"%whole = and i64 {n}, {-width}" if not width & (width - 1) else "")
        self._add("%any = icmp sgt i64 %whole, 0")
        self._add("br i1 %any, label %wide, label %narrow.on")
        self._label("wide")
        self._add(f"%i = phi i64 [0, %{before}], [%i.next, %wide]")
        self._elements(width, "v", "%i", pointers, wide)
        self._add(f"%i.next = add i64 %i, {width}")
        self._add("%i.more = icmp slt i64 %i.next, %whole")
        self._add("br i1 %i.more, label %wide, label %narrow.on")
        self._label("narrow.on")
        self._add(f"%rest = icmp slt i64 %whole, {n}")
        self._add("br i1 %rest, label %narrow, label %done")
        self._label("narrow")
        self._add("%j = phi i64 [%whole, %narrow.on], [%j.next, %narrow]")
        self._elements(1, "s", "%j", pointers, same)
        self._add("%j.next = add i64 %j, 1")
        self._add(f"%j.more = icmp slt i64 %j.next, {n}")
        self._add("br i1 %j.more, label %narrow, label %done")
        self._label("done")
        return "done"

    def _elements(self, width: int, prefix: str, index: str, pointers: list[str], known: dict[int, str]) -> None:
        """Write what is computed of so many elements. All of them are read before the first is written."""
        text = _Text(width, prefix)
        names: list[str] = []
        for k, operand in enumerate(self._kernel.inputs):
            names.append(known[k] if k in known else self._read(text, operand, pointers[k], index, k))
        for line in self._kernel.lines:
            names.append(text.line(line, [names[place] for place in line.places]))
        for k, (place, operand) in enumerate(self._kernel.outputs, len(self._kernel.inputs)):
            kind, x = text.type(operand.char), names[place]
            if operand.char == "?":
                x = text.add(f"zext {kind} {x} to {text.of('i8')}")
                kind = text.of("i8")
            at = self._address(text, operand, pointers[k], index, k)
            size = np.dtype(operand.char).itemsize
            text.lines.append(f"store {kind} {x}, ptr {at}, align {size}")
        self._lines += text.lines

    def _read(self, text: _Text, operand: Operand, pointer: str, index: str, k: int) -> str:
        size, memory = np.dtype(operand.char).itemsize, _MEMORY[operand.char]
        if operand.way == "apart" and text.of("i8") != "i8":
            return self._gathered(text, operand, pointer, index, k)
        at = self._address(text, operand, pointer, index, k)
        x = text.add(f"load {text.of(memory)}, ptr {at}, align {size}")
        return text.add(f"icmp ne {text.of('i8')} {x}, {text.number('b', 0)}") if operand.char == "?" else x

    def _gathered(self, text: _Text, operand: Operand, pointer: str, index: str, k: int) -> str:
        size, memory, d = np.dtype(operand.char).itemsize, _MEMORY[operand.char], self._kernel.depth - 1
        found = "poison"
        for lane in range(self._width):
            i = text.add(f"add i64 {index}, {lane}")
            offset = text.add(f"mul i64 {i}, %s{d}.{k}")
            at = text.add(f"getelementptr i8, ptr {pointer}, i64 {offset}")
            x = text.add(f"load {memory}, ptr {at}, align {size}")
            found = text.add(f"insertelement {text.of(memory)} {found}, {memory} {x}, i64 {lane}")
        return text.add(f"icmp ne {text.of('i8')} {found}, {text.number('b', 0)}") if operand.char == "?" else found

    def _address(self, text: _Text, operand: Operand, pointer: str, index: str, k: int) -> str:
        if operand.way == "apart":
            offset = text.add(f"mul i64 {index}, %s{self._kernel.depth - 1}.{k}")
            return text.add(f"getelementptr i8, ptr {pointer}, i64 {offset}")
        return text.add(f"getelementptr {_MEMORY[operand.char]}, ptr {pointer}, i64 {index}")

    def _loaded(self, char: str, pointer: str, name: str) -> str:
        self._add(f"%{name}.m = load {_MEMORY[char]}, ptr {pointer}, align {np.dtype(char).itemsize}")
        if char != "?":
            return f"%{name}.m"
        self._add(f"%{name} = icmp ne i8 %{name}.m, 0")
        return f"%{name}"

    def _add(self, line: str) -> None:
        self._lines.append(f"  {line}")

    def _label(self, name: str) -> None:
        self._lines.append(f"{name}:")


class _Narrow(_Loops):
    """Writes a kernel for narrow rows, of which several fit a register.

    A block of so many rows is as many registers as a row has elements. In each of them, which row and which column an
    element belongs to is known when this is written.
    """

    def text(self) -> str:
        """Return the text of the function, but for its name."""
        n, width, operands = self._kernel.narrow, self._width, self._operands
        self._label("entry")
        for k in range(len(operands)):
            self._add(f"%a{k}.p = getelementptr ptr, ptr %args, i64 {k}")
            self._add(f"%a{k} = load ptr, ptr %a{k}.p")
        self._add("%rows = load i64, ptr %dims")
        self._add(f"%whole = and i64 %rows, {-width}")
        patterns = [self._fixed(k, operand) for k, operand in enumerate(self._kernel.inputs)]
        self._add("%any = icmp sgt i64 %whole, 0")
        self._add("br i1 %any, label %wide, label %narrow.on")
        self._label("wide")
        self._add("%i = phi i64 [0, %entry], [%i.next, %wide]")
        self._add(f"%at = mul i64 %i, {n}")
        columns = _Text(width, "c")
        of_rows = {
            k: self._memory(columns, operand.char, f"%a{k}", "%i")
            for k, operand in enumerate(self._kernel.inputs)
            if operand.way == "column"
        }
        self._lines += columns.lines
        for j in range(n):
            self._register(j, patterns, of_rows)
        self._add(f"%i.next = add i64 %i, {width}")
        self._add("%i.more = icmp slt i64 %i.next, %whole")
        self._add("br i1 %i.more, label %wide, label %narrow.on")
        self._label("narrow.on")
        self._add(f"%first = mul i64 %whole, {n}")
        self._add(f"%last = mul i64 %rows, {n}")
        self._add("%rest = icmp slt i64 %first, %last")
        self._add("br i1 %rest, label %narrow, label %done")
        self._label("narrow")
        self._add("%j = phi i64 [%first, %narrow.on], [%j.next, %narrow]")
        self._add(f"%row = udiv i64 %j, {n}")
        self._add(f"%row.at = mul i64 %row, {n}")
        self._add("%column = sub i64 %j, %row.at")
        text = _Text(1, "s")
        index = {"each": "%j", "row": "%column", "column": "%row", "same": "0"}
        names = [
            self._memory(text, operand.char, f"%a{k}", index[operand.way])
            for k, operand in enumerate(self._kernel.inputs)
        ]
        self._computed(text, names, "%j")
        self._add("%j.next = add i64 %j, 1")
        self._add("%j.more = icmp slt i64 %j.next, %last")
        self._add("br i1 %j.more, label %narrow, label %done")
        self._label("done")
        self._add("ret void")
        body = "\n".join(self._lines)
        return f"define void @NAME(ptr %args, ptr %dims, ptr %steps, ptr %data) nounwind {{\n{body}\n}}\n"

    def _fixed(self, k: int, operand: Operand) -> list[str]:
        """Write the registers of an operand that are the same in every block, and return them."""
        n, width = self._kernel.narrow, self._width
        if operand.way not in ("row", "same"):
            return []
        count = n if operand.way == "row" else 1
        kind = _TYPES[operand.char]
        text = _Text(count, f"f{k}.")
        loaded = self._memory(text, operand.char, f"%a{k}", "0")
        if count == 1:
            loaded = text.add(f"insertelement <1 x {kind}> poison, {kind} {loaded}, i64 0")
        found = []
        for j in range(n if count > 1 else 1):
            lanes = ", ".join(f"i32 {(j * width + lane) % count}" for lane in range(width))
            vector = f"<{count} x {kind}>"
            found.append(text.add(f"shufflevector {vector} {loaded}, {vector} poison, <{width} x i32> <{lanes}>"))
        self._lines += text.lines
        return found * (n // len(found))

    def _register(self, j: int, patterns: list[list[str]], of_rows: dict[int, str]) -> None:
        """Write what is computed of one register of a block."""
        n, width = self._kernel.narrow, self._width
        text = _Text(width, f"v{j}.")
        index = text.add(f"add i64 %at, {j * width}")
        names = []
        for k, operand in enumerate(self._kernel.inputs):
            if patterns[k]:
                names.append(patterns[k][j])
            elif operand.way == "column":
                lanes = ", ".join(f"i32 {(j * width + lane) // n}" for lane in range(width))
                kind = text.type(operand.char)
                names.append(text.add(f"shufflevector {kind} {of_rows[k]}, {kind} poison, <{width} x i32> <{lanes}>"))
            else:
                names.append(self._memory(text, operand.char, f"%a{k}", index))
        self._computed(text, names, index)

    def _memory(self, text: _Text, char: str, pointer: str, index: str) -> str:
        """Read elements that lie side by side."""
        memory, size = _MEMORY[char], np.dtype(char).itemsize
        at = text.add(f"getelementptr {memory}, ptr {pointer}, i64 {index}")
        x = text.add(f"load {text.of(memory)}, ptr {at}, align {size}")
        return text.add(f"icmp ne {text.of('i8')} {x}, {text.number('b', 0)}") if char == "?" else x

    def _computed(self, text: _Text, names: list[str], index: str) -> None:
        """Write the lines, and the elements that come out."""
        for line in self._kernel.lines:
            names.append(text.line(line, [names[place] for place in line.places]))
        for k, (place, operand) in enumerate(self._kernel.outputs, len(self._kernel.inputs)):
            kind, x, memory = text.type(operand.char), names[place], _MEMORY[operand.char]
            if operand.char == "?":
                kind = text.of("i8")
                x = text.add(f"zext {text.of('i1')} {x} to {kind}")
            at = text.add(f"getelementptr {memory}, ptr %a{k}, i64 {index}")
            text.lines.append(f"store {kind} {x}, ptr {at}, align {np.dtype(operand.char).itemsize}")
        self._lines += text.lines


_MEMORY = {**_TYPES, "?": "i8"}
"""The types of elements in memory."""

Probe = Callable[[str, DType], bool]
