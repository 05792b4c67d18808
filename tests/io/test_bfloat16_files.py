"""bfloat16 in files: its bits as uint16, its name in the JSON."""

import json
from pathlib import Path
from zipfile import ZipFile

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import graphnn as gn
from graphnn.io.container import pack, read, unpack, write

BF16 = np.dtype(ml_dtypes.bfloat16)


@given(arrays(np.uint16, array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)), st.sampled_from("CFr"))
def test_every_bit_comes_back(raw: np.ndarray, order: str) -> None:
    array = raw.view(BF16)
    array = array[::-1] if order == "r" and array.ndim else np.asarray(array, order="C" if order == "r" else order)
    _, found = unpack(pack("test", None, {"a": array}), "test")
    assert found["a"].dtype == BF16
    np.testing.assert_array_equal(found["a"].view(np.uint16), array.view(np.uint16))


def test_numpy_reads_the_bits_and_the_json_names_the_dtype(tmp_path: Path) -> None:
    array = np.array([1.0, -0.0, np.inf], BF16)
    write(tmp_path / "a.gnn", "test", None, {"w": array})
    with ZipFile(tmp_path / "a.gnn") as archive:
        assert json.loads(archive.read("test.json"))["arrays"] == [["w", "w.npy", "bfloat16", [3]]]
    raw = np.load(tmp_path / "a.gnn")["w"]
    assert raw.dtype == np.uint16
    np.testing.assert_array_equal(raw.view(BF16), array)


def test_a_member_of_another_dtype_is_refused(tmp_path: Path) -> None:
    """What the JSON calls bfloat16 must be held as uint16."""
    write(tmp_path / "a.gnn", "test", None, {"w": np.ones(3, np.float16)})
    content = (tmp_path / "a.gnn").read_bytes()
    forged = content.replace(b'"float16", [3]', b'"bfloat16",[3]').replace(b'"float16",[3]', b'"bfloat16",[3]')
    (tmp_path / "b.gnn").write_bytes(forged)
    with pytest.raises(gn.FileFormatError):
        read(tmp_path / "b.gnn", "test")


def test_a_graph_and_a_trace_come_back(tmp_path: Path) -> None:
    g = gn.Graph(dtype="bfloat16")
    x, w = g.placeholder("x", ("batch", 2)), g.parameter("w", np.array([[0.1], [np.nan]], BF16))
    y = gn.cast(x @ w + g.constant([0.5]), "bfloat16")
    g.outputs["y"] = y
    gn.save(g, tmp_path / "g.gnn")
    copy = gn.load(tmp_path / "g.gnn")
    assert copy.dtype == BF16
    assert [node.spec for node in copy] == [node.spec for node in g]
    assert copy["w"].value.tobytes() == w.value.tobytes()
    feed = {"x": np.ones((3, 2), np.float32)}
    for keep in ("all", "digests"):
        trace = gn.trace(y, feed, **({} if keep == "all" else {"keep": keep}))
        trace.save(tmp_path / "t.trace")
        again = gn.load(tmp_path / "t.trace")
        assert again["w"].dtype == BF16
        assert again["w"].digest == trace["w"].digest
        assert again["w"].stats.nans == 1
