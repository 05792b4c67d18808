"""A picture said in shapes, arrows and frames, whatever writes them down."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ...graph import Constant, Node, Parameter, Placeholder, Scope
from ..text import by_times, elided, visible
from .looks import (
    ARROW_OF_PHASE,
    CUT,
    FETCHED,
    FRAME_OF_PHASE,
    GREY,
    HIGHLIGHTS,
    INK,
    LENT,
    LOOK,
    MOST_ABOVE,
    MOST_BELOW,
    MOST_SAID,
    NAME,
    NODE,
    PAPER,
    REFERENCE,
    THEMES,
    TO_CUT,
    WAY,
    Highlight,
)
from .picture import Box, Edge, Picture, data_inputs, own_name
from .words import MOST_MARKS, frame_words, mark_of, positions_matter, scope_tip, tip_of, words

if TYPE_CHECKING:
    from .overlay import Layer


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
            look = self._done.look(FRAME_OF_PHASE[scope.phase])
            self._done.frames.append(Frame(scope, look, scope_tip(scope, nodes), *frame_words(scope, nodes)))
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
            for line in textwrap.wrap(shown, MOST_ABOVE, expand_tabs=False) or [shown] * bool(text):
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
        leads = [f"→ {elided(marks, MOST_MARKS)}"] * bool(marks)
        kind, title, below = words(box, MOST_BELOW - len(" · ".join(["", *leads])))
        below = " · ".join([below] * bool(below) + leads)
        look = dict(LOOK[kind])
        if any(node in self._seen.fetched for node in box.nodes):
            look |= FETCHED
        kind_of_mark, notes = mark_of(box, self._highlight)
        patch = self._layer.patches.get(box) if self._layer is not None else None
        if patch is not None:
            kind_of_mark = min(kind_of_mark, patch.level, key=list(HIGHLIGHTS).index)
        look = self._done.look(look | HIGHLIGHTS[kind_of_mark][0])
        soft = self._done.colour(GREY)
        name, tip = f"n{box.place}", tip_of(box)
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
        look, tip, label = dict(ARROW_OF_PHASE[head.phase]), [f"{node.name} {node.spec}"], ""
        if edge.lent:
            look |= LENT
        elif edge.tail.scope is not None and isinstance(node.op, Parameter):
            # A layer that uses another's parameter.
            look |= LENT | {"constraint": "false"}
            label = own_name(node)
        else:
            label = self._shape_to_tell(edge.tail, node)
        position = edge.position if positions_matter(head.node) else None
        tail = f"n{edge.tail.place}"
        if edge in self._long:
            number = self._marks[node]
            tail = f"r{number}_{head.place}"
            if tail not in self._references:  # the same operand twice
                self._references.add(tail)
                label_of_mark = f"{number}  {own_name(node)}"
                self._add_small(tail, head.around, REFERENCE, tip, label_of_mark, "reference")
            look |= {"style": "dotted", "weight": "1"}
        if edge in self._way:
            look |= WAY
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
                look, label = self._done.look(FETCHED | {"penwidth": "1.4"}), self._shape_to_tell(box_of[node], node)
                self._done.shapes.append(Shape(head, None, self._done.look(NAME), tip, name))
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
        look = self._done.look(TO_CUT)
        for box, nodes in above.items():
            tail, tip = f"r0_{box.place}", [f"{node.name} {node.spec}" for node in nodes]
            self._add_small(tail, box.around, CUT, tip, _cut_off(map(own_name, nodes)), "cut")
            self._done.arrows.append(Arrow(tail, f"n{box.place}", look, tip))
        for box, readers in below.items():
            head, tip = f"t{self._number}", [tip_of(reader)[0] for reader in readers]
            self._number += 1
            self._add_small(head, box.around, CUT, tip, _cut_off(words(reader).title for reader in readers), "cut")
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
    """Return the edges that a way takes; between collapsed boxes, all of two if none is of its very value."""
    box_of = {node: box for box in seen.boxes for node in box.nodes} if way else {}
    between: dict[tuple[Box | None, Box | None], list[Edge]] = {}
    for edge in seen.edges if way else ():
        between.setdefault((edge.tail, edge.head), []).append(edge)
    found: set[Edge] = set()
    for node, reader in way:
        edges = between.get((box_of.get(node), box_of.get(reader)), [])
        found.update([edge for edge in edges if edge.node is node] or edges)
    return found
