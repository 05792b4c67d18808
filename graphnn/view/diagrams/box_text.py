"""What is written on boxes, frames and arrows."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, NamedTuple

from ..formatting import by_times, counted, elided, preview, shortened
from .picture import BodyScope, Box, data_inputs, insides, is_named, local_name, numbers_in, own_name, title_of
from .style import HIGHLIGHTS, KIND_OF_PHASE, MOST_BELOW, MOST_INLINE, Highlight

if TYPE_CHECKING:
    from ...core import Node, Op, Scope

_LEAST_NAME, _MOST_SIZE, MOST_MARKS = 8, 12, 20
# Where the order of the operands does not matter, arrows do not show their positions.
_COMMUTATIVE = frozenset({"add", "multiply", "maximum", "minimum", "equal", "not_equal", "logical_and", "logical_or"})


class Words(NamedTuple):
    """The kind of a box, and what is written on it."""

    kind: str
    title: str
    below: str = ""


def words(box: Box, room: int = MOST_BELOW) -> Words:
    """Return the kind of a box, a key of the table of looks, and what is written on it.

    For a name that is too long for the `room` below the title, something is left out; never of a count.
    """
    said = _node_words(box) if box.scope is None else _layer_words(box, box.scope, room)
    return said if box.times == 1 else said._replace(title=repeated_title(said.title, box.times))


def repeated_title(title: str, times: int) -> str:
    """Return the title of what stands for several: ``RNNCell ×15``."""
    return f"{title} ×{times}" if times > 1 else title


def title_with_times(title: str, scope: Scope) -> str:
    """Return the title of a scope; of a loop, with how many iterations it has: ``scan_1 ×time``."""
    times = scope.times if isinstance(scope, BodyScope) else None
    return title if times is None else f"{title} ×{times}"


def _layer_words(box: Box, scope: Scope, room: int) -> Words:
    numbers = numbers_in(box.nodes)
    kind = KIND_OF_PHASE.get(box.phase) or ("layer" if numbers else "operation")
    below = [counted(numbers, "parameter")] if numbers else []
    given = [local_name(node.title, scope.parent) for node in box.nodes if node.title != node.name]
    below += [shortened(name, _MOST_SIZE) for name in given if "/" not in name][-1:]
    title, second = scope.kind or title_of(scope), title_of(scope) if scope.kind else ""
    if is_named(scope):
        title, second = second, title
    title = title_with_times(title, scope)
    if second and second != title:
        below.insert(0, shortened(second, max(room - len(" · ".join(["", *below])), _LEAST_NAME)))
    return Words(kind, title, " · ".join(below))


def _node_words(box: Box) -> Words:
    node, name, shape = box.node, own_name(box.node), shape_words(box.node)
    if box.title:
        return Words("input", box.title, f"{box.note} · {shape}" if box.note else shape)
    if node.op.is_placeholder:
        return Words("placeholder", name, shape)
    if node.op.is_parameter:
        return Words("parameter", name, shape) if node.trainable else Words("frozen", name, f"{shape} · not trained")
    if node.op.is_constant:
        # A constant that the user named says so.
        value = preview(node.value) if math.prod(map(int, node.shape)) <= MOST_INLINE else shape
        return Words("constant", value if re.fullmatch(r"constant(_\d+)?", name) else f"{name} = {value}")
    named = is_named(node)
    below = [node.op.name] if named else [name] if name != node.op.name and box.times == 1 else []
    below += common_settings(box)
    if node.twin is not None and node.twin.phase != node.phase:
        below.append(f"of {own_name(node.twin)}")
    below += [box.note] if box.note else []
    return Words(KIND_OF_PHASE.get(box.phase, "operation"), name if named else node.op.name, " · ".join(below))


def shape_words(node: Node) -> str:
    """Return the shape of a value, and its dtype if that is not the graph's."""
    return by_times(node.shape) + (f" · {node.dtype}" if node.dtype != node.graph.dtype else "")


def mark_of(box: Box, highlight: Mapping[Node, Highlight]) -> tuple[str, Sequence[str]]:
    """Return the strongest mark of the nodes in a box, with its notes."""
    found: dict[str, Sequence[str]] = {}
    for node in box.seen:
        mark = highlight.get(node, "fed")
        kind, *notes = [mark, HIGHLIGHTS[mark][1]] if isinstance(mark, str) else mark
        found.setdefault(kind, [note for note in notes if note])
    strongest = min(found, key=list(HIGHLIGHTS).index)
    return strongest, found[strongest]


def common_settings(box: Box) -> list[str]:
    """Return the settings of an operation; of several that are drawn as one, if they are the same in all."""
    if insides(box.node):
        return []  # the text of a body says nothing here
    return settings(box.node.op) if all(node.op == box.node.op for node in box.nodes) else []


def settings(op: Op) -> list[str]:
    """Return the attributes that are not as they are by default: ``axis=1``, ``keepdims``."""
    defaults = {attribute.name: attribute.default for attribute in fields(op)}  # type: ignore[arg-type]
    attributes = op.shown_attributes.items()  # an operation that is not defined here may have others than its fields
    return [_setting(name, value) for name, value in attributes if value != defaults.get(name, MISSING)]


def _setting(name: str, value: Any) -> str:
    if name == "index":
        return f"[{', '.join(map(_index, value if isinstance(value, tuple) else (value,)))}]"
    return name if value is True else f"{name}={_plain(value)}"


def _plain(value: Any) -> str:
    return f"({', '.join(map(_plain, value))})" if isinstance(value, tuple) else str(value)


def _index(part: Any) -> str:
    """Return a part of an index as it was written: a slice is kept as its start, stop and step."""
    if not isinstance(part, tuple):
        return str(part)
    start, stop, step = ("" if end is None else str(end) for end in part)
    return f"{start}:{stop}" + (f":{step}" if step else "")


def frame_words(scope: Scope, nodes: list[Node]) -> tuple[str, str]:
    """Return the name of an open scope, and ``2 → 64, 192 parameters`` of one that has parameters.

    The sizes are those of the last axis, and of all axes from the first one that changes: ``1 × 8 × 8 → 2 × 6 × 6``.
    Of one that reads or gives several values: ``2 inputs → 1 output, 192 parameters``, or ``2 inputs → 1 output``.
    """
    numbers = numbers_in(nodes)
    note = counted(numbers, "parameter") if numbers else ""
    if isinstance(scope, BodyScope):
        return title_with_times(title_of(scope), scope), ", ".join(filter(None, [scope.note, note]))
    # A scope of the user's own may hold a backward pass and an update, too.
    forward = [node for node in nodes if node.phase == "forward"]
    given, results = data_inputs(forward), _results(forward)
    if scope.phase == "forward" and (len(given) > 1 or len(results) > 1):
        ends = f"{counted(len(given), 'input')} → {counted(len(results), 'output')}"
        return title_of(scope), f"{ends}, {note}" if note else ends
    if not note:
        return title_of(scope), ""
    result = forward[-1] if forward else nodes[-1]
    if scope.phase == "forward" and given and len(given[0].shape) == len(result.shape) > 0:
        pairs = list(zip(given[0].shape, result.shape, strict=True))
        first = next((i for i, (one, other) in enumerate(pairs) if one != other), -1)
        sizes = [elided(by_times(node.shape[first:]), 2 * _MOST_SIZE) for node in (given[0], result)]
        note = f"{' → '.join(sizes)}, {note}"
    return title_of(scope), note


def _results(nodes: list[Node]) -> list[Node]:
    """Return what the forward pass reads of `nodes` elsewhere; if it reads nothing, the last of them."""
    inside = set(nodes)
    known = [node for node in nodes if node.name in node.graph and node.graph[node.name] is node]  # not what failed
    read = [
        node
        for node in known
        if not node.has_value and any(user.phase == "forward" and user not in inside for user in node.users)
    ]
    return read or nodes[-1:]


def tip_of(box: Box) -> list[str]:
    """Return the lines of the tooltip of a box."""
    if box.scope is not None:
        return [*scope_tip(box.scope, box.nodes), *_calls(box.times)]
    node = box.node
    lines = [*dict.fromkeys([node.title, node.name]), f"{node.op!r} {node.spec}", f"made at {node.origin}"]
    if node.twin is not None:
        lines.append(f"for {node.twin.name}")
    return [*lines, *_calls(box.times)]


def _calls(times: int) -> list[str]:
    return [f"{times} times: all calls of a layer are drawn as one"] if times > 1 else []


def scope_tip(scope: Scope, nodes: list[Node]) -> list[str]:
    """Return the lines of the tooltip of a scope, open or collapsed."""
    operations = sum(bool(node.inputs) for node in nodes)
    what = ([scope.kind] if scope.kind else []) + [counted(operations, "operation")]
    if numbers := numbers_in(nodes):
        what.append(counted(numbers, "parameter"))
    return [scope.path, ", ".join(what), f"made at {scope.origin}"]


def positions_matter(node: Node) -> bool:
    """Return whether the order of the operands changes the value."""
    return len(node.inputs) > 1 and node.op.name not in _COMMUTATIVE
