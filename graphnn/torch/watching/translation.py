"""What a recorded call of PyTorch means: the same result by graphnn's own operations, by the rules of `from_torch`."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...core import Graph, Node, Spec, dtype_named, fn
from ...core.fetches import ancestors
from ...errors import GraphnnError, NoRuleError
from ..aliases import Tensor
from ..aten import load_rules
from ..aten.table import rule_for
from ..reader import Reader
from .tensors import extent, torch_for

if TYPE_CHECKING:
    from .torch_call import TorchCall
from .call_arguments import given as given_argument
from .call_results import ASSEMBLED, IS_EMPTY, assembled_from, results_of, tensors_written, written_by

_KEPT = 4096
_MOST = 2**24
"""How many elements a node may have, whatever was given."""
_OWN = ("_local_scalar_dense",)


class Translation(NamedTuple):
    """A call in a graph of its own.

    Attributes
    ----------
    graph : Graph
    operands : tuple of Node
        Placeholders, named as PyTorch names the arguments.
    result : Node
    """

    graph: Graph
    operands: tuple[Node, ...]
    result: Node


_TRANSLATED: dict[tuple[str, tuple[Spec, ...]], Translation | str] = {}


def translated(op: TorchCall, specs: Sequence[Spec]) -> Translation:
    """Return what a call computes, in a small graph; the same graph for calls that are alike.

    Parameters
    ----------
    op : TorchCall
    specs : sequence of Spec
        Of its operands.

    Raises
    ------
    NoRuleError
        When graphnn has no operations for it: it draws random numbers, gives memory as it is, is complex, or is not in
        the table of ATen.
    """
    # By its text: 1, 1.0 and True are equal, and so are 0.0 and -0.0.
    key = (
        repr((op.call, op.arguments, op.keywords, op.result, op.layouts, op.shape, op.dtype, op._recorded is None)),
        tuple(specs),
    )
    found = _TRANSLATED.get(key)
    if found is None:
        while len(_TRANSLATED) >= _KEPT:
            del _TRANSLATED[next(iter(_TRANSLATED))]
        try:
            found = _translated(op, specs)
        except Exception as error:  # noqa: BLE001 - a rule takes arguments as PyTorch gives them, and a file may give any
            reason = str(error.reason if isinstance(error, GraphnnError) else error)
            found = f"{op.called} has no translation: {(reason.splitlines() or [type(error).__name__])[0]}"
        _TRANSLATED[key] = found
    if isinstance(found, str):
        raise NoRuleError(found)
    return found


def translate_into(graph: Graph, op: TorchCall, operands: Sequence[Node]) -> Node:
    """Put nodes that compute a call's result into a graph; return that of the result, which may be an operand.

    Parameters
    ----------
    graph : Graph
    op : TorchCall
    operands : sequence of Node
        Nodes of that graph.

    Raises
    ------
    NoRuleError
        As `translated`.
    """
    small = translated(op, [node.spec for node in operands])
    copies: dict[Node, Node] = dict(zip(small.operands, operands, strict=True))
    needed = ancestors([small.result])
    with graph.building:
        for node in small.graph:
            if node in copies or node not in needed:
                continue
            value = small.graph._stored(node) if node.op.is_stored else None
            inputs = tuple([copies[each] for each in node.inputs])
            copies[node] = graph._make(node.op, inputs, node.spec, None, value)
    return copies[small.result]


def _translated(op: TorchCall, specs: Sequence[Spec]) -> Translation:
    if op.as_dtype or any(layout and type(layout[0]) is str for layout in op.layouts):
        raise NoRuleError("it has numbers that NumPy has not, such as complex ones")
    if op.short_name in IS_EMPTY:
        raise NoRuleError("its result is memory as it is, which means nothing")
    if "generator" in dict(op.keywords):
        raise NoRuleError("it draws random numbers")
    graph = Graph(op.short_name, np.float32)
    if op.call == ASSEMBLED:
        return _checked(graph, op, *_put_together(graph, op, specs))
    torch = torch_for("a call of PyTorch is read with its own table")
    overload = op._recorded or _overload_of(torch, op.call)
    names = _names_of(op, overload, len(specs))
    operands = [graph.placeholder(name, spec.shape, spec.dtype) for name, spec in zip(names, specs, strict=True)]
    if op.short_name in ("as_strided", "as_strided_copy"):
        return _checked(graph, op, operands, _strided(op, overload, operands))
    if op.short_name == "_local_scalar_dense":
        return _checked(graph, op, operands, fn.reshape(operands[0], ()))
    op, given = _with_places(op, operands)
    program, results = _Program(torch, op, overload, [node.spec for node in given]).built()
    tensors = [Tensor.of(node) for node in given]
    reader = Reader(graph, torch, trainable=False)
    found = reader.read(program, tensors)
    where = results[op.result]
    made = tensors[where] if where is not None else found
    if not isinstance(made, Tensor):
        raise NoRuleError(f"graphnn does not compute its result {op.result}")
    return _checked(graph, op, operands, made.node)


def _overload_of(torch: Any, call: str) -> Any:
    """Return the function of PyTorch that a call names, if graphnn or PyTorch can take it apart.

    It is only ever called with tensors that have no numbers and no memory, so a name in a file may be any of these.
    """
    from torch._decomp import decomposition_table

    load_rules()
    space, _, rest = call.partition("::")
    name, _, overload = rest.partition(".")
    packet = getattr(torch.ops.aten, name, None) if space == "aten" and name.isidentifier() else None
    overloads = packet.overloads() if isinstance(packet, torch._ops.OpOverloadPacket) else ()
    if (overload or "default") not in overloads:
        raise NoRuleError(f"PyTorch {torch.__version__} has no {call}")
    found = getattr(packet, overload or "default")
    plain = name.removeprefix("_foreach_")
    names = {name, plain, plain.removesuffix("_"), *(("linalg_vector_norm",) if plain == "norm" else ())}
    if found in decomposition_table or any(rule_for(each, overload) is not None for each in names):
        return found
    if name in _OWN or found._can_decompose():
        return found
    raise NoRuleError(f"graphnn has no rule for {call}")


def _with_places(op: TorchCall, operands: Sequence[Node]) -> tuple[TorchCall, Sequence[Node]]:
    """Return a call by masks as one by places: how many elements are true, the recorded shapes tell."""
    at = 1 if op.short_name in ("index", "index_put", "index_put_", "_index_put_impl_") else None
    if at is None or not isinstance(op.arguments[at], tuple):
        return op, operands
    given, listed = list(operands), list[Any]()
    masks = [each for each in op.arguments[at][1:] if each is not None and operands[each[1]].spec.dtype == bool]
    if not masks:
        return op, operands
    counted = op.shape[:1]
    if op.short_name != "index":
        counted = operands[op.arguments[2][1]].spec.shape[:1]
        if math.prod(operands[op.arguments[2][1]].spec.shape) == 1:
            return op, operands
    if len(masks) > 1 or op.arguments[at][1] is not masks[0]:
        raise NoRuleError("it takes elements by several masks, or by one that is not of the first axes")
    for each in op.arguments[at][1:]:
        if each is not masks[0]:
            listed.append(each)
            continue
        for place in _true_places(operands[each[1]], int(counted[0])):
            listed.append(("tensor", len(given)))
            given.append(place)
    arguments = (*op.arguments[:at], ("list", *listed), *op.arguments[at + 1 :])
    layouts = (*op.layouts, *[None] * (len(given) - len(operands)))
    return replace(op, arguments=arguments, layouts=layouts), given


def _true_places(mask: Node, count: int) -> list[Node]:
    """Return where a mask is true, as so many places along each of its axes."""
    flat = fn.reshape(mask, (-1,))
    size = math.prod(int(each) for each in mask.spec.shape)
    order = fn.sort(fn.where(flat, mask.graph.constant(np.arange(size)), size))[:count]
    found = list[Node]()
    for n in reversed([int(each) for each in mask.spec.shape]):
        found.append(fn.remainder(order, n))
        order = fn.floor_divide(order, n)
    return found[::-1]


def _checked(graph: Graph, op: TorchCall, operands: Sequence[Node], result: Node) -> Translation:
    if tuple(result.spec.shape) != tuple(op.shape):
        raise NoRuleError(f"graphnn makes {result.spec.shape} of it, and PyTorch {op.shape}")
    dtype = dtype_named(op.dtype)
    if result.spec.dtype != dtype:
        result = fn.cast(result, dtype)
    given = sum(_count(node) for node in (*operands, result))
    if any(_count(node) > max(_MOST, 1024 * given) for node in ancestors([result])):
        raise NoRuleError("it takes far more memory than what it is given")
    graph.outputs["result"] = result
    return Translation(graph, tuple(operands), result)


def _count(node: Node) -> int:
    return math.prod(int(size) for size in node.spec.shape)


def _names_of(op: TorchCall, overload: Any, count: int) -> list[str]:
    """Return names for operands: those of the arguments that they are, or are in."""
    found = [""] * count

    def note(name: str, value: Any) -> None:
        if type(value) is tuple and value[0] == "tensor":
            found[value[1]] = name
        elif type(value) is tuple and value[0] == "list":
            several = sum(type(each) is tuple and each[0] == "tensor" for each in value[1:]) > 1
            for i, each in enumerate(value[1:]):
                note(f"{name}_{i}" if several else name, each)

    for argument, value in zip(overload._schema.arguments, op.arguments, strict=False):
        note(argument.name, value)
    for name, value in op.keywords:
        note(name, value)
    return [name or f"operand_{i}" for i, name in enumerate(found)]


# --- views of memory ------------------------------------------------------------------------------------------------


def _put_together(graph: Graph, op: TorchCall, specs: Sequence[Spec]) -> tuple[list[Node], Node]:
    """Return a tensor that is put together of parts of memory: each element is one of an operand."""
    operands = [graph.placeholder(f"part_{i}", spec.shape, spec.dtype) for i, spec in enumerate(specs)]
    places, start = list[Any](), 0
    for spec in specs:
        size = math.prod(int(n) for n in spec.shape)
        places.append(np.arange(start, start + size).reshape(spec.shape))
        start += size
    where = assembled_from(op.arguments, places, op.shape)
    flat = [fn.reshape(node, (-1,)) for node in operands]
    whole = flat[0] if len(flat) == 1 else fn.concatenate(flat, axis=0)
    return operands, fn.take(whole, graph.constant(where), axis=0)


def _strided(op: TorchCall, overload: Any, operands: Sequence[Node]) -> Node:
    """Return elements by where they lie in memory, which the layout of the operand tells."""
    given = dict(zip([each.name for each in overload._schema.arguments], op.arguments, strict=False))
    given.update(op.keywords)
    (x,), (layout,) = operands, op.layouts
    shape = tuple(int(size) for size in x.spec.shape)
    size, stride = (tuple(given[key][1:]) for key in ("size", "stride"))
    contiguous = (0, *(math.prod(shape[axis + 1 :]) for axis in range(len(shape))))
    offset, *strides = [step for step in layout or contiguous if isinstance(step, int)]
    first = given.get("storage_offset")
    first = offset if first is None else first
    spans = max(offset + extent(shape, offset, strides), first + extent(size, first, stride))
    if spans > max(_MOST, 4096 * math.prod(shape)):
        raise NoRuleError("it gives memory that its operand does not show")
    memory = np.full(spans, -1)
    index = [np.arange(n) * step for n, step in zip(shape, strides, strict=True)]
    memory[offset + _sum(index)] = np.arange(math.prod(shape)).reshape(shape)
    places = memory[first + _sum([np.arange(n) * step for n, step in zip(size, stride, strict=True)])]
    if (places < 0).any():
        raise NoRuleError("it gives memory that its operand does not show")
    return fn.take(fn.reshape(x, (-1,)), x.graph.constant(np.asarray(places)), axis=0)


def _sum(steps: Sequence[Any]) -> Any:
    total: Any = np.zeros((), np.int64)
    for each in np.ix_(*steps) if steps else ():
        total = total + each
    return total


# --- a program of one call ------------------------------------------------------------------------------------------


class _Program:
    """A program of PyTorch that is one call, with tensors that have no numbers, as the reader takes it."""

    def __init__(self, torch: Any, op: TorchCall, overload: Any, specs: Sequence[Spec]) -> None:
        from torch._subclasses.fake_tensor import FakeTensorMode

        self.torch, self.op = torch, op
        self.mode = FakeTensorMode()
        self.graph = torch.fx.Graph()
        self.nodes = list[Any]()
        with self.mode:
            self.fakes = [self._fake(*each) for each in zip(specs, op.layouts, strict=True)]
        for i, fake in enumerate(self.fakes):
            node = self.graph.placeholder(f"operand_{i}")
            node.meta["val"] = fake
            self.nodes.append(node)
        self.overload, self.arguments, self.keywords = self._alone(overload)

    def _fake(self, spec: Spec, layout: Any) -> Any:
        torch = self.torch
        dtype = getattr(torch, spec.dtype.name)
        if layout is None:
            return torch.empty(spec.shape, dtype=dtype)
        offset, *strides = layout
        extent(tuple(map(int, spec.shape)), offset, strides)
        return torch.empty_strided(spec.shape, strides, dtype=dtype)

    def _alone(self, overload: Any) -> tuple[Any, Any, Any]:
        """Return a call on lists of one tensor each as a call on these tensors; others as they are."""
        op, torch = self.op, self.torch
        name = op.short_name
        if not name.startswith("_foreach_"):
            return overload, op.arguments, op.keywords
        single = name.removeprefix("_foreach_")
        single = {"norm": "linalg_vector_norm"}.get(single, single)

        def one(value: Any) -> Any:
            if type(value) is tuple and value[0] == "list":
                if len(value) != 2:
                    raise NoRuleError(f"it was called with a list of {len(value) - 1}")
                return value[1]
            return value

        arguments, keywords = [one(each) for each in op.arguments], [(key, one(each)) for key, each in op.keywords]
        if single.startswith(("addcmul", "addcdiv")) and len(arguments) > 3:
            keywords.append(("value", arguments.pop()))
        if single.endswith("_") and not hasattr(torch.ops.aten, single):
            single = single[:-1]
        given = [given_argument(self.torch, each, self.fakes) for each in arguments]
        keys = {key: given_argument(self.torch, each, self.fakes) for key, each in keywords}
        try:
            with self.mode:
                which = torch._C._jit_resolve_packet(f"aten::{single}", *given, **keys)
            return getattr(getattr(torch.ops.aten, single), which or "default"), arguments, keywords
        except (RuntimeError, AttributeError):
            raise NoRuleError(f"graphnn has no rule for aten.{name}") from None

    def built(self) -> tuple[Any, list[int | None]]:
        """Return the program, which gives the result that is wanted, and for each result the operand that it is."""
        op, graph = self.op, self.graph
        args, kwargs = self._both(self.fakes)
        try:
            with self.mode:
                found = self.overload(*args, **kwargs)
        except Exception as error:
            raise NoRuleError(f"PyTorch does not tell its result without data ({type(error).__name__})") from error
        written = [*tensors_written(self.torch, self.overload, written_by(self.overload), args, kwargs)]
        results = results_of(found, written)
        operands = {id(fake): i for i, fake in enumerate(self.fakes)}
        where = [operands.get(id(each)) for each in results]
        if op.result >= len(results):
            raise NoRuleError(f"it has no result {op.result}")
        if tuple(getattr(results[op.result], "shape", ())) != tuple(op.shape):
            raise NoRuleError(f"PyTorch does not give result {op.result} of shape {op.shape}")
        args, kwargs = self._both(self.nodes)
        node = graph.call_function(self.overload, tuple(args), kwargs)
        node.meta["val"] = found
        graph.output(self._result(node, found, op.result) if where[op.result] is None else node)
        return SimpleNamespace(graph=graph, meta={}), where

    def _both(self, tensors: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
        args = [given_argument(self.torch, each, tensors) for each in self.arguments]
        return args, {key: given_argument(self.torch, each, tensors) for key, each in self.keywords}

    def _result(self, node: Any, found: Any, which: int) -> Any:
        """Return the part of what a call returns that is one of its results, lists in it being counted one by one."""
        if not isinstance(found, (list, tuple)):
            return node
        for i, each in enumerate(found):
            count = len(each) if isinstance(each, (list, tuple)) else 1
            if which < count:
                part = self.graph.call_function(operator.getitem, (node, i))
                part.meta["val"] = each
                return self._result(part, each, which)
            which -= count
        raise NoRuleError("it has no such result")
