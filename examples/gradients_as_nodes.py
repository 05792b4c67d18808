"""Gradients are nodes of the same graph: run them, inspect them, differentiate them again."""

import numpy as np

import graphnn as gn
from graphnn import nn

# --- a function of one variable, and its derivatives -------------------------------------------------------------

g = gn.Graph("wave")
t = g.placeholder("t")
derivatives = [gn.exp(-t) * gn.sin(t)]
for _ in range(4):
    derivatives.append(gn.grad(derivatives[-1], t))
values = gn.run(derivatives, {t: 0.7})
print("exp(-t) sin(t) and four derivatives at 0.7:")
print("  graph  ", np.array(values).round(6))
wave = np.exp(-0.7) * np.array([np.sin(0.7), np.cos(0.7) - np.sin(0.7), -2 * np.cos(0.7)])
print("  by hand", wave.round(6), "…")
print("  the fourth is -4 times the function:", np.isclose(values[4], -4 * values[0]))

# --- a network ---------------------------------------------------------------------------------------------------

g = gn.Graph("network")
x = g.placeholder("x", shape=("batch", 2))
y = g.placeholder("y", shape=("batch", 1))
network = nn.Sequential(nn.Dense(5), nn.Tanh(), nn.Dense(1))
loss = nn.mean_squared_error(network(x), y)
weight = g["dense_1/weight"]
gradient = gn.grad(loss, weight)

rng = np.random.default_rng(0)
points = rng.normal(size=(20, 2))
feed = {x: points, y: points[:, :1] * points[:, 1:]}

print("\nthe backward pass, step by step; each node knows the forward node that it was made for:")
for step in gn.steps(gradient, feed):
    if step.node.phase == "backward":
        print(f"  {step.node.name:38} {step.value.shape!s:8} for {step.node.twin.name}")

# --- the Hessian times a vector, without the Hessian ---------------------------------------------------------------

v = rng.normal(size=weight.shape)
product = gn.grad(gn.sum(gradient * v), weight)  # reverse over reverse
forwards = gn.jvp(gradient, {weight: v})  # forward over reverse: the same
twice, once = gn.run([product, forwards], feed)

start, h = weight.value, 1e-5
ends = []
for sign in (1, -1):
    weight.value = start + sign * h * v
    ends.append(gn.run(gradient, feed))
weight.value = start
print("\nHessian times v, three ways:")
print("  reverse over reverse", twice.ravel()[:4].round(6))
print("  forward over reverse", once.ravel()[:4].round(6))
print("  finite differences  ", ((ends[0] - ends[1]) / (2 * h)).ravel()[:4].round(6))

report = gn.testing.check_grads(loss, feed, wrt=[weight], order=2)
print(f"\ncheck_grads: {report.checked} derivatives right to second order, {report.left_out} left out at kinks")
