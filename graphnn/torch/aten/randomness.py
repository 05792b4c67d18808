"""What is random: numbers are a pure function of a counter, a seed and a stream, as all of graphnn's are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Node, fn
from .call import cast
from .table import aten

if TYPE_CHECKING:
    from .call import Call


def counter(call: Call) -> Node:
    """Return the counter of a module's random numbers, which a step with updates moves on."""
    graph = call.graph
    known = graph.caches.get("counter of from_torch")
    if known is None:
        with graph.in_scope(None):
            start = graph.parameter(graph.free_name("counter").rpartition("/")[2], np.int64(0), trainable=False)
        known = graph.advances[start, start] = fn.add(start, 1)
        graph.caches["counter of from_torch"] = known
    return known


def uniform(call: Call, shape: Any, dtype: Any) -> Node:
    """Return random numbers from 0 up to 1."""
    return fn.random_uniform(counter(call), tuple(shape), stream=len(call.graph), dtype=dtype)


def normal(call: Call, shape: Any, dtype: Any) -> Node:
    """Return normally distributed random numbers."""
    return fn.random_normal(counter(call), tuple(shape), stream=len(call.graph), dtype=dtype)


def dropped(call: Call, x: Node, rate: float, shape: Any = None) -> Node:
    """Return x with random elements 0 and the others larger; in evaluation it is x."""
    if rate >= 1:
        return x * 0.0
    mask = fn.greater_equal(uniform(call, x.spec.shape if shape is None else shape, x.spec.dtype), rate)
    found = x * cast(mask, x.spec.dtype) / (1.0 - rate)
    call.graph.evaluation[found] = x
    call.reader.dropped.add(found)
    return found


@aten("dropout", "feature_dropout")
def dropout(call: Call, input: Node, p: float, train: bool) -> Node:
    """Return x with random elements 0 and the others larger, in training."""
    if not train or p == 0:
        return input
    if call.op == "feature_dropout":
        return dropped(call, input, p, (*input.spec.shape[:2], *[1] * (input.ndim - 2)))
    return dropped(call, input, p)


@aten("native_dropout")
def native_dropout(call: Call, input: Node, p: float, train: bool | None) -> tuple[Node, Node]:
    """Return x with random elements 0 and the others larger, and which are left."""
    found = dropped(call, input, p) if train is not False and p else input
    return found, fn.not_equal(found, 0)


@aten("alpha_dropout", "feature_alpha_dropout")
def alpha_dropout(call: Call, input: Node, p: float, train: bool) -> Node:
    """Return x as it is, in evaluation."""
    if train and p:
        call.refuse("alpha dropout in training: write module.eval(), or Dropout")
    return input


@aten("rand", "rand_like")
def rand(call: Call, size: Any = None, self: Any = None, dtype: Any = None) -> Node:
    """Return random numbers from 0 up to 1."""
    return uniform(call, size if self is None else self.spec.shape, call.dtype)


@aten("randn", "randn_like")
def randn(call: Call, size: Any = None, self: Any = None, dtype: Any = None) -> Node:
    """Return normally distributed random numbers."""
    return normal(call, size if self is None else self.spec.shape, call.dtype)


@aten("uniform")
def uniform_between(call: Call, self: Node, to: float = 1.0, **bounds: Any) -> Node:
    """Return random numbers of the shape of x."""
    low = bounds.get("from", 0.0)
    return fn.add(uniform(call, self.spec.shape, self.spec.dtype) * (to - low), low)


@aten("normal", "normal_functional")
def normal_with(call: Call, self: Node, mean: float = 0.0, std: float = 1.0) -> Node:
    """Return normally distributed random numbers of the shape of x."""
    return normal(call, self.spec.shape, self.spec.dtype) * std + mean


@aten("randint", "randint_like")
def randint(call: Call, high: int, size: Any = None, low: int = 0, self: Any = None, dtype: Any = None) -> Node:
    """Return random whole numbers."""
    shape = size if self is None else self.spec.shape
    return cast(fn.floor(uniform(call, shape, np.float64) * (high - low)) + low, call.dtype)


@aten("bernoulli", "bernoulli.p")
def bernoulli(call: Call, self: Node, p: Any = None) -> Node:
    """Return 1 with a probability, else 0."""
    chance = self if p is None else p
    return cast(fn.less(uniform(call, self.spec.shape, np.float64), chance), call.dtype)


@aten("exponential")
def exponential(call: Call, self: Node, lambd: float = 1.0) -> Node:
    """Return exponentially distributed random numbers."""
    return -fn.log1p(-uniform(call, self.spec.shape, self.spec.dtype)) / lambd


@aten("multinomial")
def multinomial(call: Call, self: Node, num_samples: int, replacement: bool = False) -> Node:
    """Return places, drawn by weights: the largest of logarithms with noise."""
    if replacement and num_samples > 1:
        shape = (*self.spec.shape[:-1], num_samples, self.spec.shape[-1])
        noise = -fn.log(-fn.log(uniform(call, shape, np.float64)))
        return fn.argmax(fn.expand_dims(fn.log(cast(self, np.float64)), -2) + noise, axis=-1)
    noise = -fn.log(-fn.log(uniform(call, self.spec.shape, np.float64)))
    return fn.topk(fn.log(cast(self, np.float64)) + noise, num_samples, axis=-1)[1]
