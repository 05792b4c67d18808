"""NumPy's warnings off, for one call."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from typing import Any, TypeVar

import numpy as np

_Result = TypeVar("_Result")


def quietly(function: Callable[..., _Result], *args: Any, **kwargs: Any) -> _Result:
    """Call a function with NumPy's warnings off.

    It runs in a copy of the context (NumPy 2 keeps errstate in a context variable), and the copy is dropped afterwards.
    So there is nothing to restore, and no interrupt can prevent it, as it can with ``np.errstate``.

    Examples
    --------
    >>> float(quietly(np.divide, 1.0, 0.0))
    inf
    """
    result: _Result = copy_context().run(_silenced, function, *args, **kwargs)
    return result


def _silenced(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    np.errstate(all="ignore").__enter__()  # never left, and cheaper than np.seterr
    return function(*args, **kwargs)
