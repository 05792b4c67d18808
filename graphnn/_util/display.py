"""The hook by which higher layers register how to show an object of a lower layer.

Their modules load when something is first to be shown; `later` says which they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .lazy_loading import load_registrars

_renderers: dict[tuple[type, str], Callable[[Any], Any]] = {}


def show_as(kind: type, mime: str) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """Register the decorated function as the way a `kind` is shown as `mime` (``"image/svg+xml"``, …).

    A notebook asks for MIME types; other forms (``"diagram"``, ``"debugger"``) are asked for by name.

    The function may return None where it cannot show the thing here; the next form is then tried.
    """

    def register(render: Callable[[Any], Any]) -> Callable[[Any], Any]:
        _renderers[kind, mime] = render
        return render

    return register


def rendered(thing: object, mime: str) -> Any:
    """Return `thing` in the form `mime` as registered for its class or a base of it, else None."""
    load_registrars(mime)
    for kind in type(thing).__mro__:
        render = _renderers.get((kind, mime))
        if render is not None:
            return render(thing)
    return None


class Shown:
    """Base of what shows itself in a notebook."""

    __slots__ = ()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        load_registrars("text/html", "image/svg+xml")
        bundle = {"text/plain": repr(self)}
        for kind in reversed(type(self).__mro__):
            for registered, mime in [*_renderers]:  # to show one may load more
                if registered is kind and "/" in mime and (value := rendered(self, mime)) is not None:
                    bundle[mime] = value
        return bundle
