"""The instructions of an elementwise `forward`, found by running it once on tracers that record what is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NoReturn, cast

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from . import intermediate_representation as do
from .intermediate_representation import DType, Function, Result
from .ir_values import broadcast_shape
from .symbolic_sizes import Size

if TYPE_CHECKING:
    from ..core import Op
    from .ir_builder import Builder
    from .ir_values import Value

_BOOL: DType = np.dtype(bool)


class Untraceable(Exception):
    """A function does something with its operands for which there is no instruction."""


def traced(op: Op, build: Builder, operands: Sequence[Value], result: Result) -> Value | None:
    """Return the value of an elementwise operation as instructions, or None if it cannot be traced.

    A tracer knows only its shape and dtype. So `forward` must not depend on the values of its operands, except through
    functions of NumPy.
    """
    tape = _Tape(build)
    try:
        found = op.forward(*[_Tracer(tape, operand) for operand in operands])
    except Untraceable:
        return None
    if not isinstance(found, _Tracer) or found.value.dtype != result.dtype:
        return None
    value = found.value
    return value if value.shape == result.shape else None


class _Tape:
    """What the tracers of one call write to. It takes a limited number of instructions."""

    def __init__(self, build: Builder) -> None:
        self.build = build
        self._left = build.settings.traced

    def count(self) -> None:
        """Count an instruction.

        Raises
        ------
        Untraceable
            When there are too many of them.
        """
        self._left -= 1
        if self._left < 0:
            raise Untraceable("too many instructions")

    def made(self, value: Value) -> _Tracer:
        """Return the tracer of a value."""
        return _Tracer(self, value)

    def ufunc(self, ufunc: np.ufunc, operands: Sequence[object], dtype: DType | None) -> Value:
        """Return what a ufunc makes of tracers, arrays and numbers."""
        self.count()
        loop = _loop_of(ufunc, tuple(map(_weakly, operands)), dtype)
        values = [self.value(operand, kind) for operand, kind in zip(operands, loop[:-1], strict=True)]
        shape = broadcast_shape(*[value.shape for value in values])
        if _loop_of(ufunc, tuple([value.dtype for value in values]), None) != loop:
            values = [self.cast(value, kind) for value, kind in zip(values, loop[:-1], strict=True)]
        return self.build.ufunc(ufunc, *values, result=Result(shape, loop[-1]))

    def select(self, condition: object, x: object, y: object) -> Value:
        """Return what `np.where` makes."""
        self.count()
        samples = [np.empty(0, part.dtype) if isinstance(part, _Tracer) else part for part in (x, y)]
        dtype: DType = np.where(True, *samples).dtype  # type: ignore[call-overload]
        parts = ((condition, _BOOL), (x, dtype), (y, dtype))
        values = [self.cast(self.value(part, kind), kind) for part, kind in parts]
        shape = broadcast_shape(*[value.shape for value in values])
        return self.build.call(do.Select(), *values, result=Result(shape, dtype))

    def value(self, operand: object, dtype: DType) -> Value:
        """Return an operand as a value: a Python number of this dtype, anything else of its own."""
        if isinstance(operand, _Tracer):
            return operand.value
        if isinstance(operand, (np.ndarray, np.generic)):
            return self.build.constant(operand)
        if not isinstance(operand, (bool, int, float, Size)):
            raise Untraceable(type(operand).__name__)
        try:
            return self.build.number(cast("float", operand), dtype)
        except OverflowError as error:
            raise Untraceable(str(error)) from None

    def cast(self, value: Value, dtype: DType) -> Value:
        """Return a value as another dtype, in memory of its own unless it has its whole memory."""
        if value.dtype == dtype:
            return value
        self.count()
        return self.build.each(do.Cast(), value, result=Result(value.shape, dtype))


@lru_cache(1024)
def _loop_of(ufunc: np.ufunc, operands: tuple[DType | type, ...], dtype: DType | None) -> tuple[DType, ...]:
    """Return the dtypes of the loop that a ufunc uses for operands of these dtypes or of Python's numbers."""
    return tuple(ufunc.resolve_dtypes((*operands, None), signature=(*[None] * ufunc.nin, dtype)))


def _weakly(operand: object) -> DType | type:
    """Return the dtype of an operand for `resolve_dtypes`; Python's numbers, given as types, adapt to the others."""
    if isinstance(operand, (_Tracer, np.ndarray, np.generic)):
        return operand.dtype
    return _BOOL if isinstance(operand, bool) else int if isinstance(operand, Size) else type(operand)


class _Tracer(NDArrayOperatorsMixin):
    """Stands for an operand, or for a value computed from operands."""

    def __init__(self, tape: _Tape, value: Value) -> None:
        self._tape = tape
        self.value = value

    @property
    def dtype(self) -> DType:
        """Its dtype."""
        return self.value.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.value.shape

    @property
    def ndim(self) -> int:
        """The number of its axes."""
        return len(self.value.shape)

    @property
    def size(self) -> int:
        """The number of its elements."""
        return self.value.size

    def astype(self, dtype: object, copy: bool = True) -> _Tracer:
        """Return what casts it."""
        kind: DType = np.dtype(dtype)  # type: ignore[call-overload]
        if kind == self.dtype and (self.value.whole or not copy):
            return self
        self._tape.count()
        return self._tape.made(self._tape.build.each(do.Cast(), self.value, result=Result(self.shape, kind)))

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: object, **how: object) -> _Tracer:
        """Record the call of a ufunc."""
        dtype = how.pop("dtype", None)
        if method != "__call__" or how or ufunc.nout != 1 or ufunc.signature is not None:
            raise Untraceable(f"{ufunc.__name__}.{method} with {', '.join(how)}")
        kind: DType | None = None if dtype is None else np.dtype(dtype)  # type: ignore[call-overload]
        return self._tape.made(self._tape.ufunc(ufunc, operands, kind))

    def __array_function__(
        self, function: Function, types: object, operands: Sequence[object], how: Mapping[str, object]
    ) -> _Tracer:
        """Record the call of a function of NumPy, if there is an instruction for it."""
        known = _KNOWN.get(function)
        given = {name: value for name, value in how.items() if value is not None}
        if known is None or given:
            raise Untraceable(getattr(function, "__name__", "a function"))
        return self._tape.made(known(self._tape, *operands))

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise Untraceable("what an operand holds")

    __array__ = __bool__ = __float__ = __int__ = __index__ = __len__ = __iter__ = __getitem__ = __getattr__ = _refuse


def _clip(tape: _Tape, x: object, lo: object = None, hi: object = None) -> Value:
    if not isinstance(x, _Tracer) or x.dtype.kind != "f":
        raise Untraceable("whole numbers may be held between bounds that they do not reach")
    if lo is None:
        return tape.ufunc(np.minimum, (x, hi), None)
    if hi is None:
        return tape.ufunc(np.maximum, (x, lo), None)
    if not all(type(bound) in (int, float) and bound == bound for bound in (lo, hi)):
        raise Untraceable("NumPy clips by arrays, and by NaN, in other ways")
    tape.count()
    bounds = [tape.value(bound, x.dtype) for bound in (lo, hi)]
    return tape.build.each(do.Clip(), x.value, *bounds, result=Result(x.shape, x.dtype))


def _round(tape: _Tape, x: object, decimals: object = 0) -> Value:
    if not isinstance(x, _Tracer) or x.dtype.kind != "f" or not isinstance(decimals, int) or abs(decimals) > _EXACT:
        raise Untraceable("decimals")
    if decimals == 0:
        return tape.ufunc(np.rint, (x,), None)
    there, back = (np.multiply, np.divide) if decimals > 0 else (np.divide, np.multiply)
    power = 10.0 ** abs(decimals)
    shifted = tape.made(tape.ufunc(there, (x, power), None))
    return tape.ufunc(back, (tape.made(tape.ufunc(np.rint, (shifted,), None)), power), None)


_EXACT = 8
"""The most decimals: for more, NumPy has another power of 10."""


def _polynomial(tape: _Tape, coefficients: object, x: object) -> Value:
    if not isinstance(x, _Tracer) or x.dtype != np.float64:
        raise Untraceable("a polynomial")
    numbers = np.asarray(coefficients, np.float64)
    total: object = np.zeros((), np.float64)
    for number in numbers:
        raised = tape.made(tape.ufunc(np.multiply, (total, x), None))
        total = tape.made(tape.ufunc(np.add, (raised, number), None))
    if not isinstance(total, _Tracer):
        raise Untraceable("a polynomial of nothing")
    return total.value


_KNOWN: dict[Function, Callable[..., Value]] = {
    np.where: _Tape.select,
    np.clip: _clip,
    np.round: _round,
    np.polyval: _polynomial,
}
