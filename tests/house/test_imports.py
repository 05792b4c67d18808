"""Imports, as far as import-linter does not look at them: those in functions, of other packages, and for types only.

The contracts in pyproject.toml say which room may import which when it runs. The imports are read from the source.
"""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import ROOT, SATELLITES

REQUIRED = {"numpy", "networkx", "graphviz"}
OPTIONAL = {"readline", "rich", "matplotlib", "IPython", "numba", "onnx", "dask", "pandas", "llvmlite", "sklearn"}
OPTIONAL |= {"distributed", "ml_dtypes", "threadpoolctl", "torch", "jax", "onnxruntime", "PIL", "mcp", "mcp_types"}


def order() -> dict[str, int]:
    """Return the rooms, each with how far down it lies."""
    (layers,) = [
        contract["layers"]
        for contract in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    ]
    found = {}
    for depth, line in enumerate(layers):
        found.update(dict.fromkeys(line.translate(str.maketrans("|:()", "    ")).split(), depth))
    return found


DEPTH = order()


def complaints(folder: Path) -> Iterator[str]:
    """Yield a sentence for each breach of the rules by the package in a folder."""
    modules = {}
    for path in sorted(folder.rglob("*.py")):
        parts = (folder.name, *path.relative_to(folder).with_suffix("").parts)
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    for module, path in modules.items():
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        todo: list[tuple[ast.AST, bool]] = [(ast.parse(path.read_text("utf-8")), False)]
        while todo:
            node, in_function = todo.pop()
            for target in targets(node, package, modules):
                yield from breaches(module, target, in_function, modules)
            in_function |= isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            todo += [(child, in_function) for child in ast.iter_child_nodes(node)]


def targets(node: ast.AST, package: str, modules: dict[str, Path]) -> list[str]:
    """Return what a node imports, each as the module that is loaded for it."""
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=source, names=names, level=level):
            above = package.split(".")[: len(package.split(".")) - level + 1] if level else []
            whole = ".".join([*above, *([source] if source else [])])
            return [inner if (inner := f"{whole}.{alias.name}") in modules else whole for alias in names]
        case ast.Call(
            func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(name)), *_],
        ):  # an import in disguise
            return [package + name if name.startswith(".") else name]
    return []


def breaches(module: str, target: str, in_function: bool, modules: dict[str, Path]) -> Iterator[str]:
    here, top = module.split("."), target.split(".")
    if top[0] != here[0]:
        if top[0] in OPTIONAL and not in_function:
            yield from [] if _only_for_types(modules[module], top[0]) else [f"{module} imports {target} at the top"]
        elif top[0] not in OPTIONAL | REQUIRED | sys.stdlib_module_names:
            yield f"{module} imports {target}, which graphnn does not depend on"
        elif in_function and top[0] not in OPTIONAL:
            yield f"{module} imports {target} inside a function"
    elif target not in modules:
        if len(top) < 2 or top[1] not in SATELLITES:
            yield f"{module} imports {target}, which is no module"
    elif in_function:
        yield f"{module} imports {target} inside a function"
    elif len(here) > 1 and len(top) > 1 and here[1] != top[1] and DEPTH.get(here[1], -1) > DEPTH[top[1]]:
        yield f"{module} imports {target}: up, if only for types"


def _only_for_types(path: Path, package: str) -> bool:
    """Tell whether a file imports a package at its top for types only."""
    body = ast.parse(path.read_text("utf-8")).body
    imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    return not any(package in ast.unparse(node).replace(".", " ").split() for node in imports)


def test_the_imports_keep_the_rules() -> None:
    assert list(complaints(ROOT / "graphnn")) == []


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("core/node.py", "from ..view import plots\n", "up"),
        ("core/node.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..nn import fit\n", "up"),
        ("core/node.py", "def f():\n    from .. import errors\n", "inside a function"),
        ("core/node.py", "def f():\n    import json\n", "inside a function"),
        ("core/node.py", "import onnx\n", "at the top"),
        ("core/node.py", "import requests\n", "does not depend on"),
        ("core/node.py", "from .nothing import x\n", "no module"),
        ("core/node.py", "from importlib import import_module\nx = import_module('..view.plots')\n", ""),
    ],
)
def test_a_fault_is_reported(file: str, text: str, says: str, tmp_path: Path) -> None:
    sound = {"__init__.py": "", "errors.py": "", "core/__init__.py": "", "view/__init__.py": "", "view/plots.py": ""}
    sound |= {"nn/__init__.py": "", "nn/fit.py": "def f():\n    import onnx\n"}
    for name, source in (sound | {file: text}).items():
        (tmp_path / "graphnn" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "graphnn" / name).write_text(source, encoding="utf-8")
    (found,) = complaints(tmp_path / "graphnn")
    assert says in found
    (tmp_path / "graphnn" / file).write_text("", encoding="utf-8")
    assert list(complaints(tmp_path / "graphnn")) == []
