"""Which boxes a picture has, and which edges lead from one to another; of an operation with bodies, what is in these.

A loop that is open is a frame. In it are what its body computes, and a box for each value that an iteration gets from
the one before, or that is a row of an array. The arrays that it gives are no boxes: edges lead out of the frame.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from ...core import Graph, Node, Scope
from ...core.topological_order import schedule
from .picture import (
    CHOSEN,
    NEXT,
    ROW,
    TRIED,
    BodyScope,
    Box,
    Detail,
    Edge,
    Picture,
    asked,
    depths,
    insides,
    is_layer,
    is_named,
    own_name,
    scopes_down_to,
)

if TYPE_CHECKING:
    from ...control_flow.loop_body import Inside

_SAID = {"carried": "first", "row": "", "same": ""}
_CALLED = {"carried": "state", "row": "row", "same": "operand"}
_NOTES = {"carried": "carried", "row": ROW, "index": "number of the iteration", "same": ""}


def picture(
    fetches: Any, detail: Detail = "op", graph: Graph | None = None, opens: Collection[Node] | None = None
) -> Picture:
    """Return the boxes and edges of the nodes that the fetches need.

    Parameters
    ----------
    fetches : Node, str, form of them, Graph, Compiled or Trace
        For a graph, its outputs; if it has none, all nodes that nothing reads. For a compiled step, its updates, too.
    detail : "op", "leaf", "layer", int or dict
        See `draw`.
    graph : Graph, optional
        Where names are looked up, if no fetch is a node.
    opens : collection of Node, optional
        The loops that may be open; all of them, unless given.

    Returns
    -------
    Picture
    """
    graph, fetched = asked(fetches, graph)
    seen = Picture(graph, fetched)
    order = schedule(list(fetched)) if fetched else []
    _Boxes(seen, detail, opens).add(_Level(graph, order))
    return seen


class _Given(NamedTuple):
    """Where a value comes from: a box, the node in it, and how that is given."""

    box: Box
    node: Node
    said: str = ""


class _Level:
    """A graph, or a body in it.

    Parameters
    ----------
    graph : Graph
    order : sequence of Node
        What is drawn of it.
    frame : BodyScope, optional
        The frame of the body.
    known : str
        What the user writes before the names in it.
    """

    def __init__(self, graph: Graph, order: Sequence[Node], frame: BodyScope | None = None, known: str = "") -> None:
        self.graph, self.order, self.frame, self.known = graph, order, frame, known
        loops: dict[tuple[Node, ...], list[Node]] = {}
        of_scope: dict[str, list[Node]] = {}
        self.drawn: dict[Node, Node] = {}
        """For each loop, the one that is drawn for it: the first that differs from it only in what it keeps."""
        for node in order:
            if insides(node):
                before = loops.setdefault(node.inputs, [])
                self.drawn[node] = next((other for other in before if is_like(other, node)), node)
                if self.drawn[node] is node:
                    before.append(node)
                    of_scope.setdefault(node.scope, []).append(node)
        # A scope that was opened for one loop is that loop's frame.
        self.owned = {path: nodes[0] for path, nodes in of_scope.items() if len(nodes) == 1 and _is_own(graph, path)}

    def path_of(self, name: str) -> str:
        """Return the path, in the picture, of what has a name in this graph."""
        return name if self.frame is None else f"{self.frame.path}@/{name}"

    def called(self, name: str) -> str:
        """Return by which path a user knows it: where the function that became a body was called first."""
        return f"{self.known}{name}"


def _is_own(graph: Graph, path: str) -> bool:
    scope = graph.scopes.get(path)
    return scope is not None and is_layer(scope) and scope.kind.islower()


def is_like(node: Node, other: Node) -> bool:
    """Return whether two loops of the same operands differ only in what they keep."""
    own, others = ([inside._replace(gives=()) for inside in insides(each)] for each in (node, other))
    return node.op.name == other.op.name and own == others


class _Boxes:
    """Fills one picture."""

    def __init__(self, seen: Picture, detail: Detail, opens: Collection[Node] | None) -> None:
        self._seen, self._opens = seen, opens
        self._shut: set[str] = set()
        self._depth_of = depths(seen.graph, detail)
        self._given: dict[Node, list[_Given]] = {}
        self._collapsed: dict[str, Box] = {}
        self._merged: set[tuple[Node, int]] = set()
        self._scopes: dict[str, BodyScope] = {}
        self._later: dict[Node, tuple[Scope | None, Scope | None]] = {}
        """What a loop reads in its frame: it is put there when it is read, after what an iteration takes."""
        self._alias: dict[Node, Node] = {}
        """Of the inputs of bodies that are operands as they are: those."""
        self._bodies: dict[Node, list[tuple[Inside, Sequence[Node]]]] = {}
        """For each loop, its bodies with their nodes, if they are drawn."""

    def add(self, level: _Level) -> None:
        """Add the boxes of a graph, or of a body."""
        for node in level.order:
            if node in self._given or self._is_item(node):
                continue
            own = insides(node)
            if own and level.drawn[node] is not node:
                self._stand_for(level.drawn[node], node)
                continue
            scope, around = self._where(node, level)
            if own and scope is None:
                self._open(node, own, self._frame_of(node, level))
            elif isinstance(scope or around, BodyScope) and not node.inputs and level.frame is None:
                self._later[node] = scope, around
            else:
                self._put(node, scope, around)
        for node in list(self._later):
            self._from(node)

    # --- where a node is drawn ----------------------------------------------------------------------------------

    def _where(self, node: Node, level: _Level) -> tuple[Scope | None, Scope | None]:
        """Return the scope into which a node is collapsed, and the open one around that."""
        if insides(node):
            return self._closed(scopes_down_to(self._frame_of(node, level)))
        chain, outside = self._chain(level.graph.scopes.get(node.scope), level)
        closed, around = self._closed(chain)
        if closed is not None or outside is None or node.has_value:
            return closed, around
        return self._closed(outside)

    def _closed(self, scopes: list[Scope]) -> tuple[Scope | None, Scope | None]:
        depth = self._depth_of(scopes)
        depth = next((i for i, scope in enumerate(scopes[:depth]) if scope.path in self._shut), depth)
        return (scopes[depth] if depth < len(scopes) else None), (scopes[depth - 1] if depth else None)

    def _chain(self, scope: Scope | None, level: _Level) -> tuple[list[Scope], list[Scope] | None]:
        """Return how a scope of a level is drawn, with those around it, outermost first.

        In a loop's own scope, also those around the frame of the loop: there is what is computed once, before it.
        """
        found: list[Scope] = scopes_down_to(level.frame)
        path, outside = "" if level.frame is None else f"{level.frame.path}@", None
        for one in scopes_down_to(scope):
            name = one.path if one.parent is None else one.path.removeprefix(f"{one.parent.path}/")
            before = one.parent.phase if one.parent is not None else "forward"
            if one.path in level.owned:
                outside = found if outside is None else outside
                frame = self._frame_of(level.owned[one.path], level)
                found, path = scopes_down_to(frame), frame.path
            elif outside is not None and one.kind == TRIED:
                path += "@"
            elif outside is not None and one.kind in CHOSEN:
                found = [*found, self._scope(f"{path}@{name}", one, found[-1], name, level.called(one.path))]
                path = f"{path}@{name}@"
            elif level.frame is None and outside is None:
                found, path = [*found, one], one.path
            elif one.phase == before:  # in a body, that it belongs to the backward pass is told by its frame
                path = f"{path}/{name}" if path else name
                found = [*found, self._scope(path, one, found[-1], name, level.called(one.path))]
        return found, outside

    def _frame_of(self, loop: Node, level: _Level) -> BodyScope:
        """Return the frame of a loop: the scope that was opened for it, or one of its own."""
        own, scope = insides(loop), level.graph.scopes.get(loop.scope)
        name = loop.name
        like = Scope(name, loop.op.name, loop.origin, scope, loop.phase)
        if level.owned.get(loop.scope) is loop:
            assert scope is not None
            name, like = scope.path, scope
        path = level.path_of(name)
        if path not in self._scopes or self._scopes[path].times is None:
            chain, outside = self._chain(like.parent, level)
            around = [None, *(chain if outside is None else outside)][-1]
            title = name if like.parent is None else name.removeprefix(f"{like.parent.path}/")
            frame = self._scope(path, like, around, title, level.called(name))
            frame.parent = around
            if self._opens is not None and loop not in self._opens:
                self._shut.add(path)
            if len(own) == 1:
                frame.times, frame.note = own[0].times, own[0].note
        return self._scopes[path]

    def _scope(self, path: str, like: Scope, around: Scope | None, title: str, known: str) -> BodyScope:
        if path not in self._scopes:
            phase = like.phase if around is None or around.phase == "forward" else around.phase
            self._scopes[path] = BodyScope(path, like.kind, like.origin, around, phase, None, title, known)
        return self._scopes[path]

    # --- boxes and edges ----------------------------------------------------------------------------------------

    def _put(self, node: Node, scope: Scope | None, around: Scope | None, note: str = "") -> Box:
        for operand in () if node.op.is_placeholder else node.inputs:
            self._from(operand)
        box = self._collapsed.get(scope.path) if scope is not None else None
        if box is None:
            box = Box(len(self._seen.boxes), scope, around, [], note=note)
            self._seen.boxes.append(box)
            if scope is not None:
                self._collapsed[scope.path] = box
        box.nodes.append(node)
        self._given[node] = [_Given(box, node)]
        inner = around if scope is None else scope
        if isinstance(inner, BodyScope):
            self._seen.drawn_in[node] = inner
        if not node.op.is_placeholder:
            for position, operand in enumerate(node.inputs):
                self._link(box, operand, position)
        return box

    def _from(self, node: Node) -> list[_Given]:
        """Return where a value comes from."""
        if node in self._later:
            self._put(node, *self._later.pop(node))
        elif node in self._alias and node not in self._given:
            self._given[node] = self._from(self._alias[node])
        return self._given[node]

    def _link(self, head: Box, operand: Node, position: int | None, taken: str = "") -> None:
        for box, node, said in self._from(operand):
            if head.scope is None:
                self._seen.edges.append(Edge(box, head, node, position, said, taken))
            elif box is not head and (node, head.place) not in self._merged:
                self._merged.add((node, head.place))
                self._seen.edges.append(Edge(box, head, node, None, said, taken))

    # --- what a loop gives --------------------------------------------------------------------------------------

    def _stand_for(self, drawn: Node, loop: Node) -> None:
        self._given[loop] = self._given[drawn]
        if drawn in self._bodies:
            own = insides(loop)
            self._bodies[loop] = [(inside, nodes) for inside, (_, nodes) in zip(own, self._bodies[drawn], strict=True)]

    def _is_item(self, node: Node) -> bool:
        """Take note of which box gives a node that is an array of a loop's bundle; return whether it is one."""
        place = getattr(node.op, "place", None)
        if place is None or len(node.inputs) != 1 or not insides(node.inputs[0]):
            return False
        (loop,) = node.inputs
        places = loop.op.layout.places  # type: ignore[attr-defined]
        if place not in places:
            return False
        number = places.index(place)
        found: list[_Given] = []
        if loop not in self._bodies:
            said = insides(loop)[0].gives[number][0]
            found = [_Given(given.box, node, said) for given in self._given[loop]]
        for inside, nodes in self._bodies.get(loop, ()):
            said, at = inside.gives[number]
            given = self._given[nodes[at]] if at >= 0 else self._given[loop]
            found += [_Given(one.box, one.node if at >= 0 else node, said) for one in given]
        self._given[node] = found
        for box, _, said in found:
            box.gives[node] = said
        return True

    # --- what is in a loop --------------------------------------------------------------------------------------

    def _open(self, loop: Node, own: Sequence[Inside], frame: BodyScope) -> None:
        self._bodies[loop] = []
        self._seen.loops[frame.path] = loop
        read = {operand for inside in own for _, operand in inside.takes}
        more = [position for position in range(len(loop.inputs)) if position not in read]
        if more or len(own) > 1:
            box = Box(len(self._seen.boxes), None, frame, [loop])
            self._seen.boxes.append(box)
            for position in more:
                self._link(box, loop.inputs[position], None)
            self._given[loop] = [_Given(box, loop)]
        for inside in own:
            within = frame
            if inside.title:
                like = Scope(inside.title, inside.title, frame.origin, None, frame.phase)
                known = f"{frame.known}/{inside.title}"
                within = self._scope(f"{frame.path}@{inside.title}", like, frame, inside.title, known)
                within.times, within.note = inside.times, inside.note
            self._fill(loop, inside, within)

    def _fill(self, loop: Node, inside: Inside, frame: BodyScope) -> None:
        graph, known = inside.opened(), f"{frame.known}/" if inside.title else f"{frame.known}/{TRIED}/"
        nodes = list(graph)
        self._bodies[loop].append((inside, nodes))
        body = len(self._bodies[loop]) - 1
        self._seen.origins.update((node, (loop, body, node.index)) for node in nodes)
        given = {at for _, at in inside.gives} | set(inside.following.values())
        for place, (node, (how, position)) in enumerate(zip(graph.placeholders, inside.takes, strict=True)):
            operand = loop.inputs[position] if position >= 0 else None
            if how == "same" and operand is not None and node.index not in given:
                self._alias[node] = operand
            elif node.users or node.index in given or place in inside.following:
                self._take(node, operand, how, frame)
        self.add(_Level(graph, [node for node in nodes if node not in graph.placeholders], frame, known))
        for at, note in inside.notes.items():
            for one in self._given[nodes[at]]:
                one.box.note = note
        for place, at in inside.following.items():
            head = self._given[graph.placeholders[place]][0].box
            if any(one.box is head for one in self._given[nodes[at]]):
                head.note = "carried, unchanged"
            else:
                self._link(head, nodes[at], None, NEXT)
        if loop not in self._given:
            self._given[loop] = self._given[next(node for node in reversed(nodes) if node in self._given)]

    def _take(self, node: Node, operand: Node | None, how: str, frame: BodyScope) -> None:
        """Add the box of an input of a body. Where the body has no name for it, it has the name of the operand."""
        title = own_name(node)
        if operand is not None and re.fullmatch(r"getitem(_\d+)?", title):
            source = self._from(operand)[0]
            told = source.node.op.is_variable or is_named(source.node)
            title = source.box.title or (own_name(source.node) if told else _CALLED[how])
        taken = {box.title for box in self._seen.boxes if box.around is frame}
        box = self._put(node, None, frame, _NOTES[how])
        box.title = next(name for name in _numbered(title) if name not in taken)
        if operand is not None:
            self._link(box, operand, None, _SAID[how])


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}_{number}" for number in count(2))
