"""What the modules of operations share: linear operations, shapes and axes, and their errors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, reduce
from itertools import pairwise
from operator import add
from typing import Any

import numpy as np

from ..core import Array, Dim, Node, Op, Shape, Spec, fn, is_float
from ..core.symbolic_shapes import Constraint, product, shown, unify
from ..errors import AxisError, DtypeError, NoRuleError, ShapeError

Axes = int | tuple[int, ...] | None
"""One axis, several, or all."""


def no_flops(self: Op, output: Spec, *inputs: Spec) -> Dim:
    """Return 0: the `flops` of operations that compute nothing."""
    return 0


def flops_of_operand(self: Op, output: Spec, *inputs: Spec) -> Dim:
    """Return one for each element of the first operand: the `flops` of operations that add up or compare."""
    return product(inputs[0].shape)


def flows_through_first(self: Op, i: int) -> bool:
    """Whether the operand is the first one: the `flows` of operations whose other operands are indices."""
    return i == 0


class Linear(Op, abstract=True):
    """Base of the operations that are linear in all operands that pass a gradient, taken together."""

    linear = True

    def jvp(self, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
        """Return the operation itself, applied to the tangents of the operands that flow."""
        parts = []
        for i, (tangent, operand) in enumerate(zip(tangents, inputs, strict=True)):
            if not self.flows(i):
                parts.append(operand)
            elif tangent is None:
                parts.append(fn.zeros(operand.shape, operand.dtype, graph=operand.graph))
            else:
                parts.append(tangent)
        return self(*parts)


class Rearranging(Linear, abstract=True):
    """Base of the linear operations that move elements and compute nothing."""

    rearranges, equation = True, ""
    computes = False

    def _numbers(self, operands: Sequence[Array]) -> tuple[Array, Array]:
        """Number the elements of all operands from 1 on; return where each operand begins, and the numbers, moved."""
        ends = np.cumsum([1, *(x.size for x in operands)])
        numbers = np.arange(ends[-1])
        numbered = [numbers[a:b].reshape(x.shape) for a, b, x in zip(ends, ends[1:], operands, strict=False)]
        return ends, np.asarray(self.forward(*numbered))  # with a 0 where the operation fills something in

    def sources(self, operands: Sequence[Array]) -> tuple[Array, ...] | None:
        """Return the elements that are moved there, unless a subclass reads otherwise."""
        if type(self).reads is not Rearranging.reads:
            return None
        ends, moved = self._numbers(operands)
        return tuple(np.where((a <= moved) & (moved < b), moved - a, -1) for a, b in pairwise(ends))

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        """Return the one element that comes there, in the operand that has it."""
        ends, moved = self._numbers(operands)
        found: list[Any] = [None] * len(operands)
        if number := moved[index]:
            which = np.searchsorted(ends, number, "right") - 1
            found[which] = np.unravel_index(number - ends[which], operands[which].shape)
        return found

    flops = no_flops


class Multilinear(Op, abstract=True):
    """Base of the operations that are linear in each operand: products."""

    multilinear, equation = True, "[{factors}] + …"

    def jvp(self, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
        """Return the sum of the products in which one operand is replaced by its tangent."""
        parts = (self(*inputs[:i], t, *inputs[i + 1 :]) for i, t in enumerate(tangents) if t is not None)
        return reduce(add, parts)


@lru_cache(maxsize=4096)
def promoted(ufunc: np.ufunc, name: str, dtypes: tuple[np.dtype[Any], ...]) -> np.dtype[Any]:
    """Return the dtype that a ufunc gives for operands of these dtypes.

    Raises
    ------
    DtypeError
        When the ufunc does not take them.
    NoRuleError
        When it is not a ufunc.
    """
    try:
        operands = dtypes if len(dtypes) == ufunc.nin else dtypes * ufunc.nin
        return ufunc.resolve_dtypes((*operands, *[None] * ufunc.nout))[-1]
    except AttributeError:
        raise NoRuleError(f"{name}: forward is not a NumPy ufunc, so set like=, as in like = np.exp") from None
    except TypeError:
        raise DtypeError(f"{name} does not take {' and '.join(map(str, dtypes))}") from None


def floating(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return a float dtype as it is, and float64 for any other.

    Examples
    --------
    >>> floating(np.dtype("float32")), floating(np.dtype("int8"))
    (dtype('float32'), dtype('float64'))
    """
    return dtype if is_float(dtype) else np.dtype(np.float64)


def agreed(*shapes: Shape) -> tuple[Shape, tuple[Constraint, ...]] | None:
    """Return the one shape that these unify to and the constraints it rests on, or None if they differ.

    Examples
    --------
    >>> agreed((2, "n"), (2, 3)), agreed((2, 3), (2, 4))
    (((2, 3), (('n', 3),)), None)
    """
    if len(set(map(len, shapes))) > 1:
        return None
    result = list(shapes[0])
    constraints: tuple[Constraint, ...] = ()
    for shape in shapes[1:]:
        for i, dim in enumerate(shape):
            met = unify(result[i], dim)
            if met is None:
                return None
            result[i] = met[0]
            constraints += met[1]
    return tuple(result), constraints


def axis_of(name: str, axis: int, ndim: int) -> int:
    """Return `axis` counted from the front.

    Raises
    ------
    AxisError
        When an array of `ndim` axes has no such axis.

    Examples
    --------
    >>> axis_of("sum", -1, 3)
    2
    """
    if not -ndim <= axis < ndim:
        axes = "1 axis" if ndim == 1 else f"{ndim} axes"
        raise AxisError(f"{name}: axis {axis} is out of range for an array of {axes}: {valid_for(ndim, 'it has none')}")
    return axis % ndim


def valid_for(n: int, otherwise: str = "it has no elements") -> str:
    """Return which indices are valid for n elements, or `otherwise` if there are none.

    Examples
    --------
    >>> valid_for(3)
    'valid are -3 to 2'
    """
    return f"valid are {-n} to {n - 1}" if n else otherwise


def axes_of(name: str, axis: Axes, ndim: int) -> tuple[int, ...]:
    """Return the axes that `axis` means, counted from the front: all for None, one for an int.

    Raises
    ------
    AxisError
        When an array of `ndim` axes has no such axis.
    ShapeError
        When one is there twice.

    Examples
    --------
    >>> axes_of("sum", (0, -1), 3), axes_of("sum", None, 2)
    ((0, 2), (0, 1))
    """
    if axis is None:
        return tuple(range(ndim))
    axes = tuple(axis_of(name, a, ndim) for a in (axis if isinstance(axis, tuple) else (axis,)))
    if len(set(axes)) < len(axes):
        raise ShapeError(f"{name}: an axis is named twice in {axis}")
    return axes


def clash(*ends: tuple[int, int, Dim]) -> str:
    """Return in words which axes do not fit each other; each is given as (operand, axis, size).

    Examples
    --------
    >>> clash((0, 1, "batch"), (1, 0, 4))
    'axis 1 of operand 0 is batch, axis 0 of operand 1 is 4'
    """
    return ", ".join(f"axis {axis} of operand {operand} is {size}" for operand, axis, size in ends)


def shape_clash(shapes: Sequence[Shape], stretches: bool = True, axes: int = 0) -> str:
    """Return in words which axes keep shapes from broadcasting with each other, or from being equal.

    Parameters
    ----------
    shapes : sequence of tuple
    stretches : bool
        Whether a size of 1 fits any other; else the shapes are to be equal.
    axes : int
        The number of axes at the end of each shape that do not matter.

    Examples
    --------
    >>> shape_clash([(2, 3), (5, 1, 4)])
    'axis 1 of operand 0 is 3, axis 2 of operand 1 is 4'
    """
    if not stretches and len({len(shape) for shape in shapes}) > 1:
        return "the numbers of axes differ"
    for place in range(-1 - axes, -max(map(len, shapes)) - 1, -1):
        met: list[tuple[int, int, Dim]] = []
        for operand, shape in enumerate(shapes):
            if -place > len(shape) or (stretches and shape[place] == 1):
                continue
            end = (operand, len(shape) + place, shape[place])
            for other in met:
                if unify(other[2], end[2]) is None:
                    return clash(other, end)
            met.append(end)
    raise AssertionError("the shapes clash: this is called only where they do")


def check_shape(name: str, given: Shape, wanted: Shape) -> tuple[Constraint, ...]:
    """Return the constraints under which two shapes are equal, or raise an error."""
    met = agreed(given, wanted)
    if met is None:
        raise ShapeError(f"{name} takes values of shape {shown(wanted)} here, got {shown(given)}")
    return met[1]


def unbroadcast(index: tuple[int, ...], shape: Sequence[int]) -> tuple[int, ...]:
    """Return the index, in an array of this shape, of the element that broadcasting puts at `index`.

    Examples
    --------
    >>> unbroadcast((4, 2, 1), (1, 3))
    (0, 1)
    """
    return tuple([0 if n == 1 else i for i, n in zip(index[len(index) - len(shape) :], shape, strict=True)])


def line_of(index: tuple[int, ...], axes: tuple[int, ...], ndim: int, keepdims: bool) -> tuple[int | slice, ...]:
    """Return the index of all elements, in an array of `ndim` axes, that a reduction turns into the element `index`.

    Examples
    --------
    >>> line_of((4,), (0,), 2, keepdims=False)
    (slice(None, None, None), 4)
    """
    rest = iter([i for axis, i in enumerate(index) if not (keepdims and axis in axes)])
    return tuple(slice(None) if axis in axes else next(rest) for axis in range(ndim))


def reduced(shape: Shape, axes: tuple[int, ...], keepdims: bool) -> Shape:
    """Return a shape without some axes; with `keepdims`, they stay as 1.

    Examples
    --------
    >>> reduced((2, 3, 4), (0, 2), keepdims=False), reduced((2, 3, 4), (0, 2), keepdims=True)
    ((3,), (1, 3, 1))
    """
    if keepdims:
        return tuple(1 if i in axes else dim for i, dim in enumerate(shape))
    return tuple(dim for i, dim in enumerate(shape) if i not in axes)


def accumulated(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of a sum: small integers and bools are summed in NumPy's ``intp``, of 64 bits on most machines.

    Examples
    --------
    >>> accumulated(np.dtype("int8")), accumulated(np.dtype("float16"))
    (dtype('int64'), dtype('float16'))
    """
    whole = np.dtype(np.uintp if dtype.kind == "u" else np.intp)
    return dtype if dtype.kind == "f" or dtype.itemsize >= whole.itemsize else whole


def cleared(out: Array | None, shape: Any, dtype: Any) -> Array:
    """Return zeros, in `out` if there is one."""
    if out is None:
        return np.zeros(shape, dtype)
    out[...] = 0
    return out


def into(out: Array | None, value: Any) -> Any:
    """Return `value`, written into `out` if there is one."""
    if out is None:
        return value
    np.copyto(out, value)
    return out
