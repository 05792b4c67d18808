"""Circuits: the known ones of networks made by hand, and every number of them against an evaluation in NumPy."""

import json

import networkx as nx
import numpy as np
import pytest
from known_circuits import ENDS, Known, drawn

import graphnn as gn
from graphnn import nn
from graphnn.errors import GraphError, NotFoundError, ShapeError, UsageError, ValueRangeError
from graphnn.interventions import circuit_search
from graphnn.interventions.circuit import _measured
from graphnn.interventions.edge_substitution import Substituted
from graphnn.interventions.run_pair import pair_of

METHODS = "greedy", "attribution"
NETWORKS = range(50)
TINY = 1e-9  # more than rounding leaves of no effect


def edges_of(found, names):
    return {(names[edge.node], names[edge.reader]) for edge in found.edges}


def is_found(known: Known, method: str) -> bool:
    """Whether a method finds exactly the known circuit, by either bound, and it is the whole cause."""
    metric, names = known.built()
    runs = metric, known.clean, known.corrupted
    by_count = gn.circuit(*runs, keep=len(known.circuit), method=method)
    by_effect = gn.circuit(*runs, threshold=TINY, method=method)
    return all(
        edges_of(found, names) == known.circuit
        and found.candidates == len(known.edges)
        and found.faithfulness == pytest.approx(1, abs=1e-12)
        and found.completeness == pytest.approx(1, abs=1e-12)
        and found.minimality > 1e-4
        for found in (by_count, by_effect)
    )


# --- known circuits -------------------------------------------------------------------------------------------


def test_networks_have_one_circuit_and_distractors_of_all_kinds():
    known = [drawn(seed) for seed in NETWORKS]
    for seed, each in enumerate(known):
        assert each.within_all(np.random.default_rng(seed)) == each.circuit
        assert len(each.circuit) < len(each.edges)
    ends = {"zero factor": 0.0, "saturated clip": 5.0, "floor": 0.4, "dead relu": 1.0}
    ops = {row.op for each in known for row in each.rows.values()}
    numbers = {operand for each in known for row in each.rows.values() for operand in row.operands}
    assert {"relu", "clip", "floor", "other", "tail", "subtract"} <= ops
    assert numbers >= set(ends.values())
    assert len(ENDS) == 7


def test_more_may_be_fed_than_is_needed():
    g = gn.Graph()
    x, unused = g.placeholder("x", ("n",)), g.placeholder("unused", ("m",))
    metric = gn.sum(gn.tanh(x) + x * 0.0)
    feeds = [{x: np.full(2, value), unused: np.ones(3)} for value in (1.0, 0.0)]
    without = [{x: feed[x]} for feed in feeds]
    for function, how in ((gn.circuit, {"keep": 3}), (gn.effects, {})):
        found, expected = (str(function(metric, *runs, method="attribution", **how)) for runs in (feeds, without))
        assert found == expected


@pytest.mark.parametrize("method", METHODS)
def test_the_known_circuit_is_found(method):
    assert [seed for seed in NETWORKS if not is_found(drawn(seed), method)] == []


def test_any_set_of_edges_gives_the_metric_that_numpy_gives():
    rng = np.random.default_rng(0)
    for seed in NETWORKS:
        known = drawn(seed)
        metric, names = known.built()
        runs = Substituted(pair_of(metric, known.clean, known.corrupted, False), "corrupted")
        links = {tuple(names[node] for node in runs.ends(link)): link for link in runs.links}
        kept = rng.random((4, len(known.edges))) < 0.7
        cut = [[links[edge] for edge, keeps in zip(known.edges, row, strict=True) if not keeps] for row in kept]
        assert [runs.with_cut(each) for each in cut] == pytest.approx(known.metric(kept), rel=1e-12)


def test_every_number_of_a_circuit_is_that_of_numpy():
    known = drawn(1)
    metric, names = known.built()
    for method in METHODS:
        found = gn.circuit(metric, known.clean, known.corrupted, keep=12, method=method)
        kept = known.holds(edges_of(found, names))
        assert 0 < kept.sum() <= 12
        clean, ablated = known.metric(np.array([kept | True, kept & False]))
        alone, without = known.metric(np.array([kept, ~kept]))
        assert (found.clean, found.ablated) == pytest.approx((clean, ablated))
        assert (found.alone, found.without) == pytest.approx((alone, without))
        assert found.faithfulness == pytest.approx((alone - ablated) / (clean - ablated))
        assert found.completeness == pytest.approx((clean - without) / (clean - ablated))
        for edge in found.edges:
            less = kept & ~known.holds([(names[edge.node], names[edge.reader])])
            assert edge.needed == pytest.approx(abs(known.metric(less)[0] - alone) / (clean - ablated), abs=1e-12)
        assert found.minimality == min(edge.needed for edge in found.edges)


# --- planted faults -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_a_distractor_that_leaks_is_noticed(method):
    known = drawn(7)
    name, row = next((name, row) for name, row in known.rows.items() if row == ("multiply", (row.operands[0], 0.0)))
    leaking = known._replace(rows={**known.rows, name: row._replace(operands=(row.operands[0], 1e-3))})
    assert is_found(known, method)
    assert not is_found(leaking, method)


def test_edges_that_lead_nowhere_are_noticed(monkeypatch):
    cancelling = [seed for seed in NETWORKS if any(row.op == "subtract" for row in drawn(seed).rows.values())][:6]
    assert all(is_found(drawn(seed), "attribution") for seed in cancelling)
    monkeypatch.setattr(circuit_search, "_with_both_ends", lambda runs, effects: dict(effects))
    assert not all(is_found(drawn(seed), "attribution") for seed in cancelling)


@pytest.mark.parametrize("method", METHODS)
def test_an_edge_that_is_ablated_for_all_readers_is_noticed(monkeypatch, method):
    """Were nodes ablated, and not edges, a distractor would take its source with it."""
    recomputed = Substituted.recomputed

    def of_nodes(self, values, cut, readers):
        sources = {source for source, _ in cut}
        wider = {link for link in self.links if link[0] in sources}
        return recomputed(self, self.clean, wider, {reader for _, reader in wider})

    monkeypatch.setattr(Substituted, "recomputed", of_nodes)
    assert not all(is_found(drawn(seed), method) for seed in range(3))


@pytest.mark.parametrize("wrong", [-1, 1])
def test_a_circuit_with_a_wrong_edge_has_other_numbers(wrong):
    """One edge less is not faithful; one more, of a distractor, is needed by nothing."""
    known = drawn(4)
    metric, names = known.built()
    effects = dict.fromkeys(known.circuit, 1.0)
    if wrong == 1:
        effects[next(edge for edge in known.edges if edge not in known.circuit)] = 1.0
    else:
        effects.pop(max(effects))
    runs = Substituted(pair_of(metric, known.clean, known.corrupted, False), "corrupted")
    links = {tuple(names[node] for node in runs.ends(link)): link for link in runs.links}
    chosen = circuit_search.Found({links[edge]: effect for edge, effect in effects.items()}, 0.0)
    found = _measured(runs, chosen, "greedy", "corrupted")
    assert found.faithfulness < 1 - 1e-4 if wrong == -1 else found.minimality < 1e-12


# --- bounds, ablations, runs ----------------------------------------------------------------------------------


def two_paths():
    """y = 3 a + b, with a = exp(x) and b = x²; at 1 and at 0."""
    g = gn.Graph("two")
    x = g.placeholder("x")
    a, b = gn.exp(x), x * x
    return g, gn.add(gn.multiply(a, 3.0, name="three"), b, name="y"), {"x": 1.0}, {"x": 0.0}


@pytest.mark.parametrize("method", METHODS)
def test_fewer_edges_are_those_that_matter_most(method):
    _, y, clean, corrupted = two_paths()
    for keep in (3, 4):
        found = gn.circuit(y, clean, corrupted, keep=keep, method=method)
        assert [edge.name for edge in found.edges] == ["x → exp", "exp → three", "three → y"]
        assert found.alone == pytest.approx(3 * np.e)
    assert len(gn.circuit(y, clean, corrupted, keep=5, method=method).edges) == 5
    with pytest.raises(ValueRangeError, match=r"keep=1: so few edges do not lead .* found has [23]"):
        gn.circuit(y, clean, corrupted, keep=1, method=method)


@pytest.mark.parametrize("method", METHODS)
def test_an_operand_that_is_read_twice_is_one_edge_and_two_in_the_graph(method):
    _, y, clean, corrupted = two_paths()
    found = gn.circuit(y, clean, corrupted, threshold=0, method=method)
    assert [(a, b, key) for a, b, key in found.graph.edges if b == "multiply"] == [
        ("x", "multiply", 0),
        ("x", "multiply", 1),
    ]
    assert len(found.edges) == 5 == found.candidates
    assert nx.is_directed_acyclic_graph(found.graph)
    assert found.graph.nodes["exp"] == {"op": "exp", "scope": ""}
    assert set(found.graph.edges["exp", "three", 0]) == {"effect", "needed"}


def test_of_two_paths_that_do_the_same_greedy_keeps_one():
    x = gn.Graph().placeholder("x")
    either = gn.maximum(gn.exp(x), gn.exp(x))
    found = gn.circuit(either, {x: 1.0}, {x: 0.0}, threshold=0.0, method="greedy")
    assert [edge.name for edge in found.edges] == ["x → exp_2", "exp_2 → maximum"]
    assert (found.faithfulness, found.completeness) == (1.0, 0.0)


def test_zeros_and_means_are_ablations_of_what_is_not_given_otherwise():
    g = gn.Graph()
    x, w = g.placeholder("x", ("batch", 2)), g.parameter("w", [2.0, 5.0])
    y = gn.sum(gn.sum(x * w, axis=0, name="columns") + gn.sum(gn.square(x), axis=0, name="squares"), name="y")
    a, b = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 0.0], [2.0, 0.0]])
    zero = gn.circuit(y, {"x": a}, {"x": b}, keep=4, method="greedy", ablation="zero")
    assert [edge.name for edge in zero.edges] == ["x → multiply", "multiply → columns", "columns → add", "add → y"]
    assert (zero.clean, zero.ablated, zero.alone) == (8 + 30 + 10 + 20, 0.0, 8 + 30)
    mean = gn.circuit(y, {"x": a}, {"x": b}, keep=4, method="greedy", ablation="mean")
    assert mean.ablated == 11.0  # of the corrupted run, the sums are 11 and 0, and their mean is 5.5
    for ablation, metric in (("zero", 38.0), ("mean", 38.0 + 2 * 2.5)):  # squares: 1, 4 and 0, 0, with the means 2.5, 0
        runs = Substituted(pair_of(y, {"x": a}, {"x": b}, False), ablation)
        cut = [link for link in runs.links if [node.name for node in runs.ends(link)] == ["square", "squares"]]
        assert (len(cut), runs.with_cut(cut)) == (1, metric)
    assert (zero.ablation, mean.ablation) == ("zero", "mean")


@pytest.mark.parametrize("ablation", ["zero", "mean"])
def test_attribution_has_the_gradient_times_what_the_ablation_changes(ablation):
    """Of what is linear in each edge, that is how far its ablation moves the metric."""
    rng = np.random.default_rng(0)
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 3))
    y = gn.sum(x[1] * 3.0 + x[2] - gn.mean(x) * 2.0, name="y")
    runs = y, *({"x": rng.normal(size=(4, 3))} for _ in range(2))
    exact = gn.circuit(*runs, threshold=1e-12, ablation=ablation, method="greedy")
    for steps in (None, 4):
        found = gn.circuit(*runs, threshold=1e-12, ablation=ablation, steps=steps)
        effects = {edge.name: edge.effect for edge in found.edges}
        assert effects == pytest.approx({edge.name: edge.effect for edge in exact.edges})
        assert len(effects) == found.candidates


@pytest.mark.parametrize("method", METHODS)
def test_tokens_are_given_and_what_is_looked_up_is_ablated(method):
    g = gn.Graph()
    tokens = g.placeholder("tokens", (3,), np.int64)
    table = g.parameter("table", np.arange(8.0).reshape(4, 2) ** 2)
    rows = gn.take(table, tokens, axis=0)
    y = gn.sum(gn.exp(rows[0] / 50.0) + rows[2], name="y")
    found = gn.circuit(y, {"tokens": [1, 2, 3]}, {"tokens": [0, 2, 3]}, threshold=1e-9, method=method)
    assert [edge.name for edge in found.edges if edge.node is not tokens] == [
        *("take → getitem", "getitem → divide", "divide → exp", "exp → add", "add → y")
    ]
    assert found.faithfulness == 1.0


def test_runs_may_be_traces_with_a_state_of_their_own():
    g = gn.Graph()
    x, w = g.placeholder("x"), g.parameter("w", 1.0)
    y = gn.add(w * 2.0, gn.exp(x), name="y")
    before = gn.trace(y, {"x": 1.0})
    w.value = 3.0
    after = gn.trace(y, {"x": 1.0})
    found = gn.circuit(y, after, before, keep=5, method="greedy")
    assert [edge.name for edge in found.edges] == ["w → multiply", "multiply → y"]
    assert (found.clean, found.ablated) == (6 + np.e, 2 + np.e)
    assert gn.circuit("y", before, after, keep=5, method="greedy").clean == 2 + np.e


def test_an_edge_into_what_was_set_by_hand_carries_nothing():
    x = gn.Graph().placeholder("x")
    h = gn.exp(x, name="h")
    y = gn.add(h * 2.0, h, name="y")
    runs = []
    for value, by_hand in ((1.0, 5.0), (0.0, 3.0)):
        dbg = gn.debug(y, {x: value})
        dbg[h] = by_hand
        runs.append(dbg.trace())
    for method in METHODS:
        found = gn.circuit(y, *runs, threshold=0, method=method)
        assert {edge.name: edge.effect for edge in found.edges} == {"h → multiply": -4, "multiply → y": -4, "h → y": -2}
        assert found.candidates == 3
    for method in ("exact", "attribution"):
        edges = gn.effects(y, *runs, over="edges", method=method, progress=False)
        assert edges["x → h"] == 0
        assert edges["h → y"] == 2
        assert gn.effects(y, *runs, over=[(x, h)], method=method, progress=False).values.tolist() == [0.0]


def test_one_edge_ablated_is_one_edge_patched():
    """The oracle is a copy of the graph in which that reader has the value of the corrupted trace."""
    rng = np.random.default_rng(3)
    g = gn.Graph("net")
    block = nn.TransformerBlock(2, 16, rng=rng, causal=True)(g.placeholder("t", ("batch", 4, 8)))
    metric = gn.mean(block[:, -1, 0] - block[:, -1, 1], name="metric")
    clean, corrupted = ({"t": rng.normal(size=(3, 4, 8))} for _ in range(2))
    runs = Substituted(pair_of(metric, clean, corrupted, False), "corrupted")
    trace = gn.trace(metric, corrupted)
    assert runs.with_cut([]) == float(gn.run(metric, clean))
    assert runs.with_cut(runs.links) == float(gn.run(metric, corrupted))
    for link in runs.links[::3]:
        patched = gn.patched(metric, {runs.ends(link): trace})
        assert runs.with_cut([link]) == pytest.approx(float(gn.run(patched, clean)), rel=1e-12)


def test_progress_is_told_of_greedy_edges_and_of_passes(monkeypatch):
    monkeypatch.setattr("graphnn.interventions.progress_line._FIRST", 0.0)
    _, y, clean, corrupted = two_paths()
    said = []
    gn.circuit(y, clean, corrupted, threshold=0, method="greedy", progress=said.append)
    assert said[0].startswith("edges 2/5, 40 %")
    said.clear()
    gn.circuit(y, clean, corrupted, threshold=0, steps=4, progress=said.append)
    assert said[0].startswith("passes 1/4, 25 %")


def test_integrated_gradients_see_what_saturates():
    """At the clean run, tanh passes next to nothing; between the runs it goes from 0 to 1."""
    x = gn.Graph().placeholder("x")
    y = gn.add(gn.tanh(x) * 3.0, x * 1e-3, name="y")
    runs = y, {x: 40.0}, {x: 0.0}
    assert [edge.node.name for edge in gn.circuit(*runs, keep=3).edges][1] != "tanh"
    found = gn.circuit(*runs, keep=3, steps=50)
    assert [edge.name for edge in found.edges] == ["x → tanh", "tanh → multiply", "multiply → y"]
    assert found.edges[0].effect == pytest.approx(-3, rel=0.05)
    with pytest.raises(ValueRangeError, match=r'attribution sees no edge .* give steps= or method="greedy"'):
        gn.circuit(gn.tanh(x), *runs[1:], keep=3)


def test_an_effect_that_is_no_number_is_kept():
    """Of √x at 0 the gradient is infinite, and the difference is 0 in one element: their product is NaN."""
    x = gn.Graph().placeholder("x", (2,))
    y = gn.sum(gn.sqrt(x), name="y")
    found = gn.circuit(y, {x: [0.0, 1.0]}, {x: [0.0, 4.0]}, keep=2)
    assert [edge.name for edge in found.edges] == ["x → sqrt", "sqrt → y"]
    assert np.isnan(found.edges[0].effect)
    assert found.to_dict()["edges"][0]["effect"] == "nan"
    assert gn.draw(found).source


def test_the_graph_gets_no_node_and_a_block_is_told_in_text_and_json():
    rng = np.random.default_rng(0)
    g = gn.Graph("net")
    block = nn.TransformerBlock(2, 16, rng=rng)(g.placeholder("t", ("batch", 4, 8)))
    metric = gn.mean(block[:, -1, 0] - block[:, -1, 1], name="metric")
    count = len(g)
    clean, corrupted = ({"t": rng.normal(size=(3, 4, 8))} for _ in range(2))
    greedy, linear = (gn.circuit(metric, clean, corrupted, keep=30, method=method) for method in METHODS)
    assert len(g) == count
    for found in (greedy, linear):
        assert found.alone != found.clean
        assert json.loads(json.dumps(found.to_dict()))["faithfulness"] == found.faithfulness
        text = str(found)
        assert f'"metric": {len(found.edges)} of {found.candidates} edges, by {found.method}' in text
        assert "every other edge carries its value in the corrupted run" in text
        assert "and 10 more" in text or len(found.edges) < 30
        assert repr(found) == (
            f'<Circuit of "metric": {len(found.edges)} of {found.candidates} edges, '
            f"faithfulness {found.faithfulness:.3g} (corrupted)>"
        )


# --- said before anything runs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "error", "said"),
    [
        ({}, UsageError, "give one of the two"),
        ({"keep": 1, "threshold": 1.0}, UsageError, "give one of the two"),
        ({"keep": 0}, ValueRangeError, "keep="),
        ({"keep": 1.5}, UsageError, "keep="),
        ({"threshold": -1.0}, ValueRangeError, "from 0 on"),
        ({"threshold": float("nan")}, ValueRangeError, "from 0 on"),
        ({"threshold": "1"}, UsageError, "a number, not str"),
        ({"keep": 1, "method": "gredy"}, UsageError, 'Did you mean "greedy"'),
        ({"keep": 1, "ablation": "noise"}, UsageError, "is not an ablation"),
        ({"keep": 1, "method": "greedy", "steps": 3}, UsageError, "steps="),
        ({"keep": 1, "progress": 7}, UsageError, "progress"),
        ({"keep": 1, "corrupted": {"x": 1.0}}, UsageError, "do not differ in anything that"),
        ({"keep": 1, "corrupted": {"z": 1.0}}, NotFoundError, '"z"'),
        ({"keep": 1, "corrupted": 3}, UsageError, "corrupted run"),
        ({"keep": 1, "metric": "v"}, ShapeError, "v"),
        ({"keep": 1, "metric": "nothing"}, NotFoundError, "nothing"),
    ],
)
def test_what_cannot_be_is_said_before_anything_runs(monkeypatch, how, error, said):
    g, y, clean, corrupted = two_paths()
    gn.reshape(y, (1,), name="v")
    asked = {"metric": y, "clean": clean, "corrupted": corrupted, "graph": g} | how
    monkeypatch.setattr("graphnn.runtime.evaluation_loop.evaluate", None)
    monkeypatch.setattr("graphnn.interventions.run_pair.evaluate", None)
    with pytest.raises(error, match=said):
        gn.circuit(**asked)


def test_runs_of_two_sizes_or_of_other_graphs_are_refused():
    x = gn.Graph().placeholder("x", ("n",))
    y = gn.sum(gn.exp(x))
    with pytest.raises(ShapeError, match="n = 2 and 3"):
        gn.circuit(y, {x: [1.0, 2.0]}, {x: [1.0, 2.0, 3.0]}, keep=2)
    _, other, clean, _ = two_paths()
    with pytest.raises(GraphError, match="graph"):
        gn.circuit(y, gn.trace(other, clean), {x: [1.0]}, keep=2)


def test_a_metric_that_does_not_tell_the_runs_apart_has_no_circuit():
    _, y, clean, corrupted = two_paths()
    with pytest.raises(ValueRangeError, match="threshold=100 leaves no edge"):
        gn.circuit(y, clean, corrupted, threshold=100, method="greedy")
    x = gn.Graph().placeholder("x")
    with pytest.raises(ValueRangeError, match="a circuit carries the gap between two numbers"):
        gn.circuit(x * 0.0, {x: 1.0}, {x: 0.0}, keep=3)
    with pytest.raises(ValueRangeError, match="nan in the clean run"):
        gn.circuit(gn.log(x), {x: -1.0}, {x: 1.0}, keep=3)
