"""Parameters that several boxes read: the picture tells how many, and draws no line to each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ...core import Node
    from .picture import Box, Edge, Picture

# A parameter on its own has a line to each reader of the forward pass if there are no more.
_MOST_LINES = 2


class Sharing(NamedTuple):
    """What is said in place of lines.

    Attributes
    ----------
    unlined : dict of Edge to None
        The edges that have no line: the reader says what it reads.
    readers : dict of Box to int
        How many boxes read the parameters of a box, itself included if it is a layer.
    """

    unlined: dict[Edge, None]
    readers: dict[Box, int]


def sharing(seen: Picture) -> Sharing:
    """Return which parameters of a picture are shared.

    One on its own keeps the line to its first reader, so that it stands beside that.

    Examples
    --------
    >>> from ...core import Graph
    >>> from .boxes import picture
    >>> w = Graph().parameter("w", 2.0)
    >>> unlined, readers = sharing(picture([w * 1.0, w * 2.0, w * 3.0]))
    >>> [edge.head.node.name for edge in unlined], list(readers.values())
    (['multiply_2', 'multiply_3'], [3])
    """
    edges_of: dict[Node, list[Edge]] = {}
    for edge in seen.edges:
        if edge.node.op.is_parameter:
            edges_of.setdefault(edge.node, []).append(edge)
    found = Sharing({}, {})
    readers: dict[Box, dict[Box, None]] = {}
    for node, edges in edges_of.items():
        tail, heads = edges[0].tail, dict.fromkeys(edge.head for edge in edges)
        single = tail.scope is None
        if not single and not set(node.users).isdisjoint(tail.nodes):
            heads = {tail: None} | heads
        if sum(head.phase == "forward" for head in heads) > (_MOST_LINES if single else 1):
            found.unlined.update(dict.fromkeys(edges[single:]))
            readers.setdefault(tail, {}).update(heads)
    found.readers.update((tail, len(heads)) for tail, heads in readers.items())
    return found
