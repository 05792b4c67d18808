"""Convolution and pooling, composed of windows, so that every step is a node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from string import ascii_lowercase
from typing import Annotated, Any

import numpy as np

from ..core import Dim, Either, Node, Several, Whole, composition, fn
from ..core.attributes import Choice
from ..core.symbolic_shapes import add, clamp, floor_divide, multiply, product, shown, subtract
from ..errors import ShapeError, UsageError
from .sliding_windows import LENGTH, Lengths, each

_COUNT = Whole(0, 2**63 - 1)
Parts = Annotated[int | tuple[int, ...], Either(Whole(1, 2**16), Several(Whole(1, 2**16)))]
"""So few that each part of an axis can take nodes of its own."""
Padding = Annotated[Any, Either(Choice(["valid", "same"]), _COUNT, Several(_COUNT), Several(Several(_COUNT)))]
"""``"valid"``, ``"same"``, a width for all ends, one for each axis, or (before, after) for each axis."""
Counts = Annotated[int | tuple[int, ...], Either(_COUNT, Several(_COUNT))]
_Pair = tuple[Dim, Dim]


def _same(n: Dim, size: int, stride: int, dilation: int) -> _Pair:
    """Return how much padding gives ceil(n / stride) windows; of an odd number, one more goes after."""
    last = multiply(subtract(floor_divide(add(n, stride - 1), stride), 1), stride)
    total = size * dilation - dilation if stride == 1 else clamp(subtract(add(last, (size - 1) * dilation + 1), n))
    before = floor_divide(total, 2)
    return before, subtract(total, before)


def _padding(
    name: str, padding: Any, lengths: Sequence[Dim], sizes: Sequence[int], strides: Sequence[int], dilations: Any
) -> list[_Pair]:
    """Return what goes before and after each axis that windows slide along."""
    if padding == "same":
        return [_same(*each) for each in zip(lengths, sizes, strides, dilations, strict=True)]
    widths = each(name, "padding", 0 if padding == "valid" else padding, len(lengths))
    pairs = [width if isinstance(width, tuple) else (width, width) for width in widths]
    if any(len(pair) != 2 for pair in pairs):
        raise ShapeError(f"{name}: padding of an axis is one width, or one before and one after, not {padding}")
    return pairs


def _padded(x: Node, pairs: Sequence[_Pair], value: float = 0) -> Node:
    """Return x padded along its last axes, if there is something to pad."""
    if all(pair == (0, 0) for pair in pairs):
        return x
    return fn.pad(x, (*[(0, 0)] * (x.ndim - len(pairs)), *pairs), constant_values=value)


def _spatial(name: str, x: Node, more: str = "") -> int:
    """Return how many axes windows slide along: all but the batch and the channels."""
    if x.ndim < 3:
        raise ShapeError(
            f"{name} takes x of shape (batch, channels, ...) with one axis or more{more}, not {shown(x.shape)}"
        )
    return x.ndim - 2


def _kernel(name: str, x: Node, w: Node, groups: int, inputs: int) -> tuple[int, ...]:
    """Return the size of a kernel; raise an error where it does not fit x."""
    axes = _spatial(name, x, " after them")
    if w.ndim != x.ndim:
        raise ShapeError(f"{name} takes a kernel of {axes + 2} axes for x of {shown(x.shape)}, not {shown(w.shape)}")
    if not all(isinstance(dim, int) for dim in (*w.shape, x.shape[1])):
        raise ShapeError(
            f"{name}: channels and kernels are sizes without names, not {shown(x.shape)}, {shown(w.shape)}"
        )
    given, filters = x.shape[1], w.shape[0]
    if given != w.shape[inputs] * (groups if inputs else 1):
        wanted = f"{w.shape[inputs]} channels" + (f" in each of {groups} groups" if groups > 1 and inputs else "")
        raise ShapeError(f"{name}: the kernel {shown(w.shape)} takes {wanted}, and x has {given}")
    if filters % groups:
        raise ShapeError(f"{name}: {filters} {'filters' if inputs else 'channels'} do not divide into {groups} groups")
    return tuple(map(int, w.shape[2:]))


@composition
def conv(
    x: Any, w: Any, stride: Lengths = 1, padding: Padding = 0, dilation: Lengths = 1, groups: Annotated[int, LENGTH] = 1
) -> Node:
    """Return the convolution of x with a kernel: the products of its windows with it, as in every network.

    The kernel is not turned around, as mathematics has it. It is composed of `pad`, `windows`, and a product of
    matrices, in a scope of its own, for any number of axes.

    Parameters
    ----------
    x : Node
        Of shape (batch, channels, ...).
    w : Node
        The kernel, of shape (filters, channels / groups, ...), as PyTorch's.
    stride, dilation : int or tuple of int
        Of the windows, for all axes or each.
    padding : int, tuple, or str
        So many zeros at both ends of each axis; a tuple has a number for each axis, or a pair (before, after).
        ``"valid"`` is 0; ``"same"`` gives as many windows as there are elements, divided by the stride, rounded up.
    groups : int
        Filters and channels are in so many groups; a filter reads only the channels of its own.

    Returns
    -------
    Node
        Of shape (batch, filters, ...).

    Raises
    ------
    ShapeError
        When the kernel does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> g = gn.Graph()
    >>> x = g.placeholder("x", shape=("n", 1, 4, 4))
    >>> y = gn.conv(x, np.ones((2, 1, 3, 3)), padding="same")
    >>> y
    <Node "conv_1/reshape_3": reshape (n, 2, 4, 4) float64>
    >>> gn.run(y, {x: np.ones((1, 1, 4, 4))})[0, 0]
    array([[4., 6., 6., 4.],
           [6., 9., 9., 6.],
           [6., 9., 9., 6.],
           [4., 6., 6., 4.]])
    """
    x, w = _nodes(x, w)
    sizes = _kernel("conv", x, w, groups, 1)
    axes = len(sizes)
    strides, dilations = (each("conv", *setting, axes) for setting in (("stride", stride), ("dilation", dilation)))
    pairs = _padding("conv", padding, x.shape[2:], sizes, strides, dilations)
    filters, channels = w.shape[:2]
    with x.graph.new_scope("conv", numbered=True, kind="conv"):
        x = _padded(x, pairs)
        if set(sizes) == {1}:
            slices = tuple(slice(None, None, stride) for stride in strides)
            columns = x if set(strides) == {1} else fn.getitem(x, (slice(None), slice(None), *slices))
            counts = columns.shape[2:]
        else:
            moving = fn.windows(x, sizes, strides, dilations, tuple(range(2, axes + 2)))
            counts = moving.shape[2 : axes + 2]
            if groups == filters == x.shape[1]:
                inner, outer = ascii_lowercase[:axes], ascii_lowercase[axes : 2 * axes]
                kernel = fn.reshape(w, (filters, *sizes))
                return fn.einsum(f"YZ{outer}{inner},Z{inner}->YZ{outer}", moving, kernel)
            order = (0, 1, *range(axes + 2, 2 * axes + 2), *range(2, axes + 2))
            columns = fn.transpose(moving, order)
        batch, length = (x.shape[0], *([groups] if groups > 1 else [])), product((channels, *sizes))
        columns = fn.reshape(columns, (*batch, length, product(counts)))
        kernel = fn.reshape(w, (*batch[1:], filters // groups, length))
        return fn.reshape(fn.matmul(kernel, columns), (x.shape[0], filters, *counts))


def _nodes(x: Any, w: Any) -> tuple[Node, Node]:
    """Return two operands as nodes, one of which is one."""
    graph = x.graph if isinstance(x, Node) else w.graph
    return x if isinstance(x, Node) else graph.constant(x), w if isinstance(w, Node) else graph.constant(w)


@composition
def conv_transpose(
    x: Any,
    w: Any,
    stride: Lengths = 1,
    padding: Padding = 0,
    output_padding: Counts = 0,
    dilation: Lengths = 1,
    groups: Annotated[int, LENGTH] = 1,
) -> Node:
    """Return the transposed convolution of x with a kernel: the adjoint of `conv`, which enlarges.

    Each element of x becomes a kernel times it; where these overlap, they are added, by `fold`.

    Parameters
    ----------
    x : Node
        Of shape (batch, channels, ...).
    w : Node
        The kernel, of shape (channels, filters / groups, ...), as PyTorch's.
    stride, dilation : int or tuple of int
        Of the windows that are added, for all axes or each.
    padding : int, tuple, or str
        So many elements are cut off both ends, as `conv` takes them; ``"same"`` gives `stride` times as many
        elements as x has.
    output_padding : int or tuple of int
        So many elements more at the end of each axis. What no window reaches is 0; PyTorch refuses as many as
        `stride` and `dilation`.
    groups : int

    Returns
    -------
    Node
        Of shape (batch, filters, ...).

    Raises
    ------
    ShapeError
        When the kernel does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> g = gn.Graph()
    >>> x = g.placeholder("x", shape=("n", 1, 3))
    >>> gn.run(gn.conv_transpose(x, np.ones((1, 1, 3)), stride=2), {x: [[[1.0, 2.0, 3.0]]]})
    array([[[1., 1., 3., 2., 5., 3., 3.]]])
    """
    x, w = _nodes(x, w)
    name = "conv_transpose"
    sizes = _kernel(name, x, w, groups, 0)
    axes = len(sizes)
    strides, dilations = (each(name, *setting, axes) for setting in (("stride", stride), ("dilation", dilation)))
    more = each(name, "output_padding", output_padding, axes)
    spans = [(size - 1) * dilation + 1 for size, dilation in zip(sizes, dilations, strict=True)]
    if padding == "same":
        cut = [(max(span - s, 0) // 2, -(-max(span - s, 0) // 2)) for span, s in zip(spans, strides, strict=True)]
        more = tuple(m + max(s - span, 0) for m, span, s in zip(more, spans, strides, strict=True))
    else:
        cut = _padding(name, padding, x.shape[2:], sizes, strides, dilations)
    counts, channels, filters = x.shape[2:], w.shape[0] // groups, w.shape[1]
    batch = (x.shape[0], *([groups] if groups > 1 else []))
    with x.graph.new_scope(name, numbered=True, kind=name):
        kernel = fn.swapaxes(fn.reshape(w, (*batch[1:], channels, product((filters, *sizes)))), -1, -2)
        columns = fn.matmul(kernel, fn.reshape(x, (*batch, channels, product(counts))))
        moving = fn.reshape(columns, (x.shape[0], filters * groups, *sizes, *counts))
        moving = fn.transpose(moving, (0, 1, *range(axes + 2, 2 * axes + 2), *range(2, axes + 2)))
        whole = [add(multiply(subtract(n, 1), s), span) for n, s, span in zip(counts, strides, spans, strict=True)]
        y = fn.fold(
            moving, (x.shape[0], filters * groups, *whole), sizes, strides, dilations, tuple(range(2, axes + 2))
        )
        y = _padded(y, [(0, max(m - after, 0)) for m, (_, after) in zip(more, cut, strict=True)])
        if all(before == 0 and m >= after for m, (before, after) in zip(more, cut, strict=True)):
            return y
        kept = [slice(before, min(m - after, 0) or None) for m, (before, after) in zip(more, cut, strict=True)]
        return fn.getitem(y, (slice(None), slice(None), *kept))


def _pooled(
    name: str, x: Node, size: Any, stride: Any, padding: Any, dilation: Any, value: float
) -> tuple[Node, tuple[int, ...], list[_Pair]]:
    """Return the windows of padded x, with the axes of a window in front; their axes; and the padding."""
    axes = _spatial(name, x, " after them")
    sizes = each(name, "size", size, axes)
    strides = sizes if stride is None else each(name, "stride", stride, axes)
    dilations = each(name, "dilation", dilation, axes)
    pairs = _padding(name, padding, x.shape[2:], sizes, strides, dilations)
    for pair, k, d in zip(pairs, sizes, dilations, strict=True):
        if padding != "same" and max(pair) > (k - 1) * d:
            raise ShapeError(f"{name}: a padding of {pair} would leave windows of {k} with nothing of x in them")
    moving = fn.windows(_padded(x, pairs, value), sizes, strides, dilations, tuple(range(2, axes + 2)))
    within = tuple(range(axes + 2, 2 * axes + 2))
    return fn.transpose(moving, (*within, *range(axes + 2))), tuple(range(axes)), pairs


@composition
def max_pool(x: Any, size: Lengths, stride: Lengths | None = None, padding: Padding = 0, dilation: Lengths = 1) -> Node:
    """Return the largest element of each window of x; the first of several that tie has the gradient.

    Parameters
    ----------
    x : Node
        Of shape (batch, channels, ...).
    size : int or tuple of int
        Of the windows, for all axes or each.
    stride : int or tuple of int, optional
        By default the size: windows lie side by side.
    padding : int, tuple, or str
        As `conv` takes it. What is padded is smaller than every number.
    dilation : int or tuple of int

    Returns
    -------
    Node

    Raises
    ------
    ShapeError
        When the windows do not fit.

    Examples
    --------
    >>> import graphnn as gn
    >>> g = gn.Graph()
    >>> x = g.placeholder("x", shape=("n", 1, 4))
    >>> gn.run(gn.max_pool(x, 2), {x: [[[1.0, 2.0, 5.0, 4.0]]]})
    array([[[2., 5.]]])
    """
    least = -np.inf if x.dtype.kind == "f" else int(np.iinfo(x.dtype).min) if x.dtype.kind in "iu" else 0
    with x.graph.new_scope("max_pool", numbered=True, kind="max_pool"):
        moving, axes, _ = _pooled("max_pool", x, size, stride, padding, dilation, least)
        return fn.max(moving, axis=axes, ties="first")


@composition
def average_pool(
    x: Any, size: Lengths, stride: Lengths | None = None, padding: Padding = 0, count_include_pad: bool = True
) -> Node:
    """Return the mean of each window of x.

    Parameters
    ----------
    x : Node
        Of shape (batch, channels, ...).
    size : int or tuple of int
        Of the windows, for all axes or each.
    stride : int or tuple of int, optional
        By default the size: windows lie side by side.
    padding : int, tuple, or str
        As `conv` takes it.
    count_include_pad : bool
        Whether the zeros of the padding count, as in PyTorch by default; Keras leaves them out.

    Returns
    -------
    Node

    Raises
    ------
    ShapeError
        When the windows do not fit.

    Examples
    --------
    >>> import graphnn as gn
    >>> g = gn.Graph()
    >>> x = g.placeholder("x", shape=("n", 1, 4))
    >>> gn.run(gn.average_pool(x, 2), {x: [[[1.0, 2.0, 5.0, 4.0]]]})
    array([[[1.5, 4.5]]])
    """
    with x.graph.new_scope("average_pool", numbered=True, kind="average_pool"):
        moving, axes, pairs = _pooled("average_pool", x, size, stride, padding, 1, 0)
        if count_include_pad or all(pair == (0, 0) for pair in pairs):
            return fn.mean(moving, axis=axes)
        ones = fn.broadcast_to(x.graph.constant(np.ones((), fn.mean(x).dtype)), (1, 1, *x.shape[2:]))
        counted, _, _ = _pooled("average_pool", ones, size, stride, padding, 1, 0)
        return fn.sum(moving, axis=axes) / fn.sum(counted, axis=axes)


def _bins(n: int, count: int) -> list[tuple[int, int]]:
    """Return from where to where each of so many parts of n elements goes: they overlap where they do not divide."""
    return [(i * n // count, -(-(i + 1) * n // count)) for i in range(count)]


def _adapted(name: str, x: Node, size: Any) -> tuple[int, ...]:
    """Return how many parts each axis is to be in."""
    sizes = each(name, "size", size, _spatial(name, x, " after them"))
    for axis, (n, count) in enumerate(zip(x.shape[2:], sizes, strict=True), 2):
        if count > 1 and not isinstance(n, int):
            raise UsageError(f'{name}: axis {axis} has the size "{n}", and only a number divides into {count} parts')
        if n == 0:
            raise ShapeError(f"{name}: axis {axis} of {shown(x.shape)} has no elements")
    return sizes


def _adaptive(name: str, x: Node, size: Parts, pool: Callable[..., Node], reduced: Callable[..., Node]) -> Node:
    """Return what is left of each part: at once where the parts are all alike, by a pool or over all."""
    sizes = _adapted(name, x, size)
    with x.graph.new_scope(name, numbered=True, kind=name):
        if set(sizes) == {1}:
            return reduced(x, tuple(range(2, x.ndim)))
        if all(n % count == 0 for n, count in zip(x.shape[2:], sizes, strict=True)):
            return pool(x, tuple(n // count for n, count in zip(x.shape[2:], sizes, strict=True)))
        return _by_parts(x, sizes, reduced)


@composition
def adaptive_average_pool(x: Any, size: Parts) -> Node:
    """Return the means of so many parts of x along each axis, which overlap by one where the axis does not divide.

    Parameters
    ----------
    x : Node
        Of shape (batch, channels, ...).
    size : int or tuple of int
        The number of parts, for all axes or each.

    Returns
    -------
    Node
        Of shape ``(batch, channels, *size)``.

    Examples
    --------
    >>> import graphnn as gn
    >>> g = gn.Graph()
    >>> x = g.placeholder("x", shape=("n", 1, 5))
    >>> gn.run(gn.adaptive_average_pool(x, 2), {x: [[[1.0, 2.0, 3.0, 4.0, 5.0]]]})
    array([[[2., 4.]]])
    """
    return _adaptive("adaptive_average_pool", x, size, fn.average_pool, partial(fn.mean, keepdims=True))


@composition
def adaptive_max_pool(x: Any, size: Parts) -> Node:
    """Return the largest elements of so many parts of x along each axis, as `adaptive_average_pool` makes them.

    Parameters
    ----------
    x : Node
        Of shape (batch, channels, ...).
    size : int or tuple of int
        The number of parts, for all axes or each.

    Returns
    -------
    Node
        Of shape ``(batch, channels, *size)``.

    Examples
    --------
    >>> import graphnn as gn
    >>> g = gn.Graph()
    >>> x = g.placeholder("x", shape=("n", 1, 5))
    >>> gn.run(gn.adaptive_max_pool(x, 2), {x: [[[1.0, 2.0, 3.0, 4.0, 5.0]]]})
    array([[[3., 5.]]])
    """
    return _adaptive("adaptive_max_pool", x, size, fn.max_pool, partial(fn.max, keepdims=True, ties="first"))


def _by_parts(x: Node, sizes: Sequence[int], reduced: Callable[..., Node]) -> Node:
    """Reduce the parts of each axis, the last axis first: the first of ties is the first in C order, then."""
    for axis in range(x.ndim - 1, 1, -1):
        before = (slice(None),) * axis
        parts = [fn.getitem(x, (*before, slice(*part))) for part in _bins(int(x.shape[axis]), sizes[axis - 2])]
        x = fn.concatenate([reduced(part, axis) for part in parts], axis=axis)
    return x
