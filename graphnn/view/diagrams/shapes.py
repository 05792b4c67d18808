"""A picture as shapes, arrows and frames: what SVG, DOT, Mermaid and text have in common."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..formatting import by_times, counted, elided, shortened
from . import style
from .box_text import MOST_MARKS, frame_words, mark_of, positions_matter, repeated_title, scope_tip, tip_of, words
from .formulas import formula_of
from .overlay import NO_OVERLAY, Layer, Panel, Patch
from .picture import NEXT, Box, Edge, Picture, data_inputs, scope_path, title_of, value_name
from .shared_parameters import sharing

if TYPE_CHECKING:
    from ...core import Node, Scope


class Shape(NamedTuple):
    """A box, the name of a fetch, or a reference.

    Attributes
    ----------
    name : str
        Never a user's name: n0 is a box, t0 the name of a fetch, r1_7 a reference to mark 1.
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
    panels : sequence of Panel
        Under all that.
    formula : str
        What it computes, under the line below; may be empty.
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
    soft: str = style.GREY
    panels: Sequence[Panel] = ()
    formula: str = ""

    @property
    def said(self) -> list[str]:
        """All lines below the title and the line under it."""
        return [*self.notes, *(line for panel in self.panels for line in panel.lines)]


class Arrow(NamedTuple):
    """A line from one shape to another, for all values that go that way.

    Attributes
    ----------
    tail, head : str
        Names of shapes.
    look : dict of str to str
    tip : list of str
        A line a value.
    label : str
        Beside its beginning, such as how many values there are; may be empty.
    position : str
        Written at its head: which operand it is, where that matters, or ``×3`` for three values; may be empty.
    """

    tail: str
    head: str
    look: dict[str, str]
    tip: list[str]
    label: str = ""
    position: str = ""


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
        The colours of a scale, after the text; may be empty.
    end : str
        The text after the scale.
    joint : str or None
        If it goes on with the text of the line before: what stands between the two.
    beside : bool
        Whether it may stand on the line of the one before, where there is room.
    """

    text: str
    size: float
    bold: bool
    colour: str
    shades: Sequence[str] = ()
    end: str = ""
    joint: str | None = None
    beside: bool = False


class Manner(NamedTuple):
    """How a picture is drawn, whatever writes it down.

    Attributes
    ----------
    title : str or None
        Above the picture.
    sideways : bool
        Whether values go from left to right instead of from top to bottom. Text always goes down.
    highlight : mapping of Node to str or tuple of str
        What sets nodes apart: a key of `HIGHLIGHTS`; or that and the lines to write on the box.
    layer : Layer
        An overlay.
    way : collection of (Node, Node)
        Edges to draw as a way: each value and its reader.
    theme : str
        A key of `THEMES`.
    remark : str
        A line above the picture; may be empty.
    direction : str or None
        ``"down"`` or ``"right"``, if it was asked for: then a picture that is too large is not turned.
    """

    title: str | None = None
    sideways: bool = False
    highlight: Mapping[Node, style.Highlight] = {}
    layer: Layer = NO_OVERLAY
    way: Collection[tuple[Node, Node]] = ()
    theme: str = "light"
    remark: str = ""
    direction: str | None = None


USUAL = Manner()


def paragraphs(headings: Iterable[Heading]) -> list[str]:
    """Return the texts above a picture, each on one line however many lines it takes there."""
    said: list[str] = []
    for heading in headings:
        if heading.joint is None:
            said.append(f"{heading.text} … {heading.end}" if heading.shades else heading.text)
        else:
            said[-1] += heading.joint + heading.text
    return said


class Drawing:
    """A picture as shapes, arrows and frames.

    Parameters
    ----------
    seen : Picture
    manner : Manner
    long : set of Edge
        Edges to cut: the value gets a mark, and the reader a reference to it.

    Attributes
    ----------
    shapes : list of Shape
        Boxes in order of making, then references, then the names of what was fetched.
    arrows : list of Arrow
    frames : list of Frame
    headings : list of Heading
    """

    def __init__(self, seen: Picture, manner: Manner = USUAL, long: Collection[Edge] = ()) -> None:
        self._seen, self._manner, self._long = seen, manner, long
        self._way = _edges_of(seen, manner.way)
        self._shared = sharing(seen)
        self._told: dict[Box, dict[str, list[Node]]] = {}
        for edge in self._shared.unlined:
            name = value_name(edge) if edge.tail.scope is None else title_of(edge.tail.scope)
            self._told.setdefault(edge.head, {}).setdefault(name, []).append(edge.node)
        lines = list(lines_of(edge for edge in seen.edges if edge not in self._shared.unlined))
        # A value at the far end of a long edge has a mark, which its box and the references to it bear.
        far = dict.fromkeys(line[0].node for line in lines if line[0] in long)
        self._marks = {node: str(mark) for mark, node in enumerate(far, start=1)}
        self._with_shape: set[Node] = set()  # values whose shape is written on an arrow
        self._references: set[str] = set()
        self._number = 0  # of names of what was fetched, and of what is cut off below
        nodes_in = seen.nodes_in()
        self.headings = list(self._all_headings())
        self.frames = [self._frame(scope, nodes_in[scope.path]) for scope in seen.open_scopes()]
        self.shapes = [self._box(box) for box in seen.boxes]
        self.arrows: list[Arrow] = []
        for line in lines:
            self._draw_line(line)
        self._draw_names()
        self._draw_cuts()

    def colour(self, usual: str) -> str:
        """Return a colour of the visual language as it is on this paper."""
        return style.THEMES[self._manner.theme].get(usual, usual)

    def look(self, usual: Mapping[str, str]) -> dict[str, str]:
        """Return a look with such colours."""
        return {name: self.colour(value) for name, value in usual.items()}

    def nested(self) -> Iterator[tuple[Frame, bool]]:
        """Yield each frame twice, where it begins (True) and where it ends (False), those in it in between."""
        inside: dict[str, list[Frame]] = {}
        for frame in self.frames:
            inside.setdefault(scope_path(frame.scope.parent), []).append(frame)
        waiting = [(frame, True) for frame in reversed(inside.get("", []))]
        while waiting:
            frame, begins = waiting.pop()
            yield frame, begins
            if begins:
                waiting.append((frame, False))
                waiting += [(inner, True) for inner in reversed(inside.get(frame.scope.path, []))]

    def _all_headings(self) -> Iterator[Heading]:
        ink, grey = self.colour(style.INK), self.colour(style.GREY)
        yield from _heading_lines(self._manner.title or "", 14.0, False, ink)
        for number, legend in enumerate(self._manner.layer.legends):
            yield from _heading_lines(legend.what, 9.5, True, self.colour(legend.ink) or ink, number > 0)
            if legend.colours:
                yield Heading(legend.low, 8.0, False, ink, legend.colours, legend.high, beside=True)
            yield from _heading_lines(legend.key, 8.0, False, grey, bool(legend.what or legend.colours))
        yield from _heading_lines(self._manner.remark, 8.0, False, grey, bool(self._manner.layer.legends))

    def _frame(self, scope: Scope, nodes: list[Node]) -> Frame:
        look = self.look(style.FRAME_OF_PHASE[scope.phase])
        title, note = frame_words(scope, nodes)
        title = repeated_title(title, self._seen.times.get(scope.path, 1))
        note = ", ".join(filter(None, [note, self._manner.layer.frames.get(scope.path, "")]))
        return Frame(scope, look, scope_tip(scope, nodes), title, note)

    def _box(self, box: Box) -> Shape:
        marks = ", ".join([self._marks[node] for node in box.nodes if node in self._marks])
        leads = [f"→ {elided(marks, MOST_MARKS)}"] if marks else []
        kind, title, below = words(box, style.MOST_BELOW - len(" · ".join(["", *leads])))
        told, readers = self._told.get(box, {}), self._shared.readers.get(box)
        shared = [f"read by {readers}"] if readers else []
        shared += [f"↑ {elided(', '.join(told), MOST_MARKS)}"] if told else []
        below = " · ".join(([below] if below else []) + shared + leads)
        look = dict(style.LOOK[kind])
        if any(node in self._seen.fetched for node in box.seen):
            look |= style.FETCHED
        kind_of_mark, notes = mark_of(box, self._manner.highlight)
        layer = self._manner.layer
        patch = layer.patches.get(box, Patch())
        kind_of_mark = min(kind_of_mark, patch.level, key=list(style.HIGHLIGHTS).index)
        look = self.look(look | style.HIGHLIGHTS[kind_of_mark][0])
        soft = look["fontcolor"] if kind_of_mark == "outside" else self.colour(style.GREY)
        if layer.has_colours and "filled" in look.get("style", style.NODE["style"]):
            # Only the overlay gives colours a meaning.
            look["fillcolor"] = patch.fill or self.colour(style.PAPER)
            if patch.fill:
                look["fontcolor"] = soft = patch.ink
        reads = [f"reads {node.name} {node.spec}" for nodes in told.values() for node in nodes]
        name, notes, tip = f"n{box.place}", [*notes, *patch.notes], [*tip_of(box), *reads, *patch.tip]
        formula = formula_of(box)
        if kind == "constant" and not notes and not patch.panels:
            return Shape(name, box.around, look, tip, f"{title} {below}".strip(), small=9.0, kind=kind, soft=soft)
        return Shape(name, box.around, look, tip, title, below, notes, 0.0, kind, soft, patch.panels, formula)

    def _draw_line(self, edges: Sequence[Edge]) -> None:
        edge, nodes = edges[0], dict.fromkeys(edge.node for edge in edges)
        node, head = edge.node, edge.head
        look, tip = dict(style.ARROW_OF_PHASE[head.phase]), [f"{node.name} {node.spec}" for node in nodes]
        label = count = ""
        if edge.taken == NEXT:
            look |= style.BACK
        elif edge.lent:
            look |= style.LENT
        elif len(nodes) == 1:
            label = self._new_shape(edge.tail, node)
        said = [] if edge.lent else list(dict.fromkeys(edge.said for edge in edges if edge.said))
        label = " · ".join([*said, *([label] if label else [])])
        positions = [str(edge.position) for edge in edges if edge.position is not None and positions_matter(head.node)]
        positions += [edge.taken for edge in edges if edge.taken]
        if len(nodes) > 1:
            label = count = counted(len(nodes), "value")
            if edge.lent and not positions:  # at its head, because at its beginning there are lines of the forward pass
                positions, label = [f"×{len(nodes)}"], ""
        tail = f"n{edge.tail.place}"
        if edge in self._long:
            number = self._marks[node]
            tail = f"r{number}_{head.place}"
            if tail not in self._references:  # the same operand twice
                self._references.add(tail)
                title = f"{number}  {value_name(edge) if len(nodes) == 1 else count}"
                self._add_small(tail, head.around, style.REFERENCE, tip, title, "reference")
            look |= {"style": "dotted", "weight": "1"}
            label = label if len(nodes) == 1 else ""
        strokes = [stroke for each in edges if (stroke := self._manner.layer.strokes.get(each)) is not None]
        if strokes:
            stroke = max(strokes, key=lambda each: each.size)
            look |= stroke.look
            tip += [stroke.tip] if stroke.tip else []
        if not self._way.isdisjoint(edges):
            look |= style.WAY
        self.arrows.append(Arrow(tail, f"n{head.place}", self.look(look), tip, label, ", ".join(positions)))

    def _new_shape(self, box: Box, node: Node) -> str:
        """Return the shape of a value where it is not that of what it was made from; only once."""
        patch = self._manner.layer.patches.get(box)
        if node in self._with_shape or node.op.is_leaf or (patch and any(panel.matrices for panel in patch.panels)):
            return ""  # it was said, or is seen
        self._with_shape.add(node)
        operands = node.inputs if box.scope is None else data_inputs(box.nodes)
        return "" if any(node.shape == operand.shape for operand in operands) else by_times(node.shape)

    def _draw_names(self) -> None:
        """Draw the names of what was fetched."""
        box_of = {node: box for box in self._seen.boxes for node in box.seen if node in self._seen.fetched}
        look = self.look(style.FETCHED | {"penwidth": "1.4"})
        for node, box in ((node, box_of[node]) for node in self._seen.fetched if node in box_of):
            for name in self._seen.fetched[node]:
                tip, head = [f"{name}: {node.name} {node.spec}"], self._next_name()
                self.shapes.append(Shape(head, None, self.look(style.NAME), tip, name))
                label = " · ".join(filter(None, [box.gives.get(node, ""), self._new_shape(box, node)]))
                self.arrows.append(Arrow(f"n{box.place}", head, look, tip, label))

    def _draw_cuts(self) -> None:
        """Draw a stub where a box reads what is cut off, and one where it is read by that."""
        inside = set(self._seen.boxes)
        above: dict[Box, dict[Node, str]] = {}
        below: dict[Box, dict[Box, None]] = {}
        for edge in self._seen.cut:
            if edge.head in inside:
                above.setdefault(edge.head, {})[edge.node] = value_name(edge)
            else:
                below.setdefault(edge.tail, {})[edge.head] = None
        look = self.look(style.TO_CUT)
        for box, nodes in above.items():
            tail, tip = f"r0_{box.place}", [f"{node.name} {node.spec}" for node in nodes]
            self._add_small(tail, box.around, style.NAME, tip, _cut_off(nodes.values()), "cut")
            self.arrows.append(Arrow(tail, f"n{box.place}", look, tip))
        for box, readers in below.items():
            head, tip = self._next_name(), [tip_of(reader)[0] for reader in readers]
            title = _cut_off(words(reader).title for reader in readers)
            self._add_small(head, box.around, style.NAME, tip, title, "cut")
            self.arrows.append(Arrow(f"n{box.place}", head, look, tip))

    def _next_name(self) -> str:
        self._number += 1
        return f"t{self._number - 1}"

    def _add_small(
        self, name: str, around: Scope | None, look: dict[str, str], tip: list[str], title: str, kind: str
    ) -> None:
        soft = self.colour(style.GREY)
        self.shapes.append(Shape(name, around, self.look(look), tip, title, small=8.0, kind=kind, soft=soft))


def _heading_lines(text: str, size: float, bold: bool, colour: str, beside: bool = False) -> Iterator[Heading]:
    """Yield the lines of a text above a picture."""
    said, at = shortened(text, style.MOST_SAID) if text else "", 0
    for line in textwrap.wrap(said, style.MOST_ABOVE, expand_tabs=False) or ([said] if text else []):
        start = said.index(line, at)
        yield Heading(line, size, bold, colour, joint=said[at:start] if at else None, beside=beside and not at)
        at = start + len(line)


def _cut_off(names: Iterable[str]) -> str:
    """Return the text for what is cut off: ``… relu``, ``… 3 more``."""
    first, *rest = names
    return f"… {first}" if not rest else f"… {len(rest) + 1} more"


def lines_of(edges: Iterable[Edge]) -> Iterable[list[Edge]]:
    """Return the edges by the line that they share: between two boxes there is one, if one of them is collapsed."""
    lines: dict[tuple[int, int, int], list[Edge]] = {}
    for number, edge in enumerate(edges):
        alone = edge.tail.scope is None and edge.head.scope is None
        lines.setdefault((edge.tail.place, edge.head.place, alone * number), []).append(edge)
    return lines.values()


def _edges_of(seen: Picture, way: Collection[tuple[Node, Node]]) -> set[Edge]:
    """Return the edges that a way takes; between collapsed boxes, all of two if none has exactly its value."""
    if not way:
        return set()
    box_of = {node: box for box in seen.boxes for node in box.seen}
    between: dict[tuple[Box | None, Box | None], list[Edge]] = {}
    for edge in seen.edges:
        between.setdefault((edge.tail, edge.head), []).append(edge)
    found: set[Edge] = set()
    for node, reader in way:
        edges = between.get((box_of.get(node), box_of.get(reader)), [])
        found.update([edge for edge in edges if edge.node is node] or edges)
    return found
