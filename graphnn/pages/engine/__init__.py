"""The engine of a page that computes: modules of JavaScript, each with a table of the operations that it has."""

from __future__ import annotations

import math
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from ...io.graph_files import settings_of
from ..single_file import part
from .loop_bodies import settings_of_loop, with_bodies

if TYPE_CHECKING:
    from ...core import Op
    from .loop_bodies import Computed

_LARGEST_EXACT = 2**53
"""Of the integers that JavaScript reads without rounding."""
_ENTRY = re.compile(r"^  (\w+)(?:\(|: )", re.MULTILINE)
_DTYPES = re.compile(r"^export const ARRAY_OF = \{\n(.*?)^\};", re.MULTILINE | re.DOTALL)
_DTYPE = re.compile(r"(\w+):")
_EXPORTS = "makeEngine, readAttribute"
_TABLE = re.compile(r"^(?:export )?const \w*OPERATIONS = \{\n(.*?)^\};", re.MULTILINE | re.DOTALL)


def modules() -> list[str]:
    """Return the names of the modules, in the order in which the page has them."""
    return sorted(each.name for each in files(__package__).iterdir() if each.name.endswith(".js"))


@cache
def operations() -> frozenset[str]:
    """Return the names of the operations that the modules have a function for."""
    tables = [table for name in modules() for table in _TABLE.findall(part(__package__, name))]
    return frozenset(name for table in tables for name in _ENTRY.findall(table))


def missing_operations(nodes: Computed) -> list[str]:
    """Return the names of operations that the engine does not have, also in the bodies of loops and branches."""
    ops = [op for each in with_bodies(nodes) for op in each.ops]
    given = {op.name for op in ops if not (op.is_placeholder or op.is_parameter or op.is_constant)}
    return sorted(given - operations())


def missing_dtypes(nodes: Computed) -> list[str]:
    """Return the dtypes of which the engine holds no values."""
    (table,) = _DTYPES.findall(part(__package__, "arrays.js"))
    return sorted({spec.dtype.name for each in with_bodies(nodes) for spec in each.specs} - set(_DTYPE.findall(table)))


def attributes_of(op: Op) -> dict[str, Any]:
    """Return the attributes of an operation as the engine reads them, in what JSON can hold."""
    settings = settings_of_loop(op) if op.holds_bodies else settings_of(op)
    return {name: _in_json(value) for name, value in settings.items()}


def sized_attributes(op: Op) -> list[str]:
    """Return which of the attributes may hold names of dimensions."""
    return (
        [name for name in settings_of_loop(op) if name in ("length", "starts")] if op.holds_bodies else list(op.sized)
    )


def _in_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_in_json(part) for part in value]
    if type(value) is float and not math.isfinite(value):
        return {"number": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}
    return {"number": str(value)} if type(value) is int and abs(value) > _LARGEST_EXACT else value


def engine_script() -> str:
    """Return the modules as one script, which has `makeEngine` and `readAttribute` and no other name of theirs."""
    text = "\n".join(_as_script(part(__package__, name)) for name in modules())
    return f"const {{ {_EXPORTS} }} = (() => {{\n{text}\nreturn {{ {_EXPORTS} }};\n}})();\n"


def _as_script(text: str) -> str:
    return re.sub(
        r"^export ", "", re.sub(r"^import .*?;$\n?", "", text, flags=re.MULTILINE | re.DOTALL), flags=re.MULTILINE
    )
