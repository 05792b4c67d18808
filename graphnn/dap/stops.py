"""Where a run stops for a client: breakpoints at lines, functions and data, exceptions, and a pause."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from .._util.numpy_warnings import quietly
from .._util.text import visible
from ..core import is_float
from ..debugger.breakpoint_conditions import Breakpoint, Condition, Context
from ..debugger.node_selection import many
from ..errors import GraphnnError
from ..runtime.guard import violating
from .protocol import Arguments, Refused, readable

if TYPE_CHECKING:
    from ..core import Array, Node
    from ..debugger.debugger import Debugger
    from ..runtime.evaluation_loop import Step
    from .frames import Sources

MOST = 1000
"""How many breakpoints of a kind a client may set."""
_MOST_NODES = 10**6
"""After how many operations they may stop in all."""
_MOST_TEXT = 1000
_HITS = re.compile(r"\s*(>=|>|<=|<|==|=|%)?\s*([0-9]{1,9})\s*")
_ANY = re.compile(r"\bany\s*(?=[<>=!])", re.IGNORECASE)
_WORDS = {"becomes": "", "is": "", "changes": "not unchanged", "nan": "nan", "infinite": "inf", "infinity": "inf"}
_COMPUTED = {"", "computed", "write"}


def condition_in(text: str) -> Condition | None:
    """Return the condition that a client writes: ``becomes NaN``, ``any > 10``, ``changes``, or one of `Condition`.

    Examples
    --------
    >>> condition_in("becomes NaN"), condition_in("any > 10"), condition_in("changes")
    (Condition('nan'), Condition('value > 10'), Condition('not unchanged'))
    """
    text = text.strip()
    if text.lower() in _COMPUTED:
        return None
    if len(text) > _MOST_TEXT:
        raise Refused(f"a condition has up to {_MOST_TEXT} characters, not {len(text):,}")
    text = _ANY.sub("value ", text)
    text = re.sub(r"[A-Za-z]+", lambda word: _WORDS.get(word[0].lower(), word[0]), text)
    return Condition(text.strip())


def hits_in(text: str) -> Callable[[int], bool]:
    """Return which hits count, as a client writes it: ``5``, ``>= 3``, ``% 10``."""
    parsed = _HITS.fullmatch(text)
    if parsed is None:
        raise Refused(f'"{text[:40]}" is not a count of hits: write 5, >= 5, < 5 or % 5')
    sign, number = parsed[1], int(parsed[2])
    if sign == "%":
        if not number:
            raise Refused("no count of hits is a multiple of 0")
        return lambda hits: hits % number == 0
    compare: dict[str | None, Callable[[int], bool]] = {
        None: lambda hits: hits == number,
        ">": lambda hits: hits > number,
        "<": lambda hits: hits < number,
        "<=": lambda hits: hits <= number,
        ">=": lambda hits: hits >= number,
    }
    return compare.get(sign, compare[None])


class Asked:
    """One breakpoint of a client.

    Attributes
    ----------
    number : int
    kind : str
        ``"breakpoint"``, ``"function breakpoint"`` or ``"data breakpoint"``.
    nodes : list of Node
    """

    def __init__(self, number: int, kind: str, nodes: list[Node], given: Arguments) -> None:
        self.number = number
        self.kind = kind
        self.nodes = nodes
        self.when = condition_in(given.text("condition", ""))
        hits = given.text("hitCondition", "")
        self.counts = hits_in(hits) if hits.strip() else None
        self.log = given.text("logMessage", "")[:_MOST_TEXT]
        self.hits = 0

    def holds(self, step: Step, context: Context) -> bool:
        """Return whether a run stops or logs here, and count it."""
        if self.when is not None and not self.when(step, context):
            return False
        self.hits += 1
        return self.counts is None or self.counts(self.hits)


def _has_nan(value: Array) -> bool:
    return bool(np.isnan(value).any())


def _has_infinity(value: Array) -> bool:
    return bool(np.isinf(value).any())


class Gate(Breakpoint):
    """All that stops a run for a client, as one breakpoint of the debugger.

    Attributes
    ----------
    interrupt : Event
        Set to stop the run as soon as the operation that runs is done.
    reason, exception, text : str
        Why it stopped the run last, by which exception breakpoint, and what that says; "" if it did not.
    stopped_by : list of int
        The numbers of the breakpoints that did.
    """

    def __init__(self, log: Callable[[str, Step], None]) -> None:
        super().__init__(0, "the client", (), None)
        self.interrupt = Event()
        self._log = log
        self._kinds: dict[Any, list[Asked]] = {}
        self._at: dict[Node, list[Asked]] = {}
        self.filters: dict[str, Condition | None] = {}
        self.guard: str | None = None
        self._tests: dict[str, Callable[[Array], bool]] = {"nan": _has_nan, "inf": _has_infinity}
        self._numbers = 0
        self._operations: set[Node] = set()
        self.begin()

    def begin(self, back: bool = False) -> None:
        """Forget why the run stopped before; a run that goes back logs nothing a second time."""
        self.back = back
        self.reason = self.text = self.exception = ""
        self.stopped_by: list[int] = []

    def new_number(self) -> int:
        """Return the number of a new breakpoint."""
        self._numbers += 1
        return self._numbers

    def put(self, kind: Any, asked: list[Asked]) -> None:
        """Set the breakpoints of a kind instead of those before."""
        self._kinds.pop(kind, None)
        if asked:
            self._kinds[kind] = asked
        at: defaultdict[Node, list[Asked]] = defaultdict(list)
        for each in (each for listed in self._kinds.values() for each in listed):
            for node in each.nodes:
                at[node].append(each)
        self._at = dict(at)
        self._join()

    def check_room(self, made: Asked, asked: list[Asked]) -> None:
        """Refuse a breakpoint, besides others of its kind, that would stop after too many operations."""
        if sum(len(other.nodes) for other in [made, *asked]) > _MOST_NODES:
            raise Refused(f"the breakpoints of a kind stop after up to {_MOST_NODES:,} operations in all")

    def filter(self, filters: dict[str, Condition | None], operations: Iterable[Node]) -> None:
        """Set the exception breakpoints, which look at all operations."""
        self.filters = filters
        if (guard := self.guard) is not None:
            self._tests["guard"] = lambda value: bool(violating(guard, value).any())
        self._operations = set(operations) if filters.keys() & {"nan", "inf", "guard"} else set()
        self._join()

    def _join(self) -> None:
        """Note after which nodes a run that goes back may stop."""
        self.nodes = self._operations or set(self._at)

    def stops(self, step: Step, context: Context) -> bool:
        """Return whether a run stops here, and note why."""
        hit = [asked for asked in self._at.get(step.node, ()) if asked.holds(step, context)]
        for asked in hit:
            if asked.log and not self.back:
                self._log(asked.log, step)
        stopping = [asked for asked in hit if not asked.log]
        if stopping:
            self.reason, self.stopped_by = stopping[0].kind, [asked.number for asked in stopping]
        elif self.filters and (what := self._strange(step, context)):
            self.reason, (self.exception, self.text) = "exception", what
        elif self.interrupt.is_set():
            self.reason = "pause"
        self.hits += bool(self.reason)
        return bool(self.reason)

    def __str__(self) -> str:
        numbers = ", ".join(map(str, self.stopped_by))
        return f"breakpoint {numbers} of the editor" if numbers else self.text or "the editor"

    def _strange(self, step: Step, context: Context) -> tuple[str, str] | None:
        """Return which exception breakpoint stops here, and that in words."""
        if not is_float(step.value.dtype) or np.isfinite(step.value).all():
            return None  # nor does any guard refuse it
        for name, condition in self.filters.items():
            test = self._tests.get(name)
            if test is None or not quietly(test, step.value):
                continue
            if any(is_float(x.dtype) and quietly(test, x) for x in step.operands):
                continue  # it follows from what was so before
            if condition is None or condition(step, context):
                title = visible(step.node.title)
                called = {"nan": "NaN", "inf": "an infinity"}.get(name, f'what the guard "{self.guard}" refuses')
                return name, f"{title} makes {called}"
        return None


def first_of_each(nodes: Iterable[Node], ranks: dict[Node, int]) -> list[Node]:
    """Return the operations at which a run comes to a line: the first of those that follow each other there."""
    firsts, before = [], None
    for node in nodes:
        rank = ranks[node]
        if before is None or rank != before + 1:
            firsts.append(node)
        before = rank
    return firsts


def line_breakpoints(
    gate: Gate, sources: Sources, source: dict[str, Any], wanted: list[Arguments]
) -> tuple[list[Asked], list[dict[str, Any]]]:
    """Return the breakpoints at lines that a client asks for, and what it is answered."""
    lines = sources.lines_of(source)
    asked: list[Asked] = []
    answers = []
    for each in wanted[:MOST]:
        number, line = gate.new_number(), each.number("line")
        try:
            nodes = lines.get(line)
            if nodes is None:
                later = min((other for other in lines if line < other <= line + 10), default=None)
                if later is None:
                    raise Refused(f"no operation of this run was made at line {line} or in the ten after it")
                line, nodes = later, lines[later]
            made = Asked(number, "breakpoint", nodes, each)
            if made.when is None:
                made.nodes = first_of_each(nodes, sources.ranks)
            gate.check_room(made, asked)
        except (Refused, GraphnnError) as error:
            answers.append(unverified(number, error, line))
        else:
            asked.append(made)
            answers.append({"id": number, "verified": True, "line": line, "source": source_of(source)})
    return asked, answers


def source_of(source: dict[str, Any]) -> dict[str, Any]:
    """Return what of a client's source goes back to it."""
    kinds = {"name": str, "path": str, "sourceReference": int}
    return {key: source[key] for key, kind in kinds.items() if isinstance(source.get(key), kind)}


def unverified(number: int, error: Exception, line: int | None = None) -> dict[str, Any]:
    """Return the answer for a breakpoint that cannot be set."""
    message = error.account if isinstance(error, GraphnnError) else str(error)
    answer: dict[str, Any] = {"id": number, "verified": False, "message": readable(message)}
    return answer if line is None else {**answer, "line": line}


def function_breakpoint(dbg: Debugger, ranks: dict[Node, int], number: int, given: Arguments) -> Asked:
    """Return a breakpoint at nodes, scopes or operations by name."""
    name = given.text("name")
    nodes = named_nodes(dbg, name)
    asked = Asked(number, "function breakpoint", [node for node in nodes if node in ranks], given)
    if not asked.nodes:
        raise Refused(f'"{name[:80]}" is known before the run: there is nothing to stop at')
    if asked.when is None and name in dbg.graph.scopes and name not in dbg.graph.dag:
        asked.nodes = asked.nodes[:1]
    return asked


def named_nodes(dbg: Debugger, name: str) -> list[Node]:
    """Return the nodes of the run that a name, a pattern, a scope or an operation means."""
    if len(name) > _MOST_TEXT:
        raise Refused(f"a name has up to {_MOST_TEXT} characters, not {len(name):,}")
    return many(dbg.order, dbg.graph, name)


def data_breakpoint(dbg: Debugger, ranks: dict[Node, int], number: int, given: Arguments) -> Asked:
    """Return a breakpoint on the value of a node; of a parameter, on what its update makes of it."""
    name = given.text("dataId")
    node = dbg.node(name)
    node = dbg.updates.get(node, node)
    if node not in ranks:
        raise Refused(f'"{name[:80]}" is known before the run, and nothing changes it')
    return Asked(number, "data breakpoint", [node], given)
