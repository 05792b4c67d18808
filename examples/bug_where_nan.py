"""A bug to find: a `where` chooses the right values, but the gradient is NaN."""

import numpy as np

import graphnn as gn


def build(masked=False):
    g = gn.Graph("counts")
    counts = g.placeholder("counts", shape=("batch", 3))
    scale = g.parameter("scale", np.ones(3))
    x = counts * scale
    seen = gn.where(x > 0, x, 1.0) if masked else x
    logs = gn.where(x > 0, gn.log(seen), 0.0)
    g.outputs["loss"] = loss = gn.mean(gn.square(gn.sum(logs, axis=1) - 1.0))
    g.outputs["slope"] = gn.grad(loss, scale)
    return dict(g.outputs)


feed = {"counts": [[3.0, 1.0, 2.0], [5.0, 0.0, 1.0]]}


def main():
    fetches = build()
    print(gn.run(fetches, feed))

    health = gn.check_health(fetches, feed)
    found = health.first
    print(f"\n{health}\n\n{gn.trace(fetches, feed).why(found.node, found.index)}")

    print("\nThe fix: a second where, inside, so that the logarithm never sees the 0.")
    mended = build(masked=True)
    print(gn.run(mended, feed))
    health = gn.check_health(mended, feed)
    print(health)
    assert health.ok


if __name__ == "__main__":
    main()
