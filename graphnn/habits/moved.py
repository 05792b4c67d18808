"""Modules that stand elsewhere now: an import of the old path says the new one. This loads when an import has failed."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def moved(path: str) -> str:
    """Return a sentence that says where a module stands now, or "" where it did not move.

    Examples
    --------
    >>> moved("graphnn.jacobians"), moved("graphnn.nonsense")
    ('graphnn.jacobians is now graphnn.autodiff.jacobian', '')
    """
    table = json.loads(Path(__file__).with_name("moved.json").read_text(encoding="utf-8"))
    package, _, name = path.partition(".")
    places = [f"{package}.{place}" for place in table.get(name, "").split()]
    return f"{path} is now {' and '.join(places)}" if places else ""


def asked_for(path: str) -> str:
    """Return what the running import of `path` is for: a.b.c, where Python looks for its package a.b first."""
    frame = sys._getframe()
    while frame := frame.f_back:  # type: ignore[assignment]
        name = str(frame.f_locals.get("name"))
        if frame.f_code.co_name == "_find_and_load" and name.startswith(f"{path}."):
            return name
    return path
