"""Loops as recurrences: what an iteration computes, with the letter of the iteration below its names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .algebra import is_zero, over, plus
from .expressions import Affine, At, Expression, Last, Letter, Line, Name, Recurrence, State, Symbol
from .naming import name_of_text
from .writer import NeedsPlaces, Places, Writer, constant_number

if TYPE_CHECKING:
    from ...control_flow.loop_op import Loop
    from ...core import Node
    from ...core.symbolic_shapes import Dim

_GATES = {"LSTM": "ifgo", "GRU": "rzn"}
_STATES = {"LSTM": "hc"}


class BodyWriter(Writer):
    """Writes the lines of one iteration of a loop."""

    def __init__(self, outer: Writer, loop: Node, op: Loop) -> None:
        self.outer, self.loop, self.op = outer, loop, op
        self.nodes, self.inputs = op.nodes, op.inputs
        self.graph, self.detail = op.bodies["iteration"], outer.detail
        self._wrt, self._cotangents, self._composites, self._readings = {}, [], {}, {}
        self.result, self._formulas = None, set()
        self._users, self._forced, self._costs, self._roots = {}, set(), {}, set()
        carried, rows, same = op.split(loop.inputs)
        first = int(op.indexed)
        self._takes = dict(zip(self.inputs[first:], [*carried, *rows, *same], strict=True))
        self._carried = list(self.inputs[first : first + len(carried)])
        self._rows = set(self.inputs[first + len(carried) : first + len(carried) + len(rows)])
        self._kind = self._layers_kind()
        self.fetches = [self.nodes[at] for at in op.wanted if not self.nodes[at].op.is_leaf]
        self.order = self._needed()
        self._sums = self._found_sums()
        kept = [node for node in self.fetches if node not in self._sums.values()]
        terms = [next(e for e in node.inputs if e is not self._carried[k]) for k, node in self._sums.items()]
        self.fetches, self._users = [*kept, *[term for term in terms if term not in kept]], {}
        self.order = self._needed()
        self.fetches = kept
        self._roots |= {node for node in self.order if self._gate_of(node)}
        self._choose_roots()
        self._letter: Letter | None = None
        before = outer._open
        self._names: dict[Node, Name] = {}
        self.state_names = self._named_states()
        self.naming = outer.naming
        self.symbols, self._queue, self._extra, self._bodies = {}, [], {}, {}
        self.constants = outer.constants
        self._found: dict[Node, Line] = {}
        self._initial: dict[int, Expression] = {}
        self._open = []
        self.time = Letter(outer.letter(op.length).text, op.length)
        outer._open = before

    # --- what there is ------------------------------------------------------------------------------------------

    def _layers_kind(self) -> str:
        scope = self.loop.graph.scopes.get(self.loop.scope)
        while scope is not None and scope.kind not in ("LSTM", "GRU", "RNN"):
            scope = scope.parent
        return scope.kind if scope is not None else ""

    def _found_sums(self) -> dict[int, Node]:
        """Return which carried values only add up: {number: node of the next value}."""
        found = {}
        for k, (node, at) in enumerate(zip(self._carried, self.op.carried, strict=True)):
            following = self.nodes[at]
            if (
                following.op.signs == (1, 1)
                and self._users.get(node) == [following]
                and following.inputs.count(node) == 1
            ) and ("each", at) not in self.op.kept:
                found[k] = following
        return found

    def _gate_of(self, node: Node) -> str:
        """Return the letter of a gate, if a node is a function of one part of what all gates are computed from."""
        gates = _GATES.get(self._kind, "")
        if not gates or self.loop.phase != "forward" or len(node.inputs) != 1 or node.op.rearranges:
            return ""
        stack = list(node.inputs)
        for _ in range(6):
            if not stack:
                break
            part = stack.pop()
            index: tuple[Any, ...] = getattr(part.op, "index", ()) if part.op.rearranges else ()
            if len(index) == 2 and isinstance(index[1], int) and 0 <= index[1] < len(gates):
                return gates[index[1]]
            if part.op.signs == (1, 1):
                stack += part.inputs[::-1]
        return ""

    @property
    def is_pulled_back(self) -> bool:
        """Whether it is the gradient of a loop."""
        return self.loop.phase == "backward" and self.op.backwards

    def _named_states(self) -> dict[int, Name]:
        """Return what carried values are called, by their number."""
        naming = self.outer.naming
        states = [k for k in range(len(self._carried)) if k not in self._sums]
        if self.is_pulled_back and self.loop.twin is not None and self.outer.result is not None:
            twin = self.loop.twin
            while not twin.op.holds_bodies and twin.inputs:
                twin = twin.inputs[0]
            forward = self.outer.body(twin) if twin.op.holds_bodies else None
            if forward is not None and len(forward.state_names) == len(states):
                of = naming.of(self.outer.result)
                names = {}
                for k, name in zip(states, forward.state_names.values(), strict=True):
                    names[k] = naming.claimed(Name(name.base, name.below, name.above, of=of))
                return names
        letters = _STATES.get(self._kind, "hcsuvw")
        names = {}
        for i, k in enumerate(states):
            operand = self._takes[self._carried[k]]
            user = naming.users_name(operand)
            base = name_of_text(user).base if user else letters[min(i, len(letters) - 1)]
            names[k] = naming.fresh(base if not self.is_pulled_back else "g", None)
        return names

    # --- names and letters --------------------------------------------------------------------------------------

    @property
    def _open(self) -> list[Letter]:
        return self.outer._open

    @_open.setter
    def _open(self, letters: list[Letter]) -> None:
        self.outer._open = letters

    def letter(self, dim: Dim, hint: str = "", start: int = 1) -> Letter:
        """Return a letter that is free in the line of the graph around, too."""
        return self.outer.letter(dim, hint, start)

    def close(self, letters: Any) -> None:
        """Free letters for other sums."""
        self.outer.close(letters)

    def name(self, node: Node) -> Name:
        """Return what a node is called, without the letter of the iteration."""
        if node not in self._names:
            for k, name in self.state_names.items():
                if self.nodes[self.op.carried[k]] is node:
                    self._names[node] = name
                    return name
            base = self._gate_of(node) or (r"\delta" if self.is_pulled_back else "a")
            self._names[node] = self.naming.fresh(base, None)
        return self._names[node]

    def symbol(self, node: Node) -> Symbol:
        """Return the symbol of the values of all iterations."""
        if node not in self.symbols:
            ones = (False, *[dim == 1 for dim in node.spec.shape])
            self.symbols[node] = Symbol(f"{self.loop.name}/{node.name}", self.name(node), ones)
            self._queue.append(node)
        return self.symbols[node]

    def __call__(self, node: Node, at: Places = ()) -> Expression:
        """Return a node's value in the iteration of the letter."""
        while at and at[-1] is None:
            at = at[:-1]
        letter = self._letter
        assert letter is not None
        if node in self._takes:
            operand = self._takes[node]
            if node in self._rows:
                return self.outer(operand, (letter, *at))
            if node not in self._carried:
                return self.outer(operand, at)
            return self.carried(self._carried.index(node), letter, at)
        if node.op.is_placeholder:
            return Affine(((1, letter),), 0, counts=True)
        if node.op.is_constant and constant_number(node) is None:
            key = f"{self.loop.name}/{node.name}"
            self.constants[key] = node
            symbol = Symbol(key, self.name(node), tuple(dim == 1 for dim in node.spec.shape))
            return At(symbol, at) if at else symbol
        if not node.op.is_constant and self.has_line(node):
            back = self._back(node)
            return At(self.symbol(node), (Affine(((1, letter),), -back) if back else letter, *at))
        return super().__call__(node, at)

    def _back(self, node: Node) -> int:
        return int(self._shifts and any(self.nodes[self.op.carried[k]] is node for k in self.state_names))

    @property
    def _shifts(self) -> bool:
        """Whether what an iteration gives belongs to the place before: the gradient of what the forward one took."""
        return self.is_pulled_back and all(name.of is not None for name in self.state_names.values())

    def carried(self, k: int, letter: Letter, at: Places) -> Expression:
        """Return what is carried into an iteration."""
        following = self.nodes[self.op.carried[k]]
        symbol = self.symbol(following)
        place: Expression = Affine(((1, letter),), 1 if self.op.backwards else -1)
        return At(symbol, (letter if self._shifts else place, *at))

    # --- writing ------------------------------------------------------------------------------------------------

    def each(self, place: int, at: Places) -> Expression:
        """Return the value of a node of the body in some iteration."""
        node = self.nodes[place]
        if not at or not isinstance(at[0], Letter):
            raise NeedsPlaces(1)
        return self._in(at[0], lambda: self(node, at[1:]))

    def last(self, k: int, at: Places) -> Expression:
        """Return what the last iteration gives."""
        following = self.nodes[self.op.carried[k]]
        if k in self._sums:
            of = self._carried[k]
            letter = self.letter(self.op.length)
            try:
                term = self._in(letter, lambda: self(next(each for each in following.inputs if each is not of), at))
            finally:
                self.close([letter])
            total, start = over("sum", (letter,), term), self.outer(self._takes[of], at)
            return total if is_zero(start) else plus((1, start), (1, total))
        place: Expression = Affine((), -1 if self._shifts else 0) if self.op.backwards else Last(self.op.length)
        return At(self.symbol(following), (place, *at))

    def _in(self, letter: Letter, write: Callable[[], Expression]) -> Expression:
        """Write something of the iteration of a letter."""
        before, self._letter = self._letter, letter
        try:
            return write()
        finally:
            self._letter = before

    def force(self, node: Node) -> None:
        """Make a node a line: of an iteration, or of the graph around."""
        (self._forced.add if node.graph is self.graph else self.outer.force)(node)

    def write_lines(self) -> bool:
        """Write the lines that are still asked for; return whether there were any."""
        for k in self.state_names:
            self.symbol(self.nodes[self.op.carried[k]])
        before = len(self._found)
        self._open = []
        for k in self.state_names:
            if k not in self._initial:
                self._initial[k] = self.outer(self._takes[self._carried[k]])
        while self._queue:
            node = self._queue.pop()
            if node not in self._found and not node.op.is_leaf:
                self._letter = self.time
                line = self._line(node, (self.time,))
                left = None
                if self._back(node):
                    left = At(line.symbol, (Affine(((1, self.time),), -1), *line.letters[1:]))
                shape = (self.op.length, *line.shape)
                name = f"<{self.loop.name}/{node.name}>"
                self._found[node] = Line(name, line.symbol, line.letters, line.tree, shape, line.note, line.sign, left)
                self._letter = None
        return len(self._found) > before

    def recurrence(self) -> Recurrence:
        """Return the lines of an iteration."""
        self._open = []
        lines = tuple(self._found[node] for node in sorted(self._found, key=lambda node: node.index))
        states = []
        for k in self.state_names:
            symbol = self.symbol(self.nodes[self.op.carried[k]])
            states.append(State(symbol, self._initial[k], int(self._shifts), symbol.key))
        return Recurrence(self.loop.name, self.time, self.op.backwards, lines, tuple(states))
