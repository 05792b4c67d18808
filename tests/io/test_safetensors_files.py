"""Safetensors files: their arrays stay in the file, nobody can write to them, and values that change are copies."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.io.safetensors import read_safetensors


def saved(path: Path, arrays: dict[str, tuple[str, np.ndarray]], padding: int = 0) -> Path:
    """Write a file by hand, as the format says."""
    header: dict[str, Any] = {}
    body = b""
    for name, (kind, array) in arrays.items():
        data = array.tobytes()
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8 + padding)
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return path


WEIGHT = np.arange(6, dtype="float32").reshape(3, 2)


@pytest.mark.parametrize("padding", [0, 1])  # where the bytes of a float are not at its own size, they are copied
def test_the_values_are_those_of_the_file_and_nobody_can_write_to_them(tmp_path: Path, padding: int) -> None:
    given = {
        "w": ("F32", WEIGHT),
        "half": ("F16", np.array([1.5, np.nan], "float16")),
        "none": ("F64", np.zeros((0, 3))),
        "flags": ("BOOL", np.array([0, 1, 2], "uint8")),
        "number": ("I64", np.array(-7)),
    }
    found = read_safetensors(saved(tmp_path / "a.safetensors", given, padding))
    np.testing.assert_array_equal(found["flags"], [False, True, True])
    for name in ("w", "half", "none", "number"):
        np.testing.assert_array_equal(found[name], given[name][1])
        assert found[name].dtype == given[name][1].dtype
    for array in found.values():
        assert not array.flags.writeable
    with pytest.raises(ValueError, match="WRITEABLE"):
        read_safetensors(saved(tmp_path / "b.safetensors", given))["w"].flags.writeable = True


def test_a_layer_keeps_its_weights_in_the_file_until_they_change(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors", {"weight": ("F32", WEIGHT), "bias": ("F32", np.ones(2, "float32"))})
    before = path.read_bytes()
    layer = nn.Dense(2, dtype="float32")
    y = layer(gn.Graph(dtype="float32").placeholder("x", ("n", 3)))
    layer.load_state_dict(path)
    state = y.graph.state
    assert isinstance(_owner(state[layer.weight]), np.memmap)
    np.testing.assert_array_equal(gn.run(y, {"x": np.eye(3)}), WEIGHT + 1)
    step = gn.compile(gn.sum(y), nn.SGD(0.5).updates(gn.sum(y)))
    step({"x": np.eye(3)})
    np.testing.assert_array_equal(layer.weight.value, WEIGHT - 0.5)
    assert not isinstance(_owner(state[layer.weight]), np.memmap)
    layer.weight.value = np.zeros((3, 2), "float32")
    assert path.read_bytes() == before


def test_bfloat16_stays_as_it_is_in_a_layer_of_bfloat16(tmp_path: Path) -> None:
    halved = (WEIGHT.view(np.uint32) >> 16).astype(np.uint16)
    path = saved(tmp_path / "a.safetensors", {"weight": ("BF16", halved), "bias": ("BF16", halved[0])})
    layer = nn.Dense(2, dtype="bfloat16")
    y = layer(gn.Graph(dtype="float32").placeholder("x", ("n", 3)))
    layer.load_state_dict(path)
    assert isinstance(_owner(y.graph.state[layer.weight]), np.memmap)
    np.testing.assert_array_equal(gn.run(y, {"x": np.eye(3, dtype="float32")}), WEIGHT + WEIGHT[0])


def test_an_array_that_is_only_marked_as_read_only_is_copied() -> None:
    marked = WEIGHT.copy()
    marked.flags.writeable = False
    w = gn.Graph().parameter("w", marked.view())
    marked.flags.writeable = True
    marked[:] = 0
    np.testing.assert_array_equal(w.value, WEIGHT)


def _owner(array: np.ndarray) -> Any:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
