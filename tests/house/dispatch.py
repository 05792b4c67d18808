"""Counts the places that ask an operation, or an instruction of a plan, what it is: its class or its name.

Counted are, on the syntax tree: ``isinstance`` and ``issubclass`` of a class of operations, or of anything that cannot
be resolved where the first argument is an ``op``; comparisons with ``is``, ``==`` and ``in`` of such a class, or of the
name of an operation; and each class pattern, or name, of a ``case``. Classes are resolved in the module that names
them, so a tuple of classes under a name counts, and so does ``kind = type(op)``. `Op` itself is no question.

Of the instructions of plans the same is counted, in two figures: class patterns of ``match``, and all else,
the names of ufuncs in kernels included.

Not counted are the operations, the body of any class of operations, and `REGISTRIES`, where a rule stands under the
class that it is for.

Run: python tests/house/dispatch.py [--places] [FILE …]
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import sys
import types
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import graphnn
from graphnn import Op
from graphnn.compiler.intermediate_representation import Instruction
from graphnn.core.op import registry

PACKAGE = Path(graphnn.__file__).parent
OPERATIONS = ("ops/",)
REGISTRIES = (
    *("compiler/lowering_rules/", "compiler/elementwise_tracing.py", "control_flow/loop_lowering.py"),
    *("transforms/batching_rules.py", "control_flow/loop_batching.py"),
    *("distributed/sharding/sharding_rules.py", "distributed/sharding/loop_sharding.py"),
    *("jax/rules/", "onnx/rules/", "onnx/writers/", "torch/aten/", "view/formulas/rules/"),
)
NO_OPERATIONS = (
    "__init__.py",
    "view/__init__.py",
    "core/symbolic_shapes.py",
    "debugger/expressions.py",
    "onnx/from_onnx.py",
    "torch/reader.py",
    "view/tables/table.py",
)
"""Where a name that an operation has, means another thing: of the API, of PyTorch, of a function in an expression."""
_UNKNOWN = object()
_ASKED = ("isinstance", "issubclass")


def _subclasses(cls: type[Op]) -> Iterator[type[Op]]:
    for derived in cls.__subclasses__():
        yield derived
        yield from _subclasses(derived)


def _kinds(value: Any) -> Iterator[type]:
    """Yield the classes of operations and instructions that a value is, or holds."""
    if isinstance(value, type):
        if issubclass(value, Op | Instruction) and value not in (Op, Instruction):
            yield value
    elif isinstance(value, types.UnionType | tuple | list | set | frozenset):
        for part in getattr(value, "__args__", value):
            yield from _kinds(part)


def _figure_of(*values: Any) -> str:
    """Return which figure a question after these classes belongs to; "" if it is about neither."""
    found = [kind for value in values for kind in _kinds(value)]
    return "" if not found else "operations" if any(issubclass(kind, Op) for kind in found) else "instructions"


def _is_name(value: Any) -> bool:
    """Whether a value is the name of an operation, or holds one."""
    if isinstance(value, tuple | list | set | frozenset | dict) and value is not registry:
        return any(map(_is_name, value))
    return isinstance(value, str) and value in registry


class _Module:
    """One file: its syntax tree, and what names mean in it."""

    def __init__(self, path: Path, by_name: dict[str, type[Op]]) -> None:
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        self.module = importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.by_name = by_name
        self.local: dict[str, list[ast.expr]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                self.local.setdefault(node.targets[0].id, []).append(node.value)
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
                parts = node.value.elts if isinstance(node.value, ast.Tuple) else []
                for target, part in zip(node.targets[0].elts, parts, strict=False):
                    if isinstance(target, ast.Name):
                        self.local.setdefault(target.id, []).append(part)
            elif isinstance(node, ast.NamedExpr):
                self.local.setdefault(node.target.id, []).append(node.value)

    def value(self, node: ast.expr, depth: int = 0) -> Any:
        """Return what an expression means, or `_UNKNOWN`."""
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            if node.id in vars(self.module):
                return vars(self.module)[node.id]
            if node.id in self.by_name:
                return self.by_name[node.id]
            given = self.local.get(node.id, []) if depth < 5 else []
            return [self.value(each, depth + 1) for each in given] or _UNKNOWN
        if isinstance(node, ast.Attribute):
            whose = self.value(node.value, depth)
            return getattr(whose, node.attr, _UNKNOWN) if isinstance(whose, types.ModuleType) else _UNKNOWN
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            return tuple(self.value(part, depth) for part in node.elts)
        if isinstance(node, ast.Starred):
            return self.value(node.value, depth)
        if isinstance(node, ast.BinOp):
            return (self.value(node.left, depth), self.value(node.right, depth))
        return _UNKNOWN

    def _ends(self, node: ast.expr, depth: int = 0) -> set[str]:
        """Return the last names of an expression: "op" of ``node.op``; local aliases are followed."""
        if isinstance(node, ast.Attribute):
            return {node.attr}
        if isinstance(node, ast.Name):
            given = self.local.get(node.id, []) if depth < 4 else []
            return {node.id}.union(*(self._ends(each, depth + 1) for each in given))
        return set()

    def places(self, node: ast.AST | None = None) -> Iterator[tuple[int, str]]:
        """Yield the line of each place, once for each pattern, and the figure that it belongs to."""
        node = self.tree if node is None else node
        if isinstance(node, ast.ClassDef):
            defined = vars(self.module).get(node.name)
            if isinstance(defined, type) and issubclass(defined, Op):
                return
        figure, by_name = "", "instructions" if self.module.__name__.startswith("graphnn.native") else "operations"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _ASKED:
            kinds = self.value(node.args[1])
            unclear = kinds is _UNKNOWN and "op" in self._ends(node.args[0])
            figure = "operations" if unclear else _figure_of(kinds)
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            values = [self.value(side) for side in sides]
            named = any("name" in self._ends(side) for side in sides) and any(map(_is_name, values))
            figure = _figure_of(*values) or by_name * named
        elif isinstance(node, ast.MatchClass):
            figure = _figure_of(self.value(node.cls)).replace("instructions", "patterns of instructions")
        elif isinstance(node, ast.Match) and "name" in self._ends(node.subject):
            for part in ast.walk(node):
                if isinstance(part, ast.MatchValue) and _is_name(self.value(part.value)):
                    yield part.lineno, by_name
        if figure:
            yield node.lineno, figure
        for child in ast.iter_child_nodes(node):
            yield from self.places(child)


def places() -> dict[str, list[tuple[int, str]]]:
    """Return the places of each file that has any: the line, and the figure."""
    for module in pkgutil.walk_packages(graphnn.__path__, "graphnn."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    by_name = {cls.__name__: cls for cls in _subclasses(Op) if cls.__module__.startswith("graphnn.")}
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith((*OPERATIONS, *REGISTRIES)) and name not in NO_OPERATIONS and path.name != "__main__.py":
            found[name] = sorted(_Module(path, by_name).places())
    return {name: asked for name, asked in found.items() if asked}


def figures() -> Counter[str]:
    """Return how many places there are of each figure."""
    return Counter(figure for asked in places().values() for _, figure in asked)


def main() -> None:
    """Print the count of each file, or the places of those that are named, and the figures."""
    found, named = places(), [a for a in sys.argv[1:] if not a.startswith("-")]
    for name, asked in sorted(found.items(), key=lambda item: -len(item[1])):
        if named and not any(part in name for part in named):
            continue
        sys.stdout.write(f"{len(asked):5}  {name}\n")
        text = (PACKAGE / name).read_text(encoding="utf-8").split("\n")
        for (line, figure), count in Counter(asked).items() if named or "--places" in sys.argv else ():
            sys.stdout.write(f"{line:14} {figure[0]} {'' if count == 1 else f'({count}) '}{text[line - 1].strip()}\n")
    counted = figures()
    for figure, count in counted.items():
        sys.stdout.write(f"{count:5}  of {figure}\n")
    sys.stdout.write(f"{counted.total():5}  in all, in {len(found)} files\n")


if __name__ == "__main__":
    main()
