"""Where a run stops: breakpoints, and the conditions that they wait for.

A condition is written in a small language, which is parsed and never evaluated as code; or it is a function.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn

import numpy as np

from .._util.numpy_warnings import quietly
from .._util.text import counted, visible
from ..control_flow.iteration_names import is_bundle
from ..core import as_array, is_float
from ..errors import UsageError, ValueRangeError
from ..runtime.evaluation_loop import Step
from .expression_tokens import Tokens
from .traces import norm_of, stats_of

if TYPE_CHECKING:
    from ..core import Array, Node, Op


class Context(NamedTuple):
    """What a condition may know of a run besides the step.

    Attributes
    ----------
    before : callable
        Gives the value that the node of a step had in the run before, if there was one.
    op_of : callable
        Gives the operation that a node has.
    """

    before: Callable[[Step], Array | None] = lambda step: None
    op_of: Callable[[Node], Op] = lambda node: node.op


_ALONE = Context()
_Test = Callable[[Step, Context], bool]

_MOST = 200  # characters, so that nothing is nested too deeply
_SATURATED = 0.9
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_QUANTITIES: dict[str, Callable[[Array], float]] = {
    "min": lambda value: float(np.fmin.reduce(value, None)) if value.size else np.nan,
    "max": lambda value: float(np.fmax.reduce(value, None)) if value.size else np.nan,
    "mean": lambda value: stats_of(value).mean,
    "std": lambda value: stats_of(value).std,
    "norm": norm_of,
    "zeros": lambda value: stats_of(value).zeros,
    "nans": lambda value: stats_of(value).nans,
    "infs": lambda value: stats_of(value).posinfs + stats_of(value).neginfs,
    "size": lambda value: value.size,
}
# The bounds at which the result of an operation no longer changes.
_BOUNDS: dict[str, tuple[float, ...]] = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "relu": (0.0,), "erf": (-1.0, 1.0)}


class Condition:
    """A condition on the value of a node.

    Parameters
    ----------
    text : str
        Ready-made: ``nan``; ``inf``; ``zero``, all elements are 0; ``above 3`` and ``below -3``, some element is;
        ``saturated``, nine of ten elements lie on a bound of the operation (of sigmoid, tanh, erf, relu, clip) or,
        of others, are exactly 0 or 1; ``unchanged`` since the run before. Or a comparison of ``min``, ``max``,
        ``mean``, ``std``, ``norm``, ``zeros``, ``nans``, ``infs``, ``size`` or ``value[i, j]`` with a number, by
        ``<``, ``<=``, ``>``, ``>=``, ``==`` or ``!=``; of ``value`` or ``value[i]``, where that is several elements,
        some must. Joined by ``and``, ``or``, ``not`` and parentheses.

    Raises
    ------
    ValueRangeError
        When the text is none of these.
    UsageError
        When `text` is not a str.

    Examples
    --------
    >>> condition = Condition("nan or max > 1e3")
    >>> condition
    Condition('nan or max > 1e3')
    >>> condition.holds_of(np.array([1.0, 2000.0])), condition.holds_of(np.array([1.0]))
    (True, False)
    >>> Condition("max >")
    Traceback (most recent call last):
        ...
    graphnn.errors.ValueRangeError: the condition "max >" ends where a number should come
      at <doctest ...>:1
    """

    FLAGS: ClassVar[tuple[str, ...]] = ("nan", "inf", "zero", "saturated", "unchanged")

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise UsageError(f"a condition is written as text, not as {type(text).__name__}")
        self.text = text
        if len(text) > _MOST:
            raise ValueRangeError(f"a condition has up to {_MOST} characters, not {len(text):,}")
        self._tokens = Tokens(text, self._refuse)
        self._test = self._either()
        self._tokens.end()

    def __call__(self, step: Step, context: Context = _ALONE) -> bool:
        """Return whether it holds for a step; never of all that a loop gives together, which are no numbers."""
        if step.node is not None and is_bundle(step.node):
            return False
        return quietly(self._test, step, context)

    def holds_of(self, value: Any) -> bool:
        """Return whether it holds for an array that is not the value of a node."""
        return self(Step(0, None, (), as_array(value, "the value")))  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"Condition({self.text!r})"

    def _refuse(self, what: str) -> NoReturn:
        raise ValueRangeError(f'the condition "{self.text}" {what}')

    def _either(self) -> _Test:
        tests = [self._both()]
        while self._tokens.skips("or"):
            tests.append(self._both())
        return tests[0] if len(tests) == 1 else lambda step, context: any(test(step, context) for test in tests)

    def _both(self) -> _Test:
        tests = [self._single()]
        while self._tokens.skips("and"):
            tests.append(self._single())
        return tests[0] if len(tests) == 1 else lambda step, context: all(test(step, context) for test in tests)

    def _single(self) -> _Test:
        kind, word = self._tokens.next("a condition")
        if word == "not":
            denied = self._single()
            return lambda step, context: not denied(step, context)
        if word == "(":
            inner = self._either()
            if self._tokens.next('")"')[1] != ")":
                self._refuse('lacks a ")"')
            return inner
        if word in ("above", "below"):
            bound = self._tokens.number()
            over = word == "above"
            compare = operator.gt if over else operator.lt
            return lambda step, context: bool(compare(np.asarray(step.value, np.float64), bound).any())
        if word in self.FLAGS:
            return _FLAGS[word]
        if word == "value":
            quantity: Callable[[Array], Any] = self._part()
        elif kind == "word" and word in _QUANTITIES:
            quantity = _QUANTITIES[word]
        else:
            known = ", ".join([*self.FLAGS, "above", "below", *_QUANTITIES, "value", "value[…]"])
            self._refuse(f'has "{word}" where one of these should come: {known}')
        sign = self._tokens.next("a comparison")[1]
        if sign not in _COMPARISONS:
            self._refuse(f'has "{sign}" where one of {" ".join(_COMPARISONS)} should come')
        compare, number = _COMPARISONS[sign], self._tokens.number()
        return lambda step, context: bool(np.any(compare(quantity(step.value), number)))

    def _part(self) -> Callable[[Array], Any]:
        index: list[int] = []
        tokens = self._tokens
        if tokens.skips("["):
            closed = tokens.skips("]")
            while not closed:
                number = tokens.number()
                if not number.is_integer():
                    tokens.refuse(f"has {number} where an index should come")
                index.append(int(number))
                closed = tokens.expect(",", "]") == "]" or tokens.skips("]")

        def part(value: Array) -> Any:
            inside = len(index) <= value.ndim and all(-n <= i < n for i, n in zip(index, value.shape, strict=False))
            # In float64, or the number would be rounded to a dtype that may not have it.
            return np.asarray(value[tuple(index)], np.float64) if inside else np.empty(0)

        return part


def _saturated(step: Step, context: Context) -> bool:
    bounds: tuple[float, ...] = (0.0, 1.0)
    if step.node is not None:
        if not step.node.inputs:
            return False  # placeholders, parameters and constants are not results
        op = context.op_of(step.node)
        attributes = op.attributes
        limits = tuple(attributes[side] for side in ("lo", "hi") if attributes.get(side) is not None)
        bounds = limits or _BOUNDS.get(op.name, bounds)
    on_bound = sum(int(np.count_nonzero(step.value == bound)) for bound in dict.fromkeys(bounds))
    return step.value.size > 0 and on_bound >= _SATURATED * step.value.size


def _unchanged(step: Step, context: Context) -> bool:
    former = context.before(step)
    return former is not None and former.tobytes() == step.value.tobytes()


_FLAGS: dict[str, _Test] = {
    "nan": lambda step, context: is_float(step.value.dtype) and bool(np.isnan(step.value).any()),
    "inf": lambda step, context: is_float(step.value.dtype) and bool(np.isinf(step.value).any()),
    "zero": lambda step, context: step.value.size > 0 and not step.value.any(),
    "saturated": _saturated,
    "unchanged": _unchanged,
}


def condition_of(when: Any) -> Any:
    """Return what a user gave as a condition: one in words, parsed, or a function of a step."""
    if isinstance(when, str):
        return Condition(when)
    if not callable(when):
        raise UsageError(f"when= is a condition in words or a function of a step, not {type(when).__name__}")
    return when


def holds(when: Any, step: Step, context: Context) -> bool:
    """Return whether a condition or a function holds for a step."""
    if isinstance(when, Condition):
        return when(step, context)
    try:
        answer = when(step)
    except TypeError as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
            raise  # from within it
        raise UsageError(f"when= is a function of a step: {error}") from None
    try:
        return bool(answer)
    except Exception as error:
        raise UsageError(f"when= must return True or False, not {type(answer).__name__}: {error}") from error


class Breakpoint:
    """A place at which a run stops: after these nodes, if a condition holds.

    Attributes
    ----------
    number : int
        By which it is cleared.
    target : str
        What was asked for.
    nodes : set of Node
    when : Condition, callable or None
    hits : int
        How often it stopped a run.
    """

    def __init__(self, number: int, target: str, nodes: Iterable[Node], when: Any) -> None:
        self.number = number
        self.target = target
        self.nodes = set(nodes)
        self.when = when
        self.hits = 0

    @property
    def condition(self) -> str:
        """The condition as it was written, of a function its name; "" if there is none."""
        if self.when is None:
            return ""
        return str(getattr(self.when, "text", None) or getattr(self.when, "__name__", None) or self.when)

    def stops(self, step: Step, context: Context) -> bool:
        """Return whether a run stops here, and count it."""
        stops = step.node in self.nodes and (self.when is None or holds(self.when, step, context))
        self.hits += stops
        return stops

    def __str__(self) -> str:
        condition = f" if {visible(self.condition)}" if self.condition else ""
        return f"breakpoint {self.number}: after {self.target}{condition}"

    def __repr__(self) -> str:
        return f"<B{str(self)[1:]}, {counted(self.hits, 'hit')}>"
