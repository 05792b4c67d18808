"""Metrics of scores and numbers: scikit-learn's figures, over uneven batches, too."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

import graphnn as gn
from graphnn import nn

RNG = np.random.default_rng(4)
P = RNG.dirichlet(np.ones(5), 60).round(4)
LABELS = RNG.integers(0, 5, 60)
HOT = np.eye(5)[LABELS]
ANSWERS = RNG.integers(0, 2, 60)
LOGITS = RNG.normal(size=60) * 3 + ANSWERS
NORMAL = RNG.normal(size=(60, 3))
MANY = RNG.integers(0, 2, (60, 3))
TRUE = RNG.normal(size=(60, 2)) * [1.0, 5.0] + [3.0, 0.0]
NEAR = TRUE + RNG.normal(size=(60, 2))


def fed(metric: Callable[..., gn.Node], a: Any, b: Any, **settings: Any) -> tuple[gn.Node, dict[str, Any]]:
    g = gn.Graph()
    arrays = {"a": np.asarray(a), "b": np.asarray(b)}
    nodes = [g.placeholder(name, ("batch", *each.shape[1:]), each.dtype) for name, each in arrays.items()]
    return metric(*nodes, **settings), arrays


def value(metric: Callable[..., gn.Node], a: Any, b: Any, **settings: Any) -> Any:
    """Return a metric of all rows at once, after a look at what uneven batches give."""
    node, feed = fed(metric, a, b, **settings)
    whole = gn.run(node, feed)
    assert whole.dtype == np.float64
    for size in (25, 59):
        found = nn.evaluate(node, feed, graph=node.graph, batch_size=size)
        np.testing.assert_allclose(found, whole, rtol=1e-12)
    return whole


# --- rankings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 4])
def test_top_k_accuracy(k: int) -> None:
    expected = metrics.top_k_accuracy_score(LABELS, P, k=k, labels=range(5))
    for labels in (LABELS, HOT, LABELS.astype("u1")):
        assert float(value(nn.top_k_accuracy, P, labels, k=k)) == pytest.approx(expected, rel=1e-15)
    if k == 1:
        assert float(value(nn.accuracy, P, LABELS)) == pytest.approx(expected, rel=1e-15)


def test_top_k_accuracy_of_ties_takes_the_first() -> None:
    p = np.zeros((3, 4))
    assert float(value(nn.top_k_accuracy, p, np.array([0, 1, 2]), k=2)) == pytest.approx(2 / 3)


def test_top_k_accuracy_refuses() -> None:
    g = gn.Graph()
    p, labels = g.placeholder("p", ("batch", 3)), g.placeholder("labels", ("batch",), np.int64)
    with pytest.raises(gn.ShapeError, match=r"k=5, and there are 3 classes: write k=2 or less(.|\n)*made at"):
        nn.top_k_accuracy(p, labels)
    with pytest.raises(gn.DtypeError, match="the scores of all classes, not int64"):
        nn.top_k_accuracy(labels, labels, k=1)
    with pytest.raises(gn.ValueRangeError, match="k is an int of 1 or more"):
        nn.top_k_accuracy(p, labels, k=0)
    with pytest.raises(gn.LabelError, match="label 3"):
        gn.run(nn.top_k_accuracy(p, labels, k=1), {p: np.zeros((1, 3)), labels: [3]})


@pytest.mark.parametrize(
    "scores", [LOGITS, 1 / (1 + np.exp(-LOGITS)), LOGITS.astype(np.float32), np.round(LOGITS), LOGITS * 0.0]
)
def test_roc_auc_of_one_question(scores: np.ndarray) -> None:
    expected = metrics.roc_auc_score(ANSWERS, scores)
    assert float(value(nn.roc_auc, scores, ANSWERS)) == pytest.approx(expected, rel=1e-14)
    for answers in (ANSWERS.astype(bool), ANSWERS.astype(float), ANSWERS.astype("u1")):
        assert float(gn.run(*fed(nn.roc_auc, scores, answers))) == pytest.approx(expected, rel=1e-14)
        node, feed = fed(nn.roc_auc, scores[:, None], answers[:, None])
        assert float(gn.run(node, feed)) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("bins", [2, 7, 64, 1000])
def test_what_few_intervals_miss_is_at_most_the_error(bins: int) -> None:
    node, feed = fed(nn.roc_auc, LOGITS, ANSWERS, bins=bins)
    area, error = gn.run([node, node.graph["roc_auc_1/error"]], feed)
    missed = abs(float(area) - metrics.roc_auc_score(ANSWERS, LOGITS))
    assert missed <= float(error) + 1e-15
    assert 0 < float(error) < 4 / bins + 0.005
    batched = nn.evaluate("roc_auc_1/error", feed, graph=node.graph, batch_size=7)
    np.testing.assert_allclose(batched, error, rtol=1e-14)


def test_extreme_scores_are_counted() -> None:
    scores = np.array([-np.inf, -np.finfo(float).max, 0.0, 1e300, np.inf])
    answers = np.array([0, 0, 1, 1, 1])
    assert float(value(nn.roc_auc, np.resize(scores, 60), np.resize(answers, 60))) == 1.0
    assert float(value(nn.roc_auc, np.resize(scores, 60), np.resize(1 - answers, 60))) == 0.0


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_a_score_that_is_nan_has_no_place(average: str) -> None:
    scores = P.copy()
    scores[7, 2] = np.nan
    assert np.isnan(value(nn.roc_auc, scores, LABELS, average=None)).tolist() == [False, False, True, False, False]
    assert np.isnan(value(nn.roc_auc, scores, LABELS, average=average))
    assert np.isnan(value(nn.roc_auc, scores[:, 2], ANSWERS, average=average))


@pytest.mark.parametrize("average", ["macro", "weighted", None])
def test_roc_auc_of_classes(average: str | None) -> None:
    expected = metrics.roc_auc_score(HOT, P, average=average)
    np.testing.assert_allclose(value(nn.roc_auc, P, LABELS, average=average), expected, rtol=1e-12)
    for labels in (HOT, HOT.astype(bool)):
        np.testing.assert_allclose(gn.run(*fed(nn.roc_auc, P, labels, average=average)), expected, rtol=1e-12)
    scores = (MANY * 0.5 + NORMAL).round(2)
    expected = metrics.roc_auc_score(MANY, scores, average=average)
    np.testing.assert_allclose(value(nn.roc_auc, scores, MANY, average=average), expected, rtol=1e-12)


def test_roc_auc_of_what_never_occurs() -> None:
    assert np.isnan(float(value(nn.roc_auc, LOGITS, np.ones(60, int))))
    labels = np.where(LABELS == 3, 0, LABELS)
    each = [metrics.roc_auc_score(labels == each, P[:, each]) for each in (0, 1, 2, 4)]
    assert float(value(nn.roc_auc, P, labels)) == pytest.approx(np.mean(each), rel=1e-12)
    assert np.isnan(value(nn.roc_auc, P, labels, average=None)).tolist() == [False, False, False, True, False]


def test_roc_auc_refuses() -> None:
    g = gn.Graph()
    x, labels = g.placeholder("x", ("batch", 3)), g.placeholder("labels", ("batch",), np.int64)
    with pytest.raises(gn.LabelError, match="label 2"):
        gn.run(nn.roc_auc(x[:, 0], labels), {x: np.zeros((1, 3)), labels: [2]})
    with pytest.raises(gn.LabelError, match="label 3"):
        gn.run(nn.roc_auc(x, labels), {x: np.zeros((1, 3)), labels: [3]})
    with pytest.raises(gn.ValueRangeError, match="average is one of 'macro', 'weighted', None, not 'micro'"):
        nn.roc_auc(x, labels, average="micro")
    with pytest.raises(gn.ShapeError, match="roc_auc: labels for"):
        nn.roc_auc(x, x[:, :2])
    with pytest.raises(gn.ValueRangeError, match="bins is an int of 2 or more"):
        nn.roc_auc(x, labels, bins=1)


# --- numbers --------------------------------------------------------------------------------------------------


def test_r2() -> None:
    expected = metrics.r2_score(TRUE[:, 0], NEAR[:, 0])
    assert float(value(nn.r2, NEAR[:, 0], TRUE[:, 0])) == pytest.approx(expected, rel=1e-12)
    assert float(value(nn.r2, NEAR, TRUE)) == pytest.approx(metrics.r2_score(TRUE, NEAR), rel=1e-12)
    far = TRUE[:, 0] + 1e4
    near = far + 0.1 * NEAR[:, 0]
    assert float(gn.run(*fed(nn.r2, near, far))) == pytest.approx(metrics.r2_score(far, near), rel=1e-7)
    flat = np.full(60, 0.5)
    assert float(value(nn.r2, flat, flat)) == metrics.r2_score(flat, flat) == 1.0
    assert float(value(nn.r2, NEAR[:, 0], flat)) == metrics.r2_score(flat, NEAR[:, 0]) == 0.0
    assert float(value(nn.r2, np.array([[1], [3]]), np.array([[2], [2]]))) == 0.0


@pytest.mark.parametrize("shift", [1e7, -7e6, 1e-300])
def test_r2_far_from_zero(shift: float) -> None:
    far = TRUE + shift
    node, feed = fed(nn.r2, far + 0.3 * NORMAL[:, :2], far)
    for size in (7, 25, None):
        found = nn.evaluate(node, feed, graph=node.graph, batch_size=size)
        assert float(found) == pytest.approx(metrics.r2_score(far, feed["a"]), rel=1e-7)
    flat = np.full((60, 2), shift / 7)
    assert float(value(nn.r2, flat + np.array([0.0, 1.0]), flat)) == 0.5


def test_errors() -> None:
    root = metrics.mean_squared_error(TRUE, NEAR) ** 0.5
    assert float(value(nn.root_mean_squared_error, NEAR, TRUE)) == pytest.approx(root, rel=1e-14)
    whole = value(nn.root_mean_squared_error, NEAR.astype(np.float32), TRUE.astype(int))
    assert float(whole) == pytest.approx(np.mean((NEAR.astype(np.float32) - TRUE.astype(int)) ** 2) ** 0.5, rel=1e-6)
    squared, absolute = metrics.mean_squared_error(TRUE, NEAR), metrics.mean_absolute_error(TRUE, NEAR)
    assert float(value(nn.mean_squared_error, NEAR, TRUE)) == pytest.approx(squared, rel=1e-14)
    assert float(value(nn.mean_absolute_error, NEAR, TRUE)) == pytest.approx(absolute, rel=1e-14)
    for metric in (nn.r2, nn.root_mean_squared_error):
        with pytest.raises(gn.ShapeError, match=f"^{metric.__name__} compares element by element"):
            fed(metric, np.ones((2, 1)), np.ones(2))


def test_in_fit() -> None:
    g = gn.Graph(dtype=np.float32)
    x, y = g.placeholder("x", ("batch", 4)), g.placeholder("y", ("batch",), np.int64)
    z = nn.Dense(5)(x)
    loss = nn.softmax_crossentropy(z, y)
    figures = {"top2": nn.top_k_accuracy(z, y, k=2), "auc": nn.roc_auc(z, y), "r2": nn.r2(z[:, 0], y)}
    feed = {"x": RNG.normal(size=(60, 4)).astype(np.float32), "y": LABELS}
    step = gn.compile(loss, nn.SGD(0.1).updates(loss))
    history = nn.fit(step, feed, batch_size=16, metrics=figures)
    for name, node in figures.items():
        assert history[name] == pytest.approx([float(gn.run(node, feed))], rel=1e-6)
