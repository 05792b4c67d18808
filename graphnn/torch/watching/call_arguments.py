"""What a call of PyTorch was given, as plain data; and given again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..._util.text import short_repr
from ...core.attributes import Kind
from ...errors import NoRuleError, UsageError

_NAMED = ("dtype", "layout", "memory_format")
_MOST_NESTED = 8
_PLAIN = Kind()


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _are_counts(value: Any) -> bool:
    return type(value) is tuple and all(map(_is_count, value))


_PARTS: dict[str, Callable[[Sequence[Any]], bool]] = {
    **dict.fromkeys(("tensor", "generator"), lambda parts: len(parts) == 1 and _is_count(parts[0])),
    **dict.fromkeys((*_NAMED, "device", "other"), lambda parts: len(parts) == 1 and type(parts[0]) is str),
    "complex": lambda parts: len(parts) == 2 and all(type(each) in (int, float) for each in parts),
    "geometry": lambda parts: len(parts) == 3 and _is_count(parts[0]) and all(map(_are_counts, parts[1:])),
}
"""What follows the first word of an argument that is not plain."""


class Argument(Kind):
    """Plain data; what is not plain is a tuple that begins with what it is."""

    said = 'a number, text, None, or a tuple that says what it is, such as ("tensor", 0) or ("dtype", "float32")'
    many = "arguments of PyTorch"

    def read(self, value: Any) -> Any:
        """Return the argument."""
        plain = _PLAIN.read(value)
        if not _is_argument(plain):
            raise UsageError(f"{short_repr(plain)} is none")
        return plain


def _is_argument(value: Any, depth: int = 0) -> bool:
    if type(value) is not tuple:
        return True
    if not value or type(value[0]) is not str:
        return False
    kind, *parts = value
    if kind == "list":
        return depth < _MOST_NESTED and all(_is_argument(each, depth + 1) for each in parts)
    return kind in _PARTS and _PARTS[kind](parts)


class Keyword(Kind):
    """The name of a parameter, and its argument."""

    said = many = "a parameter's name with its argument"

    def read(self, value: Any) -> Any:
        """Return the pair."""
        plain = _PLAIN.read(value)
        if type(plain) is not tuple or len(plain) != 2 or type(plain[0]) is not str or not _is_argument(plain[1]):
            raise UsageError
        if plain[0] == "generator" and (type(plain[1]) is not tuple or plain[1][0] != "generator"):
            raise UsageError('a generator is given as ("generator", operand)')
        return plain


class Layout(Kind):
    """None, or the offset and the strides of an operand, after the name of a dtype that NumPy lacks."""

    said = many = "None or an offset with strides, after the name of a dtype that NumPy lacks"

    def read(self, value: Any) -> Any:
        """Return the layout."""
        plain = _PLAIN.read(value)
        if plain is None:
            return None
        numbers = plain[1:] if type(plain) is tuple and plain and type(plain[0]) is str else plain
        if not plain or not _are_counts(numbers):
            raise UsageError
        return plain


def shown(value: Any) -> str:
    """Return an argument as PyTorch writes it, a tensor as a dot."""
    if type(value) is not tuple:
        return str(value)
    kind, *parts = value
    if kind == "tensor":
        return "·"
    if kind == "geometry":
        return str(parts)
    if kind == "list":
        return f"[{', '.join(map(shown, parts))}]"
    return str(complex(*parts)) if kind == "complex" else str(parts[0])


def given(torch: Any, value: Any, tensors: Sequence[Any]) -> Any:
    """Return an argument as PyTorch takes it."""
    if type(value) is not tuple:
        return value
    kind, *parts = value
    if kind == "tensor" and parts[0] < len(tensors):
        return tensors[parts[0]]
    if kind == "list":
        return [given(torch, each, tensors) for each in parts]
    if kind in _NAMED:
        return named(torch, kind, parts[0])
    if kind == "device":
        return torch.device("cpu")
    if kind == "complex":
        return complex(*parts)
    raise NoRuleError(f"an argument of the call was {short_repr(value)}, which cannot be given again")


def named(torch: Any, kind: str, name: str) -> Any:
    """Return the dtype, layout or memory format of PyTorch that has a name. Nothing is imported for a name.

    Raises
    ------
    NoRuleError
        When there is none.
    """
    found = vars(torch).get(name)
    if not isinstance(found, getattr(torch, kind)):
        raise NoRuleError(f"PyTorch {torch.__version__} has no {kind} {short_repr(name)}")
    return found
