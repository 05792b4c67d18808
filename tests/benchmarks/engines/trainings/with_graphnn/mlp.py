"""A multilayer perceptron with batch and layer norm."""

import numpy as np

import graphnn as gn
from graphnn import nn


def training(dtype, inputs=784, units=256, classes=10):
    g = gn.Graph("mlp", dtype)
    x, labels = g.placeholder("x", ("batch", inputs)), g.placeholder("labels", ("batch",), np.int64)
    model = nn.Sequential(
        nn.Dense(units),
        nn.BatchNorm(),
        nn.ReLU(),
        nn.Dense(units),
        nn.LayerNorm(),
        nn.ReLU(),
        nn.Dense(classes),
    )
    loss = nn.softmax_crossentropy(model(x, training=True), labels)
    return model, gn.compile(loss, nn.Adam(1e-3).updates(loss))
