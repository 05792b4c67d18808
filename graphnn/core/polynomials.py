"""Polynomials with integer coefficients, in names or in numbers that stand for unknowns."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TypeVar

Atom = TypeVar("Atom", str, int)
Polynomial = dict[tuple[Atom, ...], int]
"""The coefficient, never 0, of each product of sorted atoms; the empty product is 1."""


def constant(number: int) -> Polynomial[Atom]:
    """Return a number as a polynomial."""
    return {(): number} if number else {}


def number_of(polynomial: Polynomial[Atom]) -> int | None:
    """Return the number that a polynomial without atoms is, else None."""
    return polynomial.get((), 0) if polynomial.keys() <= {()} else None


def combine(a: Polynomial[Atom], b: Polynomial[Atom], factor: int = 1) -> Polynomial[Atom]:
    """Return a + factor * b."""
    result = dict(a)
    add_to(result, b, factor)
    return result


def add_to(total: Polynomial[Atom], b: Polynomial[Atom], factor: int = 1) -> None:
    """Add factor * b to a polynomial where it stands."""
    for product, coefficient in b.items():
        found = total.get(product, 0) + factor * coefficient
        if found:
            total[product] = found
        else:
            total.pop(product, None)


def times(a: Polynomial[Atom], b: Polynomial[Atom], most: int = sys.maxsize) -> Polynomial[Atom]:
    """Return a * b; of a product of more than `most` terms, only so many that this is seen."""
    result: Polynomial[Atom] = {}
    for one, x in a.items():
        add_to(result, {tuple(sorted(one + other)): x * y for other, y in b.items()})
        if len(result) > most:
            break
    return result


def quotients(a: Polynomial[Atom], b: Polynomial[Atom]) -> tuple[Polynomial[Atom], Polynomial[Atom]]:
    """Return the quotients of the terms of `a` that the one term of `b` divides, and the other terms of `a`."""
    ((divisor, by),) = b.items()
    quotient: Polynomial[Atom] = {}
    rest: Polynomial[Atom] = {}
    for product, coefficient in a.items():
        left = Counter(product)
        left.subtract(divisor)
        if coefficient % by or min(left.values(), default=0) < 0:
            rest[product] = coefficient
        else:
            quotient[tuple(left.elements())] = coefficient // by
    return quotient, rest
