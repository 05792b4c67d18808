"""Where two runs part: `compare`."""

from __future__ import annotations

import math
import textwrap
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, permutations, zip_longest
from typing import Any, NamedTuple

import numpy as np

from ..errors import DtypeError, LookupFailure, UsageError, ValueRangeError
from ..execute.compiled import Compiled
from ..execute.interpreter import Feed, Prepared, Program, Step, evaluate, prepare
from ..graph import Array, Constant, Graph, Node, Op, Parameter, Placeholder, as_array, flatten, told_where
from ..graph.dimensions import shown
from ..show import Shown
from ..text import visible
from .select import one
from .trace import Trace, digest_of, prepared_for, preview_of

TOLERANCES = {2: (1e-3, 1e-5), 4: (1.3e-6, 1e-5), 8: (1e-7, 1e-7)}
"""Relative and absolute, by the bytes of the narrower float: those of ``torch.testing.assert_close``."""

_BLOCK = 1 << 14  # elements looked at together: what is needed besides the two values stays small
_MOST_AXES = 4  # up to which every order of the axes is tried
_MOST_OFFERS = 16  # candidates that are weighed for a counterpart
_MOST_NAMES = 8
_WIDTH = 80


class Counts(NamedTuple):
    """How many nodes.

    Attributes
    ----------
    equal : int
        With values that are equal to the bit; NaN equals NaN.
    within : int
        With values that differ, and no more than the tolerance.
    differing : int
    only_a, only_b : int
        Without a counterpart.
    """

    equal: int
    within: int
    differing: int
    only_a: int
    only_b: int


class Digits(NamedTuple):
    """How exact a node's value is, in decimal digits.

    Attributes
    ----------
    left : float
        −log10 of the largest error over the largest number of the more exact value; no more than the dtype has (7.2
        of float32, 16 of float64).
    lost : float
        How many fewer than the worst of its operands has: those that go at this node.
    """

    left: float
    lost: float


@dataclass(frozen=True, eq=False)
class Difference:
    """A node at which two runs differ.

    Attributes
    ----------
    node : Node
        Of the first run.
    other : Node or None
        Its counterpart; None where the values were given as arrays.
    index : int
        The place of `node` in its schedule.
    element : tuple of int or None
        Of the element that is farthest outside of the tolerance.
    a, b : number or None
        The two values of that element.
    absolute, relative : float or None
        The largest difference of two elements, and the largest one relative to the larger of the two.
    ulps : float or None
        How many steps of the dtype `a` and `b` are apart.
    outside, size : int
        How many elements differ by more than the tolerance, of how many.
    misfit : str
        What else does not fit: shapes, dtypes.
    edits : tuple of str
        How the two nodes differ themselves: operation, attributes, operands, a constant's value.
    operands_equal : bool or None
        Whether all operands are equal to the bit, and counterparts of each other; None where that is not known.
    cause : str
        Why they differ here, in a sentence.
    values : pair of array, or None
        Of the first difference only, as the next: both values; of what a trace did not keep whole, the preview.
    operands : pair of tuple of array, or None
        What they were computed from.
    """

    node: Node
    other: Node | None
    index: int
    element: tuple[int, ...] | None
    a: Any
    b: Any
    absolute: float | None
    relative: float | None
    ulps: float | None
    outside: int
    size: int
    misfit: str
    edits: tuple[str, ...]
    operands_equal: bool | None
    cause: str
    values: tuple[Any, Any] | None = None
    operands: tuple[tuple[Any, ...], tuple[Any, ...]] | None = None

    @property
    def name(self) -> str:
        """The name of the node, in the first run."""
        return self.node.name

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, without the arrays."""
        return {
            "node": self.name,
            "other": None if self.other is None else self.other.name,
            "op": self.node.op.name,
            "index": self.index,
            "element": self.element,
            "a": None if self.a is None else self.a.item(),
            "b": None if self.b is None else self.b.item(),
            "absolute": self.absolute,
            "relative": self.relative,
            "ulps": self.ulps,
            "outside": self.outside,
            "size": self.size,
            "misfit": self.misfit,
            "edits": list(self.edits),
            "operands_equal": self.operands_equal,
            "cause": self.cause,
            "origin": str(self.node.origin),
        }

    def __repr__(self) -> str:
        return f'<Difference at "{self.name}": {self.cause}>'


class Comparison(Shown):
    """What `compare` found; true if the runs are equal within the tolerance.

    Attributes
    ----------
    a, b : str
        What was compared.
    counts : Counts
    differences : list of Difference
        In the order of the first schedule.
    digits : dict of str to Digits
        By the name of the first run's node, where it is a float of one dtype beside one of another: how exact the
        narrower is; and of what is computed from such.
    pairs : list of (Node, Node or None)
        The nodes whose values were compared.
    only_a, only_b : list of Node
        Those without a counterpart, or that a run was stopped before.
    """

    def __init__(
        self,
        a: str,
        b: str,
        counts: Counts,
        differences: list[Difference],
        digits: dict[str, Digits],
        pairs: list[tuple[Node, Node | None]],
        only_a: list[Node],
        only_b: list[Node],
    ) -> None:
        self.a = a
        self.b = b
        self.counts = counts
        self.differences = differences
        self.digits = digits
        self.pairs = pairs
        self.only_a = only_a
        self.only_b = only_b

    @property
    def equal(self) -> bool:
        """Whether no value differs by more than the tolerance."""
        return not self.differences

    def __bool__(self) -> bool:
        return self.equal

    @property
    def first(self) -> Difference | None:
        """The first difference, by the order of the schedule."""
        return self.differences[0] if self.differences else None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "a": self.a,
            "b": self.b,
            "equal": self.equal,
            "counts": self.counts._asdict(),
            "first": None if self.first is None else self.first.to_dict(),
            "differences": [difference.to_dict() for difference in self.differences],
            "digits": {name: digits._asdict() for name, digits in self.digits.items()},
            "only_a": [node.name for node in self.only_a],
            "only_b": [node.name for node in self.only_b],
        }

    def __repr__(self) -> str:
        verdict = "equal" if self.first is None else f'they part at "{self.first.name}"'
        return f"<Comparison of {self.a} and {self.b}: {verdict}>"

    def __str__(self) -> str:
        lines = [_elided(visible(line), 4 * _WIDTH) if line else "" for line in _text(self)]
        return "\n".join(
            part for line in lines for part in textwrap.wrap(line, _WIDTH, subsequent_indent="    ") or [""]
        )


@told_where
def compare(
    a: Any,
    b: Any = None,
    feed: Feed | None = None,
    feed_b: Feed | None = None,
    *,
    dtypes: tuple[Any, Any] | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    sizes: Mapping[str, int] | None = None,
    graph: Graph | None = None,
) -> Comparison:
    """Compare two runs node by node, in lock step, and find the first node at which they part.

    No more is held in memory than the values that each run still needs, and those of the first difference.

    A node's counterpart is the one that computes the same of the same; else the one that stands in the same place as
    seen from the fetches; so what was edited, added, removed or renamed does not hide what is alike behind it.

    Parameters
    ----------
    a : Node, str, or list, tuple or dict of them, Compiled, or Trace
        Fetches, or a compiled step, which are run (no update is made); or a recorded run, which is read.
    b : the same, or dict of str to array, optional
        What it is compared with: of the same graph or another. Or anyone's arrays by the names of nodes; only those
        are compared then. Unless given, `a` once more: with another feed, at another dtype, or a trace run again.
    feed : mapping of Node or str to array_like, optional
        For what is run, of two graphs by name; beside a trace, that of the trace unless given.
    feed_b : mapping of Node or str to array_like, optional
        Another one for `b`.
    dtypes : pair of dtype, optional
        Run each in a copy of the graph whose floats are all of this dtype; None leaves one as it is.
    rtol, atol : float, optional
        Values agree where ``abs(a - b) <= atol + rtol * abs(b)``. If only one is given, the other is 0. Unless given,
        values of the same dtype must be equal to the bit (zeros in sign, too; NaN equals NaN), and floats of two
        dtypes, or arrays from elsewhere, agree to 1.3e-6 and 1e-5 (float32), 1e-7 and 1e-7 (float64), 1e-3 and 1e-5
        (float16): as ``torch.testing.assert_close`` has it, by the narrower dtype.
    sizes, graph
        As `graphnn.run` takes them.

    Returns
    -------
    Comparison

    Raises
    ------
    GraphnnError
        As `graphnn.run` does.

    Examples
    --------
    >>> g = Graph()
    >>> x = g.placeholder("x", shape=("n",))
    >>> found = compare(abs(x) * 2.0, -x * 2.0, {x: [-1.0, 3.0]})
    >>> found.first
    <Difference at "absolute": op changed: absolute → negative>
    >>> found.first.element, float(found.first.a), float(found.first.b)
    ((1,), 3.0, -3.0)

    Which digits a float32 loses, and where:

    >>> found = compare(x * x - x, feed={x: [1.0001]}, dtypes=("float32", "float64"))
    >>> [(name, round(digits.lost)) for name, digits in found.digits.items()]
    [('x', 0), ('multiply_3', 0), ('subtract', 3)]
    """
    tolerance = _checked_tolerance(rtol, atol)
    dtype_a, dtype_b = _checked_dtypes(dtypes)
    if _are_arrays(a):
        raise UsageError("arrays are compared with a run, and the run comes first: compare(trace, {name: array})")
    arrays = _are_arrays(b)
    if arrays and (feed_b is not None or dtype_b is not None):
        raise UsageError("arrays are compared as they are: they take no feed and no dtype")
    again = b is None
    if again:
        b = a
    reads_a = isinstance(a, Trace) and dtype_a is None
    reads_b = arrays or (isinstance(b, Trace) and dtype_b is None and feed_b is None and not again)
    if feed is not None and reads_a and reads_b:
        raise UsageError("a trace holds its feed: it takes no other")
    graph_a = _graph_of(a) or graph or (None if arrays else _graph_of(b))
    graph_b = graph_a if arrays else _graph_of(b) or graph or graph_a
    feed_a = _fed(b) if feed is None and isinstance(b, Trace) and b is not a else feed
    if feed_b is None:
        shared = _fed(a) if feed is None and isinstance(a, Trace) and b is not a else feed
        feed_a, feed_b = _for_graph(feed_a, graph_a, graph_b), _for_graph(shared, graph_b, graph_a)
    first = _read(a) if reads_a else _run(a, feed_a, sizes, graph_a, dtype_a)
    if arrays:
        return _Lockstep(first, _given(b, first), tolerance, foreign=True).compared()
    second = _read(b) if reads_b else _run(b, feed_b, sizes, graph_b, dtype_b)
    return _Lockstep(first, second, tolerance).compared()


# --- what is compared -----------------------------------------------------------------------------------------


class _Side(NamedTuple):
    """One of the two runs: its schedule, and its steps."""

    label: str
    program: Program
    steps: Iterator[Step]
    """A value may be a record, where a trace did not keep it whole, or None where no array is given."""
    prepared: Prepared | None = None
    """What is evaluated, if the values are not anyone's."""

    def op(self, place: int) -> Op:
        """Return the operation that was used, which a what-if may have altered."""
        node = self.order[place]
        return node.op if self.prepared is None else self.prepared.altered.get(node, node.op)

    def is_set(self, place: int) -> bool:
        """Tell whether a what-if gave the node its value."""
        node = self.order[place]
        return self.prepared is not None and bool(node.inputs) and node in self.prepared.given

    @property
    def order(self) -> list[Node]:
        return self.program.order

    @property
    def operands(self) -> list[tuple[int, ...]]:
        return self.program.operands


def _run(
    target: Any,
    feed: Feed | None,
    sizes: Mapping[str, int] | None,
    graph: Graph | None,
    dtype: np.dtype[Any] | None,
) -> _Side:
    if isinstance(target, Trace) and feed is None:
        prepared = target.prepared
    elif isinstance(target, Trace):
        # In the state of the trace, which the graph may have left since.
        kept = {node: value for node, value in target.prepared.given.items() if not isinstance(node.op, Placeholder)}
        prepared = prepare(target.graph, target.fetches, feed, sizes).of_its_own()
        prepared = prepared._replace(given=prepared.given | kept)
    else:
        prepared, _ = prepared_for(target, feed, sizes, None if isinstance(target, Compiled) else graph)
    program = prepared.program
    if dtype is None:
        return _Side(f'"{program.graph.name}"', program, evaluate(prepared), prepared)
    return _Side(f'"{program.graph.name}" in {dtype}', program, evaluate(_retyped(prepared, dtype)))


def _read(trace: Trace) -> _Side:
    values: list[Any] = [record.value if record.kept else record for record in trace]
    program = trace.prepared.program
    return _Side(f'a trace of "{trace.graph.name}"', program, _steps(program, values), trace.prepared)


def _steps(program: Program, values: Sequence[Any]) -> Iterator[Step]:
    for place, value in enumerate(values):
        yield Step(place, program.order[place], tuple([values[i] for i in program.operands[place]]), value)


def _given(arrays: Mapping[Any, Any], beside: _Side) -> _Side:
    """Return anyone's arrays as a run of what they are named after."""
    program, known = beside.program, dict[Node, Array]()
    for key, value in arrays.items():
        node = one(program.order, program.graph, key)
        if node in known:
            raise LookupFailure(f'"{node.name}" is given twice')
        known[node] = as_array(value, f'the array for "{node.name}"')
    if not known:
        raise UsageError("no arrays are given: they are named after nodes, {name: array}")
    return _Side("the arrays given", program, _steps(program, [known.get(node) for node in program.order]))


def _retyped(prepared: Prepared, dtype: np.dtype[Any]) -> Prepared:
    """Return the same in a copy of the graph whose floats are of another dtype, operations' attributes included."""
    source = prepared.program
    graph = Graph(source.graph.name, dtype)
    graph.memory_budget = source.graph.memory_budget
    copies: dict[Node, Node] = {}
    for node, forward in zip(source.order, prepared.binding.forwards, strict=True):
        kind = dtype if node.dtype.kind == "f" else node.dtype
        with graph.entered(None, origin=node.origin, inherit_origin=True), np.errstate(all="ignore"):
            if isinstance(node.op, Placeholder):
                copies[node] = graph.placeholder(node.name, node.shape, kind)
            elif forward is not None:
                op = node.op
                if "dtype" in op.settings and np.dtype(op.attributes["dtype"]).kind == "f":
                    op = replace(op, dtype=dtype.name)  # type: ignore[type-var]
                copies[node] = graph.add(op, [copies[operand] for operand in node.inputs], node.name)
            else:
                value = prepared.given[node] if node in prepared.given else node.value  # noqa: SIM401 - has no value
                copies[node] = graph.constant(value.astype(kind), node.name)
    fetches = [copies[source.order[place]] for place in source.fetches]
    feed = {node.name: prepared.given[node] for node in source.placeholders}
    sizes = {name: prepared.sizes[name] for name in source.names if name in prepared.sizes}
    return prepare(graph, fetches, feed, sizes)


def _are_arrays(target: Any) -> bool:
    return isinstance(target, Mapping) and not any(isinstance(leaf, (Node, str)) for leaf in flatten(dict(target))[0])


def _graph_of(target: Any) -> Graph | None:
    if isinstance(target, (Trace, Compiled)):
        return target.graph
    return next((leaf.graph for leaf in flatten(target)[0] if isinstance(leaf, Node)), None)


def _fed(trace: Trace) -> dict[Any, Any]:
    return {node.name: trace.prepared.given[node] for node in trace.prepared.program.placeholders}


def _for_graph(feed: Feed | None, graph: Graph | None, other: Graph | None) -> Feed | None:
    """Return a feed for one of two graphs: by name, without what only the other has."""
    if not isinstance(feed, Mapping) or graph is other or graph is None or other is None:
        return feed
    named = {key.name if isinstance(key, Node) else key: value for key, value in feed.items()}
    return {name: value for name, value in named.items() if name in graph or name not in other}


def _checked_tolerance(rtol: Any, atol: Any) -> tuple[float, float] | None:
    if rtol is None and atol is None:
        return None
    for name, value in (("rtol", rtol), ("atol", atol)):
        if value is not None and (not isinstance(value, (int, float, np.number)) or not value >= 0):
            raise ValueRangeError(f"{name}= is a number from 0 up, not {value!r}")
    return float(rtol or 0), float(atol or 0)


def _checked_dtypes(dtypes: Any) -> tuple[np.dtype[Any] | None, np.dtype[Any] | None]:
    if dtypes is None:
        return None, None
    if not isinstance(dtypes, (tuple, list)) or len(dtypes) != 2:
        raise UsageError(f'dtypes= is a pair, such as ("float32", "float64"), not {dtypes!r}')
    a, b = dtypes
    return _checked_float(a), _checked_float(b)


def _checked_float(kind: Any) -> np.dtype[Any] | None:
    if kind is None:
        return None
    try:
        dtype: np.dtype[Any] = np.dtype(kind)
    except TypeError:
        raise DtypeError(f"dtypes=: {kind!r} is no dtype") from None
    if dtype.kind != "f" or dtype.itemsize not in TOLERANCES:
        raise DtypeError(f"dtypes= are floats of 16, 32 or 64 bits, not {dtype}")
    return dtype


# --- which node is whose counterpart --------------------------------------------------------------------------


class _Alignment:
    """The counterparts of the nodes of one schedule in another.

    A single edit leaves every other node recognizable: what does not depend on it computes the same of the same, and
    what it does not depend on stands in the same place as seen from the fetches. Between two edits neither is known:
    there, operation, name and the counterparts of the operands decide. What is left in the same place was edited.
    """

    def __init__(self, a: Program, b: Program) -> None:
        self.a, self.b = a, b
        self.partner: dict[int, int] = {}
        """The place in `b` of the counterpart, by place in `a`."""
        self._taken: set[int] = set()
        self._numbers: dict[Any, int] = {}

    def found(self) -> dict[int, int]:
        """Return the places in `b`, by place in `a`."""
        a, b = self.a, self.b
        if _fetched(a) == _fetched(b):
            return {place: place for place in range(len(a.order))}
        ops_a, ops_b = self._ops(a), self._ops(b)
        same_a, same_b = self._from_operands(a, ops_a), self._from_operands(b, ops_b)
        place_a, place_b = self._from_fetches(a, ops_a), self._from_fetches(b, ops_b)
        names_a, names_b = [node.name for node in a.order], [node.name for node in b.order]
        for keys_a, keys_b in (
            ([same_a, place_a], [same_b, place_b]),
            ([same_a, names_a], [same_b, names_b]),
            ([same_a], [same_b]),
            ([place_a, ops_a], [place_b, ops_b]),
        ):
            self._pair([*zip(*keys_a, strict=True)], [*zip(*keys_b, strict=True)])
        self._between_edits(ops_a, ops_b, least=3.0)
        self._pair(place_a, place_b)
        self._between_edits(ops_a, ops_b, least=1.0)
        return self.partner

    def _number(self, key: Any) -> int:
        return self._numbers.setdefault(key, len(self._numbers))

    def _ops(self, side: Program) -> list[int]:
        return [self._number(node.op) for node in side.order]

    def _from_operands(self, side: Program, ops: list[int]) -> list[int]:
        """Return a number for each node: the same for those that compute the same of the same."""
        numbers: list[int] = []
        for node, op, sources in zip(side.order, ops, side.operands, strict=True):
            known: Any = tuple([numbers[source] for source in sources])
            if isinstance(node.op, Constant):
                known = node.dtype.str, node.shape, digest_of(node.value)
            elif isinstance(node.op, (Placeholder, Parameter)):
                known = node.name
            numbers.append(self._number(("same", op, known)))
        return numbers

    def _from_fetches(self, side: Program, ops: list[int]) -> list[int]:
        """Return a number for each node: the same for those that are read alike, all the way to the fetches."""
        readers: list[list[tuple[int, ...]]] = [[] for _ in side.order]
        for number, place in enumerate(side.fetches):
            readers[place].append((number,))
        numbers = [0] * len(side.order)
        for place in reversed(range(len(side.order))):
            numbers[place] = self._number(("place", *sorted(readers[place])))
            readers[place].clear()
            for position, source in enumerate(side.operands[place]):
                readers[source].append((ops[place], position, numbers[place]))
        return numbers

    def _pair(self, keys_a: Sequence[Any], keys_b: Sequence[Any]) -> None:
        """Pair those of the same key that have no counterpart yet, in order."""
        waiting: dict[Any, list[int]] = {}
        for place in reversed(range(len(keys_b))):
            if place not in self._taken:
                waiting.setdefault(keys_b[place], []).append(place)
        for place, key in enumerate(keys_a):
            if place not in self.partner and waiting.get(key):
                self._join(place, waiting[key].pop())

    def _join(self, i: int, j: int) -> None:
        self.partner[i] = j
        self._taken.add(j)

    def _between_edits(self, ops_a: list[int], ops_b: list[int], least: float) -> None:
        """Pair what is alike in operation, operands, readers and name, as far as `least` asks for."""
        a, b = self.a, self.b
        read_by_a, read_by_b = _read_by(a, ops_a), _read_by(b, ops_b)
        named = {node.name: place for place, node in enumerate(b.order)}
        readers: list[deque[int]] = [deque() for _ in b.order]
        for j, sources in enumerate(b.operands):
            if j not in self._taken:
                for source in dict.fromkeys(sources):
                    readers[source].append(j)

        def fits(source: int, other: int) -> bool:
            # A leaf without a counterpart, such as a constant of another value, follows its reader.
            if source in self.partner or other in self._taken:
                return self.partner.get(source) == other
            return not a.operands[source] and ops_a[source] == ops_b[other]

        def likeness(i: int, j: int) -> float:
            mine, its = a.operands[i], b.operands[j]
            operands = sum(map(fits, mine, its)) / max(len(mine), len(its))
            either = read_by_a[i] | read_by_b[j]
            read_alike = len(read_by_a[i] & read_by_b[j]) / len(either) if either else 1.0
            alike = operands + read_alike + 0.5 * (a.order[i].name == b.order[j].name)
            return alike + (2.5 if ops_a[i] == ops_b[j] else 2.0 if operands and read_alike else 0.0)

        def waiting(source: int) -> list[int]:
            places = readers[source]
            while places and places[0] in self._taken:
                places.popleft()
            return [j for j in islice(places, _MOST_OFFERS) if j not in self._taken]

        for i, sources in enumerate(a.operands):
            if i in self.partner or not sources:
                continue
            # One node that was added or removed may stand between.
            near = [s for source in sources for s in ((source,) if source in self.partner else a.operands[source])]
            known = [self.partner[source] for source in near if source in self.partner]
            offers = [j for source in known[:_MOST_OFFERS] for j in waiting(source)]
            offers += [k for j in offers for k in waiting(j) if ops_b[k] == ops_a[i]]
            namesake = named.get(a.order[i].name, -1)
            if namesake >= 0 and namesake not in self._taken and b.operands[namesake]:
                offers.append(namesake)
            best = max(offers, key=partial(likeness, i), default=-1)
            if best < 0 or likeness(i, best) < least:
                continue
            leaves = [pair for pair in zip(sources, b.operands[best], strict=False) if fits(*pair)]
            self._join(i, best)
            for source, other in leaves:
                if source not in self.partner and other not in self._taken:
                    self._join(source, other)


def _read_by(program: Program, ops: list[int]) -> list[set[int]]:
    """Return, for each node, the operations that read it."""
    found: list[set[int]] = [set() for _ in program.order]
    for op, sources in zip(ops, program.operands, strict=True):
        for source in sources:
            found[source].add(op)
    return found


def _fetched(program: Program) -> list[Node]:
    return [program.order[place] for place in program.fetches]


# --- how far apart two arrays are -----------------------------------------------------------------------------


class _Gap(NamedTuple):
    """How far apart two arrays of one shape are."""

    equal: bool = True
    outside: int = 0
    absolute: float = 0.0
    relative: float = 0.0
    place: int = 0
    """Of the element that is farthest outside of the tolerance, in C order."""


def _gap(x: Array, y: Array, rtol: float, atol: float) -> _Gap:
    """Compare block by block, lest temporary arrays be larger than the two themselves."""
    found, farthest, start = _Gap(), -1.0, 0
    for p, q in _blocks(x, y):
        gap, excess = _gap_of_block(p, q, rtol, atol)
        if not gap.equal:
            place = start + gap.place if excess > farthest else found.place
            farthest = max(farthest, excess)
            found = _Gap(
                False,
                found.outside + gap.outside,
                max(found.absolute, gap.absolute),
                max(found.relative, gap.relative),
                place,
            )
        start += len(p)
    return found


def _blocks(*arrays: Array) -> Any:
    nditer: Any = np.nditer  # whose types know no "contig"
    return nditer(
        arrays,
        flags=("external_loop", "buffered", "zerosize_ok"),
        op_flags=[("readonly", "contig")] * len(arrays),
        order="C",
        buffersize=_BLOCK,
    )


def _gap_of_block(p: Array, q: Array, rtol: float, atol: float) -> tuple[_Gap, float]:
    """Return the gap, and by how much the farthest element is outside of the tolerance; negative if none is."""
    same = p == q
    if p.dtype.kind == "f" or q.dtype.kind == "f":
        same &= np.signbit(p) == np.signbit(q)
        if same.all():
            return _Gap(), -1.0
        same |= np.isnan(p) & np.isnan(q)
    if same.all():
        return _Gap(), -1.0
    distance = np.where(same, 0.0, _distance(p, q))
    sizes = [np.abs(array.astype(np.float64)) for array in (p, q)]
    relative = np.where(np.isinf(distance), np.inf, distance / np.fmax(*sizes))
    if rtol or atol:
        limit = atol + rtol * np.where(np.isfinite(sizes[1]), sizes[1], 0.0)
        outside = distance > limit
    else:
        limit, outside = np.zeros(1), ~same
    excess = np.where(outside, distance - limit, -1.0)
    place = int(excess.argmax())
    count = int(np.count_nonzero(outside))
    return _Gap(False, count, float(distance.max()), float(np.nanmax(relative, initial=0.0)), place), float(
        excess[place]
    )


def _distance(p: Array, q: Array) -> Array:
    """Return the distances as float64: infinite where only one is a number."""
    if "f" in (p.dtype.kind, q.dtype.kind):
        apart = np.abs(p.astype(np.float64) - q.astype(np.float64))
        return np.where(np.isnan(apart), np.inf, apart)
    # Exact for any integers, signed or not, since what wraps around is undone by the next subtraction.
    wide_p, wide_q = p.astype(np.uint64), q.astype(np.uint64)
    return np.where(p > q, wide_p - wide_q, wide_q - wide_p).astype(np.float64)


def _largest(x: Array) -> float:
    """Return the largest finite size of an element."""
    found = 0.0
    for (p,) in map(np.atleast_2d, _blocks(x)):
        sizes = np.abs(p.astype(np.float64))
        found = max(found, float(sizes.max(initial=0.0, where=np.isfinite(sizes))))
    return found


def _digits_of(dtype: np.dtype[Any]) -> float:
    return -math.log10(np.finfo(dtype).eps / 2)


def _rearranged(x: Array, y: Array, rtol: float, atol: float) -> str:
    """Return how the second must be turned to agree with the first, or ""."""
    if 1 < x.ndim == y.ndim <= _MOST_AXES:
        for axes in permutations(range(y.ndim)):
            turned = y.transpose(axes)
            moved = axes != tuple(range(y.ndim))
            if moved and turned.shape == x.shape and not _gap(x, turned, rtol, atol).outside:
                return "equal when transposed" + (f" to axes {axes}" if y.ndim > 2 else "")
    if x.shape != y.shape and x.size == y.size and not _gap(x, y.reshape(x.shape), rtol, atol).outside:
        return "equal when reshaped"
    return ""


# --- in lock step ---------------------------------------------------------------------------------------------

_EQUAL, _WITHIN, _DIFFERING = range(3)


class _Lockstep:
    """Two runs that go on together."""

    def __init__(self, a: _Side, b: _Side, tolerance: tuple[float, float] | None, foreign: bool = False) -> None:
        self.a, self.b = a, b
        self.tolerance = tolerance
        self.foreign = foreign
        self.partner = _Alignment(a.program, b.program).found()
        self.states: dict[int, int] = {}
        self.digits: dict[int, Digits] = {}
        self.differences: list[Difference] = []
        self._back = {j: i for i, j in self.partner.items()}
        self._at = -1
        self._ahead: dict[int, Step] = {}
        """Steps of `b` that are compared later: none, unless the schedules are in different order."""
        fetches = (a.program.fetches, b.program.fetches)
        pairs = zip(*fetches, strict=True) if len(fetches[0]) == len(fetches[1]) else ()
        self._results = {i: j for i, j in pairs if self.partner.get(i) != j}
        """What was asked for and is made otherwise: compared in the end, though they are no counterparts."""
        self._last = {*self._results.values()}

    def compared(self) -> Comparison:
        """Go through both."""
        a, b = self.a, self.b
        seen: set[int] = set()
        pairs: list[tuple[Node, Node | None]] = []
        results: dict[int, Step] = {}
        with np.errstate(all="ignore"):
            for step in a.steps:
                place = step.index
                if place in self._results:
                    results[place] = step
                j = self.partner.get(place)
                other = None if j is None else self._until(j, place)
                if other is not None and other.value is not None:
                    self.states[place] = self._look(step, other)
                    seen.add(other.index)
                    pairs.append((a.order[place], None if self.foreign else b.order[other.index]))
                del step, other  # or what they hold would live for one more node
            for place, step in results.items():
                result = self._until(self._results[place], len(a.order))
                if result is not None:
                    self._look(step, result)
        only_a = [] if self.foreign else [node for i, node in enumerate(a.order) if i not in self.states]
        only_b = [] if self.foreign else [node for j, node in enumerate(b.order) if j not in seen]
        states = [*self.states.values()]
        equal, within, differing = map(states.count, (_EQUAL, _WITHIN, _DIFFERING))
        counts = Counts(equal, within, differing, len(only_a), len(only_b))
        digits = {a.order[place].name: digits for place, digits in self.digits.items()}
        return Comparison(a.label, b.label, counts, self.differences, digits, pairs, only_a, only_b)

    def _until(self, j: int, place: int) -> Step | None:
        """Let `b` go on until the step `j`, and return it; None where its run was stopped before."""
        while self._at < j:
            step = next(self.b.steps, None)
            if step is None:
                return None
            self._at = step.index
            if self._back.get(self._at, -1) >= place or self._at in self._last:
                self._ahead[self._at] = step
            del step
        return self._ahead.get(j) if j in self._last else self._ahead.pop(j, None)

    def _look(self, step: Step, other: Step) -> int:
        """Compare two values, note what there is to tell, and return how they agree."""
        x: Any = step.value
        y: Any = other.value
        whole = isinstance(x, np.ndarray) and isinstance(y, np.ndarray)
        p, q = (x, y) if whole else (_preview(x), _preview(y))
        rtol, atol = self.tolerance or self._usual_tolerance(x.dtype, y.dtype)
        exact, alike = not (rtol or atol), x.shape == y.shape
        gap = _gap(p, q, rtol, atol) if alike else _Gap(equal=False, outside=x.size)
        misfits = []
        if not alike:
            misfits.append(f"shape {shown(x.shape)} against {shown(y.shape)}")
        if _kind(x.dtype) != _kind(y.dtype):
            misfits.append(f"dtype {x.dtype} against {y.dtype}")
        if not whole and not gap.outside and _digest(x) != _digest(y):
            gap = gap._replace(equal=False)
            if exact:
                misfits.append("their hashes differ")
        self._count_digits(step.index, other.index, p, q, gap if alike else None)
        if not gap.outside and not misfits:
            return _EQUAL if gap.equal else _WITHIN
        if p.ndim and whole and (self.foreign or not alike):
            turned = _rearranged(p, q, *(self.tolerance or _closeness(p.dtype, q.dtype)))
            misfits += [turned] if turned else []
        self._note(step, other, p, q, gap if alike else None, whole, misfits)
        return _DIFFERING

    def _usual_tolerance(self, a: np.dtype[Any], b: np.dtype[Any]) -> tuple[float, float]:
        return _closeness(a, b) if self.foreign or a != b else (0.0, 0.0)

    def _count_digits(self, i: int, j: int, p: Array, q: Array, gap: _Gap | None) -> None:
        if p.dtype.kind != "f" or q.dtype.kind != "f":
            return
        if p.dtype == q.dtype and not any(source in self.digits for source in self.a.operands[i]):
            return
        most = min(map(_digits_of, (p.dtype, q.dtype)))
        left = most
        if gap is None:
            left = 0.0
        elif gap.absolute:
            largest = _largest(p if p.dtype.itemsize > q.dtype.itemsize else q)
            error = gap.absolute / largest if largest else math.inf
            left = min(max(-math.log10(error), 0.0), most)
        given = [most]
        for source in self.a.operands[i]:
            if source in self.digits:
                given.append(self.digits[source].left)
            elif self.states.get(source) == _DIFFERING:
                given.append(0.0)  # a label, a condition: right or wrong
        self.digits[i] = Digits(left, max(0.0, min(given) - left))

    def _note(
        self, step: Step, other: Step, p: Array, q: Array, gap: _Gap | None, whole: bool, misfits: list[str]
    ) -> None:
        i, j = step.index, other.index
        node, counterpart = self.a.order[i], None if self.foreign else self.b.order[j]
        element, pair, ulps = None, (None, None), None
        if gap is not None and gap.outside:
            index = tuple(map(int, np.unravel_index(gap.place, p.shape)))
            pair = p[index], q[index]
            ulps = _ulps(*pair)
            if whole:
                element = index
            else:
                misfits.append("seen in a preview; the whole value was not kept")
        first = not self.differences
        edits = [] if counterpart is None else self._edits(i, j)
        operands_equal = self._operands_equal(i, j)
        self.differences.append(
            Difference(
                node=node,
                other=counterpart,
                index=i,
                element=element,
                a=pair[0],
                b=pair[1],
                absolute=None if gap is None else gap.absolute,
                relative=None if gap is None else gap.relative,
                ulps=ulps,
                outside=p.size if gap is None else gap.outside,
                size=p.size,
                misfit="; ".join(misfits),
                edits=tuple(edits),
                operands_equal=operands_equal,
                cause="; ".join(edits or misfits) or self._cause(i, operands_equal, p.dtype, q.dtype),
                values=(p, q) if first else None,
                operands=(tuple(map(_part_of, step.operands)), tuple(map(_part_of, other.operands))) if first else None,
            )
        )

    def _operands_equal(self, i: int, j: int) -> bool | None:
        mine, its = self.a.operands[i], self.b.operands[j]
        if [self.partner.get(source) for source in mine] != [*its]:
            return False
        states = [self.states.get(source) for source in mine]
        if _DIFFERING not in states and None in states:
            return None
        return all(state == _EQUAL for state in states)

    def _cause(self, i: int, operands_equal: bool | None, a: np.dtype[Any], b: np.dtype[Any]) -> str:
        node = self.a.order[i]
        if not self.a.operands[i]:
            what = {"placeholder": "the feed", "parameter": "the parameter's value"}.get(node.op.name, "its value")
            return f"{what} differs"
        if operands_equal:
            why = f"it is computed in {a} and in {b}" if a != b else "what computes it differs: code, library, machine"
            return f"its operands are equal; {why}"
        if operands_equal is None:
            return "not all of its operands are given: name those, too"
        if any(self.states.get(source) == _DIFFERING for source in self.a.operands[i]):
            return "its operands differ"
        return "its operands agree only within the tolerance, and here the difference is larger"

    def _edits(self, i: int, j: int) -> list[str]:
        """Return how two nodes differ themselves."""
        a, b = self.a.order[i], self.b.order[j]
        op, other_op = self.a.op(i), self.b.op(j)
        edits = [
            f"its value was set by hand in {side}"
            for side, is_set in (("a", self.a.is_set(i)), ("b", self.b.is_set(j)))
            if is_set
        ]
        if a is b and op == other_op:
            return edits
        if isinstance(op, Constant) and isinstance(other_op, Constant):
            return ["the constant's value changed"]
        if op.name != other_op.name:
            edits.append(f"op changed: {op.name} → {other_op.name}")
        elif op != other_op:
            given, other = op.attributes, other_op.attributes
            changed = [name for name in {**given, **other} if repr(given.get(name)) != repr(other.get(name))]
            edits += [f"{name} changed: {given.get(name)!r} → {other.get(name)!r}" for name in changed]
        for position, (mine, its) in enumerate(zip_longest(self.a.operands[i], self.b.operands[j])):
            if mine is None or its is None or self.partner.get(mine) != its:
                before = "nothing" if mine is None else self._named(self.a, mine, mine in self.partner, "removed")
                after = "nothing" if its is None else self._named(self.b, its, its in self._back, "added")
                edits.append(f"operand {position} changed: {before} → {after}")
        return edits

    def _named(self, side: _Side, place: int, has_counterpart: bool, otherwise: str) -> str:
        node = side.order[place]
        return f'"{node.name}"' + ("" if has_counterpart else f" ({node.op.name}, {otherwise})")


def _part_of(value: Any) -> Any:
    return value if isinstance(value, np.ndarray) or value is None else value.preview


def _preview(value: Any) -> Array:
    return preview_of(value) if isinstance(value, np.ndarray) else np.asarray(value.preview)


def _digest(value: Any) -> str:
    return digest_of(value) if isinstance(value, np.ndarray) else str(value.digest)


def _kind(dtype: np.dtype[Any]) -> str:
    return "i" if dtype.kind == "u" else dtype.kind


def _closeness(a: np.dtype[Any], b: np.dtype[Any]) -> tuple[float, float]:
    floats = [dtype.itemsize for dtype in (a, b) if dtype.kind == "f"]
    return TOLERANCES[min(floats)] if floats else (0.0, 0.0)


def _ulps(a: Any, b: Any) -> float | None:
    if a.dtype != b.dtype or a.dtype.kind != "f" or not (np.isfinite(a) and np.isfinite(b)):
        return None
    return float(abs(np.float64(a) - np.float64(b)) / np.float64(np.spacing(max(abs(a), abs(b)))))


# --- as text --------------------------------------------------------------------------------------------------


def _text(found: Comparison) -> Iterator[str]:
    first, counts = found.first, found.counts
    verdict = "they are equal" if first is None else f"they part at {_quoted(first.node)}"
    yield f"{found.a} and {found.b}: {verdict}"
    compared = counts.equal + counts.within + counts.differing
    yield (
        f"{compared:,} nodes compared: {counts.equal:,} equal, {counts.within:,} within the tolerance, "
        f"{counts.differing:,} differing; {counts.only_a:,} only in a, {counts.only_b:,} only in b"
    )
    if first is not None:
        yield ""
        yield from _first(first)
    for title, names in (
        ("differing after it", [_quoted(difference.node) for difference in found.differences[1:]]),
        ("only in a", [*map(_quoted, found.only_a)]),
        ("only in b", [*map(_quoted, found.only_b)]),
    ):
        if names:
            more = f", and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
            yield f"{title}: {', '.join(names[:_MOST_NAMES])}{more}"
    if found.digits:
        worst = sorted(found.digits.items(), key=lambda item: -item[1].lost)[:_MOST_NAMES]
        yield ""
        yield "digits lost  left  at"
        for name, digits in worst:
            yield f"{digits.lost:11.1f} {digits.left:5.1f}  {_elided(name)}"


def _first(first: Difference) -> Iterator[str]:
    node, other = first.node, first.other
    renamed = f", {_quoted(other)} in b" if other is not None and other.name != node.name else ""
    yield f"{_quoted(node)} ({node.op.name}, step {first.index}){renamed}, made at {node.origin}"
    yield f"  {first.cause}"
    if first.misfit and first.misfit != first.cause:
        yield f"  {first.misfit}"
    if first.a is not None:
        at = f"at {first.element}: " if first.element else ""
        yield f"  {at}{first.a} against {first.b}; {first.outside:,} of {first.size:,} elements differ"
        steps = "" if first.ulps is None else f", {first.ulps:.3g} ulps there"
        yield f"  largest difference {first.absolute:.3g}, relative {first.relative:.3g}{steps}"
    for position, operand in enumerate(node.inputs):
        given = [operands[position : position + 1] for operands in first.operands or ()]
        values = [_shown(values[0], first.element) if values else "nothing" for values in given]
        yield f"  operand {position}, {_quoted(operand)}: {' against '.join(dict.fromkeys(values))}"


def _shown(value: Any, element: tuple[int, ...] | None) -> str:
    """Return an operand in short: what stands where the results differ, if it has such a place."""
    if value is None:
        return "not given"
    if value.size == 1:
        return str(value.item())
    if element and len(element) == value.ndim and all(i < n for i, n in zip(element, value.shape, strict=True)):
        return f"{value[element]} there"
    finite = value[np.isfinite(value)].astype(np.float64)
    spread = f"{finite.min():.4g} to {finite.max():.4g}" if finite.size else "no finite number"
    return f"{shown(value.shape)} {value.dtype}, {spread}"


def _quoted(node: Node) -> str:
    return f'"{_elided(node.name)}"'


def _elided(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most // 3]}…{text[len(text) - most + most // 3 + 1 :]}"
