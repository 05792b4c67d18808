"""Loops whose iterations follow each other without Python, against the interpreter, to the bit."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.control_flow.bundle import item_of
from graphnn.control_flow.loop_body import text_of
from graphnn.control_flow.loop_op import Loop
from graphnn.native import loop_iterations, table_writer
from graphnn.native.loop_iterations import InOneGo
from graphnn.native.native_plan import Native

BATCH, WIDTH = 3, 4


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return a list that gets for each call whether it was made in one go."""
    calls: list[bool] = []
    computed = InOneGo.__call__

    def call(self: InOneGo, *arguments: Any) -> Any:
        words = computed(self, *arguments)
        calls.append(words is not None)
        return words

    monkeypatch.setattr(InOneGo, "__call__", call)
    return calls


def inputs(graph: gn.Graph, dtype: str = "float64") -> tuple[gn.Node, gn.Node]:
    """Return a stack of rows with a named length, and a matrix."""
    weights = np.random.default_rng(1).normal(size=(WIDTH, WIDTH)).astype(dtype)
    return graph.placeholder("rows", ("time", BATCH, WIDTH), dtype), graph.parameter("weights", weights)


def fed(rows: gn.Node, length: int) -> dict[gn.Node, np.ndarray]:
    return {rows: np.random.default_rng(length).normal(size=(length, BATCH, WIDTH)).astype(rows.dtype)}


def check(fetches: list[gn.Node], feed: dict[gn.Node, Any]) -> None:
    """Compare a native step, called twice, with the interpreter."""
    expected = gn.run(fetches, feed)
    step = gn.compile(fetches, backend="native")
    step.plan(feed)
    for _ in range(2):
        for value, right in zip(step(feed), expected, strict=True):
            assert value.dtype == right.dtype
            assert value.tobytes() == right.tobytes()


@pytest.mark.parametrize("length", [16, 17, 63, 64, 65, 128, 129, 200])
@pytest.mark.parametrize("reverse", [False, True])
def test_training_of_a_cell_gives_the_bits_of_the_interpreter(length: int, reverse: bool, made: list[bool]) -> None:
    g = gn.Graph(dtype=np.float32)
    rows, weights = inputs(g, "float32")

    def cell(state: gn.Node, row: gn.Node) -> tuple[gn.Node, gn.Node]:
        state = gn.tanh(state @ weights + row)
        return state, gn.sum(state, axis=-1)

    last, sums = gn.scan(cell, gn.zeros((BATCH, WIDTH), "float32", graph=g), rows, reverse=reverse)
    loss = gn.mean(gn.square(last)) + gn.mean(sums)
    check([loss, last, sums, gn.grad(loss, weights), gn.grad(loss, rows)], fed(rows, length))
    assert made
    assert all(made)


def test_carried_state_may_be_integers_bools_and_the_last_value_of_other_state(made: list[bool]) -> None:
    g = gn.Graph()
    rows, _ = inputs(g)

    def step(state: Any, row: gn.Node) -> Any:
        count, seen, before, now = state
        seen = gn.logical_or(seen, row > 2.0)
        return (count + gn.cast(seen, "int64"), seen, now, row), (before - now, count)

    zeros = gn.zeros((BATCH, WIDTH), graph=g)
    count = gn.zeros((BATCH, WIDTH), "int64", graph=g)
    state, results = gn.scan(step, (count, zeros > 1.0, zeros, zeros + 1.0), rows)
    check([*state, *results], fed(rows, 67))
    assert made
    assert all(made)


def test_a_mask_and_the_number_of_the_iteration_are_taken(made: list[bool]) -> None:
    g = gn.Graph()
    rows, weights = inputs(g)
    mask = g.placeholder("mask", ("time", BATCH), bool)
    start = gn.zeros((BATCH, WIDTH), graph=g)
    last, each = gn.scan(lambda h, x: gn.tanh(h @ weights + x), start, rows, mask=mask, recompute=True)
    feed = fed(rows, 66) | {mask: np.random.default_rng(0).random((66, BATCH)) < 0.5}
    check([last, each, gn.grad(gn.sum(each), weights)], feed)
    assert made
    assert all(made)


def test_loops_that_differ_from_iteration_to_iteration_go_on_as_before(made: list[bool]) -> None:
    g = gn.Graph()
    rows, weights = inputs(g)
    start = gn.zeros((BATCH, WIDTH), graph=g)
    few = gn.scan(lambda h, x: gn.tanh(h @ weights + x), start, rows)[0]
    check([few], fed(rows, 15))  # too few for it to pay
    narrow = gn.scan(lambda h, x: (h + x, gn.cast(h, "float32")), start, rows)  # kept in wider words
    drawn = gn.scan(lambda h, x: gn.cumprod(h, -1) + x, start, rows)[0]  # calls Python
    ended = gn.while_loop(lambda h: gn.sum(h) < 40.0, lambda h: h + 1.0, start, max_steps=15)
    check([narrow[0], narrow[1], drawn, ended], fed(rows, 20))
    assert made == []


@pytest.mark.parametrize("count", [1, 2, 15, 16, 63, 64, 65, 127, 128, 129, 300])
@pytest.mark.parametrize("limited", [False, True])
def test_a_condition_ends_a_loop_at_any_iteration(count: int, limited: bool, made: list[bool]) -> None:
    g = gn.Graph(dtype=np.float32)
    start, end = g.placeholder("start", (BATCH, WIDTH)), g.placeholder("end", (), "int64")
    weights = g.parameter("weights", np.random.default_rng(1).normal(size=(WIDTH, WIDTH)).astype("float32"))
    (n, h), steps = gn.while_loop(
        lambda state: state[0] < end,
        lambda state: (state[0] + 1, gn.tanh(state[1] @ weights)),
        (np.int64(0), start),
        320 if limited else None,
        steps=True,
    )
    wanted = [n, h, steps]
    if limited:  # only then there is a gradient
        wanted += [gn.grad(gn.sum(h), weights), gn.grad(gn.sum(h), start)]
    feed = {start: np.random.default_rng(0).normal(size=(BATCH, WIDTH)).astype("float32"), end: count}
    check(wanted, feed)
    assert made[0]
    assert gn.run(steps, feed) == count


def test_a_loop_whose_condition_is_false_at_first_makes_no_iteration(made: list[bool]) -> None:
    g = gn.Graph()
    start = g.placeholder("start", ())
    last, steps = gn.while_loop(lambda x: x < 5.0, lambda x: x + 1.0, start, steps=True)
    check([last, steps], {start: 7.0})
    assert made == [False, False]


def test_a_loop_that_makes_few_iterations_is_not_made_in_one_go_until_it_makes_more(made: list[bool]) -> None:
    g = gn.Graph()
    end = g.placeholder("end", (), "int64")
    step = gn.compile(gn.while_loop(lambda n: n < end, lambda n: n + 1, end * 0), backend="native")
    step.plan({end: 3})
    for count, ways in ((3, [True]), (3, [False]), (40, [False]), (3, [True]), (40, [False]), (40, [True])):
        assert step({end: count}) == count
        assert made == ways
        made.clear()


@pytest.mark.parametrize("count", [-2, 0, 3, 16, 40, 99, 100, 250])
@pytest.mark.parametrize("backwards", [False, True])
def test_an_operand_says_how_many_iterations_there_are(count: int, backwards: bool, made: list[bool]) -> None:
    body = gn.Graph("body")
    number, state = body.placeholder("number", (), "int64"), body.placeholder("state", (2,))
    row = body.placeholder("row", (2,))
    following = gn.sin(state * 1.5 + row) + gn.cast(number, "float64")
    kept = (("each", following.index), ("last", 0), ("count", 0))
    loop = Loop(text_of(body), (), (), 100, (following.index,), 1, kept, True, True, backwards)
    g = gn.Graph()
    operands = g.placeholder("count", (), "int64"), g.placeholder("start", (2,)), g.placeholder("rows", (100, 2))
    bundle = loop(*operands)
    feed = dict(zip(operands, (count, [1.0, 2.0], np.random.default_rng(0).normal(size=(100, 2))), strict=True))
    check([item_of(bundle, loop.place(*each)) for each in kept], feed)
    assert made == [count >= 16] * 2


def test_an_error_in_a_loop_with_a_condition_is_that_of_the_interpreter(made: list[bool]) -> None:
    g = gn.Graph()
    table, end = g.parameter("table", np.arange(40.0)), g.placeholder("end", (), "int64")
    total = gn.while_loop(
        lambda state: state[0] < end,
        lambda state: (state[0] + 1, state[1] + gn.take(table, state[0], axis=0)),
        (end * 0, 0.0),
    )[1]
    check([total], {end: 40})
    assert made == [True, True]
    step = gn.compile(total, backend="native")
    step.plan({end: 40})
    with pytest.raises(gn.GraphnnError) as interpreted:
        gn.run(total, {end: 50})
    with pytest.raises(type(interpreted.value)) as native:
        step({end: 50})
    assert native.value.reason == interpreted.value.reason
    assert "@40/take" in str(native.value)


@pytest.mark.parametrize("length", [16, 65, 66, 67])
def test_fewer_iterations_are_made_in_one_go_if_they_are_large(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    goes: list[int] = []
    iterating = Native.iterating

    def counted(plan: Native) -> Any:
        run = iterating(plan)
        return lambda addresses, told: goes.append(len(addresses)) or run(addresses, told)

    monkeypatch.setattr(Native, "iterating", counted)
    monkeypatch.setattr(loop_iterations, "_ELEMENTS", 8 * (1 + 5 * BATCH * WIDTH))  # and the number of the iteration
    g = gn.Graph()
    rows, weights = inputs(g)
    last, each = gn.scan(lambda h, x: (gn.tanh(h @ weights + x), h), gn.zeros((BATCH, WIDTH), graph=g), rows)
    check([last, each], fed(rows, length))
    assert sum(goes) == 2 * length
    assert max(goes) == 8


def test_a_body_that_reads_large_arrays_is_not_run_in_one_go(made: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    g = gn.Graph()
    rows, _ = inputs(g)
    for reading in (lambda x: gn.sum(x), lambda x: gn.cast(gn.argmax(x), "float64")):
        last, _ = gn.scan(lambda h, x, reading=reading: (h + reading(x), ()), gn.zeros((), graph=g), rows)
        check([last], fed(rows, 20))
        assert made == [True, True]
        made.clear()
        with monkeypatch.context() as patch:
            patch.setattr(table_writer, "_LONG", BATCH * WIDTH)
            check([last], fed(rows, 20))
        assert made == []


@pytest.mark.parametrize("length", [16, 64, 65, 130, 2**16])
@pytest.mark.parametrize("backwards", [False, True])
def test_numbers_of_iterations_are_read_and_take_no_memory(length: int, backwards: bool, made: list[bool]) -> None:
    body = gn.Graph("body")
    number, state = body.placeholder("number", (), "int64"), body.placeholder("state", (), "int64")
    following = state * 3 + number
    loop = Loop(text_of(body), (), (), length, (following.index,), 0, (("last", 0),), indexed=True, backwards=backwards)
    g = gn.Graph()
    start = g.placeholder("start", (), "int64")
    last, feed = item_of(loop(start), loop.place("last", 0)), {start: np.int64(5)}
    expected = 5
    for i in reversed(range(length)) if backwards else range(length):
        expected = (expected * 3 + i) % 2**64
    step = gn.compile(last, backend="native")
    step.plan(feed)
    assert int(step(feed)) % 2**64 == expected
    tracemalloc.start()
    try:
        step(feed)
        assert tracemalloc.get_traced_memory()[1] < 2**18
    finally:
        tracemalloc.stop()
    assert made == [True, True]


def test_labels_out_of_range_are_the_error_of_the_interpreter(made: list[bool]) -> None:
    g = gn.Graph()
    labels = g.placeholder("labels", ("time", BATCH), "int64")
    table = g.parameter("table", np.arange(12.0).reshape(4, 3))
    start = gn.zeros((BATCH, 3), graph=g)
    last, _ = gn.scan(lambda h, row: 0.5 * h + gn.take(table, row, axis=0), start, labels)
    good = np.random.default_rng(0).integers(0, 4, (70, BATCH))
    check([last], {labels: good})
    assert made
    assert all(made)
    step, wrong = gn.compile(last, backend="native"), good.copy()
    wrong[66, 1] = 9
    step.plan({labels: good})
    with pytest.raises(gn.GraphnnError) as interpreted:
        gn.run(last, {labels: wrong})
    with pytest.raises(type(interpreted.value)) as native:
        step({labels: wrong})
    assert "scan_1@66/take" in str(native.value)
    assert native.value.reason == interpreted.value.reason
    assert step({labels: good}).tobytes() == gn.run(last, {labels: good}).tobytes()


def test_a_loop_that_is_cut_short_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    g = gn.Graph()
    rows, weights = inputs(g)
    last, _ = gn.scan(lambda h, x: gn.tanh(h @ weights + x), gn.zeros((BATCH, WIDTH), graph=g), rows)
    step, feed = gn.compile(last, backend="native"), fed(rows, 300)
    step.plan(feed)
    right = gn.run(last, feed)
    done: list[int] = []
    iterating = Native.iterating

    def interrupted(plan: Native) -> Any:
        run = iterating(plan)

        def twice(addresses: Any, told: Any) -> None:
            run(addresses, told)
            done.append(len(addresses))
            if len(done) == 2:
                raise KeyboardInterrupt

        return twice

    monkeypatch.setattr(Native, "iterating", interrupted)
    with pytest.raises(KeyboardInterrupt):
        step(feed)
    monkeypatch.undo()
    assert step(feed).tobytes() == right.tobytes()


def test_lstm_and_gru_of_the_layers_train_in_one_go_where_rows_are_small(made: list[bool]) -> None:
    for layer in (nn.GRU, nn.LSTM):
        g = gn.Graph(dtype=np.float32)
        x, y = g.placeholder("x", ("batch", "time", 2)), g.placeholder("y", ("batch", "time"), "int64")
        loss = nn.softmax_crossentropy(nn.Sequential(layer(3), nn.Dense(2))(x), y)
        step = gn.compile(loss, nn.SGD(0.1).updates(loss), backend="native")
        feed = {x: np.random.default_rng(0).normal(size=(1, 90, 2)).astype("f4"), y: np.arange(90)[None] % 2}
        step.plan(feed)
        for _ in range(3):
            right = gn.run([loss, *g.updates.values()], feed)
            assert step(feed).tobytes() == right[0].tobytes()
            for parameter, value in zip(g.updates, right[1:], strict=True):
                assert parameter.value.tobytes() == value.tobytes()
    assert made
    assert all(made)
