"""Verbs that say where a run stops, and what is watched on the way."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..debugger.node_selection import many
from ..errors import NotFoundError, UsageError, near
from ..view.formatting import counted
from ..view.tables.table import columns
from .terminal_text import folded
from .verb_arguments import LISTS, meant, refuse_part
from .verb_registry import STOP, verb

if TYPE_CHECKING:
    from .session import Session

declared = partial(verb, group=STOP)


@declared("break [NODE] [if CONDITION]", "b", example="break dense_*/add if nan", takes="where")
def break_at(session: Session, where: tuple[str, str | None]) -> None:
    """Stop after a node, if a condition holds.

    The node is named by itself, by a scope, an output, a pattern (dense_*/add), an operation (exp) or the line that
    made it (model.py:18); any node is meant if only a condition is given. op=exp and scope=dense_1 mean the
    operation and the scope where a node has that name, too. Alone it lists the breakpoints.

    A condition is nan, inf, zero, saturated, unchanged, above 3, below -3, or a comparison: max > 1e3,
    value[0, 2] == 1, value > 3 of some element; joined by and, or, not.
    """
    target, condition = where
    if not target and condition is None:
        _say_breakpoints(session)
        return
    made = session.dbg.break_at(when=condition, **meant(session, target))
    session.say(folded(f"{made}, {counted(len(made.nodes), 'operation')}", session.width))


@declared("clear [N]", "delete", "d", "cl", example="clear 1", takes="breakpoint")
def clear(session: Session, number: int | None) -> None:
    """Remove breakpoint N, or all of them."""
    before = len(session.dbg.breakpoints)
    session.dbg.clear(number)
    session.say(f"{counted(before - len(session.dbg.breakpoints), 'breakpoint')} removed")


@declared("watch NODE", "display", example="watch loss", takes="many", needs="watch which node?")
def watch(session: Session, target: str) -> None:
    """Print a node's value whenever it changes."""
    refuse_part(session, target)
    session.dbg.watch(target)
    session.list_nodes(many(session.dbg.order, session.dbg.graph, target), "", session.dbg.watches)


@declared("unwatch [NODE]", "undisplay", example="unwatch loss", takes="many")
def unwatch(session: Session, target: str | None) -> None:
    """Stop watching a node.

    Without a node, stop watching all.
    """
    session.dbg.unwatch(target)
    session.say(f"{counted(len(session.dbg.watches), 'node')} still watched")


@declared("info [breakpoints | watches | runs]", "i", example="info breakpoints", takes="list")
def info(session: Session, kind: str) -> None:
    """List breakpoints, watches, runs.

    Without an argument, all of them.
    """
    chosen = [each for each in LISTS if each.startswith(kind)]
    if not chosen:
        raise NotFoundError(f'there is no list of "{kind}".{near(kind, LISTS)}')
    for each in chosen:
        {"breakpoints": _say_breakpoints, "watches": _say_watches, "runs": say_runs}[each](session)


def _say_breakpoints(session: Session) -> None:
    rows = [(b.number, b.target, b.condition, len(b.nodes), b.hits) for b in session.dbg.breakpoints]
    headers = ("breakpoint", "after", "if", "operations", "hits")
    session.say(columns(rows, headers, width=session.room) if rows else "no breakpoints")


def _say_watches(session: Session) -> None:
    session.list_nodes(session.dbg.watches, "nothing is watched", session.dbg.watches)


def say_runs(session: Session) -> None:
    """List the runs that are kept."""
    rows = [
        (f"{'→' if name == session.dbg.run else ' '} {name}", ", ".join(node.title for node in changed) or "nothing")
        for name, changed in session.dbg.runs.items()
    ]
    session.say(columns(rows, ("  run", "changed in it"), width=session.room))


@declared("recheck [NODE if] CONDITION", example="recheck dense_*/add if nan", takes="where or condition")
def recheck(session: Session, where: tuple[str, str | None]) -> None:
    """List the nodes that have run for which a condition holds.

    Node and condition are as break takes them.
    """
    target, condition = where if where[1] is not None else ("", where[0])
    if not condition:
        raise UsageError("recheck which condition? For instance: recheck nan")
    found = session.dbg.recheck(condition, **meant(session, target))
    none = f"{condition} holds for nothing that has run"
    session.list_nodes(found, f"{condition} does not hold for what has run of {target}" if target else none)
