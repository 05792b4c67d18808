"""A policy gradient: episodes of many walkers, and a step by what they earned."""

import numpy as np

import graphnn as gn
from graphnn import nn

from .. import World


def training(dtype, units=32):
    g = gn.Graph("policy", dtype)
    seen, returns = g.placeholder("seen", ("moves", World.SEEN)), g.placeholder("returns", ("moves",))
    actions = g.placeholder("actions", ("moves",), np.int64)
    policy = nn.Sequential(nn.Dense(units), nn.Tanh(), nn.Dense(World.MOVES))
    logits = policy(seen)
    loss = gn.mean(nn.softmax_crossentropy(logits, actions, reduction="none") * returns)
    act, learn = gn.compile(gn.softmax(logits)), gn.compile(loss, nn.Adam(1e-2).updates(loss))

    def step(feed):
        world = World(feed["draws"])
        while not world.over:
            world.move(act({seen: world.seen}))
        return learn(dict(zip((seen, actions, returns), world.played(), strict=True)))

    return policy, step
