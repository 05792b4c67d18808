"""Native plans that are recorded once and repeated for other sizes: the same words, and the same bits."""

import gc
import operator
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from recorded import repeated

import graphnn as gn
from graphnn import Compiled, Op, Spec, nn
from graphnn.compiler import plan_cache
from graphnn.compiler.intermediate_representation import Index, reshaped
from graphnn.compiler.ir_values import broadcast_shape
from graphnn.compiler.symbolic_sizes import Size, Unrecorded, any_size
from graphnn.core import Dim
from graphnn.native import selftest
from graphnn.native import size_pattern as patterns
from graphnn.native.native_plan import Native
from graphnn.native.recorded_sizes import Tape
from graphnn.native.size_pattern import Pattern
from graphnn.native.ufunc_addresses import Doubt
from graphnn.runtime.evaluation_loop import Prepared

# --- sizes that record --------------------------------------------------------------------------------------------

FUNCTIONS = (operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod)
COMPARISONS = (operator.lt, operator.le, operator.eq, operator.ne, operator.gt, operator.ge)


@st.composite
def courses(draw: st.DrawFn) -> list[tuple[Callable[..., Any], int, int]]:
    """Draw what is computed: each line of two earlier ones, or of one and a number below 0."""
    lines = []
    for count in range(2, draw(st.integers(3, 12))):
        places = st.integers(-6, count - 1)
        lines.append((draw(st.sampled_from(FUNCTIONS)), draw(places), draw(places)))
    return lines


def followed(lines: list[tuple[Callable[..., Any], int, int]], sizes: list[Any]) -> list[Any] | None:
    found = list(sizes)
    for function, a, b in lines:
        x, y = (found[i] if i >= 0 else -i - 3 for i in (a, b))
        try:
            found.append(function(x, y))
        except ZeroDivisionError:
            return None
    return found


@given(courses(), st.data())
def test_what_was_computed_of_sizes_is_computed_again_for_others(
    lines: list[tuple[Callable[..., Any], int, int]], data: st.DataObject
) -> None:
    first, other = (data.draw(st.tuples(st.integers(0, 40), st.integers(0, 40))) for _ in range(2))
    tape = Tape()
    plain = followed(lines, [*first])
    assume(plain is not None)
    assert plain is not None
    count = st.integers(0, len(plain) - 1)
    asked = data.draw(st.lists(st.tuples(st.sampled_from(COMPARISONS), count, count), max_size=4))
    try:
        found = followed(lines, [tape.size(n) for n in first])
        assert found is not None
        gave = [bool(function(found[a], found[b])) for function, a, b in asked]
    except Unrecorded:  # two are equal by chance
        assume(False)
    assert [x.number if isinstance(x, Size) else x for x in found] == plain
    assert gave == [function(plain[a], plain[b]) for function, a, b in asked]
    cells = tape.end()(other)
    now = followed(lines, [*other])
    if now is None:
        assert cells is None
        return
    same = gave == [function(now[a], now[b]) for function, a, b in asked]
    divides = any(function in (operator.floordiv, operator.mod) for function, _, _ in lines)  # by what must not be 0
    assert cells is None or same
    assert cells is not None or divides or not same
    if cells is not None:
        assert [cells[x.cell] if isinstance(x, Size) else x for x in found] == now


def test_what_is_equal_for_all_sizes_is_one_size() -> None:
    tape = Tape()
    n, m = tape.size(7), tape.size(5)
    assert 1 * n is n + 0 is n // 1 is (n * m) // m is n
    assert (n * 3) * 4 is 12 * n
    assert n * (m + 1) - n is m * n
    assert (12 * n) // 4 is 3 * n
    assert (12 * n) % 4 == 0
    assert (n * m * 6) // (m * 2) is n * 3
    assert n - n == 0
    assert type(n - n) is int
    assert -(-n // 2) is -(-n // 2)
    replay = tape.end()
    assert replay((1, 1)) is not None
    assert replay((1, 0)) is None  # nothing was decided, but that m is not 0


def test_sizes_that_are_equal_by_chance_end_the_record() -> None:
    for compare in (lambda n, m: n == m, lambda n, m: n != m, lambda n, m: (n, 3) == (7, 3), lambda n, m: bool(n - m)):
        tape = Tape()
        with pytest.raises(Unrecorded, match="by chance"):
            compare(tape.size(7), tape.size(7))


@pytest.mark.parametrize(
    "ask",
    [
        int,
        float,
        complex,
        str,
        range,
        operator.index,
        np.asarray,
        np.zeros,
        lambda n: f"{n}",
        lambda n: f"{n:,}",
        lambda n: n / 2,
        lambda n: n**2,
        lambda n: n == 7.0,
        lambda n: n < 7.5,
        lambda n: n == np.int64(7),
        lambda n: np.int64(7) * n,
        lambda n: [0] * n,
        lambda n: np.arange(3)[n],
        round,
    ],
)
def test_whatever_takes_a_size_for_a_plain_number_ends_the_record(ask: Callable[[Any], object]) -> None:
    tape = Tape()
    with pytest.raises((Unrecorded, TypeError)):
        ask(tape.size(7))


def test_a_refusal_is_remembered_by_whoever_swallows_it() -> None:
    tape = Tape()
    with pytest.raises(Unrecorded):
        int(tape.size(7))
    assert not tape.holds


def test_sizes_of_two_tapes_never_equal_each_other_nor_what_is_kept_for_plain_numbers() -> None:
    one, other = Tape().size(7), Tape().size(7)
    assert one != other
    assert {(7, 2): "plain", (one, 2): "one"}.get((other, 2)) is None
    assert any_size([3, one])
    assert not any_size([3, 7])


# --- what is worked out without arrays ----------------------------------------------------------------------------

slices = st.builds(
    lambda *parts: parts, *[st.none() | st.integers(-6, 6)] * 2, st.none() | st.integers(-3, 3).filter(bool)
)


@given(st.lists(st.integers(0, 5), max_size=3), st.data())
def test_views_of_an_index_lie_where_numpy_has_them(shape: list[int], data: st.DataObject) -> None:
    parts: list[Any] = [data.draw(slices | (st.integers(-n, n - 1) if n else slices)) for n in shape]
    parts = parts[: data.draw(st.integers(0, len(parts)))]
    for _ in range(data.draw(st.integers(0, 2))):
        parts.insert(data.draw(st.integers(0, len(parts))), None)
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(parts)))
        parts[at:] = [...]
    base = np.zeros((*[2 * n for n in shape], 1), np.float32)[(*[slice(None, n) for n in shape], 0, ...)]
    how = Index(tuple(parts))
    view = Index(tuple(parts) if ... in parts else (*parts, ...)).of(base)  # else one element is no view
    sizes, steps, offset = how.shown(base.shape, base.strides)
    assert (sizes, steps) == (view.shape, view.strides)
    if view.size:
        assert offset == view.__array_interface__["data"][0] - base.__array_interface__["data"][0]


@given(st.data())
def test_views_of_another_shape_lie_where_numpy_has_them(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 4), max_size=4))
    steps = [data.draw(st.sampled_from([1, 2, -1])) for _ in shape]
    base = np.zeros([2 * n for n in shape], np.float32)
    x = base[
        tuple(slice(None, n) if step == 1 else slice(None, None, step) for n, step in zip(shape, steps, strict=True))
    ]
    x = x.transpose(data.draw(st.permutations(range(x.ndim))))
    if data.draw(st.booleans()):
        x = np.ascontiguousarray(x)
    left, new = x.size, []
    while left > 1 or data.draw(st.booleans()):
        # The largest first: what is simplest to draw ends, where 1 again and again never would.
        new.append(data.draw(st.sampled_from([n for n in range(left, 0, -1) if left % n == 0])))
        left //= new[-1]
    assume(tuple(new) != x.shape)
    try:
        expected = np.reshape(x, new, copy=False).strides
    except ValueError:
        with pytest.raises(ValueError, match="no view"):
            reshaped(x.shape, x.strides, tuple(new), 4)
        return
    assert reshaped(x.shape, x.strides, tuple(new), 4) == expected


@given(st.lists(st.lists(st.integers(0, 3), max_size=3).map(tuple), min_size=1, max_size=3))
def test_shapes_broadcast_as_numpy_has_it(shapes: list[tuple[int, ...]]) -> None:
    try:
        expected = np.broadcast_shapes(*shapes)
    except ValueError:
        with pytest.raises(ValueError, match="broadcast"):
            broadcast_shape(*shapes)
        return
    assert broadcast_shape(*shapes) == expected


# --- patterns -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", range(8))
def test_a_pattern_gives_the_words_that_planning_gives(part: int) -> None:
    worded = 0
    for number in range(40 * part, 40 * (part + 1)):
        found = repeated(0, number)
        if found is not None:
            assert not found.differences, number
            worded += found.worded
    assert worded >= 20


def test_a_comparison_that_is_not_recorded_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    end = Tape.end

    def without_comparisons(tape: Tape) -> Any:
        tape._lines = [line for line in tape._lines if line[1] is not None]
        return end(tape)

    monkeypatch.setattr(Tape, "end", without_comparisons)
    assert any(getattr(repeated(0, number), "differences", []) for number in range(40))


def trained(hidden: int = 5) -> tuple[gn.Node, gn.Node, Compiled]:
    g = gn.Graph(dtype="float32")
    x, labels = g.placeholder("x", ("batch", 4)), g.placeholder("labels", ("batch",), "int64")
    rng = np.random.default_rng(0)
    loss = nn.softmax_crossentropy(nn.Dense(3, rng=rng)(gn.relu(nn.Dense(hidden, rng=rng)(x))), labels)
    return x, labels, gn.compile(loss, nn.Adam(0.01).updates(loss), backend="native")


def batch(x: gn.Node, labels: gn.Node, n: int) -> dict[gn.Node, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(n)
    return {x: rng.normal(size=(n, 4)).astype(np.float32), labels: rng.integers(0, 3, n)}


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes for which a planner has run, recording or not."""
    found: list[int] = []
    drafted = patterns.drafted

    def counting(prepared: Prepared, *how: Any) -> Any:
        found.append(prepared.sizes["batch"])
        return drafted(prepared, *how)

    monkeypatch.setattr(patterns, "drafted", counting)
    monkeypatch.setattr("graphnn.native.native_plan.drafted", counting)
    return found


@pytest.mark.plans_where_it_pays
def test_sizes_at_random_are_planned_a_few_times_and_then_repeated(planned: list[int]) -> None:
    x, labels, step = trained()
    sizes = np.random.default_rng(3).integers(20, 250, 500).tolist()
    for n in sizes[:3]:
        step(batch(x, labels, n))
    assert planned == []
    for n in sizes[3:]:
        step(batch(x, labels, n))
        assert next(reversed(step._plans)) == (n,)
    assert len(planned) == 1


@pytest.mark.plans_where_it_pays
def test_the_last_batch_of_an_epoch_is_computed_by_a_plan_as_soon_as_there_is_a_pattern(planned: list[int]) -> None:
    x, labels, step = trained()
    step.plan(batch(x, labels, 64))
    step.plan(batch(x, labels, 40))
    step(batch(x, labels, 23))
    assert len(planned) == 2
    assert (23,) in step._plans


@pytest.mark.plans_where_it_pays
def test_what_cannot_be_recorded_is_tried_three_times(planned: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "Pattern", raising(Unrecorded("planted")))
    x, labels, step = trained()
    for n in range(20, 120):
        step(batch(x, labels, n))
    assert planned == [23, 27, 31]
    assert not step._planner.may_record(step.prepared(batch(x, labels, 20)))


@pytest.mark.plans_where_it_pays
def test_one_size_is_planned_without_a_record(planned: list[int]) -> None:
    x, labels, step = trained()
    for _ in range(40):
        step(batch(x, labels, 32))
    assert [type(n) for n in planned] == [int]


def test_a_training_with_sizes_at_random_is_the_interpreters_to_the_bit() -> None:
    sizes = np.random.default_rng(4).integers(1, 300, 60).tolist()
    states = []
    for backend in ("native", "interpreter"):
        x, labels, step = trained(17)
        step = gn.compile(step.fetches[0], dict(step.updates), backend=backend)
        losses = [step(batch(x, labels, n)).tobytes() for n in sizes]
        states.append((losses, [value.tobytes() for value in x.graph.state.values()]))
    assert states[0] == states[1]


def test_a_repeated_plan_can_be_read_as_any_other() -> None:
    x, labels, step = trained()
    plans: dict[int, Native] = {}
    for n in (32, 33, 40):
        plan = step.plan(batch(x, labels, n))
        assert isinstance(plan, Native)
        plans[n] = plan
    assert plans[40]._drafted is None  # until somebody reads it
    told = str(plans[40].explain())
    assert "40" in told
    planned = Native(step.prepared(batch(x, labels, 40)), list(step.updates))
    assert list(map(str, plans[40].loops)) == list(map(str, planned.loops))
    assert plans[40].source == planned.source
    assert plans[40]._filling.arena == plans[40].layout.size


@pytest.mark.usefixtures("own_operations")
def test_what_python_computes_in_between_is_called_for_each_size() -> None:
    class Longer(Op):
        def infer(self, x: Any) -> Any:
            return x

        def forward(self, x: Any) -> Any:
            return x * (2 + len(x))

    x = gn.Graph().placeholder("x", ("n", 2))
    step = repeated_for(Longer()(x) + 1.0, x, 20, 21)
    assert step._planner._found
    for n in range(2, 30):
        assert step({x: np.ones((n, 2))}).tolist() == [[3.0 + n] * 2] * n


def test_several_threads_and_other_backends_record_nothing() -> None:
    for how in ({"threads": 2, "backend": "native"}, {"backend": "numpy"}):
        x = gn.Graph().placeholder("x", ("n", 2))
        step = gn.compile(gn.tanh(x), **how)
        for n in range(2, 20):
            step({x: np.ones((n, 2))})
        assert not step._planner.may_record(step.prepared({x: np.ones((n, 2))}))


def test_constants_made_of_sizes_are_made_for_each() -> None:
    g = gn.Graph()
    x, b = g.placeholder("x", ("n", 3)), g.parameter("b", 0.5)
    loss = gn.mean(gn.square(x)) + gn.mean(x - b)
    slope, of_b = gn.grad(loss, [x, b])
    step = gn.compile([loss, slope, of_b, gn.sum(x, 0), gn.zeros_like(x)], backend="native")
    pattern = Pattern(step.prepared({x: np.ones((20, 3))}), [], *step._planner.asked[1:3])
    for n in (17, 20, 31, 100):
        array = np.random.default_rng(n).normal(size=(n, 3))
        prepared = step.prepared({x: array})
        plan = pattern.plan(prepared)
        assert plan is not None
        values = plan(*[prepared.given[node] for node in plan.given])
        expected = [
            (array**2).mean() + (array - 0.5).mean(),
            (2 * array + 1) / array.size,
            -1.0,
            array.sum(0),
            0 * array,
        ]
        for value, right in zip(values, expected, strict=True):
            np.testing.assert_allclose(value, right, rtol=1e-12)


@pytest.mark.plans_where_it_pays
def test_plans_that_gave_way_are_freed_at_once() -> None:
    x, labels, step = trained()
    seen = []
    gc.disable()
    try:
        for n in (21, 22):
            step.plan(batch(x, labels, n))
        for n in range(30, 130):
            step(batch(x, labels, n))
            if step._latest is not None:
                seen.append(weakref.ref(step._latest))
        alive = {id(plan) for ask in seen if (plan := ask()) is not None}
    finally:
        gc.enable()
    assert len(seen) > 60
    assert len(alive) == plan_cache.MOST_PLANS


def transformer(backend: str, causal: bool) -> tuple[gn.Node, gn.Node, Compiled]:
    rng = np.random.default_rng(0)
    g = gn.Graph(dtype="float32")
    ids, labels = g.placeholder("ids", ("batch", "time"), int), g.placeholder("labels", ("batch", "time"), int)
    h = nn.Embedding(9, 8, rng=rng)(ids)
    for _ in range(2):
        h = nn.TransformerBlock(2, 12, causal=causal, dropout=0.2, rng=rng)(h, training=True)
    loss = nn.softmax_crossentropy(nn.Dense(9, rng=rng)(h), labels)
    return ids, labels, gn.compile(loss, nn.Adam(0.01).updates(loss), backend=backend)


@pytest.mark.parametrize("causal", [False, True])
def test_a_transformer_in_training_is_repeated_to_the_bit(causal: bool) -> None:
    runs = [transformer(backend, causal) for backend in ("native", "interpreter")]
    from_patterns = 0
    for batch_size, time in [(4, 20), (4, 21), (4, 37), (7, 19), (1, 64), (4, 21), (3, 5), (4, 130)]:
        rng = np.random.default_rng([batch_size, time])
        shape = batch_size, time
        fed = rng.integers(0, 9, shape), rng.integers(0, 9, shape)
        for ids, labels, step in runs:
            if step.backend == "native":
                plan = step.plan({ids: fed[0], labels: fed[1]})
                assert isinstance(plan, Native)
                from_patterns += plan._drafted is None  # nobody has planned it
        losses = [step({ids: fed[0], labels: fed[1]}).tobytes() for ids, labels, step in runs]
        assert losses[0] == losses[1], shape
    states = [[value.tobytes() for value in ids.graph.state.values()] for ids, _, _ in runs]
    assert states[0] == states[1]
    assert from_patterns >= 4
    assert runs[0][2]._planner.left >= 2


def test_a_few_patterns_serve_a_transformer_for_nearly_all_lengths() -> None:
    ids, labels, step = transformer("native", causal=True)
    planned = []
    for time in range(17, 120):
        fed = np.ones((4, time), int)
        plan = step.plan({ids: fed, labels: fed})
        planned.append(plan._drafted is not None)  # type: ignore[attr-defined]
    assert sum(planned) <= 12


def test_a_constant_that_fails_for_some_sizes_is_left_to_planning() -> None:
    x = gn.Graph().placeholder("x", ("n",))
    of = gn.reshape(gn.arange(1, 7, graph=x.graph), ("n", "6//n"))
    step = repeated_for(gn.sum(x) + of, x, 2, 3)
    assert step({x: np.ones(6)}).shape == (6, 1)
    with pytest.raises(gn.GraphnnError):
        step({x: np.ones(4)})


# --- what a second look found -------------------------------------------------------------------------------------


def repeated_for(fetches: Any, x: gn.Node, *sizes: int) -> Compiled:
    """Return a step with a pattern, or what there is without one: with plans for these sizes."""
    step = gn.compile(fetches, backend="native")
    for n in sizes:
        step.plan({x: np.ones((n, *x.shape[1:]))})
    return step


def test_an_index_beyond_the_end_is_refused_with_a_pattern_and_without() -> None:
    x = gn.Graph().placeholder("x", ("n",))
    for index in (5, -6, slice(5, None)):
        step = repeated_for(x[index] * 1.0, x, 10, 11)
        assert step._planner._found
        if isinstance(index, slice):
            assert step({x: np.ones(3)}).shape == (0,)
            continue
        with pytest.raises(gn.GraphnnError, match="getitem"):
            step({x: np.ones(3)})
    w = x.graph.placeholder("w", ())
    step = gn.compile(gn.grad(gn.sum(x[1_000_000] * w), x), backend="native")
    for _ in range(2):
        with pytest.raises(gn.GraphnnError, match="out of range"):
            step({x: np.ones(4), w: 3.0})


def test_a_graph_inside_of_plain_sizes_counts_for_the_memory_budget() -> None:
    graph = gn.Graph()
    x, flag = graph.placeholder("x", (4,)), graph.placeholder("flag", (), "bool")

    def large(a: gn.Node) -> gn.Node:
        return gn.sum(gn.broadcast_to(a, (3000, 4)) * gn.broadcast_to(a * 2.0, (3000, 4)), 0)

    graph.memory_budget = 20_000
    with pytest.raises(gn.MemoryBudgetError):
        gn.run(gn.cond(flag, large, large, x), {x: np.ones(4), flag: True})


@pytest.mark.usefixtures("own_operations")
def test_constants_of_own_operations_are_left_to_planning() -> None:
    shared = np.zeros(())

    class Count(Op):
        n: Dim

        def infer(self) -> Spec:
            return Spec((), np.dtype(float))

        def forward(self) -> Any:
            shared[()] = float(self.n)
            return shared

    class Plus(Op):
        def infer(self, a: Spec, b: Spec) -> Spec:
            return a

        forward = np.add

    x = gn.Graph().placeholder("x", ("n",))
    zeros = gn.zeros(("n",), graph=x.graph)
    step = repeated_for([x * Count("n")(graph=x.graph), x + Plus()(zeros, zeros)], x, 10, 11, 12, 13)
    for n in (10, 11, 12, 13, 14):
        times, plus = step({x: np.ones(n)})
        assert times.tolist() == [n] * n
        assert plus.tolist() == [1] * n


def test_a_constant_that_is_used_again_and_again_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x = gn.Graph().placeholder("x", ("n",))
    c = gn.sum(gn.zeros(("n",), graph=x.graph) + 1.0)
    for _ in range(40):
        c = c + c
    step = repeated_for(x + c, x, 10, 11)
    assert step._planner._found
    assert step({x: np.zeros(20)}).tolist() == [20.0 * 2**40] * 20


def test_a_plan_for_other_sizes_holds_nothing_that_it_does_not_read() -> None:
    x = gn.Graph().placeholder("x", ("n", 3))
    places = gn.cast(gn.arange("n", graph=x.graph), "float64")
    step = repeated_for(x + gn.expand_dims(gn.sin(places * 2.0), 1) + gn.sort(x, 0), x, 10, 11)
    fed = np.ones((40, 3))
    seen = weakref.ref(fed)
    gc.disable()
    try:
        plan = step.plan({x: fed})
        step({x: fed})
        del fed
        assert seen() is None
    finally:
        gc.enable()
    assert isinstance(plan, Native)
    assert plan._drafted is None
    assert [array.shape for array in plan._filling.arrays] == [(40, 1)]


def test_a_long_chain_of_constants_is_made_for_other_sizes() -> None:
    x = gn.Graph().placeholder("x", ("n",))
    c = gn.zeros(("n",), graph=x.graph)
    for _ in range(2000):
        c = c + 1.0
    step = repeated_for(x + c, x, 10, 11)
    assert step._planner._found
    assert step({x: np.zeros(12)}).tolist() == [2000.0] * 12


def test_views_of_constants_are_recorded_and_give_the_same_bits() -> None:
    g = gn.Graph(dtype="float32")
    x, w = g.placeholder("x", ("n", 3)), g.parameter("w", np.float32([[0.5, -1, 2]] * 3))
    h = gn.zeros(("n", 3), graph=g)
    for _ in range(2):
        h = gn.tanh(x + h @ w)  # the gradient of w takes the zeros, transposed
    loss = gn.mean(gn.sum(gn.square(h), 1))
    fetches = [loss, gn.grad(loss, w)]
    step = repeated_for(fetches, x, 10, 11)
    assert step._planner._found
    for n in (12, 2, 40):
        fed = {x: np.random.default_rng(n).normal(size=(n, 3)).astype(np.float32)}
        assert [one.tobytes() for one in step(fed)] == [one.tobytes() for one in gn.run(fetches, fed)]


def test_small_products_are_computed_in_the_order_in_which_they_lie() -> None:
    x = gn.Graph().placeholder("x", ("n", 2, 4, "k", 5))
    step = repeated_for(x @ gn.transpose(x, (0, 1, 2, 4, 3)), x)
    for k, goes, together in ((3, 1, 8), (400, 8, 1)):
        calls: Any = Native(step.prepared({x: np.ones((10, 2, 4, k, 5))})).segments[0].calls
        assert [(each.times, len(each.calls)) for each in calls] == [(10, together)] * goes
        assert [call.arguments[2].offset for call in calls[0].calls] == [8 * k * k * i for i in range(together)]


@pytest.mark.plans_where_it_pays
def test_after_a_doubt_no_pattern_gives_a_native_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    x = gn.Graph().placeholder("x", ("n",))
    step = repeated_for(gn.tanh(x), x, 10, 11)
    monkeypatch.setattr(selftest, "_state", {"warned": True})
    monkeypatch.setattr(Pattern, "plan", lambda *_: None)
    monkeypatch.setattr(patterns, "Native", raising(Doubt("planted")))
    step.plan({x: np.ones(12)})
    monkeypatch.undo()
    assert not isinstance(step.plan({x: np.ones(13)}), Native)


def raising(error: Exception) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise error

    return refuse


def test_a_record_that_fails_leaves_nothing_in_caches() -> None:
    x = gn.Graph().placeholder("x", ("n", 3))
    gc.collect()
    before = sum(len(each._sizes) for each in gc.get_objects() if isinstance(each, Tape))
    step = repeated_for(gn.tanh(gn.tanh(x).T), x, 10, 1)  # which is 1 by chance
    assert not step._planner._found
    assert sum(len(each._sizes) for each in gc.get_objects() if isinstance(each, Tape)) == before
