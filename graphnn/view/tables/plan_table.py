"""What a plan made of a schedule, as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..._util.display import TEXT
from ..._util.text import NARROWEST, in_lines
from ...compiler.plan_explanation import Explanation
from ..formatting import at_least, counted, in_bytes, in_seconds, visible
from .table import columns

_MOST = 200  # lines of a table


@TEXT.give(Explanation)
def explained(explanation: Explanation, width: int | None = 80) -> str:
    """Return it as text: counts first, then each node's fate, the fusion groups, and the arena.

    Parameters
    ----------
    explanation : Explanation
    width : int or None
        Of a line. None: all rows, and whole names.
    """
    width = None if width is None else at_least(NARROWEST, width, "width=")
    fates = explanation.fates
    folded, merged, views = (explanation.count(fate) for fate in ("constant", "the same as", "a view of"))
    lines = [
        *in_lines(
            f"{counted(explanation.calls, 'call')} for {counted(len(fates), 'node')}: {folded} folded into constants, "
            f"{merged} the same as another, {views} views",
            width,
        ),
        *in_lines(
            f"arena {in_bytes(explanation.arena)}; the most taken at once {in_bytes(explanation.live)}; handed out "
            f"{in_bytes(explanation.handed_out)}; each value apart would take {in_bytes(explanation.apart)}",
            width,
        ),
        *in_lines(_expected(explanation), width),
        "",
        _table([(node.name, node.op.name, fate) for node, fate in fates.items()], ("node", "op", "how"), width),
    ]
    for rows, nodes in explanation.chains:
        lines += ["", *in_lines(visible(f"in blocks of {counted(rows, 'row')}: {', '.join(nodes)}"), width, "", "    ")]
    if explanation.loops is not None:
        lines += ["", _table(_rows(explanation.loops), _OF_LOOPS, width, right=(2, 3, 4))]
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
        lines += ["", _table(pieces, ("at byte", "size", "calls", "whose"), width, right=(1,))]
    return "\n".join(lines)


def _expected(explanation: Explanation) -> str:
    """Return what is to be expected of a plan's loops, in a line."""
    if (loops := explanation.loops) is None:
        return ""
    calls = sum(loop.expected is None for loop in loops)
    threads = max((loop.threads for loop in loops), default=1)
    shared: int = sum(loop.threads > 1 for loop in loops)
    return (
        f"loops read {in_bytes(explanation.read)}, write {in_bytes(explanation.written)}; expected "
        f"{in_seconds(explanation.expected)}"
        + (f", {counted(calls, 'call')} of NumPy aside" if calls > 0 else "")
        + (f"; {counted(shared, 'loop')} on {threads} threads" if shared > 0 else "")
    )


_OF_LOOPS = ("loop", "of", "reads", "writes", "expected")


def _rows(loops: Sequence[Any]) -> list[tuple[object, ...]]:
    """Return loops as the rows of a table."""
    return [
        (
            loop.what + (f" ×{loop.threads}" if loop.threads > 1 else ""),
            ", ".join(loop.nodes),
            in_bytes(loop.read),
            in_bytes(loop.written),
            "" if loop.expected is None else in_seconds(loop.expected),
        )
        for loop in loops
    ]


def _table(
    rows: Sequence[tuple[object, ...]], headers: Sequence[str], width: int | None, right: Sequence[int] = ()
) -> str:
    """Return rows as a table; of very many the first, unless there is no width."""
    shown = list(rows)
    if width is not None and len(rows) > _MOST:
        shown[_MOST:] = [(*[""] * (len(headers) - 1), f"… {len(rows) - _MOST:,} more …")]
    return columns(shown, headers, right=right, width=width)
