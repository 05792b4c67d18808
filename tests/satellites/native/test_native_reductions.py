"""Reductions of native plans give NumPy's bits, though it is not NumPy's loop that goes through the rows."""

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from guarded import guarded
from hypothesis import given
from hypothesis import strategies as st

import graphnn as gn
from graphnn._util.numpy_warnings import quietly
from graphnn.native import llvm_reductions, ufunc_addresses
from graphnn.native.llvm import Engine
from graphnn.native.ufunc_addresses import same_bits

Array = np.ndarray[Any, np.dtype[Any]]
Drawn = tuple[Array, tuple[int, ...]]
SIZES = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 100, 129, 140, 260, 300])
KINDS: dict[str, Callable[[np.random.Generator, list[int]], Array]] = {
    "normal": lambda rng, shape: rng.normal(size=shape) * 10.0 ** rng.integers(-3, 4, shape),
    "zeros": lambda rng, shape: rng.choice([0.0, -0.0], shape),
    "0 is the largest": lambda rng, shape: -np.abs(rng.normal(size=shape)) * (rng.random(shape) < 0.2),
    "0 is the smallest": lambda rng, shape: np.abs(rng.normal(size=shape)) * rng.choice([0.0, -0.0, 1.0], shape),
    "NaN": lambda rng, shape: np.where(rng.random(shape) < 0.02, np.nan, rng.normal(size=shape)),
    "infinite": lambda rng, shape: rng.choice([np.inf, -np.inf, 0.0, -0.0, 1.0], shape),
}


@st.composite
def arrays_and_axes(draw: st.DrawFn) -> Drawn:
    shape = draw(st.lists(SIZES, min_size=1, max_size=5))
    while np.prod(shape) > 50_000:
        shape[int(np.argmax(shape))] //= 2
    axes = draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return KINDS[draw(st.sampled_from(sorted(KINDS)))](rng, shape), tuple(sorted(axes))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reduce", [gn.sum, gn.mean, gn.max, gn.min])
@given(drawn=arrays_and_axes(), keepdims=st.booleans(), at_end=st.booleans())
def test_a_reduction_gives_the_bits_of_the_interpreter_and_reads_nothing_else(
    reduce: Callable[..., gn.Node], dtype: type, drawn: Drawn, keepdims: bool, at_end: bool
) -> None:
    array, axes = guarded(drawn[0].astype(dtype), at_end), drawn[1]
    graph = gn.Graph(dtype=dtype)
    x = graph.placeholder("x", array.shape)
    y = reduce(x, axis=axes, keepdims=keepdims)
    plan = gn.compile(y, backend="native").plan({x: array})
    (got,) = quietly(plan, array)
    assert same_bits(got, quietly(gn.run, y, {x: array}))


@pytest.mark.parametrize("reduce", [gn.sum, gn.max])
@pytest.mark.parametrize(("shape", "axes"), [((7, 40, 16, 4), (0, 2)), ((5, 33, 300), (0, 2)), ((3, 9, 300), (2,))])
def test_no_call_from_python_is_left(
    reduce: Callable[..., gn.Node], shape: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    graph = gn.Graph(dtype=np.float32)
    x = graph.placeholder("x", shape)
    step = gn.compile(reduce(x, axis=axes), backend="native")
    told = step.plan({x: np.ones(shape, np.float32)}).explain()
    assert "python" not in str(told)


# --- what is left to NumPy's loop ---------------------------------------------------------------------------------


@pytest.mark.parametrize("ufunc", [np.maximum, np.minimum])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_only_unclear_rows_and_those_after_them_are_left_to_numpy(ufunc: np.ufunc, dtype: type) -> None:
    numbers = np.array([1, 0, 1, 1, np.nan, -0.0, 2, 2, 0], dtype)
    assert _left_to_numpy(ufunc, np.repeat(numbers[:, None], 70, axis=1)) == [1, 2, 4, 5, 6, 8]
    assert _left_to_numpy(ufunc, np.ones((3, 2**12), dtype)) == [0, 1, 2]
    assert _left_to_numpy(ufunc, numbers[:, None]) == []


def _left_to_numpy(ufunc: np.ufunc, rows: Array) -> list[int]:
    """Return which rows are not reduced by the loop itself, and compare what it gives with what NumPy gives."""
    own, got, left = llvm_reductions.own_reduction(ufunc, rows.dtype, along=True), np.zeros(len(rows), rows.dtype), []
    known = ufunc_addresses.loop_of(ufunc, (rows.dtype,) * 3)
    assert own is not None
    assert known is not None

    def loop(arguments: int, dimensions: int, steps: int, data: int) -> None:
        (place,) = (ctypes.c_ssize_t * 1).from_address(arguments)
        left.append((place - got.ctypes.data) // got.itemsize)
        ufunc_addresses.LOOP(known.address)(arguments, dimensions, steps, known.data)

    called = ufunc_addresses.LOOP(loop)
    data = np.array([ctypes.cast(called, ctypes.c_void_p).value, 0, got.itemsize, 1, 0], np.int64)
    ufunc_addresses.call(
        ufunc_addresses.Loop(own, data.ctypes.data), [rows.ctypes.data, got.ctypes.data], [*rows.shape, 1], []
    )
    assert same_bits(got, quietly(ufunc.reduce, rows, 1))
    return left


# --- another order ------------------------------------------------------------------------------------------------


@pytest.fixture
def afresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compile the loops again, and forget them afterwards."""
    known = llvm_reductions._address, llvm_reductions._adds_as_numpy
    own = Engine()
    monkeypatch.setattr(llvm_reductions, "engine", lambda: own)
    for each in known:
        each.cache_clear()
    yield
    for each in known:
        each.cache_clear()


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("%even = shufflevector", "%even = shufflevector"),
        ("fadd <2 x {kind}> %even.2, %odd.2", "fadd <2 x {kind}> %odd.2, %odd.2"),
        ("icmp sgt i64 %n, 128", "icmp sgt i64 %n, 136"),
        ("and i64 %half, -8", "and i64 %half, -16"),
        ("sub i64 %whole, 24", "sub i64 %whole, 16"),
        ("<i32 0, i32 2, i32 4, i32 6>", "<i32 0, i32 1, i32 4, i32 5>"),
    ],
)
@pytest.mark.usefixtures("afresh")
def test_sums_in_another_order_than_numpys_are_found_out(
    right: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert right in llvm_reductions._PAIRWISE
    monkeypatch.setattr(llvm_reductions, "_PAIRWISE", llvm_reductions._PAIRWISE.replace(right, wrong))
    for dtype in (np.dtype(np.float32), np.dtype(np.float64)):
        assert llvm_reductions._adds_as_numpy(dtype) is (right == wrong)


@pytest.mark.usefixtures("afresh")
def test_where_numpy_adds_in_another_order_its_own_loop_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llvm_reductions, "_adds_as_numpy", lambda dtype: False)
    assert llvm_reductions.own_reduction(np.add, np.dtype(float), along=True) is None
    array = np.random.default_rng(0).normal(size=(3, 9, 300))
    x = gn.Graph().placeholder("x", array.shape)
    y = gn.sum(x, axis=2)
    (got,) = gn.compile(y, backend="native").plan({x: array})(array)
    assert same_bits(got, np.add.reduce(array, 2))
