"""Formulas put together, as one writes them: no 1 as a factor, numbers in front, one fraction for 1/N."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .expressions import (
    Applied,
    At,
    Block,
    Call,
    Cases,
    Expression,
    Filled,
    Fraction,
    Indicator,
    Joined,
    Letter,
    Number,
    Over,
    Plus,
    Power,
    Product,
    Relation,
    Size,
    Symbol,
    Times,
    Transposed,
)

if TYPE_CHECKING:
    from ...core.symbolic_shapes import Dim

ONE = Number(1)


def is_number(expression: Expression, value: float | None = None) -> bool:
    """Whether an expression is a number, or this one."""
    return isinstance(expression, Number) and (value is None or expression.value == value)


def is_zero(expression: Expression) -> bool:
    """Whether an expression is 0 everywhere."""
    return is_number(expression.value if isinstance(expression, Filled) else expression, 0)


def plus(*terms: tuple[int, Expression]) -> Expression:
    """Return a sum; sums in it become part of it."""
    flat: list[tuple[int, Expression]] = []
    for sign, term in terms:
        if isinstance(term, Plus):
            flat += [(sign * each, part) for each, part in term.terms]
        elif is_number(term, 0) and len(terms) > 1:
            continue
        elif isinstance(term, Number) and term.value < 0 and not isinstance(term.value, bool):
            flat.append((-sign, Number(-term.value)))
        else:
            minus, inner = _sign_of(term)
            flat.append((-sign if minus else sign, inner))
    if len(flat) == 1 and flat[0][0] > 0:
        return flat[0][1]
    if len(flat) > 1 and flat[0][0] < 0:  # a sum begins with what is added
        first = next((i for i, (sign, _) in enumerate(flat) if sign > 0), 0)
        if first:
            flat.insert(0, flat.pop(first))
    return Plus(tuple(flat)) if flat else Number(0)


def _sign_of(term: Expression) -> tuple[bool, Expression]:
    """Return whether a term is negative as a whole, and what it is without its sign."""
    if isinstance(term, Times) and isinstance(term.factors[0], Number) and term.factors[0].value < 0:
        return True, times(Number(-term.factors[0].value), *term.factors[1:])
    return False, term


def negative(term: Expression) -> Expression:
    """Return minus an expression."""
    if isinstance(term, Plus):
        return plus(*[(-sign, part) for sign, part in term.terms])
    return plus((-1, term))


def is_array(expression: Expression) -> bool:
    """Whether a value has more than one element at some place of the letters."""
    match expression:
        case Symbol(ones=ones):
            return not all(ones)
        case At(of=Symbol(ones=ones), places=places):
            left = (*places, *[None] * (len(ones) - len(places)))
            return any(not one and (at is None or isinstance(at, Block)) for one, at in zip(ones, left, strict=True))
        case Plus(terms=terms):
            return any(is_array(term) for _, term in terms)
        case Times(factors=parts) | Call(operands=parts) if getattr(expression, "function", "") != "onehot":
            return any(map(is_array, parts))
        case Fraction(over=one, under=other) | Power(base=one, exponent=other) | Relation(left=one, right=other):
            return is_array(one) or is_array(other)
        case Indicator(condition=of) | Over(body=of):
            return is_array(of)
    return axes_of(expression) > 0


def axes_of(expression: Expression) -> int:
    """Return how many axes a value has besides those of letters."""
    match expression:
        case Symbol(ones=ones):
            return len(ones)
        case At(of=of, places=places):
            return axes_of(of) - sum(place is not None and not isinstance(place, Block) for place in places)
        case Filled(shape=shape):
            return len(shape)
        case Applied(axes=axes):
            return axes
        case Plus(terms=terms):
            return max(axes_of(term) for _, term in terms)
        case Times(factors=parts) | Call(operands=parts) | Joined(parts=parts):
            return max(map(axes_of, parts)) + (isinstance(expression, Call) and expression.function == "onehot")
        case Fraction(over=one, under=other) | Power(base=one, exponent=other) | Relation(left=one, right=other):
            return max(axes_of(one), axes_of(other))
        case Product(left=left, right=right):
            x, y = axes_of(left), axes_of(right)
            return max(max(x, y) - (x == 1) - (y == 1), 0)
        case Transposed(of=of) | Indicator(condition=of) | Over(body=of):
            return axes_of(of)
        case Cases(then=then, otherwise=otherwise, condition=condition):
            return max(axes_of(then), axes_of(otherwise), axes_of(condition))
    return 0


def times(*factors: Expression) -> Expression:
    """Return the product of factors: numbers in front, then other scalars, then arrays."""
    sign = 1
    over: list[Expression] = []
    under: list[Expression] = []
    scalars: list[Expression] = []
    arrays: list[Expression] = []
    stack = list(factors)[::-1]
    while stack:
        factor = stack.pop()
        match factor:
            case Plus(terms=((each, term),)):
                sign *= each
                stack.append(term)
            case Times(factors=inner):
                stack += inner[::-1]
            case Fraction(over=Number() as top, under=bottom) if not is_array(factor) and not axes_of(bottom):
                over.append(top)
                under.append(bottom)
            case Number():
                over.append(factor)
            case _:
                (arrays if is_array(factor) else scalars).append(factor)
    scalars, arrays = _squares(scalars), _squares(arrays)
    scalars.sort(key=_rank)
    number_sign, number = _quotient(over, under)
    sign *= number_sign
    parts: list[Expression] = [] if is_number(number, 1) else [number]
    parts += scalars
    parts += [Times(tuple(arrays), pointwise=True)] if len(arrays) > 1 else arrays
    found = ONE if not parts else parts[0] if len(parts) == 1 else Times(tuple(parts))
    return found if sign > 0 else Plus(((-1, found),))


def _squares(factors: list[Expression]) -> list[Expression]:
    """Return factors, those that are the same as the one before as its square."""
    found: list[Expression] = []
    for factor in factors:
        if found and found[-1] == factor and isinstance(factor, Symbol | At):
            found[-1] = squared(factor)
        else:
            found.append(factor)
    return found


def _quotient(over: list[Expression], under: list[Expression]) -> tuple[int, Expression]:
    """Return the sign of a product of numbers and fractions, and the product, as one fraction that is reduced."""
    top = math.prod(part.value for part in over if isinstance(part, Number))
    sign, top = (-1, -top) if top < 0 else (1, top)
    bottom: float = 1
    sizes: list[Expression] = []
    for part in under:
        for factor in part.factors if isinstance(part, Times) else [part]:
            if isinstance(factor, Number):
                bottom *= factor.value
            else:
                sizes.append(factor)
    if top and bottom != 1 and float(bottom).is_integer():
        if float(top).is_integer():
            common = math.gcd(int(top), int(bottom))
            top, bottom = int(top) // common, int(bottom) // common
        elif (1 / top).is_integer() and (top <= 0.5):
            top, bottom = 1, bottom * int(1 / top)
    elif sizes and top and bottom == 1 and not float(top).is_integer() and (1 / top).is_integer():
        top, bottom = 1, int(1 / top)
    below = ([] if bottom == 1 else [Number(bottom)]) + sizes
    if not below:
        return sign, Number(top)
    return sign, Fraction(Number(top), below[0] if len(below) == 1 else Times(tuple(below)))


def _rank(factor: Expression) -> int:
    """Fractions of numbers stand in front, sums at the end."""
    if isinstance(factor, Fraction) and isinstance(factor.over, Number):
        return 0
    if isinstance(factor, Size):
        return 1
    return 3 if isinstance(factor, Over) else 2


def divided(over: Expression, under: Expression) -> Expression:
    """Return a quotient; by a size or a number, of what is no number, as 1/N in front of it."""
    if is_number(under, 1):
        return over
    match over:
        case Plus(terms=((sign, term),)) if sign < 0:
            return negative(divided(term, under))
        case Fraction(over=top, under=bottom) if not axes_of(bottom) and not isinstance(top, Number):
            return times(Fraction(ONE, bottom), Fraction(top, under))
        case Times(factors=(Fraction(over=Number()) as first, *rest)) if axes_of(under) or not isinstance(
            under, Number | Size
        ):
            return times(first, divided(times(*rest), under))
        case Fraction(over=Number()) if not axes_of(over):
            return times(over, Fraction(ONE, under))
        case Symbol(name=name) | At(of=Symbol(name=name)) if name.of is not None:
            return times(Fraction(ONE, under), over)
    short = isinstance(under, Number) and float(under.value).is_integer()
    if isinstance(under, Size) or short or isinstance(over, Number | Size):
        return times(over, Fraction(ONE, under)) if not isinstance(over, Size) else Fraction(over, under)
    return Fraction(over, under)


def squared(base: Expression) -> Expression:
    """Return a square."""
    return Power(base, Number(2))


def kept_where(value: Expression, condition: Expression) -> Expression:
    """Return a value where a condition holds, else 0."""
    return times(value, condition if isinstance(condition, Symbol | At) else Indicator(condition))


def averaged(total: Expression, dims: Iterable[Dim]) -> Expression:
    """Return a sum divided by sizes."""
    under: list[Expression] = []
    for dim in dims:
        parts = [dim] if isinstance(dim, int) or not re.fullmatch(r"[\w*]+", dim) else dim.split("*")
        under += [Number(int(part)) if isinstance(part, int) or part.isdigit() else Size(part) for part in parts]
    return times(*[Fraction(ONE, each) for each in under], total)


def over(kind: str, letters: tuple[Letter, ...], body: Expression) -> Expression:
    """Return a sum, a maximum, … over letters; the sign and numbers of a sum stand in front of it."""
    if not letters:
        return body
    if kind == "sum":
        match body:
            case Plus(terms=((sign, term),)) if sign < 0:
                return negative(over(kind, letters, term))
            case Times(factors=(Number() | Fraction(over=Number(), under=Number()) as first, *rest)):
                return times(first, over(kind, letters, times(*rest)))
            case Over(kind="sum", letters=inner):
                return Over(kind, (*letters, *inner), body.body)
    return Over(kind, letters, body)


def transposed(of: Expression) -> Expression:
    """Return an expression with its last two axes exchanged."""
    return of.of if isinstance(of, Transposed) else Transposed(of)
