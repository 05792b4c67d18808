"""`latex`: what nodes compute, as formulas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Array
from ...core.fetches import resolve
from ...errors import UsageError
from ...runtime.feed import prepare
from .evaluation import Values
from .expressions import Line, Recurrence
from .printing import joined, line_latex, recurrence_latex
from . import body_writer  # noqa: F401
from .rules import elementwise, fallback, layers, loops, products, reductions, shapes  # noqa: F401 - they register rules
from .writer import Writer

if TYPE_CHECKING:
    from ...core import Graph
    from ...runtime.feed import Feed


class Formulas(str):
    """Formulas as LaTeX; a notebook shows them as mathematics."""

    lines: tuple[Line | Recurrence, ...]
    graph: Graph

    def _repr_latex_(self) -> str:
        return f"$$\n{self}\n$$"

    def evaluate(self, feed: Feed | None = None) -> dict[str, Array]:
        prepared = prepare(self.graph, self.nodes, feed)
        given = {node.name: np.asarray(value) for node, value in prepared.given.items()}
        given |= {key: node.value for key, node in self.constants.items()}
        values = Values(given, prepared.sizes)
        found = {}
        for line in self.lines:
            if isinstance(line, Recurrence):
                values.recurrence(line)
            else:
                found[line.name] = values.line(line)
        return found


def latex(fetches: Any, *, detail: str = "layer", graph: Graph | None = None) -> Formulas:
    known, nodes, _ = resolve(fetches, graph)
    writer = Writer(known, nodes, detail)
    lines = writer.lines()
    text: list[str] = []
    for line in lines:
        text += recurrence_latex(line) if isinstance(line, Recurrence) else [line_latex(line)]
    found = Formulas(joined(text))
    found.lines, found.graph, found.constants, found.nodes = tuple(lines), known, writer.constants, nodes
    return found
