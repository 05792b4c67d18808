"""Units of a relu that are 0 for a whole batch."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ...graph import Trait
from ...ops.base import Rearranging
from .checks import check
from .evaluation import before_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...graph import Array, Node
    from .evaluation import Evaluation
    from .findings import Finding

DEAD_BATCH = 32
"""A unit that is 0 for a whole batch says something only from so many rows on."""
DEAD_SHARE = 0.5
"""Which share of a layer's units must be dead for a warning; fewer are a note."""
ZEROS = "weights that are not all 0 to begin with, as nn.init.he_normal draws them"
_FEW_SUMMED = 64  # nodes of one sum


@check(
    "dead-units",
    "units of a relu that are 0 for the whole batch, of 32 rows or more",
    "a lower learning rate, nn.init.he_normal and inputs scaled to about 1 keep them alive; gn.leaky_relu revives them",
)
def dead(run: Evaluation) -> Iterator[Finding]:
    """Look at each layer that ends with a relu."""
    units = run.part(Units)
    for place, value in run.forward:
        if run.order[place].op.name == "relu" and value.ndim > 1:
            yield from units.dead(place, value)


class Units:
    """The units of relus, told apart by the parameters that make them."""

    def __init__(self, run: Evaluation) -> None:
        self.run = run

    def dead(self, place: int, value: Array) -> Iterator[Finding]:
        """Look at the units of one relu."""
        node = self.run.order[place]
        samples = self._axis_of_samples(node)
        rows = value.shape[samples]
        if rows < DEAD_BATCH or not self._is_of_a_layer(node):
            return
        # Of several axes, as of time and features, the units are along the last: the others may be padded.
        last = value.ndim - 1 if samples != value.ndim - 1 else 0
        others = tuple(axis for axis in range(value.ndim) if axis != last)
        gone = np.all(value == 0, axis=others)
        uses = self._uses[self._made_by(node)] if gone.any() else []
        if uses and uses[0] != place:
            return  # units that are used more than once are told of at their first use
        for again in uses[1:]:
            if self.run.values[again] is not None and self.run.values[again].shape == value.shape:
                gone &= np.all(self.run.values[again] == 0, axis=others)
        count = int(np.count_nonzero(gone))
        if not count:
            return
        index = tuple(int(np.argmax(gone)) if axis == last else 0 for axis in range(value.ndim))
        mended = any(map(self._has_numbers, self._made_by(node)))
        yield dead.of(
            node,
            f"{count:,} of {gone.size:,} units of {node.name} are 0 for all {rows:,} "
            f"{'columns' if samples else 'rows'} of the batch, and get no gradient",
            severity="warning" if count >= DEAD_SHARE * gone.size else "note",
            index=index,
            value=0.0,
            remedy=dead.remedy if mended else ZEROS,
            count=count,
            size=gone.size,
        )

    def _axis_of_samples(self, node: Node) -> int:
        """Return along which axis of what a relu gives the samples lie: the named one, or that of no weights."""
        named = [axis for axis, dim in enumerate(node.shape) if isinstance(dim, str)]
        if node.ndim != 2 or len(named) > 1:
            return 0
        if named:
            return named[0]
        product = next((each for each in _summands(node) if each.op.name == "matmul"), None)
        return int(product is not None and [_as_it_lies(x).trainable for x in product.inputs] == [True, False])

    def _made_by(self, node: Node) -> frozenset[Node]:
        """Return the trained parameters that make what a relu reads, without another function between."""
        found: set[Node] = set()
        for each in _summands(node):
            factors = map(_as_it_lies, each.inputs if each.op.name in ("matmul", "einsum") else (each,))
            found.update(factor for factor in factors if factor.trainable)
        return frozenset(found)

    def _has_numbers(self, parameter: Node) -> bool:
        return parameter.ndim > 1 and bool(self.run.values[self.run.places[parameter]].any())

    @cached_property
    def _uses(self) -> dict[frozenset[Node], list[int]]:
        """The places of the relus of the same units, by the parameters that make them."""
        found: dict[frozenset[Node], list[int]] = {frozenset(): []}
        for place, node in enumerate(self.run.order):
            if node.op.name == "relu" and node.phase == "forward" and (made_by := self._made_by(node)):
                found.setdefault(made_by, []).append(place)
        return found

    def _is_of_a_layer(self, node: Node) -> bool:
        """Return whether a trained parameter meets a node later, or makes what it alone reads of what is fed.

        Else it is part of a loss: as a penalty is, of outputs that go on without it, or of the parameters themselves.
        """
        read = before_numbers(node.inputs[0])
        made = read in self.run.fed and any(operand.trainable for operand in read.inputs)
        users = [user for user in read.users if user.phase == "forward" and user in self.run.places]
        return (made and len(users) == 1) or node in self.run.met_by_parameters


def _summands(node: Node) -> list[Node]:
    """Return what a node reads, and what that is a sum of, or of numbers."""
    ahead = list(node.inputs)
    for each in ahead:
        if Trait.SCALES in each.op.traits and len(ahead) < _FEW_SUMMED:
            ahead += each.inputs
    return ahead


def _as_it_lies(node: Node) -> Node:
    """Return what a node only turns, cuts or casts."""
    while len(node.inputs) == 1 and (isinstance(node.op, Rearranging) or node.op.name == "cast"):
        node = node.inputs[0]
    return node
