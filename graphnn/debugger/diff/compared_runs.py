"""The two sides of a comparison: something to run, a recorded run, or arrays from elsewhere, each as steps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from os import PathLike, fspath
from typing import Any, NamedTuple

import numpy as np

from ..._util.text import with_article
from ...compiler.backends import Backend, backend_of, chosen
from ...compiler.compile import Compiled, raise_as_interpreter
from ...control_flow.unrolled_run import counterpart, graph_before, has_loops
from ...core import Array, Graph, Node, Op, as_array, flatten, is_float
from ...core.fetches import resolve
from ...errors import GraphnnError, NotFoundError, UsageError
from ...io.graph_files import load
from ...runtime.evaluation_loop import Prepared, Step, complete_stop, evaluate
from ...runtime.feed import Feed, prepare
from ...runtime.program import Program
from ..iteration_traces import with_iterations
from ..node_selection import one
from ..profile import flops_of
from ..traces import Record, Trace, digest_of, guard_of, prepared_for, traced
from ..what_if_runs import in_state_of, with_value


class Side(NamedTuple):
    """One of the two runs: its schedule, and its steps."""

    name: str
    program: Program
    steps: Iterator[Step]
    """A value may be a record, where a trace did not keep it whole, or None where no array is given."""
    sizes: Mapping[str, int]
    ran: int
    """How many of its nodes have a value: fewer than there are if a recorded run ended early."""
    stopped: Node | None = None
    """The node at which it ended early."""
    prepared: Prepared | None = None
    """What is evaluated; None for arrays from elsewhere."""
    records: Sequence[Record] | None = None
    """What was kept of each value, of a trace that has kept digests."""
    through: bool = False
    """Whether what is between the values that are given counts as one: a runtime may know other steps."""

    def op(self, place: int) -> Op:
        """Return the operation that was used, which a what-if may have altered."""
        node = self.order[place]
        return node.op if self.prepared is None else self.prepared.declared_op_of(node)

    def terms(self, place: int) -> float:
        """Return of how many numbers each element of a value is made."""
        if self.prepared is None or not self.operands[place]:
            return 1.0
        node = self.order[place]
        return flops_of(self.prepared, node) / max(math.prod(self.prepared.shape_of(node)), 1)

    def leaf(self, place: int) -> tuple[str, tuple[int, ...], str, bool] | None:
        """Return dtype, shape and hash of what is not computed, and whether its numbers differ; None if not known."""
        node = self.order[place]
        if self.records is not None:
            if place >= len(self.records):
                return None
            record = self.records[place]
            varied = record.stats.min != record.stats.max or record.stats.nans > 0
            return record.dtype.str, record.shape, record.digest, varied
        given = {} if self.prepared is None else self.prepared.given
        array = given[node] if node in given else node.value  # noqa: SIM401 - a copy
        return array.dtype.str, array.shape, digest_of(array), bool(array.size and (array != array.flat[0]).any())

    def is_set(self, place: int) -> bool:
        """Return whether a what-if gave the node its value."""
        return self.prepared is not None and self.prepared.is_set(self.order[place])

    def reads(self, place: int, element: tuple[int, ...] | None, operands: Sequence[Any]) -> Sequence[Any] | None:
        """Return the elements of each operand that one was computed from; None if some operand is not known whole."""
        if element is None or not all(isinstance(operand, np.ndarray) for operand in operands):
            return None
        return self.op(place).bound(self.sizes).reads(element, operands)

    @property
    def order(self) -> list[Node]:
        return self.program.order

    @property
    def operands(self) -> list[tuple[int, ...]]:
        return self.program.operands


def from_files(a: Any, b: Any) -> tuple[Any, Any, tuple[str, str] | None]:
    """Return two targets, traces in the place of their files; and what to call the two, if both come from files.

    A file is a path, or text that ends in ``.trace`` or ``.gnt``.

    Raises
    ------
    UsageError
        When a file holds something else.
    """
    found, files = [], []
    for target in (a, b):
        thing = traced(target)
        if isinstance(target, PathLike) or (isinstance(target, str) and target.endswith((".trace", ".gnt"))):
            thing = load(target)
            files.append(fspath(target))
        thing = traced(thing)
        if thing is not target and not isinstance(thing, Trace):
            kind = type(thing).__name__.lower()
            raise UsageError(f"{files[-1]} holds a {kind}, not a recorded run: load it, and give fetches")
        found.append(thing)
    return found[0], found[1], (files[0], files[1]) if len({*files}) == 2 else None


def run_of(
    target: Any,
    feed: Feed | None,
    sizes: Mapping[str, int] | None,
    graph: Graph | None,
    dtype: np.dtype[Any] | None,
    backend: str | None = None,
    inside: bool = False,
) -> Side:
    """Return the side of what is run, or of a trace that is run again; `inside`: with iterations as nodes."""
    if isinstance(target, Trace) and feed is None and sizes is not None:
        raise UsageError("a trace has its own sizes and takes no others without a feed")
    updates: Mapping[Node, Node] = {}
    if isinstance(target, Trace) and feed is None:
        prepared, updates = target.checked_run(), target.updates
    elif isinstance(target, Trace):
        # In the state of the trace, which the graph may have left since.
        prepared = in_state_of(prepare(target.graph, target.fetches, feed, sizes).with_own_feed(), target.checked_run())
        updates = target.updates
    else:
        prepared, updates = prepared_for(target, feed, sizes, None if isinstance(target, Compiled) else graph)
    if inside and has_loops(prepared):
        prepared, updates = with_iterations(prepared, updates)
    program = prepared.program
    retyped = prepared if dtype is None else _retyped(prepared, dtype)
    if dtype is not None:
        updates = {}  # which are of the graph that this is a copy of
    by = backend and chosen(backend)
    maker = backend_of(by)() if by not in (None, "interpreter") else None
    name = maker.title if maker is not None else "the interpreter" if by else "the run"
    steps = _with_updates(evaluate(retyped) if maker is None else _planned(retyped, maker), updates, guard_of(target))
    return Side(name, program, steps, prepared.sizes, len(program.order), None, prepared)


def _with_updates(steps: Iterator[Step], updates: Mapping[Node, Node], guard: str | None) -> Iterator[Step]:
    """Yield steps; an error of one gets to know the updates and the guard of the run."""
    try:
        yield from steps
    except GraphnnError as error:
        complete_stop(error, updates, guard)
        raise


def _planned(prepared: Prepared, maker: Backend) -> Iterator[Step]:
    """Yield the steps of a run by its plan; values that are not results come from a plan that returns every node."""
    if prepared.overridden:
        raise UsageError("a plan cannot run with values or operations set by hand: compare the run before that")
    program = prepared.program
    _refuse_unknown(program, "no plan can run it")
    every = Program(program.graph, program.order)
    whole = prepared._replace(program=every, binding=every.binding(prepared.sizes))
    values: dict[Node, Array] = {}
    for each, nodes in ((whole, program.order), (prepared, [program.order[place] for place in program.fetches])):
        try:
            plan = maker.plan(each)
            values.update(zip(nodes, plan(*[prepared.given[node] for node in plan.given]), strict=True))
        except Exception as error:  # noqa: BLE001 - raised anew
            raise_as_interpreter(error, prepared)
    yield from _steps(program, [values[node] for node in program.order])


def _refuse_unknown(program: Program, reason: str) -> None:
    for node in program.order:
        if node.op.is_unknown:
            op = with_article(node.op.name)
            raise UsageError(f'"{node.name}" is {op}, which is not defined here: {reason}')


def read_trace(trace: Trace, exact: bool, inside: bool = False) -> Side:
    """Return the side of a recorded run; it is run again if values are needed that were not kept.

    `inside`: with iterations as nodes, for which it is run again, too.
    """
    if inside and has_loops(trace.prepared):
        return run_of(trace, None, None, None, None, inside=True)._replace(name="the trace")
    known = trace.stopped is None and not any(node.op.is_unknown for node in trace.order)
    program, prepared = trace.prepared.program, trace.prepared
    stopped = None if trace.stopped is None else program.order[trace.stopped]
    if trace.has_values and not exact and known and not all(record.kept for record in trace):
        steps = _recorded_again(trace)
    else:
        steps = _steps(program, [record.value if record.kept else record for record in trace])
    records = None if trace.has_values else trace.records
    return Side("the trace", program, steps, prepared.sizes, len(trace), stopped, prepared, records)


def _recorded_again(trace: Trace) -> Iterator[Step]:
    """Yield the steps of a trace; values that were not kept are computed again, and used if their hashes agree."""
    program = trace.prepared.program
    values: list[Any] = [None] * len(program.order)
    for step, record, dying in zip(evaluate(trace.prepared), trace, program.dying, strict=True):
        again = step.value
        value: Any = record.value if record.kept else again if digest_of(again) == record.digest else record
        values[step.index] = value
        yield step._replace(operands=tuple([values[i] for i in program.operands[step.index]]), value=value)
        for place in dying:
            values[place] = None


def _steps(program: Program, values: Sequence[Any]) -> Iterator[Step]:
    for place, value in enumerate(values):
        yield Step(place, program.order[place], tuple([values[i] for i in program.operands[place]]), value)


def arrays_of(arrays: Mapping[Any, Any], beside: Side) -> Side:
    """Return arrays from elsewhere as a run of the nodes that they are named after."""
    program, known = beside.program, dict[Node, Array]()
    order = dict.fromkeys(program.order)
    for key, value in arrays.items():
        node = one(order, program.graph, key)
        if node in known:
            raise NotFoundError(f'"{node.name}" is given twice')
        known[node] = as_array(value, f'the array for "{node.name}"')
    if not known:
        raise UsageError("no arrays are given: give them by the names of nodes, {name: array}")
    steps = _steps(program, [known.get(node) for node in program.order])
    return Side("the arrays", program, steps, beside.sizes, len(program.order))


def _retyped(prepared: Prepared, dtype: np.dtype[Any]) -> Prepared:
    """Return the same run in a copy of the graph whose floats have another dtype, also in attributes of operations.

    Floats that are computed from integers keep the dtype that their operations give them.
    """
    source = prepared.program
    _refuse_unknown(source, "its dtype cannot be changed")
    graph = Graph(source.graph.name, dtype)
    graph.memory_budget = source.graph.memory_budget
    copies: dict[Node, Node] = {}
    for node in source.order:
        kind = dtype if is_float(node.dtype) else node.dtype
        with graph.in_scope(None, origin=node.origin, origin_of_nodes=True), np.errstate(all="ignore"):
            if node.op.is_placeholder:
                copies[node] = graph.placeholder(node.name, node.shape, kind)
            elif not node.has_value:
                op = prepared.declared_op_of(node)
                if "dtype" in op.attribute_names and is_float(np.dtype(op.attributes["dtype"])):
                    op = replace(op, dtype=dtype.name)  # type: ignore[type-var]
                copies[node] = graph.add(op, [copies[operand] for operand in node.inputs], node.name)
            else:
                value = prepared.given[node] if node in prepared.given else node.value  # noqa: SIM401 - has no value
                copies[node] = graph.constant(value.astype(kind), node.name)
    fetches = [copies[source.order[place]] for place in source.fetches]
    feed = {node.name: prepared.given[node] for node in source.placeholders}
    sizes = {name: prepared.sizes[name] for name in source.dimension_names if name in prepared.sizes}
    found = prepare(graph, fetches, feed, sizes)
    for node in filter(prepared.is_set, prepared.overridden):
        if not (node.has_value or node.op.is_placeholder):
            with np.errstate(all="ignore"):
                found = with_value(found, copies[node], prepared.given[node].astype(copies[node].dtype))
    return found


def results_of(a: Any, b: Any, first: Side, second: Side, known: Mapping[Node, Node]) -> list[tuple[int, int]]:
    """Return which of the fetches of one belongs to which of the other: by name, else by their order.

    A trace knows only the order of its fetches and the parameters of its updates; `known` gives their counterparts.
    """
    mine, its = _paths(a, first.program.graph, {}), _paths(b, second.program.graph, known)
    found = [(mine.pop(path), its.pop(path)) for path in list(mine) if path in its]
    if len(mine) == len(its):
        found += zip(mine.values(), its.values(), strict=True)
    return found


def _paths(target: Any, made: Graph, known: Mapping[Node, Node]) -> dict[tuple[Any, ...], int]:
    """Return where each result stands in the fetches, by the keys that lead to it."""
    if isinstance(target, (Trace, Compiled)):
        nodes: Sequence[Node] = target.fetches
        count = len(nodes) - len(target.updates) * isinstance(target, Trace)
        form = target.rebuild(range(count)) if isinstance(target, Compiled) else list(range(count))
        following = {
            ("updates", known.get(now := counterpart(parameter, made), now)): count + i
            for i, parameter in enumerate(target.updates)
        }
    else:
        _, nodes, rebuild = resolve(target, graph_before(made))
        form, following = rebuild(range(len(nodes))), {}
    return dict(_leaves(form, nodes)) | following


def _leaves(
    form: Any, nodes: Sequence[Node], path: tuple[Any, ...] = (), lengths: tuple[int, ...] = ()
) -> Iterator[tuple[tuple[Any, ...], int]]:
    if isinstance(form, int):
        # Lists of gradients match only if they are equally long: else a position means another parameter.
        yield path + (lengths if nodes[form].twin is not None else ()), form
        return
    by_key = isinstance(form, Mapping)
    for key, part in form.items() if by_key else enumerate(form):
        yield from _leaves(part, nodes, (*path, key), lengths if by_key else (*lengths, len(form)))


def are_arrays(target: Any) -> bool:
    """Return whether a target is arrays by the names of nodes."""
    return isinstance(target, Mapping) and not any(isinstance(leaf, (Node, str)) for leaf in flatten(dict(target))[0])


def can_be_run(target: Any) -> bool:
    """Return whether a target is no trace that cannot be run again to its end."""
    return not isinstance(target, Trace) or (target.has_values and target.stopped is None)


def graph_of(target: Any) -> Graph | None:
    """Return the graph of a target; None where only names are given."""
    if isinstance(target, (Trace, Compiled)):
        return target.graph
    if isinstance(target, Graph):
        return target
    return next((leaf.graph for leaf in flatten(target)[0] if isinstance(leaf, Node)), None)


def fed_to(trace: Trace) -> dict[Any, Any]:
    """Return what a recorded run was fed, by name."""
    prepared = trace.checked_run()
    return {node.name: prepared.given[node] for node in prepared.program.placeholders}


def feed_for(feed: Feed | None, graph: Graph | None, other: Graph | None) -> Feed | None:
    """Return the part of a feed that is for one of two graphs, by name."""
    if not isinstance(feed, Mapping) or graph is other or graph is None or other is None:
        return feed
    named = {key.name if isinstance(key, Node) else key: value for key, value in feed.items()}
    return {name: value for name, value in named.items() if name in graph or name not in other}


def names_of(a: Side, b: Side, dtypes: tuple[Any, Any], by_feed: bool) -> tuple[str, str]:
    """Return names for two runs, from what they differ in."""
    graphs = [side.program.graph.name for side in (a, b)]
    kinds = [str(dtype or "the original") for dtype in dtypes]
    if graphs[0] != graphs[1]:
        ways = [f" in {kind}" if dtype else "" for kind, dtype in zip(kinds, dtypes, strict=True)]
        return f'"{graphs[0]}"{ways[0]}', f'"{graphs[1]}"{ways[1]}'
    if a.name == b.name and kinds[0] != kinds[1]:
        return kinds[0], kinds[1]
    if by_feed:
        return "feed", "feed_b"
    if a.name != b.name:
        return a.name, b.name
    fetched = [[side.order[place].name for place in side.program.fetches] for side in (a, b)]
    if a.program.graph is b.program.graph and len(fetched[0]) == len(fetched[1]) == 1 and fetched[0] != fetched[1]:
        return f'"{fetched[0][0]}"', f'"{fetched[1][0]}"'
    return "a", "b"
