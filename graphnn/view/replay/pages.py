"""The pages there are: of one run, of several steps of training, of runs side by side."""

from __future__ import annotations

from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

import numpy as np

from ...inspector.compare import compare
from ...inspector.trace import Beside, Film, Trace
from ...show import show_as
from ..text import compact, visible
from .boundary import boundary
from .keeping import array_of, finite
from .making import Maker

if TYPE_CHECKING:
    from ...inspector.compare.differences import Comparison
    from .page import Page


@show_as(Trace, "replay")
def page_of_trace(trace: Trace) -> Page:
    """Return the page of one run."""
    maker = Maker(trace, [trace], [""])
    return maker.page("run")


@show_as(Film, "replay")
def page_of_film(film: Film) -> Page:
    """Return the page of several steps of training, with a slider over them.

    Raises
    ------
    UsageError
        When nothing was recorded.
    """
    traces = list(film)
    maker = Maker(traces[0], traces, [f"call {call}" for call in film.calls])
    maker.data["boundary"] = boundary(traces)
    return maker.page("film")


@show_as(Beside, "replay")
def page_of_several(beside: Beside) -> Page:
    """Return the page of two or more runs, side by side."""
    first, *others = beside.runs
    found = [
        compare(first, other, names=(beside.names[0], name))
        for other, name in zip(others, beside.names[1:], strict=True)
    ]
    partners = [{node: other for node, other in each.pairs if other is not None} for each in found]
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
    """Return where the first two runs part, and what was not recomputed."""
    first = found.first
    a, b = beside.names[:2]
    known: dict[str, Any] = {
        "first": -1,
        "cell": -1,
        "differences": [[maker.place_of[each.node], finite(each.absolute)] for each in found.differences],
        "recomputed": None,
    }
    says = [f"{a} and {b} are equal."]
    if first is not None:
        known["first"] = maker.place_of[first.node]
        if first.element:
            known["cell"] = int(np.ravel_multi_index(first.element, beside.runs[0][first.node].shape))
        says = [f"{b} differs from {a} first at {first.node.name}{_at(found, beside, maker)}: {first.cause}."]
    if beside.recomputed is not None:
        known["recomputed"] = sorted(maker.place_of[node] for node in beside.recomputed)
        operations = sum(forward is not None for forward in beside.runs[0].prepared.binding.forwards)
        says.append(f"{len(beside.recomputed)} of {operations} operations were recomputed.")
    said = next(filter(None, (_all(name, place, beside, maker) for name, place in maker.data["outputs"])), "")
    known["says"] = visible(" ".join([*says, said])).rstrip()
    return known


def _at(found: Comparison, beside: Beside, maker: Maker) -> str:
    """Return what the first element that differs is in the first two runs, if both have it."""
    first = found.first
    if first is None or first.element is None or first.node not in maker.partners[0]:
        return ""
    a, b = beside.runs[0][first.node], beside.runs[1][maker.partners[0][first.node]]
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
