"""How products of matrices are written, and what picks and scatters by labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....ops import class_labels, indexing, linalg, shape
from ..algebra import over, times, transposed
from ..expressions import Block, Call, Expression, Filled, Indicator, Number, Product, Relation, Size
from ..writer import NeedsLine, NeedsPlaces, Places, Writer, rules
from .elementwise import as_number
from .fallback import named

if TYPE_CHECKING:
    from ....core import Node


def _rows_of(x: Node) -> Node | None:
    """Return what a matrix is all rows of, one below the other: of a value of more axes."""
    if not isinstance(x.op, shape.Reshape) or x.ndim != 2 or x.inputs[0].ndim < 3:
        return None
    return x.inputs[0] if x.inputs[0].spec.shape[-1] == x.spec.shape[-1] else None


def _over_stack(x: Node, y: Node, write: Writer) -> Expression | None:
    """Return the product of all rows of one value, turned, with those of another, as a sum of products."""
    if not isinstance(x.op, linalg.Transpose) or x.op.order(x.ndim) != (1, 0):
        return None
    left, right = _rows_of(x.inputs[0]), _rows_of(y)
    if left is None or right is None or left.spec.shape[:-1] != right.spec.shape[:-1]:
        return None
    if not (write.covers(left) and write.covers(right)):
        return None
    letters = tuple(write.letter(dim) for dim in left.spec.shape[:-2])
    try:
        return over("sum", letters, Product(transposed(write(left, letters)), write(right, letters)))
    finally:
        write.close(letters)


def _matmul(op: linalg.Matmul, node: Node, write: Writer, at: Places) -> Expression:
    x, y = node.inputs
    if not at and (found := _over_stack(x, y, write)) is not None:
        return found
    rows, columns = x.ndim > 1, y.ndim > 1
    stack = node.ndim - rows - columns
    if any(place is None for place in at[:stack]) and any(place is not None for place in at[stack:]):
        raise NeedsPlaces(node.ndim)
    mine, theirs = (_stack(node, each, stack, at) for each in (x, y))
    row = at[stack] if rows and len(at) > stack else None
    column = at[stack + rows] if columns and len(at) > stack + rows else None
    if column is None and not isinstance(row, Block):
        left = _factor(x, (*mine, row) if rows else mine, write)
        return Product(left, _factor(y, theirs, write))
    if (row is None and rows) or isinstance(row, Block) or isinstance(column, Block):
        raise NeedsLine(node)
    letter = write.letter(x.spec.shape[-1])
    left = write(x, (*mine, row, letter) if rows else (*mine, letter))
    right = write(y, (*theirs, letter, column) if columns else (*theirs, letter))
    write.close([letter])
    return over("sum", (letter,), times(as_number(left), as_number(right)))


def _stack(node: Node, operand: Node, stack: int, at: Places) -> Places:
    own = max(operand.ndim - 2, 0)
    found: list[Expression | None] = []
    for axis in range(own):
        outer = axis + stack - own
        place = at[outer] if outer < len(at) else None
        if place is not None and operand.spec.shape[axis] == 1 and node.spec.shape[outer] != 1:
            place = Number(0)
        found.append(place)
    return tuple(found)


def _factor(operand: Node, places: Places, write: Writer) -> Expression:
    while places and places[-1] is None:
        places = places[:-1]
    if not places:
        found = as_number(write(operand))
        return found if write.covers(operand) else Filled(found, operand.spec.shape)
    if not write.covers(operand):
        raise NeedsLine(operand)
    return as_number(write(operand, places))


def _einsum(op: linalg.Einsum, node: Node, write: Writer, at: Places) -> Expression:
    terms, right = op._terms()
    if len(at) < len(right) or any(place is None or isinstance(place, Block) for place in at):
        raise NeedsPlaces(len(right))
    sizes = op._sizes(x.spec.shape for x in node.inputs)
    places: dict[str, Expression] = dict(zip(right, at, strict=True))  # type: ignore[arg-type]
    letters = []
    for letter, dim in sizes.items():
        if letter not in places:
            if dim == 1:
                places[letter] = Number(0)
            else:
                letters.append(write.letter(dim))
                places[letter] = letters[-1]
    factors = []
    for term, x in zip(terms, node.inputs, strict=True):
        inner = tuple(
            Number(0) if dim == 1 and sizes[letter] != 1 else places[letter]
            for letter, dim in zip(term, x.spec.shape, strict=True)
        )
        factors.append(as_number(write(x, inner)))
    write.close(letters)
    return over("sum", tuple(letters), times(*factors))


def _outer(op: linalg.Outer, node: Node, write: Writer, at: Places) -> Expression:
    x, y = node.inputs
    if x.ndim != 1 or y.ndim != 1:
        raise NeedsLine(next(each for each in node.inputs if each.ndim != 1))
    if len(at) < 1 or at[0] is None:
        raise NeedsPlaces(1)
    return times(write(x, at[:1]), write(y, at[1:]))


def _pick(op: class_labels.Pick, node: Node, write: Writer, at: Places) -> Expression:
    x, labels = node.inputs
    if len(at) < node.ndim or any(place is None for place in at):
        raise NeedsPlaces(node.ndim)
    return write(x, (*at, write(labels, at)))


def _scatter_labels(op: class_labels.ScatterLabels, node: Node, write: Writer, at: Places) -> Expression:
    x, labels = node.inputs
    if len(at) == node.ndim and all(place is not None for place in at):
        inner = at[:-1]
        place = at[-1]
        assert place is not None
        return times(write(x, inner), Indicator(Relation("=", write(labels, inner), place)))
    if len(at) < labels.ndim and write.covers(x) and x.ndim:
        raise NeedsPlaces(labels.ndim)
    hot = Call("onehot", (write(labels, at), Size(op.classes)))
    return times(write(x, at), hot)


def _one_hot(op: class_labels.OneHot, node: Node, write: Writer, at: Places) -> Expression:
    (labels,) = node.inputs
    if len(at) > labels.ndim:
        place = at[-1]
        assert place is not None
        return Indicator(Relation("=", write(labels, at[:-1]), place))
    return Call("onehot", (write(labels, at), Size(op.depth)))


def _take(op: indexing.Take, node: Node, write: Writer, at: Places) -> Expression:
    x, which = node.inputs
    if op.axis is None:
        return named(op, node, write, at)
    axis = op.axis % x.ndim
    needed = axis + which.ndim
    if len(at) < needed or any(place is None for place in at[:needed]):
        raise NeedsPlaces(needed)
    return write(x, (*at[:axis], write(which, at[axis:needed]), *at[needed:]))


def _index_add(op: indexing.IndexAdd, node: Node, write: Writer, at: Places) -> Expression:
    x, which = node.inputs
    if op.axis is None:
        return named(op, node, write, at)
    axis = op.axis % node.ndim
    if len(at) <= axis or any(place is None for place in at[: axis + 1]):
        raise NeedsPlaces(axis + 1)
    letters = [write.letter(dim) for dim in which.spec.shape]
    place = at[axis]
    assert place is not None
    inner = (*at[:axis], *letters, *at[axis + 1 :])
    value = write(x, inner)
    condition = Indicator(Relation("=", write(which, tuple(letters)), place))
    write.close(letters)
    return over("sum", tuple(letters), times(condition, value))


rules[linalg.Matmul], rules[linalg.Einsum], rules[linalg.Outer] = _matmul, _einsum, _outer
rules[class_labels.Pick], rules[class_labels.ScatterLabels] = _pick, _scatter_labels
rules[class_labels.OneHot], rules[indexing.Take], rules[indexing.IndexAdd] = _one_hot, _take, _index_add
