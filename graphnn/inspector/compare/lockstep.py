"""Where two runs part: `compare`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import UsageError
from ...graph import Array, Constant, Graph, Node
from ...graph.dimensions import shown
from ...ops.reduce import Mean
from ...text import number
from ..trace import Trace, digest_of, preview_of
from ..why import read_of
from .align import Alignment
from .arguments import checked_backends, checked_dtypes, checked_names, checked_tolerance
from .differences import NOTHING, Comparison, Counts, Difference, Digits, beside, in_short, part_of, quoted
from .gap import (
    Gap,
    closeness,
    digits_of,
    gap_of,
    largest_of,
    made_by_a_number,
    rearranged,
    ulps_of,
)
from .sides import Side, are_arrays, arrays_of, fed_to, feed_for, graph_of, read_trace, results_of, run_of, told_apart

if TYPE_CHECKING:
    from ...execute.feed import Feed
    from ...execute.loop import Step

_MOST_READ = 4096  # elements of an operand that are told as those that made one element


def compare(
    a: Any,
    b: Any = None,
    feed: Feed | None = None,
    feed_b: Feed | None = None,
    *,
    dtypes: tuple[Any, Any] | None = None,
    backends: tuple[str, str] | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    names: tuple[str, str] | None = None,
    sizes: Mapping[str, int] | None = None,
    graph: Graph | None = None,
) -> Comparison:
    """Compare two runs node by node, in lock step, and find the first node at which they part.

    No more is held in memory than the values that each run still needs, and those of the first difference.

    A node's counterpart is the one that computes the same of the same; else the one that stands in the same place as
    seen from the fetches; so what was edited, added, removed or renamed does not hide what is alike behind it.
    Parameters are known by name and by value, gradients and updates by what they are made for. Results belong together
    by their keys, next values by their parameters; those of traces, and what is left, by their order.

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
        Run each in a copy of the graph whose floats are of this dtype; None leaves one as it is. Floats that come of
        integers (``count / 3``) stay of the dtype that NumPy gives them.
    backends : pair of str, optional
        Run each by this executor, as `graphnn.compile` takes it: ``("interpreter", "numpy")``, the one beside the plan
        of straight-line NumPy. Of a plan all values are held at once; those that were not asked for are of a plan
        that hands out every node.
    rtol, atol : float, optional
        Values agree where ``abs(a - b) <= atol + rtol * abs(b)``. If only one is given, the other is 0. Unless given,
        values of the same dtype must be equal to the bit (zeros in sign, too; NaN equals NaN), and floats of two
        dtypes, or arrays from elsewhere, agree to 1.3e-6 and 1e-5 (float32), 1e-7 and 1e-7 (float64), 1e-3 and 1e-5
        (float16): as ``torch.testing.assert_close`` has it, by the narrower dtype.
    names : pair of str, optional
        What the two are called where they are printed. Unless given, it is what they differ in: their graphs' names,
        dtypes, feeds or fetches; else a and b.
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

    One executor beside the other:

    >>> compare(abs(x) * 2.0, feed={x: [-1.0, 3.0]}, backends=("interpreter", "numpy"))
    <Comparison of "graph": the interpreter and the plan are equal to the bit>
    """
    tolerance, called = checked_tolerance(rtol, atol), checked_names(names)
    if graph is not None and not isinstance(graph, Graph):
        raise UsageError(f"graph= is a graph, not {type(graph).__name__}")
    by_feed = feed is not None and feed_b is not None
    dtype_a, dtype_b = checked_dtypes(dtypes)
    backend_a, backend_b = checked_backends(backends)
    if are_arrays(a):
        raise UsageError("arrays are compared with a run, and the run comes first: compare(trace, {name: array})")
    arrays = are_arrays(b)
    if isinstance(b, np.ndarray) or (isinstance(b, (list, tuple)) and any(isinstance(part, np.ndarray) for part in b)):
        raise UsageError('arrays are compared by the names of nodes: compare(trace, {"dense_1/add": array})')
    if arrays and (feed_b is not None or dtype_b is not None or backends is not None):
        raise UsageError("arrays are compared as they are: they take no feed, no dtype and no backend")
    again = b is None
    if again:
        b = a
    reads_a = isinstance(a, Trace) and dtype_a is None and backends is None
    anew = again or feed_b is not None or dtype_b is not None or backends is not None
    reads_b = arrays or (isinstance(b, Trace) and not anew)
    if feed is not None and reads_a and (reads_b or feed_b is not None):
        raise UsageError("a trace holds its feed: it takes no other")
    if sizes is not None and reads_a and reads_b:
        raise UsageError("sizes= is for what is run, and both are recorded or given")
    graph_a = graph_of(a) or graph or (None if arrays else graph_of(b))
    graph_b = graph_a if arrays else graph_of(b) or graph or graph_a
    if graph is not None and graph is not graph_a and graph is not graph_b:
        raise UsageError("graph= is for fetches by name; what is compared has its graph")
    # What is run beside a trace is fed as that was; a trace that is run again, as it was itself.
    recorded = isinstance(a, Trace), isinstance(b, Trace)
    feed_a = fed_to(b) if feed is None and recorded == (False, True) else feed
    if feed_b is None:
        feed_b = feed_for(fed_to(a) if feed is None and recorded == (True, False) else feed, graph_b, graph_a)
    feed_a = feed_for(feed_a, graph_a, graph_b)
    alike = graph_a is graph_b or (graph_a is not None and graph_b is not None and graph_a.dtype == graph_b.dtype)
    exact = alike and not arrays and tolerance is None and dtype_a is dtype_b is None
    first = read_trace(a, exact) if reads_a else run_of(a, feed_a, sizes, graph_a, dtype_a, backend_a)
    if arrays:
        second = arrays_of(b, first)
    else:
        second = read_trace(b, exact) if reads_b else run_of(b, feed_b, sizes, graph_b, dtype_b, backend_b)
    called = called or told_apart(first, second, (dtype_a, dtype_b), by_feed)
    first, second = first._replace(name=called[0]), second._replace(name=called[1])

    def results(known: Mapping[Node, Node]) -> list[tuple[int, int]]:
        count = len(first.program.fetches)
        return [(i, i) for i in range(count)] if arrays else results_of(a, b, first, second, known)

    return _Lockstep(first, second, Alignment(first, second, results), tolerance, arrays).compared()


def compare_runs(a: Side, b: Side, tolerance: tuple[float, float] | None) -> Comparison:
    """Compare two runs of the same fetches, each as its steps."""
    results = [(i, i) for i in range(len(a.program.fetches))]
    return _Lockstep(a, b, Alignment(a, b, lambda known: results), tolerance).compared()


# --- in lock step ---------------------------------------------------------------------------------------------

_EQUAL, _WITHIN, _DIFFERING = range(3)


class _Lockstep:
    """Two runs that go on together."""

    def __init__(
        self,
        a: Side,
        b: Side,
        alignment: Alignment,
        tolerance: tuple[float, float] | None,
        foreign: bool = False,
    ) -> None:
        self.a, self.b = a, b
        self.tolerance = tolerance
        self.foreign = foreign
        self.partner = alignment.found()
        self.states: dict[int, int] = {}
        self.digits: dict[int, Digits] = {}
        self.differences: list[Difference] = []
        self.nan: Node | None = None
        self._back = {j: i for i, j in self.partner.items()}
        self._at = -1
        self._ahead: dict[int, Step] = {}
        """Steps of `b` that are compared later: none, unless the schedules are in different order."""
        pairs = dict.fromkeys((a.program.fetches[i], b.program.fetches[j]) for i, j in alignment.results)
        self._results = [(i, j) for i, j in pairs if self.partner.get(i) != j]
        """What was asked for and is made otherwise: compared in the end, though they are no counterparts."""
        self._kept, self._last = {i for i, _ in self._results}, {j for _, j in self._results}

    def compared(self) -> Comparison:
        """Go through both."""
        a, b = self.a, self.b
        seen: set[int] = set()
        pairs: list[tuple[Node, Node | None]] = []
        results: dict[int, Step] = {}
        with np.errstate(all="ignore"):
            for step in a.steps:
                place = step.index
                if place in self._kept:
                    results[place] = step
                j = self.partner.get(place)
                other = None if j is None else self._until(j, place)
                if other is not None and other.value is not None:
                    self.states[place] = self._look(step, other)
                    seen.add(other.index)
                    pairs.append((a.order[place], None if self.foreign else b.order[other.index]))
                del step, other  # or what they hold would live for one more node
            for place, j in self._results:
                result = self._until(j, len(a.order))
                if place in results and result is not None:
                    self._look(results[place], result)
                    if place not in self.partner and result.index not in self._back:
                        pairs.append((a.order[place], b.order[result.index]))
        only_a = [] if self.foreign else [node for i, node in enumerate(a.order[: a.ran]) if i not in self.states]
        # Where `a` was stopped, `b` has not been run any further.
        ran = b.ran if a.stopped is None or b.stopped is not None else self._at + 1
        only_b = [] if self.foreign else [node for j, node in enumerate(b.order[:ran]) if j not in seen]
        states = [*self.states.values()]
        equal, within, differing = map(states.count, (_EQUAL, _WITHIN, _DIFFERING))
        counts = Counts(equal, within, differing, len(only_a), len(only_b))
        digits = {a.order[place].name: digits for place, digits in self.digits.items()}
        graphs = {side.program.graph.name for side in (a, b)}
        graph = graphs.pop() if len(graphs) == 1 else None
        stopped = a.stopped, b.stopped
        sizes = {name: (size, b.sizes[name]) for name, size in a.sizes.items() if b.sizes.get(name, size) != size}
        return Comparison(
            a.name, b.name, graph, counts, self.differences, digits, pairs, only_a, only_b, stopped, self.nan, sizes
        )

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
        tolerance = self.tolerance or self._usual_tolerance(x.dtype, y.dtype)
        alike = x.shape == y.shape
        gap = gap_of(p, q, tolerance) if alike else Gap(equal=False, outside=max(1, math.prod(x.shape)))
        misfits = []
        if not alike:
            misfits.append(f"shape {shown(x.shape)} against {shown(y.shape)}")
        if _kind(x.dtype) != _kind(y.dtype):
            misfits.append(f"dtype {x.dtype} against {y.dtype}")
        if not whole and not gap.outside and _digest(x, y.dtype) != _digest(y, x.dtype):
            gap = gap._replace(equal=False)
            misfits.append("their hashes differ" + ", and by how much is not known" * (tolerance is not None))
        self._count_digits(step.index, other.index, p, q, gap if alike else None)
        if not gap.outside and not misfits:
            if self.nan is None and p.dtype.kind == "f" and p.size and np.isnan(np.minimum.reduce(p, None)):
                self.nan = step.node
            return _EQUAL if gap.equal else _WITHIN
        if (p.ndim or q.ndim) and whole and (self.foreign or not alike or not step.node.inputs):
            turned = rearranged(p, q, self.tolerance or closeness(p.dtype, q.dtype))
            misfits += [turned] if turned else []
        tells = whole and alike and not misfits and (self.foreign or not step.node.inputs)
        self._note(step, other, p, q, gap if alike else None, whole, misfits, self._moved(step, p, q) if tells else "")
        return _DIFFERING

    def _moved(self, step: Step, p: Array, q: Array) -> str:
        """Return by what number one value is made of the other: a sign, the size of a batch, one class; else ""."""
        if p.dtype.kind not in "iuf" or not p.size:
            return ""
        (x, more), (y, less) = (p, self.a.name), (q, self.b.name)
        if largest_of(x) < largest_of(y):
            (x, more), (y, less) = (y, less), (x, more)
        # Of sizes that are alike, the first.
        known = _averaged(step) | {size: f"{name} = {size}" for name, size in reversed([*self.a.sizes.items()])}
        made = made_by_a_number(x, y, known)
        if made is None:
            return ""
        if made.multiplied:
            since = f", and {known[made.number]}" if made.number in known else ""
            return f"{more} = {number(made.number)} × {less}{since}"
        if more == self.a.name:  # what was done to the first is told
            more, less, made = less, more, made._replace(number=-made.number)
        return f"{more} = {less} {'-' if made.number < 0 else '+'} {number(abs(made.number))}"

    def _usual_tolerance(self, a: np.dtype[Any], b: np.dtype[Any]) -> tuple[float, float] | None:
        return closeness(a, b) if self.foreign or a != b else None

    def _count_digits(self, i: int, j: int, p: Array, q: Array, gap: Gap | None) -> None:
        if p.dtype.kind != "f" or q.dtype.kind != "f":
            return
        if p.dtype == q.dtype and not any(source in self.digits for source in self.a.operands[i]):
            return
        most = min(map(digits_of, (p.dtype, q.dtype)))
        left = most
        if gap is None:
            left = 0.0
        elif gap.absolute:
            largest = largest_of(p if p.dtype.itemsize > q.dtype.itemsize else q)
            error = gap.absolute / largest if largest else math.inf
            left = min(max(0.0, -math.log10(error)), most)
        given = [most]
        for source in self.a.operands[i]:
            if source in self.digits:
                given.append(self.digits[source].left)
            elif self.states.get(source) == _DIFFERING:
                given.append(0.0)  # a label, a condition: right or wrong
        self.digits[i] = Digits(left, max(0.0, min(given) - left))

    def _note(
        self, step: Step, other: Step, p: Array, q: Array, gap: Gap | None, whole: bool, misfits: list[str], moved: str
    ) -> None:
        i, j = step.index, other.index
        node, counterpart = self.a.order[i], None if self.foreign else self.b.order[j]
        element, pair, ulps = None, (None, None), None
        if gap is not None and gap.outside:
            index = tuple(map(int, np.unravel_index(gap.place, p.shape)))
            pair = p[index], q[index]
            ulps = ulps_of(*pair)
            if whole:
                element = index
            else:
                misfits.append("seen in a preview; the whole value was not kept")
        first = not self.differences
        edits = [] if counterpart is None else self._edits(i, j)
        operands_equal = self._operands_equal(i, j)
        cause = "; ".join(edits or misfits or self._resized(i))
        if not cause and first and element is not None and operands_equal is False:
            cause = self._miscomputed(step, other, element)
        if not cause:
            cause = self._cause(i, operands_equal, pair, p.dtype, q.dtype)
            if moved:
                cause = moved if self.foreign else f"{cause}: {moved}"
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
                misfit="; ".join(misfits) or moved,
                edits=tuple(edits),
                operands_equal=operands_equal,
                cause=cause,
                values=(p, q) if first else None,
                operands=(tuple(map(part_of, step.operands)), tuple(map(part_of, other.operands))) if first else None,
                reads=tuple(self._reads(step, other, element)) if first else (),
            )
        )

    def _reads(self, step: Step, other: Step, element: tuple[int, ...] | None) -> Iterator[str]:
        """Yield in words what each operand gave to an element, in one run and the other."""
        mine = self.a.reads(step.index, element, step.operands)
        its = mine if self.foreign else self.b.reads(other.index, element, other.operands)
        for position, operand in enumerate(step.node.inputs):
            x: Any = step.operands[position]
            y: Any = other.operands[position] if position < len(other.operands) else NOTHING
            fits = isinstance(y, np.ndarray) and x.shape == y.shape
            # Of very many, their places would take more memory than they do.
            many = mine is not None and mine[position] is not None and np.size(x[mine[position]]) > _MOST_READ
            if mine is None or many or (fits and its is None):
                told = ["", *dict.fromkeys((in_short(x), in_short(y)))]
            else:
                a = read_of(operand, position, mine[position], x)
                b = read_of(operand, position, its[position], y) if fits and its is not None else None
                told = [
                    f"[{a.place}]" if a.place else "",
                    *(beside(a, b) if b else [a.said or "not read", in_short(y)]),
                ]
            yield f"operand {position}, {quoted(operand)}{told[0]}: {' against '.join(told[1:])}"

    def _operands_equal(self, i: int, j: int) -> bool | None:
        mine, its = self.a.operands[i], self.b.operands[j]
        if [self.partner.get(source) for source in mine] != [*its]:
            return False
        states = [self.states.get(source) for source in mine]
        if _DIFFERING not in states and None in states:
            return None
        return all(state == _EQUAL for state in states)

    def _miscomputed(self, step: Step, other: Step, element: tuple[int, ...]) -> str:
        """Return that the second value does not come of the second's own operands, if it does not; else ""."""
        mine, its = step.operands, other.operands
        if len(mine) != len(its) or not mine or step.value.dtype != other.value.dtype:
            return ""
        pairs = zip(mine, its, strict=True)
        if not all(isinstance(y, np.ndarray) and x.shape == y.shape and x.dtype == y.dtype for x, y in pairs):
            return ""
        op = self.a.op(step.index).bound(self.a.sizes)
        try:
            # These operands are of another run, or of none: no loop has them.
            value = np.asarray(op.forward(*its))
        except Exception:  # noqa: BLE001 - what is not known to fit may fail in any way
            return ""
        kind = value.dtype
        if (
            value.shape != other.value.shape
            or not gap_of(value, other.value, self.tolerance or closeness(kind, kind)).outside
        ):
            return ""
        made = f"{op.name} of the operands of {self.b.name} is {number(value[element])} there, and not"
        return f"{made} {number(other.value[element])}: what computes it differs"

    def _cause(
        self, i: int, operands_equal: bool | None, pair: tuple[Any, Any], a: np.dtype[Any], b: np.dtype[Any]
    ) -> str:
        node = self.a.order[i]
        if not self.a.operands[i]:
            what = {"placeholder": "the feed", "parameter": "the parameter's value"}.get(node.op.name, "its value")
            return f"{what} differs"
        if operands_equal:
            why = f"it is computed in {a} and in {b}" if a != b else "what computes it differs: code, library, machine"
            for x, y in (pair, pair[::-1]):
                if a != b and x is not None and np.isinf(x) and np.isfinite(y):
                    why = f"it overflows {x.dtype}"
            return f"its operands are equal; {why}"
        if operands_equal is None:
            return "not all of its operands are given: name those, too"
        if any(self.states.get(source) == _DIFFERING for source in self.a.operands[i]):
            return "its operands differ"
        return "its operands agree only within the tolerance, and here the difference is larger"

    def _resized(self, i: int) -> list[str]:
        """Return which sizes that an operation's attributes speak of differ, such as the count of a mean."""
        a, b = self.a.sizes, self.b.sizes
        names = sorted(name for name in self.a.op(i).dimension_names if name in a and b.get(name, a[name]) != a[name])
        return [
            f'the size of "{name}" differs, which it is computed with: {a[name]} against {b[name]}' for name in names
        ]

    def _edits(self, i: int, j: int) -> list[str]:
        """Return how two nodes differ themselves."""
        a, b = self.a.order[i], self.b.order[j]
        op, other_op = self.a.op(i), self.b.op(j)
        edits = [
            f"its value was set by hand in {side}"
            for side, is_set in ((self.a.name, self.a.is_set(i)), (self.b.name, self.b.is_set(j)))
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

    def _named(self, side: Side, place: int, has_counterpart: bool, otherwise: str) -> str:
        node = side.order[place]
        return f'"{node.name}"' + ("" if has_counterpart else f" ({node.op.name}, {otherwise})")


def _preview(value: Any) -> Array:
    return preview_of(value) if isinstance(value, np.ndarray) else np.asarray(value.preview)


def _digest(value: Any, other: np.dtype[Any]) -> str:
    """Return the hash of a value as it is beside one of another dtype, of which only the hash is known."""
    return digest_of(value.astype(other)) if isinstance(value, np.ndarray) else str(value.digest)


def _kind(dtype: np.dtype[Any]) -> str:
    return "i" if dtype.kind == "u" else dtype.kind


def _averaged(step: Step) -> dict[float, str]:
    """Return of how many numbers a mean is, in all and along each axis, in words by their count."""
    node = step.node
    if not isinstance(node.op, Mean):
        return {}
    (x,) = step.operands
    sizes = [x.shape[axis] for axis in node.op.over(len(x.shape))]
    along = {size: f"{node.name} is over an axis of {size}" for size in sizes}
    return along | {math.prod(sizes): f"{node.name} is of {math.prod(sizes)} numbers"}
