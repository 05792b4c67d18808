"""Operations that normalize: to mean 0 and variance 1 over a batch, over features, or over groups of channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core import Node, fn, limits
from ...core.symbolic_shapes import add, clamp, floor_divide, product, subtract
from .table import aten

if TYPE_CHECKING:
    from .call import Call


def standardized(x: Node, axes: tuple[int, ...], eps: float) -> tuple[Node, Node, Node]:
    """Return x with mean 0 and variance 1 over axes, that mean, and 1 / √(variance + ε)."""
    mean = fn.mean(x, axes, keepdims=True)
    centered = x - mean
    variance = fn.mean(fn.square(centered), axes, keepdims=True)
    spread = fn.sqrt(variance + eps)
    return centered / spread, mean, spread


def _affine(x: Node, weight: Node | None, bias: Node | None, shape: tuple[Any, ...] | None = None) -> Node:
    for each, function in ((weight, fn.multiply), (bias, fn.add)):
        if each is not None:
            x = function(x, each if shape is None else fn.reshape(each, shape))
    return x


@aten("layer_norm")
def layer_norm(
    call: Call,
    input: Node,
    normalized_shape: Any,
    weight: Node | None = None,
    bias: Node | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Node:
    """Return x normalized over its last axes."""
    axes = tuple(range(input.ndim - len(normalized_shape), input.ndim))
    return _affine(standardized(input, axes, eps)[0], weight, bias)


@aten("native_layer_norm")
def native_layer_norm(
    call: Call, input: Node, normalized_shape: Any, weight: Node | None, bias: Node | None, eps: float
) -> tuple[Node, Node, Node]:
    """Return x normalized over its last axes, with mean and 1 / standard deviation."""
    axes = tuple(range(input.ndim - len(normalized_shape), input.ndim))
    found, mean, spread = standardized(input, axes, eps)
    return _affine(found, weight, bias), mean, fn.reciprocal(spread)


@aten("rms_norm", "_fused_rms_norm")
def rms_norm(
    call: Call, input: Node, normalized_shape: Any, weight: Node | None = None, eps: float | None = None
) -> Any:
    """Return x divided by the root of the mean of its squares over its last axes."""
    axes = tuple(range(input.ndim - len(normalized_shape), input.ndim))
    small = float(limits(input.spec.dtype).eps) if eps is None else eps
    spread = fn.sqrt(fn.mean(fn.square(input), axes, keepdims=True) + small)
    found = _affine(input / spread, weight, None)
    return (found, fn.reciprocal(spread)) if call.op == "_fused_rms_norm" else found


@aten("group_norm")
def group_norm(
    call: Call,
    input: Node,
    num_groups: int,
    weight: Node | None = None,
    bias: Node | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Node:
    """Return x normalized over groups of its channels."""
    batch, channels, *rest = input.spec.shape
    grouped = fn.reshape(input, (batch, num_groups, floor_divide(channels, num_groups), *rest))
    found = fn.reshape(standardized(grouped, tuple(range(2, grouped.ndim)), eps)[0], input.spec.shape)
    return _affine(found, weight, bias, (-1, *[1] * len(rest)))


@aten("native_group_norm")
def native_group_norm(
    call: Call,
    input: Node,
    weight: Node | None,
    bias: Node | None,
    N: Any,
    C: Any,
    HxW: Any,
    group: int,
    eps: float,
) -> tuple[Node, Node, Node]:
    """Return x normalized over groups of its channels, with mean and 1 / standard deviation of each."""
    grouped = fn.reshape(input, (N, group, floor_divide(C, group), HxW))
    found, mean, spread = standardized(grouped, (2, 3), eps)
    shape = (-1, *[1] * (input.ndim - 2))
    result = _affine(fn.reshape(found, input.spec.shape), weight, bias, shape)
    return result, fn.reshape(mean, (N, group)), fn.reshape(fn.reciprocal(spread), (N, group))


@aten("instance_norm")
def instance_norm(
    call: Call,
    input: Node,
    weight: Node | None,
    bias: Node | None,
    running_mean: Node | None,
    running_var: Node | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Node:
    """Return x normalized over all but samples and channels."""
    shape = (-1, *[1] * (input.ndim - 2))
    if not use_input_stats:
        return _by_statistics(input, running_mean, running_var, weight, bias, eps, shape)
    if running_mean is not None:
        call.refuse("it moves running statistics of instances: write track_running_stats=False, or .eval()")
    return _affine(standardized(input, tuple(range(2, input.ndim)), eps)[0], weight, bias, shape)


def _by_statistics(
    x: Node, mean: Any, variance: Any, weight: Node | None, bias: Node | None, eps: float, shape: tuple[Any, ...]
) -> Node:
    centered = x - fn.reshape(mean, shape)
    return _affine(centered / fn.sqrt(fn.reshape(variance, shape) + eps), weight, bias, shape)


@aten("batch_norm")
def batch_norm(
    call: Call,
    input: Node,
    weight: Node | None,
    bias: Node | None,
    running_mean: Node | None,
    running_var: Node | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Node:
    """Return x normalized over all but the channels; in training, running statistics move.

    In ``graph.evaluation``, the result in training is mapped to that by running statistics.
    """
    shape = (-1, *[1] * (input.ndim - 2))
    if not training:
        return _by_statistics(input, running_mean, running_var, weight, bias, eps, shape)
    axes = (0, *range(2, input.ndim))
    found, mean, _ = standardized(input, axes, eps)
    evaluated = None
    if running_mean is not None and running_var is not None:
        graph = call.graph
        with graph.new_scope("evaluating"):
            evaluated = _by_statistics(input, running_mean, running_var, weight, bias, eps, shape)
        with graph.new_scope("update", phase="update"):
            count = product(input.spec.shape[axis] for axis in axes)
            squares = fn.sum(fn.square(input - mean), axes)
            unbiased = fn.divide_by_size(squares, add(1, clamp(subtract(count, 2))))
            means = fn.reshape(mean, running_mean.spec.shape)
            for name, before, now in (("running_mean", running_mean, means), ("running_var", running_var, unbiased)):
                call.write(name, before * (1 - momentum) + now * momentum)
    result = _affine(found, weight, bias, shape)  # last, so that the module's scope shows it
    if evaluated is not None:
        call.graph.evaluation[result] = evaluated
    return result


@aten("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit.no_stats", writes=True)
def native_batch_norm(
    call: Call,
    input: Node,
    weight: Node | None,
    bias: Node | None,
    running_mean: Node | None = None,
    running_var: Node | None = None,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Node, Node, Node]:
    """Return x normalized over all but the channels, with mean and 1 / standard deviation; running statistics move."""
    shape = (-1, *[1] * (input.ndim - 2))
    if not training:
        assert running_mean is not None
        empty = call.node(0, input.spec.dtype)
        nothing = fn.broadcast_to(empty, (0,))
        return _by_statistics(input, running_mean, running_var, weight, bias, eps, shape), nothing, nothing
    axes = (0, *range(2, input.ndim))
    found, mean, spread = standardized(input, axes, eps)
    flat = fn.reshape(mean, (-1,))
    if running_mean is not None and running_var is not None:
        count = product(input.spec.shape[axis] for axis in axes)
        unbiased = fn.divide_by_size(fn.sum(fn.square(input - mean), axes), add(1, clamp(subtract(count, 2))))
        for name, before, now in (("running_mean", running_mean, flat), ("running_var", running_var, unbiased)):
            call.write(name, before * (1 - momentum) + now * momentum)
    return _affine(found, weight, bias, shape), flat, fn.reshape(fn.reciprocal(spread), (-1,))


@aten("_native_batch_norm_legit_no_training")
def batch_norm_by_statistics(
    call: Call,
    input: Node,
    weight: Node | None,
    bias: Node | None,
    running_mean: Node,
    running_var: Node,
    momentum: float,
    eps: float,
) -> tuple[Node, None, None]:
    """Return x normalized by running statistics."""
    shape = (-1, *[1] * (input.ndim - 2))
    return _by_statistics(input, running_mean, running_var, weight, bias, eps, shape), None, None


@aten("renorm")
def renorm(call: Call, self: Node, p: Any, dim: int, maxnorm: Any) -> Node:
    """Return x with the norms of its parts along an axis at most so large."""
    axes = tuple(axis for axis in range(self.ndim) if axis != dim % self.ndim)
    norm = fn.norm(self, p, axis=axes, keepdims=True)
    return self * fn.where(fn.greater(norm, maxnorm), maxnorm / (norm + 1e-7), 1.0)


@aten("local_response_norm")
def local_response_norm(
    call: Call, input: Node, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Node:
    """Return x divided by a power of the mean of squares of neighbouring channels."""
    before = size // 2
    wide = fn.pad(fn.square(input), ((0, 0), (before, (size - 1) // 2), *[(0, 0)] * (input.ndim - 2)))
    around = fn.mean(fn.windows(wide, (size,), axes=(1,)), axis=-1)
    return input / fn.power(around * alpha + k, beta)
