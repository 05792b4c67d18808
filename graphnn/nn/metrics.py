"""Metrics as nodes: how good predictions are, from counts that add up.

Each works in a scope of its own, in which one node is a tally, called ``counts``: the counts of a batch, of which
the rest of the metric is made. The counts of several batches add up to the counts of all, and so what the metric's
nodes make of the sum is the metric of the whole set, however unevenly it was divided.

Predictions are probabilities (…, classes), of which the largest counts, or class numbers (…,), such as
``p > 0.5`` for the answers to one yes-or-no question a row. Labels are class numbers (…,) or one-hot rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, TypeGuard

from ..errors import DtypeError, GraphnnWarning, ShapeError, UsageError, ValueRangeError
from ..graph import Dim, Graph, Node, fitting, fn, user_origin
from ..graph.attributes import whole
from ..graph.dimensions import shown
from ..graph.fetches import ancestors
from .checks import check_choice
from .operands import Operand, as_nodes, opened, operands, unbroadcast, why_no_labels

_AVERAGES = ("macro", "micro", "weighted", "binary", None)


def accuracy(predictions: Any, labels: Any) -> Node:
    """Return the share of predictions that are right.

    Parameters
    ----------
    predictions : Node
        Probabilities (…, classes), or class numbers (…,).
    labels : Node or array_like
        Class numbers (…,), or one-hot rows (…, classes).

    Returns
    -------
    Node
        A float64 scalar; NaN of nothing. Its ``counts`` are those of the wrong and the right.

    Raises
    ------
    ShapeError
        When the shapes do not fit, or probabilities are of one class only.
    DtypeError
        When labels are neither integers nor one-hot rows.
    LabelError
        When it is run, of a label that is not one of the classes, where their number is known.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> p = gn.Graph().constant([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]])
    >>> float(gn.run(nn.accuracy(p, [0, 1, 1, 1])))
    0.75
    """
    judged = _Judged.of("accuracy", predictions, labels)
    with opened("accuracy", judged.graph):
        predicted, true = judged.class_numbers()
        classes = judged.classes
        if classes is None:
            right = fn.cast(fn.equal(predicted, true), "int64")
        else:  # as `equal`, but a label that is not one of the classes is an error
            right = fn.pick(fn.one_hot(true, classes, "int64"), predicted)
        found = fn.sum(fn.one_hot(right, 2, "int64"), axis=tuple(range(right.ndim)))
        counts = fn.tally(found, name="counts")
        return counts[1] / fn.sum(counts)


def confusion_matrix(predictions: Any, labels: Any, classes: int | None = None) -> Node:
    """Return how often each class was predicted as each.

    Parameters
    ----------
    predictions : Node
        Probabilities (…, classes), or class numbers (…,).
    labels : Node or array_like
        Class numbers (…,), or one-hot rows (…, classes).
    classes : int, optional
        How many there are, where neither predictions nor labels have an axis of them.

    Returns
    -------
    Node
        (classes, classes) int64: a row for each true class, a column for each predicted one, as scikit-learn's.

    Raises
    ------
    ShapeError, DtypeError
        As in `accuracy`, or when `classes` is not what the shapes say.
    UsageError
        When nothing says how many classes there are.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> predicted = gn.Graph().constant([0, 1, 1, 1])
    >>> gn.run(nn.confusion_matrix(predicted, [0, 0, 1, 1], classes=2))
    array([[1, 1],
           [0, 2]])
    """
    judged = _Judged.of("confusion_matrix", predictions, labels)
    size = judged.size(classes)
    with opened("confusion_matrix", judged.graph):
        return _counted(judged, size)


def precision(predictions: Any, labels: Any, classes: int | None = None, average: str | None = "macro") -> Node:
    """Return the share of the predictions of a class that are right.

    Parameters
    ----------
    predictions, labels, classes
        As in `confusion_matrix`.
    average : {"macro", "micro", "weighted", "binary", None}
        Over the classes: their mean, leaving out those that occur in neither predictions nor labels; all
        counted together; the mean weighted by how often each is true; only class 1 of two; or no mean, but a
        figure for each class. As scikit-learn's; there the default is "binary".

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
    """Return the share of a class that was predicted as such.

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


_Share = Callable[[Node, Node, Node], tuple[Node, Node]]


def _metric(kind: str, predictions: Any, labels: Any, classes: int | None, average: str | None, share: _Share) -> Node:
    check_choice(kind, "average", average, _AVERAGES)
    judged = _Judged.of(kind, predictions, labels)
    size = judged.size(classes)
    if average == "binary" and size != 2:
        raise ValueRangeError(f'{kind}: average="binary" is for two classes, and there are {size}')
    with opened(kind, judged.graph):
        return _averaged(_counted(judged, size), average, share)


def _averaged(counts: Node, average: str | None, share: _Share) -> Node:
    """Return a metric from a confusion matrix: of a class, `share` of the right, the predicted and the true ones."""
    right, said, true = fn.einsum("ii->i", counts), fn.sum(counts, axis=0), fn.sum(counts, axis=1)
    if average == "micro":
        right, said, true = fn.sum(right), fn.sum(said), fn.sum(true)
    part, whole = share(right, said, true)
    scores = part / fn.maximum(whole, 1)  # of nothing, no part is right: 0
    if average == "binary":
        return scores[1]
    if average == "macro":
        occurring = fn.sum(fn.greater(said + true, 0))
        return fn.sum(scores) / fn.maximum(occurring, 1)
    if average == "weighted":
        return fn.sum(scores * true) / fn.maximum(fn.sum(true), 1)
    return scores


def _counted(judged: _Judged, size: int) -> Node:
    """Return the confusion matrix, as a product of one-hot rows: exact in float64 up to 2⁵³ of a kind."""
    rows = [fn.one_hot(fn.reshape(numbers, (-1,)), size, "float64") for numbers in judged.class_numbers()]
    predicted, true = rows
    return fn.tally(fn.cast(fn.matmul(true.T, predicted), "int64"), name="counts")


class _Judged(NamedTuple):
    """Predictions with their labels; shape and dtype say which kind they are."""

    kind: str
    graph: Graph
    given: list[Operand]
    probable: bool
    """Whether the predictions are probabilities."""
    one_hot: bool
    """Whether the labels are one-hot rows."""

    @classmethod
    def of(cls, kind: str, predictions: Any, labels: Any) -> _Judged:
        graph, given = operands(kind, predictions=predictions, labels=labels)
        said, true = given[0].shape, given[1].shape
        probable = given[0].dtype.kind == "f"
        rows = said[:-1] if probable else said
        one_hot = len(true) == len(rows) + 1
        with fitting(kind, given):
            if probable and (not said or said[-1] == 1 or (len(said) == 1 and one_hot)):
                raise ShapeError(
                    f"{kind}: probabilities are rows (…, classes) of two classes or more, and these have shape "
                    f"{shown(said)}: of one yes-or-no question, give the answers, probabilities > 0.5"
                )
            hot = said if probable else (*rows, true[-1] if one_hot and true[-1] != 1 else "classes")
            if not unbroadcast(hot if one_hot else rows, true):
                raise ShapeError(
                    f"{kind}: labels for predictions of shape {shown(said)} are class numbers of shape {shown(rows)} "
                    f"or one-hot rows of shape {shown(hot)}; got shape {shown(true)}{why_no_labels(said, rows, true)}"
                )
            if not one_hot and given[1].dtype.kind == "f":
                raise DtypeError(
                    f"{kind}: labels of shape {shown(true)} are class numbers, and so integers or bools, "
                    f"not {given[1].dtype}; gn.cast(labels, 'int64') makes them so"
                )
        if one_hot and not probable and given[1].dtype.kind == "f":
            _warn_if_swapped(kind, *given)
        return cls(kind, graph, given, probable, one_hot)

    def class_numbers(self) -> list[Node]:
        """Return predictions and labels as nodes that hold class numbers."""
        predicted, true = as_nodes(self.graph, self.given)
        return [
            fn.argmax(predicted, axis=-1) if self.probable else _integers(predicted),
            fn.argmax(true, axis=-1) if self.one_hot else _integers(true),
        ]

    @property
    def classes(self) -> Dim | None:
        """The number of classes, where shapes or dtypes say it."""
        if self.probable:
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
            raise UsageError(f"{self.kind}: nothing says how many classes there are{where}: say classes=…")
        classes = whole(f"{self.kind}: classes", classes, 1)
        if isinstance(found, int) and found != classes:
            with fitting(self.kind, self.given):
                raise ShapeError(f"{self.kind}: classes={classes}, but the operands are of {found} classes")
        return classes


def _warn_if_swapped(kind: str, predictions: Operand, labels: Operand) -> None:
    """Warn of labels that depend on what is trained, where the predictions do not.

    By their specs, class numbers with probabilities may as well be predictions with one-hot labels.
    """
    if _is_trained(labels) and not _is_trained(predictions):
        origin = user_origin()
        message = (
            f'{kind} takes predictions first, then labels; "{labels.name}" {labels.spec}, given as labels, depends on '
            f"trainable parameters, and the predictions on none (asked at {origin})"
        )
        warnings.warn_explicit(message, GraphnnWarning, *origin)


def _is_trained(value: Operand) -> TypeGuard[Node]:
    return isinstance(value, Node) and any(node.trainable for node in ancestors([value]))


def _integers(x: Node) -> Node:
    return fn.cast(x, "int64") if x.dtype.kind == "b" else x
