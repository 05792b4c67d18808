"""Which elements an element was computed from, as rules that the page follows.

A rule says of one operand which places, in C order, an element of the result reads. It is a list that JSON takes:

- ``["at", offset, strides, sizes, steps]``: the place ``offset + Σ stride·index``, and from there a grid: along each
  of its axes ``size`` places, ``step`` apart. A sixth entry is a mask: elements where it is 0 read nothing.
- ``["lists", counts, starts, places]``: for each element that the page keeps, how many it reads, and the first of
  them: ``places[starts[k]:starts[k + 1]]``.
- ``["all"]``: the whole operand. None: it is not known here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ...core import Array, Op
from ...debugger.why import places_of
from ...ops.activations import Prelu
from ...ops.base import Rearranging
from ...ops.class_labels import OneHot
from ...ops.elementwise import Elementwise
from ...ops.linalg import Einsum, Matmul, Outer
from ...ops.reductions import Norm, Reduction
from ...ops.shape import SumTo

Rule = list[Any] | None
Shape = Sequence[int]

MOST_ASKED = 300_000
"""How many elements of a page are asked one by one."""
_MOST_LISTED = 100_000  # places of one rule
_LEAST_LISTED = 4  # so many numbers an equation writes out

# What these read follows from the index alone, each axis by itself.
_BY_INDEX = {cls.reads for cls in (Reduction, SumTo, Matmul, Outer, Einsum, Norm, OneHot)}


def by_shapes(op: Op) -> bool:
    """Return whether the rules of an operation follow from it and from the shapes of its operands alone."""
    reads = type(op).reads
    return reads in _BY_INDEX or reads is Elementwise.reads


def decided_by(op: Op, dtypes: Sequence[np.dtype[Any]]) -> list[int]:
    """Return the operands whose numbers decide what the operation reads: what is an index, a label or a condition.

    Parameters
    ----------
    op : Op
    dtypes : sequence of dtype
        Those of the operands.
    """
    if by_shapes(op) or type(op).reads in (Op.reads, Rearranging.reads):
        return []
    if isinstance(op, Prelu):
        return [0]
    return [position for position, dtype in enumerate(dtypes) if dtype.kind in "iub"]


class Reader:
    """Makes the rules of one page.

    Parameters
    ----------
    store : callable
        Takes an array into the page, and returns by which number it is known there.
    """

    def __init__(self, store: Callable[[Array], int]) -> None:
        self._store = store
        self._asked = 0

    def rules(self, op: Op, shape: Shape, operands: Sequence[Array], kept: Callable[[], Array]) -> list[Rule]:
        """Return the rule of each operand.

        Parameters
        ----------
        op : Op
            Bound to the sizes of the run.
        shape : tuple of int
            That of the result.
        operands : sequence of ndarray
        kept : callable
            Gives the places of the result's elements that the page has.
        """
        reads = type(op).reads
        if reads is Op.reads:
            return [["all"] for _ in operands]
        if op.elementwise and (reads is Elementwise.reads or op.selects or isinstance(op, Prelu)):
            rules: list[Rule] = [_broadcast(shape, x.shape) for x in operands]
            for position, mask in _masks(op, operands).items():
                shown = np.broadcast_to(mask, shape).astype(np.uint8).reshape(-1)[kept()]
                rules[position] = [*(rules[position] or []), self._store(shown)]
            return rules
        found: Sequence[Rule] | None = None
        if math.prod(shape) == 0:
            return [None for _ in operands]
        if reads in _BY_INDEX:
            found = _probed(op, shape, operands)
        elif (sources := op.sources(operands)) is not None:
            found = [_affine(source) or self._table(source.reshape(-1)[kept()]) for source in sources]
        return list(found) if found is not None else self._asked_each(op, shape, operands, kept())

    def _table(self, places: Array) -> Rule:
        return self._listed([[place] if place >= 0 else [] for place in places.tolist()])

    def _asked_each(self, op: Op, shape: Shape, operands: Sequence[Array], kept: Array) -> list[Rule]:
        self._asked += kept.size
        if self._asked > MOST_ASKED:
            return [None for _ in operands]
        lists: list[list[Sequence[int]]] = [[] for _ in operands]
        for place in kept.tolist():
            index = tuple(int(i) for i in np.unravel_index(place, shape))
            for found, entry, x in zip(lists, op.reads(index, operands), operands, strict=True):
                found.append(places_of(entry, x.shape).reshape(-1).tolist())
        return [self._listed(found) for found in lists]

    def _listed(self, lists: Sequence[Sequence[int]]) -> Rule:
        counts = np.array([len(found) for found in lists], np.int32)
        most = max(_LEAST_LISTED, _MOST_LISTED // max(1, len(lists)))
        starts = np.cumsum([0, *np.minimum(counts, most)]).astype(np.int32)
        places = np.array([place for found in lists for place in found[:most]], np.int32)
        return ["lists", self._store(counts), self._store(starts), self._store(places)]


def _broadcast(shape: Shape, operand: Shape) -> Rule:
    steps = _strides(operand)
    strides = [0 if n == 1 else step for n, step in zip(operand, steps, strict=True)]
    return ["at", 0, [0] * (len(shape) - len(operand)) + strides, [], []]


def _strides(shape: Shape) -> list[int]:
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


def _masks(op: Op, operands: Sequence[Array]) -> dict[int, Array]:
    if op.selects:
        condition = operands[0].astype(bool)
        return {1: condition, 2: ~condition}
    return {1: ~(operands[0] > 0)} if isinstance(op, Prelu) else {}


def _affine(places: Array) -> Rule:
    """Return a table of places as a rule, if it is one."""
    if places.min() < 0:
        return None
    offset = int(places.flat[0])
    strides = [int(places[_unit(axis, places.ndim)]) - offset if n > 1 else 0 for axis, n in enumerate(places.shape)]
    return ["at", offset, strides, [], []] if np.array_equal(places, _grid(offset, places.shape, strides)) else None


def _grid(offset: int, sizes: Shape, steps: Iterable[int]) -> Array:
    grid = np.full((), offset)
    for axis, (n, step) in enumerate(zip(sizes, steps, strict=True)):
        grid = grid + (np.arange(n) * step).reshape([-1] + [1] * (len(sizes) - 1 - axis))
    return np.broadcast_to(grid, tuple(sizes))


def _unit(axis: int, ndim: int) -> tuple[int, ...]:
    return tuple(int(other == axis) for other in range(ndim))


def _probed(op: Op, shape: Shape, operands: Sequence[Array]) -> list[Rule] | None:
    """Return the rules of what reads a grid that moves evenly with the index."""
    corner = (0,) * len(shape)
    units = [_unit(axis, len(shape)) if n > 1 else corner for axis, n in enumerate(shape)]
    first = _grids(op, corner, operands)
    beside = [_grids(op, unit, operands) for unit in units]
    rules: list[Rule] = []
    for position, places in enumerate(first):
        if not places.size:
            rules.append(["at", 0, [0] * len(shape), [0], [0]])
            continue
        offset = int(places.flat[0])
        strides = [int(grids[position].flat[0]) - offset for grids in beside]
        steps = [int(places[_unit(axis, places.ndim)]) - offset if n > 1 else 0 for axis, n in enumerate(places.shape)]
        if not np.array_equal(places, _grid(offset, places.shape, steps)):
            return None
        rules.append(["at", offset, strides, list(places.shape), steps])
    return rules


def _grids(op: Op, index: tuple[int, ...], operands: Sequence[Array]) -> list[Array]:
    grids = [places_of(entry, x.shape) for entry, x in zip(op.reads(index, operands), operands, strict=True)]
    products = "{factors}" in op.element_formula
    return list(np.broadcast_arrays(*grids)) if products else grids
