"""Products of long and thin matrices by blocks of rows, and sums down columns, against exact sums."""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from everywhere import PLANS
from hypothesis import given, settings
from hypothesis import strategies as st
from test_plan_conformance import bits, differences

import graphnn as gn
from graphnn.compiler import fusion
from graphnn.compiler.thresholds import Settings
from graphnn.ops import matmul_kernels

Array = np.ndarray[Any, np.dtype[Any]]

LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "in order": lambda x: x,
    "turned": lambda x: np.asfortranarray(x),
    "backwards": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "with gaps": lambda x: np.repeat(np.repeat(x, 2, 0), 3, 1)[::2, ::3],
}


def exact_product(x: Array, y: Array) -> tuple[Array, Array]:
    """Return the product of two matrices, rounded once, and that of what they are without signs."""
    a, b = ([[whole(number) for number in row] for row in matrix.tolist()] for matrix in (x, y))
    a, b = np.array(a, object), np.array(b, object)
    # A quotient of two whole numbers is rounded once.
    total, most = (product / 2 ** (2 * PLACES) for product in (a @ b, abs(a) @ abs(b)))
    return total.astype(float), most.astype(float)


PLACES = 200
"""Binary places behind the point, of which no number here has more."""


def whole(number: float) -> int:
    """Return a number times a power of two, which makes it whole."""
    scaled = math.ldexp(number, PLACES)
    assert scaled.is_integer()
    return int(scaled)


@settings(max_examples=200)
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 6)),
    st.sampled_from(["float32", "float64"]),
    st.sampled_from(sorted(LAYOUTS)),
    st.sampled_from(sorted(LAYOUTS)),
    st.integers(0, 2**32 - 1),
)
def test_a_product_is_as_exact_as_a_sum_can_be(
    sizes: tuple[int, int, int], dtype: str, layout: str, other: str, seed: int
) -> None:
    m, k, n = sizes
    rng = np.random.default_rng(seed)
    x, y = (rng.normal(size=shape).astype(dtype) for shape in ((m, k), (k, n)))
    expected, most = exact_product(x, y)
    x, y = LAYOUTS[layout](x), LAYOUTS[other](y)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matmul_kernels, "limits", matmul_kernels.Limits(block=64))
        found = matmul_kernels.product(x, y)
        out = np.full_like(found, np.nan)
        assert matmul_kernels.product(x, y, out) is out
    assert bits(out) == bits(found)
    assert found.dtype == dtype
    # Of k products and k - 1 sums, each rounded: Higham, Accuracy and Stability of Numerical Algorithms, 3.1.
    assert (abs(found - expected) <= 1.01 * k * np.finfo(dtype).eps * most).all()


SHAPES = [(16, 2), (300, 3), (5000, 64), (100, 700), (20_011, 7), (15, 8), (16, 8), (300, 10), (5003, 128), (40, 129)]


@functools.cache
def summed(shape: tuple[int, int], axis: int, dtype: str) -> tuple[Array, Array]:
    """Return numbers, and their sums along an axis, rounded once."""
    numbers = np.random.default_rng(0).normal(0.1, 1, shape).astype(dtype)
    numbers.flags.writeable = False
    return numbers, np.array([math.fsum(line) for line in (numbers if axis else numbers.T).tolist()])


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("shape", SHAPES)
def test_sums_and_means_over_rows_and_columns(shape: tuple[int, int], axis: int, dtype: str, layout: str) -> None:
    numbers, exact = summed(shape, axis, dtype)
    given = LAYOUTS[layout](numbers)
    x = gn.Graph(dtype=dtype).placeholder("x", shape)
    count, rest = shape[axis], shape[1 - axis]
    within = np.finfo(dtype).eps * np.sqrt(count) * abs(given).sum(axis=axis, dtype=np.float64)
    small = (rest, 1) if axis else (rest,)
    fetches = [gn.sum(x, axis, True), gn.sum(x, axis), gn.mean(x, axis, True), gn.mean(x, axis), gn.sum_to(x, small)]
    kept, bare, kept_mean, mean, bias = found = gn.run(fetches, {x: given})
    assert kept.shape == kept_mean.shape == ((rest, 1) if axis else (1, rest))
    assert (abs(bare - exact) <= within).all()
    assert (abs(mean - exact / count) <= within / count).all()
    assert bits(kept.reshape(-1)) == bits(bare) == bits(bias.reshape(-1))
    assert bits(kept_mean.reshape(-1)) == bits(mean)
    for backend in PLANS:
        planned = gn.compile(fetches, backend=backend)({x: given})
        assert [bits(value) for value in planned] == [bits(value) for value in found], backend


def test_which_sums_are_products() -> None:
    def how(n: int, columns: int, axis: int, turn: bool = False, dtype: str = "float32") -> bool | None:
        return matmul_kernels.is_product(
            np.empty((columns, n), dtype).T if turn else np.empty((n, columns), dtype), (axis,)
        )

    assert how(16, 2, 0)
    assert how(16, 1024, 0)
    assert how(16, 8, 1)
    assert how(16, 128, 1)
    # NumPy does it as fast, or more exactly.
    assert not any(how(*case) for case in [(15, 2, 0), (16, 1, 0), (16, 1025, 0), (15, 8, 1), (16, 7, 1)])
    assert not any(
        how(*case) for case in [(16, 129, 1), (16, 8, 0, True), (16, 8, 1, True), (16, 8, 0, False, "int64")]
    )
    assert not matmul_kernels.is_product(np.broadcast_to(np.ones(8), (16, 8)), (0,))
    assert not matmul_kernels.is_product(np.empty((16, 8)), (0, 1))
    assert not matmul_kernels.is_product(np.empty((16, 8, 2)), (0,))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1000, 10**6])
def test_sums_are_no_less_exact_than_numpys(n: int, dtype: str) -> None:
    x = np.full((n, 3), 0.1, dtype)
    exact = n * float(x[0, 0])
    graph = gn.Graph(dtype=dtype)
    node = graph.placeholder("x", shape=("n", 3))
    turned = graph.placeholder("turned", shape=(3, "n"))
    tall, wide = gn.run([gn.sum(node, 0), gn.sum(gn.transpose(turned), 0)], {node: x, turned: x.T.copy()})
    few = 8 * np.finfo(dtype).eps * exact  # which differ from processor to processor
    assert (abs(tall - exact) <= abs(np.sum(x, axis=0) - exact) + few).all()
    assert (abs(wide - exact) <= abs(np.sum(x.T.copy(), axis=1) - exact) + few).all()


@pytest.mark.parametrize("shape", [(5000, 64, 3), (5000, 3, 64), (64, 5000, 3), (1, 50_000, 5)])
def test_what_is_not_finite_goes_where_it_belongs(shape: tuple[int, int, int]) -> None:
    m, k, n = shape
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(m, k)), rng.normal(size=(k, n))
    x[0, -1], x[-1, k // 2], y[k // 2, 0], y[-1, -1] = np.inf, np.nan, -np.inf, 0.0
    with np.errstate(invalid="ignore"):
        found, expected = matmul_kernels.product(x, y), (x[:, :, None] * y[None]).sum(axis=1)
    assert (np.isnan(found) == np.isnan(expected)).all()
    finite = np.isfinite(expected)
    assert (found[~finite & ~np.isnan(expected)] == expected[~finite & ~np.isnan(expected)]).all()
    np.testing.assert_allclose(found[finite], expected[finite], rtol=1e-9, atol=1e-9)


def a_long_step() -> tuple[list[gn.Node], list[dict[gn.Node, Array]]]:
    graph = gn.Graph(dtype="float32")
    x = graph.placeholder("x", shape=("batch", 64))
    w = graph.parameter("w", np.random.default_rng(0).normal(size=(64, 3)).astype("float32"))
    loss = gn.sum(gn.tanh(x @ w))
    gradient = gn.grad(loss, w)
    return [loss, gradient, gn.sum(gn.tanh(x), 0)], [{x: np.random.default_rng(1).normal(size=(5000, 64))}]


@pytest.mark.each_backend
def test_a_plan_of_long_products_gives_what_the_interpreter_gives() -> None:
    assert not differences(*a_long_step())


def test_blocks_of_another_length_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = fusion._rows_of
    monkeypatch.setattr(fusion, "_rows_of", lambda members: right(members) // 2 + 1)
    assert differences(*a_long_step())


def test_a_sum_that_is_not_begun_anew_is_found() -> None:
    fetches, (feed,) = a_long_step()
    step = gn.compile(fetches)
    source = step.plan(feed).source
    assert ".fill(0)" in source
    space: dict[str, Any] = {}
    exec(source.replace(".fill(0)", ".fill(1)"), space)  # noqa: S102 - our own code, with a fault
    plan = step.plan(feed)
    given = [step.prepared(feed).given[node] for node in plan.given]
    right, wrong = plan(*given), space["plan"](**plan.arguments)(*given)
    assert [bits(a) == bits(b) for a, b in zip(right, wrong, strict=True)] == [True, False, False]


def test_a_row_that_two_loops_add_is_repeated_for_each() -> None:
    graph = gn.Graph(dtype="float32")
    x, z = graph.placeholder("x", shape=("n", 64)), graph.placeholder("z", shape=("m", 64))
    row = graph.placeholder("row", shape=(64,))
    fetches = [gn.sum(gn.tanh(x + row)), gn.sum(gn.exp(gn.tanh(z * row) - row))]
    rng = np.random.default_rng(0)
    feeds = [
        {x: rng.normal(size=(5000, 64)), z: rng.normal(size=(3001, 64)), row: rng.normal(size=64)} for _ in range(3)
    ]
    assert gn.compile(fetches).plan(feeds[0]).source.count("__repeated__") > 8
    assert not differences(fetches, feeds)


@pytest.mark.each_backend
def test_rows_are_not_written_over_while_a_product_needs_the_columns() -> None:
    graph = gn.Graph(dtype="float32")
    a, b, w = (
        graph.placeholder(name, shape) for name, shape in zip("abw", [(300, 300), (300, 300), (300, 4)], strict=True)
    )
    p = a @ b
    e = gn.tanh(p)
    rng = np.random.default_rng(0)
    feeds = [{node: rng.normal(size=node.shape).astype("float32") * 0.1 for node in (a, b, w)} for _ in range(2)]
    assert not differences([p @ w, gn.sum(e * e)], feeds)
    assert not differences([gn.transpose(p) @ w, gn.sum(e * e)], feeds)


def test_a_node_may_be_called_as_what_threads_call() -> None:
    graph = gn.Graph(dtype="float32")
    x, z = graph.placeholder("x", shape=("n",)), graph.placeholder("z", shape=("n",))
    fetches = [gn.sum(gn.exp(gn.tanh(x))), gn.sum(gn.exp(gn.sin(z, name="part")))]
    assert not differences(
        fetches, [{x: np.ones(2**19, "float32"), z: np.ones(2**19, "float32")}], settings=Settings(threads=2)
    )


@pytest.mark.each_backend
def test_the_stride_of_an_axis_of_one_element_means_nothing() -> None:
    numbers, y_fed = np.random.default_rng(0).normal(size=50_000), np.random.default_rng(1).normal(size=(50_000, 5))
    graph = gn.Graph()
    x, z = graph.placeholder("x", (1, 50_000)), graph.placeholder("z", (50_000, 1))
    y = graph.placeholder("y", (50_000, 5))
    fetches = [x @ y, gn.transpose(z) @ y, z @ gn.transpose(z[:3]), gn.sum(z, 0), gn.sum(x, 1), gn.sum(x, 0)]
    for row in (numbers[None], numbers.reshape(1, -1), np.array(numbers[None], order="F")):
        for column in (numbers[:, None], np.array(numbers[:, None], order="F")):
            assert not differences(fetches, [{x: row, y: y_fed, z: column}])


def test_a_stack_times_a_matrix_without_columns_is_empty() -> None:
    x, y, out = np.ones((2, 3, 4)), np.ones((4, 0)), np.empty((2, 3, 0))
    assert matmul_kernels.product(x, y, out) is out
    assert matmul_kernels.product(x, y).shape == (2, 3, 0)
