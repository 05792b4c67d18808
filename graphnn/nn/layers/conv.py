"""Convolutions, and layers that enlarge: channels first, along one, two or three axes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ...core import Array, Node, fn
from ...core.attributes import whole
from ...core.symbolic_shapes import shown
from ...errors import ShapeError, UsageError
from ..argument_validation import check_choice, checked_flag
from ..init import Initializer, Rng, checked_initializer, glorot_uniform, zeros
from .dense_and_activations import _Activated, _checked_activation
from .layer import Layer, only_node
from .layer_parameters import Weighted, along, check_axes, check_float, sizes


class _Convolution(Weighted, _Activated):
    """Base class of the convolutions: a kernel, a bias, and an activation."""

    axes: ClassVar[int]
    inputs_first: ClassVar[bool] = False
    """Whether the kernel has its inputs on the first axis, and its outputs on the second."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        *,
        padding_mode: str = "constant",
        activation: Any = None,
        use_bias: bool = True,
        weight_init: Any = glorot_uniform,
        bias_init: Any = zeros,
        weight: Any = None,
        bias: Any = None,
        rng: Rng | None = None,
        dtype: Any = None,
    ) -> None:
        kind = type(self).__name__
        super().__init__(rng, dtype)
        self.filters = whole(f"{kind}: filters", filters, 1)
        self.kernel_size = _per_axis(f"{kind}: kernel_size", kernel_size, self.axes)
        self.stride = _per_axis(f"{kind}: stride", stride, self.axes)
        self.dilation = _per_axis(f"{kind}: dilation", dilation, self.axes)
        self.padding = tuple(padding) if isinstance(padding, list) else padding
        check_choice(kind, "padding_mode", padding_mode, ("constant", "edge", "reflect", "symmetric", "wrap"))
        self.padding_mode = padding_mode
        self.groups = whole(f"{kind}: groups", groups, 1)
        if self.filters % self.groups:
            raise ShapeError(f"{kind}: {self.groups} groups do not divide {self.filters} filters")
        self.activation = _checked_activation(activation, f"{kind}: activation")
        self.use_bias = checked_flag(f"{kind}: use_bias", use_bias)
        if isinstance(bias, bool):
            raise UsageError(f"{kind}: bias= is the initial value of the bias, not a bool: write use_bias={bias}")
        if bias is not None and not use_bias:
            raise UsageError(f"{kind}: bias= and use_bias=False contradict each other")
        self.weight_init = checked_initializer(weight_init, f"{kind}: weight_init")
        self.bias_init = checked_initializer(bias_init, f"{kind}: bias_init")
        self.weight: Node | None = None
        self.bias: Node | None = None
        self._given = weight, bias

    def call(self, x: Node) -> Node:
        """Return the convolution of x with the kernel, plus the bias of each filter."""
        kind = type(self).__name__
        check_axes(kind, only_node(self, x), self.axes)
        check_float(kind, x)
        (channels,) = self.sizes(x, [1])
        if channels % self.groups:
            raise ShapeError(
                f'{kind}: {self.groups} groups do not divide the {channels} channels of "{x.name}" {shown(x.shape)}'
            )
        self._check_fits(x)  # before there are parameters
        if self.weight is None:
            weight = self.made(
                x.graph, "weight", self._kernel_shape(channels), self._in_keras_order(self.weight_init), self._given[0]
            )
            if self.use_bias:
                self.bias = self.made(x.graph, "bias", (self.filters,), self.bias_init, self._given[1])
            self.weight = weight  # last: when it is set, both are made
        result = self._convolved(x, self.weight)
        return result if self.bias is None else result + along(self.bias, result.ndim, [1])

    def _check_fits(self, x: Node) -> None:
        if self.inputs_first or (isinstance(self.padding, str) and self.padding != "valid"):
            return
        widths = [(0, 0)] * self.axes if self.padding == "valid" else self._widths()
        for axis, size, step, width in zip(range(2, x.ndim), self.kernel_size, self.dilation, widths, strict=True):
            n = x.shape[axis]
            if isinstance(n, int) and n + sum(width) <= (size - 1) * step:
                spread = f" with a dilation of {step}" if step > 1 else ""
                last = ": channels are axis 1, and gn.moveaxis(x, -1, 1) moves the last axis there"
                raise ShapeError(
                    f"{type(self).__name__}: a kernel of {size}{spread} does not fit into axis {axis} of "
                    f'"{x.name}" {shown(x.shape)}{last if x.shape[-1] in (1, 3, 4) else ""}'
                )

    def _kernel_shape(self, channels: int) -> tuple[int, ...]:
        return (self.filters, channels // self.groups, *self.kernel_size)

    def _convolved(self, x: Node, weight: Node) -> Node:
        padding = self.padding
        if self.padding_mode != "constant" and padding != "valid":
            x, padding = fn.pad(x, ((0, 0), (0, 0), *self._widths()), mode=self.padding_mode), 0
        return fn.conv(x, weight, self.stride, padding, self.dilation, self.groups)

    def _widths(self) -> list[tuple[int, int]]:
        """Return how much is padded before and after each axis."""
        if self.padding == "same":
            if set(self.stride) != {1}:
                raise UsageError(f'{type(self).__name__}: padding="same" by a padding_mode takes a stride of 1')
            spans = [(size - 1) * step for size, step in zip(self.kernel_size, self.dilation, strict=True)]
            return [(span // 2, span - span // 2) for span in spans]
        given = self.padding if isinstance(self.padding, tuple) else (self.padding,) * self.axes
        pairs = [each if isinstance(each, (tuple, list)) else (each, each) for each in given]
        what = f"{type(self).__name__}: padding"
        if len(pairs) != self.axes or any(len(pair) != 2 for pair in pairs):
            raise ShapeError(f"{what} is one number, or a number or a pair for each of {self.axes} axes")
        return [(whole(what, before, 0), whole(what, after, 0)) for before, after in pairs]

    def _in_keras_order(self, init: Initializer) -> Initializer:
        """Return an initializer that draws (kernel, inputs, outputs), the order by which initializers count inputs."""

        def drawn(shape: tuple[int, ...], dtype: np.dtype[Any], rng: Rng) -> Array:
            first, second = shape[:2]
            inputs, outputs = (first, second) if self.inputs_first else (second, first)
            array = np.asarray(init((*shape[2:], inputs, outputs), dtype, rng))
            return np.moveaxis(array, (-2, -1), (0, 1) if self.inputs_first else (1, 0))

        return drawn


class Conv1D(_Convolution):
    """A convolution along one axis: (batch, channels, time). Its settings are those of `Conv2D`.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> nn.Conv1D(4, 3, stride=2)(gn.Graph().placeholder("x", ("batch", 2, 9)))
    <Node "conv1d_1/add": add (batch, 4, 4) float64>
    """

    axes = 1


class Conv2D(_Convolution):
    """A convolution along two axes: (batch, channels, height, width) to (batch, filters, height, width).

    The parameters ``weight`` (filters, channels / groups, height, width of the kernel), as PyTorch's, and ``bias``
    (filters,) are made at the first call.

    Parameters
    ----------
    filters : int
        The number of channels of the result.
    kernel_size : int or tuple of int
        For all axes, or for each. So are stride and dilation.
    stride : int or tuple of int
        The step from one window to the next.
    padding : int, tuple, or {"valid", "same"}
        So many zeros at both ends of each axis; a tuple has a number for each axis, or a pair (before, after).
        "valid" is 0. "same" gives as many elements as there are, divided by the stride, rounded up.
    padding_mode : {"constant", "edge", "reflect", "symmetric", "wrap"}
        What is padded: zeros, or elements of the input, as `numpy.pad` takes them. PyTorch calls these modes "zeros",
        "replicate", "reflect" and "circular".
    dilation : int or tuple of int
        The step from one element of a window to the next.
    groups : int
        Channels and filters are in so many groups; a filter reads only the channels of its own. As many groups as
        channels make a depthwise convolution.
    activation : str, Layer or callable, optional
        Applied to the result, as in `Dense`.
    use_bias : bool
    weight_init, bias_init : initializer
        From `nn.init`, or any function ``(shape, dtype, rng) -> array``. The weight is drawn in the order (height,
        width, channels / groups, filters), and then transposed.
    weight, bias : array_like, optional
        The initial values, instead of random ones.
    rng : numpy.random.Generator or numpy.random.RandomState, optional
        Draws the weight, then the bias, as in `Dense`.
    dtype : dtype, optional
        The dtype of the parameters, as in `Dense`.

    Attributes
    ----------
    weight, bias : Node or None
        None before the first call; `bias` is also None if there is none.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> x = gn.Graph().placeholder("x", ("batch", 1, 28, 28))
    >>> nn.Conv2D(32, 3, padding="same")(x)
    <Node "conv2d_1/add": add (batch, 32, 28, 28) float64>
    >>> x.graph["conv2d_1/weight"].shape
    (32, 1, 3, 3)
    """

    axes = 2


class Conv3D(_Convolution):
    """A convolution along three axes: (batch, channels, depth, height, width). Its settings are those of `Conv2D`."""

    axes = 3


class _Transposed(_Convolution):
    """Base class of the transposed convolutions."""

    inputs_first = True

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        *,
        activation: Any = None,
        use_bias: bool = True,
        weight_init: Any = glorot_uniform,
        bias_init: Any = zeros,
        weight: Any = None,
        bias: Any = None,
        rng: Rng | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            filters,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            activation=activation,
            use_bias=use_bias,
            weight_init=weight_init,
            bias_init=bias_init,
            weight=weight,
            bias=bias,
            rng=rng,
            dtype=dtype,
        )
        self.output_padding = _per_axis(f"{type(self).__name__}: output_padding", output_padding, self.axes, least=0)

    def _kernel_shape(self, channels: int) -> tuple[int, ...]:
        return (channels, self.filters // self.groups, *self.kernel_size)

    def _convolved(self, x: Node, weight: Node) -> Node:
        return fn.conv_transpose(x, weight, self.stride, self.padding, self.output_padding, self.dilation, self.groups)


class ConvTranspose1D(_Transposed):
    """A transposed convolution along one axis, which enlarges. Its settings are those of `ConvTranspose2D`."""

    axes = 1


class ConvTranspose2D(_Transposed):
    """A transposed convolution along two axes, which enlarges: the gradient of a `Conv2D` with respect to its input.

    The parameters ``weight`` (channels, filters / groups, height, width of the kernel), as PyTorch's, and ``bias``
    (filters,) are made at the first call.

    Parameters
    ----------
    filters : int
    kernel_size, stride : int or tuple of int
    padding : int, tuple, or {"valid", "same"}
        So many elements are cut off at both ends. "same" gives `stride` times as many elements as there are.
    output_padding : int or tuple of int
        So many elements more at the end of each axis; what no window reaches is the bias.
    dilation : int or tuple of int
    groups : int
    **settings
        As in `Conv2D`.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> x = gn.Graph().placeholder("x", ("batch", 8, 7, 7))
    >>> nn.ConvTranspose2D(4, 2, stride=2)(x)
    <Node "conv_transpose2d_1/add": add (batch, 4, 14, 14) float64>
    """

    axes = 2


class ConvTranspose3D(_Transposed):
    """A transposed convolution along three axes, which enlarges. Its settings are those of `ConvTranspose2D`."""

    axes = 3


class UpSample(Layer):
    """Enlarge all axes after the channels.

    Parameters
    ----------
    size : int or tuple of int
        How many times as large, for all axes or for each.
    mode : {"nearest", "linear"}
        "nearest" repeats each element. "linear" interpolates between the centers of the elements, along each axis: in
        two axes, it is bilinear, as in PyTorch without ``align_corners``.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> x = gn.Graph().constant([[[0.0, 4.0]]])
    >>> gn.run([nn.UpSample(2)(x), nn.UpSample(2, "linear")(x)])
    [array([[[0., 0., 4., 4.]]]), array([[[0., 1., 3., 4.]]])]
    """

    def __init__(self, size: Any = 2, mode: str = "nearest") -> None:
        check_choice("UpSample", "mode", mode, ("nearest", "linear"))
        self.size, self.mode = _per_axis("UpSample: size", size, None), mode

    def call(self, x: Node) -> Node:
        """Return x enlarged."""
        if only_node(self, x).ndim < 3:
            raise ShapeError(f'UpSample takes (batch, channels, …), and "{x.name}" has shape {shown(x.shape)}')
        times = self.size if len(self.size) > 1 else self.size * (x.ndim - 2)
        if len(times) != x.ndim - 2:
            raise ShapeError(f'UpSample: size has {len(times)} numbers, and "{x.name}" {x.ndim - 2} axes to enlarge')
        for axis, count in enumerate(times, start=2):
            if count > 1:
                x = fn.repeat(x, count, axis=axis) if self.mode == "nearest" else self._interpolated(x, axis, count)
        return x

    def _interpolated(self, x: Node, axis: int, times: int) -> Node:
        check_float("UpSample", x)
        (size,) = sizes("UpSample", x, [axis], "interpolation")
        places = np.clip((np.arange(size * times) + 0.5) / times - 0.5, 0, size - 1)
        shares = np.maximum(0.0, 1.0 - np.abs(places[:, None] - np.arange(size)))  # (enlarged, size)
        enlarged = fn.matmul(fn.moveaxis(x, axis, -1), x.graph.constant(shares.T.astype(x.dtype)))
        return fn.moveaxis(enlarged, -1, axis)


def _per_axis(what: str, value: Any, axes: int | None, least: int = 1) -> tuple[int, ...]:
    """Return a setting for each axis; a single number is for all."""
    given = tuple(value) if isinstance(value, (tuple, list)) else (value,) * (axes or 1)
    if axes is not None and len(given) != axes:
        raise ShapeError(f"{what} is one number or {axes}, not {len(given)}")
    return tuple(whole(what, each, least) for each in given)
