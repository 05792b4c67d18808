"""Losses: what training minimizes. Each call makes nodes in a new scope. Here are those of classes, and penalties.

`reduction` says how the losses of elements or rows are combined: ``"mean"``, ``"sum"``, or ``"none"`` to keep them.
Labels are cast to the dtype of the predictions before the computation: for small unsigned integers,
[0, 5] - [1, 1] would be [255, 4].
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

from ...core import Node, as_array, fitting, flatten, fn
from ...core.attributes import whole
from ...core.symbolic_shapes import shown
from ...errors import ShapeError, UsageError, ValueRangeError
from ..argument_validation import check_choice, checked_flag, checked_number
from ..input_validation import Operand, alike, are_one_hot, as_float, as_nodes, call_scope, operands
from .loss_reduction import REDUCTIONS, of_elements, of_rows, reduced


def categorical_crossentropy(
    probabilities: Any,
    labels: Any,
    clip: float = 1e-7,
    reduction: str = "mean",
    *,
    class_weights: Any = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Node:
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
        The mean is that of the labels which are counted, weighted by `class_weights`.
    class_weights : Node or array_like, optional
        (classes,): a weight for each class, which multiplies the losses of its labels.
    ignore_index : int, optional
        Labels of this number, such as -100 or a class of padding, have the loss 0 and are not counted. For class
        numbers only.
    label_smoothing : float
        From 0 up to 1: this share of each label is divided evenly among all classes.

    Returns
    -------
    Node
        For a row, ``-log(clip(p, clip, 1 - clip))`` at the label.

    Raises
    ------
    ShapeError
        When the labels have another shape, also (batch, 1); when there is not one weight for each class.
    DtypeError
        When class numbers are not integers.
    UsageError
        When `ignore_index` is given for labels that are rows.

    See Also
    --------
    softmax_crossentropy : the fused, stable loss, which takes logits.

    Notes
    -----
    The clip avoids log(0), as in tutorials, but loses the gradient if the network is sure of a wrong class: logits
    [0, 200] with label 0 give the loss 16.118 = -log(1e-7) and the gradient [0, 0], while `softmax_crossentropy` gives
    200 and [-1, 1].

    A mean with weights, or without the labels that are ignored, is Σ w l / Σ w, of which both are sums over batches
    (`gn.sum_over_batches`): so `evaluate` is exact for batches in which they differ. It is NaN if no label is counted,
    but the gradient is 0 then. With weights and rows of probabilities, w is Σ t w over the classes, as for class
    numbers; PyTorch divides by the number of rows then.

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

    def losses(p: Node, labels: _Labels) -> Node:
        p = fn.clip(p, clip, 1 - clip)
        return labels.losses(lambda: fn.log(p), lambda numbers: -fn.log(fn.pick(p, numbers)))

    options = _Options(reduction, class_weights, ignore_index, label_smoothing)
    return _of_classes("categorical_crossentropy", losses, options, probabilities=probabilities, labels=labels)


def softmax_crossentropy(
    logits: Any,
    labels: Any,
    reduction: str = "mean",
    *,
    class_weights: Any = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Node:
    """Return -log of the softmax at the right class, fused with the softmax and stable.

    Parameters
    ----------
    logits : Node
        (…, classes): the input of the softmax.
    labels : Node or array_like
        As in `categorical_crossentropy`.
    reduction : {"mean", "sum", "none"}
    class_weights, ignore_index, label_smoothing
        As in `categorical_crossentropy`.

    Returns
    -------
    Node
        For a row, ``log(sum(exp(z))) - z[label]``, where z is ``logits - max(logits)``.

    Raises
    ------
    ShapeError, DtypeError, UsageError
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
    >>> batch = gn.Graph().constant([[0.0, 0.0], [0.0, 0.0], [3.0, 0.0]])
    >>> float(gn.run(nn.softmax_crossentropy(batch, [0, 1, -100], ignore_index=-100)).round(4))
    0.6931
    """

    def losses(z: Node, labels: _Labels) -> Node:
        # Subtract the maximum first: with logits around 1e4 in float32, the two terms would cancel to three digits.
        z = z - fn.stop_gradient(fn.max(z, axis=-1, keepdims=True))
        # Written out, so that the gradient uses the same exponentials: exp(z) / sum is the softmax.
        total = fn.log(fn.sum(fn.exp(z), axis=-1, keepdims=labels.need_all))
        return labels.losses(lambda: z - total, lambda numbers: total - fn.pick(z, numbers))

    options = _Options(reduction, class_weights, ignore_index, label_smoothing)
    return _of_classes("softmax_crossentropy", losses, options, logits=logits, labels=labels)


def negative_log_likelihood(
    log_probabilities: Any,
    labels: Any,
    reduction: str = "mean",
    *,
    class_weights: Any = None,
    ignore_index: int | None = None,
) -> Node:
    """Return minus the logarithm of the probability of the right class, of logarithms such as those of a log-softmax.

    Parameters
    ----------
    log_probabilities : Node
        (…, classes).
    labels : Node or array_like
        As in `categorical_crossentropy`.
    reduction : {"mean", "sum", "none"}
    class_weights, ignore_index
        As in `categorical_crossentropy`.

    Returns
    -------
    Node
        For a row, ``-log_probabilities[label]``.

    Raises
    ------
    ShapeError, DtypeError, UsageError
        As in `categorical_crossentropy`.

    See Also
    --------
    softmax_crossentropy : of logits, with the log-softmax.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> logs = gn.log_softmax(gn.Graph().constant([[0.0, 0.0]]))
    >>> float(gn.run(nn.negative_log_likelihood(logs, [1])).round(4))
    0.6931
    """

    def losses(logs: Node, labels: _Labels) -> Node:
        return labels.losses(lambda: logs, lambda numbers: -fn.pick(logs, numbers))

    options = _Options(reduction, class_weights, ignore_index, 0.0)
    return _of_classes("negative_log_likelihood", losses, options, log_probabilities=log_probabilities, labels=labels)


def kl_divergence(log_probabilities: Any, targets: Any, reduction: str = "mean", *, log_target: bool = False) -> Node:
    """Return the Kullback-Leibler divergence of predicted distributions from those that are right.

    Parameters
    ----------
    log_probabilities : Node or array_like
        (…, classes): the logarithms of the predicted probabilities, such as those of a log-softmax.
    targets : Node or array_like
        The right probabilities, of the same shape. A gradient passes to them, too.
    reduction : {"mean", "sum", "none"}
        The mean is that of the rows; PyTorch calls it "batchmean", and its "mean" is that of all elements.
    log_target : bool
        Whether `targets` are logarithms as well.

    Returns
    -------
    Node
        For a row, ``sum(t * (log(t) - log_probabilities))``, in which a t of 0 adds 0.

    Raises
    ------
    ShapeError
        When the shapes differ, or there is no axis of classes.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> logs = gn.log_softmax(gn.Graph().constant([[0.0, 0.0]]))
    >>> float(gn.run(nn.kl_divergence(logs, [[1.0, 0.0]])).round(4))
    0.6931
    """
    log_target = checked_flag("kl_divergence: log_target", log_target)
    if reduction == "batchmean":
        raise ValueRangeError('kl_divergence: the mean of the rows, "batchmean" in PyTorch, is "mean" here')

    def losses(logs: Node, t: Node) -> Node:
        if log_target:
            return fn.sum(fn.exp(t) * (t - logs), axis=-1)
        positive = fn.greater(t, 0)
        # The logarithm of 1 where t is 0: a NaN that `where` does not take would still come back in the gradient.
        own = fn.where(positive, t * fn.log(fn.where(positive, t, 1)), 0)
        return fn.sum(own - t * logs, axis=-1)

    return of_rows("kl_divergence", losses, reduction, log_probabilities=log_probabilities, targets=targets)


def binary_crossentropy(
    probabilities: Any,
    labels: Any,
    clip: float = 1e-7,
    reduction: str = "mean",
    *,
    positive_weight: Any = None,
    ignore_index: float | None = None,
    label_smoothing: float = 0.0,
) -> Node:
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
    positive_weight : Node, float or array_like
        Multiplies the losses of yes: more than 1 where yes is rare. An array broadcasts to the labels, such as one
        number for each question. The mean is divided by the number of labels, as in PyTorch (its ``pos_weight``).
    ignore_index : float, optional
        Labels of this number, such as -1 for unknown ones, have the loss 0 and are not counted.
    label_smoothing : float
        From 0 up to 1: labels y become ``y * (1 - label_smoothing) + label_smoothing / 2``.

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

    def losses(p: Node, y: Node, weighted: _Weighted) -> Node:
        p = fn.clip(p, clip, 1 - clip)
        return -(y * weighted(fn.log(p)) + (1 - y) * fn.log(1 - p))

    options = _Options(reduction, positive_weight, ignore_index, label_smoothing)
    return _of_answers("binary_crossentropy", losses, options, probabilities=probabilities, labels=labels)


def sigmoid_crossentropy(
    logits: Any,
    labels: Any,
    reduction: str = "mean",
    *,
    positive_weight: Any = None,
    ignore_index: float | None = None,
    label_smoothing: float = 0.0,
) -> Node:
    """Return -log of the sigmoid at the right answer, fused with the sigmoid and stable.

    Parameters
    ----------
    logits : Node
        The input of the sigmoid.
    labels : Node or array_like
        As in `binary_crossentropy`.
    reduction : {"mean", "sum", "none"}
    positive_weight, ignore_index, label_smoothing
        As in `binary_crossentropy`.

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

    def losses(z: Node, y: Node, weighted: _Weighted) -> Node:
        return y * weighted(fn.softplus(-z)) + (1 - y) * fn.softplus(z)

    options = _Options(reduction, positive_weight, ignore_index, label_smoothing)
    return _of_answers("sigmoid_crossentropy", losses, options, logits=logits, labels=labels)


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


class _Options(NamedTuple):
    """What changes a cross-entropy."""

    reduction: str
    weights: Any
    """Of the classes; of yes."""
    ignored: Any
    """The label that is not counted."""
    smoothing: float

    def checked(self, kind: str, whole_numbers: bool) -> _Options:
        """Return them, after what can be checked without operands."""
        check_choice(kind, "reduction", self.reduction, REDUCTIONS)
        ignored = self.ignored
        if ignored is not None:
            check: Any = whole if whole_numbers else checked_number
            ignored = check(f"{kind}: ignore_index", ignored)
        smoothing = checked_number(f"{kind}: label_smoothing", self.smoothing, 0, 1)
        return self._replace(ignored=ignored, smoothing=smoothing)


class _Labels(NamedTuple):
    """The labels of classes, and what changes their losses."""

    nodes: Node
    """Class numbers, of classes that there are; or rows."""
    one_hot: bool
    weights: Node | None
    smoothing: float

    @property
    def need_all(self) -> bool:
        """Whether a loss depends on the probabilities of all classes."""
        return self.one_hot or self.smoothing > 0

    def losses(self, logs: Callable[[], Node], picked: Callable[[Node], Node]) -> Node:
        """Return the loss of each row, without what is ignored.

        Parameters
        ----------
        logs : callable
            Returns the logarithms of all probabilities; called if `need_all`.
        picked : callable
            Returns minus those at some class numbers.
        """
        if not self.need_all:
            found = picked(self.nodes)
            return found if self.weights is None else found * fn.take(self.weights, self.nodes)
        all_logs = logs()
        weighted = all_logs if self.weights is None else all_logs * self.weights
        if self.one_hot:
            found = -fn.sum(as_float(self.nodes, all_logs.dtype) * weighted, axis=-1)
        else:
            found = -fn.pick(weighted, self.nodes)
        if not self.smoothing:
            return found
        return found * (1 - self.smoothing) - fn.mean(weighted, axis=-1) * self.smoothing

    def sizes(self) -> Node | None:
        """Return the weight of each row, if there are weights."""
        if self.weights is None:
            return None
        if self.one_hot:
            return fn.sum(as_float(self.nodes, self.weights.dtype) * self.weights, axis=-1)
        return fn.take(self.weights, self.nodes)


def _of_classes(kind: str, losses: Callable[[Node, _Labels], Node], options: _Options, **given: Any) -> Node:
    """Return a loss of rows of scores: `losses` takes them as floats, and the labels."""
    graph, values = operands(kind, **given)
    one_hot = are_one_hot(kind, *values)
    options = options.checked(kind, whole_numbers=True)
    if one_hot and options.ignored is not None:
        raise UsageError(
            f"{kind}: ignore_index is for class numbers, and these labels are rows: weigh the losses of "
            'reduction="none" yourself'
        )
    weights = _checked_weights(kind, options.weights, values[0])
    with call_scope(kind, graph):
        scores, labels = as_nodes(graph, values)
        scores = as_float(scores)
        if weights is not None:
            weights = as_float(as_nodes(graph, [weights])[0], scores.dtype)
        if options.ignored is None:
            rows = _Labels(labels, one_hot, weights, options.smoothing)
            return reduced(losses(scores, rows), options.reduction, rows.sizes())
        labels = fn.cast(labels, "int64")  # an ignored number may be none of a small unsigned dtype
        counted = fn.not_equal(labels, options.ignored)
        rows = _Labels(fn.where(counted, labels, 0), one_hot, weights, options.smoothing)
        sizes = rows.sizes()
        sizes = fn.cast(counted, scores.dtype) if sizes is None else fn.where(counted, sizes, 0)
        # Chosen last: so no gradient comes from what is ignored, even if nothing is counted and the mean is NaN.
        return reduced(fn.where(counted, losses(scores, rows), 0), options.reduction, sizes)


def _checked_weights(kind: str, given: Any, scores: Operand) -> Operand | None:
    """Return the weights of classes, one for each."""
    if given is None:
        return None
    weights: Operand = given if isinstance(given, Node) else as_array(given, f"{kind}: class_weights")
    if not alike(weights.shape, scores.shape[-1:]):
        with fitting(kind, [scores, weights]):
            raise ShapeError(
                f"{kind}: class_weights has one weight for each class, shape {shown(scores.shape[-1:])}, not "
                f"{shown(weights.shape)}"
            )
    return weights


_Weighted = Callable[[Node], Node]
"""A function that weighs the losses of yes."""


def _of_answers(kind: str, losses: Callable[[Node, Node, _Weighted], Node], options: _Options, **given: Any) -> Node:
    """Return a loss of answers: `losses` takes scores and labels, and what weighs the losses of yes."""
    options = options.checked(kind, whole_numbers=False)
    weight, smoothing = options.weights, options.smoothing
    if weight is not None and not isinstance(weight, Node):
        weight = as_array(weight, f"{kind}: positive_weight")

    def weighted(yes: Node) -> Node:
        if weight is None:
            return yes
        found = yes * as_float(as_nodes(yes.graph, [weight])[0], yes.dtype)
        if found.shape != yes.shape:
            raise ShapeError(
                f"{kind}: positive_weight broadcasts to the labels, {shown(yes.shape)}, not {shown(weight.shape)}"
            )
        return found

    def elements(scores: Node, y: Node) -> Any:
        soft = y * (1 - smoothing) + smoothing / 2 if smoothing else y
        found = losses(scores, soft, weighted)
        if options.ignored is None:
            return found
        counted = fn.not_equal(y, options.ignored)
        return fn.where(counted, found, 0), fn.cast(counted, scores.dtype)

    return of_elements(kind, elements, options.reduction, **given)
