"""A network of very many residual blocks."""

import numpy as np

import graphnn as gn
from graphnn import nn


def training(dtype, units=32, blocks=200, classes=10):
    g = gn.Graph("residual", dtype)
    x, labels = g.placeholder("x", ("batch", units)), g.placeholder("labels", ("batch",), np.int64)
    stack = [nn.Residual(nn.LayerNorm(), nn.Dense(units), nn.ReLU(), nn.Dense(units)) for _ in range(blocks)]
    model = nn.Sequential(*stack, nn.LayerNorm(), nn.Dense(classes))
    loss = nn.softmax_crossentropy(model(x), labels)
    return model, gn.compile(loss, nn.Adam(1e-3).updates(loss))
