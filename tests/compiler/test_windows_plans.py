"""Windows, what is reduced over few elements, and contractions: in plans to the bit what a run gives."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn.ops.contraction import contraction_of
from graphnn.ops.reduction_kernels import are_few

pytestmark = pytest.mark.each_backend
Array = np.ndarray[Any, np.dtype[Any]]


def numbers(rng: np.random.Generator, shape: Sequence[int], dtype: str) -> Array:
    return np.asarray((rng.standard_normal(shape) * 4).round() * (0.0 if dtype == "bool" else -1.0)).astype(dtype)


def assert_equal(nodes: Sequence[gn.Node], feed: dict[gn.Node, Array]) -> list[Array]:
    """Check that a compiled step gives the bits of a run, and return the values."""
    values: list[Array] = gn.run(list(nodes), feed)
    planned = gn.compile(list(nodes))(feed)
    for node, *both in zip(nodes, values, planned, strict=True):
        one, other = (np.where(x == x, x, np.asarray(np.nan, x.dtype)) if x.dtype.kind == "f" else x for x in both)
        assert one.tobytes() == other.tobytes(), node
    return values


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "int32", "bool"])
def test_few_elements_that_lie_apart_are_reduced_place_by_place(dtype: str, turned: bool) -> None:
    rng = np.random.default_rng(len(dtype))
    for size, stride in [((3, 3), 1), ((1, 2), (2, 1)), ((3, 2), (1, 2)), ((7, 2), 1)]:
        x = gn.Graph(dtype="float32").placeholder("x", (2, 3, 29, 25), dtype)
        moving = gn.windows(x, size, stride)
        axes = (1, 0) if turned else (-1, -2)
        moving = gn.transpose(moving, (4, 5, 0, 1, 2, 3)) if turned else moving
        nodes = [gn.max(moving, axes), gn.min(moving, axes, keepdims=True), gn.sum(moving, axes)]
        nodes += [gn.max(moving, axes[0]), gn.sum(moving, axes, keepdims=True)]
        nodes += [gn.prod(moving, axes)] if dtype != "float16" else []
        if dtype.startswith("f"):
            nodes += [gn.mean(moving, axes), gn.max(moving, axes, ties="first")]
            nodes += [gn.grad(gn.sum(node * node), x) for node in (nodes[0], nodes[2], *nodes[-2:])]
        value = numbers(rng, x.shape, dtype)
        values = assert_equal(nodes, {x: value})
        whole = gn.run(moving, {x: value})
        over = tuple(axis % 6 for axis in axes)
        expected = np.ascontiguousarray(np.moveaxis(whole, over, (-1, -2)).reshape(*values[0].shape, -1))
        assert np.array_equal(values[0], expected.max(-1))
        np.testing.assert_allclose(values[2], expected.sum(-1), rtol=1e-2 if dtype == "float16" else 1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "int32", "bool"])
@pytest.mark.parametrize(
    ("shape", "axes", "is_by_places"),
    [
        ((4, 6, 8, 2, 8, 2), (3, 5), True),  # the largest of each square of pixels
        ((2, 1500, 1, 3), (0, 3), True),
        ((9, 8, 700, 3), (0, 3), True),
        ((9, 9, 700, 3), (0, 1, 3), False),  # too many elements
        ((6, 700, 2, 3), (2, 3), False),  # side by side
        ((6, 700, 1, 3), (2, 3), False),
        ((3, 2, 700), (0, 2), False),
        ((2, 100, 3), (0, 2), False),  # too few results
    ],
)
def test_axes_that_are_apart_are_reduced_place_by_place(
    shape: tuple[int, ...], axes: tuple[int, ...], is_by_places: bool, dtype: str
) -> None:
    value = numbers(np.random.default_rng(len(shape)), shape, dtype)
    x = gn.Graph(dtype="float32").placeholder("x", shape, dtype)
    nodes = [gn.max(x, axes), gn.min(x, axes, keepdims=True), gn.sum(x, axes), gn.transpose(gn.max(x, axes))]
    if dtype.startswith("f"):
        nodes += [gn.mean(x, axes, keepdims=True), gn.max(x, axes, ties="first")]
        nodes += [gn.grad(gn.sum(node * node), x) for node in (nodes[0], nodes[2], *nodes[-2:])]
    values = assert_equal(nodes, {x: value})
    assert np.array_equal(values[0], value.max(axes))
    np.testing.assert_allclose(values[2], value.sum(axes), rtol=1e-2 if dtype == "float16" else 1e-6)
    assert are_few(value, axes, adds=False) is is_by_places


def test_a_sum_of_nothing_but_minus_zeros_is_zero() -> None:
    x = gn.Graph().placeholder("x", (40, 40))
    (total,) = assert_equal([gn.sum(gn.windows(x, 3), (-2, -1))], {x: np.full((40, 40), -0.0)})
    assert not np.signbit(total).any()


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "bool"])
def test_fold_adds_the_same_in_the_same_order(dtype: str) -> None:
    rng = np.random.default_rng(len(dtype))
    for axes in [(-2, -1), (2, 3), (0, 3), (1, 0)]:
        g = gn.Graph(dtype="float32")
        shape = tuple(rng.integers(6, 12, 4).tolist())
        size, stride, dilation = (tuple(rng.integers(1, most, 2).tolist()) for most in (4, 4, 3))
        x = g.placeholder("x", shape, dtype)
        moving = gn.windows(x, size, stride, dilation, axes)
        folded = [gn.fold(each, shape, size, stride, dilation, axes) for each in (moving, gn.flip(moving, 0))]
        assert_equal([moving, *folded], {x: numbers(rng, shape, dtype)})


def test_windows_that_are_an_outer_product_are_multiplied_when_they_are_folded() -> None:
    rng = np.random.default_rng(0)
    g = gn.Graph(dtype="float32")
    x, w = g.placeholder("x", (3, 8, 20, 20)), g.placeholder("w", (8, 1, 3, 3))
    y = gn.conv(x, w, stride=2, padding=1, groups=8)
    feed = {x: numbers(rng, x.shape, "float32"), w: numbers(rng, w.shape, "float32")}
    feed[w].flat[3], feed[w].flat[5], feed[x].flat[7] = np.inf, np.nan, -0.0
    slope = gn.grad(gn.sum(y * y), [x, w])
    assert_equal([y, *slope], feed)
    plan = gn.compile(slope[0]).plan(feed)
    largest = max(piece.size for piece in plan.explain().pieces)
    assert largest < 2 * 4 * feed[x].size  # and not nine times that


SUMS = (
    "ij,jk->ik bij,bjk->bik i,i-> i,j->ij ij,j->i bqhd,bkhd->bhqk bhqk,bkhd->bqhd ij,ik->jk ij,jk->ki abij,acij->abc "
    "nchwij,cij->nchw nchw,nchwij->cij nchw,cij->nchwij nchwij,fcij->nfhw ij,ij->i ij,ij->ij ab,ba-> bij,bik->bkj"
)


@pytest.mark.parametrize("subscripts", SUMS.split())
def test_contractions_are_the_same_and_true(subscripts: str) -> None:
    for number in range(8):
        rng = np.random.default_rng([number, len(subscripts)])
        sizes = {letter: int(rng.integers(1, 9)) for letter in "abcdfhijknqw"}
        if number % 3 == 0:
            sizes.update(h=9, w=8, n=6, q=20, k=21)
        dtype = ["float32", "float64"][number % 2]
        g = gn.Graph(dtype=dtype)
        nodes, feed = [], {}
        for i, term in enumerate(subscripts.partition("->")[0].split(",")):
            order = rng.permutation(len(term))
            x = g.placeholder(f"x{i}", tuple(sizes[term[k]] for k in order))
            feed[x] = numbers(rng, x.shape, dtype) if number % 4 else rng.standard_normal(x.shape).astype(dtype)
            nodes.append(gn.transpose(x, tuple(np.argsort(order).tolist())))
            nodes[-1] = gn.flip(nodes[-1], 0) if number % 5 == 0 else nodes[-1]
        if number % 7 == 0 and nodes[0].shape == nodes[1].shape:
            nodes = [nodes[0], nodes[0]]
        y = gn.einsum(subscripts, *nodes)
        used = [x for x in feed if any(x in (node, *node.inputs) or x in node.inputs[0].inputs for node in nodes)]
        slopes = gn.grad(gn.sum(y * y), used)
        values = assert_equal([y, y * 2, *slopes, *nodes], feed)
        exact = np.einsum(subscripts, *[value.astype("float64") for value in values[-2:]])
        scale = np.einsum(subscripts, *[np.abs(value.astype("float64")) for value in values[-2:]])
        assert np.all(np.abs(values[0] - exact) <= 1e-6 * scale + 1e-12)


def test_windows_are_not_copied_to_be_contracted() -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", (4, 8, 22, 22)), g.placeholder("y", (4, 8, 20, 20))
    moving = gn.windows(x, 3)
    rng = np.random.default_rng(0)
    feed = {each: rng.standard_normal(each.shape) for each in (x, y)}
    for right in ("cij", "jic", "icj"):
        slope = gn.einsum(f"nchwij,nchw->{right}", moving, y)
        value, windows = assert_equal([slope, moving], feed)
        np.testing.assert_allclose(value, np.einsum(f"nchwij,nchw->{right}", windows, feed[y]), rtol=1e-11)
        pieces = gn.compile(slope).plan(feed).explain().pieces
        assert max([piece.size for piece in pieces], default=0) < windows.nbytes / 9


@pytest.mark.parametrize(("size", "stride", "dilation"), [((3, 3), 1, 1), ((3, 1), 1, 1), ((3, 2), (2, 1), (1, 2))])
@pytest.mark.parametrize("value", [0.5, np.inf, np.nan])
def test_an_element_counts_only_in_the_windows_that_have_it(
    size: tuple[int, int], stride: int | tuple[int, int], dilation: int | tuple[int, int], value: float
) -> None:
    g = gn.Graph(dtype="float32")
    x = g.placeholder("x", (4, 8, 52, 50))
    moving = gn.windows(x, size, stride, dilation)
    y = g.placeholder("y", moving.shape[:4])
    rng = np.random.default_rng(0)
    feed = {each: rng.standard_normal(each.shape, np.float32) for each in (x, y)}
    feed[x][1, 2, 7, 0] = feed[x][0, 5, 51, 49] = value
    found, turned, windows = assert_equal(
        [gn.einsum("nchwij,nchw->cij", moving, y), gn.einsum("nchw,nchwij->jci", y, moving), moving], feed
    )
    exact = np.einsum("nchwij,nchw->cij", *(each.astype("float64") for each in (windows, feed[y])))
    for each in (found, turned.transpose(1, 2, 0)):
        np.testing.assert_allclose(each, exact, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("subscripts", "shapes", "kind"),
    [
        ("bqhd,bkhd->bhqk", [(2, 16, 4, 8), (2, 16, 4, 8)], "product"),
        ("ij,j->i", [(3, 4), (4,)], "product"),
        ("nchwij,cij->nchw", [(2, 4, 20, 20, 3, 3), (4, 3, 3)], "places"),
        ("nchw,cij->nchwij", [(2, 4, 20, 20), (4, 3, 3)], "outer"),
        ("bij,bjk->bik", [(1000, 2, 2), (1000, 2, 2)], None),
        ("ij,jk->i", [(3, 4), (4, 5)], None),
        ("ii,i->i", [(3, 3), (3,)], None),
        ("ij,jk->ik", [(3, 4), (1, 5)], None),
        ("ij,jk->ik", [(3, 0), (0, 5)], None),
    ],
)
def test_how_a_contraction_is_computed(subscripts: str, shapes: Any, kind: str | None) -> None:
    how = contraction_of(subscripts, *map(np.ones, shapes))
    assert (how.kind if how else None) == kind


def test_attention_is_products_of_matrices_without_copies() -> None:
    g = gn.Graph(dtype="float32")
    q, k = g.placeholder("q", (2, 16, 4, 8)), g.placeholder("k", (2, 16, 4, 8))
    scores = gn.einsum("bqhd,bkhd->bhqk", q, k)
    feed = {x: np.random.default_rng(0).standard_normal(x.shape).astype("float32") for x in (q, k)}
    assert_equal([scores], feed)
    assert gn.compile(scores).plan(feed).explain().calls == 1


@pytest.mark.parametrize("order", [(0, 3, 1, 2), (3, 2, 1, 0), (1, 0, 2, 3), (2, 3, 0, 1)])
@pytest.mark.parametrize("shape", [(2, 7, 5, 3), (1, 7, 5, 3), (1, 1, 6, 1)])
def test_what_is_padded_in_another_order_is_planned(shape: tuple[int, ...], order: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    x = gn.Graph(dtype="float32").placeholder("x", shape)
    padded = [gn.pad(gn.transpose(x, order), ((0, 0), (0, 1), (1, 1), (2, 1)), constant_values=c) for c in (0, -0.0, 2)]
    sums = [gn.sum(gn.windows(each + 1, (2, 1)), (-1, -2)) * each[0, 0, 0, 0] for each in padded]
    assert_equal([*sums, *[gn.sum(each * 1.7) for each in padded]], {x: numbers(rng, shape, "float32") * 1.1})


@pytest.mark.parametrize("order", [(0, 3, 1, 2), (3, 2, 1, 0), (1, 0, 2, 3), (2, 3, 0, 1)])
@pytest.mark.parametrize("shape", [(2, 7, 5, 3), (1, 7, 5, 3), (1, 1, 6, 1), (2, 2, 2, 2)])
def test_what_is_joined_in_other_orders_is_planned(shape: tuple[int, ...], order: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    g = gn.Graph(dtype="float32")
    x, y = g.placeholder("x", shape), g.placeholder("y", [shape[axis] for axis in order])
    turned = gn.transpose(x, order)
    pairs = [(turned, y), (y, turned), (turned, turned * 2), (turned, gn.broadcast_to(y[..., :1], y.shape))]
    several = [joined(pair, axis) for pair in pairs for joined in (gn.concatenate, gn.stack) for axis in (0, 1, -1)]
    if y.shape[2] > 1:
        several.append(gn.concatenate([gn.windows(y, 2, axes=2), gn.windows(turned, 2, axes=2)], 1))
    fed = {x: numbers(rng, shape, "float32") * 1.1, y: numbers(rng, y.shape, "float32") * 1.3}
    assert_equal([*[gn.sum(each * 1.7) for each in several], *[gn.sum(each, 0) for each in several]], fed)


def test_what_follows_a_join_of_two_orders_is_planned_whole() -> None:
    g = gn.Graph(dtype="float32")
    x, y = g.placeholder("x", (2, 4, 4, 3)), g.placeholder("y", (2, 3, 4, 4))
    z = gn.tanh(gn.concatenate([y, gn.transpose(x, (0, 3, 1, 2))], 1))
    feed = {node: np.ones(node.shape, np.float32) for node in (x, y)}
    assert "asarray(" not in gn.compile(z, backend="numpy").plan(feed).source


def test_a_convolution_of_channels_that_come_last_is_planned_whole() -> None:
    x = gn.Graph(dtype="float32").placeholder("x", ("n", 8, 8, 3))
    w = x.graph.parameter("w", np.linspace(-1, 1, 4 * 27, dtype="float32").reshape(4, 3, 3, 3))
    y = gn.relu(gn.conv(gn.transpose(x, (0, 3, 1, 2)), w, padding="same"))
    feed = {x: np.random.default_rng(5).standard_normal((2, 8, 8, 3)).astype("float32")}
    assert_equal([y, gn.grad(gn.sum(y * y), w)], feed)
    assert "asarray(" not in gn.compile(y, backend="numpy").plan(feed).source


def turned_graph(number: int) -> tuple[list[gn.Node], dict[gn.Node, Array]]:
    """Return values and gradients of windows, pads, folds, joins and sums, of arrays whose axes lie in any order."""
    rng = np.random.default_rng([number, 11])
    g = gn.Graph(dtype="float32" if number % 3 else "float64")
    shape = tuple(rng.integers(1 if number % 4 == 0 else 2, 7, 4).tolist())
    feed: dict[gn.Node, Array] = {}

    def given(wanted: Sequence[int]) -> gn.Node:
        order = rng.permutation(4)
        x = g.placeholder(f"x{len(feed)}", tuple(int(wanted[axis]) for axis in order))
        feed[x] = rng.standard_normal(x.shape).astype(g.dtype)
        feed[x].flat[:: 1 + x.size // 2] = [-0.0, np.nan, np.inf][number % 17] if number % 17 < 3 else -0.0
        return gn.transpose(x, tuple(np.argsort(order).tolist()))

    values = [given(shape), given(shape), gn.broadcast_to(given((1, *shape[1:3], 1)), shape)]
    for _ in range(int(rng.integers(3, 9))):
        x, y = (values[int(rng.integers(len(values)))] for _ in range(2))
        axis = int(rng.integers(4))
        span = tuple(int(rng.integers(1, min(n, 3) + 1)) for n in (x.shape[1], x.shape[3]))
        ways = {"stride": tuple(rng.integers(1, 3, 2).tolist()), "axes": (1, 3)}
        moving = gn.windows(x, span, **ways)
        some = [
            lambda x=x, y=y: x * y + 1.5,
            lambda x=x: gn.exp(gn.minimum(x, 3.0)),
            lambda x=x, y=y: gn.where(x > y, x, -y),
            lambda x=x, axis=axis: x - gn.mean(x, axis, keepdims=True),
            lambda x=x, axis=axis: x / (1 + gn.sum(x * x, (axis, (axis + 1) % 4), keepdims=True)),
            lambda x=x, axis=axis: gn.max(x, axis, keepdims=True) + gn.std(x, (axis + 1) % 4, keepdims=True),
            lambda x=x, y=y, axis=axis: gn.sum(gn.stack([x, y], axis), axis),
            lambda x=x, axis=axis: gn.getitem(
                gn.concatenate([x * 2, x], axis), (slice(None),) * axis + (slice(1, shape[axis] + 1),)
            ),
            lambda x=x: gn.pad(x, ((0, 0), (1, 1), (0, 0), (1, 0)))[:, 1:-1, :, 1:] * 1.25,
            lambda x=x, moving=moving, span=span, ways=ways: gn.fold(moving * moving, x.shape, span, **ways),
            lambda x=x, moving=moving: gn.max(moving, (-2, -1))[:, :1, :, :1] + x,
            lambda x=x: gn.roll(x, 1, 2) if shape[2] > 1 else x,
            lambda x=x: gn.flip(x, 1) * 0.5,
        ]
        values.append(some[int(rng.integers(len(some)))]())
        if values[-1].shape != shape:
            values[-1] = gn.broadcast_to(gn.sum(values[-1]), shape)
    last = gn.matmul(values[-1], gn.swapaxes(values[-2], -1, -2))
    fed = [x for x in feed if x.users]
    loss = gn.sum(last * last) + gn.sum(values[-1])
    return [*values[3:], last, *gn.grad(loss, fed)], feed


@pytest.mark.parametrize("first", range(0, 120, 30))
def test_what_lies_in_any_order_is_planned(first: int) -> None:
    for number in range(first, first + 30):
        assert_equal(*turned_graph(number))
