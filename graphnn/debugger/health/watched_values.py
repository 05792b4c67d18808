"""Which values show every NaN and inf of a run, so that the others need not be kept."""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._util.numpy_warnings import quietly
from ...control_flow.iteration_names import is_bundle
from ...core import Array, Node, Op, Trait, is_float

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ...runtime.evaluation_loop import Prepared

_BAD = (np.nan, np.inf, -np.inf)
_OTHERS: dict[str, tuple[Any, ...]] = {
    "f": (-2.0, -1.0, 0.0, 0.5, 1.0, 3.0),
    "b": (False, True),
    "i": (1, 2),
    "u": (1, 2),
}
_MOST_OPERANDS = 4  # of an operation that is tried: the trials are all combinations
_SMALL = 4096  # elements: calls for each of many such arrays take longer than to copy them into one
_KEEPS_ALL = frozenset(
    {"reshape", "expand_dims", "squeeze", "transpose", "flip", "roll", "broadcast_to", "concatenate", "stack"}
)
"""Operations that move every element of their operands into their result."""


def watched_of(prepared: Prepared, wanted: Collection[Node]) -> list[Node]:
    """Return the nodes that are enough to look at: if another one has NaN or inf, so has one of these.

    They are what is wanted, and each node that no user is sure to pass a NaN or inf of on to one of these.
    """
    watched, shown = set(wanted), set(wanted)
    order = prepared.program.order
    for node in reversed(order):
        if not is_float(node.dtype) or is_bundle(node):
            continue  # it cannot show anything
        if node not in shown and not node.has_value:
            watched.add(node)
        op, dtypes = prepared.op_of(node), tuple([operand.dtype for operand in node.inputs])
        shown.update(operand for i, operand in enumerate(node.inputs) if _passes_on(op, dtypes, i))
    return [node for node in order if node in watched]


@lru_cache(4096)
def _passes_on(op: Op, dtypes: tuple[np.dtype[Any], ...], i: int) -> bool:
    """Return whether any NaN or inf of an operand is sure to make the result NaN or inf."""
    if not is_float(dtypes[i]):
        return False
    if not op.elementwise:
        hides = Trait.HIDES in op.traits
        return not hides and (op.multilinear or Trait.ADDS_UP in op.traits or op.name in _KEEPS_ALL)
    if len(dtypes) > _MOST_OPERANDS:
        return False
    columns = zip(*product(*[_BAD if k == i else _OTHERS[each.kind] for k, each in enumerate(dtypes)]), strict=True)
    try:
        found = quietly(op.forward, *[np.array(column, each) for column, each in zip(columns, dtypes, strict=True)])
    except Exception:  # noqa: BLE001 - of a user's operation, or one for other numbers: nothing is known of it
        return False
    return not np.isfinite(found).any()


def finite(arrays: Collection[Array]) -> bool:
    """Return whether arrays have neither NaN nor inf."""
    small = [array.reshape(-1) for array in arrays if array.size <= _SMALL]
    if small and not np.isfinite(np.concatenate(small)).all():
        return False
    return len(small) == len(arrays) or all(np.isfinite(array).all() for array in arrays if array.size > _SMALL)


def sound(values: Sequence[Array], for_nan: Collection[int], for_nothing: Collection[int]) -> bool:
    """Return whether nothing is NaN or infinite but what may be.

    Parameters
    ----------
    values : sequence of array
    for_nan : collection of int
        Which of them may be infinite: they are looked at for NaN only.
    for_nothing : collection of int
        Which of these may be NaN, too.
    """
    if not for_nan:
        return finite(values)
    strict = [value for i, value in enumerate(values) if i not in for_nan]
    return finite(strict) and not any(np.isnan(values[i]).any() for i in for_nan if i not in for_nothing)
