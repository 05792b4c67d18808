"""The page that shows a training run while it goes on: what it holds, when it is written, and how it ends."""

import json
import re
import signal
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.core import Trait
from graphnn.nn import Run
from graphnn.pages.live import live_page as page_module
from graphnn.pages.live.live_page import PageWriter, run_in
from graphnn.pages.live.node_figures import Watched, rates_of
from graphnn.pages.live.training_curves import Losses, Rows

HOSTILE = '</script><script>alert(1)</script>"<b>\x1b[31m@@data@@'


class Clock:
    """A clock that the tests move: a second at each look, unless told otherwise."""

    def __init__(self, step: float = 1.0) -> None:
        self.now, self.step = 1000.0, step

    def perf_counter(self) -> float:
        self.now += self.step
        return self.now

    time = thread_time = perf_counter


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(page_module, "time", made)
    return made


def spiral(rate: Any = 0.1, name: str = "spiral") -> SimpleNamespace:
    g = gn.Graph(name)
    x, y = g.placeholder("x", ("batch", 2)), g.placeholder("y", ("batch",), np.int64)
    rng = np.random.default_rng(0)
    scores = nn.Sequential(nn.Dense(8, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng))(x)
    loss = nn.softmax_crossentropy(scores, y)
    step = gn.compile(loss, nn.SGD(rate).updates(loss))
    X, labels = gn.datasets.spiral(16, classes=3, seed=0)
    return SimpleNamespace(graph=g, step=step, feed={x: X, y: labels}, accuracy=nn.accuracy(scores, y))


def scalar(values: list[float]) -> SimpleNamespace:
    """A training run whose loss at each step is the next of some values, times what w says."""
    g = gn.Graph("scalar")
    x = g.placeholder("x", ("batch",))
    w = g.parameter("w", 1.0)
    loss = gn.sum(x * w)
    return SimpleNamespace(step=gn.compile(loss, updates={w: w * 1.0}), feed={x: values})


def held(path: Path) -> dict[str, Any]:
    """Return what a page holds, read as a browser does."""
    found: list[str] = []

    class Reader(HTMLParser):
        inside = False

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.inside = tag == "script" and ("id", "data") in attrs

        def handle_data(self, data: str) -> None:
            if self.inside:
                found.append(data)

        def handle_endtag(self, tag: str) -> None:
            self.inside = False

    Reader().feed(path.read_text(encoding="utf-8"))
    data: dict[str, Any] = json.loads("".join(found))
    return data


# --- what the page holds ------------------------------------------------------------------------------------------


def test_a_training_leaves_its_figures_on_the_page(tmp_path: Path, clock: Clock) -> None:
    p, path = spiral(), tmp_path / "run.html"
    clock.step = 0.2
    history = nn.fit(
        p.step, p.feed, epochs=3, batch_size=16, metrics={"accuracy": p.accuracy}, validation=p.feed, page=path
    )
    (run,) = held(path)["runs"]
    assert (run["name"], run["graph"], run["state"]) == ("run", "spiral", "finished")
    assert (run["epochs"], run["done"], run["step"], run["per_epoch"]) == (3, 3, 9, 3)
    assert run["history"]["step"] == [3, 6, 9]
    assert run["history"]["figures"].keys() == history.keys() == {"loss", "accuracy", "val_loss", "val_accuracy"}
    for name, values in history.items():
        np.testing.assert_allclose(run["history"]["figures"][name], values, rtol=1e-5)
    assert run["losses"]["step"] == [*range(1, 10)]
    np.testing.assert_allclose(np.mean(run["losses"]["mean"][-3:]), history["loss"][-1], rtol=1e-5)
    nodes = run["nodes"]
    assert nodes["step"][0] == 1
    assert list(nodes["weight"]) == ["dense_1/weight", "dense_1/bias", "dense_2/weight", "dense_2/bias"]
    assert nodes["weight"].keys() == nodes["gradient"].keys() == nodes["update"].keys()
    assert list(nodes["activation"]) == ["dense_1", "relu_1", "dense_2"]
    assert nodes["rate"] == {"sgd_1/learning_rate": [0.1] * len(nodes["step"])}


@pytest.mark.usefixtures("own_operations")
def test_activations_are_what_has_the_trait_whose_ever_they_are() -> None:
    class Gaussian(gn.Op):
        """exp(-x²)."""

        traits = Trait.ACTIVATES

        def infer(self, x: gn.Spec) -> gn.Spec:
            return x

        def forward(self, x: Any, out: Any = None) -> Any:
            return np.exp(-np.square(x))

        def vjp(self, i: int, cotangent: gn.Node, output: gn.Node, inputs: tuple[gn.Node, ...]) -> gn.Node:
            return cotangent * output * inputs[0] * -2.0

    x = gn.Graph().placeholder("x", shape=("n",))
    h = x * x.graph.parameter("w", 0.5)
    for activation in (gn.relu, gn.sin, gn.softplus, gn.gelu, gn.silu, gn.tanh, gn.exp, Gaussian()):
        h = activation(h)
    loss = gn.sum(gn.prelu(h, 0.1))
    figures, _ = Watched(gn.compile(loss, nn.SGD(0.1).updates(loss))).figures({x: [0.5, -1.0]})
    assert list(figures["activation"]) == ["relu", "softplus", "gelu", "silu", "tanh", "gaussian", "prelu"]


def test_training_with_a_page_is_the_same_to_the_bit(tmp_path: Path, clock: Clock) -> None:
    def trained(**more: Any) -> list[Any]:
        g = gn.Graph()
        x, y = g.placeholder("x", ("batch", 2)), g.placeholder("y", ("batch",), np.int64)
        rng = np.random.default_rng(0)
        network = nn.Sequential(nn.Dense(6, rng=rng), nn.ReLU(), nn.Dropout(0.5, seed=1), nn.Dense(3, rng=rng))
        loss = nn.softmax_crossentropy(network(x, training=True), y)
        step = gn.compile(loss, nn.Adam(0.01).updates(loss))
        X, labels = gn.datasets.spiral(8, classes=3, seed=0)
        nn.fit(step, {x: X, y: labels}, epochs=3, batch_size=8, **more)
        return [value.tolist() for value in g.state.values()]

    assert trained(page=tmp_path / "run.html") == trained()
    assert len(held(tmp_path / "run.html")["runs"][0]["nodes"]["step"]) == 2


def test_figures_of_nodes_are_what_numpy_says() -> None:
    p = spiral()
    found, findings = Watched(p.step).figures(p.feed)
    g = p.graph
    trace = gn.trace(p.step, p.feed)
    for node in g.parameters:
        weight = node.value.astype(np.float64)
        gradient = gn.run(gn.grad(p.step.fetches[0], node), p.feed).astype(np.float64)
        assert found["weight"][node.name] == pytest.approx(np.linalg.norm(weight))
        assert found["gradient"][node.name] == pytest.approx(np.linalg.norm(gradient))
        if np.any(weight):
            ratio = 0.1 * np.linalg.norm(gradient) / np.linalg.norm(weight)
            assert found["update"][node.name] == pytest.approx(ratio, rel=1e-3)
    value = trace["relu_1"].value
    assert found["activation"]["relu_1"] == pytest.approx(
        [*np.quantile(value, [0.05, 0.5, 0.95]), value.std(dtype=np.float64), np.mean(value == 0)]
    )
    assert not findings


@pytest.mark.parametrize("kind", ["number", "schedule", "node", "both"])
def test_the_learning_rate_is_found(kind: str) -> None:
    g = gn.Graph()
    w, rate = g.parameter("w", [1.0, 2.0]), g.parameter("mine", 0.5, trainable=False)
    given = {"number": 0.5, "schedule": nn.schedules.step_decay(0.5, 10), "node": rate, "both": lambda step: rate * 1.0}
    optimizer = nn.Adam(given[kind], clip_norm=1.0) if kind != "node" else nn.RMSProp(given[kind])
    step = gn.compile(gn.sum(w * w), optimizer.updates(gn.sum(w * w)))
    values = gn.trace(step, {})
    assert [float(values[node.name].value) for node in rates_of(values.order, step.updates)] == [0.5]
    name = {"number": "adam_1/learning_rate", "schedule": "adam_1/learning_rate", "node": "mine"}
    found, _ = Watched(step).figures({})
    assert found["rate"] == {name.get(kind, "adam_1/learning_rate"): 0.5}


def test_norms_survive_large_numbers_and_bad_ones() -> None:
    for value, norm in ([3e200, 4e200], 5e200), ([1.0, np.inf], None), ([0.0, 0.0], 0.0):
        g = gn.Graph()
        w = g.parameter("w", np.array(value))
        figures, _ = Watched(gn.compile(gn.sum(w), {w: w * 1.0})).figures({})
        found = figures["weight"]["w"]
        assert np.isnan(found) if norm is None else found == pytest.approx(norm)


def test_many_parameters_are_put_together_by_layer() -> None:
    g = gn.Graph()
    x = h = g.placeholder("x", ("batch", 2))
    for _ in range(30):
        h = nn.Dense(2, rng=np.random.default_rng(0))(h)
    loss = gn.mean(h * h)
    figures, _ = Watched(gn.compile(loss, nn.SGD(0.1).updates(loss))).figures({x: np.ones((2, 2))})
    assert list(figures["weight"]) == [f"dense_{i}" for i in range(1, 31)]
    first = [g[f"dense_1/{name}"].value.astype(np.float64).ravel() for name in ("weight", "bias")]
    assert figures["weight"]["dense_1"] == pytest.approx(np.linalg.norm(np.concatenate(first)))


def test_a_step_too_large_for_the_memory_has_no_figures_of_nodes(tmp_path: Path, clock: Clock) -> None:
    p, path = spiral(), tmp_path / "run.html"
    p.graph.memory_budget = 4000
    nn.fit(p.step, p.feed, batch_size=16, page=path)
    run = held(path)["runs"][0]
    assert run["state"] == "finished"
    assert run["note"].startswith("no figures of nodes: all values of a step together need ")
    assert run["losses"]["step"] == [1, 2, 3]


# --- faults -------------------------------------------------------------------------------------------------------


def test_the_first_fault_is_marked(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    clock.step = 0.0
    monkeypatch.setattr(page_module, "EVERY", 0.0)  # after each step
    monkeypatch.setattr(page_module, "_SECOND", 0.0)
    p, path = scalar([1.0] * 3 + [np.inf] * 3), tmp_path / "run.html"
    nn.fit(p.step, nn.Loader(p.feed, batch_size=1, shuffle=False), page=path)
    run = held(path)["runs"][0]
    assert run["bad"] == 4
    fault = run["faults"][0]
    assert (fault["severity"], fault["place"], fault["after"], fault["step"]) == ("error", "x[0]", 3, 4)
    assert len({each["code"] for each in run["faults"]}) == len(run["faults"])
    assert run["losses"]["mean"] == [1.0, 1.0, 1.0, None, None, None]


def test_it_says_when_a_training_fails(tmp_path: Path) -> None:
    p, path = scalar([1.0, 2.0, np.nan]), tmp_path / "run.html"
    step = gn.compile(p.step.fetches, p.step.updates, guard="nan")
    with pytest.raises(gn.GraphnnError, match="NaN"):
        nn.fit(step, nn.Loader(p.feed, batch_size=1, shuffle=False), page=path)
    run = held(path)["runs"][0]
    assert run["state"] == "failed"
    assert "NaN" in run["says"]
    assert (run["step"], run["done"]) == (2, 0)


def test_ctrl_c_leaves_a_page_that_says_stopped(tmp_path: Path) -> None:
    p, path = spiral(), tmp_path / "run.html"

    def interrupt(history: nn.History) -> None:
        if history.epochs == 2:
            signal.raise_signal(signal.SIGINT)

    history = nn.fit(p.step, p.feed, epochs=9, batch_size=16, callbacks=interrupt, page=path, progress=[].append)
    assert history.interrupted
    run = held(path)["runs"][0]
    assert (run["state"], run["done"], run["step"], run["epochs"]) == ("stopped", 2, 6, 9)
    assert run["losses"]["step"] == [*range(1, 7)]


# --- when it is written -------------------------------------------------------------------------------------------


def writer(path: Path, **more: Any) -> tuple[PageWriter, list[tuple[float, str]]]:
    p = spiral()
    run = Run(p.step, nn.History(), 10, 100, 0, p.feed, nn.LivePage(path, **more))
    made = PageWriter(run)
    seen: list[tuple[float, str]] = []
    write = made._write

    def written(state: str, says: str) -> None:
        seen.append((made.steps, state))
        write(state, says)

    made._write = written  # type: ignore[method-assign]
    return made, seen


def test_it_is_written_seldom(tmp_path: Path, clock: Clock) -> None:
    made, seen = writer(tmp_path / "run.html")
    clock.step = 0.0
    with made:
        for _ in range(1000):
            clock.now += 1 / 64
            made.step(1, 0.5)
    # At the beginning, at the first step, after a second, and then every two seconds; and at the end.
    assert [step for step, _ in seen] == [0, 1, 65, *range(193, 1000, 128), 1000]
    assert [state for _, state in seen] == ["training"] * (len(seen) - 1) + ["finished"]


def test_what_takes_long_is_done_seldom(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    made, seen = writer(tmp_path / "run.html")
    clock.step = 0.0
    figures = made.watched.figures

    def slow(feed: Any) -> Any:
        clock.now += 0.5
        return figures(feed)

    monkeypatch.setattr(made.watched, "figures", slow)
    with made:
        begun = clock.now
        for _ in range(20_000):
            clock.now += 0.01
            made.step(1, 0.5)
        assert len(made.nodes.rows) >= 4
        assert (len(made.nodes.rows) - 2) * 0.5 < 0.012 * (clock.now - begun)
    steps = [step for step, _ in seen]
    assert len(steps) > 90, "the loss is shown all the same"
    assert len({*steps}) == len(steps)
    assert held(made.page.path)["runs"][0]["losses"]["step"][-1] == 20_000


def test_a_page_that_cannot_be_written_ends_no_training(tmp_path: Path, clock: Clock) -> None:
    p, folder = spiral(), tmp_path / "pages"
    folder.mkdir()

    def remove(history: nn.History) -> None:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()

    with pytest.warns(gn.GraphnnWarning, match="the page of the training could not be written"):
        history = nn.fit(p.step, p.feed, epochs=2, callbacks=lambda h: h.epochs == 1 and remove(h), page=folder / "a")
    assert history.epochs == 2


def test_what_is_no_page_is_refused_before_training(tmp_path: Path) -> None:
    p = spiral()
    with pytest.raises(FileNotFoundError):
        nn.fit(p.step, p.feed, page=tmp_path / "nowhere" / "run.html")
    with pytest.raises(gn.UsageError, match=r"a path is text or a pathlib\.Path, not int"):
        nn.fit(p.step, p.feed, page=3)
    with pytest.raises(gn.UsageError, match="the name of a training run is text"):
        nn.LivePage("run.html", name=3)  # type: ignore[arg-type]
    with pytest.raises(gn.UsageError, match="beside= holds the page itself"):
        nn.LivePage("run.html", beside=["run.html"])
    assert p.graph["sgd_1/learning_rate"].value == 0.1


# --- beside each other --------------------------------------------------------------------------------------------


def test_trainings_beside_each_other(tmp_path: Path) -> None:
    one, two = tmp_path / "one.html", tmp_path / "two.html"
    p = spiral()
    nn.fit(p.step, p.feed, epochs=2, page=one)
    p = spiral(0.5)
    nn.fit(p.step, p.feed, epochs=1, page=nn.LivePage(two, name="fast", beside=one))
    runs = held(two)["runs"]
    assert [(run["name"], run["done"]) for run in runs] == [("fast", 1), ("one", 2)]
    assert runs[1] == held(one)["runs"][0]
    assert run_in(two) == runs[0]


def test_a_page_beside_is_read_again_when_it_has_changed(tmp_path: Path, clock: Clock) -> None:
    one = tmp_path / "one.html"
    made, _ = writer(tmp_path / "two.html", beside=[one])
    clock.step = 0.0
    with pytest.warns(gn.GraphnnWarning, match="nothing is shown beside the training: .*one.html"):
        made.__enter__()
    other, _ = writer(one)
    with other:
        for _ in range(2):
            clock.now += 5.0
            made.step(1, 0.5)
            assert held(made.page.path)["runs"][1]["state"] == "training"
    made.__exit__(None, None, None)
    assert held(made.page.path)["runs"][1]["state"] == "finished"


def broken(change: Callable[[dict[str, Any]], Any]) -> Callable[[str], str]:
    def of(text: str) -> str:
        data = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
        assert data is not None
        held = json.loads(data[1])
        change(held["runs"][0])
        return text.replace(data[1], json.dumps(held))

    return of


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda text: "",
        lambda text: text[: text.index('id="data"') + 400],
        lambda text: text.replace('{"runs":[', "[" * 100_000, 1),
        broken(lambda run: run.pop("losses")),
        broken(lambda run: run["losses"]["mean"].append(1.0)),
        broken(lambda run: run["losses"].update(mean="<b>")),
        broken(lambda run: run["history"]["figures"].update(loss=["x"])),
        broken(lambda run: run["nodes"]["activation"].update(relu_1=[[1, 2]])),
        broken(lambda run: run.update(state="<b>")),
        broken(lambda run: run.update(name=3)),
        broken(lambda run: run.update(epochs=float("nan"))),
        broken(lambda run: run.update(step=True)),
        broken(lambda run: run.update(faults=[{"step": 1}])),
        broken(lambda run: run.update(faults="x")),
    ],
)
def test_what_is_no_page_of_a_training_is_not_shown(spoilt: Callable[[str], str], tmp_path: Path) -> None:
    p, one, two = spiral(), tmp_path / "one.html", tmp_path / "two.html"
    nn.fit(p.step, p.feed, page=one)
    one.write_text(spoilt(one.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(gn.FileFormatError, match="is not the page of a training run"):
        run_in(one)
    p = spiral()
    with pytest.warns(gn.GraphnnWarning, match="nothing is shown beside the training"):
        nn.fit(p.step, p.feed, page=nn.LivePage(two, beside=one))
    assert len(held(two)["runs"]) == 1


# --- safety -------------------------------------------------------------------------------------------------------


def test_hostile_names_do_nothing(tmp_path: Path, clock: Clock) -> None:
    g = gn.Graph(HOSTILE)
    x = g.placeholder("x", ("batch",))
    w = g.parameter(HOSTILE.replace("/", "|"), np.inf)
    loss = gn.sum(x * w)
    step = gn.compile(loss, {w: w * 1.0})
    page = nn.LivePage(tmp_path / "run.html", name=HOSTILE)
    nn.fit(step, {x: [1.0, 2.0]}, batch_size=1, metrics={HOSTILE: loss * 0.0}, page=page)
    text = page.path.read_text(encoding="utf-8")
    assert text.count("<script") == 2
    assert "alert(1)</script>" not in text
    assert "\x1b" not in text
    run = held(page.path)["runs"][0]
    shown = HOSTILE.replace("\x1b", "\\x1b")
    assert run["name"] == run["graph"] == shown
    assert shown in run["history"]["figures"]
    assert run["faults"]


# --- many steps ---------------------------------------------------------------------------------------------------


def test_of_many_steps_neighbours_are_put_together() -> None:
    losses, rng = Losses(), np.random.default_rng(0)
    values: list[float] = []
    while len(values) < 70_000:
        more = rng.normal(size=int(rng.integers(1, 900))).tolist()
        values += more
        losses.pending += more
        losses.gather(len(values), len(values) / 100)
    plain = losses.plain()
    steps = plain["step"]
    assert 1000 <= len(steps) <= 2001
    assert steps[-1] == len(values)
    assert np.all(np.diff(steps) > 0)
    before = 0
    for i in (0, 1, 500, len(steps) - 2, len(steps) - 1):
        before = int(steps[i - 1]) if i else 0
        part = values[before : int(steps[i])]
        assert plain["mean"][i] == pytest.approx(np.mean(part), rel=1e-4, abs=1e-6)
        assert plain["low"][i] == pytest.approx(min(part), rel=1e-5)
        assert plain["high"][i] == pytest.approx(max(part), rel=1e-5)
        assert plain["time"][i] == pytest.approx(steps[i] / 100, rel=1e-2)


def test_rows_are_thinned_evenly() -> None:
    rows = Rows()
    for step in range(5000):
        rows.append({"step": step, "rate": {"a": float(step)}})
    steps = [row["step"] for row in rows.rows]
    assert 300 <= len(steps) <= 601
    assert steps[0] == 0
    assert steps[-1] == 4999
    assert set(np.diff(steps[:-1])) == {16}


def test_epochs_of_unknown_and_uneven_length_are_on_the_page(tmp_path: Path) -> None:
    p, path = spiral(), tmp_path / "run.html"
    sizes = iter([2, 4])
    seen: list[Any] = []

    def batches() -> Any:
        for _ in range(next(sizes)):
            yield p.feed

    def look(history: nn.History) -> None:
        seen.append(path.exists())

    nn.fit(p.step, batches, epochs=2, page=path, callbacks=look)
    (run,) = held(path)["runs"]
    assert (run["per_epoch"], run["step"], run["history"]["step"]) == (4, 6, [2, 6])
    assert seen == [True, True]
    made, _ = writer(tmp_path / "first.html")
    made.run.per_epoch = None
    assert made.plain("training", "")["per_epoch"] == 0
