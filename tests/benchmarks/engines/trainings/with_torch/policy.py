"""A policy gradient: episodes of many walkers, and a step by what they earned."""

import torch
from torch import nn, optim
from torch.nn import functional

from .. import World


def training(units=32):
    policy = nn.Sequential(nn.Linear(World.SEEN, units), nn.Tanh(), nn.Linear(units, World.MOVES))
    optimizer = optim.Adam(policy.parameters(), lr=1e-2, fused=True)

    def step(draws):
        world = World(draws)
        while not world.over:
            with torch.no_grad():
                world.move(policy(torch.from_numpy(world.seen)).softmax(1).numpy())
        seen, actions, returns = map(torch.from_numpy, world.played())
        loss = (functional.cross_entropy(policy(seen), actions, reduction="none") * returns).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return policy, step
