"""New graphs from old: `extract` and `replace`. A graph itself only grows."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from .._util.garbage_collection import collector_paused
from ..core import Graph, Node, Placeholder, Scope
from ..core.fetches import ancestors, resolve
from ..core.graph_tables import owned
from ..core.node import put_twin
from ..core.scopes import TRIED_KINDS, mirrored
from ..errors import GraphError, UsageError
from .copied_tables import copy_derivatives, copy_labels, partners
from .substitutions import UNCHANGED, Changes, checked_changes


def extract(
    fetches: Any,
    graph: Graph | None = None,
    *,
    inputs: Any = (),
    sizes: Mapping[str, int | str] | None = None,
    names: Mapping[Any, str] | None = None,
) -> Graph:
    """Return a new graph, with a copy of the state, of what the fetches need.

    Parameters
    ----------
    fetches : Node, str, or list, tuple or dict of them, or Graph
    graph : Graph, optional
        Where names are looked up, if no fetch is a node.
    inputs : list of Node or str, or mapping of them to shapes, optional
        What is to be fed: these nodes become placeholders of their names, and what only they need stays behind. A
        mapping gives a placeholder another shape, ``{"x": ("batch", 3)}``, and all shapes follow.
    sizes : mapping of str to int or str, optional
        What the names of dimensions become, ``{"batch": 8}``: numbers, or other names.
    names : mapping of Node or str to str, optional
        Other names for nodes.

    Returns
    -------
    Graph
        With the same names, origins, scopes and labels; outputs and updates as far as their nodes came along.

    Raises
    ------
    ShapeError
        When shapes do not fit any more; also where a number in the graph came from a size that is changed, such as that
        of a reshape, or could have.
    GraphError
        When a name is taken.

    Examples
    --------
    >>> g = Graph()
    >>> x = g.placeholder("x", ("n", 2))
    >>> y, z = -x, abs(x)
    >>> [node.name for node in extract([z])]
    ['x', 'absolute']
    >>> list(extract(abs(y) * 2.0, inputs=[y], sizes={"n": 8}, names={y: "code"}))[0]
    <Node "code": placeholder (8, 2) float64>
    """
    source, nodes, _ = resolve(fetches, graph)
    return copied(source, nodes, {}, checked_changes(source, inputs, sizes, names))[0]


def replace(fetches: Any, replacements: Mapping[Any, Any], graph: Graph | None = None) -> Any:
    """Return the fetches with parts exchanged, in a new graph with a copy of the state.

    Parameters
    ----------
    fetches : Node, str, or list, tuple or dict of them, or Graph
    replacements : mapping of Node to Node
        Whatever reads the key reads the value instead; names serve as nodes do. What the value itself is
        made of keeps reading the key, so ``{h: gn.relu(h)}`` puts a relu after h. To feed a node, see `extract`.
    graph : Graph, optional
        Where names are looked up, if no fetch is a node.

    Returns
    -------
    Node, or list, tuple or dict of them
        In the form of `fetches`; nodes of the new graph, which is fed by name.

    Raises
    ------
    ShapeError, DtypeError
        When what comes in does not fit where it goes.
    GraphError
        When the exchange would make a cycle, or the nodes are of another graph.
    UsageError
        When a key is a node that a loop or a branch shows of its body: what they compute is a graph of its own.

    Examples
    --------
    >>> g = Graph()
    >>> h = -g.placeholder("x")
    >>> y = h * 2.0
    >>> replace(y, {h: abs(g["x"])}).inputs[0]
    <Node "absolute": absolute () float64>
    """
    source, nodes, rebuild = resolve(fetches, graph)
    if not isinstance(replacements, Mapping):
        raise UsageError(f"what is exchanged is given as {{old: new}}, not as {type(replacements).__name__}")
    pairs: dict[Node | tuple[Node, Node], Node] = {
        owned(source, old, "what is exchanged"): owned(source, new, "what comes in")
        for old, new in replacements.items()
    }
    needed = ancestors(nodes)
    for old in pairs:
        if not isinstance(old, Node) or old in needed or old in source.evaluation:
            continue
        if (loop := _shown_by(source, old)) is not None:
            raise UsageError(
                f'the exchange of "{old.name}" has no effect: the node shows what "{loop.path}" computes, which has a '
                f'body of its own. Make "{loop.path}" again, with another function'
            )
    return rebuild(copied(source, nodes, pairs)[1])


def _shown_by(source: Graph, node: Node) -> Scope | None:
    """Return the scope of the loop or branches whose body a node shows, if it does."""
    scope = source.scopes.get(node.scope)
    while scope is not None and scope.kind not in TRIED_KINDS:
        scope = scope.parent
    return None if scope is None else scope.parent


@collector_paused()
def copied(
    source: Graph,
    fetches: Sequence[Node],
    exchanged: Mapping[Node | tuple[Node, Node], Node] = MappingProxyType({}),
    changes: Changes = UNCHANGED,
    beside: Sequence[Node] = (),
) -> tuple[Graph, list[Node], dict[Node, Node]]:
    """Return a copy of the graph of fetches, the fetches in it, and {node: its copy}.

    Parameters
    ----------
    source : Graph
    fetches : sequence of Node
    exchanged : mapping
        {node: what is read instead}; a key (node, reader) is for that reader alone, and goes before the node's.
    changes : Changes
    beside : sequence of Node
        What comes along as it is, whoever needs it.

    Raises
    ------
    ShapeError, DtypeError, GraphError
        As `extract` and `replace` do.
    """
    # An operand is exchanged wherever the reader is not part of what replaces it: that keeps the graph acyclic.
    inside = {old: ancestors([new]) for old, new in exchanged.items() if isinstance(old, Node)}

    def operand(reader: Node | None, node: Node) -> Node:
        new = exchanged.get(node)
        if reader is not None:
            if (node, reader) in exchanged:
                return exchanged[node, reader]
            if new is not None and reader in inside[node]:
                return node
        return node if new is None else new

    wanted = [operand(None, node) for node in fetches]
    target = Graph(source.name, source.dtype)
    target.memory_budget = source.memory_budget
    order = in_order([*wanted, *beside], operand, changes.inputs)
    # A node comes with the updates that belong to it, or every step of the copy would draw the same numbers; and what
    # is for training with what takes its place in evaluation.
    while True:
        here = set(order)
        moved = sorted(partners(source, here - changes.inputs.keys()), key=lambda node: node.index)
        others = [operand(None, other) for other in moved]
        if here.issuperset(others):
            break
        order = in_order([*wanted, *beside, *others], operand, changes.inputs)
    changes.check(source, order, operand)
    copies: dict[Node, Node] = {}
    for node in order:
        fed = changes.given(node)
        inputs = () if fed is not None else tuple([copies[operand(node, given)] for given in node.inputs])
        if fed is None:
            op = changes.op(node)
            # Where nothing under it was exchanged, what was inferred once stays true.
            same = op is node.op and all(a.spec == b.spec for a, b in zip(inputs, node.inputs, strict=True))
            spec = node.spec if same else changes.inferred(target, node, op, inputs)
        else:
            op, spec = Placeholder(), fed
        value = source._stored(node) if op.is_stored else None
        scope = mirrored(target, source.scopes.get(node.scope))
        copies[node] = target._make(op, inputs, spec, changes.names.get(node, node.name), value, (scope, node.origin))
    for node, copy in copies.items():
        if node.twin in copies:
            put_twin(copy, copies[node.twin])  # only now: the exchange may have put it after
    _copy_tables(source, target, copies, operand, changes)
    copy_labels(source, target, copies, operand)
    if not exchanged and not changes.cuts:  # else the derivatives may be those of another function
        copy_derivatives(source, target, copies)
    return target, [copies[node] for node in wanted], copies


def _copy_tables(source: Graph, target: Graph, copies: Mapping[Node, Node], operand: Any, changes: Changes) -> None:
    """Copy the outputs, names and updates of the nodes that came along."""
    outputs = {name: operand(None, node) for name, node in source.outputs.items()}
    target.outputs.update({name: copies[node] for name, node in outputs.items() if node in copies})
    for name, node in source.names.items():
        # What comes in for a node takes over its name where that stays behind, as it does of an output, or is renamed.
        new = operand(None, node)
        kept = copies.get(new if node in changes.names else node, copies.get(new))
        if kept is not None and kept.title == kept.name:
            target.names[name] = kept
    target.idle.update({path: copies[node] for path, node in source.idle.items() if node in copies})
    for table, entries in ((target.updates, source.updates), (target.evaluation, source.evaluation)):
        following = {p: operand(None, n) for p, n in entries.items() if p not in changes.inputs}
        table.update({copies[p]: copies[n] for p, n in following.items() if p in copies and n in copies})
    for (parameter, at), node in source.advances.items():
        parts = [parameter, operand(None, at), operand(None, node)]
        if copies.keys() - changes.inputs.keys() >= set(parts):
            target.advances[copies[parts[0]], copies[parts[1]]] = copies[parts[2]]


def in_order(wanted: Sequence[Node], operand: Any, fed: Container[Node]) -> list[Node]:
    """Return what the nodes need, operands first; without recursion. What is fed needs nothing."""
    order: list[Node] = []
    done: dict[Node, bool] = {}
    stack = [(node, False) for node in reversed(wanted)]
    while stack:
        node, ready = stack.pop()
        if ready:
            done[node] = True
            order.append(node)
        elif node not in done:
            done[node] = False
            stack.append((node, True))
            for given in () if node in fed else reversed(node.inputs):
                needed = operand(node, given)
                if done.get(needed) is False:
                    raise GraphError(
                        f'the exchange would make a cycle: "{needed.name}" would come to depend on itself '
                        f'through "{node.name}"'
                    )
                if needed not in done:
                    stack.append((needed, False))
    if all(node.index < later.index for node, later in pairwise(order)):
        return order
    return _by_making(order, operand, fed)


def _by_making(order: list[Node], operand: Any, fed: Container[Node]) -> list[Node]:
    """Return a topological order as close to the order of making as the exchange allows."""
    level: dict[Node, int] = {}
    for node in order:
        level[node] = max(
            [node.index, *(level[operand(node, given)] for given in (() if node in fed else node.inputs))]
        )
    place = {node: i for i, node in enumerate(order)}
    return sorted(order, key=lambda node: (level[node], place[node]))
