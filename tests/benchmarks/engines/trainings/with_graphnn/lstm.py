"""An LSTM that labels each step of a sequence, with clipped gradients."""

import numpy as np

import graphnn as gn
from graphnn import nn


class Tagger(nn.Layer):
    def __init__(self, units, classes):
        self.lstm = nn.LSTM(units)
        self.logits = nn.Dense(classes)

    def call(self, x):
        return self.logits(self.lstm(x))


def training(dtype, length=32, inputs=8, units=32, classes=10):
    g = gn.Graph("lstm", dtype)
    x = g.placeholder("x", ("batch", length, inputs))
    labels = g.placeholder("labels", ("batch", length), np.int64)
    model = Tagger(units, classes)
    loss = nn.softmax_crossentropy(model(x), labels)
    return model, gn.compile(loss, nn.Adam(1e-3, clip_norm=1.0).updates(loss))
