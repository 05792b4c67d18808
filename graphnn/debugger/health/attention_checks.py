"""Attention: the axis of its softmax, the scale of its scores, and its masks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ...core import is_float
from ...ops.random import RandomUniform
from .attention_weights import MASKED, MOST_FOLLOWED, Weighing, Weighings, depth_of, factors_of, is_learned, is_mask
from .check_registry import check
from .evaluation import CannotTry
from .findings import Finding, at_line, first_of, rounded
from .numeric_hazards import fitted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...core import Array, Node
    from .evaluation import Evaluation

WIDE_SCORES = 1.5
"""Scores that nothing scales are reported if their standard deviation in a row is above this."""
LOST_WEIGHT = 1e-3
"""A mask after a softmax is reported if it takes away more weight than this."""
_NO_SCALE = frozenset({"add", "subtract", "where", "cast", "negative", "maximum", "minimum", "stop_gradient"})
"""Operations that leave the scale of what passes them."""


@check(
    "softmax-axis",
    "a softmax runs over another axis than the one over which its weighted result is summed",
    "use the axis that is summed next: gn.softmax(scores, axis=…)",
)
def softmax_axis(run: Evaluation) -> Iterator[Finding]:
    """Look at sums that a softmax weighs, and at its axis."""
    batch = {each.shape[0] for each in run.prepared.program.placeholders if each.shape}
    for each in run.part(Weighings).sums:
        weights, node = run.order[each.soft], run.order[each.total]
        if weights.ndim < 2 or not each.summed or each.axis in each.summed:
            continue
        over_batch = any(isinstance(weights.shape[k], str) and weights.shape[k] in batch for k in each.summed)
        if over_batch or _is_renormed(run, each) or _is_routed(run, each):
            continue
        axes = ", ".join(map(str, each.summed))
        yield softmax_axis.of(
            weights,
            f"{weights.name}{at_line(weights)} sums to 1 over axis {each.axis}, but {node.name}{at_line(node)} sums it "
            f"over axis {axes}",
            remedy=f"use gn.softmax(scores, axis={each.summed[0] - weights.ndim}), the axis that is summed",
        )


def _is_renormed(run: Evaluation, weighing: Weighing) -> bool:
    """Return whether weights are also summed by themselves, over the same axes, to be divided by that."""
    for place in (weighing.soft, *[place for place, _ in weighing.steps]):
        if run.values[place].shape != run.values[weighing.soft].shape:
            continue
        for user in run.order[place].users:
            if user in run.places and user.op.name in ("sum", "mean") and run.places[user] != weighing.total:
                over = run.op(run.places[user]).over(run.values[place].ndim)  # type: ignore[attr-defined]
                if set(weighing.summed) <= set(over):
                    return user is not run.order[weighing.soft].inputs[1]
    return False


def _is_routed(run: Evaluation, weighing: Weighing) -> bool:
    """Return whether weights are those of routing, as between capsules: what they sum up changes the next scores.

    The first scores are the same for all data. The weights say where each input goes, and so sum to 1 over the outputs.
    """
    weighings = run.part(Weighings)

    def scores_of(each: Weighing) -> Node:
        return run.order[weighings.scores_of(each.soft)]

    weighed = set(factors_of(run, weighing.total))
    rounds = [each for each in weighings.sums if not weighed.isdisjoint(factors_of(run, each.total))]
    for first in [each for each in rounds if scores_of(each) not in run.fed]:
        moved = [each for each in rounds if run.order[first.total] in run.ancestors([scores_of(each)])]
        if weighing in moved or (weighing == first and (moved or not is_learned(run, scores_of(first)))):
            return True
    return False


# --- the scale --------------------------------------------------------------------------------------------------


@check(
    "unscaled-scores",
    "nothing divides the products of queries and keys by √d, so that a softmax gives nearly all weight to one key",
)
def unscaled_scores(run: Evaluation) -> Iterator[Finding]:
    """Look at products of queries and keys that nothing scales, and how far apart they lie."""
    weighings, seen = run.part(Weighings), set[int]()
    for each in weighings.sums:
        way = weighings.product_of(each.soft)
        if way is None or way[0] in seen:
            continue
        place, steps = way
        seen.add(place)
        scores, depth, soft = run.values[place], depth_of(run, place), run.values[each.soft]
        if run.bad[place] or depth < 2 or scores.shape != soft.shape or soft.shape[each.axis] < 2:
            continue
        if any(_scales(run, *step) for step in steps) or _factors_may_be_scaled(run, place):
            continue
        spread = math.sqrt(float(np.var(scores, axis=each.axis, dtype=np.float64).mean()))
        if spread > WIDE_SCORES:
            node, weights = run.order[place], run.order[each.soft]
            cause = (
                f"{node.name}{at_line(node)} sums {depth} products of a query and a key, and nothing divides by "
                f"√{depth} before {weights.name}{at_line(weights)}; the scores of a row have a standard deviation of "
                f"{rounded(spread)}"
            )
            if not run.bad[each.soft]:
                largest = rounded(float(soft.max(axis=each.axis).mean(dtype=np.float64)))
                cause += f", and the largest of {soft.shape[each.axis]} weights is {largest} on average"
            remedy = f"divide the scores: gn.softmax(queries @ keys / {depth}**0.5)"
            yield unscaled_scores.of(node, cause, remedy=remedy)


def _scales(run: Evaluation, place: int, passing: int) -> bool:
    """Return whether an operation may change the scale of what passes it."""
    op = run.op(place)
    if op.powers:
        return any(_is_a_scale(run, each, op.powers[-1]) for each in run.inputs[place] if each != passing)
    return op.name not in _NO_SCALE and not op.rearranges


def _is_a_scale(run: Evaluation, place: int, power: int) -> bool:
    """Return whether a factor may make scores smaller: a number that does, or one that is learned or fed; no mask."""
    value, node = run.values[place], run.order[place]
    if is_learned(run, node):
        return True
    if is_mask(value):
        sizes = np.abs(value[value != 0]) if value.dtype.kind != "b" else np.ones(0)
        return bool(((sizes < 1) if power > 0 else (sizes > 1)).any())
    return node in run.fed


def _factors_may_be_scaled(run: Evaluation, product: int) -> bool:
    """Return whether queries or keys may be scaled before they meet, or whether no trained matrix makes them."""
    seen, trained = set[int](), False
    waiting = list(factors_of(run, product))
    while waiting:
        place = waiting.pop()
        if place in seen or run.is_given(run.order[place]):
            continue
        seen.add(place)
        if len(seen) > MOST_FOLLOWED:
            return True
        factors = factors_of(run, place)
        if factors:
            fixed = [each for each in factors if run.order[each] not in run.fed]
            trained |= any(is_learned(run, run.order[each]) for each in fixed)
            waiting += fixed
            continue
        # Of two factors the larger one passes; a part of it may be turned, as by rotary positions.
        inputs = run.inputs[place]
        if _scales(run, place, max(inputs, key=lambda each: (run.values[each].size, run.order[each] in run.fed))):
            return True
        waiting += inputs
    return not trained


# --- the masks --------------------------------------------------------------------------------------------------


@check(
    "mask-after-softmax",
    "weights are masked after their softmax: they no longer sum to 1, and what is masked has a part in them",
)
def mask_after_softmax(run: Evaluation) -> Iterator[Finding]:
    """Look for masks between a softmax and the sum that it weighs."""
    seen: set[int] = set()
    for each in run.part(Weighings).sums:
        for place, passing in each.steps:
            if run.op(place).signs:
                if place not in seen:
                    yield _added(run, place, passing, each)
                seen.add(place)
                continue
            lost = None if place in seen else _lost(run, place, passing, each)
            seen.add(place)
            if lost is None or _is_renormed(run, each):
                continue
            node, weights = run.order[place], run.order[each.soft]
            row = first_of(np.asarray(lost.any(axis=each.axis)))
            before = run.values[passing].reshape(lost.shape)
            kept = np.where(lost, 0, before).sum(axis=each.axis, dtype=np.float64)[row]
            yield mask_after_softmax.at(
                run,
                place,
                lost.reshape(run.values[place].shape),
                f"{node.name}{at_line(node)} masks the weights of {weights.name}{at_line(weights)} after the softmax: "
                f"of {_line_of(weights, row, each.axis)} a sum of {rounded(float(kept))} is left instead of 1",
                remedy=fitted("mask the scores instead: gn.softmax(gn.where(mask, scores, {low}))", weights.dtype),
            )


def _added(run: Evaluation, place: int, passing: int, weighing: Weighing) -> Finding:
    """Return the finding about a mask of large negative numbers that is added to weights."""
    node, weights = run.order[place], run.order[weighing.soft]
    low = run.values[place] <= MASKED
    which = first_of(low if low.any() else np.ones(run.values[place].shape, bool))
    return mask_after_softmax.at(
        run,
        place,
        low if low.any() else np.ones(run.values[place].shape, bool),
        f"{node.name}{at_line(node)} adds a mask to the weights of {weights.name}{at_line(weights)} after the softmax: "
        f"a weight of {rounded(run.values[passing][which].item())} becomes {rounded(run.values[place][which].item())}",
        remedy="add the mask to the scores, before the softmax: gn.softmax(scores + mask)",
    )


def _lost(run: Evaluation, place: int, passing: int, weighing: Weighing) -> Array | None:
    """Return which weights a mask takes away, in the shape of the softmax; None if it does not, or is meant to."""
    others = [run.order[each] for each in run.inputs[place] if each != passing]
    soft = run.values[weighing.soft]
    if not (run.op(place).selects or run.op(place).powers == (1, 1)) or run.bad[weighing.soft] or not others:
        return None
    before, after = (run.values[each].reshape(soft.shape) for each in (passing, place))
    kept = after != 0
    if not np.array_equal(before[kept], after[kept]) or kept.sum(axis=weighing.axis).max(initial=0) <= 1:
        return None  # it scales, as dropout does, or chooses one
    lost = ~kept & (before != 0)
    much = np.where(lost, before, 0).sum(axis=weighing.axis, keepdims=True) > LOST_WEIGHT
    lost &= much & kept.any(axis=weighing.axis, keepdims=True)
    if not lost.any():
        return None
    made_of = run.ancestors(others)
    by_chance = any(isinstance(each.op, RandomUniform) for each in made_of)
    return None if by_chance or run.order[weighing.soft].inputs[0] in made_of else lost


@check(
    "row-masked",
    "all scores of a row are masked before a softmax, so that it gives NaN, or weight to what is masked",
)
def row_masked(run: Evaluation) -> Iterator[Finding]:
    """Look for rows of scores that are masked whole."""
    weighings = run.part(Weighings)
    for soft, axis in weighings.softmaxes.items():
        masked = weighings.masked(soft)
        if masked is None or masked.shape[axis] < 2:
            continue
        rows: Array = np.asarray(masked.all(axis=axis, keepdims=True))
        place = weighings.scores_of(soft)
        scores, weights, node = run.values[place], run.order[soft], run.order[place]
        if not rows.any():
            continue
        without = np.isnan(run.values[soft]) & rows
        if not without.any() and not _matters(run, weights, rows):
            continue
        count, row = int(np.count_nonzero(rows)), first_of(rows.squeeze(axis))
        gives = "NaN" if without.any() else f"{rounded(run.values[soft][first_of(rows)].item())} to what is masked"
        more = f", and so {'is' if count == 2 else 'are'} {count - 1:,} more of {rows.size:,} rows" if count > 1 else ""
        yield row_masked.at(
            run,
            place,
            np.broadcast_to(rows, scores.shape),
            f"all of {_line_of(node, row, axis)}{at_line(node)} is masked{more}; "
            f"{weights.name}{at_line(weights)} gives {gives} there",
            severity="error" if without.any() and not run.vanishes[soft] else "warning",
            remedy=fitted(_FOR_ROWS, weights.dtype),
            operands=(),
        )


_FOR_ROWS = (
    "leave each query a key, such as its own; or write some = gn.any(mask, axis=-1, keepdims=True) and some * "
    "gn.softmax(gn.where(mask | ~some, scores, {low})), which is 0 where there is none"
)


def softmax_of(run: Evaluation, scores: Node) -> set[Node]:
    """Return the nodes in which a softmax of some scores may make a NaN of a masked row."""
    weighings = run.part(Weighings)
    softs = [run.order[soft] for soft in weighings.softmaxes if run.order[weighings.scores_of(soft)] is scores]
    return {*softs, *[soft.inputs[0].inputs[0] for soft in softs]}


def _matters(run: Evaluation, weights: Node, rows: Array) -> bool:
    """Return whether the results would be others if these rows of weights were."""
    results = [node for node in map(run.order.__getitem__, sorted(run.fetches)) if node in run.forward_nodes]
    results = [node for node in results if node is not weights and run.values[run.places[node]] is not None]
    if run.failure is not None or not results:
        return True
    changed = np.where(rows, 0, run.value_of(weights)).astype(weights.dtype)
    try:
        found = run.after({weights: changed}, results)
    except CannotTry:
        return True
    return not all(
        np.array_equal(one, run.value_of(node), equal_nan=is_float(one.dtype))
        for one, node in zip(found, results, strict=True)
    )


def _line_of(node: Node, row: Sequence[int], axis: int) -> str:
    """Return a row of a value as one would index it."""
    index = [str(i) for i in row]
    return f"{node.name}[{', '.join([*index[:axis], ':', *index[axis:]])}]"
