"""Sizes that record what is computed of them, so that it can be computed again for other sizes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from ..compiler.symbolic_sizes import Size, Unrecorded
from ..core.polynomials import Polynomial, combine, constant, number_of, quotients, times

_Function = Callable[[Any, Any], Any]
_Step = tuple[_Function, int, int]
"""A function, and the cells that hold its operands."""
_Polynomial = Polynomial[int]
"""Over cells."""


class Tape:
    """What is computed of sizes, in order, and what comparisons of them gave.

    Sums, differences and products are kept as polynomials, and so is a quotient without a rest. So what is equal for
    all sizes is one size. Two that are equal by chance end the record: for others it would not hold.

    Attributes
    ----------
    holds : bool
        Whether all that was done with the sizes is recorded.
    """

    def __init__(self) -> None:
        self.holds = True
        self._numbers: dict[int, int] = {}
        self._sizes: dict[frozenset[object], Recorded] = {}
        self._rounded: dict[_Step, Recorded] = {}
        self._guards: dict[_Step, bool] = {}
        self._lines: list[tuple[_Step, int | None, bool]] = []
        """Each step with the cell that it fills, or each comparison with what it gave."""

    def size(self, number: int) -> Any:
        """Return a size that is given; all are, before anything is computed."""
        return self._new(number, {(len(self._sizes),): 1})

    def _new(self, number: int, polynomial: _Polynomial, step: _Step | None = None) -> Recorded:
        cell = len(self._sizes)
        found = self._sizes[frozenset(polynomial.items())] = Recorded(self, cell, number, polynomial)
        if step is not None:
            self._lines.append((step, cell, False))
        return found

    def computed(self, function: _Function, a: object, b: object) -> Any:
        """Return what a function gives for two operands, one of which is a size."""
        x, y = self._number(a), self._number(b)
        if x is None or y is None:
            return NotImplemented
        polynomial = _ARITHMETIC[function](_polynomial(a), _polynomial(b), b)
        if polynomial is not None and (number := number_of(polynomial)) is not None:
            return number
        step = function, self._cell(a), self._cell(b)
        if polynomial is None:
            found = self._rounded.get(step)
            if found is None:
                found = self._rounded[step] = self._new(function(x, y), {(len(self._sizes),): 1}, step)
            return found
        found = self._sizes.get(frozenset(polynomial.items()))
        return self._new(function(x, y), polynomial, step) if found is None else found

    def compared(self, function: _Function, a: object, b: object) -> Any:
        """Return how two operands compare, one of which is a size; for other sizes it must be the same."""
        x, y = self._number(a), self._number(b)
        if x is None or y is None:
            return NotImplemented
        found = bool(function(x, y))
        if number_of(_difference(_polynomial(a), _polynomial(b))) is not None:  # for any sizes
            return found
        if x == y and function in (operator.eq, operator.ne):
            self.refuse("two sizes that are equal by chance")
        step = function, self._cell(a), self._cell(b)
        if step not in self._guards:
            self._guards[step] = found
            self._lines.append((step, None, found))
        return found

    def _number(self, operand: object) -> Any:
        """Return the number of an operand, or None if it is something else."""
        if isinstance(operand, Recorded):
            return operand.number if operand.tape is self else None
        if isinstance(operand, int):
            return operand
        return self.refuse("a size and a number that is not an int") if hasattr(operand, "__float__") else None

    def _cell(self, operand: Any) -> int:
        """Return the cell of an operand: those of numbers count from the end."""
        return operand.cell if isinstance(operand, Recorded) else ~self._numbers.setdefault(operand, len(self._numbers))

    def refuse(self, what: str) -> NoReturn:
        """Note that something is not recorded.

        Raises
        ------
        Unrecorded
        """
        self.holds = False
        raise Unrecorded(what)

    def forget(self) -> None:
        """Let go of all that was recorded: caches may keep some of the sizes, and so the tape."""
        self._sizes, self._rounded, self._guards, self._numbers, self._lines = {}, {}, {}, {}, []

    def end(self) -> Callable[[Sequence[int]], list[Any] | None]:
        """Return a function from other sizes to all cells, or to None if a comparison gives something else."""
        numbers = list(reversed(self._numbers))
        given = len(self._sizes) - sum(cell is not None for _, cell, _ in self._lines)
        empty = [0] * (len(self._sizes) - given)
        lines = [(*step, cell, expected) for step, cell, expected in self._lines]

        def replay(sizes: Sequence[int]) -> list[Any] | None:
            cells: list[Any] = [*sizes, *empty, *numbers]
            try:
                for function, a, b, cell, expected in lines:
                    found = function(cells[a], cells[b])
                    if cell is not None:
                        cells[cell] = found
                    elif found is not expected:
                        return None
            except ZeroDivisionError:
                return None
            return cells

        return replay


def _polynomial(operand: Any) -> _Polynomial:
    return operand.polynomial if isinstance(operand, Recorded) else constant(operand)


def _sum(a: _Polynomial, b: _Polynomial, _: object) -> _Polynomial:
    return combine(a, b)


def _difference(a: _Polynomial, b: _Polynomial, _: object = None) -> _Polynomial:
    return combine(a, b, -1)


def _product(a: _Polynomial, b: _Polynomial, _: object) -> _Polynomial:
    return times(a, b)


def _quotient(a: _Polynomial, b: _Polynomial, divisor: object) -> _Polynomial | None:
    """Return a quotient that has no rest for any sizes but where the divisor, a product of cells, is 0; else None.

    To ask whether the divisor is 0 notes that it is not: for sizes where it is, the record does not hold.
    """
    if len(b) != 1 or not divisor:
        return None
    quotient, rest = quotients(a, b)
    return None if rest else quotient


def _rest(a: _Polynomial, b: _Polynomial, divisor: object) -> _Polynomial | None:
    return None if _quotient(a, b, divisor) is None else {}


_ARITHMETIC: dict[_Function, Callable[[_Polynomial, _Polynomial, object], _Polynomial | None]] = {
    operator.add: _sum,
    operator.sub: _difference,
    operator.mul: _product,
    operator.floordiv: _quotient,
    operator.mod: _rest,
}
"""For two operands, and the second one as it is."""


def _binary(function: _Function, turned: bool = False) -> Callable[[Recorded, object], Any]:
    def method(self: Recorded, other: object) -> Any:
        return self.tape.computed(function, *((other, self) if turned else (self, other)))

    return method


def _comparison(function: _Function) -> Callable[[Recorded, object], Any]:
    def method(self: Recorded, other: object) -> Any:
        return self.tape.compared(function, self, other)

    return method


class Recorded(Size):
    """A size of a tape."""

    __slots__ = ("number", "polynomial", "tape")

    def __init__(self, tape: Tape, cell: int, number: int, polynomial: _Polynomial) -> None:
        self.tape, self.cell, self.number, self.polynomial = tape, cell, number, polynomial

    __add__, __radd__ = _binary(operator.add), _binary(operator.add, turned=True)
    __sub__, __rsub__ = _binary(operator.sub), _binary(operator.sub, turned=True)
    __mul__ = __rmul__ = _binary(operator.mul)
    __floordiv__, __rfloordiv__ = _binary(operator.floordiv), _binary(operator.floordiv, turned=True)
    __mod__, __rmod__ = _binary(operator.mod), _binary(operator.mod, turned=True)
    __lt__, __le__ = _comparison(operator.lt), _comparison(operator.le)
    __gt__, __ge__ = _comparison(operator.gt), _comparison(operator.ge)
    __eq__, __ne__ = _comparison(operator.eq), _comparison(operator.ne)

    def __neg__(self) -> Any:
        return 0 - self

    def __pos__(self) -> Recorded:
        return self

    def __abs__(self) -> Any:
        return self if self >= 0 else -self

    def __divmod__(self, other: Any) -> tuple[Any, Any]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Any, Any]:
        return other // self, other % self

    def __bool__(self) -> bool:
        return bool(self != 0)

    def __hash__(self) -> int:
        return hash((id(self.tape), self.cell))

    def __repr__(self) -> str:
        return f"<size {self.number}>"

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        self.tape.refuse("a size as a plain number")

    def __array_ufunc__(self, *_: object, **__: object) -> Any:
        return NotImplemented  # a tracer among the operands takes it

    __index__ = __int__ = __float__ = __complex__ = __round__ = __trunc__ = __format__ = __str__ = _refuse
    __array__ = __truediv__ = __rtruediv__ = __pow__ = __rpow__ = _refuse
