"""The health check of attention: each fault is found where it is, and sound attention has no finding."""

import re
from typing import Any

import numpy as np
import pytest
from transformers import FAULTY, SOUND, Way, transformer

import graphnn as gn
from graphnn import Health, nn


@pytest.mark.parametrize("what", SOUND)
def test_a_sound_transformer_has_no_finding_and_no_note(what: str) -> None:
    model = transformer(0, SOUND[what])
    health = gn.check_health(model.step, model.feed)
    assert not [*health, *health.notes], str(health)


@pytest.mark.parametrize(("code", "number"), [(code, i) for code, ways in FAULTY.items() for i in range(len(ways))])
def test_a_fault_is_found_in_each_block_and_nothing_else(code: str, number: int) -> None:
    model = transformer(number, FAULTY[code][number])
    health = gn.check_health(model.step, model.feed)
    assert [each.code for each in health] == [code] * 2, str(health)


def told(way: Way) -> tuple[str, str, str]:
    """Return the node, cause and remedy of the first finding of a transformer."""
    model = transformer(0, way)
    finding = gn.check_health(model.step, model.feed).first
    assert finding is not None
    return finding.node.name, re.sub(r" \(\S+:\d+\)", "", finding.cause), finding.remedy


def test_a_finding_names_node_cause_and_remedy() -> None:
    node, cause, remedy = told(FAULTY["unscaled-scores"][0])
    assert node == "matmul"
    assert re.fullmatch(
        r"matmul sums 8 products of a query and a key, and nothing divides by √8 before softmax_1/divide; the scores "
        r"of a row have a standard deviation of 2\.\d+, and the largest of 7 weights is 0\.\d+ on average",
        cause,
    )
    assert remedy == "divide the scores: gn.softmax(queries @ keys / 8**0.5)"
    node, cause, remedy = told(FAULTY["softmax-axis"][0])
    assert (node, cause) == (
        "softmax_1/divide",
        "softmax_1/divide sums to 1 over axis 2, but matmul_2 sums it over axis 3",
    )
    assert remedy == "use gn.softmax(scores, axis=-1), the axis that is summed"
    node, cause, remedy = told(FAULTY["mask-after-softmax"][0])
    assert node == "multiply"
    assert re.fullmatch(
        r"multiply masks the weights of softmax_1/divide after the softmax: of softmax_1/divide\[0, 0, 0, :\] a sum of "
        r"0\.\d+ is left instead of 1",
        cause,
    )
    assert remedy == "mask the scores instead: gn.softmax(gn.where(mask, scores, -1e9))"


# --- rows -------------------------------------------------------------------------------------------------------


def _padded(
    low: float, *, guarded: bool = False, left_out: bool = False, added: bool = False
) -> tuple[Any, Any, gn.Node]:
    """Return the step of an attention over padded sequences, its feed without the mask, and the mask."""
    graph, rng = gn.Graph(), np.random.default_rng(0)
    x, there = graph.placeholder("x", ("batch", 5, 8)), graph.placeholder("there", ("batch", 5), bool)
    queries, keys, values = (nn.Dense(8, rng=rng)(x) for _ in range(3))
    scores, keep = queries @ gn.swapaxes(keys, 1, 2) / 8**0.5, gn.expand_dims(there, 1)
    some = gn.any(keep, axis=-1, keepdims=True)
    if guarded:
        weights = some * gn.softmax(gn.where(keep | ~some, scores, low))
    else:
        weights = gn.softmax(scores + gn.where(keep, 0.0, low) if added else gn.where(keep, scores, low))
    squares = gn.square(nn.Dense(1, rng=rng)(weights @ values))
    loss = gn.sum(squares * gn.expand_dims(there, 2)) if left_out else gn.mean(squares)
    return gn.compile(loss, nn.SGD(0.01).updates(loss)), {x: rng.normal(size=(3, 5, 8))}, there


def _health(there: list[int], low: float, **how: bool) -> Health:
    step, feed, mask = _padded(low, **how)
    return gn.check_health(step, feed | {mask: np.arange(5) < np.array(there)[:, None]})


@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize(
    ("low", "severity", "gives"), [(-np.inf, "error", "NaN"), (-1e9, "warning", r"0\.\d+ to what is masked")]
)
def test_a_row_that_is_masked_whole(low: float, severity: str, gives: str, added: bool) -> None:
    assert not [*(health := _health([5, 3, 2], low, added=added)), *health.notes], "each row has a key"
    (finding,) = _health([5, 0, 2], low, added=added)
    assert (finding.code, finding.severity, finding.index) == ("row-masked", severity, (1, 0, 0))
    name = "add" if added else "where"
    assert finding.node.name == name
    assert re.fullmatch(
        rf"all of {name}\[1, 0, :\] is masked, and so are 4 more of 15 rows; softmax_1/divide gives {gives} there",
        re.sub(r" \(\S+:\d+\)", "", finding.cause),
    )


def test_what_the_remedy_writes_has_no_finding() -> None:
    for low in (-np.inf, -1e9):
        assert not [*(health := _health([5, 0, 2], low, guarded=True)), *health.notes], str(health)


def test_a_masked_row_that_the_loss_leaves_out_is_sound_where_it_is_finite() -> None:
    assert _health([5, 0, 2], -1e9, left_out=True).ok
    assert [each.code for each in _health([5, 0, 2], -np.inf, left_out=True)] == ["row-masked"], "0 * NaN is NaN"


# --- what looks like it -----------------------------------------------------------------------------------------


def _sound(make: Any, **shapes: tuple[int, ...]) -> None:
    graph, rng = gn.Graph(), np.random.default_rng(0)
    nodes = [graph.placeholder(name, shape) for name, shape in shapes.items()]
    health = gn.check_health(make(graph, *nodes), {node: 3 * rng.normal(size=node.shape) for node in nodes})
    assert health.ok, str(health)


def test_linear_attention_has_no_finding() -> None:
    def make(graph: gn.Graph, q: gn.Node, k: gn.Node, v: gn.Node) -> gn.Node:
        return gn.softmax(q) @ (gn.swapaxes(gn.softmax(k, axis=1), 1, 2) @ v)

    _sound(make, q=(2, 6, 4), k=(2, 6, 4), v=(2, 6, 3))


def test_similarities_that_no_trained_matrix_makes_need_no_scale() -> None:
    _sound(lambda graph, x, y: gn.softmax(x @ gn.transpose(y)) @ y, x=(5, 8), y=(6, 8))


def test_scores_of_a_learned_vector_need_no_scale() -> None:
    def make(graph: gn.Graph, x: gn.Node) -> gn.Node:
        w = graph.parameter("w", np.random.default_rng(1).normal(size=(8, 1)))
        return gn.sum(gn.softmax(x @ w, axis=1) * x, axis=1)

    _sound(make, x=(3, 6, 8))


def test_experts_that_are_chosen_by_their_weights_are_no_mask() -> None:
    def make(graph: gn.Graph, x: gn.Node) -> gn.Node:
        gate = gn.softmax(x @ graph.parameter("w", np.random.default_rng(1).normal(size=(4, 3))))
        chosen = gate * gn.greater_equal(gate, gn.mean(gate, axis=1, keepdims=True))
        return gn.sum(gn.expand_dims(chosen, 2) * gn.stack([x, 2 * x, 3 * x], axis=1), axis=1)

    _sound(make, x=(6, 4))


def test_one_of_many_that_is_picked_by_its_label_is_no_mask() -> None:
    def make(graph: gn.Graph, x: gn.Node) -> gn.Node:
        picked = gn.softmax(x) * graph.constant(np.eye(4)[[0, 1, 2, 3, 0, 1]])
        return gn.sum(picked * gn.exp(x), axis=1)

    _sound(make, x=(6, 4))


def test_weights_that_are_summed_up_to_1_again_are_no_mask() -> None:
    def make(graph: gn.Graph, q: gn.Node, k: gn.Node) -> gn.Node:
        weights = gn.softmax(q @ gn.transpose(k) / 2) * graph.constant(np.tri(5))
        return weights @ k / gn.sum(weights, axis=1, keepdims=True)

    _sound(make, q=(5, 4), k=(5, 4))


@pytest.mark.parametrize("way", ["of zeros", "of a parameter", "one round", "of data"])
def test_routing_between_capsules_sums_to_1_over_the_outputs(way: str) -> None:
    rng = np.random.default_rng(0)
    g = gn.Graph()
    x, labels = g.placeholder("x", ("n", 6, 4)), g.placeholder("labels", ("n",), np.int64)
    votes = gn.einsum("nik,ijdk->nijd", x, g.parameter("w", rng.normal(0.0, 0.3, (6, 3, 5, 4))))
    scores = gn.zeros((6, 3), graph=g)
    if way == "of a parameter":
        scores = g.parameter("scores", np.zeros((6, 3)))
    scores = gn.broadcast_to(scores, ("n", 6, 3))
    if way == "of data":  # as an attention over the wrong axis
        scores = gn.einsum("nik,jk->nij", x, rng.normal(size=(3, 4)))
    for _ in range(1 if way == "one round" else 3):
        total = gn.einsum("nij,nijd->njd", gn.softmax(scores, axis=2), votes)
        length = gn.norm(total, axis=-1, keepdims=True)
        result = total * length / (1.0 + length * length)
        scores = scores + gn.einsum("nijd,njd->nij", votes, result)
    loss = nn.softmax_crossentropy(gn.norm(result, axis=-1) * 5.0, labels)
    step = gn.compile(loss, nn.SGD(0.1).updates(loss))
    health = gn.check_health(step, {x: rng.normal(size=(8, 6, 4)), labels: rng.integers(0, 3, 8)})
    assert [each.code for each in health] == ["softmax-axis"] * (way == "of data"), str(health)


def test_learned_weights_over_another_axis_than_the_sum_are_found() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", ("n", 4, 2)), g.parameter("w", np.arange(12.0).reshape(3, 4))
    for axis in (0, 1):
        mixed = gn.einsum("kt,ntd->nkd", gn.softmax(w, axis=axis), x)
        health = gn.check_health(mixed, {x: np.ones((5, 4, 2))})
        assert ("softmax-axis" in [each.code for each in health]) is (axis == 0), str(health)
