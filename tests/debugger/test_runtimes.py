"""Other runtimes as the second side of a comparison: here the interpreter, in float16, with what was planted in it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.debugger.diff import Difference, runtime, runtime_port

Values = Iterator[tuple[gn.Node, Any]]
Change = Callable[[gn.Node, Any], Any]
"""Returns the value of a node, or None where the runtime does not know it."""


def network() -> tuple[gn.Graph, dict[str, Any]]:
    """Return a graph with outputs, and its feed."""
    g = gn.Graph("net", "float32")
    x = g.placeholder("x", ("n", 16))
    rng = np.random.RandomState(0)
    hidden = nn.Dense(32, rng=rng)(x)
    g.outputs["probabilities"] = gn.softmax(nn.Dense(3, rng=rng)(gn.tanh(hidden)))
    return g, {"x": np.random.RandomState(1).standard_normal((8, 16)).astype(np.float32)}


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give a function that registers a runtime called "half", whose values are changed by another function."""
    runtime_port.RUNTIMES.load()  # what loads now stays
    monkeypatch.setattr(runtime_port.RUNTIMES, "_given", {})

    def plant(change: Change = lambda node, value: value, dtype: str = "float16") -> None:
        @runtime("half", reads="gn.from_half(path)")
        def run(
            graph: gn.Graph, nodes: Sequence[gn.Node], feed: Mapping[gn.Node, Any], sizes: Mapping[str, int]
        ) -> Values | None:
            return values(nodes, feed, change, dtype) if graph.name == "net" else None

    return plant


def values(nodes: Sequence[gn.Node], feed: Mapping[gn.Node, Any], change: Change, dtype: str) -> Values:
    """Yield what a runtime gives that computes in another dtype, node by node."""
    known: dict[gn.Node, Any] = {}
    for node in nodes:
        if node in feed or node.has_value:
            value = np.asarray(feed[node]) if node in feed else node.value
            value = value.astype(dtype) if value.dtype.kind == "f" else value
        else:
            value = np.asarray(node.op.bound({"n": 8}).forward(*[known[operand] for operand in node.inputs]))
        changed = change(node, value)
        known[node] = value if changed is None else changed
        if changed is not None:
            yield node, changed


def first_of(found: gn.Comparison) -> Difference:
    assert found.first is not None
    return found.first


def test_a_runtime_agrees_and_its_digits_are_counted(planted: Callable[..., None]) -> None:
    planted()
    g, feed = network()
    found = gn.compare(g, feed=feed, runtime="half")
    # Small elements of the products have lost more than the tolerance of float16 allows.
    assert first_of(found).name == "dense_1/matmul"
    assert found.beyond_rounding is None
    assert "rounding explains all differences" in str(found)
    assert gn.compare(g, feed=feed, runtime="half", atol=1e-2)
    assert (found.a, found.b) == ("the run", "half")
    # Of 11 bits, a few are lost; each node that is a float has its line, in the order of the steps.
    assert all(2.0 < each.digits < 3.4 for each in found.agreements if each.digits is not None and each.absolute)
    order = [node.name for node in gn.schedule(list(g.outputs.values()))]
    assert list(found.digits) == order
    assert [line.split()[-1] for line in found.table(None).split("\n")[1:]] == order


def test_the_operation_that_differs_is_named(planted: Callable[..., None]) -> None:
    def wrong(node: gn.Node, value: Any) -> Any:
        return value * np.float16(1.05) if node.name == "tanh" else value

    planted(wrong)
    g, feed = network()
    found = gn.compare(g, feed=feed, runtime="half")
    first = found.beyond_rounding
    assert first is not None
    assert first.name == "tanh"
    assert first.inputs == {"dense_1/add": "differing"}
    assert 'rounding explains the differences before "tanh"' in str(found)
    found = gn.compare(g, feed=feed, runtime="half", atol=1e-2)
    first = first_of(found)
    assert first is found.beyond_rounding
    assert first.name == "tanh"
    assert first.inputs == {"dense_1/add": "within the tolerance"}
    assert first.rounding is False
    assert first.absolute == pytest.approx(0.05 * np.tanh(2.0), rel=0.3)
    assert "tanh of the operands of half does not give its value" in first.cause
    assert "rounding does not explain this" in str(found)


def test_of_the_same_dtype_the_inputs_are_equal(planted: Callable[..., None]) -> None:
    def near(node: gn.Node, value: Any) -> Any:
        return np.nextafter(value, np.float32(2.0)) if node.name == "tanh" else value

    planted(near, "float32")
    g, feed = network()
    assert gn.compare(g, feed=feed, runtime="half").counts.within
    first = first_of(gn.compare(g, feed=feed, runtime="half", rtol=0.0))
    assert (first.name, first.inputs, first.rounding) == ("tanh", {"dense_1/add": "equal"}, True)
    assert first.cause == "its operands are equal; what computes it differs: code, library, machine"


def test_an_overflow_of_float16_is_named(planted: Callable[..., None]) -> None:
    planted()
    g, feed = network()
    first = first_of(gn.compare(g, feed={"x": feed["x"] * 30000.0}, runtime="half"))
    assert first.name == "x"
    assert np.isinf(first.b)
    assert first.rounding is False


def test_what_is_between_the_values_of_a_runtime_counts_as_one(planted: Callable[..., None]) -> None:
    def fused(node: gn.Node, value: Any) -> Any:
        if node.name in ("dense_1/matmul", "dense_1/weight", "dense_1/bias"):
            return None
        return value + np.float32(1e-3) if node.name == "dense_1/add" else value

    planted(fused, "float32")
    g, feed = network()
    first = first_of(gn.compare(g, feed=feed, runtime="half"))
    assert (first.name, first.operands_equal, first.rounding) == ("dense_1/add", True, False)
    assert first.inputs == {"x": "equal", "dense_1/weight": "equal", "dense_1/bias": "equal"}


def test_fetches_a_step_and_traces_are_compared_too(planted: Callable[..., None]) -> None:
    planted(dtype="float32")
    g, feed = network()
    (probabilities,) = g.outputs.values()
    assert gn.compare(probabilities, feed=feed, runtime="half")
    assert gn.compare(gn.compile(probabilities), feed=feed, runtime="half")
    assert gn.compare(gn.trace(probabilities, feed), runtime="half")
    kept = gn.trace(probabilities, feed, keep="digests")
    assert gn.compare(kept, feed=feed, runtime="half")
    with pytest.raises(gn.UsageError, match="a trace has its own feed"):
        gn.compare(gn.trace(probabilities, feed), feed=feed, runtime="half")


def test_what_cannot_be_is_refused(planted: Callable[..., None]) -> None:
    g, feed = network()
    with pytest.raises(gn.UsageError, match=r"a runtime that is registered \(none\), not 'half'"):
        gn.compare(g, feed=feed, runtime="half")
    planted()
    with pytest.raises(gn.UsageError, match=r"\(half\), not 'hal'. Did you mean \"half\"\?"):
        gn.compare(g, feed=feed, runtime="hal")
    with pytest.raises(gn.UsageError, match="it takes no other one"):
        gn.compare(g, g, feed, runtime="half")
    other = gn.extract(list(g.outputs.values()))
    other.name = "other"
    message = r'"other" was not read from anything that half runs.*: gn.from_half\(path\) gives a graph'
    with pytest.raises(gn.UsageError, match=message):
        gn.compare(other, feed=feed, runtime="half")


def test_a_runtime_that_gives_what_was_not_asked_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime_port.RUNTIMES.load()  # what loads now stays
    monkeypatch.setattr(runtime_port.RUNTIMES, "_given", {})

    @runtime("backwards", reads="")
    def run(graph: gn.Graph, nodes: Sequence[gn.Node], feed: Any, sizes: Any) -> Values:
        return ((node, np.zeros(())) for node in reversed(nodes))

    x = gn.Graph().placeholder("x")
    with pytest.raises(gn.GraphnnError, match="backwards gave a value that was not asked for"):
        gn.compare(abs(x) * 2.0, feed={x: 1.0}, runtime="backwards")


def test_no_more_is_held_than_both_runs_need(planted: Callable[..., None]) -> None:
    """Of a chain, at any time: the values of the step, those before it, and what the runtime has computed ahead."""
    alive: list[weakref.ref[Any]] = []
    most = 0

    def watch(node: gn.Node, value: Any) -> Any:
        nonlocal most
        gc.collect(0)
        alive.append(weakref.ref(value))
        most = max(most, sum(ref() is not None for ref in alive))
        return value

    g = gn.Graph("net", "float32")
    y = g.placeholder("x", ("n",))
    for _ in range(30):
        y = gn.sin(y)

    @runtime("half", reads="")
    def run(graph: gn.Graph, nodes: Sequence[gn.Node], feed: Mapping[gn.Node, Any], sizes: Any) -> Values:
        value = feed[nodes[0]] + 0
        yield nodes[0], watch(nodes[0], value)
        for node in nodes[1:]:
            value = np.sin(value)
            yield node, watch(node, value)

    assert gn.compare(y, feed={"x": np.ones(1000)}, runtime="half")
    assert len(alive) == 31
    assert most <= 4
