"""Batch norm in training and in use: which mean and which variance it takes, and when they move.

python examples/lesson_batch_norm.py
"""

import numpy as np

import graphnn as gn
from graphnn import nn


def build():
    rng = np.random.default_rng(0)
    g = gn.Graph("normalized")
    x = g.placeholder("x", shape=("batch", 3))
    y = g.placeholder("y", shape=("batch", 1))
    norm = nn.BatchNorm()
    network = nn.Sequential(norm, nn.Dense(8, rng=rng), nn.Tanh(), nn.Dense(1, rng=rng))
    g.outputs["loss"] = loss = nn.mean_squared_error(network(x, training=True), y)
    g.outputs["prediction"] = network(x)
    step = gn.compile(loss, updates=nn.Adam(0.02).updates(loss))
    return step, norm


def batch(rng, rows=16):
    x = rng.normal([20.0, 300.0, 50.0], [4.0, 100.0, 10.0], size=(rows, 3))  # degrees, metres, percent
    return {"x": x, "y": np.tanh((x[:, :1] - 20) / 4) - (x[:, 1:2] - 300) / 100}


def main():
    step, norm = build()
    g = norm.running_mean.graph
    prediction = g.outputs["prediction"]
    many = batch(np.random.default_rng(1), 500)
    rng = np.random.default_rng(0)
    print(f"{'steps':>5}  {'loss':>7}  running mean           running variance")
    for count in range(101):
        if count % 20 == 0:
            known = f"{norm.running_mean.value.round(1)!s:21}  {norm.running_var.value.round()}"
            print(f"{count:5}  {float(gn.run(g.outputs['loss'], many)):7.3f}  {known}")
        step(batch(rng))

    row = batch(rng, 1)["x"]
    others = batch(rng, 7)["x"]
    alone, among = (gn.run(prediction, {"x": rows})[0, 0] for rows in (row, np.vstack([row, others])))
    print(f"\nin use, a row gives {alone:.4f} alone and {among:.4f} among others")
    trained = gn.trace(g.outputs["loss"], {"x": np.vstack([row, others]), "y": np.zeros((8, 1))})
    print(f"in training, its normalized numbers among these others are {trained['batch_norm_1'].value[0].round(4)}")
    trained = gn.trace(g.outputs["loss"], {"x": np.vstack([row, others[:1]]), "y": np.zeros((2, 1))})
    print(f"and beside one of them alone {trained['batch_norm_1'].value[0].round(4)}")


if __name__ == "__main__":
    main()
