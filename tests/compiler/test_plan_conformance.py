"""Plan against interpreter, to the bit: every operation, and random graphs with gradients and updates.

`tests/fuzz/fuzz_plans.py` compares many more of both.
"""

import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import pytest
import test_ops
from everywhere import PLANS
from places import present
from random_graphs import build, large_graph, random_graph
from test_ops import OPS

import graphnn as gn
from graphnn import Compiled, Op, nn
from graphnn.compiler.ir_values import lying
from graphnn.compiler.thresholds import Settings
from graphnn.ops import matmul_kernels
from graphnn.testing import Draw

Array = np.ndarray[Any, np.dtype[Any]]

FLOATS = ["float64", "float64", "float32", "float32", "float16"]
DTYPES = [*FLOATS, "int64", "int32", "int8", "uint8", "bool"]
USUAL = Settings()
SMALL = Settings(spread_from=2, spread_to=12, masked=3, tall=0, large=16, written_over=16, table=0)
SPECIAL = [0.0, -0.0, -0.0, 1.0, np.nan, np.inf, -np.inf]
RARE = [5e-324, -1e-310, 1e-41, -6e-8, 7e4, -3e7, 1e20, -1e38, 1e300]
"""Denormal in one dtype or another, or large."""


# --- what is compared -------------------------------------------------------------------------------------------


def bits(array: Array) -> tuple[Any, ...]:
    """Return all of an array that counts; every NaN is one."""
    plain = np.where(np.isnan(array), np.asarray(np.nan, array.dtype), array) if array.dtype.kind == "f" else array
    return array.shape, array.dtype, np.ascontiguousarray(plain).tobytes()


class Outcome(NamedTuple):
    """What a call has come to: results and the state after it, or the error."""

    results: tuple[Any, ...]
    state: tuple[Any, ...]
    error: tuple[Any, ...] | None

    def against(self, other: "Outcome", names: Sequence[str]) -> list[str]:
        """Return what differs."""
        if self.error != other.error:
            return [f"error {self.error} against {other.error}"]
        pairs = zip((*names, *self.state), (*self.results, *self.state), (*other.results, *other.state), strict=False)
        return [f"{name}: {_shown(a)} against {_shown(b)}" for name, a, b in pairs if a != b]


def _shown(found: tuple[Any, ...]) -> str:
    if len(found) != 3:
        return str(found)
    shape, dtype, data = found
    return f"{shape} {dtype} {np.frombuffer(data, dtype).reshape(shape).tolist()}"[:400]


def outcome(step: gn.compiler.compile.Compiled, feed: Mapping[Any, Any]) -> Outcome:
    """Return what a call comes to, warnings aside."""
    results: tuple[Any, ...] = ()
    error = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gn.errors.GraphnnWarning)
        try:
            results = tuple(bits(result) for result in step(feed))
        except gn.GraphnnError as raised:
            stopped = raised.stopped
            place = stopped.prepared.program.order[stopped.position].name if hasattr(stopped, "position") else None
            error = type(raised), str(raised), place
    state = tuple((node.name, *bits(value)) for node, value in step.graph.state.items())
    return Outcome(results, state, error)


def differences(
    fetches: Sequence[gn.Node],
    feeds: Sequence[Mapping[Any, Any]],
    updates: Mapping[gn.Node, gn.Node] | None = None,
    settings: Settings = USUAL,
    backend: str | None = None,
) -> list[str]:
    """Return where a plan differs from the interpreter, over calls one after the other; the usual backend's if None."""
    fetches = list(fetches)
    graph = fetches[0].graph
    before = dict(graph.state)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gn.errors.GraphnnWarning)
        one, other = Compiled(fetches, updates, "interpreter"), Compiled(fetches, updates, backend, settings=settings)
    right = [outcome(one, feed) for feed in feeds]
    graph.state.update(before)
    names = [node.name for node in fetches]
    told = []
    for number, (feed, expected) in enumerate(zip(feeds, right, strict=True)):
        told += [f"call {number}: {line}" for line in expected.against(outcome(other, feed), names)]
        if told:
            break
    return told


@contextmanager
def small_is_large() -> Iterator[Settings]:
    """Yield settings by which a plan does with small arrays what else it does with large ones; so do products."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matmul_kernels, "limits", matmul_kernels.Limits(block=24, few=3, short=2))
        if present("native"):
            thread_parts: Any = import_module("graphnn.native.thread_parts")
            patch.setattr(thread_parts, "limits", thread_parts.Limits(times=3, bytes=1, made=1))
            patch.setattr(thread_parts, "_LINE", 3)
        yield SMALL


def differences_by_number(
    number: int,
    fetches: Sequence[gn.Node],
    feeds: Sequence[Mapping[Any, Any]],
    updates: Mapping[gn.Node, gn.Node] | None = None,
    backend: str | None = None,
) -> list[str]:
    """Return where a plan differs: of every other number, one that takes small arrays for large; on up to 3 threads."""
    if number % 2:
        with small_is_large() as settings:
            return differences(fetches, feeds, updates, replace(settings, threads=1 + number % 3), backend)
    return differences(fetches, feeds, updates, backend=backend)


# --- feeds ------------------------------------------------------------------------------------------------------


def laid_out(array: Array, way: int) -> Any:
    """Return the same numbers in another layout, or a list of them."""
    if way < 5:
        return test_ops.laid_out(array.copy() if way == 4 else array, way)
    if way == 5:
        return array.astype(array.dtype.newbyteorder(">"))
    if way == 6 and array.size:
        return np.broadcast_to(array.flat[0], array.shape)
    if way == 7:
        raw = np.zeros(array.nbytes + 1, np.uint8)
        odd = raw[1:].view(array.dtype).reshape(array.shape)
        odd[...] = array
        return odd
    return array


def wild(rng: np.random.Generator, array: Array) -> Array:
    """Return the array with some special values put in."""
    if array.dtype.kind != "f" or not array.size:
        return array
    special = SPECIAL if rng.random() < 0.6 else RARE
    with np.errstate(over="ignore", under="ignore"):
        array = array.copy()
        most = 4 if rng.random() < 0.5 else min(array.size, 20)
        for _ in range(int(rng.integers(1, most, endpoint=True))):
            array.flat[rng.integers(array.size)] = rng.choice(special)
        return array if rng.random() < 0.8 else np.full_like(array, rng.choice(special))


# --- random graphs ----------------------------------------------------------------------------------------------


def drawn_step(seed: int, number: int) -> tuple[list[gn.Node], list[dict[Any, Any]], dict[gn.Node, gn.Node] | None]:
    """Draw fetches, feeds for three calls, and updates or none."""
    rng = np.random.default_rng([seed, number])
    dtype = rng.choice(["float64", "float64", "float32", "float16"])
    recipe = random_graph(rng, dtype=dtype)
    graph = gn.Graph(dtype=dtype)
    built = build(recipe, graph)
    fetches = [built.result]
    updates: dict[gn.Node, gn.Node] | None = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gn.errors.GraphnnWarning)
        gradients = gn.grad(built.result, built.inputs)
        if graph.parameters and rng.random() < 0.6:
            make = [
                lambda: nn.SGD(0.1),
                lambda: nn.SGD(0.1, momentum=0.9),
                lambda: nn.Adam(0.01),
                lambda: nn.AdamW(0.01, clip_norm=1.0),
                lambda: nn.RMSProp(0.01, clip_value=0.5),
            ]
            updates = make[rng.integers(len(make))]().updates(built.result)
    if rng.random() < 0.8:
        fetches += list(gradients)
    others = [node for node in graph if rng.random() < 0.15]
    fetches += others
    fetches += fetches[:1] if rng.random() < 0.1 else []
    feeds: list[dict[Any, Any]] = []
    for call in range(3):
        plain = call == 2 and rng.random() < 0.6  # as a step takes it at once
        feed: dict[Any, Any] = {}
        for node, value in built.feed.items():
            given = (
                value
                if call == 0 or rng.random() < 0.3
                else np.asarray(rng.permutation(value.ravel())).reshape(value.shape)
            )
            given = wild(rng, given) if call == 1 and rng.random() < 0.5 else given
            key = node if plain or rng.random() < 0.7 else node.name
            feed[key] = laid_out(given, 0 if plain else int(rng.integers(0, 9)))
        feeds.append(feed)
    return fetches, feeds, updates


def random_graph_differences(seed: int, number: int, backend: str | None = None) -> list[str]:
    """Return where the plan of a random graph differs from the interpreter."""
    return differences_by_number(number, *drawn_step(seed, number), backend)


def large_graph_differences(seed: int, number: int, backend: str | None = None) -> list[str]:
    """Return where the plan of a random graph of large arrays, and of its gradients, differs from the interpreter."""
    graph = gn.Graph()
    built = build(large_graph(seed, number), graph)
    gradients = gn.grad(built.result, built.inputs)
    rng = np.random.default_rng([seed, number, 4])
    feeds = [built.feed, {node: laid_out(wild(rng, x), int(rng.integers(0, 9))) for node, x in built.feed.items()}]
    trained = {x: x - 0.1 * slope for x, slope in zip(built.inputs, gradients, strict=True) if x in graph.parameters}
    return differences([built.result, *gradients], feeds, trained if rng.random() < 0.5 else None, backend=backend)


@pytest.mark.parametrize("part", range(3))
def test_plans_of_random_graphs_are_the_interpreter_to_the_bit(part: int) -> None:
    for number in range(60 * part, 60 * (part + 1)):
        assert not random_graph_differences(0, number), f"graph {number}"


# --- every operation --------------------------------------------------------------------------------------------


class Mixed(Draw):
    """Draws of many dtypes, with special values."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__(rng)
        self.main = np.dtype(self.choice(DTYPES))
        self.wild = self.integer(0, 2) == 0
        self.larger = self.integer(0, 3) == 0

    def shape(self, min_ndim: int = 0, max_ndim: int = 3, min_side: int = 0, max_side: int = 4) -> tuple[int, ...]:
        shape = super().shape(min_ndim, max_ndim, min_side, max_side)
        # Sums of eight and more are added up by pairs.
        return tuple(side + self.choice([0, 0, 9]) if side else side for side in shape) if self.larger else shape

    def array(self, shape: Sequence[int], lo: float = -3.0, hi: float = 3.0) -> Array:
        self.dtype = self.main if self.integer(0, 4) else np.dtype(self.choice(DTYPES))
        array = super().array(shape, lo, hi)
        return wild(self.rng, array) if self.wild else array

    def integers(self, shape: Sequence[int], lo: int, hi: int) -> Array:
        dtype = self.choice(["int64", "int64", "int32", "int8", *(["uint8", "uint64"] if lo >= 0 else [])])
        return super().integers(shape, lo, hi).astype(dtype)


class Stage:
    """A graph in which operands come in every way that a plan could take them."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.graph = gn.Graph()
        self.feed: dict[Any, Array] = {}
        self.kept: list[gn.Node] = []
        """What is read once more, after the operation."""

    def fed(self, array: Array) -> gn.Node:
        node = self.graph.placeholder(f"p{len(self.feed)}", array.shape, array.dtype)
        self.feed[node] = array
        return node

    def computed(self, array: Array) -> gn.Node:
        """Return a node that a plan writes to the arena."""
        node = self.fed(array)
        for _ in range(2):
            node = gn.logical_not(node) if array.dtype.kind == "b" else gn.subtract(0, node)
        return node

    def operand(self, array: Array, plainly: bool) -> gn.Node:
        """Return a node whose value is the array, or a slice of it repeated."""
        way = int(self.rng.integers(0, 14)) if not plainly else int(self.rng.integers(0, 3))
        source = self.computed if self.rng.random() < 0.6 else self.fed
        if way == 0:
            return self.fed(array)
        if way == 1:
            return self.graph.constant(array)
        if way == 2:
            return self.graph.parameter(f"w{len(self.graph)}", array)
        if way == 3:
            node = self.computed(array)
            self.kept.append(node)
            return node
        if way in (4, 5):
            order = tuple(int(axis) for axis in self.rng.permutation(array.ndim))
            turned = np.array(np.transpose(array, np.argsort(order)), order="C")
            return gn.transpose(source(turned), order)
        if way == 6 and array.ndim:
            wide = np.repeat(array, 2, axis=0)
            return source(wide)[::2]
        if way == 7 and array.ndim:
            wide = np.concatenate([array, array], -1)
            return source(wide)[..., array.shape[-1] :]
        if way == 8:
            return gn.flip(source(np.array(np.flip(array), order="C")))
        if way == 9:
            return gn.reshape(source(array.reshape(-1)), array.shape)
        if way in (10, 11) and array.ndim and array.size:
            axis = int(self.rng.integers(array.ndim))
            one = np.take(array, [0], axis)
            return gn.broadcast_to(source(one) if way == 10 else self.graph.constant(one), array.shape)
        if way == 12 and array.size:
            return gn.broadcast_to(source(array.reshape(-1)[:1].reshape(())), array.shape)
        return self.computed(array)


def op_differences(cls: type[Op], rng: np.random.Generator, backend: str | None = None) -> list[str] | None:
    """Return where a plan with one operation differs from the interpreter; None where it cannot be built."""
    draw = Mixed(rng)
    op, arrays = cls.samples(draw)
    stage = Stage(rng)
    plainly = rng.random() < 0.15
    operands = [stage.operand(np.asarray(array), plainly) for array in arrays]
    if len(operands) > 1 and operands[0].spec == operands[-1].spec and rng.random() < 0.1:
        operands[-1] = operands[0]
    try:
        node = op(*operands, graph=stage.graph)
    except gn.GraphnnError:
        return None
    fetches = [node] if rng.random() < 0.4 else []
    fetches += stage.kept
    after = node
    if node.dtype.kind == "f":
        after = node * 1.5 if rng.random() < 0.5 else gn.sin(node)
        loss = gn.sum(after * gn.cos(after)) if rng.random() < 0.5 else gn.sum(after, axis=0 if after.ndim else None)
        fetches += [loss]
        if node.ndim and rng.random() < 0.3:  # which goes by how the result itself lies in memory
            weights = stage.fed(rng.normal(size=node.shape).astype(node.dtype))
            letters = "ijklmn"[: node.ndim]
            fetches += [gn.einsum(f"{letters},{letters}->", node, weights)]
        inputs = [p for p in (*stage.feed, *stage.graph.parameters) if p.dtype.kind == "f"]
        if inputs and rng.random() < 0.5:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", gn.errors.GraphnnWarning)
                fetches += gn.grad(gn.sum(loss), inputs)
    else:
        fetches += [gn.equal(node, 1), gn.sum(node)]
    ways = 9, 9 if rng.random() < 0.5 else 1  # the second feed as a step takes it at once, or not
    feeds = [{n: laid_out(a, int(rng.integers(0, most))) for n, a in stage.feed.items()} for most in ways]
    if rng.random() < 0.5:
        with small_is_large() as settings:
            return differences(fetches, feeds, settings=settings, backend=backend)
    return differences(fetches, feeds, backend=backend)


@pytest.mark.parametrize("cls", OPS, ids=lambda cls: cls.name)
def test_a_plan_of_each_operation_is_the_interpreter_to_the_bit(cls: type[Op]) -> None:
    compared = 0
    for number in range(20):
        found = op_differences(cls, np.random.default_rng([number, 7]))
        assert not found, f"draw {number}: {found}"
        compared += found is not None
    assert compared > 6


def layout_differences(cls: type[Op], rng: np.random.Generator) -> list[str] | None:
    """Return where what a plan takes for the layout of a value is not that of a run; None where it cannot be built."""
    op, arrays = cls.samples(Mixed(rng))
    stage = Stage(rng)
    operands = [stage.operand(np.asarray(array), False) for array in arrays]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gn.errors.GraphnnWarning)
        try:
            node = op(*operands, graph=stage.graph)
            taken = gn.compile(node).plan(stage.feed)._lowering.of
            values = {step.node: step.value for step in gn.steps(node, stage.feed)}
        except gn.GraphnnError:
            return None
    told = []
    for one, value in taken.items():
        run = values.get(one)
        if value.strides is not None and run is not None:
            planned, laid = (lying(run.shape, strides) for strides in (value.strides, run.strides))
            told += [f"{one}: {planned} planned, {laid} in a run"] if planned != laid else []
    return told


@pytest.mark.parametrize("cls", OPS, ids=lambda cls: cls.name)
def test_what_a_plan_takes_for_a_layout_is_that_of_a_run(cls: type[Op]) -> None:
    # The last bits of sums and products go by it.
    compared = 0
    for number in range(20):
        found = layout_differences(cls, np.random.default_rng([number, 9]))
        assert not found, f"draw {number}: {found}"
        compared += found is not None
    assert compared > 4


def test_a_view_of_half_floats_that_are_repeated_lies_as_in_a_run() -> None:
    g = gn.Graph()
    repeated = gn.broadcast_to(g.constant(np.ones((1,), np.float16)), (11,))
    node = gn.expand_dims(repeated, -1)
    taken = gn.compile([node]).plan({})._lowering.of
    values = {step.node: step.value for step in gn.steps([node])}
    for one, value in taken.items():
        assert value.strides is None or lying(one.shape, value.strides) == lying(one.shape, values[one].strides)


@pytest.mark.parametrize("backend", PLANS)
def test_what_is_tiled_once_lies_in_order(backend: str) -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", (1, 3, 2)), g.placeholder("y", (3, 3, 2))
    for repeated in (gn.broadcast_to(-x, (3, 3, 2)), gn.transpose(-y, (1, 0, 2))):
        tiled = gn.tile(repeated, (1,))
        rng = np.random.default_rng(0)
        feeds = [{x: rng.normal(size=x.shape), y: rng.normal(size=y.shape)} for _ in range(20)]
        assert not differences([gn.einsum("ijk,ijk->", tiled, y)], feeds, backend=backend)


@pytest.mark.parametrize("backend", PLANS)
def test_one_element_gives_the_same_bits_wherever_it_steps(backend: str) -> None:
    # NumPy computes some functions otherwise backwards, or over long steps, of an array of one element, too.
    for function in (gn.cosh, gn.sinh, gn.arcsin, gn.arccos, gn.exp, gn.log, gn.tan):
        g = gn.Graph()
        x, y = g.placeholder("x", (1,)), g.placeholder("y", (4, 1))
        nodes = [function(x), function(y[2]), function(y)]
        step = gn.compile(nodes, backend=backend)
        for number in np.random.default_rng(0).uniform(0.1, 0.9, 20):
            line, column = np.full(600_001, number), np.full((4, 1), number)
            right = [bits(found) for found in gn.run(nodes, {x: line[:1].copy(), y: column})]
            lines = line[:1], line[:1][::-1], line[::600_000][1:], line[0][None], np.broadcast_to(line[0], (1,))
            columns = column, column[:, ::-1], column[:, 0][:, None]
            for one, other in itertools.product(lines, columns):
                assert [bits(found) for found in step({x: one, y: other})] == right
                assert [bits(found) for found in gn.run(nodes, {x: one, y: other})] == right


@pytest.mark.parametrize("backend", PLANS)
def test_what_shows_one_element_of_a_result_whose_layout_is_unknown(backend: str) -> None:
    g = gn.Graph()
    x, y, z = g.placeholder("x", (1, 1)), g.placeholder("y", (1, 1)), g.placeholder("z", (1,))
    shown = gn.broadcast_to(gn.einsum("ab,ab,b->ab", x, y, z), (3, 2))
    ones = {node: np.full(node.shape, 0.3) for node in (x, y, z)}
    assert not differences([shown + 1.0, gn.flip(shown)], [ones], backend=backend)


@pytest.mark.parametrize("backend", PLANS)
def test_long_products_with_what_lies_in_an_unknown_order_go_block_by_block(backend: str) -> None:
    g = gn.Graph()
    x, y, z = g.placeholder("x", (9000, 8)), g.placeholder("y", (9000, 3)), g.placeholder("z", (3,))
    rng = np.random.default_rng(0)
    feed = {node: rng.normal(size=node.shape) for node in (x, y, z)}
    assert not differences([x.T @ gn.einsum("ab,ab,b->ab", y, y, z)], [feed], backend=backend)


@pytest.mark.parametrize("backend", PLANS)
def test_the_two_copies_of_one_array_that_a_contraction_makes_are_two(backend: str) -> None:
    g = gn.Graph(dtype="float32")
    x = g.placeholder("x", (40, 34))
    feed = {x: np.random.default_rng(0).normal(size=x.shape).astype(np.float32)}
    spread = x[:, ::2]
    assert not differences([gn.einsum("ab,cb->ac", spread, spread)], [feed], backend=backend)


LARGE = [cls for cls in OPS if cls.elementwise or issubclass(cls, gn.ops.reductions.UfuncReduction)]


@pytest.mark.parametrize("cls", LARGE, ids=lambda cls: cls.name)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "bool"])
def test_large_arrays_are_the_interpreters_to_the_bit(cls: type[Op], dtype: str) -> None:
    assert not large_differences(cls, dtype)


def large_differences(cls: type[Op], dtype: str, backend: str | None = None) -> list[str]:
    """Return where a plan of one operation on large arrays differs from the interpreter."""
    rng = np.random.default_rng(0)
    op, operands = cls.samples(Draw(rng))
    graph = gn.Graph()
    shape = (301, 257)  # of more than one block
    nodes, feed = [], {}
    for i in range(len(operands)):
        array = Draw(rng, dtype).array(shape, 0.25, 3.0)
        if array.dtype.kind == "f":
            array[rng.random(shape) < 0.05] *= -1
            array[rng.random(shape) < 0.05] = rng.choice(SPECIAL)
            array[rng.random(shape) < 0.05] = rng.choice(SPECIAL)
        if array.dtype.kind == "i" and op.name in ("power", "floor_divide", "remainder"):
            array = np.abs(array) + 1
        node = graph.placeholder(f"p{i}", shape, array.dtype)
        feed[node] = array
        nodes.append(node if i else gn.absolute(node) if array.dtype.kind == "f" else node)
    try:
        node = op(*nodes)
    except gn.GraphnnError:
        return []
    after = gn.cast(node, "float64") if node.dtype.kind != "f" else node
    fetches = [node, gn.sum(gn.sin(after * 1.5) + after), gn.sum(gn.tanh(after), -1)]
    return differences(fetches, [feed, feed], backend=backend)
