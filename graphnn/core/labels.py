"""Names for the positions along an axis: the table of them, and which axes of a graph are one.

Labels are set for a dimension that has a name, or for an axis of a node, and every axis that is the same has them.
Which axes are the same is what the operations' own shape rules say: `infer` is asked once more, with a fresh name for
each axis, and where a name comes out again, or two of them meet, the axes are one. Numbers that are positions along an
axis, as the classes that an argmax gives, are named by it, too: `points` says which.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import replace
from itertools import pairwise
from operator import index
from typing import TYPE_CHECKING, Any

from .._util.text import counted, is_real, listed, short_name, short_repr, visible
from ..errors import AxisError, GraphnnError, NotFoundError, ShapeError, UsageError, ValueRangeError, near
from .attributes import Name, ShapeOf
from .graph_tables import owned
from .op import Op, Spec, inferred
from .symbolic_shapes import Shape, names_in, product, shown

if TYPE_CHECKING:
    from .graph import Graph
    from .node import Node

MOST = 2**20
"""The most labels along one axis."""
_LABEL, _LONG = Name(), 40


class Labels(MutableMapping[Any, tuple[str, ...]]):
    """The names for positions in a graph: ``graph.labels``.

    A key is the name of a dimension, or a pair of a node (or its name) and an axis. What stands at a key is a tuple of
    text, one for each position. Pictures, heatmaps, tables, ``why`` and the debugger show the labels of all axes that
    are the same: of the result of an operation that keeps the axis, of what it was made of, and of gradients.

    Raises
    ------
    NotFoundError
        When no dimension has that name, or no node; of reading and deleting, when there are no labels. (A KeyError.)
    AxisError
        When the node has no such axis. (An IndexError.)
    ShapeError
        When there are more or fewer labels than positions. (A ValueError.)
    UsageError, ValueRangeError
        When a label is not text of 1 to 200 characters that can be printed.

    Examples
    --------
    >>> from graphnn.core import Graph
    >>> g = Graph()
    >>> logits = g.placeholder("x", ("batch", 2)) @ g.parameter("w", [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    >>> g.labels[logits, 1] = ["cat", "dog", "fish"]
    >>> g.labels
    {("matmul", 1): cat, dog, fish}
    >>> labels_of(g["w"], 1), labels_of(abs(logits), 1), labels_of(logits, 0)
    (('cat', 'dog', 'fish'), ('cat', 'dog', 'fish'), None)
    >>> g.labels[logits, 1] = ["cat", "dog"]
    Traceback (most recent call last):
        ...
    graphnn.errors.ShapeError: "matmul" has 3 positions along axis 1, and 2 labels are given: cat, dog
      at <doctest ...>:1
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._entries: dict[Any, tuple[str, ...]] = {}

    def __getitem__(self, key: Any) -> tuple[str, ...]:
        return self._entries[self._there(key)]

    def __setitem__(self, key: Any, labels: Any) -> None:
        key = self._key(key)
        named = checked_labels(labels)
        with self._graph.building:
            size = key[0].shape[key[1]] if isinstance(key, tuple) else _axes_of(self._graph).size_of(key)
            if isinstance(size, int) and size != len(named):
                what = f'"{key[0].title}" has' if isinstance(key, tuple) else f'the dimension "{key}" has'
                along = f" along axis {key[1]}" if isinstance(key, tuple) else ""
                are = "is" if len(named) == 1 else "are"
                raise ShapeError(
                    f"{what} {counted(size, 'position')}{along}, and {counted(len(named), 'label')} {are} given: "
                    f"{_in_short(named)}"
                )
            self._entries[key] = named

    def __delitem__(self, key: Any) -> None:
        del self._entries[self._there(key)]

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{_written(key)}: {_in_short(labels)}' for key, labels in self.items())}}}"

    def _key(self, key: Any) -> Any:
        """Return a key as the table has it: a dimension's name, or a node with an axis counted from the front."""
        if isinstance(key, str):
            names = _axes_of(self._graph).names
            if key not in names:
                raise NotFoundError(
                    f'the graph "{self._graph.name}" has no dimension "{key}".{near(key, sorted(names))}'
                    " Of an axis whose size is a number: labels[node, axis]"
                )
            return str.__str__(key)
        if not isinstance(key, tuple) or len(key) != 2:
            raise UsageError(
                f"positions are named of a dimension, labels[name], or of an axis, labels[node, axis], not "
                f"{short_repr(key)}"
            )
        node = owned(self._graph, key[0], "what has labels")
        try:
            axis = index(key[1])
        except TypeError:
            raise UsageError(f'an axis of "{node.title}" is an int, not {short_repr(key[1])}') from None
        if not -node.ndim <= axis < node.ndim:
            axes = f"axes {0} to {node.ndim - 1}" if node.ndim > 1 else "axis 0 alone" if node.ndim else "no axis"
            raise AxisError(f'"{node.title}" has shape {shown(node.shape)}: it has {axes}, and no axis {axis}')
        return node, axis % node.ndim

    def _there(self, key: Any) -> Any:
        found = self._key(key)
        if found not in self._entries:
            there = listed([_written(each) for each in self]) or "none"
            raise NotFoundError(f"there are no labels of {_written(found)}; there are of: {there}")
        return found


def _written(key: Any) -> str:
    return f'"{short_name(key, 80)}"' if isinstance(key, str) else f'("{short_name(key[0].title, 80)}", {key[1]})'


def _in_short(labels: Sequence[str]) -> str:
    return listed([short_name(label, _LONG) for label in labels])


def checked_labels(labels: Any) -> tuple[str, ...]:
    """Return labels as a tuple of plain text.

    Raises
    ------
    UsageError, ValueRangeError
        When they are not a sequence of text that can be printed, or more than `MOST`.
    """
    if isinstance(labels, (str, bytes, Mapping)) or not isinstance(labels, Iterable):
        raise UsageError(f'labels are a list of text, such as ["cat", "dog"], not {short_repr(labels)}')
    found = []
    for place, label in enumerate(labels):
        if place == MOST:
            raise ValueRangeError(f"an axis has {MOST:,} labels at most")
        try:
            found.append(_LABEL.read(label))
        except GraphnnError as error:
            raise type(error)(f"a label is {_LABEL.said}, not {short_repr(label)}, that of position {place}") from None
    return tuple(found)


def as_labels(values: Iterable[Any]) -> list[str]:
    r"""Return what others call their classes or columns as labels, with what cannot be printed written out.

    Examples
    --------
    >>> as_labels([0, 1.5, "a", "b\n"])
    ['0', '1.5', 'a', 'b\\n']
    """
    return [visible(f"{value:g}" if is_real(value) else str(value)[:200])[:200] for value in values]


# --- what the views ask -------------------------------------------------------------------------------------------


def labels_of(node: Node, axis: int, size: int | None = None) -> tuple[str, ...] | None:
    """Return the names for the positions along an axis of a node, or None where they have none.

    Parameters
    ----------
    node : Node
    axis : int
    size : int, optional
        How many positions there are in a run. Labels of a dimension that has another size there are none.

    Returns
    -------
    tuple of str or None
        What was set for the axis itself; else for an axis that is the same: that of the node that was made last before
        this one, or else first after it; else for the name of the dimension.
    """
    graph = node.graph
    if not graph.labels or not -node.ndim <= axis < node.ndim:
        return None
    axis %= node.ndim
    known = size if size is not None else node.spec.shape[axis]
    found = _found(node, axis)
    return None if found is None or (isinstance(known, int) and known != len(found)) else found


def label_of_number(node: Node, value: Any) -> str:
    """Return the name of the position that a number of a node is, such as of the class that an argmax gives, or "".

    Examples
    --------
    >>> from graphnn.core import Graph, fn
    >>> x = Graph().placeholder("x", (2,))
    >>> x.graph.labels[x, 0] = ["cat", "dog"]
    >>> label_of_number(fn.argmax(x, axis=0), 1), label_of_number(x, 1)
    ('dog', '')
    """
    names = labels_of_numbers(node)
    return names[value] if names is not None and 0 <= value < len(names) else ""


def labels_of_numbers(node: Node) -> tuple[str, ...] | None:
    """Return the labels of the positions that the numbers of a node are, or None."""
    return _found(node, node.ndim) if node.graph.labels and node.dtype.kind in "iu" else None


def _found(node: Node, axis: int) -> tuple[str, ...] | None:
    """Return the labels of an axis, or, as of one more, of the numbers."""
    graph = node.graph
    with graph.building:
        entries: dict[Any, tuple[str, ...]] = graph.labels._entries
        if (node, axis) in entries:
            return entries[node, axis]
        axes = _axes_of(graph)
        at = axes.of(node, axis)
        others = [key for key in entries if isinstance(key, tuple) and axes.of(*key) == at]
        if others:
            before = [key for key in others if key[0].index <= node.index]
            return entries[max(before, key=_made) if before else min(others, key=_made)]
        named = [name for name in entries if isinstance(name, str) and name in axes.named.get(at, ())]
        own = [name for name in named if axis < node.ndim and name == node.spec.shape[axis]]
        return entries[(own or named)[0]] if named else None


def _made(key: tuple[Node, int]) -> int:
    return key[0].index


def labels_along(node: Node, shape: Sequence[int] | None = None) -> list[tuple[str, ...] | None]:
    """Return the labels of each axis of a value of this shape; by default, of those whose size is a number alone."""
    sizes: Sequence[Any] = node.spec.shape if shape is None or len(shape) != node.ndim else shape
    return [labels_of(node, axis, size) if isinstance(size, int) else None for axis, size in enumerate(sizes)]


def named_index(node: Node, index: Sequence[int], shape: Sequence[int] | None = None) -> list[str]:
    """Return the parts of an index as a person reads them: ``3``, ``'dog'``.

    Parameters
    ----------
    node : Node
    index : sequence of int
    shape : sequence of int, optional
        That of the value in a run.

    Examples
    --------
    >>> from graphnn.core import Graph
    >>> g = Graph()
    >>> x = g.placeholder("x", ("batch", 2))
    >>> g.labels[x, 1] = ["cat", "dog"]
    >>> named_index(x, (3, 1))
    ['3', "'dog'"]
    """
    if not node.graph.labels or len(index) != node.ndim:
        return [str(part) for part in index]
    return [
        str(part) if names is None else repr(short_name(names[part], _LONG))
        for part, names in zip(index, labels_along(node, shape), strict=True)
    ]


def position_of(node: Node, axis: int, label: str, size: int | None = None) -> int:
    """Return the position along an axis that has this label.

    Raises
    ------
    NotFoundError
        When none has it. (A KeyError.)
    ValueRangeError
        When several have it. (A ValueError.)
    """
    names = labels_of(node, axis, size)
    if names is None:
        raise NotFoundError(
            f'the positions along axis {axis} of "{node.title}" have no names, so there is no {short_repr(label)}'
        )
    if not (count := names.count(label)):
        raise NotFoundError(
            f'"{node.title}" has no position {short_repr(label)} along axis {axis}.{near(label, names)}'
        )
    if count > 1:
        places = [str(i) for i, name in enumerate(names) if name == label]
        raise ValueRangeError(
            f'{count:,} positions along axis {axis} of "{node.title}" are called {short_repr(label)}: {listed(places)}'
        )
    return names.index(label)


# --- which axes are one -------------------------------------------------------------------------------------------


class _Axes:
    """The axes of all nodes of a graph, those that are the same as one.

    Attributes
    ----------
    names : dict of str to None
        The dimensions that are a name, or that a name is in.
    named : dict of int to set of str
        The names of dimensions that an axis has where it comes into the graph.
    """

    def __init__(self) -> None:
        self.names: dict[str, None] = {}
        self.named: dict[int, set[str]] = {}
        self._first: list[int] = []
        """Of each node, the number of its axis 0. Past the last there is that of which its numbers are positions."""
        self._parents: list[int] = []
        self._sizes: dict[str, int] = {}
        self._pairs = 0
        self._known: dict[Any, _Alike] = {}

    def of(self, node: Node, axis: int) -> int:
        """Return the number of an axis: that of all that are the same."""
        return self._root(self._first[node.index] + axis)

    def size_of(self, name: str) -> int | None:
        """Return the size that a dimension's name must have in each run, if there is one."""
        return self._sizes.get(name)

    def _root(self, at: int) -> int:
        parents = self._parents
        while parents[at] != at:
            parents[at] = at = parents[parents[at]]
        return at

    def _join(self, one: int, other: int) -> None:
        one, other = sorted((self._root(one), self._root(other)))
        if one != other:
            self._parents[other] = one
            if other in self.named:
                self.named.setdefault(one, set()).update(self.named.pop(other))

    def grow(self, graph: Graph) -> None:
        """Take in the nodes that were made since, and the derivatives."""
        if len(graph._nodes) > len(self._first):
            for data in list(graph._nodes.values())[len(self._first) :]:
                self._take(data.node)
        known = [of for table in (graph.cotangents, graph.tangents) for _, of in table.values()]
        if (pairs := sum(map(len, known))) == self._pairs:
            return
        for of in known:
            for node, derivative in of.items():
                for axis in range(node.ndim):
                    self._join(self._first[node.index] + axis, self._first[derivative.index] + axis)
        self._pairs = pairs

    def _take(self, node: Node) -> None:
        first, shape = len(self._parents), node.spec.shape
        self._first.append(first)
        self._parents += range(first, first + len(shape) + 1)
        for dim in shape:
            if isinstance(dim, str) and dim not in self.names:
                self.names.update(dict.fromkeys([dim, *names_in((dim,))]))
        for pair in node.spec.constraints:
            for name, size in (pair, pair[::-1]):
                if isinstance(name, str) and isinstance(size, int):
                    self._sizes.setdefault(name, size)
        alike = self._alike(node)
        # An index that is a constant may be one of several axes.
        fixed = [operand.op.is_constant for operand in node.inputs] + [False]
        numbers = [pair for pair in alike.numbers if not any(fixed[i] for i, _ in pair)]
        for one, other in [pair for group in alike.groups for pair in pairwise(group)] + numbers:
            self._join(*[(first if i < 0 else self._first[node.inputs[i].index]) + axis for i, axis in (one, other)])
        for axis in alike.new:
            if isinstance(shape[axis], str):
                self.named.setdefault(self._root(first + axis), set()).add(str(shape[axis]))

    def _alike(self, node: Node) -> _Alike:
        specs = tuple([operand.spec for operand in node.inputs])
        key = node.op, node.spec.shape, specs
        if key not in self._known:
            self._known[key] = _Alike(node.op, specs, node.spec.shape)
        return self._known[key]


class _Alike:
    """Which axes are the same, among those of an operation's operands and its output.

    Attributes
    ----------
    groups : list of list of (int, int)
        Pairs of an operand's position, -1 for the output, and an axis.
    new : list of int
        The axes of the output that are none of an operand's.
    numbers : list of list of (int, int)
        Two such pairs each; the axis after the last stands for that of which the numbers are positions.
    """

    def __init__(self, op: Op, specs: Sequence[Spec], shape: Shape) -> None:
        self.groups: list[list[tuple[int, int]]] = []
        self.new = list(range(len(shape)))
        self.numbers: list[list[tuple[int, int]]] = []
        try:
            turned = set(op.reorders(len(shape)))
            groups = _kept(op, specs, shape)
            self.numbers = _positions(op, specs, shape)
        except Exception:  # noqa: BLE001 - of an operation whose rule takes these sizes alone, or one of anybody's own
            return
        self.groups = [group for group in groups if not any(i < 0 and axis in turned for i, axis in group)]
        old = {axis for group in groups for i, axis in group if i < 0} | turned
        self.new = [axis for axis in self.new if axis not in old]


def _positions(op: Op, specs: Sequence[Spec], shape: Shape) -> list[list[tuple[int, int]]]:
    """Return of which axes the numbers are positions; what moves numbers leaves them what they are."""
    ndims = [*(len(spec.shape) for spec in specs), len(shape)]
    found = [[(i, ndims[i]), (of, range(ndims[of])[axis])] for i, of, axis in op.points(ndims)]
    if op.rearranges or op.casts:
        moved = [i for i, spec in enumerate(specs) if spec.dtype.kind in "iu" and op.flows(i)]
        found += [[(i, ndims[i]), (-1, ndims[-1])] for i in moved]
    return found


def _kept(op: Op, specs: Sequence[Spec], shape: Shape) -> list[list[tuple[int, int]]]:
    """Return the groups of axes that are one."""
    if not specs:
        return []
    return [[(0, i), (-1, j)] for i, j in _unchanged(specs[0].shape, shape)] if op.reshapes else _met(op, specs)


def _unchanged(before: Shape, after: Shape) -> Iterator[tuple[int, int]]:
    """Yield the axes that stay where the same elements in the same order have another shape."""
    ends = {(product(before[:axis]), dim): axis for axis, dim in enumerate(before) if dim != 1}
    for axis, dim in enumerate(after):
        if (found := ends.get((product(after[:axis]), dim))) is not None:
            yield found, axis


def _met(op: Op, specs: Sequence[Spec]) -> list[list[tuple[int, int]]]:
    """Return the groups that the shape rule tells of, with a fresh name for each axis, and for each size it is told."""
    places: dict[str, tuple[int, int] | None] = {}

    def fresh(dim: Any, *place: int) -> Any:
        # What is 1 broadcasts, and must stay.
        if dim == 1:
            return 1
        name = f"\u01c2{len(places)}"  # a letter: no name of a user's
        places[name] = (place[0], place[1]) if place else None
        return name

    given = [
        Spec(tuple([fresh(dim, i, axis) for axis, dim in enumerate(spec.shape)]), spec.dtype)
        for i, spec in enumerate(specs)
    ]
    told = {
        name: tuple(map(fresh, getattr(op, name)))
        for name in op.sized
        if isinstance(op._kinds[name], ShapeOf) and isinstance(getattr(op, name), tuple)
    }
    result = inferred(replace(op, **told) if told else op, given)  # type: ignore[type-var]
    group_of: dict[Any, list[Any]] = {name: [name] for name in places}
    for one, other in result.constraints:
        if one in group_of and other in group_of and group_of[one] is not group_of[other]:
            group_of[one] += group_of[other]
            for name in group_of[other]:
                group_of[name] = group_of[one]
    groups = {id(group): [place for name in group if (place := places[name])] for group in group_of.values()}
    for axis, dim in enumerate(result.shape):
        if dim in group_of:
            groups[id(group_of[dim])].append((-1, axis))
    return [group for group in groups.values() if len(group) > 1]


def _axes_of(graph: Graph) -> _Axes:
    """Return the axes of a graph as it is now. Hold ``graph.building``."""
    axes: _Axes = graph.caches.setdefault("axes", _Axes())
    try:
        axes.grow(graph)
    except BaseException:  # Ctrl-C: begin anew
        graph.caches.pop("axes", None)
        raise
    return axes
