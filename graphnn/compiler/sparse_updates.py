"""Updates of few rows of a table: a plan writes these rows into memory of its own, and leaves the others as they are.

A step of gradient descent subtracts a gradient that is 0 in all rows but those that the step has looked up. To
subtract 0 changes no bit. So the next table is the present one with a few rows exchanged. It is not written over the
present one, which others may hold, and which must stay if the step fails: there are two arrays that take turns, and in
each turn one takes over the rows in which they differ.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from sys import getrefcount
from typing import TYPE_CHECKING
from weakref import getweakrefcount

import numpy as np

from ..ops.elementwise import Multiply, Subtract
from ..ops.indexing import IndexAdd, places_of
from ..ops.scatter_kernels import accumulate_slices
from ..runtime.program import _ONE_REFERENCE

if TYPE_CHECKING:
    from ..core import Array, Node
    from ..runtime.evaluation_loop import Prepared
    from .thresholds import Settings

_SHARE = 4
"""Rows are written alone if they are at most this part of the table."""


class RowsAlone:
    """Returns ``table - index_add(x, indices) * rate``, to the bit, in time that depends on the rows at the indices.

    It keeps the array that it returned last, the one before, and the rows in which they differ. The one before is
    written to if nobody else refers to it. An array that the state no longer holds cannot be found by anybody who does
    not refer to it already, so this stays true.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[Array, Array | None, Array]] = []

    def __call__(self, table: Array, x: Array, indices: Array, rate: Array) -> Array:
        places = places_of("index_add", indices, len(table))
        if not (np.isfinite(rate) and not np.signbit(rate)):  # 0 * rate is NaN, or -0, which changes the sign of -0
            total = np.zeros(table.shape, table.dtype)
            accumulate_slices(np.add, total, 0, places, x)
            return np.asarray(table - total * rate)
        rows, inverse = np.unique(np.where(places < 0, places + len(table), places), return_inverse=True)
        # In the order of the indices, as in the whole table.
        total = np.zeros((len(rows), *table.shape[1:]), table.dtype)
        accumulate_slices(np.add, total, 0, inverse, x)
        changed = table[rows] - total * rate
        following, last = self._writable(table)
        following[rows] = changed
        self._kept[:] = [(following, last, rows)]
        return following

    def _writable(self, table: Array) -> tuple[Array, Array | None]:
        """Return an array of our own that is equal to the table, and the array that the table is if that is ours."""
        try:
            last, before, rows = self._kept.pop()  # whoever fails from here on leaves nothing half written behind
        except IndexError:
            return np.array(table, order="C"), None
        if table.base is not last:  # a step that failed, or another value
            return np.array(table, order="C"), None
        if before is None or next(map(getrefcount, (before,))) > _ONE_REFERENCE or getweakrefcount(before):
            return np.array(table, order="C"), last
        before.setflags(write=True)
        before[rows] = last[rows]
        return before, last


class Tables:
    """The tables that a step updates row by row. All plans of the step share their arrays.

    Parameters
    ----------
    updates : mapping of Node to Node
    """

    def __init__(self, updates: Mapping[Node, Node]) -> None:
        self._following = {node: parameter for parameter, node in updates.items()}
        self._rows: dict[Node, RowsAlone] = {}

    def found(self, prepared: Prepared, settings: Settings) -> dict[Node, tuple[RowsAlone, Sequence[Node]]]:
        """Return what makes the next value of a table of which few rows change, with its operands.

        The node is ``table - index_add(x, indices) * rate``, and nothing else reads any part of it.
        """
        program = prepared.program
        if not any(type(node.op) is IndexAdd for node in program.order):
            return {}
        readers = Counter(operand for node in program.order for operand in node.inputs)
        fetched = Counter(program.order[position] for position in program.fetches)
        found: dict[Node, tuple[RowsAlone, Sequence[Node]]] = {}
        for node in program.order:
            table = self._following.get(node)
            if table is None or type(node.op) is not Subtract or node.inputs[0] is not table:
                continue
            product = node.inputs[1]
            if type(product.op) is not Multiply or type(product.inputs[0].op) is not IndexAdd:
                continue
            total, rate = product.inputs
            alone = [readers[each] + fetched[each] == 1 for each in (node, product, total)]
            alike = [each.dtype == table.dtype != np.float16 for each in (total, rate)]
            if all(alone) and all(alike) and not rate.shape and _is_worth_it(prepared, total, settings):
                rows = self._rows.setdefault(node, RowsAlone())
                found[node] = rows, (table, *total.inputs, rate)
        return found


def _is_worth_it(prepared: Prepared, total: Node, settings: Settings) -> bool:
    """Return whether a gradient is one of few rows of a large table."""
    assert isinstance(total.op, IndexAdd)
    shape, indices = prepared.shape_of(total), prepared.shape_of(total.inputs[1])
    few = total.op.axis == 0 and math.prod(indices) * _SHARE <= shape[0]
    return few and math.prod(shape) * total.dtype.itemsize >= settings.table
