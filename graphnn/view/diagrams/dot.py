"""A picture as DOT text: how shapes, arrows and frames are said to Graphviz."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import graphviz

from ..formatting import shortened
from .dot_ranks import estimated, long_edges, set_below, set_beside
from .fonts import text_width
from .picture import scopes_down_to
from .shapes import USUAL, Drawing
from .style import ARROW, GREY, INK, MOST_BELOW, MOST_SAID, MOST_SHOWN, NODE, PAPER, cell_size
from .svg import height_inside

if TYPE_CHECKING:
    from ...core import Scope
    from .overlay import Panel
    from .picture import Picture
    from .shapes import Arrow, Frame, Heading, Manner, Shape

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

# A cluster that is not seen: or `dot` may set something between the two.
_PAIR = {"rank": "same", "style": "invis", "peripheries": "0", "margin": "0", "label": "", "tooltip": ""}

# What is so many ranks lower is sure to be below, though ranks are but estimated.
_ROOM = 2

# What `dot` reads between quotes.
_LONGEST_STRING = 16_000

# How many tabs a line of a frame within frames begins with at most.
_MOST_INDENTED = 40
_END = "}\n"

# Of a scale above the picture: steps, each as wide as whole pixels, or what is behind would be seen between two; how
# much is between a text and them, and how high the line is.
_STEPS, _STEP, _SCALE_SPACE, _SCALE_HIGH = 24, 6.0, 12.0, 14

# In a cylinder, the lid takes a share of the height, and text is to keep clear of it; how high a line of a size is.
_LID_SHARE, _LID_CLEAR, _LINE = 0.08, 3.0, 1.2

# Above so many boxes, `dot` may settle for less than the best layout.
_LARGE = 600
_HASTE = {"nslimit": "0.1", "nslimit1": "0.1", "mclimit": "0.1"}


# --- text that DOT takes literally ---------------------------------------------------------------------------


def _escaped(text: str, most: int) -> str:
    # `&` begins an entity wherever Graphviz reads text, and `\\` an escape.
    return html.escape(shortened(text, most), quote=False).replace("\\", "\\\\")


def _label(
    title: str,
    below: str = "",
    above: str = "",
    end: str = "",
    formula: str = "",
    notes: Sequence[str] = (),
    soft: str = GREY,
    panels: Sequence[Panel] = (),
    grey: str = GREY,
) -> str:
    """Return an HTML-like label: a bold title, a small line below, notes, and panels."""
    lines = [f"<b>{_escaped(title, MOST_SHOWN)}</b>"]
    if below:
        # A larger blank holds the lines apart; one on each side keeps a centred line in the middle.
        blank = '<font point-size="10"> </font>'
        small = f'<font point-size="8" color="{soft}">{_escaped(below, MOST_BELOW)}</font>'
        lines.append(f"{'' if end else blank}{small}{blank}")
    if formula:
        lines.append(f'<font point-size="8">{_escaped(formula, MOST_BELOW)}</font>')
    text = f"{above}{(end or '<br/>').join(lines + _notes(notes))}{end}"
    if panels:
        text = _table([f"<td>{text}</td>", *(row for panel in panels for row in _panel(panel, soft, grey))])
    return f"<{text}>"


def _notes(notes: Sequence[str], colour: str = "") -> list[str]:
    """Return small lines, the first in bold."""
    look = 'point-size="8"' + (f' color="{colour}"' if colour else "")
    texts = [_escaped(note, MOST_BELOW) for note in notes]
    return [f"<font {look}>{text if i else f'<b>{text}</b>'}</font>" for i, text in enumerate(texts)]


def _panel(panel: Panel, soft: str, grey: str) -> Iterator[str]:
    """Yield the rows of a panel: what it says, on its own colour; a heatmap, and what that shows."""
    if panel.lines:
        fill = f' bgcolor="{panel.fill}" cellpadding="2"' if panel.fill else ""
        yield f'<td height="2"></td></tr><tr><td{fill}>{"<br/>".join(_notes(panel.lines, panel.ink))}</td>'
    if panel.cells:
        yield f'<td height="4"></td></tr><tr><td>{_heatmap(panel.cells, grey, panel.square)}</td>'
    if panel.matrices:
        matrices = [_matrix(rows, grey, panel.ink) for rows in panel.matrices]
        yield f'<td height="4"></td></tr><tr><td>{_table(matrices)}</td>'
    if panel.note:
        yield f'<td><font point-size="7" color="{soft}">{_escaped(panel.note, MOST_BELOW)}</font></td>'


def _table(rows: Iterable[str], border: str = '0" cellborder="0"') -> str:
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<table border="{border} cellspacing="0" cellpadding="0">{body}</table>'


def _heatmap(cells: Sequence[Sequence[str]], grey: str, square: bool) -> str:
    width, height = cell_size(cells, square)
    size = f'width="{width:g}" height="{height:g}" fixedsize="true"'
    rows = ["".join(f'<td {size} bgcolor="{colour}"></td>' for colour in row) for row in cells]
    # Of its own size: a cell around a table would stretch it.
    whole = f'fixedsize="true" width="{width * len(cells[0]) + 2:g}" height="{height * len(cells) + 2:g}"'
    return _table(rows, f'1" color="{grey}" {whole} cellborder="0"')


def _matrix(rows: Sequence[Sequence[str]], grey: str, ink: str) -> str:
    """Return a row of a table with the numbers of a matrix, each below the other."""
    look = 'point-size="8"' + (f' color="{ink}"' if ink else "")
    columns = (
        "<br/>".join(f"<font {look}>{_escaped(each, MOST_SHOWN)}</font>" for each in column)
        for column in zip(*rows, strict=True)
    )
    cells = "".join(f'<td align="right" balign="right" cellpadding="2">{column}</td>' for column in columns)
    border = f'1" color="{grey}" cellborder="0"'
    return f"<td>{_table([cells], border)}</td>"


def _beside_line(text: str, colour: str) -> str:
    # The cell keeps the text off the line.
    text = f'<font color="{colour}">{_escaped(text, MOST_SHOWN)}</font>'
    return f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="3"><tr><td>{text}</td></tr></table>>'


def _small(text: str, size: float, colour: str) -> str:
    return f'<<font point-size="{size:g}" color="{colour}">{_escaped(text, MOST_SHOWN)}</font>>'


def _tip(lines: Sequence[str], most: int = MOST_SAID) -> str:
    # Tooltips are unescaped twice. Backslashes stand by their number: to quote thousands of them takes seconds.
    shown = (html.escape(shortened(line, most), quote=False) for line in lines)
    tip: str = graphviz.nohtml("&#10;".join(shown).replace("\\", 4 * "&#92;"))
    return tip if len(tip) < _LONGEST_STRING or most < 2 else _tip(lines, most // 2)


def _headings(headings: Sequence[Heading]) -> str:
    """Return what is said above the picture: a title alone, or a table of lines."""
    if len(headings) == 1 and not headings[0].shades:
        return f"<{_heading(headings[0])}>"
    rows = []
    for heading in headings:
        row = f"<td>{_heading(heading)}</td>"
        if heading.shades:
            last = len(heading.shades) - 1
            steps = [heading.shades[round(step * last / (_STEPS - 1))] for step in range(_STEPS)]
            shades = "".join(
                f'<td width="{_STEP:g}" height="8" fixedsize="true" bgcolor="{shade}"></td>' for shade in steps
            )
            texts = heading.text, heading.end
            ends = [f"<td>{_heading(heading._replace(text=text))}</td>" for text in texts]
            # Of its own size, as a heatmap: or the steps would stand apart.
            wide = sum(text_width(text, heading.size, heading.bold) + _SCALE_SPACE for text in texts)
            wide += _STEP * _STEPS
            size = f'0" fixedsize="true" width="{wide:.0f}" height="{_SCALE_HIGH}" cellborder="0"'
            row = f'<td align="center">{_table([f"{ends[0]}<td>  </td>{shades}<td>  </td>{ends[1]}"], size)}</td>'
        rows.append(f'{row}</tr><tr><td height="3"></td>')
    return f"<{_table(rows)}>"


def _heading(heading: Heading) -> str:
    text = _escaped(heading.text, MOST_SAID)
    look = f'point-size="{heading.size:g}"' + (f' color="{heading.colour}"' if heading.colour != INK else "")
    return f"<font {look}>{f'<b>{text}</b>' if heading.bold else text}</font>"


# --- the picture as DOT --------------------------------------------------------------------------------------


def dot_source(seen: Picture, manner: Manner = USUAL, headed: bool = True) -> str:
    """Return a picture as DOT text, everything in order of making, with what is said above it or without."""
    return _Writer(seen, manner, headed).text()


class _Writer:
    """Writes one picture."""

    def __init__(self, seen: Picture, manner: Manner, headed: bool) -> None:
        self._seen = seen
        self._drawn = drawn = Drawing(seen, manner, long_edges(seen))
        self._usual = drawn.look(NODE)
        self._dot = graphviz.Digraph(
            "graphnn", graph_attr=drawn.look(_GRAPH), node_attr=self._usual, edge_attr=drawn.look(ARROW)
        )
        if manner.theme != "light":
            self._dot.graph_attr["bgcolor"] = drawn.colour(PAPER)
        self._dot.graph_attr["rankdir"] = "LR" if manner.sideways else "TB"
        if len(seen.boxes) > _LARGE:
            self._dot.graph_attr.update(_HASTE)
        if drawn.headings and headed:
            self._dot.graph_attr.update(label=_headings(drawn.headings), labelloc="t", labeljust="c")
        grey = drawn.colour(GREY)
        self._frames = {frame.scope.path: _frame(number, frame, grey) for number, frame in enumerate(drawn.frames)}

    def text(self) -> str:
        """Return the DOT text."""
        for shape in self._drawn.shapes:
            self._write_shape(shape)
        for beside in set_beside(self._seen):
            pair = f"cluster_beside_{beside[0].place}"
            with self._within(beside[0].around).subgraph(name=pair, graph_attr=_PAIR) as same:
                for box in beside:
                    same.node(f"n{box.place}")
        self._dot.body += self._framed()
        # Behind the frames: an edge inside one would take its ends into it.
        for arrow in self._drawn.arrows:
            self._write_arrow(arrow)
        for tail, head in self._held():
            self._dot.edge(tail, head, style="invis", weight="0")
        return str(self._dot.source)

    def _framed(self) -> Iterator[str]:
        """Yield the lines of all frames, each in the one around it.

        By one walk: to hand each frame to the one around it copies what is inside once for each level.
        """
        depth = 1
        for frame, begins in self._drawn.nested():
            depth -= not begins
            lines = list(self._frames[frame.scope.path].__iter__(subgraph=True))[:-1] if begins else [_END]
            yield from ("\t" * min(depth, _MOST_INDENTED) + line for line in lines)
            depth += begins

    def _held(self) -> Iterator[tuple[str, str]]:
        """Yield what is to be ranked below what, though no line leads there: see `set_below`."""
        below, ranks = set_below(self._seen), estimated(self._seen)
        held = {f"n{box.place}" for box, _ in set_beside(self._seen)}
        for arrow in self._drawn.arrows:
            if arrow.look.get("weight") != "0" and not arrow.tail.startswith("r"):
                held.add(arrow.head)
        for shape in self._drawn.shapes:
            if shape.name in held:
                continue
            tails = {below[scope.path].place: None for scope in scopes_down_to(shape.around) if scope.path in below}
            reader = int(re.split("n|_", shape.name)[1])
            rank = ranks[reader] - shape.name.startswith("r")
            yield from ((f"n{tail}", shape.name) for tail in tails if rank <= ranks[tail] + _ROOM)

    def _within(self, scope: Scope | None) -> Any:
        return self._dot if scope is None else self._frames[scope.path]

    def _write_shape(self, shape: Shape) -> None:
        look, above = shape.look, ""
        if look.get("shape") == "cylinder":  # the text keeps clear of the lid, and a second one would cross it
            look = {name: value for name, value in look.items() if name != "peripheries"}
            lid = _LID_SHARE * height_inside(shape, self._usual) + _LID_CLEAR
            above = f'<font point-size="{max(lid / _LINE, 4):.1f}"> </font><br/>'
        label = _label(
            shape.title,
            shape.below,
            above,
            formula=shape.formula,
            notes=shape.notes,
            soft=shape.soft,
            panels=shape.panels,
            grey=self._drawn.colour(GREY),
        )
        if shape.small:
            label = _small(shape.title, shape.small, shape.soft)
        self._within(shape.around).node(shape.name, label=label, **look, tooltip=_tip(shape.tip))

    def _write_arrow(self, arrow: Arrow) -> None:
        look = dict(arrow.look, tooltip=_tip(arrow.tip))
        if arrow.label:
            look["label"] = _beside_line(arrow.label, self._drawn.colour(GREY))
        if arrow.position:
            look["headlabel"] = arrow.position
            if arrow.label:
                look["labelangle"] = "25"  # the other side of the arrow
        self._dot.edge(arrow.tail, arrow.head, **look)


def _frame(number: int, frame: Frame, grey: str) -> Any:
    label = _label(frame.title, frame.note, end='<br align="left"/>', soft=grey)
    look = dict(frame.look, style="rounded,filled", margin="11", labeljust="l", label=label, tooltip=_tip(frame.tip))
    return graphviz.Digraph(f"cluster_{number}", graph_attr=look)
