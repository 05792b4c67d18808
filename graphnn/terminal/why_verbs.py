"""Verbs that ask where numbers come from and what they lead to."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from .._util.text import number, short_name
from ..core import is_float, named_index
from ..debugger.health import check_health
from ..debugger.health.training_facts import beside_guessing
from ..debugger.traces import in_short
from ..errors import AxisError, UsageError
from ..view.formatting import by_times, visible
from ..view.tables.table import columns
from ..view.tables.terminal_colors import inked
from ..view.tables.trace_table import cut
from .terminal_text import NAMED, called, folded
from .typed_values import INTEGER, Index, whole
from .verb_arguments import element_of
from .verb_registry import ASK, verb

_CELLS, _ALIKE = 8, 3
"""Numbers that `why` lists of an operand, and from how many equal ones on it lists one of them."""
_NOT_FINITE = re.compile(r" = (nan|[-+]?inf)\b")
_FURTHEST = 10_000  # nodes that a number is followed through

if TYPE_CHECKING:
    from ..core import Array, Node
    from ..debugger.health.findings import Finding
    from ..debugger.why import Read, Why
    from .session import Session

declared = partial(verb, group=ASK)


@declared("why [NODE[INDEX]] or why N", "y", example="why softmax_1/divide[17, 2]", takes="text of node")
def why(session: Session, argument: str) -> None:
    """Show which numbers, and which formula, gave a number.

    Without a node, of the current one; without an index, of its first NaN or infinity. Where positions have names, an
    index may be of these: why logits[3, dog]. Then why N, or up N, goes on to the N-th of the numbers listed, up to
    what was fed; down goes back.
    """
    if INTEGER.fullmatch(argument) and argument not in session.dbg.graph:
        up(session, argument)
        return
    failed = session.dbg.failed
    if failed is not None and argument in ("", failed.name, failed.title):
        _say_failure(session, failed)
        return
    session.asked = [session.dbg.why(*element_of(session, argument))]
    _say_why(session)


def _say_failure(session: Session, node: Node) -> None:
    """Say why a node has no value."""
    told = check_health(session.dbg.trace()).errors
    cause = next((each.cause for each in told if each.node is node), session.dbg.error.partition("\n")[0])
    session.say(folded(cause, session.width))
    session.list_nodes(node.inputs, f"{node.title} reads nothing")


@declared("up [N]", example="up 2")
def up(session: Session, argument: str) -> None:
    """Ask why of the N-th number listed.

    By default of the first NaN, else the first infinity, else the first number.
    """
    if not session.asked:
        raise UsageError("type why first")
    cells = _cells(session.asked[-1])
    asked = whole(argument, "the number of one that is listed") if argument else _likeliest(session.asked[-1])
    if not 1 <= asked <= len(cells):
        listed = "1 number is" if len(cells) == 1 else f"{len(cells) or 'no'} numbers are"
        raise AxisError(f"{listed} listed there, so there is no number {asked}")
    session.asked.append(session.dbg.why(*cells[asked - 1]))
    _say_why(session)


@declared("down")
def down(session: Session, _: str) -> None:
    """Go back to the number that was asked about before."""
    if len(session.asked) < 2:
        raise UsageError("this is the first number that was asked about" if session.asked else "type why first")
    session.asked.pop()
    _say_why(session)


def _say_why(session: Session) -> None:
    why = session.asked[-1]
    shape = session.dbg[why.node].value.shape
    index = f"[{', '.join(named_index(why.node, why.index, shape))}]" if shape else ""
    equation = why.equation.removeprefix(f"{why.node.title}{index}")
    lines = folded(f"{called(why.node, why.index, shape)}{equation}", session.width).split("\n")
    count = 0
    for read in _different(why):
        listed = _listed(read)
        if len(listed) < read.count:
            rest = str(read).removeprefix(visible(read.node.title))
            lines.append(f"      {short_name(read.node.title, NAMED)}{rest}; among them")
        for k, alike in listed.items():
            count += 1
            kind = f", {read.given}" if read.given else ""
            value = number(read.node.dtype.type(read.values[k]))
            more = f"; {'at least ' if read.count > len(read.values) else ''}{alike:,} more like it" if alike else ""
            element = called(read.node, read.indices[k], session.dbg[read.node].value.shape)
            lines.append(f"{count:>4}  {element} = {value}{kind}{more}")
    if why.origin.file:
        source = f": {why.source.strip()}" if why.source else ""
        lines.append(f"  at {why.origin}{source}")
    lines += _remark(session, why)
    if count:
        lines.append("  why N, or up N, goes on to one of them" if count > 1 else "  why 1, or up, goes on to it")
    inks = ["failed" if _NOT_FINITE.search(line) else "" for line in lines]
    shown = [inked(cut(line, session.width), ink, colour=session.colour) for line, ink in zip(lines, inks, strict=True)]
    session.say("\n".join(shown), coloured=True)


def _remark(session: Session, why: Why) -> list[str]:
    """Return what else there is to say of a number: how what is bad in it arose, or a loss beside guessing."""
    value = session.dbg[why.node].value
    if is_float(value.dtype) and not np.isfinite(value[why.index]):
        said = _since(session, why)
        return folded(f"  {said}", session.width).split("\n") if said else []
    if value.ndim:
        return []
    said = beside_guessing(
        why.node, session.dbg.order, lambda node: session.dbg[node].value if session.dbg[node].known else None
    )
    return [f"  {said}"] if said else []


def _since(session: Session, why: Why) -> str:
    """Return where what is bad in a number arose, and how."""
    origin = why
    for _ in range(_FURTHEST):
        cells = _cells(origin)
        node, index = cells[_likeliest(origin) - 1] if cells else (origin.node, origin.index)
        if not cells or np.isfinite(session.dbg[node].value[index]):
            break
        origin = session.dbg.why(node, index)
    found = _findings(session)
    told = [each for first in found for each in (first, *first.leads_to) if each.node is origin.node]
    told.sort(key=lambda each: each.index != tuple(origin.index))
    if origin is not why:
        return f"since {told[0].cause if told else origin.equation}"
    said = told[0].reasons if told else ""
    return said if not said or told[0].index == tuple(why.index) else f"as with {told[0].place}: {said}"


def _findings(session: Session) -> Sequence[Finding]:
    """Return what is found of the run as it is now; nothing, if its values do not all fit into the budget."""
    prepared, position = session.dbg.prepared, session.dbg.position
    if session.looked_at is None or session.looked_at[0] is not prepared or session.looked_at[1] != position:
        fits = session.dbg.fits_memory
        session.looked_at = prepared, position, check_health(session.dbg.trace()).findings if fits else ()
    return session.looked_at[2]


def _different(why: Why) -> list[Read]:
    """Return what the operands gave, the same elements of one node but once."""
    return list({(read.node, read.indices): read for read in reversed(why.reads)}.values())[::-1]


def _listed(read: Read) -> dict[int, int]:
    """Return which of the numbers that an operand gave are listed: the first, and those that are not finite.

    For many that are equal it is one, with how many more there are.
    """
    equal: dict[str, list[int]] = {}
    for k, value in enumerate(read.values):
        equal.setdefault(repr(value), []).append(k)
    groups = [[k] for ks in equal.values() for k in ks[: _ALIKE - 1] if len(ks) < _ALIKE]
    groups += [ks for ks in equal.values() if len(ks) >= _ALIKE]
    groups.sort()
    strange = [ks for ks in groups if not math.isfinite(read.values[ks[0]])][: _CELLS // 2]
    chosen = [*strange, *[ks for ks in groups if ks not in strange][: _CELLS - len(strange)]]
    return {ks[0]: len(ks) - 1 for ks in sorted(chosen)}


def _likeliest(why: Why) -> int:
    """Return which of the numbers that are listed is asked about next: the first NaN, or infinity, or the first."""
    values = [read.values[k] for read in _different(why) for k in _listed(read)]
    strange = [*map(math.isnan, values)], [*map(math.isinf, values)]
    return next((found.index(True) + 1 for found in strange if any(found)), 1)


def _cells(why: Why) -> list[tuple[Node, tuple[int, ...]]]:
    """Return the numbers that are listed below an equation, in their order."""
    return [(read.node, read.indices[k]) for read in _different(why) for k in _listed(read)]


@declared("ancestry [NODE[INDEX]]", "ancestors", example="ancestry softmax_1/divide[17, 2]", takes="element")
def ancestry(session: Session, element: tuple[Node, Index | None]) -> None:
    """List all the numbers that one number was computed from.

    Directly, or through others.
    """
    _say_cells(session, session.dbg.ancestry(*element))


@declared("influence [NODE[INDEX]]", example="influence x[17, 0]", takes="element")
def influence(session: Session, element: tuple[Node, Index | None]) -> None:
    """List all the numbers that one number contributed to.

    Directly, or through others; of what has run.
    """
    _say_cells(session, session.dbg.influence(*element))


def _say_cells(session: Session, found: dict[Node, Array]) -> None:
    rows = []
    for node, cells in found.items():
        shape = session.dbg[node].value.shape
        places = [np.unravel_index(cell, shape) for cell in cells[:3]] if shape else []
        first = [f"[{', '.join(named_index(node, [*map(int, place)], shape))}]" for place in places]
        more = ", …" if len(cells) > len(first) and shape else ""
        rows.append((node.title, len(cells), f"{' '.join(first)}{more}"))
    session.say(columns(rows, ("node", "numbers", "which"), width=session.room))


@declared("sample ROW [DIMENSION]", example="sample 17", needs="which sample? For instance: sample 17")
def sample(session: Session, argument: str) -> None:
    """Show one sample alone, in every value that has run.

    From the feed to its cotangents. Samples lie along the first placeholder's first dimension, unless another one
    is named.
    """
    row, _, dimension = argument.partition(" ")
    found = session.dbg.sample(whole(row, "the number of a sample"), dimension.strip() or None)
    rows = [(node.title, by_times(value.shape), in_short(value)) for node, value in found.items()]
    session.say(columns(rows, ("node", "shape", "value"), width=session.room))


@declared("check", "health")
def check(session: Session, _: str) -> None:
    """Say where NaN, inf and overflow arise, why, what to do.

    It runs all of this run, on its own; the debugger stays where it is.
    """
    session.say_headed(check_health(session.dbg.trace()).text(session.width))
