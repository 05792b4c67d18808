"""What is known of a run, laid over a picture: ``{node: Mark}``.

There is one table, `OVERLAYS`: what each overlay is read from and how, how it is coloured, and how the marks in a
folded box come together. What a user gives as ``{node: number or text}`` goes the same way.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from ...errors import LookupFailure, UsageError, near
from ...execute.explain import Explanation
from ...graph import Constant, Graph, Node
from ...inspector.compare.differences import Comparison
from ...inspector.health.findings import Health
from ...inspector.health.training import gradients_in
from ...inspector.profile import Profile, flops_of
from ...inspector.trace import Record, Trace
from ..heatmap import NOT_FINITE, Scale, in_hex, ink_on, thumbnail
from ..text import counted, in_bytes, in_seconds, number, preview
from .fold import local_name
from .looks import HIGHLIGHTS, MOST_BELOW, MOST_SAID

if TYPE_CHECKING:
    from ...graph import Array
    from .fold import Box, Picture

_Said = TypeVar("_Said")
_SHADES = 12  # of the scale in the legend
_LOGARITHMIC = 1e3  # from which ratio of the largest to the smallest on
_FEW, _WRITTEN = 4, 40  # numbers that are written out, and characters that they may take
_MOST_WITH_CELLS = 200  # boxes
_MOST_LINES = 6  # of what a user says of a node


class Mark(NamedTuple):
    """What an overlay says of one node.

    Attributes
    ----------
    text : str
        What is printed on its box; of several lines, the first in bold.
    number : float or None
        What colours it; None: nothing does.
    level : str
        A key of the table of highlights, which sets it apart.
    tip : str
        More, for the tooltip.
    value : array or None
        What is shown as a heatmap.
    """

    text: str
    number: float | None = None
    level: str = "fed"
    tip: str = ""
    value: Array | None = None


class Legend(NamedTuple):
    """What a picture says above it of its overlay.

    Attributes
    ----------
    what : str
    low, high : str
        The ends of the scale.
    colours : tuple of str
        Between the ends; none: there is no scale.
    key : str
        What else means something; may be empty.
    """

    what: str
    low: str = ""
    high: str = ""
    colours: tuple[str, ...] = ()
    key: str = ""


class Patch(NamedTuple):
    """What an overlay puts on one box.

    Attributes
    ----------
    notes : list of str
    level : str
    fill, ink : str
        Colours, of the box and of what is written on it; may be empty.
    tip : list of str
    cells : list of list of str
        The colours of a heatmap; may be empty.
    """

    notes: list[str]
    level: str = "fed"
    fill: str = ""
    ink: str = ""
    tip: Sequence[str] = ()
    cells: Sequence[Sequence[str]] = ()


class Layer(NamedTuple):
    """An overlay on one picture.

    Attributes
    ----------
    patches : dict of Box to Patch
    legend : Legend
    """

    patches: dict[Box, Patch]
    legend: Legend


_Reader = Callable[[Any], dict[Node, Mark]]


class Overlay(NamedTuple):
    """One row of the table.

    Attributes
    ----------
    readers : dict
        By the kind of thing that it is read from: what it is, and the function that reads it.
    told : callable
        Writes a number of it.
    together : str
        What a box says of several nodes: their ``"sum"``; the mark that is ``"largest"``; that of its ``"result"``,
        the last one made; or ``"count"``, how many of each there are.
    scale : str
        ``"magnitude"``, ``"logarithm"``, ``"signed"``, or ``""``: no colours.
    missing : str
        What is said of an operation that has no mark; may be empty.
    key : dict of str to str
        For the legend: what a level means, if there is a box of it.
    unit : str
        What its numbers count, for the tooltip, which has them in full; may be empty.
    """

    readers: dict[type, tuple[str, _Reader]]
    told: Callable[[float], str]
    together: str
    scale: str = ""
    missing: str = ""
    key: Mapping[str, str] = {}
    unit: str = ""


# --- how each is read -------------------------------------------------------------------------------------------


def _of_records(mark: Callable[[Record], Mark | None]) -> _Reader:
    def read(trace: Trace) -> dict[Node, Mark]:
        marks = ((record.node, mark(record)) for record in trace)
        return {node: made for node, made in marks if made is not None}

    return read


def _value(record: Record) -> Mark | None:
    if isinstance(record.op, Constant):
        return None  # its value is what is written on it
    size = math.prod(record.shape)
    if size <= _FEW and record.kept:
        written = preview(record.value, _FEW)
        if len(written) <= _WRITTEN:
            return Mark(written)
    return Mark(_range(record), value=record.value if record.kept else record.preview)


def _range(record: Record) -> str:
    stats = record.stats
    lines = [] if math.isnan(stats.min) else [f"{number(stats.min)} to {number(stats.max)}"]
    strange = [f"{n:,} {what}" for n, what in zip(stats[5:8], ("NaN", "inf", "-inf"), strict=True) if n]
    return "\n".join([*([", ".join(strange)] if strange else []), *lines]) or "no element"


def _statistics(record: Record) -> Mark | None:
    stats = record.stats
    if isinstance(record.op, Constant) or not stats.size:
        return None
    if math.isnan(stats.mean):
        return Mark(_range(record))
    zeros = [f"{_share(stats.zeros, stats.size)} zeros"] * bool(stats.zeros)
    lines = [f"mean {number(stats.mean)}", ", ".join([f"std {number(stats.std)}", *zeros]), *_range(record).split("\n")]
    return Mark("\n".join(lines if stats.size > 1 else lines[:1]), stats.mean)


def _share(count: int, size: int) -> str:
    """Return a part in per cent; neither nothing nor all, if it is not."""
    percent = round(100 * count / size)
    if percent in (0, 100) and count not in (0, size):
        return "under 1%" if not percent else "over 99%"
    return f"{percent}%"


def _computed(record: Record) -> bool:
    return bool(record.node.inputs)


def _time(record: Record) -> Mark | None:
    return Mark(in_seconds(record.time), record.time) if _computed(record) else None


def _bytes(record: Record) -> Mark:
    return Mark(in_bytes(record.bytes), record.bytes)


def _flops(trace: Trace) -> dict[Node, Mark]:
    counts = {record.node: flops_of(trace.prepared, record.node) for record in trace if _computed(record)}
    return {node: Mark(_in_flops(count), count) for node, count in counts.items()}


def _of_costs(of: str, told: Callable[[float], str]) -> _Reader:
    def read(profile: Profile) -> dict[Node, Mark]:
        return {cost.nodes[0]: Mark(told(getattr(cost, of)), getattr(cost, of)) for cost in profile.by_node}

    return read


def _in_flops(count: float) -> str:
    for unit, size in (("GFLOP", 1e9), ("MFLOP", 1e6), ("kFLOP", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} FLOP"


def _gradients(trace: Trace) -> dict[Node, Mark]:
    """Return the norm of each node's gradient, and of what is one."""
    found: dict[Node, Mark] = {}
    record_of = {record.node: record for record in trace}
    fetches = set(trace.fetches)
    pairs = list(gradients_in(trace.order))
    known = [
        (any(node in fetches for node, _ in given), derived.of) for given, derived in trace.graph.cotangents.items()
    ]
    for _, of in sorted(known, key=lambda each: each[0]):
        pairs += of.items()  # those of what is asked for last, so they win
    for node, slope in pairs:
        if slope in record_of and node.phase == "forward":
            norm = _norm(record_of[slope])
            found[node] = Mark(f"gradient {number(norm)}", norm)
    for slope in [*(slope for _, slope in pairs), *fetches]:
        if slope in record_of and slope.phase == "backward" and slope.inputs:
            norm = _norm(record_of[slope])
            found[slope] = Mark(f"norm {number(norm)}", norm)
    if not found:
        raise LookupFailure(
            "there are no gradients in this trace: have them evaluated, too, as in gn.trace([loss, *grads], feed)"
        )
    return found


def _norm(record: Record) -> float:
    stats = record.stats
    if stats.nans or stats.posinfs or stats.neginfs:
        return math.nan if stats.nans else math.inf
    return math.hypot(stats.mean, stats.std) * math.sqrt(stats.size) if stats.size else 0.0


_LEVEL_OF = {"error": "failed", "warning": "warning", "note": "fed"}


def _health(health: Health) -> dict[Node, Mark]:
    found: dict[Node, Mark] = {}
    for finding in [*health.findings, *health.notes]:  # the worst first
        lines = [f"{finding.severity}: {finding.code}"]
        if finding.index is not None and finding.size > 1:
            lines.append(f"{finding.count:,} of {finding.size:,}, first at {list(finding.index)}")
        mark = Mark("\n".join(lines), None, _LEVEL_OF[finding.severity], finding.sentence)
        before = found.setdefault(finding.node, mark)
        if before is not mark:
            told = before.text.removesuffix(" …").split("\n")[0] + " …"
            found[finding.node] = before._replace(text=told, tip=f"{before.tip}\n{mark.tip}")
    return found


def _difference(comparison: Comparison) -> dict[Node, Mark]:
    same = Mark("agrees", None) if comparison.counts.within else Mark("equal", 0.0)
    marks: dict[Node, Mark] = {pair[0]: same for pair in comparison.pairs}
    for place, difference in enumerate(comparison.differences):
        gap = difference.absolute
        text = f"{number(gap)} apart" if gap else difference.misfit or "; ".join(difference.edits) or difference.cause
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
            mark = Mark(f"{digits.lost:.1f} digits lost\n{digits.left:.1f} left", digits.lost)
            marks[node] = mark
            if other is not None and other is not node:
                marks[other] = mark
    return marks


_NOTHING_DONE = ("constant", "a view of", "the same as")
_NOUNS = ("constant", "view", "call")
_FATES = {"a view of": "view", "the same as": "the same as another", "over ": "over another"}


def _fates(explanation: Explanation) -> dict[Node, Mark]:
    return {
        node: Mark(fate, level="waiting" if fate.startswith(_NOTHING_DONE) else "fed")
        for node, fate in explanation.fates.items()
    }


OVERLAYS: dict[str, Overlay] = {
    "values": Overlay(
        {Trace: ("values", _of_records(_value))},
        number,
        "result",
        missing="not run",
    ),
    "statistics": Overlay(
        {Trace: ("means of the values", _of_records(_statistics))}, number, "result", "signed", "not run"
    ),
    "gradients": Overlay(
        {Trace: ("norms of the gradients", _gradients)}, lambda norm: f"norm {number(norm)}", "largest", "logarithm"
    ),
    "time": Overlay(
        {Trace: ("time", _of_records(_time)), Profile: ("time", _of_costs("time", in_seconds))},
        in_seconds,
        "sum",
        "magnitude",
        "not run",
    ),
    "bytes": Overlay(
        {
            Trace: ("bytes of the values", _of_records(_bytes)),
            Profile: ("bytes written", _of_costs("written", lambda size: in_bytes(int(size)))),
        },
        lambda size: in_bytes(int(size)),
        "sum",
        "magnitude",
        "not run",
        unit="bytes",
    ),
    "flops": Overlay(
        {
            Trace: ("floating-point operations", _flops),
            Profile: ("floating-point operations", _of_costs("flops", _in_flops)),
        },
        _in_flops,
        "sum",
        "magnitude",
        "not run",
        unit="floating-point operations",
    ),
    "health": Overlay({Health: ("health", _health)}, number, "largest"),
    "difference": Overlay(
        {Comparison: ("largest difference of an element", _difference)},
        lambda gap: f"{number(gap)} apart",
        "largest",
        "logarithm",
        "not compared",
        {"current": "a double line is where the runs part"},
    ),
    "digits": Overlay(
        {Comparison: ("decimal digits lost at each node", _digits)},
        lambda lost: f"{lost:.1f} digits lost",
        "largest",
        "magnitude",
    ),
    "plan": Overlay(
        {Explanation: ("what the plan does", _fates)},
        number,
        "count",
        key={"waiting": "dotted: nothing is computed for it"},
    ),
}
"""What can be laid over a picture, by name."""

_OF_CELLS = (
    "each heatmap has a scale of its own, from its least number, dark blue, to its greatest, yellow; of both signs, "
    "blue is below 0 and orange above"
)
_USUAL = {Trace: "values", Profile: "time", Health: "health", Comparison: "difference", Explanation: "plan"}
_TOGETHER = {
    "sum": "a box of several is their sum",
    "largest": "a box of several has the largest of them",
    "one": "a box of several has one of them, and says how many more there are",
    "result": "a box of several has its result's",
}


# --- one overlay on one picture ---------------------------------------------------------------------------------


def overlaid(seen: Picture, overlay: Any, source: Any) -> Layer:
    """Return an overlay on a picture.

    Parameters
    ----------
    seen : Picture
    overlay : str, dict, Trace, Profile, Health, Comparison, Explanation or None
        A key of `OVERLAYS`; what one is read from; or the user's own, by node or name.
    source : Trace, Profile, Health, Comparison, Explanation or None
        What it is read from, if `overlay` says which.

    Returns
    -------
    Layer

    Raises
    ------
    UsageError
        When there is no such overlay, or it is read from something else.
    LookupFailure
        When a name is unknown, or nothing of it is in the picture.
    """
    row, what, marks = _chosen(overlay, source)
    found = of_graph(marks, seen.graph)
    drawn = [node for box in seen.boxes for node in box.nodes]
    if marks and not any(node in found for node in drawn):
        raise LookupFailure("nothing of the overlay is in the picture: it is of other nodes")
    merged = {box: _merged(row, box, found) for box in seen.boxes}
    scale = _scale(row, [mark.number for mark in merged.values() if mark is not None])
    is_small = len(seen.boxes) <= _MOST_WITH_CELLS
    patches = {}
    for box, mark in merged.items():
        patch = _patch(row, box, mark, found, scale, is_small)
        if patch is not None:
            patches[box] = patch
    return Layer(patches, _legend(row, what, merged.values(), scale, patches))


def _chosen(overlay: Any, source: Any) -> tuple[Overlay, str, dict[Any, Mark]]:
    """Return a row of the table, what is read by it, and the marks."""
    if isinstance(overlay, Mapping):
        if source is not None:
            raise UsageError("an overlay of your own is read from nothing else: leave out trace=")
        marks = {node: _own(mark) for node, mark in overlay.items()}
        signed = any(mark.number is not None and mark.number < 0 for mark in marks.values())
        return Overlay({}, number, "largest", "signed" if signed else "magnitude"), "", marks
    if overlay is None or type(overlay) in _USUAL:
        if overlay is not None and source is not None:
            raise UsageError('an overlay is read from one thing: overlay="time", trace=profile; or overlay=profile')
        source = source if overlay is None else overlay
        if type(source) not in _USUAL:
            kinds = ", ".join(kind.__name__ for kind in _USUAL)
            raise UsageError(f"an overlay is read from one of {kinds}; not from {type(source).__name__}")
        overlay = _USUAL[type(source)]
    if not isinstance(overlay, str):
        raise UsageError(
            f"an overlay is one of {', '.join(OVERLAYS)}; or {{node: number or text}}; not {type(overlay).__name__}"
        )
    if overlay not in OVERLAYS:
        raise UsageError(f"{overlay!r} is no overlay.{near(overlay, OVERLAYS)}")
    row = OVERLAYS[overlay]
    if type(source) not in row.readers:
        kinds = " or a ".join(kind.__name__ for kind in row.readers)
        given = "and none is given" if source is None else f"not from a {type(source).__name__}"
        raise UsageError(f'"{overlay}" is read from a {kinds}, as trace=…, {given}')
    what, read = row.readers[type(source)]
    marks = dict[Any, Mark](read(source))
    if isinstance(source, Health):
        parts = [counted(len(part), noun) for noun, part in (("error", source.errors), ("warning", source.warnings))]
        what = f"health of {counted(source.count, 'node')}: {', '.join([*parts, counted(len(source.notes), 'note')])}"
    return row, what, marks


def _own(given: Any) -> Mark:
    if isinstance(given, str):
        lines = given.split("\n")
        more = len(lines) - _MOST_LINES
        if more > 1:
            lines[_MOST_LINES:] = [f"… {more:,} more lines"]
        is_cut = more > 1 or any(len(line) > MOST_BELOW for line in lines)
        return Mark("\n".join(lines), tip=given[:MOST_SAID] if is_cut else "")
    try:
        value = float(given)
    except (TypeError, ValueError, OverflowError):
        what = "a number as large as that" if isinstance(given, int) else type(given).__name__
        raise UsageError(f"an overlay gives each node a number or a text, not {what}") from None
    return Mark(number(given if isinstance(given, (bool, int)) else value), value)


def of_graph(marks: Mapping[Any, _Said], graph: Graph) -> dict[Node, _Said]:
    """Return the marks by the nodes of this graph: what another one has, such as a loaded one, by name."""
    found: dict[Node, _Said] = {}
    for key, mark in marks.items():
        if not isinstance(key, (Node, str)):
            raise UsageError(f"an overlay is by node or name, not by {type(key).__name__}")
        if isinstance(key, str) or key.graph is graph:
            found[graph[key] if isinstance(key, str) else key] = mark
    for key, mark in marks.items():
        if isinstance(key, Node) and key.graph is not graph and key.name in graph.dag:
            found.setdefault(graph[key.name], mark)
    return found


def _merged(row: Overlay, box: Box, found: Mapping[Node, Mark]) -> Mark | None:
    """Return what is said of the nodes in a box together."""
    marks = [(node, found[node]) for node in box.nodes if node in found]
    if len(box.nodes) == 1 or not marks:
        return marks[0][1] if marks else None
    if row.together == "sum":
        total = math.fsum(mark.number or 0.0 for _, mark in marks)
        return Mark(row.told(total), total)
    if row.together == "count":
        counts = Counter(_fate(mark) for _, mark in marks)
        idle = all(mark.level == "waiting" for _, mark in marks)
        said = [f"{n} {fate}{'s' * (n > 1 and fate in _NOUNS)}" for fate, n in counts.items()]
        return Mark(", ".join(said), level="waiting" if idle else "fed")
    if row.together == "result":
        return found.get(next((node for node in reversed(box.nodes) if node.inputs), box.node))
    strength = list(HIGHLIGHTS).index
    node, largest = min(marks, key=lambda one: (strength(one[1].level), -_size(one[1])))
    first, *rest = largest.text.split("\n")
    name = local_name(node.name, box.scope)
    where = f"in {name if name != node.name else local_name(name, box.around)}"
    others = [f"and {len(marks) - 1} more"] * (largest.number is None and len(marks) > 1)
    return largest._replace(text="\n".join([first, where, *rest, *others]))


def _size(mark: Mark) -> float:
    if mark.number is None:
        return -1.0
    return math.inf if math.isnan(mark.number) else abs(mark.number)


def _fate(mark: Mark) -> str:
    """Return what a plan makes of a node, without the name of another."""
    return next((told for begin, told in _FATES.items() if mark.text.startswith(begin)), mark.text)


def _patch(
    row: Overlay, box: Box, mark: Mark | None, found: Mapping[Node, Mark], scale: _Colours | None, is_small: bool
) -> Patch | None:
    operations = [node for node in box.nodes if node.inputs]
    missing = sum(node not in found for node in operations) if row.missing else 0
    if missing and missing == len(operations):
        return Patch([row.missing], "waiting")
    notes = [f"{missing} of {len(operations)} {row.missing}"] * bool(missing)
    if mark is None:
        return Patch(notes) if notes else None
    notes = [line for line in mark.text.split("\n") if line] + notes
    fill = scale.fill(mark.number) if scale is not None and mark.number is not None else None
    cells = thumbnail(mark.value) if is_small and mark.value is not None and mark.value.dtype.kind in "fiub" else []
    tip = [line for line in mark.tip.split("\n") if line]
    if row.unit and mark.number is not None:
        tip.append(f"{mark.number:,.0f} {row.unit}")
    if fill is None:
        return Patch(notes, mark.level, tip=tip, cells=cells)
    return Patch(notes, mark.level, in_hex(fill), in_hex(ink_on(fill)), tip, cells)


class _Colours(NamedTuple):
    """The scale of an overlay's numbers, and its ends; where it is logarithmic, the scale is of their logarithms."""

    scale: Scale
    low: float
    high: float
    logarithmic: bool

    def fill(self, value: float) -> Array | None:
        """Return the colour of a number; none of what is not finite, nor of 0 on a logarithmic scale."""
        if not math.isfinite(value) or (self.logarithmic and value <= 0):
            return None
        return self.scale.colours(self.scale.fractions(np.array(math.log10(value) if self.logarithmic else value)))


def _scale(row: Overlay, numbers: Iterable[float | None]) -> _Colours | None:
    finite = np.array([n for n in numbers if n is not None and math.isfinite(n)])
    if not row.scale or not finite.any():
        return None
    low, high, positive = 0.0, float(abs(finite).max()), finite[finite > 0]
    if row.scale == "signed":
        return _Colours(Scale(-high, high, signed=True), -high, high, logarithmic=False)
    if row.scale == "logarithm" and high / _LOGARITHMIC > positive.min():
        low = float(positive.min())
        return _Colours(Scale(math.log10(low), math.log10(high), signed=False), low, high, logarithmic=True)
    return _Colours(Scale(low, high, signed=False), low, high, logarithmic=False)


def _legend(
    row: Overlay,
    what: str,
    marks: Iterable[Mark | None],
    scale: _Colours | None,
    patch_of: Mapping[Box, Patch],
) -> Legend:
    patches = patch_of.values()
    if row.together == "sum":
        total = math.fsum(mark.number or 0.0 for mark in marks if mark is not None)
        what = f"{what}, {row.told(total)} in all"
    key = [text for level, text in row.key.items() if any(patch.level == level for patch in patches)]
    colours = {cell for patch in patches for line in patch.cells for cell in line}
    if colours:
        key.append(_OF_CELLS + "; dark red is NaN or infinite" * (in_hex(NOT_FINITE) in colours))
    if row.together in _TOGETHER and any(len(box.nodes) > 1 for box in patch_of):
        key.append(_TOGETHER["one" if row.together == "largest" and scale is None else row.together])
    if any(patch.notes == [row.missing] for patch in patches):
        key.append(f"dotted: {row.missing}")
    if scale is None:
        return Legend(what, key="; ".join(key))
    low, high = row.told(scale.low), row.told(scale.high)
    if scale.logarithmic:
        key.insert(0, "a logarithmic scale")
    shades = [in_hex(colour) for colour in scale.scale.colours(np.linspace(0, 1, _SHADES))]
    return Legend(what, low, high, tuple(shades), "; ".join(key))
