"""Layers that normalize: to mean 0 and variance 1 over a batch, over features, or over groups of channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core import Array, Node, fn, limits
from ...core.attributes import checked, kind_of, whole
from ...core.symbolic_shapes import add, clamp, product, shown, subtract
from ...errors import ShapeError, UsageError
from ...ops.base import axis_of
from ..argument_validation import checked_flag, checked_number
from ..evaluation_mode import note_evaluation
from ..init import ones, zeros
from .layer import evaluation_meant, only_node
from .layer_parameters import Weighted, along, check_float


class _Normalization(Weighted):
    """Base class: x with mean 0 and variance 1 over some axes, times ``weight``, plus ``bias``."""

    def __init__(self, epsilon: float, use_weight: bool, use_bias: bool, dtype: Any) -> None:
        kind = type(self).__name__
        super().__init__(dtype=dtype)
        self.epsilon: Any = checked_number(f"{kind}: epsilon", epsilon, 0)
        self.use_weight = checked_flag(f"{kind}: use_weight", use_weight)
        self.use_bias = checked_flag(f"{kind}: use_bias", use_bias)
        self.weight: Node | None = None
        self.bias: Node | None = None

    def standardized(self, x: Node, axes: tuple[int, ...]) -> Node:
        """Return x with mean 0 and variance 1 over these axes."""
        check_float(type(self).__name__, x)
        centered = x - fn.mean(x, axes, keepdims=True, name="mean")
        variance = fn.mean(fn.square(centered), axes, keepdims=True, name="variance")
        return centered / fn.sqrt(variance + self.epsilon)

    def scaled(self, x: Node, axes: Sequence[int]) -> Node:
        """Return x * weight + bias, whose parameters lie along these axes."""
        if self.use_weight:
            if self.weight is None:
                self.weight = self.made(x.graph, "weight", self.sizes(x, axes), ones())
            x = x * along(self.weight, x.ndim, axes)
        if self.use_bias:
            if self.bias is None:
                self.bias = self.made(x.graph, "bias", self.sizes(x, axes), zeros())
            x = x + along(self.bias, x.ndim, axes)
        return x


class BatchNorm(_Normalization):
    """Normalize each feature over the batch, and in evaluation by the running statistics of the training.

    In training, the mean and the variance are those of the batch, over all axes but one. A compiled step with updates
    that evaluates them also moves the running statistics: ``running_mean`` to
    ``(1 - momentum) * running_mean + momentum * mean``, and ``running_var`` in the same way, by the unbiased variance.
    It does so whether it reads them or not, once for each call that it evaluates, in the order of the calls. `run` does
    not change them, and neither does a step that is compiled without updates.

    In evaluation, the running statistics take the place of those of the batch. In ``graph.evaluation``, the result in
    training is mapped to that in evaluation. So `fit` and `evaluate` compute their figures with running statistics.

    Parameters
    ----------
    axis : int
        The axis of the features, or channels. All others are normalized over.
    momentum : float
        The share of the new batch in the running statistics, as in PyTorch. That of Keras is 1 minus this.
    epsilon : float
        Added to the variance.
    use_weight, use_bias : bool
        Whether the result is multiplied by ``weight``, and ``bias`` is added.
    dtype : dtype, optional
        The dtype of the parameters. By default, that of the graph.

    Attributes
    ----------
    weight, bias, running_mean, running_var : Node or None
        Of the size of the axis. None before the first call.

    Notes
    -----
    S. Ioffe and C. Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate
    shift", ICML 2015.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> x = gn.Graph().placeholder("x", ("batch", 2))
    >>> layer = nn.BatchNorm()
    >>> y = layer(x, training=True)
    >>> step = gn.compile(y, updates={})
    >>> step({x: [[0.0, 1.0], [2.0, 5.0]]}).round(3)
    array([[-1., -1.],
           [ 1.,  1.]])
    >>> layer.running_mean.value, layer.running_var.value
    (array([0.1, 0.3]), array([1.1, 1.7]))
    """

    def __init__(
        self,
        axis: int = 1,
        momentum: float = 0.1,
        epsilon: float = 1e-5,
        *,
        use_weight: bool = True,
        use_bias: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__(epsilon, use_weight, use_bias, dtype)
        self.axis = whole("BatchNorm: axis", axis)
        self.momentum = checked_number("BatchNorm: momentum", momentum, 0, np.nextafter(1, 2))
        self.running_mean: Node | None = None
        self.running_var: Node | None = None

    def call(self, x: Node, training: bool = False) -> Node:
        """Return x normalized, scaled and shifted."""
        check_float("BatchNorm", only_node(self, x))
        if self.running_mean is None or self.running_var is None:
            size = self.sizes(x, [self.axis])
            self.running_mean, self.running_var = self._statistics(x, size)
        axis = axis_of("BatchNorm", self.axis, x.ndim)
        if not training:
            note_evaluation(x.graph, self.running_mean.scope, evaluation_meant.get())
            return self._by_running_statistics(x, self.running_mean, self.running_var)
        graph = x.graph
        with graph.new_scope("evaluating"):
            evaluated = self._by_running_statistics(x, self.running_mean, self.running_var)
        over = tuple(each for each in range(x.ndim) if each != axis)
        mean = fn.mean(x, over, keepdims=True, name="mean")
        centered = x - mean
        squares = fn.sum(fn.square(centered), over, keepdims=True)
        count = product(x.shape[each] for each in over)
        variance = fn.divide_by_size(squares, count, name="variance")
        with graph.new_scope("update", phase="update"):
            # For a single row, the variance is 0, and not 0 / 0.
            unbiased = fn.divide_by_size(squares, add(1, clamp(subtract(count, 2))), name="unbiased_variance")
            for running, found in ((self.running_mean, mean), (self.running_var, unbiased)):
                graph.advances[running, mean] = self._moved(running, found)
        result = self.scaled(centered / fn.sqrt(variance + self.epsilon), [axis])
        graph.evaluation[result] = evaluated
        return result

    def _statistics(self, x: Node, size: tuple[int, ...]) -> tuple[Node, Node]:
        dtype = self.dtype or x.graph.dtype
        if self.use_weight:
            self.weight = self.made(x.graph, "weight", size, ones())
        if self.use_bias:
            self.bias = self.made(x.graph, "bias", size, zeros())
        mean = x.graph.parameter("running_mean", np.zeros(size, dtype), trainable=False)
        return mean, x.graph.parameter("running_var", np.ones(size, dtype), trainable=False)

    def _by_running_statistics(self, x: Node, mean: Node, variance: Node) -> Node:
        axes = [self.axis % x.ndim]
        centered = x - along(mean, x.ndim, axes)
        return self.scaled(centered / along(fn.sqrt(variance + self.epsilon), x.ndim, axes), axes)

    def _moved(self, running: Node, found: Node) -> Node:
        found = fn.reshape(found, running.shape)
        found = found if found.dtype == running.dtype else fn.cast(found, running.dtype)
        moved = (1 - self.momentum) * running + self.momentum * found
        return moved if moved.dtype == running.dtype else fn.cast(moved, running.dtype)  # of bfloat16, it is float32

    def _from_torch(self, state: dict[str, Array]) -> dict[str, Array]:
        return {name: array for name, array in state.items() if name != "num_batches_tracked"}


class LayerNorm(_Normalization):
    """Normalize each sample over its features.

    Parameters
    ----------
    axes : int or tuple of int
        The axes to normalize over.
    epsilon : float
        Added to the variance.
    use_weight, use_bias : bool
        Whether the result is multiplied by ``weight``, and ``bias`` is added, which have the shape of these axes.
    dtype : dtype, optional
        The dtype of the parameters. By default, that of the graph.

    Notes
    -----
    J. L. Ba, J. R. Kiros and G. E. Hinton, "Layer normalization", 2016.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> gn.run(nn.LayerNorm()(gn.Graph().constant([[0.0, 2.0], [5.0, 1.0]]))).round(3)
    array([[-1.,  1.],
           [ 1., -1.]])
    """

    def __init__(
        self,
        axes: Any = -1,
        epsilon: float = 1e-5,
        *,
        use_weight: bool = True,
        use_bias: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__(epsilon, use_weight, use_bias, dtype)
        self.axes = _checked_axes("LayerNorm", axes)

    def call(self, x: Node) -> Node:
        """Return x normalized, scaled and shifted."""
        axes = _sorted_axes(self, only_node(self, x), self.axes)
        return self.scaled(self.standardized(x, axes), axes)


class RMSNorm(_Normalization):
    """Divide each sample by the root of the mean square of its features.

    Parameters
    ----------
    axes : int or tuple of int
    epsilon : float, optional
        Added to the mean square. By default, the distance from 1 to the next number of the dtype, as in PyTorch.
    use_weight : bool
        Whether the result is multiplied by ``weight``, which has the shape of these axes.
    dtype : dtype, optional
        The dtype of the parameter. By default, that of the graph.

    Notes
    -----
    B. Zhang and R. Sennrich, "Root mean square layer normalization", NeurIPS 2019.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> gn.run(nn.RMSNorm()(gn.Graph().constant([[1.0, 7.0]])))
    array([[0.2, 1.4]])
    """

    def __init__(
        self, axes: Any = -1, epsilon: float | None = None, *, use_weight: bool = True, dtype: Any = None
    ) -> None:
        super().__init__(0.0 if epsilon is None else epsilon, use_weight, False, dtype)
        self.axes = _checked_axes("RMSNorm", axes)
        if epsilon is None:
            self.epsilon = None

    def call(self, x: Node) -> Node:
        """Return x / sqrt(mean(x²) + epsilon), scaled."""
        check_float("RMSNorm", only_node(self, x))
        axes = _sorted_axes(self, x, self.axes)
        epsilon = float(limits(x.dtype).eps) if self.epsilon is None else self.epsilon
        square = fn.mean(fn.square(x), axes, keepdims=True, name="mean_square")
        return self.scaled(x / fn.sqrt(square + epsilon), axes)


class GroupNorm(_Normalization):
    """Normalize each sample over groups of its channels, together with all axes after them.

    Parameters
    ----------
    groups : int
        The number of groups. It divides the number of channels.
    epsilon : float
        Added to the variance.
    use_weight, use_bias : bool
        Whether each channel is multiplied by its ``weight``, and its ``bias`` is added.
    dtype : dtype, optional
        The dtype of the parameters. By default, that of the graph.

    Notes
    -----
    Y. Wu and K. He, "Group normalization", ECCV 2018.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> nn.GroupNorm(2)(gn.Graph().placeholder("x", ("batch", 4, 8, 8)))
    <Node "group_norm_1/add_2": add (batch, 4, 8, 8) float64>
    """

    def __init__(
        self,
        groups: int,
        epsilon: float = 1e-5,
        *,
        use_weight: bool = True,
        use_bias: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__(epsilon, use_weight, use_bias, dtype)
        self.groups = whole("GroupNorm: groups", groups, 1)

    def call(self, x: Node) -> Node:
        """Return x normalized, scaled and shifted."""
        (channels,) = self.sizes(only_node(self, x), [1], "the groups")
        if channels % self.groups:
            raise ShapeError(
                f'GroupNorm: {self.groups} groups do not divide the {channels} channels of "{x.name}" {shown(x.shape)}'
            )
        split = fn.reshape(x, (x.shape[0], self.groups, channels // self.groups, *x.shape[2:]))
        normal = self.standardized(split, tuple(range(2, split.ndim)))
        return self.scaled(fn.reshape(normal, x.shape), [1])


class InstanceNorm(_Normalization):
    """Normalize each channel of each sample over all axes after it; without parameters by default, as in PyTorch.

    Parameters
    ----------
    epsilon : float
        Added to the variance.
    use_weight, use_bias : bool
        Whether each channel is multiplied by its ``weight``, and its ``bias`` is added.
    dtype : dtype, optional
        The dtype of the parameters. By default, that of the graph.

    Notes
    -----
    D. Ulyanov, A. Vedaldi and V. Lempitsky, "Instance normalization: the missing ingredient for fast stylization",
    2016.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> nn.InstanceNorm()(gn.Graph().placeholder("x", ("batch", 4, 8, 8)))
    <Node "instance_norm_1/divide": divide (batch, 4, 8, 8) float64>
    """

    def __init__(
        self, epsilon: float = 1e-5, *, use_weight: bool = False, use_bias: bool = False, dtype: Any = None
    ) -> None:
        super().__init__(epsilon, use_weight, use_bias, dtype)

    def call(self, x: Node) -> Node:
        """Return x normalized, scaled and shifted."""
        if only_node(self, x).ndim < 3:
            raise ShapeError(
                f'InstanceNorm normalizes over the axes after the channels, and "{x.name}" {shown(x.shape)} has none'
            )
        return self.scaled(self.standardized(x, tuple(range(2, x.ndim))), [1])


def _checked_axes(kind: str, axes: Any) -> tuple[int, ...]:
    given = checked(kind, "axes", kind_of(int | tuple[int, ...]), tuple(axes) if isinstance(axes, list) else axes)
    if given == ():
        raise UsageError(f"{kind}: axes has one axis or more")
    return given if isinstance(given, tuple) else (given,)


def _sorted_axes(layer: Weighted, x: Node, axes: tuple[int, ...]) -> tuple[int, ...]:
    """Return axes as numbers from 0 up, in order; their sizes are numbers."""
    layer.sizes(x, axes)
    return tuple(sorted({axis % x.ndim for axis in axes}))
