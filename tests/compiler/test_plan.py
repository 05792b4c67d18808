"""What a plan promises: whose memory is whose, what its code is made of, and errors as the interpreter tells them."""

import ast
import gc
import hashlib
import itertools
import json
import linecache
import os
import random
import re
import signal
import subprocess
import sys
import threading
import tracemalloc
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import SHARED
from random_graphs import build, random_graph
from test_plan_conformance import USUAL, bits, differences, drawn_step, random_graph_differences, small_is_large

import graphnn as gn
from graphnn import Compiled, nn
from graphnn.compiler import buffer_allocation, fusion, lowering, plan_cache
from graphnn.compiler import plan as planning
from graphnn.compiler.ir_builder import Builder
from graphnn.compiler.ir_values import Value
from graphnn.compiler.lowering import Lowering
from graphnn.errors import GraphnnWarning, ValueRangeError

pytestmark = pytest.mark.each_backend

Array = np.ndarray[Any, np.dtype[Any]]


@pytest.fixture
def graph() -> gn.Graph:
    return gn.Graph("g")


def state_bits(graph: gn.Graph) -> dict[str, bytes]:
    return {node.name: value.tobytes() for node, value in graph.state.items()}


def learner(graph: gn.Graph, *widths: int, rows: int = 6) -> tuple[gn.Node, dict[gn.Node, gn.Node], dict[Any, Any]]:
    x = graph.placeholder("x", shape=("batch", 3))
    y = graph.placeholder("y", shape=("batch",), dtype=np.int64)
    hidden = [layer for width in widths or (8,) for layer in (nn.Dense(width), nn.ReLU())]
    loss = nn.softmax_crossentropy(nn.Sequential(*hidden, nn.Dropout(0.2), nn.Dense(4))(x, training=True), y)
    rng = np.random.default_rng(0)
    return loss, nn.Adam(0.05).updates(loss), {x: rng.normal(size=(rows, 3)), y: rng.integers(0, 4, rows)}


# --- whose array is it ----------------------------------------------------------------------------------------


def mixed(graph: gn.Graph) -> tuple[list[gn.Node], dict[gn.Node, gn.Node]]:
    """Return fetches of every kind, and updates."""
    x = graph.placeholder("x", shape=("n", 3))
    w, u = graph.parameter("w", [1.0, 2.0, 3.0]), graph.parameter("u", [[1.0, -1.0, 0.5]])
    c = graph.constant([3.0, 4.0, 5.0])
    half = graph.constant(np.full((40, 3), 0.5))
    made = gn.tanh(x * w) + c
    views = [made[::-1], gn.transpose(made), gn.reshape(made, -1), x[:1], w[1:], gn.broadcast_to(c, (2, 3)), u[0]]
    same = [gn.tanh(x * w) + c, gn.stop_gradient(made), made, x, w, c, half, half * 2.0, gn.zeros((2, 2), graph=graph)]
    sums = [gn.sum(made), gn.einsum("ij->ji", made), gn.cast(made, "int64"), gn.cast(x, "float64")]
    return [*views, *same, *sums], {w: w + gn.sum(made, 0), u: gn.reshape(w, (1, 3))}


def arrays_within(things: Any) -> list[Array]:
    """Return every array that can be reached through functions, their cells, and containers."""
    found: list[Array] = []
    waiting, seen = [things], set()
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, np.ndarray):
            found.append(thing)
        elif isinstance(thing, Mapping):
            waiting += [*thing.keys(), *thing.values()]
        elif isinstance(thing, (list, tuple, set)):
            waiting += thing
        elif isinstance(thing, Value):
            waiting.append(thing.array)
        elif callable(thing) and getattr(thing, "__closure__", None):
            waiting += [cell.cell_contents for cell in thing.__closure__]
        elif isinstance(thing, (planning.Plan, Lowering, Builder)):
            waiting += [value for name, value in vars(thing).items() if name not in ("_prepared", "_graph")]
    return found


def test_outputs_share_memory_with_nothing(graph: gn.Graph) -> None:
    fetches, updates = mixed(graph)
    step = gn.compile(fetches, updates)
    given = np.arange(6.0).reshape(2, 3)
    before = given.copy()
    handed_out: list[Array] = []
    copies: list[Array] = []
    for call in range(4):
        expected = gn.run(fetches, {"x": given}, graph=graph)
        results = step({"x": given})
        plan = step.plan({"x": given})
        inside = [array for array in arrays_within(plan) if array.size]
        assert len(inside) > 5
        state = list(graph.state.values())
        for i, (result, right) in enumerate(zip(results, expected, strict=True)):
            assert bits(result) == bits(right), f"fetch {i} of call {call}"
            assert result.flags.writeable
            for other in (*results[:i], *handed_out, *inside, *state, given, *graph._constants.values()):
                assert not np.shares_memory(result, other)
        assert not any(np.shares_memory(given, array) for array in (*inside, *state))
        assert not any(np.shares_memory(array, value) for array in inside for value in state)
        assert not any(value.flags.writeable for value in state)
        handed_out += results
        copies += [result.copy() for result in results]
    given += 1.0
    for _ in range(100):
        step({"x": given})
    assert all(np.array_equal(*pair) for pair in zip(handed_out, copies, strict=True))
    assert np.array_equal(given, before + 1.0)


def test_state_cannot_be_written_to(graph: gn.Graph) -> None:
    _, updates = mixed(graph)
    gn.compile([], updates)({"x": np.ones((2, 3))})
    for value in graph.state.values():
        with pytest.raises(ValueError, match="read-only"):
            value[...] = 0.0
        with pytest.raises(ValueError, match=r"cannot set WRITEABLE flag|WRITEABLE"):
            value.flags.writeable = True


def test_what_is_fed_and_handed_out_may_be_changed_at_once(graph: gn.Graph) -> None:
    fetches, updates = mixed(graph)
    before = dict(graph.state)
    step, careful = gn.compile(fetches, updates), gn.compile(fetches, updates, backend="interpreter")
    feeds = [np.random.default_rng(i).normal(size=(3, 3)) for i in range(200)]
    right = [[bits(result) for result in careful({"x": feed})] for feed in feeds]
    after = state_bits(graph)
    graph.state.update(before)
    for feed, expected in zip(feeds, right, strict=True):
        results = step({"x": feed})
        assert [bits(result) for result in results] == expected
        feed[...] = np.nan
        for result in results:
            result[...] = 0
    assert state_bits(graph) == after


def test_feeds_may_be_read_only_or_mean_the_same_memory(graph: gn.Graph) -> None:
    x, y = graph.placeholder("x", shape=("n",)), graph.placeholder("y", shape=("n",))
    fetches = [x + y, gn.matmul(gn.expand_dims(x, 0), gn.expand_dims(y, 1)), x, y]
    step, careful = gn.compile(fetches), gn.compile(fetches, backend="interpreter")
    line = np.arange(20.0)
    line.flags.writeable = False
    for feed in ({x: line[:10], y: line[:10]}, {x: line[:10], y: line[5:15]}, {x: line[::2], y: line[9::-1]}):
        assert [bits(a) for a in step(feed)] == [bits(a) for a in careful(feed)]
    assert np.array_equal(line, np.arange(20.0))


# --- feeds, sizes, state --------------------------------------------------------------------------------------


def test_feeds_by_node_by_name_and_as_lists(graph: gn.Graph) -> None:
    x, y = graph.placeholder("x", shape=("n",)), graph.placeholder("y", shape=("n",))
    spare = graph.placeholder("spare", shape=("n",))
    step = gn.compile(x - y)
    one, two = np.array([1.0, 2.0]), np.array([5.0, 3.0])
    for feed in ({x: one, y: two}, {"x": one, "y": two}, {"x": one, y: two}, {x: [1.0, 2.0], "y": (5, 3)}):
        assert step(feed).tolist() == [-4.0, -1.0]
        assert step({**feed, spare: one}).tolist() == [-4.0, -1.0]
        assert step({**feed, "spare": [0.0, 0.0]}).tolist() == [-4.0, -1.0]
    with pytest.raises(KeyError, match='"x" is fed twice'):
        step({x: one, "x": one, y: two})
    with pytest.raises(KeyError, match='"x" is fed twice'):
        step({x: one, "x": one})
    with pytest.raises(KeyError, match='lacks "y"'):
        step({x: one, spare: one})
    with pytest.raises(ValueError, match="n = 1"):
        step({x: one, y: two, spare: one[:1]})
    with pytest.raises(KeyError, match='names "z"'):
        step({x: one, y: two, "z": one})
    with pytest.raises(TypeError, match="complex128"):
        step({x: one, y: two * 1j})


NUMBERS = [0.1, -0.0, 7, -(2**24) - 1, 2**60 + 1, 1e300, 1e-300, 3e38, np.nan, -np.inf, True]
NUMBERS += [np.float64(0.1), np.float32(1e-40), np.float16(0.3), np.int64(2**53 + 1), np.int64(-(2**63))]
NUMBERS += [np.int8(3), np.bool_(True)]


@pytest.mark.each_backend
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "int64", "bool"])
@pytest.mark.parametrize("number", NUMBERS, ids=repr)
def test_a_number_is_what_its_array_is(number: Any, dtype: str) -> None:
    def told(function: Callable[..., Any], *arguments: Any) -> Any:
        with warnings.catch_warnings(record=True) as caught, np.errstate(all="raise"):
            warnings.simplefilter("always")
            try:
                result = bits(function(*arguments))
            except (gn.GraphnnError, FloatingPointError) as error:
                result = type(error), str(error)
        return result, [str(warning.message) for warning in caught]

    def fresh() -> gn.Node:
        x = gn.Graph().placeholder("x", (), dtype)
        return gn.negative(x) if dtype != "bool" else gn.logical_not(x)

    step = gn.compile(fresh())
    step({"x": np.ones((), dtype)})
    assert told(step, {"x": number}) == told(gn.run, fresh(), {"x": np.asarray(number)})


@pytest.mark.parametrize("feed", [[1.0], np.ones(2), "x", 7, ()])
def test_what_is_no_feed_is_told_at_every_call(graph: gn.Graph, feed: Any) -> None:
    step = gn.compile(graph.placeholder("x", shape=2) + 1.0)
    for _ in range(2):
        with pytest.raises(gn.UsageError, match="a feed is a dict"):
            step(feed)
        step({"x": np.ones(2)})


def test_a_feed_need_not_be_a_dict(graph: gn.Graph) -> None:
    class Feed(Mapping[str, Any]):
        def __getitem__(self, key: str) -> Any:
            return {"x": np.ones(2)}[key]

        def __iter__(self) -> Iterator[str]:
            return iter(["x"])

        def __len__(self) -> int:
            return 1

    step = gn.compile(graph.placeholder("x", shape=2) + 1.0)
    assert [step(Feed()).tolist() for _ in range(3)] == [[2.0, 2.0]] * 3


def test_sizes_that_no_feed_tells_are_asked_for_at_every_call(graph: gn.Graph) -> None:
    x = graph.placeholder("x", shape=2)
    spare = graph.placeholder("spare", shape=("n", 1))
    step = gn.compile(gn.zeros(("n",), graph=graph) + gn.sum(x))
    feed = {x: np.ones(2)}
    assert step(feed, sizes={"n": 3}).shape == (3,)
    with pytest.raises(KeyError, match='"n"'):
        step(feed)
    assert step({**feed, spare: np.ones((4, 1))}).shape == (4,)
    with pytest.raises(KeyError, match='"n"'):
        step(feed)
    assert step(feed, sizes={"n": 0}).shape == (0,)


def test_a_memory_budget_holds_for_plans_that_are_there(graph: gn.Graph) -> None:
    x = graph.placeholder("x", shape=("n",))
    step = gn.compile(gn.exp(x))
    step({x: np.ones(100)})
    graph.memory_budget = 100
    with pytest.raises(MemoryError, match="the budget is 100"):
        step({x: np.ones(100)})
    graph.memory_budget = None
    step({x: np.ones(100)})


@pytest.mark.usefixtures("little_to_search")
def test_sizes_may_change_from_call_to_call_and_plans_are_not_kept_forever(graph: gn.Graph) -> None:
    x = graph.placeholder("x", shape=("n", 2))
    node = gn.softmax(x * 2.0) + gn.mean(x, 0)
    step = gn.compile(node)

    def plans() -> int:
        gc.collect()
        return sum(file.startswith("<plan of") for file in linecache.cache)

    at_first = plans()
    rng = np.random.default_rng(0)
    feeds = {n: rng.normal(size=(n, 2)) for n in range(1, 61)}
    right = {n: bits(gn.run(node, {x: feed})) for n, feed in feeds.items()}
    for n in [*range(1, 61), *range(60, 0, -1), *rng.integers(1, 61, 100)]:
        assert bits(step({x: feeds[n]})) == right[n]
    assert len(step._plans) == plan_cache.MOST_PLANS
    assert plans() <= at_first + plan_cache.MOST_PLANS + 1
    assert step.plan({x: feeds[7]}) is step.plan({x: feeds[7]})


def test_the_graph_may_grow_and_be_compiled_again(graph: gn.Graph) -> None:
    x = graph.placeholder("x", shape=("n",))
    first = x * 2.0
    one = gn.compile(first)
    two = gn.compile(first)
    assert one({x: [1.0]}).tolist() == two({x: [1.0]}).tolist() == [2.0]
    second = first + graph.parameter("w", 1.0)
    three = gn.compile([first, second])
    for _ in range(2):
        assert one({x: np.array([1.0])}).tolist() == two({x: np.array([1.0])}).tolist() == [2.0]
        assert [value.tolist() for value in three({x: np.array([1.0])})] == [[2.0], [3.0]]


def test_a_parameter_may_be_set_between_calls(graph: gn.Graph) -> None:
    w, v = graph.parameter("w", [1.0, 2.0]), graph.parameter("v", 3.0, trainable=False)
    step = gn.compile([w * 2.0, w, v], {v: v + 1.0})
    assert [value.tolist() for value in step()] == [[2.0, 4.0], [1.0, 2.0], 3.0]
    w.value = [5.0, 6.0]
    assert [value.tolist() for value in step()] == [[10.0, 12.0], [5.0, 6.0], 4.0]
    v.value = -1.0
    assert [value.tolist() for value in step()] == [[10.0, 12.0], [5.0, 6.0], -1.0]
    assert v.value == 0.0


def test_nothing_at_all_can_be_compiled(graph: gn.Graph) -> None:
    w = graph.parameter("w", 1.0)
    assert gn.compile([], graph=graph)() == []
    assert gn.compile([], {w: w})() == []
    assert gn.compile({"a": [w, (w,)]})() == {"a": [1.0, (1.0,)]}


def test_an_overflow_is_warned_of_once_as_in_a_run(graph: gn.Graph) -> None:
    x = graph.placeholder("x", shape=("n",), dtype=np.float16)
    step = gn.compile(gn.exp(x) * gn.sum(x))
    with pytest.warns(GraphnnWarning, match='"exp" .* overflows float16'):
        step({x: np.full(3, 20, np.float16)})
    assert np.isinf(step({x: np.full(3, 20, np.float16)})).all()


def test_a_step_is_quiet_and_leaves_numpys_settings_alone(graph: gn.Graph) -> None:
    x = graph.placeholder("x", shape=("n",))
    step = gn.compile(gn.log(x) / gn.sum(x * 0.0))
    with np.errstate(all="raise"):
        before = np.geterr()
        for _ in range(3):
            assert np.isnan(step({x: np.array([-1.0, 0.0])})).any()
        assert np.geterr() == before
        with pytest.raises(FloatingPointError):
            np.log(np.array(0.0))


@pytest.mark.usefixtures("own_operations")
def test_an_operation_of_ones_own_sees_the_context_of_the_call(graph: gn.Graph) -> None:
    factor = ContextVar("factor", default=1.0)

    class Scaled(gn.Op):
        """x times what the context says."""

        def infer(self, x: gn.Spec) -> gn.Spec:
            return x

        def forward(self, x: Array) -> Any:
            assert set(np.geterr().values()) == {"ignore"}
            return x * factor.get()

    x = graph.placeholder("x", shape=("n",))
    step = gn.compile(Scaled()(x) + 1.0)
    for number in (1.0, 3.0, 5.0):
        factor.set(number)
        assert step({x: np.ones(2)}).tolist() == [number + 1.0] * 2


@pytest.mark.usefixtures("own_operations")
def test_an_operation_of_ones_own_may_call_an_attribute_as_rules_of_loops_are_called(graph: gn.Graph) -> None:
    class Marked(gn.Op):
        """x + 1, by an operation with a mark."""

        evaluated: bool = True

        def infer(self, x: gn.Spec) -> gn.Spec:
            return x

        def forward(self, x: Array) -> Any:
            return x + 1.0

    class Bounded(Marked):
        """x + 1, with a bound of its memory alone."""

        def bound_inside(self, sizes: Any) -> int:
            return 8

    x = graph.placeholder("x", shape=("n",))
    for op in (Marked(), Bounded()):
        step = gn.compile(op(x))
        assert [step({x: np.ones(2)}).tolist() for _ in range(2)] == [[2.0, 2.0]] * 2


# --- errors ---------------------------------------------------------------------------------------------------


def told(step: Any, feed: Mapping[Any, Any]) -> tuple[Any, ...]:
    """Return all that an error says, and where."""
    graph = step.graph
    before = state_bits(graph)
    with pytest.raises(gn.GraphnnError) as caught:
        step(feed)
    assert state_bits(graph) == before
    error = caught.value
    stop = error.stopped
    given = {node.name: value.tobytes() for node, value in stop.prepared.given.items()}
    order = [node.name for node in stop.prepared.program.order]
    return type(error), str(error), error.origin, stop.position, order, given, stop.updates, stop.stopped_by_guard


def same_error(fetches: Any, updates: Any, good: Mapping[Any, Any], bad: Mapping[Any, Any], **how: Any) -> Any:
    """Return the class of an error that plan and interpreter tell alike, at the first call and later."""
    plan, interpreter = (gn.compile(fetches, updates, backend, **how) for backend in (None, "interpreter"))
    right = told(interpreter, bad)
    assert told(plan, bad) == right
    plan(good)
    right = told(interpreter, bad)
    assert told(plan, bad) == right
    assert told(plan, bad) == right
    plan(good)
    return right[0]


def test_labels_out_of_range(graph: gn.Graph) -> None:
    loss, updates, feed = learner(graph)
    for wrong in ([0, 1, 2, 3, 4, 0], [0, 1, -1, 3, 2, 0]):
        kind = same_error(loss, updates, feed, {**feed, graph["y"]: np.array(wrong)})
        assert issubclass(kind, IndexError)


def test_indices_out_of_range(graph: gn.Graph) -> None:
    i = graph.placeholder("i", shape=("n",), dtype=np.int64)
    w = graph.parameter("w", np.arange(12.0).reshape(4, 3))
    v = graph.parameter("v", 1.0)
    for node in (gn.take(w, i, axis=0), gn.take(w, i), gn.one_hot(i, 13), gn.pick(w, i[:4])):
        bad = np.array([0, 1, 2, 99])
        assert issubclass(same_error([v * 2.0, node], {v: v * 2.0}, {i: np.arange(4) % 3}, {i: bad}), IndexError)


def test_integers_divided_by_zero(graph: gn.Graph) -> None:
    d, w = graph.placeholder("d", shape=("n",), dtype=np.int64), graph.parameter("w", np.int64(7))
    kind = same_error([w + d, w // d], {w: w + 1}, {d: np.array([1, 2])}, {d: np.array([1, 0])})
    assert issubclass(kind, ZeroDivisionError)
    # Between constants, too: not when the plan is made, but with its node.
    fetches, updates = [w * 2, graph.constant([4, 5]) // graph.constant([1, 0])], {w: w + 1}
    one, other = (told(gn.compile(fetches, updates, backend), {}) for backend in (None, "interpreter"))
    assert one == other


@pytest.mark.usefixtures("own_operations")
@pytest.mark.parametrize("error", [MemoryError("too much"), ValueError("no"), KeyError("k"), RuntimeError()])
@pytest.mark.parametrize("out", [False, True])
def test_an_operation_of_ones_own_that_raises(graph: gn.Graph, error: Exception, out: bool) -> None:
    class Fragile(gn.Op):
        """x, unless it is negative."""

        def infer(self, x: gn.Spec) -> gn.Spec:
            return x

        if out:

            def forward(self, x: Array, out: Array | None = None) -> Any:
                if np.any(x < 0):
                    raise error
                return np.multiply(x, 1.0, out=out)

        else:

            def forward(self, x: Array) -> Any:
                if np.any(x < 0):
                    raise error
                return x * 1.0

    x, w = graph.placeholder("x", shape=("n", 2)), graph.parameter("w", 1.0)
    node = gn.sin(Fragile()(gn.exp(x) - 2.0)) + w
    good, bad = np.ones((3, 2)), np.array([[1.0, 1.0], [0.0, 1.0]])
    kind = same_error([node, gn.sum(node)], {w: w + 1.0}, {x: good}, {x: bad})
    assert issubclass(kind, type(error))


@pytest.mark.usefixtures("own_operations")
@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda x: x[:1], id="shape"),
        pytest.param(lambda x: x.astype(np.float32), id="dtype"),
        pytest.param(lambda x: np.add(x, 1, out=x), id="writes to its operand"),
    ],
)
def test_an_operation_of_ones_own_is_held_to_its_word(graph: gn.Graph, wrong: Callable[[Array], Array]) -> None:
    class Liar(gn.Op):
        """x, or not."""

        def infer(self, x: gn.Spec) -> gn.Spec:
            return x

        def forward(self, x: Array) -> Any:
            return wrong(x) if x.sum() > 50 else x * 1.0

    x, w = graph.placeholder("x", shape=("n",)), graph.parameter("w", 1.0)
    node = Liar()(gn.exp(x)) + w
    error = same_error(node, {w: w + 1.0}, {x: np.zeros(3)}, {x: np.full(3, 9.0)})
    assert issubclass(error, (ValueError, gn.errors.DtypeError))


@pytest.mark.usefixtures("own_operations")
@pytest.mark.parametrize(
    "returned",
    [
        pytest.param(lambda x: x, id="its operand"),
        pytest.param(lambda x: x.T, id="a view"),
        pytest.param(lambda x: np.asfortranarray(x + 1.0), id="Fortran order"),
        pytest.param(lambda x: np.broadcast_to(x[:1], x.shape), id="a broadcast view"),
        pytest.param(lambda x: x[::-1], id="a reversed view"),
    ],
)
def test_an_operation_of_ones_own_may_return_what_it_was_given(
    graph: gn.Graph, returned: Callable[[Array], Array]
) -> None:
    class Handed(gn.Op):
        """x, or a view of it."""

        def infer(self, x: gn.Spec) -> gn.Spec:
            return x

        def forward(self, x: Array) -> Any:
            return returned(x)

    x = graph.placeholder("x", shape=(5, 5))
    made = gn.sin(x * 3.0)
    handed = Handed()(made)
    # More of the same size, which would come to lie where the operand was.
    after = gn.tanh(gn.cos(x * 2.0) + x)
    fetches = [handed + after, gn.sum(handed * after), gn.sum(gn.transpose(handed), 0), handed, made * after]
    feed = {x: np.random.default_rng(0).normal(size=(5, 5))}
    for chosen in ([fetches[0]], fetches[1:2], fetches[3:4], fetches):
        step = gn.compile(chosen)
        right = [bits(value) for value in gn.run(chosen, feed)]
        assert [[bits(value) for value in step(feed)] for _ in range(3)] == [right] * 3


def test_an_operation_of_ones_own_may_have_any_name(graph: gn.Graph, own_operations: None) -> None:
    names = ["arena", "import os; os.abort()", "x' \"#", "{0}", "lambda", "größer", "9", "empty", "step", "n" * 200]

    def plus(number: int) -> Callable[..., Any]:
        return lambda self, x: x + number

    node = graph.placeholder("x", shape=2)
    for number, name in enumerate(names):
        own = type(
            f"Own{number}",
            (gn.Op,),
            {
                "name": name,
                "infer": lambda self, x: x,
                "forward": plus(number),
                "__doc__": "x + number.",
            },
        )
        node = own()(node)
    step = gn.compile(node)
    assert step({"x": np.zeros(2)}).tolist() == [45.0, 45.0]
    assert_written_by_us(step.plan({"x": np.zeros(2)}).source)


def test_the_guard_tells_the_same_of_a_nan_within(graph: gn.Graph) -> None:
    x, w = graph.placeholder("x", shape=("n",)), graph.parameter("w", 1.0)
    root = gn.sqrt(x + w)
    for guard, bad in (("nan", [1.0, -9.0]), ("finite", [1.0, np.inf])):
        kind = same_error(gn.sum(root), {w: w * 1.0}, {x: np.ones(2)}, {x: np.array(bad)}, guard=guard)
        assert issubclass(kind, ValueError)


@pytest.mark.plans_of_numpy
def test_what_depends_on_the_size_of_a_number_is_computed_once_for_it_and_its_negative(graph: gn.Graph) -> None:
    x = graph.placeholder("x", ("n",))
    fetches = [gn.softplus(x), gn.softplus(-x), gn.sigmoid(x), gn.sigmoid(-x), abs(-x)]
    feed = {x: np.array([np.nan, -np.nan, 0.0, -0.0, np.inf, -np.inf, 1.5, -40.0, 40.0])}
    step = gn.compile(fetches)
    assert [value.tobytes() for value in step(feed)] == [value.tobytes() for value in gn.run(fetches, feed)]
    source = step.plan(feed).source
    assert [source.count(f"{called}(") for called in ("absolute", "exp", "log1p")] == [1, 1, 1]


@pytest.mark.plans_of_numpy
def test_what_happens_within_a_chain_in_blocks_is_told_as_the_interpreter_does(graph: gn.Graph) -> None:
    x = graph.placeholder("x", shape=("n", 64))
    d = graph.placeholder("d", shape=("n", 64), dtype=np.int64)
    w = graph.parameter("w", 1.0)
    roots = gn.sqrt(x * 2.0 + w) * 3.0 - 1.0
    parts = ((d + 1) // d) * 2 + 1
    good = {x: np.ones((2000, 64)), d: np.ones((2000, 64), np.int64)}
    updates = {w: w + gn.mean(roots)}
    nan = {**good, x: np.where(np.arange(128_000).reshape(2000, 64) == 77_777, -1e9, 1.0)}
    zero = {**good, d: (np.arange(128_000).reshape(2000, 64) != 123_456).astype(np.int64)}
    step = gn.compile([roots, gn.sum(parts)], updates)
    source = step.plan(good).source
    loops = [ast.unparse(node) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.For)]
    assert any("sqrt(" in loop for loop in loops)
    assert any("floor_divide" in loop for loop in loops)
    assert issubclass(same_error([roots, gn.sum(parts)], updates, good, zero), ZeroDivisionError)
    assert issubclass(same_error([roots, gn.sum(parts)], updates, good, nan, guard="nan"), ValueError)
    with pytest.raises(ValueError, match=r'"sqrt".* is NaN at \(1215, 17\)'):
        gn.compile([roots, gn.sum(parts)], updates, guard="nan")(nan)


# --- the code -------------------------------------------------------------------------------------------------


def by_itself(plan: planning.Plan, given: list[Array]) -> list[Array]:
    """Return what the code of a plan gives where nothing else is."""
    space: dict[str, Any] = {}
    exec(plan.source, space)  # noqa: S102 - it is what is to be tested
    with np.errstate(all="ignore"):
        return list(space["plan"](**plan.arguments)(*given))


@pytest.mark.plans_of_numpy
def test_the_code_is_complete() -> None:
    for number in range(60):
        fetches, feeds, updates = drawn_step(1, number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GraphnnWarning)
            step = gn.compile(fetches, updates)
            plan = step.plan(feeds[0])
            given = [step.prepared(feeds[0]).given[node] for node in plan.given]
            assert_written_by_us(plan.source)
            try:
                expected = plan(*given)
            except ValueRangeError:  # as of a matrix that is not positive definite
                continue
            assert [bits(value) for value in by_itself(plan, given)] == [bits(value) for value in expected]


STRINGS = {"clip", "unsafe", "labels", "codes", *(np.dtype(kind).name for kind in "?bhlqBHLQiIefd")}


def assert_written_by_us(source: str) -> None:
    """Nothing stands in the code but identifiers of ASCII, numbers, and words that are ours."""
    assert source.isascii()
    assert max(map(len, source.split("\n")), default=0) < 20_000
    for node in ast.walk(ast.parse(source)):
        assert not isinstance(node, (ast.Import, ast.Lambda, ast.JoinedStr, ast.Global, ast.ClassDef, ast.Await))
        if isinstance(node, ast.ImportFrom):
            assert node.module == "numpy"
        if isinstance(node, ast.Constant):
            assert isinstance(node.value, (bool, int, float, type(None), type(...))) or node.value in STRINGS
        if isinstance(node, ast.Attribute):
            assert node.attr in ATTRIBUTES
    names = [node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)]
    ours = [re.sub(r"(?<=[a-z0-9])(__(rows|columns|part|repeated|[0-9]+))+$", "", name) for name in names]
    assert all(len(name) < 120 and "__" not in name for name in ours)


ATTRIBUTES = {"copy", "ctypes", "data", "fill", "reduce", "reshape", "squeeze", "start", "stop", "take", "transpose"}
ATTRIBUTES |= {"T", "argmax", "clip", "dot", "item", "view"}

HOSTILE = [
    "__import__('os').abort()",
    "a; import os",
    "x\ny = 1",
    "\r",
    '"""',
    "'",
    "\\",
    "{0}",
    "{out}",
    "%s",
    "lambda",
    "None",
    "class",
    "exec",
    "print",
    "empty",
    "ndarray",
    "arena",
    "plan",
    "step",
    "rows",
    "min",
    "slice",
    "range",
    "blocks_1",
    "together",
    "tanh",
    "multiply",
    "value",
    "value_2",
    "",
    " ",
    "9 lives",
    "größer",
    "名前",
    "\u202e",
    "# comment",
    "#",
    "_",
    "__class__",
    "x" * 10_000,
    "x" * 9_999 + "y",
    "a/b:0",
    "<b>",
]


def renamed(names: list[str]) -> tuple[list[gn.Node], dict[str, Array]]:
    """Return a graph that uses what plans are made of, its nodes called by these names."""
    graph = gn.Graph("".join(names)[:200])
    rest = iter(names)
    x = graph.placeholder(next(rest), shape=("n", 3))
    labels = graph.placeholder(next(rest), shape=("n",), dtype=np.int64)
    w = graph.parameter(next(rest), np.arange(9.0).reshape(3, 3))
    made = [x, gn.matmul(x, w, name=next(rest)), graph.constant([1.0, 2.0, 3.0], name=next(rest))]
    for number, name in enumerate(rest):
        one, other = made[-1], made[-1 - number % 3]
        use: Callable[..., gn.Node] = [gn.tanh, gn.multiply, gn.sum, gn.relu, gn.where, gn.softplus][number % 6]
        operands = {gn.multiply: (one, other), gn.where: (gn.greater(one, 0.5), one, other)}.get(use, (one,))
        made.append(use(*operands, name=name, **({"axis": -1, "keepdims": True} if use is gn.sum else {})))
    made.append(gn.pick(made[1], labels))
    return made, {names[0]: np.ones((4, 3)), names[1]: np.array([0, 1, 2, 0])}


def in_order_of_appearance(source: str) -> str:
    """Return the code with its variables numbered."""
    tree = ast.parse(source)
    imported = next(node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    known: dict[str, str] = {alias.name: alias.name for alias in imported.names}
    known |= {name: name for name in ("plan", "step", "arena", "slice", "min", "range", "rows", "codes_forward")}

    def called(name: str) -> str:
        return known.setdefault(name, f"v{len(known)}")

    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            node.id = called(node.id)
        elif isinstance(node, ast.arg):
            node.arg = called(node.arg)
    return ast.dump(tree)


@pytest.mark.plans_of_numpy
@pytest.mark.parametrize("large", [False, True])
def test_names_of_nodes_leave_nothing_in_the_code_but_identifiers(large: bool) -> None:
    with small_is_large() if large else nullcontext(USUAL) as settings:
        rng = random.Random(0)
        for _ in range(10):
            names = rng.sample(HOSTILE, len(HOSTILE))
            hostile, feed = renamed(names)
            plain, plain_feed = renamed([f"n{i}" for i in range(len(names))])
            step, other = Compiled(hostile, settings=settings), Compiled(plain, settings=settings)
            plan, right = step.plan(feed), other.plan(plain_feed)
            assert_written_by_us(plan.source)
            assert in_order_of_appearance(plan.source) == in_order_of_appearance(right.source)
            pairs = zip(step(feed), other(plain_feed), strict=True)
            assert all(bits(one) == bits(two) for one, two in pairs)


@pytest.mark.plans_of_numpy
def test_each_variable_is_made_once() -> None:
    for number in range(30):
        fetches, feeds, updates = drawn_step(2, number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GraphnnWarning)
            tree = ast.parse(gn.compile(fetches, updates).plan(feeds[0]).source)
        made = [t.id for n in ast.walk(tree) if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)]
        made += [node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)]
        twice = {name for name in made if made.count(name) > 1}
        assert twice <= {"arena"}


def test_settings_leave_nothing_in_the_code(graph: gn.Graph) -> None:
    x = graph.placeholder("x", shape=("n", "n"))
    nodes = [
        gn.einsum("ij,jk->ik", x, x),
        gn.clip(x, -np.inf, np.nan),
        gn.pad(x, ((1, 2), (0, 1)), constant_values=-0.0),
        gn.leaky_relu(x, 1e-300),
        gn.zeros(("n", "2*n"), dtype="float32", graph=graph),
        x[:, None, ..., ::-2],
        gn.norm(x, np.inf, 0),
        gn.round(x, -1),
    ]
    step = gn.compile(nodes)
    feed = {x: np.arange(9.0).reshape(3, 3)}
    assert_written_by_us(step.plan(feed).source)
    assert [bits(value) for value in step(feed)] == [bits(value) for value in gn.run(nodes, feed)]


PROGRAM = """
import json, sys
sys.path[:0] = sys.argv[1:]
from test_plan import codes
print(json.dumps(codes()))
"""


def codes() -> list[str]:
    found = []
    for number in range(20):
        fetches, feeds, updates = drawn_step(3, number)
        with warnings.catch_warnings(), small_is_large() as settings:
            warnings.simplefilter("ignore", GraphnnWarning)
            found.append(Compiled(fetches, updates, settings=settings).plan(feeds[0]).source)
    return found


@pytest.mark.plans_of_numpy
def test_the_code_is_the_same_in_every_process() -> None:
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"  # not that of this process
    other = subprocess.run(
        [sys.executable, "-c", PROGRAM, *SHARED, str(Path(gn.__file__).parents[1])],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert json.loads(other.stdout) == codes()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_settings_may_be_beyond_the_dtype(graph: gn.Graph, dtype: str) -> None:
    x = graph.placeholder("x", shape=3, dtype=dtype)
    nodes = [gn.clip(x, -1e300, 1e300), gn.clip(x, 0.1, 70000.0), gn.divide_by_size(x, 10**6), gn.pad(x, 1)]
    feed = {x: np.array([-1.0, 2.0, 3.0], dtype)}
    assert [bits(value) for value in gn.compile(nodes)(feed)] == [bits(value) for value in gn.run(nodes, feed)]


# --- threads and Ctrl-C ---------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX only: the process forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.plans_of_numpy
def test_a_forked_process_has_threads_of_its_own(graph: gn.Graph) -> None:
    x = graph.placeholder("x", ("batch", 64))
    step = gn.compile(gn.tanh(x) * x + 1.0, backend="numpy", threads=2)
    feed = {x: np.linspace(0, 1, 8192 * 64).reshape(8192, 64)}
    assert "together(" in step.plan(feed).source
    expected = step(feed).tobytes()
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # ends a child that waits for threads that it does not have
        os._exit(int(step(feed).tobytes() != expected))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert step(feed).tobytes() == expected


@pytest.mark.plans_of_numpy
def test_a_step_on_threads_is_called_while_the_program_ends() -> None:
    code = """
import atexit, threading, numpy as np, graphnn as gn
g = gn.Graph()
x = g.placeholder("x", ("batch", 64))
step = gn.compile(gn.tanh(x) * x + 1.0, backend="numpy", threads=2)
feed = {x: np.linspace(0, 1, 8192 * 64).reshape(8192, 64)}
assert "together(" in step.plan(feed).source
expected = step(feed).tobytes()
def again():
    print(step(feed).tobytes() == expected)
threading.Thread(target=lambda: (threading.main_thread().join(), again())).start()
atexit.register(again)
"""
    env = {**os.environ, "PYTHONPATH": str(Path(gn.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\nTrue\n", "")


def test_eight_threads_call_one_plan_a_thousand_times_each(graph: gn.Graph) -> None:
    x = graph.placeholder("x", shape=("batch", 3))
    network = nn.Sequential(nn.Dense(16), nn.ReLU(), nn.Dense(2), nn.Softmax())(x)
    fetches = [network, gn.transpose(network), gn.sum(gn.where(gn.greater(network, 0.5), network, 0.0), -1)]
    step = gn.compile(fetches)
    rng = np.random.default_rng(0)
    feeds = [rng.normal(size=(4 if i % 4 else 1 + i % 7, 3)) for i in range(50)]
    expected = [[bits(value) for value in gn.run(fetches, {x: feed})] for feed in feeds]
    together = threading.Barrier(8)

    def work(number: int) -> int:
        together.wait()
        places = np.random.default_rng(number).integers(0, 50, 1000)
        return sum([bits(value) for value in step({x: feeds[i]})] != expected[i] for i in places)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [0] * 8


def test_no_thread_sees_half_an_update(graph: gn.Graph) -> None:
    parameters = [graph.parameter(f"w{i}", 0.0) for i in range(200)]
    advance = gn.compile([], {w: w + 1.0 for w in parameters})
    look = gn.compile(parameters)
    look()
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as pool:
            done = pool.submit(lambda: [advance() for _ in range(400)])
            while not done.done():
                assert len({float(value) for value in look()}) == 1
    finally:
        sys.setswitchinterval(before)
    assert parameters[-1].value == 400.0


@contextmanager
def alarms() -> Iterator[Callable[[Callable[[], Any], float], bool]]:
    """Yield what makes a call and presses Ctrl-C so many seconds later; it returns whether that came in time."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    gc.disable()  # Ctrl-C in a callback of the collector, as Hypothesis has one, is lost

    def interrupted(call: Callable[[], Any], delay: float) -> bool:
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, delay)
                call()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            return True
        return False

    try:
        yield interrupted
    finally:
        gc.enable()
        signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="POSIX only: an interval timer presses Ctrl-C")
def test_ctrl_c_at_any_point_leaves_the_state_of_before_or_after(graph: gn.Graph) -> None:
    loss, updates, feed = learner(graph, 8, 8)
    careful, step = (gn.compile(loss, updates, backend) for backend in ("interpreter", None))
    states, losses = [dict(graph.state)], []
    for _ in range(40):
        losses.append(careful(feed).tobytes())
        states.append(dict(graph.state))
    known = [{node: value.tobytes() for node, value in state.items()} for state in states]
    rng = random.Random(0)
    at = hits = 0
    graph.state.update(states[0])
    step(feed)
    at = 1
    with alarms() as interrupted:
        while hits < 200:
            if at == 40:
                graph.state.update(states[0])
                at = 0
            hits += interrupted(lambda: step(feed), rng.uniform(1e-6, 6e-4))
            now = {node: value.tobytes() for node, value in graph.state.items()}
            assert now in (known[at], known[at + 1])
            at += now == known[at + 1]
            if hits % 20 == 0 and at < 40:
                assert step(feed).tobytes() == losses[at]
                at += 1
    # The lock is free again.
    graph.state.update(states[0])
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: step(feed).tobytes()).result(timeout=60) == losses[0]


# --- memory ---------------------------------------------------------------------------------------------------


def _root(array: Any) -> Any:
    """Return the array whose memory it is; windows are views of something that is no array, and is of one."""
    while array.base is not None:
        array = array.base
    return array


class Memory:
    """The arena, byte by byte: whose value stands there. It follows the code of a plan, and knows nothing else."""

    def __init__(self, plan: planning.Plan) -> None:
        space: dict[str, Any] = {}
        exec(plan.source, space)  # noqa: S102 - it is what is to be tested
        tree = ast.parse(plan.source)
        outer = next(node for node in tree.body if isinstance(node, ast.FunctionDef))
        self.step = next(node for node in outer.body if isinstance(node, ast.FunctionDef))
        step = space["plan"](**plan.arguments)
        cells = zip(step.__code__.co_freevars, step.__closure__ or (), strict=True)
        self.known = {name: cell.cell_contents for name, cell in cells}
        self.arrays = {name: value for name, value in self.known.items() if isinstance(value, np.ndarray)}
        roots = [*map(_root, self.arrays.values())]
        arenas = [root for root in roots if root.dtype == np.uint8 and root.ndim == 1]
        self.start, end = np.lib.array_utils.byte_bounds(arenas[0]) if arenas else (0, 0)
        self.owner = np.full(end - self.start, -1)
        self.values: list[str] = []
        self.root: dict[str, str] = {}
        for line in outer.body:
            if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
                self._made(line)
        self.reads = self.writes = 0
        self.wrong: list[str] = []

    def _made(self, line: ast.Assign) -> None:
        name = line.targets[0].id  # type: ignore[attr-defined]
        if isinstance(line.value, ast.ListComp):
            parts = line.value.elt.elts  # type: ignore[attr-defined]
            self.root[name] = [self._of(part) for part in parts]  # type: ignore[assignment]
        elif ast.unparse(line.value).startswith("ndarray(") or isinstance(line.value, ast.Name):
            self.root[name] = name  # in the second case another value in the same place
        elif name != "arena":
            self.root[name] = self._of(line.value)

    def _of(self, expression: ast.expr) -> str:
        """Return the name of the value whose memory an expression shows."""
        names = [node.id for node in ast.walk(expression) if isinstance(node, ast.Name) and node.id in self.root]
        return self.root[names[0]] if names else ""

    def follow(self) -> None:
        for line in self.step.body:
            if isinstance(line, ast.For):
                self._loop(line)
            else:
                self._line(line, self.arrays, self.root)

    def _loop(self, loop: ast.For) -> None:
        names = [target.id for target in loop.target.elts]  # type: ignore[attr-defined]
        table = loop.iter.id  # type: ignore[attr-defined]
        for row in self.known[table]:
            arrays = {**self.arrays, **dict(zip(names[1:], row[1:], strict=True))}
            roots = {**self.root, **dict(zip(names, self.root[table], strict=True))}
            for line in loop.body:
                match line:
                    case ast.Assign([ast.Name(name)], ast.Name(source)):  # another value in the same place
                        if source in arrays:
                            value = name.removesuffix("__rows")
                            arrays[name], roots[name] = arrays[source], self.root.get(value, value)
                    case _:
                        self._line(line, arrays, roots)

    def _line(self, line: ast.stmt, arrays: Mapping[str, Array], roots: Mapping[str, str]) -> None:
        if isinstance(line, ast.Return) or (isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name)):
            written = ""
        elif isinstance(line, ast.If):
            written = ""
            line = ast.Expr(line.test)
        elif isinstance(line, ast.Assign):
            written = _named(line.targets[0])
        else:
            assert isinstance(line, ast.Expr)
            written = _out(line.value)
        text = ast.unparse(line)
        fills = ".fill(" in text or text.startswith("copyto(") or isinstance(line, ast.Assign)
        read = [node.id for node in ast.walk(line) if isinstance(node, ast.Name)]
        for name in read:
            if name != written or (read.count(name) > 1 and not fills):
                self._read(name, arrays, roots, text)
        if written in arrays and (span := self._span(arrays[written])):
            self.writes += 1
            root = roots[written]
            if root not in self.values:
                self.values.append(root)
            self.owner[slice(*span)] = self.values.index(root)

    def _read(self, name: str, arrays: Mapping[str, Array], roots: Mapping[str, str], text: str) -> None:
        if name not in arrays or name not in roots or not roots[name]:
            return
        span = self._span(arrays[name])
        if span is None:
            return
        self.reads += 1
        owned = self.owner[slice(*span)]
        places = owned[:1] if (owned == owned[0]).all() else np.unique(owned)
        owners = {self.values[i] if i >= 0 else "nobody" for i in places}
        if owners != {roots[name]}:
            self.wrong.append(f"{text}: {name} is read where {owners} stands")

    def _span(self, array: Array) -> tuple[int, int] | None:
        if not array.size:
            return None
        low, high = np.lib.array_utils.byte_bounds(array)
        inside = self.start <= low < self.start + len(self.owner)
        return (low - self.start, high - self.start) if inside else None


def _named(expression: ast.expr) -> str:
    while isinstance(expression, (ast.Subscript, ast.Attribute, ast.Call)):
        expression = expression.func if isinstance(expression, ast.Call) else expression.value
    assert isinstance(expression, ast.Name)
    return expression.id


def _out(call: ast.expr) -> str:
    """Return the name of the array that a call writes to."""
    assert isinstance(call, ast.Call)
    for keyword in call.keywords:
        if keyword.arg == "out":
            return _named(keyword.value)
    if isinstance(call.func, ast.Attribute):
        place = {"clip": 2, "dot": 1, "reduce": 3, "take": 2}.get(call.func.attr)
        return _named(call.func) if place is None else _named(call.args[place])
    return _named(call.args[0] if call.func.id == "copyto" else call.args[-1])  # type: ignore[attr-defined]


def followed(plan: planning.Plan) -> Memory:
    memory = Memory(plan)
    memory.follow()
    return memory


@pytest.mark.plans_of_numpy
def test_nothing_is_read_where_something_else_was_written() -> None:
    reads = writes = loops = 0
    for number in range(90):
        fetches, feeds, updates = drawn_step(4, number)
        with warnings.catch_warnings(), small_is_large() if number % 2 else nullcontext(USUAL) as settings:
            warnings.simplefilter("ignore", GraphnnWarning)
            plan = Compiled(fetches, updates, settings=settings).plan(feeds[0])
        memory = followed(plan)
        assert not memory.wrong, f"graph {number}: {memory.wrong}\n{plan.source}"
        reads += memory.reads
        writes += memory.writes
        loops += "for " in plan.source
    assert min(reads, writes) > 1000
    assert loops > 20


@pytest.mark.plans_of_numpy
@pytest.mark.parametrize("widths", [(8,), (64, 64), (256, 128, 64), (160,) * 6])
@pytest.mark.parametrize("rows", [32, 500])
def test_the_arena_is_hardly_larger_than_what_lives_at_once(widths: tuple[int, ...], rows: int) -> None:
    graph = gn.Graph()
    loss, updates, feed = learner(graph, *widths, rows=rows)
    step = gn.compile(loss, updates)
    plan = step.plan(feed)
    told = plan.explain()
    assert told.live <= told.arena <= 1.1 * told.live
    memory = followed(plan)
    assert not memory.wrong
    assert memory.reads > 20
    # What lives at once, from the code alone: no byte of the arena is anyone's without being written.
    assert told.arena <= len(memory.owner) <= told.arena + 128


def long_step(dtype: str) -> tuple[Any, Any, list[dict[gn.Node, Array]]]:
    """Return a step on 5,003 rows, with its updates and three feeds."""
    graph = gn.Graph(dtype=dtype)
    x, y = graph.placeholder("x", shape=("batch", 3)), graph.placeholder("y", shape=("batch",), dtype=np.int64)
    rng = np.random.default_rng(0)
    network = nn.Sequential(nn.Dense(64, rng=rng), nn.ReLU(), nn.Dense(4, rng=rng))
    loss = nn.softmax_crossentropy(network(x), y)
    feeds = [{x: rng.normal(size=(5003, 3)).astype(dtype), y: rng.integers(0, 4, 5003)} for _ in range(3)]
    return loss, nn.SGD(0.1).updates(loss), feeds


@pytest.mark.plans_of_numpy
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_are_computed_in_the_blocks_of_what_is_around_them(dtype: str) -> None:
    loss, updates, feeds = long_step(dtype)
    plan = gn.compile(loss, updates).plan(feeds[0])
    assert not differences([loss], feeds, updates)
    assert not followed(plan).wrong
    loops = [ast.unparse(node) for node in ast.walk(ast.parse(plan.source)) if isinstance(node, ast.For)]
    products = [re.findall(r"matmul\(([\w.]+), ([\w.]+), ", loop) for loop in loops]
    # Each hidden layer goes forwards in one loop and backwards in another: it is there once, and nothing else of it.
    forwards = [("x__rows", "dense_1_weight"), ("relu_1_2__rows", "dense_2_weight")]
    backwards = [
        ("grad_softmax_crossentropy_1_add__rows", "grad_dense_2_transpose"),
        ("relu_1_2__rows.T", "grad_softmax_crossentropy_1_add__rows"),
        ("grad_where_2__rows.T", "ones__rows"),
        ("x__rows.T", "grad_where_2__rows"),
    ]
    assert [sorted(found) for found in products if found] == [sorted(forwards), sorted(backwards)]
    whole = [piece for piece in plan.explain().pieces if not piece.scratch and piece.size >= 5003 * 64 * 4]
    assert [piece.nodes for piece in whole] == [("relu_1",)]


@pytest.mark.plans_of_numpy
@pytest.mark.parametrize("threads", [2, 5])
def test_products_in_blocks_are_the_same_for_any_number_of_threads(threads: int) -> None:
    loss, updates, feeds = long_step("float32")
    steps = [gn.compile([loss, *updates.values()], threads=many) for many in (1, threads)]
    for feed in feeds:
        one, other = ([bits(value) for value in step(feed)] for step in steps)
        assert one == other


@pytest.mark.plans_of_numpy
@pytest.mark.parametrize("backwards", [False, True])
def test_a_long_chain_is_laid_out_in_one_pass(backwards: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    right = buffer_allocation._donor

    def counted(value: Value, first: int, read: Any, of: Any, last: list[int]) -> Any:
        asked.append(len(read))
        return right(value, first, read, of, last)

    monkeypatch.setattr(buffer_allocation, "_donor", counted)
    graph = gn.Graph(dtype=np.float32)
    x = h = graph.placeholder("x", shape=("n",))
    for i in range(300):
        h = gn.sin(h) if i % 2 else h * 0.5
    gn.compile(gn.grad(gn.sum(h), x) if backwards else h).plan({x: np.ones(10**5, np.float32)})
    assert len(asked) > 250
    assert max(asked) < 8


def explained() -> tuple[Any, dict[Any, Any], Any]:
    loss, updates, feed = learner(gn.Graph(), 256, 128, 64, rows=500)
    step = gn.compile(loss, updates)
    return step, feed, step.plan(feed).explain()


def test_an_explanation_accounts_for_every_byte_of_the_arena() -> None:
    _, _, told = explained()
    ends = {end for piece in told.pieces for end in (piece.offset, piece.offset + piece.size)}
    cuts = np.array(sorted({0, told.arena} | ends))  # each lies between two bytes
    assert (cuts[0], cuts[-1]) == (0, told.arena)
    taken = np.zeros((max(piece.last for piece in told.pieces) + 1, len(cuts) - 1), bool)
    for piece in told.pieces:
        first, last = np.searchsorted(cuts, [piece.offset, piece.offset + piece.size])
        place = taken[piece.first : piece.last + 1, first:last]
        assert not place.any(), f"{piece} stands where another one does"
        place[...] = True
        assert piece.nodes
    assert taken.any(axis=0).all(), "bytes of nobody"
    assert (taken @ np.diff(cuts)).max() == told.live


def test_a_step_allocates_what_it_hands_out_and_nothing_else() -> None:
    step, feed, told = explained()
    for _ in range(3):
        step(feed)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        loss = step(feed)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    numbers = loss.nbytes + sum(step.graph.state[parameter].nbytes for parameter in step.updates)
    assert told.handed_out == numbers
    # NumPy tells what it allocates; beside the numbers there are the arrays themselves, and a buffer of a ufunc's.
    assert numbers <= peak - before < numbers + 100_000
    assert numbers <= after - before < numbers + 100_000
    assert told.arena > 1_000_000


# --- faults that are planted ----------------------------------------------------------------------------------


def found_in(numbers: range, enough: int) -> int:
    """Return how many random graphs a fault shows in; no more are looked at once they are enough."""
    found = 0
    for number in numbers:
        if found >= enough:
            break
        with suppress(AssertionError):
            try:
                assert not random_graph_differences(5, number)
                continue
            except (ValueError, TypeError, IndexError, NameError, UnboundLocalError):
                pass
        found += 1
    return found


def clobbered_in(numbers: range, enough: int) -> int:
    """Return in how many plans something is read where something else was written; no more once they are enough."""
    found = 0
    for number in numbers:
        if found >= enough:
            break
        fetches, feeds, updates = drawn_step(5, number)
        with warnings.catch_warnings(), small_is_large() if number % 2 else nullcontext(USUAL) as settings:
            warnings.simplefilter("ignore", GraphnnWarning)
            plan = Compiled(fetches, updates, settings=settings).plan(feeds[0])
            try:
                found += bool(followed(plan).wrong)
            except TypeError:  # planted: there is too little memory for an array
                found += 1
    return found


@pytest.mark.plans_of_numpy
def test_without_faults_there_is_nothing_to_find() -> None:
    assert found_in(range(60), 1) == clobbered_in(range(40), 1) == 0


@pytest.mark.plans_of_numpy
def test_a_life_that_ends_too_early_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = buffer_allocation._last_uses

    def wrong(values: list[Value], *outputs: Any) -> list[int]:
        return [max(value.index, end - 1) for value, end in zip(values, right(values, *outputs), strict=True)]

    monkeypatch.setattr(buffer_allocation, "_last_uses", wrong)
    assert found_in(range(100), 11) == 11
    assert clobbered_in(range(90), 11) == 11


@pytest.mark.plans_of_numpy
def test_a_view_that_does_not_keep_alive_what_it_is_of_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(values: list[Value], *outputs: Any) -> list[int]:
        last = [value.index for value in values]
        for value in values:
            for operand in value.operands:
                if operand.index >= 0:
                    last[operand.index] = value.index
        return last

    monkeypatch.setattr(buffer_allocation, "_last_uses", wrong)
    assert found_in(range(100), 4) == 4
    assert clobbered_in(range(60), 4) == 4


@pytest.mark.plans_of_numpy
def test_writing_over_an_operand_that_is_needed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(value: Value, first: int, read: Any, of: Mapping[Value, Any], last: list[int]) -> Any:
        fitting = [x for x in value.operands if x.shape == value.shape and x.dtype == value.dtype and x.root in of]
        return of[fitting[0].root] if fitting and value.kind == "each" else None

    monkeypatch.setattr(buffer_allocation, "_donor", wrong)
    assert found_in(range(100), 4) == 4
    assert clobbered_in(range(60), 4) == 4


@pytest.mark.plans_of_numpy
@pytest.mark.parametrize("left_out", ["how", "operands"])
def test_merging_what_differs_is_found(monkeypatch: pytest.MonkeyPatch, left_out: str) -> None:
    def wrong(self: Builder, value: Value) -> Value:
        told = {"how": value.how, "operands": tuple(map(id, value.operands))}
        del told[left_out]
        key = (*told.values(), value.shape, value.dtype, value.kind)
        if key not in self._known:
            self._known[key] = value
            self.values.append(value)
        return self._known[key]

    monkeypatch.setattr(Builder, "add", wrong)
    assert found_in(range(100), 11) == 11


@pytest.mark.plans_of_numpy
def test_constants_merged_by_value_and_not_by_bits_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Builder.constant
    monkeypatch.setattr(Builder, "constant", lambda self, array: right(self, np.asarray(array) + 0))
    graph = gn.Graph()
    x = graph.placeholder("x", shape=2)
    node = gn.divide(x, graph.constant(-0.0))
    assert bits(gn.compile(node)({x: np.ones(2)})) != bits(gn.run(node, {x: np.ones(2)}))


@pytest.mark.plans_of_numpy
def test_blocks_that_share_scratch_wrongly_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = fusion.Chain.share_scratch

    def wrong(self: fusion.Chain) -> bool:
        any_shared = right(self)
        self.slots = dict.fromkeys(self.slots, 0)
        return any_shared

    monkeypatch.setattr(fusion.Chain, "share_scratch", wrong)
    assert found_in(range(1, 400, 2), 4) == 4


def test_a_sum_in_another_order_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = gn.Graph()
    x = graph.placeholder("x", shape=(40, 30))
    turned = gn.sin(gn.transpose(x))
    fetches = [gn.sum(turned), gn.mean(turned, 0), gn.matmul(turned, gn.cos(x)), gn.sum(turned * 2.0 + turned)]
    feeds = [{x: np.random.default_rng(i).normal(size=(40, 30))} for i in range(5)]
    right = [[bits(value) for value in gn.run(fetches, feed)] for feed in feeds]
    step = gn.compile(fetches)
    assert [[bits(value) for value in step(feed)] for feed in feeds] == right
    monkeypatch.setattr(lowering, "_comes_in_order", lambda *_: True)
    step = gn.compile(fetches)
    assert [[bits(value) for value in step(feed)] for feed in feeds] != right


@pytest.mark.parametrize("shape", [(1, 4, 3), (5, 1, 6), (4, 7), (3, 2, 4)])
def test_what_is_rounded_lies_as_it_does_in_a_run(shape: tuple[int, ...]) -> None:
    graph = gn.Graph()
    x = graph.placeholder("x", shape=shape)
    orders = list(itertools.permutations(range(len(shape))))
    # NumPy rounds into Fortran's order what lies in it without gaps, and else into C order.
    fetches = [gn.sum(gn.round(gn.transpose(x, order), decimals=1) * 1.7) for order in orders]
    fetches += [gn.sum(gn.round(gn.transpose(x, order)[..., ::2], decimals=1) * 1.7) for order in orders]
    assert not differences(fetches, [{x: np.random.default_rng(i).normal(size=shape) * 3} for i in range(20)])


def test_powers_take_their_operands_as_they_lie_in_a_run() -> None:
    graph = gn.Graph(dtype="float32")
    one, two = graph.placeholder("one", shape=(1,)), graph.placeholder("two", shape=(2,))
    exponent = graph.constant(np.array([3], "int8"))
    fetches = [
        gn.power(gn.flip(1.0 - one), graph.constant(np.array([2.3], "float32"))),
        gn.power(two, gn.broadcast_to(exponent, (2,))),
    ]
    rng = np.random.default_rng(0)
    feeds = [{node: rng.random(node.shape).astype("float32") for node in (one, two)} for _ in range(200)]
    assert not differences(fetches, feeds)


def test_a_product_with_itself_that_is_none_in_a_run_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = gn.Graph()
    x = graph.placeholder("x", shape=(50, 30))
    one, other = gn.sin(x), gn.sin(x)
    fetches = [gn.transpose(one) @ other, gn.transpose(one) @ one, one @ gn.transpose(other)]
    feed = {x: np.random.default_rng(0).normal(size=(50, 30))}
    right = [bits(value) for value in gn.run(fetches, feed)]
    assert [bits(value) for value in gn.compile(fetches)(feed)] == right
    monkeypatch.setattr(Lowering, "_apart", lambda self, node, operands: operands)
    # Where BLAS computes half of a product with itself, its bits are others.
    found = [bits(value) for value in gn.compile(fetches)(feed)] != right
    assert found == (right[0] != right[1])


def test_a_sum_that_is_minus_zero_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Builder.number
    graph = gn.Graph()
    x = graph.placeholder("x", shape=(20, 3))
    node = gn.sum(x, -1)
    feed = {x: np.full((20, 3), -0.0)}
    assert bits(gn.compile(node)(feed)) == bits(gn.run(node, feed))
    monkeypatch.setattr(Builder, "number", lambda self, *_: right(self, -0.0, np.dtype(float)))
    assert bits(gn.compile(node)(feed)) != bits(gn.run(node, feed))


@pytest.mark.plans_of_numpy
def test_a_source_is_as_long_as_its_graph() -> None:
    digest = hashlib.sha256()
    for number in range(20):
        recipe = random_graph(np.random.default_rng([6, number]))
        built = build(recipe, gn.Graph())
        plan = gn.compile(built.result).plan(built.feed)
        digest.update(plan.source.encode())
        assert plan.source.count("\n") < 12 * len(built.nodes) + 20
