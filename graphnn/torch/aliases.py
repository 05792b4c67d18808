"""Tensors that share their elements: a view sees what is written to the tensor that it is of, and the other way round.

PyTorch writes in place; nodes never change. So a tensor is a cell that holds the node of its elements as they are now,
and a view is a way from a cell to the node of the view.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..core import Node, fn, is_float

Look = Callable[[Node], Node]
"""From a tensor to a view of it."""
Put = Callable[[Node, Node], Node]
"""From a tensor, and what its view is now, to the tensor as it is now."""


def unseen(before: Node, now: Node) -> Node:
    """Return a tensor after a write of which gradients know nothing: other numbers, and the gradient of before."""
    if not is_float(now.spec.dtype):
        return now
    now = fn.stop_gradient(now)
    op = before.op
    if op.is_constant or (op.is_parameter and not before.trainable) or op.name == "stop_gradient":
        return now
    change = before - fn.stop_gradient(before)
    return now + fn.where(fn.isfinite(before), change, fn.zeros_like(before))


@dataclass(eq=False)
class Cell:
    """The elements of a tensor, and how often they were written to."""

    node: Node
    writes: int = 0


@dataclass
class Tensor:
    """A tensor: all of a cell, or what a row of views shows of it.

    Attributes
    ----------
    cell : Cell
    views : tuple of (callable, callable or None)
        From the outermost view to the innermost; the second one is None of a view that cannot be written through.
    """

    cell: Cell
    views: tuple[tuple[Look, Put | None], ...] = ()
    _seen: Node | None = field(default=None, repr=False)
    _at: int = field(default=-1, repr=False)

    @classmethod
    def of(cls, node: Node) -> Tensor:
        """Return a tensor of its own."""
        return cls(Cell(node))

    def view(self, seen: Node, look: Look, put: Put | None) -> Tensor:
        """Return a view of this tensor, which now is `seen`."""
        return Tensor(self.cell, (*self.views, (look, put)), seen, self.cell.writes)

    def become(self, view: Tensor) -> None:
        """Be a view of this tensor from now on, as of an axis that is added in place."""
        self.views, self._seen, self._at = view.views, view._seen, view._at

    @property
    def node(self) -> Node:
        """The node of its elements as they are now."""
        if not self.views:
            return self.cell.node
        if self._seen is None or self._at != self.cell.writes:
            seen = self.cell.node
            for look, _ in self.views:
                seen = look(seen)
            self._seen, self._at = seen, self.cell.writes
        return self._seen

    def write(self, node: Node) -> bool:
        """Have other elements; return False if a view is between that cannot be written through."""
        if any(put is None for _, put in self.views):
            return False
        written = node
        wholes = [self.cell.node]
        for look, _ in self.views[:-1]:
            wholes.append(look(wholes[-1]))
        for whole, (_, put) in zip(reversed(wholes), reversed(self.views), strict=False):
            assert put is not None
            node = put(whole, node)
        self.cell.node = node
        self.cell.writes += 1
        self._seen, self._at = written, self.cell.writes
        return True
