"""What is typed after a verb, read: numbers, lists of them, indices. Nothing in it is evaluated."""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import EllipsisType
from typing import Any, NoReturn

import numpy as np

from ..core import Array, Node, as_array, cast_in_range, is_float, labels_of, limits
from ..core.labels import position_of
from ..core.symbolic_shapes import shown
from ..debugger.expression_tokens import Tokens
from ..debugger.why import index_parts, label_in
from ..errors import AxisError, UsageError, ValueRangeError
from .terminal_text import index_text

Index = tuple["int | slice | EllipsisType", ...]

INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_SLICE = re.compile(rf"({INTEGER.pattern})?\s*:\s*({INTEGER.pattern})?\s*(?::\s*({INTEGER.pattern})?)?")
_WORDS = {"True": True, "False": False, "None": None, "nan": float("nan")}
_DEEPEST = 32


def index_of(text: str, node: Node | None = None, shape: Sequence[int] = ()) -> Index:
    """Return the index that is written between brackets: ints, slices, ``...``, and labels of a node's positions.

    Parameters
    ----------
    text : str
    node : Node, optional
        Whose labels are meant.
    shape : sequence of int, optional
        That of its value.

    Raises
    ------
    ValueRangeError
        When it is none.
    NotFoundError
        When no position has that label.

    Examples
    --------
    >>> index_of("0, :3"), index_of("..., -1")
    ((0, slice(None, 3, None)), (Ellipsis, -1))
    """
    parts = index_parts(text)
    rest = len(shape) - len(parts) if "..." in parts else 0
    return tuple(
        [
            _index_part(part, text, node, place + rest * ("..." in parts[:place]), shape)
            for place, part in enumerate(parts)
        ]
    )


def _index_part(part: str, text: str, node: Node | None, axis: int, shape: Sequence[int]) -> int | slice | EllipsisType:
    if part == "...":
        return ...
    if INTEGER.fullmatch(part):
        return int(part)
    found = _SLICE.fullmatch(part)
    if found is None and part and node is not None and axis < len(shape) and labels_of(node, axis, shape[axis]):
        return position_of(node, axis, label_in(part), shape[axis])
    if found is None or (found[3] and not int(found[3])):
        raise ValueRangeError(f'"{part}" in [{text}] is not an index: write integers, slices such as 2:5, and ...')
    return slice(*(None if bound is None else int(bound) for bound in found.groups()))


def literal_of(text: str) -> Any:
    """Return the number, or nested list of numbers, that a text writes; nothing in it is evaluated.

    Raises
    ------
    ValueRangeError
        When it writes something else.

    Examples
    --------
    >>> literal_of("[[1, -2.5], [inf, 1e3]]"), literal_of("True")
    ([[1, -2.5], [inf, 1000.0]], True)
    """

    def refuse(what: str) -> NoReturn:
        raise ValueRangeError(f'the value "{text.strip()[:40]}" {what}')

    tokens = Tokens(text, refuse)
    value = _value(tokens, 0)
    tokens.end()
    return value


def _value(tokens: Tokens, depth: int) -> Any:
    kind, text = tokens.next("a number, or a list of them,")
    if text == "[":
        if depth == _DEEPEST:
            raise ValueRangeError(f"a list in a list, {_DEEPEST} times: no value has so many axes")
        parts: list[Any] = []
        closed = tokens.skips("]")
        while not closed:
            parts.append(_value(tokens, depth + 1))
            closed = tokens.expect(",", "]") == "]"
        return parts
    if kind == "number":
        return int(text) if INTEGER.fullmatch(text) else float(text)
    if text not in _WORDS:
        raise ValueRangeError(f"a value is a number or nested lists of numbers; {text[:20]} is neither")
    return _WORDS[text]


def whole(text: str, what: str) -> int:
    """Return the integer that a text writes."""
    if not re.fullmatch(r"[-+]?[0-9]{1,400}", text):
        raise UsageError(f"{what} is a whole number, not {text}")
    return int(text)


def numbers_of(node: Node, literal: Any, text: str) -> Array:
    """Return numbers as they are typed in a node's dtype: they have none of their own."""
    array = as_array(literal, "the value")
    whole = node.dtype.kind in "iu" and not is_float(array.dtype)
    if not (is_float(array.dtype) or array.dtype.kind in "iu") or not (whole or is_float(node.dtype)):
        return array
    own = cast_in_range(array, node.dtype, f'the value of "{node.title}"')
    if is_float(node.dtype) and (np.isinf(own) & np.isfinite(array)).any():
        most = f"{limits(node.dtype).max:.5g}"
        raise ValueRangeError(f'{text[:40]} does not fit into {node.dtype}, that of "{node.title}": it ends at {most}')
    return own


def part_of(node: Node, value: Array, index: Index) -> Array:
    """Return a part of a value, or say that there is none."""
    try:
        return np.asarray(value[index])
    except IndexError:
        raise AxisError(f'"{node.title}" has shape {shown(value.shape)}, and so no part {index_text(index)}') from None
