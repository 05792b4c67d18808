"""Verbs that move."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .verb_registry import MOVE, verb

if TYPE_CHECKING:
    from .session import Session

declared = partial(verb, group=MOVE, moves=True, stands=True)


@declared("step [N]", "s", example="step 5", takes="count", ahead=True)
def step(session: Session, n: int) -> None:
    """Run the next operation, or the next N.

    A breakpoint stops it earlier.
    """
    session.dbg.step(n)


@declared("back [N]", "rs", "reverse-step", example="back 2", takes="count")
def back(session: Session, n: int) -> None:
    """Go back by one operation, or by N.

    (b is break, as in pdb and gdb.)
    """
    _not_at_the_beginning(session)
    session.dbg.back(n)


def _not_at_the_beginning(session: Session) -> None:
    if not session.dbg.position:
        raise UsageError("nothing has run yet: there is nothing to go back to")


@declared("into", ahead=True)
def into(session: Session, _: str) -> None:
    """Run the next operation, and enter the scope that it opens."""
    session.dbg.into()


@declared("over", "o", "n", "next", ahead=True)
def over(session: Session, _: str) -> None:
    """Run the next operation, or all of the scope that it opens.

    A scope is a layer, a softmax, the whole backward pass.
    """
    session.dbg.over()


@declared("out", "finish", ahead=True)
def out(session: Session, _: str) -> None:
    """Run until the current node's scope is left.

    If it is left already, the scope around it; at the top, to the end.
    """
    session.dbg.out()


@declared("back-over", "rn", "reverse-next", "bo")
def back_over(session: Session, _: str) -> None:
    """Go back by one operation, or over the scope that ends here.

    It is the reverse of over.
    """
    _not_at_the_beginning(session)
    session.dbg.back_over()


@declared("rewind", "rc", "reverse-continue")
def rewind(session: Session, _: str) -> None:
    """Go back to a breakpoint, or to the beginning."""
    _not_at_the_beginning(session)
    session.dbg.rewind()


@declared("until NODE", "u", example="until relu_1", takes="many", needs="until which node?")
def until(session: Session, target: str) -> None:
    """Run until a node has run.

    It is named by itself, by a scope, an output, a pattern (dense_*/add) or an operation (exp). Repeated, it goes
    on to the next one that is meant.
    """
    session.dbg.until(target)


_WHERE_TO = "goto which node, or how many operations?"


@declared("goto NODE or N", "g", "jump", "j", example="goto 0", takes="position", needs=_WHERE_TO, moves=False)
def goto(session: Session, position: Any) -> None:
    """Go to a node, or to where N operations have run.

    Forwards or backwards; no breakpoint stops it. goto 0 goes before all.
    """
    session.dbg.goto(position)


@declared("iteration N", "it", example="iteration 137", takes="iteration", needs="which iteration?", moves=False)
def iteration(session: Session, n: int) -> None:
    """Go to the beginning of iteration N of the loop.

    Forwards or backwards, in the loop where the run stands, or in the only one. Its nodes are called scan_1@137/tanh.
    """
    session.dbg.iteration(n)


@declared("continue", "c", "cont", "resume", ahead=True)
def go_on(session: Session, _: str) -> None:
    """Run until a breakpoint, Ctrl-C, or the end."""
    session.dbg.resume()


@declared("restart", "run", "r", moves=False)
def restart(session: Session, _: str) -> None:
    """Go back to the beginning.

    Breakpoints and watches stay. After a commit it is the next step of training: a new run, from the new state.
    """
    session.dbg.restart()
