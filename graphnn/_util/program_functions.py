"""The functions that a Python file defines, read from its text: the file does not run."""

from __future__ import annotations

import ast
from pathlib import Path


def public_functions(path: Path) -> tuple[list[str], list[str]]:
    """Return the names of a file's public functions, and of those that can be called without arguments.

    A file that is no Python has none.
    """
    try:
        body = ast.parse(path.read_bytes()).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [], []
    functions = [part for part in body if isinstance(part, ast.FunctionDef) and not part.name.startswith("_")]
    return [part.name for part in functions], [part.name for part in functions if not _needs_argument(part.args)]


def _needs_argument(takes: ast.arguments) -> bool:
    return len(takes.posonlyargs + takes.args) > len(takes.defaults) or None in takes.kw_defaults
