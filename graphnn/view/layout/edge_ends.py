"""Where links touch a box: towards its other end, apart from others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import accumulate, compress, pairwise

from .horizontal_positions import apart
from .layout_types import STRAIGHT, Item, Link

# Where links touch a box: their distance, also for light links; how much of the width they take; with labels.
_PORT_SPACE, _LIGHT_PORT_SPACE, _PORT_SHARE, PORT_REACH, LABEL_SPACE = 9.0, 4.0, 0.36, 10.0, 3.0


class Ports:
    """The places where links touch boxes, across the flow.

    Parameters
    ----------
    items, links : sequence
    ways : sequence
        For each link, the things along it, downwards; None: it stands beside the box that it leads to.
    straight : collection of int
        The links that are to be straight.
    entered : collection of int
        The boxes that links enter a frame for: near their middles, for the title of the frame needs what is beside.
    sideways : bool
        Whether the flow goes from left to right.
    """

    def __init__(
        self,
        items: Sequence[Item],
        links: Sequence[Link],
        ways: Sequence[list[int] | None],
        straight: Collection[int],
        entered: Collection[int],
        sideways: bool,
    ) -> None:
        self._items, self._links, self._ways = items, links, ways
        self._straight, self._entered, self._sideways = straight, entered, sideways
        self._arriving = [0] * len(items)
        for way in ways:
            if way is not None:
                self._arriving[way[-1]] += 1

    def reach(self, thing: int) -> float:
        """Return how far from its middle links from above touch a thing at most."""
        if thing >= len(self._items):
            return 0.0
        most = self._most_reach(thing)
        limited = thing in self._entered and not self._sideways
        return min(most, self._arriving[thing] * _PORT_SPACE / 2) if limited else most

    def _most_reach(self, box: int) -> float:
        item = self._items[box]
        return item.width * (_PORT_SHARE / 2 if item.round[0] == item.width / 2 else _PORT_SHARE)

    def places(self, across: list[float]) -> tuple[list[float], list[float]]:
        """Return where each link touches its upper and its lower box: towards its other end, apart from others."""
        leaving: list[list[tuple[float, int]]] = [[] for _ in self._items]
        arriving: list[list[tuple[float, int]]] = [[] for _ in self._items]
        labelled, together = set(), dict[tuple[int, int], list[int]]()
        for number, (link, way) in enumerate(zip(self._links, self._ways, strict=True)):
            if way is not None:
                same = together.setdefault((way[0], way[1]) if len(way) > 2 else (-1, number), [])
                if not same:  # else it leaves with a link of the same value
                    leaving[way[0]].append((across[way[1]], number))
                same.append(number)
                arriving[way[-1]].append((across[way[-2]], number))
                if link.width:
                    labelled.add(link.tail)
        found = [0.0] * len(self._links), [0.0] * len(self._links)
        for ends, places in zip((leaving, arriving), found, strict=True):
            for box, others in enumerate(ends):
                others.sort()
                aims = [(other - across[box], number) for other, number in others]
                ports = self._port_places(box, aims, ends is leaving, ends is leaving and box in labelled)
                for (_, number), port in zip(others, ports, strict=True):
                    places[number] = across[box] + port
        for first, *joined in together.values():
            for number in joined:
                found[0][number] = found[0][first]
        return found

    def _port_places(self, box: int, others: list[tuple[float, int]], leaving: bool, labelled: bool) -> list[float]:
        """Return where links touch one side of a box, relative to its middle; a straight one goes there if it can."""
        if not others:
            return []
        high = self._most_reach(box) if leaving else self.reach(box)
        low = -high
        if labelled and self._sideways:
            low = max(low, -PORT_REACH)
        elif labelled:
            high = min(high, PORT_REACH)
        light = [leaving and self._links[number].light for _, number in others]
        spaces = [_LIGHT_PORT_SPACE if one or other else _PORT_SPACE for one, other in pairwise(light)]
        offsets = list(accumulate(spaces, initial=0.0))
        straight = [number in self._straight for _, number in others]
        total = offsets[-1]
        share = min(1.0, (high - low) / total if total else 1.0)
        for offset in compress(offsets, straight):
            share = min(share, -low / offset if offset else 1.0, high / (total - offset) if offset < total else 1.0)
        offsets = [offset * share for offset in offsets]
        return apart(
            [other * _PORT_SHARE for other, _ in others],
            [STRAIGHT if one else 1.0 for one in straight],
            [after - before for before, after in pairwise(offsets)],
            [low + offset for offset in offsets],
            [high - offsets[-1] + offset for offset in offsets],
        )
