"""Why deep sigmoid networks are hard to train: gradient norms layer by layer. Also, how a ReLU dies."""

import numpy as np

import graphnn as gn
from graphnn import nn

DEPTH, WIDTH = 10, 32


def norms(activation: type[nn.Layer], weight_init: object) -> list[float]:
    """Return the norm of the gradient for the weight of each layer, from the first layer on."""
    rng = np.random.default_rng(0)
    g = gn.Graph(activation.__name__)
    x = g.placeholder("x", shape=("batch", WIDTH))
    labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
    h, weights = x, []
    for _ in range(DEPTH):
        dense = nn.Dense(WIDTH, weight_init=weight_init, rng=rng)
        h = activation()(dense(h))
        weights.append(dense.weight)
    loss = nn.softmax_crossentropy(nn.Dense(3, rng=rng)(h), labels)
    sizes = [gn.norm(gradient) for gradient in gn.grad(loss, weights)]  # norms are nodes, too
    feed = {x: rng.normal(size=(64, WIDTH)), labels: rng.integers(0, 3, 64)}
    return [float(size) for size in gn.run(sizes, feed)]


print("norm of ∂loss/∂weight in each of ten layers, from the input on\n")
for name, activation, weight_init in (
    ("sigmoid, Glorot", nn.Sigmoid, nn.init.glorot_uniform()),
    ("tanh, Glorot", nn.Tanh, nn.init.glorot_uniform()),
    ("ReLU, He", nn.ReLU, nn.init.he_normal()),
):
    found = norms(activation, weight_init)
    print(f"{name:16}", " ".join(f"{norm:7.1e}" for norm in found))
    print(f"{'':16} the last is {found[-1] / found[0]:,.0f} times the first\n")

# --- a ReLU that is below zero everywhere passes no gradient, and so never recovers ---------------------------------

print("64 units pushed below zero by a bias of -8, then trained for 200 steps:")
for activation in (nn.ReLU(), nn.LeakyReLU(0.1)):
    rng = np.random.default_rng(0)
    g = gn.Graph("dying")
    x = g.placeholder("x", shape=("batch", 2))
    y = g.placeholder("y", shape=("batch", 1))
    dense = nn.Dense(64, bias=np.full(64, -8.0), rng=rng)
    before = dense(x)
    loss = nn.mean_squared_error(nn.Dense(1, rng=rng)(activation(before)), y)
    alive = gn.sum(gn.any(before > 0, axis=0))
    step = gn.compile([loss, alive], updates=nn.Adam(0.1).updates(loss))
    points = rng.normal(size=(100, 2))
    feed = {x: points, y: points[:, :1] ** 2}
    first, *_ = [step(feed) for _ in range(200)]
    last = step(feed)
    kind = type(activation).__name__
    print(f"  {kind:10} loss {first[0]:.3f} → {last[0]:.3f}; units above zero somewhere: {first[1]} → {last[1]}")
