"""Other engines that run the model that a graph was read from, as the other side of a comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.symbolic_shapes import concrete
from ..debugger.diff import runtime
from ..errors import EvaluationError, UsageError
from .from_onnx import Source, source_of

if TYPE_CHECKING:
    from ..core import Array, Graph, Node

_AT_ONCE = 64 << 20
"""About how many bytes of values one run of the runtime returns: it computes the whole model for each group of them."""


@runtime("onnxruntime", reads="gn.from_onnx(path)")
def run_by_onnxruntime(
    graph: Graph, nodes: Sequence[Node], feed: Mapping[Node, Array], sizes: Mapping[str, int]
) -> Iterator[tuple[Node, Array]] | None:
    """Return the values of nodes as ONNX Runtime computes them, on one thread."""
    source = source_of(graph)
    if source is None:
        return None
    names = _names(source)
    wanted = [node for node in nodes if node in names and node not in feed]
    session = _session(source, [names[node] for node in wanted])
    return _values(session, wanted, names, _fed(source, feed, sizes, graph), sizes)


@runtime("onnx.reference", reads="gn.from_onnx(path)")
def run_by_reference(
    graph: Graph, nodes: Sequence[Node], feed: Mapping[Node, Array], sizes: Mapping[str, int]
) -> Iterator[tuple[Node, Array]] | None:
    """Return the values of nodes as the reference evaluator of ONNX computes them. It keeps all values at once."""
    source = source_of(graph)
    if source is None:
        return None
    from onnx.reference import ReferenceEvaluator

    names = _names(source)
    try:
        with np.errstate(all="ignore"):
            made: Any = ReferenceEvaluator(source.model).run(None, _fed(source, feed, sizes, graph), intermediate=True)
    except Exception as error:
        raise EvaluationError(f"the reference evaluator of ONNX cannot run the model: {error}") from error
    wanted = [node for node in nodes if node in names and node not in feed]
    return ((node, np.asarray(made[names[node]])) for node in wanted if names[node] in made)


def _names(source: Source) -> dict[Node, str]:
    """Return {node: the first tensor of the model that is its value}, of those that the model computes."""
    made = {name for proto in source.model.graph.node for name in proto.output}
    names: dict[Node, str] = {}
    for name, node in source.nodes.items():
        if name in made:
            names.setdefault(node, name)
    return names


def _session(source: Source, names: Sequence[str]) -> Any:
    """Return a session of the model with these tensors among its outputs."""
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise UsageError(f"a comparison with ONNX Runtime needs it: pip install {error.name}") from None
    proto = onnx.ModelProto()
    proto.CopyFrom(source.model)
    known = {each.name for each in proto.graph.output}
    proto.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names if name not in known)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if source.path is not None:
        folder = str(source.path.parent.resolve())
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
    try:
        return onnxruntime.InferenceSession(proto.SerializeToString(), options, ["CPUExecutionProvider"])
    except Exception as error:
        raise EvaluationError(f"ONNX Runtime does not take the model: {error}") from error


def _fed(source: Source, feed: Mapping[Node, Array], sizes: Mapping[str, int], graph: Graph) -> dict[str, Array]:
    """Return what the runtime is fed: all inputs, those that are not needed as zeros."""
    found = dict(source.values)
    names = {source.nodes[each.name]: each.name for each in source.model.graph.input if each.name in source.nodes}
    for node in graph.placeholders:
        given = feed.get(node)
        if given is None:
            missing = dict.fromkeys((str(dim) for dim in node.spec.shape if isinstance(dim, str)), 1)
            given = np.zeros(concrete(node.spec.shape, {**missing, **sizes}), node.spec.dtype)
        found[names.get(node, node.name)] = given
    return found


def _values(
    session: Any,
    wanted: Sequence[Node],
    names: Mapping[Node, str],
    fed: Mapping[str, Array],
    sizes: Mapping[str, int],
) -> Iterator[tuple[Node, Array]]:
    place = 0
    while place < len(wanted):
        group: list[Node] = []
        total = 0
        while place < len(wanted) and (not group or total < _AT_ONCE):
            node = wanted[place]
            group.append(node)
            total += int(np.prod(concrete(node.spec.shape, sizes))) * node.spec.dtype.itemsize
            place += 1
        try:
            values = session.run([names[node] for node in group], dict(fed))
        except Exception as error:
            raise EvaluationError(f"ONNX Runtime cannot run the model: {error}") from error
        yield from zip(group, values, strict=True)
