"""What is refused where it is written, and what a run leaves as it was."""

import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.io import graph_files as files

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))

from interrupts import PACKAGE, Interrupter


@pytest.mark.parametrize("budget", ["x", True, [1], 1j, object()])
def test_a_memory_budget_is_a_number_of_bytes(budget: Any) -> None:
    g = gn.Graph()
    with pytest.raises(gn.UsageError, match=r"memory_budget is a number of bytes(.|\n)*at test_refusals\.py"):
        g.memory_budget = budget
    for below in -1, float("nan"):
        with pytest.raises(gn.ValueRangeError, match="0 bytes or more"):
            g.memory_budget = below
    assert g.memory_budget is None
    g.memory_budget = np.float32(8e6)
    assert (g.memory_budget, type(g.memory_budget)) == (8e6, float)


def test_the_state_takes_values_that_fit_and_keeps_one_of_each_parameter() -> None:
    g = gn.Graph()
    w, x = g.parameter("w", [1.0, 2.0]), g.placeholder("x", shape=2)
    other = gn.Graph().parameter("w", [1.0, 2.0])
    for error, key, value in (
        (gn.ShapeError, w, [1.0]),
        (gn.DtypeError, w, np.ones(2, np.float32)),
        (gn.DtypeError, "w", ["a", "b"]),
        (gn.UsageError, x, [1.0, 2.0]),
        (gn.GraphError, other, [1.0, 2.0]),
        (gn.NotFoundError, "v", [1.0, 2.0]),
    ):
        for write in (g.state.__setitem__, lambda key, value: g.state.update({key: value})):
            with pytest.raises(error, match=r"at test_refusals\.py"):
                write(key, value)
    for remove in (lambda: g.state.pop(w), g.state.popitem, g.state.clear, lambda: g.state.__delitem__(w)):
        with pytest.raises(gn.UsageError, match="keeps one"):
            remove()
    np.testing.assert_array_equal(g.state[w], [1.0, 2.0])
    given = np.array([3.0, 4.0])
    g.state["w"] = given  # type: ignore[index]
    given[0] = 5.0
    np.testing.assert_array_equal(gn.run(w), [3.0, 4.0])


@pytest.mark.parametrize(
    ("field", "value", "error", "words"),
    [
        ("name", 5, gn.UsageError, "a name is text, not int"),
        ("name", "a\0b", gn.ValueRangeError, "a name cannot hold a NUL character"),
        ("dtype", "float32", gn.UsageError, r"graph\.dtype cannot be set: Graph\(name, dtype\) says it"),
        ("state", {}, gn.UsageError, r"graph\.state cannot be set: parameter\.value = array"),
        ("names", {}, gn.UsageError, r"graph\.names cannot be set: gn\.name\(node"),
        ("placeholders", [], gn.UsageError, r"cannot be set: graph\.placeholder\(name, shape\) makes one"),
        ("scopes", {}, gn.UsageError, r"cannot be set: with graph\.scope\(name\): opens one"),
        ("cotangents", {}, gn.UsageError, r"cannot be set: gn\.grad and gn\.vjp"),
        ("tangents", {}, gn.UsageError, r"cannot be set: gn\.jvp"),
        ("caches", None, gn.UsageError, r"cannot be set: graph\.caches\.clear\(\)"),
        ("building", None, gn.UsageError, r"cannot be set: with graph\.building:"),
        ("dag", None, gn.UsageError, "cannot be set: it is a part of every graph"),
        ("parameters", (), gn.UsageError, "cannot be set: it is a part of every graph"),
        ("placeholder", None, gn.UsageError, "cannot be set: it is a part of every graph"),
        ("sate", 5, gn.UsageError, 'no attribute "sate" that could be set. Did you mean "state"'),
        ("weights", 5, gn.UsageError, r"Write graph\.parameters"),
        *[
            (table, value, gn.UsageError, rf"graph\.{table} takes a dict, whose entries replace those that it has, not")
            for table in ("outputs", "updates", "advances", "evaluation", "idle")
            for value in (5, None, [("w", "w")])
        ],
        ("outputs", {"relu": "w"}, gn.GraphError, "a node or scope has that name"),
        ("outputs", {"y": "relu", 5: "w"}, gn.UsageError, "a name is text, not int"),
        ("updates", {"w": "relu", "v": "v"}, gn.UsageError, "only parameters are updated"),
        ("updates", {"w": "v"}, gn.ShapeError, r'"w" has shape \(2,\)'),
        ("advances", {"w": 5}, gn.UsageError, "is a node, not int"),
        ("evaluation", {"relu": "v"}, gn.ShapeError, "cannot take the place"),
        ("evaluation", {3: 4}, gn.UsageError, "is a node, not int"),
        ("idle", {"a": 5}, gn.UsageError, 'what "a" hands on in evaluation is a node, not int'),
        ("idle", {5: "w"}, gn.UsageError, "a name is text, not int"),
    ],
)
def test_a_refused_assignment_to_a_graph_changes_nothing(
    tmp_path: Path, field: str, value: Any, error: type[Exception], words: str
) -> None:
    g = gn.Graph("kept")
    w = g.parameter("w", [1.0, 2.0])
    g.placeholder("v", ())
    y = gn.relu(w)
    g.outputs["y"], g.updates[w], g.evaluation[y], g.idle["path"] = y, y, w, y
    before = files.to_data(g)[0]
    with pytest.raises(error, match=rf"{words}(.|\n)*at test_refusals\.py"):
        setattr(g, field, value)
    with pytest.raises(gn.UsageError, match=r"cannot be deleted|that could be deleted"):
        delattr(g, field)
    assert files.to_data(g)[0] == before
    gn.save(g, tmp_path / "kept.gnn")
    assert files.to_data(gn.load(tmp_path / "kept.gnn"))[0] == before


def test_a_dict_that_is_assigned_replaces_the_entries_of_a_table() -> None:
    g = gn.Graph()
    w = g.parameter("w", [1.0, 2.0])
    y, z = gn.relu(w), gn.exp(w)
    table = g.outputs
    g.outputs["y"] = y
    g.outputs = {"z": z}
    assert g.outputs is table
    assert dict(table) == {"z": z}
    with pytest.raises(gn.GraphError):
        g.outputs["exp"] = y  # it still checks
    g.outputs |= {"y": y}
    assert dict(table) == {"z": z, "y": y}
    g.outputs = g.outputs
    assert dict(table) == {"z": z, "y": y}
    g.updates = nn.SGD(0.1).updates(gn.sum(z))
    g.updates = dict(g.updates)
    assert [*g.updates] == [w]
    g.updates = {}
    assert g.updates == {}
    with pytest.raises(gn.UsageError, match='what "a" hands on'):
        g.idle["a"] = 5  # type: ignore[assignment]
    g.name = "renamed"
    assert repr(g).startswith('<Graph "renamed"')


def test_fetches_that_contain_themselves_are_refused() -> None:
    x = gn.Graph().placeholder("x")
    form: list[Any] = [x]
    form.append(form)
    named: dict[str, Any] = {"x": (x,)}
    named["y"] = [named]
    for each in form, named:
        with pytest.raises(gn.UsageError, match="contains itself has no end"):
            gn.run(each, {x: 1.0})
        with pytest.raises(gn.UsageError, match="contains itself has no end"):
            gn.grad(x, each)
    twice = [x]
    assert gn.run([twice, twice], {x: 1.0}) == [[1.0], [1.0]]  # a second time is not within itself
    deep: Any = x
    for _ in range(5000):
        deep = [deep]
    value = gn.run(deep, {x: 1.0})
    for _ in range(5000):
        (value,) = value
    assert value == 1.0


def test_sequential_nests_to_any_depth() -> None:
    network = nn.Sequential(nn.Dense(2), gn.tanh)
    inner = network
    for _ in range(3000):
        network = nn.Sequential(network)
    x = gn.Graph().placeholder("x", shape=("batch", 3))
    assert network(x).shape == ("batch", 2)
    assert [node.name for node in network.parameters] == ["dense_1/weight", "dense_1/bias"]
    assert inner.parameters == network.parameters
    assert repr(network).startswith("Sequential(Sequential(")
    assert repr(nn.Sequential(nn.Sequential(nn.ReLU()), nn.ReLU())) == (
        "Sequential(Sequential(<ReLU, not called yet>), <ReLU, not called yet>)"
    )
    round_ = nn.Sequential(nn.ReLU())
    round_.add(nn.Sequential(round_))
    with pytest.raises(gn.UsageError, match="contains itself has no end"):
        round_(x)
    assert repr(round_) == 'Sequential(<ReLU, "relu_1">, Sequential(Sequential(…)))'


def test_an_interrupt_leaves_the_settings_of_numpy_as_they_were() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=3)
    y = gn.log(x) * g.constant(np.full(3, 2, np.float16)) + gn.exp(x)
    feed = {x: [0.0, 1.0, 1000.0]}
    step = gn.compile(y)
    rng = random.Random(5)
    kept = {"over": "raise", "divide": "warn", "invalid": "print", "under": "ignore"}
    for call in (
        lambda: gn.run(y, feed),
        lambda: step(feed),
        lambda: gn.compile(y)(feed),
        lambda: list(gn.steps(y, feed)),
        lambda: gn.debug(y, feed).until(y),
        lambda: g.constant([1e10], dtype="float32"),
    ):
        with np.errstate(**kept):  # type: ignore[arg-type]
            call()
            files = PACKAGE, np.__path__[0]
            counter = Interrupter(None, files)
            _traced(call, counter)
            for _ in range(60):
                _traced(call, Interrupter(rng.randint(1, counter.seen), files))
                assert np.geterr() == kept


def _traced(call: Any, interrupter: Interrupter) -> None:
    before = sys.gettrace()
    sys.settrace(interrupter)
    try:
        call()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("relu", (5,)),
        ("squeeze", (5,)),
        ("squeeze", (None,)),
        ("split", ([1, 2], 2)),
        ("ones_like", (5,)),
        ("zeros_like", (np.ones(3),)),
        ("reshape", (np.ones(3), (3, 1))),
        ("softmax", ([1.0, 2.0],)),
        ("clip", (5, 0, 1)),
        ("einsum", ("ij,jk", np.ones((2, 2)), np.ones((2, 2)))),
    ],
)
def test_a_call_without_a_node_is_refused_in_the_same_words(name: str, args: tuple[Any, ...]) -> None:
    with pytest.raises(gn.UsageError, match=rf"^{name} needs at least one node among its operands, got .*constant"):
        getattr(gn, name)(*args)


def test_a_composition_takes_a_number_beside_a_node() -> None:
    x = gn.Graph().constant([1.0, 5.0])
    assert gn.run(gn.einsum("i,i", np.ones(2), x)) == 6


def test_a_shape_nested_without_end_is_refused() -> None:
    deep: Any = ()
    for _ in range(5000):
        deep = (deep,)
    with pytest.raises(gn.UsageError, match=r"a dimension is an int or a name, not (a tuple|\({20})"):
        gn.Graph().placeholder("q", deep)


@pytest.mark.parametrize(
    "show", [lambda loss, feed: gn.summary(loss, feed), lambda loss, feed: gn.draw(loss, feed, feed=feed)]
)
def test_a_feed_passed_as_the_detail_is_refused(show: Any) -> None:
    x = gn.Graph().placeholder("x", ("n", 3))
    with pytest.raises(gn.UsageError, match=r"the detail looks like a feed: .* A detail is"):
        show(gn.sum(x), {x: np.ones((2, 3))})
