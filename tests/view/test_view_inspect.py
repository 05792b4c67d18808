"""Traces and debuggers as text, and errors drawn: what is said is so, fits, and no name commands the terminal."""

import re
import unicodedata
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import Graph, Node, nn
from graphnn.core import Unbuilt
from graphnn.debugger.traces import stopped_trace
from graphnn.demo import build
from graphnn.errors import GraphnnError, UsageError
from graphnn.view import listing, matrix, neighbourhood, screen, trace_table, where
from graphnn.view.tables.trace_table import LEGEND, cut, records_table

BAD_NAMES = [
    "</script>",
    "\x1b[31mred\x1b[0m",
    "a\nb",
    "\u202edrow",
    'a" onload="x',
    "<b>x</b>",
    "long" * 2500,
    "層" * 50,
    "",
]


def spiral() -> tuple[gn.Compiled, dict[Any, Any]]:
    fetches, feed = build()
    loss = fetches["loss"]
    return gn.compile(loss, updates=nn.Adam(0.02).updates(loss)), feed


def debugger() -> gn.Debugger:
    step, feed = spiral()
    return gn.debug(step, feed, echo=None)


def wide(text: str) -> int:
    return max(
        sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)
        for line in text.split("\n")
    )


def harmless(text: str) -> None:
    assert all(c.isprintable() or c == "\n" for c in text)


# --- traces ---------------------------------------------------------------------------------------------------


def test_a_trace_prints_as_a_table_of_80_columns() -> None:
    step, feed = spiral()
    trace = gn.trace(step, feed)
    text = str(trace)
    assert text == trace_table(trace)
    assert wide(text) <= 80
    lines = text.split("\n")
    assert len(lines) == len(trace) + 4
    assert lines[-1].startswith("101 operations in 146 nodes, ")


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_the_wider_the_table_the_more_it_tells(width: int) -> None:
    step, feed = spiral()
    trace = gn.trace(step, feed)
    text = trace_table(trace, width)
    assert width < 60 or wide(text) <= width
    heads = text.split("\n")[0].split()
    every = ["node", "op", "shape", "min", "mean", "max", "std", "zeros", "time", "bytes", "origin"]
    assert heads == [head for head in every if head in heads]
    assert {"node", "min", "max"} <= set(heads)
    assert ("op" in heads) == (width >= 60)
    assert ("shape" in heads) == (width >= 80)
    assert ("zeros" in heads) == (width >= 100)
    assert (heads == every) == (width == 200)
    assert set(heads) <= set(trace_table(trace, width + 20).split("\n")[0].split())


def test_the_table_has_numpys_statistics() -> None:
    g = Graph()
    x = g.placeholder("x", shape=(3, 4))
    value = np.arange(12.0).reshape(3, 4)
    value[0, :3] = np.nan, np.inf, -np.inf
    lines = trace_table(gn.trace(x * 2.0, {x: value}), width=120).split("\n")
    spans = [match.span() for match in re.finditer("-+", lines[1])]
    told = {lines[0][a:b].strip(): lines[2][a:b].strip() for a, b in spans}
    finite = value[np.isfinite(value)]
    for name, number in {"min": finite.min(), "mean": finite.mean(), "max": finite.max(), "std": finite.std()}.items():
        assert float(told[name]) == pytest.approx(number, rel=1e-3)
    assert [told[head] for head in ("NaN", "+inf", "-inf", "shape")] == ["1", "1", "1", "3 × 4"]


def test_columns_of_what_there_is_none_of_are_left_out() -> None:
    g = Graph()
    x = g.placeholder("x")
    heads = trace_table(gn.trace(-x, {x: 1.0}), 120).split("\n")[0].split()
    assert "NaN" not in heads
    assert "zeros" not in heads


def test_at_80_columns_the_operations_and_what_is_not_finite_are_told_before_the_mean() -> None:
    x = Graph().placeholder("a_placeholder_with_a_name", shape=(3, 300))
    value = np.linspace(-1.2345, 1.2345, 900).reshape(3, 300)
    value[0, :3] = np.nan, np.inf, -np.inf
    text = trace_table(gn.trace(gn.add_along_axis(x, np.zeros((3, 300), int), (3, 300)), {x: value}))
    assert wide(text) <= 80
    assert text.split("\n")[0].split() == ["node", "op", "shape", "min", "max", "NaN", "+inf", "-inf"]


def test_some_records_are_a_table_of_the_same_columns() -> None:
    step, feed = spiral()
    trace = gn.trace(step, feed)
    lines = records_table(trace.select(op="relu"), 200).split("\n")
    assert lines[0].split() == trace_table(trace, 200).split("\n")[0].split()
    assert [line.split()[:2] for line in lines[2:]] == [["6", "relu_1"]]
    heads = records_table([]).split("\n")[0].split()
    assert heads == ["node", "op", "shape", "min", "mean", "max", "std", "time", "bytes", "origin"]


def test_a_long_trace_is_cut_in_the_middle() -> None:
    x = y = Graph().placeholder("x")
    for _ in range(1000):
        y = -y
    lines = str(gn.trace(y, {x: 1.0})).split("\n")
    assert len(lines) == 405
    assert "… 601 more …" in lines[302]
    assert lines[301].split()[0] == "299"
    assert lines[303].split()[0] == "901"
    assert lines[-1].startswith("1,000 operations in 1,001 nodes")


def test_a_trace_that_was_stopped_says_where_and_why() -> None:
    g = Graph()
    n = g.placeholder("n", dtype=np.int64)
    with pytest.raises(ZeroDivisionError) as caught:
        gn.run(-(10 // n), {n: 0})
    trace = stopped_trace(caught.value)
    text = str(trace)
    assert 'stopped at "floor_divide":\n' in text
    assert "an integer is divided by 0" in text


# --- where a debugger is --------------------------------------------------------------------------------------


def test_where_says_what_has_run_and_what_is_next() -> None:
    dbg = debugger()
    assert where(dbg) == "before the first of 101 operations; next: dense_1/matmul (demo.py:35)"
    dbg.step(2)
    assert where(dbg) == "after dense_1/add, 2 of 101 operations; next: relu_1 (demo.py:35)"
    dbg.resume()
    assert where(dbg) == "after adam_1/dense_2/bias/subtract, the last of 101 operations"


def test_where_says_which_run_it_is_in() -> None:
    dbg = debugger()
    dbg.step(2)
    dbg["dense_1/bias"] = np.ones(16)
    assert where(dbg).split("\n")[1] == "in what-if 1: dense_1/bias is overridden"
    dbg["dense_1/weight"] = np.ones((2, 16))
    assert where(dbg).split("\n")[1] == "in what-if 2: dense_1/weight, dense_1/bias are overridden"
    dbg.use("run")
    assert "\n" not in where(dbg)


def test_where_says_what_could_not_be_evaluated() -> None:
    dbg = failed()
    text = where(dbg, 200)
    assert text.split("\n")[1].startswith('while evaluating "categorical_crossentropy_1/pick" (')
    assert wide(where(dbg, 50)) <= 50
    assert dbg.failed is dbg.graph["categorical_crossentropy_1/pick"]
    dbg.back()
    assert dbg.failed is None


def failed() -> gn.Debugger:
    fetches, feed = build()
    feed = {node: value + 1 if node.name == "labels" else value for node, value in feed.items()}
    with pytest.raises(IndexError) as caught:
        gn.run(fetches["loss"], feed)
    dbg = caught.value.debug()  # type: ignore[attr-defined]
    assert isinstance(dbg, gn.Debugger)
    return dbg


def test_of_a_guard_the_node_is_the_current_one_and_did_not_fail() -> None:
    g = Graph()
    x = g.placeholder("x")
    step = gn.compile(-gn.log(x), guard="nan")
    with pytest.raises(ValueError, match="is NaN") as caught:
        step({x: -1.0})
    dbg = caught.value.debug()  # type: ignore[attr-defined]
    assert dbg.current is g["log"]
    assert dbg.failed is None
    assert where(dbg).split("\n")[1].startswith('"log" (log, made at')


# --- listing --------------------------------------------------------------------------------------------------


def states(text: str) -> dict[str, str]:
    found = {}
    for line in text.split("\n"):
        match = re.match(r"(?:-->)? *(?:\d+)?  ?([DCSOFW])  (\S+)", line)
        if match:
            found[match[2]] = match[1]
    return found


def test_the_letters_are_the_states() -> None:
    dbg = debugger()
    dbg.until("softmax_1/max")
    told = states(listing(dbg, around=100))
    assert len(told) > 50
    for name, letter in told.items():
        if "…" not in name:
            assert letter == dbg.state(name)[0].upper(), name
    assert {"D", "C", "F", "W"} == set(told.values())
    assert all(f"{state[0].upper()} {state}" in LEGEND for state in ("done", "stale", "overridden"))


def test_stale_and_overridden_nodes() -> None:
    dbg = debugger()
    dbg.until("softmax_1/max")
    dbg.back(3)
    dbg["relu_1"] = np.ones((300, 16))
    told = states(listing(dbg, around=10))
    assert told["relu_1"] == "O"
    assert told["dense_2/add"] == "S"
    assert told["dense_1/add"] == "D"


def test_the_arrow_is_before_the_current_node_or_before_all() -> None:
    dbg = debugger()
    lines = listing(dbg).split("\n")
    (at,) = [i for i, line in enumerate(lines) if line.startswith("-->")]
    assert lines[at].endswith("nothing has run yet")
    assert "dense_1/matmul" in lines[at + 1]
    dbg.step(5)
    (line,) = [line for line in listing(dbg).split("\n") if line.startswith("-->")]
    assert line.split()[1:4] == ["5", "C", dbg.current.name]  # type: ignore[union-attr]


def test_the_number_is_the_one_that_goto_takes() -> None:
    dbg = debugger()
    dbg.step(20)
    for number, name in re.findall(r"^(?:-->)? +(\d+)  [DC]  (\S+)", listing(dbg, width=120), re.MULTILINE):
        dbg.goto(int(number))
        assert dbg.current is dbg.graph[name]


def test_a_run_of_what_is_given_only() -> None:
    x = Graph().placeholder("x")
    dbg = gn.debug(x, {x: 2.0})
    assert where(dbg) == "there is nothing to compute"
    assert "-->" in listing(dbg)
    assert "x" in screen(dbg)
    assert "└" in neighbourhood(dbg)


def test_values_in_short() -> None:
    g = Graph()
    x = g.placeholder("x", shape=(5,))
    dbg = gn.debug(gn.stack([x > 1, gn.isnan(x)]), {x: [0, 1, 2, np.nan, np.inf]})
    dbg.resume()
    text = listing(dbg, width=120)
    assert "0 to 2; 1 NaN; 1 inf" in text
    assert "true 2 of 5" in text


# --- screen and neighbourhood -------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_every_line_fits(width: int) -> None:
    for dbg in (debugger(), failed()):
        for position in range(0, len(dbg.operations), 9):
            if not dbg.error:
                dbg.goto(position)
            for text in (
                where(dbg, width),
                listing(dbg, 5, width),
                screen(dbg, width),
                neighbourhood(dbg, None, width),
            ):
                assert wide(text) <= width
                harmless(text)


def test_colour_changes_nothing_but_the_colours() -> None:
    dbg = debugger()
    dbg.until("relu_1")
    plain, coloured = listing(dbg), listing(dbg, colour=True)
    assert coloured != plain
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain
    assert "\x1b[1m-->" in coloured
    assert re.sub(r"\x1b\[[\d;]+m", "", screen(dbg, colour=True)).split("\n\n")[:2] == screen(dbg).split("\n\n")[:2]


def test_the_screen_shows_value_and_source() -> None:
    dbg = debugger()
    dbg.until("relu_1")
    text = screen(dbg)
    assert "relu_1 = relu(dense_1/add), 300 × 16 float64" in text
    assert "demo.py:35: probabilities = network(x)" in text
    assert str(dbg) == text
    dbg.until("categorical_crossentropy_1/mean")
    assert "categorical_crossentropy_1/mean = 1.099 = (1.099 + " in screen(dbg)


def test_the_screen_of_a_failure_shows_the_operands() -> None:
    text = screen(failed())
    assert "could not be evaluated" in text
    assert re.search(r"├─ 1  F  labels +placeholder  300 +1 to 3", text)


def test_neighbours_are_those_of_the_graph() -> None:
    dbg = debugger()
    dbg.until("softmax_1/exp")
    text = neighbourhood(dbg, "dense_1/matmul", width=120)
    above, below = text.split("▼")
    assert re.findall(r"─ (\d)  F  (\S+)", above) == [("0", "x"), ("1", "dense_1/weight")]
    assert re.findall(r"►  D  (\S+)", below) == [user.name for user in dbg.users("dense_1/matmul")]
    assert "▼" not in neighbourhood(dbg, "x")


def test_of_many_neighbours_some_are_counted() -> None:
    g = Graph()
    x = g.placeholder("x")
    y = gn.stack([x + float(i) for i in range(30)])
    dbg = gn.debug(y, {x: 0.0})
    assert "… 22 more" in neighbourhood(dbg, y)
    assert "… 22 more" in neighbourhood(dbg, x)


@pytest.mark.parametrize("name", BAD_NAMES, ids=range(len(BAD_NAMES)))
def test_no_name_commands_the_terminal(name: str) -> None:
    g = Graph(name or "g")
    x = g.placeholder(name, shape=("n",))
    with g.scope(name or "scope"):
        y = gn.exp(x, name="in" + name)
    g.outputs["out" + name] = y
    dbg = gn.debug([-y], {x: [1.0, 2.0]}, echo=None)
    seen = gn.trace([-y], {x: [1.0, np.nan]})
    for text in (trace_table(seen), trace_table(seen, 120)):
        harmless(text)
        assert wide(text) <= 120
    for _ in range(3):
        for text in (where(dbg), listing(dbg), screen(dbg), neighbourhood(dbg), neighbourhood(dbg, x)):
            harmless(text)
            assert wide(text) <= 80
        if not dbg.finished:
            dbg.step()
    dbg.what_if(x, [3.0, 4.0], name="another" + name)
    harmless(where(dbg))


# --- errors drawn ---------------------------------------------------------------------------------------------


def box(source: str, words: str) -> str:
    (line,) = [line for line in source.split("\n") if words in line and re.match(r"\s*n\d+ \[", line)]
    return line


def error_of(make: Any) -> GraphnnError:
    with pytest.raises(GraphnnError) as caught:
        make()
    return caught.value


def network() -> tuple[Node, Node]:
    g = Graph("model")
    x = g.placeholder("x", shape=("batch", 2))
    h = nn.ReLU()(nn.Dense(64)(x))
    return h, g.parameter("w", np.ones((3, 4)))


def in_one_line(box: str) -> str:
    """Return the DOT of a box with the lines of its label joined."""
    return box.replace('</font><br/><font point-size="8">', " ")


def test_a_misfit_is_drawn_with_what_was_built() -> None:
    h, w = network()
    error = error_of(lambda: h @ w)
    assert error.stopped == Unbuilt(gn.ops.linalg.Matmul(), (h, w), "")
    diagram = error.draw()
    assert repr(diagram) == '<Diagram of "model": 8 boxes, 7 edges>'
    line = box(diagram.source, "could not be made")
    assert "shape=octagon" in line
    assert "penwidth=2.5" in line
    assert "matmul cannot multiply (batch, 64) by (3, 4): axis 1 of operand 0 is 64, axis 0 of operand 1 is 3" in (
        in_one_line(line)
    )
    number = line.split()[0]
    assert len(re.findall(rf"-> {number} ", diagram.source)) == 2
    assert "penwidth=2.2" not in diagram.source  # the operands are no fetches
    assert len(h.graph) == 7  # nothing was made
    assert [user.op.name for user in h.users] == []


def test_a_misfit_in_a_scope_is_drawn_in_it() -> None:
    h, w = network()
    with h.graph.scope("head"):
        first = -h
        error = error_of(lambda: first @ w)
    assert error.stopped.scope == "head"
    body = error.draw().source
    assert re.search(r"subgraph cluster_\d+ \{[^}]*could not be made", body, re.DOTALL)


def test_what_a_loss_a_metric_or_a_layer_refuses_is_drawn_too() -> None:
    h, _ = network()
    y = h.graph.placeholder("y", shape=("batch", 3))
    for make, name, words, places in (
        (lambda: nn.mean_squared_error(h, y), "mean_squared_error", "axis 1 of operand 1 is 3", ["0", "1"]),
        (lambda: nn.accuracy(h, y), "accuracy", "axis 1 of operand 1 is 3", ["0", "1"]),
        (lambda: nn.mean_squared_error(np.ones((2, 3)), h), "mean_squared_error", "axis 1 of operand 1 is 64", ["1"]),
        (lambda: nn.Dense(3, weight=np.ones((5, 3)))(h), "Dense", "axis 0 of the weight is 5", ["0"]),
        (lambda: nn.accuracy(h, [[1], [2]]), "accuracy", "gn.squeeze(labels, -1) removes the last axis", ["0"]),
    ):
        diagram = error_of(make).draw()
        line = box(diagram.source, f"<b>{name}</b>")
        assert "shape=octagon" in line
        assert words in in_one_line(line)
        assert len(re.findall(rf"-> {line.split()[0]} ", diagram.source)) == len(places)
        (failed,) = {edge.head for edge in diagram._picture.edges if edge.head.node.op.name == name}
        assert [str(edge.position) for edge in diagram._picture.edges if edge.head is failed] == places
        assert "relu" in diagram.text()
        assert f" {name}(" in diagram.text()
    assert len(h.graph) == 8  # nothing was made


def test_what_a_layer_in_a_layer_refuses_is_drawn_in_its_scope() -> None:
    class Twice(nn.Layer):
        def call(self, x: Node) -> Any:
            return nn.Dense(3, weight=np.ones((5, 3)))(gn.exp(x))

    h, _ = network()
    error = error_of(lambda: Twice()(h))
    assert (error.stopped.scope, error.stopped.op.name) == ("twice_1", "Dense")
    assert re.search(r"subgraph cluster_\d+ \{[^}]*could not be made", error.draw().source, re.DOTALL)


def test_of_what_could_not_be_made_neither_shape_nor_dtype_are_told() -> None:
    g = Graph("model")
    x, w = g.placeholder("x", shape=("batch", 4)), g.parameter("w", np.ones((3, 5)))
    diagram = error_of(lambda: gn.where(x > 0, x, w)).draw()
    assert 'tooltip="where&#10;Where() ?&#10;made at' in box(diagram.source, "could not be made")
    (row,) = [line for line in diagram.text().split("\n") if "could not be made" in line]
    assert row.endswith("  ?")


def test_what_a_composition_refuses_is_drawn_too() -> None:
    _, w = network()
    for make, name, words in (
        (lambda: gn.reshape(w, (5, -1)), "reshape", "not a multiple of 5"),
        (lambda: gn.split(w, 3, axis=1), "split", "does not divide into 3 equal"),
    ):
        error = error_of(make)
        assert 'operand 0: "w" (3, 4) float64, a parameter made at' in str(error)
        assert str(error).count("operand 0") == 1
        source = error.draw().source
        assert words in in_one_line(box(source, f"<b>{name}</b>"))


def test_the_error_of_a_run_is_drawn_with_the_node_that_failed() -> None:
    fetches, feed = build()
    feed = {node: value + 1 if node.name == "labels" else value for node, value in feed.items()}
    error = error_of(lambda: gn.run(fetches["loss"], feed))
    source = error.draw().source
    line = box(source, "<b>failed</b>")
    assert "<b>pick</b>" in line
    assert "label 3 at index" in in_one_line(line)
    assert "dotted" in box(source, "<b>log</b>")
    assert "dotted" not in box(source, "<b>clip</b>")


def test_the_error_of_a_guard_is_drawn_with_the_node_it_refused() -> None:
    g = Graph()
    x = g.placeholder("x")
    step = gn.compile(-gn.log(x), guard="nan")
    source = error_of(lambda: step({x: -1.0})).draw().source
    assert "refused by guard=nan" in box(source, "<b>log</b>")
    assert "dotted" in box(source, "<b>negative</b>")


def test_of_a_training_step_what_comes_later_is_a_box_each() -> None:
    g = Graph()
    x = g.placeholder("x", shape=("batch", 2))
    loss = gn.mean(gn.square(nn.Sequential(nn.Dense(4), nn.ReLU(), nn.Dense(3))(gn.log(x))))
    step = gn.compile(loss, updates=nn.Adam(0.01).updates(loss), guard="nan")
    diagram = error_of(lambda: step({x: [[-1.0, 1.0]]})).draw()
    assert "refused by guard=nan" in box(diagram.source, "<b>log</b>")
    collapsed = {each.scope.path for each in diagram._picture.boxes if each.scope is not None}
    assert collapsed == {"grad", "adam_1"}


def test_of_a_large_graph_the_layers_are_drawn() -> None:
    g = Graph()
    h = g.placeholder("x", shape=("batch", 4))
    rng = np.random.default_rng(0)
    for _ in range(120):
        h = nn.Dense(4, rng=rng)(h)
    error = error_of(lambda: h @ g.parameter("w", np.ones((3, 4))))
    assert repr(error.draw()).startswith('<Diagram of "graph": 123 boxes')
    assert "could not be made" in error.draw().source


def test_an_error_of_no_node_cannot_be_drawn() -> None:
    g = Graph()
    g.parameter("w", 1.0)
    error = error_of(lambda: g.parameter("w", 1.0))
    with pytest.raises(UsageError, match="this GraphError is of no node: there is nothing to draw"):
        error.draw()


@pytest.mark.parametrize("name", BAD_NAMES[:7], ids=range(7))
def test_bad_names_in_errors_drawn(name: str) -> None:
    g = Graph("g")
    x = g.placeholder("x" + name, shape=(2, 3))
    error = error_of(lambda: x @ x)
    source = error.draw().source
    harmless(source.replace("\t", " "))
    assert "<b>x</b>" not in source or name != "<b>x</b>" or "&lt;b&gt;" in source


# --- highlights -----------------------------------------------------------------------------------------------


def test_highlights_are_said_and_not_by_colour_alone() -> None:
    x = Graph().placeholder("x")
    y = gn.exp(-x)
    source = gn.draw(y, highlight={"negative": "current", y: "waiting"}).source
    assert "peripheries=2" in box(source, "<b>negative</b>")
    assert "<b>current</b>" in box(source, "<b>negative</b>")
    assert "dotted" in box(source, "<b>exp</b>")
    plain = gn.draw(y, highlight={x: "fed", y: "done"}).source
    assert plain == gn.draw(y).source
    assert "0 / 0" in box(gn.draw(y, highlight={y: ("failed", "0 / 0")}).source, "<b>exp</b>")


def test_a_collapsed_scope_bears_the_strongest_mark_in_it() -> None:
    g = Graph()
    x = g.placeholder("x", shape=("batch", 2))
    y = nn.Softmax()(x)
    inside = [node for node in g if node.scope == "softmax_1"]
    waiting = dict.fromkeys(inside, "waiting")
    assert "dotted" in box(gn.draw(y, "layer", highlight=waiting).source, "Softmax")
    partly = waiting | {inside[0]: "done"}
    assert "dotted" not in box(gn.draw(y, "layer", highlight=partly).source, "Softmax")
    assert "<b>current</b>" in box(gn.draw(y, "layer", highlight=partly | {inside[1]: "current"}).source, "Softmax")


def test_an_unknown_highlight() -> None:
    x = Graph().placeholder("x")
    with pytest.raises(UsageError, match=r"no node can be highlighted as 'curent'\. Did you mean \"current\""):
        gn.draw(-x, highlight={x: "curent"})


@pytest.mark.parametrize("width", [None, "80", 80.0, float("nan"), True])
def test_a_width_that_is_no_whole_number_is_refused(width: Any) -> None:
    dbg = debugger()
    trace = dbg.trace()
    for show in (where, screen, trace_table, matrix, listing):
        if width is None and show in (trace_table, listing):
            continue  # as wide as need be
        of = {trace_table: trace, matrix: [1.0]}.get(show, dbg)
        with pytest.raises(UsageError, match="width= is an int, not "):
            show(of, width=width)


def test_the_narrowest_terminal_shows_it_all() -> None:
    dbg = debugger()
    dbg.step()
    for width in (-1, 0, 10, 40):
        assert screen(dbg, width) == screen(dbg, 40)


@pytest.mark.parametrize(
    ("text", "width", "told"),
    [
        ("relu  -2.998e+195 to 7.406e+170", 28, "relu  -2.998e+195 to …"),
        ("relu  1,234.5 and more", 10, "relu  …"),
        ("relu  3 to 12345", 14, "relu  3 to …"),
        ("relu  3 to 12 and more", 15, "relu  3 to 12 …"),
        ("dense_12/add", 8, "dense_1…"),
        ("short", 9, "short"),
    ],
)
def test_a_line_is_cut_and_no_number_in_part(text: str, width: int, told: str) -> None:
    assert cut(text, width) == told
