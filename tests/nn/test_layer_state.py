"""What layers hold by name, values from elsewhere, and keywords that are handed on."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn


class Block(nn.Layer):
    def __init__(self) -> None:
        self.first = nn.Dense(3)
        self.parts = [nn.Dense(3), nn.Sequential(nn.ReLU(), nn.BatchNorm())]
        self._again = self.first
        self.by_name = {"left": nn.PReLU()}

    def call(self, x: gn.Node, training: bool = False) -> gn.Node:
        h = self.parts[0](self._again(self.first(x)))
        return self.by_name["left"](self.parts[1](h))


NAMES = [
    "first.weight",
    "first.bias",
    "parts.0.weight",
    "parts.0.bias",
    "parts.1.1.weight",
    "parts.1.1.bias",
    "parts.1.1.running_mean",
    "parts.1.1.running_var",
    "by_name.left.slope",
]


def inputs(features: int = 3) -> gn.Node:
    return gn.Graph().placeholder("x", ("batch", features))


def state(seed: int = 0) -> dict[str, Any]:
    layer = Block()
    layer(inputs())
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=array.shape) for name, array in layer.state_dict().items()}


def saved(path: Path, arrays: dict[str, tuple[str, Any]], **changes: Any) -> Path:
    """Write a safetensors file by hand."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, (kind, array) in arrays.items():
        data = array.tobytes()
        offsets = [len(body), len(body) + len(data)]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": offsets} | changes
        body += data
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return path


@pytest.mark.parametrize("before", [True, False])
def test_a_state_comes_back_before_and_after_the_first_call(before: bool) -> None:
    layer, given = Block(), state()
    if before:
        layer.load_state_dict(given)
    layer(inputs())
    if not before:
        layer.load_state_dict(given)
    found = layer.state_dict()
    assert list(found) == NAMES
    for name, array in given.items():
        np.testing.assert_array_equal(found[name], array)


def test_a_layer_in_two_places_may_be_given_under_both_names() -> None:
    given = state()
    given["again.weight"] = given.pop("first.weight")
    given["again.bias"] = given["first.bias"]
    layer = Block()
    layer.load_state_dict(given)
    layer(inputs())
    np.testing.assert_array_equal(layer.state_dict()["first.weight"], given["again.weight"])


def test_the_layout_of_pytorch_says_how_a_square_matrix_lies() -> None:
    layer = Block()
    layer(inputs())
    given = state()
    layer.load_state_dict(given | {"parts.1.1.num_batches_tracked": np.int64(3)}, layout="torch")
    np.testing.assert_array_equal(layer.state_dict()["parts.0.weight"], given["parts.0.weight"].T)
    np.testing.assert_array_equal(layer.state_dict()["by_name.left.slope"], given["by_name.left.slope"])


def test_counters_are_no_part_of_a_state() -> None:
    network = nn.Sequential(nn.Dense(2), nn.Dropout(0.5))
    network(inputs(), training=True)
    assert list(network.state_dict()) == ["0.weight", "0.bias"]
    network.load_state_dict(network.state_dict())


def test_a_state_has_the_dtype_of_the_parameters() -> None:
    layer = nn.Dense(2)
    layer.load_state_dict({"weight": np.ones((3, 2), "float32"), "bias": [1, 2]})
    layer(inputs())
    assert layer.state_dict()["weight"].dtype == np.float64
    assert layer.state_dict()["bias"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"weight": np.ones((3, 2))}, gn.NotFoundError, 'lacks "bias"'),
        (
            {"weight": np.ones((3, 2)), "biass": np.ones(2)},
            gn.NotFoundError,
            'lacks "bias" and holds "biass", which the layer does not have. Did you mean "bias"',
        ),
        ({"weight": np.ones((2, 3)), "bias": np.ones(2)}, gn.ShapeError, r'"weight" has shape \(3, 2\); the state'),
        ({"weight": np.ones((3, 2), complex), "bias": np.ones(2)}, gn.DtypeError, "complex"),
        ([1, 2], gn.UsageError, "takes {name: array}"),
        ({1: 2}, gn.UsageError, "takes {name: array}"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(given: Any, error: type[Exception], words: str) -> None:
    layer = nn.Dense(2)
    layer(inputs())
    before = layer.state_dict()
    with pytest.raises(error, match=words):
        layer.load_state_dict(given)
    for name, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    with pytest.raises(gn.ValueRangeError, match="layout is one of 'graphnn', 'torch'"):
        layer.load_state_dict(before, layout="keras")


def test_there_is_no_state_before_the_first_call() -> None:
    with pytest.raises(gn.UsageError, match="Dense has no state yet"):
        nn.Dense(2).state_dict()


def test_safetensors_files_are_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(3, 2)).astype("float32"), np.array([1.5, -2.0], "float32")
    halved = (bias.view(np.uint32) >> 16).astype(np.uint16)
    path = saved(tmp_path / "a.safetensors", {"weight": ("F32", weight), "bias": ("BF16", halved)})
    layer = nn.Dense(2)
    layer.load_state_dict(path)
    layer(inputs())
    np.testing.assert_array_equal(layer.state_dict()["weight"], weight)
    np.testing.assert_array_equal(layer.state_dict()["bias"], bias)


@pytest.mark.parametrize(
    "changes",
    [
        {"data_offsets": [0, 10**15]},
        {"data_offsets": [4, 0]},
        {"shape": [-1]},
        {"shape": [10**9, 10**9]},
        {"shape": [True, 2]},
        {"dtype": "F8_E5M2"},
        {"dtype": ["F32"]},
        {"shape": [0, 2**62], "data_offsets": [0, 0]},
        {"shape": [0, 2**70], "data_offsets": [0, 0]},
    ],
)
def test_a_damaged_safetensors_file_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = saved(tmp_path / "a.safetensors", {"weight": ("F32", np.zeros(2, "float32"))}, **changes)
    with pytest.raises(gn.FileFormatError, match="is damaged, or has an array of an unknown dtype: 'weight'"):
        nn.Dense(2).load_state_dict(path)


def test_arrays_of_a_file_share_no_bytes(tmp_path: Path) -> None:
    two = {name: ("F32", np.zeros(2, "float32")) for name in ("weight", "bias")}
    path = saved(tmp_path / "a.safetensors", two, data_offsets=[0, 8])
    with pytest.raises(gn.FileFormatError, match="the bytes of two arrays overlap"):
        nn.Dense(2).load_state_dict(path)
    text = b'{"a": 1, "a": 2}'
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(gn.FileFormatError, match="not a safetensors file"):
        nn.Dense(2).load_state_dict(path)


def test_a_kept_state_that_does_not_fit_is_an_error_at_every_call_until_another_is_loaded() -> None:
    layer, x = nn.Dense(2), inputs()
    layer.load_state_dict({"weight": np.ones((4, 2)), "bias": np.ones(2)})
    for _ in range(2):
        with pytest.raises(gn.ShapeError, match='"weight" has shape'):
            layer(x)
    layer.load_state_dict({"weight": np.ones((3, 2)), "bias": np.ones(2)})
    layer(x)
    np.testing.assert_array_equal(layer.state_dict()["weight"], np.ones((3, 2)))


def test_a_state_that_overflows_warns() -> None:
    layer = nn.Dense(2, dtype="float32")
    layer(inputs())
    with pytest.warns(gn.GraphnnWarning, match=r'"bias" of the state holds 1e\+300, which is inf in float32'):
        layer.load_state_dict({"weight": np.ones((3, 2)), "bias": [1e300, 0.0]})


@pytest.mark.parametrize(
    ("name", "array", "error", "words"),
    [
        ("in_proj_weight", np.ones((4, 4)), gn.ShapeError, '"in_proj_weight" has rows for query, key and value'),
        ("in_proj_bias", 1.0, gn.ShapeError, '"in_proj_bias" has rows for query, key and value'),
        ("x_proj_weight", np.ones((4, 4)), gn.NotFoundError, 'holds "x_proj_weight"'),
        ("_proj_weight", np.ones((4, 4)), gn.NotFoundError, 'holds "_proj_weight"'),
    ],
)
def test_an_attention_of_pytorch_that_does_not_fit_is_refused(
    name: str, array: Any, error: type[Exception], words: str
) -> None:
    layer = nn.MultiHeadAttention(2)
    layer(gn.Graph().placeholder("x", ("batch", 5, 4)))
    with pytest.raises(error, match=words):
        layer.load_state_dict({name: array}, layout="torch")


def test_a_bfloat16_tensor_becomes_float32() -> None:
    class Tensor:
        """What a tensor of PyTorch does, in which bfloat16 has no NumPy dtype."""

        def __init__(self, array: Any, dtype: str) -> None:
            self.array, self.dtype = array, dtype

        def detach(self) -> "Tensor":
            return self

        cpu = detach

        def float(self) -> "Tensor":
            return Tensor(self.array, "torch.float32")

        def numpy(self) -> Any:
            if self.dtype == "torch.bfloat16":
                raise TypeError("Got unsupported ScalarType BFloat16")
            return self.array

    layer = nn.Dense(2)
    layer.load_state_dict({"weight": Tensor(np.ones((2, 3)), "torch.bfloat16"), "bias": [0.0, 1.0]}, layout="torch")
    layer(inputs())
    np.testing.assert_array_equal(layer.state_dict()["weight"], np.ones((3, 2)))


@pytest.mark.parametrize(
    "content", [b"", b"1234567", b"\xff" * 8, b"\2" + b"\0" * 7 + b"[]", b"\2" + b"\0" * 7 + b"xx"]
)
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(content)
    with pytest.raises(gn.FileFormatError, match="not a safetensors file"):
        nn.Dense(2).load_state_dict(str(path))


class Masked(nn.Layer):
    def call(self, x: gn.Node, mask: Any = None) -> gn.Node:
        return x if mask is None else gn.where(mask, x, 0.0)


def test_keywords_are_handed_on() -> None:
    x = inputs()
    mask = x.graph.placeholder("mask", ("batch", 3), bool)
    feed = {x: np.ones((1, 3)), mask: [[True, False, True]]}
    assert gn.run(Masked()(x, mask=mask), feed).tolist() == [[1.0, 0.0, 1.0]]
    network = nn.Sequential(Masked(), nn.Sequential(nn.ReLU(), Masked()))
    assert gn.run(network(x, mask=mask), feed).tolist() == [[1.0, 0.0, 1.0]]
    assert nn.ReLU()(x, name="h").name == "h"


def test_a_keyword_that_is_not_taken_is_refused() -> None:
    x = inputs()
    for call, words in [
        (lambda: nn.Dense(2)(x, mask=x), r"'mask'\nThe call is Dense\(x, \*, training=None\)"),
        (lambda: nn.Sequential(nn.ReLU())(x, mask=x), 'none of its layers takes an argument "mask"'),
        (lambda: nn.Dropout(0.5)(x, mask=x), "'mask'\nThe call is Dropout"),
    ]:
        with pytest.raises(TypeError, match=words):
            call()


def test_a_node_may_be_given_by_keyword_alone() -> None:
    x = inputs()
    assert Masked()(x=x) is x


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX only: pipes in a folder")
def test_a_path_that_no_file_has_and_a_pipe_are_refused(tmp_path: Path) -> None:
    layer = nn.Dense(2)
    layer(gn.Graph().placeholder("x", shape=("n", 2)))
    for path in ("a\0b", "\ud800"):
        with pytest.raises(gn.UsageError, match="no file can be called"):
            layer.load_state_dict(path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(gn.FileFormatError, match="is not a regular file"):
        layer.load_state_dict(tmp_path / "pipe")
