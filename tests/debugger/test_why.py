"""One element explained, and followed upstream and downstream."""

import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from random_graphs import build, random_graphs
from test_ops import OPS, built, quietly, sampled
from test_reads import named

import graphnn as gn
from graphnn import demo, nn
from graphnn.debugger.ancestry import ancestry, influence, sample
from graphnn.debugger.why import LISTED, Why, element_of, explain, number
from graphnn.testing import Draw

Array = np.ndarray[Any, np.dtype[Any]]


class Ran:
    """Nodes with the values that they had in a run."""

    def __init__(self, fetches: Any, feed: Any, **sizes: int) -> None:
        self.sizes = sizes
        steps = list(gn.steps(fetches, feed, sizes=sizes))
        self.order = [step.node for step in steps]
        self.values = {step.node: step.value for step in steps}
        self.operands = {step.node: step.operands for step in steps}

    def why(self, node: gn.Node, index: Any = None, **more: Any) -> Why:
        more = {"op": node.op.bound(self.sizes)} | more
        return explain(node, index, self.values[node], self.operands[node], **more)

    def ancestry(self, node: gn.Node, index: Any = None, **more: Any) -> dict[gn.Node, list[int]]:
        found = ancestry(node, index, self.operands.__getitem__, sizes=self.sizes, **more)
        return {node: places.tolist() for node, places in found.items()}

    def influence(self, node: gn.Node, index: Any = None, **more: Any) -> dict[gn.Node, list[int]]:
        of = self.operands.__getitem__, self.values.__getitem__
        found = influence(node, index, self.order, *of, sizes=self.sizes, **more)
        return {node: places.tolist() for node, places in found.items()}


@pytest.fixture(scope="module")
def spiral() -> Ran:
    fetches, feed = demo.build()
    loss = fetches["loss"]
    grads = gn.grad(loss, list(loss.graph.parameters))
    return Ran([loss, *grads], feed, batch=300)


# --- the equation -----------------------------------------------------------------------------------------------

A, B, C = [0.5, -1.5, 2.0], [2.0, 0.25, -3.0], list(range(1, 7))

EQUATIONS: list[tuple[Callable[[Any, Any], gn.Node], Any, Any, Any, str]] = [
    (lambda x, y: x / y, A, B, 1, "divide[1] = -6 = -1.5 / 0.25"),
    (lambda x, y: x + y, A, B, 2, "add[2] = -1 = 2 - 3"),
    (lambda x, y: x - y, A, B, 2, "subtract[2] = 5 = 2 - (-3)"),
    (lambda x, y: x * y, A, B, 2, "multiply[2] = -6 = 2 * (-3)"),
    (lambda x, y: x * y, [0.0], [math.inf], 0, "multiply[0] = nan = 0 * inf"),
    (lambda x, y: x * y, [0.0], [-math.inf], 0, "multiply[0] = nan = 0 * (-inf)"),
    (lambda x, y: gn.power(x, y), [-2.0], [-2.0], 0, "power[0] = 0.25 = (-2) ^ (-2)"),
    (lambda x, y: gn.square(x), A, B, 1, "square[1] = 2.25 = (-1.5)²"),
    (lambda x, y: -x, A, B, 1, "negative[1] = 1.5 = -(-1.5)"),
    (lambda x, y: abs(x), A, B, 1, "absolute[1] = 1.5 = |-1.5|"),
    (lambda x, y: gn.exp(x), A, B, 1, "exp[1] = 0.2231 = exp(-1.5)"),
    (lambda x, y: gn.maximum(x, y), A, B, 2, "maximum[2] = 2 = max(2, -3)"),
    (lambda x, y: gn.relu(x), A, B, 1, "relu[1] = 0 = max(-1.5, 0)"),
    (lambda x, y: gn.clip(x, -1e-7, 1 - 1e-7), A, B, 2, "clip[2] = 1.000 = clip(2, -1e-07, 0.9999999)"),
    (lambda x, y: gn.where(x > 0, x, y), A, B, 1, "where[1] = 0.25 = … if False else 0.25"),
    (lambda x, y: gn.where(x > 0, x, y), A, B, 2, "where[2] = 2 = 2 if True else …"),
    (lambda x, y: gn.equal(x, y), A, B, 2, "equal[2] = False = 2 == -3"),
    (lambda x, y: gn.greater(x, y), A, B, 2, "greater[2] = True = 2 > -3"),
    (lambda x, y: gn.stop_gradient(x), A, B, 1, "stop_gradient[1] = -1.5"),
    (lambda x, y: gn.sum(x), A, B, None, "sum = 1 = 0.5 - 1.5 + 2"),
    (lambda x, y: gn.sum(x), C, B, None, "sum = 21 = 1 + 2 + … (6 numbers)"),
    (lambda x, y: gn.sum(x), [], B, None, "sum = 0, from no numbers"),
    (lambda x, y: gn.mean(x), A, B, None, "mean = 0.3333 = (0.5 - 1.5 + 2) / 3"),
    (lambda x, y: gn.mean(x), C, B, None, "mean = 3.5 = (1 + 2 + …) / 6"),
    (lambda x, y: gn.max(x), A, B, None, "max = 2 = max of 0.5, -1.5, 2"),
    (lambda x, y: gn.min(x), C, B, None, "min = 1 = min of 1, 2, … (6 numbers)"),
    (lambda x, y: gn.argmax(x), C, B, None, "argmax = 5 = argmax of 1, 2, … (6 numbers)"),
    (lambda x, y: gn.prod(y), A, B, None, "prod = -1.5 = 2 * 0.25 * (-3)"),
    (lambda x, y: gn.logsumexp(y), A, B, None, "logsumexp = 2.166 = log(exp(2) + exp(0.25) + exp(-3))"),
    (lambda x, y: gn.norm(x), A, B, None, "norm = 2.550 = ‖0.5, -1.5, 2‖"),
    (lambda x, y: gn.cumsum(x), A, B, 1, "cumsum[1] = -1 = 0.5 - 1.5"),
    (lambda x, y: x @ y, A, B, None, "matmul = -5.375 = 0.5·2 - 1.5·0.25 + 2·(-3)"),
    (lambda x, y: x @ y, C, C, None, "matmul = 91 = 1·1 + 2·2 + … (6 products)"),
    (lambda x, y: x @ y, [0.0, 1.0], [math.inf, 2.0], None, "matmul = nan = 0·inf + 1·2"),
    (lambda x, y: gn.outer(x, y), A, B, (1, 2), "outer[1, 2] = 4.5 = -1.5·(-3)"),
    (lambda x, y: gn.einsum("i,i,i->", x, y, x), [2.0], [3.0], None, "einsum = 12 = 2·3·2"),
    (lambda x, y: gn.einsum("i,j->", x, y), A, B, None, "einsum = -0.75 = 0.5·2 + 0.5·0.25 + … (9 products)"),
    (lambda x, y: gn.einsum("i->", x), A, B, None, "einsum = 1 = 0.5 - 1.5 + 2"),
    (lambda x, y: gn.reshape(x, (3, 1)), A, B, (1, 0), "reshape[1, 0] = -1.5"),
    (lambda x, y: gn.concatenate([x, y]), A, B, 4, "concatenate[4] = 0.25"),
    (lambda x, y: gn.pad(x, 1), A, B, 0, "pad[0] = 0"),
    (lambda x, y: gn.cast(x, "int64"), A, B, 1, "cast[1] = -1 = int64(-1.5)"),
    (lambda x, y: gn.zeros_like(x), A, B, 1, "zeros[1] = 0"),
    (lambda x, y: gn.std(x), [21.5] * 8, B, None, "std = 0 = std of 21.5, … (8 numbers, all equal)"),
    (lambda x, y: gn.max(x), [math.nan] * 5, B, None, "max = nan = max of nan, nan, … (5 numbers)"),
    # Of many, what is not finite is among those that are told.
    (lambda x, y: gn.max(x), [1, 2, 3, math.nan, 5, 6], B, None, "max = nan = max of 1, …, nan, … (6 numbers)"),
    (lambda x, y: gn.sum(x), [1, 2, 3, 4, math.nan], B, None, "sum = nan = 1 + … + nan (5 numbers)"),
    (lambda x, y: gn.sum(x), [-math.inf, 2, 3, 4, math.nan], B, None, "sum = nan = -inf + … + nan (5 numbers)"),
    (
        lambda x, y: gn.sum(x),
        [1, 2, math.inf, 4, -math.inf, 6],
        B,
        None,
        "sum = nan = … + inf + … - inf + … (6 numbers)",
    ),
    (lambda x, y: x @ y, [math.inf] * 6, [1, 1, 1, 0, 1, 1], None, "matmul = nan = inf·1 + … + inf·0 + … (6 products)"),
    (
        lambda x, y: x @ y,
        [1, 2, 3, 1e200, 5],
        [1, 2, 3, 1e200, 5],
        None,
        "matmul = inf = 1·1 + … + 1e+200·1e+200 + … (5 products)",
    ),
    (lambda x, y: gn.mean(x), [1, 2, math.inf, 4, 5], B, None, "mean = inf = (1 + … + inf + …) / 5"),
    (
        lambda x, y: x @ y,
        [1, 2, 0, 4, 5],
        [1, 2, math.inf, 4, 5],
        None,
        "matmul = nan = 1·1 + … + 0·inf + … (5 products)",
    ),
    (lambda x, y: gn.pick(x, np.array([2, 0])), [C[:3], C[3:]], B, 1, "pick[1] = 4 = element 0 of row 1"),
    (lambda x, y: gn.pick(x, np.array([[2]])), [[C]], B, (0, 0), "pick[0, 0] = 3 = element 2 of row 0, 0"),
    (lambda x, y: gn.pick(x, np.array(1)), A, B, None, "pick = -1.5 = element 1 of the row"),
]


@pytest.mark.parametrize(("function", "x", "y", "index", "equation"), EQUATIONS, ids=[case[-1] for case in EQUATIONS])
def test_the_equation(function: Callable[[Any, Any], gn.Node], x: Any, y: Any, index: Any, equation: str) -> None:
    g = gn.Graph()
    a, b = (g.placeholder(name, np.shape(value)) for name, value in [("x", x), ("y", y)])
    node = function(a, b)
    assert quietly(Ran, node, {a: x, b: y} if b in gn.schedule(node) else {a: x}).why(node, index).equation == equation


def test_what_is_said_of_a_layer(spiral: Ran) -> None:
    g = spiral.order[0].graph
    lines = str(spiral.why(g["dense_1/matmul"], (17, -1), source="    probabilities = network(x)\n")).splitlines()
    assert lines[0] == "dense_1/matmul[17, 15] = 0.004216 = 0.1003·0.01834 + 0.1394·0.01705"
    assert lines[1:3] == [
        "  x[17, :] = 0.1003, 0.1394, fed",
        "  dense_1/weight[:, 15] = 0.01834, 0.01705, a parameter",
    ]
    assert lines[3] == "  at demo.py:35: probabilities = network(x)"
    assert str(spiral.why(g["loss"])).splitlines()[:2] == [
        "categorical_crossentropy_1/mean = 1.099 = (1.099 + 1.099 + …) / 300",
        "  categorical_crossentropy_1/negative[:] = 300 numbers, 1.097 to 1.102",
    ]
    assert str(spiral.why(g["x"], (17, 0))).startswith("x[17, 0] = 0.1003, fed\n  at demo.py:27")
    assert spiral.why(g["dense_1/bias"], 2).equation == "dense_1/bias[2] = 0, a parameter"
    assert spiral.why(g["grad/constant"]).equation == "grad/constant = 0, a constant"


@pytest.mark.parametrize("cls", OPS, ids=lambda cls: cls.name)
def test_every_operation_can_be_explained(cls: type[gn.Op]) -> None:
    for seed in range(8):
        op, operands = sampled(cls, Draw(np.random.default_rng(seed)))
        try:
            node, feed = built(op, operands)
            run = quietly(Ran, node, feed)
        except gn.GraphnnError:
            continue
        for place in np.ndindex(run.values[node].shape):
            why = run.why(node, place)
            assert why.value == run.values[node][place] or math.isnan(why.value)
            assert why.equation.startswith(f"{why.equation.split(' = ')[0]} = {number(run.values[node][place])}")
            assert not {"{", "}"} & set(why.equation)
            assert "… = " not in str(why)
            for read, entry in zip(why.reads, filled(op, place, operands), strict=True):
                operand = operands[read.position]
                assert read.node is node.inputs[read.position]
                assert [int(np.ravel_multi_index(i, operand.shape)) for i in read.indices] == entry
                assert read.count == len(entry)
                assert np.array_equal(read.values, operand.reshape(-1)[entry])
            json.dumps(why.to_dict(), allow_nan=False)


def filled(op: gn.Op, place: tuple[int, ...], operands: tuple[Array, ...]) -> list[list[int]]:
    entries = op.reads(place, operands)
    return [cells for e, x in zip(entries, operands, strict=True) if (cells := named(e, x.shape))]


def test_the_operation_that_was_really_used() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("n",))
    y = gn.clip(x, 0.0, 1.0)
    other = gn.core.operation("clip")(0.0, 3.0)
    why = explain(y, 0, np.array([2.0]), [np.array([2.0])], op=other)
    assert why.equation == "clip[0] = 2 = clip(2, 0.0, 3.0)"


def test_sizes_that_have_names() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("n", 2))
    y = gn.reshape(x, -1)
    array = np.arange(6.0).reshape(3, 2)
    assert explain(y, 3, array.reshape(-1), [array], op=y.op.bound({"n": 3})).reads[0].indices == ((1, 1),)
    with pytest.raises(gn.NotFoundError, match="sizes="):
        explain(y, 3, array.reshape(-1), [array])


def test_an_operation_of_ones_own_reads_all_unless_it_says_otherwise() -> None:
    class Centered(gn.Op):
        """x minus its mean."""

        formula = "{0} - mean({0})"

        def infer(self, x: gn.Spec) -> gn.Spec:
            return x

        def forward(self, x: Array, out: Any = None) -> Any:
            return x - x.mean()

    try:
        g = gn.Graph()
        x = g.placeholder("x", shape=2)
        why = Ran(node := gn.centered(x), {x: [1.0, 3.0]}).why(node, 0)
        assert why.equation == "centered[0] = -1 = (1, 3) - mean(1, 3)"
        assert [str(read) for read in why.reads] == ["x[:] = 1, 3, fed"]
    finally:
        del gn.core.registry["centered"]


# --- what is listed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "index", "said"),
    [
        (lambda x: gn.sum(x, axis=0), 1, "x[:, 1] = 1, 6, 11, 16, fed"),
        (lambda x: gn.sum(x, axis=1), 1, "x[1, :] = 5 numbers, 5 to 9, fed"),
        (lambda x: gn.sum(x[1:3]), None, "getitem[:, :] = 10 numbers, 5 to 14"),
        (lambda x: gn.sum(x * 0.0, axis=1), 1, "multiply[1, :] = 5 numbers, each 0"),
        (lambda x: gn.sum(x / x, axis=1), 0, "divide[0, :] = 5 numbers, each 1, 1 not finite: [0, 0]"),
        (lambda x: gn.any(x > 7.0, axis=1), 1, "greater[1, :] = 5 numbers, 2 of them True"),
        (lambda x: gn.cumsum(x, axis=1), (1, 2), "x[1, :3] = 5, 6, 7, fed"),
        (lambda x: gn.flip(x), (0, 0), "x[3, 4] = 19, fed"),
        (lambda x: gn.einsum("ii->", x[:, :4]), None, "getitem[…] = 0, 6, 12, 18"),
        (lambda x: gn.sum(x, keepdims=True), None, "x[:, :] = 20 numbers, 0 to 19, fed"),
        (lambda x: gn.sum(x[:, :1]), None, "getitem[:, 0] = 0, 5, 10, 15"),
        (lambda x: gn.log(gn.sum(x)), None, "sum = 190"),
    ],
)
def test_cells_are_named_as_one_would_index_them(function: Any, index: Any, said: str) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=(4, 5))
    run = quietly(Ran, node := function(x), {x: np.arange(20.0).reshape(4, 5)})
    assert str(run.why(node, index).reads[0]) == said


def test_many_cells_are_not_all_listed() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=(100, 100))
    (read,) = Ran(total := gn.sum(x), {x: np.ones((100, 100))}).why(total).reads
    assert (read.count, len(read.indices), len(read.values)) == (10_000, LISTED, LISTED)
    assert read.indices[:2] == ((0, 0), (0, 1))


def test_a_reason_does_not_change() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    why = Ran(y := x * x, {x: 3.0}).why(y)
    with pytest.raises(dataclasses.FrozenInstanceError):
        why.value = 2.0  # type: ignore[misc]
    assert str(why).splitlines()[:2] == ["multiply = 9 = 3 * 3", "  x = 3, fed"]  # x once, though read twice
    assert [read.position for read in why.reads] == [0, 1]


def test_data_for_json() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=2)
    data = quietly(Ran, y := x / 0.0, {x: [0.0, -1.0]}).why(y, 0, source="y = x / 0.0").to_dict()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert (data["node"], data["op"], data["index"], data["value"]) == ("divide", "divide", [0], "nan")
    assert data["equation"] == "divide[0] = nan = 0 / 0"
    assert data["source"] == "y = x / 0.0"
    assert data["reads"][0] == {
        "node": "x", "position": 0, "place": "0", "count": 1, "indices": [[0]], "values": [0.0],
    }  # fmt: skip


def test_no_name_steers_a_terminal() -> None:
    g = gn.Graph()
    x = g.placeholder("\x1b[31mx\n")
    why = Ran(y := gn.exp(x, name="e\x07"), {x: 0.0}).why(y, source="y = '\x1b[2J'")
    assert why.equation.startswith("e\x07 = 1")
    assert str(why).replace("\n", "").isprintable()
    assert len(str(why).splitlines()) == 3


# --- which element ----------------------------------------------------------------------------------------------


def test_which_element() -> None:
    g = gn.Graph()
    scalar, vector, matrix = g.placeholder("s"), g.placeholder("v", shape=3), g.placeholder("m", shape=(2, 3))
    assert element_of(scalar, None, ()) == element_of(scalar, (), ()) == ()
    assert element_of(vector, 1, (3,)) == element_of(vector, np.int64(-2), (3,)) == (1,)
    assert element_of(matrix, (-1, -3), (2, 3)) == (1, 0)
    assert element_of(matrix, None, (1, 1)) == (0, 0)
    for index in [2, (2, 0), (-3, 0), (0, 0, 0), ()]:
        with pytest.raises(gn.AxisError, match=r'"m" has shape \(2, 3\), so it has no element'):
            element_of(matrix, index, (2, 3))
    with pytest.raises(gn.ShapeError, match=r'"m" has shape \(2, 3\): say which element, as in index=\(1, 2\)'):
        element_of(matrix, None, (2, 3))
    with pytest.raises(gn.ShapeError, match="it is empty"):
        element_of(vector, None, (0,))
    for wrong in [1.0, "0", (0, None), True, (slice(None), 0)]:
        with pytest.raises(gn.UsageError, match='an element of "m"'):
            element_of(matrix, wrong, (2, 3))


def test_numbers() -> None:
    assert [number(v) for v in (0.0, -0.0, 1e-300, 12345.678, 0.99996, 100.0, 5e9)] == [
        "0", "-0", "1e-300", "1.235e+04", "1.000", "100", "5e+09",
    ]  # fmt: skip
    assert [number(np.float16(v)) for v in (0.1, 1 / 3)] == ["0.1", "0.3333"]


# --- upstream and downstream ------------------------------------------------------------------------------------


def one_by_one(run: Ran, node: gn.Node, place: int) -> dict[gn.Node, set[int]]:
    """Follow an element upstream in the plainest way."""
    found: dict[gn.Node, set[int]] = {}
    pending = [(node, place)]
    while pending:
        at, flat = pending.pop()
        if flat in found.setdefault(at, set()):
            continue
        found[at].add(flat)
        index = tuple(int(i) for i in np.unravel_index(flat, run.values[at].shape))
        operands = run.operands[at]
        entries = at.op.bound(run.sizes).reads(index, operands)
        for operand, array, entry in zip(at.inputs, operands, entries, strict=True):
            pending += [(operand, cell) for cell in named(entry, array.shape)]
    return found


def some_runs() -> list[Ran]:
    runs = []
    for recipe in random_graphs(0, 35):
        made = build(recipe, gn.Graph())
        wrt = [node for node in made.inputs if node.dtype.kind == "f"]
        fetches = [made.result, *(quietly(gn.grad, made.result, wrt) if made.result.dtype.kind == "f" else [])]
        runs.append(quietly(Ran, fetches, {n: v for n, v in made.feed.items() if n in gn.schedule(fetches)}))
    return runs


def test_both_ways_are_the_same_readings() -> None:
    rng = np.random.default_rng(0)
    compared = 0
    for run in some_runs():
        upstream = {
            (node, place): one_by_one(run, node, place) for node in run.order for place in range(run.values[node].size)
        }
        keys = list(upstream)
        for k in rng.choice(len(keys), min(4, len(keys)), replace=False):
            node, place = keys[k]
            index = np.unravel_index(place, run.values[node].shape)
            assert {n: set(cells) for n, cells in run.ancestry(node, index).items()} == upstream[node, place]
            downstream: dict[gn.Node, list[int]] = {}
            for (other, cell), above in upstream.items():
                if place in above.get(node, ()):
                    downstream.setdefault(other, []).append(cell)
            assert run.influence(node, index) == downstream
            compared += len(downstream)
    assert compared > 250


def test_nothing_else_matters_to_a_gradient() -> None:
    g = gn.Graph()
    x, labels = g.placeholder("x", shape=("n", 3)), g.placeholder("labels", shape=("n",), dtype=np.int64)
    w = g.parameter("w", np.random.default_rng(0).normal(size=(3, 4)))
    loss = nn.softmax_crossentropy(gn.relu(x @ w), labels)
    (slope,) = gn.grad(loss, [x])
    feed = {x: np.random.default_rng(1).normal(size=(5, 3)), labels: [0, 1, 2, 3, 0]}
    run = Ran(slope, feed, n=5)
    above = run.ancestry(slope, (2, 1))
    # Each sample's gradient is its own, and there are no other parameters.
    assert above[x] == [6, 7, 8]
    assert above[labels] == [2]
    assert above[w] == list(range(12))
    other = {x: np.full((5, 3), np.nan), labels: [3, 3, 2, 3, 3]}
    other[x][2] = feed[x][2]
    assert gn.run(slope, other)[2, 1] == run.values[slope][2, 1]
    assert list(above) == sorted(above, key=lambda node: -node.index)
    assert run.influence(x, (2, 0))[slope] == [6, 7, 8]


def test_of_the_spiral(spiral: Ran) -> None:
    g = spiral.order[0].graph
    assert spiral.ancestry(g["softmax_1/divide"], (17, 2))[g["x"]] == [34, 35]
    assert spiral.influence(g["x"], (17, 0))[g["softmax_1/divide"]] == [51, 52, 53]
    assert spiral.influence(g["dense_2/bias"], 1)[g["loss"]] == [0]
    assert set(spiral.influence(g["loss"])) == {g["loss"]}  # its gradient does not read it
    of_gradient = spiral.ancestry(g["grad/dense_1/sum_to"], 0)
    assert g["labels"] in of_gradient
    assert len(of_gradient[g["x"]]) == 600


def test_an_index_that_is_read_has_influence() -> None:
    g = gn.Graph()
    table, rows = g.placeholder("table", shape=(3, 2)), g.placeholder("rows", shape=2, dtype=np.int64)
    taken = gn.take(table, rows, 0)
    run = Ran(taken, {table: np.ones((3, 2)), rows: [2, -1]})
    assert run.influence(rows, 1) == {rows: [1], taken: [2, 3]}
    assert run.influence(table, (2, 0)) == {table: [4], taken: [0, 2]}
    assert run.influence(table, (0, 0)) == {table: [0]}
    assert run.ancestry(taken, (1, 1)) == {taken: [3], rows: [1], table: [5]}


def test_a_long_chain() -> None:
    g = gn.Graph()
    x = node = g.placeholder("x", shape=2)
    for _ in range(5000):
        node = -node
    run = Ran(node, {x: [1.0, 2.0]})
    assert len(run.ancestry(node, 1)) == len(run.influence(x, 1)) == 5001
    assert run.ancestry(node, 1)[x] == [1]


def test_there_is_a_limit() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=(30, 30))
    run = Ran(y := gn.sum(gn.cumsum(x, 0)), {x: np.ones((30, 30))})
    for follow in (lambda: run.ancestry(y, limit=500), lambda: run.influence(x, (0, 0), limit=500)):
        with pytest.raises(gn.ValueRangeError, match=r'"cumsum" \(30, 30\) is reached; limit=500 allows fewer'):
            follow()
    assert len(run.ancestry(y)) == 3


def test_values_of_a_usual_size_are_followed_quickly() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 64))
    labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
    layers = [nn.Dense(64, rng=np.random.default_rng(0)), nn.Dropout(0.5), nn.ReLU(), nn.Dense(64), nn.Softmax()]
    loss = nn.categorical_crossentropy(nn.Sequential(*layers)(x, training=True), labels)
    fetches = [loss, *gn.grad(loss, list(g.parameters))]
    run = Ran(fetches, {x: np.random.default_rng(1).normal(size=(300, 64)), labels: np.zeros(300, int)}, batch=300)
    run.ancestry(fetches[1], (0, 0))
    run.influence(x, (17, 0))


# --- one sample -------------------------------------------------------------------------------------------------


def test_a_sample_is_what_it_would_be_alone(spiral: Ran) -> None:
    rows = sample(spiral.order, 17, None, spiral.values.__getitem__)
    fetches, feed = demo.build()
    alone = Ran(fetches["loss"], {node: np.asarray(value)[17:18] for node, value in feed.items()}, batch=1)
    for node, value in alone.values.items():
        if "batch" in node.shape:
            mine = rows.pop(next(n for n in rows if n.name == node.name))
            np.testing.assert_allclose(mine, value[0], rtol=1e-12)
    assert {node.name.partition("/")[0] for node in rows} == {"grad"}
    weights = spiral.order[0].graph["grad/dense_1/transpose"]  # its samples lie along the second axis
    assert np.array_equal(rows[weights], spiral.values[weights][:, 17])
    last = sample(spiral.order, -1, "batch", spiral.values.__getitem__)
    assert np.array_equal(last[spiral.order[0]], spiral.values[spiral.order[0]][299])


def test_no_sample() -> None:
    g = gn.Graph()
    x, plain = g.placeholder("x", shape=("batch", 2)), g.placeholder("plain", shape=(3, "batch"))
    values = {x: np.ones((5, 2)), plain: np.ones((3, 5))}
    with pytest.raises(gn.AxisError, match='no sample 5: "batch" is 5 in "x"'):
        sample([x], 5, None, values.__getitem__)
    with pytest.raises(gn.NotFoundError, match='Did you mean "batch"'):
        sample([x], 0, "bach", values.__getitem__)
    with pytest.raises(gn.NotFoundError, match=r'There is: "2\*batch", "batch"\.'):
        sample([x, gn.reshape(x, (-1,))], 0, "row", values.__getitem__)
    with pytest.raises(gn.UsageError, match=r'the first axis of "plain" \(3, batch\) has no name: name the dimension'):
        sample([plain, x], 0, None, values.__getitem__)
    with pytest.raises(gn.UsageError, match="there is no placeholder"):
        sample([g.parameter("w", [1.0])], 0, None, values.__getitem__)
    assert sample([plain, x], 0, "batch", values.__getitem__)[plain].shape == (3,)


def test_what_belongs_to_a_node_is_found_by_its_name() -> None:
    x = gn.Graph().placeholder("x", shape=("batch", 2))
    dbg = gn.debug(gn.sum(gn.exp(x), axis=1), {x: np.zeros((3, 2))}, echo=None)
    dbg.resume()
    assert dbg.sample(1)["exp"].tolist() == [1.0, 1.0]
    assert dbg.ancestry("sum", 2)["x"].tolist() == [4, 5]
    assert dbg.influence("x", (0, 1))["sum"].tolist() == [0]
    assert "exp" not in dbg.sample(1)  # whose keys are nodes
    with pytest.raises(gn.NotFoundError, match=r'there is no entry for "exq"\. Did you mean "exp"'):
        _ = dbg.sample(1)["exq"]
    with pytest.raises(KeyError):
        _ = dbg.ancestry("exp", (0, 0))[dbg.node("sum")]


def test_the_equation_names_the_settings_that_make_the_number() -> None:
    x = gn.Graph().placeholder("x", shape=(2,))
    nodes = [gn.norm(x), gn.norm(x, 1), gn.norm(x, np.inf), gn.std(x, ddof=1), gn.var(x)]
    trace = gn.trace(nodes, {x: [3.0, 4.0]})
    assert [trace.why(node).equation.partition(" = ")[2] for node in nodes] == [
        "5 = ‖3, 4‖",
        "7 = ‖3, 4‖ of order 1",
        "4 = ‖3, 4‖ of order inf",
        "0.7071 = std of (3, 4) with ddof=1",
        "0.25 = var of 3, 4",
    ]


@pytest.mark.parametrize("limit", [0, -1, True, 2.5, "a"])
def test_a_limit_is_a_number_of_elements(limit: Any) -> None:
    x = gn.Graph().placeholder("x", ("n",))
    dbg = gn.debug(gn.sum(x), {x: [1.0, 2.0]}, echo=None)
    dbg.resume()
    for follow in (dbg.ancestry, dbg.influence):
        with pytest.raises((gn.ValueRangeError, gn.UsageError), match="limit= is an int of 1 or more, not"):
            follow(x, 0, limit=limit)
