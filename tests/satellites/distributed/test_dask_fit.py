"""Training runs whose shards workers of Dask compute: the bits are those of the same shards here."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client, LocalCluster

import graphnn as gn
from graphnn import nn
from graphnn.distributed.training_shards import subtrees
from graphnn.distributed.training_workers import DaskCrew
from graphnn.nn import Run

ROWS = 29


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        yield client


class Net:
    def __init__(self, kind: str = "plain", guard: str | None = None) -> None:
        g, rng = gn.Graph("net", dtype=np.float32), np.random.default_rng(0)
        self.x, self.y = g.placeholder("x", ("batch", 5)), g.placeholder("y", ("batch",), np.int64)
        middle = {"normalized": nn.BatchNorm(), "dropped": nn.Dropout(0.3), "plain": nn.Tanh()}[kind]
        layers = nn.Dense(16, rng=rng), middle, nn.Dense(3, rng=rng)
        scores = nn.Sequential(*layers)(self.x, training=True)
        loss = nn.softmax_crossentropy(scores, self.y)
        weights = 1.0 + abs(self.x[:, 0])
        weighted = gn.sum(weights * nn.softmax_crossentropy(scores, self.y, reduction="none")) / gn.sum(weights)
        updates = nn.Adam(0.05, clip_norm=1.0).updates(weighted if kind == "plain" else loss)
        self.step = gn.compile([loss, scores], updates, guard=guard)
        self.metrics = {"accuracy": nn.accuracy(scores, self.y)}
        self.data: dict[Any, Any] = {self.x: rng.normal(size=(ROWS, 5)), self.y: rng.integers(0, 3, ROWS)}
        self.graph = g

    def fit(self, **more: Any) -> nn.History:
        return nn.fit(self.step, self.data, **{"epochs": 2, "batch_size": 12, "shards": 5, **more})

    @property
    def bits(self) -> dict[str, bytes]:
        return {node.name: value.tobytes() for node, value in self.graph.state.items()}


@pytest.mark.parametrize("kind", ["plain", "normalized", "dropped"])
def test_the_bits_are_those_of_the_same_shards_here(client: Client, kind: str) -> None:
    here, there = Net(kind), Net(kind)
    seen: list[list[bytes]] = [[], []]

    class Seen(nn.Callback):
        def __init__(self, into: list[bytes]) -> None:
            self.into = into

        def batch(self, run: Run) -> None:
            self.into.append(run.results[1].tobytes())  # of which each shard has some rows

    expected = here.fit(metrics=here.metrics, callbacks=[Seen(seen[0])])
    found = there.fit(metrics=there.metrics, callbacks=[Seen(seen[1])], client=client)
    assert found == expected
    assert there.bits == here.bits
    assert seen[0] == seen[1]


@pytest.mark.parametrize("ranges", [3, 4, 5])
@pytest.mark.parametrize("rows", [12, 2])
def test_workers_hand_on_and_add_what_is_large(
    client: Client, monkeypatch: pytest.MonkeyPatch, ranges: int, rows: int
) -> None:
    monkeypatch.setattr("graphnn.distributed.training_workers._ADDED_HERE", 0)
    monkeypatch.setattr("graphnn.distributed.training_workers._SENT_WITH_TASKS", 0)
    monkeypatch.setattr(DaskCrew, "_now", lambda crew: [*crew._cluster.slots * 3][:ranges])
    here, there = Net("plain"), Net("plain")
    for net in (here, there):
        net.step = gn.compile(net.step.fetches[0], net.step.updates)  # without rows
        net.data = {node: values[: 3 * rows - 1] for node, values in net.data.items()}  # three steps
    expected = here.fit(epochs=1, batch_size=rows)
    found = there.fit(epochs=1, batch_size=rows, client=client)
    assert found == expected
    assert there.bits == here.bits
    if rows == 12:
        parts = [len([*subtrees(*[end * 5 // ranges for end in (i, i + 1)], 5)]) for i in range(ranges)]
        each = ranges + sum(parts) - 1  # and to add up n parts of the tree takes n - 1 more
        assert sum(did.tasks for did in found.workers.values()) == 3 * 2 * each


def test_what_each_worker_did(client: Client) -> None:
    net = Net("dropped")
    history = net.fit(client=client)
    assert len(history.workers) == 2
    parameters = sum(value.nbytes for node, value in net.graph.state.items() if node.trainable)
    for did in history.workers.values():
        assert did.tasks == 6  # of a step, one
        assert did.seconds > 0
        assert did.waited > 0
        assert did.returned < 6 * 2 * parameters + 10_000  # two parts of the tree, and no slots of Adam's
        assert "6 tasks, computed 0." in str(did)
    assert net.fit().workers == {}


def test_a_worker_that_is_killed_in_a_step_is_no_matter(client: Client) -> None:
    class Kill(nn.Callback):
        def batch(self, run: Run) -> None:
            if run.steps in (2, 4):
                os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)

    here, there = Net("normalized"), Net("normalized")
    expected = here.fit(epochs=3)
    assert there.fit(epochs=3, callbacks=[Kill()], client=client) == expected
    assert there.bits == here.bits


def test_what_a_shard_kept_and_is_lost_is_computed_again(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    # Between the stages of a step, each worker becomes another.
    here, there = Net("normalized"), Net("normalized")
    calls, workers = 0, DaskCrew._now

    def turned(crew: DaskCrew) -> Any:
        nonlocal calls
        calls += 1
        return sorted(workers(crew), reverse=bool(calls % 2))

    monkeypatch.setattr(DaskCrew, "_now", turned)
    assert there.fit(client=client) == here.fit()
    assert there.bits == here.bits


def test_a_training_goes_on_with_other_workers_or_none(client: Client, tmp_path: Path) -> None:
    class Stop(nn.Callback):
        def batch(self, run: Run) -> None:
            if run.steps == 4:
                raise KeyboardInterrupt

    path, here, there = tmp_path / "run.checkpoint", Net("dropped"), Net("dropped")
    expected = here.fit(epochs=3)
    assert there.fit(epochs=3, client=client, checkpoint=nn.Checkpoint(path, every=1), callbacks=[Stop()]).interrupted
    for more in ({}, {"client": client}):
        again = Net("dropped")
        assert again.fit(epochs=3, checkpoint=nn.Checkpoint(f"{path}.next", resume=path), **more) == expected
        assert again.bits == here.bits


def test_a_shard_that_fails_is_named(client: Client) -> None:
    net = Net("plain")
    net.data[net.y][20] = 3
    before = net.bits
    with pytest.raises(gn.LabelError, match="label 3") as caught:
        nn.fit(net.step, nn.Loader(net.data, batch_size=None, shuffle=False), shards=5, client=client)
    assert "in shard 4 of 5, rows 17 to 22 of the batch" in str(caught.value.__notes__)
    assert caught.value.origin.file == __file__
    assert net.bits == before


@pytest.mark.parametrize(("name", "value"), [("statistics", "shard"), ("exact", False)])
def test_the_error_of_an_old_keyword_shows_a_line_that_runs(client: Client, name: str, value: Any) -> None:
    net = Net()
    with pytest.raises(TypeError) as raised:
        nn.fit(net.step, net.data, shards=8, client=client, **{name: value})
    said = str(raised.value) + "\n".join(getattr(raised.value, "__notes__", ()))
    line = said[said.index("nn.fit(") :].partition(". ")[0].partition("\n")[0]
    assert f"{name}={value!r})".replace("'", '"') in line
    history = eval(line, {"nn": nn, "step": net.step, "data": net.data, "client": client})  # noqa: S307
    assert history.epochs == 1


def test_what_cannot_be_is_refused_before_anything_runs(client: Client) -> None:
    with pytest.raises(gn.UsageError, match="client= needs shards=, into how many"):
        Net().fit(client=client, shards=None)
    with pytest.raises(gn.UsageError, match="client= is a client of Dask"):
        Net().fit(client="tcp://127.0.0.1:8786")
    with pytest.raises(gn.UsageError, match=r'guard="nan".*check_health'):
        Net(guard="nan").fit(client=client)
