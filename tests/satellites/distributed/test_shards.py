"""A training by shards of its batches is that by whole batches; what of it each shard does by itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.core import Array
from graphnn.distributed.training_shards import Alone, Sharded, bounds
from graphnn.nn import Run

ROWS = 23


class Net:
    """A network with its data: the loss of each kind is another."""

    def __init__(self, kind: str, optimizer: Any = None, dtype: Any = np.float64) -> None:
        g, rng = gn.Graph("net", dtype=dtype), np.random.default_rng(0)
        self.y = g.placeholder("y", ("batch",), np.int64)
        shape = {"images": (1, 6, 6), "words": (4,), "sequences": (6, 3), "positions": (6, 3)}.get(kind, (5,))
        named = ("time", 3) if kind in ("sequences", "positions") else shape
        self.x = g.placeholder("x", ("batch", *named), np.int64 if kind == "words" else dtype)
        self.scores = getattr(self, kind)(rng)
        self.loss = nn.softmax_crossentropy(self.scores, self.y)
        if kind == "weighted":
            weights = 1.0 + abs(self.x[:, 0])
            losses = nn.softmax_crossentropy(self.scores, self.y, reduction="none")
            self.loss = gn.sum(weights * losses) / gn.sum(weights)
        optimizer = optimizer or nn.SGD(0.2, momentum=0.9, clip_norm=0.5, weight_decay=0.01)
        self.step = gn.compile(self.loss, optimizer.updates(self.loss))
        X = rng.integers(0, 7, (ROWS, *shape)) if kind == "words" else rng.normal(size=(ROWS, *shape)).astype(dtype)
        self.data = {self.x: X, self.y: rng.integers(0, 3, ROWS)}
        self.graph = g

    def weighted(self, rng: Any) -> gn.Node:
        return nn.Sequential(nn.Dense(4, rng=rng), nn.Tanh(), nn.Dense(3, rng=rng))(self.x)

    def normalized(self, rng: Any) -> gn.Node:
        layers = nn.Dense(4, rng=rng), nn.BatchNorm(), nn.ReLU(), nn.Dense(3, rng=rng), nn.BatchNorm()
        return nn.Sequential(*layers)(self.x, training=True)

    def dropped(self, rng: Any) -> gn.Node:
        return nn.Sequential(nn.Dense(64, rng=rng), nn.Dropout(0.5), nn.Dense(3, rng=rng))(self.x, training=True)

    def images(self, rng: Any) -> gn.Node:
        first = nn.Conv2D(2, 3, padding="same", rng=rng), nn.ReLU(), nn.MaxPool2D(2)
        return nn.Sequential(*first, nn.Conv2D(3, 2, rng=rng), nn.GlobalAveragePool2D(), nn.Dense(3, rng=rng))(self.x)

    def words(self, rng: Any) -> gn.Node:
        h = nn.Embedding(7, 4, rng=rng)(self.x)
        h = nn.TransformerBlock(2, 8, causal=True, rng=rng)(h)
        return nn.Dense(3, rng=rng)(nn.GRU(3, bidirectional=True, rng=rng)(h)[:, -1])

    def sequences(self, rng: Any) -> gn.Node:
        layers = nn.LSTM(4, bidirectional=True, rng=rng), nn.GRU(3, rng=rng)
        return nn.Dense(3, rng=rng)(nn.Sequential(*layers)(self.x)[:, -1])  # loops over a time of any length

    def positions(self, rng: Any) -> gn.Node:
        # The slice of a table, which is updated once, and what is centered over the rows, have sizes that nobody feeds.
        h = nn.Dense(3, rng=rng)(nn.PositionEmbedding(9, rng=rng)(self.x))
        return gn.mean(gn.tanh(h - gn.mean(h, axis=0)), axis=1)

    @property
    def state(self) -> dict[str, Array]:
        return {node.name: value for node, value in self.graph.state.items()}

    def set(self, state: dict[str, Array]) -> None:
        self.graph.state.update({self.graph[name]: value for name, value in state.items()})

    def fit(self, **more: Any) -> nn.History:
        return nn.fit(self.step, self.data, **{"epochs": 2, "batch_size": 10, **more})  # the last batch has 3 rows

    def once(self, shards: Any) -> nn.History:
        """Make one step, of all rows in their order."""
        return nn.fit(self.step, nn.Loader(self.data, batch_size=None, shuffle=False), shards=shards)


def assert_near(one: dict[str, Array], other: dict[str, Array], most: float) -> None:
    for name, value in one.items():
        np.testing.assert_allclose(other[name], value, rtol=most, atol=most, err_msg=name)


def assert_same(one: Net, other: Net) -> None:
    for name, value in one.state.items():
        assert other.state[name].tobytes() == value.tobytes(), name


# --- the same function ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["weighted", "normalized", "images", "words", "sequences", "positions"])
def test_shards_train_as_the_whole_batch_does(kind: str) -> None:
    whole, cut = Net(kind), Net(kind)
    metrics = [{"accuracy": nn.accuracy(net.scores, net.y)} for net in (whole, cut)]
    expected = whole.fit(metrics=metrics[0], validation=0.2)
    found = cut.fit(metrics=metrics[1], validation=0.2, shards=4)  # of the last batch one has no row
    assert list(found) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-11)
    assert_near(whole.state, cut.state, 1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "optimizer", [nn.Adam(0.01, clip_norm=0.5, weight_decay=0.01), nn.RMSProp(0.01), nn.Lion(0.01)]
)
def test_any_optimizer(optimizer: Any, dtype: Any) -> None:
    whole, cut = Net("weighted", optimizer, dtype), Net("weighted", optimizer, dtype)
    whole.fit(epochs=1)
    cut.fit(epochs=1, shards=3)
    assert_near(whole.state, cut.state, 1e-6 if dtype is np.float32 else 1e-9)


def test_gradients_that_are_added_up_over_steps_and_averages_of_the_parameters() -> None:
    nets = [Net("weighted"), Net("weighted")]
    for net, shards in zip(nets, (None, 3), strict=True):
        loss = nn.softmax_crossentropy(net.scores, net.y)
        step = gn.compile(loss, nn.Adam(0.05).updates(loss, accumulate=2))
        nn.fit(step, net.data, epochs=2, batch_size=5, shards=shards)
    assert_near(nets[0].state, nets[1].state, 1e-10)


def test_one_shard_gives_the_bits_of_the_whole_batch() -> None:
    whole, cut = Net("dropped"), Net("dropped")
    assert whole.fit() == cut.fit(shards=1)
    assert_same(whole, cut)


def test_shards_are_compiled_as_the_step_is() -> None:
    net = Net("weighted")
    step = gn.compile(net.loss, {}, backend="numpy", threads=2)
    crew = Alone()
    Sharded(step, 2, "all", crew)
    assert {(each.backend, each.settings.threads) for each in crew._steps} == {("numpy", 2)}
    guarded = gn.compile(gn.mean(gn.log(net.x)), {}, guard="nan")
    with pytest.raises(gn.ValueRangeError, match="NaN") as caught:
        Sharded(guarded, 2, "all", Alone())(net.data)
    assert "in shard 1 of 2" in caught.value.__notes__[0]


def test_rows_of_fetches_come_back_in_order() -> None:
    net = Net("weighted")
    step = gn.compile({"loss": net.loss, "scores": [net.scores, net.y]})
    found, expected = Sharded(step, 5, "all", Alone())(net.data), step(net.data)
    np.testing.assert_allclose(found["scores"][0], expected["scores"][0], rtol=1e-12)
    assert found["scores"][1].tolist() == net.data[net.y].tolist()


# --- what each shard does by itself -----------------------------------------------------------------------------


def by_hand(net: Net, shards: int, before: Callable[[int], None] = lambda shard: None) -> tuple[float, dict[str, Any]]:
    """Return loss and parameters of a step of plain SGD, from whole steps on the rows of each shard alone."""
    start, loss, after = net.state, 0.0, dict.fromkeys(net.state, 0.0)
    for shard in range(shards):
        first, last = bounds(shard, shards, ROWS)
        net.set(start)
        before(shard)
        share = (last - first) / ROWS
        loss += share * float(net.step({node: array[first:last] for node, array in net.data.items()}))
        after = {name: total + share * net.state[name] for name, total in after.items()}
    return loss, after


def test_statistics_of_each_shard() -> None:
    net, cut = Net("normalized", nn.SGD(0.1)), Net("normalized", nn.SGD(0.1))
    loss, after = by_hand(net, 4)
    history = cut.once(nn.Shards(4, statistics="shard"))
    assert history["loss"][0] == pytest.approx(loss, rel=1e-12)
    assert_near(after, cut.state, 1e-12)


def test_each_shard_draws_numbers_of_its_own() -> None:
    net, cut = Net("dropped", nn.SGD(0.1)), Net("dropped", nn.SGD(0.1))
    counter = next(name for name in net.state if name.endswith("counter"))

    def draw(shard: int) -> None:
        net.set({counter: np.int64(3 * (0 + 1) + shard - 1)})  # the layer draws by the next number

    loss, after = by_hand(net, 3, draw)
    history = cut.once(3)
    assert history["loss"][0] == pytest.approx(loss, rel=1e-12)
    assert_near({name: value for name, value in after.items() if name != counter}, cut.state, 1e-12)
    assert cut.state[counter] == 1


# --- a training -------------------------------------------------------------------------------------------------


def test_a_counter_without_a_sign_counts_the_draws_of_shards() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", ("batch", 2)), g.parameter("w", [1.0, 2.0])
    count = g.parameter("count", np.uint64(0), trainable=False)
    loss = gn.mean((x @ w + gn.random_normal(count, ("batch",), seed=1)) ** 2)
    step = gn.compile(loss, {**nn.SGD(0.1).updates(loss), count: count + 1})
    assert nn.fit(step, {x: np.ones((6, 2))}, batch_size=3, shards=2).epochs == 1
    assert count.value == 2


def test_a_training_by_shards_resumes_to_the_bit(tmp_path: Path) -> None:
    class Stop(nn.Callback):
        def batch(self, run: Run) -> None:
            if run.steps == 4:
                raise KeyboardInterrupt

    whole, cut = Net("dropped"), Net("dropped")
    stopping = nn.EarlyStopping("loss")
    expected = whole.fit(epochs=3, shards=3, callbacks=stopping)
    path = tmp_path / "run.checkpoint"
    more: dict[str, Any] = {"epochs": 3, "shards": 3}
    assert cut.fit(checkpoint=nn.Checkpoint(path, every=1), callbacks=[Stop(), stopping], **more).interrupted
    again = Net("dropped")
    assert again.fit(checkpoint=nn.Checkpoint(path, resume=True), callbacks=stopping, **more) == expected
    assert_same(whole, again)


def test_a_callback_sees_the_step_and_may_set_parameters() -> None:
    class Halve(nn.Callback):
        def batch(self, run: Run) -> None:
            for node in run.step.graph.parameters:
                if node.trainable:
                    node.value = node.value / 2

    whole, cut = Net("weighted"), Net("weighted")
    whole.fit(callbacks=[Halve()])
    cut.fit(callbacks=[Halve()], shards=2)
    assert_near(whole.state, cut.state, 1e-12)


def test_a_shard_that_fails_is_named_and_nothing_is_updated() -> None:
    net = Net("weighted")
    net.data[net.y][17] = 3
    before = net.state
    with pytest.raises(gn.errors.LabelError, match="label 3") as caught:
        net.once(4)
    assert "in shard 4 of 4, rows 17 to 22 of the batch" in caught.value.__notes__
    assert all(net.state[name] is value for name, value in before.items())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"shards": 0}, "shards"),
        ({"shards": 2.5}, "shards"),
        ({"client": 3}, "needs shards=, into how many"),
    ],
)
def test_arguments_that_do_not_fit(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(gn.errors.GraphnnError, match=said):
        Net("weighted").fit(**arguments)


def test_statistics_are_those_of_all_rows_or_of_each_shard() -> None:
    with pytest.raises(gn.UsageError, match='"all" rows or of each "shard", not \'mine\''):
        nn.Shards(2, statistics="mine")
    with pytest.raises(gn.UsageError, match="exact is True or False, not 1"):
        nn.Shards(2, exact=1)  # type: ignore[arg-type]


def test_a_batch_that_lacks_an_array_is_refused() -> None:
    g = gn.Graph()
    x, y, w = g.placeholder("x", ("n",)), g.placeholder("y", ("n",)), g.parameter("w", 8.0)
    step = gn.compile(gn.mean(x * y * w), {w: w * 0.5})
    whole = {x: np.ones(4), y: np.ones(4)}
    with pytest.raises(gn.NotFoundError, match='the feed lacks "y"'):
        nn.fit(step, [whole, {x: np.ones(4)}], shards=2)


def test_a_step_without_rows_is_refused() -> None:
    g = gn.Graph()
    w = g.parameter("w", 8.0)
    with pytest.raises(gn.UsageError, match="no placeholder of the step has a name"):
        nn.fit(gn.compile(w * w, {w: w * 0.5}), {}, shards=2)


def test_arrays_of_different_lengths_are_not_cut_alike() -> None:
    g = gn.Graph()
    inner, edge, w = g.placeholder("inner", ("n",)), g.placeholder("edge", ("m", 2)), g.parameter("w", 2.0)
    loss = w * gn.mean(inner) + gn.mean(edge**2)
    step, feed = gn.compile(loss, nn.SGD(0.5).updates(loss)), {inner: [1.0, 3.0, 5.0], edge: [[1.0, 2.0]]}
    with pytest.raises(gn.ShapeError, match=r'shards=2 cuts .* alike, and "inner" has 3, "edge" has 1: leave out'):
        nn.fit(step, feed, batch_size=None, shards=2)
