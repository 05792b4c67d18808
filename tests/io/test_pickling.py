"""What pickle and copy make of public objects: another one that works, or an error that says what to do."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn


def pickled(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))  # noqa: S301 - it was made here


LAYERS: list[Callable[[], nn.Layer]] = [
    lambda: nn.Dense(3, activation="relu", rng=np.random.default_rng(7)),
    lambda: nn.Dense(3, weight_init=nn.init.orthogonal(2.0), bias_init=nn.init.constant(0.5)),
    lambda: nn.Dense(3, weight_init=nn.init.he_normal(), bias_init=nn.init.uniform(0.1, 0.2)),
    lambda: nn.Sequential(nn.Dense(4, weight_init=nn.init.normal(1.0, 0.1)), nn.PReLU(), gn.tanh, nn.Dense(2)),
    lambda: nn.Sequential(nn.BatchNorm(), nn.Dropout(0.5), nn.Dense(2, weight_init=nn.init.he_uniform())),
    lambda: nn.Sequential(nn.LSTM(3), nn.MultiHeadAttention(1), nn.TransformerBlock(1, 4)),
]


@pytest.mark.parametrize("through", [pickled, copy.deepcopy])
@pytest.mark.parametrize("make", LAYERS)
def test_a_layer_that_was_not_called_is_copied_with_all_that_it_draws(
    make: Callable[[], nn.Layer], through: Callable[[Any], Any]
) -> None:
    def values(layer: nn.Layer) -> list[Any]:
        g = gn.Graph()
        layer(g.placeholder("x", ("batch", 5, 2)))
        return [value.tolist() for value in g.state.values()]

    layer = make()
    assert values(through(layer)) == values(layer)


def test_public_functions_are_pickled_by_their_names() -> None:
    public = {name: getattr(gn, name) for name in dir(gn) if not name.startswith("_")}
    functions = {name: thing for name, thing in public.items() if isinstance(thing, FunctionType)}
    assert {"exp", "abs", "softmax", "run", "compile"} <= {*functions}
    for name, function in functions.items():
        assert pickled(function) is function, name


def test_the_error_of_pickling_nodes_says_how_to_save_them() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 2))
    layer = nn.Dense(3)
    loss = gn.mean(layer(x))
    feed = {x: np.ones((4, 2))}
    for thing in g, loss, layer, gn.compile(loss), gn.trace(loss, feed), gn.debug(loss, feed), g.state:
        with pytest.raises(TypeError, match=r"not pickled: gn\.save writes a graph"):
            pickle.dumps(thing)
