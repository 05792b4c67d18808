"""Where elements were before they were moved: from the columns of a convolution back to the windows of its input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..ops.concatenation import Pad
from ..ops.linalg import Transpose
from ..ops.sliding_windows import Windows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..core import Array, Node, Op


def before_moves(
    node: Node,
    cells: Array,
    value_of: Callable[[Node], Array | None],
    op_of: Callable[[Node], Op],
    given: Callable[[Node], str] = lambda node: "",
) -> tuple[Node, Array]:
    """Return the node from which some elements were moved, and their places there.

    Operations are passed whose elements are copies of those of an operand, as long as all come from the same one.

    Parameters
    ----------
    node : Node
    cells : array of int
        Places of its elements, in C order.
    value_of, op_of : callable
        What a node was, None where that is not known, and the operation that was used.
    given : callable, optional
        Says of a node who gave its value, or "" where its operation did.

    Returns
    -------
    node : Node
    cells : array of int
        In the order in which they were given; -1 of one that is 0 from padding.

    Examples
    --------
    >>> from graphnn.core import Graph, fn
    >>> x = Graph().placeholder("x", shape=(1, 4))
    >>> y = fn.windows(fn.pad(x, ((0, 0), (1, 0))), 3, axes=1)
    >>> values = {x: np.ones((1, 4)), y.inputs[0]: np.ones((1, 5)), y: np.ones((1, 3, 3))}
    >>> node, cells = before_moves(y, np.array([0, 1, 2]), values.__getitem__, lambda node: node.op)
    >>> node.name, cells.tolist()
    ('x', [-1, 0, 1])
    """
    while node.inputs and not given(node) and not (op := op_of(node)).element_formula:
        known, value = cells >= 0, value_of(node)
        operands = [each for operand in node.inputs if (each := value_of(operand)) is not None]
        if value is None or len(operands) < len(node.inputs):
            break
        found = _sources(op, cells[known], value.shape, operands)
        came = [i for i, places in enumerate(found) if (places >= 0).any()]
        if len(came) != 1 or (isinstance(op, Pad) and np.any(op.constant_values) and (found[came[0]] < 0).any()):
            break
        cells = cells.copy()
        cells[known] = found[came[0]]
        node = node.inputs[came[0]]
    return node, cells


def _sources(op: Op, cells: Array, shape: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Array]:
    """Return, for each operand, the places from which these elements of a result came; -1 of those of another."""
    if op.reshapes or (not shape and isinstance(op, (Transpose, Pad))):
        return [cells]
    x = operands[0]
    index: Any = np.unravel_index(cells, shape) if shape else ()  # of arrays, which `reads` of windows takes, too
    if isinstance(op, Transpose):
        return [np.asarray(np.ravel_multi_index([index[k] for k in np.argsort(op.order(x.ndim))], x.shape))]
    if isinstance(op, Windows):
        return [np.asarray(np.ravel_multi_index(op.reads(index, operands)[0], x.shape))]
    if isinstance(op, Pad):
        befores = [before for before, _ in op._pairs(x.ndim)]
        places = [i - before for i, before in zip(index, befores, strict=True)]
        inside = np.all([(i >= 0) & (i < n) for i, n in zip(places, x.shape, strict=True)], axis=0)
        return [np.where(inside, np.ravel_multi_index([i * inside for i in places], x.shape), -1)]
    if (sources := op.sources(operands)) is not None:
        return [places.reshape(-1)[cells] for places in sources]
    found = np.full((len(operands), cells.size), -1)
    for k, at in enumerate(zip(*index, strict=True) if shape else [()] * cells.size):
        for i, (entry, each) in enumerate(zip(op.reads(tuple(map(int, at)), operands), operands, strict=True)):
            if entry is not None:
                place = np.arange(each.size).reshape(each.shape)[entry]
                found[i, k] = place.flat[0] if np.size(place) else -1
    return list(found)
