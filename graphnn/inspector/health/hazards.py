"""What can go wrong in which operation, how one tells, and what to do about it.

`HAZARDS` says it of NaN and inf, by operation; the sets and thresholds below say it of what is rounded, saturated,
refused or merely large.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...graph import Trait
from ...ops.base import Linear, Multilinear, Rearranging
from ...ops.reduce import Reduction
from .checks import declare
from .findings import said

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...graph import Array, Op
    from ..why import Index
    from .evaluation import Evaluation

_CODES = {
    "log-of-zero": "log(0), or log1p(-1)",
    "log-of-negative": "the logarithm of a negative number",
    "sqrt-of-negative": "the square root of a negative number",
    "zero-over-zero": "0 / 0",
    "division-by-zero": "a number that is not 0 is divided by 0, or 0 has a negative exponent",
    "empty-count": "what was counted to divide by it is 0",
    "empty-reduction": "a mean, a deviation or an extremum of nothing, or of too few",
    "inf-over-inf": "inf / inf",
    "zero-times-inf": "0 * inf",
    "inf-minus-inf": "inf - inf",
    "power-domain": "a negative number to a power that is not an integer",
    "undefined-at-inf": "a function that has no limit there, at inf",
    "overflow": "a result beyond the largest number of its dtype",
    "not-a-number": "NaN where no operand is NaN, in an operation that no rule is known for",
    "infinite": "inf where all operands are finite, in an operation that no rule is known for",
}
for _code, _says in _CODES.items():
    declare(_code, _says)

ABOUT_ONE = 1e-2
"""How far from 1 probabilities may sum up to."""

# --- one element that is bad ------------------------------------------------------------------------------------


class Case:
    """One element at which something bad arose, as the rules see it.

    Attributes
    ----------
    node : Node
    op : Op
        With numbers for its dimensions.
    value : float
        What came out.
    parts : list of array or None
        What was read of each operand, as float64.
    """

    def __init__(self, run: Evaluation, place: int, index: Index) -> None:
        self.run, self.place, self.index = run, place, index
        self.node, self.op = run.order[place], run.op(place)
        self.value = float(run.values[place][index])
        self.parts: list[Array | None] = [
            None if entry is None else np.asarray(x[entry], np.float64)
            for entry, x in zip(run.reads(place, index), run.operands_of(place), strict=True)
        ]

    @property
    def x(self) -> float:
        """The number that was read of the first operand; NaN of several."""
        return self._single(0)

    @property
    def y(self) -> float:
        """The number that was read of the second operand; NaN of several."""
        return self._single(1)

    def _single(self, i: int) -> float:
        part = self.parts[i]
        return math.nan if part is None or part.size != 1 else float(part.item())

    @cached_property
    def numbers(self) -> Array:
        """All numbers that were read."""
        parts = [part.reshape(-1) for part in self.parts if part is not None]
        return np.concatenate(parts) if parts else np.zeros(0)

    @cached_property
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
    def empty(self) -> bool:
        """Whether nothing was read, or too little for a deviation."""
        return self.numbers.size <= getattr(self.op, "ddof", 0)

    def among(self, code: str) -> str:
        """Return a clause that names what is to blame, where an equation would leave it out among many terms."""
        if code == "inf-minus-inf" and self.products.size > 4:
            return ", with inf and -inf among them"
        if code not in ("zero-times-inf", "overflow") or not isinstance(self.op, Multilinear):
            return ""
        if self.products.size <= 4:
            return ""
        worst = int(np.argmax(np.isnan(self.products) if code == "zero-times-inf" else np.abs(self.products)))
        factors = [np.broadcast_to(part, self.products.shape).flat[worst] for part in self.parts if part is not None]
        return f", with {' * '.join(said(float(factor)) for factor in factors)} among them"

    def source(self, i: int) -> str:
        """Return where operand `i` has its number from: "softmax", or the name of an operation."""
        path = self.run.path_of(self.place, self.index, i)
        if not path:
            return ""
        root = path[-1].node
        scope = root.graph.scopes.get(root.scope)
        return "softmax" if scope is not None and scope.kind.lower() == "softmax" else root.op.name

    def comes_through(self, name: str, i: int) -> bool:
        """Return whether the number of operand `i` came, as it is, through an operation of that name."""
        return any(each.node.op.name == name for each in self.run.path_of(self.place, self.index, i))

    def cancels(self, i: int) -> bool:
        """Return whether operand `i` is the difference of a mean of squares and the square of a mean, or its like."""
        path = self.run.path_of(self.place, self.index, i)
        root = path[-1].node if path else None
        if root is None or root.op.name != "subtract" or self.run.is_given(root):
            return False
        made = {operand.op.name for operand in root.inputs}
        return bool(made & {"mean", "sum"}) and bool(made & {"square", "multiply", "power"})

    def counts(self, i: int) -> bool:
        """Return whether operand `i` is a count: a sum of bools, of integers, or of a given mask."""
        path = self.run.path_of(self.place, self.index, i)
        names = [each.node.op.name for each in path]
        if "sum" not in names:
            return False
        root = path[-1].node
        if root.dtype.kind in "biu":
            return True
        if self.node.phase == "backward" or not self.run.is_given(root):
            return False
        if not all(moves(each.node.op) for each in path[names.index("sum") + 1 : -1]):
            return False
        # A mask is of zeros and ones, and something is multiplied by it; what is divided by its own sum is none.
        other = self.run.path_of(self.place, self.index, 1 - i)
        of_itself = bool(other) and other[-1].node is root and all(e.node.op.name != "multiply" for e in other)
        return not of_itself and bool(np.isin(self.run.values[self.run.places[root]], (0, 1)).all())


def moves(op: Op) -> bool:
    """Return whether an operation may stand between a number and a logarithm, or quotient, of it."""
    return isinstance(op, Rearranging) or op.name in ("pick", "cast", "subtract")


def _both(numbers: Array) -> bool:
    return bool(np.any(numbers == np.inf) and np.any(numbers == -np.inf))


# --- what to do about it ----------------------------------------------------------------------------------------

_SMALL = {
    2: {"least": "1e-4", "divisor": "1e-2", "step": "1e-3", "low": "-1e4", "most": "9"},
    4: {"least": "1e-12", "divisor": "1e-12", "step": "1e-6", "low": "-1e9", "most": "75"},
    8: {"least": "1e-12", "divisor": "1e-12", "step": "1e-12", "low": "-1e9", "most": "600"},
}
"""What is small, and large, enough for a dtype and its gradients, by the bytes of it."""


def fitted(text: str, dtype: np.dtype[Any]) -> str:
    """Return a remedy with the numbers that suit a dtype: 1e-12 is 0 in float16."""
    return text.format_map(_SMALL.get(dtype.itemsize, _SMALL[8]))


_LOG = (
    "give log what is above 0: gn.log(gn.maximum(x, {least})); or mask the input of log, gn.log(gn.where(x > 0, x, 1))"
)
_DIVIDE = (
    "keep the denominator away from 0: x / gn.maximum(y, {divisor}) if it is never negative, else "
    "x / gn.where(gn.equal(y, 0), 1, y)"
)
_UNDER_A_ROOT = (
    "add a small number under the root, x / gn.sqrt(y + {least}): what bounds it from without leaves its slope "
    "infinite at 0, and a gradient NaN"
)
_MASKED = "mask the denominator: x {} gn.where(gn.equal(y, 0), 1, y)"
_INVERSE = "keep x away from 0: gn.reciprocal(gn.where(gn.equal(x, 0), 1, x))"
_TINY = "keep the denominator away from 0, gn.maximum(y, {divisor}) if it is never negative, or scale it up"
_COUNT = "there was nothing to count: divide by gn.maximum(count, 1)"
_MASK = (
    "choose with gn.where(mask, x, 0) instead of multiplying by a mask, since 0 * inf is NaN; and mask the input "
    "of what made the inf, or its gradient is NaN, too"
)
_OVERLAP = (
    "keep one of the infinities out of the sum; where a whole row is masked by -inf, leave one element of it or use "
    "a large finite number such as {low}"
)
EMPTY = "it got no elements to reduce: look at the shape of what goes in, and skip an empty batch"


def _too_few(case: Case) -> str:
    ddof = getattr(case.op, "ddof", 0)
    if not case.numbers.size or not ddof:
        return EMPTY
    return (
        f"with ddof={ddof} it takes at least {ddof + 1} elements, and got {case.numbers.size}: leave ddof out, or give "
        "it more of them"
    )


def too_large(case: Case) -> str:
    """Return what to do where a result is beyond the largest number of its dtype, or close to it."""
    op, dtype = case.op.name, case.node.dtype
    if dtype == np.float16 and case.node.phase == "backward":
        return "scale the loss down before the gradient is taken, and the gradient up again"
    if op in ("exp", "expm1"):
        return fitted(
            "subtract the largest first, as gn.softmax and gn.logsumexp do, or bound what goes in, "
            f"gn.{op}(gn.minimum(x, {{most}}))",
            dtype,
        )
    if op == "norm" and case.finite:
        return (
            "its squares overflow before the root is taken: divide by the largest first, "
            "m * gn.norm(x / m) with m = gn.max(gn.absolute(x))"
        )
    if (op == "divide" and abs(case.x * case.y) < 1) or (op == "reciprocal" and abs(case.x) < 1):
        return fitted(_TINY, dtype)
    if op == "power" and abs(case.x) < 1:
        return fitted("keep x away from 0: gn.maximum(x, {divisor}) ** y", dtype)
    if op == "cast":
        return f"leave it in {case.node.inputs[0].dtype}, or scale the numbers down first"
    if any(operand.trainable for operand in case.node.inputs):
        return "smaller weights to begin with, as nn.init.he_normal draws them, or inputs that are scaled to about 1"
    if dtype.itemsize < 8:
        wider = "float32" if dtype.itemsize == 2 else "float64"
        return f'compute it in {wider}, gn.cast(x, "{wider}"), or scale the numbers down first'
    return "scale the numbers down first, or work with their logarithms"


CANCELLED = (
    "two large numbers that are nearly equal were subtracted, and their digits are lost: gn.var, or subtracting the "
    "mean before the squares are taken, keeps them"
)


def largest(dtype: np.dtype[Any]) -> str:
    """Return the largest number of a dtype, in words."""
    return f"{float(np.finfo(dtype).max):.5g}"


# --- NaN and inf, by operation ----------------------------------------------------------------------------------


class Rule(NamedTuple):
    """One thing that can go wrong in an operation.

    Attributes
    ----------
    code : str
    holds : callable
        Whether it is what went wrong in a `Case`.
    remedy : str or callable
        What to do about it, or what tells that of a `Case`.
    """

    code: str
    holds: Callable[[Case], bool]
    remedy: str | Callable[[Case], str]

    def remedy_for(self, case: Case) -> str:
        """Return what to do about it."""
        return fitted(self.remedy, case.node.dtype) if isinstance(self.remedy, str) else self.remedy(case)


class Hazard(NamedTuple):
    """What can go wrong in an operation.

    Attributes
    ----------
    rules : tuple of Rule
        The first that holds is told.
    slope : str
        What to do where its gradient is what goes wrong; "" where that is no fault of its own.
    """

    rules: tuple[Rule, ...]
    slope: str = ""


_OVERFLOW = Rule("overflow", lambda c: not math.isfinite(c.value) and c.finite, too_large)
_OPPOSED = Rule("inf-minus-inf", lambda c: _both(c.numbers), _OVERLAP)
_NOTHING = Rule("empty-reduction", lambda c: c.empty, _too_few)
_ZERO_INF = Rule("zero-times-inf", lambda c: bool(np.any(c.numbers == 0) and np.isinf(c.numbers).any()), _MASK)
_AT_INF = Rule("undefined-at-inf", lambda c: bool(np.isinf(c.numbers).any()), "keep inf out of what goes in")
_PRODUCTS = Hazard(
    (
        Rule("zero-times-inf", lambda c: bool(np.isnan(c.products).any()), _MASK),
        Rule("inf-minus-inf", lambda c: _both(c.products) and not c.finite, _OVERLAP),
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
            Rule("log-of-zero", lambda c: c.x == 0 and c.cancels(0), CANCELLED),
            Rule(
                "log-of-zero",
                lambda c: c.x == 0 and c.source(0) == "subtract",
                "if this is log(1 - p) with a p that is rounded to 1, nn.sigmoid_crossentropy(logits, labels) does "
                "without p, and nn.binary_crossentropy clips it; else mask the input of log, "
                "gn.log(gn.where(x > 0, x, 1))",
            ),
            Rule("log-of-zero", lambda c: c.x == 0, _LOG),
            Rule("log-of-negative", lambda c: c.x < 0 and c.cancels(0), CANCELLED),
            Rule("log-of-negative", lambda c: c.x < 0, _LOG),
        ),
        "the slope of log is infinite at 0: " + _LOG,
    ),
    "log1p": Hazard(
        (
            Rule(
                "log-of-zero",
                lambda c: c.x == -1,
                "give log1p what is above -1: gn.log1p(gn.maximum(x, -1 + {step}))",
            ),
            Rule(
                "log-of-negative",
                lambda c: c.x < -1,
                "give log1p what is above -1: gn.log1p(gn.maximum(x, -1 + {step}))",
            ),
        ),
        "the slope of log1p is infinite at -1: gn.log1p(gn.maximum(x, -1 + {step}))",
    ),
    "sqrt": Hazard(
        (
            Rule("sqrt-of-negative", lambda c: c.x < 0 and c.cancels(0), CANCELLED),
            Rule(
                "sqrt-of-negative",
                lambda c: c.x < 0,
                "look why it is negative; gn.sqrt(gn.maximum(x, {least})) keeps off what is only rounding",
            ),
        ),
        "the slope of sqrt is infinite at 0, and times 0 it is NaN: gn.norm and gn.std take it as 0 there; else add "
        "a small number inside, gn.sqrt(x + {least})",
    ),
    "divide": Hazard(
        (
            Rule("empty-count", lambda c: c.y == 0 and c.counts(1), _COUNT),
            Rule("zero-over-zero", lambda c: c.x == 0 == c.y and c.cancels(1), CANCELLED),
            Rule("zero-over-zero", lambda c: c.x == 0 == c.y and c.comes_through("sqrt", 1), _UNDER_A_ROOT),
            Rule("zero-over-zero", lambda c: c.x == 0 == c.y, _DIVIDE),
            Rule("division-by-zero", lambda c: c.y == 0 and c.cancels(1), CANCELLED),
            Rule("division-by-zero", lambda c: c.y == 0 and c.comes_through("sqrt", 1), _UNDER_A_ROOT),
            Rule("division-by-zero", lambda c: c.y == 0, _DIVIDE),
            Rule(
                "inf-over-inf",
                lambda c: math.isinf(c.x) and math.isinf(c.y) and c.source(0) == "exp",
                "subtract the largest before exp is taken; gn.softmax(x) does",
            ),
            Rule("inf-over-inf", lambda c: math.isinf(c.x) and math.isinf(c.y), "keep inf out of both: scale first"),
            _OVERFLOW,
        ),
        _DIVIDE,
    ),
    "divide_by": Hazard((Rule("empty-reduction", lambda c: getattr(c.op, "count", 1) == 0, EMPTY), _OVERFLOW)),
    "reciprocal": Hazard(
        (
            Rule("division-by-zero", lambda c: c.x == 0, _INVERSE),
            _OVERFLOW,
        ),
        _INVERSE,
    ),
    "floor_divide": Hazard(
        (
            Rule("zero-over-zero", lambda c: c.x == 0 == c.y, _MASKED.format("//")),
            Rule("division-by-zero", lambda c: c.y == 0, _MASKED.format("//")),
            _AT_INF,
            _OVERFLOW,
        )
    ),
    "remainder": Hazard(
        (
            Rule("division-by-zero", lambda c: c.y == 0, _MASKED.format("%")),
            _AT_INF,
            _OVERFLOW,
        )
    ),
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
            Rule("power-domain", lambda c: c.x < 0 and not float(c.y).is_integer() and c.cancels(0), CANCELLED),
            Rule(
                "power-domain",
                lambda c: c.x < 0 and not float(c.y).is_integer(),
                "a root of a negative number is none: gn.absolute(x) ** y, or keep x above 0, "
                "gn.maximum(x, {divisor}) ** y",
            ),
            Rule(
                "division-by-zero",
                lambda c: c.x == 0 and c.y < 0,
                "keep x away from 0: gn.where(gn.equal(x, 0), 1, x) ** y",
            ),
            _OVERFLOW,
        ),
        "the slope of x ** y is infinite at 0 for a y below 1: (x + {least}) ** y",
    ),
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
"""What can go wrong, by operation; of others, their base and their traits say it."""

_OF_OTHERS = Hazard(
    (
        # What is added up, or multiplied, is finite, and on the way there it was not.
        Rule("overflow", lambda c: c.finite and isinstance(c.op, (Reduction, Multilinear, Linear)), too_large),
        Rule("not-a-number", lambda c: math.isnan(c.value), "look at what goes in"),
        Rule("infinite", lambda c: True, "look at what goes in"),
    )
)


def hazard_of(op: Op) -> Hazard:
    """Return what can go wrong in an operation."""
    known = HAZARDS.get(op.name)
    if known is None:
        grows = _GROWS if Trait.OVERFLOWS in op.traits else _OF_OTHERS
        known = _PRODUCTS if isinstance(op, Multilinear) else _SUM if isinstance(op, Linear) else grows
    return known


def rule_of(case: Case) -> Rule:
    """Return the rule that says what went wrong."""
    return next(rule for rule in (*hazard_of(case.op).rules, *_OF_OTHERS.rules) if rule.holds(case))
