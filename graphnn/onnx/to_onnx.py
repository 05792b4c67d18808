"""A graph as a model of ONNX.

Every node of the graph becomes a group of ONNX nodes, which lie in the scope of that node: a group of one has the name
of the node, and others are named after it, such as ``dense_1/gelu/Mul_2``. The value of the node is a tensor of its
name.

The format of the metadata, version 1
-------------------------------------
By it, `from_onnx` makes the same graph again. It takes a node from the metadata if that node would be written as the
ONNX nodes of its group are, and else reads these (see ``restoring.py``). All keys begin with ``graphnn.``; a
value is text, or JSON where the table says so. (As in Python's `json`, it may hold ``Infinity`` and ``NaN``.)

Of the model (``ModelProto.metadata_props``):

- ``format``: ``1``.
- ``graph``: JSON ``{"name": text, "dtype": text}``.
- ``scopes``: JSON list of ``[path, kind, phase, origin, parent]``, those around a scope before it; the parent is its
  number in the list, or -1. Only scopes of nodes that are in the model.
- ``updates``: JSON ``{tensor of a parameter: output that is its next value}``.
- ``labels``, if there are any: JSON list of ``[name, axis, labels]``: of an axis of the node of that name, or of the
  dimension of that name, with the axis -1.

Of what computes, or holds, the value of a node of the graph: the last ONNX node of its group; of a constant, and of a
parameter whose value is in the model, the ``TensorProto``; of an input, the ``ValueInfoProto``:

- ``name``: the node's name. (Its tensor may be called otherwise, where ONNX cannot hold the name.)
- ``op``, ``attributes``: the operation's name and, as JSON, its attributes as graph files hold them.
- ``operands``: JSON list of the tensors that are its operands, in order.
- ``dtype``; ``shape``: JSON list of ints and of dimensions as text.
- ``scope``: the path of its scope, empty at the top. ``origin``: ``file:line``, or empty.
- ``twin``: the name of the node that it was made for, if that is in the model.
- ``parts``, on ONNX nodes only, of which the last output is the value: how many ONNX nodes its group has. If there are
  fewer of them, somebody has changed the group, and the metadata tell what it was.

Of the other ONNX nodes:

- ``part``: the tensor of the group that it belongs to; empty for nodes that compute sizes, or name an output. The nodes
  in the body of a loop have no metadata.

The core of a convolution is written as ONNX's ``Conv``, and pooling as the largest of slices. Such a group reads what
the windows slide over, and not the operands of its node. Operands that nothing else reads have no ONNX nodes then:

- ``inner``, of the last ONNX node of such a group: JSON list of those nodes, in order, each a dict of the keys above,
  from ``name`` to ``twin``, and of ``tensor``, the name by which others have it among their operands.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .._util.text import counted, quoted, short_repr
from ..compiler.compile import Compiled
from ..control_flow.branch_op import Branch
from ..control_flow.loop_op import Loop
from ..core.fetches import ordered, resolve
from ..core.symbolic_shapes import names_in
from ..errors import GraphError, GraphnnError, NoRuleError, UsageError, ValueRangeError, restated
from ..io.atomic_file import replacing
from ..io.graph_files import settings_of
from ..io.paths import path_of
from . import writers as _registered  # noqa: F401
from .node_order import reads
from .writers.draft import LEAST_OPSET, MOST_OPSET, Draft
from .writers.group import Unwritable, group_of
from .writers.loops import is_plain

if TYPE_CHECKING:
    from .._util.source_location import Origin
    from ..core import Graph, Node

FORMAT = 1
OPSET = 21
_STATES = ("weights", "inputs")
_MOST_INSIDE = 2**31 - 2**20
"""Bytes of values that a file of protobuf holds; more go into a file beside it."""
_LARGE = 1024
"""Bytes from which on a value goes there."""


class _Model(NamedTuple):
    """What is to be written: nodes in order, and the outputs by name."""

    graph: Graph
    order: list[Node]
    outputs: list[tuple[str, Node]]
    updates: dict[Node, str]
    chosen: Set[str]
    """The names of outputs that the user wrote, as keys of a dict."""


def to_onnx(
    fetches: Any,
    path: str | os.PathLike[str] | None = None,
    opset: int = OPSET,
    state: str = "weights",
    graph: Graph | None = None,
) -> Any:
    """Write nodes, and all that they need, as a model of ONNX: a forward pass, gradients, or a whole training step.

    Parameters
    ----------
    fetches : Node, str, list, tuple or dict of them, Graph, or a compiled step
        What the outputs are. Those of a dict have the names of its keys, others those of the nodes. A compiled step
        gives its fetches, and the next values of all that it updates; that of the parameter ``w`` is the output
        ``w.next``.
    path : str or path-like, optional
        Where to; a file that was there is replaced once the new one is complete. More than 2 GB of values go into a
        second file beside it, ``<path>.data``.
    opset : int
        Of ONNX's operations, from 17 to 24.
    state : str
        ``"weights"``: the values of the parameters are in the model. ``"inputs"``: they are inputs, so that a runtime
        can train, by feeding the next values back.
    graph : Graph, optional
        Where names are looked up, if no fetch is a node.

    Returns
    -------
    onnx.ModelProto or None
        The model, unless there is a path.

    Raises
    ------
    UsageError
        When ONNX is not installed, or a fetch is not a node. (A TypeError.)
    ValueRangeError
        When there is no such opset or state. (A ValueError.)
    GraphError
        When two outputs would have the same name, or one that of an input or parameter. (A ValueError.)
    NoRuleError
        When some operations cannot be written; the message names all of them. (A NotImplementedError.)
    NotFoundError
        When no input has a dimension whose size is needed. (A KeyError.)

    Examples
    --------
    >>> from graphnn import Graph
    >>> g = Graph()
    >>> x = g.placeholder("x", shape=("batch", 2))
    >>> y = x @ g.parameter("w", [[1.0], [2.0]])
    >>> model = to_onnx({"y": y})
    >>> [node.op_type for node in model.graph.node], [output.name for output in model.graph.output]
    (['MatMul', 'Identity'], ['y'])
    """
    onnx = _package()
    most = min(MOST_OPSET, onnx.defs.onnx_opset_version())
    if type(opset) is not int or not LEAST_OPSET <= opset <= most:
        raise ValueRangeError(
            f"opset is an int from {LEAST_OPSET} to {most} with onnx {onnx.__version__}, not {short_repr(opset)}"
        )
    if not isinstance(state, str) or state not in _STATES:
        raise ValueRangeError(f'state is "weights" or "inputs", not {short_repr(state)}')
    path = None if path is None else path_of(path)
    asked = _asked(fetches, graph)
    with asked.graph.building:
        draft = Draft(onnx, opset)
        proto, large = _written(draft, asked, state)
    if large and path is None:
        raise ValueRangeError("a model of more than 2 GB needs a path: its values go into a second file beside it")
    _check(onnx, proto, large)
    if path is None:
        return proto
    _save(onnx, proto, large, path)
    return None


def _package() -> Any:
    try:
        import onnx
    except ImportError:
        raise UsageError('models of ONNX need the package onnx: pip install "graphnn[onnx]"') from None
    return onnx


# --- what is asked for ----------------------------------------------------------------------------------------------


def _asked(fetches: Any, graph: Graph | None) -> _Model:
    updates: Mapping[Node, Node] = {}
    if isinstance(fetches, Compiled):
        updates = fetches.updates
        fetches = fetches.rebuild(fetches.fetches)
    graph, nodes, _ = resolve(fetches, graph, updates)
    written = _names(fetches)
    chosen = Counter(filter(None, written)) + Counter(f"{parameter.name}.next" for parameter in updates)
    twice = next((name for name, count in chosen.items() if count > 1), None)
    if twice is not None:
        raise GraphError(f"two outputs of the model would be called {quoted(twice)}: give one of them another key")
    taken = {*chosen}
    names = [name or _free(node.name, taken) for name, node in zip(written, nodes, strict=True)]
    following = {parameter: f"{parameter.name}.next" for parameter in updates}
    outputs = [*zip(names, nodes, strict=True), *((following[parameter], node) for parameter, node in updates.items())]
    return _Model(graph, ordered([*(node for _, node in outputs), *updates]), outputs, following, chosen.keys())


def _free(name: str, taken: set[str]) -> str:
    found, number = name, 2
    while found in taken:
        found, number = f"{name}_{number}", number + 1
    taken.add(found)
    return found


def _check_is_free(asked: _Model, node: Node) -> None:
    """Raise an error if an output is to have the name of something that is not computed, such as an input."""
    if node.name in asked.chosen:
        what = "parameter" if node.op.is_parameter else node.op.name
        raise GraphError(
            f"the output {quoted(node.name)} would have the name of the {what} {quoted(node.name)}, made at "
            f"{node.origin}, and in a model of ONNX each value has a name of its own: give it another key"
        )


def _names(fetches: Any) -> list[str]:
    """Return a name for each fetch: the keys that lead to it; empty where there is none."""
    found: list[str] = []
    waiting: list[tuple[Any, str]] = [(fetches, "")]
    while waiting:
        form, path = waiting.pop()
        if isinstance(form, Mapping):
            inside = [(part, f"{path}/{key}" if path else str(key)) for key, part in form.items()]
        elif isinstance(form, (list, tuple)):
            inside = [(part, f"{path}/{i}" if path else "") for i, part in enumerate(form)]
        else:
            found.append(path)
            continue
        waiting += reversed(inside)
    return found


# --- the model ------------------------------------------------------------------------------------------------------


def _written(draft: Draft, asked: _Model, state: str) -> tuple[Any, list[Any]]:
    """Return the model, and those of its values that are to go into a second file."""
    names = _Names(draft, asked)
    values = dict(asked.graph.state)  # at one blow, so from between two steps of another thread
    inputs = []
    for node in asked.order:
        if node.op.is_placeholder or (node.op.is_parameter and state == "inputs"):
            inputs.append(_input(draft, names, node))
        elif node.has_value:
            value = values[node] if node.op.is_parameter else asked.graph._stored(node)
            tensor = draft.tensor(names.of[node], value)
            draft.mark(tensor, names.about(node))
            draft.initializers.append(tensor)
    inputs += _that_tell_sizes(draft, names, asked)
    refused: dict[str, list[tuple[Node, str]]] = {}
    groups: dict[Node, list[Any]] = {}
    for node in asked.order:
        if not _is_given(node):
            try:
                groups[node] = group_of(draft, names.of, node)
            except Unwritable as reason:
                refused.setdefault(node.op.name, []).append((node, str(reason)))
    if refused:
        raise _refusal(refused, draft.opset)
    _keep_needed(draft, names, groups, {node for _, node in asked.outputs})
    outputs = [_output(draft, names, name, node) for name, node in asked.outputs]
    large: list[Any] = []
    if sum(tensor.ByteSize() for tensor in draft.initializers) > _MOST_INSIDE:
        large = [tensor for tensor in draft.initializers if tensor.ByteSize() >= _LARGE]
        draft.initializers = [tensor for tensor in draft.initializers if tensor.ByteSize() < _LARGE]
    return _proto(draft, asked, names, inputs, outputs), large


def _is_given(node: Node) -> bool:
    """Tell whether the value of a node is not computed."""
    return node.has_value or node.op.is_placeholder


class _Names:
    """The tensors of the nodes, and what their metadata say.

    Attributes
    ----------
    of : dict of Node to str
    outputs : dict of str to str
        What each output is called in the model; without those that are the tensor of a node.
    """

    def __init__(self, draft: Draft, asked: _Model) -> None:
        self.nodes = set(asked.order)
        self.of: dict[Node, str] = {}
        # Inputs are called as the nodes are, then outputs as they are asked for; an output of a node's own name is its
        # tensor, if it is computed.
        own = {node: name for name, node in reversed(asked.outputs) if node.name == name and not _is_given(node)}
        for node in filter(_is_given, asked.order):
            _check_is_free(asked, node)
            self.of[node] = draft.name(node.name)
        self.outputs = {name: draft.name(name) for name, node in asked.outputs}
        for node in asked.order:
            if node in own:
                self.of[node] = self.outputs.pop(own[node])
            elif node not in self.of:
                self.of[node] = draft.name(node.name)

    def about(self, node: Node) -> dict[str, Any]:
        """Return the metadata of a node."""
        about = {
            "name": _text(node.name),
            "op": node.op.name,
            "attributes": settings_of(node.op),
            "operands": [self.of[operand] for operand in node.inputs],
            "dtype": node.dtype.name,
            "shape": list(node.spec.shape),
            "scope": _text(node.scope),
            "origin": _line(node.origin),
        }
        if node.twin in self.nodes:
            about["twin"] = _text(node.twin.name)
        return about


def _text(name: str) -> str:
    """Return a text that a file can hold."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _line(origin: Origin) -> str:
    return _text(f"{origin.file}:{origin.line}") if origin.file else ""


def _input(draft: Draft, names: _Names, node: Node) -> Any:
    name = names.of[node]
    info = _info(draft, name, node)
    draft.mark(info, names.about(node))
    draft.give_sizes(name, node.spec.shape)
    return info


def _info(draft: Draft, name: str, node: Node) -> Any:
    return draft.onnx.helper.make_tensor_value_info(name, draft.number(node.dtype), list(node.spec.shape))


def _that_tell_sizes(draft: Draft, names: _Names, asked: _Model) -> list[Any]:
    """Return inputs that nothing but the sizes of dimensions needs."""
    needed = names_in(dim for node in asked.order for dim in node.spec.shape)
    needed = needed.union(*(node.op.dimension_names for node in asked.order if node.op.sized))
    found = []
    for node in asked.graph.placeholders:
        lacking = needed - draft.sources.keys()
        if node not in names.of and lacking & {*node.spec.shape}:
            _check_is_free(asked, node)
            names.of[node] = draft.name(node.name)
            names.nodes.add(node)
            found.append(_input(draft, names, node))
    return found


def _keep_needed(draft: Draft, names: _Names, groups: Mapping[Node, list[Any]], outputs: set[Node]) -> None:
    """Give the draft the groups whose values are read, each with what its metadata tell."""
    read = {names.of[node] for node in outputs}
    kept = set()
    for node, written in reversed(list(groups.items())):
        if names.of[node] in read:
            kept.add(node)
            read.update(*map(reads, written))
    told: set[Node] = set()
    for node, written in groups.items():
        if node in kept:
            *parts, last = written
            for part in parts:
                draft.mark(part, {"part": names.of[node]})
            about = {**names.about(node), "parts": len(written)}
            inner = [each for each in _between(node, groups.keys() - kept) if each not in told]
            if inner:
                about["inner"] = [{**names.about(each), "tensor": names.of[each]} for each in inner]
            told.update(inner)
            draft.mark(last, about)
            draft.nodes += written
    for size in reversed(draft.of_sizes):
        if size.output[0] in read:
            draft.nodes.insert(0, size)
            read.update(size.input)
    draft.initializers += [tensor for tensor in draft.constants if tensor.name in read]


def _between(node: Node, dropped: Set[Node]) -> list[Node]:
    """Return the nodes without ONNX nodes that lead to a node, in order."""
    found: set[Node] = set()
    waiting = [node]
    while waiting:
        for operand in waiting.pop().inputs:
            if operand in dropped and operand not in found:
                found.add(operand)
                waiting.append(operand)
    return sorted(found, key=lambda each: each.index)


def _output(draft: Draft, names: _Names, name: str, node: Node) -> Any:
    """Return what describes an output, which another name than that of its node takes an ONNX node for."""
    called = names.outputs.get(name)
    if called is None:
        return _info(draft, names.of[node], node)
    copy = draft.node("Identity", [names.of[node]], [called], called)
    draft.mark(copy, {"part": ""})
    draft.nodes.append(copy)
    return _info(draft, called, node)


def _proto(draft: Draft, asked: _Model, names: _Names, inputs: list[Any], outputs: list[Any]) -> Any:
    helper, graph = draft.onnx.helper, asked.graph
    shown = {output.name for output in outputs}
    made = {name for node in draft.nodes for name in node.output} - shown
    between = [_info(draft, names.of[node], node) for node in asked.order if names.of[node] in made and _is_as_is(node)]
    title = _text(graph.name) or "graph"
    whole = helper.make_graph(draft.nodes, title, inputs, outputs, draft.initializers, value_info=between)
    opsets = [helper.make_opsetid("", draft.opset)]
    proto = helper.make_model(
        whole, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets), producer_name="graphnn"
    )
    about: dict[str, Any] = {"format": str(FORMAT), "graph": {"name": _text(graph.name), "dtype": graph.dtype.name}}
    about["scopes"] = _scopes(asked)
    at = dict(asked.outputs)
    about["updates"] = {names.of[p]: names.outputs.get(name, names.of[at[name]]) for p, name in asked.updates.items()}
    if labels := _labels(asked):
        about["labels"] = labels
    draft.mark(proto, about)
    return proto


def _labels(asked: _Model) -> list[list[Any]]:
    """Return the names of positions, of nodes and of dimensions that are in the model."""
    nodes = set(asked.order)
    names = names_in(dim for node in nodes for dim in node.spec.shape) if asked.graph.labels else frozenset()
    return [
        [_text(key[0].name), key[1], list(labels)] if isinstance(key, tuple) else [key, -1, list(labels)]
        for key, labels in asked.graph.labels.items()
        if (key[0] in nodes if isinstance(key, tuple) else key in names)
    ]


def _is_as_is(node: Node) -> bool:
    """Tell whether the tensor of a node has its shape and dtype."""
    return not isinstance(node.op, (Loop, Branch)) or is_plain(node.op)


def _scopes(asked: _Model) -> list[list[Any]]:
    """Return the scopes of the nodes, with all around them."""
    paths: set[str] = set()
    for node in asked.order:
        scope = asked.graph.scopes.get(node.scope)
        while scope is not None and scope.path not in paths:
            paths.add(scope.path)
            scope = scope.parent
    found = [scope for path, scope in asked.graph.scopes.items() if path in paths]
    number = {scope.path: i for i, scope in enumerate(found)}
    return [
        [
            _text(scope.path),
            _text(scope.kind),
            scope.phase,
            _line(scope.origin),
            -1 if scope.parent is None else number[scope.parent.path],
        ]
        for scope in found
    ]


# --- what cannot be written -----------------------------------------------------------------------------------------


def _refusal(refused: Mapping[str, Sequence[tuple[Node, str]]], opset: int) -> GraphnnError:
    lines = []
    for op, found in refused.items():
        for reason, count in Counter(reason for _, reason in found).items():
            first = next(node for node, why in found if why == reason)
            lines.append(
                f"  {op}: {counted(count, 'node')}, the first {quoted(first.name)} made at {first.origin}: {reason}"
            )
    first = next(iter(refused.values()))[0][0]
    error = NoRuleError(
        f"to_onnx cannot write {counted(len(refused), 'operation')} with opset {opset}, and nothing was written",
        node=first,
        op=first.op.name,
    )
    return error.within("", *lines)


# --- the file -------------------------------------------------------------------------------------------------------


def _save(onnx: Any, proto: Any, large: Sequence[Any], path: Path) -> None:
    """Write a model to a file, and large values to a second one."""
    if large:
        data = path.with_name(f"{path.name}.data")
        with replacing(data) as file:
            for tensor in large:
                proto.graph.initializer.append(_outside(onnx, tensor, data.name, file.tell()))
                file.write(tensor.raw_data)
                file.write(bytes(-file.tell() % _ALIGNED))
    with replacing(path) as file:
        file.write(proto.SerializeToString())


_ALIGNED = 4096


def _outside(onnx: Any, tensor: Any, file: str, offset: int) -> Any:
    """Return what stands for an initializer whose value is in another file."""
    stub = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    stub.metadata_props.extend(tensor.metadata_props)
    stub.data_location = onnx.TensorProto.EXTERNAL
    where = {"location": file, "offset": offset, "length": len(tensor.raw_data)}
    stub.external_data.extend(onnx.StringStringEntryProto(key=key, value=str(value)) for key, value in where.items())
    return stub


def _check(onnx: Any, proto: Any, large: Sequence[Any]) -> None:
    """Have ONNX check a model; in the place of large values, which it need not see, there are inputs."""
    if large:
        whole, proto = proto, onnx.ModelProto()
        proto.CopyFrom(whole)
        make = onnx.helper.make_tensor_value_info
        proto.graph.input.extend(make(tensor.name, tensor.data_type, tensor.dims) for tensor in large)
    try:
        onnx.checker.check_model(proto, full_check=True)
    except Exception as error:
        # ONNX has several classes of errors for it, and what it refuses here is a fault of the writers.
        raise restated(
            error, "to_onnx made a model that ONNX's own check refuses, and nothing was written: "
        ) from error
