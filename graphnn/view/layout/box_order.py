"""The order of boxes in which those of a frame follow each other, as far as links allow."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

import networkx as nx

from .layout_types import OUTSIDE, Link, Tree


def together(count: int, links: Sequence[Link], frame_of: Sequence[int], parents: Sequence[int]) -> list[int]:
    """Return the boxes in an order of which each link goes the way that it goes now.

    The boxes of a frame follow each other. Frames that lead to each other both ways cannot: their boxes stay as they
    are.

    Parameters
    ----------
    count : int
    links : sequence of Link
        In the order of the boxes. One that goes back is taken the other way.
    frame_of : sequence of int
        For each box.
    parents : sequence of int
        For each frame.

    Examples
    --------
    >>> together(4, [Link(0, 1), Link(0, 2), Link(2, 3)], [0, 1, 0, 1], [-1, -1])
    [0, 2, 1, 3]
    >>> together(3, [Link(0, 1), Link(1, 2)], [0, -1, 0], [-1])
    [0, 1, 2]
    """
    tree = Tree(parents)
    levels: list[nx.DiGraph[int]] = [
        nx.DiGraph() for _ in range(len(parents) + 1)
    ]  # boxes, and frames as what is below 0
    first = [count] * len(parents)
    for box, frame in enumerate(frame_of):
        levels[frame].add_node(box)
        for around in tree.between(frame, OUTSIDE):
            if first[around] <= box:
                break
            first[around] = box
    for frame, parent in enumerate(parents):
        levels[parent].add_node(~frame)
    for link in links:
        tail, head = sorted((link.tail, link.head))
        outer, one, other = tree.meeting(frame_of[tail], frame_of[head])
        levels[outer].add_edge(tail if one == OUTSIDE else ~one, head if other == OUTSIDE else ~other)
    found: list[int] = []
    waiting = [_sorted(levels, OUTSIDE, first)]
    while waiting:
        if not waiting[-1]:
            waiting.pop()
        elif (thing := waiting[-1].pop()) >= 0:
            found.append(thing)
        else:
            waiting.append(_sorted(levels, ~thing, first))
    return found


def _sorted(levels: Sequence[nx.DiGraph[int]], frame: int, first: Sequence[int]) -> list[int]:
    """Return what is in a frame, last first. For frames that lead to each other both ways, there are the boxes."""
    groups = nx.condensation(levels[frame])
    members = [sorted(groups.nodes[group]["members"]) for group in groups]
    keys = [min(thing if thing >= 0 else first[~thing] for thing in each) for each in members]
    missing = dict(groups.in_degree())
    ready = sorted((keys[group], group) for group, degree in missing.items() if not degree)
    found: list[int] = []
    while ready:
        _, group = heappop(ready)
        found += members[group] if len(members[group]) == 1 else sorted(_boxes(levels, members[group]))
        for after in groups.successors(group):
            missing[after] -= 1
            if not missing[after]:
                heappush(ready, (keys[after], after))
    return found[::-1]


def _boxes(levels: Sequence[nx.DiGraph[int]], things: Sequence[int]) -> list[int]:
    """Return those of the things that are boxes, and the boxes in the others."""
    found, waiting = [], list(things)
    while waiting:
        if (thing := waiting.pop()) >= 0:
            found.append(thing)
        else:
            waiting += levels[~thing]
    return found
