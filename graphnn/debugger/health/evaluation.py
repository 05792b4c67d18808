"""One run with all its values, and questions about it: what made an element, and where a NaN or inf goes."""

from __future__ import annotations

import math
import warnings
from collections import deque
from functools import cached_property
from itertools import compress
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..._util.numpy_warnings import quietly
from ...autodiff.grad import vjp
from ...control_flow.iteration_names import is_bundle
from ...control_flow.unrolled_run import counterpart
from ...core import Array, Graph, Node, Op, Trait, is_float, widened
from ...errors import GraphnnError, GraphnnWarning
from ...ops.reductions import Norm, Reduction, Std, Var
from ...runtime.evaluation_loop import Prepared, compute, evaluate
from ...runtime.interpreter import run
from ..why import Index, Number, Why, explain, given_as, places_of
from .findings import Element, Finding, first_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_Part = TypeVar("_Part")
_MAY_COPY = Trait.HIDES | Trait.ADDS_UP | Trait.KEEPS_SIZE
"""A result may equal an operand, up to its sign; a sum does if it has one term."""

TRIALS, THOROUGH = 20, 200
"""How often a run may be evaluated again with something changed, to see what depends on it; and if much is asked."""
MOST_ASKED = 4096
"""The largest number of elements of one value for which `reads` is called one by one."""


class CannotTry(GraphnnError):
    """A run cannot be evaluated with something changed: it was as often as it may be, or an operation fails then."""


class Evaluation:
    """A run with all its values, and questions about it.

    Parameters
    ----------
    prepared : Prepared
    recorded : mapping of int to array
        Values that are not computed, by place: those of operations that are not defined in this process.
    updates : mapping of Node to Node
        The parameters that the step updates, each with the node of its next value.
    trials : int
        How often it may be evaluated again with something changed.

    Attributes
    ----------
    graph : Graph
    order : list of Node
        The schedule. Methods take a node's place in it.
    places : dict of Node to int
    values : list of array or None
        By place; None where an operation failed before.
    bad : list of bool
        By place: whether the value has a NaN or inf.
    inputs : sequence of sequence of int
        The places of each node's operands.
    fetches : set of int
    updates : mapping of Node to Node
    failure : GraphnnError or None
        The error that an operation raised.
    magnitudes : list of float
        By place: the largest absolute value of a value of floats, else 0.
    count : int
        The number of values.
    found : list of Finding
        What the checks so far have found.
    parts : dict
        What `part` has computed.
    trials, tried : int
        How often it may be evaluated again with something changed, and how often it was.
    checked, unchecked : dict of str to str
        The kinds of checks that ran, with how much they looked at; and those that could not, with the reason.
    """

    def __init__(
        self,
        prepared: Prepared,
        recorded: Mapping[int, Array] = {},
        updates: Mapping[Node, Node] = {},
        trials: int = TRIALS,
    ) -> None:
        self.trials, self.tried = trials, 0
        self.checked: dict[str, str] = {}
        self.unchecked: dict[str, str] = {}
        program = prepared.program
        self.prepared, self.updates, self.graph = prepared, updates, program.graph
        self.order, self.inputs, self.fetches = program.order, program.operands, set(program.fetches)
        self.places = {node: place for place, node in enumerate(self.order)}
        self.values: list[Any] = [recorded.get(place) for place in range(len(self.order))]
        self.failure: GraphnnError | None = None
        self.found: list[Finding] = []
        warned = set(self.graph.caches.get("overflowed", ()))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GraphnnWarning)
            try:
                computed = [place for place in range(len(self.order)) if place not in recorded] if recorded else None
                quietly(deque, evaluate(prepared, computed, self.values), maxlen=0)
            except GraphnnError as error:
                self.failure = error
        self.graph.caches["overflowed"] = warned  # this run warned nobody, so a later one still may
        self.values = [value if value is None else widened(value) for value in self.values]
        self.count = sum(value is not None for value in self.values)
        self.magnitudes = [
            magnitude(value) if value is not None and _is_of_floats(node) else 0.0
            for node, value in zip(self.order, self.values, strict=True)
        ]
        self.bad = [not math.isfinite(size) for size in self.magnitudes]
        self.parts: dict[Any, Any] = {}
        self._ops: dict[int, Op] = {}
        self._bad_before: dict[Node, set[Node]] = {}
        self._gives_nan: dict[int, bool] = {}
        self._paths: dict[tuple[int, Index, int], tuple[Element, ...]] = {}
        self._steps_upstream: dict[tuple[int, Index], tuple[int, Index] | None] = {}

    def part(self, kind: Callable[[Evaluation], _Part]) -> _Part:
        """Return ``kind(run)``, computed once: facts that several checks share."""
        if kind not in self.parts:
            self.parts[kind] = kind(self)
        found: _Part = self.parts[kind]
        return found

    # --- asking

    def value_of(self, node: Node) -> Array:
        """Return the value of a node."""
        node = counterpart(node, self.graph)
        if node not in self.places and node.name in self.graph:
            node = self.graph[node.name]  # of another run without loops
        value: Array = self.values[self.places[node]]
        return value

    @cached_property
    def computed(self) -> list[tuple[int, Array]]:
        """The places and values of all floats that were computed and are not empty."""
        return [
            (place, value)
            for place, (value, forward) in enumerate(zip(self.values, self.prepared.binding.forwards, strict=True))
            if forward is not None and value is not None and value.size and _is_of_floats(self.order[place])
        ]

    @cached_property
    def forward_nodes(self) -> dict[Node, int]:
        """The nodes of the forward pass, with their places."""
        later = _made_of_gradients(self)
        return {node: place for node, place in self.places.items() if node.phase == "forward" and node not in later}

    @cached_property
    def forward(self) -> list[tuple[int, Array]]:
        """Those of `computed` that are in the forward pass."""
        return [(place, value) for place, value in self.computed if self.order[place] in self.forward_nodes]

    @cached_property
    def cotangents(self) -> set[Node]:
        """The gradients that were asked for, and those computed on the way to them."""
        return {slope for derived in self.graph.cotangents.values() for slope in derived.of.values()}

    @cached_property
    def fed(self) -> set[Node]:
        """What depends on the feed."""
        return dependents(self.order, self.prepared.program.placeholders)

    @cached_property
    def met_by_parameters(self) -> set[Node]:
        """The nodes of the forward pass that are later combined with a trained parameter."""
        meet = [node for node in self.forward_nodes if any(operand.trainable for operand in node.inputs)]
        return set(self.ancestors(operand for node in meet for operand in node.inputs))

    def readers(self, node: Node) -> list[Node]:
        """Return the users of a node in the forward pass of this run."""
        return [user for user in node.users if user in self.forward_nodes]

    def ancestors(self, nodes: Iterable[Node]) -> dict[Node, None]:
        """Return some nodes and all that they depend on, in the order of the schedule."""
        needed = set(nodes)
        for node in reversed(self.order):
            if node in needed:
                needed.update(node.inputs)
        return dict.fromkeys(node for node in self.order if node in needed)

    def kind_of_scope(self, node: Node) -> str:
        """Return which layer or function made the scope of a node; "" if none did."""
        scope = self.graph.scopes.get(node.scope)
        return "" if scope is None else scope.kind

    def is_softmax(self, node: Node) -> bool:
        """Return whether a node is the result of a softmax."""
        return -1 in node.op.powers and self.kind_of_scope(node).lower() == "softmax"

    def op(self, place: int) -> Op:
        """Return the operation at a place, with numbers for its dimensions."""
        if place not in self._ops:
            self._ops[place] = self.prepared.op_of(self.order[place])
        return self._ops[place]

    def is_given(self, node: Node) -> bool:
        """Return whether a node's value was given, not computed."""
        return self.prepared.binding.forwards[self.places[node]] is None

    def given_as(self, node: Node) -> str:
        """Return in words where a value comes from that was not computed."""
        return given_as(node, self.prepared)

    def operands_of(self, place: int) -> list[Array]:
        """Return the values of a node's operands."""
        return [self.values[source] for source in self.inputs[place]]

    def reads(self, place: int, index: Index) -> Sequence[Any]:
        """Return which elements of each operand made an element."""
        return self.op(place).reads(index, self.operands_of(place))

    def element(self, place: int, index: Index) -> Element:
        """Return an element with its value."""
        return Element(self.order[place], index, self.values[place][index].item())

    def read_elements(self, place: int, index: Index) -> tuple[Element, ...]:
        """Return the elements that made an element, one for each operand that gave exactly one."""
        found = []
        for source, entry in zip(self.inputs[place], self.reads(place, index), strict=True):
            shape = self.values[source].shape
            if entry is not None and count_of(entry, shape) == 1:
                found.append(self.element(source, cell_of(entry, shape)))
        return tuple(found)

    def why(self, place: int, index: Index) -> Why:
        """Return the equation of an element, and all that it read."""
        node, op = self.order[place], self.op(place)
        return explain(node, index, self.values[place], self.operands_of(place), op=op, given=self.given_as)

    def fresh(self, place: int, found: Array, marks: Sequence[Array]) -> Array:
        """Return which of the elements found read no marked one: where a value arises and is not passed on."""
        op, operands = self.op(place), self.operands_of(place)
        if not any(mark.any() for mark in marks):
            return found
        read = _reading(op, operands, marks, found.shape)
        if read is None:
            read = np.ones(found.shape, bool)  # elements beyond the limit count as passed on
            for index in map(tuple, np.argwhere(found)[:MOST_ASKED].tolist()):
                entries = op.reads(index, operands)
                read[index] = any(e is not None and np.any(m[e]) for e, m in zip(entries, marks, strict=True))
        return found & ~read

    def path_of(self, place: int, index: Index, i: int) -> tuple[Element, ...]:
        """Return the path upstream from the element of operand `i` that made an element; () if several did."""
        key = place, index, i
        if key not in self._paths:
            source, entry = self.inputs[place][i], self.reads(place, index)[i]
            array, cell = self.values[source], None
            if entry is not None and count_of(entry, array.shape) == 1:
                cell = cell_of(entry, array.shape)
            elif entry is not None:
                # Of several, follow the first NaN or inf.
                strange = ~np.isfinite(np.asarray(array[entry]).reshape(-1))
                cell = cell_of(entry, array.shape, int(strange.argmax())) if strange.any() else None
            self._paths[key] = () if cell is None else self.path(source, cell)
        return self._paths[key]

    def path(self, place: int, index: Index) -> tuple[Element, ...]:
        """Return an element and those upstream with the same magnitude, or NaN or inf as it is."""
        found = [self.element(place, index)]
        while not self.is_given(self.order[place]):
            key = place, index
            if key not in self._steps_upstream:
                self._steps_upstream[key] = self._upstream(place, index, found[-1].value)
            step = self._steps_upstream[key]
            if step is None:
                break
            place, index = step
            found.append(self.element(place, index))
        return tuple(found)

    def _upstream(self, place: int, index: Index, value: Number) -> tuple[int, Index] | None:
        op = self.op(place)
        if self.order[place].dtype.kind == "b":
            return None  # a comparison does not pass on what it compares
        if value and math.isfinite(value) and not (only_moves(op) or op.traits & _MAY_COPY):
            return None  # an operand of the same magnitude is a coincidence
        if math.isfinite(value) and isinstance(op, (Std, Var)):
            return None  # equal numbers have a deviation of 0; they need not be 0
        every = math.isfinite(value) and Trait.DECIDED_BY_ONE not in op.traits
        for i, (source, entry) in enumerate(zip(self.inputs[place], self.reads(place, index), strict=True)):
            if entry is None or not op.flows(i):
                continue
            array = self.values[source]
            same = _like(np.asarray(array[entry]), value)
            if value and every and Trait.ADDS_UP in op.traits and same.size > 1:
                continue
            if same.size and (same.all() if every else same.any()):
                return source, cell_of(entry, array.shape, int(np.argmax(same.reshape(-1))))
        return None

    # --- where a NaN or inf goes

    def _followed(self, through: Sequence[bool]) -> tuple[list[bool], list[bool]]:
        """Follow bad values through some nodes.

        Return for each node whether one of these reads it, and whether its bad values reach a fetch or the last of
        these.
        """
        count = len(self.order)
        read, goes_on = [False] * count, [False] * count
        for i in reversed(range(count)):
            goes_on[i] = self.bad[i] and (goes_on[i] or i in self.fetches)
            if through[i]:
                # A node that was not evaluated might have been bad.
                bad = self.values[i] is None or (self.bad[i] and (goes_on[i] or not read[i]))
                for source in self.inputs[i]:
                    read[source] = True
                    goes_on[source] |= bad
        return read, goes_on

    @cached_property
    def vanishes(self) -> list[bool]:
        """For each node, whether its bad values affect no result."""
        read, goes_on = self._followed([True] * len(self.order))
        return [r and not g for r, g in zip(read, goes_on, strict=True)]

    @cached_property
    def _followed_forward(self) -> tuple[list[bool], list[bool]]:
        return self._followed([node in self.forward_nodes for node in self.order])

    @property
    def seen(self) -> list[bool]:
        """For each node, whether its bad values affect a result of the forward pass."""
        return self._followed_forward[1]

    @cached_property
    def hidden(self) -> list[bool]:
        """For each node, whether it has bad values and the forward pass reads but hides them."""
        return [bad and r and not g for bad, r, g in zip(self.bad, *self._followed_forward, strict=True)]

    def hider(self, node: Node) -> Node | None:
        """Return the first node that keeps a node's bad values from going further."""
        seen, waiting = {node}, [node]
        while waiting:
            for user in self.readers(waiting.pop(0)):
                if user not in seen:
                    seen.add(user)
                    if self.bad[self.places[user]]:
                        waiting.append(user)
                    elif Trait.HIDES in user.op.traits:
                        return user
        return None

    def spoils_gradients(self, node: Node, hider: Node) -> bool:
        """Return whether the gradient of 0 that `hider` passes to a hidden bad value becomes NaN on its way to `node`.

        False where the run has gradients between the two: findings of their own say it then.
        """
        reached = self._reached_by_gradient(hider)
        if node not in reached:
            return False
        between, waiting = {node}, [node]
        while waiting:
            onward = [user for user in waiting.pop().users if user in reached and user not in between]
            between.update(onward)
            waiting += onward
        return self._differentiated.isdisjoint(between) and any(self._spoils(self.places[each]) for each in between)

    @cached_property
    def _differentiated(self) -> set[Node | None]:
        """The nodes whose gradients the run computes."""
        return {node.twin for node in self.order if node.phase == "backward"}

    def _reached_by_gradient(self, hider: Node) -> set[Node]:
        """Return the nodes with bad values that a gradient reaches from the node that hides them."""
        if hider not in self._bad_before:
            found = self._bad_before[hider] = set()
            waiting = [self.places[hider]]
            while waiting:
                place = waiting.pop()
                for i, source in enumerate(self.inputs[place]):
                    passes = self.order[place].op.differentiable and self.op(place).flows(i)
                    if passes and self.bad[source] and self.order[source] not in found:
                        found.add(self.order[source])
                        waiting.append(source)
        return self._bad_before[hider]

    @cached_property
    def _has_gradient(self) -> list[bool]:
        """For each node, whether a gradient passes it to a trained parameter, or to the feed if nothing is trained."""
        found: list[bool] = []
        trained = any(node.trainable for node in self.order)
        for place, node in enumerate(self.order):
            if node.op.is_variable:
                found.append(node.trainable if trained else is_float(node.dtype))
            else:
                flowing = (found[s] for i, s in enumerate(self.inputs[place]) if self.op(place).flows(i))
                found.append(node.op.differentiable and any(flowing))
        return found

    def _spoils(self, place: int) -> bool:
        """Return whether a gradient of 0 becomes NaN in the derivative of an operation."""
        if place not in self._gives_nan:
            self._gives_nan[place] = self._makes_nan_of_0(place)
        return self._gives_nan[place]

    def _makes_nan_of_0(self, place: int) -> bool:
        # A derivative is made of nodes: make them in another graph, to leave this one as it is.
        op, operands, graph = self.op(place), self.operands_of(place), Graph()
        inputs = [graph.placeholder(f"x{i}", x.shape, x.dtype) for i, x in enumerate(operands)]
        asked = [self._has_gradient[source] and op.flows(i) for i, source in enumerate(self.inputs[place])]
        wrt = list(compress(inputs, asked))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GraphnnWarning)
            try:
                result = op(*inputs, graph=graph)
                slopes = run(vjp({result: np.zeros(result.shape)}, wrt), dict(zip(inputs, operands, strict=True)))
            except GraphnnError:
                return False  # it has no derivative
        return any(np.isnan(slope).any() for slope in slopes)

    def after(self, changed: Mapping[Node, Array], nodes: Sequence[Node]) -> list[Array]:
        """Return the values that some nodes would have if others had these."""
        values = self.all_after(changed, nodes)
        return [values[self.places[node]] for node in nodes]

    def all_after(self, changed: Mapping[Node, Array], nodes: Iterable[Node]) -> list[Any]:
        """Return all values, by place, with those that some nodes need computed again as if others had these.

        State, feed and random numbers stay as they are: only what depends on what is changed is computed again.

        Raises
        ------
        CannotTry
            When the run was evaluated as often as it may be, or an operation fails.
        """
        if self.tried >= self.trials:
            raise CannotTry(f"the run was evaluated {self.tried} times already; thorough=True goes on")
        self.tried += 1
        values = list(self.values)
        for node, value in changed.items():
            values[self.places[node]] = value
        needed = self.ancestors(nodes).keys() & dependents(self.order, changed).difference(changed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GraphnnWarning)
            places = sorted(self.places[node] for node in needed)
            try:
                quietly(deque, evaluate(self.prepared, places, values), maxlen=0)
            except GraphnnError as error:
                raise CannotTry(f"with something changed, {error.reason}") from error
        return values

    def largest_in(self, node: Node) -> Element | None:
        """Return the finite element of largest magnitude; None if the value is empty or not of floats."""
        place = self.places[node]
        value: Array | None = self.values[place]
        if value is None or not value.size or not is_float(value.dtype):
            return None
        sizes = np.abs(value)
        sizes = np.where(np.isfinite(sizes), sizes, 0) if self.bad[place] else sizes
        return self.element(place, first_of(sizes))


def magnitude(value: Array) -> Any:
    """Return the largest absolute value of an array of floats, NaN if there is one, without an array of them."""
    return np.maximum(-value.min(initial=0.0), value.max(initial=0.0))


def _is_of_floats(node: Node) -> bool:
    """Whether a node is floats: what a loop gives is arrays of any dtype, in one."""
    return is_float(node.dtype) and not is_bundle(node)


def _like(numbers: Array, value: Number) -> Array:
    """Return which numbers have the magnitude of a value, or are NaN or inf as it is."""
    if math.isnan(value):
        return np.asarray(np.isnan(numbers))
    if math.isinf(value):
        return np.asarray(np.isinf(numbers))
    return np.asarray(np.abs(numbers) == abs(value)) if numbers.dtype.kind != "b" else np.asarray(numbers == value)


def count_of(entry: Any, shape: Index) -> int:
    """Return how many elements an entry of an operation's `reads` names."""
    return int(np.broadcast_to(np.False_, shape)[entry].size)


def cell_of(entry: Any, shape: Index, k: int = 0) -> Index:
    """Return the index of the k-th element that an entry of an operation's `reads` names, in its order."""
    if isinstance(entry, tuple) and len(entry) == len(shape) and all(isinstance(i, (int, np.integer)) for i in entry):
        return tuple(map(int, entry))
    return tuple(map(int, np.unravel_index(places_of(entry, shape).flat[k], shape))) if shape else ()


def only_moves(op: Op) -> bool:
    """Return whether an operation computes nothing: it moves, chooses or pads elements."""
    return op.rearranges or op.selects or op.name == "pad"


def _reading(op: Op, operands: Sequence[Array], marks: Sequence[Array], shape: Index) -> Array | None:
    """Return which elements of a result read a marked one; None if only `reads` can tell, one by one."""
    if op.elementwise:
        read = np.zeros(shape, bool)
        for mark in marks:
            read |= mark
        return read
    if isinstance(op, (Reduction, Norm)):
        return np.asarray(np.any(marks[0], axis=op.over(marks[0].ndim), keepdims=op.keepdims))
    if op.multilinear:
        read = np.zeros(shape, bool)
        for i, mark in enumerate(marks):
            factors = [np.ones(x.shape) for x in operands]
            factors[i] = mark.astype(float)
            read |= compute(op, *factors) > 0
        return read
    if op.linear:
        parts = [mark.astype(float) if op.flows(i) else operands[i] for i, mark in enumerate(marks)]
        return compute(op, *parts) > 0
    return None


def dependents(order: Sequence[Node], nodes: Iterable[Node]) -> set[Node]:
    """Return some nodes of a schedule, and all that depend on them."""
    found = set(nodes)
    for node in order:
        if not found.isdisjoint(node.inputs):
            found.add(node)
    return found


def before_constants(node: Node) -> Node:
    """Return the node before constants scaled or shifted it."""
    while Trait.SCALES in node.op.traits:
        others = [operand for operand in node.inputs if not operand.op.is_constant]
        if len(others) != 1 or (-1 in node.op.signs and node.inputs[0] is not others[0]):
            break
        node = others[0]
    return node


def _made_of_gradients(run: Evaluation) -> set[Node]:
    """Return what is computed from gradients of parameters and for no loss: updates that are written by hand."""
    derived = run.graph.cotangents.values()
    slopes = {each.of[p] for each in derived for p in run.updates if p in each.of} & run.places.keys()
    if not slopes:
        return set()
    losses = {node for given in run.graph.cotangents for node, _ in given if node in run.places}
    return dependents(run.order, slopes).difference(run.ancestors(losses))
