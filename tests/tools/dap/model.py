"""A small network and a step of its training: what an editor debugs in the tests."""

import numpy as np

import graphnn as gn
from graphnn import nn


def loss_of(x, labels):
    """Return the loss of two layers."""
    rng = np.random.default_rng(0)
    hidden = nn.Dense(3, rng=rng)(x)
    active = gn.relu(hidden)
    logits = nn.Dense(2, rng=rng)(active)
    return nn.softmax_crossentropy(logits, labels)


def build():
    """Return a step that trains, and its feed."""
    g = gn.Graph()
    x = g.placeholder("x", (4, 2))
    labels = g.placeholder("labels", (4,), dtype="int64")
    loss = loss_of(x, labels)
    step = gn.compile(loss, updates=nn.SGD(0.5).updates(loss))
    return step, {x: np.arange(8.0).reshape(4, 2) / 4 - 1, labels: [0, 1, 1, 0]}


def broken():
    """Return the logarithm of negative numbers, and its feed."""
    g = gn.Graph()
    x = g.placeholder("x", (2,))
    shifted = x - 2.0
    return gn.log(shifted) * 3.0, {x: [1.0, 3.0]}
