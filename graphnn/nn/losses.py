"""Losses: what training minimizes. Each call makes nodes in a new scope.

`reduction` says how the losses of elements or rows are combined: ``"mean"``, ``"sum"``, or ``"none"`` to keep them.
Labels are cast to the dtype of the predictions before the computation: for small unsigned integers,
[0, 5] - [1, 1] would be [255, 4].
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce
from typing import Any

from ..errors import UsageError
from ..graph import Node, flatten, fn
from .checks import check_choice, checked_number
from .operands import are_one_hot, as_float, as_nodes, call_scope, check_same_shape, operands

_REDUCTIONS = ("mean", "sum", "none")


def categorical_crossentropy(probabilities: Any, labels: Any, clip: float = 1e-7, reduction: str = "mean") -> Node:
    """Return -log of the probability of the right class, clipped.

    Parameters
    ----------
    probabilities : Node
        (…, classes): rows with the sum 1, such as the output of a softmax.
    labels : Node or array_like
        Integers with one axis fewer than the probabilities; or one-hot rows, or any other distributions, with the
        same shape.
    clip : float
        The probabilities are clipped to [clip, 1 - clip] before the logarithm.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Node
        For a row, ``-log(clip(p, clip, 1 - clip))`` at the label.

    Raises
    ------
    ShapeError
        When the labels have another shape, also (batch, 1).
    DtypeError
        When class numbers are not integers.

    See Also
    --------
    softmax_crossentropy : the fused, stable loss, which takes logits.

    Notes
    -----
    The clip avoids log(0), as in tutorials, but loses the gradient if the network is sure of a wrong class: logits
    [0, 200] with label 0 give the loss 16.118 = -log(1e-7) and the gradient [0, 0], while `softmax_crossentropy` gives
    200 and [-1, 1].

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> p = gn.Graph().constant([[0.5, 0.25, 0.25]])
    >>> loss = nn.categorical_crossentropy(p, [0])
    >>> loss.name, float(gn.run(loss).round(4))
    ('categorical_crossentropy_1/mean', 0.6931)
    """
    checked_number("categorical_crossentropy: clip", clip, 0, 0.5)

    def losses(p: Node, labels: Node, one_hot: bool) -> Node:
        p = fn.clip(p, clip, 1 - clip)
        return -(fn.sum(as_float(labels, p.dtype) * fn.log(p), axis=-1) if one_hot else fn.log(fn.pick(p, labels)))

    return _of_classes("categorical_crossentropy", losses, reduction, probabilities=probabilities, labels=labels)


def softmax_crossentropy(logits: Any, labels: Any, reduction: str = "mean") -> Node:
    """Return -log of the softmax at the right class, fused with the softmax and stable.

    Parameters
    ----------
    logits : Node
        (…, classes): the input of the softmax.
    labels : Node or array_like
        As in `categorical_crossentropy`.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Node
        For a row, ``log(sum(exp(z))) - z[label]``, where z is ``logits - max(logits)``.

    Raises
    ------
    ShapeError, DtypeError
        As in `categorical_crossentropy`.

    See Also
    --------
    categorical_crossentropy : takes probabilities, and clips them.

    Notes
    -----
    Nothing is clipped: logits [0, 200] with label 0 give the loss 200 and the gradient [-1, 1], while
    `categorical_crossentropy` of their softmax gives 16.118 and [0, 0].

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> logits = gn.Graph().constant([[0.0, 200.0]])
    >>> float(gn.run(nn.softmax_crossentropy(logits, [0])))
    200.0
    """

    def losses(z: Node, labels: Node, one_hot: bool) -> Node:
        # Subtract the maximum first: with logits around 1e4 in float32, the two terms would cancel to three digits.
        z = z - fn.stop_gradient(fn.max(z, axis=-1, keepdims=True))
        # Written out, so that the gradient uses the same exponentials: exp(z) / sum is the softmax.
        total = fn.log(fn.sum(fn.exp(z), axis=-1, keepdims=one_hot))
        if one_hot:
            return -fn.sum(as_float(labels, z.dtype) * (z - total), axis=-1)
        return total - fn.pick(z, labels)

    return _of_classes("softmax_crossentropy", losses, reduction, logits=logits, labels=labels)


def binary_crossentropy(probabilities: Any, labels: Any, clip: float = 1e-7, reduction: str = "mean") -> Node:
    """Return -log of the probability of the right answer to a yes-or-no question, clipped.

    Parameters
    ----------
    probabilities : Node
        The probabilities of yes, such as the output of a sigmoid.
    labels : Node or array_like
        1 for yes, 0 for no, or any number between them; of the same shape, and of any dtype.
    clip : float
        The probabilities are clipped to [clip, 1 - clip] before the logarithm.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Node
        For an element, ``-(y log(p) + (1 - y) log(1 - p))``.

    Raises
    ------
    ShapeError
        When the shapes differ, also (batch, 1) and (batch,).

    See Also
    --------
    sigmoid_crossentropy : the fused, stable loss, which takes logits.
    """
    checked_number("binary_crossentropy: clip", clip, 0, 0.5)

    def losses(p: Node, y: Node) -> Node:
        p = fn.clip(p, clip, 1 - clip)
        return -(y * fn.log(p) + (1 - y) * fn.log(1 - p))

    return _of_elements("binary_crossentropy", losses, reduction, probabilities=probabilities, labels=labels)


def sigmoid_crossentropy(logits: Any, labels: Any, reduction: str = "mean") -> Node:
    """Return -log of the sigmoid at the right answer, fused with the sigmoid and stable.

    Parameters
    ----------
    logits : Node
        The input of the sigmoid.
    labels : Node or array_like
        As in `binary_crossentropy`.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Node
        For an element, ``y softplus(-z) + (1 - y) softplus(z)``, which is exact for all z.

    Raises
    ------
    ShapeError
        When the shapes differ, also (batch, 1) and (batch,).

    See Also
    --------
    binary_crossentropy : takes probabilities, and clips them.
    """

    def losses(z: Node, y: Node) -> Node:
        return y * fn.softplus(-z) + (1 - y) * fn.softplus(z)

    return _of_elements("sigmoid_crossentropy", losses, reduction, logits=logits, labels=labels)


def mean_squared_error(predicted: Any, true: Any, reduction: str = "mean") -> Node:
    """Return the mean of the squared differences.

    Parameters
    ----------
    predicted, true : Node or array_like
        Of the same shape, at least one of them a node.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Node
        For an element, ``(predicted - true)²``.

    Raises
    ------
    ShapeError
        When the shapes differ, also (batch, 1) and (batch,), which would broadcast to (batch, batch).

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> predicted = gn.Graph().constant([[0.0], [5.0]])
    >>> float(gn.run(nn.mean_squared_error(predicted, [[1], [1]])))
    8.5
    """
    return _of_elements("mean_squared_error", lambda p, y: fn.square(p - y), reduction, predicted=predicted, true=true)


def mean_absolute_error(predicted: Any, true: Any, reduction: str = "mean") -> Node:
    """Return the mean of the absolute differences.

    Parameters
    ----------
    predicted, true : Node or array_like
        Of the same shape, at least one of them a node.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Node
        For an element, ``|predicted - true|``; its gradient at 0 is 0.

    Raises
    ------
    ShapeError
        When the shapes differ, also (batch, 1) and (batch,), which would broadcast to (batch, batch).
    """
    return _of_elements("mean_absolute_error", lambda p, y: abs(p - y), reduction, predicted=predicted, true=true)


def l2(parameters: Any, rate: float | Node = 0.01) -> Node:
    """Return rate · ½ Σ w², a penalty to add to a loss.

    Parameters
    ----------
    parameters : Node, or list, tuple or dict of them
    rate : float or Node

    Returns
    -------
    Node
        A scalar.

    Notes
    -----
    Because of the ½, the gradient is rate · w. The regularizer of Keras has no ½, so its rate is half of this one.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> w = gn.Graph().parameter("w", [3.0, 4.0])
    >>> float(gn.run(nn.l2([w], 0.1)))
    1.25
    """
    nodes, _ = flatten(parameters)
    for node in nodes:
        if not isinstance(node, Node):
            raise UsageError(f"l2 takes parameters, such as layer.parameters, not {type(node).__name__}")
    if not nodes:
        raise UsageError("l2 was given no parameters")
    factor = 0.5 * (rate if isinstance(rate, Node) else checked_number("l2: the rate", rate))
    with call_scope("l2", nodes[0].graph):
        return reduce(operator.add, (fn.sum(fn.square(node)) for node in nodes)) * factor


def _of_classes(kind: str, losses: Callable[[Node, Node, bool], Node], reduction: str, **given: Any) -> Node:
    """Return a loss of rows of scores: `losses` takes them as floats, the labels, and whether these are one-hot."""
    graph, values = operands(kind, **given)
    one_hot = are_one_hot(kind, *values)
    check_choice(kind, "reduction", reduction, _REDUCTIONS)
    with call_scope(kind, graph):
        scores, labels = as_nodes(graph, values)
        return _reduced(losses(as_float(scores), labels, one_hot), reduction)


def _of_elements(kind: str, losses: Callable[[Node, Node], Node], reduction: str, **given: Any) -> Node:
    """Return a loss that compares two values of one shape element by element, both as floats of one dtype."""
    graph, values = operands(kind, **given)
    check_same_shape(kind, **dict(zip(given, values, strict=True)))
    check_choice(kind, "reduction", reduction, _REDUCTIONS)
    with call_scope(kind, graph):
        first, second = as_nodes(graph, values)
        first = as_float(first)
        return _reduced(losses(first, as_float(second, first.dtype)), reduction)


def _reduced(losses: Node, reduction: str) -> Node:
    if reduction == "none":
        return losses
    return fn.mean(losses) if reduction == "mean" else fn.sum(losses)
