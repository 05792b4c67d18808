"""The iterations of a loop in a native plan, one after the other without Python."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..control_flow.bundle import place_to_write
from ..control_flow.run_iterations import most_of
from .work_list import address_of

if TYPE_CHECKING:
    from ..control_flow.loop_op import Loop
    from ..core import Array
    from .native_plan import Native

LEAST = 16
"""The fewest iterations for which it pays to work out where everything lies; at least 4."""
IN_ONE_GO = 64
"""The most iterations in one go, in which no other thread runs and Ctrl-C waits; even, and at least 4."""
_ELEMENTS = 2**18
"""The most elements that are computed in one go, which then takes some milliseconds."""


class InOneGo:
    """Computes a loop by running the plan of its body for rows of addresses.

    What an iteration makes lies in the bundle if the loop stacks it; else in one of two arrays, which take turns. The
    next iteration reads there what is carried. A condition is read where an iteration puts it.

    Parameters
    ----------
    op : Loop
        With numbers for its dimensions.
    plan : Native
        Of its body.

    Attributes
    ----------
    usual : int
        How many iterations the last call made.
    """

    def __init__(self, op: Loop, plan: Native) -> None:
        self._op, self._plan = op, plan
        prepared, inputs = op.prepared(), op.inputs[int(op.indexed) :]
        self._stacked = range(len(op.carried), len(op.carried) + op.rows)
        self._takes = [
            ((int(op.length),) * (i in self._stacked) + prepared.shape_of(node), node.dtype)
            for i, node in enumerate(inputs)
        ]
        self._makes = [(prepared.shape_of(op.nodes[at]), op.nodes[at].dtype) for at in op.wanted]
        self._read = [op.inputs.index(node) - int(op.indexed) for node in plan.given]
        """Which operand each input of the plan is, or a part of; -1 is the number of the iteration."""
        same = set(inputs[len(op.carried) + op.rows :])
        elements = sum(math.prod(prepared.shape_of(node)) for node in op.nodes if node not in same)
        self._count = max(4, min(IN_ONE_GO, _ELEMENTS // max(elements, 1) // 2 * 2))
        """Iterations in one go: an even number, after which the two arrays that take turns do so again."""
        self._idle: list[Callable[[Array, Array], None]] = []
        self._flag = len(self._read) + op.wanted.index(op.while_) if op.while_ >= 0 else -1
        """The column of addresses of the bool that says whether there is another iteration."""
        self.usual = LEAST

    def __call__(self, operands: Sequence[Array], out: Array | None) -> Array | None:
        """Return the bundle; None, with nothing done, if there are few iterations or operands lie otherwise."""
        op, most = self._op, most_of(self._op, operands)
        if min(most, self.usual if op.while_ >= 0 else most) < LEAST:
            return None
        given = [np.asarray(x, order="C") for x in operands[int(op.counted) :]]
        as_declared = [(x.shape, x.dtype) == takes for x, takes in zip(given, self._takes, strict=True)]
        if not all(as_declared) or not all(x.flags.aligned for x in given):
            return None
        words = op.layout.words(out)
        places = {kept: place_to_write(words, place) for kept, place in zip(op.kept, op.layout.places, strict=True)}
        made = [
            places["each", at] if ("each", at) in places else np.empty((2, *shape), dtype)
            for at, (shape, dtype) in zip(op.wanted, self._makes, strict=True)
        ]
        self.usual = done = self._run(most, given, made)
        begin, end = (most - done, most) if op.backwards else (0, done)
        for (kind, which), place in places.items():
            if kind == "count":
                place[...] = done
            elif kind == "each":
                place[:begin] = 0
                place[end:] = 0
            else:
                at = op.carried[which]
                last = made[op.wanted.index(at)]
                place[...] = (
                    last[begin if op.backwards else end - 1] if ("each", at) in places else last[(done - 1) % 2]
                )
        return words

    def _run(self, most: int, given: Sequence[Array], made: Sequence[Array]) -> int:
        """Make the iterations, and return how many there were."""
        op = self._op
        count = min(most, self._count)
        times = np.arange(count)
        rows = most - 1 - times if op.backwards else times
        told = np.array([self._flag, 0])
        numbers = rows.astype(np.int64)  # those of the iterations of one go, as the plan reads them
        addresses = np.empty((count, len(self._read) + len(made)), np.int64)
        results = addresses[:, len(self._read) :]
        for column, array in enumerate(made):
            turns = rows if len(array) > 2 else times % 2
            results[:, column] = address_of(array) + turns * array.strides[0]
        carries: list[int] = []
        for column, which in enumerate(self._read):
            array = numbers if which < 0 else given[which]
            turns = times if which < 0 else rows
            moves = which < 0 or which in self._stacked
            addresses[:, column] = address_of(array) + turns * (array.strides[0] if moves else 0)
            if 0 <= which < len(op.carried):
                carries.append(column)
        sources = [op.wanted.index(op.carried[self._read[column]]) for column in carries]
        addresses[1:, carries] = results[:-1, sources]
        # From two iterations to the next two. The first row is no measure: what it reads as carried is the first state.
        onwards = (addresses[3] - addresses[1]) * (count // 2)
        onwards[[which < 0 for which in self._read] + [False] * len(made)] = 0
        try:
            run = self._idle.pop()
        except IndexError:
            run = self._plan.iterating()
        done = 0
        while True:
            run(addresses[: most - done], told)
            done += int(told[1])
            if done == most or told[0] != self._flag:
                break
            last = results[-1, sources]
            addresses += onwards
            numbers += -count if op.backwards else count
            addresses[0, carries] = last
        self._idle.append(run)
        return done
