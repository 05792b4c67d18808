"""Models that graphnn wrote, made the graph that they were, by their metadata.

The metadata are believed where they fit the model: what they say of an input, and of a value, must be what the model
says; and a node is made of its group of ONNX nodes only if `to_onnx` would write that node as this group. Whatever
somebody has changed is read from the ONNX nodes.
"""

from __future__ import annotations

import warnings
from collections import ChainMap
from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._util.garbage_collection import collector_paused
from .._util.source_location import Origin
from .._util.text import counted, quoted
from ..core import Array, Node, Op, Parameter, Placeholder, Spec, bfloat16, sealed
from ..core.networkx_conversion import restored
from ..core.node import put_twin
from ..core.scopes import forget
from ..core.symbolic_shapes import names_in
from ..errors import GraphnnError, GraphnnWarning
from .function_bodies import domain_of
from .metadata import TO_THE_USER, Entry, Told, Unfit, about, decoded, entry_of
from .node_order import in_order, reads
from .tensors import BFLOAT16
from .writers.draft import LEAST_OPSET, MOST_OPSET, Draft
from .writers.group import WRITERS, group_of

if TYPE_CHECKING:
    from .model_reader import Frame, Reader

_MOST_LOOPS = 20
"""Within each other, in a group."""
_MOST_ASIDE = 1000
"""The most ONNX nodes that a group adds inside loops, and to compute sizes."""


# --- tensors that are computed alike --------------------------------------------------------------------------------


class _Forms:
    """Numbers of tensors: equal for what is computed by equal ONNX nodes from the same values of nodes."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self.of: dict[str, int] = {"": 0}
        self._arrays = arrays
        self._numbers: dict[Any, int] = {}

    def number(self, form: Any) -> int:
        """Return the number of a form."""
        return self._numbers.setdefault(form, len(self._numbers) + 1)

    def hold(self, name: str, array: Array) -> None:
        """Note a tensor that holds numbers."""
        self.of[name] = self.number((array.dtype.str, array.shape, array.tobytes()))

    def note(self, proto: Any, names: MutableMapping[str, int] | None = None, depth: int = 0) -> None:
        """Note the results of an ONNX node."""
        names = self.of if names is None else names
        settings = sorted((each.name, self._setting(each, names, depth)) for each in proto.attribute)
        operands = [self._find(name, names) for name in proto.input]
        whole = proto.domain, proto.op_type, tuple(settings), tuple(operands), len(proto.output)
        made = self.number(whole)
        for place, name in enumerate(proto.output):
            names[name] = self.number((made, place))
        names[""] = 0

    def _find(self, name: str, names: Mapping[str, int]) -> int:
        if name not in names:
            self.hold(name, self._arrays[name])
        return names[name] if name in names else self.of[name]

    def _setting(self, attribute: Any, names: MutableMapping[str, int], depth: int) -> Any:
        if not attribute.HasField("g"):
            return attribute.SerializeToString(deterministic=True)
        body = attribute.g
        if depth > _MOST_LOOPS or body.initializer or body.sparse_initializer:
            raise Unfit
        inside = ChainMap[str, int]({}, names)
        for place, each in enumerate(body.input):
            inside[each.name] = self.number(("given", depth, place))
        for node in body.node:
            self.note(node, inside, depth + 1)
        return (*(self._find(each.name, inside) for each in body.output),).__repr__().encode()


class _Trial(Draft):
    """What a group would be written as: no more nodes than the group has."""

    left = 0

    def node(self, *args: Any, **more: Any) -> Any:
        """Return a node of ONNX, if there are not too many."""
        self.left -= 1
        if self.left < 0:
            raise Unfit
        return super().node(*args, **more)


# --- the graph ------------------------------------------------------------------------------------------------------


@dataclass
class _Group:
    """The places of the ONNX nodes of a node of the graph, in order of reading."""

    parts: list[int]
    last: int


def _own_dtype(number: int, part: Any, dtype: Any) -> Any:
    """Return the dtype of what is given: bfloat16, which is read as float32, where graphnn has written it."""
    return bfloat16() if number == BFLOAT16 and about(part).get("dtype") == "bfloat16" else dtype


def _spec(op: Op, operands: Sequence[Any]) -> Spec:
    """Return what an operation gives; it may raise anything."""
    if type(op) not in WRITERS or (not op.variadic and len(operands) != len(op.operands)):
        raise Unfit
    return op.infer(*[each.spec for each in operands])


class Restorer:
    """Makes a graph of a model that graphnn wrote.

    Parameters
    ----------
    reader : Reader
        Which reads what cannot be restored.
    frame : Frame
        Where the values of tensors are.
    proto : onnx.ModelProto
    told : Told
    """

    def __init__(self, reader: Reader, frame: Frame, proto: Any, told: Told) -> None:
        import onnx

        self.reader, self.frame, self.proto, self.told = reader, frame, proto, told
        self.graph = reader.graph
        self.changed: list[str] = []
        """What is not as graphnn wrote it."""
        self._nodes: dict[str, Node] = {}
        """The nodes by the names that the metadata tell."""
        self._twins: dict[Node, str] = {}
        self._tensors: dict[Any, str] = {}
        self._inner: dict[str, Node] = {}
        """Nodes without ONNX nodes, by their tensors."""
        self._of_sizes: list[int] | None = []
        """The ONNX nodes that compute sizes, until one of them is needed."""
        self._ends = {each.name for each in (*proto.graph.input, *proto.graph.output)}
        for path, scope in told.scopes.items():
            if path not in self._ends:
                self.graph.scopes[path] = scope
                around = "" if scope.parent is None else scope.parent.path
                reader._paths[around, path.removeprefix(f"{around}/")] = path
        versions = [each.version for each in proto.opset_import if not domain_of(each)]
        self._opset = versions[0] if len(versions) == 1 and LEAST_OPSET <= versions[0] <= MOST_OPSET else 0
        self._trial = _Trial(onnx, self._opset)
        self._array_of = onnx.numpy_helper.to_array

    # --- what is given ---

    def input(self, info: Any, dtype: Any, shape: Sequence[Any]) -> Node | None:
        """Return the node of an input, or None where its metadata do not fit it. A parameter is a placeholder."""
        dtype = _own_dtype(info.type.tensor_type.elem_type, info, dtype)
        told = self._given(info, shape, dtype)
        if told is None:
            return None
        return self._made(told, Placeholder(), (), Spec(tuple(shape), dtype))

    def stored(self, tensor: Any, array: Array, trainable: bool) -> Node | None:
        """Return the node of an initializer, or None where its metadata tell of none that fits."""
        dtype = _own_dtype(tensor.data_type, tensor, array.dtype)
        array = array if array.dtype == dtype else array.astype(dtype)
        told = self._given(tensor, array.shape, array.dtype)
        if told is None or told.op.is_placeholder:
            return None
        op = Parameter() if trainable and told.op.is_constant else told.op
        return self._made(told, op, (), None, sealed(array))

    def _given(self, part: Any, shape: Sequence[Any], dtype: Any) -> Entry | None:
        entry = about(part)
        if "op" not in entry:
            return None
        try:
            told = entry_of(entry, part.name)
            self._check(told)
        except Exception:  # noqa: BLE001 - anything may be raised by what only a forged file would say
            told = None
        if told is None or not told.is_of(shape, dtype) or type(told.op) in WRITERS:
            self.changed.append(part.name)
            return None
        return told

    def _made(
        self, told: Entry, op: Op, operands: tuple[Node, ...], spec: Spec | None = None, value: Array | None = None
    ) -> Node:
        dtype, shape = (None, None) if spec is None else (spec.dtype, spec.shape)
        scope = self.told.scopes.get(told.scope)
        node = restored(self.graph, told.called, op, operands, dtype, shape, value, scope, told.origin)
        self._nodes.setdefault(told.name, node)
        self._tensors[node] = told.tensor
        if told.twin is not None:
            self._twins[node] = told.twin
        return node

    def _check(self, told: Entry) -> None:
        """Refuse a name that cannot be; give a node with the name of an output another name."""
        told.called = told.tensor if told.name in self._ends else told.name
        if "\0" in told.called or self.graph._taken(told.called):
            raise Unfit

    # --- what is computed ---

    @collector_paused()
    def read(self) -> None:
        """Make the nodes of the model: of whole groups by the metadata, of other ONNX nodes as of any model."""
        protos = self.proto.graph.node
        order = [place for place, _ in in_order(protos, self.frame.values)]
        groups, names = self._groups(order)
        self._prepare(names)
        inside = {place: group for group in groups for place in (*group.parts, group.last)}
        for place in order:
            proto, group = protos[place], inside.get(place)
            if group is None:
                self._read_other(place, proto)
            elif place == group.last and not self._restored(group):
                self.changed.append(proto.output[-1])
                self._read([*group.parts, group.last])
        for node, twin in self._twins.items():
            if twin in self._nodes:
                put_twin(node, self._nodes[twin])

    def finish(self) -> None:
        """Take updates and labels, forget scopes without nodes, and warn of what was changed. The outputs are there."""
        for name, output in self.told.updates.items():
            parameter, node = self.frame.values.get(name), self.graph.outputs.get(str(output))
            if isinstance(parameter, Node) and node is not None:
                if parameter.op.is_placeholder:
                    continue  # the model was written with its parameters as inputs
                with suppress(GraphnnError):
                    self.graph.updates[parameter] = node
                    continue
            self.changed.append(name)
        for row in self.told.labels:
            if type(row) is not list or [*map(type, row)] != [str, int, list]:
                continue
            name, axis, labels = row
            with suppress(GraphnnError):
                if axis < 0:
                    self.graph.labels[name] = labels
                elif name in self._nodes:
                    self.graph.labels[self._nodes[name], axis] = labels
        for path, scope in reversed(self.told.scopes.items()):
            if scope.result is None:
                forget(self.graph, scope)
            else:
                self.graph.scopes.setdefault(path, scope)
        if self.changed:
            warnings.warn(
                f"{self.reader.file} is not as graphnn wrote it: what the metadata tell of "
                f"{counted(len(self.changed), 'tensor')}, the first {quoted(self.changed[0])}, is not used",
                GraphnnWarning,
                stacklevel=TO_THE_USER,
            )

    def _groups(self, order: Sequence[int]) -> tuple[list[_Group], set[str]]:
        """Return the groups that are whole, and whose parts nothing else reads; and the names of all tensors."""
        protos = self.proto.graph.node
        self._abouts = [about(proto) for proto in protos]
        names = {name for proto in protos for name in proto.output}
        parts: dict[str, list[int]] = {}
        owner: dict[str, int] = {}
        lasts: dict[str, int] = {}
        for place in order:
            entry, outputs = self._abouts[place], protos[place].output
            if entry.get("part"):
                parts.setdefault(entry["part"], []).append(place)
            elif "op" in entry and outputs and outputs[-1]:
                lasts[outputs[-1]] = place
        for tensor, last in lasts.items():
            for place in [*parts.get(tensor, ()), last]:
                owner.update(dict.fromkeys(protos[place].output, last))
        read: set[int] = {owner[name] for name in self._ends if name in owner and name not in lasts}
        for place, proto in enumerate(protos):
            tensor = self._abouts[place].get("part") or (proto.output[-1] if proto.output else "")
            mine = lasts.get(tensor)
            read.update(owner[n] for n in reads(proto) if n in owner and n not in lasts and owner[n] != mine)
        found = []
        for tensor, last in lasts.items():
            whole = self._abouts[last].get("parts") == str(len(parts.get(tensor, ())) + 1)
            if whole and last not in read and self._opset:
                found.append(_Group(parts.get(tensor, []), last))
            else:
                self.changed.append(tensor)
        return found, names

    def _prepare(self, names: set[str]) -> None:
        """Have the trial know the inputs, and what the tensors are that hold values of nodes."""
        initializers = {each.name: each for each in self.proto.graph.initializer}
        self._names = names | initializers.keys() | self._ends
        held = {name: value for name, value in self.frame.values.items() if not isinstance(value, Node)}
        self._forms = _Forms(held)
        self._trial._taken |= self._names
        for name, value in self.frame.values.items():
            if isinstance(value, Node):
                self._is_value(name)
        self._sizes = names_in(dim for node in self.graph.placeholders for dim in node.spec.shape)
        for info in self.proto.graph.input:
            value = self.frame.values.get(info.name)
            if isinstance(value, Node) and info.name not in initializers:
                self._trial.give_sizes(info.name, value.spec.shape)
        self.reader.reserved |= {entry["name"] for entry in self._abouts if "name" in entry}

    def _is_value(self, name: str) -> None:
        """Note that a tensor may be an operand."""
        self._forms.of[name] = self._forms.number(("node", name))
        value = self.frame.values.get(name)
        if isinstance(value, Node):
            self._tensors.setdefault(value, name)

    def _noted(self, proto: Any) -> None:
        try:
            self._forms.note(proto)
        except (KeyError, Unfit, AttributeError):
            for name in proto.output:
                self._forms.of[name] = self._forms.number(("other", name))

    def _read_other(self, place: int, proto: Any) -> None:
        """Read an ONNX node that belongs to no group; those of sizes only when they are needed."""
        entry = self._abouts[place]
        copied = proto.op_type == "Identity" and not proto.attribute and len(proto.input) == len(proto.output) == 1
        self._noted(proto)
        if entry.get("part") == "" and copied and isinstance(self.frame.values.get(proto.input[0]), Node):
            self.frame.values[proto.output[0]] = self.frame.values[proto.input[0]]
            self._forms.of[proto.output[0]] = self._forms.of[proto.input[0]]
        elif entry.get("part") == "" and self._of_sizes is not None and proto.output[:1] != [""]:
            self._of_sizes.append(place)
        else:
            self._read([place])

    def _read(self, places: Sequence[int]) -> None:
        """Read ONNX nodes as those of any model, and first what computes sizes."""
        waiting, self._of_sizes = self._of_sizes or [], None
        for place in [*waiting, *places]:
            proto = self.proto.graph.node[place]
            self.reader.read_one(proto, self.frame, {}, Origin(self.reader.file, place + 1))
            if place not in waiting:
                for name in proto.output:
                    self._is_value(name)

    def _restored(self, group: _Group) -> bool:
        """Make the node of a group, if the group is what that node is written as."""
        try:
            chain = self._checked(group)
        except Exception:  # noqa: BLE001 - an operation's own checks, and writers, may raise anything
            return False
        made: dict[Any, Node] = {}
        for told in chain:
            operands = tuple([made.get(operand, operand) for operand in told.inputs])
            made[told] = self._made(told, told.op, operands)
            self._inner[told.tensor] = made[told]
        tensor = chain[-1].tensor
        self.frame.values[tensor] = self._inner.pop(tensor)
        self._is_value(tensor)
        return True

    def _checked(self, group: _Group) -> list[Entry]:
        """Return what the metadata of a group tell, in order, the node itself last; raise where they do not fit."""
        protos, entry = self.proto.graph.node, self._abouts[group.last]
        last = protos[group.last]
        inner = decoded(entry.get("inner", "[]"), list)
        chain = [*(entry_of(each, each["tensor"]) for each in inner), entry_of(entry, last.output[-1])]
        here: dict[str, Any] = {}
        tensors = ChainMap[Any, str]({}, self._tensors)
        used: set[str] = set()
        for told in chain:
            self._check(told)
            known = [here[name] if name in here else self._value(name) for name in told.operands]
            tensors.update(zip(known, told.operands, strict=True))
            used.update(told.operands)
            told.inputs, told.spec = tuple(known), _spec(told.op, known)
            needed = names_in(told.spec.shape) | told.op.dimension_names
            if not told.is_of(told.spec.shape, told.dtype) or not needed <= self._sizes:
                raise Unfit
            if told is not chain[-1] and (told.tensor in self._names or told.tensor in self._inner):
                raise Unfit
            here[told.tensor], tensors[told] = told, told.tensor
        names = {told.called for told in chain}
        if len(names) < len(chain) or not used >= {told.tensor for told in chain[:-1]}:
            raise Unfit
        for place in [*group.parts, group.last]:
            self._forms.note(protos[place])
        found = self._forms.of[last.output[-1]]
        if self._form_of(chain[-1], tensors, len(group.parts) + 1) != found:
            raise Unfit
        return chain

    def _value(self, name: str) -> Node:
        """Return the node of an operand."""
        value = self._inner[name] if name in self._inner else self.frame.values[name]
        if isinstance(value, Node):
            return value
        raise Unfit

    def _form_of(self, told: Entry, tensors: Mapping[Any, str], most: int) -> int:
        """Return the form of what a node would be written as, in so many ONNX nodes."""
        trial = self._trial
        constants, sizes = len(trial.constants), len(trial.of_sizes)
        trial.left = most + _MOST_ASIDE
        written = group_of(trial, tensors, told)
        if len(written) != most:
            raise Unfit
        for tensor in trial.constants[constants:]:
            self._forms.hold(tensor.name, self._array_of(tensor))
        for proto in trial.of_sizes[sizes:]:
            self._forms.note(proto)
        for proto in written:
            self._forms.note(proto)
        return self._forms.of[told.tensor]
