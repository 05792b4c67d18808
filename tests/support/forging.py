"""Files that lie, with right checksums, and what becomes of them: `gn.load` and all that one does next.

A forgery is made of a sound file by changes to its JSON and its arrays. Nobody need take it: an error of graphnn is as
good as a thing that works. Anything else is a fault, and so is a forgery that has anything run.
"""

from __future__ import annotations

import builtins
import copy
import json
import math
import signal
import sys
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np
from places import present

import graphnn as gn
from graphnn import Op, Trace, nn
from graphnn.core import registry
from graphnn.debugger.traces import Condensed
from graphnn.io.graph_files import to_data
from graphnn.testing import Draw

BUDGET = 2**26
"""Bytes that a forged graph may use for a value, set by whoever loads it."""
PATIENCE = 20.0
"""Seconds, after which a forgery is said to hang."""

CANARY = "graphnn_canary"
BANNED = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect", "pickle.find_class")

_CODE = f'__import__("{CANARY}")'
TEXTS = ["", "x", "w", "loss", "dense", "batch", "n", "4*batch", "n+1", "exp", "sum", "max", "parameter", "constant"]
TEXTS += ["placeholder", "float16", "float64", "bool", "forward", "backward", "update", "i,i->", "ij,jk->ik", "reflect"]
CODE = [_CODE, f"({_CODE})", f"0) + {_CODE} + (0", f"True if {_CODE} else False", f"'+{_CODE}+'", f'"+{_CODE}+"']
CODE += [f"\n{_CODE}\n", f"x\n    {_CODE}", f"{{{_CODE}}}", f"{{0.__class__}}{_CODE}", f"%({_CODE})s", f"#\n{_CODE}"]
ODD = ["\0", "\n", "'", '"', '"""', "\\", "{", "}", "{}", "{0}", "{out}", "%s", "\x1b[31m", "\ud83d", "é" * 40, "a/b/c"]
ODD += ["(" * 300, "-" * 300 + "n", "a*" * 200 + "a", "n//0", "-n", "n*n", "9" * 300, "n**9**9**9", "__class__", "nan"]
ODD += ["U9", "O", "object", "i4,(9,9)f8", "datetime64[s]", "builtins.eval", "os.system", "../../x", "a" * 10_000]
NUMBERS = [-2, -1, 0, 1, 2, 3, 5, 64, 100, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, -(2**63), 2**64]
NUMBERS += [10**12, 10**40, 10**400]
NUMBERS += [0.5, -0.0, 1e-320, 1e308, math.inf, -math.inf, math.nan]  # type: ignore[list-item]
LISTS = [
    [],
    {},
    [[]],
    [0, 1],
    [1, 0],
    [-1],
    ["n"],
    ["n", 2],
    [None],
    [2**62, 2**62],
    [1] * 65,
    [10**6] * 3,
    [[1, 2]] * 40,
]
LISTS += [[[1, 2]] * 40, [[0, 1], [1, 0]], ["...", None], [["slice", 0, 2, 1]], {"a": 1}, list(range(2000))]
DTYPES = ["float32", "float64", "float16", "int64", "int8", "uint8", "uint64", "bool"]


class Forgery(NamedTuple):
    """What a file holds: its kind, its data, and its arrays."""

    kind: str
    data: Any
    arrays: dict[str, Any]


# --- sound files ------------------------------------------------------------------------------------------------


def _training() -> tuple[gn.Node, dict[gn.Node, gn.Node], dict[gn.Node, Any]]:
    g = gn.Graph("forged")
    x = g.placeholder("x", shape=("batch", 2))
    labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
    rng = np.random.RandomState(0)
    network = nn.Sequential(nn.Dense(3, rng=rng), nn.Tanh(), nn.Dropout(0.25), nn.Dense(3, rng=rng))
    loss = nn.softmax_crossentropy(network(x, training=False), labels)
    g.outputs["loss"] = loss
    updates = nn.Adam(0.01).updates(loss)
    return loss, updates, {x: np.ones((4, 2)), labels: np.array([0, 1, 2, 0])}


def _looping() -> Forgery:
    """Return a graph with loops in loops, and their gradient."""
    g = gn.Graph("forged")
    xs, w = g.placeholder("xs", ("time", 2)), g.parameter("w", np.eye(2))
    count = g.parameter("count", np.int64(3), trainable=False)

    def inner(total: gn.Node, x: gn.Node) -> gn.Node:
        return gn.sin(total * x)

    def step(state: tuple[gn.Node, gn.Node], x: gn.Node) -> Any:
        h, number = state
        kept = gn.random_uniform(count, (2,)) < 0.5
        deep, _ = gn.scan(inner, 1.0, h, reverse=True)
        return (gn.tanh(h @ w + gn.where(kept, x, deep)), number + 1), {"sum": gn.sum(h), "large": h > 0.5}

    (h, number), made = gn.scan(step, (np.zeros(2), np.int32(0)), xs)
    loss = gn.sum(h * h) + gn.sum(made["sum"])
    g.outputs.update(loss=loss, number=number, large=made["large"], slope=gn.grad(loss, w))
    return Forgery("graph", *to_data(g))


def lively() -> Trace:
    """Return a trace with something of everything, small."""
    g = gn.Graph("forged")
    x = g.placeholder("x", shape=("n", 2))
    w = g.parameter("w", np.ones((2, 3)))
    count = g.parameter("count", np.int64(0), trainable=False)
    h = gn.clip(x @ w, 0.0, 1.0) + g.constant(0.5, name="c")
    loss = gn.sum(gn.exp(h))
    step = gn.compile(loss, updates={w: w - 0.1 * gn.grad(loss, w), count: count + 1})
    dbg = gn.debug(gn.trace(step, {x: np.ones((40, 2))}, keep=400), echo=None)
    dbg.resume()
    dbg.what_if("clip", hi=0.75)
    dbg["exp"] = np.full((40, 3), 2.0)
    seen = dbg.trace()
    kept = [
        Condensed.of(record.value) if record.bytes > 400 and record.node.inputs else record.value for record in seen
    ]
    return Trace(
        seen.prepared, kept, [0.5] * len(kept), seen.updates, stopped=3, error="it was so", sources=seen.sources
    )


def _of(cls: type[Op]) -> Forgery:
    op, operands = cls.samples(Draw(np.random.default_rng(3)))
    g = gn.Graph(cls.name)
    arrays = [np.asarray(operand) for operand in operands]
    nodes = [g.placeholder(f"p{i}", array.shape, array.dtype) for i, array in enumerate(arrays)]
    g.outputs["made"] = g.add(op, nodes)
    return Forgery("graph", *to_data(g))


def sound() -> list[Forgery]:
    """Return files of graphs and of runs as they are saved; and of each operation, of ours, one graph."""
    loss, updates, feed = _training()
    step = gn.compile(loss, updates=updates)
    looping = _looping()
    ops = [
        cls
        for cls in registry.values()
        if cls.samples.__func__ is not Op.samples.__func__  # type: ignore[attr-defined]
        and cls.__module__.startswith("graphnn.")
    ]
    return [
        Forgery("graph", *to_data(loss.graph)),
        Forgery("trace", *lively()._encoded()),
        Forgery("trace", *gn.trace(step, feed)._encoded()),
        Forgery("trace", *gn.trace(lively(), keep="digests")._encoded()),
        looping,
        *map(_of, ops),
    ]


# --- lies -------------------------------------------------------------------------------------------------------


def lie(rng: np.random.Generator) -> Any:
    """Return anything at all that JSON can hold."""
    pool: list[Any] = [[None, True, False], NUMBERS, TEXTS, CODE, ODD, LISTS][
        rng.choice(6, p=[0.1, 0.3, 0.1, 0.2, 0.15, 0.15])
    ]
    value = copy.deepcopy(pool[rng.integers(len(pool))])
    if rng.random() < 0.03:
        for _ in range(int(rng.choice([1, 2, 50, 99, 300]))):
            value = [value] if rng.random() < 0.9 else {"a": value}
    return value


def changed(rng: np.random.Generator, value: Any) -> Any:
    """Change one place in a tree of lists and dicts where it stands, mostly within its type; return the new value."""
    place = value
    parent: Any = None
    key: Any = None
    while isinstance(place, (list, dict)) and place and rng.random() > 0.04:
        parent = place
        keys = list(place) if isinstance(place, dict) else range(len(place))
        key = keys[int(rng.integers(len(keys)))]
        if rng.random() < 0.06:
            _rearrange(rng, parent, key, keys[int(rng.integers(len(keys)))])
            return value
        place = place[key]
    if parent is None:
        return lie(rng)
    parent[key] = _within(rng, place) or (_near(rng, place) if rng.random() < 0.6 else lie(rng))
    return value


def _within(rng: np.random.Generator, value: Any) -> str | None:
    """Return a graph that is kept as text with a lie in it; None for anything else, and of some."""
    if type(value) is not str or not value.startswith('[{"name"') or rng.random() < 0.2:
        return None
    try:
        graph = json.loads(value)
    except ValueError:  # it lies already
        return None
    for _ in range(int(rng.integers(1, 4))):
        graph = changed(rng, graph)
    return json.dumps(graph, separators=(",", ":"), ensure_ascii=False)


def _rearrange(rng: np.random.Generator, parent: Any, key: Any, other: Any) -> None:
    """Swap two entries, double one, drop one, or add one."""
    way = rng.integers(4)
    if way == 0:
        parent[key], parent[other] = parent[other], parent[key]
    elif way == 1:
        parent[key] = copy.deepcopy(parent[other])
    elif way == 2:
        del parent[key]
    elif isinstance(parent, list):
        parent.insert(key, lie(rng))
    else:
        parent[str(lie(rng))[:200]] = parent.pop(key)


def _near(rng: np.random.Generator, value: Any) -> Any:
    """Return a value of the same type."""
    if type(value) is bool:
        return not value
    if type(value) is int:
        return value + [-1, 1, 2, -3, 10, 10**12][rng.integers(6)]
    if type(value) is float:
        return [-value, value + 1.0, value * 1e300, math.nan, math.inf][rng.integers(5)]
    if type(value) is str:
        texts = [*TEXTS, *CODE, *ODD, value + " ", value[:-1], value + value, value.upper()]
        return texts[rng.integers(len(texts))]
    return lie(rng)


def _renamed(rng: np.random.Generator, graph: Any, arrays: dict[str, Any], kind: str) -> bool:
    """Give a node, a scope, an output, a file, a dimension or the graph a hostile name; of a node, its array too."""
    texts = [*CODE, *ODD]
    text = texts[rng.integers(len(texts))]
    table, column = [("nodes", "name"), ("scopes", "path"), ("outputs", "name"), ("lines", "file"), ("specs", "shape")][
        rng.integers(5)
    ]
    try:
        column_of = graph[table][column]
        place = int(rng.integers(len(column_of)))
        old = column_of[place]
        if table == "specs":
            names = sorted({side for shape in column_of for side in shape if type(side) is str})
            old = names[rng.integers(len(names))]
            graph[table][column] = [[text if side == old else side for side in shape] for shape in column_of]
        else:
            column_of[place] = text
        if table == "nodes":
            for prefix in ("state/", "feed/") if kind == "trace" else ("",):
                if prefix + old in arrays:
                    arrays[prefix + text] = arrays.pop(prefix + old)
    except (KeyError, IndexError, TypeError, ValueError):  # another lie is here already, or there is nothing to name
        return False
    return True


_TABLES = ["operations", "specs", "nodes", "scopes", "inputs"]


def forged(rng: np.random.Generator, of: list[Forgery]) -> Forgery:
    """Return a sound file with one to four lies in it."""
    kind, data, arrays = of[int(rng.integers(5)) if rng.random() < 0.5 else int(rng.integers(len(of)))]
    data, arrays = copy.deepcopy(data), dict(arrays)
    for _ in range(int(rng.choice([1, 2, 3, 4], p=[0.6, 0.2, 0.1, 0.1]))):
        draw = rng.random()
        if draw < 0.1:
            names = [
                *arrays,
                "more",
                "given/5",
                "value/-1",
                "value/a",
                "value/9",
                "feed/w",
                "state/w",
                "state/c",
                *CODE,
            ]
            name = str(names[rng.integers(len(names))])
            shapes = [(), (3,), (2, 3), (40, 2), (0,), (1,) * 40]
            array = np.zeros(shapes[rng.integers(6)], DTYPES[rng.integers(8)])
            array[...] = [0, 1, 100][rng.integers(3)]
            arrays[name] = array
            continue
        if draw < 0.3 and "digests" in arrays:
            rows = arrays["digests"] = np.array(arrays["digests"])
            rows.reshape(-1)[rng.integers(rows.size, size=9)] = rng.integers(256, size=9)
            continue
        if draw < 0.14 and arrays:
            del arrays[list(arrays)[rng.integers(len(arrays))]]
            continue
        if draw < 0.34 and _renamed(rng, data.get("graph") if kind == "trace" else data, arrays, kind):
            continue
        where = data["graph"] if kind == "trace" and isinstance(data.get("graph"), dict) and draw < 0.5 else data
        if where.get("operations") and rng.random() < 0.45:
            table = where.get(_TABLES[rng.integers(5)]) if rng.random() < 0.5 else where["operations"]
            if isinstance(table, dict) and isinstance(table.get("attributes"), list) and rng.random() < 0.7:
                table = table["attributes"]
                full = [row for row in table if isinstance(row, dict) and row]
                table = full[rng.integers(len(full))] if full else table
            if isinstance(table, (dict, list)) and table:
                changed(rng, table)
            continue
        changed(rng, where)
        if not isinstance(data, dict):
            break
    return Forgery(kind, data, arrays)


_GARBLED = [
    (b'"name"', b'"name": 1, "name"'),
    (b"0", b"1" * 5000),
    (b"0", b"1e999999"),
    (b"}", b"]"),
    (b'"', b"\xff"),
    (b"[", b"[" * 5000),
    (b"null", b"undefined"),
    (b"1", b"0x1"),
]


def written(forgery: Forgery, rng: np.random.Generator | None = None) -> bytes:
    """Return the file, its checksums right; given `rng`, of some the list of arrays or the JSON lies as well."""
    kind, data, arrays = forgery
    members: list[Any] = [
        [name, f"array-{number}.npy", array.dtype.name, list(array.shape)]
        for number, (name, array) in enumerate(arrays.items())
    ]
    directory = copy.deepcopy(members)
    blocks = [_npy(array) for array in arrays.values()]
    header: Any = {"version": 1, "arrays": directory, "data": data}
    if rng is not None and directory and rng.random() < 0.05:
        changed(rng, directory)
    if rng is not None and rng.random() < 0.01:
        changed(rng, header)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    if rng is not None and rng.random() < 0.02:
        text = text.replace(*_GARBLED[rng.integers(len(_GARBLED))], 1)
    if rng is not None and rng.random() < 0.01:
        kind = ["trace", "graph", "other"][rng.integers(3)]
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(f"{kind}.json", text)
        for (_, member, _, _), block in zip(members, blocks, strict=True):
            archive.writestr(member, block)
    return packed.getvalue()


def _npy(array: Any) -> bytes:
    packed = BytesIO()
    np.save(packed, np.asarray(array, order="C"))
    return packed.getvalue()


# --- what one does with a file ----------------------------------------------------------------------------------


def _feed(graph: gn.Graph) -> dict[gn.Node, Any]:
    """Return ones for every placeholder, with two for each name."""
    found: dict[gn.Node, Any] = {}
    for node in graph:
        if node.op.name == "placeholder":
            shape = [side if isinstance(side, int) else 2 for side in node.shape]
            if math.prod(shape) * node.dtype.itemsize > BUDGET:
                return {}
            found[node] = np.ones(shape, node.dtype)
    return found


def _fetches(graph: gn.Graph) -> list[gn.Node]:
    return [*graph.outputs.values(), *graph.updates.values(), *list(graph)[-1:]]


def _run(graph: gn.Graph) -> None:
    gn.run(_fetches(graph), _feed(graph))


def _step(graph: gn.Graph) -> None:
    step, feed = gn.compile(_fetches(graph)), _feed(graph)
    for _ in range(2):
        step(feed)
    if "__import__" in step.plan(feed).source:
        raise AssertionError("text of a file in the source of a plan")


def _saved(thing: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "again.gnn")
        gn.save(thing, path) if isinstance(thing, gn.Graph) else thing.save(path)
        gn.load(path)


def _told(graph: gn.Graph) -> None:
    str(gn.summary(graph))
    for node in graph:
        repr(node)
        str(node.origin)
    repr(graph)
    repr(list(graph.scopes.values()))


def _drawn(thing: Any) -> None:
    if isinstance(thing, gn.Graph):
        str(gn.draw(thing).source)
    else:
        str(gn.draw(thing.fetches, trace=thing).source)


def _records(trace: Trace) -> None:
    json.dumps(trace.to_records())
    str(trace)
    for record in trace:
        try:
            str(trace.why(record.node, (0,) * record.value.ndim))
        except gn.GraphnnError:
            continue


def _debugged(trace: Trace) -> None:
    trace.graph.memory_budget = BUDGET
    dbg = gn.debug(trace, echo=None)
    dbg.resume()
    dbg.back()
    dbg.resume()
    dbg.what_if(dbg.order[0], dbg[dbg.order[0]].value)
    dbg.resume()
    if dbg.updates:
        dbg.commit()
    dbg.trace()


def _paged(trace: Trace) -> None:
    if present("pages"):
        trace.to_html()


def _compared(trace: Trace) -> None:
    found = gn.compare(trace, trace)
    str(found)
    found.table()


def _checked(trace: Trace) -> None:
    trace.graph.memory_budget = BUDGET
    str(gn.check_health(trace))


USES: dict[str, list[Callable[[Any], None]]] = {
    "Graph": [_run, _step, _saved, _told, _drawn],
    "Trace": [_records, _saved, _drawn, _debugged, _checked, _paged, _compared],
}


class Hang(BaseException):
    """Something takes too long."""


@contextmanager
def patient(seconds: float) -> Iterator[None]:
    """Raise `Hang` if what is inside takes longer."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


_executed: list[str] = []
_watching: list[bool] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and (event.startswith(BANNED) or (event == "import" and CANARY in str(arguments[0]))):
        _executed.append(f"{event} {arguments!r}"[:300])


@contextmanager
def watched() -> Iterator[list[str]]:
    """Give a list of what is run that no file may have run. An audit hook stays for good; it is idle elsewhere."""
    if not hasattr(builtins, f"_{CANARY}"):
        sys.addaudithook(_watch)
        setattr(builtins, f"_{CANARY}", True)
    _executed.clear()
    _watching.append(True)
    try:
        yield _executed
    finally:
        _watching.pop()


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Return one folder for all forgeries: to make and remove one takes longer than to load a file."""
    return tempfile.TemporaryDirectory()


def overwrite(path: Path, content: bytes | bytearray) -> None:
    """Give a file other content. To open one that is to be emptied makes some file systems write to the disk first."""
    path.touch()
    with path.open("r+b") as file:
        file.write(content)
        file.truncate()


def fault_of(content: bytes, rng: np.random.Generator, seen: Counter[str], uses: int = 2) -> str | None:
    """Load a file and use what comes of it; return what is wrong with how that ends, or None."""
    with watched() as executed, warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        path = Path(_folder().name, "forged.gnn")
        overwrite(path, content)
        what = "load"
        try:
            with patient(PATIENCE):
                try:
                    thing = gn.load(path)
                except gn.GraphnnError as error:
                    seen["refused"] += 1
                    if type(error).__name__ != "FileFormatError":
                        return f"load raised {type(error).__name__}: {error}"
                    cause = error.__cause__
                    while cause is not None and not isinstance(cause, (MemoryError, RecursionError, SystemError)):
                        cause = cause.__cause__
                    if cause is not None and not isinstance(cause, gn.GraphnnError):
                        return f"load ran into {cause!r}: {error}"
                    str(error)
                    return f"load ran {executed}" if executed else None
                seen[f"loaded {type(thing).__name__}"] += 1
                if isinstance(thing, (gn.Graph, Trace)):  # a run reads its traces later
                    (thing if isinstance(thing, gn.Graph) else thing.graph).memory_budget = BUDGET
                known = USES[type(thing).__name__]
                for place in rng.permutation(len(known))[:uses]:
                    what = known[place].__name__.strip("_")
                    try:
                        known[place](thing)
                        seen[f"{what}: done"] += 1
                    except gn.GraphnnError as error:
                        seen[f"{what}: {type(error).__name__}"] += 1
                        str(error)
        except Hang:
            return f"{what} took more than {PATIENCE:g} s"
        except Exception as error:  # noqa: BLE001 # that is what is looked for
            return f"{what} raised {_located(error)}"
        return f"{what} ran {executed}" if executed else None


def _located(error: BaseException) -> str:
    """Return an error with the line of graphnn that it comes from."""
    place, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if "/graphnn/" in file:
            place = f"{file.rpartition('/graphnn/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__} at {place}: {str(error)[:300]}"


# --- damage -----------------------------------------------------------------------------------------------------


def small() -> bytes:
    """Return a small file."""
    g = gn.Graph("s")
    g.outputs["y"] = -g.parameter("w", [1.0, 2.0])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "small.gnn")
        gn.save(g, path)
        return path.read_bytes()


def damaged(content: bytes, every: int = 1) -> Iterator[tuple[str, bytes]]:
    """Yield a file cut off at each byte, and with each so-manieth of its bits flipped."""
    for size in range(len(content)):
        yield f"truncated to {size}", content[:size]
    for bit in range(0, 8 * len(content), every):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        yield f"bit {bit} flipped", bytes(flipped)
