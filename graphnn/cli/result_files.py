"""Values that the command evaluates: printed as they come, and written to files."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

import graphnn as gn

from ..core import widened
from ..view.formatting import cells_of, visible
from . import screen

if TYPE_CHECKING:
    from ..core import Array, Node
    from .targets import Target

_STEP_HEADERS = ("", "node", "op", "shape", "min", "mean", "max")
_SMALL = 9
"""The maximum number of elements of a value that is printed whole beside its statistics."""


def evaluated(fetches: Any, feed: Mapping[Any, Any], echo: bool) -> tuple[dict[Node, Array], list[dict[str, Any]]]:
    """Evaluate step by step; return every value and a record a step, printing each as it comes."""
    order = gn.schedule(fetches)
    room = screen.room()
    least = [
        len(str(len(order))),
        max(cells_of(visible(node.name)) for node in order),
        max(cells_of(visible(node.op.name)) for node in order),
        *(9, 9, 9, 9),
    ]
    if room is not None:
        least[2] = min(least[2], 16)
        least[1] = min(least[1], max(12, room - sum(least) + least[1] - 2 * (len(least) - 1)))
    values: dict[Node, Array] = {}
    records = []
    if echo:
        screen.say(gn.view.columns([], _STEP_HEADERS, least=least, right=(4, 5, 6), width=room))
    for step in gn.steps(fetches, feed):
        lowest, mean, highest = gn.view.statistics(step.value)
        values[step.node] = step.value
        shape = " × ".join(map(str, step.value.shape)) or "scalar"
        records.append(
            {
                "index": step.index,
                "node": step.node.name,
                "op": step.node.op.name,
                "shape": list(step.value.shape),
                "min": lowest,
                "mean": mean,
                "max": highest,
            }
        )
        if echo:
            row = (step.index, step.node.name, step.node.op.name, shape, lowest, mean, highest)
            line = gn.view.columns([row], least=least, right=(4, 5, 6), width=room)
            whole = f"{line}  {gn.view.preview(step.value, _SMALL)}" if 1 < step.value.size <= _SMALL else line
            screen.say(whole if room is None or cells_of(whole) <= room else line)
    return values, records


def is_page(file: str) -> bool:
    """Return whether a file is to be a page that replays a run."""
    return file.lower().endswith((".html", ".htm"))


def recorded(target: Target, feed: Any, file: str | None, digests: bool = False) -> gn.Trace:
    """Return the run of a target. If an error stops it, a file keeps what ran before: a page, or a trace for debug."""
    if isinstance(target.run, gn.Trace) and feed is None and not (digests and target.run.has_values):
        return target.run
    try:
        return gn.trace(target.run, feed, keep="digests") if digests else gn.trace(target.run, feed)
    except gn.GraphnnError as error:
        if file and error.stopped is not None:
            if is_page(file):
                error.debug().to_html(file)
                opens = "a browser"
            else:
                error.save(file)
                opens = f"graphnn debug {file}"
            screen.note(f"wrote {file}: what ran before it; {opens} opens it")
        raise


def folder_for(name: str) -> Path:
    """Return a folder, made where there is none, that may be written to."""
    folder = Path(name)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        return folder


def member_of(name: str) -> str:
    """Return the name of a value in an .npz: its own, with %XX, as in a URL, for what is not safe in a file's name.

    The ``/`` of scopes stays, unless the parts around it lead elsewhere; no two names become one.
    """
    safe = "".join(
        c if c.isprintable() and c not in "%\\:" else quote(c, safe="", errors="surrogatepass") for c in name
    )
    if safe.endswith(".npy") or not {"", ".", ".."}.isdisjoint(safe.split("/")):
        safe = safe.replace("/", "%2F").replace(".", "%2E")
    return safe


def write(file: str, arrays: Mapping[str, Array]) -> None:
    """Write an .npz: as np.savez, which takes some names for its own parameters."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, widened(array), allow_pickle=False)
