"""What a notebook and a print show of a thing of a low room: a port for each form, by its MIME type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .ports import Port

TEXT: Port[Callable[[Any, int | None], str]] = Port("text/plain")
"""Takes the thing, and the most cells of a line; None: as many as it needs."""
SVG: Port[Callable[[Any], str | None]] = Port("image/svg+xml")
HTML: Port[Callable[[Any], str | None]] = Port("text/html")
"""These return None where they cannot show the thing here."""


def as_text(thing: object, width: int | None) -> str:
    """Return a thing as it is printed; where nothing shows it so, its repr."""
    show = TEXT.of(thing)
    return repr(thing) if show is None else show(thing, width)


class Shown:
    """Base of what shows itself in a notebook."""

    __slots__ = ()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle = {"text/plain": repr(self)}
        for port in (SVG, HTML):
            if (show := port.of(self)) is not None and (value := show(self)) is not None:
                bundle[port.name] = value
        return bundle
