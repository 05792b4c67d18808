"""Effects of patches: against whole runs with the value set, and against networks written in NumPy."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from random_graphs import build, random_graphs

import graphnn as gn
from graphnn import nn
from graphnn.errors import DtypeError, FileFormatError, GraphError, NotFoundError, ShapeError, UsageError
from graphnn.interventions import effect_sweep
from graphnn.interventions.effect_sweep import Sweep

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(7)

# --- the oracle: each node by its `forward`, all of them, with what is patched in ---------------------------------


def values(order: list[gn.Node], feed: dict[gn.Node, Array]) -> dict[gn.Node, Array]:
    return patched_values(order, feed, (None, None), np.zeros(()))


def patched_values(
    order: list[gn.Node], feed: dict[gn.Node, Array], place: Any, new: Any, part: Any = (...,)
) -> dict[gn.Node, Array]:
    """Return all values of a run in which a place, (node, reader or None), has another value."""
    found: dict[gn.Node, Array] = {}

    def exchanged(value: Array) -> Array:
        value = value.copy()
        value[part] = new[part]
        return value

    patched, reader = place
    sizes = {"rows": len(next(iter(feed.values())))} if "rows" in str([node.shape for node in order]) else {}
    with np.errstate(all="ignore"):
        for node in order:
            operands = [exchanged(found[o]) if o is patched and node is reader else found[o] for o in node.inputs]
            if node in feed:
                value = np.asarray(feed[node], node.dtype)
            else:
                value = node.value if node.has_value else np.asarray(node.op.bound(sizes).forward(*operands))
            found[node] = exchanged(value) if node is patched and reader is None else value
    return found


def check(metric: gn.Node, clean: Any, corrupted: Any, found: gn.Effects, rtol: float = 1e-9) -> None:
    """Check each effect against a whole run."""
    order = gn.schedule(metric)
    base, other = (corrupted, clean) if found.direction == "denoise" else (clean, corrupted)
    before, come = values(order, base), values(order, other)
    assert found.clean == pytest.approx(float(values(order, clean)[metric]), rel=rtol, nan_ok=True)
    assert found.corrupted == pytest.approx(float(values(order, corrupted)[metric]), rel=rtol, nan_ok=True)
    scale = max(1.0, abs(found.clean), abs(found.corrupted))
    for place, value, _ in found:
        by_hand = patched_values(order, base, (place.node, place.reader), come[place.node], place.part)
        expected = float(by_hand[metric]) - float(before[metric])
        assert value == pytest.approx(expected, rel=rtol, abs=rtol * scale, nan_ok=True), place.name


def classifier() -> tuple[gn.Node, dict[gn.Node, Array], dict[gn.Node, Array]]:
    rng = np.random.default_rng(3)
    g = gn.Graph("classifier")
    x = g.placeholder("x", ("rows", 4))
    labels = g.placeholder("labels", ("rows",), dtype=np.int64)
    layers = nn.Sequential(nn.Dense(5, rng=rng), nn.Tanh(), nn.LayerNorm(), nn.Dense(3, rng=rng))
    loss = nn.softmax_crossentropy(layers(x), labels)
    clean = {x: rng.normal(size=(2, 4)), labels: np.array([0, 2])}
    return loss, clean, clean | {x: rng.normal(size=(2, 4))}


def attention(rows: int = 2) -> tuple[gn.Node, dict[gn.Node, Array], dict[gn.Node, Array]]:
    """A small transformer of integers: tokens are taken from a table, and the future is masked."""
    rng = np.random.default_rng(5)
    g = gn.Graph("attention")
    tokens = g.placeholder("tokens", ("rows", 4), dtype=np.int64)
    table = g.parameter("table", rng.normal(size=(6, 8)))
    h = gn.take(table, tokens, axis=0, name="embedded")
    for _ in range(2):
        h = nn.TransformerBlock(2, 8, causal=True, rng=rng)(h)
    logits = h @ g.parameter("unembed", rng.normal(size=(8, 6)))
    metric = gn.mean(logits[:, -1, 3] - logits[:, -1, 1], name="metric")
    clean = {tokens: rng.integers(0, 6, (rows, 4))}
    return metric, clean, {tokens: rng.integers(0, 6, (rows, 4))}


NETWORKS = {"classifier": classifier, "attention": attention}


@pytest.fixture(params=["rows", "alone"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Patches as rows of one evaluation, a few at a time; or one after the other."""
    monkeypatch.setattr(effect_sweep, "_MOST_ROWS", 1 if request.param == "alone" else 5)
    monkeypatch.setattr(effect_sweep, "_FEWEST", 2)
    return str(request.param)


# --- exact ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["denoise", "noise"])
@pytest.mark.parametrize("over", ["nodes", "edges"])
@pytest.mark.parametrize("network", NETWORKS)
def test_each_effect_is_that_of_a_whole_run(network: str, over: str, direction: Any, way: str) -> None:
    metric, clean, corrupted = NETWORKS[network]()
    before = len(metric.graph)
    found = gn.effects(metric, clean, corrupted, over, direction, progress=False)
    check(metric, clean, corrupted, found)
    assert len(found) > 20
    assert len(metric.graph) == before


def _shared(self: Any, patches: Any, other: Any) -> list[float]:
    """Rows that see each other's patches."""
    nodes = tuple(i for patch in patches for i in patch.nodes)
    return _METRICS(self, [patch._replace(nodes=nodes) if patch.parts is None else patch for patch in patches], other)


_METRICS = effect_sweep._Rows.metrics
FAULTS: dict[str, tuple[Any, str, Any]] = {
    "a node counts as exchanged if one operand is": (
        Sweep,
        "_reads_only",
        lambda self, i, exchanged: any(source in exchanged for source in self.pair.operands[i]),
    ),
    "nothing is known of what depends on it": (Sweep, "_exchanged_with", lambda self, first: set(self.pair.reached)),
    "a value is exchanged in all rows": (
        effect_sweep,
        "edited",
        lambda value, edits: np.broadcast_to(edits[0][2], value.shape).copy(),
    ),
    "nothing is exchanged": (effect_sweep, "edited", lambda value, edits: value),
    "rows see each other's patches": (effect_sweep._Rows, "metrics", _shared),
    "readers are forgotten": (
        Sweep,
        "_sort",
        lambda self, number, place, sort=Sweep._sort: sort(self, number, gn.patches.at(place.node)),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effect_sweep, "_FEWEST", 2)
    owner, name, planted = FAULTS[fault]
    monkeypatch.setattr(owner, name, planted)
    metric, clean, corrupted = attention()
    found = gn.effects(metric, clean, corrupted, "edges", progress=False)
    with pytest.raises(AssertionError):
        check(metric, clean, corrupted, found)


def test_a_node_has_the_effect_of_a_copy_that_is_fed_with_it() -> None:
    metric, clean, corrupted = attention()
    found = gn.effects(metric, clean, corrupted, progress=False)
    trace = gn.trace(metric, clean)
    for place, value, _ in found:
        copy = gn.extract(metric, inputs=[place.node])
        feed = {"tokens": next(iter(corrupted.values())), place.node.name: trace[place.node].value}
        given = {name: array for name, array in feed.items() if name in copy.inputs}
        whole = gn.run(metric.name, given, graph=copy)
        assert value == pytest.approx(float(whole) - found.corrupted, abs=1e-12), place.name


def test_effects_in_random_graphs_are_those_of_whole_runs(way: str) -> None:
    seen = 0
    for recipe in random_graphs(23, 30):
        built = build(recipe, gn.Graph())
        clean = built.feed
        corrupted = {
            node: array + np.asarray(RNG.normal(size=array.shape), array.dtype) for node, array in clean.items()
        }
        for over in ("nodes", "edges"):
            if not set(gn.schedule(built.result)).intersection(clean):
                continue
            found = gn.effects(built.result, clean, corrupted, over, progress=False)
            check(built.result, clean, corrupted, found, 1e-7)
            seen += len(found)
    assert seen > 300


def test_a_network_with_one_path_apart(way: str) -> None:
    """y = (h w1) · (h w2), of which one product sees the other h: written by hand."""
    g = gn.Graph()
    x = g.placeholder("x", 3)
    h = gn.tanh(x, name="h")
    a, b = gn.sum(h * np.array([1.0, 2.0, 3.0])), gn.sum(h * np.array([-1.0, 0.5, 1.0]))
    y = gn.multiply(a, b, name="y")
    one, other = np.array([1.0, 0.5, -0.5]), np.array([0.2, -0.3, 0.9])
    found = gn.effects(y, {x: one}, {x: other}, "edges", progress=False)
    c, d = np.tanh(one), np.tanh(other)

    def by_hand(left: Array, right: Array) -> float:
        return float((left @ [1.0, 2.0, 3.0]) * (right @ [-1.0, 0.5, 1.0]))

    assert found[h, "multiply"] == pytest.approx(by_hand(c, d) - by_hand(d, d))
    assert found["h", "multiply_2"] == pytest.approx(by_hand(d, c) - by_hand(d, d))
    assert found["x → h"] == pytest.approx(by_hand(c, c) - by_hand(d, d)) == pytest.approx(found.gap)
    assert [abs(effect.value) for effect in found.top(3)] == sorted(np.abs(found.values), reverse=True)[:3]


def test_a_reader_that_reads_twice_sees_the_patch_twice(way: str) -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    h = gn.multiply(x, 2.0, name="h")
    y = gn.add(h * h, h, name="y")
    found = gn.effects(y, {x: 3.0}, {x: 1.0}, "edges", progress=False)
    assert found["h", "multiply"] == 36 - 4
    assert found["h", "y"] == 6 - 2


def test_parts_are_exchanged_alone(way: str) -> None:
    metric, clean, corrupted = attention(rows=3)
    scores = [node for node in gn.schedule(metric) if node.op.name == "matmul" and node.ndim == 4]
    heads = [gn.patches.each(node, 1) for node in scores]
    found = gn.effects(metric, clean, corrupted, over=heads, progress=False)
    check(metric, clean, corrupted, found)
    assert [place.name for place in found.places][:2] == [f"{scores[0].name}[:, 0]", f"{scores[0].name}[:, 1]"]
    grid = found.grid()
    assert (grid.rows, grid.columns) == ([node.name for node in scores], [0, 1])
    np.testing.assert_array_equal(grid.values.reshape(-1), found.values)
    key = f"{scores[1].name}[:, 1]"
    assert found[key] == found[gn.patches.at(scores[1])[:, 1]] == grid.values[1, 1]
    positions = gn.patches.each(metric.graph["embedded"], 1) + gn.patches.each(
        metric.graph["embedded"], 1, metric.graph["embedded"].users[0]
    )
    check(metric, clean, corrupted, gn.effects(metric, clean, corrupted, positions, "noise", progress=False))


def test_places_that_come_to_the_same_are_computed_once() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("rows", 4))
    h = gn.reshape(gn.tanh(x), (-1, 2, 2))
    y = gn.sum(gn.square(h) + gn.exp(x[0, 0]))
    chain = Sweep(
        gn.interventions.run_pair.pair_of(y, {x: np.ones((1, 4))}, {x: np.zeros((1, 4))}, True),
        [gn.patches.at(node) for node in (g["tanh"], h, g["square"])],
    )
    assert chain.chunks == [[0, 1, 2]]


def test_equal_values_have_no_effect_and_cost_nothing() -> None:
    g = gn.Graph()
    x, z = g.placeholder("x", 2), g.placeholder("z", 2)
    y = gn.sum(gn.relu(x) * z)
    clean, corrupted = {x: [-1.0, -2.0], z: [1.0, 1.0]}, {x: [-5.0, -1.0], z: [2.0, 1.0]}
    found = gn.effects(y, clean, corrupted, progress=False)
    assert dict(zip([p.name for p in found.places], found.values.tolist(), strict=True)) == dict.fromkeys(
        ("x", "z", "relu", "multiply"), 0.0
    )
    assert np.isnan(found.recovered).all()
    negative = gn.effects(gn.sum(1.0 / x), {x: [0.0, 1.0]}, {x: [-0.0, 1.0]}, over=[x], progress=False)
    assert negative["x"] == np.inf


def test_other_parameters_are_another_run() -> None:
    """Before and after training: each node that the new parameters reach, and the parameters themselves."""
    loss, clean, _ = classifier()
    before = gn.trace(loss, clean)
    step = gn.compile(loss, updates=nn.SGD(0.1).updates(loss))
    step(clean)
    found = gn.effects(loss, clean, before, progress=False)
    old, now = before[loss].value, gn.run(loss, clean)
    assert (found.clean, found.corrupted) == (pytest.approx(float(now)), pytest.approx(float(old)))
    names = {place.node.name for place in found.places}
    assert {node.name for node in loss.graph.parameters} <= names
    assert "x" not in names
    weight = loss.graph.parameters[0]
    new = weight.value
    for node in (node for node in loss.graph.state if node in before):
        node.value = before[node].value
    weight.value = new
    assert found[weight] == pytest.approx(float(gn.run(loss, clean)) - float(old))


@pytest.mark.parametrize("direction", ["denoise", "noise"])
@pytest.mark.parametrize("over", ["nodes", "edges"])
def test_a_run_with_a_change_by_hand_can_be_either(over: str, direction: Any) -> None:
    metric, clean, corrupted = attention()
    node = next(node for node in gn.schedule(metric) if node.op.name in ("gelu", "relu"))
    new = np.full(gn.trace(metric, clean)[node].shape, 0.25)
    dbg = gn.debug(metric, corrupted, echo=None)
    dbg.what_if(node, new)
    dbg.resume()
    found = gn.effects(metric, clean, dbg.trace(), over, direction, progress=False)
    check(metric, clean, corrupted | {node: new}, found)


def test_a_run_with_another_operation_can_be_either() -> None:
    g = gn.Graph()
    x = g.placeholder("x", 3)
    low = gn.clip(x, -1.0, 1.0, name="low")
    y = gn.sum(gn.square(low) * 3.0 + gn.exp(low))
    feed = {x: np.array([0.5, -3.0, 2.0])}
    dbg = gn.debug(y, feed, echo=None)
    dbg.what_if("low", hi=0.25)
    dbg.resume()
    changed = dbg.trace()
    for direction in ("denoise", "noise"):
        found = gn.effects(y, feed, changed, direction=direction, progress=False)
        assert [place.name for place in found.places] == ["low", "square", "multiply", "exp", "add"]
        wide, narrow = np.clip(feed[x], -1, 1), np.clip(feed[x], -1, 0.25)
        base, other = (narrow, wide) if direction == "denoise" else (wide, narrow)
        assert found["square"] == pytest.approx(3 * (other**2 - base**2).sum())
        assert found["low"] == pytest.approx(found.gap)
        once = gn.effects(y, feed, changed, direction=direction, method="attribution", progress=False)
        assert once["low"] == pytest.approx(((6 * base + np.exp(base)) * (other - base)).sum())


def test_an_operation_of_ones_own_is_computed_row_by_row() -> None:
    class Twisted(gn.Op):
        """x, turned and doubled where the first is positive."""

        def infer(self, x: gn.Spec) -> gn.Spec:
            return x

        def forward(self, x: Array) -> Array:
            return x[::-1] * (2.0 if x[0] > 0 else 1.0)

    g = gn.Graph()
    x = g.placeholder("x", 3)
    h = Twisted()(gn.tanh(x))
    y = gn.sum(h * np.array([1.0, 2.0, 3.0]) + gn.square(x))
    clean, corrupted = {x: np.array([1.0, 2.0, 3.0])}, {x: np.array([-1.0, 0.5, 0.0])}
    check(y, clean, corrupted, gn.effects(y, clean, corrupted, over=gn.patches.each(x, 0), progress=False))
    check(y, clean, corrupted, gn.effects(y, clean, corrupted, "edges", progress=False))


# --- attribution ----------------------------------------------------------------------------------------------------


def linear() -> tuple[gn.Node, dict[gn.Node, Array], dict[gn.Node, Array]]:
    rng = np.random.default_rng(1)
    g = gn.Graph("linear")
    x = g.placeholder("x", ("rows", 4))
    h = x @ g.parameter("a", rng.normal(size=(4, 5)))
    left, right = h @ g.parameter("b", rng.normal(size=(5, 3))), h @ g.parameter("c", rng.normal(size=(5, 3)))
    y = gn.sum(left * 2.0 - right, name="y")
    return y, {x: rng.normal(size=(2, 4))}, {x: rng.normal(size=(2, 4))}


@pytest.mark.parametrize("over", ["nodes", "edges"])
@pytest.mark.parametrize("steps", [None, 1, 3])
@pytest.mark.parametrize("direction", ["denoise", "noise"])
def test_attribution_is_exact_in_linear_networks(over: str, steps: int | None, direction: Any) -> None:
    y, clean, corrupted = linear()
    before = len(y.graph)
    exact = gn.effects(y, clean, corrupted, over, direction, progress=False)
    found = gn.effects(y, clean, corrupted, over, direction, "attribution", steps=steps, progress=False)
    assert found.places == exact.places
    np.testing.assert_allclose(found.values, exact.values, rtol=1e-9, atol=1e-12)
    agreed = found.agreement(exact)
    assert agreed.spearman > 0.9
    assert agreed.pearson == pytest.approx(1)
    assert agreed.places == len(exact)
    assert len(y.graph) == before


def test_parts_by_attribution_add_up_to_the_whole() -> None:
    metric, clean, corrupted = attention()
    h = metric.graph["embedded"]
    for steps in (None, 2):
        found = gn.effects(
            metric, clean, corrupted, [h, *gn.patches.each(h, 1)], method="attribution", steps=steps, progress=False
        )
        assert found.values[1:].sum() == pytest.approx(found.values[0])


def test_attribution_by_hand() -> None:
    """y = Σ tanh(x W)², to first order: 2 tanh(h) (1 - tanh(h)²) Δh."""
    rng = np.random.default_rng(2)
    g = gn.Graph()
    x = g.placeholder("x", (2, 3))
    W = rng.normal(size=(3, 4))
    h = gn.matmul(x, g.parameter("w", W), name="h")
    t = gn.tanh(h, name="t")
    y = gn.sum(gn.square(t))
    one, other = rng.normal(size=(2, 2, 3))
    found = gn.effects(y, {x: one}, {x: other}, method="attribution", progress=False)
    th = np.tanh(other @ W)
    slope = 2 * th * (1 - th**2)
    assert found["h"] == pytest.approx((slope * (one @ W - other @ W)).sum())
    assert found["x"] == pytest.approx(found["h"])
    assert found["t"] == pytest.approx((2 * th * (np.tanh(one @ W) - th)).sum())
    many = gn.effects(y, {x: one}, {x: other}, [x, t], method="attribution", steps=400, progress=False)
    assert many["x"] == pytest.approx(many.gap, rel=1e-4)
    mean = sum(2 * np.tanh((other + s * (one - other)) @ W) for s in (np.arange(400) + 0.5) / 400) / 400
    assert many["t"] == pytest.approx((mean * (np.tanh(one @ W) - th)).sum())


def test_integrated_gradients_begin_behind_integers_and_agree_better() -> None:
    metric, clean, corrupted = attention()
    exact = gn.effects(metric, clean, corrupted, over="edges", progress=False)
    once = gn.effects(metric, clean, corrupted, over="edges", method="attribution", progress=False)
    many = gn.effects(metric, clean, corrupted, over="edges", method="attribution", steps=64, progress=False)
    assert {place.node.dtype.kind for place in once.places} == {"f"}
    source = next(place for place in many.places if place.node.name == "embedded")
    through = sum(value for place, value, _ in many if place.node is source.node)
    assert through == pytest.approx(many.gap, rel=1e-2)
    errors = [np.abs(found.values - [exact[place] for place in found.places]).mean() for found in (once, many)]
    assert errors[1] < errors[0]


def test_what_is_masked_in_both_runs_is_no_nan() -> None:
    g = gn.Graph()
    x = g.placeholder("x", (3, 3))
    scores = gn.where(np.tril(np.ones((3, 3), bool)), x, -np.inf, name="scores")
    y = gn.sum(gn.softmax(scores) @ np.array([1.0, 2.0, 4.0]))
    one, other = RNG.normal(size=(2, 3, 3))
    found = gn.effects(y, {x: one}, {x: other}, "nodes", method="attribution", progress=False)
    assert np.isfinite(found["scores"])
    assert found["scores"] == pytest.approx(found["x"])


def test_a_second_attribution_makes_no_nodes_and_sees_the_parameters_of_now() -> None:
    y, clean, corrupted = linear()
    first = gn.effects(y, clean, corrupted, "edges", method="attribution", progress=False)
    weight = y.graph["a"]
    weight.value = weight.value * 2
    second = gn.effects(y, clean, corrupted, "edges", method="attribution", progress=False)
    np.testing.assert_allclose(second.values, 2 * first.values)
    assert len(y.graph.caches["attribution"]) == 1
    x = next(iter(clean))
    more = {x: np.ones((5, 4))}
    third = gn.effects(y, more, {x: np.zeros((5, 4))}, "edges", method="attribution", progress=False)
    assert third["x", "matmul"] == pytest.approx(float(gn.run(y, more)))


# --- what is said before anything runs ------------------------------------------------------------------------------


class Loud(gn.Op):
    """What must not run."""

    def infer(self, x: gn.Spec) -> gn.Spec:
        return x

    def forward(self, x: Array) -> Array:
        raise AssertionError


def loud() -> tuple[gn.Graph, gn.Node, dict[gn.Node, Array], dict[gn.Node, Array]]:
    g = gn.Graph("loud")
    x, unused = g.placeholder("x", ("n", 2)), g.placeholder("unused", 2)
    gn.exp(unused, name="elsewhere")
    weight = g.parameter("w", np.ones(2))
    y = gn.sum(gn.multiply(Loud()(x), gn.relu(weight), name="product"), name="y")
    gn.cast(y, "int64", name="whole")
    gn.greater(x, 0.0, name="sign")
    return g, y, {x: np.ones((3, 2))}, {x: np.zeros((3, 2))}


REFUSED: dict[str, tuple[Any, type[gn.GraphnnError], str]] = {
    "no number": (lambda g, y, a, b: gn.effects(g["product"], a, b), ShapeError, r"one number.*\(n, 2\).*gn\.mean"),
    "no node": (lambda g, y, a, b: gn.effects([y], a, b), UsageError, "one node or its name, not list"),
    "unknown name": (lambda g, y, a, b: gn.effects("z", a, b), NotFoundError, '"z"'),
    "no run": (lambda g, y, a, b: gn.effects(y, 3, b), UsageError, "the clean run is a feed.* not int"),
    "no other run": (lambda g, y, a, b: gn.effects(y, a, [b]), UsageError, "the corrupted run .* not list"),
    "a run of another graph": (
        lambda g, y, a, b: gn.effects(y, a, gn.trace(-gn.Graph("other").placeholder("x"), {"x": 1.0})),
        GraphError,
        'the corrupted run is a trace of the graph "other".* of "loud"',
    ),
    "a feed of another graph": (
        lambda g, y, a, b: gn.effects(y, a, {gn.Graph("other").placeholder("x"): 1.0}),
        GraphError,
        "other",
    ),
    "digests": (
        lambda g, y, a, b: gn.effects("sign_sum", gn.trace(gn.sum(g["x"], name="sign_sum"), a, keep="digests"), b),
        UsageError,
        "has kept digests",
    ),
    "a misfit": (lambda g, y, a, b: gn.effects(y, a, {"x": np.ones(3)}), ShapeError, "expected"),
    "an unfed run": (lambda g, y, a, b: gn.effects(y, {}, b), NotFoundError, 'lacks "x"'),
    "other sizes": (
        lambda g, y, a, b: gn.effects(y, a, {"x": np.ones((4, 2))}),
        ShapeError,
        "different sizes, n = 3 and 4",
    ),
    "equal runs": (
        lambda g, y, a, b: gn.effects(y, a, dict(a)),
        UsageError,
        'do not differ in anything that "y" depends on',
    ),
    "what the metric does not need": (
        lambda g, y, a, b: gn.effects(y, a, b, ["elsewhere"]),
        NotFoundError,
        '"elsewhere" has no part',
    ),
    "what is equal in both": (
        lambda g, y, a, b: gn.effects(y, a, b, ["w", "relu"]),
        UsageError,
        'the same value of "w", "relu"',
    ),
    "no edge": (lambda g, y, a, b: gn.effects(y, a, b, [("x", "y")]), UsageError, '"y" does not read "x"'),
    "one of all": (lambda g, y, a, b: gn.effects(y, a, b, "edge"), UsageError, 'over="edges" means all of them'),
    "nothing": (lambda g, y, a, b: gn.effects(y, a, b, []), UsageError, "over= is empty"),
    "a direction": (lambda g, y, a, b: gn.effects(y, a, b, direction="up"), UsageError, '"denoise" or "noise", not'),
    "a method": (lambda g, y, a, b: gn.effects(y, a, b, method="fast"), UsageError, '"exact" or "attribution"'),
    "steps of exact": (lambda g, y, a, b: gn.effects(y, a, b, steps=3), UsageError, "integrated gradients"),
    "no steps": (
        lambda g, y, a, b: gn.effects(y, a, b, method="attribution", steps=0),
        gn.ValueRangeError,
        "steps=",
    ),
    "a file of attribution": (
        lambda g, y, a, b: gn.effects(y, a, b, method="attribution", path="x"),
        UsageError,
        "path=",
    ),
    "a metric without a gradient": (
        lambda g, y, a, b: gn.effects("whole", a, b, method="attribution"),
        DtypeError,
        '"whole" is int64, which has no gradient',
    ),
    "a value without a gradient": (
        lambda g, y, a, b: gn.effects(gn.sum(gn.where(g["sign"], g["x"], 0.0)), a, b, ["sign"], method="attribution"),
        DtypeError,
        '"sign" is bool, which has no gradient',
    ),
    "progress": (lambda g, y, a, b: gn.effects(y, a, b, progress=3), UsageError, "progress is .* not int"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_misuse_is_said_before_anything_runs(case: str) -> None:
    call, error, words = REFUSED[case]
    with pytest.raises(error, match=words):
        call(*loud())


# --- the result -----------------------------------------------------------------------------------------------------


def test_a_result_is_looked_up_in_several_ways() -> None:
    y, clean, corrupted = linear()
    found = gn.effects(y, clean, corrupted, ["x", ("x", "matmul"), "x[0]", "matmul"], progress=False)
    assert len(found) == 4
    x = y.graph["x"]
    assert found["x"] == found[x] == found[gn.patches.at(x)] == found.values[0]
    assert found["x", "matmul"] == found[x, y.graph["matmul"]] == found["x → matmul"] == found.values[1]
    assert found["x[0]"] == found.values[2]
    assert ("matmul" in found, "y" in found, 3 in found) == (True, False, False)
    with pytest.raises(NotFoundError, match=r'has no place "x\[1\]".*Did you mean'):
        found["x[1]"]
    np.testing.assert_allclose(found.recovered * found.gap, found.values)
    with pytest.raises(ValueError, match="read-only"):
        found.values[0] = 1


def test_places_are_also_given_by_scope_and_pattern_and_once() -> None:
    g = gn.Graph()
    x = g.placeholder("x", 2)
    with g.scope("block"):
        h = gn.square(gn.tanh(x))
    y = gn.sum(h * x)
    feeds = {x: np.ones(2)}, {x: np.zeros(2)}
    found = gn.effects(y, *feeds, ["block", "block/*", [x, ("x", "multiply")], gn.patches.at(x)], progress=False)
    assert [place.name for place in found.places] == ["block/square", "block/tanh", "x", "x → multiply"]
    places = found.places
    assert places.index(gn.patches.at(x, y.inputs[0])) == 3
    assert gn.patches.at(x) in places
    assert gn.patches.at(x)[0] not in places
    assert places[2] != "x"


def test_the_largest_come_first_whatever_their_sign() -> None:
    g = gn.Graph()
    x = g.placeholder("x", 4)
    y = gn.sum(x * np.array([1.0, -5.0, 3.0, 0.0]))
    found = gn.effects(y, {x: np.ones(4)}, {x: np.zeros(4)}, gn.patches.each(x, 0), progress=False)
    assert [(effect.place.name, effect.value) for effect in found.top(3)] == [("x[1]", -5), ("x[2]", 3), ("x[0]", 1)]
    assert repr(found.top(1)[0]) == '<Effect of "x[1]": -5, 500 %>'
    assert str(found).splitlines()[2:4] == ["      -5      500 %  x[1]", "       3     -300 %  x[2]"]
    assert repr(found) == '<Effects on "sum": 4 places, denoise, exact>'
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["effects"][1] == {"place": "x[1]", "node": "x", "reader": None, "value": -5.0, "recovered": 5.0}
    assert (told["clean"], told["corrupted"], told["method"], told["steps"]) == (-1.0, 0.0, "exact", None)


def test_long_sweeps_show_the_ten_largest() -> None:
    metric, clean, corrupted = attention()
    found = gn.effects(metric, clean, corrupted, progress=False)
    assert len(found.table(60).splitlines()) == 13
    assert max(map(len, found.table(60).splitlines()[1:])) <= 60
    assert found.table().splitlines()[-1].split() == [f"{len(found) - 10}", "more"]
    assert len(found.table(None).splitlines()) == 2 + len(found)


def test_agreement_is_that_of_ranks_and_of_values() -> None:
    g = gn.Graph()
    x = g.placeholder("x", 5)
    weights = g.parameter("w", np.array([1.0, 2.0, 2.0, 4.0, -1.0]))
    y = gn.sum(x * weights)
    places = gn.patches.each(x, 0)
    one = gn.effects(y, {x: np.ones(5)}, {x: np.zeros(5)}, places, progress=False)
    weights.value = np.array([1.0, 8.0, 9.0, 700.0, -3.0])
    two = gn.effects(y, {x: np.ones(5)}, {x: np.zeros(5)}, [*places, "x"], progress=False)
    agreed = one.agreement(two)
    ranks = np.array([2, 3.5, 3.5, 5, 1]), np.array([2, 3, 4, 5, 1])
    assert agreed.spearman == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert agreed.pearson == pytest.approx(np.corrcoef(one.values, two.values[:5])[0, 1])
    assert agreed.places == 5
    assert two.agreement(one) == agreed
    with pytest.raises(UsageError, match="in common"):
        one.agreement(gn.effects(y, {x: np.ones(5)}, {x: np.zeros(5)}, "x", progress=False))
    with pytest.raises(UsageError, match="not with Graph"):
        one.agreement(g)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"none: gn\.patches\.each"):
        two.grid()


# --- files and progress ---------------------------------------------------------------------------------------------


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Chunks of one place; the numbers of those that were computed."""
    made: list[int] = []
    run = Sweep.run

    def counted(self: Sweep, chunk: int) -> dict[int, float]:
        found = run(self, chunk)
        made.extend(found)
        return found

    monkeypatch.setattr(effect_sweep, "_MOST_ROWS", 1)
    monkeypatch.setattr(Sweep, "run", counted)
    return made  # type: ignore[return-value]


def test_a_sweep_goes_on_where_it_was_stopped(tmp_path: Any, slowly: list[int], monkeypatch: Any) -> None:
    metric, clean, corrupted = attention()
    path = tmp_path / "sweep.gnn"
    whole = gn.effects(metric, clean, corrupted, "edges", progress=False)
    every = slowly.copy()
    slowly.clear()
    counted = Sweep.run

    def interrupted(self: Sweep, chunk: int) -> dict[int, float]:
        if len(slowly) > 20:
            raise KeyboardInterrupt
        return counted(self, chunk)

    monkeypatch.setattr(Sweep, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        gn.effects(metric, clean, corrupted, "edges", path=path, progress=False)
    first = slowly.copy()
    monkeypatch.setattr(Sweep, "run", counted)
    found = gn.effects(metric, clean, corrupted, "edges", path=path, progress=False)
    assert len(first) > 20
    assert sorted(slowly) == sorted(every)
    np.testing.assert_array_equal(found.values, whole.values)
    slowly.clear()
    np.testing.assert_array_equal(
        gn.effects(metric, clean, corrupted, "edges", path=path, progress=False).values, whole.values
    )
    assert slowly == []


def test_a_file_of_another_sweep_is_refused(tmp_path: Any) -> None:
    y, clean, corrupted = linear()
    path = tmp_path / "sweep.gnn"
    gn.effects(y, clean, corrupted, path=path, progress=False)
    content = path.read_bytes()
    others = [
        lambda: gn.effects(y, clean, corrupted, "edges", path=path),
        lambda: gn.effects(y, clean, corrupted, direction="noise", path=path),
        lambda: gn.effects(y, clean, {key: value + 1 for key, value in corrupted.items()}, path=path),
    ]
    weight = y.graph["a"]
    old = weight.value
    for other in others:
        with pytest.raises(FileFormatError, match="effects of another sweep"):
            other()
    weight.value = old + 1
    with pytest.raises(FileFormatError, match="effects of another sweep"):
        gn.effects(y, clean, corrupted, path=path)
    weight.value = old
    assert path.read_bytes() == content
    path.write_bytes(content[:-20])
    with pytest.raises(FileFormatError, match="truncated"):
        gn.effects(y, clean, corrupted, path=path)
    gn.save(y.graph, path)
    with pytest.raises(FileFormatError, match="holds a graph where a sweep was asked for"):
        gn.effects(y, clean, corrupted, path=path)


def test_progress_is_told_in_lines(slowly: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(np.arange(0.0, 1e6, 4.0))
    monkeypatch.setattr("graphnn.interventions.progress_line.time.perf_counter", lambda: next(clock))
    y, clean, corrupted = linear()
    lines: list[str] = []
    gn.effects(y, clean, corrupted, "edges", progress=lines.append)
    assert lines[0].startswith("effects ")
    assert lines[0].endswith(" left")
    assert " %, 0:" in lines[0]
    stream = io.StringIO()
    gn.effects(y, clean, corrupted, "edges", method="attribution", steps=4, progress=stream)
    assert stream.getvalue().splitlines()[0] == "effects 1/4, 25 %, 0:12 left"


def test_a_terminal_gets_one_line(slowly: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    clock = iter(np.arange(0.0, 1e6, 2.0))
    monkeypatch.setattr("graphnn.interventions.progress_line.time.perf_counter", lambda: next(clock))
    monkeypatch.setattr("sys.stderr", Terminal())
    import sys

    y, clean, corrupted = linear()
    gn.effects(y, clean, corrupted, "nodes")
    told = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert told.count("\n") == 1
    assert told.endswith("\x1b[K\n")
    assert "\r####" in told
