"""How a picture looks: the visual language, and what is written on boxes, frames and arrows.

The visual language stands in one table, `_LOOK`: kinds are told apart by shape, dash and double border as well as
by colour, so that a print in grey says the same. It is written in Graphviz's words; `dot` hands them on, and `plain`
draws them itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from ..graph import Constant, Node, Parameter, Placeholder, Scope
from .fold import Box, Edge, Picture, data_inputs, numbers_in, own_name, title_of
from .text import by_times, counted, preview

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

MOST_SHOWN, MOST_BELOW, MOST_SAID, _MOST_INLINE = 32, 48, 1000, 6
_KIND_OF_PHASE = {"backward": "gradient", "update": "update"}

# Where the order of the operands does not matter, their positions need not be told.
_COMMUTATIVE = frozenset({"add", "multiply", "maximum", "minimum", "equal", "not_equal", "logical_and", "logical_or"})

Highlight = str | tuple[str, ...]
"""A key of `HIGHLIGHTS`; or that and the lines that are said on the box instead."""


# --- what is written on a box --------------------------------------------------------------------------------


class _Words(NamedTuple):
    """The kind of a box, and what is written on it."""

    kind: str
    title: str
    below: str = ""


def _words(box: Box) -> _Words:
    return _node_words(box) if box.scope is None else _layer_words(box, box.scope)


def _layer_words(box: Box, scope: Scope) -> _Words:
    numbers = numbers_in(box.nodes)
    kind = _KIND_OF_PHASE.get(box.phase) or ("layer" if numbers else "operation")
    below = [title_of(scope)] if scope.kind else []
    if numbers:
        below.append(counted(numbers, "parameter"))
    return _Words(kind, scope.kind or title_of(scope), " · ".join(below))


def _node_words(box: Box) -> _Words:
    node, name = box.node, own_name(box.node)
    shape = by_times(node.shape) + (f" · {node.dtype}" if node.dtype != node.graph.dtype else "")
    if isinstance(node.op, Placeholder):
        return _Words("placeholder", name, shape)
    if isinstance(node.op, Parameter):
        return _Words("parameter", name, shape) if node.trainable else _Words("frozen", name, f"{shape} · not trained")
    if isinstance(node.op, Constant):
        # A constant that the user named says so.
        value = preview(node.value) if math.prod(map(int, node.shape)) <= _MOST_INLINE else shape
        return _Words("constant", value if re.fullmatch(r"constant(_\d+)?", name) else f"{name} = {value}")
    below = [name] if name != node.op.name else []
    below += [_setting(name, value) for name, value in _settings(node)]
    if node.twin is not None and node.twin.phase != node.phase:
        below.append(f"of {own_name(node.twin)}")
    return _Words(_KIND_OF_PHASE.get(node.phase, "operation"), node.op.name, " · ".join(below))


def _settings(node: Node) -> list[tuple[str, Any]]:
    """Return the attributes that are not as they are by default."""
    defaults = {attribute.name: attribute.default for attribute in fields(node.op)}  # type: ignore[arg-type]
    return [(name, value) for name, value in node.op.attributes.items() if value != defaults[name]]


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


def _frame_words(scope: Scope, nodes: list[Node]) -> tuple[str, str]:
    """Return the name of an open scope, and ``2 → 64, 192 parameters`` of one that has parameters."""
    numbers = numbers_in(nodes)
    if not numbers:
        return title_of(scope), ""
    note = counted(numbers, "parameter")
    given, result = next(iter(data_inputs(nodes)), None), nodes[-1]
    if scope.phase == "forward" and given is not None and given.shape and result.shape:
        note = f"{given.shape[-1]} → {result.shape[-1]}, {note}"
    return title_of(scope), note


def _tip_of(box: Box) -> list[str]:
    if box.scope is not None:
        return _scope_tip(box.scope, box.nodes)
    node = box.node
    lines = [node.name, f"{node.op!r} {node.spec}", f"made at {node.origin}"]
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
    """

    name: str
    around: Scope | None
    look: dict[str, str]
    tip: list[str]
    title: str
    below: str = ""
    notes: Sequence[str] = ()
    small: float = 0.0


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


@dataclass
class Drawing:
    """A picture in shapes: boxes in order of making, then references, then names of what was fetched."""

    shapes: list[Shape] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)


def drawing(seen: Picture, long: set[Edge], highlight: Mapping[Node, Highlight]) -> Drawing:
    """Return a picture in shapes.

    Parameters
    ----------
    seen : Picture
    long : set of Edge
        Those that are to be cut, into a mark and a reference.
    highlight : dict of Node to str or sequence of str
        What sets nodes apart: a key of `HIGHLIGHTS`, or that and the lines that are said on the box.

    Returns
    -------
    Drawing
    """
    return _Drawer(seen, long, highlight).drawing()


class _Drawer:
    def __init__(self, seen: Picture, long: set[Edge], highlight: Mapping[Node, Highlight]) -> None:
        self._seen, self._long, self._highlight = seen, long, highlight
        # A value at the far end of a long edge has a mark, which its box and the references to it bear.
        far = dict.fromkeys(edge.node for edge in seen.edges if edge in long)
        self._marks = {node: str(mark) for mark, node in enumerate(far, start=1)}
        self._told: set[Node] = set()
        self._references: set[str] = set()
        self._done = Drawing()

    def drawing(self) -> Drawing:
        nodes_in = self._seen.nodes_in()
        for scope in self._seen.open_scopes():
            nodes = nodes_in[scope.path]
            self._done.frames.append(
                Frame(scope, _FRAME_OF_PHASE[scope.phase], _scope_tip(scope, nodes), *_frame_words(scope, nodes))
            )
        for box in self._seen.boxes:
            self._done.shapes.append(self._box(box))
        for edge in self._seen.edges:
            self._draw_edge(edge)
        self._draw_names()
        return self._done

    def _box(self, box: Box) -> Shape:
        kind, title, below = _words(box)
        marks = [f"→ {self._marks[node]}" for node in box.nodes if node in self._marks]
        below = " · ".join([below] * bool(below) + marks)
        look = dict(_LOOK[kind])
        if any(node in self._seen.fetched for node in box.nodes):
            look |= _FETCHED
        kind_of_mark, notes = self._highlight_of(box)
        look |= HIGHLIGHTS[kind_of_mark][0]
        name, tip = f"n{box.place}", _tip_of(box)
        if kind == "constant" and not notes:
            return Shape(name, box.around, look, tip, f"{title} {below}".strip(), small=9.0)
        return Shape(name, box.around, look, tip, title, below, notes)

    def _highlight_of(self, box: Box) -> tuple[str, Sequence[str]]:
        """Return the strongest mark of the nodes in a box, with its notes."""
        found: dict[str, Sequence[str]] = {}
        for node in box.nodes:
            mark = self._highlight.get(node, "fed")
            kind, *notes = [mark, HIGHLIGHTS[mark][1]] if isinstance(mark, str) else mark
            found.setdefault(kind, [note for note in notes if note])
        strongest = min(found, key=list(HIGHLIGHTS).index)
        return strongest, found[strongest]

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
                self._done.shapes.append(Shape(tail, head.around, _REFERENCE, tip, label_of_mark, small=8.0))
            look |= {"style": "dotted", "weight": "1"}
        self._done.arrows.append(Arrow(tail, f"n{head.place}", look, tip, label, position))

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
        number = 0
        for node, names in self._seen.fetched.items():
            for name in names:
                tip = [f"{name}: {node.name} {node.spec}"]
                self._done.shapes.append(Shape(f"t{number}", None, _NAME, tip, name))
                look, label = dict(_FETCHED, penwidth="1.4"), self._shape_to_tell(box_of[node], node)
                self._done.arrows.append(Arrow(f"n{box_of[node].place}", f"t{number}", look, tip, label))
                number += 1


def _positions_matter(node: Node) -> bool:
    return len(node.inputs) > 1 and node.op.name not in _COMMUTATIVE
