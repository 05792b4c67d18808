"""A solver of differential equations as a loop, and its adjoint: the loop that goes back.

python examples/lesson_ode.py

docs/lesson-ode.md explains it.
"""

import numpy as np

import graphnn as gn
from graphnn import nn

STEPS, END = 200, 10.0


def slope(rates, y):
    """Return how hares and lynxes change: births, meals, births by meals, deaths."""
    hares, lynxes = y[..., :1], y[..., 1:]
    births, meals, gains, deaths = (rates[i] for i in range(4))
    return gn.concatenate([births * hares - meals * hares * lynxes, gains * hares * lynxes - deaths * lynxes], axis=-1)


def step(f, y, h):
    """Return y after a step of Runge and Kutta."""
    k1 = f(y)
    k2 = f(y + k1 * (h / 2))
    k3 = f(y + k2 * (h / 2))
    k4 = f(y + k3 * h)
    return y + (k1 + 2.0 * k2 + 2.0 * k3 + k4) * (h / 6)


def solved(rates, y0, steps=STEPS):
    """Return the last state, and those after each step."""
    return gn.scan(lambda y: step(lambda at: slope(rates, at), y, END / steps), y0, length=steps)


def adjoint(rates, last, cotangent, steps=STEPS):
    """Return the cotangents of y0 and of the rates: of the equation, solved backwards as an equation itself."""

    def f(state):
        y, a, _ = state
        own = gn.stop_gradient(rates)  # for y depends on the rates, too
        dy = slope(own, y)
        back, into_rates = gn.vjp({dy: a}, [y, own])
        return [-dy, back, into_rates]

    def back(state):
        h = END / steps

        def moved(by, slopes):
            return [x + k * by for x, k in zip(state, slopes, strict=True)]

        k1 = f(state)
        k2 = f(moved(h / 2, k1))
        k3 = f(moved(h / 2, k2))
        k4 = f(moved(h, k3))
        parts = zip(state, k1, k2, k3, k4, strict=True)
        return [x + (a + 2.0 * b + 2.0 * c + d) * (h / 6) for x, a, b, c, d in parts]

    (_, of_start, of_rates), path = gn.scan(back, [last, cotangent, gn.zeros_like(rates)], length=steps)
    return of_start, of_rates, path[1]


def build(steps=STEPS):
    g = gn.Graph("hares and lynxes")
    rates = g.parameter("rates", [0.8, 0.4, 0.3, 0.7])
    y0 = g.placeholder("y0", (2,))
    seen = g.placeholder("seen", (steps, 2))
    last, path = solved(rates, y0, steps)
    g.outputs["path"] = path
    g.outputs["loss"] = gn.mean((path - seen) ** 2.0)
    g.outputs["last"] = last
    return g


TRUE, START = np.array([1.1, 0.4, 0.1, 0.4]), np.array([10.0, 5.0])


def measured(rng, steps=STEPS):
    """Return the course by the true rates, with noise."""
    g = build(steps)
    g["rates"].value = TRUE
    path = gn.run(g.outputs["path"], {"y0": START, "seen": np.zeros((steps, 2))})
    return path + rng.normal(size=path.shape) * 0.3


def main():
    g = build()
    feed = {"y0": START, "seen": measured(np.random.default_rng(0))}
    loss = g.outputs["loss"]
    fit = gn.compile(loss, nn.Adam(0.02).updates(loss))
    for count in range(601):
        error = fit(feed)
        if count % 100 == 0:
            print(f"{count:4}: {float(error):9.4f}  rates {g['rates'].value.round(3)}")
    for steps in (50, 100, 200):
        g = gn.Graph()
        rates, y0 = g.parameter("rates", TRUE), g.parameter("y0", START)
        last, _ = solved(rates, y0, steps)
        through = gn.grad(gn.sum(last), [y0, rates])
        found = adjoint(rates, last, gn.ones_like(last), steps)[:2]
        off = [np.abs(a - b).max() for a, b in zip(*gn.compile([through, found])(), strict=True)]
        print(f"{steps} steps: adjoint and gradient of the solver differ by {max(off):.1e}")


if __name__ == "__main__":
    main()
