"""Where a number comes from: the equation of one element.

It works on nodes and the arrays that they had in some run; nothing is evaluated here.
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from .._util.text import number, plain, short_repr, visible
from ..core import Array, Constant, Node, Op, Origin, Parameter, is_float
from ..core.symbolic_shapes import shown
from ..errors import AxisError, ShapeError, UsageError
from .window_positions import before_moves

if TYPE_CHECKING:
    from ..runtime.evaluation_loop import Prepared

Number = bool | int | float
Index = tuple[int, ...]

LISTED = 4096
"""How many of the elements that an operand gave are listed."""
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
    steps : tuple of str
        Where numbers of the equation came from, of an operation that is several of graphnn's: ``2.973 = 0.99 + 1.98``.
    """

    node: Node
    index: Index
    value: Number
    equation: str
    reads: tuple[Read, ...]
    origin: Origin
    source: str | None
    steps: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [visible(self.equation), *[f"  where {visible(step)}" for step in self.steps]]
        lines += dict.fromkeys(f"  {read}" for read in self.reads)
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
        } | ({"steps": list(self.steps)} if self.steps else {})


def explain(
    node: Node,
    index: Any,
    value: Array,
    operands: Sequence[Array],
    *,
    op: Op | None = None,
    source: str | None = None,
    given: Callable[[Node], str] | None = None,
    value_of: Callable[[Node], Array | None] | None = None,
    op_of: Callable[[Node], Op] | None = None,
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
    value_of, op_of : callable, optional
        What a node further upstream was, None if it is not known, and the operation that was used. With these, an
        element of a product is told by what its factors were before they were moved: the window of a convolution.

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
    >>> from graphnn.core import Graph, fn
    >>> x = Graph().placeholder("x", shape=("n", 2))
    >>> total = fn.sum(x, axis=1)
    >>> array = np.array([[0.5, -1 / 3]])
    >>> print(explain(total, -1, array.sum(axis=1), [array], source="total = fn.sum(x, axis=1)"))
    sum[0] = 0.1667 = 0.5 - 0.3333
      x[0, :] = 0.5, -0.3333, fed
      at <doctest graphnn.debugger.why.explain[2]>:1: total = fn.sum(x, axis=1)
    """
    value, arrays = np.asarray(value), [np.asarray(operand) for operand in operands]
    at = element_of(node, first_strange(value) if index is None else index, value.shape)
    given = given or given_as
    kind = given(node)
    if op is None:
        op = node.op if kind else node.op.bound({})
    account = None if kind else op.account(arrays)
    steps: Sequence[str] = ()
    if account is not None:
        entries = account.reads(at)
    else:
        entries = [None] * len(arrays) if kind else op.reads(at, arrays)
    reads = [
        read_of(operand, position, entry, array, given(operand))
        for position, (operand, entry, array) in enumerate(zip(node.inputs, entries, arrays, strict=True))
    ]
    said = number(value[at])
    if kind:
        made = f", {kind}"
    elif account is not None:
        equation, steps = account.told(at)
        made = f" = {equation}" if equation not in ("", said) else ""
    else:
        cells = [None if entry is None else np.asarray(x[entry]) for entry, x in zip(entries, arrays, strict=True)]
        formula = element_equation(op, cells, at)
        made = ", from no numbers" if formula is None else f" = {formula}" if formula not in ("", said) else ""
    if value_of is not None and op_of is not None and not kind and account is None:
        told = _Upstream(value_of, op_of, given).told(node, at)
        if told is not None:
            made, reads = told
    return Why(
        node,
        at,
        value[at].item(),
        f"{_called(node, ', '.join(map(str, at)))} = {said}{made}",
        tuple(read for read in reads if read.count),
        node.origin,
        source,
        tuple(steps),
    )


def first_strange(value: Array) -> Index | None:
    """Return the index of the first NaN, or else infinity, that an array holds; None if there is none."""
    for strange in (np.isnan, np.isinf):
        if is_float(value.dtype) and (found := strange(value)).any():
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
        When `index` is not made of ints.
    """
    if index is None:
        if math.prod(shape) == 1:
            return (0,) * len(shape)
        which = f"say which element, as in index={tuple(n - 1 for n in shape)}" if math.prod(shape) else "it is empty"
        raise ShapeError(f'"{node.title}" has shape {shown(shape)}: {which}')
    parts = index if isinstance(index, (tuple, list)) else (index,)
    if not all(isinstance(i, (int, np.integer)) and not isinstance(i, bool) for i in parts):
        raise UsageError(f'an element of "{node.title}" is given by one int per axis, not by {short_repr(index)}')
    if len(parts) != len(shape) or not all(-n <= i < n for i, n in zip(parts, shape, strict=True)):
        raise AxisError(f'"{node.title}" has shape {shown(shape)}, so it has no element [{", ".join(map(str, parts))}]')
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
    cells = places_of(entry, shape).reshape(-1)
    return cells if np.all(np.diff(cells) > 0) else np.unique(cells)


def _place(at: Sequence[Array], shape: Index, count: int) -> str:
    """Return elements as one would index them, if they are all between two corners."""
    if not count or not shape:
        return ""
    lows, highs = [int(axis.min()) for axis in at], [int(axis.max()) + 1 for axis in at]
    if math.prod(high - low for low, high in zip(lows, highs, strict=True)) != count:
        steps = [_step(axis) for axis in at]
        if math.prod(len(range(*each)) for each in zip(lows, highs, steps, strict=True)) != count:
            return "…"
        return ", ".join(map(_between, lows, highs, shape, steps))
    return ", ".join(map(_between, lows, highs, shape))


def _step(places: Array) -> int:
    """Return how far places along an axis lie apart: as far as any two of them, at least."""
    return int(np.gcd.reduce(places - places.min())) or 1


def _between(low: int, high: int, n: int, step: int = 1) -> str:
    every = f":{step}" if step > 1 else ""
    return str(low) if high - low == 1 else f"{low or ''}:{high if high < n else ''}{every}"


def given_as(node: Node, prepared: Prepared | None = None, where: str = "by hand") -> str:
    """Return what a node is whose value is not computed: ``fed``, ``a parameter``, ``set by hand``; "" of others."""
    if prepared is not None and prepared.is_set(node):
        return f"set {where}"
    if node.op.is_placeholder:
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
        strange = f", {others:,} not finite: {'first ' if others > 1 else ''}[{first}]"
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


def element_equation(op: Op, cells: Sequence[Array | None], at: Index) -> str | None:
    """Return an operation's formula with the numbers that an element was made of, or None if there are none."""
    template = op.element_formula
    row = {"row": [f"row {', '.join(map(str, at))}" if at else "the row"]}
    settings = row | {key: [str(value)] for key, value in op.attributes.items()}
    terms = _TERMS.fullmatch(template)
    if terms is None:
        lists = {str(i): [_list(each)] for i, each in enumerate(cells)}
        return _joined(list(_pieces(template, lists | settings)))
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
        chosen = _chosen(reduce(np.multiply, [each.astype(np.result_type(*met)) for each in met]))
    for n, k in enumerate(chosen):
        pieces.append(((joint if n else "") + ("…" if k is None else ""), None))
        if k is not None:
            numbers = [number(each.flat[k]) for each in met]
            fields = {str(i): [text] for i, text in zip(meant, numbers, strict=True)} | {"factors": numbers}
            pieces += _pieces(term, fields | settings)
    if count > _FEW and "{count}" not in template:
        pieces.append((f" ({count:,} {'products' if len(meant) > 1 else 'numbers'})", None))
    return _joined([*pieces, *_pieces(after, settings)])


def _chosen(terms: Array) -> list[int | None]:
    """Return which of some numbers are written out, with None where others are left out: all if they are few.

    Else the first of them, but rather those that are not finite: one of each kind.
    """
    if terms.size <= _FEW:
        return list(range(terms.size))
    terms = terms.reshape(-1)
    kinds = np.isnan(terms), terms == np.inf, terms == -np.inf
    strange = [int(found.argmax()) for found in kinds if found.any()]
    chosen = sorted(list(dict.fromkeys([*strange, *range(_FIRST)]))[:_FIRST])
    found: list[int | None] = []
    for before, k in zip([-1, *chosen], [*chosen, terms.size], strict=True):
        found += [None, k] if k > before + 1 else [k]
    return found[:-1]


def _pieces(template: str, fields: Mapping[str, Sequence[str]]) -> Iterator[_Piece]:
    for literal, name, _, _ in string.Formatter().parse(template):
        first, *others = ["…"] if name is None else fields.get(name, ["…"])
        yield literal, None if name is None else first
        for text in others:
            yield "·", text


def _joined(pieces: Sequence[_Piece]) -> str:
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
    texts = ["…" if k is None else number(cells.flat[k]) for k in _chosen(cells)]
    return f"{', '.join(texts)} ({cells.size:,} numbers)"


# --- products of what was moved ---------------------------------------------------------------------------------


class _Upstream:
    """Tells an element of a product by what its factors were before they were moved, and what is added to it.

    So an element of a convolution is told by a window of its input and by a kernel: between them there are paddings,
    windows, and other shapes.
    """

    def __init__(
        self, value_of: Callable[[Node], Array | None], op_of: Callable[[Node], Op], given: Callable[[Node], str]
    ) -> None:
        self.value_of, self.op_of, self.given = value_of, op_of, given
        self.reads: list[Read] = []
        self.moved = self.summed = False

    def told(self, node: Node, index: Index) -> tuple[str, list[Read]] | None:
        """Return what follows the value in the equation of an element, and what it read; None if nothing was moved."""
        operands = [self.value_of(operand) for operand in node.inputs]
        value = self.value_of(node)
        if value is None or any(each is None for each in operands):
            return None
        terms = [(node, index)]
        if (op := self.op_of(node)).signs == (1, 1):
            entries = op.reads(index, [each for each in operands if each is not None])
            terms = list(zip(node.inputs, entries, strict=True))
        told = [self._term(each, entry) for each, entry in terms]
        if not (self.moved and self.summed) or None in told:
            return None
        symbols, numbers = zip(*filter(None, told), strict=True)
        return f" = {' + '.join(symbols)} = {_added(numbers)}", self.reads

    def _term(self, node: Node, index: Index) -> tuple[str, str] | None:
        """Return an element in symbols and in numbers: a sum of products, or a single number."""
        value = self.value_of(node)
        assert value is not None
        cell = np.array([np.ravel_multi_index(index, value.shape) if index else 0])
        source, cell = self._before(node, cell)
        value = self.value_of(source)
        if value is None or cell[0] < 0:
            return None
        op = self.op_of(source)
        if self.given(source) or "{factors}" not in op.element_formula:
            return self._read(source, cell), number(value.flat[cell[0]])
        operands = [self.value_of(operand) for operand in source.inputs]
        known = [each for each in operands if each is not None]
        if len(known) < len(operands):
            return None
        at = tuple(int(i) for i in np.unravel_index(int(cell[0]), value.shape))
        grids = [places_of(entry, x.shape) for entry, x in zip(op.reads(at, known), known, strict=True)]
        if not all(grid.size for grid in grids):
            return None  # a sum of nothing
        self.summed = True
        factors = [each.reshape(-1) for each in np.broadcast_arrays(*grids)]
        sources = [self._before(operand, each) for operand, each in zip(source.inputs, factors, strict=True)]
        sources.sort(key=lambda each: each[0].op.is_parameter)  # the window, then the kernel
        there = np.all([each >= 0 for _, each in sources], axis=0)  # beside padding, products are 0
        symbols = [self._read(each, places[there]) for each, places in sources]
        values = [array.flat[places[there]] for each, places in sources if (array := self.value_of(each)) is not None]
        formula = element_equation(op, values, at)
        return None if formula is None else (f"Σ {' · '.join(symbols)}", formula)

    def _before(self, node: Node, cells: Array) -> tuple[Node, Array]:
        found, cells = before_moves(node, cells, self.value_of, self.op_of, self.given)
        self.moved |= found is not node
        return found, cells

    def _read(self, node: Node, cells: Array) -> str:
        """Note what was read, and return it as one would index it, without axes at the end that are taken whole."""
        value = self.value_of(node)
        assert value is not None
        entry = np.unravel_index(np.unique(cells), value.shape) if value.ndim else ()
        read = read_of(node, len(self.reads), entry, value, self.given(node))
        self.reads.append(read)
        parts = read.place.split(", ")
        whole = next((k for k, part in enumerate(reversed(parts)) if part != ":"), len(parts))
        return _called(node, ", ".join(parts[: len(parts) - whole] if whole > 1 else parts))


def places_of(entry: Any, shape: Index) -> Array:
    """Return the places, in C order, that an entry of an operation's `reads` names, in the form it names them.

    Examples
    --------
    >>> places_of((slice(None), 1), (2, 3))
    array([1, 4])
    """
    if entry is None:
        return np.zeros(0, np.intp)
    if not shape:
        return np.zeros(np.zeros(())[entry].shape, np.intp)
    # An axis at a time, of stride 0 along the others: no array as large as the operand.
    axes = [np.broadcast_to(axis, shape)[entry] for axis in np.ogrid[tuple(map(slice, shape))]]
    return np.asarray(np.ravel_multi_index(axes, tuple(shape)))


def _added(numbers: Sequence[str]) -> str:
    """Return terms with their signs between them."""
    return reduce(lambda text, each: f"{text} - {each[1:]}" if each.startswith("-") else f"{text} + {each}", numbers)
