"""The step in graphnn: node by node, as a plan, as a native plan, and with the loss that clips probabilities."""

from __future__ import annotations

import os

import numpy as np

import graphnn as gn
from graphnn import nn

from . import Problem, Training


def interpreted(problem: Problem) -> Training:
    """Return the step evaluated node by node."""
    return _training(problem, "interpreter")


def planned(problem: Problem) -> Training:
    """Return the step as a plan."""
    return _training(problem, "numpy")


def clipped(problem: Problem) -> Training:
    """Return the plan of another loss: the clipped cross-entropy of a softmax layer's probabilities."""
    return _training(problem, "numpy", clip=True)


def native(problem: Problem) -> Training:
    """Return the step as a native plan."""
    return _training(problem, "native")


def native_clipped(problem: Problem) -> Training:
    """Return the native plan of the clipped loss."""
    return _training(problem, "native", clip=True)


def _training(problem: Problem, backend: str, clip: bool = False) -> Training:
    X, y = problem.X, problem.labels
    g = gn.Graph("training step", dtype=X.dtype)
    x = g.placeholder("x", shape=("batch", X.shape[1]))
    labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
    first = nn.Dense(len(problem.bias1), weight=problem.weight1, bias=problem.bias1)
    second = nn.Dense(len(problem.bias2), weight=problem.weight2, bias=problem.bias2)
    network = nn.Sequential(first, nn.ReLU(), second)
    if clip:
        loss = nn.categorical_crossentropy(nn.Softmax()(network(x)), labels)
    else:
        loss = nn.softmax_crossentropy(network(x), labels)
    threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    compiled = gn.compile(loss, updates=nn.SGD(problem.rate).updates(loss), backend=backend, threads=threads)

    def step() -> float:
        return float(compiled({x: X, labels: y}))

    return Training(step, lambda: [parameter.value for parameter in network.parameters])
