"""A node as the debugger sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._util.text import quoted
from ..control_flow.iteration_names import is_bundle
from ..core import Array, Node, as_array, cast_in_range, may_become
from ..core.symbolic_shapes import shown
from ..errors import AxisError, DtypeError, ShapeError
from .traces import Stats, stats_of

if TYPE_CHECKING:
    from .debugger_state import Progress
    from .what_if import WhatIfs


class Spot:
    """A node as the debugger sees it now; made by ``dbg[node]``.

    Attributes
    ----------
    node : Node
    state : str
        ``"done"``, ``"current"``, ``"stale"``, ``"overridden"``, ``"fed"`` or ``"waiting"``.
    """

    def __init__(self, now: Progress, what_ifs: WhatIfs, node: Node) -> None:
        self._now = now
        self._what_ifs = what_ifs
        self.node = node

    @property
    def state(self) -> str:
        """Whether its value is known, and from where."""
        return self._now.state(self.node)

    @property
    def known(self) -> bool:
        """Whether it has a value now: it was given, or has run."""
        return self._now.is_known(self.node)

    @property
    def value(self) -> Array:
        """The value, read-only.

        Raises
        ------
        UsageError
            When the node has not run yet.
        """
        return self._now.known(self.node).value

    def __setitem__(self, index: Any, value: Any) -> None:
        """Give a part of the value other numbers, in a run that this begins, as `Debugger.what_if` does.

        Raises
        ------
        AxisError
            When there is no such part.
        ShapeError, DtypeError, ValueRangeError
            When the numbers do not fit into it.
        """
        name, whole = self.node.title, self.value.copy()
        part = as_array(value, f'the value of "{name}"')
        try:
            room = np.asarray(whole[index]).shape
        except IndexError:
            raise AxisError(f'"{name}" has shape {shown(whole.shape)}, so it has no such part') from None
        if not may_become(part.dtype, whole.dtype):
            raise DtypeError(f'the value given for "{name}" is {part.dtype}, and the node is {whole.dtype}')
        own = cast_in_range(part, whole.dtype, f'the value of "{name}"')
        try:
            whole[index] = own
        except ValueError as error:
            raise ShapeError(
                f'the value given has shape {shown(part.shape)}, and that part of "{name}" {shown(room)}'
            ) from error
        self._what_ifs.what_if(self.node, whole)

    @property
    def operands(self) -> tuple[Array, ...]:
        """The values that it is computed from, read-only.

        Raises
        ------
        UsageError
            When one of them has not run yet.
        """
        now = self._now
        for operand in self.node.inputs:
            now.known(operand)
        return now.tape.operands(now.places[self.node])

    @property
    def stats(self) -> Stats:
        """Least, largest, mean, standard deviation; how many are zero, NaN, infinite."""
        return stats_of(self.value[:0] if is_bundle(self.node) else self.value)

    def __repr__(self) -> str:
        return f"<Spot {quoted(self.node.title)}: {self.state}>"
