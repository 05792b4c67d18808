"""Convolution, pooling and sampling of ONNX, against ONNX Runtime, at sizes with and without names."""

from collections.abc import Callable

import numpy as np
import pytest

Check = Callable[..., object]
RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("settings", ["strides=[2,3]", "strides=[1,1], dilations=[2,1]", "group=2, strides=[2,2]"])
def test_convolution_of_named_sizes(check: Check, auto_pad: str, settings: str) -> None:
    channels = 2 if "group" in settings else 4
    if "dilations" in settings and auto_pad != "VALID":
        settings = "strides=[1,1]"
    feed = {"x": normal(2, 4, 9, 10), "w": normal(6, channels, 3, 2), "b": normal(6)}
    sizes = f"(float[n,4,h,k] x, float[6,{channels},3,2] w, float[6] b) => (float[n,6,i,j] y)"
    check(f'{sizes} {{y = Conv<auto_pad="{auto_pad}", {settings}>(x, w, b)}}', feed)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_convolution_of_one_to_three_axes_and_the_transposed_one(check: Check, axes: int) -> None:
    names, threes = ",".join("abc"[:axes]), ",".join("3" * axes)
    x, w, v = normal(2, 4, *[7] * axes), normal(4, 2, *[3] * axes), normal(4, 3, *[3] * axes)
    sizes = f"(float[n,4,{names}] x, float[4,2,{threes}] w) => (float[n,4,{names}] y)"
    check(f"{sizes} {{y = Conv<group=2, pads=[{','.join('1' * 2 * axes)}]>(x, w)}}", {"x": x, "w": w})
    twos = ",".join("2" * axes)
    sizes = f"(float[n,4,{names}] x, float[4,3,{threes}] w) => (float[n,6,{names.upper()}] y)"
    more = f"group=2, strides=[{twos}], pads=[{','.join('1' * 2 * axes)}], output_padding=[{','.join('1' * axes)}]"
    check(f"{sizes} {{y = ConvTranspose<{more}>(x, w)}}", {"x": x, "w": v})


@pytest.mark.parametrize(
    "more", ["ceil_mode=1", "ceil_mode=1, pads=[1,0,1,1]", "pads=[1,1,1,1]", 'auto_pad="SAME_LOWER"']
)
@pytest.mark.parametrize("length", [7, 8, 9, 10])
def test_pooling_of_named_sizes(check: Check, more: str, length: int) -> None:
    feed = {"x": normal(2, 3, length, 8)}
    text = "(float[n,3,h,w] x) => (float[n,3,a,b] y) {y = %s<kernel_shape=[3,2], strides=[3,2], %s>(x)}"
    check(text % ("MaxPool", more), feed)
    check(text % ("AveragePool", more), feed)
    check(text % ("AveragePool", more + ", count_include_pad=1"), feed)
    if "ceil" not in more:
        check(text % ("LpPool", more + ", p=3"), feed)


@pytest.mark.parametrize("order", [0, 1])
def test_indices_of_a_pool_count_through_the_whole_array(check: Check, order: int) -> None:
    text = (
        "(float[n,3,7,8] x) => (float[n,3,4,3] y, int64[n,3,4,3] i)"
        " {y, i = MaxPool<kernel_shape=[2,3], strides=[2,2], pads=[1,0,0,0], dilations=[1,1], storage_order=%d>(x)}"
    )
    check(text % order, {"x": normal(2, 3, 7, 8)})


def test_regions_are_pooled(check: Check) -> None:
    rois = np.array([[0, 0, 0, 6, 6], [1, 2, 1, 9, 5], [0, 4, 4, 4, 4]], np.float32)
    text = "(float[n,2,9,12] x, float[r,5] rois) => (float[r,2,2,3] y)"
    check(
        text + " {y = MaxRoiPool<pooled_shape=[2,3], spatial_scale=0.7>(x, rois)}",
        {"x": normal(2, 2, 9, 12), "rois": rois},
    )


@pytest.mark.parametrize("mode", ["linear", "cubic", "nearest"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_sampling_of_named_sizes(check: Check, mode: str, padding: str) -> None:
    feed = {"x": normal(2, 3, 5, 6), "grid": RNG.uniform(-1.6, 1.6, (2, 4, 7, 2)).astype(np.float32)}
    for corners in (0, 1):
        check(
            "(float[n,3,h,w] x, float[n,a,b,2] grid) => (float[n,3,a,b] y)"
            f' {{y = GridSample<mode="{mode}", padding_mode="{padding}", align_corners={corners}>(x, grid)}}',
            feed,
            20,
            1e-4,
        )
