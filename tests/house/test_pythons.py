"""What is written must mean the same to every version of Python that graphnn is said to run on."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
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
        inside, within = around, [node for node in _own(scope) if isinstance(node, _SCOPES)]
        if within and isinstance(scope, _FUNCTIONS):
            bound = _bound(scope)
            found += [
                (comprehension.lineno, name)
                for comprehension in (_inlined(scope) if around else ())
                for name in sorted(_targets(comprehension) & around - bound)
                if _reads(scope, name)
            ]
            inside = around | bound
        todo += [(node, inside) for node in within]
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


# --- which Pythons CI runs ----------------------------------------------------------------------------------------

NAMED = [
    line.rsplit(" ", 1)[1]
    for line in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["classifiers"]
    if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", line)
]


def pythons(folder: Path, *versions: str) -> subprocess.CompletedProcess[str]:
    """Run .ci/pythons where there are only Pythons of these versions, made up."""
    for i, version in enumerate(versions):
        (folder / str(i)).mkdir()
        python = folder / str(i) / "python3"
        python.write_text(f'#!/bin/sh\necho "{version} $0"\n', "utf-8")
        python.chmod(0o755)
    script = (ROOT / ".ci/pythons").read_text("utf-8")
    script = re.sub(r"^candidates=\(.*\)$", "candidates=()", script, count=1, flags=re.MULTILINE)
    script = script.replace('"$(dirname "${BASH_SOURCE[0]}")/.."', f'"{ROOT}"')
    tools = folder / "tools"
    tools.mkdir()
    for name in ("sed", "sort", "basename"):
        where = shutil.which(name)
        assert where is not None
        (tools / name).symlink_to(where)
    path = ":".join([*(str(folder / str(i)) for i in range(len(versions))), str(tools)])
    bash = shutil.which("bash")
    assert bash is not None
    return subprocess.run(
        [bash, "-c", script],
        env={"PATH": path, "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def told(folder: Path, *versions: str) -> list[str]:
    done = pythons(folder, *versions)
    assert done.returncode == 0, done.stderr
    return [line.replace(f"{folder}/", "") for line in done.stdout.splitlines()]


def test_the_oldest_python_is_named_and_at_least_one_more() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["requires-python"] == f">={NAMED[0]}"
    assert len(NAMED) >= 2
    assert sorted(NAMED, key=lambda name: int(name[2:])) == NAMED


def test_ci_runs_every_python_that_the_classifiers_name(tmp_path: Path) -> None:
    assert told(tmp_path, *(f"{name} 1" for name in NAMED)) == [f"{name} {i}/python3" for i, name in enumerate(NAMED)]


def test_ci_runs_the_newest_python_too(tmp_path: Path) -> None:
    oldest, newest = NAMED[0], NAMED[-1]
    assert told(tmp_path, "3.99 0", "3.98 4", "3.2 1", f"{newest} 2", f"{newest} 5", f"{oldest} 0", "3.10 9") == [
        f"{oldest} 5/python3",
        f"{newest} 4/python3",
        "3.99 0/python3",
    ]


def test_ci_fails_where_a_python_is_missing(tmp_path: Path) -> None:
    done = pythons(tmp_path, f"{NAMED[-1]} 2")
    assert done.returncode == 1
    assert f"names Python {NAMED[0]}, and there is none here" in done.stderr
    assert f"{NAMED[-1]} ({tmp_path}/0/python3)" in done.stderr


def test_ci_runs_what_it_finds() -> None:
    script = (ROOT / ".ci/run").read_text("utf-8")
    assert re.search(r"found=\$\(pythons\)\n", script)
    assert re.search(r"while read -r version path; do\n  for check in test demo; do\n", script)
    assert 'done <<<"$found"' in script
