"""Lines as a terminal may show them: of its width, and without what would command it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .._util.text import short_name
from ..core import named_index
from ..view.formatting import elided, visible
from ..view.formatting import folded as folded
from ..view.formatting import printable as printable

if TYPE_CHECKING:
    from ..core import Node

NAME, NAMED, PROMPTED = 30, 48, 18
"""Characters of a name, of one that has a line for itself, of one in the prompt."""


def commands(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines that say something; ``#`` begins a comment."""
    for line in lines:
        line = line.strip()
        if line and not line.startswith("#"):
            yield line


def _made(node: Node, most: int) -> str:
    """Return a node as the equation that it is, ``relu_1 = relu(dense_1/add)``, with names of so many characters."""
    operands = ", ".join(short_name(operand.title, most) for operand in node.inputs)
    return f"{short_name(node.title, most)} = {node.op.name}({operands})"


def placed(node: Node, before: str, width: int) -> str:
    """Return a node as an equation with the user's line, which stays whole."""
    place = f"  at {visible(str(node.origin))}" if node.origin.file else ""
    room = max(width - len(before) - len(place), NAME)
    made = next((made for most in range(NAME, 11, -3) if len(made := _made(node, most)) <= room), _made(node, 12))
    return f"{before}{elided(made, room)}{place}"


def index_text(index: Iterable[Any]) -> str:
    """Return an index as it is typed, with its brackets."""
    return f"[{', '.join(map(_part_text, index))}]"


def _part_text(part: Any) -> str:
    if isinstance(part, slice):
        bounds = ["" if bound is None else str(bound) for bound in (part.start, part.stop, part.step)]
        return ":".join(bounds if bounds[2] else bounds[:2])
    return "..." if part is ... else str(part)


def called(node: Node, index: Sequence[int], shape: Sequence[int], most: int = NAMED) -> str:
    """Return one number of a node as it is printed, with the labels of its position in a value of this shape."""
    name = short_name(node.title, most)
    return f"{name}[{', '.join(named_index(node, index, shape))}]" if index else name
