"""A function of nodes, applied to each row of arrays: `vmap`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .._util.callables import check_takes
from .._util.text import short_repr, with_article
from ..core import Dim, Graph, Node, Scope, flatten, fn
from ..core.fetches import ancestors
from ..core.symbolic_shapes import shown
from ..errors import AxisError, ShapeError, UsageError
from .batching_rules import batched


def vmap(function: Callable[..., Any], axes: Any = 0) -> Callable[..., Any]:
    """Return a function that does for each row of its arguments what a function does for one.

    Parameters
    ----------
    function : callable
        Takes nodes, or lists, tuples and dicts of them, and returns such. It is called once, with the first row of each
        argument. It may read other nodes, parameters and layers; these are the same for all rows.
    axes : int, None, or tuple of them
        Along which axis the rows of the arguments lie; None is for an argument that all rows share. One for each
        argument, or one for all.

    Returns
    -------
    callable
        Takes nodes, at least one that has rows, and returns nodes in the form of the function's result, whose rows lie
        along axis 0.

    Raises
    ------
    UsageError
        When `axes` does not fit the arguments, no argument has rows, or the function makes updates, as batch
        normalization in training does: a parameter has one value, and not one for each row.
    AxisError, ShapeError
        When an argument has no such axis, or the numbers of rows differ; when an operation must be made once for each
        row, and the number of rows is not known.
    GraphnnError
        When the function fails for one row.

    Notes
    -----
    What depends on a row is made again with a leading axis for all rows; nothing is repeated in a loop, but for
    operations that take no stacks. What depends on no row is computed once: random numbers are the same in all rows.

    The nodes for the first row stay in the graph, in a scope called ``row``, for those who want to look at one.

    Gradients inside of the function are those of each row, so with ``loss`` a function of one sample, this gives a
    gradient for each sample.

    Examples
    --------
    >>> import graphnn as gn
    >>> g = gn.Graph()
    >>> w = g.parameter("w", [1.0, 2.0])
    >>> x = g.placeholder("x", ("batch", 2))
    >>> slopes = gn.vmap(lambda row: gn.grad(gn.sum(row * w) ** 2.0, w))(x)
    >>> gn.run(slopes, {x: [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]})
    array([[2., 0.],
           [0., 4.],
           [6., 6.]])
    """
    if not callable(function):
        raise UsageError(f"vmap takes a function, not {with_article(type(function).__name__)}")

    def mapped(*arguments: Any, **named: Any) -> Any:
        if named:
            raise UsageError(f"vmap: arguments are given by position, not by name: {', '.join(named)}")
        check_takes("vmap: the function", function, *[f"argument {n}" for n in range(len(arguments))])
        forms = [flatten(argument) for argument in arguments]
        graph = _graph_of(forms)
        given = [[_node(graph, leaf, "vmap: an argument is") for leaf in leaves] for leaves, _ in forms]
        along = _along(axes, len(arguments))
        stacks = [
            [node if axis is None else _rows_first(node, axis) for node in nodes]
            for nodes, axis in zip(given, along, strict=True)
        ]
        size = _count([node for nodes, axis in zip(stacks, along, strict=True) if axis is not None for node in nodes])
        with graph.building:
            updates = len(graph.updates) + len(graph.advances)
            with graph.new_scope("row", numbered=True, kind="row") as one:
                rows: dict[Node, Node] = {}
                first = []
                for (_, rebuild), nodes, axis in zip(forms, stacks, along, strict=True):
                    ones = [node if axis is None else _one_row(node) for node in nodes]
                    rows.update({} if axis is None else dict(zip(ones, nodes, strict=True)))
                    first.append(rebuild(ones))
                leaves, rebuild_result = flatten(function(*first))
            if len(graph.updates) + len(graph.advances) > updates:
                raise UsageError(
                    "the function that vmap maps makes updates, and a parameter has one value for all rows: "
                    "make them outside"
                )
            wanted = [_node(graph, leaf, "vmap: what the function returns is") for leaf in leaves]
            return rebuild_result(_for_all(graph, wanted, rows, size, one.scope))

    return mapped


def _for_all(graph: Graph, wanted: Sequence[Node], rows: dict[Node, Node], size: Dim, one: Scope | None) -> list[Node]:
    """Make what depends on rows again for all of them, in a scope that mirrors that of the one row."""
    needed = ancestors(wanted)
    moving = set(rows)
    for node in sorted(needed, key=lambda node: node.index):
        if not moving.isdisjoint(node.inputs):
            moving.add(node)
    with graph.new_scope("vmap", numbered=True, kind="vmap") as provenance:
        root = provenance.scope

        def begin(node: Node) -> None:
            provenance.scope = _mirrored(graph, graph.scopes.get(node.scope), one, root)
            provenance.origin, provenance.twin = node.origin, node

        return batched(wanted, {node: node for node in needed - moving}, dict(rows), size, begin)


def _mirrored(graph: Graph, scope: Scope | None, top: Scope | None, root: Scope | None) -> Scope | None:
    """Return the counterpart below `root` of a scope below `top`, or of one for derivatives of what is in `top`."""
    if scope is None or scope is top:
        return root
    if top is not None and scope.path.endswith(f"/{top.path}"):
        return _mirrored(graph, scope.parent, top, root)
    around = _mirrored(graph, scope.parent, top, root)
    path = scope.path.rpartition("/")[2] if around is None else f"{around.path}/{scope.path.rpartition('/')[2]}"
    return graph.scopes.get(path) or graph._add_scope(path, scope.kind, scope.phase, scope.origin, around)


def _graph_of(forms: Sequence[tuple[list[Any], Any]]) -> Graph:
    for leaves, _ in forms:
        for leaf in leaves:
            if isinstance(leaf, Node):
                return leaf.graph
    raise UsageError("a function that vmap returns takes nodes, at least one; gn.Graph().constant(array) makes one")


def _node(graph: Graph, leaf: Any, what: str) -> Node:
    if isinstance(leaf, Node):
        return leaf
    if leaf is None or isinstance(leaf, (str, bytes)):
        raise UsageError(f"{what} a node, an array or a number, not {short_repr(leaf)}")
    return graph.constant(leaf)


def _along(axes: Any, count: int) -> list[int | None]:
    """Return the axis of each argument."""
    found = list(axes) if isinstance(axes, (tuple, list)) else [axes] * count
    if not all(axis is None or (isinstance(axis, int) and not isinstance(axis, bool)) for axis in found):
        raise UsageError(f"vmap: axes is an int or None, or one of them for each argument, not {short_repr(axes)}")
    if len(found) != count:
        raise UsageError(f"vmap: axes has {len(found)} entries, and the function is called with {count} arguments")
    if all(axis is None for axis in found):
        raise UsageError("vmap: no argument has rows, since axes is None for all of them")
    return found


def _rows_first(node: Node, axis: int) -> Node:
    if not -node.ndim <= axis < node.ndim:
        raise AxisError(f'vmap: "{node.name}" has no axis {axis}: its shape is {shown(node.shape)}')
    return node if axis % node.ndim == 0 else fn.moveaxis(node, axis, 0)


def _one_row(node: Node) -> Node:
    """Return the first row; zeros where there is none."""
    if node.shape[0] == 0:
        return fn.zeros(node.shape[1:], node.dtype, graph=node.graph)
    return fn.getitem(node, 0)


def _count(stacks: Sequence[Node]) -> Dim:
    """Return the number of rows, which all must have."""
    if not stacks:
        raise UsageError("vmap: the arguments that have rows hold no node")
    counts = {node.shape[0]: node for node in reversed(stacks)}
    if len(counts) > 1:
        listed = ", ".join(f'"{node.name}" has {count}' for count, node in reversed(counts.items()))
        raise ShapeError(f"vmap: the arguments have different numbers of rows: {listed}")
    return stacks[0].shape[0]
