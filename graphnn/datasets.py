"""Small data sets, computed when they are needed."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._util.text import quoted, short_repr
from .errors import UsageError, ValueRangeError, near

__all__ = [
    "gates",
    "spiral",
]

Array = np.ndarray[Any, np.dtype[Any]]

_GATES = {"and": (0, 0, 0, 1), "or": (0, 1, 1, 1), "nand": (1, 1, 1, 0), "xor": (0, 1, 1, 0)}


def spiral(
    points: int = 100,
    classes: int = 3,
    noise: float = 0.2,
    seed: int | np.random.Generator | np.random.RandomState = 0,
) -> tuple[Array, Array]:
    """Return points on the arms of a spiral, one arm per class; the classes are not linearly separable.

    Parameters
    ----------
    points : int
        The number of points of each class.
    classes : int
        The number of arms.
    noise : float
        The standard deviation of the angle, in radians.
    seed : int, numpy.random.Generator or numpy.random.RandomState
        An int means ``np.random.default_rng(seed)``.

    Returns
    -------
    X : (classes * points, 2) float64 array
        Class by class, from the centre outwards: (r sin t, r cos t), where r goes from 0 to 1 and, in class j, t
        goes from 4j to 4j + 4, with the noise added.
    y : (classes * points,) int64 array
        The class of each point.

    Examples
    --------
    >>> X, y = spiral(50, classes=2)
    >>> X.shape, y.shape, np.unique(y)
    ((100, 2), (100,), array([0, 1]))
    """
    for what, count in (("points", points), ("classes", classes)):
        if isinstance(count, bool) or not isinstance(count, (int, np.integer)):
            raise UsageError(f"spiral: {what} is an int, not {short_repr(count)}")
    if not isinstance(noise, (int, float, np.number)):
        raise UsageError(f"spiral: noise is a number, not {short_repr(noise)}")
    if points < 1 or classes < 1:
        raise ValueRangeError(f"spiral: points and classes are 1 or more, got points={points} and classes={classes}")
    if isinstance(seed, (np.random.Generator, np.random.RandomState)):
        rng: np.random.Generator | np.random.RandomState = seed
    elif isinstance(seed, (int, np.integer)) and seed >= 0:
        rng = np.random.default_rng(seed)
    else:
        raise UsageError(f"spiral: seed is an int of 0 or more, or a random generator, not {short_repr(seed)}")
    r = np.linspace(0, 1, points)
    arms = []
    for j in range(classes):
        t = np.linspace(4 * j, 4 * (j + 1), points) + noise * rng.standard_normal(points)
        arms.append(np.column_stack([r * np.sin(t), r * np.cos(t)]))
    return np.concatenate(arms), np.repeat(np.arange(classes, dtype=np.int64), points)


def gates(name: str) -> tuple[Array, Array]:
    """Return the truth table of a logic gate of two inputs.

    Parameters
    ----------
    name : {"and", "or", "nand", "xor"}

    Returns
    -------
    X : (4, 2) float64 array
    y : (4,) int64 array

    Raises
    ------
    ValueRangeError
        When there is no gate with this name.

    Examples
    --------
    >>> X, y = gates("xor")
    >>> y
    array([0, 1, 1, 0])
    """
    table = _GATES.get(str(name).lower())
    if table is None:
        called = quoted(name) if isinstance(name, str) else short_repr(name)
        raise ValueRangeError(f"there is no gate {called}.{near(name, _GATES)}")
    return np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float64), np.array(table, np.int64)
