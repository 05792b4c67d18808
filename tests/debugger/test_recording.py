"""Recording a training run: each trace holds what its call computed, whatever happens afterwards."""

import importlib.util
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_time_travel import bits, spiral_step

import graphnn as gn
from graphnn import Op, Spec, nn
from graphnn.compiler import compile
from graphnn.core import registry
from graphnn.debugger.traces import Condensed
from graphnn.errors import EvaluationError, UsageError, ValueRangeError

Array = np.ndarray[Any, np.dtype[Any]]


def halving() -> tuple[gn.Compiled, gn.Node]:
    g = gn.Graph()
    w = g.parameter("w", 64.0)
    return gn.compile(w, updates={w: w * 0.5}), w


def weights(film: gn.Recording) -> list[float]:
    return [float(seen["w"].value) for seen in film]


def test_it_records_each_call_or_every_so_many() -> None:
    for every, expected in ((1, [0, 1, 2, 3, 4, 5]), (2, [0, 2, 4]), (4, [0, 4]), (100, [0]), (np.int64(3), [0, 3])):
        step, _ = halving()
        with gn.recording(step, every=every) as film:  # type: ignore[arg-type]
            assert list(film) == []
            for _ in range(6):
                step()
        assert film.calls == expected
        assert weights(film) == [64.0 / 2**call for call in expected]
        assert film[-1].updates == step.updates
        assert len(film[:2]) == min(2, len(expected))
        traces = "1 trace" if len(expected) == 1 else f"{len(expected)} traces"
        assert repr(film) == f"<Recording of {step!r}: {traces} of 6 calls>"


def test_only_the_calls_that_are_recorded_go_node_by_node(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated = []
    collect = compile.collect
    monkeypatch.setattr(compile, "collect", lambda prepared, *rest: evaluated.append(1) or collect(prepared, *rest))
    step, _ = halving()
    with gn.recording(step, every=3) as film:
        counts = []
        for _ in range(7):
            step()
            counts.append(len(evaluated))
    assert counts == [1, 1, 1, 2, 2, 2, 3]
    step()
    assert len(evaluated) == len(film) == 3


def test_it_starts_and_ends_in_the_middle_of_training() -> None:
    step, w = halving()
    step()
    assert step.observers == []
    with gn.recording(step) as film:
        step()
        assert len(film) == 1
        assert len(step.observers) == 1
    step()
    assert step.observers == []
    assert weights(film) == [32.0]
    assert w.value == 8.0


def test_a_recorded_training_is_the_same_to_the_bit_as_one_that_is_not() -> None:
    results = []
    for recorded in (False, True):
        step, feed = spiral_step(nn.Adam(0.05))
        losses = []
        if recorded:
            with gn.recording(step, every=3, keep=100):
                losses = [step(feed) for _ in range(10)]
        else:
            losses = [step(feed) for _ in range(10)]
        results.append([bits(value) for value in [*losses, *step.graph.state.values()]])
    assert results[0] == results[1]


def test_values_stay_though_parameters_move_on_and_the_feed_is_overwritten() -> None:
    step, feed = spiral_step(nn.SGD(0.5))
    expected = []
    with gn.recording(step) as film:
        for number in range(4):
            expected.append([bits(record.value) for record in gn.trace(step, feed)])
            loss = step(feed)
            loss[...] = 77.0  # the caller's own
            for array in feed.values():
                array[...] = number % 2
    assert [[bits(record.value) for record in seen] for seen in film] == expected
    for seen in film:
        assert all(not record.value.flags.writeable for record in seen)
        dbg = gn.debug(seen, echo=None)
        dbg.resume()
        assert [bits(dbg[node].value) for node in seen.order] == [bits(record.value) for record in seen]


def test_a_part_of_a_film_is_a_film() -> None:
    step, _ = halving()
    with gn.recording(step, every=2) as film:
        for _ in range(7):
            step()
    part = film[1:3]
    assert isinstance(part, gn.Recording)
    assert (len(part), part.calls, weights(part)) == (2, [2, 4], weights(film)[1:3])
    assert gn.check_health(part).ok
    for index, words in (
        (99, "there is no trace 99"),
        (-5, "there is no trace -5"),
        (1.5, "the index of a film is an int, not"),
    ):
        with pytest.raises(gn.GraphnnError, match=words):
            film[index]


def test_recordings_within_each_other() -> None:
    step, _ = halving()
    with gn.recording(step, every=2) as outer:
        step()
        with gn.recording(step) as inner, gn.recording(step, every=2) as other:
            assert len(step.observers) == 3
            step()
            step()
        assert len(step.observers) == 1
        step()
    assert step.observers == []
    assert (outer.calls, inner.calls, other.calls) == ([0, 2], [0, 1], [0])
    assert (weights(outer), weights(inner), weights(other)) == ([64.0, 16.0], [32.0, 16.0], [32.0])


def test_the_outer_one_may_end_first() -> None:
    step, _ = halving()
    outer, inner = gn.recording(step), gn.recording(step)
    first = outer.__enter__()
    second = inner.__enter__()
    outer.__exit__(None, None, None)
    step()
    inner.__exit__(None, None, None)
    assert step.observers == []
    assert (len(first), len(second)) == (0, 1)


def test_two_steps_are_recorded_each_by_itself() -> None:
    step, w = halving()
    look = gn.compile(w * 3.0)
    with gn.recording(step) as film, gn.recording(look) as looks:
        step()
        look()
    assert (len(film), len(looks)) == (1, 1)
    assert looks[0]["multiply_2"].value == 96.0


def test_the_call_that_a_guard_refuses_is_recorded_up_to_there() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    w = g.parameter("w", 1.0)
    step = gn.compile(gn.log(x), updates={w: w + gn.log(x)}, guard="nan")
    with gn.recording(step) as film:
        step({x: 1.0})
        with pytest.raises(ValueRangeError):
            step({x: -1.0})
        with pytest.raises(ValueRangeError) as refused, gn.recording(step, keep=0) as inner:
            step({x: -2.0})
    assert film.calls == [0, 1, 2]
    assert (inner.calls, inner[0].stopped) == ([0], film[2].stopped)
    assert isinstance(inner[0]["log"]._kept, Condensed)
    stopped = film[1]
    assert (stopped.order[stopped.stopped].name, len(stopped)) == ("log", stopped.stopped + 1)
    assert np.isnan(stopped["log"].value)
    assert stopped.updates == refused.value.debug().updates == step.updates
    health = gn.check_health(film)
    assert (health.call, [each.code for each in health]) == (1, ["log-of-negative"])
    assert w.value == 1.0


def test_large_values_are_condensed_in_every_trace() -> None:
    step, feed = spiral_step(nn.SGD(0.5), units=20)
    with gn.recording(step, keep=1000) as film:
        step(feed)
        step(feed)
    for seen in film:
        condensed = [record for record in seen if not record.kept]
        assert condensed
        assert all(record.bytes > 1000 and record.node.inputs for record in condensed)
    digests = [[record.digest for record in seen.select("dense_1/matmul")] for seen in film]
    assert digests[0] != digests[1]


def test_fit_is_recorded() -> None:
    step, feed = spiral_step(nn.Adam(0.02))
    with gn.recording(step, every=5) as film:
        nn.fit(step, feed, epochs=3, batch_size=16, rng=np.random.default_rng(0), progress=False)
    assert film.calls == [0, 5, 10]
    assert [seen["x"].shape for seen in film] == [(16, 2), (16, 2), (16, 2)]


MODEL = """import numpy as np
import graphnn as gn

def build():
    g = gn.Graph("edited")
    w = g.parameter("w", 2.0)
    return gn.compile(w, updates={w: w * 0.5})
"""


def test_sources_stay_though_the_file_is_edited_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "edited_model.py"
    file.write_text(MODEL)
    spec = importlib.util.spec_from_file_location("edited_model", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "edited_model", module)
    spec.loader.exec_module(module)
    step = module.build()
    with gn.recording(step) as film:
        step()
        step()
    file.write_text("# nothing\n" * 50)
    for seen in film:
        assert seen["w"].source == 'w = g.parameter("w", 2.0)'
        assert seen["multiply"].source == "return gn.compile(w, updates={w: w * 0.5})"
    film[1].save(tmp_path / "run.trace")
    assert gn.load(tmp_path / "run.trace")["w"].source == 'w = g.parameter("w", 2.0)'


def test_what_cannot_be_recorded_is_refused() -> None:
    step, w = halving()
    for thing in (w, [w], None, gn.trace(w), step.graph):
        with pytest.raises(UsageError, match=r"recording takes a compiled step \(gn.compile\(…\)\), not "):
            gn.recording(thing).__enter__()  # type: ignore[arg-type]
    for every in (0, -1, 1.5, True, None, "2"):
        with pytest.raises((ValueRangeError, UsageError), match="every= is an int of 1 or more, not"):
            gn.recording(step, every=every).__enter__()  # type: ignore[arg-type]
    for keep in (-1, None, 0.5):
        with pytest.raises((ValueRangeError, UsageError), match="keep= is an int of 0 or more, not"):
            gn.recording(step, keep=keep).__enter__()  # type: ignore[arg-type]
    assert step.observers == []


def test_a_step_called_by_several_threads_is_recorded_once_a_call() -> None:
    step, _ = halving()
    with gn.recording(step) as film:
        threads = [threading.Thread(target=lambda: [step() for _ in range(10)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(film.calls) == list(range(40))
    assert weights(film) == [64.0 / 2**call for call in film.calls]


def test_what_a_guard_or_an_operation_stops_is_evaluated_once() -> None:
    class Counting(Op):
        def infer(self, x: Spec) -> Spec:
            return x

        def forward(self, x: Any, out: Any = None) -> Any:
            seen.append(float(x))
            if len(seen) == 3:
                raise RuntimeError("worn out")
            return x

    seen: list[float] = []
    try:
        g = gn.Graph()
        x = g.placeholder("x")
        step = gn.compile(gn.log(Counting()(x)), guard="nan")
        with gn.recording(step) as film, gn.recording(step) as inner:
            step({x: 1.0})
            with pytest.raises(ValueRangeError):
                step({x: -1.0})
            with pytest.raises(EvaluationError, match="worn out"):
                step({x: 2.0})
        assert seen == [1.0, -1.0, 2.0]
        assert [trace.stopped for trace in film] == [trace.stopped for trace in inner] == [None, 2, 1]
    finally:
        registry.pop("counting", None)


def test_a_film_says_what_stopped_a_call_without_the_advice_that_is_for_where_it_was_raised() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("n",))
    step = gn.compile(gn.mean(gn.log(x)), guard="nan")
    with gn.recording(step) as film, pytest.raises(gn.ValueRangeError) as caught:
        step({x: [-1.0]})
    assert "error.debug()" in str(caught.value)
    assert film[0].error == caught.value.debug().error
    assert "error.debug()" not in film[0].error


def test_a_film_is_cut_by_whole_numbers() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    step = gn.compile(x * 2.0)
    with gn.recording(step) as film:
        step({x: 1.0})
    with pytest.raises(gn.UsageError, match="takes integers"):
        film["a":]  # type: ignore[misc]
    with pytest.raises(gn.ValueRangeError, match="the step of a slice of a film cannot be 0"):
        film[::0]
