"""Saliency as nodes: how much each element of a node matters to a result.

What is made are nodes of the user's graph, as those of `gn.grad` are. Many steps, samples or windows are rows of one
array, so that each node of the network is made once more, whatever their number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, get_args

import numpy as np

from .._util.call_errors import explain_public
from .._util.text import quoted, short_repr
from ..autodiff.grad import flow_of, grad, vjp
from ..core import Array, Dim, Node, Provenance, as_array, fn, is_float
from ..core.attributes import whole
from ..core.fetches import ancestors, resolve
from ..core.graph_tables import owned
from ..core.scopes import mirrored
from ..core.symbolic_shapes import broadcast, shown
from ..errors import AxisError, DtypeError, ShapeError, UsageError, ValueRangeError
from ..transforms.batching_rules import batched

__all__ = [
    "attention_rollout",
    "gradient_input",
    "integrated_gradients",
    "logit_lens",
    "occlusion",
    "smooth_grad",
]

Rule = Literal["gauss-legendre", "trapezoid", "middle", "left", "right"]


def gradient_input(y: Any, x: Any) -> Node:
    """Return the gradient of a result, times what it is differentiated by: its parts, to first order.

    Parameters
    ----------
    y : Node or str
        One number, or one for each of the first axes of `x`: of shape ``()``, or ``(batch,)`` for an x of shape
        ``(batch, 28, 28)``. Several numbers are added up, so a row must not depend on another row of x.
    x : Node or str
        A node of floats that y depends on: an input, a parameter, or a value on the way.

    Returns
    -------
    Node
        Of the shape of `x`.

    Raises
    ------
    ShapeError
        When `y` has another shape.
    UsageError
        When `y` does not depend on `x`.
    DtypeError, NoRuleError
        As `gn.grad` does.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Graph().placeholder("x", shape=3)
    >>> gn.run(gn.saliency.gradient_input(gn.sum(x * [1.0, 2.0, 3.0]), x), {x: [3.0, 2.0, 1.0]})
    array([3., 4., 3.])
    """
    y, x = _smooth("gradient_input", y, x)
    with _method("gradient_input", y):
        return fn.multiply(_slope(y, x), x)


def integrated_gradients(y: Any, x: Any, baseline: Any = 0.0, steps: int = 50, method: Rule = "gauss-legendre") -> Node:
    """Return the mean gradient on the line from a baseline to a node, times the difference.

    Parameters
    ----------
    y, x : Node or str
        As in `gradient_input`.
    baseline : float, array_like or Node
        Where the line starts; it broadcasts to the shape of `x`.
    steps : int
        At how many points of the line the gradient is taken.
    method : {"gauss-legendre", "trapezoid", "middle", "left", "right"}
        The rule by which the integral is approximated.

    Returns
    -------
    Node
        Of the shape of `x`. Its sum is y at x less y at the baseline, as exactly as the rule integrates.

    Raises
    ------
    ShapeError
        When `y` has another shape, or the baseline does not broadcast.
    ValueRangeError
        When the number of steps is less than 1 (2 for the trapezoid), or there is no such rule.
    UsageError, DtypeError, NoRuleError
        As in `gradient_input`.

    Notes
    -----
    M. Sundararajan, A. Taly, Q. Yan, "Axiomatic attribution for deep networks", ICML 2017.

    The steps are rows of one array. So a run takes the memory of one gradient, times the number of steps.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Graph().placeholder("x", shape=2)
    >>> parts = gn.saliency.integrated_gradients(x[0] * x[0] * x[1], x, baseline=1.0, steps=4)
    >>> gn.run([parts, gn.sum(parts)], {x: [3.0, 2.0]})
    [array([12.66666667,  4.33333333]), array(17.)]
    """
    y, x = _smooth("integrated_gradients", y, x)
    if not isinstance(method, str) or method not in get_args(Rule):
        rules = ", ".join(map(quoted, get_args(Rule)))
        raise ValueRangeError(f"integrated_gradients: method is one of {rules}, not {short_repr(method)}")
    points, weights = _quadrature(method, whole("integrated_gradients: steps", steps, 1 + (method == "trapezoid")))
    start = _baseline("integrated_gradients", x, baseline)
    with _method("integrated_gradients", y) as provenance:
        along, shares = _column(x, points, "points"), _column(x, weights, "weights")
        start = start if isinstance(start, Node) else x.graph.constant(start, "baseline")
        way = x - start
        slopes = _slopes(provenance, y, x, start + along * way)
        return fn.multiply(fn.sum(slopes * shares, 0), way)


def smooth_grad(y: Any, x: Any, samples: int = 25, sigma: Any = 0.1, seed: int = 0) -> Node:
    """Return the mean of the gradients at points that lie around a node at random.

    Parameters
    ----------
    y, x : Node or str
        As in `gradient_input`.
    samples : int
        How many points.
    sigma : float or Node
        The standard deviation of the noise; it broadcasts to the shape of `x`.
    seed : int
        Of the noise, which is the same in all runs.

    Returns
    -------
    Node
        Of the shape of `x`.

    Raises
    ------
    ShapeError
        When `y` has another shape, or sigma does not broadcast.
    ValueRangeError
        When the number of samples is less than 1, or sigma or the seed is negative.
    UsageError, DtypeError, NoRuleError
        As in `gradient_input`.

    Notes
    -----
    D. Smilkov, N. Thorat, B. Kim, F. Viégas, M. Wattenberg, "SmoothGrad: removing noise by adding noise", 2017.

    The samples are rows of one array. So a run takes the memory of one gradient, times their number.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Graph().placeholder("x", shape=1)
    >>> kink = gn.run(gn.saliency.smooth_grad(gn.sum(abs(x)), x, samples=1000), {x: [0.1]})
    >>> kink.round(1)  # 0.68, the probability that the noise does not change the sign, less 0.16, that it does
    array([0.7])
    """
    y, x = _smooth("smooth_grad", y, x)
    shape = (whole("smooth_grad: samples", samples, 1), *x.shape)
    spread = _baseline("smooth_grad", x, sigma, "sigma")
    if not isinstance(spread, Node) and not (spread >= 0).all():
        raise ValueRangeError(f"smooth_grad: sigma is 0 or more, not {short_repr(sigma)}")
    key = whole("smooth_grad: the seed", seed, 0)
    with _method("smooth_grad", y) as provenance:
        counter = y.graph.constant(0)
        noise = fn.random_normal(counter, shape, key, dtype=x.dtype.name, name="noise")
        return fn.mean(_slopes(provenance, y, x, x + noise * spread), 0)


def occlusion(
    y: Any, x: Any, window: int | tuple[int, ...], stride: int | tuple[int, ...] = 1, baseline: Any = 0.0
) -> Node:
    """Return how much a result loses when a window of a node is covered, for each element by its windows' mean.

    Parameters
    ----------
    y : Node or str
        As in `gradient_input`.
    x : Node or str
        Of any dtype.
    window : int or tuple of int
        Its size along the last axes of `x`, one number for each; an int is for the last axis. Of the axes between those
        and the axes of y, such as channels, a window covers all.
    stride : int or tuple of int
        How far a window is from the next, at most its size. The last window reaches the end, and is smaller where the
        stride does not fit.
    baseline : float, array_like or Node
        What covers; it broadcasts to the shape of `x`.

    Returns
    -------
    Node
        Of the shape of `x` and the dtype of `y`.

    Raises
    ------
    ShapeError
        When `y` has another shape, the baseline does not broadcast, or a window does not fit or slides along an axis
        whose size is a name.
    ValueRangeError
        When a stride leaves elements out.
    UsageError
        When `y` does not depend on `x`.

    Notes
    -----
    M. D. Zeiler, R. Fergus, "Visualizing and understanding convolutional networks", ECCV 2014.

    The windows are rows of one array. So a run takes the memory of one run, times their number.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Graph().placeholder("x", shape=4)
    >>> gn.run(gn.saliency.occlusion(gn.sum(x), x, window=2), {x: [1.0, 2.0, 3.0, 4.0]})
    array([3., 4., 6., 7.])
    """
    y, x = _checked("occlusion", y, x)
    covers = _covers(y, x, window, stride)
    cover = _baseline("occlusion", x, baseline)
    counts = [len(each) for each in covers]
    middle = [1] * (x.ndim - y.ndim - len(covers))
    with _method("occlusion", y) as provenance:
        masks = [x.graph.constant(each) for each in covers]  # read twice, so that what comes out has the labels of x
        hidden = _hidden(x, masks)
        rows = _rows(provenance, y, x, fn.where(hidden, cover, x), math.prod(counts))
        lost = fn.reshape(y - rows, (*counts, *y.shape))
        number = np.ones((), y.dtype)
        for each, mask in zip(covers, masks, strict=True):
            # The windows along an axis become the elements of that axis, at the end.
            lost = fn.moveaxis(lost, 0, -1) @ fn.cast(mask, y.dtype.name)
            number = np.multiply.outer(number, each.sum(0, y.dtype))
        lost = lost / y.graph.constant(number)
        return fn.broadcast_to(fn.reshape(lost, (*y.shape, *middle, *lost.shape[y.ndim :])), x.shape)


def attention_rollout(weights: Sequence[Any], residual: float = 0.5, heads: int | None = -3) -> Node:
    """Return how much of each position flows into each other one, through the attention of several layers.

    Parameters
    ----------
    weights : sequence of Node or str
        The weights of each layer, the first layer first: after the softmax, of shape ``(..., heads, length, length)``,
        where a row adds up to 1.
    residual : float
        The share that passes beside the attention, from 0 to 1.
    heads : int or None
        The axis of the heads, whose mean is taken; None where there is none.

    Returns
    -------
    Node
        Of shape ``(..., length, length)``: the element ``[..., i, j]`` is how much of position j flows into position i.

    Raises
    ------
    ShapeError
        When the weights are not square, or their shapes differ.
    AxisError
        When they have no such axis for heads.
    DtypeError
        When they are not floats.
    ValueRangeError
        When the share is not between 0 and 1.
    UsageError
        When there are no weights.

    Notes
    -----
    S. Abnar, W. Zuidema, "Quantifying attention flow in transformers", ACL 2020.

    Examples
    --------
    >>> import graphnn as gn
    >>> g = gn.Graph()
    >>> layers = [g.constant([[[1.0, 0.0], [1.0, 0.0]]]), g.constant([[[1.0, 0.0], [0.0, 1.0]]])]
    >>> gn.run(gn.saliency.attention_rollout(layers))
    array([[1. , 0. ],
           [0.5, 0.5]])
    """
    if isinstance(weights, (Node, str)) or not isinstance(weights, Sequence) or not weights:
        raise UsageError(f"attention_rollout takes a list of weights, one for each layer, not {short_repr(weights)}")
    graph, nodes, _ = resolve(list(weights))
    if not isinstance(residual, (int, float)) or not 0 <= residual <= 1:
        raise ValueRangeError(f"attention_rollout: residual is a share from 0 to 1, not {short_repr(residual)}")
    heads = None if heads is None else whole("attention_rollout: heads", heads)
    for node in nodes:
        _check_weights(node, nodes[0], heads)
    with graph.new_scope("attention_rollout", kind="attention_rollout"):
        beside = fn.eye(nodes[0].shape[-1], nodes[0].dtype.name, graph=graph) * residual
        found = None
        for node in nodes:
            layer = (node if heads is None else fn.mean(node, heads)) * (1 - residual) + beside
            found = layer if found is None else layer @ found
        assert found is not None
        return found


def logit_lens(logits: Any, through: Any, at: Sequence[Any]) -> Node:
    """Return what the last layers make of values from earlier layers.

    Parameters
    ----------
    logits : Node or str
        What the last layers compute.
    through : Node or str
        What they read, such as the residual stream after the last block.
    at : sequence of Node or str
        What they read instead, such as the residual stream after each block; of the shape and dtype of `through`.

    Returns
    -------
    Node
        Of shape ``(len(at), *logits.shape)``. What `logits` takes past `through` stays as it is.

    Raises
    ------
    ShapeError, DtypeError
        When a node of `at` is not as `through`.
    UsageError
        When `logits` do not depend on `through`, or there is no node in `at`.

    Notes
    -----
    nostalgebraist, "Interpreting GPT: the logit lens", 2020.

    These are nodes of the same graph, not of a copy as `gn.replace` makes one: all that depends on `through` is made
    once more, with a row for each node of `at`. So one run gives the logits and all lenses, and gradients pass.

    Examples
    --------
    >>> import graphnn as gn
    >>> g = gn.Graph()
    >>> x = g.placeholder("x", shape=2)
    >>> h = x + 1.0
    >>> last = h * 2.0
    >>> gn.run(gn.saliency.logit_lens(last @ [1.0, 10.0], through=last, at=[x, h, last]), {x: [1.0, 2.0]})
    array([21., 32., 64.])
    """
    if isinstance(at, (Node, str)) or not isinstance(at, Sequence) or not at:
        raise UsageError(f"logit_lens: at= is a list of nodes to look through, not {short_repr(at)}")
    graph, (logits, through), _ = resolve([logits, through], others=at)
    nodes = resolve(list(at), graph)[1]
    _check_dependence("logit_lens", logits, through)
    for node in nodes:
        if node.spec != through.spec:
            kind = ShapeError if node.shape != through.shape else DtypeError
            raise kind(
                f"logit_lens: the last layers read {quoted(through.name)}, {through.spec}, "
                f"and cannot read {quoted(node.name)}, {node.spec}, instead"
            )
    with _method("logit_lens", logits) as provenance:
        return _rows(provenance, logits, through, fn.stack(nodes), len(nodes))


# --- many rows ------------------------------------------------------------------------------------------------


@contextmanager
def _method(name: str, y: Node) -> Iterator[Provenance]:
    """Make nodes in a new scope of this name, and nobody else any meanwhile."""
    with y.graph.building, y.graph.new_scope(name, kind=name) as provenance:
        yield provenance


def _rows(provenance: Provenance, y: Node, x: Node, many: Node, size: int) -> Node:
    """Return y for each row of another value of x: what depends on x is made again, with a leading axis."""
    root, graph, needed = provenance.scope, y.graph, ancestors([y])
    moving = {x}
    for node in sorted(needed, key=lambda node: node.index):
        if not moving.isdisjoint(node.inputs):
            moving.add(node)

    def begin(node: Node) -> None:
        """Attribute what is made from now on to the node that is made again."""
        provenance.scope = mirrored(graph, graph.scopes.get(node.scope), root)
        provenance.origin, provenance.twin = node.origin, node

    (found,) = batched([y], {node: node for node in needed - moving}, {x: many}, size, begin)
    provenance.scope, provenance.origin, provenance.twin = root, None, None
    return found


def _slopes(provenance: Provenance, y: Node, x: Node, many: Node) -> Node:
    """Return the gradients at many values of x, a row for each."""
    size = many.shape[0]
    assert isinstance(size, int)
    return _slope(_rows(provenance, y, x, many, size), many)


def _slope(y: Node, x: Node) -> Node:
    """Return the gradient of the sum of y."""
    return grad(y, x) if y.ndim == 0 else vjp({y: fn.ones_like(y)}, x)  # type: ignore[no-any-return]


def _column(x: Node, values: Array, name: str) -> Node:
    """Return numbers as a leading axis that broadcasts with x."""
    return x.graph.constant(values.reshape(-1, *[1] * x.ndim).astype(x.dtype), name)


def _quadrature(method: Rule, steps: int) -> tuple[Array, Array]:
    """Return the points between 0 and 1 of a rule of integration, and their weights, which add up to 1."""
    weights = np.full(steps, 1 / steps)
    if method == "gauss-legendre":
        points, weights = np.polynomial.legendre.leggauss(steps)
        return (1 + points) / 2, weights / 2
    if method == "trapezoid":
        weights = np.full(steps, 1 / (steps - 1))
        weights[[0, -1]] /= 2
        return np.linspace(0, 1, steps), weights
    return (np.arange(steps) + {"left": 0, "middle": 0.5, "right": 1}[method]) / steps, weights


# --- windows --------------------------------------------------------------------------------------------------


def _covers(y: Node, x: Node, window: Any, stride: Any) -> list[Array]:
    """Return for each axis that windows slide along, which elements (columns) each window (a row) covers."""
    windows = window if isinstance(window, tuple) else (window,)
    strides = stride if isinstance(stride, tuple) else (stride,) * len(windows)
    free = x.ndim - y.ndim
    if not 1 <= len(windows) <= free or len(strides) != len(windows):
        raise ShapeError(
            f"occlusion: a window of {quoted(x.name)}, {shown(x.shape)}, has a size and a stride for each of its last "
            f"axes, at most {free}; not {short_repr(window)} and {short_repr(stride)}"
        )
    covers = []
    for size, step, length in zip(windows, strides, x.shape[x.ndim - len(windows) :], strict=True):
        size, step = whole("occlusion: the window", size, 1), whole("occlusion: the stride", step, 1)
        if not isinstance(length, int):
            raise ShapeError(
                f"occlusion: windows slide along axes of known size, and one of {quoted(x.name)} has {length}; "
                "gn.extract(…, sizes={…}) gives a graph that has it"
            )
        if size > length:
            raise ShapeError(f"occlusion: a window of {size} does not fit into an axis of {length}, {quoted(x.name)}")
        if step > size:
            raise ValueRangeError(f"occlusion: a stride of {step} leaves elements between windows of {size} out")
        starts = np.arange(-(-(length - size) // step) + 1)[:, None] * step
        places = np.arange(length)
        covers.append((starts <= places) & (places < starts + size))
    return covers


def _hidden(x: Node, covers: Sequence[Node]) -> Node:
    """Return for each window where it covers: it broadcasts with x after the leading axis."""
    count, hidden = len(covers), None
    for axis, each in enumerate(covers):
        shape: list[Dim] = [1] * (2 * count)
        shape[axis], shape[count + axis] = each.spec.shape
        one = fn.reshape(each, tuple(shape))
        hidden = one if hidden is None else hidden & one
    assert hidden is not None
    sizes = [each.shape[1] for each in covers]
    return fn.reshape(hidden, (-1, *[1] * (x.ndim - count), *sizes))


# --- checks ---------------------------------------------------------------------------------------------------


def _checked(method: str, y: Any, x: Any) -> tuple[Node, Node]:
    """Return a result and what it is explained by, as nodes."""
    if isinstance(y, str) and isinstance(x, str):
        raise UsageError(f"{method}: y and x are both names: give one as a node")
    graph, (y,), _ = resolve([y], others=[x])
    _, (x,), _ = resolve([x], graph)
    if y.shape != x.shape[: y.ndim]:
        raise ShapeError(
            f"{method} explains one number, or one for each of the first axes of {quoted(x.name)}, {shown(x.shape)}; "
            f"{quoted(y.name)} has shape {shown(y.shape)}: select a part, as in y[:, 3], or reduce it (gn.sum, gn.max)"
        )
    if not is_float(y.dtype):
        raise DtypeError(f"{method} explains a float, and {quoted(y.name)} is {y.dtype}")
    _check_dependence(method, y, x)
    return y, x


def _smooth(method: str, y: Any, x: Any) -> tuple[Node, Node]:
    """The same, where there is a gradient."""
    y, x = _checked(method, y, x)
    flow_of([y], [x], "vjp")  # before anything is made
    return y, x


def _check_dependence(method: str, y: Node, x: Node) -> None:
    if x not in ancestors([y]):
        raise UsageError(f"{method}: {quoted(y.name)} does not depend on {quoted(x.name)}")


def _check_weights(node: Node, first: Node, heads: int | None) -> None:
    """Raise an error unless these weights of attention are as the first."""
    if not is_float(node.dtype):
        raise DtypeError(f"attention_rollout: weights are floats, and {quoted(node.name)} is {node.dtype}")
    if heads is not None and not 0 <= (heads + node.ndim if heads < 0 else heads) < node.ndim - 2:
        raise AxisError(
            f"attention_rollout: heads={heads} is not an axis before the last two of {quoted(node.name)}, "
            f"{shown(node.shape)}; heads=None where there is none"
        )
    if node.ndim < 2 or node.shape[-1] != node.shape[-2] or node.shape != first.shape:
        raise ShapeError(
            f"attention_rollout: weights are of one shape (..., length, length); {quoted(node.name)} has shape "
            f"{shown(node.shape)}" + (f", {quoted(first.name)} {shown(first.shape)}" if node is not first else "")
        )


def _baseline(method: str, x: Node, value: Any, what: str = "the baseline") -> Any:
    """Return a value that broadcasts to the shape of x: a node, or an array of its dtype."""
    if isinstance(value, Node):
        owned(x.graph, value, f"{method}: {what}")
    else:
        given = as_array(value, f"{method}: {what}")
        value = given.astype(x.dtype, casting="unsafe")
        if not is_float(x.dtype) and not np.array_equal(value, given):
            raise DtypeError(f"{method}: {what} is of the dtype of {quoted(x.name)}, {x.dtype}, not {given.dtype}")
    met = broadcast([value.shape, x.shape])
    if met is None or met[0] != x.shape:
        raise ShapeError(
            f"{method}: {what} has shape {shown(value.shape)}, which does not broadcast to that of {quoted(x.name)}, "
            f"{shown(x.shape)}"
        )
    return value


explain_public(globals())
