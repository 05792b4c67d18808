"""Small files whose dimensions are long: texts that multiply out, and nodes that make a dimension longer and longer.

`forged` gives files of graphs and of runs and graphs of NetworkX, and `long_models` models of ONNX, each of at most
`MOST` bytes, with a function that loads it. Whether one is refused does not matter here; how much work that takes does.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import count, product
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import networkx as nx
import numpy as np
from forging import Forgery, overwrite, patient, written

import graphnn as gn
from graphnn.core import symbolic_shapes
from graphnn.io.graph_files import to_data

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


def long_sum(i: int) -> str:
    found = "+".join(f"{_name(i)}_{k:x}" for k in range(900))
    return found[: found.rindex("+", 0, _LONGEST)]


def _power_of_a_sum(i: int) -> str:
    inner = "+".join(_name(6 * i + k) for k in range(6))
    unit = "*".join([f"({inner})"] * 5)
    return f"{_repeated(f'{unit}-{unit}', '+', _LONGEST - 10)}+{_name(i)}"


def _nested_quotients(i: int) -> str:
    return "(" * 180 + _name(i) + "//2+1)" * 180


def nested_maxima(i: int) -> str:
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
    return f"({long_sum(i)[:3900].rpartition('+')[0]})//(2*{_name(i)}+1)"


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
    "long sums": long_sum,
    "powers of a sum": _power_of_a_sum,
    "nested quotients": _nested_quotients,
    "nested maxima": nested_maxima,
    "falling maxima": _falling_maxima,
    "quotients of powers": _quotients_of_powers,
    "quotients of products": _quotients_of_sums,
    "quotients of long sums": _quotients_of_sums_of_names,
    "long numbers": _long_numbers,
    "many signs": _minus,
    "differences": _differences,
    "random": _random,
}


def filled(text: Text, most: int, least: int = 0) -> list[str]:
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
    "graph: long dimensions that grow": lambda n: Forgery("graph", _grown([nested_maxima(0)], 1 + n // 60), {}),
    "graph: long sums that grow": lambda n: Forgery("graph", _grown([long_sum(0)], 1 + n // 160), {}),
    "graph: one long dimension in many": lambda n: Forgery("graph", _sized_alike([long_sum(0)], n), {}),
    "trace: one long dimension in many": lambda n: _traced_alike([long_sum(0)], n),
    "trace: one long product in many": lambda n: _traced_alike([_power("a", 40)], n),
}
"""Files of so many nodes, or of many more or fewer as they are longer or shorter."""


def _largest(make: Callable[[int], Forgery]) -> Forgery:
    """Return the file with the most nodes that may be, or nearly."""
    nodes = 4000
    while len(written(found := make(nodes))) > MOST:
        nodes -= nodes // 10
    return found


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
    for name, text in texts_of(few):
        texts = filled(text, MOST - 8000)
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


# --- how much work it is --------------------------------------------------------------------------------------------


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count the pairs of terms that are multiplied, the terms that are added, and the characters that are parsed."""
    found: Counter[str] = Counter()
    multiplied, combined, added = symbolic_shapes.times, symbolic_shapes.combine, symbolic_shapes.add_to
    parsed = symbolic_shapes.ast.parse

    def times(a: Any, b: Any, *most: int) -> Any:
        found["pairs"] += len(a) * len(b)
        return multiplied(a, b, *most)

    def combine(a: Any, b: Any, factor: int = 1) -> Any:
        found["terms"] += len(a) + len(b)
        return combined(a, b, factor)

    def parse(text: str, **settings: Any) -> Any:
        found["characters"] += len(text)
        return parsed(text, **settings)

    def add_to(total: Any, b: Any, factor: int = 1) -> None:
        found["terms"] += len(b)
        added(total, b, factor)

    with (
        patch.multiple(symbolic_shapes, times=times, combine=combine, add_to=add_to),
        patch.object(symbolic_shapes.ast, "parse", parse),
    ):
        yield found


def told_of(long: Long, patience: float = 60.0) -> str:
    """Load a file, and return what became of it: the error, or how many nodes there are."""
    with patient(patience), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = long.load()
        except gn.GraphnnError as error:
            return str(error)
    return f"{len(getattr(found, 'graph', found))} nodes"


# --- all ------------------------------------------------------------------------------------------------------------


FEW = ("products of two powers", "long sums", "nested quotients", "random")
"""Of `TEXTS`, those of a few files."""


def texts_of(few: bool) -> list[tuple[str, Text]]:
    """Return all texts with what they are, or a few."""
    return [(name, text) for name, text in TEXTS.items() if not few or name in FEW]


def forged(few: bool = False) -> Iterator[Long]:
    """Yield forged files, or a few of each way in."""
    room = MOST - 6000
    for name, text in texts_of(few):
        yield _file(f"graph: {name}", Forgery("graph", _placeholders(filled(text, room)), {}))
        yield _file(f"graph: {name} in attributes", Forgery("graph", _zeros(filled(text, room - 4000)), {}))
        yield _file(f"graph: {name} in indices", Forgery("graph", _indexed(filled(text, room - 4000)), {}))
        yield _file(f"graph: {name} reshaped", Forgery("graph", _reshaped(filled(text, room // 3 - 4000)), {}))
        yield _file(f"graph: {name} that meet", Forgery("graph", _broadcast(filled(text, room - 30_000)), {}))
        for where in ("body", "dims", "items"):
            more = filled(text, (room - 16_000) // (2 if where == "items" else 1))
            yield _file(f"loop: {name} in {where}", Forgery("graph", *_looped(more, where)))
        yield _file(f"trace: {name}", _trace(_placeholders(filled(text, room - 2000)), "n0", {"a": 2}))
    for kind, make in _MANY.items():
        yield _file(kind, _largest(make))
    yield from _dags(few)
