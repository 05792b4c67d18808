"""Saliency: Captum's figures on an image model read from ONNX, and what the methods promise.

The figures are made by tests/data/make_captum_figures.py.
"""

from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import Spec, nn
from graphnn.core import registry
from graphnn.errors import AxisError, DtypeError, GraphError, NoRuleError, ShapeError, UsageError, ValueRangeError

# --- what they promise ----------------------------------------------------------------------------------------


def perceptron() -> tuple[gn.Node, gn.Node, Any]:
    rng = np.random.default_rng(0)
    x = gn.Graph().placeholder("x", shape=("batch", 4))
    network = nn.Sequential(nn.Dense(5, rng=rng), nn.Tanh(), nn.Dense(3, rng=rng))
    return nn.Softmax()(network(x))[:, 1], x, rng.normal(size=(2, 4))


def test_integrated_gradients_add_up_to_what_changes() -> None:
    y, x, given = perceptron()
    parts = gn.saliency.integrated_gradients(y, x, [0.1, 0.2, 0.3, 0.4], steps=20)
    found, there = gn.run([gn.sum(parts, -1), y], {x: given})
    start = gn.run(y, {x: [[0.1, 0.2, 0.3, 0.4]]})
    np.testing.assert_allclose(found, there - start, atol=1e-12)


def test_the_trapezoid_is_exact_for_what_is_bent_once() -> None:
    x = gn.Graph().placeholder("x", shape=2)
    parts = gn.saliency.integrated_gradients(x[0] * x[1], x, steps=2, method="trapezoid")
    np.testing.assert_allclose(gn.run(parts, {x: [3.0, 5.0]}), [7.5, 7.5], rtol=1e-12)


def test_smooth_grad_is_the_mean_of_gradients_at_the_points_that_it_draws() -> None:
    y, x, given = perceptron()
    found = gn.saliency.smooth_grad(y, x, samples=6, sigma=[0.1, 0.2, 0.0, 0.3], seed=4)
    (noise,) = [node for node in gn.schedule(found) if node.op.name == "random_normal"]
    value, drawn = gn.run([found, noise], {x: given})
    slope = gn.grad(gn.sum(y), x)
    alone = [gn.run(slope, {x: given + each * [0.1, 0.2, 0.0, 0.3]}) for each in drawn]
    np.testing.assert_allclose(value, np.mean(alone, 0), atol=1e-14)
    still, other = gn.saliency.smooth_grad(y, x, 3, 0.0), gn.saliency.smooth_grad(y, x, 6, 0.1, seed=5)
    np.testing.assert_allclose(gn.run(still, {x: given}), gn.run(slope, {x: given}), atol=1e-14)
    assert not np.array_equal(gn.run(other, {x: given}), value)


def test_occlusion_is_what_a_run_with_covered_elements_loses() -> None:
    y, x, given = perceptron()
    found = gn.run(gn.saliency.occlusion(y, x, 2, 2, 0.5), {x: given})
    for start in (0, 2):
        covered = given.copy()
        covered[:, start : start + 2] = 0.5
        lost = gn.run(y, {x: given}) - gn.run(y, {x: covered})
        np.testing.assert_allclose(found[:, start : start + 2], lost[:, None] * np.ones(2), atol=1e-14)


def test_tokens_are_covered_by_a_token() -> None:
    g = gn.Graph()
    tokens = g.placeholder("tokens", (2, 5), "int64")
    worth = g.constant([0.0, 1.0, 10.0, 100.0])
    found = gn.saliency.occlusion(gn.sum(gn.take(worth, tokens), -1), tokens, 1, baseline=0)
    value = gn.run(found, {tokens: [[1, 2, 3, 0, 1], [3, 3, 3, 3, 3]]})
    assert value.tolist() == [[1.0, 10.0, 100.0, 0.0, 1.0], [100.0] * 5]
    with pytest.raises(DtypeError, match=r'the baseline is of the dtype of "tokens", int64, not float64'):
        gn.saliency.occlusion(gn.sum(gn.take(worth, tokens), -1), tokens, 1, baseline=0.5)


def test_rollout_is_the_product_of_mean_weights_with_what_passes_beside() -> None:
    rng = np.random.default_rng(1)
    values = rng.dirichlet(np.ones(4), size=(3, 2, 5, 4))
    g = gn.Graph()
    layers = [g.placeholder(f"layer{i}", ("batch", 5, 4, 4)) for i in range(3)]
    found = gn.run(gn.saliency.attention_rollout(layers), dict(zip(layers, values, strict=True)))
    wanted = np.broadcast_to(np.eye(4), (2, 4, 4))
    for each in values:
        mixed = each.mean(1) + np.eye(4)
        wanted = mixed / mixed.sum(-1, keepdims=True) @ wanted
    np.testing.assert_allclose(found, wanted, atol=1e-14)
    alone = gn.saliency.attention_rollout([layers[0][:, 2]], residual=0.25, heads=None)
    np.testing.assert_allclose(gn.run(alone, {layers[0]: values[0]}), values[0][:, 2] * 0.75 + np.eye(4) / 4)


def test_the_lens_shows_what_replacing_shows() -> None:
    g = gn.Graph()
    rng = np.random.default_rng(2)
    h = tokens = g.placeholder("tokens", ("batch", 3, 4))
    stream = [h]
    for _ in range(2):
        h = h + nn.Dense(4, activation="tanh", rng=rng)(h)
        stream.append(h)
    logits = nn.Dense(7, rng=rng)(nn.LayerNorm()(h)) + gn.sum(tokens)
    lens = gn.saliency.logit_lens(logits, through=h, at=stream)
    assert lens.shape == (3, "batch", 3, 7)
    given = rng.normal(size=(2, 3, 4))
    seen = gn.run(lens, {tokens: given})
    for row, node in zip(seen, stream, strict=True):
        other = logits if node is h else gn.replace(logits, {h: node})
        np.testing.assert_allclose(row, gn.run(other, {"tokens": given}), atol=1e-12)


def test_what_is_made_can_be_differentiated() -> None:
    y, x, given = perceptron()
    made = [
        gn.saliency.gradient_input(y, x),
        gn.saliency.integrated_gradients(y, x, steps=3),
        gn.saliency.smooth_grad(y, x, samples=2),
        gn.saliency.occlusion(y, x, 1),
    ]
    total = gn.sum(gn.stack([gn.sum(gn.square(each)) for each in made]))
    gn.testing.check_grads(total, {x: given})


def test_the_dtype_stays() -> None:
    x = gn.Graph(dtype="float32").placeholder("x", shape=(2, 3))
    y, s = gn.sum(gn.exp(x), -1), gn.saliency
    made = [s.gradient_input(y, x), s.integrated_gradients(y, x, 0.5), s.smooth_grad(y, x), s.occlusion(y, x, 2)]
    made += [s.attention_rollout([gn.softmax(gn.outer(x[0], x[1]))], heads=None), s.logit_lens(y, x, [x])]
    values = gn.run(made, {x: np.ones((2, 3))})
    assert {node.dtype for node in made} == {value.dtype for value in values} == {np.dtype("float32")}


def test_the_nodes_stand_in_the_scope_of_their_method_whatever_the_number_of_rows() -> None:
    sizes = []
    for steps in (2, 40):
        y, x, _ = perceptron()
        before = list(x.graph)
        found = gn.saliency.integrated_gradients(y, x, steps=steps)
        made = list(x.graph)[len(before) :]
        sizes.append(len(made))
        assert {node.scope.split("/")[0] for node in made} == {"integrated_gradients"}
        assert "integrated_gradients/dense_1" in x.graph.scopes
        rows = next(node for node in made if node.twin is y)
        assert [node for node in x.graph if not node.users] == [y, rows, found], "and nothing is left over"
        assert gn.draw(found).source
    assert sizes[0] == sizes[1] < 60


def test_a_node_on_the_way_and_a_parameter_can_be_explained() -> None:
    y, x, given = perceptron()
    g = x.graph
    weights, middle = g.parameters[0], g["tanh_1"]
    total = gn.sum(y)
    for node in (weights, middle):
        parts = gn.saliency.integrated_gradients(total, node, steps=30)
        whole, there = gn.run([gn.sum(parts), total], {x: given})
        fed = gn.extract(total, inputs=[node])
        feed = {node.name: np.zeros(gn.run(node, {x: given}).shape), "x": given}
        nothing = gn.run(total.name, {name: value for name, value in feed.items() if name in fed}, graph=fed)
        np.testing.assert_allclose(whole, there - nothing, atol=1e-10)


# --- what is refused ------------------------------------------------------------------------------------------


def test_what_is_refused_leaves_no_node() -> None:
    y, x, _ = perceptron()
    g, s = x.graph, gn.saliency
    n = g.placeholder("n", ("batch", 4), "int64")
    softmax, apart, whole = y.inputs[0], g.placeholder("apart", "batch"), gn.sum(n * 1.0)
    before = list(g)
    refused: list[tuple[Any, type[Exception], str]] = [
        (lambda: s.gradient_input(softmax, x), ShapeError, r"has shape \(batch, 3\): select a part, as in y\[:, 3\]"),
        (lambda: s.gradient_input(whole, n), DtypeError, '"n", is int64; only floats have gradients'),
        (lambda: s.smooth_grad(gn.Graph().placeholder("z"), x), gn.errors.GraphError, "two graphs|is in"),
        (lambda: s.occlusion(apart, x, 1), UsageError, 'occlusion: "apart" does not depend on "x"'),
        (lambda: s.integrated_gradients(y, x, steps=0), ValueRangeError, "steps is an int of 1 or more, not 0"),
        (
            lambda: s.integrated_gradients(y, x, steps=1, method="trapezoid"),
            ValueRangeError,
            "steps is an int of 2 or more",
        ),
        (lambda: s.integrated_gradients(y, x, method="simpson"), ValueRangeError, 'method is one of "gauss-legendre"'),
        (lambda: s.integrated_gradients(y, x, [1.0, 2.0]), ShapeError, r"the baseline has shape \(2,\)"),
        (lambda: s.integrated_gradients(y, x, np.ones((1, 1, 4))), ShapeError, r"the baseline has shape \(1, 1, 4\)"),
        (lambda: s.smooth_grad(y, x, samples=2.5), UsageError, "samples is an int of 1 or more, not 2.5"),
        (lambda: s.smooth_grad(y, x, seed=-1), ValueRangeError, "the seed is an int of 0 or more, not -1"),
        (lambda: s.smooth_grad(y, x, sigma=-0.1), ValueRangeError, "sigma is 0 or more, not -0.1"),
        (lambda: s.integrated_gradients(y, x, method=np.array(["left", "right"])), ValueRangeError, "method is one of"),
        (lambda: s.integrated_gradients(y, x, baseline=gn.Graph("far").constant(0.0)), GraphError, "baseline.*far"),
        (lambda: s.occlusion(y, x, 5), ShapeError, "a window of 5 does not fit into an axis of 4"),
        (lambda: s.occlusion(y, x, (2, 2)), ShapeError, "at most 1; not"),
        (lambda: s.occlusion(gn.sum(y), x, (2, 2)), ShapeError, 'one of "x" has batch'),
        (lambda: s.occlusion(y, x, 2, 3), ValueRangeError, "a stride of 3 leaves elements between windows of 2 out"),
        (lambda: s.logit_lens(y, softmax, [x]), ShapeError, r'cannot read "x", \(batch, 4\) float64, instead'),
        (lambda: s.logit_lens(y, softmax, []), UsageError, "at= is a list of nodes to look through"),
        (lambda: s.logit_lens(y, apart, [apart]), UsageError, 'does not depend on "apart"'),
        (lambda: s.attention_rollout(x), UsageError, "takes a list of weights"),
        (lambda: s.attention_rollout([x]), AxisError, "heads=-3 is not an axis before the last two"),
        (lambda: s.attention_rollout([x], heads=None), ShapeError, r"of one shape \(..., length, length\)"),
        (lambda: s.attention_rollout([x], residual=2.0), ValueRangeError, "a share from 0 to 1, not 2.0"),
        (lambda: s.gradient_input(y, x, 3), TypeError, r"The call is gradient_input\(y, x\)"),
    ]
    for asked, kind, words in refused:
        with pytest.raises(kind, match=words):
            asked()
    sums = [node for node in g if node not in before]
    assert {node.op.name for node in sums} <= {"sum"}, "which the case itself made"


def test_an_operation_without_a_rule_is_named_before_anything_is_made() -> None:
    class Halved(gn.Op):
        """x / 2."""

        def infer(self, x: Spec) -> Spec:
            return x

        def forward(self, x: Any) -> Any:
            return x / 2

    try:
        x = gn.Graph().placeholder("x", shape=3)
        y = gn.sum(Halved()(x))
        before = list(x.graph)
        with pytest.raises(NoRuleError, match='the operation "halved" has no gradient rule'):
            gn.saliency.integrated_gradients(y, x)
        assert list(x.graph) == before
        lost = gn.saliency.occlusion(y, x, 1)
        assert gn.run(lost, {x: [1.0, 2.0, 3.0]}).tolist() == [0.5, 1.0, 1.5], "made for each row, without a rule"
    finally:
        del registry["halved"]


def test_two_names_do_not_tell_the_graph() -> None:
    with pytest.raises(UsageError, match="y and x are both names: give one as a node"):
        gn.saliency.gradient_input("y", "x")
    g = gn.Graph()
    y = gn.sum(g.placeholder("x", 2) * 3.0, name="y")
    np.testing.assert_array_equal(gn.run(gn.saliency.gradient_input(y, "x"), {"x": [1.0, 2.0]}), [3.0, 6.0])
