"""Effects to first order: the difference of the runs times the gradient of the metric, for all places by one pass."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...autograd import grad
from ...errors import DtypeError
from ...execute.loop import Prepared, evaluate
from ...execute.program import program_of
from ...graph import Array, Graph, Node, Op, Placeholder
from ...graph.collector import collector_paused
from ...graph.quiet import quietly
from ...ops.shape import Reshape
from ...order import last_uses
from .runs import Pair, values_of

if TYPE_CHECKING:
    from .places import Place

_MOST_KEPT = 4
_Key = tuple[int, int | None]
"""The position of a node, and that of a reader; None for all of them."""


class Attribution:
    """The gradients of a metric by nodes, and by what single readers see of them.

    Parameters
    ----------
    pair : Pair
    places : sequence of Place

    Attributes
    ----------
    base, other : float
        The metric of the run that is patched, and of the other one.

    Raises
    ------
    DtypeError
        When the metric, or a node, is no float.
    """

    def __init__(self, pair: Pair, places: Sequence[Place]) -> None:
        self.pair, self._places = pair, places
        _check_floats(pair, places)
        position = pair.position
        self._at: dict[_Key, list[int]] = {}
        for number, place in enumerate(places):
            reader = None if place.reader is None else position[place.reader]
            if position[place.node] in pair.reached:
                self._at.setdefault((position[place.node], reader), []).append(number)
        self._values, others = values_of(pair.base), values_of(pair.other, pair.reached)
        metric = position[pair.metric]
        self.base, self.other = float(self._values[metric]), float(others[metric])
        self._first = _first(pair)
        wanted = self._first.union(node for node, _ in self._at)
        self._differences = {i: _difference(others[i], self._values[i]) for i in wanted}
        self._backward = _backward(pair, frozenset(self._at))

    def effects(self, steps: int | None, tell: Callable[[int], None]) -> np.ndarray[Any, Any]:
        """Return the effect of each place; by integrated gradients, if there are steps.

        Parameters
        ----------
        steps : int or None
            At so many points, evenly between the runs, the gradient is taken; None: at the run that is patched.
        tell : callable
            Called with the number of passes that were made.
        """
        found = np.zeros(len(self._places))
        if steps is None:
            self._add(found, self._backward.gradients(self.pair.base, self._values, {}))
            tell(1)
        for step in range(steps or 0):
            share = (step + 0.5) / (steps or 1)
            moved = {i: self._values[i] + _scaled(self._differences[i], share) for i in self._first}
            self._add(found, self._backward.gradients(self.pair.base, self._values, moved))
            tell(step + 1)
        return found / (steps or 1)

    def _add(self, found: np.ndarray[Any, Any], gradients: Iterable[tuple[_Key, Array]]) -> None:
        for key, gradient in gradients:
            numbers, difference = self._at[key], self._differences[key[0]]
            for number in numbers:
                part = self._places[number].part
                found[number] += _product(difference[part], gradient[part])


def _check_floats(pair: Pair, places: Sequence[Place]) -> None:
    for what, node in (("the metric", pair.metric), *(("the value", place.node) for place in places)):
        if node.dtype.kind != "f":
            raise DtypeError(
                f'{what} "{node.name}" is {node.dtype}, which has no gradient: attribution is for floats, and '
                'method="exact" for any',
                node=node,
            )


def _first(pair: Pair) -> set[int]:
    """Return the floats whose values differ and that are computed of no float whose value does."""
    floats = {i for i in pair.reached if pair.order[i].dtype.kind == "f"}
    below = pair.below(floats)
    return {i for i in floats if not any(source in below for source in pair.operands[i])}


def _difference(other: Array, base: Array) -> Array:
    difference: Array = np.asarray(quietly(np.subtract, other, base))
    if not np.isfinite(difference).all():
        difference[other == base] = 0  # both are infinite, as where a mask was added
    return difference


def _scaled(difference: Array, share: float) -> Array:
    scaled: Array = difference * difference.dtype.type(share)
    return scaled


def _product(difference: Array, gradient: Array) -> float:
    """Return the sum of the products; where one factor is 0, so is the product."""
    if difference.dtype == np.float16:
        difference, gradient = difference.astype(np.float32), gradient.astype(np.float32)
    found = float(quietly(np.vdot, difference, gradient))
    if not np.isfinite(found):
        some = (difference != 0) & (gradient != 0)
        found = float(quietly(np.vdot, difference[some], gradient[some]))
    return found


def _backward(pair: Pair, keys: frozenset[_Key]) -> _Backward:
    """Return the gradients by some nodes, made once and kept with the graph."""
    if pair.base.overridden:
        return _Backward(pair, keys)
    kept: dict[Any, _Backward] = pair.graph.caches.setdefault("attribution", {})
    key = pair.metric, frozenset(pair.leaves), keys
    found = kept.get(key)
    if found is None:
        if len(kept) >= _MOST_KEPT:
            oldest, *_ = list(kept)
            kept.pop(oldest, None)
        found = kept[key] = _Backward(pair, keys)
    return found


class _Backward:
    """The nodes that differences reach and the gradients by them, in a graph of their own.

    What one reader sees of a node is a node there, so that one pass gives the gradients by all.
    """

    def __init__(self, pair: Pair, keys: frozenset[_Key]) -> None:
        self._target = Graph(pair.graph.name, pair.graph.dtype)
        self._names = {node.name for node in pair.order}
        self._of: dict[Node, int] = {}
        """The position of the node whose value each has in the run."""
        wanted: dict[_Key, Node] = {}
        copies: list[Node] = []
        with collector_paused():
            for i, node in enumerate(pair.order):
                inputs = [copies[source] for source in pair.operands[i] if i in pair.reached]
                op: Op = Placeholder()
                if inputs and not pair.base.is_set(node):
                    op = pair.base.declared_op_of(node)
                    for k, source in enumerate(pair.operands[i]):
                        if (source, i) in keys:
                            if (source, i) not in wanted:
                                wanted[source, i] = self._made(Reshape(inputs[k].spec.shape), [inputs[k]], source)
                            inputs[k] = wanted[source, i]
                copies.append(self._made(op, inputs if op.operands or op.variadic else [], i, node))
            self._count = len(self._target)
            for key in keys:
                if key[1] is None:
                    wanted[key] = copies[key[0]]
            with warnings.catch_warnings(action="ignore"):  # of what passes no gradient: its effect is 0
                slopes = grad(copies[pair.position[pair.metric]], list(wanted.values()))
            self._program = program_of(self._target, slopes)
        self._slopes: dict[Node, list[_Key]] = {}
        for key, slope in zip(wanted, slopes, strict=True):
            self._slopes.setdefault(slope, []).append(key)
        self._dying = last_uses(self._program.order, ())

    def _made(self, op: Op, inputs: Sequence[Node], i: int, node: Node | None = None) -> Node:
        """Make a copy of a node, or what one reader sees of it."""
        like = inputs[0] if node is None else node
        name = like.name if node is None else node.name
        while node is None and name in self._names:
            name += "'"
        self._names.add(name)
        made = self._target._make(op, tuple(inputs), like.spec, name, None, (None, like.origin))
        self._of[made] = i
        return made

    def gradients(
        self, base: Prepared, values: Sequence[Array], moved: Mapping[int, Array]
    ) -> Iterator[tuple[_Key, Array]]:
        """Yield the gradients at the values of a run, or where some of them have moved."""
        order = self._program.order
        held: list[Any] = [None] * len(order)
        positions = []
        for place, node in enumerate(order):
            i = self._of.get(node)
            if i is not None:
                held[place] = moved.get(i, values[i])
            if i is None or (moved and node.inputs and i not in moved):
                positions.append(place)
        done = {order[place] for place in positions}
        for node, keys in self._slopes.items():
            if node not in done:  # a value of the run itself
                yield from ((key, held[order.index(node)]) for key in keys)
        evaluation = evaluate(Prepared(self._program, self._program.bound(base.sizes), {}, base.sizes), positions, held)
        while (step := quietly(next, evaluation, None)) is not None:
            yield from ((key, step.value) for key in self._slopes.get(step.node, ()))
            for dead in self._dying[step.index]:
                held[dead] = None
            del step
