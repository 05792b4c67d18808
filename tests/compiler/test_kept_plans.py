"""Which plans a compiled step makes and keeps, and that it does not matter to any result."""

import random
import threading
from collections import Counter

import numpy as np
import pytest

import graphnn as gn
from graphnn import Compiled, Node, nn
from graphnn.compiler import plan_cache
from graphnn.compiler.plan import Plan
from graphnn.runtime.evaluation_loop import Prepared

pytestmark = [pytest.mark.plans_where_it_pays, pytest.mark.each_backend]


class Step:
    """A compiled step of one input, and the sizes for which a plan was made, in order, not from a pattern."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.x = gn.Graph().placeholder("x", shape=("n", 2))
        self.node = gn.softmax(self.x * 2.0) + gn.mean(self.x, 0)
        self.step = gn.compile(self.node)
        self.made: list[int] = []
        make = Compiled._planned

        def counting(step: Compiled, prepared: Prepared, recorded: bool = False) -> Plan:
            self.made.append(prepared.sizes["n"])
            return make(step, prepared, recorded)

        monkeypatch.setattr(Compiled, "_planned", counting)

    def __call__(self, *sizes: int) -> None:
        for n in sizes:
            self.step({self.x: np.full((n, 2), 0.5)})

    @property
    def kept(self) -> list[int | None]:
        """The sizes of the plans, the one used last at the end."""
        return [n for (n,) in self.step._plans]


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> Step:
    return Step(monkeypatch)


def test_batches_of_one_size_have_a_plan_from_the_second_call_on(step: Step) -> None:
    made = []
    for _ in range(4):
        step(7)
        made.append(len(step.made))
    assert made == [0, 1, 1, 1]
    (plan,) = step.step._plans.values()
    assert plan.calls == 3


def test_who_asks_for_a_plan_gets_it_and_calls_use_it(step: Step) -> None:
    plan = step.step.plan({step.x: np.ones((3, 2))})
    step(3)
    assert plan.calls == 1
    assert step.made == [3]


def test_the_last_batch_of_an_epoch_gets_a_plan_in_the_second_epoch(step: Step) -> None:
    step(*[32] * 9, 12)
    assert step.made == [32]
    step(*[32] * 9, 12)
    assert step.made == [32, 12]
    step(*([32] * 9 + [12]) * 20)
    assert step.made == [32, 12]


@pytest.mark.parametrize("count", [2, 3])
def test_sizes_in_turn_get_a_plan_at_their_second_call(step: Step, count: int) -> None:
    sizes = [20, 30, 40][:count]
    step(*sizes)
    assert step.made == []
    step(*sizes)
    # A pattern, if there is one, serves for all further ones.
    assert step.kept == sizes
    made = list(step.made)
    step(*sizes * 10)
    assert step.made == made


@pytest.mark.plans_of_numpy
def test_what_comes_again_after_three_others_gets_no_plan(step: Step) -> None:
    step(*[1, 2, 3, 4] * 20)
    assert step.made == []
    step(*range(1, 257), *range(1, 257))
    assert step.made == []


@pytest.mark.plans_of_numpy
def test_the_buckets_of_an_epoch_get_a_plan_each(step: Step) -> None:
    rng = random.Random(0)
    buckets = [8, 16, 24, 32, 48, 64, 96, 128]
    step(*[rng.choice(buckets) for _ in range(200)])
    assert sorted(step.made) == buckets


@pytest.mark.plans_of_numpy
def test_the_plan_that_was_used_least_recently_gives_way(step: Step) -> None:
    for n in range(1, plan_cache.MOST_PLANS + 1):
        step(n, n)
    step(1, 100, 100)
    assert step.kept == [*range(3, plan_cache.MOST_PLANS + 1), 1, 100]
    assert step.made == [*range(1, plan_cache.MOST_PLANS + 1), 100]


@pytest.mark.plans_of_numpy
def test_in_a_full_cache_plans_are_not_dropped_for_sizes_in_turn(step: Step) -> None:
    for n in range(1, plan_cache.MOST_PLANS + 1):
        step.step.plan({step.x: np.ones((n, 2))})
    kept = step.kept
    step(*[100, 101] * 20)
    assert step.kept == kept
    step(102, 1, 2, 102)  # what has a plan does not count
    assert step.kept == [*kept[3:], 1, 2, 102]


@pytest.mark.plans_of_numpy
@pytest.mark.parametrize("seed", range(5))
def test_sizes_at_random_get_few_plans(step: Step, seed: int) -> None:
    rng = random.Random(seed)
    step(*[rng.randint(1, 256) for _ in range(1000)])
    # Of the three before, one is of the same size with a chance of 3 in 256: that makes 12 plans.
    assert len(step.made) <= 24


def training_step() -> tuple[Node, Node, Compiled]:
    g = gn.Graph()
    x, labels = g.placeholder("x", ("n", 3)), g.placeholder("labels", ("n",), dtype="int64")
    rng = np.random.default_rng(0)
    loss = nn.softmax_crossentropy(nn.Dense(4, rng=rng)(gn.tanh(nn.Dense(5, rng=rng)(x))), labels)
    return x, labels, gn.compile(loss, nn.Adam(0.01).updates(loss))


def test_the_course_of_a_training_is_the_same_whatever_evaluates_its_steps() -> None:
    rng = np.random.default_rng(1)
    sizes = rng.choice([1, 2, 5, 8], 400).tolist()
    losses = []
    for always in (False, True):
        x, labels, step = training_step()
        draw = np.random.default_rng(2)
        found = []
        for n in sizes:
            feed = {x: draw.normal(size=(n, 3)), labels: draw.integers(0, 4, n)}
            if always:
                step.plan(feed)
            found.append(step(feed).tobytes())
        losses.append(found)
        assert len(step._plans) == 4
    assert losses[0] == losses[1]


def test_the_same_calls_make_the_same_plans_in_the_same_places() -> None:
    rng = np.random.default_rng(1)
    sizes = rng.choice([1, 2, 5, 8, 9, 12], 600).tolist()
    seen = []
    for _ in range(2):
        x, labels, step = training_step()
        told: Counter[int] = Counter()
        for n in sizes:
            step({x: np.ones((n, 3)), labels: np.zeros(n, np.int64)})
            told[len(step._plans)] += 1
        seen.append(told)
    assert seen[0] == seen[1]
    assert max(seen[0]) == 6


def test_threads_with_many_sizes_get_what_is_right() -> None:
    x = gn.Graph().placeholder("x", shape=("n", 2))
    node = gn.softmax(x * 2.0) + gn.mean(x, 0)
    step = gn.compile(node)
    feeds = {n: np.random.default_rng(n).normal(size=(n, 2)) for n in range(1, 25)}
    right = {n: gn.run(node, {x: feed}).tobytes() for n, feed in feeds.items()}
    wrong: list[object] = []

    def work(seed: int) -> None:
        try:
            rng = random.Random(seed)
            for _ in range(300):
                n = rng.randint(1, 24)
                if step({x: feeds[n]}).tobytes() != right[n]:
                    wrong.append(n)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test fails
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(step._plans) <= plan_cache.MOST_PLANS
