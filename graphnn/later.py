"""Which modules load when they are first needed: those that register how to show an object, or to read a file.

A lower layer cannot import a higher one, and loading everything with ``import graphnn`` would take long. So the modules
are listed here by name, under what they register. A test checks that the table is complete.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from .locks import Lock

_DEBUGGER, _TRACE = "graphnn.inspector.debugger.debugger", "graphnn.inspector.trace"
_DIAGRAM, _INSPECT = "graphnn.view.diagram.diagram", "graphnn.view.terminal.inspect"

REGISTRARS: dict[str, tuple[str, ...]] = {
    "image/svg+xml": (_DIAGRAM,),
    "text/html": ("graphnn.view.notebook",),
    "diagram": ("graphnn.view.diagram.failure",),
    "debugger": (_DEBUGGER,),
    "trace": (_DEBUGGER,),
    "table": (_INSPECT,),
    "text": (_INSPECT,),
    "tables": ("graphnn.view.terminal.plan",),
    "live progress": ("graphnn.view.live.progress",),
    "live page": ("graphnn.view.live.page",),
    "replay": ("graphnn.view.replay.pages",),
    "runtime": ("graphnn.interop.onnx.runtime",),
    "shards": ("graphnn.loops.sharding",),
    "cluster": ("graphnn.interop.dask.cluster",),
    "data": ("graphnn.interop.dask.data", "graphnn.interop.dask.mapped"),
    "a file of a trace": (_TRACE,),
    "the operation branch": ("graphnn.loops",),
    "the operation implicit_loop": ("graphnn.loops",),
    "iterations": ("graphnn.inspector.inside",),
    "loops": ("graphnn.inspector.inside",),
    "nodes in iterations": ("graphnn.loops.inside",),
    "guard inside": ("graphnn.loops.watching",),
    "the operation loop": ("graphnn.loops",),
    "the operation loop_item": ("graphnn.loops",),
    "the operation loop_bundle": ("graphnn.loops",),
}
"""form, or kind of file → the modules that register it for classes of other modules."""


_loading = Lock()


def load(module: str) -> ModuleType:
    """Import a module, with no other thread doing so.

    Of two threads that import a package and a module that the package imports, one may else find only a part of it.
    """
    with _loading:
        return import_module(module)


def load_registrars(*forms: str) -> None:
    """Load the modules that register these forms, if there are any and they are not loaded."""
    for form in forms:
        for module in REGISTRARS.get(form, ()):
            load(module)
