"""Write the parts of docs/inspecting.md that are made from the code: examples, a session, tables.

python docs/made.py

A part stands between ``<!-- made: NAME -->`` and ``<!-- end -->``. A test holds it current.
"""

import re
import subprocess
import sys
from pathlib import Path

from graphnn.inspector.health import CHECKS
from graphnn.terminal import VERBS

HERE = Path(__file__).parent
PAGE = HERE / "inspecting.md"
EXAMPLES = HERE.parent / "examples"
_PART = re.compile(r"(<!-- made: (.+?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def code(example: str) -> str:
    """Return what an example builds and feeds."""
    text = (EXAMPLES / f"{example}.py").read_text(encoding="utf-8")
    begin, end = text.index("\ndef build("), text.index("\n\ndef main(" if "\ndef main(" in text else "\n\nif __name__")
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
    return _table(("code", "what it says"), [(f"`{code}`", each.says) for code, each in CHECKS.items()])


def verbs() -> str:
    """Return the table of the debugger's verbs."""
    rows = [
        (f"`{verb.usage}`", ", ".join(f"`{alias}`" for alias in verb.aliases), verb.paragraphs[0].rstrip("."))
        for verb in VERBS
    ]
    return _table(("verb", "also", "what it does"), rows)


def _table(headers: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    cells = [headers, ("---",) * len(headers), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in cells)


def made(page: str) -> str:
    """Return a page with its parts as they are to be."""
    makers = {"session": session, "codes": codes, "verbs": verbs}

    def part(found: re.Match[str]) -> str:
        kind, _, example = found[2].partition(" ")
        return f"{found[1]}\n{code(example) if kind == 'code' else makers[kind]()}\n{found[4]}"

    return _PART.sub(part, page)


if __name__ == "__main__":
    PAGE.write_text(made(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
