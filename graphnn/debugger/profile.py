"""Where time and memory go: `profile`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._util.display import Shown
from .._util.text import PAGE, columns_there, counted, in_bytes, in_lines, quoted, short_name, short_names
from ..control_flow.unrolled_run import has_loops
from ..core import Array, Graph, Node, Spec
from ..core.attributes import whole
from ..core.symbolic_shapes import size_of
from ..errors import GraphnnError
from ..runtime.evaluation_loop import Prepared, Step, complete_stop, evaluate
from .critical_path import longest_chain
from .iteration_traces import in_every, with_iterations
from .node_selection import scopes_around
from .traces import guard_of, prepared_for

if TYPE_CHECKING:
    from ..runtime.feed import Feed

_MOST_ROWS = 10
_NUMBERS, _SIZE = 52, 16  # cells of a row before the name
_SHORTEST, _ENDLESS = 12, 1_000_000  # characters of a name in a row


@dataclass(frozen=True, eq=False)
class Cost:
    """What some nodes cost in one run.

    Attributes
    ----------
    name : str
        Of the node, operation, scope or phase.
    nodes : tuple of Node
        All that are counted.
    time : float
        Seconds: the sum of each node's median.
    share : float
        Of the time of the whole run.
    flops : int
        Floating-point operations.
    written, read : int
        Bytes: of new values, and of the operands they were computed from. A view writes and reads nothing.
    """

    name: str
    nodes: tuple[Node, ...]
    time: float
    share: float
    flops: int
    written: int
    read: int

    @property
    def calls(self) -> int:
        """How many operations were evaluated."""
        return len(self.nodes)

    @property
    def flops_per_second(self) -> float:
        """The rate: 1e9 is one GFLOP/s."""
        return self.flops / self.time if self.time else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "name": self.name,
            "calls": self.calls,
            "time": self.time,
            "share": self.share,
            "flops": self.flops,
            "flops_per_second": self.flops_per_second,
            "written": self.written,
            "read": self.read,
        }

    def __repr__(self) -> str:
        calls = counted(self.calls, "call")
        return f"<Cost of {quoted(self.name)}: {_seconds(self.time)}, {self.flops:,} FLOP in {calls}>"


class Holder(NamedTuple):
    """A node whose value takes memory.

    Attributes
    ----------
    node : Node
    bytes : int
    """

    node: Node
    bytes: int


class Peak(NamedTuple):
    """The maximum memory that values take together, at any time of a run.

    Attributes
    ----------
    bytes : int
        Of what is fed, parameters and constants, which are held throughout, and of what was computed and is still
        needed. A view is not counted beside what it is a view of. What NumPy takes within an operation is not known.
    given : int
        How many of them are of what is fed, parameters and constants.
    node : Node
        The node at which the peak is, itself included.
    holders : list of Holder
        The nodes whose values these are, the largest first.
    """

    bytes: int
    given: int
    node: Node
    holders: list[Holder]


class Profile(Shown):
    """What a run costs, and where. Made by `profile`; printed, it is a table.

    Only operations are counted: what is fed, parameters and constants cost nothing but memory. What a node of the body
    of a loop costs is added up over the iterations, and called ``scan_1@*/tanh``; what the loop costs besides, is not
    counted.

    Attributes
    ----------
    graph : Graph
    repeat : int
        How many runs the medians are of.
    total : Cost
    by_node, by_op, by_scope, by_phase : list of Cost
        The same whole in parts, the slowest first; a scope's are the nodes made in it, not those in scopes inside.
    by_outer_scope : list of Cost
        Of the scopes that hold others, all that is in them, the slowest first.
    critical_path : list of Node
        The slowest chain of nodes that each wait for the one before.
    critical_time : float
        Seconds that it takes: no number of workers makes the run faster.
    peak : Peak
    """

    def __init__(self, graph: Graph, repeat: int, nodes: list[Cost], path: list[Node], peak: Peak) -> None:
        self.graph = graph
        self.repeat = repeat
        self.total = _sum(graph.name, nodes, math.fsum(cost.time for cost in nodes))
        self.by_node = sorted(nodes, key=_slowest_first)
        self.by_op = self._by(lambda node: [node.op.name])
        self.by_scope = self._by(lambda node: [in_every(node.scope)])
        outer = self._by(lambda node: [in_every(scope.path) for scope in scopes_around(graph, node.scope)])
        self.by_outer_scope = [cost for cost in outer if any(in_every(node.scope) != cost.name for node in cost.nodes)]
        self.by_phase = self._by(lambda node: [node.phase])
        time_of = {node: cost.time / cost.calls for cost in nodes for node in cost.nodes}
        self.critical_path = [node for node in path if node in time_of]
        self.critical_time = math.fsum(time_of[node] for node in self.critical_path)
        self.peak = peak

    def _by(self, groups_of: Callable[[Node], Iterable[str]]) -> list[Cost]:
        """Return the costs of groups of nodes, the slowest first; a node may be in several."""
        groups: dict[str, list[Cost]] = {}
        for cost in self.by_node:
            for name in groups_of(cost.nodes[0]):
                groups.setdefault(name, []).append(cost)
        return sorted([_sum(name, costs, self.total.time) for name, costs in groups.items()], key=_slowest_first)

    @property
    def time(self) -> float:
        """Seconds that the run takes."""
        return self.total.time

    @property
    def flops(self) -> int:
        """Floating-point operations of the run."""
        return self.total.flops

    @property
    def parallelism(self) -> float:
        """How many nodes could run at once on average: the time divided by that of the critical path."""
        return self.time / self.critical_time if self.critical_time else 1.0

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        tables = ("by_node", "by_op", "by_scope", "by_phase", "by_outer_scope")
        return {
            "graph": self.graph.name,
            "repeat": self.repeat,
            "total": self.total.to_dict(),
            **{table: [cost.to_dict() for cost in getattr(self, table)] for table in tables},
            "critical_path": [node.name for node in self.critical_path],
            "critical_time": self.critical_time,
            "parallelism": self.parallelism,
            "peak": {
                "bytes": self.peak.bytes,
                "given": self.peak.given,
                "node": self.peak.node.name,
                "holders": [{"node": node.name, "bytes": size} for node, size in self.peak.holders],
            },
        }

    def __repr__(self) -> str:
        what = counted(self.total.calls, "operation")
        return f"<Profile of {quoted(self.graph.name)}: {_seconds(self.time)} in {what}>"

    def table(self, width: int | None = PAGE) -> str:
        """Return it as tables.

        Parameters
        ----------
        width : int or None
            The maximum number of cells of a line; long names are cut, and of each table the first ten rows are there.
            None: all rows, and whole names.

        Examples
        --------
        >>> x = Graph("line").placeholder("x")
        >>> print(profile(abs(-x), {x: 1.0}).table(60))
        "line": 2 operations in ... median of 10 runs
        ...
        """
        return "\n".join(_lines(self, None if width is None else whole("width=", width)))

    def __str__(self) -> str:
        return self.table(columns_there() or PAGE)


def profile(
    target: Any,
    feed: Feed | None = None,
    *,
    sizes: Mapping[str, int] | None = None,
    graph: Graph | None = None,
    repeat: int = 10,
) -> Profile:
    """Measure where a run's time goes, and what holds its memory.

    Parameters
    ----------
    target : Node, str, or list, tuple or dict of them, Graph, Compiled, or Trace
        Fetches; or a compiled step, whose updates are evaluated and not made; or what a trace is of.
    feed, sizes, graph
        As `graphnn.run` takes them.
    repeat : int
        How many runs are timed, after one that is not; of each node the median counts.

    Returns
    -------
    Profile

    Raises
    ------
    GraphnnError
        As `graphnn.run` does.

    Examples
    --------
    >>> import numpy as np
    >>> g = Graph()
    >>> x = g.placeholder("x", shape=("n", 4))
    >>> found = profile(x @ np.ones((4, 2)) + 1.0, {x: np.ones((8, 4))})
    >>> [(cost.name, cost.flops) for cost in sorted(found.by_op, key=lambda cost: cost.name)]
    [('add', 16), ('matmul', 128)]
    >>> found.peak.bytes, found.peak.given, found.peak.node.name
    (584, 328, 'add')
    """
    repeat = whole("repeat=", repeat, 1)
    prepared, updates = prepared_for(target, feed, sizes, graph)
    if has_loops(prepared):
        prepared, updates = with_iterations(prepared, updates)
    order, operands = prepared.program.order, prepared.program.operands
    with np.errstate(all="ignore"):
        try:
            memory = _memory_of(prepared)
            runs = [_times(prepared) for _ in range(repeat)]
        except GraphnnError as failed:
            complete_stop(failed, updates, guard_of(target))
            raise
    forwards = prepared.binding.forwards
    times = {i: median([run[i] for run in runs]) for i, forward in enumerate(forwards) if forward is not None}
    total = math.fsum(times.values())
    costs = []
    for i, time in times.items():
        written = memory[i].written
        read = sum(memory[source].size for source in {*operands[i]}) if written else 0
        share = time / total if total else 0.0
        costs.append(Cost(order[i].name, (order[i],), time, share, flops_of(prepared, order[i]), written, read))
    time_of = {order[i]: time for i, time in times.items()}
    # What was set by hand waits for nothing.
    path = longest_chain(
        order, lambda node: time_of.get(node, 0.0), lambda node: node.inputs if node in time_of else ()
    )
    return Profile(prepared.program.graph, repeat, _over_iterations(costs), path, peak_of(prepared, memory))


def _over_iterations(costs: Sequence[Cost]) -> list[Cost]:
    """Return the costs, those of a node of a body added up over the iterations."""
    groups: dict[str, list[Cost]] = {}
    for cost in costs:
        groups.setdefault(in_every(cost.name), []).append(cost)
    whole = math.fsum(cost.time for cost in costs)
    return [found[0] if len(found) == 1 else _sum(name, found, whole) for name, found in groups.items()]


def _times(prepared: Prepared) -> list[float]:
    times = []
    before = perf_counter()
    for step in evaluate(prepared):
        times.append(perf_counter() - before)
        del step  # or what it holds would live for one more node
        before = perf_counter()
    return times


def flops_of(prepared: Prepared, node: Node) -> int:
    """Return how many floating-point operations a node takes in a run."""
    specs = [Spec(prepared.shape_of(operand), operand.dtype) for operand in node.inputs]
    flops = prepared.op_of(node).flops(Spec(prepared.shape_of(node), node.dtype), *specs)
    return size_of(flops, prepared.sizes)


def _slowest_first(cost: Cost) -> float:
    return -cost.time


def _sum(name: str, costs: Sequence[Cost], whole: float) -> Cost:
    time = math.fsum(cost.time for cost in costs)
    return Cost(
        name,
        tuple(node for cost in costs for node in cost.nodes),
        time,
        time / whole if whole else 0.0,
        sum(cost.flops for cost in costs),
        sum(cost.written for cost in costs),
        sum(cost.read for cost in costs),
    )


# --- memory ---------------------------------------------------------------------------------------------------


class Held(NamedTuple):
    """The memory of one value of a run."""

    owner: int
    """The position of the node in whose memory it is: its own, unless it is a view."""
    held: int
    """How many bytes it keeps from being freed: those of all it is a view of."""
    size: int
    written: int


def _memory_of(prepared: Prepared) -> list[Held]:
    """Evaluate, and return the memory of each value."""
    found: list[Held] = []
    for step in evaluate(prepared):
        found.append(_held(step, prepared.program.operands[step.index], found))
        del step  # or what it holds would live for one more node
    return found


def _held(step: Step, sources: Sequence[int], before: Sequence[Held]) -> Held:
    value, root, owner = step.value, _root(step.value), step.index
    for source, operand in zip(sources, step.operands, strict=True):
        if _root(operand) is root:
            owner = before[source].owner
    written = value.nbytes if owner == step.index and sources else 0
    return Held(owner, getattr(root, "nbytes", value.nbytes), value.nbytes, written)


def peak_of(prepared: Prepared, memory: Sequence[Held]) -> Peak:
    """Return where most is held at once."""
    order = prepared.program.order
    given = {i for i, forward in enumerate(prepared.binding.forwards) if forward is None}
    until = [len(order) - 1] * len(order)
    for i, dying in enumerate(prepared.program.dying):
        for source in dying:
            until[source] = i
    members: dict[int, list[int]] = {}
    for i, value in enumerate(memory):
        members.setdefault(value.owner, []).append(i)
    gained = [0] * (len(order) + 1)
    for owner in members.keys() - given:
        gained[owner] += memory[owner].held
        gained[max(until[i] for i in members[owner]) + 1] -= memory[owner].held
    computed = list(accumulate(gained[:-1]))
    at = computed.index(max(computed))
    holders = []
    for owner, views in members.items():
        alive = views if owner in given else [i for i in views if i <= at <= until[i]]
        if alive:
            holders.append(Holder(order[alive[0]], memory[owner].held))
    throughout = sum(memory[i].held for i in given)
    holders.sort(key=lambda holder: -holder.bytes)
    return Peak(throughout + computed[at], throughout, order[at], holders)


def _root(value: Array) -> Any:
    """Return the object whose memory an array is in."""
    root: Any = value
    while (base := getattr(root, "base", None)) is not None:
        root = base
    return root


# --- as text --------------------------------------------------------------------------------------------------


def _lines(found: Profile, width: int | None) -> Iterator[str]:
    total, peak = found.total, found.peak
    rows = len(found.by_node) + len(peak.holders) if width is None else _MOST_ROWS
    longest = _ENDLESS if width is None else max(_SHORTEST, width - _NUMBERS)
    calls, runs = counted(total.calls, "operation"), f"median of {counted(found.repeat, 'run')}"
    yield f'"{short_name(found.graph.name, longest)}": {calls} in {_seconds(total.time)}, {runs}'
    yield (f"{_flops(total)}, {_rate(total)} GFLOP/s; {in_bytes(total.written)} written, {in_bytes(total.read)} read")
    yield ""
    for title, costs in (
        ("operation", found.by_node),
        ("kind", found.by_op),
        ("scope, without those in it" if found.by_outer_scope else "scope", found.by_scope),
        ("scope, with those in it", found.by_outer_scope),
        ("phase", found.by_phase),
    ):
        if not costs:
            continue
        yield f"{'time':>9} {'share':>7} {'work':>11} {'GFLOP/s':>8} {'written':>10}  {title}"
        counts = ["" if title == "operation" else f" ×{cost.calls:,}" for cost in costs[:rows]]
        single = [costs is found.by_node and len(cost.nodes) == 1 for cost in costs[:rows]]
        shown = [c.nodes[0].title if one else c.name or "(top)" for c, one in zip(costs, single, strict=False)]
        names = short_names(shown, longest - max(map(len, counts)))
        for cost, name, count in zip(costs, names, counts, strict=False):
            yield (
                f"{_seconds(cost.time):>9} {cost.share:7.1%} {_flops(cost):>11} {_rate(cost):>8} "
                f"{in_bytes(cost.written):>10}  {name}{count}"
            )
        if len(costs) > rows:
            rest = math.fsum(cost.time for cost in costs[rows:])
            yield f"{_seconds(rest):>9}  in {len(costs) - rows:,} more"
        yield ""
    yield (
        f"critical path: {counted(len(found.critical_path), 'operation')}, {_seconds(found.critical_time)}; "
        f"on average {found.parallelism:.2f} could run at once"
    )
    slowest = {cost.nodes[0] for cost in found.by_node[:rows]}
    names = ["…" if node not in slowest else short_name(node.title, longest) for node in found.critical_path]
    path = [name for name, before in zip(names, ["", *names], strict=False) if name != "…" or before != "…"]
    yield from in_lines(" → ".join(path), width, "    ", "    ")
    at = short_name(peak.node.title, longest)
    yield f'peak memory: {in_bytes(peak.bytes)} at "{at}", {in_bytes(peak.given)} of it given'
    held = peak.holders[:rows]
    names = short_names([node.title for node, _ in held], longest + _NUMBERS - _SIZE)
    for (_, size), name in zip(held, names, strict=True):
        yield f"{in_bytes(size):>14}  {name}"
    if len(peak.holders) > rows:
        rest_of_it = sum(size for _, size in peak.holders[rows:])
        yield f"{in_bytes(rest_of_it):>14}  in {len(peak.holders) - rows:,} more"


def _scaled(value: float, units: Sequence[str]) -> str:
    place = 0
    while value >= 1000 and place < len(units) - 1:
        value, place = value / 1000, place + 1
    return f"{value:.0f} {units[place]}" if isinstance(value, int) else f"{value:.2f} {units[place]}"


def _flops(cost: Cost) -> str:
    return _scaled(cost.flops, ("FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP"))


def _seconds(time: float) -> str:
    return _scaled(time * 1e6, ("µs", "ms", "s"))


def _rate(cost: Cost) -> str:
    return f"{cost.flops_per_second / 1e9:.2f}"
