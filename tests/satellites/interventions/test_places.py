"""Where a patch goes: names of places, parts that are not there, and what is said of them before anything runs."""

from __future__ import annotations

import gc
import re
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import Node
from graphnn.errors import AxisError, GraphError, GraphnnError, UsageError
from graphnn.interventions.effect_sweep import Sweep

RNG = np.random.default_rng(5)
A, B = RNG.normal(size=(2, 3, 4))


def network() -> tuple[gn.Graph, Node]:
    g = gn.Graph("net")
    x = g.placeholder("x", ("batch", 4))
    h = gn.tanh(x, name="h")
    return g, gn.mean(gn.multiply(h, 2.0, name="left") + gn.exp(h, name="right"), name="metric")


def test_the_name_of_a_place_is_a_key_everywhere() -> None:
    g, metric = network()
    at = gn.patches.at
    for place in (at(g["h"]), at(g["h"], g["left"]), at(g["h"])[:, 3], at(g["h"], g["right"])[1, 1:]):
        for key in (place.name, place.name.replace(" → ", "->"), place.name.replace("→", "->")):
            found = gn.effects(metric, {"x": A}, {"x": B}, [key], progress=False)
            assert found.places == [place]
            assert found[key] == found[place]
            expected = gn.run(gn.patched(metric, {place: 0.5}), {"x": A})
            assert gn.run(gn.patched(metric, {key: 0.5}), {"x": A}) == expected


def test_names_with_arrows_are_names_first() -> None:
    g = gn.Graph()
    x = g.placeholder("x", 3)
    h = gn.tanh(x, name="x -> y")
    metric = gn.sum(gn.multiply(h, x, name="y"), name="sum")
    found = gn.effects(metric, {"x": A[0, :3]}, {"x": B[0, :3]}, ["x -> y", "x -> y -> y", "x → y"], progress=False)
    assert found.places == [gn.patches.at(h), gn.patches.at(h, g["y"]), gn.patches.at(x, g["y"])]


def test_a_reader_of_what_a_reader_sees_is_refused() -> None:
    g, metric = network()
    for node in ("h -> left", gn.patches.at(g["h"], g["left"])):
        with pytest.raises(UsageError, match='"h → left" is what one reader sees already, and not what "right" does'):
            gn.patched(metric, {(node, "right"): 0.0})


REFUSED: dict[str, tuple[Any, type[GraphnnError], str]] = {
    "a row that no run has": (lambda g, m: effects(m, ["h[5]"]), AxisError, r'there is no "h\[5\]": .*index 5.*size 3'),
    "a row that no run has, by attribution": (
        lambda g, m: effects(m, ["h[5]"], method="attribution"),
        AxisError,
        r'no "h\[5\]"',
    ),
    "a row that a trace has not": (
        lambda g, m: gn.patched(m, {"h[3]": gn.trace(m, {"x": A})}),
        AxisError,
        r'there is no "h\[3\]"',
    ),
    "a channel that the node has not": (lambda g, m: gn.patches.at(g["h"])[:, 4], AxisError, r'no "h\[:, 4\]": .*4'),
    "an array for a direction": (
        lambda g, m: effects(m, direction=np.array(["denoise", "noise"])),
        UsageError,
        "direction= is",
    ),
    "a metric that is fed": (
        lambda g, m: gn.effects(g.placeholder("p", ()), {"p": 1.0}, {"p": 2.0}),
        UsageError,
        'nothing that "p" is computed of differs',
    ),
    "a progress that takes no line": (
        lambda g, m: gn.effects(m, {"x": A}, {"x": B}, progress=lambda: None),
        UsageError,
        "progress is called with one argument, a line, and takes none",
    ),
    "no path": (lambda g, m: effects(m, path=3), UsageError, "a path is text"),
    "an axis that is a bool": (lambda g, m: gn.patches.each(g["h"], True), UsageError, "the axis of each"),
    "an axis for a mean": (lambda g, m: gn.patches.mean("rows"), UsageError, r"axis of gn\.patches\.mean is an int"),
    "no axis for a mean": (lambda g, m: gn.patches.mean(None), UsageError, r"axis of gn\.patches\.mean is an int"),
    "an axis of resample": (lambda g, m: gn.patches.resample(1, 0.5), UsageError, r"axis of gn\.patches\.resample"),
    "a seed of resample": (lambda g, m: gn.patches.resample("a"), UsageError, r"seed of gn\.patches\.resample"),
    "what makes a patch": (
        lambda g, m: gn.patched(m, {"h": gn.patches.mean}),
        UsageError,
        r"is not a patch yet: write gn\.patches\.mean\(\)",
    ),
    "what makes another patch": (
        lambda g, m: gn.patched(m, {"h": gn.patches.resample}),
        UsageError,
        r"write gn\.patches\.resample\(\)",
    ),
    "an argument that there is not": (
        lambda g, m: gn.patches.mean(axes=1),
        TypeError,
        r"Here it is axis=\. The call is mean\(axis=0\)",
    ),
    "no node": (lambda g, m: gn.patches.at(), TypeError, r"The call is at\(node, reader=None\)"),
    "a name for a node": (lambda g, m: gn.patches.each("h", 0), UsageError, "made of a node.* not of str"),
    "a feed of the graph that was copied": (
        lambda g, m: gn.run(gn.patched(m, {"h": 0.0}), {g["x"]: A}),
        GraphError,
        "a copy is fed by name",
    ),
}


def effects(metric: Node, over: Any = "nodes", **options: Any) -> gn.Effects:
    return gn.effects(metric, {"x": A}, {"x": B}, over, progress=False, **options)


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_said_and_nothing_runs(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    call, error, words = REFUSED[case]
    g, metric = network()
    before = [node.name for node in g]
    monkeypatch.setattr(Sweep, "__init__", lambda *_: pytest.fail("it ran"))
    with pytest.raises(error, match=words):
        call(g, metric)
    assert [node.name for node in g if node.name != "p"] == before


def test_a_file_that_cannot_be_written_is_said_before_anything_runs(tmp_path: Path, monkeypatch: Any) -> None:
    _, metric = network()
    monkeypatch.setattr(Sweep, "__init__", lambda *_: pytest.fail("it ran"))
    with pytest.raises(FileNotFoundError):
        effects(metric, path=tmp_path / "nowhere" / "sweep")


def test_an_axis_may_be_an_integer_of_numpy() -> None:
    g, metric = network()
    assert gn.patches.each(g["h"], np.int64(1)) == gn.patches.each(g["h"], 1)
    feed = {"x": A}
    both = [gn.run(gn.patched(metric, {"h": gn.patches.mean(axis)}), feed) for axis in (1, np.int64(1))]
    assert both[0] == both[1]


def test_a_patch_that_cannot_be_computed_is_named() -> None:
    g = gn.Graph()
    i = g.placeholder("i", 2, np.int64)
    divisor = gn.subtract(i[0], i[1], name="divisor")
    metric = gn.floor_divide(7, divisor, name="metric")
    with pytest.raises(ZeroDivisionError, match=re.escape('with "i[0]" from the other run: ')):
        gn.effects(metric, {i: [3, 9]}, {i: [5, 3]}, ["i[0]"], progress=False)


def test_a_grid_is_of_one_sort_of_parts() -> None:
    g, metric = network()
    at = gn.patches.at
    for parts in (["h[:, 0]", "h[0, 1]"], ["h[0]", "h[:, 0]"], ["h[0, 1:2]", "h[0, 2:3]"], ["h[:, 0]", "left[0, 1]"]):
        with pytest.raises(UsageError, match=f'"{re.escape(parts[1])}" is a part along other axes'):
            effects(metric, parts).grid()
    grid = effects(metric, [gn.patches.each(g["h"], 1), at(g["left"])[2]]).grid()
    assert (grid.rows, grid.columns) == (["h", "left"], [0, 1, 2, 3])


def test_a_share_of_nothing_has_no_sign() -> None:
    g = gn.Graph()
    x = g.placeholder("x", 2)
    metric = gn.subtract(gn.multiply(x[0], 1e-9), x[1], name="metric")
    printed = str(gn.effects(metric, {x: [1.0, 1.0]}, {x: [0.0, 0.0]}, ["x[0]", "x[1]"], progress=False))
    assert "-0 %" not in printed
    assert "100 %" in printed


def test_an_infinite_metric_warns_of_nothing() -> None:
    g = gn.Graph()
    x = g.placeholder("x", 2)
    metric = gn.sum(gn.divide(1.0, x), name="metric")
    found = gn.effects(metric, {x: [0.0, 1.0]}, {x: [1.0, 2.0]}, ["x", "x[1]"], progress=False)
    assert found.values.tolist() == [np.inf, 0.5]
    assert np.isnan(found.recovered[0])
    assert found.recovered[1] == 0


def test_what_takes_the_place_of_a_node_has_the_name_that_it_was_given() -> None:
    g, metric = network()
    gn.name(g["h"], "hidden")
    for value in (0.5, lambda old: old * 0.0 + 0.5):
        other = gn.patched(metric, {"hidden": value})
        names = other.graph.names
        assert names["hidden"] is other.graph["h"]
        assert (names["hidden"].title, names["hidden"].name) == ("hidden", "h")
        assert gn.run(gn.patched(other, {"hidden": 0.25}), {"x": A}) == pytest.approx(0.5 + np.exp(0.25))
        assert gn.run("hidden", {"x": A}, graph=other.graph).tolist() == np.full((3, 4), 0.5).tolist()


def test_a_copy_takes_the_feed_that_the_graph_takes() -> None:
    g, metric = network()
    g.placeholder("labels", "batch", np.int64)
    feed = {"x": A, "labels": [0, 1, 2]}
    once = gn.patched(metric, {"h": 0.5})
    twice = gn.patched(once, {"left": 1.0})
    for found in (metric, once, twice):
        assert gn.run(found, feed).shape == ()
    assert [node.name for node in twice.graph.placeholders] == ["x", "labels"]


# --- memory -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("little_to_search")
def test_the_memory_of_a_sweep_does_not_grow_with_the_places() -> None:
    g = gn.Graph()
    h = x = g.placeholder("x", (64, 64), dtype=np.float32)
    for _ in range(20):
        h = gn.tanh(h * 1.1)
    metric = gn.mean(h)
    runs = [{x: RNG.normal(size=(64, 64))} for _ in range(2)]
    values = sum(4 * 64 * 64 for node in gn.schedule(metric) if not node.has_value)

    def peak(places: list[Any]) -> int:
        gc.collect()
        tracemalloc.start()
        gn.effects(metric, *runs, places, progress=False)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    few = [gn.patches.at(h)[0], gn.patches.at(x)[1]]
    many = [gn.patches.each(node, 0) for node in gn.schedule(metric) if node.shape == (64, 64)][::8]
    peak(few)
    rows = 16 * 4 * 64 * 64  # of a value with as many rows as are computed at once
    assert peak(many) < 2 * values + 6 * rows
    assert peak(few) > 2 * values


# --- attribution against finite differences -----------------------------------------------------------------------


def value_with(order: list[Node], feed: dict[str, Any], place: Any, new: Any) -> float:
    """Return the last value of a run in which a place has another value."""
    values: dict[Node, Any] = {}
    for node in order:
        operands = [new if node is place.reader and o is place.node else values[o] for o in node.inputs]
        given = feed.get(node.name, node.value if node.has_value else None)
        value = node.op.forward(*operands) if given is None else np.asarray(given)
        values[node] = new if place.reader is None and node is place.node else value
    return float(values[order[-1]])


@pytest.mark.parametrize("over", ["nodes", "edges"])
def test_attribution_is_what_finite_differences_give_behind_a_stopped_gradient(over: Any) -> None:
    g = gn.Graph()
    x = g.placeholder("x", 3)
    stopped = gn.stop_gradient(gn.tanh(x, name="t"), name="stopped")
    steps = gn.add(gn.multiply(gn.sign(x), 0.3), gn.round(x), name="steps")
    y = gn.sum(stopped * x + steps * gn.sin(x), name="y")
    feed, other = {"x": B[0, :3]}, {"x": A[0, :3]}
    order = gn.schedule(y)
    there, comes = (dict(zip(order, gn.run(order, run), strict=True)) for run in (feed, other))
    found = gn.effects(y, other, feed, over, method="attribution", progress=False)
    before = []  # of these the metric depends, and by definition its gradient does not
    for place, value, _ in found:
        moved = 1e-6 * (comes[place.node] - there[place.node])
        up, down = (value_with(order, feed, place, there[place.node] + sign * moved) for sign in (1, -1))
        if value == pytest.approx((up - down) / 2e-6, abs=1e-6):
            continue
        before.append(place.name)
        if place.reader is None:
            with warnings.catch_warnings(action="ignore"):
                slope = gn.run(gn.grad(y, place.node), feed)
            assert value == pytest.approx(float(((comes[place.node] - there[place.node]) * slope).sum()))
        else:
            assert value == 0
    assert before == {"nodes": ["x", "t"], "edges": ["x → t", "t → stopped"]}[over]
