"""What a compiled step promises: all updates or none, and nobody's arrays but one's own."""

import _thread
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from everywhere import BACKENDS

import graphnn as gn
from graphnn import nn
from graphnn.core import operation

pytestmark = pytest.mark.each_backend


@pytest.fixture
def graph() -> gn.Graph:
    return gn.Graph("g")


def learner(graph: gn.Graph) -> tuple[gn.Node, dict[gn.Node, gn.Node], dict[Any, Any]]:
    x = graph.placeholder("x", shape=("batch", 3))
    y = graph.placeholder("y", shape=("batch",), dtype=np.int64)
    network = nn.Sequential(nn.Dense(8), nn.Tanh(), nn.Dropout(0.2), nn.Dense(4))
    loss = nn.softmax_crossentropy(network(x, training=True), y)
    rng = np.random.default_rng(0)
    return loss, nn.Adam(0.05).updates(loss), {x: rng.normal(size=(6, 3)), y: rng.integers(0, 4, 6)}


def bits(graph: gn.Graph) -> dict[str, bytes]:
    return {node.name: value.tobytes() for node, value in graph.state.items()}


# --- results and updates --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [lambda a, b: a, lambda a, b: [a, b], lambda a, b: (b,), lambda a, b: {"b": [b, a]}])
def test_results_come_in_the_form_of_the_fetches(graph: gn.Graph, form: Callable[..., Any]) -> None:
    a = graph.constant(2.0)
    b = a * 3.0
    assert gn.compile(form(a, b))() == form(2.0, 6.0)


def test_fetches_are_from_before_the_updates_which_happen_together(graph: gn.Graph) -> None:
    a, b = graph.parameter("a", 1.0), graph.parameter("b", 2.0)
    swap = gn.compile([a, b], updates={a: b, b: a})
    assert swap() == [1.0, 2.0]
    assert (a.value, b.value) == (2.0, 1.0)
    assert swap() == [2.0, 1.0]
    assert (a.value, b.value) == (1.0, 2.0)


def test_updates_without_fetches_and_the_other_way_round(graph: gn.Graph) -> None:
    w = graph.parameter("w", 8.0)
    assert gn.compile([], {w: w * 0.5})() == []
    assert gn.compile(w)() == 4.0
    assert gn.compile(w, {})() == 4.0
    assert w.value == 4.0


def test_a_loaded_updates_table_serves(graph: gn.Graph) -> None:
    loss, updates, feed = learner(graph)
    step = gn.compile(loss, graph.updates)
    assert step.updates.keys() == {*updates, graph["dropout_1/counter"]}
    first = step(feed)
    for _ in range(30):
        last = step(feed)
    assert last < first / 2


def test_a_step_never_changes(graph: gn.Graph) -> None:
    w = graph.parameter("w", 1.0)
    step = gn.compile(w, updates={w: w * 2.0})
    for name, value in {"guard": "nan", "backend": "interpreter", "updates": {}, "fetches": [], "rate": 0.1}.items():
        with pytest.raises(gn.UsageError, match=f"a compiled step never changes: its {name} cannot be set"):
            setattr(step, name, value)
    with pytest.raises(TypeError, match="does not support item assignment"):
        step.updates[w] = w  # type: ignore[index]
    assert dict(step.updates) == {w: graph["multiply"]}


def test_updates_are_checked(graph: gn.Graph) -> None:
    w = graph.parameter("w", [1.0, 2.0])
    x = graph.placeholder("x", shape=2)
    other = gn.Graph("other").parameter("w", [1.0, 2.0])
    with pytest.raises(gn.UsageError, match='only parameters are updated; "x" is a placeholder'):
        gn.compile(w, {x: w})
    with pytest.raises(gn.ShapeError, match='"w" has shape'):
        gn.compile(w, {w: gn.sum(w)})
    with pytest.raises(gn.DtypeError, match='"w" is float64; its update "cast" is int64'):
        gn.compile(w, {w: gn.cast(w, "int64")})
    with pytest.raises(gn.GraphError, match=r'"w" is a node of "other"'):
        gn.compile(w, {w: other})
    with pytest.raises(gn.UsageError, match=r"updates are \{parameter: node of its next value\}, not list"):
        gn.compile(w, [w])  # type: ignore[arg-type]
    with pytest.raises(gn.UsageError, match=r"not SGD; an optimizer's are optimizer.updates\(loss\)"):
        gn.compile(w, gn.nn.SGD(0.1))  # type: ignore[arg-type]
    with pytest.raises(gn.ValueRangeError, match='unknown backend "gpu"'):
        gn.compile(w, backend="gpu")
    with pytest.raises(gn.ValueRangeError, match="unknown guard 'inf'"):
        gn.compile(w, guard="inf")


# --- whose array is it ----------------------------------------------------------------------------------------


def test_results_are_the_callers_own(graph: gn.Graph) -> None:
    x = graph.placeholder("x", shape=("n",))
    w, c = graph.parameter("w", [1.0, 2.0]), graph.constant([3.0, 4.0])
    fetches = [x, w, c, x + w, w[::-1], gn.reshape(x, (-1, 1)), gn.stop_gradient(x), w + c, w + c]
    step = gn.compile(fetches, updates={w: (w + c) * 0.0 + w})
    given = np.array([5.0, 6.0])
    expected = gn.run(fetches, {x: given})
    for _ in range(3):
        results = step({x: given})
        for result, right in zip(results, expected, strict=True):
            assert result.flags.writeable
            assert np.array_equal(result, right)
        for i, result in enumerate(results):
            result[...] = np.nan
            assert all(np.isfinite(other).all() for other in results[i + 1 :])
        assert np.array_equal(given, [5.0, 6.0])
        assert given.flags.writeable
    assert np.array_equal(w.value, [1.0, 2.0])


def test_what_an_update_keeps_is_nobody_elses(graph: gn.Graph) -> None:
    x = graph.placeholder("x", shape=2)
    u, v, w = (graph.parameter(name, [0.0, 0.0]) for name in "uvw")
    step = gn.compile(x, updates={u: x, v: x[::-1], w: x})
    given = np.array([1.0, 2.0])
    result = step({x: given})
    given[:], result[:] = 7.0, 8.0
    assert np.array_equal(u.value, [1.0, 2.0])
    assert np.array_equal(v.value, [2.0, 1.0])
    assert not any(np.shares_memory(graph.state[a], graph.state[b]) for a, b in ((u, v), (v, w), (u, w)))
    assert not any(value.flags.writeable for value in graph.state.values())


@pytest.mark.parametrize(
    "fed",
    [
        pytest.param(lambda a: np.asfortranarray(a), id="fortran"),
        pytest.param(lambda a: np.repeat(a, 2, axis=1)[:, ::2], id="strided"),
        pytest.param(lambda a: a.astype(">f8"), id="big-endian"),
        pytest.param(lambda a: np.lib.stride_tricks.as_strided(a, writeable=False), id="read-only"),
        pytest.param(lambda a: a.tolist(), id="lists"),
    ],
)
def test_any_feed_gives_the_same_bits_and_is_left_alone(graph: gn.Graph, fed: Callable[..., Any]) -> None:
    loss, updates, feed = learner(graph)
    step = gn.compile(loss, updates)
    before = dict(graph.state)
    expected = [step(feed) for _ in range(3)]
    after = bits(graph)
    graph.state.update(before)
    given = {node: fed(value) if value.ndim == 2 else value for node, value in feed.items()}
    assert [step(given) for _ in range(3)] == expected
    assert bits(graph) == after
    assert all(np.array_equal(given[node], feed[node]) for node in feed)


# --- all or nothing -------------------------------------------------------------------------------------------


def test_an_operation_that_fails_leaves_the_state_as_it_was(graph: gn.Graph) -> None:
    loss, updates, feed = learner(graph)
    step = gn.compile(loss, updates)
    step(feed)
    before = bits(graph)
    labels = graph["y"]
    with pytest.raises(IndexError, match="label 9"):
        step({**feed, labels: [0, 1, 2, 3, 9, 0]})
    assert bits(graph) == before
    step(feed)
    assert bits(graph) != before


def test_the_last_update_that_fails_undoes_the_first(graph: gn.Graph) -> None:
    k, w = graph.parameter("k", np.int64(6)), graph.parameter("w", 1.0)
    d = graph.placeholder("d", dtype=np.int64)
    step = gn.compile(w, {w: w + 1.0, k: k // d})
    with pytest.raises(ZeroDivisionError, match="floor_divide"):
        step({d: 0})
    assert (w.value, k.value) == (1.0, 6)
    step({d: 2})
    assert (w.value, k.value) == (2.0, 3)


def test_training_on_an_empty_batch_raises(graph: gn.Graph) -> None:
    loss, updates, feed = learner(graph)
    nothing = {node: value[:0] for node, value in feed.items()}
    before = bits(graph)
    with pytest.raises(gn.ValueRangeError, match=r'training on an empty batch: the feed of "x" \(batch, 3\) float64'):
        gn.compile(loss, updates)(nothing)
    assert bits(graph) == before
    # What does not train may count nothing.
    count = graph.parameter("count", 0.0, trainable=False)
    gn.compile(count, {count: count + gn.sum(graph["x"])})(nothing)


@pytest.mark.parametrize("backend", BACKENDS)
def test_running_statistics_of_no_rows_are_refused(graph: gn.Graph, backend: str) -> None:
    x, layer = graph.placeholder("x", ("batch", 2)), nn.BatchNorm()
    normalized, dropped = layer(x, training=True), nn.Dropout(0.5)(x, training=True)
    step = gn.compile(normalized, updates={}, backend=backend)
    for rows in (3, 3, 0, 3, 0):
        before = bits(graph)
        if rows:
            step({x: np.ones((rows, 2))})
        else:
            with pytest.raises(gn.ValueRangeError, match=r"training on an empty batch.*no update was made"):
                step({x: np.ones((0, 2))})
        assert (bits(graph) == before) is (rows == 0)
    gn.compile(dropped, updates={}, backend=backend)({x: np.ones((0, 2))})  # counts calls


@pytest.mark.parametrize("where", ["loss", "update"])
def test_the_guard_stops_before_any_update(graph: gn.Graph, where: str) -> None:
    w, v = graph.parameter("w", [4.0, 1.0]), graph.parameter("v", 0.0)
    root = gn.sqrt(w)
    loss, following = (root, w - 3.0) if where == "loss" else (w, root - 3.0)
    step = gn.compile(gn.sum(loss), {v: v + 1.0, w: following}, guard="nan")
    step()
    before = bits(graph)
    with pytest.raises(gn.ValueRangeError, match=r'"sqrt" \(sqrt, made at test_compiled.py:\d+\) is NaN at \([01],\)'):
        step()
    assert bits(graph) == before
    gn.compile(gn.sum(loss), {v: v + 1.0, w: following})()
    assert v.value == 2.0


def in_round(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], Any]) -> None:
    """Let something happen whenever a round node is evaluated."""

    def forward(self: Any, x: Any, out: Any = None) -> Any:
        happens()
        return np.multiply(x, 1.0, out=out)

    monkeypatch.setattr(operation("round"), "forward", forward)


def test_ctrl_c_in_the_middle_leaves_the_state_as_it_was(graph: gn.Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    w, v = graph.parameter("w", 1.0), graph.parameter("v", 1.0)
    step = gn.compile(w, {w: w + 1.0, v: gn.round(v + 1.0) + 1.0})
    presses = iter([True])
    in_round(monkeypatch, lambda: next(presses, False) and _thread.interrupt_main())
    with pytest.raises(KeyboardInterrupt):
        step()
    assert (w.value, v.value) == (1.0, 1.0)
    step()
    assert (w.value, v.value) == (2.0, 3.0)


# --- threads --------------------------------------------------------------------------------------------------


def test_eight_threads_may_evaluate_one_step(graph: gn.Graph) -> None:
    x = graph.placeholder("x", shape=("batch", 3))
    step = gn.compile(nn.Sequential(nn.Dense(16), nn.ReLU(), nn.Dense(2), nn.Softmax())(x))
    rng = np.random.default_rng(0)
    feeds = [rng.normal(size=(1 + i % 9, 3)) for i in range(40)]
    expected = [step({x: feed}) for feed in feeds]
    graph.caches.clear()  # so that the threads make the plans, too
    together = threading.Barrier(8)

    def work(start: int) -> int:
        together.wait()
        places = [(start * 5 + i) % 40 for i in range(200)]
        return sum(not np.array_equal(step({x: feeds[i]}), expected[i]) for i in places)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [0] * 8


def test_threads_that_update_wait_for_each_other(graph: gn.Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = graph.parameter("a", 0.0), graph.parameter("b", 0.0)
    in_round(monkeypatch, lambda: time.sleep(1e-5))
    one = gn.compile([a, b], {a: gn.round(a + 1), b: b + 1})
    two = gn.compile([a, b], {a: a + 1, b: gn.round(b + 1)})

    def work(step: Any) -> bool:
        return all(np.equal(*step()) for _ in range(250))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, [one, two] * 4))
    assert (a.value, b.value) == (2000, 2000)


def test_it_shows_itself(graph: gn.Graph) -> None:
    w = graph.parameter("w", 1.0)
    assert repr(gn.compile(w, {w: w + 1.0})) == '<compiled step of "g": w; 1 updates>'


# --- guards and counters --------------------------------------------------------------------------------------


def test_the_finite_guard_stops_an_infinity_that_the_nan_guard_lets_pass() -> None:
    graph = gn.Graph()
    v = graph.parameter("v", [0.0, 1.0])
    loss = gn.sum(gn.sqrt(v))  # its gradient at 0 is inf
    updates = gn.nn.SGD(0.1).updates(loss)
    with pytest.raises(gn.ValueRangeError, match=r"is inf at \(0,\); no update was made"):
        gn.compile(loss, updates, guard="finite")()
    assert v.value.tolist() == [0.0, 1.0]
    gn.compile(loss, updates, guard="nan")()
    assert v.value[0] == -np.inf


def test_counters_move_with_updates_even_none_but_not_without() -> None:
    graph = gn.Graph()
    x = graph.placeholder("x", shape=("n",))
    y = gn.nn.Dropout(0.5)(x, training=True)
    feed = {x: np.ones(64)}
    fixed, moving = gn.compile(y), gn.compile(y, updates={})
    assert (fixed(feed) == fixed(feed)).all()
    assert not (moving(feed) == moving(feed)).all()


def test_a_compiled_step_takes_names_of_a_given_graph() -> None:
    graph = gn.Graph()
    graph.outputs["eight"] = graph.parameter("w", 8.0)
    assert gn.compile("eight", graph=graph)() == 8.0


@pytest.mark.parametrize(("settings", "calls"), [({}, 1), ({"backend": "interpreter"}, 0), ({"guard": "nan"}, 0)])
def test_a_plan_that_was_asked_for_serves_the_first_call(settings: dict[str, Any], calls: int) -> None:
    x = gn.Graph().placeholder("x", ("batch",))
    step = gn.compile(x * 2.0, **settings)
    plan = step.plan({x: np.ones(3)})
    assert step({x: np.ones(3)}).tolist() == [2.0, 2.0, 2.0]
    assert plan.calls == calls
    with pytest.raises(gn.ShapeError):
        step({x: np.ones((3, 1))})
