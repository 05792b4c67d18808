"""Workers of Dask: what they are given, what they refuse, and what is told of those that are lost."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import joblib
import numpy as np
import pytest
from distributed import Client, LocalCluster
from distributed.comm.core import CommClosedError
from sklearn.model_selection import GridSearchCV

import graphnn as gn
from graphnn import nn
from graphnn.debugger.health import check_health
from graphnn.distributed import worker
from graphnn.distributed.blas_threads import blas_libraries, one_blas_thread
from graphnn.distributed.worker_programs import compiled, packed
from graphnn.runtime.cluster_port import opened_cluster


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        yield client


def _loss() -> tuple[gn.Node, gn.Node, gn.Node]:
    x = gn.Graph("small").placeholder("x", ("batch", 5))
    labels = x.graph.placeholder("labels", ("batch",), np.int64)
    rng = np.random.default_rng(0)
    network = nn.Sequential(nn.Dense(7, rng=rng), nn.Tanh(), nn.Dense(3, rng=rng))
    return x, labels, nn.softmax_crossentropy(network(x), labels)


def test_workers_compute_the_bits_of_this_process_for_each_version_of_the_state(client: Client) -> None:
    x, labels, loss = _loss()
    rng = np.random.default_rng(1)
    weights = [node for node in x.graph.parameters if node.trainable]
    wanted = [loss, *gn.grad(loss, weights)]
    step = gn.compile(wanted)
    shards = [{x: rng.random((size, 5)), labels: rng.integers(0, 3, size)} for size in (4, 4, 3)]
    with opened_cluster(client) as cluster:
        program = cluster.program(wanted)
        for _ in range(2):
            state = cluster.state(x.graph.state)
            futures = [cluster.submit(program, state, shard) for shard in shards]
            here = [step(shard) for shard in shards]
            for answer, expected in zip(cluster.gather(futures), here, strict=True):
                assert [value.tobytes() for value in answer] == [value.tobytes() for value in expected]
            x.graph.state[weights[0]] = weights[0].value * 0.5
    assert sum(tally.tasks for tally in cluster.work.values()) == 2 * 3
    assert all(tally.returned > 0 for tally in cluster.work.values())


def test_what_a_worker_raises_is_raised_here(client: Client) -> None:
    x, labels, loss = _loss()
    with opened_cluster(client) as cluster:
        program, state = cluster.program([loss]), cluster.state(x.graph.state)
        wrong = cluster.submit(program, state, {x: np.zeros((2, 5)), labels: [0, 3]})
        with pytest.raises(gn.LabelError, match="label 3") as caught:
            cluster.gather([wrong])
    assert caught.value.origin.file == __file__
    with pytest.raises(gn.NotFoundError, match='the feed lacks "labels"') as lacking:
        nn.evaluate(loss, {x: np.zeros((2, 5))}, client=client)
    assert lacking.value.origin.file == __file__


def test_a_program_is_data_in_our_own_format() -> None:
    x, _, loss = _loss()
    program = packed([loss], None, None)
    again = compiled(program.block)
    dict.update(again.graph.state, {again.graph[node.name]: value for node, value in x.graph.state.items()})
    feed = {"x": np.ones((2, 5)), "labels": [0, 1]}
    assert again(feed)[0] == gn.run(loss, feed)
    assert packed([loss], None, None).digest == program.digest
    x.graph.state[x.graph.parameters[0]] = x.graph.parameters[0].value + 1
    assert packed([loss], None, None).digest == program.digest  # values are no part of it
    for at in (31, program.block.index(b'"nodes"'), len(program.block) - 1):
        damaged = bytearray(program.block)
        damaged[at] ^= 1
        with pytest.raises(gn.FileFormatError):
            compiled(bytes(damaged))


def test_a_worker_that_may_compute_other_bits_is_refused_before_anything_runs(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {**worker.facts(), "NumPy": "1.0", "BLAS": "openblas 0.1 Zen"}
    monkeypatch.setattr("graphnn.distributed.dask_cluster.facts", lambda: other)
    with pytest.raises(gn.ClusterError, match=r"2 workers \(tcp.*NumPy 1.0 here and 2.* there, BLAS openblas 0.1 Zen"):
        opened_cluster(client).__enter__()
    block = opened_cluster(client, exact=False)
    with pytest.warns(gn.errors.GraphnnWarning, match="may compute different bits: 2 workers"):
        cluster = block.__enter__()
    y = gn.Graph().constant([1.0]) + 1.0
    assert cluster.gather([cluster.submit(cluster.program([y]), None, {})])[0][0] == 2.0
    block.__exit__(None, None, None)


def test_a_worker_that_comes_later_is_compared_too(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    y = gn.Graph().constant([1.0]) + 1.0
    with opened_cluster(client) as cluster:
        monkeypatch.setattr(cluster, "_facts", {**worker.facts(), "NumPy": "1.0"})
        with pytest.raises(gn.ClusterError, match=r"NumPy 1.0 here and 2.* there.*exact=False"):
            cluster.gather([cluster.submit(cluster.program([y]), None, {})])


def test_a_worker_that_dies_while_it_is_asked_is_no_matter(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = client.run

    async def run(function: Any, *arguments: Any, **settings: Any) -> Any:
        answers = await asked(function, *arguments, **settings)
        return {"tcp://127.0.0.1:1": CommClosedError("Stream is closed"), **answers}

    monkeypatch.setattr(client, "run", run)
    _, _, loss = _loss()
    with opened_cluster(client) as cluster:
        cluster.program([loss])


def test_blas_has_one_thread_while_it_runs() -> None:
    def counts() -> list[int]:
        return [library["num_threads"] for library in blas_libraries()]

    before = counts()
    with one_blas_thread():
        with one_blas_thread():
            assert counts() == [1] * len(before)
        assert counts() == [1] * len(before)
    assert counts() == before


def test_a_worker_that_dies_is_no_matter(client: Client) -> None:
    x, labels, loss = _loss()
    rng = np.random.default_rng(2)
    shards = [{x: rng.random((3, 5)), labels: rng.integers(0, 3, 3)} for _ in range(12)]
    step, allowed = gn.compile([loss]), client.run_on_scheduler(_allowed)
    with opened_cluster(client) as cluster:
        assert client.run_on_scheduler(_allowed) > allowed
        program, state = cluster.program([loss]), cluster.state(x.graph.state)
        cluster.gather([cluster.submit(program, state, shards[0])])
        pids = client.run(os.getpid)
        futures = [cluster.submit(program, state, shard) for shard in shards]
        for pid in pids.values():  # what was sent is lost with them
            os.kill(pid, signal.SIGKILL)
        found = cluster.gather(futures)
    assert found == [step(shard) for shard in shards]
    assert client.run_on_scheduler(_allowed) == allowed


def _allowed(dask_scheduler: Any) -> int:
    return int(dask_scheduler.allowed_failures)


def test_a_scheduler_that_is_lost_is_told(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.json"
    begin = [sys.executable, "-m", "dask"]
    where = ["--scheduler-file", str(file)]
    with contextlib.ExitStack() as stack:
        scheduler, _ = (
            stack.enter_context(_process([*begin, *each, *where]))
            for each in (
                ["scheduler", "--port", "0", "--no-dashboard", "--no-show"],
                ["worker", "--nthreads", "1", "--no-nanny", "--no-dashboard"],
            )
        )
        client = stack.enter_context(Client(scheduler_file=str(file), timeout=3))
        x, labels, loss = _loss()
        with opened_cluster(client) as cluster:
            program, state = cluster.program([loss]), cluster.state(x.graph.state)
            feed = {x: np.zeros((2, 5)), labels: [0, 1]}
            cluster.gather([cluster.submit(program, state, feed)])
            os.kill(scheduler, signal.SIGKILL)
            for _ in range(2):
                with pytest.raises(gn.ClusterError, match="the scheduler of the workers is lost"):
                    cluster.gather([cluster.submit(program, state, feed)])


@contextlib.contextmanager
def _process(command: list[str]) -> Iterator[int]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process.pid
        finally:
            process.kill()


# --- the search for a fault ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained() -> tuple[gn.Node, gn.Node, Any]:
    """Return x, labels, and a training step that takes the logarithm of 2 + x, and hides infinities of a mask."""
    rng = np.random.default_rng(5)
    x = gn.Graph(dtype="float32").placeholder("x", ("batch", 3))
    labels = x.graph.placeholder("labels", ("batch",), np.int64)
    masked = gn.softmax(x + np.array([0.0, 0.0, -np.inf], np.float32))
    network = nn.Sequential(nn.Dense(4, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng))
    loss = nn.softmax_crossentropy(network(gn.log(2.0 + x) + masked), labels)
    return x, labels, gn.compile(loss, nn.SGD(0.01).updates(loss))


@pytest.mark.parametrize(
    ("sample", "value"), [(0, np.nan), (2_999, np.inf), (1_500, -3.0), (2_050, -2.0), (777, np.nan), (None, 0.0)]
)
def test_workers_find_what_one_process_finds(
    client: Client, trained: tuple[gn.Node, gn.Node, Any], sample: int | None, value: float
) -> None:
    x, labels, step = trained
    rng = np.random.default_rng(6)
    rows, classes = rng.random((3_000, 3), np.float32), rng.integers(0, 3, 3_000)
    if sample is not None:
        rows[sample, 1] = value
    here = check_health(step, {x: rows, labels: classes}, batch_size=10)
    assert here.sample == sample
    there = check_health(step, {x: rows, labels: classes}, batch_size=10, client=client)
    assert there.to_dict() == here.to_dict()
    assert str(there) == str(here)
    chunked = {x: da.from_array(rows, chunks=(1_000, 3)), "labels": classes}
    found = check_health(step, chunked, batch_size=10, client=client)
    assert found.to_dict() == here.to_dict()
    if sample is not None:
        assert found.trace is not None
        np.testing.assert_array_equal(found.trace["x"].value, rows[sample : sample + 1])
        assert f"in chunk {sample // 1_000} of the data" in str(found)


def test_workers_find_sums_that_overflow_and_operations_that_fail(client: Client) -> None:
    x = gn.Graph(dtype="float32").placeholder("x", ("n", 2))
    rows = np.ones((1000, 2), np.float32)
    rows[610:620] = 6e18
    total = gn.sum(gn.square(x))
    here, there = (check_health(total, {x: rows}, batch_size=200, client=each) for each in (None, client))
    assert str(there) == str(here)
    assert "no sample alone gives this" in str(there)
    labels = x.graph.placeholder("labels", ("n",), np.int64)
    losses, batches = nn.softmax_crossentropy(x, labels), [(rows[:5], [0, 1, 1, 0, at]) for at in (0, 1, 2, 1)]
    here, there = (check_health(losses, batches, client=each) for each in (None, client))
    assert (there.batch, there.sample) == (2, 14)
    assert str(there) == str(here)
    with pytest.raises(gn.ShapeError, match="expected"):
        check_health(losses, [*batches[:2], (rows[:5, :1], [0] * 5)], client=client)


def test_a_chunk_that_a_worker_cannot_read_is_named(client: Client) -> None:
    x = gn.Graph().placeholder("x", ("n",))
    shards = [dask.delayed(np.load)(f"/nowhere/part.{number}.npy") for number in range(3)]
    shards[0] = dask.delayed(np.ones)(5)
    with pytest.raises(FileNotFoundError, match=r"part\.1") as caught:
        check_health(gn.exp(x), shards, client=client)
    assert "in chunk 1 of the data (/nowhere/part.1.npy)" in caught.value.__notes__


# --- evaluating ---------------------------------------------------------------------------------------------------


def test_workers_evaluate_to_the_bit_as_one_process(client: Client) -> None:
    x, labels, loss = _loss()
    rng = np.random.default_rng(4)
    rows, classes = rng.random((500, 5)), rng.integers(0, 3, 500)
    scores = loss.graph["dense_2/add"]
    figures = {"loss": loss, "f1": nn.f1(scores, labels), "accuracy": nn.accuracy(scores, labels)}
    figures["dropout"] = gn.mean(nn.Dropout(0.5)(scores, training=True))
    kinds: list[tuple[Any, dict[str, Any]]] = [
        ({x: rows, labels: classes}, {"batch_size": 16}),
        ({x: da.from_array(rows, chunks=(128, 5)), labels: classes}, {"batch_size": 32}),
        ([(rows[first : first + 70], classes[first : first + 70]) for first in range(0, 500, 70)], {}),
    ]
    with one_blas_thread():
        for data, how in kinds:
            here = nn.evaluate(figures, data, **how)
            there = nn.evaluate(figures, data, **how, client=client)
            assert {name: value.tobytes() for name, value in there.items()} == {
                name: value.tobytes() for name, value in here.items()
            }


def test_an_error_of_the_data_is_not_taken_for_a_lost_scheduler(client: Client) -> None:
    x = gn.Graph().placeholder("x", ("n",))
    with pytest.raises(ConnectionError, match="no bucket") as caught:
        nn.evaluate(gn.mean(x), [dask.delayed(_unreachable)()], client=client)
    assert caught.value.__notes__ == ["in chunk 0 of the set"]


def _unreachable() -> Any:
    raise ConnectionError("no bucket")


def test_exact_is_for_clients() -> None:
    y = gn.exp(gn.Graph().placeholder("x", ("n",)))
    calls: list[Callable[..., Any]] = [check_health, nn.evaluate, lambda *args, **how: gn.compare(y, *args, **how)]
    for call in calls:
        with pytest.raises(gn.UsageError, match="exact= says whether workers"):
            call(y, {"x": [1.0]}, exact=False)
    x, labels, loss = _loss()
    step = gn.compile(loss, nn.SGD(0.1).updates(loss))
    with pytest.raises(gn.UsageError, match="exact= says whether workers"):
        nn.fit(step, {x: np.ones((2, 5)), labels: [0, 1]}, shards=nn.Shards(2, exact=False))


# --- two models on a set ------------------------------------------------------------------------------------------


def _models() -> tuple[gn.Node, gn.Node]:
    """Return the scores of two networks in two graphs, which differ where the last feature is large."""
    found = []
    for slope in (1.0, 1.5):
        x = gn.Graph(f"slope {slope}").placeholder("x", ("batch", 3))
        found.append(nn.Sequential(nn.Dense(2, rng=np.random.default_rng(0)))(x * [1.0, 1.0, slope]))
    return found[0], found[1]


def test_the_samples_at_which_two_models_differ_most(client: Client) -> None:
    a, b = _models()
    rows = np.random.default_rng(3).random((500, 3))
    rows[:400, 2] = 0.0
    rows[[37, 450, 451], 2] = [9.0, np.nan, 8.0]
    gap = np.abs(gn.run(a, {"x": rows}) - gn.run(b, {"x": rows})).max(axis=1)
    here = gn.compare(a, b, data={"x": rows}, batch_size=64, limit=3)
    assert [each.sample for each in here] == np.argsort(-np.nan_to_num(gap), kind="stable")[:3].tolist()
    assert [each.sample for each in here][:2] == [37, 451]
    assert (here.count, here.differing, bool(here)) == (500, 100, False)
    np.testing.assert_allclose([each.gap for each in here], np.sort(np.nan_to_num(gap))[::-1][:3])
    np.testing.assert_array_equal(here[0].feed["x"], rows[37:38])
    assert here.compare().first.node.op.name in ("constant", "multiply")
    chunked = {"x": da.from_array(rows, chunks=(200, 3))}
    for data in ({"x": rows}, chunked):
        there = gn.compare(a, b, data=data, batch_size=64, limit=3, client=client)
        assert [each[:6] for each in there] == [each[:6] for each in here]
        assert (there.count, there.differing) == (500, 100)
    assert here.names == ("a", "b")
    assert [each.part for each in there] == [f"chunk {each.sample // 200} of the data" for each in here]
    assert str(here).startswith("a and b differ at 100 of 500 samples\nsample 37: dense_1/add[1] is")
    assert gn.compare(a, a, data={"x": rows}, client=client)
    close = gn.compare(a, b, data={"x": rows}, atol=1.0, names=("old", "new"))
    assert close.differing == 2
    assert repr(close) == "<Samples: old and new differ at 2 of 500 samples>"


def test_what_cannot_be_compared_on_a_set_is_refused() -> None:
    a, b = _models()
    rows = {"x": np.zeros((4, 3))}
    cases: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
        ((gn.mean(a), gn.mean(b)), {"data": rows}, "has no rows"),
        ((a, [b, b]), {"data": rows}, "a has 1, and b has 2"),
        ((a,), {"data": rows}, "two models are compared"),
        ((a, b), {"data": rows, "feed": rows}, "data= is all that is fed"),
        ((a, b, rows), {"batch_size": 3}, "are for data="),
        ((a, b, rows), {"limit": 3}, "are for data="),
        ((a, gn.sum(b, axis=1)), {"data": rows}, "must have the same"),
        ((a, gn.Graph().placeholder("y", ("n", 2)) * 2.0), {"data": rows}, 'b needs "y"'),
    ]
    for args, how, message in cases:
        with pytest.raises(gn.GraphnnError, match=message):
            gn.compare(*args, **how)


# --- sweeps -------------------------------------------------------------------------------------------------------


def build(x: gn.Node, outputs: int, rng: np.random.Generator) -> gn.Node:
    return nn.Sequential(nn.Dense(4, rng=rng), nn.Tanh(), nn.Dense(outputs, rng=rng))(x)


@pytest.mark.usefixtures("client")
def test_a_grid_search_goes_to_the_workers() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((60, 3))
    classes = (rows.sum(axis=1) > 0).astype(int)
    model = nn.Classifier(build, epochs=4, random_state=0)

    def searched(backend: str) -> Any:
        search = GridSearchCV(model, {"batch_size": [8, 30]}, cv=2)
        with joblib.parallel_config(backend=backend):
            search.fit(rows, classes)
        return search.best_params_, search.cv_results_["mean_test_score"].tolist(), search.predict_proba(rows).tolist()

    assert searched("dask") == searched("sequential")


@pytest.mark.parametrize("what", [None, 5, "tcp://127.0.0.1:8786"])
def test_what_is_no_client_is_refused(what: Any) -> None:
    with pytest.raises(gn.UsageError, match="client= is a client of Dask"):
        opened_cluster(what)


def test_an_asynchronous_client_is_refused(client: Client) -> None:
    async def main() -> None:
        async with Client(client.scheduler.address, asynchronous=True) as other:
            with pytest.raises(gn.UsageError, match="client= is asynchronous"):
                opened_cluster(other)

    asyncio.run(main())


def test_a_closed_client_is_refused(client: Client) -> None:
    assert client.cluster is not None
    with Client(client.cluster) as other:
        pass
    with pytest.raises(gn.ClusterError, match="the client is closed"):
        opened_cluster(other)
