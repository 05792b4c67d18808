"""Loops on the replay page: which iterations it keeps, and that the values are those of iterations written out."""

from typing import Any

import numpy as np
import pytest
from test_replay import Unpacked, place_of, unpacked

import graphnn as gn
from graphnn import Node, nn
from graphnn.pages.replay.replayed_iterations import rows_kept

B, N, H = 2, 3, 4
Array = np.ndarray[Any, np.dtype[Any]]


def network(length: int, width: int = H) -> tuple[gn.Graph, Node, dict[Any, Any]]:
    g = gn.Graph("loop")
    x, h0 = g.placeholder("x", ("time", "batch", N)), g.placeholder("h0", ("batch", width))
    dense, u = nn.Dense(width, rng=np.random.default_rng(0)), g.parameter("u", np.eye(width) / 2)

    def step(h: Node, row: Node) -> tuple[Node, Node]:
        h = gn.tanh(dense(row) + h @ u)
        return h, h * 2.0

    last, outs = gn.scan(step, h0, x)
    g.outputs["loss"] = loss = gn.sum(last * last) + gn.mean(outs)
    return g, loss, {x: np.random.default_rng(1).normal(size=(length, B, N)), h0: np.zeros((B, width))}


def value_in(page: Unpacked, loop: int, slot: int, name: str, run: int = 0) -> Array:
    at = page.data["loops"][loop]["names"].index(name)
    entry = page.data["values"][page.data["runs"][run]["loops"][loop]["values"][slot][at]]
    return page.arrays[entry["data"]].reshape(entry["shape"])


@pytest.fixture(scope="module")
def seen() -> tuple[Unpacked, gn.Graph, dict[Any, Any]]:
    g, loss, feed = network(7)
    return unpacked(gn.trace([loss, gn.grad(loss, g["u"])], feed).to_html()), g, feed


def test_the_values_of_all_iterations_are_those_written_out(seen: tuple[Unpacked, gn.Graph, dict[Any, Any]]) -> None:
    page, g, feed = seen
    x, h = feed[g["x"]], feed[g["h0"]]
    weight, bias = (g[f"scan_1/iteration/dense_1/{name}"].value for name in ("weight", "bias"))
    told = page.data["runs"][0]["loops"][0]
    assert (told["count"], told["rows"], told["at"]) == (7, list(range(7)), list(range(7)))
    for t in range(7):
        np.testing.assert_array_equal(value_in(page, 0, t, "h0"), h)
        np.testing.assert_array_equal(value_in(page, 0, t, "x"), x[t])
        h = np.tanh(x[t] @ weight + bias + h @ g["u"].value)
        np.testing.assert_allclose(value_in(page, 0, t, "tanh"), h, rtol=1e-15)
        np.testing.assert_allclose(value_in(page, 0, t, "multiply"), 2 * h, rtol=1e-15)


def test_a_gradient_goes_back_through_the_rows(seen: tuple[Unpacked, gn.Graph, dict[Any, Any]]) -> None:
    page, _, feed = seen
    told = page.data["runs"][0]["loops"][1]
    assert (page.data["loops"][1]["title"], told["rows"], told["at"]) == (
        "grad/scan_1",
        [6, 5, 4, 3, 2, 1, 0],
        list(range(7)),
    )
    np.testing.assert_array_equal(value_in(page, 1, 2, "tanh"), value_in(page, 0, 4, "tanh"))
    g2, loss, _ = network(7)
    expected = gn.run(gn.grad(loss, g2["u"]), {node.name: value for node, value in feed.items()})
    total = value_in(page, 1, 6, "sum") + value_in(page, 1, 6, "grad/matmul_2")
    np.testing.assert_allclose(total, expected, rtol=1e-12)


def test_items_lead_into_the_body_and_loops_are_no_nodes(seen: tuple[Unpacked, gn.Graph, dict[Any, Any]]) -> None:
    page, _, _ = seen
    nodes = page.data["nodes"]
    assert not {"loop", "loop_item"} & set(nodes["op"])
    last, tanh = place_of(page, "scan_1/loop_item"), place_of(page, "scan_1@0/tanh")
    assert (nodes["op"][last], nodes["inputs"][last]) == ("last", [tanh])
    carried, row = place_of(page, "scan_1@0/h0"), place_of(page, "scan_1@0/x")
    assert [nodes["kind"][at] for at in (carried, row)] == ["carried", "one row"]
    assert nodes["inputs"][row] == [place_of(page, "x")]
    assert [carried, tanh] in page.data["loops"][0]["before"]
    back = [place for place, name in enumerate(nodes["name"]) if name.startswith("grad/scan_1@0/")]
    assert {nodes["phase"][place] for place in back} == {1}
    for view in page.data["views"]:
        assert all(view["boxes"]), "each box has something to show"
    assert {view.get("opens") for view in page.data["views"]} >= {"scan_1", "scan_1@/dense_1", "grad/scan_1"}
    assert page.data["dim"] == "batch", "samples do not lie along what the loop goes along"


def test_equations_of_a_node_are_known_in_each_iteration(seen: tuple[Unpacked, gn.Graph, dict[Any, Any]]) -> None:
    page, _, _ = seen
    for loop, told in zip(page.data["loops"], page.data["runs"][0]["loops"], strict=True):
        for place, *numbers in zip(loop["places"], *told["rules"], strict=True):
            computed = not page.data["nodes"]["kind"][place]
            assert all((number >= 0) == computed for number in numbers)
            for number in numbers:
                assert number < 0 or len(page.data["rules"][number]) == len(page.data["nodes"]["inputs"][place])


def test_long_loops_keep_some_iterations_and_the_page_stays_small() -> None:
    _, loss, feed = network(1000, 32)
    page = gn.trace(loss, feed).to_html()
    assert len(page.html) < 6_000_000
    told = page.data["runs"][0]["loops"][0]
    assert told["count"] == 1000
    assert told["rows"][:2] == [0, 1]
    assert told["rows"][-1] == 999
    assert 50 < len(told["rows"]) <= 258
    assert told["at"] == told["rows"]


def test_rows_that_were_found_are_kept() -> None:
    assert rows_kept(range(1000), [137], 10**6, 10) == [0, 1, 137, 334, 667, 999]
    assert rows_kept(range(99, -1, -1), [], 10**9, 10)[:2] == [99, 98]
    assert rows_kept([], [], 1, 1) == []


def test_films_have_the_iterations_of_each_step() -> None:
    g, loss, feed = network(3)
    step = gn.compile(loss, nn.SGD(0.1).updates(loss))
    with gn.recording(step) as film:
        step(feed)
        step({g["x"]: feed[g["x"]][:2], g["h0"]: feed[g["h0"]]})
    page = unpacked(film.to_html())
    assert [run["loops"][0]["count"] for run in page.data["runs"]] == [3, 2]
    first, second = (value_in(page, 0, 1, "tanh", run) for run in (0, 1))
    assert not np.array_equal(first, second)


def branching() -> tuple[gn.Graph, list[Node], dict[Any, Any]]:
    """A branch of which each side has a layer, its gradient, and what both read."""
    g = gn.Graph("branch")
    x, flag = g.placeholder("x", ("batch", N)), g.placeholder("flag", (), bool)
    one, other = (nn.Dense(2, rng=np.random.default_rng(seed)) for seed in (0, 1))
    h = gn.sin(x)
    y = gn.cond(flag, lambda: gn.tanh(one(h)), lambda: other(h) * gn.exp(x[:, :2]))
    g.outputs["loss"] = loss = gn.mean(y * y)
    return g, [loss, gn.grad(loss, x)], {x: np.random.default_rng(2).normal(size=(B, N)), flag: True}


def sides(page: Unpacked, run: int = 0) -> dict[str, list[int]]:
    """Return which sides a run has taken: [0] for taken."""
    told = zip(page.data["loops"], page.data["runs"][run]["loops"], strict=True)
    return {f"{loop['title']}@{loop['side']}": each["rows"] for loop, each in told}


@pytest.mark.parametrize("flag", [True, False])
def test_the_side_of_a_branch_that_was_taken_has_the_values_of_the_trace_and_the_other_none(flag: bool) -> None:
    g, fetches, feed = branching()
    trace = gn.trace(fetches, feed | {g["flag"]: flag})
    page = unpacked(trace.to_html())
    then, otherwise = ([0], []) if flag else ([], [0])
    assert sides(page) == {
        "cond_1@then": then,
        "cond_1@otherwise": otherwise,
        "grad/cond_1@then": then,
        "grad/cond_1@otherwise": otherwise,
    }
    nodes, values = page.data["nodes"], page.data["runs"][0]["values"]
    taken, left = ("then", "otherwise") if flag else ("otherwise", "then")
    seen = 0
    for place, name in enumerate(nodes["name"]):
        if f"cond_1@{left}/" in name:
            assert values[place] < 0
        elif f"cond_1@{taken}/" in name:
            entry = page.data["values"][values[place]]
            np.testing.assert_array_equal(page.arrays[entry["data"]].reshape(entry["shape"]), trace[name].value)
            seen += 1
    assert seen > 6


def test_what_a_branch_gives_is_read_from_the_flag_and_both_sides() -> None:
    _, fetches, feed = branching()
    page = unpacked(gn.trace(fetches, feed).to_html())
    nodes, item = page.data["nodes"], place_of(page, "cond_1/loop_item")
    ends = [place_of(page, "cond_1@then/tanh"), place_of(page, "cond_1@otherwise/multiply")]
    assert (nodes["op"][item], nodes["inputs"][item]) == ("chosen", [place_of(page, "flag"), *ends])
    assert nodes["inputs"][place_of(page, "cond_1/branch")] == [place_of(page, "flag")]
    assert nodes["inputs"][place_of(page, "cond_1@then/dense_1/matmul")][0] == place_of(page, "sin")
    for view in page.data["views"]:
        assert all(view["boxes"]), "each box has something to show"


def test_the_runs_of_a_page_may_take_different_sides() -> None:
    g, fetches, feed = branching()
    other = feed | {g["flag"]: False}
    page = unpacked(gn.trace(fetches, feed).to_html(beside=gn.trace(fetches, other)))
    assert [sides(page, run)["cond_1@then"] for run in (0, 1)] == [[0], []]
    step = gn.compile(fetches)
    with gn.recording(step) as film:
        step(other)
        step(feed)
    page = unpacked(film.to_html())
    assert [sides(page, run)["cond_1@then"] for run in (0, 1)] == [[], [0]]
    assert [sides(page, run)["grad/cond_1@otherwise"] for run in (0, 1)] == [[0], []]


@pytest.mark.parametrize("inside", ["a loop", "a branch"])
def test_a_run_that_fails_inside_a_body_stops_at_the_node_that_failed(inside: str) -> None:
    g = gn.Graph()
    scores, labels = g.placeholder("scores", ("n", 3)), g.placeholder("labels", ("n",), np.int64)
    if inside == "a loop":
        y, _ = gn.scan(lambda s, row: s + gn.pick(gn.exp(row[0]), row[1]), 0.0, (scores, labels))
        name = "scan_1@1/pick"
    else:
        flag = gn.sum(scores) > 0.0
        y = gn.cond(flag, lambda: gn.sum(gn.pick(gn.exp(scores), labels)), lambda: gn.sum(scores))
        name = "cond_1@then/pick"
    with pytest.raises(gn.LabelError) as failed:
        gn.run(y * 2.0, {scores: np.ones((2, 3)), labels: [0, 7]})
    page = unpacked(failed.value.debug().to_html())
    place = place_of(page, name.replace("@1", "@0"))
    assert (page.data["runs"][0]["stopped"], page.data["opening"]["place"]) == (place, place)
    assert page.data["opening"]["says"].startswith(name)


def test_a_long_loop_in_which_much_was_found_stops_where_it_failed() -> None:
    g = gn.Graph()
    scores, labels = g.placeholder("scores", ("n", 2)), g.placeholder("labels", ("n",), np.int64)
    y, _ = gn.scan(lambda s, row: s + 0.0 * gn.sum(gn.log(row[0])) + gn.pick(*row), 0.0, (scores, labels))
    with pytest.raises(gn.LabelError) as failed:
        gn.run(y, {scores: np.zeros((120, 2)), labels: [0] * 119 + [7]})
    run = (page := unpacked(failed.value.debug().to_html())).data["runs"][0]
    assert len(run["findings"]) == 200
    assert (run["stopped"], run["findings"][-1]["iteration"]) == (place_of(page, "scan_1@0/pick"), 119)
    assert 119 in run["loops"][0]["rows"]


def test_loops_in_loops_and_branches_are_shown_as_one_node() -> None:
    g = gn.Graph()
    a = g.placeholder("a", ("rows", "columns"))

    def outer(state: Node, row: Node) -> Node:
        inner = gn.scan(lambda s, x: gn.tanh(s + x), state, row)[0]
        return gn.cond(inner > 0.0, lambda: inner * 2.0, lambda: inner - 1.0)

    page = unpacked(gn.trace(gn.scan(outer, 0.0, a)[0], {a: np.ones((3, 2))}).to_html())
    (loop,) = page.data["loops"]
    assert {"scan_1/loop", "cond_1/branch"} <= set(loop["names"])
    assert page.data["runs"][0]["loops"][0]["count"] == 3
    h = 0.0
    for t in range(3):
        for _ in range(2):
            h = np.tanh(h + 1.0)
        np.testing.assert_allclose(value_in(page, 0, t, "scan_1/loop_item"), h, rtol=1e-15)
        h = 2 * h


def test_the_page_opens_at_a_finding_in_an_iteration() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("time", 2))
    last, _ = gn.scan(lambda h, row: gn.tanh(h + gn.log(row)), np.zeros(2), x)
    values = np.ones((200, 2))
    values[137, 1] = -1.0
    page = unpacked(gn.trace(gn.sum(last), {x: values}).to_html())
    opening = page.data["opening"]
    assert (opening["loop"], opening["iteration"], opening["cell"]) == (0, 137, 1)
    assert page.data["nodes"]["op"][opening["place"]] == "log"
    assert "scan_1@137/log[1] = nan" in opening["says"]
    slot = page.data["runs"][0]["loops"][0]["rows"].index(137)
    assert np.isnan(value_in(page, 0, slot, "log")[1])


def test_a_while_loop_has_the_steps_that_it_took_though_the_graph_has_more() -> None:
    g = gn.Graph()
    a = g.placeholder("a", ())
    g.parameter("unused", 1.0)
    page = unpacked(gn.trace(gn.while_loop(lambda s: s < 100.0, lambda s: s * a, a), {a: 3.0}).to_html())
    assert page.data["runs"][0]["loops"][0]["count"] == 4
    assert [float(value_in(page, 0, slot, "multiply")) for slot in range(4)] == [9.0, 27.0, 81.0, 243.0]


def test_runs_of_loops_stand_side_by_side() -> None:
    _, loss, feed = network(7)
    changed = {node: value.copy() for node, value in feed.items()}
    next(iter(changed.values()))[5, 1, 2] += 0.25
    page = unpacked(gn.trace(loss, feed).to_html(beside=gn.trace(loss, changed)))
    pair = page.data["pair"]
    assert (pair["first"], pair["cell"]) == (place_of(page, "x"), np.ravel_multi_index((5, 1, 2), (7, B, N)))
    tanh = page.data["loops"][0]["places"][page.data["loops"][0]["names"].index("tanh")]
    apart = max(np.abs(value_in(page, 0, t, "tanh") - value_in(page, 0, t, "tanh", run=1)).max() for t in range(7))
    assert dict(pair["differences"])[tanh] == pytest.approx(apart)
    shorter = {node: value[:4] if value.ndim == 3 else value for node, value in feed.items()}
    page = unpacked(gn.trace(loss, feed).to_html(beside=gn.trace(loss, shorter)))
    assert [run["loops"][0]["count"] for run in page.data["runs"]] == [7, 4]


def test_two_runs_open_at_the_iteration_in_which_they_part() -> None:
    def run(slope: float) -> gn.Trace:
        xs = gn.Graph("loop").placeholder("xs", ("time",))
        last, _ = gn.scan(lambda h, x: gn.maximum(h + x, slope * (h + x)), np.zeros(()), xs)
        return gn.trace(last, {xs: [1.0, 2.0, -5.0, 1.0]})

    page = unpacked(run(0.5).to_html(beside=run(0.25)))
    opening, pair = page.data["opening"], page.data["pair"]
    assert (opening["place"], opening["iteration"]) == (pair["first"], pair["iteration"])
    assert f"first at scan_1@{pair['iteration']}/" in opening["says"]


def test_what_is_found_beside_a_loop_is_told_too() -> None:
    xs = gn.Graph("loop").placeholder("xs", ("time",))
    last, _ = gn.scan(lambda h, x: h + x, np.zeros(()), xs)
    page = unpacked(gn.trace(gn.log(last), {xs: [1.0, -1.0]}).to_html())
    assert [finding["place"] for finding in page.data["runs"][0]["findings"]] == [place_of(page, "log")]
    assert page.data["opening"]["says"].startswith("log = -inf")


def test_a_run_that_failed_after_a_loop_says_why() -> None:
    g = gn.Graph("loop")
    xs, labels = g.placeholder("xs", ("time", 3)), g.placeholder("labels", (), dtype=np.int64)
    last, _ = gn.scan(lambda h, x: h + x, np.zeros(3), xs)
    with pytest.raises(gn.LabelError) as failed:
        gn.run(gn.pick(last, labels), {xs: np.ones((2, 3)), labels: 7})
    page = unpacked(failed.value.debug().to_html())
    assert "label 7" in page.data["opening"]["says"]
    assert page.data["opening"]["place"] == place_of(page, "pick")
    assert "label 7" in page.data["runs"][0]["error"]
