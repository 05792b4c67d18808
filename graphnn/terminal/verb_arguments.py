"""Kinds of arguments: how each is read from what is typed, and completed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.symbolic_shapes import shown
from ..debugger.breakpoint_conditions import Condition
from ..debugger.node_selection import names_in
from ..debugger.why import first_strange, split_index
from ..errors import NotFoundError, UsageError
from .terminal_text import index_text
from .typed_values import INTEGER, Index, index_of, whole

if TYPE_CHECKING:
    from ..core import Node
    from .session import Session

_QUANTITIES = ("above", "below", "min", "max", "mean", "std", "norm", "zeros", "nans", "infs", "size", "value", "not")
LISTS = ("breakpoints", "watches", "runs")


def named(session: Session, text: str) -> str:
    """Return the name that is meant: as it is typed, in quotes, or as it is printed where it cannot be typed."""
    if text not in session.dbg.graph:
        if len(text) > 1 and text[0] == text[-1] == '"' and text[1:-1] in session.dbg.graph:
            return text[1:-1]
        return session.spelled.get(text, text)
    return text


def conditional(session: Session, text: str) -> tuple[str, str | None]:
    """Return what stands before ``if``, and the condition after it, if there is one."""
    if text.startswith("if "):
        return "", text[3:].strip()
    if text == "if" or text.endswith(" if"):
        raise UsageError(f"if needs a condition: {text} nan, or {text} max > 10")
    target, found, condition = text.rpartition(" if ")
    if not found or named(session, text) in session.dbg.graph:
        return text, None
    return target.strip(), condition.strip()


def refuse_part(session: Session, text: str) -> None:
    """Refuse a part of a node where a whole one is meant."""
    name, bracket, _ = text.partition("[")
    if bracket and text not in session.dbg.graph and named(session, name) in session.dbg.graph:
        how = f"break {name} if value[…] > 0, say, looks at an element"
        raise UsageError(f"a whole node is expected here, {name}; {how}")


def meant(session: Session, text: str) -> dict[str, str | None]:
    """Return which nodes are meant: by name, or as the operation or the scope that is said to be one."""
    kind, _, name = text.partition("=")
    if kind in ("op", "scope") and name and text not in session.dbg.graph:
        return {kind: name}
    refuse_part(session, text)
    return {"target": named(session, text) if text else None}


def node_of(session: Session, text: str) -> Node:
    """Return the node of a name, or where none is given the current one."""
    if text:
        return session.dbg.node(named(session, text))
    return session.dbg.here() if session.dbg.operations else session.dbg.order[-1]


def part_of_node(session: Session, text: str) -> tuple[Node, Index | None, str]:
    """Return the node that is meant, and the index or the attribute of it."""
    try:
        return node_of(session, text), None, ""
    except NotFoundError:
        if text.endswith("]") and "[" in text:
            name, inside = split_index(text, session.dbg.graph)
            if not name:
                name, _, inside = text[:-1].partition("[")
            node = node_of(session, name.rstrip())
            shape = session.dbg[node].value.shape if node.graph.labels and session.dbg[node].known else ()
            return node, index_of(inside, node, shape), ""
        name, dot, attribute = text.rpartition(".")
        if dot and named(session, name) in session.dbg.graph:
            return node_of(session, name), None, attribute
        raise


def element_of(session: Session, text: str) -> tuple[Node, Index | None]:
    """Return the node that is meant, and which one of its numbers."""
    node, index, attribute = part_of_node(session, text)
    if attribute:
        raise UsageError(f"a number of {node.title} is expected, such as {node.title}[0], not .{attribute}")
    if index is None:
        return node, _strange(session, node)
    if not all(isinstance(part, int) for part in index):
        raise UsageError(f'one number of "{node.title}" is expected, not the part {index_text(index)}')
    return node, index


def _strange(session: Session, node: Node) -> Index | None:
    """Return the element that is asked about where none is named: the first NaN, or infinity; None is the only."""
    value = session.dbg[node].value
    if value.size <= 1:
        return None
    if strange := first_strange(value):
        return strange
    last = index_text(n - 1 for n in value.shape)
    raise UsageError(f'"{node.title}" has shape {shown(value.shape)}: say which number, as in {node.title}{last}')


def names(session: Session) -> list[str]:
    """Return the names that nodes, scopes and outputs have."""
    dbg = session.dbg
    return list(dict.fromkeys([*names_in(dbg.order, dbg.graph), *dbg.graph.scopes, *dbg.graph.outputs]))


def _several(session: Session) -> list[str]:
    """Return what may be typed where several nodes may be meant."""
    return [*names(session), *_ops(session)]


def _ops(session: Session) -> list[str]:
    return sorted({node.op.name for node in session.dbg.order})


def _where(session: Session) -> list[str]:
    """Return what may be typed where it may also be said what the name is of."""
    scopes = (f"scope={scope}" for scope in session.dbg.graph.scopes)
    return [*_several(session), *(f"op={op}" for op in _ops(session)), *scopes]


def _runs(session: Session) -> Iterable[str]:
    return session.dbg.runs


def _topics(session: Session) -> list[str]:
    """Return what `help` takes: verbs, and the topics that they belong to."""
    return sorted({*session.by_word, *(verb.group for verb in session.by_word.values())})


class Kind(NamedTuple):
    """A kind of argument.

    Attributes
    ----------
    read : callable
        Takes the session and what is typed; returns what the verb's action takes.
    complete : callable
        Returns how it may go on.
    of_nodes : bool
        Whether it names nodes, so that an example can be given of this run.
    """

    read: Callable[[Session, str], Any] = lambda session, text: text
    complete: Callable[[Session], Iterable[str]] = lambda session: ()
    of_nodes: bool = False


def _integer(what: str, default: int | None = None) -> Kind:
    return Kind(lambda session, text: whole(text, what) if text else default)


def _position(session: Session, text: str) -> int | Node:
    return int(text) if INTEGER.fullmatch(text) else node_of(session, text)


KINDS: dict[str, Kind] = {
    "": Kind(),
    "count": _integer("the number of operations", 1),
    "breakpoint": _integer("the number of a breakpoint"),
    "iteration": _integer("the number of an iteration"),
    "around": _integer("the number of nodes to list", 5),
    "node": Kind(node_of, names, True),
    "position": Kind(_position, names, True),
    "part": Kind(part_of_node, names, True),
    "element": Kind(element_of, names, True),
    "text of node": Kind(complete=names, of_nodes=True),
    "many": Kind(lambda session, text: named(session, text) if text else None, _several, True),
    "where": Kind(conditional, _where, True),
    "where or condition": Kind(conditional, lambda session: [*_where(session), *Condition.FLAGS, *_QUANTITIES], True),
    "condition": Kind(complete=lambda session: [*Condition.FLAGS, *_QUANTITIES, "and", "or"]),
    "list": Kind(complete=lambda session: LISTS),
    "run": Kind(complete=_runs),
    "topic": Kind(complete=_topics),
}
