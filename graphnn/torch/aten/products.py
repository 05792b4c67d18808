"""Products of matrices, and what solves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Node, fn
from ...core.symbolic_shapes import multiply
from .call import cast
from .reductions import norm
from .table import aten, refused

if TYPE_CHECKING:
    from .call import Call

_FEW = 25
"""The most rows whose distances PyTorch takes from their differences, and not from products."""


@aten("matmul", "mm", "bmm", "mv", "dot", "linalg_matmul", "vdot", "inner")
def matmul(call: Call, self: Node, other: Any = None, mat2: Any = None, vec: Any = None, tensor: Any = None) -> Node:
    """Return the product of matrices."""
    second = next(each for each in (other, mat2, vec, tensor) if each is not None)
    if call.op == "inner":
        return (
            fn.matmul(self, fn.swapaxes(second, -1, -2) if second.ndim > 1 else second)
            if self.ndim and second.ndim
            else self * second
        )
    return fn.matmul(self, second)


@aten("linear")
def linear(call: Call, input: Node, weight: Node, bias: Node | None = None) -> Node:
    """Return x Wᵀ + b."""
    found = fn.matmul(input, fn.transpose(weight, (1, 0)) if weight.ndim == 2 else weight)
    return found if bias is None else found + bias


def _scaled(x: Node, by: Any) -> Node:
    return x if by == 1 else x * by


@aten("addmm", "addmv", "addbmm", "baddbmm")
def addmm(
    call: Call,
    self: Node,
    mat1: Any = None,
    mat2: Any = None,
    mat: Any = None,
    vec: Any = None,
    batch1: Any = None,
    batch2: Any = None,
    beta: Any = 1,
    alpha: Any = 1,
) -> Node:
    """Return beta * x + alpha * a b."""
    a = next(each for each in (mat1, mat, batch1) if each is not None)
    b = next(each for each in (mat2, vec, batch2) if each is not None)
    found = fn.matmul(a, b)
    if call.op == "addbmm":
        found = fn.sum(found, axis=0)
    found = _scaled(found, alpha)
    return found if beta == 0 else _scaled(self, beta) + found


@aten("addr")
def addr(call: Call, self: Node, vec1: Node, vec2: Node, beta: Any = 1, alpha: Any = 1) -> Node:
    """Return beta * x + alpha * a bᵀ."""
    return _scaled(self, beta) + _scaled(fn.outer(vec1, vec2), alpha)


@aten("outer", "ger")
def outer(call: Call, self: Node, vec2: Node) -> Node:
    """Return the products of the elements of two vectors."""
    return fn.outer(*call.as_result(self, vec2))


@aten("einsum")
def einsum(call: Call, equation: str, tensors: Any, path: Any = None) -> Node:
    """Return a sum of products, as an equation says."""
    return fn.einsum(equation.replace(" ", ""), *tensors)


@aten("bilinear")
def bilinear(call: Call, input1: Node, input2: Node, weight: Node, bias: Node | None = None) -> Node:
    """Return x W y + b."""
    found = fn.einsum("...i,kij,...j->...k", input1, weight, input2)
    return found if bias is None else found + bias


@aten("_trilinear")
def trilinear(
    call: Call,
    i1: Node,
    i2: Node,
    i3: Node,
    expand1: Any,
    expand2: Any,
    expand3: Any,
    sumdim: Any,
    unroll_dim: int = 1,
) -> Node:
    """Return sums of products of three tensors, each with axes of one put in."""
    each = []
    for x, axes in ((i1, expand1), (i2, expand2), (i3, expand3)):
        for axis in sorted(axes):
            x = fn.expand_dims(x, axis)
        each.append(x)
    return fn.sum(each[0] * each[1] * each[2], tuple(sumdim))


@aten("tensordot")
def tensordot(call: Call, self: Node, other: Node, dims_self: Any, dims_other: Any) -> Node:
    """Return the sum of products over pairs of axes."""
    mine = [axis % self.ndim for axis in dims_self]
    theirs = [axis % other.ndim for axis in dims_other]
    names = [chr(97 + place) for place in range(self.ndim + other.ndim)]
    first, second = names[: self.ndim], names[self.ndim :]
    for a, b in zip(mine, theirs, strict=True):
        second[b] = first[a]
    out = [name for axis, name in enumerate(first) if axis not in mine]
    out += [name for axis, name in enumerate(second) if axis not in theirs]
    return fn.einsum(f"{''.join(first)},{''.join(second)}->{''.join(out)}", self, other)


@aten("kron")
def kron(call: Call, self: Node, other: Node) -> Node:
    """Return the Kronecker product."""
    n = max(self.ndim, other.ndim)
    a = fn.reshape(self, (*[1] * (n - self.ndim), *self.spec.shape))
    b = fn.reshape(other, (*[1] * (n - other.ndim), *other.spec.shape))
    left = fn.reshape(a, tuple(size for each in a.spec.shape for size in (each, 1)))
    right = fn.reshape(b, tuple(size for each in b.spec.shape for size in (1, each)))
    return fn.reshape(left * right, tuple(multiply(x, y) for x, y in zip(a.spec.shape, b.spec.shape, strict=True)))


@aten("linalg_cross", "cross")
def cross(call: Call, self: Node, other: Node, dim: int | None = -1) -> Node:
    """Return the vector product."""
    axis = (next(at for at, size in enumerate(self.spec.shape) if size == 3) if dim is None else dim) % self.ndim
    a, b = (fn.unbind(each, axis=axis) for each in call.as_result(self, other))
    return fn.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]], axis=axis)


@aten("trace")
def trace(call: Call, self: Node) -> Node:
    """Return the sum of the diagonal."""
    return fn.sum(fn.diagonal(cast(self, call.dtype)))


@aten("linalg_inv", "inverse")
def inverse(call: Call, A: Any = None, self: Any = None) -> Node:
    """Return the inverses of matrices."""
    return fn.inv(A if A is not None else self)


@aten("linalg_inv_ex")
def inverse_ex(call: Call, A: Node, check_errors: bool = False) -> tuple[Node, Node]:
    """Return the inverses of matrices, and that all have one."""
    return fn.inv(A), call.graph.constant(np.zeros((), np.int32)) if A.ndim == 2 else fn.broadcast_to(
        call.graph.constant(np.int32(0)), A.spec.shape[:-2]
    )


@aten("linalg_cholesky", "cholesky")
def cholesky(call: Call, self: Node, upper: bool = False) -> Node:
    """Return the Cholesky factors of matrices."""
    lower = fn.cholesky(self)
    return fn.swapaxes(lower, -1, -2) if upper else lower


@aten("linalg_cholesky_ex")
def cholesky_ex(call: Call, self: Node, upper: bool = False, check_errors: bool = False) -> tuple[Node, Node]:
    """Return the Cholesky factors of matrices, and that all have one."""
    return cholesky(call, self, upper), fn.broadcast_to(call.graph.constant(np.int32(0)), self.spec.shape[:-2])


@aten("linalg_det", "det")
def det(call: Call, A: Any = None, self: Any = None) -> Node:
    """Return the determinants of matrices."""
    return fn.det(A if A is not None else self)


@aten("linalg_slogdet", "slogdet")
def slogdet(call: Call, A: Any = None, self: Any = None) -> tuple[Node, Node]:
    """Return the signs of determinants, and the logarithms of their absolute values."""
    x = A if A is not None else self
    norm = fn.norm(x, axis=-1, keepdims=True)
    size = fn.where(fn.equal(norm, 0), 1, norm)
    found = fn.det(x / size)  # of rows of norm 1: it is not above 1
    return fn.sign(found), fn.log(fn.abs(found)) + fn.sum(fn.log(size), axis=(-2, -1))


@aten("logdet")
def logdet(call: Call, self: Node) -> Node:
    """Return the logarithms of determinants."""
    sign, found = slogdet(call, self)
    return fn.where(fn.less(sign, 0), np.nan, found)


@aten("linalg_solve", "linalg_solve_ex")
def solve(call: Call, A: Node, B: Node, left: bool = True, check_errors: bool = False) -> Any:
    """Return what matrices have to be multiplied by to give others."""
    if B.ndim == 1 or (B.ndim == A.ndim - 1 and B.spec.shape == A.spec.shape[:-1]):
        found = fn.squeeze(_solved(A, fn.expand_dims(B, -1), left), -1)
    else:
        found = _solved(A, B, left)
    if call.op == "linalg_solve":
        return found
    return found, fn.broadcast_to(call.graph.constant(np.int32(0)), A.spec.shape[:-2])


@aten("linalg_solve_triangular")
def solve_triangular(
    call: Call, self: Node, B: Node, upper: bool, left: bool = True, unitriangular: bool = False
) -> Node:
    """Return what triangular matrices have to be multiplied by to give others."""
    return _solved(_triangle(call, self, upper, unitriangular), B, left)


@aten("cholesky_solve")
def cholesky_solve(call: Call, self: Node, input2: Node, upper: bool = False) -> Node:
    """Return the solution for a matrix that is the square of a triangular one."""
    lower = fn.swapaxes(fn.triu(input2), -1, -2) if upper else fn.tril(input2)
    return _solved(fn.matmul(lower, fn.swapaxes(lower, -1, -2)), self, True)


def _triangle(call: Call, x: Node, upper: bool, unit: bool) -> Node:
    if not unit:
        return fn.triu(x) if upper else fn.tril(x)
    side = fn.triu(x, 1) if upper else fn.tril(x, -1)
    return side + fn.eye(x.spec.shape[-1], x.spec.dtype, graph=call.graph)


def _solved(a: Node, b: Node, left: bool) -> Node:
    if left:
        return fn.solve(a, b)
    return fn.swapaxes(fn.solve(fn.swapaxes(a, -1, -2), fn.swapaxes(b, -1, -2)), -1, -2)


@aten("cholesky_inverse")
def cholesky_inverse(call: Call, self: Node, upper: bool = False) -> Node:
    """Return the inverse of a matrix that is the square of a triangular one."""
    lower = fn.swapaxes(fn.triu(self), -1, -2) if upper else fn.tril(self)
    return fn.inv(fn.matmul(lower, fn.swapaxes(lower, -1, -2)))


@aten("linalg_matrix_power", "matrix_power")
def matrix_power(call: Call, self: Node, n: int) -> Node:
    """Return products of matrices with themselves."""
    if n == 0:
        return fn.broadcast_to(fn.eye(self.spec.shape[-1], self.spec.dtype, graph=call.graph), self.spec.shape)
    base = fn.inv(self) if n < 0 else self
    found: Node | None = None
    left = abs(n)
    while left:
        if left % 2:
            found = base if found is None else fn.matmul(found, base)
        left //= 2
        base = fn.matmul(base, base) if left else base
    assert found is not None
    return found


@aten("_weight_norm")
def weight_norm(call: Call, v: Node, g: Node, dim: int = 0) -> Node:
    """Return a weight of given norms over all axes but one."""
    rest = [axis for axis in range(v.ndim) if axis != dim % v.ndim or dim == -1]
    return v * (g / norm(call, v, dim=rest, keepdim=True))


@aten("cdist", "_euclidean_dist")
def cdist(call: Call, x1: Node, x2: Node, p: float = 2.0, compute_mode: Any = None) -> Node:
    """Return the distances between the rows of two matrices."""
    rows = x1.spec.shape[-2], x2.spec.shape[-2]
    many = any(not isinstance(count, int) or count > _FEW for count in rows)
    if p == 2 and (compute_mode == 1 or (many and compute_mode in (None, 0))):
        squares = [fn.sum(fn.square(x), axis=-1) for x in (x1, x2)]
        both = fn.expand_dims(squares[0], -1) + fn.expand_dims(squares[1], -2)
        apart = both - 2 * fn.matmul(x1, fn.swapaxes(x2, -1, -2))
        some = fn.greater(apart, 0)  # the root has no derivative at 0, and this is 0 there
        return fn.where(some, fn.sqrt(fn.where(some, apart, 1)), 0)
    return _distance(call, fn.expand_dims(x1, -2) - fn.expand_dims(x2, -3), p)


def _distance(call: Call, apart: Node, p: float) -> Node:
    """Return the norms of differences, with the gradients that PyTorch's own kernels give."""
    if p == 0:
        return fn.sum(cast(fn.not_equal(apart, 0), apart.spec.dtype), axis=-1)
    if p == 1:
        return fn.sum(fn.abs(apart), axis=-1)
    if p == np.inf:
        each = fn.abs(apart)
        found = fn.stop_gradient(fn.max(each, axis=-1))
        # Each of several largest elements has the whole gradient.
        largest = fn.equal(each, fn.expand_dims(found, -1))
        return found + fn.sum(fn.where(largest, each - fn.stop_gradient(each), 0.0), axis=-1)
    return fn.norm(apart, None if p == 2 else p, axis=-1)


@aten("pdist", "_pdist_forward")
def pdist(call: Call, self: Node, p: float = 2.0) -> Node:
    """Return the distances between the rows of a matrix, each pair once."""
    rows = self.spec.shape[0]
    if not isinstance(rows, int):
        call.refuse("distances between rows whose number has a name: leave the size out of dims=")
    one, other = (call.graph.constant(places) for places in np.triu_indices(rows, 1))
    return _distance(call, fn.take(self, one, axis=0) - fn.take(self, other, axis=0), p)


@aten("cosine_similarity")
def cosine_similarity(call: Call, x1: Node, x2: Node, dim: int = 1, eps: float = 1e-8) -> Node:
    """Return the cosines of the angles between vectors."""
    a, b = call.as_result(x1, x2)
    scaled = [x / fn.maximum(fn.norm(x, axis=dim, keepdims=True), call.node(eps, call.dtype)) for x in (a, b)]
    return fn.sum(scaled[0] * scaled[1], axis=dim)


for _name in ("svd", "svdvals", "qr", "eigh", "eigvalsh", "eig", "eigvals", "lu", "lu_factor", "matrix_exp"):
    _why = f"graphnn has no {_name} of matrices: write inv, solve or cholesky, or compute it before the module"
    refused(f"linalg_{_name}", f"_linalg_{_name}", _name, why=_why)
for _name in ("pinv", "lstsq", "matrix_rank", "pinverse"):
    _why = f"graphnn has no {_name}: of full rank, write torch.linalg.solve(a.mT @ a, a.mT @ b)"
    refused(f"linalg_{_name}", _name, why=_why)
