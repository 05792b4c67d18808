"""What each operation is compared with: NumPy's function of the same name, else what the table here says.

NumPy's own function must give the same bits; a formula is computed in longdouble, and the result may be some units
in the last place away. Where the operation differs from NumPy on purpose, the table says so.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import graphnn as gn
from graphnn import Op

Array = np.ndarray[Any, np.dtype[Any]]


class Oracle(NamedTuple):
    """The value that is right, and how exactly it must be met."""

    value: Callable[..., Any]
    """Of the operation and its operands."""
    ulp: float = 0
    """How many units in the last place a result may be away; 0: the same bits, in the same dtype."""
    scale: Callable[..., Any] | None = None
    """Where it adds up: the size of what it adds up, which the units are those of."""
    tame: bool = False
    """Only for operands that neither overflow nor vanish: in which order one multiplies is free."""


def oracle_of(cls: type[Op]) -> Oracle | None:
    """Return what to compare an operation with, if there is something."""
    if cls.name in ORACLES:
        return ORACLES[cls.name]
    function = getattr(np, cls.name, None) or getattr(np.linalg, cls.name, None)
    return Oracle(_numpys(function, cls.variadic)) if callable(function) else None


def _numpys(function: Callable[..., Any], variadic: bool) -> Callable[..., Any]:
    def value(op: Op, *operands: Array) -> Any:
        return function(operands, **op.attributes) if variadic else function(*operands, **op.attributes)

    return value


def _wide(function: Callable[..., Any]) -> Callable[..., Any]:
    def value(op: Any, *operands: Array) -> Any:
        return function(op, *[np.asarray(x, np.longdouble) for x in operands])

    return value


def _each(function: Callable[[float], float]) -> Callable[..., Any]:
    return np.vectorize(function, otypes=[np.float64])


_erf, _erfc = _each(math.erf), _each(math.erfc)


def _index(index: Any) -> Any:
    return tuple(slice(*p) if isinstance(p, tuple) else Ellipsis if p == "..." else p for p in index)


def _slice_add(op: Any, x: Array) -> Array:
    result = np.zeros(op.shape, x.dtype)
    result[_index(op.index)] = x
    return result


def _slices_add(op: Any, *arrays: Array) -> Any:
    dtype = np.result_type(*arrays)
    count, total = np.zeros(op.shape, int), np.full(op.shape, -0.0 if dtype.kind == "f" else 0, dtype)
    for x, index in zip(arrays, op.indices, strict=True):
        count[_index(index)] += 1
        total[_index(index)] += x.astype(dtype)
    return np.where(count, total if np.max(count, initial=0) < 2 else total + dtype.type(0), dtype.type(0))


def _diagonal_add(op: Any, x: Array) -> Array:
    result = np.zeros(op.shape, x.dtype)
    places = np.arange(result.size).reshape(op.shape).diagonal(op.offset, op.axis1, op.axis2)
    result.reshape(-1)[places] = x
    return result


def _scatter_nd(op: Any, x: Array, indices: Array) -> Array:
    result = np.zeros(op.shape, x.dtype)
    for at in np.ndindex(indices.shape[:-1]):
        place = tuple(indices[at])
        result[place] = result[place] + x[at]
    return result


def _update_slice(op: Any, x: Array, update: Array, start: Array) -> Array:
    axis, places = op.axis % x.ndim, range(x.shape[op.axis])[int(start) :][: update.shape[op.axis]]
    result = x.astype(np.result_type(x, update))
    for at in np.ndindex(*update.shape):
        result[(*at[:axis], places[at[axis]], *at[axis + 1 :])] = update[at]
    return result


def _gathered(ufunc: np.ufunc, op: Any, x: Array, indices: Array, values: Array) -> Array:
    result = x.astype(np.result_type(x, values))
    axis = op.axis % x.ndim
    beside = [*x.shape[:axis], indices.shape[axis], *x.shape[axis + 1 :]]
    indices, values = np.broadcast_to(indices, beside), np.broadcast_to(values, beside).astype(result.dtype)
    for at in np.ndindex(*beside):
        place = (*at[:axis], indices[at], *at[axis + 1 :])
        result[place] = ufunc(result[place], values[at])
    return result


def _put_along_axis(op: Any, x: Array, indices: Array, values: Array) -> Array:
    result = x.astype(np.result_type(x, values))
    axis = op.axis % x.ndim
    beside = [*x.shape[:axis], indices.shape[axis], *x.shape[axis + 1 :]]
    indices, values = np.broadcast_to(indices, beside), np.broadcast_to(values, beside)
    for at in np.ndindex(*beside):
        result[(*at[:axis], indices[at], *at[axis + 1 :])] = values[at]
    return result


def _matmul(op: Any, x: Array, y: Array) -> Any:
    if np.result_type(x, y) != np.float16:
        return np.matmul(x, y)
    return np.matmul(x.astype(np.float32), y.astype(np.float32)).astype(np.float16)


def _cholesky(op: Any, x: Array) -> Any:
    x = x if x.dtype.kind == "f" else x.astype(np.float64)
    return np.linalg.cholesky((x + np.swapaxes(x, -1, -2)) / 2)


def _argsort(op: Any, x: Array) -> Any:
    if not op.descending:
        return np.argsort(x, op.axis, kind="stable")
    rows = np.moveaxis(x.reshape(-1) if op.axis is None else x, op.axis or 0, -1)
    order = [
        sorted(range(row.size), key=lambda i: (row[i] == row[i], -float(row[i])))
        for row in rows.reshape(math.prod(rows.shape[:-1]), rows.shape[-1])
    ]
    return np.moveaxis(np.array(order, int).reshape(rows.shape), -1, op.axis or 0)


def _sum_to(op: Any, x: Array) -> Any:
    whole = (1,) * (x.ndim - len(op.shape)) + op.shape
    axes = tuple(i for i, side in enumerate(whole) if side != x.shape[i] or i < x.ndim - len(op.shape))
    total = np.sum(x, axis=axes, keepdims=True)
    return total.reshape(op.shape) if axes else x.astype(total.dtype)


def _index_add(op: Any, x: Array, indices: Array) -> Array:
    result = np.zeros(op.shape, x.dtype)
    flat = result.reshape(-1) if op.axis is None else np.moveaxis(result, op.axis, 0)
    rows = x if op.axis is None else np.moveaxis(x, _places(op.axis % result.ndim, indices.ndim), range(indices.ndim))
    for place in np.ndindex(indices.shape):
        flat[indices[place], ...] = flat[indices[place]] + rows[place]
    return result


def _places(start: int, count: int) -> list[int]:
    return list(range(start, start + count))


def _add_along_axis(op: Any, x: Array, indices: Array) -> Array:
    result = np.zeros(op.shape, x.dtype)
    if op.axis is None:
        flat, places = result.reshape(-1), indices
        for i, k in enumerate(places):
            flat[k] = flat[k] + x[i]
        return result
    axis = op.axis % result.ndim
    places = np.broadcast_to(indices, x.shape)
    for at in np.ndindex(x.shape):
        to = (*at[:axis], places[at], *at[axis + 1 :])
        result[to] = result[to] + x[at]
    return result


def _place(op: Any, x: Array, labels: Array) -> Array:
    return np.where(np.arange(op.classes) == labels[..., None], x[..., None], x.dtype.type(0))


def _prod_others(op: Any, x: Array) -> Array:
    axis = op.axis % x.ndim
    others = [np.prod(np.delete(x, i, axis), axis=axis) for i in range(x.shape[axis])]
    return np.stack(others, axis) if others else x


def _logsumexp(op: Any, x: Array) -> Array:
    largest = np.max(x, axis=op.axis, keepdims=True, initial=-np.inf)
    shift = np.where(np.isfinite(largest), largest, 0)
    result: Array = np.log(np.sum(np.exp(x - shift), axis=op.axis, keepdims=True)) + shift
    return result if op.keepdims else np.squeeze(result, op.axis)


def _logsumexp_scale(op: Any, x: Array) -> Any:
    return 1 + np.max(np.abs(np.where(np.isfinite(x), x, 0)), axis=op.axis, keepdims=op.keepdims, initial=0)


def _gelu(op: Any, x: Array) -> Any:
    if op.approximate == "none":
        return x / 2 * _erfc(-x / np.sqrt(np.longdouble(2)))
    return x / (1 + np.exp(-2 * np.sqrt(2 / np.longdouble(math.pi)) * (x + np.longdouble("0.044715") * x**3)))


def _windows(op: Any, x: Array) -> Any:
    axes = op.axes if isinstance(op.axes, tuple) else (op.axes,)
    size, stride, dilation = (
        value if isinstance(value, tuple) else (value,) * len(axes) for value in (op.size, op.stride, op.dilation)
    )
    spans = [(k - 1) * d + 1 for k, d in zip(size, dilation, strict=True)]
    found = np.lib.stride_tricks.sliding_window_view(x, spans, axes)
    parts = [slice(None)] * x.ndim
    for axis, step in zip(axes, stride, strict=True):
        parts[axis] = slice(None, None, step)
    return found[(*parts, *[slice(None, None, d) for d in dilation])]


def _fold(op: Any, x: Array) -> Array:
    result = np.zeros(op.shape, x.dtype)
    places = _windows(op, np.arange(result.size).reshape(op.shape))
    for within in np.ndindex(places.shape[result.ndim :]):
        for at in np.ndindex(places.shape[: result.ndim]):
            place = np.unravel_index(places[at + within], op.shape)
            result[place] = result[place] + x[at + within]
    return result


def _first_occurrence(op: Any, x: Array, y: Array) -> Array:
    equal = (x == y) | (np.isnan(x) & np.isnan(y))
    axes = tuple(range(x.ndim)) if op.axis is None else tuple(np.atleast_1d(np.array(op.axis, int)) % max(x.ndim, 1))
    found = np.zeros(x.shape, bool)
    seen = set()
    for at in np.ndindex(x.shape):
        rest = tuple(i for axis, i in enumerate(at) if axis not in axes)
        if equal[at] and rest not in seen:
            seen.add(rest)
            found[at] = True
    return found


def _generator(op: Any, counter: Array) -> np.random.Generator:
    key, block = np.array([op.seed, op.stream], np.uint64), np.array([0, 0, 0, counter], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=block))


ORACLES: dict[str, Oracle] = {
    # NumPy's own, called otherwise.
    "divide_by_size": Oracle(lambda op, x: np.divide(x, op.count)),
    "clip": Oracle(lambda op, x: np.clip(x, op.lo, op.hi)),
    "cast": Oracle(lambda op, x: x.astype(op.dtype)),
    "stop_gradient": Oracle(lambda op, x: x),
    "sum_over_batches": Oracle(lambda op, x: x),
    "eye": Oracle(lambda op: np.eye(op.n, dtype=op.dtype)),
    "getitem": Oracle(lambda op, x: x[_index(op.index)]),
    "einsum": Oracle(
        lambda op, *arrays: np.einsum(op.subscripts, *arrays),
        ulp=8,  # of three operands, two are multiplied first
        scale=lambda op, *arrays: np.einsum(op.subscripts, *[np.abs(x.astype(np.float64)) for x in arrays]),
        tame=True,
    ),
    "matmul": Oracle(_matmul),
    "windows": Oracle(_windows),
    "first_occurrence": Oracle(_first_occurrence),
    "max": Oracle(lambda op, x: np.max(x, axis=op.axis, keepdims=op.keepdims)),
    "min": Oracle(lambda op, x: np.min(x, axis=op.axis, keepdims=op.keepdims)),
    # Adjoints of NumPy's functions, which NumPy lacks.
    "slice_add": Oracle(_slice_add),
    "fold": Oracle(_fold),
    "slices_add": Oracle(_slices_add),
    "diagonal_add": Oracle(_diagonal_add),
    "gather_nd": Oracle(lambda op, x, indices: x[tuple(np.moveaxis(indices, -1, 0))]),
    "scatter_nd": Oracle(_scatter_nd),
    "put_along_axis": Oracle(_put_along_axis),
    "maximum_along_axis": Oracle(partial(_gathered, np.maximum)),
    "minimum_along_axis": Oracle(partial(_gathered, np.minimum)),
    "multiply_along_axis": Oracle(partial(_gathered, np.multiply)),
    "update_slice": Oracle(_update_slice),
    "argsort": Oracle(_argsort),
    "cholesky": Oracle(_cholesky),
    "sum_to": Oracle(_sum_to),
    "index_add": Oracle(_index_add),
    "add_along_axis": Oracle(_add_along_axis),
    "one_hot": Oracle(lambda op, labels: np.eye(op.depth, dtype=op.dtype)[labels]),
    "pick": Oracle(lambda op, x, labels: np.take_along_axis(x, labels[..., None].astype(int), -1)[..., 0]),
    "scatter_labels": Oracle(_place),
    # Formulas.
    "relu": Oracle(lambda op, x: np.maximum(x, 0)),
    "leaky_relu": Oracle(_wide(lambda op, x: np.where(x > 0, x, x * op.negative_slope)), ulp=2),
    "elu": Oracle(_wide(lambda op, x: np.where(x > 0, x, np.expm1(np.minimum(x, 0)) * op.alpha)), ulp=4),
    "prelu": Oracle(_wide(lambda op, x, slope: np.where(x > 0, x, x * slope)), ulp=1),
    "gelu": Oracle(_wide(_gelu), ulp=16),  # x/√2 is rounded
    "silu": Oracle(_wide(lambda op, x: x / (1 + np.exp(-x))), ulp=4),
    "sigmoid": Oracle(_wide(lambda op, x: 1 / (1 + np.exp(-x))), ulp=4),
    "softplus": Oracle(_wide(lambda op, x: np.logaddexp(x, 0)), ulp=4),
    "erf": Oracle(lambda op, x: _erf(x), ulp=3),
    "logsumexp": Oracle(_wide(_logsumexp), ulp=8, scale=_logsumexp_scale),
    "prod_others": Oracle(_prod_others, ulp=8, tame=True),
    "random_uniform": Oracle(lambda op, counter: _generator(op, counter).random(op.shape)),
    "random_normal": Oracle(lambda op, counter: _generator(op, counter).standard_normal(op.shape).astype(op.dtype)),
    "arange": Oracle(lambda op: np.arange(op.start, op.stop, op.step, op.dtype)),
}


def refused(op: Op, *operands: Array) -> type[Exception] | None:
    """Return the error that values are refused with where NumPy wraps around or warns (docs/decisions)."""
    if op.name in ("floor_divide", "remainder", "fmod"):
        x, y = operands
        if x.dtype.kind in "biu" and y.dtype.kind in "biu" and np.broadcast(x, y).size and not np.all(y):
            return gn.DivisionError
    if op.name in ("inv", "solve", "cholesky", "update_slice"):
        try:
            with np.errstate(all="ignore"):
                op.forward(*operands)
        except (gn.ValueRangeError, gn.AxisError) as error:
            return type(error)
    if op.name == "power":
        x, y = operands
        if x.dtype.kind in "biu" and y.dtype.kind == "i" and np.any(y < 0):
            return gn.ValueRangeError
    return None


STRICTER: dict[str, str] = {
    "relu": "of bools it would give integers",
    "sum_over_batches": "bools do not add up",
    **dict.fromkeys(("tril", "triu"), "of a vector NumPy makes a matrix"),
}
"""Operations that refuse dtypes which NumPy takes, and why."""
