"""Windows that slide along axes, and their adjoint, which adds windows up: what convolution and pooling are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..core import AnyShape, Array, Dim, Either, Node, Op, Several, Shape, Spec, Trait, Whole, fn
from ..core.symbolic_shapes import add, clamp, floor_divide, shown, subtract
from ..errors import ShapeError
from . import matmul_kernels
from .base import Linear, Rearranging, axes_of, check_shape, flops_of_operand, into

LENGTH = Whole(1, 2**63 - 1)
Lengths = Annotated[int | tuple[int, ...], Either(LENGTH, Several(LENGTH))]
"""A length of 1 or more for all axes, or one for each."""


def each(name: str, what: str, value: Any, count: int) -> tuple[Any, ...]:
    """Return a setting for each of so many axes; a single value is for all.

    Raises
    ------
    ShapeError
        When there are more or fewer of them than axes.
    """
    values = value if isinstance(value, tuple) else (value,) * count
    if len(values) != count:
        raise ShapeError(f"{name}: {what} is one value or one for each of {count} axes, not {shown(values)}")
    return values


@dataclass(frozen=True, slots=True)
class Slide:
    """How windows slide along one axis.

    Attributes
    ----------
    axis, size, stride, dilation : int
        So many elements, `dilation` apart, make a window; the next begins `stride` elements later.
    """

    axis: int
    size: int
    stride: int
    dilation: int

    @property
    def span(self) -> int:
        """From the first element of a window to the last."""
        return (self.size - 1) * self.dilation + 1

    def count(self, name: str, shape: Shape) -> Dim:
        """Return the number of windows.

        Raises
        ------
        ShapeError
            When not even one fits.
        """
        n = shape[self.axis]
        if not isinstance(n, str) and n < self.span:
            spread = f" with a dilation of {self.dilation}" if self.dilation > 1 and self.size > 1 else ""
            raise ShapeError(
                f"{name}: a window of {self.size}{spread} does not fit into axis {self.axis} of {shown(shape)}"
            )
        return floor_divide(clamp(add(subtract(n, self.span), self.stride)), self.stride)

    def at(self, place: int, count: int) -> slice:
        """Return which elements of the axis stand at a place of the windows, one for each window."""
        start = place * self.dilation
        return slice(start, start + (count - 1) * self.stride + 1, self.stride)


class _Sliding:
    """What windows and their adjoint share."""

    name: str
    size: Any
    stride: Any
    dilation: Any
    axes: Any

    def slides(self, ndim: int) -> tuple[Slide, ...]:
        """Return how windows slide along each of their axes."""
        axes = axes_of(self.name, self.axes, ndim)
        settings = (each(self.name, what, getattr(self, what), len(axes)) for what in ("size", "stride", "dilation"))
        return tuple(map(Slide, axes, *settings))

    def windowed(self, shape: Shape) -> Shape:
        """Return the shape of the windows of an array of this shape."""
        slides = self.slides(len(shape))
        counts = list(shape)
        for slide in slides:
            counts[slide.axis] = slide.count(self.name, shape)
        return (*counts, *[slide.size for slide in slides])

    def parts(self, shape: Sequence[int]) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
        """Yield each place of a window, and the slices of an array of this shape that stand there."""
        slides = self.slides(len(shape))
        counts = self.windowed(tuple(shape))
        for place in product(*(range(slide.size) for slide in slides)):
            parts = [slice(None)] * len(shape)
            for slide, i in zip(slides, place, strict=True):
                parts[slide.axis] = slide.at(i, counts[slide.axis])  # type: ignore[arg-type] # ints in a run
            yield place, tuple(parts)


def _drawn(draw: Any) -> tuple[tuple[int, ...], dict[str, Any]]:
    """Draw a shape, and windows that fit into it."""
    shape = draw.shape(min_ndim=1, min_side=1)
    axes: tuple[int, ...] = tuple(axis for axis in range(len(shape)) if draw.integer(0, 2))[:2] or (0,)
    sizes = tuple(draw.integer(1, min(3, shape[axis])) for axis in axes)
    dilations = tuple(
        draw.integer(1, (shape[axis] - 1) // (k - 1)) if k > 1 else draw.integer(1, 2)
        for axis, k in zip(axes, sizes, strict=True)
    )
    strides = tuple(draw.integer(1, 3) for _ in axes)
    axes = tuple(axis - len(shape) * draw.integer(0, 1) for axis in axes)
    return shape, {"size": sizes, "stride": draw.choice([1, strides]), "dilation": dilations, "axes": axes}


class Windows(_Sliding, Rearranging):
    """The windows of some size that slide along axes of x, as new axes at the end: a view, which copies nothing.

    With a stride, only every so many-th window; with a dilation, a window's elements are so far apart. The axes
    that they slide along then count windows. Sizes, strides and dilations are numbers; the axes of x may have names.
    """

    size: Lengths
    stride: Lengths = 1
    dilation: Lengths = 1
    axes: int | tuple[int, ...] = (-2, -1)
    formula = "windows of {0}, {size}"

    @property
    def window_axes(self) -> int:
        """As many as they slide along."""
        return 1 if isinstance(self.axes, int) else len(self.axes)

    def in_words(self, operands: Sequence[Node]) -> str:
        """Return their size, and what of stride and dilation is not 1."""
        said = {name: value if isinstance(value, tuple) else (value,) for name, value in self.attributes.items()}
        parts = [" × ".join(map(str, said["size"] * (self.window_axes if len(said["size"]) == 1 else 1)))]
        parts += [
            f"{name} {' × '.join(map(str, dict.fromkeys(said[name])))}"
            for name in ("stride", "dilation")
            if set(said[name]) != {1}
        ]
        return ", ".join(parts)

    def infer(self, x: Spec) -> Spec:
        return Spec(self.windowed(x.shape), x.dtype)

    def laid(self, shape: Any, strides: Sequence[int]) -> tuple[Any, tuple[int, ...]]:
        """Return the shape and strides of the windows of an array with these."""
        windows, steps = self.windowed(shape), list(strides)
        for slide in self.slides(len(strides)):
            steps[slide.axis] *= slide.stride if windows[slide.axis] > 1 else 1  # type: ignore[operator] # of numbers
            steps.append(strides[slide.axis] * (slide.dilation if slide.size > 1 else 1))
        return windows, tuple(steps)

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return into(out, as_strided(x, *self.laid(x.shape, x.strides), writeable=False))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.fold(cotangent, inputs[0].shape, self.size, self.stride, self.dilation, self.axes)

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        ndim = operands[0].ndim
        place = list(index[:ndim])
        for slide, i in zip(self.slides(ndim), index[ndim:], strict=True):
            place[slide.axis] = place[slide.axis] * slide.stride + i * slide.dilation
        return (tuple(place),)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        shape, settings = _drawn(draw)
        return cls(**settings), (draw.array(shape),)


class Fold(_Sliding, Linear):
    """Zeros of this shape, to which the windows x are added, each at its place: the adjoint of windows.

    The places of a window are added one after the other, in order.
    """

    traits = Trait.WRAPS | Trait.ADDS_UP
    shape: AnyShape
    size: Lengths
    stride: Lengths = 1
    dilation: Lengths = 1
    axes: int | tuple[int, ...] = (-2, -1)
    formula = "fold {0}, {size}"
    equation = "[{0}] + …"

    def infer(self, x: Spec) -> Spec:
        return Spec(self.shape, x.dtype, check_shape(self.name, x.shape, self.windowed(self.shape)))

    def forward(self, x: Array, out: Array | None = None) -> Any:
        ways = self.parts(self.shape) if x.size else ()
        places = [x[(slice(None),) * len(self.shape) + place] for place, _ in ways]
        return self.added_up(*places, out=np.empty(self.shape, x.dtype) if out is None else out)

    def added_up(self, *places: Array, out: Array) -> Array:
        """Return what stands at each place of the windows added up; of two arrays for each place, their products."""
        out[...] = 0
        ways = [parts for _, parts in self.parts(self.shape)] if places else []
        factors = len(places) // len(ways) if ways else 1
        along = 0 in [slide.axis for slide in self.slides(len(self.shape))]
        n = self.shape[0]
        size = n if along or not out.size else matmul_kernels.rows_of(n, out.nbytes // n)
        for start in range(0, n, max(size, 1)):  # by blocks that stay in the cache
            block = out if along else out[start : start + size]
            mine = [x if along or len(x) == 1 else x[start : start + size] for x in places]
            for i, parts in enumerate(ways):
                each = mine[i * factors : (i + 1) * factors]
                block[parts] += each[0] if factors == 1 else np.multiply(*each)
        return out

    flops = flops_of_operand

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.windows(cotangent, self.size, self.stride, self.dilation, self.axes)

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        (x,) = operands
        slides = self.slides(len(index))
        places: list[Any] = [*index, *[0] * len(slides)]
        for axis, slide in enumerate(slides):
            found = [
                (rest // slide.stride, i)
                for i in range(slide.size)
                if (rest := index[slide.axis] - i * slide.dilation) >= 0
                and not rest % slide.stride
                and rest // slide.stride < x.shape[slide.axis]
            ]
            if not found:
                return (None,)
            row = np.array(found).T.reshape((2, *[-1 if axis == each else 1 for each in range(len(slides))]))
            places[slide.axis], places[len(index) + axis] = row
        return (tuple(places),)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        shape, settings = _drawn(draw)
        op = cls(shape, **settings)
        return op, (draw.array(op.windowed(shape)),)
