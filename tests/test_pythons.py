"""What is written must mean the same to every version of Python that graphnn is said to run on."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_INLINED = (ast.ListComp, ast.SetComp, ast.DictComp)
_SCOPES = (*_FUNCTIONS, *_INLINED, ast.GeneratorExp, ast.ClassDef)


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield what stands in a scope itself; of the scopes in it only the scopes."""
    todo = list(ast.iter_child_nodes(scope))
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, _SCOPES):
            todo += ast.iter_child_nodes(node)


def _names(nodes: Iterator[ast.AST]) -> set[str]:
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _bound(function: Any) -> set[str]:
    arguments = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
    named = {node.name for node in _own(function) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    return arguments | named | _names(_own(function))


def _inlined(function: ast.AST) -> Iterator[Any]:
    """Yield the comprehensions that a function runs in its own frame from Python 3.12 on, and those in them."""
    todo: list[ast.AST] = [function]
    while todo:
        for node in _own(todo.pop()):
            if isinstance(node, _INLINED):
                yield node
                todo.append(node)


def _targets(comprehension: Any) -> set[str]:
    return {name for part in comprehension.generators for name in _names(ast.walk(part.target))}


def _reads(function: Any, name: str) -> bool:
    """Tell whether a function has a name from around it, be it only for a scope within it."""
    todo = list(ast.iter_child_nodes(function))
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load):
            return True
        if isinstance(node, (*_INLINED, ast.GeneratorExp)) and name in _targets(node):
            todo.append(node.generators[0].iter)  # that alone is read where the comprehension stands
        elif not isinstance(node, _FUNCTIONS) or name not in _bound(node):
            todo += ast.iter_child_nodes(node)
    return False


def rebound(source: str) -> list[tuple[int, str]]:
    """Return where a comprehension binds a name of a function around the one it stands in.

    From Python 3.12 on such a comprehension is part of its function. What else in the function has the name from
    around it, a generator or a lambda say, then finds it without a value: a NameError.
    """
    found = []
    todo: list[tuple[Any, frozenset[str]]] = [(ast.parse(source), frozenset())]
    while todo:
        scope, around = todo.pop()
        inside = around
        if isinstance(scope, _FUNCTIONS):
            bound = _bound(scope)
            found += [
                (comprehension.lineno, name)
                for comprehension in _inlined(scope)
                for name in sorted(_targets(comprehension) & around - bound)
                if _reads(scope, name)
            ]
            inside = around | bound
        todo += [(node, inside) for node in _own(scope) if isinstance(node, _SCOPES)]
    return sorted(found)


def test_no_comprehension_rebinds_a_name_of_a_function_around_its_own() -> None:
    files = [path for part in ("graphnn", "tests", "examples", "docs") for path in (ROOT / part).rglob("*.py")]
    assert len(files) > 100
    found = {str(path.relative_to(ROOT)): rebound(path.read_text("utf-8")) for path in files}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("marks = (mark(r) for r in t)\n        return [mark for mark in marks]", [(4, "mark")]),
        ("f = lambda r: mark(r)\n        return {mark: 1 for mark in map(f, t)}", [(4, "mark")]),
        ("return [mark for mark in (mark(r) for r in t)]", [(3, "mark")]),
        ("return [[mark for mark in map(mark, r)] for r in t]", [(3, "mark")]),
        ("print(mark)\n        return [mark for mark in t]", [(4, "mark")]),
        ("return [mark for mark in t]", []),
        ("return list(mark for mark in t)", []),
        ("return [one for one in (mark(r) for r in t)]", []),
    ],
)
def test_such_a_comprehension_is_found(body: str, expected: list[tuple[int, str]]) -> None:
    assert rebound(f"def outer(mark):\n    def read(t):\n        {body}\n    return read") == expected
