"""Where a step runs: on one device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._util.text import listed, short_repr
from ..errors import UsageError
from .device_state import uploaded
from .library import jax

if TYPE_CHECKING:
    from ..compiler.backends import Placing
    from ..core import Array, Node


class Placed:
    """Puts arrays on a device.

    Attributes
    ----------
    device : jax.Device
    """

    def __init__(self, device: Any) -> None:
        self.device = device

    def __eq__(self, other: object) -> bool:
        return type(other) is Placed and bool(self.device == other.device)

    def __hash__(self) -> int:
        return hash(self.device)

    def __str__(self) -> str:
        return f"{self.device.platform}:{self.device.id}"

    def parameter(self, node: Node, value: Array) -> Any:
        """Return the value of a parameter there, in memory of its own."""
        return uploaded(node, value, self.device)

    def fed(self, node: Node, value: Array) -> Any:
        """Return what is fed there."""
        return jax.device_put(value, self.device)


def placed(placing: Placing) -> Placed:
    """Return where a step is to run.

    Raises
    ------
    UsageError
        When there is no such device.
    """
    return Placed(_device(placing.device))


def _device(asked: Any) -> Any:
    if asked is None:
        return jax.devices()[0]
    if isinstance(asked, str):
        kind, _, number = asked.partition(":")
        try:
            there = jax.devices(kind)
        except RuntimeError:
            there = []
        if there and (not number or (number.isdecimal() and int(number) < len(there))):
            return there[int(number or 0)]
    elif hasattr(asked, "platform") and hasattr(asked, "id"):
        return asked
    known = listed([f'"{each.platform}:{each.id}"' for each in jax.devices()])
    raise UsageError(
        f"device= is the name of a device that JAX has here ({known}), or one of jax.devices(), not {short_repr(asked)}"
    )
