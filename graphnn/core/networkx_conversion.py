"""A graph from a NetworkX DAG, checked node by node, and a DAG of text and numbers from a graph."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

from .._util.source_location import Origin, origin_of, user_origin
from .._util.text import counted, short_repr
from ..errors import DtypeError, GraphError, GraphnnError, ShapeError, UsageError, near
from .arrays import own_array, supported_dtype
from .dag import NODE_TABLES
from .graph_tables import checked_name
from .node import Node, put_twin
from .op import Array, Op, Spec, check_wide, operation
from .symbolic_shapes import Shape, shape_of

if TYPE_CHECKING:
    from .graph import Graph
    from .scopes import Scope


def filled(graph: Graph, dag: nx.DiGraph[Any]) -> None:
    """Fill a new graph with the nodes, scopes and tables that a NetworkX graph describes."""
    graph_data = dag.graph
    scopes: Mapping[str, Mapping[str, Any]] = graph_data.get("scopes", {})
    for path, about in scopes.items():
        parent, origin = graph.scopes.get(about.get("parent", "")), origin_of(about.get("origin"))
        graph._add_scope(path, about.get("kind", ""), about.get("phase", "forward"), origin, parent)
    twins = {}
    for name in _topological(dag):
        data = dag.nodes[name].copy()
        try:
            node = _restore(graph, name, data, _operands(dag, name))
        except GraphnnError as error:
            raise error.within(f'node "{name}": ') from None
        if "twin" in data:
            twins[node] = data["twin"]
    # Only now, because a twin may come after its node.
    nodes = graph._dag._node
    for node, twin in twins.items():
        if twin in nodes:
            put_twin(node, nodes[twin].node)
    for path, about in scopes.items():
        if about.get("result") in nodes:
            graph.scopes[path].result = nodes[about["result"]].node
    for table in NODE_TABLES:
        for key, name in graph_data.get(table, {}).items():
            getattr(graph, table)[key] = name
    for row in graph_data.get("labels", ()):
        if not isinstance(row, (list, tuple)) or len(row) != 2 or not isinstance(row[0], (str, list, tuple)):
            raise GraphError(
                f"labels are rows of a dimension, or of a node and an axis, and names; not {short_repr(row)}"
            )
        graph.labels[row[0] if isinstance(row[0], str) else tuple(row[0])] = row[1]
    graph.advances.update({(parameter, at): name for parameter, at, name in graph_data.get("advances", ())})


def flat_of(graph: Graph) -> nx.MultiDiGraph[str]:
    """Return a copy whose data are strings and numbers only."""
    flat: nx.MultiDiGraph[str] = nx.MultiDiGraph(name=graph.name, dtype=graph.dtype.name)
    for name, data in graph._dag.nodes(data=True):
        plain = {k: v for k, v in data.items() if k != "value"}
        plain["attributes"] = ", ".join(f"{k}={v!r}" for k, v in data["attributes"].items())
        plain["shape"] = f"({', '.join(map(str, data['shape']))}{',' if len(data['shape']) == 1 else ''})"
        flat.add_node(name, **plain)
    for u, v, position in graph._dag.edges(keys=True):
        flat.add_edge(u, v, position, position=position)
    return flat


def _restore(graph: Graph, name: Any, data: Mapping[str, Any], operands: list[Any]) -> Node:
    op_name = data.get("op")
    if not isinstance(op_name, str):
        raise GraphError("its data lack op, the name of an operation")
    needed = {"placeholder": "shape", "parameter": "value", "constant": "value"}.get(op_name)
    if needed is not None and needed not in data:
        raise GraphError(f"its data lack {needed}, which a {op_name} needs")
    cls = operation(op_name)
    attributes = data.get("attributes", {})
    if not isinstance(attributes, Mapping):
        raise UsageError(f"its attributes are {{name: value}}, not {type(attributes).__name__}")
    unknown = [name for name in attributes if name not in cls.attribute_names]
    if unknown:
        raise UsageError(f'{op_name} has no attribute "{unknown[0]}".{near(unknown[0], cls.attribute_names)}')
    try:
        op = cls(**attributes)
    except TypeError as error:
        if isinstance(error, GraphnnError):
            raise
        raise UsageError(str(error)) from None
    shape = shape_of(data["shape"]) if "shape" in data else None
    dtype = supported_dtype(data["dtype"], "the node") if "dtype" in data else None
    value = None
    if op.is_stored:
        value = data["value"]
        # Lists (from JSON) leave the dtype open, and empty lists the shape.
        listed = not hasattr(value, "dtype")
        value = own_array(value, "its value", graph.dtype, dtype if listed else None)
        if listed and not value.size and shape is not None and 0 in shape:
            value = own_array(np.empty(shape, value.dtype), "its value", graph.dtype)
    return restored(
        graph,
        name,
        op,
        tuple(graph._dag._node[operand].node for operand in operands),
        graph.dtype if dtype is None and op.is_placeholder else dtype,
        shape,
        value,
        scope=_restored_scope(graph, data.get("scope", "")),
        origin=origin_of(data.get("origin")),
    )


def restored(
    graph: Graph,
    name: Any,
    op: Op,
    inputs: tuple[Node, ...],
    dtype: np.dtype[Any] | None,
    shape: Shape | None,
    value: Array | None,
    scope: Scope | None,
    origin: Origin | None,
) -> Node:
    """Make a node from the data of another graph or a file, with the same checks as for one made by hand.

    A placeholder and an unknown operation have the dtype and shape that are given. For any other node, those must
    agree with its value, or with what `infer` gives.
    """
    if not op.variadic and len(inputs) != len(op.operands):
        raise GraphError(f"{op.name} takes {counted(len(op.operands), 'operand')}, got {len(inputs)}")
    if value is not None:
        spec = Spec(value.shape, value.dtype)
    elif dtype is not None and shape is not None and (op.is_placeholder or op.is_unknown):
        spec = Spec(shape_of(shape), dtype)
    else:
        check_wide(op, inputs)
        spec = graph._inferred(op, inputs)
    declared = Spec(spec.shape if shape is None else shape, spec.dtype if dtype is None else dtype)
    if declared != spec:
        error = DtypeError if declared.shape == spec.shape else ShapeError
        raise error(f"it is declared {declared}, but {op.name} gives {spec}")
    with graph.building:
        if graph._taken(name := checked_name(name)):
            raise GraphError(f'the name "{name}" is already taken')
        return graph._make(op, inputs, spec, name, value, (scope, origin or user_origin()))


def _restored_scope(graph: Graph, path: str) -> Scope | None:
    """Return the scope of a path; make it, and the scopes around it, if need be."""
    scope = graph.scopes.get(path)
    if scope is None:
        for outer in accumulate(path.split("/"), "{}/{}".format):
            if outer and outer not in graph.scopes:
                graph._add_scope(outer, "", "forward", None, scope)
            scope = graph.scopes.get(outer)
    return scope


def _topological(dag: nx.DiGraph[Any]) -> list[Any]:
    """Return the names in the given order where that is topological, else as NetworkX sorts them."""
    place = {name: i for i, name in enumerate(dag)}
    if all(place[u] < place[v] for u, v in dag.edges()):
        return list(place)
    try:
        return list(nx.lexicographical_topological_sort(dag, key=place.__getitem__))
    except nx.NetworkXUnfeasible:
        raise GraphError(f"the graph has a cycle: {' → '.join(map(str, _short_cycle(dag)))}") from None


def _short_cycle(dag: nx.DiGraph[Any]) -> list[Any]:
    """Return a cycle, found in linear time: in a strongly connected component, walk back until a node repeats."""
    components = nx.strongly_connected_components(dag)
    within = next(names for names in components if len(names) > 1 or dag.has_edge(*names, *names))
    at, seen = next(name for name in dag if name in within), dict[Any, int]()
    while at not in seen:
        seen[at] = len(seen)
        at = next(p for p in dag.pred[at] if p in within)
    cycle = [*list(seen)[seen[at] :], at][::-1]
    return cycle if len(cycle) <= 12 else [*cycle[:6], f"… {len(cycle) - 11} more …", *cycle[-5:]]


def _operands(dag: nx.DiGraph[Any], name: Any) -> list[Any]:
    by_position: dict[Any, Any] = {}
    for operand, data in dag.pred[name].items():
        keys = data if dag.is_multigraph() else [data.get("position", 0 if len(dag.pred[name]) == 1 else None)]
        for key in keys:
            if key in by_position:
                raise GraphError(
                    f'"{by_position[key]}" and "{operand}" are both its operand {key}; '
                    "an edge's key is the operand's position"
                )
            by_position[key] = operand
    if set(by_position) != set(range(len(by_position))):
        positions = ", ".join(sorted(map(str, by_position)))
        raise GraphError(f"its operands stand at {positions}, not at 0 to {len(by_position) - 1}")
    return [by_position[i] for i in range(len(by_position))]
