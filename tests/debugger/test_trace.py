"""A trace holds what a run gave, and comes back from a file as it was; from a file that lies, an error does."""

import builtins
import copy
import doctest
import functools
import gc
import io
import json
import linecache
import math
import random
import statistics
import tokenize
import tracemalloc
import warnings
import weakref
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forging import lively, overwrite
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from random_graphs import build, random_graphs
from test_files import mutated
from test_time_travel import bits, spiral_step

import graphnn as gn
from graphnn import Op, Spec, Trace, nn
from graphnn.core import registry
from graphnn.debugger.traces import (
    SMALL,
    VERSION,
    Condensed,
    Statistics,
    Stats,
    digest_of,
    preview_of,
    stats_of,
    value_statistics,
)
from graphnn.errors import FileFormatError, NotFoundError, UsageError, ValueRangeError
from graphnn.io import container

Array = np.ndarray[Any, np.dtype[Any]]
PACKAGE = Path(gn.__file__).parent.parent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.trace"


def small() -> tuple[gn.Node, dict[gn.Node, Any]]:
    g = gn.Graph("small")
    x = g.placeholder("x", shape=("n", 2))
    with g.scope("head"):
        h = gn.relu(x @ g.parameter("w", np.arange(6.0).reshape(2, 3)))
    g.outputs["loss"] = loss = gn.sum(gn.exp(-h)) * 2.0
    return loss, {x: np.array([[1.0, -1.0], [0.5, 0.25]])}


def seen_small(**options: Any) -> Trace:
    return gn.trace(*small(), **options)


# --- what is recorded -------------------------------------------------------------------------------------------


def test_it_has_a_record_of_every_node_in_the_order_of_the_schedule() -> None:
    loss, feed = small()
    seen = gn.trace(loss, feed)
    steps = list(gn.steps(loss, feed))
    assert [record.node for record in seen] == gn.schedule(loss) == seen.order
    assert [bits(record.value) for record in seen] == [bits(step.value) for step in steps]
    assert len(seen) == len(steps)
    assert seen.fetches == [loss]
    assert seen.stopped is None
    assert seen.error == ""
    record = seen["head/matmul"]
    assert (record.name, record.index, record.op.name) == ("head/matmul", 2, "matmul")
    assert (record.shape, record.dtype.name, record.bytes) == ((2, 3), "float64", 48)
    assert record.time >= 0
    assert seen.time == pytest.approx(sum(r.time for r in seen))
    assert record.origin is record.node.origin
    assert record.source == 'h = gn.relu(x @ g.parameter("w", np.arange(6.0).reshape(2, 3)))'
    assert repr(record) == '<Record 2: "head/matmul", matmul 2×3 float64>'
    assert repr(seen) == '<Trace of "small": 9 of 9 nodes>'
    assert str(seen)


def test_values_are_read_only_and_not_the_feed_itself() -> None:
    loss, feed = small()
    (x,) = feed
    seen = gn.trace(loss, feed)
    before = seen["x"].value.copy()
    feed[x][:] = 9.0
    assert (seen["x"].value == before).all()
    for record in seen:
        with pytest.raises(ValueError, match="read-only"):
            record.value[...] = 0


def test_nodes_are_found_by_node_name_scope_and_output() -> None:
    loss, feed = small()
    seen = gn.trace(loss, feed)
    assert seen[loss] is seen["loss"] is seen["multiply"]
    assert seen["head"].name == "head/relu"
    assert "head" in seen
    assert loss in seen
    assert "nowhere" not in seen
    assert 3 not in seen
    with pytest.raises(NotFoundError, match=r'this run has no node, scope or output "loos"\. Did you mean "loss"'):
        seen["loos"]
    other = gn.exp(loss)
    with pytest.raises(NotFoundError, match='"exp_2" has no part in this run: its fetches do not need it'):
        seen[other]
    with pytest.raises(NotFoundError, match='"y" is a node of "elsewhere", and this run is of "small"'):
        seen[gn.Graph("elsewhere").placeholder("y")]
    with pytest.raises(UsageError, match="expected a node or its name, not int"):
        seen[3]  # type: ignore[index]


def test_select() -> None:
    loss, feed = small()
    seen = gn.trace(loss, feed)

    def names(*arguments: Any, **options: Any) -> list[str]:
        return [record.name for record in seen.select(*arguments, **options)]

    assert names() == [record.name for record in seen]
    assert names("x") == ["x"]
    assert names(loss) == names("loss") == ["multiply"]
    assert names("head") == ["head/w", "head/matmul", "head/relu"]
    assert names("head/*") == names(scope="head") == names("head")
    assert names("*m*l*") == ["head/matmul", "multiply"]
    assert names(op="relu") == names("relu") == ["head/relu"]
    assert names("*", op="exp") == ["exp"]
    assert names(["exp", "x", loss]) == ["x", "exp", "multiply"]
    assert names(("head", "exp"), scope="head") == names("head")
    with pytest.raises(NotFoundError, match=r'nothing in this run matches "hed"\. Did you mean "head"'):
        names("hed")
    with pytest.raises(NotFoundError, match="nothing in this run matches op tanh"):
        names(op="tanh")
    with pytest.raises(NotFoundError, match=r'nothing in this run matches "\*", scope tail'):
        names("*", scope="tail")
    with pytest.raises(NotFoundError):
        names([])
    with pytest.raises(UsageError, match="nodes are given by node, name, pattern or operation, not by int"):
        names(3)


def test_a_scope_is_reported_from_a_name_with_a_slash() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    with g.scope("a"):
        h = gn.exp(x)
        with g.scope("b"):
            h = gn.exp(h)
    with g.scope("a/b"):
        h = gn.exp(h)
    seen = gn.trace(h, {x: 0.0})
    paths = list(g.scopes)
    assert [record.name for record in seen.select(scope=paths[0])] == [n.name for n in h.graph if n.op.name == "exp"][
        :2
    ]
    assert len(seen.select(scope=paths[2])) == 1


def test_a_compiled_step_is_traced_and_the_state_does_not_move() -> None:
    step, feed = spiral_step(nn.Adam(0.1))
    before = dict(step.graph.state)
    seen = gn.trace(step, feed)
    assert all(step.graph.state[node] is value for node, value in before.items())
    assert seen.updates == step.updates
    assert set(step.updates.values()) <= set(seen.fetches)
    following = {parameter: bits(seen[node].value) for parameter, node in step.updates.items()}
    loss = step(feed)
    assert bits(seen[step.fetches[0]].value) == bits(loss)
    assert following == {parameter: bits(step.graph.state[parameter]) for parameter in step.updates}


def test_a_trace_is_traced_again_with_its_own_feed_and_state() -> None:
    step, feed = spiral_step(nn.SGD(0.1))
    seen = gn.trace(step, feed)
    step(feed)
    again = gn.trace(seen)
    assert [bits(record.value) for record in again] == [bits(record.value) for record in seen]
    assert again.updates == seen.updates
    with pytest.raises(UsageError, match="a trace has its own feed and takes no other"):
        gn.trace(seen, feed)


def test_arguments_are_checked() -> None:
    loss, feed = small()
    for keep in (-1, 1.5, True, None, "8"):
        with pytest.raises((ValueRangeError, UsageError), match="keep= is an int of 0 or more, not"):
            gn.trace(loss, feed, keep=keep)  # type: ignore[arg-type]
    with pytest.raises(NotFoundError, match='the feed lacks "x"'):
        gn.trace(loss)
    step = gn.compile(loss)
    with pytest.raises(UsageError, match="graph= is for fetches by name"):
        gn.trace(step, feed, graph=gn.Graph())
    assert len(gn.trace("loss", feed, graph=loss.graph)) == len(gn.trace(step, feed)) == 9


def test_to_records_are_plain() -> None:
    rows = seen_small().to_records()
    assert [row["node"] for row in rows][:3] == ["x", "head/w", "head/matmul"]
    assert set(rows[0]) == {
        *("index", "node", "op", "scope", "phase", "shape", "dtype", "min", "max", "mean", "std", "zeros", "nans"),
        *("posinfs", "neginfs", "size", "time", "bytes", "origin"),
    }
    plain = (int, float, str)
    for row in rows:
        for key, value in row.items():
            kinds = [type(part) for part in value] if key == "shape" else [type(value)]
            assert set(kinds) <= set(plain), key
    assert json.dumps(rows)


# --- what is known of a value -----------------------------------------------------------------------------------

MANY = [
    np.array([1.0, math.nan, math.inf, -math.inf, 0.0, -0.0, 2.5]),
    np.array([math.nan, math.inf]),
    np.array(3.0),
    np.array(math.nan),
    np.zeros((0, 4)),
    np.zeros((4, 0), "int64"),
    np.array([True, False, True]),
    np.arange(-5, 7, dtype="int8").reshape(3, 4),
    np.array([2**63, 0, 1], "uint64"),
    np.array([60000.0, 60000.0, -60000.0], "float16"),
    np.array([1e308, -1e308]),
    np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    np.arange(12.0)[::-3],
    np.broadcast_to(np.float32(2), (3, 2)),
    1e8 + np.sin(np.arange(500.0)),  # the mean of the squares less the square of the mean would keep no digit
    0.4 + np.sin(np.arange(500.0)),
    np.full(7, 1e200),
    np.array([1e300, 0.0, -1e-300]),
    np.array([1e-200, 2e-200, -0.0]),
    np.array([1.7e308, 1.7e308, -math.inf]),
    np.array([5e-324, 1e-310]),
]


def test_what_is_constant_does_not_deviate() -> None:
    for size in (3, 10, SMALL, SMALL + 1, 10**5):
        tenths = np.full(size, 0.1)
        for stats in (stats_of(tenths), Statistics([tenths])[0]):
            assert stats[:5] == (0.1, 0.1, 0.1, 0.0, 0)


@functools.cache
def exact_moments(numbers: bytes) -> tuple[float, float]:
    """Return the mean and the standard deviation of numbers, rounded once."""
    exact = np.frombuffer(numbers).tolist()
    return float(sum(map(Fraction, exact)) / len(exact)), statistics.pstdev(exact)


def assert_true(stats: Stats, value: Array) -> None:
    wide = value.astype(np.float64)
    finite = wide[np.isfinite(wide)]
    assert stats.size == value.size
    assert stats.zeros == (value == 0).sum()
    assert stats.nans == np.isnan(wide).sum()
    assert stats.posinfs == (wide == np.inf).sum()
    assert stats.neginfs == (wide == -np.inf).sum()
    if finite.size:
        assert (stats.min, stats.max) == (finite.min(), finite.max())
        rounding = 1e-12 * abs(finite).max()
        mean, deviation = exact_moments(finite.tobytes())
        assert stats.mean == pytest.approx(mean, rel=1e-12, abs=rounding)
        assert stats.std == pytest.approx(deviation, rel=1e-12, abs=rounding)
    else:
        assert all(map(math.isnan, stats[:4]))
    assert [type(part) for part in stats] == [float] * 4 + [int] * 5


@pytest.mark.parametrize("value", MANY, ids=lambda value: f"{value.dtype}{value.shape}")
def test_statistics_are_true(value: Array) -> None:
    assert_true(stats_of(value), value)


@pytest.mark.parametrize("first", range(len(MANY)))
def test_the_statistics_of_small_values_are_taken_together_and_are_true(first: int) -> None:
    kept = [*MANY, np.zeros(SMALL), np.arange(SMALL + 1.0), Condensed.of(np.ones(3))] * 4
    taken = Statistics(kept)
    for place in [*range(first, len(kept)), *range(first)]:
        value = kept[place]
        if isinstance(value, Condensed):
            assert taken[place] is value.stats
        else:
            assert_true(taken[place], value)
    near = Statistics(kept)
    assert str(near[first]) == str(taken[first])  # whoever comes along
    assert 1 <= len(near) < len(MANY) * 2  # and not those of the whole run


def sliding(value: Array, *sizes: int) -> Array:
    return np.lib.stride_tricks.sliding_window_view(value, sizes, tuple(range(-len(sizes), 0)))


SPECIAL = np.where(np.arange(900.0) % 7 == 3, [math.nan, math.inf, -math.inf] * 300, np.arange(900.0)).reshape(30, 30)


@pytest.mark.parametrize(
    "view",
    [
        sliding(np.sin(np.arange(2000.0)).reshape(2, 25, 40), 3, 3),
        sliding(np.sin(np.arange(2000.0)).reshape(2, 25, 40), 5, 4)[:, ::2, ::-3].transpose(3, 4, 0, 1, 2),
        sliding(SPECIAL.astype("float32"), 7, 2),
        sliding(np.arange(900, dtype="int16").reshape(30, 30) % 5, 6, 6)[::2, ::3],
        sliding(np.arange(900).reshape(30, 30) % 2 == 0, 6, 6),
        sliding(np.full(900, 0.1), 9),
        sliding(np.zeros(900), 9),
        sliding(1e6 + np.sin(np.arange(900.0)), 9),
        sliding(np.arange(900.0) * 1e300, 9),
        np.broadcast_to(np.array([[1.0], [math.nan]]), (2, 5000)),
        np.broadcast_to(0.1, (5000,)),
    ],
    ids=lambda view: f"{view.dtype}{view.shape}",
)
def test_statistics_of_what_repeats_are_taken_from_its_source_and_are_true(
    view: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    real = value_statistics.stats_of
    monkeypatch.setattr(value_statistics, "stats_of", lambda value: (sizes.append(value.size), real(value))[1])
    assert_true(real(view), view)
    assert max(sizes) < view.size / 2


def test_windows_are_kept_as_the_view_that_they_are(tmp_path: Path) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=(200, 200))
    patches = gn.windows(x, 9, name="patches")
    trace = gn.trace(gn.sum(patches[0, 0]), {x: np.ones((200, 200))})
    assert trace["patches"].kept
    assert trace["patches"].bytes > 2**24
    assert (trace["patches"].stats.min, trace["patches"].stats.size) == (1.0, patches.shape[0] ** 2 * 81)
    trace.save(tmp_path / "trace.npz")
    assert (tmp_path / "trace.npz").stat().st_size < 2**24
    read = gn.load(tmp_path / "trace.npz")
    assert not read["patches"].kept
    assert read["patches"].stats == trace["patches"].stats


@settings(max_examples=100)
@given(
    hnp.arrays(
        st.sampled_from(["float16", "float32", "float64", "int16", "bool"]), hnp.array_shapes(min_dims=0, min_side=0)
    )
)
def test_statistics_of_any_value(value: Array) -> None:
    assert_true(stats_of(value), value)
    assert_true(Statistics([np.ones(3), value, np.full(2, np.nan)])[1], value)


def test_a_trace_that_is_freed_is_gone_at_once() -> None:
    seen = seen_small()
    assert [record.stats for record in seen]
    assert str(seen)
    assert seen.sources
    gone = weakref.ref(seen)
    gc.disable()  # what is in a circle would wait for it, and hold its values until then
    try:
        del seen
        assert gone() is None
    finally:
        gc.enable()


@settings(max_examples=100)
@given(hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=40), st.integers(1, 300))
def test_a_preview_is_taken_at_even_strides(shape: tuple[int, ...], most: int) -> None:
    assume(math.prod(shape) < 10**6)
    value = np.arange(math.prod(shape)).reshape(shape)
    preview = preview_of(value, most)
    assert preview.ndim == value.ndim
    assert preview.size <= most
    if value.size <= most:
        assert (preview == value).all()
    if value.size:
        assert preview.flat[0] == 0
        steps = [
            np.unique(np.diff(axis, axis=0))
            for axis in (np.moveaxis(preview, i, 0) for i in range(value.ndim))
            if len(axis) > 1
        ]
        assert all(len(each) == 1 for each in steps)


def test_the_digest_is_that_of_the_bytes() -> None:
    value = np.arange(12.0).reshape(3, 4)
    assert digest_of(value) == digest_of(np.asfortranarray(value)) == digest_of(value.copy())
    assert digest_of(np.array([0.0])) != digest_of(np.array([-0.0]))
    assert digest_of(np.zeros((0, 3))) == digest_of(np.zeros(0))
    assert len(digest_of(np.array(True))) == 32


def test_what_is_too_large_is_condensed(tmp_path: Path) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=(5000,))
    w = g.parameter("w", np.ones(5000))
    h = gn.sin(x) * w
    feed = {x: np.linspace(0, 9, 5000)}
    whole, seen = gn.trace(gn.sum(h), feed), gn.trace(gn.sum(h), feed, keep=4999)
    assert [record.kept for record in seen] == [True, True, False, False, True]  # what is given is kept at any size
    record = seen["sin"]
    assert isinstance(record._kept, Condensed)
    assert (record.shape, record.bytes, record.dtype.name) == ((5000,), 40_000, "float64")
    assert record.stats == whole["sin"].stats
    assert record.digest == whole["sin"].digest
    assert bits(record.preview) == bits(whole["sin"].preview)
    assert record.preview.size <= 256
    assert record.preview.base is None
    with pytest.raises(NotFoundError, match=r'the value of "sin" \(40,000 bytes\) was too large to be kept.*gn.debug'):
        _ = record.value
    assert seen.to_records()[2] | {"time": 0} == whole.to_records()[2] | {"time": 0}
    least = gn.trace(gn.sum(h), feed, keep=0)
    assert_same(least, through_a_file(least, tmp_path / "least.trace"))
    assert least.records[-1].preview.shape == ()
    dbg = gn.debug(seen, echo=None)
    dbg.resume()
    assert bits(dbg["sin"].value) == bits(whole["sin"].value)


# --- through a file ---------------------------------------------------------------------------------------------


def through_a_file(seen: Trace, path: Path) -> Trace:
    seen.save(path)
    first = path.read_bytes()
    back = gn.load(path)
    assert isinstance(back, Trace)
    back.save(path)
    assert path.read_bytes() == first
    return back


def assert_same(seen: Trace, back: Trace) -> None:
    assert [record.name for record in back] == [record.name for record in seen]
    for a, b in zip(seen, back, strict=True):
        assert a.kept == b.kept
        if a.kept:
            assert bits(a.value) == bits(b.value)
            assert not b.value.flags.writeable
        assert bits(a.preview) == bits(b.preview)
        assert a.digest == b.digest
        assert str(a.stats) == str(b.stats)
        assert (a.time, a.shape, a.dtype, a.bytes, a.source) == (b.time, b.shape, b.dtype, b.bytes, b.source)
        assert a.origin == b.origin
    assert (back.stopped, back.error, back.sources) == (seen.stopped, seen.error, seen.sources)
    assert [(a.name, b.name) for a, b in back.updates.items()] == [(a.name, b.name) for a, b in seen.updates.items()]
    assert [node.name for node in back.fetches] == [node.name for node in seen.fetches]


def test_a_training_step_comes_back_and_can_be_stepped_and_committed(path: Path) -> None:
    step, feed = spiral_step(nn.Adam(0.1))
    step(feed)
    seen = gn.trace(step, feed)
    seen.save(path)
    back = gn.load(path)
    assert_same(seen, back)
    assert_same(seen, through_a_file(back, path))
    step(feed)
    dbg = gn.debug(back, echo=None)
    dbg.resume()
    dbg.commit()
    assert [bits(value) for value in back.graph.state.values()] == [bits(value) for value in step.graph.state.values()]


def test_random_runs_come_back(path: Path) -> None:
    for recipe in random_graphs(21, 60):
        built = build(recipe, gn.Graph())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gn.GraphnnWarning)
            fetches = [built.result, *gn.grad(built.result, built.inputs)]
        seen = gn.trace(fetches, built.feed, keep=64)
        assert_same(seen, through_a_file(seen, path))


def test_values_come_back_to_the_bit(path: Path) -> None:
    g = gn.Graph()
    payload = np.array([0x7FF8000000000123, 0xFFF0000000000001, 0x8000000000000000], "uint64").view("float64")
    x = g.placeholder("x", shape=(3,))
    half = g.placeholder("half", shape=(2, 2), dtype="float16")
    flags = g.placeholder("flags", shape=(2, 3), dtype="bool")
    seen = gn.trace(
        [x[::-1], gn.transpose(half) * half, gn.transpose(flags), gn.transpose(gn.outer(x, x))],
        {x: payload, half: np.array([[1, -0.0], [math.nan, 6e-8]], "float16"), flags: np.eye(2, 3, dtype=bool)},
    )
    assert seen["x"].value.tobytes() == payload.tobytes()
    assert not seen["transpose_3"].value.flags.c_contiguous
    back = through_a_file(seen, path)
    assert_same(seen, back)
    assert back["x"].value.tobytes() == payload.tobytes()


def test_what_a_file_lays_out_otherwise_in_memory_is_not_computed_with(path: Path) -> None:
    rng = np.random.default_rng(0)
    g = gn.Graph()
    x = g.placeholder("x", shape=(37, 53))
    h = gn.exp(gn.transpose(x))
    y = [gn.sum(h), gn.sum(h[::-1, ::2] * 1.5), gn.mean(x[:, ::-1], axis=1)]
    seen = gn.trace(y, {x: rng.normal(size=(37, 53))})
    assert not seen["exp"].value.flags.c_contiguous
    back = through_a_file(seen, path)
    assert_same(seen, back)
    assert back._relaid

    def gone_on_from(anew: frozenset[int]) -> list[tuple[Any, ...]]:
        count = h.index + 1
        stopped = Trace(back.prepared, back._run.kept[:count], back._run.times[:count], {}, stopped=count)
        stopped._relaid = anew
        dbg = gn.debug(stopped, echo=None)
        assert dbg.current is back.order[h.index]
        dbg.resume()
        return [bits(dbg[node.name].value) for node in y]

    expected = [bits(seen[node].value) for node in y]
    assert gone_on_from(back._relaid) == expected
    assert gone_on_from(frozenset()) != expected  # so it matters


@pytest.mark.parametrize(
    "name", ["a/b", "état", "</script>", "a\nb", "", "\x1b[2J", "a" * 5000, "feed/x", "\ud83d", "é\u202e"]
)
def test_odd_names_come_back(path: Path, name: str) -> None:
    g = gn.Graph(name)
    x = g.placeholder(name, shape=("n",))
    w = g.parameter(name + "w", [1.0, 2.0])
    h = gn.multiply(x, w, name=name + "h")
    seen = gn.trace(gn.add(h, g.constant(1.0, name=name + "c"), name=name + "y"), {x: [3.0, 4.0]})
    back = through_a_file(seen, path)
    assert_same(seen, back)
    assert back[name + "h"].value.tolist() == [3.0, 8.0]
    assert list(path.parent.iterdir()) == [path]


def test_sizes_that_are_no_names_and_what_was_fed_for_nothing_do_not_matter(path: Path) -> None:
    g = gn.Graph()
    a = g.placeholder("a", shape=("n",))
    b = g.placeholder("b", shape=("2*n",))
    spare = g.placeholder("spare", shape=("other",))
    seen = gn.trace(gn.sum(a) + gn.sum(b), {a: [1.0], b: [1.0, 2.0], spare: np.zeros(9)})
    assert_same(seen, through_a_file(seen, path))
    sized = gn.trace(gn.broadcast_to(gn.sum(a), ("m",)), {a: [2.0]}, sizes={"m": 3})
    back = through_a_file(sized, path)
    assert back["broadcast_to"].value.tolist() == [2.0] * 3
    assert_same_values(sized, gn.trace(back))


def test_the_run_of_a_what_if_comes_back_as_it_was(path: Path) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=(3,))
    w = g.parameter("w", np.ones(3))
    c = g.constant(2.0, name="c")
    h = gn.clip(x * w, 0.0, 1.0)
    y = gn.sin(h) + c * gn.exp(h)
    dbg = gn.debug(y, {x: [0.5, 2.0, -1.0]}, echo=None)
    dbg.resume()
    for node, value in {w: np.full(3, 0.5), c: 5.0, gn.schedule(y)[-2]: np.arange(3.0), x: np.ones(3)}.items():
        dbg[node] = value
    dbg.what_if(h, hi=0.25)
    seen = dbg.trace()
    back = through_a_file(seen, path)
    assert_same(seen, back)
    assert_same_values(gn.trace(back), seen)  # computed anew
    reopened = gn.debug(back, echo=None)
    reopened.resume()
    reopened["x"] = np.full(3, 0.1)
    dbg["x"] = np.full(3, 0.1)
    assert bits(reopened[y.name].value) == bits(dbg[y].value)
    assert_same_values(gn.trace(reopened.trace()), dbg.trace())


def assert_same_values(seen: Trace, other: Trace) -> None:
    assert [bits(record.value) for record in seen] == [bits(record.value) for record in other]


def test_what_was_stopped_comes_back_where_it_was(path: Path) -> None:
    loss, feed = small()
    dbg = gn.debug(loss, feed, echo=None)
    dbg.step(3)
    seen = dbg.trace()
    assert repr(seen) == '<Trace of "small": 5 of 9 nodes, stopped at 5>'
    with pytest.raises(NotFoundError, match='"multiply" has no record: the run was stopped before it'):
        seen["loss"]
    assert "loss" not in seen
    assert seen.select(op="multiply") == []
    back = through_a_file(seen, path)
    assert_same(seen, back)
    again = gn.debug(back, echo=None)
    assert (again.position, again.current.name) == (3, dbg.current.name)  # type: ignore[union-attr]


# --- sources ----------------------------------------------------------------------------------------------------


def test_sources_hold_the_lines_around_those_that_made_nodes(path: Path) -> None:
    seen = seen_small()
    lines = seen.sources[__file__]
    line = seen["exp"].origin.line
    assert lines[line].strip().startswith('g.outputs["loss"] = loss')
    assert {line - 4, line + 4} <= set(lines)
    assert through_a_file(seen, path).sources == seen.sources


@pytest.mark.parametrize(
    "file", ["/etc/passwd", "/proc/self/environ", "", "nowhere.py", "../secret", "\0", "/dev/zero", "<x>/etc/passwd"]
)
def test_no_file_is_read_because_a_file_names_it(path: Path, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loss, feed = small()
    gn.save(loss, path)
    data, arrays = container.read(path, "graph", version=3)
    data["lines"]["file"] = [file] * len(data["lines"]["file"])
    container.write(path, "graph", data, arrays, version=3)
    graph = gn.load(path)
    opened: list[Any] = []

    def noting(place: Any, *arguments: Any, **options: Any) -> Any:
        opened.append(place)
        raise FileNotFoundError(place)

    with monkeypatch.context() as patch:
        for module, name in ((tokenize, "open"), (builtins, "open"), (io, "open"), (linecache, "getlines")):
            patch.setattr(module, name, noting)
        seen = gn.trace(graph.outputs["loss"], {"x": next(iter(feed.values()))})
        sources = seen.sources
        texts = [record.source for record in seen]
        dbg = gn.debug(seen, budget=1e9, echo=None)
        texts.append(dbg.source_of(graph.outputs["loss"]))
    assert opened == []
    assert sources == {}
    assert texts == [None] * (len(seen) + 1)


DOCTESTED = """
>>> import graphnn as gn
>>> g = gn.Graph()
>>> w = g.parameter("w", 2.0)
>>> told.append(gn.trace(gn.exp(w)))
"""


def test_sources_hold_the_lines_of_a_doctest_while_it_runs() -> None:
    told: list[gn.Trace] = []

    class Runner(doctest.DocTestRunner):
        def report_success(self, out: Any, test: Any, example: Any, got: Any) -> None:
            if told:
                told[0].sources  # noqa: B018 - looked up while linecache knows them

    examples = doctest.DocTestParser().get_doctest(DOCTESTED, {"told": told}, "manual", None, None)
    assert Runner(verbose=False).run(examples).failed == 0
    assert told[0]["w"].source == 'w = g.parameter("w", 2.0)'
    assert told[0]["exp"].source == "told.append(gn.trace(gn.exp(w)))"
    told.clear()


# --- files that are damaged, and files that lie -----------------------------------------------------------------


SOUND, SOUND_ARRAYS = lively()._encoded()
CONDENSED = SOUND["condensed"].items()


def test_the_trace_that_is_forged_has_everything(path: Path) -> None:
    kinds = {name.partition("/")[0] for name in SOUND_ARRAYS}
    assert kinds == {"state", "feed", "given", "value", "preview"}
    assert SOUND["altered"]
    assert SOUND["condensed"]
    assert SOUND["updates"]
    container.write(path, "trace", SOUND, SOUND_ARRAYS)
    assert gn.load(path).error == "it was so"


def test_a_truncated_file_is_refused(path: Path) -> None:
    container.write(path, "trace", SOUND, SOUND_ARRAYS)
    content = path.read_bytes()
    for length in sorted({0, 1, 7, *range(8, len(content), 211), len(content) - 1}):
        overwrite(path, content[:length])
        with pytest.raises(FileFormatError):
            gn.load(path)


def test_a_file_with_one_bit_flipped_is_refused_or_holds_the_same(path: Path) -> None:
    container.write(path, "trace", SOUND, SOUND_ARRAYS)
    content = path.read_bytes()
    chance = random.Random(0)
    for place in chance.sample(range(len(content)), 200):
        damaged = bytearray(content)
        damaged[place] ^= 1 << chance.randrange(8)
        overwrite(path, damaged)
        try:
            data, arrays = gn.load(path)._encoded()  # it was flipped in a date, say
        except FileFormatError:
            continue
        assert data == SOUND
        assert {name: array.tobytes() for name, array in arrays.items()} == {
            name: array.tobytes() for name, array in SOUND_ARRAYS.items()
        }


def test_a_newer_version_is_refused(path: Path) -> None:
    container.write(path, "trace", SOUND, SOUND_ARRAYS, version=VERSION + 1)
    with pytest.raises(
        FileFormatError, match=f"version {VERSION + 1} of a trace; this graphnn reads up to version {VERSION}"
    ):
        gn.load(path)


def lie(**changes: Any) -> Callable[[Any, Any], None]:
    return lambda data, arrays: data.update(changes)


def of_arrays(change: Callable[[dict[str, Any]], Any]) -> Callable[[Any, Any], Any]:
    return lambda data, arrays: change(arrays)


def of_name(kind: str) -> str:
    return next(name for name in SOUND_ARRAYS if name.startswith(kind))


LIES: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "fetch-unknown": (lie(fetches=["q"]), "it names a node that is not in its graph"),
    "fetch-number": (lie(fetches=[3]), "it names a node that is not in its graph"),
    "fetches-none": (lie(fetches=None), "the data do not describe a trace"),
    "update-of-no-parameter": (lie(updates=[["x", "x"]]), "only parameters are updated"),
    "update-not-computed": (lie(updates=[["w", "w"]]), "it has updates whose next values it has not computed"),
    "feed-missing": (of_arrays(lambda a: a.pop("feed/x")), 'the feed lacks "x"'),
    "feed-misfit": (of_arrays(lambda a: a.update({"feed/x": np.ones(3)})), "has shape"),
    "feed-of-parameter": (of_arrays(lambda a: a.update({"feed/w": np.ones((2, 3))})), "only placeholders are fed"),
    "state-missing": (of_arrays(lambda a: a.pop("state/w")), "'w', a parameter, has no array"),
    "array-of-no-kind": (
        of_arrays(lambda a: a.update({"more/w": np.ones(1)})),
        "the data do not describe a trace: KeyError",
    ),
    "given-nowhere": (
        of_arrays(lambda a: a.update({"given/999": np.ones(1)})),
        "the data do not describe a trace: IndexError",
    ),
    "given-misfit": (of_arrays(lambda a: a.update({"given/3": np.ones(1)})), "the value given for"),
    "value-misfit": (of_arrays(lambda a: a.update({of_name("value/"): np.ones(77)})), "is not of its shape and dtype"),
    "value-dtype": (
        of_arrays(lambda a: a.update({of_name("value/"): a[of_name("value/")].astype("float32")})),
        "is not of its shape and dtype",
    ),
    "value-missing": (of_arrays(lambda a: a.pop(of_name("value/"))), "the data do not describe a trace: KeyError"),
    "preview-missing": (of_arrays(lambda a: a.pop(of_name("preview/"))), "the data do not describe a trace: KeyError"),
    "preview-axes": (of_arrays(lambda a: a.update({of_name("preview/"): np.ones(3)})), "what was kept of the value"),
    "preview-shape": (
        of_arrays(lambda a: a.update({of_name("preview/"): a[of_name("preview/")][:-1]})),
        "what was kept of the value",
    ),
    "preview-large": (
        of_arrays(lambda a: a.update({of_name("preview/"): np.ones((400, 400))})),
        "what was kept of the value",
    ),
    "stats-turned": (
        lie(condensed={key: [[5.0, 1.0, 3.0, 0.0, *stats[4:]], digest] for key, (stats, digest) in CONDENSED}),
        "what was kept of the value",
    ),
    "stats-negative": (
        lie(condensed={key: [[*stats[:3], -1.0, *stats[4:]], digest] for key, (stats, digest) in CONDENSED}),
        "what was kept of the value",
    ),
    "stats-of-more": (
        lie(condensed={key: [[*stats[:4], 7, *stats[5:8], 2], digest] for key, (stats, digest) in CONDENSED}),
        "what was kept of the value",
    ),
    "digest-number": (lie(condensed={key: [[0.0] * 9, 3] for key in SOUND["condensed"]}), "what was kept of the value"),
    "stats-short": (
        lie(condensed={key: [[0.0], ""] for key in SOUND["condensed"]}),
        "the data do not describe a trace",
    ),
    "times-too-many": (lie(times=[0.5] * 99), "its times are not one per node"),
    "times-negative": (lie(times=[-0.5]), "its times are not one per node"),
    "times-nan": (lie(times=[math.nan]), "its times are not one per node"),
    "times-inf": (lie(times=[math.inf]), "its times are not one per node"),
    "times-int": (lie(times=[1]), "its times are not one per node"),
    "stopped-beyond": (lie(stopped=99), "the position at which it was stopped is not valid"),
    "stopped-bool": (lie(stopped=True), "the position at which it was stopped is not valid"),
    "error-none": (lie(error=None), "the position at which it was stopped is not valid"),
    "altered-nowhere": (lie(altered=[[99, {}]]), "the data do not describe a trace: IndexError"),
    "altered-attribute": (lie(altered=[[SOUND["altered"][0][0], {"q": 1}]]), "the data do not describe a trace"),
    "altered-to-another-shape": (lie(altered=[[len(SOUND["times"]) - 1, {}]]), ""),
    "sizes-unknown": (lie(sizes={"q": 3}), 'sizes= names "q"'),
    "sizes-misfit": (lie(sizes={"n": 3}), "n = 40"),
    "strided-text": (lie(strided=["3"]), "the positions of values with another memory layout are not valid"),
    "sources-text": (lie(sources="/etc/passwd"), "the data do not describe a trace"),
    "no-graph": (lie(graph=None), "the data do not hold a graph's name"),
}


def forged(path: Path, data: Any, arrays: Any) -> Trace:
    container.write(path, "trace", data, arrays)
    found = gn.load(path)
    assert isinstance(found, Trace)
    return found


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_found(path: Path, name: str) -> None:
    data, arrays = copy.deepcopy(SOUND), dict(SOUND_ARRAYS)
    change, words = LIES[name]
    change(data, arrays)
    if not words:
        check_forgery(lambda: forged(path, data, arrays))
        return
    with pytest.raises(FileFormatError) as caught:
        forged(path, data, arrays)
    assert words in str(caught.value)
    assert str(caught.value).startswith(repr(str(path)))


def check_forgery(make: Callable[[], Trace]) -> None:
    """Either the trace is a sound one, that can be shown, stepped through and saved, or it is refused by name."""
    try:
        seen = make()
    except FileFormatError:
        return
    assert json.dumps(seen.to_records())
    assert str(seen)
    seen._encoded()
    assert all(isinstance(record.source, str | None) for record in seen)
    dbg = gn.debug(seen, echo=None)
    try:
        dbg.resume()
        dbg.what_if(dbg.order[0], dbg[dbg.order[0]].value)
        if dbg.updates:
            dbg.commit()
    except gn.GraphnnError:
        return
    dbg.trace()


@st.composite
def forgeries(draw: st.DrawFn) -> tuple[Any, dict[str, Any]]:
    data, arrays = copy.deepcopy(SOUND), dict(SOUND_ARRAYS)
    for _ in range(draw(st.integers(1, 3))):
        if draw(st.integers(0, 9)) > 2:
            table = draw(st.sampled_from([*data, *(key for key in data if key != "graph")]))
            if table in data:
                data[table] = mutated(draw, data[table])
        else:
            name = draw(st.sampled_from([*arrays, "more", "given/5", "value/-1", "value/a", "feed/w"]))
            kind = draw(st.sampled_from(["float32", "float64", "int64", "bool"]))
            arrays[name] = np.zeros(draw(st.sampled_from([(), (3,), (2, 3), (40, 2), (0,)])), kind)
    return data, arrays


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("forged")


@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow])
@given(forgeries())
def test_any_change_of_a_file_is_refused_or_gives_a_sound_trace(
    folder: Path, forgery: tuple[Any, dict[str, Any]]
) -> None:
    try:
        container.write(folder / "forged.trace", "trace", *forgery)
    except (FileFormatError, UsageError):
        assume(False)  # what cannot be written cannot be met either
    check_forgery(lambda: gn.load(folder / "forged.trace"))


# --- an operation of one's own ----------------------------------------------------------------------------------


@pytest.fixture
def own() -> Iterator[type[Op]]:
    class Halve(Op):
        def infer(self, x: Spec) -> Spec:
            return x

        def forward(self, x: Any, out: Any = None) -> Any:
            return x * 0.5

    yield Halve
    registry.pop("halve", None)


def test_a_trace_with_an_operation_of_ones_own_is_computed_again_where_it_is_defined(own: type[Op], path: Path) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=(2,))
    seen = gn.trace(own()(gn.exp(x)), {x: [0.0, 1.0]})
    back = through_a_file(seen, path)
    assert_same(seen, back)
    assert_same_values(gn.trace(back), seen)


def test_a_parameter_that_is_updated_and_read_by_nobody_is_kept_in_the_file(tmp_path: Path) -> None:
    g = gn.Graph()
    x, c = g.placeholder("x", shape=(2,)), g.parameter("c", 1.0)
    total = gn.sum(x)
    gn.trace(gn.compile(total, updates={c: total}), {x: [1.0, 2.0]}).save(tmp_path / "a.trace")
    loaded = gn.load(tmp_path / "a.trace")
    assert [(parameter.name, node.name) for parameter, node in loaded.updates.items()] == [("c", "sum")]
    assert float(loaded.graph["c"].value) == 1.0


def test_a_part_of_a_large_value_does_not_keep_all_of_it() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("n",))
    parts = [(x * float(i))[0:2] for i in range(5)]
    tracemalloc.start()
    try:
        seen = gn.trace(parts, {x: np.ones(100_000)}, keep=1000)
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 3 * 800_000  # what is fed, and no product
    assert [seen[part].value.tolist() for part in parts] == [[float(i)] * 2 for i in range(5)]


def test_what_has_no_operands_and_is_computed_is_an_operation() -> None:
    z = gn.zeros((100, 100), graph=gn.Graph()) * 1.0
    seen = gn.trace(z, keep=100)
    assert not seen["zeros"].kept
    assert "2 operations in 3 nodes" in str(seen)


@pytest.mark.parametrize("look", [gn.trace, gn.debug, gn.profile, gn.check_health])
def test_nothing_is_nothing_to_look_at(look: Any) -> None:
    with pytest.raises(gn.UsageError, match="no node is asked for"):
        look([], graph=gn.Graph())


def test_a_node_of_another_graph_of_that_name_is_reported_apart(tmp_path: Path) -> None:
    x = gn.Graph("twice").placeholder("x", ("n",))
    y = gn.sum(x)
    gn.trace(y, {x: [1.0]}).save(tmp_path / "a.trace")
    again = gn.load(tmp_path / "a.trace")
    with pytest.raises(
        gn.NotFoundError, match=r'another graph called "twice"; give its name to get the node of this run'
    ):
        again[y]
    assert again["sum"].value == 1.0
