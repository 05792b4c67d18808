"""What the health check finds by trying, as it changes something and looks what follows; and what it says of itself."""

from typing import Any

import numpy as np
import pytest
from everywhere import PLANS
from health_cases import Fault, declared, tried

import graphnn as gn
from graphnn import nn

FAULTS, _ = declared()
Array = np.ndarray[Any, np.dtype[Any]]
RNG = np.random.default_rng(11)


@pytest.mark.parametrize("name", [name for name, case in FAULTS.items() if case.fixed])
def test_a_planted_fault_is_named_at_its_node(name: str) -> None:
    case: Fault = FAULTS[name]
    row = tried(case, seed=2)
    assert row.named, row
    assert [each.spoiled for each in row.looks] == ["", ""]
    assert max(each.evaluations or 0 for each in row.looks) <= 20


def classifier(**options: Any) -> tuple[Any, dict[gn.Node, Array]]:
    """Return the step of a sound network with dropout, and its feed."""
    g = gn.Graph("points")
    x, y = g.placeholder("x", ("batch", 4)), g.placeholder("y", ("batch",), np.int64)
    rng = np.random.default_rng(0)
    net = nn.Sequential(nn.Dense(16, rng=rng), nn.ReLU(), nn.Dropout(0.3), nn.Dense(3, rng=rng))
    loss = nn.softmax_crossentropy(net(x, training=True), y)
    X = rng.normal(size=(40, 4))
    return gn.compile(loss, nn.Adam(0.01).updates(loss), **options), {x: X, y: X[:, :3].argmax(axis=1)}


# --- what a report says of itself -------------------------------------------------------------------------------


def test_a_whole_check_says_what_it_looked_at() -> None:
    step, feed = classifier()
    health = gn.check_health(step, feed)
    assert health
    assert health.unchecked == {}
    assert {"values", "gradients", "updates", "units", "rows", "labels in inputs"} <= health.checked.keys()
    assert health.checked["rows"] == "2 of 40 changed"
    assert repr(health).startswith('<Health of "points": nothing wrong in ')
    assert "checked: values" in str(health)
    assert "not checked" not in str(health)
    assert health.to_dict()["checked"] == health.checked


def test_nothing_wrong_is_not_said_where_a_kind_of_check_did_not_run() -> None:
    step, feed = classifier()
    health = gn.check_health(step.fetches, feed)
    assert health
    assert health.unchecked["gradients"] == "forward only: give a compiled step for gradients and updates"
    assert "nothing wrong" not in str(health)
    assert "not checked: gradients, updates (forward only: give a compiled step" in str(health)
    assert repr(health).endswith("; not checked: gradients, updates>")


def test_few_rows_are_said() -> None:
    step, feed = classifier()
    health = gn.check_health(step, {node: value[:20] for node, value in feed.items()})
    assert health.unchecked == {"units": "20 numbers of a unit; 32 are enough"}
    assert "nothing found" in str(health)


def test_a_network_without_labels_says_so() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 3))
    loss = gn.mean(gn.square(nn.Dense(2, rng=np.random.default_rng(0))(x)))
    health = gn.check_health(gn.compile(loss, nn.SGD(0.1).updates(loss)), {x: np.ones((5, 3))})
    assert health.unchecked["rows"] == "no label meets a prediction in the loss"


def test_a_check_tries_at_most_so_often_and_more_if_asked() -> None:
    step, feed = classifier()
    few, many = gn.check_health(step, feed), gn.check_health(step, feed, thorough=True)
    assert 0 < few.evaluations < many.evaluations <= 200
    assert few.evaluations <= 20
    assert many.checked["rows"] == "10 of 40 changed"
    with pytest.raises(gn.GraphnnError, match="thorough= is for one run"):
        gn.check_health(step.fetches, feed, batch_size=8, thorough=True)


@pytest.mark.parametrize("backend", PLANS)
def test_trying_leaves_state_and_feed_and_what_comes_next(backend: str) -> None:
    (step, feed), (other, same) = classifier(backend=backend), classifier(backend=backend)
    before = {node.name: node.value.copy() for node in step.graph.state}
    given = {node: value.copy() for node, value in feed.items()}
    gn.check_health(step, feed, thorough=True)
    assert all((node.value == before[node.name]).all() for node in step.graph.state)
    assert all((value == given[node]).all() for node, value in feed.items())
    assert [float(step(feed)) for _ in range(5)] == [float(other(same)) for _ in range(5)]  # dropout's masks, too


# --- dead units -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 2, 3, 1), (2, 0, 1, 3), (1, 2, 0, 3)])
def test_units_are_along_the_axis_of_the_kernels_outputs_in_any_layout(axes: tuple[int, ...]) -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 2, 8, 10)), g.placeholder("y", ("batch",), np.int64)
    w = g.parameter("w", RNG.normal(size=(5, 2, 3, 3)) / 4)
    b = g.parameter("b", [0.0, -90.0, 0.0, -90.0, 0.0])
    h = gn.transpose(gn.conv(x, w, padding=1) + gn.reshape(b, (1, 5, 1, 1)), axes)
    h = gn.transpose(gn.relu(h), tuple(np.argsort(axes)))
    v = g.parameter("v", RNG.normal(size=(5, 3)))
    loss = nn.softmax_crossentropy(gn.mean(h, axis=(2, 3)) @ v, y)
    step = gn.compile(loss, nn.SGD(0.1).updates(loss))
    health = gn.check_health(step, {x: RNG.normal(size=(32, 2, 8, 10)), y: np.arange(32) % 3})
    (note,) = [each for each in (*health, *health.notes) if each.code == "dead-units"]
    assert (note.count, note.size, note.severity) == (2, 5, "note")
    assert note.index is not None
    assert note.index[axes.index(1)] == 1
    assert "their bias is to blame: b[1]" in note.cause
    assert "= -90" in note.cause


# --- rows that mix ----------------------------------------------------------------------------------------------


def trained_on(make: Any, **feeds: Any) -> gn.Health:
    """Return the health of a network that `make` puts between a dense layer and the logits."""
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 6)), g.placeholder("y", ("batch",), np.int64)
    rng = np.random.default_rng(3)
    h = nn.Dense(8, rng=rng)(x)
    h, fed = make(g, h)
    loss = nn.softmax_crossentropy(nn.Dense(3, rng=rng)(h), y)
    X = rng.normal(size=(40, 6))
    feed = {x: X, y: rng.permutation(X[:, :3].argmax(axis=1)), **fed}
    return gn.check_health(gn.compile(loss, nn.SGD(0.1).updates(loss)), feed)


MIXING: dict[str, Any] = {
    "a mean": lambda g, h: h - gn.mean(h, axis=0, keepdims=True),
    "a softmax": lambda g, h: gn.softmax(h, axis=0),
    "a maximum": lambda g, h: h / gn.max(gn.absolute(h), axis=0, keepdims=True),
    "a norm": lambda g, h: h / gn.norm(h, axis=0, keepdims=True),
}


@pytest.mark.parametrize("what", MIXING)
def test_what_works_along_the_batch_is_found(what: str) -> None:
    health = trained_on(lambda g, h: (MIXING[what](g, h), {}))
    # What is summed next tells the axis of a softmax.
    assert [each.code for each in health] == ["softmax-axis" if what == "a softmax" else "rows-mixed"], str(health)
    assert what == "a softmax" or "along batch" in health[0].cause


APART: dict[str, Any] = {
    "a mean": lambda g, h: h - gn.mean(h, axis=1, keepdims=True),
    "a softmax": lambda g, h: gn.softmax(h, axis=1),
    "a norm": lambda g, h: h / gn.norm(h, axis=1, keepdims=True),
    "batch norm by name": lambda g, h: nn.BatchNorm()(h, training=True),
    "a weighted batch norm": lambda g, h: (
        (h - gn.mean(h, axis=0)) / gn.sqrt(gn.var(h, axis=0) + 1e-5) * g.parameter("scale", np.ones(8))
    ),
}


@pytest.mark.parametrize("what", APART)
def test_what_keeps_samples_apart_or_is_a_batch_norm_is_no_finding(what: str) -> None:
    health = trained_on(lambda g, h: (APART[what](g, h), {}))
    assert health.ok, str(health)
    assert "rows" in health.checked


def test_the_nodes_of_a_graph_mix_on_purpose() -> None:
    def along_edges(g: gn.Graph, h: gn.Node) -> Any:
        links = g.placeholder("links", ("batch", "batch"))
        return links @ h, {links: (RNG.random((40, 40)) < 0.1).astype(float)}

    health = trained_on(along_edges)
    assert health.ok, str(health)


# --- time -------------------------------------------------------------------------------------------------------


def next_token(keep: Array, one_placeholder: bool = False, flat: bool = False, rows: int = 12) -> gn.Health:
    """Return the health of a network that tells the next token, with attention that sees what is kept."""
    g, length, count = gn.Graph(), len(keep), 7
    rng = np.random.default_rng(5)
    tokens = rng.integers(0, count, (rows, length + 1))
    if flat:
        x, y = g.placeholder("x", (rows, length), np.int64), g.placeholder("y", (rows * length,), np.int64)
        feed = {x: tokens[:, :-1], y: tokens[:, 1:].reshape(-1)}
    elif one_placeholder:
        both = g.placeholder("both", ("batch", length + 1), np.int64)
        x, y, feed = both[:, :-1], both[:, 1:], {both: tokens}
    else:
        x, y = (g.placeholder(name, ("batch", length), np.int64) for name in "xy")
        feed = {x: tokens[:, :-1], y: tokens[:, 1:]}
    h = nn.PositionEmbedding(length, rng=rng)(nn.Embedding(count, 12, rng=rng)(x))
    scores = nn.Dense(12, rng=rng)(h) @ gn.swapaxes(nn.Dense(12, rng=rng)(h), -1, -2) / 12**0.5
    h = h + gn.softmax(gn.where(g.constant(keep), scores, -np.inf)) @ h
    logits = nn.Dense(count, rng=rng)(h)
    loss = nn.softmax_crossentropy(gn.reshape(logits, (rows * length, count)) if flat else logits, y)
    return gn.check_health(gn.compile(loss, nn.Adam(0.01).updates(loss)), feed)


def test_labels_may_be_fed_flat() -> None:
    back = np.tri(8, dtype=bool)
    assert next_token(back, flat=True).ok
    assert [each.code for each in next_token(~back | np.eye(8, dtype=bool), flat=True)] == ["future-seen"]


def test_an_empty_batch_and_a_label_that_is_one_number_are_looked_at() -> None:
    g = gn.Graph()
    x, y, t = g.placeholder("x", ("batch", 8)), g.placeholder("y", ("batch", 1)), g.placeholder("t", ())
    loss = gn.mean(gn.square(nn.Dense(1, rng=np.random.default_rng(0))(x * t) - y * t))
    step = gn.compile(loss, nn.SGD(0.1).updates(loss))
    X = RNG.normal(size=(40, 8))
    assert gn.check_health(step, {x: X, y: X[:, :1] + RNG.normal(size=(40, 1)), t: 2.0}).ok
    empty = gn.check_health(step.fetches, {x: X[:0], y: X[:0, :1], t: 2.0})
    assert empty.unchecked["rows"] == "there is no sample"


@pytest.mark.parametrize("one", [False, True])
@pytest.mark.parametrize("size", [5, 8, 12])
def test_only_a_mask_that_looks_back_is_no_finding(size: int, one: bool) -> None:
    back = np.tri(size, dtype=bool)
    assert next_token(back, one).ok
    assert "order in time" in next_token(back, one).checked
    for wrong in (np.ones((size, size), bool), back.T, np.tri(size, k=1, dtype=bool)):
        health = next_token(wrong, one)
        assert [each.code for each in health] == ["future-seen"], str(health)
        assert health[0].node.name == "softmax_1/divide"


# --- updates ----------------------------------------------------------------------------------------------------


def by_hand(updates: Any) -> gn.Health:
    """Return the health of a network with updates that are made of its parameters and gradients."""
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 5)), g.placeholder("y", ("batch", 1))
    w, v = g.parameter("w", RNG.normal(size=(5, 6)) / 2), g.parameter("v", RNG.normal(size=(6, 1)) / 2)
    loss = gn.mean(gn.square(gn.tanh(x @ w) @ v - y))
    X = RNG.normal(size=(40, 5))
    step = gn.compile(loss, updates(g, [w, v], gn.grad(loss, [w, v])))
    feed = {x: X, y: np.tanh(X[:, :1] - X[:, 1:2]) + 0.1 * RNG.normal(size=(40, 1))}
    for _ in range(7):
        step(feed)
    return gn.check_health(step, feed)


def momentum(g: gn.Graph, parameters: Any, slopes: Any, sign: float = 1.0) -> Any:
    made = {}
    for p, d in zip(parameters, slopes, strict=True):
        speed = g.parameter(f"speed_of_{p.name}", np.zeros(p.shape), trainable=False)
        made[speed] = 0.9 * speed + d
        made[p] = p - sign * 0.01 * made[speed]
    return made


def test_an_update_that_goes_down_is_no_finding_whatever_its_speed() -> None:
    assert by_hand(momentum).ok


def test_an_update_that_goes_up_is_found_whatever_its_speed() -> None:
    health = by_hand(lambda g, p, d: momentum(g, p, d, sign=-1.0))
    assert "uphill" in [each.code for each in health]


@pytest.mark.parametrize("decay", [1e-4, 1e-2, 0.5])
def test_decay_of_either_sign(decay: float) -> None:
    for sign, codes in ((1, []), (-1, ["uphill"])):
        health = by_hand(
            lambda g, p, d, sign=sign: {w: w - 0.1 * (s + sign * decay * w) for w, s in zip(p, d, strict=True)}
        )
        assert [each.code for each in health] == codes, str(health)


def test_a_parameter_that_is_left_out_is_found_and_one_that_is_frozen_is_not() -> None:
    health = by_hand(lambda g, p, d: {p[0]: p[0] - 0.1 * d[0]})
    assert [each.node.name for each in (*health, *health.notes) if each.code == "not-updated"] == ["v"]


# --- a cut gradient ---------------------------------------------------------------------------------------------


def test_a_gradient_that_is_cut_once_is_one_warning_and_one_finding() -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 4)), g.placeholder("y", ("batch",), np.int64)
    h, rng = x, np.random.default_rng(0)
    for _ in range(9):
        h = nn.Dense(8, activation="relu", rng=rng)(h)
    loss = nn.softmax_crossentropy(nn.Dense(3, rng=rng)(gn.stop_gradient(gn.softmax(h))), y)
    with pytest.warns(gn.GraphnnWarning, match='"dense_2/weight" and 15 more and "softmax_.*they are zeros') as told:
        updates = nn.SGD(0.1).updates(loss, list(g.parameters))
    assert len(told) == 1
    health = gn.check_health(gn.compile(loss, updates), {x: RNG.normal(size=(40, 4)), y: np.arange(40) % 3})
    assert [each.code for each in health] == ["no-gradient"], str(health)
    assert "it ends at stop_gradient (" in health[0].cause  # and not at the one in the softmax


def test_of_samples_with_very_many_features_fewer_are_compared_and_that_is_said() -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 70_000)), g.placeholder("y", ("batch",), np.int64)
    loss = nn.softmax_crossentropy(gn.matmul(x[:, :4], g.parameter("w", np.zeros((4, 2)))), y)
    X = np.zeros((300, 70_000))
    X[:, :4] = RNG.normal(size=(300, 4))
    health = gn.check_health(loss, {x: X, y: np.arange(300) % 2})
    assert health.checked["labels in inputs"] == "256 of 300 rows"
    X[:, -1] = np.arange(300) % 2  # what tells the labels is found among them, too
    assert "x[:, 69999]" in str(gn.check_health(loss, {x: X, y: np.arange(300) % 2}))
