"""How long pictures of large graphs take, by each engine, and what became of them.

    python tests/benchmarks/draw_times.py [--dot /usr/bin/dot] [--pure graphviz-pure] [--quick]

A row of the table is a graph, drawn as `gn.draw(fetches)` draws it, or opened, with ``detail="op"``; a column is what
there is to lay it out: the system's Graphviz, graphviz-pure, or neither. Each cell is a picture as SVG, in seconds from
`gn.draw` to the last byte, in a process that has drawn one before; with an asterisk where graphnn laid it out itself,
though there was a Graphviz. What is no picture ends the program.
"""

import argparse
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy is loaded

import numpy as np

import graphnn as gn
from graphnn import nn
from graphnn.view.diagram import diagram
from graphnn.view.layout import engine

told = sys.stdout.write


# --- what is drawn ----------------------------------------------------------------------------------------------


def spiral() -> list[gn.Node]:
    """Return a training step of the spiral's network: its loss, and the next value of each parameter by Adam."""
    loss = classifier([64])
    return [loss, *nn.Adam(0.02).updates(loss).values()]


def mlp(nodes: int, alike: bool = True) -> list[gn.Node]:
    """Return the loss and the gradients of so many nodes together, in a stack of Dense and ReLU."""
    of_two, of_three = (len(gn.schedule(with_gradients(classifier([16] * hidden)))) for hidden in (2, 3))
    hidden = max(1, round((nodes - of_two) / (of_three - of_two)) + 2)
    return with_gradients(classifier([16 if alike else 4 + place for place in range(hidden)]))


def classifier(hidden: list[int]) -> gn.Node:
    """Return the loss of a network with layers of such widths."""
    rng = np.random.default_rng(0)
    g = gn.Graph("classifier")
    x = g.placeholder("x", shape=("batch", 2))
    labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
    for width in hidden:
        x = nn.ReLU()(nn.Dense(width, rng=rng)(x))
    return nn.softmax_crossentropy(nn.Dense(3, rng=rng)(x), labels)


def with_gradients(loss: gn.Node) -> list[gn.Node]:
    """Return a loss with the gradients of all parameters."""
    return [loss, *gn.grad(loss, loss.graph.parameters)]


def random_dag(nodes: int) -> list[gn.Node]:
    """Return the ends of a graph without any scope, each operand one of the last twenty nodes, or any before."""
    rng = np.random.default_rng(nodes)
    g = gn.Graph("random")
    made = [g.placeholder(f"x_{number}", shape=("n",)) for number in range(4)]
    operations = [gn.tanh, gn.exp, gn.add, gn.multiply, gn.subtract, gn.maximum]
    while len(made) < nodes:
        operation = operations[rng.integers(len(operations))]
        count = 1 if operation in operations[:2] else 2
        near = rng.integers(max(0, len(made) - 20), len(made), count)
        far = rng.integers(0, len(made), count)
        made.append(operation(*(made[place] for place in np.where(rng.random(count) < 0.8, near, far))))
    return [node for node in made if not node.users]


def graphs(quick: bool) -> Iterator[tuple[str, list[gn.Node]]]:
    """Yield what is drawn, by name."""
    yield "spiral, a training step", spiral()
    for nodes in (300, 1000) if quick else (300, 1000, 3000, 10_000):
        yield f"MLP of {nodes:,} nodes", mlp(nodes)
        if nodes == 3000:
            yield f"MLP of {nodes:,} nodes, no two layers alike", mlp(nodes, alike=False)
    for nodes in (300,) if quick else (300, 1000, 3000):
        yield f"random DAG of {nodes:,} nodes", random_dag(nodes)


# --- how long it takes ------------------------------------------------------------------------------------------


class Picture(NamedTuple):
    """What came out, and after how many seconds."""

    seconds: float
    boxes: int
    note: str

    @property
    def cell(self) -> str:
        """As it stands in the table."""
        plainly = "Graphviz" in self.note and "there is no Graphviz" not in self.note
        return f"{self.seconds:.2f}{' *' * plainly}"


def drawn(fetches: list[gn.Node], detail: str | None, repeats: int) -> Picture:
    """Return what became of a graph; of the times, the least, since what else runs here can only add to it."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        picture = gn.draw(fetches, detail)
        svg = picture.svg()
        taken.append(time.perf_counter() - start)
        if "</svg>" not in svg:
            raise SystemExit(f"no picture of {picture!r}")
    boxes = int(repr(picture).rpartition(": ")[2].partition(" box")[0].replace(",", ""))
    return Picture(min(taken), boxes, picture.note)


def ways(options: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    """Return what there is to lay a picture out, by name."""
    found: dict[str, Callable[[], Any]] = {}
    if dot := shutil.which(options.dot):
        found["`dot`"] = lambda: engine.Engine(dot, pure=False)
    if pure := shutil.which(options.pure):
        found["graphviz-pure"] = lambda: engine.Engine(pure, pure=True)
    return found | {"neither": lambda: None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dot", default="dot", help="the system's Graphviz")
    parser.add_argument("--pure", default="graphviz-pure")
    parser.add_argument("--repeats", type=int, default=5, help="each cell is the least of so many")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    finders = ways(options)
    told(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}\n\n")
    told(f"| graph | nodes | boxes | {' | '.join(finders)} | |\n|---|---:|---:|{'---:|' * len(finders)}---|\n")
    gn.draw(spiral()).svg()
    for name, fetches in graphs(options.quick):
        nodes, before = len(gn.schedule(fetches)), 0
        for detail in (None, "op"):
            cells = []
            for finder in finders.values():
                engine.find_engine = diagram.find_engine = finder
                cells.append(drawn(fetches, detail, options.repeats))
            boxes = cells[0].boxes
            if boxes == before:
                continue
            notes = {part for cell in cells for part in cell.note.split("; ") if "folded to" in part}
            first = name if detail is None else "the same, opened"
            row = [first, f"{nodes:,}", f"{boxes:,}", *(cell.cell for cell in cells), " ".join(notes)]
            told(f"| {' | '.join(row)} |\n")
            sys.stdout.flush()
            before = boxes


if __name__ == "__main__":
    main()
