"""Pooling: the maximum or the mean of windows, of parts, or of everything after the channels."""

from __future__ import annotations

from typing import Any, ClassVar

from ...core import Node, fn
from ..argument_validation import checked_flag
from .layer import Layer, only_node
from .layer_parameters import check_axes


class _Pool(Layer):
    """Base class: checks the number of axes. A subclass says in `pooled` what becomes of x."""

    axes: ClassVar[int]

    def call(self, x: Node) -> Node:
        """Return x pooled."""
        check_axes(type(self).__name__, only_node(self, x), self.axes)
        return self.pooled(x)

    def pooled(self, x: Node) -> Node:
        """Return x pooled; x has the right number of axes."""
        raise NotImplementedError


def _setting(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class _MaxPool(_Pool):
    def __init__(self, size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1) -> None:
        self.size, self.stride = _setting(size), _setting(stride)
        self.padding, self.dilation = _setting(padding), _setting(dilation)

    def pooled(self, x: Node) -> Node:
        """Return the largest element of each window."""
        return fn.max_pool(x, self.size, self.stride, self.padding, self.dilation)


class MaxPool1D(_MaxPool):
    """The largest element of each window along one axis. Its settings are those of `MaxPool2D`."""

    axes = 1


class MaxPool2D(_MaxPool):
    """The largest element of each window, of each channel; the first of several that tie has the gradient.

    Parameters
    ----------
    size : int or tuple of int
        Of the windows, for both axes or for each.
    stride : int or tuple of int, optional
        The step from one window to the next. By default the size, so that windows lie side by side.
    padding : int, tuple, or {"valid", "same"}
        As in `Conv2D`. What is padded is smaller than every number.
    dilation : int or tuple of int
        The step from one element of a window to the next.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> nn.MaxPool2D(2)(gn.Graph().placeholder("x", ("batch", 8, 28, 28)))
    <Node "max_pool2d_1/max_pool_1/max": max (batch, 8, 14, 14) float64>
    """

    axes = 2


class MaxPool3D(_MaxPool):
    """The largest element of each window along three axes. Its settings are those of `MaxPool2D`."""

    axes = 3


class _AveragePool(_Pool):
    def __init__(self, size: Any, stride: Any = None, padding: Any = 0, *, count_include_pad: bool = True) -> None:
        self.size, self.stride, self.padding = _setting(size), _setting(stride), _setting(padding)
        self.count_include_pad = checked_flag(f"{type(self).__name__}: count_include_pad", count_include_pad)

    def pooled(self, x: Node) -> Node:
        """Return the mean of each window."""
        return fn.average_pool(x, self.size, self.stride, self.padding, self.count_include_pad)


class AveragePool1D(_AveragePool):
    """The mean of each window along one axis. Its settings are those of `AveragePool2D`."""

    axes = 1


class AveragePool2D(_AveragePool):
    """The mean of each window, of each channel.

    Parameters
    ----------
    size : int or tuple of int
        Of the windows, for both axes or for each.
    stride : int or tuple of int, optional
        The step from one window to the next. By default the size, so that windows lie side by side.
    padding : int, tuple, or {"valid", "same"}
        As in `Conv2D`.
    count_include_pad : bool
        Whether the zeros of the padding count, as by default in PyTorch. Keras leaves them out.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> nn.AveragePool2D(2)(gn.Graph().placeholder("x", ("batch", 8, 28, 28))).shape
    ('batch', 8, 14, 14)
    """

    axes = 2


class AveragePool3D(_AveragePool):
    """The mean of each window along three axes. Its settings are those of `AveragePool2D`."""

    axes = 3


class _GlobalAveragePool(_Pool):
    def pooled(self, x: Node) -> Node:
        """Return the mean over all axes after the channels."""
        return fn.mean(x, tuple(range(2, x.ndim)))


class GlobalAveragePool1D(_GlobalAveragePool):
    """The mean of each channel along one axis: (batch, channels, time) to (batch, channels)."""

    axes = 1


class GlobalAveragePool2D(_GlobalAveragePool):
    """The mean of each channel: (batch, channels, height, width) to (batch, channels).

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> nn.GlobalAveragePool2D()(gn.Graph().placeholder("x", ("batch", 8, 7, 7))).shape
    ('batch', 8)
    """

    axes = 2


class GlobalAveragePool3D(_GlobalAveragePool):
    """The mean of each channel along three axes: to (batch, channels)."""

    axes = 3


class _GlobalMaxPool(_Pool):
    def pooled(self, x: Node) -> Node:
        """Return the largest element over all axes after the channels."""
        return fn.max(x, tuple(range(2, x.ndim)), ties="first")


class GlobalMaxPool1D(_GlobalMaxPool):
    """The largest element of each channel along one axis: (batch, channels, time) to (batch, channels)."""

    axes = 1


class GlobalMaxPool2D(_GlobalMaxPool):
    """The largest element of each channel: (batch, channels, height, width) to (batch, channels)."""

    axes = 2


class GlobalMaxPool3D(_GlobalMaxPool):
    """The largest element of each channel along three axes: to (batch, channels)."""

    axes = 3


class _Adaptive(_Pool):
    def __init__(self, size: Any) -> None:
        self.size = _setting(size)


class _AdaptiveAveragePool(_Adaptive):
    def pooled(self, x: Node) -> Node:
        """Return the means of so many parts along each axis."""
        return fn.adaptive_average_pool(x, self.size)


class AdaptiveAveragePool1D(_AdaptiveAveragePool):
    """The means of so many parts along one axis, as `AdaptiveAveragePool2D` makes them."""

    axes = 1


class AdaptiveAveragePool2D(_AdaptiveAveragePool):
    """The means of so many parts along each axis, whatever its size.

    Parameters
    ----------
    size : int or tuple of int
        The number of parts, for both axes or for each. They overlap by one where they do not divide the axis.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> nn.AdaptiveAveragePool2D((2, 3))(gn.Graph().placeholder("x", ("batch", 8, 7, 7))).shape
    ('batch', 8, 2, 3)
    """

    axes = 2


class AdaptiveAveragePool3D(_AdaptiveAveragePool):
    """The means of so many parts along three axes, as `AdaptiveAveragePool2D` makes them."""

    axes = 3


class _AdaptiveMaxPool(_Adaptive):
    def pooled(self, x: Node) -> Node:
        """Return the largest elements of so many parts along each axis."""
        return fn.adaptive_max_pool(x, self.size)


class AdaptiveMaxPool1D(_AdaptiveMaxPool):
    """The largest elements of so many parts along one axis, as `AdaptiveAveragePool2D` makes them."""

    axes = 1


class AdaptiveMaxPool2D(_AdaptiveMaxPool):
    """The largest elements of so many parts along two axes, as `AdaptiveAveragePool2D` makes them."""

    axes = 2


class AdaptiveMaxPool3D(_AdaptiveMaxPool):
    """The largest elements of so many parts along three axes, as `AdaptiveAveragePool2D` makes them."""

    axes = 3
