"""Operations that take elements by labels: the class of each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import Array, Dim, DType, Node, Op, Spec, Trait, fn
from ..core.symbolic_shapes import shown
from ..errors import LabelError, ShapeError
from .base import Rearranging, agreed, check_shape, flows_through_first, into, no_flops
from .indexing import check_integers


def codes_of(name: str, labels: Array, classes: int) -> Array:
    """Check that labels are from 0 to below the number of classes, and return them as NumPy's own integers."""
    wide = labels.astype(np.int64 if labels.dtype.kind == "i" else np.uint64, copy=False)
    # Seen as unsigned, a negative label is larger than any number of classes.
    if wide.size and int(wide.view(np.uint64).max()) >= classes:
        where = np.argwhere(wide.view(np.uint64) >= classes)[0]
        value, at = labels[tuple(where)], shown(where.tolist())
        wrong = "is below 0" if value < 0 else f"is not below the number of classes, {classes}"
        raise LabelError(f"{name}: label {value} at index {at} {wrong}")
    return wide.view(np.int64).astype(np.intp, copy=False)


class OneHot(Op):
    """A row for each label, with 1 at the index of the label and 0 elsewhere; passes no gradient.

    A label below 0, or not below the depth, is an IndexError.
    """

    depth: Dim
    dtype: DType = "float64"
    differentiable = False
    formula = "one_hot({0}, {depth})"

    def infer(self, labels: Spec) -> Spec:
        check_integers(self.name, labels, "labels")
        return Spec((*labels.shape, self.depth), np.dtype(self.dtype))

    def forward(self, labels: Array, out: Array | None = None) -> Any:
        depth = int(self.depth)
        return into(out, _put(codes_of(self.name, labels, depth), 1, depth, np.dtype(self.dtype)))

    def flows(self, i: int) -> bool:
        return False

    def points(self, ndims: Sequence[int]) -> Sequence[tuple[int, int, int]]:
        return ((0, -1, ndims[-1] - 1),)

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        return (index[:-1],)

    flops = no_flops

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        depth = draw.integer(1, 4)
        labels = draw.integers(draw.shape(), 0, depth - 1)
        return cls(depth, draw.choice(["float64", "float32", "int64"])), (labels,)


def _put(codes: Array, values: Any, classes: int, dtype: np.dtype[Any]) -> Array:
    """Return rows of zeros, one for each code, with the value at the index that the code is."""
    result = np.zeros((*codes.shape, classes), dtype)
    result.reshape(-1)[_flat(codes, classes)] = values
    return result


def _flat(codes: Array, classes: int) -> Array:
    places: Array = np.arange(codes.size) * classes
    places += codes.reshape(-1)
    return places


class Pick(Rearranging):
    """One element of each row of x: that at the index of the row's label.

    The labels are integers, of the shape of x without its last axis; one below 0, or not below the number of
    classes, is an IndexError.
    """

    traits = Trait.CHOOSES | Trait.HIDES
    formula = "{0}[…, {1}]"
    equation = "element {1} of {row}"

    def infer(self, x: Spec, labels: Spec) -> Spec:
        check_integers(self.name, labels, "labels")
        if not x.shape:
            raise ShapeError("pick takes rows of classes, got a number without axes")
        shape = x.shape[:-1]
        met = agreed(shape, labels.shape)
        if met is None:
            raise ShapeError(
                f"pick takes labels of shape {shown(shape)}, one axis fewer than {shown(x.shape)}, "
                f"got {shown(labels.shape)}"
            )
        return Spec(met[0], x.dtype, met[1])

    def forward(self, x: Array, labels: Array, out: Array | None = None) -> Any:
        codes = codes_of(self.name, labels, x.shape[-1])
        return into(out, x.reshape(-1).take(_flat(codes, x.shape[-1])).reshape(labels.shape))

    flows = flows_through_first

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.scatter_labels(cotangent, inputs[1], inputs[0].shape[-1])

    def points(self, ndims: Sequence[int]) -> Sequence[tuple[int, int, int]]:
        return ((1, 0, ndims[0] - 1),)

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        return (*index, int(operands[1][index])), index

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        shape = draw.shape(max_ndim=2)
        classes = draw.integer(1, 4)
        return cls(), (draw.array((*shape, classes)), draw.integers(shape, 0, classes - 1))


class ScatterLabels(Rearranging):
    """A row of zeros for each element of x, with the element at the index of its label: the adjoint of pick."""

    classes: Dim
    formula = "zeros with {0} at {1}"

    def infer(self, x: Spec, labels: Spec) -> Spec:
        check_integers(self.name, labels, "labels")
        return Spec((*x.shape, self.classes), x.dtype, check_shape(self.name, x.shape, labels.shape))

    def forward(self, x: Array, labels: Array, out: Array | None = None) -> Any:
        classes = int(self.classes)
        return into(out, _put(codes_of(self.name, labels, classes), x.reshape(-1), classes, x.dtype))

    flows = flows_through_first

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.pick(cotangent, inputs[1])

    def points(self, ndims: Sequence[int]) -> Sequence[tuple[int, int, int]]:
        return ((1, -1, ndims[-1] - 1),)

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        row = index[:-1]
        return row if operands[1][row] == index[-1] else None, row

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        shape = draw.shape()
        classes = draw.integer(1, 4)
        return cls(classes), (draw.array(shape), draw.integers(shape, 0, classes - 1))
