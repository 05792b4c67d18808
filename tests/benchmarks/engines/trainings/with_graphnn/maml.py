"""MAML: the gradient through some steps of gradient descent on each of several tasks."""

import graphnn as gn
from graphnn import nn


def training(dtype, tasks=4, shots=10, units=40, steps=2, rate=0.01):
    g = gn.Graph("maml", dtype)
    x, y, new_x, new_y = (g.placeholder(name, (tasks, shots, 1)) for name in ("x", "y", "new_x", "new_y"))
    model = nn.Sequential(nn.Dense(units), nn.Tanh(), nn.Dense(units), nn.Tanh(), nn.Dense(1))
    model(x)

    def called(weights, x):
        w1, b1, w2, b2, w3, b3 = weights
        return gn.tanh(gn.tanh(x @ w1 + b1) @ w2 + b2) @ w3 + b3

    def adapted(x, y):
        weights = model.parameters
        for _ in range(steps):
            loss = nn.mean_squared_error(called(weights, x), y)
            weights = [p - rate * d for p, d in zip(weights, gn.grad(loss, weights), strict=True)]
        return weights

    losses = [nn.mean_squared_error(called(adapted(x[t], y[t]), new_x[t]), new_y[t]) for t in range(tasks)]
    loss = sum(losses) / tasks
    return model, gn.compile(loss, nn.Adam(1e-3).updates(loss))
