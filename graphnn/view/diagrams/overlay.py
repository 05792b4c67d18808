"""Overlays: what is known of a run, on the boxes of a picture.

What is given to `OVERLAY` says what each overlay is read from, how it is coloured, and how the marks of nodes
in a collapsed box come together. What a user gives as ``{node: number or text}`` goes the same way.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from ..._util.text import with_article
from ...control_flow.iteration_names import first_like, has_bodies
from ...control_flow.unrolled_run import outside
from ...core import Graph, Node, is_float
from ...debugger.iteration_traces import in_every
from ...errors import NotFoundError, UsageError
from ..formatting import aligned, compact, shortened
from ..heatmap import NOT_FINITE, Scale, eps_of, in_hex, ink_on, small_multiples, thumbnail
from .draw_arguments import check_name
from .edge_strokes import said_of, strokes_on
from .overlay_types import NOTHING, OVERLAY, Mark, Overlay
from .picture import insides, local_name
from .style import HIGHLIGHTS, MOST_BELOW, MOST_SAID, THEMES

if TYPE_CHECKING:
    from ...core import Array
    from .edge_strokes import Stroke
    from .picture import Box, Edge, Picture

_Said = TypeVar("_Said")
_SHADES = 72  # of the scale in the legend: so many that no step is seen
_LOGARITHMIC = 1e3  # from which ratio of the largest to the smallest on

_MOST_WITH_CELLS = 200  # boxes
_MOST_NUMBERS, _MOST_COLUMNS, _MOST_LABEL = 72, 16, 10  # of a value that is written out
_MOST_LINES = 6  # of what a user says of a node
_SIDES = 2  # of a branch


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
    ink : str
        The colour of its numbers, where all are written out; may be empty.
    """

    what: str
    low: str = ""
    high: str = ""
    colours: tuple[str, ...] = ()
    key: str = ""
    ink: str = ""


class Panel(NamedTuple):
    """A part of a box, below what is always said there.

    Attributes
    ----------
    lines : sequence of str
    fill, ink : str
        Colours, of the panel and of what is written on it; may be empty.
    cells : sequence of sequence of str
        The colours of a heatmap; may be empty.
    note : str
        Below that, what of the value it shows; may be empty.
    matrices : sequence of sequence of sequence of str
        The numbers of a value, a matrix after the other; may be empty.
    square : bool
        Whether the cells are square: those of images, filters, feature maps, heads.
    """

    lines: Sequence[str] = ()
    fill: str = ""
    ink: str = ""
    cells: Sequence[Sequence[str]] = ()
    note: str = ""
    matrices: Sequence[Sequence[Sequence[str]]] = ()
    square: bool = False


class Patch(NamedTuple):
    """What overlays put on one box.

    Attributes
    ----------
    notes : sequence of str
    level : str
    fill, ink : str
        Colours, of the box and of what is written on it; may be empty.
    tip : list of str
    panels : sequence of Panel
        The heatmap of one overlay; of several, all that each says.
    """

    notes: Sequence[str] = ()
    level: str = "fed"
    fill: str = ""
    ink: str = ""
    tip: Sequence[str] = ()
    panels: Sequence[Panel] = ()


class Layer(NamedTuple):
    """What is laid over one picture.

    Attributes
    ----------
    patches : dict of Box to Patch
    legends : sequence of Legend
        One for each overlay.
    strokes : dict of Edge to Stroke
        Lines that show numbers.
    frames : dict of str to str
        What is said of open loops, by the path of the frame.
    """

    patches: Mapping[Box, Patch]
    legends: Sequence[Legend]
    strokes: Mapping[Edge, Stroke] = {}
    frames: Mapping[str, str] = {}

    @property
    def has_colours(self) -> bool:
        """Whether it fills whole boxes: one overlay does, of several each its own panel."""
        return len(self.legends) == 1 and bool(self.legends[0].colours)


NO_OVERLAY = Layer({}, ())

_NOUNS = ("constant", "view", "call")
_FATES = {"a view of": "view", "the same as": "the same as another", "over ": "over another"}


_OF_CELLS = (
    "each heatmap has its own scale: orange is above 0, blue below; the stronger the colour, the larger the number"
)
_EPS = float(np.finfo(np.float64).eps)

_TOGETHER = {
    "sum": "a box of several is their sum",
    "largest": "a box of several has the largest of them",
    "one": "a box of several has one of them, and says how many more there are",
    "result": "a box of several operations shows its result",
}


def overlaid(seen: Picture, overlay: Any, source: Any, theme: str = "light", numbers: bool = False) -> Layer:
    """Return an overlay on a picture, or several.

    Parameters
    ----------
    seen : Picture
    overlay : str, dict, Trace, Profile, Health, Comparison, Explanation, None or list of them
        The name of one in `OVERLAY`; what one is read from; or the user's own, by node or name.
    source : Trace, Profile, Health, Comparison, Explanation or None
        What it is read from, if `overlay` says which.
    theme : str
        A key of `THEMES`: of the paper on which the colours are.
    numbers : bool
        Whether small values are written out, each number of them.

    Returns
    -------
    Layer

    Raises
    ------
    UsageError
        When there is no such overlay, or it is read from something else.
    NotFoundError
        When a name is unknown, or nothing of it is in the picture.
    """
    if not isinstance(overlay, (list, tuple)):
        return _single(seen, overlay, source, theme, numbers)[0]
    if not overlay:
        raise UsageError('a list of overlays names at least one, as in ["values", "gradients"]')
    if len(overlay) == 1:
        return overlaid(seen, overlay[0], source, theme, numbers)
    found = [_single(seen, one, source if isinstance(one, str) else None, theme, numbers) for one in overlay]
    strength = list(HIGHLIGHTS).index
    together = {}
    for box in seen.boxes:
        given = [(layer.patches[box], row) for layer, row in found if box in layer.patches]
        if given:
            panels: list[Panel] = []
            for panel in (_panel(patch, row.label) for patch, row in given if patch.notes or patch.panels):
                # What two say alike, once. Of a gradient, its numbers are those of its value.
                known = [each._replace(ink=panel.ink) for each in panels] if box.phase == "backward" else panels
                panels += [panel] if panel not in known else []
            level = min((patch.level for patch, _ in given), key=strength)
            together[box] = Patch((), level, tip=[line for patch, _ in given for line in patch.tip], panels=panels)
    strokes = {edge: stroke for layer, _ in reversed(found) for edge, stroke in layer.strokes.items()}
    legends = list(_once(legend for layer, _ in found for legend in layer.legends))
    frames: dict[str, str] = {}
    for layer, _ in found:
        for path, said in layer.frames.items():
            frames[path] = f"{frames[path]}, {said}" if path in frames else said
    return Layer(together, legends, strokes, frames)


def _once(legends: Iterable[Legend]) -> Iterator[Legend]:
    """Yield legends, each without what one before it says."""
    said: set[str] = set()
    for legend in legends:
        parts = legend.key.split("; ")
        key = "; ".join(part for part in parts if part not in said)
        yield legend._replace(what="" if legend.what in said else legend.what, key=key)
        said.update([legend.what, *parts])


def _panel(patch: Patch, label: str) -> Panel:
    if patch.panels and not patch.panels[0].cells and not patch.notes:
        return patch.panels[0]
    first, *rest = patch.notes or [""]
    said = f"{label} {first}" if label and patch.level != "waiting" else first
    lines = tuple(line for line in (said, *rest) if line)
    return (patch.panels[0] if patch.panels else Panel())._replace(lines=lines, fill=patch.fill, ink=patch.ink)


def _single(seen: Picture, overlay: Any, source: Any, theme: str, numbers: bool) -> tuple[Layer, Overlay]:
    """Return one overlay on a picture, and its row of the table."""
    row, what, marks, lines = _chosen(overlay, source)
    found = of_graph(marks, seen.graph)
    found.update(_in_bodies(marks, seen))
    drawn = [*seen.loops.values(), *(node for box in seen.boxes for node in box.seen)]
    if marks and not any(node in found for node in drawn):
        raise NotFoundError("nothing of the overlay is in the picture: it is of other nodes")
    found = _at_drawn(row, found, seen)
    merged = {box: _merged(row, box, _arrays_of(box, seen), found) for box in seen.boxes}
    marked = [mark for mark in merged.values() if mark is not None]
    arrays = [mark.value for mark in marked if mark.value is not None and _holds_numbers(mark.value)]
    scale = _scale(row, [mark.number for mark in marked], max(map(eps_of, arrays), default=_EPS), theme)
    floor = _floor(arrays) if row.signed else 0.0
    ink = THEMES[theme].get(row.ink, row.ink)
    within = _Cells(len(seen.boxes) <= _MOST_WITH_CELLS, row.signed, floor, theme, numbers, ink)
    patches = {}
    for box, mark in merged.items():
        operations = [node for node in box.nodes if node.inputs and node.graph is seen.graph]
        patch = _patch(row, operations, mark, found, scale, within)
        if patch is not None:
            patches[box] = patch
    if row.together == "sum":
        shown = dict.fromkeys(node for node in drawn if node.graph is seen.graph)
        what = f"{what}, {row.text_of(math.fsum(found[node].number or 0.0 for node in shown if node in found))} in all"
    if numbers and not any(patch.fill for patch in patches.values()):
        scale, what = None, what.removeprefix("norms of the ")
    legend = _legend(row, what, scale, patches)
    if any(panel.matrices for patch in patches.values() for panel in patch.panels):
        legend = legend._replace(ink=row.ink)
    if said := said_of(lines, row.of_lines):
        legend = legend._replace(key="; ".join([said, *([legend.key] if legend.key else [])]))
    # A loop's own value is its bundle, whose numbers say nothing; what it takes says something.
    summed = {path: found[loop].text for path, loop in seen.loops.items() if row.together == "sum" and loop in found}
    return Layer(patches, [legend], strokes_on(seen, lines, row.of_lines), summed), row


_Read = tuple[Overlay, str, dict[Any, Mark], Mapping[tuple[Node, Node], float | None]]


def _chosen(overlay: Any, source: Any) -> _Read:
    """Return a row of the table, what is read by it, the marks, and the numbers of lines."""
    if isinstance(overlay, Mapping):
        if source is not None:
            raise UsageError("an overlay of your own is read from nothing else: leave out trace=")
        marks = {node: _own(mark) for node, mark in overlay.items()}
        return Overlay({}, compact, "largest", "magnitude"), "", marks, {}
    row, known = OVERLAY.of(overlay), OVERLAY.load()
    if overlay is None or row:
        if overlay is not None and source is not None:
            raise UsageError('an overlay is read from one thing: overlay="time", trace=profile; or overlay=profile')
        source = source if overlay is None else overlay
        row = OVERLAY.of(source)
        if row is None:
            kinds = ", ".join(kind.__name__ for kind in known if isinstance(kind, type))
            raise UsageError(f"an overlay is read from one of {kinds}; not from {type(source).__name__}")
    else:
        names = [name for name in known if isinstance(name, str)]
        if not isinstance(overlay, str):
            raise UsageError(
                f"an overlay is one of {', '.join(names)}; or {{node: number or text}}; or a list of them; "
                f"not {type(overlay).__name__}"
            )
        check_name("an overlay", overlay, names)
        row = known[overlay]
    kind = next((kind for kind in row.readers if isinstance(source, kind)), None)
    if kind is None:
        kinds = " or ".join(with_article(kind.__name__) for kind in row.readers)
        given = "and none is given" if source is None else f"not from {with_article(type(source).__name__)}"
        raise UsageError(f'"{overlay}" is read from {kinds}, as trace=…, {given}')
    what, read = row.readers[kind]
    marks = dict[Any, Mark](read(source))
    lines = {} if row.lines is None else row.lines(source)
    return row, what if isinstance(what, str) else what(source, marks), marks, lines


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
    return Mark(compact(given if isinstance(given, (bool, int)) else value), value)


def of_graph(marks: Mapping[Any, _Said], graph: Graph) -> dict[Node, _Said]:
    """Return the marks by the nodes of this graph; nodes of another graph, such as a loaded one, match by name."""
    found: dict[Node, _Said] = {}
    for key, mark in marks.items():
        if not isinstance(key, (Node, str)):
            raise UsageError(f"an overlay is by node or name, not by {type(key).__name__}")
        if isinstance(key, str) or key.graph is graph:
            found[graph[key] if isinstance(key, str) else key] = mark
    for key, mark in marks.items():
        if isinstance(key, Node) and key.graph is not graph and key.name in graph.dag:
            found.setdefault(graph[key.name], mark)
    inside = [(outside(key), mark) for key, mark in marks.items() if isinstance(key, Node) and key.graph is not graph]
    for loop, mark in sorted(inside, key=lambda pair: _strength(pair[1])):
        if loop.graph is graph:
            found.setdefault(loop, mark)
    return found


def _in_bodies(marks: Mapping[Any, Mark], seen: Picture) -> Iterator[tuple[Node, Mark]]:
    """Yield what is said of nodes in iterations, by the nodes of bodies that are drawn: of all iterations the least."""
    said: dict[str, list[Mark]] = {}
    for key, mark in marks.items():
        if isinstance(key, Node) and "@" in key.name:
            said.setdefault(in_every(key.name), []).append(mark)
    path_of = {loop: path for path, loop in seen.loops.items()}
    for node, (loop, *_) in seen.origins.items() if said else ():
        name = f"{path_of.get(loop, '')}@/{node.name}".replace("@/", "@*/")
        if found := said.get(name):
            yield node, min(found, key=_strength)


def _strength(said: Any) -> float:
    """Return which of what is said of the nodes of a loop is said of the loop: the least."""
    if not isinstance(said, Mark):
        return 0.0
    return list(HIGHLIGHTS).index(said.level) if said.level in HIGHLIGHTS else len(HIGHLIGHTS)


def _at_drawn(row: Overlay, found: Mapping[Node, Mark], seen: Picture) -> dict[Node, Mark]:
    """Return marks with those of loops that are not drawn, as they keep more of the same, at the loop that is."""
    nodes = [*seen.loops.values(), *(node for box in seen.boxes for node in box.nodes)]
    drawn = {first_like(node): node for node in nodes if has_bodies(node)}
    result: dict[Node, Mark] = {}
    for node, mark in found.items():
        at = drawn.get(first_like(node), node) if has_bodies(node) else node
        before = result.get(at)
        if before is not None and row.together == "sum":
            total = (before.number or 0.0) + (mark.number or 0.0)
            result[at] = Mark(row.text_of(total), total)
        elif before is None or at is node:
            result[at] = mark
    return result


def _arrays_of(box: Box, seen: Picture) -> Iterable[Node]:
    """Return the arrays of a loop that a box gives; those of a branch are not of a side, which may not have run."""
    loop, *_ = seen.origins.get(box.node, (box.node, 0, 0))
    if len(insides(loop)) < _SIDES:
        return box.gives
    return (box.gives or loop.users) if box.node is loop else ()


def _merged(row: Overlay, box: Box, arrays: Iterable[Node], found: Mapping[Node, Mark]) -> Mark | None:
    """Return one mark for all nodes in a box, and the arrays of a loop that it gives."""
    marks = [(node, found[node]) for node in (*box.nodes, *arrays) if node in found]
    own = next((node for node in reversed(box.nodes) if node.inputs), box.node)
    if found.get(own) is NOTHING:  # of a loop, what the first of its arrays says
        own = next((node for node in arrays if node in found), own)
    if len(box.nodes) == 1 or not marks:
        return found.get(own, marks[0][1]) if marks else None
    if row.together == "sum":
        total = math.fsum(mark.number or 0.0 for _, mark in marks)
        return Mark(row.text_of(total), total)
    if row.together == "count":
        counts = Counter(_fate(mark) for _, mark in marks)
        idle = all(mark.level == "waiting" for _, mark in marks)
        said = [f"{n} {fate}{'s' if n > 1 and fate in _NOUNS else ''}" for fate, n in counts.items()]
        return Mark(", ".join(said), level="waiting" if idle else "fed")
    if row.together == "level":
        return max((mark for _, mark in marks), key=lambda mark: list(HIGHLIGHTS).index(mark.level))
    if row.together == "result":
        return found.get(own)
    strength = list(HIGHLIGHTS).index
    node, largest = min(marks, key=lambda one: (strength(one[1].level), -_size(one[1])))
    first, *rest = largest.text.split("\n")
    name = local_name(node.name, box.scope)
    where = f"in {name if name != node.name else local_name(name, box.around)}"
    others = [f"and {len(marks) - 1} more"] if largest.number is None and len(marks) > 1 else []
    return largest._replace(text="\n".join([first, where, *rest, *others]))


def _size(mark: Mark) -> float:
    if mark.number is None:
        return -1.0
    return math.inf if math.isnan(mark.number) else abs(mark.number)


def _fate(mark: Mark) -> str:
    """Return what a plan does with a node, without the names of other nodes."""
    return next((short for begin, short in _FATES.items() if mark.text.startswith(begin)), mark.text)


def _holds_numbers(value: Array) -> bool:
    return is_float(value.dtype) or value.dtype.kind in "iub"


class _Cells(NamedTuple):
    """How values are drawn.

    As heatmaps at all; with 0 in the middle; what is less is rounding; on which paper; whether small ones are written
    out, and in which colour.
    """

    drawn: bool
    signed: bool
    floor: float
    theme: str
    numbers: bool = False
    ink: str = ""

    def written(self, mark: Mark) -> Panel | None:
        """Return all numbers of a mark, if they are to be written out and there is room for them."""
        value = mark.numbers if self.numbers else None
        if value is None or not _holds_numbers(value):
            return None
        if value.size == 1:
            return Panel((compact(value.item()),), ink=self.ink)
        written = _matrices(value, mark.labels)
        return Panel(matrices=written, ink=self.ink) if written else None

    def of(self, mark: Mark) -> list[Panel]:
        """Return the heatmap of a mark, if there is one."""
        value = mark.value
        if not self.drawn or value is None or not _holds_numbers(value):
            return []
        most = max(_most(value), self.floor)
        scale = Scale(-most, most, signed=True) if self.signed and most else None
        draw = small_multiples if value.ndim > 2 else thumbnail
        small = draw(value, scale, mark.shape, self.theme)
        return [Panel(cells=small.cells, note=small.note, square=value.ndim > 2)] if small.cells else []


def _matrices(value: Array, labels: Sequence[Sequence[str] | None]) -> list[list[list[str]]]:
    """Return the numbers of a small value as text, a matrix for each place along the axes before the last two.

    Where positions have names, these stand above the columns and before the rows.
    """
    columns = value.shape[-1] if value.ndim else 1
    if not 0 < value.size <= _MOST_NUMBERS or columns > _MOST_COLUMNS or not _holds_numbers(value):
        return []
    planes = value.reshape(-1, value.shape[-2] if value.ndim > 1 else 1, columns)
    lines = aligned(planes.reshape(-1, columns))
    rows = planes.shape[1]
    above, before = ([*reversed(labels), None, None] if len(labels) == value.ndim else [None, None])[:2]
    if before is not None:
        lines = [[shortened(before[i % rows], _MOST_LABEL), *line] for i, line in enumerate(lines)]
    matrices = [lines[at : at + rows] for at in range(0, len(lines), rows)]
    if above is None:
        return matrices
    head = [*([" "] if before is not None else []), *[shortened(name, _MOST_LABEL) for name in above]]
    return [[head, *matrix] for matrix in matrices]


def _most(array: Array) -> float:
    """Return the largest finite magnitude in an array."""
    with np.errstate(all="ignore"):  # what is longer than float64 may overflow
        wide = np.abs(array.astype(np.float64))
    return float(np.max(wide, initial=0.0, where=np.isfinite(wide)))


def _floor(arrays: Sequence[Array]) -> float:
    """Return what rounding may leave of the largest number in some arrays."""
    return max((_most(array) * eps_of(array) for array in arrays), default=0.0)


def _patch(
    row: Overlay,
    operations: Sequence[Node],
    mark: Mark | None,
    found: Mapping[Node, Mark],
    scale: _Colours | None,
    cells: _Cells,
) -> Patch | None:
    missing = sum(node not in found for node in operations) if row.missing else 0
    if missing and missing == len(operations):
        return Patch([row.missing], "waiting")
    notes = [f"{missing} of {len(operations)} {row.missing}"] if missing else []
    if mark is None:
        return Patch(notes) if notes else None
    if written := cells.written(mark):
        return Patch(notes, mark.level, tip=[line for line in mark.tip.split("\n") if line], panels=[written])
    notes = [line for line in mark.text.split("\n") if line] + notes
    fill = scale.fill(mark.number) if scale is not None and mark.number is not None else None
    tip = [line for line in mark.tip.split("\n") if line]
    if row.unit and mark.number is not None:
        tip.append(f"{mark.number:,.0f} {row.unit}")
    if fill is None:
        return Patch(notes, mark.level, tip=tip, panels=cells.of(mark))
    return Patch(notes, mark.level, in_hex(fill), in_hex(ink_on(fill)), tip, cells.of(mark))


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
        return self.scale.colours(
            self.scale.fractions(np.array(math.log10(value / self.low) if self.logarithmic else value))
        )


def _scale(row: Overlay, numbers: Iterable[float | None], eps: float, theme: str) -> _Colours | None:
    finite = np.array([n for n in numbers if n is not None and math.isfinite(n)])
    if not row.scale or not finite.any():
        return None
    low, high, positive = 0.0, float(abs(finite).max()), finite[finite > 0]
    if row.scale == "signed" or finite.min() < 0:
        return _Colours(Scale(-high, high, signed=True, theme=theme), -high, high, logarithmic=False)
    least = max(float(positive.min()), high * eps)  # what is less is rounding, and would stretch the scale
    if row.scale == "logarithm" and high / _LOGARITHMIC > least:
        whole = Scale(0.0, math.log10(high / least), signed=False, theme=theme)
        return _Colours(whole, least, high, logarithmic=True)
    return _Colours(Scale(low, high, signed=False, theme=theme), low, high, logarithmic=False)


def _legend(
    row: Overlay,
    what: str,
    scale: _Colours | None,
    patch_of: Mapping[Box, Patch],
) -> Legend:
    patches = patch_of.values()
    key = [text for level, text in row.key.items() if any(patch.level == level for patch in patches)]
    colours = {cell for patch in patches for panel in patch.panels for line in panel.cells for cell in line}
    if colours:
        key.append(_OF_CELLS)
        key += ["dark red is NaN or infinite"] if in_hex(NOT_FINITE) in colours else []
    if row.together in _TOGETHER and any(len(box.nodes) > 1 for box in patch_of):
        key.append(_TOGETHER["one" if row.together == "largest" and scale is None else row.together])
    if any(patch.notes == [row.missing] for patch in patches):
        key.append(f"dotted: {row.missing}")
    if scale is None:
        return Legend(what, key="; ".join(key))
    low, high = row.text_of(scale.low), row.text_of(scale.high)
    if scale.logarithmic:
        key.insert(0, "a logarithmic scale")
    shades = [in_hex(colour) for colour in scale.scale.colours(np.linspace(0, 1, _SHADES))]
    return Legend(what, low, high, tuple(shades), "; ".join(key))
