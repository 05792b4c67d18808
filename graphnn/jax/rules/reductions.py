"""Rules of what reduces axes, or runs along one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..library import jnp
from .registry import rule


@rule("sum", "prod", "max", "min", "mean", "logsumexp", casts="result")
def _reduction(op: Any, x: Any) -> Any:
    axes = op.over(x.ndim)
    if op.name == "logsumexp":
        return _logsumexp(x, axes, op.keepdims)
    if op.name == "mean" and not math.prod(x.shape[axis] for axis in axes):
        return jnp.full(jnp.sum(x, axes, keepdims=op.keepdims).shape, np.nan, x.dtype)
    return getattr(jnp, op.name)(x, axes, keepdims=op.keepdims)


def _logsumexp(x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    largest = jnp.max(x, axes, keepdims=True, initial=-np.inf)
    shift = jnp.where(jnp.isfinite(largest), largest, 0)
    found = jnp.log(jnp.sum(jnp.exp(x - shift), axes, keepdims=True)) + shift
    return found if keepdims else jnp.squeeze(found, axes)


@rule("var", "std", casts="result")
def _spread(op: Any, x: Any) -> Any:
    axes = op.over(x.ndim)
    count = math.prod(x.shape[axis] for axis in axes)
    if count <= op.ddof:
        return jnp.full(jnp.sum(x, axes, keepdims=op.keepdims).shape, np.nan, x.dtype)
    return getattr(jnp, op.name)(x, axes, keepdims=op.keepdims, ddof=op.ddof)


@rule("any", "all")
def _verdict(op: Any, x: Any) -> Any:
    return getattr(jnp, op.name)(x.astype(bool), op.over(x.ndim), keepdims=op.keepdims)


@rule("argmax", "argmin")
def _position(op: Any, x: Any) -> Any:
    if not x.size:
        return jnp.zeros(jnp.any(x, op.axis, keepdims=op.keepdims).shape, np.intp)
    return getattr(jnp, op.name)(x, op.axis, keepdims=op.keepdims)


@rule("norm", casts="result")
def _norm(op: Any, x: Any) -> Any:
    axes, size = op.over(x.ndim), jnp.abs(x)
    if op.ord in (None, 2):
        return jnp.sqrt(jnp.sum(x * x, axes, keepdims=op.keepdims))
    if op.ord in (math.inf, -math.inf):
        return (jnp.max if op.ord > 0 else jnp.min)(size, axes, keepdims=op.keepdims)
    if op.ord == 1:
        return jnp.sum(size, axes, keepdims=op.keepdims)
    return jnp.sum(size**op.ord, axes, keepdims=op.keepdims) ** (1 / op.ord)


@rule("prod_others", casts="result")
def _prod_others(op: Any, x: Any) -> Any:
    x = jnp.moveaxis(x, op.axis, -1)
    one = jnp.ones((*x.shape[:-1], min(x.shape[-1], 1)), x.dtype)
    before = jnp.cumprod(jnp.concatenate([one, x[..., :-1]], -1), -1)
    after = jnp.cumprod(jnp.concatenate([one, x[..., :0:-1]], -1), -1)[..., ::-1]
    return jnp.moveaxis(before * after, -1, op.axis)


@rule("first_occurrence")
def _first_occurrence(op: Any, x: Any, y: Any) -> Any:
    axes = op.over(x.ndim)
    equal = jnp.moveaxis((x == y) | ((x != x) & (y != y)), axes, range(len(axes)))
    rows = equal.reshape((math.prod(equal.shape[: len(axes)]), -1) if equal.size else equal.shape)
    if not equal.size:
        return jnp.zeros(x.shape, bool)
    first = rows & (jnp.cumsum(rows, 0) == 1)
    return jnp.moveaxis(first.reshape(equal.shape), range(len(axes)), axes)


@rule("cumsum", "cumprod", casts="result")
def _running(op: Any, x: Any) -> Any:
    return getattr(jnp, op.name)(x, op.axis)


@rule("argsort")
def _argsort(op: Any, x: Any) -> Any:
    axis = 0 if op.axis is None else op.axis
    x = x.reshape(-1) if op.axis is None else x
    if not op.descending:
        return jnp.argsort(x, axis, stable=True)
    # Backwards twice: so equal elements keep their order.
    return x.shape[axis] - 1 - jnp.flip(jnp.argsort(jnp.flip(x, axis), axis, stable=True), axis)
