"""`draw`: a graph as a picture."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import DrawingError, UsageError
from ..graph import Graph, told_where
from ..show import Shown, show_as
from .dot import dot_source
from .engine import lay_out
from .fold import Detail, Picture, picture
from .text import counted, elided, visible

_FORMATS = ("svg", "png", "pdf", "jpg", "json", "dot")
# A graph in a notebook is shown if that is quick.
_MOST_AT_A_GLANCE = 20_000
_ALIASES = {"gv": "dot", "jpeg": "jpg"}


@told_where
def draw(
    fetches: Any,
    detail: Detail = "op",
    *,
    title: str | None = None,
    graph: Graph | None = None,
    limit: int = 2000,
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
    limit : int
        The largest number of boxes that is laid out.
    timeout : float
        Seconds that laying out may take.

    Returns
    -------
    Diagram
        Shows itself in a notebook; ``.save(path)``, ``.source``.

    Raises
    ------
    UsageError
        When `detail` is none of these, or a fetch is no node.
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
    return Diagram(picture(fetches, detail, graph), title, detail == "layer", limit, timeout)


class Diagram(Shown):
    """A graph drawn: DOT text, laid out when it is asked for.

    Made by `draw`. In a notebook it is shown as SVG; where nothing is there to lay it out, as its repr.
    """

    def __init__(self, seen: Picture, title: str | None, sideways: bool, limit: int, timeout: float) -> None:
        self._picture = seen
        self._title = title
        self._sideways = sideways
        self._limit = limit
        self._timeout = timeout

    def __repr__(self) -> str:
        seen = self._picture
        boxes, edges = counted(len(seen.boxes), "box"), counted(len(seen.edges), "edge")
        return f'<Diagram of "{elided(visible(seen.graph.name), 32)}": {boxes}, {edges}>'

    @cached_property
    def source(self) -> str:
        """The DOT text; there at any size, and without Graphviz."""
        return dot_source(self._picture, self._title, self._sideways)

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
            When there are more boxes than `limit`, there is no Graphviz, it does not write the format, or it
            takes longer than `timeout`.
        """
        wanted = _ALIASES.get(form.lower(), form.lower())
        if wanted not in _FORMATS:
            raise UsageError(f"a picture is drawn as {', '.join(_FORMATS)}; not as {form!r}")
        if wanted == "dot":
            return self.source.encode()
        boxes = len(self._picture.boxes)
        if boxes > self._limit:
            raise DrawingError(
                f'{boxes:,} boxes are more than the {self._limit:,} that are laid out: fold layers (detail="layer", or '
                f"detail=1 for one level of scopes), draw fewer fetches, or insist (limit={boxes}, timeout=…); "
                ".source is the DOT text"
            )
        return lay_out(self.source, wanted, self._timeout)

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
