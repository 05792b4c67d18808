"""Initializers: the initial values of parameters.

Each function here returns an initializer, ``init(shape, dtype, rng) -> array``. Any function of this form is an
initializer. `rng` is a `numpy.random.Generator` or a `numpy.random.RandomState`; it draws in float64.

For weights of shape (inputs, units), ``fan_in`` is inputs and ``fan_out`` is units. If there are more axes, both are
multiplied by the sizes of the axes before the last two. If there is one axis, both are its size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import numpy as np

from .._util.call_errors import explain_public
from .._util.callables import check_takes
from .._util.hints import attribute_error, instead
from ..core import Array, as_array, may_become
from ..core.symbolic_shapes import shown
from ..errors import DtypeError, MemoryBudgetError, ShapeError, UsageError, ValueRangeError
from .argument_validation import checked_number

__all__ = [
    "constant",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "normal",
    "ones",
    "orthogonal",
    "uniform",
    "zeros",
]

Rng = np.random.Generator | np.random.RandomState
_PIECE = 2**16
Initializer = Callable[[tuple[int, ...], np.dtype[Any], Rng], Array]


def constant(value: float) -> Initializer:
    """Return an initializer that sets all elements to this number.

    Examples
    --------
    >>> constant(0.5)((2,), np.dtype("float64"), np.random.default_rng(0))
    array([0.5, 0.5])
    """
    number = as_array(value, "constant: the value")
    if number.ndim:
        raise UsageError(f"constant takes a number, not an array of shape {shown(number.shape)}")

    return partial(_full, number)


def zeros() -> Initializer:
    """Return an initializer of zeros."""
    return constant(0.0)


def ones() -> Initializer:
    """Return an initializer of ones."""
    return constant(1.0)


def uniform(lo: float = -0.05, hi: float = 0.05) -> Initializer:
    """Return an initializer that draws from the uniform distribution on [lo, hi), by ``rng.uniform``.

    Examples
    --------
    >>> draw = uniform(0.0, 0.1)((2, 3), np.dtype("float64"), np.random.RandomState(42))
    >>> bool((draw == 0.1 * np.random.RandomState(42).rand(2, 3)).all())
    True
    """
    if not checked_number("uniform: lo", lo) <= checked_number("uniform: hi", hi):
        raise ValueRangeError(f"uniform draws from lo up to hi; got lo = {lo} and hi = {hi}")
    return partial(_drawn, _uniform, lo, hi)


def normal(mean: float = 0.0, std: float = 0.05) -> Initializer:
    """Return an initializer that draws from the normal distribution, by ``rng.normal``."""
    checked_number("normal: the mean", mean)
    checked_number("normal: std", std, 0)
    return partial(_drawn, _normal, mean, std)


def glorot_uniform() -> Initializer:
    """Return an initializer that draws from the uniform distribution on ±√(6 / (fan_in + fan_out)).

    Notes
    -----
    X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS 2010.
    """
    return partial(_drawn, _scaled_uniform, partial(_by_both, 6))


def glorot_normal() -> Initializer:
    """Return an initializer that draws from the normal distribution of variance 2 / (fan_in + fan_out).

    The distribution is not truncated, as in PyTorch. Keras truncates it at two standard deviations.
    """
    return partial(_drawn, _scaled_normal, partial(_by_both, 2))


def he_uniform() -> Initializer:
    """Return an initializer that draws from the uniform distribution on ±√(6 / fan_in), for layers before a ReLU.

    Notes
    -----
    K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers", ICCV 2015.
    """
    return partial(_drawn, _scaled_uniform, partial(_by_fan_in, 6))


def he_normal() -> Initializer:
    """Return an initializer that draws from the normal distribution of variance 2 / fan_in, for layers before a ReLU.

    The distribution is not truncated, as in PyTorch. Keras truncates it at two standard deviations.
    """
    return partial(_drawn, _scaled_normal, partial(_by_fan_in, 2))


def orthogonal(gain: float = 1.0) -> Initializer:
    """Return an initializer of matrices whose rows, or columns if there are fewer, are orthogonal, of length `gain`.

    For more than two axes, all but the last count as rows.

    Notes
    -----
    A. M. Saxe, J. L. McClelland and S. Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks", ICLR 2014.

    Examples
    --------
    >>> w = orthogonal()((2, 3), np.dtype("float64"), np.random.default_rng(0))
    >>> bool(np.allclose(w @ w.T, np.eye(2)))
    True
    """
    checked_number("orthogonal: gain", gain, 0)
    return partial(_drawn, _orthogonal, gain)


# An initializer is a partial function of these and no closure, so that a layer that was not called can be pickled.


def _full(number: Array, shape: tuple[int, ...], dtype: np.dtype[Any], rng: Rng) -> Array:
    return np.full(shape, number, dtype)


def _drawn(draw: Callable[..., Any], *arguments: Any) -> Array:
    *settings, shape, dtype, rng = arguments
    return np.asarray(draw(*settings, shape, dtype, rng)).astype(dtype, copy=False)


def _uniform(lo: float, hi: float, shape: tuple[int, ...], dtype: np.dtype[Any], rng: Rng) -> Array:
    return _in_pieces(partial(rng.uniform, lo, hi), shape, dtype)


def _normal(mean: float, std: float, shape: tuple[int, ...], dtype: np.dtype[Any], rng: Rng) -> Array:
    return _in_pieces(partial(rng.normal, mean, std), shape, dtype)


def _scaled_uniform(
    square: Callable[[int, int], float], shape: tuple[int, ...], dtype: np.dtype[Any], rng: Rng
) -> Array:
    limit = math.sqrt(square(*_fans(shape)))
    return _uniform(-limit, limit, shape, dtype, rng)


def _scaled_normal(
    variance: Callable[[int, int], float], shape: tuple[int, ...], dtype: np.dtype[Any], rng: Rng
) -> Array:
    return _normal(0.0, math.sqrt(variance(*_fans(shape))), shape, dtype, rng)


def _in_pieces(draw: Callable[[int], Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return what one draw of all gives, without holding that in float64: a piece draws on from the one before."""
    found = np.empty(math.prod(shape), dtype)
    for start in range(0, found.size, _PIECE):
        piece = found[start : start + _PIECE]
        np.copyto(piece, draw(piece.size), casting="unsafe")
    return found.reshape(shape)


def _by_fan_in(numerator: int, fan_in: int, fan_out: int) -> float:
    return numerator / fan_in


def _by_both(numerator: int, fan_in: int, fan_out: int) -> float:
    return numerator / (fan_in + fan_out)


def _orthogonal(gain: float, shape: tuple[int, ...], dtype: np.dtype[Any], rng: Rng) -> Any:
    if len(shape) < 2:
        raise ShapeError(f"orthogonal makes matrices, not an array of shape {shown(shape)}")
    rows, columns = math.prod(shape[:-1]), shape[-1]
    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)  # else not every orthogonal matrix is equally likely
    return gain * (q if rows >= columns else q.T).reshape(shape)


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return fan_in and fan_out, each at least 1."""
    *field, fan_in, fan_out = shape if len(shape) > 1 else (*shape, *shape) or (1, 1)
    size = math.prod(field)
    return max(1, size * fan_in), max(1, size * fan_out)


explain_public(globals())

_PLAIN: tuple[Any, ...] = (
    zeros, ones, uniform, normal, glorot_uniform, glorot_normal, he_uniform, he_normal, orthogonal,
)  # fmt: skip


def checked_initializer(given: Any, what: str) -> Initializer:
    """Return an initializer; a function of this module that needs no arguments may be given without calling it."""
    if any(given is plain for plain in _PLAIN):
        return given()  # type: ignore[no-any-return]
    if not callable(given):
        shown_as = repr(given) if isinstance(given, str) else type(given).__name__
        named = isinstance(given, str) and given in {plain.__name__ for plain in _PLAIN}
        hint = f": write nn.init.{given}" if named else ""
        raise UsageError(
            f"{what} is an initializer, such as nn.init.glorot_uniform(), or a function (shape, dtype, rng) -> array, "
            f"not {shown_as}{hint}"
        )
    if getattr(given, "func", None) not in (_full, _drawn):
        check_takes(what, given, "shape", "dtype", "rng")
    return given  # type: ignore[no-any-return]


def checked_rng(given: Any, what: str) -> Rng | None:
    """Return a random generator, or None."""
    if given is None or isinstance(given, (np.random.Generator, np.random.RandomState)):
        return given
    seed = given if isinstance(given, int) else "seed"
    raise UsageError(
        f"{what}: rng is a numpy.random.Generator or RandomState, not {type(given).__name__}: "
        f"np.random.default_rng({seed}) makes one, which several layers may share"
    )


def drawn(initializer: Initializer, shape: tuple[int, ...], dtype: np.dtype[Any], rng: Rng, what: str) -> Array:
    """Return the result of an initializer, checked."""
    try:
        if math.prod(shape) * dtype.itemsize >= 2**63:
            raise MemoryError
        array = as_array(initializer(shape, dtype, rng), f"what the initializer of {what} gave")
    except MemoryError:
        raise MemoryBudgetError(f"{what} of shape {shown(shape)} does not fit into memory") from None
    if array.shape != shape:
        raise ShapeError(f"the initializer of {what} returned shape {shown(array.shape)} instead of {shown(shape)}")
    if not may_become(array.dtype, dtype):
        raise DtypeError(f"the initializer of {what} returned {array.dtype} instead of {dtype}")
    return array.astype(dtype)


def __getattr__(name: str) -> NoReturn:
    known = [each for each, thing in globals().items() if getattr(thing, "__module__", "") == __name__]
    raise attribute_error(f'there is no "nn.init.{name}".{instead("gn", name, [k for k in known if k.islower()])}')
