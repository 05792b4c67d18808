"""A line search that goes on from step to step: each step evaluates one point, and decides about the next.

A point on the line from x along a direction d is one vector: how far it is, the loss there, its slope along d, and the
gradient. So a choice between points is one node.
"""

from __future__ import annotations

from functools import reduce
from typing import NamedTuple

from ...core import Node, fn

START, BRACKETING, ZOOMING = 0, 1, 2
"""The phases: there is no direction yet; a minimum is still farther out; it lies between two points."""
_LESS, _FLATTER = 1e-4, 0.9  # Wolfe's constants: how much the loss has to fall, and how flat it has to become


class Search(NamedTuple):
    """Where a search stands."""

    phase: Node
    tries: Node
    """How many points were evaluated before this one."""
    stuck: Node
    """Whether the last point that zooming tried was close to an end of the bracket."""
    start: Node
    """The point from which the search goes."""
    bracket: Node
    """Two points, as rows: the ends between which zooming looks; while bracketing, the first is the point before."""
    length: Node
    """How far out the next point is."""


class _At(NamedTuple):
    far: Node
    loss: Node
    slope: Node

    @classmethod
    def of(cls, point: Node) -> _At:
        return cls(point[0], point[1], point[2])


def point_of(far: Node, loss: Node, slope: Node, gradient: Node) -> Node:
    """Return a point as one vector."""
    return fn.concatenate([fn.stack([far, loss, slope]), gradient])


def strong_wolfe(at: Search, new: Node, size: Node, most: int, tolerance: float) -> tuple[Node, Node, Search]:
    """Return whether the search ends with a point that was evaluated, the point to take then, and where it stands now.

    Parameters
    ----------
    at : Search
    new : Node
        The point that was evaluated.
    size : Node
        The size of the largest element of the direction.
    most : int
        How many further points may be tried.
    tolerance : float
        A bracket that is narrower than this ends the search.

    Notes
    -----
    J. Nocedal, S. J. Wright, "Numerical optimization", 2006, algorithms 3.5 and 3.6; decisions as PyTorch's.
    """
    here, start = _At.of(new), _At.of(at.start)
    bracketing = fn.equal(at.phase, BRACKETING)
    is_high = fn.greater(here.loss, start.loss + _LESS * here.far * start.slope)
    is_flat = fn.less_equal(abs(here.slope), -_FLATTER * start.slope)

    before = _At.of(at.bracket[0])
    spent = fn.greater_equal(at.tries, most)
    passed = fn.logical_or(is_high, fn.logical_and(fn.greater(at.tries, 1), fn.greater_equal(here.loss, before.loss)))
    first = fn.where(spent, at.start, at.bracket[0])
    further = _none_of(passed, is_flat, fn.greater_equal(here.slope, 0), spent, fn.logical_not(bracketing))

    low, high, first_is_low = _ordered(at.bracket)
    worse = fn.logical_or(is_high, fn.greater_equal(here.loss, low[1]))
    turned = _all_of(fn.greater_equal(here.slope * (high[0] - low[0]), 0), fn.logical_not(is_flat))
    high = fn.where(worse, new, fn.where(turned, low, high))
    low = fn.where(worse, low, new)
    zoomed = fn.where(first_is_low, fn.stack([low, high]), fn.stack([high, low]))

    bracket = fn.where(bracketing, fn.stack([first, new]), zoomed)
    good = _none_of(fn.logical_not(is_flat), fn.where(bracketing, fn.logical_or(passed, spent), worse))
    tries = at.tries + fn.cast(fn.logical_or(further, fn.logical_not(bracketing)), "int64")
    length, stuck, narrow = _between(bracket, at.stuck, size, tolerance)
    ends = fn.logical_or(good, fn.logical_or(narrow, fn.greater_equal(tries, most)))
    is_start = fn.equal(at.phase, START)
    done = fn.logical_or(is_start, fn.logical_and(ends, fn.logical_not(further)))
    taken = fn.where(fn.logical_or(good, is_start), new, _ordered(bracket)[0])

    farther = _cubic(before, here, here.far + 0.01 * (here.far - before.far), 10.0 * here.far)
    goes_on = Search(
        fn.where(further, BRACKETING, ZOOMING),
        tries,
        fn.logical_and(stuck, fn.logical_not(further)),
        at.start,
        fn.where(further, fn.stack([new, new]), bracket),
        fn.where(further, farther, length),
    )
    return done, taken, goes_on


def _between(bracket: Node, was_stuck: Node, size: Node, tolerance: float) -> tuple[Node, Node, Node]:
    """Return the next point between two, whether it is close to one of them, and whether they are too close."""
    a, b = _At.of(bracket[0]), _At.of(bracket[1])
    lo, hi = fn.minimum(a.far, b.far), fn.maximum(a.far, b.far)
    width = hi - lo
    length = _cubic(a, b, lo, hi)
    close = fn.less(fn.minimum(hi - length, length - lo), 0.1 * width)
    outside = fn.logical_or(fn.greater_equal(length, hi), fn.less_equal(length, lo))
    moved = fn.logical_and(close, fn.logical_or(was_stuck, outside))
    inward = fn.where(fn.less(abs(length - hi), abs(length - lo)), hi - 0.1 * width, lo + 0.1 * width)
    stuck = fn.logical_and(close, fn.logical_not(moved))
    return fn.where(moved, inward, length), stuck, fn.less(width * size, tolerance)


def _cubic(a: _At, b: _At, lo: Node, hi: Node) -> Node:
    """Return where the cubic through two points with these slopes is least, within bounds; without one, the middle."""
    in_order = fn.less_equal(a.far, b.far)
    left, right = (_At(*(fn.where(in_order, x, y) for x, y in zip(p, q, strict=True))) for p, q in ((a, b), (b, a)))
    mean = a.slope + b.slope - 3.0 * (a.loss - b.loss) / _not_0(a.far - b.far)
    square = fn.square(mean) - a.slope * b.slope
    root = fn.sqrt(fn.maximum(square, 0.0))
    bend = right.slope - left.slope + 2.0 * root
    least = right.far - (right.far - left.far) * ((right.slope + root - mean) / _not_0(bend))
    usable = _all_of(fn.greater_equal(square, 0.0), fn.not_equal(bend, 0), fn.isfinite(least))
    return fn.where(usable, fn.minimum(fn.maximum(least, lo), hi), (lo + hi) / 2.0)


def _ordered(bracket: Node) -> tuple[Node, Node, Node]:
    """Return the point with the smaller loss, the other one, and whether the first row is the former."""
    first, second = bracket[0], bracket[1]
    is_low = fn.less_equal(first[1], second[1])
    return fn.where(is_low, first, second), fn.where(is_low, second, first), is_low


def _not_0(x: Node) -> Node:
    return fn.where(fn.equal(x, 0), 1, x)


def _all_of(*conditions: Node) -> Node:
    return reduce(fn.logical_and, conditions)


def _none_of(*conditions: Node) -> Node:
    return fn.logical_not(reduce(fn.logical_or, conditions))
