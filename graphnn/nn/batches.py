"""The rows of a feed, split into batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..errors import ShapeError, ValueRangeError
from ..execute.feed import Feed, checked_feed
from ..graph.attributes import whole
from ..graph.dimensions import names_in

if TYPE_CHECKING:
    from ..graph import Array, Graph, Node


class Rows:
    """A feed that is split into batches."""

    def __init__(self, graph: Graph, feed: Feed, batch_size: int | None, what: str) -> None:
        if batch_size is not None:
            whole("batch_size", batch_size, 1)
        given = checked_feed(graph, feed)[0]
        self.whole = {node: array for node, array in given.items() if not _is_named(node)}
        self.cut = {node: array for node, array in given.items() if _is_named(node)}
        lengths = {node: len(array) for node, array in self.cut.items()}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f'"{node.name}" {node.spec} has {length:,}' for node, length in lengths.items())
            raise ShapeError(
                f"the arrays of {what} have different lengths: {listed}; an array is not split if the first dimension "
                "of its placeholder is a number"
            )
        self.count: int = next(iter(lengths.values()), 1)
        if not self.count:
            names = ", ".join(f'"{node.name}"' for node in self.cut)
            raise ValueRangeError(f"{what} is empty: {names} has no rows")
        self.size: int = batch_size or self.count

    def batches(
        self, order: Array | None = None, drop_last: bool = False, start: int = 0
    ) -> Iterator[tuple[int, Feed]]:
        """Yield the size and the feed of each batch from number `start` on, with the rows in the given order."""
        for first in range(start * self.size, self.used(drop_last), self.size):
            rows: Any = slice(first, first + self.size)
            size = min(self.size, self.count - first)
            if order is not None:
                rows = order[rows]
            yield size, {**self.whole, **{node: array[rows] for node, array in self.cut.items()}}

    def reduced_by(self, node: Node) -> bool:
        """Return whether an operand of a node has the dimension of the rows."""
        named = {name for fed in self.cut for name in names_in(fed.shape[:1])}
        return any(not named.isdisjoint(names_in(operand.shape)) for operand in node.inputs)

    def used(self, drop_last: bool = False) -> int:
        """Return the number of rows that are in a batch."""
        return self.count - self.count % self.size if drop_last else self.count


def _is_named(node: Node) -> bool:
    return bool(node.shape) and isinstance(node.shape[0], str)
