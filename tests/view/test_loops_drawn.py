"""Loops in pictures: frames with what an iteration computes, in every form in which a picture is written."""

import re
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import Node, nn
from graphnn.view.diagrams.boxes import picture
from graphnn.view.diagrams.picture import NEXT, BodyScope, Picture

Net = tuple[gn.Graph, Node, Node, dict[Any, Any]]


@pytest.fixture(scope="module")
def net() -> Net:
    """Return a recurrent network of a layer and a product, its loss, what it gives, and a feed."""
    g = gn.Graph("net")
    x, h0 = g.placeholder("x", ("time", "batch", 3)), g.placeholder("h0", ("batch", 4))
    dense, u = nn.Dense(4, rng=np.random.default_rng(0)), g.parameter("u", np.eye(4) / 2)

    def step(h: Node, row: Node) -> tuple[Node, Node]:
        h = gn.tanh(dense(row) + h @ u)
        return h, h * 2.0

    last, outs = gn.scan(step, h0, x)
    loss = gn.sum(last) + gn.mean(outs)
    g.outputs["outs"] = outs
    return g, loss, outs, {x: np.ones((5, 2, 3)), h0: np.zeros((2, 4))}


def lines_between(seen: Picture) -> set[tuple[str, str, str, str]]:
    """Return the edges by what is written on the boxes at their ends."""

    def called(box: Any) -> str:
        return box.title or (box.node.name if box.scope is None else box.scope.path)

    return {(called(edge.tail), called(edge.head), edge.said, edge.taken) for edge in seen.edges}


def test_an_open_loop_is_a_frame_with_one_iteration(net: Net) -> None:
    g, loss, _, _ = net
    seen = picture(loss)
    assert [scope.path for scope in seen.open_scopes()] == ["scan_1", "scan_1@/dense_1"]
    frame = seen.open_scopes()[0]
    assert isinstance(frame, BodyScope)
    assert frame.times == "time"
    inside = [box.title or box.node.op.name for box in seen.boxes if box.around is frame]
    assert inside == ["h0", "x", "matmul", "add", "tanh", "constant", "multiply"]
    names = {node.name for box in seen.boxes for node in box.nodes if node.graph is g}
    assert not {name for name in names if "loop" in name}, "neither the bundle nor its items are boxes"
    of_first = {name for name in names if name.startswith("scan_1/iteration")}
    assert of_first == {"scan_1/iteration/dense_1/weight", "scan_1/iteration/dense_1/bias"}
    assert lines_between(seen) >= {
        ("h0", "h0", "", "first"),
        ("x", "x", "", ""),
        ("tanh", "h0", "", NEXT),
        ("tanh", "sum", "last", ""),
        ("multiply", "mean", "stacked", ""),
        ("u", "matmul", "", ""),
    }


def test_the_rules_for_scopes_say_what_of_a_loop_is_open(net: Net) -> None:
    _, loss, _, _ = net

    def drawn(detail: Any) -> tuple[list[str], list[str]]:
        seen = picture(loss, detail)
        return [scope.path for scope in seen.open_scopes()], [box.scope.path for box in seen.boxes if box.scope]

    assert drawn("op") == (["scan_1", "scan_1@/dense_1"], [])
    assert drawn("layer") == drawn(0) == drawn({"": "op", "scan_1": "layer"}) == ([], ["scan_1"])
    inner = (["scan_1"], ["scan_1@/dense_1"])
    assert drawn("leaf") == drawn(1) == drawn({"": "op", "scan_1/iteration/dense_1": "layer"}) == inner


def test_a_collapsed_loop_is_a_box_that_says_how_often(net: Net) -> None:
    _, loss, _, _ = net
    assert gn.draw(loss, "layer").text().splitlines() == [
        "○    x                                      time × batch × 3",
        "│ ○  h0                                     batch × 4",
        "●─╯  scan_1(h0, x, u) ×time  16 parameters  batch × 4",
        "├─●  sum(last scan_1)                       scalar",
        "● │  mean(stacked scan_1)                   scalar",
        "●─╯  add(sum, mean)                         scalar → fetched",
    ]


def test_an_open_loop_as_text(net: Net) -> None:
    _, loss, _, _ = net
    assert gn.draw(loss).text().splitlines() == [
        "○    x                       time × batch × 3",
        "│ ○  h0                      batch × 4",
        "│ │  scan_1 ×time  16 parameters",
        "│ ○    h0 = h0, then tanh    batch × 4",
        "○ │    x = one row of x      batch × 3",
        "│ │    dense_1  16 parameters",
        "● │      matmul(x, weight)   batch × 4",
        "● │      add(matmul, bias)   batch × 4",
        "│ ●    matmul(h0, u)         batch × 4",
        "●─╯    add(add, matmul)      batch × 4",
        "●      tanh(add)             batch × 4",
        "├─●    multiply(tanh, 2)     batch × 4",
        "● │  sum(last tanh)          scalar",
        "│ ●  mean(stacked multiply)  scalar",
        "●─╯  add(sum, mean)          scalar → fetched",
    ]


def test_dot_svg_and_mermaid_say_the_same(net: Net) -> None:
    _, loss, outs, _ = net
    diagram = gn.draw([loss, outs])
    dot, svg, mermaid = diagram.source, gn.draw([loss, outs], engine="plain").svg(), diagram.mermaid()
    for text in (dot, svg, mermaid):
        for said in ("scan_1 ×time", "carried", "one row", "first", "next", "last", "stacked", "outs"):
            assert said in text, said
    # The edge back is dashed, and does not turn the frame upside down.
    (back,) = [line for line in dot.splitlines() if "headlabel=next" in line]
    assert "constraint=false" in back
    assert "style=dashed" in back
    assert svg.count('stroke-dasharray="5,2.5"') == 1
    head, tail = re.search(r"n(\d+) -> n(\d+)", back).groups()  # type: ignore[union-attr]
    assert int(tail) < int(head)
    assert f'n{head} -->|"next"| n{tail}' in mermaid


def test_the_loop_of_a_gradient_is_a_frame_of_its_pass_and_the_loop_forwards_is_drawn_once(net: Net) -> None:
    g, loss, _, _ = net
    seen = picture([loss, gn.grad(loss, g["u"])])
    frames = {scope.path: scope for scope in seen.open_scopes()}
    assert list(frames) == ["scan_1", "scan_1@/dense_1", "grad", "grad/scan_1"]
    back = frames["grad/scan_1"]
    assert (back.phase, back.times, back.note) == ("backward", "time", "from the last row to the first")
    assert {box.phase for box in seen.boxes if box.around is back} == {"backward"}
    assert ("tanh", "tanh", "stacked", "") in lines_between(seen), "what the loop forwards keeps for it"
    assert "zeros" in gn.draw([loss, gn.grad(loss, g["u"])]).source


def test_loops_in_loops_open_too() -> None:
    g = gn.Graph()
    a, w = g.placeholder("a", ("rows", "columns")), g.parameter("w", 2.0)

    def outer(state: Node, row: Node) -> Node:
        return gn.scan(lambda inner, x: gn.tanh(inner * w + x * state), state, row)[0]

    last, _ = gn.scan(outer, 0.0, a)
    assert gn.draw(last).text().splitlines() == [
        "○      a                              rows × columns",
        "│      scan_1 ×rows",
        "│ ○      state = 0, then last tanh    scalar",
        "○ │      a = one row of a             columns",
        "│ │      scan_1 ×columns",
        "│ ├─○      state = state, then tanh   scalar",
        "○ │ │      a = one row of a           scalar",
        "│ │ ●      multiply(state, w)         scalar",
        "●─╯ │      multiply_2(a, state)       scalar",
        "●───╯      add(multiply, multiply_2)  scalar",
        "●          tanh(add)                  scalar → fetched",
    ]
    assert [box.scope.path for box in picture(last, 1).boxes if box.scope] == ["scan_1@/scan_1"]


def test_two_loops_with_the_same_body_are_two_frames() -> None:
    g = gn.Graph()
    state = g.placeholder("state", ())
    for _ in range(2):
        state, _ = gn.scan(lambda s: s * 2.0, state, length=3)
    seen = picture(state)
    assert [(scope.path, scope.times) for scope in seen.open_scopes()] == [("scan_1", 3), ("scan_2", 3)]  # type: ignore[attr-defined]
    assert lines_between(seen) >= {("multiply", "state", "", NEXT), ("multiply", "state", "last", "first")}


def test_a_state_that_stays_as_it_is_has_no_edge_back() -> None:
    g = gn.Graph()
    _, outs = gn.scan(lambda s, x: (s, s + x), g.placeholder("s", ()), g.placeholder("x", ("n",)))
    seen = picture(outs)
    assert not [edge for edge in seen.edges if edge.taken == NEXT]
    assert "carried, unchanged" in gn.draw(outs).source


def test_the_iteration_that_was_tried_is_not_drawn_with_a_graph_without_outputs() -> None:
    g = gn.Graph()
    gn.scan(lambda s, x: s + x, 0.0, g.placeholder("x", ("n",)))
    assert gn.draw(g).text().count("add(") == 1


def test_what_a_loop_computes_once_is_outside_of_its_frame() -> None:
    g = gn.Graph()
    w = g.parameter("w", np.ones((2, 2)))
    last, _ = gn.scan(lambda s, x: s @ gn.exp(w) + x, np.zeros(2), g.placeholder("x", ("n", 2)))
    (once,) = [box for box in picture(last).boxes if box.node.op.name == "exp"]
    assert once.around is None


@pytest.mark.parametrize("overlay", ["values", "statistics", "gradients", "health", "time", "bytes", "flops"])
def test_overlays_mark_what_is_outside_and_say_nothing_wrong_of_what_is_inside(net: Net, overlay: str) -> None:
    g, loss, _, feed = net
    fetches = [loss, gn.grad(loss, g["u"])]
    read: Any = {"health": gn.check_health}.get(
        overlay, gn.profile if overlay in ("time", "bytes", "flops") else gn.trace
    )
    text = gn.draw(fetches, overlay=overlay, trace=read(fetches, feed)).text(width=140)
    assert "not run" not in text
    if overlay == "values":
        assert re.search(r"tanh\(add\)  \[-?\d", text), "the last value of the state"
    if overlay == "bytes":
        assert re.search(r"tanh\(add\)  \[320 B\]", text), "8 numbers of 8 bytes in each of 5 iterations"


@pytest.mark.parametrize("overlay", ["values", "statistics"])
def test_a_loop_that_is_one_box_shows_an_array_that_it_gives(net: Net, overlay: str) -> None:
    _, loss, outs, feed = net
    text = gn.draw([loss, outs], detail=0, overlay=overlay, trace=gn.trace([loss, outs], feed)).text(width=140)
    assert "no element" not in text
    (line,) = [line for line in text.splitlines() if "scan_1(" in line]
    assert re.search(r"scan_1\(.*\) ×time.*  \[(mean )?-?\d", line)


@pytest.mark.parametrize("overlay", ["values", "gradients"])
def test_the_side_of_a_branch_that_did_not_run_shows_no_numbers(overlay: str) -> None:
    x = gn.Graph().placeholder("x", ())
    y = gn.cond(x > 0.0, lambda: gn.exp(x), lambda: gn.log(x))
    lines = gn.draw(y * 2.0, {x: 0.0}, overlay=overlay).text(width=140).splitlines()
    assert not [line for line in lines if ("exp(x)" in line or "log(x)" in line) and "[" in line]
    (line,) = [line for line in lines if "branch(" in line]
    assert ("[-inf]" if overlay == "values" else "[gradient 2]") in line


@pytest.mark.parametrize("detail", [0, "op"])
@pytest.mark.parametrize("overlay", ["time", "flops", "bytes"])
def test_the_costs_of_a_picture_with_loops_are_those_of_the_run(net: Net, overlay: str, detail: Any) -> None:
    g, loss, _, feed = net
    fetches = [loss, gn.grad(loss, g["u"])]
    trace, profile = gn.trace(fetches, feed), gn.profile(fetches, feed, repeat=1)
    counts = [0.0, 0.0]
    if overlay == "time":
        counts[0] = sum(record.time for record in trace if record.node.inputs)
    elif overlay == "flops":
        counts[1] = sum(cost.flops for cost in profile.by_node)
    else:
        counts = [sum(record.bytes for record in trace), sum(cost.written for cost in profile.by_node)]
    for source, count in zip((trace, profile), counts, strict=True):
        text = gn.draw(fetches, detail, overlay=overlay, trace=source).text(width=140)
        number, unit = re.findall(r", ([\d.]+) (\S+) in all", text)[0]
        scale = {"µs": 1e-6, "ms": 1e-3, "s": 1.0, "kFLOP": 1e3, "KiB": 1024.0}.get(unit, 1.0)
        assert not count or float(number) * scale == pytest.approx(count, rel=0.02)
        assert "not run" not in text
        if source is trace and overlay != "bytes" and detail == "op":
            (tanh,) = [line for line in text.splitlines() if "tanh(add)" in line]
            assert "[" not in tanh, "reading what the loop gives is not computing it"


def test_neighbourhoods_phases_and_ways_go_through_loops(net: Net) -> None:
    g, loss, outs, _ = net
    assert "outs" in gn.draw({"outs": outs}, focus="outs", radius=1).source
    assert "scan_1 ×time" in gn.draw([loss, gn.grad(loss, g["u"])], phases="backward").source
    way = gn.draw(loss, highlight=[outs, g["mean"]]).source
    assert way.count("penwidth=2.6") == 1
    assert gn.draw(loss).animation().count("class=") > 10


def test_a_node_in_an_iteration_is_no_box(net: Net) -> None:
    with pytest.raises(gn.UsageError, match=r'is in an iteration, .* highlight the loop, "scan_1/loop"'):
        gn.draw(net[1], highlight={"scan_1@2/tanh": "warning"})


def test_both_functions_of_a_cond_are_frames_in_it() -> None:
    g = gn.Graph()
    x, flag = g.placeholder("x", ("batch", 3)), g.placeholder("flag", (), bool)
    dense = nn.Dense(3, rng=np.random.default_rng(0))
    y = gn.cond(flag, lambda x: gn.tanh(dense(x)), lambda x: x * 2.0, x)
    assert gn.draw(y).text().splitlines() == [
        "○    x                        batch × 3",
        "│ ○  flag                     scalar · bool",
        "│ │  cond_1  12 parameters",
        "│ ●    branch(flag)           3*batch",
        "│      then  12 parameters",
        "│        dense_1  12 parameters",
        "├─●        matmul(x, weight)  batch × 3",
        "│ ●        add(matmul, bias)  batch × 3",
        "│ ●      tanh(add)            batch × 3 → fetched",
        "│      otherwise",
        "●        multiply(x, 2)       batch × 3 → fetched",
    ]
    assert [box.scope.path for box in picture(y, "layer").boxes if box.scope] == ["cond_1"]
    detail = {"": "op", "cond_1/then/dense_1": "layer"}
    assert [box.scope.path for box in picture(y, detail).boxes if box.scope] == ["cond_1@then@/dense_1"]
    assert [row.name for row in gn.summary(y, 2).rows][-4:] == [
        "cond_1@then@/dense_1",
        "cond_1@then@/tanh",
        "cond_1@otherwise",
        "cond_1@otherwise@/multiply",
    ]
    assert gn.summary(y, sizes={"batch": 10}).flops == 30 * 7 + 30 + 30


def test_a_while_loop_says_the_most_steps_and_what_it_asks() -> None:
    a = gn.Graph().placeholder("a", ())
    bound = gn.while_loop(lambda s: s < 100.0, lambda s: s * a, a, max_steps=20)
    assert "while_1  at most 20 times" in gn.draw(bound).text()
    assert "×" not in gn.draw(bound, "layer").text()
    assert "goes on while True" in gn.draw(bound).source
    free = gn.while_loop(lambda s: s < 100.0, lambda s: s * a, a)
    assert "×" not in gn.draw(free, "layer").text()
    assert gn.summary(free, sizes={}).flops == 1 + 2, "the first question and one step: how many there are is not known"


def test_a_fixed_point_is_a_frame() -> None:
    g = gn.Graph()
    w, b = g.parameter("w", np.eye(3) * 0.3), g.placeholder("b", (3,))
    z = gn.fixed_point(lambda z: gn.tanh(w @ z + b), g.constant(np.zeros(3)))
    assert ("tanh", "state", "", NEXT) in lines_between(picture(z))
    assert gn.draw(gn.grad(gn.sum(z), w)).text().count("fixed_point_1  at most 1000 times") == 2


def test_what_the_health_check_finds_in_an_iteration_is_marked_in_the_body() -> None:
    x = gn.Graph().placeholder("x", ("time",))
    last, _ = gn.scan(lambda h, row: gn.tanh(h + gn.log(row)), 0.0, x)
    health = gn.check_health(last, {x: [1.0, 2.0, -1.0]})
    (line,) = [line for line in gn.draw(last, overlay=health).text(width=120).splitlines() if " log(" in line]
    assert line.startswith("✗")
    assert "error: log-of-negative" in line
