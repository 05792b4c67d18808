"""Tests for gradients and for operations of one's own: `check_grads`, `check_op`, and what they draw from."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np

from .autograd import jvp, vjp
from .calls import offer
from .errors import (
    DtypeError,
    GradientError,
    GraphnnError,
    GraphnnWarning,
    NoRuleError,
    ShapeError,
    UsageError,
    ValueRangeError,
)
from .execute.feed import Feed, checked_feed, prepare
from .execute.interpreter import run, steps
from .execute.loop import evaluate
from .graph import Array, Graph, Node, Op, Spec
from .graph.attributes import whole
from .graph.dimensions import shown
from .graph.fetches import ancestors, resolve

_T = TypeVar("_T")
_Interval = tuple[float, float]

# A step is used where the finite difference can be trusted: the first is exact for what is smooth, the last fits
# between the kinks of a wide layer.
_STEPS = (1e-3, 1e-4, 1e-5, 1e-6)
# As parts of those: the steps that must agree before a derivative is called wrong.
_OTHER_STEPS = (0.61, 0.37, 0.1)
# How many directions may be spent on finding out which elements of one node stand at a kink.
_MOST_DIRECTIONS = 256
_EPS = float(np.finfo(np.float64).eps)
# What a value may be off by, relative to its size, after many operations.
_ROUNDING = 250 * _EPS
# How many times as much a slope may be off by: what is not smooth may be hidden where rounding is all that is seen.
_UNSEEN = 4
# How often it is measured what the rounding of each node does to a result, and how many times that it may be off by.
_NUDGES, _TIMES_NUDGED = 4, 16.0
# By how many last bits each value is changed then: of a single one, much would be rounded away again.
_LAST_BITS = 1024.0


class Draw:
    """Random shapes and arrays, for the `samples` of an operation.

    Parameters
    ----------
    rng : numpy.random.Generator
    dtype : dtype
        Of the arrays.

    Examples
    --------
    >>> draw = Draw(np.random.default_rng(0))
    >>> draw.array((2,), 0.0, 1.0).shape
    (2,)
    """

    def __init__(self, rng: np.random.Generator, dtype: Any = np.float64) -> None:
        self.rng = rng
        self.dtype = np.dtype(dtype)

    def integer(self, lo: int, hi: int) -> int:
        """Return an integer from `lo` to `hi`, both included; every choice of shape goes through here."""
        return int(self.rng.integers(lo, hi, endpoint=True))

    def choice(self, options: Sequence[_T]) -> _T:
        """Return one of the options."""
        return options[self.integer(0, len(options) - 1)]

    def shape(self, min_ndim: int = 0, max_ndim: int = 3, min_side: int = 0, max_side: int = 4) -> tuple[int, ...]:
        """Return a shape; sides of 0 are rarer than others."""
        sides = [max(min_side, self.integer(0, max_side)) for _ in range(self.integer(min_ndim, max_ndim))]
        return tuple(side or self.integer(min_side, max(min_side, 1)) for side in sides)

    def array(self, shape: Sequence[int], lo: float = -3.0, hi: float = 3.0) -> Array:
        """Return numbers from `lo` to `hi`: truncated if they are integers, without sign if unsigned."""
        numbers = np.asarray(self.rng.uniform(lo, hi, tuple(shape)))
        if self.dtype.kind == "b":
            return np.asarray(numbers > (lo + hi) / 2)
        return np.asarray(np.abs(numbers) if self.dtype.kind == "u" else numbers).astype(self.dtype)

    def integers(self, shape: Sequence[int], lo: int, hi: int) -> Array:
        """Return int64 numbers from `lo` to `hi`, both included."""
        return np.asarray(self.rng.integers(lo, hi, tuple(shape), endpoint=True))

    def broadcastable(self, count: int, domain: Sequence[_Interval] = ((-3.0, 3.0),)) -> tuple[Array, ...]:
        """Return arrays that broadcast with each other, each from its interval of the domain."""
        whole = self.shape()
        arrays = []
        for i in range(count):
            shape = [1 if count > 1 and self.integer(0, 4) == 0 else side for side in whole]
            if count > 1 and self.integer(0, 3) == 0:
                shape = shape[self.integer(0, len(shape)) :]
            arrays.append(self.array(shape, *domain[min(i, len(domain) - 1)]))
        return tuple(arrays)

    def axis(self, ndim: int) -> int:
        """Return an axis of an array of `ndim` axes, counted from either end."""
        return self.integer(-ndim, ndim - 1)

    def axes(self, ndim: int) -> int | tuple[int, ...] | None:
        """Return None, an axis, or some of them."""
        if ndim == 0 or self.integer(0, 3) == 0:
            return None
        if self.integer(0, 1):
            return self.axis(ndim)
        return tuple(axis - ndim * self.integer(0, 1) for axis in range(ndim) if self.integer(0, 1))


@dataclass(frozen=True)
class GradientReport:
    """How much a check of gradients has covered.

    Attributes
    ----------
    checked : int
        Elements of what was differentiated by whose derivatives are right.
    left_out : int
        Elements at a kink or too near to one, where finite differences say nothing.
    """

    checked: int
    left_out: int


def check_grads(
    fetch: Any,
    feed: Feed | None = None,
    wrt: Any = None,
    order: int = 1,
    modes: Iterable[str] = ("vjp", "jvp"),
    rtol: float = 1e-6,
    rng: int | np.random.Generator = 0,
) -> GradientReport:
    """Compare the gradients of a graph with finite differences; raise an error that names the node that is wrong.

    Parameters
    ----------
    fetch : Node, str, or list, tuple or dict of them
        What to differentiate; of any shape.
    feed : mapping of Node or str to array_like
        Where to do so.
    wrt : Node, str, or list, tuple or dict of them, optional
        What to differentiate by; unless given, all trainable parameters that the fetch needs.
    order : int
        2 also compares the gradients of the gradients.
    modes : sequence of str
        ``"vjp"``, ``"jvp"`` or both, also upon each other.
    rtol : float
        How exact a derivative in one direction must be, relative to the sizes it adds up from.
    rng : int or numpy.random.Generator
        Of the random directions.

    Returns
    -------
    GradientReport
        How many elements were checked, and how many left out because they stand at a kink.

    Raises
    ------
    GradientError
        When a gradient is wrong: with the node whose own rule is wrong at the values it had, its operation, the
        operand, the user's line, and what was expected and got. It is an AssertionError, too.
    NoRuleError
        When an operation has no rule for one of the modes.
    DtypeError
        When a node is no float.
    ValueRangeError
        When nothing could be checked: `order` is below 1, there are no elements, all are at kinks, or what comes out
        is not finite.

    Notes
    -----
    The check runs on a copy in float64, whatever the graph's dtype, so the graph gains no nodes. What passes no
    gradient (`stop_gradient`, comparisons, integers) is held at the value it has; of what it is differentiated by,
    one node moves and the others are held. Derivatives are projected on
    random directions; the finite differences are central ones with a Richardson step. Where they do not settle
    as they do for a smooth function, the direction is halved until the elements that are to blame stand alone.

    How far rounding alone moves the result is measured: every value on the way to it is changed in its last bit. No
    difference below that counts as a fault. Where it hides what `rtol` asks for, as it does once a loss is small
    beside the numbers that it is made of, each node's own rule is checked by itself at the values that it has.

    Examples
    --------
    >>> g = Graph()
    >>> x = g.placeholder("x", shape=3)
    >>> check_grads(x * abs(x), {x: [1.0, -2.0, 3.0]}, wrt=x, order=2)
    GradientReport(checked=3, left_out=0)
    >>> check_grads(abs(x), {x: [1.0, 0.0, 3.0]}, wrt=x)
    GradientReport(checked=2, left_out=1)
    """
    order = whole("order=", order, 1)
    graph, results, _ = resolve(fetch, others=feed or ())
    if wrt is None:
        needed = ancestors(results)
        nodes = [node for node in graph.parameters if node in needed]
        if not nodes:
            raise UsageError(f'"{results[0].name}" needs no trainable parameter: say wrt=')
    else:
        nodes = list(dict.fromkeys(resolve(wrt, graph)[1]))
        if not nodes:
            raise ValueRangeError("nothing could be checked: wrt= is empty")
    for node in (*results, *nodes):
        if node.dtype.kind != "f":
            raise DtypeError(f'"{node.name}" is {node.dtype}; only floats have gradients')
    settings = _Settings.of(modes, rtol, rng)
    case = _copied(graph, results, nodes, feed)
    fed = checked_feed(graph, feed)[0].values()
    if fed and not any(array.size for array in fed):
        raise ValueRangeError("nothing could be checked: all that is fed is empty")
    report = _checked(case, order, settings)
    if not report.checked:
        raise ValueRangeError(f"nothing could be checked: {_why_nothing(case, report.left_out)}")
    return report


def check_op(
    op_class: type[Op],
    examples: int = 25,
    order: int = 2,
    modes: Iterable[str] = ("vjp", "jvp"),
    rng: int = 0,
) -> GradientReport:
    """Test an operation on operands that its `samples` draw: what comes out against `infer`, and its gradients.

    Parameters
    ----------
    op_class : type
        A subclass of `Op` with `samples`.
    examples : int
    order : int
        Up to which gradients are compared with finite differences.
    modes : sequence of str
        ``"vjp"``, ``"jvp"`` or both, as `check_grads` takes them: of an operation without a rule for the one, the
        other is checked.
    rng : int
        The seed of the draws.

    Returns
    -------
    GradientReport
        Of all examples together.

    Raises
    ------
    ShapeError, DtypeError
        When `infer` says another shape or dtype than comes out.
    GradientError
        When a gradient is wrong, or none of a differentiable operation could be checked.
    NoRuleError
        When the operation has no rule for one of the modes.
    UsageError, ValueRangeError
        When it is no class of operations, no number of examples, or no mode.

    Examples
    --------
    >>> from graphnn.graph import operation
    >>> check_op(operation("tanh"), examples=5).left_out
    0
    """
    order = whole("order=", order, 1)
    if not (isinstance(op_class, type) and issubclass(op_class, Op)):
        raise UsageError(f"what is checked is a class of operations, such as operation('tanh'), not {op_class!r}")
    examples = whole("examples=", examples, 1)
    modes = _Settings.of(modes, 1e-6, 0).modes
    checked = left_out = tried = 0
    for example in range(examples):
        generator = np.random.default_rng([rng, example])
        op, arrays = op_class.samples(Draw(generator))
        _check_infer(op, arrays)
        case, flowing = _case_of(op, arrays)
        if not flowing:
            continue
        tried += 1
        if generator.integers(2):  # the others are then constants, which have no tangents
            case = case._replace(wrt=[case.wrt[generator.integers(len(flowing))]])
        report = _checked(case, order, _Settings.of(modes, 1e-6, generator))
        checked += report.checked
        left_out += report.left_out
    if tried and not checked:
        raise GradientError(
            f'nothing of "{op_class.name}" could be checked: in {examples} examples all operands are empty or at kinks'
        )
    return GradientReport(checked, left_out)


def _why_nothing(case: _Case, left_out: int) -> str:
    if not left_out:
        return "all by which is differentiated is empty"
    if not all(np.isfinite(value).all() for value in _values(case, case.outputs, dict(case.feed))):
        return "what comes out is not finite"
    return f"all elements, {left_out:,}, are left out, since they stand at kinks or their derivatives are not finite"


def _check_infer(op: Op, arrays: Sequence[Array]) -> None:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", GraphnnWarning)
        value = np.asarray(op.forward(*arrays))
    said = op.infer(*[Spec(array.shape, array.dtype) for array in arrays])
    given = " and ".join(f"{shown(array.shape)} {array.dtype}" for array in arrays) or "nothing"
    told = f"{op!r} of {given}: infer says {said}, and {shown(value.shape)} {value.dtype} comes out"
    if value.shape != said.shape:
        raise ShapeError(told)
    if value.dtype != said.dtype:
        raise DtypeError(told)


# --- what is checked ------------------------------------------------------------------------------------------


class _Settings(NamedTuple):
    modes: tuple[str, ...]
    rtol: float
    rng: np.random.Generator

    @classmethod
    def of(cls, modes: Iterable[str], rtol: float, rng: int | np.random.Generator) -> _Settings:
        chosen = (modes,) if isinstance(modes, str) else tuple(modes)
        if not chosen or not set(chosen) <= {"vjp", "jvp"}:
            raise UsageError(f'modes are "vjp" and "jvp", not {chosen}')
        return cls(chosen, rtol, np.random.default_rng(rng))


class _Case(NamedTuple):
    """Placeholders of a graph, and what is computed from them at the values they are fed."""

    outputs: list[Node]
    wrt: list[Node]
    feed: dict[Node, Array]
    sizes: Mapping[str, int] = {}
    kind: str = ""
    """The mode that made the outputs, where they are derivatives already."""
    source: _Case | None = None
    """Of what they are the derivatives."""
    alone: bool = False
    """Whether it is one node with its operands, or derivatives of it."""


def _flowing(node: Node) -> list[int]:
    """Return the operands from which a derivative passes through a node."""
    if not node.op.differentiable or node.dtype.kind != "f":
        return []
    return [i for i, operand in enumerate(node.inputs) if operand.dtype.kind == "f" and node.op.flows(i)]


def _copied(graph: Graph, results: Sequence[Node], wrt: Sequence[Node], feed: Feed | None) -> _Case:
    """Return a copy, in float64, of what derivatives pass through; the rest is fed with the values it has."""
    values = {step.node: step.value for step in steps([*results, *wrt], feed, graph=graph)}
    target = Graph(graph.name)
    copies: dict[Node, Node] = {}
    held: dict[Node, Node] = {}
    given: dict[Node, Array] = {}
    moved = set(wrt)

    def fed(node: Node, name: str) -> Node:
        value = values[node]
        value = value.astype(np.float64) if value.dtype.kind == "f" else value
        with target.in_scope(None, origin=node.origin, inherit_origin=True):
            placeholder = target.placeholder(name, node.shape, value.dtype)
        given[placeholder] = value
        return placeholder

    def constant(node: Node) -> Node:
        if node not in held:
            held[node] = fed(node, target.free_name(f"{node.name} (held)") if node in copies else node.name)
        return held[node]

    for node in values:
        flowing = _flowing(node)
        if node in moved:
            copies[node] = fed(node, node.name)
        elif any(node.inputs[i] in copies for i in flowing):
            inputs = [
                copies[operand] if i in flowing and operand in copies else constant(operand)
                for i, operand in enumerate(node.inputs)
            ]
            with target.in_scope(None, origin=node.origin, inherit_origin=True):
                copies[node] = target.add(_in_float64(node.op), inputs, node.name)
    outputs = [copies[node] if node in copies else constant(node) for node in dict.fromkeys(results)]
    sizes = {name: size for name, size in checked_feed(graph, feed)[1].items() if name.isidentifier()}
    return _Case(outputs, [copies[node] for node in wrt], given, sizes)


def _in_float64(op: Op) -> Op:
    return replace(op, dtype="float64") if op.attributes.get("dtype") in ("float16", "float32") else op  # type: ignore[type-var]


def _case_of(op: Op, arrays: Sequence[Array]) -> tuple[_Case, list[int]]:
    """Return a graph of one operation, and which operands it is differentiated by."""
    graph, op = Graph(op.name), _in_float64(op)
    names = [f"{op.operands[0]}_{i}" for i in range(len(arrays))] if op.variadic else op.operands
    inputs = [graph.placeholder(name, x.shape, x.dtype) for name, x in zip(names, arrays, strict=True)]
    node = graph.add(op, inputs)
    flowing = _flowing(node)
    return _Case([node], [inputs[i] for i in flowing], dict(zip(inputs, arrays, strict=True)), alone=True), flowing


# --- checking ---------------------------------------------------------------------------------------------------


class _Mismatch(Exception):
    """A derivative that is wrong: of which function, by which node, and how."""

    def __init__(self, case: _Case, level: int, mode: str, node: Node | None, found: str) -> None:
        super().__init__(found)
        self.case, self.level, self.mode, self.node, self.found = case, level, mode, node, found


def _checked(case: _Case, order: int, settings: _Settings) -> GradientReport:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GraphnnWarning)  # that a derivative is zeros is no news here
        try:
            left_out = _examined(case, case.wrt, order, settings)
        except _Mismatch as mismatch:
            raise _blamed(mismatch, settings) from None
    return GradientReport(sum(case.feed[node].size for node in case.wrt) - len(left_out), len(left_out))


def _examined(case: _Case, first: list[Node], order: int, settings: _Settings) -> set[tuple[Node, int]]:
    """Compare the derivatives by the nodes `first`, and those of them by all; return the elements left out.

    Raises
    ------
    _Mismatch
        When one is wrong.
    GradientError
        When rounding hides whether one is, and the rule of a node is wrong.
    """
    left_out: set[tuple[Node, int]] = set()
    cases = [case._replace(wrt=first)]
    for level in range(1, order + 1):
        derived = [each for one in cases for each in _compared(one, level, settings, left_out)]
        cases = [each._replace(wrt=case.wrt) for each in derived]
    return left_out


def _compared(case: _Case, level: int, settings: _Settings, left_out: set[tuple[Node, int]]) -> list[_Case]:
    """Compare the first derivatives of one case; return them as cases of their own."""
    derivatives = _Derivatives(case, level, settings)
    hidden = False
    for node in case.wrt:
        point, found, spent = case.feed[node], "", 0
        pending = [np.array([i for i in range(point.size) if (node, i) not in left_out], int)]
        while pending:
            support = pending.pop()
            if not support.size:
                continue
            spent += 1
            direction = np.zeros(point.shape)
            direction.flat[support] = _signs(settings.rng, support.shape) * np.maximum(1.0, np.abs(point.flat[support]))
            judged = derivatives.judged(node, direction)
            if judged is None:
                if support.size == 1 or spent > _MOST_DIRECTIONS:
                    left_out.update((node, int(i)) for i in support)
                else:
                    pending += np.array_split(support, 2)
                continue
            hidden |= judged.hidden
            if judged.wrong:
                # On to the halves, for as long as one of them is wrong by itself.
                found, wrong = _told(point, support, direction, judged.expected, judged.got), judged.wrong
                pending = np.array_split(support, 2) if support.size > 1 else []
        if found:
            raise _Mismatch(case, level, wrong, node, found)
    hidden |= derivatives.unsteady
    if hidden and not case.alone and (fault := _fault_of_a_node(case, settings)) is not None:
        raise GradientError(fault)
    return derivatives.cases


class _Judged(NamedTuple):
    """What a derivative in one direction is found to be."""

    expected: float
    got: float
    wrong: str
    """The mode of it, if it is wrong."""
    hidden: bool
    """Whether it is off by more than it may be, and no more than rounding has it be."""


class _Derivatives:
    """The first derivatives of one case, by each mode, and how far from finite differences they are.

    Raises
    ------
    _Mismatch
        When they cannot be made or evaluated.
    """

    def __init__(self, case: _Case, level: int, settings: _Settings) -> None:
        graph, rng = case.wrt[0].graph, settings.rng
        self.case, self.modes, self.rtol = case, settings.modes, settings.rtol
        values = _values(case, case.outputs, case.feed)
        self.weights = {node: _signs(rng, value.shape) for node, value in zip(case.outputs, values, strict=True)}
        self.rounding = _ROUNDING * _total(self.weights.values(), values)
        cotangents = {node: graph.placeholder(graph.free_name("cotangent"), node.shape) for node in case.outputs}
        self.tangents = {node: graph.placeholder(graph.free_name("tangent"), node.shape) for node in case.wrt}
        self.feed = case.feed | {cotangents[node]: weight for node, weight in self.weights.items()}
        self.feed |= {tangent: _signs(rng, case.feed[node].shape) for node, tangent in self.tangents.items()}
        self.nodes: dict[str, list[Node]] = {}
        self.pulled: list[Array] = []
        self.unsteady = False
        """Whether finite differences said that a derivative is wrong, and not all of them did."""
        self.cases: list[_Case] = []
        """The derivatives as cases of their own."""
        mode = ""
        try:
            for mode in self.modes:
                made = vjp(cotangents, case.wrt) if mode == "vjp" else jvp(case.outputs, self.tangents)
                self.nodes[mode] = made
                derived = list(dict.fromkeys(made))
                self.cases.append(case._replace(outputs=derived, feed=self.feed, kind=mode, source=case))
                values = _values(case, made, self.feed)
                if mode == "vjp":
                    self.pulled = values
        except NoRuleError:
            raise
        except GraphnnError as error:
            raise _Mismatch(case, level, mode, None, f"it fails: {error}") from None

    def judged(self, node: Node, direction: Array) -> _Judged | None:
        """Return how the derivatives along a direction compare, or None where there is a kink."""
        slope = _slope(self.case, self.weights, node, direction, self.rtol, 0.0)
        got: dict[str, float] = {}
        if slope is not None:
            expected, tolerance, rounding = slope
            got = {mode: self._got(mode, node, direction) for mode in self.modes}
            if rounding <= tolerance and all(abs(each - expected) <= tolerance for each in got.values()):
                return _Judged(expected, expected, "", False)
        elif self._noise <= self.rounding:
            return None
        # Rounding may do more than one sees from the size of the outputs.
        slope = _slope(self.case, self.weights, node, direction, self.rtol, self._noise)
        if slope is None:
            return None
        expected, tolerance, rounding = slope
        hidden = rounding > tolerance
        for mode in self.modes:
            each = got[mode] if got else self._got(mode, node, direction)
            if not abs(each - expected) <= tolerance + rounding:
                off = self._off(mode, node, direction)
                hidden |= off > tolerance
                if not abs(each - expected) <= tolerance + rounding + off:
                    if not self._is_steady(node, direction, expected, each):
                        self.unsteady = True
                        return None
                    return _Judged(expected, each, mode, hidden)
        return _Judged(expected, expected, "", hidden)

    def _is_steady(self, node: Node, direction: Array, expected: float, got: float) -> bool:
        """Return whether other steps tell the same slope: with a kink between, they agree by chance alone."""
        for scale in _OTHER_STEPS:
            slope = _slope(self.case, self.weights, node, direction, self.rtol, self._noise, scale)
            if slope is None or abs(slope[0] - expected) > abs(got - expected) / 2:
                return False
        return True

    def _got(self, mode: str, node: Node, direction: Array) -> float:
        if mode == "vjp":
            return float(np.sum(self.pulled[self.case.wrt.index(node)] * direction))
        moved = _values(self.case, self.nodes[mode], self._along(node, direction))
        return sum(float(np.sum(w * t)) for w, t in zip(self.weights.values(), moved, strict=True))

    def _off(self, mode: str, node: Node, direction: Array) -> float:
        """Return by how much rounding may have a derivative be off."""
        if mode == "vjp":
            place = self.case.wrt.index(node)
            return _TIMES_NUDGED * max(_total([direction], [draw[place]]) for draw in self._pulled_off)
        draws = _rounded_off(self.case, self.nodes[mode], self._along(node, direction))
        return _TIMES_NUDGED * max(_total(self.weights.values(), draw) for draw in draws)

    def _along(self, node: Node, direction: Array) -> dict[Node, Array]:
        still = {tangent: np.zeros_like(self.feed[tangent]) for tangent in self.tangents.values()}
        return self.feed | still | {self.tangents[node]: direction}

    @cached_property
    def _noise(self) -> float:
        """By how much rounding may have the weighted outputs be off."""
        draws = _rounded_off(self.case, self.case.outputs, self.case.feed)
        return _TIMES_NUDGED * max(_total(self.weights.values(), draw) for draw in draws)

    @cached_property
    def _pulled_off(self) -> list[list[Array]]:
        return _rounded_off(self.case, self.nodes["vjp"], self.feed)


def _values(case: _Case, nodes: Sequence[Node], feed: dict[Node, Array]) -> list[Array]:
    values: list[Array] = run(list(nodes), feed, sizes=case.sizes)
    return values


def _rounded_off(case: _Case, nodes: Sequence[Node], feed: Mapping[Node, Array]) -> list[list[Array]]:
    """Return by how much some values move, once a draw, if all that they are made of is off in its last bit.

    Each operation then gives the exact result of operands that are nearly right, which is what rounding does to it.
    What jumps, as a comparison does, stays as it is.
    """
    prepared = prepare(case.wrt[0].graph, list(nodes), feed, case.sizes)
    order, fetches = prepared.program.order, prepared.program.fetches
    smooth = {node for node in order if node.dtype.kind == "f" and node.op.differentiable}
    moving = set(case.wrt)
    for node in order:
        if not moving.isdisjoint(node.inputs):
            moving.add(node)
    exact: list[Any] = [None] * len(order)
    found = []
    with np.errstate(all="ignore"):
        deque(evaluate(prepared, None, exact), maxlen=0)
        for draw in range(_NUDGES):
            rng, nudged = np.random.default_rng(draw), list(exact)
            for place, node, _, value in evaluate(prepared, [i for i, n in enumerate(order) if n in moving], nudged):
                nudge = _LAST_BITS * _EPS * rng.uniform(-1, 1, value.shape) if node in smooth else None
                nudged[place] = exact[place] if nudge is None else np.asarray(value * (1 + nudge))
            found.append([(nudged[i] - exact[i]) / _LAST_BITS for i in fetches])
    return found


def _total(weights: Iterable[Array], off: Iterable[Array]) -> float:
    """Return by how much a weighted sum moves at most; what is not finite says nothing."""
    with np.errstate(all="ignore"):
        moved = [np.abs(w * d) for w, d in zip(weights, off, strict=True)]
    return sum(float(np.sum(each, where=np.isfinite(each))) for each in moved)


def _signs(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Return numbers that are neither small nor large, of either sign."""
    return np.asarray(rng.choice([-1.0, 1.0], shape) * rng.uniform(0.5, 1.0, shape))


def _slope(
    case: _Case,
    weights: Mapping[Node, Array],
    node: Node,
    direction: Array,
    rtol: float,
    noise: float,
    scale: float = 1.0,
) -> tuple[float, float, float] | None:
    """Return the weighted outputs' slope along a direction, or None where there is a kink.

    With it, how exact it is to be, and what more it is off by for rounding: `noise` is that of the outputs.
    """
    point = case.feed[node]

    def terms(step: float) -> Array:
        values = _values(case, case.outputs, {**case.feed, node: point + step * direction})
        return np.concatenate([np.ravel(w * v) for w, v in zip(weights.values(), values, strict=True)])

    here = terms(0.0)
    with np.errstate(all="ignore"):
        for step in [scale * step for step in _STEPS]:
            ahead, behind, soon, lately = terms(step), terms(-step), terms(step / 2), terms(-step / 2)
            wide, narrow = (ahead - behind) / (2 * step), (soon - lately) / step
            slope = (4 * narrow - wide) / 3
            # How far the one-sided slopes part: of what is smooth, half as far at half the step.
            bend, half_bend = (ahead - 2 * here + behind) / step, (soon - 2 * here + lately) / (step / 2)
            doubt = np.sum(np.abs(slope - narrow)) + np.sum(np.abs(bend - 2 * half_bend))
            tolerance = rtol * float(np.sum(np.abs(slope)))
            rounding = (_ROUNDING * float(np.sum(np.abs(here))) + noise) / step
            if doubt <= tolerance / 4 + rounding:
                return float(np.sum(slope)), tolerance, _UNSEEN * rounding
    return None


def _told(point: Array, support: Array, direction: Array, expected: float, got: float) -> str:
    where = " in a random direction"
    if support.size == 1:
        expected, got = expected / direction.flat[support[0]], got / direction.flat[support[0]]
        index = tuple(int(i) for i in np.unravel_index(support[0], point.shape))
        where = f" at {index}" if index else ""
    return f"the derivative{where} is {expected:.10g} by finite differences, got {got:.10g}"


# --- blaming ----------------------------------------------------------------------------------------------------


def _blamed(mismatch: _Mismatch, settings: _Settings) -> GradientError:
    """Return the error of a wrong derivative, with the node whose own rule is wrong at the values it had."""
    case = mismatch.case
    fault = _fault_of_a_node(case, settings)
    if fault is not None:
        return GradientError(fault)
    by = f' with respect to "{mismatch.node.name}"' if mismatch.node is not None else ""
    names = ", ".join(f'"{node.name}"' for node in case.outputs[:4])
    return GradientError(
        f"the {mismatch.mode} of {names}{by} is wrong: {mismatch.found}. Each node's own rule is right at the values "
        "it has here, so they are put together wrongly, or a kink is near"
    )


def _fault_of_a_node(case: _Case, settings: _Settings) -> str | None:
    """Return what is wrong with the own rule of the first node of which something is, at the values it had."""
    order, within = 1, case
    while True:
        for step in steps(within.outputs, within.feed, sizes=within.sizes):
            fault = _own_fault(step.node, step.operands, order, within.sizes, settings)
            if fault is not None:
                return fault
        if within.source is None:
            return None
        # These nodes were made by rules, which may be right by themselves and wrong once more differentiated.
        within, order = within.source, order + 1


def _own_fault(
    node: Node, operands: Sequence[Array], order: int, sizes: Mapping[str, int], settings: _Settings
) -> str | None:
    """Return what is wrong with a node's own rule, checked by itself on its own operands."""
    if not _flowing(node):
        return None
    case, flowing = _case_of(node.op.bound(sizes), operands)
    for first in _alone_and_together(case.wrt):
        try:
            _examined(case, first, order, settings)
        except _Mismatch as wrong:
            by = wrong.node if wrong.level == 1 and wrong.node is not None else first[0]
            position = flowing[case.wrt.index(by)]
            operand = node.inputs[position]
            twin = f', for "{node.twin.name}"' if node.twin is not None else ""
            rule = wrong.mode if wrong.level == 1 else f"{wrong.case.kind}'s own derivative"
            shape = shown(operands[position].shape)
            return (
                f'the {rule} of "{node.name}" ({node.op.name}{twin}, made at {node.origin}) is wrong for operand '
                f'{position}, "{operand.name}" {shape}: {wrong.found}'
            )
    return None


def _alone_and_together(nodes: list[Node]) -> Iterator[list[Node]]:
    for node in nodes:
        yield [node]
    if len(nodes) > 1:
        yield nodes


offer(globals())
