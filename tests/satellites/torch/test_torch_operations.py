"""Small operations of PyTorch: each is right in values and in all gradients, or refused by an error that names it.

The oracle is PyTorch in float64, also at kinks, ties, zeros and infinities. A case whose first axis can vary is read
with a name for it, and tried at two sizes.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - as everyone calls it
from torch import nn

import graphnn as gn
from graphnn.errors import GraphnnError

f64 = torch.float64


class Case(NamedTuple):
    """An operation, on examples.

    Attributes
    ----------
    name : str
    function : callable
        Of tensors; or a module.
    examples : tuple of torch.Tensor
    named : bool
        Whether the first axis of all examples that have the size of the first one's gets a name.
    refused : str or None
        The words of the error with which it is refused.
    rtol : float
        How near numbers are; PyTorch reckons some derivatives with constants of float32.
    """

    name: str
    function: Callable[..., Any]
    examples: tuple[torch.Tensor, ...]
    named: bool = False
    refused: str | None = None
    rtol: float = 1e-9


CASES: list[Case] = []


def case(
    name: str,
    function: Callable[..., Any],
    *examples: Any,
    named: bool | None = None,
    refused: str | None = None,
    rtol: float = 1e-9,
) -> None:
    """Add a case. Floats of examples are float64; the first axis gets a name if the first example has two axes."""
    tensors = tuple(
        each if isinstance(each, torch.Tensor) else torch.tensor(each, dtype=_kind(each)) for each in examples
    )
    CASES.append(Case(name, function, tensors, tensors[0].ndim > 1 if named is None else named, refused, rtol))


def _kind(given: Any) -> torch.dtype | None:
    return f64 if np.asarray(given).dtype.kind == "f" else None


def rand(*shape: int, seed: int = 0, low: float | None = None, high: float = 2.0) -> torch.Tensor:
    """Return random numbers: normally distributed, or between bounds."""
    rng = np.random.default_rng([seed, *shape])
    return torch.tensor(rng.normal(size=shape) if low is None else rng.uniform(low, high, shape), dtype=f64)


def ints(*shape: int, high: int = 3, low: int = 0, seed: int = 0) -> torch.Tensor:
    return torch.tensor(np.random.default_rng([seed, *shape]).integers(low, high, shape))


def module(made: Callable[[], nn.Module]) -> nn.Module:
    """Return a module in float64, with the same weights each time."""
    torch.manual_seed(1)
    found = made()
    if not any(each.is_complex() for each in found.state_dict().values()):
        found = found.to(f64)
    for each in found.children():
        each.to(f64)
    with torch.no_grad():
        for weight in found.parameters():
            weight.add_(torch.randn_like(weight) * 0.3)
    return found


def fixed(example: torch.Tensor) -> torch.Tensor:
    """Return an example, with respect to which PyTorch has no derivative."""
    example.fixed = True  # type: ignore[attr-defined]
    return example


KINKS = torch.tensor(
    [
        -7.0,
        -6.0,
        -4.0,
        -3.0,
        -2.5,
        -1.5,
        -1.0,
        -0.5,
        -0.2,
        -0.0,
        0.0,
        0.3,
        0.5,
        1.0,
        1.5,
        2.0,
        2.5,
        3.0,
        6.0,
        7.0,
        19.0,
        20.0,
        21.0,
        40.0,
    ],
    dtype=f64,
)
TIES = torch.tensor([[1.0, 3.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0], [-1.0, -2.0, -1.0, -3.0]], dtype=f64)
ZEROS = torch.tensor([[1.0, 0.0, 3.0], [0.0, 0.0, 2.0], [1.5, -2.0, 0.5]], dtype=f64)
INF = math.inf
BELOW = torch.tensor([[-INF, -INF, -INF], [1.0, -INF, 2.0], [0.0, 1.0, 2.0]], dtype=f64)
SIGNED = torch.tensor([-7.0, -3.5, -1.0, -0.0, 0.0, 1.0, 3.5, 7.0], dtype=f64)
WHOLE = torch.tensor([-7, -4, -1, 0, 1, 4, 7])

# --- elementwise ----------------------------------------------------------------------------------------------------

_UNIT = torch.tensor([-0.9, -0.5, -0.0, 0.0, 0.3, 0.8], dtype=f64)
_POSITIVE = torch.tensor([0.1, 0.5, 1.0, 2.0, 10.0], dtype=f64)
for _name in (
    "exp",
    "expm1",
    "sin",
    "cos",
    "tan",
    "sinh",
    "cosh",
    "tanh",
    "sigmoid",
    "erf",
    "erfc",
    "exp2",
    "atan",
    "asinh",
):
    case(_name, getattr(torch, _name), rand(3, 4))
for _name in ("asin", "acos", "atanh"):
    case(_name, getattr(torch, _name), _UNIT)
for _name in ("log", "log2", "log10", "log1p", "sqrt", "rsqrt", "reciprocal", "lgamma", "digamma"):
    case(_name, getattr(torch, _name), _POSITIVE)
case("acosh", torch.acosh, [1.1, 2.0, 5.0])
for _name in (
    "abs",
    "neg",
    "square",
    "sign",
    "sgn",
    "relu",
    "signbit",
    "positive",
    "trunc",
    "frac",
    "ceil",
    "floor",
    "round",
    "sinc",
    "deg2rad",
    "rad2deg",
    "isnan",
):
    case(_name, getattr(torch, _name), KINKS)
case(
    "unary of integers",
    lambda x: (
        x.abs(),
        -x,
        x.sign(),
        x.sqrt(),
        x.exp(),
        x.sin(),
        x.square(),
        x.relu(),
        torch.ceil(x),
        torch.trunc(x),
        torch.sigmoid(x),
        torch.rsqrt(x),
        x.reciprocal(),
        torch.isnan(x),
    ),
    WHOLE,
)
case(
    "unary of bools",
    lambda x: (~x, x.exp(), x.logical_not(), x.sum(), x.long(), x.sin(), x.float() + 1),
    torch.tensor([True, False]),
)
case("round decimals", lambda x: torch.round(x * 1.2345, decimals=2), KINKS)
case("log at 0", lambda x: (x.log(), x.log1p(), x.sqrt()), [0.0, 1.0])
case("special", lambda x: (torch.special.expit(x), torch.special.ndtr(x), torch.special.entr(x.abs())), rand(3, 4))
for _name, _function in {
    "erfinv": torch.erfinv,
    "erfcx": torch.special.erfcx,
    "log_ndtr": torch.special.log_ndtr,
    "i0": torch.i0,
    "polygamma": lambda x: torch.polygamma(2, x),
}.items():
    case(_name, _function, _UNIT.abs(), refused=_name)

case("add promotion", lambda x, i: (x + i, i + 1, i + 1.5, i + True, x + 1, 2 - x, i - 0.5, i * 2), rand(4), ints(4))
case(
    "add alpha",
    lambda x, y: (torch.add(x, y, alpha=2.5), torch.sub(x, y, alpha=3), torch.rsub(x, y, alpha=2)),
    rand(3, 4),
    rand(4),
)
case(
    "float32 and 0-d float64",
    lambda x, s: (x * s, x + s, s * 2, x / 3),
    rand(3, 4).float(),
    torch.tensor(2.5, dtype=f64),
    named=False,
)
case("float32 and float64", lambda x, y: x * y, rand(4).float(), rand(4))
case(
    "int and 0-d float",
    lambda i, s: (i * s, i + s, i / 2, i // 2, i % 3, i**2, torch.true_divide(i, 4)),
    WHOLE,
    torch.tensor(2.5, dtype=f64),
)
case(
    "int32 and int64",
    lambda a, b: (a + b, a * 2, a + True, a / b, a // b, a.float() * b),
    torch.tensor([1, -2, 3], dtype=torch.int32),
    torch.tensor([2, 2, -2]),
)
case(
    "uint8 and ints",
    lambda a, b: (a + b, a * 2, a - 1, a // 2),
    torch.tensor([1, 200, 255], dtype=torch.uint8),
    torch.tensor([1, 2, 3], dtype=torch.int16),
)
case(
    "bool and numbers",
    lambda m, x: (m * x, m + m, m * m, m & ~m, m | m, m ^ m, m + 1, m * 2.5, x * m + m),
    torch.tensor([True, False, True]),
    rand(3),
)
case(
    "compare",
    lambda x, y: (x < y, x <= y, x > y, x >= y, x == y, x != y, x < 0.5, torch.eq(x, 1)),
    TIES,
    TIES.roll(1, 0),
    named=False,
)
case("compare int and float", lambda i, x: (i < x, i == 2.0, i >= 0.5, i == x), WHOLE, SIGNED[:7])
case(
    "logical",
    lambda x, y: (torch.logical_and(x, y), torch.logical_or(x, y), torch.logical_xor(x, y), torch.logical_not(x)),
    SIGNED,
    SIGNED.flip(0),
)
case("bitwise", lambda a, b: (a & b, a | b, a ^ b, ~a, a << 2, a >> 1), WHOLE, WHOLE.flip(0))
case(
    "div rounding",
    lambda x, y: tuple(
        torch.div(a, b, rounding_mode=mode) for a, b in ((x, y), (x, 2.0), (x, -3)) for mode in (None, "floor", "trunc")
    ),
    SIGNED,
    [2.0, -2.0, 3.0, 1.0, -1.0, 0.3, -0.3, 2.5],
)
case(
    "div rounding of ints",
    lambda x, y: (*(torch.div(x, y, rounding_mode=mode) for mode in (None, "floor", "trunc")), x // y, x % y),
    WHOLE,
    [2, -2, 3, 1, -1, -3, 3],
)
_BY = torch.tensor([2.0, -2.0, 3.0, 1.0, -1.0, 0.3, -0.3, 2.5], dtype=f64)
case(
    "floor_divide",
    lambda x, y: (x // y, x // 2, 7.0 // y, torch.floor_divide(x, y), 7 % y),
    fixed(SIGNED.clone()),
    fixed(_BY.clone()),
)
case("remainder", lambda x, y: (x % y, x % 3, torch.remainder(x, -2.5)), SIGNED, _BY)
case(
    "fmod",
    lambda x, y: (torch.fmod(x, y), torch.fmod(x, 3), torch.fmod(x, -2.5)),
    SIGNED,
    [2.0, -2.0, 3.0, 1.0, -1.0, 0.3, -0.3, 2.5],
)
case(
    "fmod of ints",
    lambda x, y: (torch.fmod(x, y), torch.remainder(x, y), torch.fmod(x, 3)),
    WHOLE,
    [2, -2, 3, 1, -1, -3, 3],
)
case(
    "pow numbers", lambda x: (x**2, x**3, x**1, x**0, x**-1, x**-2, x**0.5, x**1.5, 2**x, x**2.0), [0.5, 1.0, 2.0, 3.0]
)
case("pow of zero", lambda x: (x**2, x**3, x**1, x**0, x**1.5), [0.0, -0.0, 1.0])
case("pow zero by a tensor", lambda x, y: (x**y, torch.pow(0.0, y)), [0.0, 0.0, 2.0, 0.0], [0.0, 2.0, 1.0, 3.5])
case("pow of negatives", lambda x: (x**3, x**2, x**-1, x**4.0), [-2.0, -1.0, -0.5])
case("pow of ints", lambda i: (i**2, 2**i, i**0, i**2.5, torch.pow(i, i)), [1, 2, 3])
case("float_power", lambda x, i: (torch.float_power(x, 2), torch.float_power(i, 1.5)), [0.5, 2.0], [2, 3])
case(
    "maximum of ties",
    lambda x, y: (torch.maximum(x, y), torch.minimum(x, y), torch.max(x, y), torch.min(x, y)),
    TIES,
    TIES.roll(1, 1),
)
case(
    "fmax",
    lambda x, y: (torch.fmax(x, y), torch.fmin(x, y)),
    [1.0, math.nan, 2.0, 2.0, math.nan],
    [math.nan, 1.0, 2.0, 3.0, math.nan],
)
case(
    "clamp",
    lambda x: (x.clamp(-1, 3), x.clamp(min=0.5), x.clamp(max=-1.5), x.clip(-6, 6), torch.clamp(x, 3, -1)),
    KINKS,
)
case(
    "clamp by tensors",
    lambda x, lo, hi: (
        torch.clamp(x, lo, hi),
        torch.clamp(x, min=lo),
        torch.clamp(x, max=hi),
        x.clamp_min(lo),
        torch.clamp(x, hi, lo),
    ),
    TIES,
    TIES.roll(1, 1),
    TIES.roll(1, 1) + 1,
)
case("clamp of ints", lambda i: (i.clamp(-2, 3), i.clamp(min=-1.5), i.clamp(0)), WHOLE)
case("clamp_", lambda x: (x * 1).clamp_(-1, 1) + (x * 2).clamp_min_(0.0), KINKS)
case(
    "where",
    lambda x, y: (
        torch.where(x > 0, x, y),
        torch.where(x > 0, x, 0.0),
        torch.where(x > 0, 1, y),
        torch.where(x > 0, 1.0, 2.0),
        torch.where(x > y, 1, 0),
    ),
    TIES,
    TIES.roll(1, 0),
    named=False,
)
case("where nan in the other branch", lambda x: torch.where(x > 0, x.log(), 0.0), [0.5, 2.0])
case(
    "atan2",
    lambda y, x: torch.atan2(y, x),
    [1.0, 1.0, -1.0, -1.0, 0.0, -0.0, 0.0, -0.0, 2.0, -2.0, 1e-3],
    [1.0, -1.0, 1.0, -1.0, 2.0, 2.0, -2.0, -2.0, 0.0, 0.0, -0.0],
)
case("atan2 at the origin", lambda y, x: torch.atan2(y, x), [0.0, -0.0, 0.0, -0.0], [0.0, 0.0, -0.0, -0.0])
case("atan2 of extremes", lambda y, x: torch.atan2(y, x), [1e-300, 1e300, -1e300, 1.0], [1e300, 1e-300, -1e300, 1e-320])
case("hypot", torch.hypot, [3.0, 0.0, 1e200, -5.0], [4.0, 2.0, 1e200, 12.0])
case("logaddexp", torch.logaddexp, [0.0, 1000.0, -1000.0, -INF, 1.0, 3.0], [0.0, -1000.0, 1000.0, 2.0, -INF, 3.0])
case("logaddexp of nothing", torch.logaddexp, [-INF, INF, INF], [-INF, 1.0, INF])
case("logaddexp2", torch.logaddexp2, [0.0, 1000.0, -1000.0, 1.0, 3.0], [0.0, -1000.0, 1000.0, 2.0, 3.0])
case(
    "nan_to_num",
    lambda x: (torch.nan_to_num(x), torch.nan_to_num(x, 1.0, 2.0, -3.0), x.nan_to_num(posinf=7.0)),
    [math.nan, INF, -INF, 1.5, 0.0],
)
case(
    "copysign",
    lambda x, y: (torch.copysign(x, y), torch.copysign(x, -1.0)),
    [1.0, -2.0, 0.0, 3.0, -4.0, 5.0],
    [-1.0, 1.0, -1.0, -0.0, 0.0, -2.0],
)
case("heaviside", torch.heaviside, fixed(SIGNED.clone()), fixed(torch.full((8,), 0.5, dtype=f64)))
case(
    "xlogy",
    lambda x, y: (torch.xlogy(x, y), torch.special.xlog1py(x, y), torch.xlogy(x, 2.0), torch.xlogy(2.0, y)),
    [0.0, 0.0, 2.0, 1.5],
    [0.5, 1.0, 3.0, 0.2],
)
case("xlogy at 0", torch.xlogy, [0.0, 0.0], [0.0, 2.0])
case("logit", lambda x: (torch.logit(x), torch.logit(x, 0.2)), [0.1, 0.2, 0.5, 0.8, 0.9])
case(
    "lerp",
    lambda x, y, w: (torch.lerp(x, y, 0.3), torch.lerp(x, y, w), torch.lerp(x, y, 0.8)),
    rand(3, 4),
    rand(3, 4, seed=1),
    rand(3, 4, seed=2),
)
case(
    "addcmul addcdiv",
    lambda x, y, z: (torch.addcmul(x, y, z, value=0.3), torch.addcdiv(x, y, z, value=-2)),
    rand(3, 4),
    rand(3, 4, seed=1),
    rand(3, 4, low=0.5),
)
case("gcd", torch.gcd, [12, 18], [8, 27], refused="gcd")
case("nextafter", torch.nextafter, [1.0, 2.0], [2.0, 0.0], refused="nextafter")
case("ldexp", lambda x, i: torch.ldexp(x, i), rand(3), [1, 0, 3])
case("frexp", lambda x: torch.frexp(x)[0], rand(3), refused="frexp")
case("isclose", lambda x, y: torch.isclose(x, y), [1.0, 2.0], [1.0, 2.1])
case(
    "isfinite",
    lambda x: (torch.isfinite(x), torch.isinf(x), torch.isnan(x), torch.isposinf(x), torch.isneginf(x)),
    [math.nan, INF, -INF, 0.0],
)

# --- activations, also exactly at their kinks -----------------------------------------------------------------------

for _name in (
    "relu6",
    "hardtanh",
    "hardswish",
    "softshrink",
    "hardshrink",
    "elu",
    "celu",
    "selu",
    "silu",
    "mish",
    "gelu",
    "softplus",
    "softsign",
    "tanhshrink",
    "logsigmoid",
    "leaky_relu",
    "rrelu",
):
    case(_name, getattr(F, _name), KINKS)
case("hardsigmoid", F.hardsigmoid, KINKS, rtol=1e-7)
case("leaky_relu slopes", lambda x: (F.leaky_relu(x, 0.2), F.leaky_relu(x, -0.5), F.leaky_relu(x, 1.5)), KINKS)
case("gelu tanh", lambda x: F.gelu(x, approximate="tanh"), KINKS)
case("elu alpha", lambda x: (F.elu(x, 0.5), F.celu(x, 2.0), F.celu(x, 0.5)), KINKS)
case("hardtanh bounds", lambda x: (F.hardtanh(x, -0.5, 0.5), F.hardtanh(x, 0.3, 7.0)), KINKS)
case(
    "shrink lambdas",
    lambda x: (F.softshrink(x, 1.5), F.hardshrink(x, 1.5), F.softshrink(x, 0.0), F.hardshrink(x, 0.0)),
    KINKS,
)
case("threshold", lambda x: (F.threshold(x, 0.5, 20.0), F.threshold(x, -1.0, 0.0)), KINKS)
case("softplus beta", lambda x: (F.softplus(x, 2.0, 5.0), F.softplus(x, 0.5)), KINKS)
case("prelu", module(lambda: nn.PReLU()), KINKS.reshape(4, 6))
case("prelu of channels", module(lambda: nn.PReLU(3)), rand(2, 3, 4))
case("prelu of a vector", lambda x, w: F.prelu(x, w), KINKS, [0.25])
case("glu", lambda x: (F.glu(x), F.glu(x, 0)), rand(4, 6), named=False)
case("softmax", lambda x: (F.softmax(x, -1), F.softmax(x, 0), F.softmin(x, 1), F.log_softmax(x, -1)), rand(3, 4))
case("softmax of extremes", lambda x: (F.softmax(x, -1), F.log_softmax(x, -1)), [[1e4, -1e4, 0.0], [-INF, 0.0, 1.0]])
case("softmax of nothing", lambda x: F.softmax(x, -1), BELOW)
case("softmax dtype", lambda x: F.softmax(x, -1, dtype=f64), rand(3, 4).float())
case("gumbel in evaluation", lambda x: F.gumbel_softmax(x).shape[0] * x, rand(3, 4))
case(
    "in-place activations",
    lambda x: (
        F.relu(x * 1, inplace=True)
        + F.relu6(x * 1, inplace=True)
        + F.hardswish(x * 1, inplace=True)
        + F.silu(x * 1, inplace=True)
        + F.elu(x * 1, inplace=True)
    ),
    KINKS,
)
case("swiglu", lambda x, a, b: F.silu(x @ a) * (x @ b), rand(3, 4), rand(4, 5), rand(4, 5, seed=1))

# --- reductions -----------------------------------------------------------------------------------------------------

case("sum", lambda x: (x.sum(), x.sum(0), x.sum((0, 1), keepdim=True), x.sum(-1), x.sum([])), rand(3, 4, 2))
case(
    "sum of ints and bools",
    lambda i: (i.sum(), (i > 0).sum(), i.sum(dtype=f64), i.prod(), (i > 0).float().mean()),
    WHOLE,
)
case("mean", lambda x: (x.mean(), x.mean(0), x.mean((1, 2), keepdim=True)), rand(3, 4, 2))
case("amax of ties", lambda x: (x.amax(-1), x.amin(-1), x.amax((0, 1)), x.amax(0, keepdim=True)), TIES)
case("max of ties", lambda x: (x.max(), x.min()), TIES)
case("max along", lambda x: (*x.max(-1), *x.min(-1), x.max(0)[0]), TIES)
case("max of nan", lambda x: (x.max(-1)[0], x.amax(-1), x.argmax(-1)), [[1.0, math.nan, 3.0], [1.0, 2.0, 3.0]])
case("aminmax", lambda x: (*torch.aminmax(x), *torch.aminmax(x, dim=1, keepdim=True)), TIES)
case("argmax", lambda x: (x.argmax(), x.argmin(), x.argmax(-1), x.argmin(0, keepdim=True)), TIES)
case("median", lambda x: (x.median(), *x.median(-1), *x.median(0, keepdim=True)), rand(3, 4), named=False)
case("median of ties", lambda x: (x.median(), x.median(-1)[0]), TIES, named=False)
case("nanmedian", lambda x: (x.nanmedian(), x.nanmedian(-1)[0]), [[1.0, math.nan, 3.0], [4.0, 2.0, 3.0]], named=False)
case("mode", lambda x: torch.mode(x, -1)[0], TIES, refused="mode")
case(
    "std var",
    lambda x: (
        x.std(),
        x.var(),
        x.std(-1),
        x.var(0, correction=0),
        x.std(-1, correction=2),
        x.var((0, 1), unbiased=False),
        *torch.var_mean(x, -1),
        *torch.std_mean(x, 0),
    ),
    rand(5, 4),
)
case("std of a constant", lambda x: (x.std(), x.std(-1)), [[2.0, 2.0], [2.0, 2.0]])
case(
    "norm",
    lambda x: (x.norm(), x.norm(dim=-1), x.norm(p=1, dim=0), x.norm(p=3), torch.linalg.vector_norm(x, 2.5, dim=-1)),
    rand(3, 4),
)
case(
    "norm inf",
    lambda x: (x.norm(p=INF, dim=-1), x.norm(p=-INF, dim=-1), x.norm(p=INF), torch.linalg.vector_norm(x, INF)),
    TIES,
)
case(
    "norm of zero",
    lambda x: (x.norm(), x.norm(dim=-1), x.norm(p=1, dim=-1), x.norm(p=3, dim=-1), x.norm(p=0, dim=-1)),
    [[0.0, 0.0], [0.0, 3.0]],
)
case("norm of order half", lambda x: x.norm(p=0.5, dim=-1), rand(3, 4))
case("norm of zero of other orders", lambda x: (x.norm(p=1.5, dim=-1), x.norm(p=INF, dim=-1)), [[0.0, 0.0], [0.0, 3.0]])
case(
    "matrix norms",
    lambda x: (torch.linalg.matrix_norm(x), torch.linalg.matrix_norm(x, 1), torch.linalg.matrix_norm(x, INF)),
    rand(3, 4),
    named=False,
)
case("nuclear norm", lambda x: torch.linalg.matrix_norm(x, "nuc"), rand(3, 4), named=False, refused="svd")
case("linalg.norm", lambda x: torch.linalg.norm(x) + torch.linalg.norm(x, dim=0).sum(), rand(3, 4))
case("normalize", lambda x: (F.normalize(x), F.normalize(x, 1.0, 0)), rand(3, 4))
case("normalize zero", lambda x: F.normalize(x, dim=-1), ZEROS)
case("prod", lambda x: (x.prod(), x.prod(0), x.prod(-1, keepdim=True)), rand(3, 4))
case("prod with zeros", lambda x: (x.prod(), x.prod(0), x.prod(-1)), ZEROS, named=False)
case(
    "logsumexp",
    lambda x: (torch.logsumexp(x, -1), torch.logsumexp(x, (0, 1)), x.logsumexp(0, keepdim=True)),
    rand(3, 4),
)
case("logsumexp of nothing", lambda x: torch.logsumexp(x, -1), BELOW)
case("cumsum", lambda x: (x.cumsum(0), x.cumsum(-1), x.long().cumsum(0), (x > 0).cumsum(-1)), rand(3, 4))
case("cumprod", lambda x: (x.cumprod(0), x.cumprod(-1)), rand(3, 4), named=False)
case("cumprod with zeros", lambda x: x.cumprod(-1), ZEROS)
case("logcumsumexp", lambda x: (torch.logcumsumexp(x, -1), torch.logcumsumexp(x, 0)), rand(3, 4))
case(
    "logcumsumexp of extremes", lambda x: torch.logcumsumexp(x, -1), [[1000.0, -1000.0, 0.0], [-1000.0, -999.0, 1000.0]]
)
case("cummax", lambda x: (*torch.cummax(x, -1), *torch.cummin(x, -1)), TIES)
case("cummax of ints", lambda i: (*torch.cummax(i, -1), *torch.cummin(i, 0), *torch.cummax(i > 0, 0)), ints(3, 4) - 1)
case("all any", lambda x: (x.all(), x.any(), (x > 0).all(-1), (x > 0).any(0, keepdim=True)), ZEROS)
case("count_nonzero", lambda x: (torch.count_nonzero(x), torch.count_nonzero(x, dim=-1)), ZEROS)
case("nansum nanmean", lambda x: (x.nansum(), x.nansum(-1), x.nanmean(-1)), [[1.0, math.nan, 3.0], [4.0, 2.0, 3.0]])
case("diff", lambda x: (x.diff(), x.diff(n=2), x.diff(dim=0)), rand(4, 5))
case(
    "trapezoid",
    lambda y, x: (torch.trapezoid(y), torch.trapezoid(y, dx=0.5), torch.trapezoid(y, x), torch.cumulative_trapezoid(y)),
    rand(3, 4),
    rand(3, 4, seed=1),
)
case(
    "reductions of a scalar",
    lambda s: (s.sum(), s.mean(), s.max(), s.prod(), s.norm(), s.softmax(0), s.cumsum(0), s.max(0)[0]),
    torch.tensor(2.5, dtype=f64),
)
case("cov", torch.cov, rand(3, 5), named=False, refused="cannot export")
case(
    "quantile",
    lambda x: (
        torch.quantile(x, 0.3),
        torch.quantile(x, 0.5, dim=-1),
        torch.quantile(x, 0.9, dim=0, interpolation="nearest"),
    ),
    rand(3, 4),
    named=False,
)
case("quantiles", lambda x, q: torch.quantile(x, q, dim=-1), rand(3, 4), [0.1, 0.5, 1.0], named=False)
case("histc", lambda x: torch.histc(x, 4, 0, 1), rand(3, 4), named=False, refused="histc")
case("dist", lambda x, y: (torch.dist(x, y), torch.dist(x, y, 1)), rand(3, 4), rand(3, 4, seed=1))

# --- shapes and views -----------------------------------------------------------------------------------------------

case(
    "reshape",
    lambda x: (
        x.reshape(-1),
        x.view(-1, 2),
        x.reshape(x.shape[0], -1),
        x.flatten(1),
        x.flatten(),
        x.unflatten(1, (2, -1)),
        x.ravel(),
        x.view_as(x),
    ),
    rand(3, 4, 2),
)
case(
    "squeeze",
    lambda x: (x.squeeze(), x.squeeze(1), x.squeeze(0), x.unsqueeze(-1), x.squeeze((1, 3)), x[:, None], x[..., None]),
    rand(3, 1, 4, 1),
)
case(
    "permute",
    lambda x: (
        x.permute(2, 0, 1),
        x.transpose(0, -1),
        x.mT,
        x.movedim(0, -1),
        x.movedim((0, 1), (1, 2)),
        x.swapaxes(1, 2),
        x.moveaxis(-1, 0),
    ),
    rand(3, 4, 2),
)
case(
    "expand repeat",
    lambda x: (x.expand(2, 3, 4), x.expand(-1, 4), x.repeat(2, 3), x.tile(2), x.expand_as(x), x.broadcast_to(5, 3, 4)),
    rand(3, 4),
    named=False,
)
case(
    "expand batch",
    lambda x: (x.expand(-1, 4), x.repeat(1, 2), x.unsqueeze(1).expand(-1, 3, -1), x.repeat(2, 1)),
    rand(3, 4),
)
case(
    "repeat_interleave",
    lambda x: (x.repeat_interleave(2), x.repeat_interleave(3, 1), x.repeat_interleave(torch.tensor([1, 0, 2, 3]), 1)),
    rand(3, 4),
)
case(
    "narrow select",
    lambda x: (x.narrow(1, 1, 2), x.select(1, -1), x[:, 1:3], x[1], x[-1], x[..., ::2], x[:, -2:], x[1:], x[:-1]),
    rand(3, 4),
)
case(
    "diagonal",
    lambda x: (
        x.diagonal(),
        x.diagonal(1),
        x.diagonal(-1),
        x.diag(),
        torch.diag(x[0]),
        torch.diag_embed(x),
        torch.diag_embed(x, 1, 0, 2),
        torch.diagflat(x[0]),
    ),
    rand(3, 4),
    named=False,
)
case(
    "split",
    lambda x: (*x.split(2), *x.split([1, 3], 1), *x.chunk(3, 1), *x.chunk(2), *x.unbind(1), *torch.hsplit(x, 2)),
    rand(5, 4),
    named=False,
)
case("chunk uneven", lambda x: (*x.chunk(3, 1), *x.chunk(4, 1), *x.split(3, 1)), rand(3, 7))
case(
    "tensor_split",
    lambda x: (*torch.tensor_split(x, 3, 1), *torch.tensor_split(x, (1, 5), 1), *x.tensor_split((2,), -1)),
    rand(3, 7),
)
case("roll", lambda x: (x.roll(1), x.roll(-2, 1), x.roll((1, 2), (0, 1)), x.roll(5, 1)), rand(3, 4))
case(
    "rot90",
    lambda x: tuple(torch.rot90(x, k, dims) for k in (-1, 0, 1, 2, 3, 5) for dims in ((0, 1), (1, 0), (1, 2), (2, 0))),
    rand(2, 3, 4),
    named=False,
)
case("flip", lambda x: (x.flip(0), x.flip(0, 1), x.fliplr(), x.flipud()), rand(3, 4))
case(
    "stack cat",
    lambda x, y: (
        torch.stack([x, y]),
        torch.stack([x, y], -1),
        torch.cat([x, y]),
        torch.cat([x, y], -1),
        torch.hstack([x, y]),
        torch.vstack([x, y]),
        torch.dstack([x, y]),
        torch.column_stack([x, y]),
    ),
    rand(3, 4),
    rand(3, 4, seed=1),
)
case(
    "cat of dtypes",
    lambda x, i: (torch.cat([x, i]), torch.stack([i, i]), torch.cat([x, torch.empty(0, dtype=f64)])),
    rand(4),
    ints(4),
)
case(
    "meshgrid",
    lambda x, y: (
        *torch.meshgrid(x, y, indexing="ij"),
        *torch.meshgrid(x, y, indexing="xy"),
        torch.cartesian_prod(x, y),
    ),
    rand(3),
    rand(4),
)
case("block_diag", torch.block_diag, rand(2, 3), rand(3, 2), named=False)
case("unfold", lambda x: (x.unfold(1, 3, 2), x.unfold(-1, 2, 1)), rand(3, 8))
case(
    "as_strided",
    lambda x: (x.as_strided((2, 3), (1, 2)), x.as_strided((3, 2), (1, 1), 2), torch.as_strided(x, (2, 2), (4, 2))),
    rand(3, 4),
    named=False,
)
case("triu tril", lambda x: (x.triu(), x.tril(), x.triu(1), x.tril(-1), x.triu(-2)), rand(4, 5))
case("tril_indices", lambda x: (x[*torch.tril_indices(4, 4)], x[*torch.triu_indices(4, 4, 1)]), rand(4, 4), named=False)
case("atleast", lambda x: (torch.atleast_2d(x), torch.atleast_3d(x), torch.atleast_1d(x.sum())), rand(3))
case("broadcast_tensors", lambda x, y: torch.broadcast_tensors(x, y), rand(3, 1), rand(4), named=False)
case(
    "pad",
    lambda x: (F.pad(x, (1, 2)), F.pad(x, (1, 0, 2, 1), value=3.0), F.pad(x, (-1, 2)), F.pad(x, (-1, -1))),
    rand(3, 4),
)
case(
    "pad modes",
    lambda x: (
        F.pad(x, (1, 2, 2, 1), mode="reflect"),
        F.pad(x, (1, 2, 3, 1), mode="replicate"),
        F.pad(x, (1, 2, 2, 1), mode="circular"),
    ),
    rand(2, 3, 4, 5),
)
case("pixel_shuffle", lambda x: (F.pixel_shuffle(x, 2), F.channel_shuffle(x, 4)), rand(2, 8, 3, 2))
case("pixel_unshuffle", lambda x: F.pixel_unshuffle(x, 2), rand(2, 3, 4, 6))
case(
    "cast",
    lambda x: (x.long(), x.int(), x.bool(), x.float(), x.half().float(), x.to(torch.uint8), x.type_as(x)),
    rand(3, 4).abs() * 3,
)
case("cast of ints", lambda i: (i.double(), i.float() / 2, i.bool(), i.to(torch.int8), i.type(torch.int32)), WHOLE)
case(
    "sizes of a batch",
    lambda x: (
        x / x.shape[0],
        torch.zeros(x.shape[0], 2) + x[:, :2],
        x.new_ones(x.shape[0]) * x.numel(),
        torch.arange(x.shape[0]),
        torch.full((x.shape[0], 1), 2.5),
    ),
    rand(3, 4),
)

# --- writing in place, also through views ---------------------------------------------------------------------------


def written(write: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that writes to a copy of its first operand, and gives the copy."""

    def function(x: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        y = x * 1.0
        write(y, *others)
        return y

    return function


def _set(index: Any, value: Any) -> Callable[..., Any]:
    return written(lambda y, *given: y.__setitem__(index, value))


case("assign a slice", _set((slice(None), slice(1, 3)), 2.5), rand(3, 4))
case("assign a step", _set((slice(None), slice(None, None, 2)), -1.0), rand(3, 5))
case("assign a row", written(lambda y, r: y.__setitem__(1, r)), rand(3, 4), rand(4), named=False)
case("assign an element", _set((1, 2), 9.0), rand(3, 4), named=False)
case("assign another part", written(lambda y: y.__setitem__((slice(None), 0), y[:, 1] * 2)), rand(3, 4))
case("assign a tensor", written(lambda y, v: y.__setitem__((slice(None), slice(2)), v)), rand(3, 4), rand(3, 2))
case("assign with an ellipsis", written(lambda y, v: y.__setitem__((..., -1), v)), rand(3, 4), rand(3))
case("assign by a mask", written(lambda y: y.__setitem__(y < 0, 0)), rand(3, 4))
case("assign by a mask of rows", written(lambda y, r: y.__setitem__(y[:, 0] < 0, r)), rand(3, 4), rand(4))
case(
    "assign one number by a mask",
    written(lambda y, s: y.__setitem__(y > 0.5, s)),
    rand(3, 4),
    torch.tensor(7.0, dtype=f64),
)
case(
    "assign a tensor by a mask", written(lambda y, v: y.__setitem__(y > 0, v)), rand(3), rand(2), refused="torch.where"
)
case(
    "assign by places",
    written(lambda y, i, v: y.__setitem__(i, v)),
    rand(5, 4),
    torch.tensor([3, 0]),
    rand(2, 4),
    named=False,
)
case(
    "assign by places in an axis",
    written(lambda y, i: y.__setitem__((slice(None), i), 2.0)),
    rand(3, 5),
    torch.tensor([3, 0, -1]),
)
case(
    "assign by two places",
    written(lambda y, i, j, v: y.__setitem__((i, j), v)),
    rand(4, 5),
    torch.tensor([3, 0, 1]),
    torch.tensor([0, -1, 2]),
    rand(3),
    named=False,
)
case(
    "assign by places and a slice",
    written(lambda y, i: y.__setitem__((i, slice(1, 3)), 0.5)),
    rand(4, 5),
    torch.tensor([3, 0]),
    named=False,
)
case("assign by a range", _set([0, 2], 1.5), rand(4, 3), named=False)
case(
    "add at places",
    written(lambda y, i, v: y.index_put_((i,), v, accumulate=True)),
    rand(4, 3),
    torch.tensor([1, 1, 0, -1]),
    rand(4, 3),
    named=False,
)
case(
    "add at two places",
    written(lambda y, i, v: y.index_put_((i, i), v, accumulate=True)),
    rand(4, 4),
    torch.tensor([1, 1, 0]),
    rand(3),
    named=False,
)
case("add by places", written(lambda y, i: y.__setitem__(i, y[i] + 1)), rand(4, 3), torch.tensor([1, 0]), named=False)
case("mul_ of a view", written(lambda y: y[:, 1:3].mul_(2)), rand(3, 4))
case("mul_ of a flat view", written(lambda y: y.view(-1)[2:5].mul_(3)), rand(3, 4))
case(
    "writes to views of views",
    written(lambda y: y.t()[1:3].unsqueeze(0)[0, :, 0].add_(1).neg_()),
    rand(3, 4),
    named=False,
)
case("writes to a diagonal", written(lambda y: y.diagonal().zero_()), rand(4, 4), named=False)
case("fill_diagonal_", written(lambda y: y.fill_diagonal_(7.0)), rand(4, 4), named=False)
case("fill_diagonal_ of a long matrix", written(lambda y: y.fill_diagonal_(7.0)), rand(6, 3), named=False)
case("writes to chunks", written(lambda y: [each.mul_(place) for place, each in enumerate(y.chunk(2, 1))]), ints(3, 4))
case("writes to unbound", written(lambda y: [each.add_(place) for place, each in enumerate(y.unbind(1))]), ints(3, 4))
case("writes to a split", written(lambda y: y.split([1, 3], 1)[1].copy_(y[:, :3] + 1)), ints(3, 4))
case("masked_fill_", written(lambda y: y.masked_fill_(y > 0, -1.0)), rand(3, 4))
case(
    "masked_fill",
    lambda x, s: (x.masked_fill(x > 0, -INF).softmax(-1), x.masked_fill(x > 0, s), x.masked_fill(x[0] > 0, 0)),
    rand(3, 4),
    torch.tensor(2.0, dtype=f64),
)
case("copy_", written(lambda y, v: (y.copy_(v), y[0].copy_(v[1] * 2))), rand(3, 4), rand(3, 4, seed=1))
case("copy_ of a row", written(lambda y, v: y.copy_(v)), rand(3, 4), rand(4))
case("copy_ of another dtype", written(lambda y, v: y.copy_(v)), rand(3, 4), ints(3, 4))
case("fill_ zero_", written(lambda y: (y[:, 0].fill_(3.0), y[:, 1].zero_(), y[:, 2:].fill_(y[0, 0]))), rand(3, 4))
case(
    "in-place arithmetic",
    written(lambda y: (y.add_(1), y.sub_(2, alpha=0.5), y.mul_(y.clone()), y.div_(3), y.pow_(2), y.neg_(), y.exp_())),
    rand(3, 4),
)
case(
    "augmented assignment",
    written(lambda y, v: (y.__iadd__(v), y.__imul__(2), y[:, 0].__isub__(1), y.__itruediv__(v.exp()))),
    rand(3, 4),
    rand(3, 4, seed=1),
)
case(
    "scatter_",
    written(lambda y, i, v: y.scatter_(1, i, v)),
    rand(3, 4),
    torch.tensor([[0, 2], [3, 1], [1, 0]]),
    rand(3, 2),
)
case(
    "write before and after reading",
    written(lambda y: (y.add_(y[:, :1].clone()), y[:, 1:].sub_(y[:, :-1].clone()))),
    rand(3, 4),
)
case(
    "a view sees what is written",
    lambda x: (lambda y: (lambda v: (y.mul_(2), v + 1)[1])(y[:, 1:3]))(x * 1.0),
    rand(3, 4),
)
case("clone is no view", lambda x: (lambda y: (lambda v: (y.mul_(2), v + y)[1])(y.clone()))(x * 1.0), rand(3, 4))
case("swap rows", written(lambda y: (lambda top: (y[0].copy_(y[1]), y[1].copy_(top)))(y[0].clone())), rand(3, 4))
case("transpose_ and unsqueeze_", written(lambda y: (y.unsqueeze_(0), y.squeeze_(0))), rand(3, 4))
case("detach", lambda x: x * x.detach() + x.detach().exp(), rand(3, 4))
case(
    "scatter functions of views",
    lambda x, v: (
        torch.slice_scatter(x, v, 1, 1, 3),
        torch.select_scatter(x, v[:, 0], 1, 2),
        torch.diagonal_scatter(x, v[:, 0]),
    ),
    rand(3, 4),
    rand(3, 2),
    named=False,
)
case("writes to a broadcast", lambda x: x.expand(3, 4).clone().add_(1), rand(4))
case("writes to as_strided", written(lambda y: y.as_strided((2, 2), (4, 2)).mul_(3.0)), rand(3, 4), named=False)
case("writes to an unfolded", written(lambda y: y.unfold(0, 2, 2).mul_(3.0)), rand(6))

# --- gather and scatter ---------------------------------------------------------------------------------------------

_AT = torch.tensor([[0, 2, 0], [3, 1, 3], [1, 0, 0]])
_FROM = torch.tensor([[1.0, 2.0, 2.0], [0.0, 1.0, 1.5], [2.0, -1.0, -1.0]], dtype=f64)
_ONTO = torch.tensor([[1.0, 0.0, 2.0, 3.0], [0.0, 1.0, 1.0, 1.5], [2.0, -1.0, 4.0, 5.0]], dtype=f64)
case("gather", lambda x, i: (x.gather(1, i), x.gather(1, i[:, :1])), rand(3, 4), _AT)
case("take_along_dim", lambda x, i: torch.take_along_dim(x, i, 1), rand(3, 4), _AT, named=False)
case("gather of rows", lambda x, i: x.gather(0, i % 3), rand(3, 4), _AT, named=False)
case("gather of a corner", lambda x, i: x.gather(1, i), rand(3, 4), _AT[:2], named=False)
case(
    "take",
    lambda x: (
        x.take(torch.tensor([0, 5, -1])),
        torch.take_along_dim(x, x.argsort(-1), -1),
        torch.take_along_dim(x, x.argmax()),
    ),
    rand(3, 4),
    named=False,
)
case(
    "scatter",
    lambda x, i, v: (x.scatter(1, i[:, :2], v), x.scatter(1, i[:, 1:], 2.5)),
    _ONTO,
    _AT,
    fixed(_FROM.clone()),
)
case(
    "scatter into fewer rows", lambda x, i, v: x.scatter(0, i[:2] % 3, v), _ONTO, _AT, fixed(_FROM.clone()), named=False
)
case("scatter of twice the same place", lambda x, i, v: x.scatter_add(1, i, v), _ONTO, _AT, _FROM)
case(
    "scatter_add of a corner",
    lambda x, i, v: x.scatter_add(0, i[:2, :2] % 3, v),
    _ONTO,
    _AT,
    fixed(_FROM.clone()),
    named=False,
)
for _reduce in ("sum", "prod", "mean", "amax", "amin"):
    for _own in (True, False):
        case(
            f"scatter_reduce {_reduce} {_own}",
            lambda x, i, v, r=_reduce, o=_own: x.scatter_reduce(1, i, v, r, include_self=o),
            _ONTO,
            _AT,
            _FROM,
        )
        if _reduce == "sum":
            continue
        case(
            f"index_reduce {_reduce} {_own}",
            lambda x, v, r=_reduce, o=_own: x.index_reduce(1, torch.tensor([0, 2, 0]), v, r, include_self=o),
            _ONTO,
            _FROM,
        )
case(
    "scatter reduce=",
    lambda x, i, v: (x.scatter(1, i, 2.0, reduce="add"), x.scatter(1, i, 2.0, reduce="multiply")),
    fixed(_ONTO.clone()),
    _AT,
    _FROM,
)
case(
    "scatter_reduce of ints",
    lambda x, i, v: (
        x.scatter_reduce(1, i, v, "amax"),
        x.scatter_reduce(1, i, v, "mean"),
        x.scatter_reduce(1, i, v, "amin", include_self=False),
        x.scatter_add(1, i, v),
    ),
    _ONTO.long(),
    _AT,
    _FROM.long(),
)
case(
    "index_add",
    lambda x, v: (x.index_add(0, torch.tensor([1, 1, 0]), v), x.index_add(1, torch.tensor([1, 1, 0, 2]), v, alpha=2.5)),
    rand(3, 4),
    rand(3, 4, seed=1),
    named=False,
)
case(
    "index_copy index_fill",
    lambda x, v: (x.index_copy(0, torch.tensor([1, 0]), v), x.index_fill(1, torch.tensor([0, 3]), 2.0)),
    rand(3, 4),
    rand(2, 4),
    named=False,
)
case(
    "index_select",
    lambda x, i: (x.index_select(0, i), x.index_select(1, i)),
    rand(3, 4),
    torch.tensor([2, 0, 2]),
    named=False,
)
case(
    "index",
    lambda x, i: (x[i], x[:, i], x[i, i], x[i[:, None], i], x[..., i], x[i][:, i]),
    rand(3, 4, 5),
    torch.tensor([2, 0, -1]),
    named=False,
)
case(
    "index of a batch",
    lambda x, i: (x[:, i], x[:, i, 1:], x[:, i, i], x[torch.arange(x.shape[0]), 0]),
    rand(3, 4, 5),
    torch.tensor([2, 0, -1, 1]),
)
case("index apart", lambda x, i: x[i, :, i], rand(3, 4, 5), torch.tensor([2, 0]), named=False)
case(
    "index by lists and constants",
    lambda x: (x[[0, 2]], x[:, [1, 0, -1]], x[torch.tensor([True, False, True])], x[[0, 1], [1, 2]]),
    rand(3, 4),
    named=False,
)
case("index by a mask of data", lambda x: x[x > 0], rand(3, 4), named=False, refused="torch.where")
case("masked_select", lambda x: x.masked_select(x > 0), rand(3, 4), named=False, refused="torch.where")
case("nonzero", lambda x: x.nonzero(), ZEROS, named=False, refused="torch.where")
case("masked_scatter", lambda x, v: x.masked_scatter(x > 0, v), rand(3, 4), rand(12), named=False)
case("unique", lambda x: x.unique(), ints(5), refused="how many")
case("bincount", lambda x: x.bincount(), ints(5), refused="one_hot")
case("item", lambda x: x * x.sum().item(), rand(3))
case(
    "embedding",
    lambda w, i: (F.embedding(i, w), F.embedding(i, w, padding_idx=1)),
    rand(5, 3),
    ints(2, 4, high=5),
    named=False,
)
case("embedding layer", module(lambda: nn.Embedding(6, 3, padding_idx=-1)), ints(3, 4, high=6))
case("embedding max_norm", module(lambda: nn.Embedding(6, 3, max_norm=1.0)), ints(3, 4, high=6), refused="max_norm")
case(
    "embedding by frequency",
    module(lambda: nn.Embedding(6, 3, scale_grad_by_freq=True)),
    ints(3, 4, high=6),
    refused="scale_grad_by_freq",
)
for _mode in ("sum", "mean", "max"):
    case(f"embedding_bag {_mode}", module(lambda m=_mode: nn.EmbeddingBag(6, 3, mode=m)), ints(3, 4, high=6))
case("embedding_bag padding", module(lambda: nn.EmbeddingBag(6, 3, mode="mean", padding_idx=1)), ints(3, 4, high=6))
case(
    "embedding_bag offsets",
    lambda w, i: F.embedding_bag(i, w, torch.tensor([0, 2, 2, 5]), mode="sum"),
    rand(6, 3),
    ints(7, high=6),
    named=False,
)
case(
    "embedding_bag weights",
    lambda w, i, s: F.embedding_bag(i, w, per_sample_weights=s, mode="sum"),
    rand(6, 3),
    ints(2, 4, high=6),
    rand(2, 4),
    named=False,
)
case("one_hot", lambda i: (F.one_hot(i, 4), F.one_hot(i, 5).double() * 0.5), ints(3, 4))
case("one_hot of data", lambda i: F.one_hot(i), ints(3, 4), refused="cannot export")
case(
    "searchsorted",
    lambda x: (
        torch.searchsorted(torch.tensor([0.0, 1.0, 2.0], dtype=f64), x),
        torch.bucketize(x, torch.tensor([0.0, 1.0, 3.0], dtype=f64), right=True),
        torch.searchsorted(torch.tensor([0.0, 1.0], dtype=f64), x, side="right", out_int32=True),
    ),
    TIES,
)
case("isin", lambda i: torch.isin(i, torch.tensor([1, 4])), WHOLE)

# --- order ----------------------------------------------------------------------------------------------------------

case("sort", lambda x: (*x.sort(), *x.sort(0), *x.sort(descending=True), x.argsort(0), x.msort()), rand(3, 4))
case("sort of ties", lambda x: (*x.sort(stable=True), *torch.sort(x, stable=True, descending=True)), TIES)
case("topk", lambda x: (*x.topk(2), *x.topk(2, largest=False), *x.topk(1, 1)), rand(3, 4))
case("topk of an axis", lambda x: x.topk(2, 0)[0], rand(3, 4), named=False)
case("kthvalue", lambda x: (*x.kthvalue(2), *x.kthvalue(1, 0, keepdim=True)), rand(3, 4), named=False)

# --- products and linear algebra ------------------------------------------------------------------------------------


def _regular(*shape: int) -> torch.Tensor:
    """Return matrices that have an inverse."""
    return rand(*shape, shape[-1]) + 3 * torch.eye(shape[-1], dtype=f64)


_SPD = _regular(2, 3) @ _regular(2, 3).mT
case(
    "matmul",
    lambda x, y: (
        x @ y,
        torch.mm(x, y),
        x.matmul(y[:, 0]),
        x[0] @ y,
        x[0].dot(y[:, 1]),
        torch.mv(x, y[:, 0]),
        torch.inner(x, x),
        torch.outer(x[0], y[0]),
    ),
    rand(3, 4),
    rand(4, 5),
)
case(
    "matmul of batches",
    lambda x, y: (x @ y, torch.bmm(x, y), x @ y[0], x[0] @ y, x @ y[0, :, 0]),
    rand(3, 2, 4),
    rand(3, 4, 5),
)
case(
    "addmm",
    lambda x, a, b: (
        torch.addmm(x, a, b, beta=0.5, alpha=2),
        torch.addmv(x[:, 0], a, b[:, 0]),
        torch.addr(x, a[:, 0], b[0]),
        torch.baddbmm(x[None], a[None], b[None], beta=0),
    ),
    rand(3, 5),
    rand(3, 4),
    rand(4, 5),
)
case("linear", module(lambda: nn.Linear(4, 3)), rand(2, 5, 4))
case("linear of a vector", module(lambda: nn.Linear(4, 3, bias=False)), rand(4))
case("bilinear", module(lambda: nn.Bilinear(3, 4, 5)), rand(2, 3), rand(2, 4))
case(
    "einsum",
    lambda x, y: (
        torch.einsum("ij,jk->ik", x, y),
        torch.einsum("ij->ji", x),
        torch.einsum("ij,jk", x, y),
        torch.einsum("ij,ij->", x, x),
        torch.einsum("...j,jk->...k", x, y),
    ),
    rand(3, 4),
    rand(4, 5),
)
case(
    "einsum of a diagonal",
    lambda x: (torch.einsum("ii->i", x), torch.einsum("ii", x), torch.einsum("bij,bjk->bik", x[None], x[None])),
    rand(4, 4),
    named=False,
)
case("einsum of heads", lambda q, k: torch.einsum("bhqd,bhkd->bhqk", q, k), rand(3, 2, 4, 5), rand(3, 2, 6, 5))
case(
    "tensordot",
    lambda x, y: (torch.tensordot(x, y, dims=1), torch.tensordot(x, y, dims=([1, 0], [0, 1])), torch.kron(x, y)),
    rand(3, 4),
    rand(4, 3),
    named=False,
)
case("cross", lambda x, y: (torch.cross(x, y, dim=-1), torch.linalg.cross(x, y)), rand(4, 3), rand(4, 3, seed=1))
case(
    "multi_dot",
    lambda x, y: (torch.linalg.multi_dot([x, y, x]), torch.chain_matmul(x, y), torch.trace(x @ y)),
    rand(3, 4),
    rand(4, 3),
    named=False,
)
case("inv", lambda x: (torch.linalg.inv(x), torch.inverse(x), x.inverse()), _regular(2, 3))
case("det", lambda x: (torch.linalg.det(x), torch.det(x), *torch.linalg.slogdet(x), torch.logdet(x)), _SPD)
case("slogdet of a negative", lambda x: (*torch.linalg.slogdet(x), torch.det(x)), [[0.0, 2.0], [3.0, 1.0]], named=False)
case(
    "solve",
    lambda a, b: (torch.linalg.solve(a, b), torch.linalg.solve(a, b[..., 0]), torch.linalg.solve(a, b.mT, left=False)),
    _regular(2, 3),
    rand(2, 3, 4),
)
case("cholesky", lambda x: (torch.linalg.cholesky(x), torch.linalg.cholesky(x, upper=True)), _SPD)
case(
    "cholesky_solve",
    lambda b, x: (torch.cholesky_solve(b, torch.linalg.cholesky(x)), torch.cholesky_inverse(torch.linalg.cholesky(x))),
    rand(2, 3, 4),
    _SPD,
)
case(
    "solve_triangular",
    lambda a, b: (
        torch.linalg.solve_triangular(a, b, upper=True),
        torch.linalg.solve_triangular(a, b, upper=False),
        torch.linalg.solve_triangular(a, b.mT, upper=True, left=False),
        torch.linalg.solve_triangular(a, b, upper=True, unitriangular=True),
    ),
    _regular(2, 3),
    rand(2, 3, 4),
)
case(
    "matrix_power",
    lambda x: (torch.linalg.matrix_power(x, 3), torch.matrix_power(x, 0), torch.linalg.matrix_power(x, -1)),
    _regular(2, 3),
)
case("matrix_exp", torch.linalg.matrix_exp, rand(3, 3), named=False, refused="matrix_exp")
case("pinv", torch.linalg.pinv, rand(4, 3), named=False, refused="pinv")
case("qr", lambda x: torch.linalg.qr(x), rand(4, 3), named=False, refused="qr")
case("svd", lambda x: torch.linalg.svd(x)[1], rand(4, 3), named=False, refused="svd")
case("eigh", lambda x: torch.linalg.eigh(x)[0], _SPD, named=False, refused="eigh")
case("lstsq", lambda a, b: torch.linalg.lstsq(a, b)[0], rand(4, 3), rand(4, 2), named=False, refused="lstsq")
case(
    "cdist",
    lambda x, y: (torch.cdist(x, y), torch.cdist(x, y, p=1), torch.cdist(x, y, p=INF), torch.cdist(x, y, p=3.0)),
    rand(3, 4),
    rand(5, 4),
)
case(
    "cdist of equals",
    lambda x: (torch.cdist(x, x), torch.cdist(x, x, p=1), torch.cdist(x, x, p=INF)),
    TIES,
    named=False,
)
case("cdist of many", lambda x, y: torch.cdist(x, y), rand(30, 4), rand(31, 4), named=False)
case(
    "cosine_similarity",
    lambda x, y: (F.cosine_similarity(x, y), F.cosine_similarity(x, y, 0)),
    rand(3, 4),
    rand(3, 4, seed=1),
)
case(
    "cosine_similarity of zero",
    lambda x, y: F.cosine_similarity(x, y, -1),
    ZEROS * torch.tensor([[1.0], [0.0], [1.0]], dtype=f64),
    rand(3, 3),
)
case(
    "pairwise_distance",
    lambda x, y: (F.pairwise_distance(x, y), F.pairwise_distance(x, y, 1.0), F.pairwise_distance(x, y, INF)),
    rand(3, 4),
    rand(3, 4, seed=1),
)
case("pdist", lambda x: F.pdist(x), rand(4, 3), named=False)
case("vander", lambda x: torch.vander(x, 4), fixed(rand(3)))
case("vecdot", lambda x, y: torch.linalg.vecdot(x, y), rand(3, 4), rand(3, 4, seed=1))

# --- convolutions and pooling ---------------------------------------------------------------------------------------

case("conv1d", module(lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2)), rand(2, 4, 9))
case("conv2d", module(lambda: nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(1, 0))), rand(2, 3, 7, 6))
case("conv2d same", module(lambda: nn.Conv2d(3, 4, (3, 4), padding="same", dilation=(2, 1))), rand(2, 3, 7, 6))
case("conv2d valid", module(lambda: nn.Conv2d(3, 4, 3, padding="valid", bias=False)), rand(2, 3, 7, 6))
for _mode in ("reflect", "replicate", "circular"):
    case(f"conv2d {_mode}", module(lambda m=_mode: nn.Conv2d(3, 4, 3, padding=2, padding_mode=m)), rand(2, 3, 7, 6))
case(
    "conv2d same reflect",
    module(lambda: nn.Conv2d(3, 4, (3, 4), padding="same", padding_mode="reflect")),
    rand(2, 3, 7, 6),
)
case("conv2d depthwise", module(lambda: nn.Conv2d(4, 8, 3, groups=4, padding=1)), rand(2, 4, 5, 5))
case("conv2d of one image", module(lambda: nn.Conv2d(3, 4, 3)), rand(3, 7, 6), named=False)
case("conv3d", module(lambda: nn.Conv3d(2, 4, (2, 3, 1), stride=(1, 2, 1), padding=1, groups=2)), rand(2, 2, 4, 5, 3))
case(
    "conv_transpose1d",
    module(lambda: nn.ConvTranspose1d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2, dilation=2)),
    rand(2, 4, 5),
)
case(
    "conv_transpose2d",
    module(lambda: nn.ConvTranspose2d(3, 4, (3, 2), stride=(2, 3), padding=(1, 0), output_padding=(1, 2))),
    rand(2, 3, 4, 5),
)
case("conv_transpose3d", module(lambda: nn.ConvTranspose3d(2, 3, 2, stride=2)), rand(2, 2, 3, 2, 3))
case("weight_norm", module(lambda: nn.utils.parametrizations.weight_norm(nn.Conv1d(3, 4, 3))), rand(2, 3, 7))
case("max_pool1d", lambda x: (F.max_pool1d(x, 3), F.max_pool1d(x, 2, 1, 1)), rand(2, 3, 8))
case(
    "max_pool2d",
    lambda x: (
        F.max_pool2d(x, 3, 2),
        F.max_pool2d(x, (3, 2), padding=1, ceil_mode=True),
        F.max_pool2d(x, 2, 1, dilation=2),
    ),
    rand(2, 3, 8, 7),
)
case("max_pool2d of ties", lambda x: F.max_pool2d(x, 2), torch.ones(2, 1, 4, 4, dtype=f64))
case("max_pool3d", lambda x: F.max_pool3d(x, 2, ceil_mode=True), rand(2, 2, 4, 5, 3))
case("max_pool2d indices", lambda x: F.max_pool2d(x, 3, 2, return_indices=True), rand(2, 3, 8, 7))
case("max_unpool2d", lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2), rand(2, 3, 8, 6))
case(
    "avg_pool1d",
    lambda x: (F.avg_pool1d(x, 3), F.avg_pool1d(x, 3, 2, 1, True), F.avg_pool1d(x, 3, 2, 1, True, False)),
    rand(2, 3, 8),
)
case(
    "avg_pool2d",
    lambda x: (
        F.avg_pool2d(x, 3),
        F.avg_pool2d(x, (3, 2), (2, 1), (1, 0)),
        F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    ),
    rand(2, 3, 8, 7),
)
case(
    "avg_pool2d ceil",
    lambda x: (
        F.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
        F.avg_pool2d(x, 3, 2, 1, True, False),
        F.avg_pool2d(x, 2, 3, 1, True),
    ),
    rand(2, 3, 8, 7),
)
case(
    "avg_pool2d divisor",
    lambda x: (F.avg_pool2d(x, 2, divisor_override=3), F.avg_pool2d(x, 3, 2, 1, True, divisor_override=2)),
    rand(2, 3, 8, 7),
)
case("avg_pool3d", lambda x: F.avg_pool3d(x, (2, 3, 1), 2, (1, 1, 0)), rand(2, 2, 4, 5, 3))
case(
    "adaptive_avg_pool",
    lambda x: (F.adaptive_avg_pool2d(x, 1), F.adaptive_avg_pool2d(x, (3, 2)), F.adaptive_avg_pool2d(x, (None, 5))),
    rand(2, 3, 8, 7),
)
case("adaptive_avg_pool1d", lambda x: (F.adaptive_avg_pool1d(x, 3), F.adaptive_avg_pool1d(x, 1)), rand(2, 3, 8))
case(
    "adaptive_max_pool",
    lambda x: (F.adaptive_max_pool2d(x, (3, 2)), F.adaptive_max_pool2d(x, 1), F.adaptive_max_pool2d(x, (5, 4))),
    rand(2, 3, 8, 7),
)
case(
    "adaptive_max_pool indices",
    lambda x: F.adaptive_max_pool1d(x, 3, return_indices=True),
    rand(2, 3, 8),
    refused="return_indices",
)
case("adaptive_avg_pool3d", lambda x: F.adaptive_avg_pool3d(x, (2, 3, 1)), rand(2, 2, 4, 5, 3))
case("lp_pool", lambda x: (F.lp_pool2d(x, 2.0, 3, 2), F.lp_pool2d(x, 1.0, 2)), rand(2, 3, 8, 7))
case("lp_pool1d", lambda x: F.lp_pool1d(x, 3.0, 2), rand(2, 3, 8).abs())
case(
    "fractional_max_pool",
    lambda x: F.fractional_max_pool2d(x, 2, output_size=(3, 3)),
    rand(2, 3, 8, 7),
    refused="fractional",
)
case(
    "unfold of images",
    lambda x: (F.unfold(x, (2, 3), padding=1, stride=2), F.unfold(x, 2, dilation=2)),
    rand(2, 3, 6, 5),
)
case("fold of images", lambda x: F.fold(x, (5, 6), (2, 3), padding=1, stride=2), rand(2, 12, 9))

# --- images ---------------------------------------------------------------------------------------------------------

_IMAGE = rand(2, 3, 5, 4)
for _mode in ("nearest", "nearest-exact", "area"):
    case(
        f"interpolate {_mode}",
        lambda x, m=_mode: (
            F.interpolate(x, (7, 3), mode=m),
            F.interpolate(x, scale_factor=2, mode=m),
            F.interpolate(x, scale_factor=(1.7, 0.6), mode=m),
        ),
        _IMAGE,
    )
for _mode in ("bilinear", "bicubic"):
    for _corners in (True, False):
        case(
            f"interpolate {_mode} {_corners}",
            lambda x, m=_mode, c=_corners: (
                F.interpolate(x, (7, 3), mode=m, align_corners=c),
                F.interpolate(x, scale_factor=2, mode=m, align_corners=c),
                F.interpolate(x, (1, 9), mode=m, align_corners=c),
                F.interpolate(x, scale_factor=(1.7, 0.6), mode=m, align_corners=c),
            ),
            _IMAGE,
        )
    case(
        f"interpolate {_mode} scale recomputed",
        lambda x, m=_mode: F.interpolate(x, scale_factor=1.7, mode=m, recompute_scale_factor=True),
        _IMAGE,
    )
    case(
        f"interpolate {_mode} antialias",
        lambda x, m=_mode: (
            F.interpolate(x, (3, 2), mode=m, antialias=True),
            F.interpolate(x, (7, 3), mode=m, antialias=True),
        ),
        _IMAGE,
    )
case(
    "interpolate linear",
    lambda x: (
        F.interpolate(x, 7, mode="linear"),
        F.interpolate(x, scale_factor=0.6, mode="linear", align_corners=True),
        F.interpolate(x, 7),
    ),
    rand(2, 3, 5),
)
case(
    "interpolate trilinear",
    lambda x: (
        F.interpolate(x, (3, 5, 2), mode="trilinear"),
        F.interpolate(x, scale_factor=2, mode="trilinear", align_corners=True),
        F.interpolate(x, (3, 5, 2)),
    ),
    rand(2, 2, 4, 3, 3),
)
case("upsample layer", module(lambda: nn.Upsample(scale_factor=2, mode="bilinear")), _IMAGE)
_GRID = rand(2, 3, 4, 2, low=-1.3, high=1.3)
for _mode in ("bilinear", "nearest", "bicubic"):
    for _pad in ("zeros", "border", "reflection"):
        case(
            f"grid_sample {_mode} {_pad}",
            lambda x, g, m=_mode, p=_pad: (
                F.grid_sample(x, g, m, p, align_corners=False),
                F.grid_sample(x, g, m, p, align_corners=True),
            ),
            _IMAGE,
            _GRID,
        )
case(
    "grid_sample 3d",
    lambda x, g: F.grid_sample(x, g, align_corners=False),
    rand(2, 2, 3, 4, 3),
    rand(2, 2, 2, 3, 3, low=-1.2, high=1.2),
)
case(
    "affine_grid",
    lambda t: (F.affine_grid(t, (2, 3, 4, 5), align_corners=False), F.affine_grid(t, (2, 3, 4, 5), align_corners=True)),
    rand(2, 2, 3),
    named=False,
)

# --- normalization --------------------------------------------------------------------------------------------------

case("batch_norm training", module(lambda: nn.BatchNorm2d(3)), rand(4, 3, 5, 4))
case("batch_norm evaluation", module(lambda: nn.BatchNorm2d(3)).eval(), rand(4, 3, 5, 4))
case(
    "batch_norm without statistics",
    module(lambda: nn.BatchNorm1d(3, track_running_stats=False, affine=False)),
    rand(4, 3),
)
case("batch_norm cumulative", module(lambda: nn.BatchNorm1d(3, momentum=None)), rand(4, 3), refused="cannot export")
case("instance_norm", module(lambda: nn.InstanceNorm2d(3, affine=True)), rand(2, 3, 5, 4))
case(
    "instance_norm with statistics",
    module(lambda: nn.InstanceNorm1d(3, track_running_stats=True)).eval(),
    rand(2, 3, 5),
)
case(
    "instance_norm that moves statistics",
    module(lambda: nn.InstanceNorm1d(3, track_running_stats=True)),
    rand(2, 3, 5),
    refused="track_running_stats=False",
)
case("group_norm", module(lambda: nn.GroupNorm(2, 4)), rand(2, 4, 5))
case("layer_norm", module(lambda: nn.LayerNorm((3, 4), eps=1e-3)), rand(2, 3, 4))
case(
    "layer_norm plain",
    lambda x: (F.layer_norm(x, (4,)), F.layer_norm(x, (4,), bias=torch.ones(4, dtype=f64))),
    rand(3, 4),
)
case("rms_norm", module(lambda: nn.RMSNorm(4)), rand(3, 4))
case("rms_norm eps", lambda x: (F.rms_norm(x, (4,)), F.rms_norm(x, (3, 4), eps=1e-2)), rand(2, 3, 4))
case(
    "local_response_norm",
    lambda x: (F.local_response_norm(x, 3), F.local_response_norm(x, 2, 0.1, 0.5, 2.0)),
    rand(2, 5, 3, 3),
)
case("local_response_norm 1d", lambda x: F.local_response_norm(x, 3), rand(2, 5, 3))
case("spectral_norm", module(lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3))).eval(), rand(2, 4))
case("renorm", lambda x: x.renorm(2, 0, 1.0), rand(3, 4))

# --- losses ---------------------------------------------------------------------------------------------------------

_CLASSES = torch.tensor([0, 2, 1, 3, 2])
_SOME = torch.tensor([0, -100, 1, 3, -100])
_SHARES = torch.softmax(rand(5, 4, seed=9), -1)
_WEIGHTS = torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=f64)


def every(loss: Callable[..., torch.Tensor], **settings: Any) -> Callable[..., Any]:
    """Return a loss in all three reductions."""
    return lambda *given: tuple(loss(*given, reduction=each, **settings) for each in ("none", "mean", "sum"))


case("mse_loss", every(F.mse_loss), rand(5, 4), rand(5, 4, seed=1))
case(
    "mse_loss weighed", lambda x, y, w: F.mse_loss(x, y, weight=w), rand(5, 4), rand(5, 4, seed=1), rand(5, 4, low=0.1)
)
case("l1_loss", every(F.l1_loss), TIES, TIES.roll(1, 1))
case("smooth_l1_loss", every(F.smooth_l1_loss, beta=0.5), TIES, TIES.roll(1, 1) - 0.5)
case("smooth_l1_loss of beta 0", every(F.smooth_l1_loss, beta=0.0), TIES, TIES.roll(1, 1))
case("huber_loss", every(F.huber_loss, delta=1.0), TIES, TIES.roll(1, 1))
case("huber_loss delta", every(F.huber_loss, delta=0.7), rand(5, 4), rand(5, 4, seed=1))
case("cross_entropy", every(F.cross_entropy), rand(5, 4), _CLASSES)
case("cross_entropy ignoring", every(F.cross_entropy), rand(5, 4), _SOME)
case("cross_entropy weights", every(F.cross_entropy, weight=_WEIGHTS, ignore_index=2), rand(5, 4), _CLASSES)
case("cross_entropy smoothing", every(F.cross_entropy, label_smoothing=0.1), rand(5, 4), _CLASSES)
case(
    "cross_entropy smoothing and weights",
    every(F.cross_entropy, weight=_WEIGHTS, ignore_index=2, label_smoothing=0.1),
    rand(5, 4),
    _CLASSES,
)
case("cross_entropy of shares", every(F.cross_entropy, weight=_WEIGHTS, label_smoothing=0.1), rand(5, 4), _SHARES)
case(
    "cross_entropy of images",
    every(F.cross_entropy, weight=_WEIGHTS, label_smoothing=0.2),
    rand(2, 4, 3, 2),
    ints(2, 3, 2, high=4),
)
case(
    "cross_entropy of images of shares",
    every(F.cross_entropy, weight=_WEIGHTS),
    rand(2, 4, 3),
    torch.softmax(rand(2, 4, 3, seed=4), 1),
)
case("cross_entropy of one sample", every(F.cross_entropy), rand(4), torch.tensor(2))
case(
    "cross_entropy of nothing",
    lambda x, t: F.cross_entropy(x, t, reduction="sum"),
    rand(2, 4),
    torch.tensor([-100, -100]),
)
case("nll_loss", every(F.nll_loss, weight=_WEIGHTS), rand(5, 4), _SOME)
case("nll_loss of images", every(F.nll_loss), rand(2, 4, 3, 2), ints(2, 3, 2, high=4))
case(
    "binary_cross_entropy",
    every(F.binary_cross_entropy),
    rand(5, 4, low=0.05, high=0.95),
    rand(5, 4, low=0.0, high=1.0, seed=1),
)
case(
    "binary_cross_entropy at bounds",
    every(F.binary_cross_entropy),
    [0.0, 1.0, 0.0, 1.0, 0.5],
    [0.0, 1.0, 1.0, 0.0, 1.0],
)
case(
    "binary_cross_entropy weights",
    lambda p, t: F.binary_cross_entropy(p, t, weight=_WEIGHTS),
    rand(5, 4, low=0.05, high=0.95),
    rand(5, 4, low=0.0, high=1.0, seed=1),
)
case(
    "binary_cross_entropy_with_logits",
    every(F.binary_cross_entropy_with_logits),
    rand(5, 4) * 50,
    rand(5, 4, low=0.0, high=1.0, seed=1),
)
case(
    "binary_cross_entropy_with_logits weights",
    every(F.binary_cross_entropy_with_logits, weight=_WEIGHTS, pos_weight=_WEIGHTS),
    rand(5, 4),
    rand(5, 4, low=0.0, high=1.0, seed=1),
)
case("kl_div", every(F.kl_div), rand(5, 4), torch.cat([_SHARES[:4], torch.tensor([[0.0, 0.5, 0.5, 0.0]], dtype=f64)]))
case(
    "kl_div log",
    lambda x, t: (
        F.kl_div(x, t, reduction="batchmean", log_target=True),
        F.kl_div(x, t, reduction="sum", log_target=True),
    ),
    rand(5, 4),
    rand(5, 4, seed=1),
)
case(
    "poisson_nll_loss",
    lambda x, t: (
        F.poisson_nll_loss(x, t),
        F.poisson_nll_loss(x.exp(), t, log_input=False, full=True),
        F.poisson_nll_loss(x, t, full=True, reduction="sum"),
    ),
    rand(5, 4),
    ints(5, 4, high=5).double(),
)
case(
    "gaussian_nll_loss",
    lambda x, t, v: (F.gaussian_nll_loss(x, t, v), F.gaussian_nll_loss(x, t, v, full=True, reduction="none")),
    rand(5, 4),
    rand(5, 4, seed=1),
    rand(5, 4, low=0.1),
)
case("soft_margin_loss", every(F.soft_margin_loss), rand(5, 4), fixed(rand(5, 4, seed=1).sign()))
case("hinge_embedding_loss", every(F.hinge_embedding_loss), TIES, rand(3, 4, seed=1).sign())
case("margin_ranking_loss", every(F.margin_ranking_loss, margin=0.5), rand(5), rand(5, seed=1), rand(5, seed=2).sign())
case(
    "cosine_embedding_loss",
    every(F.cosine_embedding_loss, margin=0.1),
    rand(5, 4),
    rand(5, 4, seed=1),
    rand(5, seed=2).sign(),
)
case("triplet_margin_loss", every(F.triplet_margin_loss, swap=True), rand(5, 4), rand(5, 4, seed=1), rand(5, 4, seed=2))
case(
    "triplet_margin_with_distance_loss",
    lambda a, p, n: F.triplet_margin_with_distance_loss(a, p, n),
    rand(5, 4),
    rand(5, 4, seed=1),
    rand(5, 4, seed=2),
)
case("multi_margin_loss", every(F.multi_margin_loss, weight=_WEIGHTS), rand(5, 4), _CLASSES)
case("multi_margin_loss squared", every(F.multi_margin_loss, p=2, margin=0.5), rand(5, 4), _CLASSES)
case(
    "multilabel_margin_loss", every(F.multilabel_margin_loss), rand(2, 4), torch.tensor([[3, 0, -1, 1], [1, -1, 0, 0]])
)
case("multilabel_soft_margin_loss", every(F.multilabel_soft_margin_loss), rand(5, 4), ints(5, 4, high=2).double())
case(
    "ctc_loss",
    lambda x: F.ctc_loss(x.log_softmax(-1), torch.tensor([[1, 2]]), torch.tensor([5]), torch.tensor([2])),
    rand(5, 1, 4),
    named=False,
    refused="ctc",
)

# --- attention ------------------------------------------------------------------------------------------------------

_Q, _K, _V = rand(2, 4, 5, 6), rand(2, 4, 7, 6, seed=1), rand(2, 4, 7, 3, seed=2)
_attend = F.scaled_dot_product_attention
case("attention", lambda q, k, v: (_attend(q, k, v), _attend(q, k, v, scale=0.5)), _Q, _K, _V)
case("attention causal", lambda q, k, v: _attend(q, k, v, is_causal=True), _Q, _K, _V)
case("attention of few keys causal", lambda q, k, v: _attend(q, k, v, is_causal=True), _K, _Q, rand(2, 4, 5, 3))
_MASK = torch.tensor(np.random.default_rng(3).uniform(size=(5, 7)) > 0.5)
_MASK[2] = False
case("attention mask", lambda q, k, v: _attend(q, k, v, attn_mask=_MASK | (torch.arange(7) < 1)), _Q, _K, _V)
case("attention row excluded", lambda q, k, v: _attend(q, k, v, attn_mask=_MASK), _Q, _K, _V)
case("attention float mask", lambda q, k, v, m: _attend(q, k, v, attn_mask=m), _Q, _K, _V, rand(5, 7))
case(
    "attention float mask of a row",
    lambda q, k, v: _attend(q, k, v, attn_mask=torch.zeros(5, 7, dtype=f64).masked_fill(~_MASK, -INF)),
    _Q,
    _K,
    _V,
)
case(
    "attention mask of a batch",
    lambda q, k, v, m: _attend(q, k, v, attn_mask=m[:, None, None, :]),
    _Q,
    _K,
    _V,
    ints(2, 7, high=2, seed=5) > 0,
)
case("attention gqa", lambda q, k, v: _attend(q, k[:, :2], v[:, :2], enable_gqa=True), _Q, _K, _V)
case("attention of three axes", lambda q, k, v: _attend(q, k, v), _Q[0], _K[0], _V[0])
case(
    "multihead attention",
    module(lambda: nn.MultiheadAttention(6, 2, batch_first=True)),
    rand(3, 4, 6),
    rand(3, 4, 6, seed=1),
    rand(3, 4, 6, seed=2),
)
case(
    "encoder layer",
    module(lambda: nn.TransformerEncoderLayer(6, 2, 8, 0.0, batch_first=True, norm_first=True)),
    rand(3, 4, 6),
)
case(
    "decoder layer",
    module(lambda: nn.TransformerDecoderLayer(6, 2, 8, 0.0, batch_first=True)),
    rand(3, 4, 6),
    rand(3, 5, 6, seed=1),
)


class GivenState(nn.Module):
    """A recurrent layer that goes on from a state, and gives back its last one."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.LSTM(4, 3, batch_first=True)

    def forward(self, x: torch.Tensor, hidden: torch.Tensor, cell: torch.Tensor) -> Any:
        found, (last, inner) = self.inner(x, (hidden[None], cell[None]))
        return found.sum(), last, inner


# --- recurrent layers -----------------------------------------------------------------------------------------------

case("lstm", module(lambda: nn.LSTM(4, 3, 2, bidirectional=True)), rand(5, 2, 4), named=False)
case("lstm batch_first", module(lambda: nn.LSTM(4, 3, batch_first=True)), rand(2, 5, 4))
case("lstm without biases", module(lambda: nn.LSTM(4, 3, bias=False, batch_first=True)), rand(2, 5, 4))
case(
    "lstm with projections",
    module(lambda: nn.LSTM(4, 5, 2, proj_size=3, batch_first=True, bidirectional=True)),
    rand(2, 5, 4),
)
case("lstm of one sequence", module(lambda: nn.LSTM(4, 3)), rand(5, 4), named=False)
case("gru", module(lambda: nn.GRU(4, 3, 2, bidirectional=True, batch_first=True)), rand(2, 5, 4))
case("rnn", module(lambda: nn.RNN(4, 3, 2, batch_first=True)), rand(2, 5, 4))
case("rnn relu", module(lambda: nn.RNN(4, 3, nonlinearity="relu", bidirectional=True, batch_first=True)), rand(2, 5, 4))
case(
    "lstm over a time with a name",
    module(lambda: nn.LSTM(4, 3, 2, bidirectional=True)),
    rand(5, 2, 4),
    refused="PyTorch fixes the size",
)
case("gru over a time with a name", module(lambda: nn.GRU(4, 3)), rand(5, 2, 4), refused="PyTorch fixes the size")
case("gru over a long time", module(lambda: nn.GRU(2, 3, bidirectional=True)), rand(70, 1, 2), named=False)
case("lstm of a given state", module(lambda: GivenState()), rand(2, 5, 4), rand(2, 3), rand(2, 3, seed=1))
case("lstm cell", module(lambda: nn.LSTMCell(4, 3)), rand(2, 4))
case("gru cell", module(lambda: nn.GRUCell(4, 3)), rand(2, 4), rand(2, 3))
case("rnn cell", module(lambda: nn.RNNCell(4, 3)), rand(2, 4))

# --- tensors made of sizes and numbers ------------------------------------------------------------------------------

case(
    "dropout in evaluation",
    module(lambda: nn.Sequential(nn.Dropout(0.5), nn.Dropout2d(0.2), nn.AlphaDropout(0.1))).eval(),
    rand(2, 3, 4, 4),
)
case(
    "arange",
    lambda x: (
        x[:6] * torch.arange(0, 0.6, 0.1, dtype=f64),
        torch.arange(5),
        torch.arange(2, 9, 3),
        torch.arange(1.0, 0.0, -0.25),
        torch.arange(0, 1, 0.1),
    ),
    rand(6),
)
case(
    "linspace",
    lambda x: (
        x * torch.linspace(0, 1, 6, dtype=f64),
        torch.linspace(-3, 7, 11),
        torch.linspace(2, 1, 1),
        torch.logspace(0, 2, 5, dtype=f64),
    ),
    rand(6),
)
for _window in (
    torch.hamming_window,
    torch.hann_window,
    torch.blackman_window,
    torch.bartlett_window,
    torch.kaiser_window,
):
    case(
        _window.__name__,
        lambda x, w=_window: (
            x * w(6, dtype=f64),
            w(7, periodic=False, dtype=f64),
            w(1, dtype=f64),
        ),
        rand(6),
    )
case(
    "eye full",
    lambda x: (
        x + torch.eye(4, dtype=f64),
        torch.eye(2, 3),
        torch.full((2, 2), 7),
        torch.zeros_like(x),
        torch.ones_like(x, dtype=torch.int64),
        x.new_full((2,), 3.0),
        torch.full_like(x, 1.5),
        torch.empty_like(x).fill_(2.0),
    ),
    rand(4, 4),
    named=False,
)
case(
    "tensor of Python",
    lambda x: (
        x * torch.tensor([1.0, 2.0, 3.0]),
        x + torch.tensor(2),
        x @ torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=f64),
    ),
    rand(4, 3),
)
case("fake_quantize", lambda x: torch.fake_quantize_per_tensor_affine(x, 0.1, 2, -8, 7), rand(5, 4) * 2)
case(
    "fake_quantize of channels",
    lambda x: torch.fake_quantize_per_channel_affine(
        x, torch.tensor([0.1, 0.2, 0.3, 0.1]), torch.zeros(4, dtype=torch.int32), 1, -8, 7
    ),
    (rand(5, 4) * 2).float(),
)
case("straight through", lambda x: x + (x.round() - x).detach(), rand(5, 4))
case("no_grad", lambda x: (lambda m: x * m)(_without_gradient(x)), rand(3, 4))
case("checkpoint of a loss", lambda x: (x - x.logsumexp(-1, keepdim=True)).exp().prod(-1), rand(3, 4))


class Spectral(nn.Module):
    """A layer of a Fourier neural operator: its weights are complex, and it writes to the modes that it keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 4, 5, dtype=torch.complex128))
        self.mixed = nn.Conv1d(4, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spectrum = torch.fft.rfft(x)
        found = torch.zeros(x.shape[0], 4, spectrum.shape[-1], dtype=torch.complex128)
        found[:, :, :5] = torch.einsum("bix,iox->box", spectrum[:, :, :5], self.weight)
        return self.mixed(torch.fft.irfft(found, n=x.shape[-1]))


class RotaryTable(nn.Module):
    """Rotary positions by a buffer of complex numbers."""

    def __init__(self) -> None:
        super().__init__()
        angles = torch.outer(torch.arange(8, dtype=f64), torch.tensor([1.0, 0.1, 0.01], dtype=f64))
        self.register_buffer("turns", torch.polar(torch.ones_like(angles), angles))
        self.linear = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pairs = torch.view_as_complex(self.linear(x).reshape(*x.shape[:-1], -1, 2))
        return torch.view_as_real(pairs * self.turns[: x.shape[1]]).flatten(2)


# --- complex numbers ------------------------------------------------------------------------------------------------

case(
    "rfft",
    lambda x: (
        torch.fft.rfft(x).abs(),
        torch.view_as_real(torch.fft.rfft(x)),
        torch.fft.rfft(x).real,
        torch.fft.rfft(x, norm="ortho").imag,
    ),
    rand(3, 8),
)
case(
    "rfft and back",
    lambda x, w: torch.fft.irfft(torch.fft.rfft(x) * torch.view_as_complex(w), n=8),
    rand(3, 8),
    rand(5, 2),
    named=False,
)
case(
    "fft",
    lambda x: (
        torch.fft.fft(x).real,
        torch.fft.ifft(torch.fft.fft(x)).real,
        torch.fft.fft(x, n=5).imag,
        torch.fft.fft(x, dim=0).abs(),
    ),
    rand(3, 8),
    named=False,
)
case(
    "fft2",
    lambda x: (
        torch.fft.fft2(x).real,
        torch.fft.irfft2(torch.fft.rfft2(x), s=(4, 6)),
        torch.fft.rfftn(x, dim=(0, 1)).abs(),
    ),
    rand(2, 4, 6),
    named=False,
)
case(
    "fourier layer",
    lambda x, a, b: torch.fft.irfft(
        torch.einsum("bix,iox->box", torch.fft.rfft(x)[:, :, :3], torch.complex(a, b)), n=8
    ),
    rand(2, 3, 8),
    rand(3, 4, 3),
    rand(3, 4, 3, seed=1),
)
case(
    "rotary by complex numbers",
    lambda x: torch.view_as_real(
        torch.view_as_complex(x.reshape(2, 4, 3, 2))
        * torch.polar(torch.ones(4, 3, dtype=f64), torch.arange(12, dtype=f64).reshape(4, 3))
    ).flatten(2),
    rand(2, 4, 6),
    named=False,
)
case(
    "stft with a window",
    lambda x: torch.stft(x, 8, 4, window=torch.hann_window(8, dtype=f64), return_complex=True).abs(),
    rand(2, 32),
)
case(
    "complex arithmetic",
    lambda x, y: (lambda z: (z * z.conj()).real + (z / (z + 1)).imag + z.angle() + (z * 2.0 - z).abs())(
        torch.complex(x, y)
    ),
    rand(3, 4),
    rand(3, 4, seed=1),
)
case("complex exp", lambda x, y: torch.view_as_real(torch.exp(torch.complex(x, y))), rand(3, 4), rand(3, 4, seed=1))
case(
    "long transforms",
    lambda x: (
        torch.fft.rfft(x).abs(),
        torch.fft.irfft(torch.fft.rfft(x), n=600),
        torch.fft.fft(x, n=1024).imag,
        torch.fft.irfft(torch.fft.rfft(x)[:, :200], n=600),
        torch.fft.irfft(torch.fft.rfft(x), n=1023),
    ),
    rand(2, 600),
)
case(
    "transforms of other lengths",
    lambda x: (
        torch.fft.irfft(torch.fft.rfft(x), n=7),
        torch.fft.irfft(torch.fft.rfft(x)),
        torch.fft.rfft(x, n=9, norm="forward").real,
        torch.fft.irfft(torch.fft.rfft(x, norm="ortho"), norm="ortho"),
        torch.fft.irfft(x),
    ),
    rand(3, 8),
)
case(
    "transforms of axes",
    lambda x: (
        torch.fft.irfftn(torch.fft.rfftn(x, dim=(1, 2)), s=(4, 6), dim=(1, 2)),
        torch.fft.ifftn(torch.fft.fftn(x)).real,
        torch.fft.ifft2(torch.fft.fft2(x)).real,
        torch.fft.fftshift(torch.fft.fft(x, dim=1), dim=1).imag,
    ),
    rand(2, 4, 6),
    named=False,
)
case(
    "complex tensors moved",
    lambda x, y: (
        lambda z: (
            torch.cat([z, z * 2]).real,
            z.reshape(-1).imag,
            z.mT.real,
            z.sum(-1).abs(),
            z.mean(0).imag,
            z[:, 1:].real,
            torch.where(x > 0, z, 0).imag,
            torch.stack([z, z.conj()]).imag,
            z.flip(0).real,
        )
    )(torch.complex(x, y)),
    rand(3, 4),
    rand(3, 4, seed=1),
    named=False,
)
case(
    "complex tensors written to",
    lambda x, y: (
        lambda z, full: (
            full[:, 1:3].copy_(z[:, :2]),
            full.mul_(2.0),
            full[:, 0].fill_(1.0),
            (full * 1j).real + full.abs(),
        )[-1]
    )(torch.complex(x, y), torch.zeros(3, 5, dtype=torch.complex128)),
    rand(3, 4),
    rand(3, 4, seed=1),
    named=False,
)
case(
    "complex products",
    lambda x, y: (
        lambda z: (
            (z @ z.mT).real,
            torch.exp(1j * x).imag,
            (1 / z).real,
            (z - 1j).imag,
            (2 - z).real,
            (z**1).real if False else z.square().imag,
        )
    )(torch.complex(x, y)),
    rand(3, 4),
    rand(3, 4, seed=1),
)
case("spectral layer", module(lambda: Spectral()), rand(2, 3, 16))
case("rotary table of complex numbers", module(lambda: RotaryTable()), rand(2, 5, 6))
case("stft", lambda x: torch.view_as_real(torch.stft(x, 8, 4, return_complex=True)), rand(2, 32))
case(
    "stft of a short window",
    lambda x, w: torch.stft(
        x, 16, 4, 12, window=w, center=False, normalized=True, onesided=False, return_complex=True
    ).abs(),
    rand(3, 40),
    rand(12),
)
case("complex result", lambda x: torch.fft.rfft(x), rand(3, 8), refused="complex")
case("complex sine", lambda x, y: torch.sin(torch.complex(x, y)).real, rand(3, 4), rand(3, 4, seed=1), refused="sin")


def _without_gradient(x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return x.exp() * 2


# --- the comparison -------------------------------------------------------------------------------------------------


class Operation(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *given: torch.Tensor) -> Any:
        return self.function(*given)


def larger(example: torch.Tensor) -> torch.Tensor:
    """Return an example with more rows: those, and changed ones."""
    more = example.flip(0) if not example.is_floating_point() else example.flip(0) * 0.75
    return torch.cat([example, more, example[:1]])


def read(given: Case) -> gn.Graph:
    """Return the graph of an operation."""
    made = given.function if isinstance(given.function, nn.Module) else Operation(given.function)
    rows = given.examples[0].shape[:1]
    dims = [{0: "rows"} if given.named and each.ndim and each.shape[:1] == rows else None for each in given.examples]
    return gn.from_torch(made, *given.examples, dims=dims, check=False)


def compare(graph: gn.Graph, given: Case, examples: tuple[torch.Tensor, ...]) -> None:
    """Assert that values, dtypes and all gradients are PyTorch's."""
    fixed = [hasattr(each, "fixed") for each in given.examples]
    leaves = [
        each.clone().requires_grad_() if each.is_floating_point() and not still else each
        for each, still in zip(examples, fixed, strict=True)
    ]
    function = copy.deepcopy(given.function)  # a module's statistics move
    results = [each for each in torch.utils._pytree.tree_leaves(function(*leaves)) if isinstance(each, torch.Tensor)]
    inputs = list(graph.inputs)
    nodes = list(graph.outputs.values())
    assert len(inputs) == len(leaves)
    assert len(nodes) == len(results)
    weights = dict(function.named_parameters()) if isinstance(function, nn.Module) else {}
    turned = [name for name, each in weights.items() if each.is_complex()]
    sought = {**{name: leaf for name, leaf in zip(inputs, leaves, strict=True) if leaf.requires_grad}, **weights}
    rng = np.random.default_rng(5)
    factors = [rng.normal(size=each.shape).astype(each.detach().numpy().dtype) for each in results]
    floats = [place for place, each in enumerate(results) if each.requires_grad]
    real = [place for place, each in enumerate(results) if each.is_floating_point()]
    expected: list[Any] = []
    if floats:
        expected = list(
            torch.autograd.grad(
                [results[at] for at in floats],
                list(sought.values()),
                [torch.tensor(factors[at]) for at in floats],
                allow_unused=True,
            )
        )
    wanted: list[Any] = [*nodes]
    if expected and real:
        total = sum((gn.sum(nodes[at] * factors[at]) for at in real[1:]), gn.sum(nodes[real[0]] * factors[real[0]]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            places = [[f"{name}_real", f"{name}_imag"] if name in turned else [name] for name in sought]
            wanted += gn.grad(total, [graph[each] for names in places for each in names])
    feed = {name: each.detach().numpy() for name, each in zip(inputs, leaves, strict=True)}
    found = gn.run(wanted, feed)
    for place, (mine, theirs) in enumerate(zip(found[: len(nodes)], results, strict=True)):
        array = theirs.detach().numpy()
        assert mine.dtype == array.dtype, f"result {place} is {mine.dtype}, and PyTorch's {array.dtype}"
        assert mine.shape == array.shape, f"result {place} is {mine.shape}, and PyTorch's {array.shape}"
        np.testing.assert_allclose(mine, array, **_near(array, given.rtol), err_msg=f"result {place}")
    given_back = iter(found[len(nodes) :])
    for name, theirs in zip(sought, expected, strict=False):
        mine = next(given_back) + 1j * next(given_back) if name in turned else next(given_back)
        array = np.zeros_like(mine) if theirs is None else theirs.numpy(force=True)
        # Where PyTorch has no derivative but NaN, of a row of -inf and the like, graphnn may have one.
        kept = ~np.isnan(array)
        np.testing.assert_allclose(mine[kept], array[kept], **_near(array, given.rtol), err_msg=f"gradient of {name}")


def _near(array: Any, rtol: float) -> dict[str, Any]:
    single = array.dtype.kind == "f" and array.dtype != np.float64
    return {"rtol": 2e-5, "atol": 1e-5} if single else {"rtol": rtol, "atol": 1e-11}


@pytest.mark.filterwarnings("ignore::UserWarning")  # of PyTorch's: what is in beta, how a mean is meant
@pytest.mark.parametrize("given", CASES, ids=[each.name for each in CASES])
def test_an_operation_is_right_or_refused(given: Case) -> None:
    """Values and all gradients are PyTorch's, or the error names the operation and says what to write."""
    if given.refused is not None:
        with pytest.raises(GraphnnError, match=given.refused):
            read(given)
        return
    graph = read(given)
    compare(graph, given, given.examples)
    if given.named:
        rows = given.examples[0].shape[:1]
        compare(
            graph,
            given,
            tuple(larger(each) if each.ndim and each.shape[:1] == rows else each for each in given.examples),
        )


def test_dropout_between_recurrent_layers_is_off_in_evaluation() -> None:
    """In training, layers but the last one are dropped from; the evaluated graph is the module's in evaluation."""
    made = module(lambda: nn.LSTM(4, 3, 3, dropout=0.5, batch_first=True))
    x = rand(2, 5, 4)
    graph = gn.from_torch(made, x, check=False)
    output = next(iter(graph.outputs.values()))
    feed = {next(iter(graph.inputs)): x.numpy()}
    wanted = made.eval()(x)[0].detach().numpy()
    assert not np.allclose(gn.run(output, feed), wanted)
    evaluated = gn.replace(output, graph.evaluation)
    np.testing.assert_allclose(gn.run(evaluated, feed), wanted, rtol=1e-9)


@pytest.mark.parametrize("write", [False, True])
def test_a_place_out_of_range_is_an_error(write: bool) -> None:
    """Of places in several axes, each is held against its own axis, and not against all elements."""

    def function(x: torch.Tensor, i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
        if not write:
            return x[i, j]
        y = x * 1.0
        y[i, j] = 2.0
        return y

    graph = gn.from_torch(Operation(function), rand(3, 4), torch.tensor([0, 1]), torch.tensor([0, 3]), check=False)
    output = graph.outputs["output"]
    with pytest.raises(IndexError, match="4"):
        gn.run(output, dict(zip(graph.inputs, [np.ones((3, 4)), [0, 1], [0, 4]], strict=True)))


def test_places_and_masks_take_few_nodes() -> None:
    """Places count from the end by themselves; recurrent steps and images make no chains of nodes."""

    def nodes(function: Any, *examples: torch.Tensor) -> int:
        return len(read(Case("", function, examples))) - len(examples)

    assert nodes(lambda x, i: x[:, i], rand(3, 4), torch.tensor([0, -1])) == 1
    assert nodes(lambda x, i: x[i, i], rand(3, 4), torch.tensor([0, -1])) <= 4
    assert nodes(lambda x: F.gelu(F.softmax(x, -1)), rand(3, 4)) <= 7
    assert nodes(lambda x: F.interpolate(x, scale_factor=2), rand(1, 2, 3, 3)) == 3
    assert nodes(lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"), rand(1, 2, 3, 3)) <= 5
    assert nodes(nn.LSTM(4, 5, 2, bidirectional=True).to(f64), rand(6, 2, 4)) < 600


def test_most_operations_are_right() -> None:
    """Of 165 small operations or more, at least 150 are read."""
    assert len(CASES) == len({each.name for each in CASES})
    assert len([each for each in CASES if each.refused is None]) >= 150
