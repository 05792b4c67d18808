"""A picture as DOT text: how each kind of box looks, what is written on it, and how it is said to Graphviz.

The visual language stands in one table, `_LOOK`: kinds are told apart by shape, dash and double border as well as
by colour, so that a print in grey says the same.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable
from dataclasses import fields
from typing import Any, NamedTuple

import graphviz

from ..graph import Constant, Node, Parameter, Placeholder, Scope
from .fold import Box, Edge, Picture, chain, data_inputs, numbers_in, own_name, title_of
from .ranks import long_edges, set_beside
from .text import by_times, counted, elided, preview, visible

_INK, _GREY, _PLUM, _GREEN = "#3C4043", "#5F6368", "#8E3B6E", "#00664B"

_GRAPH = {
    "fontname": "Helvetica",
    "fontsize": "9.5",
    "fontcolor": _INK,
    "nodesep": "0.25",
    "ranksep": "0.32",
    "newrank": "true",
    "splines": "spline",
    "pad": "0.15",
}
_NODE = {
    "shape": "box",
    "style": "rounded,filled",
    "fillcolor": "#FFFFFF",
    "color": _INK,
    "fontname": "Helvetica",
    "fontsize": "11",
    "fontcolor": "#202124",
    "margin": "0.10,0.045",
    "height": "0.32",
    "width": "0.4",
}
_EDGE = {
    "color": _GREY,
    "penwidth": "0.9",
    "arrowsize": "0.55",
    "fontname": "Helvetica",
    "fontsize": "8",
    "fontcolor": _GREY,
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
_TERMINAL = {"shape": "plaintext", "style": "", "margin": "0.03,0.02", "height": "0.2", "width": "0.2"}
_REFERENCE = {
    "style": "rounded,dotted",
    "color": "#80868B",
    "margin": "0.05,0.02",
    "height": "0.2",
    "width": "0.2",
}
_CLUSTER = {
    "forward": {"fillcolor": "#F4F5F7", "color": "#C4C9D1"},
    "backward": {"fillcolor": "#FBF3F7", "color": "#D9B8CB"},
    "update": {"fillcolor": "#F1FAF6", "color": "#A9CFC0"},
}
_ARROW = {"forward": {}, "backward": {"color": _PLUM}, "update": {"color": _GREEN}}
_LENT = {"style": "dotted", "color": "#80868B", "weight": "0", "arrowsize": "0.45"}

# Above so many boxes, `dot` is told to be content with less than the best.
_LARGE = 250
_HASTE = {"splines": "line", "nslimit": "0.1", "nslimit1": "0.1", "mclimit": "0.1"}

_MOST_SHOWN, _MOST_BELOW, _MOST_SAID, _MOST_INLINE = 32, 48, 1000, 6
_KIND_OF_PHASE = {"backward": "gradient", "update": "update"}

# Where the order of the operands does not matter, their positions need not be told.
_COMMUTATIVE = frozenset({"add", "multiply", "maximum", "minimum", "equal", "not_equal", "logical_and", "logical_or"})


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


def _tip_of(box: Box) -> str:
    if box.scope is not None:
        return _scope_tip(box.scope, box.nodes)
    node = box.node
    lines = [node.name, f"{node.op!r} {node.spec}", f"made at {node.origin}"]
    if node.twin is not None:
        lines.append(f"for {node.twin.name}")
    return _tip(lines)


def _scope_tip(scope: Scope, nodes: list[Node]) -> str:
    operations = sum(bool(node.inputs) for node in nodes)
    what = [scope.kind] * bool(scope.kind) + [counted(operations, "operation")]
    if numbers := numbers_in(nodes):
        what.append(counted(numbers, "parameter"))
    return _tip([scope.path, ", ".join(what), f"made at {scope.origin}"])


# --- text that DOT takes literally ---------------------------------------------------------------------------


def _escaped(text: str, most: int) -> str:
    # `&` begins an entity wherever Graphviz reads text, and `\\` an escape.
    return html.escape(elided(visible(text), most), quote=False).replace("\\", "\\\\")


def _label(title: str, below: str = "", above: str = "", end: str = "") -> str:
    """Return an HTML-like label: a bold title, and a small line below."""
    lines = [f"<b>{_escaped(title, _MOST_SHOWN)}</b>"]
    if below:
        # A larger blank holds the lines apart; one on each side keeps a centred line in the middle.
        blank = '<font point-size="10"> </font>'
        small = f'<font point-size="8" color="{_GREY}">{_escaped(below, _MOST_BELOW)}</font>'
        lines.append(f"{'' if end else blank}{small}{blank}")
    return f"<{above}{(end or '<br/>').join(lines)}{end}>"


def _shape_label(node: Node) -> str:
    # The cell keeps the text off the line.
    text = f'<font color="{_GREY}">{_escaped(by_times(node.shape), _MOST_SHOWN)}</font>'
    return f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="3"><tr><td>{text}</td></tr></table>>'


def _small(text: str, size: float) -> str:
    return f'<<font point-size="{size:g}" color="{_GREY}">{_escaped(text, _MOST_SHOWN)}</font>>'


def _tip(lines: Iterable[str]) -> str:
    # Tooltips are unescaped twice.
    tip: str = graphviz.nohtml("&#10;".join(_escaped(line, _MOST_SAID).replace("\\", "\\\\") for line in lines))
    return tip


def _title(text: str) -> str:
    return f'<<font point-size="14">{_escaped(text, _MOST_SAID)}</font>>'


# --- the picture as DOT --------------------------------------------------------------------------------------


def dot_source(seen: Picture, title: str | None = None, sideways: bool = False) -> str:
    """Return a picture as DOT text, everything in order of making.

    Parameters
    ----------
    seen : Picture
    title : str, optional
    sideways : bool
        Whether values go from left to right instead of from top to bottom.

    Returns
    -------
    str
    """
    return _Writer(seen, title, sideways).text()


class _Writer:
    """Writes one picture. Ids are numbers: n0 is a box, t0 the name of what was fetched, r1_7 what refers to mark 1."""

    def __init__(self, seen: Picture, title: str | None, sideways: bool) -> None:
        self._seen = seen
        self._long = long_edges(seen)
        # A value at the far end of a long edge has a mark, which its box and the references to it bear.
        far = dict.fromkeys(edge.node for edge in seen.edges if edge in self._long)
        self._marks = {node: str(mark) for mark, node in enumerate(far, start=1)}
        self._arrows: list[tuple[str, str, dict[str, str]]] = []
        self._shaped: set[Node] = set()
        self._dot = graphviz.Digraph("graphnn", graph_attr=_GRAPH, node_attr=_NODE, edge_attr=_EDGE)
        self._dot.graph_attr["rankdir"] = "LR" if sideways else "TB"
        if len(seen.boxes) > _LARGE:
            self._dot.graph_attr.update(_HASTE)
        if title is not None:
            self._dot.graph_attr.update(label=_title(title), labelloc="t", labeljust="c")
        nodes_in = seen.nodes_in()
        self._frames = {
            scope.path: _frame(number, scope, nodes_in[scope.path]) for number, scope in enumerate(seen.open_scopes())
        }

    def text(self) -> str:
        """Return the DOT text."""
        for box in self._seen.boxes:
            self._write_box(box)
        for edge in self._seen.edges:
            self._write_edge(edge)
        self._write_terminals()
        for beside in set_beside(self._seen):
            with self._within(beside[0].around).subgraph(graph_attr={"rank": "same"}) as same:
                for box in beside:
                    same.node(f"n{box.place}")
        for scope in sorted(self._seen.open_scopes(), key=lambda scope: -len(chain(scope))):
            self._within(scope.parent).subgraph(self._frames[scope.path])
        # Behind the frames: an edge inside one would take its ends into it.
        for tail, head, look in self._arrows:
            self._dot.edge(tail, head, **look)
        return str(self._dot.source)

    def _within(self, scope: Scope | None) -> Any:
        return self._dot if scope is None else self._frames[scope.path]

    def _write_box(self, box: Box) -> None:
        kind, title, below = _words(box)
        marks = [f"→ {self._marks[node]}" for node in box.nodes if node in self._marks]
        below = " · ".join([below] * bool(below) + marks)
        look = dict(_LOOK[kind], tooltip=_tip_of(box))
        if any(node in self._seen.fetched for node in box.nodes):
            look |= _FETCHED
        # In a cylinder, the text keeps clear of the lid.
        above = '<font point-size="4"> </font><br/>' if look.get("shape") == "cylinder" else ""
        label = _small(f"{title} {below}".strip(), 9) if kind == "constant" else _label(title, below, above)
        self._within(box.around).node(f"n{box.place}", label=label, **look)

    def _write_edge(self, edge: Edge) -> None:
        node, head = edge.node, edge.head
        look = dict(_ARROW[head.phase], tooltip=_tip([f"{node.name} {node.spec}"]))
        if edge.lent:
            look |= _LENT
        elif edge.tail.scope is not None and isinstance(node.op, Parameter):
            # A layer that uses another's parameter.
            look |= _LENT | {"label": _small(own_name(node), 8), "constraint": "false"}
        elif shape := self._shape_to_tell(edge.tail, node):
            look["label"] = shape
        if edge.position is not None and _positions_matter(head.node):
            look["headlabel"] = str(edge.position)
            if "label" in look:
                look["labelangle"] = "25"  # the other side of the arrow
        start = f"n{edge.tail.place}"
        if edge in self._long:
            number = self._marks[node]
            start = f"r{number}_{head.place}"
            label = _small(f"{number}  {own_name(node)}", 8)
            self._within(head.around).node(start, label=label, tooltip=look["tooltip"], **_REFERENCE)
            look |= {"style": "dotted", "weight": "1"}
        self._arrows.append((start, f"n{head.place}", look))

    def _shape_to_tell(self, box: Box, node: Node) -> str:
        """Return the shape of a value as a label, where it is another than that of what it was made from; once."""
        if node in self._shaped or isinstance(node.op, (Placeholder, Parameter, Constant)):
            return ""
        self._shaped.add(node)
        given = node.inputs if box.scope is None else data_inputs(box.nodes)
        return "" if any(node.shape == operand.shape for operand in given) else _shape_label(node)

    def _write_terminals(self) -> None:
        box_of = {node: box for box in self._seen.boxes for node in box.nodes if node in self._seen.fetched}
        number = 0
        for node, names in self._seen.fetched.items():
            for name in names:
                tip = _tip([f"{name}: {node.name} {node.spec}"])
                self._dot.node(f"t{number}", label=_label(name), tooltip=tip, **_TERMINAL)
                look = dict(_FETCHED, penwidth="1.4", tooltip=tip)
                if shape := self._shape_to_tell(box_of[node], node):
                    look["label"] = shape
                self._arrows.append((f"n{box_of[node].place}", f"t{number}", look))
                number += 1


def _frame(number: int, scope: Scope, nodes: list[Node]) -> Any:
    title, note = _frame_words(scope, nodes)
    label = _label(title, note, end='<br align="left"/>')
    tip = _scope_tip(scope, nodes)
    look = dict(_CLUSTER[scope.phase], style="rounded,filled", margin="11", labeljust="l", label=label, tooltip=tip)
    return graphviz.Digraph(f"cluster_{number}", graph_attr=look)


def _positions_matter(node: Node) -> bool:
    return len(node.inputs) > 1 and node.op.name not in _COMMUTATIVE
