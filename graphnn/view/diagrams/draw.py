"""`draw`: a graph as a picture."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..._util.call_errors import explain_public
from ..._util.display import SVG, Shown
from ..._util.hints import elsewhere
from ..._util.text import short_repr
from ...core import Graph, Node
from ...core.attributes import whole
from ...core.topological_order import schedule
from ...debugger.traces import Trace
from ...errors import DrawingError, UsageError
from ...io.paths import path_of
from ..formatting import counted, shortened
from ..layout.graphviz_engine import NO_ENGINE, TookTooLong, find_engine, lay_out, paint
from .animation import animated, stills
from .bitmap import dot_of_paint
from .boxes import picture
from .crop import around, of_phases
from .dot import dot_source
from .draw_arguments import boxes_asked, check_name, dots_asked, highlighted, seconds_asked, set_by_hand
from .engine_choice import suits_graphviz
from .folded_calls import folded
from .fonts import fitted
from .json_positions import json_of
from .mermaid import mermaid_source
from .overlay import NO_OVERLAY, of_graph, overlaid
from .overlay_types import Overlay, drawn_over
from .overlay_values import evaluated, needs_no_feed
from .paging import in_pages, page_asked, takes_more
from .pdf import pdf_of
from .picture import Detail, Picture, asked
from .repeated_blocks import repeated
from .shapes import Manner
from .style import NODE, THEMES
from .svg import below_each_other, headed, plain_svg, size_on_page, svg_on_page
from .svg_painting import painted, runs_over_titles
from .text_outline import outline

if TYPE_CHECKING:
    from ...runtime.feed import Feed

_DIRECTIONS = ("down", "right")
# Pages that a picture takes before its scopes are collapsed, if nobody says how much detail it is to have.
_MOST_PAGES = 2
_FORMATS = ("svg", "png", "pdf", "jpg", "json", "dot", "mmd", "txt")
_ENGINES = ("dot", "plain")
# How many boxes are laid out by Graphviz, and how many at all, unless `limit` says otherwise.
_MOST_BY_GRAPHVIZ, _MOST_BOXES = 2000, 20_000
# What is collapsed if nobody says: step by step, until there are few boxes.
_STEPS: tuple[tuple[Detail, bool], ...] = (("op", True), ("layer", False), ("layer", True), (1, True), (0, True))
_FEW_BOXES = 400

# A picture by Graphviz, and how large it may be in points.
_SIZE = re.compile(r'viewBox="[-\d.]+ [-\d.]+ ([\d.]+) ([\d.]+)"')
_WIDEST, _HIGHEST = 1600.0, 2600.0
# Of a bitmap: dots an inch, and how many pixels wide or high it may be, for many programs open no larger one.
_BITMAPS, _DOTS, _MOST_PIXELS = ("png", "jpg"), 144.0, 2**15 - 1

# A graph in a notebook is shown if that is quick.
_MOST_AT_A_GLANCE = 20_000
_RADIUS = 2
_ALIASES = {"gv": "dot", "jpeg": "jpg"}


def draw(
    fetches: Any,
    *given: Detail | Feed | None,
    detail: Detail | None = None,
    feed: Feed | None = None,
    overlay: Any = None,
    trace: Any = None,
    highlight: Any = None,
    repeats: bool = False,
    focus: Any = None,
    radius: int = _RADIUS,
    phases: Any = None,
    alone: bool = False,
    theme: str = "light",
    title: str | None = None,
    graph: Graph | None = None,
    engine: str | None = None,
    limit: int | None = None,
    timeout: float = 60.0,
    direction: str | None = None,
    fit: Any = None,
    numbers: str | None = None,
) -> Diagram:
    """Draw what the fetches need.

    Parameters
    ----------
    fetches : Node, str, list, tuple or dict of them, Graph, Compiled, Trace, Circuit or Effects
        For a graph, its outputs; if it has none, all nodes that nothing reads. For a compiled step, its updates, too. A
        trace is drawn with its values; a circuit's edges are highlighted; effects set the colour of nodes and the width
        of edges; unless `overlay` says otherwise.
    *given : detail or feed, optional
        A feed or a detail may stand without its name, as in ``gn.draw(loss, {x: X})`` and ``gn.draw(loss, "layer")``.
    detail : "op", "leaf", "layer", int or dict, optional
        ``"op"``, the default: every operation, the scopes as frames around them. ``"layer"``: a box a layer; the
        user's own scopes stay frames. ``"leaf"``: a box for each layer with no layer inside, in frames of the layers
        around it. A number: scopes are open to so many levels, 0 for none. A dict ``{path of a scope: "op", "leaf" or
        "layer"}`` mixes them: "layer" makes one box of that scope, "leaf" opens it down to the innermost layers, "op"
        opens it and all in it; what it does not name is drawn as it says for ``""``, the whole graph ("layer" unless
        given).
        Where none is given and there are more boxes than `limit`, scopes and repeats are collapsed, and the picture
        says so.
        A loop is a scope, too: open, it is a frame with what one iteration computes, and with the number of iterations
        (``scan_1 ×time``). What is carried from one iteration to the next, and what has one row for each, are boxes in
        it. An edge that leads out says what of the iterations it is: the last value, or all of them, stacked.
    feed : mapping of Node or str to array_like, optional
        Run the fetches with it, and draw them with their values, or with what `overlay` says. No node is made, and no
        update. May be left out, or empty, where nothing needs to be fed and `overlay` is of a run.
    overlay : str, dict, Profile, Health, Comparison, Explanation, Circuit, Effects, or list, optional
        What to write on the nodes, with colours and a legend. ``"values"``, ``"statistics"``, ``"gradients"``,
        ``"time"``, ``"bytes"``, ``"flops"``, ``"health"``, ``"difference"``, ``"digits"``, ``"plan"``, ``"circuit"`` or
        ``"effects"``, read from `trace`. Or what one of them is read from. Or your own:
        ``{node or name: number or text}``. For a list, each box shows one below the other. With `feed`, ``"gradients"``
        are those of the only scalar that is drawn.
    trace : Trace, Profile, Health, Comparison, Explanation, Circuit or Effects, optional
        What `overlay` is read from; of a trace, its values, unless `overlay` says otherwise.
    highlight : dict of Node or str to str, or list of Node or str, optional
        What sets nodes apart: ``"failed"``, ``"warning"``, ``"current"``, ``"overridden"``, ``"way"``, ``"stale"``,
        ``"waiting"``, or plain ``"done"`` and ``"fed"``. Or that and lines of text, which are said on the box:
        ``("failed", "0 / 0")``. A list is a path: its nodes and the edges from each to the next; of a set, all edges
        between them. For a what-if's trace, what was set by hand, unless given.
    repeats : bool
        Whether blocks that are the same but for the numbers of their parameters, one after the other, are one box, as
        ``Dense → relu ×3``; it counts the parameters of all.
    focus : Node, str or list of them, optional
        Draw the neighbourhood of these alone: nodes, names, scopes, patterns or operations. The picture says
        what is cut off.
    radius : int
        How many edges that goes; only with `focus`.
    phases : str or tuple of str, optional
        Draw ``"forward"``, ``"backward"`` or ``"update"`` alone, or some of them.
    alone : bool
        For a circuit, whether only its edges are drawn, and what their nodes need that is never ablated.
    theme : "light" or "dark"
    title : str, optional
        Set above the picture.
    graph : Graph, optional
        Where names are looked up, if no fetch is a node.
    direction : "down" or "right", optional
        Where values go. By default down, and to the right where layers are boxes.
    fit : (float, float) or str, optional
        The picture fills a slide of this shape, as ``(16, 9)``, or a sheet: ``"A4"``, ``"A3"``, ``"A5"``, ``"letter"``,
        or these with ``" landscape"``. It is turned and folded so that it is as large as can be. Where the smallest
        text would have less than 9 pixels of 1/96 inch (on a slide whose longer side has 1,280), it takes several
        pages; scopes are collapsed first where no `detail` is given and no numbers are asked for.
    numbers : "all", optional
        With values or gradients: write out each number of small ones, of up to 72 numbers, in the place of how far
        they reach and of their colours.
    engine : "dot" or "plain", optional
        What lays the picture out, in all formats: Graphviz, or graphnn itself, which folds what is too wide or too
        high. By default Graphviz draws small pictures without an update, either without frames or with a backward pass.
        Small are at most 200 boxes, with no path that is longer than 16 boxes from left to right, or 43 from top to
        bottom. graphnn draws all others, and where there is no Graphviz, where it fails or takes too long, and where
        its picture is wider than 1,600 points or higher than 2,600, or its lines run over the titles of frames.
    limit : int, optional
        The largest number of boxes that is laid out, from 1 up. By default 2,000 by Graphviz and 20,000 plainly; of
        more than 2,000, something is collapsed if `detail` does not say what.
    timeout : float
        Seconds that Graphviz may take, more than none.

    Returns
    -------
    Diagram
        Shows itself in a notebook; ``.save(path)``, ``.source``.

    Raises
    ------
    UsageError
        When an argument is not one of these, a fetch is not a node, or the overlay is read from something else.
    ValueRangeError
        When a number is out of its range.
    NotFoundError
        When a name is unknown, or nothing of the overlay, of the highlight or of the phases is in the picture.

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
    >>> draw(y, {x: [[1.0, 2.0]]}).text().splitlines()[-1]
    '●    add(multiply, 1)  [[3, 5]]  batch × 2 → fetched'
    >>> draw(y, overlay={y: 3.5}, highlight=[x, "head/multiply", y], focus=y, radius=1)
    <Diagram of "line": 3 boxes, 2 edges>
    """
    _check_manner(theme, engine, repeats, title)
    page = _check_page(direction, fit, numbers, engine)
    over = drawn_over(fetches)
    _check_alone(alone, fetches, over)
    if focus is None and radius != _RADIUS:
        raise UsageError("radius= says how far focus= goes, and there is no focus=")
    limit, timeout = boxes_asked(limit), seconds_asked(timeout)
    levels, feed = _given(given, detail, feed, partial(_is_feed, fetches=fetches, graph=graph))
    trace = _run_of(fetches, feed, graph, overlay, trace)
    _check_numbers(numbers, overlay if isinstance(overlay, Trace) else trace)
    if over is not None and overlay is None:
        overlay, trace = fetches if trace is None else [fetches, trace], None

    def seen_at(detail: Detail, merges: bool) -> Picture:
        found = picture(fetches, detail, graph)
        found = over.alone(found, fetches) if alone and over and over.alone else found
        if detail in ("layer", "leaf") or isinstance(detail, Mapping):
            found = folded(found, detail if isinstance(detail, Mapping) else ())
        found = repeated(found) if merges or repeats else found
        found = found if phases is None else of_phases(found, phases)
        return found if focus is None else around(found, focus, radius)

    def diagram(seen: Picture, levels: Detail | None, remark: str = "") -> Diagram:
        marks, way = ({}, []) if highlight is None else highlighted(highlight, seen)
        shown = overlay if isinstance(overlay, Trace) else trace
        if highlight is None and isinstance(shown, Trace):
            marks = of_graph(set_by_hand(shown), seen.graph)
        layer = (
            NO_OVERLAY if overlay is None and trace is None else overlaid(seen, overlay, trace, theme, numbers == "all")
        )
        sideways = levels == "layer" if direction is None else direction == "right"
        manner = Manner(title, sideways, marks, layer, way, theme, remark, direction)
        return Diagram(seen, manner, limit, timeout, engine, page)

    seen = seen_at("op" if levels is None else levels, False)
    most = _MOST_BY_GRAPHVIZ if limit is None else limit
    whole = levels is not None or len(seen.boxes) <= most
    drawn = diagram(seen, levels) if whole else diagram(*_collapsed(seen, seen_at, most))
    fixed = page is None or levels is not None or numbers is not None or not whole
    return drawn if fixed else _on_few_pages(drawn, seen_at, diagram)


def _check_numbers(numbers: str | None, trace: Any) -> None:
    if numbers is not None and trace is None:
        raise UsageError(
            "numbers= writes out what a run gave: give a feed, as in gn.draw(loss, feed, numbers=…), or a trace"
        )


def _run_of(fetches: Any, feed: Feed | None, graph: Graph | None, overlay: Any, given: Any) -> Any:
    """Return the run that is drawn: what was given, that of a feed, or what is drawn itself."""
    if feed is None and given is None and needs_no_feed(fetches, graph, overlay):
        feed = {}
    if feed is None:
        return fetches if isinstance(fetches, Trace) and given is None else given
    if given is not None:
        raise UsageError("feed= says what to run, and trace= what has been run: give one of the two")
    return evaluated(fetches, feed, graph, overlay)


def _on_few_pages(
    drawn: Diagram,
    seen_at: Callable[[Detail, bool], Picture],
    diagram: Callable[[Picture, Detail | None, str], Diagram],
) -> Diagram:
    """Return a diagram whose scopes are collapsed, step by step, as long as it takes many pages."""
    whole = drawn._picture
    for detail, merges in _STEPS[1:]:
        if not drawn._takes_more(_MOST_PAGES):
            break
        found = seen_at(detail, merges)
        if len(found.boxes) < len(drawn._picture.boxes):
            drawn = diagram(found, detail, _how(whole, found, detail, merges))
    return drawn


def _given(
    given: tuple[Detail | Feed | None, ...],
    detail: Detail | None,
    feed: Feed | None,
    is_feed: Callable[[Any], bool],
) -> tuple[Detail | None, Feed | None]:
    """Return the detail and the feed, one of which may have been given without its name."""
    if len(given) + (detail is not None) + (feed is not None) > 2 or len(given) > 1:
        raise UsageError("draw takes one detail and one feed after the fetches; the rest by name, as in overlay=trace")
    for each in given:
        if feed is None and (detail is not None or is_feed(each)):
            feed = cast("Feed", each)
        else:
            detail = cast("Detail | None", each)
    return detail, feed


def _check_manner(theme: Any, engine: Any, repeats: Any, title: Any) -> None:
    check_name("a theme", theme, THEMES)
    if engine is not None:
        check_name("an engine", engine, _ENGINES)
    if not isinstance(repeats, bool):
        raise UsageError(f"repeats= is True or False, not {short_repr(repeats)}")
    if title is not None and not isinstance(title, str):
        raise UsageError(f"title= is a text, not {type(title).__name__}")


def _check_page(direction: Any, fit: Any, numbers: Any, engine: Any) -> tuple[float, float] | None:
    """Return the size of a page, if one was asked for."""
    if direction is not None:
        check_name("a direction", direction, _DIRECTIONS)
    if numbers is not None:
        check_name("what numbers= takes", numbers, ("all",))
    if fit is not None and engine == "dot":
        raise UsageError('graphnn itself lays out what fills a page: leave out engine="dot", or fit=')
    return page_asked(fit)


def _how(seen: Picture, found: Picture, detail: Detail, repeats: bool) -> str:
    """Return what is said of a picture that was collapsed."""
    level = f'"{detail}"' if isinstance(detail, str) else detail
    said = ([f"detail={level}"] if detail != "op" else []) + (["repeats=True"] if repeats else [])
    return f"{len(seen.boxes):,} boxes collapsed to {len(found.boxes):,} ({', '.join(said)})"


def _check_alone(alone: Any, fetches: Any, over: Overlay | None) -> None:
    if not isinstance(alone, bool) or (alone and not (over and over.alone)):
        raise UsageError(f"alone=True draws a circuit alone; got {short_repr(alone)} for {type(fetches).__name__}")


def _is_feed(detail: Any, fetches: Any, graph: Graph | None) -> bool:
    """Return whether what stands in the place of the detail is a feed: it names nodes, and no scopes."""
    if not isinstance(detail, Mapping):
        return False
    if not detail:
        return not any(node.op.is_placeholder for node in schedule(list(asked(fetches, graph)[1])))
    if any(isinstance(key, Node) for key in detail) or any(not isinstance(v, (str, int)) for v in detail.values()):
        return True
    if all(isinstance(level, str) for level in detail.values()):
        return False
    names = {node.name for node in asked(fetches, graph)[0].placeholders}
    return any(key in names for key in detail)


def _collapsed(seen: Picture, seen_at: Callable[[Detail, bool], Picture], most: int) -> tuple[Picture, Detail, str]:
    """Return a picture with fewer boxes, at which detail that is, and what was collapsed."""
    best, how = seen, ""
    chosen: Detail = "op"
    for detail, repeats in _STEPS:
        found = seen_at(detail, repeats)
        if len(found.boxes) < len(best.boxes):
            best, chosen = found, detail
            how = _how(seen, best, detail, repeats)
        if len(best.boxes) <= min(most, _FEW_BOXES) or not seen.open_scopes():
            break
    # A little less is not worth what it hides.
    if max(most, len(seen.boxes) // 2) < len(best.boxes) and len(seen.boxes) <= _MOST_BOXES:
        return seen, "op", ""
    return best, chosen, how


@elsewhere("diagram", "a diagram")
class Diagram(Shown):
    """A graph drawn; laid out when it is asked for.

    Made by `draw`. In a notebook it is shown as SVG; where it is too large, as its repr.

    Attributes
    ----------
    note : str
        What was collapsed, and why it was laid out by graphnn itself, where nobody said so.
    """

    def __init__(
        self,
        seen: Picture,
        manner: Manner,
        limit: int | None,
        timeout: float,
        engine: str | None = None,
        page: tuple[float, float] | None = None,
        scale: float | None = None,
    ) -> None:
        self.note = manner.remark
        self._picture, self._manner = seen, manner
        self._limit, self._timeout, self._engine = limit, timeout, engine
        self._page, self._scale = page, scale

    def __repr__(self) -> str:
        seen = self._picture
        boxes, edges = counted(len(seen.boxes), "box"), counted(len(seen.edges), "edge")
        return f'<Diagram of "{shortened(seen.graph.name, 32)}": {boxes}, {edges}>'

    @cached_property
    def pages(self) -> list[Diagram]:
        """The pages that it takes with ``fit=``, each a diagram; else only itself."""
        if self._page is None or self._scale is not None:
            return [self]
        self._check_size(_MOST_BOXES)
        parts = in_pages(self._picture, self._manner, self._page)
        sizes = [size_on_page(*each, self._page) for each in parts]
        scale = min(sizes)  # 0 if one sticks out: that is as large as it can be
        of_page = [scale if size else 0.0 for size in sizes] if scale else sizes
        return [
            Diagram(*each, self._limit, self._timeout, None, self._page, size)
            for each, size in zip(parts, of_page, strict=True)
        ]

    def _takes_more(self, count: int) -> bool:
        """Return whether it takes more than so many pages, without counting them."""
        return self._page is not None and takes_more(self._picture, self._manner, self._page, count)

    @cached_property
    def source(self) -> str:
        """The DOT text; there at any size, and without Graphviz."""
        return dot_source(self._picture, self._manner)

    def text(self, width: int | None = 80, *, ascii: bool = False) -> str:
        """Return the picture as text for a terminal or a log: a box a line, with rails for the values.

        A line says what is computed, of which operands; parameters and constants stand among them. A rail leads from
        a value to its readers. What is named with an arrow upwards stands further up: a forward value that the
        backward pass reads, or one that is far.

        Parameters
        ----------
        width : int, optional
            Lines are cut so that they keep to it, or to 40 if it is less; None: not at all.
        ascii : bool
            Whether to draw with ASCII; names stay as they are.

        Returns
        -------
        str
            At any size, and without Graphviz.

        Raises
        ------
        UsageError
            When the width is not a number.

        Examples
        --------
        >>> g = Graph("line")
        >>> x = g.placeholder("x", shape=("batch", 2))
        >>> with g.scope("head"):
        ...     y = x * 2.0 + x
        >>> print(draw({"y": y}).text())
        ○    x                   batch × 2
        │    head
        ├─●    multiply(x, 2)    batch × 2
        ●─╯    add(multiply, x)  batch × 2 → y
        """
        width = None if width is None else whole("width=", width)
        return outline(self._picture, self._manner, width=width, ascii=ascii)

    def mermaid(self) -> str:
        """Return the picture as Mermaid text, which Markdown shows in many places; at any size, without Graphviz.

        Returns
        -------
        str
            For a block that is marked ``mermaid``.
        """
        return mermaid_source(self._picture, self._manner)

    def animation(self) -> str:
        """Return the evaluation as a moving SVG, without any script: boxes light up in the order of the schedule.

        After its end it begins anew. Where the system is set to reduced motion, nothing moves. It is laid out by
        graphnn itself, as with ``engine="plain"``.

        Returns
        -------
        str

        Raises
        ------
        DrawingError
            When there are more boxes than `limit`.
        """
        ink = THEMES[self._manner.theme].get(NODE["fontcolor"], NODE["fontcolor"])
        return animated(self._plain(), self._picture, "" if self._manner.layer is NO_OVERLAY else ink)

    def render(self, format: str = "svg", *, dpi: float | None = None) -> bytes:
        """Return the picture; all formats show it in the same way, each box in the same place.

        Parameters
        ----------
        format : str
            ``"svg"``, ``"png"``, ``"pdf"``, ``"jpg"``, ``"json"``; or as text ``"dot"``, ``"mmd"``, ``"txt"``.
        dpi : float, optional
            Dots an inch of a PNG or JPG, up to 1,200; 144 by default.

        Returns
        -------
        bytes
            Where it takes several pages: of a PDF all of them, else these one below the other.

        Raises
        ------
        UsageError
            When the format is unknown.
        DrawingError
            When there are more boxes than `limit`; when PNG or JPG is asked for, which Graphviz paints, and there is
            none; or when it fails, or takes longer than `timeout`.
        """
        wanted = format.lower() if isinstance(format, str) else ""
        wanted = _ALIASES.get(wanted, wanted)
        if wanted not in _FORMATS:
            raise UsageError(f"a picture is drawn as {', '.join(_FORMATS)}; not as {short_repr(format)}")
        if wanted == "dot":
            return self.source.encode()
        if wanted == "mmd":
            return self.mermaid().encode()
        if wanted == "txt":
            return f"{self.text()}\n".encode()
        if wanted in _BITMAPS and find_engine() is None:
            raise DrawingError(NO_ENGINE)
        if wanted == "pdf" and len(self.pages) > 1:
            return pdf_of([painted(page._laid_out()) for page in self.pages])
        svg = self._laid_out()
        if wanted == "svg":
            return svg.encode()
        picture = painted(svg)
        if wanted == "json":
            return json_of(picture, self._picture.graph.name)
        if wanted == "pdf":
            return pdf_of([picture])
        asked = _DOTS if dpi is None else dots_asked(dpi)
        # Of the picture's own points, which on a page are larger or smaller than a printer's.
        most = 72 * _MOST_PIXELS / max(picture.width, picture.height)
        dots = asked * picture.scale
        if dots > most:
            fewer = f"{most / picture.scale:.0f}"
            said = f"drawn with {fewer} dots an inch, for few programs open more than {_MOST_PIXELS:,} pixels"
            self.note = "; ".join(filter(None, (self.note, said)))
        return paint(dot_of_paint(picture), wanted, min(dots, most), self._timeout)

    def _laid_out(self) -> str:
        """Return the picture as SVG, of which all other formats are made."""
        if self._page is not None:
            return self._on_pages()
        self.note = self._manner.remark
        by_graphviz, plainly = self._engine == "dot", self._engine is None
        if plainly and suits_graphviz(self._picture, self._manner.sideways):
            if find_engine() is None:
                return self._plain("there is no Graphviz here")
            by_graphviz = True
        if not by_graphviz:
            return self._plain()
        self._check_size(_MOST_BY_GRAPHVIZ)
        source = dot_source(self._picture, self._manner, headed=False)
        try:
            drawn = lay_out(source, self._timeout).decode()
        except DrawingError as error:
            if not plainly:
                raise
            late = isinstance(error, TookTooLong)
            return self._plain(f"Graphviz took more than {self._timeout:g} s" if late else "Graphviz failed here")
        if plainly and (_too_long(drawn) or (self._picture.open_scopes() and runs_over_titles(painted(drawn)))):
            return self._plain()
        return fitted(headed(drawn, self._picture, self._manner))

    def _on_pages(self) -> str:
        """Return the page as SVG, or all of them, one below the other."""
        assert self._page is not None
        self.note = self._manner.remark
        if len(self.pages) > 1:
            said = [f"on {len(self.pages)} pages, or the text would be too small"]
            small = [str(number) for number, page in enumerate(self.pages, start=1) if page._scale == 0.0]
            said += [f"too small to read on page {', '.join(small)}"] if small else []
            self.note = "; ".join(filter(None, (self.note, *said)))
            return below_each_other([page._on_pages() for page in self.pages])
        size = self.pages[0]._scale if self._scale is None else self._scale
        drawn, largest = svg_on_page(self._picture, self._manner, self._page, size)
        if not largest:
            self.note = "; ".join(filter(None, (self.note, "too small to read")))
        return fitted(drawn)

    def _check_size(self, most: int) -> None:
        """Raise a DrawingError if there are more boxes than are laid out."""
        most = most if self._limit is None else self._limit
        if len(self._picture.boxes) > most:
            raise self._too_large(most)

    def _plain(self, note: str = "") -> str:
        self._check_size(_MOST_BOXES)
        self.note = "; ".join(filter(None, (self._manner.remark, note)))
        return fitted(plain_svg(self._picture, self._manner))

    def _too_large(self, most: int) -> DrawingError:
        boxes = len(self._picture.boxes)
        return DrawingError(
            f'{boxes:,} boxes are more than the {most:,} that are laid out: collapse layers (detail="layer", or '
            f"detail=1 for one level of scopes), draw fewer fetches, or insist (limit={boxes}, timeout=…); "
            ".source is the DOT text"
        )

    def svg(self) -> str:
        """Return the picture as SVG text; raises as `render` does."""
        return self.render("svg").decode()

    def save(self, path: str | Path, *, animate: bool = False, dpi: float | None = None) -> Path:
        """Write the picture to a file; its suffix says in which format.

        Parameters
        ----------
        path : str or Path
            ``.svg``, ``.png``, ``.pdf``, ``.jpg``, ``.json``; ``.gif`` for the evaluation, box after box; ``.dot`` or
            ``.gv`` for the DOT text, ``.mmd`` for Mermaid, ``.txt`` for lines of text.
        animate : bool
            Whether the evaluation is to be seen, as `animation` shows it; SVG and GIF, which always does, only.
        dpi : float, optional
            Dots an inch of a PNG, JPG or GIF; 144 by default, 72 of a GIF.

        Returns
        -------
        Path

        Raises
        ------
        UsageError, DrawingError
            As `render`; nothing is written then.
        """
        path = path_of(path)
        if not path.suffix:
            raise UsageError(f'"{path}" has no suffix to say what to draw: .{", .".join(_FORMATS)}')
        suffix = path.suffix.lower()
        if animate and suffix not in (".svg", ".gif"):
            raise UsageError(f'only SVG and GIF can be animated, not "{path}"')
        if suffix == ".gif":
            drawn = self._moving(dpi)
        else:
            drawn = self.animation().encode() if animate else self.render(path.suffix[1:], dpi=dpi)
        path.write_bytes(drawn)
        return path

    def _moving(self, dpi: float | None) -> bytes:
        """Return the evaluation as a GIF."""
        try:
            from PIL import Image
        except ImportError:
            raise DrawingError("a GIF needs Pillow, which comes with pip install 'graphnn[plot]'") from None
        if find_engine() is None:
            raise DrawingError(NO_ENGINE)
        asked, frames, seconds = 72.0 if dpi is None else dots_asked(dpi), [], []
        for svg, seen in stills(self._laid_out() if self._page else self._plain(), self._picture):
            picture = painted(svg)
            dots = min(asked * picture.scale, 72 * _MOST_PIXELS / max(picture.width, picture.height))
            png = paint(dot_of_paint(picture), "png", dots, self._timeout)
            frame = Image.open(io.BytesIO(png)).convert("RGB")
            frames.append(frame.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE))
            seconds.append(seen)
        found = io.BytesIO()
        times = [round(1000 * each) for each in seconds]
        frames[0].save(found, "gif", save_all=True, append_images=frames[1:], duration=times, loop=0, optimize=False)
        return found.getvalue()


def _too_long(svg: str) -> bool:
    """Return whether a picture by Graphviz is wider or higher than one that graphnn would fold."""
    size = _SIZE.search(svg)
    return size is not None and (float(size[1]) > _WIDEST or float(size[2]) > _HIGHEST)


def _svg_if_possible(diagram: Diagram) -> str | None:
    """Return a picture that keeps to the width of its cell."""
    try:
        return diagram.svg().replace("<svg ", '<svg style="max-width:100%;height:auto" ', 1)
    except DrawingError:
        return None


SVG.give(Diagram)(_svg_if_possible)


@SVG.give(Graph)
def _graph_as_svg(graph: Graph) -> str | None:
    if not 0 < len(graph) <= _MOST_AT_A_GLANCE:
        return None
    return _svg_if_possible(draw(graph, detail="layer", limit=300, timeout=10.0))


explain_public(globals(), ["Diagram"])
