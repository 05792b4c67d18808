"""How a picture looks: the visual language, and what is written on boxes, frames and arrows.

The visual language stands in one table, `_LOOK`: kinds are told apart by shape, dash and double border as well as
by colour, so that a print in grey says the same. It is written in Graphviz's words; `dot` hands them on, and `plain`
draws them itself.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any, NamedTuple

from ...graph import Constant, Node, Op, Parameter, Placeholder, Scope
from ..text import by_times, counted, elided, preview, visible
from .fold import Box, Edge, Picture, data_inputs, local_name, numbers_in, own_name, title_of

if TYPE_CHECKING:
    from .overlay import Layer

INK, GREY, _PLUM, _GREEN = "#3C4043", "#5F6368", "#8E3B6E", "#00664B"

# What all boxes and all arrows have, unless more is said. Lengths are in inches, as Graphviz counts them.
NODE = {
    "shape": "box",
    "style": "rounded,filled",
    "fillcolor": "#FFFFFF",
    "color": INK,
    "fontname": "Helvetica",
    "fontsize": "11",
    "fontcolor": "#202124",
    "margin": "0.10,0.045",
    "height": "0.32",
    "width": "0.4",
}
ARROW = {
    "color": GREY,
    "penwidth": "0.9",
    "arrowsize": "0.55",
    "fontname": "Helvetica",
    "fontsize": "8",
    "fontcolor": GREY,
    "labelfontsize": "7",
    "labeldistance": "1.1",
}
_LOOK: dict[str, dict[str, str]] = {
    "placeholder": {"shape": "ellipse", "fillcolor": "#D6E8F5", "color": "#0072B2", "margin": "0.04,0.02"},
    "parameter": {
        "shape": "cylinder",
        "style": "filled",
        "margin": "0.10,0.02",
        "fillcolor": "#FBE3C0",
        "color": "#9C5B00",
    },
    "frozen": {"shape": "cylinder", "style": "filled", "margin": "0.10,0.02", "color": "#9C5B00"},
    "constant": {"shape": "plaintext", "style": "", "margin": "0.03,0.02", "height": "0.2", "width": "0.2"},
    "operation": {},
    "layer": {"fillcolor": "#FBE3C0", "color": "#9C5B00"},
    "gradient": {"style": "rounded,filled,dashed", "fillcolor": "#F6E4EE", "color": _PLUM},
    "update": {"fillcolor": "#D5EFE3", "color": _GREEN, "peripheries": "2"},
}
_FETCHED = {"color": "#000000", "penwidth": "2.2"}
_NAME = {"shape": "plaintext", "style": "", "margin": "0.03,0.02", "height": "0.2", "width": "0.2"}
_REFERENCE = {
    "style": "rounded,dotted",
    "color": "#80868B",
    "margin": "0.05,0.02",
    "height": "0.2",
    "width": "0.2",
}
_NOT_RUN = {"style": "rounded,filled,dotted", "fillcolor": "#FFFFFF", "color": "#80868B", "fontcolor": "#80868B"}
# What sets a box apart from others of its kind, the strongest first; and what is said on it, unless more is known.
HIGHLIGHTS: dict[str, tuple[dict[str, str], str]] = {
    "failed": (
        {
            "shape": "octagon",
            "style": "filled",
            "fillcolor": "#FCE8E6",
            "color": "#B3261E",
            "penwidth": "2.5",
            "margin": "0,0",
        },
        "failed",
    ),
    "current": ({"peripheries": "2", "color": "#D55E00", "penwidth": "2.5"}, "current"),
    "overridden": ({"color": "#D55E00", "penwidth": "1.8"}, "overridden"),
    "warning": (
        {
            "shape": "octagon",
            "style": "filled",
            "fillcolor": "#FEF3CD",
            "color": "#9C5B00",
            "penwidth": "1.8",
            "margin": "0,0",
        },
        "warning",
    ),
    "way": ({"color": "#D55E00", "penwidth": "3"}, ""),
    "stale": (_NOT_RUN, "stale"),
    "done": ({}, ""),
    "waiting": (_NOT_RUN, ""),
    "fed": ({}, ""),
}
_FRAME_OF_PHASE = {
    "forward": {"fillcolor": "#F4F5F7", "color": "#C4C9D1"},
    "backward": {"fillcolor": "#FBF3F7", "color": "#D9B8CB"},
    "update": {"fillcolor": "#F1FAF6", "color": "#A9CFC0"},
}
_ARROW_OF_PHASE = {"forward": {}, "backward": {"color": _PLUM}, "update": {"color": _GREEN}}
_LENT = {"style": "dotted", "color": "#80868B", "weight": "0", "arrowsize": "0.45"}

_WAY = {"color": "#D55E00", "penwidth": "2.6", "arrowsize": "0.7"}
_CUT = {"shape": "plaintext", "style": "", "margin": "0.03,0.02", "height": "0.2", "width": "0.2"}
_TO_CUT = {"style": "dotted", "color": "#80868B", "arrowsize": "0.45"}

# On dark paper: another colour for each.
PAPER = "#FFFFFF"
THEMES: dict[str, dict[str, str]] = {
    "light": {},
    "dark": {
        PAPER: "#202226",
        INK: "#C4C7CC",
        GREY: "#A6ABB2",
        "#202124": "#ECEEF1",
        "#000000": "#FFFFFF",
        "#80868B": "#8A9097",
        "#D6E8F5": "#173A52",
        "#0072B2": "#56B4E9",
        "#FBE3C0": "#4D3711",
        "#9C5B00": "#E6A23C",
        "#F6E4EE": "#44293C",
        _PLUM: "#D08BB4",
        "#D5EFE3": "#14432F",
        _GREEN: "#4DC19B",
        "#FCE8E6": "#57201B",
        "#B3261E": "#F28B82",
        "#FEF3CD": "#4A3C0C",
        "#D55E00": "#FF9147",
        "#F4F5F7": "#2A2C31",
        "#C4C9D1": "#4C5058",
        "#FBF3F7": "#302730",
        "#D9B8CB": "#6E5064",
        "#F1FAF6": "#222E2A",
        "#A9CFC0": "#456B5C",
    },
}

MOST_SHOWN, MOST_BELOW, MOST_SAID, _MOST_INLINE, _MOST_ABOVE = 32, 48, 1000, 6, 96
_LEAST_NAME, _MOST_SIZE, _MOST_MARKS = 8, 12, 20
WIDTH_OF_SHADE = 12.0  # of a scale, one colour
# Of heatmaps: width and height at most, and of a cell.
_MOST_OF_CELLS, _MOST_OF_CELL = (64.0, 36.0), (10.0, 6.0)
_KIND_OF_PHASE = {"backward": "gradient", "update": "update"}

# Where the order of the operands does not matter, their positions need not be told.
_COMMUTATIVE = frozenset({"add", "multiply", "maximum", "minimum", "equal", "not_equal", "logical_and", "logical_or"})

Highlight = str | tuple[str, ...]
"""A key of `HIGHLIGHTS`; or that and the lines that are said on the box instead."""


def cell_size(cells: Sequence[Sequence[str]]) -> tuple[float, float]:
    """Return how wide and high a cell of a heatmap is, in points."""
    width, height = (
        max(1.0, min(most // count, of_one))
        for most, count, of_one in zip(_MOST_OF_CELLS, (len(cells[0]), len(cells)), _MOST_OF_CELL, strict=True)
    )
    return width, height


# --- what is written on a box --------------------------------------------------------------------------------


class Words(NamedTuple):
    """The kind of a box, and what is written on it."""

    kind: str
    title: str
    below: str = ""


def words(box: Box, room: int = MOST_BELOW) -> Words:
    """Return the kind of a box, a key of the table of looks, and what is written on it.

    Of a name that is too long for the `room` below the title, something is left out; never of a count.
    """
    return _node_words(box) if box.scope is None else _layer_words(box, box.scope, room)


def _layer_words(box: Box, scope: Scope, room: int) -> Words:
    numbers = numbers_in(box.nodes)
    kind = _KIND_OF_PHASE.get(box.phase) or ("layer" if numbers else "operation")
    below = [counted(numbers, "parameter")] if numbers else []
    given = [local_name(node.title, scope) for node in box.nodes if node.title != node.name][-1:]
    below += [elided(visible(name), _MOST_SIZE) for name in given]
    if scope.kind:
        below.insert(0, elided(visible(title_of(scope)), max(room - len(" · ".join(["", *below])), _LEAST_NAME)))
    return Words(kind, scope.kind or title_of(scope), " · ".join(below))


def _node_words(box: Box) -> Words:
    node, name = box.node, own_name(box.node)
    shape = by_times(node.shape) + (f" · {node.dtype}" if node.dtype != node.graph.dtype else "")
    if isinstance(node.op, Placeholder):
        return Words("placeholder", name, shape)
    if isinstance(node.op, Parameter):
        return Words("parameter", name, shape) if node.trainable else Words("frozen", name, f"{shape} · not trained")
    if isinstance(node.op, Constant):
        # A constant that the user named says so.
        value = preview(node.value) if math.prod(map(int, node.shape)) <= _MOST_INLINE else shape
        return Words("constant", value if re.fullmatch(r"constant(_\d+)?", name) else f"{name} = {value}")
    below = [name] if name != node.op.name else []
    below += settings(node.op)
    if node.twin is not None and node.twin.phase != node.phase:
        below.append(f"of {own_name(node.twin)}")
    return Words(_KIND_OF_PHASE.get(node.phase, "operation"), node.op.name, " · ".join(below))


def mark_of(box: Box, highlight: Mapping[Node, Highlight]) -> tuple[str, Sequence[str]]:
    """Return the strongest mark of the nodes in a box, with its notes."""
    found: dict[str, Sequence[str]] = {}
    for node in box.nodes:
        mark = highlight.get(node, "fed")
        kind, *notes = [mark, HIGHLIGHTS[mark][1]] if isinstance(mark, str) else mark
        found.setdefault(kind, [note for note in notes if note])
    strongest = min(found, key=list(HIGHLIGHTS).index)
    return strongest, found[strongest]


def settings(op: Op) -> list[str]:
    """Return the attributes that are not as they are by default: ``axis=1``, ``keepdims``."""
    defaults = {attribute.name: attribute.default for attribute in fields(op)}  # type: ignore[arg-type]
    told = op.attributes.items()  # of an operation that is not defined here, what the file says
    return [_setting(name, value) for name, value in told if value != defaults.get(name, MISSING)]


def _setting(name: str, value: Any) -> str:
    if name == "index":
        return f"[{', '.join(map(_index, value if isinstance(value, tuple) else (value,)))}]"
    return name if value is True else f"{name}={_plain(value)}"


def _plain(value: Any) -> str:
    return f"({', '.join(map(_plain, value))})" if isinstance(value, tuple) else str(value)


def _index(part: Any) -> str:
    """Return a part of an index as it was written: a slice is kept as its start, stop and step."""
    if not isinstance(part, tuple):
        return str(part)
    start, stop, step = ("" if end is None else str(end) for end in part)
    return f"{start}:{stop}" + (f":{step}" if step else "")


def frame_words(scope: Scope, nodes: list[Node]) -> tuple[str, str]:
    """Return the name of an open scope, and ``2 → 64, 192 parameters`` of one that has parameters."""
    numbers = numbers_in(nodes)
    if not numbers:
        return title_of(scope), ""
    note = counted(numbers, "parameter")
    # A scope of the user's own may hold a backward pass and an update, too.
    forward = [node for node in nodes if node.phase == "forward"]
    given, result = next(iter(data_inputs(forward)), None), forward[-1] if forward else nodes[-1]
    if scope.phase == "forward" and given is not None and len(given.shape) == len(result.shape) > 0:
        sizes = [elided(str(node.shape[-1]), _MOST_SIZE) for node in (given, result)]
        note = f"{' → '.join(sizes)}, {note}"
    return title_of(scope), note


def _tip_of(box: Box) -> list[str]:
    if box.scope is not None:
        return _scope_tip(box.scope, box.nodes)
    node = box.node
    lines = [*dict.fromkeys([node.title, node.name]), f"{node.op!r} {node.spec}", f"made at {node.origin}"]
    if node.twin is not None:
        lines.append(f"for {node.twin.name}")
    return lines


def _scope_tip(scope: Scope, nodes: list[Node]) -> list[str]:
    operations = sum(bool(node.inputs) for node in nodes)
    what = [scope.kind] * bool(scope.kind) + [counted(operations, "operation")]
    if numbers := numbers_in(nodes):
        what.append(counted(numbers, "parameter"))
    return [scope.path, ", ".join(what), f"made at {scope.origin}"]


# --- the picture, said in shapes ------------------------------------------------------------------------------


class Shape(NamedTuple):
    """A box, the name of what was fetched, or a reference.

    Attributes
    ----------
    name : str
        Never a user's: n0 is a box, t0 the name of what was fetched, r1_7 what refers to mark 1.
    around : Scope or None
        The innermost open scope around it.
    look : dict of str to str
    tip : list of str
        The lines of its tooltip.
    title : str
        In bold; a small one is the only line, and grey.
    below : str
        The line below; may be empty.
    notes : sequence of str
        Lines under that, the first in bold.
    small : float
        The size of a small title; else 0.
    kind : str
        A key of the table of looks, ``"reference"``, ``"cut"`` or ``"name"``.
    soft : str
        The colour of the line below, and of a small title.
    cells : sequence of sequence of str
        Under all that, the colours of a heatmap.
    """

    name: str
    around: Scope | None
    look: dict[str, str]
    tip: list[str]
    title: str
    below: str = ""
    notes: Sequence[str] = ()
    small: float = 0.0
    kind: str = "name"
    soft: str = GREY
    cells: Sequence[Sequence[str]] = ()


class Arrow(NamedTuple):
    """What leads from one shape to another.

    Attributes
    ----------
    tail, head : str
        Names of shapes.
    look : dict of str to str
    tip : list of str
    label : str
        Beside its beginning; may be empty.
    position : int or None
        At its head: which operand it is, where that matters.
    """

    tail: str
    head: str
    look: dict[str, str]
    tip: list[str]
    label: str = ""
    position: int | None = None


class Frame(NamedTuple):
    """An open scope.

    Attributes
    ----------
    scope : Scope
    look : dict of str to str
    tip : list of str
    title, note : str
        In bold, and below that.
    """

    scope: Scope
    look: dict[str, str]
    tip: list[str]
    title: str
    note: str


class Heading(NamedTuple):
    """A line above the picture: a text, or a scale between two.

    Attributes
    ----------
    text : str
    size : float
    bold : bool
    colour : str
    shades : sequence of str
        The colours of a scale, behind the text; may be none.
    end : str
        Behind that.
    joint : str or None
        What parts it from the line before, if it is the rest of that.
    """

    text: str
    size: float
    bold: bool
    colour: str
    shades: Sequence[str] = ()
    end: str = ""
    joint: str | None = None


class Manner(NamedTuple):
    """What else there is to how a picture is drawn.

    Attributes
    ----------
    layer : Layer or None
        An overlay.
    way : collection of (Node, Node)
        What is to be drawn as a way: each value, and what reads it.
    theme : str
        A key of `THEMES`.
    remark : str
        Said above the picture; may be empty.
    """

    layer: Layer | None = None
    way: Collection[tuple[Node, Node]] = ()
    theme: str = "light"
    remark: str = ""


USUAL = Manner()


def paragraphs(headings: Iterable[Heading]) -> list[str]:
    """Return what is said above a picture, however many lines each has."""
    said: list[str] = []
    for heading in headings:
        if heading.joint is None:
            said.append(f"{heading.text} … {heading.end}" if heading.shades else heading.text)
        else:
            said[-1] += heading.joint + heading.text
    return said


@dataclass
class Drawing:
    """A picture in shapes: boxes in order of making, then references, then names of what was fetched."""

    shapes: list[Shape] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    headings: list[Heading] = field(default_factory=list)
    theme: str = "light"

    def colour(self, usual: str) -> str:
        """Return a colour of the visual language as it is on this paper."""
        return THEMES[self.theme].get(usual, usual)

    def look(self, usual: Mapping[str, str]) -> dict[str, str]:
        """Return a look with such colours."""
        return {name: self.colour(value) for name, value in usual.items()}


def drawing(
    seen: Picture,
    long: set[Edge],
    highlight: Mapping[Node, Highlight],
    title: str | None = None,
    manner: Manner = USUAL,
) -> Drawing:
    """Return a picture in shapes.

    Parameters
    ----------
    seen : Picture
    long : set of Edge
        Those that are to be cut, into a mark and a reference.
    highlight : dict of Node to str or sequence of str
        What sets nodes apart: a key of `HIGHLIGHTS`, or that and the lines that are said on the box.
    title : str, optional
    manner : Manner

    Returns
    -------
    Drawing
    """
    return _Drawer(seen, long, highlight, manner).drawing(title)


class _Drawer:
    def __init__(
        self, seen: Picture, long: set[Edge], highlight: Mapping[Node, Highlight], manner: Manner = USUAL
    ) -> None:
        self._seen, self._long, self._highlight, self._layer = seen, long, highlight, manner.layer
        self._remark = manner.remark
        self._way = _edges_of(seen, manner.way)
        # A value at the far end of a long edge has a mark, which its box and the references to it bear.
        far = dict.fromkeys(edge.node for edge in seen.edges if edge in long)
        self._marks = {node: str(mark) for mark, node in enumerate(far, start=1)}
        self._told: set[Node] = set()
        self._references: set[str] = set()
        self._done = Drawing(theme=manner.theme)
        self._number = 0  # of names of what was fetched, and of what is cut off below

    def drawing(self, title: str | None) -> Drawing:
        self._write_headings(title)
        nodes_in = self._seen.nodes_in()
        for scope in self._seen.open_scopes():
            nodes = nodes_in[scope.path]
            look = self._done.look(_FRAME_OF_PHASE[scope.phase])
            self._done.frames.append(Frame(scope, look, _scope_tip(scope, nodes), *frame_words(scope, nodes)))
        for box in self._seen.boxes:
            self._done.shapes.append(self._box(box))
        for edge in self._seen.edges:
            self._draw_edge(edge)
        self._draw_names()
        self._draw_cuts()
        return self._done

    def _write_headings(self, title: str | None) -> None:
        ink, grey = self._done.colour(INK), self._done.colour(GREY)

        def say(text: str, size: float, bold: bool, colour: str) -> None:
            shown, at = elided(visible(text), MOST_SAID) if text else "", 0
            for line in textwrap.wrap(shown, _MOST_ABOVE, expand_tabs=False) or [shown] * bool(text):
                start = shown.index(line, at)
                self._done.headings.append(Heading(line, size, bold, colour, joint=shown[at:start] if at else None))
                at = start + len(line)

        say(title or "", 14.0, False, ink)
        if self._layer is not None:
            legend = self._layer.legend
            say(legend.what, 9.5, True, ink)
            if legend.colours:
                self._done.headings.append(Heading(legend.low, 8.0, False, ink, legend.colours, legend.high))
            say(legend.key, 8.0, False, grey)
        say(self._remark, 8.0, False, grey)

    def _box(self, box: Box) -> Shape:
        marks = ", ".join([self._marks[node] for node in box.nodes if node in self._marks])
        leads = [f"→ {elided(marks, _MOST_MARKS)}"] * bool(marks)
        kind, title, below = words(box, MOST_BELOW - len(" · ".join(["", *leads])))
        below = " · ".join([below] * bool(below) + leads)
        look = dict(_LOOK[kind])
        if any(node in self._seen.fetched for node in box.nodes):
            look |= _FETCHED
        kind_of_mark, notes = mark_of(box, self._highlight)
        patch = self._layer.patches.get(box) if self._layer is not None else None
        if patch is not None:
            kind_of_mark = min(kind_of_mark, patch.level, key=list(HIGHLIGHTS).index)
        look = self._done.look(look | HIGHLIGHTS[kind_of_mark][0])
        soft = self._done.colour(GREY)
        name, tip = f"n{box.place}", _tip_of(box)
        if self._layer is not None and self._layer.legend.colours and "filled" in look.get("style", NODE["style"]):
            # What colours mean is the overlay's.
            look["fillcolor"] = (patch.fill if patch is not None else "") or self._done.colour(PAPER)
            if patch is not None and patch.fill:
                look["fontcolor"] = soft = patch.ink
        if patch is not None:
            notes, tip = [*notes, *patch.notes], [*tip, *patch.tip]
        if kind == "constant" and not notes:
            return Shape(name, box.around, look, tip, f"{title} {below}".strip(), small=9.0, kind=kind, soft=soft)
        cells = patch.cells if patch is not None else ()
        return Shape(name, box.around, look, tip, title, below, notes, kind=kind, soft=soft, cells=cells)

    def _draw_edge(self, edge: Edge) -> None:
        node, head = edge.node, edge.head
        look, tip, label = dict(_ARROW_OF_PHASE[head.phase]), [f"{node.name} {node.spec}"], ""
        if edge.lent:
            look |= _LENT
        elif edge.tail.scope is not None and isinstance(node.op, Parameter):
            # A layer that uses another's parameter.
            look |= _LENT | {"constraint": "false"}
            label = own_name(node)
        else:
            label = self._shape_to_tell(edge.tail, node)
        position = edge.position if _positions_matter(head.node) else None
        tail = f"n{edge.tail.place}"
        if edge in self._long:
            number = self._marks[node]
            tail = f"r{number}_{head.place}"
            if tail not in self._references:  # the same operand twice
                self._references.add(tail)
                label_of_mark = f"{number}  {own_name(node)}"
                self._add_small(tail, head.around, _REFERENCE, tip, label_of_mark, "reference")
            look |= {"style": "dotted", "weight": "1"}
        if edge in self._way:
            look |= _WAY
        self._done.arrows.append(Arrow(tail, f"n{head.place}", self._done.look(look), tip, label, position))

    def _shape_to_tell(self, box: Box, node: Node) -> str:
        """Return the shape of a value, where it is another than that of what it was made from; once."""
        if node in self._told or isinstance(node.op, (Placeholder, Parameter, Constant)):
            return ""
        self._told.add(node)
        given = node.inputs if box.scope is None else data_inputs(box.nodes)
        return "" if any(node.shape == operand.shape for operand in given) else by_times(node.shape)

    def _draw_names(self) -> None:
        """Draw the names of what was fetched."""
        box_of = {node: box for box in self._seen.boxes for node in box.nodes if node in self._seen.fetched}
        for node, names in self._seen.fetched.items():
            for name in names if node in box_of else []:
                tip, head = [f"{name}: {node.name} {node.spec}"], f"t{self._number}"
                look, label = self._done.look(_FETCHED | {"penwidth": "1.4"}), self._shape_to_tell(box_of[node], node)
                self._done.shapes.append(Shape(head, None, self._done.look(_NAME), tip, name))
                self._done.arrows.append(Arrow(f"n{box_of[node].place}", head, look, tip, label))
                self._number += 1

    def _draw_cuts(self) -> None:
        """Draw a stub where a box reads what is cut off, and one where it is read by that."""
        inside = set(self._seen.boxes)
        above: dict[Box, dict[Node, None]] = {}
        below: dict[Box, dict[Box, None]] = {}
        for edge in self._seen.cut:
            if edge.head in inside:
                above.setdefault(edge.head, {})[edge.node] = None
            else:
                below.setdefault(edge.tail, {})[edge.head] = None
        look = self._done.look(_TO_CUT)
        for box, nodes in above.items():
            tail, tip = f"r0_{box.place}", [f"{node.name} {node.spec}" for node in nodes]
            self._add_small(tail, box.around, _CUT, tip, _cut_off(map(own_name, nodes)), "cut")
            self._done.arrows.append(Arrow(tail, f"n{box.place}", look, tip))
        for box, readers in below.items():
            head, tip = f"t{self._number}", [_tip_of(reader)[0] for reader in readers]
            self._number += 1
            self._add_small(head, box.around, _CUT, tip, _cut_off(words(reader).title for reader in readers), "cut")
            self._done.arrows.append(Arrow(f"n{box.place}", head, look, tip))

    def _add_small(
        self, name: str, around: Scope | None, look: dict[str, str], tip: list[str], title: str, kind: str
    ) -> None:
        soft = self._done.colour(GREY)
        self._done.shapes.append(
            Shape(name, around, self._done.look(look), tip, title, small=8.0, kind=kind, soft=soft)
        )


def _cut_off(names: Iterable[str]) -> str:
    """Return what is said of what is cut off: ``… relu``, ``… 3 more``."""
    first, *rest = names
    return f"… {first}" if not rest else f"… {len(rest) + 1} more"


def _edges_of(seen: Picture, way: Collection[tuple[Node, Node]]) -> set[Edge]:
    """Return the edges that a way takes; between folded boxes, all of two if none is of its very value."""
    box_of = {node: box for box in seen.boxes for node in box.nodes} if way else {}
    between: dict[tuple[Box | None, Box | None], list[Edge]] = {}
    for edge in seen.edges if way else ():
        between.setdefault((edge.tail, edge.head), []).append(edge)
    found: set[Edge] = set()
    for node, reader in way:
        edges = between.get((box_of.get(node), box_of.get(reader)), [])
        found.update([edge for edge in edges if edge.node is node] or edges)
    return found


def _positions_matter(node: Node) -> bool:
    return len(node.inputs) > 1 and node.op.name not in _COMMUTATIVE
