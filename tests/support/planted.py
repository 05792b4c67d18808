"""Random graphs with one planted fault each, and the element where it must be found, known from NumPy alone.

The value of every node is also computed with NumPy, without graphnn: the fault is where that is first NaN or infinite.
All numbers before the fault are of moderate size; later nodes pass it on, hide it in a `where`, or drop it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import graphnn as gn

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass
class Value:
    """A node, with what it must be."""

    node: gn.Node
    array: Array

    def __post_init__(self) -> None:
        self.array = np.asarray(self.array).astype(self.node.dtype)


@dataclass
class Planted:
    """A graph to check.

    Attributes
    ----------
    node, index, code
        Where the fault is and its code; None in a graph without one.
    hidden : bool
        Whether a `where` keeps it out of the result.
    gradients : bool
        Whether gradients are among what is fetched.
    """

    number: int
    fetches: list[gn.Node]
    feed: dict[gn.Node, Array]
    node: gn.Node | None = None
    index: tuple[int, ...] = ()
    code: str = ""
    hidden: bool = False
    gradients: bool = False

    def __str__(self) -> str:
        where = f"{self.code} in {self.node.name}{list(self.index)}" if self.node is not None else "clean"
        return f"graph {self.number}: {where}, hidden {self.hidden}, gradients {self.gradients}"


@dataclass
class Builder:
    """A random graph that grows node by node."""

    rng: np.random.Generator
    dtype: Any
    graph: gn.Graph = field(init=False)
    values: list[Value] = field(default_factory=list)
    inputs: list[gn.Node] = field(default_factory=list)
    feed: dict[gn.Node, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.graph = gn.Graph(dtype=self.dtype)

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def pick(self, options: Sequence[Any]) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def shape(self, least: int = 0) -> tuple[int, ...]:
        return tuple(int(n) for n in self.rng.integers(1, 5, self.rng.integers(least, 4)))

    def array(self, shape: Sequence[int]) -> Array:
        return np.asarray(self.rng.uniform(-2, 2, shape)).astype(self.dtype)

    def given(self, array: Array) -> Value:
        """Feed an array, or make a parameter of it."""
        name = f"x{len(self.inputs)}"
        if self.chance(0.5):
            node = self.graph.placeholder(name, shape=array.shape)
            self.feed[node] = array
        else:
            node = self.graph.parameter(name, array)
        self.inputs.append(node)
        return Value(node, array)

    def fixed(self, array: Any) -> Value:
        array = np.asarray(array, self.dtype)
        return Value(self.graph.constant(array), array)

    def keep(self, value: Value) -> Value:
        self.values.append(value)
        return value

    # --- moderate numbers

    def grow(self) -> Value:
        """Make one more value out of those there are, with numbers of moderate size."""
        if len(self.values) < 2 or self.chance(0.15):
            return self.keep(self.given(self.array(self.shape())))
        v = self.pick(self.values)
        way = self.pick(MODERATE)
        if self.chance(0.3):
            with self.graph.scope(self.pick(["block", "head", "body"])):
                return self.keep(self.bounded(way(self, v)))
        return self.keep(self.bounded(way(self, v)))

    def bounded(self, v: Value) -> Value:
        if np.max(np.abs(v.array)) <= 4:
            return v
        return Value(gn.tanh(v.node), np.tanh(v.array))

    def beside(self, v: Value) -> Value:
        same = [other for other in self.values if other.array.shape == v.array.shape]
        return self.pick(same) if same and self.chance(0.7) else self.keep(self.given(self.array(v.array.shape)))


def _matmul(g: Builder, v: Value) -> Value:
    n = v.array.shape[-1] if v.array.ndim else 1
    w = g.given(g.array((n, 3)) / n)
    x, array = (v.node, v.array) if v.array.ndim else (gn.reshape(v.node, (1,)), v.array.reshape(1))
    return Value(x @ w.node, array @ w.array)


def _where(g: Builder, v: Value) -> Value:
    condition = g.rng.random(v.array.shape) < 0.5
    other = g.beside(v)
    node = gn.where(g.graph.constant(condition), v.node, other.node)
    return Value(node, np.where(condition, v.array, other.array))


def _softmax(g: Builder, v: Value) -> Value:
    powers = np.exp(v.array) if v.array.ndim else np.ones(1)
    x = v.node if v.array.ndim else gn.reshape(v.node, (1,))
    return Value(gn.softmax(x), powers / powers.sum(-1, keepdims=True))


def _sum(g: Builder, v: Value) -> Value:
    axis = int(g.rng.integers(v.array.ndim)) if v.array.ndim else None
    keepdims = g.chance(0.5)
    op, expect = g.pick([(gn.sum, np.sum), (gn.mean, np.mean), (gn.max, np.max)])
    return Value(op(v.node, axis=axis, keepdims=keepdims), np.asarray(expect(v.array, axis=axis, keepdims=keepdims)))


def _binary(op: Callable[..., gn.Node], expect: Callable[..., Array]) -> Callable[[Builder, Value], Value]:
    def way(g: Builder, v: Value) -> Value:
        other = g.beside(v)
        return Value(op(v.node, other.node), expect(v.array, other.array))

    return way


def _unary(op: Callable[..., gn.Node], expect: Callable[..., Array]) -> Callable[[Builder, Value], Value]:
    return lambda g, v: Value(op(v.node), np.asarray(expect(v.array)))


def _moved(g: Builder, v: Value) -> Value:
    shapes = [(v.array.size,), (*v.array.shape, 1), (1, *v.array.shape)]
    if g.chance(0.5):
        shape = g.pick(shapes)
        return Value(gn.reshape(v.node, shape), v.array.reshape(shape))
    return Value(gn.transpose(v.node), v.array.T)


MOVING = [
    _moved,
    _unary(lambda x: x * 0.5 + 1.0, lambda a: a * 0.5 + 1),
    _unary(gn.negative, np.negative),
    _unary(gn.absolute, np.abs),
]
MODERATE = [
    *MOVING,
    _matmul,
    _where,
    _softmax,
    _sum,
    _binary(gn.add, np.add),
    _binary(gn.multiply, np.multiply),
    _binary(gn.maximum, np.maximum),
    _unary(gn.tanh, np.tanh),
    _unary(gn.sin, np.sin),
    _unary(gn.relu, lambda a: np.maximum(a, 0)),
    _unary(gn.sigmoid, lambda a: 1 / (1 + np.exp(-a))),
    _unary(lambda x: gn.log(gn.softplus(x) + 0.1), lambda a: np.log(np.log1p(np.exp(a)) + 0.1)),
    _unary(lambda x: gn.sqrt(gn.square(x) + 0.5), lambda a: np.sqrt(np.square(a) + 0.5)),
    _unary(lambda x: 1.0 / (gn.exp(x) + 1.0), lambda a: 1 / (np.exp(a) + 1)),
]
"""Ways to make one value of another."""
PASSING = [*MOVING, _where, _sum, _binary(gn.add, np.add), _matmul, _unary(gn.relu, lambda a: np.maximum(a, 0))]
"""Those that pass a fault on."""


# --- faults -----------------------------------------------------------------------------------------------------

_Fault = Callable[[Builder, Value, Array], Value]
FAULTS: list[tuple[str, _Fault]] = []


def _fault(code: str) -> Callable[[_Fault], _Fault]:
    def register(fault: _Fault) -> _Fault:
        FAULTS.append((code, fault))
        return fault

    return register


def _except(g: Builder, at: Array, elsewhere: float, there: float) -> Value:
    """Return a constant that is one number at the chosen places, another elsewhere."""
    return g.fixed(np.where(at, there, elsewhere))


def _above(g: Builder, v: Value, at: Array, there: float) -> Value:
    """Return numbers above 0.5, times a factor at the chosen places."""
    factor = _except(g, at, 1.0, there)
    return Value((gn.absolute(v.node) + 0.5) * factor.node, (np.abs(v.array) + 0.5) * factor.array)


def _with(g: Builder, v: Value, at: Array, there: float) -> Value:
    """Return numbers with something added at the chosen places."""
    more = _except(g, at, 0.0, there)
    return Value(v.node + more.node, v.array + more.array)


def _of(op: Callable[..., gn.Node], expect: Callable[..., Array], *values: Value) -> Value:
    return Value(op(*[v.node for v in values]), np.asarray(expect(*[v.array for v in values])))


@_fault("log-of-zero")
def _log_0(g: Builder, v: Value, at: Array) -> Value:
    return _of(gn.log, np.log, _above(g, v, at, 0.0))


@_fault("log-of-zero")
def _log1p_of_minus_1(g: Builder, v: Value, at: Array) -> Value:
    x = _above(g, v, at, 0.0)
    return _of(gn.log1p, np.log1p, Value(x.node - 1.0, x.array - 1))


@_fault("log-of-negative")
def _log_of_negative(g: Builder, v: Value, at: Array) -> Value:
    return _of(gn.log, np.log, _above(g, v, at, -1.0))


@_fault("sqrt-of-negative")
def _sqrt_of_negative(g: Builder, v: Value, at: Array) -> Value:
    return _of(gn.sqrt, np.sqrt, _above(g, v, at, -1.0))


@_fault("power-domain")
def _root_of_negative(g: Builder, v: Value, at: Array) -> Value:
    return _of(lambda x: x**0.7, lambda a: a ** np.asarray(0.7, a.dtype), _above(g, v, at, -1.0))


@_fault("zero-over-zero")
def _zero_over_zero(g: Builder, v: Value, at: Array) -> Value:
    return _of(gn.divide, np.divide, _above(g, v, at, 0.0), _above(g, v, at, 0.0))


@_fault("division-by-zero")
def _division_by_zero(g: Builder, v: Value, at: Array) -> Value:
    return _of(gn.divide, np.divide, _above(g, v, at, 1.0), _above(g, v, at, 0.0))


@_fault("division-by-zero")
def _reciprocal_of_zero(g: Builder, v: Value, at: Array) -> Value:
    return _of(gn.reciprocal, np.reciprocal, _above(g, v, at, 0.0))


@_fault("division-by-zero")
def _zero_to_a_negative_power(g: Builder, v: Value, at: Array) -> Value:
    return _of(lambda x: x**-1.5, lambda a: a ** np.asarray(-1.5, a.dtype), _above(g, v, at, 0.0))


@_fault("zero-times-inf")
def _zero_times_inf(g: Builder, v: Value, at: Array) -> Value:
    return _of(gn.multiply, np.multiply, _above(g, v, at, 0.0), _except(g, at, 1.0, np.inf))


@_fault("zero-times-inf")
def _zero_times_inf_in_a_matrix(g: Builder, v: Value, at: Array) -> Value:
    rows = np.zeros((3, 2), bool)
    rows[int(g.rng.integers(3)), int(g.rng.integers(2))] = True
    x, w = _above(g, g.given(g.array((3, 2))), rows, 0.0), np.ones((2, 4))
    w[rows.any(0), int(g.rng.integers(4))] = np.inf
    return _of(gn.matmul, lambda a, b: np.einsum("ij,jk->ik", a, b), x, g.fixed(w))


@_fault("inf-minus-inf")
def _inf_minus_inf(g: Builder, v: Value, at: Array) -> Value:
    return _of(gn.subtract, np.subtract, _with(g, v, at, np.inf), _except(g, at, 1.0, np.inf))


@_fault("inf-minus-inf")
def _inf_minus_inf_in_a_sum(g: Builder, v: Value, at: Array) -> Value:
    both = np.zeros((3, 4), bool)
    row = int(g.rng.integers(3))
    both[row, 1] = True
    x = _with(g, _with(g, g.given(g.array((3, 4))), both, np.inf), np.roll(both, 1, axis=1), -np.inf)
    return _of(lambda x: gn.sum(x, axis=1), lambda a: a.sum(axis=1), x)


@_fault("inf-over-inf")
def _inf_over_inf(g: Builder, v: Value, at: Array) -> Value:
    return _of(gn.divide, np.divide, _with(g, v, at, np.inf), _except(g, at, 1.0, np.inf))


@_fault("undefined-at-inf")
def _sine_of_inf(g: Builder, v: Value, at: Array) -> Value:
    return _of(gn.sin, np.sin, _with(g, v, at, np.inf))


@_fault("overflow")
def _exp_of_much(g: Builder, v: Value, at: Array) -> Value:
    return _of(gn.exp, np.exp, _with(g, v, at, 1000.0))


@_fault("overflow")
def _square_of_much(g: Builder, v: Value, at: Array) -> Value:
    large = float(np.finfo(g.dtype).max) ** 0.6
    return _of(gn.square, np.square, _above(g, v, at, large))


@_fault("overflow")
def _cast_to_float16(g: Builder, v: Value, at: Array) -> Value:
    return _of(lambda x: gn.cast(x, "float16"), lambda a: a.astype(np.float16), _above(g, v, at, 1e6))


@_fault("overflow")
def _sum_of_much(g: Builder, v: Value, at: Array) -> Value:
    row = np.zeros((4, 3), bool)
    row[int(g.rng.integers(4))] = True
    large = float(np.finfo(g.dtype).max) * 0.5
    x = _with(g, g.given(g.array((4, 3))), row, large)
    return _of(lambda x: gn.sum(x, axis=-1), lambda a: a.sum(axis=-1), x)


@_fault("overflow")
def _matmul_of_much(g: Builder, v: Value, at: Array) -> Value:
    large = float(np.finfo(g.dtype).max) ** 0.6
    cell = np.zeros((3, 2), bool)
    cell[int(g.rng.integers(3)), 1] = True
    w = np.ones((2, 4))
    w[1, int(g.rng.integers(4))] = large
    return _of(gn.matmul, np.matmul, _above(g, g.given(g.array((3, 2))), cell, large), g.fixed(w))


@_fault("fed-nan")
def _fed_nan(g: Builder, v: Value, at: Array) -> Value:
    return g.given(np.where(at, np.nan, v.array).astype(g.dtype))


@_fault("fed-inf")
def _infinite_parameter(g: Builder, v: Value, at: Array) -> Value:
    array = np.where(at, np.inf, v.array).astype(g.dtype)
    node = g.graph.parameter("grown", array)
    g.inputs.append(node)
    return Value(node, array)


@_fault("empty-reduction")
def _mean_of_nothing(g: Builder, v: Value, at: Array) -> Value:
    x = g.given(g.array((3, 2)))
    return Value(gn.mean(x.node[:, 2:], axis=1), np.full(3, np.nan, g.dtype))


# --- the whole --------------------------------------------------------------------------------------------------


def clean(number: int, seed: int = 0) -> Planted:
    """Return a graph without a fault."""
    return _made(number, seed, None)


def planted(number: int, seed: int = 0) -> Planted:
    """Return a graph with a fault; the number decides which."""
    return _made(number, seed, FAULTS[number % len(FAULTS)])


def _made(number: int, seed: int, fault: tuple[str, _Fault] | None) -> Planted:
    rng = np.random.default_rng([seed, number, fault is None])
    g = Builder(rng, np.float32 if rng.random() < 0.3 else np.float64)
    for _ in range(int(rng.integers(3, 12))):
        g.grow()
    made = Planted(number, [], g.feed)
    ends = []
    if fault is not None:
        made.code, plant = fault
        with np.errstate(all="ignore"):
            ends.append(_plant(g, made, plant))
    for _ in range(int(rng.integers(1, 6))):
        g.grow()
    loose = [v for v in g.values if not v.node.users] or g.values[-1:]
    total: gn.Node | None = None
    for v in [*loose, *ends]:
        part = gn.mean(v.node) if v.array.ndim else v.node
        part = part if part.dtype == g.dtype else gn.cast(part, np.dtype(g.dtype).name)
        total = part if total is None else total + part
    assert total is not None
    made.fetches = [total]
    reaches = [node for node in g.inputs if node.users]
    if g.chance(0.6) and reaches:
        made.gradients = True
        made.fetches += gn.grad(total, reaches)
    return made


def _plant(g: Builder, made: Planted, plant: _Fault) -> Value:
    v = g.pick(g.values)
    at = np.zeros(v.array.shape, bool)
    at[tuple(int(g.rng.integers(n)) for n in v.array.shape)] = True
    if g.chance(0.5):
        with g.graph.scope("planted"):
            bad = plant(g, v, at)
    else:
        bad = plant(g, v, at)
    wrong = ~np.isfinite(bad.array)
    assert wrong.any(), "the fault makes no NaN or inf"
    # Beside a NaN, an inf was only passed on.
    first = np.isnan(bad.array) if np.isnan(bad.array).any() else wrong
    made.node, made.index = bad.node, tuple(int(i) for i in np.argwhere(first)[0])
    if made.code.startswith("fed"):  # a `where` right behind it would make it a missing value, which is intended
        bad = Value(bad.node * 0.5, bad.array * np.asarray(0.5, bad.array.dtype))
    if g.chance(0.35):
        made.hidden = True
        node = gn.where(g.graph.constant(~wrong), bad.node, g.graph.constant(np.asarray(0.25, bad.array.dtype)))
        bad = Value(node, np.where(wrong, 0.25, bad.array).astype(bad.array.dtype))
    for _ in range(int(g.rng.integers(0, 4))):
        if bad.array.dtype == g.dtype:
            bad = g.pick(PASSING)(g, bad)
    return bad
