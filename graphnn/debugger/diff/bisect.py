"""Where two programs part that were recorded step by step: `bisect`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from ..._util.display import Shown
from ..._util.text import counted
from ...errors import UsageError
from ...io.graph_files import load
from ..traces import Recording, Trace
from .compare import compare

if TYPE_CHECKING:
    from .differences import Comparison, Difference


class Bisection(Shown):
    """The first step at which two recorded programs differ. Made by `bisect`.

    Attributes
    ----------
    step : int or None
        Its number; None if they do not differ.
    comparison : Comparison or None
        That of the two runs of the step; of the last one, if they do not differ.
    read : list of int
        The numbers of the steps that were looked at, in this order.
    steps : int
        How many steps both have.
    """

    def __init__(self, step: int | None, comparison: Comparison, read: list[int], steps: int) -> None:
        self.step, self.comparison, self.read, self.steps = step, comparison, read, steps

    @property
    def first(self) -> Difference | None:
        """The first node that differs in that step."""
        return self.comparison.first

    def __repr__(self) -> str:
        if self.step is None:
            return f"<Bisection: {counted(self.steps, 'step')}, equal to the bit>"
        return f"<Bisection: they first differ in step {self.step}, of {self.steps:,}>"

    def __str__(self) -> str:
        looked = f"looked at {len(self.read)} of {counted(self.steps, 'step')}: {', '.join(map(str, self.read))}"
        if self.step is None:
            return f"the recorded steps do not differ\n{looked}"
        return f"they first differ in step {self.step}\n{self.comparison}\n{looked}"


def bisect(a: Any, b: Any) -> Bisection:
    """Find the first step at which two recorded programs differ, and the first node in it.

    Parameters
    ----------
    a, b : Run, Recording, or path
        Steps recorded by ``gn.watch(…, steps="all")`` or by `recording`; digests are enough, ``keep="digests"``. A path
        is that of the file of a run.

    Returns
    -------
    Bisection

    Raises
    ------
    UsageError
        When something else is given, or no step is recorded in both.

    Notes
    -----
    Steps are compared by their numbers. The parameters and the state of optimizers at the beginning of a step tell
    whether the two have parted before. From then on they stay apart, so halving finds the step: of 64, at most 8 are
    read. The two must have parameters of the same names.

    Examples
    --------
    >>> from graphnn import Graph, compile, recording
    >>> films = []
    >>> for fed in ([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.5, 4.0]):
    ...     g = Graph()
    ...     x, w = g.placeholder("x"), g.parameter("w", 1.0)
    ...     step = compile(w * x, updates={w: w - 0.1 * x})
    ...     with recording(step, keep="digests") as film:
    ...         for number in fed:
    ...             _ = step({x: number})
    ...     films.append(film)
    >>> found = bisect(*films)
    >>> found.step, found.first.node.name
    (2, 'x')
    """
    first, second = _steps_of(a, "a"), _steps_of(b, "b")
    numbers = [number for number in first if number in second]
    if not numbers:
        raise UsageError("no step is recorded in both: record the same numbers of steps, as with steps='all'")
    read: list[int] = []

    def both(place: int) -> tuple[Trace, Trace]:
        number = numbers[place]
        if number not in read:
            read.append(number)
        return first[number](), second[number]()

    def have_parted(place: int) -> bool:
        """Return whether the two differ where a step begins."""
        mine, its = (_state_of(trace) for trace in both(place))
        return any(its.get(name, digest) != digest for name, digest in mine.items())

    low, high = 0, len(numbers)  # the first place where they have parted is in low … high
    while low < high:
        middle = (low + high) // 2
        if have_parted(middle):
            high = middle
        else:
            low = middle + 1
    place = max(low - 1, 0)
    comparison = compare(*both(place))
    differs = comparison.first is not None or low < len(numbers)
    return Bisection(numbers[place] if differs else None, comparison, read, len(numbers))


def _steps_of(recorded: Any, which: str) -> Mapping[int, Callable[[], Trace]]:
    """Return what gives the trace of each recorded step, by its number."""
    if isinstance(recorded, (str, PathLike)):
        recorded = load(recorded)
    traces: Sequence[Trace]
    if isinstance(recorded, Recording):
        numbers, traces = recorded.calls, recorded
    elif hasattr(recorded, "traces") and hasattr(recorded, "steps"):
        numbers, traces = recorded.steps, recorded.traces
    else:
        raise UsageError(
            f'{which} is {type(recorded).__name__}: bisect takes runs of several steps, gn.watch(…, steps="all") or '
            "gn.recording(step), or the path of one"
        )
    return {number: lambda place=place: traces[place] for place, number in enumerate(numbers)}  # type: ignore[misc]


def _state_of(trace: Trace) -> dict[str, str]:
    """Return the digests of the parameters that a step began with, by their names."""
    return {record.name: record.digest for record in trace if record.node.op.is_parameter}
