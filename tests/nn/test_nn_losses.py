"""Losses: scikit-learn's and hand-worked figures, shapes, dtypes, and what they refuse."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn import metrics

import graphnn as gn
from graphnn import nn

GOLDENS = json.loads((Path(__file__).parents[1] / "goldens.json").read_text(encoding="utf-8"))
INTEGERS = [np.dtype(kind) for kind in ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8")]
CATEGORICAL: list[Any] = [nn.categorical_crossentropy, nn.softmax_crossentropy]
BINARY: list[Any] = [nn.binary_crossentropy, nn.sigmoid_crossentropy]
ELEMENTWISE: list[Any] = [*BINARY, nn.mean_squared_error, nn.mean_absolute_error]


def value(loss: Callable[..., gn.Node], predicted: Any, true: Any, **settings: Any) -> Any:
    """Return the loss of arrays, each fed to a placeholder whose first dimension is a name."""
    g = gn.Graph()
    nodes = []
    for name, array in (("predicted", predicted), ("true", true)):
        array = np.asarray(array)
        shape = ("batch", *array.shape[1:]) if array.ndim else ()
        nodes.append(g.placeholder(name, shape, array.dtype))
    return gn.run(loss(*nodes, **settings), {"predicted": predicted, "true": true})


@st.composite
def classified(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Draw logits of some classes, and labels of some integer dtype."""
    rows, classes = draw(st.integers(1, 12)), draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    labels = rng.integers(0, classes, rows).astype(draw(st.sampled_from(INTEGERS)))
    return rng.normal(scale=draw(st.sampled_from([0.1, 1.0, 3.0])), size=(rows, classes)), labels


@st.composite
def regressed(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = (draw(st.integers(1, 12)), draw(st.integers(1, 4)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    true = rng.normal(scale=3.0, size=shape)
    return rng.normal(size=shape), true.astype(draw(st.sampled_from(["f4", "f8", "i1", "i8"])))


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# --- against scikit-learn -------------------------------------------------------------------------------------


@given(classified())
def test_categorical_losses_are_scikit_learns_log_loss(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = drawn
    classes = range(logits.shape[1])
    p = softmax(logits)
    assume(p.min() > 1e-7 and p.max() < 1 - 1e-7)  # what is clipped would not add up to 1 any more
    expected = metrics.log_loss(labels.astype(int), p, labels=classes)
    hot = np.eye(len(classes))[labels.astype(int)]
    for given_labels in (labels, hot, hot.astype(np.float32), hot.astype(np.uint8), hot.astype(bool)):
        np.testing.assert_allclose(value(nn.categorical_crossentropy, p, given_labels), expected, rtol=1e-6)
        np.testing.assert_allclose(value(nn.softmax_crossentropy, logits, given_labels), expected, rtol=1e-6)


@given(classified())
def test_binary_losses_are_scikit_learns_log_loss(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = drawn[0][:, 0], (drawn[1] % 2).astype(drawn[1].dtype)
    p = 1 / (1 + np.exp(-logits))
    expected = metrics.log_loss(labels.astype(int), p, labels=[0, 1])
    for true in (labels, labels.astype(bool), labels.astype(np.float32)):
        np.testing.assert_allclose(value(nn.binary_crossentropy, p, true), expected, rtol=1e-6)
        np.testing.assert_allclose(value(nn.sigmoid_crossentropy, logits, true), expected, rtol=1e-6)


@given(regressed())
def test_errors_are_scikit_learns(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    predicted, true = drawn
    squared, absolute = metrics.mean_squared_error(true, predicted), metrics.mean_absolute_error(true, predicted)
    np.testing.assert_allclose(value(nn.mean_squared_error, predicted, true), squared, rtol=1e-12)
    np.testing.assert_allclose(value(nn.mean_absolute_error, predicted, true), absolute, rtol=1e-12)


# --- hand-worked ----------------------------------------------------------------------------------------------


def test_published_figures() -> None:
    golden = GOLDENS["categorical_crossentropy"]
    g = gn.Graph()
    p, hot = g.constant(golden["predicted"]), g.constant(golden["one_hot"])
    for labels in (hot, golden["one_hot"], 0, np.uint8(0)):
        loss = nn.categorical_crossentropy(p, labels, clip=golden["clip"])
        assert float(gn.run(loss)) == pytest.approx(golden["output"], rel=1e-15)
    golden = GOLDENS["mean_squared_error"]
    loss = nn.mean_squared_error(g.constant(golden["predicted"]), g.constant(golden["true"]))
    assert float(gn.run(loss)) == pytest.approx(golden["output"], rel=1e-15)


def test_reductions() -> None:
    p, labels = np.array([[0.5, 0.5], [0.25, 0.75], [0.8, 0.2]]), np.array([0, 1, 1])
    rows = -np.log([0.5, 0.75, 0.2])
    for loss, predicted in [(nn.categorical_crossentropy, p), (nn.softmax_crossentropy, np.log(p))]:
        for true in (labels, np.eye(2)[labels]):
            for reduction, expected in [("none", rows), ("sum", rows.sum()), ("mean", rows.mean())]:
                result = value(loss, predicted, true, reduction=reduction)
                np.testing.assert_allclose(result, expected, rtol=1e-14)
    a, b = np.array([[1.0, 2.0]]), np.array([[4.0, 0.0]])
    for loss, elements in [(nn.mean_squared_error, [[9.0, 4.0]]), (nn.mean_absolute_error, [[3.0, 2.0]])]:
        np.testing.assert_array_equal(value(loss, a, b, reduction="none"), elements)
        assert value(loss, a, b, reduction="sum") == np.sum(elements)
    for loss in BINARY:
        assert value(loss, np.array([0.5, 0.5]), np.array([0, 1]), reduction="none").shape == (2,)


@pytest.mark.parametrize("loss", CATEGORICAL)
def test_all_leading_axes_are_averaged(loss: Any) -> None:
    rng = np.random.default_rng(0)
    p = softmax(rng.normal(size=(3, 4, 5)))
    labels = rng.integers(0, 5, (3, 4))
    flat = value(loss, p.reshape(12, 5), labels.reshape(12))
    np.testing.assert_allclose(value(loss, p, labels), flat, rtol=1e-14)
    np.testing.assert_allclose(value(loss, p, np.eye(5)[labels]), flat, rtol=1e-14)


def test_soft_labels_weigh_the_classes() -> None:
    p, soft = np.array([[0.5, 0.25, 0.25]]), np.array([[0.2, 0.3, 0.5]])
    expected = -float((soft * np.log(p)).sum())
    assert float(value(nn.categorical_crossentropy, p, soft)) == pytest.approx(expected, rel=1e-14)
    assert float(value(nn.softmax_crossentropy, np.log(p), soft)) == pytest.approx(expected, rel=1e-14)


def test_small_unsigned_integers_do_not_wrap() -> None:
    a, b = np.array([0, 5], np.uint8), np.array([1, 1], np.uint8)
    assert value(nn.mean_squared_error, a, b) == (1 + 16) / 2
    assert value(nn.mean_absolute_error, a, b) == (1 + 4) / 2
    assert value(nn.mean_squared_error, a.astype(float), b) == 8.5
    no = np.zeros(2, np.uint8)
    np.testing.assert_allclose(value(nn.sigmoid_crossentropy, np.zeros(2), no), math.log(2))


def test_the_clip_keeps_the_logarithm_finite() -> None:
    p, labels = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0, 0])
    rows = value(nn.categorical_crossentropy, p, labels, reduction="none")
    np.testing.assert_allclose(rows, [-math.log(1e-7), -math.log(1 - 1e-7)], rtol=1e-14)
    rows = value(nn.categorical_crossentropy, p, labels, clip=0.0, reduction="none")
    np.testing.assert_array_equal(rows, [np.inf, 0.0])
    rows = value(nn.binary_crossentropy, np.array([0.0, 1.0]), np.array([1, 1]), clip=0.01, reduction="none")
    np.testing.assert_allclose(rows, [-math.log(0.01), -math.log(0.99)], rtol=1e-14)


def test_a_confident_mistake_both_ways() -> None:
    g = gn.Graph()
    logits = g.placeholder("logits", (1, 2))
    clipped = nn.categorical_crossentropy(nn.Softmax()(logits), np.array([0]))
    fused = nn.softmax_crossentropy(logits, np.array([0]))
    hot = nn.softmax_crossentropy(logits, np.array([[1, 0]]))
    values = gn.run(
        [clipped, fused, hot, *[gn.grad(loss, logits) for loss in (clipped, fused, hot)]], {logits: [[0, 200]]}
    )
    np.testing.assert_allclose(values[:3], [16.118095650958319, 200.0, 200.0], rtol=1e-14)
    np.testing.assert_array_equal(values[3], [[0, 0]])
    np.testing.assert_allclose(values[4:], [[[-1, 1]]] * 2, rtol=0, atol=1e-80)


@pytest.mark.parametrize("logits", [[1e4, -1e4], [-1e4, 1e4], [1e4, 1e4], [9999.0, 1e4], [20.0, -3.0], [0.1, 0.2]])
def test_fused_losses_of_large_logits_in_float32(logits: list[float]) -> None:
    z = np.array([logits], np.float32)
    exact = [float(mpmath.log(sum(mpmath.exp(mpmath.mpf(float(b)) - float(a)) for b in z[0]))) for a in z[0]]
    for label in (0, 1):
        got = value(nn.softmax_crossentropy, z, np.array([label]))
        assert got.dtype == np.float32
        assert float(got) == pytest.approx(exact[label], rel=1e-6, abs=1e-6)
    for label, sign in ((0, 1), (1, -1)):
        got = value(nn.sigmoid_crossentropy, z[0], np.full(2, label), reduction="none")
        assert got.dtype == np.float32
        for one, a in zip(got, z[0], strict=True):
            wanted = float(mpmath.log1p(mpmath.exp(sign * mpmath.mpf(float(a)))))
            assert float(one) == pytest.approx(wanted, rel=1e-6, abs=1e-40)


# --- nodes, dtypes --------------------------------------------------------------------------------------------


def test_each_loss_is_a_scope_of_nodes() -> None:
    g = gn.Graph()
    p, labels = g.placeholder("p", ("batch", 3)), g.placeholder("labels", ("batch",), np.int64)
    for number in ("1", "2"):
        for loss in CATEGORICAL:
            node = loss(p, labels)
            assert node.scope == f"{loss.__name__}_{number}"
            assert node.name == f"{node.scope}/mean"
            assert g.scopes[node.scope].kind == loss.__name__
        for loss in ELEMENTWISE:
            assert loss(p, p).scope == f"{loss.__name__}_{number}"
    inside = [node.op.name for node in g if node.scope == "softmax_crossentropy_1"]
    assert inside == ["max", "stop_gradient", "subtract", "exp", "sum", "log", "pick", "subtract", "mean"]


@pytest.mark.parametrize("loss", CATEGORICAL)
@pytest.mark.parametrize("kind", [*INTEGERS, np.dtype(np.float64)])
def test_a_float32_graph_stays_float32(loss: Any, kind: np.dtype[Any]) -> None:
    g = gn.Graph(dtype=np.float32)
    p = g.placeholder("p", ("batch", 3))
    shape = ("batch", 3) if kind.kind == "f" else ("batch",)
    assert loss(p, g.placeholder("labels", shape, kind)).dtype == np.float32


@pytest.mark.parametrize("loss", ELEMENTWISE)
@pytest.mark.parametrize("kind", [*INTEGERS, np.dtype(bool), np.dtype(np.float64)])
def test_labels_take_the_dtype_of_the_predictions(loss: Any, kind: np.dtype[Any]) -> None:
    g = gn.Graph(dtype=np.float32)
    p = g.placeholder("p", ("batch",))
    assert loss(p, g.placeholder("true", ("batch",), kind)).dtype == np.float32


def test_l2() -> None:
    g = gn.Graph()
    w, b = g.parameter("w", [[1.0, 2.0]]), g.parameter("b", [3.0])
    node = nn.l2([w, {"b": b}], 0.1)
    assert float(gn.run(node)) == pytest.approx(0.1 * 0.5 * 14)
    assert node.scope == "l2_1"
    np.testing.assert_allclose(gn.run(gn.grad(node, w)), [[0.1, 0.2]])
    assert float(gn.run(nn.l2(w))) == pytest.approx(0.01 * 0.5 * 5)
    for nothing in ([], {}):
        with pytest.raises(gn.UsageError, match="no parameters"):
            nn.l2(nothing)
    with pytest.raises(gn.UsageError, match="not ndarray"):
        nn.l2([np.ones(3)])


# --- refusals -------------------------------------------------------------------------------------------------


def refused(loss: Any, p: Any, true: Any, dtype: Any = np.int64, **settings: Any) -> Any:
    g = gn.Graph()
    return loss(g.placeholder("p", p), g.placeholder("true", true, dtype), **settings)


@pytest.mark.parametrize("loss", CATEGORICAL)
@pytest.mark.parametrize(
    ("p", "true", "words"),
    [
        (
            ("batch", 3),
            ("batch", 1),
            r"\(batch,\) or one-hot rows of shape \(batch, 3\); got shape \(batch, 1\).*squeeze",
        ),
        (("batch", 3), ("batch", 4), r"got shape \(batch, 4\)"),
        (("batch", 3), (1, 3), r"got shape \(1, 3\)"),
        (("batch", 3), (), r"got shape \(\)"),
        (("batch", 3), ("batch", 3, 1), r"got shape \(batch, 3, 1\)"),
        ((5, 3), (4,), r"class numbers of shape \(5,\)"),
        ((), (), "a scalar has no axis"),
    ],
)
def test_labels_of_other_shapes(loss: Any, p: Any, true: Any, words: str) -> None:
    with pytest.raises(gn.ShapeError, match=f"^{loss.__name__}: .*{words}"):
        refused(loss, p, true)


@pytest.mark.parametrize("loss", CATEGORICAL)
def test_labels_that_come_first(loss: Any) -> None:
    g = gn.Graph()
    with pytest.raises(gn.ShapeError, match=r"got shape \(batch, 3\): the labels are the second argument"):
        loss(g.placeholder("labels", ("batch",), np.int64), g.placeholder("logits", ("batch", 3)))


@pytest.mark.parametrize("loss", CATEGORICAL)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, bool])
def test_class_numbers_are_integers(loss: Any, dtype: Any) -> None:
    with pytest.raises(TypeError, match=r"class numbers, and so integers, not (float|bool).*gn\.cast") as caught:
        refused(loss, ("batch", 3), ("batch",), dtype)
    assert isinstance(caught.value, gn.DtypeError)


@pytest.mark.parametrize("loss", CATEGORICAL)
@pytest.mark.parametrize("label", [-1, 3, 300])
def test_a_label_out_of_range(loss: Any, label: int) -> None:
    with pytest.raises(gn.LabelError, match=rf"label {label} at index \(1,\)"):
        value(loss, np.full((2, 3), 1 / 3), np.array([0, label]))


@pytest.mark.parametrize("loss", CATEGORICAL)
def test_sizes_that_differ_only_in_a_run(loss: Any) -> None:
    g = gn.Graph()
    p, true = g.placeholder("p", ("n", 3)), g.placeholder("true", ("m",), np.int64)
    node = loss(p, true)
    gn.run(node, {p: np.full((2, 3), 1 / 3), true: [0, 1]})
    with pytest.raises(gn.ShapeError, match="nothing was computed"):
        gn.run(node, {p: np.full((2, 3), 1 / 3), true: [0]})


@pytest.mark.parametrize("loss", ELEMENTWISE)
@pytest.mark.parametrize(
    ("p", "true"),
    [(("batch", 1), ("batch",)), (("batch",), ("batch", 1)), ((5,), (1,)), (("batch",), (1,)), ((2,), ())],
)
def test_nothing_is_broadcast(loss: Any, p: Any, true: Any) -> None:
    with pytest.raises(gn.ShapeError, match=f"^{loss.__name__} compares element by element"):
        refused(loss, p, true)


@pytest.mark.parametrize("loss", [*CATEGORICAL, *ELEMENTWISE])
def test_other_refusals(loss: Any) -> None:
    with pytest.raises(gn.ValueRangeError, match="reduction is one of 'mean', 'sum', 'none', not 'avg'"):
        refused(loss, (2, 3), (2, 3), reduction="avg")
    with pytest.raises(gn.UsageError, match="needs a node among its operands"):
        loss(np.ones((2, 3)), np.ones((2, 3)))
    with pytest.raises(gn.DtypeError, match="<U3"):
        loss(gn.Graph().placeholder("p", (2, 3)), [["cat"] * 3] * 2)
    with pytest.raises(gn.ShapeError, match="ragged"):
        loss(gn.Graph().placeholder("p", (2, 3)), [[1], [1, 0, 0]])
    two = gn.Graph("one").placeholder("p", (2, 3)), gn.Graph("two").placeholder("q", (2, 3))
    with pytest.raises(gn.GraphError, match="two graphs"):
        loss(*two)
    if loss in (nn.categorical_crossentropy, nn.binary_crossentropy):
        for clip in (-0.1, 0.5):
            with pytest.raises(gn.ValueRangeError, match=r"clip is 0 or more, and less than 0\.5"):
                refused(loss, (2, 3), (2, 3), clip=clip)
        for clip in ("a", None, math.nan):
            with pytest.raises(gn.UsageError, match=r"clip is a number, not ('a'|NoneType|nan)"):
                refused(loss, (2, 3), (2, 3), clip=clip)
