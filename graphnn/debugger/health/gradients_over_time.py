"""Gradients that vanish or explode on their way back through the iterations of a loop."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from ...control_flow.unrolled_run import Iterated, iterated
from .check_registry import check, declare
from .findings import at_line, rounded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...core import Array, Node
    from .evaluation import Evaluation
    from .findings import Finding

SHRUNK = 1e-6
"""A gradient has vanished below this share of what it was at the last iteration, and exploded above its inverse."""
_LONG = 10  # iterations; over fewer, layers are compared
_COTANGENT, _ARRIVING = re.compile(r"cotangent(_\d+)?"), re.compile(r"arriving(_\d+)?")


@check(
    "vanishing-over-time",
    "a gradient that shrinks to almost nothing on its way back through the iterations of a loop",
    "use an LSTM or a GRU, let the bias of the forget gate begin at 1 or more, make recurrent weights orthogonal "
    "(nn.init.orthogonal), or use the states of more iterations in the loss",
)
def vanishing(run: Evaluation) -> Iterator[Finding]:
    """Follow the gradient of the state from the last iteration back to the first, without what arrives on the way."""
    for loop in iterated(run.graph):
        if loop.phase == "backward" and len(loop.rows) >= _LONG:
            yield from _of_loop(run, loop)


exploding = declare(
    "exploding-over-time",
    "a gradient that grows without bound on its way back through the iterations of a loop",
    "clip the gradients, nn.Adam(…, clip_norm=1.0), make recurrent weights smaller or orthogonal (nn.init.orthogonal), "
    "or truncate: cut the gradient every so many iterations with gn.stop_gradient",
)


def _of_loop(run: Evaluation, loop: Iterated) -> Iterator[Finding]:
    carries = [
        (node.index, loop.op.carried[k])
        for k, node in enumerate(loop.op.split(([None] if loop.op.counted else []) + loop.inputs)[0])
        if _COTANGENT.fullmatch(node.name)
    ]
    rows = [*loop.rows]
    ends = [[loop.rows[row][at] for _, at in carries] for row in rows]
    nodes = [node for found in ends for node in found if node is not None and node in run.places]
    if not nodes or any(run.value_of(node) is None for node in nodes):
        return
    arriving = _arriving(run, loop, rows)
    known = dict(zip(nodes, run.after(arriving, nodes) if arriving else map(run.value_of, nodes), strict=True))
    norms = [_norm([known[node] for node in found if node in known]) for found in ends if known.keys() & set(found)]
    start = next((k for k, norm in enumerate(norms) if norm > 0), None)
    if start is None or not np.isfinite(norms).all() or len(norms) - start < _LONG:
        return
    first, last = norms[start], norms[-1]
    if SHRUNK * first <= last <= first / SHRUNK:
        return
    lost = last < first
    bound = first * (SHRUNK if lost else 1 / SHRUNK)
    at = next(k for k in range(start, len(norms)) if (norms[k] < bound if lost else norms[k] > bound))
    node = next(node for node in ends[at] if node in known)
    cause = (
        f"the gradient of the state in {_forward_name(run, loop)}{at_line(node)} {'shrinks' if lost else 'grows'} from "
        f"{rounded(first)} in iteration {rows[start]} to {rounded(last)} in iteration {rows[len(norms) - 1]}; by "
        f"iteration {rows[at]} it is {'less' if lost else 'more'} than {bound / first:.0e} of that"
    )
    # A loss of all states has their gradients, however little is left of those that come from later ones.
    severity = "note" if lost and any(run.value_of(each).any() for each in arriving) else "warning"
    yield (vanishing if lost else exploding).of(node, cause, severity=severity)


def _forward_name(run: Evaluation, loop: Iterated) -> str:
    """Return what the loop is called whose gradient a loop computes."""
    roots = [f"{derived.root.path}/" for derived in run.graph.cotangents.values()]
    return next((loop.name.removeprefix(root) for root in roots if loop.name.startswith(root)), loop.name)


def _arriving(run: Evaluation, loop: Iterated, rows: list[int]) -> dict[Node, Array]:
    """Return zeros for the cotangents that arrive at iterations after the first that goes back."""
    places = [node.index for node in loop.inputs if _ARRIVING.fullmatch(node.name)]
    found = [loop.rows[row][place] for row in rows[1:] for place in places]
    kept = {loop.rows[rows[0]][place] for place in places}
    return {
        node: np.zeros_like(run.value_of(node))
        for node in found
        if node is not None and node in run.places and node not in kept
    }


def _norm(values: list[Array]) -> float:
    return float(np.sqrt(sum(float(np.sum(np.square(value.astype(np.float64)))) for value in values)))
