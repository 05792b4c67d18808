"""Write the parts of the pages in docs/ that are made from the code: examples, a session, tables, thumbnails.

python docs/made.py

A part stands between ``<!-- made: NAME -->`` and ``<!-- end -->``. A test holds it current. What needs a satellite of
graphnn that was deleted stays as it is.
"""

import re
import runpy
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from graphnn.debugger.health import CHECKS

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))

import public_names  # noqa: E402
import reference  # noqa: E402

EXAMPLES = HERE.parent / "examples"
NEEDS = {  # of parts: the satellites that they are about
    "session": ("cli", "terminal"),
    "verbs": ("terminal",),
    "commands": ("cli", "dap", "onnx", "terminal", "interventions", "pages"),
    "natively": ("native",),
    "in-pages": ("pages",),
    "onnx-read": ("onnx",),
    "onnx-refused": ("onnx",),
}
OF_SATELLITES = {  # the module in _ext/ that has the function of a part's name
    "verbs": "verbs",
    "commands": "commands",
    "natively": "natively",
    "in-pages": "in_pages",
    "onnx-read": "onnx_operations",
    "onnx-refused": "onnx_operations",
}
_PART = re.compile(r"(<!-- made: (.+?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def code(example: str) -> str:
    """Return what an example builds and feeds."""
    text = (EXAMPLES / f"{example}.py").read_text(encoding="utf-8")
    imports = [found.end() for found in re.finditer(r"^(?:from|import) .*\n", text, re.MULTILINE)]
    begin, end = imports[-1], text.index("\n\ndef main(" if "\ndef main(" in text else "\n\nif __name__")
    return f"```python\n{text[begin:end].strip()}\n```\n"


def session() -> str:
    """Return what the terminal shows where the verbs of a file are done."""
    arguments = ["debug", "bug_std.py:build", "-x", "bug_std.txt"]
    shown = subprocess.run(
        [sys.executable, "-B", "-m", "graphnn", *arguments],
        cwd=EXAMPLES,
        capture_output=True,
        check=True,
        encoding="utf-8",
    ).stdout
    return f"```text\n$ graphnn {' '.join(arguments)}\n{shown}```\n"


def codes() -> str:
    """Return the table of what the health check finds."""
    return reference.table(("code", "what it says"), [(f"`{code}`", each.says) for code, each in CHECKS.items()])


def thumbnails(page: str) -> str:
    """Return the first picture of each section of a page, small, as links to the sections."""
    found = []
    for section in page.split("\n## ")[1:]:
        title, picture = section.partition("\n")[0], re.search(r"!\[([^]]*)\]\((.+?)\)", section)
        if picture:
            anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            image = f'<img src="{picture[2]}" width="180" alt="{picture[1]}">'
            found.append(f"- [{image}](#{anchor})\n  [{title}](#{anchor})\n")
    return f'<div class="thumbnails">\n\n{"".join(found)}\n</div>\n'


def networks() -> str:
    """Return the forty networks: a small picture of each, and links to those that there are."""
    levels = {"layer": "layers", "leaf": "innermost layers", "op": "operations"}
    found = []
    for name in runpy.run_path(str(HERE.parent / "tests" / "support" / "forty.py"))["FORTY"]:
        start = "images/networks/" + re.sub(r"\W+", "-", name.lower())
        there = {said: f"{start}-{level}.svg" for level, said in levels.items()}
        links = [f"[{said}]({path})" for said, path in there.items() if (HERE / path).exists()]
        title = name[0].upper() + name[1:]
        image = f'<img src="{start}-layer.svg" width="180" alt="{name}, at the level of layers">'
        found.append(f"- [{image}]({start}-layer.svg)\n  **{title}**\n  {', '.join(links)}\n")
    return f'<div class="cards">\n\n{"".join(found)}\n</div>\n'


def made(page: str) -> str:
    """Return a page with its parts as they are to be."""
    makers = {
        "session": session,
        "codes": codes,
        "operations": reference.reference,
        "functions": reference.functions,
        "networks": networks,
        "renamed": public_names.renamed,
        "thumbnails": lambda: thumbnails(page),
    }

    def part(found: re.Match[str]) -> str:
        kind, _, example = found[2].partition(" ")
        if any(find_spec(f"graphnn.{satellite}") is None for satellite in NEEDS.get(kind, ())):
            return found[0]
        if kind in OF_SATELLITES:
            text = getattr(import_module(OF_SATELLITES[kind]), kind.replace("-", "_"))()
        else:
            text = code(example) if kind == "code" else makers[kind]()
        return f"{found[1]}\n{text.strip()}\n\n{found[4]}"

    return _PART.sub(part, page)


def pages() -> list[Path]:
    """Return the pages that have parts, but for those that need a folder of graphnn that was deleted."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(HERE.glob("*.md"))}
    return [path for path, text in texts.items() if _PART.search(text) and all(map(_is_there, _needs(text)))]


def _needs(page: str) -> list[str]:
    found = re.match("<!-- needs: ([a-z, ]+) -->", page)
    return found[1].split(", ") if found else []


def _is_there(room: str) -> bool:
    return (HERE.parent / "graphnn" / room).is_dir()


if __name__ == "__main__":
    for path in pages():
        path.write_text(made(path.read_text(encoding="utf-8")), encoding="utf-8")
