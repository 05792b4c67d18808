import json
import re
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_graphs import Fixed, Recipe, Use, build, random_graph

import graphnn as gn
from graphnn import Comparison, nn
from graphnn.compiler.plan import Plan
from graphnn.core import registry
from graphnn.debugger.diff import compare
from graphnn.debugger.diff.array_difference import gap_of
from graphnn.debugger.diff.differences import Difference
from graphnn.debugger.traces import stopped_trace
from graphnn.errors import UsageError
from graphnn.runtime.program import Program

# --- one edit in a random graph: the node is known from the edit ------------------------------------------------

UNARY = ("sin", "cos", "tanh", "absolute", "negative", "square", "sigmoid", "softplus", "relu")
BINARY = ("add", "subtract", "multiply", "maximum", "minimum")

Edited = tuple[Recipe, int] | None
"""The recipe with one edit, and the place in it of the line that was edited."""


def with_line(recipe: Recipe, place: int, line: Any) -> Recipe:
    return Recipe((*recipe.lines[:place], line, *recipe.lines[place + 1 :]))


def op_swapped(rng: np.random.Generator, recipe: Recipe, place: int) -> Edited:
    line = recipe.lines[place]
    for ops in (UNARY, BINARY):
        if isinstance(line, Use) and line.op in ops:
            other = str(rng.choice([op for op in ops if op != line.op]))
            return with_line(recipe, place, replace(line, op=other)), place
    return None


CHANGED: dict[str, dict[str, Any]] = {
    "divide_by_size": {"count": 7},
    "leaky_relu": {"negative_slope": 0.3},
    "elu": {"alpha": 0.7},
    "cumsum": {"axis": 0},
    "flip": {"axis": 0},
    "std": {"ddof": 1},
    "var": {"ddof": 1},
}


def attribute_changed(rng: np.random.Generator, recipe: Recipe, place: int) -> Edited:
    """Change one of those that few lines have, wherever there is one."""
    able = [i for i, line in enumerate(recipe.lines) if isinstance(line, Use) and line.op in CHANGED]
    if not able:
        return None
    place = int(rng.choice(able))
    line = recipe.lines[place]
    changed = {**line.attributes, **CHANGED[line.op]}
    return with_line(recipe, place, replace(line, attributes=changed)), place


def constant_changed(rng: np.random.Generator, recipe: Recipe, place: int) -> Edited:
    line = recipe.lines[place]
    if not isinstance(line, Fixed) or line.value.dtype.kind != "f":
        return None
    value = line.value.copy()
    value.flat[rng.integers(value.size)] += 0.25
    return with_line(recipe, place, Fixed(value)), place


def node_added(rng: np.random.Generator, recipe: Recipe, place: int) -> Edited:
    """Put a node before an operand of the line."""
    line = recipe.lines[place]
    if not isinstance(line, Use) or line.op not in registry:
        return None
    positions = [position for position, operand in enumerate(line.operands) if isinstance(operand, int)]
    if not positions:
        return None
    position = int(rng.choice(positions))
    # Of two nodes of one operation in a row, nobody can tell which one was added.
    op = str(rng.choice([op for op in UNARY if op != line.op]))
    operands = (*line.operands[:position], place, *line.operands[position + 1 :])
    later = [
        replace(other, operands=tuple(o + (isinstance(o, int) and o >= place) for o in other.operands))
        if isinstance(other, Use)
        else other
        for other in recipe.lines[place + 1 :]
    ]
    added = Use(op, (line.operands[position],))
    return Recipe((*recipe.lines[:place], added, replace(line, operands=operands), *later)), place + 1


EDITS: dict[str, Callable[[np.random.Generator, Recipe, int], Edited]] = {
    "op swapped": op_swapped,
    "attribute changed": attribute_changed,
    "constant changed": constant_changed,
    "node added": node_added,
}

Case = tuple[gn.Node, gn.Node, dict[str, Any], gn.Node, gn.Node]
"""Two results, their feed, and the two nodes of the line that was edited."""


def cases(kind: str, count: int) -> Iterator[Case]:
    """Yield pairs of graphs of which the second was edited so that the line's value is another."""
    seed = 0
    while count:
        rng = np.random.default_rng([seed, len(kind)])
        seed += 1
        recipe = random_graph(rng, (4, 30))
        edited = EDITS[kind](rng, recipe, int(rng.integers(len(recipe.lines))))
        if edited is None:
            continue
        found = _case(recipe, edited)
        if found is not None:
            count -= 1
            yield found


def _case(recipe: Recipe, edited: tuple[Recipe, int]) -> Case | None:
    changed, place = edited
    before = place - (len(changed.lines) - len(recipe.lines))
    try:
        a, b = build(recipe, gn.Graph()), build(changed, gn.Graph())
        mine, its = a.nodes[before], b.nodes[place]
        if mine.op.name == "constant":
            x, y = mine.value, its.value
        else:
            x, y = gn.run(mine, a.feed), gn.run(its, b.feed)
        gn.run(b.result, b.feed)
    except gn.GraphnnError:
        return None  # what was edited does not fit
    if x.shape == y.shape and np.array_equal(x, y, equal_nan=True):
        return None  # nothing differs
    if mine not in gn.schedule(a.result) or its not in gn.schedule(b.result):
        return None  # only the shape of it is used
    return a.result, b.result, {node.name: value for node, value in a.feed.items()}, mine, its


@pytest.mark.parametrize("kind", EDITS)
def test_the_first_differing_node_is_the_one_that_was_edited(kind: str) -> None:
    for a, b, feed, mine, its in cases(kind, 30):
        for first, second, node, other in ((a, b, mine, its), (b, a, its, mine)):
            found = compare(first, second, feed)
            assert not found
            assert found.first is not None
            assert (found.first.node, found.first.other) == (node, other)
            assert found.first.operands_equal == (kind not in ("node added", "constant changed")) or not node.inputs


def test_a_graph_is_equal_to_its_copy_and_every_node_has_its_counterpart() -> None:
    for seed in range(50):
        recipe = random_graph(np.random.default_rng([3, seed]), (4, 30))
        a, b = build(recipe, gn.Graph()), build(recipe, gn.Graph())
        found = compare(a.result, b.result, a.feed)
        assert found
        assert found.counts == (len(gn.schedule(a.result)), 0, 0, 0, 0)
        pairs = set(found.pairs)
        # Two nodes that compute the same may stand for each other; by name they need not.
        assert all((mine, its) in pairs for mine, its in zip(a.nodes, b.nodes, strict=True) if mine in dict(pairs))


# --- what it says of an edit ------------------------------------------------------------------------------------


def small(activation: Any = gn.relu, scale: float = 2.0, extra: bool = False, axis: int = 1) -> gn.Node:
    g = gn.Graph("small")
    x = g.placeholder("x", shape=("n", 3))
    h = x @ g.parameter("w", np.arange(9.0).reshape(3, 3) - 4.0)
    if extra:
        h = gn.exp(h)
    h = activation(h) * scale
    return gn.sum(gn.sum(h, axis=axis, keepdims=True) * h)


FEED = {"x": np.array([[0.5, -0.25, 1.0], [0.125, 2.0, -1.0]])}


def first_of(found: Comparison) -> Difference:
    assert found.first is not None
    return found.first


@pytest.mark.parametrize(
    ("edited", "name", "cause"),
    [
        ({"activation": gn.tanh}, "relu", "op changed: relu → tanh"),
        ({"scale": 3.0}, "constant", "the constant's value changed"),
        ({"extra": True}, "relu", 'operand 0 changed: "matmul" → "exp" (exp, added)'),
        ({"axis": 0}, "sum", "axis changed: 1 → 0"),
    ],
)
def test_the_edit_is_named(edited: dict[str, Any], name: str, cause: str) -> None:
    found = compare(small(), small(**edited), FEED)
    first = first_of(found)
    assert (first.name, first.cause) == (name, cause)
    assert first.cause in str(found)


def test_a_node_removed_is_named() -> None:
    found = compare(small(extra=True), small(), FEED)
    assert first_of(found).cause == 'operand 0 changed: "exp" (exp, removed) → "matmul"'
    assert [node.name for node in found.only_a] == ["exp"]
    assert found.only_b == []


def test_what_differs_is_reported_with_element_values_and_operands() -> None:
    a, b = small(), small(gn.tanh)
    first = first_of(compare(a, b, FEED))
    x, y = gn.run(a.graph["relu"], {"x": FEED["x"]}), gn.run(b.graph["tanh"], {"x": FEED["x"]})
    apart = np.abs(x - y)
    assert first.element == np.unravel_index(apart.argmax(), apart.shape)
    assert (first.a, first.b) == (x[first.element], y[first.element])
    assert first.absolute == apart.max()
    assert first.relative == np.max(apart / np.maximum(np.abs(x), np.abs(y)))
    assert first.outside == np.count_nonzero(x != y)
    assert first.size == 6
    assert first.operands_equal
    assert first.values is not None
    assert first.operands is not None
    np.testing.assert_array_equal(first.values[0], x)
    np.testing.assert_array_equal(first.values[1], y)
    np.testing.assert_array_equal(first.operands[0][0], first.operands[1][0])
    np.testing.assert_array_equal(first.operands[0][0], gn.run(a.graph["matmul"], {"x": FEED["x"]}))


def test_operands_exchanged_are_reported() -> None:
    g = gn.Graph()
    x, y = g.placeholder("x"), g.placeholder("y")
    found = compare(x - y, y - x, {x: 3.0, y: 1.0})
    assert first_of(found).cause == 'operand 0 changed: "x" → "y"; operand 1 changed: "y" → "x"'


def test_renamed_nodes_are_found() -> None:
    def made(prefix: str) -> gn.Node:
        g = gn.Graph()
        w = g.parameter(f"{prefix}w", [1.0, 2.0])
        with g.scope(f"{prefix}scope"):
            return gn.sum(gn.exp(w) * w)

    found = compare(made("a"), made("b"))
    assert found
    assert found.counts == (4, 0, 0, 0, 0)


def test_names_that_shift_do_not_mislead() -> None:
    def made(added: bool) -> gn.Node:
        x = gn.Graph().placeholder("x")
        h = x * 2.0
        if added:
            h = gn.exp(h) * 5.0  # so the multiply_2 of one is the multiply_3 of the other
        return (h * 3.0) * 4.0

    found = compare(made(False), made(True), {"x": 1.0})
    names = {a.name: b.name for a, b in found.pairs if b is not None}
    assert names["multiply_2"] == "multiply_3"
    assert names["multiply_3"] == "multiply_4"
    assert first_of(found).cause == 'operand 0 changed: "multiply" → "multiply_2" (multiply, added)'


def test_results_that_are_made_otherwise_are_compared_all_the_same() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    y = gn.exp(x)
    found = compare(y, y * 2.0, {x: 1.0})
    assert found.counts == (2, 0, 0, 0, 2)
    assert not found
    assert first_of(found).cause.startswith("op changed: exp → multiply")
    assert compare(y, y * 1.0, {x: 1.0})  # one more node, and the same result


def test_schedules_in_different_order_are_compared() -> None:
    def made(turned: bool) -> gn.Node:
        x = gn.Graph().placeholder("x")
        if turned:
            c, s = gn.cos(x), gn.sin(x)
        else:
            s, c = gn.sin(x), gn.cos(x)
        return s * s - c

    assert compare(made(False), made(True), {"x": 1.0}).counts == (5, 0, 0, 0, 0)


# --- the calls --------------------------------------------------------------------------------------------------


def network() -> tuple[gn.Node, gn.Node, gn.Node]:
    g = gn.Graph("spiral")
    x = g.placeholder("x", shape=("batch", 2))
    labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
    rng = np.random.default_rng(0)
    layers = nn.Sequential(nn.Dense(8, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng), nn.Softmax())
    return x, labels, nn.categorical_crossentropy(layers(x), labels)


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    return gn.datasets.spiral(20, classes=3, seed=0)


def test_two_traces(data: Any) -> None:
    x, labels, loss = network()
    w = loss.graph["dense_2/weight"]
    before = gn.trace(loss, {x: data[0], labels: data[1]})
    w.value = w.value + 1.0
    after = gn.trace(loss, {x: data[0], labels: data[1]})
    found = compare(before, after)
    assert (first_of(found).name, first_of(found).cause) == (
        "dense_2/weight",
        "the parameter's value differs: b = a + 1",
    )
    assert compare(before)  # run again, in the state of the trace
    assert not compare(before, loss)  # with the feed of the trace, in the state of now
    assert compare(after, loss)
    assert compare(loss, after)
    loss.graph.parameter("later", 1.0)
    moved = compare(before, feed_b={x: data[0] + 1.0, labels: data[1]})
    assert [node.name for node, _ in moved.pairs if node.name == "dense_2/weight"]
    assert "dense_2/weight" not in [difference.name for difference in moved.differences]


def test_a_trace_from_a_file(data: Any, tmp_path: Any) -> None:
    x, labels, loss = network()
    trace = gn.trace(loss, {x: data[0], labels: data[1]})
    trace.save(tmp_path / "run.trace")
    assert compare(gn.load(tmp_path / "run.trace"), trace).counts == (len(trace), 0, 0, 0, 0)


def test_a_trace_that_was_stopped(data: Any) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("n",), dtype=np.int64)
    y = (-x) // x
    with pytest.raises(gn.DivisionError) as caught:
        gn.run(y, {x: [1, 0]})
    stopped = stopped_trace(caught.value)
    assert stopped is not None
    found = compare(gn.trace(y, {x: [1, 2]}), stopped)
    assert first_of(found).name == "x"
    assert [node.name for node in found.only_a] == ["floor_divide"]


def test_values_that_were_not_kept_are_compared_by_hash_and_preview() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("n",))
    y = gn.exp(x)
    array = np.linspace(0.0, 1.0, 1000)
    whole, part = gn.trace(y, {x: array}), gn.trace(y, {x: array}, keep=100)
    assert compare(whole, part)
    assert compare(part, part)
    other = array.copy()
    other[1] += 1e-3  # not in the preview
    found = compare(part, gn.trace(y, {x: other}))
    assert [difference.name for difference in found.differences] == ["x", "exp"]
    assert found.differences[1].misfit == "their hashes differ"
    assert compare(part, gn.trace(y, {x: array + 1e-9}), atol=1e-6)
    assert not compare(part, gn.trace(y, {x: array + 1e-3}), atol=1e-6)


def test_anyones_arrays(data: Any) -> None:
    x, labels, loss = network()
    trace = gn.trace(loss, {x: data[0], labels: data[1]})
    hidden = trace["dense_1/add"].value
    assert compare(trace, {"dense_1/add": hidden})
    assert compare(trace, {"dense_1/add": hidden + 1e-9}).counts == (0, 1, 0, 0, 0)
    assert compare(trace, {loss.graph["dense_1/add"]: hidden.astype(np.float32).tolist()}, rtol=1e-6, atol=1e-6)
    assert compare(loss, {"relu_1": np.maximum(hidden, 0.0)}, {x: data[0], labels: data[1]})
    names = ("dense_1/add", "relu_1")
    assert compare(trace, gn.compile({name: loss.graph[name] for name in names})({x: data[0]}))
    found = compare(trace, {"dense_1/matmul": hidden, "dense_1/add": hidden + 1e-3, "relu_1": hidden})
    assert [difference.name for difference in found.differences] == ["dense_1/add", "relu_1"]
    assert first_of(found).operands_equal is None
    assert found.differences[1].cause == "its operands differ"


@pytest.mark.parametrize(
    ("turned", "misfit"),
    [
        (lambda a: a.T, "shape (60, 8) against (8, 60); equal when transposed"),
        (lambda a: a.ravel(), "shape (60, 8) against (480,); equal when reshaped"),
        (lambda a: a[:-1], "shape (60, 8) against (59, 8)"),
        (lambda a: a > 0, "dtype float64 against bool"),
        (lambda a: np.zeros(a.shape, np.int64), "dtype float64 against int64"),
    ],
)
def test_arrays_that_do_not_fit_are_reported_as_such(data: Any, turned: Any, misfit: str) -> None:
    x, labels, loss = network()
    trace = gn.trace(loss, {x: data[0], labels: data[1]})
    first = first_of(compare(trace, {"dense_1/add": turned(trace["dense_1/add"].value)}))
    assert first.misfit == misfit
    assert first.cause == misfit


def test_axes_in_another_order_are_recognized() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=(2, 2, 2, 2))
    array = np.random.default_rng(0).normal(size=(2, 2, 2, 2))
    first = first_of(compare(x, {"x": array.transpose(0, 2, 3, 1)}, {x: array}))
    assert first.misfit == "equal when transposed to axes (0, 3, 1, 2)"


def in_a_batch_of_60(array: Any, dtype: Any = np.float64) -> tuple[gn.Node, dict[gn.Node, Any]]:
    g = gn.Graph()
    value = g.placeholder("value", shape=np.shape(array), dtype=dtype)
    rows = g.placeholder("rows", shape=("batch",))
    g.outputs["both"] = value + gn.sum(rows)
    return g.outputs["both"], {value: array, rows: np.zeros(60)}


NUMBERS = np.random.default_rng(0).normal(size=(4, 3))
WITH_NAN = np.where(NUMBERS > 1, np.nan, NUMBERS)


@pytest.mark.parametrize(
    ("ours", "theirs", "told"),
    [
        (NUMBERS, NUMBERS * 60, "theirs = 60 × ours, and batch = 60"),
        (NUMBERS, NUMBERS / 60, "ours = 60 × theirs, and batch = 60"),
        (NUMBERS, NUMBERS / 255, "ours = 255 × theirs"),
        (NUMBERS, -NUMBERS, "ours = -1 × theirs"),
        (NUMBERS, NUMBERS * -2.5, "theirs = -2.5 × ours"),
        (NUMBERS, NUMBERS * np.pi, "theirs = 3.142 × ours"),
        (NUMBERS, (NUMBERS * 60).astype(np.float32), "theirs = 60 × ours, and batch = 60"),
        (NUMBERS * 1e-6, NUMBERS, "theirs = 1000000 × ours"),
        (WITH_NAN, WITH_NAN * 4, "theirs = 4 × ours"),
        (NUMBERS, NUMBERS + 1, "theirs = ours + 1"),
        (NUMBERS, NUMBERS - 1 / 3, "theirs = ours - 0.3333"),
        (np.arange(4), np.arange(4) + 1, "theirs = ours + 1"),
        (1e6 + NUMBERS, 1e6 + NUMBERS + 0.5, "theirs = ours + 0.5"),
        (WITH_NAN, WITH_NAN + 1, "theirs = ours + 1"),
        (np.array([np.inf, 1.0, 2.0, 3.0]), np.array([np.inf, 2.0, 3.0, 4.0]), "theirs = ours + 1"),
        (np.array([0.0, 0.0, 5.0, 2.0]), np.array([0.0, 0.0, 7.5, 3.0]), "theirs = 1.5 × ours"),
        (np.array(0.02), np.array(1.2), "theirs = 60 × ours, and batch = 60"),
        (np.array(0.5), np.array(-0.5), "ours = -1 × theirs"),
    ],
)
def test_a_single_number_that_makes_one_value_of_the_other_is_reported(ours: Any, theirs: Any, told: str) -> None:
    node, feed = in_a_batch_of_60(ours, ours.dtype)
    first = first_of(compare(node, {"value": theirs}, feed, names=("ours", "theirs")))
    assert (first.misfit, first.cause) == (told, told)


def one_off(array: Any) -> Any:
    array = array.copy()
    array[2, 1] *= 1.001
    return array


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (NUMBERS, NUMBERS * 2 + 1),
        (NUMBERS, one_off(NUMBERS * 60)),
        (NUMBERS, one_off(NUMBERS) + 1),
        (NUMBERS, NUMBERS**2),
        (NUMBERS, np.zeros((4, 3))),
        (NUMBERS, np.full((4, 3), np.nan)),
        (NUMBERS, np.full((4, 3), np.inf)),
        (NUMBERS * 1e-9, NUMBERS**2),  # hardly larger than nothing is within a tolerance of anything
        (np.full(5, 2.0), np.full(5, 3.0)),  # of constants, any number does it
        (np.array(0.5), np.array(0.7)),
        (np.array([1.0]), np.array([2.0])),
        (np.array([np.nan, 2.0, 2.0]), np.array([np.nan, 3.0, 3.0])),
        (np.array([0.0, 0.0, 5.0]), np.array([0.0, 0.0, 7.0])),  # nor of a single one
        (np.array([1.0, 1e7]), np.array([2.0, 1e7])),  # what is small counts beside what is large
        (np.array([1e9, 1.0, 2.0, 3.0]), np.array([2e9, 7.0, -8.0, 30.0])),
        (np.float32([1e7, 1, 2, 3]), np.float32([2e7, 7, -8, 9])),
        (np.float32([[2, -1e9], [1, 3], [0.5, 0.25]]), np.float32([[0.5, -1e9], [0.1, 9], [-0.5, 0.25]])),
        (np.where(NUMBERS > 0, -1e9, NUMBERS), np.where(NUMBERS > 0, -2e9, NUMBERS**2)),
        (NUMBERS, NUMBERS * 1.00001),  # a step of a training
        (NUMBERS.astype(np.float16), (NUMBERS * 1.003).astype(np.float16)),
        (np.array([2**60 + 1, 5]), np.array([-(2**60), -5])),
        (np.array([-(2**63), 1]), np.array([2**63 - 1, -1])),
        (WITH_NAN, np.where(np.isnan(WITH_NAN), 0.0, WITH_NAN * 2)),
        (np.array([1.0, 2.0]), np.array([5e-324, 1e-323])),  # a factor beyond all numbers
        (np.array([1.7e308, -1.7e308]), np.array([-1.7e308, 1.6e308])),
        (np.arange(4), np.arange(4) * 3 + 1),
        (np.arange(4) > 1, np.arange(4) > 2),
    ],
)
def test_no_single_number_is_reported_where_none_does_it(ours: Any, theirs: Any) -> None:
    node, feed = in_a_batch_of_60(ours, ours.dtype)
    assert first_of(compare(node, {"value": theirs}, feed)).misfit == ""


def test_a_feed_that_was_scaled_is_reported_of_two_runs() -> None:
    node, feed = in_a_batch_of_60(NUMBERS)
    value, rows = feed
    first = first_of(compare(node, None, feed, {value: NUMBERS / 255, rows: feed[rows]}))
    assert first.cause == "the feed differs: feed = 255 × feed_b"


def test_another_feed() -> None:
    loss = small()
    other = {"x": FEED["x"] + np.array([[0.0, 0.0, 0.5], [0.0, 0.0, 0.0]])}
    for found in (
        compare(loss, loss, FEED, other),
        compare(loss, feed=FEED, feed_b=other),
        compare("sum_2", "sum_2", FEED, other, graph=loss.graph),
        compare(gn.trace(loss, FEED), feed_b=other),
    ):
        first = first_of(found)
        assert (first.name, first.element, first.a, first.b) == ("x", (0, 2), 1.0, 1.5)
        assert first.cause == "the feed differs"


def test_a_feed_of_two_graphs_goes_where_it_belongs() -> None:
    g, h = gn.Graph(), gn.Graph()
    x, y = g.placeholder("x"), h.placeholder("x")
    z = h.placeholder("z")
    assert compare(x * 2.0, y * 2.0 + 0.0 * z, {x: 1.0, "z": 5.0}).counts.differing == 0
    with pytest.raises(gn.NotFoundError, match='the feed names "q"'):
        compare(x * 2.0, y * 2.0, {"x": 1.0, "q": 5.0})


def test_a_compiled_step_makes_no_update(data: Any) -> None:
    x, labels, loss = network()
    step = gn.compile(loss, updates=nn.SGD(learning_rate=1.0).updates(loss))
    before = loss.graph["dense_1/weight"].value
    found = compare(step, feed={x: data[0], labels: data[1]}, dtypes=("float32", "float64"))
    assert found
    assert found.counts.within > 10
    np.testing.assert_array_equal(loss.graph["dense_1/weight"].value, before)


def test_counters_move_nothing_and_random_numbers_are_the_same() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("n", 4))
    y = nn.Dropout(0.5, seed=1)(x, training=True)
    assert compare(y, feed={x: np.ones((3, 4))}, dtypes=("float32", "float64"))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda t, n: compare({"x": np.ones(3)}, t), gn.UsageError, "the run comes first"),
        (lambda t, n: compare(t, {}), gn.UsageError, "no arrays are given"),
        (lambda t, n: compare(t, {"summ": np.ones(3)}), gn.NotFoundError, 'Did you mean "sum"'),
        (lambda t, n: compare(t, {"sum": 1.0, n: 1.0}), gn.NotFoundError, "given twice"),
        (lambda t, n: compare(t, {"sum": np.ones(3, complex)}), gn.DtypeError, 'the array for "sum"'),
        (lambda t, n: compare(t, {"sum": 1.0}, feed_b={}), gn.UsageError, "no feed, no dtype and no backend"),
        (lambda t, n: compare(t, t, FEED), gn.UsageError, "has its own feed"),
        (lambda t, n: compare(t, t, FEED, FEED), gn.UsageError, "has its own feed"),
        (lambda t, n: compare(t, t, rtol=-1.0), gn.ValueRangeError, "rtol= is a finite number from 0 up"),
        (lambda t, n: compare(t, t, atol=float("nan")), gn.ValueRangeError, "atol= is a finite number from 0 up"),
        (lambda t, n: compare(t, dtypes="float64"), gn.UsageError, "dtypes= is a pair"),
        (lambda t, n: compare(t, dtypes=("float32", "int64")), gn.DtypeError, "dtypes= must be floats"),
        (lambda t, n: compare(t, dtypes=("float32", "flaot64")), gn.DtypeError, "is not a dtype"),
        (lambda t, n: compare(3, t), gn.UsageError, "a fetch is a node"),
        (lambda t, n: compare(t, np.ones(3)), gn.UsageError, "compared by the names of nodes"),
        (lambda t, n: compare(t, [np.ones(3)]), gn.UsageError, "compared by the names of nodes"),
        (lambda t, n: compare(t, {"x": None}), gn.DtypeError, 'the array for "x"'),
        (lambda t, n: compare(t, {"x": [[1.0], [1.0, 2.0]]}), gn.ShapeError, "ragged"),
        (lambda t, n: compare(t, {3: 1.0}), gn.UsageError, "a node or its name"),
        (lambda t, n: compare(t, {small(): 1.0}), gn.NotFoundError, "a node of another graph called"),
        (lambda t, n: compare(t, t, rtol=True), gn.ValueRangeError, "rtol= is a finite number"),
        (lambda t, n: compare(t, t, rtol=np.inf), gn.ValueRangeError, "rtol= is a finite number"),
        (lambda t, n: compare(t, t, sizes={"n": 2}), gn.UsageError, "sizes= is for what is run"),
        (lambda t, n: compare(t, sizes={"n": 2}), gn.UsageError, "a trace has its own sizes"),
        (lambda t, n: compare(t, t, graph=gn.Graph()), gn.UsageError, "graph= is for fetches by name"),
        (lambda t, n: compare(n, n, FEED, graph=gn.Graph()), gn.UsageError, "graph= is for fetches by name"),
        (lambda t, n: compare(t, names="ab"), gn.UsageError, "names= must be two different texts"),
        (lambda t, n: compare(t, names=("a", "a")), gn.UsageError, "names= must be two different texts"),
        (lambda t, n: compare(n, n, feed={}), gn.NotFoundError, "the feed lacks"),
        (lambda t, n: compare(n, feed={}), gn.UsageError, "nothing differs between the two runs: give b, feed_b="),
    ],
)
def test_what_cannot_be_compared(call: Any, error: type[Exception], message: str) -> None:
    loss = small()
    with pytest.raises(error, match=message):
        call(gn.trace(loss, FEED), loss.graph["sum"])


# --- tolerance --------------------------------------------------------------------------------------------------


def fed(value: Any, dtype: Any = np.float64) -> gn.Trace:
    array = np.asarray(value, dtype)
    x = gn.Graph().placeholder("x", array.shape, array.dtype)
    return gn.trace(x, {x: array})


@pytest.mark.parametrize(
    ("a", "b", "dtype", "options", "counts"),
    [
        ([1.0, np.nan], [1.0, -np.nan], "f8", {}, (1, 0, 0)),
        ([1.0, np.nan], [1.0, 2.0], "f8", {"atol": 9.0}, (0, 0, 1)),
        ([np.inf, 1.0], [np.inf, 1.0], "f8", {}, (1, 0, 0)),
        ([np.inf], [-np.inf], "f8", {"rtol": 9.0}, (0, 0, 1)),
        ([np.inf], [1.0], "f8", {"rtol": 9.0}, (0, 0, 1)),
        ([1.0], [np.inf], "f8", {"rtol": 9.0}, (0, 0, 1)),
        ([0.0], [-0.0], "f8", {}, (0, 0, 1)),
        ([0.0], [-0.0], "f8", {"atol": 1e-300}, (0, 1, 0)),
        ([1.0], [1.0 + 2**-52], "f8", {}, (0, 0, 1)),
        ([1.0], [1.0 + 2**-52], "f8", {"rtol": 1e-15}, (0, 1, 0)),
        ([100.0], [101.0], "f8", {"atol": 0.5}, (0, 0, 1)),
        ([100.0], [101.0], "f8", {"rtol": 0.01}, (0, 1, 0)),
        ([2**62], [2**62 + 1], "i8", {}, (0, 0, 1)),
        ([2**62], [2**62 + 1], "i8", {"atol": 0.5}, (0, 0, 1)),
        ([2**62], [2**62 + 1], "i8", {"atol": 1}, (0, 1, 0)),
        ([-(2**63)], [2**63 - 1], "i8", {"atol": 1e18}, (0, 0, 1)),
        ([True, False], [True, True], "?", {}, (0, 0, 1)),
        ([], [], "f8", {}, (1, 0, 0)),
        (1.0, 1.0, "f2", {}, (1, 0, 0)),
    ],
)
def test_tolerance(a: Any, b: Any, dtype: str, options: Any, counts: tuple[int, ...]) -> None:
    assert compare(fed(a, dtype), fed(b, dtype), **options).counts[:3] == counts


def test_the_tolerance_against_other_dtypes_and_arrays() -> None:
    assert compare(fed(1.0), fed(np.float32(1.000001), "f4"))
    assert not compare(fed(1.0), fed(np.float32(1.0001), "f4"))
    assert compare(fed([1.0]), {"x": [1.0 + 1e-8]})
    assert not compare(fed([1.0]), {"x": [1.0 + 1e-6]})
    assert compare(fed([1.0]), {"x": np.array([1.0 + 1e-6], "f4")})
    assert not compare(fed([1.0]), {"x": [1.0 + 1e-8]}, rtol=0.0, atol=0.0)


def test_ulps_and_the_element_farthest_outside() -> None:
    first = first_of(compare(fed([1.0, 2.0]), fed([1.0, 2.0 + 3 * 2**-51])))
    assert (first.element, first.ulps) == ((1,), 3.0)
    # The largest difference, at 1000, is within the tolerance.
    first = first_of(compare(fed([1000.0, 1.0]), fed([1000.5, 1.01]), rtol=1e-3))
    assert (first.element, first.outside, first.absolute) == ((1,), 1, 0.5)


@pytest.mark.parametrize(
    ("a", "b", "dtype", "ulps"),
    [
        (1.0, 1.0 + 2**-52, "f8", 1.0),
        (1.0, 1.0 + 2**-10, "f2", 1.0),
        (1.0, 2.0, "f4", 2.0**22),
        (1.0, 2.5, "f8", None),
        (1e-300, 1.0, "f8", None),
        (1.0, -1.0, "f8", None),
        (0.0, -0.0, "f8", None),
        (1.0, np.nan, "f8", None),
        (np.inf, 1.0, "f8", None),
        (3, 4, "i8", None),
    ],
)
def test_ulps_are_reported_where_they_say_something(a: Any, b: Any, dtype: str, ulps: float | None) -> None:
    found = compare(fed([a], dtype), fed([b], dtype))
    assert first_of(found).ulps == ulps
    assert ("ulps" in str(found)) == (ulps is not None and ulps < 10_000)


def test_blocks_are_put_together_rightly() -> None:
    rng = np.random.default_rng(0)
    a = np.asfortranarray(rng.normal(size=(300, 170)))
    b = a.copy("C")
    b[299, 3] += 1.0
    b[10, 11] += 0.5
    first = first_of(compare(fed(a), {"x": b}))
    assert (first.element, first.outside, first.absolute) == ((299, 3), 2, pytest.approx(1.0))


# --- digits -----------------------------------------------------------------------------------------------------


def digits_of(build: Callable[[gn.Node], gn.Node], array: Any) -> tuple[Comparison, gn.Node]:
    array = np.asarray(array, np.float32)  # so that the feed itself is exact
    x = gn.Graph().placeholder("x", array.shape)
    result = build(x)
    return compare(result, feed={x: array}, dtypes=("float32", "float64")), result


def test_the_naive_softmax_loses_all_digits_where_exp_overflows() -> None:
    def naive(x: gn.Node) -> gn.Node:
        return gn.exp(x) / gn.sum(gn.exp(x))

    logits = [88.0, 95.0, 90.5]
    found, result = digits_of(naive, logits)
    assert found.digits["exp"].lost == pytest.approx(7.2, abs=0.05)
    assert found.digits[result.name].left == 0
    shifted, result = digits_of(gn.softmax, logits)
    assert shifted.digits[result.name].left > 6.5
    assert max(digits.lost for digits in shifted.digits.values()) < 0.7


def test_the_logarithm_of_a_softmax_loses_what_log_softmax_keeps() -> None:
    logits = [0.0, 120.0]
    found, result = digits_of(lambda x: gn.log(gn.softmax(x)), logits)
    worst = max(found.digits, key=lambda name: found.digits[name].lost)
    assert worst == result.name  # the log, not the softmax
    assert found.digits[worst].lost > 7
    kept, result = digits_of(gn.log_softmax, logits)
    assert kept.digits[result.name].left > 6.5


def test_a_variance_by_the_mean_of_squares_loses_its_digits_in_the_difference() -> None:
    array = 1000.0 + np.random.default_rng(0).normal(size=500)
    found, result = digits_of(lambda x: gn.mean(x * x) - gn.mean(x) * gn.mean(x), array)
    worst = max(found.digits, key=lambda name: found.digits[name].lost)
    assert worst == result.name == "subtract"
    assert found.digits[worst].lost > 4
    assert found.digits[worst].left < 2.5
    shifted, result = digits_of(lambda x: gn.mean(gn.square(x - gn.mean(x))), array)
    assert shifted.digits[result.name].left > found.digits["subtract"].left + 3
    text = str(found)
    assert re.search(r"^ *[4-6]\.\d +[0-2]\.\d  subtract$", text, re.MULTILINE)


def test_a_report_has_the_width_that_there_is_and_without_one_all_names() -> None:
    x = y = gn.Graph("long").placeholder("x", ("n",))
    for i in range(30):
        y = gn.exp(y * 0.1, name=f"node_of_number_{i}")
    found = gn.compare(y, None, {x: [1.0]}, {x: [2.0]})
    for width in (60, 130):
        lines = found.text(width).split("\n")
        assert width - 20 < max(map(len, lines)) <= width
        listed = found.text(width).partition("differing after it:")[2]
        left_out = re.search(r"and (\d+)\s+more", listed)
        assert left_out is not None
        assert listed.count('"') / 2 + int(left_out[1]) == len(found.differences) - 1
    (line,) = [line for line in found.text(None).split("\n") if line.startswith("differing after it")]
    assert all(f'"{difference.name}"' in line for difference in found.differences[1:])


def test_the_table_lists_the_nodes_that_lose_digits() -> None:
    array = 1000.0 + np.random.default_rng(0).normal(size=500)
    found, _ = digits_of(lambda x: gn.mean(x * x) - gn.mean(x) * gn.mean(x), array)
    table = str(found).split("digits lost  left  at\n")[1].splitlines()
    rows = [(float(row.split()[0]), row.split()[2]) for row in table]
    assert [name for _, name in rows] == sorted(
        [name for name, digits in found.digits.items() if digits.lost >= 0.05],
        key=lambda name: -found.digits[name].lost,
    )
    assert all(lost > 0 for lost, _ in rows)
    exact, _ = digits_of(lambda x: x * 2.0, [1.0, 2.0])
    assert "digits lost" not in str(exact)
    assert "no node loses digits: 7.2 or more are left of the largest number of each" in str(exact)


def test_within_the_tolerance_is_not_equal() -> None:
    g = gn.Graph("g")
    x = g.placeholder("x")
    agreeing = compare(x / 3.0, feed={x: 1.0}, dtypes=("float32", "float64"))
    assert str(agreeing).startswith('"g": float32 and float64 agree within the tolerance\n')
    # A number that is small beside the tolerance of 1e-5, and has no digit right.
    lost = compare((x + 1.0) - 1.0, feed={x: 1e-8}, dtypes=("float32", "float64"))
    assert lost
    verdict = '"g": float32 and float64 agree within the tolerance, though "subtract" has no digits left'
    assert repr(lost) == f"<Comparison of {verdict}>"


def test_an_overflow_of_the_narrower_dtype_is_named() -> None:
    found, _ = digits_of(lambda x: gn.exp(x) / gn.sum(gn.exp(x)), [88.0, 95.0, 90.5])
    assert first_of(found).cause == "its operands are equal; it overflows float32"


@pytest.mark.filterwarnings("ignore:.*overflows float16")
def test_an_overflow_of_rounded_operands_is_named_in_either_order() -> None:
    g = gn.Graph("g", dtype="float64")
    x = g.placeholder("x")
    feed = {x: 300.7}  # its square is 90420, and float16 rounds it to 300.75
    for dtypes in (("float16", "float64"), ("float64", "float16")):
        cause = first_of(compare(gn.square(x) / 7.0, feed=feed, dtypes=dtypes)).cause
        assert cause == "its operands agree only within the tolerance, and it overflows float16"


def test_zeros_cost_no_digits() -> None:
    found, _ = digits_of(lambda x: gn.relu(x) * 0.1, [-1.0, 0.0, 3.0])
    assert all(digits.left > 6.5 for digits in found.digits.values())


def test_what_a_wrong_condition_chooses_is_not_its_own_loss() -> None:
    # 0.1 in float32 is a little more than in float64, and where chooses the other branch.
    found, _ = digits_of(lambda x: gn.where(x * 3.0 > 0.3, x, -x), [0.1])
    assert first_of(found).name == "greater"
    assert found.digits["where"] == (0.0, 0.0)


def test_digits_are_reported_only_beside_another_dtype() -> None:
    assert compare(small(), small(gn.tanh), FEED).digits == {}


def test_the_copy_in_another_dtype_is_of_that_dtype_throughout() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("n", 2))
    y = gn.cast(x, np.float64) + gn.zeros((2,), graph=g) + gn.eye(2, graph=g)[0] + g.parameter("w", [0.1, 0.2])
    y = y * gn.one_hot(gn.argmax(x, axis=1), 2) + np.float64(0.3)
    found = compare(y, feed={x: [[0.1, 0.7]]}, dtypes=("float32", "float16"))
    first = first_of(compare(y, feed={x: [[0.1, 0.7]]}, dtypes=("float32", "float16"), rtol=0.0))
    assert first.values is not None
    assert [value.dtype for value in first.values] == [np.float32, np.float16]
    assert found
    assert set(found.digits) == {node.name for node in gn.schedule(y) if node.dtype.kind == "f"}
    assert all(digits.left <= 3.4 for digits in found.digits.values())


# --- memory -----------------------------------------------------------------------------------------------------

SIZE = 500_000


def chain(edit: int | None = None) -> gn.Node:
    x = gn.Graph().placeholder("x")
    h = saved = gn.broadcast_to(x, (SIZE,)) + 0.0
    for i in range(40):
        h = gn.cos(h) if i == edit else gn.sin(h)
        if i % 7 == 0:
            h = saved = h + saved
    return gn.sum(h)


def live_bytes(result: gn.Node) -> int:
    order = gn.schedule(result)
    alive: set[int] = set()
    most = 0
    for place, dying in enumerate(Program(result.graph, [result]).dying):
        alive.add(place)
        sizes = [order[i].shape == (SIZE,) and order[i].op.name != "broadcast_to" for i in alive]
        most = max(most, sum(sizes) * SIZE * 8)
        alive -= set(dying)
    return most


@pytest.mark.parametrize("edit", [None, 3, 39])
def test_no_more_is_held_than_what_both_runs_need(edit: int | None) -> None:
    a, b = chain(), chain(edit)
    tracemalloc.start()
    try:
        found = compare(a, b, {"x": 0.3})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    kept = 0
    if found.first is not None:
        assert found.first.values is not None
        assert found.first.operands is not None
        kept = sum(array.nbytes for array in (*found.first.values, *found.first.operands[0], *found.first.operands[1]))
    assert (found.first is None) == (edit is None)
    assert peak <= live_bytes(a) + live_bytes(b) + kept + 2**20


# --- as text and data -------------------------------------------------------------------------------------------


def test_the_text_fits_a_terminal_and_is_safe_in_it(data: Any) -> None:
    g = gn.Graph("a\x1b[31m")
    x = g.placeholder("x\x1b[31m" + "long" * 3000, shape=("n",))
    found = compare(gn.exp(x), gn.log(x), {x: [1.0, 2.0]})
    text = str(found)
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert "op changed: exp → log" in text
    assert "2 of 2 elements differ" in text
    assert found.differences[0].node.name == "exp"
    assert len(text) < 2000


def test_text_of_what_is_equal() -> None:
    found = compare(small(), small(), FEED)
    assert str(found) == '"small": a and b are equal to the bit\n9 nodes compared: 9 equal'
    assert repr(found) == '<Comparison of "small": a and b are equal to the bit>'
    assert bool(found) is found.equal is True


def test_what_the_two_are_called() -> None:
    def named(*args: Any, **options: Any) -> tuple[str, str]:
        found = compare(*args, **options)
        assert (found.to_dict()["a"], found.to_dict()["b"]) == (found.a, found.b)
        assert f"{found.a} and {found.b} " in repr(found)
        return found.a, found.b

    loss, other = small(), small(gn.tanh)
    g = loss.graph
    trace = gn.trace(loss, FEED)
    assert named(loss, feed=FEED, dtypes=("float32", "float64")) == ("float32", "float64")
    assert named(loss, feed=FEED, dtypes=("f2", None)) == ("float16", "the original")
    assert named(trace, {"sum": trace["sum"].value}) == ("the trace", "the arrays")
    assert named(loss, {"sum": trace["sum"].value}, FEED) == ("the run", "the arrays")
    assert named(trace) == named(trace, loss) == ("the trace", "the run")
    assert named(loss, feed=FEED, feed_b=FEED) == ("feed", "feed_b")
    assert named(g["relu"], g["multiply"], FEED) == ('"relu"', '"multiply"')
    assert named(loss, other, FEED) == named(trace, trace) == ("a", "b")
    assert named(trace, trace, names=("before", "after")) == ("before", "after")
    x = gn.Graph("large").placeholder("x", shape=("n", 3))
    assert named(loss, gn.sum(x), FEED) == ('"small"', '"large"')
    assert named(loss, gn.sum(x), FEED, FEED) == ('"small"', '"large"')
    assert named(loss, gn.sum(x), FEED, dtypes=("f4", None)) == ('"small" in float32', '"large"')
    assert named(loss, {"sum": trace["sum"].value}, FEED, dtypes=("f4", None)) == ("the run", "the arrays")
    assert compare(loss, gn.sum(x), FEED).graph is None
    assert compare(loss, other, FEED).graph == "small"


def test_the_numbers_that_made_the_element_are_reported() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", shape=(2, 3)), g.placeholder("w", shape=(3, 2))
    given = {"x": np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), "w": np.array([[1.0, 0.0], [0.5, 0.0], [0.25, 8.0]])}
    wrong = given["x"] @ given["w"]
    wrong[1, 0] += 1.0
    product = x @ w
    first = first_of(compare(product, {**given, "matmul": wrong}, given))
    assert first.reads == ('operand 0, "x"[1, :]: 4, 5, 6', 'operand 1, "w"[:, 0]: 1, 0.5, 0.25')
    first = first_of(compare(product, {"w": given["w"], "matmul": wrong}, given))
    assert first.reads[0] == 'operand 0, "x"[1, :]: 4, 5, 6 against not given'
    y = gn.sum(x, axis=0)
    first = first_of(compare(y, gn.sum(x * 1.5, axis=0), {"x": given["x"]}))
    assert first.reads == ('operand 0, "x"[:, 2]: 3, 6 against 4.5, 9',)


def test_elements_that_differ_in_their_last_digits_are_reported_in_full() -> None:
    x = gn.Graph().placeholder("x")
    y = gn.exp(x)
    found = compare(y, feed={x: 1.0}, feed_b={x: 1.0 + 2**-50})
    assert "  1.0 against 1.0000000000000009\n" in str(found)
    # Within the tolerance at x, outside of it at exp, which is asked for one number more.
    arrays = {"x": 1.0 + 2**-50, "exp": 3.0}
    assert first_of(compare(gn.trace(y, {x: 1.0}), arrays)).reads == ('operand 0, "x": 1.0 against 1.0000000000000009',)


def test_where_a_run_was_stopped_is_reported() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("n",))
    y = gn.sum(gn.sqrt(gn.log(x)))
    with pytest.raises(gn.ValueRangeError) as caught:
        gn.run(y, {x: [-1.0, 2.0]}, guard="nan")
    found = compare(gn.trace(y, {x: [1.0, 2.0]}), stopped_trace(caught.value))
    assert found.stopped[0] is None
    assert found.stopped[1] is g["log"]
    assert "b was stopped at" in str(found)
    assert 'only run in a: "sqrt", "sum"' in str(found)
    assert found.only_b == []


def test_runs_that_have_no_node_in_common_are_not_equal() -> None:
    x, w = gn.Graph("g").placeholder("x"), gn.Graph("g").parameter("w", 1.0)
    found = compare(x, [w, w * 2.0], {"x": 1.0})
    assert not found
    assert str(found).startswith('"g": a and b have no node in common\n0 nodes compared\n')
    assert compare(x, w, {"x": 1.0}), "but their results are compared, and agree"


def test_to_dict_is_plain_data() -> None:
    found = compare(small(), small(gn.tanh, extra=True), FEED)
    told = json.loads(json.dumps(found.to_dict()))
    assert told["equal"] is False
    assert told["first"]["node"] == first_of(found).name
    assert told["counts"]["only_b"] == 1
    assert told["only_b"] == ["exp"]
    assert len(told["differences"]) == len(found.differences)
    spoilt = compare(gn.trace(small(), FEED), {"matmul": np.full((2, 3), np.nan)})
    assert json.loads(json.dumps(spoilt.to_dict(), allow_nan=False))["first"]["b"] == "nan"
    assert json.loads(json.dumps(compare(small(), feed=FEED, dtypes=("float32", "float64")).to_dict()))["digits"]["x"]


# --- many edits, large graphs -----------------------------------------------------------------------------------


def test_what_lies_between_two_edits_keeps_its_counterparts() -> None:
    def made(*edits: int) -> gn.Node:
        h = gn.Graph().placeholder("x")
        for i in range(30):
            h = gn.cos(h) if i in edits else gn.sin(h) * (1.0 + i)
        return h

    plain, edited = made(), made(2, 20)
    found = compare(plain, edited, {"x": 1.0})
    assert first_of(found).name == "sin_3"
    between = [node for node in gn.schedule(plain) if "multiply_4" <= node.name <= "multiply_9"]
    counterparts = dict(found.pairs)
    assert all(counterparts[node] is not None for node in between)


def test_a_long_chain_is_compared_without_recursion() -> None:
    def made(edit: int | None = None) -> gn.Node:
        h = gn.Graph().placeholder("x")
        for i in range(5000):
            h = gn.cos(h) if i == edit else gn.sin(h)
        return h

    assert compare(made(), made(), {"x": 1.0})
    assert first_of(compare(made(), made(4000), {"x": 1.0})).name == "sin_4001"


def test_what_a_what_if_changed_is_named_as_the_cause() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=(3,))
    clipped = gn.clip(x, 0.0, 1.0)
    y = clipped * 2.0
    dbg = gn.debug(y, {x: [-1.0, 0.5, 2.0]}, echo=None)
    dbg.resume()
    dbg.what_if(clipped, lo=0.25)
    first = dbg.compare("run").first
    assert first is not None
    assert first.node is clipped
    assert first.cause == "lo changed: 0.0 → 0.25"
    dbg.use("run")
    dbg[clipped] = np.zeros(3)
    first = dbg.compare("run").first
    assert first is not None
    assert first.node is clipped
    assert first.cause == "its value was set by hand in what-if 2"


def test_integers_may_be_farther_apart_than_their_dtypes_reach() -> None:
    x = gn.Graph().placeholder("x", shape=(3,), dtype=np.int64)
    trace = gn.trace(-x, {x: [1, 2**63 - 1, 0]})
    found = gn.compare(trace, {"negative": np.array([2**64 - 1, 2**63 - 1, 0], np.uint64)}, atol=1.0)
    assert not found.equal
    assert found.first is not None
    assert found.first.absolute == 2.0**64


def test_a_what_if_is_compared_at_two_dtypes_as_it_is() -> None:
    x = gn.Graph().placeholder("x", shape=(3,))
    dbg = gn.debug(gn.exp(gn.clip(x, -1.0, 1.0)), {x: [-9.0, 0.1, 9.0]}, echo=None)
    dbg.resume()
    dbg.what_if("clip", hi=3.0)
    found = gn.compare(dbg.trace(), dtypes=("float32", None))
    assert found.digits
    assert all(each.lost < 2 for each in found.digits.values()), str(found)


def test_named_results_belong_together_in_whatever_order() -> None:
    x = gn.Graph().placeholder("x", shape=(2,))
    first, second = gn.exp(x), gn.relu(x)
    found = gn.compare({"a": first, "b": second}, {"b": second, "a": first}, {x: [1.0, 2.0]})
    assert found.equal, str(found)
    found = gn.compare({"a": first, "b": second}, {"b": second, "a": gn.exp(x * 2.0)}, {x: [1.0, 2.0]})
    assert found.first is not None
    assert found.first.node is first


def test_runs_that_are_nan_alike_are_equal_and_it_is_said() -> None:
    x = gn.Graph().placeholder("x", shape=("n",))
    trace = gn.trace(gn.sum(gn.log(x) * 2.0), {x: [-1.0, 2.0]})
    found = compare(trace)
    assert found
    assert str(found).split("\n")[2] == '"log" holds NaN in both: a health check says why'
    assert found.to_dict()["nan"] == "log"
    assert compare(gn.trace(gn.sum(x), {x: [1.0, np.inf]})).nan is None


# --- which run, which result ------------------------------------------------------------------------------------


def _line(scale: float = 2.0) -> tuple[gn.Node, gn.Node]:
    x = gn.Graph("line").placeholder("x", shape=("n",))
    return x, gn.exp(x * scale)


def test_traces_that_are_run_again_in_another_dtype_are_run_on_their_own_feeds() -> None:
    x, y = _line()
    a, b = gn.trace(y, {x: [0.1]}), gn.trace(y, {x: [0.5]})
    for dtypes in (("float32", "float64"), (None, "float32"), ("float32", None), ("float32", "float32")):
        found = compare(a, b, dtypes=dtypes)
        assert found.first is not None
        assert found.first.values is not None
        assert [round(float(value[0]), 6) for value in found.first.values] == [0.1, 0.5]
    found = compare(a, b, feed_b={x: [0.9]}, dtypes=("float32", None))
    assert [round(float(value[0]), 6) for value in found.first.values] == [0.1, 0.9]


@pytest.mark.parametrize("name", ["x", "multiply", "constant", "exp"])
def test_a_what_if_is_one_in_another_dtype_too(name: str) -> None:
    x, y = _line()
    dbg = gn.debug(y, {x: [0.1]}, echo=None)
    dbg.resume()
    dbg[name] = 3.0 if name == "constant" else [3.0]
    trace = dbg.trace()
    counts = compare(trace, dtypes=(None, "float32")).counts
    assert counts.equal + counts.within == 4
    found = compare(trace, dtypes=("float32", "float64"))
    assert [node.name for node, _ in found.pairs] == ["x", "constant", "multiply", "exp"]
    assert not found.differences


def test_what_a_what_if_changed_is_reported_in_another_dtype_too() -> None:
    x = gn.Graph().placeholder("x", shape=("n",))
    dbg = gn.debug(gn.exp(gn.clip(x, 0.0, 1.0)), {x: [2.0]}, echo=None)
    dbg.resume()
    dbg.what_if("clip", hi=1.5)
    found = compare(dbg.trace("run"), dbg.trace(), dtypes=("float32", "float32"))
    assert found.first is not None
    assert found.first.cause == "hi changed: 1.0 → 1.5"


def test_values_that_were_not_kept_are_computed_again_where_a_tolerance_asks_for_them() -> None:
    x, y = _line(1.0)
    many = np.zeros(5000)
    trace = gn.trace(y, {x: many}, keep=100)
    arrays = np.ones(5000)
    assert compare(trace, {"exp": arrays})
    arrays[1] = 1.5  # which no preview shows
    found = compare(trace, {"exp": arrays})
    assert found.first is not None
    assert (found.first.element, found.first.outside) == ((1,), 1)
    other = gn.trace(y, {x: np.where(np.arange(5000) == 1, 1e-3, 0.0)}, keep=100)
    assert not compare(trace, other, atol=1e-6)
    assert compare(trace, other, atol=1e-2)


def test_what_cannot_be_computed_again_is_not_called_equal() -> None:
    x, y = _line(1.0)
    trace = gn.trace(y, {x: np.zeros(5000)}, keep=100)
    trace.stopped = len(trace) - 1
    arrays = np.ones(5000)
    arrays[1] += 1e-3
    found = compare(trace, {"exp": arrays}, atol=1e-2)
    assert found.first is not None
    assert "by how much is not known" in found.first.misfit


def test_results_belong_together_by_their_names_in_every_form() -> None:
    x = gn.Graph().placeholder("x", shape=("n",))
    p, q, r = x * 2.0, gn.square(x), gn.exp(x)
    feed = {x: [1.0, 3.0]}
    assert not compare({"loss": p}, {"loss": q, "p": p}, feed)
    assert compare({"loss": p}, {"q": q, "loss": p}, feed)
    assert not compare([p], [q, p], feed)
    assert compare({"a": {"c": p, "d": q}}, {"a": {"d": q, "c": p}}, feed)
    assert not compare({"a": {"c": p, "d": q}}, {"a": {"c": q, "d": p}}, feed)
    assert compare({"p": p, "r": q}, {"s": q, "p": p}, feed)
    assert not compare({"p": p, "r": q}, {"s": r, "p": p}, feed)
    a, b = gn.compile({"p": p, "q": q}), gn.compile({"q": q, "p": p})
    assert compare(a, b, feed)
    assert not compare(a, gn.compile({"q": p, "p": q}), feed)
    assert compare(gn.trace(a, feed), gn.trace(a, feed))


def test_next_values_belong_together_by_their_parameters() -> None:
    g = gn.Graph()
    x, v, w = g.placeholder("x", shape=()), g.parameter("v", 1.0), g.parameter("w", 2.0)
    loss = x * v * w
    a = gn.compile(loss, updates={v: v * 0.5, w: w * 0.25})
    b = gn.compile(loss, updates={w: w * 0.25, v: v * 0.5})
    assert compare(a, b, {x: 1.0})
    assert compare(gn.trace(a, {x: 1.0}), gn.trace(b, {x: 1.0}))
    assert not compare(a, gn.compile(loss, updates={w: w * 0.5, v: v * 0.25}), {x: 1.0})


def test_a_result_that_is_asked_for_twice_is_compared_with_both() -> None:
    x = gn.Graph().placeholder("x", shape=())
    y, z = gn.exp(x), gn.sin(x)
    assert not compare([y, y, y], [y, z, y * 1.0], {x: 1.0})
    assert not compare({"a": y, "b": y}, {"a": y, "b": z}, {x: 1.0})
    assert compare([y, y], [y, y * 1.0], {x: 1.0})


def test_names_are_resolved_by_the_feed() -> None:
    x = gn.Graph().placeholder("x", shape=())
    gn.exp(x, name="y")
    assert compare("y", "y", feed={x: 1.0})
    assert compare(["y"], ["x"], feed={x: 1.0}).first is not None


def test_a_value_set_on_what_reads_nothing_is_one_in_another_dtype_too() -> None:
    z = gn.zeros((3,), graph=gn.Graph())
    dbg = gn.debug(gn.exp(z), echo=None)
    dbg.resume()
    dbg[z] = [1.0, 1.0, 1.0]
    assert compare(dbg.trace(), dtypes=(None, "float32"))


def test_a_trace_that_kept_little_beside_a_graph_of_another_dtype_is_run_again() -> None:
    values = []
    for dtype in ("float32", "float64"):
        g = gn.Graph("line", dtype)
        x = g.placeholder("x", shape=("n",))
        values.append(gn.trace(gn.exp(x * 0.1), {x: np.linspace(0, 1, 5000)}, keep=100))
    assert compare(*values)


def test_a_feed_for_both_graphs_is_taken_apart_with_another_one_for_the_second() -> None:
    found = []
    for other in ("t", "u"):
        g = gn.Graph("line")
        x, y = g.placeholder("x", shape=()), g.placeholder(other, shape=())
        found.append((x * 2.0 if other == "u" else x * 2.0 + y, {x: 1.0, y: 1.0}))
    (a, feed), (b, _) = found
    trace = gn.trace(a, feed)
    assert compare(b, trace, feed_b={"x": 1.0, "t": 1.0}).pairs


def test_a_tolerance_of_0_is_about_numbers_and_none_about_bits() -> None:
    x = gn.Graph().placeholder("x", shape=(3,))
    y = x * 1.0
    feeds = {x: [0.0, 1.0, np.nan]}, {x: [-0.0, 1.0, np.nan]}
    assert not compare(y, y, *feeds)
    assert compare(y, y, *feeds, rtol=0.0, atol=0.0)
    assert compare(y, y, *feeds, rtol=0)
    assert not compare(y, y, {x: [0.0, 1.0, 1.0]}, {x: [0.0, 1.0, np.nextafter(1.0, 2.0)]}, atol=0.0)


def test_a_run_that_was_stopped_is_compared_as_far_as_it_came() -> None:
    g = gn.Graph("labels")
    x, y = g.placeholder("x", shape=("n", 3)), g.placeholder("y", shape=("n",), dtype="int64")
    loss = nn.softmax_crossentropy(x * 2.0, y)
    with pytest.raises(IndexError) as caught:
        gn.run(loss, {x: np.ones((2, 3)), y: [3, 1]})
    stopped = caught.value.debug().trace()  # type: ignore[attr-defined]
    found = compare(stopped)
    assert str(found).startswith('"labels": the trace and the run are equal to the bit, as far as both ran')
    assert found.only_b == []
    dbg = caught.value.debug()  # type: ignore[attr-defined]
    dbg.echo = None
    dbg["y"] = [2, 1]
    dbg.resume()
    found = dbg.compare("run")
    assert found.first is not None
    assert found.first.node is y
    assert "run was stopped at" in str(found)


def test_weights_that_were_transposed_are_reported_of_two_runs() -> None:
    found = []
    for turned in (False, True):
        g = gn.Graph("net")
        x, w = g.placeholder("x", shape=("n", 3)), np.arange(9.0).reshape(3, 3)
        found.append(x @ g.parameter("w", w.T if turned else w))
    told = compare(*found, {"x": np.ones((2, 3))})
    assert told.first is not None
    assert (told.first.node.name, told.first.misfit) == ("w", "equal when transposed")


def test_zeros_of_two_signs_and_names_of_any_length_are_reported_whole() -> None:
    x = gn.Graph("signs").placeholder("x", shape=(2,))
    assert "they differ only in the sign of zero" in str(compare(gn.negative(x), 0.0 - x, {x: [0.0, 1.0]}))
    g = gn.Graph("long")
    h = g.placeholder("x", shape=())
    for number in range(12):
        h = gn.sin(h, name=f"a_name_of_many_letters_that_is_rather_long_{number}")
    told = " ".join(str(compare(h, h, {"x": 1.0}, {"x": 2.0})).split())
    listed = told.partition("differing after it: ")[2].partition(", and ")[0]
    assert all(re.fullmatch(r'"[^"]+"', name) for name in listed.split(", ")), listed


# --- executors --------------------------------------------------------------------------------------------------


def test_the_plan_beside_the_interpreter(data: Any) -> None:
    x, labels, loss = network()
    feed = {x: data[0], labels: data[1]}
    step = gn.compile(loss, updates=nn.Adam(0.1).updates(loss))
    state = dict(loss.graph.state)
    for target in (loss, step, gn.trace(step, feed)):
        found = compare(target, None, None if isinstance(target, gn.Trace) else feed, backends=("interpreter", "numpy"))
        assert found
        assert repr(found).endswith("the interpreter and the plan are equal to the bit>")
        assert found.counts.equal == len(found.pairs) > 20
    assert all(loss.graph.state[node] is value for node, value in state.items())
    kinds = ("float32", "float64")
    by_plan, plain = (compare(loss, None, feed, dtypes=kinds, backends=how) for how in (("numpy", "numpy"), None))
    assert by_plan.digits == plain.digits


def test_where_a_plan_goes_wrong_is_found(data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x, labels, loss = network()
    lowered = Plan.__call__

    def wrong(plan: Any, *given: Any) -> Any:
        results = list(lowered(plan, *given))
        if len(results) > 1:  # that of every node
            place = gn.schedule(loss).index(loss.graph["relu_1"])
            results[place] = results[place] + 1e-9
        return results

    monkeypatch.setattr(Plan, "__call__", wrong)
    found = compare(loss, None, {x: data[0], labels: data[1]}, backends=("interpreter", "numpy"))
    assert [each.name for each in found.differences] == ["relu_1"]
    assert first_of(found).cause == "its operands are equal; what computes it differs: code, library, machine"


def test_backends_are_checked(data: Any) -> None:
    x, labels, loss = network()
    for backends in (("numpy",), "numpy", ("numpy", "torch"), (None, "numpy"), np.array([1, 2])):
        with pytest.raises(UsageError, match="backends= is a pair of native, numpy, interpreter, not"):
            compare(loss, None, {x: data[0], labels: data[1]}, backends=backends)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="arrays are compared as they are"):
        compare(loss, {"relu_1": data[0]}, {x: data[0], labels: data[1]}, backends=("numpy", "numpy"))
    dbg = gn.debug(loss, {x: data[0], labels: data[1]}, echo=None)
    dbg["dense_1/bias"] = np.ones(8)
    with pytest.raises(UsageError, match="a plan cannot run with values or operations set by hand"):
        compare(dbg.trace(), backends=("interpreter", "numpy"))


# --- what computes it -------------------------------------------------------------------------------------------


def test_an_operation_that_computes_something_else_is_reported_though_its_operands_differ_a_little() -> None:
    g = gn.Graph()
    a, w = g.placeholder("a", shape=("n", 2)), g.parameter("w", [1 / 3, 1 / 3])
    trace = gn.trace(a * w, {a: [[2.0, 3.0]]})
    about = {"a": np.array([[2.0, 3.0]]), "w": np.full(2, 1 / 3 + 1e-16)}
    first = first_of(compare(trace, about | {"multiply": np.array([[5.0, 1.0]])}))
    assert first.cause == "multiply of the operands of the arrays gives 0.6667, not 5: what computes it differs"
    follows = {"a": np.array([[20.0, 3.0]]), "w": np.full(2, 1 / 3), "multiply": np.array([[20 / 3, 1.0]])}
    found = compare(trace, follows)
    assert [each.name for each in found.differences] == ["a", "multiply"]
    assert found.differences[1].cause == "its operands differ"
    loose = compare(trace, about | {"multiply": np.array([[2 / 3, 1.0]])}, rtol=1e-12)
    assert loose


@pytest.mark.parametrize(
    ("theirs", "told"),
    [
        (lambda each: each.sum(), "the arrays = 24 × the trace, and mean is of 24 numbers"),
        (lambda each: each.sum(axis=1).mean(), "the arrays = 6 × the trace, and mean is over an axis of 6"),
        (lambda each: each.sum(axis=0).mean(), "the arrays = 4 × the trace, and batch = 4"),
        (lambda each: each.sum() * 7, None),
    ],
)
def test_a_sum_where_there_is_a_mean_is_reported_over_several_axes(theirs: Any, told: str | None) -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 6))
    square = gn.square(x)
    seen = gn.trace(gn.mean(square), {x: np.random.default_rng(0).normal(size=(4, 6))})
    each = seen[square].value
    said = str(compare(seen, {square: each, "mean": theirs(each)}))
    if told is None:
        assert " × " not in said
    else:
        assert told in said


def test_what_was_recorded_counts_and_not_what_it_would_be_here() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("n",))
    total = gn.sum(x * 2.0)
    here = gn.trace(total * 3.0, {x: np.arange(500.0)}, keep=100)
    there = gn.trace(total * 3.0, {x: np.arange(500.0)}, keep=100)
    recorded = np.asarray(there[total].value * 1.5)  # as by another library
    there._run.kept[there[total].index] = recorded
    for tolerance in (None, 1e-6):
        found = compare(here, there, rtol=tolerance)
        assert found.first is not None
        assert found.first.node is total
    assert compare(here, gn.trace(total * 3.0, {x: np.arange(500.0)}, keep=100), rtol=1e-6).equal


def test_an_error_of_a_plan_is_reported_as_that_of_a_run() -> None:
    g = gn.Graph()
    x, labels = g.placeholder("x", ("n", 3)), g.placeholder("labels", ("n",), np.int64)
    picked = gn.pick(x, labels)
    with pytest.raises(gn.GraphnnError, match='while evaluating "pick"') as told:
        compare(picked, feed={x: np.ones((4, 3)), labels: [0, 1, 2, 3]}, backends=("interpreter", "numpy"))
    assert told.value.debug().failed is picked


def test_an_original_is_called_so_beside_a_copy_in_float64() -> None:
    g = gn.Graph(dtype=np.float32)
    x = g.placeholder("x", ("n",))
    found = compare(gn.sum(x * 0.1), feed={x: [0.1, 0.2]}, dtypes=(None, "float64"))
    assert (found.a, found.b) == ("the original", "float64")


def test_the_farthest_element_is_found_in_whatever_block_it_is() -> None:
    x = np.zeros(3 * 2**14)
    y = x.copy()
    y[[10, 2**14 + 10, 2**15 + 10]] = 5.0, 1.0, 3.0
    for tolerance in (None, (0.0, 0.5)):
        with np.errstate(all="ignore"):
            gap = gap_of(x, y, tolerance)
        assert (gap.place, gap.outside, gap.absolute) == (10, 3, 5.0)


def test_of_two_dimensions_of_one_size_the_first_is_named() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("n", "k"))
    value = np.random.default_rng(0).normal(size=(3, 3))
    assert "and n = 3" in str(compare(gn.mean(x, axis=0), {"mean": value.sum(axis=0)}, {x: value}))


def test_a_mean_of_what_was_not_kept_is_compared() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("n",))
    mean = gn.mean(gn.exp(x))
    step = gn.compile(gn.log(mean - mean), guard="finite")
    with gn.recording(step, keep=16) as film, pytest.raises(gn.GraphnnError):
        step({x: np.arange(10.0)})
    assert not compare(film[0], {"mean": film[0][mean].value * 10.0}).equal


def test_an_error_in_a_copy_of_another_dtype_makes_no_updates_of_the_original(tmp_path: Path) -> None:
    g = gn.Graph()
    a, b, w = g.placeholder("a", ("n",), "int64"), g.placeholder("b", ("n",), "int64"), g.parameter("w", 2.0)
    loss = gn.sum(gn.cast(a // b, "float64") * w)
    step = gn.compile(loss, updates={w: w - 0.1 * loss})
    with pytest.raises(gn.GraphnnError) as caught:
        compare(step, feed={a: [1], b: [0]}, dtypes=("float32", None))
    caught.value.save(tmp_path / "x.trace")
    assert not caught.value.debug().updates


def test_runs_of_batches_of_different_sizes_say_so() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 4))
    w = g.parameter("w", np.ones(4))
    gradient = gn.grad(gn.mean(gn.square(x * w)), w)
    feeds = {x: np.ones((2, 4))}, {x: np.ones((6, 4))}
    found = gn.compare(gradient, feed=feeds[0], feed_b=feeds[1])
    assert found.sizes == {"batch": (2, 6)}
    assert found.to_dict()["sizes"] == {"batch": [2, 6]}
    assert 'the sizes differ: "batch" is 2 in feed and 6 in feed_b' in str(found)
    assert "what computes it differs" not in str(found)
    # A count that comes of the size alone, and has no operand that differs.
    for run in (lambda feed: feed, lambda feed: gn.trace(g["grad/divide_by_size"], feed)):
        given = {} if run(feeds[0]) is feeds[0] else {"a": run(feeds[0]), "b": run(feeds[1])}
        count = gn.compare(given.get("a", g["grad/divide_by_size"]), given.get("b"), *(() if given else feeds))
        assert count.first is not None
        assert count.first.cause == 'it is computed with the size of "batch", which differs: 2 against 6'
        assert "what computes it differs" not in str(count)
    # The same size, and nothing is said of it.
    assert gn.compare(gradient, feed=feeds[0], feed_b={x: np.zeros((2, 4))}).sizes == {}
