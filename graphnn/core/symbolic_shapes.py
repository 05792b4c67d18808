"""Dimensions: an int, a name, or an expression of names, as text in one canonical form.

``"batch"``, ``"4*batch"``, ``"max(batch-1, 0)"``, ``"(batch+1)//2"``. Two dimensions are equal exactly if their texts
are. A name stands for any size from 0 up; the feed gives it one size per run.
"""

from __future__ import annotations

import ast
import keyword
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, reduce
from itertools import accumulate, chain
from typing import Any, Self, cast

import numpy as np

from .._util.text import short_name, short_repr
from ..errors import GraphnnError, NotFoundError, ShapeError, UsageError
from .polynomials import Polynomial, add_to, combine, constant, number_of, quotients, times
from .shape_complexity import once, remember, spend, spend_in_file

Dim = int | str
Shape = tuple[Dim, ...]
Constraint = tuple[Dim, Dim]

_Poly = Polynomial[str]
"""Over atoms: an atom is a name, or a `_Compound`."""
_MOST_TERMS, _MOST_FACTORS, _MOST_CHARACTERS, _MOST_NESTED = 1000, 100, 4000, 100
_MOST_BITS, _MOST_BITS_OF_PRODUCT = 200, 64 * 200
_WORD, _MARK = re.compile(r"[^\W\d]\w*"), "\u01c3"
"""A name, and the letter that tells one from a word of Python's while it is read."""
_SHOWN = 100
"""Characters of a dimension in a shape that a message shows."""


class _Compound(str):
    """An atom that is no name: its text, which compares and sorts, and the dimensions that it is computed from."""

    __slots__ = ("of",)
    of: tuple[Dim, ...]

    def __new__(cls, text: str, *of: Dim) -> Self:
        atom = super().__new__(cls, text)
        atom.of = of
        return atom


class _Maximum(_Compound):
    """``max(…, 0)``."""

    __slots__ = ()


class _Quotient(_Compound):
    """``(…//…)``."""

    __slots__ = ()


def _times(a: _Poly, b: _Poly) -> _Poly:
    factors = max(map(len, a), default=0) + max(map(len, b), default=0)
    if factors > _MOST_FACTORS and a and b:  # the longest terms of a product never cancel
        raise ShapeError(f"a dimension of more than {_MOST_FACTORS} factors is not supported")
    spend(len(a) * len(b) * (1 + factors // 16))
    result = times(a, b, _MOST_TERMS)
    if len(result) > _MOST_TERMS:
        raise ShapeError(f"a dimension of more than {_MOST_TERMS} terms is not supported")
    for coefficient in result.values():
        _printable(coefficient)
    return result


def _combined(a: _Poly, b: _Poly, factor: int = 1) -> _Poly:
    spend(len(a) + len(b))
    return combine(a, b, factor)


def _divided(a: _Poly, b: _Poly) -> _Poly:
    """Return a // b. Terms that b divides exactly give terms; the quotient of the rest becomes one atom."""
    if not b:
        raise ShapeError(f"the dimension ({_text(a)})//0 divides by zero")
    spend(2 * (len(a) + len(b)))
    if len(b) == 1:
        whole, rest = quotients(a, b)
    else:
        term = next(iter(b))
        ratio = constant(a.get(term, 0) // b[term])  # the quotient, if a is a multiple of b
        whole, rest = ({}, a) if combine(a, _times(b, ratio), -1) else (ratio, {})
    if not rest:
        return whole
    numerator, divisor = number_of(rest), number_of(b)
    if numerator is not None and divisor is not None:
        return combine(whole, constant(numerator // divisor))
    above, below = _dim(rest), _dim(b)
    atom = _Quotient(f"({_grouped(above)}//{_grouped(below)})", above, below)
    return combine(whole, {(atom,): 1})


def _never_negative(poly: _Poly) -> bool:
    # Names and maxima are never negative. A quotient may be if there is a minus in it.
    return all(
        c > 0 and not any(isinstance(atom, _Quotient) and "-" in atom for atom in product)
        for product, c in poly.items()
    )


def _clamped(poly: _Poly) -> _Poly:
    """Return max(poly, 0)."""
    if _never_negative(poly):
        return poly
    if _never_negative({product: -c for product, c in poly.items()}):
        return {}
    offset = poly.get((), 0)
    match [term for term in poly.items() if term[0]]:
        case [((_Maximum(of=[inner]),), 1)] if offset < 0:
            # max(max(p, 0) - k, 0) is max(p - k, 0): slices of slices stay short.
            return _clamped(combine(_poly(inner), constant(offset)))
    dim = _dim(poly)
    return {(_Maximum(f"max({dim}, 0)", dim),): 1}


def _text(poly: _Poly) -> str:
    if not poly:
        return "0"
    spend(len(poly))
    text = ""
    for product, coefficient in sorted(poly.items(), key=lambda term: (-len(term[0]), term[0])):
        factors = ([str(abs(coefficient))] if abs(coefficient) != 1 or not product else []) + list(product)
        text += ("-" if coefficient < 0 else "+" if text else "") + "*".join(factors)
        if len(text) > _MOST_CHARACTERS:
            raise ShapeError(f"a dimension would take an expression of more than {_MOST_CHARACTERS:,} characters")
    if text.count("(") > _MOST_NESTED and _depth(text) > _MOST_NESTED:
        raise ShapeError(f"a dimension in which more than {_MOST_NESTED} parts are nested is not supported")
    return text[1:-1] if text[0] == "(" and poly == {(text,): 1} else text  # a quotient alone


def _depth(text: str) -> int:
    """Return how many parentheses are around the innermost part of a text."""
    return max(accumulate((c == "(") - (c == ")") for c in text))


def _grouped(dim: Dim) -> str:
    text = str(dim)
    return text if text.isidentifier() or text.isdigit() else f"({text})"


def _from_tree(tree: ast.AST) -> _Poly:
    match tree:
        case ast.Constant(value=int() as value) if type(value) is int:
            return constant(_checked_size(value))
        case ast.Name(id=name) if name != "max":
            return {(name.removesuffix(_MARK),): 1}
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _combined({}, _from_tree(operand), -1)
        case ast.BinOp(op=ast.Add() | ast.Sub()):
            return _sum_from_tree(tree)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _times(_from_tree(left), _from_tree(right))
        case ast.BinOp(left=left, op=ast.FloorDiv(), right=right):
            return _divided(_from_tree(left), _from_tree(right))
        case ast.Call(func=ast.Name(id="max"), args=[inner, ast.Constant(value=0)], keywords=[]):
            return _clamped(_from_tree(inner))
    raise ValueError


def _sum_from_tree(tree: ast.AST) -> _Poly:
    """Return the sum of all terms, which may be more than functions can call each other."""
    terms: list[tuple[ast.AST, int]] = []
    while isinstance(tree, ast.BinOp) and isinstance(tree.op, (ast.Add, ast.Sub)):
        terms.append((tree.right, 1 if isinstance(tree.op, ast.Add) else -1))
        tree = tree.left
    total = dict(_from_tree(tree))
    for term, sign in reversed(terms):
        poly = _from_tree(term)
        spend(len(poly))
        add_to(total, poly, sign)
    return total


def _parsed_tree(text: str) -> ast.AST:
    if len(text) > _MOST_CHARACTERS:
        raise ShapeError(f"a dimension of more than {_MOST_CHARACTERS} characters is not supported: {text[:60]}...")
    spend(1 + len(text) // 2)
    return ast.parse(_WORD.sub(_no_keyword, text), mode="eval").body


def tree_of(dim: str) -> ast.AST:
    """Return a dimension as Python's parser reads it; `written` gives parts of it back as text."""
    return _parsed_tree(dim)


def written(tree: ast.AST) -> str:
    """Return a part of what `tree_of` gave as text.

    Examples
    --------
    >>> written(tree_of("class*batch + 1"))
    'class * batch + 1'
    """
    return ast.unparse(tree).replace(_MARK, "")


def _no_keyword(word: re.Match[str]) -> str:
    """Return a word as Python's parser takes it for a name: a dimension may be called ``class``."""
    if _MARK in word[0]:
        raise ValueError
    return word[0] + _MARK if keyword.iskeyword(word[0]) and word[0].islower() else word[0]


@once("the dimension {}")  # nothing ever writes to a polynomial
def _poly_of_text(text: str) -> _Poly:
    try:
        return _from_tree(_parsed_tree(text))
    except GraphnnError:
        raise
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        shown = text if len(text) <= 60 else text[:57] + "..."
        raise ShapeError(
            f"{short_repr(shown)} is not a dimension: give an int, a name such as 'batch', or names joined by +, -, * "
            "and //"
        ) from None


def _poly(dim: Dim) -> _Poly:
    if isinstance(dim, str):
        return _poly_of_text(dim)
    return constant(dim)


def _dim(poly: _Poly) -> Dim:
    value = number_of(poly)
    if value is not None:
        return value
    text = _text(poly)
    remember(_poly_of_text, text, poly)
    return text


@once("the dimension {}")
def _canonical(text: str) -> Dim:
    return _dim(_poly_of_text(text))


def dimension(value: Any) -> Dim:
    """Return `value` as a dimension in canonical form.

    Parameters
    ----------
    value : int or str
        A size from 0 up, a name, or an expression of names.

    Returns
    -------
    int or str

    Raises
    ------
    ShapeError
        When it is negative, or text that is not such an expression.
    UsageError
        When it is neither an int nor text.

    Examples
    --------
    >>> dimension("batch*2 + batch*2")
    '4*batch'
    """
    if type(value) is int and 0 <= value < 2**62:
        return value
    if isinstance(value, str) and isinstance(value := _canonical(str.__str__(value)), str):
        return value
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        if value < 0:
            raise ShapeError(f"a dimension is 0 or more, not {_checked_size(int(value))}")
        return _checked_size(int(value))
    hint = "; give an unknown size a name, such as 'batch'" if value is None else ""
    raise UsageError(f"a dimension is an int or a name, not {short_repr(value)}{hint}")


def _checked_size(number: int) -> int:
    """Return a size; refuse one so large that Python could not print the product of a shape."""
    if number.bit_length() > _MOST_BITS:
        raise ShapeError(f"a dimension is below 2**{_MOST_BITS}, and one of {number.bit_length():,} bits is not")
    return number


def _printable(number: Any) -> Any:
    """Return a number of elements; refuse one with more digits than Python prints."""
    if isinstance(number, int) and number.bit_length() > _MOST_BITS_OF_PRODUCT:
        raise ShapeError(f"a shape of 2**{_MOST_BITS_OF_PRODUCT:,} elements or more is not supported")
    return number


def shape_of(value: Any) -> Shape:
    """Return an int, a name or a sequence of them as a shape in canonical form."""
    if isinstance(value, str) or not isinstance(value, Iterable) or getattr(value, "ndim", None) == 0:
        value = (value,)
    return tuple(map(dimension, value))


# The functions ask for str and not for int: a size that records what is computed of it is neither, and has operators.


def add(a: Dim, b: Dim) -> Dim:
    """Return a + b."""
    return _sum(a, b) if isinstance(a, str) or isinstance(b, str) else a + b


def subtract(a: Dim, b: Dim) -> Dim:
    """Return a - b, which may be negative until it is clamped."""
    return _difference(a, b) if isinstance(a, str) or isinstance(b, str) else a - b


def multiply(a: Dim, b: Dim) -> Dim:
    """Return a * b."""
    return _product(a, b) if isinstance(a, str) or isinstance(b, str) else cast("int", _printable(a * b))


def floor_divide(a: Dim, b: Dim) -> Dim:
    """Return a // b."""
    if isinstance(a, str) or isinstance(b, str) or not b:
        return _quotient(a, b)
    return a // b


def clamp(a: Dim) -> Dim:
    """Return max(a, 0)."""
    return _maximum(a) if isinstance(a, str) else max(a, 0)


@once("the sum of {} and {}")
def _sum(a: Dim, b: Dim) -> Dim:
    return _dim(_combined(_poly(a), _poly(b)))


@once("the difference of {} and {}")
def _difference(a: Dim, b: Dim) -> Dim:
    return _dim(_combined(_poly(a), _poly(b), -1))


@once("the product of {} and {}")
def _product(a: Dim, b: Dim) -> Dim:
    return _dim(_times(_poly(a), _poly(b)))


@once("the quotient of {} and {}")
def _quotient(a: Dim, b: Dim) -> Dim:
    return _dim(_divided(_poly(a), _poly(b)))


@once("max({}, 0)")
def _maximum(a: Dim) -> Dim:
    return _dim(_clamped(_poly(a)))


def minimum(a: Dim, b: Dim) -> Dim:
    """Return min(a, b), written as a - max(a - b, 0)."""
    return subtract(a, clamp(subtract(a, b)))


def product(shape: Iterable[Dim]) -> Dim:
    """Return the number of elements of a shape."""
    sizes = tuple(shape)
    if all(type(size) is int for size in sizes):  # as nearly always in a run
        return cast("int", _printable(math.prod(cast("tuple[int, ...]", sizes))))
    return reduce(multiply, sizes, cast("Dim", 1))


def total(dims: Iterable[Dim]) -> Dim:
    """Return the sum of dimensions."""
    parts = tuple(dims)
    return _total(*parts) if any(isinstance(dim, str) for dim in parts) else reduce(add, parts, cast("Dim", 0))


@once("the sum of {} and others")
def _total(*dims: Dim) -> Dim:
    found: _Poly = {}
    for dim in dims:
        poly = _poly(dim)
        spend(len(poly))
        add_to(found, poly)
    return _dim(found)


def _operator(
    function: Callable[[Dim, Dim], Dim], sign: str, swapped: bool = False
) -> Callable[[Any, Any], int | Dimension]:
    def method(self: Dimension, other: Any) -> int | Dimension:
        if isinstance(other, str):
            known: Dim = str.__str__(other)
        elif isinstance(other, (int, np.integer)) and not isinstance(other, bool):
            known = int(other)
        elif isinstance(other, (bool, float, complex, np.generic, np.ndarray)):
            raise _no_number(f"{{0}} {sign} {{1}}", *((other, self) if swapped else (self, other)))
        else:  # it may have operators of its own
            return cast("Dimension", NotImplemented)
        own = str.__str__(self)
        return _as_dimension(function(known, own) if swapped else function(own, known))

    return method


class Dimension(str):
    """A dimension that is not an int, as in ``node.shape``: text that can be added, multiplied and so on.

    Examples
    --------
    >>> n, t = Dimension("batch"), Dimension("time")
    >>> n == "batch", n * t, 2 * n + 1, (4 * n) // n
    (True, 'batch*time', '2*batch+1', 4)
    """

    __slots__ = ()
    __array_ufunc__ = None  # else np.int64(2) * n would repeat the text

    __add__, __radd__ = _operator(add, "+"), _operator(add, "+", swapped=True)  # type: ignore[assignment]
    __sub__, __rsub__ = _operator(subtract, "-"), _operator(subtract, "-", swapped=True)
    __mul__, __rmul__ = _operator(multiply, "*"), _operator(multiply, "*", swapped=True)  # type: ignore[assignment]
    __floordiv__, __rfloordiv__ = _operator(floor_divide, "//"), _operator(floor_divide, "//", swapped=True)


_NOT_TAKEN = {
    "__abs__": "abs({0})",
    "__divmod__": "divmod({0}, {1})",
    "__float__": "float({0})",
    "__ge__": "{0} >= {1}",
    "__gt__": "{0} > {1}",
    "__index__": "{0} in the place of an int",
    "__int__": "int({0})",
    "__le__": "{0} <= {1}",
    "__lt__": "{0} < {1}",
    "__mod__": "{0} % {1}",
    "__neg__": "-{0}",
    "__pos__": "+{0}",
    "__pow__": "{0} ** {1}",
    "__rdivmod__": "divmod({1}, {0})",
    "__round__": "round({0})",
    "__rpow__": "{1} ** {0}",
    "__rtruediv__": "{1} / {0}",
    "__truediv__": "{0} / {1}",
}
"""The operators that a dimension refuses, and how each is written. ``"%s" % n`` still makes text."""


def _not_taken(written: str) -> Callable[..., Any]:
    def method(self: Dimension, *others: Any) -> Any:
        if others and hasattr(others[0], "spec"):  # a node, whose own operator says more
            return NotImplemented
        raise _no_number(written, self, *others)

    return method


for _name, _written in _NOT_TAKEN.items():
    setattr(Dimension, _name, _not_taken(_written))


def _no_number(written: str, *operands: Any) -> UsageError:
    asked = written.format(
        *(str.__str__(each) if isinstance(each, Dimension) else short_repr(each) for each in operands)
    )
    return UsageError(
        f"{asked}: a dimension is a number only in a run; before that it takes +, -, * and //, which rounds down, "
        "with ints and other dimensions"
    )


def _as_dimension(dim: Dim) -> int | Dimension:
    return Dimension(dim) if isinstance(dim, str) else dim


@lru_cache(maxsize=4096)
def as_dimensions(shape: Shape) -> tuple[int | Dimension, ...]:
    """Return a shape whose dimensions can be added, multiplied and so on.

    Examples
    --------
    >>> batch, width = as_dimensions(("batch", 4))
    >>> batch * width
    '4*batch'
    """
    return tuple(_as_dimension(dim) for dim in shape)


def names_in(shape: Iterable[Dim]) -> frozenset[str]:
    """Return the names in a shape."""
    return frozenset[str]().union(*(_names_of_text(d) for d in shape if isinstance(d, str)))


@once("the dimension {}")
def _names_of_text(text: str) -> frozenset[str]:
    found: set[str] = set()
    waiting: list[Dim] = [text]
    while waiting:
        poly = _poly(waiting.pop())
        spend(1 + len(poly))
        for atom in chain.from_iterable(poly):
            if isinstance(atom, _Compound):
                waiting += atom.of
            else:
                found.add(atom)
    return frozenset(found)


def substitute(dim: Dim, sizes: Mapping[str, Dim]) -> Dim:
    """Return a dimension with other dimensions in the place of names.

    Parameters
    ----------
    dim : int or str
    sizes : mapping of str to int or str
        What names become, all at once; others stay.

    Returns
    -------
    int or str

    Raises
    ------
    ShapeError
        When it is negative, or too long, or divides by zero.

    Examples
    --------
    >>> substitute("max(batch-1, 0)*n", {"batch": "2*n+1", "n": "batch"})
    '2*batch*n'
    """
    if not isinstance(dim, str):
        return dim
    if dim in sizes:
        return dimension(sizes[dim])
    changed = sorted(names_in((dim,)) & sizes.keys())
    found = _substituted(dim, *[(name, sizes[name]) for name in changed]) if changed else dim
    return found if isinstance(found, str) else dimension(found)


@once("the dimension {} with other sizes in it")
def _substituted(dim: str, *sizes: tuple[str, Dim]) -> Dim:
    return _dim(_replaced(_poly(dim), {name: _poly(size) for name, size in sizes}))


def _replaced(poly: _Poly, polys: Mapping[str, _Poly]) -> _Poly:
    found: _Poly = {}
    for product, coefficient in poly.items():
        term = constant(coefficient)
        for atom in product:
            term = _times(term, _atom_replaced(atom, polys))
        spend(len(term))
        add_to(found, term)
    return found


def _atom_replaced(atom: str, polys: Mapping[str, _Poly]) -> _Poly:
    if isinstance(atom, _Compound):
        parts = [_replaced(_poly(part), polys) for part in atom.of]
        return _clamped(*parts) if isinstance(atom, _Maximum) else _divided(*parts)
    return polys.get(atom, {(atom,): 1})


def size_of(dim: Dim, sizes: Mapping[str, int]) -> int:
    """Return the size that `dim` has where its names have the given sizes.

    Parameters
    ----------
    dim : int or str
    sizes : mapping of str to int

    Returns
    -------
    int

    Raises
    ------
    NotFoundError
        When a name has no size.

    Examples
    --------
    >>> size_of("max(batch-1, 0)", {"batch": 5})
    4
    """
    if isinstance(dim, int):
        return dim
    if dim in sizes:
        return sizes[dim]
    total, poly = 0, _poly_of_text(dim)
    spend_in_file(len(poly))
    for atoms, coefficient in poly.items():
        for atom in atoms:
            coefficient *= _atom_value(atom, sizes)
        total += coefficient
    return total


def _atom_value(atom: str, sizes: Mapping[str, int]) -> int:
    if atom in sizes:
        return sizes[atom]
    if isinstance(atom, _Compound):
        values = [size_of(part, sizes) for part in atom.of]
        # A quotient by a size of 0 is only of arrays without elements: 0 is as good as any number.
        return max(values[0], 0) if isinstance(atom, _Maximum) else (values[0] // values[1] if values[1] else 0)
    raise NotFoundError(
        f'nothing gives the dimension "{atom}" a size: feed a placeholder that has it, or pass sizes={{"{atom}": …}}'
    )


def concrete(shape: Iterable[Dim], sizes: Mapping[str, int]) -> tuple[int, ...]:
    """Return the shape as ints."""
    return tuple([d if isinstance(d, int) else size_of(d, sizes) for d in shape])


def unify(a: Dim, b: Dim) -> tuple[Dim, tuple[Constraint, ...]] | None:
    """Return the common size and what must hold for it (the constraints), or None if the two can never be equal."""
    if a == b:
        return a, ()
    if isinstance(a, int) and isinstance(b, int):
        return None
    if isinstance(subtract(a, b), int):
        return None
    return (b if isinstance(b, int) else a), ((a, b),)


def broadcast(shapes: Sequence[Shape]) -> tuple[Shape, tuple[Constraint, ...]] | None:
    """Return the shape that the given ones broadcast to, with its constraints, or None if they never do.

    Parameters
    ----------
    shapes : sequence of tuple
        A literal 1 broadcasts; a name that meets a number or another name becomes a constraint.

    Returns
    -------
    (tuple, tuple of pairs) or None

    Examples
    --------
    >>> broadcast([("batch", 1), (3,)])
    (('batch', 3), ())
    >>> broadcast([("batch", 3), (5, 3)])
    ((5, 3), (('batch', 5),))
    >>> broadcast([(2, 3), (4,)]) is None
    True
    """
    first = shapes[0] or shapes[-1]
    if shapes.count(first) + (shapes.count(()) if first else 0) == len(shapes):  # as nearly always
        return first, ()
    result: list[Dim] = []
    constraints: tuple[Constraint, ...] = ()
    for axis in range(-max(map(len, shapes)), 0):
        dim: Dim = 1
        for shape in shapes:
            other = shape[axis] if -axis <= len(shape) else 1
            if other == 1:
                continue
            if dim == 1:
                dim = other
                continue
            met = unify(dim, other)
            if met is None:
                return None
            dim = met[0]
            constraints += met[1]
        result.append(dim)
    return tuple(result), constraints


def shown(shape: Iterable[Any]) -> str:
    """Return a shape as messages show it: ``(batch, 64)``."""
    dims = [short_name(str(d), _SHOWN) for d in shape]
    return f"({', '.join(dims)}{',' if len(dims) == 1 else ''})"
