"""The graph and the trace of a recorded step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..._util.garbage_collection import collector_paused
from ..._util.source_location import NOWHERE, Origin
from ...core import Constant, Graph, Node, Parameter, Placeholder, Provenance, Spec
from ...core.graph_tables import checked_name
from ...core.node import put_twin
from ...debugger.traces import Trace
from ...debugger.traces.value_digests import Digests, forget_values
from ...runtime.evaluation_loop import Prepared
from ...runtime.feed import prepare
from ...runtime.program import program_of
from .torch_call import TorchCall

if TYPE_CHECKING:
    from ...core import Array, Scope
    from .recorder import RecordedCall, Recorder, Value

_STORED = ("parameter", "buffer", "state", "gradient", "unregistered")


class RecordedStep:
    """The graph of a step, its trace, and which nodes stand for what.

    Attributes
    ----------
    graph : Graph
    trace : Trace
    feed : dict of str to array
    losses : list of Node
    facts : dict
        What the script has set, as `Recorder` has it.
    """

    @collector_paused()
    def __init__(self, recorder: Recorder, name: str, kinds: Mapping[str, str]) -> None:
        self._recorder, self._kinds = recorder, kinds
        self.facts = recorder.facts
        self.graph = Graph(name, np.float32)
        self._nodes: list[Node | None] = [None] * len(recorder.values)
        self._scopes: dict[tuple[str, str], Scope | None] = {}
        self._leaves: dict[str, Node] = {}
        self.feed: dict[str, Array] = {}
        for call in recorder.calls:
            self._enter(call)
        for value in recorder.finals.values():
            self._node(value)
        self._name_results()
        self.losses = [self._node(each) for each in recorder.losses]
        self.trace = self._traced()

    @property
    def _has_values(self) -> bool:
        return self._recorder.keep is not None

    # --- nodes ---

    def _enter(self, call: RecordedCall) -> None:
        operands = [self._node(each) for each in call.operands]
        scope = self._scope(call.phase, call.path)
        arguments = call.arguments, call.keywords
        short = call.name.partition(".")[0].rpartition("::")[2]
        for i, number in enumerate(call.results):
            value = self._recorder.values[number]
            shape, dtype = value.shape, value.dtype
            op = TorchCall(call.name, *arguments, value.result, shape, dtype.name, tuple(call.layouts), value.as_dtype)
            op.recorded_from(call.func)
            name = short if not i else f"{short}_result_{i}"
            node = self._made(op, tuple(operands), value, name, scope, call.origin)
            self._nodes[number] = node
            if call.twin is not None:
                twin = self._twin(call.twin)
                if twin is not None:
                    put_twin(node, twin)

    def _twin(self, twin: int) -> Node | None:
        if twin < 0:
            return self._node(-1 - twin)
        results = self._recorder.calls[twin].results
        return self._nodes[results[0]] if results else None

    def _made(
        self,
        op: Any,
        operands: tuple[Node, ...],
        value: Value,
        name: str,
        scope: Scope | None,
        origin: Origin,
        belongs: Scope | None = None,
    ) -> Node:
        """Make a node, whose name begins with its scope; or has the scope to which it `belongs` besides."""
        graph = self.graph
        with Provenance(graph, lambda around: (scope, False)):
            free = checked_name(graph.free_name(name))
        kept = None
        if op.is_stored:
            kept = value.kept if isinstance(value.kept, np.ndarray) else _blank(value)
        return graph._make(op, operands, Spec(value.shape, value.dtype), free, kept, (scope or belongs, origin))

    def _node(self, number: int) -> Node:
        """Return the node of a value; make it, if it was there before the step."""
        node = self._nodes[number]
        if node is None:
            value = self._recorder.values[number]
            op: Any = Placeholder()
            if value.kind == "constant":
                op = Constant()
            elif value.kind in _STORED:
                op = Parameter(trainable=value.kind in ("parameter", "unregistered"))
            scope = None
            if value.kind in _STORED:
                scope = self._scope("update" if value.kind == "state" else "forward", value.path)
            node = self._nodes[number] = self._made(op, (), value, value.name, None, value.origin, scope)
            if value.kind == "unregistered":
                self.facts.setdefault("unregistered", []).append(node.name)
            elif value.kind in _STORED:
                self._leaves.setdefault(value.name, node)
        return node

    def _scope(self, phase: str, path: str) -> Scope | None:
        """Return the scope of a module in a phase; make it, and those around it."""
        key = phase, path
        if key in self._scopes:
            return self._scopes[key]
        graph = self.graph
        root = {"forward": "", "backward": "grad", "update": "update"}[phase]
        around: Scope | None = None
        if root:
            around = graph.scopes.get(root) or graph._add_scope(root, root, phase, NOWHERE, None)
        parts = path.split(".") if path else []
        for i in range(len(parts)):
            inner = ".".join(parts[: i + 1])
            if inner not in self._kinds:
                continue
            known = self._scopes.get((phase, inner))
            if known is None:
                name = f"{root}/{inner}" if root else inner
                if graph._taken(name):
                    name = graph._free(name, None)
                known = graph._add_scope(name, self._kinds[inner], phase, NOWHERE, around)
                self._scopes[phase, inner] = known
            around = known
        self._scopes[key] = around
        return around

    # --- the whole ---

    def _name_results(self) -> None:
        graph = self.graph
        for name, number in self._recorder.finals.items():
            node, now = self._leaves.get(name), self._node(number)
            if node is not None and node.op.is_parameter and now is not node and now.spec == node.spec:
                graph.updates[node] = now
        losses = [self._node(each) for each in self._recorder.losses]
        for i, loss in enumerate(losses):
            graph.outputs["loss" if len(losses) == 1 else f"loss_{i + 1}"] = loss
        for node in graph:
            if not node.users and node not in losses and not node.op.is_leaf:
                graph.outputs[node.name] = node

    def _traced(self) -> Trace:
        recorder, graph = self._recorder, self.graph
        fetches = [*dict.fromkeys([*graph.outputs.values(), *graph.updates.values()])]
        by_node = {node: recorder.values[i] for i, node in enumerate(self._nodes) if node is not None}
        program = program_of(graph, fetches)
        times = [recorder.calls[by_node[node].call].time if by_node[node].call >= 0 else 0.0 for node in program.order]
        if not self._has_values:
            prepared = Prepared(program, program.binding({}), {}, {})
            kept: Any = Digests(prepared, b"".join(by_node[node].kept for node in program.order))
            known = {node: each for node, each in zip(program.order, kept, strict=True) if isinstance(each, np.ndarray)}
            forget_values(graph, known)
            return Trace(kept.prepared, kept, times, graph.updates, error=recorder.error)
        self.feed = {node.name: by_node[node].kept for node in graph.placeholders}
        prepared = prepare(graph, fetches, self.feed)
        kept = [by_node[node].kept for node in program.order]
        return Trace(prepared, kept, times, graph.updates, error=recorder.error)


class LoadedStep(NamedTuple):
    """A step as a file has it.

    Attributes
    ----------
    trace : Trace
    losses : list of Node
    """

    trace: Trace
    losses: list[Node]

    @property
    def graph(self) -> Graph:
        """The graph of the step."""
        return self.trace.graph

    @property
    def feed(self) -> dict[str, Array]:
        """What it was given, by the names of placeholders."""
        trace = self.trace
        return {node.name: trace.prepared.given[node] for node in trace.graph.placeholders} if trace.has_values else {}


def _blank(value: Value) -> Any:
    return np.broadcast_to(np.zeros((), value.dtype), value.shape)
