"""How operations are written that move elements: by what they read for a place of the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ....ops import concatenation, indexing, linalg, random, shape, sliding_windows
from ..algebra import axes_of, over, times, transposed
from ..expressions import Affine, Applied, Block, Expression, Filled, Indicator, Joined, Letter, Number, Over, Relation
from ..writer import Manner, NeedsLine, NeedsPlaces, Places, Writer, manners, rules
from .elementwise import places_of
from .fallback import named

if TYPE_CHECKING:
    from ....core import Node
    from ....core.symbolic_shapes import Dim


def _broadcast_to(op: shape.BroadcastTo, node: Node, write: Writer, at: Places) -> Expression:
    (x,) = node.inputs
    return write(x, places_of(node, x, at))


def _expand_dims(op: shape.ExpandDims | shape.Squeeze, node: Node, write: Writer, at: Places) -> Expression:
    return _resized(node, write, at)


def _resized(node: Node, write: Writer, at: Places) -> Expression:
    """Write a value whose axes of one place differ: the others keep their order."""
    (x,) = node.inputs
    inner, outer = _axes(x.spec.shape), _axes(node.spec.shape)
    of = dict(zip(outer, inner, strict=True))
    places: list[Expression | None] = [None] * x.ndim
    for axis, place in enumerate(at):
        if axis in of:
            places[of[axis]] = place
    for axis in range(x.ndim):
        if axis not in inner and any(place is not None for place in places[axis + 1 :]):
            places[axis] = Number(0)
    left = [axis for axis in range(node.ndim) if axis >= len(at) or at[axis] is None]
    have = [axis for axis in range(x.ndim) if places[axis] is None]
    # What is left must broadcast as the node does: NumPy counts axes from the end.
    own = [node.spec.shape[axis] for axis in left]
    theirs = [x.spec.shape[axis] for axis in have]
    while theirs and theirs[0] == 1:
        theirs.pop(0)
    while own and own[0] == 1:
        own.pop(0)
    if own == theirs:
        return write(x, tuple(places))
    if len(at) >= node.ndim:
        raise NeedsLine(x)
    raise NeedsPlaces(len(at) + 1)


def _axes(dims: tuple[Dim, ...]) -> list[int]:
    return [axis for axis, dim in enumerate(dims) if dim != 1]


def _reshape(op: shape.Reshape, node: Node, write: Writer, at: Places) -> Expression:
    (x,) = node.inputs
    before, after = x.spec.shape, node.spec.shape
    if [dim for dim in before if dim != 1] == [dim for dim in after if dim != 1]:
        return _resized(node, write, at)
    common = 0
    while common < min(len(before), len(after)) and before[common] == after[common]:
        common += 1
    if len(after) == len(before) + 1 == common + 2:  # the last axis is cut into blocks
        return _blocks(node, x, common, write, at)
    if len(before) == len(after) + 1 == common + 2 and isinstance(before[common], int):  # blocks become one axis
        return _joined_blocks(node, x, common, write, at)
    if len(after) == common + 1:
        inner = at[:common]
        if all(place is not None and not isinstance(place, Block) for place in inner) and len(at) <= common:
            return _flat(op, node, write, at)
    return named(op, node, write, at, r"\operatorname{reshape}")


def _flat(op: shape.Reshape, node: Node, write: Writer, at: Places) -> Expression:
    return named(op, node, write, at, r"\operatorname{flatten}")


def _blocks(node: Node, x: Node, common: int, write: Writer, at: Places) -> Expression:
    if len(at) <= common or at[common] is None:
        raise NeedsPlaces(common + 1)
    if len(at) > common + 1 and at[common + 1] is not None:
        raise NeedsLine(node)
    block = Block(at[common], node.spec.shape[common + 1])  # type: ignore[arg-type]
    if len(at) > common + 1 and at[common + 1] is not None:
        raise NeedsLine(node)
    if not write.has_line(x):
        raise NeedsLine(x)
    return write(x, (*at[:common], block))


def _joined_blocks(node: Node, x: Node, common: int, write: Writer, at: Places) -> Expression:
    if len(at) > common:
        raise NeedsLine(node)
    if len(at) < common - 1:
        raise NeedsPlaces(common - 1)
    parts = beside(x, common, write, at)
    if parts is not None:
        return Joined(parts)
    letter = write.letter(x.spec.shape[common], "h")
    try:
        body = write(x, (*at, *[None] * (common - len(at)), letter))
    finally:
        write.close([letter])
    return Over("concat", (letter,), body)


def beside(x: Node, axis: int, write: Writer, at: Places) -> tuple[Expression, ...] | None:
    """Return the parts along an axis, if each is a value of its own."""
    if isinstance(x.op, indexing.SlicesAdd):
        places = [
            index[axis] if len(index) == axis + 1 and set(index[:axis]) <= {(None, None, None)} else None
            for index in x.op.indices
        ]
        if sorted(place for place in places if isinstance(place, int)) != list(range(len(places))):
            return None
        if len(places) != x.spec.shape[axis]:
            return None
        return tuple(write(x.inputs[places.index(k)], at) for k in range(len(places)))
    return None


def _transpose(op: linalg.Transpose, node: Node, write: Writer, at: Places) -> Expression:
    (x,) = node.inputs
    order = op.order(x.ndim)
    places: list[Expression | None] = [None] * x.ndim
    for axis, place in enumerate(at):
        places[order[axis]] = place
    left = [
        order[axis] for axis in range(node.ndim) if axis >= len(at) or at[axis] is None or isinstance(at[axis], Block)
    ]
    if left == sorted(left):
        return write(x, tuple(places))
    if not write.covers(x):
        found = write(x, tuple(places))
        if axes_of(found) == 0:  # the same everywhere
            return found
        raise NeedsLine(x)
    if len(left) > 2 and left[:-2] == sorted(left[:-2]) and left[-2] > left[-1] > max(left[:-2]):
        return transposed(write(x, tuple(places)))
    if len(left) == 2:
        return transposed(write(x, tuple(places)))
    raise NeedsPlaces(len(at) + 1)


def _getitem(op: indexing.Getitem, node: Node, write: Writer, at: Places) -> Expression:
    (x,) = node.inputs
    places: list[Expression | None] = []
    outer = 0
    for entry in op.index:
        if isinstance(entry, int):
            dim = x.spec.shape[len(places)]
            if entry < 0 and not isinstance(dim, int):
                return named(op, node, write, at, _slice_name(op))
            places.append(Number(entry % dim if isinstance(dim, int) else entry))
        elif entry == (None, None, None):
            places.append(at[outer] if outer < len(at) else None)
            outer += 1
        else:
            block = _block_of(entry, x.spec.shape[len(places)] if len(places) < x.ndim else None)
            taken = outer < len(at) and at[outer] is not None
            if block is None or taken or any(isinstance(place, Block) for place in places) or not write.has_line(x):
                return named(op, node, write, at, _slice_name(op))
            places.append(block)
            outer += 1
    return write(x, (*places, *at[outer:]))


def _block_of(entry: Any, dim: Dim | None) -> Block | None:
    """Return a slice as one of equal blocks of an axis, if it is one."""
    if not isinstance(entry, tuple) or not isinstance(dim, int) or entry[2] not in (None, 1):
        return None
    start, stop, _ = slice(*entry).indices(dim)
    size = stop - start
    return Block(Number(start // size), size) if size > 0 and dim % size == 0 == start % size else None


def _slice_name(op: indexing.Getitem) -> str:
    return r"\operatorname{part}"


def _windows(op: sliding_windows.Windows, node: Node, write: Writer, at: Places) -> Expression:
    (x,) = node.inputs
    slides = op.slides(x.ndim)
    if len(at) < node.ndim or any(place is None for place in at):
        raise NeedsPlaces(node.ndim)
    places = list(at[: x.ndim])
    for k, slide in enumerate(slides):
        places[slide.axis] = affine((slide.stride, places[slide.axis]), (slide.dilation, at[x.ndim + k]))
    return write(x, tuple(places))


def _fold(op: sliding_windows.Fold, node: Node, write: Writer, at: Places) -> Expression:
    """Write a sum over the windows that a place is in."""
    (x,) = node.inputs
    slides = op.slides(node.ndim)
    if len(at) < node.ndim or any(place is None for place in at):
        raise NeedsPlaces(node.ndim)
    outer = {slide.axis: write.letter(x.spec.shape[slide.axis]) for slide in slides}
    inner = [write.letter(slide.size, hint, 0) for slide, hint in zip(slides, "uvw", strict=False)]
    places = [outer.get(axis, at[axis]) for axis in range(node.ndim)]
    conditions = []
    for slide, within in zip(slides, inner, strict=True):
        place = at[slide.axis]
        assert place is not None
        there = affine((slide.stride, outer[slide.axis]), (slide.dilation, within))
        conditions.append(Indicator(Relation("=", place, there)))
    try:
        body = times(*conditions, write(x, (*places, *inner)))
    finally:
        write.close([*outer.values(), *inner])
    return over("sum", (*outer.values(), *inner), body)


def affine(*terms: tuple[int, Expression | None]) -> Expression:
    """Return a sum of multiples of places."""
    found: list[tuple[int, Letter]] = []
    offset = 0
    for factor, term in terms:
        if isinstance(term, Letter):
            found.append((factor, term))
        elif isinstance(term, Number):
            offset += factor * int(term.value)
        elif isinstance(term, Affine):
            found += [(factor * each, letter) for each, letter in term.terms]
            offset += factor * term.offset
        else:
            raise NeedsPlaces(0)
    return Affine(tuple(found), offset)


def _concatenate(op: concatenation.Concatenate, node: Node, write: Writer, at: Places) -> Expression:
    if op.axis is not None and op.axis % node.ndim == node.ndim - 1 and len(at) < node.ndim:
        return Joined(tuple(write(operand, at) for operand in node.inputs))
    return named(op, node, write, at, r"\operatorname{concat}")


def _pad(op: concatenation.Pad, node: Node, write: Writer, at: Places) -> Expression:
    widths = set(np.ravel(np.asarray(op.pad_width, object)).tolist()) - {0}
    width = widths.pop() if len(widths) == 1 else ""
    return named(op, node, write, at, r"\operatorname{pad}" + (f"_{{{width}}}" if isinstance(width, int) else ""))


def _zeros(op: shape.Zeros, node: Node, write: Writer, at: Places) -> Expression:
    return Number(0) if at or not node.shape else Filled(Number(0), node.spec.shape)


def _eye(op: shape.Eye, node: Node, write: Writer, at: Places) -> Expression:
    return named(op, node, write, at, r"\mathbf{I}")


def _arange(op: shape.Arange, node: Node, write: Writer, at: Places) -> Expression:
    if (op.start, op.step) != (0, 1) or node.dtype.kind != "i":
        return named(op, node, write, at)
    if not at:
        raise NeedsPlaces(1)
    found = affine((1, at[0]))
    assert isinstance(found, Affine)
    return Affine(found.terms, found.offset, counts=True)


def _random(called: str) -> Callable[[Any, Node, Writer, Places], Expression]:
    def rule(op: random.Random, node: Node, write: Writer, at: Places) -> Expression:
        return Applied(op, called, tuple(write.whole(operand) for operand in node.inputs), node.ndim, hidden=True)

    return rule


rules[shape.Zeros], rules[shape.Eye], rules[shape.Arange] = _zeros, _eye, _arange
rules[random.RandomNormal] = _random(r"\mathcal{N}\left(0, 1\right)")
rules[random.RandomUniform] = _random(r"\mathcal{U}\left(0, 1\right)")
for _class in (random.RandomNormal, random.RandomUniform):
    manners[_class] = Manner(line=True, sign=r"\sim")
manners[shape.BroadcastTo] = Manner(widens=True)
rules[shape.BroadcastTo], rules[shape.ExpandDims], rules[shape.Reshape] = _broadcast_to, _expand_dims, _reshape
rules[shape.Squeeze], rules[linalg.Transpose], rules[indexing.Getitem] = _expand_dims, _transpose, _getitem
rules[sliding_windows.Fold] = _fold
manners[shape.Zeros] = Manner(line=False)
rules[sliding_windows.Windows], rules[concatenation.Concatenate], rules[concatenation.Pad] = (
    _windows,
    _concatenate,
    _pad,
)
