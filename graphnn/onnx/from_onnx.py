"""ONNX models: read from a file, checked, and made a graph."""

from __future__ import annotations

import keyword
import os
import re
import stat
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._util.text import counted, listed, quoted, short_repr
from ..core import Array, Dim, Graph, Node, Spec, sealed
from ..core.shape_complexity import reading
from ..core.symbolic_shapes import dimension, names_in, size_of
from ..errors import (
    FileFormatError,
    GraphnnError,
    GraphnnWarning,
    NoRuleError,
    NotFoundError,
    ShapeError,
    UsageError,
    near,
    restated,
)
from ..io.paths import path_of
from . import rules as rules  # registers them
from .function_bodies import domain_of, has_body
from .graph_restoring import Restorer
from .metadata import TO_THE_USER, Told, is_ours
from .model_reader import Frame, Reader, Weight, initializers_of
from .node_order import graphs_in, reads
from .rule_registry import RULES, Value
from .rules.refused import REFUSED
from .tensors import array_of, dtype_of

_MOST_BYTES = 2**31
_LONGEST_NAME = 60
"""Characters of the name that a dimension gets which the model calls by what is no name."""


@dataclass(frozen=True)
class Source:
    """What a graph was read from.

    Attributes
    ----------
    model : onnx.ModelProto
    path : Path or None
    nodes : dict of str to Node
        {name of a tensor of the model: its node}, of those that have one.
    counted : int
        How many ONNX nodes the model has.
    folded : int
        How many of them were evaluated while the model was read.
    values : dict of str to array
        Of the inputs that were given a value.
    """

    model: Any
    path: Path | None
    nodes: dict[str, Node]
    counted: int
    folded: int
    values: dict[str, Array]


def source_of(graph: Graph) -> Source | None:
    """Return what a graph was read from; None where that was no model."""
    return graph.caches.get("source")


def from_onnx(
    model: Any,
    sizes: Mapping[str, int] | None = None,
    values: Mapping[str, Any] | None = None,
    trainable: bool = False,
) -> Graph:
    """Read an ONNX model as a graph.

    One ONNX node becomes one scope of its name, in which are the operations that compute it; a node without a name
    is called by its operation, ``Add_2``. Inputs are placeholders and results are ``graph.outputs``, both by the
    model's names. What depends only on shapes is evaluated here. Nothing in the file is executed.

    A model that `to_onnx` wrote becomes the graph that it was, as its metadata tell, and computes the same bits. What
    somebody has changed in it since is read from the ONNX nodes, and so is the whole of it where sizes or values are
    given; ``gn.extract(graph.outputs, sizes=…)`` gives sizes to the graph that it was.

    Parameters
    ----------
    model : path, bytes or onnx.ModelProto
    sizes : dict of str to int, optional
        {dimension: size}, for dimensions that the model leaves open.
    values : dict of str to array_like, optional
        {input: its value}, for inputs that are always the same. What depends on them only is evaluated here.
    trainable : bool
        Whether initializers of floats become parameters. If not, they are constants, mapped where they can be. The
        parameters of a graph that `to_onnx` wrote are what they were in any case.

    Returns
    -------
    Graph

    Warns
    -----
    GraphnnWarning
        When the metadata of `to_onnx` are of a format that is not known, or not all fit the model.

    Raises
    ------
    FileFormatError
        When it is not an ONNX model, or is damaged.
    NoRuleError
        When it has operations that graphnn does not read. All are listed.
    NotFoundError
        When a size or a value is given for what the model does not have.

    Examples
    --------
    >>> from onnx import parser
    >>> model = parser.parse_model(
    ...     '<ir_version: 8, opset_import: ["": 17]> line (float[n] x) => (float[n] y) {y = Neg(x)}'
    ... )
    >>> graph = from_onnx(model)
    >>> graph.outputs["y"]
    <Node "Neg/negative": negative (n,) float32>
    """
    for what, given in (("sizes", sizes), ("values", values)):
        if given is not None and not isinstance(given, Mapping):
            raise UsageError(f"{what}= must be a dict by name, not {type(given).__name__}")
    if not isinstance(trainable, bool):
        raise UsageError(f"trainable= is True or False, not {short_repr(trainable)}")
    proto, path = _proto(model)
    title = path.stem if path is not None else proto.graph.name or "model"
    weights = _floats(proto) if trainable else set()
    with reading("the model"):
        return graph_of(proto, path, title, dict(sizes or {}), dict(values or {}), weights)


def _floats(proto: Any) -> set[str]:
    """Return the names of the initializers that training may change: not those that shapes follow from."""
    fixed = {name for each in proto.graph.node if each.op_type in ("Resize", "Upsample") for name in each.input[1:]}
    floats = [each.name for each in proto.graph.initializer if each.data_type in (1, 10, 11, 16) and each.dims]
    return {name for name in floats if name not in fixed}


def graph_of(
    proto: Any,
    path: Path | None,
    title: str,
    sizes: dict[str, int],
    values: dict[str, Any],
    weights: set[str],
) -> Graph:
    """Return a model as a graph.

    Parameters
    ----------
    proto : onnx.ModelProto
    path : Path or None
        Of its file.
    title : str
        The name of the graph.
    sizes, values : dict
        As `from_onnx` takes them.
    weights : set of str
        The initializers that become parameters.
    """
    file = path.name if path is not None else title
    _check(proto, file)
    told = Told(proto, title) if not sizes and not values and is_ours(proto, file) else None
    graph = Graph(title, np.float32) if told is None else told.graph
    ends = {each.name for each in (*proto.graph.input, *proto.graph.output)}
    versions = {domain_of(each): each.version for each in proto.opset_import}
    _check_opsets(versions, file)
    functions = {(domain_of(each), each.name): each for each in proto.functions}
    reader = Reader(graph, versions, functions, file, path.parent if path is not None else None, ends)
    frame = Frame()
    restorer = None if told is None else Restorer(reader, frame, proto, told)
    with _of_file(file):
        _inputs(reader, frame, proto.graph, sizes, values, weights, restorer)
    if restorer is None:
        reader.readers.update(name for node in proto.graph.node for name in reads(node))
        reader.read(proto.graph.node, frame, {})
    else:
        restorer.read()
    with _of_file(file):
        _outputs(reader, frame, proto.graph)
    frame.values = {name: reader.weight(value) for name, value in frame.values.items()}
    if restorer is not None:
        restorer.finish()
    nodes = {name: value for name, value in frame.values.items() if isinstance(value, Node)}
    fixed = {name: value for name, value in frame.values.items() if name in values and isinstance(value, np.ndarray)}
    graph.caches["source"] = Source(proto, path, nodes, len(proto.graph.node), reader.folded, fixed)
    return graph


def _proto(model: Any) -> tuple[Any, Path | None]:
    """Return the model as a ModelProto, and the path of its file."""
    try:
        import onnx
    except ImportError:
        raise UsageError('ONNX models are read by the package onnx: pip install "graphnn[onnx]"') from None
    if isinstance(model, onnx.ModelProto):
        return model, None
    path = None
    if isinstance(model, (str, os.PathLike)):
        path = path_of(model)
        about = path.stat()
        if not (stat.S_ISREG(about.st_mode) or stat.S_ISFIFO(about.st_mode)):
            raise FileFormatError(f"{str(path)!r} is neither a file nor a pipe")
        if about.st_size >= _MOST_BYTES:
            raise FileFormatError(f"{str(path)!r} has 2 GiB or more, which no ONNX model has in one file")
        content = path.read_bytes()
    elif isinstance(model, bytes):
        content = model
    else:
        raise UsageError(f"from_onnx reads a path, bytes or an onnx.ModelProto, not {type(model).__name__}")
    proto = onnx.ModelProto()
    what = f"{str(path)!r} is" if path is not None else "the bytes are"
    try:
        proto.ParseFromString(content)
    except Exception:  # noqa: BLE001 - what protobuf raises is a class of its own
        raise FileFormatError(f"{what} not an ONNX model, or damaged") from None
    if not proto.HasField("graph"):
        raise FileFormatError(f"{what} not an ONNX model: there is no graph in it")
    return proto, path


def _check(proto: Any, file: str) -> None:
    """Refuse a model with operations that graphnn does not read; name them all."""
    for text in _texts(proto):
        if not isinstance(text, str):  # protobuf hands on bytes that are not UTF-8 as they are
            raise FileFormatError(f"{file} is damaged: {short_repr(text)} is not a text")
    versions = {domain_of(each): each.version for each in proto.opset_import}
    own = {(domain_of(each), each.name) for each in proto.functions}
    missing: Counter[str] = Counter()
    firsts: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for node in all_nodes(proto.graph, proto.functions):
        key = domain_of(node), node.op_type
        if key in RULES or key in own or has_body(node, versions):
            continue
        kind = ".".join(filter(None, key))
        missing[kind] += 1
        firsts.setdefault(kind, node.name or next(iter(node.output), ""))
        reasons[kind] = f": {REFUSED[key]}" if key in REFUSED else ""
    if missing:
        listed = "; ".join(
            f"{kind} ({counted(count, 'node')}, the first {quoted(firsts[kind])}{reasons[kind]})"
            for kind, count in missing.most_common()
        )
        raise NoRuleError(f"{file} has operations that graphnn does not read: {listed}")


@contextmanager
def _of_file(file: str) -> Iterator[None]:
    """Have the errors inside say which model it is."""
    try:
        yield
    except GraphnnError as error:
        raise error.within(f"{file}: ") from None


def _check_opsets(versions: Mapping[str, int], file: str) -> None:
    from onnx import defs

    newest = defs.onnx_opset_version()
    for domain, version in versions.items():
        if not (0 if domain else 1) <= version < 2**31:
            raise FileFormatError(f"{file} is of opset {version} of {short_repr(domain)}, and there is no such opset")
    if versions.get("", 1) > newest:
        warnings.warn(
            f"{file} is of opset {versions['']}, and read as one of {newest}, the newest that the package onnx knows",
            GraphnnWarning,
            stacklevel=TO_THE_USER,
        )


def _texts(proto: Any) -> Iterator[Any]:
    """Yield all names in a model."""
    graph = proto.graph
    yield graph.name
    for opset in proto.opset_import:
        yield opset.domain
    for value in (*graph.input, *graph.output, *graph.initializer):
        yield value.name
    for value in graph.input:
        for dim in value.type.tensor_type.shape.dim:
            yield dim.dim_param
    for function in proto.functions:
        yield from (function.name, function.domain, *function.input, *function.output)
    for node in all_nodes(proto.graph, proto.functions):
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        for attribute in node.attribute:
            yield from (attribute.name, attribute.ref_attr_name)


def all_nodes(graph: Any, functions: Iterable[Any] = ()) -> Iterator[Any]:
    """Yield the nodes of a graph and of functions, and those of the subgraphs in them."""
    stack = [*graph.node, *(node for function in functions for node in function.node)]
    stack.reverse()
    while stack:
        node = stack.pop()
        yield node
        for attribute in node.attribute:
            for inner in graphs_in(attribute):
                stack.extend(inner.node)


# --- inputs and outputs ---------------------------------------------------------------------------------------------


def _inputs(
    reader: Reader,
    frame: Frame,
    graph: Any,
    sizes: dict[str, int],
    values: dict[str, Any],
    weights: set[str],
    restorer: Restorer | None,
) -> None:
    initializers = initializers_of(graph, "the model")
    inputs = [each for each in graph.input if each.name not in initializers]
    names = [each.name for each in inputs]
    for name in values:
        if name not in names and name not in initializers:
            raise NotFoundError(f"the model has no input {quoted(name)}.{near(name, names)}")
    dims = _Dims(sizes)
    for each in inputs:
        dtype, shape = dims.spec(each)
        if each.name in values:
            frame.values[each.name] = _value(each.name, values[each.name], Spec(shape, dtype))
        else:
            node = None if restorer is None else restorer.input(each, dtype, shape)
            frame.values[each.name] = reader.graph.placeholder(each.name, shape, dtype) if node is None else node
    dims.check_given()
    for name, tensor in initializers.items():
        array = array_of(tensor, reader.folder)
        if name in values:
            array = _value(name, values[name], Spec(array.shape, array.dtype))
        node = None if restorer is None else restorer.stored(tensor, array, name in weights)
        if node is not None:
            frame.values[name] = node
        elif name in weights and name not in values:
            weight = Weight(name, sealed(array))
            frame.values[name] = weight if restorer is None else reader.weight(weight)
        else:
            frame.values[name] = array
            reader.titles[id(array)] = name


def _value(name: str, value: Any, spec: Spec) -> Array:
    """Return what an input is said to be always."""
    try:
        given = np.asarray(value)
    except Exception as error:
        raise restated(error, f"the value of {quoted(name)}: ") from error
    if given.size == 1 and set(spec.shape) <= {1}:
        given = given.reshape((1,) * len(spec.shape))
    if not np.can_cast(given.dtype, spec.dtype, "same_kind"):
        raise UsageError(f"the input {quoted(name)} is {spec.dtype}, and its value {given.dtype}")
    fixed = [n for n, dim in zip(given.shape, spec.shape, strict=False) if isinstance(dim, int) and n != dim]
    if given.ndim != len(spec.shape) or fixed:
        raise ShapeError(f"the input {quoted(name)} is {spec}, and its value {given.shape}")
    return given.astype(spec.dtype)


def _outputs(reader: Reader, frame: Frame, graph: Any) -> None:
    call = reader.ending()
    for each in graph.output:
        value: Value = reader.weight(frame.find(each.name))
        if value is None:
            raise NoRuleError(f"graphnn does not compute the output {quoted(each.name)}")
        if isinstance(value, list):
            raise NoRuleError(f"the output {quoted(each.name)} is not an array")
        reader.graph.outputs[each.name] = call.node(value)


class _Dims:
    """The dimensions of inputs: what the model calls them, and what the graph does."""

    def __init__(self, sizes: dict[str, int]) -> None:
        self.sizes = sizes
        self.known: dict[str, Dim] = {}
        self.taken: set[Dim] = set()
        self.numbers: Counter[str] = Counter()
        self.used: set[str] = set()

    def spec(self, value: Any) -> tuple[np.dtype[Any], tuple[Dim, ...]]:
        what = f"the input {quoted(value.name)}"
        if not value.type.HasField("tensor_type"):
            kind = value.type.WhichOneof("value") or "nothing"
            raise NoRuleError(f"{what} is a {kind.removesuffix('_type')}, and graphnn reads tensors")
        tensor = value.type.tensor_type
        if not tensor.HasField("shape"):
            raise NoRuleError(f"{what} does not say how many axes it has, and graphnn needs to know")
        dtype = dtype_of(tensor.elem_type, what)
        return dtype, tuple(self._dim(value.name, axis, dim, what) for axis, dim in enumerate(tensor.shape.dim))

    def _dim(self, name: str, axis: int, dim: Any, what: str) -> Dim:
        if dim.HasField("dim_value") and dim.dim_value != -1:
            if not 0 <= dim.dim_value < 2**48:
                raise ShapeError(f"{what} has a dimension of {dim.dim_value}")
            return int(dim.dim_value)
        called = dim.dim_param if dim.HasField("dim_param") and dim.dim_param.strip(" ?") else f"{name}_{axis}"
        if called not in self.known:
            self.known[called] = found = self._size(called)
            self.taken.add(found)
        return self.known[called]

    def _size(self, called: str) -> Dim:
        """Return the size or the name of a dimension; expressions of names stay what they are."""
        if called in self.sizes:
            self.used.add(called)
            return dimension(self.sizes[called])
        try:
            found = dimension(called)
        except (ShapeError, UsageError):
            found = self._name(called)
        if isinstance(found, int):
            return found
        names = names_in([found])
        self.used |= names & self.sizes.keys()
        if names <= self.sizes.keys():
            return size_of(found, self.sizes)
        return found

    def _name(self, called: str) -> Dim:
        """Return a name of letters, digits and underscores for a dimension."""
        name = re.sub(r"\W+", "_", called, flags=re.ASCII)[:_LONGEST_NAME].strip("_")
        if not name or not name.isidentifier() or keyword.iskeyword(name) or name == "max":
            name = f"size_{name}".rstrip("_")
        base = name
        while name in self.taken:
            self.numbers[base] += 1
            name = f"{base}_{self.numbers[base] + 1}"
        if name in self.sizes:
            self.used.add(name)
            return dimension(self.sizes[name])
        return name

    def check_given(self) -> None:
        """Refuse sizes of dimensions that the model does not have."""
        for name in self.sizes.keys() - self.used:
            open_ones = sorted({*self.known, *names_in(self.known.values())})
            which = f" Open are {listed(open_ones)}." if open_ones else " All its sizes are fixed."
            raise NotFoundError(
                f"the model has no dimension {quoted(name)}.{near(name, open_ones) if open_ones else ''}{which}"
            )
