"""Initializers: the formulas, the draws, and what they refuse."""

import math
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn

F8 = np.dtype(np.float64)


def both_generators() -> list[Any]:
    return [np.random.default_rng(7), np.random.RandomState(7)]


@pytest.mark.parametrize("kind", [0, 1], ids=["Generator", "RandomState"])
def test_draws_are_the_generators_own(kind: int) -> None:
    rng, same = both_generators()[kind], both_generators()[kind]
    for init, draw in [
        (nn.init.uniform(-1.0, 2.0), lambda: same.uniform(-1.0, 2.0, (3, 4))),
        (nn.init.normal(1.0, 0.5), lambda: same.normal(1.0, 0.5, (3, 4))),
        (nn.init.zeros(), lambda: np.zeros((3, 4))),
        (nn.init.ones(), lambda: np.ones((3, 4))),
        (nn.init.constant(0.3), lambda: np.full((3, 4), 0.3)),
        (nn.init.glorot_uniform(), lambda: same.uniform(-math.sqrt(6 / 7), math.sqrt(6 / 7), (3, 4))),
        (nn.init.glorot_normal(), lambda: same.normal(0, math.sqrt(2 / 7), (3, 4))),
        (nn.init.he_uniform(), lambda: same.uniform(-math.sqrt(2), math.sqrt(2), (3, 4))),
        (nn.init.he_normal(), lambda: same.normal(0, math.sqrt(2 / 3), (3, 4))),
    ]:
        value = init((3, 4), F8, rng)
        assert value.dtype == F8
        np.testing.assert_array_equal(value, draw())


def test_uniform_is_the_published_recipe_to_the_bit() -> None:
    rng, published = np.random.RandomState(42), np.random.RandomState(42)
    for shape in [(4, 10), (10, 3)]:
        value = nn.init.uniform(0.0, 0.1)(shape, F8, rng)
        np.testing.assert_array_equal(value, 0.1 * published.rand(*shape))


@pytest.mark.parametrize(
    ("shape", "fans"),
    [((), (1, 1)), ((5,), (5, 5)), ((2, 3), (2, 3)), ((3, 3, 2, 8), (18, 72)), ((0, 4), (1, 4))],
)
def test_fans(shape: tuple[int, ...], fans: tuple[int, int]) -> None:
    fan_in, fan_out = fans
    for init, limit in [
        (nn.init.glorot_uniform(), math.sqrt(6 / (fan_in + fan_out))),
        (nn.init.he_uniform(), math.sqrt(6 / fan_in)),
    ]:
        drawn = init(shape, F8, np.random.default_rng(0))
        np.testing.assert_array_equal(drawn, np.random.default_rng(0).uniform(-limit, limit, shape))


def test_draws_are_float64_before_they_are_cast() -> None:
    value = nn.init.uniform(0.0, 1.0)((5,), np.dtype(np.float32), np.random.default_rng(0))
    assert value.dtype == np.float32
    np.testing.assert_array_equal(value, np.random.default_rng(0).uniform(0, 1, 5).astype(np.float32))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: nn.init.uniform(1.0, 0.0), ValueError, "lo = 1.0 and hi = 0.0"),
        (lambda: nn.init.normal(0.0, -1.0), ValueError, "std is 0 or more, not -1"),
        (lambda: nn.Dense(2, weight_init="he_normal"), TypeError, "not 'he_normal'"),
        (lambda: nn.Dense(2, bias_init=np.zeros(2)), TypeError, "bias_init is an initializer.*not ndarray"),
        (
            lambda: nn.Dense(2, weight_init=lambda shape: np.ones(shape)),
            TypeError,
            r"3 arguments, .*, and takes \(shape\)",
        ),
        (lambda: nn.Dense(2, rng=42), TypeError, r"np\.random\.default_rng\(42\)"),
        (lambda: nn.Dense(2, rng=np.random), TypeError, "not module"),
    ],
)
def test_refusals(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        make()
    assert isinstance(caught.value, gn.GraphnnError)


def test_what_an_initializer_gives_is_checked() -> None:
    x = gn.Graph().placeholder("x", shape=("batch", 2))
    with pytest.raises(gn.ShapeError, match=r"returned shape \(3, 2\) instead of \(2, 3\)"):
        nn.Dense(3, weight_init=lambda shape, dtype, rng: np.zeros(shape[::-1]))(x)
    with pytest.raises(gn.DtypeError, match="gave is of dtype <U1"):
        nn.Dense(3, weight_init=lambda shape, dtype, rng: np.full(shape, "w"))(x)
    with pytest.raises(gn.UsageError, match="node"):
        nn.Dense(3, weight_init=lambda shape, dtype, rng: x)(x)
