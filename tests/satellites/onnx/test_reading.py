"""Reading ONNX models."""

import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import parser

import graphnn as gn


def model(text: str, opset: int = 17) -> onnx.ModelProto:
    return parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}]> {text}')


def test_a_node_becomes_a_scope_of_its_name_and_names_stay() -> None:
    g = gn.from_onnx(model("m (float[n, 3] x) => (float[n, 3] y) {h = Neg(x) y = Exp(h)}"))
    assert [p.name for p in g.placeholders] == ["x"]
    assert g.placeholders[0].shape == ("n", 3)
    assert g["Neg"] is g["Neg/negative"]
    x = np.array([[1.0, 2.0, 3.0]], np.float32)
    np.testing.assert_array_equal(gn.run(g.outputs["y"], {"x": x}), np.exp(-x))


def test_a_model_that_was_read_is_freed_with_its_graph() -> None:
    model = parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 22]>
        agraph (float[N] x) => (float[N] y) { y = Exp(x) }
    """)
    freed = [weakref.ref(gn.from_onnx(model)) for _ in range(3)]
    gc.collect()
    assert [graph() for graph in freed] == [None, None, None]


def test_arithmetic_on_sizes_leaves_no_node() -> None:
    g = gn.from_onnx(
        model(
            "m (float[n, t, 4] x) => (float[p, 4] y)"
            " <int64[1] first = {0}, int64[1] second = {1}, int64[1] four = {4}>"
            " {s = Shape(x) a = Gather(s, first) b = Gather(s, second) c = Mul(a, b) d = Concat<axis=0>(c, four)"
            " y = Reshape(x, d)}"
        )
    )
    assert [node.op.name for node in g] == ["placeholder", "reshape"]
    assert g.outputs["y"].shape == ("n*t", 4)


def test_all_operations_that_cannot_be_read_are_listed() -> None:
    text = "m (float[2] x) => (float[2] y) {a = Nope(x) b = Nope(a) y = Never(b)}"
    with pytest.raises(NotImplementedError, match=r'Nope \(2 nodes, the first "a"\); Never \(1 node, the first "y"\)'):
        gn.from_onnx(model(text))


def test_a_size_that_the_model_does_not_have_is_refused() -> None:
    with pytest.raises(KeyError, match=r'no dimension "sequence".* Open are n'):
        gn.from_onnx(model("m (float[n] x) => (float[n] y) {y = Neg(x)}"), sizes={"sequence": 3})


def test_inputs_are_found_by_the_names_of_the_model() -> None:
    g = gn.from_onnx(model("m (float[n] x, float[n] y) => (float[n] z) {z = Add(x, y)}"))
    assert g.inputs == {"x": g["x"], "y": g["y"]}
    assert list(g.outputs) == ["z"]


@pytest.mark.parametrize("trainable", [False, True])
def test_a_weight_is_in_the_scope_of_the_node_that_reads_it(trainable: bool) -> None:
    proto = parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> m (float[n, 2] x) => (float[n, 2] y)'
        " <float[2] unread = {9, 9}, float[2] b = {1, 2}, float[2] c = {3, 4}, float[2, 2] w = {1, 2, 3, 4}>"
        " {h = MatMul(x, w) i = Add(h, b) j = Mul(i, c) y = Sub(j, c)}"
    )
    for node in proto.graph.node:
        node.name = f"/{'first' if node.op_type in ('MatMul', 'Add') else 'second'}/{node.op_type}"
    graph = gn.from_onnx(proto, trainable=trainable)
    assert [(graph[name].name, graph[name].scope) for name in "wbc"] == [
        ("w", "first/MatMul"),
        ("b", "first/Add"),
        ("c", ""),
    ]
    assert list(graph).index(graph["x"]) == 0
    assert [node.name for node in graph.parameters] == (["w", "b", "c", "unread"] if trainable else [])
    assert ("unread" in graph) is trainable
    x = np.array([[1.0, -1.0]], np.float32)
    np.testing.assert_array_equal(gn.run(graph.outputs["y"], {"x": x}), [[-6.0, -4.0]])
    if trainable:
        assert [row.parameters for row in gn.summary(graph).rows if row.name == "first"] == [6]


def test_the_domain_of_onnx_itself_has_two_names() -> None:
    text = '<ir_version: 8, opset_import: ["%s": 18]> m (float[n] x) => (float[n] y) {h = Neg(x) y = Mish(h)}'
    proto = parser.parse_model(text % "ai.onnx")
    for node in proto.graph.node:
        node.domain = "ai.onnx"
    x = np.array([1.0, -2.0], np.float32)
    y, same = (gn.run(gn.from_onnx(each).outputs["y"], {"x": x}) for each in (proto, parser.parse_model(text % "")))
    np.testing.assert_array_equal(y, same)
    proto.graph.node[0].op_type = "Nothing"
    with pytest.raises(NotImplementedError, match=r"does not read: Nothing \(1 node"):
        gn.from_onnx(proto)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("x", np.ones(3), r'the input "x" is \(n, 3\) float32, and its value \(3,\)'),
        ("x", np.ones((2, 4)), r'the input "x" is \(n, 3\) float32, and its value \(2, 4\)'),
        ("x", np.ones((2, 3), complex), 'the input "x" is float32, and its value complex128'),
        ("w", np.ones(2), r'the input "w" is \(3,\) float32, and its value \(2,\)'),
        ("x", [[1], [2, 3]], 'the value of "x": setting an array element with a sequence'),
        ("w", [1, 2, 3], None),
    ],
)
def test_a_value_fits_its_input(name: str, value: object, why: str | None) -> None:
    proto = model("m (float[n, 3] x) => (float[n, 3] y) <float[3] w = {1, 2, 4}> {y = Mul(x, w)}")
    if why is None:
        y = gn.from_onnx(proto, values={name: value}).outputs["y"]
        np.testing.assert_array_equal(gn.run(y, {"x": np.float32([[1, 1, 1]])}), [[1, 2, 3]])
        return
    with pytest.raises(gn.GraphnnError, match=why):
        gn.from_onnx(proto, values={name: value})


def test_weights_that_shapes_follow_from_are_not_trained() -> None:
    proto = model(
        "m (float[n, 1, 2] x) => (float[n, 1, 4] y) <float[3] scales = {1, 1, 2}, float[2] w = {1, 2}>"
        " {h = Mul(x, w) y = Resize(h, , scales)}"
    )
    g = gn.from_onnx(proto, trainable=True)
    assert [node.name for node in g.parameters] == ["w"]
    np.testing.assert_array_equal(gn.run(g.outputs["y"], {"x": np.float32([[[3, 5]]])}), [[[3, 3, 10, 10]]])


@pytest.mark.parametrize(
    "body",
    [
        "y = Tile(c, k)",  # new rows, as of a token for each sample
        "twice = Concat<axis = 0>(n, n) y = Tile(x, twice)",
        "f = Cast<to = 1>(whole) y = Range(zero, f, two)",  # how PyTorch writes an arange of floats
        "a = CastLike(zero, whole) b = CastLike(two, whole) r = Range(a, whole, b) y = Cast<to = 1>(r)",  # and of ints
    ],
)
def test_how_often_and_how_far_may_be_a_size_with_a_name(body: str) -> None:
    proto = model(
        "m (float[n, 3] x, float[1, 3] c) => (float[a, b] y)"
        " <int64[1] i = {0}, int64[1] one = {1}, float zero = {0}, float two = {2}>"
        " {s = Shape(x) n = Gather(s, i) k = Concat<axis = 0>(n, one) whole = Squeeze(n) " + body + "}"
    )
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    feed = {"x": np.arange(15, dtype=np.float32).reshape(5, 3), "c": np.float32([[1, 2, 3]])}
    found = gn.run(gn.from_onnx(proto).outputs["y"], feed)
    (wanted,) = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, feed)
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)


def test_a_file_of_what_was_read_computes_the_same_bits(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    proto = model("m (float[3, 1, 65] x) => (float[3, 1, 1, 33] y) {y = RNN<hidden_size = 33>(x, w, r)}")
    for name, shape in (("w", (1, 33, 65)), ("r", (1, 33, 33))):
        proto.graph.initializer.append(onnx.numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name))
    g = gn.from_onnx(proto)
    gn.save(g, tmp_path / "read.gnn")
    feed = {"x": rng.normal(size=(3, 1, 65)).astype(np.float32)}
    again = gn.load(tmp_path / "read.gnn")
    np.testing.assert_array_equal(gn.run(again.outputs["y"], feed), gn.run(g.outputs["y"], feed))


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"sizes": ["n"]}, "sizes= must be a dict by name, not list"),
        ({"values": np.ones(2)}, "values= must be a dict by name, not ndarray"),
        ({"trainable": np.ones(2)}, "trainable= is True or False"),
    ],
)
def test_what_is_asked_of_a_model_is_checked(asked: dict[str, Any], why: str) -> None:
    with pytest.raises(gn.UsageError, match=why):
        gn.from_onnx(model("m (float[n] x) => (float[n] y) {y = Neg(x)}"), **asked)
