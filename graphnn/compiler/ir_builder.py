"""Making instructions: equal values are merged, exact simplifications applied, and the fastest form chosen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import numpy as np

from .._util.numpy_warnings import quietly
from . import intermediate_representation as do
from .intermediate_representation import DType, Instruction, Result
from .ir_values import Value, broadcast_shape, in_c_order
from .symbolic_sizes import any_size

if TYPE_CHECKING:
    from ..core import Array, Node
    from ..runtime.program import Program
    from .thresholds import Settings

_ARITHMETIC = (np.add, np.subtract, np.multiply, np.divide)
_EXTREMA = (np.maximum, np.minimum)


class Builder:
    """Takes instructions and returns the values they make.

    Attributes
    ----------
    settings : Settings
    values : list of Value
        In an order in which they can be computed.
    node : Node
        The node for which values are made now.
    program : Program
        The whole schedule.
    notes : dict
        What rules tell each other of nodes.
    """

    def __init__(self, settings: Settings, program: Program) -> None:
        self.settings = settings
        self.program = program
        self.notes: dict[object, object] = {}
        self.values: list[Value] = []
        self.node: Node
        self._known: dict[object, Value] = {}

    def add(self, value: Value) -> Value:
        """Add a value and return it; if there is an equal one, return that."""
        key = (value.how, tuple(map(id, value.operands)), value.shape, value.dtype)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = value
            self.values.append(value)
        return known

    # --- constants ------------------------------------------------------------------------------------------

    def constant(self, array: Array | np.generic, name: str = "", of: object = None) -> Value:
        """Return a constant. Short ones with equal bits are merged, and those with the same `name` and `of`."""
        array = np.asarray(array)
        bits = (name, of) if name else array.tobytes() if array.nbytes <= 4096 else id(array)
        key = (array.shape, array.dtype, array.strides, bits)
        known = self._known.get(key)
        if known is None:
            known = Value(do.Constant(name), self.node, array.shape, array.dtype, array=array)
            self._known[key] = known
            self.values.append(known)
        return known

    def made(
        self, function: do.Function, *arguments: object, result: Result, name: str = "", of: object = None
    ) -> Value:
        """Return the constant that a function makes; where sizes among its arguments are recorded, it is made later."""
        if not any_size(arguments):
            return self.constant(cast("Array", function(*arguments)), name, of)
        return self.add(Value(do.Made(name, function=function, arguments=arguments), self.node, *result))

    def number(self, value: float, dtype: DType) -> Value:
        """Return a constant without axes."""
        return self.made(_number, value, dtype, result=Result((), dtype))

    def throughout(self, number: Value, array: Array) -> Value:
        """Return a constant filled with one number, with memory for each element."""
        full = do.Constant(full=True)
        return self.add(Value(full, self.node, array.shape, array.dtype, (number,), array=array, repeats=number))

    def full(self, number: Value, shape: tuple[int, ...]) -> Value:
        """Return a constant of a shape of recorded sizes that is filled with one number."""
        how = do.Made(full=True, function=_filled, arguments=(number, *shape))
        return self.add(Value(how, self.node, shape, number.dtype, (number,), repeats=number))

    def spread(self, number: Value, shape: tuple[int, ...]) -> Value:
        """Return a number repeated so that NumPy's maximum and minimum are fast: with a single number they are slow."""
        size = math.prod(shape)
        if number.array is None or size <= self.settings.spread_from:
            return number
        if size > self.settings.spread_to:
            shape = shape[-1:]
        if size > self.settings.spread_to and shape[0] < self.settings.spread_from:
            return number
        return self.constant(np.full(shape, number.array), "spread", number.array.tobytes())

    def filled(self, number: float, result: Result) -> Value:
        """Return an array of one number."""
        small = self.number(number, result.dtype)
        if not result.shape:
            return small
        if math.prod(result.shape) <= self.settings.folded:
            if any_size(result.shape):
                return self.full(small, result.shape)
            return self.throughout(small, np.full(result.shape, small.array))
        return self.add(Value(do.Fill(), self.node, *result, (small,), repeats=small))

    # --- views ----------------------------------------------------------------------------------------------

    def broadcast(self, value: Value, shape: tuple[int, ...]) -> Value:
        """Return a value repeated to a shape."""
        if value.lies_small:
            value = value.repeats or value
        if value.shape == shape:
            return value
        if value.array is not None and not any_size(shape):
            array = np.broadcast_to(value.array, shape)
            return self.add(Value(do.Constant(), self.node, shape, value.dtype, (value,), array, value))
        strides = value.strides
        if strides is not None:
            steps = [0 if n == 1 else step for n, step in zip(value.shape, strides, strict=True)]
            strides = (*[0] * (len(shape) - len(steps)), *steps)
        how = do.Broadcast(shape)
        return self.add(Value(how, self.node, shape, value.dtype, (value,), repeats=value, strides=strides))

    def view(self, how: do.View, value: Value, shape: tuple[int, ...]) -> Value:
        """Return a view of a value with this shape.

        Raises
        ------
        ValueError
            When no view has this shape.
        """
        reshaped = isinstance(how, do.Reshape)
        if reshaped and shape == value.shape:
            return value
        small = value.repeats or value
        if small.size == 1 and value.lies_small:
            return self.broadcast(self._bare(small), shape)
        strides = None
        if value.strides is not None:
            in_order = reshaped and value.whole
            strides = in_c_order(shape, value.dtype) if in_order else how.laid(value)
            if strides is None:
                strides = how.of(value.stand_in()).strides
        return self.add(Value(how, self.node, shape, value.dtype, (value,), strides=strides))

    def reshape(self, value: Value, shape: tuple[int, ...]) -> Value:
        """Return the same elements in another shape."""
        return self.view(do.Reshape(shape), value, shape)

    def check(self, how: do.Check, value: Value) -> Value:
        """Return the value of labels, with a check that raises if one is out of range."""
        return self.add(Value(how, self.node, value.shape, value.dtype, (value,), strides=value.strides))

    def _bare(self, value: Value) -> Value:
        """Return a value of one element without axes."""
        if not value.shape:
            return value
        if value.array is not None:
            return self.constant(value.array.reshape(()))
        return self.add(Value(do.Reshape(()), self.node, (), value.dtype, (value,), strides=()))

    # --- what is computed -----------------------------------------------------------------------------------

    def ufunc(self, ufunc: np.ufunc, *operands: Value, result: Result) -> Value:
        """Return the value of a ufunc for these operands."""
        return self.each(_of_dtypes(ufunc, tuple([operand.dtype for operand in operands])), *operands, result=result)

    def on_bits(self, ufunc: np.ufunc, *operands: Value, bits: DType, result: Result) -> Value:
        """Return the value of a ufunc for the bits of these operands, read as another dtype."""
        return self.each(do.Ufunc(ufunc, (bits,) * (len(operands) + 1), bits=True), *operands, result=result)

    def each(self, how: Instruction, *operands: Value, result: Result) -> Value:
        """Return an elementwise value. A broadcast operand is read unrepeated if NumPy broadcasts it again.

        Not so where the last bits may depend on the layout of the operands: in calls, and in NumPy's power.
        """
        ufunc = _ufunc_of(how)
        if ufunc is np.absolute:
            operands = tuple(_without_sign(value) for value in operands)
        if isinstance(how, do.Call) or ufunc is np.power:
            return self._computed(how, operands, result)
        smaller = [value.repeats or value for value in operands]
        for i, value in enumerate(operands):
            others = [smaller[j].shape for j in range(len(operands)) if j != i]
            if smaller[i] is not value and broadcast_shape(smaller[i].shape, *others) != result.shape:
                smaller[i] = value
        if ufunc in _ARITHMETIC:
            smaller = self._repeated_each(smaller, result)
        elif ufunc in _EXTREMA and smaller[1].size == 1 and smaller[0].shape == result.shape:
            smaller[1] = self.spread(smaller[1], result.shape)
        return self._computed(how, smaller, result)

    def call(self, how: Instruction, *operands: Value, result: Result) -> Value:
        """Return the value of an instruction that writes to memory separate from its operands."""
        rewrite = _REWRITES.get(type(how))
        found = None if rewrite is None else rewrite(self, how, operands, result)
        return self._computed(how, operands, result) if found is None else found

    def fresh(self, how: do.Own, *operands: Value, result: Result, strides: tuple[int, ...] | None = None) -> Value:
        """Return the value of a call that makes its own array, or returns an operand or a view of one."""
        return self.add(Value(how, self.node, *result, operands, strides=strides))

    def _computed(self, how: Instruction, operands: Sequence[Value], result: Result) -> Value:
        return self.add(Value(how, self.node, *result, tuple(operands)))

    def _repeated_each(self, operands: list[Value], result: Result) -> list[Value]:
        """Return the operands of arithmetic, repeated to the whole shape where that is faster."""
        shape = result.shape
        narrow = len(shape) > 1 and shape[-1] < self.settings.narrow
        few = math.prod(shape) <= (self.settings.narrow_repeated if narrow else self.settings.repeated)
        if len(operands) != 2 or not few or all(value.shape != shape for value in operands):
            return operands
        return [self._repeated(value, shape) if value.dtype == result.dtype else value for value in operands]

    def _repeated(self, value: Value, shape: tuple[int, ...]) -> Value:
        """Return a value repeated to the whole shape, unless it is a single number. The results have the same bits."""
        if value.shape == shape:
            return value
        if value.size == 1:
            return self._bare(value)
        result = Result(shape, value.dtype)
        if math.prod(shape) > self.settings.spread_from and shape[-1] < self.settings.narrow and value.whole:
            places = np.arange(value.size).reshape(value.shape)
            taken = self.constant(np.ascontiguousarray(np.broadcast_to(places, shape)), "places", value.shape)
            return self.call(do.Gather(), value, taken, result=result)
        return self._computed(do.Repeat(), (value,), result)


def _number(value: float, dtype: DType) -> Array:
    return quietly(np.asarray, value, dtype)  # a bound of 1e300 is inf beside a float32


def _filled(number: Array, *shape: int) -> Array:
    return np.full(shape, number)


def _ufunc_of(how: Instruction) -> np.ufunc | None:
    return how.ufunc if isinstance(how, do.Ufunc) and not how.bits else None


def _without_sign(value: Value) -> Value:
    """Return what has the same absolute value as this one: sigmoid(x) and sigmoid(-x) share exp(-|x|)."""
    turned = value.operands[0] if _ufunc_of(value.how) is np.negative and value.dtype.kind == "f" else value
    return turned if turned.shape == value.shape else value


@lru_cache(4096)
def _of_dtypes(ufunc: np.ufunc, dtypes: tuple[DType, ...]) -> do.Ufunc:
    """Return the instruction of a ufunc for operands of these dtypes."""
    return do.Ufunc(ufunc, tuple(ufunc.resolve_dtypes((*dtypes, *[None] * ufunc.nout))))


Rewrite = Callable[[Builder, Instruction, Sequence[Value], Result], Value | None]
_REWRITES: dict[type[Instruction], Rewrite] = {}


def rewrite(kind: type[Instruction]) -> Callable[[Rewrite], Rewrite]:
    """Register a faster way to write the instructions of a kind. It returns None where it does not apply."""

    def registered(function: Rewrite) -> Rewrite:
        _REWRITES[kind] = function
        return function

    return registered
