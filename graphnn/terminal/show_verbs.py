"""Verbs that show what is there."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .._util.text import short_name
from ..core import labels_along
from ..debugger.source_lines import AROUND
from ..errors import NotFoundError, near
from ..view.formatting import by_times, visible
from ..view.heatmap import matrix
from ..view.tables.table import columns
from ..view.tables.trace_table import cut, listing, neighbourhood, trace_table
from ..view.tables.trace_table import screen as screen_of
from ..view.tables.trace_table import where as where_is
from .terminal_text import NAME, index_text
from .typed_values import Index, part_of
from .verb_registry import LOOK, verb

_NUMBERS = 40  # of a row, that are printed as such

if TYPE_CHECKING:
    from ..core import Node
    from .session import Session

declared = partial(verb, group=LOOK)


@declared("where", "bt", "w")
def where(session: Session, _: str) -> None:
    """Say where the run is, in which scopes, and what is next."""
    session.say(where_is(session.dbg, session.width))
    for depth, scope in enumerate(session.dbg.frames(), start=1):
        kind = f" ({scope.kind})" if scope.kind else ""
        place = f"{kind}, made at {scope.origin}"
        room = max(session.width - len(place) - 2 * depth - 3, NAME)
        session.say(cut(f"{'  ' * depth}in {short_name(scope.path, room)}{place}", session.width))


@declared("list [N]", "l", example="list 10", takes="around")
def list_around(session: Session, around: int) -> None:
    """List the nodes around here, with what they gave.

    N before and N after, 5 unless given. A number is what goto takes. D done, C current, F fed, W waiting,
    S stale: was done, from values that hold no longer; O overridden by set.
    """
    session.say(listing(session.dbg, around, session.room, session.colour), coloured=True)


@declared("screen")
def screen(session: Session, _: str) -> None:
    """Show everything: where, list, the value, the line."""
    session.say(screen_of(session.dbg, session.width, session.colour), coloured=True)


@declared("print [NODE, NODE[INDEX] or NODE.stats]", "p", example="print dense_1/add[0, :3]", takes="part")
def print_value(session: Session, part: tuple[Node, Index | None, str]) -> None:
    """Print a value, a part of it, or its statistics.

    Without a node, of the current one: print, print [0, :3]. clip_1.lo is an attribute of an operation.
    """
    node, index, attribute = part
    name = visible(node.title)
    if attribute == "stats":
        stats = session.dbg[node].stats._asdict()
        session.say(
            columns(
                [(key, float(value) if key in ("min", "max", "mean", "std") else value) for key, value in stats.items()]
            )
        )
        return
    if attribute:
        if attribute not in node.op.attribute_names:
            known = ("stats", *node.op.attribute_names)
            raise NotFoundError(f'"{node.title}" ({node.op.name}) has no "{attribute}".{near(attribute, known)}')
        session.say(f"{name}.{attribute} = {session.dbg.op_of(node).attributes[attribute]!r}")
        return
    value = session.dbg[node].value
    labels = labels_along(node, value.shape)
    if index is None:
        session.say(f"{short_name(node.title, NAME)}  {by_times(value.shape)} {value.dtype}, {session.dbg.state(node)}")
    else:
        labels = _left(labels, index, value.ndim)
        value = part_of(node, value, index)
        if value.ndim > 1 or value.size > _NUMBERS:
            called = f"{short_name(node.title, NAME)}{index_text(index)}"
            session.say(f"{called}  {by_times(value.shape)} {value.dtype}, counted from its own beginning")
    if value.ndim > 1 or value.size > _NUMBERS or (value.ndim and any(labels)):
        session.say(matrix(value, session.width, colour=session.colour, labels=labels), coloured=True)
    else:
        session.say(np.array2string(value, session.width, precision=6))


def _left(labels: list[Any], index: Index, ndim: int) -> list[Any]:
    """Return the labels along the axes that an index leaves."""
    parts = [part for each in index for part in ([slice(None)] * (ndim - len(index) + 1) if each is ... else [each])]
    parts += [slice(None)] * (ndim - len(parts))
    pairs = zip(labels, parts, strict=False)
    return [names and names[part] for names, part in pairs if isinstance(part, slice)]


@declared("inputs [NODE]", example="inputs softmax_1/divide", takes="node")
def inputs(session: Session, node: Node) -> None:
    """List the operands of a node, with their values."""
    session.list_nodes(session.dbg.inputs(node), f"{node.title} reads nothing")


@declared("users [NODE]", example="users x", takes="node")
def users(session: Session, node: Node) -> None:
    """List what reads a node in this run."""
    session.list_nodes(session.dbg.users(node), f"nothing in this run reads {node.title}")


@declared("neighbours [NODE]", "neighbors", "nb", example="neighbours relu_1", takes="node")
def neighbours(session: Session, node: Node) -> None:
    """Show a node between what it reads and what reads it."""
    session.say(neighbourhood(session.dbg, node, session.width, session.colour), coloured=True)


@declared("twin [NODE]", example="twin grad/relu_1/multiply", takes="node")
def twin(session: Session, node: Node) -> None:
    """List the forward node of a backward one, or the reverse.

    For a node of a gradient or an update, the node it was made for; for a forward node, those nodes.
    """
    session.list_nodes(session.dbg.twin(node), f"{node.title} has no twin in this run")


@declared("path [NODE]", example="path dense_1/weight", takes="node")
def path(session: Session, node: Node) -> None:
    """List the nodes on a shortest path from a node to the fetches."""
    session.list_nodes(session.dbg.path(node), "")


@declared("source [NODE]", "src", example="source relu_1", takes="node")
def source(session: Session, node: Node) -> None:
    """Show the lines of the program that made a node."""
    session.say(f"{short_name(node.title, NAME)}, made at {node.origin}")
    lines = session.dbg.sources.get(node.origin.file, {})
    for line, text in lines.items():
        if abs(line - node.origin.line) <= AROUND:
            mark = "→" if line == node.origin.line else " "
            session.say(cut(f"{mark} {line:>4}  {text.expandtabs(4)}", session.width))
    if node.origin.line not in lines:
        session.say("  (the text of that line is not known)")


@declared("trace")
def trace(session: Session, _: str) -> None:
    """Print a table of all that has run."""
    session.say(trace_table(session.dbg.trace(), session.room, session.colour), coloured=True)
