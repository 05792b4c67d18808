"""The data sets made on the spot."""

import numpy as np
import pytest

import graphnn as gn
from graphnn import datasets


def test_spiral_is_the_published_recipe() -> None:
    np.random.seed(5)  # noqa: NPY002 - the recipe's own generator
    arms = []
    for j in range(3):
        r = np.linspace(0, 1, 100)
        t = np.linspace(4 * j, 4 * (j + 1), 100) + 0.2 * np.random.randn(100)  # noqa: NPY002
        arms.append(np.c_[r * np.sin(t), r * np.cos(t)])
    X, y = datasets.spiral(100, classes=3, seed=np.random.RandomState(5))
    np.testing.assert_array_equal(X, np.concatenate(arms))
    np.testing.assert_array_equal(y, np.repeat([0, 1, 2], 100))
    assert (X.dtype, y.dtype) == (np.float64, np.int64)


def test_spiral_takes_seeds_and_generators() -> None:
    X, _ = datasets.spiral(seed=3)
    np.testing.assert_array_equal(X, datasets.spiral(seed=3)[0])
    np.testing.assert_array_equal(X, datasets.spiral(seed=np.random.default_rng(3))[0])
    assert not np.array_equal(X, datasets.spiral(seed=4)[0])
    np.testing.assert_array_equal(datasets.spiral()[0], datasets.spiral(seed=0)[0])


def test_spiral_of_other_sizes() -> None:
    X, y = datasets.spiral(7, classes=2, noise=0.0)
    assert X.shape == (14, 2)
    np.testing.assert_allclose(np.hypot(*X.T), np.tile(np.linspace(0, 1, 7), 2), rtol=1e-12)
    np.testing.assert_array_equal(np.bincount(y), [7, 7])
    with pytest.raises(gn.ValueRangeError, match="points=0 and classes=3"):
        datasets.spiral(0)


@pytest.mark.parametrize(
    ("name", "gate"),
    [
        ("and", np.logical_and),
        ("OR", np.logical_or),
        ("nand", lambda a, b: ~np.logical_and(a, b)),
        ("xor", np.logical_xor),
    ],
)
def test_gates(name: str, gate: np.ufunc) -> None:
    X, y = datasets.gates(name)
    assert (X.shape, X.dtype, y.dtype) == ((4, 2), np.float64, np.int64)
    assert len({tuple(row) for row in X}) == 4
    np.testing.assert_array_equal(y, gate(X[:, 0], X[:, 1]))


def test_gates_return_arrays_of_ones_own() -> None:
    datasets.gates("and")[1][:] = 9
    assert datasets.gates("and")[1].max() == 1


def test_an_unknown_gate() -> None:
    with pytest.raises(gn.ValueRangeError, match='no gate "nor"'):
        datasets.gates("nor")
