"""The pages there are: of one run, of several steps of training, of two runs side by side."""

from __future__ import annotations

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
def page_of_pair(pair: Beside) -> Page:
    """Return the page of two runs, side by side."""
    found = compare(pair.a, pair.b, names=pair.names)
    partner = {node: other for node, other in found.pairs if other is not None}
    names = [f"{letter} ({name})" for letter, name in zip("ab", pair.names, strict=True)]  # as `compare` calls them
    maker = Maker(pair.a, [pair.a, pair.b], names, partner)
    maker.data["outputs"] = maker.outputs()
    maker.data["pair"] = _comparison_of(found, pair, maker)
    return maker.page("pair")


def _comparison_of(found: Comparison, pair: Beside, maker: Maker) -> dict[str, Any]:
    """Return where two runs part, and what was not recomputed."""
    first = found.first
    a, b = pair.names
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
            known["cell"] = int(np.ravel_multi_index(first.element, pair.a[first.node].shape))
        says = [f"{b} differs from {a} first at {first.node.name}{_at(found, pair, maker)}: {first.cause}."]
    if pair.recomputed is not None:
        known["recomputed"] = sorted(maker.place_of[node] for node in pair.recomputed)
        operations = sum(forward is not None for forward in pair.a.prepared.binding.forwards)
        says.append(f"{len(pair.recomputed)} of {operations} operations were recomputed.")
    said = next(filter(None, (_both(name, place, pair, maker) for name, place in maker.data["outputs"])), "")
    known["says"] = visible(" ".join([*says, said])).rstrip()
    return known


def _at(found: Comparison, pair: Beside, maker: Maker) -> str:
    """Return what the first element that differs is in each run, if both have it."""
    first = found.first
    if first is None or first.element is None or maker.partner is None or first.node not in maker.partner:
        return ""
    a, b = pair.a[first.node], pair.b[maker.partner[first.node]]
    if not (a.kept and b.kept and a.shape == b.shape):
        return ""
    where = f"[{', '.join(map(str, first.element))}]: " if first.element else ""
    return f" ({where}{compact(a.value[first.element].item())} → {compact(b.value[first.element].item())})"


def _both(name: str, place: int, pair: Beside, maker: Maker) -> str:
    """Return what an output is in both runs, if it is a number."""
    node = maker.first.order[place]
    other = maker.partner.get(node) if maker.partner is not None else None
    if node.shape or other is None or node not in pair.a or other not in pair.b:
        return ""
    one, two = (compact(array_of(trace[each]).item()) for trace, each in ((pair.a, node), (pair.b, other)))
    return f"{name}: {one}, then {two}." if one != two else f"{name} is {one} in both."
