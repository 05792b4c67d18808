"""What a plan made of a schedule, as text."""

from __future__ import annotations

from collections.abc import Sequence

from ...execute.explain import Explanation
from ...show import show_as
from ..text import counted, in_bytes, visible
from .table import columns

_MOST = 200  # lines of a table


@show_as(Explanation, "text")
def explained(explanation: Explanation) -> str:
    """Return it as text: counts first, then each node's fate, the fusion groups, and the arena."""
    fates = explanation.fates
    folded, merged, views = (explanation.count(fate) for fate in ("constant", "the same as", "a view of"))
    lines = [
        f"{counted(explanation.calls, 'call')} for {counted(len(fates), 'node')}: {folded} folded into constants, "
        f"{merged} the same as another, {views} views",
        f"arena {in_bytes(explanation.arena)}; the most taken at once {in_bytes(explanation.live)}; handed out "
        f"{in_bytes(explanation.handed_out)}; each value apart would take {in_bytes(explanation.apart)}",
        "",
        columns(_cut([(node.name, node.op.name, fate) for node, fate in fates.items()]), ("node", "op", "how")),
    ]
    for rows, nodes in explanation.chains:
        lines += ["", visible(f"in blocks of {counted(rows, 'row')}: {', '.join(nodes)}")]
    pieces = [
        (
            piece.offset,
            in_bytes(piece.size),
            f"{piece.first} to {piece.last}",
            ("blocks of " if piece.scratch else "") + ", ".join(piece.nodes),
        )
        for piece in explanation.pieces
    ]
    if pieces:
        lines += ["", columns(_cut(pieces), ("at byte", "size", "calls", "whose"), right=(1,))]
    return "\n".join(lines)


def _cut(rows: Sequence[tuple[object, ...]]) -> list[tuple[object, ...]]:
    if len(rows) <= _MOST:
        return list(rows)
    return [*rows[:_MOST], (*[""] * (len(rows[0]) - 1), f"… {len(rows) - _MOST:,} more …")]
