"""Where two runs first differ: they are evaluated in lock step."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._util.text import counted, number
from ...core import is_float, limits
from ...ops.reductions import Mean
from ...runtime.evaluation_loop import compute
from ..why import read_of
from .array_difference import closeness, digits_of, gap_of, largest_of, made_by_a_number, rearranged, ulps_of
from .call_alignment import make_other_calls
from .differences import NOTHING, Agreement, Comparison, Counts, Difference, Digits, beside, in_short, part_of, quoted
from .node_alignment import Pairs, align
from .value_pairs import Seen, is_faithful, rounding_of, seen_of

if TYPE_CHECKING:
    from ...core import Array, Node
    from ...runtime.evaluation_loop import Step
    from .compared_runs import Side

_MOST_READ = 4096  # elements of an operand that are listed as those that made one element


def compare_runs(a: Side, b: Side, tolerance: tuple[float, float] | None) -> Comparison:
    """Compare two runs of the same fetches, each as its steps."""
    return Lockstep(a, b, align(a, b, lambda known: same_results(a)), tolerance).compare()


def same_results(side: Side) -> Pairs:
    """Return the pairs of the fetches of a run with themselves."""
    return [(i, i) for i in range(len(side.program.fetches))]


# --- in lock step ---------------------------------------------------------------------------------------------

EQUAL, WITHIN, DIFFERING = range(3)
_HOW_SHORT = ("equal", "within", "differing")
_HOW = {EQUAL: "equal", WITHIN: "within the tolerance", DIFFERING: "differing", None: "not compared"}


class Lockstep:
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
        self.other_calls = not foreign and make_other_calls(a, b)
        """Whether they make other calls of PyTorch: then rounding differs, and values agree within tolerances."""
        self.counterparts, pairs = alignment
        self.states: dict[int, int] = {}
        self.digits: dict[int, Digits] = {}
        self.differences: list[Difference] = []
        self.agreements: list[Agreement] = []
        self.sampled = 0
        self.explained = True
        """Whether rounding explains every difference so far."""
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
        equal, within, differing = map(states.count, (EQUAL, WITHIN, DIFFERING))
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
            self.agreements,
            self.sampled,
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
        usual = self.foreign or self.other_calls or x.dtype != y.dtype
        seen = seen_of(x, y, self._closeness(x.dtype, y.dtype) if usual else self.tolerance)
        digits = self._count_digits(step.index, seen)
        state = DIFFERING if not seen.agrees else EQUAL if seen.gap is not None and seen.gap.equal else WITHIN
        paired = None if self.foreign else self.b.order[other.index]
        absolute = None if seen.gap is None else seen.gap.absolute
        self.agreements.append(Agreement(step.node, paired, _HOW_SHORT[state], absolute, digits))
        if seen.agrees:
            self.sampled += state == WITHIN and not seen.whole
            if self.nan is None and seen.holds_nan:
                self.nan = step.node
            return state
        p, q = seen.p, seen.q
        explains = seen.whole and (self.foreign or not step.node.inputs)
        made = self._made_by_a_number(step, p, q) if explains and p.shape == q.shape and not seen.misfits else ""
        if seen.whole and (p.ndim or q.ndim) and (explains or p.shape != q.shape):
            seen.misfits.extend(filter(None, [rearranged(p, q, self._closeness(p.dtype, q.dtype))]))
        self._note(step, other, seen, made)
        return DIFFERING

    def _made_by_a_number(self, step: Step, p: Array, q: Array) -> str:
        """Return by what number one value is made from the other: a sign, the size of a batch, one class; else ""."""
        if not (is_float(p.dtype) or p.dtype.kind in "iu") or not p.size:
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

    def _count_digits(self, i: int, seen: Seen) -> float | None:
        """Return how many digits of two floats agree; note it if their dtypes differ, or those of their operands."""
        p, q, gap = seen.p, seen.q, seen.gap
        if not is_float(p.dtype) or not is_float(q.dtype):
            return None
        left = most = min(map(digits_of, (p.dtype, q.dtype)))
        if gap is None:
            left = 0.0
        elif gap.absolute:
            largest = seen.largest
            error = gap.absolute / largest if largest else math.inf
            left = min(max(0.0, -math.log10(error)), most)
        operands = self._sources(i)
        if p.dtype != q.dtype or any(source in self.digits for source in operands):
            # Other operands that differ, such as labels and conditions, are right or wrong.
            before = [0.0 for s in operands if s not in self.digits and self.states.get(s) == DIFFERING]
            before += [self.digits[source].left for source in operands if source in self.digits]
            self.digits[i] = Digits(left, max(0.0, min([most, *before]) - left))
        return left

    def _note(self, step: Step, other: Step, seen: Seen, made: str) -> None:
        i, j = step.index, other.index
        p, q, gap, misfits = seen.p, seen.q, seen.gap, seen.misfits
        place, element = seen.place, seen.element
        pair = (None, None) if place is None else (p[place], q[place])
        if place is not None and not seen.whole:
            misfits.append(f"seen in {counted(p.size, 'element')}; the whole value was not kept")
        first = not self.differences
        edits = [] if self.foreign else self._edits(i, j)
        operands_equal = self._operands_equal(i, j)
        rounding = None if edits else self._rounding(step, other, seen, operands_equal)
        cause = "; ".join(edits or misfits or self._resized(i))
        asked = self.explained and rounding is not True and operands_equal is False and not overflown(*pair)
        if not cause and asked and element is not None:
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
                rounding=rounding,
                inputs={self.a.order[source].name: _HOW[self._state(source)] for source in self._sources(i)},
                values=(p, q) if first else None,
                operands=(tuple(map(part_of, step.operands)), tuple(map(part_of, other.operands))) if first else None,
                reads=tuple(self._reads(step, other, element)) if first else (),
            )
        )
        self.explained &= rounding is True

    def _rounding(self, step: Step, other: Step, seen: Seen, operands_equal: bool | None) -> bool | None:
        """Return whether the values differ by no more than rounding may make; None if that is not known."""
        p, q, gap = seen.p, seen.q, seen.gap
        if gap is None or not is_float(p.dtype) or not is_float(q.dtype):
            return None
        count = self.a.terms(step.index)
        if gap.absolute <= rounding_of((p.dtype, q.dtype), seen.largest, count):
            return True
        if operands_equal or not step.operands:
            return False
        if not self.explained:
            return None  # the difference before it may be what it comes from
        op, other_op = self.a.op(step.index).bound(self.a.sizes), self.b.op(other.index).bound(self.b.sizes)
        faithful = [
            is_faithful(op, step.operands, step.value, count),
            is_faithful(other_op, other.operands, other.value, count),
        ]
        return None if None in faithful else all(faithful)

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
                if len(values) == 1 and self.states.get(self.a.operands[step.index][position]) == DIFFERING:
                    values = [f"{values[0]}, and not the same"]
            else:
                a = read_of(operand, position, mine[position], x)
                place = f"[{a.place}]" if a.place else ""
                if fits and its is not None:
                    values = beside(a, read_of(operand, position, its[position], y))
                else:
                    values = [a.said or "not read", in_short(y)]
            yield f"operand {position}, {quoted(operand)}{place}: {' against '.join(values)}"

    def _sources(self, i: int) -> Sequence[int]:
        """Return what a node is computed from: its operands, or what is compared before these."""
        if not self.b.through:
            return self.a.operands[i]
        ahead = [*self.a.operands[i]]
        seen = set(ahead)
        found = []
        while ahead:
            source = ahead.pop()
            if source in self.states or not self.a.operands[source]:
                found.append(source)
                continue
            new = set(self.a.operands[source]) - seen
            seen |= new
            ahead.extend(new)
        return sorted(found)

    def _state(self, i: int) -> int | None:
        """Return how a value agrees; what a runtime is given with the graph is the same."""
        return self.states.get(i, EQUAL if self.b.through else None)

    def _operands_equal(self, i: int, j: int) -> bool | None:
        mine = self.a.operands[i]
        if [self.counterparts.get(source) for source in mine] != [*self.b.operands[j]]:
            return False
        states = [self._state(source) for source in self._sources(i)]
        if DIFFERING not in states and None in states:
            return None
        return all(state == EQUAL for state in states)

    def _miscomputed(self, step: Step, other: Step, element: tuple[int, ...]) -> str:
        """Return that the operands of the second do not give its value, if so; else ""."""
        mine, its = step.operands, other.operands
        if len(mine) != len(its) or not mine:
            return ""
        if step.value.dtype != other.value.dtype:
            return self._unfaithful(step, other)
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

    def _unfaithful(self, step: Step, other: Step) -> str:
        """Return that the operands of the second do not give its value in its dtype, if so; else ""."""
        op = self.a.op(step.index).bound(self.a.sizes)
        if is_faithful(op, other.operands, other.value, self.a.terms(step.index)) is not False:
            return ""
        return (
            f"{op.name} of the operands of {self.b.name} does not give its value, by more than {other.value.dtype} "
            "rounds: what computes it differs"
        )

    def _cause(
        self, i: int, operands_equal: bool | None, pair: tuple[Any, Any], a: np.dtype[Any], b: np.dtype[Any]
    ) -> str:
        operands = self._sources(i)
        if not self.a.operands[i]:
            what = {"placeholder": "the feed", "parameter": "the parameter's value"}
            return f"{what.get(self.a.order[i].op.name, 'its value')} differs"
        if operands_equal:
            why = f"it is computed in {a} and in {b}" if a != b else "what computes it differs: code, library, machine"
            return f"its operands are equal; {overflown(*pair) or why}"
        if operands_equal is None:
            return "not all of its operands are given: give those, too"
        if any(self.states.get(source) == DIFFERING for source in operands):
            return "its operands differ"
        why = overflown(*pair) or "here the difference is larger"
        return f"its operands agree only within the tolerance, and {why}"

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
        if op.is_constant and other_op.is_constant:
            return ["the constant's value changed"]
        if op.name != other_op.name:
            edits.append(f"op changed: {op.name} → {other_op.name}")
        elif op != other_op:
            given, other = op.shown_attributes, other_op.shown_attributes
            changed = [name for name in {**given, **other} if repr(given.get(name)) != repr(other.get(name))]
            write = str if op.is_torch_call else repr
            edits += [f"{name} changed: {write(given.get(name))} → {write(other.get(name))}" for name in changed]
        for position, (mine, its) in enumerate(zip_longest(a.operands[i], b.operands[j])):
            if mine is None or its is None or self.counterparts.get(mine) != its:
                before = _described(a, mine, self.counterparts, "removed")
                edits.append(f"operand {position} changed: {before} → {_described(b, its, self._back, 'added')}")
        return edits


def overflown(one: Any, other: Any) -> str:
    """Return that one of two numbers is infinite because its dtype has none so large, if so; else ""."""
    for x, y in ((one, other), (other, one)):
        floats = isinstance(x, np.floating) and isinstance(y, np.floating)
        if floats and np.isinf(x) and limits(x.dtype).max < abs(y) < np.inf:
            return f"it overflows {x.dtype}"
    return ""


def _described(side: Side, position: int | None, paired: Container[int], otherwise: str) -> str:
    """Return the name of an operand, and its operation if it is only on this side."""
    if position is None:
        return "nothing"
    node = side.order[position]
    return f'"{node.title}"' + ("" if position in paired else f" ({node.op.name}, {otherwise})")


def _averaged(step: Step) -> dict[float, str]:
    """Return of how many numbers a mean is, in all and along each axis, in words by their count."""
    node = step.node
    if not isinstance(node.op, Mean):
        return {}
    (x,) = step.operands
    sizes = [x.shape[axis] for axis in node.op.over(len(x.shape))]
    along = {size: f"{node.name} is over an axis of {size}" for size in sizes}
    return along | {math.prod(sizes): f"{node.name} is of {math.prod(sizes)} numbers"}
