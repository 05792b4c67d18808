"""Results that are too large or too small for their dtype, or that saturate: they wrap around or are rounded."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Array, Node, Trait, is_float, limits
from ...runtime.evaluation_loop import compute
from .attention_weights import Weighings
from .check_registry import check
from .evaluation import MOST_ASKED, Evaluation, cell_of, only_moves
from .findings import Finding, and_more, at_line, first_of, rounded
from .numeric_hazards import ABOUT_ONE, Case, largest, moves, too_large

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..why import Index

NEAR_OVERFLOW = 0.9
"""A number is near overflow above the largest of its dtype to this power: 1e277, 5e34 or 2e4 for 64, 32 or 16 bits."""
UNDERFLOW_SHARE, UNDERFLOW_LEAST = 0.5, 0.05
"""A float16 gradient is lost if this share of its nonzero elements, and this share of all, are rounded to 0."""
SATURATED_SHARE = 0.5
"""From this share of its elements on, saturation is a warning; below, a note."""
SATURATED_SIZE = 8
"""The same, for values of at least this size."""
MASKED = 1e4
"""A number of at most minus this, if it is given, is a mask."""
CLIP = 1e-3
"""A clip with a lower bound above 0 and up to this guards a logarithm."""
LOST_PRODUCT = "add logarithms instead of multiplying"
LOST_GRADIENT = "scale the loss up before the gradient is taken, and the gradient down again"


@check("integer-overflow", "a result beyond the range of its integer dtype, which wraps around")
def wrapped(run: Evaluation) -> Iterator[Finding]:
    """Compare integer results with the same in float64, which is far off where they wrap around."""
    for place, (node, value) in enumerate(zip(run.order, run.values, strict=True)):
        if value is None or value.dtype.kind not in "iu" or Trait.WRAPS not in node.op.traits or run.is_given(node):
            continue
        operands, limits = run.operands_of(place), np.iinfo(value.dtype)
        operands = [x.astype(np.float64) if run.op(place).flows(i) else x for i, x in enumerate(operands)]
        if node.op.casts:
            exact = np.trunc(operands[0])
            wrong = ~((exact >= float(limits.min)) & (exact < float(limits.max) + 1))
            remedy = "keep it a float, or bound it with gn.clip first"
        else:
            # Asked directly, because a run refuses results of another dtype than declared. What wraps around is off by
            # at least all numbers of the dtype, which float64 sees at any size.
            exact = compute(run.op(place), *operands)
            wrong = np.abs(exact - value.astype(np.float64)) > (limits.max - limits.min) // 2
            wider = "int64" if value.dtype.itemsize < 8 else "float64"
            remedy = f'compute it in {wider}: gn.cast(x, "{wider}")'
        if not wrong.any():
            continue
        number = float(exact[index := first_of(wrong)])
        end, limit = ("largest", limits.max) if number > 0 else ("smallest", limits.min)
        finite = math.isfinite(number)
        bound = f"the {end} {value.dtype} is {limit}" if finite else f"{value.dtype} has no {rounded(number)}"
        yield wrapped.at(
            run,
            place,
            wrong,
            f"{run.why(place, index).equation}; the exact result is {rounded(number)}, but {bound}",
            severity="error" if value.dtype.kind == "i" else "warning",  # unsigned integers may wrap on purpose
            remedy=remedy,
        )


@cache
def _near(dtype: np.dtype[Any]) -> float:
    return math.pow(float(limits(dtype).max), NEAR_OVERFLOW)


@check("near-overflow", "a number close to the largest of its dtype")
def near_overflow(run: Evaluation) -> Iterator[Finding]:
    """Look for large numbers that are made of smaller ones."""
    for place, value in run.computed:
        limit = _near(value.dtype)
        if run.magnitudes[place] <= limit or only_moves(run.op(place)):
            continue
        large = np.isfinite(value) & (np.abs(value) > limit)
        if not large.any():
            continue
        marks = [~(np.abs(x.astype(np.float64, copy=False)) <= limit) for x in run.operands_of(place)]
        large = run.fresh(place, large, marks)
        if large.any():
            index = first_of(large)
            cause = f"{run.why(place, index).equation}, close to the largest {value.dtype}, {largest(value.dtype)}"
            yield near_overflow.at(run, place, large, cause, remedy=too_large(Case(run, place, index)))


@check(
    "underflow",
    "a result that is not 0 is rounded to 0",
    "nothing to do, unless you need its logarithm, its reciprocal or its gradient",
)
def underflow(run: Evaluation) -> Iterator[Finding]:
    """Look for zeros that are made of other numbers."""
    for place, value in run.computed:
        node, traits = run.order[place], run.order[place].op.traits
        if Trait.UNDERFLOWS not in traits or np.count_nonzero(value) == value.size:
            continue
        if not is_float(run.values[run.inputs[place][0]].dtype):
            continue
        fades = Trait.FADES in traits
        lost = run.fresh(place, value == 0, [_explains_0(run, source, fades) for source in run.inputs[place]])
        hidden = run.part(Weighings).masked_powers(place)
        lost = lost if hidden is None else lost & ~hidden
        if not lost.any():
            continue
        count = int(np.count_nonzero(lost))
        of = value.size - int(np.count_nonzero((value == 0) & ~lost))
        product = node.op.name == "prod"
        many = value.dtype == np.float16 and count >= max(UNDERFLOW_SHARE * of, UNDERFLOW_LEAST * value.size)
        serious = product or (many and node in run.part(_scaled_by_the_loss))
        remedy = LOST_PRODUCT if product else LOST_GRADIENT if serious else underflow.remedy
        cause = f"{run.why(place, first_of(lost)).equation}, rounded to 0{and_more(lost)}"
        yield underflow.at(run, place, lost, cause, severity="warning" if serious else "note", remedy=remedy)


def _explains_0(run: Evaluation, place: int, fades: bool) -> Array:
    """Return which elements of an operand are 0, NaN or inf; if the operation fades, a 0 does not explain its 0."""
    x = run.values[place]
    zero = np.zeros(x.shape, bool) if fades else x == 0
    return np.asarray(zero | ~np.isfinite(x) if run.bad[place] else zero)


def _scaled_by_the_loss(run: Evaluation) -> set[Node]:
    """Return the cotangents, and what the backward pass makes of them."""
    found = set(run.cotangents)
    for node in run.order:
        if node.phase == "backward" and not found.isdisjoint(node.inputs):
            found.add(node)
    return found


@check(
    "saturated",
    "a sigmoid, tanh or softmax is rounded to its bound, where its gradient is 0",
    "use smaller weights, or scale the inputs to about 1",
)
def saturated(run: Evaluation) -> Iterator[Finding]:
    """Look for elements that are exactly at a bound, and for rows of a softmax that are one-hot."""
    for place, value in run.forward:
        node = run.order[place]
        if Trait.SATURATES in node.op.traits and node.op.bounds is not None:
            flat = np.isin(value, node.op.bounds) & np.isfinite(run.operands_of(place)[0])
            flat &= ~_masked(run, place)
            count = int(np.count_nonzero(flat))
            if count:
                serious = value.size >= SATURATED_SIZE and count >= SATURATED_SHARE * value.size
                first = rounded(value[first_of(flat)].item())
                many = f"{count:,} of {value.size:,} elements of {node.name}"
                cause = f"{many} are exactly at its bound (the first is {first}), where its gradient is 0"
                yield saturated.at(run, place, flat, cause, severity="warning" if serious else "note")
        elif run.is_softmax(node) and value.ndim and value.shape[-1] > 1:
            yield from _saturated_rows(run, place, value)


def _saturated_rows(run: Evaluation, place: int, value: Array) -> Iterator[Finding]:
    """Look for rows of a softmax that are one-hot although not all other elements are masked."""
    ones, node = value == 1, run.order[place]
    shifted = run.inputs[run.inputs[place][0]][0] if run.inputs[run.inputs[place][0]] else place
    if -1 in run.order[shifted].op.signs:
        masked = _masked(run, shifted)
        if masked.shape == value.shape:
            ones &= np.count_nonzero(~masked, axis=-1, keepdims=True) > 1
    if ones.any():
        rows = f"{np.count_nonzero(ones):,} of {value.size // value.shape[-1]:,} rows of {node.name}"
        cause = f"{rows} are one-hot up to rounding, where almost no gradient passes"
        yield saturated.at(run, place, ones, cause, severity="note")


def _masked(run: Evaluation, place: int) -> Array:
    """Return which elements of a node's operand come from a mask: a large negative number that is given."""
    source = run.inputs[place][0]
    read, op = run.values[source], run.order[source].op
    masked = np.zeros(read.shape, bool)
    if op.selects or op.signs == (1, 1):
        for each in run.inputs[source]:
            if run.is_given(run.order[each]) and is_float(run.order[each].dtype):
                low = run.values[each] <= -MASKED
                masked |= low & (read == run.values[each]) if op.selects else low
    return masked


@check("clipped-probability", "a cross-entropy clips a probability, which then gets no gradient")
def clipped(run: Evaluation) -> Iterator[Finding]:
    """Look for logarithms of probabilities that were clipped."""
    for place, _ in run.forward:
        if run.order[place].op.name == "log" and (way := _to_clip(run, place)):
            yield from _clipped(run, way)


def _to_clip(run: Evaluation, place: int) -> list[int]:
    """Return the places from a logarithm up to a clip, if operations between them only move elements; else []."""
    way = [place]
    while (op := run.order[way[-1]].op).name != "clip":
        if way[-1] != place and not moves(op):
            return []
        sources = [s for s in run.inputs[way[-1]] if not run.is_given(run.order[s])]
        if not sources or (-1 in op.signs and len(sources) > 1):
            return []
        way.append(sources[0])
    return way


def _clipped(run: Evaluation, way: list[int]) -> Iterator[Finding]:
    lo, hi = run.op(way[-1]).lo, run.op(way[-1]).hi  # type: ignore[attr-defined]
    turned = any(-1 in run.order[i].op.signs for i in way)
    if lo is None or not 0 < lo <= CLIP or (turned and hi is None):
        return
    argument = run.operands_of(way[0])[0]
    raw_place = run.inputs[way[-1]][0]
    raw = run.values[raw_place]
    if not (turned or np.fmax.reduce(raw, axis=None, initial=0.0) <= 1 + ABOUT_ONE):
        return  # not probabilities
    # 1 - hi is rounded in the argument's dtype.
    edge = argument <= (1 - float(hi) + limits(argument.dtype).eps if turned else lo * (1 + 1e-6))
    edge &= _matters(run, way[0], edge)
    lost: dict[Index, None] = {}
    for start in map(tuple, np.argwhere(edge)[:MOST_ASKED].tolist()):
        index: Index = start
        for here, there in pairwise(way):
            entry = run.reads(here, index)[run.inputs[here].index(there)]
            if entry is None:
                break  # it comes from elsewhere
            index = cell_of(entry, run.values[there].shape)
        else:
            if (raw[index] > hi) if turned else (raw[index] < lo):
                lost[index] = None
    if not lost:
        return
    which = np.zeros(raw.shape, bool)
    which[tuple(np.transpose(list(lost)))] = True
    clip, element = run.order[way[-1]], run.element(raw_place, first_of(which))
    loss = "nn.sigmoid_crossentropy" if turned or "binary" in clip.scope else "nn.softmax_crossentropy"
    bound = f"above 1 - {rounded(1 - hi)}" if turned else f"below {rounded(lo)}"
    cause = (
        f"{element} is {bound}, so {clip.name}{at_line(clip)} clips it: {len(lost):,} of {argument.size:,} "
        "probabilities are clipped and get no gradient"
    )
    remedy = f"use {loss}(logits, labels), which takes logits and keeps the gradient"
    yield clipped.at(run, way[-1], which, cause, remedy=remedy, size=argument.size)


def _matters(run: Evaluation, place: int, edge: Array) -> Array:
    """Return which elements of a logarithm are not later multiplied by 0."""
    products = [user for user in run.readers(run.order[place]) if user.op.powers == (1, 1)]
    others = [run.values[i] for user in products for i in run.inputs[run.places[user]] if i != place]
    factors = [factor for factor in others if factor is not None]
    if not factors:
        return np.ones(edge.shape, bool)
    matters = [np.broadcast_to(factor != 0, edge.shape) for factor in factors if factor.ndim <= edge.ndim]
    return np.asarray(np.logical_or.reduce(matters))
