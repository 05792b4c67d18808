"""Runs that are kept as digests: what is in them, their files, and what a comparison tells of them."""

from __future__ import annotations

import hashlib
import inspect
import json
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import Trace, nn
from graphnn.debugger.diff import Difference, compare
from graphnn.debugger.traces import SAMPLE
from graphnn.debugger.traces import value_digests as kept_digests


def network(dtype: str = "float32", slope: float = 1.0) -> tuple[gn.Node, dict[str, Any]]:
    """Return a loss and its feed."""
    g = gn.Graph("net", dtype)
    x = g.placeholder("x", ("n", 20))
    labels = g.placeholder("labels", ("n",), np.int64)
    rng = np.random.RandomState(0)
    hidden = gn.tanh(nn.Dense(64, rng=rng)(x)) * slope
    loss = nn.softmax_crossentropy(nn.Dense(3, rng=rng)(hidden), labels)
    draw = np.random.RandomState(1)
    return loss, {"x": draw.standard_normal((32, 20)).astype(np.float32), "labels": draw.randint(0, 3, 32)}


def training(dtype: str = "float32") -> tuple[gn.Compiled, dict[str, Any]]:
    loss, feed = network(dtype)
    return gn.compile(loss, updates=nn.Adam(0.01).updates(loss)), feed


def digests(target: Any, feed: Any) -> Trace:
    return gn.trace(target, feed, keep="digests")


def saved(trace: Trace, path: Path) -> Path:
    trace.save(path)
    return path


def first_of(found: gn.Comparison) -> Difference:
    assert found.first is not None
    return found.first


# --- what is kept -----------------------------------------------------------------------------------------------


def test_statistics_and_hash_are_those_of_the_values() -> None:
    step, feed = training()
    whole, kept = gn.trace(step, feed), digests(step, feed)
    assert len(kept) == len(whole)
    for record, value in zip(kept, (record.value for record in whole), strict=True):
        assert (record.shape, record.dtype) == (value.shape, value.dtype)
        assert record.stats[:3] == pytest.approx((value.min(), value.max(), value.mean(dtype=np.float64)), abs=1e-12)
        raw = value.astype(value.dtype.newbyteorder("<")).tobytes()
        assert record.digest == hashlib.blake2b(raw, digest_size=16).hexdigest()
        assert record.preview.size <= SAMPLE
        assert np.isin(record.preview, value).all()
        assert record.kept == (value.size <= SAMPLE)
        if record.kept:
            assert np.array_equal(record.value, value)


def test_nan_and_infinities_are_counted_and_every_nan_is_the_same() -> None:
    x = gn.Graph(dtype="float32").placeholder("x", (40,))
    array = np.zeros(40, np.float32)
    array[[1, 2, 3, 4, 5]] = [np.nan, np.inf, -np.inf, np.inf, np.nan]
    other = array.copy()
    other.view(np.uint32)[1] = struct.unpack("<I", struct.pack("<f", -np.nan))[0] | 1  # other bits of a NaN
    a, b = (digests(x, {x: each})["x"] for each in (array, other))
    assert (a.stats.nans, a.stats.posinfs, a.stats.neginfs, a.stats.zeros) == (2, 2, 1, 35)
    assert a.digest == b.digest
    assert a.digest != digests(x, {x: np.where(array == 0, -array, array)})["x"].digest  # zeros have a sign


def test_nothing_is_held_but_a_row_a_node() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("n",))
    y = x
    for _ in range(8):
        y = gn.sin(y)
    feed = {x: np.linspace(0.0, 1.0, 2**17)}  # 1 MiB
    digests(y, feed)
    tracemalloc.start()
    try:
        kept = digests(y, feed)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 30_000
    assert peak < 6 * 2**20
    assert len(kept) == 9


def test_a_trace_of_digests_cannot_be_run_again() -> None:
    step, feed = training()
    kept = digests(step, feed)
    for call in (gn.debug, gn.check_health, gn.profile, gn.trace, gn.compare):
        with pytest.raises(gn.UsageError, match="has kept digests"):
            call(kept)
    with pytest.raises(gn.NotFoundError, match="a trace of digests"):
        _ = kept["x"].value
    with pytest.raises(gn.UsageError, match="an int of 0 or more, not 'digest'; or \"digests\""):
        gn.trace(step, feed, keep="digest")


def test_a_training_is_recorded_as_digests() -> None:
    films = []
    for _ in range(2):
        step, feed = training()
        with gn.recording(step, keep="digests") as film:
            for _ in range(3):
                step(feed)
        films.append(film)
    assert all(gn.compare(a, b) for a, b in zip(*films, strict=True))
    assert first_of(gn.compare(films[0][0], films[1][1])).node.op.name == "parameter"
    with pytest.raises(gn.UsageError, match="has kept digests"):
        gn.check_health(films[0])


# --- files ------------------------------------------------------------------------------------------------------


def test_a_file_holds_them_as_they_were(tmp_path: Path) -> None:
    step, feed = training()
    kept = digests(step, feed)
    path = saved(kept, tmp_path / "here.trace")
    assert path.stat().st_size < 300 * len(kept)
    assert feed["x"].tobytes()[:64] not in path.read_bytes()
    read = gn.load(path)
    assert [(r.name, r.digest, r.stats, r.time) for r in read] == [(r.name, r.digest, r.stats, r.time) for r in kept]
    assert [node.name for node in read.updates] == [node.name for node in step.updates]
    assert str(read) == str(kept)
    assert saved(read, tmp_path / "again.trace").read_bytes() == path.read_bytes()
    assert gn.compare(read, kept)


def test_the_graph_of_a_file_is_there_and_its_values_are_not(tmp_path: Path) -> None:
    step, feed = training()
    read = gn.load(saved(digests(step, feed), tmp_path / "here.trace"))
    loss = read.fetches[0]
    for call in (
        lambda: gn.run(loss, feed),
        lambda: gn.compile(loss)(feed),
        lambda: gn.save(read.graph, tmp_path / "net.gnn"),
        lambda: gn.extract(loss),
        lambda: read.graph["dense_1/weight"].value,
    ):
        with pytest.raises(gn.NotFoundError, match="was read from a file of digests"):
            call()
    assert "dense_1" in str(gn.summary(read.graph))
    # Constants of few elements belong to the program, like attributes.
    assert float(next(node for node in read.order if node.op.name == "constant").value) == 1.0


def test_constants_that_are_not_known_are_drawn_all_the_same(tmp_path: Path) -> None:
    x = gn.Graph().placeholder("x", ("n", 12))
    y = gn.tanh(x * np.arange(12.0) + np.arange(12.0)) * 2.0
    read = gn.load(saved(digests(y, {x: np.ones((2, 12))}), tmp_path / "here.trace"))
    assert gn.draw(read.fetches, trace=read).source.count("constant") >= 2


def test_a_what_if_is_one_in_a_file_too(tmp_path: Path) -> None:
    loss, feed = network()
    dbg = gn.debug(loss, feed, echo=None)
    dbg.resume()
    dbg["tanh"] = np.zeros((32, 64), np.float32)
    dbg.resume()
    plain, changed = digests(loss, feed), digests(dbg.trace(), None)
    read = gn.load(saved(changed, tmp_path / "what-if.trace"))
    for seen in (changed, read):
        found = first_of(gn.compare(plain, seen))
        assert found.name == "tanh"
        assert "its value was set by hand in b" in found.cause


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data, rows: (data, rows[:, :-1]), "not a row for each node"),
        (lambda data, rows: (data, rows.astype(np.int16)), "not a row for each node"),
        (lambda data, rows: (data, rows[:-1]), "times are not one per node"),
        (lambda data, rows: (data, np.roll(rows, 1, axis=0)), "statistics of node"),
        (lambda data, rows: (data | {"set": [999]}, rows), "do not describe a trace"),
        (lambda data, rows: (data | {"sizes": {"n": -1}}, rows), "do not describe a trace"),
        (lambda data, rows: (data | {"sizes": {}}, rows), "do not describe a trace"),
    ],
)
def test_a_file_that_cannot_be_is_refused(change: Any, message: str, tmp_path: Path) -> None:
    from graphnn.io.container import write

    data, arrays = digests(*training())._encoded()
    data, rows = change(data, arrays["digests"])
    write(tmp_path / "forged.trace", "trace", data, {"digests": np.ascontiguousarray(rows)}, version=3)
    with pytest.raises(gn.FileFormatError, match=message):
        gn.load(tmp_path / "forged.trace")


def test_other_arrays_beside_digests_are_refused(tmp_path: Path) -> None:
    from graphnn.io.container import write

    data, arrays = digests(*training())._encoded()
    write(tmp_path / "forged.trace", "trace", data, arrays | {"state/w": np.zeros(3)}, version=3)
    with pytest.raises(gn.FileFormatError, match="other arrays beside"):
        gn.load(tmp_path / "forged.trace")


# --- comparing --------------------------------------------------------------------------------------------------


def test_two_processes_are_compared_by_their_files(tmp_path: Path) -> None:
    program = (
        "from __future__ import annotations; import sys; from typing import Any; import numpy as np\n"
        f"import graphnn as gn; from graphnn import nn\n{inspect.getsource(network)}\n"
        "gn.trace(*network(), keep='digests').save(sys.argv[1])\n"
        "gn.trace(*network(slope=1.5), keep='digests').save(sys.argv[2])\n"
    )
    there, other = tmp_path / "there.trace", tmp_path / "other.trace"
    subprocess.run([sys.executable, "-c", program, there, other], check=True)
    here = saved(digests(*network()), tmp_path / "here.trace")
    assert gn.compare(here, there)
    assert gn.compare(str(here), str(there), names=("here", "there")).counts.differing == 0
    found = gn.compare(digests(*network()), other)
    assert first_of(found).cause == "the constant's value changed"
    assert first_of(found).rounding is None
    gn.save(network()[0], tmp_path / "net.gnn")
    with pytest.raises(gn.UsageError, match="holds a graph, not a recorded run"):
        gn.compare(here, tmp_path / "net.gnn")


def test_the_first_node_that_differs_is_named_with_its_equal_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    loss, feed = network()
    here = digests(loss, feed)
    op = type(loss.graph["dense_1/matmul"].op)
    with monkeypatch.context() as patch:
        patch.setattr(op, "forward", lambda self, x, w: np.matmul(x, w) * np.float32(1.01))
        there = digests(*network())
    found = gn.compare(here, there)
    first = first_of(found)
    assert (first.name, first.operands_equal) == ("dense_1/matmul", True)
    assert first.inputs == {"x": "equal", "dense_1/weight": "equal"}
    assert first.rounding is False
    assert first.element is not None
    whole = gn.trace(loss, feed)["dense_1/matmul"].value
    assert first.a == whole[first.element]
    assert "rounding does not explain this" in str(found)
    assert 1e-4 < first.absolute < 1e-1  # type: ignore[operator]
    rounded = np.float32(1 + 2**-22)
    with monkeypatch.context() as patch:
        patch.setattr(op, "forward", lambda self, x, w: np.matmul(x, w) * rounded)
        near = digests(*network())
    first = first_of(gn.compare(here, near))
    assert (first.name, first.rounding) == ("dense_1/matmul", True)
    assert "rounding may explain this" in str(gn.compare(here, near))
    found = gn.compare(here, near, rtol=1e-5)
    assert found
    assert found.sampled
    assert "as far as samples and statistics show" in str(found)
    assert found.counts.equal > 5


def test_what_no_sample_shows_is_seen_in_the_statistics_and_in_the_hash() -> None:
    x = gn.Graph().placeholder("x", ("n",))
    array = np.linspace(0.0, 1.0, 1000)
    changed = array.copy()
    changed[1] = 2.0  # not in the sample
    here, there = (digests(gn.exp(x), {x: each}) for each in (array, changed))
    first = first_of(compare(here, there))
    assert (first.element, first.absolute) == (None, 1.0)
    assert "max 1 against 2" in first.misfit
    assert not compare(here, there, atol=1e-2)
    changed[1] = array[1] + 1e-9
    there = digests(gn.exp(x), {x: changed})
    assert first_of(compare(here, there)).misfit == "their hashes differ"
    assert compare(here, there, atol=1e-6).sampled == 2
    changed[1] = np.nan
    assert "0 NaN against 1" in first_of(compare(here, digests(x, {x: changed}), atol=1e9)).misfit


def test_digits_that_float16_loses_are_counted_from_files(tmp_path: Path) -> None:
    single, half = (saved(digests(*network(dtype)), tmp_path / f"{dtype}.trace") for dtype in ("float32", "float16"))
    found = gn.compare(single, half)
    whole = gn.compare(network()[0], feed=network()[1], dtypes=("float32", "float16"))
    assert found.digits.keys() == whole.digits.keys()
    for name, digits in whole.digits.items():
        assert digits.left - 0.1 <= found.digits[name].left  # what is seen is a lower bound of the difference
    assert 2.0 < min(digits.left for digits in found.digits.values()) < 3.4
    names = [each.node.name for each in found.agreements]
    assert names == [node.name for node in gn.load(single).order]
    lines = found.table(60).split("\n")
    assert len(lines) == len(names) + 1
    assert all(len(line) <= 60 for line in lines)
    json.dumps(found.to_dict())


def test_a_scale_and_a_longer_run_are_reported() -> None:
    step, feed = training()
    kept = digests(step, feed)
    fewer = {name: array[:16] for name, array in feed.items()}
    found = gn.compare(kept, digests(step, fewer))
    assert found.sizes == {"n": (32, 16)}
    assert "shape (32, 20) against (16, 20)" in first_of(found).misfit


def test_rows_are_as_small_as_they_are_said_to_be() -> None:
    assert kept_digests._ROW.size == 144


def test_digests_of_single_bools_are_compared() -> None:
    g = gn.Graph()
    y = gn.all(g.placeholder("x", (5,)) > 0.0)
    trace = digests(y, {"x": np.arange(5.0)})
    assert trace["all"].value.shape == ()
    assert not trace["all"].value
    assert compare(trace, y, feed={"x": np.arange(5.0)})
