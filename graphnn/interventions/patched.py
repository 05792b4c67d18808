"""The same fetches of a graph in which nodes, or what single readers see of them, have other values."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from .._util.callables import check_takes
from .._util.garbage_collection import collector_paused
from ..core import Array, Graph, Node, as_array, cast_in_range, fn, may_become
from ..core.fetches import ordered, resolve
from ..core.graph_tables import owned
from ..core.symbolic_shapes import shown
from ..debugger.traces import Record, Trace
from ..errors import DtypeError, GraphError, ShapeError, UsageError
from ..ops.indexing import Getitem, SliceAdd
from ..transforms.extract_replace import copied
from ..transforms.substitutions import Changes
from .patch_places import Place, places_in
from .patches import Patch


def patched(fetches: Any, patches: Mapping[Any, Any], graph: Graph | None = None) -> Any:
    """Return the fetches of a copy of the graph in which nodes have other values.

    Parameters
    ----------
    fetches : Node, str, or list, tuple or dict of them, or Graph
    patches : mapping
        {where: value}. Where: a node or its name; ``(node, reader)``, for what only that reader sees of it;
        ``gn.patches.at(node)[:, 3]`` or ``"name[:, 3]"``, for a part; the name of a scope, for all that is read of it
        from outside; or the name of any of these places, ``"name[:, 3] → reader"``, where ``->`` serves, too. The
        value: an array, which is broadcast to the shape there; a node of the graph; a function of the old node, which
        returns a node or an array; a trace, for the value that it has of the node; or
        ``gn.patches.zero``, ``gn.patches.mean()``, ``gn.patches.resample()``.
    graph : Graph, optional
        Where names are looked up, if no fetch is a node.

    Returns
    -------
    Node, or list, tuple or dict of them
        In the form of `fetches`; nodes of a new graph, which is fed by name. It has all placeholders, so that it takes
        the same feeds. The graph that was given is not changed.

    Raises
    ------
    NotFoundError
        When the fetches do not need a node, or a trace does not hold its value.
    AxisError
        When a node has no such part.
    UsageError
        When a reader does not read the node, or the same place is patched twice.
    ShapeError, DtypeError
        When a value does not fit.
    GraphError
        When a value depends on what reads it, or is a node of another graph.

    Notes
    -----
    A value that is a node or a function is computed in the copy, after the other patches. A reader with a patch of its
    own sees that one, and not the patch of the node. In the copy, what takes the place of a node has its name; what the
    node computes, where it is still needed, is called ``name_unpatched``. Gradients among the fetches are patched as
    any nodes are, and need not be those of the patched function: ask for these in the copy.

    Examples
    --------
    >>> import graphnn as gn
    >>> g = gn.Graph()
    >>> x = g.placeholder("x")
    >>> h = gn.relu(x)
    >>> left, right = h * 2.0, h * 10.0
    >>> y = left + right
    >>> float(gn.run(gn.patched(y, {h: 5.0}), {"x": 1.0}))
    60.0
    >>> float(gn.run(gn.patched(y, {(h, left): lambda old: old + 1.0}), {"x": 1.0}))
    14.0
    """
    source, nodes, rebuild = resolve(fetches, graph)
    if not isinstance(patches, Mapping):
        raise UsageError(f"patches are given as {{where: value}}, not as {type(patches).__name__}")
    order = ordered(nodes)
    wanted: dict[Place, Any] = {}
    for key, value in patches.items():
        for place in places_in(order, source, key):
            if place in wanted:
                raise UsageError(f"{place.name} is patched twice")
            if callable(value) and not isinstance(value, Node):
                check_takes(f"the patch of {place.name}", value, "the old node")
            wanted[place] = value if callable(value) else _value(place, value)
    given = [owned(source, value, "a patch") for value in wanted.values() if isinstance(value, Node)]
    with collector_paused():
        # What is fed comes along, needed or not: so the same feed goes, and it tells the sizes.
        target, _, copies = copied(source, [*nodes, *given], beside=source.placeholders)
        instead: dict[Node | tuple[Node, Node], Node] = {}
        own = len(target)
        for place, value in wanted.items():
            node = copies[place.node]
            key = node if place.reader is None else (node, copies[place.reader])
            value = copies[value] if isinstance(value, Node) else value
            with target.in_scope(node.scope or None):
                instead[key] = _patch(place, instead.get(key, node), value)
        names: dict[Node, str] = {}
        for key, new in instead.items():
            if isinstance(key, Node) and new.index >= own and not key.has_value and not key.op.is_placeholder:
                names |= {new: key.name, key: target.free_name(f"{key.name}_unpatched")}
        found = [copies[node] for node in nodes]
        return rebuild(copied(target, found, instead, Changes(names=names), target.placeholders)[1])


def _value(place: Place, value: Any) -> Any:
    """Return a patch that is not a function as a node or an array of the node's dtype."""
    node = place.node
    if isinstance(value, Node):
        return value
    what = f"the patch of {place.name}"
    if isinstance(value, (Trace, Record)):
        return partial(_as_recorded, _part_of(place, value[node.name] if isinstance(value, Trace) else value))
    array = as_array(value, what)
    if not may_become(array.dtype, node.dtype):
        raise DtypeError(f"{what} is {array.dtype}, and the node is {node.dtype}")
    return cast_in_range(array, node.dtype, what)


def _part_of(place: Place, record: Record) -> Array:
    """Return what a trace holds of a place."""
    shape, node = record.shape, place.node
    if len(shape) != len(node.shape) or any(
        isinstance(dim, int) and dim != size for dim, size in zip(node.shape, shape, strict=True)
    ):
        raise ShapeError(
            f'"{record.name}" has shape {shown(shape)} in the trace, and "{node.name}" has {shown(node.shape)}'
        )
    return np.asarray(record.value[place.part_in(shape)])


def _as_recorded(array: Array, part: Node) -> Node:
    """Return an array as a node of the shape of a part; not broadcast, so that runs are of equal sizes."""
    value = part.graph.constant(array, dtype=part.dtype)
    return value if value.shape == part.shape else fn.reshape(value, part.shape)


def _patch(place: Place, old: Node, value: Any) -> Node:
    """Return the node that takes the place of an old one."""
    cut = None if place.index is None else Getitem(place.index)
    part = old if cut is None else cut(old)
    if isinstance(value, Patch):  # of the whole, so that axes and samples are those of the node
        new = value(old) if cut is None else cut(value(old))
    else:
        found = _value(place, value(part)) if callable(value) and not isinstance(value, Node) else value
        new = found if isinstance(found, Node) else old.graph.constant(found)
    if new.graph is not old.graph:
        raise GraphError(
            f'the patch of {place.name} is "{new.name}" of the graph "{new.graph.name}": a function makes its nodes of '
            "the old one that it is given"
        )
    if not may_become(new.dtype, old.dtype):
        raise DtypeError(f"the patch of {place.name} is {new.dtype}, and the node is {old.dtype}")
    new = new if new.dtype == old.dtype else fn.astype(new, old.dtype)
    try:
        new = new if new.shape == part.shape else fn.broadcast_to(new, part.shape)
    except ShapeError as error:
        raise error.within(f"the patch of {place.name} does not fit: ") from None
    if cut is None:
        return new
    spread = SliceAdd(place.index, old.shape)
    return fn.where(spread(fn.broadcast_to(old.graph.constant(True), part.shape)), spread(new), old)
