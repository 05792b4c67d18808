"""Metrics as nodes: how good predictions are, computed from counts.

Each metric has its own scope. In it, one node is a tally, called ``counts``: the counts of a batch. The other nodes
compute the metric from them. The counts of several batches can be added, so the metric of a whole set is exact even if
the batches have different sizes.

Predictions are probabilities (…, classes), of which the largest decides, or class numbers (…,), such as ``p > 0.5`` for
a yes-or-no question. Labels are class numbers (…,) or one-hot rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, TypeGuard

from ...core import Dim, Graph, Node, fitting, fn, is_float, user_origin
from ...core.attributes import whole
from ...core.fetches import ancestors
from ...core.symbolic_shapes import shown
from ...errors import DtypeError, GraphnnWarning, ShapeError, UsageError, ValueRangeError
from ..argument_validation import check_choice
from ..input_validation import Operand, as_nodes, call_scope, operands, unbroadcast, why_no_labels

_AVERAGES = ("macro", "micro", "weighted", "binary", None)


def accuracy(predictions: Any, labels: Any) -> Node:
    """Return the fraction of predictions that are right.

    Parameters
    ----------
    predictions : Node
        Probabilities (…, classes), or class numbers (…,).
    labels : Node or array_like
        Class numbers (…,), or one-hot rows (…, classes).

    Returns
    -------
    Node
        A float64 scalar; NaN without predictions. Its ``counts`` are the numbers of wrong and right ones.

    Raises
    ------
    ShapeError
        When the shapes do not fit, or there are probabilities of one class only.
    DtypeError
        When labels are neither integers nor one-hot rows.
    LabelError
        In a run, if a label is not one of the classes and their number is known.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> p = gn.Graph().constant([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]])
    >>> float(gn.run(nn.accuracy(p, [0, 1, 1, 1])))
    0.75
    """
    pair = _Predictions.of("accuracy", predictions, labels)
    with call_scope("accuracy", pair.graph):
        predicted, true = pair.class_numbers()
        classes = pair.classes
        if classes is None:
            right = fn.cast(fn.equal(predicted, true), "int64")
        else:  # like `equal`, but a label that is not one of the classes is an error
            right = fn.pick(fn.one_hot(true, classes, "int64"), predicted)
        return _share(right)


def top_k_accuracy(predictions: Any, labels: Any, k: int = 5) -> Node:
    """Return the fraction of rows whose label is among the k classes with the largest scores.

    Parameters
    ----------
    predictions : Node
        Probabilities, or any other scores, (…, classes). Of equal ones the first come first.
    labels : Node or array_like
        Class numbers (…,), or one-hot rows (…, classes).
    k : int

    Returns
    -------
    Node
        A float64 scalar; NaN without predictions. Its ``counts`` are the numbers of wrong and right ones.

    Raises
    ------
    ShapeError, DtypeError, LabelError
        As in `accuracy`; when there are fewer than k classes, or predictions are class numbers.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> p = gn.Graph().constant([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    >>> float(gn.run(nn.top_k_accuracy(p, [1, 0], k=2)))
    0.5
    """
    pair = _Predictions.of("top_k_accuracy", predictions, labels)
    k = whole("top_k_accuracy: k", k, 1)
    if not pair.are_probabilities:
        raise DtypeError(f"top_k_accuracy: predictions are the scores of all classes, not {pair.given[0].dtype}")
    if isinstance(pair.classes, int) and pair.classes < k:
        with fitting("top_k_accuracy", pair.given):
            raise ShapeError(
                f"top_k_accuracy: k={k}, and there are {pair.classes} classes: write k={pair.classes - 1} or less"
            )
    with call_scope("top_k_accuracy", pair.graph):
        scores, true = as_nodes(pair.graph, pair.given)
        hot = fn.one_hot(pair.labels(true), scores.shape[-1], "int64")
        right = fn.sum(fn.take_along_axis(hot, fn.topk(scores, k)[1], axis=-1), axis=-1)
        return _share(right)


def _share(right: Node) -> Node:
    """Return the fraction of 1 among zeros and ones."""
    found = fn.sum(fn.one_hot(right, 2, "int64"), axis=tuple(range(right.ndim)))
    counts = fn.sum_over_batches(found, name="counts")
    return counts[1] / fn.sum(counts)


def confusion_matrix(predictions: Any, labels: Any, classes: int | None = None) -> Node:
    """Return how often each true class was predicted as each class.

    Parameters
    ----------
    predictions : Node
        Probabilities (…, classes), or class numbers (…,).
    labels : Node or array_like
        Class numbers (…,), or one-hot rows (…, classes).
    classes : int, optional
        The number of classes; needed if neither predictions nor labels have an axis of classes.

    Returns
    -------
    Node
        (classes, classes) int64: a row for each true class, a column for each predicted one, as scikit-learn's.

    Raises
    ------
    ShapeError, DtypeError
        As in `accuracy`, or when `classes` disagrees with the shapes.
    UsageError
        When the number of classes is unknown.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> predicted = gn.Graph().constant([0, 1, 1, 1])
    >>> gn.run(nn.confusion_matrix(predicted, [0, 0, 1, 1], classes=2))
    array([[1, 1],
           [0, 2]])
    """
    pair = _Predictions.of("confusion_matrix", predictions, labels)
    size = pair.size(classes)
    with call_scope("confusion_matrix", pair.graph):
        return _counted(pair, size)


def precision(predictions: Any, labels: Any, classes: int | None = None, average: str | None = "macro") -> Node:
    """Return the fraction of the predictions of a class that are right.

    Parameters
    ----------
    predictions, labels, classes
        As in `confusion_matrix`.
    average : {"macro", "micro", "weighted", "binary", None}
        How to average over the classes. "macro": the mean over the classes that occur in predictions or labels;
        "micro": all counted together; "weighted": the mean weighted by how often each class is true; "binary": only
        class 1 of two; None: no average, but a figure for each class. As in scikit-learn, whose default is "binary".

    Returns
    -------
    Node
        A float64 scalar, or (classes,) where `average` is None; 0 where a class was never predicted. Its
        ``counts`` are the confusion matrix.

    Raises
    ------
    ShapeError, DtypeError, UsageError
        As in `confusion_matrix`.
    ValueRangeError
        When `average` is not one of these, or "binary" and there are not two classes.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> predicted = gn.Graph().constant([0, 1, 1, 1])
    >>> float(gn.run(nn.precision(predicted, [0, 0, 0, 1], classes=2)).round(4))
    0.6667
    """
    return _metric("precision", predictions, labels, classes, average, lambda right, said, true: (right, said))


def recall(predictions: Any, labels: Any, classes: int | None = None, average: str | None = "macro") -> Node:
    """Return the fraction of the rows of a class that were predicted as this class.

    Parameters
    ----------
    predictions, labels, classes, average
        As in `precision`.

    Returns
    -------
    Node
        As `precision`; 0 where a class never occurs.

    Raises
    ------
    ShapeError, DtypeError, UsageError, ValueRangeError
        As in `precision`.
    """
    return _metric("recall", predictions, labels, classes, average, lambda right, said, true: (right, true))


def f1(predictions: Any, labels: Any, classes: int | None = None, average: str | None = "macro") -> Node:
    """Return the harmonic mean of precision and recall, class by class.

    Parameters
    ----------
    predictions, labels, classes, average
        As in `precision`.

    Returns
    -------
    Node
        As `precision`; 0 where a class neither occurs nor was predicted.

    Raises
    ------
    ShapeError, DtypeError, UsageError, ValueRangeError
        As in `precision`.
    """
    return _metric("f1", predictions, labels, classes, average, lambda right, said, true: (right * 2, said + true))


_Parts = Callable[[Node, Node, Node], tuple[Node, Node]]


def _metric(kind: str, predictions: Any, labels: Any, classes: int | None, average: str | None, parts: _Parts) -> Node:
    check_choice(kind, "average", average, _AVERAGES)
    pair = _Predictions.of(kind, predictions, labels)
    size = pair.size(classes)
    if average == "binary" and size != 2:
        raise ValueRangeError(f'{kind}: average="binary" is for two classes, and there are {size}')
    with call_scope(kind, pair.graph):
        return _averaged(_counted(pair, size), average, parts)


def _averaged(counts: Node, average: str | None, parts: _Parts) -> Node:
    """Return a metric from a confusion matrix; `parts` gets the numbers of right, predicted and true rows per class."""
    right, said, true = fn.einsum("ii->i", counts), fn.sum(counts, axis=0), fn.sum(counts, axis=1)
    if average == "micro":
        right, said, true = fn.sum(right), fn.sum(said), fn.sum(true)
    part, whole = parts(right, said, true)
    scores = part / fn.maximum(whole, 1)  # 0 / 0 counts as 0
    if average == "binary":
        return scores[1]
    if average == "macro":
        occurring = fn.sum(fn.greater(said + true, 0))
        return fn.sum(scores) / fn.maximum(occurring, 1)
    if average == "weighted":
        return fn.sum(scores * true) / fn.maximum(fn.sum(true), 1)
    return scores


def _counted(pair: _Predictions, size: int) -> Node:
    """Return the confusion matrix, a product of one-hot rows: exact in float64 for counts up to 2⁵³."""
    rows = [fn.one_hot(fn.reshape(numbers, (-1,)), size, "float64") for numbers in pair.class_numbers()]
    both = fn.stack(rows)  # which says that their classes are the same: so they have the same labels
    predicted, true = both[0], both[1]
    return fn.sum_over_batches(fn.cast(fn.matmul(true.T, predicted), "int64"), name="counts")


class _Predictions(NamedTuple):
    """Predictions with their labels; shapes and dtypes say of which kind they are."""

    kind: str
    graph: Graph
    given: list[Operand]
    are_probabilities: bool
    """Whether the predictions are probabilities."""
    one_hot: bool
    """Whether the labels are one-hot rows."""

    @classmethod
    def of(cls, kind: str, predictions: Any, labels: Any) -> _Predictions:
        graph, given = operands(kind, predictions=predictions, labels=labels)
        predicted, true = given[0].shape, given[1].shape
        are_probabilities = is_float(given[0].dtype)
        rows = predicted[:-1] if are_probabilities else predicted
        one_hot = len(true) == len(rows) + 1
        with fitting(kind, given):
            if are_probabilities and (not predicted or predicted[-1] == 1 or (len(predicted) == 1 and one_hot)):
                raise ShapeError(
                    f"{kind}: probabilities are rows (…, classes) of two classes or more, and these have shape "
                    f"{shown(predicted)}: for a yes-or-no question, give the answers, probabilities > 0.5"
                )
            hot = predicted if are_probabilities else (*rows, true[-1] if one_hot and true[-1] != 1 else "classes")
            if not unbroadcast(hot if one_hot else rows, true):
                why = why_no_labels(predicted, rows, true)
                raise ShapeError(
                    f"{kind}: labels for predictions of shape {shown(predicted)} are class numbers of shape "
                    f"{shown(rows)} or one-hot rows of shape {shown(hot)}; got shape {shown(true)}{why}"
                )
            if not one_hot and is_float(given[1].dtype):
                raise DtypeError(
                    f"{kind}: labels of shape {shown(true)} are class numbers, and so integers or bools, "
                    f"not {given[1].dtype}; gn.cast(labels, 'int64') makes them so"
                )
        if one_hot and not are_probabilities and is_float(given[1].dtype):
            _warn_if_swapped(kind, *given)
        return cls(kind, graph, given, are_probabilities, one_hot)

    def class_numbers(self) -> list[Node]:
        """Return predictions and labels as nodes that hold class numbers."""
        predicted, true = as_nodes(self.graph, self.given)
        return [fn.argmax(predicted, axis=-1) if self.are_probabilities else _integers(predicted), self.labels(true)]

    def labels(self, true: Node) -> Node:
        """Return the labels, given as a node, as class numbers."""
        return fn.argmax(true, axis=-1) if self.one_hot else _integers(true)

    @property
    def classes(self) -> Dim | None:
        """The number of classes, if shapes or dtypes say it."""
        if self.are_probabilities:
            return self.given[0].shape[-1]
        if self.one_hot:
            return self.given[1].shape[-1]
        return 2 if self.given[0].dtype.kind == "b" else None

    def size(self, classes: int | None) -> int:
        """Return the number of classes."""
        found = self.classes
        if classes is None and isinstance(found, int):
            return found
        if classes is None:
            where = "" if found is None else f'; the axis of classes has the name "{found}"'
            raise UsageError(f"{self.kind}: the number of classes is unknown{where}: write classes=…")
        classes = whole(f"{self.kind}: classes", classes, 1)
        if isinstance(found, int) and found != classes:
            with fitting(self.kind, self.given):
                raise ShapeError(f"{self.kind}: classes={classes}, but the operands are of {found} classes")
        return classes


def _warn_if_swapped(kind: str, predictions: Operand, labels: Operand) -> None:
    """Warn if the labels depend on trained parameters and the predictions do not.

    Class numbers with rows of probabilities have the same specs as predictions with one-hot labels.
    """
    if _is_trained(labels) and not _is_trained(predictions):
        origin = user_origin()
        message = (
            f'{kind} takes predictions first, then labels; "{labels.name}" {labels.spec}, given as labels, depends on '
            f"trainable parameters, but the predictions do not (called at {origin})"
        )
        warnings.warn_explicit(message, GraphnnWarning, *origin)


def _is_trained(value: Operand) -> TypeGuard[Node]:
    return isinstance(value, Node) and any(node.trainable for node in ancestors([value]))


def _integers(x: Node) -> Node:
    return fn.cast(x, "int64") if x.dtype.kind == "b" else x
