"""Guards: what ends a run at the first NaN, or the first infinity."""

from __future__ import annotations

import numpy as np

from ..errors import ValueRangeError
from ..graph import Array, Constant, Node

GUARDS = (None, "nan", "finite")


LOOK = ": error.debug() looks at it (except gn.GraphnnError as error)"
"""What is said of an error where it is raised, and not where it is looked at."""


def looked_for(guard: str, value: Array) -> Array:
    """Return which elements of a value hold what a guard looks for."""
    if value.dtype.kind != "f":
        return np.zeros(value.shape, bool)
    return np.isnan(value) if guard == "nan" else ~np.isfinite(value)


def refusal_of(guard: str, node: Node, value: Array) -> ValueRangeError | None:
    """Return the error that a guard has for the value of a node, if it has one."""
    bad = looked_for("nan" if isinstance(node.op, Constant) else guard, value)  # an infinite constant is meant
    if not bad.any():
        return None
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    at = f" at {index}" if index else ""
    what = "NaN" if np.isnan(value[index]) else str(value[index])
    fact = f'"{node.name}" ({node.op.name}, made at {node.origin}) is {what}{at}'
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
    """Return a guard that there is.

    Raises
    ------
    ValueRangeError
    """
    if not isinstance(guard, (str, type(None))) or guard not in GUARDS:
        raise ValueRangeError(f'unknown guard {guard!r} (must be "nan", "finite", or None)')
    return guard
