"""A physics-informed network: Burgers' equation and its values at the start."""

import math

import graphnn as gn
from graphnn import nn


def training(dtype, units=32, viscosity=0.01 / math.pi):
    g = gn.Graph("pinn", dtype)
    t, x = g.placeholder("t", ("points", 1)), g.placeholder("x", ("points", 1))
    start, known = g.placeholder("start", ("edge", 2)), g.placeholder("known", ("edge", 1))
    model = nn.Sequential(nn.Dense(units), nn.Tanh(), nn.Dense(units), nn.Tanh(), nn.Dense(1))
    u = model(gn.concatenate([t, x], 1))
    u_t, u_x = gn.grad(gn.sum(u), (t, x))
    u_xx = gn.grad(gn.sum(u_x), x)
    loss = gn.mean(gn.square(u_t + u * u_x - viscosity * u_xx)) + nn.mean_squared_error(model(start), known)
    return model, gn.compile(loss, nn.Adam(1e-3).updates(loss))
