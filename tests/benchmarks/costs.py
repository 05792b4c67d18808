"""Measure what a training step alone does not show: chains, single nodes, feeds, depth, compiling, memory, a training.

    python tests/benchmarks/costs.py [chains nodes feed depth compiling start batch sizes operands indices memory
        long spiral] [--json FILE] [--quick]

Each measurement is a process of its own, held to one core and one thread. What is compared within one is timed in turn,
round after round, and the least time counts.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

import measure
import numpy as np
from engines import ENGINES, SIZES, Size, drawn, with_start
from measure import told

import graphnn as gn
from graphnn import nn
from graphnn.compiler.backends import FASTER

Rows = list[dict[str, Any]]

PLANS = {"plan": "numpy"} | ({} if ENGINES["native"].missing() else {"native": "native"})
"""The backends that are measured, under the names of their columns."""


def chains(quick: bool) -> Rows:
    """Twenty elementwise operations on a million float32, cheap ones, and with four tanh among them."""
    count = 10**5 if quick else 10**6
    x = np.random.default_rng(0).standard_normal(count).astype(np.float32)
    rows = []
    for title, last_numpy, last in (("20 cheap ones", np.maximum, gn.maximum), ("4 of them tanh", np.tanh, gn.tanh)):
        more = (0,) if last is gn.maximum else ()
        given = gn.Graph("chain", dtype=np.float32).placeholder("x", ("n",))
        h = given
        for _ in range(4):
            h = last(gn.absolute(h * 0.9 + 0.5) - 0.25, *more)
        compiled = {name: gn.compile(h, backend=backend) for name, backend in PLANS.items()}
        out = np.empty_like(x)

        def temporaries(last: Any = last_numpy, more: Any = more) -> Any:
            h = x
            for _ in range(4):
                h = last(np.abs(h * 0.9 + 0.5) - 0.25, *more)
            return h

        def in_place(last: Any = last_numpy, more: Any = more, out: Any = out) -> Any:
            h = x
            for _ in range(4):
                np.multiply(h, 0.9, out=out)
                np.add(out, 0.5, out=out)
                np.abs(out, out=out)
                np.subtract(out, 0.25, out=out)
                h = last(out, *more, out=out)
            return h

        functions = {"NumPy": temporaries, "NumPy with `out=`": in_place}
        functions |= {name: partial(step, {given: x}) for name, step in compiled.items()}
        assert all(np.array_equal(temporaries(), function()) for function in functions.values())
        times = measure.in_turn(functions)
        row: dict[str, Any] = {"20 operations on 10⁶ float32": title}
        row |= {f"{name}, ms": seconds * 1e3 for name, seconds in times.items()}
        rows.append(row | {f"{name} / NumPy": times[name] / times["NumPy"] for name in PLANS})
    return rows


def nodes(quick: bool) -> Rows:
    """A thousand nodes on small arrays: what a node costs, and the call of NumPy that it is."""
    count, rng = 1000, np.random.default_rng(0)
    x = rng.standard_normal(16)
    given = gn.Graph("nodes").placeholder("x", (16,))
    made, lines = [given], []
    for i in range(1, count + 1):
        other = int(rng.integers(max(0, i - 20), i))
        kind = ("maximum", "subtract", "tanh")[i % 3]
        operands = (i - 1,) if kind == "tanh" else (i - 1, other)
        made.append(getattr(gn, kind)(*[made[operand] for operand in operands]))
        lines.append(f"    {kind}({', '.join(f'h{operand}' for operand in operands)}, out=h{i})\n")
    outs = [x, *np.empty((count, 16))]
    names = ", ".join(f"h{i}" for i in range(count + 1))
    space: dict[str, Any] = {"maximum": np.maximum, "subtract": np.subtract, "tanh": np.tanh}
    exec(f"def make({names}):\n  def bare():\n{''.join(lines)}    return h{count}\n  return bare", space)  # noqa: S102
    bare: Callable[[], Any] = space["make"](*outs)
    functions = {"NumPy with `out=`": bare} | {
        f"graphnn, {name}": partial(gn.compile(made[-1], backend=backend), {given: x})
        for name, backend in (PLANS | {"interpreter": "interpreter"}).items()
    }
    assert all(np.array_equal(function(), bare()) for function in functions.values())
    times = measure.in_turn(functions, rounds=3 if quick else 7)
    return [{"1,000 nodes of 16 numbers": name, "µs a node": seconds / count * 1e6} for name, seconds in times.items()]


def feed(quick: bool) -> Rows:
    """A call that computes next to nothing, fed ten arrays: the check of the feed."""
    g = gn.Graph("feed")
    given = [g.placeholder(f"x{i}", ("batch", 4)) for i in range(10)]
    total = given[0]
    for node in given[1:]:
        total = total + node
    arrays = [np.ones((8, 4)) for _ in given]
    by_node, by_name = dict(zip(given, arrays, strict=True)), {f"x{i}": array for i, array in enumerate(arrays)}
    rows: Rows = []
    for name, backend in PLANS.items():
        compiled = gn.compile(total, backend=backend)
        functions = {
            "called alone": partial(compiled.plan(by_node), *arrays),
            "a call of the step, fed by node": partial(compiled, by_node),
            "a call of the step, fed by name": partial(compiled, by_name),
        }
        times = measure.in_turn(functions, rounds=3 if quick else 7)
        rows += [{"ten arrays": f"{name}: {what}", "µs": seconds * 1e6} for what, seconds in times.items()]
    return rows


def depth(quick: bool) -> Rows:
    """Networks of 2 to 1,000 layers: the time of a layer, and the least that making them takes."""
    rows = []
    for backend in PLANS.values():  # what is done once in a process
        given = gn.Graph("first").placeholder("x", ("batch",))
        gn.compile(-given, backend=backend).plan({given: np.ones(2)})
    X, y = np.random.default_rng(0).standard_normal((32, 32)), np.arange(32) % 3
    for layers in (2, 10, 100) if quick else (2, 10, 100, 1000):
        row: dict[str, Any] = {"layers of 32, batch of 32": layers}
        for name, backend in PLANS.items():
            making: list[list[float]] = []
            for _ in range(3 if quick else max(3, 100 // layers)):
                gc.collect()
                marks = [time.perf_counter()]
                g = gn.Graph("deep")
                x, labels = g.placeholder("x", ("batch", 32)), g.placeholder("labels", ("batch",), dtype=np.int64)
                h, rng = x, np.random.default_rng(0)
                for _ in range(layers - 1):
                    h = nn.ReLU()(nn.Dense(32, weight_init=nn.init.he_normal(), rng=rng)(h))
                loss = nn.softmax_crossentropy(nn.Dense(3, rng=rng)(h), labels)
                marks.append(time.perf_counter())
                updates = nn.SGD(1e-6).updates(loss)
                marks.append(time.perf_counter())
                compiled = gn.compile(loss, updates=updates, backend=backend)
                compiled.plan({x: X, labels: y})  # which a call alone makes but where it is not the first
                compiled({x: X, labels: y})
                marks.append(time.perf_counter())
                making.append([after - before for before, after in pairwise(marks)])
            building, differentiating, first = map(min, zip(*making, strict=True))
            seconds = measure.in_turn({"step": partial(compiled, {x: X, labels: y})})["step"]
            count = len(gn.schedule([loss, *updates.values()]))
            row |= {
                "nodes": count,
                "building, ms": building * 1e3,
                "gradient and updates, ms": differentiating * 1e3,
                f"{name}: a step, ms": seconds * 1e3,
                f"{name}: first call, µs a node": (first - seconds) / count * 1e6,
            }
            if name == "native":
                row["native: with kernels to compile, µs a node"] = making[0][-1] / count * 1e6
        rows.append(row)
    return rows


def compiling(quick: bool) -> Rows:
    """The step of the spiral's network, made anew several times: what each stage takes before the first loss."""
    X, y = gn.datasets.spiral(100, classes=3, seed=0)
    stages: dict[str, dict[str, float]] = {}
    for name, backend in PLANS.items():
        for _ in range(5 if quick else 25):
            marks = [time.perf_counter()]
            g = gn.Graph("spiral")
            x, labels = g.placeholder("x", ("batch", 2)), g.placeholder("labels", ("batch",), dtype=np.int64)
            network = nn.Sequential(nn.Dense(64), nn.ReLU(), nn.Dense(3))
            loss = nn.softmax_crossentropy(network(x), labels)
            marks.append(time.perf_counter())
            updates = nn.SGD(1.0).updates(loss)
            marks.append(time.perf_counter())
            compiled = gn.compile(loss, updates=updates, backend=backend)
            compiled.plan({x: X, labels: y})
            marks.append(time.perf_counter())
            compiled({x: X, labels: y})
            marks.append(time.perf_counter())
            named = ("building the graph", "gradient and updates", "compiling", "the first call after it")
            for stage, before, after in zip(named, marks, marks[1:], strict=False):
                least = stages.setdefault(stage, {})
                least[name] = min(least.get(name, float("inf")), after - before)
    return [
        {"the spiral's step, 300×2→64→3": stage} | {f"{name}, ms": seconds * 1e3 for name, seconds in least.items()}
        for stage, least in stages.items()
    ]


def batch(quick: bool) -> Rows:
    """The spiral's network on batches of 1 to 100,000 rows: the time of a row."""
    rows = []
    names = ("numpy", "numpy-out", *PLANS)
    for count in [10**power for power in range(5 if quick else 6)]:
        rng = np.random.default_rng(0)
        X, labels = rng.standard_normal((count, 2)).astype(np.float32), rng.integers(0, 3, count)
        problem = with_start(X, labels, 64, 3, 0.1, rng)
        times = measure.in_turn({name: ENGINES[name].load()(problem).step for name in names}, rounds=5)
        row: dict[str, Any] = {"rows of 2→64→3, float32": count}
        row |= {f"{ENGINES[name].label}, µs": times[name] * 1e6 for name in names}
        row |= {f"{name} / NumPy": times[name] / times["numpy"] for name in PLANS}
        rows.append(row | {f"{name}, ns a row": times[name] / count * 1e9 for name in PLANS})
    return rows


def sizes(quick: bool) -> Rows:
    """Batches of sizes that a step has not had, at random: the median times before and after it records a plan."""
    count, rounds, rows = (4, 2, []) if quick else (12, 5, [])
    cases = {f"{name} {SIZES[name]}": partial(_classified, SIZES[name]) for name in ("T", "S", "M")}
    cases["two blocks of a transformer, 8 sequences"] = _attended
    for case, make in cases.items():
        seconds: dict[str, list[float]] = {}
        for _ in range(rounds):
            compiled, feeds = make(4 * count)
            apart = gn.compile(compiled.fetches[0], dict(compiled.updates), backend="interpreter")
            first = next(feeds)
            for _ in range(5):
                compiled(first)
            for what, function, times in (
                ("a call node by node, ms", apart, count),
                ("recording a plan, once, ms", compiled.plan, 1),
                ("making its plan from then on, ms", compiled.plan, count),
                ("a call from then on, ms", compiled, count),
            ):
                for given in islice(feeds, times):
                    start = time.perf_counter()
                    function(given)
                    seconds.setdefault(what, []).append(time.perf_counter() - start)
        row: dict[str, Any] = {"a batch of a new size, float32": case}
        rows.append(row | {what: statistics.median(found) * 1e3 for what, found in seconds.items()})
    return rows


def _classified(size: Size, count: int) -> tuple[Any, Iterator[dict[Any, Any]]]:
    """Return a training step of a network of two layers, and feeds of so many numbers of rows."""
    problem = drawn(size, "float32")
    X, labels = (np.concatenate([part, part[:count]]) for part in (problem.X, problem.labels))
    g = gn.Graph("sizes", dtype=np.float32)
    x, y = g.placeholder("x", ("batch", size.inputs)), g.placeholder("labels", ("batch",), dtype=np.int64)
    net = nn.Sequential(nn.Dense(size.hidden), nn.ReLU(), nn.Dense(size.classes))
    loss = nn.softmax_crossentropy(net(x), y)
    step = gn.compile(loss, updates=nn.SGD(0.1).updates(loss))
    numbers = np.random.default_rng(0).permutation(range(size.rows, len(X)))
    return step, iter([{x: X[:n], y: labels[:n]} for n in numbers])


def _attended(count: int) -> tuple[Any, Iterator[dict[Any, Any]]]:
    """Return a training step of a small language model, and feeds of so many lengths."""
    rng = np.random.default_rng(0)
    g = gn.Graph("sizes", dtype=np.float32)
    tokens, following = (g.placeholder(name, ("batch", "time"), dtype=np.int64) for name in ("tokens", "following"))
    h = nn.Embedding(100, 64)(tokens)
    for _ in range(2):
        h = nn.TransformerBlock(4, 128, causal=True)(h)
    loss = nn.softmax_crossentropy(nn.Dense(100)(h), following)
    step = gn.compile(loss, updates=nn.Adam(0.001).updates(loss))
    text = rng.integers(0, 100, (2, 8, 20 + count))
    lengths = rng.permutation(range(20, 20 + count))
    return step, iter([{tokens: text[0, :, :n], following: text[1, :, :n]} for n in lengths])


def started(engine: str) -> Rows:
    """Train a step of size M until it runs as it will from then on: the processor's seconds, after the imports."""
    problem, make = drawn(SIZES["M"], "float32"), ENGINES[engine].load()
    for room, names in ((nn, "Dense ReLU Sequential SGD Adam softmax_crossentropy"), (gn, "compile run grad")):
        for name in names.split():
            getattr(room, name)  # loads its module: that is an import, too
    if engine == "native":
        FASTER["native"].load()
    start = time.process_time()
    training = make(problem)
    training.step()
    first = time.process_time()
    for _ in range(2):
        training.step()
    return [{"first": first - start, "ready": time.process_time() - start}]


def start(quick: bool) -> Rows:
    """The first loss and the third, where nothing is compiled yet, and where another process has compiled it."""
    rows: Rows = []
    with TemporaryDirectory() as cache:
        cases = {ENGINES[name].label: (name, "off") for name in ("interpreter", *PLANS)}
        if "native" in PLANS:
            cases[f"{ENGINES['native'].label}, compiled before"] = "native", cache
        for label, (engine, folder) in cases.items():
            found = [_apart(f"started:{engine}", GRAPHNN_CACHE=folder)[0] for _ in range(2 if quick else 5)]
            row: dict[str, Any] = {f"M {SIZES['M']}, float32": label}
            row["first loss, ms"] = min(one["first"] for one in found) * 1e3
            rows.append(row | {"third loss, ms": min(one["ready"] for one in found) * 1e3})
    return rows


_CHOICES: tuple[Callable[[Any], Any], ...] = (
    gn.absolute,
    gn.square,
    gn.negative,
    lambda x: x * 0.5,
    lambda x: x + 1.0,
    lambda x: gn.maximum(x, 0.1),
    lambda x: x - 0.3,
    lambda x: 1.0 / (x + 2.0),
)


def distinct(backend: str, *counts: str) -> Rows:
    """Make graphs, each of which needs other code, one after the other: how far memory has grown by then."""
    rows, X, begun = [], np.ones((4, 8)), 0.0
    for number in range(1, int(counts[-1]) + 1):
        given = h = gn.Graph("one of many").placeholder("x", ("n", 8))
        digits = number
        for _ in range(8):
            digits, choice = divmod(digits, len(_CHOICES))
            h = _CHOICES[choice](h) + given
        step = gn.compile(gn.sum(h), backend=backend)
        step.plan({given: X})
        step({given: X})
        del given, h, step
        if number == 10 or str(number) in counts:
            gc.collect()
            begun = begun or measure.memory("VmRSS")
        if str(number) in counts:
            rows.append({"graphs": number, "MB": (measure.memory("VmRSS") - begun) / 1e6})
    return rows


def memory(quick: bool) -> Rows:
    """Many small graphs, made and let go of one after the other: the growth of memory since the tenth."""
    counts = ("100", "400") if quick else ("400", "1000", "2000", "4000")
    rows: dict[int, dict[str, Any]] = {}
    for name, backend in PLANS.items():
        for one in _apart(":".join(["distinct", backend, *counts]), GRAPHNN_CACHE="off"):
            row = rows.setdefault(one["graphs"], {"different graphs, one after the other": one["graphs"]})
            row[f"{name}, MB"] = one["MB"]
    return list(rows.values())


def chained(backend: str, count: str) -> Rows:
    """Make a plan of a chain and its gradient, and run it: the most memory taken, and the processor's seconds."""
    g = gn.Graph("chain")
    x, w = g.placeholder("x", (4,)), g.parameter("w", np.ones(4))
    h = x * w
    for i in range(int(count)):
        h = gn.tanh(h) if i % 2 else h * 0.9
    loss = gn.sum(h)
    step = gn.compile(loss, {w: w - 0.1 * gn.grad(loss, w)}, backend)
    before, start = measure.memory("VmHWM"), time.process_time()
    if backend != "interpreter":
        step.plan({x: np.ones(4)})
    seconds = time.process_time() - start
    step({x: np.ones(4)})
    return [{"before": before / 1e6, "after": measure.memory("VmHWM") / 1e6, "seconds": seconds}]


def long(quick: bool) -> Rows:
    """A long chain of operations with its gradient: the most memory that the process takes."""
    rows: Rows = []
    for count in (1000, 3000) if quick else (1000, 10_000, 100_000):
        row: dict[str, Any] = {"operations in a chain, with gradient": count}
        for name, backend in PLANS.items():
            (found,) = _apart(f"chained:{backend}:{count}", GRAPHNN_CACHE="off")
            row.setdefault("graph made, MB", found["before"])  # before LLVM is loaded
            row[f"{name}, MB"] = found["after"]
            row[f"{name}: making it, s"] = found["seconds"]
        rows.append(row)
    return rows


def operands(quick: bool) -> Rows:
    """Many operands of one operation: making the graph of a concatenation, and its gradient."""
    rows: Rows = []
    for count in (500, 1000) if quick else (1000, 2000, 4000, 8000):
        best = [np.inf, np.inf]
        for _ in range(3):
            g = gn.Graph("many")
            xs = [g.placeholder(f"x{i}", ("n", 2)) for i in range(count)]
            moments = [time.perf_counter()]
            loss = gn.sum(gn.square(gn.concatenate(xs, axis=1)))
            moments.append(time.perf_counter())
            gn.grad(loss, xs)
            moments.append(time.perf_counter())
            best = [min(known, end - begin) for known, (begin, end) in zip(best, pairwise(moments), strict=True)]
        row = {"operands of a concatenation": count, "making it, ms": best[0] * 1e3, "its gradient, ms": best[1] * 1e3}
        rows.append(row)
    return rows


def indices(quick: bool) -> Rows:
    """Values at indices: the gradient of rows that are read, and the largest of the edges at each node of a graph."""
    count = 1 if quick else 8
    rng = np.random.default_rng(0)
    g = gn.Graph("indices", dtype="float32")
    x, at = g.placeholder("x", (1024 * count, 64)), g.placeholder("at", (1024 * count,), int)
    y, edges = g.placeholder("y", (500 * count, 16)), g.placeholder("edges", (3000 * count, 16))
    to = g.placeholder("to", (3000 * count, 16), int)
    feed = {
        x: rng.normal(size=x.shape),
        at: rng.integers(0, x.shape[0], at.shape),
        y: rng.normal(size=y.shape),
        edges: rng.normal(size=edges.shape),
        to: rng.integers(0, y.shape[0], to.shape),
    }
    read = gn.sum(gn.square(gn.take(x, at, axis=0)))
    most = gn.sum(gn.square(gn.put_along_axis(y, to, edges, axis=0, reduce="maximum")))
    rows: Rows = []
    for what, asked in (
        (f"the gradient of gn.take(x, indices), {x.shape}", gn.grad(read, x)),
        (f"the largest of {edges.shape[0]:,} edges at {y.shape[0]:,} nodes, 16 features", most),
        ("and its gradient", gn.grad(most, edges)),
    ):
        row: dict[str, Any] = {"float32": what}
        for name, backend in PLANS.items():
            step = gn.compile(asked, backend=backend)
            step.plan(feed)
            row[f"{name}, ms"] = min(_seconds(partial(step, feed)) for _ in range(20)) * 1e3
        rows.append(row)
    return rows


def _seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def trained(engine: str, steps: str) -> Rows:
    """Train the spiral's network of 100 hidden units, with an engine."""
    X, labels = gn.datasets.spiral(100, classes=3, seed=0)
    X = X.astype(np.float32)
    training = ENGINES[engine].load()(with_start(X, labels, 100, 3, 1.0, np.random.default_rng(0)))
    start = time.perf_counter()
    for _ in range(int(steps)):
        loss = training.step()
    seconds = time.perf_counter() - start
    w1, b1, w2, b2 = training.parameters()
    right = np.argmax(np.maximum(X @ w1 + b1, 0) @ w2 + b2, axis=1) == labels
    return [{"engine": engine, "seconds": seconds, "loss": loss, "accuracy": float(right.mean())}]


def spiral(quick: bool) -> Rows:
    """The spiral, trained for 10,000 steps on all 300 points, by several engines in turn."""
    steps = 1000 if quick else 10_000
    engines = [
        name for name in ("numpy", "numpy-out", "interpreter", "plan", "native", "torch") if not ENGINES[name].missing()
    ]
    best: dict[str, dict[str, Any]] = {}
    for _ in range(1 if quick else 3):
        for engine in engines:
            (found,) = _apart(f"trained:{engine}:{steps}")
            if engine not in best or found["seconds"] < best[engine]["seconds"]:
                best[engine] = found
    return [
        {
            f"{steps:,} steps on the spiral, 300×2→100→3, float32": ENGINES[engine].label,
            "s": found["seconds"],
            "last loss": found["loss"],
            "accuracy, %": found["accuracy"] * 100,
        }
        for engine, found in best.items()
    ]


MEASURED: dict[str, Callable[[bool], Rows]] = {
    "chains": chains,
    "nodes": nodes,
    "feed": feed,
    "depth": depth,
    "compiling": compiling,
    "start": start,
    "batch": batch,
    "sizes": sizes,
    "operands": operands,
    "indices": indices,
    "memory": memory,
    "long": long,
    "spiral": spiral,
}


TASKS: dict[str, Callable[..., Rows]] = {
    "started": started,
    "distinct": distinct,
    "chained": chained,
    "trained": trained,
}
"""What measurements have done in processes of their own."""


def _apart(what: str, quick: bool = False, **variables: str) -> Rows:
    """Return what a measurement gives in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, *["--quick"] * quick, "--work", what],
        stdout=subprocess.PIPE,
        text=True,
        env=measure.environment(1) | variables,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{what} failed")
    rows: Rows = json.loads(done.stdout)
    return rows


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", metavar="measurement", help=f"of {', '.join(MEASURED)}; all by default")
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.work:
        name, *more = settings.work.split(":")
        measure.pin(1)
        rows = TASKS[name](*more) if more else MEASURED[name](settings.quick)
        sys.stdout.write(json.dumps(rows))
        return
    if unknown := [name for name in settings.which if name not in MEASURED]:
        parser.error(f"unknown: {', '.join(unknown)} (known: {', '.join(MEASURED)})")
    result: dict[str, Any] = {"circumstances": measure.circumstances(1), "rows": {}}
    for name in settings.which or MEASURED:
        told(f"{name}; load {measure.shown_load()}")
        # The engines of these have processes of their own.
        own = name in ("start", "memory", "long", "spiral")
        rows = MEASURED[name](settings.quick) if own else _apart(name, settings.quick, GRAPHNN_CACHE="off")
        result["rows"][name] = rows
        sys.stdout.write(f"{measure.table(rows)}\n")
    result["circumstances"]["load after"] = measure.load()
    if settings.json:
        settings.json.parent.mkdir(parents=True, exist_ok=True)
        settings.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
