"""Wherever the debugger stands and however it came there, values are those of a plain run, to the bit.

`benchmarks/inspect_cost.py --graphs 1000` travels through more graphs.
"""

import dataclasses
import functools
import gc
import sys
import tracemalloc
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import networkx as nx
import numpy as np
import pytest
from random_graphs import Recipe, build, random_graph, random_graphs

import graphnn as gn
from graphnn import Debugger, datasets, demo, nn
from graphnn.debugger import value_cache as tapes
from graphnn.debugger.value_cache import Memory, Tape
from graphnn.runtime.program import Program

Array = np.ndarray[Any, np.dtype[Any]]

GRAPHS, RARE = range(30), (454, 532)  # each once with room for all, and once within a budget; few find what RARE do
MOVES = 20


# --- what should be ---------------------------------------------------------------------------------------------


def bits(value: Array) -> tuple[Any, ...]:
    return value.dtype, value.shape, value.tobytes()


def by_hand(
    order: Iterable[gn.Node], given: Mapping[gn.Node, Array], changes: Mapping[gn.Node, Any] = {}
) -> dict[gn.Node, Array]:
    """Evaluate node by node; of `changes`, an array is a node's value, an operation stands in the place of its own."""
    values: dict[gn.Node, Array] = {}
    with np.errstate(all="ignore"):
        for node in order:
            change = changes.get(node)
            if isinstance(change, np.ndarray):
                values[node] = change
            elif node in given:
                values[node] = given[node]
            elif node.has_value:
                values[node] = node.value
            else:
                op = node.op if change is None else change
                values[node] = np.asarray(op.forward(*[values[operand] for operand in node.inputs]))
    return values


def evaluated(*arguments: Any) -> dict[gn.Node, Array] | None:
    """Evaluate by hand; of values with which an operation fails, return None."""
    try:
        return by_hand(*arguments)
    except (ValueError, IndexError, ZeroDivisionError):
        return None


def owner(value: Array) -> Array:
    base: Any = value
    while (base := getattr(base, "base", None)) is not None:
        value = base
    return value


def taken(values: Iterable[Array], free: Iterable[Array] = ()) -> int:
    """Return the bytes that values take together: what views share once, what is there anyway not at all."""
    there = {id(owner(value)) for value in free}
    owners = {id(owner(value)): owner(value).nbytes for value in values}
    return sum(size for key, size in owners.items() if key not in there)


def needs(fetches: list[gn.Node], feed: Any) -> tuple[int, int]:
    """Return the bytes of the largest live set of a run, and of all of its values."""
    steps = list(gn.steps(fetches, feed))
    places = {step.node: step.index for step in steps}
    free = [step.value for step in steps if not step.node.inputs and (step.node.has_value or step.node in feed)]
    last = {}
    for step in steps:
        users = [places[user] for user in step.node.users if user in places]
        last[step.node] = len(steps) if step.node in fetches else max(users, default=step.index)
    live = [
        taken([other.value for other in steps[: step.index + 1] if last[other.node] >= step.index], free)
        for step in steps
    ]
    return max(live), taken([step.value for step in steps], free)


@functools.cache
def with_values(program: Program) -> list[gn.Node]:
    return [node for node in program.order if node.has_value]


def held(memory: Memory) -> int:
    """Return the bytes that the tapes of a debugger hold, counted anew."""
    values, free = [], []
    for tape in memory.tapes:
        graph = tape.prepared.program.graph
        free += [*tape.prepared.given.values(), *tape.known.values()]
        free += map(graph._stored, with_values(tape.prepared.program))
        values += [value for value in tape._values if value is not None]
    return taken(values, free)


@contextmanager
def kept_within(limit: float) -> Iterator[None]:
    """Claim, at each value that is taken in, that the memory is counted right and within a limit."""
    plain = Memory.add

    def add(self: Memory, value: Array) -> None:
        plain(self, value)
        assert self.bytes <= limit, "over the budget"
        assert self.bytes == held(self), "counted wrong"

    Memory.add = add  # type: ignore[method-assign]
    try:
        yield
    finally:
        Memory.add = plain  # type: ignore[method-assign]


# --- travelling -------------------------------------------------------------------------------------------------


def with_gradients(recipe: Recipe, order: int) -> tuple[list[gn.Node], dict[gn.Node, Array]]:
    built = build(recipe, gn.Graph())
    fetches = [built.result]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gn.GraphnnWarning)  # that a gradient is zeros
        gradients = gn.grad(built.result, built.inputs)
        fetches += gradients
        if order > 1:
            fetches += gn.grad(sum(gn.sum(gradient * 0.5) for gradient in gradients), built.inputs)
    return fetches, built.feed


class Traveller:
    """Moves a debugger about at random, and knows what every run should hold.

    Of each run it keeps what was given before it and what has been changed, and evaluates that by hand.
    """

    def __init__(self, fetches: list[gn.Node], feed: Any, rng: np.random.Generator, budget: float | None) -> None:
        self.dbg = gn.debug(fetches, feed, budget=budget, echo=None)
        self.rng, self.feed, self.budget = rng, feed, budget
        self.order = gn.schedule(fetches)
        self.graph = fetches[0].graph
        self.places = {node: i for i, node in enumerate(node for node in self.order if node in self.dbg.operations)}
        self.position = 0
        self.run = "run"
        self.given: dict[str, Mapping[gn.Node, Array]] = {"run": self.now()}
        self.changes: dict[str, dict[gn.Node, Any]] = {"run": {}}
        self.values = {"run": by_hand(self.order, self.given["run"])}
        plain = {step.node: step.value for step in gn.steps(fetches, feed)}
        assert all(bits(plain[node]) == bits(value) for node, value in self.values["run"].items())

    def now(self) -> dict[gn.Node, Array]:
        state = {node: node.value for node in self.order if node.op.name == "parameter"}
        return {**state, **self.feed}

    def choice(self, among: Iterable[Any]) -> Any:
        among = list(among)
        return among[int(self.rng.integers(len(among)))] if among else None

    def check(self, everything: bool) -> None:
        """Compare all that is done, or some of it, with what should be."""
        dbg = self.dbg
        assert dbg.position == self.position
        assert dbg.run == self.run
        assert set(dbg.runs) == set(self.changes)
        done = [node for node in self.order if self.places.get(node, -1) < self.position]
        if not everything and len(done) > 4:
            done = [done[int(i)] for i in self.rng.integers(len(done), size=4)]
        for node in done:
            assert bits(dbg[node].value) == bits(self.values[self.run][node]), node
            assert not dbg[node].value.flags.writeable
        if self.position:
            step = dbg.step_now
            assert step is not None
            assert self.places[step.node] == self.position - 1
            for operand, value in zip(step.node.inputs, step.operands, strict=True):
                assert bits(value) == bits(self.values[self.run][operand])
        assert dbg._now.memory.bytes == held(dbg._now.memory)

    # Moves. Each says what it should have come to.

    def step(self) -> None:
        count = int(self.rng.integers(1, 9))
        self.dbg.step(count)
        self.position = min(self.position + count, len(self.places))

    def back(self) -> None:
        count = int(self.rng.integers(1, 9))
        self.dbg.back(count)
        self.position = max(self.position - count, 0)

    def goto(self) -> None:
        if self.rng.random() < 0.5:
            self.position = int(self.rng.integers(len(self.places) + 1))
            self.dbg.goto(self.position)
        else:
            node = self.choice(self.places)
            self.dbg.goto(node if self.rng.random() < 0.5 else node.name)
            self.position = self.places[node] + 1

    def until(self) -> None:
        node = self.choice(node for node, place in self.places.items() if place >= self.position)
        if node is not None:
            self.dbg.until([node])
            self.position = self.places[node] + 1

    def resume(self) -> None:
        self.dbg.resume()
        self.position = len(self.places)

    def restart(self) -> None:
        parameter = self.choice(node for node in self.given[self.run] if node.op.name == "parameter")
        given = self.now()
        train = parameter is not None and self.rng.random() < 0.3
        if train:
            given[parameter] = self.rng.normal(size=parameter.shape).astype(parameter.dtype)
        values = evaluated(self.order, given)
        if values is None:
            return
        if train:
            parameter.value = given[parameter]
        moved = any(bits(given[node]) != bits(value) for node, value in self.given[self.run].items())
        self.dbg.restart()
        self.position = 0
        if moved:
            self.entered({}, given, values)

    def entered(self, changes: dict[gn.Node, Any], given: Mapping[gn.Node, Array], values: Any) -> None:
        self.run = self.dbg.run
        assert self.run not in self.changes
        self.changes[self.run], self.given[self.run], self.values[self.run] = changes, given, values

    def what_if(self) -> None:
        node = self.choice(node for node in self.order if node.dtype.kind == "f")
        value = np.asarray(self.rng.normal(size=self.values[self.run][node].shape), dtype=node.dtype)
        self.changed({**self.changes[self.run], node: value}, lambda: self.dbg.what_if(node, value))

    def alter(self) -> None:
        node = self.choice(n for n in self.places if any(type(v) is float for v in n.op.attributes.values()))
        if node is None or node in self.changes[self.run]:
            return
        name = self.choice(name for name, value in node.op.attributes.items() if type(value) is float)
        value = node.op.attributes[name] * 0.75 + 0.01
        op = dataclasses.replace(node.op, **{name: value})
        self.changed({**self.changes[self.run], node: op}, lambda: self.dbg.what_if(node, **{name: value}))

    def undo(self) -> None:
        node = self.choice(self.changes[self.run])
        if node is not None:
            changes = {other: change for other, change in self.changes[self.run].items() if other is not node}
            self.changed(changes, lambda: self.dbg.__delitem__(node))

    def changed(self, changes: dict[gn.Node, Any], do: Callable[[], Any]) -> None:
        given = self.given[self.run]
        values = evaluated(self.order, given, changes)
        if values is not None:
            do()
            self.entered(changes, given, values)

    def use(self) -> None:
        self.run = self.choice(self.changes)
        self.dbg.use(self.run)

    def drop(self) -> None:
        name = self.choice(name for name in self.changes if name != self.run)
        if name is not None:
            self.dbg.drop(name)
            del self.changes[name], self.given[name], self.values[name]

    def travel(self, moves: int) -> None:
        ways = [self.step, self.step, self.back, self.goto, self.until, self.resume, self.restart]
        ways += [self.what_if, self.what_if, self.alter, self.undo, self.use, self.drop]
        for _ in range(moves):
            self.choice(ways)()
            self.check(everything=self.budget is None)
        self.resume()
        self.check(everything=True)


def travelled(recipe: Recipe, seed: int, share: float | None = None, moves: int = MOVES) -> Debugger:
    """Travel through a graph with its gradients, and check every move; raise where something is not as it should be.

    Parameters
    ----------
    recipe : Recipe
    seed : int
        Of the way taken.
    share : float, optional
        The budget: one live set, and this share of the values beyond it. Room for all unless given.
    moves : int
    """
    rng = np.random.default_rng(seed)
    fetches, feed = with_gradients(recipe, 2 if rng.random() < 0.3 else 1)
    if share is None:
        traveller = Traveller(fetches, feed, rng, None)
        traveller.travel(moves)
        return traveller.dbg
    live, whole = needs(fetches, feed)
    budget = live + (whole - live) * share
    with kept_within(budget):
        traveller = Traveller(fetches, feed, rng, budget if share else 0)
        traveller.travel(moves)
    return traveller.dbg


@functools.cache
def recipes() -> list[tuple[int, Recipe]]:
    rare = [(number, random_graph(np.random.default_rng([1, number]), sizes=(8, 40))) for number in RARE]
    return [*rare, *enumerate(random_graphs(11, len(GRAPHS)))]


def test_travelling_values_are_those_of_a_plain_run() -> None:
    for number, recipe in recipes():
        travelled(recipe, number)


def test_within_a_budget_they_are_so_too_and_it_is_kept_at_every_moment() -> None:
    for number, recipe in recipes():
        travelled(recipe, number, 0.1)


def test_without_any_budget_no_more_than_one_live_set_is_held() -> None:
    for number, recipe in enumerate(random_graphs(12, 25, dtype=np.float32)):
        travelled(recipe, number, 0.0)


def test_the_budget_is_kept_in_the_memory_of_the_process() -> None:
    g = gn.Graph()
    h = x = g.placeholder("x", shape=(20_000,))
    for _ in range(100):
        h = gn.sin(h) + 0.5
    value = 8 * 20_000
    dbg = gn.debug(h, {x: np.linspace(0, 1, 20_000)}, budget=8 * value, echo=None)
    gc.collect()
    tracemalloc.start()
    try:
        dbg.resume()
        for position in (50, 49, 48, 199, 3, 120):
            dbg.goto(position)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # What has just been computed, and from what, the evaluation holds until it goes on.
    assert peak < 11 * value


def test_what_is_freed_is_computed_again_from_the_nearest_that_was_kept() -> None:
    g = gn.Graph()
    h = x = g.placeholder("x", shape=(10,))
    for _ in range(1000):
        h = gn.sin(h)
    dbg = gn.debug(h, {x: np.linspace(0, 1, 10)}, budget=80 * 100, echo=None)
    dbg.resume()
    computed = 0
    plain = Tape._evaluate

    def counting(self: Tape, place: int) -> None:
        nonlocal computed
        computed += 1
        plain(self, place)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tape, "_evaluate", counting)
        for _ in range(999):
            dbg.back()
    assert computed < 10_000  # from the start each time, it would be half a million
    assert dbg._now.memory.bytes <= 8000


# --- what if ----------------------------------------------------------------------------------------------------


def spiral_step(optimizer: Any, units: int = 3) -> tuple[gn.Compiled, dict[gn.Node, Array]]:
    rng = np.random.default_rng(0)
    g = gn.Graph("spiral")
    x = g.placeholder("x", shape=("batch", 2))
    labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
    network = nn.Sequential(nn.Dense(units, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng), nn.Softmax())
    loss = nn.categorical_crossentropy(network(x), labels)
    points, classes = datasets.spiral(20, classes=3, seed=0)
    return gn.compile(loss, updates=optimizer.updates(loss)), {x: points, labels: classes}


def demo_step(optimizer: Any) -> tuple[gn.Compiled, dict[gn.Node, Array]]:
    fetches, feed = demo.build()
    return gn.compile(fetches["loss"], updates=optimizer.updates(fetches["loss"])), feed


STEPS = {"momentum": lambda: demo_step(nn.SGD(1.0, momentum=0.9)), "adam": lambda: spiral_step(nn.Adam(0.02))}


def after(dbg: Debugger, node: gn.Node) -> list[gn.Node]:
    """Return what depends on a node, as NetworkX has it, in the order of the schedule."""
    found = nx.descendants(node.graph.dag, node.name)
    return [other for other in dbg.order if other.name in found]


@pytest.fixture(params=STEPS)
def stepped(request: pytest.FixtureRequest) -> Debugger:
    return gn.debug(*STEPS[request.param](), echo=None)


def changed_value(dbg: Debugger, node: gn.Node) -> Array:
    shape = dbg.prepared.shape_of(node)
    rng = np.random.default_rng(node.index)
    return rng.normal(size=shape).astype(node.dtype) if node.dtype.kind == "f" else np.zeros(shape, node.dtype)


def test_a_what_if_recomputes_what_depends_on_the_node_and_only_that(
    stepped: Debugger, monkeypatch: pytest.MonkeyPatch
) -> None:
    dbg = stepped
    computed: list[gn.Node] = []
    plain = Tape._evaluate

    def noting(self: Tape, place: int) -> None:
        computed.append(self._order[place])
        plain(self, place)

    monkeypatch.setattr(Tape, "_evaluate", noting)
    dbg.resume()
    chosen = np.random.default_rng(7).permutation(len(dbg.order))[:100]
    given = [node for node in dbg.order if node.op.name == "parameter"]
    assert len(given) >= 8
    for node in [*given, *(dbg.order[i] for i in chosen)]:
        computed.clear()
        change = dbg.what_if(node, changed_value(dbg, node))
        assert change.recomputed == after(dbg, node) == computed
        assert not change.later
        assert change.node is node
        assert change.operations == len(dbg.operations)
        assert dbg.state(node) == "overridden"
        dbg.use("run")
        dbg.drop(change.run)


def test_in_the_middle_of_a_run_it_recomputes_what_had_run(stepped: Debugger) -> None:
    dbg = stepped
    rng = np.random.default_rng(3)
    count = len(dbg.operations)
    for i in rng.permutation(len(dbg.order))[:60]:
        node = dbg.order[i]
        dbg.goto(int(rng.integers(count + 1)))
        done = set(dbg.operations[: dbg.position])
        change = dbg.what_if(node, changed_value(dbg, node))
        assert change.recomputed == [other for other in after(dbg, node) if other in done]
        assert change.later == [other for other in after(dbg, node) if other not in done]
        furthest = dbg._now.furthest
        stale = {other for other in dbg.order if dbg.state(other) == "stale"}
        assert set(change.later) & set(dbg.operations[:furthest]) <= stale
        dbg.use("run")
        dbg.drop(change.run)


def test_a_what_if_on_an_attribute_recomputes_the_node_too(stepped: Debugger) -> None:
    dbg = stepped
    dbg.resume()
    (clip,) = (node for node in dbg.order if node.op.name == "clip" and node.phase == "forward")
    change = dbg.what_if(clip, lo=0.4)
    assert change.recomputed == [clip, *after(dbg, clip)]
    assert dbg[clip].value.min() == 0.4
    loss = dbg.fetches[0]
    replaced = gn.replace(loss, {clip: gn.clip(clip.inputs[0], 0.4, clip.op.attributes["hi"])})
    feed = {node.name: value for node, value in dbg.prepared.given.items() if node.op.name == "placeholder"}
    assert bits(dbg[loss].value) == bits(gn.run(replaced, feed))
    dbg.goto(clip)
    dbg.back()
    change = dbg.what_if(clip, lo=0.2)
    assert not change.recomputed
    assert change.later == [clip, *after(dbg, clip)]


def test_values_after_a_what_if_are_those_of_a_graph_built_with_it() -> None:
    for number, recipe in enumerate(random_graphs(13, 40)):
        rng = np.random.default_rng(number)
        fetches, feed = with_gradients(recipe, 1)
        order = gn.schedule(fetches)
        node = [n for n in order if n.dtype.kind == "f"][int(rng.integers(4)) % 2]
        dbg = gn.debug(fetches, feed, echo=None)
        dbg.goto(int(rng.integers(len(dbg.operations) + 1)))
        value = rng.normal(size=dbg.prepared.shape_of(node))
        if evaluated(order, feed, {node: value}) is None:
            continue
        dbg[node] = value
        dbg.resume()
        if node in fetches:
            continue
        constant = node.graph.constant(value)
        replaced = gn.replace(fetches, {node: constant})
        needed = {n.name for n in gn.schedule(replaced)}
        rebuilt = gn.run(replaced, {n.name: v for n, v in feed.items() if n.name in needed and n is not node})
        assert [bits(dbg[fetch].value) for fetch in fetches] == [bits(found) for found in rebuilt]


def test_a_what_if_goes_no_further_than_a_node_whose_value_was_set() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    a = gn.sin(x)
    b = gn.cos(a)
    c = b + a
    dbg = gn.debug(c, {x: 1.0}, echo=None)
    dbg.resume()
    dbg[b] = 5.0
    change = dbg.what_if(x, 2.0)
    assert change.recomputed == [a, c]
    assert dbg[c].value == 5.0 + np.sin(2.0)
    del dbg[b]
    assert dbg[c].value == np.cos(np.sin(2.0)) + np.sin(2.0)
    del dbg[x]
    assert dbg[c].value == np.cos(np.sin(1.0)) + np.sin(1.0)
    assert [len(nodes) for nodes in dbg.runs.values()] == [0, 1, 2, 1, 0]


# --- faults that must be found ----------------------------------------------------------------------------------


def is_found(share: float | None) -> bool:
    try:
        for number, recipe in recipes():
            travelled(recipe, number, share)
    except AssertionError:
        return True
    return False


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def plant(cls: Any, name: str, fault: Callable[..., Any]) -> None:
        plain = getattr(cls, name)
        monkeypatch.setattr(cls, name, lambda self, *arguments: fault(plain, self, *arguments))

    return plant


def test_it_would_be_found_that_stale_values_are_kept(planted: Callable[..., None]) -> None:
    planted(Tape, "branch", lambda plain, self, prepared, changed: plain(self, prepared, set()))
    assert is_found(None)


def test_it_would_be_found_that_a_value_deep_down_is_kept(planted: Callable[..., None]) -> None:
    planted(Tape, "branch", lambda plain, self, prepared, changed: plain(self, prepared, changed - {max(changed)}))
    assert is_found(None)


def test_it_would_be_found_that_values_never_die(planted: Callable[..., None]) -> None:
    def fault(plain: Any, self: Tape, *arguments: Any) -> None:
        plain(self, *arguments)
        self._last = [len(self._order)] * len(self._order)

    planted(Tape, "__init__", fault)
    assert is_found(0.1)


def test_it_would_be_found_that_values_die_one_step_late(planted: Callable[..., None]) -> None:
    def fault(plain: Any, self: Tape, *arguments: Any) -> None:
        plain(self, *arguments)
        self._last = [last + 1 for last in self._last]

    planted(Tape, "__init__", fault)
    assert is_found(0.0)


def test_it_would_be_found_that_no_room_is_made(planted: Callable[..., None]) -> None:
    planted(Tape, "_make_room", lambda plain, self, *arguments: True)
    assert is_found(0.1)


def test_it_would_be_found_that_views_of_what_is_computed_again_are_kept(planted: Callable[..., None]) -> None:
    def fault(plain: Any, self: Tape, *arguments: Any) -> Any:
        self._views.clear()
        return plain(self, *arguments)

    planted(Tape, "_make_room", fault)
    assert is_found(0.1)


def test_it_would_be_found_that_what_is_dropped_is_not_counted_out(planted: Callable[..., None]) -> None:
    planted(Memory, "drop", lambda plain, self, value: None)
    assert is_found(0.1)


def test_it_would_be_found_that_views_are_counted_twice(planted: Callable[..., None]) -> None:
    def fault(plain: Any, self: Memory, value: Array) -> None:
        self.bytes += value.nbytes

    planted(Memory, "add", fault)
    planted(Memory, "drop", lambda plain, self, value: None)
    assert is_found(None)


def test_it_would_be_found_that_a_run_is_left_without_its_values(planted: Callable[..., None]) -> None:
    def fault(plain: Any, self: Debugger, name: str) -> None:
        tape = self._now.tape
        plain(self, name)
        self._now.run.tape = tape

    planted(Debugger, "use", fault)
    assert is_found(None)


def test_without_any_room_the_way_back_is_replayed_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    h = x = gn.Graph().placeholder("x", shape=(4,))
    for _ in range(400):
        h = gn.sin(h)
    dbg = gn.debug(h, {x: np.linspace(0, 1, 4)}, echo=None, budget=0)
    dbg.goto(390)
    looked = []
    missing = Tape._missing
    monkeypatch.setattr(Tape, "_missing", lambda tape, wanted: looked.append(wanted) or missing(tape, wanted))
    dbg.back()
    by_hand = functools.reduce(lambda value, _: np.sin(value), range(389), dbg["x"].value)
    assert bits(dbg.step_now.value) == bits(by_hand)
    assert len(looked) < 10  # each goes through all that is missing


# --- Ctrl-C -----------------------------------------------------------------------------------------------------


class Interrupted:
    """Raises KeyboardInterrupt at the line of so many that is run in the module of tapes."""

    def __init__(self, line: int) -> None:
        self.left = line

    def __call__(self, frame: Any, event: str, arg: Any) -> Any:
        if frame.f_code.co_filename != tapes.__file__:
            return None
        return self._line

    def _line(self, frame: Any, event: str, arg: Any) -> Any:
        self.left -= event == "line"
        if not self.left:
            sys.settrace(None)
            raise KeyboardInterrupt
        return self._line


@pytest.mark.parametrize("budget", [2000, None])
def test_after_an_interrupt_at_any_line_values_and_the_count_of_bytes_are_right(budget: float | None) -> None:
    fetches, feed = with_gradients(next(iter(random_graphs(5, 1))), 1)
    plain = [bits(record.value) for record in gn.trace(fetches, feed)]
    before, at = sys.gettrace(), 1
    while True:
        dbg = gn.debug(fetches, feed, budget=budget, echo=None)
        what = next(iter(feed))
        sys.settrace(Interrupted(at))
        try:
            dbg.resume()
            dbg[what] = feed[what]
            dbg.drop("run")
            done = True
        except KeyboardInterrupt:
            done = False
        finally:
            sys.settrace(before)
        if done:
            break
        dbg.goto(0)
        dbg.resume()
        assert [bits(dbg[node].value) for node in dbg.order] == plain, at
        dbg._now.memory.settle()
        assert dbg._now.memory.bytes == held_in(dbg._now.memory), at
        assert len(dbg._now.memory.tapes) == len(dbg.runs), at
        at += 1


def held_in(memory: Memory) -> int:
    """Return the bytes of all values that are there and were not given, each array once."""
    owners = {
        id(tapes.owner_of(value)): tapes.owner_of(value).nbytes
        for tape in memory.tapes
        for place, value in enumerate(tape._values)
        if value is not None and place not in tape._given and id(tapes.owner_of(value)) not in tape._uncounted
    }
    return sum(owners.values())


def test_an_interrupt_before_a_value_is_held_loses_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    h = x = gn.Graph().placeholder("x", shape=(100,))
    for _ in range(40):
        h = gn.tanh(h)
    dbg = gn.debug(h, {x: np.ones(100)}, budget=8000, echo=None)
    plain = Tape._hold

    def interrupted(tape: Tape, place: int, value: Array) -> None:
        monkeypatch.setattr(Tape, "_hold", plain)
        raise KeyboardInterrupt

    while not dbg.finished:
        monkeypatch.setattr(Tape, "_hold", interrupted)
        with pytest.raises(KeyboardInterrupt):
            dbg.step()
        dbg.step()
    dbg._now.memory.settle()
    assert dbg._now.memory.bytes == held_in(dbg._now.memory) <= 8000


def _layers():
    g = gn.Graph()
    x = g.placeholder("x", shape=(2, 3))
    network = gn.nn.Sequential(gn.nn.Dense(4), gn.nn.ReLU(), gn.nn.Dense(2))
    loss = gn.functions.mean(network(x) ** 2.0)
    return gn.debug(gn.compile(loss, gn.nn.SGD(0.1).updates(loss)), {x: np.ones((2, 3))}, echo=None)


def test_back_over_undoes_over():
    dbg = _layers()
    positions = [0]
    while not dbg.finished:
        dbg.over()
        positions.append(dbg.position)
    assert len(positions) < len(dbg.operations)  # over took whole layers
    walked = [dbg.position]
    while dbg.position:
        dbg.back_over()
        walked.append(dbg.position)
    assert walked == positions[::-1]
    assert dbg.back_over() is None


def test_rewind_goes_to_the_last_breakpoint_before_and_then_to_the_beginning():
    dbg = _layers()
    dbg.break_at(op="matmul")
    stops = []
    while not dbg.finished:
        dbg.resume()
        stops.append(dbg.position)
    assert stops[-1] == len(dbg.operations)
    back = []
    while dbg.position:
        dbg.rewind()
        back.append(dbg.position)
    assert back == [*stops[:-1][::-1], 0]
    assert all(dbg.operations[position - 1].op.name == "matmul" for position in back[:-1])


def test_rewind_asks_conditions_and_a_breakpoint_stops_back_over():
    dbg = _layers()
    dbg.goto(len(dbg.operations))
    dbg.break_at("dense_1/*", "size > 0")
    inside = [n for n, node in enumerate(dbg.operations, 1) if node.name.startswith("dense_1/")]
    dbg.rewind()
    assert dbg.position == inside[-1]
    dbg.back_over()
    assert dbg.position == inside[-2]
    dbg.clear()
    dbg.break_at(when="size < 0")
    assert dbg.rewind() is None
    assert dbg.position == 0
