"""What is known of each node of a run, as marks: one table says how each overlay is read and coloured."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ...compiler.plan_explanation import Explanation
from ...control_flow.iteration_names import is_bundle
from ...control_flow.unrolled_run import decided_by_values, outside
from ...core import labels_along, labels_of
from ...core.fetches import ancestors
from ...debugger.diff.differences import Comparison
from ...debugger.health.findings import Health
from ...debugger.health.training_facts import gradients_in
from ...debugger.profile import Profile, flops_of
from ...debugger.traces import Record, Trace
from ...errors import NotFoundError
from ..formatting import compact, counted, in_bytes, in_seconds, named_numbers, names_along, norm_of, preview, shortened
from .overlay_types import NOTHING, OVERLAY, Mark, Overlay, Reader, TextOf
from .style import MOST_INLINE, PLUM

if TYPE_CHECKING:
    from ...core import Array, Node

_FEW, _WRITTEN = 4, 40  # numbers that are written out, and characters that they may take
_ARRAY = "loop_item"  # the operation that reads one of the arrays that a loop gives


def _of_records(mark: Callable[[Record], Mark | None]) -> Reader:
    def read(trace: Trace) -> dict[Node, Mark]:
        marks = ((record.node, mark(record)) for record in trace)
        return {node: made for node, made in marks if made is not None}

    return read


def _value(record: Record) -> Mark | None:
    if record.op.is_constant:  # its value is what is written on it, where that is short
        return Mark("", numbers=record.value) if record.kept and math.prod(record.shape) > MOST_INLINE else None
    if is_bundle(record.node):
        return NOTHING
    written, labels = _written(record), labels_along(record.node, record.shape)
    numbers = record.value if record.kept else None
    if written:
        return Mark(written, numbers=numbers, labels=labels)
    if record.node.dtype.kind == "i":
        return Mark(_classes(record), numbers=numbers)
    text = "\n".join([_range(record), *names_along(labels)])
    return Mark(text, value=_shown(record), shape=record.shape, numbers=numbers, labels=labels)


def _written(record: Record) -> str:
    """Return the numbers of a value, if they are few."""
    if record.kept and len(record.shape) == 1 and (names := labels_of(record.node, 0, record.shape[0])) is not None:
        named = named_numbers(names, record.value) if len(names) <= _FEW else ""
        if 0 < len(named) <= _WRITTEN:
            return named
    written = preview(record.value, _FEW) if math.prod(record.shape) <= _FEW and record.kept else ""
    return written if len(written) <= _WRITTEN else ""


def _shown(record: Record) -> Array:
    return record.value if record.kept else record.preview


def _classes(record: Record) -> str:
    """Return what integers are there: most are labels or places, whose size means nothing."""
    different = len(np.unique(record.value)) if record.kept else 0
    return "\n".join([*([f"{different:,} different"] if different > 1 else []), _range(record)])


def _range(record: Record) -> str:
    stats = record.stats
    if record.node.dtype.kind == "b" and stats.size:
        return f"{stats.size - stats.zeros:,} of {stats.size:,} true"
    strange = [f"{n:,} {what}" for n, what in zip(stats[5:8], ("NaN", "inf", "-inf"), strict=True) if n]
    lines = [] if math.isnan(stats.min) else [_between(stats.min, stats.max, "all finite ones" if strange else "all")]
    return "\n".join([*([", ".join(strange)] if strange else []), *lines]) or "no element"


def _between(low: float, high: float, all_of_them: str) -> str:
    """Return the range of some numbers, or what they all are."""
    if low == high:
        return f"{all_of_them} {compact(low)}"
    least, most = compact(low), compact(high)
    return f"{all_of_them} about {least}" if least == most else f"{least} to {most}"


def _statistics(record: Record) -> Mark | None:
    stats = record.stats
    if is_bundle(record.node):
        return NOTHING
    if record.op.is_constant or not stats.size:
        return None
    if math.isnan(stats.mean):
        return Mark(_range(record))
    if record.node.dtype.kind == "i" and stats.size > 1:
        return Mark(_classes(record))
    zeros = [f"{_share(stats.zeros, stats.size)} zeros"] if stats.zeros else []
    lines = [
        f"mean {compact(stats.mean)}",
        ", ".join([f"std {compact(stats.std)}", *zeros]),
        *_range(record).split("\n"),
    ]
    return Mark("\n".join(lines if stats.size > 1 else lines[:1]), stats.mean)


def _share(count: int, size: int) -> str:
    """Return a part in per cent; neither nothing nor all, if it is not."""
    percent = round(100 * count / size)
    if percent in (0, 100) and count not in (0, size):
        return "under 1%" if not percent else "over 99%"
    return f"{percent}%"


def _computed(record: Record) -> bool:
    return bool(record.node.inputs)


def _time(trace: Trace) -> dict[Node, Mark]:
    times = _of_loops({record.node: record.time for record in trace if _computed(record)})
    return {node: Mark(in_seconds(time), time) for node, time in times.items()}


def _of_loops(costs: Mapping[Node, float]) -> dict[Node, float]:
    """Return costs with those of reading the arrays of a loop at the loop: its body does not cost that."""
    found: dict[Node, float] = {}
    for node, cost in costs.items():
        at = node.inputs[0] if node.op.is_loop_item else node
        found[at] = found.get(at, 0) + cost
    return found


def _bytes(record: Record) -> Mark:
    return Mark(in_bytes(record.bytes), record.bytes)


def _flops(trace: Trace) -> dict[Node, Mark]:
    counts = _of_loops({record.node: flops_of(trace.prepared, record.node) for record in trace if _computed(record)})
    return {node: Mark(_in_flops(count), count) for node, count in counts.items()}


def _of_costs(of: str, text_of: TextOf) -> Reader:
    def read(profile: Profile) -> dict[Node, Mark]:
        found: dict[Node, float] = {}
        for cost in profile.by_node:
            # What is in a loop is said in its frame, and of the loop where that is one box.
            here, there = cost.nodes[0], outside(cost.nodes[0])
            for node in {there} if there.op.is_loop_item else {here, there}:
                found[node] = found.get(node, 0) + getattr(cost, of)
        # What only decides how often a loop is gone through, or which side is taken, was computed before it was timed.
        decided = ancestors(itertools.chain(*decided_by_values(profile.graph).values()))
        untimed = {outside(node): Mark("not measured") for node in decided if node.inputs}
        return untimed | {node: Mark(text_of(number), number) for node, number in _of_loops(found).items()}

    return read


def _in_bytes(size: float) -> str:
    return in_bytes(int(size))


def _in_flops(count: float) -> str:
    for unit, size in (("GFLOP", 1e9), ("MFLOP", 1e6), ("kFLOP", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} FLOP"


def _gradients(trace: Trace) -> dict[Node, Mark]:
    """Return each node's gradient, and of what is one, itself."""
    record_of = {record.node: record for record in trace}
    pairs = list(gradients_in(trace.order))
    for of in _known(trace):
        pairs += of.items()  # those of what is asked for last, so they win
    slope_of = {node: slope for node, slope in pairs if slope in record_of and node.phase == "forward"}
    own = [*(slope for _, slope in pairs), *trace.fetches]
    slope_of |= {slope: slope for slope in own if slope in record_of and slope.phase == "backward" and slope.inputs}
    if not slope_of:
        raise NotFoundError(
            "there are no gradients in this trace: have them evaluated, too, as in gn.trace([loss, *grads], feed), or "
            'gn.draw(loss, feed, overlay="gradients")'
        )
    scalars = all(math.prod(record_of[slope].shape) == 1 for slope in slope_of.values())
    return {node: _slope(record_of[slope], scalars) for node, slope in slope_of.items()}


def _known(trace: Trace) -> list[dict[Node, Node]]:
    """Return the gradients that the graph remembers, those of what is asked for last."""
    fetches = set(trace.fetches)
    known = [
        (any(node in fetches for node, _ in given), derived.of) for given, derived in trace.graph.cotangents.items()
    ]
    return [of for _, of in sorted(known, key=lambda each: each[0])]


def _slope(record: Record, signed: bool) -> Mark:
    """Return a gradient: its number, or its numbers and their norm."""
    if math.prod(record.shape) == 1:
        number = float(_shown(record).item())
        return Mark(f"gradient {compact(number)}", number if signed else abs(number), numbers=_shown(record))
    norm, written = norm_of(record.stats), _written(record)
    text = f"gradient {written or _range(record)}\nnorm {compact(norm)}"
    numbers = record.value if record.kept else None
    value = None if written else _shown(record)
    labels = labels_along(record.node, record.shape)
    return Mark(text, norm, value=value, shape=record.shape, numbers=numbers, labels=labels)


def _of_gradients(trace: Trace, marks: Mapping[Node, Mark]) -> str:
    results = {node for given in trace.graph.cotangents for node, _ in given if node in trace.fetches}
    of = ""
    if len(results) == 1:
        result = results.pop()
        names = (name for name, node in trace.graph.outputs.items() if node is result)
        of = f" of {shortened(next(names, result.title), _WRITTEN)}"
    return f"{'norms of the ' if any('norm ' in mark.text for mark in marks.values()) else ''}gradients{of}"


_LEVEL_OF = {"error": "failed", "warning": "warning", "note": "fed"}


def _health(health: Health) -> dict[Node, Mark]:
    found: dict[Node, Mark] = {}
    for finding in [*health.findings, *health.notes]:  # the worst first
        lines = [f"{finding.severity}: {finding.code}"]
        if finding.index is not None and finding.size > 1:
            lines.append(f"{finding.count:,} of {finding.size:,}, first at {list(finding.index)}")
        if outside(finding.node).name != finding.node.name:
            lines.append(f"in {finding.node.name.rpartition('/')[0]}")
        mark = Mark("\n".join(lines), None, _LEVEL_OF[finding.severity], finding.sentence)
        before = found.setdefault(finding.node, mark)
        if before is not mark:
            text = before.text.removesuffix(" …").split("\n")[0] + " …"
            found[finding.node] = before._replace(text=text, tip=f"{before.tip}\n{mark.tip}")
    return found


def _of_health(health: Health, _: Mapping[Node, Mark]) -> str:
    parts = [counted(len(part), noun) for noun, part in (("error", health.errors), ("warning", health.warnings))]
    return f"health of {counted(health.count, 'node')}: {', '.join([*parts, counted(len(health.notes), 'note')])}"


def _difference(comparison: Comparison) -> dict[Node, Mark]:
    same = Mark("agrees", None) if comparison.counts.within else Mark("equal", 0.0)
    marks: dict[Node, Mark] = {pair[0]: same for pair in comparison.pairs}
    for place, difference in enumerate(comparison.differences):
        gap = difference.absolute
        text = f"{compact(gap)} apart" if gap else difference.misfit or "; ".join(difference.edits) or difference.cause
        if not place:
            text = f"they part here\n{text}"
        marks[difference.node] = Mark(text, gap, "fed" if place else "current", difference.cause)
    others = {other: marks[node] for node, other in comparison.pairs if other is not None}
    alone = dict.fromkeys([*comparison.only_a, *comparison.only_b], Mark("only here"))
    return {**others, **alone, **marks}


def _digits(comparison: Comparison) -> dict[Node, Mark]:
    marks: dict[Node, Mark] = {}
    for node, other in comparison.pairs:
        digits = comparison.digits.get(node.name)
        if digits is not None:
            marks[node] = Mark(f"{digits.lost:.1f} digits lost\n{digits.left:.1f} left", digits.lost)
            if other is not None:
                marks[other] = marks[node]
    return marks


NOTHING_DONE = ("constant", "a view of", "the same as")


def _fates(explanation: Explanation) -> dict[Node, Mark]:
    return {
        node: Mark(fate, level="waiting" if fate.startswith(NOTHING_DONE) else "fed")
        for node, fate in explanation.fates.items()
    }


def _cost(trace: tuple[str, Reader], profile: tuple[str, str], text_of: TextOf, unit: str = "") -> Overlay:
    """Return the row of a cost, which adds up: read from a trace, or from a field of a profile."""
    what, name = profile
    readers = {Trace: trace, Profile: (what, _of_costs(name, text_of))}
    return Overlay(readers, text_of, "sum", "magnitude", "not run", unit=unit)


_FLOPS = "floating-point operations"
OVERLAYS: dict[str, Overlay] = {
    "values": Overlay({Trace: ("values", _of_records(_value))}, compact, "result", missing="not run", label="value"),
    "statistics": Overlay(
        {Trace: ("means of the values", _of_records(_statistics))}, compact, "result", "signed", "not run"
    ),
    "gradients": Overlay({Trace: (_of_gradients, _gradients)}, compact, "largest", "logarithm", signed=True, ink=PLUM),
    "time": _cost(("time", _time), ("time", "time"), in_seconds),
    "bytes": _cost(("bytes of the values", _of_records(_bytes)), ("bytes written", "written"), _in_bytes, "bytes"),
    "flops": _cost((_FLOPS, _flops), (_FLOPS, "flops"), _in_flops, _FLOPS),
    "health": Overlay({Health: (_of_health, _health)}, compact, "largest"),
    "difference": Overlay(
        {Comparison: ("largest difference of an element", _difference)},
        lambda gap: f"{compact(gap)} apart",
        "largest",
        "logarithm",
        "not compared",
        {"current": "a double line is where the runs first differ"},
    ),
    "digits": Overlay(
        {Comparison: ("decimal digits lost at each node", _digits)},
        lambda lost: f"{lost:.1f} digits lost",
        "largest",
        "magnitude",
    ),
    "plan": Overlay(
        {Explanation: ("what the plan does", _fates)},
        compact,
        "count",
        key={"waiting": "dotted: nothing is computed for it"},
    ),
}
"""What can be laid over a picture, by name."""
for _name, _row in OVERLAYS.items():
    OVERLAY.give(_name)(_row)
for _kind, _name in {
    Trace: "values",
    Profile: "time",
    Health: "health",
    Comparison: "difference",
    Explanation: "plan",
}.items():
    OVERLAY.give(_kind)(OVERLAYS[_name])
