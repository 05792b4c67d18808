"""What stopped a run can be looked at afterwards: with its feed, its state, at its place, here or from a file."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_time_travel import bits, spiral_step

import graphnn as gn
from graphnn import Debugger, Op, Spec, nn
from graphnn.core import registry
from graphnn.errors import (
    AxisError,
    DivisionError,
    EvaluationError,
    GraphnnError,
    LabelError,
    NotFoundError,
    ShapeError,
    UsageError,
    ValueRangeError,
)
from graphnn.ops.elementwise import Elementwise
from graphnn.runtime.guard import LOOK

Array = np.ndarray[Any, np.dtype[Any]]


def raised(do: Callable[[], Any]) -> GraphnnError:
    with pytest.raises(GraphnnError) as caught:
        do()
    return caught.value


def opened(error: GraphnnError) -> Debugger:
    dbg = error.debug()
    assert isinstance(dbg, Debugger)
    dbg.echo = None
    return dbg


def log_step(guard: str | None = "nan") -> tuple[gn.Compiled, gn.Node]:
    """Return a step that is NaN once x is below 0, in the middle of the run, and -inf at 0."""
    g = gn.Graph("logs")
    x = g.placeholder("x", shape=("n",))
    w = g.parameter("w", [1.0, 2.0])
    with g.scope("inner"):
        h = gn.log(x * 2.0)
    loss = gn.sum(h * w)
    g.outputs["loss"] = loss
    return gn.compile(loss, updates={w: w - 0.5 * gn.grad(loss, w)}, guard=guard), x


# --- under a guard ----------------------------------------------------------------------------------------------


def test_an_error_that_cannot_say_what_it_is_is_reported_of_its_node() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("in str")

    def fail(self: Any, x: Any, out: Any = None) -> Any:
        raise Mute

    x = gn.Graph().placeholder("x", shape=(2,))
    node = type("Mutes", (Elementwise,), {"like": np.exp, "forward": fail})()(x)
    error = raised(lambda: gn.run(node, {x: [1.0, 2.0]}))
    assert str(error).partition("\n")[0].endswith(": Mute")
    assert opened(error).failed is node


def test_a_guard_stops_before_any_update_and_the_debugger_stands_where_it_was() -> None:
    step, x = log_step()
    w = step.graph["w"]
    step({x: [1.0, 2.0]})
    before = dict(step.graph.state)
    error = raised(lambda: step({x: [3.0, -1.0]}))
    assert isinstance(error, ValueRangeError)
    assert isinstance(error, ValueError)
    message = str(error)
    assert message.startswith('"inner/log" (log, made at ')
    assert " is NaN at (1,); no update was made, so the state is the one that led here: error.debug() looks" in message
    assert all(step.graph.state[node] is value for node, value in before.items())
    dbg = opened(error)
    assert dbg.current is step.graph["inner/log"]
    assert (dbg.position, dbg.finished) == (2, False)
    assert dbg.error + LOOK == message  # here it is looked at
    assert dbg["x"].value.tolist() == [3.0, -1.0]
    assert bits(dbg["w"].value) == bits(w.value)
    assert dbg["inner/log"].value[0] == np.log(6.0)
    assert np.isnan(dbg["inner/log"].value[1])
    assert [scope.path for scope in dbg.frames()] == ["inner"]
    assert dbg.state("loss") == "waiting"
    assert dbg.why().equation == "inner/log[1] = nan = log(-2)"
    assert dbg.ancestry()[step.graph["x"]].tolist() == dbg.influence()[step.graph["inner/log"]].tolist() == [1]
    stopped = dbg.trace()
    assert stopped.order[stopped.stopped] is step.graph["inner/log"]
    assert gn.debug(stopped, echo=None).current is step.graph["inner/log"]
    dbg.back()
    assert dbg.trace().stopped == stopped.stopped
    dbg.resume()
    assert dbg.trace().stopped is None
    assert np.isnan(dbg["loss"].value)
    assert dbg.updates == step.updates


def test_values_in_the_debugger_are_those_of_the_run_to_the_bit() -> None:
    step, feed = spiral_step(nn.Adam(0.05))
    guarded = gn.compile(step.fetches[0], updates=step.updates, guard="finite")
    for _ in range(3):
        guarded(feed)
    guarded.graph["dense_2/bias"].value = [0.0, np.inf, 0.0]
    expected = gn.trace(step, feed)
    error = raised(lambda: guarded(feed))
    dbg = opened(error)
    assert dbg.position == 0 or dbg.current is not None
    known = [node for node in dbg.order if dbg[node].known]
    assert len(known) > 5
    assert [bits(dbg[node].value) for node in known] == [bits(expected[node].value) for node in known]
    dbg.resume()
    assert [bits(dbg[node].value) for node in dbg.order] == [bits(record.value) for record in expected]


def test_an_infinite_constant_is_meant_and_what_is_made_of_it_is_not() -> None:
    g = gn.Graph()
    x, seen = g.placeholder("x", ("n",)), g.placeholder("seen", ("n",), dtype=bool)
    step = gn.compile(gn.max(gn.where(seen, x, -np.inf)), guard="finite")
    assert step({x: [1.0, 2.0], seen: [True, True]}) == 2.0
    error = raised(lambda: step({x: [1.0, 2.0], seen: [True, False]}))
    assert str(error).startswith('"where" (where, made at')


def test_which_guard_looks_for_what() -> None:
    step, x = log_step("nan")
    step({x: [1.0, 0.0]})  # -inf is no NaN
    step, x = log_step("finite")
    error = raised(lambda: step({x: [1.0, 0.0]}))
    assert '"inner/log" (log' in str(error)
    assert "is -inf at (1,)" in str(error)
    step, x = log_step(None)
    step({x: [1.0, -1.0]})
    step, x = log_step()
    loss, feed = step.graph["loss"], {x: [1.0, -1.0]}
    assert np.isnan(gn.run(loss, feed))
    error = raised(lambda: gn.run(loss, feed, guard="nan"))
    assert opened(error).current is step.graph["inner/log"]
    assert opened(error).updates == {}
    for guard in ("inf", True, 3):
        with pytest.raises(ValueRangeError, match=r'unknown guard .* \(must be "nan", "finite", or None\)'):
            gn.run(loss, feed, guard=guard)  # type: ignore[arg-type]


def test_a_nan_that_is_fed_or_a_parameter_stops_at_once() -> None:
    step, x = log_step()
    dbg = opened(raised(lambda: step({x: [1.0, np.nan]})))
    assert dbg.position == 0
    assert '"x" (placeholder' in dbg.error
    assert str(dbg.why()).startswith("x[1] = nan, fed\n")
    assert dbg.trace().stopped == dbg.order.index(step.graph["x"])
    step.graph["w"].value = [np.nan, 1.0]
    dbg = opened(raised(lambda: step({x: [1.0, 1.0]})))
    assert '"w" (parameter' in dbg.error


def test_the_feed_may_be_overwritten_between_the_error_and_the_debugger() -> None:
    step, x = log_step()
    array = np.array([3.0, -1.0])
    error = raised(lambda: step({x: array}))
    array[:] = 7.0
    step.graph["w"].value = [9.0, 9.0]
    dbg = opened(error)
    assert dbg["x"].value.tolist() == [3.0, -1.0]
    assert dbg["w"].value.tolist() == [1.0, 2.0]
    assert np.isnan(dbg["inner/log"].value[1])


def test_from_the_error_on_what_if_mends_it_and_commit_makes_the_update() -> None:
    step, x = log_step()
    w = step.graph["w"]
    dbg = opened(raised(lambda: step({x: [3.0, -1.0]})))
    dbg["x"] = [3.0, 1.0]
    assert dbg.error == ""
    dbg.resume()
    dbg.commit()
    other, y = log_step()
    other({y: [3.0, 1.0]})
    assert bits(w.value) == bits(other.graph["w"].value)


def test_a_nan_at_step_n_of_a_training_run_is_found(tmp_path: Path) -> None:
    g = gn.Graph("diverging")
    x = g.placeholder("x", shape=("batch", 3))
    network = nn.Sequential(
        nn.Dense(8, rng=np.random.default_rng(0)), nn.Tanh(), nn.Dense(1, rng=np.random.default_rng(1))
    )
    loss = gn.mean(gn.log(network(x) + 3.0))  # NaN as soon as the sum falls below 0
    step = gn.compile(loss, updates=nn.SGD(0.5).updates(loss), guard="nan")
    feed = {x: np.random.default_rng(2).normal(size=(16, 3))}
    states = []

    def train() -> None:
        for _ in range(500):
            states.append({node.name: bits(value) for node, value in g.state.items()})
            step(feed)

    error = raised(train)
    assert isinstance(error, ValueRangeError)
    assert 1 < len(states) < 500
    assert {node.name: bits(value) for node, value in g.state.items()} == states[-1]
    dbg = opened(error)
    assert dbg.current is not None
    assert dbg.current.op.name == "log"
    (operand,) = dbg["log"].operands
    assert operand.min() < 0
    assert not np.isnan(operand).any()
    assert dbg.recheck("nan") == [g["log"]]
    error.save(tmp_path / "diverged.trace")
    again = gn.debug(gn.load(tmp_path / "diverged.trace"), echo=None)
    assert [node.name for node in again.recheck("nan")] == ["log"]
    assert (again.position, again.error) == (dbg.position, dbg.error)
    again.resume()
    dbg.resume()
    assert [bits(again[node.name].value) for node in dbg.order] == [bits(dbg[node].value) for node in dbg.order]


# --- an operation that fails ------------------------------------------------------------------------------------


@pytest.fixture
def fuse() -> Iterator[type[Op]]:
    class Fuse(Op):
        def infer(self, x: Spec) -> Spec:
            return x

        def forward(self, x: Any, out: Any = None) -> Any:
            if x.max() > 2:
                raise RuntimeError("blown")
            return x + 0.0

    yield Fuse
    registry.pop("fuse", None)


def fused(cls: type[Op]) -> tuple[gn.Node, gn.Node, gn.Node]:
    g = gn.Graph("fused")
    x = g.placeholder("x", shape=(2,))
    w = g.parameter("w", [1.0, 1.0])
    return gn.sum(cls()(x * w, name="fuse")) + 1.0, x, w


@pytest.mark.parametrize("way", ["run", "steps", "trace", "debug", "compiled", "guarded", "interpreter"])
def test_an_operation_that_fails_is_stood_before(way: str, fuse: type[Op], tmp_path: Path) -> None:
    y, x, w = fused(fuse)
    updates = {w: w * y}
    feed = {x: np.array([1.0, 3.0])}
    trains = way in ("trace", "debug", "compiled", "guarded", "interpreter")
    backend, guard = "interpreter" if way == "interpreter" else "numpy", "nan" if way == "guarded" else None
    step = gn.compile(y, updates, backend, guard)
    do: dict[str, Callable[[], Any]] = {
        "run": lambda: gn.run(y, feed),
        "steps": lambda: list(gn.steps(y, feed)),
        "trace": lambda: gn.trace(step, feed),
        "debug": lambda: gn.debug(step, feed, echo=None).resume(),
    }
    error = raised(do.get(way, lambda: step(feed)))
    assert isinstance(error, EvaluationError)
    assert isinstance(error, RuntimeError)
    assert 'while evaluating "fuse"' in str(error)
    feed[x][:] = 0.0
    w.value = [5.0, 5.0]
    for dbg in (opened(error), through_a_file(error, tmp_path / "error.trace")):
        assert dbg.next is not None
        assert dbg.next.name == "fuse"
        assert dbg.current is not None
        assert dbg.current.name == "multiply"
        assert dbg.error == str(error)
        assert [value.tolist() for value in dbg["fuse"].operands] == [[1.0, 3.0]]
        assert dbg["w"].value.tolist() == [1.0, 1.0]
        assert bool(dbg.updates) == trains
        with pytest.raises(UsageError, match='"fuse" has not run: while evaluating "fuse"'):
            _ = dbg["fuse"].value
        with pytest.raises(EvaluationError, match="blown"):
            dbg.step()
        dbg["x"] = [1.0, 1.5]
        dbg.resume()
        assert dbg.fetches[0].name == "add"
        assert dbg["add"].value == 3.5


def through_a_file(error: GraphnnError, path: Path) -> Debugger:
    error.save(path)
    return gn.debug(gn.load(path), echo=None)


def test_errors_of_graphnns_own_operations() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=(3,), dtype=np.int64)
    table = g.parameter("table", np.ones((2, 2)))
    cases: list[tuple[gn.Node, type[GraphnnError], Any]] = [
        (gn.one_hot(x, 3), LabelError, [0, 1, 3]),
        (gn.floor_divide(g.constant([1, 2, 3]), x), DivisionError, [1, 0, 1]),
        (gn.take(table, x, axis=0), AxisError, [0, 1, 2]),
    ]
    for node, kind, value in cases:
        error = raised(lambda node=node, value=value: gn.run(node, {x: value}))  # type: ignore[misc]
        assert isinstance(error, kind)
        dbg = opened(error)
        assert dbg.next is node
        assert dbg[node].operands[-1].tolist() == value


def test_a_debugger_can_be_opened_more_than_once_and_from_a_debugger(fuse: type[Op]) -> None:
    y, x, _ = fused(fuse)
    dbg = gn.debug(y, {x: [1.0, 1.0]}, echo=None)
    dbg.resume()
    error = raised(lambda: dbg.what_if("w", [9.0, 9.0]))
    first, second = opened(error), opened(error)
    assert first["w"].value.tolist() == second["w"].value.tolist() == [9.0, 9.0]
    assert first.next is second.next is dbg.next
    first["w"] = [1.0, 1.0]
    first.resume()
    assert second.position == 1


def test_an_error_under_an_attribute_of_a_what_if_keeps_it(fuse: type[Op], tmp_path: Path) -> None:
    g = gn.Graph("altered")
    x = g.placeholder("x", shape=(2,))
    y = fuse()(gn.clip(x, 0.0, 1.0) + 0.5, name="fuse")
    dbg = gn.debug(y, {x: [1.0, 7.0]}, echo=None)
    dbg.resume()
    error = raised(lambda: dbg.what_if("clip", hi=5.0))
    for again in (opened(error), through_a_file(error, tmp_path / "error.trace")):
        assert again["clip"].value.tolist() == [1.0, 5.0]
        assert [value.tolist() for value in again["fuse"].operands] == [[1.5, 5.5]]
        again["x"] = [1.0, 0.25]
        again.resume()
        assert again["fuse"].value.tolist() == [1.5, 0.75]
        again.goto(0)
        again["x"] = [1.0, 1.25]
        again.resume()
        assert again["clip"].value.tolist() == [1.0, 1.25]  # no longer cut at 1


def test_a_trace_of_what_led_to_an_error_says_where_it_ended(tmp_path: Path) -> None:
    step, x = log_step()
    error = raised(lambda: step({x: [3.0, -1.0]}))
    error.save(tmp_path / "error.trace")
    seen = gn.load(tmp_path / "error.trace")
    assert seen.error + LOOK == str(error)
    assert seen.order[seen.stopped].name == "inner/log"
    assert seen["inner/log"].stats.nans == 1
    assert [record.name for record in seen][-1] == "inner/log"
    assert "stopped at" in repr(seen)
    assert seen["inner/log"].source == "h = gn.log(x * 2.0)"


# --- errors that come from no run -------------------------------------------------------------------------------


def test_what_comes_from_no_run_says_so(tmp_path: Path) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("n", 2))
    y = gn.sum(x)
    cases: list[tuple[type[GraphnnError], Callable[[], Any]]] = [
        (ShapeError, lambda: x @ np.ones((3, 3))),
        (ShapeError, lambda: gn.run(y, {x: np.ones((2, 3))})),
        (NotFoundError, lambda: gn.run(y)),
        (NotFoundError, lambda: g["q"]),
        (UsageError, lambda: bool(y)),
    ]
    for kind, do in cases:
        error = raised(do)
        assert isinstance(error, kind)
        with pytest.raises(
            UsageError, match=f"this {kind.__name__} comes from no run: there is nothing to step through"
        ):
            error.debug()
        with pytest.raises(UsageError, match=f"this {kind.__name__} comes from no run: there is nothing to save"):
            error.save(tmp_path / "error.trace")
    assert list(tmp_path.iterdir()) == []


def test_what_fails_after_a_guard_has_refused_is_what_has_failed() -> None:
    g = gn.Graph()
    x, i = g.placeholder("x", ("n",)), g.placeholder("i", (), "int64")
    picked = gn.take(gn.log(x), i)
    error = raised(lambda: gn.compile(picked, guard="nan")({x: [-1.0, 1.0], i: 7}))
    dbg = error.debug()
    dbg.echo = None
    assert dbg.failed is None
    assert dbg.here() is g["log"]
    with pytest.raises(IndexError):
        dbg.resume()
    assert dbg.failed is picked
