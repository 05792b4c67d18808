"""Traces and debuggers in a notebook: HTML without a script, for light pages and dark ones."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

from .._util.display import HTML
from ..compiler.plan_explanation import Explanation
from ..core import labels_along
from ..debugger.debugger import Debugger
from ..debugger.diff.differences import Comparison
from ..debugger.health.findings import Health
from ..debugger.profile import Profile
from ..debugger.traces import Recording, Trace
from ..errors import DrawingError
from .diagrams.draw import draw
from .diagrams.draw_arguments import set_by_hand
from .diagrams.picture import collapsing
from .formatting import by_times, elided, visible
from .heatmap import heatmap
from .tables.trace_table import LEGEND, TRACE_WORDS, listing, record_columns, totals, where

if TYPE_CHECKING:
    from ..core import Node

# A picture is drawn of operations if they are few, else of layers; of so many boxes at most, in so many seconds.
_MOST_OPERATIONS, MOST_BOXES, PATIENCE = 60, 150, 10.0
_FIRST_ROWS, _LAST_ROWS = 60, 20
_MOST_NAME = 60

# In an SVG of Graphviz: its extent, by how much all in it is moved, and what is said in it.
_NUMBERS = re.compile(r'viewBox="(-?[\d.]+) (-?[\d.]+) ([\d.]+) ([\d.]+)"')
_MOVED = re.compile(r"translate\((-?[\d.]+) (-?[\d.]+)\)")
_TEXT = re.compile(r'<text [^>]*x="(-?[\d.]+)" y="(-?[\d.]+)"[^>]*>([^<]*)</text>')

_PAGE = "font:13px/1.5 system-ui,sans-serif;max-width:100%"
_CODE = "font:12px/1.5 ui-monospace,Menlo,Consolas,monospace;margin:4px 0;white-space:pre;overflow-x:auto"
_PICTURE = "overflow:auto;max-height:440px;margin:6px 0;border:1px solid rgba(128,128,128,.4);border-radius:4px"
_TARGET = "width:1px;height:1px;margin:-180px 0 0 -300px;pointer-events:none;scroll-initial-target:nearest"
_FAINT = "opacity:.75;font-size:12px"


@HTML.give(Debugger)
def debugger_as_html(dbg: Debugger) -> str:
    """Return where a debugger is, as HTML: a sentence, the diagram, the current value and the user's line."""
    failed = dbg.failed
    here = next(node for node in (failed, dbg.current, dbg.next, dbg.order[-1]) if node is not None)
    marks: dict[Node, Any] = {node: dbg.state(node) for node in dbg.order}
    if failed is not None:
        marks[failed] = "failed"
    drawn = _diagram(dbg.fetches, dbg.order, here, marks)
    if drawn:
        note = "The current node says so, in a double line; what is yet to run is dotted."
        parts = [_lines(where(dbg, 10_000)), f"{drawn}{_faint(note)}"]
    else:
        parts = [_lines(where(dbg, 10_000)), code(listing(dbg, width=120)), _faint(LEGEND)]
    if failed is not None:
        parts += [_value(dbg, operand) for operand in dict.fromkeys(failed.inputs)]
    elif dbg.current is not None:
        parts.append(_value(dbg, dbg.current))
    if here.origin.file:
        source = dbg.source_of(here)
        parts.append(code(f"{here.origin}{'' if source is None else f': {source}'}"))
    return page(parts)


@HTML.give(Trace)
def trace_as_html(trace: Trace) -> str:
    """Return a trace as HTML: the diagram, and a table of what each node gave."""
    stopped = trace.order[trace.stopped] if trace.stopped is not None else None
    marks: dict[Node, Any] = dict.fromkeys(trace.order[: len(trace)], "done")
    forwards = trace.prepared.binding.forwards
    for place in range(len(trace), len(trace.order)):
        marks[trace.order[place]] = "fed" if forwards[place] is None else "waiting"
    marks |= set_by_hand(trace)
    if stopped is not None:
        marks[stopped] = "failed" if trace.error else "current"
    drawn = _diagram(trace.fetches, trace.order, stopped if stopped is not None else trace.order[-1], marks)
    said = [code(trace.error)] if trace.error else []
    return page([*said, drawn, _table(trace), _faint(totals(trace))])


@HTML.give(Health, Comparison, Profile, Explanation)
def text_as_html(found: object) -> str:
    """Return as HTML what is printed as a text."""
    return page([code(str(found))])


@HTML.give(Recording)
def film_as_html(film: Recording) -> str:
    """Return a film as HTML: what it holds, and how that is looked at."""
    parts = [code(repr(film))]
    if film:
        parts.append(_faint("film[0] is the trace of the first; film.to_html() replays them all"))
    return page(parts)


def _diagram(fetches: list[Node], order: list[Node], here: Node, marks: dict[Node, Any]) -> str:
    """Return the picture with the scope of `here` open; nothing, where it is not quickly made."""
    detail: Any = "op"
    if len(order) > _MOST_OPERATIONS:
        collapsed, _ = collapsing(here.graph, "layer")(here)
        detail = {"": "layer"} | ({} if collapsed is None else {collapsed.path: "op"})
    try:
        svg = draw(fetches, detail, highlight=marks, limit=MOST_BOXES, timeout=PATIENCE).svg()
    except DrawingError:
        return ""
    return framed(svg)


def framed(svg: str) -> str:
    """Return a picture in a box that scrolls."""
    # The prologue of a file has no place in a page.
    return (
        f'<div style="{_PICTURE}"><div style="display:inline-block;position:relative">'
        f"{svg[svg.index('<svg') :]}{_scrolled_to(svg)}</div></div>"
    )


def _scrolled_to(svg: str) -> str:
    """Return what has a browser begin at the box that is set apart, or else at the topmost, if it knows how to."""
    box = _NUMBERS.search(svg)
    moved = _MOVED.search(svg)
    notes = [(float(x), float(y), said) for x, y, said in _TEXT.findall(svg)]
    if box is None or not notes:
        return ""
    x, y, _ = min(notes, key=lambda note: (note[2] not in ("current", "failed"), note[1]))
    left, top, width, height = map(float, box.groups())
    if moved is not None:
        x, y = x + float(moved[1]), y + float(moved[2])
    place = f"left:{100 * (x - left) / width:.1f}%;top:{100 * (y - top) / height:.1f}%"
    return f'<div style="position:absolute;{place};{_TARGET}"></div>'


def _value(dbg: Debugger, node: Node) -> str:
    value = dbg[node].value
    if value.size == 1 and node.inputs:
        return code(str(dbg.why(node, (0,) * value.ndim)).partition("\n")[0])
    operands = ", ".join(_named(operand) for operand in node.inputs)
    made = f" = {visible(node.op.name)}({operands})" if operands else f", {visible(node.op.name)}"
    said = code(f"{_named(node)}{made}, {by_times(value.shape)} {value.dtype}")
    return said + heatmap(value, labels_along(node, value.shape))


def _table(trace: Trace) -> str:
    seen = trace.records
    gap = max(0, len(seen) - _FIRST_ROWS - _LAST_ROWS)
    table = record_columns(seen if not gap else [*seen[:_FIRST_ROWS], *seen[-_LAST_ROWS:]])
    edge = "padding:1px 8px;border:0;white-space:nowrap;text-align:"
    sides = [f"{edge}{'left' if head in TRACE_WORDS else 'right'}" for head in table]
    heads = zip(sides, table, strict=True)
    rows = ["".join(f'<th style="{side}">{head if head != "#" else ""}</th>' for side, head in heads)]
    for cells in zip(*table.values(), strict=True):
        row = zip(sides, cells, strict=True)
        rows.append("".join(f'<td style="{side}">{_escaped(cell)}</td>' for side, cell in row))
    if gap:
        rows.insert(_FIRST_ROWS + 1, f'<td style="{edge}left" colspan="{len(table)}">… {gap:,} more …</td>')
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div style="{_PICTURE}"><table style="border-collapse:collapse;font-size:12px">{body}</table></div>'


def _named(node: Node) -> str:
    return elided(visible(node.title), _MOST_NAME)


def _escaped(text: str) -> str:
    return html.escape(elided(visible(text), _MOST_NAME) if text else "")


def _lines(text: str) -> str:
    return "".join(f"<div>{html.escape(line)}</div>" for line in text.split("\n"))


def code(text: str) -> str:
    """Return text as it is printed."""
    lines = "\n".join(visible(line) if line else "" for line in text.split("\n"))
    return f'<div style="{_CODE}">{html.escape(lines)}</div>'


def _faint(text: str) -> str:
    return f'<div style="{_FAINT}">{html.escape(text)}</div>'


def page(parts: list[str]) -> str:
    """Return all that is shown of one thing."""
    return f'<div style="{_PAGE}">{"".join(parts)}</div>'
