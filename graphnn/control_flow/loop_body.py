"""Bodies: what a loop does in one iteration, as a graph that does not change, kept as text."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Self
from weakref import WeakValueDictionary

import numpy as np

from .._util.missing import needed
from .._util.ports import Port
from ..compiler.symbolic_sizes import any_size, unchecked
from ..core import Dim, Graph, Kind, Node, Op, Placeholder, Shape, Spec, dtype_named
from ..core.attributes import DimOf, Several, Text
from ..core.node import put_twin
from ..core.scopes import mirrored
from ..core.storage_dtypes import NAME
from ..core.symbolic_shapes import Constraint, add, shown, size_of, substitute, unify
from ..errors import DtypeError, FileFormatError, GraphnnError, ShapeError, UsageError
from ..io.graph_files import from_data, to_data
from ..transforms.extract_replace import in_order

if TYPE_CHECKING:
    from .bundle import Place

Read = Callable[[Any, Node], Node]

_MOST = 2**28
"""Characters of a body."""


_graphs: WeakValueDictionary[str, Graph] = WeakValueDictionary()
"""{body: its graph}, as long as somebody has it: who holds nodes of a body must meet them again."""


@lru_cache(maxsize=128)
def graph_of(body: str) -> Graph:
    """Return the graph of a body. It is shared by all who ask: nobody may add to it.

    Its placeholders are the inputs, in their order.
    """
    known = _graphs.get(body)
    return _graphs.setdefault(body, new_graph_of(body)) if known is None else known


def new_graph_of(body: str) -> Graph:
    """Return the graph of a body as a new graph, to which more may be added.

    Raises
    ------
    UsageError
        When the text is not a body.
    """
    try:
        match json.loads(body):
            case [data, dict(stored)]:
                arrays = {name: _array(*entry) for name, entry in stored.items()}
            case _:
                raise FileFormatError("it is not a graph and its constants")
        graph = from_data(data, arrays)
    except (GraphnnError, ValueError, TypeError, RecursionError) as error:
        reason = error.account if isinstance(error, GraphnnError) else error
        raise UsageError(f"the text is not the body of a loop: {reason}") from error
    if graph.state or graph.updates or graph.advances:
        raise UsageError("the body of a loop holds no parameters: they are operands of the loop")
    return graph


def _array(dtype: str, shape: Sequence[int], data: str) -> np.ndarray[Any, np.dtype[Any]]:
    if dtype != NAME and (dtype not in np.sctypeDict or np.dtype(dtype).kind not in "biuf"):
        raise FileFormatError(f"{dtype!r} is not the dtype of a constant")
    return np.frombuffer(base64.b64decode(data, validate=True), dtype_named(dtype)).reshape(shape).copy()


def text_of(graph: Graph) -> str:
    """Return a graph as the text of a body."""
    data, arrays = to_data(graph)
    stored = {
        name: [array.dtype.name, list(array.shape), base64.b64encode(array.tobytes()).decode()]
        for name, array in arrays.items()
    }
    return json.dumps([data, stored], separators=(",", ":"), ensure_ascii=False)


class BodyText(Kind):
    """The text of a body."""

    said = "the body of a loop"
    many = "bodies of loops"

    def read(self, value: Any) -> str:
        """Return the text, if it is that of a graph."""
        text = Text().read(value)
        if len(text) > _MOST:
            raise UsageError
        graph_of(text)
        return text


BodyOf = Annotated[str, BodyText()]
Dims = Annotated[tuple[Dim, ...], Several(DimOf())]
"""What the names of dimensions in a body stand for, where it is used."""


class Inside(NamedTuple):
    """What one sees of a body: how often it is computed, what it takes, and what it gives.

    Attributes
    ----------
    body : str
    title : str
        For several bodies of one operation, which it is.
    times : int or str or None
        How often it is computed; None: at most once.
    takes : sequence of (str, int)
        For each input, in their order, how it is taken and which operand of the operation that is: ("same", 3) is the
        operand as it is, ("row", 2) one row of it in each iteration, ("carried", 0) at first the operand, and then what
        the iteration before gave; ("index", -1) is the number of the iteration.
    following : dict of int to int
        {place of a carried input among the inputs: place of its next value among the nodes}.
    gives : sequence of (str, int)
        For each array in the bundle, in their order, how it is given ("last", "stacked", "count" or ""), and the place
        of the node that gives it; -1 of a count.
    notes : dict of int to str
        What there is to say of nodes.
    note : str
        What there is to say of the whole.
    """

    body: str
    title: str
    times: Dim | None
    takes: Sequence[tuple[str, int]]
    following: Mapping[int, int]
    gives: Sequence[tuple[str, int]]
    notes: Mapping[int, str] = {}
    note: str = ""

    def opened(self) -> Graph:
        """Return the graph of the body, as one that nobody else has."""
        return new_graph_of(self.body)


_Refused = Callable[[str, Any, Any], "GraphnnError | None"]
REFUSED: Port[Callable[[Any], _Refused]] = Port("guard inside")
"""Takes an operation that holds graphs, and returns its `refused_inside`."""


class Keeping(Op, abstract=True):
    """An operation with graphs inside, of whose nodes it keeps some, in a bundle."""

    holds_bodies = True
    public = False

    @cached_property
    def _kept_and_places(self) -> list[tuple[Any, Place]]:
        op: Any = self
        return list(zip(op.kept, op.layout.places, strict=True))

    @cached_property
    def _places(self) -> dict[Any, Place]:
        return dict(reversed(self._kept_and_places))  # of what is kept twice, the first

    def place(self, *kept: Any) -> Place:
        """Return where something kept lies."""
        return self._places[kept]

    @cached_property
    def kept_at(self) -> dict[Place, Any]:
        """What is kept at each place; where an empty one lies, another may begin, and the first counts."""
        return {place: kept for kept, place in reversed(self._kept_and_places)}

    @property
    def bodies(self) -> dict[str, Graph]:
        """The graphs, by what they are called. They are shared by all who ask: nobody may add to them."""
        raise NotImplementedError

    @property
    def refused_inside(self) -> Any:
        """What looks for a value in the bodies that a guard refuses."""
        return needed(REFUSED, "a guard", self)(self)

    def keeping(self, kept: Any) -> Self:
        """Return the same operation that keeps something else."""
        return unchecked(self, kept=tuple(kept))


class Excerpt:
    """A part of a graph that becomes a body: everything between some inputs and what is wanted.

    Parameters
    ----------
    source : Graph
    wanted : sequence of Node
    inputs : sequence of Node
        They become the placeholders, in this order.
    prefix : str
        What the names begin with, and do not in the body.
    read : callable, optional
        Takes a node that reads and one of its operands, and returns what it reads in the body.

    Attributes
    ----------
    body : str
    of : dict of Node to int
        {node of the source: place of its counterpart among the nodes of the body}.
    """

    def __init__(
        self,
        source: Graph,
        wanted: Sequence[Node],
        inputs: Sequence[Node],
        prefix: str = "",
        read: Read = lambda reader, operand: operand,
    ) -> None:
        graph = Graph("body", source.dtype)
        copies: dict[Node, Node] = {}
        for node in inputs:
            name = _free(graph, node.name.removeprefix(prefix))
            copies[node] = graph._make(Placeholder(), (), Spec(node.shape, node.dtype), name, None, (None, node.origin))
        for node in in_order(wanted, read, frozenset(inputs)):
            if node in copies:
                continue
            if node.op.is_variable:
                raise UsageError(f'a body would need "{node.name}", which is not among its inputs')
            value = source._constants[node] if node.op.is_constant else None
            operands = tuple([copies[read(node, operand)] for operand in node.inputs])
            scope = _counterpart(source, graph, node.scope, prefix)
            name = _free(graph, node.name.removeprefix(prefix))
            copies[node] = graph._make(node.op, operands, node.spec, name, value, (scope, node.origin))
            if node.twin in copies:
                put_twin(copies[node], copies[node.twin])
        self.body = text_of(graph)
        self.of = {node: copy.index for node, copy in copies.items()}


def _counterpart(source: Graph, graph: Graph, path: str, prefix: str) -> Any:
    """Return the counterpart of a scope without the prefix of its path."""
    scope = source.scopes.get(path)
    if scope is None or not path.startswith(prefix):
        return None if prefix else mirrored(graph, scope)
    short = path.removeprefix(prefix)
    known = graph.scopes.get(short)
    if known is None:
        around = _counterpart(source, graph, path.rpartition("/")[0], prefix) if "/" in short else None
        known = graph._add_scope(short, scope.kind, scope.phase, scope.origin, around)
    return known


def _free(graph: Graph, name: str) -> str:
    return name if not graph._taken(name) else graph.free_name(name)


def flops_in(body: Iterable[Node]) -> Dim:
    """Return how many floating-point operations the nodes of a body take, by the names of its dimensions."""
    total: Dim = 0
    for node in body:
        if node.inputs:
            total = add(total, node.op.flops(node.spec, *[operand.spec for operand in node.inputs]))
    return total


def outside(shape: Sequence[Dim], names: Sequence[str], dims: Sequence[Dim]) -> tuple[Dim, ...]:
    """Return a shape of a body with the dimensions for which its names stand."""
    sizes: dict[str, Any] = dict(zip(names, dims, strict=True))
    if any_size(dims):
        return tuple([size_of(dim, sizes) for dim in shape])
    return tuple([substitute(dim, sizes) for dim in shape])


def constraints_of(what: str, node: Node, shape: Shape, operand: Spec) -> list[Constraint]:
    """Return what must hold of the dimensions of an operand, which an input of a body stands for.

    Raises
    ------
    ShapeError, DtypeError
        When it does not fit.
    """
    met = [unify(a, b) for a, b in zip(shape, operand.shape, strict=False)]
    if len(shape) != len(operand.shape) or None in met:
        raise ShapeError(f'{what}: "{node.name}" is {shown(shape)} in the body, not {shown(operand.shape)}')
    if node.dtype != operand.dtype:
        raise DtypeError(f'{what}: "{node.name}" is {node.dtype} in the body, not {operand.dtype}')
    return [pair for found in met if found is not None for pair in found[1]]
