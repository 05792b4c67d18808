"""Which engine draws a picture, where nobody says: Graphviz or graphnn itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .picture import Picture

# What Graphviz may be given by default. The longest path goes from left to right, or from top to bottom.
_MOST_BOXES, _MOST_EDGES = 200, 400
_LONGEST_SIDEWAYS, _LONGEST_DOWN = 16, 43


def suits_graphviz(seen: Picture, sideways: bool) -> bool:
    """Return whether a picture is better by Graphviz than by graphnn.

    It is, if it is small and shows no update, and either no frame or a backward pass. The rule follows from the figures
    of forty graphs at three levels, which are in ``docs/pictures.md``:

    - If there is neither a frame nor an update, or if there is a backward pass alone, the lines of Graphviz cross less
      often, bend less and are shorter.
    - If there are frames of a forward pass alone, its lines run over their titles, and those of graphnn never do.
    - If there is an update, the lines of graphnn cross less often.
    - With a path of more than 16 boxes from left to right, or 43 from top to bottom, or with several hundred boxes, no
      picture by Graphviz is narrow and low enough. graphnn folds what is too long. Besides, Graphviz takes seconds for
      several hundred boxes or edges.

    A picture for which this is True may still become too wide or too high.

    Parameters
    ----------
    seen : Picture
    sideways : bool
        Whether values go from left to right.

    Returns
    -------
    bool

    Examples
    --------
    >>> from graphnn import Graph, exp
    >>> from .boxes import picture
    >>> x = Graph().placeholder("x")
    >>> suits_graphviz(picture(exp(x)), False)
    True
    """
    if len(seen.boxes) > _MOST_BOXES or len(seen.edges) > _MOST_EDGES:
        return False
    phases = {box.phase for box in seen.boxes}
    if "update" in phases or ("backward" not in phases and seen.open_scopes()):
        return False
    return _longest_path(seen) <= (_LONGEST_SIDEWAYS if sideways else _LONGEST_DOWN)


def _longest_path(seen: Picture) -> int:
    """Return how many boxes the longest path has; an edge that goes back counts as one that goes on."""
    lengths = [1] * len(seen.boxes)
    ends = [sorted((edge.tail.place, edge.head.place)) for edge in seen.edges]
    for tail, head in sorted(ends):
        lengths[head] = max(lengths[head], lengths[tail] + 1)
    return max(lengths, default=0)
