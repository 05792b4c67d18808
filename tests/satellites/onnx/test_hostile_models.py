"""Damaged and hostile model files: a named error or a graph, in bounded time and memory; nothing is executed."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import long_dimensions
import long_models
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

import graphnn as gn
from graphnn.errors import GraphnnError, GraphnnWarning

TEXTS = [
    "m (float[n, 3] x) => (float[n, 3] y) {h = Neg(x) y = Exp(h)}",
    "m (float[n, t, 4] x) => (float[p, 4] y)"
    " <int64[1] first = {0}, int64[1] second = {1}, int64[1] four = {4}>"
    " {s = Shape(x) a = Gather(s, first) b = Gather(s, second) c = Mul(a, b) d = Concat<axis=0>(c, four)"
    " y = Reshape(x, d)}",
    "m (float[2, 3, 5] x, int64[2] i) => (float[2, 3, 5] y, float[1, 3, 5] z)"
    " <float[3, 1] w = {1.5, 2, -3}, int64[1] zero = {0}, int64[1] one = {1}>"
    " {a = Add(x, w) y = Clip(a) z = Slice(a, zero, one) q = Transpose<perm = [2, 0, 1]>(a) u = Unsqueeze(q, zero)}",
]


def model(text: str) -> onnx.ModelProto:
    return parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> {text}')


def written() -> onnx.ModelProto:
    """Return a model that graphnn wrote, with its metadata."""
    g = gn.Graph(dtype="float32")
    x = g.placeholder("x", shape=("n", 3))
    with g.scope("layer"):
        y = gn.softplus(x @ g.parameter("w", np.ones((3, 3), np.float32))) + g.constant([0.5, 2.0, -1.0], "c")
    made: onnx.ModelProto = gn.to_onnx({"y": y, "slope": gn.grad(gn.mean(y), x)})
    return made


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Return a file of a model with some bytes changed, cut out, doubled or moved."""
    found = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 5, 20])):
        at = chance.randrange(len(found))
        match chance.randrange(5):
            case 0:
                found[at] ^= 1 << chance.randrange(8)
            case 1:
                found[at] = chance.choice([0, 1, 127, 128, 255])
            case 2:
                del found[at : at + chance.randrange(1, 9)]
            case 3:
                found[at:at] = found[at : at + chance.randrange(1, 30)]
            case _:
                found[at:at] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 5)))
        if not found:
            break
    return bytes(found)


NUMBERS = [0, 1, -1, 2, 3, 7, -(2**31), 2**31, 2**62, -(2**63), 2**63 - 1]
KINDS = ["Add", "Reshape", "Slice", "Gather", "Concat", "Cast", "Split", "Expand", "Tile", "Range", "ConstantOfShape"]


def distorted(proto: onnx.ModelProto, chance: random.Random) -> onnx.ModelProto:
    """Return a model that is one by its form, and in which some fields hold what nobody would write."""
    found = onnx.ModelProto()
    found.CopyFrom(proto)
    graph = found.graph
    for _ in range(chance.choice([1, 1, 2, 4])):
        node = chance.choice(graph.node)
        names = [name for each in graph.node for name in (*each.input, *each.output)]
        match chance.randrange(10):
            case 0:
                node.op_type = chance.choice(KINDS)
            case 1:
                node.input[chance.randrange(len(node.input))] = chance.choice([*names, "", "nowhere"])
            case 2:
                node.output[0] = chance.choice([*names, ""])
            case 3:
                name = chance.choice(["axis", "to", "perm", "start", "keepdims", "value", "allowzero"])
                value = chance.choice([chance.choice(NUMBERS), 1e300, "text", [chance.choice(NUMBERS)] * 3, [0.5]])
                node.attribute.append(helper.make_attribute(name, value))
            case 4:
                graph.node.append(node)
            case 5:
                dims = graph.input[0].type.tensor_type.shape.dim
                dims[chance.randrange(len(dims))].dim_value = chance.choice(NUMBERS)
            case 6 if graph.initializer:
                graph.initializer[0].dims[:] = [chance.choice(NUMBERS)] * chance.randrange(4)
            case 7 if graph.initializer:
                chance.choice(graph.initializer).data_type = chance.randrange(25)
            case 8 if node.metadata_props:
                parts = [found, *graph.input, *graph.initializer, *graph.node]
                entries = [entry for part in parts for entry in part.metadata_props]
                for _ in range(3):
                    chance.choice(entries).value = chance.choice(entries).value
            case 9:
                graph.input[0].type.tensor_type.elem_type = chance.randrange(25)
    return found


def outcomes(models: Iterator[object]) -> Counter[str]:
    """Return how often a graph was made, and how often a named error raised."""
    counts: Counter[str] = Counter()
    for each in models:
        try:
            gn.from_onnx(each)
        except GraphnnError:
            counts["error"] += 1
        else:
            counts["graph"] += 1
    return counts


@pytest.mark.filterwarnings("ignore::graphnn.GraphnnWarning")
def test_damaged_files_give_a_graph_or_a_named_error() -> None:
    chance = random.Random(22)
    contents = [each.SerializeToString() for each in (*map(model, TEXTS), written())]
    counts = outcomes(damaged(contents[k % len(contents)], chance) for k in range(1000))
    assert counts["graph"] >= 15, counts
    assert counts["error"] >= 500, counts


@pytest.mark.filterwarnings("ignore::graphnn.GraphnnWarning")
def test_distorted_models_give_a_graph_or_a_named_error() -> None:
    chance = random.Random(23)
    protos = [*map(model, TEXTS), written()]
    counts = outcomes(distorted(protos[k % len(protos)], chance) for k in range(1000))
    assert counts["graph"] >= 100, counts
    assert counts["error"] >= 500, counts


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", "link/hostname", "", "nul\0", "loop", "a" * 300])
def test_external_data_outside_the_folder_are_refused(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"\0" * 8)
    (folder / "link").symlink_to("/etc")
    (folder / "loop").symlink_to("loop")
    proto = model("m (float[2] x) => (float[2] y) <float[2] w = {1, 2}> {y = Add(x, w)}")
    tensor = proto.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    (folder / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ValueError, match=r"(not|no such file) in the model's folder"):
        gn.from_onnx(folder / "m.onnx")


def test_external_data_are_mapped_and_their_place_is_checked(tmp_path: Path) -> None:
    proto = model("m (float[2] x) => (float[2] y) <float[2] w = {1, 2}> {y = Add(x, w)}")
    tensor = proto.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w.bin")
    offset = tensor.external_data.add(key="offset", value="4")
    (tmp_path / "w.bin").write_bytes(np.array([9.0, 1.0, 2.0], "<f4").tobytes())
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    g = gn.from_onnx(tmp_path / "m.onnx")
    np.testing.assert_array_equal(gn.run(g.outputs["y"], {"x": np.zeros(2, np.float32)}), [1, 2])
    offset.value = "8"
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ValueError, match="that it does not have"):
        gn.from_onnx(tmp_path / "m.onnx")


def test_an_error_says_of_which_file_it_is(tmp_path: Path) -> None:
    proto = model("m (float[2] x) => (float[2] y) <float[2] w = {1, 2}> {y = Add(x, w)}")
    proto.graph.initializer[0].float_data.append(3.0)
    (tmp_path / "two.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ValueError, match=r"^two\.onnx: the tensor 'w' has 3 numbers"):
        gn.from_onnx(tmp_path / "two.onnx")


def test_a_tensor_that_asks_for_more_than_it_has_is_refused_before_it_is_made() -> None:
    proto = model("m (float[2] x) => (float[2] y) <float[2] w = {1, 2}> {y = Add(x, w)}")
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones(2, np.float32), "w"))
    proto.graph.initializer[0].dims[:] = [2**40, 2**19]
    with pytest.raises(ValueError, match="has 8 bytes, where its shape and dtype need"):
        gn.from_onnx(proto)


def test_nodes_that_wait_for_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="nodes form a cycle"):
        gn.from_onnx(model("m (float[2] x) => (float[2] y) {a = Add(x, b) b = Neg(a) y = Neg(b)}"))


def test_functions_that_call_themselves_end() -> None:
    proto = model("m (float[2] x) => (float[2] y) {y = Neg(x)}")
    proto.graph.node[0].op_type, proto.graph.node[0].domain = "again", "own"
    proto.opset_import.append(helper.make_opsetid("own", 1))
    body = [helper.make_node("again", ["x"], ["y"], domain="own")]
    proto.functions.append(helper.make_function("own", "again", ["x"], ["y"], body, list(proto.opset_import)))
    with pytest.raises(ValueError, match="call each other more than 50 deep"):
        gn.from_onnx(proto)


# --- what nobody would write ----------------------------------------------------------------------------------------


def refused(proto: object) -> str:
    with pytest.raises(GraphnnError) as error:
        gn.from_onnx(proto)
    return str(error.value)


def of_one(
    op: str, inputs: dict[str, list[int]], arrays: dict[str, object], outs: int = 1, **settings: object
) -> onnx.ModelProto:
    node = helper.make_node(op, [*inputs, *arrays], [f"y{i}" for i in range(outs)], "it", **settings)
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in node.output]
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    whole = helper.make_graph([node], "one", given, made, tensors)
    return helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (1.0, "a float"),
        ("1", "a text"),
        ([1], "ints"),
        (["a"], "texts"),
        (numpy_helper.from_array(np.ones(1)), "a tensor"),
        (helper.make_graph([], "g", [], []), "a graph"),
    ],
)
def test_an_attribute_of_another_type_is_refused(value: object, what: str) -> None:
    proto = of_one("Softmax", {"x": [2, 3]}, {}, axis=value)
    assert f"the Softmax \"it\": its attribute 'axis' is {what}, and must be an int" in refused(proto)


@pytest.mark.parametrize(
    ("proto", "why"),
    [
        (of_one("TopK", {"x": [2, 3]}, {"k": [4]}, 2), "it takes 4 of 3 elements"),
        (of_one("TopK", {"x": [2, 3]}, {"k": [-1]}, 2), "it takes -1 of 3 elements"),
        (of_one("Split", {"x": [3]}, {"s": [1, 1]}, 2), "it cuts an axis of 3 into parts of [1, 1]"),
        (of_one("Split", {"x": [3]}, {"s": [4, -1]}, 2), "it cuts an axis of 3 into parts of [4, -1]"),
        (of_one("RNN", {"x": [3, 1, 2], "w": [1, 4, 2], "r": [1, 4, 4]}, {}, hidden_size=5), "its hidden_size is 5"),
        (of_one("MaxPool", {"x": [1, 1, 8, 8]}, {}, kernel_shape=[2, 2], pads=[1, 1]), "[1, 1], where 4 numbers are"),
        (of_one("Conv", {"x": [1, 1, 8, 8], "w": [1, 1, 3, 3]}, {}, strides=[2]), "[2], where 2 numbers are needed"),
        (
            of_one("DepthToSpace", {"x": [1, 4, 2, 2]}, {}, blocksize=2, mode="dcr"),
            "its mode is 'dcr', and graphnn knows",
        ),
        (
            of_one("BitShift", {"x": [2]}, {"n": [1.0]}, direction="left"),
            "its direction is 'left', and graphnn knows 'LEFT'",
        ),
        (
            of_one("RNN", {"x": [3, 1, 2], "w": [1, 4, 2], "r": [1, 4, 4]}, {}, direction="both"),
            "knows 'forward', 'rev",
        ),
        (of_one("MaxPool", {"x": [1, 1, 8, 8]}, {}, kernel_shape=[2]), "[2], where 2 numbers are needed"),
        (of_one("MaxPool", {"x": [1, 1, 8, 8]}, {}, kernel_shape=[2, 2], auto_pad="SAME"), "SAME_LOWER, not 'SAME'"),
        (of_one("ConvTranspose", {"x": [1, 1, 8, 8], "w": [1, 1, 3, 3]}, {}, auto_pad="SAME"), "not 'SAME'"),
        (of_one("Conv", {"x": [1, 1, 8, 8], "w": [1, 1, 3, 3]}, {}, kernel_shape=[3, 1]), "its kernel_shape is [3, 1]"),
    ],
)
def test_numbers_that_fit_nothing_are_refused(proto: object, why: str) -> None:
    assert why in refused(proto)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("m (float[n] x) => (float[n] x) {x = Neg(x)}", "'x' is made by a node, and given besides"),
        ("m (float[n] x) => (float[n] w) <float[1] w = {1}> {w = Neg(x)}", "'w' is made by a node, and given besides"),
        ("m (float[n] x) => (float[n] y) {y, y = Split<axis = 0>(x)}", "'y' is made twice"),
        ("m (float[n] x) => (float[n] y) {y = Neg(x) y = Abs(x)}", "'y' is made twice"),
    ],
)
def test_a_name_for_two_things_is_refused(text: str, why: str) -> None:
    assert why in refused(model(text))


def branched(*nodes: onnx.NodeProto, tensors: tuple[onnx.TensorProto, ...] = ()) -> onnx.ModelProto:
    """Return a model with an If, whose branches are these nodes and make what is called as its own output."""
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    body = helper.make_graph(nodes, "body", [], [out], tensors)
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [2]),
        helper.make_tensor_value_info("flag", TensorProto.BOOL, []),
    ]
    choice = helper.make_node("If", ["flag"], ["y"], then_branch=body, else_branch=body)
    whole = helper.make_graph([choice, helper.make_node("Neg", ["x"], ["later"])], "m", inputs, [out])
    return helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_names_in_a_branch_are_its_own_and_those_around_it_are_read() -> None:
    one = numpy_helper.from_array(np.float32(1.0), "one")
    add, double = helper.make_node("Add", ["later", "one"], ["h"]), helper.make_node("Add", ["h", "h"], ["y"])
    graph = gn.from_onnx(branched(add, double, tensors=(one,)))
    feed = {"x": np.float32([3.0, -1.0]), "flag": np.array(True)}
    np.testing.assert_array_equal(gn.run(graph.outputs["y"], feed), [-4.0, 4.0])
    assert "a subgraph has two initializers of one name" in refused(branched(add, double, tensors=(one, one)))
    assert "'h' is made twice" in refused(branched(add, add, double, tensors=(one,)))
    sparse = branched(add, double, tensors=(one,))
    for attribute in sparse.graph.node[0].attribute:
        attribute.g.sparse_initializer.append(
            helper.make_sparse_tensor(one, numpy_helper.from_array(np.array([0])), [2**40])
        )
    assert "a subgraph has sparse initializers" in refused(sparse)
    assert "form a cycle" in refused(
        branched(helper.make_node("Add", ["x", "y"], ["h"]), helper.make_node("Neg", ["h"], ["z"]))
    )


@pytest.mark.parametrize(
    ("kind", "field", "number"),
    [(3, "int32_data", 300), (2, "int32_data", -1), (10, "int32_data", 70000), (12, "uint64_data", 2**40)],
)
def test_a_number_that_its_dtype_does_not_hold_is_refused(kind: int, field: str, number: int) -> None:
    proto = of_one("Cast", {}, {"w": [1.0]}, to=1)
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_type = kind
    getattr(tensor, field).append(number)
    assert "has a number that its dtype does not hold" in refused(proto)


@pytest.mark.parametrize("version", [0, -1, 2**40])
def test_an_opset_that_there_is_not_is_refused(version: int) -> None:
    proto = model(TEXTS[0])
    proto.opset_import[0].version = version
    assert f"is of opset {version}" in refused(proto)


def test_a_newer_opset_is_read_with_a_warning() -> None:
    proto = model(TEXTS[0])
    proto.opset_import[0].version = 999
    with pytest.warns(GraphnnWarning, match="is of opset 999, and read as one of") as told:
        gn.from_onnx(proto)
    assert told[0].filename == __file__


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GraphnnError, match="is neither a file nor a pipe"):
        gn.from_onnx(tmp_path)
    for path in ("a\0b", "\ud800"):
        with pytest.raises(gn.UsageError, match="no file can be called"):
            gn.from_onnx(path)
        with pytest.raises(gn.UsageError, match="no file can be called"):
            gn.to_onnx(gn.Graph().placeholder("x"), path)
    with pytest.raises(gn.UsageError, match=r"a path is text or a pathlib\.Path, not int"):
        gn.to_onnx(gn.Graph().placeholder("x"), 5)


def test_what_long_dimensions_of_a_model_take_is_bounded() -> None:
    endings: Counter[str] = Counter()
    for long in long_models.forged(few=True):
        with long_dimensions.counted() as work:
            told = long_dimensions.told_of(long)
        assert work.total() < 600_000, (long.kind, work)
        assert len(told) < 4000, long.kind
        endings["loaded" if told.endswith(" nodes") else "refused"] += 1
    assert min(endings["loaded"], endings["refused"]) >= 8
