"""Where boxes, frames and links go, of graphs that stand for nothing."""

import random
from itertools import chain, combinations, pairwise

import pytest

from graphnn.view.layout.box_order import together
from graphnn.view.layout.horizontal_positions import apart
from graphnn.view.layout.layered import arrange
from graphnn.view.layout.layout_types import Arrangement, Frame, Item, Link
from graphnn.view.layout.ranks import rows

Graph = tuple[list[Item], list[Frame], list[Link]]


def chance(seed: int, size: int = 60, frames: int = 8) -> Graph:
    """Return a graph by chance: frames that are interleaved, links of any length, some back, some twice."""
    rng = random.Random(seed)
    parents = [rng.randrange(-1, number) for number in range(frames)]
    items, links, frame = [], [], -1
    for number in range(size):
        if rng.random() < 0.3:
            frame = rng.randrange(-1, frames)
        width, height = rng.uniform(10, 150), rng.uniform(10, 50)
        turn = rng.choice([(0.0, 0.0), (width / 2, height / 2), (width / 2, 4.0), (5.0, 5.0)])
        items.append(Item(width, height, frame, -1, turn))
        for _ in range(rng.choice([0, 1, 1, 2, 3])):
            other = rng.randrange(number) if number and rng.random() < 0.3 else max(0, number - rng.randrange(1, 8))
            label = (rng.uniform(10, 80), 10.0) if rng.random() < 0.3 else (0.0, 0.0)
            ends = (number, other) if rng.random() < 0.05 else (other, number)
            if other != number:
                links.append(Link(*ends, rng.random() < 0.2, *label))
    used = {item.frame for item in items}
    for child in reversed(range(frames)):
        if child in used:
            used.add(parents[child])
    kept = {frame: number for number, frame in enumerate(sorted(used - {-1}))} | {-1: -1}
    return (
        [item._replace(frame=kept[item.frame]) for item in items],
        [Frame(kept[parents[old]], rng.uniform(20, 200), 15.0) for old in kept if old >= 0],
        links,
    )


def with_readers_beside(graph: Graph) -> Graph:
    """Return the graph with a box beside each fifth one."""
    items, frames, links = list(graph[0]), graph[1], list(graph[2])
    for reader in range(0, len(graph[0]), 5):
        links.append(Link(len(items), reader))
        items.append(Item(40.0, 20.0, items[reader].frame, reader))
    return items, frames, links


def around(frames: list[Frame], frame: int) -> set[int]:
    found = set()
    while frame != -1:
        found.add(frame)
        frame = frames[frame].parent
    return found


def faults(graph: Graph, placed: Arrangement) -> list[str]:
    """Return a sentence for all that is not as it must be."""
    items, frames, links = graph
    found = []
    boxes = [
        (x - item.width / 2, y - item.height / 2, x + item.width / 2, y + item.height / 2)
        for item, (x, y) in zip(items, placed.centres, strict=True)
    ]
    outer = [[(x, y, x + width, y + height) for x, y, width, height in pieces] for pieces in placed.frames]
    for (one, a), (other, b) in combinations(enumerate(boxes), 2):
        if meet(a, b):
            found.append(f"boxes {one} and {other} overlap")
    for number, item in enumerate(items):
        inside = around(frames, item.frame)
        for frame, pieces in enumerate(outer):
            if frame in inside and not any(within(boxes[number], place) for place in pieces):
                found.append(f"box {number} is not in frame {frame}")
            if frame not in inside and any(meet(boxes[number], place) for place in pieces):
                found.append(f"box {number} is in frame {frame}")
    for one, other in combinations(range(len(frames)), 2):
        if one in around(frames, other):
            if not all(any(within(part, place) for place in outer[one]) for part in outer[other]):
                found.append(f"frame {other} is not in frame {one}")
        elif any(meet(part, place) for part in outer[one] for place in outer[other]):
            found.append(f"frames {one} and {other} overlap")
    for frame, (place, pieces) in enumerate(zip(frames, outer, strict=True)):
        for left, top, right, bottom in pieces[:1]:
            if right - left < place.width or bottom - top < place.height:
                found.append(f"the title of frame {frame} has no room")
    picture = (0.0, 0.0, placed.width, placed.height)
    found += [f"{place} is outside" for place in [*boxes, *chain.from_iterable(outer)] if not within(place, picture)]
    for link, route in zip(links, placed.routes, strict=True):
        for end, (x, y) in ((link.tail, route[0]), (link.head, route[-1])):
            left, top, right, bottom = boxes[end]
            if not (left - 0.01 <= x <= right + 0.01 and top - 0.01 <= y <= bottom + 0.01):
                found.append(f"{link} does not end at its box")
            curve = max(items[end].round) + 0.01
            if min(abs(x - left), abs(x - right), abs(y - top), abs(y - bottom)) > curve:
                found.append(f"{link} ends in its box")
    return found


def meet(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return min(a[2], b[2]) - max(a[0], b[0]) > 0.01 and min(a[3], b[3]) - max(a[1], b[1]) > 0.01


def within(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return b[0] - 0.01 <= a[0] and b[1] - 0.01 <= a[1] and a[2] <= b[2] + 0.01 and a[3] <= b[3] + 0.01


@pytest.mark.parametrize("sideways", [False, True], ids=["down", "sideways"])
@pytest.mark.parametrize("seed", range(50))
def test_nothing_overlaps_and_frames_hold_what_is_theirs(seed: int, sideways: bool) -> None:
    graph = chance(seed)
    if seed % 2:
        graph = with_readers_beside(graph)
    assert faults(graph, arrange(*graph, sideways)) == []


@pytest.mark.parametrize("sideways", [False, True], ids=["down", "sideways"])
@pytest.mark.parametrize("seed", range(30))
def test_a_folded_layout_holds_all_that(seed: int, sideways: bool) -> None:
    graph = chance(seed)
    if seed % 2:
        graph = with_readers_beside(graph)
    placed = arrange(*graph, sideways, (500.0, 99_999.0) if sideways else (99_999.0, 500.0))
    assert faults(graph, placed) == []
    for x, y in chain.from_iterable(placed.routes):
        assert -6 <= x <= placed.width + 6
        assert -6 <= y <= placed.height + 6


@pytest.mark.parametrize("narrow", [300.0, 700.0])
@pytest.mark.parametrize("seed", range(30))
def test_a_narrow_layout_holds_all_that_and_its_rows_come_in_the_same_order(seed: int, narrow: float) -> None:
    graph = chance(seed)
    if seed % 2:
        graph = with_readers_beside(graph)
    placed = arrange(*graph, narrow=narrow)
    assert faults(graph, placed) == []
    for link in graph[2]:
        if graph[0][link.tail].beside != link.head:
            assert placed.centres[link.tail][1] != placed.centres[link.head][1]
    assert placed.width <= arrange(*graph).width


def test_what_nothing_reads_stands_in_several_lines() -> None:
    """One value goes to forty boxes, each of which has one of its own that stands above it."""
    items = [Item(60, 20, 0) for _ in range(81)]
    links = [Link(0, number, value=1) for number in range(41, 81)]
    links += [Link(number - 40, number) for number in range(41, 81)]
    graph = items, [Frame(-1, 50, 12)], links
    placed = arrange(*graph, narrow=600.0)
    assert faults(graph, placed) == []
    assert arrange(*graph).width > 3000
    assert placed.width <= 640
    assert all(60 >= placed.centres[number][1] - placed.centres[number - 40][1] > 20 for number in range(41, 81))
    lines = sorted({placed.centres[number][1] for number in range(41, 81)})
    assert 5 <= len(lines) <= 7


def test_a_frame_that_nothing_reads_goes_down_as_one() -> None:
    """Six frames, each with a chain of three, read one value."""
    items = [Item(60, 20)] + [Item(180, 20, number // 3) for number in range(18)]
    links = [Link(0, 1 + 3 * frame) for frame in range(6)]
    links += [Link(one, one + 1) for one in range(1, 19) if one % 3]
    graph = items, [Frame(-1, 50, 12)] * 6, links
    placed = arrange(*graph, narrow=700.0)
    assert faults(graph, placed) == []
    assert placed.width <= 700
    assert len({round(top) for ((_, top, _, _),) in placed.frames}) == 2


def test_a_row_that_is_read_stays_one_row_and_what_has_room_keeps_to_the_width() -> None:
    items = [Item(60, 20)] * 42
    links = [Link(0, number) for number in range(1, 41)] + [Link(number, 41) for number in range(1, 41)]
    assert len({y for _, y in arrange(items, [], links, narrow=600.0).centres}) == 3
    stairs = [Item(60, 20)] * 20
    leads = [Link(number, number + 2) for number in range(18)] + [Link(number, number + 1) for number in range(19)]
    assert arrange(stairs, [], leads, narrow=200.0).width <= 200


def test_a_long_chain_is_folded_into_lines_or_columns() -> None:
    items, links = [Item(60, 20)] * 100, [Link(number, number + 1) for number in range(99)]
    lines = arrange(items, [], links, True, (1000.0, 900.0))
    columns = arrange(items, [], links, False, (1000.0, 900.0))
    for placed in (lines, columns):
        assert faults((items, [], links), placed) == []
        assert placed.width <= 1000
        assert placed.height <= 900
    # As in a text, each line goes to the right, and the next begins below it.
    ends = next(number for number, (one, other) in enumerate(pairwise(lines.centres)) if other[0] < one[0])
    assert lines.centres[ends + 1][1] > lines.centres[ends][1] + 20
    assert lines.centres[ends + 1][0] == pytest.approx(lines.centres[0][0], abs=12)


def test_a_frame_that_is_folded_has_a_piece_in_each_band() -> None:
    items = [Item(60, 20)] + [Item(60, 20, 0)] * 40
    links = [Link(number, number + 1) for number in range(40)]
    placed = arrange(items, [Frame(-1, 50, 12)], links, True, (600.0, 900.0))
    assert faults((items, [Frame(-1, 50, 12)], links), placed) == []
    assert len(placed.frames[0]) > 3


def test_a_fault_would_be_seen() -> None:
    graph = ([Item(10, 10, 0), Item(10, 10)], [Frame(-1, 5, 5)], [Link(0, 1)])
    placed = arrange(*graph)
    assert faults(graph, placed) == []
    assert "boxes 0 and 1 overlap" in faults(graph, placed._replace(centres=[placed.centres[0]] * 2))
    assert "box 1 is in frame 0" in faults(graph, placed._replace(frames=[[(0.0, 0.0, 40.0, 90.0)]]))
    assert any("does not end" in fault for fault in faults(graph, placed._replace(routes=[[(0, 0), (0, 99)]])))


def test_nothing_at_all() -> None:
    assert arrange([], [], []) == Arrangement(0.0, 0.0, [], [], [], [], [])


# --- rows -----------------------------------------------------------------------------------------------------


def test_rows_follow_the_longest_way_and_what_is_read_once_stands_above_its_reader() -> None:
    chain = [Link(number, number + 1) for number in range(3)]
    assert rows(6, [*chain, Link(3, 5), Link(4, 5)]) == [0, 1, 2, 3, 3, 4]


def test_a_light_link_holds_nothing_down_but_is_kept() -> None:
    links = [Link(0, 1), Link(1, 2), Link(2, 4, light=True), Link(3, 4)]
    assert rows(5, links) == [0, 1, 2, 2, 3]


def test_frames_that_follow_each_other_follow_in_rows() -> None:
    # 0 → 1 in the first frame; 0 → 2 → 3 and 1 → 3 in the second.
    links = [Link(0, 1), Link(0, 2), Link(1, 3), Link(2, 3)]
    assert rows(4, links) == [0, 1, 1, 2]
    assert rows(4, links, [0, 0, 1, 1], [-1, -1]) == [0, 1, 2, 3]


def test_frames_that_are_interleaved_keep_the_order_of_their_boxes() -> None:
    assert rows(3, [Link(0, 1), Link(1, 2)], [0, -1, 0], [-1]) == [0, 1, 2]


def test_frames_that_follow_each_other_do_so_though_their_boxes_alternate() -> None:
    # 0 → 2 → 4 in the first frame, 1 → 3 → 5 in the second, and 2 → 3: what is first in the second waits.
    links = [Link(0, 2), Link(1, 3), Link(2, 3), Link(2, 4), Link(3, 5)]
    found = rows(6, links, [0, 1, 0, 1, 0, 1], [-1, -1])
    assert max(found[0], found[2], found[4]) < min(found[1], found[3], found[5])


def test_the_boxes_of_a_frame_follow_each_other_in_frames_too() -> None:
    # Frame 0 holds frames 1 and 2, whose boxes alternate with each other and with what is outside.
    links = [Link(0, 3), Link(1, 4), Link(3, 4), Link(2, 5)]
    assert together(6, links, [1, 2, -1, 1, 2, -1], [-1, 0, 0]) == [0, 3, 1, 4, 2, 5]


def test_frames_that_lead_to_each_other_both_ways_stay_mixed() -> None:
    links = [Link(0, 1), Link(1, 2), Link(2, 3)]
    assert together(5, links, [0, 1, 0, 1, -1], [-1, -1]) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("seed", range(10))
def test_each_link_still_goes_its_way(seed: int) -> None:
    items, frames, links = chance(seed)
    frame_of = [item.frame for item in items]
    found = together(len(items), links, frame_of, [frame.parent for frame in frames])
    assert sorted(found) == list(range(len(items)))
    place = {box: number for number, box in enumerate(found)}
    assert all((place[link.tail] < place[link.head]) == (link.tail < link.head) for link in links)


def test_a_link_back_is_led_up() -> None:
    placed = arrange([Item(20, 20), Item(20, 20), Item(90, 20)], [], [Link(0, 1), Link(1, 2), Link(2, 0)])
    assert placed.centres[0][1] < placed.centres[1][1] < placed.centres[2][1]
    *_, (before, below), (end, above) = placed.routes[2]
    assert before == end
    assert below > above + 5


# --- beauty ---------------------------------------------------------------------------------------------------


def test_a_chain_is_straight_whatever_comes_to_it_from_aside() -> None:
    rng = random.Random(0)
    items, links, last = [Item(50, 20)], [], 0
    for _ in range(40):
        items += [Item(rng.uniform(20, 120), 20), Item(rng.uniform(20, 120), 20)]
        links += [Link(last, len(items) - 1), Link(len(items) - 2, len(items) - 1)]
        last = len(items) - 1
    placed = arrange(items, [], links)
    main = [placed.centres[number][0] for number in [0, *range(2, len(items), 2)]]
    assert max(main) - min(main) < 0.5


def test_two_readers_stand_around_their_source() -> None:
    placed = arrange([Item(40, 20), Item(60, 20), Item(60, 20), Item(40, 20)], [], [Link(0, 1), Link(0, 2)])
    xs = [x for x, _ in placed.centres]
    assert xs[1] < xs[2]
    assert placed.routes[0][0][0] < placed.routes[1][0][0]


def test_a_link_that_passes_rows_is_straight_where_there_is_room() -> None:
    links = [*(Link(number, number + 1) for number in range(6)), Link(0, 6)]
    placed = arrange([Item(60, 20)] * 7, [], links)
    assert len({round(x, 1) for x, _ in placed.routes[-1][2:-2]}) == 1


def test_links_of_the_same_two_boxes_run_side_by_side() -> None:
    placed = arrange([Item(60, 20), Item(60, 20)], [], [Link(0, 1), Link(0, 1)])
    (one, other) = ([x for x, _ in route] for route in placed.routes)
    assert all(b - a > 5 for a, b in zip(one, other, strict=True))


def test_no_piece_of_a_link_leaves_its_gap() -> None:
    """So it runs over no box: bends are in the gaps, and between them it has a place of its own in the row."""
    for seed in range(20):
        items, frames, links = chance(seed, frames=0)
        items = [item._replace(frame=-1) for item in items]
        placed = arrange(items, frames, links)
        for link, route in zip(links, placed.routes, strict=True):
            for (x, y), (to_x, to_y) in pairwise(route):
                low, high = min(y, to_y) + 0.1, max(y, to_y) - 0.1
                for number, (item, (at_x, at_y)) in enumerate(zip(items, placed.centres, strict=True)):
                    beyond = at_y - item.height / 2 > high or at_y + item.height / 2 < low
                    aside = at_x - item.width / 2 > max(x, to_x) or at_x + item.width / 2 < min(x, to_x)
                    assert number in (link.tail, link.head) or beyond or aside, (seed, link, number)


def test_places_in_order_as_near_as_it_goes() -> None:
    assert apart([5.0, 0.0], [1.0, 1.0], [2.0]) == [1.5, 3.5]
    assert apart([0.0, 10.0], [1.0, 1.0], [2.0], [3.0, -9.0], [9.0, 7.0]) == [3.0, 7.0]


# --- size -----------------------------------------------------------------------------------------------------


def test_deep_graphs_and_frames() -> None:
    count = 1100  # more than Python lets calls be within each other
    frames = [Frame(number - 1, 10, 10) for number in range(count)]
    items = [Item(20, 10, number) for number in range(count)]
    placed = arrange(items, frames, [Link(number, number + 1) for number in range(count - 1)])
    assert placed.frames[0][0][3] > placed.frames[-1][0][3]


@pytest.mark.timeout(60)  # 1.5 s on an idle machine
def test_thousands_of_boxes_are_arranged() -> None:
    arrange(*chance(0, size=3000, frames=200))
