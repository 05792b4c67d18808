"""`draw`: a graph as a picture."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import DrawingError, GraphnnError, UsageError, near
from ..execute.interpreter import Stop
from ..graph import Graph, Node, Spec, Unbuilt, told_where, user_origin
from ..show import Shown, show_as
from .dot import dot_source
from .engine import TookTooLong, find_engine, lay_out
from .fold import Box, Detail, Edge, Picture, folding, picture
from .looks import HIGHLIGHTS, Highlight
from .plain import plain_svg
from .text import counted, elided, visible

_FORMATS = ("svg", "png", "pdf", "jpg", "json", "dot")
_ENGINES = ("dot", "plain")
# How many boxes are laid out by Graphviz, and how many at all, unless told otherwise.
_MOST_BY_GRAPHVIZ, _MOST_BOXES = 2000, 20_000
# A graph in a notebook is shown if that is quick.
_MOST_AT_A_GLANCE = 20_000
# Of a larger graph, layers are drawn rather than operations, unless told otherwise.
_MOST_OPERATIONS = 400
_NOTE_WIDTH, _MOST_NOTES = 44, 6
_ALIASES = {"gv": "dot", "jpeg": "jpg"}


@told_where
def draw(
    fetches: Any,
    detail: Detail = "op",
    *,
    title: str | None = None,
    graph: Graph | None = None,
    highlight: Mapping[Any, Highlight] | None = None,
    engine: str | None = None,
    limit: int | None = None,
    timeout: float = 60.0,
) -> Diagram:
    """Draw what the fetches need.

    Parameters
    ----------
    fetches : Node, str, list, tuple or dict of them, or Graph
        Of a graph, its outputs; if it has none, all nodes that nothing reads.
    detail : "op", "layer", int or dict
        ``"op"``: every operation, the scopes as frames around them. ``"layer"``: a box a layer; the user's own
        scopes stay frames. A number: scopes are open to so many levels, 0 for none. A dict
        ``{path of a scope: "op" or "layer"}`` mixes them: "layer" makes one box of that scope, "op" opens it
        and all in it; what it does not name is drawn as it says for ``""``, the whole graph ("layer" unless given).
    title : str, optional
        Set above the picture.
    graph : Graph, optional
        Where names are looked up, if no fetch is a node.
    highlight : dict of Node or str to str, optional
        What sets nodes apart: ``"failed"``, ``"current"``, ``"overridden"``, ``"stale"``, ``"waiting"``, or plain
        ``"done"`` and ``"fed"``. Or that and lines of text, which are said on the box: ``("failed", "0 / 0")``.
    engine : "dot" or "plain", optional
        What lays the picture out: Graphviz, or graphnn itself, which writes SVG only. By default Graphviz, if there is
        one, and graphnn where there is none, where there are more than 2,000 boxes, and where Graphviz takes too long.
    limit : int, optional
        The largest number of boxes that is laid out. By default 2,000 by Graphviz and 20,000 plainly.
    timeout : float
        Seconds that Graphviz may take.

    Returns
    -------
    Diagram
        Shows itself in a notebook; ``.save(path)``, ``.source``.

    Raises
    ------
    UsageError
        When `detail` or `engine` is none of these, or a fetch is no node.
    LookupFailure
        When a name is unknown.

    Examples
    --------
    >>> g = Graph("line")
    >>> x = g.placeholder("x", shape=("batch", 2))
    >>> with g.scope("head"):
    ...     y = x * 2.0 + 1.0
    >>> draw(y)
    <Diagram of "line": 5 boxes, 4 edges>
    >>> draw(y, detail=0)
    <Diagram of "line": 2 boxes, 1 edge>
    >>> draw(y).source.splitlines()[0]
    'digraph graphnn {'
    """
    if engine is not None and engine not in _ENGINES:
        raise UsageError(f'an engine is "dot" or "plain", or None for what there is; got {engine!r}')
    seen = picture(fetches, detail, graph)
    return Diagram(seen, title, detail == "layer", limit, timeout, _checked(highlight or {}, seen.graph), engine)


def _checked(highlight: Mapping[Any, Highlight], graph: Graph) -> dict[Node, Highlight]:
    for mark in highlight.values():
        kind = mark if isinstance(mark, str) else mark[0]
        if kind not in HIGHLIGHTS:
            raise UsageError(f"no node can be highlighted as {kind!r}.{near(kind, HIGHLIGHTS)}")
    return {graph[node] if isinstance(node, str) else node: mark for node, mark in highlight.items()}


class Diagram(Shown):
    """A graph drawn; laid out when it is asked for.

    Made by `draw`. In a notebook it is shown as SVG; where it is too large, as its repr.

    Attributes
    ----------
    note : str
        When it was laid out by graphnn itself although nobody said so: why.
    """

    def __init__(
        self,
        seen: Picture,
        title: str | None,
        sideways: bool,
        limit: int | None,
        timeout: float,
        highlight: Mapping[Node, Highlight],
        engine: str | None = None,
    ) -> None:
        self.note = ""
        self._picture = seen
        self._highlight = highlight
        self._title = title
        self._sideways = sideways
        self._limit = limit
        self._timeout = timeout
        self._engine = engine

    def __repr__(self) -> str:
        seen = self._picture
        boxes, edges = counted(len(seen.boxes), "box"), counted(len(seen.edges), "edge")
        return f'<Diagram of "{elided(visible(seen.graph.name), 32)}": {boxes}, {edges}>'

    @cached_property
    def source(self) -> str:
        """The DOT text; there at any size, and without Graphviz."""
        return dot_source(self._picture, self._title, self._sideways, self._highlight)

    def render(self, form: str = "svg") -> bytes:
        """Return the picture.

        Parameters
        ----------
        form : str
            ``"svg"``, ``"png"``, ``"pdf"``, ``"jpg"``, ``"json"`` or ``"dot"``.

        Returns
        -------
        bytes

        Raises
        ------
        UsageError
            When there is no such format.
        DrawingError
            When there are more boxes than `limit`, or when only Graphviz draws it, as all but SVG, and there is none,
            it does not write the format, or it takes longer than `timeout`.
        """
        wanted = _ALIASES.get(form.lower(), form.lower())
        if wanted not in _FORMATS:
            raise UsageError(f"a picture is drawn as {', '.join(_FORMATS)}; not as {form!r}")
        if wanted == "dot":
            return self.source.encode()
        self.note = ""
        if self._engine == "plain":
            return self._plain(wanted)
        boxes = len(self._picture.boxes)
        most = _MOST_BY_GRAPHVIZ if self._limit is None else self._limit
        plainly = self._engine is None and wanted == "svg"
        if boxes > most:
            if plainly and self._limit is None:
                return self._plain(wanted, f"{boxes:,} boxes are more than the {most:,} that Graphviz lays out")
            raise self._too_large(most)
        if plainly and find_engine() is None:
            return self._plain(wanted, "there is no Graphviz here")
        try:
            return lay_out(self.source, wanted, self._timeout)
        except TookTooLong:
            if not plainly:
                raise
            return self._plain(wanted, f"Graphviz took more than {self._timeout:g} s")

    def _plain(self, form: str, note: str = "") -> bytes:
        if form != "svg":
            raise DrawingError(f'engine="plain" draws SVG only; {form} needs Graphviz: engine="dot", or none said')
        most = _MOST_BOXES if self._limit is None else self._limit
        if len(self._picture.boxes) > most:
            raise self._too_large(most)
        self.note = note
        return plain_svg(self._picture, self._title, self._sideways, self._highlight).encode()

    def _too_large(self, most: int) -> DrawingError:
        boxes = len(self._picture.boxes)
        return DrawingError(
            f'{boxes:,} boxes are more than the {most:,} that are laid out: fold layers (detail="layer", or '
            f"detail=1 for one level of scopes), draw fewer fetches, or insist (limit={boxes}, timeout=…); "
            ".source is the DOT text"
        )

    def svg(self) -> str:
        """Return the picture as SVG text; raises as `render` does."""
        return self.render("svg").decode()

    def save(self, path: str | Path) -> Path:
        """Write the picture to a file; its suffix says in which format.

        Parameters
        ----------
        path : str or Path
            ``.svg``, ``.png``, ``.pdf``, ``.jpg``, ``.json``; ``.dot`` or ``.gv`` for the DOT text.

        Returns
        -------
        Path

        Raises
        ------
        UsageError, DrawingError
            As `render`; nothing is written then.
        """
        path = Path(path)
        if not path.suffix:
            raise UsageError(f'"{path}" has no suffix to say what to draw: .{", .".join(_FORMATS)}')
        drawn = self.render(path.suffix[1:])
        path.write_bytes(drawn)
        return path


@show_as(Diagram, "image/svg+xml")
def _diagram_as_svg(diagram: Diagram) -> str | None:
    try:
        return diagram.svg()
    except DrawingError:
        return None


@show_as(Graph, "image/svg+xml")
def _graph_as_svg(graph: Graph) -> str | None:
    if not 0 < len(graph) <= _MOST_AT_A_GLANCE:
        return None
    try:
        return draw(graph, detail="layer", limit=300, timeout=10.0).svg()
    except DrawingError:
        return None


# --- where an error arose -------------------------------------------------------------------------------------


@show_as(GraphnnError, "diagram")
def _where_it_failed(error: GraphnnError) -> Diagram | None:
    if isinstance(error.stopped, Stop):
        return _unfinished(error, error.stopped)
    return _unbuilt(error, error.stopped) if isinstance(error.stopped, Unbuilt) else None


def _unfinished(error: GraphnnError, stop: Stop) -> Diagram:
    """Return what a run would have computed, with the node at which it ended."""
    program = stop.prepared.program
    highlight: dict[Node, Highlight] = dict.fromkeys(program.order, "done")
    for place in range(stop.place + 1, len(program.order)):
        if stop.prepared.binding.forwards[place] is not None:
            highlight[program.order[place]] = "waiting"
    failed = program.order[stop.place]
    said = f"refused by guard={stop.guard}" if stop.guard is not None else "failed"
    highlight[failed] = ("failed", said, *_reason(error.__cause__, failed))
    return draw([program.order[place] for place in program.fetches], _detail(program.order), highlight=highlight)


def _unbuilt(error: GraphnnError, refused: Unbuilt) -> Diagram:
    """Return what was built of the operands of an operation, with the operation that could not be."""
    graph = refused.operands[0].graph
    seen = picture(list(refused.operands))
    detail = _detail(node for box in seen.boxes for node in box.nodes)
    if detail != "op":
        seen = picture(list(refused.operands), detail)
    seen.fetched.clear()
    node = _never_made(graph, refused)
    _, around = folding(graph, detail)(node)
    box_of = {inside: box for box in seen.boxes for inside in box.nodes}
    box = Box(len(seen.boxes), None, around, [node])
    seen.boxes.append(box)
    seen.edges += [Edge(box_of[x], box, x, position) for position, x in enumerate(refused.operands)]
    highlight: dict[Node, Highlight] = {node: ("failed", "could not be made", *_reason(error, node))}
    return Diagram(seen, None, detail == "layer", 2000, 60.0, highlight)


def _never_made(graph: Graph, refused: Unbuilt) -> Node:
    """Return a node like the one that could not be made; the graph does not know it."""
    node = Node()
    node.graph, node.index, node.twin = graph, len(graph), None
    node.name, node.op, node.inputs = refused.op.name, refused.op, refused.operands
    node.spec = Spec(("?",), refused.operands[0].dtype)
    node.scope, node.origin = refused.scope, user_origin()
    return node


def _detail(nodes: Iterable[Node]) -> str:
    return "op" if len(list(nodes)) <= _MOST_OPERATIONS else "layer"


def _reason(error: BaseException | None, node: Node) -> list[str]:
    """Return what an error says first, in lines that a box can hold."""
    said = str(error or "").partition("\n")[0].removeprefix(node.op.name).lstrip(": ")
    return [
        line
        for part in re.split(r"(?<=:) |(?<=,) (?=axis )", visible(said) if said else "")
        for line in textwrap.wrap(part, _NOTE_WIDTH)
    ][:_MOST_NOTES]
