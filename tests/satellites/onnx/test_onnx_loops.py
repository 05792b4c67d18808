"""Loops written as models of ONNX, run by ONNX Runtime, and read back; and models of loops that mean no good."""

import warnings
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import parser

import graphnn as gn
from graphnn import nn

RNG = np.random.default_rng(0)


def written(fetches: dict[str, gn.Node], feeds: list[dict[gn.Node, Any]], opset: int = 21) -> Any:
    """Hold what ONNX Runtime computes against graphnn, and what is read back to the bit; return the model."""
    model = gn.to_onnx(fetches, opset=opset)
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = gn.from_onnx(model)
    assert len(again) <= len(gn.schedule(list(fetches.values())))
    for feed in feeds:
        named = {node.name: np.asarray(value, node.dtype) for node, value in feed.items()}
        needed = {each.name: named[each.name] for each in session.get_inputs()}
        ours = gn.run(list(fetches.values()), feed)
        for found, expected in zip(session.run(list(fetches), needed), ours, strict=True):
            assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
            np.testing.assert_allclose(found, expected, 2e-5, 1e-6 * max(1, np.abs(expected).max(initial=0)))
        for found, expected in zip(gn.run([again.outputs[name] for name in fetches], needed), ours, strict=True):
            np.testing.assert_array_equal(found, expected)
    return model


def kinds(model: Any) -> set[str]:
    return {node.op_type for node in model.graph.node} & {"Scan", "Loop", "If"}


@pytest.mark.parametrize("layer", [nn.LSTM(4, 2), nn.GRU(4, bidirectional=True), nn.RNN(4, activation="relu")])
def test_recurrent_layers_over_a_named_time_are_written_with_their_gradients(layer: nn.Layer) -> None:
    g = gn.Graph(dtype="float32")
    x, lengths = g.placeholder("x", ("n", "t", 3)), g.placeholder("lengths", ("n",), "int64")
    layer.return_state = True
    y, states = layer(x, lengths=lengths)
    loss = gn.sum(y * y) + sum(gn.sum(state) for state in gn.core.flatten(states)[0])
    wanted = {"y": y, "loss": loss}
    for i, slope in enumerate(gn.grad(loss, [x, *layer.parameters])):
        wanted[f"slope_{i}"] = slope
    feeds = [
        {x: RNG.normal(size=(n, t, 3)).astype("float32"), lengths: RNG.integers(0, t + 1, n)}
        for n, t in ((2, 5), (3, 1))
    ]
    assert kinds(written(wanted, feeds)) == {"Scan"}


def test_loops_whose_dimensions_have_other_names_outside_are_written() -> None:
    g = gn.Graph()
    rows, w = g.placeholder("rows", ("n", 3)), g.parameter("w", RNG.normal(size=3))
    y = gn.vmap(lambda row: gn.scan(lambda c, x: (c * x + gn.sum(w), c), row[0], row)[1])(rows)
    feeds: list[dict[gn.Node, Any]] = [{rows: RNG.normal(size=(n, 3))} for n in (4, 1)]
    assert kinds(written({"y": y, "slope": gn.grad(gn.sum(y * y), rows)}, feeds)) == {"Scan"}


def test_states_and_results_of_any_dtype_are_written() -> None:
    g = gn.Graph()
    xs, scale = g.placeholder("xs", ("time", 2), np.float32), g.placeholder("scale", ())

    def step(state: Any, x: gn.Node) -> Any:
        count, largest, seen = state
        now = (count + 1, gn.maximum(largest, x), gn.logical_or(seen, x > 1.0))
        return now, (count, x > 0.0, gn.cast(x, "float64") * scale, gn.sum(x))

    init = (np.int32(0), np.full(2, -9, np.float32), np.zeros(2, bool))
    last, results = gn.scan(step, init, xs, reverse=True)
    wanted = {f"y{i}": node for i, node in enumerate((*last, *results))}
    for opset in (17, 21):
        written(wanted, [{xs: RNG.normal(size=(n, 2)), scale: 1.5} for n in (1, 4)], opset)
    _, numbers = gn.scan(lambda s, x: (s + 1, (s, x > 0.0)), np.int64(3), xs[:, 0])
    written({"a": numbers[0], "b": numbers[1]}, [{xs: RNG.normal(size=(3, 2))}])


def test_a_loop_in_a_loop_is_written() -> None:
    g = gn.Graph(dtype="float32")
    x = g.placeholder("x", ("t", "k"))
    w = g.parameter("w", np.float32(0.5))

    def outer(total: gn.Node, row: gn.Node) -> gn.Node:
        return gn.tanh(total + gn.scan(lambda s, v: s * w + v, gn.sum(row) * 0.1, row)[0])

    last, all_ = gn.scan(outer, np.float32(0), x)
    slope = gn.grad(last, w)
    written({"y": last, "all": all_, "dw": slope}, [{x: RNG.normal(size=s)} for s in ((2, 3), (4, 1))])


def test_a_loop_with_numbers_for_names_is_written() -> None:
    g = gn.Graph(dtype="float32")
    x = g.placeholder("x", ("n", "t", 2))
    g.outputs["y"] = nn.RNN(3, unroll=False)(x)
    fixed = gn.extract(g.outputs, sizes={"t": 4})
    (y,) = fixed.outputs.values()
    written({"y": y}, [{fixed.placeholders[0]: RNG.normal(size=(2, 4, 2))}])


def test_branches_are_written_with_their_gradients() -> None:
    g = gn.Graph(dtype="float32")
    x, w = g.placeholder("x", ("n", 2)), g.parameter("w", np.float32(0.5))
    total, minus = gn.sum(x), g.constant(np.int64(-1))

    def then() -> Any:
        return gn.exp(x * w), gn.sum(x > 0.0), gn.scan(lambda s, row: s * w + gn.sum(row), np.float32(0), x)[0]

    y, count, last = gn.cond(total > 0.0, then, lambda: (gn.sin(x), minus, total * w))
    feeds = [{x: RNG.normal(size=(3, 2)) + shift} for shift in (2.0, -2.0)]
    with pytest.raises(NotImplementedError, match="integers of 64 bits beside floats"):
        gn.to_onnx({"y": y, "count": count})
    y, last = gn.cond(total > 0.0, lambda: then()[::2], lambda: (gn.sin(x), total * w))
    loss = gn.sum(y * y) + last
    wanted = {"y": y, "last": last, "dx": gn.grad(loss, x), "dw": gn.grad(loss, w)}
    assert kinds(written(wanted, feeds)) == {"If"}
    written({"count": gn.cond(total > 0.0, lambda: gn.sum(x > 0.0), lambda: minus)}, feeds)


def test_loops_that_a_condition_ends_and_fixed_points_are_written_with_their_gradients() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", (3,)), g.parameter("w", 0.4 * np.eye(3))
    last, count = gn.while_loop(lambda s: gn.sum(s) < 30.0, lambda s: s + gn.tanh(s @ w), x, 40, steps=True)
    power = gn.while_loop(lambda s: gn.max(s) < 9.0, lambda s: s * 1.5, x)
    z = gn.fixed_point(lambda z: 0.5 * gn.tanh(z @ w) + x, x)
    wanted = {"last": last, "count": count, "power": power, "z": z}
    wanted["slope"], wanted["implicit"] = gn.grad(gn.sum(last), w), gn.grad(gn.sum(z**3.0), w)
    feeds = [{x: np.array([1.0, 2.0, 0.5]) * scale} for scale in (1.0, 3.0, 20.0)]
    assert kinds(written(wanted, feeds)) == {"Loop"}


def test_loops_that_data_end_are_written_with_their_gradients() -> None:
    g = gn.Graph(dtype="float32")
    x, w = g.placeholder("x", ("n",)), g.parameter("w", np.float32(1.5))
    last, count = gn.while_loop(lambda s: gn.sum(s) < 9.0, lambda s: s * w + 0.1, x, max_steps=12, steps=True)
    loss = gn.sum(last * last)
    wanted = {"last": last, "count": count, "dx": gn.grad(loss, x), "dw": gn.grad(loss, w)}
    feeds = [{x: np.float32(start)} for start in ([1, 2], [9.5], [0.01, 0.02, 0])]
    assert kinds(written(wanted, feeds)) == {"Loop"}
    written({"open": gn.while_loop(lambda s: gn.sum(s) < 9.0, lambda s: s * w + 0.1, x)}, feeds)
    fixed = gn.fixed_point(lambda z: gn.cos(z * w * 0.3) * x, x)
    written({"z": fixed}, [{x: np.float32([0.3, -0.4])}])


def test_what_cannot_be_written_in_a_loop_is_named() -> None:
    g = gn.Graph()
    counter = g.parameter("counter", np.int64(5), trainable=False)
    _, drawn = gn.scan(lambda s: (s, gn.random_normal(counter, (2,), 3)), g.constant(0.0), length=4)
    with pytest.raises(
        NotImplementedError, match=r"loop: 1 node, the first \"scan_1/loop\".*its body has random_normal, and"
    ):
        gn.to_onnx(drawn)
    big = g.placeholder("big", ("t",), np.int64)
    _, both = gn.scan(lambda s, x: (s, (x + 1, s * 2.0)), 1.0, big)
    with pytest.raises(NotImplementedError, match="integers of 64 bits beside floats"):
        gn.to_onnx(list(both))


# --- models that mean no good ---------------------------------------------------------------------------------------

LOOP = (
    "m (float[n] x) => (float[n] y) {{s = Size(x) f = Cast<to=1>(s) y = Loop<body = b ({}) => ({}) {{{}}}>({}, , x)}}"
)
GIVEN, GIVES = "int64 i, bool go, float[n] h", "bool on, float[n] next"


@pytest.mark.parametrize(
    ("takes", "gives", "body", "count", "words"),
    [
        (GIVEN, GIVES, "on = Identity(go) next = Neg(next)", "s", "nodes form a cycle"),
        (
            GIVEN,
            GIVES,
            "on = Identity(other) other = Identity(on) next = Neg(h)",
            "s",
            "nodes form a cycle",
        ),
        (GIVEN, GIVES, "on = Identity(go) next = Neg(y)", "s", "nodes form a cycle: the Loop"),
        ("int64 i", GIVES, "on = Not(i) next = Neg(x)", "s", "its body takes 1 array, and is given 3"),
        (GIVEN, "bool on", "on = Identity(go)", "s", "its body gives 1 array, and 2 are needed"),
        (GIVEN, "bool on, float[n] no", "on = Identity(go)", "s", "'no' is read, and nothing makes it"),
        ("int64 i, bool i, float[n] h", GIVES, "on = Identity(i) next = Neg(h)", "s", "have one name"),
        (GIVEN, GIVES, "on = Identity(go) next = Neg(h)", "f", "one integer, not float32 of shape"),
        (
            GIVEN,
            "bool on, int64[n] next",
            "on = Identity(go) next = Cast<to=7>(h)",
            "s",
            "the state .* is float32, and",
        ),
    ],
)
def test_a_loop_that_does_not_fit_is_refused(takes: str, gives: str, body: str, count: str, words: str) -> None:
    text = LOOP.format(takes, gives, body, count)
    with pytest.raises(gn.GraphnnError, match=words):
        gn.from_onnx(parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> {text}'))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        *[
            (f"num_scan_inputs={count}", f"num_scan_inputs is {count}, and it has 2 operands")
            for count in (0, -1, 10**9)
        ],
        ("num_scan_inputs=1, scan_input_axes=[5]", "along axis 5 of an array of shape \\(n, 2\\)"),
        ("num_scan_inputs=1, scan_input_axes=[0, 0]", "scan_input_axes is \\[0, 0\\], for 1 array"),
        ("num_scan_inputs=1, scan_output_directions=[2]", "scan_output_directions is \\[2\\], for 1 array"),
        ("num_scan_inputs=1, scan_output_axes=[9]", "along axis 9 of 2"),
    ],
)
def test_a_scan_that_does_not_fit_is_refused(settings: str, words: str) -> None:
    text = (
        f"m (float[n, 2] x, float[2] h) => (float[2] y, float[n, 2] z) {{y, z = Scan<{settings},"
        " body = b (float[2] a, float[2] u) => (float[2] c, float[2] d) {c = Add(a, u) d = Mul(a, u)}>(h, x)}"
    )
    with pytest.raises(gn.GraphnnError, match=words):
        gn.from_onnx(parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> {text}'))


def test_loops_within_many_loops_are_refused() -> None:
    text = "y0 = Identity(x)"
    for depth in range(20):
        text = (
            f"y{depth + 1} = Loop<body = b{depth} (int64 i{depth}, bool g{depth}, float[n] h{depth}) =>"
            f" (bool o{depth}, float[n] y{depth}) {{o{depth} = Identity(g{depth}) {text}}}>(s, , x)"
        )
    text = f"m (float[n] x) => (float[n] y20) {{s = Size(x) {text}}}"
    with pytest.raises(NotImplementedError, match="lies in 8 loops over sizes that have names, which is the most"):
        gn.from_onnx(parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> {text}'))


@pytest.mark.parametrize("time", ["t", 6])
def test_loops_in_segments_are_written_also_where_no_iteration_is_left(time: Any) -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", (time, 3)), g.parameter("w", np.eye(3) / 2)

    def outer(state: gn.Node, row: gn.Node) -> tuple[gn.Node, gn.Node]:
        inner, _ = gn.scan(lambda s: gn.tanh(s @ w + row), state, length=2)
        return inner, gn.sum(inner)

    last, sums = gn.scan(outer, np.zeros(3), x, recompute=3)
    loss = gn.sum(last * last) + gn.sum(sums)
    feeds = [{x: RNG.normal(size=(n, 3))} for n in ((6, 7, 4) if time == "t" else (6,))]
    model = written({"loss": loss, "sums": sums, "slope": gn.grad(loss, w), "rows": gn.grad(loss, x)}, feeds)
    assert "Loop" in kinds(model)
