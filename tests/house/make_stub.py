"""Write graphnn/functions.pyi, the types of the public functions, from the registry.

    python tests/house/make_stub.py

A test holds the file current.
"""

import ast
import inspect
from dataclasses import MISSING, fields
from pathlib import Path

from graphnn import functions
from graphnn.core import fn, registry

STUB = Path(__file__).parents[2] / "graphnn" / "functions.pyi"

HEAD = '''"""The types of the public functions; made from the registry by tests/house/make_stub.py."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from numpy.typing import ArrayLike, DTypeLike

from .core import AnyShape, Count, Dim, Graph, Index, Int64, Node, Shape

Operand = Node | ArrayLike
Axes = int | tuple[int, ...] | None
Lengths = int | tuple[int, ...]
Counts = int | tuple[int, ...]
Parts = int | tuple[int, ...]
Widths = Dim | tuple[Dim, ...] | tuple[tuple[Dim, ...], ...]
Constants = float | tuple[float, ...] | tuple[tuple[float, ...], ...]
Padding = Literal["valid", "same"] | Widths
'''


def stub() -> str:
    """Return the whole text of the stub."""
    parts = [HEAD]
    names = dir(functions)
    for name in names:
        function = getattr(fn, name)
        cls = registry.get(function.__name__)
        composed = "cls" not in inspect.getclosurevars(inspect.unwrap(function)).nonlocals
        parts.append(_composition(name, function) if composed or cls is None else _operation(name, cls))
    listed = "".join(f'    "{name}",\n' for name in names)
    parts.append(f"__all__ = [\n{listed}]\n")
    parts.append("def __getattr__(name: str) -> Callable[..., Any]: ...\n")
    return "\n".join(parts)


def _operation(name: str, cls: type) -> str:
    if cls.variadic:
        operands = ["arrays: Sequence[Operand]"]
    else:
        operands = [f"{operand}: Operand" for operand in cls.operands]
    settings = []
    for setting in fields(cls):
        kind = "DTypeLike" if setting.name == "dtype" else _bare(setting.type)
        default = "" if setting.default is MISSING else f" = {setting.default!r}"
        settings.append(f"{setting.name}: {kind}{default}")
    graph = [] if cls.operands else ["graph: Graph"]
    return f"def {name}({', '.join([*operands, *settings, '*', 'name: str | None = None', *graph])}) -> Node: ...\n"


def _composition(name: str, function: object) -> str:
    signature = inspect.signature(inspect.unwrap(function))
    parts, starred = [], False
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        prefix = "*" if parameter.kind is parameter.VAR_POSITIONAL else ""
        starred = starred or bool(prefix)
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        parts.append(f"{prefix}{parameter.name}: {_bare(parameter.annotation)}{default}")
    return f"def {name}({', '.join(parts)}) -> {signature.return_annotation}: ...\n"


def _bare(annotation: str) -> str:
    """Return an annotation without what an `Annotated` says besides."""
    tree = ast.parse(annotation, mode="eval").body
    if isinstance(tree, ast.Subscript) and isinstance(tree.value, ast.Name) and tree.value.id == "Annotated":
        return ast.unparse(tree.slice.elts[0])
    return annotation


if __name__ == "__main__":
    STUB.write_text(stub(), encoding="utf-8")
