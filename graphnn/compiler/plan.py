"""A plan: a schedule for one set of sizes as straight-line NumPy, made once and called many times."""

from __future__ import annotations

import linecache
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import Context
from functools import cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from .._util.numpy_warnings import quietly
from .buffer_allocation import Layout, most_apart
from .codegen_functions import compiled, defined
from .fusion import chains
from .ir_values import in_c_order
from .lowering import Lowering
from .numpy_codegen import Source
from .plan_explanation import Explanation
from .thresholds import Settings

if TYPE_CHECKING:
    from ..core import Array, Node
    from ..runtime.evaluation_loop import Prepared
    from .intermediate_representation import DType
    from .ir_values import Value
    from .sparse_updates import Tables

_USUAL = Settings()


class Plan:
    """A schedule for one set of sizes as straight-line NumPy.

    Attributes
    ----------
    source : str
        The complete code: ``plan(**arguments)`` returns a function of the given values that returns the fetches.
    arguments : dict of str to object
        The constants, and the functions of operations that are more than one call of NumPy.
    given : list of Node
        The placeholders, then the parameters that are read.
    calls : int
        How often the compiled step has called it.
    written : list of Node
        The placeholders whose arrays a call writes over.

    Parameters
    ----------
    prepared : Prepared
    settings : Settings
    tables : Tables, optional
    lent : collection of Node
        Placeholders whose arrays may be written over: the caller needs them no more.
    """

    def __init__(
        self,
        prepared: Prepared,
        settings: Settings = _USUAL,
        tables: Tables | None = None,
        lent: Collection[Node] = (),
    ) -> None:
        lowering = Lowering(prepared, settings, {} if tables is None else tables.found(prepared, settings), lent)
        self._take(prepared, lowering.given, [value.shape for value in lowering.given])
        self._lowered = lowering
        self.written = [given.node for given in lowering.over.values()]
        self._chains = found = chains(lowering.values, lowering.fetches, settings)
        self._layout = Layout(lowering.values, lowering.fetches, found, settings)
        source = Source(lowering, found, self._layout, settings.lines)
        self.source, self.arguments = "".join(source.texts), source.arguments
        file = f"<plan of {prepared.program.graph.name[:40]!r} {id(self):x}>"
        linecache.cache[file] = (len(self.source), None, self.source.splitlines(keepends=True), file)
        weakref.finalize(self, linecache.cache.pop, file, None)
        self._make = defined(compiled(source.texts, file))
        self._quietly = quietly if lowering.foreign else None
        self._idle: list[tuple[Callable[..., Any], Callable[..., tuple[Array, ...]]]] = []

    @property
    def _lowering(self) -> Lowering:
        return self._lowered

    def _take(self, prepared: Prepared, given: Sequence[Value], shapes: Sequence[tuple[int, ...]]) -> None:
        """Take what any plan has of its schedule, and of what it is called with."""
        self.calls = 0
        program = prepared.program
        self.given = [value.node for value in given]
        count = len(program.placeholders)
        self._fed = self.given[:count]
        self._count = count
        self._from_feed = _all_of(self._fed)
        dtypes = [value.dtype for value in given[:count]]
        self._fits = _check_of(dtypes, shapes[:count])
        self.read = _all_of(self.given[count:])
        """Reads the values of the parameters from a state, all at once."""
        self._graph = program.graph
        fed_dims = {dim for node in program.placeholders for dim in node.shape}
        # Otherwise each call must check `sizes=`, or the memory that is free.
        self._settled = prepared.binding.fits_any_memory(program.graph) and fed_dims.issuperset(program.dimension_names)

    def __call__(self, *given: Array) -> tuple[Array, ...]:
        """Return the fetches, each an array of its own.

        Each call that runs at the same time has buffers of its own.
        """
        return self.of(given)

    def of(self, given: tuple[Array, ...]) -> tuple[Array, ...]:
        """Return the fetches, as a call does."""
        try:
            idle = self._idle.pop()
        except IndexError:
            idle = self._quietly or _quiet_context(), self._made()
        call, step = idle
        results: tuple[Array, ...] = call(step, *given)
        self._idle.append(idle)
        return results

    def _made(self) -> Callable[..., Any]:
        """Return the step, with memory of its own."""
        made: Callable[..., Any] = self._make(**self.arguments)
        return made

    def explain(self) -> Explanation:
        """Return how each node is computed, and where its value lies in memory."""
        return Explanation(self._lowering, self._chains, self._layout, most_apart(self._lowering.values))

    is_whole = False
    """Whether a step is one call, which looks up what it is fed, and updates the state."""

    def whole(self, feed: object, state: object) -> tuple[Array, ...] | None:
        """Do a whole step, updates included; return None, with nothing done, if the feed is not just as planned."""
        return None

    def forget(self) -> None:
        """Let go of the memory that steps keep for the next values of parameters."""

    is_short = False
    """Whether it is so short that a `FAST_LOOP` may run it for each iteration of a loop, without Python in between."""

    def fitting(self, feed: Mapping[Any, Any]) -> tuple[Any, ...] | None:
        """Return the arrays of a feed in order, or None if the plan cannot take them as they are.

        Anything unusual, such as another layout, or a key too many, is left to the full check of a feed.
        """
        if (
            type(feed) is not dict
            or len(feed) != self._count
            or not self._settled
            or self._graph.memory_budget is not None
        ):
            return None
        try:
            arrays = self._from_feed(feed)
        except KeyError:
            keys = [node if node in feed else node.name for node in self._fed]
            if not all(key in feed for key in keys):
                return None
            self._from_feed = _all_of(keys)
            arrays = self._from_feed(feed)
        if self._fits(*arrays):
            return arrays
        arrays = tuple([_as_fed(x, node.dtype) for x, node in zip(arrays, self._fed, strict=True)])
        return arrays if self._fits(*arrays) else None


_NUMBERS = frozenset({int, float, np.float32, np.float64, np.int64})


def _as_fed(x: Any, dtype: DType) -> Any:
    """Return a number as the array that the full check of a feed makes of it; anything else as it is.

    Neither an overflow nor an underflow comes of it, and no integer is rounded.
    """
    if type(x) in _NUMBERS and dtype.char in "fd" and (x == 0 or 1e-30 < x < 2**24 or -(2**24) < x < -1e-30):
        return np.array(x, dtype)
    return x


def _all_of(keys: Sequence[Any]) -> Callable[[Mapping[Any, Any]], tuple[Any, ...]]:
    """Return a function that reads the values of these keys from a mapping."""
    if len(keys) > 1:
        return itemgetter(*keys)
    if not keys:
        return lambda mapping: ()
    (key,) = keys
    return lambda mapping: (mapping[key],)


def _check_of(dtypes: Sequence[DType], shapes: Sequence[tuple[int, ...]]) -> Callable[..., bool]:
    """Return a function that checks that arrays have these dtypes and shapes, and the layout of new arrays."""
    steps = map(_usual_strides, shapes, dtypes)
    return _checks(tuple(1 in shape for shape in shapes))(*dtypes, *shapes, *steps)


def _usual_strides(shape: tuple[int, ...], dtype: DType) -> tuple[tuple[int, ...], ...]:
    """Return the strides of a new array, and those of one to which axes of one element were added.

    NumPy takes an array to be in C order however far it steps along an axis of one element. Other steps are left to the
    full check of a feed.
    """
    steps = in_c_order(shape, dtype)
    return steps, tuple(0 if n == 1 else step for step, n in zip(steps, shape, strict=True))


@cache
def _checks(stepping: tuple[bool, ...]) -> Callable[..., Callable[..., bool]]:
    """Return a function of dtypes, shapes and strides that returns a check of arrays; `stepping`: whose strides count.

    Every call needs it, so it is written out as one expression, which is twice as fast as a loop.
    """
    count = range(len(stepping))
    arrays, *laid = (", ".join(f"{letter}{i}" for i in count) for letter in "xtsd")
    tests = [
        f"type(x{i}) is ndarray and x{i}.dtype is t{i} and x{i}.shape == s{i}"
        + (f" and x{i}.strides in d{i}" if stepping[i] else "")
        for i in count
    ]
    # NumPy's flags as one number: 1 is C-contiguous, 256 is aligned. To ask for them by name costs two objects.
    flags = [f"x{i}.flags.num" for i in count]  # few in an expression, which Python compiles by recursion
    tests += [f"{' & '.join([*flags[i : i + 100], '257'])} == 257" for i in range(0, max(1, len(flags)), 100)]
    code = f"lambda {', '.join(filter(None, laid))}: lambda {arrays}: {' and '.join(tests)}"
    made: Callable[..., Callable[..., bool]] = eval(code, {"ndarray": np.ndarray})  # noqa: S307 - nothing but numbers
    return made


def _quiet_context() -> Callable[..., Any]:
    """Return a function that calls another with NumPy's warnings off. Two threads may not use it at the same time.

    NumPy keeps `errstate` in a context variable: to enter a context where it is set costs less than to set it.
    """
    context = Context()
    context.run(np.seterr, all="ignore")
    return context.run
