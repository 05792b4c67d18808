"""Fused kernels: exact arithmetic, element by element, as LLVM text.

What is exact (sums, products, quotients, roots, comparisons, choices, casts that lose nothing undefined) has one right
result to the bit. So it may be computed in any order, for any number of elements at a time. A kernel has the call of
NumPy's loops, (arguments, dimensions, steps, data), and takes any sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal, NamedTuple

import numpy as np

Way = Literal["each", "same", "apart", "row", "column"]
"""How an operand lies along the innermost axis: elements side by side, one for all, or apart.

In a narrow kernel, along both of its axes: elements side by side, one for all, a row for all rows, or one for each row.
"""


class Operand(NamedTuple):
    """An operand or a result of a kernel.

    Attributes
    ----------
    char : str
        Of its dtype.
    way : {"each", "same", "apart", "row", "column"}
    """

    char: str
    way: Way


class Line(NamedTuple):
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


class Kernel(NamedTuple):
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


# --- what is exact ----------------------------------------------------------------------------------------------

_FLOATS, _SIGNED = {"f": "float", "d": "double"}, "bhilq"
SHORT = "E"
"""The char of bfloat16, whose bits are a number of 16 bits until they are cast."""
TYPES = {**_FLOATS, "?": "i1", SHORT: "i16", **{char: f"i{8 * np.dtype(char).itemsize}" for char in "bBhHiIlLqQ"}}
MEMORY = {**TYPES, "?": "i8"}
"""The types of elements in memory."""
_INTRINSICS = {"sqrt": "sqrt", "absolute": "fabs", "floor": "floor", "ceil": "ceil", "trunc": "trunc", "rint": "rint"}
_COMPARISONS = {"equal": "eq", "not_equal": "ne", "less": "lt", "less_equal": "le", "greater": "gt"}
_COMPARISONS["greater_equal"] = "ge"
_ARITHMETIC = {"add": "add", "subtract": "sub", "multiply": "mul"}
_LOGIC = {"logical_and": "and", "logical_or": "or", "logical_xor": "xor"}
_BITWISE = {"bitwise_and": "and", "bitwise_or": "or", "bitwise_xor": "xor"}
_OF_BOOLS = {"add": "or", "multiply": "and", "maximum": "or", "minimum": "and", **_BITWISE}


def size_of(char: str) -> int:
    """Return the bytes of an element of a dtype."""
    return 2 if char == SHORT else np.dtype(char).itemsize


def is_known(name: str, takes: str, gives: str) -> bool:
    """Tell whether there is an exact form of an operation for these dtypes.

    Examples
    --------
    >>> is_known("add", "ff", "f"), is_known("exp", "f", "f")
    (True, False)
    """
    if not {*takes, gives} <= TYPES.keys():
        return False
    if name == "cast":
        if SHORT in (takes, gives):
            return takes + gives in (f"{SHORT}f", f"{SHORT}d", f"f{SHORT}")
        return not (takes in _FLOATS and gives not in "fd?")  # of NaN, or what is out of range, C promises nothing
    if name == "select":
        return takes[0] == "?" and takes[1:] == 2 * gives
    if SHORT in (*takes, gives):
        return False
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
    return name in (_REAL if char in _FLOATS else _WHOLE)


@cache
def zeros_are_ordered() -> bool:
    """Tell whether 0 is larger than -0 for NumPy, as ARM's processors have it; else it takes the second of the two."""
    return not np.signbit(np.maximum(np.zeros(1), np.array([-0.0])))[0]


class Text:
    """Writes the lines of a kernel for so many elements at a time."""

    def __init__(self, width: int, prefix: str) -> None:
        self.lines: list[str] = []
        self._width = width
        self._prefix = prefix
        self._count = 0

    def type(self, char: str) -> str:
        """Return the type of a dtype's elements."""
        return self.of(TYPES[char])

    def of(self, kind: str) -> str:
        """Return the type of so many elements of a type."""
        return f"<{self._width} x {kind}>" if self._width > 1 else kind

    def add(self, text: str) -> str:
        """Add an operation, and return its name."""
        self._count += 1
        name = f"%{self._prefix}{self._count}"
        self.lines.append(f"  {name} = {text}")
        return name

    def number(self, char: str, value: int) -> str:
        """Return a number throughout."""
        text = f"{float(value)}" if char in _FLOATS else ("true" if value else "false") if char == "?" else str(value)
        if self._width == 1:
            return text
        return f"splat ({TYPES[char]} {text})"

    def intrinsic(self, name: str, char: str, *operands: str) -> str:
        """Add a call of one of LLVM's functions."""
        kind = self.type(char)
        bits = TYPES[char].replace("float", "f32").replace("double", "f64")
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
            signed = "" if how in ("eq", "ne") else "s" if char in _SIGNED else "u"
            return self.add(f"icmp {signed}{how} {kind} {x[0]}, {x[1]}")
        if name in _LOGIC:
            truths = [self.holds(char, each) for each in x]
            return self.add(f"{_LOGIC[name]} {self.of('i1')} {truths[0]}, {truths[1]}")
        if name == "logical_not":
            return self.add(f"xor {self.of('i1')} {self.holds(char, x[0])}, {self.number('?', 1)}")
        if char == "?":
            return x[0] if name == "positive" else self.add(f"{_OF_BOOLS[name]} {kind} {x[0]}, {x[1]}")
        return (_REAL if real else _WHOLE)[name](self, char, kind, x)

    def infinite(self, char: str) -> str:
        """Return infinity throughout."""
        text = "0x7FF0000000000000"
        return text if self._width == 1 else f"splat ({TYPES[char]} {text})"

    def _clipped(self, char: str, x: str, lo: str, hi: str) -> str:
        """Clip as NumPy does by bounds that are not NaN: what is equal to one stays as it is, and so does a NaN."""
        low = self.choice(self.add(f"fcmp olt {self.type(char)} {x}, {lo}"), char, lo, x)
        return self.choice(self.add(f"fcmp ogt {self.type(char)} {low}, {hi}"), char, hi, low)

    def _cast(self, takes: str, gives: str, x: str) -> str:
        one, other = self.type(takes), self.type(gives)
        if gives == "?":
            return self.holds(takes, x)
        if one == other:
            return x
        if SHORT in (takes, gives):
            return self._widened(gives, x) if takes == SHORT else self._shortened(x)
        if takes in _FLOATS:
            return self.add(f"{'fpext' if gives == 'd' else 'fptrunc'} {one} {x} to {other}")
        signed = takes in _SIGNED
        if gives in _FLOATS:
            return self.add(f"{'sitofp' if signed else 'uitofp'} {one} {x} to {other}")
        before, after = (int(TYPES[char][1:]) for char in (takes, gives))
        how = "trunc" if after < before else "sext" if signed else "zext"
        return self.add(f"{how} {one} {x} to {other}")

    def _widened(self, gives: str, x: str) -> str:
        """Return numbers of bfloat16 as floats: their bits are the upper half of a float32."""
        word, single = self.of("i32"), self.type("f")
        whole = self.add(f"zext {self.type(SHORT)} {x} to {word}")
        upper = self.add(f"shl {word} {whole}, {self.number('I', 16)}")
        found = self.add(f"bitcast {word} {upper} to {single}")
        return found if gives == "f" else self._cast("f", gives, found)

    def _shortened(self, x: str) -> str:
        """Return numbers of float32 as bfloat16, as ml_dtypes rounds them: to the nearest, and of two to the even one.

        A NaN has no payload there.
        """
        word, single = self.of("i32"), self.type("f")
        bits = self.add(f"bitcast {single} {x} to {word}")
        upper = self.add(f"lshr {word} {bits}, {self.number('I', 16)}")
        odd = self.add(f"and {word} {upper}, {self.number('I', 1)}")
        more = self.add(f"add {word} {odd}, {self.number('I', 0x7FFF)}")
        rounded = self.add(f"lshr {word} {self.add(f'add {word} {bits}, {more}')}, {self.number('I', 16)}")
        sign = self.add(f"and {word} {upper}, {self.number('I', 0x8000)}")
        nan = self.add(f"or {word} {sign}, {self.number('I', 0x7FC0)}")
        found = self.choice(self.add(f"fcmp uno {single} {x}, {x}"), "I", nan, rounded)
        return self.add(f"trunc {word} {found} to {self.type(SHORT)}")


# --- of floats, and of integers ---------------------------------------------------------------------------------

_Rule = Callable[[Text, str, str, Sequence[str]], str]


def _instruction(how: str) -> _Rule:
    return lambda text, char, kind, x: text.add(f"{how} {kind} {', '.join(x)}")


def _arithmetic(name: str, real: str = "") -> _Rule:
    return lambda text, char, kind, x: text.add(f"{real}{_ARITHMETIC[name]} {kind} {', '.join(x)}")


def _intrinsic(name: str) -> _Rule:
    return lambda text, char, kind, x: text.intrinsic(name, char, *x)


def _same(text: Text, char: str, kind: str, x: Sequence[str]) -> str:
    return x[0]


def _extremum(name: str, compare: str) -> _Rule:
    def rule(text: Text, char: str, kind: str, x: Sequence[str]) -> str:
        if zeros_are_ordered():
            return text.intrinsic(name, char, *x)
        # Of two equal ones, 0 and -0, NumPy takes the second; a NaN passes.
        nan = text.add(f"fcmp uno {kind} {x[0]}, {x[0]}")
        found = text.choice(text.add(f"fcmp {compare} {kind} {x[0]}, {x[1]}"), char, *x)
        return text.choice(nan, char, x[0], found)

    return rule


def _size_is(compare: str) -> _Rule:
    """Compare the size of a number with infinity."""

    def rule(text: Text, char: str, kind: str, x: Sequence[str]) -> str:
        size = text.intrinsic("fabs", char, x[0])
        return text.add(f"fcmp {compare} {kind} {size}, {text.infinite(char)}")

    return rule


def _sign(text: Text, char: str, kind: str, x: Sequence[str]) -> str:
    zero, one, minus = (text.number(char, value) for value in (0, 1, -1))
    equal = text.add(f"fcmp oeq {kind} {x[0]}, {zero}")
    below = text.add(f"fcmp olt {kind} {x[0]}, {zero}")
    above = text.add(f"fcmp ogt {kind} {x[0]}, {zero}")
    found = text.choice(equal, char, zero, x[0])
    return text.choice(above, char, one, text.choice(below, char, minus, found))


_REAL: dict[str, _Rule] = {
    **{name: _arithmetic(name, "f") for name in _ARITHMETIC},
    **{name: _intrinsic(how) for name, how in _INTRINSICS.items()},
    "divide": _instruction("fdiv"),
    "square": lambda text, char, kind, x: text.add(f"fmul {kind} {x[0]}, {x[0]}"),
    "reciprocal": lambda text, char, kind, x: text.add(f"fdiv {kind} {text.number(char, 1)}, {x[0]}"),
    "positive": _same,
    "negative": _instruction("fneg"),
    "maximum": _extremum("maximum", "ogt"),
    "minimum": _extremum("minimum", "olt"),
    "isnan": lambda text, char, kind, x: text.add(f"fcmp uno {kind} {x[0]}, {x[0]}"),
    "isfinite": _size_is("one"),
    "isinf": _size_is("oeq"),
    "sign": _sign,
}


def _larger(compare: str) -> _Rule:
    def rule(text: Text, char: str, kind: str, x: Sequence[str]) -> str:
        how = ("s" if char in _SIGNED else "u") + compare
        return text.choice(text.add(f"icmp {how} {kind} {x[0]}, {x[1]}"), char, *x)

    return rule


def _negative(text: Text, char: str, kind: str, x: Sequence[str]) -> str:
    return text.add(f"sub {kind} {text.number(char, 0)}, {x[0]}")


def _absolute(text: Text, char: str, kind: str, x: Sequence[str]) -> str:
    if char not in _SIGNED:
        return x[0]
    turned = _negative(text, char, kind, x)
    return text.choice(text.add(f"icmp slt {kind} {x[0]}, {text.number(char, 0)}"), char, turned, x[0])


def _whole_sign(text: Text, char: str, kind: str, x: Sequence[str]) -> str:
    zero, one, minus = (text.number(char, value) for value in (0, 1, -1))
    above = text.add(f"icmp {'sgt' if char in _SIGNED else 'ne'} {kind} {x[0]}, {zero}")
    if char not in _SIGNED:
        return text.choice(above, char, one, zero)
    below = text.add(f"icmp slt {kind} {x[0]}, {zero}")
    return text.choice(above, char, one, text.choice(below, char, minus, zero))


_WHOLE: dict[str, _Rule] = {
    **{name: _arithmetic(name) for name in _ARITHMETIC},
    **{name: _instruction(how) for name, how in _BITWISE.items()},
    "square": lambda text, char, kind, x: text.add(f"mul {kind} {x[0]}, {x[0]}"),
    "positive": _same,
    "negative": _negative,
    "invert": lambda text, char, kind, x: text.add(f"xor {kind} {x[0]}, {text.number(char, -1)}"),
    "maximum": _larger("gt"),
    "minimum": _larger("lt"),
    "absolute": _absolute,
    "sign": _whole_sign,
}
