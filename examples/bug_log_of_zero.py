"""A bug to find: training gives NaN, because a probability is rounded to 0 and the loss takes its logarithm."""

import numpy as np

import graphnn as gn
from graphnn import nn


def build(fused=False):
    rng = np.random.default_rng(0)
    g = gn.Graph("hills")
    x = g.placeholder("x", shape=("batch", 2))
    targets = g.placeholder("targets", shape=("batch", 2))
    logits = nn.Sequential(nn.Dense(8, rng=rng), nn.ReLU(), nn.Dense(2, rng=rng))(x)
    if fused:
        loss = nn.softmax_crossentropy(logits, targets)
    else:
        p = nn.Softmax()(logits)
        loss = -gn.mean(gn.sum(targets * gn.log(p), axis=1))
    g.outputs["loss"] = loss
    return gn.compile(loss, updates=nn.SGD(0.5).updates(loss), guard="nan")


rng = np.random.default_rng(0)
X = rng.normal(size=(200, 2)) * [1.0, 20.0]  # one column in metres, one in feet
feed = {"x": X, "targets": np.eye(2)[(X[:, 1] > 0).astype(int)]}


def main():
    step = build()
    try:
        while True:
            print("loss", step(feed))
    except gn.ValueRangeError as error:
        print(error)
        dbg = error.debug()

    place = np.argwhere(np.isnan(dbg["multiply"].value))[0].tolist()
    print(f"\n{dbg.why('multiply', place)}\n{dbg.why('log', place)}\n{dbg.why('softmax_1/exp', place)}")

    print("\nWhat if no probability were below 1e-30?")
    dbg["softmax_1"] = np.maximum(dbg["softmax_1"].value, 1e-30)
    dbg.resume()
    print("loss", dbg["loss"].value, "and NaN in", dbg.recheck("nan"))

    print("\nThe fix: the loss that works on the logits.")
    step = build(fused=True)
    print("loss", *[round(float(step(feed)), 4) for _ in range(6)])
    health = gn.check_health(step, feed)
    print(health)
    assert health.ok


if __name__ == "__main__":
    main()
