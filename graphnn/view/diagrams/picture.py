"""What a picture consists of: boxes and edges, and the scopes around them.

The diagram draws the boxes, the summary lists them. `collapsing` alone decides what is collapsed; `boxes` fills a
picture.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..._util.text import short_repr
from ...compiler.compile import Compiled
from ...core import Graph, Node, Scope
from ...core.fetches import resolve, unread_in
from ...debugger.traces import Trace
from ...errors import NotFoundError, UsageError, near
from .overlay_types import drawn_over

if TYPE_CHECKING:
    from ...control_flow.loop_body import Inside

Detail = str | int | Mapping[str, str]

_HOW_TO_SAY = (
    '"op", "leaf", "layer", the number of levels of scopes to open, or {path of a scope: one of the three words}, '
    'where "" is the whole graph'
)
_LEVELS = ("op", "leaf", "layer")
NEXT, ROW = "next", "one row"
"""How what is carried on reaches the next iteration; and of an array of which each iteration takes one."""
TRIED, CHOSEN = "iteration", ("then", "otherwise")
"""The kinds of the scopes that hold what a function made when it was called to see what it does."""


@dataclass(slots=True)
class BodyScope(Scope):
    """The frame of a loop, or a scope of the body of one.

    Attributes
    ----------
    title : str
    known : str
        By which path the user knows it: where the function that became the body was called.
    times : int or str or None
        How often what is in it is computed; None of a scope of a body.
    note : str
        What else there is to say of it.
    """

    title: str = ""
    known: str = ""
    times: int | str | None = None
    note: str = ""


@dataclass(eq=False, slots=True)
class Box:
    """One thing in a picture: a node, or a collapsed scope with all nodes in it.

    Attributes
    ----------
    place : int
        Among the boxes, which stand in order of making.
    scope : Scope or None
        The scope that is collapsed; None: a single node.
    around : Scope or None
        The innermost open scope around it.
    nodes : list of Node
        In order of making.
    times : int
        How many boxes it stands for in its frame: calls of one layer, or the same operation in each of them.
    gives : dict of Node to str
        The arrays of a loop that it gives, and how: ``"last"`` or ``"stacked"``. They are not boxes.
    title, note : str
        In the body of a loop, what it is called there, and what else there is to say of it; may be empty.
    """

    place: int
    scope: Scope | None
    around: Scope | None
    nodes: list[Node]
    times: int = 1
    gives: dict[Node, str] = field(default_factory=dict)
    title: str = ""
    note: str = ""

    @property
    def seen(self) -> list[Node]:
        """The nodes in it, and the arrays of a loop that it gives."""
        return [*self.nodes, *self.gives]

    @property
    def node(self) -> Node:
        """The node that it is, or the last one in it."""
        return self.nodes[-1]

    @property
    def phase(self) -> str:
        """``"forward"``, ``"backward"`` or ``"update"``; in the body of a loop, that of the loop."""
        own = self.scope.phase if self.scope is not None else self.node.phase
        return self.around.phase if own == "forward" and isinstance(self.around, BodyScope) else own


class Edge(NamedTuple):
    """A value that goes from one box to another.

    Attributes
    ----------
    tail, head : Box
    node : Node
        The node in `tail` whose value it is.
    position : int or None
        Which operand it is, where `head` is a single node.
    said : str
        How a loop gives it: ``"last"``, ``"stacked"``; may be empty.
    taken : str
        How an iteration takes it: ``"first"``, or `NEXT` of an edge back to what is carried on; may be empty.
    """

    tail: Box
    head: Box
    node: Node
    position: int | None
    said: str = ""
    taken: str = ""

    @property
    def lent(self) -> bool:
        """Whether a forward value is used by the backward pass or by an update."""
        return self.tail.phase == "forward" != self.head.phase


@dataclass
class Picture:
    """The boxes and edges of what some fetches need.

    Attributes
    ----------
    graph : Graph
    fetched : dict of Node to list of str
        The fetched nodes, each with its names.
    boxes : list of Box
    edges : list of Edge
    cut : list of Edge
        For a part: the edges with one end outside, which the picture marks.
    whole : list of Node
        For a part: everything that the fetches need; else empty.
    times : dict of str to int
        How many calls of one layer an open scope stands for, by its path.
    drawn_in : dict of Node to Scope
        For nodes in loops: the innermost scope, open or collapsed, in which they are drawn.
    loops : dict of str to Node
        The loops that are open, by the path of the frame.
    origins : dict of Node to (Node, int, int)
        Of nodes of bodies: the loop or branch, which of its bodies it is, and the place of the node there.
    """

    graph: Graph
    fetched: dict[Node, list[str]]
    boxes: list[Box] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    cut: list[Edge] = field(default_factory=list)
    whole: list[Node] = field(default_factory=list)
    times: dict[str, int] = field(default_factory=dict)
    drawn_in: dict[Node, Scope] = field(default_factory=dict)
    loops: dict[str, Node] = field(default_factory=dict)
    origins: dict[Node, tuple[Node, int, int]] = field(default_factory=dict)

    def open_scopes(self) -> list[Scope]:
        """Return the scopes that are open and have a box in them: outer before inner, in order of making."""
        found: dict[str, Scope] = {}
        for box in self.boxes:
            new = list(takewhile(lambda scope: scope.path not in found, _outwards(box.around)))
            found.update((scope.path, scope) for scope in reversed(new))
        return list(found.values())

    def nodes_in(self) -> dict[str, list[Node]]:
        """Return the nodes in each scope, open or collapsed, by its path; in a part of a picture, those cut off too."""
        found: dict[str, list[Node]] = {}
        for node in self.whole or [node for box in self.boxes for node in box.nodes]:
            for scope in scopes_down_to(self.drawn_in.get(node) or self.graph.scopes.get(node.scope)):
                found.setdefault(scope.path, []).append(node)
        return found


def asked(fetches: Any, graph: Graph | None) -> tuple[Graph, dict[Node, list[str]]]:
    """Return the graph and the fetched nodes with the names they go by: as outputs, and as keys of a dict."""
    if isinstance(fetches, Compiled):
        fetches = [*fetches.fetches, *fetches.updates.values()]
    elif isinstance(fetches, Trace):
        fetches = fetches.fetches
    elif (over := drawn_over(fetches)) is not None and over.fetches:
        fetches = over.fetches(fetches)
    if isinstance(fetches, Graph):
        if graph is not None and graph is not fetches:
            raise UsageError("graph= is for fetches by name; a graph is drawn as it is")
        graph = fetches
        wanted = list(graph.outputs.values()) or unread_in(graph)
    else:
        graph, wanted, _ = resolve(fetches, graph)
    fetched: dict[Node, list[str]] = {node: [] for node in wanted}
    # What a PyTorch program leaves unread is a result, too; it is called after its node, and needs no label.
    named = [(name, node) for name, node in graph.outputs.items() if name != node.name or not node.op.is_torch_call]
    if isinstance(fetches, Mapping):
        named += [(name, graph[given] if isinstance(given, str) else given) for name, given in fetches.items()]
    for name, node in named:
        if isinstance(node, Node) and node in fetched and str(name) not in fetched[node]:
            fetched[node].append(str(name))
    return graph, fetched


def collapsing(graph: Graph, detail: Detail) -> Callable[[Node], tuple[Scope | None, Scope | None]]:
    """Return the function that says, of a node, which scope it is collapsed into, and which open scope is around that.

    Parameters
    ----------
    graph : Graph
    detail : "op", "leaf", "layer", int or dict
        See `draw`.

    Raises
    ------
    UsageError
        When `detail` is none of these.
    NotFoundError
        When it names a scope that there is not.

    Examples
    --------
    >>> g = Graph()
    >>> with g.scope("head"), g.in_scope("head/dense_1", kind="Dense"):
    ...     y = g.placeholder("x") * 2.0
    >>> [scope.path for scope in collapsing(g, "layer")(y)]
    ['head/dense_1', 'head']
    """
    depth_of = depths(graph, detail)
    known: dict[str, tuple[Scope | None, Scope | None]] = {}

    def collapsed_at(node: Node) -> tuple[Scope | None, Scope | None]:
        found = known.get(node.scope)
        if found is None:
            scopes = scopes_down_to(graph.scopes.get(node.scope))
            depth = depth_of(scopes)
            scope = scopes[depth] if depth < len(scopes) else None
            found = known[node.scope] = scope, scopes[depth - 1] if depth else None
        return found

    return collapsed_at


def depths(graph: Graph, detail: Detail) -> Callable[[list[Scope]], int]:
    """Return the function that says how many of some scopes are open, each in the one before it."""
    if isinstance(detail, (int, np.integer)) and not isinstance(detail, bool) and detail >= 0:
        depth = int(detail)
        return lambda scopes: min(depth, len(scopes))
    said = {"": detail} if isinstance(detail, str) else detail
    if not isinstance(said, Mapping) or not all(isinstance(level, str) and level in _LEVELS for level in said.values()):
        if isinstance(said, Mapping) and not all(isinstance(level, str) for level in said.values()):
            raise UsageError(
                "what is given as the detail looks like a feed: gn.draw takes one, as feed=, and a summary takes "
                f'sizes= instead, such as {{"batch": 32}}. A detail is {_HOW_TO_SAY}'
            )
        raise UsageError(f"a detail is {_HOW_TO_SAY}; got {short_repr(detail)}")
    for path in said:
        if path and path not in graph.scopes:
            raise NotFoundError(f'the graph "{graph.name}" has no scope "{path}".{near(path, graph.scopes)}')

    outer = _with_layers_inside(graph) if "leaf" in said.values() else set()

    def depth_of(scopes: list[Scope]) -> int:
        level = said.get("", "layer")
        for depth, scope in enumerate(scopes):
            path = scope.known if isinstance(scope, BodyScope) else scope.path
            own = said.get(path)
            level = own or level
            box = level != "op" and is_layer(scope) and (level == "layer" or path not in outer)
            if box or own == "layer":
                return depth
        return len(scopes)

    return depth_of


def is_layer(scope: Scope) -> bool:
    """Return whether a scope is a layer or a composition: no scope of the user's own, no whole backward pass."""
    before = scope.parent.phase if scope.parent is not None else "forward"
    return bool(scope.kind) and scope.phase == before


def _with_layers_inside(graph: Graph) -> set[str]:
    """Return the paths of the scopes that have layers inside; a composition, such as softmax, is not one of these."""
    found: set[str] = set()
    for scope in graph.scopes.values():
        if is_layer(scope) and not scope.kind.islower():
            found.update(outer.path for outer in takewhile(lambda one: one.path not in found, _outwards(scope.parent)))
    return found


def scopes_down_to(scope: Scope | None) -> list[Scope]:
    """Return a scope and those around it, outermost first."""
    return list(_outwards(scope))[::-1]


def _outwards(scope: Scope | None) -> Iterator[Scope]:
    while scope is not None:
        yield scope
        scope = scope.parent


def scope_path(scope: Scope | None) -> str:
    """Return the path of a scope; of none, the empty text."""
    return "" if scope is None else scope.path


def local_name(name: str, scope: Scope | None) -> str:
    """Return the name of a node or scope as it is called in the scope around it."""
    return name if scope is None else name.removeprefix(f"{scope.path}/")


def own_name(node: Node) -> str:
    """Return the name of a node as it is called in its scope."""
    return local_name(node.title, node.graph.scopes.get(node.scope))


def title_of(scope: Scope) -> str:
    """Return the name of a scope as it is called in the one around it."""
    if isinstance(scope, BodyScope):
        return scope.title
    return local_name(scope.path, scope.parent)


def value_name(edge: Edge) -> str:
    """Return what a value is called where it comes from."""
    return edge.tail.title or own_name(edge.node)


def is_named(thing: Node | Scope) -> bool:
    """Return whether a node or a scope has a name of its own, and not that of its kind with a number.

    Examples
    --------
    >>> g = Graph()
    >>> x = g.placeholder("x")
    >>> [is_named(node) for node in (g.constant(1.0, name="scores") * x, x + x + 1.0)]
    [False, False]
    >>> with g.in_scope("query", kind="Dense") as query, g.in_scope("query/dense_1", kind="Dense") as dense:
    ...     is_named(abs(x)), is_named(query.scope), is_named(dense.scope)
    (False, True, False)
    """
    name, kind = (own_name(thing), thing.op.name) if isinstance(thing, Node) else (title_of(thing), thing.kind)
    return (
        kind.isidentifier() and re.sub(r"(_\d+)*$", "", name).replace("_", "").lower() != kind.replace("_", "").lower()
    )


def insides(node: Node) -> Sequence[Inside]:
    """Return the bodies of an operation."""
    found: Sequence[Inside] = getattr(node.op, "insides", ())
    return found


def constant_bytes(node: Node) -> bytes | None:
    """Return the bytes of a constant; None of any other node, and where a file has not kept the value."""
    if not node.op.is_constant:
        return None
    try:
        return node.value.tobytes()
    except NotFoundError:
        return None


def numbers_in(nodes: Iterable[Node], trainable: bool | None = None) -> int:
    """Return how many numbers the parameters among `nodes` hold; of one sort, if `trainable` says which."""
    return sum(
        math.prod(map(int, node.shape))
        for node in nodes
        if node.op.is_parameter and trainable in (None, node.trainable)
    )


def data_inputs(nodes: Sequence[Node]) -> list[Node]:
    """Return what `nodes` read from outside, without parameters and constants."""
    inside = set(nodes)
    found: dict[Node, None] = {}
    for node in nodes:
        for operand in node.inputs:
            if operand not in inside and not operand.has_value:
                found[operand] = None
    return list(found)
