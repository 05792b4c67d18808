"""Losses by labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...core import Node, fn
from ...ops.softmax import log_softmax_nodes
from ..rule_registry import rule

if TYPE_CHECKING:
    from ..onnx_node import Call


@rule("NegativeLogLikelihoodLoss")
def nll_loss(
    call: Call,
    x: Node,
    target: Node,
    weight: Node | None = None,
    *,
    ignore_index: int | None = None,
    reduction: Literal["none", "sum", "mean"] = "mean",
) -> Any:
    """Return minus the logarithms of probabilities that labels pick from axis 1, weighted by the labels' weights."""
    return _loss(call, x, target, weight, ignore_index, reduction)


@rule("SoftmaxCrossEntropyLoss")
def cross_entropy(
    call: Call,
    scores: Node,
    labels: Node,
    weights: Node | None = None,
    *,
    ignore_index: int | None = None,
    reduction: Literal["none", "sum", "mean"] = "mean",
) -> Any:
    """Return the loss of the log-softmax along axis 1, and the log-softmax."""
    logs = log_softmax_nodes(scores, 1)
    return _loss(call, logs, labels, weights, ignore_index, reduction), logs


def _loss(call: Call, x: Node, labels: Node, weight: Node | None, ignored: int | None, reduction: str) -> Node:
    kept = None
    if ignored is not None:
        kept = fn.not_equal(labels, call.node(np.array(ignored, labels.spec.dtype)))
        labels = fn.where(kept, labels, call.node(np.zeros((), labels.spec.dtype)))
    loss = -fn.pick(fn.moveaxis(x, 1, -1) if x.ndim > 2 else x, labels)
    factor = None if weight is None else fn.take(weight, labels)
    if kept is not None:
        ones = fn.cast(kept, x.spec.dtype)
        factor = ones if factor is None else factor * ones
    loss = loss if factor is None else loss * factor
    if reduction == "none":
        return loss
    if reduction == "sum" or factor is not None:
        total = fn.sum(loss)
        return total if reduction == "sum" else total / fn.sum(factor)
    return fn.mean(loss)
