"""Data that need not be in memory: arrays and dataframes of Dask, and delayed shards."""

import gc
import weakref
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.debugger.health import check_health

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")  # Dask's own use of pandas

ROWS, CHUNK, SIZE = 60, 20, 10


@pytest.fixture(autouse=True)
def _here() -> Any:
    with dask.config.set(scheduler="synchronous"):
        yield


def _network() -> tuple[gn.Node, gn.Node, gn.Node, Any]:
    x = gn.Graph("small").placeholder("x", ("batch", 3))
    labels = x.graph.placeholder("labels", ("batch",), np.int64)
    rng = np.random.default_rng(0)
    scores = nn.Sequential(nn.Dense(4, rng=rng), nn.Tanh(), nn.Dense(2, rng=rng))(x)
    loss = nn.softmax_crossentropy(scores, labels)
    return x, labels, scores, gn.compile(loss, nn.Adam(0.05).updates(loss))


def _arrays() -> tuple[Any, Any]:
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((ROWS, 3))
    return rows, (rows.sum(axis=1) > 0).astype(np.int64)


def _kinds(folder: Path) -> dict[str, Any]:
    """Return the same rows in each form, as a function from the placeholders to the data."""
    rows, classes = _arrays()
    frame = pd.DataFrame({"a": rows[:, 0], "b": rows[:, 1], "c": rows[:, 2], "labels": classes, "unused": "text"})
    parts = [slice(first, first + CHUNK) for first in range(0, ROWS, CHUNK)]
    for number, part in enumerate(parts):
        frame[part].to_parquet(folder / f"part.{number}.parquet", index=False)
    read = dd.read_parquet(folder)

    @dask.delayed
    def load(part: slice, by_name: bool) -> Any:
        return {"labels": classes[part], "x": rows[part]} if by_name else (rows[part], classes[part])

    lazily = da.from_array(rows, chunks=(CHUNK, 2))
    return {
        "arrays": lambda x, labels: {x: lazily, labels: da.from_array(classes, chunks=7)},
        "an array and one in memory": lambda x, labels: {x: lazily, "labels": classes},
        "columns": lambda x, labels: {x: read[["a", "b", "c"]], labels: read["labels"]},
        "shards": lambda x, labels: [load(part, by_name=False) for part in parts],
        "shards by name": lambda x, labels: [load(part, by_name=True) for part in parts],
    }


def test_every_form_trains_and_evaluates_like_arrays(tmp_path: Path) -> None:
    rows, classes = _arrays()

    def trained(data: Any) -> Any:
        x, labels, scores, step = _network()
        given = data(x, labels)
        loader = nn.Loader(given, batch_size=SIZE, shuffle=False)
        history = nn.fit(step, loader, epochs=2, metrics={"accuracy": nn.accuracy(scores, labels)})
        figures = nn.evaluate([step.fetches[0], nn.f1(scores, labels)], given, batch_size=SIZE)
        again = nn.evaluate([step.fetches[0], nn.f1(scores, labels)], loader)
        assert [value.tolist() for value in figures] == [value.tolist() for value in again]
        return dict(history), [value.tolist() for value in figures], [p.value.tobytes() for p in x.graph.parameters]

    expected = trained(lambda x, labels: {x: rows, labels: classes})
    for name, data in _kinds(tmp_path).items():
        assert trained(data) == expected, name


class Seeing(nn.Callback):
    def __init__(self) -> None:
        self.rows: list[list[float]] = []

    def batch(self, run: Any) -> None:
        self.rows.append(run.results[1].tolist())


def _passes(numbers: Any, seed: int | None, drop_last: bool = False, **how: Any) -> list[list[float]]:
    x = gn.Graph().placeholder("x", ("n",))
    w, seen = x.graph.parameter("w", 1.0), Seeing()
    loss = gn.mean(x * w)
    step = gn.compile([loss, x], nn.SGD(0.0).updates(loss))
    rng = None if seed is None else np.random.default_rng(seed)
    data = nn.Loader({x: numbers}, batch_size=SIZE, shuffle=seed is not None, drop_last=drop_last, rng=rng)
    nn.fit(step, data, callbacks=seen, **how)
    return seen.rows


def test_orders_are_drawn_by_the_seed_and_each_pass_has_all_rows(tmp_path: Path) -> None:
    numbers = da.arange(ROWS, chunks=CHUNK, dtype=float)
    drawn = _passes(numbers, 3, epochs=2)
    assert drawn == _passes(numbers, 3, epochs=2)
    assert drawn != _passes(numbers, 4, epochs=2)
    one, other = ([number for batch in part for number in batch] for part in (drawn[:6], drawn[6:]))
    assert sorted(one) == sorted(other) == list(range(ROWS))
    assert one != other
    chunks = [{int(number) // CHUNK for number in batch} for batch in drawn[:6]]
    assert [len(each) for each in chunks] == [1] * 6
    assert chunks[::2] == chunks[1::2]  # one after another
    assert {int(number) % CHUNK for number in drawn[0]} != set(range(SIZE))
    path = tmp_path / "run.gnn"
    begun = _passes(numbers, 3, epochs=2, checkpoint=nn.Checkpoint(path, every=1), steps_per_epoch=4)
    checkpoint = nn.Checkpoint(path, resume=True)
    assert begun + _passes(numbers, 0, epochs=3, checkpoint=checkpoint, steps_per_epoch=4) == drawn
    rest = _passes(da.arange(25, chunks=(12, 13), dtype=float), 3, drop_last=True)
    assert [len(batch) for batch in rest] == [SIZE] * 2
    assert [len(batch) for batch in _passes(da.arange(25, chunks=(12, 13)), None)] == [10, 2, 10, 3]


def test_a_loader_goes_through_chunks() -> None:
    x = gn.Graph().placeholder("x", ("n",))
    numbers = da.arange(25, chunks=(12, 13), dtype=float)
    for drop_last, sizes in ((False, [10, 2, 10, 3]), (True, [10, 10])):
        loader = nn.Loader({x: numbers}, batch_size=10, drop_last=drop_last, rng=np.random.default_rng(0))
        first, second = ([batch[x] for batch in loader] for _ in range(2))
        assert sorted(map(len, first)) == sorted(sizes)
        assert len(loader) == len(second) == len(sizes)
        assert np.concatenate(first).tolist() != np.concatenate(second).tolist()
    assert nn.evaluate(gn.mean(x), loader) == 12
    unknown = nn.Loader({x: numbers[numbers > 3]}, batch_size=10, shuffle=False)
    assert np.concatenate([batch[x] for batch in unknown]).tolist() == list(range(4, 25))
    with pytest.raises(TypeError, match="how many batches there are is unknown"):
        len(unknown)


@pytest.mark.usefixtures("little_to_search")
@pytest.mark.parametrize("shuffle", [False, True])
def test_few_chunks_are_in_memory_at_once(shuffle: bool) -> None:
    x, _, _, step = _network()
    alive: list[weakref.ref[Any]] = []
    most = 0

    @dask.delayed(pure=False)
    def load(number: int) -> Any:
        nonlocal most
        rows = np.random.default_rng(number).random((CHUNK, 3))
        gc.collect()
        alive.append(weakref.ref(rows))
        most = max(most, sum(each() is not None for each in alive))
        return rows, np.zeros(CHUNK, np.int64)

    nn.fit(step, nn.Loader([load(number) for number in range(8)], shuffle=shuffle), epochs=2)
    assert len(alive) == 2 * 8 + 1  # the first, for the checks
    assert most == 1
    assert x.name == "x"


def test_what_cannot_be_read_is_named_with_its_file(tmp_path: Path) -> None:
    x, labels, _, step = _network()
    data = _kinds(tmp_path)["columns"](x, labels)
    broken = tmp_path / "part.2.parquet"
    broken.write_bytes(broken.read_bytes()[:-10])
    with pytest.raises(Exception, match=r"Parquet|parquet") as caught:
        nn.fit(step, nn.Loader(data, shuffle=False))
    notes = "\n".join(caught.value.__notes__)
    assert "of the training set (" in notes
    assert str(broken) in notes
    assert "could not be read" in notes
    assert "epoch 1, batch 3" in notes


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_fault_is_found_in_chunks(bad: float) -> None:
    x, labels, _, step = _network()
    rows, classes = _arrays()
    rows[47, 1] = bad
    expected = check_health(step, {x: rows, labels: classes}, batch_size=SIZE)
    health = check_health(step, {x: da.from_array(rows, chunks=(CHUNK, 3)), labels: classes}, batch_size=SIZE)
    assert health.sample == 47
    assert health.to_dict() == expected.to_dict()
    assert "batch 4, row 7 (sample 47), in chunk 2 of the data" in str(health)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"x": da.zeros((6, 4), chunks=2), "labels": da.zeros(6, chunks=2)}, r"expected \(batch, 3\)"),
        (
            {"x": da.zeros((6, 3), chunks=2), "labels": da.zeros(5, chunks=2)},
            '"labels" has 5 rows, and another one has 6',
        ),
        ({"x": da.zeros((6, 3), chunks=2), "label": np.zeros(6)}, 'names "label", which is not a placeholder'),
        ({"z": da.zeros((6, 3), chunks=2)}, 'names "z", which is not a placeholder'),
        (da.zeros((6, 3), chunks=2), 'one Array is given for "x", "labels": a mapping'),
        (dd.from_dict({"x": [0.0]}, npartitions=1), 'the dataframe has no column "labels"'),
        ([dask.delayed(5)], "a shard is {name of a placeholder: array}, or the arrays for x, labels"),
        ([dask.delayed({"x": np.zeros((2, 3)), "z": 1})], "a shard has 'z', which is not needed"),
        ([dask.delayed({"x": np.zeros((2, 3))})], "a shard lacks labels"),
        (
            [dask.delayed({"x": np.zeros((2, 3)), "labels": np.zeros(3)})],
            "the arrays of a chunk have different lengths",
        ),
        ({"x": dask.delayed(5), "labels": da.zeros(5)}, 'the feed of "x" is a Delayed'),
        ({"x": da.zeros((0, 3)), "labels": da.zeros(0, dtype=int)}, "the set is empty"),
    ],
)
def test_what_does_not_fit_is_refused(data: Any, message: str) -> None:
    _, _, _, step = _network()
    with pytest.raises(gn.GraphnnError, match=message):
        nn.evaluate(step.fetches[0], data)


def test_columns_that_may_have_other_rows_are_refused(tmp_path: Path) -> None:
    x, labels, _, step = _network()
    frame = dd.from_dict({"a": [0.0], "b": [0.0], "c": [0.0], "l": [1]}, npartitions=1)
    for other in (frame["l"] + 0, dd.from_dict({"l": [1]}, npartitions=1)["l"]):
        with pytest.raises(gn.UsageError, match="make them columns of one"):
            nn.evaluate(step.fetches[0], {x: frame[["a", "b", "c"]], labels: other})
    found = nn.evaluate(step.fetches[0], {x: frame[["a", "b", "c"]], labels: frame["l"]})
    assert found == gn.run(step.fetches[0], {x: [[0.0, 0.0, 0.0]], labels: [1]})


# --- gn.run -------------------------------------------------------------------------------------------------------


def test_run_gives_arrays_of_dask_that_are_computed_later(tmp_path: Path) -> None:
    x, labels, scores, step = _network()
    rows, classes = _arrays()
    wanted = {"scores": scores, "both": [gn.transpose(scores), scores.inputs[0]], "weight": x.graph.parameters[0]}
    expected = gn.run(wanted, {x: rows})
    step({x: rows, labels: classes})
    lazily = gn.run(scores, {x: da.from_array(rows, chunks=(CHUNK, 3))})
    assert isinstance(lazily, da.Array)
    assert (lazily.shape, lazily.dtype, lazily.chunks) == ((ROWS, 2), np.float64, ((CHUNK,) * 3, (2,)))
    np.testing.assert_allclose(lazily.compute(), gn.run(scores, {x: rows}), rtol=1e-14)
    assert abs(lazily.compute() - expected["scores"]).max() > 0.01  # of the state as it was when it was asked for
    found = gn.run(wanted, {x: da.from_array(rows, chunks=(25, 3))})
    assert found["both"][0].chunks == ((2,), (25, 25, 10))
    np.testing.assert_array_equal(found["weight"], x.graph.parameters[0].value)
    np.testing.assert_allclose(found["both"][0].compute(), found["scores"].compute().T, rtol=0)
    columns = gn.run(scores, {x: _kinds(tmp_path)["columns"](x, labels)[x]})
    np.testing.assert_allclose(columns.compute(), lazily.compute(), rtol=1e-14)
    assert columns.shape[1] == 2
    assert np.isnan(columns.shape[0])


def test_what_a_chunk_raises_later_names_the_chunk_and_the_line_of_the_run() -> None:
    x = gn.Graph().placeholder("x", ("n", 3))
    codes = x.graph.placeholder("codes", ("n",), int)
    pairs = gn.run(gn.reshape(x, (-1, 2, 3)), {x: da.zeros((9, 3), chunks=(5, 3))})
    picked = gn.run(gn.one_hot(codes, 2), {codes: da.from_array(np.array([0, 1, 2]), chunks=2)})
    for lazy, words, number in ((pairs, "reshape cannot turn", 0), (picked, "label 2 at index", 1)):
        with pytest.raises(gn.GraphnnError, match=words) as raised:
            lazy.compute()
        assert raised.value.origin.file == __file__
        assert "_task_spec" not in str(raised.value)
        assert raised.value.__notes__ == [f"in chunk {number} of the feed"]


def test_what_chunks_cannot_compute_by_themselves_is_refused() -> None:
    x, labels, scores, step = _network()
    rows = da.zeros((ROWS, 3), chunks=(CHUNK, 3))
    loss = step.fetches[0]
    cases = [
        (loss, {x: rows, labels: np.zeros(ROWS, int)}, r"is a .* of rows of the batch \(batch\) together"),
        (loss + 1.0, {x: rows, labels: np.zeros(ROWS, int)}, "nn.evaluate gives"),
        (x - gn.mean(x, axis=0), {x: rows}, '"mean" is a mean of rows'),
        (gn.sort(x, axis=0), {x: rows}, '"argsort" is an argsort of rows'),
        (nn.Dropout(0.5)(x, training=True), {x: rows}, "would draw the same numbers for each chunk"),
        (scores, {labels: da.zeros(ROWS, dtype=int)}, 'the feed lacks "x"'),
    ]
    for fetches, feed, message in cases:
        with pytest.raises(gn.GraphnnError, match=message):
            gn.run(fetches, feed)
    with pytest.raises(gn.UsageError, match="guard= stops a run"):
        gn.run(scores, {x: rows}, guard="nan")
