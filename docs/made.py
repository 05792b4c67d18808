"""Write the parts of the pages in docs/ that are made from the code: examples, a session, tables, thumbnails.

python docs/made.py

A part stands between ``<!-- made: NAME -->`` and ``<!-- end -->``. A test holds it current.
"""

import re
import runpy
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from graphnn.debugger.health import CHECKS
from graphnn.terminal import VERBS

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))

import onnx_operations  # noqa: E402
import public_names  # noqa: E402
import reference  # noqa: E402

EXAMPLES = HERE.parent / "examples"
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


def verbs() -> str:
    """Return the table of the debugger's verbs."""
    rows = [
        (f"`{verb.usage}`", ", ".join(f"`{alias}`" for alias in verb.aliases), verb.paragraphs[0].rstrip("."))
        for verb in VERBS
    ]
    return reference.table(("verb", "also", "what it does"), rows)


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
        "verbs": verbs,
        "operations": reference.reference,
        "functions": reference.functions,
        "commands": reference.commands,
        "natively": lambda: import_module("natively").natively(),
        "networks": networks,
        "renamed": public_names.renamed,
        "onnx-read": onnx_operations.onnx_read,
        "onnx-refused": onnx_operations.onnx_refused,
        "thumbnails": lambda: thumbnails(page),
    }

    def part(found: re.Match[str]) -> str:
        kind, _, example = found[2].partition(" ")
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
