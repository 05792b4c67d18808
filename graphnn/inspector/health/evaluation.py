"""A whole run, every value kept, and what can be asked of it: what made an element, and where a bad one goes."""

from __future__ import annotations

import math
import warnings
from collections import deque
from functools import cached_property
from itertools import compress
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ...autograd import vjp
from ...errors import GraphnnError, GraphnnWarning
from ...execute.interpreter import run
from ...execute.loop import Prepared, evaluate
from ...graph import Constant, Graph, Parameter, Placeholder, Trait
from ...graph.quiet import quietly
from ...ops.base import Linear, Multilinear, Rearranging
from ...ops.choosing import Where
from ...ops.elementwise import Elementwise
from ...ops.linalg import Norm
from ...ops.reduce import Reduction, Std, Var
from ..why import explain, given_as
from .findings import Element, Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ...graph import Array, Node, Op
    from ..why import Index, Number, Why

_Part = TypeVar("_Part")
_PASSES_ON = Trait.HIDES | Trait.ADDS_UP | Trait.KEEPS_SIZE
"""What comes out of these may be what went in, but for its sign; of what adds up, if that is one number."""

LISTED = 4096
"""How many elements of one value are asked one by one what they read."""


class Evaluation:
    """An evaluation with every value kept, and what can be asked of it.

    Parameters
    ----------
    prepared : Prepared
    recorded : mapping of int to array
        Values that are not computed, by place: of operations that are not defined here.
    updates : mapping of Node to Node
        What a step makes of parameters.

    Attributes
    ----------
    graph : Graph
    order : list of Node
        The schedule. The place of a node in it is what the methods take.
    places : dict of Node to int
    values : list of array or None
        By place; None of what was not reached, as an operation failed.
    inputs : sequence of sequence of int
        The places of a node's operands.
    fetches : set of int
    updates : mapping of Node to Node
    failure : GraphnnError or None
        What an operation raised.
    found : list of Finding
        What other checks have found so far.
    """

    def __init__(
        self, prepared: Prepared, recorded: Mapping[int, Array] = {}, updates: Mapping[Node, Node] = {}
    ) -> None:
        program = prepared.program
        self.updates = updates
        self.found: list[Finding] = []
        self._parts: dict[Any, Any] = {}
        self.prepared = prepared
        self.graph = program.graph
        self.order, self.inputs = program.order, program.operands
        self.places = {node: i for i, node in enumerate(self.order)}
        self.fetches = set(program.fetches)
        self.values: list[Any] = [recorded.get(place) for place in range(len(self.order))]
        self.failure: GraphnnError | None = None
        self.count = len(recorded)
        warned = set(self.graph.caches.get("overflowed", ()))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GraphnnWarning)
            try:
                computed = [place for place in range(len(self.order)) if place not in recorded]
                quietly(self._compute, computed)
            except GraphnnError as error:
                self.failure = error
        self.graph.caches["overflowed"] = warned  # nobody has been warned: the report tells it
        self.bad = [
            value is not None and value.dtype.kind == "f" and not np.isfinite(value).all() for value in self.values
        ]
        self._ops: dict[int, Op] = {}
        self._behind: dict[Node, set[Node]] = {}
        self._spoilt: dict[int, bool] = {}
        self._paths: dict[tuple[int, Index, int], tuple[Element, ...]] = {}
        self._steps_upstream: dict[tuple[int, Index], tuple[int, Index] | None] = {}

    def _compute(self, places: Sequence[int]) -> None:
        for _ in evaluate(self.prepared, places, self.values):
            self.count += 1

    def part(self, kind: Callable[[Evaluation], _Part]) -> _Part:
        """Return what several checks share: `kind` of this run, made once."""
        if kind not in self._parts:
            self._parts[kind] = kind(self)
        found: _Part = self._parts[kind]
        return found

    # --- asking

    @cached_property
    def computed(self) -> list[tuple[int, Array]]:
        """The places and values of the floats that were computed, empty ones aside."""
        pairs = enumerate(zip(self.order, self.values, strict=True))
        return [
            (place, value)
            for place, (node, value) in pairs
            if value is not None and value.size and value.dtype.kind == "f" and not self.is_given(node)
        ]

    @cached_property
    def forward(self) -> list[tuple[int, Array]]:
        """Those of the forward pass."""
        return [(place, value) for place, value in self.computed if self._forward[place]]

    @cached_property
    def elementwise(self) -> list[Node]:
        """The elementwise operations of the forward pass, those with an empty value aside."""
        pairs = zip(self.order, self.values, strict=True)
        nodes = [node for node, value in pairs if value is not None and value.size and node.phase == "forward"]
        return [node for node in nodes if isinstance(node.op, Elementwise)]

    @cached_property
    def cotangents(self) -> set[Node]:
        """The nodes of the gradients that were asked for, and of those on their way."""
        return {slope for derived in self.graph.cotangents.values() for slope in derived.of.values()}

    @cached_property
    def scaled_by_the_loss(self) -> set[Node]:
        """The cotangents, and what is made of them in the backward pass."""
        found = set(self.cotangents)
        for node in self.order:
            if node.phase == "backward" and not found.isdisjoint(node.inputs):
                found.add(node)
        return found

    @cached_property
    def fed(self) -> set[Node]:
        """What depends on what is fed."""
        return made_of(self.order, self.prepared.program.placeholders)

    @cached_property
    def met_by_parameters(self) -> set[Node]:
        """What is made of these a trained parameter meets, in the forward pass."""
        found: set[Node] = set()
        for node in reversed(self.order):
            if node.phase == "forward" and (node in found or any(operand.trainable for operand in node.inputs)):
                found.update(node.inputs)
        return found

    def behind(self, nodes: Iterable[Node]) -> dict[Node, None]:
        """Return some nodes and what they are made of, in the order of the schedule."""
        needed = set(nodes)
        for node in reversed(self.order):
            if node in needed:
                needed.update(node.inputs)
        return dict.fromkeys(node for node in self.order if node in needed)

    def is_softmax(self, node: Node) -> bool:
        """Return whether a node is what comes out of a softmax."""
        scope = self.graph.scopes.get(node.scope)
        return node.op.name == "divide" and scope is not None and scope.kind.lower() == "softmax"

    def computed_of(self, place: int, operands: Sequence[Array]) -> Array:
        """Return what an operation makes of other operands, such as wider ones.

        It is asked by itself, and not by the loop that makes runs: that holds a result to its declared shape and
        dtype, and this one has others.
        """
        return np.asarray(self.op(place).forward(*operands))

    def op(self, place: int) -> Op:
        """Return the operation of a node, with numbers for its dimensions."""
        found = self._ops.get(place)
        if found is None:
            found = self._ops[place] = self.prepared.op_of(self.order[place])
        return found

    def is_given(self, node: Node) -> bool:
        """Return whether a node's value is not computed."""
        return self.prepared.binding.forwards[self.places[node]] is None

    def given_as(self, node: Node) -> str:
        """Return who gave a value that is not computed, in words."""
        return given_as(node, self.prepared)

    def operands_of(self, place: int) -> list[Array]:
        """Return what a node is computed from."""
        return [self.values[source] for source in self.inputs[place]]

    def reads(self, place: int, index: Index) -> Sequence[Any]:
        """Return what of each operand made an element."""
        return self.op(place).reads(index, self.operands_of(place))

    def element(self, place: int, index: Index) -> Element:
        return Element(self.order[place], index, self.values[place][index].item())

    def read_elements(self, place: int, index: Index) -> tuple[Element, ...]:
        """Return the operands' elements that made an element, of those that gave one each."""
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
        """Return which of the elements found read no marked one."""
        op, operands = self.op(place), self.operands_of(place)
        if not any(mark.any() for mark in marks):
            return found
        read = _reading(op, operands, marks, found.shape)
        if read is None:
            read = np.ones(found.shape, bool)  # of what is not asked it is not said that it is fresh
            for index in map(tuple, np.argwhere(found)[:LISTED].tolist()):
                entries = op.reads(index, operands)
                read[index] = any(e is not None and np.any(m[e]) for e, m in zip(entries, marks, strict=True))
        return found & ~read

    def path_of(self, place: int, index: Index, i: int) -> tuple[Element, ...]:
        """Return the way upstream from the element of operand `i` that made an element; () if that read several."""
        key = place, index, i
        if key not in self._paths:
            source, entry = self.inputs[place][i], self.reads(place, index)[i]
            array, cell = self.values[source], None
            if entry is not None and count_of(entry, array.shape) == 1:
                cell = cell_of(entry, array.shape)
            elif entry is not None:
                # Of many, the one to follow is that which is not like a number.
                strange = ~np.isfinite(np.asarray(array[entry]).reshape(-1))
                cell = cell_of(entry, array.shape, int(strange.argmax())) if strange.any() else None
            self._paths[key] = () if cell is None else self.path(source, cell)
        return self._paths[key]

    def path(self, place: int, index: Index) -> tuple[Element, ...]:
        """Return an element and those upstream that have the same value, or the same kind of bad one."""
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
            return None  # an answer is no copy of what was asked about
        if value and math.isfinite(value) and not (only_passes_on(op) or op.traits & _PASSES_ON):
            return None  # that an operand is as large is chance
        if math.isfinite(value) and isinstance(op, (Std, Var)):
            return None  # 0 of what is all alike, not of zeros
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

    # --- where a bad value goes

    @cached_property
    def _forward(self) -> list[bool]:
        return [node.phase == "forward" for node in self.order]

    def _followed(self, through: Sequence[bool]) -> tuple[list[bool], list[bool]]:
        """Return for each node whether nodes of these read it, and whether its bad values reach one or a fetch."""
        count = len(self.order)
        read, goes_on = [False] * count, [False] * count
        for i in reversed(range(count)):
            goes_on[i] = self.bad[i] and (goes_on[i] or i in self.fetches)
            if through[i]:
                # What was not evaluated could have been as bad.
                bad = self.values[i] is None or (self.bad[i] and (goes_on[i] or not read[i]))
                for source in self.inputs[i]:
                    read[source] = True
                    goes_on[source] |= bad
        return read, goes_on

    @cached_property
    def vanishes(self) -> list[bool]:
        """For each node whether its bad values come to nothing."""
        read, goes_on = self._followed([True] * len(self.order))
        return [r and not g for r, g in zip(read, goes_on, strict=True)]

    @cached_property
    def seen(self) -> list[bool]:
        """For each node whether its bad values go on in the forward pass."""
        return self._followed(self._forward)[1]

    @cached_property
    def hidden(self) -> list[bool]:
        """For each node whether it is read in the forward pass, and its bad values come to nothing there."""
        read, goes_on = self._followed(self._forward)
        return [self.bad[i] and read[i] and not goes_on[i] for i in range(len(self.order))]

    def hider(self, node: Node) -> Node | None:
        """Return the first node that keeps a node's bad values from going further."""
        seen, waiting = {node}, [node]
        while waiting:
            for user in waiting.pop(0).users:
                place = self.places.get(user)
                if place is None or user in seen or user.phase != "forward":
                    continue
                seen.add(user)
                if self.bad[place]:
                    waiting.append(user)
                elif Trait.HIDES in user.op.traits:
                    return user
        return None

    def spoils_gradients(self, node: Node, hider: Node) -> bool:
        """Return whether a gradient of 0, as what hides a node's bad values gives it, becomes NaN on its way there.

        Where the run has gradients of what is between, these tell.
        """
        reached = self._bad_behind(hider)
        if node not in reached:
            return False
        on_the_way, waiting = {node}, [node]
        while waiting:
            onward = [user for user in waiting.pop().users if user in reached and user not in on_the_way]
            on_the_way.update(onward)
            waiting += onward
        if not self._differentiated.isdisjoint(on_the_way):
            return False
        return any(self._spoils(self.places[each]) for each in on_the_way)

    @cached_property
    def _differentiated(self) -> set[Node | None]:
        """The nodes of which the run has gradients."""
        return {node.twin for node in self.order if node.phase == "backward"}

    def _bad_behind(self, hider: Node) -> set[Node]:
        """Return the nodes with bad values that a gradient comes to from what hides them."""
        found = self._behind.get(hider)
        if found is None:
            found = self._behind[hider] = set()
            waiting = [hider]
            while waiting:
                user = waiting.pop()
                place = self.places[user]
                for i, source in enumerate(self.inputs[place]):
                    operand = self.order[source]
                    passes = user.op.differentiable and self.op(place).flows(i)
                    if passes and self.bad[source] and operand not in found:
                        found.add(operand)
                        waiting.append(operand)
        return found

    @cached_property
    def _has_gradient(self) -> list[bool]:
        """For each node whether gradients pass through it, to what is trained; or fed, where nothing is trained."""
        found: list[bool] = []
        trained = any(node.trainable for node in self.order)
        for place, node in enumerate(self.order):
            if isinstance(node.op, (Parameter, Placeholder)):
                found.append(node.trainable if trained else node.dtype.kind == "f")
            else:
                flowing = (found[s] for i, s in enumerate(self.inputs[place]) if self.op(place).flows(i))
                found.append(node.op.differentiable and any(flowing))
        return found

    def _spoils(self, place: int) -> bool:
        """Return whether a cotangent of 0 gives an operand's NaN."""
        if place not in self._spoilt:
            self._spoilt[place] = self._makes_nan_of_0(place)
        return self._spoilt[place]

    def _makes_nan_of_0(self, place: int) -> bool:
        # A derivative is made of nodes. In a graph of its own, it leaves the graph of the run as it is.
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
        """Return what some nodes would be if others had these values."""
        values = list(self.values)
        for node, value in changed.items():
            values[self.places[node]] = value
        others, needed = made_of(self.order, changed), self.behind(nodes)
        places = [i for i, node in enumerate(self.order) if node in needed and node in others and node not in changed]
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", GraphnnWarning)
            deque(evaluate(self.prepared, places, values), maxlen=0)
        return [values[self.places[node]] for node in nodes]

    def largest_in(self, node: Node) -> Element | None:
        """Return the largest number of a value, by size, of those that are finite; None of what are no floats."""
        place = self.places[node]
        value: Array | None = self.values[place]
        if value is None or not value.size or value.dtype.kind != "f":
            return None
        sizes = np.where(np.isfinite(value), np.abs(value), 0)
        return self.element(place, tuple(map(int, np.unravel_index(int(np.argmax(sizes)), value.shape))))


def _like(numbers: Array, value: Number) -> Array:
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
    # An axis at a time, of stride 0 along the others: no array as large as the operand.
    axes = np.ogrid[tuple(map(slice, shape))] if shape else ()
    return tuple(int(np.asarray(np.broadcast_to(axis, shape)[entry]).flat[k]) for axis in axes)


def only_passes_on(op: Op) -> bool:
    """Return whether an operation computes nothing, but chooses and moves elements, or fills in what was meant."""
    return isinstance(op, (Rearranging, Where)) or op.name == "pad"


def _reading(op: Op, operands: Sequence[Array], marks: Sequence[Array], shape: Index) -> Array | None:
    """Return which elements of an operation's result read a marked one; None where they must be asked one by one."""
    if isinstance(op, Elementwise):
        read = np.zeros(shape, bool)
        for mark in marks:
            read |= mark
        return read
    if isinstance(op, (Reduction, Norm)):
        return np.asarray(np.any(marks[0], axis=op.over(marks[0].ndim), keepdims=op.keepdims))
    if isinstance(op, Multilinear):
        read = np.zeros(shape, bool)
        for i, mark in enumerate(marks):
            factors = [np.ones(x.shape) for x in operands]
            factors[i] = mark.astype(float)
            read |= np.asarray(op.forward(*factors)) > 0
        return read
    if isinstance(op, Linear):
        parts = [mark.astype(float) if op.flows(i) else operands[i] for i, mark in enumerate(marks)]
        return np.asarray(op.forward(*parts)) > 0
    return None


def made_of(order: Sequence[Node], nodes: Iterable[Node]) -> set[Node]:
    """Return some nodes of a schedule, and those that depend on them."""
    found = set(nodes)
    for node in order:
        if not found.isdisjoint(node.inputs):
            found.add(node)
    return found


def before_numbers(node: Node) -> Node:
    """Return what a node was before it was multiplied by plain numbers, or moved by them."""
    while Trait.SCALES in node.op.traits:
        others = [operand for operand in node.inputs if not isinstance(operand.op, Constant)]
        if len(others) != 1 or (node.op.name == "subtract" and node.inputs[0] is not others[0]):
            break
        node = others[0]
    return node
