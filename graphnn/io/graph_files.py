"""A graph with its state to data and back, and the file that holds it.

The arrays are the values of parameters and constants, by the node's name. The data are plain JSON: the graph's
``name``, ``dtype`` and ``memory_budget``, and the tables of `TABLES` by columns. A row is referred to by its number;
-1 stands for none. Nodes stand in order of making, and so operands before what reads them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._util.garbage_collection import collector_paused
from .._util.ports import Port
from .._util.text import short_repr
from ..core import Array, Graph, Node, Op, Origin, Scope, Shape, Unknown, flatten, sealed
from ..core.arrays import checked_value
from ..core.fetches import ancestors, resolve
from ..core.graph_tables import Derivatives, Table
from ..core.networkx_conversion import restored
from ..core.node import put_twin
from ..core.scopes import PHASES
from ..core.shape_complexity import allow, reading
from ..errors import FileFormatError, GraphnnError, UsageError
from ..transforms.copied_tables import derivatives_among, with_partners
from .container import dtype_of, peek, read, write
from .graph_columns import TABLES, class_of

if TYPE_CHECKING:
    from .paths import StrPath

__all__ = ["from_data", "load", "save", "to_data"]

VERSION = 3
MAX_NESTING = 1000  # of scopes within each other

_BY_NAME = ("outputs", "names", "idle")
_BY_NODE = {"updates": "updates", "advances": "advances", "evaluating": "evaluation"}
"""The tables of a graph that give a node for each name, or for each node; the latter with what the graph calls them."""
_DIMS = frozenset({int, str})
_MOST = 2**63 - 1


@collector_paused()
def save(fetches: Any, path: StrPath) -> None:
    """Write a graph with its state to a file, wholly or not at all.

    Parameters
    ----------
    fetches : Graph, Node, or list, tuple or dict of Nodes
        A whole graph; or of the graph of some nodes, what they need, as ``gn.extract`` gives it.
    path : str or path-like
        Where to; a file that was there is replaced once the new one is complete.

    Raises
    ------
    UsageError
        When what is given is neither a graph nor nodes. (A TypeError.)
    FileFormatError
        When scopes or attributes are nested too deeply for a file. (A ValueError.)
    OSError
        When the file cannot be written.

    Notes
    -----
    Everything is kept that `load` needs to go on to the bit: nodes with their names, attributes, order and
    origins, scopes, parameters (those of optimizers and the counters of random nodes are such, too), constants,
    outputs, updates, and which gradient is whose, so that asking a loaded graph again for one makes no node twice
    (and a rule that has been changed since has no part in it).

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> g = Graph("line")
    >>> w = g.parameter("w", [2.0, 3.0])
    >>> g.outputs["twice"] = w * 2.0
    >>> save(g, f"{folder.name}/line.gnn")
    >>> g2 = load(f"{folder.name}/line.gnn")
    >>> g2, g2.outputs["twice"], g2["w"].value
    (<Graph "line": 3 nodes, 1 parameter (2 numbers), outputs twice>, <Node "multiply": multiply (2,) float64>,
     array([2., 3.]))
    >>> folder.cleanup()
    """
    write(path, "graph", *to_data(fetches), version=VERSION)


class Loader(NamedTuple):
    """What makes a thing of the data and arrays in files of a kind, and the version of them that it reads."""

    version: int
    load: Callable[[Any, dict[str, Array]], Any]


LOADERS: Port[Loader] = Port("files")
"""By the kinds of files."""


@collector_paused()
def load(path: StrPath, *, mmap: bool = False, verify: bool = True) -> Any:
    r"""Read back what `save`, or the ``save`` of a trace, wrote: as it was, or an error.

    Parameters
    ----------
    path : str or path-like
        The file.
    mmap : bool
        Whether arrays stay in the file, and are read where they are used: for a file that is larger than memory, or
        one of which little is needed. They are mapped read-only, so a training step changes the graph, not the file.
        The file must stay as it is meanwhile; `save` may replace it.
    verify : bool
        Whether mapped arrays are compared with their checksums, for which each is read once, and not kept. Without,
        loading reads none of them but boolean ones, and damage in their numbers goes unseen. What is not mapped is
        always compared.

    Returns
    -------
    Graph or Trace

    Raises
    ------
    FileFormatError
        When the file is damaged, of another kind, or of a newer or a former version, when what it says cannot be, or
        when it uses an operation that is not defined: import the module that defines it first. (A ValueError.)
    OSError
        When the file is not there, or may not be read.

    Notes
    -----
    Nothing in a file is run or imported, so a file from anyone may be loaded. Every node is checked as if it were
    made by hand. What the file says of numbers is believed: values, and which node is the gradient of which.

    A file is a zip archive of JSON and arrays in NumPy's format, so ``numpy.load`` and ``unzip`` read it, too. The keys
    are the names of parameters and constants; in a trace, ``state/NAME``, ``feed/NAME``, and ``value/17`` for what the
    node at place 17 of the schedule has come to. A name that would not do in an archive is ``array-7`` there.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = f"{folder.name}/line.gnn"
    >>> g = Graph("line")
    >>> w = g.parameter("line_1/weight", [2.0, 3.0])
    >>> save(g, path)
    >>> load(path, mmap=True, verify=False)["line_1/weight"].value
    array([2., 3.])
    >>> np.load(path)["line_1/weight"]
    array([2., 3.])
    >>> folder.cleanup()
    >>> load("README.md")
    Traceback (most recent call last):
        ...
    graphnn.errors.FileFormatError: 'README.md' is not a graphnn file: it begins with b'# graphn', and one is a zip
    archive, which begins with b'PK\x03\x04'
      at <doctest ...>:1
    """
    kind = peek(path)
    loader = None if kind == "graph" else LOADERS.load().get(kind)
    kind, loader = ("graph", Loader(VERSION, from_data)) if loader is None else (kind, loader)
    data, arrays = read(path, kind, version=loader.version, mmap=mmap, verify=verify)
    try:
        return loader.load(data, arrays)
    except FileFormatError as error:
        raise error.within(f"{os.fspath(path)!r}: ") from error


@collector_paused()
def to_data(fetches: Any, state: Mapping[Node, Array] | None = None) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return a graph with its state as plain data and arrays, as a file holds them.

    Parameters
    ----------
    fetches : Graph, Node, or list, tuple or dict of Nodes
        As `save` takes them.
    state : dict of Node to array, optional
        Instead of the graph's.

    Returns
    -------
    data : dict
        Of None, bools, ints, floats, text, lists and dicts only.
    arrays : dict of str to ndarray
        The values of parameters and constants by node name: not copies, and read-only. All from one moment, even
        while another thread trains.

    Examples
    --------
    >>> g = Graph()
    >>> y = -g.parameter("w", [1.0, 2.0])
    >>> data, arrays = to_data(g)
    >>> data["nodes"]["name"], arrays
    (['w', 'negative'], {'w': array([1., 2.])})
    """
    with _graph_of(fetches).building:  # whole, even while another thread builds
        return _encoded(*_chosen(fetches), state)


@collector_paused()
def from_data(data: Any, arrays: Mapping[str, Array], unknown: bool = False) -> Graph:
    """Return the graph of which `to_data` made `data` and `arrays`, checked node by node.

    Parameters
    ----------
    data : object
        May be anybody's: what is not sound is refused.
    arrays : mapping of str to ndarray
        Become the graph's own: not copied, and read-only from now on.
    unknown : bool
        Whether operations that are not defined may stand in it, as ones that cannot be computed.

    Returns
    -------
    Graph

    Raises
    ------
    FileFormatError
        When the data do not describe a graph. (A ValueError.)

    Examples
    --------
    >>> g = Graph()
    >>> y = -g.parameter("w", [1.0, 2.0])
    >>> data, arrays = to_data(g)
    >>> list(from_data(data, arrays))
    [<Node "w": parameter (2,) float64>, <Node "negative": negative (2,) float64>]
    >>> data["inputs"]["node"] = [1]
    >>> from_data(data, arrays)
    Traceback (most recent call last):
        ...
    graphnn.errors.FileFormatError: node 1, 'negative', reads a node that does not come before it
      at <doctest ...>:1
    """
    try:
        with reading("the graph"):
            return _decoded(data, dict(arrays), unknown)
    except FileFormatError:
        raise
    except Exception as error:
        # An operation's own checks may raise anything when it is given what only a forged file would give it.
        raise FileFormatError(f"the data do not describe a graph: {type(error).__name__}: {_message(error)}") from error


# --- to data ------------------------------------------------------------------------------------------------


class _Rows(dict[Any, int]):
    """The rows of a table, each once: looking up one that is not there adds it."""

    def __missing__(self, row: Any) -> int:
        self[row] = number = len(self)
        return number


def _encoded(
    graph: Graph, nodes: Sequence[Node], scopes: Sequence[Scope], state: Mapping[Node, Array] | None = None
) -> tuple[dict[str, Any], dict[str, Array]]:
    state = dict(graph.state if state is None else state)  # at one blow, so from between two steps of another thread
    budget: Any = graph.memory_budget
    node_row = {node: i for i, node in enumerate(nodes)}
    scope_row = {scope.path: i for i, scope in enumerate(scopes)}
    operations, specs, lines = _Rows(), _Rows(), _Rows()

    derivatives = list(derivatives_among(graph, node_row, scope_row))
    rows: dict[str, Sequence[tuple[Any, ...]]] = {
        "nodes": [
            (
                node.name,
                operations[node.op, len(node.inputs)],
                specs[node.dtype, node.spec.shape],
                scope_row.get(node.scope, -1),
                lines[node.origin],
                -1 if node.twin is None else node_row.get(node.twin, -1),
            )
            for node in nodes
        ],
        "inputs": [(node_row[operand],) for node in nodes for operand in node.inputs],
        "scopes": [
            (
                str(scope.path),
                str(scope.kind),
                str(scope.phase),
                lines[scope.origin],
                -1 if scope.parent is None else scope_row[scope.parent.path],
                -1 if scope.result is None else node_row.get(scope.result, -1),
            )
            for scope in scopes
        ],
        "operations": [(op.name_in_files, _foreign_module(op), count, settings_of(op)) for op, count in operations],
        "specs": [(dtype.name, list(shape)) for dtype, shape in specs],
        "lines": [(origin.file, origin.line or 0) for origin in lines],
        **{
            table: [(str(name), node_row[node]) for name, node in getattr(graph, table).items() if node in node_row]
            for table in _BY_NAME
        },
        **{
            table: [tuple([node_row[n] for n in row]) for row in _node_rows(graph, name) if node_row.keys() >= {*row}]
            for table, name in _BY_NODE.items()
        },
        **_derivative_rows(derivatives, node_row, scope_row),
        "counters": [(str(path), n) for path, n in graph._counters.items()] if len(nodes) == len(graph) else [],
    }
    _check_nesting([row[4] for row in rows["scopes"]])
    data = {
        "name": str(graph.name),
        "dtype": graph.dtype.name,
        "memory_budget": budget.item() if isinstance(budget, np.generic) else budget,
        **{
            table: {column: [row[i] for row in rows[table]] for i, column in enumerate(columns)}
            for table, columns in TABLES.items()
        },
    }
    return data, {node.name: _value(node, state) for node in nodes if node.has_value}


def _node_rows(graph: Graph, table: str) -> list[tuple[Node, ...]]:
    return [(*(key if type(key) is tuple else (key,)), node) for key, node in getattr(graph, table).items()]


def _derivative_rows(
    derivatives: Sequence[Any], node_row: Mapping[Node, int], scope_row: Mapping[str, int]
) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of what has been differentiated."""
    return {
        "derivatives": [(scope_row[root.path], backwards) for backwards, _, (root, _) in derivatives],
        "given": [
            (i, node_row[node], -1 if value is None else node_row[value])
            for i, (_, given, _) in enumerate(derivatives)
            for node, value in given
        ],
        "derived": [
            (i, node_row[node], node_row[derivative])
            for i, (_, _, (_, of)) in enumerate(derivatives)
            for node, derivative in of.items()
        ],
    }


def _graph_of(fetches: Any) -> Graph:
    """Return the graph that is asked for.

    Raises
    ------
    UsageError
        When what is given is neither a graph nor nodes.
    """
    if isinstance(fetches, Graph):
        return fetches
    for leaf in flatten(fetches)[0]:
        if not isinstance(leaf, Node):
            hint = "its graph is .graph" if hasattr(leaf, "graph") else "node.graph is the graph of a node"
            raise UsageError(
                f"save takes a graph, or nodes of which it saves what they need, not {type(leaf).__name__}: "
                f"{hint}, and that holds all its parameters"
            )
    return resolve(fetches)[0]


def _chosen(fetches: Any) -> tuple[Graph, list[Node], list[Scope]]:
    """Return a graph and all that is in it, or what the fetches need of theirs."""
    if isinstance(fetches, Graph):
        return fetches, list(fetches), list(fetches.scopes.values())
    graph, wanted, _ = resolve(fetches)
    nodes = sorted(with_partners(ancestors(wanted)), key=lambda node: node.index)
    paths: set[str] = set()
    for node in nodes:
        scope = graph.scopes.get(node.scope)
        while scope is not None and scope.path not in paths:
            paths.add(scope.path)
            scope = scope.parent
    return graph, nodes, [scope for path, scope in graph.scopes.items() if path in paths]


def _value(node: Node, state: Mapping[Node, Array]) -> Array:
    value = state[node] if node in state else node.graph._stored(node)
    if type(value) is np.ndarray and value.shape == node.shape and value.dtype == node.dtype:
        return value
    return checked_value(node, value)  # graph.state takes anything; a file does not


def _foreign_module(op: Op) -> str:
    module = type(op).__module__
    return "" if module.startswith(__name__.partition(".")[0] + ".") else module


def settings_of(op: Op) -> dict[str, Any]:
    """Return the attributes of an operation as a file holds them."""
    return {name: _listed(value) for name, value in op.attributes.items()}


def _listed(value: Any) -> Any:
    return [_listed(part) for part in value] if isinstance(value, tuple) else value


# --- from data ----------------------------------------------------------------------------------------------


def _decoded(data: Any, arrays: dict[str, Array], unknown: bool) -> Graph:
    tables = _tables(data)
    if type(data["name"]) is not str or type(data["memory_budget"]) not in (type(None), int, float):
        raise FileFormatError("the graph's name is not text, or its memory budget is not a number")
    graph = Graph(data["name"], dtype_of(data["dtype"]))
    graph.memory_budget = data["memory_budget"]
    allow(len(data["nodes"]["name"]))
    lines = [Origin(*row) for row in tables["lines"]]
    scopes = _scopes(tables["scopes"], lines)
    nodes = _nodes(graph, tables, [_operation(row, unknown) for row in tables["operations"]], lines, scopes, arrays)
    for scope, result in zip(scopes, data["scopes"]["result"], strict=True):
        if result >= 0:  # else it is the last node made in it, as always
            scope.result = nodes[result]
    # In this order, since a scope opened late may be called as a node or an output before it.
    for table in _BY_NAME:
        getattr(graph, table).update(_unique(table, [(name, nodes[i]) for name, i in tables[table]]))
    for table, name in _BY_NODE.items():
        rows = [([nodes[i] for i in row[:-1]], nodes[row[-1]]) for row in tables[table]]
        getattr(graph, name).update(_unique(table, [(k[0] if len(k) == 1 else tuple(k), v) for k, v in rows]))
    graph.scopes.update(_unique("scopes", [(scope.path, scope) for scope in scopes]))
    _restore_derivatives(graph, nodes, scopes, tables)
    graph._counters.update(_unique("counters", list(tables["counters"])))
    return graph


def _restore_derivatives(
    graph: Graph, nodes: Sequence[Node], scopes: Sequence[Scope], tables: Mapping[str, Iterable[tuple[Any, ...]]]
) -> None:
    rows = list(tables["derivatives"])
    if any(scopes[scope].phase != "backward" for scope, _ in rows):
        raise FileFormatError("the scope of a derivative is in the forward pass")
    given: list[list[tuple[Node, Node | None]]] = [[] for _ in rows]
    of: list[list[tuple[Node, Node]]] = [[] for _ in rows]
    for i, node, value in tables["given"]:
        given[i].append((nodes[node], None if value < 0 else nodes[value]))
    for i, node, value in tables["derived"]:
        if nodes[value].spec != nodes[node].spec:
            raise FileFormatError(f"node {value} is not a derivative of node {node}: its shape or dtype differs")
        of[i].append((nodes[node], nodes[value]))
    for pairs, (_, backwards) in zip(given, rows, strict=True):
        ones = [node for node, value in pairs if value is None]
        if not pairs or len(dict(pairs)) < len(pairs) or (ones and (not backwards or pairs[1:] or ones[0].shape)):
            raise FileFormatError(
                "what is differentiated is nothing, something twice, or no scalar without a cotangent"
            )
    for backwards, known in ((True, graph.cotangents), (False, graph.tangents)):
        found = [
            (tuple(pairs), Derivatives(scopes[scope], Table(_unique("derived", derived))))
            for (scope, way), pairs, derived in zip(rows, given, of, strict=True)
            if way is backwards
        ]
        known.update(_unique("derivatives", found))


def _tables(data: Any) -> dict[str, Iterator[tuple[Any, ...]]]:
    """Return the rows of every table, with types and references checked."""
    if type(data) is not dict or data.keys() != {"name", "dtype", "memory_budget", *TABLES}:
        raise FileFormatError("the data do not hold a graph's name, dtype, memory budget and tables")
    lengths = {}
    for table, kinds in TABLES.items():
        columns = data[table]
        if type(columns) is not dict or columns.keys() != kinds.keys():
            raise FileFormatError(f"the table {table} does not have the columns {', '.join(kinds)}")
        if set(map(type, columns.values())) != {list} or len(set(map(len, columns.values()))) != 1:
            raise FileFormatError(f"the columns of the table {table} are not lists of one length")
        lengths[table] = len(next(iter(columns.values())))
    for table, kinds in TABLES.items():
        for column, kind in kinds.items():
            _check_column(f"{table}.{column}", data[table][column], kind, lengths)
    return {t: zip(*(data[t][column] for column in kinds), strict=True) for t, kinds in TABLES.items()}


def _check_column(column: str, values: list[Any], kind: type | str, lengths: Mapping[str, int]) -> None:
    expected = kind if isinstance(kind, type) else int
    if not {expected}.issuperset(map(type, values)):
        raise FileFormatError(f"the column {column} holds values other than {expected.__name__}")
    if expected is int and values:
        least, low = 0 if isinstance(kind, type) or not kind.endswith("?") else -1, min(values)
        most, high = _MOST if isinstance(kind, type) else lengths[kind.rstrip("?")] - 1, max(values)
        if low < least or high > most:
            raise FileFormatError(f"the column {column} holds {low:,} to {high:,}, beyond {least} to {most:,}")


def _scopes(rows: Iterable[tuple[Any, ...]], lines: Sequence[Origin]) -> list[Scope]:
    rows = list(rows)
    _check_nesting([row[4] for row in rows])
    scopes: list[Scope] = []
    for path, kind, phase, line, parent, _ in rows:
        if not path or "\0" in path:
            raise FileFormatError(f"scope {len(scopes)} has the name {short_repr(path)}; it takes text without NUL")
        if phase not in PHASES:
            raise FileFormatError(f"scope {short_repr(path)} has the unknown phase {short_repr(phase)}")
        scopes.append(Scope(path, kind, lines[line], None if parent < 0 else scopes[parent], phase))
    return scopes


def _check_nesting(parents: Sequence[int]) -> None:
    depths: list[int] = []
    for row, parent in enumerate(parents):
        if parent >= row:
            raise FileFormatError(f"scope {row} is inside scope {parent}, which does not come before it")
        depths.append(1 if parent < 0 else depths[parent] + 1)
    if max(depths, default=0) > MAX_NESTING:
        raise FileFormatError(f"scopes are nested {max(depths)} deep; a file holds up to {MAX_NESTING}")


def _nodes(
    graph: Graph,
    tables: Mapping[str, Iterable[tuple[Any, ...]]],
    operations: Sequence[tuple[Op, int]],
    lines: Sequence[Origin],
    scopes: Sequence[Scope],
    arrays: dict[str, Array],
) -> list[Node]:
    specs = [(dtype_of(dtype), _shape(shape)) for dtype, shape in tables["specs"]]
    inputs = [node for (node,) in tables["inputs"]]
    scope_or_none = [*scopes, None]  # -1 is the last
    nodes: list[Node] = []
    twins: list[int] = []
    read = 0
    for name, operation, spec, scope, line, twin in tables["nodes"]:
        op, operands = operations[operation]
        dtype, shape = specs[spec]
        try:
            taken = tuple([nodes[i] for i in inputs[read : read + operands]])
        except IndexError:
            raise FileFormatError(f"{_called(nodes, name)}, reads a node that does not come before it") from None
        read += operands
        value = None
        if op.is_stored:
            value = arrays.pop(name, None)
            if not isinstance(value, np.ndarray):
                raise FileFormatError(f"{_called(nodes, name)}, a {op.name}, has no array for its value")
            value = value if value.size > 1 and not any(value.strides) else sealed(value)
        try:
            node = restored(graph, name, op, taken, dtype, shape, value, scope_or_none[scope], lines[line])
        except Exception as error:
            # An operation's own checks may raise anything when given what only a forged file would give.
            raise FileFormatError(f"{_called(nodes, name)}, is not valid: {_message(error)}") from error
        nodes.append(node)
        twins.append(twin)
    if read != len(inputs):
        raise FileFormatError(f"the nodes take {read:,} operands, and there are {len(inputs):,}")
    if arrays:
        raise FileFormatError(f"the array {short_repr(next(iter(arrays)))} belongs to no node")
    for node, twin in zip(nodes, twins, strict=True):
        if twin >= 0:
            put_twin(node, nodes[twin])
    return nodes


def _operation(row: tuple[Any, ...], unknown: bool) -> tuple[Op, int]:
    name, module, operands, attributes = row
    cls = class_of(name)
    if cls is None and unknown:
        return Unknown(name, tuple((key, tupled(value)) for key, value in attributes.items())), operands
    if cls is None:
        told = f" ({short_repr(module)} when this was saved)" if module else ""
        raise FileFormatError(
            f"the operation {short_repr(name)} is not defined: import the module that defines it{told}, then load again"
        )
    try:
        op = from_settings(cls, attributes)
    except Exception as error:
        raise FileFormatError(
            f"the operation {short_repr(name)} does not take its attributes: {_message(error)}"
        ) from error
    return op, operands


def from_settings(cls: type[Op], attributes: Mapping[str, Any]) -> Op:
    """Return the operation of some attributes, as a file holds them; what it cannot take raises anything."""
    return cls(**{name: tupled(value) for name, value in attributes.items()})


def _shape(dims: list[Any]) -> Shape:
    if not _DIMS.issuperset(map(type, dims)):
        raise FileFormatError(f"a shape holds ints and text, not {short_repr(dims)}")
    return tuple(dims)


def tupled(value: Any) -> Any:
    """Return nested lists as tuples."""
    return tuple(map(tupled, value)) if type(value) is list else value


def _unique(table: str, rows: list[Any]) -> dict[Any, Any]:
    found = dict(rows)
    if len(found) < len(rows):
        raise FileFormatError(f"the table {table} has an entry twice")
    return found


def _called(nodes: Sequence[Node], name: str) -> str:
    return f"node {len(nodes)}, {short_repr(name)}"


def _message(error: Exception) -> str:
    return error.account if isinstance(error, GraphnnError) else str(error)
