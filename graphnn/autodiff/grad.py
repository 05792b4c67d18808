"""Derivatives as nodes of the same graph: `grad` and `vjp` in reverse, `jvp` forwards.

A gradient is more graph, so it is run, drawn, stepped through and differentiated like anything else. Each
operation has rules for its own derivative. This module adds up cotangents, undoes broadcasts, and makes only what
the result depends on.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from .._util.garbage_collection import collector_paused
from ..core import (
    Array,
    Graph,
    Node,
    Op,
    Provenance,
    Scope,
    as_array,
    current_provenance,
    flatten,
    fn,
    is_float,
    user_origin,
)
from ..core.fetches import ordered, resolve
from ..core.graph_tables import Derivatives, Seeds, Table
from ..core.scopes import mirrored
from ..core.symbolic_shapes import shown, unify
from ..errors import DtypeError, GraphnnError, GraphnnWarning, NoRuleError, ShapeError, UsageError, restated
from ..ops.elementwise import Elementwise
from ..ops.indexing import Getitem, slices_put_back


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
        When the result is not a scalar.
    DtypeError
        When the result, or a node of `wrt`, is not a float.
    NoRuleError
        When an operation on the way has no gradient rule.

    Notes
    -----
    Where a function has a kink, the value is a convention: 0 for relu and abs at 0, even shares for ties of
    maximum and max, 1 for clip on its bound.

    What was made for one gradient is used for the next: asking again makes no node twice. A call that is refused adds
    nothing to the graph. If a rule itself fails, the cotangents made before it stay, and are used the next time.

    Examples
    --------
    >>> from graphnn.runtime.interpreter import run
    >>> g = Graph()
    >>> h = g.placeholder("h")
    >>> slope = grad(h * h + h, h)
    >>> float(run(slope, {h: 3.0}))
    7.0
    """
    if not isinstance(result, (Node, str)):
        raise UsageError(f"grad takes one result, a scalar node or its name, not {type(result).__name__}")
    graph, (node,), _ = resolve([result], others=() if isinstance(result, Node) else flatten(wrt)[0])
    _, nodes, rebuild = resolve(wrt, graph, results=False)
    if node.shape != ():
        raise ShapeError(
            f'grad needs a scalar, and "{node.name}" has shape {shown(node.shape)}: reduce it (gn.sum, gn.mean), '
            "or give its cotangent with gn.vjp({node: cotangent}, wrt)"
        )
    with graph.building:  # nobody else may add to the remembered cotangents meanwhile
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
        When a cotangent does not have the shape of its result.
    DtypeError, NoRuleError
        As in `grad`.

    Examples
    --------
    >>> from graphnn.runtime.interpreter import run
    >>> g = Graph()
    >>> x = g.placeholder("x", shape=2)
    >>> run(vjp({x * x: [1.0, 10.0]}, x), {x: [3.0, 4.0]})
    array([ 6., 80.])
    """
    graph, seeds = _checked_seeds("cotangent", cotangents, wrt)
    _, nodes, rebuild = resolve(wrt, graph, results=False)
    with graph.building:
        return rebuild(_pulled_back(graph, seeds, nodes))


def jvp(results: Any, tangents: Mapping[Any, Any]) -> Any:
    """Return the product of the Jacobian with given tangents: forward mode.

    Parameters
    ----------
    results : Node, str, or list, tuple or dict of them
    tangents : mapping of Node to Node or array_like
        For each node, the direction in which it moves, in its shape. If a node also depends on another in the mapping,
        both movements are added.

    Returns
    -------
    Node, or list, tuple or dict of them
        In the form of `results`: Σ over nodes of ``∂result/∂node · tangent``. Zeros, with a warning, where a
        result does not depend on any.

    Raises
    ------
    ShapeError
        When a tangent does not have the shape of its node.
    DtypeError, NoRuleError
        As in `grad`.

    Examples
    --------
    >>> from graphnn.runtime.interpreter import run
    >>> g = Graph()
    >>> x = g.placeholder("x", shape=2)
    >>> run(jvp(x * x, {x: [1.0, 10.0]}), {x: [3.0, 4.0]})
    array([ 6., 80.])
    """
    graph, seeds = _checked_seeds("tangent", tangents, results)
    _, nodes, rebuild = resolve(results, graph)
    with graph.building:
        return rebuild(_pushed_forward(graph, seeds, nodes))


# --- shared -------------------------------------------------------------------------------------------------

_NAMED = 3
"""So many nodes are named in a warning."""
_Seed = Node | Array | None
"""A result's cotangent, or a node's tangent, as the user gave it; None stands for ones."""
_Flow = dict[Node, list[int]]
"""{node: positions of the operands that a derivative passes to or from}, in the order in which nodes were made."""


def flow_of(results: Iterable[Node], wrt: Iterable[Node], mode: str) -> _Flow:
    """Return the nodes between `wrt` and the results, both included, through which a derivative passes.

    Raises
    ------
    DtypeError
        When a result or a node of `wrt` is not a float.
    NoRuleError
        When an operation between them has no rule.
    """
    results, wrt = set(results), set(wrt)
    _check_float(results, "the result")
    _check_float(wrt, "wrt")
    flow: _Flow = {}
    for node in ordered(results):
        smooth = node.op.differentiable and is_float(node.spec.dtype)
        passes = [i for i, operand in enumerate(node.inputs) if smooth and operand in flow and node.op.flows(i)]
        if passes or node in wrt:
            flow[node] = passes
    reached = results & flow.keys()
    for node in reversed(list(flow)):
        if node not in reached:
            del flow[node]
            continue
        reached.update([node.inputs[i] for i in flow[node]])
    for node, passes in flow.items():
        if passes:
            _check_rule(node, mode)
    return flow


def _check_float(nodes: Iterable[Node], what: str) -> None:
    for node in nodes:
        if not is_float(node.dtype):
            raise DtypeError(f'{what}, "{node.name}", is {node.dtype}; only floats have gradients')


def _check_rule(node: Node, mode: str) -> None:
    cls = type(node.op)
    if node.op.is_unknown:
        raise NoRuleError(f'"{node.name}" has no derivative: its operation "{node.op.name}" is not defined here')
    # An elementwise operation without a forward rule of its own uses its reverse rule: see `Elementwise.jvp`.
    rule = "vjp" if mode == "jvp" and cls.jvp is Elementwise.jvp else mode
    if getattr(cls, rule) is getattr(Op, rule):
        kind = "gradient" if rule == "vjp" else "forward-mode"
        raise NoRuleError(
            f'the operation "{cls.name}" has no {kind} rule: define {cls.__name__}.{rule}; '
            f'"{node.name}" (made at {node.origin}) uses it'
        )


def _new_root(graph: Graph, name: str) -> Scope:
    """Return a new scope, in which the nodes of a derivative are made."""
    return graph._add_scope(graph.free_name(name), name, "backward", None, current_provenance(graph).scope)


class _Attribution:
    """Sets for which node new ones are made: they get its origin, it as their twin, and its scope's counterpart.

    An error that is raised inside names that node.
    """

    def __init__(self, provenance: Provenance, root: Scope) -> None:
        self._provenance, self._root = provenance, root
        self._mirrors: dict[str, Scope | None] = {}

    def to(self, node: Node) -> None:
        """Make all that follows for `node`."""
        provenance, path = self._provenance, node.scope
        if path not in self._mirrors:
            self._mirrors[path] = mirrored(node.graph, node.graph.scopes.get(path), self._root)
        provenance.scope, provenance.origin, provenance.twin = self._mirrors[path], node.origin, node

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        node = self._provenance.twin
        if isinstance(error, Exception) and not isinstance(error, Warning) and node is not None:
            prefix = "" if isinstance(error, GraphnnError) else f"{type(error).__name__}: "
            whose = f'  in the gradient of "{node.name}" ({node.op.name}, made at {node.origin})'
            raise restated(error, prefix, whose, node=node, op=node.op.name, origin=node.origin) from error


def _fitted(derivative: Any, node: Node, resize: str) -> Node:
    """Return a derivative with the shape and dtype of its node.

    Parameters
    ----------
    derivative : object
        What a rule gives.
    node : Node
    resize : str
        The operation that gives it the shape: "sum_to" for a cotangent, which undoes a broadcast, or "broadcast_to"
        for a tangent, which takes part in it.
    """
    if not isinstance(derivative, Node):
        raise UsageError(f"the rule gives a {type(derivative).__name__}, not a node")
    if derivative.spec.shape != node.spec.shape:
        derivative = getattr(fn, resize)(derivative, node.shape)
    return derivative if derivative.spec.dtype == node.spec.dtype else fn.cast(derivative, node.dtype)


def _checked_seeds(kind: str, seeds: Any, others: Any) -> tuple[Graph, dict[Node, _Seed]]:
    """Return the cotangents or tangents that the user gave, checked before anything is made.

    Raises
    ------
    UsageError
        When they are not a mapping, or one node has two.
    ShapeError
        When one does not have the shape of its node.
    """
    if not (isinstance(seeds, Mapping) and seeds):
        raise UsageError(f"{'vjp' if kind == 'cotangent' else 'jvp'} needs its {kind}s as {{node: {kind}}}")
    graph, nodes, _ = resolve(list(seeds), others=flatten(others)[0])
    checked: dict[Node, _Seed] = {}
    for node, value in zip(nodes, seeds.values(), strict=True):
        if node in checked:
            raise UsageError(f'the {kind} of "{node.name}" is given twice, by the node and by its name')
        if isinstance(value, Node):
            (value,) = resolve([value], graph)[1]
        else:
            value = as_array(value, f'the {kind} of "{node.name}"')
        fits = len(value.shape) == len(node.shape) and all(
            unify(d, n) is not None for d, n in zip(value.shape, node.shape, strict=True)
        )
        if not fits:
            raise ShapeError(
                f'the {kind} of "{node.name}" has shape {shown(value.shape)}; expected {shown(node.shape)}'
            )
        checked[node] = value
    return graph, checked


def _seed_of(value: _Seed, node: Node) -> Node:
    """Return what was given for a node as a node of its shape and dtype."""
    value = np.ones((), node.dtype) if value is None else value
    derivative = value if isinstance(value, Node) else node.graph.constant(value.astype(node.dtype))
    # A 1 in the place of a named dimension must not broadcast: the reshape demands that the size is 1.
    pinned = tuple(n if d == 1 else d for d, n in zip(derivative.shape, node.shape, strict=True))
    return _fitted(derivative if pinned == derivative.shape else fn.reshape(derivative, pinned), node, "broadcast_to")


def _warn_of_zeros(nodes: Iterable[Node], others: Iterable[Node]) -> None:
    origin = user_origin()
    names = ", ".join(f'"{node.name}"' for node in others)
    lost = [f'"{node.name}"' for node in nodes]
    if lost:
        # One warning: a gradient that is cut off once is missing for all parameters before.
        many = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
        are = "it is zeros" if len(lost) == 1 else "they are zeros"
        message = (
            f"no derivative passes between {', '.join(lost[:_NAMED])}{many} and {names}; {are} (asked at {origin})"
        )
        warnings.warn_explicit(message, GraphnnWarning, *origin)


def _remembered(graph: Graph, name: str, known: dict[Seeds, Derivatives], seeds: Mapping[Node, _Seed]) -> Derivatives:
    """Return the derivatives of these seeds that were made before, else new ones. Those of arrays are not kept."""
    key: Any = tuple(sorted(seeds.items(), key=lambda pair: pair[0].index))
    if any(isinstance(value, np.ndarray) for value in seeds.values()):
        return Derivatives(_new_root(graph, name), Table())
    return known.get(key) or known.setdefault(key, Derivatives(_new_root(graph, name), Table()))


def _derivatives_or_zeros(known: dict[Node, Node], attribution: _Attribution, nodes: Sequence[Node]) -> list[Node]:
    """Return the derivative of each node, and for a node that none has reached, zeros, which are remembered."""
    for node in nodes:
        if node not in known:
            attribution.to(node)
            known[node] = fn.zeros(node.shape, node.dtype, graph=node.graph)
    return [known[node] for node in nodes]


# --- reverse mode -------------------------------------------------------------------------------------------


@collector_paused()
def _pulled_back(graph: Graph, seeds: Mapping[Node, _Seed], wrt: Sequence[Node]) -> list[Node]:
    flow = flow_of(seeds, wrt, "vjp")
    _warn_of_zeros([node for node in wrt if node not in flow], seeds)
    root, cotangents = _remembered(graph, "grad", graph.cotangents, seeds)
    # A provenance of our own, whose scope, origin and twin `attribution` changes from node to node.
    with graph.in_scope(None) as provenance, _Attribution(provenance, root) as attribution:
        arrived: dict[Node, Node] = {}
        sliced: dict[Node, list[tuple[Node, Node]]] = {}
        for node, value in seeds.items():
            if node in flow and node not in cotangents:
                attribution.to(node)
                arrived[node] = _seed_of(value, node)
        for node in reversed(flow):
            if node in sliced:
                slices, parts = zip(*sliced.pop(node), strict=True)
                attribution.to(slices[0] if len(slices) == 1 else node)
                _add(slices_put_back(node, slices, parts), node, arrived, attribution)
            if node in arrived:  # by now from all its readers
                whole = arrived.pop(node)
                if whole.spec.dtype != node.spec.dtype:  # a sum of bfloat16 is float32
                    attribution.to(node)
                    whole = fn.cast(whole, node.dtype)
                cotangents[node] = whole
            # A remembered cotangent is complete, and takes nothing more: whatever `wrt` was, each reader of a node that
            # depends on it depends on it, too, and was in the flow.
            passes = [i for i in flow[node] if node.inputs[i] not in cotangents]
            # All slices of an array together: each alone would be as large as the array.
            if isinstance(node.op, Getitem):
                for i in passes:
                    sliced.setdefault(node.inputs[i], []).append((node, cotangents[node]))
            elif passes:
                _pull(node, cotangents[node], passes, arrived, attribution)
        return _derivatives_or_zeros(cotangents, attribution, wrt)


def _pull(node: Node, cotangent: Node, passes: list[int], arrived: dict[Node, Node], attribution: _Attribution) -> None:
    """Hand the cotangent of a node on to its operands."""
    attribution.to(node)
    operands = tuple([_again(x) if passes != [i] else x for i, x in enumerate(node.inputs)])
    parts = node.op.vjps(passes, cotangent, node, operands)  # each is made at its turn, as nodes made for this one
    for i in passes:
        attribution.to(node)
        _add(_fitted(next(parts), node.inputs[i], "sum_to"), node.inputs[i], arrived, attribution)


def _again(operand: Node) -> Node:
    """Return a stored float that is made wider to compute with as another such node, and any other operand as it is.

    Else all weights that are kept in fewer bits would be held in more, from their use until their gradient.
    """
    kept = operand.inputs[0] if operand.op.name == "cast" else None
    if kept is None or not is_float(kept.dtype) or kept.dtype.itemsize >= operand.dtype.itemsize:
        return operand
    while not kept.has_value:
        if kept.op.computes or len(kept.inputs) != 1:
            return operand
        kept = kept.inputs[0]
    return fn.cast(operand.inputs[0], operand.dtype)


def _add(part: Node, operand: Node, arrived: dict[Node, Node], attribution: _Attribution) -> None:
    """Add a part of an operand's cotangent to what has arrived, one by one, so that a run need not hold all parts."""
    if operand in arrived:
        attribution.to(operand)
        part = arrived[operand] + part
    arrived[operand] = part


# --- forward mode -------------------------------------------------------------------------------------------


@collector_paused()
def _pushed_forward(graph: Graph, seeds: Mapping[Node, _Seed], results: Sequence[Node]) -> list[Node]:
    flow = flow_of(results, seeds, "jvp")
    _warn_of_zeros([node for node in results if node not in flow], seeds)
    root, tangents = _remembered(graph, "jvp", graph.tangents, seeds)
    with graph.in_scope(None) as provenance, _Attribution(provenance, root) as attribution:
        for node, passes in flow.items():
            if node not in tangents:
                attribution.to(node)
                tangents[node] = _pushed(node, passes, seeds, tangents)
        return _derivatives_or_zeros(tangents, attribution, results)


def _pushed(node: Node, passes: list[int], seeds: Mapping[Node, _Seed], tangents: Mapping[Node, Node]) -> Node:
    """Return the tangent of a node: its seed, plus what its operands' tangents give."""
    tangent = _seed_of(seeds[node], node) if node in seeds else None
    if not passes:
        assert tangent is not None, "a node in the flow moves by itself or with an operand"
        return tangent
    given = {i: tangents[node.inputs[i]] for i in passes}
    parts = [given.get(i) for i in range(len(node.inputs))]
    moved = _fitted(node.op.jvp(parts, node, node.inputs), node, "broadcast_to")
    return moved if tangent is None else _fitted(tangent + moved, node, "broadcast_to")
