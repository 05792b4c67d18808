"""Which operations a page cannot compute."""

from __future__ import annotations

from graphnn.core import Op, registry
from graphnn.pages.engine import operations


def in_pages() -> str:
    """Return the sentence that names them, as Markdown."""
    ours = {name for name, cls in registry.items() if cls.__module__.startswith("graphnn.")}
    computed = {name for name in ours if registry[name].__module__ != Op.__module__}  # others are given
    missing = sorted(computed - operations())
    if not missing:
        return f"Of the {len(computed)} operations of the library, there is none that a page cannot compute."
    names = ", ".join(f"`{name}`" for name in missing)
    return f"Of the {len(computed)} operations of the library, a page cannot compute {len(missing)}: {names}."
