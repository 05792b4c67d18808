"""What a comparison of two runs finds, and its text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..._util.display import Shown
from ..._util.text import NARROWEST, PAGE, columns_there, counted, in_lines, plain, short_name, visible
from ...core.attributes import whole
from ...core.symbolic_shapes import shown

if TYPE_CHECKING:
    from ...core import Node
    from ..why import Read

_MOST_NAMES, _LONGEST = 8, 60
_MOST_ULPS = 10_000  # that say more than a relative difference
_LEAST_LOST = 0.05  # digits that are worth a line
_MOST_LINES = 12  # of a page, that a line is broken into


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
        Without a counterpart, or run in only one of the two.
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
        −log10 of the largest error divided by the largest number of the more exact value; at most what the dtype has
        (7.2 for float32, 16 for float64).
    lost : float
        How many fewer than the worst of its operands has: those that are lost at this node.
    """

    left: float
    lost: float


class Agreement(NamedTuple):
    """How the values of one node agree.

    Attributes
    ----------
    node : Node
        Of the first run.
    other : Node or None
        Its counterpart; None where the values were given as arrays, or come from another runtime.
    how : str
        ``"equal"``, ``"within"`` the tolerance, or ``"differing"``.
    absolute : float or None
        The largest difference of two elements; None for two shapes.
    digits : float or None
        How many decimal digits of its largest number agree, for floats: at most what the dtypes have.
    """

    node: Node
    other: Node | None
    how: str
    absolute: float | None
    digits: float | None


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
        How many steps of the dtype `a` and `b` are apart; None for two dtypes or signs, numbers that are not finite,
        and numbers of which one is more than twice the other.
    outside, size : int
        How many elements differ by more than the tolerance, of how many.
    misfit : str
        What else differs, such as shapes and dtypes; or what makes them equal: a transpose, or a number that one is
        multiplied by or that is added to it.
    edits : tuple of str
        How the two nodes differ themselves: operation, attributes, operands, a constant's value.
    operands_equal : bool or None
        Whether all operands are equal to the bit, and counterparts of each other; None where that is not known.
    cause : str
        Why they differ here, in a sentence.
    rounding : bool or None
        Whether rounding may make as large a difference, of equal operands or of those that each run has. None where
        that is not known, and after a difference that rounding does not explain.
    inputs : dict of str to str
        How each operand agrees, by its name: equal, within the tolerance, differing, or not compared.
    values : pair of array, or None
        Of the first difference only, as `operands`: both values, or the preview of one that was not kept whole.
    operands : pair of tuple of array, or None
        What they were computed from.
    reads : tuple of str
        What each operand gave to that element, in words, first of `a`, then of `b`.
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
    rounding: bool | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    values: tuple[Any, Any] | None = None
    operands: tuple[tuple[Any, ...], tuple[Any, ...]] | None = None
    reads: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the node, in the first run."""
        return self.node.name

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, fit for JSON and without the arrays: NaN and infinities as text."""
        return {
            "node": self.name,
            "other": None if self.other is None else self.other.name,
            "op": self.node.op.name,
            "index": self.index,
            "element": self.element,
            "a": None if self.a is None else plain(self.a.item()),
            "b": None if self.b is None else plain(self.b.item()),
            "absolute": plain(self.absolute),
            "relative": plain(self.relative),
            "ulps": self.ulps,
            "outside": self.outside,
            "size": self.size,
            "misfit": self.misfit,
            "edits": list(self.edits),
            "operands_equal": self.operands_equal,
            "cause": self.cause,
            "rounding": self.rounding,
            "inputs": dict(self.inputs),
            "origin": str(self.node.origin),
        }

    def __repr__(self) -> str:
        return f"<Difference at {quoted(self.node)}: {visible(self.cause)}>"


@dataclass(eq=False, repr=False)
class Comparison(Shown):
    """What `compare` found; true if the runs are equal within the tolerance.

    Attributes
    ----------
    a, b : str
        What the two runs are called.
    graph : str or None
        The name of their graph; None where they are of two that have different names.
    counts : Counts
    differences : list of Difference
        In the order of the first schedule.
    digits : dict of str to Digits
        By the name of the node in the first run: how exact a value is whose float dtype differs between the runs, or
        that was computed from such values.
    pairs : list of (Node, Node or None)
        The nodes whose values were compared.
    only_a, only_b : list of Node
        Those without a counterpart, or whose counterpart was not run, where a run was stopped.
    stopped : pair of Node or None
        Where each run was stopped, if it was.
    nan : Node or None
        The first node whose values agree and hold NaN.
    sizes : dict of str to (int, int)
        The dimensions whose sizes differ, such as that of the batch.
    agreements : list of Agreement
        For each node that was compared, in the order of the first schedule; `table` prints them.
    sampled : int
        How many values are within the tolerance as far as samples and statistics show, where a trace of digests has
        kept no more.
    """

    a: str
    b: str
    graph: str | None
    counts: Counts
    differences: list[Difference]
    digits: dict[str, Digits]
    pairs: list[tuple[Node, Node | None]]
    only_a: list[Node]
    only_b: list[Node]
    stopped: tuple[Node | None, Node | None] = (None, None)
    nan: Node | None = None
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    agreements: list[Agreement] = field(default_factory=list)
    sampled: int = 0

    @property
    def equal(self) -> bool:
        """Whether something was compared, and no value differs by more than the tolerance."""
        return bool(self.pairs) and not self.differences

    def __bool__(self) -> bool:
        return self.equal

    @property
    def first(self) -> Difference | None:
        """The first difference, by the order of the schedule."""
        return self.differences[0] if self.differences else None

    @property
    def beyond_rounding(self) -> Difference | None:
        """The first difference that rounding does not explain; None if there is none, or if that is not known."""
        found = next((each for each in self.differences if each.rounding is not True), None)
        return None if found is None or (found.rounding is None and not found.edits) else found

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, fit for JSON."""
        return {
            "graph": self.graph,
            "a": self.a,
            "b": self.b,
            "equal": self.equal,
            "counts": self.counts._asdict(),
            "first": None if self.first is None else self.first.to_dict(),
            "beyond_rounding": None if self.beyond_rounding is None else self.beyond_rounding.name,
            "differences": [difference.to_dict() for difference in self.differences],
            "digits": {name: digits._asdict() for name, digits in self.digits.items()},
            "agreements": [
                {
                    "node": each.node.name,
                    "other": None if each.other is None else each.other.name,
                    "how": each.how,
                    "absolute": plain(each.absolute),
                    "digits": each.digits,
                }
                for each in self.agreements
            ],
            "sampled": self.sampled,
            "only_a": [node.name for node in self.only_a],
            "only_b": [node.name for node in self.only_b],
            "stopped": [None if node is None else node.name for node in self.stopped],
            "nan": None if self.nan is None else self.nan.name,
            "sizes": {name: list(pair) for name, pair in self.sizes.items()},
        }

    def __repr__(self) -> str:
        return f"<Comparison of {visible(_verdict(self))}>"

    def text(self, width: int | None = PAGE) -> str:
        """Return it as it is printed.

        Parameters
        ----------
        width : int or None
            The maximum number of characters of a line; of each list of nodes, the first eight are there. None: all of
            them, each list and each sentence on a line.

        Examples
        --------
        >>> from graphnn import Graph, compare
        >>> x = Graph("line").placeholder("x", ("n",))
        >>> print(compare(x * 2.0, None, {x: [1.0, 2.0]}, {x: [1.0, 3.0]}).text(None))
        "line": feed and feed_b first differ at "x"
        3 nodes compared: 1 equal, 2 differing
        <BLANKLINE>
        "x" (placeholder, step 0), made at <doctest ...>:1
          the feed differs
          at [1]: 2.0 against 3.0; 1 of 2 elements differ
          largest difference 1, largest relative one 0.333
        differing after it: "multiply"
        """
        if width is None:
            return "\n".join(visible(line) if line else "" for line in _text(self, None, None))
        most = max(whole("width=", width), NARROWEST)
        lines = [short_name(line, _MOST_LINES * most) if line else "" for line in _text(self, _MOST_NAMES, _LONGEST)]
        return "\n".join(part for line in lines for part in in_lines(line, most, "", "    ") or [""])

    def __str__(self) -> str:
        return self.text(columns_there() or PAGE)

    def table(self, width: int | None = PAGE) -> str:
        """Return how the values of each node agree, a line a node, in the order of the first schedule.

        Parameters
        ----------
        width : int or None
            The maximum number of characters of a line, for which long names are cut; None: whole names.

        Examples
        --------
        >>> from graphnn import Graph, compare
        >>> x = Graph("line").placeholder("x", ("n",))
        >>> print(compare(x * x - x, None, {x: [1.0001]}, dtypes=("float32", "float16")).table())
        agree      digits  lost  difference  node
        within        3.3   0.0      0.0001  x
        within        3.3   0.0      0.0002  multiply
        differing     0.0   3.3      0.0001  subtract
        """
        rows = ["agree      digits  lost  difference  node"]
        room = None if width is None else max(whole("width=", width), NARROWEST) - rows[0].index("node")
        for node, _, how, absolute, digits in self.agreements:
            lost = self.digits[node.name].lost if node.name in self.digits else None
            figures = [f"{'' if each is None else format(each, '.1f'):>6}" for each in (digits, lost)]
            apart = "" if absolute is None else f"{absolute:.3g}"
            rows.append(f"{how:<9}  {figures[0]}{figures[1]}  {apart:>10}  {_shortened(node.title, room)}")
        return "\n".join(rows)


# --- as text --------------------------------------------------------------------------------------------------


def _verdict(found: Comparison, longest: int | None = _LONGEST) -> str:
    """Return a sentence that says whether the runs are equal."""
    subject = f'"{found.graph}": ' if found.graph is not None else ""
    both = f"{subject}{found.a} and {found.b}"
    if found.first is not None:
        return f"{both} first differ at {quoted(found.first.node, longest)}"
    if not found.pairs:
        return f"{both} have no node in common"
    if not found.counts.within:
        far = ", as far as both ran" if any(node is not None for node in found.stopped) else ""
        return f"{both} are equal{far}" if found.digits else f"{both} are equal to the bit{far}"
    worst = min(found.digits, key=lambda name: found.digits[name].left, default="")
    most = max((digits.left for digits in found.digits.values()), default=0.0)
    if worst and found.digits[worst].left < most / 2:
        left = f"only {found.digits[worst].left:.1f}" if found.digits[worst].left >= _LEAST_LOST else "no"
        return f'{both} agree within the tolerance, though "{worst}" has {left} digits left'
    seen = ", as far as samples and statistics show" if found.sampled else ""
    return f"{both} agree within the tolerance{seen}"


def _text(found: Comparison, most: int | None, longest: int | None) -> Iterator[str]:
    """Yield its lines, with at most so many nodes in each list, and names of at most so many characters."""
    first, counts = found.first, found.counts
    yield _verdict(found, longest)
    compared = counts.equal + counts.within + counts.differing
    kinds = ((counts.equal, "equal"), (counts.within, "within the tolerance"), (counts.differing, "differing"))
    agreeing = ", ".join(f"{count:,} {kind}" for count, kind in kinds if count)
    results = len(found.differences) - counts.differing
    otherwise = f"; {counted(results, 'result')} of other nodes, differing" if results else ""
    yield f"{counted(compared, 'node')} compared{': ' if agreeing else ''}{agreeing}{otherwise}"
    for name, (size, other) in found.sizes.items():
        yield f'the sizes differ: "{_shortened(name, longest)}" is {size:,} in {found.a} and {other:,} in {found.b}'
    ends = {found.a: found.stopped[0], found.b: found.stopped[1]}
    if found.stopped[0] is found.stopped[1]:
        ends = {"each": found.stopped[0]}
    yield from (f"{name} was stopped at {quoted(node, longest)}" for name, node in ends.items() if node is not None)
    if found.nan is not None:
        yield f"{quoted(found.nan, longest)} holds NaN in both: a health check says why"
    if first is not None:
        yield ""
        yield from _first(found, first, longest)
        beyond = found.beyond_rounding
        if beyond is not None and beyond is not first:
            yield f"rounding explains the differences before {quoted(beyond.node, longest)}; there, {beyond.cause}"
        elif all(each.rounding for each in found.differences[1:]) and first.rounding and found.differences[1:]:
            yield "rounding explains all differences"
    only = "only" if all(node is None for node in found.stopped) else "only run"
    for title, names in (
        ("differing after it", [quoted(difference.node, longest) for difference in found.differences[1:]]),
        (f"{only} in {found.a}", [quoted(node, longest) for node in found.only_a]),
        (f"{only} in {found.b}", [quoted(node, longest) for node in found.only_b]),
    ):
        if names:
            more = f", and {len(names) - most:,} more" if most and len(names) > most else ""
            yield f"{title}: {', '.join(names[:most])}{more}"
    if found.digits:
        yield ""
        yield from _lost(found.digits, most, longest)


def _lost(digits: Mapping[str, Digits], most: int | None, longest: int | None) -> Iterator[str]:
    """Yield a table of the nodes that lose digits."""
    losing = sorted([item for item in digits.items() if item[1].lost >= _LEAST_LOST], key=lambda item: -item[1].lost)
    if not losing:
        least = min(each.left for each in digits.values())
        yield f"no node loses digits: {least:.1f} or more are left of the largest number of each"
        return
    yield "digits lost  left  at"
    for name, each in losing[:most]:
        yield f"{each.lost:11.1f} {each.left:5.1f}  {_shortened(name, longest)}"
    if most and len(losing) > most:
        yield f"and {counted(len(losing) - most, 'node')} more"


def _first(found: Comparison, first: Difference, longest: int | None) -> Iterator[str]:
    node, other = first.node, first.other
    made, renamed = f", made at {node.origin}", ""
    if other is not None and other.op.is_torch_call and other.origin != node.origin:
        renamed = f"{made}, beside {quoted(other, longest)} of {found.b}"
        made = f", made at {other.origin}"
    elif other is not None and other.name != node.name:
        renamed = f" beside {quoted(other, longest)} of {found.b}"
    yield f"{quoted(node, longest)} ({node.op.name}, step {first.index}){renamed}{made}"
    yield f"  {first.cause}"
    if first.misfit not in first.cause:
        yield f"  {first.misfit}"
    if first.a is not None:
        at = f"at [{', '.join(map(str, first.element))}]: " if first.element else ""
        count = f"; {first.outside:,} of {first.size:,} elements differ" if first.size > 1 else ""
        yield f"  {at}{first.a!s} against {first.b!s}{count}"
        numbers = "b" not in first.a.dtype.kind + first.b.dtype.kind
        if first.absolute == 0:
            yield "  they differ only in the sign of zero"
        elif numbers and first.absolute is not None and math.isfinite(first.absolute):
            steps = "" if first.ulps is None or first.ulps > _MOST_ULPS else f", {first.ulps:.3g} ulps there"
            yield f"  largest difference {first.absolute:.3g}, largest relative one {first.relative:.3g}{steps}"
    elif first.absolute and math.isfinite(first.absolute):
        yield f"  they differ by {first.absolute:.3g} at least, {first.relative:.3g} of the largest"
    if first.rounding:
        yield "  rounding may explain this"
    elif first.rounding is False and first.inputs:
        yield "  rounding does not explain this"
    yield from (f"  {line}" for line in first.reads)


NOTHING = "nothing"  # an operand that only one of two nodes has


def part_of(value: Any) -> Any:
    """Return a value, or its preview if a trace did not keep it whole."""
    return value if isinstance(value, np.ndarray) or value is None else value.preview


def in_short(value: Any) -> str:
    """Return an operand in short."""
    if value is None or isinstance(value, str):
        return value or "not given"
    part = part_of(value)
    if part.size == 1:
        return str(part.item())
    if isinstance(value, np.ndarray):
        finite = np.isfinite(part)
        first = part.flat[int(np.argmax(finite))] if finite.any() else np.nan
        low, high = (extreme(part, initial=first, where=finite) for extreme in (np.min, np.max))
    else:
        low, high = value.stats[:2]
    if np.isnan(low):
        return f"{shown(value.shape)} {value.dtype}, no finite number"
    return f"{shown(value.shape)} {value.dtype}, {float(low):.4g} to {float(high):.4g}"


def beside(a: Read, b: Read) -> list[str]:
    """Return what an operand gave in one run, and what in the other if that differs."""
    if a.place == b.place and np.array_equal(a.values, b.values, equal_nan=True):
        return [a.said or "not read"]
    x, y = (read.said or "not read" for read in (a, b))
    if a.place != b.place:
        return [x, f"[{b.place}]: {y}"]
    if a.count == b.count == 1 and len({f"{float(read.values[0]):.4g}" for read in (a, b)}) == 1:
        return [str(read.values[0]) for read in (a, b)]  # in four digits they are the same
    return [x, y] if x != y else [f"{x}, and almost the same"]


def quoted(node: Node, longest: int | None = _LONGEST) -> str:
    """Return a node's name in quotation marks, with its middle left out where it is too long."""
    return f'"{_shortened(node.title, longest)}"'


def _shortened(name: str, longest: int | None) -> str:
    return visible(name) if longest is None else short_name(name, longest)
