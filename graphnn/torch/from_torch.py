"""PyTorch modules as graphs, by what ``torch.export`` tells of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._util.text import short_repr
from ..core import Graph, as_labels
from ..errors import UsageError
from .aliases import Tensor
from .checked import check_read
from .exported import Exported, export
from .reader import Reader, Stored
from .weights import with_weights

if TYPE_CHECKING:
    from ..core import Node

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
    """Read a PyTorch module as a graph of its operations, and compare it with the module.

    The module is exported for the example, by ``torch.export``, as it stands: in training, batch norm takes statistics
    of the batch and moves the running ones by ``graph.advances``, and dropout draws numbers of graphnn's, which
    ``graph.evaluation`` leaves out; ``module.eval()`` before reads it for evaluation. Each operation of PyTorch becomes
    operations of graphnn, so gradients, sizes with names, pictures and the debugger are those of any graph.

    Scopes are called by the paths of modules, ``g["blocks.0.attn"]``, weights as in ``module.named_parameters()``, and
    the line of a node is the line of the PyTorch program that it is from.

    Parameters
    ----------
    module : torch.nn.Module
        It is not changed. Large weights share its memory until it writes to them, which copies them first.
    *examples : torch.Tensor, array_like, or dict, list, tuple or dataclass of them
        What the module is called with. Shapes and dtypes are those of the graph's inputs. None, numbers, bools and
        texts are no inputs, but settings, which stay as they are.
    dims : dict of int to str, or a sequence of them, optional
        {axis: name} of sizes that may vary, for all inputs or one for each. The example has 2 or more there.
    trainable : bool
        Whether the module's parameters become parameters; those with ``requires_grad=False`` are not trainable. If
        not, they are constants.
    check : bool
        Whether to run the example in PyTorch and in graphnn: all results, and with `trainable` the gradients of all
        weights, or of more than 200 million numbers the derivative in one direction. What differs beyond rounding is
        an error that names the first call that is wrong.
    weights : mapping of str to array_like, or path, optional
        The values of parameters and buffers, by their names, or a file of them in the format of safetensors, where they
        stay until they are used; tied ones under one name or more. The module may then be one on the device "meta",
        which has none. Its dtype is what is computed in: weights of fewer bits are kept as they are.
    **named : torch.Tensor or array_like
        Examples and settings that the module is given by name. As inputs they follow the other ones.

    Returns
    -------
    Graph
        Inputs have the names of the arguments of ``module.forward``. Outputs have the keys of what it returns, if that
        is a dict or the like; else they are called "output", or "output_1" and so on. If the module's ``config`` names
        its classes, ``id2label`` as in transformers, ``graph.labels`` has their names.

    Warns
    -----
    GraphnnWarning
        When the module draws random numbers, other than by dropout, so that values cannot be compared.

    Raises
    ------
    UsageError
        When PyTorch is not installed, or cannot export the module. The error names the user's line and the module, and
        what to write instead.
    NoRuleError
        When the module has an operation that graphnn does not read.
    EvaluationError
        When what graphnn computes is not what PyTorch computes.

    Notes
    -----
    PyTorch is not one of graphnn's extras: install the build for your machine.

    No gradient passes through ``tensor.detach()``, out of ``torch.no_grad()``, or to the row of an embedding's padding.
    The backward of a ``torch.autograd.Function`` is read, too. Where others decide otherwise at a kink, PyTorch is
    followed.

    Examples
    --------
    With PyTorch installed::

        g = gn.from_torch(model, torch.zeros(2, 10), dims={0: "batch"})
        step = gn.compile(loss, nn.Adam(1e-3).updates(loss))      # loss made of g.outputs["output"]
        gn.compare(g, feed=feed, runtime="torch")
    """
    torch = _torch()
    if not isinstance(module, torch.nn.Module):
        raise UsageError(f"from_torch reads a torch.nn.Module, not {type(module).__name__}")
    for name, flag in (("trainable", trainable), ("check", check)):
        if not isinstance(flag, bool):
            raise UsageError(f"{name}= is True or False, not {short_repr(flag)}")
    arrays: dict[int, Any] = {}
    if weights is not None:
        module, arrays = with_weights(torch, module, weights)
    found = export(torch, module, examples, named, dims, arrays)
    reader = read(torch, module, found, trainable)
    if check:
        check_read(torch, module, found, reader, trainable)
    reader.graph.caches[SOURCE] = torch, found, reader.made
    return reader.graph


SOURCE = "exported by PyTorch"
"""Under which a graph keeps what it was read from: PyTorch, the export, and the nodes of its calls."""


def read(torch: Any, module: Any, found: Exported, trainable: bool) -> Reader:
    """Return the reader of an exported module, and so its graph."""
    graph = Graph(type(module).__name__, found.dtype)
    reader = Reader(graph, torch, trainable)
    stored = found.stored(trainable)
    operands: list[Any] = []
    for spec in found.inputs:
        if isinstance(spec, Stored):
            operands.append(spec)
        elif spec.is_tensor:
            operands.append(Tensor.of(graph.placeholder(spec.name, spec.shape, spec.dtype)))
        else:
            operands.append(spec.value)
    results = reader.read(found.program.graph_module, operands)
    for name, value in zip(found.results, results, strict=True):
        if name is not None:
            node = reader.output(value)
            graph.outputs[_free(graph, name, node)] = node
    reader.finish(stored)
    _name_classes(graph, getattr(module, "config", None))
    return reader


def _name_classes(graph: Graph, config: Any) -> None:
    """Name the classes of the logits as the configuration of a model of transformers does, ``id2label``."""
    known = getattr(config, "id2label", None)
    node = graph.outputs.get("logits", next(iter(graph.outputs.values()))) if graph.outputs else None
    if not isinstance(known, Mapping) or node is None or not known:
        return
    names = {str(key): name for key, name in known.items()}
    ordered = [names.get(str(i)) for i in range(len(names))]
    if None in ordered or ordered == [f"LABEL_{i}" for i in range(len(names))]:  # nobody has given names
        return
    axis = next((axis for axis in (-1, 1) if node.ndim > 1 and node.shape[axis] == len(names)), None)
    if axis is not None:
        graph.labels[node, axis] = as_labels(ordered)


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
