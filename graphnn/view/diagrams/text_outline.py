"""A picture as lines of text: a box a line, in the order of making, with rails for the values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..formatting import cells_of, counted, elided, in_cells, shortened, visible, wrapped
from .box_text import common_settings, repeated_title, shape_words, title_with_times, words
from .picture import (
    NEXT,
    ROW,
    BodyScope,
    Box,
    Edge,
    Picture,
    insides,
    local_name,
    numbers_in,
    own_name,
    scopes_down_to,
    title_of,
    value_name,
)
from .shapes import USUAL, Drawing, lines_of, paragraphs
from .shared_parameters import sharing

if TYPE_CHECKING:
    from ...core import Scope
    from .shapes import Manner

_GLYPHS = {"placeholder": "○", "input": "○", "gradient": "◆", "update": "■"}
_GLYPHS |= dict.fromkeys(("parameter", "frozen", "constant"), "◇")
_GLYPH, _GLYPH_OF_FAILED = "●", "✗"
_IN_ASCII = str.maketrans({
    **dict.fromkeys("├┤┼┴╰╯", "+"), "│": "|", "─": "-", "○": "o", "◇": "o", "●": "*", "◆": "#", "■": "=", "✗": "!",
    "×": "x", "·": ".", "→": ">", "↑": "^", "…": "~",
})  # fmt: skip
_GAP, _STEP = "  ", "  "
_MOST_NAME, _MOST_SHAPE, _LEAST_SHAPE, _LEAST_TEXT, _MOST_LANES = 28, 32, 10, 30, 16
_LEAST_WIDTH = 40
# A value that is read so many lines further down is named there.
_FAR = 24


def outline(seen: Picture, manner: Manner = USUAL, *, width: int | None = 80, ascii: bool = False) -> str:
    """Return a picture as text.

    Parameters
    ----------
    seen : Picture
    manner : Manner
    width : int, optional
        Lines are cut so that they keep to it, or to 40 if it is less; None: not at all.
    ascii : bool
        Whether to draw with ASCII; names stay as they are.

    Returns
    -------
    str
        Lines without trailing blanks.

    Examples
    --------
    >>> from .boxes import picture
    >>> from ...core import Graph
    >>> g = Graph()
    >>> x = g.placeholder("x", shape=("batch", 2))
    >>> with g.scope("head"):
    ...     y = x + 2.0 * x
    >>> print(outline(picture(y)))
    ○    x                    batch × 2
    │    head
    ├─●    multiply(2, x)     batch × 2
    ●─╯    add(x, multiply)   batch × 2 → fetched
    """
    if width is not None:
        width = max(width, _LEAST_WIDTH)
    drawn = Drawing(seen, manner)
    shapes = {shape.name: shape for shape in drawn.shapes}
    stubs = {shape.name: f"→ {_shown(shape.title)}" for shape in drawn.shapes if shape.kind == "cut"}
    cut_below = {arrow.tail: [stubs[arrow.head]] for arrow in drawn.arrows if arrow.head in stubs}
    cut_above: dict[Box, list[Edge]] = {}
    for edge in seen.cut:
        cut_above.setdefault(edge.head, []).append(edge)
    edges_to: list[list[Edge]] = [[] for _ in seen.boxes]
    readers: set[int] = set()
    for edge in seen.edges:
        edges_to[edge.head.place].append(edge)
        readers.add(edge.tail.place)
    # What is stored is named by what reads it. It has a line of its own only if it is asked for, or more is said of it.
    listed = [
        box
        for box in seen.boxes
        if not (_stored(box) and box.place in readers and box.node not in seen.fetched) or shapes[f"n{box.place}"].said
    ]
    rails = _Rails(listed, seen.edges, _MOST_LANES if width is None else width // 8)
    frames, readers_of = {frame.scope.path: frame for frame in drawn.frames}, sharing(seen).readers
    rows: list[_Row] = []
    open_before: list[Scope] = []
    for box in listed:
        scopes = scopes_down_to(box.around)
        for depth, scope in enumerate(scopes):
            if scope not in open_before:
                frame = frames[scope.path]
                name, sign, times = frame.title.rpartition(" ×")
                name = f"{_shown(name)}{sign}{times}" if name else _shown(times)
                said = f"{name}  {frame.note}" if frame.note else name
                rows.append(_Row(rails.passing(), _STEP * depth + said))
        open_before = scopes
        shape = shapes[f"n{box.place}"]
        glyph = _GLYPH_OF_FAILED if shape.look.get("shape") == "octagon" else _GLYPHS.get(shape.kind, _GLYPH)
        line, by_rail = rails.reach(box, edges_to[box.place], glyph)
        cut = cut_above.get(box, [])
        operands = [
            f"… {_shown(value_name(line[0]))}" if line[0] in cut else _operand(line, line[0] in by_rail)
            for line in lines_of(sorted([*_taken(edges_to[box.place]), *cut], key=lambda edge: edge.position or 0))
        ]
        notes = ", ".join(visible(note) for note in shape.said)
        # A value that is written out has brackets of its own.
        noted = f"  {notes}" if notes.startswith("[") else f"  [{notes}]" if notes else ""
        then = [_operand([edge], False) for edge in edges_to[box.place] if edge.taken == NEXT]
        said = f"{_STEP * len(scopes)}{_call(box, operands)}{''.join(f', then {name}' for name in then)}{noted}"
        leads = [*_fetched(seen, box), *cut_below.get(shape.name, ())]
        rows.append(_Row(line, said, _more(box, readers_of.get(box, 0)), " ".join([_shape_of(box), *leads])))
    headings = paragraphs(drawn.headings)
    if width is not None:
        headings = [line for said in headings for line in wrapped(said, width)]
    text = "\n".join([*headings, *_aligned(rows, width)])
    return text.translate(_IN_ASCII) if ascii else text


# --- what is said of a box --------------------------------------------------------------------------------------


def _stored(box: Box) -> bool:
    return box.scope is None and box.node.has_value


def _taken(edges: Sequence[Edge]) -> list[Edge]:
    """Return the edges but for those that go back."""
    return [edge for edge in edges if edge.taken != NEXT]


def _shape_of(box: Box) -> str:
    """Return the shape of what a box gives; of a loop, of the first of its arrays."""
    return shape_words(next(iter(box.gives)) if box.gives and insides(box.node) else box.node)


def _shown(name: str) -> str:
    return shortened(name, _MOST_NAME)


def _call(box: Box, operands: Sequence[str]) -> str:
    """Return what a box computes, in the manner of a line of code."""
    node, scope = box.nodes[0], box.scope
    if box.title:
        how = f"{box.note} of " if box.note == ROW else ""
        return f"{_shown(box.title)} = {how}{', '.join(operands)}" if operands else _shown(box.title)
    if scope is not None:
        name, what, operands = title_of(scope), scope.kind or title_of(scope), list(operands)
    elif node.op.is_leaf:
        return _shown(words(box).title)
    else:
        name, what, operands = own_name(node), node.op.name, [*operands, *map(_shown, common_settings(box))]
    call = repeated_title(f"({', '.join(operands)})", box.times)
    call = call if scope is None else title_with_times(call, scope)
    # relu_1(…) says as much as relu_1 = relu(…)
    alike = re.sub(r"_\d+$", "", name).replace("_", "").lower() == what.replace("_", "").lower()
    return f"{_shown(name)}{call}" if alike else f"{_shown(name)} = {_shown(what)}{call}"


def _more(box: Box, readers: int) -> str:
    """Return what else there is to say, where there is room."""
    node = box.node
    if box.scope is not None:
        numbers = numbers_in(box.nodes)
        return counted(numbers, "parameter") + (f", read by {readers}" if readers else "") if numbers else ""
    if words(box).kind == "frozen":
        return "not trained"
    return f"of {_shown(own_name(node.twin))}" if node.twin is not None and node.twin.phase != node.phase else ""


def _operand(edges: Sequence[Edge], by_rail: bool) -> str:
    """Return the name of an operand, as short as its reader's frame allows; full where no rail leads to it.

    Several values of one box are counted: ``block_1 (14 values)``.
    """
    edge, count = edges[0], len(dict.fromkeys(edge.node for edge in edges))
    if count == 1:
        return f"{edge.said} {_name_of(edge, by_rail)}".strip()
    name = _name_of(edge._replace(node=edge.tail.node), by_rail)
    return f"{name} ({counted(count, 'value')})"


def _name_of(edge: Edge, by_rail: bool) -> str:
    tail, node = edge.tail, edge.node
    if tail.scope is None and node.op.is_constant:
        return _shown(words(tail).title)
    name = tail.scope.path if tail.scope is not None and node is tail.node else node.title
    if tail.title or isinstance(tail.around, BodyScope) or node in tail.gives:
        name = tail.title or (own_name(node) if tail.scope is None else title_of(tail.scope))
        near = by_rail or edge.taken == NEXT or node.op.is_parameter
        return _shown(name) if near else f"↑{_shown(name)}"
    if not by_rail and not node.op.is_parameter:
        return f"↑{_shown(name)}"
    scopes = scopes_down_to(edge.head.around)
    if scopes and "/" not in (own := local_name(name, scopes[-1])):
        return _shown(own)
    # Of the backward pass, or of the update, that it is of that pass is said by the rail.
    return _shown(local_name(name, scopes[0]) if scopes and edge.head.phase != "forward" else name)


def _fetched(seen: Picture, box: Box) -> list[str]:
    asked = [seen.fetched[node] for node in box.seen if node in seen.fetched]
    names = [_shown(name) for names in asked for name in names]
    return [f"→ {', '.join(names) or 'fetched'}"] if asked else []


# --- lines ------------------------------------------------------------------------------------------------------


class _Row(NamedTuple):
    rails: str
    said: str
    more: str = ""
    shape: str = ""


def _aligned(rows: Sequence[_Row], width: int | None) -> list[str]:
    rails = max((len(row.rails) for row in rows), default=0)
    shapes = max((cells_of(row.shape) for row in rows), default=0)
    texts = [row.said + (_GAP + row.more) * bool(row.more) for row in rows]
    text = max((cells_of(text) for row, text in zip(rows, texts, strict=True) if row.shape), default=0)
    if width is not None:
        room = width - rails - 2 * len(_GAP)
        shapes = min(shapes, _MOST_SHAPE, max(room - min(text, _LEAST_TEXT), _LEAST_SHAPE))
        text = min(text, room - shapes)
    lines = []
    for row, said in zip(rows, texts, strict=True):
        if not row.shape:  # the heading of a frame
            said = said if width is None else in_cells(said, width - rails - len(_GAP))
        else:
            said = in_cells(said if cells_of(said) <= text else row.said, text) + _GAP + elided(row.shape, shapes)
        lines.append(f"{row.rails.ljust(rails)}{_GAP}{said}".rstrip())
    return lines


def _flows(edge: Edge) -> bool:
    return not (edge.lent or edge.node.has_value)


class _Rails:
    """The lanes in which values are led past lines that do not read them.

    A lane begins at the box that makes a value and ends at the last one that reads it, if that is near. No lane has
    a value that is stored, one that the backward pass or an update borrows, and one for which there is no more room.
    """

    def __init__(self, listed: Sequence[Box], edges: Sequence[Edge], most: int) -> None:
        self._most = most
        self._last: dict[int, int] = {}  # who reads a value last by rail, by the place of the box that makes it
        line_of = {box.place: line for line, box in enumerate(listed)}
        for edge in edges:
            tail, head = edge.tail.place, edge.head.place
            if _flows(edge) and line_of[head] - line_of[tail] <= _FAR:
                self._last[tail] = max(head, self._last.get(tail, -1))
        self._lanes: list[int | None] = []  # whose value is in it

    def passing(self) -> str:
        """Return a line that nothing reaches."""
        return " ".join(" " if place is None else "│" for place in self._lanes)

    def reach(self, box: Box, edges: Sequence[Edge], glyph: str) -> tuple[str, set[Edge]]:
        """Return the line of the next box, and which of the edges to it are rails."""
        lanes, last = self._lanes, self._last
        by_rail = {edge for edge in edges if edge.tail.place in lanes and _flows(edge)}
        given = {edge.tail.place for edge in by_rail}
        read = [lane for lane, place in enumerate(lanes) if place in given]
        ended = [lane for lane in read if last[lanes[lane] or 0] <= box.place]
        free = [lane for lane, place in enumerate(lanes) if place is None]
        own = min([*free, len(lanes)], key=lambda lane: abs(lane - (read[-1] if read else 0)))
        if ended:
            own = ended[0]
        line = self._line(own, glyph, read, ended)
        lanes += [None] * (own + 1 - len(lanes))
        for lane in ended:
            lanes[lane] = None
        if last.get(box.place, -1) > box.place and own < self._most:
            lanes[own] = box.place
        while lanes and lanes[-1] is None:
            lanes.pop()
        return line, by_rail

    def _line(self, own: int, glyph: str, read: Sequence[int], ended: Sequence[int]) -> str:
        first, final = min([own, *read]), max([own, *read])
        cells = []
        for lane in range(max(len(self._lanes), own + 1)):
            taken = lane < len(self._lanes) and self._lanes[lane] is not None
            if lane == own:
                cells.append(glyph)
            elif lane in read:
                corners = ("╰" if lane < own else "╯", "┴") if lane in ended else ("├" if lane < own else "┤", "┼")
                cells.append(corners[first < lane < final])
            else:  # a rail that passes is not cut
                cells.append("│" if taken else "─" if first < lane < final else " ")
            cells.append("─" if first <= lane < final else " ")
        return "".join(cells).rstrip()
