"""The tree of a formula: one for the eye and for the machine. `printing` writes it, `evaluation` computes it.

A value is an array, as NumPy broadcasts it, or one element or row of it where letters stand for places: ``z_{n}``. An
expression is plain data; names in it are LaTeX already, and made by `naming` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...core import Op
    from ...core.symbolic_shapes import Dim, Shape


@dataclass(frozen=True, slots=True)
class Expression:
    """The base of all."""


@dataclass(frozen=True, slots=True)
class Name:
    """How a symbol is written: a base, what stands below and above, and of a derivative what is differentiated."""

    base: str
    below: tuple[str, ...] = ()
    above: str = ""
    of: Name | None = None
    """Of ∂of/∂self, what stands above the line."""


@dataclass(frozen=True, slots=True)
class Symbol(Expression):
    """A value with a name."""

    key: str
    name: Name
    ones: tuple[bool, ...] = ()
    """For each axis, whether it has only one place: its index is not written."""


@dataclass(frozen=True, slots=True)
class Number(Expression):
    """A number."""

    value: bool | int | float


@dataclass(frozen=True, slots=True)
class Size(Expression):
    """The size of a dimension."""

    dim: Dim


@dataclass(frozen=True, slots=True)
class Letter(Expression):
    """A place along an axis: the letter of a sum, or one that is free in the whole line.

    `start` is what is written for the first place; computed is from 0.
    """

    text: str
    dim: Dim
    start: int = 1


@dataclass(frozen=True, slots=True)
class Affine(Expression):
    """A place that is a sum of multiples of letters: ``2i + u``."""

    terms: tuple[tuple[int, Letter], ...]
    offset: int = 0
    counts: bool = False
    """Whether it is written as the number that it is, from 0, and not as a place, from 1."""


@dataclass(frozen=True, slots=True)
class Last(Expression):
    """The last place along a dimension, or so many behind it."""

    dim: Dim
    behind: int = 0


@dataclass(frozen=True, slots=True)
class Block(Expression):
    """All places of one block of an axis that is cut into equal blocks: one head of several."""

    letter: Expression
    size: Dim


@dataclass(frozen=True, slots=True)
class Filled(Expression):
    """An array of some shape that is the same everywhere."""

    value: Expression
    shape: Shape


@dataclass(frozen=True, slots=True)
class Plus(Expression):
    """A sum of terms, each with its sign."""

    terms: tuple[tuple[int, Expression], ...]


@dataclass(frozen=True, slots=True)
class Times(Expression):
    """A product of elements. With `pointwise`, more than one factor is an array."""

    factors: tuple[Expression, ...]
    pointwise: bool = False


@dataclass(frozen=True, slots=True)
class Fraction(Expression):
    """A quotient of elements."""

    over: Expression
    under: Expression


@dataclass(frozen=True, slots=True)
class Power(Expression):
    """A power of elements."""

    base: Expression
    exponent: Expression


@dataclass(frozen=True, slots=True)
class Product(Expression):
    """A product of matrices."""

    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Transposed(Expression):
    """The last two axes exchanged."""

    of: Expression


@dataclass(frozen=True, slots=True)
class Call(Expression):
    """A function that has a name, of `functions`."""

    function: str
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Applied(Expression):
    """An operation without a formula: its name, and its operands, unless they are `hidden`."""

    op: Op
    called: str
    operands: tuple[Expression, ...]
    axes: int = 0
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Relation(Expression):
    """A comparison."""

    sign: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Indicator(Expression):
    """1 where a condition holds, else 0."""

    condition: Expression


@dataclass(frozen=True, slots=True)
class Cases(Expression):
    """One value where a condition holds, else another."""

    condition: Expression
    then: Expression
    otherwise: Expression


@dataclass(frozen=True, slots=True)
class Joined(Expression):
    """Values one beside the other, along their last axis."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Sliding:
    """How windows slide along one axis."""

    size: int
    stride: int
    dilation: int


@dataclass(frozen=True, slots=True)
class InWindow(Expression):
    """Whether a place is in a window; with `of`, whether the window's first maximum is there.

    Attributes
    ----------
    places, window : tuple of Expression
        The place, and which window.
    slides : tuple of Sliding
    of : Expression or None
        What the windows are of, at all places of its last axes.
    """

    places: tuple[Expression, ...]
    window: tuple[Expression, ...]
    slides: tuple[Sliding, ...]
    of: Expression | None = None


@dataclass(frozen=True, slots=True)
class At(Expression):
    """The element or part at some places of the first axes; None is all places of an axis.

    With `inside`, places beside the array give 0.
    """

    of: Expression
    places: tuple[Expression | None, ...]
    inside: bool = False


@dataclass(frozen=True, slots=True)
class Over(Expression):
    """A sum, a maximum, … over all places of letters; "concat" puts the parts one beside the other."""

    kind: str
    letters: tuple[Letter, ...]
    body: Expression


@dataclass(frozen=True, slots=True)
class Line:
    """One line: a name, the letters that are free in it, and what it is.

    Attributes
    ----------
    name : str
        The node whose value it is; of what stands for no node, a name in angle brackets.
    symbol : Symbol
    letters : tuple of Letter
        What stands below the symbol: the places of its first axes.
    tree : Expression
    shape : tuple
        Of the value.
    note : str
        LaTeX that is written after it.
    sign : str
        What stands between them.
    left : Expression, optional
        What is written on the left, if it is not the symbol with the letters.
    """

    name: str
    symbol: Symbol
    letters: tuple[Letter, ...]
    tree: Expression
    shape: Shape
    note: str = ""
    sign: str = "="
    left: Expression | None = None


@dataclass(frozen=True, slots=True)
class State:
    """What an iteration takes from the one before.

    Attributes
    ----------
    symbol : Symbol
        Of all iterations' values, one below the other, and what the first one takes.
    initial : Expression
    back : int
        How many places before an iteration's own lies what it gives: 1 of a gradient that goes back by one.
    line : str
        The key of the symbol whose line gives the next value.
    """

    symbol: Symbol
    initial: Expression
    back: int
    line: str


@dataclass(frozen=True, slots=True)
class Recurrence:
    """Lines that are computed for one place of a letter after the other."""

    name: str
    letter: Letter
    backwards: bool
    lines: tuple[Line, ...]
    states: tuple[State, ...]
