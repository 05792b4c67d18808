"""Native plans: they hold what they need, let go of the rest, and touch nothing beside their arrays."""

import copy
import gc
import sys
import threading
import tracemalloc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from guarded import guarded
from random_mixed import random_mixed
from random_networks import random_training
from test_plan_conformance import bits, differences

import graphnn as gn
from graphnn import nn
from graphnn.native.native_plan import Native

Array = np.ndarray[Any, np.dtype[Any]]


@pytest.fixture(autouse=True)
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHNN_BACKEND", "native")


def trained() -> tuple[gn.Node, dict[gn.Node, gn.Node], dict[Any, Array]]:
    graph = gn.Graph(dtype="float32")
    x, y = graph.placeholder("x", ("batch", 4)), graph.placeholder("y", ("batch",), np.int64)
    loss = nn.softmax_crossentropy(nn.Sequential(nn.Dense(8), nn.Tanh(), nn.Dense(3))(x), y)
    return loss, nn.Adam(0.01).updates(loss), {x: np.ones((5, 4), np.float32), y: np.array([0, 1, 2, 0, 1])}


# --- what is held -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("little_to_search")
@pytest.mark.parametrize("way", ["whole", "in parts", "evaluated", "by name", "backwards", "refused"])
def test_calls_leave_nothing_behind(way: str) -> None:
    loss, updates, feed = trained()
    x, y = feed
    step = gn.compile([loss, gn.exp(x)], updates if way in ("whole", "refused") else None)
    if way == "in parts":
        step = gn.compile([loss, gn.einsum("ij,kj->ik", x, x)])
    step(feed)
    if way == "by name":
        feed = {node.name: array for node, array in feed.items()}
    elif way == "backwards":
        feed = {x: feed[x][::-1], y: feed[y]}
    elif way == "refused":
        feed = {x: feed[x], y: np.array([0, 1, 9, 0, 1])}
    held = [
        *feed.values(),
        *(array.dtype for array in feed.values()),
        np.dtype("float64"),
        feed,
        *loss.graph.parameters,
    ]

    def calls(count: int) -> tuple[int, list[int]]:
        for _ in range(count):
            try:
                step(feed)
            except gn.errors.LabelError:
                assert way == "refused"
        gc.collect()
        return tracemalloc.get_traced_memory()[0], [sys.getrefcount(each) for each in held]

    tracemalloc.start()
    try:
        calls(20)
        grown = []
        # The thread by which pytest-xdist hands thousands of tests on to an idle worker takes up to 2 MB while it does.
        for _ in range(3):
            before, counts = calls(20)
            after, now = calls(40 if way == "refused" else 1000)
            assert now == counts
            grown.append(after - before)
            if grown[-1] < 20_000:
                break
    finally:
        tracemalloc.stop()
    assert min(grown) < 20_000, grown


def test_steps_plans_and_their_memory_are_freed() -> None:
    watched = []
    for _ in range(3):
        loss, updates, feed = trained()
        step = gn.compile(loss, updates)
        step(feed)
        step(feed)
        plan = step.plan(feed)
        assert isinstance(plan, Native)
        table = plan._whole[-1].__self__
        watched += [weakref.ref(each) for each in (step, plan, table, loss.graph)]
    del loss, updates, feed, step, plan, table
    gc.collect()
    assert not [each() for each in watched if each() is not None]


@pytest.mark.usefixtures("little_to_search")
def test_a_step_that_is_dropped_while_another_thread_calls_it_ends_well() -> None:
    graph = gn.Graph()
    x, w = graph.placeholder("x", (300, 300)), graph.parameter("w", np.full((300, 300), 2.0))
    y = x
    for _ in range(12):
        y = gn.sin(y) * w
    feed = {x: np.ones((300, 300))}
    right = bits(gn.run(y, feed))
    for _ in range(5):
        steps, got = [gn.compile(y, {w: w * 1.0})], []
        steps[0](feed)
        begun = threading.Event()

        def work(steps: list[Any], got: list[Any], begun: threading.Event) -> None:
            step = steps.pop()
            begun.set()
            got.append(bits(step(feed)))

        other = threading.Thread(target=work, args=(steps, got, begun))
        other.start()
        begun.wait()
        while other.is_alive():
            gc.collect()
            np.full(1000, np.nan)
        other.join()
        assert got == [right]


# --- what is touched --------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX only: pages are protected by mprotect")
@pytest.mark.parametrize("at_end", [True, False])
def test_nothing_is_read_beside_what_is_fed(at_end: bool) -> None:
    for number in range(12):
        rng = np.random.default_rng([number, 78])
        drawn = random_mixed(rng, number % 6 == 1) if number % 3 else random_training(rng, (1, 2, 7, 33, 300))
        feeds = [
            {key: guarded(array, at_end) if isinstance(array, np.ndarray) else array for key, array in feed.items()}
            for feed in drawn.feeds
        ]
        assert not differences(drawn.fetches, feeds, drawn.updates), f"graph {number}"


# --- feeds of every kind ------------------------------------------------------------------------------------------


class Derived(np.ndarray[Any, Any]):
    pass


def _mapped(array: Array, folder: Path) -> Array:
    file = folder / f"{array.dtype}"
    array.tofile(file)
    return np.memmap(file, array.dtype, "r", shape=array.shape)


def _field(array: Array, folder: Path) -> Array:
    records = np.zeros(array.shape, [("a", "i1"), ("b", array.dtype)])
    records["b"] = array
    return np.asarray(records["b"])


def _far_apart(array: Array, folder: Path) -> Array:
    wide = np.zeros((array.shape[0] * 500, array.shape[1] * 50), array.dtype)[::500, ::50]
    wide[...] = array
    return wide


KINDS: dict[str, Callable[[Array, Path], Any]] = {
    "with bytes the other way round": lambda array, _: array.astype(array.dtype.newbyteorder()),
    "with a dtype that was copied": lambda array, _: array.view(copy.deepcopy(array.dtype)),
    "with a dtype that says more": lambda array, _: array.view(np.dtype(array.dtype, metadata={"unit": "m"})),
    "with a dtype of another name": lambda array, _: array.view(
        {"l": "q", "L": "Q"}.get(array.dtype.char, array.dtype)
    ),
    "of a derived class": lambda array, _: array.view(Derived),
    "in a file": _mapped,
    "in records": _field,
    "far apart": _far_apart,
    "overlapping": lambda array, _: np.lib.stride_tricks.as_strided(array, array.shape, (array.itemsize,) * 2),
    "of bytes": lambda array, _: np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape),
    "as a list": lambda array, _: array.astype(float).tolist() if array.dtype == "float64" else array,
}


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "longlong", "int32", "uint8", "bool"])
def test_any_array_can_be_fed(tmp_path: Path, dtype: str) -> None:
    graph = gn.Graph()
    x, y = (graph.placeholder(name, ("n", 3), dtype) for name in "xy")
    w = graph.parameter("w", np.arange(3.0))
    fetches = [gn.cast(x, "float64") * w + gn.cast(y, "float64"), gn.sum(x, axis=0), x, gn.where(x == y, x, y)]
    one, other = (np.arange(12).reshape(4, 3) % n for n in (7, 5))
    one, other = one.astype(dtype), other.astype(dtype)
    feeds: list[dict[Any, Any]] = [{x: one, y: other}]
    for of in KINDS.values():
        made = of(one, tmp_path)
        feeds += [{x: made, y: other}, {x: one, y: made}, {x: made, y: made}, {"x": made, y: made}, {x: one, y: one}]
    before = [np.array(value) for feed in feeds for value in feed.values()]
    assert not differences(fetches, feeds, {w: w * 1.5})
    after = [np.array(value) for feed in feeds for value in feed.values()]
    assert all(map(np.array_equal, before, after))


def test_numbers_can_be_fed_where_there_are_no_axes() -> None:
    graph = gn.Graph()
    x, i = graph.placeholder("x", ()), graph.placeholder("i", (), np.int64)
    numbers = [np.float64(1.5), np.float32(1.5), 1.5, 1, np.array(1.5), np.array([1.5]).reshape(())]
    whole = [np.int8(3), 3, np.int64(3), np.longlong(3), np.array(3), np.array(3)]
    feeds = [{x: number, i: count} for number, count in zip(numbers, whole, strict=True)]
    assert not differences([x * 2 + gn.cast(i, "float64"), gn.exp(x), i + 1], feeds)


# --- between calls ------------------------------------------------------------------------------------------------


def test_parameters_graph_and_budget_change_between_calls() -> None:
    graph = gn.Graph()
    x, w = graph.placeholder("x", (3, 4)), graph.parameter("w", np.arange(12.0).reshape(3, 4))
    step = gn.compile([x * w, gn.sum(w), w], {w: w + 0.5})
    feed = {x: np.ones((3, 4))}
    step(feed)
    others = [
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.arange(96.0).reshape(6, 16)[::2, ::4],
        np.ones((3, 4), ">f8"),
        np.ones((3, 4)).view(Derived),
        np.ones((3, 4), copy.deepcopy(np.dtype(float))),
    ]
    for value in others:
        w.value = value
        right = [bits(each) for each in gn.run([x * w, gn.sum(w), w], feed)]
        assert [bits(each) for each in step(feed)] == right
        assert np.array_equal(w.value, value + 0.5)
    for _ in range(2):  # what stands in the state is fed, and replaced by the same call
        fed, before = graph.state[w], w.value.copy()
        product, _, same = step({x: fed})
        assert np.array_equal(product, before * before)
        assert np.array_equal(same, before)
        assert np.array_equal(fed, before)
    gn.exp(graph.placeholder("later", (2,)) + graph.parameter("another", np.ones(2)))
    assert np.array_equal(step(feed)[2] + 0.5, w.value)
    before = dict(graph.state)
    graph.memory_budget = 8
    with pytest.raises(gn.errors.MemoryBudgetError):
        step(feed)
    assert all(graph.state[node] is value for node, value in before.items())
    graph.memory_budget = None
    assert np.array_equal(step(feed)[2] + 0.5, w.value)
