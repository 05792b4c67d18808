"""Damaged and hostile model files: a named error or a graph, in bounded time and memory; nothing is executed."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

import graphnn as gn
from graphnn.errors import GraphnnError

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


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", "link/hostname", "", "nul\0"])
def test_external_data_outside_the_folder_are_refused(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"\0" * 8)
    (folder / "link").symlink_to("/etc")
    proto = model("m (float[2] x) => (float[2] y) <float[2] w = {1, 2}> {y = Add(x, w)}")
    tensor = proto.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    (folder / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ValueError, match="not in the model's folder"):
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


def test_a_tensor_that_asks_for_more_than_it_has_is_refused_before_it_is_made() -> None:
    proto = model("m (float[2] x) => (float[2] y) <float[2] w = {1, 2}> {y = Add(x, w)}")
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones(2, np.float32), "w"))
    proto.graph.initializer[0].dims[:] = [2**40, 2**19]
    with pytest.raises(ValueError, match="has 8 bytes, where its shape and dtype need"):
        gn.from_onnx(proto)


def test_nodes_that_wait_for_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="wait for each other in a circle"):
        gn.from_onnx(model("m (float[2] x) => (float[2] y) {a = Add(x, b) b = Neg(a) y = Neg(b)}"))


def test_functions_that_call_themselves_end() -> None:
    proto = model("m (float[2] x) => (float[2] y) {y = Neg(x)}")
    proto.graph.node[0].op_type, proto.graph.node[0].domain = "again", "own"
    proto.opset_import.append(helper.make_opsetid("own", 1))
    body = [helper.make_node("again", ["x"], ["y"], domain="own")]
    proto.functions.append(helper.make_function("own", "again", ["x"], ["y"], body, list(proto.opset_import)))
    with pytest.raises(ValueError, match="call each other more than 50 deep"):
        gn.from_onnx(proto)
