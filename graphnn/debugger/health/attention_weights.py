"""Facts about the weights that a softmax gives: what they weigh, and which scores they come from."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...core import is_float
from ...ops.linalg import Einsum, Matmul

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...core import Array, Node
    from .evaluation import Evaluation

MASKED = -1e3
"""A score is masked where something below this is added to it, or stands in its place."""
MOST_FOLLOWED = 100
"""So many nodes are followed upstream, from weights to a softmax or from its scores to a product."""

Step = tuple[int, int]
"""The place of a node, and that of the operand through which a way leads upstream."""


class Weighing(NamedTuple):
    """A sum of products one factor of which is the result of a softmax.

    Attributes
    ----------
    soft : int
        The place of the softmax's result.
    axis : int
        The axis of the softmax.
    summed : tuple of int
        The axes of the softmax's result over which the products are summed.
    total : int
        The place of the sum.
    steps : tuple of Step
        From the sum to the softmax: masks, casts, other shapes.
    """

    soft: int
    axis: int
    summed: tuple[int, ...]
    total: int
    steps: tuple[Step, ...]


class Weighings:
    """The softmaxes of the forward pass, and the sums that they weigh."""

    def __init__(self, run: Evaluation) -> None:
        self.run = run

    @cached_property
    def softmaxes(self) -> dict[int, int]:
        """The places of all results of a softmax over one axis, and that axis."""
        found = {}
        for place, value in self.run.forward:
            if is_softmax(self.run.order[place]):
                over = self.run.op(self.run.inputs[place][1]).over(value.ndim)  # type: ignore[attr-defined]
                if len(over) == 1:
                    found[place] = over[0]
        return found

    @cached_property
    def sums(self) -> list[Weighing]:
        """All sums of products that a softmax weighs."""
        return [each for place, _ in self.run.forward for each in self._at(place)] if self.softmaxes else []

    def _at(self, total: int) -> Iterator[Weighing]:
        for read, lines in _summed(self.run, total):
            way = self._softmax_before(read)
            if way is not None:
                soft, steps = way
                shape = self.run.values[soft].shape
                ends = [np.unravel_index(line[[0, -1]], shape) for line in lines if line.size > 1]
                over = {k for places in ends for k, (first, last) in enumerate(places) if first != last}
                yield Weighing(soft, self.softmaxes[soft], tuple(sorted(over)), total, steps)

    def _softmax_before(self, place: int) -> tuple[int, tuple[Step, ...]] | None:
        """Return the place of the softmax that a value comes from, by steps that leave its elements in order."""
        run = self.run
        waiting: list[tuple[int, tuple[Step, ...]]] = [(place, ())]
        for _ in range(MOST_FOLLOWED):
            if not waiting:
                break
            place, steps = waiting.pop()
            if place in self.softmaxes:
                return place, steps
            op, inputs = run.op(place), run.inputs[place]
            if op.powers == (1, 1):
                onward = [one for one, other in (inputs, inputs[::-1]) if is_mask(run.values[other])]
            elif op.powers:
                onward = [inputs[0]] if run.values[inputs[1]].size == 1 else []
            elif op.selects:
                onward = list(inputs[1:])
            elif op.signs:
                onward = [one for one, other in (inputs, inputs[::-1]) if self.is_added_mask(op.signs[-1], other)]
            else:
                onward = list(inputs) if op.casts or op.reshapes else []
            size = run.values[place].size
            waiting += [(each, (*steps, (place, each))) for each in onward if run.values[each].size == size]
        return None

    def is_added_mask(self, sign: int, place: int) -> bool:
        """Return whether what is added, or subtracted, is a mask: 0, or so far below that a softmax would give 0."""
        value = self.run.values[place] if sign > 0 else -self.run.values[place].astype(np.float64)
        low = value <= MASKED
        return bool(low.any() and (low | (value == 0)).all() and not is_learned(self.run, self.run.order[place]))

    def scores_of(self, soft: int) -> int:
        """Return the place of what a softmax takes."""
        run = self.run
        (taken,) = run.inputs[run.inputs[soft][0]]
        if -1 in run.order[taken].op.signs:
            x, shift = run.inputs[taken]
            while run.order[shift].op.name == "stop_gradient":
                (shift,) = run.inputs[shift]
            if run.order[shift].op.name == "max" and run.inputs[shift][0] == x:
                return x
        return taken

    def product_of(self, soft: int) -> tuple[int, tuple[Step, ...]] | None:
        """Return the place of the product of queries and keys that gave a softmax its scores, and the steps to it."""
        run, seen = self.run, set[int]()
        waiting: list[tuple[int, tuple[Step, ...]]] = [(self.scores_of(soft), ())]
        while waiting and len(seen) < MOST_FOLLOWED:
            place, steps = waiting.pop()
            if place in seen:
                continue
            seen.add(place)
            factors = factors_of(run, place)
            if factors:
                if all(run.order[each] in run.fed for each in factors):
                    return place, steps
            elif run.op(place).elementwise or run.op(place).rearranges:
                size = run.values[place].size
                onward = [each for each in run.inputs[place] if run.values[each].size == size]
                waiting += [(each, (*steps, (place, each))) for each in reversed(onward)]
        return None

    def masked_powers(self, place: int) -> Array | None:
        """Return which exponentials at a place are 0 because a softmax's scores are masked; None if none are."""
        if place not in self._powers:
            return None
        return self.masked(self._powers[place])

    @cached_property
    def _powers(self) -> dict[int, int]:
        return {self.run.inputs[soft][0]: soft for soft in self.softmaxes}

    def masked(self, soft: int) -> Array | None:
        """Return which scores of a softmax are masked before it; None if none are."""
        run, place = self.run, self.scores_of(soft)
        shape = run.values[place].shape
        found, waiting, seen = np.isneginf(run.values[place]), [place], set[int]()
        while waiting and len(seen) < MOST_FOLLOWED:
            place = waiting.pop()
            if place in seen or run.values[place].shape != shape:
                continue
            seen.add(place)
            inputs, op = run.inputs[place], run.op(place)
            if op.selects:
                condition = run.values[inputs[0]].astype(bool)
                for which, branch in ((condition, inputs[1]), (~condition, inputs[2])):
                    value = run.values[branch]
                    if value.max(initial=MASKED) <= MASKED and is_float(value.dtype):
                        found = found | which
            elif op.signs:
                for sign, each in zip(op.signs, inputs, strict=True):
                    if not is_learned(run, run.order[each]):
                        found = found | (sign * run.values[each] <= MASKED)
            if op.elementwise:
                waiting += inputs
        return found if found.any() else None


def is_softmax(node: Node) -> bool:
    """Return whether a node is the last of a softmax: exponentials, divided by their sum."""
    if -1 not in node.op.powers or node.inputs[0].op.name != "exp" or node.inputs[1].op.name != "sum":
        return False
    return node.inputs[1].inputs[0] is node.inputs[0]


def is_mask(value: Array) -> bool:
    """Return whether a value is made of 0 and of one other number, as a mask is."""
    if value.dtype.kind == "b" or value.size <= 1:
        return True
    other = value.max() or value.min()
    return bool(((value == 0) | (value == other)).all())


def is_learned(run: Evaluation, node: Node) -> bool:
    """Return whether a node depends on a trained parameter."""
    return any(each.trainable for each in run.ancestors([node]))


def factors_of(run: Evaluation, place: int) -> tuple[int, ...]:
    """Return the places of what a node multiplies and sums; () if it does not."""
    op, inputs = run.op(place), run.inputs[place]
    if op.contracts:
        return tuple(inputs)
    if op.name == "sum" and run.op(inputs[0]).powers == (1, 1):
        return tuple(run.inputs[inputs[0]])
    return ()


def depth_of(run: Evaluation, place: int) -> int:
    """Return how many products a node sums."""
    return max((math.prod(line.size for line in lines) for _, lines in _summed(run, place)), default=0)


def _summed(run: Evaluation, place: int) -> Iterator[tuple[int, list[Array]]]:
    """Yield the place of each factor of a sum of products, and, for each axis that is summed, the places of a line."""
    op, inputs = run.op(place), run.inputs[place]
    if isinstance(op, Matmul):
        for i, each in enumerate(inputs):
            ndim = run.values[each].ndim
            yield each, _lines(run.values[each].shape, [ndim - 1 if i == 0 or ndim == 1 else ndim - 2])
    elif isinstance(op, Einsum):
        left, _, right = op.subscripts.partition("->")
        for each, term in zip(inputs, left.split(","), strict=True):
            shape = run.values[each].shape
            yield each, _lines(shape, [k for k, letter in enumerate(term) if letter not in right])
    elif op.name == "sum" and run.op(inputs[0]).powers == (1, 1):
        ndim = run.values[inputs[0]].ndim
        over = [k - ndim for k in op.over(ndim)]  # type: ignore[attr-defined]
        for each in run.inputs[inputs[0]]:
            shape = run.values[each].shape
            yield each, _lines(shape, [k + len(shape) for k in over if k + len(shape) >= 0])


def _lines(shape: tuple[int, ...], axes: Sequence[int]) -> list[Array]:
    """Return, for each axis, the places of the first line along it."""
    return [np.arange(shape[k]) * math.prod(shape[k + 1 :]) for k in axes]
