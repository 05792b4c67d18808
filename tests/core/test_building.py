"""Building by several threads and tasks, and under interrupts: every graph is whole, and nothing is mixed up."""

import asyncio
import copy
import inspect
import pickle
import random
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Barrier
from types import FrameType

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.core import Provenance, current_provenance

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))

from interrupts import ANYWHERE, INNERMOST, broken_by, building, bytecodes, little, whole

THREADS = 8


@pytest.fixture
def switching() -> Iterator[None]:
    """Let threads take turns after every few bytecodes."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def own(number: int) -> gn.Graph:
    """Build a graph that depends on the number alone."""
    rng = random.Random(number)
    g = gn.Graph(f"own {number}")
    y = g.placeholder("x", shape=("batch", 3))
    for _ in range(rng.randint(1, 4)):
        with g.scope(rng.choice("ab")):
            y = rng.choice([gn.tanh, gn.softmax, lambda x: x * 2.0 + 1.0])(y)
    loss = gn.mean(gn.square(y @ g.parameter("w", np.ones(3))))
    gn.grad(loss, [g["w"], g["x"]])
    return g


def described(g: gn.Graph) -> list[tuple[object, ...]]:
    return [
        (node.name, node.op, node.scope, node.phase, [i.name for i in node.inputs], getattr(node.twin, "name", None))
        for node in g
    ]


@pytest.mark.usefixtures("switching")
def test_threads_build_their_own_graphs_as_one_thread_does() -> None:
    expected = {number: described(own(number)) for number in range(25)}
    with ThreadPoolExecutor(THREADS) as pool:
        built = list(pool.map(own, [number % 25 for number in range(200)]))
    for number, g in enumerate(built):
        whole(g)
        assert described(g) == expected[number % 25]


@pytest.mark.usefixtures("switching")
def test_threads_build_one_graph_by_turns() -> None:
    for number in range(12):
        g = gn.Graph()
        x = g.placeholder("x", shape=(2, 3))
        together = Barrier(THREADS)

        def build(thread: int, g: gn.Graph = g, x: gn.Node = x, together: Barrier = together) -> list[gn.Node]:
            together.wait()
            made = []
            for _ in range(3):
                with g.scope("s") as scope:
                    first = x * float(thread)
                    with g.scope("t"):
                        last = gn.softmax(first) + g.parameter("w", np.full(3, float(thread)))
                    made += [first, last]
                    assert first.scope == scope.path
                    assert last.scope == f"{scope.path}/t"
                made.append(gn.relu(last))
                assert made[-1].scope == ""
            return made

        with ThreadPoolExecutor(THREADS) as pool:
            made = [node for nodes in pool.map(build, range(THREADS)) for node in nodes]
        whole(g)
        assert len(set(made)) == len(made) == 9 * THREADS
        assert len(g.scopes) == 3 * THREADS * 3, number  # s, s/t, s/t/softmax_1 of each
        values = gn.run(made, {"x": np.ones((2, 3))})
        for thread in range(THREADS):
            np.testing.assert_array_equal(values[9 * thread], np.full((2, 3), float(thread)))


@pytest.mark.usefixtures("switching")
def test_threads_that_ask_for_one_gradient_make_it_once_and_right() -> None:
    for _ in range(10):
        g = gn.Graph()
        x = g.placeholder("x", shape=3)
        y = x
        for _ in range(10):
            y = gn.sin(y) * x + y
        loss = gn.sum(y)
        with ThreadPoolExecutor(THREADS) as pool:
            gradients = list(pool.map(lambda _: gn.grad(loss, x), range(THREADS), timeout=60))  # noqa: B023
        whole(g)
        assert len(set(gradients)) == 1
        assert Counter(node.op.name for node in g)["cos"] == 10
        gn.testing.check_grads(loss, {x: [0.1, 0.2, 0.3]}, x)


@pytest.mark.usefixtures("switching")
def test_threads_that_call_one_layer_share_its_parameters() -> None:
    for _ in range(10):
        g = gn.Graph()
        x = g.placeholder("x", shape=(2, 3))
        layer = nn.Dense(4)
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(layer, [x] * THREADS))
        whole(g)
        assert len(g.state) == 2
        assert len(g.scopes) == THREADS


def test_a_layer_is_called_while_another_thread_sets_its_attributes() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=(2, 3))

    class Twice(nn.Layer):
        def __init__(self) -> None:
            self.dense = nn.Dense(3)

        def call(self, x: gn.Node) -> gn.Node:
            return self.dense(self.dense(x))

    layer = Twice()

    seen = set()

    def set_one(frame: FrameType, event: str, arg: object) -> object:
        if frame.f_code.co_filename == inspect.getfile(nn.Layer) and event == "line":
            seen.add(frame.f_code.co_name)
            if vars(layer).pop("another", None) is None:
                vars(layer)["another"] = 1
        return set_one

    before = sys.gettrace()
    sys.settrace(set_one)
    try:
        layer(x)
        layer.state_dict()
    finally:
        sys.settrace(before)
    assert [node.name for node in g.state] == ["twice_1/dense/weight", "twice_1/dense/bias"]
    assert {"__found", "__held_as", "_held"} <= seen


@pytest.mark.usefixtures("switching")
def test_a_graph_is_saved_and_read_while_another_thread_builds_it(tmp_path: Path) -> None:
    g = gn.Graph()
    x = g.placeholder("x")

    def build() -> None:
        y = x
        for _ in range(1500):
            with g.scope("s"):
                y = y * 1.5

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(build)
        while not done.done():
            gn.save(g, tmp_path / "g.gnn")
            whole(gn.load(tmp_path / "g.gnn"))
            assert all(node.index == place for place, node in enumerate(g))
            assert all(user.inputs for user in x.users)
        done.result()
    whole(g)


@pytest.mark.usefixtures("switching")
def test_a_graph_is_copied_while_another_thread_builds_it() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 2))
    loss = gn.mean(nn.Sequential(nn.Dense(2), nn.BatchNorm(), nn.Dropout(0.5))(x, training=True))

    def build() -> None:
        for number in range(40):
            layer = nn.Sequential(nn.Dense(2), nn.BatchNorm(), nn.Dropout(0.5))
            g.outputs[f"loss {number}"] = gn.sum(layer(x, training=True))
            gn.grad(loss * 2.0 + g[f"loss {number}"], [*layer.parameters])

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(build)
        while not done.done():
            for dag in g.flat(), g.dag.copy(), copy.deepcopy(g.dag), pickle.loads(pickle.dumps(g.dag)):  # noqa: S301
                assert all(data["op"] for _, data in dag.nodes(data=True))
            whole(gn.Graph.from_networkx(g.dag))
            whole(gn.extract([loss]))
            assert len(g.parameters) >= 4
            assert nn.evaluate(loss, {x: np.zeros((3, 2))}) == 0.0
        done.result()


def test_updates_are_made_while_another_thread_makes_parameters() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 2))
    loss = gn.mean(nn.Sequential(nn.Dense(2), nn.BatchNorm())(x, training=True))
    another = g.parameter("another", [1.0])
    value = g.state[another]
    seen = set()

    def enter_one(frame: FrameType, event: str, arg: object) -> object:
        if "/graphnn/nn/" in frame.f_code.co_filename and event == "line":
            seen.add(Path(frame.f_code.co_filename).name)
            if dict.pop(g.state, another, None) is None:
                dict.update(g.state, {another: value})
        return enter_one

    before = sys.gettrace()
    sys.settrace(enter_one)
    try:
        updates = nn.SGD(0.1).updates(loss)
    finally:
        sys.settrace(before)
    assert len(updates) == 4
    assert {"evaluation_mode.py", "parameter_groups.py"} <= seen


def test_tables_of_a_graph_are_read_while_another_thread_adds_to_them() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 2))
    loss = gn.mean(nn.Sequential(nn.Dense(2), nn.BatchNorm(), nn.Dropout(0.5))(x, training=True))
    gn.jvp(loss, {x: gn.square(x)})
    g.updates[g.parameters[0]] = g.parameters[0] * 2.0
    g.outputs["loss"] = gn.name(loss, "total")
    nn.Dropout(0.5)(x)
    of = next(iter(gn.grad(loss, g.parameters)[0].graph.cotangents.values())).of
    tables = g.state, g.updates, g.advances, g.evaluation, g.outputs, g.names, g.scopes, g.tangents, g.cotangents, of
    for number, table in enumerate(tables):
        for way in table.items, table.values:
            for place, _ in enumerate(way()):
                dict.update(table, {(number, way.__name__, place): loss})
        assert len(table) > 2


def test_scopes_of_fifty_tasks_do_not_mix() -> None:
    g = gn.Graph()
    x = g.placeholder("x")

    async def build(number: int) -> list[gn.Node]:
        made = []
        with g.scope(f"task{number}") as scope:
            for step in range(10):
                made.append(x * float(number))
                await asyncio.sleep(0)
                with g.scope("inner"):
                    await asyncio.sleep(0)
                    made.append(gn.softplus(made[-1]))
                    await asyncio.sleep(0)
                assert [node.scope for node in made[-2:]] == [
                    scope.path,
                    f"{scope.path}/inner{f'_{step + 1}' * (step > 0)}",
                ]
        await asyncio.sleep(0)
        assert gn.relu(x).scope == ""
        return made

    async def all_of_them() -> list[list[gn.Node]]:
        return await asyncio.gather(*map(build, range(50)))

    made = asyncio.run(all_of_them())
    whole(g)
    assert [{node.scope.partition("/")[0] for node in nodes} for nodes in made] == [{f"task{i}"} for i in range(50)]
    assert current_provenance(g).scope is None


def test_a_task_works_in_the_scope_that_it_was_begun_in() -> None:
    g = gn.Graph()

    async def late() -> gn.Node:
        await asyncio.sleep(0)
        return g.constant(1.0)

    async def begin() -> gn.Node:
        with g.scope("s"):
            task = asyncio.create_task(late())
        assert g.constant(2.0).scope == ""
        return await task

    assert asyncio.run(begin()).scope == "s"


def test_scopes_of_two_graphs_are_apart() -> None:
    g, h = gn.Graph(), gn.Graph()
    with g.scope("a"), h.scope("b"), g.scope("c"):
        assert [g.constant(1.0).scope, h.constant(1.0).scope] == ["a/c", "b"]
        with h.scope("d"):
            assert [g.constant(1.0).scope, h.constant(1.0).scope] == ["a/c", "b/d"]
    assert [g.constant(1.0).scope, h.constant(1.0).scope] == ["", ""]


def test_a_scope_is_entered_by_an_exit_stack_too_and_once_only() -> None:
    g = gn.Graph()
    with ExitStack() as stack:
        scope = stack.enter_context(g.scope("s"))
        assert g.constant(1.0).scope == scope.path == "s"
    assert g.constant(1.0).scope == ""
    again = g.scope("t")
    with again:
        g.constant(1.0)
    with pytest.raises(gn.UsageError, match="ask the graph for another"), again:
        pass


def test_a_generator_that_is_closed_late_leaves_only_its_own_scope() -> None:
    g = gn.Graph()

    @contextmanager
    def opened() -> Iterator[None]:
        with g.scope("s"):
            yield

    def making() -> Iterator[gn.Node]:
        with opened():
            yield g.constant(1.0)

    made = making()
    assert next(made).scope == "s"
    with g.scope("t"):
        made.close()
        assert g.constant(1.0).scope == "s/t"
    assert g.constant(1.0).scope == ""


def test_an_interrupt_between_any_two_bytecodes_breaks_no_graph() -> None:
    total = bytecodes(little, INNERMOST)
    made, left, broken = broken_by(little, range(1, total + 1), INNERMOST, wholly=False)
    assert (made, broken) == (total, [])
    assert left < total / 50


def test_interrupted_networks_save_run_draw_and_go_on() -> None:
    rng = random.Random(16)
    for files in ANYWHERE, INNERMOST:
        total = bytecodes(building, files)
        made, _, broken = broken_by(building, [rng.randrange(total * 9 // 10) for _ in range(6)], files)
        assert broken == []
        assert made >= 5


def test_a_node_that_is_not_entered_everywhere_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    enter = gn.Graph._enter
    entered: set[tuple[int, str]] = set()

    def once(g: gn.Graph, node: gn.Node, *more: object) -> None:
        if (key := (id(g), node.name)) not in entered:
            entered.add(key)
            enter(g, node, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(gn.Graph, "_enter", once)
    assert broken_by(little, range(1, bytecodes(little, INNERMOST) + 1, 7), INNERMOST, wholly=False)[2]


def test_a_scope_whose_exit_ctrl_c_kept_from_running_is_closed_by_the_one_around(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    g = gn.Graph()
    leave = Provenance.__exit__

    def pressed(provenance: Provenance, *raised: object) -> None:
        if provenance.scope is inner:
            raise KeyboardInterrupt
        leave(provenance, *raised)

    monkeypatch.setattr(Provenance, "__exit__", pressed)
    with pytest.raises(KeyboardInterrupt), g.scope("outer"), g.scope("inner") as inner:
        g.constant(1.0)
    assert current_provenance(g).scope is None
    assert g.constant(1.0).scope == ""


def test_nodes_never_change() -> None:
    g = gn.Graph()
    w = g.parameter("w", [1.0, 2.0])
    y = w * 2.0
    for field in (*gn.Node.__slots__, "shape", "dtype", "users", "anything"):
        with pytest.raises(gn.UsageError, match=f'"multiply" is a node, .* its {field} cannot be set') as caught:
            setattr(y, field, getattr(y, field, None))
        assert "at test_building.py:" in str(caught.value)
        with pytest.raises(gn.UsageError, match="never changes"):
            delattr(y, field)
    with pytest.raises(gn.UsageError, match="only a parameter's value can be set"):
        y.value = [1.0, 2.0]
    w.value = [3.0, 4.0]
    np.testing.assert_array_equal(gn.run(y), [6.0, 8.0])
    assert type(y) is type(w) is gn.Node
    whole(g)
