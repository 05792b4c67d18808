"""Small files whose dimensions are long: texts that multiply out, and nodes that make a dimension longer and longer.

`forged` gives files of graphs and of runs, models of ONNX and graphs of NetworkX, each of at most `MOST` bytes, each
with how it is loaded. Whether one is refused does not matter here; how much work it takes does.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import count, product
from pathlib import Path
from typing import Any, NamedTuple

import networkx as nx
import numpy as np
from forging import Forgery, overwrite, written
from onnx import TensorProto, helper

import graphnn as gn
from graphnn.files import to_data

MOST = 100_000
"""Bytes of a file."""
_LONGEST = 4000
"""Characters of a dimension that is taken at all."""
Text = Callable[[int], str]
"""A text of a dimension for a number; another one for another number."""


class Long(NamedTuple):
    """A forged file: what is long in it, its size in bytes, and a function that loads it."""

    kind: str
    size: int
    load: Callable[[], Any]


# --- texts ----------------------------------------------------------------------------------------------------------


def _name(i: int) -> str:
    return f"{'abcdefghijklm'[i % 13]}{i // 13 or ''}"


def _repeated(unit: str, sign: str, most: int = _LONGEST) -> str:
    return sign.join([unit] * ((most + len(sign)) // (len(unit) + len(sign))))


def _power(name: str, n: int) -> str:
    return "*".join([f"(1+{name})"] * n)


def _two_powers(i: int) -> str:
    """Nearly a thousand terms as a product of two; what is left of many products is few terms, or none."""
    a, b = _name(2 * i), _name(2 * i + 1)
    unit = f"{_power(a, 15)}*{_power(b, 15)}*({_power(a, 15)}*{_power(b, 15)})"
    return f"{_repeated(f'{unit}-{unit}', '+', _LONGEST - 10)}+{a}"


def _high_power(i: int) -> str:
    unit = _power(_name(i), 98)
    return f"{_repeated(f'{unit}-{unit}', '+', _LONGEST - 10)}+{_name(i)}"


def _many_names(i: int) -> str:
    unit = "*".join(f"(1+{_name(9 * i + k)})" for k in range(9))
    return f"{_repeated(f'{unit}-{unit}', '+', _LONGEST - 10)}+{_name(i)}"


def _opposite(i: int) -> str:
    """Products of which nothing is left but the first and the last term."""
    a = _name(i)
    rising = "+".join(["1", *("*".join([a] * k) for k in range(1, 30))])
    unit = f"({rising})*({a}-1)"
    return _repeated(unit, "-")


def _long_sum(i: int) -> str:
    found = "+".join(f"{_name(i)}_{k:x}" for k in range(900))
    return found[: found.rindex("+", 0, _LONGEST)]


def _power_of_a_sum(i: int) -> str:
    inner = "+".join(_name(6 * i + k) for k in range(6))
    unit = "*".join([f"({inner})"] * 5)
    return f"{_repeated(f'{unit}-{unit}', '+', _LONGEST - 10)}+{_name(i)}"


def _nested_quotients(i: int) -> str:
    return "(" * 180 + _name(i) + "//2+1)" * 180


def _nested_maxima(i: int) -> str:
    return "max(" * 90 + _name(2 * i) + f"-{_name(2 * i + 1)}, 0)" * 90


def _falling_maxima(i: int) -> str:
    return "max(" * 90 + _name(i) + "-1, 0)" * 90


def _quotients_of_powers(i: int) -> str:
    a, b = _name(2 * i), _name(2 * i + 1)
    unit = f"({_power(a, 20)}*{_power(b, 20)})//({a}*{b})"
    return _repeated(unit, "-")


def _quotients_of_sums(i: int) -> str:
    a, b = _name(2 * i), _name(2 * i + 1)
    unit = f"({_power(a, 15)}*{_power(b, 15)}*7)//({_power(a, 15)}*{_power(b, 15)})"
    return _repeated(unit, "-")


def _long_numbers(i: int) -> str:
    return f"{_repeated(str(10**59 + i), '*', _LONGEST - 20)}*{_name(i)}"


def _minus(i: int) -> str:
    return f"{'-' * 900}{_name(i)}"


def _differences(i: int) -> str:
    return f"{_repeated(f'{_name(i)}-{_name(i + 1)}', '-', _LONGEST - 20)}+9*{_name(i)}"


def _quotients_of_sums_of_names(i: int) -> str:
    return f"({_long_sum(i)[:3900].rpartition('+')[0]})//(2*{_name(i)}+1)"


def _random(i: int) -> str:
    rng = np.random.default_rng([77, i])

    def text(budget: int, depth: int) -> str:
        if budget < 12 or depth > 40:
            return [_name(int(rng.integers(4))), str(rng.integers(1, 9)), f"(1+{_name(int(rng.integers(4)))})"][
                rng.integers(3)
            ]
        part = int(rng.integers(3, budget - 6))
        left, right = text(part, depth + 1), text(budget - part, depth + 1)
        way = rng.choice(5, p=[0.2, 0.2, 0.45, 0.08, 0.07])
        return [
            f"({left}+{right})",
            f"({left}-{right})",
            f"{left}*{right}",
            f"({left}//{right})",
            f"max({left}, 0)*{right}",
        ][way]

    return text(1500, 0)[:_LONGEST]


TEXTS: dict[str, Text] = {
    "products of two powers": _two_powers,
    "high powers": _high_power,
    "products of many sums": _many_names,
    "products of opposite sums": _opposite,
    "long sums": _long_sum,
    "powers of a sum": _power_of_a_sum,
    "nested quotients": _nested_quotients,
    "nested maxima": _nested_maxima,
    "falling maxima": _falling_maxima,
    "quotients of powers": _quotients_of_powers,
    "quotients of products": _quotients_of_sums,
    "quotients of long sums": _quotients_of_sums_of_names,
    "long numbers": _long_numbers,
    "many signs": _minus,
    "differences": _differences,
    "random": _random,
}


def _filled(text: Text, most: int, least: int = 0) -> list[str]:
    """Return texts of so many characters together."""
    found: list[str] = []
    for i in count(least):
        found.append(text(i))
        most -= len(found[-1]) + 20
        if most < 0:
            return found[:-1] or found
    raise AssertionError


# --- files of graphs ------------------------------------------------------------------------------------------------


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


def _file(kind: str, forgery: Forgery) -> Long:
    content = written(forgery)
    assert len(content) <= MOST, (kind, len(content))

    def load() -> Any:
        path = Path(_folder().name, "long.gnn")
        overwrite(path, content)
        return gn.load(path)

    return Long(kind, len(content), load)


def _table(rows: Sequence[Sequence[Any]], *columns: str) -> dict[str, list[Any]]:
    return {column: [row[i] for row in rows] for i, column in enumerate(columns)}


def _graph(operations: Sequence[Any], specs: Sequence[Any], nodes: Sequence[tuple[int, int, Sequence[int]]]) -> Any:
    """Return the data of a graph: operations as (name, operands, attributes), nodes as (operation, spec, inputs)."""
    data, _ = to_data(gn.Graph("g"))
    data["operations"] = _table([(a, "", b, c) for a, b, c in operations], "name", "module", "operands", "attributes")
    data["specs"] = _table([("float64", list(shape)) for shape in specs], "dtype", "shape")
    data["lines"] = _table([("a.py", 1)], "file", "number")
    rows = [(f"n{i:x}", op, spec, -1, 0, -1) for i, (op, spec, _) in enumerate(nodes)]
    data["nodes"] = _table(rows, "name", "operation", "spec", "scope", "line", "twin")
    data["inputs"] = {"node": [place for _, _, inputs in nodes for place in inputs]}
    return data


_PLACEHOLDER = ("placeholder", 0, {})


def _placeholders(texts: Sequence[str]) -> Any:
    return _graph([_PLACEHOLDER], [(text,) for text in texts], [(0, i, ()) for i in range(len(texts))])


def _zeros(texts: Sequence[str]) -> Any:
    operations = [("zeros", 0, {"shape": [text], "dtype": "float64"}) for text in texts]
    return _graph(operations, [("n",)], [(i, 0, ()) for i in range(len(texts))])


def _indexed(texts: Sequence[str]) -> Any:
    operations = [_PLACEHOLDER] + [("getitem", 1, {"index": [[text, None, None]]}) for text in texts]
    return _graph(operations, [("n",)], [(0, 0, ())] + [(i + 1, 0, (0,)) for i in range(len(texts))])


def _reshaped(texts: Sequence[str]) -> Any:
    """Return reshapes between shapes of two texts, that agree in nothing."""
    pairs = list(zip(texts[::2], texts[1::2], strict=False))
    operations = [_PLACEHOLDER] + [("reshape", 1, {"shape": [b, a]}) for a, b in pairs]
    specs = [(a, b) for a, b in pairs] + [(b, a) for a, b in pairs]
    nodes: list[Any] = [(0, i, ()) for i in range(len(pairs))]
    nodes += [(i + 1, len(pairs) + i, (i,)) for i in range(len(pairs))]
    return _graph(operations, specs, nodes)


def _broadcast(texts: Sequence[str]) -> Any:
    """Return sums of operands of each two texts, which have to be equal."""
    specs = [(text,) for text in texts]
    nodes: list[Any] = [(0, i, ()) for i in range(len(texts))]
    nodes += [(1, a, (a, b)) for a, b in product(range(len(texts)), repeat=2)][: (MOST - sum(map(len, texts))) // 60]
    return _graph([_PLACEHOLDER, ("add", 2, {})], specs, nodes)


def _looped(texts: Sequence[str], where: str) -> Any:
    g = gn.Graph("g")
    xs = g.placeholder("xs", ("n", 2))
    _, made = gn.scan(lambda c, x: (c + x, c), np.zeros(2), xs)
    g.outputs["made"] = made
    data, arrays = to_data(g)
    attributes = next(each for each in data["operations"]["attributes"] if "body" in each)
    if where == "body":
        body, stored = json.loads(attributes["body"])
        body["specs"]["dtype"] += ["float64"] * len(texts)
        body["specs"]["shape"] += [[text] for text in texts]
        for text, row in zip(texts, count(len(body["specs"]["dtype"]) - len(texts)), strict=False):
            for column, value in zip(("operation", "spec", "scope", "line", "twin"), (0, row, -1, 0, -1), strict=True):
                body["nodes"][column].append(value)
            body["nodes"]["name"].append(f"more{len(text)}{row}")
        attributes["body"] = json.dumps([body, stored])
    elif where == "dims":
        attributes["names"] = [f"d{i}" for i in range(len(texts))]
        attributes["dims"] = list(texts)
    else:
        item = next(
            i for i, each in enumerate(data["operations"]["attributes"]) if "start" in each and each["shape"] != [2]
        )
        attributes["length"] = texts[0]
        for text in texts[1:]:
            copy = dict(data["operations"]["attributes"][item], start=text, shape=[text, 2])
            for column, value in (("name", "loop_item"), ("module", ""), ("operands", 1), ("attributes", copy)):
                data["operations"][column].append(value)
    return data, arrays


def _same_reshape(names: int, times: int) -> Any:
    """Return thousands of reshapes between two orders of the same sums: all are right."""
    dims = [f"{_name(i)}+1" for i in range(names)]
    operations = [_PLACEHOLDER, ("reshape", 1, {"shape": dims[::-1]})]
    return _graph(operations, [dims, dims[::-1]], [(0, 0, ())] + [(1, 1, (0,))] * times)


def _joined(names: int, times: int) -> Any:
    """Return joints of arrays whose lengths are all different; each leaves another one out."""
    specs: list[Any] = [(f"n{i}",) for i in range(names)]
    nodes: list[Any] = [(0, i, ()) for i in range(names)]
    for left_out in range(times):
        parts = [i for i in range(names) if i != left_out]
        nodes.append((1, len(specs), parts))
        specs.append(("+".join(sorted(f"n{i}" for i in parts)),))
    return _graph([_PLACEHOLDER, ("concatenate", names - 1, {"axis": 0})], specs, nodes)


def _joined_axes(axes: int, operands: int) -> Any:
    specs: list[Any] = [(2, *(f"{_name(k)}_{i}" for k in range(axes))) for i in range(operands)]
    nodes: list[Any] = [(0, i, ()) for i in range(operands)] + [(1, 0, range(operands))]
    return _graph([_PLACEHOLDER, ("concatenate", operands, {"axis": 0})], specs, nodes)


def _huge_sizes(digits: int, axes: int, times: int) -> Any:
    """Return reshapes of shapes whose sizes have very many digits."""
    dims = [10**digits + i for i in range(axes)]
    operations = [_PLACEHOLDER, ("reshape", 1, {"shape": dims[::-1]})]
    return _graph(operations, [dims, dims[::-1]], [(0, 0, ())] + [(1, 1, (0,))] * times)


def _grown(texts: Sequence[str], times: int) -> Any:
    """Return pads, each of what the one before gave; each shape is declared."""
    (text,) = gn.Graph().placeholder("x", (texts[0],)).shape
    specs: list[Any] = [(text,)] + [(f"{text}+{i}",) for i in range(1, times)]
    nodes: list[Any] = [(0, 0, ())] + [(1, i, (i - 1,)) for i in range(1, times)]
    pad = ("pad", 1, {"pad_width": [[0, 1]], "constant_values": 0})
    return _graph([_PLACEHOLDER, pad], specs, nodes)


def _sized_alike(texts: Sequence[str], times: int) -> Any:
    """Return thousands of nodes that all have one long dimension in an attribute."""
    shape = [gn.Graph().placeholder("x", (texts[0],)).shape[0]]
    operations = [("zeros", 0, {"shape": shape, "dtype": "float64"})]
    return _graph(operations, [shape], [(0, 0, ())] * times)


def _trace(data: Any, fetched: str, sizes: dict[str, int]) -> Forgery:
    asked: dict[str, Any] = {"graph": data, "fetches": [fetched], "updates": [], "sizes": sizes, "times": []}
    asked |= {"altered": [], "condensed": {}, "strided": [], "stopped": None, "error": "", "sources": {}}
    return Forgery("trace", asked, {})


def _traced_alike(texts: Sequence[str], times: int) -> Forgery:
    """Return a run of thousands of nodes with long sizes, which are all computed when it is read."""
    data = _sized_alike(texts, times)
    data["operations"]["name"].append("stack")
    data["operations"]["module"].append("")
    data["operations"]["operands"].append(times)
    data["operations"]["attributes"].append({"axis": 0})
    data["specs"]["dtype"].append("float64")
    data["specs"]["shape"].append([times, *data["specs"]["shape"][0]])
    for column, value in (("name", "end"), ("operation", 1), ("spec", 1), ("scope", -1), ("line", 0), ("twin", -1)):
        data["nodes"][column].append(value)
    data["inputs"]["node"] = list(range(times))
    names = sorted(set(_words(texts[0])))
    return _trace(data, "end", dict.fromkeys(names, 1))


def _words(text: str) -> Iterator[str]:
    word = ""
    for c in f"{text} ":
        if c.isalnum() or c == "_":
            word += c
        else:
            if word and not word[0].isdigit() and word != "max":
                yield word
            word = ""


_MANY: dict[str, Callable[[int], Forgery]] = {
    "graph: one product of sums many times": lambda n: Forgery("graph", _same_reshape(7, n), {}),
    "graph: one joint of many": lambda n: Forgery("graph", _joined(n, 1), {}),
    "graph: joints of many": lambda n: Forgery("graph", _joined(300, n // 100), {}),
    "graph: joints of many axes": lambda n: Forgery("graph", _joined_axes(60, n // 20), {}),
    "graph: sizes of many digits": lambda n: Forgery("graph", _huge_sizes(3000, 10, n), {}),
    "graph: many sizes of many digits": lambda n: Forgery("graph", _huge_sizes(59, 60, n), {}),
    "graph: long dimensions that grow": lambda n: Forgery("graph", _grown([_nested_maxima(0)], 1 + n // 60), {}),
    "graph: long sums that grow": lambda n: Forgery("graph", _grown([_long_sum(0)], 1 + n // 160), {}),
    "graph: one long dimension in many": lambda n: Forgery("graph", _sized_alike([_long_sum(0)], n), {}),
    "trace: one long dimension in many": lambda n: _traced_alike([_long_sum(0)], n),
    "trace: one long product in many": lambda n: _traced_alike([_power("a", 40)], n),
}
"""Files of so many nodes, or of many more or fewer as they are longer or shorter."""


def _largest(make: Callable[[int], Forgery]) -> Forgery:
    """Return the file with the most nodes that may be, or nearly."""
    nodes = 4000
    while len(written(found := make(nodes))) > MOST:
        nodes -= nodes // 10
    return found


# --- models of ONNX -------------------------------------------------------------------------------------------------


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


def _models(few: bool) -> Iterator[Long]:
    texts = list(TEXTS.items())[: 3 if few else None]
    for name, text in texts:
        found = _filled(text, MOST - 4000)
        inputs = [_input(f"x{i}", [each]) for i, each in enumerate(found)]
        yield _model(f"onnx: {name}", inputs, [_node("Neg", ["x0"], "y")])
        many = _filled(text, MOST // 2 - 8000)[:20]
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
    yield _chain("onnx: long sizes that grow by 1", _sums, 2500, [_nested_maxima(0)], *more)
    yield _chain("onnx: long sums that grow by 1", _sums, 2500, [_long_sum(0)], *more)
    yield _chain("onnx: quotients of quotients", _halves, 1200, ["n"], *more)
    yield _chain("onnx: quotients of squares", _mixed, 700, ["n"], *more)
    yield _chain("onnx: maxima of maxima", _maxima, 1200, [f"n{i}" for i in range(8)], *more)
    yield _of_fractions()
    shapes = [_numbers("column", [-1, 1]), _numbers("row", [1, -1]), _numbers("flat", [-1])]
    for name, shape in (("numbers", [2]), ("names", ["n"]), ("sums", ["n+m+1"]), ("long sums", [_long_sum(0)])):
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


def _told(kind: str, text: Text, canonical: bool = False) -> Long:
    """Return a model with metadata of ours, in which shapes and attributes are long."""
    texts = _filled(text, MOST // 2 - 15_000)
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


# --- graphs of NetworkX ---------------------------------------------------------------------------------------------


def _dag(kind: str, nodes: Sequence[tuple[str, dict[str, Any], Sequence[str]]]) -> Long:
    dag = nx.MultiDiGraph()
    for name, data, operands in nodes:
        dag.add_node(name, **data)
        for position, operand in enumerate(operands):
            dag.add_edge(operand, name, position)
    size = len(json.dumps(list(dag.nodes(data=True))))
    assert size <= MOST, (kind, size)
    return Long(kind, size, lambda: gn.Graph.from_networkx(dag))


def _dags(few: bool) -> Iterator[Long]:
    for name, text in list(TEXTS.items())[: 2 if few else None]:
        texts = _filled(text, MOST - 8000)
        held = [(f"n{i}", {"op": "placeholder", "shape": (each,)}, ()) for i, each in enumerate(texts)]
        yield _dag(f"networkx: {name}", held)
    start = [("x", {"op": "placeholder", "shape": ("n+m+1",)}, ()), ("y", {"op": "placeholder", "shape": ("k",)}, ())]
    joint = {"op": "concatenate", "attributes": {"axis": 0}}
    names = ["x", "y", *(f"c{i}" for i in range(1200))]
    joined = [(names[i], joint, (names[i - 2], names[i - 1])) for i in range(2, len(names))]
    yield _dag("networkx: joints of joints", [*start, *joined])
    outer: list[Any] = [("x0", {"op": "placeholder", "shape": (2**50,)}, ())]
    ellipsis = "..."
    for i in range(250):
        outer += [
            (f"r{i}", {"op": "getitem", "attributes": {"index": (ellipsis, None)}}, (f"x{i}",)),
            (f"o{i}", {"op": "multiply"}, (f"r{i}", f"x{i}")),
            (f"x{i + 1}", {"op": "concatenate", "attributes": {"axis": None}}, (f"o{i}",)),
        ]
    yield _dag("networkx: sizes that are squared", outer)


# --- all ------------------------------------------------------------------------------------------------------------


def forged(few: bool = False) -> Iterator[Long]:
    """Yield forged files, or a few of each way in."""
    room = MOST - 6000
    for name, text in list(TEXTS.items())[: 4 if few else None]:
        yield _file(f"graph: {name}", Forgery("graph", _placeholders(_filled(text, room)), {}))
        yield _file(f"graph: {name} in attributes", Forgery("graph", _zeros(_filled(text, room - 4000)), {}))
        yield _file(f"graph: {name} in indices", Forgery("graph", _indexed(_filled(text, room - 4000)), {}))
        yield _file(f"graph: {name} reshaped", Forgery("graph", _reshaped(_filled(text, room // 3 - 4000)), {}))
        yield _file(f"graph: {name} that meet", Forgery("graph", _broadcast(_filled(text, room - 30_000)), {}))
        for where in ("body", "dims", "items"):
            more = _filled(text, (room - 16_000) // (2 if where == "items" else 1))
            yield _file(f"loop: {name} in {where}", Forgery("graph", *_looped(more, where)))
        texts = _filled(text, room - 2000)
        yield _file(f"trace: {name}", _trace(_placeholders(texts), "n0", {"a": 2}))
        yield _told(name, text)
    for kind, make in _MANY.items():
        yield _file(kind, _largest(make))
    yield from _models(few)
    yield from _dags(few)
