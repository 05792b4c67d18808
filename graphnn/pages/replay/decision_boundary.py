"""The boundary between classes, as a network sees it at each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import is_float
from ...debugger.what_if_runs import in_state_of
from ...errors import GraphnnError
from ...runtime.evaluation_loop import evaluate
from ...runtime.feed import prepare
from ...view.formatting import visible
from .kept_elements import chosen

if TYPE_CHECKING:
    from ...core import Array, Node
    from ...debugger.traces import Trace

GRID = 32
"""Points of a side of the grid."""
_MOST_CLASSES, _MOST_POINTS = 12, 600


def boundary(traces: Sequence[Trace]) -> dict[str, Any] | None:
    """Return which class a network sees where, a picture a step; None of what has not two numbers a sample."""
    first = traces[0]
    found = _classifier(first)
    if found is None:
        return None
    x, scores = found
    points = first[x].value.astype(np.float64)
    ends = ends_of(points)
    if ends is None:
        return None
    left, right, bottom, top = ends
    ticks = np.linspace(left, right, GRID), np.linspace(bottom, top, GRID)
    grid = np.stack(np.meshgrid(*ticks), axis=-1).reshape(-1, 2).astype(x.dtype)
    try:
        pictures = ["".join(map(chr, 48 + _classes(trace, x, scores, grid))) for trace in traces]
    except GraphnnError:
        return None
    return {
        "x": visible(x.name),
        "scores": visible(scores.name),
        "ends": ends,
        "grid": GRID,
        "classes": pictures,
        "points": [[round(float(a), 4), round(float(b), 4)] for a, b in points[chosen(len(points), _MOST_POINTS)]],
        "labels": _labels(first, x),
    }


def ends_of(points: Array) -> list[float] | None:
    """Return between what points of a plane are drawn: left, right, bottom and top; None where they span none."""
    if not len(points):
        return None
    low, high = points.min(axis=0), points.max(axis=0)
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
        return None
    margin = (high - low) * 0.1
    return [float(end) for pair in zip(low - margin, high + margin, strict=True) for end in pair]


def _labels(trace: Trace, x: Node) -> list[int] | None:
    """Return the class of each point, if one integer a sample is fed."""
    fed = [n for n in trace.prepared.program.placeholders if n.dtype.kind in "iu" and n.shape == x.shape[:1]]
    if len(fed) != 1:
        return None
    labels: list[int] = trace[fed[0]].value.tolist()
    return [labels[i] for i in chosen(len(labels), _MOST_POINTS)]


def _classifier(trace: Trace) -> tuple[Node, Node] | None:
    """Return what is fed with two numbers a sample, and the last that the network makes of it alone."""
    given = [n for n in trace.prepared.program.placeholders if n.ndim == 2 and n.shape[1] == 2 and is_float(n.dtype)]
    if len(given) != 1:
        return None
    x = given[0]
    scores, of_x = None, {x}
    others: set[Node] = set()
    for node in trace.order:
        if (node.op.is_placeholder and node is not x) or any(operand in others for operand in node.inputs):
            others.add(node)
        elif any(operand in of_x for operand in node.inputs) and node.phase == "forward":
            of_x.add(node)
            last = node.shape[-1] if node.ndim == 2 and is_float(node.dtype) else 0
            scope = trace.graph.scopes.get(node.scope)
            in_loss = scope is not None and "crossentropy" in scope.kind
            if node.shape[:1] == x.shape[:1] and isinstance(last, int) and 2 <= last <= _MOST_CLASSES and not in_loss:
                scores = node
    return None if scores is None else (x, scores)


def _classes(trace: Trace, x: Node, scores: Node, grid: Array) -> Array:
    prepared = in_state_of(prepare(trace.graph, [scores], {x: grid}), trace.prepared)
    with np.errstate(all="ignore"):
        *_, last = evaluate(prepared)
    return np.asarray(np.argmax(last.value, axis=-1))
