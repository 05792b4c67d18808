"""The reader: goes through the nodes of an ONNX model, in order, and makes a graph of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .._util.garbage_collection import collector_paused
from .._util.source_location import Origin, user_origin
from .._util.text import quoted, short_repr
from ..core import Array, Constant, Dim, Graph, Node, Op, Parameter, Provenance, Spec, current_provenance, fn, sealed
from ..core.graph_tables import checked_name
from ..core.scopes import Scope, forget
from ..core.shape_complexity import allow
from ..errors import FileFormatError, GraphnnError, NoRuleError, restated
from ..runtime.interpreter import run
from .broadcasting import BROADCAST, broadcasting
from .function_bodies import body_of, defaults_of, domain_of, kinds_of
from .node_order import in_order
from .onnx_attributes import attributes_of
from .onnx_node import Call, to_give
from .rule_registry import LOGIC, ON_SIZES, RULES, Rule, Value
from .shape_arithmetic import MOST, Sizes, Undecided
from .tensors import array_of

_MOST_RESULT = 1 << 16
"""The maximum number of elements of a result that is computed while a model is read."""
_MOST_NODES = 250_000
"""The most ONNX nodes that are gone through, those in loops counted each time."""
_RANDOM = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli")
"""What stays a node whatever it is given, so that one sees it."""

_MOST_DEPTH = 50

_FRAME = re.compile(r'File "([^"\n]+)", line (\d{1,9})')
_OF_TORCH = re.compile(r"[/\\\\](site-packages|dist-packages)[/\\\\]torch[/\\\\]")
_QUOTED = re.compile(r"'([^'\n]*)'")


@dataclass
class Frame:
    """The values that have names in a graph, a subgraph or a function; those around it are found, too."""

    around: Frame | None = None
    values: dict[str, Value | None] = field(default_factory=dict)

    def find(self, name: str) -> Value | None:
        """Return the value of a name."""
        frame: Frame | None = self
        while frame is not None:
            if name in frame.values:
                return frame.values[name]
            frame = frame.around
        raise FileFormatError(f"{short_repr(name)} is read, and nothing makes it")


@dataclass
class Weight:
    """An initializer that becomes a parameter where it is first read."""

    name: str
    array: Array
    node: Node | None = None


class Reader:
    """Makes nodes of ONNX nodes, in one graph.

    Parameters
    ----------
    graph : Graph
    versions : dict of str to int
        The opset of each domain.
    functions : dict of (str, str) to FunctionProto
        The model's own.
    file : str
        The name of the model's file; the origin of nodes is their number in it.
    folder : Path or None
        Where external data are.
    reserved : set of str
        Names of inputs and outputs, which no scope may have.
    """

    def __init__(
        self,
        graph: Graph,
        versions: dict[str, int],
        functions: dict[tuple[str, str], Any],
        file: str,
        folder: Path | None,
        reserved: set[str],
    ) -> None:
        self.graph = graph
        self.versions = versions
        self.functions = functions
        self.file = file
        self.folder = folder
        self.reserved = reserved
        self.folded = 0
        """How many ONNX nodes were evaluated while the model was read."""
        self.count = 0
        self.titles: dict[int, str] = {}
        """id of an array → the name of the initializer that it is."""
        self.readers: Counter[str] = Counter()
        """How often a tensor is read by the nodes of the model, whose names are not those of a function's body."""
        self.undecided: dict[Node, tuple[Call, list[Value | None]]] = {}
        """What depends on sizes alone and is not known whatever they are → of what it is computed."""
        self.loops = 0
        """How many loops are around what is read, each of them one node."""
        self._depth = 0
        self._constants: dict[int, tuple[Array, Node]] = {}
        self._paths: dict[tuple[str, str], str] = {}
        self._around: Scope | None = None
        """The scope of the model's own node that is being read."""

    # --- values ---

    def constant(self, graph: Graph, array: Array) -> Node:
        """Return the node of an array: one for each, at the top if it is an initializer."""
        if graph is not self.graph:
            return graph.constant(array)
        known = self._constants.get(id(array))
        if known is None:
            array.flags.writeable = False
            title = self.titles.get(id(array))
            if title is None:
                # In C order, as a file keeps it: products of matrices round by the order.
                node = graph._holding(array if array.flags.c_contiguous else sealed(array))
            else:
                node = self._stored_at(Constant(), title, array)
            known = self._constants[id(array)] = array, node
        return known[1]

    def weight(self, value: Any) -> Any:
        """Return a value; in the place of a weight its parameter, made now if need be."""
        if not isinstance(value, Weight):
            return value
        if value.node is None:
            value.node = self._stored_at(Parameter(trainable=True), value.name, value.array)
        return value.node

    def _stored_at(self, op: Op, name: str, array: Array) -> Node:
        """Make the node of an initializer, with its name, in the scope of the only node that reads it."""
        scope = self._around if self.readers[name] == 1 else None
        origin = current_provenance(self.graph).origin or user_origin()
        with Provenance(self.graph, lambda around: (None, False)):
            name = checked_name(self.graph.free_name(name))
        return self.graph._make(op, (), Spec(array.shape, array.dtype), name, array, (scope, origin))

    def stored(self, node: Node) -> Array | None:
        """Return the array of a constant node."""
        return node.graph._stored(node) if node.op.is_constant else None

    # --- nodes ---

    @collector_paused()
    def read(self, nodes: Sequence[Any], frame: Frame, bindings: Mapping[str, Any], outer: str = "") -> None:
        """Make what the nodes of a graph or a body are, and give their outputs to the frame."""
        for place, proto in in_order(nodes, frame.values):
            self.read_one(proto, frame, bindings, Origin(self.file, place + 1) if not outer else None)

    def read_one(self, proto: Any, frame: Frame, bindings: Mapping[str, Any], origin: Origin | None) -> None:
        """Make what one node is, and give its outputs to the frame."""
        self.counted()
        self._read(proto, frame, bindings, origin)

    def counted(self) -> None:
        """Count a node, or a round of a loop, and refuse too many."""
        self.count += 1
        allow(1)
        if self.count > _MOST_NODES:
            raise FileFormatError(f"the model has more than {_MOST_NODES:,} nodes, counting those in loops each time")

    def _read(self, proto: Any, frame: Frame, bindings: Mapping[str, Any], origin: Origin | None) -> None:
        outputs = tuple(proto.output)
        try:
            operands = [frame.find(name) if name else None for name in proto.input]
            domain = domain_of(proto)
            call = Call(self, self.graph, proto.op_type, self._version(domain), outputs)
            call.frame, call.bindings = frame, dict(bindings)
            kinds = kinds_of(domain, proto.op_type, call.version)
            call.attributes = attributes_of(proto, bindings, self.folder, kinds=kinds)
            results = self._results(call, proto, operands, origin)
        except Exception as error:
            raise self._explained(error, proto) from error
        for name, result in zip(outputs, results, strict=False):
            if name:
                frame.values[name] = result
        missing = [name for name in outputs[len(results) :] if name]
        if missing:
            why = f"graphnn computes {len(results)} of its {len(outputs)} outputs, and not {missing[0]!r}"
            raise self._explained(NoRuleError(why), proto)

    def _results(
        self, call: Call, proto: Any, operands: list[Value | None], origin: Origin | None
    ) -> Sequence[Value | None]:
        kind = domain_of(proto), proto.op_type
        rule = RULES.get(kind)
        if rule is not None:
            folded = self._folded(call, rule, operands)
            if folded is not None:
                self.folded += 1
                return folded
        with self._scope(proto, origin_in(proto) or origin):
            operands = [self.weight(operand) for operand in operands]
            if rule is not None:
                if call.op in BROADCAST:
                    operands = broadcasting(call.op, operands)
                made = applied(rule, call, operands)
                if call.op == "Identity" and isinstance(made[0], Node) and is_detached(proto):
                    return [fn.stop_gradient(made[0])]
                if (call.op in ON_SIZES or call.op in LOGIC) and all(
                    self._is_of_sizes(operand) for operand in operands
                ):
                    self.undecided.update({node: (call, operands) for node in made if isinstance(node, Node)})
                return made
            own = self.functions.get(kind)
            body = own if own is not None else body_of(proto, call.version, operands)
            if body is None:
                raise NoRuleError(f"graphnn has no rule for {proto.op_type}")
            given = call.attributes if own is not None else {**defaults_of(proto, call.version), **call.attributes}
            return self._function(body, operands, given, call.outputs)

    def _function(
        self, body: Any, operands: Sequence[Value | None], given: Mapping[str, Any], outputs: Sequence[str]
    ) -> list[Value | None]:
        """Return the outputs of a function; those that nobody reads need not be made by it."""
        frame = Frame(None, dict.fromkeys(body.input))
        frame.values.update(zip(body.input, operands, strict=False))
        bindings = dict(given)
        for default in attributes_of(body, {}, self.folder, "attribute_proto").items():
            bindings.setdefault(*default)
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise FileFormatError(f"functions call each other more than {_MOST_DEPTH} deep")
        kept, self.versions = self.versions, {**self.versions, **{domain_of(o): o.version for o in body.opset_import}}
        try:
            self.read(body.node, frame, bindings, "inner")
        finally:
            self.versions = kept
            self._depth -= 1
        read = [bool(name) for name in outputs] + [False] * len(body.output)
        found = zip(body.output, read, strict=False)
        return [self.weight(frame.find(name)) if wanted else None for name, wanted in found]

    def inner(self, call: Call, graph: Any, operands: Sequence[Value], name: str) -> list[Value]:
        """Return the outputs of a subgraph, which sees the names around it."""
        self.counted()
        frame = Frame(call.frame)
        for name, tensor in initializers_of(graph, "a subgraph").items():
            frame.values[name] = array_of(tensor, self.folder)
        frame.values.update(zip([each.name for each in graph.input], operands, strict=False))
        with ExitStack() as stack:
            if name:
                stack.enter_context(self.graph.new_scope(name))
            self.read(graph.node, frame, call.bindings, "inner")
        return [self.weight(frame.find(each.name)) for each in graph.output]

    def _version(self, domain: str) -> int:
        version = self.versions.get(domain)
        if version is None:
            raise FileFormatError(f"the model does not say which opset of the domain {short_repr(domain)} it uses")
        return version

    def _explained(self, error: Exception, proto: Any) -> GraphnnError:
        if isinstance(error, Undecided):
            error = NoRuleError(f"what it does depends on sizes that are not known{to_give(self.graph)}")
        if isinstance(error, GraphnnError) and error.context.startswith(f"{self.file}: "):
            return error
        name = f" {quoted(proto.name)}" if proto.name else f" that makes {short_repr(next(iter(proto.output), ''))}"
        return restated(error, f"{self.file}: the {proto.op_type}{name}: ")

    # --- what is known while the model is read ---

    def _folded(self, call: Call, rule: Rule, operands: list[Value | None]) -> Sequence[Value] | None:
        """Return the results where all operands are numbers or sizes, or None."""
        given = [operand for operand in operands if operand is not None]
        if not all(isinstance(operand, (np.ndarray, Sizes)) for operand in given):
            return None
        if "body" in rule.forms or "then_branch" in rule.forms:
            return None
        if any(isinstance(operand, Sizes) for operand in given):
            return self._on_sizes(call, operands)
        if call.op in _RANDOM:
            return None
        if sum(operand.size for operand in given) > MOST:
            return None
        scratch = Call(self, Graph("folded", np.float32), call.op, call.version, call.outputs)
        scratch.attributes = call.attributes
        results = applied(rule, scratch, operands)
        nodes = [result for result in results if isinstance(result, Node)]
        if any(isinstance(result, list) for result in results) or any(not _small(node) for node in nodes):
            return None
        values = dict(zip(nodes, run(nodes), strict=True)) if nodes else {}
        return [np.asarray(values[result]) if isinstance(result, Node) else result for result in results]

    def _is_of_sizes(self, value: Value | None) -> bool:
        return isinstance(value, (np.ndarray, Sizes)) or (isinstance(value, Node) and value in self.undecided)

    def supposing(self, value: Value, sizes: dict[str, Dim], depth: int = 0) -> Value | None:
        """Return what a value is with other sizes, if it is of numbers and sizes alone; no node is made."""
        if isinstance(value, Sizes):
            return value.supposing(sizes)
        if not isinstance(value, Node) or value not in self.undecided or depth > _MOST_DEPTH:
            return None if isinstance(value, Node) else value
        call, operands = self.undecided[value]
        given = [self.supposing(operand, sizes, depth + 1) for operand in operands]
        rule = RULES.get(("", call.op))
        if rule is None or any(operand is None for operand in given):
            return None
        found = self._folded(call, rule, given)
        return None if found is None else found[0]

    def known(
        self, call: Call, graph: Any, nodes: Sequence[Any], given: Mapping[str, Value], name: str
    ) -> Value | None:
        """Return what some nodes of a subgraph make of numbers and sizes, if that is known; no node is made."""
        frame = Frame(call.frame, dict.fromkeys(each.name for each in graph.input))
        for title, tensor in initializers_of(graph, "a subgraph").items():
            frame.values[title] = array_of(tensor, self.folder)
        frame.values.update(given)
        for _, proto in in_order(nodes, frame.values):
            self.counted()
            rule = RULES.get((domain_of(proto), proto.op_type))
            operands = [frame.find(each) for each in proto.input]
            operands = [self.stored(each) if isinstance(each, Node) else each for each in operands]
            if rule is None or any(operand is None for operand in operands):
                return None
            one = Call(self, self.graph, proto.op_type, self._version(domain_of(proto)), tuple(proto.output))
            one.attributes = attributes_of(proto, call.bindings, self.folder)
            found = self._folded(one, rule, operands)
            if found is None:
                return None
            frame.values.update(zip(proto.output, found, strict=False))
        found_there = frame.find(name)
        return self.stored(found_there) if isinstance(found_there, Node) else found_there

    def _on_sizes(self, call: Call, operands: Sequence[Value | None]) -> Sequence[Value] | None:
        function = ON_SIZES.get(call.op)
        if function is None:
            return None
        try:
            result = function(call, *operands, **call.attributes)
        except (Undecided, GraphnnError, TypeError, ValueError, IndexError, ZeroDivisionError, OverflowError):
            return None
        return None if result is None else result if isinstance(result, tuple) else (result,)

    def ending(self) -> Call:
        """Return a call that stands for the model's outputs."""
        return Call(self, self.graph, "", 0, ())

    # --- scopes ---

    @contextmanager
    def _scope(self, proto: Any, origin: Origin | None) -> Iterator[None]:
        """Make nodes in the scope of an ONNX node: of its name, or of its operation's where it has none."""
        *prefixes, last = path_in(proto) or [proto.op_type]
        with ExitStack() as stack:
            for prefix in prefixes:
                around = self._current()
                key = around, prefix
                path = self._paths.get(key)
                if path is None:
                    path = self.graph.free_name(self._unreserved(around, prefix, "part"))
                    self._paths[key] = path
                stack.enter_context(self.graph.in_scope(path))
            base = self._unreserved(self._current(), last, proto.op_type)
            opened = stack.enter_context(self.graph.new_scope(base, kind=proto.op_type, origin=origin))
            if origin is not None:
                stack.enter_context(self.graph.in_scope(None, origin=origin, origin_of_nodes=True))
            outermost = self._around is None
            if outermost:
                self._around = opened.scope
            try:
                yield
            finally:
                if outermost:
                    self._around = None
        if opened.scope is not None and opened.scope.result is None:
            forget(self.graph, opened.scope)

    def _current(self) -> str:
        scope = current_provenance(self.graph).scope
        return "" if scope is None else scope.path

    def _unreserved(self, around: str, base: str, kind: str) -> str:
        return f"{base}_{kind}" if (f"{around}/{base}" if around else base) in self.reserved else base


def _small(node: Node) -> bool:
    total = 1
    for dim in node.spec.shape:
        total *= dim if isinstance(dim, int) else _MOST_RESULT + 1
    return total <= _MOST_RESULT


def initializers_of(graph: Any, where: str) -> dict[str, Any]:
    """Return the tensors of a graph or a subgraph by their names."""
    found = {tensor.name: tensor for tensor in graph.initializer}
    if graph.sparse_initializer:
        raise FileFormatError(f"{where} has sparse initializers, which graphnn does not read")
    if len(found) < len(graph.initializer) or "" in found:
        raise FileFormatError(f"{where} has two initializers of one name, or one without a name")
    return found


def origin_in(proto: Any) -> Origin | None:
    """Return the user's innermost line of the PyTorch program that a node is from, where its metadata say so."""
    found = None
    for entry in proto.metadata_props:
        if entry.key == "pkg.torch.onnx.stack_trace":
            for file, number in _FRAME.findall(entry.value):
                if found is None or not _OF_TORCH.search(file):
                    found = Origin(file, int(number))
    return found


def is_detached(proto: Any) -> bool:
    """Return whether PyTorch passes no gradient through a node, which ONNX itself cannot say."""
    return any(
        entry.key == "pkg.torch.onnx.fx_node" and "aten.detach." in entry.value for entry in proto.metadata_props
    )


def path_in(proto: Any) -> list[str]:
    """Return the parts of the name of a node's scope: those of its name, or of the PyTorch modules around it."""
    for entry in proto.metadata_props:
        if entry.key == "pkg.torch.onnx.name_scopes":
            parts, before = [], ""
            for part in _QUOTED.findall(entry.value):
                parts.append(part.removeprefix(f"{before}."))
                before = part
            return [part for part in parts if part]
    return [part for part in proto.name.split("/") if part]


def applied(rule: Rule, call: Call, operands: Sequence[Value | None]) -> Sequence[Value | None]:
    """Return what a rule makes of operands and the call's attributes: a tuple of values."""
    given: dict[str, Any] = {}
    attributes = dict(call.attributes)
    rest: list[Any] = []
    for place, operand in enumerate(operands):
        if place < len(rule.operands):
            if operand is not None:
                given[rule.operands[place]] = _as(call, rule.forms[rule.operands[place]], operand, rule.operands[place])
        elif rule.rest is not None:
            rest.append(None if operand is None else _as(call, rule.forms[rule.rest], operand, "an operand"))
        else:
            call.refuse(f"it has {len(operands)} operands, and graphnn reads {len(rule.operands)}")
    for name, value in attributes.items():
        key = name if name in rule.forms else f"{name}_"
        if key not in rule.forms or key in given or key == rule.rest:
            call.refuse(f"graphnn does not read its attribute {name}={short_repr(value)}")
        form, choices = rule.forms[key], rule.choices.get(key, (value,))
        if value not in choices:
            call.refuse(f"its {name} is {short_repr(value)}, and graphnn knows {', '.join(map(repr, choices))}")
        given[key] = _as(call, form, np.asarray(value), key) if form in ("Node", "Known", "Dims") else value
    lacking = rule.required - set(given)
    if lacking:
        call.refuse(f"it lacks {min(lacking)!r}")
    if rule.rest is not None:
        before = [given.pop(name) if name in given else None for name in rule.operands]
        result = rule.function(call, *before, *rest, **given)
    else:
        result = rule.function(call, **{**dict.fromkeys(rule.optional), **given})
    return result if isinstance(result, tuple) else (result,)


def _as(call: Call, form: str, value: Any, what: str) -> Any:
    if form == "Node":
        return call.node(value)
    if form == "Known":
        return call.known(value, what)
    if form == "Dims":
        return call.dims(value, what)
    return value
