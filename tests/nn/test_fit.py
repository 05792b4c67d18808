"""fit: batches, figures, stopping, checkpoints; and evaluate."""

import _thread
import io
import itertools
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics
from template import Template

import graphnn as gn
from graphnn import nn
from graphnn.core import operation
from graphnn.io import container
from graphnn.io.graph_files import from_data

X, Y = gn.datasets.spiral(20, classes=3, seed=0)


class Problem:
    """A small network on the spiral's 60 points."""

    def __init__(self, optimizer: nn.Optimizer | None = None, dropout: float = 0.25) -> None:
        self.graph = g = gn.Graph("spiral")
        self.x, self.y = g.placeholder("x", ("batch", 2)), g.placeholder("y", ("batch",), np.int64)
        network = nn.Sequential(nn.Dense(8), nn.Tanh(), nn.Dropout(dropout), nn.Dense(3))
        self.loss = nn.softmax_crossentropy(network(self.x, training=True), self.y)
        self.scores = network(self.x)
        self.accuracy = nn.accuracy(self.scores, self.y)
        self.step = gn.compile(self.loss, (optimizer or nn.Adam(0.05)).updates(self.loss))
        self.feed = {self.x: X, self.y: Y}
        self.settings: dict[str, Any] = {
            "batch_size": 16,
            "metrics": {"accuracy": self.accuracy},
            "callbacks": [nn.EarlyStopping("accuracy", patience=50, mode="max")],
        }

    def state(self) -> dict[str, bytes]:
        return {node.name: value.tobytes() for node, value in self.graph.state.items()}


class Taught:
    """Something linear, of which every number is known: w goes towards the mean of the batch."""

    def __init__(self, rate: float = 0.5) -> None:
        self.graph = g = gn.Graph("taught")
        self.x = g.placeholder("x", ("batch",))
        self.w = g.parameter("w", 0.0)
        self.loss = gn.mean(gn.square(self.x - self.w)) / 2.0
        self.step = gn.compile(self.loss, nn.SGD(rate).updates(self.loss))


def again_from(path: Path | str) -> nn.Checkpoint:
    """Return what resumes from a file, and leaves it as it is."""
    return nn.Checkpoint(f"{path}.next", resume=path)


# --- batches --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rng", [np.random.default_rng, np.random.RandomState])
@pytest.mark.parametrize(("size", "drop_last"), [(16, False), (16, True), (60, True), (500, False), (None, True)])
def test_it_is_the_loop_one_would_write(rng: Any, size: int | None, drop_last: bool) -> None:
    ours, plain = Problem(), Problem()
    data = nn.Loader(ours.feed, batch_size=size, drop_last=drop_last, rng=rng(5))
    history = nn.fit(ours.step, data, epochs=3)
    draw, expected = rng(5), []
    for _ in range(3):
        order = draw.permutation(60)
        cut = size or 60
        batches = [order[i : i + cut] for i in range(0, 60, cut)]
        if drop_last and len(batches[-1]) < min(cut, 60):
            batches.pop()
        losses = [float(plain.step({plain.x: X[rows], plain.y: Y[rows]})) for rows in batches]
        expected.append(np.average(losses, weights=[len(rows) for rows in batches]))
    assert ours.state() == plain.state()
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-14)
    assert list(history) == ["loss"]
    assert history.epochs == 3
    assert not history.interrupted


def test_in_the_order_given_unless_shuffled() -> None:
    p, seen = Taught(), []
    nn.fit(p.step, nn.Loader({"x": np.arange(5.0)}, batch_size=2, shuffle=False), progress=seen.append)
    # From 0 halfway to 0.5, then to 2.5, then to 4.
    assert p.w.value == 2.6875
    history = nn.fit(p.step, nn.Loader({"x": np.full(3, 2.6875)}, batch_size=1, shuffle=False), epochs=2)
    assert history == {"loss": [0.0, 0.0]}
    assert [line.partition(" steps/s")[0][:21] for line in seen] == ["epoch 1/1  loss 1.852"]


def test_without_a_generator_every_call_shuffles_alike() -> None:
    first, second, third = Problem(), Problem(), Problem()
    nn.fit(first.step, first.feed, epochs=2)
    nn.fit(second.step, second.feed, epochs=2, rng=np.random.default_rng(0))
    nn.fit(third.step, third.feed, epochs=2, rng=np.random.default_rng(1))
    assert first.state() == second.state() != third.state()


def test_what_is_declared_with_a_number_is_passed_whole() -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 2)), g.placeholder("y", ("batch",))
    scale, table, rate = g.placeholder("scale"), g.placeholder("table", (6, "width")), g.placeholder("rate")
    w = g.parameter("w", [1.0, 1.0])
    loss = gn.mean(gn.square(x @ w * scale + gn.sum(table) - y))
    step = gn.compile([loss, gn.sum(table), gn.sum(x * 0.0 + 1.0)], nn.SGD(rate).updates(loss))
    rng = np.random.default_rng(0)
    feed = {x: rng.normal(size=(7, 2)), "y": rng.normal(size=7), scale: 2.0, table: np.ones((6, 3)), "rate": 0.01}
    sizes: list[float] = []
    calls = step.__class__.__call__

    def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
        results = calls(self, *args, **kwargs)
        if self is step:
            sizes.append(float(results[2]))
            assert results[1] == 18.0
        return results

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step.__class__, "__call__", watched)
        nn.fit(step, feed, batch_size=3)
    assert sizes == [6.0, 6.0, 2.0]


def test_without_anything_to_cut_an_epoch_is_a_step() -> None:
    g = gn.Graph()
    w = g.parameter("w", 8.0)
    history = nn.fit(gn.compile(w, {w: w * 0.5}), {}, epochs=3)
    assert history == {"loss": [8.0, 4.0, 2.0]}
    assert w.value == 1.0


def test_lengths_must_agree() -> None:
    p = Problem()
    with pytest.raises(gn.ShapeError, match=r'the feed of "y" has batch = 59 .* but "x" has batch = 60'):
        nn.fit(p.step, {p.x: X, p.y: Y[1:]})
    g = gn.Graph()
    a, b, w = g.placeholder("a", ("rows",)), g.placeholder("b", ("others", 2)), g.parameter("w", 1.0)
    step = gn.compile(gn.sum(a) * w + gn.sum(b), {w: w * 1.0})
    words = r'training set have different lengths: "a" \(rows,\) float64 has 3, "b" \(others, 2\) float64 has 4'
    with pytest.raises(gn.ShapeError, match=words):
        nn.fit(step, {a: np.ones(3), b: np.ones((4, 2))})
    nn.fit(step, {a: np.ones(3), b: np.ones((3, 2))}, batch_size=2)
    words = r'of the batch have different lengths.*first axis of 1, as in placeholder\("edges".*call step\(batch'
    with pytest.raises(gn.ShapeError, match=words):
        nn.fit(step, [{a: np.ones(3), b: np.ones((4, 2))}])


def test_batches_take_arrays_of_other_lengths_with_a_first_axis_of_1() -> None:
    g = gn.Graph()
    a, b, w = g.placeholder("a", ("rows",)), g.placeholder("b", (1, "others")), g.parameter("w", 1.0)
    step = gn.compile(gn.mean(a) * w + gn.sum(b), {w: w + 1.0})
    batches = [{a: np.full(n, float(n)), b: np.ones((1, m))} for n, m in ((3, 4), (3, 0), (1, 7))]
    # The losses are 3·1 + 4, 3·2 + 0 and 1·3 + 7, of 3, 3 and 1 rows.
    assert nn.fit(step, batches)["loss"] == [(3 * 7 + 3 * 6 + 10) / 7]


def test_arrays_of_different_lengths_are_one_batch() -> None:
    g = gn.Graph()
    inner, edge, w = g.placeholder("inner", ("n",)), g.placeholder("edge", ("m", 2)), g.parameter("w", 2.0)
    loss = w * gn.mean(inner) + gn.mean(edge**2)
    step, feed = gn.compile(loss, nn.SGD(0.5).updates(loss)), {inner: [1.0, 3.0, 5.0], edge: [[1.0, 2.0]]}
    largest = {"largest": gn.max(inner)}
    history = nn.fit(step, feed, epochs=2, batch_size=None, metrics=largest, validation=feed)
    assert history == {"loss": [8.5, 4.0], "largest": [5.0, 5.0], "val_loss": [4.0, -0.5], "val_largest": [5.0, 5.0]}
    assert nn.evaluate(loss, feed, batch_size=None) == gn.run(loss, feed)
    with pytest.raises(
        gn.ShapeError,
        match=r'of one length.*"edge" \(m, 2\) float64 has shape \(1, 2\): give other arrays as validation=',
    ):
        nn.fit(step, feed, batch_size=None, validation=0.5)


def test_nothing_to_train_on_is_an_error() -> None:
    p = Problem()
    before = p.state()
    with pytest.raises(gn.ValueRangeError, match='the training set is empty: no rows for "x", "y"'):
        nn.fit(p.step, {p.x: X[:0], p.y: Y[:0]})
    with pytest.raises(gn.ValueRangeError, match="the validation set is empty"):
        nn.fit(p.step, p.feed, validation={p.x: X[:0], p.y: Y[:0]})
    with pytest.raises(gn.ValueRangeError, match="drop_last leaves nothing of 60 rows in batches of 61"):
        nn.fit(p.step, nn.Loader(p.feed, batch_size=61, drop_last=True))
    assert p.state() == before
    nn.fit(p.step, nn.Loader(p.feed, batch_size=59, drop_last=True))
    assert p.graph["adam_1/step"].value == 1


def test_feeds_are_not_written_to_and_may_be_lists() -> None:
    p, q = Problem(), Problem()
    x, y = X.copy(), Y.copy()
    x.flags.writeable = y.flags.writeable = False
    nn.fit(p.step, {p.x: x, p.y: y}, epochs=2)
    nn.fit(q.step, {"x": X.tolist(), "y": Y.astype(np.int8).tolist()}, epochs=2)
    assert p.state() == q.state()


@pytest.mark.parametrize("shuffle", [True, False])
def test_an_error_tells_in_which_batch_of_which_rows_it_came(shuffle: bool) -> None:
    g = gn.Graph()
    index = g.placeholder("index", shape=("batch",), dtype=np.int64)
    loss = gn.mean(gn.take(g.parameter("table", np.ones((20, 4))), index, axis=0))
    step = gn.compile(loss, updates=nn.SGD(0.1).updates(loss))
    rows = np.arange(20)
    rows[13] = 99
    with pytest.raises(gn.AxisError) as raised:
        nn.fit(step, nn.Loader({index: rows}, batch_size=6, shuffle=shuffle), epochs=2, progress=False)
    (note,) = raised.value.__notes__
    if not shuffle:
        assert note == "in epoch 1, batch 3 of 4: rows 12 to 17"
    else:
        listed = list(map(int, note.partition("rows ")[2].removesuffix(", in this order").split(", ")))
        assert 13 in listed
        fed: Any = raised.value.debug()
        assert fed["index"].value.tolist() == rows[listed].tolist()


@pytest.mark.slow
def test_the_spiral_is_learned() -> None:
    points, classes = gn.datasets.spiral(100, classes=3, seed=0)
    g = gn.Graph("spiral")
    x, y = g.placeholder("x", ("batch", 2)), g.placeholder("y", ("batch",), np.int64)
    rng, init = np.random.default_rng(0), nn.init.normal(0.0, 0.01)
    network = nn.Sequential(
        nn.Dense(100, weight_init=init, rng=rng), nn.ReLU(), nn.Dense(3, weight_init=init, rng=rng), nn.Softmax()
    )
    probabilities = network(x)
    weights = [g["dense_1/weight"], g["dense_2/weight"]]
    loss = nn.categorical_crossentropy(probabilities, y) + nn.l2(weights, 1e-3)
    step = gn.compile(loss, nn.SGD(1.0).updates(loss))
    feed = {x: points, y: classes}
    nn.fit(step, feed, epochs=10_000, batch_size=None)
    assert nn.evaluate(nn.accuracy(probabilities, y), feed) >= 0.98


# --- figures --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 32, 97, 300, None])
def test_uneven_batches_give_scikit_learns_figures(size: int | None) -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(97, 2)), rng.integers(0, 4, 97)
    g = gn.Graph()
    inputs, labels = g.placeholder("x", ("batch", 2)), g.placeholder("y", ("batch",), np.int64)
    scores = nn.Dense(4, rng=rng)(inputs)
    figures: dict[str, gn.Node] = {"accuracy": nn.accuracy(scores, labels)}
    for average in ("macro", "micro", "weighted"):
        for metric in (nn.precision, nn.recall, nn.f1):
            figures[f"{metric.__name__}_{average}"] = metric(scores, labels, average=average)
    figures["each"] = nn.f1(scores, labels, average=None)
    figures["confusion"] = nn.confusion_matrix(scores, labels)
    figures["wrong"] = 1.0 - figures["accuracy"]
    figures["worst"] = gn.min(figures["each"])
    figures["both"] = figures["f1_macro"] * figures["precision_macro"]
    found = nn.evaluate(figures, {inputs: x, labels: y}, batch_size=size)

    predicted = gn.run(scores, {inputs: x}).argmax(axis=1)
    assert math.isclose(found["accuracy"], sklearn_metrics.accuracy_score(y, predicted), rel_tol=1e-12)
    for name in ("precision", "recall", "f1"):
        function = getattr(sklearn_metrics, f"{name}_score")
        for average in ("macro", "micro", "weighted"):
            expected = function(y, predicted, average=average, zero_division=0.0)
            assert math.isclose(found[f"{name}_{average}"], expected, rel_tol=1e-12), (name, average)
    each = sklearn_metrics.f1_score(y, predicted, average=None, zero_division=0.0)
    np.testing.assert_allclose(found["each"], each, rtol=1e-12)
    assert np.array_equal(found["confusion"], sklearn_metrics.confusion_matrix(y, predicted))
    assert math.isclose(found["wrong"], 1 - found["accuracy"], rel_tol=1e-12)
    assert math.isclose(found["worst"], each.min(), rel_tol=1e-12)
    assert found["both"] == found["f1_macro"] * found["precision_macro"]


def test_figures_during_training_are_those_of_evaluate() -> None:
    p = Problem()
    f1 = nn.f1(p.scores, p.y, average=None)
    size = len(p.graph)
    validation = {p.x: X[::2] * 1.1, p.y: Y[::2]}
    seen: list[Any] = []

    def look(history: nn.History) -> None:
        for prefix, feed in (("", p.feed), ("val_", validation)):
            seen.append(
                {f"{prefix}accuracy": history[f"{prefix}accuracy"][-1], f"{prefix}f1": history[f"{prefix}f1"][-1]}
            )
            found = nn.evaluate({f"{prefix}accuracy": p.accuracy, f"{prefix}f1": f1}, feed)
            assert seen[-1] == {name: value.tolist() for name, value in found.items()}
        np.testing.assert_allclose(history["val_loss"][-1], gn.run(p.loss, validation), rtol=1)

    history = nn.fit(
        p.step,
        p.feed,
        epochs=3,
        batch_size=16,
        validation=validation,
        metrics={"accuracy": p.accuracy, "f1": f1.name},
        callbacks=look,
    )
    assert list(history) == ["loss", "accuracy", "f1", "val_loss", "val_accuracy", "val_f1"]
    assert len(seen) == 6
    assert json.loads(json.dumps(history)) == history
    assert len(p.graph) == size, "the graph grew"


def test_validation_and_metrics_change_nothing() -> None:
    p, q = Problem(), Problem()
    nn.fit(p.step, p.feed, epochs=3)
    history = nn.fit(q.step, q.feed, epochs=3, validation={"x": X[:9], "y": Y[:9]}, metrics={"accuracy": q.accuracy})
    assert p.state() == q.state()
    assert q.graph["dropout_1/counter"].value == 6
    # By the state as it is in the end, and without dropout.
    plain = gn.replace(q.loss, q.graph.evaluation)
    assert math.isclose(history["val_loss"][-1], gn.run(plain, {"x": X[:9], "y": Y[:9]}), rel_tol=1e-12)


def test_means_are_weighted_by_size() -> None:
    p = Taught()
    x = np.arange(7.0)
    product = gn.mean(p.x) * gn.sum(p.w + 2.0)
    assert math.isclose(nn.evaluate(product, {p.x: x}, batch_size=3), 6.0)
    assert nn.evaluate(p.w, {p.x: x}, batch_size=3) == 0.0
    assert nn.evaluate("mean", {p.x: x}, batch_size=3) == nn.evaluate(p.graph["mean"], {"x": x}, batch_size=None)
    assert nn.evaluate([], {p.x: x}, graph=p.graph) == []


FOLDS: list[Callable[[Any], gn.Node]] = [
    gn.sum, gn.prod, gn.max, gn.min, gn.argmax, gn.std, gn.var, gn.logsumexp,
    lambda x: gn.any(x > 2.0), lambda x: gn.all(x > 2.0), lambda x: gn.sum(gn.stack([x, x], axis=1), axis=0),
]  # fmt: skip


@pytest.mark.parametrize("fold", FOLDS)
def test_what_is_no_mean_of_batches_is_refused(fold: Callable[[Any], gn.Node]) -> None:
    p = Taught()
    feed, node = {p.x: np.arange(7.0)}, fold(p.x)
    with pytest.raises(gn.UsageError, match=f'"{node.name}" is the {node.op.name} over a batch, .*take the mean'):
        nn.evaluate(node, feed, batch_size=3)
    with pytest.raises(gn.UsageError, match="over a batch"):
        nn.fit(p.step, feed, batch_size=3, metrics={"figure": node})
    assert p.w.value == 0.0
    np.testing.assert_allclose(nn.evaluate(node, feed, batch_size=None), gn.run(node, feed))


def test_what_does_not_read_the_batch_may_be_a_sum() -> None:
    p = Taught()
    table = p.graph.placeholder("table", (2, "width"))
    feed = {p.x: np.arange(7.0), table: np.ones((2, 3))}
    np.testing.assert_allclose(nn.evaluate([gn.sum(table), gn.max(p.w)], feed, batch_size=3), [6.0, 0.0])


def test_a_loss_that_is_a_sum_adds_up_over_the_validation_set() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", ("batch",)), g.parameter("w", 0.0)
    loss = nn.mean_squared_error(x * 0.0 + w, x, reduction="sum")
    step = gn.compile(loss, nn.SGD(0.01).updates(loss))
    history = nn.fit(step, {x: [1.0, 2.0]}, batch_size=3, validation={x: np.arange(7.0)})
    assert math.isclose(history["val_loss"][0], gn.run(loss, {x: np.arange(7.0)}), rel_tol=1e-12)


def test_tallies_are_told_by_their_operation_not_by_a_name() -> None:
    p = Taught()
    many = gn.greater(gn.mean(p.x), 3.5)
    counts = gn.cast(many, "int64", name="counts")
    assert math.isclose(nn.evaluate(counts, {p.x: np.arange(7.0)}, batch_size=3), 4 / 7)
    mine = gn.sum_over_batches(gn.sum(gn.cast(gn.greater(p.x, 3.5), "int64")), name="mine")
    assert nn.evaluate([mine, mine * 2], {p.x: np.arange(7.0)}, batch_size=3) == [3, 6]


def test_counts_beside_something_else_are_no_counts() -> None:
    p = Problem(dropout=0.0)
    w = p.graph["dense_1/weight"]
    mixed = {"regularized": p.accuracy - nn.l2([w], 0.1), "of the batch": p.accuracy + gn.mean(p.x)}
    before = nn.evaluate(mixed, p.feed, batch_size=7)
    np.testing.assert_allclose(before["regularized"], gn.run(mixed["regularized"], p.feed), rtol=1e-12)
    np.testing.assert_allclose(before["of the batch"], gn.run(mixed["of the batch"], p.feed), rtol=1e-12)
    with p.graph.scope("mine"):
        right = gn.equal(gn.argmax(p.scores, axis=1), p.y)
        counts = gn.sum_over_batches(gn.sum(gn.cast(right, "int64")), name="counts")
    assert nn.evaluate(counts, p.feed, batch_size=7) == gn.run(counts, p.feed)


def test_a_figure_has_a_shape_of_its_own() -> None:
    p = Problem()
    with pytest.raises(gn.ShapeError, match=r'"dense_2_2/add" has shape \(batch, 3\), which depends on the batch'):
        nn.fit(p.step, p.feed, metrics={"scores": p.scores})
    assert p.graph["adam_1/step"].value == 0


def test_a_feed_that_lacks_something_is_found_before_anything_is_trained() -> None:
    p = Problem()
    more = p.graph.placeholder("more", ("batch",))
    before = p.state()
    with pytest.raises(gn.NotFoundError, match='the feed lacks "more"'):
        nn.fit(p.step, p.feed, metrics={"more": gn.mean(more)})
    with pytest.raises(gn.NotFoundError, match='the feed lacks "y"'):
        nn.fit(p.step, p.feed, validation={p.x: X})
    with pytest.raises(gn.NotFoundError, match='the feed lacks "y"'):
        nn.fit(p.step, {p.x: X})
    assert p.state() == before


# --- callbacks and early stopping -----------------------------------------------------------------------------


def test_callbacks_see_the_history_and_may_stop() -> None:
    p, seen = Problem(), []
    history = nn.fit(
        p.step,
        p.feed,
        epochs=10,
        callbacks=[lambda h: seen.append(h.epochs) or h.epochs == 3, lambda h: seen.append(-h.epochs)],
    )
    assert seen == [1, -1, 2, -2, 3, -3]
    assert history.epochs == 3
    for other in (1, "yes", np.array([True]), np.False_, np.array(1.0)):
        assert nn.fit(p.step, p.feed, epochs=2, callbacks=lambda h, other=other: other).epochs == 2, "only True stops"
    for true in (np.True_, np.array(True)):
        assert nn.fit(p.step, p.feed, epochs=2, callbacks=lambda h, true=true: true).epochs == 1


def falling(values: list[float]) -> tuple[gn.Graph, Any, dict[str, Any]]:
    """Return a step whose loss goes through values, and a parameter that counts."""
    g = gn.Graph()
    at = g.parameter("at", np.int64(0), trainable=False)
    return g, gn.compile(gn.take(g.constant(np.array(values, float)), at), {at: at + 1}), {}


@pytest.mark.filterwarnings("ignore:the loss is NaN")
@pytest.mark.parametrize(
    ("values", "stopping", "epochs", "best", "at"),
    [
        ([5, 4, 3, 4, 5, 6, 7], nn.EarlyStopping("loss", patience=2), 5, 3, 3),
        ([5, 4, 3, 4, 5, 6, 7], nn.EarlyStopping("loss", patience=2, restore_best=False), 5, 3, 5),
        ([5, 4, 3, 2, 1, 1, 1], nn.EarlyStopping("loss", patience=3), 7, 5, 5),
        ([5, 4.5, 4, 3.5, 3, 2.5], nn.EarlyStopping("loss", patience=2, min_delta=0.75), 6, 5, 5),
        ([5, 4.5, 4.4, 4.3, 3, 2.5], nn.EarlyStopping("loss", patience=3, min_delta=1), 4, 1, 1),
        ([1, 2, 3, 2, 1, 0], nn.EarlyStopping("loss", patience=2, mode="max"), 5, 3, 3),
        ([math.nan, 4, math.nan, math.nan, 1], nn.EarlyStopping("loss", patience=2), 4, 2, 2),
        ([math.nan, math.nan, 1], nn.EarlyStopping("loss", patience=2), 2, None, 2),
        ([math.inf, 1, 2, math.inf], nn.EarlyStopping("loss", patience=2), 4, 2, 2),
    ],
)
def test_early_stopping(values: list[float], stopping: Any, epochs: int, best: int | None, at: int) -> None:
    g, step, feed = falling(values)
    history = nn.fit(step, feed, epochs=len(values), callbacks=stopping)
    assert history.epochs == epochs
    assert history.best == best
    assert g["at"].value == at


def test_the_first_loss_that_is_nan_is_warned_of() -> None:
    _, step, feed = falling([1, math.inf, math.nan, 2, math.nan])
    with pytest.warns(gn.GraphnnWarning, match="the loss is NaN in epoch 3, batch 1 of 1, and .* goes on") as caught:
        history = nn.fit(step, feed, epochs=5)
    assert ([each.filename for each in caught], history.epochs) == ([__file__], 5)
    w = gn.Graph().parameter("w", 1.0)
    guarded = gn.compile(gn.log(w), {w: w - 2.0}, guard="nan")
    with pytest.raises(gn.ValueRangeError, match="NaN"):
        nn.fit(guarded, {}, epochs=3)
    assert w.value == -1


def test_early_stopping_restores_slots_and_counters_too_but_nothing_else() -> None:
    p = Problem()
    apart = p.graph.parameter("apart", 1.0)
    states: list[dict[str, bytes]] = []

    def note(history: nn.History) -> None:
        apart.value = float(history.epochs)
        states.append(p.state())

    stopping = nn.EarlyStopping("val_accuracy", patience=2, mode="max")
    validation = {p.x: X[:2], p.y: Y[:2]}
    history = nn.fit(
        p.step,
        p.feed,
        epochs=30,
        validation=validation,
        metrics={"accuracy": p.accuracy},
        callbacks=[note, stopping],
    )
    assert history.best is not None
    assert history.best == history.epochs - 2
    expected = {**states[history.best - 1], "apart": np.float64(history.epochs).tobytes()}
    assert p.state() == expected


# --- Ctrl-C ---------------------------------------------------------------------------------------------------


def test_ctrl_c_in_a_step_ends_with_what_was_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    p, q = Problem(), Problem()
    plain = operation("random_uniform").forward
    left = [6]

    def forward(self: Any, counter: Any, out: Any = None) -> Any:
        left[0] -= 1
        if left[0] == 0:
            _thread.interrupt_main()
        return plain(self, counter, out=out)

    monkeypatch.setattr(operation("random_uniform"), "forward", forward)
    # Four steps an epoch, each of which draws once: the sixth is a step of the second epoch.
    data = nn.Loader(p.feed, batch_size=16, shuffle=False)
    history = nn.fit(p.step, data, epochs=9, metrics={"accuracy": p.accuracy})
    assert history.interrupted
    assert {len(values) for values in history.values()} == {history.epochs} == {1}
    assert repr(history).endswith("\ninterrupted")
    monkeypatch.undo()
    for rows in [slice(i, i + 16) for i in (0, 16, 32, 48, 0)]:
        q.step({q.x: X[rows], q.y: Y[rows]})
    assert p.state() == q.state()
    again = nn.fit(p.step, data, epochs=2)
    assert not again.interrupted


class Presses:
    """A trace function that presses Ctrl-C at one of the lines of graphnn, counted from 1."""

    def __init__(self, moment: int) -> None:
        self.moment, self.lines = moment, 0

    def __call__(self, frame: Any, event: str, arg: Any) -> Any:
        if "graphnn" not in frame.f_code.co_filename:
            return None
        if event == "line":
            self.lines += 1
            if self.lines == self.moment:
                raise KeyboardInterrupt
        return self


def test_ctrl_c_at_any_moment_leaves_whole_steps(tmp_path: Path) -> None:
    """Whatever line it hits, the state is that of a number of steps, and the history of whole epochs."""
    halves = [slice(0, 30), slice(30, 60)] * 2
    reference = Problem()
    allowed = [reference.state()]
    for rows in halves:
        reference.step({"x": X[rows], "y": Y[rows]})
        allowed.append(reference.state())

    def interrupted(moment: int) -> tuple[int, nn.History | None, int]:
        p, presses, before = Problem(), Presses(moment), sys.gettrace()
        more = {"metrics": {"accuracy": p.accuracy}, "checkpoint": tmp_path / "c", "callbacks": lambda h: None}
        sys.settrace(presses)
        try:
            history = nn.fit(p.step, nn.Loader(p.feed, batch_size=30, shuffle=False), epochs=2, **more)
        except KeyboardInterrupt:
            history = None  # before training began, or when it was over
        finally:
            sys.settrace(before)
        return allowed.index(p.state()), history, presses.lines

    steps, history, lines = interrupted(0)
    assert history is not None
    assert (steps, history.epochs, history.interrupted) == (4, 2, False)
    found = set()
    for moment in np.random.default_rng(0).integers(1, lines, 50):
        steps, history, _ = interrupted(int(moment))
        found.add(steps)
        if history is None:
            assert steps in (0, 4)
        else:
            assert history.interrupted
            assert {len(values) for values in history.values()} <= {history.epochs}
            assert steps in {0: (0, 1, 2), 1: (2, 3, 4), 2: (4,)}[history.epochs]
    assert len(found) >= 3, "the moments were not spread"
    assert {path.name for path in tmp_path.iterdir()} == {"c"}


# --- progress -------------------------------------------------------------------------------------------------


def ticking(monkeypatch: pytest.MonkeyPatch, tick: float) -> None:
    """Let each look at the clock, in what tells of progress, take this many seconds."""
    now = itertools.count(0.0, tick)
    monkeypatch.setattr(
        sys.modules["graphnn.nn.training.progress"], "time", SimpleNamespace(perf_counter=lambda: next(now))
    )


def test_progress_as_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    ticking(monkeypatch, 2.0**-5)
    stream, lines = io.StringIO(), []
    for progress in (stream, lines.append, True, False, None):
        p = Problem()
        nn.fit(p.step, p.feed, epochs=12, metrics={"accuracy": p.accuracy}, progress=progress)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == stream.getvalue() == "".join(line + "\n" for line in lines)
    assert len(lines) == 12
    assert re.fullmatch(r"epoch  1/12  loss 1\.\d{1,3}  accuracy 0\.\d{1,4}  10\.7 steps/s, 0:02 left", lines[0])
    assert lines[-1].startswith("epoch 12/12  loss ")
    assert lines[-1].endswith("  15.7 steps/s, 0:02 in all")
    few: list[str] = []
    g, step, feed = falling([1.0] * 1000)
    nn.fit(step, feed, epochs=1000, progress=few.append)
    assert len(few) == 51
    assert few[0] == "epoch    1/1000  loss 1"
    assert re.fullmatch(r"epoch 1000/1000  loss 1  15\.\d steps/s, 1:04 in all", few[-1])
    with pytest.raises(gn.UsageError, match="progress is True, False, a stream or a function of a line, not str"):
        nn.fit(step, feed, progress="yes")
    assert g["at"].value == 1000


class Terminal(io.StringIO):
    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__()
        self.said = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.said

    def isatty(self) -> bool:
        return True


# --- history --------------------------------------------------------------------------------------------------


def test_history_is_a_dict_of_lists_and_prints_as_a_table() -> None:
    history = nn.History({"loss": [0.5, 0.25], "confusion": [[[1, 2], [3, 4]]] * 2})
    assert isinstance(history, dict)
    assert history == {"loss": [0.5, 0.25], "confusion": [[[1, 2], [3, 4]]] * 2}
    assert str(history) == "epoch  loss  confusion\n    1   0.5        2×2\n    2  0.25        2×2"
    assert repr(nn.History()) == "epoch"
    long = nn.History({"loss": [float(i) for i in range(1000)]})
    lines = repr(long).splitlines()
    assert len(lines) == 22
    assert [line.split() for line in lines[10:13]] == [["10", "9"], ["…", "…"], ["991", "990"]]
    with pytest.raises(gn.UsageError, match="all lists of a history have the same length"):
        nn.History({"loss": [1.0], "accuracy": []})


def test_history_plots_and_shows_itself() -> None:
    history = nn.History({"loss": [0.5, 0.25], "val_loss": [0.6, 0.3], "cost $": [1.0, 2.0], "each": [[1, 2], [3, 4]]})
    drawing = history.plot()
    assert [[line.get_label() for line in axes.lines] for axes in drawing.axes] == [["loss", "val_loss"], ["cost \\$"]]
    assert drawing.axes[0].lines[1].get_ydata().tolist() == [0.6, 0.3]
    assert drawing.axes[0].lines[1].get_xdata().tolist() == [1, 2]
    bundle = history._repr_mimebundle_()
    assert bundle["text/plain"] == repr(history)
    assert "<svg" in bundle["image/svg+xml"]
    assert "image/svg+xml" not in nn.History()._repr_mimebundle_()
    with pytest.raises(gn.DrawingError, match="no epoch was completed"):
        nn.History().plot()


def test_two_epochs_are_points_and_no_line() -> None:
    for epochs, styles in ((2, ["None", "None"]), (3, ["-", "--"])):
        values = [0.5 / epoch for epoch in range(1, epochs + 1)]
        lines = nn.History({"loss": values, "val_loss": values}).plot().axes[0].lines
        assert [line.get_linestyle() for line in lines] == styles
        assert all(line.get_marker() not in ("", "None") for line in lines)
        assert len({(line.get_marker(), line.get_linestyle()) for line in lines}) == 2  # the validation is told apart


def test_history_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    history = nn.History({"loss": [0.5]})
    with pytest.raises(gn.DrawingError, match=r'pip install "graphnn\[plot\]"'):
        history.plot()
    assert list(history._repr_mimebundle_()) == ["text/plain"]


# --- checkpoints ----------------------------------------------------------------------------------------------

PROGRAM = """
import hashlib, json, sys
import numpy as np
import graphnn as gn
from graphnn import nn

epochs, checkpoint, every, resume, stop_at = json.loads(sys.argv[1])
X, Y = gn.datasets.spiral(20, classes=3, seed=0)
g = gn.Graph("spiral")
x, y = g.placeholder("x", ("batch", 2)), g.placeholder("y", ("batch",), np.int64)
network = nn.Sequential(nn.Dense(8), nn.Tanh(), nn.Dropout(0.25), nn.Dense(3))
loss = nn.softmax_crossentropy(network(x, training=True), y)
metrics = {"accuracy": nn.accuracy(network(x), y), "f1": nn.f1(network(x), y, average=None)}
optimizer = nn.Adam(nn.schedules.warmup(5, nn.schedules.cosine(0.1, 60)), clip_norm=1.0)
step = gn.compile(loss, optimizer.updates(loss))
count = g["adam_1/step"]

class Interrupting(type(step)):
    def __call__(self, feed):
        if int(count.value) == stop_at:
            raise KeyboardInterrupt
        return super().__call__(feed)

step.__class__ = Interrupting
rng = np.random.default_rng(7)
history = nn.fit(
    step, {x: X, y: Y}, epochs=epochs, batch_size=16, rng=rng, metrics=metrics, validation={x: X[::3] * 1.1, y: Y[::3]},
    callbacks=nn.EarlyStopping("val_accuracy", patience=4, mode="max"),
    checkpoint=checkpoint and nn.Checkpoint(checkpoint, every=every, resume=resume or False),
)
state = {node.name: hashlib.sha256(value.tobytes()).hexdigest() for node, value in g.state.items()}
print(json.dumps([state, history, history.best, history.interrupted, str(rng.bit_generator.state)]))
"""


@pytest.fixture(scope="module")
def trained(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Train in a new process."""
    folder = tmp_path_factory.mktemp("trained")

    def train(
        epochs: int,
        checkpoint: Path | None = None,
        every: int | None = None,
        resume: Path | None = None,
        stop_at: int | None = None,
    ) -> Any:
        checkpoint = checkpoint or (resume and folder / "next")
        arguments = [epochs, checkpoint and str(checkpoint), every, resume and str(resume), stop_at]
        done = template.run("-c", PROGRAM, json.dumps(arguments), cwd=folder)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return train


@pytest.fixture(scope="module")
def straight() -> Any:
    # The others are copies of one process. In this one, the order of sets is another.
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, json.dumps([9, None, None, None, None])],
        env={**os.environ, "PYTHONPATH": str(Path(gn.__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result[2] is not None
    assert not result[3]
    return result


def test_resumed_after_an_epoch_equals_straight_through(
    trained: Callable[..., Any], straight: Any, tmp_path: Path
) -> None:
    trained(4, checkpoint=tmp_path / "a")
    assert trained(9, checkpoint=tmp_path / "a", resume=tmp_path / "a") == straight
    # What was finished is finished.
    assert trained(9, resume=tmp_path / "a") == straight


@pytest.mark.parametrize(("every", "stop_at"), [(3, 10), (4, 9), (1, 3)])
def test_resumed_amid_an_epoch_equals_straight_through(
    trained: Callable[..., Any], straight: Any, tmp_path: Path, every: int, stop_at: int
) -> None:
    interrupted = trained(9, checkpoint=tmp_path / "a", every=every, stop_at=stop_at)
    assert interrupted[3]
    assert len(interrupted[1].get("loss", [])) == stop_at // 4
    assert trained(9, resume=tmp_path / "a") == straight


GENERATORS: list[Callable[[], Any]] = [
    lambda: np.random.default_rng(3),
    lambda: np.random.Generator(np.random.MT19937(3)),
    lambda: np.random.Generator(np.random.Philox(3)),
    lambda: np.random.Generator(np.random.SFC64(3)),
    lambda: np.random.Generator(np.random.PCG64DXSM(3)),
    lambda: np.random.RandomState(3),
]


@pytest.mark.parametrize("make", GENERATORS)
def test_every_generator_goes_on(make: Callable[[], Any], tmp_path: Path) -> None:
    whole, first, second = Problem(), Problem(), Problem()
    rng = make()
    history = nn.fit(whole.step, whole.feed, epochs=4, rng=rng)
    nn.fit(first.step, first.feed, epochs=2, rng=make(), checkpoint=tmp_path / "c")
    given = make()
    given.normal(size=9)
    again = nn.fit(second.step, second.feed, epochs=4, rng=given, checkpoint=again_from(str(tmp_path / "c")))
    assert second.state() == whole.state()
    assert again == history
    assert again.epochs == 4
    assert given.normal() == rng.normal()


def test_without_shuffling_and_with_all_at_once(tmp_path: Path) -> None:
    whole, part = Problem(), Problem()
    history = nn.fit(whole.step, nn.Loader(whole.feed, shuffle=False, batch_size=None), epochs=4)
    nn.fit(part.step, nn.Loader(part.feed, shuffle=False, batch_size=None), epochs=3, checkpoint=tmp_path / "c")
    fresh = Problem()
    data, checkpoint = nn.Loader(fresh.feed, shuffle=False, batch_size=None), nn.Checkpoint(tmp_path / "c", resume=True)
    assert nn.fit(fresh.step, data, epochs=4, checkpoint=checkpoint) == history
    assert fresh.state() == whole.state()


def test_when_checkpoints_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[int, int]] = []

    def write(path: Any, kind: str, data: Any, arrays: Any, **more: Any) -> None:
        written.append((data["position"]["steps"], data["position"]["batch"]))

    monkeypatch.setattr(sys.modules["graphnn.nn.training.checkpoint"], "write", write)
    p = Problem()
    nn.fit(p.step, p.feed, epochs=3, batch_size=16, checkpoint=tmp_path / "c")
    assert written == [(4, 0), (8, 0), (12, 0)]
    written.clear()
    nn.fit(p.step, p.feed, epochs=3, batch_size=16, checkpoint=nn.Checkpoint(tmp_path / "c", every=5))
    assert written == [(5, 1), (10, 2), (12, 0)]
    written.clear()
    nn.fit(
        p.step,
        p.feed,
        epochs=9,
        batch_size=16,
        checkpoint=nn.Checkpoint(tmp_path / "c", every=100),
        callbacks=lambda h: True,
    )
    assert written == [(4, 0)]


def test_a_checkpoint_holds_the_graph(tmp_path: Path) -> None:
    p = Problem()
    p.graph.outputs["loss"] = p.loss
    nn.fit(p.step, p.feed, epochs=2, checkpoint=tmp_path / "c")
    data, arrays = container.read(tmp_path / "c", "checkpoint", version=3)
    inside = {name.removeprefix("graph/"): array for name, array in arrays.items() if name.startswith("graph/")}
    graph = from_data(data["graph"], inside)
    assert gn.run(graph.outputs["loss"], {"x": X, "y": Y}) == gn.run(p.loss, p.feed)
    graph_step, again = gn.compile(graph.outputs["loss"], graph.updates), p.step(p.feed)
    assert graph_step({"x": X, "y": Y}) == again


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    p = Problem()
    path = tmp_path / "saved"
    nn.fit(p.step, p.feed, epochs=2, checkpoint=path, **p.settings)
    return path


def refused(path: Path, make: Callable[[], Any] = Problem, **more: Any) -> str:
    """Return the error of resuming, which must leave everything as it was."""
    p = make()
    before = p.state()
    rng = more.pop("rng", None) or np.random.default_rng(1)
    drawn = str(rng.bit_generator.state)
    settings = {"epochs": 4, "rng": rng, **p.settings, **more}
    if "data" in more:
        del settings["rng"], settings["batch_size"]
    with pytest.raises((gn.GraphnnError, OSError)) as raised:
        nn.fit(p.step, settings.pop("data", p.feed), checkpoint=again_from(path), **settings)
    assert p.state() == before
    assert str(rng.bit_generator.state) == drawn
    assert isinstance(raised.value, (ValueError, TypeError, OSError))
    return str(raised.value)


def test_what_is_no_checkpoint_of_this_graph_is_refused(saved: Path, tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "nowhere")
    assert 'the parameter "adam_1/' in refused(saved, lambda: Problem(nn.SGD(0.1, momentum=0.9)))
    (tmp_path / "text").write_text("hello")
    assert "is not a graphnn file" in refused(tmp_path / "text")
    container.write(tmp_path / "graph", "graph", {}, {})
    assert "holds a graph where a checkpoint was asked for" in refused(tmp_path / "graph")
    (tmp_path / "cut").write_bytes(saved.read_bytes()[:-40])
    refused(tmp_path / "cut")
    flipped = bytearray(saved.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    (tmp_path / "flipped").write_bytes(flipped)
    refused(tmp_path / "flipped")

    class Wider(Problem):
        def __init__(self) -> None:
            super().__init__()
            self.graph.parameter("more", 1.0)

    assert 'the parameter "more" is only in the graph' in refused(saved, Wider)


def test_what_does_not_go_on_as_before_is_refused(saved: Path, tmp_path: Path) -> None:
    words = "was shuffled by PCG64, and rng is Philox: resume with a generator of the same kind"
    assert words in refused(saved, rng=np.random.Generator(np.random.Philox(0)))
    assert "was made with shuffle=True" in refused(
        saved, data=nn.Loader({"x": X, "y": Y}, batch_size=16, shuffle=False)
    )
    assert "records loss, accuracy, but this call loss: resume with" in refused(saved, metrics=None, callbacks=())
    p = Problem()
    path = tmp_path / "amid"

    def stop(history: nn.History) -> None:
        raise KeyboardInterrupt

    nn.fit(p.step, p.feed, batch_size=16, checkpoint=nn.Checkpoint(path, every=3), callbacks=stop)
    words = "within an epoch with rows = 60, batch_size = 16, rows in batches = 60, but this call has rows = 60, "
    assert words in refused(path, batch_size=20, metrics=None, callbacks=())


def test_forged_checkpoints_are_refused(saved: Path, tmp_path: Path) -> None:
    data, arrays = container.read(saved, "checkpoint", version=3)
    forged: list[Any] = []
    for key in data:
        forged += [{k: v for k, v in data.items() if k != key}, {**data, key: "?"}, {**data, key: 3}]
    forged += [{**data, key: []} for key in data]
    for key in data["position"]:
        forged += [{**data, "position": {**data["position"], key: value}} for value in ("?", None, [])]
    for key in data["watch"]:
        forged += [{**data, "watch": {**data["watch"], key: value}} for value in ("?", None, [])]
    for key in data["shuffling"]:
        forged += [{**data, "shuffling": {**data["shuffling"], key: value}} for value in ("?", None, {})]
    forged += [{**data, "graph": value} for value in ({}, {"nodes": 3}, {"nodes": {"name": None}})]
    forged += [[], None, {**data, "history": {"loss": "ab", "accuracy": "ab"}}]
    forged += [
        {**data, "history": {"loss": [1.0], "accuracy": []}},
        {**data, "position": {**data["position"], "batch": -1}},
        {**data, "position": {**data["position"], "batch": 5, "steps": 99}},
        {**data, "position": {**data["position"], "batch": 3, "steps": 2}},
        {**data, "position": {**data["position"], "steps": 1}},
        {**data, "watch": {**data["watch"], "epoch": 3}},
        {**data, "watch": {**data["watch"], "waited": 3}},
        {**data, "watch": {**data["watch"], "epoch": 1, "waited": 0}},
        {**data, "watch": {**data["watch"], "best": math.nan}},
        {**data, "position": {**data["position"], "batch": 1, "steps": 9, "drawn": 1, "seen": 9000, "loss": 1.0}},
        {**data, "position": {**data["position"], "batch": 1, "steps": 9, "drawn": 1, "seen": 10**400, "loss": 1.0}},
        {**data, "columns": ["accuracy", "loss"]},
    ]
    for figures in ([1.0], [1.0] * 3, [1.0, "a"], [1.0, None], [1.0, [1.0]], [[1.0], [1.0]], [1.0, {}], [1, 10**400]):
        forged.append({**data, "history": {**data["history"], "accuracy": figures}})
    forged.append({**data, "history": {"loss": [[1.0], 2], "accuracy": [1.0, 1.0]}})
    inner = data["shuffling"]["state"]
    forged += [
        {**data, "shuffling": {**data["shuffling"], "state": {**inner, "state": value}}} for value in (-1, 2**200, 1.5)
    ]
    path = tmp_path / "forged"
    for content in forged:
        if content == data:
            continue
        container.write(path, "checkpoint", content, arrays)
        try:
            refused(path)
        except pytest.fail.Exception:
            pytest.fail(f"taken over: { {k: v for k, v in content.items() if k != 'graph'} }")
    short = {name: array for name, array in arrays.items() if name != "graph/dense_1/weight"}
    extra = [{**arrays, name: np.ones(3)} for name in ("more", "best/more", "graph/more", "")]
    for changed in (short, *extra, {**arrays, "graph/dense_1/weight": np.ones(3)}):
        container.write(path, "checkpoint", data, changed)
        refused(path)
    assert '"dense_1/weight" is (3,) float64, and here (2, 8) float64' in refused(path)


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: np.random.Generator(np.random.MT19937(3)), "pos"),
        (lambda: np.random.RandomState(3), "pos"),
        (lambda: np.random.Generator(np.random.Philox(3)), "buffer_pos"),
    ],
)
def test_a_generator_is_not_sent_outside_its_buffer(make: Callable[[], Any], key: str, tmp_path: Path) -> None:
    path, p = tmp_path / "c", Problem()
    nn.fit(p.step, p.feed, rng=make(), checkpoint=path)
    data, arrays = container.read(path, "checkpoint", version=3)
    place = data["shuffling"] if key in data["shuffling"] else data["shuffling"]["state"]
    for value in (-1, 10**6):
        place[key] = value
        container.write(path, "checkpoint", data, arrays)
        with pytest.raises(gn.FileFormatError, match="its state of the generator that shuffles is not valid"):
            nn.fit(p.step, p.feed, epochs=2, rng=make(), checkpoint=again_from(path))


def test_where_no_checkpoint_can_be_written_is_found_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    p = Problem()
    for path, kind in [
        (tmp_path, IsADirectoryError),
        (tmp_path / "none" / "c", FileNotFoundError),
        (tmp_path / "file" / "c", NotADirectoryError),
        (3, gn.UsageError),
    ]:
        with pytest.raises(kind):
            nn.fit(p.step, p.feed, checkpoint=path)  # type: ignore[arg-type]
    assert p.graph["adam_1/step"].value == 0


def test_a_killed_process_leaves_a_checkpoint_to_go_on_from(
    tmp_path: Path, template: Template, trained: Callable[..., Any], straight: Any
) -> None:
    kill = PROGRAM.replace("raise KeyboardInterrupt", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    arguments = json.dumps([9, str(tmp_path / "c"), 1, None, 6])
    assert template.run("-c", kill, arguments, cwd=tmp_path).returncode == -9
    assert trained(9, resume=tmp_path / "c") == straight


# --- bad calls ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "kind", "words"),
    [
        ({"epochs": 0}, ValueError, "epochs is an int of 1 or more, not 0"),
        ({"epochs": 1.5}, TypeError, "epochs is an int of 1 or more, not 1.5"),
        ({"batch_size": 0}, ValueError, "batch_size is an int of 1 or more, not 0"),
        ({"batch_size": True}, TypeError, "batch_size is an int of 1 or more, not True"),
        ({"rng": 3}, TypeError, "np.random.default_rng(3) makes one"),
        ({"metrics": ["accuracy"]}, TypeError, "metrics are {name: node}, such as"),
        ({"metrics": gn.Graph().placeholder("n")}, TypeError, "metrics are {name: node}, such as"),
        ({"metrics": {"loss": "mean"}}, TypeError, '"loss" is what the step returns'),
        ({"metrics": {"accuracy": 3}}, TypeError, "a fetch is a node or its name, not int"),
        ({"metrics": {"accuracy": "acuracy_1"}}, KeyError, 'Did you mean "accuracy_1"'),
        (
            {"metrics": {"val_loss": "accuracy_1"}, "validation": {"x": X, "y": Y}},
            TypeError,
            "two figures have one name",
        ),
        ({"callbacks": [3]}, TypeError, "a callback is a function of the history, or an nn.Callback, not int"),
        ({"callbacks": 3}, TypeError, "callbacks are functions of the history, or nn.Callback, not int"),
        ({"callbacks": [nn.EarlyStopping("loss")] * 2}, TypeError, "a training run takes one EarlyStopping"),
        ({"callbacks": nn.EarlyStopping}, TypeError, "not the class EarlyStopping"),
        (
            {"callbacks": nn.EarlyStopping()},
            KeyError,
            'monitors "val_loss", which is not recorded; figures called val_',
        ),
        ({"callbacks": [nn.EarlyStopping("accuracy", mode="max")]}, KeyError, 'There is: "loss"'),
        (
            {"metrics": {"f": "dense_1/bias"}, "callbacks": nn.EarlyStopping("f", mode="max")},
            ValueError,
            'a number, but "f" has shape (8,)',
        ),
        (
            {"validation": [1]},
            TypeError,
            "a batch is a feed {placeholder: array}, or a tuple or list of the arrays for",
        ),
        ({"checkpoint": 3}, TypeError, "a path is text or a pathlib.Path, not int"),
        ({"checkpoint": "/nowhere/at/all"}, FileNotFoundError, "No such file"),
    ],
)
def test_bad_settings(more: dict[str, Any], kind: type[Exception], words: str) -> None:
    p = Problem()
    with pytest.raises(kind, match=re.escape(words)):
        nn.fit(p.step, p.feed, **more)
    assert p.graph["adam_1/step"].value == 0


def test_bad_steps() -> None:
    p = Problem()
    w = p.graph["dense_1/weight"]
    for step, words in [
        (p.loss, "fit trains what gn.compile(loss, updates) returns, not Node"),
        (gn.compile(p.loss), "the step makes no updates"),
        (gn.compile([], {w: w * 1.0}), "the step has no fetches"),
        (gn.compile(w, {w: w * 1.0}), 'a float scalar; "dense_1/weight" is (2, 8) float64'),
        (gn.compile(gn.sum(p.y), {w: w * 1.0}), 'a float scalar; "sum" is () int64'),
    ]:
        with pytest.raises(gn.UsageError, match=re.escape(words)):
            nn.fit(step, p.feed)


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        (
            {"monitor": "val_accuracy"},
            TypeError,
            'write mode="min" or mode="max", whichever is better for "val_accuracy"',
        ),
        ({"mode": "auto"}, ValueError, 'mode is "min" or "max", not \'auto\''),
        ({"patience": 0}, ValueError, "EarlyStopping: patience is an int of 1 or more, not 0"),
        ({"min_delta": -1}, ValueError, "EarlyStopping: min_delta is 0 or more, not -1"),
        ({"min_delta": "a"}, TypeError, "EarlyStopping: min_delta is a number, not 'a'"),
        ({"restore_best": 1}, TypeError, "EarlyStopping: restore_best is True or False, not 1"),
        ({"monitor": 3}, TypeError, "EarlyStopping: monitor is the name of a figure, not int"),
    ],
)
def test_bad_early_stopping(settings: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=re.escape(words)):
        nn.EarlyStopping(**settings)


def test_an_error_in_a_step_comes_out_with_the_state_from_before_it() -> None:
    p, q = Problem(), Problem()
    labels = Y.copy()
    labels[40] = 9
    with pytest.raises(gn.LabelError, match="label 9"):
        nn.fit(p.step, nn.Loader({p.x: X, p.y: labels}, batch_size=16, shuffle=False))
    for rows in (slice(0, 16), slice(16, 32)):
        q.step({q.x: X[rows], q.y: Y[rows]})
    assert p.state() == q.state()
