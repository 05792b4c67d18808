"""Native plans: nothing is read where something else was written, and what goes along axes is right."""

import warnings
import weakref
from collections.abc import Callable
from itertools import islice

import numpy as np
import pytest
from random_networks import random_training
from test_plan import learner
from test_plan_conformance import bits, differences, drawn_step

import graphnn as gn
from graphnn.compiler.ir_values import Value
from graphnn.errors import GraphnnWarning
from graphnn.native import ufunc_addresses, value_layout
from graphnn.native.native_plan import Native
from graphnn.native.work_list import Work

pytestmark = pytest.mark.usefixtures("native")


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHNN_BACKEND", "native")


@pytest.fixture
def graph() -> gn.Graph:
    return gn.Graph()


class Followed:
    """The memory of a plan, byte by byte: whose value stands there. It follows what the plan does, in order."""

    def __init__(self, plan: Native) -> None:
        self._memory = plan.layout
        self._owner: dict[object, np.ndarray] = {}
        self._number: dict[Value, int] = {}
        self.wrong: list[str] = []
        self.reads = 0
        for work in plan.works:
            if work.parts:  # what stands there changes from block to block
                for value in work.values:
                    if value not in work.scratch:
                        self._written(value)
                continue
            self._done(work)

    def _done(self, work: Work) -> None:
        own = set(work.values)
        for value in work.values:
            for x in value.operands:
                if x.root not in own:
                    self._read(x.root, value)
        roots = {x.root for value in work.values for x in value.operands if x.root not in own}
        for value in work.values:
            if value not in work.inner:
                self._compare(value, roots, work.how == "fused" or value.kind == "each")
                self._written(value)

    def _compare(self, value: Value, roots: set[Value], by_itself: bool) -> None:
        """Have nothing written where it is read meanwhile, unless each element stands for itself."""
        for root in roots & self._memory.of.keys():
            if value in self._memory.of and value.nbytes and root.nbytes:
                start, other = self._memory.of[value].offset, self._memory.of[root].offset
                meets = start < other + root.nbytes and other < start + value.nbytes
                alike = (start, value.nbytes, value.dtype) == (other, root.nbytes, root.dtype)
                if meets and not (by_itself and alike):
                    self.wrong.append(f"{value.node.name} is written over {root.node.name}, which it is made of")

    def _span(self, value: Value) -> np.ndarray | None:
        """Return the owners of the bytes of a value, if it is the plan that has memory for it."""
        if value in self._memory.of:
            start = self._memory.of[value].offset
            whole = self._owner.setdefault("arena", np.full(self._memory.size, -1))
        elif value in self._memory.anew or value.kind in ("each", "call"):
            start, root = 0, self._memory.anew.get(value, value)
            whole = self._owner.setdefault(root, np.full(root.nbytes, -1))
        else:
            return None
        assert start + value.nbytes <= len(whole)
        return whole[start : start + value.nbytes]

    def _written(self, value: Value) -> None:
        span = self._span(value)
        if span is not None:
            span[...] = self._number.setdefault(value, len(self._number))

    def _read(self, root: Value, value: Value) -> None:
        span = self._span(root)
        if span is not None and len(span):
            self.reads += 1
            if not (span == self._number.get(root, -2)).all():
                self.wrong.append(f"{value.node.name} reads {root.node.name} where something else stands")


def planned(number: int) -> Native:
    if number % 3:
        fetches, feeds, updates = drawn_step(4, number)
    else:
        fetches, feeds, updates = random_training(np.random.default_rng([number, 4]), (1, 7, 33))  # type: ignore[assignment]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GraphnnWarning)
        plan = gn.compile(fetches, updates).plan(feeds[0])
    assert isinstance(plan, Native)
    return plan


def test_nothing_is_read_where_something_else_was_written() -> None:
    reads = 0
    for number in range(60):
        followed = Followed(planned(number))
        assert not followed.wrong, f"graph {number}: {followed.wrong}"
        reads += followed.reads
    assert reads > 500


def test_a_life_that_ends_too_early_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = value_layout._last_uses

    def wrong(works: list[Work]) -> dict[Value, int]:
        first = {value: at for at, work in enumerate(works) for value in work.values}
        return {value: max(first.get(value, 0), end - 1) for value, end in right(works).items()}

    monkeypatch.setattr(value_layout, "_last_uses", wrong)
    found = (number for number in range(30) if Followed(planned(number)).wrong)
    assert len(list(islice(found, 6))) == 6


@pytest.mark.parametrize("widths", [(8,), (64, 64), (160,) * 6])
def test_the_arena_is_hardly_larger_than_what_lives_at_once(widths: tuple[int, ...]) -> None:
    loss, updates, feed = learner(gn.Graph(), *widths, rows=32)
    told = gn.compile(loss, updates).plan(feed).explain()
    assert told.live <= told.arena <= 1.3 * told.live


# --- along axes -------------------------------------------------------------------------------------------------

SHAPES = [(1,), (2,), (67,), (1, 5), (5, 1), (33, 17), (3, 4, 5), (2, 130, 3), (1, 1)]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "int8", "uint8", "bool"])
def test_places_of_the_largest_sums_and_verdicts_are_the_interpreters(dtype: str) -> None:
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        graph = gn.Graph()
        x = graph.placeholder("x", shape, dtype)
        fetches = []
        for axis in (None, *range(len(shape))):
            fetches += [gn.argmax(x, axis), gn.argmin(x, axis), gn.cumsum(x, axis), gn.any(x, axis), gn.all(x, axis)]
            fetches += [gn.var(x, axis), gn.norm(x, axis=axis), gn.logsumexp(x, axis)] if dtype[0] == "f" else []
        feeds = []
        for call in range(3):
            array = rng.integers(0, 2 if dtype == "bool" else 4, shape).astype(dtype)
            if dtype[0] == "f" and call:
                special = rng.choice([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-40], shape)
                array = np.where(rng.random(shape) < 0.3, special, array).astype(dtype)
            feeds.append({x: array})
        assert not differences(fetches, feeds)
        step = gn.compile(fetches[:2])
        step(feeds[0])
        assert {loop.what for loop in step.plan(feeds[0]).loops} == {"loop"}  # type: ignore[attr-defined]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("shape", [(8191,), (8193,), (20_001,), (3, 9000), (1000, 10), (9000, 2), (2, 90, 100)])
def test_long_sums_are_the_interpreters(shape: tuple[int, ...], dtype: str) -> None:
    # Before version 2.3, NumPy adds up no more numbers at once than its buffer holds.
    rng = np.random.default_rng(0)
    x = gn.Graph(dtype=dtype if dtype[0] == "f" else None).placeholder("x", shape, dtype)
    axes = [None, *range(len(shape)), *[(1, 2)] * (len(shape) > 2)]
    fetches = [
        op(x, axis) for op in (gn.sum, gn.mean, gn.max, gn.std) for axis in axes if dtype[0] == "f" or op is gn.sum
    ]
    feeds = []
    for _ in range(3):
        array = rng.normal(size=shape) * 9
        feeds.append({x: np.where(array > 0, np.copysign(0, rng.normal(size=shape)), array).astype(dtype)})
    assert not differences(fetches, feeds)


@pytest.mark.parametrize("whole", [True, False])
def test_where_numpy_adds_up_by_buffers_long_sums_are_numpys(monkeypatch: pytest.MonkeyPatch, whole: bool) -> None:
    monkeypatch.setattr(ufunc_addresses, "_sums_are_whole", lambda: whole)
    x = gn.Graph().placeholder("x", (4, 5000))
    forms = []
    for axis in (0, 1, None):
        plan = gn.compile(gn.sum(x, axis)).plan({x: np.ones((4, 5000))})
        assert isinstance(plan, Native)
        forms += [work.how for work in plan.works]
    assert forms == ["loop", "loop", "loop" if whole else "python"]


def test_slices_are_taken_from_the_front_and_from_the_end_and_nowhere_else() -> None:
    graph = gn.Graph()
    x, i = graph.placeholder("x", (4, 5, 3)), graph.placeholder("i", ("n",), np.int64)
    fetches = [gn.take(x, i, 0), gn.take(x, i, 1), gn.take(x, i, 2), gn.take(x, i)]
    values = np.arange(60.0).reshape(4, 5, 3)
    assert not differences(fetches, [{x: values, i: np.array([0, -1, 2, -3, 1])}] * 2)
    for node, size in zip(fetches, (4, 5, 3, 60), strict=True):
        step = gn.compile(node)
        step({x: values, i: np.array([0, size - 1, -size])})
        for bad in (size, -size - 1, 2**62, -(2**63)):
            with pytest.raises(IndexError, match="out of range"):
                step({x: values, i: np.array([0, bad, 1])})
        assert bits(step({x: values, i: np.array([1])})) == bits(np.take(values, [1], node.op.attributes["axis"]))


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "uint8"])
def test_slices_are_added_in_order_from_the_front_and_from_the_end_and_nowhere_else(dtype: str) -> None:
    graph = gn.Graph()
    i = graph.placeholder("i", ("n",), np.int64)
    shapes: list[tuple[int | str, ...]] = [("n", 5, 3), (4, "n", 3), (4, 5, "n"), ("n",)]
    xs = [graph.placeholder(f"x{k}", shape, dtype) for k, shape in enumerate(shapes)]
    fetches = [gn.index_add(x, i, (4, 5, 3), axis) for x, axis in zip(xs, (0, 1, 2, None), strict=True)]
    rng = np.random.default_rng(0)

    def fed(*places: int) -> dict[gn.Node, np.ndarray]:
        sized = [tuple(len(places) if dim == "n" else int(dim) for dim in shape) for shape in shapes]
        numbers = [rng.normal(100, 25, shape).astype(dtype) for shape in sized]
        return {i: np.array(places)} | dict(zip(xs, numbers, strict=True))

    assert not differences(fetches, [fed(0, -1, 2, -3, 1, 0, 0, 2), fed(1, 1, -2, 1, 0, 2, -1, -1)])
    for node, size in zip(fetches, (4, 5, 3, 60), strict=True):
        step, x = gn.compile(node), node.inputs[0]
        plan = step.plan({each: value for each, value in fed(0, 1).items() if each in (x, i)})
        assert isinstance(plan, Native)
        assert [work.how for work in plan.works] == ["loop"]
        for bad in (size, -size - 1, 2**62, -(2**63)):
            with pytest.raises(IndexError, match="out of range"):
                step({each: value for each, value in fed(0, bad).items() if each in (x, i)})
        feed = {each: value for each, value in fed(1, -1).items() if each in (x, i)}
        expected = np.zeros((4, 5, 3) if size < 60 else 60, dtype)
        axis = node.op.attributes["axis"] or 0
        np.add.at(expected, (*[slice(None)] * axis, feed[i]), feed[x])
        assert bits(step(feed)) == bits(expected.reshape(4, 5, 3))


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "uint8"])
def test_slices_are_taken_and_added_by_several_indices_at_once(depth: int, dtype: str) -> None:
    graph, shape = gn.Graph(), (4, 5, 3)
    x = graph.placeholder("x", shape, dtype)
    i = graph.placeholder("i", ("n", 2, depth), np.int64)
    y = graph.placeholder("y", ("n", 2, *shape[depth:]), dtype)
    fetches = [gn.gather_nd(x, i), gn.scatter_nd(y, i, shape)]
    rng = np.random.default_rng(0)

    def fed(n: int) -> dict[gn.Node, np.ndarray]:
        places = np.stack([rng.integers(-size, size, (n, 2)) for size in shape[:depth]], -1)
        return {
            i: places,
            x: rng.normal(100, 25, shape).astype(dtype),
            y: rng.normal(100, 25, (n, 2, *shape[depth:])).astype(dtype),
        }

    assert not differences(fetches, [fed(n) for n in (40, 3, 40, 0, 7)])
    for node in fetches:
        needed = {x, i} if node is fetches[0] else {y, i}
        feed = {each: value for each, value in fed(30).items() if each in needed}
        step = gn.compile(node)
        plan = step.plan(feed)
        assert isinstance(plan, Native)
        assert {work.how for work in plan.works} <= {"loop", "fused"}
        expected, index = np.zeros(shape, dtype), tuple(np.moveaxis(feed[i], -1, 0))
        if node is fetches[0]:
            expected = feed[x][index]
        else:
            np.add.at(expected, index, feed[y])
        assert bits(step(feed)) == bits(expected)
        for axis, size in enumerate(shape[:depth]):
            for bad in (size, -size - 1, 2**62, -(2**63)):
                wrong = feed[i].copy()
                wrong[11, 1, axis] = bad
                with pytest.raises(IndexError, match="out of range"):
                    step(feed | {i: wrong})


@pytest.mark.parametrize("dtype", ["int32", "uint8", "int64"])
def test_indices_of_any_integers_are_taken_natively(dtype: str) -> None:
    graph = gn.Graph()
    x, i = graph.placeholder("x", (40, 3)), graph.placeholder("i", ("n",), dtype)
    taken = gn.take(x, i, 0)
    fetches = [taken, gn.grad(gn.sum(gn.square(taken)), x), gn.gather_nd(x, gn.expand_dims(i, 1))]
    feed = {x: np.random.default_rng(0).normal(size=(40, 3)), i: np.array([3, 39, 3, 0, 7], dtype)}
    assert not differences(fetches, [feed] * 2)
    plan = gn.compile(fetches).plan(feed)
    assert isinstance(plan, Native)
    assert {work.how for work in plan.works} <= {"loop", "fused"}


def test_slices_that_overlap_are_added_up_natively() -> None:
    graph = gn.Graph(dtype="float32")
    x = graph.placeholder("x", (9, 7))
    around = -4.0 * x[1:-1, 1:-1] + x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:]
    loss = gn.sum(gn.square(around)) + gn.sum(gn.exp(x[::2])) + gn.sum(x[3]) + gn.sum(x[4:4, 2:])
    slope = gn.grad(loss, x)
    feed = {x: np.random.default_rng(0).normal(size=(9, 7)).astype("f4")}
    assert not differences([loss, slope], [feed] * 2)
    plan = gn.compile(slope).plan(feed)
    assert isinstance(plan, Native)
    assert {work.how for work in plan.works} <= {"loop", "fused"}
    expected, given = np.zeros((9, 7)), feed[x].astype(float)
    for place in np.ndindex(9, 7):
        moved = np.zeros((9, 7))
        moved[place] = 1e-3
        expected[place] = (_sum_around(given + moved) - _sum_around(given - moved)) / 2e-3
    np.testing.assert_allclose(gn.run(slope, feed), expected, rtol=1e-3, atol=1e-3)


def _sum_around(v: np.ndarray) -> float:
    around = -4.0 * v[1:-1, 1:-1] + v[:-2, 1:-1] + v[2:, 1:-1] + v[1:-1, :-2] + v[1:-1, 2:]
    return float((around**2).sum() + np.exp(v[::2]).sum() + v[3].sum())


@pytest.mark.parametrize(("shift", "axis"), [(1, 0), (-3, 1), (2, -1), (7, None), (-1, None)])
def test_rolled_arrays_are_joined_natively(shift: int, axis: int | None) -> None:
    graph = gn.Graph()
    x = graph.placeholder("x", ("n", 4, 3))
    rolled = gn.roll(x, shift, axis)
    feeds = [{x: np.random.default_rng(n).normal(size=(n, 4, 3))} for n in (5, 5, 2, 1, 0, 9)]
    assert not differences([rolled, rolled - x], feeds)
    step = gn.compile(rolled)
    plan = step.plan(feeds[0])
    assert isinstance(plan, Native)
    assert {work.how for work in plan.works} <= {"loop", "fused"}
    np.testing.assert_array_equal(step(feeds[0]), np.roll(feeds[0][x], shift, axis))


def test_an_embedding_of_many_rows_is_the_interpreters() -> None:
    graph = gn.Graph(dtype="float32")
    table, i = (
        graph.parameter("table", np.random.default_rng(0).normal(size=(300, 40))),
        graph.placeholder("i", ("n", 9), np.int64),
    )
    hidden = gn.gelu(gn.take(table, i, axis=0))
    fetches = [hidden, gn.erf(hidden), gn.std(hidden, -1)]
    feeds = [{i: np.random.default_rng(k).integers(-300, 300, (50, 9))} for k in range(2)]
    loss = gn.sum(gn.square(hidden))
    assert not differences([*fetches, loss], feeds, {table: table - 0.1 * gn.grad(loss, table)})


# --- the memory of parameters -------------------------------------------------------------------------------------


def counter(graph: gn.Graph) -> tuple[gn.Node, gn.Node, gn.compiler.compile.Compiled]:
    """Return a parameter that each step adds what is fed to, the placeholder, and the step."""
    w, x = graph.parameter("w", np.zeros((3, 4))), graph.placeholder("x", ("n", 4))
    return w, x, gn.compile(gn.sum(w), updates={w: w + gn.sum(x)})


def kept(step: gn.compiler.compile.Compiled, feed: dict[gn.Node, np.ndarray]) -> list[object]:
    plan = step.plan(feed)
    assert isinstance(plan, Native)
    return [each for whole in plan._whole for each in whole.__self__.last]


def test_the_memory_of_a_value_that_nobody_holds_is_written_to_again(graph: gn.Graph) -> None:
    w, x, step = counter(graph)
    feed = {x: np.ones((1, 4))}
    step.plan(feed)
    for number in range(1, 9):
        step(feed)
        assert (graph.state[w] == 4 * number).all()
        assert not graph.state[w].flags.writeable
        if number > 2:
            assert [each.shape for each in kept(step, feed) if isinstance(each, np.ndarray)] == [(3, 4)]
    with pytest.raises(ValueError, match="WRITEABLE"):
        graph.state[w].flags.writeable = True


@pytest.mark.parametrize(
    "hold",
    [
        lambda value: value,
        lambda value: value[1:, ::2],
        lambda value: value.base,
        lambda value: value.base[1:],
        lambda value: value.T,
        lambda value: np.asarray(memoryview(value)),
        lambda value: value.view(np.int64),
    ],
    ids=["itself", "part", "base", "part of the base", "transpose", "memoryview", "other dtype"],
)
def test_what_somebody_holds_is_never_written_to(graph: gn.Graph, hold: Callable[[np.ndarray], np.ndarray]) -> None:
    w, x, step = counter(graph)
    feed = {x: np.ones((1, 4))}
    step.plan(feed)
    held, expected = [], []
    for _ in range(8):
        step(feed)
        held.append(hold(graph.state[w]))
        expected.append(held[-1].tobytes())
        step(feed)
    assert [each.tobytes() for each in held] == expected


def test_a_value_with_a_weak_reference_is_let_go(graph: gn.Graph) -> None:
    w, x, step = counter(graph)
    feed = {x: np.ones((1, 4))}
    step.plan(feed)
    for _ in range(4):
        step(feed)
        seen = weakref.ref(graph.state[w]), weakref.ref(graph.state[w].base)
        step(feed)
        assert [each() for each in seen] == [None, None]


def test_a_step_that_fails_leaves_what_is_kept_usable(graph: gn.Graph) -> None:
    w, x, labels = graph.parameter("w", np.ones(4)), graph.placeholder("x", (2,)), graph.placeholder("y", (2,), "int64")
    loss = gn.sum(gn.pick(gn.expand_dims(x, 1) * w, labels))
    step = gn.compile(loss, updates={w: w + loss})
    right, wrong = ({x: np.ones(2), labels: np.array(y)} for y in ([0, 3], [0, 4]))
    step.plan(right)
    expected = np.ones(4)
    for _ in range(5):
        step(right)
        expected = expected + 2 * expected[0]
        with pytest.raises(gn.errors.GraphnnError):
            step(wrong)
        assert (graph.state[w] == expected).all()


def test_another_size_lets_go_of_what_was_kept(graph: gn.Graph) -> None:
    w, x, step = counter(graph)
    feeds = [{x: np.ones((n, 4))} for n in (1, 2)]
    for _ in range(3):
        for feed in feeds:
            step.plan(feed)
            for _ in range(4):
                step(feed)
        assert not any(isinstance(each, np.ndarray) for each in kept(step, feeds[0]))
    assert (graph.state[w] == 3 * 4 * (4 + 8)).all()
