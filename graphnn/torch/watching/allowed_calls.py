"""Which calls of PyTorch may be made by their names: those that this process saw, and of files those that compute."""

from __future__ import annotations

from typing import Any

from ...errors import NoRuleError

SEEN: dict[str, Any] = {}
"""What was recorded in this process, by name and overload."""
_REFUSED = ("from_file", "set_", "resize", "record_stream", "_cudnn", "_storage", "storage", "save", "load")


def overload_of(torch: Any, call: str) -> Any:
    """Return the function of PyTorch that a call names.

    Raises
    ------
    NoRuleError
        When it was not seen in this process, and is not one that computes with its operands alone.
    """
    known = SEEN.get(call)
    if known is not None:
        return known
    space, _, rest = call.partition("::")
    name, _, overload = rest.partition(".")
    if space != "aten" or any(part in name for part in _REFUSED):
        raise NoRuleError(f"{call} is not called by its name in a file: it is no operation of PyTorch that computes")
    packet = getattr(torch.ops.aten, name, None) if name.isidentifier() else None
    found = getattr(packet, overload or "default", None)
    if not isinstance(found, torch._ops.OpOverload):
        raise NoRuleError(f"PyTorch {torch.__version__} has no {call}")
    return found
