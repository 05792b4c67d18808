"""Results that are too large or too small for their dtype, or too flat: what is rounded, wraps around or saturates."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ...graph import Trait
from .checks import check
from .evaluation import LISTED, cell_of, only_passes_on
from .findings import at_line, first_of, of_many, said
from .hazards import ABOUT_ONE, Case, largest, moves, too_large

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...graph import Array
    from ..why import Index
    from .evaluation import Evaluation
    from .findings import Finding

NEAR_OVERFLOW = 0.9
"""A number is near overflow from the largest of its dtype to this power: 1e277, 5e34 and 2e4 for 64, 32 and 16 bits."""
UNDERFLOW_SHARE, UNDERFLOW_LEAST = 0.5, 0.05
"""Which share of what is not 0 in a float16 gradient must be rounded to 0 for a warning, and of all; less is a note."""
SATURATED_SHARE = 0.5
"""Which share of a sigmoid's or tanh's elements must be exactly flat for a warning; fewer are a note."""
SATURATED_SIZE = 8
"""Of how many elements a share says something."""
MASKED = 1e4
"""How large what is added is where it masks."""
CLIP = 1e-3
"""A clip whose lower bound is above 0 and at most this guards a logarithm."""
LOST_PRODUCT = "add up logarithms instead of multiplying"
LOST_GRADIENT = "scale the loss up before the gradient is taken, and the gradient down again"


@check("integer-overflow", "a result beyond the integers of its dtype, which wraps around")
def wrapped(run: Evaluation) -> Iterator[Finding]:
    """Look whether integers were too large for their dtype: the same in float64 is far off then."""
    for place, (node, value) in enumerate(zip(run.order, run.values, strict=True)):
        if value is None or value.dtype.kind not in "iu" or Trait.WRAPS not in node.op.traits or run.is_given(node):
            continue
        operands, limits = run.operands_of(place), np.iinfo(value.dtype)
        operands = [x.astype(np.float64) if run.op(place).flows(i) else x for i, x in enumerate(operands)]
        if node.op.name == "cast":
            exact = np.trunc(operands[0])
            wrong = ~((exact >= float(limits.min)) & (exact < float(limits.max) + 1))
        else:
            # What wraps around is off by all the numbers of the dtype, or more: float64 sees that at any size.
            exact = run.computed_of(place, operands)
            wrong = np.abs(exact - value.astype(np.float64)) > (limits.max - limits.min) // 2
        if not wrong.any():
            continue
        number = exact[index := first_of(wrong)]
        bound = f"ends at {limits.max}" if number > 0 else f"begins at {limits.min}"
        bound = bound if math.isfinite(number) else f"has no {said(float(number))}"
        yield wrapped.at(
            run,
            place,
            wrong,
            f"{run.why(place, index).equation}; it would be {said(float(number))}, and {value.dtype} {bound}",
            severity="error" if value.dtype.kind == "i" else "warning",  # of unsigned ones it may be meant
            remedy=_too_large_an_integer(node.op.name, value.dtype),
        )


def _too_large_an_integer(op: str, dtype: np.dtype[np.generic]) -> str:
    if op == "cast":
        return "leave it a float, or bound it with gn.clip first"
    wider = "int64" if dtype.itemsize < 8 else "float64"
    return f'compute it in {wider}: gn.cast(x, "{wider}")'


@cache
def _near(dtype: np.dtype[Any]) -> float:
    return math.pow(float(np.finfo(dtype).max), NEAR_OVERFLOW)


@check("near-overflow", "a number close to the largest of its dtype")
def near_overflow(run: Evaluation) -> Iterator[Finding]:
    """Look for numbers that arise from smaller ones."""
    for place, value in run.computed:
        limit = _near(value.dtype)
        if np.abs(value).max() <= limit or only_passes_on(run.op(place)):
            continue
        large = np.isfinite(value) & (np.abs(value) > limit)
        if not large.any():
            continue
        marks = [~(np.abs(x.astype(np.float64, copy=False)) <= limit) for x in run.operands_of(place)]
        large = run.fresh(place, large, marks)
        if large.any():
            index = first_of(large)
            cause = f"{run.why(place, index).equation}, and {value.dtype} ends at {largest(value.dtype)}"
            yield near_overflow.at(run, place, large, cause, remedy=too_large(Case(run, place, index)))


@check(
    "underflow",
    "a result that is not 0 is rounded to 0",
    "nothing, unless its logarithm, its inverse or its gradient is wanted",
)
def underflow(run: Evaluation) -> Iterator[Finding]:
    """Look for zeros of numbers that are not."""
    for place, value in run.computed:
        node, traits = run.order[place], run.order[place].op.traits
        if Trait.UNDERFLOWS not in traits or np.count_nonzero(value) == value.size:
            continue
        name, operands = node.op.name, run.operands_of(place)
        if operands[0].dtype.kind != "f":
            continue
        zeros = [~np.isfinite(x) if Trait.FADES in traits else ~np.isfinite(x) | (x == 0) for x in operands]
        lost = (value == 0) & run.fresh(place, value == 0, zeros)
        if not lost.any():
            continue
        count = int(np.count_nonzero(lost))
        of = value.size - int(np.count_nonzero((value == 0) & ~lost))
        product = name == "prod"
        many = value.dtype == np.float16 and count >= max(UNDERFLOW_SHARE * of, UNDERFLOW_LEAST * value.size)
        serious = product or (many and node in run.scaled_by_the_loss)
        remedy = LOST_PRODUCT if product else LOST_GRADIENT if serious else underflow.remedy
        cause = f"{run.why(place, first_of(lost)).equation}, rounded to 0{of_many(lost)}"
        yield underflow.at(run, place, lost, cause, severity="warning" if serious else "note", remedy=remedy)


@check(
    "saturated",
    "a sigmoid, tanh or softmax is rounded to its bound, where it passes no gradient",
    "smaller weights, or inputs scaled to about 1, keep it off its bounds",
)
def saturated(run: Evaluation) -> Iterator[Finding]:
    """Look for elements that are exactly on a bound; for rows of a softmax that are 0 and 1."""
    for place, value in run.forward:
        node = run.order[place]
        if Trait.SATURATES in node.op.traits and node.op.bounds is not None:
            flat = np.isin(value, node.op.bounds) & np.isfinite(run.operands_of(place)[0])
            flat &= ~_masked(run, place)
            count = int(np.count_nonzero(flat))
            if count:
                serious = value.size >= SATURATED_SIZE and count >= SATURATED_SHARE * value.size
                cause = (
                    f"{count:,} of {value.size:,} elements of {node.name} are exactly on its bound, the first "
                    f"{said(value[first_of(flat)].item())}, where no gradient passes"
                )
                yield saturated.at(run, place, flat, cause, severity="warning" if serious else "note")
        elif run.is_softmax(node) and value.ndim and value.shape[-1] > 1:
            yield from _saturated_rows(run, place, value)


def _saturated_rows(run: Evaluation, place: int, value: Array) -> Iterator[Finding]:
    """Look for rows of a softmax that are 0 and 1 but for rounding, where that is not since all else is masked."""
    ones, node = value == 1, run.order[place]
    shifted = run.inputs[run.inputs[place][0]][0] if run.inputs[run.inputs[place][0]] else place
    if run.order[shifted].op.name == "subtract":
        masked = _masked(run, shifted)
        if masked.shape == value.shape:
            ones &= np.count_nonzero(~masked, axis=-1, keepdims=True) > 1
    if ones.any():
        rows = f"{np.count_nonzero(ones):,} of {value.size // value.shape[-1]:,} rows of {node.name}"
        cause = f"{rows} are 0 and 1 but for rounding, where hardly a gradient passes"
        yield saturated.at(run, place, ones, cause, severity="note")


def _masked(run: Evaluation, place: int) -> Array:
    """Return which elements of what a node reads come of a large negative number that is given, as a mask is."""
    source = run.inputs[place][0]
    read, name = run.values[source], run.order[source].op.name
    masked = np.zeros(read.shape, bool)
    if name in ("add", "where"):
        for each in run.inputs[source]:
            if run.is_given(run.order[each]) and run.order[each].dtype.kind == "f":
                low = run.values[each] <= -MASKED
                masked |= low & (read == run.values[each]) if name == "where" else low
    return masked


@check("clipped-probability", "a probability lies below the clip of its cross-entropy, which loses its gradient")
def clipped(run: Evaluation) -> Iterator[Finding]:
    """Look whether a logarithm gets a probability that a clip has cut off, and with it the gradient."""
    for place, _ in run.forward:
        if run.order[place].op.name == "log" and (way := _to_clip(run, place)):
            yield from _clipped(run, way)


def _to_clip(run: Evaluation, place: int) -> list[int]:
    """Return the way from a logarithm upstream to a clip, if only what moves elements is between."""
    way = [place]
    while (name := run.order[way[-1]].op.name) != "clip":
        if way[-1] != place and not moves(run.order[way[-1]].op):
            return []
        sources = [s for s in run.inputs[way[-1]] if not run.is_given(run.order[s])]
        if not sources or (name == "subtract" and len(sources) > 1):
            return []
        way.append(sources[0])
    return way


def _clipped(run: Evaluation, way: list[int]) -> Iterator[Finding]:
    lo, hi = run.op(way[-1]).lo, run.op(way[-1]).hi  # type: ignore[attr-defined]
    turned = any(run.order[i].op.name == "subtract" for i in way)
    if lo is None or not 0 < lo <= CLIP or (turned and hi is None):
        return
    argument = run.operands_of(way[0])[0]
    raw_place = run.inputs[way[-1]][0]
    raw = run.values[raw_place]
    if not (turned or np.nanmax(raw, initial=0.0) <= 1 + ABOUT_ONE):
        return  # these are no probabilities
    # In float32, 1 less than the bound is rounded as much as it is large.
    edge = argument <= (1 - float(hi) + np.finfo(argument.dtype).eps if turned else lo * (1 + 1e-6))
    edge &= _matters(run, way[0], edge)
    lost: dict[Index, None] = {}
    for start in map(tuple, np.argwhere(edge)[:LISTED].tolist()):
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
    index = next(iter(lost))
    clip, element = run.order[way[-1]], run.element(raw_place, index)
    fused = "nn.sigmoid_crossentropy" if turned or "binary" in clip.scope else "nn.softmax_crossentropy"
    bound = f"above 1 - {said(1 - hi)}" if turned else f"below {said(lo)}"
    yield clipped.of(
        clip,
        f"{element} lies {bound}, where {clip.name}{at_line(clip)} cuts it off: "
        f"{len(lost):,} of {argument.size:,} are so far off, and get no gradient",
        index=index,
        value=run.values[way[-1]][index].item(),
        operands=(element,),
        remedy=f"{fused}(logits, labels) takes the logits and keeps it",
        count=len(lost),
        size=argument.size,
    )


def _matters(run: Evaluation, place: int, edge: Array) -> Array:
    """Return which elements of a logarithm are not multiplied by 0."""
    factors = []
    for user in run.order[place].users:
        at = run.places.get(user)
        if at is not None and user.op.name == "multiply" and user.phase == "forward":
            other = [s for s in run.inputs[at] if s != place]
            if other and run.values[other[0]] is not None:
                factors.append(run.values[other[0]])
    if not factors:
        return np.ones(edge.shape, bool)
    matters = [np.broadcast_to(f != 0, edge.shape) for f in factors if f.ndim <= edge.ndim]
    return np.asarray(np.logical_or.reduce(matters))
