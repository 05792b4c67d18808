"""Convolution and pooling against PyTorch's figures, and what their errors say."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn

CASES = json.loads((Path(__file__).parents[1] / "data" / "torch_convolutions.json").read_text(encoding="utf-8"))
SETTINGS = {"stride", "padding", "output_padding", "dilation", "groups", "size", "count_include_pad"}


def inputs(case: dict[str, Any], g: gn.Graph, named: bool) -> dict[gn.Node, Any]:
    rng = np.random.default_rng(5)  # as in data/make_torch_convolutions.py
    arrays = {operand: rng.integers(-4, 5, case[operand]) / 4 for operand in ("x", "w") if operand in case}
    shapes = {operand: array.shape for operand, array in arrays.items()}
    if named:
        shapes["x"] = ("batch", *shapes["x"][1:])
    return {g.placeholder(operand, shape=shapes[operand]): array for operand, array in arrays.items()}


def settings(case: dict[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in case.items() if key in SETTINGS}
    return {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}


@pytest.mark.parametrize("named", [False, True], ids=["sized", "named"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['name']}-{settings(case)}")
def test_values_and_gradients_are_pytorchs(case: dict[str, Any], named: bool) -> None:
    g = gn.Graph()
    feed = inputs(case, g, named)
    y = getattr(gn, case["name"])(*feed, **settings(case))
    cotangent = np.random.default_rng(6).integers(-4, 5, case["shape"]) / 4
    nodes = [y, *gn.vjp({y: cotangent}, list(feed))]
    shapes = [case["shape"], *(case[operand] for operand in ("x", "w") if operand in case)]
    for evaluated in (gn.run(nodes, feed), gn.compile(nodes)(feed)):
        for value, expected, shape in zip(evaluated, case["found"], shapes, strict=True):
            np.testing.assert_allclose(value, np.reshape(expected, shape), rtol=0, atol=1e-14)


def placed(*shape: Any, dtype: str = "float64") -> gn.Node:
    return gn.Graph().placeholder("x", shape=shape, dtype=dtype)


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("n", [4, 5, 6, 7])
def test_same_padding_gives_a_window_for_each_stride_and_puts_the_odd_zero_after(
    n: int, size: int, stride: int
) -> None:
    count = -(-n // stride)  # TensorFlow's: https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2
    total = max((count - 1) * stride + size - n, 0)
    padded = np.pad(np.arange(1.0, n + 1), (total // 2, total - total // 2))
    expected = [padded[i * stride :][:size].sum() for i in range(count)]
    for shape in [(1, 1, n), (1, 1, "n")]:
        x = placed(*shape)
        y = gn.conv(x, np.ones((1, 1, size)), stride, "same")
        feed = {x: np.arange(1.0, n + 1).reshape(1, 1, n)}
        assert gn.run(y, feed).tolist() == [[expected]]
        slope = gn.grad(gn.sum(y), x)
        assert gn.run(slope, feed).shape == (1, 1, n)
        up = gn.conv_transpose(y, np.ones((1, 1, size)), stride, "same")
        assert gn.run(up, feed).shape == (1, 1, count * stride)


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric", "wrap"])
@pytest.mark.parametrize("width", [0, 1, (2, 1), ((1, 0), (0, 2)), ((0, 0), (2, 2))])
@pytest.mark.parametrize("shape", [(3, 4), ("n", "m")])
def test_padding_by_what_is_there_is_numpys(mode: Any, width: Any, shape: tuple[Any, ...]) -> None:
    x = placed(*shape)
    value = np.arange(12.0).reshape(3, 4)
    y = gn.pad(x, width, mode)
    assert np.array_equal(gn.run(y, {x: value}), np.pad(value, width, mode))
    cotangent = np.random.default_rng(1).integers(-4, 5, np.pad(value, width).shape) / 4
    taken = np.pad(value.astype(int), width, mode)
    expected = np.zeros(12)
    np.add.at(expected, taken, cotangent)
    slope = gn.run(gn.vjp({y: cotangent}, x), {x: value})
    assert np.array_equal(slope, expected.reshape(3, 4))


def test_padding_has_the_name_it_is_given() -> None:
    x = placed(3)
    g = x.graph
    assert gn.pad(x, 1, name="a") is g["a"]
    assert gn.pad(x, 1, "wrap", name="b") is g["b"]


@pytest.mark.parametrize(
    ("mode", "told"), [("edge", "copies 3 elements"), ("reflect", "copies 3"), ("wrap", "copies 3")]
)
def test_an_axis_that_is_too_short_to_be_copied_is_refused(mode: Any, told: str) -> None:
    n = 0 if mode == "edge" else 2
    with pytest.raises(gn.ShapeError, match=told):
        gn.pad(placed(n), 3, mode)
    x = placed("n")
    y = gn.pad(x, 3, mode)
    with pytest.raises(gn.ShapeError):
        gn.run(y, {x: np.ones(n)})


def test_widths_may_have_names() -> None:
    g = gn.Graph()
    x, k = g.placeholder("x", shape=("n",)), g.placeholder("k", shape=("k",))
    y = gn.pad(x, ((k.shape[0], 1),))
    assert y.shape == ("k+n+1",)
    values = gn.run([y, gn.grad(gn.sum(y * y), x)], {x: [1.0, 2.0], k: np.zeros(3)})
    assert [value.tolist() for value in values] == [[0, 0, 0, 1, 2, 0], [2, 4]]
    with pytest.raises(gn.UsageError, match="numbers as widths"):
        gn.pad(x, ((k.shape[0], 1),), "edge")


BIG = 2**63 - 1


@pytest.mark.parametrize(
    "make",
    [
        lambda x: gn.windows(x, 0),
        lambda x: gn.windows(x, -1),
        lambda x: gn.windows(x, 2**63),
        lambda x: gn.windows(x, 2.0),
        lambda x: gn.windows(x, True),
        lambda x: gn.windows(x, "n"),
        lambda x: gn.windows(x, BIG),
        lambda x: gn.windows(x, BIG, BIG, BIG),
        lambda x: gn.windows(x, 5),
        lambda x: gn.windows(x, 3, dilation=2),
        lambda x: gn.windows(x, (2, 2, 2)),
        lambda x: gn.windows(x, 2, stride=(1,)),
        lambda x: gn.windows(x, 2, axes=(-1, 1)),
        lambda x: gn.windows(x, 2, axes=(0, 2)),
        lambda x: gn.windows(x, 2, stride=0),
        lambda x: gn.fold(x, (4, 4), 2),
        lambda x: gn.fold(x, (BIG, BIG), BIG),
        lambda x: gn.conv(gn.expand_dims(x, 0), np.ones((2, 3, 2))),
        lambda x: gn.conv(gn.expand_dims(x, 0), np.ones((3, 2, 2)), groups=2),
        lambda x: gn.conv(gn.expand_dims(x, 0), np.ones((2, 4, 2)), groups=0),
        lambda x: gn.conv(gn.expand_dims(x, 0), np.ones((2, 4, 2, 2))),
        lambda x: gn.conv(gn.expand_dims(x, 0), np.ones((2, 4, 2)), padding=-1),
        lambda x: gn.conv(gn.expand_dims(x, 0), np.ones((2, 4, 2)), padding="full"),
        lambda x: gn.conv(gn.expand_dims(x, 0), np.ones((2, 4, 2)), padding=((1, 1, 1),)),
        lambda x: gn.conv(gn.expand_dims(x, 0), np.ones((2, 4, 7))),
        lambda x: gn.conv(x, np.ones((2, 4))),
        lambda x: gn.conv_transpose(gn.expand_dims(x, 0), np.ones((3, 2, 2))),
        lambda x: gn.max_pool(gn.expand_dims(x, 0), 2, padding=2),
        lambda x: gn.max_pool(x, 2),
        lambda x: gn.adaptive_max_pool(gn.expand_dims(x, 0), 0),
        lambda x: gn.adaptive_average_pool(gn.expand_dims(x, 0), BIG),
        lambda x: gn.pad(x, 2**70, "edge"),
        lambda x: gn.average_pool(x, 1),
    ],
)
def test_what_does_not_fit_is_refused_where_it_is_written(make: Any) -> None:
    with pytest.raises(gn.GraphnnError) as told:
        make(placed(4, 4))
    assert "test_convolution.py" in str(told.value)


def test_an_axis_with_a_name_that_turns_out_too_short_is_refused() -> None:
    x = placed("n")
    y = gn.windows(x, 3, axes=-1)
    for evaluate in (gn.run, lambda node, feed: gn.compile(node)(feed)):
        with pytest.raises(gn.ShapeError, match="a window of 3 does not fit into axis 0"):
            evaluate(y, {x: np.ones(2)})


def test_windows_far_apart_do_not_overflow() -> None:
    x = placed(3)
    value = np.array([1.0, 2.0, 3.0])
    assert gn.run(gn.windows(x, 1, BIG, BIG, -1), {x: value}).tolist() == [[1.0]]
    assert gn.run(gn.fold(gn.windows(x, 3, BIG, 1, -1), 3, 3, BIG, 1, -1), {x: value}).tolist() == [1, 2, 3]
    empty = gn.Graph().placeholder("x", shape=(0, 10**6, 10**6))
    folded = gn.fold(gn.windows(empty, 10**6, axes=(1, 2)), (0, 10**6, 10**6), 10**6, axes=(1, 2))
    assert gn.run(folded, {empty: np.empty((0, 10**6, 10**6))}).shape == (0, 10**6, 10**6)


def test_a_maximum_passes_nan_and_its_gradient_goes_there() -> None:
    x = placed(1, 1, 4)
    y = gn.max_pool(x, 2)
    values = gn.run([y, gn.grad(gn.sum(y), x)], {x: [[[1.0, np.nan, 3.0, 3.0]]]})
    np.testing.assert_array_equal(values[0], [[[np.nan, 3]]])
    np.testing.assert_array_equal(values[1], [[[0, 1, 1, 0]]])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "float16"])
def test_what_is_padded_is_never_the_largest(dtype: str) -> None:
    x = placed(1, 1, 2, dtype=dtype)
    least = -np.inf if dtype == "float16" else np.iinfo(dtype).min
    assert gn.run(gn.max_pool(x, 3, 1, 1), {x: np.full((1, 1, 2), least, dtype)}).tolist() == [[[least, least]]]


def test_what_no_window_of_a_transposed_convolution_reaches_is_0() -> None:
    x = gn.Graph().placeholder("x", ("n", 1, 2))
    kernel, feed = np.array([[[1.0, 2.0]]]), {x: [[[3.0, 4.0]]]}
    for stride, more, dilation, wanted in ((2, 3, 1, [3, 6, 4, 8]), (1, 1, 1, [3, 10, 8]), (1, 2, 2, [3, 4, 6, 8])):
        y = gn.conv_transpose(x, kernel, stride, output_padding=more, dilation=dilation)
        assert gn.run(y, feed).ravel().tolist() == [*wanted, *[0] * more]
