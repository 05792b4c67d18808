"""Which modules load when they are first needed: those that register how to show an object, or to read a file.

A lower layer cannot import a higher one, and loading everything with ``import graphnn`` would take long. So the modules
are listed here by name, under what they register. A test checks that the table is complete.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from .locks import Lock

REGISTRARS: dict[str, tuple[str, ...]] = {
    "shards": ("graphnn.distributed.sharding.loop_sharding",),
    "cluster": ("graphnn.distributed.dask_cluster",),
    "data": ("graphnn.distributed.dask_data", "graphnn.distributed.dask_run"),
}
"""form, or kind of file → the modules that register it for classes of other modules."""


_loading = Lock()


def load(module: str) -> ModuleType:
    """Import a module, with no other thread doing so.

    Of two threads that import a package and a module that the package imports, one may else find only a part of it.
    """
    with _loading:
        return import_module(module)


def is_there(module: str) -> bool:
    """Tell whether the room of a module, named from below the package, is installed: satellites may be deleted."""
    return find_spec(f"{__name__.partition('.')[0]}.{module.partition('.')[0]}") is not None


def load_registrars(*forms: str) -> None:
    """Load the modules that register these forms, if there are any and they are not loaded."""
    for form in forms:
        for module in REGISTRARS.get(form, ()):
            load(module)


def names_of_parent(package: str) -> Callable[[str], Any]:
    """Return a `__getattr__` for a package: the public names of the package around it that its modules have."""
    parent, _, room = package.rpartition(".")

    def find(name: str) -> Any:
        module: str = vars(sys.modules[parent])["_MODULE_OF"].get(name, "")
        if module.startswith(f"{room}."):
            return getattr(sys.modules[parent], name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find
