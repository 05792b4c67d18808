"""What one element was computed from, what was computed from it, and one sample of a batch."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..core import Array, Node, Op
from ..core.attributes import whole
from ..core.symbolic_shapes import concrete, shown
from ..errors import AxisError, NotFoundError, UsageError, ValueRangeError, near
from ..ops.elementwise import Elementwise
from .advice import Call
from .why import Index, element_of

LIMIT = 1_000_000
"""How many elements are asked one by one what they read, before an error is raised."""
_NO_PART = "none of its elements has a part in it"


class ByNode(dict[Node, Array]):
    """A dict whose keys are nodes; the name of a node, scope or output will do, too.

    Parameters
    ----------
    found : dict of Node to array
    lacks : str
        Why a node is not among them.
    """

    def __init__(self, found: Mapping[Node, Array], lacks: str) -> None:
        super().__init__(found)
        self._lacks = lacks

    def __missing__(self, name: object) -> Array:
        graph = next(iter(self)).graph
        meant = graph[name] if isinstance(name, str) and name in graph else name
        if isinstance(meant, Node) and meant in self:
            return self[meant]
        if isinstance(meant, Node):
            raise NotFoundError(f'there is no entry for "{meant.name}": {self._lacks}')
        raise NotFoundError(f'there is no entry for "{name}".{near(name, [node.name for node in self])}')


def ancestry(
    node: Node,
    index: Any,
    operands_of: Callable[[Node], Sequence[Array]],
    *,
    sizes: Mapping[str, int] | None = None,
    op_of: Callable[[Node], Op] | None = None,
    given: Container[Node] = (),
    limit: int = LIMIT,
) -> dict[Node, Array]:
    """Return all elements that one was computed from, directly or through others.

    Parameters
    ----------
    node : Node
    index : tuple of int, int or None
        As `explain` takes it.
    operands_of : callable
        What the inputs of a node were, by the node.
    sizes : mapping of str to int, optional
        Of the dimensions that have names.
    op_of : callable, optional
        The operation that was used, by the node, if it was not the node's own.
    given : collection of Node
        What was not computed, although it could be.
    limit : int
        How many elements may be asked what they read.

    Returns
    -------
    dict of Node to array of int
        The places of the elements in C order; the latest node first, which is `node` itself.

    Raises
    ------
    ValueRangeError
        When more elements than `limit` have to be asked, or `limit` is less than 1.

    Examples
    --------
    >>> from graphnn.core import Graph, fn
    >>> x = Graph().placeholder("x", shape=(3, 2))
    >>> y = fn.sum(fn.exp(x), axis=1)
    >>> arrays = {y: [np.exp(np.eye(3, 2))], y.inputs[0]: [np.eye(3, 2)]}
    >>> {node.name: places.tolist() for node, places in ancestry(y, 1, arrays.__getitem__).items()}
    {'sum': [1], 'exp': [2, 3], 'x': [2, 3]}
    """
    reading = Reading(node, sizes, op_of, limit)
    shape = concrete(node.shape, sizes or {})
    return back(reading, node, _marked(element_of(node, index, shape), shape), operands_of, given)


def back(
    reading: Reading, node: Node, mark: Array, operands_of: Callable[[Node], Sequence[Array]], given: Container[Node]
) -> ByNode:
    """Return all elements that marked ones of a node were computed from."""
    marks = {node: mark}
    found = ByNode({}, _NO_PART)
    waiting = [(-node.index, node)]
    while waiting:
        _, at = heapq.heappop(waiting)
        mark = marks.pop(at)
        found[at] = cells = np.flatnonzero(mark)
        if not at.inputs or at in given:
            continue
        operands = operands_of(at)
        for operand, read in zip(at.inputs, reading.read_by(at, cells, mark.shape, operands), strict=True):
            if not read.any():
                continue
            if operand in marks:
                marks[operand] |= read
            else:
                marks[operand] = read
                heapq.heappush(waiting, (-operand.index, operand))
    return found


def influence(
    node: Node,
    index: Any,
    order: Sequence[Node],
    operands_of: Callable[[Node], Sequence[Array]],
    value_of: Callable[[Node], Array],
    *,
    sizes: Mapping[str, int] | None = None,
    op_of: Callable[[Node], Op] | None = None,
    given: Container[Node] = (),
    limit: int = LIMIT,
) -> dict[Node, Array]:
    """Return all elements that were computed from one, directly or through others.

    Parameters
    ----------
    node : Node
    index : tuple of int, int or None
        As `explain` takes it.
    order : sequence of Node
        A schedule: where to look.
    operands_of, value_of : callable
        What the inputs of a node were, and what it was itself, by the node.
    sizes, op_of, given, limit
        As `ancestry` takes them.

    Returns
    -------
    dict of Node to array of int
        The places of the elements in C order; `node` itself first.

    Raises
    ------
    ValueRangeError
        When more elements than `limit` have to be asked, or `limit` is less than 1.

    Examples
    --------
    >>> from graphnn.core import Graph, fn
    >>> x = Graph().placeholder("x", shape=2)
    >>> y = fn.cumsum(x)
    >>> values = {x: np.array([1.0, 2.0]), y: np.array([1.0, 3.0])}
    >>> reached = influence(x, 0, [x, y], lambda node: [values[x]], values.__getitem__)
    >>> {node.name: places.tolist() for node, places in reached.items()}
    {'x': [0], 'cumsum': [0, 1]}
    """
    reading = Reading(node, sizes, op_of, limit)
    shape = value_of(node).shape
    marks = {node: _marked(element_of(node, index, shape), shape)}
    forth(reading, marks, order, operands_of, value_of, given)
    return ByNode({at: np.flatnonzero(mark) for at, mark in marks.items()}, _NO_PART)


def forth(
    reading: Reading,
    marks: dict[Node, Array],
    order: Sequence[Node],
    operands_of: Callable[[Node], Sequence[Array]],
    value_of: Callable[[Node], Array],
    given: Container[Node],
) -> None:
    """Mark all elements that were computed from marked ones."""
    begun = {*marks}
    for at in order:
        if at in begun or at in given or not any(operand in marks for operand in at.inputs):
            continue
        operands, shape = operands_of(at), value_of(at).shape
        reached = reading.reached_by(at, shape, operands, [marks.get(operand) for operand in at.inputs])
        if reached.any():
            marks[at] = reached


def _marked(index: Index, shape: Index) -> Array:
    mark = np.zeros(shape, bool)
    mark[index] = True
    return mark


class Reading:
    """Finds what elements of a node read, and counts how many were asked one by one."""

    def __init__(
        self,
        about: Node,
        sizes: Mapping[str, int] | None,
        op_of: Callable[[Node], Op] | None,
        limit: int,
    ) -> None:
        self.about, self.limit, self.asked = about, whole("limit=", limit, 1), 0
        self.op_of = op_of or (lambda node: node.op.bound(sizes or {}))

    def read_by(self, node: Node, cells: Array, shape: Index, operands: Sequence[Array]) -> list[Array]:
        """Return which elements of each operand these places of a node read, as masks."""
        op = self.op_of(node)
        account = op.account(operands)
        if account is not None:
            return account.read_by(cells)
        masks = [np.zeros(x.shape, bool) for x in operands]
        sources = op.sources(operands)
        if sources is not None:
            for mask, source in zip(masks, sources, strict=True):
                places = source.reshape(-1)[cells]
                mask.reshape(-1)[places[places >= 0]] = True
            return masks
        for index in self._each(node, cells, shape):
            for mask, entry in zip(masks, op.reads(index, operands), strict=True):
                if entry is not None:
                    mask[entry] = True
        return masks

    def reached_by(self, node: Node, shape: Index, operands: Sequence[Array], marks: Sequence[Array | None]) -> Array:
        """Return which elements of a node read a marked one, as a mask."""
        op = self.op_of(node)
        account = op.account(operands)
        if account is not None:
            return account.reached_by(marks)
        reached = np.zeros(shape, bool)
        if op.elementwise:
            for mark in marks:
                if mark is not None:
                    reached |= mark
            if type(op).reads is Elementwise.reads:
                return reached
            cells = np.flatnonzero(reached)  # at most these
        else:
            sources = op.sources(operands)
            if sources is not None:
                for source, mark in zip(sources, marks, strict=True):
                    if mark is not None and mark.size:
                        reached |= mark.reshape(-1)[source] & (source >= 0)
                return reached
            cells = np.arange(reached.size)
        for index in self._each(node, cells, shape):
            reached[index] = any(
                mark is not None and entry is not None and np.count_nonzero(mark[entry])
                for mark, entry in zip(marks, op.reads(index, operands), strict=True)
            )
        return reached

    def _each(self, node: Node, cells: Array, shape: Index) -> Iterator[Index]:
        self.asked += cells.size
        if self.asked > self.limit:
            raise ValueRangeError(
                f'to follow an element of "{self.about.name}", {self.asked:,} elements would have to be asked what '
                f'they read by the time "{node.name}" {shown(shape)} is reached; limit={self.limit:,} allows fewer'
            )
        if not shape:
            return iter([()] * cells.size)
        return zip(*(axis.tolist() for axis in np.unravel_index(cells, shape)), strict=True)


# --- one sample -------------------------------------------------------------------------------------------------


def sample(order: Sequence[Node], row: int, dim: str | None, value_of: Callable[[Node], Array]) -> dict[Node, Array]:
    """Return one sample followed through a run: what belongs to it of every value that has samples.

    Parameters
    ----------
    order : sequence of Node
        A schedule.
    row : int
        Which one; negative numbers count from the end.
    dim : str or None
        The name of their dimension; None is that of the first placeholder's first axis.
    value_of : callable
        What a node was, by the node.

    Returns
    -------
    dict of Node to array
        Views; of a node that has the dimension twice, along the first.

    Raises
    ------
    AxisError
        When there are fewer samples.
    NotFoundError
        When no node has such a dimension.
    UsageError
        When the first placeholder's first axis has no name, or `row` is not an int.

    Examples
    --------
    >>> from graphnn.core import Graph, fn
    >>> x = Graph().placeholder("x", shape=("batch", 2))
    >>> y = fn.sum(x, axis=1)
    >>> values = {x: np.array([[1.0, 2.0], [3.0, 4.0]]), y: np.array([3.0, 7.0])}
    >>> one = sample([x, y], 1, None, values.__getitem__)
    >>> for node, value in one.items():
    ...     print(node.name, value)
    x [3. 4.]
    sum 7.0
    >>> one["x"]
    array([3., 4.])
    """
    row = whole("the number of a sample", row)
    if dim is None:
        dim = _first_dimension(order)
    if not isinstance(dim, str):
        raise UsageError(f"dim= is the name of a dimension, not {type(dim).__name__}")
    found = ByNode({}, "it is not of one sample, or has not run")
    for node in order:
        if dim in node.shape:
            value, axis = value_of(node), node.shape.index(dim)
            n = value.shape[axis]
            if not -n <= row < n:
                raise AxisError(f'there is no sample {row}: "{dim}" is {n} in "{node.name}" {shown(value.shape)}')
            found[node] = value[(slice(None),) * axis + (row, ...)]
    if not found:
        named = {str(name) for node in order for name in node.shape if isinstance(name, str)}
        raise NotFoundError(f'no node of the schedule has a dimension "{dim}".{near(dim, sorted(named))}')
    return found


_BY_NAME = Call("(dim=…)", "after the row")


def _first_dimension(order: Sequence[Node]) -> str:
    first = next((node for node in order if node.op.is_placeholder), None)
    if first is None:
        raise UsageError(
            f"there is no placeholder whose first axis would be that of the samples: name a dimension {_BY_NAME}",
            calls=(_BY_NAME,),
        )
    if not first.shape or not isinstance(first.shape[0], str):
        raise UsageError(
            f'the first axis of "{first.name}" {shown(first.shape)} has no name: name the dimension along which '
            f"samples lie {_BY_NAME}, or declare this one with a name, as in "
            f'graph.placeholder("{first.name}", shape=("batch", …))',
            calls=(_BY_NAME,),
        )
    return first.shape[0]
