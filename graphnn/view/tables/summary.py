"""The summary of a network: its layers, one a row, those inside others below them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..._util.display import Shown
from ..._util.text import PAGE, columns_there, in_lines, short_name
from ...core import Graph, Node, Scope
from ...core.attributes import whole
from ...core.fetches import ancestors
from ...core.symbolic_shapes import shown
from ...debugger.cost_model import Footprint
from ...nn.layers.layer import Layer
from ..diagrams.boxes import picture
from ..diagrams.picture import (
    CHOSEN,
    NEXT,
    TRIED,
    BodyScope,
    Box,
    Detail,
    Picture,
    insides,
    is_layer,
    numbers_in,
    scopes_down_to,
)
from ..formatting import cells_of, in_bytes, visible
from .iteration_rows import Bodies
from .table import columns, label_lines

_FIRST_ROWS, _LAST_ROWS = 300, 100
_MOST_NOTED, _MOST_NAME = 8, 60
_DEEPEST = 20  # levels by which a name is indented


class Row(NamedTuple):
    """A line of a summary.

    Attributes
    ----------
    name : str
        The path of a layer, or of another scope; the name of a node that is a row of its own.
    kind : str
        The layer's class, or the operation.
    shape : tuple of int or str
        The shape of what comes out.
    dtype : str
    parameters : int
        How many numbers its parameters hold, with those of the rows inside it.
    inputs : tuple of str
        The names of the rows that it reads.
    depth : int
        In how many other rows it is.
    trainable : int
        How many of the numbers are trained.
    flops, memory : int or None
        Floating-point operations, and bytes of the values that are computed, with those of the rows inside it. None if
        the sizes were not given.
    times : int, str or None
        For a loop, how often what is in it is computed. Its operations are counted as often.
    """

    name: str
    kind: str
    shape: tuple[int | str, ...]
    dtype: str
    parameters: int
    inputs: tuple[str, ...]
    depth: int
    trainable: int
    flops: int | None = None
    memory: int | None = None
    times: int | str | None = None


class Summary(Shown):
    """The layers that some fetches need, one a row; printed as a table. Made by `summary`.

    Attributes
    ----------
    graph : str
        Its name.
    rows : list of Row
        A row that is inside another one follows it.
    parameters, trainable : int
        How many numbers the parameters hold, and how many of them are trained.
    size, trainable_size : int
        The same in bytes.
    notes : list of str
        What is built for training alone, or for evaluation alone, in sentences.
    run : Footprint or None
        What a run of the given sizes takes: ``run.sizes``, and the `Peak` of its memory, ``run.peak``.
    flops, memory : int or None
        Of all rows together.
    """

    def __init__(
        self,
        fetches: Any,
        detail: Detail,
        depth: int | None,
        graph: Graph | None,
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        seen = picture(fetches._last_results() if isinstance(fetches, Layer) else fetches, detail, graph)
        nodes = [node for box in seen.boxes for node in box.nodes]
        self.graph = seen.graph.name
        self.run = None if sizes is None else Footprint(seen.graph, list(seen.fetched), sizes)
        tree = _Tree(seen, depth, Bodies(seen.origins, self.run))
        self.rows = tree.rows(self.run)
        self.flops = None if self.run is None else sum(tree.flops_of(node, self.run) for node in tree.of_node)
        self.memory = None if self.run is None else sum(self.run.written.values())
        self.parameters = numbers_in(nodes)
        self.trainable = numbers_in(nodes, trainable=True)
        self.size = sum(numbers_in([node]) * node.dtype.itemsize for node in nodes)
        self.trainable_size = sum(numbers_in([node], trainable=True) * node.dtype.itemsize for node in nodes)
        self.labels = label_lines(seen.graph, set(nodes))
        self.notes = _one_sided(seen.graph, nodes)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        found = {
            "graph": self.graph,
            "rows": [row._asdict() for row in self.rows],
            "parameters": self.parameters,
            "trainable": self.trainable,
            "bytes": self.size,
            "trainable_bytes": self.trainable_size,
            "notes": self.notes,
            "labels": self.labels,
        }
        if self.run is not None:
            peak = self.run.peak
            found |= {"sizes": self.run.sizes, "flops": self.flops, "memory": self.memory}
            found["peak"] = {"bytes": peak.bytes, "given": peak.given, "node": peak.node.name}
        return found

    def table(self, width: int | None = PAGE) -> str:
        """Return it as a table.

        Parameters
        ----------
        width : int or None
            The maximum width of a line; long names are cut, and the middle of more than 400 rows is left out. The
            columns "trainable" and, beside memory, "connected to" appear if there is room. None: no limit.

        Examples
        --------
        >>> g = Graph()
        >>> y = abs(g.placeholder("x", shape=("batch", 2)))
        >>> print(summary(y, depth=1).table(width=52))
        layer         output shape  parameters  connected to
        ------------  ------------  ----------  ------------
        x (placehol…  (batch, 2)             0
        absolute      (batch, 2)             0  x
        <BLANKLINE>
        parameters     0  0 B
        trainable      0  0 B
        not trainable  0  0 B
        """
        width = None if width is None else whole("width=", width)
        parts = [self._layers(width), self._totals()]
        if self.run is not None:
            parts.append(_taken(self.run, self.flops, self.memory))
        if self.labels:
            parts.append("\n".join(line for each in self.labels for line in in_lines(each, width, hanging="  ")))
        return "\n\n".join([*parts, *["\n".join(in_lines(note, width)) for note in self.notes]])

    def _layers(self, width: int | None) -> str:
        """Return the table of the rows."""
        titles, rows = _titles(self.rows), self.rows
        every: dict[str, list[Any]] = {
            "layer": ["  " * min(row.depth, _DEEPEST) + _called(titles[row.name], row.kind, row.times) for row in rows],
            "output shape": [shown(row.shape) for row in rows],
            "parameters": [row.parameters for row in rows],
            "trainable": [row.trainable for row in rows],
            "flops": [_in_thousands(row.flops or 0) for row in rows],
            "memory": [in_bytes(row.memory or 0) for row in rows],
            "connected to": [", ".join(_called_from(row.name, name, titles) for name in row.inputs) for row in rows],
        }
        needed = {
            "layer",
            "output shape",
            "parameters",
            *(["connected to"] if self.run is None else ["flops", "memory"]),
        }
        for title in (["trainable"] if self.trainable < self.parameters else []) + ["connected to"]:
            wider = {each: cells for each, cells in every.items() if each in {*needed, title}}
            if width is None or _fits(wider, width):
                needed.add(title)
        table = {title: cells for title, cells in every.items() if title in needed}
        lines = list(zip(*table.values(), strict=True))
        if width is not None and len(lines) > _FIRST_ROWS + _LAST_ROWS:
            left_out = f"… {len(lines) - _FIRST_ROWS - _LAST_ROWS:,} more …"
            rest = [None if isinstance(cell, int) else "" for cell in lines[0][1:]]
            lines[_FIRST_ROWS:-_LAST_ROWS] = [(left_out, *rest)]
        right = [i for i, title in enumerate(table) if title in ("flops", "memory")]
        return columns(lines, list(table), right=right, width=width)

    def _totals(self) -> str:
        return columns(
            (
                ("parameters", self.parameters, in_bytes(self.size)),
                ("trainable", self.trainable, in_bytes(self.trainable_size)),
                ("not trainable", self.parameters - self.trainable, in_bytes(self.size - self.trainable_size)),
            ),
            right=(2,),
        )

    def __str__(self) -> str:
        return self.table(columns_there() or PAGE)

    __repr__ = __str__


def summary(
    fetches: Any,
    detail: Detail = "layer",
    *,
    sizes: Mapping[str, int] | None = None,
    depth: int | None = None,
    graph: Graph | None = None,
) -> Summary:
    """Return the layers that the fetches need, with shapes and parameters; print it to see it.

    The layers inside a layer follow it, indented. Its numbers include theirs.

    Parameters
    ----------
    fetches : Node, str, list, tuple or dict of them, Graph, Compiled, Trace or Layer
        For a graph, its outputs; if it has none, all nodes that nothing reads. For a compiled step, its updates, too.
        For a layer, what its last call returned.
    detail : "op", "leaf", "layer", int or dict
        What is one row, as `draw` takes it.
    sizes : mapping of str to int, optional
        The size of each dimension that has a name, such as ``{"batch": 32}``; ``{}`` if there is none. With it, the
        summary has the shapes of such a run, its floating-point operations and its memory. Nothing is run.
    depth : int, optional
        How many levels of layers inside layers are listed; 1: only the outermost ones. All of them, unless given.
    graph : Graph, optional
        Where names are looked up, if no fetch is a node.

    Returns
    -------
    Summary

    Notes
    -----
    Each addition, multiplication, comparison and function of a number is one floating-point operation. So a matrix
    product takes two for each pair of numbers that it multiplies and adds up. What only moves numbers takes none. What
    is in a loop is counted as often as it is computed.

    Memory is that of the values that are computed, all together, as training keeps them for the backward pass. The peak
    is the most at any time of a run that frees each value after its last use, with parameters and inputs. A compiled
    step may need less, as it writes values over each other.

    Examples
    --------
    >>> g = Graph()
    >>> x = g.placeholder("x", shape=("batch", 2))
    >>> with g.in_scope("block_1", kind="Block"), g.in_scope("block_1/dense_1", kind="Dense"):
    ...     h = x @ g.parameter("weight", [[1.0] * 3] * 2)
    >>> y = abs(h)
    >>> print(summary(y))
    layer              output shape  parameters  connected to
    -----------------  ------------  ----------  ------------
    x (placeholder)    (batch, 2)             0
    block_1 (Block)    (batch, 3)             6  x
      dense_1 (Dense)  (batch, 3)             6  x
    absolute           (batch, 3)             0  block_1
    <BLANKLINE>
    parameters     6  48 B
    trainable      6  48 B
    not trainable  0   0 B
    >>> found = summary(y, sizes={"batch": 100})
    >>> [(row.name, row.shape, row.flops, row.memory) for row in found.rows if row.depth == 0]
    [('x', (100, 2), 0, 0), ('block_1', (100, 3), 1200, 2400), ('absolute', (100, 3), 300, 2400)]
    """
    return Summary(fetches, detail, None if depth is None else whole("depth=", depth, 1), graph, sizes)


# --- the rows -------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Line:
    """A row that is being made: a scope, or a single node, with the rows inside it."""

    thing: Scope | Node
    parent: _Line | None
    nodes: dict[Node, None] = field(default_factory=dict)
    inside: list[_Line] = field(default_factory=list)
    box: Box | None = None
    loop: Node | None = None

    @property
    def name(self) -> str:
        if isinstance(self.thing, Scope):
            return self.thing.path
        frame = self.box.around if self.box is not None else None
        if not isinstance(frame, BodyScope) or self.thing.has_value:
            return self.thing.title
        # In a body: as it is called there, in the frame of the loop.
        while isinstance(frame.parent, BodyScope) and frame.times is None and frame.kind not in CHOSEN:
            frame = frame.parent
        assert self.box is not None
        return f"{frame.path}@/{self.box.title or self.thing.name}"

    @property
    def kind(self) -> str:
        if isinstance(self.thing, Scope):
            return self.thing.kind
        return self.box.note if self.box is not None and self.box.title else self.thing.op.name

    def outwards(self) -> Iterator[_Line]:
        """Yield it, and the lines that it is in, the innermost first."""
        line: _Line | None = self
        while line is not None:
            yield line
            line = line.parent


class _Tree:
    """The rows, in one another."""

    def __init__(self, seen: Picture, depth: int | None, bodies: Bodies) -> None:
        self.bodies, boxes = bodies, seen.boxes
        self.given = {node for box in boxes for node in box.gives}
        self.taken: dict[Node, list[Node]] = {}
        """What the input of a body stands for."""
        for edge in seen.edges:
            if edge.head.title and edge.taken != NEXT:
                self.taken.setdefault(edge.head.node, []).append(edge.node)
        self.top: list[_Line] = []
        self.of_scope: dict[str, _Line] = {}
        self.of_node: dict[Node, _Line] = {}
        self.through: dict[Node, dict[_Line, None]] = {}
        opened = {id(box): _layers_in(box, depth) for box in boxes if box.scope is not None}
        for box in boxes:
            if box.scope is None and box.node.op.is_constant:
                continue
            around = None
            for scope in scopes_down_to(box.around):
                around = self._line(scope, around)
            if box.scope is None:
                line = self._added(_Line(box.node, around, box=box))
                self._hold(line, box.node)
            else:
                line = self._line(box.scope, around)
                for node in box.nodes:
                    if insides(node):
                        own = self._innermost(node, line, box.scope, opened[id(box)])
                        self._open(node, own, box.scope, opened[id(box)])
                        self._hold(own, *[given for given in box.gives if node in given.inputs])
                    else:
                        self._place(node, line, box.scope, opened[id(box)])
            self._hold(line, *[node for node in box.gives if node not in self.of_node])
        for path, loop in seen.loops.items():
            if path in self.of_scope:
                self.of_scope[path].loop = loop
                self._hold(self.of_scope[path], loop)
        self._follow(boxes)

    def _open(self, loop: Node, line: _Line, outer: Scope, layers: dict[str, bool]) -> None:
        """Put what is in a loop into the layers that its function called."""
        graph = loop.graph
        if isinstance(line.thing, BodyScope) and line.loop is None:
            line.loop = loop
        self._hold(line, loop)
        for inside, nodes in self.bodies.opened(loop):
            for node, (_, position) in zip(nodes[0].graph.placeholders, inside.takes, strict=True):
                if position >= 0 and loop.inputs[position] in self.of_node:
                    self.of_node[node] = self.of_node[loop.inputs[position]]
            for node in nodes:
                if not node.inputs:
                    continue
                scope = graph.scopes.get(f"{loop.scope}/{inside.title or TRIED}/{node.scope}")
                own = line
                for one in scopes_down_to(scope):
                    if one.path in layers and one.path != outer.path:
                        own = self._line(one, own)
                if insides(node):
                    self._open(node, own, outer, {})
                else:
                    self._hold(own, node)

    def flops_of(self, node: Node, run: Footprint) -> int:
        """Return how many floating-point operations a node takes; a loop takes those of what is in it."""
        if self.bodies.holds(node):
            return self.bodies.flops_of(node)
        return 0 if insides(node) else run.flops.get(node, 0)

    def _added(self, line: _Line) -> _Line:
        (self.top if line.parent is None else line.parent.inside).append(line)
        return line

    def _line(self, scope: Scope, around: _Line | None) -> _Line:
        if scope.path not in self.of_scope:
            self.of_scope[scope.path] = self._added(_Line(scope, around))
        return self.of_scope[scope.path]

    def _hold(self, line: _Line, *nodes: Node) -> None:
        for node in nodes:
            self.of_node[node] = line
            for each in line.outwards():
                each.nodes[node] = None

    def _place(self, node: Node, own: _Line, outer: Scope, layers: dict[str, bool]) -> None:
        """Put a node of a collapsed scope into the innermost of the layers in it; a layer's own parameter is a row."""
        line = self._innermost(node, own, outer, layers)
        if node.op.is_parameter and layers.get(line.name):
            line = self._added(_Line(node, line))
        self._hold(line, node)

    def _innermost(self, node: Node, line: _Line, outer: Scope, layers: dict[str, bool]) -> _Line:
        """Return the row of the innermost of the layers in a collapsed scope that a node is in."""
        for scope in scopes_down_to(node.graph.scopes.get(node.scope)):
            if scope.path in layers and scope.path != outer.path:
                line = self._line(scope, line)
        return line

    def _follow(self, boxes: Sequence[Box]) -> None:
        """Note through which nodes that are in no row inside their layer a value passes, from one row to the next."""
        for node in [node for box in boxes for node in sorted({*box.nodes, *box.gives}, key=lambda node: node.index)]:
            line = self.of_node.get(node)
            if line is None or not line.inside:
                continue
            found = self.through[node] = {}
            for operand in node.inputs:
                source = self.of_node.get(operand)
                if source is line:
                    found.update(self.through[operand])
                elif source is not None and not operand.op.is_constant:
                    found[source] = None

    def _read(self, line: _Line) -> Iterator[_Line]:
        """Yield what a row reads: of rows in one another, the outermost that it is not in itself."""
        around = {*line.outwards()}
        for node in line.nodes:
            for operand in self.taken.get(node, () if line.loop is node else node.inputs):
                if operand in line.nodes or operand not in self.of_node or operand.op.is_constant:
                    continue
                source = self.of_node[operand]
                for each in self.through.get(operand, ()) if source in around else [source]:
                    outer = [found for found in each.outwards() if found not in around]
                    if outer and line not in each.outwards():
                        yield outer[-1]

    def rows(self, run: Footprint | None) -> list[Row]:
        """Return the rows in their order, those inside a row below it."""
        found = []
        waiting = [(line, 0) for line in reversed(self.top)]
        while waiting:
            line, depth = waiting.pop()
            nodes, last = line.nodes, next(reversed(line.nodes))
            if line.loop is not None:
                last = next((node for node in nodes if node in self.given), last)
            elif isinstance(line.thing, Scope) and line.thing.result in nodes:
                last = line.thing.result
            read = {source.name: None for source in self._read(line)}
            counts = numbers_in(nodes), tuple(read), depth, numbers_in(nodes, trainable=True)
            row = Row(line.name, line.kind, self.bodies.shape_of(last), last.dtype.name, *counts)
            if run is not None:
                flops = sum(self.flops_of(node, run) for node in nodes)
                row = row._replace(flops=flops, memory=sum(run.written.get(node, 0) for node in nodes))
            if line.loop is not None:
                row = row._replace(times=self.bodies.times_of(line.loop))
            found.append(row)
            waiting += [(inner, depth + 1) for inner in reversed(line.inside)]
        return found


def _layers_in(box: Box, depth: int | None) -> dict[str, bool]:
    """Return the layers in a collapsed scope, itself included, by path; and of each whether there are others in it."""
    assert box.scope is not None
    found = {box.scope.path: False}
    for path in dict.fromkeys(node.scope for node in box.nodes):
        holding = [box.scope.path]
        for scope in scopes_down_to(box.node.graph.scopes.get(path)):
            inside = scope.path.startswith(f"{box.scope.path}/")
            # A composition, such as softmax, is a part of its layer.
            if inside and is_layer(scope) and not scope.kind.islower() and (depth is None or len(holding) < depth):
                found[holding[-1]] = True
                found.setdefault(scope.path, False)
                holding.append(scope.path)
    return found


# --- as text --------------------------------------------------------------------------------------------------


def _taken(run: Footprint, flops: int | None, memory: int | None) -> str:
    """Return the totals of a run of given sizes."""
    sizes = ", ".join(f"{name} = {size:,}" for name, size in run.sizes.items())
    totals = ("flops", f"{flops:,}"), ("memory", in_bytes(memory or 0)), ("peak", in_bytes(run.peak.bytes))
    return f"{visible(f'for {sizes}' if sizes else 'in a run')}\n{columns(totals, right=(1,))}"


def _in_thousands(count: float) -> str:
    """Return a count in short.

    Examples
    --------
    >>> [_in_thousands(count) for count in (950, 12_400, 3_000_000, 7.25e12)]
    ['950', '12.4 k', '3.0 M', '7.2 T']
    """
    if count < 1000:
        return f"{count:.0f}"
    units = iter("kMGTPE")
    unit = ""
    while count >= 999.95 and (larger := next(units, "")):
        count, unit = count / 1000, larger
    return f"{count:.1f} {unit}"


def _fits(table: Mapping[str, Sequence[Any]], width: int) -> bool:
    """Return whether columns fit into a line as they are."""
    widths = [max(map(cells_of, [title, *map(_text_of, cells)])) for title, cells in table.items()]
    return sum(widths) + 2 * (len(widths) - 1) <= width


def _text_of(cell: Any) -> str:
    return f"{cell:,}" if isinstance(cell, int) else visible(cell)


def _titles(rows: Sequence[Row]) -> dict[str, str]:
    """Return what each row is called inside the row around it, by its name."""
    titles: dict[str, str] = {}
    around: list[str] = []
    for row in rows:
        del around[row.depth :]
        title = row.name
        for before in (f"{around[-1]}@/", f"{around[-1]}/", f"{TRIED}/") if around else ():
            title = title.removeprefix(before)
        titles[row.name] = title
        around.append(row.name)
    return titles


def _called_from(name: str, other: str, titles: Mapping[str, str]) -> str:
    """Return what the row of a name calls another row: by its title where both are in the same, else by its name."""
    title = titles.get(other, other)
    return title if other.removesuffix(title) == name.removesuffix(titles[name]) else other


def _called(title: str, kind: str, times: int | str | None = None) -> str:
    """Return the name with the kind, where that says more, and of a loop with how often it goes on."""
    local = re.sub(r"_\d+$", "", title.rpartition("/")[2])
    said = title if kind in ("", local) else f"{title} ({kind})"
    return visible(said if times is None else f"{said} ×{times}")


# --- the notes ------------------------------------------------------------------------------------------------


def _one_sided(graph: Graph, nodes: Sequence[Node]) -> list[str]:
    """Return which layers among the nodes are built for training alone, and which for evaluation alone."""
    needed = ancestors(nodes)
    trained: dict[str, bool] = {}
    for node, other in graph.evaluation.items():
        if node is not other:
            path = _layer_of(node, other)
            trained[path] = trained.get(path, False) or node in needed
    only_training = [path for path, seen in trained.items() if seen and path not in graph.idle]
    only_evaluating = [path for path, node in graph.idle.items() if path not in trained and node in needed]
    notes = []
    if only_training:
        notes.append(
            f"{_listed(only_training)} built for training only. network(x), without training=True, is the form to "
            "predict with; nn.fit validates without it by itself."
        )
    if only_evaluating:
        notes.append(
            f"{_listed(only_evaluating)} built for evaluating only, and does nothing here. A loss to train is made of "
            "network(x, training=True)."
        )
    return notes


def _layer_of(trained: Node, evaluating: Node) -> str:
    """Return the path of the layer that made a node for training: of its first call, which made its parameters."""
    # What comes into the layer is used in both forms; what it has made is not, but for its parameters.
    graph = trained.graph
    counted = {*graph.state, *graph.advances.values()}
    others = {evaluating, *graph.evaluation, *(ancestors([evaluating]) - counted)}
    seen, waiting = {trained}, [trained]
    while waiting:
        fresh = [node for node in waiting.pop().inputs if node not in others and node not in seen]
        seen.update(fresh)
        waiting += fresh
    own = [node for node in seen if node.op.is_parameter]
    return min(own, key=lambda node: node.index).scope if own else trained.scope


def _listed(paths: Sequence[str]) -> str:
    named = [f'"{short_name(path, _MOST_NAME)}"' for path in paths[:_MOST_NOTED]]
    if len(paths) > _MOST_NOTED:
        named.append(f"{len(paths) - _MOST_NOTED:,} more")
    return f"{', '.join(named[:-1])} and {named[-1]} are" if len(named) > 1 else f"{named[0]} is"
