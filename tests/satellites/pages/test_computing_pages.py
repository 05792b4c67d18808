"""What a page that computes is given, and what is said where it cannot."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_samples import of_an_operation_of_its_own

import graphnn as gn
from graphnn import nn
from graphnn.core import Op, registry
from graphnn.pages.replay.element_reads import decided_by
from graphnn.testing import Draw


def step_of() -> tuple[gn.Graph, gn.Compiled, dict[Any, Any]]:
    g = gn.Graph("two")
    x = g.placeholder("x", shape=("batch", 2))
    y = g.placeholder("y", shape=("batch",), dtype=np.int64)
    network = nn.Sequential(
        nn.Dense(4, rng=np.random.default_rng(0)), nn.ReLU(), nn.Dense(2, rng=np.random.default_rng(1)), nn.Softmax()
    )
    g.outputs["loss"] = loss = nn.categorical_crossentropy(network(x), y)
    feed = {x: np.random.default_rng(0).normal(size=(6, 2)), y: [0, 1, 0, 1, 0, 1]}
    return g, gn.compile(loss, updates=nn.SGD(0.1).updates(loss)), feed


def test_a_page_has_the_whole_state_and_feed_and_which_is_updated() -> None:
    g, step, feed = step_of()
    trace = gn.trace(step, feed)
    live = trace.to_html().data["live"]
    names = live["nodes"]["name"]
    given = {names[i] for i, _ in live["given"]}
    assert given >= {"x", "y", *[node.name for node in g.parameters]}
    assert [names[to] for to, _ in live["updates"]] == [node.name for node in step.updates]
    assert live["sizes"] == {"batch": 6}
    assert [names[i] for i in live["fetches"]] == [trace.fetches[0].name]
    assert [names[i] for i in live["rates"]] == ["sgd_1/learning_rate"]


def test_a_page_knows_names_as_python_does() -> None:
    g = gn.Graph("named")
    x = g.placeholder("x", ("batch", 2))
    z = gn.name(nn.Dense(3)(x), "z")
    g.outputs["__proto__"] = total = gn.sum(z)
    live = gn.trace(total, {x: [[1.0, 2.0]]}).to_html().data["live"]
    names = ["dense_1", "z", "__proto__"]
    assert [live["nodes"]["name"][live["called"][name]] for name in names] == [g[name].name for name in names]


def test_live_false_leaves_the_engine_out() -> None:
    _, step, feed = step_of()
    trace = gn.trace(step, feed)
    with_it, without = trace.to_html(), trace.to_html(live=False)
    assert "makeEngine, readAttribute } = (" in with_it.html
    assert "makeEngine, readAttribute } = (" not in without.html
    assert without.data["live"] == {"why": ""}


def test_live_true_names_what_is_missing() -> None:
    trace = of_an_operation_of_its_own()
    assert trace.to_html().data["live"]["missing"] == ["halved"]
    with pytest.raises(gn.UsageError, match="halved"):
        trace.to_html(live=True)


def test_a_run_that_stopped_or_is_too_large_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    _, step, feed = step_of()
    monkeypatch.setattr("graphnn.pages.replay.live_graph.MOST_BYTES", 100)
    with pytest.raises(gn.UsageError, match="state and feed take"):
        gn.trace(step, feed).to_html(live=True)


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        ({"tour": "text"}, gn.UsageError, "list of"),
        ({"tour": [("x",)]}, gn.UsageError, "is \\(node, text\\)"),
        ({"tour": [("x", 3)]}, gn.UsageError, "is \\(node, text\\)"),
        ({"tour": [("nobody", "text")]}, gn.NotFoundError, "has not run"),
        ({"tour": [("x", "a" * 5000)]}, gn.UsageError, "at most 4,000"),
        ({"hide": "x"}, gn.UsageError, "list of nodes"),
        ({"hide": [3]}, gn.UsageError, "a node or its name"),
        ({"hide": ["nobody"]}, gn.NotFoundError, "has not run"),
    ],
)
def test_a_tour_and_an_exercise_are_checked(asked: Any, error: type[Exception], says: str) -> None:
    _, step, feed = step_of()
    with pytest.raises(error, match=says):
        gn.trace(step, feed).to_html(**asked)


def test_live_tour_and_hide_are_of_one_run() -> None:
    _, step, feed = step_of()
    trace = gn.trace(step, feed)
    with pytest.raises(gn.UsageError, match="for one run"):
        trace.to_html(beside=trace, hide=["x"])


def test_a_playground_has_all_rows(tmp_path: Path) -> None:
    _, step, feed = step_of()
    many = {node.name: np.concatenate([np.asarray(rows)] * 200) for node, rows in feed.items()}
    page = gn.playground(step, many, tmp_path / "play.html")
    assert (tmp_path / "play.html").exists()
    assert page.data["live"]["play"]["count"] == 1200
    assert page.data["live"]["sizes"]["batch"] == 512


@pytest.mark.parametrize("kind", ["fetches", "no updates", "no feed"])
def test_a_playground_is_of_a_step_that_trains(kind: str) -> None:
    _, step, feed = step_of()
    loss = step.fetches[0]
    target: Any = {"fetches": loss, "no updates": gn.compile(loss), "no feed": step}[kind]
    with pytest.raises(gn.UsageError, match=r"playground|the data are a feed"):
        gn.playground(target, [1] if kind == "no feed" else feed, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", [name for name, cls in registry.items() if cls.samples.__func__ is not Op.samples.__func__]
)
def test_what_an_operation_reads_is_decided_by_the_operands_that_are_said_to(name: str) -> None:
    op, operands = registry[name].samples(Draw(np.random.default_rng(3)))
    arrays = [np.asarray(operand) for operand in operands]
    deciding = decided_by(op, [array.dtype for array in arrays])
    others = [array if i in deciding else np.full_like(array, -1) for i, array in enumerate(arrays)]
    made = np.asarray(op.forward(*arrays))
    for index in list(np.ndindex(made.shape))[:20]:
        for before, after in zip(op.reads(index, arrays), op.reads(index, others), strict=True):
            np.testing.assert_equal(before, after)
