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
from .expressions import Line
from .printing import joined, line_latex, name_latex
from .rules import elementwise, fallback, layers, products, reductions, shapes  # noqa: F401 - they register rules
from .writer import Writer

if TYPE_CHECKING:
    from ...core import Graph
    from ...runtime.feed import Feed


class Formulas(str):
    """Formulas as LaTeX; a notebook shows them as mathematics."""

    __slots__ = ("graph", "lines")
    lines: tuple[Line, ...]
    graph: Graph

    def _repr_latex_(self) -> str:
        return f"$$\n{self}\n$$"

    def evaluate(self, feed: Feed | None = None) -> dict[str, Array]:
        named = [self.graph[line.name] for line in self.lines if not line.name.startswith("<")]
        prepared = prepare(self.graph, named, feed)
        given = {node.name: np.asarray(value) for node, value in prepared.given.items()}
        given |= {node.name: node.value for node in prepared.program.order if node.op.is_constant}
        values = Values(given, prepared.sizes)
        return {line.name: values.line(line) for line in self.lines}


def latex(fetches: Any, *, detail: str = "layer", graph: Graph | None = None) -> Formulas:
    known, nodes, _ = resolve(fetches, graph)
    writer = Writer(known, nodes, detail)
    lines = writer.lines()
    found = Formulas(joined(map(line_latex, lines)))
    found.lines, found.graph = tuple(lines), known
    return found
