"""PyTorch as the other side of a comparison: it runs the module's export call by call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..core.symbolic_shapes import concrete
from ..debugger.diff import runtime
from .checked import Program
from .dtypes import tensor_of
from .from_torch import SOURCE

if TYPE_CHECKING:
    from ..core import Array, Graph, Node


@runtime("torch", reads="gn.from_torch(module, *example)")
def run_by_torch(
    graph: Graph, nodes: Sequence[Node], feed: Mapping[Node, Array], sizes: Mapping[str, int]
) -> Iterator[tuple[Node, Array]] | None:
    """Return the values of nodes as PyTorch computes them, with the weights that the module has now."""
    source = graph.caches.get(SOURCE)
    if source is None:
        return None
    torch, found, made = source
    program = Program(torch, found, keep=True)
    given = []
    for node in graph.placeholders:
        array = feed.get(node)
        if array is None:
            missing = dict.fromkeys((str(dim) for dim in node.spec.shape if isinstance(dim, str)), 2)
            array = np.zeros(concrete(node.spec.shape, {**missing, **sizes}), node.spec.dtype)
        given.append(tensor_of(torch, np.array(array)))
    with torch.no_grad():
        program(found.operands(given))
    values: dict[Node, Array] = {}
    for call, results in made.items():
        for node, array in zip(results, program.kept.get(call, ()), strict=False):
            if node is not None and array is not None:
                values.setdefault(node, array)
    return ((node, values[node]) for node in nodes if node in values and node not in feed)
