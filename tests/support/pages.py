"""Run the Python of a Markdown page, block after block, in one namespace.

    python -W error tests/support/pages.py docs/tour.md

A block marked ``python`` runs statement by statement; a statement that ends with ``# → text`` must show that text,
as at a prompt; whatever else is shown is not looked at. A block marked ``pycon`` is a doctest, in which what is shown
may have empty lines. In a block marked ``console``, the lines that start with ``$ graphnn`` run, and must succeed, or
end with the number that follows ``# →``. ``...`` stands for anything, and any ``model.py:7`` for the line of the page
that is meant.

What needs a satellite of graphnn says so, and is left out where that was deleted: a page by its first line,
``<!-- needs: pages, cli -->``, a block by such a line directly above it, an example by a first line ``# needs: onnx``,
and a notebook by a cell of Markdown that begins with the line of a page.
"""

import ast
import doctest
import json
import linecache
import re
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from places import ROOT, present

EXAMPLES = ROOT / "examples"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

_NEEDS = r"<!-- needs: (?P<needs>[a-z, ]+) -->\n"
_FENCE = re.compile(
    rf"(?:^ *{_NEEDS})?^ *(?P<ticks>```+)(?P<language>\w*)[^\n]*\n(?P<text>.*?)^ *(?P=ticks)", re.MULTILINE | re.DOTALL
)
_FIRST = re.compile(rf"{_NEEDS}|# needs: (?P<of>[a-z, ]+)\n")
_BLANK = re.compile(r"\n\n(?=[^>\n])")
_LINE = re.compile(r"(<doctest\s[^>]*>|\w+\.py):\d+")
_STATED = re.compile(r"# → (.*)$")


class Block(NamedTuple):
    """A fenced block of a page: `line` is that of its first line, counted from 1; `needs` are satellites."""

    language: str
    text: str
    line: int
    needs: tuple[str, ...] = ()


def blocks(page: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page's text, in order."""
    for found in _FENCE.finditer(page):
        line = page.count("\n", 0, found.start("text")) + 1
        yield Block(found["language"], found["text"], line, _names(found["needs"]))


def _names(said: str | None) -> tuple[str, ...]:
    return tuple(said.split(", ")) if said else ()


def needs(path: Path) -> tuple[str, ...]:
    """Return which satellites a page, an example or a notebook says that it needs, as a whole."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "".join(json.loads(text)["cells"][0]["source"])
    found = _FIRST.match(text)
    return _names(found["needs"] or found["of"]) if found else ()


def testable(paths: Iterable[Path]) -> list[Path]:
    """Return those pages, examples and notebooks for which all is there that they need."""
    return [path for path in paths if all(map(present, needs(path)))]


def documents() -> list[Path]:
    """Return all pages, examples and notebooks."""
    kinds = ("README.md", "docs/*.md", "examples/*.py", "examples/*.ipynb")
    return [path for kind in kinds for path in sorted(ROOT.glob(kind))]


def untested() -> tuple[list[str], int]:
    """Return the names of the documents that are not tested, since something is not there, and how many blocks."""
    left = testable(documents())
    blocks_left_out = [
        block
        for path in left
        if path.suffix == ".md"
        for block in blocks(path.read_text(encoding="utf-8"))
        if not all(map(present, block.needs))
    ]
    return [path.name for path in documents() if path not in left], len(blocks_left_out)


def examples(block: Block) -> list[doctest.Example]:
    """Return what a block has to run, and what it must show; "" where that does not matter, or something is missing."""
    if not all(map(present, block.needs)):
        return []
    if block.language == "pycon":
        made = doctest.DocTestParser().get_examples(_BLANK.sub("\n<BLANKLINE>\n", block.text))
        for example in made:
            example.lineno += block.line - 1
            example.options[doctest.REPORT_NDIFF] = False
        return made
    if block.language == "console":
        return [_command(line, block.line + i) for i, line in enumerate(block.text.splitlines()) if "$ graphnn" in line]
    return list(_statements(block)) if block.language == "python" else []


def _statements(block: Block) -> Iterator[doctest.Example]:
    lines = block.text.splitlines()
    spans: list[list[int]] = []
    for statement in ast.parse(block.text).body:
        first = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", []))])
        if spans and first <= spans[-1][1]:  # a; b
            spans[-1][1] = statement.end_lineno or first
        else:
            spans.append([first, statement.end_lineno or first])
    for first, last in spans:
        stated = _STATED.search(lines[last - 1])
        want = stated[1] + "\n" if stated else ""
        yield doctest.Example("\n".join(lines[first - 1 : last]) + "\n", want, lineno=block.line + first - 2)


def _command(line: str, at: int) -> doctest.Example:
    words = shlex.split(line.partition("$ graphnn")[2], comments=True)
    source = f"__import__('graphnn.cli', fromlist=['main']).main({words!r})\n"
    stated = _STATED.search(line)
    return doctest.Example(source, f"...{stated[1] if stated else 0}\n", lineno=at - 1)


class _Checker(doctest.OutputChecker):
    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return not want or super().check_output(
            _LINE.sub("model.py:7", want), _LINE.sub("model.py:7", got), optionflags
        )


def lines(path: Path) -> list[int]:
    """Return for each example of a page how many lines stand before it in the program of its Python.

    The program is all blocks marked ``python``, with an empty line between them. An example of another block has the
    place at which it would stand.
    """
    found, before = [], 0
    for block in blocks(path.read_text(encoding="utf-8")):
        found += [before + example.lineno - (block.line - 1) for example in examples(block)]
        before += (block.text.count("\n") + 1) * (block.language == "python")
    return found


def run(path: Path) -> dict[str, Any]:
    """Run a page; return its namespace, or raise with the report of what went wrong.

    Raises
    ------
    AssertionError
        When a statement raised, or showed something else than the page says.
    """
    text = path.read_text(encoding="utf-8")
    found = [example for block in blocks(text) for example in examples(block)]
    # A page is like the program of its name in examples/: it reads the data that lie beside that.
    like = EXAMPLES / f"{path.stem.replace('-', '_')}.py"
    namespace: dict[str, Any] = {"__name__": "__main__", "__file__": str(like)}
    test = doctest.DocTest(found, namespace, path.name, str(path), 0, text)
    test.globs = namespace
    for i, example in enumerate(found):  # so that what speaks of a line can quote it, as of a file's
        name, lines = f"<doctest {path.name}[{i}]>", example.source.splitlines(keepends=True)
        linecache.cache[name] = len(example.source), None, lines, name
    report: list[str] = []
    runner = doctest.DocTestRunner(_Checker(), verbose=False, optionflags=FLAGS | doctest.REPORT_ONLY_FIRST_FAILURE)
    failures, _ = runner.run(test, out=report.append, clear_globs=False)
    assert not failures, "".join(report)
    return namespace


if __name__ == "__main__":
    run(Path(sys.argv[1]))
