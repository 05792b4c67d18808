"""Networks out of the graph's operations, and how they learn: layers, losses, metrics, optimizers, and `fit`."""

from typing import NoReturn

from ..errors import near
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

_ELSEWHERE = {
    "BCELoss": "nn.binary_crossentropy(probabilities, labels)",
    "BCEWithLogitsLoss": "nn.sigmoid_crossentropy(logits, labels)",
    "CrossEntropyLoss": "nn.softmax_crossentropy(logits, labels)",
    "Embedding": "gn.take(table, indices, axis=0)",
    "L1Loss": "nn.mean_absolute_error(predicted, true)",
    "Linear": "nn.Dense(units)",
    "MSELoss": "nn.mean_squared_error(predicted, true)",
    "NLLLoss": "nn.categorical_crossentropy(probabilities, labels)",
}


def __getattr__(name: str) -> NoReturn:
    other = _ELSEWHERE.get(name)
    hint = near(name, __all__) if other is None else f" There is {other}."
    raise AttributeError(f'there is no "nn.{name}".{hint}')
