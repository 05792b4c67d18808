"""A graph comes back from a file as it was, to the bit; and from a file that lies, an error does."""

import copy
import enum
import gc
import json
import math
import os
import random
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

import networkx as nx
import numpy as np
import pytest
from forging import overwrite
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import graphnn as gn
from graphnn import Graph, Node, Op, Scope, Spec, load, save
from graphnn.core import registry
from graphnn.core.node import put_twin
from graphnn.errors import FileFormatError, GraphError, ShapeError, UsageError
from graphnn.io import container
from graphnn.io.graph_files import MAX_NESTING, VERSION, from_data, to_data
from graphnn.nn import SGD, Adam
from graphnn.testing import Draw
from graphnn.transforms.copied_tables import derivatives_among

PACKAGE = Path(gn.__file__).parent.parent
KILLS = 50  # random moments at which a save is killed
STEPS = 20  # of training, before and after a file


# What a graph is


def exact(value: Any) -> Any:
    """Return a key of a value by its types and bits."""
    if isinstance(value, (tuple, list)):
        return type(value), [exact(part) for part in value]
    if isinstance(value, dict):
        return type(value), [(exact(k), exact(v)) for k, v in value.items()]
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, value.tobytes(), value.flags.writeable
    if type(value) is float:
        return float, "nan" if math.isnan(value) else struct.pack("<d", value)
    return type(value), value


def called(node: Node | None) -> str | None:
    return None if node is None else node.name


def whole(graph: Graph) -> dict[str, Any]:
    """Return everything that makes a graph what it is, in plain data and in order."""
    return {
        "graph": (graph.name, graph.dtype, exact(graph.memory_budget)),
        "nodes": [
            (
                *(node.name, node.index, type(node.op), exact(node.op.attributes), [n.name for n in node.inputs]),
                *(
                    node.shape,
                    node.dtype,
                    node.spec.constraints,
                    node.scope,
                    node.phase,
                    node.origin,
                    called(node.twin),
                ),
            )
            for node in graph
        ],
        "users": [[user.name for user in node.users] for node in graph],
        "scopes": [
            (path, s.path, s.kind, s.origin, s.parent and s.parent.path, s.phase, called(s.result))
            for path, s in graph.scopes.items()
        ],
        "parents": all(s.parent is None or graph.scopes[s.parent.path] is s.parent for s in graph.scopes.values()),
        "state": [(node.name, exact(value)) for node, value in graph.state.items()],
        "constants": [(node.name, exact(graph._stored(node))) for node in graph if node.op.name == "constant"],
        "placeholders": [node.name for node in graph.placeholders],
        "parameters": [node.name for node in graph.parameters],
        "outputs": [(name, node.name) for name, node in graph.outputs.items()],
        "names": [(name, node.name) for name, node in graph.names.items()],
        "updates": [(parameter.name, node.name) for parameter, node in graph.updates.items()],
        "advances": [(parameter.name, at.name, node.name) for (parameter, at), node in graph.advances.items()],
        "evaluating": [(trained.name, node.name) for trained, node in graph.evaluation.items()],
        "idle": [(path, node.name) for path, node in graph.idle.items()],
        "counters": dict(graph._counters),
        "derivatives": [
            (
                backwards,
                [(node.name, called(value)) for node, value in given],
                derived.root.path,
                [(node.name, derivative.name) for node, derivative in derived.of.items()],
            )
            for backwards, given, derived in derivatives_among(graph, graph, graph.scopes)
        ],
    }


def assert_same(graph: Graph, other: Graph) -> None:
    a, b = whole(graph), whole(other)
    for part, value in a.items():
        assert value == b[part], part
    assert all(node.graph is other for node in other)
    assert list(graph.dag.edges(keys=True)) == list(other.dag.edges(keys=True))
    assert exact(dict(graph.dag.graph)) == exact(dict(other.dag.graph))
    for (name, data), (same_name, same_data) in zip(graph.dag.nodes.items(), other.dag.nodes.items(), strict=True):
        assert name == same_name
        assert exact(dict(data)) == exact(dict(same_data))


def through_a_file(graph: Any) -> Graph:
    with TemporaryDirectory() as folder:
        path = Path(folder, "graph.gnn")
        save(graph, path)
        first = path.read_bytes()
        back = load(path)
        assert back is not graph
        save(back, path)
        assert path.read_bytes() == first or not isinstance(graph, Graph)
        assert [entry.name for entry in path.parent.iterdir()] == ["graph.gnn"]
    return back


def bits(values: Any) -> list[bytes]:
    return [np.asarray(value).tobytes() for value in values]


# Graphs

names = st.text(st.characters(exclude_characters="\0", exclude_categories=()), max_size=8) | st.sampled_from(
    ['a"b', "<b>x</b>", "dense/kernel:0", "\\N", "multiply", "grad", "</script>", "\ud83d\ude00", "\x1b[2J", "é" * 300]
)
numbers = st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 0.1]) | st.floats(width=32)

# On a node of shape (batch, 3).
UNARY: list[Callable[[st.DataObject, Node], Node]] = [
    lambda data, h: gn.sin(h),
    lambda data, h: gn.relu(h),
    lambda data, h: -h,
    lambda data, h: gn.clip(h, data.draw(numbers), data.draw(numbers | st.none())),
    lambda data, h: h * data.draw(numbers),
    lambda data, h: h @ h.graph.constant(np.eye(3, dtype=h.dtype)),
    lambda data, h: gn.reshape(gn.reshape(h, -1), (-1, 3)),
    lambda data, h: h[:, ::-1],
    lambda data, h: gn.softmax(h, axis=1),
    lambda data, h: h - gn.mean(h, axis=0, keepdims=True),
    lambda data, h: gn.concatenate([h[..., 1:], h[:, :1]], axis=1),
    lambda data, h: gn.cast(gn.cast(h, "float32"), h.dtype),
    lambda data, h: gn.where(h > 0, h, 0.25),
]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    data = draw(st.data())
    g = Graph(draw(names), draw(st.sampled_from(["float32", "float64"])))
    g.memory_budget = draw(st.none() | st.integers(2**20, 2**40))
    x = g.placeholder("x", shape=("batch", 3))
    g.placeholder(
        "unused", shape=draw(st.sampled_from([(), 4, ("batch-1+n*n", 0)])), dtype=draw(st.sampled_from("?bL"))
    )
    w = g.parameter("w", np.linspace(-1, 1, 3))
    g.parameter("frozen", np.array(draw(numbers)), trainable=False)
    count = g.parameter("count", np.int64(3), trainable=False)
    pool = [x, gn.tanh(x * gn.cast(w, g.dtype))]
    for _ in range(draw(st.integers(0, 12))):
        if draw(st.integers(0, 3)) == 0:
            try:
                with g.scope(draw(names) or "head", reuse=draw(st.booleans())):
                    pool.append(gn.exp(draw(st.sampled_from(pool)), name=draw(st.none() | names)))
            except GraphError:  # the name is taken
                pass
        elif draw(st.booleans()):
            pool.append(draw(st.sampled_from(UNARY))(data, draw(st.sampled_from(pool))))
        else:
            a, b = draw(st.sampled_from(pool)), draw(st.sampled_from(pool))
            pool.append(draw(st.sampled_from([gn.add, gn.multiply, gn.maximum]))(a, b))
    g.advances[count] = count + 1
    noise = gn.random_uniform(count, ("batch", 3), seed=2**64 - 1, dtype=g.dtype)
    loss = gn.sum(gn.square(pool[-1] * noise + pool[1]))
    if draw(st.booleans()):
        g.outputs[f"{draw(names)} out"] = loss
    if draw(st.booleans()):
        draw(st.sampled_from([SGD(0.1), Adam(0.01)])).updates(loss)
    if draw(st.booleans()):
        slope = gn.grad(loss, w)
        if draw(st.booleans()):
            gn.grad(gn.sum(slope * slope), [w, x])
            gn.jvp(slope, {w: np.ones(3)})
    return g


def spiral() -> Graph:
    """Return a graph with something of everything, small."""
    g = Graph("spiral", "float32")
    x = g.placeholder("x", shape=("batch", 2))
    labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
    rng = np.random.default_rng(0)
    count = g.parameter("count", np.int64(0), trainable=False)
    g.advances[count] = count + 1
    with g.scope("dense"):
        weight = g.parameter("weight", rng.normal(size=(2, 3)).astype("float32"))
        h = x @ weight + g.parameter("bias", np.zeros(3, "float32"))
        with g.scope("inner"):
            h = gn.clip(h, -0.0, math.inf)
    mask = gn.random_uniform(count, ("batch", 3), seed=7, dtype="float32") > 0.5
    p = gn.softmax(gn.where(mask, h, 0.0))
    loss = -gn.mean(gn.log(gn.sum(p * gn.one_hot(labels, 3, dtype="float32"), axis=(1,))))
    g.outputs["loss"] = loss
    g.outputs["p"] = p
    Adam(0.01).updates(loss)
    return g


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "graph.gnn"


# Round trips


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(graphs())
def test_a_graph_comes_back_as_it_was(graph: Graph) -> None:
    back = through_a_file(graph)
    assert_same(graph, back)
    feed = {"x": np.linspace(-2, 2, 12).reshape(4, 3).astype(graph.dtype), "unused": np.zeros((), bool)}
    if graph.outputs and graph["unused"].shape == () and graph["unused"].dtype == np.bool_:
        name = next(iter(graph.outputs))
        steps = [gn.compile(g.outputs[name], updates=g.updates) for g in (graph, back)]
        for _ in range(3):
            assert bits([steps[0](feed)]) == bits([steps[1](feed)])
        assert_same(graph, back)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(graphs())
def test_building_goes_on_with_the_same_names(graph: Graph) -> None:
    back = through_a_file(graph)
    for g in (graph, back):
        h = gn.exp(g["x"]) * g["x"]
        for _ in range(2):
            with g.scope("head"):
                h = gn.softmax(h + 1.0)
        gn.grad(gn.sum(h), g["x"])
    assert_same(graph, back)


@pytest.mark.parametrize("cls", [c for c in registry.values() if c.samples.__func__ is not Op.samples.__func__])
def test_every_operation_comes_back(cls: type[Op]) -> None:
    graph = Graph()
    for seed in range(10):
        op, operands = cls.samples(Draw(np.random.default_rng(seed)))
        with graph.scope("sample"):
            inputs = [graph.placeholder(f"p{i}", np.shape(a), np.asarray(a).dtype) for i, a in enumerate(operands)]
            graph.add(op, inputs)
    assert_same(graph, through_a_file(graph))


@pytest.fixture
def setting() -> Iterator[type[Op]]:
    """An operation of one's own, whose attribute is anything."""

    class Setting(Op):
        value: Any = None

        def infer(self, x: Spec) -> Spec:
            return x

        def forward(self, x: Any, out: Any = None) -> Any:
            return x

    yield Setting
    registry.pop("setting", None)


attributes = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | numbers | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4).map(tuple),
    max_leaves=12,
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(attributes, min_size=1, max_size=8))
def test_attributes_come_back_exactly(setting: type[Op], values: list[Any]) -> None:
    graph = Graph()
    x = graph.placeholder("x")
    for value in values:
        setting(value)(x)
    data, arrays = to_data(graph)
    back = from_data(json.loads(json.dumps(data)), arrays)
    assert_same(graph, back)
    assert [exact(node.op.value) for node in list(back)[1:]] == [exact(value) for value in values]  # type: ignore[attr-defined]


def test_attributes_that_are_nearly_plain_are_made_plain(setting: type[Op]) -> None:
    class Color(str, enum.Enum):  # noqa: UP042 - whose str() is not its text, unlike a StrEnum's
        RED = "red"

    class Number(enum.IntEnum):
        ONE = 1

    given = [
        np.float64(-0.0),
        np.str_("a"),
        Color.RED,
        Number.ONE,
        np.int8(3),
        np.True_,
        slice(1, None),
        np.float32,
        ...,
    ]
    graph = Graph()
    x = graph.placeholder("x")
    setting(tuple(given))(x)
    (_, node) = through_a_file(graph)
    expected = (-0.0, "a", "red", 1, 3, True, (1, None, None), "float32", "...")
    assert exact(node.op.attributes) == exact({"value": expected})


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "float16", "float32", "float64"])
def test_values_come_back_to_the_bit(dtype: str) -> None:
    raw = np.arange(48, dtype=np.uint8) * 37 if dtype != "bool" else np.arange(48, dtype=np.uint8) % 2
    array = raw.view(dtype).copy()  # NaNs with payloads among them
    graph = Graph()
    graph.constant(array, name="c")
    graph.parameter("w", array.reshape(2, -1).T, trainable=False)
    graph.constant(np.zeros((0, 4), dtype), name="empty")
    graph.constant(np.zeros((), dtype), name="scalar")
    back = through_a_file(graph)
    assert back["c"].value.tobytes() == array.tobytes()
    assert_same(graph, back)


def test_an_empty_graph_and_strange_names_come_back() -> None:
    graph = Graph("")
    graph.memory_budget = np.int64(10**9)  # type: ignore[assignment]
    assert exact(through_a_file(graph).memory_budget) == (int, 10**9)
    graph.memory_budget = None
    for name in [
        'a"b',
        "<b>x</b>",
        "dense/kernel:0",
        "\\N",
        "",
        "x" * 10_000,
        "</script>",
        "\ud83d\ude00",
        "\ud83d",
        "é\n",
    ]:
        graph.parameter(name, [1.0])
        graph.outputs[name + " out"] = graph[name]
    assert_same(graph, through_a_file(graph))


def test_text_that_is_nearly_plain_is_made_plain() -> None:
    graph = Graph(np.str_("g"))
    with graph.scope(np.str_("head")):
        graph.outputs[np.str_("y")] = graph.constant(1.0)
        graph.outputs["z"] = graph.constant(1.0)
    back = through_a_file(graph)
    assert [type(text) for text in (back.name, *back.scopes, *back.outputs, *back._counters)] == [str] * 5
    assert back.outputs["y"].scope == "head"


def test_a_scope_opened_late_may_be_called_as_a_node_or_an_output_is() -> None:
    graph = Graph()
    x = graph.placeholder("x")
    with graph.scope("multiply"):
        y = gn.exp(gn.sin(x))
    with graph.scope("head"):
        y = gn.exp(y)
    graph.outputs["grad/head"] = y
    gn.grad(y * y * 3.0, x)
    back = through_a_file(graph)
    assert_same(graph, back)
    assert "grad/head" in back.scopes
    assert back.outputs["grad/head"].name == "head/exp"


def test_a_graph_from_networkx_comes_back_and_its_twins_may_come_later() -> None:
    dag = nx.MultiDiGraph(name="elsewhere")
    dag.add_node("c", op="constant", value=np.ones(2), twin="x", scope="a/b/c")
    dag.add_node("x", op="placeholder", shape=(2,))
    dag.add_node("y", op="add", twin="y")
    dag.add_edge("c", "y", 0)
    dag.add_edge("x", "y", 1)
    graph = Graph.from_networkx(dag)
    put_twin(graph["y"], graph["y"])
    assert graph["c"].twin is graph["x"]
    assert_same(graph, through_a_file(graph))


def test_a_long_chain_needs_no_recursion(path: Path) -> None:
    graph = Graph()
    h = graph.placeholder("x")
    for _ in range(20_000):
        h = gn.sin(h)
    limit = sys.getrecursionlimit()
    save(graph, path)
    back = load(path)
    assert sys.getrecursionlimit() == limit
    assert len(back) == 20_001
    assert path.stat().st_size < 60 * len(back)
    assert [node.name for node in back] == [node.name for node in graph]


# What is saved


def test_fetches_save_what_they_need() -> None:
    graph = spiral()
    for fetches in (graph["p"], [graph["p"]], {"a": (graph["dense/add"], graph["x"])}, graph["grad/dense/matmul"]):
        assert_same(gn.extract(fetches), through_a_file(fetches))
    assert "labels" not in through_a_file(graph["p"])


def test_a_derivative_that_came_along_is_not_made_again() -> None:
    g = spiral()
    loss, weight, p = g.outputs["loss"], g["dense/weight"], g.outputs["p"]
    slope = gn.grad(loss, weight)
    length = gn.sum(gn.square(slope))
    known = [
        *(loss, slope, length, gn.grad(length, weight)),
        *(gn.vjp({p: p * 2.0}, weight), gn.jvp(p, {weight: slope})),
    ]
    (cotangent,) = (value for given in g.cotangents for _, value in given if value is not None)
    for back in (through_a_file(g), through_a_file(known), gn.extract(known)):
        before = list(back)
        again = [back[node.name] for node in (loss, weight, p, slope, length, cotangent)]
        there_loss, there_weight, there_p, there_slope, there_length, there_cotangent = again
        assert gn.grad(there_loss, there_weight) is there_slope
        assert gn.grad(there_length, there_weight) is back[known[3].name]
        assert gn.vjp({there_p: there_cotangent}, there_weight) is back[known[4].name]
        assert gn.jvp(there_p, {there_weight: there_slope}) is back[known[5].name]
        assert list(back) == before
        # In whatever order they are given.
        both = {there_p: there_cotangent, there_loss: there_slope[0, 0]}
        pulled = gn.vjp(both, there_weight)
        count = len(back)
        assert gn.vjp(dict(reversed(both.items())), there_weight) is pulled
        assert len(back) == count


def test_what_only_a_part_of_is_saved_is_differentiated_anew_where_it_must_be() -> None:
    g = gn.Graph()
    w, v = g.parameter("w", [0.3, 0.4]), g.parameter("v", [0.5, 0.6])
    loss = gn.sum(gn.sin(w) * gn.exp(v * w))
    by_w, by_v = gn.grad(loss, [w, v])
    expected = gn.run([by_w, by_v])
    for back in (through_a_file([loss, by_v]), gn.extract([loss, by_v])):
        slopes = gn.grad(back[loss.name], [back["w"], back["v"]])
        assert slopes[1] is back[by_v.name]
        np.testing.assert_array_equal(gn.run(slopes), expected)
    for back in (through_a_file([by_v]), gn.extract([by_v])):
        assert loss.name not in back
        assert not back.cotangents


def test_another_function_does_not_keep_the_derivatives_of_the_first() -> None:
    g = gn.Graph()
    w = g.parameter("w", [0.3, 0.4])
    h = gn.sin(w)
    loss = gn.sum(h * h)
    gn.grad(loss, w)
    other = gn.replace(loss, {h: gn.exp(w)})
    np.testing.assert_allclose(gn.run(gn.grad(other, other.graph["w"])), 2 * np.exp([0.6, 0.8]))


def test_only_graphs_and_nodes_are_saved(path: Path) -> None:
    graph = spiral()
    step = gn.compile(graph.outputs["loss"], updates=graph.updates)
    for thing, words in [
        (step, r"not Compiled: its graph is \.graph, and that holds all its parameters"),
        (gn.nn.Dense(3), "not Dense: node.graph is the graph of a node, and that holds all its parameters"),
        ([graph["x"], step], "not Compiled"),
        ({"w": np.ones(3)}, "not ndarray"),
        (str(path), "not str"),
        (None, "not NoneType"),
        ([], "empty"),
        ([graph["x"], Graph().placeholder("x")], "two graphs"),
    ]:
        with pytest.raises((UsageError, GraphError), match=words):
            save(thing, path)
    assert not path.exists()


def test_a_state_that_no_file_could_give_back_is_not_saved(path: Path) -> None:
    graph = Graph()
    w = graph.parameter("w", [1.0, 2.0])
    save(graph, path)
    before = path.read_bytes()
    with pytest.raises(ShapeError, match=r'"w" has shape \(2,\); the value given has \(3,\)'):
        graph.state[w] = np.ones(3)
    dict.__setitem__(graph.state, w, np.ones(3))  # past the check
    with pytest.raises(ShapeError, match=r'"w" has shape \(2,\); the value given has \(3,\)'):
        save(graph, path)
    assert path.read_bytes() == before


def test_scopes_too_deep_in_each_other_are_not_saved(path: Path) -> None:
    graph = Graph()
    parent = None
    for depth in range(MAX_NESTING + 1):
        name = f"{depth}"
        parent = graph.scopes[name] = Scope(name, "", graph.constant(1.0, f"c{depth}").origin, parent, "forward")
    with pytest.raises(FileFormatError, match="scopes are nested 1001 deep; a file holds up to 1000"):
        save(graph, path)
    assert not path.exists()
    del graph.scopes[f"{MAX_NESTING}"]
    assert_same(graph, through_a_file(graph))


def test_attributes_too_deep_in_each_other_are_not_saved(setting: type[Op], path: Path) -> None:
    value: Any = 1
    for _ in range(200):
        value = (value,)
    graph = Graph()
    setting(value)(graph.placeholder("x"))
    with pytest.raises(FileFormatError, match="deep"):
        save(graph, path)
    assert not path.exists()


def test_data_share_the_arrays_of_the_graph() -> None:
    graph = Graph()
    w = graph.parameter("w", np.arange(4.0))
    data, arrays = to_data(graph)
    back = from_data(data, arrays)
    assert np.shares_memory(arrays["w"], graph.state[w])
    assert np.shares_memory(arrays["w"], back.state[back["w"]])
    assert not arrays["w"].flags.writeable
    back["w"].value = np.zeros(4)
    assert w.value.tolist() == [0, 1, 2, 3]
    assert arrays["w"].tolist() == [0, 1, 2, 3]


def test_a_loaded_value_is_read_only() -> None:
    graph = Graph()
    graph.parameter("w", [1.0])
    back = through_a_file(graph)
    with pytest.raises(ValueError, match="read-only"):
        back.state[back["w"]][0] = 2.0


def test_what_is_saved_while_another_thread_trains_is_from_between_two_steps() -> None:
    graph = Graph()
    parameters = [graph.parameter(f"w{i}", np.zeros(2)) for i in range(30)]
    step = gn.compile(parameters[0], updates={w: w + 1.0 for w in parameters})
    done = threading.Event()

    def train() -> None:
        while not done.is_set():
            step()

    thread = threading.Thread(target=train)
    thread.start()
    try:
        seen = set()
        for _ in range(100):
            _, arrays = to_data(graph)
            (number,) = {float(arrays[w.name][1]) for w in parameters}
            seen.add(number)
            time.sleep(0.001)
    finally:
        done.set()
        thread.join()
    assert len(seen) > 1


def test_a_call_that_does_not_fit_shows_the_signature(path: Path) -> None:
    g = spiral()
    load_words, save_words = r"load\(path, \*, mmap=False, verify=True\)", r"save\(fetches, path\)"
    for call, words in ((lambda: gn.load(path, path), load_words), (lambda: gn.save(g), save_words)):
        with pytest.raises(TypeError, match=f"The call is {words}"):
            call()


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_is_left_as_it_was(path: Path, enabled: bool) -> None:
    graph = spiral()
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        save(graph, path)
        load(path)
        from_data(*to_data(graph))
        for failing in (lambda: save(None, path), lambda: load(path.parent / "none"), lambda: from_data(None, {})):
            with pytest.raises((UsageError, FileNotFoundError, FileFormatError)):
                failing()
            assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()


# Training goes on

TRAIN = """
import sys
import numpy as np
import graphnn as gn
from graphnn.io import graph_files

def batch(i):
    rng = np.random.default_rng(i)
    x = rng.normal(size=(16, 2)).astype(np.float32)
    return {"x": x, "labels": (x[:, 0] > x[:, 1]).astype(np.int64)}

def train(g, first, last):
    step = gn.compile(g.outputs["loss"], updates=g.updates)
    return [step(batch(i)) for i in range(first, last)]

if __name__ == "__main__":
    path, first, last = sys.argv[1], *map(int, sys.argv[2:])
    g = graph_files.load(path)
    losses = train(g, first, last)
    np.savez(path + ".npz", *losses, *g.state.values())
"""


def test_training_goes_on_in_a_new_process_to_the_bit(path: Path) -> None:
    scope: dict[str, Any] = {"__name__": "train"}
    exec(compile(TRAIN, "train.py", "exec"), scope)  # noqa: S102 - the text above, that the new process runs too
    straight, halved = spiral(), spiral()
    losses = scope["train"](straight, 0, 2 * STEPS)
    assert bits(losses[:STEPS]) == bits(scope["train"](halved, 0, STEPS))
    save(halved, path)
    environment = os.environ | {"PYTHONPATH": str(PACKAGE), "PYTHONHASHSEED": "5"}
    subprocess.run(
        [sys.executable, "-W", "error", "-c", TRAIN, str(path), str(STEPS), str(2 * STEPS)], check=True, env=environment
    )
    with np.load(f"{path}.npz") as stored:
        found = [stored[name] for name in stored.files]
    assert bits(found[:STEPS]) == bits(losses[STEPS:])
    assert bits(found[STEPS:]) == bits(straight.state.values())
    assert len({loss.tobytes() for loss in losses}) == 2 * STEPS
    assert int(straight["count"].value) == 2 * STEPS


# Killed

SAVER = """
import os, sys
import numpy as np
from graphnn.io import graph_files
from graphnn.core import Graph, fn

path = sys.argv[1]
g = Graph("killed")
a, b = g.parameter("a", np.zeros(30_000)), g.parameter("b", np.zeros((3, 2)))
h = fn.sum(a) + fn.sum(b)
for _ in range(100):
    h = fn.sin(h)
g.outputs["h"] = h

def say(what):
    os.write(1, f"{what}\\n".encode())  # in one piece, since two processes write

def save(number):
    for node in (a, b):
        node.value = np.full(node.shape, float(number))
    graph_files.save(g, path)

save(0)
say(0)
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        try:
            number = 0
            while True:
                number += 1
                save(number)
                if number == 1:
                    say("saved")
        finally:
            os._exit(1)
    say(pid)
    os.waitpid(pid, 0)
    say(pid)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX only: fork and SIGKILL")
def test_a_save_killed_at_a_random_moment_leaves_the_old_graph_or_the_new(path: Path) -> None:
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    chance = random.Random(0)
    litters = set()
    seen = set()
    with subprocess.Popen(
        [sys.executable, "-c", SAVER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | one_thread | {"PYTHONPATH": str(PACKAGE)},
    ) as saver:
        assert saver.stdin is not None
        assert saver.stdout is not None
        assert saver.stdout.readline() == "0\n"
        took = 0.004
        for _ in range(KILLS):
            saver.stdin.write("\n")
            saver.stdin.flush()
            # The first save after a fork may take much longer than others: what is copied is copied then.
            told = {saver.stdout.readline().strip() for _ in range(2)}
            (child,) = map(int, told - {"saved"})
            try:
                time.sleep(chance.uniform(0, 3 * took))
            finally:
                os.kill(child, signal.SIGKILL)
            assert int(saver.stdout.readline()) == child
            litters.add(len(list(path.parent.iterdir())) - 1)
            graph = load(path)
            assert len(graph) == 105
            (number,) = {float(n) for value in graph.state.values() for n in value.flat}
            seen.add(number)
            begun = time.perf_counter()
            save(graph, path)
            took = time.perf_counter() - begun
            assert [entry.name for entry in path.parent.iterdir()] == [path.name]
        saver.stdin.close()
    assert litters == {0, 1}
    assert len(seen) > 1


# Files that are damaged


def refusal(path: Path) -> str:
    with pytest.raises(FileFormatError) as caught:
        load(path)
    assert isinstance(caught.value, ValueError)
    message = str(caught.value)
    assert message.startswith(repr(str(path)))
    return message


def test_a_truncated_file_is_refused(path: Path) -> None:
    save(spiral(), path)
    content = path.read_bytes()
    for length in sorted({0, 1, 7, *range(8, len(content), 97), len(content) - 1}):
        overwrite(path, content[:length])
        assert "truncated" in refusal(path) or length < 8


def test_a_file_with_one_bit_flipped_is_refused_or_holds_the_same(path: Path) -> None:
    graph = Graph("g")
    graph.outputs["y"] = graph.placeholder("x") * graph.parameter("w", [1.5, 2.5])
    save(graph, path)
    content = path.read_bytes()
    chance = random.Random(0)
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << chance.randrange(8)
        overwrite(path, damaged)
        found = None
        with suppress(FileFormatError):  # not in a date, say
            found = load(path)
        if found is not None:
            assert_same(graph, found)


def test_files_of_a_newer_version_or_another_kind_or_with_a_huge_header_are_refused(path: Path) -> None:
    data, arrays = to_data(spiral())
    container.write(path, "graph", data, arrays, version=VERSION + 1)
    assert f"version {VERSION + 1} of a graph; this graphnn reads up to version {VERSION}" in refusal(path)
    container.write(path, "checkpoint", data, arrays)
    assert "holds a checkpoint where a graph was asked for" in refusal(path)
    container.write(path, "graph", data, arrays)
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\5\6") + 12
    content[at : at + 4] = b"\xff\xff\xff\x7f"  # the size of the directory
    path.write_bytes(content)
    refusal(path)
    np.savez(path.with_suffix(".npz"), w=np.ones(3))
    path.write_bytes(path.with_suffix(".npz").read_bytes())
    assert "is not a graphnn file: it is a zip archive whose first member is 'w.npy', and that of one" in refusal(path)
    path.write_bytes(b"\x89gnn\r\n\x1a\n" + bytes(90))
    assert "was written by an earlier graphnn" in refusal(path)
    with pytest.raises(FileNotFoundError):
        load(path.parent / "none")


# Files that lie


def test_an_operation_that_is_not_defined_is_named(setting: type[Op], path: Path) -> None:
    graph = Graph()
    setting(1)(graph.placeholder("x"))
    save(graph, path)
    del registry["setting"]
    assert refusal(path).partition("\n  at test_files.py:")[0] == (
        f"{str(path)!r}: the operation 'setting' is not defined: import the module that defines it ({__name__!r} when"
        " this was saved), then load again"
    )
    registry["setting"] = setting
    assert_same(graph, load(path))


def test_nothing_is_imported_by_name(path: Path) -> None:
    data, arrays = to_data(spiral())
    data["operations"]["name"][0] = "antigravity"
    data["operations"]["module"] = ["antigravity\x1b[2J"] * len(data["operations"]["module"])
    container.write(path, "graph", data, arrays)
    modules = set(sys.modules)
    message = refusal(path)
    assert set(sys.modules) == modules
    assert r"'antigravity\x1b[2J' when this was saved" in message


def test_what_a_message_quotes_from_a_file_does_not_steer_a_terminal(path: Path) -> None:
    graph = Graph()
    x = graph.placeholder("\x1b[2J", shape=2)
    gn.exp(x, name="y\x1b[2J")
    data, arrays = to_data(graph)
    data["nodes"]["spec"][1] = 1
    data["specs"] = {"dtype": ["float64", "float32"], "shape": [[2], [2]]}
    container.write(path, "graph", data, arrays)
    message = refusal(path)
    assert "\x1b" not in message
    assert r"\x1b[2J" in message
    assert "float32" in message


def place_of(data: Any, name: str) -> int:
    return int(data["nodes"]["name"].index(name))


def lie(**changes: Any) -> Callable[[Any, Any], Any]:
    """Return a change of the data: ``nodes__name={3: "x"}`` sets rows of a column, anything else the column."""

    def change(data: Any, arrays: Any) -> None:
        for where, value in changes.items():
            table, _, column = where.partition("__")
            holder, key = (data[table], column) if column else (data, table)
            if isinstance(value, dict) and column:
                for number, new in value.items():
                    if not isinstance(number, int):
                        number = place_of(data, number)
                    holder[key][number] = new
            else:
                holder[key] = value

    return change


def operation_of(operation: str, /, **new: Any) -> Callable[[Any, Any], Any]:
    def change(data: Any, arrays: Any) -> None:
        number = data["operations"]["name"].index(operation)
        for column, value in new.items():
            data["operations"][column][number] = value

    return change


def without(*keys: str) -> Callable[[Any, Any], Any]:
    def change(data: Any, arrays: Any) -> None:
        for key in keys[:-1]:
            data = data[key]
        del data[keys[-1]]

    return change


def repeat_last(table: dict[str, list[Any]], changed: Mapping[str, Any] = MappingProxyType({})) -> None:
    for column, values in table.items():
        values.append(changed.get(column, values[-1]))


def of_arrays(change: Callable[[dict[str, Any]], Any]) -> Callable[[Any, Any], Any]:
    return lambda data, arrays: change(arrays)


LIES: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "no-name": (without("name"), "the data do not hold a graph's name"),
    "no-table": (without("scopes"), "the data do not hold a graph's name"),
    "more": (lie(more=1), "the data do not hold a graph's name"),
    "table-is-list": (lie(nodes=[]), "the table nodes does not have the columns name, operation, spec"),
    "no-column": (without("nodes", "twin"), "the table nodes does not have the columns name, operation, spec"),
    "name-is-number": (lie(name=3), "the graph's name is not text"),
    "budget-is-bool": (lie(memory_budget=True), "memory budget is not a number"),
    "budget-is-text": (lie(memory_budget="1"), "memory budget is not a number"),
    "dtype-unknown": (lie(dtype="float128"), "'float128' is not a dtype; there are bool, int8"),
    "dtype-int": (lie(dtype="int64"), "a graph's dtype is a float"),
    "dtype-list": (lie(dtype=[]), r"\[\] is not a dtype"),
    "column-is-text": (lie(nodes__name="abc"), "the columns of the table nodes are not lists of one length"),
    "column-short": (lie(nodes__twin=[]), "the columns of the table nodes are not lists of one length"),
    "row-is-bool": (lie(inputs__node={0: True}), "the column inputs.node holds values other than int"),
    "row-is-float": (lie(nodes__spec={0: 0.0}), "the column nodes.spec holds values other than int"),
    "row-too-high": (lie(nodes__line={0: 10**6}), "the column nodes.line holds 1 to 1,000,000, beyond 0 to [0-9]+"),
    "row-huge": (lie(inputs__node={0: 10**400}), "the column inputs.node holds"),
    "row-negative": (lie(inputs__node={0: -1}), "the column inputs.node holds -1"),
    "twin-below-none": (lie(nodes__twin={0: -2}), "the column nodes.twin holds -2"),
    "operand-is-itself": (lie(inputs__node={0: 4}), "node 4, 'add', reads a node"),
    "operand-comes-later": (lie(inputs__node={0: 9}), "reads a node that does not come before it"),
    "operand-too-many": (
        lambda data, arrays: data["inputs"]["node"].append(0),
        "the nodes take [0-9]+ operands, and there are [0-9]+",
    ),
    "operand-missing": (lambda data, arrays: data["inputs"]["node"].pop(), "takes 2 operands"),
    "count-huge": (operation_of("matmul", operands=2**62), "'dense/matmul', reads a node that does not come before it"),
    "count-negative": (operation_of("matmul", operands=-1), "the column operations.operands holds -1"),
    "line-huge": (lie(lines__number={0: 2**63}), "the column lines.number holds"),
    "name-twice": (lie(nodes__name={"labels": "x"}), "node 1, 'x', is not valid: the name \"x\" is already taken"),
    "name-with-nul": (lie(nodes__name={"labels": "a\0"}), "a name cannot hold a NUL"),
    "name-is-none": (lie(nodes__name={"labels": None}), "the column nodes.name holds values other than str"),
    "spec-wrong": (
        lie(nodes__spec={"dense/matmul": 0}),
        "'dense/matmul'.*: it is declared .* but matmul gives",
    ),
    "spec-of-parameter-wrong": (
        lie(nodes__spec={"count": 0}),
        "'count'.*: it is declared .* but parameter gives",
    ),
    "spec-size-negative": (lie(specs__shape={0: ["batch", -2]}), "node 0, 'x', is not valid"),
    "spec-size-no-dimension": (
        lie(specs__shape={0: ["import os"]}),
        "node 0, 'x', is not valid: 'import os' is not",
    ),
    "spec-size-not-canonical": (lie(specs__shape={0: ["1*batch", 2]}), "node 0, 'x', is not valid: .* is declared"),
    "spec-size-bool": (lie(specs__shape={0: ["batch", True]}), "a shape holds ints and text"),
    "spec-size-nested": (lie(specs__shape={0: [[2]]}), "a shape holds ints and text"),
    "spec-size-float": (lie(specs__shape={0: [2.0]}), "a shape holds ints and text"),
    "spec-dtype": (lie(specs__dtype={0: ">f4"}), "'>f4' is not a dtype"),
    "operation-unknown": (operation_of("matmul", name="os.system"), "the operation 'os.system' is not defined"),
    "operation-another": (operation_of("matmul", name="exp"), "exp takes 1 operand, got 2"),
    "operation-to-parameter": (operation_of("matmul", name="parameter"), "has no array for its value"),
    "operation-to-placeholder": (operation_of("matmul", name="placeholder"), "placeholder takes 0 operands, got 2"),
    "attribute-unknown": (operation_of("clip", attributes={"q": 1}), "the operation 'clip' does not take its attr"),
    "attribute-self": (operation_of("clip", attributes={"self": 1}), "the operation 'clip' does not take its attr"),
    "attribute-dict": (operation_of("clip", attributes={"lo": {}}), "the operation 'clip' does not take its attr"),
    "attributes-list": (operation_of("clip", attributes=[]), "the column operations.attributes holds values other"),
    "trainable-is-text": (
        operation_of("parameter", attributes={"trainable": "no"}),
        "trainable is True or",
    ),
    "array-missing": (of_arrays(lambda a: a.pop("dense/weight")), "'dense/weight', a parameter, has no array"),
    "array-too-many": (of_arrays(lambda a: a.update(more=np.ones(1))), "the array 'more' belongs to no node"),
    "array-dtype": (of_arrays(lambda a: a.update(count=np.zeros((), "int32"))), "is declared .* int64, but"),
    "array-shape": (of_arrays(lambda a: a.update(count=np.zeros(2, "int64"))), "is declared .* int64, but"),
    "scope-in-itself": (lie(scopes__parent={0: 0}), "scope 0 is inside scope 0, which does not come before it"),
    "scopes-in-a-circle": (
        lie(scopes__parent={0: 1, 1: 0}),
        "scope 0 is inside scope 1, which does not come before it",
    ),
    "scope-twice": (lie(scopes__path={1: "dense"}), "the table scopes has an entry twice"),
    "scope-without-name": (lie(scopes__path={1: ""}), "scope 1 has the name ''"),
    "scope-with-nul": (lie(scopes__path={1: "a\0"}), r"scope 1 has the name 'a\\x00'"),
    "output-twice": (lie(outputs__name={1: "loss"}), "the table outputs has an entry twice"),
    "output-called-as-a-node": (lie(outputs__name={1: "x"}), "the output cannot be called"),
    "output-with-nul": (lie(outputs__name={1: "\0"}), "a name cannot hold a NUL"),
    "update-of-no-parameter": (lie(updates__parameter={0: 0}), "only parameters are updated"),
    "update-misfit": (lie(updates__node={0: 0}), "the data do not describe a graph: ShapeError|DtypeError"),
    "update-twice": (
        lie(advances__parameter=[2, 2], advances__at=[2, 2], advances__node=[4, 4]),
        "the table advances has an entry twice",
    ),
    "evaluating-misfit": (
        lie(evaluating__training=[0], evaluating__node=[1]),
        "in evaluation .* cannot take the place of|needs the same shape",
    ),
    "evaluating-nowhere": (lie(evaluating__training=[0], evaluating__node=[-1]), "the column evaluating.node holds -1"),
    "idle-twice": (lie(idle__path=["a", "a"], idle__node=[0, 0]), "the table idle has an entry twice"),
    "derivative-misfit": (
        lie(derived__derivative={0: 0}),
        "node 0 is not a derivative of node [0-9]+: its shape or dtype differs",
    ),
    "derivative-twice": (lambda data, arrays: repeat_last(data["derived"]), "the table derived has an entry twice"),
    "derivatives-twice": (
        lambda data, arrays: [repeat_last(data["derivatives"]), repeat_last(data["given"], {"in": 1})],
        "the table derivatives has an entry twice",
    ),
    "derivatives-neither-way": (
        lie(derivatives__backwards={0: 1}),
        "derivatives.backwards holds values other than bool",
    ),
    "derivatives-in-a-layer": (
        lie(derivatives__scope={0: 0}),
        "the scope of a derivative is in the forward pass",
    ),
    "derivatives-of-nothing": (
        lie(given={"in": [], "node": [], "derivative": []}),
        "what is differentiated is nothing",
    ),
    "derivatives-of-no-scalar": (lie(given__node={0: 0}), "no scalar without a cotangent"),
    "derivatives-of-one-twice": (
        lambda data, arrays: repeat_last(data["given"]),
        "what is differentiated is nothing, something twice",
    ),
    "derivatives-nowhere": (lie(derivatives__scope={0: -1}), "the column derivatives.scope holds -1"),
    "counter-negative": (lie(counters__number={0: -1}), "the column counters.number holds -1"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_found(path: Path, name: str) -> None:
    data, arrays = to_data(spiral())
    assert data["nodes"]["name"][:5] == ["x", "labels", "count", "constant", "add"]
    change, words = LIES[name]
    change(data, arrays)
    container.write(path, "graph", data, arrays)
    message = refusal(path)
    assert re.search(words, message), message
    assert message.startswith(f"{str(path)!r}: ")


def test_data_that_are_no_dict_and_arrays_that_are_none_are_refused() -> None:
    for data in (None, [], 3, "x", {}, {"name": 1}):
        with pytest.raises(FileFormatError):
            from_data(data, {})
    graph = Graph()
    graph.parameter("w", [1.0])
    data, _ = to_data(graph)
    for value in ([1.0], None, np.ones(1, ">f8"), np.array([object()]), np.ones(1, complex)):
        with pytest.raises(FileFormatError, match="node 0, 'w'"):
            from_data(data, {"w": value})


def test_scopes_too_deep_in_each_other_are_refused() -> None:
    data, arrays = to_data(Graph())
    count = 3000
    data["lines"] = {"file": ["a.py"], "number": [1]}
    data["scopes"] = {
        "path": [str(i) for i in range(count)],
        "kind": [""] * count,
        "phase": ["forward"] * count,
        "line": [0] * count,
        "parent": list(range(-1, count - 1)),
        "result": [-1] * count,
    }
    with pytest.raises(FileFormatError, match="scopes are nested 3000 deep; a file holds up to 1000"):
        from_data(data, arrays)


# Any lie at all

SOUND, SOUND_ARRAYS = to_data(spiral())
TEXTS = ["", "x", "loss", "dense", "batch", "4*batch", "exp", "sum", "parameter", "constant", "placeholder", "float16"]
NUMBERS = [-2, -1, 0, 1, 2, 3, 2**31, 2**63, -(2**63), 10**40, 0.5, -0.0, math.inf, math.nan]
ODD = ["\0", "(" * 300, "a*" * 200 + "a", "batch//0", "-batch", "U9", "O", "i4,(9,9)f8", "datetime64[s]", "\ud83d"]
STRANGE = st.sampled_from([None, True, False, [], {}, [[]], *NUMBERS, *TEXTS, *ODD]).map(copy.deepcopy)


def mutated(draw: st.DrawFn, value: Any) -> Any:
    """Change one place in a tree of lists and dicts where it stands, mostly within its type; return the new value."""
    if draw(st.integers(0, 19)) == 0:
        return draw(STRANGE)
    if type(value) is int:
        return value + draw(st.sampled_from([-1, 1, 2, -3, 10, 10**12]))
    if type(value) is str:
        return draw(st.sampled_from([*TEXTS, *ODD]))
    if not isinstance(value, (list, dict)):
        return draw(STRANGE)
    keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
    if not keys or draw(st.integers(0, 5)) == 0:
        new = draw(STRANGE)
        if isinstance(value, dict):
            value[draw(st.sampled_from(TEXTS))] = value.pop(draw(st.sampled_from(keys))) if keys else new
        elif not keys or draw(st.booleans()):
            value.insert(draw(st.integers(0, len(value))), new)
        else:
            del value[draw(st.sampled_from(keys))]
        return value
    place, other = draw(st.sampled_from(keys)), draw(st.sampled_from(keys))
    if isinstance(value, list) and draw(st.integers(0, 3)) == 0:
        if draw(st.booleans()):
            value[place], value[other] = value[other], value[place]
        else:
            value[place] = value[other]
    else:
        value[place] = mutated(draw, value[place])
    return value


@st.composite
def forgeries(draw: st.DrawFn) -> tuple[Any, dict[str, Any]]:
    data, arrays = copy.deepcopy(SOUND), dict(SOUND_ARRAYS)
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.integers(0, 9)):
            table = draw(st.sampled_from(list(data)))
            table = draw(st.sampled_from([table, "operations", "specs", "nodes"]))
            if table in data:
                data[table] = mutated(draw, data[table])
        else:
            name = draw(st.sampled_from([*arrays, "more"]))
            kind = draw(st.sampled_from(["float32", "int64", "bool"]))
            arrays[name] = np.zeros(draw(st.sampled_from([(), (3,), (2, 3), (0,)])), kind)
    return data, arrays


def check_forgery(make: Callable[[], Graph]) -> None:
    """Either the graph is a sound one, that can be saved itself, or the forgery is refused by name."""
    try:
        graph = make()
    except FileFormatError:
        return
    assert_same(graph, from_data(*to_data(graph)))


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(forgeries())
def test_any_change_of_the_data_is_refused_or_gives_a_sound_graph(forgery: tuple[Any, dict[str, Any]]) -> None:
    check_forgery(lambda: from_data(*forgery))


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(forgeries())
def test_any_change_of_a_file_is_refused_or_gives_a_sound_graph(forgery: tuple[Any, dict[str, Any]]) -> None:
    with TemporaryDirectory() as folder, patch("os.fsync"):  # nothing is to outlive the test
        path = Path(folder, "forged.gnn")
        try:
            container.write(path, "graph", *forgery)
        except FileFormatError:
            assume(False)  # what cannot be written cannot be met either
        check_forgery(lambda: load(path))


@pytest.mark.parametrize("cls", [c for c in registry.values() if c.samples.__func__ is not Op.samples.__func__])
def test_every_operation_with_strange_attributes_is_refused_or_sound(cls: type[Op]) -> None:
    op, operands = cls.samples(Draw(np.random.default_rng(3)))
    graph = Graph()
    graph.add(op, [graph.placeholder(f"p{i}", np.shape(a), np.asarray(a).dtype) for i, a in enumerate(operands)])
    sound, arrays = to_data(graph)
    values = [None, True, -1, 0, 1, 10**30, 0.5, math.nan, math.inf, "", "batch", "batch//0", "é", "(" * 300, "float16"]
    values += [[], [0], [-1], [0, 0], [10**30], ["batch", 2], [[0, 1]], [[[]]], [None, None, 0], ["..."] * 3, {}]
    for attribute in sound["operations"]["attributes"][-1]:
        for value in values:
            data = copy.deepcopy(sound)
            data["operations"]["attributes"][-1][attribute] = value
            check_forgery(lambda data=data: from_data(data, arrays))  # type: ignore[misc]


def test_files_of_version_3_still_load() -> None:
    folder = Path(__file__).parents[1] / "data" / "files"
    for name in ("spiral.gnn", "spiral.trace"):
        told = json.loads(np.load(folder / name)[f"{'graph' if name.endswith('.gnn') else 'trace'}.json"])
        assert told["version"] == 3, name
    X, y = gn.datasets.spiral(5, classes=3, seed=0)
    graph = load(folder / "spiral.gnn")
    step = gn.compile(graph.outputs["loss"], updates=graph.updates)
    # Printed by the program that wrote the file; the products of another processor may differ in the last digits.
    losses = [1.019165725021377, 1.0290552773867643, 1.0693619589809737]
    assert [float(step({"x": X, "labels": y})) for _ in range(3)] == pytest.approx(losses, rel=1e-12)
    trace = load(folder / "spiral.trace")
    assert float(trace["loss"].value) == pytest.approx(losses[0], rel=1e-12)


def memory_of(array: Any) -> Any:
    while isinstance(array, np.ndarray) and array.base is not None:
        array = array.base
    return array


@pytest.mark.parametrize("verify", [True, False])
def test_a_mapped_graph_computes_and_trains_as_one_that_was_read(path: Path, verify: bool) -> None:
    save(spiral(), path)
    before = path.read_bytes()
    mapped, plain = load(path, mmap=True, verify=verify), load(path)
    assert_same(plain, mapped)
    large = [value for value in mapped.state.values() if value.size > 1]
    assert large
    assert all(not isinstance(memory_of(value), np.ndarray) for value in large)  # it is the map's
    X, y = gn.datasets.spiral(5, classes=3, seed=0)
    steps = [gn.compile(graph.outputs["loss"], updates=graph.updates) for graph in (mapped, plain)]
    for _ in range(3):
        losses = [float(step({"x": X, "labels": y})) for step in steps]
        assert losses[0] == losses[1]
    assert path.read_bytes() == before
    save(mapped, path)  # in the place of the file that it is mapped from
    assert_same(plain, load(path))


def test_a_trace_can_be_mapped(path: Path) -> None:
    g = Graph()
    x, w = g.placeholder("x", ("n",)), g.parameter("w", np.arange(1000.0))
    seen = gn.trace(gn.exp(gn.sin(x) - w), {x: np.linspace(0.0, 1.0, 1000)})
    seen.save(path)
    for verify in (True, False):
        mapped = load(path, mmap=True, verify=verify)
        for one, other in zip(seen, mapped, strict=True):
            assert one.value.tobytes() == other.value.tobytes()
        for record in mapped:
            assert not isinstance(memory_of(record.value), np.ndarray), record.name
        mapped.save(path)  # a map of a file that has been replaced stays as it was
    with np.load(path) as arrays:
        assert arrays["feed/x"].tolist() == np.linspace(0.0, 1.0, 1000).tolist()
        assert arrays[f"value/{seen['exp'].index}"].tolist() == seen["exp"].value.tolist()


def test_damage_in_a_mapped_graph_is_found_unless_nobody_looks(path: Path) -> None:
    graph = Graph()
    graph.parameter("w", np.arange(1000.0))
    save(graph, path)
    content = path.read_bytes()
    overwrite(path, content.replace(np.float64(7).tobytes(), np.float64(8).tobytes()))
    assert "is damaged: the CRC-32 of its member 'w.npy' is" in refusal(path)
    with pytest.raises(FileFormatError, match="is damaged"):
        load(path, mmap=True)
    assert load(path, mmap=True, verify=False)["w"].value[7] == 8.0
