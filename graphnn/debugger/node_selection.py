"""Which nodes of a run a user asks for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from .._util.text import quoted
from ..control_flow.unrolled_run import counterpart, not_shown
from ..core import Graph, Node, Scope
from ..errors import NotFoundError, UsageError, near


def one(order: Collection[Node], graph: Graph, target: Any, where: str = "this run") -> Node:
    """Return the node of a run that a user names: itself, its name, its scope's result, or an output.

    Raises
    ------
    NotFoundError
        When there is none of that name, or it has no part in the run.
    """
    target = counterpart(target, graph)
    if isinstance(target, str):
        if target not in graph:
            of_op = [quoted(node.name) for node in order if node.op.name == target]
            hint = (
                f" Nodes of that operation: {', '.join(of_op[:3])}." if of_op else near(target, names_in(order, graph))
            )
            hint = not_shown(graph, target) or hint
            raise NotFoundError(f'{where} has no node, scope or output "{target}".{hint}')
        target = graph[target]
    if not isinstance(target, Node):
        raise UsageError(f"expected a node or its name, not {type(target).__name__}")
    if target.graph is not graph:
        if target.graph.name != graph.name:
            raise NotFoundError(f'"{target.name}" is a node of "{target.graph.name}", and {where} is of "{graph.name}"')
        by_name = f"; give its name to get the node of {where}" if target.name in graph.dag else ""
        raise NotFoundError(f'"{target.name}" is a node of another graph called "{graph.name}"{by_name}')
    if target not in (order if isinstance(order, dict) else set(order)):
        hint = near(target.name, names_in(order, graph))
        raise NotFoundError(f'"{target.name}" has no part in {where}: its fetches do not need it.{hint}')
    return target


def many(
    order: Sequence[Node],
    graph: Graph,
    target: Any = None,
    *,
    op: str | None = None,
    scope: str | None = None,
    where: str = "this run",
) -> list[Node]:
    """Return the nodes of a run that a user asks for, in the order of the schedule.

    Parameters
    ----------
    order : sequence of Node
        The schedule.
    graph : Graph
    target : Node, str, or list of them, optional
        A node or its name; else a scope: all in it; else an output; else a pattern, as file names have them
        (``dense_*/add``); else an operation: all its nodes; else a line, ``model.py:18``: those that were made there;
        else the end of a name: ``z`` for all that are called ``…/z``.
    op : str, optional
        Only nodes of this operation.
    scope : str, optional
        Only nodes in this scope, or in those in it.
    where : str
        What is searched, as errors call it.

    Raises
    ------
    NotFoundError
        When there is none.

    Examples
    --------
    >>> g = Graph()
    >>> x = g.placeholder("x")
    >>> with g.scope("head"):
    ...     y = -abs(x)
    >>> order = [x, *y.inputs, y]
    >>> [node.name for node in many(order, g, "head")], [node.name for node in many(order, g, "*/neg*")]
    (['head/absolute', 'head/negative'], ['head/negative'])
    >>> many(order, g, op="absolute")
    [<Node "head/absolute": absolute () float64>]
    """
    for key, value in (("op", op), ("scope", scope)):
        if value is not None and not isinstance(value, str):
            raise UsageError(f"{key}= is the name of an operation or a scope, not {type(value).__name__}")
    found = list(order) if target is None else _meant(order, graph, target, where)
    if op is not None:
        found = [node for node in found if node.op.name == op]
    if scope is not None:
        inside = _inside(graph, scope)
        found = [node for node in found if node.scope in inside]
    if not found:
        called = target if isinstance(target, str) else op or scope
        scopes = _scopes(order, graph)
        if called in graph.scopes and called not in scopes:
            raise NotFoundError(f'no node of the scope "{called}" is in {where}')
        known: Iterable[str] = names_in(order, graph)
        if isinstance(target, str) and target.rpartition(":")[2].isdigit():
            known = [f"{Path(node.origin.file).name}:{node.origin.line}" for node in order if node.origin.file]
        elif target is None:
            known = [node.op.name for node in order] if op else scopes
        hint = near(called, dict.fromkeys(known))
        raise NotFoundError(f"nothing in {where} matches {asked_for(target, op, scope)}.{hint}")
    return found


def asked_for(target: Any = None, op: str | None = None, scope: str | None = None) -> str:
    """Return what `many` was asked for, in words: ``"relu_1"``, ``op exp, scope dense_1``.

    Examples
    --------
    >>> asked_for(["relu_*", "loss"]), asked_for(op="exp", scope="dense_1"), asked_for()
    ('"relu_*", "loss"', 'op exp, scope dense_1', 'any node')
    """
    parts = target if isinstance(target, (list, tuple)) else [] if target is None else [target]
    words = [quoted(part.name if isinstance(part, Node) else str(part)) for part in parts]
    words += ([f"op {op}"] if op is not None else []) + ([f"scope {scope}"] if scope is not None else [])
    return ", ".join(words) or ("nothing" if target is not None else "any node")


def _meant(order: Collection[Node], graph: Graph, target: Any, where: str) -> list[Node]:
    if isinstance(target, (list, tuple)):
        known = dict.fromkeys(order)
        wanted = {node for part in target for node in _meant(known, graph, part, where)}
        return [node for node in order if node in wanted]
    target = counterpart(target, graph)
    if isinstance(target, Node):
        return [one(order, graph, target, where)]
    if not isinstance(target, str):
        raise UsageError(f"nodes are given by node, name, pattern or operation, not by {type(target).__name__}")
    inside = _inside(graph, target) if target in graph.scopes else set()
    ways: list[Callable[[Node], bool]] = [
        lambda node: node.name == target,
        lambda node: node.scope in inside,
        lambda node: node is graph.names.get(target),
        lambda node: node is graph.outputs.get(target),
        lambda node: fnmatchcase(node.name, target) or fnmatchcase(node.title, target),
        lambda node: node.op.name == target,
        lambda node: _is_made_at(node, target),
        lambda node: node.name.endswith(f"/{target}") or node.title.endswith(f"/{target}"),
    ]
    return next(filter(None, ([node for node in order if means(node)] for means in ways)), [])


def _is_made_at(node: Node, place: str) -> bool:
    """Return whether a node was made at a line of the user's: ``model.py:18``."""
    file, _, line = place.rpartition(":")
    return bool(file) and line == str(node.origin.line) and Path(node.origin.file).name == Path(file).name


def _inside(graph: Graph, path: str) -> set[str]:
    """Return a scope and those in it; the paths alone do not tell, since a user's name may hold a slash."""
    found = {path} & set(graph.scopes)
    for scope in graph.scopes.values():  # a scope comes after the one around it
        if scope.parent is not None and scope.parent.path in found:
            found.add(scope.path)
    return found


def scopes_around(graph: Graph, path: str) -> list[Scope]:
    """Return a scope and those that it is in, from the outermost; none for "", the top."""
    found = []
    scope = graph.scopes.get(path)
    while scope is not None:
        found.append(scope)
        scope = scope.parent
    return found[::-1]


def names_in(order: Iterable[Node], graph: Graph) -> list[str]:
    """Return the names by which nodes of a run can be given."""
    nodes = dict.fromkeys(order)
    outputs = [name for table in (graph.names, graph.outputs) for name, node in table.items() if node in nodes]
    return [*(node.name for node in nodes), *_scopes(nodes, graph), *outputs]


def _scopes(order: Iterable[Node], graph: Graph) -> dict[str, None]:
    """Return the paths of the scopes that hold nodes of a run, or hold such scopes."""
    found: dict[str, None] = {}
    for node in order:
        scope = graph.scopes.get(node.scope)
        while scope is not None and scope.path not in found:
            found[scope.path] = None
            scope = scope.parent
    return found
