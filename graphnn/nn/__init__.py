"""Networks out of the graph's operations, and how they learn: layers, losses, metrics, optimizers, and `fit`."""

from typing import NoReturn

from ..calls import offer as _offer
from ..graph import fn
from ..habits import instead
from . import init, schedules
from .dropout import Dropout
from .fit import EarlyStopping, evaluate, fit
from .history import History
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
from .optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSProp

__all__ = [
    "Adagrad",
    "Adam",
    "AdamW",
    "Dense",
    "Dropout",
    "ELU",
    "EarlyStopping",
    "Flatten",
    "History",
    "Layer",
    "LeakyReLU",
    "Optimizer",
    "PReLU",
    "RMSProp",
    "ReLU",
    "SGD",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "accuracy",
    "binary_crossentropy",
    "categorical_crossentropy",
    "confusion_matrix",
    "evaluate",
    "f1",
    "fit",
    "init",
    "l2",
    "mean_absolute_error",
    "mean_squared_error",
    "precision",
    "recall",
    "schedules",
    "sigmoid_crossentropy",
    "softmax_crossentropy",
]
_offer(globals(), __all__)
_offer(vars(schedules))


def __getattr__(name: str) -> NoReturn:
    hint = f" Write gn.{name}." if name in dir(fn) else instead("nn", name, __all__)
    raise AttributeError(f'there is no "nn.{name}".{hint}')
