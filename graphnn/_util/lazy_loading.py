"""Modules that load when they are first needed, since all of them with ``import graphnn`` would take long."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from threading import RLock
from types import ModuleType
from typing import Any

_loading = RLock()


def load(module: str) -> ModuleType:
    """Import a module, with no other thread doing so.

    Of two threads that import a package and a module that the package imports, one may else find only a part of it.
    """
    with _loading:
        return import_module(module)


def is_there(module: str) -> bool:
    """Tell whether the room of a module, named from below the package, is installed: satellites may be deleted."""
    return find_spec(f"{__name__.partition('.')[0]}.{module.partition('.')[0]}") is not None


def names_of_parent(package: str) -> Callable[[str], Any]:
    """Return a `__getattr__` for a package: the public names of the package around it that its modules have."""
    parent, _, room = package.rpartition(".")

    def find(name: str) -> Any:
        module: str = vars(sys.modules[parent])["_MODULE_OF"].get(name, "")
        if module.startswith(f"{room}."):
            return getattr(sys.modules[parent], name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find
