"""Every operation as a public function, and the compositions beside them: ``gn.exp``, ``gn.softmax``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._util.hints import attribute_error, instead
from .core import fn, registry


def __getattr__(name: str) -> Callable[..., Any]:
    cls = registry.get(name)
    if cls is not None and not cls.public:
        raise attribute_error(f'there is no "gn.{name}".{instead("gn", name, __dir__())}')
    return fn.__getattr__(name)


def __dir__() -> list[str]:
    return [name for name in dir(fn) if name not in registry or registry[name].public]
