"""The live, read-only NetworkX graph behind a `Graph`.

`nx.freeze` and graph views leave node, edge and graph dictionaries writable. Here every dictionary refuses
writes and copies to a plain one, so that `copy`, `reverse`, `to_undirected` and `deepcopy` give ordinary,
writable NetworkX graphs.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

import networkx as nx

from ..errors import UsageError

if TYPE_CHECKING:
    from .graph import Graph
    from .node import Node
    from .scopes import Scope

_REFUSAL = (
    "graph.dag is the live graph and read-only: add nodes by calling operations, "
    "or change a copy of it (graph.dag.copy(), or copy.deepcopy(graph.dag)) and read that back with "
    "Graph.from_networkx; what writes to files takes graph.flat(), a copy in text and numbers"
)

NODE_TABLES = "outputs", "names", "idle", "updates", "evaluation"
"""The tables of a graph from a name or a node to a node."""


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    raise UsageError(_REFUSAL)


class _ReadOnly:
    """A dictionary that refuses writes and whose copies are plain ones."""

    __slots__ = ()
    __setitem__ = __delitem__ = __ior__ = _refuse
    update = setdefault = pop = popitem = clear = _refuse

    def copy(self) -> dict[Any, Any]:
        """Return a plain dictionary."""
        return dict(self)  # type: ignore[call-overload, no-any-return]

    def __copy__(self) -> dict[Any, Any]:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[Any, Any]:
        return copy.deepcopy(self.copy(), memo)

    def __reduce__(self) -> tuple[Any, ...]:
        return (dict, (self.copy(),))


class Frozen(_ReadOnly, dict[Any, Any]):
    """A dictionary that refuses writes and copies to a plain one."""

    __slots__ = ()


class NodeData(_ReadOnly, Mapping[str, Any]):
    """The data of a node for NetworkX: plain data, and for parameters and constants an array under ``value``.

    A read-only mapping that computes its entries when they are read: a dictionary per node would take more memory.
    """

    __slots__ = ("node",)

    def __init__(self, node: Node) -> None:
        self.node = node

    def _plain(self) -> dict[str, Any]:
        """Return everything except the value, which may be large."""
        node = self.node
        data: dict[str, Any] = {
            "op": node.op.name_in_files,
            "attributes": node.op.attributes,
            "shape": node.spec.shape,
            "dtype": node.dtype.name,
            "scope": node.scope,
            "origin": str(node.origin),
        }
        if node.twin is not None:
            data["twin"] = node.twin.name
        return data

    def __getitem__(self, key: str) -> Any:
        if key == "value" and self.node.has_value:
            return self.node.value
        return _read_only(self._plain()[key])

    def __iter__(self) -> Iterator[str]:
        yield from self._plain()
        if self.node.has_value:
            yield "value"

    def __len__(self) -> int:
        return len(self._plain()) + self.node.has_value

    def __contains__(self, key: object) -> bool:
        return key in self._plain() or (key == "value" and self.node.has_value)

    def __repr__(self) -> str:
        return repr(self.copy())

    def copy(self) -> dict[str, Any]:
        """Return a plain dictionary."""
        data = self._plain()
        if self.node.has_value:
            data["value"] = self.node.value.copy()
        return data


def _read_only(value: Any) -> Any:
    """Return the data with dictionaries that refuse writes: writes to these copies would be lost."""
    return Frozen({k: _read_only(v) for k, v in value.items()}) if type(value) is dict else value


_NO_DATA = Frozen()


@lru_cache(maxsize=1024)  # edges with the same keys share them, as they are never written to
def _at(positions: tuple[int, ...]) -> Frozen:
    """Return the keys of the edges from one operand: its positions."""
    return Frozen(dict.fromkeys(positions, _NO_DATA))


_FIRST_AND_SECOND = _at((0,)), _at((1,))


class Dag(nx.MultiDiGraph):  # type: ignore[type-arg]
    """A `networkx.MultiDiGraph` of node names that only its `Graph` can add to."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self._node = Frozen()
        self._adj = Frozen()
        self._pred = Frozen()
        self._source = graph

    # NetworkX makes copies with self.__class__(). This makes those copies ordinary graphs; type(self) stays Dag.
    __class__ = property(lambda self: nx.MultiDiGraph)

    def __setattr__(self, name: str, value: Any) -> None:
        # Public names cannot be set, except by nx.freeze, which sets `frozen` and replaces our refusals with its own.
        by_freeze = getattr(value, "__module__", None) == nx.freeze.__module__
        froze = name == "frozen" or (Dag.__dict__.get(name) is _refuse and by_freeze)
        if "_source" in self.__dict__ and not (name.startswith("_") or froze):
            _refuse()
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> NoReturn:
        _refuse()

    @property
    def graph(self) -> dict[str, Any]:
        """The data of the graph for NetworkX: name, dtype, scopes, and the tables with node names for nodes."""
        graph: Graph | None = self.__dict__.get("_source")
        if graph is None:
            return {}  # while NetworkX constructs it
        data: dict[str, Any] = {"name": graph.name, "dtype": graph.dtype.name}
        for table in NODE_TABLES:
            data[table] = {getattr(key, "name", key): node.name for key, node in getattr(graph, table).items()}
        data["advances"] = [[parameter.name, at.name, node.name] for (parameter, at), node in graph.advances.items()]
        data["scopes"] = {path: _scope_data(scope) for path, scope in graph.scopes.items()}
        return _read_only(data)  # type: ignore[no-any-return]

    @graph.setter
    def graph(self, value: dict[str, Any]) -> None:
        """Ignore the empty dict that NetworkX sets first; `__setattr__` refuses any other."""

    def _append(self, node: Node) -> None:
        # Ctrl-C may make this run again: it then keeps what it has entered.
        name, inputs = node.name, node.inputs
        enter = dict.setdefault  # called in half the time of __setitem__
        tables = self.__dict__  # faster than the attributes, which NetworkX watches
        successors: dict[str, dict[str, Any]] = tables["_adj"]
        enter(tables["_node"], name, NodeData(node))
        enter(successors, name, Frozen())
        before = enter(tables["_pred"], name, Frozen())
        if len(inputs) == 1 or (len(inputs) == 2 and inputs[0] is not inputs[1]):  # most
            for operand, keys in zip(inputs, _FIRST_AND_SECOND):  # noqa: B905 - strict= costs as much as an entry
                enter(before, operand.name, keys)
                enter(successors[operand.name], name, keys)
            return
        read_at: dict[str, list[int]] = {}
        for position, operand in enumerate(inputs):
            read_at.setdefault(operand.name, []).append(position)
        for read, positions in read_at.items():
            keys = _at(tuple(positions))
            enter(before, read, keys)
            enter(successors[read], name, keys)

    def __repr__(self) -> str:
        return f"<graph.dag, {self}>"

    def copy(self, as_view: bool = False) -> nx.MultiDiGraph[str]:  # type: ignore[override]
        """Return an ordinary graph, or a view that refuses writes as this one does."""
        with self._source.building:
            copied: nx.MultiDiGraph[str] = super().copy(as_view=as_view)
            if not as_view:
                copied.graph.update(copy.deepcopy(self.graph))  # the copy of NetworkX shares nested data
            return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> nx.MultiDiGraph[str]:
        return copy.deepcopy(self.copy(), memo)

    def __reduce__(self) -> tuple[Any, ...]:
        return (copy.copy, (self.copy(),))

    add_node = add_nodes_from = add_edge = add_edges_from = add_weighted_edges_from = _refuse
    remove_node = remove_nodes_from = remove_edge = remove_edges_from = clear = clear_edges = update = _refuse


def _scope_data(scope: Scope) -> dict[str, Any]:
    return {
        "kind": scope.kind,
        "phase": scope.phase,
        "origin": str(scope.origin),
        "parent": scope.parent.path if scope.parent is not None else "",
        "result": scope.result.name if scope.result is not None else "",
    }
