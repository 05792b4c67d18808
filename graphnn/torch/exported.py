"""What PyTorch's export tells of a module: its calls, its inputs and results, and what it keeps."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import io
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._util.source_location import Origin
from ..errors import GraphnnError, UsageError, restated
from .custom_functions import traced
from .dtypes import dtype_of, tensor_of
from .reader import FRAME, OF_TORCH, Stored
from .unchecked import unchecked


@dataclass
class Input:
    """An argument of a module: a tensor, which becomes an input of the graph, or a setting."""

    name: str
    value: Any = None
    is_tensor: bool = False
    shape: tuple[int | str, ...] = ()
    dtype: Any = None


@dataclass
class Exported:
    """An exported module.

    Attributes
    ----------
    torch : module
    program : torch.export.ExportedProgram
    inputs : list of Input or Stored
        What the program takes, in order.
    results : list of str or None
        The names of what it gives; None of a buffer.
    dtype : dtype
        The dtype that most weights have.
    """

    torch: Any
    program: Any
    inputs: list[Input | Stored]
    results: list[str | None]
    dtype: np.dtype[Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    tensors: list[Any]
    messages: str = ""

    def trained(self) -> dict[str, Any]:
        """Return the weights that are trained, by their names."""
        return {
            each.name: each.filled(self.torch)
            for each in self.inputs
            if isinstance(each, Stored) and each.kind == "trained"
        }

    def operands(self, given: Sequence[Any] | None = None) -> list[Any]:
        """Return what the program takes for the example or other tensors: these, weights, and copies of buffers."""
        waiting = iter(self.tensors if given is None else given)
        return [
            (each.filled(self.torch) if each.kind == "trained" else each.filled(self.torch).detach().clone())
            if isinstance(each, Stored)
            else next(waiting)
            if each.is_tensor
            else each.value
            for each in self.inputs
        ]

    def stored(self, trainable: bool) -> list[Stored]:
        """Return what the module keeps; without `trainable`, weights are constants."""
        found = [each for each in self.inputs if isinstance(each, Stored)]
        for each in found:
            if not trainable and each.kind == "trained":
                each.kind = "constant"
        return found


def export(
    torch: Any,
    module: Any,
    examples: Sequence[Any],
    named: Mapping[str, Any],
    dims: Any,
    arrays: Mapping[int, Any],
) -> Exported:
    """Export a module for examples; `arrays` has the numbers of tensors that stand in for them, by their ids.

    Raises
    ------
    UsageError
        When there is no example, or PyTorch cannot export the module.
    """
    args = tuple(_tensors(torch, each) for each in examples)
    kwargs = {key: _tensors(torch, each) for key, each in named.items()}
    try:
        inspect.signature(module.forward).bind(*args, **kwargs)
    except TypeError as error:
        raise UsageError(f"{type(module).__name__}.forward does not take this example: {error}") from None
    pytree = torch.utils._pytree
    leaves, form = pytree.tree_flatten((args, kwargs))
    tensors = [each for each in leaves if isinstance(each, torch.Tensor)]
    if not tensors:
        raise UsageError("from_torch needs an example of each input: from_torch(module, torch.zeros(2, 3))")
    names = _named_sizes(tensors, dims)
    path: list[str] = []
    with _quiet() as said:
        try:
            sizes = _dynamic(torch, module, args, kwargs, leaves, form, names) if any(names) else None
            with validated(torch), unchecked(torch), traced(torch), _followed(torch, module, path):
                program = torch.export.export(module, args, kwargs, dynamic_shapes=sizes, strict=False)
        except Exception as error:
            raise _not_exported(module, error, path) from error
    signature = program.graph_signature
    inputs: list[Input | Stored] = []
    place = 0
    changed = _written(torch, program)
    known: dict[int, Stored] = {}
    for spec in signature.input_specs:
        kind = spec.kind.name
        if kind == "USER_INPUT":
            inputs.append(_input(torch, program, spec.arg, names, place))
            place += isinstance(inputs[-1], Input) and inputs[-1].is_tensor
        elif kind in ("PARAMETER", "BUFFER", "CONSTANT_TENSOR"):
            tensor = _kept(program, spec)
            first = known.get(id(tensor))
            if first is None:
                first = known[id(tensor)] = Stored(spec.target, tensor, _kind(torch, kind, spec, tensor, changed))
                first.array = arrays.get(id(tensor))
            inputs.append(first)
        else:
            raise UsageError(f"{spec.target} is an object of PyTorch that graphnn does not read ({kind.lower()})")
    weights = [each.tensor.dtype for each in inputs if isinstance(each, Stored) and each.tensor.is_floating_point()]
    floats = weights or [each.dtype for each in tensors if each.is_floating_point()] or [torch.get_default_dtype()]
    dtype = dtype_of(torch, max(set(floats), key=floats.count))
    return Exported(torch, program, inputs, _results(program), dtype, args, kwargs, tensors, said.getvalue())


def _tensors(torch: Any, given: Any) -> Any:
    """Return an example with tensors in the place of arrays, also inside of containers."""
    if isinstance(given, (np.ndarray, np.generic)):
        return tensor_of(torch, given)
    if type(given) in (list, tuple):
        if given and all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in _flat(given)):
            return tensor_of(torch, given)
        return type(given)(_tensors(torch, each) for each in given)
    if isinstance(given, dict):
        return {key: _tensors(torch, each) for key, each in given.items()}
    registered(torch, given)
    return given.detach() if isinstance(given, torch.Tensor) and given.requires_grad else given


def registered(torch: Any, given: Any) -> None:
    """Tell PyTorch what dataclasses consist of, which it does not look at by itself."""
    kind = type(given)
    if dataclasses.is_dataclass(kind):
        if kind not in torch.utils._pytree.SUPPORTED_NODES:
            torch.export.register_dataclass(kind)
        for each in dataclasses.fields(kind):
            registered(torch, getattr(given, each.name))
    elif isinstance(given, (list, tuple)):
        for each in given:
            registered(torch, each)
    elif isinstance(given, dict):
        for each in given.values():
            registered(torch, each)


def _flat(given: Any) -> Iterator[Any]:
    for each in given:
        if isinstance(each, (list, tuple)):
            yield from _flat(each)
        else:
            yield each


@contextmanager
def _quiet() -> Iterator[io.StringIO]:
    """Hold back what PyTorch says while it exports; give what it said."""
    said = io.StringIO()
    before = logging.root.manager.disable
    with warnings.catch_warnings(), contextlib.redirect_stderr(said):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield said
        finally:
            logging.disable(before)


@contextmanager
def validated(torch: Any) -> Iterator[None]:
    """Have PyTorch not look at data to check them, or to find a faster way."""
    kind = torch.distributions.Distribution
    before = kind._validate_args
    kind.set_default_validate_args(False)
    transformer = torch.nn.modules.transformer
    detect = transformer._detect_is_causal_mask
    # Whether a mask is causal is a hint; with the mask at hand, the numbers are the same.
    transformer._detect_is_causal_mask = lambda mask, is_causal=None, size=None: bool(is_causal)
    data = torch.Tensor.data
    torch.Tensor.data = property(lambda self: _data(self, data), data.__set__)
    try:
        yield
    finally:
        kind.set_default_validate_args(before)
        transformer._detect_is_causal_mask = detect
        del torch.Tensor.data  # PyTorch's own stands in a base class


def _data(tensor: Any, usual: Any) -> Any:
    """Return the elements of a tensor, which the export loses sight of, without their history."""
    return tensor.detach() if hasattr(tensor, "fake_mode") else usual.__get__(tensor)


def _named_sizes(tensors: Sequence[Any], dims: Any) -> list[dict[int, str]]:
    """Return {axis: name} of each tensor."""
    each = [dims or {}] * len(tensors) if dims is None or isinstance(dims, Mapping) else list(dims)
    if len(each) != len(tensors):
        raise UsageError(f"dims has {len(each)} entries for {len(tensors)} inputs")
    found: list[dict[int, str]] = []
    for tensor, names in zip(tensors, each, strict=True):
        found.append({axis: name for axis, name in (names or {}).items() if axis < tensor.ndim})
        for axis, name in found[-1].items():
            if tensor.shape[axis] < 2:
                raise UsageError(
                    f'the size "{name}" is {tensor.shape[axis]} in an example, and PyTorch takes 0 and 1 as fixed: '
                    "give an example with 2 or more"
                )
    return found


def _dynamic(
    torch: Any, module: Any, args: Any, kwargs: Any, leaves: list[Any], form: Any, names: list[dict[int, str]]
) -> Any:
    """Return which sizes may vary, in the form of the arguments."""
    waiting = iter(names)
    auto = torch.export.Dim.AUTO
    given = [dict.fromkeys(next(waiting), auto) if isinstance(each, torch.Tensor) else None for each in leaves]
    shaped_args, shaped_kwargs = _nested(torch, form, iter(given))
    bound = inspect.signature(module.forward).bind(*shaped_args, **shaped_kwargs)
    return dict(bound.arguments)


def _nested(torch: Any, form: Any, leaves: Iterator[Any]) -> Any:
    """Return leaves in a form; of other containers than Python's, a list of what they hold."""
    if form.is_leaf():
        return next(leaves)
    inside = [_nested(torch, each, leaves) for each in form.children()]
    if form.type in (tuple, list, dict):
        return torch.utils._pytree.SUPPORTED_NODES[form.type].unflatten_fn(inside, form.context)
    return inside


def _input(torch: Any, program: Any, argument: Any, names: list[dict[int, str]], place: int) -> Input:
    if not hasattr(argument, "name") or type(argument).__name__ != "TensorArgument":
        return Input(getattr(argument, "name", ""), getattr(argument, "value", None))
    node = next(each for each in program.graph.nodes if each.op == "placeholder" and each.name == argument.name)
    value = node.meta["val"]
    shape: list[int | str] = []
    for axis, size in enumerate(value.shape):
        name = names[place].get(axis)
        if isinstance(size, torch.SymInt):
            fixed = size.node.shape_env.replace(size.node.expr)
            size = int(fixed) if fixed.is_number else size
        if name is None:
            shape.append(int(size))
        elif isinstance(size, int):
            raise UsageError(
                f'PyTorch fixes the size "{name}", axis {axis} of {argument.name}, at {size}: leave it out of dims='
            )
        else:
            shape.append(name)
    return Input(argument.name, None, True, tuple(shape), dtype_of(torch, value.dtype))


def _kept(program: Any, spec: Any) -> Any:
    for table in (program.state_dict, program.constants):
        if spec.target in table:
            return table[spec.target]
    raise UsageError(f"PyTorch does not tell what {spec.target} is")


def _kind(torch: Any, kind: str, spec: Any, tensor: Any, changed: set[str]) -> str:
    if kind == "PARAMETER":
        return "trained" if tensor.requires_grad and tensor.is_floating_point() else "kept"
    if spec.arg.name in changed or (kind == "BUFFER" and spec.persistent and tensor.is_floating_point()):
        return "kept"
    return "constant"


def _written(torch: Any, program: Any) -> set[str]:
    """Return the arguments of a program that calls write to, themselves or through a view."""
    found: set[str] = set()
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            schema = getattr(node.target, "_schema", None)
            if schema is None:
                continue
            moves = schema.name in ("aten::batch_norm", "aten::instance_norm") and node.args[5] is True
            if not (schema.is_mutable or moves) or schema.name == "aten::detach_":
                continue
            written = node.args[3:5] if moves else node.args[:1]
            for each in written:
                while isinstance(each, torch.fx.Node) and each.op != "placeholder":
                    each = each.args[0] if each.args and _is_view(each) else None
                if isinstance(each, torch.fx.Node):
                    found.add(each.name)
    return found


def _is_view(node: Any) -> bool:
    """Tell whether a call gives the elements of its first operand."""
    schema = getattr(node.target, "_schema", None)
    return schema is None or any(each.alias_info is not None for each in schema.returns)


def _results(program: Any) -> list[str | None]:
    keys = keys_of(program.call_spec.out_spec)
    outputs = [spec for spec in program.graph_signature.output_specs if spec.kind.name == "USER_OUTPUT"]
    if len(keys) != len(outputs):
        keys = [""] * len(outputs)
    unnamed = [place for place, key in enumerate(keys) if not key]
    names = iter(
        [
            key or ("output" if len(unnamed) == 1 else f"output_{unnamed.index(place) + 1}")
            for place, key in enumerate(keys)
        ]
    )
    return [next(names) if spec.kind.name == "USER_OUTPUT" else None for spec in program.graph_signature.output_specs]


def keys_of(form: Any, around: str = "") -> list[str]:
    """Return the keys of the results of a module, from what PyTorch tells of their form; "" of one without a key."""
    inside = form.children()
    if not inside:
        return [around] if form.is_leaf() else []
    keys = form.context if isinstance(form.context, list) and len(form.context) == len(inside) else range(len(inside))
    found = []
    for key, each in zip(keys, inside, strict=True):
        known = key if isinstance(key, str) and not around else f"{around}.{key}" if around else ""
        found += keys_of(each, known)
    return found


@contextmanager
def _followed(torch: Any, module: Any, path: list[str]) -> Iterator[None]:
    """Keep in `path` which modules are being computed, the innermost last; what fails leaves its own there."""
    names = {id(each): name for name, each in module.named_modules()}

    def enter(each: Any, given: Any) -> None:
        path.append(names.get(id(each), ""))

    def leave(each: Any, given: Any, made: Any) -> None:
        if path:
            path.pop()
        registered(torch, made)

    hooks = torch.nn.modules.module
    handles = hooks.register_module_forward_pre_hook(enter), hooks.register_module_forward_hook(leave)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


_ADVICE = (
    (
        "zuf0",
        "float(x) or x.item() takes a number out of a tensor, and what follows would depend on data: keep a tensor",
    ),
    (
        "PackedSequence",
        "packed sequences: give the padded ones to the module, and weigh what it gives by a mask of the lengths",
    ),
    (
        "GuardOnDataDependentSymNode",
        "data decide which way the program goes here: write torch.where(condition, a, b) for a choice of values, and "
        "for a loop one of a fixed number of steps, the rest of which torch.where leaves out",
    ),
    (".numpy() is not supported", "it leaves PyTorch for NumPy: write it with functions of torch"),
    ("UncapturedHigherOrderOpError", "PyTorch cannot follow torch.cond or a loop of its own here: write torch.where"),
    (
        "DataDependentOutputException",
        "data decide the sizes or the course of what follows: write torch.where, or a mask",
    ),
    ("DynamicOutputShapeException", "data decide how many elements there are: write torch.where, or weigh by a mask"),
    ("pack_padded_sequence", "sequences of several lengths as one: pad them, and weigh what is computed by a mask"),
)
"""What to write instead, by a part of what PyTorch says."""


def _not_exported(module: Any, error: BaseException, path: Sequence[str]) -> GraphnnError:
    """Return the error of a module that PyTorch cannot export: line, module, and what to write instead."""
    if isinstance(error, GraphnnError):
        return restated(error, "from_torch: ")
    while error.__cause__ is not None:  # what the exporter says of it comes to "it failed", and names its steps
        error = error.__cause__
    said = f"{type(error).__name__}: {error} {_operands_of(error)}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    why = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    advice = next((advice for part, advice in _ADVICE if part in said), "")
    origin = _line_in(str(error)) or _line_of(error)
    inner = next((name for name in reversed(path) if name), "")
    where = ", ".join([*([str(origin)] if origin else []), *([f"in {inner}"] if inner else [])])
    start = f"{where}: " if where else ""
    # An operation is worth to be named, and what PyTorch says of its own means is not.
    named = f" ({why})" if advice and why.startswith("aten.") else ""
    return restated(UsageError(f"{start}PyTorch cannot export {type(module).__name__}: {advice or why}{named}"))


def _operands_of(error: BaseException) -> str:
    """Return the types of what the functions of PyTorch that failed were given."""
    found, trace = set[str](), error.__traceback__
    while trace is not None:
        if OF_TORCH.search(trace.tb_frame.f_code.co_filename):
            found.update(type(each).__name__ for each in trace.tb_frame.f_locals.values())
        trace = trace.tb_next
    return " ".join(sorted(found))


def _line_in(text: str) -> Origin | None:
    """Return the user's line that an error of PyTorch names."""
    _, _, after = text.partition("The following call raised this error:")
    frames = FRAME.findall(after)
    return Origin(frames[-1][0], int(frames[-1][1])) if frames else None


def _line_of(error: BaseException) -> Origin | None:
    """Return the user's innermost line in the traceback of an error."""
    found, trace = None, error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not OF_TORCH.search(file) and f"graphnn{os.sep}torch{os.sep}" not in file and "graphnn/" not in file:
            found = Origin(file, trace.tb_lineno)
        trace = trace.tb_next
    return found if found is not None and found.file.endswith(".py") else None
