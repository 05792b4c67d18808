"""Learn AND, OR and NAND with one neuron, and see that XOR needs a hidden layer."""

import numpy as np

import graphnn as gn
from graphnn import nn


def learned(gate: str, hidden: int = 0, steps: int = 2000) -> tuple[float, np.ndarray]:
    """Return the loss and the probabilities of a network trained on a gate."""
    X, y = gn.datasets.gates(gate)
    g = gn.Graph(gate)
    x = g.placeholder("x", shape=("batch", 2))
    target = g.placeholder("target", shape=("batch", 1))
    rng = np.random.default_rng(1)
    layers = [nn.Dense(hidden, rng=rng), nn.Tanh()] if hidden else []
    logits = nn.Sequential(*layers, nn.Dense(1, rng=rng))(x)
    loss = nn.sigmoid_crossentropy(logits, target)
    step = gn.compile(loss, updates=nn.SGD(learning_rate=1.0).updates(loss))
    for _ in range(steps):
        value = step({x: X, target: y[:, None]})
    return float(value), gn.run(gn.sigmoid(logits), {x: X}).ravel()


print("probability of 1 for the inputs     00    01    10    11")
for gate, hidden in (("and", 0), ("or", 0), ("nand", 0), ("xor", 0), ("xor", 4)):
    loss, p = learned(gate, hidden)
    right = np.array_equal(p > 0.5, gn.datasets.gates(gate)[1] == 1)
    shape = f"{hidden} hidden" if hidden else "one neuron"
    print(
        f"{gate:5} {shape:10} loss {loss:.4f}   ", "  ".join(f"{q:.2f}" for q in p), "" if right else "  ← not learned"
    )
print(
    "\nNo line divides XOR's zeros from its ones: one neuron answers ½ to everything, a hidden layer bends the plane."
)
