"""Fit a curve through noisy points: mean squared error, minibatches, a learning rate that falls along a cosine."""

import numpy as np

import graphnn as gn
from graphnn import nn

rng = np.random.default_rng(0)
points = rng.uniform(-3, 3, size=(200, 1))
values = np.sin(2 * points) + 0.3 * points + rng.normal(scale=0.1, size=points.shape)

g = gn.Graph("regression")
x = g.placeholder("x", shape=("batch", 1))
y = g.placeholder("y", shape=("batch", 1))
prediction = nn.Sequential(nn.Dense(32, rng=rng), nn.Tanh(), nn.Dense(32, rng=rng), nn.Tanh(), nn.Dense(1, rng=rng))(x)
loss = nn.mean_squared_error(prediction, y)

EPOCHS, BATCH = 400, 50
steps = EPOCHS * (len(points) // BATCH)
step = gn.compile(loss, updates=nn.Adam(nn.schedules.cosine(0.02, steps)).updates(loss))
for epoch in range(EPOCHS):
    order = rng.permutation(len(points))
    losses = [step({x: points[rows], y: values[rows]}) for rows in np.split(order, len(points) // BATCH)]
    if epoch % 50 == 0 or epoch == EPOCHS - 1:
        print(f"epoch {epoch:3}: mean squared error {np.mean(losses):.4f}")
print("the noise alone is 0.0100\n")

# A plot for the terminal: the curve (*) and the function it should be (·).
grid = np.linspace(-3, 3, 64)[:, None]
curve = gn.run(prediction, {x: grid}).ravel()
true = (np.sin(2 * grid) + 0.3 * grid).ravel()
for level in np.linspace(1.8, -1.8, 15):
    line = [
        "*" if abs(c - level) < 0.13 else "·" if abs(t - level) < 0.13 else " "
        for c, t in zip(curve, true, strict=True)
    ]
    print("".join(line).rstrip())
