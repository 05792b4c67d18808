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
    """A compiled step of one input, and by what each call of it was evaluated."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.x = gn.Graph().placeholder("x", shape=("n", 2))
        self.node = gn.softmax(self.x * 2.0) + gn.mean(self.x, 0)
        self.step = gn.compile(self.node)
        self.made = 0
        make = Compiled._planned

        def counting(step: Compiled, prepared: Prepared, recorded: bool = False) -> Plan:
            self.made += 1
            return make(step, prepared, recorded)

        monkeypatch.setattr(Compiled, "_planned", counting)

    def __call__(self, n: int) -> None:
        self.step({self.x: np.full((n, 2), 0.5)})

    @property
    def cost(self) -> float:
        """What all calls have cost as `kept` reckons, in calls node by node."""
        ledger = self.step._kept
        return ledger._without + (1 - plan_cache._SAVED) * ledger._by_plan() + ledger._spent


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> Step:
    return Step(monkeypatch)


def test_batches_of_one_size_have_a_plan_from_the_second_call_on(step: Step) -> None:
    made = []
    for _ in range(4):
        step(7)
        made.append(step.made)
    assert made == [0, 1, 1, 1]
    (plan,) = step.step._kept.plans.values()
    assert plan.calls == 3


def test_who_asks_for_a_plan_gets_it_and_calls_use_it(step: Step) -> None:
    plan = step.step.plan({step.x: np.ones((3, 2))})
    step(3)
    assert plan.calls == 1
    assert step.made == 1


def test_both_sizes_of_an_epoch_get_a_plan(step: Step) -> None:
    for _ in range(20):
        for n in [32] * 9 + [12]:
            step(n)
    assert [sizes for (sizes,) in step.step._kept.plans] == [32, 12]
    assert step.made == 2


@pytest.mark.parametrize("seed", range(5))
def test_sizes_at_random_cost_no_more_than_a_fifth_beyond_the_interpreter(step: Step, seed: int) -> None:
    rng = random.Random(seed)
    for call in range(1, 3001):
        step(rng.randint(1, 256))
        assert step.cost <= 1.2 * call


@pytest.mark.plans_of_numpy
def test_what_grows_by_one_at_each_call_gets_no_plan(step: Step) -> None:
    for _ in range(3):
        for n in range(1, 257):
            step(n)
    assert step.made == 0


@pytest.mark.plans_of_numpy
def test_the_buckets_of_an_epoch_all_get_a_plan_and_keep_it(step: Step) -> None:
    rng = random.Random(0)
    for call in range(1, 2001):
        step(rng.choice([8, 16, 24, 32, 48, 64, 96, 128]))
        # As long as there is but one size, there is nothing to say that it will not stay so.
        assert step.cost <= 1.2 * call + plan_cache._COST
    assert step.made == 8
    assert step.cost < 0.75 * 2000


@pytest.mark.plans_of_numpy
def test_plans_that_are_used_in_turn_are_not_dropped_for_each_other(step: Step) -> None:
    for call in range(1, 4001):
        step(call % (plan_cache.MOST_PLANS + 4) + 1)
    assert step.made == len(step.step._kept.plans) == plan_cache.MOST_PLANS


@pytest.mark.plans_of_numpy
def test_a_plan_that_is_no_longer_used_gives_way(step: Step) -> None:
    for n in range(1, plan_cache.MOST_PLANS + 1):
        step.step.plan({step.x: np.ones((n, 2))})
    for _ in range(500):
        step(100)
        step(1)
    assert {sizes for (sizes,) in step.step._kept.plans} == set(range(1, plan_cache.MOST_PLANS + 1))
    for _ in range(100):
        step(100)
        step(1)
    plans = [sizes for (sizes,) in step.step._kept.plans]
    assert len(plans) == plan_cache.MOST_PLANS
    assert {1, 100} < set(plans)
    assert 2 not in plans


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
        assert len(step._kept.plans) == 4
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
            told[len(step._kept.plans)] += 1
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
    assert len(step._kept.plans) <= plan_cache.MOST_PLANS
