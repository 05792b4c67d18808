"""Verbs that ask what if."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..debugger.traces import Trace
from ..errors import UsageError
from ..io.graph_files import load, tupled
from ..view.formatting import counted
from ..view.tables.terminal_colors import judged
from .breakpoint_verbs import say_runs
from .typed_values import literal_of, numbers_of, part_of
from .verb_arguments import part_of_node
from .verb_registry import CHANGE, verb

if TYPE_CHECKING:
    from ..core import Array, Node
    from .session import Session

declared = partial(verb, group=CHANGE)


@declared("set NODE = VALUE", example="set dense_1/bias[0] = 0.5", takes="text of node", stands=True)
def set_value(session: Session, argument: str) -> None:
    """Set the value of a node, and see what follows from it.

    Only what depends on it is computed again, in a new run. The run before is kept; use goes back to it.

    VALUE is a number, which fills the node; nested lists of numbers; ones or zeros; or a file FILE.npy. NODE may also
    be a part of a node, dense_1/bias[0], or an attribute of its operation, clip_1.lo.
    """
    name, equals, text = argument.rpartition("=")
    if not equals or not text.strip() or not name.strip():
        raise UsageError("set needs a node and a value: set NODE = VALUE")
    node, index, attribute = part_of_node(session, name.strip())
    if attribute:
        value = literal_of(text)
        session.dbg.what_if(node, **{attribute: tupled(value)})
    elif index is not None:
        part_of(node, session.dbg[node].value, index)
        session.dbg[node][index] = _numbers(session, node, text.strip())
    else:
        numbers, shape = _numbers(session, node, text.strip()), session.dbg.prepared.shape_of(node)
        session.dbg.what_if(node, np.broadcast_to(numbers, shape) if numbers.ndim == 0 else numbers)


def _numbers(session: Session, node: Node, text: str) -> Array:
    """Return the numbers that are typed for a node."""
    if text in ("ones", "zeros"):
        return np.asarray(text == "ones", node.dtype)
    if text.endswith(".npy"):
        return session.load(text)
    literal = literal_of(text)
    if literal is None:
        raise UsageError("None is only for an attribute of an operation, such as clip_1.lo: a node has numbers")
    return numbers_of(node, literal, text)


@declared(
    "patch NODE from TRACE",
    example="patch dense_1/add[0] from clean.trace",
    takes="text of node",
    needs="patch which node? patch NODE from FILE.trace",
    stands=True,
)
def patch(session: Session, argument: str) -> None:
    """Give a node the value that it has in a trace.

    Only what depends on it is computed again, in a new run. NODE may also be a part of a node, heads[0, 3].
    """
    name, found, file = argument.rpartition(" from ")
    if not found or not name.strip() or not file.strip():
        raise UsageError("patch needs a node and the file of a trace: patch NODE from FILE.trace")
    node, index, attribute = part_of_node(session, name.strip())
    if attribute:
        raise UsageError(f"patch is for values, and {attribute} is an attribute: set {name.strip()} = VALUE")
    trace = load(file.strip())
    if not isinstance(trace, Trace):
        raise UsageError(f'"{file.strip()}" holds a graph, and patch needs a trace: graphnn trace writes one')
    value = trace[node.name].value
    if index is None:
        session.dbg.what_if(node, value)
    else:
        part_of(node, session.dbg[node].value, index)
        session.dbg[node][index] = part_of(node, value, index)


@declared("unset NODE", example="unset dense_1/bias", takes="node", needs="unset which node?", stands=True)
def unset(session: Session, node: Node) -> None:
    """Undo a change.

    In a new run, the node has its computed or fed value again.
    """
    del session.dbg[node]


@declared("runs")
def runs(session: Session, _: str) -> None:
    """List the runs that are kept, with what was changed."""
    say_runs(session)


@declared("use RUN", example="use run", takes="run", needs="use which run? runs lists them", stands=True)
def use(session: Session, run: str) -> None:
    """Go to a run that was kept, at the same position."""
    session.dbg.use(run)


@declared("drop RUN", example="drop what-if 1", takes="run", needs="drop which run? runs lists them")
def drop(session: Session, run: str) -> None:
    """Delete a kept run."""
    session.dbg.drop(run)
    say_runs(session)


@declared("diff [RUN]", example="diff run", takes="run")
def diff(session: Session, run: str) -> None:
    """Compare what has run with another run.

    By default, with the first run.
    """
    name = run or next(iter(session.dbg.runs))
    if name == session.dbg.run:
        raise UsageError(f'"{name}" is the current run: name another one; runs lists them')
    found = session.dbg.compare(name)
    session.say(judged(found.text(session.width), found.equal, session.colour), coloured=True)


@declared("commit")
def commit(session: Session, _: str) -> None:
    """Make the updates of this training step.

    restart then begins the next step with them; save FILE.gnn keeps them.
    """
    if not session.dbg.updates:
        raise UsageError("there are no updates to make: a compiled step has some, or a graph with --updates")
    session.dbg.commit()
    session.say(f"{counted(len(session.dbg.updates), 'update')} made; restart begins the next step with them")
