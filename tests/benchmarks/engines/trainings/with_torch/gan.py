"""Two networks against each other, each with an optimizer of its own."""

import torch
from torch import nn, optim
from torch.nn import functional


def training(inputs=32, noises=16, units=128):
    maker = nn.Sequential(nn.Linear(noises, units), nn.ReLU(), nn.Linear(units, inputs))
    judge = nn.Sequential(nn.Linear(inputs, units), nn.LeakyReLU(0.2), nn.Linear(units, 1))
    of_maker = optim.Adam(maker.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)
    of_judge = optim.Adam(judge.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)

    told = functional.binary_cross_entropy_with_logits

    def step(real, noise, more_noise):
        of_real, of_made = judge(real), judge(maker(noise).detach())
        judged = told(of_real, torch.ones_like(of_real)) + told(of_made, torch.zeros_like(of_made))
        of_judge.zero_grad()
        judged.backward()
        of_judge.step()
        of_made = judge(maker(more_noise))
        fooled = told(of_made, torch.ones_like(of_made))
        of_maker.zero_grad()
        fooled.backward()
        of_maker.step()
        return judged + fooled

    return (maker, judge), step
