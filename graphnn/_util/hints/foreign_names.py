"""The names and the arguments that other libraries have, and those that were here before: and what to write here.

The sentences stand in files beside this one, so that a habit is one line: in foreign_names.txt for functions, classes
and attributes, by the kind of thing that has them; in foreign_arguments.txt for arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path


def _lines(name: str) -> Iterator[tuple[list[str], str, str]]:
    for line in Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines():
        names, sign, hint = line.partition(": ") if ": " in line else line.partition(" = ")
        yield names.split(), sign, hint


def _names() -> dict[str, dict[str, str]]:
    table: dict[str, str] = {}
    found: dict[str, dict[str, str]] = {}
    for names, sign, hint in _lines("foreign_names.txt"):
        if sign:
            table.update(dict.fromkeys(names, hint))
        elif names:
            table = found[names[0].strip("[]")] = {}
    return found


ALIASES: Mapping[str, str] = {
    "abs": "absolute",
    "acos": "arccos",
    "acosh": "arccosh",
    "asin": "arcsin",
    "asinh": "arcsinh",
    "atan": "arctan",
    "atanh": "arctanh",
    "bitwise_invert": "invert",
    "bitwise_left_shift": "left_shift",
    "bitwise_not": "invert",
    "bitwise_right_shift": "right_shift",
    "concat": "concatenate",
    "mod": "remainder",
    "pow": "power",
    "unstack": "unbind",
}
"""Other names that NumPy has for operations; they work."""

NUMPY: Mapping[str, str] = {
    "add.accumulate": "cumsum",
    "add.reduce": "sum",
    "amax": "max",
    "amin": "min",
    "dot": "matmul",
    "logical_and.reduce": "all",
    "logical_or.reduce": "any",
    "maximum.reduce": "max",
    "minimum.reduce": "min",
    "multiply.reduce": "prod",
    "ravel": "reshape",
}
"""What NumPy's own functions are called here, for the error of one that is called on a node."""

ELSEWHERE: Mapping[str, Mapping[str, str]] = _names()
"""For each kind of thing the names that it has elsewhere, with a sentence that says what to write here."""

SET: Mapping[str, tuple[str, ...]] = {
    "layer": ("kernel", "requires_grad", "trainable", "training"),
    "optimizer": ("lr",),
}
"""Names that other libraries set, which would change nothing here: to set one is the same error as to read it."""

ARGUMENTS: Mapping[str, tuple[str, ...] | str] = {
    name: hint if sign == ": " else tuple(hint.split())
    for names, sign, hint in _lines("foreign_arguments.txt")
    for name in names
}
"""What arguments are called elsewhere: with what they may be called here, or a sentence."""
