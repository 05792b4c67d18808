"""Two networks against each other, each with an optimizer of its own."""

import graphnn as gn
from graphnn import nn


def training(dtype, inputs=32, noises=16, units=128):
    g = gn.Graph("gan", dtype)
    real, noise = g.placeholder("real", ("batch", inputs)), g.placeholder("noise", ("batch", noises))
    maker = nn.Sequential(nn.Dense(units), nn.ReLU(), nn.Dense(inputs))
    judge = nn.Sequential(nn.Dense(units), nn.LeakyReLU(0.2), nn.Dense(1))

    made, told = maker(noise), nn.sigmoid_crossentropy
    of_real, of_made = judge(real), judge(made)
    judged = told(of_real, gn.ones_like(of_real)) + told(of_made, gn.zeros_like(of_made))
    fooled = told(of_made, gn.ones_like(of_made))
    judge_step = gn.compile(judged, nn.Adam(2e-4, beta1=0.5).updates(judged, judge.parameters))
    maker_step = gn.compile(fooled, nn.Adam(2e-4, beta1=0.5).updates(fooled, maker.parameters))

    def step(feed):
        return judge_step({real: feed["real"], noise: feed["noise"]}) + maker_step({noise: feed["more_noise"]})

    return (maker, judge), step
