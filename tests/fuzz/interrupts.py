"""Interrupt the building of graphs at random points, and see that none is broken: ``interrupts.py --count 2000``.

An interrupt is raised between two bytecodes of what graphnn runs to build a small network with scopes, layers,
gradients and an optimizer: every second one in the innermost code, which makes a node or opens a scope. Afterwards the
graph must be whole, and must save, run, draw and grow. Its scopes must be closed, unless the interrupt fell while
`with` itself entered or left one: what Python hears in the call of ``__exit__`` keeps it from running. These are
counted.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable
from contextvars import copy_context
from pathlib import Path
from types import FrameType
from typing import Any

import networkx as nx
import numpy as np

import graphnn as gn
from graphnn import nn
from graphnn.core import Provenance, current_provenance
from graphnn.core.provenance import ScopeProvenance
from graphnn.nn.layers.layer import training_now

PACKAGE = str(Path(gn.__file__).parent)
ANYWHERE = (PACKAGE,)
INNERMOST = tuple(f"{PACKAGE}/core/{name}.py" for name in ("graph", "provenance", "dag"))


def building(g: gn.Graph) -> None:
    """Build a small network with all that enters a graph."""
    x = g.placeholder("x", shape=("batch", 3))
    labels = g.placeholder("labels", shape=("batch",), dtype="int64")
    with g.scope("head"):
        h = nn.Dense(4)(x * 2.0)
        with g.scope("inner"):
            h = nn.Dropout(0.5)(gn.tanh(h), training=True) + gn.softmax(h)
    loss = gn.mean(nn.softmax_crossentropy(nn.Dense(3)(h), labels))
    g.outputs["loss"] = loss
    w = g.parameter("w", np.ones(3))
    gn.jvp(gn.sum(x @ w), {w: np.arange(3.0)})
    nn.Adam(0.01).updates(loss)


def little(g: gn.Graph) -> None:
    """Build next to nothing, of each kind."""
    with g.scope("s"):
        y = g.parameter("w", 1.0) + g.placeholder("x")
    gn.square(y)


class Interrupter:
    """Raises KeyboardInterrupt before the n-th bytecode that some files run, and counts them."""

    def __init__(self, at: int | None, files: tuple[str, ...]) -> None:
        self.at, self.files, self.seen = at, files, 0

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        file = frame.f_code.co_filename
        if not (file.startswith(self.files) or file.endswith("contextlib.py")):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self.opcode

    def opcode(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
        if event == "opcode":
            self.seen += 1
            if self.seen == self.at:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self.opcode


def interrupted(
    build: Callable[[gn.Graph], None], g: gn.Graph, at: int | None, files: tuple[str, ...] = ANYWHERE
) -> tuple[int, BaseException | None]:
    """Build, with an interrupt at a bytecode; return how many there were, and what came out."""
    interrupter = Interrupter(None, files)
    before = sys.gettrace()
    sys.settrace(interrupter)
    try:
        if sys.version_info >= (3, 12):
            build(gn.Graph())  # code tells of its bytecodes only once it has been entered under this trace function
        interrupter.at, interrupter.seen = at, 0
        build(g)
    except KeyboardInterrupt as error:
        return interrupter.seen, error  # kept, as an interactive session keeps it: it holds all the frames
    finally:
        sys.settrace(before)
    return interrupter.seen, None


def is_open(g: gn.Graph) -> bool:
    """Return whether new nodes get a scope, or anything else, from a block that has ended."""
    place = current_provenance(g)
    return (place.scope, place.origin, place.twin) != (None, None, None)


def in_with(interrupt: BaseException) -> bool:
    """Return whether an interrupt fell while `with` entered or left a scope."""
    codes = {each.__code__ for each in (Provenance.__enter__, Provenance.__exit__, ScopeProvenance.__enter__)}
    frames = [frame for frame, _ in traceback.walk_tb(interrupt.__traceback__)]
    return next(frame for frame in reversed(frames) if frame.f_code.co_filename != __file__).f_code in codes


def check(build: Callable[[gn.Graph], None], g: gn.Graph, folder: str | None) -> None:
    """Raise an AssertionError, or what a graph raises that is not whole; without a folder, look and build only."""
    assert not training_now.get()
    runs(g, folder)
    # It goes on: what was begun is built a second time, beside what there is, under names of its own.
    with g.scope("again"):
        build(g)
    runs(g, folder)
    if g.updates:
        gn.compile(list(g.outputs.values()), g.updates)(feed_of(g))


def feed_of(g: gn.Graph) -> dict[gn.Node, Any]:
    """Return numbers for all placeholders."""
    return {node: np.ones([2 if d == "batch" else d for d in node.shape], node.dtype) for node in g.placeholders}


def runs(g: gn.Graph, folder: str | None) -> None:
    """See that a graph is whole, and can be copied, saved, drawn and run."""
    whole(g)
    if folder is None:
        return
    if len(g):
        whole(gn.extract(list(g)))
        gn.run(list(g), feed_of(g), graph=g)
        assert gn.draw(g).source
    gn.save(g, f"{folder}/g.gnn")
    back = gn.load(f"{folder}/g.gnn")
    whole(back)
    assert [node.name for node in back] == [node.name for node in g]


def whole(g: gn.Graph) -> None:
    """See that every table of a graph tells of the same nodes."""
    nodes = list(g)
    dag = g.dag
    assert list(dag._node) == list(dag._adj) == list(dag._pred) == [node.name for node in nodes]
    assert [node.index for node in nodes] == list(range(len(nodes)))
    assert nx.is_directed_acyclic_graph(dag)
    edges = [(a.name, node.name, i) for node in nodes for i, a in enumerate(node.inputs)]
    assert sorted(edges) == sorted(dag.edges(keys=True))
    assert sorted(edges) == sorted((a, b, k) for b, row in dag._pred.items() for a, keys in row.items() for k in keys)
    assert g.placeholders == [node for node in nodes if node.op.name == "placeholder"]
    assert list(g.state) == [node for node in nodes if node.op.name == "parameter"]
    assert list(g._constants) == [node for node in nodes if node.op.name == "constant"]
    for node in nodes:
        assert node.graph is g
        assert all(operand.index < node.index for operand in node.inputs)
        assert node.scope in g.scopes or node.scope == ""
        assert node.name.startswith(node.scope)
    for path, scope in g.scopes.items():
        inside = [node for node in nodes if node.scope == path or node.scope.startswith(f"{path}/")]
        assert scope.path == path
        assert scope.parent is None or g.scopes[scope.parent.path] is scope.parent
        assert scope.result is (inside[-1] if inside else None), (path, scope.result, inside[-1:])
    for parameter, following in [*g.updates.items(), *((counter, node) for (counter, _), node in g.advances.items())]:
        assert g.dag._node[parameter.name].node is parameter
        assert g.dag._node[following.name].node is following


def broken_by(
    build: Callable[[gn.Graph], None], points: Iterable[int], files: tuple[str, ...], *, wholly: bool = True
) -> tuple[int, int, list[str]]:
    """Interrupt a building at some bytecodes.

    Return how many interrupts there were, how many of them left a scope open since they fell into a `with` statement
    itself, and what each graph broke with.
    """
    made, left, broken = 0, 0, []

    def attempt(at: int, folder: str | None) -> None:
        nonlocal made, left
        g = gn.Graph()
        _, interrupt = interrupted(build, g, at, files)
        made += interrupt is not None
        if is_open(g):
            assert interrupt is not None
            assert in_with(interrupt), f"{current_provenance(g).scope} is still open"
            left += 1
        check(build, g, folder)

    with tempfile.TemporaryDirectory() as folder:
        for at in points:
            try:
                copy_context().run(attempt, at, folder if wholly else None)
            except Exception as error:  # noqa: BLE001 - counted
                broken.append(f"bytecode {at:,}: {type(error).__name__}: {error}")
    return made, left, broken


def bytecodes(build: Callable[[gn.Graph], None], files: tuple[str, ...]) -> int:
    """Return how many there are to be interrupted, once all is imported and known."""
    interrupted(build, gn.Graph(), None, files)
    return interrupted(build, gn.Graph(), None, files)[0]


def main(count: int, seed: int) -> int:
    """Make that many interrupts; return how many graphs were broken by them."""
    rng = random.Random(seed)
    failures = []
    for files, share in ((ANYWHERE, count // 2), (INNERMOST, count - count // 2)):
        total = bytecodes(building, files)
        made, left, broken = broken_by(building, [rng.randint(1, total) for _ in range(share)], files)
        where = "anywhere" if files is ANYWHERE else "in the innermost code"
        print(  # noqa: T201
            f"{made:,} interrupts among {total:,} bytecodes {where}: {len(broken)} graphs broken; "
            f"{left} scopes left open, by interrupts of `with` itself"
        )
        failures += broken
    print(*failures, sep="\n")  # noqa: T201
    return len(failures)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    sys.exit(min(main(given.count, given.seed), 1))
