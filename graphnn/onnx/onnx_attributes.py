"""The attributes of ONNX nodes as Python values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._util.text import short_repr
from ..errors import FileFormatError
from .tensors import array_of

_KINDS = {1: "a float", 2: "an int", 3: "a text", 4: "a tensor", 5: "a graph", 6: "floats", 7: "ints", 8: "texts"}
_KINDS |= {9: "tensors", 10: "graphs", 11: "a sparse tensor", 12: "sparse tensors", 13: "a type", 14: "types"}


def attributes_of(
    proto: Any,
    bindings: Mapping[str, Any],
    folder: Path | None,
    where: str = "attribute",
    kinds: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Return {name: value} of a node; what refers to an attribute of the function around it gets that one's value.

    Numbers are int and float, texts str, tensors arrays, lists lists, subgraphs GraphProto, types TypeProto. Where
    `kinds` says of which type an attribute is, it may be of no other.
    """
    found: dict[str, Any] = {}
    for attribute in getattr(proto, where):
        if attribute.name in found:
            raise FileFormatError(f"the attribute {short_repr(attribute.name)} is given twice")
        if attribute.ref_attr_name:
            if attribute.ref_attr_name in bindings:
                found[attribute.name] = bindings[attribute.ref_attr_name]
            continue
        kind = attribute.type if kinds is None else kinds.get(attribute.name, attribute.type)
        if kind != attribute.type:
            given = _KINDS.get(attribute.type, "of no type")
            raise FileFormatError(f"its attribute {short_repr(attribute.name)} is {given}, and must be {_KINDS[kind]}")
        found[attribute.name] = value_of(attribute, folder)
    return found


def value_of(attribute: Any, folder: Path | None) -> Any:
    """Return the value of an AttributeProto."""
    match attribute.type:
        case 1:
            return attribute.f
        case 2:
            return attribute.i
        case 3:
            return attribute.s.decode("utf-8", "replace")
        case 4:
            return array_of(attribute.t, folder)
        case 5:
            return attribute.g
        case 6:
            return list(attribute.floats)
        case 7:
            return list(attribute.ints)
        case 8:
            return [each.decode("utf-8", "replace") for each in attribute.strings]
        case 9:
            return [array_of(each, folder) for each in attribute.tensors]
        case 10:
            return list(attribute.graphs)
        case 13:
            return attribute.tp
    raise FileFormatError(f"the attribute {short_repr(attribute.name)} is of a kind that graphnn does not read")
