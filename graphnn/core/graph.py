"""`Graph`: the DAG, and how nodes, names and scopes enter it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from threading import RLock
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import networkx as nx
import numpy as np

from .._util.display import Shown
from .._util.hints import elsewhere
from .._util.ports import Port
from .._util.source_location import Origin, user_origin
from .._util.text import counted, quoted, short_name
from ..errors import DtypeError, GraphError, GraphnnError, NotFoundError, UsageError, ValueRangeError, near
from . import graph_tables
from .arrays import own_array, supported_dtype
from .dag import Dag, NodeData
from .graph_tables import CheckedDict, Derivatives, KeptDict, Seeds, Table, checked_name
from .labels import Labels
from .networkx_conversion import filled, flat_of
from .node import Node, Unmade, as_nodes
from .op import Array, Constant, Op, Parameter, Placeholder, Spec, fn, inferred, misfit, widens
from .provenance import Provenance, ScopeProvenance, current_provenance
from .scopes import Scope, bring_back
from .shape_complexity import allow, reading
from .storage_dtypes import WIDER, is_bfloat16, is_float, is_imported
from .symbolic_shapes import shape_of

_CHECKS = {"name": checked_name, "memory_budget": graph_tables.checked_budget}
"""The fields that anybody may set, each with its check."""


INSIDE: Port[Callable[[Graph, str], Node | None]] = Port("nodes inside")
"""Finds a node in an iteration of a loop by its name, such as ``scan_1@137/tanh``; None if that is not such a name."""


@elsewhere("graph", "a graph")
class Graph(Shown):
    """A network as a directed acyclic graph: every operation is a node of a live `networkx.MultiDiGraph`.

    Parameters
    ----------
    name : str
        Shown in pictures, files and messages.
    dtype : dtype, default float64
        The dtype of placeholders, of initializers, and of constants made of lists of floats.

    Attributes
    ----------
    outputs : dict of str to Node
        The results, by name. A dict assigned to this, to `updates`, `advances`, `evaluation` or `idle` replaces all
        entries and is checked as they are. The other tables cannot be assigned.
    names : dict of str to Node
        The second names that `gn.name` gave. They cannot be removed.
    labels : mapping
        Names for positions: ``labels["class"] = ["cat", "dog"]`` for a dimension that has a name, and
        ``labels[node, axis] = [...]`` for any axis. Every view shows them, of all axes that are the same.
    updates : dict of Node to Node
        {parameter: node of its next value}, as an optimizer entered them.
    state : dict of Node to array
        The values of the parameters.
    advances : dict of (Node, Node) to Node
        {(parameter, node): next value of the parameter}, such as (running mean, mean of the batch) of a batch norm.
        A compiled step with updates that evaluates the node makes this update, too. If it evaluates several such nodes
        of one parameter, each update starts from the value that the one before gives. A parameter as the key stands
        for (parameter, parameter): each step that reads it makes the update.
    evaluation : dict of Node to Node
        {training-only node: its replacement in evaluation}; for the output of dropout, the input of dropout. `nn.fit`
        refuses to evaluate a random node without an entry; a node mapped to itself stays random.
    idle : dict of str to Node
        {layer path: output} of the layers, such as dropout, that were called for evaluation and made no node there.
    cotangents, tangents : dict
        {seeds: derivatives of all nodes reached}, of reverse and of forward mode, so that no node is made twice.
    placeholders, scopes : list of Node, dict of str to Scope
    memory_budget : float or None
        The most bytes that one value may take, and that a debugger may keep. None means 80 % of the free memory.
        Anything but a number of bytes raises UsageError, a negative number ValueRangeError.

    Examples
    --------
    >>> g = Graph("line")
    >>> x = g.placeholder("x", shape=("batch", 2))
    >>> y = x @ g.parameter("w", [[2.0], [3.0]]) + 1.0
    >>> y.shape, y.name, list(g.dag.predecessors("add"))
    (('batch', 1), 'add', ['matmul', 'constant'])
    """

    _instead_of_fetch: ClassVar[str] = "g.outputs are its results, g.parameters what is trained"

    def __init__(self, name: str = "graph", dtype: Any = np.float64) -> None:
        self.name = name
        self.dtype: np.dtype[Any] = supported_dtype(dtype, "the graph's dtype")
        if not is_float(self.dtype):
            raise DtypeError(f"a graph's dtype is a float, not {self.dtype}: give integers their dtype one by one")
        self.scopes: dict[str, Scope] = Table()
        self.state: dict[Node, Array] = KeptDict(
            self, graph_tables.checked_state, "each parameter has a value, and keeps one"
        )
        self.outputs: dict[str, Node] = CheckedDict(self, graph_tables.checked_output)
        self.names: dict[str, Node] = KeptDict(
            self, graph_tables.checked_title, "a name that a node has been given stays"
        )
        self.updates: dict[Node, Node] = CheckedDict(self, graph_tables.checked_update)
        self.advances: dict[Any, Node] = CheckedDict(self, graph_tables.checked_advance)
        self.evaluation: dict[Node, Node] = CheckedDict(self, graph_tables.checked_evaluation)
        self.idle: dict[str, Node] = CheckedDict(self, graph_tables.checked_idle)
        self.labels = Labels(self)
        self.memory_budget: float | None = None
        self.placeholders: list[Node] = []
        self.cotangents: dict[Seeds, Derivatives] = Table()
        self.tangents: dict[Seeds, Derivatives] = Table()
        self._constants: dict[Node, Array] = {}
        self._counters: dict[str, int] = {}
        self.caches: dict[str, Any] = {}
        """What other modules computed from this graph, and warned of. Nodes never change, so it stays valid."""
        self.building = RLock()
        """Held while a node is made. Hold it to make several with none of another thread between them."""
        self._dag = Dag(self)
        self._nodes: dict[str, NodeData] = self._dag._node  # NetworkX watches the attribute, which makes it slow

    # --- looking ---------------------------------------------------------------------------------------------

    @property
    def dag(self) -> nx.MultiDiGraph[str]:
        """The live graph, read-only, with node names as keys. The key of an edge is the position of the operand."""
        return self._dag

    @property
    def inputs(self) -> dict[str, Node]:
        """The placeholders by name, in the order in which they were made."""
        return {node.name: node for node in self.placeholders}

    @property
    def parameters(self) -> tuple[Node, ...]:
        """All trainable parameters, in the order in which they were made."""
        return tuple([node for node in list(self.state) if node.trainable])

    if not TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None:
            fields = vars(self)
            if name in _CHECKS:
                value = _CHECKS[name](value)
            elif not name.startswith("_") and "building" in fields:  # the last public field that __init__ sets
                if name in fields and value is fields[name]:
                    return  # as after graph.outputs |= more
                if type(fields.get(name)) is not CheckedDict:  # nor a KeptDict, whose entries stay
                    raise graph_tables.not_assignable(self, name, "set")
                with self.building:
                    return fields[name].replace(f"graph.{name}", value)
            object.__setattr__(self, name, value)

        def __delattr__(self, name: str) -> NoReturn:
            raise graph_tables.not_assignable(self, name, "deleted")

    def __len__(self) -> int:
        return len(self._nodes)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Node]:
        # A copy: the loop may make more nodes, and so may another thread.
        return iter([data.node for data in list(self._nodes.values())])

    def _ipython_key_completions_(self) -> list[str]:
        return [*self._nodes, *self.scopes, *self.names, *self.outputs]

    def __contains__(self, item: object) -> bool:
        return item.graph is self if isinstance(item, Node) else isinstance(item, str) and self._find(item) is not None

    def _find(self, name: str) -> Node | None:
        data = self._nodes.get(name)
        if data is not None:
            return data.node
        scope = self.scopes.get(name)
        if scope is not None and scope.result is not None:
            return scope.result
        return self.names[name] if name in self.names else self.outputs.get(name)

    def __getitem__(self, name: str) -> Node:
        """Return the node of that name; else the result of the scope, the node with that second name, or the output."""
        if not isinstance(name, str):
            raise UsageError(f"a node is looked up by its name, not by {type(name).__name__}")
        node = self._find(name)
        if node is None and "@" in name and (found := INSIDE.of()) is not None:
            node = found(self, name)
        if node is None:
            known = near(name, [*self._nodes, *self.scopes, *self.names, *self.outputs])
            raise NotFoundError(f'the graph "{self.name}" has no node, scope or output "{name}".{known}')
        return node

    def _users(self, node: Node) -> tuple[Node, ...]:
        # A copy of the plain dict, which no other thread can change meanwhile, as it could beneath a view of NetworkX.
        return tuple([self._nodes[name].node for name in list(self._dag._adj[node.name])])

    def _stored(self, node: Node) -> Array:
        return self.state[node] if node.op.is_parameter else self._constants[node]

    def __repr__(self) -> str:
        size = sum(value.size for value in self.state.values())
        parts = [counted(len(self), "node"), f"{counted(len(self.state), 'parameter')} ({counted(size, 'number')})"]
        if self.outputs:
            parts.append("outputs " + ", ".join(short_name(name, 80) for name in list(self.outputs)))
        return f"<Graph {quoted(self.name)}: {', '.join(parts)}>"

    def __deepcopy__(self, memo: Any) -> NoReturn:
        raise UsageError("gn.extract(fetches) copies a graph with its state; copy.deepcopy(graph.dag) only the DAG")

    __reduce__ = Node.__reduce__

    def flat(self) -> nx.MultiDiGraph[str]:
        """Return a copy whose data are only strings and numbers, for exporters that take nothing else.

        Returns
        -------
        networkx.MultiDiGraph
            Node data ``op``, ``attributes`` (as text), ``shape`` (as text), ``dtype``, ``scope``, ``origin`` and, of
            gradient nodes, ``twin``; edge data ``position``. `from_networkx` takes ``graph.dag``, not this copy.
        """
        with self.building:
            return flat_of(self)

    # --- making ----------------------------------------------------------------------------------------------

    def placeholder(self, name: str, shape: Any = (), dtype: Any = None) -> Node:
        """Declare an input, which every run must be fed.

        Parameters
        ----------
        name : str
        shape : int, str or sequence of them
            A dimension is an int, or a name, which has one size per run.
        dtype : dtype, optional
            By default the graph's.

        Returns
        -------
        Node
        """
        kind = self.dtype if dtype is None else supported_dtype(dtype, f'placeholder "{name}"')
        return self._make(Placeholder(), (), Spec(shape_of(shape), kind), checked_name(name))

    def parameter(self, name: str, value: Any, trainable: bool = True) -> Node:
        """Make a value that the graph stores and that training changes.

        Parameters
        ----------
        name : str
        value : array_like
            The first value; copied. Lists of floats get the graph's dtype, lists of ints int64; arrays keep theirs.
        trainable : bool
            Whether optimizers change it, which requires a float. If not, it is still part of the state.

        Returns
        -------
        Node
            ``node.value`` reads it, ``node.value = a`` sets it.
        """
        array = own_array(value, f'parameter "{name}"', self.dtype)
        return self._make(Parameter(bool(trainable)), (), Spec(array.shape, array.dtype), checked_name(name), array)

    def constant(self, value: Any, name: str | None = None, dtype: Any = None) -> Node:
        """Make a fixed value.

        Parameters
        ----------
        value : array_like
            Copied. Lists of floats take the graph's dtype, integers stay integers, arrays keep theirs.
        name : str, optional
        dtype : dtype, optional

        Returns
        -------
        Node
        """
        return self._holding(own_array(value, f'constant "{name}"' if name else "a constant", self.dtype, dtype), name)

    def _holding(self, array: Array, name: str | None = None) -> Node:
        """Make a constant of an array that nobody else can write to."""
        return self._make(Constant(), (), Spec(array.shape, array.dtype), name, array)

    def add(self, op: Op, inputs: Sequence[Any], name: str | None = None) -> Node:
        """Make a node that computes `op` of `inputs`.

        Parameters
        ----------
        op : Op
        inputs : sequence of Node or array_like
            Numbers and arrays become constants; a Python number gets the dtype of the other operands.
        name : str, optional
            By default the name of the operation.

        Returns
        -------
        Node

        Raises
        ------
        ShapeError, DtypeError, AxisError
            When the operation does not take these operands.
        GraphError
            When an operand belongs to another graph, the name is taken, or the number of operands is wrong.
        """
        if not isinstance(op, Op):
            raise UsageError(f"add takes an operation, such as ops.activations.Relu(), not {type(op).__name__}")
        if not op.variadic and len(inputs) != len(op.operands):
            takes = f"{counted(len(op.operands), 'operand')} ({', '.join(op.operands)})"
            raise GraphError(f"{op.name} takes {takes}, got {len(inputs)}")
        for value in inputs:
            if not isinstance(value, Node) or value.graph is not self:
                inputs = as_nodes(self, op, inputs)
                break
        nodes = tuple(inputs)
        if is_imported():
            nodes = self._widened(op, nodes)
        return self._make(op, nodes, self._inferred(op, nodes), name)

    # For internal callers: `calls.explain_public` replaces the public method by a wrapper, and this skips it.
    _add = add

    def _widened(self, op: Op, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        """Return operands as an operation takes them: of bfloat16, as float32, if it computes with them."""
        for node in nodes:
            if node.spec.dtype.kind == "V":
                return tuple(self._wide(each) for each in nodes) if widens(op, nodes) else nodes
        return nodes

    def _wide(self, node: Node) -> Node:
        """Return a node of bfloat16 as float32, by one `cast` for all that read it, and any other as it is."""
        if not is_bfloat16(node.spec.dtype):
            return node
        known: dict[Node, Node] = self.caches.setdefault("widened", {})
        with self.building:
            wide = known.get(node)
            # The first reader's scope has it. What a gradient or an update makes is not for the forward pass to read.
            if wide is None or (wide.phase != "forward" and wide.phase != self._phase()):
                wide = known[node] = fn.cast(node, WIDER)
        return wide

    def _phase(self) -> str:
        scope = current_provenance(self).scope
        return scope.phase if scope is not None else "forward"

    def _inferred(self, op: Op, nodes: tuple[Node, ...]) -> Spec:
        try:
            specs = [node.spec for node in nodes]
            spec = inferred(op, specs) if op.foreign else op.infer(*specs)
        except GraphnnError as error:
            raise misfit(op, nodes, error) from None
        # Most nodes have the shape and dtype of their first operand: they share its spec, which saves memory.
        first = nodes[0].spec if nodes else spec
        alike = spec.shape == first.shape and spec.dtype is first.dtype
        return first if alike and not spec.constraints and not first.constraints else spec

    def _make(
        self,
        op: Op,
        inputs: tuple[Node, ...],
        spec: Spec,
        name: str | None,
        value: Array | None = None,
        restored: tuple[Scope | None, Origin] | None = None,
    ) -> Node:
        """Make a node with the current provenance, or with `restored`; `name` is then a free whole name, and kept."""
        node = Unmade()
        node.graph = self
        node.op = op
        node.inputs = inputs
        node.spec = spec
        if restored is None:
            provenance = current_provenance(self)
            scope = provenance.scope
            node.origin = provenance.origin or user_origin()
            node.twin = provenance.twin
        else:
            scope, node.origin = restored
            node.twin = None
        node.scope = scope.path if scope is not None else ""
        with self.building:
            if name is None:
                name = self._free(op.name, scope)
            elif restored is None:
                name = self._explicit(name, scope)
            if scope is not None and scope.result is None and restored is None:
                bring_back(self, scope)
            node.name = name
            node.index = len(self._nodes)
            node.__class__ = Node  # type: ignore[assignment]
            try:
                self._enter(node, value, scope)
            except BaseException:  # Ctrl-C: what it cut short is done again, wholly
                self._enter(node, value, scope)
                raise
        return node

    def _enter(self, node: Node, value: Array | None, scope: Scope | None) -> None:
        """Enter a node into the DAG and all tables. Doing it again changes nothing."""
        while scope is not None:
            scope.result = node
            scope = scope.parent
        self._dag._append(node)
        if value is not None:
            dict.__setitem__(self.state if node.op.is_parameter else self._constants, node, value)
        elif node.op.is_placeholder and not (self.placeholders and self.placeholders[-1] is node):
            self.placeholders.append(node)

    # --- names and scopes ------------------------------------------------------------------------------------

    def _taken(self, name: str) -> bool:
        return name in self._nodes or name in self.scopes or name in self.names or name in self.outputs

    def free_name(self, base: str, numbered: bool = False) -> str:
        """Return a free whole name in the current scope.

        Parameters
        ----------
        base : str
        numbered : bool
            Whether the first name has a number, too: ``base_1``, ``base_2``, …; else `base` itself, then ``base_2``, …

        Returns
        -------
        str
        """
        with self.building:
            return self._free(base, current_provenance(self).scope, numbered)

    def _free(self, base: str, scope: Scope | None, numbered: bool = False) -> str:
        path = base if scope is None else f"{scope.path}/{base}"
        # Nodes and layers have separate counters: the first ReLU layer after two relu nodes is relu_1.
        counter = f"{path}_" if numbered else path
        number = self._counters.get(counter)
        if number is None:
            if not numbered and not self._taken(path):
                return path
            number = 1 if numbered else 2
        while self._taken(name := f"{path}_{number}"):
            number += 1
        self._counters[counter] = number + 1
        return name

    def _explicit(self, name: Any, scope: Scope | None) -> str:
        path = checked_name(name) if scope is None else f"{scope.path}/{checked_name(name)}"
        if self._taken(path):
            other = self._find(path)
            where = f" by the {other.op.name} made at {other.origin}" if other is not None else ""
            raise GraphError(f'the name "{path}" is already taken{where}')
        return path

    def scope(self, name: str, reuse: bool = False) -> ScopeProvenance:
        """Open a scope. Nodes made inside have its path before their names, and are drawn in one box.

        It is open for the thread or asyncio task that opens it, and for tasks that are started inside.

        Parameters
        ----------
        name : str
            If it is taken, the scope is called ``name_2``.
        reuse : bool
            Whether to continue the scope of that name, if there is one.

        Returns
        -------
        context manager
            Its ``with`` statement gives the `Scope`.

        Examples
        --------
        >>> g = Graph()
        >>> with g.scope("head") as head:
        ...     x = g.placeholder("x")
        >>> x.name, head.path
        ('head/x', 'head')
        """
        own = checked_name(name)
        if not own:
            raise ValueRangeError('a scope needs a name: "" stands for the top of the graph')
        return ScopeProvenance(self, partial(self._scope_called, base=own, reuse=reuse))

    def in_scope(
        self,
        path: str | None,
        kind: str = "",
        phase: str | None = None,
        origin: Origin | None = None,
        twin: Node | None = None,
        origin_of_nodes: bool = False,
    ) -> Provenance:
        """Make nodes in the scope `path`, which is opened if need be. For layers and transformations.

        Parameters
        ----------
        path : str or None
            None for the scope that is open now. A scope that is opened lies in that one.
        kind, phase
            Of the scope, if it is opened here.
        origin : Origin, optional
            Of the scope, if it is opened here; with `origin_of_nodes`, of every node made inside too.
        twin : Node, optional
            The node that those inside are made for.

        Returns
        -------
        Provenance
            A context manager. Its ``with`` statement gives itself.
        """
        find = partial(self._scope_at, path=path, kind=kind, phase=phase, origin=origin)
        return Provenance(self, find, origin if origin_of_nodes else None, twin)

    def new_scope(
        self,
        base: str,
        numbered: bool = False,
        kind: str = "",
        phase: str | None = None,
        origin: Origin | None = None,
        twin: Node | None = None,
        within: Scope | None = None,
    ) -> Provenance:
        """Make nodes in a new scope with a name from `free_name`. For layers and transformations.

        Parameters
        ----------
        base, numbered
            As `free_name` takes them.
        kind, phase, origin, twin
            As `in_scope` takes them.
        within : Scope, optional
            The scope that the new one is made in; by default the one that is open.

        Returns
        -------
        Provenance
            A context manager. Its ``with`` statement gives itself, with the new ``scope``.
        """
        make = partial(self._scope_called, base=base, numbered=numbered, kind=kind, phase=phase, origin=origin)
        return Provenance(self, make if within is None else lambda around: make(within), twin=twin)

    def _scope_called(
        self,
        around: Scope | None,
        base: str,
        reuse: bool = False,
        numbered: bool = False,
        kind: str = "",
        phase: str | None = None,
        origin: Origin | None = None,
    ) -> tuple[Scope, bool]:
        """Return a new scope inside the one around, or the one there is, and whether it is new."""
        with self.building:
            if reuse and (known := self.scopes.get(base if around is None else f"{around.path}/{base}")):
                return known, False
            return self._add_scope(self._free(base, around, numbered), kind, phase, origin, around), True

    def _scope_at(
        self, around: Scope | None, path: str | None, kind: str, phase: str | None, origin: Origin | None
    ) -> tuple[Scope | None, bool]:
        """Return the scope of a path, by default the one around, and whether it is new."""
        if path is None:
            return around, False
        with self.building:
            known = self.scopes.get(path)
            return (known, False) if known else (self._add_scope(path, kind, phase, origin, around), True)

    def _add_scope(self, path: str, kind: str, phase: str | None, origin: Origin | None, parent: Scope | None) -> Scope:
        phase = phase or (parent.phase if parent else "forward")
        scope = self.scopes[path] = Scope(path, kind, origin or user_origin(), parent, phase)
        return scope

    # --- from NetworkX ---------------------------------------------------------------------------------------

    @classmethod
    def from_networkx(cls, dag: nx.DiGraph[Any]) -> Graph:
        """Build a graph from a NetworkX graph. Each node is checked as if it were made by hand.

        Parameters
        ----------
        dag : networkx.MultiDiGraph or networkx.DiGraph
            Keyed by node name, with the data that ``graph.dag`` shows: ``op``; ``attributes``; of placeholders
            ``shape`` and ``dtype``; of parameters and constants ``value``, an array or lists. ``scope``,
            ``origin``, ``twin``, ``shape`` and ``dtype`` are kept or checked if they are there. An edge's key (of
            a `DiGraph` its ``position``) is the operand's position.

        Returns
        -------
        Graph

        Raises
        ------
        GraphError
            When there is a cycle, an operand is missing or given twice, or data are missing.
        NotFoundError
            When there is no such operation.
        ShapeError, DtypeError
            When operands do not fit, or a declared shape or dtype is not what comes out.

        Examples
        --------
        >>> g = Graph()
        >>> y = g.placeholder("x", shape=2) * 3.0
        >>> Graph.from_networkx(g.dag)["multiply"]
        <Node "multiply": multiply (2,) float64>
        """
        if not isinstance(dag, nx.Graph):
            raise UsageError(f"from_networkx takes a networkx.MultiDiGraph or DiGraph, not {type(dag).__name__}")
        if not dag.is_directed():
            raise GraphError("from_networkx takes a directed graph, not an undirected one: edges go to results")
        graph = cls(str(dag.graph.get("name", "graph")), dag.graph.get("dtype", np.float64))
        with reading("the graph"), getattr(dag, "_source", graph).building:  # no other thread adds to a live one
            allow(len(dag))
            filled(graph, dag)
        return graph
