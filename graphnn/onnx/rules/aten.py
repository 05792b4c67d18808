"""Operations of PyTorch that its exporter writes no ONNX for: `from_torch` has them written as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...core import Node, fn
from ..rule_registry import rule
from ..tensors import dtype_of
from .indexing import end_of, scatter_elements
from .kit import number

if TYPE_CHECKING:
    from ..onnx_node import Call

ATEN = "org.pytorch.aten"

_FEW = 25
"""The most rows whose distances PyTorch takes from their differences, and not from products."""


@rule("cumprod", domain=ATEN)
def cumprod(call: Call, self: Node, *, dim: int, dtype: int = -1) -> Any:
    """Return the products of the elements so far."""
    return fn.cumprod(self if dtype == -1 else fn.cast(self, dtype_of(dtype, "its dtype")), axis=dim)


@rule("hypot", domain=ATEN)
def hypot(call: Call, self: Node, other: Node) -> Any:
    """Return the root of the sum of two squares."""
    return fn.norm(fn.stack([self + fn.zeros_like(other), other + fn.zeros_like(self)]), axis=0)


@rule("linalg_inv", domain=ATEN)
def inverse(call: Call, A: Node) -> Any:
    """Return the inverses of matrices."""
    return fn.inv(A)


@rule("linalg_cholesky", domain=ATEN)
def cholesky(call: Call, self: Node, *, upper: int = 0) -> Any:
    """Return the Cholesky factors of matrices."""
    lower = fn.cholesky(self)
    return fn.swapaxes(lower, -1, -2) if upper else lower


@rule("_linalg_slogdet", domain=ATEN)
def slogdet(call: Call, A: Node) -> Any:
    """Return the signs of determinants, and the logarithms of their absolute values."""
    norm = fn.norm(A, axis=-1, keepdims=True)
    size = fn.where(fn.equal(norm, 0), 1, norm)
    det = fn.det(A / size)  # of rows of norm 1: it is not above 1
    logs = fn.log(fn.absolute(det)) + fn.sum(fn.log(size), axis=(-2, -1))
    return fn.sign(det), logs, None, None


@rule("linalg_solve", domain=ATEN)
def solve(call: Call, A: Node, B: Node, *, left: int = 1) -> Any:
    """Return what matrices have to be multiplied by to give others."""
    if B.ndim == 1 or (B.ndim == A.ndim - 1 and B.spec.shape == A.spec.shape[:-1]):
        return fn.squeeze(_solved(A, fn.expand_dims(B, -1), left), -1)
    return _solved(A, B, left)


@rule("linalg_solve_triangular", domain=ATEN)
def solve_triangular(call: Call, self: Node, B: Node, *, upper: int, left: int = 1, unitriangular: int = 0) -> Any:
    """Return what triangular matrices have to be multiplied by to give others."""
    if unitriangular:
        call.refuse("its diagonal counts as 1, which graphnn does not read")
    return _solved(fn.triu(self) if upper else fn.tril(self), B, left)


def _solved(a: Node, b: Node, left: int) -> Node:
    if left:
        return fn.solve(a, b)
    return fn.swapaxes(fn.solve(fn.swapaxes(a, -1, -2), fn.swapaxes(b, -1, -2)), -1, -2)


@rule("cdist", domain=ATEN)
def cdist(call: Call, x1: Node, x2: Node, *, p: float = 2.0, compute_mode: int = 0) -> Any:
    """Return the distances between the rows of two matrices."""
    rows = x1.spec.shape[-2], x2.spec.shape[-2]
    many = any(not isinstance(count, int) or count > _FEW for count in rows)
    if p == 2 and (compute_mode == 1 or (many and compute_mode == 0)):
        squares = [fn.sum(fn.square(x), axis=-1) for x in (x1, x2)]
        both = fn.expand_dims(squares[0], -1) + fn.expand_dims(squares[1], -2)
        apart = both - 2 * fn.matmul(x1, fn.swapaxes(x2, -1, -2))
        some = fn.greater(apart, number(call, 0, apart))  # the root has no derivative at 0, and this is 0 there
        return fn.where(some, fn.sqrt(fn.where(some, apart, 1)), 0)
    return fn.norm(fn.expand_dims(x1, -2) - fn.expand_dims(x2, -3), p, axis=-1)


@rule("searchsorted", domain=ATEN)
def searchsorted(
    call: Call,
    sorted_sequence: Node,
    self: Node,
    sorter: Node | None = None,
    *,
    out_int32: int = 0,
    right: int = 0,
    side: str = "",
) -> Any:
    """Return before how many elements of a sequence in order numbers belong."""
    if sorter is not None:
        sorted_sequence = fn.take_along_axis(sorted_sequence, sorter, axis=-1)
    if sorted_sequence.ndim > 1:
        sorted_sequence = fn.expand_dims(sorted_sequence, -2)
    below = fn.less_equal if right or side == "right" else fn.less
    found = below(sorted_sequence, fn.expand_dims(self, -1))
    return fn.sum(fn.cast(found, "int32" if out_int32 else "int64"), axis=-1)


@rule("kthvalue", domain=ATEN)
def kthvalue(call: Call, self: Node, *, k: int, dim: int = -1, keepdim: int = 0) -> Any:
    """Return the k-th smallest number along an axis, and where it is."""
    place = fn.getitem(fn.argsort(self, axis=dim), (*[slice(None)] * (dim % self.ndim), slice(k - 1, k)))
    found = fn.take_along_axis(self, place, axis=dim)
    return (found, place) if keepdim else (fn.squeeze(found, dim), fn.squeeze(place, dim))


@rule("median", domain=ATEN)
def median(call: Call, self: Node, *, dim: int = -1, keepdim: int = 0) -> Any:
    """Return the middle number along an axis, the smaller of two, and where it is."""
    (count,) = call.dims(np.asarray(self.spec.shape)[[dim]], "the size of the axis")
    return kthvalue(call, self, k=(int(count) + 1) // 2, dim=dim, keepdim=keepdim)


@rule("adaptive_max_pool2d", domain=ATEN)
def adaptive_max_pool(call: Call, self: Node, *, output_size: Any) -> Any:
    """Return the largest elements of so many parts of images."""
    return fn.adaptive_max_pool(self, tuple(int(each) for each in output_size)), None


@rule("scatter_reduce", domain=ATEN)
def scatter_reduce(
    call: Call,
    self: Node,
    index: Node,
    src: Node,
    *,
    dim: int,
    reduce: Literal["sum", "prod", "mean", "amax", "amin"],
    include_self: int = 1,
) -> Any:
    """Return x with numbers added to elements, or with their products, means, largest or smallest."""
    if not include_self:
        kind = src.spec.dtype
        nothing = {"prod": 1, "amax": end_of(kind, -1), "amin": end_of(kind, 1)}.get(reduce, 0)
        filling = fn.broadcast_to(call.node(np.array(nothing, kind)), src.spec.shape)
        self = scatter_elements(call, self, index, filling, axis=dim)
    kinds = {"sum": "add", "prod": "mul", "mean": "add", "amax": "max", "amin": "min"}
    whole = scatter_elements(call, self, index, src, axis=dim, reduction=kinds[reduce])
    if reduce != "mean":
        return whole
    ones = fn.ones_like(self)
    if not include_self:
        ones = scatter_elements(call, ones, index, fn.zeros_like(src), axis=dim)
    counts = scatter_elements(call, ones, index, fn.ones_like(src), axis=dim, reduction="add")
    return whole / counts if whole.spec.dtype.kind == "f" else fn.floor_divide(whole, counts)
