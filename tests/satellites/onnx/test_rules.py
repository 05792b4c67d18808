"""Rules where ONNX's node cases do not go: old opsets, named sizes, operands that are data, and what is refused."""

import numpy as np
import onnxruntime
import pytest
from onnx import parser

import graphnn as gn
from graphnn.onnx.rules import control

RNG = np.random.default_rng(0)


def model(text: str, opset: int = 17) -> object:
    return parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}]> {text}')


def same(text: str, feed: dict[str, object], opset: int = 17, sizes: dict[str, int] | None = None) -> gn.Graph:
    """Read a model, and hold its outputs against ONNX Runtime's."""
    made = model(text, opset)
    graph = gn.from_onnx(made, sizes=sizes)
    arrays = {name: np.asarray(value) for name, value in feed.items()}
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    wanted = onnxruntime.InferenceSession(made.SerializeToString(), options).run(None, arrays)
    found = gn.run(list(graph.outputs.values()), arrays)
    for a, b in zip(found, wanted, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    return graph


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax", "Hardmax"])
def test_softmax_takes_the_last_axes_as_one_before_opset_13(op: str) -> None:
    text = f"m (float[n, 3, 4] x) => (float[n, 3, 4] y) {{y = {op}(x)}}"
    x = floats(2, 3, 4)
    assert not np.array_equal(*[gn.run(same(text, {"x": x}, opset).outputs["y"], {"x": x}) for opset in (11, 13)])


def test_a_cube_is_two_products() -> None:
    text = "m (float[n, 5] x) => (float[n, 5] y) <float{} e = {{{}}}> {{y = Pow(x, e)}}"
    graph = same(text.format("", 3), {"x": floats(2, 5)})
    assert [node.op.name for node in graph][1:] == ["multiply", "multiply"]
    assert "power" in [node.op.name for node in same(text.format("", 2), {"x": floats(2, 5)})]
    assert "power" in [node.op.name for node in same(text.format("[5]", "3, 3, 3, 3, 2"), {"x": floats(2, 5)})]
    same("m (int32[n] x) => (int32[n] y) <float e = {3}> {y = Pow(x, e)}", {"x": np.int32([2, -3])})


def test_a_fourier_transform_of_any_length_is_exact() -> None:
    text = "m (float[n, 1000] x, float[400] w) => (float[n, f, 201, 2] y) {s = Constant<value = int64 {160}>() "
    x, w = floats(2, 1000), np.hanning(400).astype(np.float32)
    graph = gn.from_onnx(model(text + "y = STFT<onesided=1>(x, s, w)}"), values={"w": w})
    frames = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), 400, 1)[:, ::160] * w
    exact = np.fft.rfft(frames)
    found = gn.run(graph.outputs["y"], {"x": x})
    # ONNX Runtime 1.32 is 3e-5 of the largest off.
    assert np.abs(found - np.stack([exact.real, exact.imag], -1)).max() < 2e-6 * np.abs(exact).max()


def test_what_was_an_attribute_and_is_an_operand_is_read_from_both() -> None:
    x = floats(2, 5)
    text = "m (float[n, 5] x) => (float[n, 2] y, int64[n, 2] i) <int64[1] k = {2}> {y, i = TopK<axis=1>(x, k)}"
    same(text, {"x": x})
    same("m (float[n, 5] x) => (float[n, 2] y, int64[n, 2] i) {y, i = TopK<axis=1, k=2>(x)}", {"x": x}, 9)
    same("m (float[n, 5] x) => (float[n, 8] y) {y = Pad<pads=[0,1,0,2], value=2.5>(x)}", {"x": x}, 10)
    same("m (float[n, 5] x) => (float[n, 1] y) {y = ReduceSum<axes=[1]>(x)}", {"x": x}, 11)
    same("m (float[n, 5] x) => (float[n, 5] y) {y = Dropout<ratio=0.25>(x)}", {"x": x}, 11)


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [None, (-1,), (1, 2), (1, -2, 3)])
def test_the_gradient_of_a_norm_of_zeros_is_0(axes: tuple[int, ...] | None, keepdims: int) -> None:
    for x in (np.zeros((2, 3, 2, 2), np.float32), np.concatenate([floats(1, 3, 2, 2), np.zeros((1, 3, 2, 2))], 0)):
        x = x.astype(np.float32)
        norms = np.sqrt(np.square(x).sum(axes, keepdims=True))
        shape = list(norms.shape if keepdims else norms.sum(axes).shape)
        given = f"axes=[{','.join(map(str, axes))}], " if axes else ""
        text = f"m (float[2, 3, 2, 2] x) => (float{shape or ''} y) {{y = ReduceL2<{given}keepdims={keepdims}>(x)}}"
        slope = gn.grad(gn.sum((graph := same(text, {"x": x}, 11)).outputs["y"]), graph["x"])
        np.testing.assert_allclose(gn.run(slope, {"x": x}), x / np.where(norms == 0, 1, norms), 1e-6)


def test_widths_below_0_cut_and_a_padding_that_is_data_is_kept() -> None:
    text = "m (float[n, 5] x, float v) => (float[n, p] y) <int64[4] w = {0, -1, 0, 3}> {y = Pad(x, w, v)}"
    same(text, {"x": floats(2, 5), "v": np.float32(7)})


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
def test_scattering_repeats_its_indices_and_may_leave_places_out(reduction: str) -> None:
    x, few, wide = floats(4, 3), floats(3, 2), floats(3, 3)
    if reduction == "none":  # ONNX leaves open which of two updates counts
        at = np.array([[0, 1], [1, 2], [-1, 3]])
        rows = np.array([[3], [0], [-2]])
    else:
        at, rows = np.array([[0, 1], [0, 1], [-1, 1]]), np.array([[3], [-1], [1]])
    for shape in ("4, 3", "n, 3"):
        same(
            f"m (float[{shape}] x, int64[3, 2] at, float[3, 2] u, int64[3, 1] rows, float[3, 3] v)"
            f' => (float[{shape}] y, float[{shape}] z) {{y = ScatterElements<axis=0, reduction="{reduction}">(x, at, u)'
            f' z = ScatterND<reduction="{reduction}">(x, rows, v)}}',
            {"x": x, "at": at, "u": few, "rows": rows, "v": wide},
            18,
        )


def test_gathering_with_leading_axes_in_common() -> None:
    text = "m (float[n, 3, 4] x, int64[n, 2, 1] i) => (float[n, 2, 4] y) {y = GatherND<batch_dims=1>(x, i)}"
    same(text, {"x": floats(2, 3, 4), "i": RNG.integers(-3, 3, (2, 2, 1))})
    text = "m (float[n, 3] x, int64[1, 2] i) => (float[1, 2] y) {y = GatherElements<axis=1>(x, i)}"
    same(text, {"x": floats(4, 3), "i": np.array([[2, -3]])})


def test_ones_of_a_named_size_are_not_0_at_known_places() -> None:
    text = (
        "m (float[n, 2] x) => (int64[2, k] y) <int64[1] one = {1}>"
        " {s = Shape(x) c = ConstantOfShape<value = int64[1] {1}>(s) y = NonZero(c)}"
    )
    same(text, {"x": floats(3, 2)})


# --- branches and loops ---------------------------------------------------------------------------------------------

BRANCHES = "<then_branch = t () => (float[n] a) {a = Neg(x)}, else_branch = e () => (float[n] b) {b = Exp(x)}>"


def test_a_branch_by_a_size_is_decided_and_one_by_data_chosen_in_a_run() -> None:
    by_size = (
        "m (float[n] x) => (float[n] y) <int64 zero = {0}>"
        f" {{s = Size(x) p = GreaterOrEqual(s, zero) y = If{BRANCHES}(p)}}"
    )
    assert [node.op.name for node in same(by_size, {"x": floats(3)})] == ["placeholder", "negative"]
    by_data = f"m (float[n] x, bool p) => (float[n] y) {{y = If{BRANCHES}(p)}}"
    for p in (True, False):
        graph = same(by_data, {"x": floats(3), "p": p})
    assert graph.outputs["y"].inputs[0].op.name == "branch"
    assert {"If/cond_1/then/Neg/negative", "If/cond_1/otherwise/Exp/exp"} <= {node.name for node in graph}
    slopes = gn.grad(gn.sum(graph.outputs["y"]), graph["x"])
    for p in (True, False):
        x = floats(3)
        np.testing.assert_allclose(gn.run(slopes, {"x": x, "p": p}), -np.ones(3) if p else np.exp(x), rtol=1e-6)


def test_branches_in_branches_give_sequences_and_what_was_there_before() -> None:
    inner = (
        "<then_branch = t () => (float[n] a) {a = Identity(x)}, else_branch = e () => (float[n] b)"
        " {c = Constant<value_float=2.0>() d = Mul(w, c) b = Add(d, z)}>"
    )
    text = (
        "m (float[n] x, float[n] z, bool p, bool[1] q) => (float[n] y, float[n] v)"
        " {w = Exp(x) y, v = If<then_branch = t () => (float[n] a, float[n] k)"
        f" {{a = If{inner}(q) k = Identity(z)}}, else_branch = e () => (float[n] b, float[n] l)"
        " {b = Mul(z, w) l = Neg(b)}>(p)}"
    )
    for p in (True, False):
        for q in (True, False):
            same(text, {"x": floats(3), "z": floats(3), "p": p, "q": [q]})
    lists = (
        "m (float[4] x, bool p) => (float[2, 2] y) {s = If<then_branch = t () => (seq(float) a)"
        " {a = SplitToSequence<axis=0>(x, two)}, else_branch = e () => (seq(float) b)"
        " {n = Neg(x) b = SplitToSequence<axis=0>(n, two)}>(p) y = ConcatFromSequence<axis=0, new_axis=1>(s)}"
    ).replace("=> (float[2, 2] y)", "=> (float[2, 2] y) <int64 two = {2}>")
    for p in (True, False):
        same(lists, {"x": floats(4), "p": p})


def test_branches_of_two_shapes_are_refused_and_sizes_asked_for() -> None:
    branches = (
        "<then_branch = t () => (float[k] a) {a = Identity(x)},"
        " else_branch = e () => (float[1, k] b) {i = Constant<value_ints=[0]>() b = Unsqueeze(x, i)}>"
    )
    data = f"m (float[n] x, bool p) => (float[k] y) {{y = If{branches}(p)}}"
    with pytest.raises(NotImplementedError, match=r"its branches give \(n,\) float32 and \(1, n\) float32"):
        gn.from_onnx(model(data))
    size = f"m (float[n] x) => (float[k] y) <int64 one = {{1}}> {{s = Size(x) p = Equal(s, one) y = If{branches}(p)}}"
    with pytest.raises(NotImplementedError, match="which branch it takes depends on the size n; fix it"):
        gn.from_onnx(model(size))
    assert gn.from_onnx(model(size), sizes={"n": 3}).outputs["y"].shape == (1, 3)


LOOP = (
    "m (float[n] x) => (float[n] y, float[k, n] all) <int64 count = {{{count}}}>"
    " {{y, all = Loop<body = b (int64 i, bool go, float[n] h) => (bool on, float[n] next, float[n] seen)"
    " {{f = Cast<to=1>(i) next = Add(h, f) seen = Mul(h, h) {on}}}>(count, , x)}}"
)


def test_a_loop_of_known_count_is_unrolled() -> None:
    same(LOOP.format(count=3, on="on = Identity(go)"), {"x": floats(2)})
    early = "three = Constant<value_int=1>() on = Less(i, three)"
    graph = same(LOOP.format(count=9, on=early), {"x": floats(2)})
    names = {node.name for node in graph}
    assert "Loop/round_1/Add/add" in names
    assert "Loop/round_2/Add/add" not in names


def loops_in(graph: gn.Graph) -> int:
    return sum(node.op.name == "loop" for node in graph)


def test_a_scan_is_unrolled_over_a_short_known_length_and_else_one_node() -> None:
    text = (
        "m (float[{n}, 2] x, float[2] h) => (float[2] y, float[2, {n}] all)"
        " {{y, all = Scan<num_scan_inputs=1, scan_input_directions=[1], scan_output_axes=[1],"
        " body = b (float[2] a, float[2] u) => (float[2] c, float[2] d) {{c = Add(a, u) d = Mul(a, u)}}>(h, x)}}"
    )
    feed = {"x": floats(3, 2), "h": floats(2)}
    assert not loops_in(same(text.format(n=3), feed))
    assert not loops_in(same(text.format(n="t"), feed, sizes={"t": 3}))
    for n in (1, 3, 90):
        assert loops_in(same(text.format(n="t"), feed | {"x": floats(n, 2)})) == 1
    assert loops_in(same(text.format(n=90), feed | {"x": floats(90, 2)})) == 1


def test_a_scan_goes_along_axes_and_backwards() -> None:
    text = (
        "m (float[2, t] x, float[t, n] z, float[n] h) => (float[n] y, float[n, t] all, float[t] sums)"
        " {y, all, sums = Scan<num_scan_inputs=2, scan_input_axes=[-1, 0], scan_input_directions=[1, 0],"
        " scan_output_axes=[1, 0], scan_output_directions=[0, 1],"
        " body = b (float[n] a, float[2] u, float[n] v) => (float[n] c, float[n] d, float e)"
        " {s = ReduceSum<keepdims=0>(u) w = Mul(v, s) c = Add(a, w) d = Identity(c) e = ReduceSum<keepdims=0>(w)}>"
        "(h, x, z)}"
    )
    for t, n in ((4, 3), (1, 1)):
        same(text, {"x": floats(2, t), "z": floats(t, n), "h": floats(n)})


def test_the_size_of_a_state_may_be_written_in_two_ways() -> None:
    text = (
        "m (float[n] x) => (float[k] y, float[n, m] all) <int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2},"
        " int64[1] far = {9999}> {h = Slice(x, zero, two) y, all = Scan<num_scan_inputs=1,"
        " body = b (float[j] a, float u) => (float[j] c, float[l] f)"
        " {v = Unsqueeze(u, zero) f = Concat<axis=0>(a, v) c = Slice(f, one, far)}>(h, x)}"
    )
    for n in (1, 2, 5):
        assert loops_in(same(text, {"x": floats(n)})) == 1


COUNTED = (
    "m (float[t, 2] x, float[2] h) => (float[2] y, int64 last, float[2] same, float[t, 2] all)"
    " <int64 zero = {0}, int64 two = {2}, int64 no = {0}>"
    " {s = Shape(x) z = Constant<value_int=0>() n = Gather(s, z) start = Less(no, n)"
    " y, last, kept, same, all = Loop<body = b (int64 i, bool go, float[2] a, int64 j, int64 m, float[2] w) =>"
    " (bool on, float[2] c, int64 k, int64 m2, float[2] w2, float[2] d)"
    " {r = Gather(x, i) one = Constant<value_int=2>() k = Add(j, one) half = Div(k, two) on = Less(half, m)"
    " f = Cast<to=1>(k) v = Mul(a, w) u = Add(v, r) c = Tanh(u) d = Mul(c, f) m2 = Identity(m) w2 = Identity(w)}>"
    "(n, start, h, zero, n, h)}"
)


def test_a_loop_that_counts_to_a_size_is_one_node() -> None:
    for n in (1, 2, 7):
        graph = same(COUNTED, {"x": floats(n, 2), "h": floats(2)})
        assert loops_in(graph) == 1
    (loop,) = [node for node in graph if node.op.name == "loop"]
    assert len(loop.op.carried) == 1  # numbers that grow and what stays as it is are not carried
    assert len(graph) < 60
    x, h = graph["x"], graph["h"]
    loss = gn.sum(graph.outputs["all"] * graph.outputs["all"])
    slopes = gn.run(gn.grad(loss, [x, h]), {x: np.ones((3, 2)), h: np.ones(2)})
    assert [slope.shape for slope in slopes] == [(3, 2), (2,)]


def test_a_loop_that_ends_before_its_count_is_not_read_as_one_that_does_not() -> None:
    text = COUNTED.replace("on = Less(half, m)", "on = Less(k, m)")
    with pytest.raises(NotImplementedError, match="its number of iterations depends on the size t; fix it"):
        gn.from_onnx(model(text))
    same(text.replace("float[t, 2] all", "float[q, 2] all"), {"x": floats(6, 2), "h": floats(2)}, sizes={"t": 6})


def test_a_loop_whose_state_changes_its_shape_asks_for_the_count() -> None:
    text = (
        "m (float[n] x) => (float[k] y) {s = Size(x) y = Loop<body = b (int64 i, bool go, float[m] h) =>"
        " (bool on, float[j] next) {on = Identity(go) next = Concat<axis=0>(h, h)}>(s, , x)}"
    )
    with pytest.raises(gn.ShapeError, match=r"a state keeps its shape[^\n]*\n *or fix it: from_onnx\(…, sizes="):
        gn.from_onnx(model(text))
    same(text, {"x": floats(3)}, sizes={"n": 3})


WHILE = (
    "m (float[n] x, float[n] w, int64[1] c, bool go) => (float[n] y, int64 k)"
    " <int64 three = {{3}}, float one = {{1}}, bool yes = {{1}}{}> {{{} y, k, same = Loop<body = b (int64 i, bool on,"
    " float[n] h, int64 j, float[n] v) => (bool next, float[n] g, int64 l, float[n] u)"
    " {{l = Add(j, three) a = Abs(h) s = ReduceSum<keepdims=0>(a) next = {} f = Cast<to=1>(j) e = Neg(f)"
    " q = Exp(e) z = Mul(h, v) g = Add(z, q) u = Identity(v)}}>({}, {}, x, three, w)}}"
)


@pytest.mark.parametrize(
    ("fixed", "before", "goes_on", "count", "first"),
    [
        ("", "", "Identity(on)", "c", ""),  # as often as data say
        ("", "", "Greater(s, one)", "", "go"),  # while data say so
        ("", "", "Greater(s, one)", "c", "go"),
        (", int64 m = {{5}}", "", "Greater(s, one)", "m", "yes"),
        (", int64 m = {{500}}", "", "Less(j, m)", "m", "go"),
        ("", "m = Size(x)", "Greater(s, one)", "m", ""),
        (", int64 m = {{300}}", "", "Less(j, m)", "", ""),  # known, and too long to be written out
    ],
)
def test_loops_of_which_data_tell_when_they_end(fixed: str, before: str, goes_on: str, count: str, first: str) -> None:
    text = WHILE.replace("{}>", f"{fixed}>", 1).replace("{{{}", "{{" + before, 1).format(goes_on, count, first)
    for c in (1, 4):
        feed = {"x": floats(3), "w": np.float32([0.3, -0.4, 0.2]), "c": np.array([c]), "go": c != 1}
        needed = {name: value for name, value in feed.items() if name in "xw" or name in (count, first)}
        for name, kind in (("c", ", int64[1] c"), ("go", ", bool go")):
            text = text if name in needed else text.replace(kind, "")
        assert loops_in(same(text, needed)) == 1


def test_a_loop_that_data_end_has_a_gradient_where_its_count_is_known() -> None:
    text = (
        "m (float[n] x) => (float[n] y) <int64 m = {9}, float five = {5}> {y = Loop<body = b (int64 i, bool on,"
        " float[n] h) => (bool next, float[n] g) {s = ReduceSum<keepdims=0>(h) next = Less(s, five) g = Add(h, h)}>"
        "(m, , x)}"
    )
    graph = same(text, {"x": np.float32([0.5, 1])})
    slope = gn.grad(gn.sum(graph.outputs["y"]), graph["x"])
    np.testing.assert_array_equal(gn.run(slope, {"x": np.float32([0.5, 1])}), [8, 8])


@pytest.mark.parametrize(
    ("count", "gives", "goes_on", "words"),
    [
        ("", "", "Identity(go)", "it never ends"),
        ("s", "all", "Identity(go)", "its number of iterations is computed from data"),
        ("two", "all", "Cast<to=9>(h)", "whether it goes on is computed from data"),
        ("", "all", "Identity(go)", "it has more than 50 iterations"),
    ],
)
def test_loops_that_no_node_can_be_are_refused(
    monkeypatch: pytest.MonkeyPatch, count: str, gives: str, goes_on: str, words: str
) -> None:
    monkeypatch.setattr(control, "MOST_ROUNDS", 50)
    text = (
        "m (float x, int64 s) => (float y) <int64 two = {2}> {y, z = Loop<body = b (int64 i, bool go, float h) =>"
        f" (bool on, float next, float o) {{on = {goes_on} next = Neg(h) o = Abs(h)}}>({count}, , x)}}"
    )
    if not gives:
        text = text.replace("y, z =", "y =").replace(", float o)", ")")
    with pytest.raises(NotImplementedError, match=words):
        gn.from_onnx(model(text))


def test_sequences_are_lists_while_a_model_is_read() -> None:
    text = (
        "m (float[4, n] x) => (float[5, n] y, int64 count) <int64 two = {2}, int64 last = {-1}>"
        " {a = SplitToSequence<axis=0>(x, two) e = SequenceAt(a, last) b = SequenceInsert(a, e)"
        " f = SplitToSequence<axis=0>(x) g = SequenceAt(f, two) c = SequenceErase(b, last)"
        " d = SequenceInsert(c, g, last)"
        " y = ConcatFromSequence<axis=0>(d) count = SequenceLength(d)}"
    )
    same(text, {"x": floats(4, 3)})


def test_random_numbers_are_the_same_ones_in_each_run_and_others_in_each_node() -> None:
    text = (
        "m (float[n, 50] x) => (float[n, 50] y, float[n, 50] z)"
        " {y = RandomNormalLike<mean=3.0>(x) z = RandomNormalLike(x)}"
    )
    graph = gn.from_onnx(model(text))
    outputs, feed = list(graph.outputs.values()), {"x": floats(40, 50)}
    first, second = gn.run(outputs, feed), gn.run(outputs, feed)
    np.testing.assert_array_equal(first, second)
    assert abs(first[0].mean() - 3) < 0.1 > abs(first[1].mean())
    assert abs(np.corrcoef(first[0].ravel(), first[1].ravel())[0, 1]) < 0.1


def test_dropout_in_training_keeps_the_share_and_the_mean() -> None:
    text = (
        "m (float[n, 50] x) => (float[n, 50] y, bool[n, 50] kept) <float r = {0.25}, bool t = {1}>"
        " {y, kept = Dropout(x, r, t)}"
    )
    graph = gn.from_onnx(model(text))
    y, kept = gn.run(list(graph.outputs.values()), {"x": np.ones((100, 50), np.float32)})
    assert abs(kept.mean() - 0.75) < 0.03
    np.testing.assert_allclose(y, kept / np.float32(0.75), rtol=1e-6)


def test_what_decides_a_shape_must_be_known() -> None:
    with pytest.raises(NotImplementedError, match="how large its result is depends on data"):
        gn.from_onnx(model("m (float[n] x) => (int64[1, k] y) {y = NonZero(x)}"))
    graph = gn.from_onnx(
        model("m (float[n] x) => (int64[1, k] y) {y = NonZero(x)}"), values={"x": [0.0, 2.0, 0.0, 3.0]}
    )
    assert gn.run(graph.outputs["y"]).tolist() == [[1, 3]]


def test_an_operation_that_is_refused_says_why() -> None:
    text = "m (float[1, n, 4] b, float[1, 1, n] s) => (int64[k, 3] y) {y = NonMaxSuppression(b, s)}"
    with pytest.raises(NotImplementedError, match=r'the first "y": how many boxes it keeps depends on data'):
        gn.from_onnx(model(text))


def test_a_slice_that_data_say_is_refused() -> None:
    text = "m (float[n] x, int64[1] a, int64[1] b) => (float[k] y) {y = Slice(x, a, b)}"
    fix = (
        r'where a slice begins and ends is computed from data, .*; fix it: values={"a": …}, or --value a=… of a command'
    )
    with pytest.raises(NotImplementedError, match=fix):
        gn.from_onnx(model(text))
    assert gn.from_onnx(model(text), values={"a": 1, "b": 3}).outputs["y"].op.name == "getitem"


@pytest.mark.parametrize(
    ("inputs", "made_of", "advice"),
    [
        ("int64[1] k", "Identity(k)", '; fix it: values={"k": …}, or --value k=… of a command'),
        ("int64 k, int64 s", "Add(k, s)", '; fix it: values={"k": …, "s": …}, or --value k=… --value s=… of a command'),
        ("int64[3] k", "ReduceMax<keepdims=1>(k)", '; fix it: values={"k": …}'),
        ("int64[n] k", "ReduceMax<keepdims=1>(k)", ""),  # data: nothing small says it
    ],
)
def test_a_number_in_the_data_that_shapes_depend_on_is_asked_for(inputs: str, made_of: str, advice: str) -> None:
    text = f"m (float[n, 4] x, {inputs}) => (float[n, p] v) {{c = {made_of} v, i = TopK(x, c)}}"
    with pytest.raises(NotImplementedError) as caught:
        gn.from_onnx(model(text))
    says = f"k is computed from data, and must be known when the model is read{advice}"
    assert str(caught.value).splitlines()[0].endswith(says)


def test_what_sizes_leave_open_asks_for_them() -> None:
    text = (
        "m (float[n] x) => (float[k] y) <int64 two = {2}, int64[1] zero = {0}, int64[1] one = {1}, bool no = {0}>"
        " {s = Size(x) r = Mod(s, two) e = Cast<to=9>(r) w = Where(e, one, zero) y = Slice(x, w, one)}"
    )
    with pytest.raises(NotImplementedError, match=r"begins and ends depends on the size n; fix it: from_onnx\("):
        gn.from_onnx(model(text))
    assert gn.from_onnx(model(text), sizes={"n": 4}).outputs["y"].shape == (1,)


def test_an_end_of_ten_to_the_nine_is_the_end() -> None:
    text = "m (float[n] x) => (float[k] y) <int64[1] a = {0}, int64[1] b = {1000000000}> {y = Slice(x, a, b)}"
    assert gn.from_onnx(model(text)).outputs["y"].shape == ("n",)


@pytest.mark.parametrize(("mode", "opset"), [("IDF", 9), ("TFIDF", 9)])
def test_counts_of_ngrams_have_weights(mode: str, opset: int) -> None:
    text = (
        f'm (int64[n, 6] x) => (float[n, 4] y) {{y = TfIdfVectorizer<mode="{mode}", max_gram_length=2,'
        " min_gram_length=1, max_skip_count=1, ngram_counts=[0, 2], ngram_indexes=[2, 0, 1, 3],"
        " pool_int64s=[1, 2, 1, 2, 2, 2], weights=[2.0, 3.0, 5.0, 7.0]>(x)}"
    )
    same(text, {"x": RNG.integers(1, 4, (3, 6))}, opset)


def test_a_sum_of_sizes_over_no_axes_may_be_the_sizes() -> None:
    text = '<ir_version: 8, opset_import: ["": 17]> m (float[n, 3] x) => (float[a, b] y)'
    body = " {s = Shape(x) t = ReduceSum<keepdims = 1, noop_with_empty_axes = %d>(s) y = Expand(one, t)}"
    one = " <float one = {1}>"
    assert gn.from_onnx(parser.parse_model(text + one + body % 1)).outputs["y"].shape == ("n", 3)
    assert gn.from_onnx(parser.parse_model(text + one + body % 0)).outputs["y"].shape == ("n+3",)


def test_the_first_tile_goes_along_one_axis() -> None:
    text = '<ir_version: 3, opset_import: ["": 1]> m (float[2, 1] x) => (float[2, 3] y)'
    graph = gn.from_onnx(parser.parse_model(text + " <int64 n = {3}, int64 axis = {1}> {y = Tile(x, n, axis)}"))
    x = np.array([[1.0], [2.0]], np.float32)
    np.testing.assert_array_equal(gn.run(graph.outputs["y"], {"x": x}), [[1, 1, 1], [2, 2, 2]])


@pytest.mark.parametrize("part", ["0}, int64[1] e = {1", "-1}, int64[1] e = {9223372036854775807"])
@pytest.mark.parametrize(
    "body",
    [
        "y = Sub(x, h)",
        "y = Sub(h, x)",
        "y = Max(h, x, h)",
        "b = Less(h, x) y = Where(b, h, x)",
        "s = Shape(x) y = Expand(h, s)",
        "u = Unsqueeze(h, last) v = Unsqueeze(x, last) y = MatMul(v, u)",
        "s = Shape(h) y = Expand(h, s)",
    ],
)
def test_a_slice_of_one_element_along_a_size_with_a_name_is_stretched(part: str, body: str) -> None:
    text = (
        f"m (float[n, k] x) => (float y) <int64[1] a = {{{part}}}, int64[1] axis = {{1}}, int64[1] last = {{2}}>"
        f" {{h = Slice(x, a, e, axis) {body}}}"
    )
    for shape in ((2, 3), (3, 2), (1, 1), (2, 1)):
        graph = same(text, {"x": floats(*shape)})
    slope = gn.grad(gn.sum(graph.outputs["y"]), graph["x"])
    assert gn.run(slope, {"x": floats(2, 3)}).shape == (2, 3)


def test_a_slice_of_one_element_beside_one_of_its_size_may_be_empty() -> None:
    text = "m (float[k] x) => (float[j] y) <int64[1] a = {0}, int64[1] e = {1}> {h = Slice(x, a, e) y = Add(h, h)}"
    same(text, {"x": floats(0)})


@pytest.mark.parametrize(("parts", "settings"), [(1, ""), (1, ", onesided = 1"), (2, ""), (2, ", inverse = 1")])
def test_a_fourier_transform_along_a_size_with_a_name(parts: int, settings: str) -> None:
    text = f"m (float[n, k, 3, {parts}] x) => (float[n, j, 3, 2] y) {{y = DFT<axis = 1{settings}>(x)}}"
    graph = gn.from_onnx(model(text))
    for length in (1, 6, 301):
        x = floats(2, length, 3, parts)
        z = x[..., 0].astype(np.complex128) if parts == 1 else x[..., 0] + 1j * x[..., 1].astype(np.float64)
        wanted = (np.fft.ifft if "inverse" in settings else np.fft.fft)(z, axis=1)
        wanted = wanted[:, : length // 2 + 1] if "onesided" in settings else wanted
        found = gn.run(graph.outputs["y"], {"x": x})
        np.testing.assert_allclose(found, np.stack([wanted.real, wanted.imag], -1), atol=2e-6 * np.abs(wanted).max())


def test_an_array_is_padded_to_a_multiple_of_a_size_with_a_name() -> None:
    text = (
        "m (float[k] x) => (float[j, 4] y) <int64[1] four = {4}, int64[1] zero = {0}, int64[2] rows = {-1, 4}>"
        " {s = Shape(x) r = Mod<fmod = 0>(s, four) d = Sub(four, r) e = Mod<fmod = 0>(d, four)"
        " p = Concat<axis = 0>(zero, e) z = Pad(x, p) y = Reshape(z, rows)}"
    )
    for length in (1, 4, 7):
        graph = same(text, {"x": floats(length)})
    assert "remainder" not in [node.op.name for node in graph]


@pytest.mark.parametrize(
    "body",
    [
        "q = SplitToSequence<axis = 0>(h, n) a = SequenceAt(q, one) b = SequenceAt(q, zero)",
        "q = SplitToSequence<axis = 0>(h, both) a = SequenceAt(q, one) b = SequenceAt(q, zero)",
        "b, a = Split<axis = 0>(h, both)",
        "b, a = Split<axis = 0, num_outputs = 2>(h)",
    ],
)
def test_parts_may_be_as_long_as_a_size_with_a_name(body: str) -> None:
    text = (
        "m (float[k] x) => (float[j] y) <int64 zero = {0}, int64 one = {1}>"
        " {h = Concat<axis = 0>(x, x) s = Shape(x) n = Squeeze(s) both = Concat<axis = 0>(s, s)"
        f" {body} c = Exp(a) y = Sub(b, c)}}"
    )
    for length in (1, 4):
        graph = same(text, {"x": floats(length)}, 18)
    assert graph.outputs["y"].shape == ("k",)


def test_parts_whose_number_a_size_decides_are_refused() -> None:
    text = "m (float[k] x) => (float[j] y) <int64 two = {2}> {q = SplitToSequence(x, two) y = SequenceAt(q, two)}"
    with pytest.raises(gn.NoRuleError, match=r"how many arrays it makes depends on the size k; fix it"):
        gn.from_onnx(model(text))
    assert gn.from_onnx(model(text), sizes={"k": 5}).outputs["y"].shape == (1,)
