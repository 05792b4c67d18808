"""Models of ONNX that are written, run by ONNX Runtime and checked against our own runs."""

import json
import math
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import graphnn as gn
from graphnn import Op, nn
from graphnn.core import registry
from graphnn.errors import GraphnnError
from graphnn.onnx import to_onnx
from graphnn.testing import Draw

Array = np.ndarray[Any, np.dtype[Any]]
ort.set_default_logger_severity(3)

OPS = [
    cls
    for cls in registry.values()
    if cls.samples.__func__ is not Op.samples.__func__  # type: ignore[attr-defined]
    and not cls.__module__.startswith("graphnn.control_flow")  # they have tests of their own, in tests/control_flow
]
LATEST = min(24, onnx.defs.onnx_opset_version())
REFUSED = {"random_normal"}
"""The operations that cannot be written."""
TOLERANCE = {"float64": 1e-12, "float32": 3e-6, "float16": 4e-3}


def runtime(model: Any) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    given = model if isinstance(model, str) else model.SerializeToString()
    return ort.InferenceSession(given, options, providers=["CPUExecutionProvider"])


def run(model: Any, feed: Mapping[gn.Node, Array]) -> dict[str, Array]:
    """Return what ONNX Runtime computes, by the names of the outputs."""
    session = runtime(model)
    names = [output.name for output in session.get_outputs()]
    needed = {each.name for each in session.get_inputs()}
    fed = {node.name: np.asarray(value, order="C") for node, value in feed.items() if node.name in needed}
    return dict(zip(names, session.run(names, fed), strict=True))


def check(
    found: Array, expected: Array, what: object, tolerance: Mapping[str, float] = TOLERANCE, least: float = 1e-3
) -> None:
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype), what
    if expected.dtype.kind != "f":
        assert np.array_equal(found, expected), what
        return
    near = tolerance[expected.dtype.name]
    least = 1.0 if expected.dtype == np.float16 else least
    wide, right = found.astype(np.float64), expected.astype(np.float64)
    with np.errstate(invalid="ignore"):
        close = np.abs(wide - right) <= near * np.maximum(np.abs(right), least)
    assert np.all(close | (wide == right) | (np.isnan(wide) & np.isnan(right))), (what, found, expected)


# --- operations -----------------------------------------------------------------------------------------------------


class Wild(Draw):
    """Draws now and then what is not finite, or as large as can be."""

    def array(self, shape: Sequence[int], lo: float = -3.0, hi: float = 3.0) -> Array:
        array = super().array(shape, lo, hi)
        if array.size and self.dtype.kind == "f" and self.integer(0, 2) == 0:
            ends = [np.finfo(self.dtype).max, np.finfo(self.dtype).min]
            array.flat[self.integer(0, array.size - 1)] = self.choice([math.nan, math.inf, -math.inf, -0.0, *ends])
        return array


def drawn(classes: Iterable[type[Op]], draw: Draw, times: int) -> tuple[gn.Graph, dict[gn.Node, Array]]:
    """Return a graph with samples of operations, each of which is an output, and its feed."""
    g = gn.Graph()
    feed: dict[gn.Node, Array] = {}
    for number, cls in enumerate([cls for cls in classes for _ in range(times)]):
        try:
            op, operands = cls.samples(draw)
            nodes = [g.placeholder(f"{number}_{i}", np.shape(x), np.asarray(x).dtype) for i, x in enumerate(operands)]
            g.outputs[f"{cls.name}_{number}"] = op(*nodes, graph=g)
        except (GraphnnError, ValueError, OverflowError):
            continue  # of a dtype that it does not take
        feed |= {node: np.asarray(x) for node, x in zip(nodes, operands, strict=True)}
    return g, feed


@pytest.mark.parametrize(
    ("dtype", "opset", "wild"),
    [
        ("float64", 21, False),
        ("float64", LATEST, True),
        ("float32", 17, False),
        ("float32", 18, True),
        ("float16", 21, False),
        ("int8", 21, False),
        ("uint64", 21, False),
        ("bool", 21, False),
    ],
)
def test_operations_give_the_same_numbers(dtype: str, opset: int, wild: bool) -> None:
    draw = (Wild if wild else Draw)(np.random.default_rng(len(dtype) + opset), dtype)
    without = REFUSED | (OF_18 if opset < 18 else set()) | (EQUATIONS if wild else set())
    classes = [cls for cls in OPS if cls.name not in without]
    g, feed = drawn(classes, draw, 2 if dtype.startswith("float") else 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gn.GraphnnWarning)
        expected = {}
        for name, node in list(g.outputs.items()):
            try:
                expected[name] = gn.run(node, {p: feed[p] for p in node.inputs})
            except GraphnnError:  # an integer by zero, a mean of nothing
                del g.outputs[name]
    assert len(expected) > 60
    found = run(gn.to_onnx(dict(g.outputs), opset=opset), feed)
    for name, value in expected.items():
        node = g.outputs[name]
        check(found[name], value, (node.op, [feed[p] for p in node.inputs]))


EQUATIONS = {"cholesky", "det", "inv", "solve"}
"""Of matrices that hold infinities, they give other infinities."""
OF_18 = {"bitwise_and", "bitwise_or", "bitwise_xor", "invert", "random_uniform"}
"""What takes opset 18 or later."""


def test_the_table_of_what_cannot_be_written_is_current() -> None:
    def refused(opset: int) -> set[str]:
        found = set()
        for cls in OPS:
            g, _ = drawn([cls], Draw(np.random.default_rng(0)), 1)
            try:
                gn.to_onnx(dict(g.outputs), opset=opset)
            except gn.NoRuleError:
                found.add(cls.name)
        return found

    assert refused(21) == REFUSED
    assert refused(17) == REFUSED | OF_18


def test_all_that_cannot_be_written_is_in_one_error(tmp_path: Path) -> None:
    g = gn.Graph()
    x = g.placeholder("x", (), "int64")
    many = [gn.random_normal(x, (2,)), gn.invert(x), gn.exp(x), gn.random_normal(x, (3,))]
    with pytest.raises(gn.NoRuleError) as caught:
        gn.to_onnx(many, tmp_path / "model.onnx", opset=17)
    assert "cannot write 2 operations with opset 17, and nothing was written" in str(caught.value)
    assert '  random_normal: 2 nodes, the first "random_normal" made at test_writing.py:' in str(caught.value)
    assert "  invert: 1 node" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_operation_of_the_users_own_is_refused() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    made = Graft()(x)
    with pytest.raises(gn.NoRuleError, match=r"graft: 1 node, the first .*: it is not graphnn's own"):
        gn.to_onnx(made)


class Graft(gn.Op, abstract=True):
    """An operation that is not registered, so that no other test meets it."""

    name = "graft"
    operands = ("x",)

    def infer(self, x: Any) -> Any:
        return x

    def forward(self, x: Array) -> Array:
        return x


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8"])
def test_integers_are_divided_downward_up_to_the_ends_of_their_range(dtype: str) -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", ("n", 1), dtype), g.placeholder("y", ("m",), dtype)
    ends = np.iinfo(dtype)
    values = np.array([ends.min, ends.min + 1, 0, 1, 5, ends.max - 1, ends.max], dtype)
    feed = {x: values[:, None], y: np.append(values[values != 0], [3, 7]).astype(dtype)}
    if ends.min < 0:
        feed[y] = np.append(feed[y], [-1, -3, -7]).astype(dtype)
    with np.errstate(over="ignore"):
        expected = feed[x] // feed[y]
    assert np.array_equal(run(gn.to_onnx({"whole": x // y}), feed)["whole"], expected)


def test_random_numbers_are_the_same_bits() -> None:
    g = gn.Graph()
    counter = g.placeholder("counter", (), "uint64")
    drawn = gn.random_uniform(counter, (5, 7), seed=2**64 - 3, stream=2**63 + 1)
    fed = np.asarray(2**63 + 5, np.uint64)
    found = run(gn.to_onnx({"u": drawn}), {counter: fed})["u"]
    assert np.array_equal(found, gn.run(drawn, {counter: fed}))


# --- whole graphs ---------------------------------------------------------------------------------------------------


def classifier(optimizer: Any, seed: int = 0) -> tuple[gn.Graph, Any, Any]:
    rng = np.random.default_rng(seed)
    g = gn.Graph("classifier", dtype="float32")
    x = g.placeholder("x", shape=("batch", 2))
    labels = g.placeholder("labels", shape=("batch",), dtype="int64")
    network = nn.Sequential(nn.Dense(8, rng=rng), nn.Tanh(), nn.Dropout(0.2), nn.Dense(3, rng=rng))
    loss = nn.softmax_crossentropy(network(x, training=True), labels)
    return g, loss, gn.compile({"loss": loss}, optimizer.updates(loss))


def test_a_runtime_trains_by_feeding_the_next_values_back() -> None:
    g, _, step = classifier(nn.Adam(0.02))
    model = gn.to_onnx(step, state="inputs")
    following = json.loads(about(model)["updates"])
    assert following == {node.name: f"{node.name}.next" for node in step.updates}
    assert not any(each.name in g for each in model.graph.initializer if each.name in following)
    session = runtime(model)
    state = {node.name: node.value for node in g.state}
    rng = np.random.default_rng(1)
    for number in range(200):
        x = rng.normal(size=(16 if number % 3 else 5, 2)).astype(np.float32)
        fed = {"x": x, "labels": (x[:, 0] > 0).astype(np.int64) + (x[:, 1] > 0)}
        loss, *values = session.run(["loss", *following.values()], fed | state)
        state |= zip(following, values, strict=True)
        assert abs(loss - step(fed)["loss"]) <= 1e-6, number
    assert {each.name for each in model.graph.input} == {"x", "labels", *state}


def about(part: Any) -> dict[str, str]:
    """Return the metadata of a part of a model."""
    return {entry.key.removeprefix("graphnn."): entry.value for entry in part.metadata_props}


def test_a_step_with_its_weights_inside_gives_the_same_next_values() -> None:
    g, loss, step = classifier(nn.SGD(0.1, momentum=0.9))
    fed = {"x": np.ones((4, 2), np.float32), "labels": np.array([0, 1, 2, 1])}
    feed = {g[name]: value for name, value in fed.items()}
    found = run(gn.to_onnx(step), feed)
    step(fed)
    for parameter in step.updates:
        check(found[f"{parameter.name}.next"], parameter.value, parameter, least=1.0)
    assert {"x", "labels"} == {each.name for each in gn.to_onnx(loss).graph.input}


def test_gradients_of_gradients() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("n", 3))
    w = g.parameter("w", np.linspace(-1, 1, 6).reshape(3, 2))
    y = gn.sum(gn.softmax(gn.gelu(x @ w)) ** 2)
    (first,) = gn.grad(y, [w])
    (second,) = gn.grad(gn.sum(gn.square(first)), [x])
    fed = {x: np.random.default_rng(0).normal(size=(4, 3))}
    found = run(gn.to_onnx({"first": first, "second": second}), fed)
    check(found["first"], gn.run(first, fed), "first", {"float64": 1e-11})
    check(found["second"], gn.run(second, fed), "second", {"float64": 1e-11})


def convolutional() -> tuple[gn.Graph, dict[str, gn.Node]]:
    g = gn.Graph(dtype="float32")
    x = g.placeholder("x", shape=("batch", 2, "height", 8))
    rng = np.random.default_rng(0)
    h = nn.Conv2D(3, 3, padding="same", rng=rng)(x)
    h = nn.MaxPool2D(2)(nn.ReLU()(nn.BatchNorm()(h, training=True)))
    h = gn.conv_transpose(h, rng.normal(size=(3, 2, 2, 2)).astype(np.float32), stride=2)
    loss = gn.mean(gn.square(h)) + gn.mean(h[:, :, ::-1, "height//4":"height//2"])
    (grad,) = gn.grad(loss, [x])
    return g, {"loss": loss, "grad": grad, "h": h}


@pytest.mark.parametrize("opset", [17, LATEST])
def test_named_sizes_at_two_sizes(opset: int) -> None:
    g, outputs = convolutional()
    model = gn.to_onnx(outputs, opset=opset)
    declared = [dim.dim_param or dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    assert declared == ["batch", 2, "height", 8]
    for size in ((2, 8), (3, 12)):
        fed = {g["x"]: np.random.default_rng(3).normal(size=(size[0], 2, size[1], 8)).astype(np.float32)}
        found = run(model, fed)
        for name, node in outputs.items():
            check(found[name], gn.run(node, fed), name, {"float32": 2e-6}, least=1.0)


def test_sizes_are_computed_from_those_of_the_inputs() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("n", "m"))
    y = g.placeholder("unused", shape=("k",))
    many = [
        gn.reshape(x, "n*m"),
        gn.mean(x, axis=0),
        gn.broadcast_to(gn.max(x, axis=0, keepdims=True), ("n", "m")),
        gn.arange("n", "2*n+m", graph=g),
        gn.arange("n", "n+3", graph=g),
        gn.arange(0, "n", -1, graph=g),
        gn.pad(x, (("n", 0), (0, 1))),
        x[1:, :-2:2],
        x[::-2, -1:0:-1],
        gn.concatenate([x, x], axis=1)[:, "m":"2*m-1"],
        gn.zeros(("k", 2), graph=g),
        gn.eye("m", graph=g),
        gn.windows(x, 2, stride=2, axes=1),
        gn.roll(x, 3, 1),
        gn.roll(x, (1, 3, -2), (1, 0, -1)),
        gn.argsort(x, axis=0),
        gn.reshape(gn.tile(x, (2, 1)), (2, "n", -1)),
        gn.diagonal(x, 1),
        gn.grad(gn.sum(x[1:, ::2]), x),
    ]
    model = gn.to_onnx({str(i): node for i, node in enumerate(many)})
    assert {each.name for each in model.graph.input} == {"x", "unused"}
    for n, m, k in ((3, 5, 2), (6, 4, 1)):
        fed = {x: np.random.default_rng(0).normal(size=(n, m)), y: np.zeros(k)}
        found = run(model, fed)
        for i, node in enumerate(many):
            check(found[str(i)], gn.run(node, fed), node.op)


def test_a_size_that_no_input_has_is_refused() -> None:
    g = gn.Graph()
    with pytest.raises(gn.NotFoundError, match='nothing gives the dimension "n" a size'):
        gn.to_onnx(gn.arange("n", graph=g) + g.placeholder("x"))


# --- names ----------------------------------------------------------------------------------------------------------

HOSTILE = [
    "",
    "a/b",
    'a"b',
    "<b>x</b>",
    "dense/kernel:0",
    "\\N",
    "\ud800",
    "x" * 10_000,
    "</script>",
    "\n",
    "constants/int64",
]


def test_hostile_names() -> None:
    g = gn.Graph("\ud800")
    nodes = [g.placeholder(name, ()) for name in HOSTILE]
    total = nodes[0]
    for node in nodes[1:]:
        total = gn.add(total, node * 2.0)
    with g.scope("x/y"):
        named = gn.exp(total, name="exp/Exp")
    model = gn.to_onnx({"c/d": named, "\udfff": total, "": nodes[0]})
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    session = runtime(model)
    inputs = [each.name for each in session.get_inputs()]
    assert [about(each)["name"].encode() for each in model.graph.input] == [
        name.encode("utf-8", "backslashreplace") for name in HOSTILE
    ]
    fed = {name: np.asarray(float(i)) for i, name in enumerate(inputs)}
    values = session.run(None, fed)
    check(values[1], gn.run(total, dict(zip(nodes, fed.values(), strict=True))), "total")


def test_names_are_scopes_within_scopes() -> None:
    g = gn.Graph()
    x = g.placeholder("x", (2, 2))
    with g.scope("block"), g.scope("head"):
        y = gn.softplus(x) @ x
    model = gn.to_onnx([y, {"named": [x, y]}])
    names = [node.name for node in model.graph.node]
    assert "block/head/matmul" in names
    assert "block/head/softplus/Exp" in names
    assert [output.name for output in model.graph.output] == ["block/head/matmul", "named/0", "named/1"]


# --- metadata -------------------------------------------------------------------------------------------------------


def test_convolutions_and_pooling_are_those_of_onnx() -> None:
    g = gn.Graph(dtype="float32")
    x = g.placeholder("x", shape=("batch", 4, 9, "width"))
    rng = np.random.default_rng(0)

    def kernel(*shape: int) -> Array:
        return rng.normal(size=shape).astype(np.float32)

    many = {
        "conv": gn.conv(x, kernel(6, 4, 3, 3), stride=(2, 1), padding="same", dilation=2),
        "grouped": gn.conv(x, kernel(6, 2, 2, 3), groups=2, padding=1),
        "depthwise": gn.conv(x, kernel(4, 1, 3, 3), groups=4),
        "max": gn.max_pool(x, 3, stride=2, padding=1),
        "mean": gn.average_pool(x, (2, 3), padding="same", count_include_pad=False),
    }
    model = gn.to_onnx(many)
    kinds = [node.op_type for node in model.graph.node if not node.name.startswith("sizes/")]
    assert (kinds.count("Conv"), kinds.count("Max"), kinds.count("Transpose")) == (3, 1, 0)
    fed = {x: kernel(2, 4, 9, 8)}
    fed[x][0, 0, 0, 0] = np.nan
    found = run(model, fed)
    g2 = gn.from_onnx(model)
    for name, node in many.items():
        value = gn.run(node, fed)
        check(found[name], value, name, least=1.0)
        again = gn.run(g2.outputs[name], {"x": fed[x]})
        assert again.tobytes() == value.tobytes()
    assert {node.name for node in g2} == {node.name for node in gn.schedule(many)}


def test_the_metadata_tell_lines_scopes_and_twins() -> None:
    _, loss, _ = classifier(nn.SGD(0.1))
    (gradient,) = gn.grad(loss, loss.graph.parameters[:1])
    model = gn.to_onnx(gradient)
    told = {about(node).get("name"): about(node) for node in model.graph.node}
    assert told[gradient.name]["origin"].partition("test_writing.py:")[2].isdecimal()
    assert told[gradient.name]["twin"] == gradient.twin.name
    scopes = json.loads(about(model)["scopes"])
    assert [path for path, *_ in scopes if path == gradient.scope]
    assert all(parent < i for i, (*_, parent) in enumerate(scopes))
    assert about(model.graph.initializer[0])["op"] == "parameter"


# --- files and refusals ---------------------------------------------------------------------------------------------


def test_a_file_and_one_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("n", 64))
    y = x @ g.parameter("w", np.random.default_rng(0).normal(size=(64, 64))) + g.parameter("b", np.arange(64.0) * 0.5)
    fed = {x: np.ones((2, 64))}
    assert gn.to_onnx({"y": y}, tmp_path / "small.onnx") is None
    monkeypatch.setattr(to_onnx, "_MOST_INSIDE", 10_000)
    gn.to_onnx({"y": y}, tmp_path / "large.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["large.onnx", "large.onnx.data", "small.onnx"]
    assert (tmp_path / "large.onnx.data").stat().st_size >= 64 * 64 * 8 > (tmp_path / "large.onnx").stat().st_size
    for name in ("small", "large"):
        onnx.checker.check_model(str(tmp_path / f"{name}.onnx"), full_check=True)
        check(runtime(str(tmp_path / f"{name}.onnx")).run(None, {"x": fed[x]})[0], gn.run(y, fed), name)
        again = gn.from_onnx(tmp_path / f"{name}.onnx")
        assert gn.run(again.outputs["y"], {"x": fed[x]}).tobytes() == gn.run(y, fed).tobytes()
        assert {node.name for node in again.parameters} == {"w", "b"}
    with pytest.raises(gn.ValueRangeError, match="needs a path"):
        gn.to_onnx(y)


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    for opset in (16, 99, "21", True):
        with pytest.raises(gn.ValueRangeError, match=f"opset is an int from 17 to {LATEST} with onnx "):
            gn.to_onnx(x + 1.0, opset=opset)
    with pytest.raises(gn.ValueRangeError, match='state is "weights" or "inputs"'):
        gn.to_onnx(x + 1.0, state="frozen")
    with pytest.raises(gn.UsageError, match="a fetch is a node or its name"):
        gn.to_onnx(3)
    model = gn.to_onnx("x", graph=g)
    assert [each.name for each in (*model.graph.input, *model.graph.output)] == ["x", "x_2"]
    with pytest.raises(
        gn.GraphError, match=r'the output "x" would have the name of the placeholder "x", made at .*key'
    ):
        gn.to_onnx({"x": x + 1.0})
    with pytest.raises(gn.GraphError, match='name of the parameter "w"'):
        gn.to_onnx({"w": x * g.parameter("w", 2.0)})
    n = g.placeholder("n", ("rows",))
    with pytest.raises(gn.GraphError, match='name of the placeholder "n"'):
        gn.to_onnx({"n": gn.zeros(("rows",), graph=g)})  # which nothing but the size of its rows needs
    with pytest.raises(gn.GraphError, match='two outputs of the model would be called "a/b"'):
        gn.to_onnx({"a": {"b": x + 1.0}, "a/b": n})
    with pytest.raises(gn.GraphError, match=r'two outputs of the model would be called "w\.next"'):
        gn.to_onnx(gn.compile({"w.next": x}, {g["w"]: g["w"] * x}))
    plus = gn.add(x, 1.0, name="plus")
    assert [each.name for each in gn.to_onnx([plus, {"plus": x}]).graph.output] == ["plus_2", "plus"]
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(gn.UsageError, match=r'pip install "graphnn\[onnx\]"'):
        gn.to_onnx(x + 1.0)


def test_a_size_may_be_called_as_a_word_of_pythons() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", "class"))
    y = gn.broadcast_to(gn.zeros((), graph=g), ("batch+1", "2*class"))
    model = gn.to_onnx({"y": y, "minus": -x})
    assert run(model, {x: np.ones((2, 3))})["y"].shape == (3, 6)
