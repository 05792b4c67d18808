"""Whatever a graph holds, the source of its plans holds names and numbers only; typed by hand, and out of files.

Every operation of the library is made with attributes that are code, subclasses of numbers and text that print as code,
numbers without end, and things of any other kind; graphs, scopes, nodes and dimensions are called so, too.
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import forging
import numpy as np
import pytest

import graphnn as gn
from graphnn import Op
from graphnn._util.text import short_repr
from graphnn.compiler import numpy_codegen
from graphnn.compiler.plan import Plan
from graphnn.core import attributes, op, registry
from graphnn.io import graph_files
from graphnn.io.graph_files import to_data
from graphnn.testing import Draw

CODE = forging.CODE
_SAYS = CODE[0]


class LoudInt(int):
    __repr__ = __str__ = lambda self: _SAYS  # type: ignore[assignment]

    def __format__(self, spec: str) -> str:
        return _SAYS


class LoudFloat(float):
    __repr__ = __str__ = LoudInt.__repr__  # type: ignore[assignment]
    __format__ = LoudInt.__format__  # type: ignore[assignment]


class LoudText(str):
    __slots__ = ()
    __repr__ = __str__ = LoudInt.__repr__  # type: ignore[assignment]
    __format__ = LoudInt.__format__  # type: ignore[assignment]


class LoudNumber(np.float64):
    __repr__ = __str__ = LoudInt.__repr__  # type: ignore[assignment]


class Anything:
    __repr__ = __str__ = LoudInt.__repr__  # type: ignore[assignment]


HUGE = [10**400, -(10**400), 2**63, 2**64, -(2**70), 1 << 20_000]
JSON = [*CODE, *HUGE[:5], float("nan"), float("inf"), 0.5, 1, -1, True, None, {}, {"a": _SAYS}]
JSON += [[_SAYS], [0, _SAYS], [[_SAYS]], [[0, 1], [_SAYS, 2]], [_SAYS, 1, None], [[0, _SAYS, 1]], [1] * 40]
TYPED = [
    *CODE,
    *HUGE,
    LoudInt(0),
    LoudInt(1),
    LoudFloat(0.5),
    LoudNumber(0.5),
    LoudText("float32"),
    LoudText("n"),
    LoudText("ij->ji"),
    LoudText(_SAYS),
    np.str_(_SAYS),
    np.array(_SAYS),
    (LoudInt(0), LoudInt(1)),
    (LoudInt(0), _SAYS),
    [_SAYS],
    (slice(LoudInt(0), None, LoudInt(1)), LoudInt(0)),
    slice(_SAYS),
    ((LoudInt(1), LoudInt(0)), (_SAYS, 2)),
    Anything(),
    (Anything(),),
    {_SAYS: 1},
    _SAYS.encode(),
    complex(1, 2),
    float("nan"),
    float("-inf"),
    lambda: None,
    type,
]


def loud(value: Any) -> Any:
    """Return a value that is the same, and prints as code."""
    if isinstance(value, tuple):
        return tuple(map(loud, value))
    kinds = {int: LoudInt, float: LoudFloat, str: LoudText}
    return kinds[type(value)](value) if type(value) in kinds else value


# --- what a source may hold -----------------------------------------------------------------------------------

_TEXT = {"uint8", "clip", "unsafe", "labels", "bool", "float16", "float32", "float64"}
_TEXT |= {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
_METHODS = {"T", "argmax", "clip", "copy", "ctypes", "data", "dot", "fill", "item", "reduce", "reshape", "squeeze"}
_METHODS |= {"start", "stop", "take", "transpose", "view"}
_BUILTINS = {"slice", "min", "range"}


def foreign(source: str, arguments: Any = ()) -> list[str]:
    """Return what in the source of a plan is neither a name of its own, nor a number, nor a word of the writer's."""
    return list(_foreign(source, frozenset(arguments)))


@cache  # many plans have the same source
def _foreign(source: str, arguments: frozenset[str]) -> list[str]:
    found = [word for word in ("__import__", forging.CANARY, "\x1b", "\0") if word in _without_names(source)]
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        return [*found, str(error)]
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    found += [token.string for token in tokens if token.type == tokenize.COMMENT]
    own = {*_BUILTINS, *arguments}
    for node in ast.walk(tree):
        match node:
            case ast.alias(name=name):
                own.add(name)
                if not hasattr(np, name):
                    found.append(name)
            case ast.FunctionDef(name=name, args=args):
                own |= {name, *(argument.arg for argument in args.args)}
            case ast.Name(id=name, ctx=ast.Store()):
                own.add(name)
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=value) if type(value) not in (int, bool, float, type(None), type(...)):
                found += [repr(value)] * (value not in _TEXT)
            case ast.Name(id=name) if name not in own or not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
                found.append(name)
            case ast.Attribute(attr=name) if name not in _METHODS:
                found.append(name)
            case ast.ImportFrom(module=module) if module != "numpy":
                found.append(f"from {module}")
            case ast.Import() | ast.JoinedStr() | ast.Lambda() | ast.Global() | ast.ClassDef():
                found.append(type(node).__name__)
    return found


def _without_names(source: str) -> str:
    """Return a source without identifiers: what is left of a name once it is one may stand in it."""
    return re.sub(r"(?<![\w])(?!__import__\b)[A-Za-z_]\w*", "", source)


def test_the_detector_knows_code_when_it_sees_it() -> None:
    good = (
        "from numpy import add\n\ndef plan(c):\n    def step(x):\n        y = add(x, c)\n        return (y.copy(),)\n"
    )
    assert foreign(good) == []
    for bad in (
        good.replace("add(x, c)", f"add(x, {_SAYS})"),
        good.replace("add(x, c)", "add(x, open)"),
        good.replace("add(x, c)", "add(x, 'no word')"),
        good.replace("add(x, c)", "add(x, c)  # a node"),
        good.replace("y.copy()", "y.tofile()"),
        good.replace("numpy", "os"),
        good + "import os\n",
        good + "(",
    ):
        assert foreign(bad), bad


# --- building and planning ------------------------------------------------------------------------------------

OURS = sorted(
    (
        cls
        for cls in registry.values()
        if cls.__module__.startswith("graphnn.") and cls.samples.__func__ is not Op.samples.__func__  # type: ignore[attr-defined]
    ),
    key=lambda cls: cls.name,
)


def sample(cls: type[Op], seed: int) -> tuple[Op, list[np.ndarray[Any, Any]]]:
    made, operands = cls.samples(Draw(np.random.default_rng(seed)))
    return made, [np.asarray(operand) for operand in operands]


OTHERS: list[Callable[..., list[str]]] = []
"""Return what is foreign in what plans of other backends are compiled from."""
WRITERS: list[Any] = [numpy_codegen]
"""Modules that write literals."""


class Seen(Counter[str]):
    """How often what was seen, and the graphs that were planned."""

    def __init__(self) -> None:
        super().__init__()
        self.planned: set[Any] = set()


def exact(value: Any) -> Any:
    """Return what is equal of values that are equal and of the same types, all the way down."""
    parts = tuple(map(exact, value)) if isinstance(value, (tuple, list)) else repr(value)
    return type(value), parts


def planned(graph: gn.Graph, made: gn.Node, feed: Any, seen: Seen) -> list[str]:
    """Return what is foreign in the plans of a node and of its gradients; of two graphs that are the same, once."""
    own = [(each.name, type(each.op), each.spec.dtype, each.spec.shape, *each.op.attributes.values()) for each in graph]
    key = exact([graph.name, made.name, *own, *feed.items()])
    if key in seen.planned:
        seen["the same"] += 1
        return []
    seen.planned.add(key)
    wanted: list[list[gn.Node]] = [[made]]
    inputs = [node for node in graph.placeholders if node.dtype.kind == "f"]
    if inputs and made.dtype.kind == "f":
        with warnings.catch_warnings(action="ignore", category=gn.GraphnnWarning):
            try:
                wanted.append([made, *gn.grad(gn.sum(made), inputs)])
            except Exception as error:  # noqa: BLE001 - planted: what is not checked fails anywhere
                seen[type(error).__name__] += 1
    found = []
    for fetches in wanted:
        try:
            sizes = dict.fromkeys(made.op.dimension_names, 2)
            made_plan = gn.compile(fetches).plan(feed, sizes)
        except Exception as error:  # noqa: BLE001 - planted: what is not checked fails anywhere
            seen[type(error).__name__] += 1
            continue
        seen["plans"] += 1
        found += foreign(made_plan.source, made_plan.arguments)
        found += [word for word in made_plan.arguments if not word.isidentifier()]
        if seen["plans"] % 3 == 1:
            found += [what for look in OTHERS for what in look(fetches, feed, sizes, seen)]
    return found


def typed(cls: type[Op], seen: Seen) -> Iterator[str]:
    """Yield what comes into sources when an operation is made with hostile attributes."""
    for seed in (0, 1):
        sound, operands = sample(cls, seed)
        for attribute, value in sound.attributes.items():
            for lie in [loud(value), *TYPED]:
                seen["tried"] += 1
                graph = gn.Graph()
                graph.memory_budget = 2**22
                nodes = [graph.placeholder(f"p{i}", x.shape, x.dtype) for i, x in enumerate(operands)]
                try:
                    node = graph.add(cls(**sound.attributes | {attribute: lie}), nodes)
                except gn.GraphnnError as error:
                    str(error)
                    seen["refused"] += 1
                    continue
                except Exception as error:  # noqa: BLE001 - planted: what is not checked fails anywhere
                    seen[type(error).__name__] += 1
                    continue
                feed = dict(zip(nodes, operands, strict=True))
                yield from (f"{cls.name}.{attribute}: {what}" for what in planned(graph, node, feed, seen))


@pytest.mark.parametrize("part", range(4))
def test_hostile_attributes_never_reach_a_source(part: int) -> None:
    seen = Seen()
    with forging.watched() as executed:
        found = [what for cls in OURS[part::4] for what in typed(cls, seen)]
    assert found == executed == []
    assert seen["tried"] > 500
    assert seen["refused"] > seen["tried"] // 2
    assert seen["plans"] > 100
    raw = {name for name in seen if name.endswith("Error") and not hasattr(gn, name)}
    assert not raw, seen


def test_names_never_reach_a_source() -> None:
    """Each operation in a graph, with scopes, operands and dimensions that are all called by code."""
    seen = Seen()
    found: list[str] = []
    texts = [*CODE, *forging.ODD[1:], LoudText("x"), LoudText(_SAYS), "x\u2028y", "x\x85y", "x\ry"]
    texts += ["__import__", "lambda", "plan"]
    with forging.watched() as executed:
        for number, cls in enumerate(OURS):
            made, operands = sample(cls, 1)
            name = iter([texts[(number * 5 + k) % len(texts)] for k in range(9)])
            graph = gn.Graph(next(name))
            nodes = []
            for x in operands:
                seen["tried"] += 1
                nodes.append(graph.placeholder(_fresh(graph, next(name)), x.shape, x.dtype))
            with graph.scope(next(name) or "a"), graph.scope(next(name) or "a"):
                seen["tried"] += 4
                node = graph.add(made, nodes, _fresh(graph, next(name)))
            found += planned(graph, node, dict(zip(nodes, operands, strict=True)), seen)
            assert {type(each.name) for each in graph} | {type(graph.name)} == {str}
            assert set(map(type, graph.scopes)) == {str}
        for text in [*texts, LoudInt(3), (LoudInt(3),), 10**400]:
            seen["tried"] += 2
            graph = gn.Graph()
            try:
                x = graph.placeholder("x", (text,) if not isinstance(text, tuple) else text)
                feed = {x: np.ones(x.shape if isinstance(x.shape[0], int) else 3)}
                found += planned(graph, gn.reshape(x, (1, *x.shape)), feed, seen)
                small = graph.placeholder("small", (1,))
                stretched = gn.broadcast_to(small, (text,) if not isinstance(text, tuple) else text)
                step = gn.compile(stretched)
                sizes = {dim: LoudInt(3) for dim in stretched.op.dimension_names}
                made_plan = step.plan({small: np.ones(1)}, sizes)
                found += foreign(made_plan.source, made_plan.arguments)
            except gn.GraphnnError:
                seen["refused"] += 1
    assert found == executed == []
    assert seen["plans"] > 150
    assert seen["tried"] > 400


def _fresh(graph: gn.Graph, name: str) -> str:
    return name if name and name not in graph else f"{name}{len(graph)}"


# --- out of files ---------------------------------------------------------------------------------------------


def recorded(cls: type[Op]) -> tuple[forging.Forgery, forging.Forgery, Op]:
    """Return a graph and a run of an operation, as files hold them; of the run, with the operation altered."""
    made, operands = sample(cls, 1)
    if "keepdims" in made.attribute_names:
        made = replace(made, keepdims=True)  # type: ignore[type-var]  # text is true, and so the shape is as it says
    graph = gn.Graph()
    nodes = [graph.placeholder(f"p{i}", x.shape, x.dtype) for i, x in enumerate(operands)]
    node = graph.add(made, nodes, "made")
    graph.outputs["out"] = node
    trace = gn.trace(node, dict(zip(nodes, operands, strict=True)))
    data, arrays = trace._encoded()
    place = [record.name for record in trace].index("made")
    settings = {name: json.loads(json.dumps(value)) for name, value in made.attributes.items()}
    data["altered"] = [[place, settings]] * bool(settings)
    return forging.Forgery("graph", *to_data(graph)), forging.Forgery("trace", data, arrays), made


def loaded(path: Path | None, forgery: forging.Forgery, feed: Any, seen: Seen) -> list[str]:
    """Load a forgery, by a file if there is a path, and return what comes into sources."""
    seen["tried"] += 1
    if path is not None:
        forging.overwrite(path, forging.written(forgery))
    try:
        read = graph_files.from_data if forgery.kind == "graph" else graph_files.LOADERS.load()[forgery.kind].load
        thing = gn.load(path) if path is not None else read(forgery.data, forgery.arrays)
    except gn.FileFormatError as error:
        seen["refused"] += 1
        return ["an escape in an error"] * ("\x1b" in str(error))
    except Exception as error:  # noqa: BLE001 - planted: what is not checked fails anywhere
        seen[type(error).__name__] += 1
        return []
    seen["loaded"] += 1
    graph = thing if isinstance(thing, gn.Graph) else thing.graph
    graph.memory_budget = 2**22
    node = next((node for node in graph if node.inputs), list(graph)[-1])
    found = planned(graph, node, feed, seen)
    if not isinstance(thing, gn.Graph):
        seen["altered"] += len(thing.prepared.overridden)
        try:
            own = Plan(thing.prepared)
        except Exception as error:  # noqa: BLE001 - planted: what is not checked fails anywhere
            seen[type(error).__name__] += 1
        else:
            found += foreign(own.source, own.arguments)
    return found


def forged_attributes(cls: type[Op], path: Path, seen: Seen) -> Iterator[str]:
    graph, trace, made = recorded(cls)
    _, operands = sample(cls, 1)
    feed = {f"p{i}": x for i, x in enumerate(operands)}
    row = graph.data["operations"]["name"].index(cls.name)
    traced_row = trace.data["graph"]["operations"]["name"].index(cls.name)
    graph_text, trace_text = json.dumps(graph.data), json.dumps(trace.data)
    for attribute in made.attributes:
        for number, lie in enumerate(JSON):
            by_file = path if number < 2 else None  # the file holds any other lie in the same way
            data = json.loads(graph_text)
            data["operations"]["attributes"][row][attribute] = lie
            yield from loaded(by_file, graph._replace(data=data), feed, seen)
            data = json.loads(trace_text)
            if number % 2:
                data["altered"][0][1][attribute] = lie
            else:
                data["graph"]["operations"]["attributes"][traced_row][attribute] = lie
            yield from loaded(by_file, trace._replace(data=data), feed, seen)


@pytest.mark.parametrize("part", range(4))
def test_forged_attributes_never_reach_a_source(tmp_path: Path, part: int) -> None:
    seen = Seen()
    with forging.watched() as executed:
        found = [what for cls in OURS[part::4] for what in forged_attributes(cls, tmp_path / "forged.gnn", seen)]
    assert found == executed == []
    assert seen["tried"] > 500
    assert seen["refused"] > seen["tried"] // 2
    assert seen["plans"] > 10
    raw = {name for name in seen if name.endswith("Error") and not hasattr(gn, name)}
    assert not raw, seen


def test_forged_names_never_reach_a_source(tmp_path: Path) -> None:
    seen = Seen()
    found: list[str] = []
    graph = gn.Graph("named")
    x = graph.placeholder("x", ("n", 2))
    with graph.scope("inside"):
        y = gn.exp(x)
    graph.outputs["out"] = gn.sum(y, axis=0)
    trace = gn.trace(graph.outputs["out"], {x: np.ones((3, 2))})
    forgeries = [forging.Forgery("graph", *to_data(graph)), forging.Forgery("trace", *trace._encoded())]
    places = ['"named"', '"x"', '"inside"', '"n"', '"out"', '"inside/exp"', '"exp"', '"sum"', '"float64"', '""']
    with forging.watched() as executed:
        for forgery in forgeries:
            content = json.dumps(forgery.data)
            for place in places:
                for text in [*CODE, *forging.ODD]:
                    data = json.loads(content.replace(place, json.dumps(text)))
                    fed = text if place == '"x"' else "x"
                    arrays = {name.replace("feed/x", f"feed/{fed}"): array for name, array in forgery.arrays.items()}
                    forged = forgery._replace(data=data, arrays=arrays)
                    try:
                        found += loaded(tmp_path / "forged.gnn", forged, {fed: np.ones((3, 2))}, seen)
                    except UnicodeEncodeError:
                        seen["no file"] += 1
    assert found == executed == []
    assert seen["tried"] > 500
    assert seen["plans"] > 100


# --- planted --------------------------------------------------------------------------------------------------


def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let through what would be refused, or would be made plain."""
    real = attributes.checked

    def checked(owner: str, attribute: str, kind: Any, value: Any) -> Any:
        if "__import__" in short_repr(value) or issubclass(type(value), LoudText):
            return _tupled(value)
        return real(owner, attribute, kind, value)

    monkeypatch.setattr(op, "checked", checked)


def _tupled(value: Any) -> Any:
    return tuple(map(_tupled, value)) if isinstance(value, list) else value


def careless(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in WRITERS:
        monkeypatch.setattr(module, "literal", lambda value: f"{value}")


def test_with_the_checks_taken_out_the_hole_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    unchecked(monkeypatch)
    careless(monkeypatch)
    by_hand = list(typed(registry["max"], Seen()))
    assert any(_SAYS.split("(")[0] in what for what in by_hand)
    assert any(what.startswith("max.keepdims") for what in by_hand)
    assert list(forged_attributes(registry["max"], tmp_path / "forged.gnn", Seen()))


@pytest.mark.parametrize("taken_out", [unchecked, careless])
def test_each_of_the_checks_alone_keeps_code_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, taken_out: Any
) -> None:
    taken_out(monkeypatch)
    for name in ("max", "getitem", "reshape", "transpose", "scatter_labels", "clip"):
        assert not list(typed(registry[name], Seen())), name
        assert not list(forged_attributes(registry[name], tmp_path / "forged.gnn", Seen())), name


def test_a_literal_is_a_number_of_an_exact_type() -> None:
    assert [numpy_codegen.literal(value) for value in (True, -3, 0.5, (2, (1,)), ())] == [
        "True",
        "-3",
        "0.5",
        "(2, (1,))",
        "()",
    ]
    for lie in [
        *TYPED[len(CODE) + len(HUGE) :],
        *CODE,
        float("nan"),
        float("inf"),
        np.float64(1),
        np.int64(1),
        "x",
        [1],
    ]:
        with pytest.raises(TypeError, match="a literal is a bool, an int, a finite float or a tuple of them"):
            numpy_codegen.literal(lie)
