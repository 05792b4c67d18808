"""PyTorch modules as graphs, through PyTorch's own ONNX exporter."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GraphnnError, UsageError, restated
from .onnx.model import graph_of

if TYPE_CHECKING:
    from ..graph import Graph

_Names = Mapping[int, str]


def from_torch(
    module: Any, *examples: Any, trainable: bool = False, dims: _Names | Sequence[_Names | None] | None = None
) -> Graph:
    """Read a PyTorch module as a graph, as it computes in evaluation.

    The module goes through ``torch.onnx.export``. Scopes are called by the module's own attributes, parameters as in
    ``module.named_parameters()``, and the line of a node is the line of the PyTorch program that it is from.

    Parameters
    ----------
    module : torch.nn.Module
        It is not changed. Dropout is left out, and batch norm uses its running statistics.
    *examples : torch.Tensor or array_like
        What the module is called with. Shapes and dtypes are those of the graph's inputs.
    trainable : bool
        Whether the module's parameters become parameters; those with ``requires_grad=False`` are not trainable. If
        not, they are constants.
    dims : dict of int to str, or a sequence of them, optional
        {axis: name} of sizes that may vary, for all examples or one for each. The example has 2 or more there.

    Returns
    -------
    Graph
        Inputs have the names of the arguments of ``module.forward``.

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
    if not examples:
        raise UsageError("from_torch needs an example of each input: from_torch(module, torch.zeros(2, 3))")
    tensors = tuple(each if isinstance(each, torch.Tensor) else torch.as_tensor(np.asarray(each)) for each in examples)
    with _evaluating(module), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                module, tensors, dynamo=True, optimize=False, verbose=False, dynamic_shapes=_shapes(tensors, dims)
            )
            model = program.model_proto
        except Exception as error:
            raise _not_exported(module, error) from error
    weights = {name: parameter.requires_grad for name, parameter in module.named_parameters()} if trainable else {}
    return graph_of(model, None, type(module).__name__, {}, {}, weights)


def _torch() -> Any:
    try:
        import onnxscript  # noqa: F401 - the exporter needs it
        import torch
    except ImportError as error:
        raise UsageError(f"from_torch needs {error.name}: pip install torch onnxscript") from None
    return torch


@contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    """Have a module and those inside compute as in evaluation, and as before afterwards."""
    before = [(each, each.training) for each in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for each, training in before:
            each.training = training


def _shapes(tensors: Sequence[Any], dims: Any) -> Any:
    if dims is None:
        return None
    each = [dims] * len(tensors) if isinstance(dims, Mapping) else list(dims)
    if len(each) != len(tensors):
        raise UsageError(f"dims has {len(each)} entries for {len(tensors)} examples")
    found = []
    for tensor, names in zip(tensors, each, strict=True):
        found.append({axis: name for axis, name in (names or {}).items() if axis < tensor.ndim})
        for axis, name in found[-1].items():
            if tensor.shape[axis] < 2:
                raise UsageError(
                    f'the size "{name}" is {tensor.shape[axis]} in an example, and PyTorch takes 0 and 1 as fixed: '
                    "give an example with 2 or more"
                )
    return tuple(found)


def _not_exported(module: Any, error: BaseException) -> GraphnnError:
    while error.__cause__ is not None:  # what the exporter says of it comes to "it failed", and names its steps
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    why = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return restated(UsageError(f"PyTorch cannot export {type(module).__name__}: {why}"))
