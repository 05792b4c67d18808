"""Calls of one layer, one after the other, as one: an unrolled recurrent network is drawn as its cell, ×20.

Calls are the same where they read the same parameters and do the same with them. They follow each other where each
reads what depends on an earlier one, or where all read what is drawn as one. What is done once a call beside them, such
as to take a step of a sequence, is drawn once, too; but no scope that the user names.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from .picture import (
    BodyScope,
    Box,
    Edge,
    Picture,
    constant_bytes,
    is_layer,
    own_name,
    scope_path,
    scopes_down_to,
    title_of,
)

if TYPE_CHECKING:
    from ...core import Node, Scope

# Two calls are drawn as two: a network of two branches, or the two forms of one network.
_FEWEST = 3
# A constant of more bytes is like no other.
_MOST_BYTES = 64


def folded(seen: Picture, apart: Collection[str] = ()) -> Picture:
    """Return a picture in which calls of one layer that follow each other are one.

    Parameters
    ----------
    seen : Picture
    apart : collection of str
        The paths of scopes that stay as they are, with those around them.

    Examples
    --------
    >>> from ...core import Graph
    >>> from ...nn import Dense
    >>> from .boxes import picture
    >>> h, layer = Graph().placeholder("x", shape=("batch", 4)), Dense(4)
    >>> for _ in range(20):
    ...     h = layer(h)
    >>> [box.times for box in folded(picture(h, "layer")).boxes]
    [1, 20]
    """
    folder = _Folder(seen, apart)
    return folder.picture() if folder.first_of else seen


class _Folder:
    """Finds the calls that are one.

    Attributes
    ----------
    first_of : dict of str to str
        The path of each later call, and that of the first.
    """

    def __init__(self, seen: Picture, apart: Collection[str]) -> None:
        self._seen, self._scopes = seen, seen.graph.scopes
        self._apart = {scope.path for path in apart for scope in scopes_down_to(self._scopes.get(path))}
        self._nodes = [node for box in seen.boxes for node in box.nodes if node not in seen.drawn_in]
        self._nodes.sort(key=lambda node: node.index)
        self.first_of: dict[str, str] = {}
        self._where: dict[str, str] = {}
        self._keys: dict[Node, Hashable] = {}
        waiting = list(self._same_calls())
        while waiting:
            self._refresh()
            ready = [calls for calls in waiting if self._follow(calls) or self._read_alike(calls)]
            waiting = [calls for calls in waiting if calls not in ready]
            for first, *later in ready:
                self.first_of.update((path, first) for path in later)
            if not ready:
                break
        if self.first_of:
            self._refresh()

    def _refresh(self) -> None:
        """Find out again what is drawn as what, after more calls have become one."""
        self._where.clear()
        self._firsts = dict.fromkeys(self.first_of.values())
        self._keys = self._found_keys()

    # --- which calls are the same -------------------------------------------------------------------------------

    def _same_calls(self) -> Iterator[list[str]]:
        inside: dict[str, list[Node]] = {}
        for node in self._nodes:
            for scope in scopes_down_to(self._scopes.get(node.scope)):
                if is_layer(scope) and scope.phase == "forward" and scope.path not in self._apart:
                    inside.setdefault(scope.path, []).append(node)
        self._inside = inside
        alike: dict[Hashable, list[str]] = {}
        for path, nodes in inside.items():
            read = frozenset(x for node in nodes for x in (node, *node.inputs) if x.op.is_parameter)
            if read:
                scope = self._scopes[path]
                does = tuple(
                    (
                        node.op,
                        node.spec,
                        node.name.removeprefix(f"{path}/"),
                        self._constant(node) if node.has_value else 0,
                    )
                    for node in nodes
                    if not node.op.is_parameter
                )
                alike.setdefault((scope_path(scope.parent), scope.kind, read, does), []).append(path)
        return (calls for calls in alike.values() if len(calls) >= _FEWEST)

    def _given(self, path: str) -> list[Node]:
        nodes = self._inside[path]
        own = set(nodes)
        return [x for node in nodes for x in node.inputs if x not in own and not x.has_value]

    def _follow(self, calls: list[str]) -> bool:
        """Return whether each call reads what depends on an earlier one."""
        members = {node for path in calls for node in self._inside[path] if not node.has_value}
        after: set[Node] = set()
        for node in self._nodes:
            if node in members or not after.isdisjoint(node.inputs):
                after.add(node)
        # What the first call reads was made before it.
        return all(not after.isdisjoint(self._given(path)) for path in calls[1:])

    def _read_alike(self, calls: list[str]) -> bool:
        """Return whether what the calls read is drawn as one."""
        read = {tuple(self._keys.get(x, x) for x in self._given(path)) for path in calls}
        return len(read) == 1

    # --- what is drawn as one -----------------------------------------------------------------------------------

    def _place(self, scope: Scope | None) -> str:
        """Return the path of a scope where its calls are drawn as the first."""
        if scope is None:
            return ""
        found = self._where.get(scope.path)
        if found is None:
            for one in scopes_down_to(scope):
                if isinstance(one, BodyScope):
                    self._where[one.path] = one.path
                    continue
                around = self._where[one.parent.path] if one.parent is not None else ""
                path = f"{around}/{title_of(one)}" if around else one.path
                if one.phase != "forward":
                    root = next(outer.path for outer in scopes_down_to(one) if outer.phase != "forward")
                    twin = self._scopes.get(one.path.removeprefix(f"{root}/"))
                    if twin is not None and twin.path != one.path and twin.phase == "forward":
                        path = f"{root}/{self._place(twin)}"
                self._where[one.path] = self.first_of.get(path, path)
            found = self._where[scope.path]
        return found

    def _is_folded(self, scope: Scope) -> bool:
        path, root = self._place(scope), ""
        if scope.phase != "forward":
            root = next(outer.path for outer in scopes_down_to(scope) if outer.phase != "forward") + "/"
        return any(path == f"{root}{first}" or path.startswith(f"{root}{first}/") for first in self._firsts)

    def _found_keys(self) -> dict[Node, Hashable]:
        """Return what stands for each node, the same for those that are drawn as one; nothing for all others."""
        folded = {path for path, scope in self._scopes.items() if self._is_folded(scope)}
        keys: dict[Node, Hashable] = {}
        alike: dict[Hashable, list[Node]] = {}
        for node in self._nodes:
            if node.scope in folded:
                keys[node] = "in", self._where[node.scope], own_name(node)
            elif node.inputs and node.scope not in self._apart:
                beside = any(x in keys for x in node.inputs) or any(user.scope in folded for user in node.users)
                if beside:
                    keys[node] = self._key_beside(node, keys)
                    alike.setdefault(keys[node], []).append(node)
        for nodes in alike.values():
            if len(nodes) < _FEWEST:
                for node in nodes:
                    del keys[node]
        for node in self._nodes:
            if node.op.is_constant and node not in keys:
                readers = {keys.get(user) for user in node.users}
                if len(readers) == 1 and None not in readers:
                    keys[node] = "constant", self._constant(node), readers.pop()
        return keys

    def _key_beside(self, node: Node, keys: dict[Node, Hashable]) -> Hashable:
        read = [keys.get(x, self._constant(x)) for x in node.inputs]
        if node.op.signs == (1, 1) and node.phase != "forward":  # gradients are added one after the other
            parts = [part[2] if isinstance(part, tuple) and part[0] == "sum" else {part} for part in read]
            return "sum", node.scope, frozenset().union(*parts)
        return "beside", node.op.name, node.scope, tuple(read)

    def _constant(self, node: Node) -> Hashable:
        """Return what small constants of the same value have in common; of all other nodes, the node."""
        small = node.has_value and math.prod(map(int, node.shape)) * node.dtype.itemsize <= _MOST_BYTES
        known = constant_bytes(node) if small else None
        return node if known is None else (known, node.spec)

    # --- the picture --------------------------------------------------------------------------------------------

    def picture(self) -> Picture:
        """Return the picture."""
        seen, box_of, boxes = self._seen, dict[Box, Box](), dict[Hashable, Box]()
        shown: dict[str, Scope] = {}
        for old in seen.boxes:
            around, path = self._shown(old.around, shown), self._place(old.scope)
            key: Hashable = (path,) if old.scope is not None else self._keys.get(old.node, old)
            if key in boxes:
                box = boxes[key]
                box.nodes += old.nodes
                box.gives |= old.gives
                box.times += 1
            else:
                box = boxes[key] = replace(
                    old,
                    scope=self._shown(old.scope, shown),
                    around=around,
                    nodes=[*old.nodes],
                    gives={**old.gives},
                )
                box.place = len(boxes) - 1
            box_of[old] = box
        edges: dict[Hashable, Edge] = {}
        for edge in seen.edges:
            tail, head = box_of[edge.tail], box_of[edge.head]
            if tail is not head or (tail.times == 1 and tail.scope is None):
                value = self._keys.get(edge.node, edge.node)
                number = edge.position if head.times > 1 or edge.position is None else (edge.head.place, edge.position)
                edges.setdefault((value, tail, head, number, *edge[4:]), edge._replace(tail=tail, head=head))
        times: dict[str, int] = {}
        for scope in seen.open_scopes():
            path = self._place(scope)
            times[path] = times.get(path, 0) + 1
        # In a frame that stands for several calls, what stands for as many says no more than that.
        counts = dict(times)
        for box in boxes.values():
            box.times = _beyond(box.times, box.around, counts)
        for scope in shown.values():
            if scope.path in times:
                times[scope.path] = _beyond(counts[scope.path], scope.parent, counts)
        return replace(seen, boxes=list(boxes.values()), edges=list(edges.values()), times=times)

    def _shown(self, scope: Scope | None, shown: dict[str, Scope]) -> Scope | None:
        """Return the scope that is drawn for all that are drawn as one."""
        if scope is None:
            return None
        path = self._place(scope)
        return shown.setdefault(path, self._scopes.get(path, scope))


def _beyond(times: int, around: Scope | None, counts: dict[str, int]) -> int:
    of_all = counts.get(scope_path(around), 1)
    return times if times % of_all else times // of_all
