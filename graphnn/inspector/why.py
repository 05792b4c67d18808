"""Where a number comes from and where it goes: the equation of one element, its ancestry and its influence.

All of it works on nodes and the arrays that they had in some run; nothing is evaluated here.
"""

from __future__ import annotations

import heapq
import math
import re
import string
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import AxisError, LookupFailure, ShapeError, UsageError, ValueRangeError, near
from ..graph import Array, Constant, Node, Op, Origin, Parameter, Placeholder
from ..graph.dimensions import concrete, shown
from ..ops.base import Rearranging
from ..ops.elementwise import Elementwise
from ..text import number, plain, visible
from .calls import Call

if TYPE_CHECKING:
    from ..execute.interpreter import Prepared

Number = bool | int | float
Index = tuple[int, ...]

LISTED = 4096
"""How many of the elements that an operand gave are listed."""
LIMIT = 1_000_000
"""How many elements are asked one by one what they read, before it is given up."""
_FEW, _FIRST = 4, 2  # up to how many numbers are written out, and how many of more


# --- one element ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Read:
    """What one operand gave to an element.

    Attributes
    ----------
    node : Node
        The operand.
    position : int
        Its position among the operands.
    place : str
        Which of its elements, as one would index them: ``17, :``; "" of a number, "…" where they lie scattered.
    count : int
        How many there are.
    indices : tuple of tuple of int
        The first of them, in C order.
    values : tuple of bool, int or float
        Their values.
    said : str
        The number, or how they are spread.
    given : str
        Who gave them, where no operation computed them: ``fed``, ``a parameter``, ``set by hand``.
    """

    node: Node
    position: int
    place: str
    count: int
    indices: tuple[Index, ...]
    values: tuple[Number, ...]
    said: str
    given: str

    def __str__(self) -> str:
        given = f", {self.given}" if self.given else ""
        return visible(f"{_called(self.node, self.place)} = {self.said}{given}")

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, fit for JSON: NaN and infinities as text."""
        return {
            "node": self.node.name,
            "position": self.position,
            "place": self.place,
            "count": self.count,
            "indices": [list(index) for index in self.indices],
            "values": [plain(value) for value in self.values],
        }


@dataclass(frozen=True, slots=True)
class Why:
    """One element of a value: the equation that gave it, and the numbers that it was made of.

    Attributes
    ----------
    node : Node
    index : tuple of int
    value : bool, int or float
    equation : str
        ``softmax_1/divide[17, 2] = 0.3330 = 0.9901 / 2.973``: numbers in four digits, fewer if they are exact.
    reads : tuple of Read
        What each operand gave; those that gave nothing are left out.
    origin : Origin
        The user's line.
    source : str or None
        The text of that line.
    """

    node: Node
    index: Index
    value: Number
    equation: str
    reads: tuple[Read, ...]
    origin: Origin
    source: str | None

    def __str__(self) -> str:
        lines = [visible(self.equation), *dict.fromkeys(f"  {read}" for read in self.reads)]
        if self.origin.file:
            source = f": {self.source.strip()}" if self.source and self.source.strip() else ""
            lines.append(visible(f"  at {self.origin}{source}"))
        return "\n".join(lines)

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, fit for JSON: NaN and infinities as text."""
        return {
            "node": self.node.name,
            "op": self.node.op.name,
            "index": list(self.index),
            "value": plain(self.value),
            "equation": self.equation,
            "reads": [read.to_dict() for read in self.reads],
            "origin": str(self.origin),
            "source": self.source,
        }


def explain(
    node: Node,
    index: Any,
    value: Array,
    operands: Sequence[Array],
    *,
    op: Op | None = None,
    source: str | None = None,
    given: Callable[[Node], str] | None = None,
) -> Why:
    """Return where one element of a node's value comes from.

    Parameters
    ----------
    node : Node
    index : tuple of int, int or None
        Negative ones count from the end; None is the only element, or the first that is NaN, or infinite.
    value : ndarray
        What the node was in some run.
    operands : sequence of ndarray
        What its inputs were in it.
    op : Op, optional
        The operation that was used, with numbers for its dimensions, if that is not the node's own.
    source : str, optional
        The text of the user's line.
    given : callable, optional
        Says of a node who gave its value, or "" where its operation did; as `given_as`, unless given.

    Returns
    -------
    Why

    Raises
    ------
    AxisError
        When there is no such element.
    ShapeError
        When there are several, all of them finite, and none was named.

    Examples
    --------
    >>> from graphnn.graph import Graph, fn
    >>> x = Graph().placeholder("x", shape=("n", 2))
    >>> total = fn.sum(x, axis=1)
    >>> array = np.array([[0.5, -1 / 3]])
    >>> print(explain(total, -1, array.sum(axis=1), [array], source="total = fn.sum(x, axis=1)"))
    sum[0] = 0.1667 = 0.5 - 0.3333
      x[0, :] = 0.5, -0.3333, fed
      at <doctest graphnn.inspector.why.explain[2]>:1: total = fn.sum(x, axis=1)
    """
    value, arrays = np.asarray(value), [np.asarray(operand) for operand in operands]
    at = element_of(node, first_strange(value) if index is None else index, value.shape)
    given = given or given_as
    kind = given(node)
    if op is None:
        op = node.op if kind else node.op.bound({})
    entries = [None] * len(arrays) if kind else op.reads(at, arrays)
    reads = [
        read_of(operand, position, entry, array, given(operand))
        for position, (operand, entry, array) in enumerate(zip(node.inputs, entries, arrays, strict=True))
    ]
    said = number(value[at])
    if kind:
        made = f", {kind}"
    else:
        cells = [None if entry is None else np.asarray(x[entry]) for entry, x in zip(entries, arrays, strict=True)]
        formula = _equation(op, cells, at)
        made = ", of nothing" if formula is None else f" = {formula}" if formula not in ("", said) else ""
    return Why(
        node,
        at,
        value[at].item(),
        f"{_called(node, ', '.join(map(str, at)))} = {said}{made}",
        tuple(read for read in reads if read.count),
        node.origin,
        source,
    )


def first_strange(value: Array) -> Index | None:
    """Return the index of the first NaN, or else infinity, that an array holds; None if there is none."""
    for strange in (np.isnan, np.isinf):
        if value.dtype.kind == "f" and (found := strange(value)).any():
            return tuple(int(i) for i in np.unravel_index(int(found.argmax()), value.shape))
    return None


def element_of(node: Node, index: Any, shape: Sequence[int]) -> Index:
    """Return the index of an element, counted from the front.

    Raises
    ------
    AxisError
        When a value of this shape has no such element.
    ShapeError
        When it has several and `index` is None.
    UsageError
        When it is no index.
    """
    if index is None:
        if math.prod(shape) == 1:
            return (0,) * len(shape)
        which = f"say which element, as in index={tuple(n - 1 for n in shape)}" if math.prod(shape) else "it is empty"
        raise ShapeError(f'"{node.name}" has shape {shown(shape)}: {which}')
    parts = index if isinstance(index, (tuple, list)) else (index,)
    if not all(isinstance(i, (int, np.integer)) and not isinstance(i, bool) for i in parts):
        raise UsageError(f'an element of "{node.name}" is named by one int an axis, not by {index!r}')
    if len(parts) != len(shape) or not all(-n <= i < n for i, n in zip(parts, shape, strict=True)):
        raise AxisError(f'"{node.name}" has shape {shown(shape)}, and so no element [{", ".join(map(str, parts))}]')
    return tuple(int(i) % n for i, n in zip(parts, shape, strict=True))


def read_of(node: Node, position: int, entry: Any, array: Array, given: str = "") -> Read:
    """Return what an operand gave, by the entry of an operation's `reads`."""
    cells = _cells(entry, array.shape)
    values = array.flat[cells]
    at = np.unravel_index(cells, array.shape) if array.ndim else ()
    indices = zip(*[axis[:LISTED].tolist() for axis in at], strict=True) if at else [()] * cells.size
    listed, place = tuple(values[:LISTED].tolist()), _place(at, array.shape, cells.size)
    return Read(node, position, place, cells.size, tuple(indices), listed, _spread(values, at), given)


def _cells(entry: Any, shape: Index) -> Array:
    """Return the places, in C order, that an entry of an operation's `reads` names."""
    if entry is None:
        return np.zeros(0, np.intp)
    if not shape:
        return np.zeros(min(np.zeros(())[entry].size, 1), np.intp)
    # An axis at a time, of stride 0 along the others: no array as large as the operand.
    places = [np.broadcast_to(axis, shape)[entry].reshape(-1) for axis in np.ogrid[tuple(map(slice, shape))]]
    cells = np.ravel_multi_index(places, shape)
    return cells if np.all(np.diff(cells) > 0) else np.unique(cells)


def _place(at: Sequence[Array], shape: Index, count: int) -> str:
    """Return elements as one would index them, if they are all between two corners."""
    if not count or not shape:
        return ""
    lows, highs = [int(axis.min()) for axis in at], [int(axis.max()) + 1 for axis in at]
    if math.prod(high - low for low, high in zip(lows, highs, strict=True)) != count:
        return "…"
    return ", ".join(map(_between, lows, highs, shape))


def _between(low: int, high: int, n: int) -> str:
    return str(low) if high - low == 1 else f"{low or ''}:{high if high < n else ''}"


def given_as(node: Node, prepared: Prepared | None = None, where: str = "by hand") -> str:
    """Return what a node is whose value is not computed: ``fed``, ``a parameter``, ``set by hand``; "" of others."""
    if prepared is not None and prepared.is_set(node):
        return f"set {where}"
    if isinstance(node.op, Placeholder):
        return "fed"
    return {Parameter: "a parameter", Constant: "a constant"}.get(type(node.op), "")


def _called(node: Node, place: str) -> str:
    return f"{node.title}[{place}]" if place else node.title


# --- numbers in words -------------------------------------------------------------------------------------------


def _spread(values: Array, at: Sequence[Array]) -> str:
    """Return numbers if they are few, else how many there are, between what, and where one is not finite."""
    if values.size <= _FEW:
        return ", ".join(map(number, values))
    count = f"{values.size:,} numbers"
    if values.dtype.kind == "b":
        return f"{count}, {np.count_nonzero(values):,} of them True"
    which = np.isfinite(values)
    finite, strange = values[which], ""
    if not finite.size:
        return f"{count}, none of them finite"
    if finite.size < values.size:
        first = ", ".join(str(axis[which.argmin()]) for axis in at)
        others = values.size - finite.size
        strange = f", {others:,} not finite: {'first ' * (others > 1)}[{first}]"
    low, high = number(finite.min()), number(finite.max())
    if finite.size == 1:
        return f"{count}, one of them {low}{strange}"
    return f"{count}, {low} to {high}{strange}" if low != high else f"{count}, each {low}{strange}"


# --- the equation -----------------------------------------------------------------------------------------------

_Piece = tuple[str, str | None]
"""Text, and the number that follows it."""

_TERMS = re.compile(r"(.*)\[(.+)\](.+)…(.*)")
# Between these a number may stand that has a sign, or a list of them; elsewhere they need brackets.
_OPENS = re.compile(r"(^|[(|‖⌊⌈,=<>≤≥≠] ?|\w )$")
_CLOSES = re.compile(r"$|[)|‖⌋⌉]")
_GOES_ON = re.compile(r"$|[)|‖⌋⌉,·]| (?!\^)")


def _equation(op: Op, cells: Sequence[Array | None], at: Index) -> str | None:
    """Return an operation's formula with the numbers that an element was made of, or None if there are none."""
    template = op.template
    row = {"row": [f"row {', '.join(map(str, at))}" if at else "the row"]}
    settings = row | {key: [str(value)] for key, value in op.attributes.items()}
    terms = _TERMS.fullmatch(template)
    if terms is None:
        lists = {str(i): [_list(each)] for i, each in enumerate(cells)}
        return _written(list(_pieces(template, lists | settings)))
    before, term, joint, after = terms.groups()
    products = "{factors}" in term
    meant = [i for i in range(len(cells)) if products or f"{{{i}}}" in term]
    met = np.broadcast_arrays(*[np.zeros(0) if (each := cells[i]) is None else each for i in meant])
    count = met[0].size if met else 0
    if not count:
        return None
    settings = {"count": [f"{count:,}"]} | settings
    pieces = list(_pieces(before, settings))
    with np.errstate(all="ignore"):
        told = _told(reduce(np.multiply, [each.astype(np.result_type(*met)) for each in met]))
    for k, before_it in zip(told, [-1, *told], strict=False):
        numbers = [number(each.flat[k]) for each in met]
        fields = {str(i): [text] for i, text in zip(meant, numbers, strict=True)} | {"factors": numbers}
        if k > before_it + 1:
            pieces.append((f"{joint}…" if before_it >= 0 else "…", None))
        pieces += [(joint if k else "", None), *_pieces(term, fields | settings)]
    if told[-1] < count - 1:
        pieces.append((f"{joint}…", None))
    if count > _FEW and "{count}" not in template:
        pieces.append((f" ({count:,} {'products' if len(meant) > 1 else 'numbers'})", None))
    return _written([*pieces, *_pieces(after, settings)])


def _told(terms: Array) -> list[int]:
    """Return which of some numbers are written out: all if they are few.

    Else the first of them, but rather those that are not finite: one of each kind.
    """
    if terms.size <= _FEW:
        return list(range(terms.size))
    terms = terms.reshape(-1)
    kinds = np.isnan(terms), terms == np.inf, terms == -np.inf
    strange = [int(found.argmax()) for found in kinds if found.any()]
    return sorted(list(dict.fromkeys([*strange, *range(_FIRST)]))[:_FIRST])


def _pieces(template: str, fields: Mapping[str, Sequence[str]]) -> Iterator[_Piece]:
    for literal, name, _, _ in string.Formatter().parse(template):
        first, *others = ["…"] if name is None else fields.get(name, ["…"])
        yield literal, None if name is None else first
        for text in others:
            yield "·", text


def _written(pieces: Sequence[_Piece]) -> str:
    text = ""
    for i, (literal, filled) in enumerate(pieces):
        after = pieces[i + 1][0] if i + 1 < len(pieces) else ""
        text += literal
        if filled is None:
            continue
        several = ", " in filled
        plain = not several and not filled.startswith("-")
        ends = (_CLOSES if several else _GOES_ON).match(after)
        if plain or (ends and _OPENS.search(text)):
            text += filled
        elif ends and not several and text.endswith(" + "):
            text = f"{text[:-2]}- {filled[1:]}"
        else:
            text += f"({filled})"
    return text


def _list(cells: Array | None) -> str:
    """Return the numbers that one operand gave."""
    if cells is None or not cells.size:
        return "…"
    if cells.size <= _FEW:
        return ", ".join(map(number, cells.flat))
    if np.all(cells == cells.flat[0]):
        return f"{number(cells.flat[0])}, … ({cells.size:,} numbers, all equal)"
    told = _told(cells)
    texts = [f"{'…, ' * (k > before + 1)}{number(cells.flat[k])}" for k, before in zip(told, [-1, *told], strict=False)]
    return f"{', '.join(texts)}{', …' * (told[-1] < cells.size - 1)} ({cells.size:,} numbers)"


# --- upstream and downstream ------------------------------------------------------------------------------------


_NO_PART = "it has no part in it"


class ByNode(dict[Node, Array]):
    """A dict whose keys are nodes, and which gives what belongs to a node by name of node, scope or output, too.

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
            raise LookupFailure(f'there is nothing of "{meant.name}": {self._lacks}')
        raise LookupFailure(f'there is nothing of "{name}".{near(name, [node.name for node in self])}')


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
    """Return all that one element was made of, directly or through others.

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
        When there are more to ask than `limit`, or that is no number from 1 up.

    Examples
    --------
    >>> from graphnn.graph import Graph, fn
    >>> x = Graph().placeholder("x", shape=(3, 2))
    >>> y = fn.sum(fn.exp(x), axis=1)
    >>> arrays = {y: [np.exp(np.eye(3, 2))], y.inputs[0]: [np.eye(3, 2)]}
    >>> {node.name: places.tolist() for node, places in ancestry(y, 1, arrays.__getitem__).items()}
    {'sum': [1], 'exp': [2, 3], 'x': [2, 3]}
    """
    asking = _Asking(node, sizes, op_of, limit)
    shape = concrete(node.shape, sizes or {})
    marks = {node: _marked(element_of(node, index, shape), shape)}
    found = ByNode({}, _NO_PART)
    waiting = [(-node.index, node)]
    while waiting:
        _, at = heapq.heappop(waiting)
        mark = marks.pop(at)
        found[at] = cells = np.flatnonzero(mark)
        if not at.inputs or at in given:
            continue
        operands = operands_of(at)
        for operand, read in zip(at.inputs, asking.read_by(at, cells, mark.shape, operands), strict=True):
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
    """Return all that one element went into, directly or through others.

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
        When there are more to ask than `limit`, or that is no number from 1 up.

    Examples
    --------
    >>> from graphnn.graph import Graph, fn
    >>> x = Graph().placeholder("x", shape=2)
    >>> y = fn.cumsum(x)
    >>> values = {x: np.array([1.0, 2.0]), y: np.array([1.0, 3.0])}
    >>> reached = influence(x, 0, [x, y], lambda node: [values[x]], values.__getitem__)
    >>> {node.name: places.tolist() for node, places in reached.items()}
    {'x': [0], 'cumsum': [0, 1]}
    """
    asking = _Asking(node, sizes, op_of, limit)
    shape = value_of(node).shape
    marks = {node: _marked(element_of(node, index, shape), shape)}
    for at in order:
        if at is node or at in given or not any(operand in marks for operand in at.inputs):
            continue
        operands, shape = operands_of(at), value_of(at).shape
        reached = asking.reading(at, shape, operands, [marks.get(operand) for operand in at.inputs])
        if reached.any():
            marks[at] = reached
    return ByNode({at: np.flatnonzero(mark) for at, mark in marks.items()}, _NO_PART)


def _marked(index: Index, shape: Index) -> Array:
    mark = np.zeros(shape, bool)
    mark[index] = True
    return mark


class _Asking:
    """Asks many elements at once what they read."""

    def __init__(
        self,
        about: Node,
        sizes: Mapping[str, int] | None,
        op_of: Callable[[Node], Op] | None,
        limit: int,
    ) -> None:
        if isinstance(limit, bool) or not isinstance(limit, (int, np.integer)) or limit < 1:
            raise ValueRangeError(f"limit= is a number of elements from 1 up, not {limit!r}")
        self.about, self.limit, self.asked = about, limit, 0
        self.op_of = op_of or (lambda node: node.op.bound(sizes or {}))

    def read_by(self, node: Node, cells: Array, shape: Index, operands: Sequence[Array]) -> list[Array]:
        """Return which elements of each operand these places of a node read, as masks."""
        op = self.op_of(node)
        masks = [np.zeros(x.shape, bool) for x in operands]
        sources = _sources(op, shape, operands)
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

    def reading(self, node: Node, shape: Index, operands: Sequence[Array], marks: Sequence[Array | None]) -> Array:
        """Return which elements of a node read a marked one, as a mask."""
        op = self.op_of(node)
        reached = np.zeros(shape, bool)
        if isinstance(op, Elementwise):
            for mark in marks:
                if mark is not None:
                    reached |= mark
            if type(op).reads is Elementwise.reads:
                return reached
            cells = np.flatnonzero(reached)  # at most these
        else:
            sources = _sources(op, shape, operands)
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


def _sources(op: Op, shape: Index, operands: Sequence[Array]) -> Sequence[Array] | None:
    """Return, for each operand, the place of the one element that each element reads, -1 for none; None of others."""
    if type(op).reads is Elementwise.reads:
        return [np.broadcast_to(np.arange(x.size).reshape(x.shape), shape) for x in operands]
    if isinstance(op, Rearranging) and type(op).reads is Rearranging.reads:
        return op.sources(operands)
    return None


# --- one sample -------------------------------------------------------------------------------------------------


def sample(order: Sequence[Node], row: int, dim: str | None, value_of: Callable[[Node], Array]) -> dict[Node, Array]:
    """Return one sample followed through a run: what belongs to it of every value that has samples.

    Parameters
    ----------
    order : sequence of Node
        A schedule.
    row : int
        Which one; a negative one counts from the end.
    dim : str or None
        The name of the dimension along which they lie; None is that of the first placeholder's first axis.
    value_of : callable
        What a node was, by the node.

    Returns
    -------
    dict of Node to array
        Views; of a node that has the dimension twice, along the first.

    Raises
    ------
    AxisError
        When there are not so many.
    LookupFailure
        When no node has such a dimension.
    UsageError
        When the first placeholder's first axis has no name, or the sample is named by no int.

    Examples
    --------
    >>> from graphnn.graph import Graph, fn
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
    if isinstance(row, bool) or not isinstance(row, (int, np.integer)):
        raise UsageError(f"a sample is named by its number, an int, not by {row!r}")
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
        named = {name for node in order for name in node.shape if isinstance(name, str)}
        raise LookupFailure(f'no node of the schedule has a dimension "{dim}".{near(dim, sorted(named))}')
    return found


_BY_NAME = Call("(dim=…)", "after the row")


def _first_dimension(order: Sequence[Node]) -> str:
    first = next((node for node in order if isinstance(node.op, Placeholder)), None)
    if first is None:
        raise UsageError(
            f"there is no placeholder, and so no dimension along which samples lie: name one {_BY_NAME}",
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
