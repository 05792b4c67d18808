"""What loads when it is first needed: the modules that register how a thing is shown, or how a file is read.

A lower floor cannot import a higher one, and to load every room with ``import graphnn`` would take long. So the
modules stand here by name, under what they register. A test holds that the table is complete.
"""

from __future__ import annotations

from importlib import import_module

_DEBUGGER, _TRACE = "graphnn.inspector.debugger.debugger", "graphnn.inspector.trace"
_DIAGRAM, _INSPECT = "graphnn.view.diagram.diagram", "graphnn.view.terminal.inspect"

REGISTRARS: dict[str, tuple[str, ...]] = {
    "image/svg+xml": (_DIAGRAM,),
    "text/html": ("graphnn.view.notebook",),
    "diagram": ("graphnn.view.diagram.failure",),
    "debugger": (_DEBUGGER,),
    "trace": (_DEBUGGER,),
    "table": (_INSPECT,),
    "text": (_INSPECT, "graphnn.view.terminal.plan"),
    "replay": ("graphnn.view.replay.pages",),
    "a file of a trace": (_TRACE,),
}
"""By a form in which things are shown, or a kind of file: the modules that register it for classes of other modules."""


def load_registrars(*forms: str) -> None:
    """Load the modules that register these forms, unless they are loaded already; of a form unknown here, none."""
    for form in forms:
        for module in REGISTRARS.get(form, ()):
            import_module(module)
