"""`gn.linearize`: the derivative at a point as a map that computes nothing twice."""

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn


def network() -> tuple[gn.Node, gn.Node, dict[gn.Node, np.ndarray]]:
    g = gn.Graph()
    rng = np.random.default_rng(0)
    x = g.placeholder("x", ("batch", 3))
    y = gn.softmax(nn.Dense(4, rng=rng)(gn.tanh(nn.Dense(5, rng=rng)(x))))
    return x, y, {x: rng.normal(size=(6, 3))}


def test_it_equals_finite_differences_and_jvp_at_every_tangent() -> None:
    x, y, feed = network()
    w = x.graph.parameters[0]
    moved = gn.linearize([y, gn.sum(y * y)], {"x": x, "w": w}, feed)
    rng = np.random.default_rng(1)
    before = w.value
    for _ in range(3):
        tangents = {"x": rng.normal(size=(6, 3)), "w": rng.normal(size=w.shape)}
        right = gn.run(gn.jvp([y, gn.sum(y * y)], {x: tangents["x"], w: tangents["w"]}), feed)
        for found, one in zip(moved(tangents), right, strict=True):
            np.testing.assert_allclose(found, one, rtol=1e-13, atol=1e-15)
        ends = []
        for step in (1e-6, -1e-6):
            w.value = before + step * tangents["w"]
            ends.append(gn.run(y, {x: feed[x] + step * tangents["x"]}))
        w.value = before
        np.testing.assert_allclose(moved(tangents)[0], (ends[0] - ends[1]) / 2e-6, atol=1e-8)
    np.testing.assert_array_equal(moved.value[0], gn.run(y, feed))


def test_the_map_holds_what_depends_on_tangents_alone_and_the_graph_stays_as_it_was() -> None:
    x, y, feed = network()
    before = len(x.graph)
    moved = gn.linearize(y, x, feed)
    assert len(x.graph) == before
    names = {node.op.name for node in moved.graph}
    assert names.isdisjoint({"tanh", "exp"})
    assert [node.name for node in moved.tangents] == ["tangent"]
    assert [node.shape for node in moved.results] == [(6, 4)]
    x.graph.parameters[0].value = 0.0 * x.graph.parameters[0].value  # the point stays where it was
    tangent = np.ones((6, 3))
    found = moved(tangent)
    assert np.abs(found).max() > 0
    np.testing.assert_allclose(moved(3.0 * tangent), 3.0 * found, rtol=1e-14)


def test_a_node_within_the_graph_may_move_and_sizes_may_be_given() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("n",))
    h = gn.sin(x)
    moved = gn.linearize(h * h + gn.sum(gn.zeros(("m",), graph=g) + 1.0), h, {x: [0.5, 1.0]}, sizes={"m": 3})
    np.testing.assert_allclose(moved([1.0, 0.0]), [2 * np.sin(0.5), 0.0])
    np.testing.assert_allclose(moved.value, np.sin([0.5, 1.0]) ** 2 + 3)


@pytest.mark.filterwarnings("ignore:.*do not depend")
def test_the_tangent_of_what_the_result_does_not_depend_on_is_checked_too() -> None:
    g = gn.Graph()
    x, z = g.placeholder("x", ("n",)), g.placeholder("z", ("n", 2))
    moved = gn.linearize(x * x, {"x": x, "z": z}, {x: [1.0, 2.0]})
    assert [node.shape for node in moved.tangents] == [("n",), ("n", 2)]
    np.testing.assert_array_equal(moved({"x": [1.0, 0.5], "z": np.ones((2, 2))}), [2.0, 2.0])
    for wrong in (np.ones((2, 3)), np.ones((3, 2))):
        with pytest.raises(gn.errors.ShapeError, match="tangent_2"):
            moved({"x": [1.0, 0.5], "z": wrong})
    with pytest.raises(gn.errors.DtypeError, match="tangent_2"):
        moved({"x": [1.0, 0.5], "z": "none"})


def test_more_may_be_fed_than_is_needed() -> None:
    x, y, feed = network()
    weights, unused = (x.graph.placeholder(name, (name,)) for name in ("k", "m"))
    feed = {**feed, weights: np.arange(3.0), unused: np.ones(4)}
    z = x * gn.sum(weights)
    for result in (y, z):
        moved = gn.linearize(result, x, feed)
        right = gn.run(gn.jvp(result, {x: feed[x]}), feed)
        np.testing.assert_allclose(moved(feed[x]), right, rtol=1e-13, atol=1e-15)


def test_what_does_not_fit_is_refused() -> None:
    x, y, feed = network()
    moved = gn.linearize(y, x, feed)
    with pytest.raises(gn.errors.ShapeError, match="tangent"):
        moved(np.ones((6, 4)))
    with pytest.raises(gn.errors.UsageError, match="in the form"):
        gn.linearize(y, [x], feed)(np.ones((6, 3)))
    with pytest.raises(gn.errors.NotFoundError, match="lacks"):
        gn.linearize(y, x)
    for empty in ([], {}):
        with pytest.raises(gn.errors.UsageError, match="linearize: wrt is empty; it has the nodes that move"):
            gn.linearize(y, empty, feed)
        with pytest.raises(gn.errors.UsageError, match="linearize: results is empty"):
            gn.linearize(empty, x, feed)
    for twice in (lambda: gn.linearize(y, [x, x], feed), lambda: gn.hvp(gn.sum(y), [x, x], [feed[x], feed[x]])):
        with pytest.raises(gn.errors.UsageError, match="given twice"):
            twice()
    with pytest.raises(gn.errors.DtypeError):
        gn.linearize(gn.sum(y), x.graph.constant([1]), feed)


def test_the_size_of_a_batch_is_known_where_only_a_mean_over_it_is_left() -> None:
    rng = np.random.default_rng(0)
    x = gn.Graph().placeholder("x", ("batch", 3))
    dense = nn.Dense(2, rng=rng)
    loss = gn.sum(nn.BatchNorm()(dense(x), training=True) ** 3)
    feed, tangent = {x: rng.normal(size=(5, 3))}, rng.normal(size=(3, 2))
    found = gn.linearize(loss, dense.weight, feed)(tangent)
    np.testing.assert_allclose(found, np.sum(gn.run(gn.grad(loss, dense.weight), feed) * tangent), rtol=1e-12)
