"""Recurrence, normalization, Resize, bytes, signals and attention of ONNX, against ONNX Runtime."""

from collections.abc import Callable

import numpy as np
import pytest
from onnx import parser

import graphnn as gn

Check = Callable[..., gn.Graph]
RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def whole(*shape: int, dtype: str = "uint8") -> np.ndarray:
    bounds = np.iinfo(dtype)
    return RNG.integers(bounds.min, bounds.max + 1, shape).astype(dtype)


GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("time", ["5", "time"])
def test_recurrent_layers_with_all_operands(check: Check, op: str, direction: str, time: str) -> None:
    two, gates = 1 + (direction == "bidirectional"), GATES[op]
    feed = {
        "x": normal(5, 3, 2),
        "w": normal(two, gates * 4, 2),
        "r": normal(two, gates * 4, 4),
        "b": normal(two, 2 * gates * 4),
        "l": np.array([5, 2, 4], np.int32),
        "h": normal(two, 3, 4),
    }
    more, last = "", ""
    if op == "LSTM":
        feed |= {"c": normal(two, 3, 4), "p": normal(two, 12)}
        more, last = ", c, p", f", float[{two},3,4] z"
    takes = ", ".join(
        f"{'int32' if name == 'l' else 'float'}[{','.join(map(str, array.shape))}] {name}"
        for name, array in feed.items()
    ).replace("[5,3,2]", f"[{time},3,2]")
    for settings in ("", ", clip=0.4") + ((", linear_before_reset=1",) if op == "GRU" else ()):
        graph = check(
            f"({takes}) => (float[{time},{two},3,4] y, float[{two},3,4] s{last})"
            f" {{y, s{', z' if last else ''} = "
            f'{op}<hidden_size=4, direction="{direction}"{settings}>(x, w, r, b, l, h{more})}}',
            feed,
        )
        assert sum(node.op.name == "loop" for node in graph) == (two if time == "time" else 0)


@pytest.mark.parametrize("op", GATES)
def test_a_recurrent_layer_over_a_named_length_takes_any(check: Check, op: str) -> None:
    text = (
        f"(float[time,n,2] x, float[2,{4 * GATES[op]},2] w, float[2,{4 * GATES[op]},4] r) => (float[time,2,n,4] y)"
        f' {{y = {op}<hidden_size=4, direction="bidirectional">(x, w, r)}}'
    )
    for time, batch in ((1, 3), (70, 1)):
        feed = {"x": normal(time, batch, 2), "w": normal(2, 4 * GATES[op], 2), "r": normal(2, 4 * GATES[op], 4)}
        assert len(check(text, feed)) < 120
    assert len(check(text, feed, sizes={"time": 70})) < 120
    assert check(text, feed | {"x": normal(3, 1, 2)}, sizes={"time": 3}).outputs["y"].shape == (3, 2, "n", 4)


@pytest.mark.parametrize("transform", ["half_pixel", "pytorch_half_pixel", "asymmetric"])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("scale", [2.0, 3.0, 0.5])
def test_resize_of_named_sizes(check: Check, transform: str, mode: str, scale: float) -> None:
    kinds = ("round_prefer_floor", "floor", "ceil") if mode == "nearest" else ("floor",)
    for nearest in kinds:
        check(
            f"(float[n,2,h,w] x) => (float[n,2,a,b] y) <float[4] s = {{1, 1, {scale}, 2}}> {{y = Resize<"
            f'mode="{mode}", coordinate_transformation_mode="{transform}", nearest_mode="{nearest}">(x, , s)}}',
            {"x": normal(2, 2, 6, 5)},
            rtol=1e-4,
        )


def test_resize_of_a_long_axis_and_of_older_opsets(check: Check) -> None:
    check(
        "(float[1,1,3,300] x) => (float[1,1,a,b] y) <int64[4] s = {1, 1, 7, 411}>"
        ' {y = Resize<mode="linear">(x, , , s)}',
        {"x": normal(1, 1, 3, 300)},
        atol=1e-4,
    )
    old = "(float[1,1,3,4] x) => (float[1,1,a,b] y) <float[4] s = {1, 1, 2, 2.5}>"
    check(old + ' {y = Resize<mode="linear">(x, s)}', {"x": normal(1, 1, 3, 4)}, 10)
    check(old + ' {y = Upsample<mode="nearest">(x, s)}', {"x": normal(1, 1, 3, 4)}, 9)


def test_a_size_that_is_not_scaled_by_a_whole_number_is_asked_for() -> None:
    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> m (float[n] x) => (float[a] y) <float[1] s = {1.5}>'
        " {y = Resize(x, , s)}"
    )
    with pytest.raises(gn.GraphnnError, match=r"what a scale of 1\.5 makes depends on the size n.*sizes="):
        gn.from_onnx(model)


def test_normalization_by_statistics_that_are_data(check: Check) -> None:
    feed = {"x": normal(2, 4, 3, 3), **{name: np.abs(normal(4)) for name in "sbmv"}}
    takes = "(float[n,4,h,w] x, float[4] s, float[4] b, float[4] m, float[4] v) => (float[n,4,h,w] y)"
    check(takes + " {y = BatchNormalization(x, s, b, m, v)}", feed)
    check("(float[n,4,h,w] x) => (float[n,4,h,w] y) {y = LRN<size=3, alpha=0.5>(x)}", {"x": feed["x"]})


def test_products_of_bytes(check: Check) -> None:
    feed = {"a": whole(3, 300), "b": whole(300, 5, dtype="int8"), "s": np.abs(normal(5)), "z": whole(5, dtype="int8")}
    takes = "(uint8[n,300] a, int8[300,5] b, float[5] s, int8[5] z)"
    given = "<float p = {0.02}, uint8 q = {120}, float o = {9.5}, uint8 k = {100}, float[5] c = {1, 2, 3, 4, 5}>"
    check(f"{takes} => (uint8[n,5] y) {given} {{y = QLinearMatMul(a, p, q, b, s, z, o, k)}}", feed, atol=1)
    check(
        f"{takes} => (float[n,5] y) {given} {{y = com.microsoft.MatMulIntegerToFloat(a, b, p, s, q, z, c)}}",
        feed,
        rtol=1e-4,
    )
    takes = "(float[n,300] x, int8[300,5] b, float[5] s, int8[5] z)"
    feed["x"] = normal(3, 300)
    del feed["a"]
    check(
        f"{takes} => (float[n,5] y) {given} {{y = com.microsoft.DynamicQuantizeMatMul(x, b, s, z, c)}}", feed, rtol=1e-4
    )


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_bytes_through_layers(check: Check, dtype: str) -> None:
    feed = {"a": whole(2, 3, 6, dtype=dtype), "b": whole(2, 3, 6, dtype=dtype)}
    scales = f"<float p = {{0.02}}, {dtype} q = {{20}}, float o = {{0.05}}, {dtype} k = {{7}}>"
    one = f"({dtype}[n,3,l] a) => ({dtype}[n,3,l] y) {scales}"
    two = f"({dtype}[n,3,l] a, {dtype}[n,3,l] b) => ({dtype}[n,3,l] y) {scales}"
    for op in ("QLinearAdd", "QLinearMul"):
        check(f"{two} {{y = com.microsoft.{op}(a, p, q, b, o, k, o, q)}}", feed, atol=1)
    check(f"{two} {{y = com.microsoft.QLinearConcat<axis=1>(o, q, a, p, q, b, o, k)}}", feed, atol=1)
    given = {"a": feed["a"]}
    for op in ("QLinearSigmoid", "QLinearLeakyRelu"):
        check(f"{one} {{y = com.microsoft.{op}(a, p, q, o, k)}}", given, atol=1)
    check(f"{one} {{y = com.microsoft.QLinearGlobalAveragePool(a, p, q, o, k)}}", given, atol=1)
    check(f"{one} {{y = com.microsoft.QLinearAveragePool<kernel_shape=[2]>(a, p, q, o, k)}}", given, atol=1)


@pytest.mark.parametrize("time", ["4", "time"])
def test_a_recurrent_layer_of_bytes(check: Check, time: str) -> None:
    feed = {"x": normal(4, 1, 3), "w": whole(1, 3, 20, dtype="int8"), "r": whole(1, 5, 20, dtype="int8")}
    check(
        f"(float[{time},1,3] x, int8[1,3,20] w, int8[1,5,20] r) => (float[{time},1,1,5] y)"
        " <float[1] s = {0.01}, int8[1] z = {0}>"
        " {y = com.microsoft.DynamicQuantizeLSTM<hidden_size=5>(x, w, r, , , , , , s, z, s, z)}",
        feed,
        rtol=1e-3,
        atol=1e-4,
    )


def test_signals_of_a_named_batch(check: Check) -> None:
    feed = {"x": normal(2, 40, 1), "w": normal(16)}
    check("(float[n,40,1] x, float[16] w) => (float[n,a,b,2] y) <int64 s = {5}> {y = STFT(x, s, w)}", feed, atol=1e-4)
    check(
        "(float[n,40,1] x) => (float[n,b,2] y) <int64 l = {32}> {y = DFT<axis=1, onesided=1>(x, l)}",
        {"x": feed["x"]},
        atol=1e-4,
    )


def test_sums_and_activations_in_one(check: Check) -> None:
    feed = {"x": normal(2, 3, 8), "z": normal(2, 3, 8), **{name: normal(8) for name in "gbc"}}
    takes = "(float[n,t,8] x, float[n,t,8] z, float[8] g, float[8] b, float[8] c) => (float[n,t,8] y)"
    for call in (
        "SkipLayerNormalization<epsilon=0.001>(x, z, g, b, c)",
        "SkipSimplifiedLayerNormalization<epsilon=0.001>(x, z, g, c)",
        "BiasGelu(x, g)",
        "FastGelu(x, g)",
        "Gelu(x)",
        "QuickGelu(x)",
        "FusedMatMul<transB=1, alpha=0.5>(x, w)",
    ):
        more = feed | ({"w": normal(8, 8)} if "w)" in call else {})
        text = takes.replace(" c)", " c, float[8,8] w)") if "w)" in call else takes
        check(f"{text} {{y = com.microsoft.{call}}}", more, rtol=1e-4, atol=1e-4)


def test_embeddings_are_added_and_normalized(check: Check) -> None:
    feed = {
        "i": RNG.integers(0, 9, (2, 4)).astype(np.int32),
        "s": RNG.integers(0, 2, (2, 4)).astype(np.int32),
        "m": np.array([[1, 1, 1, 0], [1, 1, 0, 0]], np.int32),
        "w": normal(9, 6),
        "p": normal(5, 6),
        "e": normal(2, 6),
        "g": normal(6),
        "b": normal(6),
    }
    check(
        "(int32[n,t] i, int32[n,t] s, int32[n,t] m, float[9,6] w, float[5,6] p, float[2,6] e, float[6] g, float[6] b)"
        " => (float[n,t,6] y, int32[n] c) {y, c = com.microsoft.EmbedLayerNormalization(i, s, w, p, e, g, b, m)}",
        feed,
    )


@pytest.mark.parametrize("causal", [0, 1])
def test_attention_as_the_runtime_fuses_it(check: Check, causal: int) -> None:
    feed = {"x": normal(2, 4, 8), "w": normal(8, 24), "b": normal(24), "m": np.array([[1, 1, 1, 0], [1, 1, 0, 0]], "i")}
    settings = f"<num_heads=2, unidirectional={causal}>"
    text = "(float[2,4,8] x, float[8,24] w, float[24] b, int32[2,4] m) => (float[2,4,8] y)"
    check(f"{text} {{y = com.microsoft.Attention{settings}(x, w, b, m)}}", feed)
    del feed["m"]
    text = "(float[2,4,8] x, float[8,24] w, float[24] b) => (float[2,4,8] y, float[2,2,t,s,4] z)"
    past = text.replace(" b)", " b, float[2,2,2,3,4] p)")
    check(f"{past} {{y, z = com.microsoft.Attention{settings}(x, w, b, , p)}}", feed | {"p": normal(2, 2, 2, 3, 4)})
    given = {"q": normal(2, 4, 8), "k": normal(2, 4, 8), "v": normal(2, 4, 8), "b": normal(24)}
    text = "(float[n,t,8] q, float[n,t,8] k, float[n,t,8] v, float[24] b) => (float[n,t,8] y)"
    check(f"{text} {{y = com.microsoft.MultiHeadAttention{settings}(q, k, v, b)}}", given)


@pytest.mark.parametrize(
    "text",
    [
        "(float[1] x) => (float[n] y) <int64[1] s = {1099511627776}> {y = Resize(x, , , s)}",
        "(float[1,8,1] x) => (float[1,m,2] y) <int64 l = {1099511627776}> {y = DFT(x, l)}",
        "() => (float[n] y) <int64 l = {1099511627776}> {y = HannWindow(l)}",
        "(float[1,1,9000000000] x) => (float[1,1,n] y) {y = AveragePool<kernel_shape=[3], pads=[1,1]>(x)}",
    ],
)
def test_what_would_take_much_memory_or_time_to_read_is_refused(text: str) -> None:
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> m {text}')
    with pytest.raises(gn.GraphnnError, match=r"is the most"):
        gn.from_onnx(model)


def test_resize_to_a_size_that_is_computed_of_sizes(check: Check) -> None:
    head = "(float[n,2,h,w] x) => (float[n,2,a,b] y) <int64[4] by = {1, 1, 2, 4}> {s = Shape(x)"
    check(head + ' t = Mul(s, by) y = Resize<mode="linear">(x, , , t)}', {"x": normal(2, 2, 6, 5)})
    check(
        head + " t = Div(s, by) u = Mul(t, by) y = Resize(x, , , u)}", {"x": normal(2, 2, 6, 4)}, sizes={"h": 6, "w": 4}
    )
    g = check(head + " t = Mul(s, by) y = Resize(x, , , t)}", {"x": normal(2, 2, 6, 5)})
    assert g.outputs["y"].shape == ("n", 2, "2*h", "4*w")


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
def test_resize_keeps_the_ratio_and_antialiases(check: Check, policy: str) -> None:
    given = f'keep_aspect_ratio_policy="{policy}", axes=[3, 2], antialias=1, mode="cubic", exclude_outside=1'
    text = "(float[1,1,9,12] x) => (float[1,1,a,b] y) <int64[2] s = {5, 6}>"
    check(f"{text} {{y = Resize<{given}>(x, , , s)}}", {"x": normal(1, 1, 9, 12)}, 18, atol=1e-4)


@pytest.mark.parametrize("axis", [0, 1])
def test_blocks_have_scales_of_their_own(check: Check, axis: int) -> None:
    feed = {"x": normal(5, 6), "s": np.abs(normal(*((2, 6) if axis == 0 else (5, 2)))) + 0.1}
    takes = "(float[5,6] x, float[%d,%d] s) => (float[5,6] y)"
    text = takes % feed["s"].shape + f" {{q = QuantizeLinear<axis={axis}, block_size=3>(x, s)"
    check(text + f" y = DequantizeLinear<axis={axis}, block_size=3>(q, s)}}", feed, 21)


def test_groups_of_channels_with_names(check: Check) -> None:
    feed = {"x": normal(2, 6, 4, 5), "s": normal(6), "b": normal(6)}
    check(
        "(float[n,6,h,w] x, float[6] s, float[6] b) => (float[n,6,h,w] y)"
        " {y = GroupNormalization<num_groups=2>(x, s, b)}",
        feed,
        21,
    )
    check("(float[n,6,h,w] x, float[6] s, float[6] b) => (float[n,6,h,w] y) {y = InstanceNormalization(x, s, b)}", feed)
