"""Updates of few rows of a table: the bits of the whole update, and nobody sees that memory is used again."""

import math
import os
import random
import signal
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import pytest
from test_plan import alarms

import graphnn as gn
from graphnn import Compiled, nn
from graphnn.compiler.thresholds import Settings

pytestmark = pytest.mark.each_backend

ROWS = 40


REFUSED: list[str] = []
"""What the operation of `refusing` raises, if there is anything."""


@cache
def refusing() -> Any:
    """Return an operation that is the identity, or an error; it is registered in the test that needs it."""

    class Refusing(gn.Op):
        operands = ("x",)

        def infer(self, x: gn.Spec) -> gn.Spec:
            return x

        def forward(self, x: Any) -> Any:
            if REFUSED:
                raise ValueError(REFUSED[0])
            return x + 0.0

    return Refusing


class Lookup:
    """A step that looks up rows of a table and moves them, as a plan for small tables and as one for none."""

    def __init__(self, settings: Settings, size: Any = 5, optimizer: Callable[[gn.Graph], Any] | None = None) -> None:
        self.graph = g = gn.Graph("lookup")
        self.ids = g.placeholder("ids", (size,), np.int64)
        self.rate = g.placeholder("rate")
        values = np.random.default_rng(0).normal(size=(ROWS, 3))
        values[7] = [-0.0, np.nan, math.inf]
        self.table = g.parameter("table", values)
        self.count = g.parameter("count", 0.0, trainable=False)
        loss = gn.sum(gn.square(gn.take(self.table, self.ids, 0)))
        updates = (nn.SGD(self.rate) if optimizer is None else optimizer(g)).updates(loss)
        updates[self.count] = refusing()()(self.count + 1.0)
        self.step = Compiled(loss, updates, settings=settings)

    def __call__(self, ids: Any, rate: float = 0.25) -> None:
        self.step({self.ids: np.asarray(ids), self.rate: rate})

    def plan(self, ids: Any) -> Any:
        return self.step.plan({self.ids: np.asarray(ids), self.rate: 0.25})


def both(size: Any = 5, optimizer: Any = None) -> tuple[Lookup, Lookup]:
    return Lookup(Settings(table=0), size, optimizer), Lookup(Settings(table=2**40), size, optimizer)


def written_alone(plan: Any) -> bool:
    return bool(plan.explain().count("handed out, few rows written"))


def same(one: Lookup, other: Lookup) -> bool:
    return bool(one.table.value.tobytes() == other.table.value.tobytes())


def test_the_bits_are_those_of_the_whole_update() -> None:
    alone, whole = both()
    rng = np.random.default_rng(1)
    rates = [0.25, 0.0, -0.0, -0.5, math.nan, 1e-320, math.inf, 0.125]
    for i in range(40):
        ids = rng.integers(-ROWS, ROWS, 5)
        ids[:2] = ids[2]
        if i % 8 == 7:
            values = rng.normal(size=(ROWS, 3))
            values[::3] = -0.0
            alone.table.value = whole.table.value = values
        for each in (alone, whole):
            each(ids, rates[i % 8] if i >= 16 else 0.25)
        assert same(alone, whole), i
    assert written_alone(alone.plan(ids))
    assert not written_alone(whole.plan(ids))
    assert alone.plan(ids).explain().count("not needed") == 2
    if (loops := alone.plan(ids).explain().loops) is not None:
        assert [loop.written for loop in loops if "rows_alone" in loop.text] == [2 * 5 * 3 * 8]
    assert alone.plan(ids).explain().calls < whole.plan(ids).explain().calls


def test_two_arrays_take_turns_if_nobody_holds_them() -> None:
    lookup = Lookup(Settings(table=0))
    bases = []
    for i in range(7):
        lookup([i, i, 3, 4, 5])
        bases.append(id(lookup.graph.state[lookup.table].base))
    assert len(set(bases[2:])) == 2
    assert bases[-1] == bases[-3] != bases[-2]


HOLDS: list[Callable[[Any], Any]] = [
    lambda value: value,
    lambda value: value[1:, ::2],
    lambda value: value.base,
    lambda value: value.base[1:],
    lambda value: value.T,
    lambda value: np.asarray(memoryview(value)),
    lambda value: value.view(np.int64),
]


@pytest.mark.parametrize("hold", HOLDS)
def test_however_somebody_holds_it_it_stays(hold: Callable[[Any], Any]) -> None:
    lookup = Lookup(Settings(table=0))
    held, expected = [], []
    for i in range(10):
        lookup([i, 2 * i, 3 * i, 0, 1])
        if i % 4 < 2:
            held.append(hold(lookup.graph.state[lookup.table]))
            expected.append(held[-1].tobytes())
    assert [each.tobytes() for each in held] == expected


def test_a_table_with_a_weak_reference_is_let_go() -> None:
    lookup = Lookup(Settings(table=0))
    for _ in range(4):
        lookup([1, 2, 3, 4, 5])
        seen = weakref.ref(lookup.graph.state[lookup.table].base)
        lookup([1, 2, 3, 4, 5]), lookup([1, 2, 3, 4, 5])
        assert seen() is None


def test_what_somebody_holds_stays() -> None:
    alone, whole = both()
    held = []
    for i in range(12):
        for each in (alone, whole):
            each([i, 2 * i, 3 * i, 0, 1])
        if i % 3:
            held.append((alone.graph.state[alone.table], whole.table.value))
        assert all(np.array_equal(one, other, equal_nan=True) for one, other in held)
        assert same(alone, whole)
    assert not alone.graph.state[alone.table].flags.writeable


def test_a_step_that_fails_leaves_the_table_and_the_next_one_is_right() -> None:
    alone, whole = both()
    for i in range(12):
        REFUSED[:] = ["refused"] * (i % 3 == 2)
        before = alone.table.value
        for each in (alone, whole):
            if REFUSED:
                with pytest.raises(ValueError, match="refused"):
                    each([i, i + 1, i + 2, i, 3])
            else:
                each([i, i + 1, i + 2, i, 3])
        assert not REFUSED or before.tobytes() == alone.table.value.tobytes()
        assert same(alone, whole)
    REFUSED.clear()
    with pytest.raises(IndexError, match="take: index 40, at"):
        alone([40, 0, 0, 0, 0])
    alone([1, 0, 0, 0, 0]), whole([1, 0, 0, 0, 0])
    assert same(alone, whole)


def test_the_plans_of_all_sizes_share_the_arrays() -> None:
    alone, whole = both("n")
    bases = set()
    for i in range(24):
        ids = np.arange(i, i + 2 + i % 3) % ROWS
        for each in (alone, whole):
            each(ids)
        assert same(alone, whole)
        if i >= 12:
            bases.add(id(alone.graph.state[alone.table].base))
    assert all(written_alone(alone.plan(np.arange(n))) for n in (2, 3, 4))
    assert len(bases) == 2


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda g: nn.SGD(0.1, momentum=0.5),
        lambda g: nn.SGD(0.1, weight_decay=0.5),
        lambda g: nn.SGD(0.1, clip_norm=1.0),
        lambda g: nn.Adam(0.1),
    ],
)
def test_other_updates_change_every_row(optimizer: Any) -> None:
    alone, whole = both(5, optimizer)
    for _ in range(4):
        alone([1, 2, 3, 4, 5]), whole([1, 2, 3, 4, 5])
    assert not written_alone(alone.plan([1, 2, 3, 4, 5]))
    assert same(alone, whole)


def test_where_something_else_reads_it_or_the_rows_are_many_the_whole_is_written() -> None:
    many = Lookup(Settings(table=0), 11)
    assert not written_alone(many.plan(np.arange(11)))
    lookup = Lookup(Settings(table=0))
    for more in (nn.EMA(0.9).updates(lookup.step.updates), lookup.step.updates):
        fetches = [] if len(more) > 2 else [more[lookup.table]]
        step = Compiled(fetches, more, settings=Settings(table=0))
        assert not written_alone(step.plan({"ids": [1, 2, 3, 4, 5], "rate": 0.1}))
    alone = Compiled([], lookup.step.updates, settings=Settings(table=0))
    assert written_alone(alone.plan({"ids": [1, 2, 3, 4, 5], "rate": 0.1}))


def after(steps: int, ids: Any) -> bytes:
    """Return the table that so many whole updates make."""
    whole = Lookup(Settings(table=2**40))
    for _ in range(steps):
        whole(ids)
    return bytes(whole.table.value.tobytes())


def test_steps_of_many_threads_are_made_one_after_the_other() -> None:
    ids, alone = [3, 4, 3, -1, 9], Lookup(Settings(table=0))
    seen: list[tuple[Any, bytes]] = []

    def work(number: int) -> None:
        for i in range(20):
            alone(ids)
            if (i + number) % 3 == 0:
                held = alone.graph.state[alone.table]
                seen.append((held, held.tobytes()))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert written_alone(alone.plan(ids))
    assert all(held.tobytes() == before for held, before in seen)
    assert alone.table.value.tobytes() == after(160, ids)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX only: the process forks")
def test_a_forked_process_goes_on_from_the_same_table() -> None:
    ids, alone = [3, 4, 3, -1, 9], Lookup(Settings(table=0))
    right = after(8, ids)
    for _ in range(4):
        alone(ids)
    child = os.fork()
    for _ in range(4):
        alone(ids)
    if child == 0:
        os._exit(0 if alone.table.value.tobytes() == right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert alone.table.value.tobytes() == right


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="POSIX only: an interval timer presses Ctrl-C")
def test_ctrl_c_at_any_point_leaves_the_table_of_before_or_after() -> None:
    ids, alone = [3, 4, 3, -1, 9], Lookup(Settings(table=0))
    known, whole = [], Lookup(Settings(table=2**40))
    for _ in range(251):
        known.append(whole.table.value.tobytes())
        whole(ids)
    rng, hits = random.Random(0), 0
    with alarms() as interrupted:
        for _ in range(250):
            before = int(alone.count.value)
            stopped = interrupted(lambda: alone(ids), rng.uniform(1e-6, 2e-4))
            hits += stopped
            made = int(alone.count.value) - before
            assert made == 1 or (stopped and made == 0)
            assert alone.table.value.tobytes() == known[before + made]
    assert hits
