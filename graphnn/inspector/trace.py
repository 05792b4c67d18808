"""A recorded run: `trace`, `recording`, and what a record knows of a value."""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from hashlib import blake2b
from itertools import accumulate, repeat
from threading import Lock
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from ..container import StrPath, write
from ..errors import AxisError, FileFormatError, GraphnnError, LookupFailure, UsageError, ValueRangeError
from ..execute.compiled import Compiled
from ..execute.interpreter import (
    Feed,
    Observer,
    Prepared,
    Step,
    Stop,
    checked_guard,
    evaluate,
    prepare,
    tell_of_step,
)
from ..files import from_data, from_settings, loads, settings_of, to_data
from ..graph import Array, Graph, Node, Op, Origin, Placeholder, Unknown
from ..graph.fetches import resolve
from ..show import Shown, rendered
from ..text import counted, number, quoted
from .select import many, names_in, one
from .sources import Lines, line_of, sources_of
from .why import Why, explain, given_as

VERSION = 1
KEEP = 2**24
"""Bytes up to which a value is kept whole, unless told otherwise."""
_PREVIEW = 256  # elements
_LONGEST = 1e9  # seconds that a file may say of a node: some thirty years
SMALL, _TOGETHER = 2**12, 32  # elements, values
_FEW = 6  # numbers that are written out
_TINY, _HUGE = 1e-280, 1e280
"""A sum of squares between these tells that all is finite, and that no square was lost that counts."""
_LOST = 1e-3
"""A variance that is a smaller share of the mean square has lost too many digits, if it is the difference of two."""


class Stats(NamedTuple):
    """What the elements of a value are like.

    Attributes
    ----------
    min, max, mean, std : float
        Of the finite elements; NaN if there are none.
    zeros, nans, posinfs, neginfs : int
        How many elements are zero, NaN, +inf and -inf.
    size : int
        How many there are.
    """

    min: float
    max: float
    mean: float
    std: float
    zeros: int
    nans: int
    posinfs: int
    neginfs: int
    size: int


@np.errstate(all="ignore")  # squares may be infinite, or rounded to 0
def stats_of(value: Array) -> Stats:
    """Return the statistics of an array.

    Examples
    --------
    >>> stats_of(np.array([0.0, 1.0, 2.0, np.nan, -np.inf]))
    Stats(min=0.0, max=2.0, mean=1.0, std=0.816496580927726, zeros=1, nans=1, posinfs=0, neginfs=1, size=5)
    """
    wide = value.ravel().astype(np.float64, copy=False)  # a mean of float16 would overflow
    size, squares = wide.size, float(wide.dot(wide))
    if not _TINY < squares < _HUGE:
        return _stats_of_extreme(wide)
    least, most = float(np.fmin.reduce(wide)), float(np.fmax.reduce(wide))  # no NaN is left, and these are faster
    zeros = int(np.count_nonzero(wide == 0.0)) if least <= 0 <= most else 0
    mean = min(max(least, float(np.einsum("i->", wide)) / size), most)  # rounded, it may be beside what is constant
    square = squares / size
    variance = square - mean * mean
    if variance < square * _LOST:
        spread = wide - mean
        variance = float(spread.dot(spread)) / size
    return Stats(least, most, mean, math.sqrt(variance), zeros, 0, 0, 0, size)


def _stats_of_extreme(wide: Array) -> Stats:
    """Return the same of a vector that has NaN or infinities, squares out of range, zeros alone, or no elements."""
    if not wide.size:
        return Stats(math.nan, math.nan, math.nan, math.nan, 0, 0, 0, 0, 0)
    finite = np.isfinite(wide)
    if not finite.all():
        rest = wide[finite]
        nans, posinfs = int(np.count_nonzero(np.isnan(wide))), int(np.count_nonzero(wide == np.inf))
        neginfs = wide.size - rest.size - nans - posinfs
        return stats_of(rest)._replace(nans=nans, posinfs=posinfs, neginfs=neginfs, size=wide.size)
    least, most = float(wide.min()), float(wide.max())
    largest = max(-least, most)
    if not largest:
        return Stats(0.0, 0.0, 0.0, 0.0, wide.size, 0, 0, 0, wide.size)
    scaled = stats_of(wide / largest)
    return scaled._replace(
        min=least,
        max=most,
        mean=scaled.mean * largest,
        std=scaled.std * largest,
        zeros=int(np.count_nonzero(wide == 0.0)),
    )


@np.errstate(all="ignore")
def _stats_of_small(values: Sequence[Array]) -> list[Stats]:
    """Return the same of several vectors of 1 to `SMALL` elements, taken of all at once."""
    sizes = list(map(len, values))
    starts = np.array([0, *accumulate(sizes[:-1])])
    joined = np.concatenate(values, dtype=np.float64)
    columns = [
        np.minimum.reduceat(joined, starts),
        np.maximum.reduceat(joined, starts),
        np.add.reduceat(joined == 0.0, starts, dtype=np.uint16),
        np.add.reduceat(joined, starts),
        np.add.reduceat(np.square(joined, joined), starts),
    ]
    rows = zip(values, sizes, *[column.tolist() for column in columns], strict=True)
    found, make, sqrt = [], tuple.__new__, math.sqrt
    for value, size, least, most, zeros, total, squares in rows:
        mean, square = total / size, squares / size
        variance = square - mean * mean
        if _TINY < squares < _HUGE and variance > square * _LOST:
            found.append(make(Stats, (least, most, mean, sqrt(variance), zeros, 0, 0, 0, size)))
        elif least == most and math.isfinite(least):
            found.append(make(Stats, (least, most, least, 0.0, zeros, 0, 0, 0, size)))
        else:
            found.append(stats_of(value))
    return found


def norm_of(value: Array) -> float:
    """Return the norm of a value in float64, whose squares do not overflow."""
    wide: np.ndarray[Any, Any] = value.astype(np.float64, copy=False)
    largest = float(np.abs(wide).max(initial=0.0))
    return largest * float(np.linalg.norm(wide / largest)) if largest and math.isfinite(largest) else largest


class Statistics(dict[int, Stats]):
    """Those of kept values by place, taken when first asked for: of a small value with those that come after it.

    Each by itself would pay several times as much for the calls as for the elements.
    """

    def __init__(self, kept: Sequence[Array | Condensed]) -> None:
        self._kept = kept

    def __missing__(self, place: int) -> Stats:
        value = self._kept[place]
        if isinstance(value, Condensed):
            return value.stats
        if 0 < value.size <= SMALL:
            after = enumerate(self._kept[place : place + _TOGETHER], place)
            small = {i: v.ravel() for i, v in after if isinstance(v, np.ndarray) and 0 < v.size <= SMALL}
            self.update(zip(small, _stats_of_small(list(small.values())), strict=True))
        else:
            self[place] = stats_of(value)
        return self[place]


def in_short(value: Array) -> str:
    """Return a value on one line: its numbers if they are few, else how they are spread.

    Examples
    --------
    >>> print(in_short(np.array([[1.0, 0.25], [1 / 3, np.nan]])))
    [[1, 0.25], [0.3333, nan]]
    >>> print(in_short(np.array([*range(300), np.nan, -np.inf])))
    min 0, mean 149.5, max 299; 1 NaN, 1 -inf
    """
    if value.size <= _FEW:
        return _written(value)
    if value.dtype.kind == "b":
        return f"true {np.count_nonzero(value):,} of {value.size:,}"
    stats = stats_of(value)
    kind = value.dtype.type if value.dtype.kind == "f" else float  # a float32 tells that its 0.1 is exact
    spread = f"min {number(kind(stats.min))}, mean {number(stats.mean)}, max {number(kind(stats.max))}"
    counts = (("NaN", stats.nans), ("inf", stats.posinfs), ("-inf", stats.neginfs))
    strange = ", ".join(f"{count:,} {what}" for what, count in counts if count)
    return "; ".join([spread] * (not math.isnan(stats.min)) + [strange] * bool(strange))


def _written(value: Array) -> str:
    return f"[{', '.join(map(_written, value))}]" if value.ndim else number(value[()])


def preview_of(value: Array, most: int = _PREVIEW) -> Array:
    """Return at most `most` elements, taken at even strides of each axis; the whole of what is no larger.

    Examples
    --------
    >>> preview_of(np.arange(100).reshape(10, 10), 4)
    array([[ 0,  5],
           [50, 55]])
    """
    steps, _ = _strides(value.shape, most)
    return value[tuple(slice(None, None, step) for step in steps)] if steps else value


def _strides(shape: tuple[int, ...], most: int = _PREVIEW) -> tuple[list[int], list[int]]:
    """Return the stride of each axis of a preview, and how many elements it takes."""
    steps, sizes = [1] * len(shape), list(shape)
    while math.prod(sizes) > most:
        axis = max(range(len(shape)), key=sizes.__getitem__)
        steps[axis] += 1 + steps[axis] // 16  # in few rounds, however large it is
        sizes[axis] = -(-shape[axis] // steps[axis])
    return steps, sizes


class Condensed(NamedTuple):
    """What is left of a value that was too large to be kept.

    Attributes
    ----------
    stats : Stats
    preview : array
        Some elements, at even strides.
    digest : str
        A hash of all its bytes.
    """

    stats: Stats
    preview: Array
    digest: str

    @classmethod
    def of(cls, value: Array) -> Condensed:
        """Condense a value."""
        return cls(stats_of(value), preview_of(value).copy(), digest_of(value))


def digest_of(value: Array) -> str:
    """Return a hash of the bytes of an array, in C order; NaN is NaN, whatever its sign and its payload."""
    if value.dtype.kind == "f" and (nan := np.isnan(value)).any():
        value = np.where(nan, value.dtype.type(math.nan), value)
    return blake2b(np.ascontiguousarray(value).view(np.uint8).data, digest_size=16).hexdigest()


class _Recorded:
    """What a trace and its records share: neither holds the other, so that a trace that is let go is gone at once."""

    def __init__(self, prepared: Prepared, kept: Sequence[Array | Condensed], times: Sequence[float]) -> None:
        self.prepared = prepared
        self.order = prepared.program.order
        self.kept = kept
        self.times = times
        self.stats = Statistics(kept)

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
    def value(self) -> Array:
        """The value, read-only.

        Raises
        ------
        LookupFailure
            When it was too large to be kept.
        """
        if isinstance(self._kept, Condensed):
            raise LookupFailure(
                f'the value of "{self.name}" ({self.bytes:,} bytes) was too large to be kept; its stats, preview and '
                "digest were. keep= says up to how many bytes are kept; gn.debug(trace) computes it anew"
            )
        return self._kept

    @property
    def stats(self) -> Stats:
        """Least, largest, mean, standard deviation; how many are zero, NaN, infinite."""
        return self._run.stats[self.index]

    @property
    def preview(self) -> Array:
        """At most 256 elements, at even strides of each axis."""
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
        self._laid_out_anew: frozenset[int] = frozenset()
        if sources is not None:
            self._run.sources = sources

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
        """Of what was computed and kept, the values by place, from which others come to the same bits as in the run.

        Not those that a file has laid out otherwise in memory: sums of them may differ in the last bits.
        """
        given, anew = self.prepared.given, self._laid_out_anew
        return {
            record.index: record.value
            for record in self
            if record.kept and record.node not in given
            if record.index not in anew or isinstance(record.op, Unknown)
        }

    @property
    def time(self) -> float:
        """Seconds that all nodes took together."""
        return math.fsum(self._run.times)

    def __len__(self) -> int:
        return len(self._run.times)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __getitem__(self, node: Node | str) -> Record:
        """Return the record of a node, or of the node of that name, of the scope's result, or of the output."""
        place = self._places[one(self._places, self.graph, node)]
        if place >= len(self):
            raise LookupFailure(f'"{self.order[place].name}" has no record: the run was stopped before it')
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
            raise AttributeError(f"a trace has no {name}: gn.debug(trace).{name} is that of its run")
        raise AttributeError(f"a trace has no attribute {name!r}")

    def select(self, target: Any = None, *, op: str | None = None, scope: str | None = None) -> list[Record]:
        """Return the records of the nodes that are meant.

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
        LookupFailure
            When nothing is meant.

        Examples
        --------
        >>> g = Graph()
        >>> x = g.placeholder("x")
        >>> seen = trace(abs(-x), {x: 3.0})
        >>> seen.select("neg*"), [record.name for record in seen.select(op="absolute")]
        ([<Record 1: "negative", negative scalar float64>], ['absolute'])
        """
        meant = many(self.order, self.graph, target, op=op, scope=scope)
        return [self.records[place] for place in map(self._places.__getitem__, meant) if place < len(self)]

    def why(self, node: Node | str, index: Any = None) -> Why:
        """Say of one element from which numbers it came, by which formula, on which line.

        Parameters
        ----------
        node : Node or str
        index : tuple of int or int, optional
            Which element, where there are several; the first that is NaN, or infinite, unless given.

        Returns
        -------
        Why

        Raises
        ------
        AxisError, ShapeError
            When there is no such element; or several, all of them finite, and none is named.
        LookupFailure
            When the value, or that of an operand, was too large to be kept.
        """
        record = self[node]
        operands = [self[operand].value for operand in record.node.inputs]
        op, given = self.prepared.op_of(record.node), partial(given_as, prepared=self.prepared)
        return explain(record.node, index, record.value, operands, op=op, source=record.source, given=given)

    def to_records(self) -> list[dict[str, Any]]:
        """Return the records as plain dicts, as ``pandas.DataFrame`` takes them."""
        return [record.to_dict() for record in self]

    def __str__(self) -> str:
        return rendered(self, "table") or repr(self)

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
            When the folder or the disk refuses.
        """
        write(path, "trace", *self._encoded(), version=VERSION)

    def to_html(self, path: StrPath | None = None, *, beside: Trace | None = None) -> Any:
        """Return it as a page that replays it in a browser: one file, no server, no network.

        Parameters
        ----------
        path : str or path-like, optional
            Where to write the page.
        beside : Trace, optional
            Another run, to be shown side by side with this one, with the first difference marked.

        Returns
        -------
        Page
            A notebook shows it in a frame; ``.save(path)`` writes it.

        Raises
        ------
        UsageError
            When `beside` is no trace.
        OSError
            When the folder or the disk refuses.
        """
        if beside is not None and not isinstance(beside, Trace):
            raise UsageError(f"beside= is another trace, not {type(beside).__name__}")
        return page_of(self if beside is None else Beside(self, beside, ("this run", "the other run")), path)

    def _encoded(self) -> tuple[dict[str, Any], dict[str, Array]]:
        given, before = self.prepared.given, self.prepared.given_before
        graph, state = to_data([*self.fetches, *self.updates], before)
        arrays = {f"state/{name}": array for name, array in state.items()}
        condensed: dict[str, Any] = {}
        laid_out_anew = set(self._laid_out_anew)
        for record in self:
            if record.node in given:
                continue
            kept = record._kept
            if isinstance(kept, Condensed):
                condensed[str(record.index)] = [list(kept.stats), kept.digest]
                arrays[f"preview/{record.index}"] = kept.preview
            elif not record.node.has_value:
                arrays[f"value/{record.index}"] = kept
                if not kept.flags.c_contiguous:
                    laid_out_anew.add(record.index)
        for node in self.prepared.program.placeholders:
            arrays[f"feed/{node.name}"] = before[node]
        altered = []
        for node, op in self.prepared.overridden.items():
            if op is None:
                arrays[f"given/{self._places[node]}"] = given[node]
            else:
                altered.append([self._places[node], settings_of(op)])
        return {
            "graph": graph,
            "fetches": [node.name for node in self.fetches],
            "updates": [[parameter.name, node.name] for parameter, node in self.updates.items()],
            # What else was fed may have sizes, too, and is not kept.
            "sizes": {name: size for name, size in self.prepared.sizes.items() if name in self.prepared.program.names},
            "altered": altered,
            "times": list(self._run.times),
            "condensed": condensed,
            "strided": sorted(laid_out_anew),
            "stopped": self.stopped,
            "error": self.error,
            "guard": self.guard,
            "sources": {file: [[n, text] for n, text in lines.items()] for file, lines in self.sources.items()},
        }, arrays


class Beside(NamedTuple):
    """Two runs that are to be seen side by side.

    Attributes
    ----------
    a, b : Trace
    names : (str, str)
        What they are called.
    recomputed : list of Node or None
        What was computed anew in the second run, if that began as the first.
    """

    a: Trace
    b: Trace
    names: tuple[str, str]
    recomputed: list[Node] | None = None


def page_of(thing: object, path: StrPath | None) -> Any:
    """Return the page of what can be replayed, and write it to a file if there is a path."""
    page = rendered(thing, "replay")
    if path is not None:
        page.save(path)
    return page


@loads("trace", VERSION)
def _from_data(data: Any, arrays: dict[str, Array]) -> Trace:
    try:
        return _decoded(data, arrays)
    except FileFormatError:
        raise
    except Exception as error:
        # What is forged may fail anywhere.
        raise FileFormatError(f"the data describe no trace: {type(error).__name__}: {error}") from error


def _decoded(data: Any, arrays: dict[str, Array]) -> Trace:
    by_kind: dict[str, dict[str, Array]] = {"state": {}, "feed": {}, "given": {}, "value": {}, "preview": {}}
    for name, array in arrays.items():
        array.flags.writeable = False
        kind, _, rest = name.partition("/")
        by_kind[kind][rest] = array
    graph = from_data(data["graph"], by_kind["state"], unknown=True)
    fetches = [_node(graph, name) for name in data["fetches"]]
    updates = dict(graph._checked_update(_node(graph, a), _node(graph, b)) for a, b in data["updates"])
    if not set(fetches).issuperset(updates.values()):
        raise FileFormatError("it has updates of which it has not computed the next values")
    prepared = prepare(graph, fetches, by_kind["feed"], data["sizes"])
    times, stopped, order = data["times"], data["stopped"], prepared.program.order
    for key, array in by_kind["given"].items():
        prepared = prepared.with_value(order[int(key)], array)
    for place, attributes in data["altered"]:
        node = order[place]
        if not isinstance(node.op, Unknown):
            prepared = prepared.with_op(node, from_settings(type(node.op), attributes))
    if not all(type(time) is float and 0 <= time < _LONGEST for time in times) or len(times) > len(order):
        raise FileFormatError("its times are not one a node")
    if type(data["error"]) is not str or not (stopped is None or (type(stopped) is int and 0 <= stopped < len(order))):
        raise FileFormatError("it does not say soundly where it was stopped")
    kept = [_kept(place, prepared, by_kind, data["condensed"]) for place in range(len(times))]
    sources = {
        file: {number: text for number, text in lines if type(number) is int and type(text) is str}
        for file, lines in data["sources"].items()
    }
    error, guard = data["error"], checked_guard(data.get("guard"))
    trace = Trace(prepared, kept, times, updates, stopped=stopped, error=error, sources=sources, guard=guard)
    trace._laid_out_anew = frozenset(data["strided"])
    if not all(type(place) is int for place in trace._laid_out_anew):
        raise FileFormatError("it does not say soundly which values lay otherwise in memory")
    return trace


def _node(graph: Graph, name: Any) -> Node:
    if type(name) is not str or name not in graph.dag:
        raise FileFormatError("it names a node that is not in its graph")
    return graph[name]


def _kept(
    place: int, prepared: Prepared, arrays: Mapping[str, Mapping[str, Array]], condensed: Mapping[str, Any]
) -> Array | Condensed:
    node, key = prepared.program.order[place], str(place)
    if node in prepared.given:
        return prepared.given[node]
    if node.has_value:
        return node.value
    value, shape = arrays["value"].get(key), prepared.shape_of(node)
    if value is not None:
        if value.shape != shape or value.dtype != node.dtype:
            raise FileFormatError(f"the value of node {place} is not of its shape and dtype")
        return value
    stats, digest = condensed[key]
    preview = arrays["preview"][key]
    minimum, maximum, mean, std = map(float, stats[:4])
    known = Stats(minimum, maximum, mean, std, *map(int, stats[4:]))
    fits = preview.dtype == node.dtype and list(preview.shape) == _strides(shape)[1]
    if type(digest) is not str or not fits or not _is_sound(known, shape):
        raise FileFormatError(f"what is left of the value of node {place} is not sound")
    return Condensed(known, preview, digest)


def _is_sound(stats: Stats, shape: tuple[int, ...]) -> bool:
    counts = stats[4:]
    counted = all(count >= 0 for count in counts) and sum(counts[:4]) <= stats.size == math.prod(shape)
    none = all(map(math.isnan, stats[:4]))
    return counted and (none or (stats.min <= stats.max and stats.std >= 0))


def prepared_for(
    target: Any, feed: Feed | None, sizes: Mapping[str, int] | None, graph: Graph | None
) -> tuple[Prepared, Mapping[Node, Node]]:
    """Return what running `target` would evaluate, on a copy of its feed, and the updates it would make.

    Parameters
    ----------
    target : fetches, Compiled or Trace
        Of a trace, what it is of: it takes no other feed.
    feed, sizes, graph
        As `graphnn.run` takes them.
    """
    prepared, updates = _prepared_for(target, feed, sizes, graph)
    if not prepared.program.order:
        raise UsageError("no node is asked for: there is nothing to look at")
    return prepared, updates


def _prepared_for(
    target: Any, feed: Feed | None, sizes: Mapping[str, int] | None, graph: Graph | None
) -> tuple[Prepared, Mapping[Node, Node]]:
    if isinstance(target, Trace):
        if feed is not None or sizes is not None:
            raise UsageError("a trace holds its feed: it takes no other")
        if graph is not None and graph is not target.graph:
            raise UsageError("graph= is for fetches by name; a trace has its graph")
        return target.prepared, target.updates
    if isinstance(target, Film):
        raise UsageError("a film holds many traces, and one is asked for, such as film[0]")
    if isinstance(target, Compiled):
        if graph is not None and graph is not target.graph:
            raise UsageError("graph= is for fetches by name; a compiled step has its graph")
        return target.prepared(feed, sizes).of_its_own(), target.updates
    graph, nodes, _ = resolve(target, graph, feed if isinstance(feed, Mapping) else ())
    return prepare(graph, nodes, feed, sizes).of_its_own(), {}


# --- recording ------------------------------------------------------------------------------------------------


def owner_of(value: Array) -> Array:
    """Return the array whose memory a view is of."""
    while isinstance(value.base, np.ndarray):
        value = value.base
    return value


def kept_of(step: Step, keep: int) -> Array | Condensed:
    """Return the value of a step, or what is left of one that was computed and has more bytes than that.

    Of a part of something larger, a copy: the view would keep all of it.
    """
    node, value = step.node, step.value
    if node.has_value or isinstance(node.op, Placeholder):
        return value
    if value.nbytes > keep:
        return Condensed.of(value)
    if owner_of(value).nbytes > keep and value.flags.c_contiguous:  # else its layout would be another
        value = value.copy()
        value.setflags(write=False)
    return value


class _Recorder:
    """Hands on the steps of an evaluation, and keeps what they gave."""

    def __init__(self, prepared: Prepared, keep: int) -> None:
        self.keep = keep
        self.keeps_all = prepared.binding.largest <= keep
        self.kept: list[Array | Condensed] = []
        self.times: list[float] = []

    def watch(self, evaluation: Generator[Step, None, None]) -> Generator[Step, None, None]:
        kept, times, keep, keeps_all, clock = self.kept, self.times, self.keep, self.keeps_all, perf_counter
        before = clock()
        for step in evaluation:
            times.append(clock() - before)
            value = step.value
            value.setflags(False)  # type: ignore[call-arg] # a keyword costs as much as the call
            kept.append(value if keeps_all else kept_of(step, keep))
            try:
                yield step
            except GraphnnError as refused:
                evaluation.throw(refused)
            del step, value  # or what they hold would live for one more node
            before = clock()


def trace(
    target: Any,
    feed: Feed | None = None,
    *,
    sizes: Mapping[str, int] | None = None,
    graph: Graph | None = None,
    keep: int = KEEP,
) -> Trace:
    """Evaluate, and record every node: value, statistics, time, memory, origin.

    Parameters
    ----------
    target : Node, str, or list, tuple or dict of them, Compiled, or Trace
        Fetches; or a compiled step, whose updates are evaluated and not made; or what a trace is of.
    feed, sizes, graph
        As `graphnn.run` takes them.
    keep : int
        Bytes: of a larger value only statistics, a preview and a hash are kept. What is fed, and the parameters,
        are kept at any size.

    Returns
    -------
    Trace

    Raises
    ------
    GraphnnError
        As `graphnn.run` does. What ran before an operation failed can still be had: ``error.debug()``.

    Examples
    --------
    >>> g = Graph()
    >>> x = g.placeholder("x", shape=("n",))
    >>> seen = trace(x * 2.0, {x: [1.0, 2.0, 6.0]})
    >>> seen
    <Trace of "graph": 3 of 3 nodes>
    >>> seen["multiply"].value, seen["multiply"].stats.mean
    (array([ 2.,  4., 12.]), 6.0)
    """
    prepared, updates = prepared_for(target, feed, sizes, graph)
    return record(prepared, updates, keep=checked_keep(keep), guard=guard_of(target))


def record(
    prepared: Prepared,
    updates: Mapping[Node, Node],
    *,
    until: int | None = None,
    error: str = "",
    keep: int = KEEP,
    guard: str | None = None,
) -> Trace:
    """Return the trace of an evaluation, up to and without the place `until`."""
    recorder = _Recorder(prepared, keep)
    with np.errstate(all="ignore"):
        try:
            for _ in recorder.watch(evaluate(prepared, None if until is None else range(until))):
                pass
        except GraphnnError as failed:
            tell_of_step(failed, updates, guard)
            raise
    return Trace(prepared, recorder.kept, recorder.times, updates, stopped=until, error=error, guard=guard)


def guard_of(target: Any) -> str | None:
    """Return the guard of a step, or of the step that a trace is of."""
    return target.guard if isinstance(target, (Compiled, Trace)) else None


def stopped_trace(error: GraphnnError) -> Trace | None:
    """Return the trace of what led to an error, or None where it comes from no run."""
    stop = error.stopped
    if not isinstance(stop, Stop):
        return None
    # What a guard refused is a value like any other: it can be looked at.
    until = stop.place + (stop.guard is not None)
    trace = record(stop.prepared, stop.updates, until=until, error=error.account, guard=stop.guarded_by)
    trace.stopped = stop.place
    return trace


def checked_keep(keep: Any) -> int:
    """Return a number of bytes up to which a value is kept.

    Raises
    ------
    ValueRangeError
    """
    if isinstance(keep, bool) or not isinstance(keep, (int, np.integer)) or keep < 0:
        raise ValueRangeError(f"keep= is a number of bytes from 0 up, not {keep!r}")
    return int(keep)


class Film(Sequence[Trace], Shown):
    """The traces of every so many calls of a compiled step. Made by `recording`.

    ``film[0]`` is a trace, and raises AxisError where there is none; ``film[2:5]`` is a film.

    Attributes
    ----------
    calls : list of int
        Of each trace, which call it is of, from 0.
    """

    def __init__(self, step: Compiled, every: int, keep: int) -> None:
        self.calls: list[int] = []
        self._traces: list[Trace] = []
        self._lock = Lock()
        self._step = step
        self._every = every
        self._keep = keep
        self._seen = 0

    def _asked(self) -> Observer | None:
        """Return what is to see the evaluation of the call that begins; None if it is not to be recorded."""
        with self._lock:
            call, self._seen = self._seen, self._seen + 1
        return None if call % self._every else partial(self._recorded, call)

    def _recorded(
        self, call: int, prepared: Prepared, evaluation: Generator[Step, None, None]
    ) -> Generator[Step, None, None]:
        recorder = _Recorder(prepared, self._keep)

        def add(stopped: int | None = None, error: str = "") -> None:
            step = self._step
            how = {"stopped": stopped, "error": error, "guard": step.guard}
            trace = Trace(prepared, recorder.kept, recorder.times, step.updates, **how)  # type: ignore[arg-type]
            with self._lock:  # other threads may have called later, and be done before
                place = bisect(self.calls, call)
                self.calls.insert(place, call)
                self._traces.insert(place, trace)

        try:
            yield from recorder.watch(evaluation)
        except GraphnnError as error:
            if isinstance(error.stopped, Stop):
                add(error.stopped.place, error.account)
            raise
        add()

    def __len__(self) -> int:
        return len(self._traces)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, (Node, str)):
            raise UsageError("a film holds many traces: film[0][…] is of one of them")
        if isinstance(index, slice):
            parts = index.start, index.stop, index.step
            if not all(part is None or isinstance(part, (int, np.integer)) for part in parts):
                raise UsageError("a slice of a film is of whole numbers, film[2:5]")
            if index.step == 0:
                raise ValueRangeError("a slice of a film has a step other than 0")
            film = Film(self._step, self._every, self._keep)
            film.calls, film._traces, film._seen = self.calls[index], self._traces[index], self._seen
            return film
        if isinstance(index, bool) or not isinstance(index, (int, np.integer)):
            raise UsageError(f"a film is indexed by number or slice, not {type(index).__name__}")
        if not -len(self) <= index < len(self):
            raise AxisError(f"there is no trace {index}: the film has {counted(len(self), 'trace')}")
        return self._traces[index]

    def to_html(self, path: StrPath | None = None) -> Any:
        """Return it as a page that replays each step in a browser: one file, no server, no network.

        Parameters
        ----------
        path : str or path-like, optional
            Where to write the page.

        Returns
        -------
        Page
            A notebook shows it in a frame; ``.save(path)`` writes it.

        Raises
        ------
        UsageError
            When nothing was recorded.
        OSError
            When the folder or the disk refuses.
        """
        if not self:
            raise UsageError("the film holds no trace: call the step while gn.recording(step) lasts")
        return page_of(self, path)

    def __repr__(self) -> str:
        return f"<Film of {self._step!r}: {counted(len(self), 'trace')} of {counted(self._seen, 'call')}>"


@contextmanager
def recording(step: Compiled, every: int = 1, *, keep: int = KEEP) -> Iterator[Film]:
    """Record every so many calls of a compiled step, while the ``with`` lasts.

    A call that is recorded goes node by node; those between take the plan, as ever, and cost no more. The numbers are
    the same to the bit either way. Of a call that an operation or a guard stops, it is what had run.

    Parameters
    ----------
    step : Compiled
    every : int
        1: each call; 100: the first, the 101st, …
    keep : int
        As `trace` takes it.

    Yields
    ------
    Film
        A sequence of traces, that grows.

    Raises
    ------
    UsageError
        When `step` is no compiled step.
    ValueRangeError
        When `every` or `keep` is no number that will do.

    Examples
    --------
    >>> from graphnn import compile
    >>> g = Graph()
    >>> w = g.parameter("w", 8.0)
    >>> halve = compile(w, updates={w: w * 0.5})
    >>> with recording(halve, every=2) as film:
    ...     for _ in range(5):
    ...         _ = halve()
    >>> [float(seen["w"].value) for seen in film], film.calls
    ([8.0, 2.0, 0.5], [0, 2, 4])
    """
    if not isinstance(step, Compiled):
        raise UsageError(f"recording takes a compiled step (gn.compile(…)), not {type(step).__name__}")
    if isinstance(every, bool) or not isinstance(every, (int, np.integer)) or every < 1:
        raise ValueRangeError(f"every= is a number of calls from 1 up, not {every!r}")
    film = Film(step, int(every), checked_keep(keep))
    step.observers.append(film._asked)
    try:
        yield film
    finally:
        step.observers.remove(film._asked)
        if film:
            # Now, since a file may be edited before anyone looks.
            sources = sources_of(film[0].order)
            for seen in film:
                seen._run.sources = sources
