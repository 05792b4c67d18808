"""Metrics of numbers: how scores rank answers, and how near predictions come. They tally, as those in `metrics`."""

from __future__ import annotations

import math
import sys
from typing import Any

from ...core import Graph, Node, fn, is_float
from ...core.attributes import whole
from ..argument_validation import check_choice
from ..input_validation import Operand, are_one_hot, as_float, as_nodes, call_scope, check_same_shape, operands

_AVERAGES = ("macro", "weighted", None)
_FARTHEST = sys.float_info.max
_HEAD = 2.0**37 + 1.0  # divides the 53 bits of a float64 into 16 and the rest


def roc_auc(scores: Any, labels: Any, average: str | None = "macro", bins: int = 2**16) -> Node:
    """Return the area under the ROC curve: how often a positive scores higher than a negative.

    Parameters
    ----------
    scores : Node
        (…,), of one question: probabilities of yes, logits, or any other scores. (…, classes), of one question for each
        class, or of one class against the rest.
    labels : Node or array_like
        Answers of the shape of the scores, 0 or 1, or floats of which those above 0.5 are yes; or class numbers.
    average : {"macro", "weighted", None}
        How to average over classes. "macro": the mean over those for which there are rows of yes and of no;
        "weighted": the same weighted by the number of yes; None: no average.
    bins : int
        The number of intervals in which scores are counted.

    Returns
    -------
    Node
        A float64 scalar, or (classes,) where `average` is None; NaN if there are no rows of yes, or none of no, or a
        score is NaN.

    Raises
    ------
    ShapeError
        When the shapes do not fit.
    DtypeError
        When class numbers are not integers.
    LabelError
        In a run, if a label is not 0 or 1, or not one of the classes.

    Notes
    -----
    The exact area needs all scores at once. So that batches can be added up, scores are counted in intervals: half of
    the `bins` divide the scores from 0 to 1 evenly, into intervals of 3.1e-5, a quarter those below, and a quarter
    those above, ever more coarsely. Two scores in one interval count as a tie, which counts half. So the area is exact
    if no interval has both yes and no; else it is wrong by at most the node ``error`` in the scope, half the fraction
    of pairs of yes and no within an interval: ``graph["roc_auc_1/error"]``. If many probabilities are close to 0 or 1,
    give the logits instead, whose order is the same.

    Infinite scores are the largest and the smallest. A score that is NaN has no place in the order: the area is NaN.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> scores = gn.Graph().constant([0.1, 0.4, 0.35, 0.8])
    >>> auc = nn.roc_auc(scores, [0, 0, 1, 1])
    >>> float(gn.run(auc)), float(gn.run(auc.graph["roc_auc_1/error"]))
    (0.75, 0.0)
    """
    graph, given = operands("roc_auc", scores=scores, labels=labels)
    as_rows = are_one_hot("roc_auc", *given)
    check_choice("roc_auc", "average", average, _AVERAGES)
    bins = whole("roc_auc: bins", bins, 2)
    with call_scope("roc_auc", graph):
        values, true = as_nodes(graph, given)
        is_one_question = values.ndim == 1
        if not as_rows:
            answers = fn.one_hot(true, values.shape[-1], "int64")
        elif is_float(true.dtype):
            answers = fn.cast(fn.greater(true, 0.5), "int64")
        else:
            answers = fn.one_hot(fn.cast(true, "int64"), 2, "int64")[..., 1]
        if is_one_question and as_rows:
            values, answers = fn.expand_dims(values, -1), fn.expand_dims(answers, -1)
        counts = fn.sum_over_batches(_counted(as_float(values, "float64"), answers, bins), name="counts")
        no, yes = fn.cast(counts[:, 0, :-1], "float64"), fn.cast(counts[:, 1, :-1], "float64")
        # A class that has a score without a place has no area.
        positives = fn.where(fn.greater(fn.sum(counts[:, :, -1], axis=-1), 0), math.nan, fn.sum(yes, axis=-1))
        pairs = positives * fn.sum(no, axis=-1)
        halves = 0.5 * fn.sum(yes * no, axis=-1) / pairs
        areas = fn.sum(yes * (fn.cumsum(no, axis=-1) - no), axis=-1) / pairs + halves
        weights = positives if average == "weighted" else fn.ones_like(positives)
        if is_one_question:
            average = "macro"
        _averaged(halves, weights, pairs, average, "error")
        return _averaged(areas, weights, pairs, average, "area")


def _counted(scores: Node, answers: Node, bins: int) -> Node:
    """Return how many rows of no and of yes have a score in each interval, as (classes, 2, bins + 1): NaN last."""
    # From 0 to 1, the line 1/4 + s/2; on both sides of it, curves to 0 and 1.
    inside = fn.clip(scores, 0.0, 1.0)
    outside = fn.clip(scores - inside, -_FARTHEST, _FARTHEST)
    squashed = 0.25 + 0.5 * inside + 0.25 * (outside / (1.0 + abs(outside)))
    within = fn.clip(fn.floor(squashed * bins), 0, bins - 1)
    intervals = fn.cast(fn.where(fn.isnan(scores), bins, within), "int64")
    classes = scores.shape[-1]
    size = bins + 1
    places = (fn.arange(classes, graph=scores.graph) * 2 + answers) * size + intervals
    return fn.reshape(fn.index_add(fn.ones_like(places), places, (2 * size * classes,)), (classes, 2, size))


def _averaged(figures: Node, weights: Node, pairs: Node, average: str | None, name: str) -> Node:
    if average is None:
        return fn.multiply(figures, 1.0, name=name)
    defined = fn.not_equal(pairs, 0)
    total = fn.sum(fn.where(defined, figures * weights, 0.0))
    return fn.divide(total, fn.sum(fn.where(defined, weights, 0.0)), name=name)


def r2(predictions: Any, targets: Any) -> Node:
    """Return R², the coefficient of determination: the fraction of the variance that is predicted.

    Parameters
    ----------
    predictions, targets : Node or array_like
        Of the same shape, at least one of them a node. With more than one axis, the last is that of outputs.

    Returns
    -------
    Node
        A float64 scalar, ``1 - Σ (t - prediction)² / Σ (t - mean)²``, the mean over outputs; 1 is best. If all
        true values of an output are equal, 1 if they are predicted exactly, else 0.

    Raises
    ------
    ShapeError
        When the shapes differ.

    Notes
    -----
    As scikit-learn's. The sums of batches are added, in float64, and give Σ (t - mean)². Of the true values, the
    first 16 bits and the rest have sums of their own, so that little cancels: if the mean is 10ᵏ times the spread,
    about 2k - 5 of 16 digits are lost. If it is more than 10⁸ times the spread, the values count as equal.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> predictions = gn.Graph().constant([2.5, 0.0, 2.0, 8.0])
    >>> float(gn.run(nn.r2(predictions, [3.0, -0.5, 2.0, 7.0])).round(4))
    0.9486
    """
    graph, values = _numbers("r2", predictions, targets)
    with call_scope("r2", graph):
        p, y = (as_float(node, "float64") for node in as_nodes(graph, values))
        axes = tuple(range(max(y.ndim - 1, min(y.ndim, 1))))
        head = _head(y)
        tail = y - head
        parts = [fn.square(y - p), fn.ones_like(y), head, fn.square(head), tail, head * tail, fn.square(tail)]
        sums = fn.sum_over_batches(fn.stack([fn.sum(part, axis=axes) for part in parts]), name="sums")
        missed, count, heads, squares, tails, mixed, small = (sums[i] for i in range(7))
        # Products of heads are exact, so that their sums are not rounded up to two million rows.
        near = _head(heads / count)
        around = squares - 2 * near * heads + count * fn.square(near) + 2 * (mixed - near * tails) + small
        spread = around - fn.square(heads - count * near + tails) / count
        # What is left of equal numbers by rounding is no spread.
        equal = fn.less_equal(spread, squares * 1e-17)
        perfect = fn.cast(fn.equal(missed, 0), "float64")
        return fn.mean(fn.where(equal, perfect, 1.0 - missed / fn.where(equal, 1.0, spread)))


def _head(x: Node) -> Node:
    """Return the first 16 bits of each number (T. J. Dekker, 1971)."""
    far = x * _HEAD
    return far - (far - x)


def root_mean_squared_error(predictions: Any, targets: Any) -> Node:
    """Return the root of the mean squared difference.

    Parameters
    ----------
    predictions, targets : Node or array_like
        Of the same shape, at least one of them a node.

    Returns
    -------
    Node
        A float64 scalar; NaN if there are no elements. It is computed from sums, which are added over batches.

    Raises
    ------
    ShapeError
        When the shapes differ.

    See Also
    --------
    mean_squared_error, mean_absolute_error : losses, which serve as metrics too.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> predictions = gn.Graph().constant([1.0, 5.0])
    >>> float(gn.run(nn.root_mean_squared_error(predictions, [1.0, 1.0])).round(4))
    2.8284
    """
    graph, values = _numbers("root_mean_squared_error", predictions, targets)
    with call_scope("root_mean_squared_error", graph):
        p, y = (as_float(node, "float64") for node in as_nodes(graph, values))
        missed = fn.square(p - y)
        sums = fn.sum_over_batches(fn.stack([fn.sum(missed), fn.sum(fn.ones_like(missed))]), name="sums")
        return fn.sqrt(sums[0] / sums[1])


def _numbers(kind: str, predictions: Any, targets: Any) -> tuple[Graph, list[Operand]]:
    graph, values = operands(kind, predictions=predictions, targets=targets)
    check_same_shape(kind, predictions=values[0], targets=values[1])
    return graph, values
