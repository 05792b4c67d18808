"""Traces and debuggers as text: a table, and where one is.

A state has a letter as well as a style, and nothing is wider than it may be. Names are written so that none of them
commands the terminal.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..._util.display import TEXT
from ..._util.text import NARROWEST, short_names
from ...core import is_float, labels_along, labels_of
from ...debugger.debugger import Debugger
from ...debugger.traces import Record, Stats, Trace, stats_of
from ...errors import GraphnnError
from ..formatting import (
    at_least,
    by_times,
    cells_of,
    compact,
    counted,
    elided,
    in_bytes,
    in_cells,
    in_seconds,
    named_numbers,
    preview,
    visible,
    wrapped,
)
from ..heatmap import matrix, sparkline
from .table import columns, label_lines
from .terminal_colors import inked, meanings_of

if TYPE_CHECKING:
    from ...core import Array, Node

STATES = ("done", "current", "stale", "overridden", "fed", "waiting")
LEGEND = ", ".join(f"{state[0].upper()} {state}" for state in STATES)
"""What the letters of states stand for."""

_MOST_NAME, _LEAST_NAME, _MOST_OP, _MOST_NUMBERS = 40, 16, 16, 22
_FEWEST_CELLS = 12  # that a column of text keeps
_FIRST_ROWS, _LAST_ROWS = 300, 100
_MOST_NEIGHBOURS = 8
_VALUE_LINES = 8
_FEW = 4
_MANY = 16
_NUMBER_CUT = re.compile(r"(?<![\w/.])[-+]?\d[\d.,]*(e[-+]?\d*)?…$")


# --- a trace --------------------------------------------------------------------------------------------------


@TEXT.give(Trace)
def trace_table(trace: Trace, width: int | None = 80, colour: object = False) -> str:
    """Return a trace as a table, a row a node, with statistics of the values; below it the totals.

    Parameters
    ----------
    trace : Trace
    width : int or None
        Of a line; the wider it is, the more columns there are. None: all columns, and every row whole.
    colour : bool or 256
        Whether rows have the colour of their phase, and of what is wrong.

    Returns
    -------
    str

    Examples
    --------
    >>> from graphnn import Graph, trace
    >>> x = Graph("line").placeholder("x", shape=("n",))
    >>> print(trace_table(trace(x * 2.0, {x: [1.0, 2.0, 6.0]}), width=52))
       node      op           shape   min  mean  max
    -  --------  -----------  ------  ---  ----  ---
    0  x         placeholder  3         1     3    6
    1  constant  constant     scalar    2     2    2
    2  multiply  multiply     3         2     6   12
    <BLANKLINE>
    1 operation in 3 nodes, run ..., values 56 B
    """
    lines = [records_table(trace.records, width, colour), ""]
    width = None if width is None else at_least(NARROWEST, width, "width=")
    lines += [inked(line) for line in _wrapped(totals(trace), width)]
    for named in label_lines(trace.graph, set(trace.order)):
        lines += [inked(line) for line in _wrapped(named, width)]
    # An infinite constant is meant to be so, and no fault.
    strange = sum(_is_strange(r.stats) and not (r.op.is_constant and not r.stats.nans) for r in trace)
    if strange:
        hold = "node holds" if strange == 1 else "nodes hold"
        said = _wrapped(f"{strange:,} {hold} NaN or infinities: a check of their health says where they arise", width)
        lines += [inked(line, "failed", colour=colour) for line in said]
    if trace.stopped is not None:
        at = elided(visible(trace.order[trace.stopped].title), _MOST_NAME)
        stopped = f'stopped at "{at}":' if trace.error else f'"{at}" has not run'
        lines.append(inked(stopped, "failed" if trace.error else "", colour=colour))
        lines += [inked(piece) for line in _told(trace.error) if line for piece in _wrapped(line, width)]
    return "\n".join(lines)


def records_table(records: Sequence[Record], width: int | None = 80, colour: object = False) -> str:
    """Return records as a table: of more than 400 the first 300 and the last 100; without a width, all of them."""
    width = None if width is None else at_least(NARROWEST, width, "width=")
    gap = 0 if width is None else max(0, len(records) - _FIRST_ROWS - _LAST_ROWS)
    seen = records if not gap else [*records[:_FIRST_ROWS], *records[-_LAST_ROWS:]]
    table = record_columns(seen)
    inks = [meanings_of("", record.node.phase, _is_strange(record.stats)) for record in seen]
    wide = {head: max(len(head), *map(cells_of, map(visible, cells)), 0) + 2 for head, cells in table.items()}
    heads = [head for head in table if head in _ALWAYS]
    taken = sum(wide[head] for head in heads if head != "node")
    for head, least in _WANTED.items():
        if head in table and (width is None or taken + wide[head] + min(wide["node"], least + 2) <= width + 2):
            heads.append(head)
            taken += wide[head]
    heads.sort(key=list(table).index)
    if width is not None:
        table["node"] = short_names(table["node"], max(_FEWEST_CELLS, width - taken))
    rows = list(zip(*(table[head] for head in heads), strict=True))
    if gap:
        place = heads.index("node")
        rows.insert(_FIRST_ROWS, tuple(f"… {gap:,} more …" if i == place else "" for i in range(len(heads))))
        inks.insert(_FIRST_ROWS, ())
    right = [i for i, head in enumerate(heads) if head not in TRACE_WORDS]
    lines = columns(rows, [head if head != "#" else "" for head in heads], right=right, width=width).split("\n")
    return "\n".join(inked(line, *ink, colour=colour) for line, ink in zip(lines, [(), (), *inks], strict=True))


def _is_strange(stats: Stats) -> bool:
    return bool(stats.nans or stats.posinfs or stats.neginfs)


def totals(trace: Trace) -> str:
    """Return how much ran, how long that took, and how large the values are together."""
    operations = sum(trace.prepared.binding.forwards[record.index] is not None for record in trace)
    size = in_bytes(sum(record.bytes for record in trace))
    count = f"{counted(operations, 'operation')} in {counted(len(trace), 'node')}"
    return f"{count}, run {in_seconds(trace.time)}, values {size}"


def _statistic(name: str) -> Any:
    def of(record: Record) -> str:
        value = getattr(record.stats, name)
        return "" if math.isnan(value) else compact(value)

    return of


def _count(name: str) -> Any:
    return lambda record: f"{n:,}" if (n := getattr(record.stats, name)) else ""


# The columns of a trace in their order: what each says of a record; and those that are no numbers.
_TRACE_COLUMNS: dict[str, Any] = {
    "#": lambda record: str(record.index),
    "node": lambda record: record.node.title,
    "op": lambda record: record.op.name,
    "shape": lambda record: by_times(record.shape),
    "min": _statistic("min"),
    "mean": _statistic("mean"),
    "max": _statistic("max"),
    "std": _statistic("std"),
    "zeros": _count("zeros"),
    "NaN": _count("nans"),
    "+inf": _count("posinfs"),
    "-inf": _count("neginfs"),
    "time": lambda record: in_seconds(record.time),
    "bytes": lambda record: in_bytes(record.bytes),
    "origin": lambda record: str(record.origin),
}
TRACE_WORDS = ("node", "op", "shape", "origin")
# Those that are there at any width; and those for which there may be room, the first first: each with how many cells
# it must leave for the names.
_ALWAYS = ("#", "node", "min", "max", "NaN", "+inf", "-inf")
_WANTED = {"op": 16, "shape": 16} | dict.fromkeys(("mean", "zeros", "std", "time", "origin", "bytes"), 22)


def record_columns(records: Sequence[Record]) -> dict[str, list[str]]:
    """Return what a table says of records, by column; a count that is 0 everywhere has none."""
    table = {head: [of(record) for record in records] for head, of in _TRACE_COLUMNS.items()}
    return {head: cells for head, cells in table.items() if any(cells) or head not in ("zeros", "NaN", "+inf", "-inf")}


# --- where a debugger is --------------------------------------------------------------------------------------


def where(dbg: Debugger, width: int = 80) -> str:
    """Return where a debugger is: after which node, how much has run, what is next; its run, and its error.

    Examples
    --------
    >>> from graphnn import Graph, debug
    >>> x = Graph().placeholder("x")
    >>> dbg = debug(abs(-x), {x: 3.0}, echo=None)
    >>> print(where(dbg))
    before the first of 2 operations; next: negative (<doctest ...>:1)
    >>> _ = dbg.step()
    >>> dbg["x"] = 5.0
    >>> print(where(dbg))
    after negative, 1 of 2 operations; next: absolute (<doctest ...>:1)
    in what-if 1: x is overridden
    """
    width = at_least(NARROWEST, width, "width=")
    count = counted(len(dbg.operations), "operation")
    if dbg.current is None:
        at = f"before the first of {count}" if dbg.operations else "there is nothing to compute"
    elif dbg.finished:
        at = f"after {_named(dbg.current)}, the last of {count}"
    else:
        at = f"after {_named(dbg.current)}, {dbg.position:,} of {count}"
    if dbg.next is not None:
        at += f"; next: {_named(dbg.next)} ({visible(str(dbg.next.origin))})"
    lines = [at]
    overridden = dbg.runs[dbg.run]
    if dbg.run != next(iter(dbg.runs)) or overridden:
        names = ", ".join(_named(node) for node in overridden[:_FEW]) + (", …" if len(overridden) > _FEW else "")
        verb = "is" if len(overridden) == 1 else "are"
        lines.append(f"in {visible(dbg.run)}: {names} {verb} overridden" if names else f"in {visible(dbg.run)}")
    if dbg.error:
        lines.append(visible(dbg.error.partition("\n")[0]))
    return "\n".join(piece for line in lines for piece in _wrapped(line, width))


def listing(dbg: Debugger, around: int = 5, width: int | None = 80, colour: object = False) -> str:
    """Return the schedule around the current node: which operation, its state, shape and value.

    Parameters
    ----------
    dbg : Debugger
    around : int
        How many nodes are listed before and after.
    width : int or None
        None: as wide as need be.
    colour : bool or 256
        Whether the current node is bold, faint what is not computed, red what failed or is not finite, and the others
        in the colour of their phase.

    Returns
    -------
    str
        ``-->`` stands before the current node, in a line of its own where nothing has run yet. The letters:
        `LEGEND`. The number is that which ``goto`` takes.

    Examples
    --------
    >>> from graphnn import Graph, debug
    >>> x = Graph().placeholder("x")
    >>> dbg = debug(abs(-x), {x: 3.0})
    >>> print(listing(dbg))
           F  x         placeholder  scalar  3
    -->                              nothing has run yet
        1  W  negative  negative     scalar
        2  W  absolute  absolute     scalar
    >>> _ = dbg.step()
    >>> print(listing(dbg))
           F  x         placeholder  scalar  3
    --> 1  C  negative  negative     scalar  -3
        2  W  absolute  absolute     scalar
    """
    around = at_least(0, around, "around=")
    width = None if width is None else at_least(NARROWEST, width, "width=")
    digits = len(str(len(dbg.operations)))
    operations = {node: i for i, node in enumerate(dbg.operations, start=1)}
    centre = _place_of(dbg)
    before, after = dbg.order[max(0, centre - around) : centre], dbg.order[centre : centre + around + 1]
    rows: list[tuple[str, ...]] = []
    inks: list[tuple[str, ...]] = []
    for node in [*before, None, *after] if dbg.current is None else [*before, *after]:
        if node is None:
            idle = "nothing has run yet" if dbg.operations else "there is nothing to run"
            rows.append(("-->", "", "", idle, "", "", ""))
            inks.append(("current",))
            continue
        state = dbg.state(node)
        arrow = "-->" if node is dbg.current else ""
        place = f"{operations[node]:>{digits}}" if node in operations else ""
        rows.append((arrow, place, state[0].upper(), *_row(dbg, node)))
        inks.append(ink_of(dbg, node))
    lines = _aligned(rows, width, named=3)
    return "\n".join(inked(line, *ink, colour=colour) for line, ink in zip(lines, inks, strict=True))


@TEXT.give(Debugger)
def screen(dbg: Debugger, width: int = 80, colour: bool | int = False) -> str:
    """Return where a debugger is, the schedule around it, the current value, and the user's line.

    Parameters
    ----------
    dbg : Debugger
    width : int
    colour : bool or 256
        As `matrix` takes it.

    Examples
    --------
    >>> from graphnn import Graph, debug
    >>> x = Graph().placeholder("x", shape=("n",))
    >>> dbg = debug(x * 2.0, {x: [1.0, 2.0]})
    >>> _ = dbg.step()
    >>> print(screen(dbg))
    after multiply, the last of 1 operation
    <BLANKLINE>
            F  x         placeholder  2       [1, 2]
            F  constant  constant     scalar  2
    -->  1  C  multiply  multiply     2       [2, 4]
    <BLANKLINE>
    multiply = multiply(x, constant), 2 float64
      0  1
      2  4
    from 2 to 4
    <BLANKLINE>
    <doctest ...>:1: dbg = debug(x * 2.0, ...
    """
    width = at_least(NARROWEST, width, "width=")
    parts = [inked(where(dbg, width)), listing(dbg, width=width, colour=colour)]
    failed = dbg.failed
    if failed is not None:
        parts.append(neighbourhood(dbg, failed, width, colour))
    elif dbg.current is not None:
        parts.append("\n".join(_value_of(dbg, dbg.current, width, colour)))
    at = failed if failed is not None else _here(dbg)
    value = _value(dbg, at)
    if at.origin.file and (value is None or value.size != 1):  # of one number, it is said above
        source = dbg.source_of(at)
        parts.append(cut(f"{at.origin}{'' if source is None else f': {source}'}", width))
    return "\n\n".join(parts)


def neighbourhood(dbg: Debugger, node: Node | str | None = None, width: int = 80, colour: object = False) -> str:
    """Return a node between what it is computed from, above, and what reads it, below.

    Parameters
    ----------
    dbg : Debugger
    node : Node or str, optional
        The current one, or the next where nothing has run, unless given.
    width : int
    colour : bool or 256
        As `listing` takes it.

    Returns
    -------
    str

    Examples
    --------
    >>> from graphnn import Graph, debug
    >>> x = Graph().placeholder("x")
    >>> dbg = debug(abs(-x), {x: 3.0})
    >>> _ = dbg.step()
    >>> print(neighbourhood(dbg))
    ┌─ 0  F  x  placeholder  scalar  3
    ▼
    ┌─...
    │ C  negative, negative scalar ...
    │ -3 ...
    │ at <doctest ...
    └┬...
     └─►  W  absolute  absolute  scalar
    """
    here = dbg.node(node) if node is not None else _here(dbg)
    width = at_least(NARROWEST, width, "width=")
    inside = [f"{letter(dbg, here)}  {_named(here)}, {here.op.name} {_shape(dbg, here)}", _short(dbg, here)]
    inside += ["could not be evaluated"] if here is dbg.failed else []
    inside += [f"at {here.origin}"] if here.origin.file else []
    inside = [cut(line, width - 4) for line in inside if line]
    room = max(map(cells_of, inside))
    above = [(str(i), letter(dbg, operand), *_row(dbg, operand)) for i, operand in _first(list(here.inputs))]
    lines = _aligned(above, width - 3, named=2) + _more(len(here.inputs))
    given = [ink_of(dbg, operand) for _, operand in _first(list(here.inputs))]
    lines = [f"{'├' if i else '┌'}─ {inked(line, *ink, colour=colour)}" for i, (line, ink) in _with(lines, given)]
    lines += ["▼"] if lines else []
    users = list(dbg.users(here))
    lines.append(f"┌{'─' * (room + 2)}┐")
    inside = [in_cells(line, room) for line in inside]
    inside[0] = inked(inside[0], *ink_of(dbg, here), colour=colour)
    lines += [f"│ {line} │" for line in inside]
    lines.append(f"└{'┬' if users else '─'}{'─' * (room + 1)}┘")
    below = [(letter(dbg, user), *_row(dbg, user)) for _, user in _first(users)]
    reads = _aligned(below, width - 6, named=1) + _more(len(users))
    read = [ink_of(dbg, user) for _, user in _first(users)]
    lines += [
        f" {'├' if i < len(reads) - 1 else '└'}─►  {inked(line, *ink, colour=colour)}"
        for i, (line, ink) in _with(reads, read)
    ]
    return "\n".join(lines)


def _with(lines: Sequence[str], inks: Sequence[tuple[str, ...]]) -> Iterable[tuple[int, tuple[str, tuple[str, ...]]]]:
    """Return lines, counted, each with its ink; the last has none where it says how many more there are."""
    return enumerate(zip(lines, [*inks, ()], strict=False))


def _here(dbg: Debugger) -> Node:
    """Return the current node; before all, the first that runs; where nothing does, the last that is given."""
    return next(node for node in (dbg.current, dbg.next, dbg.order[-1]) if node is not None)


# --- parts ----------------------------------------------------------------------------------------------------


def _place_of(dbg: Debugger) -> int:
    """Return the place in the schedule of the current node, or of the first that is to run."""
    here = _here(dbg)
    return next(i for i, node in enumerate(dbg.order) if node is here) + (not dbg.operations)


def _value(dbg: Debugger, node: Node) -> Array | None:
    """Return the value of a node, or None where it is not known."""
    if dbg.state(node) in ("waiting", "stale"):
        return None
    try:
        return dbg[node].value
    except GraphnnError:
        return None  # overridden, and yet to come; or not to be computed again


def letter(dbg: Debugger, node: Node) -> str:
    """Return what a node's state is called in a list: see `LEGEND`."""
    return dbg.state(node)[0].upper()


def ink_of(dbg: Debugger, node: Node) -> tuple[str, ...]:
    """Return what the line of a node means: its state, its phase, or that its value is not finite."""
    value = _value(dbg, node)
    strange = value is not None and is_float(value.dtype) and _is_strange(stats_of(value))
    return meanings_of("failed" if node is dbg.failed else dbg.state(node), node.phase, strange)


def _named(node: Node) -> str:
    return elided(visible(node.title), _MOST_NAME)


def _shape(dbg: Debugger, node: Node) -> str:
    value = _value(dbg, node)
    return by_times(node.shape if value is None else value.shape)


def _short(dbg: Debugger, node: Node) -> str:
    value = _value(dbg, node)
    return "" if value is None else _numbers(node, value) or preview(value, _FEW)


def _numbers(node: Node, value: Array) -> str:
    """Return the numbers of a value with the labels of their positions, if it is short and has some."""
    names = labels_of(node, 0, value.size) if value.ndim == 1 and value.size <= _FEW else None
    return "" if names is None else named_numbers(names, value)


def _row(dbg: Debugger, node: Node) -> tuple[str, ...]:
    return visible(node.title), elided(visible(node.op.name), _MOST_OP), _shape(dbg, node), _range(dbg, node)


def _range(dbg: Debugger, node: Node) -> str:
    """Return a value in short: its numbers if they are few, else between which they lie."""
    value = _value(dbg, node)
    if value is None:
        return ""
    if named := _numbers(node, value):
        return named
    if value.size <= _FEW and len(numbers := preview(value)) <= _MOST_NUMBERS:
        return numbers
    if value.dtype.kind == "b":
        return f"true {value.sum():,} of {value.size:,}"
    stats = stats_of(value)
    strange = [f"{n:,} {what}" for n, what in zip(stats[5:8], ("NaN", "inf", "-inf"), strict=True) if n]
    between = "" if math.isnan(stats.min) else f"{compact(stats.min)} to {compact(stats.max)}"
    return "; ".join(([between] if between else []) + strange)


def _value_of(dbg: Debugger, node: Node, width: int, colour: bool | int) -> list[str]:
    """Return a value with what it is computed from: of one number why it is so, else its heatmap and its spread."""
    value = dbg[node].value
    if value.size == 1:
        return [cut(line, width) for line in str(dbg.why(node, (0,) * value.ndim)).split("\n")]
    operands = ", ".join(_named(operand) for operand in node.inputs)
    head = f"{_named(node)} = {visible(node.op.name)}({operands}), {by_times(value.shape)} {value.dtype}"
    spread = [cut(sparkline(value, min(32, width - 24)), width)] if value.size > _MANY else []
    return [cut(head, width), matrix(value, width, _VALUE_LINES, colour, labels_along(node, value.shape)), *spread]


def _first(nodes: Sequence[Node]) -> Iterable[tuple[int, Node]]:
    return enumerate(nodes[:_MOST_NEIGHBOURS])


def _more(count: int) -> list[str]:
    return [f"… {count - _MOST_NEIGHBOURS:,} more"] if count > _MOST_NEIGHBOURS else []


def _aligned(rows: list[tuple[str, ...]], width: int | None, named: int) -> list[str]:
    """Return rows as lines, the names in column `named` cut in the middle where there is no room for them."""
    if not rows:
        return []
    if width is None:
        return columns(rows, width=None).split("\n")
    wide = [max(map(cells_of, cells)) for cells in zip(*rows, strict=True)]
    most = max(_LEAST_NAME, width - sum(wide) - 2 * (len(wide) - 1) + wide[named])
    rows = [(*row[:named], elided(row[named], most), *row[named + 1 :]) for row in rows]
    return [cut(line, width) for line in columns(rows, width=width).split("\n")]


def cut(text: str, width: int) -> str:
    """Return a line made visible that goes into so many cells; what is left out shows as ``…``, no number in part."""
    text = visible(text) if text else ""
    if cells_of(text) <= width:
        return text
    kept = in_cells(text, width)
    within = re.match(r"[\d.e+-]", text[len(kept) - 1 :])
    return _NUMBER_CUT.sub("…", kept) if within else kept


def _wrapped(text: str, width: int | None) -> list[str]:
    return [text] if width is None or cells_of(text) <= width else wrapped(text, width)


def _told(error: str) -> list[str]:
    return [visible(line) if line else "" for line in error.split("\n")]
