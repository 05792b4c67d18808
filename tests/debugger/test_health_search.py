"""The search for a fault in many batches: planted faults, what no sample has alone, and what is no fault."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from planted import clean, planted

import graphnn as gn
from graphnn import nn
from graphnn.debugger.health import check_health
from graphnn.debugger.health.watched_values import finite

COUNT, SIZE = 20_000, 512
GRAPHS = 60


@pytest.fixture(scope="module")
def trained() -> tuple[gn.Node, gn.Node, Any]:
    """Return x, labels, and a training step whose hidden layer is ``log(2 + x)`` in places."""
    rng = np.random.default_rng(5)
    x = gn.Graph(dtype="float32").placeholder("x", ("batch", 6))
    labels = x.graph.placeholder("labels", ("batch",), np.int64)
    network = nn.Sequential(nn.Dense(16, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng))
    loss = nn.softmax_crossentropy(network(gn.log(2.0 + x)), labels)
    return x, labels, gn.compile(loss, nn.SGD(0.01).updates(loss))


def _data(x: gn.Node, labels: gn.Node) -> dict[gn.Node, Any]:
    rng = np.random.default_rng(6)
    return {x: rng.random((COUNT, 6), np.float32), labels: rng.integers(0, 3, COUNT)}


@pytest.mark.parametrize("of_step", [False, True])
def test_each_planted_element_is_found(trained: tuple[gn.Node, gn.Node, Any], of_step: bool) -> None:
    x, labels, step = trained
    feed, rng = _data(x, labels), np.random.default_rng(7)
    before = dict(x.graph.state)
    target = step if of_step else step.fetches
    faults = [(np.nan, "x", "fed-nan"), (-3.0, "log", "log-of-negative"), (-2.0, "log", "log-of-zero")]
    for sample in [0, COUNT - 1, SIZE, *rng.integers(0, COUNT, 22)]:
        value, node, code = faults[sample % 3]
        column = int(rng.integers(6))
        kept, feed[x][sample, column] = feed[x][sample, column], value
        health = check_health(target, feed, batch_size=SIZE)
        found = health.first
        assert found is not None
        assert (health.batch, health.sample) == (sample // SIZE, sample)
        assert (found.node.name, found.index, found.code) == (node, (0, column), code)
        assert found.origin.file == __file__
        assert found.remedy
        assert health.trace is not None
        np.testing.assert_array_equal(health.trace["x"].value, feed[x][sample : sample + 1])
        feed[x][sample, column] = kept
    assert check_health(target, feed, batch_size=SIZE).ok
    assert all(x.graph.state[node] is value for node, value in before.items())


@pytest.mark.parametrize("number", range(GRAPHS))
def test_what_one_run_shows_is_found_in_random_graphs(number: int) -> None:
    case = planted(number)
    at_once = check_health(case.fetches, case.feed)
    searched = check_health(case.fetches, [case.feed])
    first = searched.first
    assert first is not None, f"{case}\n{at_once}"
    assert (first.code, first.node) in {(each.code, each.node) for each in at_once}
    assert bool(searched.errors) == bool(at_once.errors)
    sound = clean(number)
    assert check_health(sound.fetches, [sound.feed, sound.feed]).ok


def test_a_sum_that_only_many_overflow_has_no_guilty_sample() -> None:
    x = gn.Graph(dtype="float32").placeholder("x", ("n", 2))
    rows = np.ones((1000, 2), np.float32)
    rows[610:620] = 6e18  # a square of 3.6e37: ten are above 3.4e38
    health = check_health(gn.sum(gn.square(x)), {x: rows}, batch_size=200)
    assert health.first is not None
    assert health.searched is not None
    assert (health.batch, health.sample, health.first.code, health.first.node.name) == (3, None, "overflow", "sum")
    together = health.searched.rows
    assert together is not None
    assert set(together) & set(range(10, 20))
    assert f"no sample alone gives this, {len(together)} samples of the batch give it together" in health.first.cause
    assert health.trace is not None
    with np.errstate(over="ignore"):
        assert np.isinf(np.square(health.trace["x"].value).sum())
    assert f"batch 3, rows {together[0]} to {together[-1]}" in str(health)


def test_a_guilty_sample_is_found_behind_some_that_overflow_together() -> None:
    x = gn.Graph(dtype="float32").placeholder("x", ("n",))
    rows = np.ones(64, np.float32)
    rows[8:12], rows[50] = 3e38, np.inf
    health = check_health(gn.sum(x), {x: rows}, batch_size=64)
    assert (health.sample, health.first and health.first.code) == (50, "fed-inf")


def test_what_goes_wrong_only_with_a_row_alone_is_not_blamed() -> None:
    x = gn.Graph().placeholder("x", ("n", 2))
    rows = np.random.default_rng(0).random((32, 2))
    rows[21, 1] = -1.0
    fetches = [gn.std(x, axis=0, ddof=1), gn.log(x)]
    health = check_health(fetches, {x: rows}, batch_size=16)
    assert (health.sample, health.first and health.first.node.name) == (21, "log")


def test_a_bad_parameter_is_nobodys_fault() -> None:
    x = gn.Graph().placeholder("x", ("n", 2))
    w = x.graph.parameter("w", [1.0, np.nan])
    health = check_health(gn.sum(x * w, axis=1), {x: np.ones((6, 2))}, batch_size=2)
    assert (health.batch, health.sample) == (0, None)
    assert "with any sample" in str(health)


def test_infinities_of_a_mask_are_no_fault_and_hide_none() -> None:
    x = gn.Graph().placeholder("x", ("n", 3))
    mask = np.array([0.0, 0.0, -np.inf])
    weights = gn.softmax(x + mask)
    rows = np.random.default_rng(1).random((60, 3))
    assert check_health(weights, {x: rows}, batch_size=10).ok
    rows[44, 1] = np.nan
    health = check_health(weights, {x: rows}, batch_size=10)
    assert (health.sample, health.first and health.first.node) == (44, x)


def test_an_error_comes_before_an_earlier_warning() -> None:
    x = gn.Graph().placeholder("x", ("n",))
    hidden = gn.where(x > 0, gn.log(x), 0.0)
    rows = np.ones(40)
    rows[3] = -1.0
    warned = check_health(hidden, {x: rows}, batch_size=8)
    assert (warned.sample, warned.first and warned.first.severity) == (3, "warning")
    rows[33] = np.inf
    health = check_health(hidden, {x: rows}, batch_size=8)
    assert (health.sample, health.first and health.first.severity) == (33, "error")


def test_a_generator_is_read_up_to_the_batch_in_which_an_operation_fails() -> None:
    p = gn.Graph().placeholder("p", ("batch", 4))
    labels = p.graph.placeholder("labels", ("batch",), np.int64)
    drawn = []

    def batches() -> Iterator[tuple[Any, Any]]:
        for number in range(9):
            drawn.append(number)
            yield np.full((5, 4), 0.25), [0, 1, 2, 7 if number == 6 else 3, 0]

    losses = nn.categorical_crossentropy(p, labels)
    health = check_health(losses, batches())
    assert health.first is not None
    assert (health.batch, health.sample, health.first.code) == (6, 33, "label-out-of-range")
    assert drawn == list(range(7))
    assert health.trace is not None
    assert health.trace.error
    assert check_health(losses, batches).sample == 33  # the function
    assert (health.to_dict()["batch"], health.to_dict()["sample"]) == (6, 33)


def test_a_batch_that_cannot_be_split_is_named_whole() -> None:
    x = gn.Graph().placeholder("x", ("n", 2))
    links = x.graph.placeholder("links", ("n", "n"))
    health = check_health(gn.log(links @ x), {x: np.ones((4, 2)), links: np.zeros((4, 4))}, batch_size=4)
    assert (health.batch, health.sample) == (0, None)
    assert health.first is not None
    assert 'the batch cannot be split to find a sample: the feed of "links" has n = 4' in health.first.cause


def test_sound_data_say_how_much_was_looked_at() -> None:
    x = gn.Graph().placeholder("x", ("n",))
    health = check_health(gn.exp(x), {x: np.zeros(1001)}, batch_size=100)
    assert str(health).startswith(
        '"graph": nothing found in 2 nodes, in 1,001 samples of 11 batches\n\nchecked: NaN and inf'
    )
    assert (health.batch, health.sample, health.trace) == (None, None, None)


@pytest.mark.parametrize(
    ("target", "data", "size", "message"),
    [
        ("y", {"x": [1.0]}, 0, "batch_size is an int of 1 or more, not 0"),
        ("y", [{"x": [1.0]}], 3, "batch_size is for arrays that are split"),
        ("y", np.ones(3), None, "the data is a feed {placeholder: array}, an iterable of batches"),
        ("y", 5, None, "the data is a feed {placeholder: array}, an iterable of batches"),
        ("y", [], None, "the data is empty"),
        ("y", {"x": []}, 3, 'the data is empty: no rows for "x"'),
        ("y", [{"x": [1.0]}, {"x": [[1.0]]}], None, r"expected \(n,\)"),
        ("trace", {"x": [1.0]}, 3, "a trace holds values that were computed"),
        ("trace", [{"x": [1.0]}], None, "a trace holds values that were computed"),
    ],
)
def test_wrong_arguments_raise(target: str, data: Any, size: int | None, message: str) -> None:
    y = gn.exp(gn.Graph().placeholder("x", ("n",)))
    given = y if target == "y" else gn.trace(y, {"x": [1.0]})
    with pytest.raises(gn.GraphnnError, match=message):
        check_health(given, data, batch_size=size)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("size", [1, 4096, 10_000])
def test_finite_sees_one_element(bad: float, size: int) -> None:
    array = np.full(size, 1e200)  # whose squares overflow
    assert finite([array, np.arange(3), np.array(True)])
    array[size // 2] = bad
    assert not finite([np.ones(3, np.float16), array])


def test_nan_behind_the_mask_of_a_loop_is_found_and_not_stumbled_over() -> None:
    g = gn.Graph()
    x, mask = g.placeholder("x", ("time", "batch", 2)), g.placeholder("mask", ("time", "batch"), bool)
    last, _ = gn.scan(lambda s, row: (s + row, s * row), gn.zeros(("batch", 2), graph=g), x, mask=mask)
    clean = {x: np.ones((4, 3, 2)), mask: np.array([[True] * 3] * 3 + [[False] * 3])}
    padded = {**clean, x: np.concatenate([np.ones((3, 3, 2)), np.full((1, 3, 2), np.nan)])}
    loss = gn.mean(last)
    assert np.isfinite(gn.run(loss, padded))
    assert gn.check_health(loss, [clean]).ok
    assert {each.node.name for each in gn.check_health(loss, [clean, padded])} == {"x"}
