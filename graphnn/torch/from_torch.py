"""PyTorch modules as graphs, by what ``torch.export`` tells of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .checked import check_read
from .exported import Exported, export
from .reader import Reader, Stored

if TYPE_CHECKING:
    from ..core import Graph, Node

_Names = Mapping[int, str]


def from_torch(
    module: Any,
    *examples: Any,
    dims: _Names | Sequence[_Names | None] | None = None,
    trainable: bool = True,
    check: bool = True,
    weights: Any = None,
    **named: Any,
) -> Graph:
    """Read a PyTorch module as a graph.
    """
    torch = _torch()
    if not isinstance(module, torch.nn.Module):
        raise UsageError(f"from_torch reads a torch.nn.Module, not {type(module).__name__}")
    found = export(torch, module, examples, named, dims)
    reader = read(torch, module, found, trainable)
    if check:
        check_read(torch, module, found, reader, trainable)
    return reader.graph


def read(torch: Any, module: Any, found: Exported, trainable: bool) -> Reader:
    """Return the reader of an exported module, and so its graph."""
    from ..core import Graph

    graph = Graph(type(module).__name__, found.dtype)
    reader = Reader(graph, torch, trainable)
    stored = found.stored(trainable)
    operands = []
    for spec in found.inputs:
        if isinstance(spec, Stored):
            operands.append(spec)
        elif spec.is_tensor:
            from .aliases import Tensor

            operands.append(Tensor.of(graph.placeholder(spec.name, spec.shape, spec.dtype)))
        else:
            operands.append(spec.value)
    results = reader.read(found.program.graph_module, operands)
    for name, value in zip(found.results, results, strict=True):
        if name is not None:
            node = reader.output(value)
            graph.outputs[_free(graph, name, node)] = node
    reader.finish(stored)
    return reader


def _free(graph: Graph, name: str, node: Node) -> str:
    """Return the name of a result; one that a module or a weight has, too, gets "output" behind it."""
    taken = graph.names.get(name, node) is not node or (graph._taken(name) and node.name != name)
    return graph.free_name(f"{name}_output") if taken else name


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise UsageError("from_torch needs PyTorch: pip install torch") from None
    return torch
