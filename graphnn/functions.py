"""Every operation as a public function, and the compositions beside them: ``gn.exp``, ``gn.softmax``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .core import fn


def __getattr__(name: str) -> Callable[..., Any]:
    return fn.__getattr__(name)


def __dir__() -> list[str]:
    return dir(fn)
