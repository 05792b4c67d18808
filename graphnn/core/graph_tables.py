"""The tables of a graph (names, outputs, state, updates, derivatives, …), and the checks of what enters them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Self, TypeAlias

import numpy as np

from .._util.hints import instead
from .._util.text import short_repr, with_article
from ..errors import DtypeError, GraphError, ShapeError, UsageError, ValueRangeError
from .arrays import checked_value
from .node import Node
from .provenance import current_provenance
from .storage_dtypes import WIDER, is_bfloat16
from .symbolic_shapes import shown

if TYPE_CHECKING:
    from .graph import Graph
    from .op import Array
    from .scopes import Scope

_Check = Callable[["Graph", Any, Any], tuple[Any, Any]]
"""Takes the graph and an entry; returns its key and value as the table keeps them, or raises."""


class Table(dict[Any, Any]):
    """A dict whose `items` and `values` are those of a copy: another thread may add entries meanwhile."""

    def items(self) -> Any:
        """Return the entries of this moment."""
        return dict(self).items()

    def values(self) -> Any:
        """Return the values of this moment."""
        return dict(self).values()


class CheckedDict(Table):
    """A table that checks every entry it takes."""

    def __init__(self, graph: Graph, check: _Check) -> None:
        super().__init__()
        self._check = partial(check, graph)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(*self._check(key, value))

    def update(self, other: Any = (), /, **more: Any) -> None:
        """Take every entry, or none."""
        super().update([self._check(k, v) for k, v in dict(other, **more).items()])

    def replace(self, what: str, entries: Any) -> None:
        """Replace all entries; if one is refused, keep the old ones.

        Raises
        ------
        UsageError
            When `entries` is not a dict. The check may raise other errors.
        """
        if not isinstance(entries, Mapping):
            raise UsageError(f"{what} takes a dict, whose entries replace those that it has, not {short_repr(entries)}")
        before, after = dict(self), dict(entries)
        self.clear()
        try:
            self.update(after)
        except BaseException:
            self.clear()
            super().update(before)
            raise

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """Return the value of a key; if there is none, enter `default` first."""
        if key not in self:
            self[key] = default
        return self[key]

    def __ior__(self, other: Any) -> Self:  # type: ignore[misc]
        self.update(other)
        return self


class KeptDict(CheckedDict):
    """A table that checks every entry it takes, and from which none can be removed."""

    def __init__(self, graph: Graph, check: _Check, why: str) -> None:
        super().__init__(graph, check)
        self._why = why

    def _refused(self, *args: Any) -> NoReturn:
        raise UsageError(self._why)

    __delitem__ = pop = popitem = clear = _refused

    def lend(self, bring_back: Callable[[], None]) -> None:
        """Say that the values are elsewhere, such as on a device, until somebody asks: `bring_back` puts them here."""
        self._bring_back = bring_back
        object.__setattr__(self, "__class__", LentDict)

    def is_back(self) -> None:
        """Say that the values are here again."""
        object.__setattr__(self, "__class__", KeptDict)


def _here_first(name: str) -> Any:
    def method(self: Any, *args: Any) -> Any:
        self._bring_back()  # after which it is a KeptDict again
        return getattr(self, name)(*args)

    return method


class LentDict(KeptDict):
    """A table whose values are elsewhere. Whoever reads or sets one has all of them brought back first.

    It is a class of its own, so that tables whose values are here cost nothing: a step reads them often.
    """

    __getitem__, get, items, values, copy = map(_here_first, ("__getitem__", "get", "items", "values", "copy"))
    __setitem__, update, setdefault = map(_here_first, ("__setitem__", "update", "setdefault"))
    __or__, __ror__, __ior__, __eq__ = map(_here_first, ("__or__", "__ror__", "__ior__", "__eq__"))
    __hash__ = None  # type: ignore[assignment]

    def __iter__(self) -> Any:
        """Go through the keys. With this, ``dict(table)`` asks for each value, too."""
        return super().__iter__()


class Derivatives(NamedTuple):
    """The derivatives made so far from the same seeds.

    Attributes
    ----------
    root : Scope
        The scope of their nodes.
    of : dict of Node to Node
        The cotangent, or the tangent, of each node that has been reached.
    """

    root: Scope
    of: dict[Node, Node]


Seeds: TypeAlias = "tuple[tuple[Node, Node | None], ...]"
"""What derivatives start from: pairs of a result and its cotangent (None for ones), or of a node and its tangent."""


def owned(graph: Graph, node: Any, what: str) -> Node:
    """Return a node of the graph, given as itself or by its name."""
    if isinstance(node, str):
        node = graph[node]
    if not isinstance(node, Node):
        raise UsageError(f"{what} is a node, not {type(node).__name__}")
    if node.graph is not graph:
        raise GraphError(f'{what}: "{node.name}" is a node of "{node.graph.name}", not of "{graph.name}"')
    return node


def checked_output(graph: Graph, name: Any, node: Any) -> tuple[str, Node]:
    """Return an entry of `Graph.outputs`; refuse a name that belongs to another node or a scope."""
    node = owned(graph, node, f'the output "{name}"')
    other = graph._dag._node.get(checked_name(name))
    if (other is not None and other.node is not node) or name in graph.scopes or graph.names.get(name, node) != node:
        raise GraphError(f'the output cannot be called "{name}": a node or scope has that name')
    return name, node


def checked_title(graph: Graph, name: Any, node: Any) -> tuple[str, Node]:
    """Return an entry of `Graph.names`; refuse a name that is taken, and a node that has a second name already."""
    node = owned(graph, node, f'what is to be called "{name}"')
    if not checked_name(name):
        raise ValueRangeError("a name is text, and not empty")
    known: Node | None = graph.names.get(name)
    if known is not None and known is node:
        return str(name), known
    if known is None and graph.outputs.get(name) is not node and graph._taken(name):
        known = graph._find(name)
    if known is not None:
        what = f"{known.op.name} made at {known.origin}"
        raise GraphError(f'"{node.name}" cannot be called "{name}": that is the name of the {what}')
    if node.title != node.name:
        raise GraphError(f'"{node.name}" cannot be called "{name}": it is "{node.title}" already, and names stay')
    return str(name), node


def checked_update(graph: Graph, parameter: Any, node: Any, what: str = "update") -> tuple[Node, Node]:
    """Return an entry of `Graph.updates`; refuse a next value, or a gradient, that does not fit its parameter."""
    parameter = owned(graph, parameter, "what is updated")
    if type(node) is not Node or node.graph is not graph:
        node = owned(graph, node, f'the {what} of "{parameter.name}"')
    if not parameter.op.is_parameter:
        raise UsageError(f'only parameters are updated; "{parameter.name}" is {with_article(parameter.op.name)}')
    if node.spec.shape != parameter.spec.shape:
        raise ShapeError(
            f'"{parameter.name}" has shape {shown(parameter.shape)}; its {what} "{node.name}" has {shown(node.shape)}'
        )
    if node.dtype != parameter.dtype:
        raise DtypeError(
            f'"{parameter.name}" is {parameter.dtype}; its {what} "{node.name}" is {node.dtype}'
            + (': write gn.cast(…, "bfloat16")' if is_bfloat16(parameter.dtype) else "")
        )
    return parameter, node


def checked_advance(graph: Graph, key: Any, node: Any) -> tuple[tuple[Node, Node], Node]:
    """Return an entry of `Graph.advances`; refuse a next value that does not fit, or that belongs to no node."""
    parameter, at = key if type(key) is tuple and len(key) == 2 else (key, key)
    parameter, node = checked_update(graph, parameter, node)
    return (parameter, owned(graph, at, f'what the update of "{parameter.name}" belongs to')), node


def checked_evaluation(graph: Graph, replaced: Any, node: Any) -> tuple[Node, Node]:
    """Return an entry of `Graph.evaluation`; refuse a node that cannot replace the other."""
    replaced = owned(graph, replaced, "what is made for training")
    node = owned(graph, node, f'what takes the place of "{replaced.name}" in evaluation')
    if node.dtype != replaced.dtype == WIDER:
        node = graph._wide(node)
    if node.spec != replaced.spec:
        error = DtypeError if node.shape == replaced.shape else ShapeError
        raise error(
            f'in evaluation "{node.name}" {node.spec} cannot take the place of "{replaced.name}" {replaced.spec}: '
            "it needs the same shape and dtype"
        )
    return replaced, graph.evaluation.get(node, node)  # if that is replaced as well, by what replaces it


def checked_idle(graph: Graph, path: Any, node: Any) -> tuple[str, Node]:
    """Return an entry of `Graph.idle`; refuse what is not a node of the graph."""
    return checked_name(path), owned(graph, node, f'what "{path}" hands on in evaluation')


def checked_state(graph: Graph, parameter: Any, value: Any) -> tuple[Node, Array]:
    """Return an entry of `Graph.state`; refuse a value that does not fit its parameter, and any other node."""
    parameter = owned(graph, parameter, "what has a value in the state")
    if not parameter.op.is_parameter:
        what = with_article(parameter.op.name)
        raise UsageError(f'the state holds the values of parameters; "{parameter.name}" is {what}')
    return parameter, checked_value(parameter, value)


def checked_budget(budget: Any) -> float | None:
    """Return a number of bytes, or None."""
    if isinstance(budget, np.generic):
        budget = budget.item()
    if budget is not None and type(budget) not in (int, float):
        raise UsageError(
            "memory_budget is a number of bytes, such as 2e9, or None for 80 % of what is free, not "
            f"{short_repr(budget)}"
        )
    if budget is not None and not budget >= 0:
        raise ValueRangeError(f"memory_budget is 0 bytes or more, not {budget}")
    return budget  # type: ignore[no-any-return]


def name(node: Node, name: str) -> Node:
    """Give a node another name: the result of an operator, or what a layer returns.

    The node keeps its own name as well. The new one is kept in ``graph.names``, saved and copied with the graph, and
    accepted wherever a node is looked up by name. Pictures, tables and the debugger show it; ``node.title`` is the name
    that they show.

    Parameters
    ----------
    node : Node
    name : str
        Inside a scope, or the ``call`` of a layer, the path of the scope is put before it.

    Returns
    -------
    Node
        The same node.

    Raises
    ------
    GraphError
        When a node, scope or output has that name, or the node has a second name already. (A ValueError.)
    UsageError
        When `node` is not a node. (A TypeError.)

    Examples
    --------
    >>> from graphnn.core import Graph
    >>> g = Graph()
    >>> x = g.placeholder("x", shape=("batch", 2))
    >>> z = name(x @ g.parameter("w", [[2.0], [3.0]]) + 1.0, "z")
    >>> g["z"] is z, z.title, z.name
    (True, 'z', 'add')
    """
    if not isinstance(node, Node):
        raise UsageError(f"gn.name takes a node and the name it is to have, not {with_article(type(node).__name__)}")
    graph = node.graph
    with graph.building:
        scope = current_provenance(graph).scope
        graph.names[checked_name(name) if scope is None or not name else f"{scope.path}/{checked_name(name)}"] = node
    return node


def checked_name(name: Any) -> str:
    """Return a name as plain text."""
    if not issubclass(type(name), str):
        raise UsageError(f"a name is text, not {type(name).__name__}")
    text = str.__str__(name)  # plain, even of a subclass that prints something else
    if "\0" in text:
        raise ValueRangeError(f"a name cannot hold a NUL character: {text!r}")
    return text


_FIXED = {
    "building": "with graph.building: holds it",
    "caches": "graph.caches.clear() forgets what is in it",
    "cotangents": "gn.grad and gn.vjp enter what they make",
    "dtype": "Graph(name, dtype) says it when the graph is made, and gn.cast(node, dtype) changes that of a node",
    "labels": 'graph.labels["class"] = ["cat", "dog"] names the positions along a dimension, and '
    "graph.labels[node, axis] = [...] those along an axis",
    "names": 'gn.name(node, "…") gives a node another name',
    "placeholders": "graph.placeholder(name, shape) makes one",
    "scopes": "with graph.scope(name): opens one",
    "state": "parameter.value = array sets one value, and graph.state.update({parameter: array}) several",
    "tangents": "gn.jvp enters what it makes",
}
"""The fields that nobody sets, each with what to write instead."""


def not_assignable(graph: Graph, name: str, how: str) -> UsageError:
    """Return the error of an attribute that cannot be set or deleted."""
    if name in _FIXED:
        return UsageError(f"graph.{name} cannot be {how}: {_FIXED[name]}")
    if hasattr(graph, name):
        return UsageError(f"graph.{name} cannot be {how}: it is a part of every graph")
    known = [other for other in dir(graph) if not other.startswith("_")]
    return UsageError(f'a graph has no attribute "{name}" that could be {how}.{instead("graph", name, known)}')
