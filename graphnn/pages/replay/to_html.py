"""The pages there are: of one run, of several steps of training, of runs side by side."""

from __future__ import annotations

from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

import numpy as np

from ...control_flow.unrolled_run import before_unrolling
from ...debugger.diff import compare
from ...debugger.diff.compare import partners_of
from ...debugger.traces import PAGE_OF, Beside, Recording, Trace
from ...view.formatting import compact, visible
from .decision_boundary import boundary
from .guided_tour import hidden, stations
from .kept_elements import array_of, finite
from .network_sight import sight
from .page_data import Maker
from .replayed_iterations import place_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...core import Node
    from ...debugger.diff.differences import Comparison, Difference
    from ...debugger.traces import Record
    from .replay_page import Page


@PAGE_OF.give(Trace)
def page_of_trace(trace: Trace, live: bool | None = None, tour: Any = (), hide: Any = ()) -> Page:
    """Return the page of one run, with its tour and what is hidden in it."""
    maker = Maker(trace, [trace], [""])
    maker.live = live
    maker.data |= {"tour": stations(maker, tour), "hide": hidden(maker, hide)}
    if trace.updates and trace.has_values and trace.stopped is None and live is not False:
        maker.data["sight"] = sight(maker)
    return maker.page("run")


@PAGE_OF.give(Recording)
def page_of_film(film: Recording, live: bool | None = None, tour: Any = ()) -> Page:
    """Return the page of several steps of training, with a slider over them.

    Raises
    ------
    UsageError
        When nothing was recorded.
    """
    traces = list(film)
    maker = Maker(traces[0], traces, [f"call {call}" for call in film.calls])
    maker.live = live
    maker.data |= {
        "boundary": boundary(traces),
        "sight": sight(maker),
        "tour": stations(maker, tour),
    }
    return maker.page("film")


@PAGE_OF.give(Beside)
def page_of_several(beside: Beside) -> Page:
    """Return the page of two or more runs, side by side."""
    first, *others = beside.runs
    found = [
        compare(first, other, names=(beside.names[0], name))
        for other, name in zip(others, beside.names[1:], strict=True)
    ]
    partners = [partners_of(first, other) for other in others]
    labels = [f"{_letters(i)} ({name})" for i, name in enumerate(beside.names)]
    maker = Maker(first, beside.runs, labels, partners)
    maker.data["outputs"] = maker.outputs()
    maker.data["pair"] = _comparison_of(found[0], beside, maker)
    return maker.page("pair")


def _letters(i: int) -> str:
    """Return what stands for a run in few words: a to z, then a2 to z2, and so on."""
    again, letter = divmod(i, len(ascii_lowercase))
    return ascii_lowercase[letter] + (str(again + 1) if again else "")


def _comparison_of(found: Comparison, beside: Beside, maker: Maker) -> dict[str, Any]:
    """Return where the first two runs first differ, and what was not recomputed."""
    first = found.first
    a, b = beside.names[:2]
    placed = [(each, *_place_of(each.node, maker)) for each in found.differences]
    known: dict[str, Any] = {"first": -1, "cell": -1, "differences": _farthest(placed), "recomputed": None}
    says = [f"{a} and {b} are equal."]
    if first is not None:
        says = [f"{b} differs from {a} first at {first.node.name}{_at(found, beside)}: {first.cause}."]
    shown = next((each for each in placed if each[1] >= 0), None)
    if shown is not None:
        each, known["first"], within = shown
        known |= within
        if each.element:
            known["cell"] = int(np.ravel_multi_index(each.element, _record(beside.runs[0], each.node).shape))
    if beside.recomputed is not None:
        known["recomputed"] = sorted(maker.place_of[node] for node in beside.recomputed)
        operations = sum(forward is not None for forward in beside.runs[0].prepared.binding.forwards)
        says.append(f"{len(beside.recomputed)} of {operations} operations were recomputed.")
    said = next(filter(None, (_all(name, place, beside, maker) for name, place in maker.data["outputs"])), "")
    known["says"] = visible(" ".join([*says, said])).rstrip()
    return known


def _place_of(node: Node, maker: Maker) -> tuple[int, dict[str, int]]:
    """Return where a node of a comparison is on the page, -1 if it is not; of one in a loop, also the iteration."""
    within = place_in(node.name, maker.loops.all)
    if within is None:
        return maker.place_of.get(before_unrolling(node), -1), {}
    loop, iteration, inner = within
    return maker.place_of[inner], {"loop": maker.loops.all.index(loop), "iteration": iteration}


def _farthest(placed: Iterable[tuple[Difference, int, Any]]) -> list[list[Any]]:
    """Return how far the runs are apart at each place of the page, at the most over all iterations."""
    far: dict[int, float | None] = {}
    for each, place, _ in placed:
        gap = finite(each.absolute)
        before = far.setdefault(place, gap)
        far[place] = None if gap is None or before is None else max(before, gap)
    return [[place, gap] for place, gap in far.items() if place >= 0]


def _record(trace: Trace, node: Node) -> Record:
    """Return what was recorded of a node of a comparison, which may be of a graph without loops."""
    return trace[node if node.graph is trace.graph else node.name]


def _at(found: Comparison, beside: Beside) -> str:
    """Return what the first element that differs is in the first two runs, if both have it."""
    first = found.first
    other = None if first is None else dict(found.pairs).get(first.node)
    if first is None or first.element is None or other is None:
        return ""
    a, b = _record(beside.runs[0], first.node), _record(beside.runs[1], other)
    if not (a.kept and b.kept and a.shape == b.shape):
        return ""
    where = f"[{', '.join(map(str, first.element))}]: " if first.element else ""
    return f" ({where}{compact(a.value[first.element].item())} → {compact(b.value[first.element].item())})"


def _all(name: str, place: int, beside: Beside, maker: Maker) -> str:
    """Return what an output is in all runs, if it is a number."""
    node = maker.order[place]
    nodes = [node, *[partner.get(node) for partner in maker.partners]]
    records = [
        trace[each] for trace, each in zip(beside.runs, nodes, strict=True) if each is not None and each in trace
    ]
    if node.shape or len(records) < len(nodes):
        return ""
    numbers = [compact(array_of(record).item()) for record in records]
    if len(set(numbers)) == 1:
        return f"{name} is {numbers[0]} in {'both' if len(numbers) == 2 else 'all'}."
    return f"{name}: {', then '.join(numbers)}."
