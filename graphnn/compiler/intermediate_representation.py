"""What a plan does, one instruction at a time: typed data, which says nothing of the language it is written in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import EllipsisType
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from ..core import Array
    from ..ops.matmul_kernels import Blocks
    from .ir_values import Value

DType = np.dtype[np.generic]
Kind = Literal["given", "constant", "view", "check", "each", "call", "fresh"]
Function = Callable[..., object]
Strides = tuple[int, ...]
Part = int | tuple[int | None, int | None, int | None] | EllipsisType | None
"""Of an index; a slice is its three numbers."""


class Result(NamedTuple):
    """What an instruction is to give: an array of this shape and dtype."""

    shape: tuple[int, ...]
    dtype: DType


@dataclass(frozen=True, slots=True)
class Instruction:
    """Base of the instructions. Each belongs to a value, which holds its operands and what they and it look like.

    Attributes
    ----------
    kind : str
        ``"given"``, by feed or state; ``"constant"``; ``"view"``, which shows its operand's memory; ``"check"``, which
        is its operand, or an error; ``"each"``, elementwise, which may be written over an operand; ``"call"``, which
        writes to memory that is none of its operands'; ``"fresh"``, which makes an array itself.
    """

    kind: ClassVar[Kind]


@dataclass(frozen=True, slots=True)
class Elementwise(Instruction):
    """Base of what computes each element by itself."""

    kind = "each"


@dataclass(frozen=True, slots=True)
class Separate(Instruction):
    """Base of what needs memory separate from that of its operands."""

    kind = "call"


@dataclass(frozen=True, slots=True)
class Given(Instruction):
    """What is fed, or a parameter's value."""

    kind = "given"


@dataclass(frozen=True, slots=True)
class Constant(Instruction):
    """An array that is known when the plan is made.

    Attributes
    ----------
    name : str
        What it is called, if not as its node.
    full : bool
        Whether it is one number throughout, and yet has memory for each of its elements.
    """

    name: str = ""
    full: bool = False
    kind = "constant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made(Constant):
    """An array that a function makes of sizes, where a plan is recorded for others.

    Attributes
    ----------
    function : callable
    arguments : tuple
        What it is called with: a size stands for its number, and a value for its array.
    """

    function: Function
    arguments: tuple[object, ...]


# --- views ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class View(Instruction):
    """Base of the views."""

    kind = "view"

    def of(self, x: Array) -> Array:
        """Return the view of an array.

        Raises
        ------
        ValueError
            When no view of this array shows it so.
        """
        raise NotImplementedError

    def laid(self, x: Value) -> Strides | None:
        """Return the strides of the view of a value, or None if only the view itself has them."""
        return None


@dataclass(frozen=True, slots=True)
class Reshape(View):
    """The same elements in the same order, in another shape."""

    shape: tuple[int, ...]

    def of(self, x: Array) -> Array:
        """Return the view of an array."""
        return np.reshape(x, self.shape, copy=False)

    def laid(self, x: Value) -> Strides | None:
        """Return the strides of the view of a value.

        Raises
        ------
        ValueError
            When no view of it has this shape.
        """
        if x.strides is None or 0 in x.shape:
            return None
        return reshaped(x.shape, x.strides, self.shape, x.dtype.itemsize)


def reshaped(shape: tuple[int, ...], strides: Strides, new: tuple[int, ...], itemsize: int) -> Strides:
    """Return the strides of an array in a new shape: some of its axes make up some of the new ones, and so on.

    This is how NumPy decides whether a view will do. No axis may be empty.

    Raises
    ------
    ValueError
        When only a copy has this shape.
    """
    own = [(n, stride) for n, stride in zip(shape, strides, strict=True) if n != 1]
    found: list[int] = []
    while own and len(found) < len(new):
        first = len(found)
        (count, step), *own = own
        wanted, last = new[first], first + 1
        while wanted != count:
            if wanted < count:
                wanted, last = wanted * new[last], last + 1
                continue
            (n, stride), *own = own
            if step != n * stride:
                raise ValueError(f"no view of an array with gaps has the shape {new}")
            count, step = count * n, stride
        steps = [step]
        for n in reversed(new[first + 1 : last]):
            steps.append(steps[-1] * n)
        found += reversed(steps)
    return (*found, *[found[-1] if found else itemsize] * (len(new) - len(found)))


@dataclass(frozen=True, slots=True)
class Transpose(View):
    """The axes in another order."""

    axes: tuple[int, ...]

    def of(self, x: Array) -> Array:
        """Return the view of an array."""
        return x.transpose(self.axes)

    def laid(self, x: Value) -> Strides | None:
        """Return the strides of the view of a value."""
        return None if x.strides is None else tuple([x.strides[axis] for axis in self.axes])


@dataclass(frozen=True, slots=True)
class ExpandDims(View):
    """New axes of one element, at these places of the result."""

    axes: tuple[int, ...]

    def of(self, x: Array) -> Array:
        """Return the view of an array."""
        return np.expand_dims(x, self.axes)

    def laid(self, x: Value) -> Strides | None:
        """Return the strides of the view of a value."""
        sizes = iter(x.shape)
        shape = tuple([1 if axis in self.axes else next(sizes) for axis in range(len(x.shape) + len(self.axes))])
        return Reshape(shape).laid(x)


@dataclass(frozen=True, slots=True)
class Squeeze(View):
    """Without these axes, each of one element."""

    axes: tuple[int, ...]

    def of(self, x: Array) -> Array:
        """Return the view of an array."""
        return x.squeeze(self.axes)

    def laid(self, x: Value) -> Strides | None:
        """Return the strides of the view of a value."""
        return None if x.strides is None else tuple([s for axis, s in enumerate(x.strides) if axis not in self.axes])


@dataclass(frozen=True, slots=True)
class Index(View):
    """What an index shows; with an ellipsis in it, for one element is a view only then."""

    parts: tuple[Part, ...]

    def of(self, x: Array) -> Array:
        """Return the view of an array."""
        view: Array = x[tuple(slice(*part) if isinstance(part, tuple) else part for part in self.parts)]
        return view

    def laid(self, x: Value) -> Strides | None:
        """Return the strides of the view of a value."""
        return None if x.strides is None else self.shown(x.shape, x.strides)[1]

    def shown(self, shape: tuple[int, ...], strides: Strides) -> tuple[tuple[int, ...], Strides, int]:
        """Return the shape and strides of the view of an array, and how many bytes from its first element it begins.

        Raises
        ------
        IndexError
            When an int is beyond the end of its axis.
        """
        taken = sum(part is not None and part is not Ellipsis for part in self.parts)
        parts: list[Part] = []
        for part in self.parts:
            parts += [(None, None, None)] * (len(shape) - taken) if part is Ellipsis else [part]
        axes = iter(zip(shape, strides, strict=True))
        sizes: list[int] = []
        steps: list[int] = []
        offset = 0
        for part in parts:
            if part is None:
                sizes.append(1)
                steps.append(0)
                continue
            n, stride = next(axes)
            if isinstance(part, int):
                if not -n <= part < n:
                    raise IndexError(f"{part} is beyond the end of an axis")
                offset += (part + n if part < 0 else part) * stride
                continue
            assert isinstance(part, tuple), part
            start, count, step = _slice_of(part, n)
            offset += start * stride
            sizes.append(count)
            steps.append(step * stride)
        for n, stride in axes:
            sizes.append(n)
            steps.append(stride)
        return tuple(sizes), tuple(steps), offset


def _slice_of(part: tuple[int | None, int | None, int | None], n: int) -> tuple[int, int, int]:
    """Return where a slice of n elements begins, how many it takes, and its step."""
    start, stop, by = part
    step = 1 if by is None else by
    if step == 1 and start is None and stop is None:
        return 0, n, 1
    low, high = (0, n) if step > 0 else (-1, n - 1)
    first, end = (low, high) if step > 0 else (high, low)
    if start is not None:
        first = max(start + n, low) if start < 0 else min(start, high)
    if stop is not None:
        end = max(stop + n, low) if stop < 0 else min(stop, high)
    count = (end - first + step - (1 if step > 0 else -1)) // step
    return (first, count, step) if count > 0 else (0, 0, 1)


@dataclass(frozen=True, slots=True)
class Broadcast(View):
    """The elements repeated to a larger shape."""

    shape: tuple[int, ...]

    def of(self, x: Array) -> Array:
        """Return the view of an array."""
        return np.broadcast_to(x, self.shape)


@dataclass(frozen=True, slots=True)
class Slide(View):
    """The windows that slide along axes, as axes at the end.

    Attributes
    ----------
    windows : callable
        Gives the view of an array.
    shown : callable
        Gives the shape and strides of the view, of those of an array.
    """

    windows: Callable[[Array], Array]
    shown: Callable[[tuple[int, ...], Strides], tuple[tuple[int, ...], Strides]]

    def laid(self, x: Value) -> Strides | None:
        """Return the strides of the view of a value."""
        return None if x.strides is None else self.shown(x.shape, x.strides)[1]

    def of(self, x: Array) -> Array:
        """Return the view of an array."""
        return self.windows(x)


# --- elementwise ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ufunc(Elementwise):
    """One of NumPy's functions of each element.

    Attributes
    ----------
    ufunc : numpy.ufunc
    loop : tuple of dtype
        What its loop takes and gives; operands of other dtypes are cast to it, as NumPy casts them by itself.
    bits : bool
        Whether operands and result of other dtypes are not cast: their bits are taken for those of the loop's.
    """

    ufunc: np.ufunc
    loop: tuple[DType, ...]
    bits: bool = False

    def __hash__(self) -> int:
        """Return a number that is the same of equal ones, and costs little."""
        return hash(self.ufunc)


@dataclass(frozen=True, slots=True)
class Clip(Elementwise):
    """The first operand, held between the two others, which are numbers."""


@dataclass(frozen=True, slots=True)
class Cast(Elementwise):
    """Each element as another dtype, whatever is lost by it."""


@dataclass(frozen=True, slots=True)
class Fill(Elementwise):
    """A number throughout."""


@dataclass(frozen=True, slots=True)
class Repeat(Elementwise):
    """A copy of what is broadcast to the result's shape."""


@dataclass(frozen=True, slots=True)
class Call(Instruction):
    """A function that is not known further, and writes to its ``out=``.

    Attributes
    ----------
    function : callable
    name : str
        Of the operation.
    elementwise : bool
    """

    function: Function
    name: str
    elementwise: bool = False

    @property
    def kind(self) -> Kind:  # type: ignore[override]
        """Whether it may be written over an operand."""
        return "each" if self.elementwise else "call"


@dataclass(frozen=True, slots=True)
class Patch(Call):
    """A call that makes the next value of a table, and writes only the rows that change."""


@dataclass(frozen=True, slots=True)
class Join(Call):
    """A call that puts each operand at its place in the result.

    Attributes
    ----------
    places : tuple of tuple
        The parts of an index for each operand.
    fill : bool
        Whether there are zeros where no operand is.
    adds : int
        If it is not 0, operands are added at their places, one after the other, to zeros: of so many operands each
        time the product. They may broadcast to their place.
    """

    places: tuple[tuple[Part, ...], ...] = ()
    fill: bool = False
    adds: int = 0


@dataclass(frozen=True, slots=True)
class Along(Call):
    """Base of the calls along an axis.

    Attributes
    ----------
    axis : int or None
        None if it goes through all elements, as they lie.
    """

    axis: int | None = None


@dataclass(frozen=True, slots=True)
class Locate(Along):
    """A call that finds where along an axis the first largest element is, or smallest; a NaN counts as either.

    Attributes
    ----------
    largest : bool
    """

    largest: bool = True


@dataclass(frozen=True, slots=True)
class Running(Along):
    """A call that adds up along an axis, and keeps each sum on the way."""


@dataclass(frozen=True, slots=True)
class Taken(Along):
    """A call that takes the slices along an axis at the places that the second operand holds; it may be negative."""


@dataclass(frozen=True, slots=True)
class Added(Along):
    """A call that adds slices along an axis to zeros, at the places that the second operand holds, one by one."""


@dataclass(frozen=True, slots=True)
class Written(Along):
    """A call that gives the first operand with the second in the place of a slice, which the third says where to begin.

    Where nobody else reads the first operand, it may be written over.
    """


# --- what needs memory of its own -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Select(Separate):
    """The second operand where the first, of bools, holds, else the third."""


@dataclass(frozen=True, slots=True)
class Copy(Separate):
    """A copy, for a reader that must not meet the operand itself."""


@dataclass(frozen=True, slots=True)
class Reduce(Separate):
    """What a ufunc makes of all elements along axes."""

    ufunc: np.ufunc
    axes: tuple[int, ...]
    keepdims: bool


@dataclass(frozen=True, slots=True)
class Product(Separate):
    """A product of matrices, or of stacks of them.

    Attributes
    ----------
    blocks : Blocks or None
        By which blocks of rows it is computed; of those along 1 the results are added up, from 0 on.
    plain : bool
        Whether there are no stacks, and both matrices lie without gaps.
    """

    blocks: Blocks | None = None
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Gather(Separate):
    """The elements of the first operand, flattened, at the places that the second holds, none of them outside."""


@dataclass(frozen=True, slots=True)
class Scatter(Separate):
    """Zeros, with the first operand's elements at the places that the second holds, none of them outside."""


@dataclass(frozen=True, slots=True)
class Check(Instruction):
    """Its operand, of int64, if all its elements are from 0 to below the number of classes; else `refuse` raises.

    Attributes
    ----------
    classes : int
    refuse : callable
        Called with a name, the labels and the number of classes.
    """

    classes: int
    refuse: Function
    kind = "check"


@dataclass(frozen=True, slots=True)
class Own(Instruction):
    """A function that returns an array of its own, or one of its operands, or a view of one.

    Attributes
    ----------
    function : callable
    name : str
        Of the operation.
    """

    function: Function
    name: str
    kind = "fresh"
