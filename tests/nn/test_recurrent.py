"""Recurrent layers by a loop, against the same layers with each step as nodes of its own."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from everywhere import BACKENDS

import graphnn as gn
from graphnn import nn

RNG = np.random.default_rng(0)
N, T, F, H = 3, 5, 2, 4
KINDS: dict[str, Callable[..., nn.Layer]] = {
    "rnn": lambda **more: nn.RNN(H, activation="relu", **more),
    "lstm": lambda **more: nn.LSTM(H, **more),
    "gru": lambda **more: nn.GRU(H, **more),
    "two layers": lambda **more: nn.LSTM(H, 2, True, **more),
    "last only": lambda **more: nn.GRU(H, bidirectional=True, return_sequences=False, **more),
    "no bias": lambda **more: nn.GRU(H, use_bias=False, **more),
}


def both(make: Callable[..., nn.Layer], called: Callable[[nn.Layer, gn.Node], Any]) -> Any:
    """Return x, and the results and a loss's derivatives of a layer by a loop and of an equal one unrolled."""
    g = gn.Graph()
    long, short = g.placeholder("long", ("batch", "time", F)), g.placeholder("short", ("batch", T, F))
    found, loaded = [], None
    for x, unroll in ((long, False), (short, True)):
        layer = make(unroll=unroll, return_state=True, rng=np.random.default_rng(1))
        y, states = called(layer, x)
        loaded = layer.load_state_dict(loaded) if loaded else layer.state_dict()
        loss = gn.sum(y * y * y) + sum(gn.sum(gn.sin(s)) for s in gn.core.flatten(states)[0])
        first = gn.grad(loss, [x, *layer.parameters])
        found.append([y, states, loss, first, gn.grad(gn.sum(first[-1] ** 2.0), [x, *layer.parameters])])
    values = RNG.normal(size=(N, T, F))
    return {long: values, short: values}, found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("given", ["nothing", "mask", "states"])
def test_a_loop_gives_what_the_unrolled_steps_do(kind: str, given: str) -> None:
    kept = np.arange(T) < np.array([[5], [1], [3]])

    def called(layer: Any, x: gn.Node) -> Any:
        if given == "nothing":
            return layer(x)
        if given == "mask":
            long = isinstance(x.shape[1], str)
            return layer(x, lengths=x.graph.constant(kept.sum(1)) if long else None, mask=None if long else kept)
        count = layer.layers * (1 + layer.bidirectional)
        one = x.graph.constant(np.linspace(-1, 1, count * H).reshape(count, 1, H))  # one for all of the batch
        return layer(x, initial_state=(one, one * 0.5) if isinstance(layer, nn.LSTM) else one)

    feed, found = both(KINDS[kind], called)
    loops, steps = (gn.core.flatten(each)[0] for each in gn.run(found, feed))
    for ours, theirs in zip(loops, steps, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12 * max(np.abs(theirs).max(), 1e-300))


def test_lengths_have_names_and_each_engine_trains_over_any_time() -> None:
    found = []
    for backend in BACKENDS:
        g = gn.Graph(dtype="float32")
        x, lengths = g.placeholder("x", ("batch", "time", F)), g.placeholder("lengths", ("batch",), "int32")
        layer = nn.LSTM(H, 2, dropout=0.3, rng=np.random.default_rng(0))
        y = layer(x, lengths=lengths, training=True)
        assert (y.shape, y.dtype, len(layer.state_dict())) == (("batch", "time", H), np.float32, 8)
        loss = gn.mean(y**2.0)
        step = gn.compile(loss, nn.SGD(0.1).updates(loss), backend=backend)
        rng = np.random.default_rng(1)
        for count, time in ((2, 3), (2, 3), (3, 100), (2, 3)):
            step({x: rng.normal(size=(count, time, F)), lengths: rng.integers(0, time, count)})
        found.append(layer.state_dict())
    for other in found[1:]:
        for name, array in found[0].items():
            np.testing.assert_array_equal(other[name], array)


@pytest.mark.parametrize("time", ["time", 3])
@pytest.mark.parametrize("wrong", [4, -1])
def test_lengths_are_from_0_to_the_time(time: int | str, wrong: int) -> None:
    g = gn.Graph()
    x, lengths = g.placeholder("x", ("batch", time, F)), g.placeholder("lengths", ("batch",), int)
    y = nn.RNN(H)(x, lengths=lengths)
    feed = {x: np.ones((2, 3, F)), lengths: [3, 0]}
    step = gn.compile(y)
    assert step(feed).any(2).tolist() == [[True] * 3, [False] * 3]
    for run in (step, lambda feed: gn.run(y, feed)):
        with pytest.raises(gn.LabelError, match=rf'lengths_up_to_time".*test_recurrent.py.* {wrong} at index \(1,\)'):
            run(feed | {lengths: [3, wrong]})


def test_short_known_times_are_unrolled_and_long_ones_are_loops() -> None:
    g = gn.Graph()
    for time, loops in ((64, 0), (65, 1)):
        nn.GRU(2)(g.placeholder(f"x{time}", (1, time, 2)))
        assert sum(node.op.name == "loop" for node in g) == loops
    assert nn.RNN(2, dtype="float64")(g.placeholder("x", (1, "time", 2), "float32")).dtype == np.float64


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda layer, x: layer(x, mask=[[True]], lengths=[1]), "mask= or lengths=, which say the same"),
        (lambda layer, x: layer(x, lengths=[1.5]), "lengths are integers"),
        (lambda layer, x: layer(x, lengths=[[1]]), r"lengths have shape \(batch,\)"),
        (lambda layer, x: nn.GRU(2, unroll="no")(x), "unroll is True or False"),
    ],
)
def test_errors_say_what_fits(call: Callable[..., Any], words: str) -> None:
    with pytest.raises(gn.GraphnnError, match=words):
        call(nn.GRU(2), gn.Graph().placeholder("x", ("n", "t", 2)))


def test_dropout_of_a_single_layer_warns() -> None:
    with pytest.warns(gn.GraphnnWarning, match="GRU: dropout=0.5 lies between layers, and there is only one"):
        nn.GRU(2, dropout=0.5)
