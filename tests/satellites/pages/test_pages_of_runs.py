"""Pages of runs that tests of other rooms look at: stopped, compared, read from files, with columns that are short."""

import json
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from template import Template
from test_debugger import small
from test_diagram import within_scopes
from test_import import BEGIN
from test_time_travel import bits

import graphnn as gn
from graphnn import Op, Spec, Trace, nn
from graphnn.core import registry
from graphnn.debugger.diff import compare
from graphnn.debugger.health import check_health
from graphnn.errors import EvaluationError, NoRuleError, UsageError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.trace"


OWN = """
import sys, numpy as np, graphnn as gn
from graphnn.core import Op

class Wobble(Op):
    by: float = 2.0
    def infer(self, x):
        return x
    def forward(self, x, out=None):
        return np.sin(x * self.by)

g = gn.Graph("own")
x = g.placeholder("x", shape=(2,))
y = gn.wobble(gn.exp(x), by=3.0) + 1.0
gn.trace(y, {x: [0.0, 1.0]}).save(sys.argv[1])
"""


def through_a_file(seen: Trace, path: Path) -> Trace:
    seen.save(path)
    first = path.read_bytes()
    back = gn.load(path)
    assert isinstance(back, Trace)
    back.save(path)
    assert path.read_bytes() == first
    return back


def assert_same(seen: Trace, back: Trace) -> None:
    assert [record.name for record in back] == [record.name for record in seen]
    for a, b in zip(seen, back, strict=True):
        assert a.kept == b.kept
        if a.kept:
            assert bits(a.value) == bits(b.value)
            assert not b.value.flags.writeable
        assert bits(a.preview) == bits(b.preview)
        assert a.digest == b.digest
        assert str(a.stats) == str(b.stats)
        assert (a.time, a.shape, a.dtype, a.bytes, a.source) == (b.time, b.shape, b.dtype, b.bytes, b.source)
        assert a.origin == b.origin
    assert (back.stopped, back.error, back.sources) == (seen.stopped, seen.error, seen.sources)
    assert [(a.name, b.name) for a, b in back.updates.items()] == [(a.name, b.name) for a, b in seen.updates.items()]
    assert [node.name for node in back.fetches] == [node.name for node in seen.fetches]


def test_an_operation_that_is_not_defined_here_can_be_looked_at(path: Path, runs_clean: Callable[..., None]) -> None:
    program = path.with_suffix(".py")
    program.write_text(OWN)
    runs_clean(program, path)
    back = gn.load(path)
    assert "wobble" not in registry
    expected = np.sin(np.exp([0.0, 1.0]) * 3.0)
    assert bits(back["wobble"].value) == bits(expected)
    assert back["wobble"].op.attributes == {"by": 3.0}
    assert back["wobble"].source == "y = gn.wobble(gn.exp(x), by=3.0) + 1.0"
    assert_same(back, through_a_file(back, path))
    dbg = gn.debug(back, echo=None)
    assert [dbg.step().node.op.name for _ in dbg.operations] == ["exp", "wobble", "add"]  # type: ignore[union-attr]
    dbg.goto(0)
    dbg.resume()
    with pytest.raises(NoRuleError, match='the operation "wobble" is not defined here: import the module that defines'):
        dbg["x"] = [5.0, 6.0]
    assert (dbg.position, dbg.next.name) == (1, "wobble")  # type: ignore[union-attr]
    assert dbg.error
    assert dbg.state("add") == "stale"
    dbg["wobble"] = [1.0, 2.0]  # what if it gave this
    dbg.resume()
    assert dbg["add"].value.tolist() == [2.0, 3.0]
    dbg.use("run")
    dbg.resume()
    assert bits(dbg["wobble"].value) == bits(expected)
    with pytest.raises(NoRuleError):
        gn.trace(back)
    with pytest.raises(UsageError, match='"wobble" is a wobble, which is not defined here: give it a value'):
        dbg.what_if("wobble", by=3.0)
    with pytest.raises(NoRuleError, match='"wobble" has no derivative: its operation "wobble" is not defined here'):
        gn.grad(gn.sum(back.graph["add"]), "x")
    assert "by=3.0" in gn.draw(back.graph["add"]).source
    assert back.to_html().data["nodes"]["op"].count("wobble") == 1


def test_a_film_without_errors_is_reported_at_its_first_warning() -> None:
    g = gn.Graph()
    w = g.parameter("w", 600.0)
    step = gn.compile(gn.exp(w), updates={w: w + 20.0})
    with gn.recording(step) as film:
        for _ in range(5):
            step()
    health = check_health(film)  # exp(640) = 1e278 is the first beyond 1e277
    assert (health.call, [each.code for each in health]) == (2, ["near-overflow"])
    with gn.recording(step) as longer:
        for _ in range(5):
            step()
    health = check_health(longer)  # of exp(700) … exp(780), the second call's is the first beyond 1.8e308
    assert (health.call, [each.code for each in health]) == (1, ["overflow"])
    assert health.before is not None
    assert health.before.call == 0
    assert "\n\nearlier, at call 0: near-overflow\n\nchecked: values" in str(health)
    assert longer.to_html().data["opening"]["run"] == 1
    w.value = 0.0
    with gn.recording(step) as sound:
        for _ in range(5):
            step()
    health = check_health(sound)
    assert (health.ok, health.call) == (True, None)
    assert str(health).startswith('"graph", 5 recorded calls: nothing found in 4 nodes')
    with gn.recording(step, every=3) as short:
        pass
    for wrong, message in ((lambda: check_health(short), "holds no trace"), (lambda: check_health(film, {}), "feed")):
        with pytest.raises(gn.UsageError, match=message):
            wrong()


def test_of_a_step_that_fails_what_had_run_is_recorded_and_nothing_is_left_attached() -> None:
    class Fuse(Op):
        def infer(self, x: Spec) -> Spec:
            return x

        def forward(self, x: Any, out: Any = None) -> Any:
            if x > 2:
                raise RuntimeError("blown")
            return x

    try:
        g = gn.Graph()
        x = g.placeholder("x")
        step = gn.compile(Fuse()(x) * 2.0)
        with gn.recording(step) as film:
            step({x: 1.0})
            with pytest.raises(EvaluationError, match="blown"):
                step({x: 3.0})
            step({x: 2.0})
        assert film.calls == [0, 1, 2]
        assert [float(seen["x"].value) for seen in film] == [1.0, 3.0, 2.0]
        assert [seen.stopped for seen in film] == [None, 1, None]
        assert "blown" in film[1].error
        assert [record.name for record in film[1]] == ["x"]
        health = gn.check_health(film)
        assert (health.call, health.first and health.first.code) == (1, "raised")
        assert film.to_html().data["opening"]["run"] == 1
        assert step.observers == []
        with pytest.raises(KeyboardInterrupt), gn.recording(step):
            raise KeyboardInterrupt
        assert step.observers == []
    finally:
        registry.pop("fuse", None)


def test_values_that_were_not_kept_are_compared_like_those_that_were() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("n", 3))
    y = gn.sum(x * 2.0, axis=0)
    for keep in (0, 2**24):
        a, b = (gn.trace(y, {x: np.ones((n, 3))}, keep=keep) for n in (4, 5))
        assert "shape (4, 3) against (5, 3)" in str(compare(a, b))
        assert a.to_html(beside=b)
        nans = [gn.trace(y, {x: np.array([[nan, 1.0, 2.0]])}, keep=keep) for nan in (np.nan, -np.nan)]
        assert compare(*nans).equal
        dbg = gn.debug(y, {x: np.ones((1, 3))}, echo=None)
        dbg.step()
        assert compare(dbg.trace(keep=keep), {"multiply": np.full((1, 3), 2.0, np.float32)}).equal


class Falling:
    """w goes halfway to the mean of each batch."""

    def __init__(self) -> None:
        g = gn.Graph("falling")
        self.x, self.w = g.placeholder("x", ("batch",)), g.parameter("w", 0.0)
        self.loss = gn.mean(gn.square(self.x - self.w)) / 2.0
        self.step = gn.compile(self.loss, nn.SGD(0.5).updates(self.loss))
        self.metrics = {"far": gn.mean(abs(self.x - self.w))}

    def fit(self, epochs: int, data: Any = None, **more: Any) -> nn.History:
        data = {self.x: [4.0, 2.0]} if data is None else data
        return nn.fit(self.step, data, epochs=epochs, metrics=self.metrics, **more)


def noted(history: nn.History) -> None:
    history.setdefault("rate", []).append(np.float64(0.5) / history.epochs)
    if history.epochs > 1:
        history.setdefault("counts", []).append(np.arange(history.epochs))


def test_a_page_leaves_out_a_column_that_is_too_short(tmp_path: Path) -> None:
    def late(history: nn.History) -> None:
        if history.epochs > 1:
            history.setdefault("late", []).append(1.0)

    Falling().fit(3, callbacks=[noted, late], page=tmp_path / "run.html")
    page = nn.LivePage(tmp_path / "other.html", beside=tmp_path / "run.html")
    Falling().fit(2, page=page)  # it reads the other, and checks it
    text = (tmp_path / "other.html").read_text(encoding="utf-8")
    assert re.search(r'"rate": ?\[0.5, ?0.25, ?0.166667\]', text)
    assert '"late"' not in text


def test_a_page_goes_to_a_file_that_can_be() -> None:
    with pytest.raises(gn.GraphnnError, match="no file can be called"):
        small().trace().to_html("a\0.html")


def test_a_page_of_250_scopes_within_each_other_costs_little_memory() -> None:
    x, y = within_scopes(250)

    def shown() -> str:
        return str(gn.trace(y, {x: [1, 2]}).to_html())

    shown()
    tracemalloc.start()
    try:
        shown()
        assert tracemalloc.get_traced_memory()[1] < 15e6
    finally:
        tracemalloc.stop()


def test_a_page_is_made_though_nothing_was_loaded_for_it(template: Template, tmp_path: Path) -> None:
    shown = f"{BEGIN}\nprint(json.dumps(gn.trace(y, feed).to_html().data['nodes']['op']))"
    done = template.run("-c", shown, tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "multiply" in json.loads(done.stdout)
