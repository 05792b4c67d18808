"""The live, read-only NetworkX graph behind a `Graph`.

`nx.freeze` and graph views leave node, edge and graph dictionaries writable. Here every dictionary refuses
writes and copies to a plain one, so that `copy`, `reverse`, `to_undirected` and `deepcopy` give ordinary,
writable NetworkX graphs.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import networkx as nx

from ..errors import UsageError

if TYPE_CHECKING:
    from .graph import Graph, Node

_REFUSAL = (
    "graph.dag is the live graph and read-only: add nodes by calling operations, "
    "or change a copy of it (graph.dag.copy()) and read that back with Graph.from_networkx"
)


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    raise UsageError(_REFUSAL)


class Frozen(dict[Any, Any]):
    """A dictionary that refuses writes and copies to a plain one."""

    __slots__ = ()
    __setitem__ = __delitem__ = __ior__ = _refuse
    update = setdefault = pop = popitem = clear = _refuse

    def copy(self) -> dict[Any, Any]:
        """Return a plain dictionary."""
        return dict(self)

    def __copy__(self) -> dict[Any, Any]:
        return dict(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[Any, Any]:
        return {copy.deepcopy(k, memo): copy.deepcopy(v, memo) for k, v in self.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        return (dict, (dict(self),))


class _Data(Mapping[str, Any]):
    """A read-only mapping made when it is looked at; it copies to a plain dictionary."""

    __slots__ = ("_of",)

    def __init__(self, of: Any) -> None:
        self._of = of

    def _made(self) -> dict[str, Any]:
        raise NotImplementedError

    def __getitem__(self, key: str) -> Any:
        return self._made()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made())

    def __len__(self) -> int:
        return len(self._made())

    def __repr__(self) -> str:
        return repr(self._made())

    __setitem__ = __delitem__ = __ior__ = update = setdefault = pop = popitem = clear = _refuse

    def copy(self) -> dict[str, Any]:
        """Return a plain dictionary."""
        return self._made()

    def __copy__(self) -> dict[str, Any]:
        return self._made()

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return copy.deepcopy(self._made(), memo)

    def __reduce__(self) -> tuple[Any, ...]:
        return (dict, (self._made(),))


class NodeData(_Data):
    """What NetworkX sees of a node: plain data, arrays only under ``value``."""

    __slots__ = ()
    _of: Node

    @property
    def node(self) -> Node:
        """The node that this is the data of."""
        return self._of

    def _made(self) -> dict[str, Any]:
        node = self._of
        data: dict[str, Any] = {
            "op": node.op.name,
            "attributes": node.op.attributes,
            "shape": node.shape,
            "dtype": node.dtype.name,
            "scope": node.scope,
            "origin": str(node.origin),
        }
        if node.twin is not None:
            data["twin"] = node.twin.name
        if node.has_value:
            data["value"] = node.value
        return data


class GraphData(_Data):
    """What NetworkX sees of the graph itself: its name, dtype, outputs and updates, by node name."""

    __slots__ = ()
    _of: Graph

    def _made(self) -> dict[str, Any]:
        graph = self._of
        return {
            "name": graph.name,
            "dtype": graph.dtype.name,
            "outputs": {name: node.name for name, node in graph.outputs.items()},
            "updates": {parameter.name: node.name for parameter, node in graph.updates.items()},
            "advances": {parameter.name: node.name for parameter, node in graph.advances.items()},
            "scopes": {path: scope.kind for path, scope in graph.scopes.items() if scope.kind},
        }


_NO_DATA = Frozen()


class Dag(nx.MultiDiGraph):  # type: ignore[type-arg]
    """A `networkx.MultiDiGraph` of node names that only its `Graph` can add to."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self._node = Frozen()
        self._adj = Frozen()
        self._pred = Frozen()
        self.graph = GraphData(graph)  # type: ignore[assignment]

    # NetworkX makes copies with self.__class__(), and those are to be ordinary graphs.
    __class__ = property(lambda self: nx.MultiDiGraph)

    def _append(self, node: Node) -> None:
        name = node.name
        put = dict.__setitem__
        successors: dict[str, dict[str, Any]] = self._adj
        put(self._node, name, NodeData(node))
        put(successors, name, Frozen())
        before = Frozen()
        put(self._pred, name, before)
        for position, operand in enumerate(node.inputs):
            keys = before.get(operand.name)
            if keys is None:
                keys = Frozen()
                put(before, operand.name, keys)
                put(successors[operand.name], name, keys)
            put(keys, position, _NO_DATA)

    def __deepcopy__(self, memo: dict[int, Any]) -> nx.MultiDiGraph[str]:
        plain: nx.MultiDiGraph[str] = nx.MultiDiGraph()
        plain.graph.update(copy.deepcopy(self.graph, memo))
        plain.add_nodes_from((n, copy.deepcopy(data, memo)) for n, data in self._node.items())
        plain.add_edges_from((u, v, k) for u, v, k in self.edges(keys=True))
        return plain

    def __reduce__(self) -> tuple[Any, ...]:
        return (copy.copy, (self.copy(),))

    add_node = add_nodes_from = add_edge = add_edges_from = add_weighted_edges_from = _refuse
    remove_node = remove_nodes_from = remove_edge = remove_edges_from = clear = clear_edges = update = _refuse
