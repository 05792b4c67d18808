"""What the health check finds, and how its report reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from ..._util.display import Shown
from ..._util.text import NARROWEST, PAGE, columns_there, counted, in_lines, number, plain, short_name, visible
from ...core import is_float, named_index
from ...core.attributes import whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ...core import Array, Graph, Node, Origin
    from ..traces import Trace
    from ..why import Index, Number

SHOWN = 12
"""How many findings are printed in full."""
_LONGEST, _ROOM = 60, 20  # characters of a name in a report, at least; of what stands beside it
_NAMED = 3  # nodes that one sentence names
_RANK = {"error": 0, "warning": 1, "note": 2}


class Element(NamedTuple):
    """One element of a node's value.

    Attributes
    ----------
    node : Node
    index : tuple of int
    value : bool, int or float
    """

    node: Node
    index: Index  # type: ignore[assignment]
    value: Number

    @property
    def said(self) -> str:
        """Its value in four digits, or fewer if they are exact in its dtype."""
        return rounded(self.node.dtype.type(self.value) if is_float(self.node.dtype) else self.value)

    def __str__(self) -> str:
        return f"{indexed(self.node, self.index)} = {self.said}"

    def __repr__(self) -> str:
        return visible(str(self))

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, fit for JSON: NaN and infinities as text."""
        return {"node": self.node.name, "index": list(self.index), "value": plain(self.value)}


class Culprit(NamedTuple):
    """The forward node that causes a bad gradient.

    Attributes
    ----------
    node : Node
    index : tuple of int or None
        The element; None where several share the gradient.
    operands : tuple of Element
        The elements it was computed from.
    code : str
        The code of what is wrong with its value; "" where only its derivative is bad.
    """

    node: Node
    index: Index | None  # type: ignore[assignment]
    operands: tuple[Element, ...]
    code: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, fit for JSON."""
        index = None if self.index is None else list(self.index)
        operands = [each.to_dict() for each in self.operands]
        return {"node": self.node.name, "index": index, "operands": operands, "code": self.code}


@dataclass(eq=False, kw_only=True)
class Finding:
    """Something wrong with the numbers of a run, at the node where it arises.

    Attributes
    ----------
    code : str
        The code of a check.
    severity : {"error", "warning", "note"}
    node : Node
    index : tuple of int or None
        The first element concerned, in C order; None if it is about the whole value.
    value : bool, int, float or None
        The value of that element.
    operands : tuple of Element
        The elements it was computed from.
    cause : str
        How it came about, in one sentence.
    remedy : str
        What to do about it.
    count, size : int
        The number of elements concerned, and of all elements of the value.
    chain : tuple of Element
        The path upstream, from an operand to where its bad value arose.
    culprit : Culprit or None
        For a bad gradient: the forward node that causes it.
    hidden_by : Node or None
        The node, usually a `where`, that keeps the bad value out of the result.
    leads_to : tuple of Finding
        What follows from it further down; these are not listed by themselves.
    """

    code: str
    severity: str
    node: Node
    cause: str
    remedy: str
    index: Index | None = None
    value: Number | None = None
    operands: tuple[Element, ...] = ()
    count: int = 1
    size: int = 1
    chain: tuple[Element, ...] = ()
    culprit: Culprit | None = None
    hidden_by: Node | None = None
    leads_to: tuple[Finding, ...] = ()

    @property
    def origin(self) -> Origin:
        """The user's line that made the node."""
        return self.node.origin

    @property
    def reasons(self) -> str:
        """The cause without its equation; "" if there is no more to it."""
        return self.cause.partition("; ")[2]

    @property
    def place(self) -> str:
        """The node, with the index of the element."""
        return self.node.name if self.index is None else indexed(self.node, self.index)

    @property
    def sentence(self) -> str:
        """Cause and remedy."""
        return f"{self.cause}; {self.remedy}" if self.remedy else self.cause

    def __str__(self) -> str:
        return visible(self.sentence)

    def __repr__(self) -> str:
        return f"<{self.severity} {self.code}: {visible(self.place)}>"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, fit for JSON: NaN and infinities as text."""
        return {
            "code": self.code,
            "severity": self.severity,
            "node": self.node.name,
            "op": self.node.op.name,
            "index": None if self.index is None else list(self.index),
            "value": None if self.value is None else plain(self.value),
            "count": self.count,
            "size": self.size,
            "operands": [each.to_dict() for each in self.operands],
            "cause": self.cause,
            "remedy": self.remedy,
            "origin": str(self.origin),
            "chain": [each.to_dict() for each in self.chain],
            "culprit": None if self.culprit is None else self.culprit.to_dict(),
            "hidden_by": None if self.hidden_by is None else self.hidden_by.name,
            "leads_to": [[each.code, each.node.name] for each in self.leads_to],
        }


class Searched(NamedTuple):
    """How far data were searched for a fault, and where it is.

    Attributes
    ----------
    batches, samples : int
        How many were looked at, up to the end of the batch with the fault.
    batch : int or None
        The batch with the fault; None if there is none.
    rows : range or None
        The rows of the batch that give the fault: one, or the fewest that are known to give it together. None if it
        does not depend on the samples, as that of a parameter.
    before : int
        How many samples come before that batch.
    part : str
        Which part of the data the batch is of, such as a chunk with its file; "" where they have no parts.
    """

    batches: int
    samples: int
    batch: int | None = None
    rows: range | None = None
    before: int = 0
    part: str = ""

    def __str__(self) -> str:
        return f"{self._place()}{f', in {self.part}' if self.part else ''}"

    def _place(self) -> str:
        if self.batch is None:
            batches = f"{self.batches:,} {'batch' if self.batches == 1 else 'batches'}"
            return f"in {counted(self.samples, 'sample')} of {batches}"
        if self.rows is None:
            return "with any sample"
        first, last = self.rows[0], self.rows[-1]
        if first == last:
            return f"batch {self.batch:,}, row {first:,} (sample {self.before + first:,})"
        return (
            f"batch {self.batch:,}, rows {first:,} to {last:,} (samples {self.before + first:,} to "
            f"{self.before + last:,})"
        )


class Health(Shown):
    """The report of `check_health`. It is true if it has no findings; iterating gives them, worst first.

    Attributes
    ----------
    graph : Graph
    count : int
        The number of nodes examined.
    findings : tuple of Finding
        Errors, then warnings; each in the order of the schedule.
    notes : tuple of Finding
        What may be intended, such as rounding to 0 or a saturated unit. Notes are not findings.
    call : int or None
        The call of a recorded step that the report is about, counted from 0.
    calls : int or None
        The number of recorded calls, if nothing is wrong with any of them.
    before : Health or None
        The report of an earlier call: the first with a warning or a large step.
    searched : Searched or None
        How far data were searched, and which rows of which batch have the fault.
    checked : dict of str to str
        The kinds of checks that ran, each with how much it looked at, as "2 of 300 changed"; "" for all there is.
    unchecked : dict of str to str
        The kinds of checks that could not run, each with the reason.
    evaluations : int
        How often the run was evaluated again with something changed, to see what depends on it.
    trace : Trace or None
        Where data were searched: the run of the sample that has the fault, alone; where none has it alone, of
        those that have it together.
    """

    _instead_of_fetch: ClassVar[str] = "gn.draw(fetches, trace=health) draws it"

    before: Health | None = None
    trace: Trace | None = None

    def __init__(
        self,
        graph: Graph,
        count: int,
        found: Iterable[Finding],
        call: int | None = None,
        calls: int | None = None,
        searched: Searched | None = None,
    ) -> None:
        self.graph = graph
        self.count = count
        self.call = call
        self.calls = calls
        self.searched = searched
        self.checked: dict[str, str] = {}
        self.unchecked: dict[str, str] = {}
        self.evaluations = 0
        listed = sorted(found, key=lambda each: _RANK[each.severity])
        self.findings = tuple([each for each in listed if each.severity != "note"])
        self.notes = tuple(listed[len(self.findings) :])

    @property
    def ok(self) -> bool:
        """Whether there are neither errors nor warnings."""
        return not self.findings

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What has gone wrong."""
        return tuple([each for each in self.findings if each.severity == "error"])

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What may go wrong, or goes wrong unnoticed."""
        return tuple([each for each in self.findings if each.severity == "warning"])

    @property
    def batch(self) -> int | None:
        """The number of the batch that has the fault, counted from 0, where data were searched."""
        return None if self.searched is None else self.searched.batch

    @property
    def sample(self) -> int | None:
        """The number of the sample that has the fault alone, counted from 0 through all batches."""
        rows = None if self.searched is None else self.searched.rows
        return None if self.searched is None or rows is None or len(rows) > 1 else self.searched.before + rows[0]

    @property
    def first(self) -> Finding | None:
        """The worst finding; of several, the first in the schedule."""
        return self.findings[0] if self.findings else None

    def __bool__(self) -> bool:
        return self.ok

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __getitem__(self, place: int) -> Finding:
        return self.findings[place]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, fit for JSON."""
        return {
            "graph": self.graph.name,
            "call": self.call,
            "calls": self.calls,
            "before": None if self.before is None else self.before.to_dict(),
            "batch": self.batch,
            "sample": self.sample,
            "nodes": self.count,
            "ok": self.ok,
            "checked": self.checked,
            "unchecked": self.unchecked,
            "evaluations": self.evaluations,
            "findings": [each.to_dict() for each in self.findings],
            "notes": [each.to_dict() for each in self.notes],
        }

    def __repr__(self) -> str:
        missing = f"; not checked: {', '.join(self.unchecked)}" if self.unchecked and not self.findings else ""
        return f"<Health of {self._summary()}{missing}>"

    def _summary(self) -> str:
        kinds = (("error", self.errors), ("warning", self.warnings), ("note", self.notes))
        parts = [counted(len(found), word) for word, found in kinds if found]
        call = "" if self.call is None else f", call {self.call:,}"
        if self.calls is not None:
            call = f", {counted(self.calls, 'recorded call')}"
        if self.searched is not None and self.batch is not None:
            call = f", {self.searched}"
        over = f", {self.searched}" if self.searched is not None and self.batch is None else ""
        what = ", ".join(parts)
        if not self.findings:
            # Only what was looked at whole has nothing wrong.
            what = "nothing found" if self.unchecked else "nothing wrong"
        return f'"{visible(self.graph.name)}"{call}: {what} in {counted(self.count, "node")}{over}'

    def text(self, width: int | None = PAGE) -> str:
        """Return the report as it is printed.

        Parameters
        ----------
        width : int or None
            The maximum number of characters of a line; long names are cut, and twelve findings are there, and twelve
            notes. None: all of them, whole, each sentence on a line.

        Examples
        --------
        >>> from graphnn import Graph, check_health, log
        >>> x = Graph("line").placeholder("x")
        >>> print(check_health(log(x), {x: 0.0}).text(None))
        "line": 1 error in 2 nodes
        <BLANKLINE>
        error: log-of-zero  log  <doctest ...>:1
          log = -inf = log(0); x = 0, fed
          → keep the input of log above 0: gn.log(gn.maximum(x, 1e-12)); or mask the input of log: ...
        """
        most = None if width is None else max(whole("width=", width), NARROWEST)
        shown = None if width is None else SHOWN
        lines = _wrapped(self._summary(), most)
        for each in self.findings[:shown]:
            origin = f"  {each.origin}" if each.origin.file else ""
            lines += ["", *_wrapped(f"{each.severity}: {each.code}  {each.place}{origin}", most)]
            lines += _wrapped(each.cause, most, "  ")
            if each.remedy:
                lines += _wrapped(f"→ {each.remedy}", most, "  ")
            if each.leads_to:
                first = each.leads_to[0]
                others = f", and {len(each.leads_to) - 1} more" if len(each.leads_to) > 1 else ""
                lines += _wrapped(f"leads to {first.code} in {first.place}{others}", most, "  ")
        if shown and len(self.findings) > shown:
            lines += ["", f"and {counted(len(self.findings) - shown, 'finding')} more"]
        if self.before is not None:
            codes = ", ".join(dict.fromkeys(each.code for each in self.before.findings or self.before.notes))
            lines += ["", *_wrapped(f"earlier, at call {self.before.call:,}: {codes}", most)]
        if self.notes:
            lines.append("")
            for each in self.notes[:shown]:
                lines += [*_wrapped(f"note: {each.code}  {each.place}", most), *_wrapped(each.cause, most, "  ")]
        if shown and len(self.notes) > shown:
            lines.append(f"and {counted(len(self.notes) - shown, 'note')} more")
        lines += self._coverage(most)
        return "\n".join(lines)

    def _coverage(self, width: int | None) -> list[str]:
        """Return what was checked and what was not, as lines."""
        if not self.checked:
            return []
        did = ", ".join(f"{name} ({much})" if much else name for name, much in self.checked.items())
        tried = f"; {counted(self.evaluations, 'evaluation')} with something changed" if self.evaluations else ""
        lines = ["", *_wrapped(f"checked: {did}{tried}", width, "")]
        reasons: dict[str, list[str]] = {}
        for name, why in self.unchecked.items():
            reasons.setdefault(why, []).append(name)
        for why, names in reasons.items():
            lines += _wrapped(f"not checked: {', '.join(names)} ({why})", width, "")
        return lines

    def __str__(self) -> str:
        return self.text(columns_there() or PAGE)


def _wrapped(text: str, width: int | None, indent: str = "") -> list[str]:
    """Return a text in lines of so many characters, with long names shortened; None: whole."""
    if width is None:
        return [indent + visible(text)]
    most = max(_LONGEST, width - _ROOM)
    short = " ".join([short_name(word, most) if word else word for word in text.split(" ")])
    return in_lines(short, width, indent, indent + "  ")


def indexed(node: Node, index: Index) -> str:
    """Return an element as one would index it."""
    return f"{node.name}[{', '.join(named_index(node, index))}]" if index else node.name


def rounded(value: Number) -> str:
    """Return a number in four digits, and 0 without a sign."""
    return "0" if value == 0 and not isinstance(value, bool) else number(value)


def at_line(node: Node) -> str:
    """Return the line that made a node, to be put after its name."""
    return f" ({node.origin})" if node.origin.file else ""


def listed(nodes: Iterable[Node]) -> str:
    """Return the names of some nodes: of many, the first, and how many more."""
    names = [node.name for node in nodes]
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def same_in(nodes: Iterable[Node]) -> str:
    """Return a clause that says that the same is true of other nodes; "" if there are none."""
    return f"; the same is true of {found}" if (found := listed(nodes)) else ""


def first_of(which: Array) -> Index:
    """Return the index of the first True element, or of the largest of numbers."""
    return tuple(map(int, np.unravel_index(int(np.argmax(which)), which.shape)))


def and_more(which: Array) -> str:
    """Return how many elements are True beyond the first, and whether they are a whole row or column."""
    count = int(np.count_nonzero(which))
    line = f": {found}" if (found := row_or_column(which)) else ""
    return "" if count <= 1 else f" (and {count - 1:,} more of {which.size:,} elements{line})"


def row_or_column(which: Array) -> str:
    """Return which row or column the True elements are, if they are all of one and no others."""
    if which.ndim == 2 and min(which.shape) > 1:
        for axis, line in ((0, "[:, {}]"), (1, "[{}, :]")):
            full = which.all(axis=axis)
            if np.count_nonzero(full) == 1 and np.count_nonzero(which) == which.shape[axis]:
                return f"all of {line.format(int(full.argmax()))}"
    return ""
