"""PyTorch modules as graphs, through PyTorch's own ONNX exporter."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GraphnnError, UsageError, restated
from ..onnx.from_onnx import all_nodes, graph_of
from .aten_export import as_they_are

if TYPE_CHECKING:
    from ..core import Graph

_Names = Mapping[int, str]


def from_torch(
    module: Any,
    *examples: Any,
    trainable: bool = False,
    dims: _Names | Sequence[_Names | None] | None = None,
    **named: Any,
) -> Graph:
    """Read a PyTorch module as a graph, as it computes in evaluation.

    The module goes through ``torch.onnx.export``. Scopes are called by the module's own attributes, parameters as in
    ``module.named_parameters()``, and the line of a node is the line of the PyTorch program that it is from.

    Parameters
    ----------
    module : torch.nn.Module
        It is not changed. Dropout is left out, and batch norm uses its running statistics.
    *examples : torch.Tensor or array_like
        What the module is called with. Shapes and dtypes are those of the graph's inputs. None, bools and texts are no
        inputs, but settings, which stay as they are.
    trainable : bool
        Whether the module's parameters become parameters; those with ``requires_grad=False`` are not trainable. If
        not, they are constants.
    dims : dict of int to str, or a sequence of them, optional
        {axis: name} of sizes that may vary, for all inputs or one for each. The example has 2 or more there.
    **named : torch.Tensor or array_like
        Examples and settings that the module is given by name. As inputs they follow the other ones.

    Returns
    -------
    Graph
        Inputs have the names of the arguments of ``module.forward``. Outputs have the keys of what it returns, if that
        is a dict or the like.

    Raises
    ------
    UsageError
        When PyTorch is not installed, or cannot export the module.
    NoRuleError
        When the module has operations that graphnn does not read.

    Notes
    -----
    PyTorch is not one of graphnn's extras: install the build for your machine, and the package onnxscript.

    No gradient passes through ``tensor.detach()``. The exporter drops what else says how to differentiate:
    ``torch.no_grad()`` in ``forward``, the ``backward`` of a ``torch.autograd.Function``, and the ``padding_idx`` of an
    embedding. There, gradients are those of what is computed.
    """
    torch = _torch()
    if not isinstance(module, torch.nn.Module):
        raise UsageError(f"from_torch reads a torch.nn.Module, not {type(module).__name__}")

    def tensor_of(given: Any) -> Any:
        if given is None or isinstance(given, (bool, str)):
            return given
        return given.detach() if isinstance(given, torch.Tensor) else torch.as_tensor(np.asarray(given))

    given = [tensor_of(each) for each in examples]
    settings = {key: tensor_of(each) for key, each in named.items()}
    inputs = [each for each in (*given, *settings.values()) if isinstance(each, torch.Tensor)]
    if not inputs:
        raise UsageError("from_torch needs an example of each input: from_torch(module, torch.zeros(2, 3))")
    sizes = None if dims is None else _named_sizes(inputs, dims)
    with _evaluating(module), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with called_with(module, inputs, given, settings):
                program = torch.onnx.export(
                    module,
                    tuple(inputs),
                    dynamo=True,
                    optimize=False,
                    verbose=False,
                    dynamic_shapes=sizes,
                    custom_translation_table=as_they_are(torch),
                )
            model = program.model_proto
        except Exception as error:
            raise _not_exported(module, error) from error
    weights = dict(module.named_parameters(remove_duplicate=False))
    name_once(model.graph, weights)
    name_outputs(model.graph, keys_of(program.exported_program.call_spec.out_spec))
    wanted = {name: weight.requires_grad for name, weight in weights.items()} if trainable else {}
    return graph_of(model, None, type(module).__name__, {}, {}, wanted, "from_torch")


def _torch() -> Any:
    try:
        import onnxscript  # noqa: F401 - the exporter needs it
        import torch
    except ImportError as error:
        raise UsageError(f"from_torch needs {error.name}: pip install torch onnxscript") from None
    return torch


@contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    """Have a module and those inside compute as in evaluation, and as before afterwards.

    No weight wants a gradient meanwhile: attention whose mask wants one is another kernel to PyTorch, whose result has
    another layout when its exporter traces it again.
    """
    before = [(each, each.training) for each in module.modules()]
    trained = [each for each in module.parameters() if each.requires_grad]
    module.eval()
    try:
        for each in trained:
            each.requires_grad = False
        yield
    finally:
        for each, training in before:
            each.training = training
        for each in trained:
            each.requires_grad = True


@contextmanager
def called_with(
    module: Any, inputs: Sequence[Any], examples: Sequence[Any], named: Mapping[str, Any]
) -> Iterator[None]:
    """Have a module take its inputs alone, one after the other, and what else it is given as it is now.

    So PyTorch's exporter, which loses the names of sizes of arguments by name, has none to do with.
    """
    whole = module.forward
    bound = inspect.signature(whole).bind(*examples, **named)
    if [*map(id, bound.arguments.values())] == [*map(id, bound.args)] == [*map(id, inputs)]:
        yield  # as it is: the exporter does not find tensors that a module makes behind a function of ours
        return
    names: dict[int, str] = {}
    for name, value in bound.arguments.items():
        if isinstance(value, tuple):  # of *args
            names |= {id(each): f"{name}_{place}" for place, each in enumerate(value)}
        elif isinstance(value, dict):  # of **kwargs
            names |= {id(each): key for key, each in value.items()}
        else:
            names[id(value)] = name

    def forward(*tensors: Any) -> Any:
        now = {id(each): tensor for each, tensor in zip(inputs, tensors, strict=True)}
        given = [now.get(id(each), each) for each in examples]
        return whole(*given, **{key: now.get(id(each), each) for key, each in named.items()})

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(names[id(each)], kind) for each in inputs]
    forward.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    before = vars(module).get("forward")
    module.forward = forward
    try:
        yield
    finally:
        del module.forward
        if before is not None:
            module.forward = before


def _named_sizes(inputs: Sequence[Any], dims: Any) -> tuple[dict[int, str], ...]:
    """Return {axis: name} of each input."""
    each = [dims] * len(inputs) if isinstance(dims, Mapping) else list(dims)
    if len(each) != len(inputs):
        raise UsageError(f"dims has {len(each)} entries for {len(inputs)} inputs")
    found: list[dict[int, str]] = []
    for tensor, names in zip(inputs, each, strict=True):
        found.append({axis: name for axis, name in (names or {}).items() if axis < tensor.ndim})
        for axis, name in found[-1].items():
            if tensor.shape[axis] < 2:
                raise UsageError(
                    f'the size "{name}" is {tensor.shape[axis]} in an example, and PyTorch takes 0 and 1 as fixed: '
                    "give an example with 2 or more"
                )
    return tuple(found)


def name_once(graph: Any, weights: Mapping[str, Any]) -> None:
    """Call each weight of an exported graph by its first name, also where a module has it under several names."""
    firsts: dict[int, str] = {}
    called = {name: firsts.setdefault(id(weight), name) for name, weight in weights.items()}
    seen: set[str] = set()
    for place, tensor in reversed(list(enumerate(graph.initializer))):
        tensor.name = called.get(tensor.name, tensor.name)
        if tensor.name in seen:
            del graph.initializer[place]
        seen.add(tensor.name)
    for node in all_nodes(graph):
        for place, name in enumerate(node.input):
            if called.get(name, name) != name:
                node.input[place] = called[name]


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


def name_outputs(graph: Any, keys: Sequence[str]) -> None:
    """Call the outputs of an exported graph by the keys of the module's results, where they have keys."""
    if len(keys) != len(graph.output):
        return
    taken = {name for node in all_nodes(graph) for name in (*node.input, *node.output)}
    for output, key in zip(graph.output, keys, strict=True):
        if key and key not in taken:
            graph.node.add(op_type="Identity", input=[output.name], output=[key])
            output.name = key
            taken.add(key)


def _not_exported(module: Any, error: BaseException) -> GraphnnError:
    while error.__cause__ is not None:  # what the exporter says of it comes to "it failed", and names its steps
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    why = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return restated(UsageError(f"PyTorch cannot export {type(module).__name__}: {why}"))
