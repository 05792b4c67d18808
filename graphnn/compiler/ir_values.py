"""The values of a plan: each one array, with the instruction that makes it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .intermediate_representation import Check, Constant, DType, Instruction, Kind, Product, Reshape, Transpose

if TYPE_CHECKING:
    from ..core import Array, Node
    from ..ops.matmul_kernels import Blocks

_ROOM = np.empty(2**22, np.uint8)
"""Memory that is never looked at, and so takes none: most stand-ins lie there."""


@dataclass(eq=False, slots=True)
class Value:
    """One array of a plan: how it is made, and of which node it is.

    Attributes
    ----------
    how : Instruction
    node : Node
        The first node whose value this is, or for which it is made.
    shape, dtype, size
    operands : tuple of Value
    array : array or None
        The array of a constant.
    repeats : Value or None
        The smaller value that is broadcast to this one.
    strides : tuple of int or None
        The strides in the plan and in the interpreter, which are the same: sums depend on them to the last bit. None
        if they are known only in a run.
    index : int
        Its position among the values of the plan, or -1.
    kind : str
        The kind of the instruction.
    root : Value
        The value whose memory this one shows: itself unless it is a view.
    place : object
        Where it lies, for `native`; None as long as nobody has asked.
    """

    how: Instruction
    node: Node
    shape: tuple[int, ...]
    dtype: DType
    operands: tuple[Value, ...] = ()
    array: Array | None = None
    repeats: Value | None = None
    strides: tuple[int, ...] | None = None
    index: int = -1
    kind: Kind = field(init=False)
    size: int = field(init=False)
    root: Value = field(init=False)
    place: object = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.kind = self.how.kind
        self.size = math.prod(self.shape)
        self.root = self.operands[0].root if self.kind in ("view", "check") else self
        if self.array is not None:
            self.strides = self.array.strides
        elif self.kind in ("given", "constant", "each", "call"):
            self.strides = in_c_order(self.shape, self.dtype)

    @property
    def nbytes(self) -> int:
        """Its bytes."""
        return self.size * self.dtype.itemsize

    @property
    def blocks(self) -> Blocks | None:
        """Of a product that is made block by block: by which."""
        return self.how.blocks if isinstance(self.how, Product) else None

    @property
    def is_turned(self) -> bool:
        """Whether it is another matrix transposed."""
        return isinstance(self.how, Transpose) and self.how.axes == (1, 0)

    @property
    def whole(self) -> bool:
        """Whether it lies in C order over all of its memory, or all of what is given."""
        value = self
        while value.kind in ("view", "check"):
            if not isinstance(value.how, (Reshape, Check)):
                return False
            value = value.operands[0]
        if value.kind == "fresh" and value.strides is not None:
            return lying(value.shape, value.strides) == lying(value.shape, in_c_order(value.shape, value.dtype))
        return value.repeats is None and (value.array is None or value.array.flags.c_contiguous)

    @property
    def ordered(self) -> bool:
        """Whether what NumPy makes of it is in C order: its axes step ever less far, and none stands still."""
        return self.strides is not None and _is_ordered(self.strides, self.shape)

    @property
    def contiguous(self) -> bool:
        """Whether it is known to lie in C order or in Fortran's, without gaps."""
        orders = in_c_order(self.shape, self.dtype), in_c_order(self.shape[::-1], self.dtype)[::-1]
        return self.strides in orders

    def stand_in(self, most: int | None = None) -> Array:
        """Return an array laid out as it is; its elements may be looked at only if no axis has more than `most`, 2."""
        assert self.strides is not None
        if most is None:
            try:
                return np.ndarray(self.shape, self.dtype, _ROOM, _ROOM.size // 2, self.strides)
            except ValueError:  # it is too large for that; this takes several times as long
                return as_strided(np.empty((), self.dtype), self.shape, self.strides)
        steps = [0] * len(self.shape)
        step, without_gap = 1, self.dtype.itemsize
        for stride, axis in sorted((abs(stride), axis) for axis, stride in enumerate(self.strides) if stride):
            n = self.shape[axis]
            step *= 1 if n == 1 or stride == without_gap else 2  # some functions ask whether an array has gaps
            steps[axis] = step if self.strides[axis] > 0 else -step
            if n > 1:
                without_gap = stride * n
                step *= _at_most(n, most)
        ones = np.ones(1 + 2 * sum(map(abs, steps)), self.dtype)[sum(map(abs, steps)) :]
        shape = [_at_most(n, most) for n in self.shape]
        return as_strided(ones, shape, [step * self.dtype.itemsize for step in steps])

    def is_number(self, number: float) -> bool:
        """Whether it is this number throughout, of positive sign."""
        small = self.repeats or self
        if small.kind != "constant" or small.size != 1 or small.array is None:
            return False
        return bool(small.array == number) and not bool(np.signbit(small.array))

    @property
    def lies_small(self) -> bool:
        """Whether what it repeats is all that lies in memory: it is broadcast, and not an array of one number."""
        return self.repeats is not None and (
            self.kind == "view" or (isinstance(self.how, Constant) and not self.how.full)
        )


def _at_most(n: int, most: int) -> int:
    """Return the smaller number, as an int of its own."""
    return next((i for i in range(most) if n == i), most)


def lying(shape: Sequence[int], strides: Sequence[int]) -> list[int]:
    """Return the strides that tell how an array lies in memory: those of axes longer than 1, if there are elements."""
    return [] if 0 in shape else [step for step, n in zip(strides, shape, strict=True) if n > 1]


@lru_cache(4096)
def _is_ordered(strides: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    steps = [abs(step) for step, n in zip(strides, shape, strict=True) if n > 1]
    return 0 not in steps and steps == sorted(steps, reverse=True)


@lru_cache(4096)
def squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape without its axes of one element."""
    return tuple([n for n in shape if n != 1])


@lru_cache(4096)
def in_c_order(shape: tuple[int, ...], dtype: DType) -> tuple[int, ...]:
    """Return the strides of an array in C order."""
    steps = [dtype.itemsize]
    for n in reversed(shape[1:]):
        steps.append(steps[-1] * n)
    return tuple(reversed(steps[: len(shape)]))


def broadcast_shape(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that shapes broadcast to, as NumPy's function does, which makes arrays of them.

    Raises
    ------
    ValueError
        When they do not.
    """
    first = shapes[0]
    if all(shape == first for shape in shapes):
        return first
    found = [1] * max(map(len, shapes))
    for shape in shapes:
        for axis, n in enumerate(shape, len(found) - len(shape)):
            if n != 1:
                if found[axis] not in (1, n):
                    raise ValueError(f"{shapes} do not broadcast")
                found[axis] = n
    return tuple(found)
