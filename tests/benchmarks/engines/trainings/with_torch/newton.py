"""Newton's method: each direction by conjugate gradients, with products of the damped Hessian and vectors."""

import torch
from torch import nn
from torch.autograd import grad
from torch.nn import functional


def training(inputs=64, units=32, classes=10, iterations=10, damping=1.0):
    model = nn.Sequential(nn.Linear(inputs, units), nn.Tanh(), nn.Linear(units, classes))
    parameters = list(model.parameters())

    def dot(a, b):
        return sum((x * y).sum() for x, y in zip(a, b, strict=True))

    def moved(a, size, b):
        return [x + size * y for x, y in zip(a, b, strict=True)]

    def step(x, labels):
        loss = functional.cross_entropy(model(x), labels)
        gradients = grad(loss, parameters, create_graph=True)
        direction = [torch.zeros_like(p) for p in parameters]
        residual = search = [gradient.detach() for gradient in gradients]
        square = dot(residual, residual)
        for _ in range(iterations):
            product = moved(grad(gradients, parameters, search, retain_graph=True), damping, search)
            size = square / dot(search, product)
            direction, residual = moved(direction, size, search), moved(residual, -size, product)
            before, square = square, dot(residual, residual)
            search = moved(residual, square / before, search)
        with torch.no_grad():
            for p, d in zip(parameters, direction, strict=True):
                p -= d
        return loss

    return model, step
