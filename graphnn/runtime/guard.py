"""Guards: stop a run at the first NaN, or the first infinity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._util.text import short_repr
from ..core import is_float
from ..errors import ValueRangeError

if TYPE_CHECKING:
    from ..core import Array, Node

GUARDS = (None, "nan", "finite")
LOOK = ": error.debug() looks at it (except gn.GraphnnError as error)"
"""The advice at the end of a raised error. The debugger leaves it out, since it is open already."""


def violating(guard: str, value: Array) -> Array:
    """Return a mask of the elements that a guard refuses."""
    if not is_float(value.dtype):
        return np.zeros(value.shape, bool)
    return np.isnan(value) if guard == "nan" else ~np.isfinite(value)


def violation(guard: str, node: Node, value: Array) -> ValueRangeError | None:
    """Return the error of a guard that refuses the value of a node, else None."""
    bad = violating("nan" if node.op.is_constant else guard, value)  # an infinite constant is intended
    if not bad.any():
        return None
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    what = "NaN" if np.isnan(value[index]) else str(value[index])
    fact = f'"{node.name}" ({node.op.name}, made at {node.origin}) is {what}{f" at {index}" if index else ""}'
    return ValueRangeError(
        f"{fact}; no update was made, so the state is the one that led here",
        fact=fact,
        advice=LOOK,
        calls=((LOOK, ""),),
        node=node,
        op=node.op.name,
        given=value[index],
        origin=node.origin,
    )


def checked_guard(guard: str | None) -> str | None:
    """Return the name of a guard, or None for no guard.

    Raises
    ------
    ValueRangeError
    """
    if not isinstance(guard, (str, type(None))) or guard not in GUARDS:
        raise ValueRangeError(f'unknown guard {short_repr(guard)} (must be "nan", "finite", or None)')
    return guard
