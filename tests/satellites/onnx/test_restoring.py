"""Models that `to_onnx` wrote, read back by their metadata; changed models and metadata that lie."""

import copy
import json
import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from random_graphs import NAMES, build, random_graph

import graphnn as gn
from graphnn import nn
from graphnn.errors import GraphnnError

Array = np.ndarray[Any, np.dtype[Any]]


def told(nodes: Any) -> dict[str, Any]:
    """Return all that is to be kept of nodes, which are all that there is."""
    names = {node.name for node in nodes}
    return {
        node.name: (
            *(node.op.name, repr(node.op.attributes), [operand.name for operand in node.inputs]),
            *(node.shape, node.dtype, node.scope, node.origin),
            node.twin.name if node.twin is not None and node.twin.name in names else None,
        )
        for node in nodes
    }


@pytest.mark.parametrize("seed", range(30))
def test_random_graphs_with_gradients_are_the_same(seed: int) -> None:
    written = [name for name in NAMES if name != "random_normal"]  # how many bits it takes depends on those before
    recipe = random_graph(np.random.default_rng(seed), ops=written, dtype=["float32", "float64"][seed % 2])
    g = gn.Graph()
    built = build(recipe, g)
    wanted = [built.result, *gn.grad(built.result, built.inputs)]
    g2 = gn.from_onnx(gn.to_onnx(wanted))
    needed = {node.name: value for node, value in built.feed.items() if node.name in g2}
    again = gn.run([g2[node.name] for node in wanted], needed)
    for one, other in zip(gn.run(wanted, built.feed), again, strict=True):
        assert one.tobytes() == other.tobytes()
    assert told(g2) == told(gn.schedule(wanted))


def classifier() -> tuple[gn.Graph, Any]:
    rng = np.random.default_rng(0)
    g = gn.Graph("classifier", dtype="float32")
    x = g.placeholder("x", shape=("batch", 2))
    labels = g.placeholder("labels", shape=("batch",), dtype="int64")
    network = nn.Sequential(nn.Dense(4, rng=rng), nn.Tanh(), nn.Dropout(0.2), nn.Dense(3, rng=rng))
    loss = nn.softmax_crossentropy(network(x, training=True), labels)
    return g, gn.compile({"loss": loss}, nn.Adam(0.05).updates(loss))


FED = {"x": np.linspace(-1, 1, 12, dtype=np.float32).reshape(6, 2), "labels": np.array([0, 1, 2, 0, 1, 2])}


def test_a_training_step_goes_on_to_the_bit() -> None:
    g, step = classifier()
    step(FED)
    g2 = gn.from_onnx(gn.to_onnx(step))
    assert (g2.name, g2.dtype) == ("classifier", np.dtype("float32"))
    assert told(g2) == told(gn.schedule([*step.fetches, *step.updates.values(), *step.updates]))
    assert {p.name: n.name for p, n in g2.updates.items()} == {p.name: n.name for p, n in step.updates.items()}
    assert [p.name for p in g2.parameters if p.trainable] == [p.name for p in g.parameters if p.trainable]
    assert {path: (s.kind, s.phase, s.origin) for path, s in g2.scopes.items()} == {
        path: (s.kind, s.phase, s.origin) for path, s in g.scopes.items() if path in g2.scopes
    }
    again = gn.compile(g2.outputs["loss"], g2.updates)
    for _ in range(3):
        assert step(FED)["loss"].tobytes() == again(FED).tobytes()
    assert all(g[p.name].value.tobytes() == p.value.tobytes() for p in g2.parameters)


def test_parameters_that_were_inputs_are_placeholders() -> None:
    g, step = classifier()
    g2 = gn.from_onnx(gn.to_onnx(step, state="inputs"))
    assert (len(g2.parameters), len(g2.updates)) == (0, 0)
    state = {node.name: node.value for node in g.state if node.name in g2}
    assert gn.run(g2.outputs["loss"], FED | state).tobytes() == step(FED)["loss"].tobytes()


def test_an_output_that_is_called_as_another_node() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    h = gn.exp(x, name="h")
    with g.scope("s"):
        y = gn.negative(h)
    g2 = gn.from_onnx(gn.to_onnx({"h": y, "s": h, "again": y, "same": x}))
    assert {name: node.op.name for name, node in g2.outputs.items()} == {
        "h": "negative",
        "s": "exp",
        "again": "negative",
        "same": "placeholder",
    }
    assert g2.outputs["h"].scope == "s"


# --- models that were changed ---------------------------------------------------------------------------------------


def small() -> onnx.ModelProto:
    """Return a model of groups of one and of several ONNX nodes, with sizes, constants and gradients."""
    g = gn.Graph("small", dtype="float32")
    x = g.placeholder("x", shape=("n", 3))
    with g.scope("block"):
        h = gn.softplus(x @ g.parameter("w", np.linspace(-1, 1, 9, dtype="float32").reshape(3, 3)), name="soft")
        y = gn.reshape(gn.tanh(h) * g.constant([0.5, 2.0, -1.0], "c"), "3*n", name="flat")
    loss = gn.mean(gn.square(y))
    model: onnx.ModelProto = gn.to_onnx({"y": y, "slope": gn.grad(loss, x)})
    return model


X = {"x": np.linspace(-2, 2, 12, dtype=np.float32).reshape(4, 3)}


def values(g: gn.Graph) -> dict[str, Array]:
    return {name: gn.run(node, X) for name, node in g.outputs.items()}


def bare(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model without its metadata."""
    found = copy.deepcopy(model)
    for part in (found, *found.graph.input, *found.graph.initializer, *found.graph.node):
        del part.metadata_props[:]
    return found


def check(model: onnx.ModelProto, changed: bool = True) -> gn.Graph:
    """Return the graph of a model, of which no more is believed than is so."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        g = gn.from_onnx(model)
    assert any("is not as graphnn wrote it" in str(each.message) for each in caught) is changed
    expected = values(gn.from_onnx(bare(model)))
    for name, value in values(g).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6)
    return g


def node_of(model: onnx.ModelProto, name: str) -> Any:
    return next(node for node in model.graph.node if node.output[-1] == name)


def as_sigmoid(model: onnx.ModelProto) -> None:
    node_of(model, "block/tanh").op_type = "Sigmoid"


def as_exp_inside(model: onnx.ModelProto) -> None:
    next(node for node in model.graph.node if node.name.startswith("block/soft/Abs")).op_type = "Neg"


def other_constant(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        if tensor.name.startswith("constants/float32"):
            tensor.CopyFrom(
                onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) + np.float32(0.5), tensor.name)
            )


def other_operand(model: onnx.ModelProto) -> None:
    node_of(model, "block/tanh").input[0] = "block/matmul"


def probe(model: onnx.ModelProto) -> None:
    inside = next(node for node in model.graph.node if node.name.startswith("block/soft/"))
    model.graph.output.append(onnx.helper.make_tensor_value_info(inside.output[0], 1, None))


def inserted(model: onnx.ModelProto) -> None:
    node_of(model, "block/multiply").input[0] = "half"
    place = list(model.graph.node).index(node_of(model, "block/multiply"))
    model.graph.node.insert(place, onnx.helper.make_node("Neg", ["block/tanh"], ["half"]))


def other_size(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "rows"


@pytest.mark.parametrize(
    "change",
    [as_sigmoid, as_exp_inside, other_constant, other_operand, probe, inserted, other_size],
)
def test_a_changed_group_is_read_from_its_nodes(change: Callable[[onnx.ModelProto], None]) -> None:
    model = small()
    before = values(check(model, changed=False))
    change(model)
    g = check(model)
    assert any(not np.array_equal(before[name], value) for name, value in values(g).items() if name in before) or (
        change in (probe, other_size)
    )


def test_what_was_not_changed_is_kept() -> None:
    model = small()
    whole = told(gn.from_onnx(model))
    as_sigmoid(model)
    g = check(model)
    kept = told(g)
    assert {name for name in whole if kept.get(name, ())[:2] != whole[name][:2]} == {"block/tanh"}
    assert g["block/w"].trainable
    assert {"block", "block/tanh_Sigmoid"} <= g.scopes.keys()


def test_sizes_and_values_are_for_the_nodes_of_onnx() -> None:
    model = small()
    g = gn.from_onnx(model, sizes={"n": 4})
    assert g["x"].shape == (4, 3)
    assert not g.parameters
    assert "block/soft" in g.scopes
    kept = gn.extract(gn.from_onnx(model).outputs, sizes={"n": 4})
    np.testing.assert_allclose(gn.run(kept.outputs["y"], X), gn.run(g.outputs["y"], X), rtol=1e-5)
    fixed = gn.from_onnx(model, values=X)
    np.testing.assert_allclose(gn.run(fixed.outputs["y"]), gn.run(kept.outputs["y"], X), rtol=1e-5)


def test_trainable_makes_parameters_of_constants_too() -> None:
    model = small()
    assert {node.name for node in gn.from_onnx(model).parameters} == {"block/w"}
    assert {node.name for node in gn.from_onnx(model, trainable=True).parameters} >= {"block/w", "block/c"}


# --- metadata that lie ----------------------------------------------------------------------------------------------


def put(part: Any, key: str, value: str) -> None:
    for entry in part.metadata_props:
        if entry.key == f"graphnn.{key}":
            entry.value = value
            return
    part.metadata_props.add(key=f"graphnn.{key}", value=value)


def test_an_unknown_format_is_said_and_not_read() -> None:
    model = small()
    put(model, "format", "2")
    with pytest.warns(gn.GraphnnWarning, match="in the format '2', and this graphnn reads format 1") as caught:
        g = gn.from_onnx(model)
    assert caught[0].filename == __file__
    assert not g.parameters


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("op", "sin"),
        ("op", "placeholder"),
        ("op", "no such"),
        ("attributes", '{"axis": 0}'),
        ("attributes", "[" * 100_000),
        ("operands", '["block/w"]'),
        ("operands", '["block/tanh"]'),
        ("operands", "[]"),
        ("operands", "[[]]"),
        ("shape", '["n", 4]'),
        ("dtype", "float64"),
        ("name", "block/c"),
        ("name", "a\0b"),
        ("parts", "2"),
        ("inner", "{}"),
        ("inner", '[{"tensor": "x"}]'),
    ],
)
def test_a_lie_is_not_believed(key: str, value: str) -> None:
    model = small()
    put(node_of(model, "block/tanh"), key, value)
    g = check(model)
    assert "block/soft" in told(g)


@pytest.mark.parametrize("value", ["", "{", "[]", "null", "[" * 100_000, '{"dtype": 3}', "[[1]]"])
@pytest.mark.parametrize("key", ["graph", "scopes", "updates"])
def test_what_is_said_of_the_model_may_be_nothing(key: str, value: str) -> None:
    model = small()
    put(model, key, value)
    check(model, changed=(key, value) == ("updates", '{"dtype": 3}'))


def test_updates_and_scopes_that_cannot_be() -> None:
    model = small()
    put(model, "updates", json.dumps({"block/w": "y", "x": "y", "none": "none"}))
    rows = [["a", "", "forward", "", 0], ["b", "", "no phase", "", -1], ["block", "", "forward", "x:y", -1], [1], None]
    rows += [["deep/0", "", "forward", "", -1], ["empty", "", "forward", "", -1]]
    rows += [[f"deep/{i}", "", "forward", "", i + 4 + (i > 1)] for i in range(1, 3000)]
    put(model, "scopes", json.dumps(rows))
    put(node_of(model, "block/tanh"), "scope", "deep/999")
    put(node_of(model, "block/soft"), "scope", "deep/1000")
    g = check(model)
    assert not g.updates
    assert {"block", "deep/0", "deep/999"} <= g.scopes.keys()
    assert not {"empty", "a", "b", "deep/1000"} & g.scopes.keys()
    assert (g["block/tanh"].scope, g["block/soft"].scope) == ("deep/999", "")


TEXTS = [
    "",
    "x",
    "block/w",
    "block",
    "block/soft",
    "y",
    "[]",
    "{}",
    "0",
    "-1",
    "1e999",
    "null",
    '["x", "block/w"]',
    "\0",
    "exp",
    "float16",
]


def test_no_distortion_of_metadata_gives_another_graph() -> None:
    chance = random.Random(7)
    whole = small()
    expected = values(gn.from_onnx(bare(whole)))
    parts = [whole, *whole.graph.input, *whole.graph.initializer, *whole.graph.node]
    texts = [*TEXTS, *(entry.value for part in parts for entry in part.metadata_props)]
    counts = {"graph": 0, "error": 0}
    for _ in range(250):
        model = copy.deepcopy(whole)
        parts = [model, *model.graph.input, *model.graph.initializer, *model.graph.node]
        parts = [part for part in parts if part.metadata_props]
        for _ in range(chance.choice([1, 1, 2, 8])):
            part = chance.choice(parts)
            entry = chance.choice(part.metadata_props)
            match chance.randrange(4):
                case 0 if entry.value:
                    at = chance.randrange(len(entry.value))
                    entry.value = entry.value[:at] + chance.choice('0"[]{},x') + entry.value[at + 1 :]
                case 1:
                    entry.key = chance.choice(chance.choice(parts).metadata_props).key
                case 2:
                    del part.metadata_props[:]
                    part.metadata_props.extend(chance.choice(parts).metadata_props)
                case _:
                    entry.value = chance.choice(texts)
            parts = [part for part in parts if part.metadata_props]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gn.GraphnnWarning)
            try:
                g = gn.from_onnx(model)
            except GraphnnError:
                counts["error"] += 1
                continue
        counts["graph"] += 1
        feed = {node.name: X["x"] for node in g.placeholders}
        for name, node in g.outputs.items():
            np.testing.assert_allclose(gn.run(node, feed), expected[name], rtol=1e-5, atol=1e-6)
    assert counts["graph"] >= 240, counts


def test_a_weight_of_which_the_metadata_lie_is_a_parameter_where_it_is_asked_for() -> None:
    g = gn.Graph(dtype="float32")
    x = g.placeholder("x", shape=("n", 3))
    model = gn.to_onnx({"y": x @ g.parameter("w", np.ones((3, 2), np.float32))})
    (about,) = (each for each in model.graph.initializer[0].metadata_props if each.key == "graphnn.dtype")
    about.value = "float64"
    with pytest.warns(gn.GraphnnWarning, match='of 1 tensor, the first "w"'):
        again = gn.from_onnx(model, trainable=True)
    assert [node.name for node in again] == ["x", "w", "matmul"]
    assert [node.name for node in again.parameters] == ["w"]


# --- names for positions --------------------------------------------------------------------------------------------


def labelled() -> tuple[Any, gn.Node]:
    g = gn.Graph("pets")
    x = g.placeholder("x", ("batch", "feature"), "float32")
    logits = gn.multiply(x @ g.parameter("w", np.ones((2, 3), "float32")), 2.0, name="logits")
    g.labels["feature"] = ["age", "weight"]
    g.labels[logits, 1] = ["cat", "dog", "fish"]
    return gn.to_onnx(gn.softmax(logits)), logits


def test_labels_come_back() -> None:
    model, _ = labelled()
    again = gn.from_onnx(model)
    assert {getattr(key[0], "name", key) if isinstance(key, tuple) else key for key in again.labels} == {
        "feature",
        "logits",
    }
    assert again.labels["logits", 1] == ("cat", "dog", "fish")
    assert again.labels["feature"] == ("age", "weight")


@pytest.mark.parametrize(
    "rows",
    [
        '[["logits", 1, ["cat"]]]',
        '[["logits", 1, "cat"]]',
        '[["logits", 1, [1, 2, 3]]]',
        '[["logits", 1, ["\\u001b[31m", "b", "c"]]]',
        '[["logits", 9, ["cat", "dog", "fish"]]]',
        '[["logits", true, ["cat", "dog", "fish"]]]',
        '[["other", 0, ["a"]], ["other", -1, ["a"]]]',
        '[[["logits"], 1, ["cat", "dog", "fish"]], 7, null, {}]',
        '{"logits": 1}',
        "[" * 100_000,
    ],
)
def test_labels_that_cannot_be_are_left_out(rows: str) -> None:
    model, _ = labelled()
    for each in model.metadata_props:
        if each.key == "graphnn.labels":
            each.value = rows
    assert not gn.from_onnx(model).labels
