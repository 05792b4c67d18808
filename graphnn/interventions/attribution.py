"""Effects to first order: the difference of the runs times the gradient of the metric, for all places by one pass."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._util.garbage_collection import collector_paused
from ..autodiff.grad import grad
from ..compiler.compile import Compiled, compile
from ..core import Array, Graph, Node, Op, Placeholder, Spec, fn, is_float
from ..errors import DtypeError
from ..ops.indexing import Getitem
from ..ops.shape import Reshape

if TYPE_CHECKING:
    from ..runtime.evaluation_loop import Prepared
    from .patch_places import Place
    from .run_pair import Pair

Instead = Callable[["Node"], "Node"]
_MOST_KEPT = 4
_SHARE = "share"
_BASE, _OTHER, _MOVED = "base", "other", "moved"


def attributed(
    pair: Pair,
    places: Sequence[Place],
    steps: int | None,
    tell: Callable[[int], None],
    instead: Instead | None = None,
) -> tuple[np.ndarray[Any, Any], float, float]:
    """Return the effects by attribution, and the metric of the run that is patched and of the other one.

    Parameters
    ----------
    pair : Pair
    places : sequence of Place
    steps : int or None
        The points of integrated gradients; None: the gradient is taken at the run that is patched.
    tell : callable
        Called with the number of passes that were made.
    instead : callable, optional
        Makes what comes in of the value of the other run.

    Raises
    ------
    DtypeError
        When the metric, or the value at a place, is not a float.
    """
    for what, node in (("the metric", pair.metric), *(("the value", place.node) for place in places)):
        if not is_float(node.dtype):
            raise DtypeError(
                f'{what} "{node.name}" is {node.dtype}, which has no gradient: attribution is for floats, and '
                'method="exact" for any',
                node=node,
            )
    products, feed = _products(pair, places, steps is not None, instead)
    needed = pair.base.program.dimension_names  # more may be fed
    sizes = {name: size for name, size in pair.base.sizes.items() if name in needed}
    sums = np.zeros(len(places))
    tell(0)
    for step in range(steps or 1):
        share = {} if steps is None else {_SHARE: np.asarray((step + 0.5) / steps, pair.metric.dtype)}
        found, base, other = products.step(feed | share, sizes=sizes)
        sums[products.numbers] += found
        tell(step + 1)
    return sums / (steps or 1), float(base), float(other)


def _products(
    pair: Pair, places: Sequence[Place], moves: bool, instead: Instead | None
) -> tuple[_Products, dict[str, Array]]:
    """Return what computes the effects, which is kept with the graph, and its feed."""
    if pair.base.overridden or pair.other.overridden:
        made = _Products(pair, places, moves, instead)
    else:
        kept: dict[Any, _Products] = pair.graph.caches.setdefault("attribution", {})
        at = pair.position
        asked = [(at[p.node], -1 if p.reader is None else at[p.reader], p.index) for p in places]
        key = pair.metric.index, frozenset(pair.leaves), tuple(asked), moves, instead
        found = kept.get(key)
        if found is None:
            if len(kept) >= _MOST_KEPT:
                oldest, *_ = list(kept)
                kept.pop(oldest, None)
            found = kept[key] = _Products(pair, places, moves, instead)
        made = found
    runs = {_BASE: pair.base, _OTHER: pair.other}
    return made, {name: _given(runs[run], pair.order[i]) for name, (run, i) in made.fed.items()}


def _given(run: Prepared, node: Node) -> Array:
    return run.given[node] if node in run.given else node.graph._stored(node)


class _Products:
    """Both runs and the gradient in a graph of their own, which gives all effects as one vector.

    Attributes
    ----------
    step : Compiled
        Of a feed, returns the effects and the metric of both runs.
    fed : dict of str to (str, int)
        The run and the position whose value each placeholder takes.
    numbers : list of int
        The places of which these are the effects; of the others they are 0: the runs are equal there, or the reader was
        set by hand.
    """

    def __init__(self, pair: Pair, places: Sequence[Place], moves: bool, instead: Instead | None) -> None:
        self.fed: dict[str, tuple[str, int]] = {}
        self.numbers = [
            number
            for number, place in enumerate(places)
            if pair.position[place.node] in pair.reached
            if place.reader is None or not pair.base.is_set(place.reader)
        ]
        self._pair, self._target = pair, Graph(pair.graph.name, pair.graph.dtype)
        self._seen: dict[tuple[int, int], Node] = {}
        asked = [places[number] for number in self.numbers]
        read = {(pair.position[p.node], pair.position[p.reader]) for p in asked if p.reader is not None}
        with collector_paused():
            base = self._copied(_BASE, pair.base, {}, () if moves else read)
            other = self._copied(_OTHER, pair.other, {i: base[i] for i in range(len(base)) if i not in pair.reached})

            def difference(i: int) -> Node:
                return _difference(other[i] if instead is None else instead(other[i]), base[i])

            moved = base
            if moves:
                share = self._made(Placeholder(), (), Spec((), pair.metric.dtype), _SHARE, pair.metric)
                kept = {i: base[i] for i in range(len(base)) if i not in pair.below(_first(pair))}
                for i in _first(pair):
                    kept[i] = base[i] + fn.cast(share, base[i].dtype) * difference(i)
                moved = self._copied(_MOVED, pair.base, kept, read)
            by = [self._by(place, moved) for place in asked]
            metric = pair.position[pair.metric]
            with warnings.catch_warnings(action="ignore"):  # of what passes no gradient: its effect is 0
                slopes = grad(moved[metric], by)
            differences: dict[int, Node] = {}
            found = []
            for place, slope in zip(asked, slopes, strict=True):
                i = pair.position[place.node]
                if i not in differences:
                    differences[i] = difference(i)
                found.append(_product(differences[i], slope, place.index))
        self.step: Compiled = compile((fn.stack(found) if found else (), base[metric], other[metric]))

    def _by(self, place: Place, copies: Sequence[Node]) -> Node:
        """Return what the gradient at a place is taken by."""
        position = self._pair.position
        if place.reader is None:
            return copies[position[place.node]]
        return self._seen[position[place.node], position[place.reader]]

    def _copied(
        self, name: str, run: Prepared, known: Mapping[int, Node], read: Container[tuple[int, int]] = ()
    ) -> list[Node]:
        """Return a copy of each node of a run, but for those that are known.

        What is read at the edges in `read` is a node of its own there.
        """
        pair, copies = self._pair, []
        for i, node in enumerate(pair.order):
            if i in known:
                copies.append(known[i])
                continue
            op = node.op if run.is_set(node) else run.declared_op_of(node)
            called = f"{name} {i}: {node.name}"
            if op.is_constant and not run.is_set(node):
                copies.append(self._made(op, (), node.spec, called, node, node.graph._stored(node)))
            elif op.is_leaf or run.is_set(node):
                copies.append(self._made(Placeholder(), (), node.spec, called, node))
                self.fed[called] = name, i
            else:
                inputs = [copies[source] for source in pair.operands[i]]
                for k, source in enumerate(pair.operands[i]):
                    if (source, i) in read:
                        if (source, i) not in self._seen:
                            same, spec = Reshape(inputs[k].spec.shape), inputs[k].spec
                            seen = self._made(same, (inputs[k],), spec, f"{name} {source} → {i}", node)
                            self._seen[source, i] = seen
                        inputs[k] = self._seen[source, i]
                copies.append(self._made(op, tuple(inputs), node.spec, called, node))
        return copies

    def _made(
        self, op: Op, inputs: tuple[Node, ...], spec: Spec, name: str, node: Node, value: Array | None = None
    ) -> Node:
        return self._target._make(op, inputs, spec, name, value, (None, node.origin))


def _first(pair: Pair) -> set[int]:
    """Return the floats whose values differ and that are computed of no float whose value does."""
    floats = {i for i in pair.reached if is_float(pair.order[i].dtype)}
    below = pair.below(floats)
    return {i for i in floats if not any(source in below for source in pair.operands[i])}


def _difference(other: Node, base: Node) -> Node:
    """Return how far a value moves; equal infinities, as where a mask was added, do not."""
    return fn.where(fn.equal(other, base), 0.0, other - base)


def _product(difference: Node, slope: Node, index: tuple[Any, ...] | None) -> Node:
    """Return the sum of the products of a part of two nodes."""
    pair = [difference, slope] if index is None else [Getitem(index)(difference), Getitem(index)(slope)]
    x, y = [fn.reshape(node, (-1,)) for node in pair]
    if x.dtype == np.float16:
        x, y = fn.cast(x, "float32"), fn.cast(y, "float32")
    return x @ y
