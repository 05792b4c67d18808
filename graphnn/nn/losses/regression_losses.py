"""Losses of numbers and of distances: how far predictions are from what is right, or rows from each other."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ...core import Node, fn
from ..argument_validation import checked_flag, checked_number
from .loss_reduction import of_elements, of_rows


def mean_squared_error(predictions: Any, targets: Any, reduction: str = "mean") -> Node:
    """Return the mean of the squared differences.

    Parameters
    ----------
    predictions, targets : Node or array_like
        Of the same shape, at least one of them a node.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Node
        For an element, ``(prediction - target)²``.

    Raises
    ------
    ShapeError
        When the shapes differ, also (batch, 1) and (batch,), which would broadcast to (batch, batch).

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> predictions = gn.Graph().constant([[0.0], [5.0]])
    >>> float(gn.run(nn.mean_squared_error(predictions, [[1], [1]])))
    8.5
    """
    return of_elements(
        "mean_squared_error", lambda p, y: fn.square(p - y), reduction, predictions=predictions, targets=targets
    )


def mean_absolute_error(predictions: Any, targets: Any, reduction: str = "mean") -> Node:
    """Return the mean of the absolute differences.

    Parameters
    ----------
    predictions, targets : Node or array_like
        Of the same shape, at least one of them a node.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Node
        For an element, ``|prediction - target|``; its gradient at 0 is 0.

    Raises
    ------
    ShapeError
        When the shapes differ, also (batch, 1) and (batch,), which would broadcast to (batch, batch).
    """
    return of_elements(
        "mean_absolute_error", lambda p, y: abs(p - y), reduction, predictions=predictions, targets=targets
    )


def huber(predictions: Any, targets: Any, delta: float = 1.0, reduction: str = "mean") -> Node:
    """Return the Huber loss: half the square of a small difference, and linear in a large one.

    Parameters
    ----------
    predictions, targets : Node or array_like
        Of the same shape, at least one of them a node.
    delta : float
        The difference from which on the loss is linear.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Node
        For an element with the difference d, ``d² / 2`` where ``|d| <= delta``, else ``delta * (|d| - delta / 2)``.

    Raises
    ------
    ShapeError
        When the shapes differ.

    Notes
    -----
    P. J. Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35 (1964), 73-101.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> predictions = gn.Graph().constant([0.5, 3.0])
    >>> gn.run(nn.huber(predictions, [0.0, 0.0], reduction="none"))
    array([0.125, 2.5  ])
    """
    delta = checked_number("huber: delta", delta, 0, strictly=True)
    return of_elements("huber", _bent(delta, delta), reduction, predictions=predictions, targets=targets)


def smooth_l1(predictions: Any, targets: Any, beta: float = 1.0, reduction: str = "mean") -> Node:
    """Return the absolute difference, smooth near 0: the Huber loss divided by beta.

    Parameters
    ----------
    predictions, targets : Node or array_like
        Of the same shape, at least one of them a node.
    beta : float
        The difference from which on the loss is linear. 0: the absolute difference.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Node
        For an element with the difference d, ``d² / (2 * beta)`` where ``|d| <= beta``, else ``|d| - beta / 2``.

    Raises
    ------
    ShapeError
        When the shapes differ.

    Notes
    -----
    R. Girshick, "Fast R-CNN", ICCV 2015.
    """
    beta = checked_number("smooth_l1: beta", beta, 0)
    losses = _bent(beta, 1.0) if beta else lambda p, y: abs(p - y)
    return of_elements("smooth_l1", losses, reduction, predictions=predictions, targets=targets)


def _bent(bend: float, slope: float) -> Callable[[Node, Node], Node]:
    """Return a loss that is a parabola up to a difference, and beyond it linear with a slope."""

    def losses(p: Node, y: Node) -> Node:
        size = abs(p - y)
        inside = fn.minimum(size, bend)
        return fn.square(inside) * (slope / (2 * bend)) + (size - inside) * slope

    return losses


def poisson_nll(
    predictions: Any,
    targets: Any,
    reduction: str = "mean",
    *,
    log_input: bool = True,
    full: bool = False,
    epsilon: float = 1e-8,
) -> Node:
    """Return minus the log-likelihood of counts that are distributed by Poisson, up to what does not depend on rates.

    Parameters
    ----------
    predictions : Node or array_like
        The logarithms of the rates; or the rates.
    targets : Node or array_like
        The counts, of the same shape.
    reduction : {"mean", "sum", "none"}
    log_input : bool
        Whether `predictions` are logarithms.
    full : bool
        Whether to add an approximation of ``log(target!)`` by Stirling's formula.
    epsilon : float
        Added to rates before their logarithm.

    Returns
    -------
    Node
        For an element, ``exp(p) - y p``, or of rates ``p - y log(p + epsilon)``.

    Raises
    ------
    ShapeError
        When the shapes differ.

    Notes
    -----
    As in PyTorch. Keras's Poisson is that of rates, with ``log_input=False`` and an epsilon of 1e-7.
    """
    log_input, full = checked_flag("poisson_nll: log_input", log_input), checked_flag("poisson_nll: full", full)
    epsilon = checked_number("poisson_nll: epsilon", epsilon, 0)

    def losses(p: Node, y: Node) -> Node:
        found = fn.exp(p) - y * p if log_input else p - y * fn.log(p + epsilon)
        if not full:
            return found
        many = fn.greater(y, 1)
        safe = fn.where(many, y, 2)
        return found + fn.where(many, safe * fn.log(safe) - safe + 0.5 * fn.log(2 * math.pi * safe), 0)

    return of_elements("poisson_nll", losses, reduction, predictions=predictions, targets=targets)


def hinge(predictions: Any, labels: Any, reduction: str = "mean") -> Node:
    """Return by how much scores miss a margin of 1 on the right side of 0.

    Parameters
    ----------
    predictions : Node
        Scores, positive for yes.
    labels : Node or array_like
        1 for yes, -1 for no; of the same shape.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Node
        For an element, ``max(1 - y * prediction, 0)``.

    Raises
    ------
    ShapeError
        When the shapes differ.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> scores = gn.Graph().constant([2.0, 0.5, 0.5])
    >>> gn.run(nn.hinge(scores, [1, 1, -1], reduction="none"))
    array([0. , 0.5, 1.5])
    """
    return of_elements("hinge", lambda p, y: fn.relu(1 - y * p), reduction, predictions=predictions, labels=labels)


def margin_ranking(first: Any, second: Any, order: Any, margin: float = 0.0, reduction: str = "mean") -> Node:
    """Return by how much pairs of scores miss being in the right order.

    Parameters
    ----------
    first, second : Node or array_like
        Scores, of the same shape.
    order : Node or array_like
        1 where the first should be larger, -1 where the second should; of the same shape.
    margin : float
        By how much it should be larger.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Node
        For a pair, ``max(margin - order * (first - second), 0)``.

    Raises
    ------
    ShapeError
        When the shapes differ.
    """
    margin = checked_number("margin_ranking: margin", margin)

    def losses(first: Node, second: Node, order: Node) -> Node:
        return fn.relu(margin - order * (first - second))

    return of_elements("margin_ranking", losses, reduction, first=first, second=second, order=order)


def cosine_embedding(first: Any, second: Any, alike: Any, margin: float = 0.0, reduction: str = "mean") -> Node:
    """Return the cosine embedding loss of pairs of rows that should, or should not, be alike.

    Parameters
    ----------
    first, second : Node or array_like
        (…, features), of the same shape.
    alike : Node or array_like
        (…,): 1 for pairs that should point the same way, -1 for pairs that should not.
    margin : float
        The cosine that does no harm between those that should not.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Node
        For a pair, ``1 - cos`` if alike is 1, else ``max(cos - margin, 0)``.

    Raises
    ------
    ShapeError
        When the shapes do not fit.

    Notes
    -----
    As in PyTorch, 1e-12 is added to the square of each norm.
    """
    margin = checked_number("cosine_embedding: margin", margin)

    def losses(first: Node, second: Node, alike: Node) -> Node:
        squares = (fn.sum(fn.square(first), axis=-1) + 1e-12) * (fn.sum(fn.square(second), axis=-1) + 1e-12)
        cosine = fn.sum(first * second, axis=-1) / fn.sqrt(squares)
        return fn.where(fn.greater(alike, 0), 1 - cosine, fn.relu(cosine - margin))

    return of_rows("cosine_embedding", losses, reduction, {"alike": alike}, first=first, second=second)


def triplet_margin(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    reduction: str = "mean",
    *,
    swap: bool = False,
    epsilon: float = 1e-6,
) -> Node:
    """Return by how much an anchor misses being closer to a row of its kind than to one of another.

    Parameters
    ----------
    anchor, positive, negative : Node or array_like
        (…, features), of the same shape; the positive is of the kind of the anchor, the negative is not.
    margin : float
        By how much it should be closer.
    p : float
        The norm: 2 is Euclid's.
    reduction : {"mean", "sum", "none"}
    swap : bool
        Whether the distance from the positive to the negative counts instead, where it is smaller than that from the
        anchor.
    epsilon : float
        Added to each difference, as in PyTorch.

    Returns
    -------
    Node
        For a row, ``max(‖anchor - positive‖ - ‖anchor - negative‖ + margin, 0)``.

    Raises
    ------
    ShapeError
        When the shapes differ, or there is no axis of features.

    Notes
    -----
    V. Balntas, E. Riba, D. Ponsa, K. Mikolajczyk, "Learning local feature descriptors with triplets and shallow
    convolutional neural networks", BMVC 2016.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> anchor = gn.Graph().constant([[0.0, 0.0]])
    >>> float(gn.run(nn.triplet_margin(anchor, [[3.0, 4.0]], [[0.0, 2.0]])).round(4))
    4.0
    """
    margin = checked_number("triplet_margin: margin", margin)
    p = checked_number("triplet_margin: p", p, 0, strictly=True)
    epsilon = checked_number("triplet_margin: epsilon", epsilon, 0)
    swap = checked_flag("triplet_margin: swap", swap)

    def losses(anchor: Node, positive: Node, negative: Node) -> Node:
        far = fn.norm(anchor - negative + epsilon, ord=p, axis=-1)
        if swap:
            far = fn.minimum(far, fn.norm(positive - negative + epsilon, ord=p, axis=-1))
        return fn.relu(fn.norm(anchor - positive + epsilon, ord=p, axis=-1) - far + margin)

    return of_rows("triplet_margin", losses, reduction, anchor=anchor, positive=positive, negative=negative)
