"""Counts lines of code (without docstrings, comments and blanks): per room, and of what is over a limit.

Run: python tests/house/house.py [--root DIRECTORY]. `test_house.py` holds the limits, of classes and functions only.
"""

from __future__ import annotations

import argparse
import ast
import io
import statistics
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

MOST_METHODS = 40  # of a class
MOST_FUNCTION = 60  # lines of code of a function
MOST_OPERATION = 10  # lines of code of the median operation, `samples` aside
_NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


class Source:
    """One file, and which of its lines are code."""

    def __init__(self, path: Path) -> None:
        self.path = path
        text = path.read_text(encoding="utf-8")
        self.tree = ast.parse(text)
        self.nodes = list(ast.walk(self.tree))
        lines = map(str.strip, text.split("\n"))
        self.code = {number for number, line in enumerate(lines, 1) if line and not line.startswith("#")}
        documentation: set[ast.AST] = set()
        for node in self.nodes:
            # A text that stands by itself is documentation.
            if (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                documentation.add(node.value)
                self.code.difference_update(_span(node))
            elif isinstance(node, ast.Constant | ast.JoinedStr) and node not in documentation:
                self.code.update(() if self.code.issuperset(_span(node)) else _code_of_text(text, node))

    def count(self, node: ast.AST | None = None) -> int:
        """Return how many lines of code a definition has, its decorators included; by default the file."""
        return len(self.code if node is None else self.code.intersection(_span(node)))


def _code_of_text(source: str, node: ast.AST) -> Iterator[int]:
    """Yield the lines of a text: what is like a comment in it is none, nor is an empty line."""
    written = f"({ast.get_source_segment(source, node)})"
    for token in tokenize.generate_tokens(io.StringIO(written).readline):
        if token.type not in _NO_CODE:
            yield from range(node.lineno + token.start[0] - 1, node.lineno + token.end[0])


def _span(node: ast.AST) -> range:
    first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
    return range(first, node.end_lineno + 1)


@cache
def sources(package: Path) -> list[Source]:
    """Return every module of the package."""
    return [Source(path) for path in sorted(package.rglob("*.py"))]


def rooms(package: Path) -> Counter[str]:
    """Return the lines of code of each folder or module at the top of the package."""
    counted: Counter[str] = Counter()
    for source in sources(package):
        counted[source.path.relative_to(package).parts[0]] += source.count()
    return counted


def operations(package: Path) -> dict[str, int]:
    """Return the lines of code of each operation: `samples` and documentation aside."""
    found = {}
    for source in sources(package):
        for node in source.tree.body if source.path.parent == package / "ops" else ():
            if not isinstance(node, ast.ClassDef) or node.name.startswith("_") or not node.bases:
                continue
            if not any(keyword.arg == "abstract" for keyword in node.keywords):
                samples = [part for part in node.body if isinstance(part, _FUNCTION) and part.name == "samples"]
                found[node.name] = source.count(node) - sum(source.count(part) for part in samples)
    return found


def too_large(package: Path) -> Iterator[str]:
    """Yield a line for each class and function over its limit."""
    for source in sources(package):
        name = source.path.relative_to(package.parent).as_posix()
        for node in source.nodes:
            if isinstance(node, ast.ClassDef):
                methods = sum(isinstance(part, _FUNCTION) for part in node.body)
                if methods > MOST_METHODS:
                    yield f"{name}: {node.name} has {methods} methods"
            elif isinstance(node, _FUNCTION) and source.count(node) > MOST_FUNCTION:
                yield f"{name}: {node.name} has {source.count(node)} lines of code"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2])
    package = parser.parse_args().root / "graphnn"
    counted = rooms(package)
    lines = [f"{size:7,}  {room}" for room, size in counted.most_common()]
    lines.append(f"{counted.total():7,}  in all")
    lines.append(f"{statistics.median(operations(package).values()):7}  the median operation")
    sys.stdout.write("\n".join([*lines, *too_large(package), ""]))


if __name__ == "__main__":
    main()
