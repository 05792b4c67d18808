"""A convolutional network of pictures."""

import numpy as np

import graphnn as gn
from graphnn import nn


def training(dtype, channels=1, side=28, filters=16, classes=10):
    g = gn.Graph("cnn", dtype)
    x, labels = g.placeholder("x", ("batch", channels, side, side)), g.placeholder("labels", ("batch",), np.int64)
    model = nn.Sequential(
        nn.Conv2D(filters, 3, padding="same"),
        nn.BatchNorm(),
        nn.ReLU(),
        nn.MaxPool2D(2),
        nn.Conv2D(2 * filters, 3, padding="same"),
        nn.BatchNorm(),
        nn.ReLU(),
        nn.MaxPool2D(2),
        nn.Conv2D(2 * filters, 3, padding="same"),
        nn.ReLU(),
        nn.AdaptiveAveragePool2D(1),
        nn.Flatten(),
        nn.Dense(classes),
    )
    loss = nn.softmax_crossentropy(model(x, training=True), labels)
    return model, gn.compile(loss, nn.SGD(0.05, momentum=0.9).updates(loss))
