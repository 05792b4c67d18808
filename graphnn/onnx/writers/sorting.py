"""The order of elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.symbolic_shapes import product
from ...ops import sorting as ops
from .group import Group, writes
from .reductions import in_order

if TYPE_CHECKING:
    from .draft import Value


@writes(ops.Argsort)
def _argsort(g: Group, op: Any, x: Value) -> Value:
    dims = g.dims(0)
    x = in_order(g, x)
    if op.axis is None:
        x, size, axis = g.flat(x), product(dims), 0
    else:
        axis = op.axis % len(dims)
        size = dims[axis]
    return g("TopK", x, g.draft.size(size), dtype="int64", outputs=2, axis=axis, largest=int(op.descending))
