"""The derivatives in graphnn: node by node, as plans, and as native plans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import graphnn as gn
from graphnn import nn

from . import Function, training

if TYPE_CHECKING:
    from .. import Training


def interpreted(function: Function) -> Training:
    """Return the derivatives evaluated node by node."""
    return _compiled(function, "interpreter")


def planned(function: Function) -> Training:
    """Return the derivatives as a plan."""
    return _compiled(function, "numpy")


def native(function: Function) -> Training:
    """Return the derivatives as a native plan."""
    return _compiled(function, "native")


def _compiled(function: Function, backend: str) -> Training:
    g = gn.Graph(dtype=function.x.dtype)
    weights = [g.parameter(f"w{i}", each) for i, each in enumerate(function.parameters)]
    x = g.placeholder("x", function.x.shape)
    feed = {x: function.x}
    found: Any
    if function.kind == "input":
        found = [gn.jacobian(_logits(x, weights), x)]
    elif function.kind == "weights":
        found = gn.jacobian(_logits(x, weights), weights)
    elif function.kind == "hessian":
        labels = g.placeholder("labels", function.labels.shape, "int64")
        feed[labels] = function.labels
        loss = nn.softmax_crossentropy(_logits(x, weights), labels)
        found = [block for row in gn.hessian(loss, weights) for block in row]
    elif function.kind == "samples":
        labels = g.placeholder("labels", function.labels.shape, "int64")
        feed[labels] = function.labels

        def of_one(row: gn.Node, label: gn.Node) -> list[gn.Node]:
            logits = _logits(gn.expand_dims(row, 0), weights)
            return gn.grad(nn.softmax_crossentropy(logits, gn.expand_dims(label, 0)), weights)

        found = gn.vmap(of_one)(x, labels)
    else:
        found = [gn.jacobian(gn.conv(x, *weights), weights[0])]
    step = gn.compile(found, backend=backend)
    return training(lambda: step(feed))


def _logits(x: gn.Node, weights: list[gn.Node]) -> gn.Node:
    for i in range(0, len(weights), 2):
        x = (gn.tanh(x) if i else x) @ weights[i] + weights[i + 1]
    return x
