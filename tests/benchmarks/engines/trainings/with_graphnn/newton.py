"""Newton's method: each direction by conjugate gradients, with products of the damped Hessian and vectors."""

import numpy as np

import graphnn as gn
from graphnn import nn


def training(dtype, inputs=64, units=32, classes=10, iterations=10, damping=1.0):
    g = gn.Graph("newton", dtype)
    x, labels = g.placeholder("x", ("batch", inputs)), g.placeholder("labels", ("batch",), np.int64)
    model = nn.Sequential(nn.Dense(units), nn.Tanh(), nn.Dense(classes))
    loss = nn.softmax_crossentropy(model(x), labels)

    def dot(a, b):
        return sum(gn.sum(x * y) for x, y in zip(a, b, strict=True))

    def moved(a, size, b):
        return [x + size * y for x, y in zip(a, b, strict=True)]

    parameters = model.parameters
    residual = search = gn.grad(loss, parameters)
    direction = [gn.zeros_like(p) for p in parameters]
    square = dot(residual, residual)
    for _ in range(iterations):
        product = moved(gn.hvp(loss, parameters, search), damping, search)
        size = square / dot(search, product)
        direction, residual = moved(direction, size, search), moved(residual, -size, product)
        before, square = square, dot(residual, residual)
        search = moved(residual, square / before, search)
    return model, gn.compile(loss, nn.SGD(1.0).updates(gradients=dict(zip(parameters, direction, strict=True))))
