"""How a run becomes one without loops: each iteration of each loop as nodes."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .._util.garbage_collection import collector_paused
from .._util.numpy_warnings import quietly
from ..core import Array, Constant, Graph, Node, Op, Origin, Spec
from ..core.fetches import ordered
from ..core.node import put_twin
from ..core.scopes import Scope, mirrored
from ..core.symbolic_shapes import product, size_of
from ..errors import EvaluationError
from ..ops.concatenation import Concatenate, Stack
from ..ops.indexing import Getitem
from ..ops.shape import Reshape
from ..runtime.evaluation_loop import Prepared
from ..runtime.program import program_of
from ..transforms.copied_tables import copy_derivatives, copy_labels
from ..transforms.substitutions import Changes
from .branch_op import Branch
from .bundle import LoopItem
from .iteration_names import short_name_of
from .loop_body import Keeping
from .loop_op import Loop
from .loop_segment import stretch_of
from .memory_order import COMPACT, lies
from .run_iterations import count_made

if TYPE_CHECKING:
    from collections.abc import Mapping

KEPT = "unrolled"
"""Under which a graph without loops keeps, in its caches, what it was made from."""


_MOST, _FEWEST = 20_000, 8
"""How many nodes a loop becomes at most; but this many iterations in any case."""
NAME = re.compile(r"(.+)@(\d+|then|otherwise)/([^@]+)", re.DOTALL)


@dataclass
class Made:
    """The iterations of a loop, or the side that a branch takes, as nodes."""

    op: Any
    carry: list[Node]
    rows: dict[Any, list[Node | None]] = field(default_factory=dict)
    """{iteration or side: the node that stands for each of the body}"""
    stretches: dict[int, tuple[int, dict[int, Node]]] = field(default_factory=dict)
    """{first row of iterations that stay a loop: how many there are, and {place in the body: their values}}"""
    done: int = 0
    phase: str = ""
    decided_by: list[Node] = field(default_factory=list)
    """What the number of iterations depends on, if it is no size."""


class Unrolling:
    """A run without loops, and what it was made from.

    Parameters
    ----------
    run : Prepared
    around : mapping of str to int
        {name of a loop: iteration that is wanted}: of a loop that is too long, these and those beside them are made.

    Attributes
    ----------
    copies : dict of Node to Node
        {node of the run with loops: the one that stands for it}.
    loops : dict of str to Made
        The iterations of each loop, by what it is called.
    outer : dict of str to Node
        The loops that are in no other one.
    """

    @collector_paused()
    def __init__(self, run: Prepared, around: Mapping[str, int] = {}) -> None:
        source = run.program.graph
        self.run, self._around = run, around
        self.graph = Graph(source.name, source.dtype)
        self.graph.memory_budget = source.memory_budget
        self.graph.caches[KEPT] = self
        self.copies: dict[Node, Node] = {}
        self._loops: dict[Node, Made] = {}
        self._known: dict[tuple[Any, ...], Made] = {}
        self.loops: dict[str, Made] = {}
        self.outer: dict[str, Node] = {}
        self._stacks: dict[Node, list[Node]] = {}
        self._values: dict[Node, Array] = {}
        self._lies: dict[Node, int] = {}
        for node in run.program.order:
            scope = mirrored(self.graph, source.scopes.get(node.scope))
            if isinstance(node.op, Keeping):
                inputs = [self.copies[operand] for operand in node.inputs]
                at = _Place(short_name_of(node), scope, node.origin, _MOST)
                self.outer[at.name] = node
                try:
                    self._loops[node] = self._opened(at, node.op, inputs)
                except EvaluationError:  # of all iterations together
                    self.copies[node] = self._copied(node, source, scope)
            elif isinstance(node.op, LoopItem) and node.inputs[0] in self._loops:
                at = _Place(node.name, scope, node.origin)
                self.copies[node] = self._item(at, node.op, self._loops[node.inputs[0]], node.spec)
            else:
                self.copies[node] = self._copied(node, source, scope)
        self._copy_tables(source)

    @cached_property
    def originals(self) -> dict[Node, Node]:
        """{node without loops: the node for which it stands}, of those outside of iterations."""
        return {copy: node for node, copy in self.copies.items()}

    @cached_property
    def prepared(self) -> Prepared:
        """The run."""
        run = self.run
        program = program_of(self.graph, [self.copies[run.program.order[place]] for place in run.program.fetches])
        given = {self.copies[node]: value for node, value in run.given.items() if node in self.copies}
        return Prepared(program, program.binding(run.sizes), given, run.sizes)

    def found(self, name: str) -> Node | None:
        """Return the node of a name in an iteration; it may have another name, as what is carried into it has."""
        parts = NAME.fullmatch(name)
        made = None if parts is None else self.loops.get(parts[1])
        row = 0 if parts is None else int(parts[2]) if parts[2].isdigit() else parts[2]
        if parts is None or made is None or row not in made.rows:
            return None
        body = made.op.bodies["iteration" if isinstance(row, int) else row]
        node = body._find(parts[3])
        return None if node is None else made.rows[row][node.index]

    # --- nodes ---------------------------------------------------------------------------------------------------

    def _make(self, at: _Place, op: Op, inputs: Sequence[Node], spec: Spec, value: Any = None) -> Node:
        name = at.name if not self.graph._taken(at.name) else self.graph.free_name(at.name)
        array = None if value is None else np.asarray(value, spec.dtype)
        made = self.graph._make(op, tuple(inputs), spec, name, array, (at.scope, at.origin))
        self._lies[made] = lies(op, [self._lies[operand] for operand in inputs])
        return made

    def _compact(self, at: _Place, node: Node) -> Node:
        """Return a node with the same value, which lies in memory as a loop lays what it carries, takes and gives."""
        if self._lies[node] == COMPACT:
            return node
        size = product(node.spec.shape)
        at = replace(at, name=f"{at.name}/compact")
        flat = self._make(at, Reshape((size,)), [node], Spec((size,), node.spec.dtype))
        found = self._make(at, Reshape(node.spec.shape), [flat], Spec(node.spec.shape, node.spec.dtype))
        self._lies[flat] = self._lies[found] = COMPACT
        return found

    def _copied(self, node: Node, source: Graph, scope: Scope | None) -> Node:
        """Return the copy of a node that is neither a loop nor of one."""
        value = None
        if node.has_value:
            value = self.run.given[node] if node in self.run.given else source._stored(node)
        inputs = [self.copies[operand] for operand in node.inputs]
        copy = self._make(_Place(node.name, scope, node.origin), node.op, inputs, node.spec, value)
        if node in self.run.given:
            self._values[copy] = self.run.given[node]
        return copy

    def _item(self, at: _Place, op: LoopItem, made: Made, spec: Spec) -> Node:
        """Return what a loop gives, put together from its iterations; or what a branch gives."""
        places = zip(made.op.kept, made.op.layout.places, strict=True)
        kind, which = next(kept for kept, place in places if place == op.place)
        if isinstance(made.op, Branch):
            ((side, nodes),) = made.rows.items()
            place = (kind, which)[list(made.op.bodies).index(side)]
            found = nodes[place] if place >= 0 else None  # else the other side alone gives it
            given = self._zeros(at, spec.shape, spec) if found is None else found
            return self._make(at, Getitem((...,)), [self._compact(at, given)], spec)
        if kind == "count":
            return self._make(at, Constant(), (), spec, made.done)
        if kind == "last":
            return self._make(at, Getitem((...,)), [made.carry[which]], spec)
        length, parts, stacked, row = self._size(made.op.length), list[Node](), list[Node](), 0
        while row < length:
            count, values = made.stretches.get(row, (0, {}))
            if row in made.rows:
                stacked.append(made.rows[row][which])
            elif count:
                parts += [*self._stack(at, stacked, spec), values[which]]
                stacked = []
            else:
                stacked.append(self._zeros(at, spec.shape[1:], spec))
            row += count or 1
        if parts:
            parts += self._stack(at, stacked, spec)
            return self._make(at, Concatenate(0), parts, spec)
        return self._stack(at, stacked, spec, whole=True)[0] if stacked else self._zeros(at, spec.shape, spec)

    def _stack(self, at: _Place, nodes: list[Node], spec: Spec, whole: bool = False) -> list[Node]:
        """Return a node of several side by side; of none, no node."""
        if not nodes:
            return []
        nodes = [self._compact(at, node) for node in nodes]
        made = self._make(at, Stack(0), nodes, spec if whole else Spec((len(nodes), *spec.shape[1:]), spec.dtype))
        self._stacks[made] = nodes
        return [made]

    def _zeros(self, at: _Place, shape: Any, spec: Spec) -> Node:
        array = np.zeros([self._size(dim) for dim in shape], spec.dtype)
        return self._make(at, Constant(), (), Spec(tuple(shape), spec.dtype), array)

    def _size(self, dim: Any) -> int:
        return size_of(dim, self.run.sizes)

    # --- iterations ----------------------------------------------------------------------------------------------

    def _opened(self, at: _Place, op: Keeping, inputs: Sequence[Node]) -> Made:
        return self._unroll(at, op, inputs) if isinstance(op, Loop) else self._taken(at, op, inputs)

    def _taken(self, at: _Place, op: Keeping, inputs: Sequence[Node]) -> Made:
        """Make the side that a branch takes."""
        assert isinstance(op, Branch)
        key = (op.keeping(()), *inputs)
        if key in self._known:
            return replace(self._known[key], op=op)
        side = op.taken([self._value(inputs[0])])
        title = list(op.bodies)[side]
        made = self.loops[at.name] = self._known[key] = Made(op, [], phase=at.phase, decided_by=[inputs[0]])
        body = _Body(op, op.nodes[side])
        given = [self._compact(at, node) for node in inputs[1:]]
        made.rows[title] = self._iteration(at, title, body, given, {})
        return made

    def _unroll(self, at: _Place, op: Loop, inputs: Sequence[Node]) -> Made:
        """Make the iterations of a loop; those of one that differs only in what it keeps are the same."""
        key = (op.keeping(()), *inputs)
        if key in self._known and not self._known[key].stretches:
            return replace(self._known[key], op=op)
        limit = self._size(op.length)
        if op.counted or op.while_ >= 0:
            operands = [self._value(node) for node in inputs]
            limit, error = quietly(count_made, op.bound(self.run.sizes), operands)
            if error is not None:
                raise error
        carry, stacks, same = op.split([self._compact(at, node) for node in inputs])
        made = self.loops[at.name] = self._known[key] = Made(op, list(carry), done=limit, phase=at.phase)
        made.decided_by += inputs[:1] if op.counted else []
        shared: dict[int, Node] = {}
        _, rows_of, _ = op.split(([None] if op.counted else []) + op.inputs[int(op.indexed) :])
        index = op.inputs[0] if op.indexed else None
        body = _Body(op, op.nodes, index, rows_of)
        shown = self._shown(at, limit, len(op.nodes))
        inside = replace(at, most=at.most // max(len(shown), 1))
        done = 0
        while done < limit:
            row = limit - 1 - done if op.backwards else done
            if row in shown:
                given = [*made.carry, *stacks, *same]
                made.rows[row] = nodes = self._iteration(inside, row, body, given, shared)
                here = replace(at, name=f"{at.name}@{row}")
                made.carry = [self._compact(here, nodes[place]) for place in op.carried]  # type: ignore[arg-type]
                if op.while_ >= 0:
                    made.decided_by.append(nodes[op.while_])  # type: ignore[arg-type]
                done += 1
                continue
            until = done + 1
            while until < limit and (limit - 1 - until if op.backwards else until) not in shown:
                until += 1
            low = limit - until if op.backwards else done
            self._stretch(at, made, low, until - done, (made.carry, stacks, same))
            done = until
        return made

    def _shown(self, at: _Place, limit: int, size: int) -> Collection[int]:
        """Return which iterations are made: all, or if they are too many, the first, the last, and what is wanted."""
        most = max(at.most // max(size, 1), _FEWEST)
        if limit <= most:
            return range(limit)
        centres = [0, limit - 1, *([self._around[at.name]] if at.name in self._around else [])]
        beside = max(most // (2 * len(centres)), 1)
        return {row for centre in centres for row in range(centre - beside, centre + beside + 1) if 0 <= row < limit}

    def _stretch(self, at: _Place, made: Made, low: int, count: int, given: tuple[Any, Any, Any]) -> None:
        """Make some iterations as a loop of their own."""
        op, (carry, stacks, same) = made.op, given
        part, of = stretch_of(op.keeping(()), tuple(op.wanted))
        first = low + count - 1 if op.backwards else low
        at = replace(at, name=f"{at.name}@{low}-{low + count - 1}")
        rows = []
        for stack in stacks:
            spec = Spec((count, *stack.spec.shape[1:]), stack.spec.dtype)
            rows.append(
                self._make(replace(at, name=f"{at.name}/rows"), Getitem((slice(low, low + count),)), [stack], spec)
            )
        start = self._make(replace(at, name=f"{at.name}/index"), Constant(), (), Spec((), np.dtype(np.int64)), first)
        part = replace(part, length=count, dims=op.dims)
        bundle = self._make(at, part, [start, *carry, *rows, *same], part.layout.spec)

        def item(kind: str, which: int) -> Node:
            place = part.place(kind, which)
            spec = Spec(place.shape, place.dtype)
            return self._make(at, LoopItem(place.start, place.shape, place.dtype.name), [bundle], spec)

        made.carry = [item("last", k + 1) for k in range(len(carry))]
        made.stretches[low] = count, {place: item("each", inside) for place, inside in of.items()}

    def _iteration(
        self, at: _Place, row: Any, body: _Body, given: Sequence[Node], shared: dict[int, Node]
    ) -> list[Node | None]:
        called = f"{at.name}@{row}"
        found: list[Node | None] = [None] * len(body.nodes)
        inner: dict[int, Made] = {}
        scopes = _Scopes(self.graph, called, at)
        inputs = iter(given)
        for node in body.nodes:
            place = node.index
            here = _Place(f"{called}/{node.name}", scopes.of(node), node.origin, at.most)
            spec, new = body.specs[place], body.ops[place]
            if node.op.is_placeholder:
                if node is body.index:
                    found[place] = self._make(here, Constant(), (), spec, row)
                else:
                    found[place] = self._input(here, next(inputs), row if place in body.by_row else None, spec)
            elif node.op.is_constant:
                if place not in shared:
                    shared[place] = self._make(here, new, (), spec, node.graph._constants[node])
                found[place] = shared[place]
            elif isinstance(new, LoopItem) and node.inputs[0].index in inner:
                found[place] = self._item(here, new, inner[node.inputs[0].index], spec)
            else:
                operands: list[Any] = [found[operand.index] for operand in node.inputs]
                if isinstance(new, Keeping):
                    found[place] = self._make(here, new, operands, spec)  # a gradient may read all of it
                    inner[place] = self._opened(replace(here, name=f"{called}/{short_name_of(node)}"), new, operands)
                else:
                    found[place] = self._make(here, new, operands, spec)
        for node in body.nodes:
            copy, twin = found[node.index], None if node.twin is None else found[node.twin.index]
            if copy is not None and twin is not None and node.inputs:
                put_twin(copy, twin)
        return found

    def _input(self, here: _Place, operand: Node, row: int | None, spec: Spec) -> Node:
        """Return what an iteration gets: an operand, or a row of it."""
        if row is None:
            return operand
        if operand in self._stacks and len(self._stacks[operand]) == self._size(operand.spec.shape[0]):
            return self._stacks[operand][row]
        return self._make(here, Getitem((row,)), [operand], spec)

    def _value(self, node: Node) -> Array:
        """Return the value of a node, computed here: how often a loop goes on may depend on it."""
        values = self._values
        for each in ordered([node]):
            if each not in values:
                if not each.inputs:
                    values[each] = self._of_nothing(each)
                else:
                    forward = each.op.bound(self.run.sizes).forward
                    values[each] = np.asarray(quietly(forward, *[values[operand] for operand in each.inputs]))
        return values[node]

    def _of_nothing(self, node: Node) -> Array:
        """Return the value of a node without operands."""
        return self.graph._stored(node) if node.has_value else np.asarray(node.op.bound(self.run.sizes).forward())

    # --- tables --------------------------------------------------------------------------------------------------

    def _copy_tables(self, source: Graph) -> None:
        """Copy twins, outputs, second names and known derivatives, as far as their nodes came along."""
        copies, target = self.copies, self.graph
        for node, copy in copies.items():
            if node.twin in copies:
                put_twin(copy, copies[node.twin])
        target.outputs.update({name: copies[node] for name, node in source.outputs.items() if node in copies})
        for name, node in source.names.items():
            if node in copies and not target._taken(name):
                target.names[name] = copies[node]
        copy_labels(source, target, copies)
        copy_derivatives(source, target, copies)


class _Body:
    """What is the same in all iterations of a loop."""

    def __init__(
        self,
        op: Any,
        nodes: Sequence[Node],
        index: Node | None = None,
        rows: Sequence[Node] = (),
    ) -> None:
        changes = Changes(sizes=dict(zip(op.names, op.dims, strict=True)))
        self.nodes, self.index = nodes, index
        self.ops = [changes.op(node) for node in nodes]
        known = {node.spec: Spec(tuple(map(changes.dim, node.spec.shape)), node.spec.dtype) for node in nodes}
        self.specs = [known[node.spec] for node in nodes]
        self.by_row = {node.index for node in rows}


@dataclass(frozen=True)
class _Place:
    """The name and the scope that a node gets, and the line it is of."""

    name: str
    scope: Scope | None
    origin: Origin
    most: int = 0
    """How many nodes a loop may become."""

    @property
    def phase(self) -> str:
        """The phase of the scope."""
        return self.scope.phase if self.scope is not None else "forward"


class _Scopes:
    """The scopes of one iteration."""

    def __init__(self, graph: Graph, called: str, at: _Place) -> None:
        self.graph, self.called = graph, called
        self._made = {"": self._add(called, "iteration", at.phase, at.origin, at.scope)}

    def _add(self, path: str, *about: Any) -> Scope:
        return self.graph._add_scope(path if not self.graph._taken(path) else self.graph.free_name(path), *about)

    def of(self, node: Node) -> Scope:
        """Return the scope of a node of the body."""
        made, missing = self._made, list[Scope]()
        each = node.graph.scopes.get(node.scope)
        while each is not None and each.path not in made:
            missing.append(each)
            each = each.parent
        for each in reversed(missing):
            around = made["" if each.parent is None else each.parent.path]
            phase = each.phase if around.phase == "forward" else around.phase
            made[each.path] = self._add(f"{self.called}/{each.path}", each.kind, phase, each.origin, around)
        return made[node.scope]
