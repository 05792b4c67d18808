"""Places of an intervention: a node, what one reader sees of it, or a part of either."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from .._util.text import quoted
from ..core import Graph, Node, Shape, Spec
from ..core.attributes import whole
from ..core.symbolic_shapes import shown
from ..debugger.node_selection import many, one
from ..errors import AxisError, NotFoundError, ShapeError, UsageError
from ..ops.indexing import Getitem, numpy_index

_EDGE = re.compile(r"(?P<name>.*\S)\s*(?:→|->)\s*(?P<reader>.+)", re.DOTALL)
_TYPED = re.compile(r"(?P<name>.+?)\s*\[(?P<index>[-+\d\s:,.]*)\]", re.ASCII)


@dataclass(frozen=True, repr=False, slots=True, eq=False)
class Place:
    """Where a value is exchanged. Made by `at` and `each`.

    Attributes
    ----------
    node : Node
        Whose value is exchanged.
    reader : Node or None
        The only node that sees it; None where all do.
    index : tuple or None
        The part that is exchanged, as `Getitem` keeps an index; None for the whole.
    """

    node: Node
    reader: Node | None = None
    index: tuple[Any, ...] | None = None

    def __eq__(self, other: object) -> bool:
        # Nodes compare by identity, and refuse to be compared with None.
        if not isinstance(other, Place):
            return NotImplemented
        return self.node is other.node and self.reader is other.reader and self.index == other.index

    def __hash__(self) -> int:
        return hash((self.node, self.reader, self.index))

    def __getitem__(self, index: Any) -> Place:
        """Return a part of the place.

        Raises
        ------
        UsageError
            When it is a part already, or the index is not made of integers, slices and "...".
        AxisError, ShapeError
            When the node has no such part.
        """
        if self.index is not None:
            raise UsageError(f"{self.name} is a part already: give the whole index at once")
        op = Getitem(index)
        if None in op.index:
            raise UsageError("the index of a part is made of integers, slices and ..., not of None")
        part = replace(self, index=op.index)
        part.part_in(self.node.spec.shape)
        return part

    @property
    def name(self) -> str:
        """The place as text, ``scores[:, 3] → softmax``."""
        part = "" if self.index is None else f"[{', '.join(map(_shown, self.index))}]"
        return f"{self.node.name}{part}" + ("" if self.reader is None else f" → {self.reader.name}")

    @property
    def part(self) -> tuple[Any, ...]:
        """The index that NumPy takes; ``...`` for the whole."""
        return (...,) if self.index is None else numpy_index(self.index)

    def part_in(self, shape: Shape) -> tuple[Any, ...]:
        """Return the index that NumPy takes, of a value of this shape.

        Raises
        ------
        AxisError, ShapeError
            When the value has no such part.
        """
        try:
            Getitem(self.index or ()).infer(Spec(shape, self.node.dtype))
        except (AxisError, ShapeError) as error:
            raise error.within(f"there is no {quoted(self.name)}: ") from None
        return self.part

    @property
    def shape(self) -> Shape:
        """The shape of what is exchanged."""
        return self.node.shape if self.index is None else Getitem(self.index).infer(self.node.spec).shape

    def __repr__(self) -> str:
        return f"<Place {quoted(self.name)}>"


def _shown(part: Any) -> str:
    if not isinstance(part, tuple):
        return str(part)
    start, stop, step = ["" if bound is None else str(bound) for bound in part]
    return f"{start}:{stop}" + (f":{step}" if step else "")


def at(node: Any, reader: Any = None) -> Place:
    """Return the place of a node, or of what one reader sees of it; ``at(node)[:, 3]`` is a part.

    Parameters
    ----------
    node : Node
    reader : Node, optional
        A node that has `node` among its inputs.

    Returns
    -------
    Place
        A key for `patched` and `effects`.

    Raises
    ------
    UsageError
        When the reader does not read the node.

    Examples
    --------
    >>> g = Graph()
    >>> heads = g.placeholder("heads", ("batch", 4, 8))
    >>> at(heads)[:, 2], at(heads, abs(heads))
    (<Place "heads[:, 2]">, <Place "heads → absolute">)
    """
    if not isinstance(node, Node) or not (reader is None or isinstance(reader, Node)):
        other = node if not isinstance(node, Node) else reader
        raise UsageError(f"a place is made of a node, and of a node that reads it, not of {type(other).__name__}")
    if reader is not None and node not in reader.inputs:
        reads = ", ".join(quoted(operand.name) for operand in reader.inputs) or "nothing"
        raise UsageError(f'"{reader.name}" does not read "{node.name}": it reads {reads}')
    return Place(node, reader)


def each(node: Node, axis: int, reader: Any = None) -> list[Place]:
    """Return the parts of a node along an axis: its heads, positions or channels.

    Parameters
    ----------
    node : Node
    axis : int
        It must have a number of elements, not a name.
    reader : Node, optional
        As in `at`.

    Returns
    -------
    list of Place

    Raises
    ------
    AxisError
        When there is no such axis.
    ShapeError
        When the axis has a name for its size.
    UsageError
        When the axis is not an int, or the reader does not read the node.

    Examples
    --------
    >>> g = Graph()
    >>> each(g.placeholder("heads", ("batch", 3, 8)), 1)
    [<Place "heads[:, 0]">, <Place "heads[:, 1]">, <Place "heads[:, 2]">]
    """
    place, axis = at(node, reader), whole("the axis of each()", axis)
    if not -len(node.shape) <= axis < len(node.shape):
        raise AxisError(f'"{node.name}" has no axis {axis}: its shape is {shown(node.shape)}')
    size = node.shape[axis]
    if not isinstance(size, int):
        raise ShapeError(
            f'axis {axis} of "{node.name}" has the size {size}, and parts are made of a known number; '
            f"gn.extract(…, sizes={{…}}) gives a graph that has it"
        )
    before = [slice(None)] * (axis % len(node.shape))
    return [place[(*before, i)] for i in range(size)]


def places_in(order: Sequence[Node], graph: Graph, key: Any) -> list[Place]:
    """Return the places that a key means in a run.

    Parameters
    ----------
    order : sequence of Node
        The run.
    graph : Graph
    key : Place, Node, str or tuple
        The name of a scope means what is read of it from outside; a pattern, ``block_*/scores``, all nodes that
        match; ``"scores[:, 3]"`` a part; ``(node, reader)``, or ``"scores -> softmax"``, what the reader sees of the
        node. The name of a place is a key, too.

    Raises
    ------
    NotFoundError
        When there is no such node in the run.
    UsageError
        When a reader does not read the node, the node is in an iteration or a branch, or the key is none of these.
    """
    if isinstance(key, Place):
        one(order, graph, key.node)
        if key.reader is not None:
            one(order, graph, key.reader)
            at(key.node, key.reader)
        return [key]
    if isinstance(key, tuple):
        if len(key) != 2:
            raise UsageError(f"what one reader sees of a node is given as (node, reader), not as {len(key)} things")
        _check_outside(graph, key[1])
        reader = one(order, graph, key[1])
        return [_seen_by(reader, place) for place in places_in(order, graph, key[0])]
    if isinstance(key, Node):
        return [Place(one(order, graph, key))]
    if not isinstance(key, str):
        raise UsageError(
            "a place is a node, its name or a scope's, (node, reader) or gn.patches.at(node)[…], "
            f"not {type(key).__name__}"
        )
    edge = _EDGE.fullmatch(key) if key not in graph else None
    if edge is not None:
        return places_in(order, graph, (edge["name"], edge["reader"]))
    typed = _TYPED.fullmatch(key) if key not in graph else None
    if typed is not None:
        return [place[_read(typed["index"], key)] for place in places_in(order, graph, typed["name"])]
    if key in graph.scopes:
        return _leaving(order, graph, key)
    _check_outside(graph, key)
    if key not in graph and any(sign in key for sign in "*?"):
        return [Place(node) for node in many(order, graph, key)]
    return [Place(one(order, graph, key))]


def _check_outside(graph: Graph, name: Any) -> None:
    """Refuse what is in an iteration or a branch: ``scan_1@2/tanh``."""
    if not isinstance(name, str) or "@" not in name or name in graph:
        return
    try:
        graph[name]
    except NotFoundError:
        return
    raise UsageError(
        f'"{name}" is inside a loop or a branch, and what is there cannot be patched: patch what goes in, or what '
        "comes out. A what-if of gn.debug changes a single iteration"
    )


def _seen_by(reader: Node, place: Place) -> Place:
    if place.reader is not None:
        raise UsageError(f'"{place.name}" is what one reader sees already, and not what "{reader.name}" does')
    return replace(place, reader=at(place.node, reader).reader)


def _leaving(order: Sequence[Node], graph: Graph, scope: str) -> list[Place]:
    inside = many(order, graph, scope=scope)
    here, read = set(inside), {operand for node in order for operand in node.inputs}
    seen = {operand for node in order if node not in here for operand in node.inputs}
    return [Place(node) for node in inside if node in seen or node not in read]


def _read(text: str, key: str) -> tuple[Any, ...]:
    """Return the index that is written in a key: integers, slices and "...", nothing else."""
    parts: list[Any] = []
    for word in text.split(","):
        bounds = [bound.strip() for bound in word.split(":")]
        try:
            if word.strip() == "...":
                parts.append(...)
            elif len(bounds) == 1:
                parts.append(int(bounds[0]))
            else:
                parts.append(slice(*[int(bound) if bound else None for bound in bounds]))
        except (ValueError, TypeError):
            wrong = f'"{key}" has "{word.strip()}" in its index, which is made of integers, slices and ...'
            raise UsageError(wrong) from None
    return tuple(parts)
