"""`cond`: one of two functions, chosen by what is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from .._util.callables import check_takes
from .._util.text import short_repr
from ..core import Graph, Node, flatten
from ..core.symbolic_shapes import unify
from ..errors import DtypeError, ShapeError, UsageError
from .body_tracing import as_node, names_of, read_by
from .branch_op import Branch
from .bundle import item_of
from .loop_body import Excerpt, Read, graph_of
from .loop_validation import check_flag, check_functions, check_updates, form_of, leaves_of, updates_of


def cond(flag: Any, then: Callable[..., Any], otherwise: Callable[..., Any], *operands: Any) -> Any:
    """Compute one of two functions, by a bool that is known only in a run.

    Parameters
    ----------
    flag : Node
        One bool.
    then, otherwise : callable
        Each is called once, with the operands: `then` says what is computed where the flag is True, `otherwise` what
        is where it is False. They return nodes of the same form, shapes and dtypes. They may read other nodes, and call
        layers, whose parameters belong to the graph.
    *operands : Node or array_like, or lists, tuples or dicts of them
        What the functions are called with.

    Returns
    -------
    Node, or list, tuple or dict of them
        In the form of what the functions return.

    Raises
    ------
    UsageError
        When the results have other forms, or a function makes updates.
    ShapeError, DtypeError
        When the results have other shapes or dtypes, or the flag is not one bool.

    Notes
    -----
    The choice is one node, and only the function that is chosen is computed: also in gradients, of any order. Nodes
    made earlier that a function reads are always computed. `gn.where` computes both, and chooses element by element.

    The nodes that the calls of the functions make stay in the graph, in the scopes ``cond_1/then`` and
    ``cond_1/otherwise``.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Graph().placeholder("x")
    >>> root = gn.cond(x > 0.0, lambda: gn.sqrt(x), lambda: 0.0 * x)
    >>> slope = gn.grad(root, x)
    >>> gn.run([root, slope], {x: 4.0}), gn.run([root, slope], {x: -4.0})
    ([array(2.), array(0.25)], [array(-0.), array(0.)])
    """
    check_functions("cond", then, otherwise)
    for name, function in (("then", then), ("otherwise", otherwise)):
        check_takes(f"cond: {name}", function, *[f"operand {place}" for place in range(len(operands))])
    check_flag("cond", "the flag", flag)
    graph = flag.graph
    with graph.building, graph.new_scope("cond", numbered=True, kind="cond") as provenance:
        scope = provenance.scope
        assert scope is not None
        before, start = updates_of(graph), len(graph)
        results, prefixes = [], []
        for name, function in (("then", then), ("otherwise", otherwise)):
            with graph.new_scope(name, kind=name) as inside:
                assert inside.scope is not None
                results.append(function(*operands))
                prefixes.append(f"{inside.scope.path}/")
        form, rebuild = flatten(results[0])
        if form_of(results[0]) != form_of(results[1]):
            raise UsageError(
                "cond: both functions return the same form of nodes; then returned "
                f"{short_repr(results[0])}, and otherwise {short_repr(results[1])}"
            )
        wanted = _as_nodes(graph, form, leaves_of(results[1], results[0]))
        made = _made_since(graph, start)
        # The update of a parameter that each step makes which reads it, as that of a counter, is made outside.
        outside = {node for (_, at), node in graph.advances.items() if at.op.is_parameter}
        check_updates("cond", graph, before, made - outside)
        choose = partial(_branch, graph, flag, made, prefixes)
        items = choose(wanted, lambda reader, operand: operand)
        instead = {node: other for node, other in graph.evaluation.items() if node in made}
        if instead:
            evaluating = [[instead.get(node, node) for node in nodes] for nodes in wanted]
            evaluated = choose(evaluating, lambda reader, operand: instead.get(operand, operand))
            graph.evaluation.update(zip(items, evaluated, strict=True))
        return rebuild(items)


def _made_since(graph: Graph, start: int) -> set[Node]:
    """Return what is to be in the bodies; what is read of a bundle that was there before is not, but an operand."""
    made: set[Node] = set()
    for node in list(graph)[start:]:
        outside = node.op.is_loop_item and node.inputs[0] not in made
        if not outside and not node.op.is_leaf:
            made.add(node)
    return made


def _branch(
    graph: Graph,
    flag: Node,
    made: set[Node],
    prefixes: Sequence[str],
    wanted: Sequence[Sequence[Node]],
    read: Read,
) -> list[Node]:
    """Make the node that chooses, and return the results."""
    outer = {node for nodes in wanted for node in read_by(graph, nodes, (), made, read)}
    operands = sorted(outer, key=lambda node: node.index)
    bodies = [Excerpt(graph, nodes, operands, prefix, read) for nodes, prefix in zip(wanted, prefixes, strict=True)]
    names = names_of(node for body in bodies for node in graph_of(body.body))
    pairs = [(bodies[0].of[a], bodies[1].of[b]) for a, b in zip(*wanted, strict=True)]
    op = Branch(bodies[0].body, bodies[1].body, names, names, tuple(dict.fromkeys(pairs)))
    bundle = op(flag, *operands, graph=graph)
    return [item_of(bundle, op.place(*pair)) for pair in pairs]


def _as_nodes(graph: Graph, *sides: Sequence[Any]) -> list[list[Node]]:
    """Return the results of both functions as nodes. A Python number takes the dtype of what is at its place."""
    found: list[list[Node]] = [[], []]
    for leaves in zip(*sides, strict=True):
        nodes = []
        for leaf, other in zip(leaves, reversed(leaves), strict=True):
            if isinstance(other, Node) and type(leaf) in (bool, int, float):
                leaf = np.asarray(leaf, np.result_type(other.dtype, leaf))
            nodes.append(as_node(graph, leaf, "cond: what the functions return is"))
        _check_alike(*nodes)
        for results, node in zip(found, nodes, strict=True):
            results.append(node)
    return found


def _check_alike(then: Node, otherwise: Node) -> None:
    both = f'then gives "{then.name}" {then.spec}, and otherwise "{otherwise.name}" {otherwise.spec}'
    pairs = zip(then.shape, otherwise.shape, strict=False)
    if then.ndim != otherwise.ndim or any(unify(a, b) is None for a, b in pairs):
        raise ShapeError(f"cond: {both}: what is chosen has one shape; gn.broadcast_to and gn.reshape change one")
    if then.dtype != otherwise.dtype:
        raise DtypeError(f"cond: {both}: what is chosen has one dtype; gn.cast changes one")
