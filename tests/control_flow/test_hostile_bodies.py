"""Bodies of loops in files that lie, and what is checked before anything is computed."""

import copy
import json

import numpy as np
import pytest

import graphnn as gn
from graphnn.control_flow.loop_body import graph_of, text_of
from graphnn.errors import FileFormatError, MemoryBudgetError, ShapeError
from graphnn.io.graph_files import from_data, to_data


def sound():
    """Return the data of a graph with a loop, and the place of its attributes."""
    g = gn.Graph()
    xs, w = g.placeholder("xs", ("time", 2)), g.parameter("w", np.eye(2))
    last, sums = gn.scan(lambda s, x: (gn.tanh(s @ w + x), gn.sum(s)), np.zeros(2), xs)
    g.outputs["y"] = gn.sum(last) + gn.sum(sums)
    data, arrays = to_data(g)
    return data, arrays, data["operations"]["name"].index("loop")


def inside(change):
    """Return a change of the body's own data."""

    def changed(loop):
        body = json.loads(loop["body"])
        change(*body)
        loop["body"] = json.dumps(body)

    return changed


def itself(loop):
    body = json.loads(loop["body"])
    body[0]["operations"]["name"][0], body[0]["operations"]["attributes"][0] = "loop", dict(loop)
    loop["body"] = json.dumps(body)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"body": "hello"}, "is not the body of a loop: Expecting value"),
        ({"body": "null"}, "it is not a graph and its constants"),
        ({"body": "[" * 100_000}, "maximum recursion depth|Stack overflow"),
        ({"body": '[{"name":1},{}]'}, "do not hold a graph's name"),
        ({"carried": [99]}, "the body has 8 nodes, and none at place 99"),
        ({"carried": []}, "0 values are carried, and none is number 0"),
        ({"carried": [2**70]}, "more than 64 bits"),
        ({"kept": [["each", 99]]}, "the body has 8 nodes, and none at place 99"),
        ({"kept": [["last", 7]]}, "1 values are carried, and none is number 7"),
        ({"kept": [["all", 0]]}, "one of 'last', 'each', 'count'"),
        ({"while_": 99}, "none at place 99"),
        ({"while_": 4}, "whether it goes on is one bool"),
        ({"rows": 0}, "in the body, not"),
        ({"rows": 10**12}, "takes 3 operands, and not 1 carried ones and 1000000000000 rows"),
        (inside(lambda graph, arrays: graph["nodes"]["spec"].__setitem__(0, 1)), "of an iteration is one int64"),
        ({"length": -1}, "0 or more, not -1"),
        ({"length": "__import__('os')"}, "is not a dimension"),
        ({"names": ["a", "b"], "dims": ["time"]}, "stand for one each"),
        ({"counted": True}, "the body takes 3 operands, not 2"),
        (inside(lambda graph, arrays: graph["operations"]["name"].__setitem__(0, "parameter")), "has no array"),
        (inside(lambda graph, arrays: arrays.update(x=["O", [], ""])), "'O' is not the dtype of a constant"),
        (inside(lambda graph, arrays: arrays.update(x=["int8", [10**12], ""])), "cannot reshape"),
        (inside(lambda graph, arrays: graph["specs"]["shape"].__setitem__(1, [3])), "is not valid"),
        (inside(lambda graph, arrays: graph["inputs"]["node"].__setitem__(0, 7)), "does not come before it"),
        (itself, "the body takes 3 operands, not 0"),
    ],
)
def test_bodies_that_lie_are_refused(change, words):
    data, arrays, place = sound()
    loop = data["operations"]["attributes"][place]
    loop.update(change) if isinstance(change, dict) else change(loop)
    with pytest.raises(FileFormatError, match=words):
        from_data(data, arrays)


def test_parameters_in_a_body_are_refused():
    data, arrays, place = sound()
    g = gn.Graph("body")
    gn.tanh(g.placeholder("s", (2,)) + g.parameter("w", np.ones(2)))
    data["operations"]["attributes"][place]["body"] = text_of(g)
    with pytest.raises(FileFormatError, match="the body of a loop holds no parameters"):
        from_data(data, arrays)


def test_a_value_inside_a_loop_is_held_to_the_memory_budget_before_anything_is_computed():
    g = gn.Graph()
    xs = g.placeholder("xs", ("time",))
    last, _ = gn.scan(lambda s, x: (s + gn.sum(gn.broadcast_to(x, ("time", "time")) * 2.0), None), 0.0, xs)
    g.memory_budget = 10_000
    assert gn.run(last, {xs: np.ones(30)}) == 2 * 30**3
    for backend in ("interpreter", "numpy"):
        with pytest.raises(MemoryBudgetError, match=r'"scan_1/loop" .* would take 80,000 bytes'):
            gn.compile(last, backend=backend)({xs: np.ones(100)})


def test_sizes_that_must_be_equal_in_a_body_are_checked_before_anything_is_computed():
    g = gn.Graph()
    xs, y = g.placeholder("xs", ("time", "a")), g.placeholder("y", ("b",))
    _, found = gn.scan(lambda s, x: (s, x + y), 0.0, xs)
    assert gn.run(found, {xs: np.ones((2, 3)), y: np.ones(3)}).shape == (2, 3)
    for count in (2, 0):
        with pytest.raises(ShapeError, match=r"in each iteration: add (?s:.*)nothing was computed"):
            gn.run(found, {xs: np.ones((count, 3)), y: np.ones(2)})


def test_nodes_of_a_body_are_met_again_when_many_others_have_been_read():
    g = gn.Graph()
    xs = g.placeholder("xs", ("time",))
    last, _ = gn.scan(lambda s, x: (s * 2.0 + x, None), 0.0, xs)
    op = g["scan_1/loop"].op
    graph_of.cache_clear()
    assert list(graph_of(copy.copy(op.body))) == op.nodes
    assert gn.run(last, {xs: np.ones(3)}) == 7
