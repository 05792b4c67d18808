"""JAX, as it is when something of it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any


class Loaded:
    """A module that is imported when something of it is first asked for.

    Parameters
    ----------
    load : callable
        Imports it.
    """

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._load(), name)
        setattr(self, name, found)
        return found


def _jax() -> Any:
    import jax

    return jax


def _numpy() -> Any:
    import jax.numpy

    return jax.numpy


def _lax() -> Any:
    import jax.lax

    return jax.lax


jax, jnp, lax = Loaded(_jax), Loaded(_numpy), Loaded(_lax)


def is_installed() -> bool:
    """Tell whether JAX is there."""
    return find_spec("jax") is not None and find_spec("jaxlib") is not None
