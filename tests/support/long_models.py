"""Small models of ONNX whose dimensions are long: in what they declare, in what is computed of sizes, in metadata."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from long_dimensions import MOST, Long, Text, filled, long_sum, nested_maxima, texts_of
from onnx import TensorProto, helper

import graphnn as gn


def _model(kind: str, inputs: Sequence[Any], nodes: Sequence[Any], constants: Sequence[Any] = ()) -> Long:
    last = nodes[-1].output[0] if nodes else inputs[0].name
    graph = helper.make_graph(
        list(nodes), "g", list(inputs), [helper.make_empty_tensor_value_info(last)], list(constants)
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    content = model.SerializeToString()
    assert len(content) <= MOST, (kind, len(content))
    return Long(kind, len(content), lambda: gn.from_onnx(content))


def _input(name: str, shape: Sequence[Any]) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _numbers(name: str, values: Sequence[int]) -> Any:
    return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)


def _node(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> Any:
    return helper.make_node(kind, list(inputs), [output], **attributes)


_SIZE = [_node("Shape", ["x"], "s"), _node("Gather", ["s", "zero"], "v0")]
_ZERO = _numbers("zero", [0])


def _chain(kind: str, step: Callable[[int], list[Any]], times: int, shape: Sequence[Any], *constants: Any) -> Long:
    nodes = [*_SIZE, *(node for i in range(times) for node in step(i))]
    nodes.append(_node("Expand", ["one", nodes[-1].output[0]], "y"))
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    return _model(kind, [_input("x", shape)], nodes, [_ZERO, one, *constants])


def _squares(i: int) -> list[Any]:
    return [_node("Mul", [f"v{i}", f"v{i}"], f"v{i + 1}")]


def _sums(i: int) -> list[Any]:
    return [_node("Add", [f"v{i}", "one_more"], f"v{i + 1}")]


def _halves(i: int) -> list[Any]:
    return [_node("Div", [f"v{i}", "two"], f"h{i}"), _node("Add", [f"h{i}", "one_more"], f"v{i + 1}")]


def _mixed(i: int) -> list[Any]:
    """(v + 1)·v // 3: each step squares, and divides."""
    return [
        _node("Add", [f"v{i}", "one_more"], f"p{i}"),
        _node("Mul", [f"v{i}", f"p{i}"], f"q{i}"),
        _node("Div", [f"q{i}", "three"], f"v{i + 1}"),
    ]


def _maxima(i: int) -> list[Any]:
    return [
        _node("Gather", ["s", f"c{i % 8}"], f"g{i}"),
        _node("Max", [f"v{i}", f"g{i}"], f"v{i + 1}"),
    ]


def _fractions(i: int) -> list[Any]:
    """n/k becomes n/k²: n² / k² divided by n."""
    return [_node("Mul", [f"v{i}", f"v{i}"], f"q{i}"), _node("Div", [f"q{i}", "f"], f"v{i + 1}")]


def _of_fractions() -> Long:
    nodes = [
        *_SIZE,
        _node("Cast", ["v0"], "f", to=TensorProto.FLOAT),
        _node("Div", ["f", "k"], "w0"),
        *(node for i in range(200) for node in _fractions(i)),
    ]
    for node in nodes[4:]:
        node.input[:] = [f"w{name[1:]}" if name.startswith("v") else name for name in node.input]
        node.output[:] = [f"w{name[1:]}" if name.startswith("v") else name for name in node.output]
    nodes += [_node("Cast", [nodes[-1].output[0]], "r", to=TensorProto.INT64), _node("Expand", ["one", "r"], "y")]
    k = helper.make_tensor("k", TensorProto.FLOAT, [1], [3.0])
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    return _model("onnx: fractions that are squared", [_input("x", ["n"])], nodes, [_ZERO, one, k])


def _flattened(times: int, shape: Sequence[Any]) -> list[Any]:
    """Each node is an outer product, flattened."""
    nodes, at = [], "x"
    for i in range(times):
        nodes += [
            _node("Reshape", [at, "column"], f"a{i}"),
            _node("Reshape", [at, "row"], f"b{i}"),
            _node("Mul", [f"a{i}", f"b{i}"], f"c{i}"),
            _node("Reshape", [f"c{i}", "flat"], f"d{i}"),
        ]
        at = f"d{i}"
    return nodes


def _ragged(times: int) -> list[Any]:
    """Each node is joined with one that is longer by one: lengths grow as numbers of Fibonacci."""
    nodes, last, at = [], "x", "y"
    for i in range(times):
        nodes.append(_node("Concat", [last, at], f"c{i}", axis=0))
        last, at = at, f"c{i}"
    return nodes


def _told(kind: str, text: Text) -> Long:
    """Return a model with metadata of ours, in which shapes and attributes are long."""
    texts = filled(text, MOST // 2 - 15_000)
    g = gn.Graph("g", dtype="float32")
    x = g.placeholder("x", ("n",))
    zeros = [gn.zeros((f"n+{i}",), "float32", graph=g) for i in range(1, len(texts) + 1)]
    proto = gn.to_onnx({f"y{i}": y for i, y in enumerate([-x, *zeros])})
    waiting = iter(texts)
    for node in proto.graph.node:
        entries = {entry.key.removeprefix("graphnn."): entry for entry in node.metadata_props}
        if "attributes" in entries and "shape" in (attributes := json.loads(entries["attributes"].value)):
            attributes["shape"] = [next(waiting)]
            entries["attributes"].value = json.dumps(attributes)
            entries["shape"].value = json.dumps(attributes["shape"])
    assert next(waiting, None) is None
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = texts[0]
    content = proto.SerializeToString()
    assert len(content) <= MOST, (kind, len(content))
    return Long(f"onnx of ours: {kind}", len(content), lambda: gn.from_onnx(content))


def forged(few: bool = False) -> Iterator[Long]:
    """Yield forged models, or a few of each way in."""
    for name, text in texts_of(few):
        yield _told(name, text)
        found = filled(text, MOST - 4000)
        inputs = [_input(f"x{i}", [each]) for i, each in enumerate(found)]
        yield _model(f"onnx: {name}", inputs, [_node("Neg", ["x0"], "y")])
        many = filled(text, MOST // 2 - 8000)[:20]
        inputs = [_input(f"x{i}", [each]) for i, each in enumerate(many)]
        nodes = [_node("Concat", [f"x{i}" for i in range(len(many))], "y0", axis=0)]
        nodes += [_node("Concat", [f"y{i}", f"x{i % len(many)}"], f"y{i + 1}", axis=0) for i in range(300)]
        yield _model(f"onnx: joined {name}", inputs, nodes)
        nodes = [_node("Reshape", ["x0", "flat"], "z")]
        nodes += [_node("Shape", [f"x{i}"], f"s{i}") for i in range(len(many))]
        nodes += [_node("Mul", [f"s{i}", f"s{j}"], f"p{i}_{j}") for i in range(len(many)) for j in range(len(many))]
        nodes += [_node("Expand", ["one", nodes[-1].output[0]], "y")]
        one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
        yield _model(f"onnx: multiplied {name}", inputs, nodes, [_numbers("flat", [-1]), one])
    more = [_numbers("one_more", [1]), _numbers("two", [2]), _numbers("three", [3])]
    more += [_numbers(f"c{i}", [i]) for i in range(8)]
    yield _chain("onnx: sizes that are squared", _squares, 60, ["n"], *more)
    yield _chain("onnx: sums that are squared", _squares, 60, ["n+m+k+1"], *more)
    yield _chain("onnx: sizes that grow by 1", _sums, 2500, ["n"], *more)
    yield _chain("onnx: long sizes that grow by 1", _sums, 2500, [nested_maxima(0)], *more)
    yield _chain("onnx: long sums that grow by 1", _sums, 2500, [long_sum(0)], *more)
    yield _chain("onnx: quotients of quotients", _halves, 1200, ["n"], *more)
    yield _chain("onnx: quotients of squares", _mixed, 700, ["n"], *more)
    yield _chain("onnx: maxima of maxima", _maxima, 1200, [f"n{i}" for i in range(8)], *more)
    yield _of_fractions()
    shapes = [_numbers("column", [-1, 1]), _numbers("row", [1, -1]), _numbers("flat", [-1])]
    for name, shape in (("numbers", [2]), ("names", ["n"]), ("sums", ["n+m+1"]), ("long sums", [long_sum(0)])):
        yield _model(f"onnx: outer products of {name}", [_input("x", shape)], _flattened(400, shape), shapes)
        inputs = [_input("x", shape), _input("y", [*shape[:-1], "k"])]
        yield _model(f"onnx: joints of joints of {name}", inputs, _ragged(2000))
    inputs = [_input("x", [f"n{i}+1" for i in range(9)])]
    nodes = [_node("Reshape", ["x", "flat"], f"y{i}") for i in range(2500)]
    yield _model("onnx: products of nine sums", inputs, nodes, shapes)
    inputs = [_input(f"{i:x}", [chr(0x2200 + i)]) for i in range(3000)]
    yield _model("onnx: names that are no names", inputs, [_node("Neg", ["0"], "y")])
    inputs = [_input(f"x{i}", [f"n{i}"]) for i in range(1200)]
    yield _model("onnx: one joint of many", inputs, [_node("Concat", [i.name for i in inputs], "y", axis=0)])
