"""The page: what it knows of a run, as data, and the one file that template, script and style make with it."""

from __future__ import annotations

import base64
import html
import json
import zlib
from functools import cached_property
from pathlib import Path
from typing import Any

from ..._util.display import HTML, Shown
from ...io.paths import path_of
from ...view.formatting import counted, in_bytes, visible
from ..engine import engine_script
from ..single_file import bare, one_file, part

_SCRIPT = (
    "data",
    "live",
    "words",
    "heatmap",
    "operation",
    "diagram",
    "overlays",
    "timeline",
    "iterations",
    "training",
    "seeing",
    "tour",
    "panes",
    "saving",
    "printing",
    "cards",
    "page",
)

_FRAME = "width:100%;height:760px;border:1px solid #80868b;border-radius:4px"


class Page(Shown):
    """A run to be replayed in a browser: one file of HTML, which asks for nothing and sends nothing.

    Made by ``trace.to_html()``, ``film.to_html()`` and ``dbg.to_html()``. A notebook shows it in a frame of its own.

    Attributes
    ----------
    data : dict
        What the page knows, but for the arrays.
    """

    def __init__(self, title: str, data: dict[str, Any], block: bytes) -> None:
        self.title = title
        self.data = data
        self._block = block

    @cached_property
    def html(self) -> str:
        """The text of the file."""
        text = json.dumps(_by_lines(self.data), allow_nan=False, separators=(",", ":"), ensure_ascii=True).encode()
        text += b" " * (-(len(text) + 8) % 8)
        packed = zlib.compress(len(text).to_bytes(8, "little") + text + self._block, 6)
        return one_file(
            _part("template.html"),
            _part("style.css"),
            _script("nodes" in self.data["live"]),
            title=html.escape(f"{visible(self.title)} — replay"),
            data=base64.b64encode(packed).decode(),
        )

    def save(self, path: str | Path) -> Path:
        """Write the file.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        Path
        """
        path = path_of(path)
        path.write_text(self.html, encoding="utf-8", newline="\n")
        return path

    def __repr__(self) -> str:
        nodes, runs = len(self.data["nodes"]["name"]), len(self.data["runs"])
        of_runs = f", {runs} runs" if runs > 1 else ""
        return f'<Page of "{visible(self.title)}": {counted(nodes, "node")}{of_runs}, {in_bytes(len(self.html))}>'


def _by_lines(data: dict[str, Any]) -> dict[str, Any]:
    """Return the data with each line of the pictures once, in an order that packs well: they have much in common."""
    pictures = [view["svg"].split("\n") for view in data["views"]]
    lines = sorted({line for picture in pictures for line in picture})
    number = {line: i for i, line in enumerate(lines)}
    views = [
        view | {"svg": [number[line] for line in picture]}
        for view, picture in zip(data["views"], pictures, strict=True)
    ]
    return data | {"views": views, "lines": lines}


@HTML.give(Page)
def _in_a_frame(page: Page) -> str:
    # Without allow-same-origin: what runs in it can reach nothing of the notebook.
    title = html.escape(f"Replay of {visible(page.title)}")
    rights = "allow-scripts allow-downloads"
    return f'<iframe sandbox="{rights}" title="{title}" style="{_FRAME}" srcdoc="{html.escape(page.html)}"></iframe>'


def _part(name: str) -> str:
    return part(__package__, name)


def _script(computes: bool = True) -> str:
    """Return the script of a page; one that computes has the engine."""
    parts = [_part(f"script/{name}.js") for name in _SCRIPT]
    return bare("\n".join(['"use strict";\n', *([engine_script()] if computes else []), *parts]))
