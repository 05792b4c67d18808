"""Metrics: scikit-learn's figures, counts that add up, and what they refuse."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

import graphnn as gn
from graphnn import nn

AVERAGES = ["macro", "micro", "weighted", None]
FIGURES: dict[Any, int] = {nn.precision: 0, nn.recall: 1, nn.f1: 2}
ALL: list[Any] = [nn.accuracy, nn.confusion_matrix, *FIGURES]


@st.composite
def predicted(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Draw probabilities and labels, among them classes that never occur or are never predicted."""
    rows, classes = draw(st.integers(1, 30)), draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    p = rng.dirichlet(np.ones(classes), rows)
    labels = rng.integers(0, draw(st.integers(1, classes)), rows)
    p[:, : draw(st.integers(0, classes - 1))] *= draw(st.sampled_from([0.0, 1.0]))
    return p, labels.astype(draw(st.sampled_from(["u1", "i4", "i8", "u8"])))


def ways(p: np.ndarray, labels: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the same predictions and labels in every form that they may have."""
    numbers, hot = p.argmax(axis=1), np.eye(p.shape[1])[labels.astype(int)]
    return [(p, labels), (p, hot), (numbers, labels), (numbers, hot), (numbers.astype(np.uint8), hot.astype(bool))]


def values(made: Callable[[gn.Node, gn.Node], Any], predictions: np.ndarray, labels: np.ndarray) -> Any:
    """Return what is made of nodes for predictions and labels."""
    g = gn.Graph()
    a = g.placeholder("predictions", ("batch", *predictions.shape[1:]), predictions.dtype)
    b = g.placeholder("labels", ("batch", *labels.shape[1:]), labels.dtype)
    return gn.run(made(a, b), {a: predictions, b: labels})


def value(metric: Any, predictions: np.ndarray, labels: np.ndarray, **settings: Any) -> Any:
    return values(lambda a, b: metric(a, b, **settings), predictions, labels)


# --- against scikit-learn -------------------------------------------------------------------------------------


@given(predicted())
def test_accuracy_and_confusion_matrix(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    p, labels = drawn
    classes = p.shape[1]
    numbers = p.argmax(axis=1)
    expected = metrics.confusion_matrix(labels, numbers, labels=range(classes))
    part = metrics.accuracy_score(labels, numbers)

    def made(a: gn.Node, b: gn.Node) -> list[gn.Node]:
        return [nn.accuracy(a, b), nn.confusion_matrix(a, b, classes=classes)]

    for predictions, true in ways(*drawn):
        result, matrix = values(made, predictions, true)
        assert result.dtype == np.float64
        assert float(result) == pytest.approx(part, rel=1e-15)
        assert matrix.dtype == np.int64
        np.testing.assert_array_equal(matrix, expected)


@settings(max_examples=40)
@given(predicted())
def test_precision_recall_and_f1(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    p, labels = drawn
    classes = p.shape[1]
    numbers = p.argmax(axis=1)
    expected: dict[tuple[Any, Any], Any] = {}
    for average in AVERAGES:
        # Over the classes that occur, as is scikit-learn's default; figures for each are of all.
        over = {"labels": range(classes)} if average is None else {}
        figures = metrics.precision_recall_fscore_support(labels, numbers, average=average, zero_division=0, **over)
        expected |= {(metric, average): figures[place] for metric, place in FIGURES.items()}

    def made(a: gn.Node, b: gn.Node) -> list[gn.Node]:
        return [metric(a, b, classes=classes, average=average) for metric, average in expected]

    for predictions, true in ways(*drawn):
        for result, (case, figure) in zip(values(made, predictions, true), expected.items(), strict=True):
            np.testing.assert_allclose(result, figure, rtol=1e-14, err_msg=f"{case[0].__name__} {case[1]}")


@given(predicted())
def test_binary_figures(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    p, labels = drawn[0][:, 0], drawn[1] % 2
    yes = p > 0.5
    expected = metrics.precision_recall_fscore_support(labels, yes, average="binary", zero_division=0)
    for metric, place in FIGURES.items():
        result = value(metric, yes, labels, average="binary")
        np.testing.assert_allclose(result, expected[place], rtol=1e-14)


# --- hand-worked ----------------------------------------------------------------------------------------------


def test_hand_worked() -> None:
    true, said = np.array([0, 0, 0, 1, 1, 3]), np.array([0, 0, 1, 1, 0, 1])
    matrix = [[2, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]]
    np.testing.assert_array_equal(value(nn.confusion_matrix, said, true, classes=4), matrix)
    assert float(value(nn.accuracy, said, true)) == 0.5
    settings: dict[str, Any] = {"classes": 4, "average": None}
    np.testing.assert_allclose(value(nn.precision, said, true, **settings), [2 / 3, 1 / 3, 0, 0])
    np.testing.assert_allclose(value(nn.recall, said, true, **settings), [2 / 3, 1 / 2, 0, 0])
    np.testing.assert_allclose(value(nn.f1, said, true, **settings), [2 / 3, 2 / 5, 0, 0])
    # Class 2 occurs nowhere, and so has no part in the mean.
    np.testing.assert_allclose(value(nn.recall, said, true, classes=4), (2 / 3 + 1 / 2) / 3)
    np.testing.assert_allclose(value(nn.recall, said, true, classes=4, average="weighted"), (2 + 1) / 6)


def test_ties_go_to_the_first() -> None:
    assert float(value(nn.accuracy, np.array([[0.5, 0.5]]), np.array([0]))) == 1.0


def test_further_leading_axes() -> None:
    rng = np.random.default_rng(0)
    p, labels = rng.random((3, 4, 5)), rng.integers(0, 5, (3, 4))
    for metric in ALL:
        flat = value(metric, p.reshape(12, 5), labels.reshape(12))
        np.testing.assert_array_equal(value(metric, p, labels), flat)
        np.testing.assert_array_equal(value(metric, p, np.eye(5)[labels]), flat)


def test_one_row_without_a_batch() -> None:
    p = gn.Graph().constant([0.1, 0.7, 0.2])
    assert float(gn.run(nn.accuracy(p, 1))) == 1.0
    np.testing.assert_array_equal(gn.run(nn.confusion_matrix(p, 2)), [[0, 0, 0], [0, 0, 0], [0, 1, 0]])


def test_nothing() -> None:
    p, labels = np.zeros((0, 3)), np.zeros(0, np.int64)
    assert np.isnan(value(nn.accuracy, p, labels))
    np.testing.assert_array_equal(value(nn.confusion_matrix, p, labels), np.zeros((3, 3)))
    for metric in FIGURES:
        for average in AVERAGES:
            np.testing.assert_array_equal(
                value(metric, p, labels, average=average), np.zeros(3) if average is None else 0
            )


# --- nodes ----------------------------------------------------------------------------------------------------


def test_each_metric_is_a_scope_with_counts() -> None:
    g = gn.Graph()
    p, labels = g.placeholder("p", ("batch", 3)), g.placeholder("labels", ("batch",), np.int64)
    for metric in ALL:
        name = f"{metric.__name__}_1"
        node = metric(p, labels)
        assert node.scope == name
        assert g.scopes[name].kind == metric.__name__
        assert g[f"{name}/counts"].dtype == np.int64
        assert g[f"{name}/counts"].op.name == "sum_over_batches"
        # What follows the counts reads nothing else that depends on the feed.
        rest, found = [node], set()
        while rest:
            reached = rest.pop()
            found.add(reached)
            rest += [] if reached.name == f"{name}/counts" else reached.inputs
        assert not found & {p, labels}


@pytest.mark.parametrize("metric", ALL)
def test_counts_of_uneven_batches_add_up(metric: Any) -> None:
    rng = np.random.default_rng(1)
    p, labels = rng.random((25, 4)), rng.integers(0, 4, 25)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 4)), g.placeholder("y", ("batch",), np.int64)
    node = metric(x, y)
    counts = g[f"{node.scope}/counts"]
    total = sum(gn.run(counts, {x: p[part], y: labels[part]}) for part in (slice(0, 7), slice(7, 24), slice(24, 25)))
    given = g.placeholder("given", counts.shape, np.int64)
    whole = gn.replace(node, {counts: given})
    np.testing.assert_array_equal(gn.run(whole, {"given": total}), gn.run(node, {x: p, y: labels}))


# --- refusals -------------------------------------------------------------------------------------------------


def refused(
    metric: Any, said: Any, true: Any, said_dtype: Any = np.float64, true_dtype: Any = np.int64, **more: Any
) -> Any:
    g = gn.Graph()
    return metric(g.placeholder("p", said, said_dtype), g.placeholder("labels", true, true_dtype), **more)


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize(
    ("said", "true", "words"),
    [
        (
            ("batch", 3),
            ("batch", 1),
            r"\(batch,\) or one-hot rows of shape \(batch, 3\); got shape \(batch, 1\): gn.squeeze",
        ),
        (("batch", 3), ("batch", 4), r"got shape \(batch, 4\)"),
        (("batch", 3), (1,), r"got shape \(1,\)"),
        (("batch", 3), (), r"got shape \(\)"),
        ((5, 3), (4,), r"class numbers of shape \(5,\)"),
        (("batch", 1), ("batch", 1), "probabilities > 0.5"),
        (("batch",), ("batch",), "probabilities > 0.5"),
        ((), (), "probabilities > 0.5"),
    ],
)
def test_shapes(metric: Any, said: Any, true: Any, words: str) -> None:
    with pytest.raises(gn.ShapeError, match=f"^{metric.__name__}: .*{words}"):
        refused(metric, said, true)


@pytest.mark.parametrize("metric", ALL)
def test_swapped_arguments(metric: Any) -> None:
    g = gn.Graph()
    x, labels = g.placeholder("x", ("batch", 4)), g.placeholder("labels", ("batch",), np.int64)
    logits = nn.Dense(3)(x)
    words = (
        rf'{metric.__name__} takes predictions first, then labels; "dense_1/add" \(batch, 3\) float64, given as labels'
    )
    for first in (labels, [0, 1]):
        with pytest.warns(gn.GraphnnWarning, match=words) as caught:
            metric(first, logits)
        assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.filterwarnings("error")
def test_what_may_be_meant_is_not_called_swapped(metric: Any) -> None:
    g = gn.Graph()
    x, labels = g.placeholder("x", ("batch", 4)), g.placeholder("labels", ("batch",), np.int64)
    logits = nn.Dense(3)(x)
    metric(logits, labels)
    metric(gn.argmax(logits, axis=-1), g.placeholder("hot", ("batch", 3)))
    metric(gn.argmax(logits, axis=-1), gn.softmax(nn.Dense(3)(x)))  # how often two networks agree
    metric(labels, gn.one_hot(g.placeholder("true", ("batch",), np.int64), 3, "float64"))


def test_one_hot_rows_of_one_class() -> None:
    with pytest.raises(gn.ShapeError, match=r"one-hot rows of shape \(batch, classes\); got shape \(batch, 1\)"):
        refused(nn.accuracy, ("batch",), ("batch", 1), np.int64)


@pytest.mark.parametrize("metric", ALL)
def test_dtypes(metric: Any) -> None:
    with pytest.raises(gn.DtypeError, match="integers or bools, not float64"):
        refused(metric, ("batch", 3), ("batch",), true_dtype=np.float64)
    with pytest.raises(gn.DtypeError, match="<U1"):
        metric(gn.Graph().placeholder("p", (1, 3)), ["a"])
    with pytest.raises(gn.UsageError, match="needs a node among its operands"):
        metric(np.ones((2, 3)), [0, 1])


@pytest.mark.parametrize("metric", ALL[1:])
def test_the_number_of_classes(metric: Any) -> None:
    with pytest.raises(gn.UsageError, match="the number of classes is unknown: write classes="):
        refused(metric, ("batch",), ("batch",), np.int64)
    with pytest.raises(gn.UsageError, match='has the name "k": write classes='):
        refused(metric, ("batch", "k"), ("batch",))
    with pytest.raises(gn.ShapeError, match="classes=4, but the operands are of 3"):
        refused(metric, ("batch", 3), ("batch",), classes=4)
    for classes in (0, True, 2.0):
        with pytest.raises((gn.ValueRangeError, gn.UsageError), match="classes is an int of 1 or more"):
            refused(metric, ("batch",), ("batch",), np.int64, classes=classes)
    with pytest.raises(gn.LabelError, match=r"label 2 at index \(1,\)"):
        value(metric, np.array([0, 1]), np.array([1, 2]), classes=2)


@pytest.mark.parametrize("label", [7, -1])
def test_labels_that_are_none_of_the_classes(label: int) -> None:
    p, answers, numbers = np.eye(3)[[0, 1]], np.array([True, False]), np.array([0, label])
    for metric in ALL:
        for predictions, labels in ((p, numbers), (answers, numbers), (numbers, p)):
            with pytest.raises(gn.LabelError, match=f"label {label} at index"):
                value(metric, predictions, labels)
    g = gn.Graph()
    named = g.placeholder("p", ("batch", "k"))
    with pytest.raises(gn.LabelError, match=f"label {label} at index"):
        gn.run(nn.accuracy(named, numbers), {named: p})


def test_averages() -> None:
    for metric in FIGURES:
        with pytest.raises(gn.ValueRangeError, match="average is one of 'macro', 'micro', 'weighted', 'binary', None"):
            refused(metric, (2, 3), (2,), average="mean")
        with pytest.raises(gn.ValueRangeError, match="is for two classes, and there are 3"):
            refused(metric, (2, 3), (2,), average="binary")
