"""Your own operation and layer: defined in one place, they are drawn, listed, differentiated and tested."""

import numpy as np

import graphnn as gn
from graphnn import nn
from graphnn.ops.elementwise import Elementwise


class Snake(Elementwise):
    """x + sin²(frequency x) / frequency: rises like x, with waves on it."""

    frequency: float = 1.0
    like = np.sin
    formula = "{0} + sin²({frequency} {0}) / {frequency}"

    def forward(self, x, out=None):
        """Compute it in NumPy."""
        x = x.astype(self.result_dtype(x.dtype), copy=False)
        return np.add(x, np.square(np.sin(x * self.frequency)) / self.frequency, out=out)

    def vjp(self, i, cotangent, output, inputs):
        """Return the cotangent of x, in nodes."""
        return cotangent * (1 + gn.sin(inputs[0] * (2 * self.frequency)))


class Periodic(nn.Layer):
    """A dense layer followed by Snake; its parts are made once, and every call shares them."""

    def __init__(self, units, frequency=1.0, rng=None):
        self.dense = nn.Dense(units, rng=rng)
        self.frequency = frequency

    def call(self, x):
        """Return snake(x @ weight + bias)."""
        return gn.snake(self.dense(x), self.frequency)


print("tested:", gn.testing.check_op(Snake))
print("listed:", "snake" in dir(gn), "-", gn.snake.__doc__)

g = gn.Graph("own")
x = g.placeholder("x", shape=("batch", 1))
y = g.placeholder("y", shape=("batch", 1))
rng = np.random.default_rng(0)
network = nn.Sequential(Periodic(16, frequency=2.0, rng=rng), nn.Dense(1, rng=rng))
prediction = network(x)
loss = nn.mean_squared_error(prediction, y)

print("\nthe layer is a scope:", prediction.name, "from", [node.name for node in network.parameters])
print("drawn as:", next(line.strip()[:60] for line in gn.draw(loss).source.splitlines() if "snake" in line), "…")

# Train it on the sine on [-6, 6].
points = np.linspace(-6, 6, 200)[:, None]
feed = {x: points, y: np.sin(points)}
step = gn.compile(loss, updates=nn.Adam(0.02).updates(loss))
for count in range(601):
    error = step(feed)
    if count % 200 == 0:
        print(f"step {count:3}: mean squared error {error:.5f}")
