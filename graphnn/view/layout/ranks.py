"""The first step of a layout: each box gets its row, and each link its strength."""

from __future__ import annotations

from collections.abc import Sequence

from .box_order import together
from .layout_types import OUTSIDE, STRAIGHT, Link, Tree


def rows(count: int, links: Sequence[Link], frame_of: Sequence[int] = (), parents: Sequence[int] = ()) -> list[int]:
    """Return the row of each box.

    The row is first the longest path from above. Then, from the last row up, a box moves down next to its readers,
    unless more links hold it from above than from below. Light links do not hold. Nor does the link to a box that
    nothing holds and nobody else reads: that box moves down too.

    If links lead from one frame to another and none leads back, the rows of the other frame follow. A light link does
    not count for this, nor the only link of a box.

    Parameters
    ----------
    count : int
    links : sequence of Link
        In the order of the boxes, tail before head. One that goes back is taken the other way.
    frame_of : sequence of int, optional
        For each box.
    parents : sequence of int, optional
        For each frame.

    Returns
    -------
    list of int

    Examples
    --------
    >>> rows(4, [Link(0, 1), Link(1, 3), Link(2, 3)])
    [0, 1, 1, 2]
    """
    if not parents:
        return _rows(count, links, frame_of, parents)
    boxes = together(count, links, frame_of, parents)
    rank = [0] * count
    for place, box in enumerate(boxes):
        rank[box] = place
    links = [link._replace(tail=rank[link.tail], head=rank[link.head]) for link in links]
    found = _rows(count, links, [frame_of[box] for box in boxes], parents)
    return [found[place] for place in rank]


def _rows(count: int, links: Sequence[Link], frame_of: Sequence[int], parents: Sequence[int]) -> list[int]:
    """Return the row of each box, where all boxes of one frame come before all boxes of the next as far as can be."""
    frames = len(parents)
    order, spans = _order_with_frames(count, frame_of, parents)
    before: list[list[tuple[int, int]]] = [[] for _ in order]
    after: list[list[tuple[int, int]]] = [[] for _ in order]

    def follow(one: int, other: int, distance: int) -> None:
        before[other].append((one, distance))
        after[one].append((other, distance))

    for frame, parent in enumerate(parents):
        if parent != OUTSIDE:
            follow(count + parent, count + frame, 0)
            follow(count + frames + frame, count + frames + parent, 0)
    for box in range(count) if frames else ():
        if frame_of[box] != OUTSIDE:
            follow(count + frame_of[box], box, 0)
            follow(box, count + frames + frame_of[box], 0)
    tree = Tree(parents)
    above: list[list[int]] = [[] for _ in range(count)]
    readers, reading = [0] * count, [0] * count
    for link in links:
        tail, head = sorted((link.tail, link.head))
        readers[tail] += 1
        reading[head] += 1
    held_below = [0] * count
    for link in links:
        tail, head = sorted((link.tail, link.head))
        follow(tail, head, 1)
        if link.light:
            continue
        above[head].append(tail)
        held_below[tail] += 1
        if frames and readers[tail] + reading[tail] > 1 and readers[head] + reading[head] > 1:
            _, one, other = tree.meeting(frame_of[tail], frame_of[head])
            last = tail if one == OUTSIDE else spans[one][1]
            first = head if other == OUTSIDE else spans[other][0]
            if last < first and (one, other) != (OUTSIDE, OUTSIDE):
                follow(
                    tail if one == OUTSIDE else count + frames + one,
                    head if other == OUTSIDE else count + other,
                    1,
                )
    found = [0] * len(order)
    for vertex in order:
        found[vertex] = max((found[one] + distance for one, distance in before[vertex]), default=0)
    held: list[int] = []
    for tails in above:
        held.append(sum(held[tail] > 0 or readers[tail] > 1 for tail in tails))
    for vertex in reversed(order):
        # The upper side of a frame always comes down to what is in it, the lower side never moves.
        if (held[vertex] <= held_below[vertex] > 0) if vertex < count else vertex < count + frames:
            found[vertex] = min(found[other] - distance for other, distance in after[vertex])
    return found[:count]


def _order_with_frames(
    count: int, frame_of: Sequence[int], parents: Sequence[int]
) -> tuple[list[int], list[tuple[int, int]]]:
    """Return boxes and upper and lower sides of frames, each before what it may precede; and each frame's span.

    The numbers of the upper sides come after those of the boxes, and then those of the lower ones.
    """
    frames = len(parents)
    if not frames:
        return list(range(count)), []
    spans = [(count, -1)] * frames
    for box, frame in enumerate(frame_of):
        if frame != OUTSIDE:
            spans[frame] = min(spans[frame][0], box), max(spans[frame][1], box)
    for frame in reversed(range(frames)):
        if (parent := parents[frame]) != OUTSIDE:
            spans[parent] = min(spans[parent][0], spans[frame][0]), max(spans[parent][1], spans[frame][1])
    # A frame stands after the one around it: its upper side too, its lower side before.
    keys = [(box, 0) for box in range(count)]
    keys += [(spans[frame][0], frame - frames) for frame in range(frames)]
    keys += [(spans[frame][1], frames - frame) for frame in range(frames)]
    return sorted(range(len(keys)), key=keys.__getitem__), spans


def strengths(row_of: Sequence[int], flow: Sequence[tuple[int, int, int]]) -> dict[int, float]:
    """Return the strength of the links that are on the longest path through their tail and through their head.

    In the middle of a long path it is greatest, so that side paths make way for the main one.

    Parameters
    ----------
    row_of : sequence of int
        For each box.
    flow : sequence of (int, int, int)
        The links that count: tail, head and number.

    Examples
    --------
    >>> sorted(strengths([0, 1, 2, 1], [(0, 1, 7), (1, 2, 8), (3, 2, 9)]))
    [7, 8]
    """
    depths, heights = [0] * len(row_of), [0] * len(row_of)
    for tail, head, _ in sorted(flow, key=lambda each: row_of[each[0]]):
        depths[head] = max(depths[head], depths[tail] + 1)
    for tail, head, _ in sorted(flow, key=lambda each: -row_of[each[1]]):
        heights[tail] = max(heights[tail], heights[head] + 1)
    above: dict[int, tuple[int, int, int]] = {}
    below: dict[int, tuple[int, int, int]] = {}
    for each in flow:
        tail, head, _ = each
        above[head] = max(above.get(head, each), each, key=lambda link: depths[link[0]])
        below[tail] = max(below.get(tail, each), each, key=lambda link: heights[link[1]])
    return {
        number: STRAIGHT * max(depths[tail] * heights[head], 0.1) ** 2
        for tail, head, number in above.values()
        if below[tail][2] == number
    }
