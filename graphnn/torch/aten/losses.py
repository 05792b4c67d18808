"""Losses, each with its reduction: 0 none, 1 the mean, 2 the sum."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Node, fn, is_float
from .call import cast
from .table import aten

if TYPE_CHECKING:
    from .call import Call


_SMALL = float(np.float32(1e-12))


def reduced(x: Node, reduction: int) -> Node:
    """Return the elements, their mean, or their sum."""
    return x if reduction == 0 else fn.mean(x) if reduction == 1 else fn.sum(x)


@aten("mse_loss")
def mse_loss(call: Call, self: Node, target: Node, reduction: int = 1) -> Node:
    """Return squares of differences."""
    a, b = call.as_result(self, target)
    return reduced(fn.square(a - b), reduction)


@aten("l1_loss")
def l1_loss(call: Call, self: Node, target: Node, reduction: int = 1) -> Node:
    """Return absolute differences."""
    a, b = call.as_result(self, target)
    return reduced(fn.abs(a - b), reduction)


@aten("smooth_l1_loss")
def smooth_l1_loss(call: Call, self: Node, target: Node, reduction: int = 1, beta: float = 1.0) -> Node:
    """Return half squares of small differences over beta, and large ones less half of beta."""
    a, b = call.as_result(self, target)
    if beta == 0:
        return reduced(fn.abs(a - b), reduction)
    apart = fn.abs(a - b)
    return reduced(fn.where(fn.less(apart, beta), fn.square(a - b) * (0.5 / beta), apart - 0.5 * beta), reduction)


@aten("huber_loss")
def huber_loss(call: Call, self: Node, target: Node, reduction: int = 1, delta: float = 1.0) -> Node:
    """Return half squares of small differences, and large ones times delta."""
    a, b = call.as_result(self, target)
    apart = fn.abs(a - b)
    found = fn.where(fn.less_equal(apart, delta), fn.square(a - b) * 0.5, (apart - 0.5 * delta) * delta)
    return reduced(found, reduction)


@aten("binary_cross_entropy")
def binary_cross_entropy(call: Call, self: Node, target: Node, weight: Node | None = None, reduction: int = 1) -> Node:
    """Return -t log(p) - (1 - t) log(1 - p); the logarithms are -100 or more."""
    p, t = call.as_result(self, target)
    # At 0 and 1, PyTorch divides by a small number instead of by p (1 - p).
    small = fn.less(p * (1 - p), _SMALL)
    inside = fn.where(small, 0.5, p)
    found = (t - 1) * fn.log1p(-inside) - t * fn.log(inside)
    still, there = fn.stop_gradient(p), fn.stop_gradient(t)
    outside = (t - 1) * fn.maximum(fn.log1p(-still), -100.0) - t * fn.maximum(fn.log(still), -100.0)
    found = fn.where(small, outside + (p - still) * ((still - there) / _SMALL), found)
    return reduced(found if weight is None else found * weight, reduction)


@aten("binary_cross_entropy_with_logits")
def binary_cross_entropy_with_logits(
    call: Call,
    self: Node,
    target: Node,
    weight: Node | None = None,
    pos_weight: Node | None = None,
    reduction: int = 1,
) -> Node:
    """Return the cross-entropy of σ(x), without overflow."""
    x, t = call.as_result(self, target)
    if pos_weight is None:
        found = (1 - t) * x + fn.softplus(-x)
    else:
        found = (1 - t) * x + (1 + (pos_weight - 1) * t) * fn.softplus(-x)
    return reduced(found if weight is None else found * weight, reduction)


@aten("nll_loss", "nll_loss2d", "nll_loss_nd")
def nll_loss(
    call: Call, self: Node, target: Node, weight: Node | None = None, reduction: int = 1, ignore_index: int = -100
) -> Node:
    """Return minus the logarithm at each label, weighed by its class; labels to ignore count for nothing."""
    return _nll(call, self, target, weight, reduction, ignore_index)


@aten("nll_loss_forward", "nll_loss2d_forward")
def nll_loss_forward(
    call: Call, self: Node, target: Node, weight: Node | None, reduction: int, ignore_index: int
) -> tuple[Node, Node | None]:
    """Return the loss of `nll_loss`, and the sum of the weights."""
    loss = _nll(call, self, target, weight, reduction, ignore_index)
    if not call.wanted(1):
        return loss, None
    if reduction == 0:
        return loss, call.node(0, self.spec.dtype)
    return loss, fn.sum(_shares(self, target, weight, ignore_index)[0])


def _shares(x: Node, target: Node, weight: Node | None, ignored: int) -> tuple[Node, Node, Node]:
    """Return the weight of each label, labels with 0 for those to ignore, and which count."""
    counts = fn.not_equal(target, ignored)
    label = fn.where(counts, target, 0)
    share = cast(counts, x.spec.dtype) if weight is None else fn.where(counts, fn.take(weight, label, axis=0), 0.0)
    return share, label, counts


def _nll(call: Call, x: Node, target: Node, weight: Node | None, reduction: int, ignored: int) -> Node:
    axis = 1 if x.ndim > 1 else 0
    share, label, counts = _shares(x, target, weight, ignored)
    found = -fn.squeeze(fn.take_along_axis(x, fn.expand_dims(label, axis), axis=axis), axis)
    each = fn.where(counts, found if weight is None else found * share, 0.0)
    if reduction == 0:
        return each
    return fn.sum(each) / fn.sum(share) if reduction == 1 else fn.sum(each)


@aten("cross_entropy_loss")
def cross_entropy_loss(
    call: Call,
    self: Node,
    target: Node,
    weight: Node | None = None,
    reduction: int = 1,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Node:
    """Return the cross-entropy of the softmax of x: of labels, or of shares of the classes."""
    axis = 1 if self.ndim > 1 else 0
    logs = fn.log_softmax(self, axis=axis)
    shape = (-1, *[1] * (self.ndim - axis - 1))
    if is_float(target.spec.dtype):
        classes = self.spec.shape[axis]
        shares = target
        if label_smoothing:
            even = label_smoothing / classes if isinstance(classes, int) else None
            if even is None:
                call.refuse("label smoothing over classes whose number has a name: leave the size out of dims=")
            shares = target * (1 - label_smoothing) + even
        each = logs * shares
        each = each if weight is None else each * fn.reshape(weight, shape)
        found = -fn.sum(each, axis=axis)
        if reduction == 1:
            return fn.divide(fn.sum(found), _rows(call, found))
        return found if reduction == 0 else fn.sum(found)
    plain = _nll(call, logs, target, weight, reduction, ignore_index)
    if not label_smoothing:
        return plain
    counts = fn.not_equal(target, ignore_index)
    all_logs = logs if weight is None else logs * fn.reshape(weight, shape)
    smooth = fn.where(counts, -fn.sum(all_logs, axis=axis), 0.0)
    if reduction == 1:
        if weight is None:
            whole = fn.sum(cast(counts, self.spec.dtype))
        else:
            whole = fn.sum(fn.where(counts, fn.take(weight, fn.where(counts, target, 0), axis=0), 0.0))
        smooth = fn.sum(smooth) / whole
    elif reduction == 2:
        smooth = fn.sum(smooth)
    classes = self.spec.shape[axis]
    if not isinstance(classes, int):
        call.refuse("label smoothing over classes whose number has a name: leave the size out of dims=")
    return plain * (1 - label_smoothing) + smooth * (label_smoothing / classes)


def _rows(call: Call, x: Node) -> Any:
    """Return how many elements there are."""
    return fn.sum(fn.ones_like(x))


@aten("kl_div")
def kl_div(call: Call, self: Node, target: Node, reduction: int = 1, log_target: bool = False) -> Node:
    """Return t (log(t) - x), which is 0 where t is."""
    x, t = call.as_result(self, target)
    if log_target:
        return reduced(fn.exp(t) * (t - x), reduction)
    zero = fn.equal(t, 0)
    logs = fn.where(zero, 0.0, t * fn.log(fn.where(zero, 1.0, t)))
    return reduced(logs - t * x, reduction)


@aten("poisson_nll_loss")
def poisson_nll_loss(
    call: Call, input: Node, target: Node, log_input: bool, full: bool, eps: float, reduction: int
) -> Node:
    """Return the loss of counts that are Poisson distributed."""
    found = fn.exp(input) - target * input if log_input else input - target * fn.log(input + eps)
    if full:
        above = fn.greater(target, 1)
        t = fn.where(above, target, 1.0)
        stirling = t * fn.log(t) - t + 0.5 * fn.log(2 * math.pi * t)
        found = found + fn.where(above, stirling, 0.0)
    return reduced(found, reduction)


@aten("soft_margin_loss")
def soft_margin_loss(call: Call, self: Node, target: Node, reduction: int = 1) -> Node:
    """Return log(1 + exp(-t x))."""
    return reduced(fn.log1p(fn.exp(-target * self)), reduction)


@aten("hinge_embedding_loss")
def hinge_embedding_loss(call: Call, self: Node, target: Node, margin: float = 1.0, reduction: int = 1) -> Node:
    """Return x where t is 1, and how much it is below a margin where t is -1."""
    below = fn.clip(margin - self, 0.0)  # on the bound, its gradient passes
    found = fn.where(fn.equal(target, 1), 0.0, below) + fn.where(fn.equal(target, -1), 0.0, self)
    return reduced(found, reduction)


@aten("margin_ranking_loss")
def margin_ranking_loss(
    call: Call, input1: Node, input2: Node, target: Node, margin: float = 0.0, reduction: int = 1
) -> Node:
    """Return by how much two numbers are in the wrong order."""
    found = -target * (input1 - input2) + margin
    return reduced(fn.clip(found, 0.0), reduction)


@aten("cosine_embedding_loss")
def cosine_embedding_loss(
    call: Call, input1: Node, input2: Node, target: Node, margin: float = 0.0, reduction: int = 1
) -> Node:
    """Return 1 - cos of what belongs together, and by how much others are nearer than a margin."""
    axis = input1.ndim - 1 if input1.ndim > 1 else 0
    eps = 1e-12
    both = fn.sum(input1 * input2, axis=axis)
    sizes = (fn.sum(fn.square(input1), axis=axis) + eps) * (fn.sum(fn.square(input2), axis=axis) + eps)
    cosine = both / fn.sqrt(sizes)
    found = fn.where(
        fn.equal(target, 1), 1 - cosine, fn.where(fn.equal(target, -1), fn.clip(cosine - margin, 0.0), 0.0)
    )
    return reduced(found, reduction)


@aten("triplet_margin_loss")
def triplet_margin_loss(
    call: Call,
    anchor: Node,
    positive: Node,
    negative: Node,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: int = 1,
) -> Node:
    """Return by how much a wrong example is not farther than a right one by a margin."""
    right, wrong = (pairwise_distance(call, anchor, each, p, eps) for each in (positive, negative))
    if swap:
        wrong = fn.minimum(wrong, pairwise_distance(call, positive, negative, p, eps))
    return reduced(fn.clip(right - wrong + margin, 0.0), reduction)


@aten("pairwise_distance")
def pairwise_distance(call: Call, x1: Node, x2: Node, p: float = 2, eps: float = 1e-6, keepdim: bool = False) -> Node:
    """Return the norms of differences, to which a little is added."""
    apart = x1 - x2 + eps
    if p == np.inf:
        return fn.max(fn.abs(apart), axis=-1, keepdims=keepdim)
    return fn.norm(apart, p, axis=-1, keepdims=keepdim)


@aten("multilabel_margin_loss")
def multilabel_margin_loss(call: Call, self: Node, target: Node, reduction: int = 1) -> Node:
    """Return by how much other classes are not below the labels by 1; labels end where one is -1."""
    x, labels = (each if each.ndim > 1 else fn.expand_dims(each, 0) for each in (self, target))
    classes = x.spec.shape[-1]
    if not isinstance(classes, int):
        call.refuse("labels of classes whose number has a name: leave the size out of dims=")
    counts = fn.equal(fn.cumsum(cast(fn.less(labels, 0), np.int64), axis=-1), 0)
    labels = fn.where(counts, labels, 0)
    known = fn.any(
        fn.equal(fn.expand_dims(labels, -1), fn.arange(classes, graph=call.graph)) & fn.expand_dims(counts, -1), axis=-2
    )
    own = fn.take_along_axis(x, labels, axis=-1)
    below = fn.relu(1 - fn.expand_dims(own, -1) + fn.expand_dims(x, -2))
    asked = fn.expand_dims(counts, -1) & fn.logical_not(fn.expand_dims(known, -2))
    found = fn.sum(fn.where(asked, below, 0.0), axis=(-2, -1)) / classes
    return reduced(found if self.ndim > 1 or reduction else fn.squeeze(found, 0), reduction)
