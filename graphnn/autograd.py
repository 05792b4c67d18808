"""Derivatives as nodes of the same graph: `grad` and `vjp` in reverse, `jvp` forwards.

A gradient is more graph, so it is run, drawn, stepped through and differentiated like anything else. Each
operation knows the cotangent of each of its operands; what adds up, what undoes a broadcast, and what is never
made because nothing depends on it, stands here once.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors import DtypeError, GraphnnWarning, NoRuleError, ShapeError, UsageError
from .graph import Graph, Node, Op, Scope, as_array, fn, user_origin
from .graph.dimensions import same, shown
from .graph.fetches import ancestors, resolve


def grad(result: Any, wrt: Any) -> Any:
    """Return the gradient of a scalar, as nodes of its graph.

    Parameters
    ----------
    result : Node or str
        Of shape ``()``.
    wrt : Node, str, or list, tuple or dict of them
        What to differentiate with respect to; any float node.

    Returns
    -------
    Node, or list, tuple or dict of them
        In the form of `wrt`; each of its node's shape and dtype. Zeros, with a warning, where the result does
        not depend on it.

    Raises
    ------
    ShapeError
        When the result is no scalar.
    DtypeError
        When the result or what it is differentiated by is no float.
    NoRuleError
        When an operation on the way has no gradient rule.

    Notes
    -----
    Where a function has a kink, the value is a convention: 0 for relu and abs at 0, even shares for ties of
    maximum and max, 1 for clip on its bound.

    Examples
    --------
    >>> from graphnn.execute.interpreter import run
    >>> g = Graph()
    >>> h = g.placeholder("h")
    >>> slope = grad(h * h + h, h)
    >>> float(run(slope, {h: 3.0}))
    7.0
    """
    _, nodes, rebuild = resolve(wrt, result.graph if isinstance(result, Node) else None)
    graph, (node,), _ = resolve([result], nodes[0].graph if nodes else None)
    if node.shape != ():
        raise ShapeError(
            f'grad needs a scalar, and "{node.name}" has shape {shown(node.shape)}: reduce it (gn.sum, gn.mean), '
            "or give its cotangent with gn.vjp({node: cotangent}, wrt)"
        )
    _check_float([node], "the result")
    return rebuild(_pulled_back(graph, {node: None}, nodes))


def vjp(cotangents: Mapping[Any, Any], wrt: Any) -> Any:
    """Return the product of given cotangents with the Jacobian: reverse mode.

    Parameters
    ----------
    cotangents : mapping of Node to Node or array_like
        For each result, what to pull back; of its shape.
    wrt : Node, str, or list, tuple or dict of them

    Returns
    -------
    Node, or list, tuple or dict of them
        In the form of `wrt`: Σ over results of ``cotangentᵀ · ∂result/∂wrt``.

    Raises
    ------
    ShapeError
        When a cotangent has not its result's shape.
    DtypeError, NoRuleError
        As in `grad`.

    Examples
    --------
    >>> from graphnn.execute.interpreter import run
    >>> g = Graph()
    >>> x = g.placeholder("x", shape=2)
    >>> run(vjp({x * x: [1.0, 10.0]}, x), {x: [3.0, 4.0]})
    array([ 6., 80.])
    """
    if not (isinstance(cotangents, Mapping) and cotangents):
        raise UsageError("vjp needs its cotangents as {node: cotangent}")
    graph, results, _ = resolve(list(cotangents))
    _, nodes, rebuild = resolve(wrt, graph)
    _check_float(results, "the result")
    given = dict(zip(results, cotangents.values(), strict=True))
    return rebuild(_pulled_back(graph, given, nodes))


def jvp(results: Any, tangents: Mapping[Any, Any]) -> Any:
    """Return the product of the Jacobian with given tangents: forward mode.

    Parameters
    ----------
    results : Node, str, or list, tuple or dict of them
    tangents : mapping of Node to Node or array_like
        For each node, the direction it moves in; of its shape.

    Returns
    -------
    Node, or list, tuple or dict of them
        In the form of `results`: Σ over nodes of ``∂result/∂node · tangent``. Zeros, with a warning, where a
        result does not depend on any.

    Raises
    ------
    ShapeError
        When a tangent has not its node's shape.
    DtypeError, NoRuleError
        As in `grad`.

    Examples
    --------
    >>> from graphnn.execute.interpreter import run
    >>> g = Graph()
    >>> x = g.placeholder("x", shape=2)
    >>> run(jvp(x * x, {x: [1.0, 10.0]}), {x: [3.0, 4.0]})
    array([ 6., 80.])
    """
    if not (isinstance(tangents, Mapping) and tangents):
        raise UsageError("jvp needs its tangents as {node: tangent}")
    graph, moved, _ = resolve(list(tangents))
    graph, nodes, rebuild = resolve(results, graph)
    _check_float(moved, "what moves")
    reach = _reach(graph, nodes, moved)
    root = graph.scopes[_opened(graph, "jvp")]
    known: dict[Node, Node] = {}
    for node, tangent in zip(moved, tangents.values(), strict=True):
        known[node] = _given(root, node, tangent, "tangent")
    for node in reach.order:
        if node not in reach.active or node in known:
            continue
        with _made_for(root, node):
            parts = [known[o] if f else None for o, f in zip(node.inputs, reach.flowing(node), strict=True)]
            known[node] = _widened(node.op.jvp(parts, node, node.inputs), node)
    return rebuild([known[node] if node in known else _zeros(root, node, "the tangents") for node in nodes])


# --- shared -------------------------------------------------------------------------------------------------


@dataclass
class _Reach:
    """What lies between some nodes and the results that depend on them."""

    order: list[Node]
    active: set[Node] = field(default_factory=set)

    def flowing(self, node: Node) -> list[bool]:
        """Return, for each operand, whether a derivative passes from it through this node."""
        op = node.op
        if not op.differentiable or node.dtype.kind != "f":
            return [False] * len(node.inputs)
        return [operand in self.active and op.flows(i) for i, operand in enumerate(node.inputs)]


def _reach(graph: Graph, results: Iterable[Node], wrt: Sequence[Node]) -> _Reach:
    _check_float(wrt, "what is differentiated by")
    reach = _Reach(sorted(ancestors(results), key=lambda node: node.index), set(wrt))
    start = reach.active.copy()
    for node in reach.order:
        if node not in start and any(reach.flowing(node)):
            if type(node.op).vjp is Op.vjp and type(node.op).jvp is Op.jvp:
                raise NoRuleError(
                    f'the operation "{node.op.name}" has no gradient rule, and "{node.name}" (made at {node.origin}) '
                    f"uses it: define {type(node.op).__name__}.vjp, or put gn.stop_gradient around it"
                )
            reach.active.add(node)
    return reach


def _check_float(nodes: Iterable[Node], what: str) -> None:
    for node in nodes:
        if node.dtype.kind != "f":
            raise DtypeError(f'{what}, "{node.name}", is {node.dtype}; only floats have gradients')


def _opened(graph: Graph, name: str) -> str:
    """Open a scope at the top and return its path."""
    path = graph.free_name(name)
    with graph.entered(path, kind=name, phase="backward"):
        return path


class _made_for:  # noqa: N801 - a context, entered once a node, so a plain class and not a generator
    """Make nodes under `root` in the scope of `node`, with its origin, as its twins."""

    def __init__(self, root: Scope, node: Node) -> None:
        self.root, self.node, self.graph = root, node, node.graph

    def __enter__(self) -> None:
        graph, node = self.graph, self.node
        self.before = graph._scope, graph._origin, graph._twin
        graph._scope = graph.mirrored(graph.scopes.get(node.scope), self.root)
        graph._origin, graph._twin = node.origin, node

    def __exit__(self, *raised: object) -> None:
        self.graph._scope, self.graph._origin, self.graph._twin = self.before


def _narrowed(derivative: Node, node: Node) -> Node:
    """Return a cotangent with the shape and dtype of the node it belongs to: this undoes broadcasts."""
    return _like(derivative if derivative.shape == node.shape else fn.sum_to(derivative, node.shape), node)


def _widened(derivative: Node, node: Node) -> Node:
    """Return a tangent with the shape and dtype of the node it belongs to: an operand's tangent broadcasts too."""
    return _like(derivative if derivative.shape == node.shape else fn.broadcast_to(derivative, node.shape), node)


def _like(derivative: Node, node: Node) -> Node:
    return derivative if derivative.dtype == node.dtype else fn.cast(derivative, node.dtype)


def _given(root: Scope, node: Node, value: Any, what: str) -> Node:
    """Return what the user gave for a node as a node of its shape and dtype."""
    graph = node.graph
    if isinstance(value, Node):
        (derivative,) = resolve([value], graph)[1]
    else:
        array = as_array(value, f'the {what} of "{node.name}"')
        with graph.entered(root.path, twin=node):
            derivative = graph.constant(array.astype(node.dtype) if array.dtype.kind in "biuf" else array)
    fits = len(derivative.shape) == len(node.shape) and all(
        same(d, n) is not None for d, n in zip(derivative.shape, node.shape, strict=True)
    )
    if not fits:
        raise ShapeError(
            f'the {what} of "{node.name}" has shape {shown(derivative.shape)}; expected {shown(node.shape)}'
        )
    with graph.entered(root.path, twin=node):
        return _widened(derivative, node)


def _zeros(root: Scope, node: Node, what: str) -> Node:
    warnings.warn(
        f'"{node.name}" and {what} do not depend on each other; the derivative is zeros (asked at {user_origin()})',
        GraphnnWarning,
        stacklevel=4,
    )
    with node.graph.entered(root.path, twin=node):
        return fn.zeros(node.shape, node.dtype, graph=node.graph)


# --- reverse mode -------------------------------------------------------------------------------------------


@dataclass
class _Pullback:
    """The cotangents that one set of results has given so far; kept, so that no node is made twice."""

    root: Scope
    order: list[Node]
    seeds: dict[Node, Node]
    cotangents: dict[Node, Node] = field(default_factory=dict)
    parts: dict[tuple[Node, int], Node] = field(default_factory=dict)
    zeros: dict[Node, Node] = field(default_factory=dict)


def _pulled_back(graph: Graph, results: dict[Node, Any], wrt: Sequence[Node]) -> list[Node]:
    reach = _reach(graph, results, wrt)
    memory: dict[Any, _Pullback] = graph.caches.setdefault("pullbacks", {})
    key = tuple(results.items()) if all(v is None or isinstance(v, Node) for v in results.values()) else None
    pullback = memory.get(key) if key is not None else None
    if pullback is None:
        pullback = _started(graph, results, reach.order)
        if key is not None:
            memory[key] = pullback
    _walk(reach, pullback)
    found = []
    for node in wrt:
        cotangent = pullback.cotangents.get(node)
        if cotangent is None:
            cotangent = pullback.zeros.get(node)
            if cotangent is None:
                names = ", ".join(f'"{result.name}"' for result in results)
                cotangent = pullback.zeros[node] = _zeros(pullback.root, node, names)
        found.append(cotangent)
    return found


def _started(graph: Graph, results: Mapping[Node, Any], order: list[Node]) -> _Pullback:
    root = graph.scopes[_opened(graph, "grad")]
    seeds = {}
    for node, cotangent in results.items():
        seeds[node] = _given(root, node, np.ones((), node.dtype) if cotangent is None else cotangent, "cotangent")
    return _Pullback(root, order, seeds)


def _walk(reach: _Reach, pullback: _Pullback) -> None:
    """Give every active node its cotangent, users before their operands."""
    readers: dict[Node, list[tuple[Node, int]]] = {}
    for node in reversed(reach.order):
        if node not in reach.active:
            continue
        cotangent = pullback.cotangents.get(node)
        if cotangent is None:
            parts = [pullback.seeds[node]] if node in pullback.seeds else []
            parts += [pullback.parts[reader] for reader in readers.get(node, ()) if reader in pullback.parts]
            if not parts:
                continue
            cotangent = parts[0]
            if len(parts) > 1:
                with _made_for(pullback.root, node):
                    for part in parts[1:]:
                        cotangent = cotangent + part
            pullback.cotangents[node] = cotangent
        for i, flows in enumerate(reach.flowing(node)):
            if flows:
                operand = node.inputs[i]
                readers.setdefault(operand, []).append((node, i))
                if (node, i) not in pullback.parts:
                    with _made_for(pullback.root, node):
                        part = _narrowed(node.op.vjp(i, cotangent, node, node.inputs), operand)
                    pullback.parts[node, i] = part
