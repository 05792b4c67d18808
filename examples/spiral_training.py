"""Train a network on the spiral data: 2 → 100 → 3, full-batch gradient descent, L2 on the weights.

python examples/spiral_training.py --steps 10000
"""

import argparse

import numpy as np

import graphnn as gn
from graphnn import nn

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--steps", type=int, default=1000, help="default %(default)s; 10,000 for the last percent")
steps = parser.parse_args().steps

X, y = gn.datasets.spiral(100, classes=3, seed=0)
rng = np.random.RandomState(0)
small = nn.init.normal(std=0.01)

g = gn.Graph("spiral")
x = g.placeholder("x", shape=("batch", 2))
labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
hidden = nn.Dense(100, weight_init=small, rng=rng)
last = nn.Dense(3, weight_init=small, rng=rng)
logits = last(nn.ReLU()(hidden(x)))
data_loss = nn.softmax_crossentropy(logits, labels)
loss = data_loss + nn.l2([hidden.weight, last.weight], 1e-3)
accuracy = nn.accuracy(gn.softmax(logits), labels)

step = gn.compile([loss, data_loss], updates=nn.SGD(learning_rate=1.0).updates(loss))
print(f"{len(step.updates)} parameters to update, {len(gn.schedule([loss, *step.updates.values()]))} nodes a step\n")

feed = {x: X, labels: y}
for count in range(steps):
    total, of_data = step(feed)
    if count % max(1, steps // 10) == 0:
        print(f"step {count:5}: loss {total:.4f}, of which data {of_data:.4f}; accuracy {gn.run(accuracy, feed):.3f}")
print(f"\nafter {steps} steps: loss {gn.run(loss, feed):.4f}, accuracy {gn.run(accuracy, feed):.3f}")

print("\nconfusion matrix, a row for each true class:")
print(gn.run(nn.confusion_matrix(gn.softmax(logits), labels), feed))

# Which class the network predicts where: the same graph, fed with a grid of points.
ticks = np.linspace(-1.2, 1.2, 241)
grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
seen = gn.run(gn.argmax(logits, axis=1), {x: grid}).reshape(len(ticks), len(ticks))
try:
    from matplotlib.figure import Figure
except ImportError:
    print("\nno picture of the decision boundary: it needs matplotlib (pip install 'graphnn[plot]')")
else:
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot(aspect="equal", title=f"What the network sees after {steps} steps")
    axes.pcolormesh(ticks, ticks, seen, cmap="cividis", alpha=0.4, rasterized=True)
    for kind, marker in enumerate("o^s"):
        axes.scatter(X[y == kind, 0], X[y == kind, 1], s=14, c="black", marker=marker, label=f"class {kind}")
    axes.legend(frameon=False, loc="upper right")
    figure.savefig("boundary.png")
    print("\nwrote boundary.png")
