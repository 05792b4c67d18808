"""Where two runs first differ: `compare`."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import UsageError
from ...execute.loop import compute
from ...graph import Array, Constant, Graph, Node
from ...graph.dimensions import shown
from ...ops.reduce import Mean
from ...text import number
from ..trace import Trace, digest_of, preview_of
from ..why import read_of
from .align import Pairs, align
from .arguments import checked_backends, checked_dtypes, checked_names, checked_tolerance
from .differences import NOTHING, Comparison, Counts, Difference, Digits, beside, in_short, part_of, quoted
from .gap import Gap, closeness, digits_of, gap_of, largest_of, made_by_a_number, rearranged, ulps_of
from .sides import Side, are_arrays, arrays_of, fed_to, feed_for, graph_of, names_of, read_trace, results_of, run_of

if TYPE_CHECKING:
    from ...execute.feed import Feed
    from ...execute.loop import Step

_MOST_READ = 4096  # elements of an operand that are listed as those that made one element


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
    """Compare two runs node by node, in lock step, and find the first node at which they differ.

    Only the values that each run still needs are held in memory, and those of the first difference.

    A node's counterpart is the one that computes the same from the same operands, or else the one that is read in the
    same way up to the fetches. So nodes that were edited, added, removed or renamed do not hide what is alike after
    them. Parameters are matched by name and by value, gradients and updates by the nodes that they were made for.
    Results are matched by their keys, next values by their parameters, those of traces and all others by their order.

    Parameters
    ----------
    a : Node, str, or list, tuple or dict of them, Compiled, or Trace
        Fetches or a compiled step, which are run without making updates; or a recorded run, which is read.
    b : the same, or dict of str to array, optional
        What it is compared with, of the same graph or another. Or arrays from elsewhere by the names of nodes: only
        those are compared. By default `a` again: with another feed, at another dtype, or a trace that is run again.
    feed : mapping of Node or str to array_like, optional
        The feed of what is run; for two graphs, by name. Beside a trace, the default is the feed of the trace.
    feed_b : mapping of Node or str to array_like, optional
        Another feed for `b`.
    dtypes : pair of dtype, optional
        Run each in a copy of the graph whose floats have this dtype; None leaves one as it is. Floats that are computed
        from integers (``count / 3``) keep the dtype that NumPy gives them.
    backends : pair of str, optional
        Run each by this executor, as `graphnn.compile` takes it: ``("interpreter", "numpy")`` compares the interpreter
        with the plan. All values of a plan are held at once; those that are not fetched come from a second plan that
        returns every node.
    rtol, atol : float, optional
        Values agree where ``abs(a - b) <= atol + rtol * abs(b)``. If only one is given, the other is 0. Unless given,
        values of the same dtype must be equal to the bit (zeros in sign, too; NaN equals NaN), and floats of two
        dtypes, or arrays from elsewhere, agree to 1.3e-6 and 1e-5 (float32), 1e-7 and 1e-7 (float64), 1e-3 and 1e-5
        (float16): as ``torch.testing.assert_close`` has it, by the narrower dtype.
    names : pair of str, optional
        What the two are called when printed. By default it is what they differ in: the names of their graphs, dtypes,
        feeds or fetches; else a and b.
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
    dtype_a, dtype_b = checked_dtypes(dtypes)
    backend_a, backend_b = checked_backends(backends)
    by_feed = feed is not None and feed_b is not None
    arrays = are_arrays(b)
    _check_arrays(a, b)
    run_again = b is None or feed_b is not None or dtype_b is not None or backends is not None
    if arrays and run_again:
        raise UsageError("arrays are compared as they are: they take no feed, no dtype and no backend")
    b = a if b is None else b
    reads_a = isinstance(a, Trace) and dtype_a is None and backends is None
    reads_b = arrays or (isinstance(b, Trace) and not run_again)
    if feed is not None and reads_a and (reads_b or feed_b is not None):
        raise UsageError("a trace has its own feed and takes no other")
    if sizes is not None and reads_a and reads_b:
        raise UsageError("sizes= is for what is run, and both sides are recorded or given")
    graph_a = graph_of(a) or graph or (None if arrays else graph_of(b))
    graph_b = graph_a if arrays else graph_of(b) or graph or graph_a
    if graph is not None and graph is not graph_a and graph is not graph_b:
        raise UsageError("graph= is for fetches by name; what is compared has its own graph")
    # What is run beside a trace is fed as that was; a trace that is run again, as it was itself.
    one_trace = feed is None and isinstance(a, Trace) != isinstance(b, Trace)
    feed_a = fed_to(b) if one_trace and isinstance(b, Trace) else feed
    if feed_b is None:
        feed_b = fed_to(a) if one_trace and isinstance(a, Trace) else feed
        feed_b = feed_for(feed_b, graph_b, graph_a)
    alike = graph_a is graph_b or (graph_a is not None and graph_b is not None and graph_a.dtype == graph_b.dtype)
    exact = alike and not arrays and tolerance is None and dtype_a is dtype_b is None

    def side(target: Any, reads: bool, *how: Any) -> Side:
        return read_trace(target, exact) if reads else run_of(target, *how)

    first = side(a, reads_a, feed_for(feed_a, graph_a, graph_b), sizes, graph_a, dtype_a, backend_a)
    second = arrays_of(b, first) if arrays else side(b, reads_b, feed_b, sizes, graph_b, dtype_b, backend_b)
    called = called or names_of(first, second, (dtype_a, dtype_b), by_feed)
    first, second = first._replace(name=called[0]), second._replace(name=called[1])

    def match_results(known: Mapping[Node, Node]) -> Pairs:
        return _same_results(first) if arrays else results_of(a, b, first, second, known)

    return _Lockstep(first, second, align(first, second, match_results), tolerance, arrays).compare()


def _check_arrays(a: Any, b: Any) -> None:
    if are_arrays(a):
        raise UsageError("arrays are compared with a run, and the run comes first: compare(trace, {name: array})")
    if isinstance(b, np.ndarray) or (isinstance(b, (list, tuple)) and any(isinstance(part, np.ndarray) for part in b)):
        raise UsageError('arrays are compared by the names of nodes: compare(trace, {"dense_1/add": array})')


def compare_runs(a: Side, b: Side, tolerance: tuple[float, float] | None) -> Comparison:
    """Compare two runs of the same fetches, each as its steps."""
    return _Lockstep(a, b, align(a, b, lambda known: _same_results(a)), tolerance).compare()


def _same_results(side: Side) -> Pairs:
    return [(i, i) for i in range(len(side.program.fetches))]


# --- in lock step ---------------------------------------------------------------------------------------------

_EQUAL, _WITHIN, _DIFFERING = range(3)


class _Lockstep:
    """Two runs that are evaluated together, one node of each at a time."""

    def __init__(
        self,
        a: Side,
        b: Side,
        alignment: tuple[dict[int, int], Pairs],
        tolerance: tuple[float, float] | None,
        foreign: bool = False,
    ) -> None:
        self.a, self.b = a, b
        self.tolerance = tolerance
        self.foreign = foreign
        """Whether `b` is arrays that were given, and not a run."""
        self.counterparts, pairs = alignment
        self.states: dict[int, int] = {}
        self.digits: dict[int, Digits] = {}
        self.differences: list[Difference] = []
        self.nan: Node | None = None
        self._back = {j: i for i, j in self.counterparts.items()}
        self._position_b = -1
        self._ahead: dict[int, Step] = {}
        """Steps of `b` that are compared later: none, unless the schedules are in different order."""
        results = dict.fromkeys((a.program.fetches[i], b.program.fetches[j]) for i, j in pairs)
        self._results = [(i, j) for i, j in results if self.counterparts.get(i) != j]
        """Results that belong together and are no counterparts: compared at the end."""
        self._results_b = {j for _, j in self._results}

    def compare(self) -> Comparison:
        """Evaluate both, and compare the values of counterparts."""
        a, b = self.a, self.b
        pairs: list[tuple[Node, Node | None]] = []
        results: dict[int, Step | None] = {i: None for i, _ in self._results}
        seen: set[int] = set()
        with np.errstate(all="ignore"):
            for step in a.steps:
                i = step.index
                if i in results:
                    results[i] = step
                j = self.counterparts.get(i)
                other = None if j is None else self._run_b_until(j, i)
                if other is not None and other.value is not None:
                    self.states[i] = self._compare_values(step, other)
                    seen.add(other.index)
                    pairs.append((a.order[i], None if self.foreign else b.order[other.index]))
                del step, other  # or what they hold would live for one more node
            for i, j in self._results:
                other = self._run_b_until(j, len(a.order))
                result = results[i]
                if result is not None and other is not None:
                    self._compare_values(result, other)
                    if i not in self.counterparts and j not in self._back:
                        pairs.append((a.order[i], b.order[j]))
        only_a, only_b = [], []
        if not self.foreign:
            # Where `a` was stopped, `b` has not been run any further.
            ran = b.ran if a.stopped is None or b.stopped is not None else self._position_b + 1
            only_a = [node for i, node in enumerate(a.order[: a.ran]) if i not in self.states]
            only_b = [node for j, node in enumerate(b.order[:ran]) if j not in seen]
        states = [*self.states.values()]
        equal, within, differing = map(states.count, (_EQUAL, _WITHIN, _DIFFERING))
        name_a, name_b = a.program.graph.name, b.program.graph.name
        return Comparison(
            a.name,
            b.name,
            name_a if name_a == name_b else None,
            Counts(equal, within, differing, len(only_a), len(only_b)),
            self.differences,
            {a.order[i].name: digits for i, digits in self.digits.items()},
            pairs,
            only_a,
            only_b,
            (a.stopped, b.stopped),
            self.nan,
            {name: (size, b.sizes[name]) for name, size in a.sizes.items() if b.sizes.get(name, size) != size},
        )

    def _run_b_until(self, j: int, i: int) -> Step | None:
        """Let `b` go on until the step `j`, and return it; None where its run was stopped before.

        Steps whose counterparts come after `i` in `a` are kept until then.
        """
        while self._position_b < j:
            step = next(self.b.steps, None)
            if step is None:
                return None
            self._position_b = step.index
            if self._back.get(step.index, -1) >= i or step.index in self._results_b:
                self._ahead[step.index] = step
            del step
        return self._ahead.get(j) if j in self._results_b else self._ahead.pop(j, None)

    def _closeness(self, a: np.dtype[Any], b: np.dtype[Any]) -> tuple[float, float]:
        return self.tolerance or closeness(a, b)

    def _compare_values(self, step: Step, other: Step) -> int:
        """Compare two values, note a difference, and return how they agree."""
        x: Any = step.value
        y: Any = other.value
        whole = isinstance(x, np.ndarray) and isinstance(y, np.ndarray)
        p, q = (x, y) if whole else (_preview(x), _preview(y))
        same_shape = x.shape == y.shape
        usual = self.foreign or x.dtype != y.dtype
        tolerance = self._closeness(x.dtype, y.dtype) if usual else self.tolerance
        gap = gap_of(p, q, tolerance) if same_shape else None
        misfits = []
        if not same_shape:
            misfits.append(f"shape {shown(x.shape)} against {shown(y.shape)}")
        if _kind(x.dtype) != _kind(y.dtype):
            misfits.append(f"dtype {x.dtype} against {y.dtype}")
        if gap is not None and not whole and not gap.outside and _digest(x, y.dtype) != _digest(y, x.dtype):
            gap = gap._replace(equal=False)
            misfits.append("their hashes differ" + "; by how much is not known" * (tolerance is not None))
        self._count_digits(step.index, p, q, gap)
        if gap is not None and not gap.outside and not misfits:
            if self.nan is None and p.dtype.kind == "f" and p.size and np.isnan(np.minimum.reduce(p, None)):
                self.nan = step.node
            return _EQUAL if gap.equal else _WITHIN
        explains = whole and (self.foreign or not step.node.inputs)
        made = self._made_by_a_number(step, p, q) if explains and same_shape and not misfits else ""
        if whole and (p.ndim or q.ndim) and (explains or not same_shape):
            misfits += filter(None, [rearranged(p, q, self._closeness(p.dtype, q.dtype))])
        self._note(step, other, p, q, gap, whole, misfits, made)
        return _DIFFERING

    def _made_by_a_number(self, step: Step, p: Array, q: Array) -> str:
        """Return by what number one value is made from the other: a sign, the size of a batch, one class; else ""."""
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
            reason = f", and {known[made.number]}" if made.number in known else ""
            return f"{more} = {number(made.number)} × {less}{reason}"
        if more == self.a.name:  # what was done to the first is said
            more, less, made = less, more, made._replace(number=-made.number)
        return f"{more} = {less} {'-' if made.number < 0 else '+'} {number(abs(made.number))}"

    def _count_digits(self, i: int, p: Array, q: Array, gap: Gap | None) -> None:
        """Note how many digits a value has left, if its dtypes differ or those of what it is computed from."""
        operands = self.a.operands[i]
        if p.dtype.kind != "f" or q.dtype.kind != "f":
            return
        if p.dtype == q.dtype and not any(source in self.digits for source in operands):
            return
        left = most = min(map(digits_of, (p.dtype, q.dtype)))
        if gap is None:
            left = 0.0
        elif gap.absolute:
            largest = largest_of(p if p.dtype.itemsize > q.dtype.itemsize else q)
            error = gap.absolute / largest if largest else math.inf
            left = min(max(0.0, -math.log10(error)), most)
        # Other operands that differ, such as labels and conditions, are right or wrong.
        before = [0.0 for source in operands if source not in self.digits and self.states.get(source) == _DIFFERING]
        before += [self.digits[source].left for source in operands if source in self.digits]
        self.digits[i] = Digits(left, max(0.0, min([most, *before]) - left))

    def _note(
        self, step: Step, other: Step, p: Array, q: Array, gap: Gap | None, whole: bool, misfits: list[str], made: str
    ) -> None:
        i, j = step.index, other.index
        element, pair = None, (None, None)
        if gap is not None and gap.outside:
            index = tuple(map(int, np.unravel_index(gap.place, p.shape)))
            pair = p[index], q[index]
            if whole:
                element = index
            else:
                misfits.append("seen in a preview; the whole value was not kept")
        first = not self.differences
        edits = [] if self.foreign else self._edits(i, j)
        operands_equal = self._operands_equal(i, j)
        cause = "; ".join(edits or misfits or self._resized(i))
        if not cause and first and element is not None and operands_equal is False:
            cause = self._miscomputed(step, other, element)
        if not cause:
            cause = made if made and self.foreign else self._cause(i, operands_equal, pair, p.dtype, q.dtype)
            if made and not self.foreign:
                cause = f"{cause}: {made}"
        self.differences.append(
            Difference(
                node=self.a.order[i],
                other=None if self.foreign else self.b.order[j],
                index=i,
                element=element,
                a=pair[0],
                b=pair[1],
                absolute=None if gap is None else gap.absolute,
                relative=None if gap is None else gap.relative,
                ulps=None if pair[0] is None else ulps_of(*pair),
                outside=p.size if gap is None else gap.outside,
                size=p.size,
                misfit="; ".join(misfits) or made,
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
            place = ""
            if mine is None or many or (fits and its is None):
                values = [*dict.fromkeys((in_short(x), in_short(y)))]
            else:
                a = read_of(operand, position, mine[position], x)
                place = f"[{a.place}]" if a.place else ""
                if fits and its is not None:
                    values = beside(a, read_of(operand, position, its[position], y))
                else:
                    values = [a.said or "not read", in_short(y)]
            yield f"operand {position}, {quoted(operand)}{place}: {' against '.join(values)}"

    def _operands_equal(self, i: int, j: int) -> bool | None:
        mine = self.a.operands[i]
        if [self.counterparts.get(source) for source in mine] != [*self.b.operands[j]]:
            return False
        states = [self.states.get(source) for source in mine]
        if _DIFFERING not in states and None in states:
            return None
        return all(state == _EQUAL for state in states)

    def _miscomputed(self, step: Step, other: Step, element: tuple[int, ...]) -> str:
        """Return that the operands of the second do not give its value, if so; else ""."""
        mine, its = step.operands, other.operands
        if len(mine) != len(its) or not mine or step.value.dtype != other.value.dtype:
            return ""
        pairs = zip(mine, its, strict=True)
        if not all(isinstance(y, np.ndarray) and x.shape == y.shape and x.dtype == y.dtype for x, y in pairs):
            return ""
        op = self.a.op(step.index).bound(self.a.sizes)
        try:
            # These operands are from another run, or from none: the one loop does not have them.
            value = compute(op, *its)
        except Exception:  # noqa: BLE001 - what is not known to fit may fail in any way
            return ""
        same_shape = value.shape == other.value.shape
        if not same_shape or not gap_of(value, other.value, self._closeness(value.dtype, value.dtype)).outside:
            return ""
        return (
            f"{op.name} of the operands of {self.b.name} gives {number(value[element])}, not "
            f"{number(other.value[element])}: what computes it differs"
        )

    def _cause(
        self, i: int, operands_equal: bool | None, pair: tuple[Any, Any], a: np.dtype[Any], b: np.dtype[Any]
    ) -> str:
        operands = self.a.operands[i]
        if not operands:
            what = {"placeholder": "the feed", "parameter": "the parameter's value"}
            return f"{what.get(self.a.order[i].op.name, 'its value')} differs"
        if operands_equal:
            why = f"it is computed in {a} and in {b}" if a != b else "what computes it differs: code, library, machine"
            for x, y in (pair, pair[::-1]):
                if a != b and x is not None and np.isinf(x) and np.isfinite(y):
                    why = f"it overflows {x.dtype}"
            return f"its operands are equal; {why}"
        if operands_equal is None:
            return "not all of its operands are given: give those, too"
        if any(self.states.get(source) == _DIFFERING for source in operands):
            return "its operands differ"
        return "its operands agree only within the tolerance, and here the difference is larger"

    def _resized(self, i: int) -> list[str]:
        """Return which sizes differ that the operation's attributes contain, such as the count of a mean."""
        a, b = self.a.sizes, self.b.sizes
        names = sorted(name for name in self.a.op(i).dimension_names if name in a and b.get(name, a[name]) != a[name])
        return [
            f'it is computed with the size of "{name}", which differs: {a[name]} against {b[name]}' for name in names
        ]

    def _edits(self, i: int, j: int) -> list[str]:
        """Return how two nodes differ themselves."""
        a, b = self.a, self.b
        op, other_op = a.op(i), b.op(j)
        set_in = [side.name for side, position in ((a, i), (b, j)) if side.is_set(position)]
        edits = [f"its value was set by hand in {name}" for name in set_in]
        if a.order[i] is b.order[j] and op == other_op:
            return edits
        if isinstance(op, Constant) and isinstance(other_op, Constant):
            return ["the constant's value changed"]
        if op.name != other_op.name:
            edits.append(f"op changed: {op.name} → {other_op.name}")
        elif op != other_op:
            given, other = op.attributes, other_op.attributes
            changed = [name for name in {**given, **other} if repr(given.get(name)) != repr(other.get(name))]
            edits += [f"{name} changed: {given.get(name)!r} → {other.get(name)!r}" for name in changed]
        for position, (mine, its) in enumerate(zip_longest(a.operands[i], b.operands[j])):
            if mine is None or its is None or self.counterparts.get(mine) != its:
                before = _described(a, mine, self.counterparts, "removed")
                edits.append(f"operand {position} changed: {before} → {_described(b, its, self._back, 'added')}")
        return edits


def _described(side: Side, position: int | None, paired: Container[int], otherwise: str) -> str:
    """Return the name of an operand, and its operation if it is only on this side."""
    if position is None:
        return "nothing"
    node = side.order[position]
    return f'"{node.name}"' + ("" if position in paired else f" ({node.op.name}, {otherwise})")


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
