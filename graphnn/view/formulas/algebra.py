"""Formulas put together, as one writes them: no 1 as a factor, numbers in front, one fraction for 1/N."""

from __future__ import annotations

from .expressions import At, Expression, Fraction, Indicator, Number, Over, Plus, Power, Size, Symbol, Times

ONE = Number(1)


def is_number(expression: Expression, value: float | None = None) -> bool:
    """Whether an expression is a number, or this one."""
    return isinstance(expression, Number) and (value is None or expression.value == value)


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
        return True, times(*[(each, 0) for each in (Number(-term.factors[0].value), *term.factors[1:])])
    return False, term


def negative(term: Expression) -> Expression:
    """Return minus an expression."""
    if isinstance(term, Plus):
        return plus(*[(-sign, part) for sign, part in term.terms])
    return plus((-1, term))


def times(*factors: tuple[Expression, int]) -> Expression:
    """Return the product of factors, each with the number of its axes: scalars are written in front."""
    sign, number = 1, Number(1)
    scalars: list[Expression] = []
    arrays: list[Expression] = []
    for factor, axes in factors:
        if isinstance(factor, Plus) and len(factor.terms) == 1:
            sign, factor = sign * factor.terms[0][0], factor.terms[0][1]
        if isinstance(factor, Number) and not isinstance(factor.value, bool):
            number = Number(number.value * factor.value)
        elif isinstance(factor, Times) and not factor.pointwise:
            for part in factor.factors:
                if isinstance(part, Number):
                    number = Number(number.value * part.value)
                elif isinstance(part, Times) and part.pointwise:
                    arrays += part.factors
                elif axes and part is factor.factors[-1]:
                    arrays.append(part)
                else:
                    scalars.append(part)
        elif isinstance(factor, Times):
            arrays += factor.factors
        else:
            (arrays if axes else scalars).append(factor)
    if number.value < 0:
        sign, number = -sign, Number(-number.value)
    scalars.sort(key=_rank)
    parts: list[Expression] = [] if number.value == 1 else [number]
    parts += scalars
    if len(arrays) > 1:
        parts.append(Times(tuple(arrays), pointwise=True))
    else:
        parts += arrays
    if not parts:
        found: Expression = ONE
    elif len(parts) == 1:
        found = parts[0]
    else:
        if isinstance(parts[0], Number) and isinstance(parts[1], Fraction) and is_number(parts[1].over, 1):
            parts[:2] = [Fraction(parts[0], parts[1].under)]
        found = parts[0] if len(parts) == 1 else Times(tuple(parts))
    return found if sign > 0 else Plus(((-1, found),))


def _rank(factor: Expression) -> int:
    """Fractions of numbers stand in front, sums at the end."""
    if isinstance(factor, Fraction) and isinstance(factor.over, Number):
        return 0
    if isinstance(factor, Size):
        return 1
    return 4 if isinstance(factor, Over) else 3 if isinstance(factor, Plus) else 2


def divided(over: Expression, under: Expression, axes: int) -> Expression:
    """Return a quotient; by a size or a number, of what is no number, as 1/N in front of it."""
    if is_number(under, 1):
        return over
    if isinstance(over, Plus) and len(over.terms) == 1:
        return negative(divided(over.terms[0][1], under, axes)) if over.terms[0][0] < 0 else over
    if isinstance(under, Size) and not isinstance(over, Number):
        return times((Fraction(ONE, under), 0), (over, axes))
    if isinstance(under, Number) and not isinstance(over, (Number, Symbol, At, Size)):
        return times((Fraction(ONE, under), 0), (over, axes))
    return Fraction(over, under)


def squared(base: Expression) -> Expression:
    """Return a square."""
    return Power(base, Number(2))


def kept_where(value: Expression, condition: Expression, axes: int) -> Expression:
    """Return a value where a condition holds, else 0."""
    return times((value, axes), (Indicator(condition), axes))
