"""What is wrong with the numbers of a run, where it arises, and what to do about it: `check_health`.

One run is made, by the one loop, and every value kept. A node is named where NaN, inf or a loss of precision *arises*:
it makes them of operands that have none. What only passes them on is not. What can go wrong in which operation stands
in one table, `HAZARDS`.
"""

from __future__ import annotations

import math
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ..errors import AxisError, DivisionError, GraphnnError, GraphnnWarning, LabelError, ShapeError
from ..execute.interpreter import Feed, Prepared, Stop, evaluate
from ..graph import Array, Graph, Node, Op, Origin, Parameter, Placeholder, told_where
from ..ops.base import Linear, Multilinear, Rearranging
from ..ops.elementwise import Elementwise, Where
from ..ops.reduce import Reduction
from ..show import Shown
from ..text import visible
from .trace import prepared_for
from .why import Index, Number, explain, number

# --- thresholds -------------------------------------------------------------------------------------------------

NEAR_OVERFLOW = 0.9
"""A number is near overflow from the largest of its dtype to this power: 1e277, 5e34 and 2e4 for 64, 32 and 16 bits."""
DEAD_BATCH = 32
"""A unit that is 0 for a whole batch says something only from so many rows on."""
DEAD_SHARE = 0.5
"""Which share of a layer's units must be dead for a warning; fewer are a note."""
SATURATED_SHARE = 0.5
"""Which share of a sigmoid's or tanh's elements must be exactly flat for a warning; fewer are a note."""
SATURATED_SIZE = 8
"""Of how many elements a share says something."""
UNDERFLOW_SHARE = 0.5
"""Which share of a float16 gradient must be rounded to 0 for a warning; less is a note."""
CLIP = 1e-3
"""A clip whose lower bound is above 0 and at most this guards a logarithm."""
LAYERS = 3
"""How many layers there must be before their gradients are compared."""
LAYER_RATIO = 1e-6
"""How small a layer's gradient may be beside the largest."""
HUGE_GRADIENT = 1e8
"""How large a gradient may be beside its parameter, or beside 1."""
HUGE_PARAMETER = 1e8
"""How large a trained number may be."""
LISTED = 4096
"""How many elements of one value are asked one by one what they read."""
SHOWN = 12
"""How many findings are printed in full."""

CODES: dict[str, str] = {
    "fed-nan": "a fed value, a parameter or a constant holds NaN",
    "fed-inf": "a parameter is infinite, or a fed infinity spoils a result",
    "log-of-zero": "log(0), or log1p(-1)",
    "log-of-negative": "the logarithm of a negative number",
    "sqrt-of-negative": "the square root of a negative number",
    "zero-over-zero": "0 / 0",
    "division-by-zero": "a number that is not 0 is divided by 0, or 0 has a negative exponent",
    "empty-count": "what was counted to divide by it is 0",
    "empty-reduction": "a mean, a deviation or an extremum of nothing",
    "inf-over-inf": "inf / inf",
    "zero-times-inf": "0 * inf",
    "inf-minus-inf": "inf - inf",
    "power-domain": "a negative number to a power that is no integer",
    "undefined-at-inf": "a function that has no limit there, at inf",
    "overflow": "a result beyond the largest number of its dtype",
    "not-a-number": "NaN of numbers that are none, in an operation that nothing is known of",
    "infinite": "inf of finite numbers, in an operation that nothing is known of",
    "label-out-of-range": "a label below 0, or not below the number of classes",
    "index-out-of-range": "an index beyond its axis",
    "raised": "an operation raised an error",
    "near-overflow": "a number close to the largest of its dtype",
    "underflow": "a result that is not 0 is rounded to 0",
    "saturated": "a sigmoid, tanh or softmax is rounded to its bound, where it passes no gradient",
    "clipped-probability": "a probability lies below the clip of its cross-entropy, which loses its gradient",
    "dead-units": "units of a relu that are 0 for the whole batch",
    "vanishing-gradient": "a layer's gradient is lost beside those of later layers",
    "exploding-gradient": "a layer's gradient is out of all proportion",
    "huge-parameter": "a parameter has grown beyond reason",
}
"""Every code that a finding can have, and what it says."""

_RANK = {"error": 0, "warning": 1, "note": 2}


# --- what is found ----------------------------------------------------------------------------------------------


class Element(NamedTuple):
    """One element of a node's value.

    Attributes
    ----------
    node : Node
    index : tuple of int
    value : bool, int or float
    """

    node: Node
    index: Index  # type: ignore[assignment]
    value: Number

    def __str__(self) -> str:
        return f"{_place(self.node, self.index)} = {_number(self.value)}"

    def __repr__(self) -> str:
        return visible(str(self))

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, fit for JSON: NaN and infinities as text."""
        return {"node": self.node.name, "index": list(self.index), "value": _plain(self.value)}


class Culprit(NamedTuple):
    """The forward node that a bad gradient goes back to.

    Attributes
    ----------
    node : Node
    index : tuple of int or None
        Which element; None where the gradient is of several.
    operands : tuple of Element
        What it was computed from there.
    code : str
        What went wrong there, one of `CODES`; "" where its value is sound and only its slope is not.
    """

    node: Node
    index: Index | None  # type: ignore[assignment]
    operands: tuple[Element, ...]
    code: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, fit for JSON."""
        index = None if self.index is None else list(self.index)
        operands = [each.to_dict() for each in self.operands]
        return {"node": self.node.name, "index": index, "operands": operands, "code": self.code}


@dataclass(eq=False, kw_only=True)
class Finding:
    """Something wrong with the numbers of a run, at the node where it arises.

    Attributes
    ----------
    code : str
        One of `CODES`.
    severity : {"error", "warning", "note"}
    node : Node
    index : tuple of int or None
        The first element that it is true of, in C order; None where it is of the whole value.
    value : bool, int, float or None
        That element.
    operands : tuple of Element
        What it was computed from.
    cause : str
        How it came about, in one sentence.
    remedy : str
        What to do about it.
    count, size : int
        Of how many elements of the value it is true, and how many there are.
    chain : tuple of Element
        The way upstream, from an operand to where its own bad value arose.
    culprit : Culprit or None
        Of a gradient's bad value: the forward node that causes it.
    hidden_by : Node or None
        The node, a `where` for the most part, that keeps it out of the result.
    leads_to : tuple of Finding
        What else comes of it further down, and is not listed by itself.
    """

    code: str
    severity: str
    node: Node
    cause: str
    remedy: str
    index: Index | None = None
    value: Number | None = None
    operands: tuple[Element, ...] = ()
    count: int = 1
    size: int = 1
    chain: tuple[Element, ...] = ()
    culprit: Culprit | None = None
    hidden_by: Node | None = None
    leads_to: tuple[Finding, ...] = ()

    @property
    def origin(self) -> Origin:
        """The user's line that made the node."""
        return self.node.origin

    @property
    def place(self) -> str:
        """The node, with the index of the element."""
        return self.node.name if self.index is None else _place(self.node, self.index)

    @property
    def sentence(self) -> str:
        """Cause and remedy."""
        return f"{self.cause}; {self.remedy}" if self.remedy else self.cause

    def __str__(self) -> str:
        return visible(self.sentence)

    def __repr__(self) -> str:
        return f"<{self.severity} {self.code}: {visible(self.place)}>"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, fit for JSON: NaN and infinities as text."""
        return {
            "code": self.code,
            "severity": self.severity,
            "node": self.node.name,
            "op": self.node.op.name,
            "index": None if self.index is None else list(self.index),
            "value": None if self.value is None else _plain(self.value),
            "count": self.count,
            "size": self.size,
            "operands": [each.to_dict() for each in self.operands],
            "cause": self.cause,
            "remedy": self.remedy,
            "origin": str(self.origin),
            "chain": [each.to_dict() for each in self.chain],
            "culprit": None if self.culprit is None else self.culprit.to_dict(),
            "hidden_by": None if self.hidden_by is None else self.hidden_by.name,
            "leads_to": [[each.code, each.node.name] for each in self.leads_to],
        }


class Health(Shown):
    """What `check_health` found. True if that is nothing; iterating gives the findings, the worst first.

    Attributes
    ----------
    graph : Graph
    count : int
        How many nodes were looked at.
    findings : tuple of Finding
        Errors, then warnings; each in the order of the schedule.
    notes : tuple of Finding
        What may be meant so: a rounding to 0, a saturated unit. They are no findings.
    """

    def __init__(self, graph: Graph, count: int, found: Iterable[Finding]) -> None:
        self.graph = graph
        self.count = count
        listed = sorted(found, key=lambda each: _RANK[each.severity])
        self.findings = tuple([each for each in listed if each.severity != "note"])
        self.notes = tuple(listed[len(self.findings) :])

    @property
    def ok(self) -> bool:
        """Whether there is neither error nor warning."""
        return not self.findings

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What has gone wrong."""
        return tuple([each for each in self.findings if each.severity == "error"])

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What is about to, or does without being seen."""
        return tuple([each for each in self.findings if each.severity == "warning"])

    @property
    def first(self) -> Finding | None:
        """The worst of the findings, and of those the first in the schedule."""
        return self.findings[0] if self.findings else None

    def __bool__(self) -> bool:
        return self.ok

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __getitem__(self, place: int) -> Finding:
        return self.findings[place]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, fit for JSON."""
        return {
            "graph": self.graph.name,
            "nodes": self.count,
            "ok": self.ok,
            "findings": [each.to_dict() for each in self.findings],
            "notes": [each.to_dict() for each in self.notes],
        }

    def __repr__(self) -> str:
        return f'<Health of "{visible(self.graph.name)}": {self._summary()}>'

    def _summary(self) -> str:
        counted = (("error", self.errors), ("warning", self.warnings), ("note", self.notes))
        kinds = [_counted(len(found), word) for word, found in counted if found]
        return f"{', '.join(kinds) if self.findings else 'nothing wrong'} in {_counted(self.count, 'node')}"

    def __str__(self) -> str:
        lines = [f'"{visible(self.graph.name)}": {self._summary()}']
        for each in self.findings[:SHOWN]:
            origin = f"  {each.origin}" if each.origin.file else ""
            lines += ["", visible(f"{each.severity}: {each.code}  {each.place}{origin}"), *_wrapped(each.cause, "  ")]
            if each.remedy:
                lines += _wrapped(f"→ {each.remedy}", "  ")
            if each.leads_to:
                first = each.leads_to[0]
                others = f", and {len(each.leads_to) - 1} more" if len(each.leads_to) > 1 else ""
                lines += _wrapped(f"leads to {first.code} in {first.place}{others}", "  ")
        if len(self.findings) > SHOWN:
            lines += ["", f"and {_counted(len(self.findings) - SHOWN, 'finding')} more"]
        if self.notes:
            lines += ["", *(visible(f"note: {each.code}  {each.place}") for each in self.notes[:SHOWN])]
        if len(self.notes) > SHOWN:
            lines.append(f"and {_counted(len(self.notes) - SHOWN, 'note')} more")
        return "\n".join(lines)


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        visible(text), 80, initial_indent=indent, subsequent_indent=indent + "  ", break_long_words=False
    )


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _place(node: Node, index: Index) -> str:
    return f"{node.name}[{', '.join(map(str, index))}]" if index else node.name


def _number(value: Number) -> str:
    return "0" if value == 0 and not isinstance(value, bool) else number(value)


def _plain(value: Number) -> Number | str:
    return value if math.isfinite(value) else number(value)


def _at(node: Node) -> str:
    return f" ({node.origin})" if node.origin.file else ""


# --- what can go wrong ------------------------------------------------------------------------------------------


class Case:
    """One element at which something bad arose, as the rules see it.

    Attributes
    ----------
    op : Op
    value : float
        What came out.
    parts : list of array or None
        What was read of each operand, as float64.
    """

    node: Node
    op: Op
    value: float
    parts: list[Array | None]

    def __init__(self, run: _Run, place: int, index: Index) -> None:
        self.run, self.place, self.index = run, place, index
        self.node, self.op = run.order[place], run.op(place)
        self.value = float(run.values[place][index])
        entries = run.reads(place, index)
        operands = run.operands_of(place)
        self.parts = [
            None if entry is None else np.asarray(x[entry], np.float64)
            for entry, x in zip(entries, operands, strict=True)
        ]

    @property
    def x(self) -> float:
        """The number that was read of the first operand."""
        return self._number(0)

    @property
    def y(self) -> float:
        """The number that was read of the second operand."""
        return self._number(1)

    def _number(self, i: int) -> float:
        part = self.parts[i]
        return math.nan if part is None or part.size != 1 else float(part.item())

    @cached_property
    def numbers(self) -> Array:
        """All numbers that were read."""
        parts = [part.reshape(-1) for part in self.parts if part is not None]
        return np.concatenate(parts) if parts else np.zeros(0)

    @property
    def products(self) -> Array:
        """The products that are added up, of a sum of products."""
        product: Array = np.ones(())
        for factor in self.parts:
            product = product * (np.ones(()) if factor is None else factor)
        return product

    @property
    def finite(self) -> bool:
        """Whether all that was read is."""
        return bool(np.isfinite(self.numbers).all())

    @property
    def both_infinities(self) -> bool:
        """Whether inf and -inf are added up."""
        return _both(self.numbers)

    @property
    def empty(self) -> bool:
        """Whether nothing was read, or too little for a deviation."""
        return self.numbers.size <= getattr(self.op, "ddof", 0)

    def source(self, i: int) -> str:
        """Return where operand `i` has its number from: "softmax", or the name of an operation."""
        path = self.run.path_of(self.place, self.index, i)
        if not path:
            return ""
        root = path[-1].node
        scope = root.graph.scopes.get(root.scope)
        return "softmax" if scope is not None and scope.kind.lower() == "softmax" else root.op.name

    def counts(self, i: int) -> bool:
        """Return whether operand `i` is a count: a sum of bools, of integers, or of a given mask."""
        path = self.run.path_of(self.place, self.index, i)
        if not any(each.node.op.name == "sum" for each in path):
            return False
        root = path[-1].node
        if root.dtype.kind in "biu":
            return True
        other = self.run.path_of(self.place, self.index, 1 - i)
        return self.run.is_given(root) and not (other and other[-1].node is root)


def _both(numbers: Array) -> bool:
    return bool(np.any(numbers == np.inf) and np.any(numbers == -np.inf))


class Rule(NamedTuple):
    """One thing that can go wrong in an operation.

    Attributes
    ----------
    code : str
    holds : callable
        Whether it is what went wrong in a `Case`.
    remedy : str
        What to do about it; "" where that depends on the dtype.
    """

    code: str
    holds: Callable[[Case], bool]
    remedy: str = ""


class Hazard(NamedTuple):
    """What can go wrong in an operation.

    Attributes
    ----------
    rules : tuple of Rule
        The first that holds is told.
    slope : str
        What to do where its gradient is what goes wrong.
    """

    rules: tuple[Rule, ...]
    slope: str = ""


_LOG = "give log what is above 0: gn.log(gn.maximum(x, 1e-12)); or mask the input of log, gn.log(gn.where(x > 0, x, 1))"
_DIVIDE = "keep the denominator away from 0: x / gn.maximum(y, 1e-12), or x / gn.where(gn.equal(y, 0), 1, y)"
_COUNT = "there was nothing to count: divide by gn.maximum(count, 1)"
_MASK = (
    "choose with gn.where(mask, x, 0) instead of multiplying by a mask, since 0 * inf is NaN; and mask the input "
    "of what made the inf, or its gradient is NaN, too"
)
_OVERLAP = (
    "keep one of the infinities out of the sum; where a whole row is masked by -inf, leave one element of it or use "
    "a large finite number such as -1e9"
)
_EMPTY = "it got no elements to reduce: look at the shape of what goes in, and skip an empty batch"
_SIGN = "look why it is negative; gn.maximum(x, 0) keeps off what is only rounding"

_OVERFLOW = Rule("overflow", lambda c: math.isinf(c.value) and c.finite)
_OPPOSED = Rule("inf-minus-inf", lambda c: c.both_infinities, _OVERLAP)
_NOTHING = Rule("empty-reduction", lambda c: c.empty, _EMPTY)
_ZERO_INF = Rule("zero-times-inf", lambda c: bool(np.any(c.numbers == 0) and np.isinf(c.numbers).any()), _MASK)
_AT_INF = Rule("undefined-at-inf", lambda c: bool(np.isinf(c.numbers).any()), "keep inf out of what goes in")
_PRODUCTS = Hazard(
    (
        Rule("zero-times-inf", lambda c: bool(np.isnan(c.products).any()), _MASK),
        Rule("inf-minus-inf", lambda c: _both(c.products), _OVERLAP),
        _OVERFLOW,
    )
)
_SUM = Hazard((_OPPOSED, _OVERFLOW))
_MEAN = Hazard((_NOTHING, _OPPOSED, _OVERFLOW))
_SPREAD = Hazard((_NOTHING, _AT_INF, _OVERFLOW))
_PRODUCT = Hazard((_ZERO_INF, _OVERFLOW))
_EXTREMUM = Hazard((_NOTHING,))
_WAVE = Hazard((_AT_INF,))
_GROWS = Hazard((_OVERFLOW,))

HAZARDS: dict[str, Hazard] = {
    "log": Hazard(
        (
            Rule(
                "log-of-zero",
                lambda c: c.x == 0 and c.source(0) == "softmax",
                "gn.log_softmax(logits) is the same without the rounding; as a loss, "
                "nn.softmax_crossentropy(logits, labels)",
            ),
            Rule(
                "log-of-zero",
                lambda c: c.x == 0 and c.source(0) == "exp",
                "do not go through the rounded number: log(exp(x)) is x, and gn.logsumexp(x) the log of a sum of them",
            ),
            Rule(
                "log-of-zero",
                lambda c: c.x == 0 and c.source(0) == "sigmoid",
                "-gn.softplus(-x) is log(sigmoid(x)) without the rounding; as a loss, "
                "nn.sigmoid_crossentropy(logits, labels)",
            ),
            Rule(
                "log-of-zero",
                lambda c: c.x == 0 and c.source(0) == "subtract",
                "if this is log(1 - p) with a p that is rounded to 1, nn.sigmoid_crossentropy(logits, labels) does "
                "without p, and nn.binary_crossentropy clips it; else mask the input of log, "
                "gn.log(gn.where(x > 0, x, 1))",
            ),
            Rule("log-of-zero", lambda c: c.x == 0, _LOG),
            Rule("log-of-negative", lambda c: c.x < 0, _LOG),
        ),
        "the slope of log is infinite at 0: " + _LOG,
    ),
    "log1p": Hazard(
        (
            Rule(
                "log-of-zero", lambda c: c.x == -1, "give log1p what is above -1: gn.log1p(gn.maximum(x, -1 + 1e-12))"
            ),
            Rule("log-of-negative", lambda c: c.x < -1, "give log1p what is above -1"),
        ),
        "the slope of log1p is infinite at -1: keep what goes in above it",
    ),
    "sqrt": Hazard(
        (Rule("sqrt-of-negative", lambda c: c.x < 0, _SIGN),),
        "the slope of sqrt is infinite at 0, and times 0 it is NaN: gn.norm and gn.std take it as 0 there; else add "
        "a small number inside, gn.sqrt(x + 1e-12)",
    ),
    "divide": Hazard(
        (
            Rule("empty-count", lambda c: c.y == 0 and c.counts(1), _COUNT),
            Rule("zero-over-zero", lambda c: c.x == 0 == c.y, _DIVIDE),
            Rule("division-by-zero", lambda c: c.y == 0, _DIVIDE),
            Rule("inf-over-inf", lambda c: math.isinf(c.x) and math.isinf(c.y), "keep inf out of both: scale first"),
            _OVERFLOW,
        ),
        _DIVIDE,
    ),
    "divide_by": Hazard((Rule("empty-count", lambda c: getattr(c.op, "count", 1) == 0, _COUNT), _OVERFLOW)),
    "reciprocal": Hazard((Rule("division-by-zero", lambda c: c.x == 0, _DIVIDE), _OVERFLOW), _DIVIDE),
    "floor_divide": Hazard(
        (
            Rule("zero-over-zero", lambda c: c.x == 0 == c.y, _DIVIDE),
            Rule("division-by-zero", lambda c: c.y == 0, _DIVIDE),
            _AT_INF,
            _OVERFLOW,
        )
    ),
    "remainder": Hazard((Rule("division-by-zero", lambda c: c.y == 0, _DIVIDE), _AT_INF, _OVERFLOW)),
    "multiply": _PRODUCTS,
    "matmul": _PRODUCTS,
    "einsum": _PRODUCTS,
    "outer": _PRODUCTS,
    "prelu": _PRODUCTS,
    "add": _SUM,
    "subtract": Hazard(
        (Rule("inf-minus-inf", lambda c: math.isinf(c.x) and math.isinf(c.y), _OVERLAP), _OVERFLOW),
    ),
    "power": Hazard(
        (
            Rule(
                "power-domain",
                lambda c: c.x < 0 and not float(c.y).is_integer(),
                "a root of a negative number is none: take gn.absolute(x), or keep x above 0 with gn.maximum(x, 0)",
            ),
            Rule("division-by-zero", lambda c: c.x == 0 and c.y < 0, "keep x away from 0: gn.maximum(x, 1e-12)"),
            _OVERFLOW,
        ),
        "the slope of x ** y is infinite at 0 for a y below 1: add a small number to x first",
    ),
    "exp": _GROWS,
    "expm1": _GROWS,
    "square": _GROWS,
    "cast": _GROWS,
    "leaky_relu": _GROWS,
    "norm": _GROWS,
    "sin": _WAVE,
    "cos": _WAVE,
    "silu": Hazard((_AT_INF, _OVERFLOW)),
    "gelu": Hazard((_AT_INF, _OVERFLOW)),
    "sum": _SUM,
    "sum_to": _SUM,
    "cumsum": _SUM,
    "index_add": _SUM,
    "add_along_axis": _SUM,
    "mean": _MEAN,
    "var": _SPREAD,
    "std": _SPREAD,
    "prod": _PRODUCT,
    "prod_others": _PRODUCT,
    "logsumexp": Hazard((_NOTHING, _OVERFLOW)),
    "max": _EXTREMUM,
    "min": _EXTREMUM,
}
"""What can go wrong, by operation."""

_OTHER = Hazard(
    (
        Rule("not-a-number", lambda c: math.isnan(c.value), "look at what goes in"),
        Rule("infinite", lambda c: True, "look at what goes in"),
    )
)

_EXPONENTIAL = frozenset({"exp", "expm1"})
_FADING = frozenset({"exp", "sigmoid", "softplus"})
_UNDERFLOWS = _FADING | {"multiply", "divide", "divide_by", "square", "power", "cast", "prod", "reciprocal"}
"""What can round a result to 0; the fading ones also where an operand is 0."""
_SATURATES: dict[str, tuple[float, ...]] = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}
_ONE_WILL_DO = frozenset({"max", "min", "prod", "prod_others"})
"""A number of theirs may come of one of many; of the others, only of all alike."""
_HIDES = frozenset(
    {"where", "relu", "leaky_relu", "elu", "maximum", "minimum", "clip", "max", "min", "pick", "getitem"}
)
_MOVES = frozenset({"pick", "take_along_axis", "getitem", "reshape", "expand_dims", "squeeze", "cast", "subtract"})

_LIMITS: dict[str, tuple[int, bool, Callable[[Any, Sequence[Array]], int]]] = {
    "pick": (1, False, lambda op, xs: xs[0].shape[-1]),
    "place": (1, False, lambda op, xs: int(op.classes)),
    "one_hot": (0, False, lambda op, xs: int(op.depth)),
    "take": (1, True, lambda op, xs: xs[0].size if op.axis is None else xs[0].shape[op.axis]),
    "take_along_axis": (1, True, lambda op, xs: xs[0].size if op.axis is None else xs[0].shape[op.axis]),
    "index_add": (1, True, lambda op, xs: math.prod(op.shape) if op.axis is None else op.shape[op.axis]),
    "add_along_axis": (1, True, lambda op, xs: math.prod(op.shape) if op.axis is None else op.shape[op.axis]),
    "floor_divide": (1, False, lambda op, xs: 0),
    "remainder": (1, False, lambda op, xs: 0),
}
"""Of what refuses an element: which operand holds it, whether negative ones count from the end, and the limit."""


def _hazard(op: Op) -> Hazard:
    known = HAZARDS.get(op.name)
    if known is None:
        known = _PRODUCTS if isinstance(op, Multilinear) else _SUM if isinstance(op, Linear) else _OTHER
    return known


def _overflow_remedy(case: Case) -> str:
    largest = case.run.largest_parameter
    if largest is not None and abs(float(largest.value)) > HUGE_PARAMETER:
        return (
            f"{largest.node.name} has grown to {_number(largest.value)}, training diverges: lower the learning rate, "
            "or clip the gradients"
        )
    if case.op.name in _EXPONENTIAL:
        return "subtract the largest first, as gn.softmax and gn.logsumexp do, or bound what goes in with gn.minimum"
    if case.node.dtype.itemsize < 8:
        wider = "float32" if case.node.dtype.itemsize == 2 else "float64"
        return f'compute it in {wider}, gn.cast(x, "{wider}"), or scale the numbers down first'
    return "scale the numbers down first, or work with their logarithms"


# --- one run ----------------------------------------------------------------------------------------------------


class _Run:
    """An evaluation with every value kept, and what can be asked of it."""

    def __init__(self, prepared: Prepared) -> None:
        program = prepared.program
        self.prepared = prepared
        self.graph = program.graph
        self.order, self.inputs = program.order, program.operands
        self.places = {node: i for i, node in enumerate(self.order)}
        self.fetches = set(program.fetches)
        self.values: list[Any] = [None] * len(self.order)
        self.failure: GraphnnError | None = None
        self.count = 0
        warned = set(self.graph.caches.get("overflowed", ()))
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", GraphnnWarning)
            try:
                for _ in evaluate(prepared, values=self.values):
                    self.count += 1
            except GraphnnError as error:
                self.failure = error
        self.graph.caches["overflowed"] = warned  # nobody has been warned: the report tells it
        self.bad = [
            value is not None and value.dtype.kind == "f" and not np.isfinite(value).all() for value in self.values
        ]
        self._ops: dict[int, Op] = {}
        self._paths: dict[tuple[int, Index, int], tuple[Element, ...]] = {}

    # --- asking

    def op(self, place: int) -> Op:
        """Return the operation of a node, with numbers for its dimensions."""
        found = self._ops.get(place)
        if found is None:
            op = self.order[place].op
            found = self._ops[place] = op.bound(self.prepared.sizes) if op.sized else op
        return found

    def is_given(self, node: Node) -> bool:
        """Return whether a node's value is not computed."""
        return self.prepared.binding.forwards[self.places[node]] is None

    def operands_of(self, place: int) -> list[Array]:
        """Return what a node is computed from."""
        return [self.values[source] for source in self.inputs[place]]

    def reads(self, place: int, index: Index) -> Sequence[Any]:
        """Return what of each operand made an element."""
        return self.op(place).reads(index, self.operands_of(place))

    def element(self, place: int, index: Index) -> Element:
        return Element(self.order[place], index, self.values[place][index].item())

    def read_elements(self, place: int, index: Index) -> tuple[Element, ...]:
        """Return the operands' elements that made an element, of those that gave one each."""
        found = []
        for source, entry in zip(self.inputs[place], self.reads(place, index), strict=True):
            if entry is not None:
                cells = _cells(entry, self.values[source].shape)
                if len(cells) == 1:
                    found.append(self.element(source, cells[0]))
        return tuple(found)

    def fresh(self, place: int, found: Array, marks: Sequence[Array]) -> Array:
        """Return which of the elements found read no marked one."""
        op, operands = self.op(place), self.operands_of(place)
        if not any(mark.any() for mark in marks):
            return found
        read = _reading(op, operands, marks, found.shape)
        if read is None:
            read = np.zeros(found.shape, bool)
            for index in map(tuple, np.argwhere(found)[:LISTED].tolist()):
                entries = op.reads(index, operands)
                read[index] = any(e is not None and np.any(m[e]) for e, m in zip(entries, marks, strict=True))
        return found & ~read

    def path_of(self, place: int, index: Index, i: int) -> tuple[Element, ...]:
        """Return the way upstream from the element of operand `i` that made an element; () if that read several."""
        key = place, index, i
        if key not in self._paths:
            source, entry = self.inputs[place][i], self.reads(place, index)[i]
            cells = [] if entry is None else _cells(entry, self.values[source].shape)
            array = self.values[source]
            if len(cells) != 1:
                # Of many, the one to follow is that which is not like a number.
                cells = [cell for cell in cells if not math.isfinite(array[cell])][:1]
            self._paths[key] = self.path(source, cells[0]) if cells else ()
        return self._paths[key]

    def path(self, place: int, index: Index) -> tuple[Element, ...]:
        """Return an element and those upstream that have the same value, or the same kind of bad one."""
        found = [self.element(place, index)]
        while not self.is_given(self.order[place]):
            step = self._upstream(place, index, found[-1].value)
            if step is None:
                break
            place, index = step
            found.append(self.element(place, index))
        return tuple(found)

    def _upstream(self, place: int, index: Index, value: Number) -> tuple[int, Index] | None:
        op = self.op(place)
        if self.order[place].dtype.kind == "b":
            return None  # an answer is no copy of what was asked about
        every = math.isfinite(value) and op.name not in _ONE_WILL_DO
        for i, (source, entry) in enumerate(zip(self.inputs[place], self.reads(place, index), strict=True)):
            if entry is None or not op.flows(i):
                continue
            array = self.values[source]
            same = _like(np.asarray(array[entry]), value)
            if same.size and (same.all() if every else same.any()):
                return source, _cells(entry, array.shape)[int(np.argmax(same.reshape(-1)))]
        return None

    # --- where a bad value goes

    @cached_property
    def _forward(self) -> list[bool]:
        return [node.phase == "forward" for node in self.order]

    def _followed(self, through: Sequence[bool]) -> tuple[list[bool], list[bool]]:
        """Return for each node whether nodes of these read it, and whether its bad values reach one or a fetch."""
        count = len(self.order)
        read, goes_on = [False] * count, [False] * count
        for i in reversed(range(count)):
            goes_on[i] = self.bad[i] and (goes_on[i] or i in self.fetches)
            if through[i]:
                # What was not evaluated could have been as bad.
                bad = self.values[i] is None or (self.bad[i] and (goes_on[i] or not read[i]))
                for source in self.inputs[i]:
                    read[source] = True
                    goes_on[source] |= bad
        return read, goes_on

    @cached_property
    def vanishes(self) -> list[bool]:
        """For each node whether its bad values come to nothing."""
        read, goes_on = self._followed([True] * len(self.order))
        return [r and not g for r, g in zip(read, goes_on, strict=True)]

    @cached_property
    def seen(self) -> list[bool]:
        """For each node whether its bad values go on in the forward pass."""
        return self._followed(self._forward)[1]

    @cached_property
    def hidden(self) -> list[bool]:
        """For each node whether it is read in the forward pass, and its bad values come to nothing there."""
        read, goes_on = self._followed(self._forward)
        return [self.bad[i] and read[i] and not goes_on[i] for i in range(len(self.order))]

    def hider(self, node: Node) -> Node | None:
        """Return the first node that keeps a node's bad values from going further."""
        seen, waiting = {node}, [node]
        while waiting:
            for user in waiting.pop(0).users:
                place = self.places.get(user)
                if place is None or user in seen or user.phase != "forward":
                    continue
                seen.add(user)
                if self.bad[place]:
                    waiting.append(user)
                elif user.op.name in _HIDES:
                    return user
        return None

    @cached_property
    def largest_parameter(self) -> Element | None:
        """The largest number in any trained parameter, by size, of those that are finite."""
        largest: Element | None = None
        for i, node in enumerate(self.order):
            value = self.values[i]
            if node.trainable and value is not None and value.size and value.dtype.kind == "f":
                sizes = np.where(np.isfinite(value), np.abs(value), 0)
                at = tuple(map(int, np.unravel_index(int(np.argmax(sizes)), value.shape)))
                if largest is None or float(sizes[at]) > abs(largest.value):
                    largest = self.element(i, at)
        return largest


def _like(numbers: Array, value: Number) -> Array:
    if math.isnan(value):
        return np.asarray(np.isnan(numbers))
    if math.isinf(value):
        return np.asarray(np.isinf(numbers))
    return np.asarray(np.abs(numbers) == abs(value)) if numbers.dtype.kind != "b" else np.asarray(numbers == value)


def _cells(entry: Any, shape: Index) -> list[Index]:
    """Return the indices that an entry of an operation's `reads` names, in its order."""
    if isinstance(entry, tuple) and len(entry) == len(shape) and all(isinstance(i, (int, np.integer)) for i in entry):
        return [tuple(int(i) for i in entry)]
    places = np.arange(math.prod(shape)).reshape(shape)[entry].reshape(-1)
    return [tuple(map(int, index)) for index in zip(*np.unravel_index(places, shape), strict=True)] if shape else [()]


def _only_passes_on(op: Op) -> bool:
    """Return whether an operation computes nothing, but chooses and moves elements, or fills in what was meant."""
    return isinstance(op, (Rearranging, Where)) or op.name == "pad"


def _reading(op: Op, operands: Sequence[Array], marks: Sequence[Array], shape: Index) -> Array | None:
    """Return which elements of an operation's result read a marked one; None where they must be asked one by one."""
    if isinstance(op, Elementwise):
        read = np.zeros(shape, bool)
        for mark in marks:
            read |= mark
        return read
    if isinstance(op, Reduction):
        return np.asarray(np.any(marks[0], axis=op.over(marks[0].ndim), keepdims=op.keepdims))
    if isinstance(op, Multilinear):
        read = np.zeros(shape, bool)
        for i, mark in enumerate(marks):
            factors = [np.ones(x.shape) for x in operands]
            factors[i] = mark.astype(float)
            read |= np.asarray(op.forward(*factors)) > 0
        return read
    if isinstance(op, Linear):
        parts = [mark.astype(float) if op.flows(i) else operands[i] for i, mark in enumerate(marks)]
        return np.asarray(op.forward(*parts)) > 0
    return None


# --- looking ----------------------------------------------------------------------------------------------------


class _Doctor:
    """Looks at a run, and writes down what it finds."""

    def __init__(self, run: _Run) -> None:
        self.run = run
        self.found: list[Finding] = []

    def examine(self) -> list[Finding]:
        run = self.run
        arising: list[Finding] = []
        with np.errstate(all="ignore"):
            for place, (node, value) in enumerate(zip(run.order, run.values, strict=True)):
                if value is None or value.dtype.kind != "f" or not value.size:
                    continue
                if run.is_given(node):
                    arising += self._of_given(place, value)
                    continue
                if run.bad[place]:
                    arising += self._of_bad(place, value)
                self._of_sizes(place, value)
            self.found += _told_once(run, arising)
            if run.failure is not None:
                self.found += self._of_failure(run.failure)
            self._of_gradients()
            self._of_parameters()
        return sorted(self.found, key=lambda each: run.places.get(each.node, 0))

    # --- NaN and inf

    def _of_given(self, place: int, value: Array) -> Iterator[Finding]:
        run, node = self.run, self.run.order[place]
        if not run.bad[place]:
            return
        nan, parameter = np.isnan(value), isinstance(node.op, Parameter)
        severity = "warning" if run.vanishes[place] else "error"
        if nan.any():
            bad, code = nan, "fed-nan"
            readers = [user.op.name for user in node.users if user in run.places and user.phase == "forward"]
            if severity == "warning" and not parameter and {"isnan", "isfinite", "where"}.issuperset(readers):
                severity = "note"  # a value that is missing, and known to be
        elif parameter or (isinstance(node.op, Placeholder) and any(run.bad[i] for i in run.fetches)):
            # A constant of inf is meant, and so is one that is fed and does no harm: masks are made of them.
            bad, code = np.isinf(value), "fed-inf"
            if run.vanishes[place] and not parameter:
                return
        else:
            return
        index = _first(bad)
        what = {Parameter: "a parameter", Placeholder: "fed"}.get(type(node.op), "a constant")
        if parameter:
            remedy = (
                "an earlier step made it so: gn.compile(…, guard='finite') stops before that, and check_health at the "
                "state before tells why; a lower learning rate is the usual remedy"
            )
        else:
            remedy = "clean the data first: np.nan_to_num, or leave such rows out"
        yield Finding(
            code=code,
            severity=severity,
            node=node,
            index=index,
            value=value[index].item(),
            cause=f"{run.element(place, index)}, {what}{_of_many(bad)}",
            remedy=remedy,
            count=int(np.count_nonzero(bad)),
            size=value.size,
        )

    def _of_bad(self, place: int, value: Array) -> Iterator[Finding]:
        run = self.run
        if _only_passes_on(run.op(place)):
            return
        operands = run.operands_of(place)
        nan = np.isnan(value)
        floats = [x.dtype.kind == "f" for x in operands]
        arises = nan
        if nan.any():
            marks = [np.isnan(x) if f else np.zeros(x.shape, bool) for f, x in zip(floats, operands, strict=True)]
            arises = run.fresh(place, nan, marks)
        inf = np.isinf(value)
        if inf.any():
            marks = [~np.isfinite(x) if f else np.zeros(x.shape, bool) for f, x in zip(floats, operands, strict=True)]
            arises = arises | run.fresh(place, inf, marks)
        if arises.any():
            yield self._arisen(place, arises)

    def _arisen(self, place: int, arises: Array) -> Finding:
        run, node = self.run, self.run.order[place]
        index = _first(arises)
        case = Case(run, place, index)
        hazard = _hazard(case.op)
        rule = next(rule for rule in (*hazard.rules, *_OTHER.rules) if rule.holds(case))
        paths = [run.path_of(place, index, i) for i in range(len(node.inputs))]
        culprit, hidden_by = None, None
        if node.phase == "backward" and node.twin is not None:
            culprit = _culprit(run, place, index, paths)
            hidden_by = _stopper(node, paths)
            if hidden_by is None and culprit.node in run.places and run.hidden[run.places[culprit.node]]:
                hidden_by = run.hider(culprit.node)
        elif run.hidden[place]:
            hidden_by = run.hider(node)
        blamed = culprit.node if culprit is not None else node
        if hidden_by is not None and hidden_by.op.name == "where" and isinstance(blamed.op, Elementwise):
            remedy = _mask_the_input(blamed)
        elif culprit is not None and _hazard(blamed.op).slope:
            remedy = _hazard(blamed.op).slope
        else:
            remedy = rule.remedy or _overflow_remedy(case)
        return Finding(
            code=rule.code,
            severity="warning" if run.vanishes[place] else "error",
            node=node,
            index=index,
            value=case.value,
            operands=run.read_elements(place, index),
            cause=self._cause(case, rule, paths, culprit, hidden_by),
            remedy=remedy,
            count=int(np.count_nonzero(arises)),
            size=arises.size,
            chain=_chain(run, paths),
            culprit=culprit,
            hidden_by=hidden_by,
        )

    def _cause(
        self,
        case: Case,
        rule: Rule,
        paths: Sequence[tuple[Element, ...]],
        culprit: Culprit | None,
        hidden_by: Node | None,
    ) -> str:
        run, place = self.run, case.place
        told = explain(
            case.node, case.index, run.values[place], run.operands_of(place), op=case.op, sizes=run.prepared.sizes
        )
        parts = [told.equation]
        if rule.code == "overflow":
            largest = _largest(case.node.dtype)
            parts[0] += f", and {case.node.dtype} ends at {largest}"
        because = list(dict.fromkeys(filter(None, (_because(run, path) for path in paths))))
        if culprit is not None:
            bad = [path for path in paths if path and not math.isfinite(path[0].value)]
            because = [f"{_number(bad[0][0].value)} because " if bad else ""]
            of = "".join(f"{each}, " for each in dict.fromkeys(map(str, culprit.operands))).removesuffix(", ")
            because[0] += f"{of} in {culprit.node.name}{_at(culprit.node)}".lstrip()
        parts += because
        if hidden_by is not None:
            verb = "hid" if culprit is not None else "hides"
            what = "the where" if hidden_by.op.name == "where" else f"the {hidden_by.op.name}"
            parts.append(f"{what}{_at(hidden_by)} {verb} it")
            if culprit is None:
                parts[-1] += ", but not from a gradient"
        return "; ".join(parts)

    def _of_failure(self, error: GraphnnError) -> Iterator[Finding]:
        run, stop = self.run, error.stopped
        if not isinstance(stop, Stop):
            raise error
        node, op = run.order[stop.place], run.op(stop.place)
        operands = run.operands_of(stop.place)
        text = str(error).partition("\n")[0].partition(": ")[2]
        index: Index | None = None
        value: Number | None = None
        read: tuple[Element, ...] = ()
        count = 1
        if op.name in _LIMITS and isinstance(error, (LabelError, AxisError, DivisionError)):
            at, wraps, limit = _LIMITS[op.name]
            n = limit(op, operands)
            numbers = operands[at]
            wrong = (numbers < (-n if wraps else 0)) | (numbers >= n) if n or wraps else numbers == 0
            if wrong.any():
                index, count = _first(wrong), int(np.count_nonzero(wrong))
                wrong_one = run.element(run.inputs[stop.place][at], index)
                read, value = (wrong_one,), wrong_one.value
                text += f"; {wrong_one}"
        code, remedy = "raised", "error.debug() of gn.run steps up to it"
        for kind, named, way in _RAISED:
            if isinstance(error, kind):
                code, remedy = named, way
                break
        yield Finding(
            code=code,
            severity="error",
            node=node,
            index=index,
            value=value,
            operands=read,
            cause=f"{node.name}{_at(node)} raised: {text}",
            remedy=remedy,
            count=count,
            size=operands[0].size if operands else 1,
        )

    # --- sizes: near overflow, rounded away, flat

    def _of_sizes(self, place: int, value: Array) -> None:
        run, node = self.run, self.run.order[place]
        name = node.op.name
        limit = _near(value.dtype)
        if not np.abs(value).max() <= limit:
            self._of_near_overflow(place, value, limit)
        if name in _UNDERFLOWS and np.count_nonzero(value) < value.size:
            self._of_underflow(place, value)
        if name in _SATURATES and node.phase == "forward":
            flat = np.isin(value, _SATURATES[name]) & np.isfinite(run.operands_of(place)[0])
            self._of_saturation(place, value, flat)
        elif name == "divide" and (scope := run.graph.scopes.get(node.scope)) and scope.kind.lower() == "softmax":
            if node.phase == "forward" and value.ndim and value.shape[-1] > 1:
                self._of_saturation(place, value, value == 1, least="note")
        elif name == "log" and node.phase == "forward":
            self._of_clip(place)
        elif name == "relu" and value.ndim > 1 and value.shape[0] >= DEAD_BATCH and node.phase == "forward":
            self._of_dead_units(place, value)

    def _add(self, place: int, which: Array, **about: Any) -> None:
        value = self.run.values[place]
        index = _first(which)
        about = {
            "value": value[index].item(),
            "operands": self.run.read_elements(place, index),
            "count": int(np.count_nonzero(which)),
            "size": value.size,
        } | about
        self.found.append(Finding(node=self.run.order[place], index=index, **about))

    def _of_near_overflow(self, place: int, value: Array, limit: float) -> None:
        run, node = self.run, self.run.order[place]
        large = np.isfinite(value) & (np.abs(value) > limit)
        if not large.any() or _only_passes_on(run.op(place)):
            return
        marks = [~(np.abs(x.astype(np.float64, copy=False)) <= limit) for x in run.operands_of(place)]
        large = run.fresh(place, large, marks)
        if large.any():
            index = _first(large)
            told = explain(node, index, value, run.operands_of(place), op=run.op(place), sizes=run.prepared.sizes)
            largest = _largest(value.dtype)
            self._add(
                place,
                large,
                code="near-overflow",
                severity="warning",
                cause=f"{told.equation}, and {value.dtype} ends at {largest}",
                remedy=_overflow_remedy(Case(run, place, index)),
            )

    def _of_underflow(self, place: int, value: Array) -> None:
        run, node = self.run, self.run.order[place]
        name, operands = node.op.name, run.operands_of(place)
        if operands[0].dtype.kind != "f":
            return
        zeros = [~np.isfinite(x) if name in _FADING else ~np.isfinite(x) | (x == 0) for x in operands]
        lost = (value == 0) & run.fresh(place, value == 0, zeros)
        if not lost.any():
            return
        count = int(np.count_nonzero(lost))
        of = value.size - int(np.count_nonzero((value == 0) & ~lost))
        serious = name == "prod" or (
            value.dtype == np.float16 and node.phase == "backward" and count >= UNDERFLOW_SHARE * of
        )
        told = explain(node, _first(lost), value, operands, op=run.op(place), sizes=run.prepared.sizes)
        self._add(
            place,
            lost,
            code="underflow",
            severity="warning" if serious else "note",
            cause=f"{told.equation}, rounded to 0{_of_many(lost)}",
            remedy="add up logarithms instead of multiplying"
            if name == "prod"
            else "scale the loss up before the gradient is taken, and the gradient down again"
            if serious
            else "nothing, unless its logarithm, its inverse or its gradient is wanted",
        )

    def _of_saturation(self, place: int, value: Array, flat: Array, least: str = "warning") -> None:
        count = int(np.count_nonzero(flat))
        if not count:
            return
        node = self.run.order[place]
        serious = least == "warning" and value.size >= SATURATED_SIZE and count >= SATURATED_SHARE * value.size
        self._add(
            place,
            flat,
            code="saturated",
            severity="warning" if serious else "note",
            cause=f"{count:,} of {value.size:,} elements of {node.name} are exactly on its bound, the first "
            f"{_number(value[_first(flat)].item())}, where no gradient passes",
            remedy="smaller weights, or inputs scaled to about 1, keep it off its bounds",
        )

    def _of_dead_units(self, place: int, value: Array) -> None:
        dead = np.all(value == 0, axis=0)
        count = int(np.count_nonzero(dead))
        if not count:
            return
        node = self.run.order[place]
        self.found.append(
            Finding(
                code="dead-units",
                severity="warning" if count >= DEAD_SHARE * dead.size else "note",
                node=node,
                index=(0, *_first(dead)),
                value=0.0,
                cause=f"{count:,} of {dead.size:,} units of {node.name} are 0 for all {value.shape[0]:,} rows of the "
                "batch, and get no gradient",
                remedy="a lower learning rate, nn.init.he_normal and inputs scaled to about 1 keep them alive; "
                "gn.leaky_relu revives them",
                count=count,
                size=dead.size,
            )
        )

    def _of_clip(self, place: int) -> None:
        """Look whether a logarithm gets a probability that a clip has cut off, and with it the gradient."""
        run = self.run
        way = [place]
        while (name := run.order[way[-1]].op.name) != "clip":
            if way[-1] != place and name not in _MOVES:
                return
            sources = [s for s in run.inputs[way[-1]] if not run.is_given(run.order[s])]
            if not sources or (name == "subtract" and len(sources) > 1):
                return
            way.append(sources[0])
        lo, hi = run.op(way[-1]).lo, run.op(way[-1]).hi  # type: ignore[attr-defined]
        if lo is None or not 0 < lo <= CLIP:
            return
        turned = any(run.order[i].op.name == "subtract" for i in way)
        argument = run.operands_of(place)[0]
        raw_place = run.inputs[way[-1]][0]
        raw = run.values[raw_place]
        edge = argument <= (1 - hi if turned and hi is not None else lo) * (1 + 1e-6)
        edge &= self._matters(place, edge)
        lost: dict[Index, None] = {}
        for start in map(tuple, np.argwhere(edge)[:LISTED].tolist()):
            index: Index = start
            for here, there in pairwise(way):
                entry = run.reads(here, index)[run.inputs[here].index(there)]
                index = _cells(entry, run.values[there].shape)[0]
            if (raw[index] > hi) if turned else (raw[index] < lo):
                lost[index] = None
        if not lost:
            return
        index = next(iter(lost))
        clip = run.order[way[-1]]
        binary = turned or "binary" in clip.scope
        fused = "nn.sigmoid_crossentropy" if binary else "nn.softmax_crossentropy"
        bound = f"above 1 - {_number(1 - hi)}" if turned else f"below {_number(lo)}"
        self.found.append(
            Finding(
                code="clipped-probability",
                severity="warning",
                node=clip,
                index=index,
                value=run.values[way[-1]][index].item(),
                operands=(run.element(raw_place, index),),
                cause=f"{run.element(raw_place, index)} lies {bound}, where {clip.name}{_at(clip)} cuts it off: of "
                f"{len(lost):,} of {argument.size:,} the loss has no gradient",
                remedy=f"{fused}(logits, labels) takes the logits and keeps it",
                count=len(lost),
                size=argument.size,
            )
        )

    def _matters(self, place: int, edge: Array) -> Array:
        """Return which elements of a logarithm are not multiplied by 0."""
        run = self.run
        factors = []
        for user in run.order[place].users:
            at = run.places.get(user)
            if at is not None and user.op.name == "multiply" and user.phase == "forward":
                other = [s for s in run.inputs[at] if s != place]
                if other and run.values[other[0]] is not None:
                    factors.append(run.values[other[0]])
        if not factors:
            return np.ones(edge.shape, bool)
        matters: Array = np.logical_or.reduce(
            [np.broadcast_to(f != 0, edge.shape) for f in factors if f.ndim <= edge.ndim]
        )
        return matters

    # --- gradients and parameters

    def _of_gradients(self) -> None:
        layers: dict[str, float] = {}
        largest: dict[str, tuple[float, Node, Node]] = {}
        for parameter, gradient in gradients_in(self.run.order):
            value = self.run.values[self.run.places[gradient]]
            if value is None or not np.isfinite(value).all() or not value.size:
                continue
            norm = float(np.linalg.norm(value.astype(np.float64, copy=False)))
            size = float(np.linalg.norm(self.run.values[self.run.places[parameter]].astype(np.float64, copy=False)))
            if norm > HUGE_GRADIENT * max(size, 1.0):
                self._of_gradient("exploding-gradient", gradient, parameter, f"has norm {_number(norm)}")
            if not norm or not parameter.scope:
                continue  # no gradient comes there at all, which is something else; or it is of no layer
            layers[parameter.scope] = math.hypot(layers.get(parameter.scope, 0.0), norm)
            if norm >= largest.get(parameter.scope, (-1.0,))[0]:
                largest[parameter.scope] = norm, gradient, parameter
        if len(layers) < LAYERS:
            return
        least, most = min(layers, key=layers.__getitem__), max(layers, key=layers.__getitem__)
        if layers[least] < LAYER_RATIO * layers[most]:
            order = list(layers)
            vanishing = order.index(least) < order.index(most)
            _, gradient, parameter = largest[least if vanishing else most]
            told = [f"{_number(layers[scope])} in {scope}" for scope in (least, most)]
            sizes = f"is out of proportion: the layers' gradients have norms from {told[0]} to {told[1]}"
            self._of_gradient("vanishing-gradient" if vanishing else "exploding-gradient", gradient, parameter, sizes)

    def _of_gradient(self, code: str, gradient: Node, parameter: Node, sizes: str) -> None:
        remedy = (
            "relu in place of a saturating function, nn.init.he_normal, and shortcuts around layers keep it up"
            if code == "vanishing-gradient"
            else "clip the gradients, lower the learning rate, or scale the inputs to about 1"
        )
        self.found.append(
            Finding(
                code=code,
                severity="warning",
                node=gradient,
                cause=f"the gradient of {parameter.name}{_at(parameter)} {sizes}",
                remedy=remedy,
            )
        )

    def _of_parameters(self) -> None:
        largest = self.run.largest_parameter
        if largest is not None and abs(float(largest.value)) > HUGE_PARAMETER:
            self.found.append(
                Finding(
                    code="huge-parameter",
                    severity="warning",
                    node=largest.node,
                    index=largest.index,
                    value=largest.value,
                    cause=f"{largest}: training diverges",
                    remedy="lower the learning rate, or clip the gradients",
                    size=self.run.values[self.run.places[largest.node]].size,
                )
            )


_RAISED: tuple[tuple[type[GraphnnError], str, str], ...] = (
    (LabelError, "label-out-of-range", "labels run from 0 to below the number of classes: renumber them, or give the "
     "network as many outputs as there are classes"),
    (DivisionError, "division-by-zero", "integers have no inf: cast to a float, or keep 0 out of the denominator"),
    (AxisError, "index-out-of-range", "look where the index comes from; a table needs a row for each of them"),
    (ShapeError, "empty-reduction", _EMPTY),
)  # fmt: skip


def _first(which: Array) -> Index:
    return tuple(map(int, np.unravel_index(int(np.argmax(which)), which.shape)))


def _of_many(which: Array) -> str:
    count = int(np.count_nonzero(which))
    return "" if count <= 1 else f" (and {count - 1:,} more of {which.size:,} elements)"


def _near(dtype: np.dtype[Any]) -> float:
    return math.pow(float(np.finfo(dtype).max), NEAR_OVERFLOW)


def _largest(dtype: np.dtype[Any]) -> str:
    return f"{float(np.finfo(dtype).max):.5g}"


def gradients_in(order: Sequence[Node]) -> Iterator[tuple[Node, Node]]:
    """Yield the trained parameters of a schedule with the nodes of their gradients, in order of making."""
    known: dict[Node, Node] = {}
    scheduled = set(order)
    for memory in order[0].graph.caches.get("grad", {}).values() if order else ():
        known.update({node: whole for node, whole in memory.whole.items() if node.trainable and whole in scheduled})
    for node in order:
        # What an optimizer makes for a parameter starts from its gradient.
        parameter = node.twin
        if parameter is not None and parameter.trainable and node.phase == "update" and parameter not in known:
            for operand in node.inputs:
                if operand.phase == "backward" and operand.shape == parameter.shape:
                    known[parameter] = operand
    for parameter in sorted(known, key=lambda node: node.index):
        if parameter in scheduled and known[parameter].op.name != "zeros":
            yield parameter, known[parameter]


# --- telling it -------------------------------------------------------------------------------------------------


def _because(run: _Run, path: Sequence[Element]) -> str:
    """Return why an operand's element has its value."""
    if not path:
        return ""
    first, root = path[0], path[-1]
    if run.is_given(root.node):
        kind = {Parameter: "a parameter", Placeholder: "fed"}.get(type(root.node.op), "")
        if not kind:
            return "" if len(path) == 1 else f"{_number(first.value)} because {root}"
        return f"{root}, {kind}" if len(path) == 1 else f"{_number(first.value)} because {root}, {kind}"
    place = run.places[root.node]
    read = run.read_elements(place, root.index)
    of = ", ".join(dict.fromkeys(str(each) for each in read if not isinstance(each.value, bool)))
    if not of:
        return f"{root} in {root.node.name}{_at(root.node)}" if len(path) > 1 else ""
    lost = root.value == 0 and root.node.op.name in _UNDERFLOWS and all(math.isfinite(each.value) for each in read)
    if lost and (root.node.op.name in _FADING or all(each.value != 0 for each in read)):
        return f"0 because {of} in {root.node.name}{_at(root.node)}, an underflow"
    return f"{_number(first.value)} because {of} in {root.node.name}{_at(root.node)}"


def _chain(run: _Run, paths: Sequence[tuple[Element, ...]]) -> tuple[Element, ...]:
    """Return the way to the worst operand, and what that was made of."""
    told = max(paths, key=lambda path: (bool(path) and not math.isfinite(path[0].value), len(path)), default=())
    if not told or run.is_given(told[-1].node):
        return told
    return (*told, *run.read_elements(run.places[told[-1].node], told[-1].index))


def _culprit(run: _Run, place: int, index: Index, paths: Sequence[tuple[Element, ...]]) -> Culprit:
    """Return the forward node that a gradient's bad value goes back to."""
    node = run.order[place]
    for path in paths:
        if path and not math.isfinite(path[0].value):
            root: Element = path[-1]
            made = [each for each in path if each.node.phase == "backward"]
            if not run.is_given(root.node):
                if root.node.phase == "forward":
                    return Culprit(root.node, root.index, run.read_elements(run.places[root.node], root.index))
            elif made:  # what is given is not to blame, but what brought it in
                root = made[-1]
            if root.node.phase == "backward" and root.node.twin is not None:
                node, index = root.node, root.index
            break
    assert node.twin is not None, "only what a derivative made is asked"
    found = _at_twin(run, run.prepared.shape_of(node), index, node.twin)
    own = [] if found.index is None or found.node not in run.places else [found.index]
    bad = [run.element(run.places[found.node], i) for i in own]
    for each in (*bad, *found.operands):
        if not math.isfinite(each.value):
            # Bad in the forward pass already: it is to blame where it arose there.
            first = run.path(run.places[each.node], each.index)[-1]
            if not run.is_given(first.node):
                return Culprit(first.node, first.index, run.read_elements(run.places[first.node], first.index))
    return found


def _at_twin(run: _Run, shape: Index, index: Index, twin: Node) -> Culprit:
    """Return the element of a forward node that an element of its gradient, of this shape, belongs to."""
    inputs = [run.places.get(operand) for operand in twin.inputs]
    there = [i for i in inputs if i is not None]
    own = run.prepared.shape_of(twin)
    alike = tuple(run.element(i, index) for i in dict.fromkeys(there) if run.values[i].shape == shape)
    if isinstance(twin.op, Elementwise) and own == shape:
        if len(there) < len(inputs):
            return Culprit(twin, index, alike)
        operands = [run.values[i] for i in there]
        entries = twin.op.bound(run.prepared.sizes).reads(index, operands)
        cells = [None if e is None else _cells(e, x.shape) for e, x in zip(entries, operands, strict=True)]
        read = [run.element(i, cell[0]) for i, cell in zip(there, cells, strict=True) if cell]
        return Culprit(twin, index, tuple(read))
    if alike:
        return Culprit(twin, None, alike)
    if [n for n in own if n != 1] == [n for n in shape if n != 1]:
        flat = int(np.ravel_multi_index(index, shape)) if shape else 0
        return Culprit(twin, tuple(map(int, np.unravel_index(flat, own))), ())
    return Culprit(twin, None, ())


def _stopper(node: Node, paths: Sequence[tuple[Element, ...]]) -> Node | None:
    """Return the forward node that let no gradient through, so that it is 0 where it meets an inf."""
    for path in paths:
        for each in path:
            twin = each.node.twin
            if (
                each.value == 0
                and each.node.op.name == "where"
                and each.node.phase == "backward"
                and twin is not None
                and twin is not node.twin
            ):
                return twin
    return None


def _mask_the_input(node: Node) -> str:
    name = node.op.name
    both = "both branches of a where are computed, and 0 times an infinite slope is NaN"
    if name in ("divide", "floor_divide", "remainder"):
        return f"mask the denominator instead, x / gn.where(condition, y, 1): {both}"
    rest = ", y" if len(node.inputs) > 1 else ""
    return f"mask the input of {name} instead, gn.{name}(gn.where(condition, x, 1){rest}): {both}"


def _told_once(run: _Run, arising: Sequence[Finding]) -> list[Finding]:
    """Return the findings without those that only follow from another one.

    A gradient's goes with the forward one that it comes of; but where a `where` hides that one, it is the gradient
    that is in trouble, and the forward one is told as its cause.
    """
    kept: dict[Finding, None] = {}
    at: dict[Node, Finding] = {}
    stands_for: dict[Finding, Finding] = {}

    def heir(finding: Finding) -> Finding:
        while finding in stands_for:
            finding = stands_for[finding]
        return finding

    for finding in arising:
        nodes = [each.node for each in finding.chain]
        if finding.culprit is not None:
            nodes.append(finding.culprit.node)
        sources = [at[node] for node in nodes if node in at]
        at.setdefault(finding.node, finding)
        kept[finding] = None
        if not sources:
            continue
        source = sources[-1]
        root = heir(source)
        phase, given = finding.node.phase, source.code in ("fed-nan", "fed-inf")
        if phase == "forward" and not given:
            continue
        takes_over = root is source and not given and phase == "backward"
        if source.node.phase == "forward":
            place = run.places[source.node]
            takes_over &= run.hidden[place] or (finding.hidden_by is not None and not run.seen[place])
        else:
            takes_over &= math.isnan(finding.value or 0) and not math.isnan(source.value or 0)
        if takes_over:
            del kept[source]
            stands_for[source] = finding
            finding.leads_to += source.leads_to
            culprit = finding.culprit
            if culprit is not None and culprit.node is source.node and source.index is not None:
                finding.culprit = Culprit(source.node, source.index, source.operands, source.code)
                if not isinstance(source.node.op, Elementwise):
                    finding.remedy = source.remedy
        else:
            del kept[finding]
            stands_for[finding] = root
            root.leads_to += (finding,)
    return list(kept)


@told_where
def check_health(
    target: Any,
    feed: Feed | None = None,
    *,
    sizes: Mapping[str, int] | None = None,
    graph: Graph | None = None,
) -> Health:
    """Evaluate, and tell where NaN, inf, overflow and their like arise, why, and what to do about it.

    Parameters
    ----------
    target : Node, str, or list, tuple or dict of them, Compiled, or Trace
        Fetches; or a compiled step, whose updates are evaluated and not made; or what a trace is of.
    feed, sizes, graph
        As `graphnn.run` takes them.

    Returns
    -------
    Health
        True if all is well; else the findings, the worst first.

    Raises
    ------
    GraphnnError
        When the feed does not fit, as `graphnn.run` does. An operation that fails in the run is a finding.

    Notes
    -----
    A constant of inf is meant so, and one that is fed as long as it spoils no result: masks are made of them. What
    `HAZARDS` says of an operation, and the thresholds of this module, decide the rest. All values are kept until it
    returns.

    Examples
    --------
    >>> from graphnn.autograd import grad
    >>> from graphnn.graph import fn
    >>> g = Graph()
    >>> x = g.placeholder("x", shape=("n",))
    >>> y = fn.where(x > 0, fn.log(x), 0.0)
    >>> health = check_health(grad(fn.sum(y), x), {x: [0.0, 2.0]})
    >>> health.ok, health.first.code, health.first.place
    (False, 'zero-over-zero', 'grad/divide[0]')
    >>> health.first.culprit.node.name, health.first.hidden_by.name
    ('log', 'where')
    >>> print(health.first.remedy)
    mask the input of log instead, gn.log(gn.where(condition, x, 1)): both branches of a where are computed, and 0
    times an infinite slope is NaN
    """
    prepared, _ = prepared_for(target, feed, sizes, graph)
    run = _Run(prepared)
    return Health(run.graph, run.count, _Doctor(run).examine())
