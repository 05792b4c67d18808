"""The two ways to find the edges of a circuit: greedily from the output backwards, and by scores of all edges."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, NamedTuple

from ..errors import ValueRangeError
from .edge_substitution import Link, Substituted

if TYPE_CHECKING:
    from .progress_line import Progress


class Found(NamedTuple):
    """The edges of a circuit.

    Attributes
    ----------
    effects : dict of Link to float
        By edge that is kept, how far its ablation moves the metric, as the search has it.
    threshold : float
        What no edge outside of it exceeds, but for those that lead nowhere.
    """

    effects: dict[Link, float]
    threshold: float


def greedily(
    runs: Substituted, keep: int | None, threshold: float | None, progress: Callable[[str, int], Progress]
) -> Found:
    """Return the edges that are left when each whose ablation moves the metric too little is cut, from the output on.

    The metric is that of the run in which all edges that were cut before are so still. With `keep`, the threshold is
    the lowest at which so few are left; of all effects that were seen, halving finds it.
    """

    def left(threshold: float) -> Found:
        with progress("edges", len(runs.links)) as told:
            return Found(_with_both_ends(runs, _one_pass(runs, threshold, told)), threshold)

    if keep is None:
        assert threshold is not None
        return left(threshold)
    larger = left(0.0)
    steps = sorted({abs(effect) for effect in larger.effects.values()})
    low, high, best = 0, len(steps), None
    if len(larger.effects) <= keep:
        return larger
    while low < high:
        middle = (low + high) // 2
        found = left(steps[middle])
        if len(found.effects) > keep:
            low, larger = middle + 1, found
        else:
            high, best = middle, found if found.effects else best
    return best or _thinned(runs, larger, keep)


def _one_pass(runs: Substituted, threshold: float, told: Progress) -> dict[Link, float]:
    """Return the edges that are kept, and how far each moves the metric."""
    cut, values, effects = set[Link](), runs.clean, dict[Link, float]()
    metric, leading, done = runs.metric_of(values), {len(runs.order) - 1}, 0
    told.tell(0)
    for reader in reversed(range(len(runs.order))):
        done += len(runs.links_into[reader])
        told.tell(done)
        if reader not in leading:
            cut.update((source, reader) for source in runs.links_into[reader])  # so that nothing is computed for it
            continue
        leading.update(runs.never_cut.get(reader, ()))
        for source in runs.links_into[reader]:
            cut.add((source, reader))
            without = runs.recomputed(values, cut, [reader])
            effect = runs.metric_of(without) - metric
            if abs(effect) <= threshold:
                values, metric = without, runs.metric_of(without)
            else:
                cut.remove((source, reader))
                leading.add(source)
                effects[source, reader] = effect
    return effects


def by_scores(runs: Substituted, scores: Mapping[Link, float], keep: int | None, threshold: float | None) -> Found:
    """Return the edges with the largest scores, without those that lead nowhere. NaN is larger than all numbers."""
    sizes = {link: math.inf if math.isnan(score) else abs(score) for link, score in scores.items()}
    ranked = sorted(runs.links, key=lambda link: (-sizes[link], link))

    def first(count: int) -> dict[Link, float]:
        return _with_both_ends(runs, {link: scores[link] for link in ranked[:count]})

    if keep is None:
        assert threshold is not None
        return Found(first(sum(sizes[link] > threshold for link in ranked)), threshold)
    # What leads from end to end among the first edges only grows with their number, so halving finds it.
    low, high = 0, sum(sizes[link] > 0 for link in ranked)
    most = high
    while low < high:
        middle = (low + high + 1) // 2
        if len(first(middle)) <= keep:
            low = middle
        else:
            high = middle - 1
    found = Found(first(low), sizes[ranked[low]] if low < len(ranked) else 0.0)
    return found if found.effects or low == most else _thinned(runs, Found(first(low + 1), found.threshold), keep)


def _thinned(runs: Substituted, found: Found, keep: int) -> Found:
    """Return fewer edges: the smallest effects go first, but not the last that lead from end to end."""
    left = found.effects
    for link in sorted(left, key=lambda each: abs(left[each])):
        if link in left and len(left) > keep:
            left = _with_both_ends(runs, {each: left[each] for each in left if each != link}) or left
    if len(left) > keep:
        raise ValueRangeError(
            f"keep={keep}: so few edges do not lead from what differs between the runs to the metric; the smallest "
            f"circuit that was found has {len(left)}"
        )
    return Found(left, found.threshold)


def _with_both_ends(runs: Substituted, effects: Mapping[Link, float]) -> dict[Link, float]:
    """Return the edges that lead to the metric and, where nothing else moves it, come from what differs."""
    never_cut = [(source, reader) for reader, sources in runs.never_cut.items() for source in sources]
    links = sorted([*effects, *never_cut], key=lambda link: link[1])
    leading = _reached({len(runs.order) - 1}, [(reader, source) for source, reader in reversed(links)])
    links = [link for link in links if link[1] in leading]
    if runs.starts is not None:
        begun = _reached(runs.starts, links)
        links = [link for link in links if link[0] in begun]
    return {link: effects[link] for link in links if link in effects}


def _reached(starts: Collection[int], links: Collection[Link]) -> set[int]:
    """Return what is reached from the starts; each link stands after all that lead to its beginning."""
    found = set(starts)
    for begin, end in links:
        if begin in found:
            found.add(end)
    return found
