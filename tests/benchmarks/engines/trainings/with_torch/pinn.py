"""A physics-informed network: Burgers' equation and its values at the start."""

import math

import torch
from torch import nn, optim
from torch.nn import functional


def training(units=32, viscosity=0.01 / math.pi):
    model = nn.Sequential(nn.Linear(2, units), nn.Tanh(), nn.Linear(units, units), nn.Tanh(), nn.Linear(units, 1))
    optimizer = optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def step(t, x, start, known):
        t.requires_grad_()
        x.requires_grad_()
        u = model(torch.cat([t, x], 1))
        u_t, u_x = torch.autograd.grad(u.sum(), (t, x), create_graph=True)
        (u_xx,) = torch.autograd.grad(u_x.sum(), x, create_graph=True)
        loss = (u_t + u * u_x - viscosity * u_xx).square().mean() + functional.mse_loss(model(start), known)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return model, step
