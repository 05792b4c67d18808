"""A picture as DOT text: how shapes, arrows and frames are said to Graphviz."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import graphviz

from .fold import chain
from .looks import ARROW, GREY, INK, MOST_BELOW, MOST_SAID, MOST_SHOWN, NODE, drawing
from .ranks import long_edges, set_beside
from .text import elided, visible

if TYPE_CHECKING:
    from ..graph import Node, Scope
    from .fold import Picture
    from .looks import Arrow, Frame, Highlight, Shape

_GRAPH = {
    "fontname": "Helvetica",
    "fontsize": "9.5",
    "fontcolor": INK,
    "nodesep": "0.25",
    "ranksep": "0.32",
    "newrank": "true",
    "splines": "spline",
    "pad": "0.15",
}

# Above so many boxes, `dot` is told to be content with less than the best.
_LARGE = 250
_HASTE = {"splines": "line", "nslimit": "0.1", "nslimit1": "0.1", "mclimit": "0.1"}


# --- text that DOT takes literally ---------------------------------------------------------------------------


def _escaped(text: str, most: int) -> str:
    # `&` begins an entity wherever Graphviz reads text, and `\\` an escape.
    return html.escape(elided(visible(text), most), quote=False).replace("\\", "\\\\")


def _label(title: str, below: str = "", above: str = "", end: str = "", notes: Sequence[str] = ()) -> str:
    """Return an HTML-like label: a bold title, a small line below, and notes."""
    lines = [f"<b>{_escaped(title, MOST_SHOWN)}</b>"]
    if below:
        # A larger blank holds the lines apart; one on each side keeps a centred line in the middle.
        blank = '<font point-size="10"> </font>'
        small = f'<font point-size="8" color="{GREY}">{_escaped(below, MOST_BELOW)}</font>'
        lines.append(f"{'' if end else blank}{small}{blank}")
    for i, note in enumerate(notes):
        text = _escaped(note, MOST_BELOW)
        lines.append(f'<font point-size="8">{text if i else f"<b>{text}</b>"}</font>')
    return f"<{above}{(end or '<br/>').join(lines)}{end}>"


def _beside_line(text: str) -> str:
    # The cell keeps the text off the line.
    text = f'<font color="{GREY}">{_escaped(text, MOST_SHOWN)}</font>'
    return f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="3"><tr><td>{text}</td></tr></table>>'


def _small(text: str, size: float) -> str:
    return f'<<font point-size="{size:g}" color="{GREY}">{_escaped(text, MOST_SHOWN)}</font>>'


def _tip(lines: Iterable[str]) -> str:
    # Tooltips are unescaped twice.
    tip: str = graphviz.nohtml("&#10;".join(_escaped(line, MOST_SAID).replace("\\", "\\\\") for line in lines))
    return tip


def _title(text: str) -> str:
    return f'<<font point-size="14">{_escaped(text, MOST_SAID)}</font>>'


# --- the picture as DOT --------------------------------------------------------------------------------------


def dot_source(
    seen: Picture, title: str | None = None, sideways: bool = False, highlight: Mapping[Node, Highlight] | None = None
) -> str:
    """Return a picture as DOT text, everything in order of making.

    Parameters
    ----------
    seen : Picture
    title : str, optional
    sideways : bool
        Whether values go from left to right instead of from top to bottom.
    highlight : dict of Node to str or sequence of str, optional
        What sets nodes apart: a key of `HIGHLIGHTS`, or that and the lines that are said on the box.

    Returns
    -------
    str
    """
    return _Writer(seen, title, sideways, highlight or {}).text()


class _Writer:
    """Writes one picture."""

    def __init__(self, seen: Picture, title: str | None, sideways: bool, highlight: Mapping[Node, Highlight]) -> None:
        self._seen = seen
        self._drawn = drawing(seen, long_edges(seen), highlight)
        self._dot = graphviz.Digraph("graphnn", graph_attr=_GRAPH, node_attr=NODE, edge_attr=ARROW)
        self._dot.graph_attr["rankdir"] = "LR" if sideways else "TB"
        if len(seen.boxes) > _LARGE:
            self._dot.graph_attr.update(_HASTE)
        if title is not None:
            self._dot.graph_attr.update(label=_title(title), labelloc="t", labeljust="c")
        self._frames = {frame.scope.path: _frame(number, frame) for number, frame in enumerate(self._drawn.frames)}

    def text(self) -> str:
        """Return the DOT text."""
        for shape in self._drawn.shapes:
            self._write_shape(shape)
        for beside in set_beside(self._seen):
            with self._within(beside[0].around).subgraph(graph_attr={"rank": "same"}) as same:
                for box in beside:
                    same.node(f"n{box.place}")
        for scope in sorted(self._seen.open_scopes(), key=lambda scope: -len(chain(scope))):
            self._within(scope.parent).subgraph(self._frames[scope.path])
        # Behind the frames: an edge inside one would take its ends into it.
        for arrow in self._drawn.arrows:
            self._write_arrow(arrow)
        return str(self._dot.source)

    def _within(self, scope: Scope | None) -> Any:
        return self._dot if scope is None else self._frames[scope.path]

    def _write_shape(self, shape: Shape) -> None:
        # In a cylinder, the text keeps clear of the lid.
        above = '<font point-size="4"> </font><br/>' if shape.look.get("shape") == "cylinder" else ""
        label = _label(shape.title, shape.below, above, notes=shape.notes)
        if shape.small:
            label = _small(shape.title, shape.small)
        self._within(shape.around).node(shape.name, label=label, **shape.look, tooltip=_tip(shape.tip))

    def _write_arrow(self, arrow: Arrow) -> None:
        look = dict(arrow.look, tooltip=_tip(arrow.tip))
        if arrow.label:
            look["label"] = _beside_line(arrow.label)
        if arrow.position is not None:
            look["headlabel"] = str(arrow.position)
            if arrow.label:
                look["labelangle"] = "25"  # the other side of the arrow
        self._dot.edge(arrow.tail, arrow.head, **look)


def _frame(number: int, frame: Frame) -> Any:
    label = _label(frame.title, frame.note, end='<br align="left"/>')
    look = dict(frame.look, style="rounded,filled", margin="11", labeljust="l", label=label, tooltip=_tip(frame.tip))
    return graphviz.Digraph(f"cluster_{number}", graph_attr=look)
