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
    for product, coefficient in b.items():
        total = result.get(product, 0) + factor * coefficient
        if total:
            result[product] = total
        else:
            result.pop(product, None)
    return result


def times(a: Polynomial[Atom], b: Polynomial[Atom], most: int = sys.maxsize) -> Polynomial[Atom]:
    """Return a * b; of a product of more than `most` terms, only so many that this is seen."""
    result: Polynomial[Atom] = {}
    for one, x in a.items():
        for other, y in b.items():
            product = tuple(sorted(one + other))
            result[product] = result.get(product, 0) + x * y
        if len(result) > most and len(_without_zeros(result)) > most:
            break
    return _without_zeros(result)


def _without_zeros(polynomial: Polynomial[Atom]) -> Polynomial[Atom]:
    return {product: coefficient for product, coefficient in polynomial.items() if coefficient}


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
