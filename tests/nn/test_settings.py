"""Settings that are changed where that has no effect: somebody says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.nn.layers.layer_settings import settings_of

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("Dense", "GRU", "LSTM", "RNN"), (3,)),
    **{f"Conv{kind}{n}D": (4, 3) for kind in ("", "Transpose") for n in (1, 2, 3)},
    **{f"{kind}Pool{n}D": (2,) for kind in ("Average", "Max") for n in (1, 2, 3)},
    **{f"Adaptive{kind}Pool{n}D": (2,) for kind in ("Average", "Max") for n in (1, 2, 3)},
    "Dropout": (0.5,),
    "Embedding": (10, 4),
    "GroupNorm": (2,),
    "MultiHeadAttention": (2,),
    "PositionEmbedding": (8,),
    "Residual": (nn.ReLU(),),
    "Sequential": (nn.ReLU(),),
    "TransformerBlock": (2, 8),
}
IN_TIME = {"GRU", "LSTM", "RNN", "MultiHeadAttention", "PositionEmbedding", "SinusoidalEncoding", "TransformerBlock"}


def called() -> Iterator[nn.Layer]:
    """Yield one layer of each class, after a call."""
    for name in dir(nn):
        kind = getattr(nn, name)
        if not (isinstance(kind, type) and issubclass(kind, nn.Layer)) or kind is nn.Layer:
            continue
        layer = kind(*ARGUMENTS.get(name, ()))
        sizes: list[Any] = ["batch", 4]
        sizes += [8] * (int(name[-2]) if name.endswith("D") else {"UpSample": 2, "InstanceNorm": 1}.get(name, 0))
        shape = ("batch", 5, 4) if name in IN_TIME else tuple(sizes)
        layer(gn.Graph().placeholder("x", shape, int if name == "Embedding" else None), training=True)
        yield layer


def test_every_setting_of_every_layer_says_that_it_is_set_too_late() -> None:
    seen = set()
    for layer in called():
        kind = type(layer).__name__
        for name in settings_of(type(layer)):
            if name not in vars(layer):
                with pytest.raises(
                    AttributeError, match=f"{kind} has no attribute .* would change nothing. Write {kind}"
                ):
                    setattr(layer, name, 0.5)
            elif not isinstance(vars(layer)[name], gn.Node):
                with pytest.warns(gn.GraphnnWarning, match=rf"{kind}\.{name} is set after it was called") as told:
                    setattr(layer, name, object())
                assert [warning.filename for warning in told] == [__file__]
            seen.add((kind, name))
    assert {("Dropout", "rate"), ("BatchNorm", "momentum"), ("LSTM", "dropout"), ("Dense", "activation")} <= seen
    assert len(seen) > 150


def test_a_layer_warns_of_a_setting_only_where_it_changes_after_a_call() -> None:
    class Scaled(nn.Layer):
        def __init__(self, scale: float, size: Any = None) -> None:
            self.scale, self.size, self.kept = scale, size, None

        def call(self, x):  # type: ignore[no-untyped-def]
            self.size = x.shape  # by the call itself
            self.kept = x  # no setting
            return x * self.scale

    g = gn.Graph()
    dropout, scaled = nn.Dropout(0.5), Scaled(1.0)
    dropout.rate, scaled.scale = 0.25, 3.0
    y = dropout(g.constant(np.ones(64)), training=True)
    assert {*gn.run(y).round(3)} == {0.0, 1.333}
    dropout.rate = 1 / 4
    for x in (g.constant([1.0]), g.constant([1.0, 2.0])):
        assert (gn.run(scaled(x)) == 3.0 * gn.run(x)).all()
    scaled.kept = scaled.note = "mine"
    with pytest.warns(gn.GraphnnWarning, match=r"Scaled\.scale is set after it was called: nodes that were made keep"):
        scaled.scale = 2.0
    assert gn.run(scaled(g.constant([1.0]))).tolist() == [2.0]


def test_the_name_that_others_give_to_a_setting_cannot_be_set() -> None:
    dropout, norm, adam = nn.Dropout(0.5), nn.BatchNorm(), nn.Adam(0.1)
    for thing, name, says in (
        (dropout, "p", 'Dropout has no attribute "p", and to set it would change nothing. Here it is rate.'),
        (dropout, "random_state", "Here it is rng=."),
        (dropout, "rng", r"Write Dropout\(…, rng=…\)"),
        (norm, "eps", "Here it is epsilon."),
        (adam, "betas", "Here it is beta1."),
    ):
        with pytest.raises(AttributeError, match=says):
            setattr(thing, name, 0.25)

    class Own(nn.Dropout):
        p = 0.5

    own = Own(0.5)
    own.p = own.note = 0.25  # type: ignore[attr-defined]
    assert (own.p, own.rate) == (0.25, 0.5)


def test_the_layers_of_a_sequential_are_a_tuple_and_one_that_is_added_late_is_told() -> None:
    network = nn.Sequential(nn.Dense(3))
    with pytest.raises(AttributeError, match=r"Sequential\.layers cannot be set\. .* sequential\.add\(layer\)\."):
        network.layers = ()  # type: ignore[misc]
    with pytest.raises(AttributeError, match=r"Sequential\.parameters cannot be set\. The trainable parameters of"):
        network.parameters = []  # type: ignore[misc, assignment]

    class Named(nn.Layer):
        @property
        def label(self) -> str:
            return "mine"

        @property
        def title(self) -> str:
            return "mine"

        @title.setter
        def title(self, title: str) -> None:
            raise AttributeError(f"{title} is no title")

    for name, says in (("label", r"^Named\.label cannot be set\.$"), ("title", "^b is no title$")):
        with pytest.raises(AttributeError, match=says):
            setattr(Named(), name, "b")
    network.add(nn.ReLU())
    assert isinstance(network.layers, tuple)
    assert network.layers == (network[0], network[1])
    x = gn.Graph().placeholder("x", ("batch", 2))
    y = network(x)
    with pytest.warns(gn.GraphnnWarning, match="a layer is added to a Sequential after it was called") as told:
        network.add(nn.Tanh())
    assert [warning.filename for warning in told] == [__file__]
    assert (y.op.name, network(x).op.name) == ("relu", "tanh")


def test_the_parameters_of_a_recurrent_layer_are_not_replaced_by_arrays() -> None:
    lstm = nn.LSTM(3)
    with pytest.raises(TypeError, match="does not support item assignment"):
        lstm.weights["weight_hh_l0"] = np.eye(3, 12)  # type: ignore[index]
    lstm(gn.Graph().placeholder("x", ("batch", 5, 2)))
    lstm.weights["weight_hh_l0"].value = np.eye(3, 12)
    assert list(lstm.state_dict()) == list(lstm.weights)
    assert (lstm.state_dict()["weight_hh_l0"] == np.eye(3, 12)).all()


def test_the_epsilon_of_rms_norm_can_be_set_before_the_call() -> None:
    norm = nn.RMSNorm()
    assert norm.epsilon is None
    norm.epsilon = 3.0
    assert gn.run(norm(gn.Graph().constant([[1.0, 1.0]]))).tolist() == [[0.5, 0.5]]


def test_an_average_says_that_its_decay_is_set_too_late() -> None:
    w = gn.Graph().parameter("w", 8.0)
    ema = nn.EMA(0.25)
    ema.decay = 0.5
    step = gn.compile(w, ema.updates(nn.SGD(0.25).updates(w * w)))
    ema.decay = 0.5
    with pytest.warns(gn.GraphnnWarning, match=r"EMA\.decay is set after updates\(…\): nodes that were made keep"):
        ema.decay = 0.9
    for _ in range(3):
        step()
    assert float(gn.run(ema.averages[w])) == 2.0
