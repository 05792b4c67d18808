"""Losses against PyTorch's figures, values and gradients; and what is counted over uneven batches."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn

TORCH = json.loads((Path(__file__).parents[1] / "data" / "torch_losses.json").read_text(encoding="utf-8"))
PROBLEM = TORCH["problem"]
WEIGHTS = PROBLEM["weights"]


def loss_of(kind: Callable[..., gn.Node], *names: str, **settings: Any) -> Callable[[dict[str, gn.Node]], gn.Node]:
    return lambda given: kind(*[given[name] for name in names], **settings)


def classes(labels: str, **settings: Any) -> Callable[[dict[str, gn.Node]], gn.Node]:
    return loss_of(nn.softmax_crossentropy, "a", labels, **settings)


def divergence(given: dict[str, gn.Node], logs: bool) -> gn.Node:
    target = gn.log_softmax(given["b"]) if logs else given["soft"]
    return nn.kl_divergence(gn.log_softmax(given["a"]), target, log_target=logs)


# The same as in data/make_torch_losses.py.
SAME: dict[str, Callable[[dict[str, gn.Node]], gn.Node]] = {
    "weights": classes("labels", class_weights=WEIGHTS),
    "weights_sum": classes("labels", class_weights=WEIGHTS, reduction="sum"),
    "weights_none": classes("some", class_weights=WEIGHTS, ignore_index=-100, reduction="none"),
    "ignore": classes("some", ignore_index=-100),
    "ignore_class": classes("labels", ignore_index=3),
    "ignore_all": classes("none", ignore_index=-100),
    "smoothing": classes("labels", label_smoothing=0.1),
    "smoothing_soft": classes("soft", label_smoothing=0.3),
    "all": classes("some", class_weights=WEIGHTS, ignore_index=-100, label_smoothing=0.2),
    "all_none": classes("some", class_weights=WEIGHTS, ignore_index=-100, label_smoothing=0.2, reduction="none"),
    "soft_weights_sum": classes("soft", class_weights=WEIGHTS, label_smoothing=0.2, reduction="sum"),
    "nll": lambda given: nn.negative_log_likelihood(
        gn.log_softmax(given["a"]), given["some"], class_weights=WEIGHTS, ignore_index=-100
    ),
    "kl": lambda given: divergence(given, False),
    "kl_logs": lambda given: divergence(given, True),
    "positive_weight": loss_of(nn.sigmoid_crossentropy, "a", "answers", positive_weight=WEIGHTS),
    "huber": loss_of(nn.huber, "a", "b", delta=1.5),
    "smooth_l1": loss_of(nn.smooth_l1, "a", "b", beta=0.5),
    "l1": loss_of(nn.smooth_l1, "a", "b", beta=0.0),
    "poisson": loss_of(nn.poisson_nll, "a", "counts"),
    "poisson_full": loss_of(nn.poisson_nll, "a", "counts", full=True),
    "poisson_rates": lambda given: nn.poisson_nll(gn.exp(given["a"]), given["counts"], log_input=False),
    "ranking": loss_of(nn.margin_ranking, "a", "b", "each_sign", margin=0.5),
    "cosine": loss_of(nn.cosine_embedding, "a", "b", "signs", margin=0.1),
    "triplet": loss_of(nn.triplet_margin, "a", "b", "c"),
    "triplet_settings": loss_of(nn.triplet_margin, "a", "b", "c", margin=2.0, p=3, swap=True, reduction="sum"),
}


def given(dtype: Any = np.float64) -> tuple[dict[str, gn.Node], dict[str, Any]]:
    """Return a placeholder for each array of the problem, and the feed."""
    g = gn.Graph(dtype=dtype)
    nodes = {}
    for name, value in PROBLEM.items():
        shape = np.shape(value)
        whole = np.asarray(value).dtype.kind == "i"
        nodes[name] = g.placeholder(name, ("batch", *shape[1:]), np.int64 if whole else dtype)
    return nodes, {name: value for name, value in PROBLEM.items() if name != "weights"}


def test_every_case_of_the_data_is_tested() -> None:
    assert SAME.keys() == TORCH["cases"].keys()


@pytest.mark.parametrize("name", SAME)
def test_values_and_gradients_equal_pytorchs(name: str) -> None:
    case = TORCH["cases"][name]
    nodes, feed = given()
    loss = SAME[name](nodes)
    by = list(case["gradients"])
    total = gn.sum(loss) if loss.ndim else loss
    value, *slopes = gn.run([loss, *gn.grad(total, [nodes[each] for each in by])], feed)
    expected = np.nan if case["value"] is None else case["value"]
    np.testing.assert_allclose(value, expected, rtol=1e-10, atol=1e-15)
    for each, slope in zip(by, slopes, strict=True):
        np.testing.assert_allclose(slope, case["gradients"][each], rtol=1e-10, atol=1e-14, err_msg=each)


@pytest.mark.parametrize("name", SAME)
def test_in_float32_they_stay_float32(name: str) -> None:
    nodes, feed = given(np.float32)
    loss = SAME[name](nodes)
    assert loss.dtype == np.float32
    expected = TORCH["cases"][name]["value"]
    np.testing.assert_allclose(gn.run(loss, feed), np.nan if expected is None else expected, rtol=1e-5, atol=1e-6)


SETTINGS: list[dict[str, Any]] = [
    {"class_weights": WEIGHTS},
    {"ignore_index": 2},
    {"label_smoothing": 0.2},
    {"class_weights": WEIGHTS, "ignore_index": 0, "label_smoothing": 0.1},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_each_form_of_a_loss_and_of_labels_gives_the_same(settings: dict[str, Any]) -> None:
    nodes, feed = given()
    g, labels = nodes["a"].graph, nodes["labels"]
    logits = nodes["a"]
    p = gn.softmax(logits)
    losses = [nn.softmax_crossentropy(logits, labels, **settings)]
    losses.append(nn.categorical_crossentropy(p, labels, clip=0.0, **settings))
    if "label_smoothing" not in settings:
        losses.append(nn.negative_log_likelihood(gn.log_softmax(logits), labels, **settings))
    if "ignore_index" not in settings:
        hot = gn.one_hot(labels, 4)
        losses.append(nn.softmax_crossentropy(logits, hot, **settings))
        losses.append(nn.categorical_crossentropy(p, hot, clip=0.0, **settings))
    if "class_weights" in settings:
        weights = {**settings, "class_weights": g.constant(np.asarray(WEIGHTS, np.float32))}
        losses.append(nn.softmax_crossentropy(logits, labels, **weights))
    values = gn.run(losses, feed)
    np.testing.assert_allclose(values, values[0], rtol=1e-13)


def test_binary_losses_with_settings() -> None:
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=6), np.array([0, 1, -1, 1, -1, 0])
    logits = gn.Graph().constant(z)
    settings: dict[str, Any] = {"positive_weight": 3.0, "ignore_index": -1, "label_smoothing": 0.2}
    counted = y >= 0
    p, soft = 1 / (1 + np.exp(-z)), y * 0.8 + 0.1
    rows = np.where(counted, -3 * soft * np.log(p) - (1 - soft) * np.log(1 - p), 0)
    for loss, given in ((nn.sigmoid_crossentropy, logits), (nn.binary_crossentropy, gn.sigmoid(logits))):
        np.testing.assert_allclose(gn.run(loss(given, y, reduction="none", **settings)), rows, rtol=1e-12)
        np.testing.assert_allclose(gn.run(loss(given, y, **settings)), rows.sum() / counted.sum(), rtol=1e-12)


def test_hinge() -> None:
    p, y = np.array([[2.0, 0.3], [-1.0, 0.3]]), np.array([[1, 1], [1, -1]])
    node = nn.hinge(gn.Graph().constant(p), y)
    np.testing.assert_allclose(gn.run(node), np.maximum(1 - y * p, 0).mean(), rtol=1e-14)


def test_kl_divergence_of_what_is_impossible_has_a_gradient() -> None:
    g = gn.Graph()
    t, z = g.placeholder("t", (1, 3)), g.placeholder("z", (1, 3))
    loss = nn.kl_divergence(gn.log_softmax(z), t)
    found = gn.run([loss, *gn.grad(loss, [t, z])], {t: [[0.0, 0.5, 0.5]], z: [[0.0, 0.0, 0.0]]})
    assert all(np.isfinite(each).all() for each in found)


@pytest.mark.parametrize("kind", ["u1", "u8", "i1", "i8"])
def test_an_ignored_label_of_a_small_dtype(kind: str) -> None:
    z = gn.Graph().constant(np.zeros((3, 4)))
    ignored = 255 if kind == "u1" else 100
    labels = np.array([0, ignored, 3], kind)
    assert float(gn.run(nn.softmax_crossentropy(z, labels, ignore_index=ignored))) == pytest.approx(np.log(4))
    with pytest.raises(gn.LabelError, match=f"label {ignored}"):
        gn.run(nn.softmax_crossentropy(z, labels, ignore_index=-100))


# --- batches --------------------------------------------------------------------------------------------------


def batched(loss: Callable[[gn.Node, gn.Node], gn.Node], dtype: Any = np.float64) -> tuple[gn.Node, dict[str, Any]]:
    rng = np.random.default_rng(2)
    g = gn.Graph(dtype=dtype)
    x, y = g.placeholder("x", ("batch", 3)), g.placeholder("y", ("batch",), np.int64)
    labels = rng.integers(0, 4, 25)
    labels[rng.random(25) < 0.4] = -100
    labels[14:21] = -100  # a batch of which nothing is counted
    return loss(nn.Dense(4)(x), y), {"x": rng.normal(size=(25, 3)), "y": labels}


LOSSES: dict[str, Callable[[gn.Node, gn.Node], gn.Node]] = {
    "ignore": lambda z, y: nn.softmax_crossentropy(z, y, ignore_index=-100),
    "weights": lambda z, y: nn.softmax_crossentropy(z, y, class_weights=WEIGHTS, ignore_index=-100),
    "penalty": lambda z, y: (
        nn.softmax_crossentropy(z, y, ignore_index=-100) + nn.l2(z.graph["dense_1/weight"], 0.1) * 2.0
    ),
    "mean": lambda z, y: nn.softmax_crossentropy(z, y, ignore_index=-100) + 0.5 * gn.mean(gn.square(z)),
    "two": lambda z, y: (
        nn.softmax_crossentropy(z, y, ignore_index=-100)
        - 0.25 * nn.softmax_crossentropy(-z, y, ignore_index=-100, class_weights=WEIGHTS)
    ),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_over_uneven_batches_a_loss_is_that_of_the_whole_set(name: str, dtype: Any) -> None:
    loss, feed = batched(LOSSES[name], dtype)
    whole = gn.run(loss, feed)
    accuracy = 1e-6 if dtype == np.float32 else 1e-12
    for size in (1, 7, 24, 25, None):
        found = nn.evaluate(loss, feed, graph=loss.graph, batch_size=size)
        assert float(found) == pytest.approx(float(whole), rel=accuracy)


def test_fit_validates_with_the_whole_set() -> None:
    loss, feed = batched(LOSSES["penalty"])
    step = gn.compile(loss, nn.SGD(0.0).updates(loss))
    history = nn.fit(step, feed, epochs=2, batch_size=25, validation=feed, metrics={"same": loss})
    smaller = nn.fit(
        step, nn.Loader(feed, batch_size=25, shuffle=False), validation={k: v[:22] for k, v in feed.items()}
    )
    assert history["val_loss"] == history["same"] == pytest.approx([float(gn.run(loss, feed))] * 2, rel=1e-12)
    some = {k: v[:22] for k, v in feed.items()}
    assert smaller["val_loss"] == pytest.approx([float(gn.run(loss, some))], rel=1e-12)


def test_the_state_of_the_moment_is_used() -> None:
    loss, feed = batched(LOSSES["penalty"])
    step = gn.compile(loss, nn.SGD(0.1).updates(loss))
    history = nn.fit(step, feed, epochs=3, batch_size=25, metrics={"now": loss})
    assert history["now"][-1] == pytest.approx(float(gn.run(loss, feed)), rel=1e-12)
    assert len(set(history["now"])) == 3


def test_a_sum_over_the_batch_beside_tallies_is_refused() -> None:
    loss, feed = batched(lambda z, y: LOSSES["ignore"](z, y) + gn.sum(z))
    with pytest.raises(gn.UsageError, match="is the sum over a batch"):
        nn.evaluate(loss, feed, graph=loss.graph, batch_size=7)


def test_what_a_mean_of_weights_is_made_of() -> None:
    loss, _ = batched(LOSSES["weights"])
    assert [node.title for node in loss.inputs] == ["softmax_crossentropy_1/total", "softmax_crossentropy_1/weight"]
    assert {node.op.name for node in loss.inputs} == {"sum_over_batches"}


# --- refusals -------------------------------------------------------------------------------------------------


def test_refusals() -> None:
    g = gn.Graph()
    z, labels = g.placeholder("z", ("batch", 3)), g.placeholder("labels", ("batch",), np.int64)
    with pytest.raises(gn.ShapeError, match=r"one weight for each class, shape \(3,\), not \(2,\)"):
        nn.softmax_crossentropy(z, labels, class_weights=[1.0, 2.0])
    with pytest.raises(gn.UsageError, match="ignore_index is for class numbers, and these labels are rows"):
        nn.softmax_crossentropy(z, z, ignore_index=0)
    with pytest.raises(gn.UsageError, match="ignore_index is an int"):
        nn.softmax_crossentropy(z, labels, ignore_index=1.5)  # type: ignore[arg-type]
    for smoothing in (1.0, -0.1):
        with pytest.raises(gn.ValueRangeError, match="label_smoothing is 0 or more, and less than 1"):
            nn.categorical_crossentropy(z, labels, label_smoothing=smoothing)
    with pytest.raises(gn.ShapeError, match=r"positive_weight broadcasts to the labels, \(batch, 3\), not \(2, 1, 3\)"):
        nn.sigmoid_crossentropy(z, z, positive_weight=np.ones((2, 1, 3)))
    with pytest.raises(gn.ShapeError, match=r"alike has a number for each row, shape \(batch,\), not \(batch, 3\)"):
        nn.cosine_embedding(z, z, z)
    with pytest.raises(gn.ShapeError, match="the last axis is that of a row"):
        nn.triplet_margin(*[g.placeholder(name, ()) for name in "pqr"])
    with pytest.raises(gn.ShapeError, match=r"^triplet_margin compares element by element.*negative"):
        nn.triplet_margin(z, z, labels)
    for make in (
        lambda: nn.huber(z, z, delta=0),
        lambda: nn.smooth_l1(z, z, beta=-1),
        lambda: nn.triplet_margin(z, z, z, p=0),
        lambda: nn.poisson_nll(z, z, epsilon=-1),
        lambda: nn.hinge(z, z, reduction="avg"),
    ):
        with pytest.raises(gn.ValueRangeError):
            make()
    with pytest.raises(gn.UsageError):
        nn.kl_divergence(z, z, log_target=1)  # type: ignore[arg-type]
