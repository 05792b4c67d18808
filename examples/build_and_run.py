"""Build a classifier for the spiral data and watch it being evaluated, one node at a time."""

import numpy as np

import graphnn as gn
from graphnn import nn

X, y = gn.datasets.spiral(100, classes=3, seed=0)

# Building computes nothing, but all shapes are known.
g = gn.Graph("spiral")
x = g.placeholder("x", shape=("batch", 2))
labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
rng = np.random.default_rng(0)
network = nn.Sequential(nn.Dense(64, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng), nn.Softmax())
probabilities = network(x)
loss = nn.categorical_crossentropy(probabilities, labels)

print(gn.summary(loss))
print()

# Evaluation is a generator. A value is computed only when it is asked for.
for step in gn.steps(loss, {x: X, labels: y}):
    node, value = step.node, step.value
    operands = ", ".join(operand.name for operand in node.inputs)
    print(f"{step.index:2}  {node.name} = {node.op.name}({operands})")
    print(f"      {value.shape} {value.dtype}, from {value.min():.4g} to {value.max():.4g}")

# The same graph takes any number of points. Only the nodes that the fetches need are evaluated.
one = gn.run(probabilities, {x: [[0.5, -0.2]]})
print(f"\nprobabilities of one point: {one.round(4)[0]}, which add up to {one.sum():.6f}")
print(f"the loss ran {len(gn.schedule(loss))} of {len(g)} nodes, the probabilities {len(gn.schedule(probabilities))}")
