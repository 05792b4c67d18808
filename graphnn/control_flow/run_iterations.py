"""The iterations of a loop, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..core import Array
from ..errors import GraphnnError
from ..runtime.evaluation_loop import Prepared, evaluate
from .iteration_names import located

if TYPE_CHECKING:
    from .loop_op import Loop

Computed = Callable[[Sequence[Array]], Sequence[Array]]
"""Takes the inputs of a body, and returns the values of the nodes that are wanted."""


class Iterations:
    """Goes through the iterations of a loop: each gives its row, and {place in the body: value} of what is wanted.

    Parameters
    ----------
    op : Loop
        With numbers for its dimensions.
    operands : sequence of ndarray
    computed : callable, optional
        What computes a body; by default its nodes one by one.

    Attributes
    ----------
    carry : list of ndarray
        What is carried to the next iteration.
    done : int
        How many iterations have been made.
    """

    def __init__(self, op: Loop, operands: Sequence[Array], computed: Computed | None = None) -> None:
        carry, rows, same = op.split([np.asarray(x, order="C") for x in operands])
        self.op = op
        self.carry, self._rows, self._same = list(carry), rows, list(same)
        self.limit = most_of(op, operands)
        self.done = 0
        self._goes_on = True
        self.wanted = op.wanted
        self._is_node_by_node = computed is None
        self._ends = list(dict.fromkeys(op.carried))
        self._computed = computed or self._node_by_node

    @property
    def row(self) -> int:
        """The row of the next iteration."""
        return self.limit - 1 - self.done if self.op.backwards else self.done

    @property
    def rows_done(self) -> range:
        """The rows of the iterations that have been made."""
        return range(self.limit - self.done, self.limit) if self.op.backwards else range(self.done)

    @property
    def is_finished(self) -> bool:
        """Whether there is no iteration left."""
        return self.done >= self.limit or not self._goes_on

    def inputs(self) -> list[Array]:
        """Return the inputs of the body in the next iteration."""
        row = self.row
        index = [np.asarray(row, np.int64)] if self.op.indexed else []
        return [*index, *self.carry, *[x[row, ...] for x in self._rows], *self._same]

    def prepared(self) -> Prepared:
        """Return the next iteration, ready to be evaluated."""
        return self.op.prepared(self.inputs())

    def advance(self, values: Sequence[Array]) -> dict[int, Array]:
        """Take over the values of an iteration that was made."""
        found = dict(zip(self.wanted, values, strict=True))
        if self._is_node_by_node:
            self.carry = self._apart(found)
        else:
            self.carry = [found[at] if found[at].flags.c_contiguous else found[at].copy() for at in self.op.carried]
        self._goes_on = self.op.while_ < 0 or bool(found[self.op.while_])
        self.done += 1
        return found

    def _apart(self, found: dict[int, Array]) -> list[Array]:
        """Return the states, those of different nodes in arrays of their own, as plans make them.

        NumPy multiplies an array by its own transpose in another way, with other last bits.
        """
        ends = map(found.__getitem__, self._ends)
        own = [x if (flags := x.flags).owndata and flags.c_contiguous else x.copy() for x in ends]
        if len(set(map(id, own))) < len(own):
            own = [x.copy() for x in own]
        return own if len(own) == len(self.carry) else [own[self._ends.index(at)] for at in self.op.carried]

    def _node_by_node(self, inputs: Sequence[Array]) -> list[Array]:
        values: dict[int, Array] = {}
        prepared = self.op.prepared(inputs)
        fetched = set(prepared.program.fetches)
        for step in evaluate(prepared):
            if step.index in fetched:
                values[step.index] = step.value
        return [values[position] for position in prepared.program.fetches]

    def __iter__(self) -> Iterator[tuple[int, dict[int, Array]]]:
        while not self.is_finished:
            row = self.row
            try:
                values = self._computed(self.inputs())
            except GraphnnError as error:
                raise error.within(f"in iteration {row}: ", located=partial(located, error, row)) from error
            yield row, self.advance(values)


def most_of(op: Loop, operands: Sequence[Array]) -> int:
    """Return how many iterations there are, if no condition ends them before."""
    most = int(op.length)
    if not op.counted:
        return most
    count = operands[0]
    whole = most if count.dtype == np.bool_ else int(count)
    return min(max(whole, 0), most) if count else 0


def count_made(op: Loop, operands: Sequence[Array]) -> tuple[int, GraphnnError | None]:
    """Return how many iterations are begun, and the error of all of them together, if there is one.

    An error of a node of the body is none: it comes again where the iteration is made.
    """
    op = op.keeping(())
    iterations = Iterations(op, operands)
    try:
        op.collected(iterations)
    except GraphnnError as error:
        return (iterations.done, error) if iterations.is_finished else (iterations.done + 1, None)
    return iterations.done, None
