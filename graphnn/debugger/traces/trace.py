"""A recorded run, and what it knows of each node: `Trace` and `Record`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..._util.display import Shown, as_text
from ..._util.hints import attribute_error
from ..._util.missing import needed
from ..._util.ports import Port
from ..._util.text import PAGE, columns_there, quoted, short_repr
from ...control_flow.bundle import LoopItem
from ...control_flow.iteration_names import is_bundle
from ...control_flow.loop_op import Loop
from ...control_flow.unrolled_run import has_loops, is_inside
from ...errors import GraphnnError, NotFoundError, UsageError
from ...io.container import write
from ...io.graph_files import settings_of, to_data
from ...ops.linalg import Transpose
from ...ops.shape import ExpandDims, Flip, Reshape, Squeeze
from ..node_selection import many, names_in, one
from ..source_lines import Lines, line_of, sources_of
from ..what_if_runs import given_before
from ..why import Why, element_typed, explain, given_as
from .value_digests import Digests, blanks
from .value_statistics import KEEP, Condensed, Statistics, Stats, digest_of, owner_of, preview_of

if TYPE_CHECKING:
    from ...control_flow.iteration_names import NodeInside
    from ...core import Array, Graph, Node, Op, Origin
    from ...io.paths import StrPath
    from ...runtime.evaluation_loop import Prepared

VERSION = 3
ITERATIONS: Port[Callable[[Trace, Any], Trace]] = Port("trace of iterations")
"""The same run with iterations as nodes, that of a name among them."""
LOOPS: Port[Callable[[Trace], Trace]] = Port("trace of loops")
"""The same run with loops as they are, so that it can be kept."""
PAGE_OF: Port[Callable[..., Any]] = Port("page")
"""The page on which a trace, a film, or runs side by side are replayed."""
SCRIPTS: Port[Callable[[Any], Any]] = Port("scripts")
"""Returns the run of one step of what a script's function gave: a model of PyTorch, a batch, and perhaps a loss."""
_SAME_ELEMENTS = (ExpandDims, Flip, Reshape, Squeeze, Transpose)


def _source(prepared: Prepared, place: int) -> int:
    """Return the place of the value that operations only put into another order or shape."""
    order, operands = prepared.program.order, prepared.program.operands
    while isinstance(order[place].op, _SAME_ELEMENTS) and not prepared.is_set(order[place]):
        (place,) = operands[place]
    return place


class _Recorded:
    """What a trace and its records share. Records do not refer to their trace, so that it is freed without a cycle."""

    def __init__(self, prepared: Prepared, kept: Sequence[Array | Condensed], times: Sequence[float]) -> None:
        self.prepared = prepared
        self.order = prepared.program.order
        self.kept = kept
        self.times = times
        self.stats = Statistics(kept, partial(_source, prepared))

    @cached_property
    def sources(self) -> Lines:
        return sources_of(self.order)


class Record:
    """One recorded node of a trace.

    Attributes
    ----------
    index : int
        Its place in the schedule.
    """

    __slots__ = ("_run", "index")

    def __init__(self, run: _Recorded, index: int) -> None:
        self._run = run
        self.index = index

    @property
    def node(self) -> Node:
        """The node."""
        return self._run.order[self.index]

    @property
    def time(self) -> float:
        """Seconds that it took."""
        return self._run.times[self.index]

    @property
    def _kept(self) -> Array | Condensed:
        return self._run.kept[self.index]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the whole value."""
        kept = self._kept
        return kept.shape if isinstance(kept, np.ndarray) else self._run.prepared.shape_of(self.node)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the value."""
        return self.node.dtype

    @property
    def bytes(self) -> int:
        """The size of the whole value."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def name(self) -> str:
        """The name of the node."""
        return self.node.name

    @property
    def op(self) -> Op:
        """The operation that the node had in the run: its own, or that of a what-if."""
        return self._run.prepared.declared_op_of(self.node)

    @property
    def origin(self) -> Origin:
        """The user's line that made the node."""
        return self.node.origin

    @property
    def source(self) -> str | None:
        """The text of that line, if it is known."""
        return line_of(self._run.sources, self.node.origin)

    @property
    def kept(self) -> bool:
        """Whether the whole value was kept."""
        return not isinstance(self._kept, Condensed)

    @property
    def of_digests(self) -> bool:
        """Whether its trace has kept digests."""
        return isinstance(self._run.kept, Digests)

    @property
    def value(self) -> Array:
        """The value, read-only.

        Raises
        ------
        NotFoundError
            When it was too large to be kept.
        """
        if isinstance(self._kept, Condensed):
            raise NotFoundError(
                f'the value of "{self.name}" ({self.bytes:,} bytes) was '
                + (
                    "not kept: a trace of digests keeps at most 8 elements of a value; stats and digest are available"
                    if isinstance(self._run.kept, Digests)
                    else "too large to be kept; its stats, preview and digest were. keep= sets how many bytes are "
                    "kept; gn.debug(trace) computes it again"
                )
            )
        return self._kept

    @property
    def stats(self) -> Stats:
        """Minimum, maximum, mean, standard deviation; how many are zero, NaN, infinite. For a bundle, NaN and 0."""
        if is_bundle(self.node):
            return Stats(math.nan, math.nan, math.nan, math.nan, 0, 0, 0, 0, math.prod(self.shape))
        return self._run.stats[self.index]

    @property
    def preview(self) -> Array:
        """At most 256 elements, at even strides of each axis; at most 8 in a trace of digests."""
        return self._kept.preview if isinstance(self._kept, Condensed) else preview_of(self._kept)

    @property
    def digest(self) -> str:
        """A hash of the bytes: values that are equal to the bit have the same."""
        return self._kept.digest if isinstance(self._kept, Condensed) else digest_of(self._kept)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data; of the value, shape and statistics."""
        return {
            "index": self.index,
            "node": self.name,
            "op": self.op.name,
            "scope": self.node.scope,
            "phase": self.node.phase,
            "shape": self.shape,
            "dtype": self.dtype.name,
            **self.stats._asdict(),
            "time": self.time,
            "bytes": self.bytes,
            "origin": str(self.origin),
        }

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.shape)) or "scalar"
        return f"<Record {self.index}: {quoted(self.node.title)}, {self.op.name} {shape} {self.dtype}>"


_OF_A_DEBUGGER = frozenset({"ancestry", "influence", "sample", "recheck", "inputs", "users", "twin", "path", "compare"})


class Trace(Shown):
    """A recorded run: for each node its value or what is left of it, statistics, time and memory. Made by `trace`.

    Iterating gives the records in the order of the schedule; ``trace["relu_1"]`` gives one by the name of a node, a
    scope or an output. Printed, it is a table.

    Attributes
    ----------
    graph : Graph
    prepared : Prepared
        What was evaluated: schedule, feed and state.
    updates : dict of Node to Node
        Those that the run would have made.
    order : list of Node
        The schedule.
    stopped : int or None
        Where the run ended early: the place in the schedule of the node that failed or was refused.
    error : str
        The message of what ended it.
    guard : {None, "nan", "finite"}
        That of the compiled step whose run it is.
    """

    def __init__(
        self,
        prepared: Prepared,
        kept: Sequence[Array | Condensed],
        times: Sequence[float],
        updates: Mapping[Node, Node],
        *,
        stopped: int | None = None,
        error: str = "",
        sources: Lines | None = None,
        guard: str | None = None,
    ) -> None:
        self.prepared = prepared
        self.graph: Graph = prepared.program.graph
        self.order = prepared.program.order
        self.updates = updates
        self.stopped = stopped
        self.error = error
        self.guard = guard
        self._run = _Recorded(prepared, kept, times)
        self._relaid: frozenset[int] = frozenset()
        self.iterations: dict[str, Trace] = {}
        """The same run with iterations as nodes, by which is asked for; kept for the next question."""
        if sources is not None:
            self._run.sources = sources

    @property
    def has_values(self) -> bool:
        """Whether it holds what the run was given, so that it can be run again; one of digests does not."""
        return not isinstance(self._run.kept, Digests)

    def checked_run(self) -> Prepared:
        """Return what was evaluated, to be evaluated again.

        Raises
        ------
        UsageError
            When it has kept digests.
        """
        if not self.has_values:
            raise UsageError(
                f'the trace of "{self.graph.name}" has kept digests, and not what the run was given: it can be read '
                "and compared, and not run again. Give the fetches and their feed instead"
            )
        return self.prepared

    @property
    def fetches(self) -> list[Node]:
        """What was asked for; of a compiled step the next values of its updates, too."""
        return [self.order[place] for place in self.prepared.program.fetches]

    @cached_property
    def records(self) -> list[Record]:
        """The records, in the order of the schedule; of a run that was stopped, of what had run."""
        return list(map(Record, repeat(self._run), range(len(self))))

    @property
    def sources(self) -> Lines:
        """The source lines that the nodes name, with those around them, by file and number."""
        return self._run.sources

    @cached_property
    def _places(self) -> dict[Node, int]:
        return {node: i for i, node in enumerate(self.order)}

    @property
    def as_computed(self) -> dict[int, Array]:
        """The kept values of operations, by position, from which others are computed to the same bits as in the run.

        Values whose memory layout a file has changed are left out: sums of them may differ in the last bits.
        """
        given, anew = self.prepared.given, self._relaid
        return {
            record.index: record.value
            for record in self
            if record.kept and record.node not in given
            if record.index not in anew or record.op.is_unknown
        }

    @property
    def time(self) -> float:
        """Seconds that all nodes took together."""
        return math.fsum(self._run.times)

    def __len__(self) -> int:
        return len(self._run.times)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __getitem__(self, node: Node | NodeInside | str) -> Record:
        """Return the record of a node, or of the node of that name, of the scope's result, or of the output.

        ``trace["scan_1@137/tanh"]`` is the node "tanh" in iteration 137 of a loop, which is computed again for that.
        """
        if is_inside(node, self.graph):
            return self._inside(node)[node]
        place = self._places[one(self._places, self.graph, node)]
        if place >= len(self):
            raise NotFoundError(f'"{self.order[place].name}" has no record: the run was stopped before it')
        return self.records[place]

    def __contains__(self, node: object) -> bool:
        try:
            self[node]  # type: ignore[index]
        except GraphnnError:
            return False
        return True

    def _ipython_key_completions_(self) -> list[str]:
        return names_in(self.order, self.graph)

    def __getattr__(self, name: str) -> Any:
        if name in _OF_A_DEBUGGER:
            raise attribute_error(f"a trace has no {name}: gn.debug(trace).{name} is that of its run")
        raise AttributeError(f"a trace has no attribute {name!r}")

    def select(self, target: Any = None, *, op: str | None = None, scope: str | None = None) -> list[Record]:
        """Return the records of some nodes.

        Parameters
        ----------
        target : Node, str, or list of them, optional
            A node or its name; a scope, an output, a pattern (``"dense_*/add"``) or an operation.
        op : str, optional
            Only of this operation.
        scope : str, optional
            Only in this scope, or in those in it.

        Returns
        -------
        list of Record

        Raises
        ------
        NotFoundError
            When nothing in the run matches.

        Examples
        --------
        >>> from graphnn import Graph, trace
        >>> g = Graph()
        >>> x = g.placeholder("x")
        >>> seen = trace(abs(-x), {x: 3.0})
        >>> seen.select("neg*"), [record.name for record in seen.select(op="absolute")]
        ([<Record 1: "negative", negative scalar float64>], ['absolute'])
        """
        if is_inside(target, self.graph) or is_inside(scope, self.graph):
            return self._inside().select(target, op=op, scope=scope)
        nodes = many(self.order, self.graph, target, op=op, scope=scope)
        return [self.records[place] for place in map(self._places.__getitem__, nodes) if place < len(self)]

    def why(self, node: Node | NodeInside | str, index: Any = None) -> Why:
        """Explain one element: the numbers it was computed from, the formula, and the line.

        Parameters
        ----------
        node : Node, NodeInside or str
            A name may end in the index: ``"logits[3, dog]"``.
        index : tuple of int or str, int or str, optional
            Which element, where there are several; the first that is NaN, or infinite, unless given. Text is the label
            of a position, as in ``graph.labels``.

        Returns
        -------
        Why

        Raises
        ------
        AxisError, ShapeError
            When there is no such element; or several, all of them finite, and none is named.
        NotFoundError
            When the value, or that of an operand, was too large to be kept.
        """
        node, index = element_typed(self.graph, node, index)
        if is_inside(node, self.graph):
            return self._inside(node).why(node, index)
        record = self[node]
        if isinstance(record.node.op, (Loop, LoopItem)) and self.has_values and has_loops(self.prepared):
            return self._inside().why(self._item_of(record.node).name, index)
        operands = [self[operand].value for operand in record.node.inputs]
        op, given = self.prepared.op_of(record.node), partial(given_as, prepared=self.prepared)
        return explain(
            record.node,
            index,
            record.value,
            operands,
            op=op,
            source=record.source,
            given=given,
            value_of=self._value_if_kept,
            op_of=self.prepared.op_of,
        )

    def _inside(self, asked: Any = None) -> Trace:
        return needed(ITERATIONS, "a trace of iterations")(self, asked)

    def _item_of(self, node: Node) -> Node:
        """Return an array that a loop gives, or refuse all of them together."""
        if isinstance(node.op, Loop):
            items = [quoted(user.name) for user in node.users if user.op.is_loop_item and user in self._places]
            raise UsageError(f'"{node.name}" is all that a loop gives: ask of one of {", ".join(items)}')
        return node

    def _value_if_kept(self, node: Node) -> Array | None:
        record = self[node]
        return record.value if record.kept else None

    def to_records(self) -> list[dict[str, Any]]:
        """Return the records as plain dicts, as ``pandas.DataFrame`` takes them."""
        return [record.to_dict() for record in self]

    def __str__(self) -> str:
        return as_text(self, columns_there() or PAGE)

    def __repr__(self) -> str:
        stopped = f", stopped at {self.stopped}" if self.stopped is not None else ""
        return f"<Trace of {quoted(self.graph.name)}: {len(self)} of {len(self.order)} nodes{stopped}>"

    def save(self, path: StrPath) -> None:
        """Write it to a file, wholly or not at all, with all that is needed to step through it elsewhere.

        Parameters
        ----------
        path : str or path-like
            ``gn.load(path)`` reads it.

        Raises
        ------
        OSError
            When the file cannot be written.
        UsageError
            When it is that of a what-if in a run whose loops are over dimensions with names.
        """
        write(path, "trace", *self.encoded(), version=VERSION)

    def encoded(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return it as plain data and arrays, as a file holds them."""
        kept = needed(LOOPS, "trace.save")(self) if self.has_values else self
        return kept._encoded()

    def to_html(
        self,
        path: StrPath | None = None,
        *,
        beside: Trace | Sequence[Trace] = (),
        names: Sequence[str] = (),
        live: bool | None = None,
        tour: Sequence[tuple[Node | str, str]] = (),
        hide: Sequence[Node | str] = (),
    ) -> Any:
        """Return it as a page that replays it in a browser: one file, no server, no network.

        The page also computes: change a number, and all that depends on it follows; a step with updates trains.

        Parameters
        ----------
        path : str or path-like, optional
            Where to write the page.
        beside : Trace or sequence of Trace, optional
            Another run, to be shown side by side with this one, with the first difference marked; or several, such as
            a clean, a corrupted and a patched one.
        names : sequence of str, optional
            What the runs are called, this one first.
        live : bool, optional
            Whether the page computes. By itself it does where it can; True asks for it, and an error names what is
            missing; False leaves it out.
        tour : sequence of (Node or str, str), optional
            A guided tour: a node and what is said of it, station by station.
        hide : sequence of Node or str, optional
            An exercise: the numbers of these nodes are hidden, the reader types them, and the page says which are
            right.

        Returns
        -------
        Page
            A notebook shows it in a frame; ``.save(path)`` writes it.

        Raises
        ------
        UsageError
            When `beside` is not a trace, or there is not a name for each run; when the page cannot compute and
            `live` is True; when `tour` or `hide` are not of this form.
        NotFoundError
            When `tour` or `hide` name a node that has not run.
        OSError
            When the file cannot be written.
        """
        others: list[Any] = list(beside) if isinstance(beside, (list, tuple)) else [beside]
        for other in others:
            if not isinstance(other, Trace):
                raise UsageError(f"beside= is another trace, or several, not {type(other).__name__}")
        if names and not others:
            raise UsageError("names= are those of runs side by side: they go with beside=")
        if names and (isinstance(names, str) or len(names) != len(others) + 1):
            raise UsageError(
                f"names= has a name for each of {len(others) + 1} runs, this one first; got {short_repr(names)}"
            )
        asked = {"live": live, "tour": tour, "hide": hide}
        if not others:
            return page_of(self, path, **asked)
        if live or tour or hide:
            raise UsageError("live=, tour= and hide= are for one run: they do not go with beside=")
        usual = ["the other run"] if len(others) == 1 else [f"other run {i + 1}" for i in range(len(others))]
        return page_of(Beside((self, *others), tuple(names or ("this run", *usual))), path)

    def _encoded(self) -> tuple[dict[str, Any], dict[str, Array]]:
        whole = self.has_values
        given = self.prepared.given
        before = given_before(self.prepared) if whole else blanks(self.graph)
        graph, state = to_data([*self.fetches, *self.updates], before)
        altered = [[self._places[node], settings_of(op)] for node, op in self.prepared.overridden.items() if op]
        by_hand = [node for node, op in self.prepared.overridden.items() if op is None]
        data: dict[str, Any] = {
            "graph": graph,
            "fetches": [node.name for node in self.fetches],
            "updates": [[parameter.name, node.name] for parameter, node in self.updates.items()],
            # What else was fed may have sizes, too, and is not kept.
            "sizes": {
                name: size
                for name, size in self.prepared.sizes.items()
                if name in self.prepared.program.dimension_names
            },
            "altered": altered,
            "times": list(self._run.times),
            "stopped": self.stopped,
            "error": self.error,
            "guard": self.guard,
            "sources": {file: [[n, text] for n, text in lines.items()] for file, lines in self.sources.items()},
        }
        if isinstance(self._run.kept, Digests):
            data["set"] = [self._places[node] for node in by_hand]
            return data, {"digests": self._run.kept.encoded()}
        arrays = {f"state/{name}": array for name, array in state.items()}
        arrays |= {f"given/{self._places[node]}": given[node] for node in by_hand}
        arrays |= {f"feed/{node.name}": before[node] for node in self.prepared.program.placeholders}
        self._add_values(data, arrays)
        return data, arrays

    def _add_values(self, data: dict[str, Any], arrays: dict[str, Array]) -> None:
        """Add to what a file holds the values that were computed, or what was kept of them."""
        condensed: dict[str, Any] = {}
        relaid, whole = set(self._relaid), {id(owner_of(array)) for array in self.prepared.given.values()}
        for record in self:
            if record.node in self.prepared.given:
                continue
            kept = record._kept
            if isinstance(kept, np.ndarray) and kept.nbytes > KEEP:
                owner = owner_of(kept)
                if kept.nbytes > owner.nbytes or id(owner) in whole:  # windows, say: in a file it takes memory of its own
                    kept = Condensed.of(kept)
            if isinstance(kept, Condensed):
                condensed[str(record.index)] = [list(kept.stats), kept.digest]
                arrays[f"preview/{record.index}"] = kept.preview
            elif not record.node.has_value:
                arrays[f"value/{record.index}"] = kept
                if not kept.flags.c_contiguous:
                    relaid.add(record.index)
        data |= {"condensed": condensed, "strided": sorted(relaid)}


class Beside(NamedTuple):
    """Runs that are to be seen side by side.

    Attributes
    ----------
    runs : tuple of Trace
        Two or more.
    names : tuple of str
        What they are called.
    recomputed : list of Node or None
        What was computed anew in the second run, if that began as the first.
    """

    runs: tuple[Trace, ...]
    names: tuple[str, ...]
    recomputed: list[Node] | None = None


def traced(target: Any) -> Any:
    """Return the trace of what holds one, as a run of PyTorch does; anything else as it is."""
    as_trace = getattr(type(target), "as_trace", None)
    return target if as_trace is None else as_trace(target)


def page_of(thing: object, path: StrPath | None, **asked: Any) -> Any:
    """Return the page of what can be replayed, and write it to a file if there is a path."""
    page = needed(PAGE_OF, "to_html", thing)(thing, **asked)
    if path is not None:
        page.save(path)
    return page
