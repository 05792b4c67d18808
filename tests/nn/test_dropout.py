"""Dropout: its nodes, its rate, and the same bits everywhere."""

import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn


def ones(shape: Any = ("batch", 100)) -> gn.Node:
    return gn.Graph("g").placeholder("x", shape=shape)


def kept(value: Any) -> Any:
    return np.asarray(value) != 0


# --- nodes ----------------------------------------------------------------------------------------------------


def test_not_training_it_is_the_identity_and_makes_nothing() -> None:
    x = ones()
    layer = nn.Dropout(0.5)
    assert layer(x) is x
    assert layer(x, training=False) is x
    assert nn.Sequential(layer)(x) is x
    assert list(x.graph) == [x]
    assert x.graph.scopes == {}
    assert layer.parameters == []
    assert layer.counter is None


def test_in_training_each_of_its_steps_is_a_node() -> None:
    x = ones()
    y = nn.Dropout(0.25, seed=7)(x, training=True)
    g = x.graph
    assert y is g["dropout_1"] is g["dropout_1/divide"]
    chance = g["dropout_1/random_uniform"]
    assert (chance.op.seed, chance.op.stream) == (7, chance.index)
    assert chance.shape == x.shape
    assert g["dropout_1/mask"].dtype == bool
    assert [node.name for node in g if node.op.name != "constant"] == [
        "x",
        "dropout_1/counter",
        "dropout_1/next",
        "dropout_1/random_uniform",
        "dropout_1/mask",
        "dropout_1/multiply",
        "dropout_1/divide",
    ]
    counter = g["dropout_1/counter"]
    assert not counter.trainable
    assert counter.dtype == np.int64
    assert g.advances == {(counter, counter): g["dropout_1/next"]}
    assert {node.scope for node in g} == {"", "dropout_1"}


def test_its_number_does_not_depend_on_when_training_begins() -> None:
    x = ones()
    first, second = nn.Dropout(0.5), nn.Dropout(0.5)
    network = nn.Sequential(first, gn.tanh, second)
    network(x)
    network(x)
    network(x, training=True)
    network(x)
    network(x, training=True)
    assert list(x.graph.scopes) == ["dropout_1", "dropout_2", "dropout_1_2", "dropout_2_2"]
    assert [c.name for c, _ in x.graph.advances] == ["dropout_1/counter", "dropout_2/counter"]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_dtype_stays(dtype: Any) -> None:
    x = gn.Graph(dtype=dtype).placeholder("x", shape=(3, 4))
    y = nn.Dropout(0.5)(x, training=True)
    assert y.dtype == dtype
    assert gn.run(y, {x: np.ones((3, 4))}).dtype == dtype


@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 0, 3), (2, 3, 4)])
def test_any_shape(shape: tuple[int, ...]) -> None:
    x = ones(shape)
    assert gn.run(nn.Dropout(0.5)(x, training=True), {x: np.ones(shape)}).shape == shape


# --- numbers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_the_rate_and_the_expectation(rate: float) -> None:
    x = ones()
    value = gn.run(nn.Dropout(rate)(x, training=True), {x: np.ones((2000, 100))})
    n = value.size
    assert set(np.unique(value)) <= {0.0, 1 / (1 - rate)}
    assert abs(np.mean(value == 0) - rate) <= 4 * math.sqrt(rate * (1 - rate) / n)
    assert abs(value.mean() - 1) <= 4 * math.sqrt(rate / (1 - rate) / n)
    # nor do rows or columns stand out
    for axis in (0, 1):
        share = kept(value).mean(axis=axis)
        assert np.abs(share - (1 - rate)).max() <= 5.5 * math.sqrt(rate * (1 - rate) / value.shape[axis]) + 1e-12


def test_masks_of_steps_calls_layers_and_seeds_are_independent() -> None:
    x = ones()
    feed = {x: np.ones((100, 100))}
    first, second, third = nn.Dropout(0.5), nn.Dropout(0.5), nn.Dropout(0.5, seed=1)
    outputs = [first(x, training=True), first(x, training=True), second(x, training=True), third(x, training=True)]
    w = x.graph.parameter("w", 0.0)
    step = gn.compile(outputs, {w: w + 1.0})
    masks = [kept(value).ravel() for _ in range(5) for value in step(feed)]
    assert len(masks) == 20
    correlation = np.corrcoef(masks) - np.eye(20)
    assert np.abs(correlation).max() <= 5 / math.sqrt(10_000)


def test_gradients_pass_where_elements_were_kept() -> None:
    x = ones((4, 5))
    loss = gn.sum(nn.Dropout(0.5)(x * 1.0, training=True) * np.arange(20.0).reshape(4, 5))
    value, gradient = gn.run([x.graph["dropout_1"], gn.grad(loss, x)], {x: np.ones((4, 5))})
    assert np.array_equal(gradient, value * np.arange(20.0).reshape(4, 5))
    gn.testing.check_grads(loss, {x: np.random.default_rng(0).normal(size=(4, 5))}, wrt=[x], order=2)


# --- the counter ----------------------------------------------------------------------------------------------


def test_a_step_with_updates_moves_the_counter_and_nothing_else_does() -> None:
    x = ones()
    y = nn.Dropout(0.5)(x, training=True)
    g = x.graph
    w, counter = g.parameter("w", 0.0), g["dropout_1/counter"]
    feed = {x: np.ones((3, 100))}
    stands = gn.run(y, feed)
    assert np.array_equal(gn.run(y, feed), stands)
    assert np.array_equal(gn.compile(y)(feed), stands)
    assert counter.value == 0
    apart = gn.compile(w, {w: w + 1.0})
    assert counter not in apart.updates
    step = gn.compile(y, {w: w + 1.0})
    assert step.updates == {w: step.updates[w], counter: g["dropout_1/next"]}
    values = [step(feed) for _ in range(4)]
    assert np.array_equal(values[0], stands)
    assert len({value.tobytes() for value in values}) == 4
    assert counter.value == 4
    counter.value = 1
    assert np.array_equal(gn.run(y, feed), values[1])


def test_the_users_own_update_of_the_counter_goes_first() -> None:
    x = ones()
    y = nn.Dropout(0.5)(x, training=True)
    counter = x.graph["dropout_1/counter"]
    gn.compile(y, {counter: counter + 5})({x: np.ones((1, 100))})
    assert counter.value == 5


PROGRAM = """
import hashlib
import numpy as np
import graphnn as gn
from graphnn import nn
x = gn.Graph().placeholder("x", shape=("batch", 10))
y = nn.Sequential(nn.Dropout(0.3), nn.Dropout(0.3, seed=5))(x, training=True)
w = x.graph.parameter("w", 0.0)
step = gn.compile(y, {w: w + 1.0})
print(hashlib.sha256(b"".join(step({x: np.ones((7, 10))}).tobytes() for _ in range(3))).hexdigest())
"""


def test_every_process_gives_the_same_bits() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-W", "error", "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(gn.__file__).parent.parent)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    # NumPy promises that Philox and Generator.random stay as they are.
    assert digests == {"6cff7face6b97a3f063e463f317dcaeeb4ea89b71be8215bb4b9e77595e9b74c"}


def test_a_copy_of_the_graph_has_the_same_masks() -> None:
    x = ones()
    x.graph.constant(1.0)
    y = nn.Dropout(0.5)(x, training=True)
    feed = {"x": np.ones((5, 100))}
    copy = gn.extract(y)
    assert np.array_equal(gn.run(copy[y.name], feed), gn.run(y, feed))
    counter = copy["dropout_1/counter"]
    assert copy.advances == {(counter, counter): copy["dropout_1/next"]}


# --- errors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: nn.Dropout(1.0), ValueError, "the rate is from 0 up to but not including 1, not 1.0"),
        (lambda: nn.Dropout(-0.1), ValueError, "the rate is from 0 up to but not including 1, not -0.1"),
        (lambda: nn.Dropout(math.nan), ValueError, "the rate is from 0 up to but not including 1, not nan"),
        (lambda: nn.Dropout("half"), TypeError, "Dropout: the rate is a number, not str"),
        (lambda: nn.Dropout(0.5, seed=-1), ValueError, "the seed is from 0 to 2**64 - 1, not -1"),
        (lambda: nn.Dropout(0.5, seed=1.5), TypeError, "Dropout: the seed is an int, not 1.5"),
        (lambda: nn.Dropout(0.5)(np.ones(3)), TypeError, "Dropout is called on a node, not on ndarray"),
        (lambda: nn.Dropout(0.5)(ones(), ones()), TypeError, "Dropout is called on one node"),
        (
            lambda: nn.Dropout(0.5)(gn.cast(ones(), "int64"), training=True),
            TypeError,
            'takes floats; "cast" is int64',
        ),
    ],
)
def test_bad_calls(make: Callable[[], Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=re.escape(words)):
        make()


def test_a_layer_that_has_a_counter_stays_in_its_graph() -> None:
    layer = nn.Dropout(0.5)
    layer(ones())
    layer(ones(), training=True)
    with pytest.raises(gn.GraphError, match="make another layer"):
        layer(ones(), training=True)


@pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState])
def test_a_generator_draws_the_seed(make) -> None:
    first, second = (nn.Dropout(0.5, rng=make(3)) for _ in range(2))
    shared = make(3)
    layers = [nn.Dropout(0.5, rng=shared) for _ in range(2)]
    assert first.seed == second.seed == layers[0].seed != layers[1].seed
    with pytest.raises(gn.UsageError, match="exclude each other"):
        nn.Dropout(0.5, seed=1, rng=shared)
    with pytest.raises(gn.UsageError, match=r"np.random.default_rng\(3\) makes one"):
        nn.Dropout(0.5, rng=3)
