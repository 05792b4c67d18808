"""Evaluation: what runs, in which order, on what; what is handed out, kept and freed; what an error says."""

import gc
import re
import sys
import threading
import tracemalloc
import weakref
from collections import namedtuple
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphnn as gn
from graphnn import Op, Spec
from graphnn.core import op as op_module
from graphnn.core import registry
from graphnn.runtime.evaluation_loop import evaluate
from graphnn.runtime.feed import prepare
from graphnn.runtime.program import Program, program_of


@pytest.fixture
def probe() -> Iterator[Any]:
    """Yield ``probe(x, do, name)``: a node that calls ``do`` with its operand when it is evaluated."""
    actions: dict[int, Callable[[Any], Any]] = {}

    class Probe(Op):
        number: int

        def infer(self, x: Spec) -> Spec:
            return x

        def forward(self, x: Any, out: Any = None) -> Any:
            return actions[self.number](x)

    def make(x: gn.Node, do: Callable[[Any], Any], name: str | None = None) -> gn.Node:
        actions[len(actions)] = do
        return Probe(len(actions) - 1)(x, name=name)

    yield make
    del registry["probe"]
    op_module._functions.pop("probe", None)


def logged(log: list[str], name: str) -> Callable[[Any], Any]:
    def do(x: Any) -> Any:
        log.append(name)
        return x + 1

    return do


def same_bits(a: Any, b: Any) -> bool:
    return bool(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())


# --- forms of fetches ----------------------------------------------------------------------------------------------


def test_fetches_come_back_in_the_form_that_they_were_asked_in() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=2)
    y, z = x + x, x * x
    g.outputs["loss"] = z
    with g.scope("head"):
        gn.exp(x)
    feed = {x: [1.0, 2.0]}
    pair = namedtuple("pair", "first second")
    assert gn.run(y, feed).tolist() == [2, 4]
    assert [a.tolist() for a in gn.run([y, z], feed)] == [[2, 4], [1, 4]]
    as_tuple = gn.run((y,), feed)
    assert (type(as_tuple), as_tuple[0].tolist()) == (tuple, [2, 4])
    nested = gn.run({"a": y, "b": [z, (x, {"c": "add"})]}, feed)
    assert nested["b"][1][1]["c"].tolist() == nested["a"].tolist() == [2, 4]
    assert (type(nested["b"]), type(nested["b"][1]), list(nested)) == (list, tuple, ["a", "b"])
    named = gn.run(pair(y, "loss"), feed)
    assert (type(named), named.second.tolist()) == (pair, [1, 4])
    assert gn.run(["loss", "head", "multiply"], {"x": [0, 0]}, graph=g)[1].tolist() == [1, 1]
    assert gn.run([y, y, "add"], feed)[2].tolist() == [2, 4]
    assert gn.run([], feed) == []
    assert gn.run({"none": []}, graph=g) == {"none": []}


def test_what_has_no_axes_is_an_array_all_the_same() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=3)
    for node in (gn.sum(x), x @ x, x[1], gn.max(x), gn.argmax(x), g.constant(1.0) * 2.0, gn.any(x > 0), gn.mean(x)):
        value = gn.run(node, {x: [1.0, 2.0, 3.0]})
        assert type(value) is np.ndarray
        assert (value.shape, value.dtype) == (node.shape, node.dtype)
        assert all(type(step.value) is np.ndarray for step in gn.steps(node, {x: [1.0, 2.0, 3.0]}))


# --- whose the arrays are ------------------------------------------------------------------------------------------


def aliasing() -> tuple[gn.Graph, dict[str, gn.Node]]:
    """Return every kind of node whose value might be somebody else's array, or a view of it."""
    g = gn.Graph()
    x, w = g.placeholder("x", shape=(2, 3)), g.parameter("w", np.arange(6.0).reshape(2, 3))
    c = g.constant(np.arange(6.0).reshape(2, 3), name="c")
    nodes = {}
    for node in (x, w, c, x + 1.0):
        views = [
            node, node.T, node[0], node[:, ::-1], node[None], gn.reshape(node, (3, 2)), gn.reshape(node, (2, 3)),
            gn.broadcast_to(node, (4, 2, 3)), gn.stop_gradient(node), gn.clip(node), gn.cast(node, float),
            gn.sum_to(node, (2, 3)), gn.expand_dims(node, 0), gn.squeeze(node, ()), gn.flip(node, 0),
            gn.split(node, [1], axis=0)[0], gn.transpose(node, (0, 1)), gn.swapaxes(node, 0, 1),
            gn.concatenate([node]), gn.sum(node, axis=()),
        ]  # fmt: skip
        nodes.update({view.name: view for view in views})
    return g, nodes


def test_what_is_handed_out_is_the_callers_own() -> None:
    g, nodes = aliasing()
    fed = np.random.default_rng(0).normal(size=(2, 3))
    before = fed.copy()
    first = gn.run(nodes, {"x": fed}, graph=g)
    again = gn.run([nodes, nodes], {"x": fed}, graph=g)
    assert fed.flags.writeable
    arrays = [*first.values(), *again[0].values(), *again[1].values()]
    expected = [array.copy() for array in arrays]
    for i, array in enumerate(arrays):
        assert array.flags.writeable
        assert not np.shares_memory(array, fed)
        assert not any(np.shares_memory(array, other) for other in arrays[i + 1 :])
        array[...] = 77
    assert fed.tobytes() == before.tobytes()
    for result, value in zip(gn.run(nodes, {"x": fed}, graph=g).values(), expected, strict=False):
        assert same_bits(result, value)
    assert g["w"].value.tolist() == g["c"].value.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_changing_a_feed_afterwards_changes_nothing() -> None:
    g, nodes = aliasing()
    fed = np.ones((2, 3))
    results = gn.run(nodes, {"x": fed}, graph=g)
    copies = {name: value.copy() for name, value in results.items()}
    fed[...] = -5
    assert all(same_bits(results[name], copies[name]) for name in nodes)


def test_a_feed_is_not_written_to_even_by_an_operation_that_tries(probe: Any) -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", shape=2), g.parameter("w", [1.0, 2.0])

    def impure(value: Any) -> Any:
        value *= 2
        return value

    fed = np.ones(2)
    for node in (x, w):
        with pytest.raises(ValueError, match="read-only"):
            gn.run(probe(node, impure), {x: fed})
    assert (fed.tolist(), w.value.tolist()) == ([1, 1], [1, 2])


def test_the_arrays_of_steps_are_read_only_and_no_views_of_the_feed() -> None:
    g, nodes = aliasing()
    fed = np.ones((2, 3))
    for step in gn.steps(nodes, {"x": fed}, graph=g):
        assert not np.shares_memory(step.value, fed)
        for array in (step.value, *step.operands):
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 5
    assert fed.flags.writeable


def test_changing_the_feed_between_steps_changes_nothing() -> None:
    x = gn.Graph().placeholder("x", shape=3)
    fed = np.ones(3)
    values = []
    for step in gn.steps(gn.exp(-x), {x: fed}):
        values.append(step.value.tolist())
        fed[:] = 100
    assert values[:2] == [[1] * 3, [-1] * 3]


# --- layouts of feeds ----------------------------------------------------------------------------------------------


class Frame:
    """What a data frame is to NumPy."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array(self.array, dtype=dtype)


def read_only(array: Any) -> Any:
    copied = array.copy()
    copied.flags.writeable = False
    return copied


def unaligned(array: Any) -> Any:
    memory = np.zeros(array.nbytes + 1, np.uint8)[1:]
    view = memory.view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


BASE = np.random.default_rng(7).normal(size=(61, 47))
LAYOUTS: dict[str, Callable[[], Any]] = {
    "read-only": lambda: read_only(BASE),
    "Fortran": lambda: np.asfortranarray(BASE),
    "transposed": lambda: np.random.default_rng(0).normal(size=(40, 30)).T,
    "strided": lambda: BASE[::3, ::2],
    "reversed": lambda: BASE[::-1, ::-1],
    "rows reversed": lambda: BASE[::-1],
    "a column": lambda: BASE[:, 3:4],
    "rows of a wider array": lambda: BASE[:, :20],
    "broadcast": lambda: np.broadcast_to(BASE[0], (50, 47)),
    "broadcast the other way": lambda: np.broadcast_to(BASE[:, :1], (61, 40)),
    "overlapping": lambda: np.lib.stride_tricks.sliding_window_view(BASE[0], 9),
    "big-endian": lambda: BASE.astype(">f8"),
    "unaligned": lambda: unaligned(BASE),
    "empty": lambda: BASE[:0],
    "one": lambda: BASE[:1, :1],
    "a matrix": lambda: BASE.view(np.matrix),
    "an object with __array__": lambda: Frame(BASE),
    "lists": lambda: BASE.tolist(),
    "rows in a list": lambda: list(BASE),
    "float32": lambda: BASE.astype(np.float32),
    "ints": lambda: np.arange(12).reshape(3, 4),
    "bools": lambda: BASE > 0,
}


@pytest.mark.parametrize("make", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_every_layout_of_a_feed_gives_the_same_bits(make: Callable[[], Any]) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("m", "n"))
    fetches = [
        x, gn.sum(x), gn.sum(x, axis=0), gn.sum(x, axis=1), gn.sum(gn.exp(x)), gn.norm(x, axis=0), x @ x.T,
        gn.sum(x.T, axis=0),
    ]  # fmt: skip
    fed = make()
    plain = np.array(np.asarray(fed), np.float64, order="C")
    expected = gn.run(fetches, {x: plain})
    assert np.array_equal(expected[0], plain)
    assert all(map(same_bits, gn.run(fetches, {x: fed}), expected))
    last = {step.node: step.value for step in gn.steps(fetches, {x: fed})}
    assert all(same_bits(last[node], value) for node, value in zip(fetches, expected, strict=True))
    assert all(value.dtype.isnative for value in last.values())
    assert np.array_equal(np.asarray(make()), np.asarray(fed))


def test_numbers_and_tuples_are_fed() -> None:
    g = gn.Graph()
    x, n = g.placeholder("x", shape=("batch",)), g.placeholder("n", dtype=np.int32)
    assert gn.run(x + n, {x: (1, 2), n: np.int16(3)}).tolist() == [4, 5]
    assert gn.run(n, {n: True}) == 1


# --- what runs -----------------------------------------------------------------------------------------------------


def test_only_what_the_fetches_need_runs_and_each_node_once(probe: Any) -> None:
    g = gn.Graph()
    log: list[str] = []
    x, unfed = g.placeholder("x"), g.placeholder("unfed")
    a = probe(x, logged(log, "a"))
    b = probe(a, logged(log, "b"))
    c = probe(a, logged(log, "c"))
    probe(unfed, logged(log, "never"))
    assert gn.run([b + c, b * c, b], {x: 1.0})[2] == 3
    assert log == ["a", "b", "c"]
    log.clear()
    gn.run(c, {x: 1.0})
    assert log == ["a", "c"]


def test_a_schedule_reads_as_it_was_written() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    late, unused = x * 2.0, x - 5.0
    early = gn.exp(x)
    y = early + late
    assert [node.name for node in gn.schedule(y)] == ["x", "constant", "multiply", "exp", "add"]
    assert [node.name for node in gn.schedule([early, y])] == [node.name for node in gn.schedule((y, early, y))]
    assert gn.schedule("add", g) == gn.schedule(y)
    assert gn.schedule(x) == [x]
    assert unused not in gn.schedule(y)
    assert gn.schedule([], g) == []


@st.composite
def random_graph(draw: st.DrawFn) -> gn.Graph:
    """Build a graph of elementwise operations on a few inputs, with operands anywhere among the earlier nodes."""
    g = gn.Graph()
    nodes = [g.placeholder("x"), g.placeholder("y"), g.parameter("w", 0.5)]
    for _ in range(draw(st.integers(1, 25))):
        operands = [draw(st.sampled_from(nodes)) for _ in range(2)]
        op = draw(st.sampled_from(["add", "subtract", "maximum", "sin", "tanh"]))
        nodes.append(getattr(gn, op)(*operands[: 1 if op in ("sin", "tanh") else 2]))
    return g


@given(st.data())
def test_orders_are_those_of_networkx(draw: st.DataObject) -> None:
    g = draw.draw(random_graph())
    fetches = draw.draw(st.lists(st.sampled_from(list(g)), min_size=1, max_size=3))
    names = set().union(*(nx.ancestors(g.dag, node.name) | {node.name} for node in fetches))
    needed = g.dag.subgraph(names)
    order = gn.schedule(fetches)
    assert [node.name for node in order] == [name for name in g.dag if name in names]
    waves = [sorted(wave) for wave in nx.topological_generations(needed)]
    assert [sorted(node.name for node in wave) for wave in gn.generations(fetches)] == waves
    # The longest path: an edge costs what its end does, and a source beside the graph reaches every beginning.
    cost = {node: draw.draw(st.floats(0, 10)) for node in order}
    for price, given_cost in (
        ({node: float(bool(node.inputs)) for node in order}, None),
        (cost, cost),
        (cost, {node.name: price for node, price in cost.items()}),
        (cost, cost.__getitem__),
    ):
        weighed = nx.DiGraph((u, v, {"weight": price[g[v]]}) for u, v in needed.edges())
        weighed.add_weighted_edges_from((0, name, price[g[name]]) for name in names)
        path = gn.critical_path(fetches, given_cost)
        assert all(a in b.inputs for a, b in pairwise(path))
        assert sum(price[node] for node in path) == pytest.approx(nx.dag_longest_path_length(weighed))


@given(st.data())
def test_a_value_is_needed_until_its_last_reader(draw: st.DataObject) -> None:
    g = draw.draw(random_graph())
    fetches = draw.draw(st.lists(st.sampled_from(list(g)), min_size=1, max_size=3))
    order = gn.schedule(fetches)
    died = {order[place]: at for at, places in enumerate(Program(g, fetches).dying) for place in places}
    for at, node in enumerate(order):
        readers = [order.index(user) for user in node.users if user in order]
        assert died.get(node) == (None if node in fetches else max(readers, default=at))


# --- steps ---------------------------------------------------------------------------------------------------------


def test_evaluation_is_a_generator_one_node_an_iteration(probe: Any) -> None:
    g = gn.Graph()
    log: list[str] = []
    x = g.placeholder("x")
    y = probe(probe(x, logged(log, "a")), logged(log, "b"))
    evaluation = gn.steps(y, {x: 1.0})
    assert log == []
    assert next(evaluation).node is x
    assert log == []
    step = next(evaluation)
    assert log == ["a"]
    assert (step.index, step.node, step.operands[0], step.value) == (1, y.inputs[0], 1, 2)
    index, node, operands, value = step
    assert (index, node, value) == (1, step.node, 2)
    assert (type(operands), type(value)) == (tuple, np.ndarray)
    assert next(evaluation).node is y
    with pytest.raises(StopIteration):
        next(evaluation)
    assert log == ["a", "b"]


def test_steps_follow_the_schedule_and_give_the_bits_of_run() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 3))
    w = g.parameter("w", np.random.default_rng(0).normal(size=(3, 4)))
    loss = gn.sum(gn.softmax(gn.tanh(x @ w)) ** 2)
    grads = gn.grad(loss, [x, w])
    feed = {x: np.random.default_rng(1).normal(size=(5, 3))}
    made = list(gn.steps([loss, *grads], feed))
    order = gn.schedule([loss, *grads])
    assert [(step.index, step.node) for step in made] == list(enumerate(order))
    values = gn.run(order, feed)
    assert all(same_bits(step.value, value) for step, value in zip(made, values, strict=True))
    known = {step.node: step.value for step in made}
    assert all(same_bits(a, known[n]) for step in made for a, n in zip(step.operands, step.node.inputs, strict=True))


def test_steps_check_at_once() -> None:
    x = gn.Graph().placeholder("x", shape=2)
    with pytest.raises(KeyError, match='the feed lacks "x"'):
        gn.steps(-x)
    with pytest.raises(ValueError, match="expected"):
        gn.steps(-x, {x: [1.0]})
    with pytest.raises(TypeError, match="a fetch is a node"):
        gn.steps(None, {x: [1.0, 2.0]})


def test_steps_may_be_left() -> None:
    x = gn.Graph().placeholder("x")
    evaluation = gn.steps(-x, {x: 1.0})
    next(evaluation)
    evaluation.close()
    assert gn.run(-x, {x: 1.0}) == -1


# --- quiet evaluation ----------------------------------------------------------------------------------------------


def test_evaluation_is_quiet_and_leaves_numpys_settings_alone(probe: Any) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=3)
    seen: list[Any] = []

    def look(value: Any) -> Any:
        seen.append(np.geterr())
        return value

    loud = probe(gn.exp(gn.log(x) / x * 1e300), look)  # divides by 0, overflows, is invalid
    for setting in ("raise", "warn", "ignore"):
        with np.errstate(all=setting):
            before = np.geterr()
            assert np.isnan(gn.run(loud, {x: [0.0, -1.0, 1e-300]})).any()
            assert np.geterr() == before
            for _ in gn.steps(loud, {x: [0.0, -1.0, 1e-300]}):
                assert np.geterr() == before
            evaluation = gn.steps(loud, {x: [0.0, -1.0, 1e-300]})
            next(evaluation)
            assert np.geterr() == before
    assert {value for settings_ in seen for value in settings_.values()} == {"ignore"}


def test_an_error_leaves_numpys_settings_alone(probe: Any) -> None:
    x = gn.Graph().placeholder("x")

    def fail(value: Any) -> Any:
        raise ValueError("no")

    y = probe(x, fail)
    with np.errstate(all="raise"):
        before = np.geterr()
        with pytest.raises(ValueError, match="no"):
            gn.run(y, {x: 1.0})
        with pytest.raises(ValueError, match="no"):
            list(gn.steps(y, {x: 1.0}))
        assert np.geterr() == before


def test_casting_a_feed_is_quiet_too() -> None:
    x = gn.Graph(dtype=np.float32).placeholder("x")
    with np.errstate(all="raise"), pytest.warns(gn.GraphnnWarning, match='"x" .* overflows float32'):
        assert np.isinf(gn.run(x, {x: 1e300}))


# --- freeing -------------------------------------------------------------------------------------------------------


def test_values_are_freed_at_their_last_use(probe: Any) -> None:
    g = gn.Graph()
    alive: dict[str, weakref.ref[Any]] = {}
    seen: dict[str, set[str]] = {}

    def make(name: str) -> Callable[[Any], Any]:
        def do(x: Any) -> Any:
            seen[name] = {other for other, ref in alive.items() if ref() is not None}
            value = x + 1
            alive[name] = weakref.ref(value)
            return value

        return do

    x = g.placeholder("x", shape=1000)
    a = probe(x, make("a"))
    b = probe(a, make("b"))
    c = probe(b, make("c"))
    d = probe(c, make("d"))
    e = probe(d + a, make("e"))
    f = probe(e, make("f"))
    run = gn.run([b, f], {x: np.zeros(1000)})
    assert seen == {
        "a": set(),
        "b": {"a"},
        "c": {"a", "b"},  # a is read later, b is fetched
        "d": {"a", "b", "c"},
        "e": {"b"},
        "f": {"b", "e"},
    }
    assert (run[0][0], run[1][0]) == (2, 7)
    assert [name for name, ref in alive.items() if ref() is not None] == ["b", "f"]


def test_a_long_chain_needs_the_memory_of_a_few_values() -> None:
    x = gn.Graph().placeholder("x", shape=125_000)
    h = x
    for _ in range(60):
        h = gn.negative(h)
    fed = np.ones(125_000)  # 1 MB
    gn.run(h, {x: fed})
    tracemalloc.start()
    gn.run(h, {x: fed})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5e6  # the operand and the result


# --- errors --------------------------------------------------------------------------------------------------------

RAISED: list[tuple[Exception, type[Exception]]] = [
    (ValueError("why"), ValueError),
    (TypeError("why"), TypeError),
    (IndexError("why"), IndexError),
    (KeyError("why"), KeyError),
    (ZeroDivisionError("why"), ZeroDivisionError),
    (MemoryError("why"), MemoryError),
    (NotImplementedError("why"), NotImplementedError),
    (np.linalg.LinAlgError("why"), ValueError),
    (RuntimeError("why"), RuntimeError),
    (StopIteration("why"), RuntimeError),
    (AssertionError("why"), RuntimeError),
    (gn.LabelError("why"), gn.LabelError),
    (gn.AxisError("why"), IndexError),
]


@pytest.mark.parametrize(("error", "kind"), RAISED, ids=lambda value: getattr(value, "__name__", repr(value)))
def test_an_error_says_where_it_happened(probe: Any, error: Exception, kind: type[Exception]) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 2))
    failing = True

    def fail(value: Any) -> Any:
        if failing:
            raise error
        return value

    y = probe(gn.exp(x), fail, name="culprit")
    z = y * 2.0
    with pytest.raises(kind) as caught:
        gn.run(z, {x: np.zeros((3, 2))})
    assert isinstance(caught.value, gn.GraphnnError)
    assert str(caught.value).startswith(
        f'while evaluating "culprit" (probe (batch, 2) float64), made at test_run.py:{y.origin.line}: '
    )
    assert "why" in str(caught.value)
    assert '\n  operand 0: "exp" (3, 2) float64' in str(caught.value)
    assert caught.value.__cause__ is error
    with pytest.raises(kind, match='while evaluating "culprit"'):
        list(gn.steps(z, {x: np.zeros((3, 2))}))
    failing = False
    assert gn.run(z, {x: np.zeros((3, 2))}).tolist() == [[2, 2]] * 3


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_stops_within_one_node_and_the_next_run_is_right(probe: Any, interrupt: Any) -> None:
    g = gn.Graph()
    log: list[str] = []
    pressed = True
    x, w = g.placeholder("x"), g.parameter("w", 5.0)

    def press(value: Any) -> Any:
        log.append("press")
        if pressed:
            raise interrupt
        return value

    y = probe(probe(x * w, press), logged(log, "after"))
    before = np.geterr()
    with pytest.raises(interrupt):
        gn.run(y, {x: 2.0})
    assert log == ["press"]
    step = gn.compile(y, updates={w: w + 1.0})
    with pytest.raises(interrupt):
        step({x: 2.0})
    assert (np.geterr(), w.value) == (before, 5)
    pressed = False
    assert gn.run(y, {x: 2.0}) == 11
    assert step({x: 2.0}) == 11
    assert w.value == 6


# --- sizes ---------------------------------------------------------------------------------------------------------


def test_a_named_dimension_takes_another_size_at_every_run() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", "n"))
    spread = gn.sum((x - gn.mean(x, axis=0)) ** 2)
    slope = gn.grad(spread, x)
    nodes = len(g)
    rng = np.random.default_rng(0)
    for shape in [(4, 2), (3, 2), (4, 2), (1, 1), (5, 7), (2, 5), (4, 2)]:
        array = rng.normal(size=shape)
        centred = array - array.mean(axis=0)
        value, gradient = gn.run([spread, slope], {x: array})
        np.testing.assert_allclose(value, (centred**2).sum(), rtol=1e-12)
        np.testing.assert_allclose(gradient, 2 * centred, atol=1e-12)
    assert len(g) == nodes


def test_a_size_that_stands_only_among_the_attributes() -> None:
    g = gn.Graph()
    share = gn.divide_by_size(g.constant(12.0), "n")
    for size in (4, 3, 4, 12):
        assert gn.run(share, sizes={"n": size}) == 12 / size


def test_sizes_may_be_said() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch",))
    ones = gn.zeros(("batch", "2*n"), graph=g) + 1.0
    assert gn.run(ones, sizes={"batch": 2, "n": np.int64(1)}, graph=g).tolist() == [[1, 1], [1, 1]]
    # A placeholder that is not needed may be fed, and binds its names.
    assert gn.run(ones, {x: [0.0, 0.0, 0.0]}, sizes={"n": 1}).shape == (3, 2)
    assert gn.run(ones, {x: [0.0]}, sizes={"n": 2, "batch": 1}).shape == (1, 4)
    assert next(iter(gn.steps(ones, sizes={"n": 1, "batch": 0}))).value.shape == (0, 2)


def test_a_placeholder_may_be_declared_by_an_expression() -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", shape=("n",)), g.placeholder("y", shape=("2*n", "n+1"))
    assert gn.run(gn.sum(y) + gn.sum(x), {x: np.ones(2), y: np.ones((4, 3))}) == 14
    with pytest.raises(ValueError, match='the feed of "y" has n\\+1 = 4'):
        gn.run(gn.sum(y), {x: np.ones(2), y: np.ones((4, 4))})
    with pytest.raises(KeyError, match='nothing gives the dimension "n" a size'):
        gn.run(gn.sum(y), {y: np.ones((4, 3))})


def test_more_programs_and_sizes_than_are_remembered() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch",))
    nodes = [x + float(i) for i in range(100)]
    for _ in range(2):
        for i, node in enumerate(nodes):
            assert gn.run(node, {x: np.zeros(i)}).tolist() == [float(i)] * i
    for i in range(200):
        assert gn.run(nodes[1], {x: np.zeros(i)}).shape == (i,)


def test_a_graph_that_grows_between_runs() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x"), g.parameter("w", 2.0)
    y = x * w
    assert gn.run(y, {x: 3.0}) == 6
    z = y + 1.0
    w.value = 5.0
    assert gn.run([y, z], {x: 3.0}) == [15, 16]
    assert gn.run(y, {x: 3.0}) == 15


# --- threads -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["run", "steps"])
def test_eight_threads_on_one_graph(way: str) -> None:
    count, rounds = 8, 5
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(6, 4))
    feeds = [rng.normal(size=(n, 6)) for n in (1, 2, 3, 5, 8, 13, 21, 34)]

    def model() -> tuple[Any, Any]:
        g = gn.Graph()
        x, w = g.placeholder("x", shape=("batch", 6)), g.parameter("w", weights)
        loss = gn.mean(gn.logsumexp(gn.tanh(x @ w), axis=1))
        return x, [loss, gn.grad(loss, w)]

    x, fetches = model()
    expected = [[value.tobytes() for value in gn.run(fetches, {x: array})] for array in feeds]
    for _ in range(rounds):
        x, fetches = model()  # nothing is remembered yet: the threads race to make it
        start = threading.Barrier(count)

        def work(i: int, x: Any = x, fetches: Any = fetches, start: Any = start) -> bool:
            start.wait()
            right = True
            for k in range(20):
                which = (i + k) % count
                if way == "run":
                    values = gn.run(fetches, {x: feeds[which]})
                else:
                    found = {step.node: step.value for step in gn.steps(fetches, {x: feeds[which]})}
                    values = [found[node] for node in fetches]
                right &= [value.tobytes() for value in values] == expected[which]
            return right

        with ThreadPoolExecutor(count) as pool:
            assert all(pool.map(work, range(count)))


# --- depth ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1_000, 30_000])
def test_a_deep_chain_is_no_matter(count: int) -> None:
    limit = sys.getrecursionlimit()
    g = gn.Graph()
    x, c = g.placeholder("x"), g.constant(1.0, name="c")
    h = x
    for _ in range(count):
        h = h + c
    order = gn.schedule(h)
    assert len(order) == count + 2
    assert gn.run(h, {x: 0.0}) == count
    assert sum(1 for _ in gn.steps(h, {x: 0.0})) == count + 2
    assert len(gn.generations(h)) == count + 1
    path = gn.critical_path(h)
    assert (len(path), path[-1]) == (count + 1, h)
    small = gn.extract(h)
    assert gn.run(h.name, {"x": 1.0}, graph=small) == count + 1
    assert sys.getrecursionlimit() == limit
    del g, x, c, h, order, path, small
    gc.collect()  # what is freed link by link must not recurse either


def test_the_gradient_of_a_deep_chain() -> None:
    x = gn.Graph().placeholder("x")
    h = x
    for _ in range(3_000):
        h = gn.sin(h)
    assert 0 < gn.run(gn.grad(h, x), {x: 1.0}) < 1


def test_a_wide_node_is_no_matter() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    many = gn.stack([x] * 500)
    assert gn.run(gn.sum(many), {x: 2.0}) == 1000
    assert len(many.inputs) == g.dag.number_of_edges("x", many.name) == 500


@settings(max_examples=30)
@given(st.data())
def test_a_random_graph_gives_the_values_of_numpy(draw: st.DataObject) -> None:
    g = draw.draw(random_graph())
    x, y = draw.draw(st.floats(-3, 3)), draw.draw(st.floats(-3, 3))
    known: dict[gn.Node, Any] = {g["x"]: np.asarray(x), g["y"]: np.asarray(y), g["w"]: np.asarray(0.5)}
    for node in g:
        if node.inputs:
            known[node] = np.asarray(getattr(np, node.op.name)(*[known[operand] for operand in node.inputs]))
    assert all(map(same_bits, gn.run(list(g), {"x": x, "y": y}, graph=g), known.values()))


# --- operations of one's own ----------------------------------------------------------------------------------


@pytest.fixture
def own_operation(own_operations):
    """The base of operations that are gone after the test."""
    return gn.ops.elementwise.Elementwise


def test_an_operation_that_gives_another_shape_than_it_says_is_refused(own_operation) -> None:
    class Shortened(own_operation):
        """Drops what it must not."""

        like = np.exp

        def forward(self, x, out=None):
            return x[:1]

    x = gn.Graph().placeholder("x", shape=("n",))
    node = gn.shortened(x)
    with pytest.raises(ValueError, match=r"Shortened.forward gave \(1,\) float64, where its infer says \(4,\) float64"):
        gn.run(node, {x: np.ones(4)})
    assert gn.run(node, {x: np.ones(1)}).tolist() == [1.0]


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        ((2,), gn.UsageError, r"lax: Lax\.infer gives a tuple: write return gn\.Spec\(shape, dtype\)\n  operand 0"),
        (None, gn.UsageError, r"lax: Lax\.infer gives a NoneType: write return gn\.Spec\(shape, dtype\)"),
        (gn.Spec((2,), "float7"), gn.DtypeError, r"lax: the dtype that Lax\.infer gives: 'float7' is not a dtype"),
        (gn.Spec((2.5,), np.dtype(float)), gn.UsageError, "a dimension is an int or a name, not 2.5"),
        (gn.Spec((-2,), np.dtype(float)), gn.ShapeError, "a dimension is 0 or more, not -2"),
    ],
)
def test_what_the_infer_of_an_own_operation_gives_is_checked(own_operations, said, error, message) -> None:
    class Lax(gn.Op):
        """Says something that it must not."""

        def infer(self, x):
            return said

        def forward(self, x):
            return x

    with pytest.raises(error, match=message):
        gn.lax(gn.Graph().placeholder("x", shape=2))


@pytest.mark.parametrize(("given", "lacks"), [("forward", "no infer"), ("infer", "no forward")])
def test_an_own_operation_without_infer_or_forward_is_refused(own_operations, given, lacks) -> None:
    with pytest.raises(gn.GraphError, match=f"Half has {lacks}: an operation needs both"):
        type("Half", (gn.Op,), {given: lambda self, x: x})


def test_an_own_operation_that_gives_another_dtype_is_refused(own_operation) -> None:
    class Halved(own_operation):
        """Gives float32."""

        like = np.exp

        def forward(self, x, out=None):
            return x.astype(np.float32)

    x = gn.Graph().placeholder("x", shape=2)
    with pytest.raises(gn.DtypeError, match=r"Halved.forward gave \(2,\) float32, where its infer says \(2,\) float64"):
        gn.run(gn.halved(x), {x: [1.0, 2.0]})


def test_an_infer_that_fails_in_a_run_does_not_hide_why_the_forward_failed(own_operations) -> None:
    class Fragile(gn.Op):
        """Fails, and so does its infer for numbers."""

        def infer(self, x):
            if x.shape == (3,):
                raise RuntimeError("not this one")
            return x

        def forward(self, x):
            raise ValueError("for this reason")

    x = gn.Graph().placeholder("x", shape="n")
    with pytest.raises(gn.ValueRangeError, match="for this reason"):
        gn.run(gn.fragile(x), {x: np.ones(3)})


def test_the_infer_of_an_own_operation_may_write_a_spec_as_numpy_takes_it(own_operations) -> None:
    class Twofold(gn.Op):
        """2x, in float32."""

        def infer(self, x):
            return gn.Spec([np.int64(2), *x.shape[1:]], np.float32)

        def forward(self, x):
            return np.float32(2) * x.astype(np.float32)

    node = gn.twofold(gn.Graph().placeholder("x", shape=(2, "n")))
    assert node.spec == gn.Spec((2, "n"), np.dtype(np.float32))
    assert type(node.shape[0]) is int
    assert gn.run(node, {"x": [[1.0], [3.0]]}).tolist() == [[2.0], [6.0]]


def test_an_operation_cannot_write_to_its_operands(own_operation) -> None:
    class Doubling(own_operation):
        """Doubles in place, which it must not."""

        like = np.exp

        def forward(self, x, out=None):
            x *= 2
            return x

    x = gn.Graph().placeholder("x", shape=("n",))
    with pytest.raises(ValueError, match=r'while evaluating "doubling".*read-only'):
        gn.run([gn.doubling(x * 1.0)], {x: np.ones(4)})


def test_a_step_is_short_to_read() -> None:
    x = gn.Graph().placeholder("x", shape=("n",))
    assert repr(next(gn.steps(x, {x: np.ones(300)}))) == '<Step 0: "x", placeholder (300,) float64>'


def test_a_node_has_no_methods_of_arrays_and_says_what_to_write() -> None:
    x = gn.Graph().placeholder("x")
    with pytest.raises(AttributeError, match=r'no attribute "sum": write gn.sum\(node, axis=None, keepdims=False\)'):
        x.sum()
    assert not hasattr(x, "__array_interface__")
    with pytest.raises(AttributeError, match=r"write graph.constant"):
        gn.constant(3)


@pytest.mark.parametrize(
    ("shape", "dtype", "fed", "words"),
    [
        (("batch",), "int64", np.eye(3)[[0, 2]], "of rows that are one-hot, array.argmax(axis=-1) is the classes"),
        (("batch",), "int64", np.eye(3, dtype=int)[[0, 2]], "of rows that are one-hot, array.argmax(axis=-1) is the"),
        (("batch", 3), "float64", np.array([0, 2]), "if these are classes, np.eye(3)[array] is one-hot"),
        (("batch", 2), "float64", np.ones((2, 5)), "its transpose would fit, array.T"),
    ],
)
def test_a_feed_that_would_fit_in_another_form_is_told_which(shape: Any, dtype: str, fed: Any, words: str) -> None:
    x = gn.Graph().placeholder("x", shape=shape, dtype=dtype)
    with pytest.raises(gn.GraphnnError, match=re.escape(words)):
        gn.run(x, {x: fed})


def test_a_feed_that_fits_in_no_form_gets_no_such_hint() -> None:
    x = gn.Graph().placeholder("x", shape=("batch", 2))
    whole = gn.Graph().placeholder("whole", shape=("n",), dtype="int64")
    narrow = gn.Graph().placeholder("narrow", shape=("n", 1))
    asked = [(x, np.ones((5, 3))), (x, np.ones(4)), (x, np.ones((2, 2, 2))), (whole, np.ones((5, 1), int))]
    for node, fed in [*asked, (whole, np.full((5, 2), 3)), (narrow, np.array([0, 1])), (whole, np.array(3))]:
        with pytest.raises(gn.errors.ShapeError) as caught:
            gn.run(node, {node: fed})
        assert str(caught.value).partition("declared at ")[2].count(";") == 0


def test_what_an_operation_keeps_for_itself_stays_its_own(probe: Any) -> None:
    table = np.arange(3.0)
    g = gn.Graph()
    x = g.placeholder("x", shape=3)
    feed = {"x": np.zeros(3)}
    for kept in (lambda x: table, lambda x: table[::1]):
        y = probe(x, kept)
        for run in (lambda y=y: gn.run(y, feed), lambda y=y: gn.compile(y, guard="nan")(feed)):
            result = run()
            result += 100.0
            assert table.tolist() == [0.0, 1.0, 2.0]
        seen = gn.trace(y, feed)
        assert table.flags.writeable
        np.add(table, 1.0, out=table)
        assert seen[y].value.tolist() == [0.0, 1.0, 2.0]
        np.subtract(table, 1.0, out=table)
    seen = gn.trace(probe(x, lambda x: x[:]), feed)
    assert np.shares_memory(*[record.value for record in seen])  # what is the operand's needs no copy


# --- how a node is computed ----------------------------------------------------------------------------------------


def test_how_a_node_is_computed_may_be_replaced() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=2)
    y = gn.exp(x) * 2.0
    ran: list[str] = []

    def in_single(node: gn.Node, forward: Callable[..., Any], *operands: Any) -> Any:
        ran.append(node.name)
        return forward(*[a.astype(np.float32) for a in operands])

    prepared = prepare(g, [y], {x: [1.0, 2.0]})
    *_, last = evaluate(prepared, run_node=in_single)
    assert ran == ["exp", "multiply"]
    assert last.value.dtype == np.float32
    assert np.allclose(last.value, gn.run(y, {x: [1.0, 2.0]}))
    with pytest.raises(gn.DivisionError, match='while evaluating "exp"'):
        list(evaluate(prepared, run_node=lambda node, forward, *operands: 1 // 0))


def test_of_many_programs_only_the_oldest_is_forgotten() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    nodes = [x + float(i) for i in range(40)]
    programs = [program_of(g, [node]) for node in nodes]
    assert program_of(g, [nodes[-2]]) is programs[-2]
    assert program_of(g, [nodes[10]]) is programs[10]
    assert program_of(g, [nodes[0]]) is not programs[0]
