"""Which lines there are, and what stands in each: `Writer`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from ..._util.rules import Rules
from .expressions import (
    At,
    Expression,
    Filled,
    Indicator,
    Letter,
    Line,
    Name,
    Number,
    Recurrence,
    Relation,
    Symbol,
)
from .naming import Naming, is_layer, letters_for

if TYPE_CHECKING:
    from ...core import Graph, Node, Op
    from ...core.graph_tables import Derivatives
    from ...core.symbolic_shapes import Dim, Shape

Places = tuple[Expression | None, ...]
"""Places along the first axes of a value; None is all of an axis."""
_LARGEST, _OPERATION = 44, 4
"""What a line may cost, or else it is cut into two; and an operation. One that only moves elements costs 1."""


class NeedsPlaces(Exception):
    """A node can only be written for some place along each of its first axes."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


class NeedsLine(Exception):
    """A node has to be a line of its own."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.node = node


Write = Callable[["Writer", Places], Expression]


@dataclass(frozen=True, slots=True)
class Reading:
    """How a node is written: from which nodes, and by what."""

    operands: tuple[Node, ...]
    write: Write
    cost: int = 1
    note: str = ""
    sign: str = "="
    lines: tuple[Node, ...] = ()
    """Nodes that are read more than once, and so are lines."""
    hints: tuple[tuple[str, int], ...] = ()
    """For the places along each axis, the letter that they are known by, and what the first is."""


@dataclass(frozen=True, slots=True)
class Composite:
    """Several operations that a person knows by one formula.

    Attributes
    ----------
    root : Node
        What it gives.
    reading : Reading
    cotangents : dict of Node to Reading
        The gradients of nodes in it that have a formula of their own, of which only it is part.
    """

    root: Node
    reading: Reading
    cotangents: Mapping[Node, Callable[[Node | None], Reading]] = field(default_factory=dict)


rules: Rules[[Node, Writer, Places], Expression] = Rules()
"""Takes an operation, its node, a writer, and places; returns the node's value there."""
composites: dict[str, Callable[[Sequence[Node], Callable[[Node], bool]], Composite | None]] = {}
"""By the kind of a scope. Takes its nodes and says whether all that reads a node is among them."""


class Manner(NamedTuple):
    """How nodes of an operation are treated.

    Attributes
    ----------
    line : bool or None
        Whether each is a line, or none is, unless it is asked for; None: it depends.
    cheap : bool
        Whether it is written again wherever it is read, rather than named.
    widens : bool
        Whether it only repeats what it reads, and so is no part of a formula.
    sign : str
        What stands between a node and its formula.
    """

    line: bool | None = None
    cheap: bool = False
    widens: bool = False
    sign: str = "="


manners: dict[type[Op], Manner] = {}
"""By the class of an operation, where it is not treated as most are."""
_MOST = Manner()


def manner(op: Op) -> Manner:
    """Return how nodes of an operation are treated."""
    return manners.get(type(op), _MOST)


in_layers: dict[str, dict[str, bool]] = {}
"""By the kind of a layer, and the last part of a node's name: False of a line, True of what is never one."""
loop_keys: dict[type[Op], Callable[[Any], Any]] = {}
"""By the class of a loop, what two of them have in common that compute the same of the same."""
_WITH_DELTA = ("Dense", "Conv1D", "Conv2D", "Conv3D")


fallbacks: list[Callable[[Op, Node, Writer, Places], Expression]] = []
"""Writes an operation by its name; where nothing else can."""


bodies: list[Callable[[Writer, Node], Body | None]] = []
"""Makes the writer of what a loop computes in one iteration; None where it cannot be written so."""


def nothing(writer: Writer, at: Places) -> Expression:
    """Refuse: what is read through others has no formula."""
    raise NeedsPlaces(0)


class Body(Protocol):
    """What writes one iteration of a loop."""

    state_names: dict[int, Name]

    def write_lines(self) -> bool:
        """Write the lines that are still asked for; return whether there were any."""

    def recurrence(self) -> Recurrence:
        """Return the lines."""

    def each(self, place: int, at: Places) -> Expression:
        """Return the value of a node of the body in some iteration."""

    def last(self, k: int, at: Places) -> Expression:
        """Return what the last iteration gives for a carried value."""


class Writer:
    """Writes the lines of some nodes.

    Parameters
    ----------
    graph : Graph
    fetches : sequence of Node
    detail : "layer" or "op"
    """

    def __init__(self, graph: Graph, fetches: Sequence[Node], detail: str = "layer") -> None:
        self.graph, self.detail = graph, detail
        self._wrt, self._cotangents = self._derivatives()
        self.result = self._result_of(fetches)
        self.fetches = list(dict.fromkeys([*fetches, *([self.result] if self.result is not None else [])]))
        self._composites = self._found_composites() if detail == "layer" else {}
        self._readings: dict[Node, Reading] = {}
        self._formulas: set[Node] = set()
        self._read_cotangents()
        self._users: dict[Node, list[Node]] = {}
        self.order = self._needed()
        self._forced: set[Node] = set()
        self._costs: dict[Node, int] = {}
        self._roots: set[Node] = set()
        self._choose_roots()
        self.naming = Naming(graph, self.order, self.result)
        self._open: list[Letter] = []
        self._extra: dict[str, Line] = {}
        self.symbols: dict[Node, Symbol] = {}
        self._queue: list[Node] = []
        self.constants: dict[str, Node] = {}
        self._bodies: dict[Node, Body | None] = {}
        for node in self.order:
            if node.op.holds_bodies and node.phase == "forward":
                self.body(node)
        for node in self.order:
            if node in self._roots and node.phase == "forward":
                self.naming.of(node)
        self._name_cotangents()

    # --- what there is ------------------------------------------------------------------------------------------

    def _derivatives(self) -> tuple[dict[Node, tuple[Node, Node]], list[tuple[Node, Derivatives]]]:
        """Return what each node of a gradient is the gradient of: {node: (result, node of the forward pass)}."""
        found: dict[Node, tuple[Node, Node]] = {}
        tables = []
        for seeds, derivatives in self.graph.cotangents.items():
            if len(seeds) == 1 and seeds[0][1] is None:
                result = seeds[0][0]
                tables.append((result, derivatives))
                for node, cotangent in derivatives.of.items():
                    if cotangent.phase == "backward" and (
                        cotangent not in found or found[cotangent][1].index < node.index
                    ):
                        found[cotangent] = (result, node)
        return found, tables

    def _result_of(self, fetches: Sequence[Node]) -> Node | None:
        """Return the loss: what the gradients are of, or else the only number that is asked for."""
        results = {self._wrt[node][0] for node in fetches if node in self._wrt}
        if len(results) == 1:
            return results.pop()
        numbers = [node for node in fetches if node.shape == () and not node.op.is_leaf]
        return numbers[0] if not results and len(numbers) == 1 else None

    def _found_composites(self) -> dict[Node, Composite]:
        inside: dict[str, list[Node]] = {}
        for node in self.graph:
            path = node.scope
            if path in self.graph.scopes and self.graph.scopes[path].phase == "forward":
                while path:
                    if self.graph.scopes[path].kind in composites:
                        inside.setdefault(path, []).append(node)
                    path = path.rpartition("/")[0]
        found = {}
        for path, nodes in inside.items():
            own = set(nodes)
            composite = composites[self.graph.scopes[path].kind](
                nodes,
                lambda node, own=own: own.issuperset(  # type: ignore[misc]
                    user for user in node.users if user.phase == "forward"
                ),
            )
            if composite is not None:
                found[composite.root] = composite
        return found

    def _read_cotangents(self) -> None:
        for composite in self._composites.values():
            for inner, reading in composite.cotangents.items():
                for result, derivatives in self._cotangents:
                    cotangent = derivatives.of.get(inner)
                    upstream = derivatives.of.get(composite.root)
                    if cotangent is not None and upstream is not None and cotangent is not upstream:
                        self._formulas.add(cotangent)
                        self._readings[cotangent] = reading(None if composite.root is result else upstream)

    def reading(self, node: Node) -> Reading:
        """Return how a node is written."""
        if node not in self._readings:
            composite = self._composites.get(node)
            if node.op.holds_bodies and (same := self.same_loop(node)) is not node:
                self._readings[node] = Reading((same,), nothing, cost=0)
            elif composite is not None:
                self._readings[node] = composite.reading
            else:
                write: Write = lambda writer, at: rules(node.op, node, writer, at)  # noqa: E731
                self._readings[node] = Reading(node.inputs, write, sign=manner(node.op).sign)
        return self._readings[node]

    def _needed(self) -> list[Node]:
        seen, stack = set(self.fetches), list(self.fetches)
        while stack:
            node = stack.pop()
            for operand in dict.fromkeys(self.reading(node).operands):
                self._users.setdefault(operand, []).append(node)
                if operand not in seen:
                    seen.add(operand)
                    stack.append(operand)
        return sorted(seen, key=lambda node: node.index)

    # --- which nodes are lines ----------------------------------------------------------------------------------

    def _choose_roots(self) -> None:
        fetched = set(self.fetches)
        self._roots |= self._formulas & set(self.order)
        self._roots |= {each for node in self.order for each in self.reading(node).lines if not each.op.is_leaf}
        for node in self.order:
            if node.op.is_leaf:
                self._costs[node] = 0
                continue
            if manner(node.op).line is False and node not in fetched:
                self._costs[node] = 0
                continue
            operands = list(dict.fromkeys(self.reading(node).operands))
            costs = {
                each: self._costs.get(each, 0)
                for each in operands
                if each not in self._roots and not self._hinted(each)
            }
            total = self._own_cost(node) + sum(costs.values())
            while total > _LARGEST and any(costs.values()):
                largest = max(costs, key=lambda each: costs[each])
                total -= costs.pop(largest)
                self._roots.add(largest)
            self._costs[node] = total
            if node in fetched or self._is_root(node):
                self._roots.add(node)

    def _own_cost(self, node: Node) -> int:
        cost = self.reading(node).cost
        light = node.op.rearranges or manner(node.op).widens or is_constant_tree(node)
        light = light or (manner(node.op).cheap and all(map(self._is_atom, node.inputs)))
        return 1 if light and cost == 1 else _OPERATION * cost

    def _is_root(self, node: Node) -> bool:
        users = self._users.get(node, [])
        if self.detail == "op":
            return True
        if is_constant_tree(node):
            return False
        if manner(node.op).line is False:
            return False
        if node.title != node.name or manner(node.op).line:
            return True
        if (inline := self._hinted(node)) is not None:
            return not inline
        if self._only_moves(node):
            return len(node.inputs) > 1 and any(self._is_border(node, user) for user in users)
        atoms = all(map(self._is_atom, node.inputs))
        if atoms and manner(node.op).cheap and len(node.inputs) < 3:
            return any(self._is_border(node, user) for user in users)
        if len(users) > 1 and node.op.rearranges and len(node.inputs) == 1:
            source = node
            while source.op.rearranges and len(source.inputs) == 1:
                source = source.inputs[0]
            self._roots.add(source)
            return False
        if len(users) > 1:
            return True
        return any(self._is_border(node, user) for user in users)

    def _is_atom(self, node: Node) -> bool:
        """Whether a node is a symbol where it is read, or that times a number."""
        if node.op.is_leaf or node in self._roots or manner(node.op).line is False:
            return True
        return bool(node.op.powers) and all(
            each.op.is_constant if i else each.op.is_leaf or each in self._roots
            for i, each in enumerate(sorted(node.inputs, key=lambda each: each.op.is_constant))
        )

    def _only_moves(self, node: Node) -> bool:
        """Whether a node is elements of a line, in other places."""
        steps = 0
        while node.op.rearranges and node.inputs and (steps := steps + 1) < _LARGEST:
            if all(each.op.is_leaf or each in self._roots or manner(each.op).line is False for each in node.inputs):
                return True
            if len(node.inputs) > 1:
                return False
            node = node.inputs[0]
        return False

    def _hinted(self, node: Node) -> bool | None:
        """Return whether a node of a layer is always written where it is read, or never; None: as others."""
        scope = self.graph.scopes.get(node.scope)
        hints = in_layers.get(scope.kind, {}) if scope is not None and node.phase == "forward" else {}
        return hints.get(node.name.removeprefix(f"{node.scope}/"))

    def _is_border(self, node: Node, user: Node) -> bool:
        if node.phase != "forward":
            if node in self._wrt:
                forward = self._wrt[node][1]
                return forward in self._roots and (self._costs[node] > 3 * _OPERATION or self._is_result(forward))
            return False
        if user.phase != "forward":
            return False
        mine, other = self._region(node.scope), self._region(user.scope)
        if mine == other:
            return False
        scope = self.graph.scopes.get(node.scope)
        single = node.shape == () and scope is not None and not is_layer(scope.kind)
        return not (single and user.scope in ("", scope.parent.path if scope is not None and scope.parent else ""))

    def _is_result(self, node: Node) -> bool:
        """Whether a node is what a layer with weights gives."""
        scope = self.graph.scopes.get(node.scope)
        return scope is not None and scope.result is node and scope.kind in _WITH_DELTA

    def _region(self, path: str) -> str:
        """Return the scope that is written as one: the innermost layer, or the outermost composition."""
        scopes = self.graph.scopes
        best, at = "", path
        while at:
            scope = scopes.get(at)
            if scope is None:
                break
            if is_layer(scope.kind):
                return at
            if scope.kind:
                best = at
            at = at.rpartition("/")[0]
        return best

    # --- names --------------------------------------------------------------------------------------------------

    def _name_cotangents(self) -> None:
        """Name each gradient after what it is of; then those of nodes that are no lines, by letters that are left."""
        self._derived: dict[Node, Name] = {}
        named: set[tuple[Node, Node]] = set()
        others = []
        for node in self.order:
            if node not in self._wrt:
                continue
            result, _ = self._wrt[node]
            derivatives = next(table for of, table in self._cotangents if of is result)
            twins = [f for f, c in derivatives.of.items() if c is node]
            lines = [f for f in sorted(twins, key=lambda f: f.index) if f in self._roots]
            chosen = next((f for f in twins if f.op.is_leaf and node in self.fetches), lines[0] if lines else None)
            if chosen is not None and (result, chosen) not in named:
                named.add((result, chosen))
                self._derived[node] = self.naming.derivative(result, chosen)
            elif node in self._roots and twins:
                others.append(node)
        for node in others:
            self._derived[node] = self.naming.fresh(r"\delta", None)

    def name(self, node: Node) -> Name:
        """Return what a node is called."""
        return self._derived.get(node) or self.naming.of(node)

    def symbol(self, node: Node) -> Symbol:
        """Return the symbol of a node, whose line is written, too."""
        if node not in self.symbols:
            ones = tuple(dim == 1 for dim in node.spec.shape)
            self.symbols[node] = Symbol(node.name, self.name(node), ones)
            if node.op.is_constant:
                self.constants[node.name] = node
            self._queue.append(node)
        return self.symbols[node]

    # --- loops --------------------------------------------------------------------------------------------------

    def same_loop(self, node: Node) -> Node:
        """Return the first loop that computes the same, whatever it keeps of it."""
        key = loop_keys[type(node.op)](node.op) if type(node.op) in loop_keys else None
        if key is None:
            return node
        for other in self.graph:
            same = type(other.op) is type(node.op) and other.inputs == node.inputs
            if same and loop_keys[type(other.op)](other.op) == key:
                return other
        return node

    def body(self, node: Node) -> Body | None:
        """Return the writer of what a loop computes in one iteration, or None."""
        node = self.same_loop(node)
        if node not in self._bodies:
            self._bodies[node] = bodies[0](self, node)
        return self._bodies[node]

    # --- letters ------------------------------------------------------------------------------------------------

    def letter(self, dim: Dim, hint: str = "", start: int = 1) -> Letter:
        """Return a letter for the places along a dimension, which stands in the line from now on: see `closed`."""
        used = {letter.text for letter in self._open} | self.naming.letters
        text = next((each for each in letters_for(dim, hint) if each not in used), "")
        number = 1
        while not text:
            if f"i_{{{number}}}" not in used:
                text = f"i_{{{number}}}"
            number += 1
        letter = Letter(text, dim, start)
        self._open.append(letter)
        return letter

    def close(self, letters: Iterable[Letter]) -> None:
        """Free letters for other sums."""
        for letter in letters:
            self._open.remove(letter)

    # --- writing ------------------------------------------------------------------------------------------------

    def __call__(self, node: Node, at: Places = ()) -> Expression:
        """Return a node's value at some places, as it is written where another one reads it."""
        while at and at[-1] is None:
            at = at[:-1]
        if node.op.is_constant:
            number = constant_number(node)
            if number is not None:
                return Number(number)
        if self.has_line(node):
            symbol = self.symbol(node)
            return At(symbol, at) if at else symbol
        return self.reading(node).write(self, at)

    def has_line(self, node: Node) -> bool:
        """Whether a node is written by its symbol where it is read."""
        return node.op.is_leaf or node in self._roots or node in self._forced

    def whole(self, node: Node) -> Expression:
        """Return a node's value in its whole shape."""
        try:
            found = self(node)
        except NeedsPlaces:
            raise NeedsLine(node) from None
        return found if self.covers(node) else Filled(found, node.spec.shape)

    def covers(self, node: Node) -> bool:
        """Whether what is written for a node has its shape, and is not only broadcast to it."""
        if node.op.is_constant:
            return constant_number(node) is None or node.shape == ()
        if self.has_line(node) or node.shape == ():
            return True
        op = node.op
        if op.elementwise:
            return any(each.spec.shape == node.spec.shape and self.covers(each) for each in node.inputs)
        if manner(op).widens:
            return False
        return not (op.rearranges and len(node.inputs) == 1) or self.covers(node.inputs[0])

    def lines(self) -> list[Line | Recurrence]:
        """Write all lines, in the order of the nodes."""
        found: dict[Node, Line] = {}
        for node in self.fetches:
            self.symbol(node)
        more = True
        while more:
            while self._queue:
                node = self._queue.pop()
                if not node.op.is_leaf and node not in found:
                    found[node] = self._line(node, ())
            # An iteration may ask for lines of the graph around it, and of other iterations.
            asked = [body.write_lines() for body in list(self._bodies.values()) if body is not None]
            more = any(asked) or bool(self._queue)
        extra = {line.name: line for line in self._extra.values()}
        loops = {loop: body for loop, body in self._bodies.items() if body is not None}
        ordered: list[Line | Recurrence] = []
        for node in sorted([*found, *loops], key=lambda node: node.index):
            if node in loops:
                ordered.append(loops[node].recurrence())
                continue
            ordered += [extra.pop(name) for name in [*extra] if name.startswith(f"<{node.name}:")]
            ordered.append(found[node])
        return ordered

    def _line(self, node: Node, around: tuple[Letter, ...]) -> Line:
        """Write one line, with the fewest letters that do."""
        count = 0
        while True:
            self._open = list(around)
            letters: list[Letter] = []
            try:
                letters += [self.letter(node.spec.shape[axis], *self._hint(node, axis)) for axis in range(count)]
                reading = self.reading(node)
                # The index of an axis of one place is not written.
                places = [Number(0) if node.spec.shape[axis] == 1 else each for axis, each in enumerate(letters)]
                tree = reading.write(self, tuple(places))
                if isinstance(tree, Relation):
                    tree = Indicator(tree)
                symbol = self.symbol(node)
                return Line(node.name, symbol, (*around, *letters), tree, node.spec.shape, reading.note, reading.sign)
            except NeedsPlaces:
                count += 1
                if count > node.ndim:
                    self._force_inputs(node)
                    count = 0
            except NeedsLine as need:
                if need.node is node or (need.node.graph is self.graph and self.has_line(need.node)):
                    self._force_inputs(node)
                    count = 0
                else:
                    self.force(need.node)

    def force(self, node: Node) -> None:
        """Make a node a line."""
        self._forced.add(node)

    def _hint(self, node: Node, axis: int) -> tuple[str, int]:
        """Return the letter that places along an axis are known by, and what the first is."""
        hints = self.reading(node).hints
        if axis < len(hints):
            return hints[axis]
        scope = self.graph.scopes.get(node.scope)
        kind = scope.kind if scope is not None else ""
        if node.ndim > 2 and (kind.startswith("Conv") or kind in ("conv", "max_pool", "average_pool")):
            return "nkij"[axis : axis + 1] if not kind.endswith("pool") else "ncij"[axis : axis + 1], 1
        while scope is not None and scope.parent is not None and scope.kind != "MultiHeadAttention":
            scope = scope.parent
        if scope is not None and scope.kind == "MultiHeadAttention" and node.ndim == 4 and axis == 1:
            return "h", 1
        return "", 1

    def _force_inputs(self, node: Node) -> None:
        """Make lines of what is read, where a node cannot be written otherwise; if it is written already, by name."""
        inlined = [each for each in self.reading(node).operands if not self.has_line(each)]
        if inlined:
            self._forced.update(inlined)
        else:
            self._readings[node] = Reading(node.inputs, lambda writer, at: fallbacks[0](node.op, node, writer, at))

    def define(self, node: Node, what: str, base: str, shape: Shape, tree: Callable[[], Expression]) -> Symbol:
        """Return a symbol for something that is no node, with a line in front of that of a node."""
        key = f"<{node.name}: {what}>"
        if key not in self._extra:
            before, self._open = self._open, []
            symbol = Symbol(key, self.naming.fresh(base, None), tuple(dim == 1 for dim in shape))
            self._extra[key] = Line(key, symbol, (), tree(), shape)
            self._open = before
        return self._extra[key].symbol


def constant_number(node: Node) -> bool | int | float | None:
    """Return the number that a constant is, everywhere; None if it has several."""
    value = np.asarray(node.graph._stored(node))
    if value.size == 0 or value.size > 10_000:
        return None
    first = value.flat[0]
    same = value.size == 1 or bool((value == first).all())
    return first.item() if same else None


def is_constant_tree(node: Node) -> bool:
    """Whether a node is made of numbers and sizes alone, in few operations: 1/N."""
    stack, count = [node], 0
    while stack and count < 12:
        each = stack.pop()
        count += 1
        if each.op.is_constant:
            if constant_number(each) is None:
                return False
        elif each.op.is_leaf or not each.inputs:
            return False
        else:
            stack += each.inputs
    return not stack
