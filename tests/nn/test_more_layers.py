"""Layers that convolve, pool, embed, recur and attend: names, sizes with names, masks, first values, refusals."""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn

RNG = np.random.default_rng(3)


def input_of(*shape: Any, dtype: Any = np.float64, graph: gn.Graph | None = None, name: str = "x") -> gn.Node:
    return (graph or gn.Graph("g")).placeholder(name, shape, dtype)


def value(node: Any, feed: dict[Any, Any]) -> Any:
    return gn.run(node, feed)


# --- names ------------------------------------------------------------------------------------------------------


class Model(nn.Layer):
    def __init__(self) -> None:
        self.block = nn.TransformerBlock(2, 8, norm="before")
        self.blocks = [nn.Residual(nn.Dense(4)), nn.Residual(nn.Dense(4))]

    def call(self, x: gn.Node) -> gn.Node:
        x = self.block(x)
        for block in self.blocks:
            x = block(x)
        return x


def test_inner_layers_are_called_by_the_attributes_that_hold_them() -> None:
    x = input_of("batch", 5, 4)
    with x.graph.scope("net"):
        Model()(x)
    g = x.graph
    for path in ("block/attention/query", "block/attention/output", "block/hidden", "block/attention_norm"):
        assert g.scopes[f"net/model_1/{path}"].kind in ("Dense", "LayerNorm")
    assert g["net/model_1/block/attention/scores"].shape == ("batch", 2, 5, 5)
    assert g["net/model_1/block/attention/weights"].op.name == "divide"
    assert "net/model_1/residual_2/dense_1" in g.scopes


def test_the_calls_of_a_shared_layer_keep_its_first_name() -> None:
    norm, x = nn.LayerNorm(), input_of("batch", 4)

    class Twice(nn.Layer):
        def __init__(self) -> None:
            self.first, self.second = norm, norm

        def call(self, x: gn.Node) -> gn.Node:
            return self.second(self.first(x))

    Twice()(x)
    assert {"twice_1/first", "twice_1/first_2"} < set(x.graph.scopes)


def test_steps_of_a_recurrent_layer_are_scopes_of_one_kind() -> None:
    x = input_of("batch", 3, 2)
    nn.LSTM(4, layers=2, bidirectional=True)(x)
    kinds = [scope.kind for scope in x.graph.scopes.values()]
    assert kinds.count("LSTM step") == 2 * 2 * 3
    assert "lstm_1/layer_2_reverse/step_3" in x.graph.scopes


# --- sizes with names ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "shape", "sizes"),
    [
        (nn.Conv2D(3, 3, padding="same", stride=2), ("n", 2, "h", "w"), {"h": 5, "w": 6}),
        (nn.MaxPool2D(2), ("n", 2, "h", "w"), {"h": 5, "w": 6}),
        (nn.AveragePool1D(2, 1, padding=1, count_include_pad=False), ("n", 2, "t"), {"t": 5}),
        (nn.GlobalAveragePool2D(), ("n", 2, "h", "w"), {"h": 5, "w": 6}),
        (nn.ConvTranspose1D(3, 3, 2, 1, 1), ("n", 2, "t"), {"t": 4}),
        (nn.UpSample(3), ("n", 2, "h", "w"), {"h": 2, "w": 3}),
        (nn.BatchNorm(), ("n", 2, "h", "w"), {"h": 2, "w": 3}),
        (nn.GroupNorm(1), ("n", 2, "h", "w"), {"h": 2, "w": 3}),
        (nn.InstanceNorm(), ("n", 2, "h", "w"), {"h": 2, "w": 3}),
        (nn.MultiHeadAttention(2, causal=True), ("n", "t", 4), {"t": 3}),
        (nn.TransformerBlock(2, 8, norm="before"), ("n", "t", 4), {"t": 3}),
        (nn.SinusoidalEncoding(), ("n", "t", 5), {"t": 3}),
        (nn.PositionEmbedding(6), ("n", "t", 4), {"t": 3}),
        (nn.LSTM(3, return_sequences=False), ("n", 4, 2), {}),
    ],
)
def test_sizes_may_have_names(layer: nn.Layer, shape: tuple[Any, ...], sizes: dict[str, int]) -> None:
    known = tuple({"n": 2, **sizes}.get(size, size) if isinstance(size, str) else size for size in shape)
    array = RNG.normal(size=known)
    x = input_of(*shape)
    y = layer(x, training=True)
    found, slopes = value([y, gn.grad(gn.sum(gn.square(y)), layer.parameters or [x])], {x: array})
    assert found.shape == tuple(
        size if isinstance(size, int) else got for size, got in zip(y.shape, found.shape, strict=True)
    )
    assert all(np.isfinite(slope).all() for slope in slopes)


@pytest.mark.parametrize("layer", [nn.PositionEmbedding(9, rng=RNG), nn.SinusoidalEncoding()])
def test_positions_begin_at_one_integer(layer: nn.Layer) -> None:
    x = input_of(2, 5, 4)
    given = {x: RNG.normal(size=(2, 5, 4))}
    for start in (2, np.int64(2), x.graph.constant(2)):
        whole, part = value([layer(x), layer(x[:, 2:], start=start)], given)
        np.testing.assert_array_equal(part, whole[:, 2:])
    for wrong, says in (
        (-1, "start is an int of 0 or more, not -1"),
        (1.5, "start is an int of 0 or more, not 1.5"),
        (x.graph.constant(np.arange(5)), r"start is one integer for all rows, and .* is \(5,\) int64"),
        (x.graph.constant(2.0), r"start is one integer for all rows, and .* is \(\) float64"),
    ):
        with pytest.raises(gn.GraphnnError, match=says):
            layer(x, start=wrong)


def test_time_that_is_too_long_for_the_positions_is_an_error() -> None:
    layer = nn.PositionEmbedding(3)
    with pytest.raises(gn.ShapeError, match=r'has 3 positions, and "x".* has 4'):
        layer(input_of("batch", 4, 2))


# --- masks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [nn.LSTM(3), nn.GRU(3, bidirectional=True), nn.RNN(3, 2)])
def test_what_a_mask_leaves_out_changes_nothing(layer: nn.Layer) -> None:
    x = input_of("batch", 4, 2)
    y = layer(x, mask=np.array([[True, True, False, False], [True, True, True, True]]))
    array = RNG.normal(size=(2, 4, 2))
    other = array.copy()
    other[0, 2:] += 5
    a, b = value(y, {x: array}), value(y, {x: other})
    np.testing.assert_array_equal(a, b)
    assert not a[0, 2:].any()
    assert a[1].all()


def test_the_last_state_of_a_masked_sequence_is_that_of_its_last_step() -> None:
    array = RNG.normal(size=(1, 4, 2))
    layer = nn.GRU(3, return_sequences=False)
    x, short = (input_of("batch", time, 2, graph=g, name=f"x{time}") for g in [gn.Graph()] for time in (4, 2))
    masked, whole = layer(x, mask=np.array([[True, True, False, False]])), layer(short)
    a, b = value([masked, whole], {x: array, short: array[:, :2]})
    np.testing.assert_allclose(a, b, rtol=1e-14)


def test_the_axes_of_a_mask_say_what_it_is_for() -> None:
    x = input_of(2, 3, 4)
    layer = nn.MultiHeadAttention(2)
    keys = np.array([[True, True, False], [True, False, True]])
    results = [
        layer(x, mask=mask)
        for mask in (
            keys,
            np.broadcast_to(keys[:, None], (2, 3, 3)).copy(),
            keys[:, None, None],
            np.broadcast_to(keys[:, None, None], (2, 2, 3, 3)).copy(),
        )
    ]
    found = value(results, {x: RNG.normal(size=(2, 3, 4))})
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


def test_a_causal_layer_looks_at_no_position_behind() -> None:
    x = input_of("batch", 5, 4)
    y = nn.Sequential(nn.TransformerBlock(2, 8, True, norm="before"), nn.TransformerBlock(1, 8, True))(x)
    array = RNG.normal(size=(1, 5, 4))
    other = array.copy()
    other[:, 3:] += 1
    a, b = value(y, {x: array}), value(y, {x: other})
    np.testing.assert_allclose(a[:, :3], b[:, :3], rtol=1e-13)
    assert not np.allclose(a[:, 3:], b[:, 3:])


def test_a_row_that_is_masked_whole_is_nan() -> None:
    x = input_of(1, 2, 4)
    y = nn.MultiHeadAttention(1)(x, mask=np.array([[[True, True], [False, False]]]))
    found = value(y, {x: np.ones((1, 2, 4))})
    assert np.isfinite(found[0, 0]).all()
    assert np.isnan(found[0, 1]).all()


# --- values -------------------------------------------------------------------------------------------------------


def test_positions_by_the_formula_of_the_paper() -> None:
    x = input_of(1, 3, 5)
    found = value(nn.SinusoidalEncoding(100.0)(x), {x: np.zeros((1, 3, 5))})[0]
    for p in range(3):
        for i in range(5):
            angle = p / 100.0 ** (2 * (i // 2) / 5)
            assert found[p, i] == pytest.approx(math.cos(angle) if i % 2 else math.sin(angle), abs=1e-14)


def test_positions_of_no_units_are_nothing() -> None:
    x = input_of("n", 3, 0)
    assert value(nn.SinusoidalEncoding()(x), {x: np.ones((2, 3, 0))}).shape == (2, 3, 0)


def test_dropout_is_only_in_training() -> None:
    for layer, count in ((nn.TransformerBlock(1, 4, dropout=0.5), 4), (nn.LSTM(3, 3, dropout=0.5), 2)):
        x = input_of(1, 3, 4)
        layer(x)
        assert not x.graph.advances
        layer(x, training=True)
        assert len(x.graph.advances) == count
        assert not any("dropout" in name for name in layer.state_dict())


def test_everything_is_in_the_dtype_of_the_graph() -> None:
    g = gn.Graph(dtype="float32")
    x = g.placeholder("x", ("batch", 2, 8, 8))
    network = nn.Sequential(
        nn.Conv2D(4, 3, padding="same", activation="relu"),
        nn.BatchNorm(),
        nn.UpSample(2, "linear"),
        nn.AveragePool2D(3, 2, padding=1, count_include_pad=False),
        nn.GroupNorm(2),
        lambda x: gn.reshape(x, (x.shape[0], 8, 32)),
        nn.SinusoidalEncoding(),
        nn.LSTM(4, bidirectional=True),
        nn.TransformerBlock(2, 8, causal=True, dropout=0.1),
        nn.RMSNorm(),
    )
    y = network(x, training=True)
    step = gn.compile(gn.sum(y), nn.SGD(0.1).updates(gn.sum(y)))
    step({x: RNG.normal(size=(2, 2, 8, 8)).astype("float32")})
    floats = [node for node in g if node.dtype.kind == "f"]
    # Positions and random numbers are computed in float64.
    assert {node.dtype for node in floats if not re.search("sinusoidal|dropout|sgd", node.scope)} == {
        np.dtype("float32")
    }
    assert {array.dtype for array in network.state_dict().values()} == {np.dtype("float32")}


def test_a_dtype_of_ones_own() -> None:
    layer = nn.Conv1D(2, 2, dtype="float32")
    assert layer(input_of("n", 1, 4)).dtype == np.float64
    assert layer.state_dict()["weight"].dtype == np.float32
    norm = nn.BatchNorm(dtype="float32")
    norm(input_of("n", 3), training=True)
    assert {array.dtype for array in norm.state_dict().values()} == {np.dtype("float32")}


def test_first_values() -> None:
    rng = np.random.default_rng(0)
    g = gn.Graph()
    conv = nn.Conv2D(40, 5, rng=rng)
    conv(input_of("n", 20, 8, 8, graph=g))
    weight = conv.state_dict()["weight"]
    limit = math.sqrt(6 / (25 * (20 + 40)))
    assert 0.95 * limit < np.abs(weight).max() <= limit
    assert not conv.state_dict()["bias"].any()
    again = np.random.default_rng(0).uniform(-limit, limit, (5, 5, 20, 40)).transpose(3, 2, 0, 1)
    np.testing.assert_array_equal(weight, again)
    back = nn.ConvTranspose2D(40, 5, groups=2, rng=np.random.default_rng(0))
    back(input_of("n", 20, 8, 8, graph=g, name="y"))
    limit = math.sqrt(6 / (25 * (20 + 20)))
    assert 0.95 * limit < np.abs(back.state_dict()["weight"]).max() <= limit
    square = nn.Conv1D(3, 2, rng=np.random.default_rng(0))
    square(input_of("n", 3, 8, graph=g, name="z"))
    limit = math.sqrt(6 / (2 * 6))
    drawn = np.random.default_rng(0).uniform(-limit, limit, (2, 3, 3)).transpose(2, 1, 0)
    np.testing.assert_array_equal(square.state_dict()["weight"], drawn)
    lstm = nn.LSTM(4)
    lstm(input_of("n", 2, 3, graph=g, name="w"))
    state = lstm.state_dict()
    np.testing.assert_allclose(state["weight_hh_l0"] @ state["weight_hh_l0"].T, np.eye(4), atol=1e-14)
    np.testing.assert_array_equal(state["bias_ih_l0"], np.repeat([0.0, 1.0, 0.0, 0.0], 4))
    table = nn.Embedding(1000, 8)
    table(input_of("n", dtype=np.int64, graph=g, name="i"))
    assert np.std(table.state_dict()["weight"]) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(("padding", "widths"), [(1, ((1, 1), (1, 1))), ((2, (0, 1)), ((2, 2), (0, 1)))])
@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric", "wrap"])
def test_what_is_padded_may_be_of_the_input(mode: Any, padding: Any, widths: Any) -> None:
    array = RNG.normal(size=(2, 1, 4, 5))
    x = input_of("n", 1, 4, 5)
    layer = nn.Conv2D(2, 3, padding=padding, padding_mode=mode)
    plain = nn.Conv2D(2, 3, weight=RNG.normal(size=(2, 1, 3, 3)))
    y = plain(x.graph.constant(np.pad(array, ((0, 0), (0, 0), *widths), mode=mode)))
    layer.load_state_dict(plain.state_dict())
    np.testing.assert_allclose(value(layer(x), {x: array}), value(y, {}), rtol=1e-13)
    same = nn.Conv2D(1, (3, 4), padding="same", padding_mode=mode)(x)
    assert same.shape == ("n", 1, 4, 5)


def test_values_that_are_given() -> None:
    weight = RNG.normal(size=(2, 1, 3)).astype("float32")
    layer = nn.Conv1D(2, 3, weight=weight, bias=[1.0, 2.0])
    x = input_of("n", 1, 5)
    y = layer(x)
    assert layer.state_dict()["weight"].dtype == np.float32
    array = RNG.normal(size=(1, 1, 5))
    expected = [
        [np.dot(array[0, 0, i : i + 3], w[0]) + b for i in range(3)] for w, b in zip(weight, (1, 2), strict=True)
    ]
    np.testing.assert_allclose(value(y, {x: array})[0], expected, rtol=1e-6)


# --- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nn.Conv2D(3, 3)(input_of("n", 1, 8)), r"Conv2D takes \(batch, channels, height, width\), and \"x\""),
        (lambda: nn.Conv2D(3, 3)(input_of("n", "c", 8, 8)), 'size of axis 1 for its parameters.* is the name "c"'),
        (lambda: nn.Conv2D(3, (3, 3, 3)), "kernel_size is one number or 2, not 3"),
        (lambda: nn.Conv2D(3, 3, groups=2), "2 groups do not divide 3 filters"),
        (lambda: nn.Conv2D(4, 3, groups=2)(input_of("n", 3, 8, 8)), "2 groups do not divide the 3 channels"),
        (lambda: nn.Conv2D(3, 3, bias=False), "write use_bias=False"),
        (
            lambda: nn.Conv2D(3, 3, weight=np.ones((3, 3)))(input_of("n", 1, 8, 8)),
            r"the weight has shape \(3, 1, 3, 3\)",
        ),
        (lambda: nn.Conv2D(3, 3, padding_mode="zeros"), "padding_mode is one of 'constant', 'edge'"),
        (
            lambda: nn.Conv2D(3, 3, 2, "same", padding_mode="edge")(input_of("n", 1, 8, 8)),
            'padding="same" by a padding_mode takes a stride of 1',
        ),
        (
            lambda: nn.Conv2D(3, 3, padding=(1,), padding_mode="edge")(input_of("n", 1, 8, 8)),
            "padding is one number, or a number or a pair for each of 2 axes",
        ),
        (lambda: nn.Conv2D(3, 3)(input_of("n", 1, 2, 2)), "a kernel of 3 does not fit"),
        (lambda: nn.MaxPool2D(2)(input_of("n", 8)), r"MaxPool2D takes \(batch, channels, height, width\)"),
        (lambda: nn.UpSample((2, 2))(input_of("n", 1, 8)), 'size has 2 numbers, and "x" 1 axes'),
        (lambda: nn.UpSample(2, "cubic"), "mode is one of 'nearest', 'linear'"),
        (lambda: nn.GroupNorm(2)(input_of("n", 3)), "2 groups do not divide the 3 channels"),
        (lambda: nn.InstanceNorm()(input_of("n", 3)), "has none"),
        (lambda: nn.LayerNorm(3)(input_of("n", 3)), "has no such axis"),
        (lambda: nn.LayerNorm(()), "LayerNorm: axes has one axis or more"),
        (lambda: nn.RMSNorm(dtype="float33"), "floats of 16, 32 or 64 bits, and 'float33' is not a dtype"),
        (lambda: nn.Conv2D(3, 3, dtype=(1, 2)), r"and \(1, 2\) is not a dtype"),
        (lambda: nn.Embedding(2**40, 2**40)(input_of("n", dtype=np.int64)), "does not fit into memory"),
        (lambda: nn.Embedding(2**70, 2)(input_of("n", dtype=np.int64)), "Embedding weight of shape .* does not fit"),
        (lambda: nn.Embedding(3, 2, weight_init=0), "Embedding: weight_init is an initializer"),
        (lambda: nn.AdaptiveMaxPool1D(2**40)(input_of("n", 3, 8)), "size is an int from 1 to 2..16"),
        (lambda: nn.MultiHeadAttention(2, dropout=()), "MultiHeadAttention: dropout is a number, not tuple"),
        (lambda: nn.LayerNorm("last"), "LayerNorm.*axes"),
        (lambda: nn.BatchNorm(momentum=1.5), "momentum is 0 or more, and less than"),
        (lambda: nn.BatchNorm()(input_of("n", 3, dtype=np.int64)), "BatchNorm takes floats"),
        (lambda: nn.Embedding(3, 2)(input_of("n")), "takes the numbers of vectors, and so integers"),
        (
            lambda: nn.LSTM(3, unroll=True)(input_of("n", "t", 2)),
            'axis 1 for its steps, which unroll=True .* the name "t"',
        ),
        (lambda: nn.LSTM(3)(input_of("n", 2)), r"LSTM takes \(batch, time, features\)"),
        (lambda: nn.RNN(3, activation="elu"), "activation is one of 'tanh', 'relu'"),
        (lambda: nn.LSTM(3)(x := input_of("n", 2, 2), mask=x), "a mask is bools, True to keep"),
        (lambda: nn.LSTM(3)(x := input_of("n", 2, 2), initial_state=x), "initial_state is a tuple of 2 nodes"),
        (lambda: nn.LSTM(3)(input_of("n", 5, 2), mask=[[True] * 4]), r"here \(n, 5\), and .* has \(1, 4\)"),
        (
            lambda: nn.LSTM(3)(input_of(1, 2, 2), mask=[[True] * 2] * 4),
            r"here \(1, 2\), .* has \(4, 2\)",
        ),
        (
            lambda: nn.GRU(3)(x := input_of(1, 2, 2), initial_state=gn.zeros((1, 4, 3), graph=x.graph)),
            r"has \(1, 4, 3\)",
        ),
        (lambda: nn.GRU(3, dropout=1.5), "GRU: dropout is 0 or more, and less than 1"),
        (lambda: nn.GRU(3, dropout="a"), "GRU: dropout is a number, not 'a'"),
        (lambda: nn.GRU(3)(np.ones((1, 2, 2)), mask=input_of("n", 2)), "GRU is called on one node, not on ndarray"),
        (lambda: nn.MultiHeadAttention(2)(input_of("n", 2, 4), "k"), "is called on one node, not on str"),
        (lambda: nn.GRU(3)(x := input_of("n", 2, 2), initial_state=x), r"initial_state has shape \(1, batch, 3\)"),
        (lambda: nn.MultiHeadAttention(3)(input_of("n", 2, 4)), "3 heads do not divide the 4 units"),
        (lambda: nn.MultiHeadAttention(2)(x := input_of("n", 2, 4), mask=x), "a mask is bools, True to keep"),
        (lambda: nn.TransformerBlock(2, 4, norm="first"), "norm is one of 'after', 'before'"),
        (lambda: nn.Residual(nn.Dense(3))(input_of("n", 4)), r"it is \(n, 3\)"),
        (lambda: nn.init.orthogonal()((3,), np.dtype("float64"), RNG), r"makes matrices, not an array of shape \(3,\)"),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(gn.GraphnnError, match=words) as refused:
        call()
    assert "at test_more_layers.py" in str(refused.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nn.ConvTranspose1D(3, 3, padding_mode="edge"), "has no padding_mode"),
        (lambda: nn.Conv2D(out_channels=3, kernel_size=3), "Here it is filters="),
        (lambda: nn.MaxPool2D(kernel_size=2), "Here it is size="),
        (lambda: nn.BatchNorm(num_features=3), "leave it out"),
        (lambda: nn.LSTM(hidden_size=3), "Here it is units="),
        (lambda: nn.MultiHeadAttention(2)(x := input_of("n", 2, 4), attn_mask=x), "Here it is mask="),
        (lambda: nn.MultiHeadAttention(num_heads=2), "Here it is heads="),
    ],
)
def test_an_argument_that_is_called_otherwise_has_a_hint(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        call()
