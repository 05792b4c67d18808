"""Errors of what is in a folder of the package that is not installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ..errors import UsageError

if TYPE_CHECKING:
    from .ports import Port

T = TypeVar("T")


def needed(port: Port[T], what: str, thing: object = None) -> T:
    """Return what is given to a port for a thing.

    Raises
    ------
    UsageError
        When the folder that gives it is not installed; `what` needs it.
    """
    found = port.of(thing)
    if found is None:
        raise UsageError(f"{what} is in {' and '.join(port.absent)}, which is not installed")
    return found
