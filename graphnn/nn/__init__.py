"""Layers, losses, metrics and initializers: networks out of the graph's operations."""

from . import init
from .layers import (
    ELU,
    Dense,
    Flatten,
    Layer,
    LeakyReLU,
    PReLU,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
)
from .losses import (
    binary_crossentropy,
    categorical_crossentropy,
    l2,
    mean_absolute_error,
    mean_squared_error,
    sigmoid_crossentropy,
    softmax_crossentropy,
)
from .metrics import accuracy, confusion_matrix, f1, precision, recall

__all__ = [
    "ELU",
    "Dense",
    "Flatten",
    "Layer",
    "LeakyReLU",
    "PReLU",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "accuracy",
    "binary_crossentropy",
    "categorical_crossentropy",
    "confusion_matrix",
    "f1",
    "init",
    "l2",
    "mean_absolute_error",
    "mean_squared_error",
    "precision",
    "recall",
    "sigmoid_crossentropy",
    "softmax_crossentropy",
]
