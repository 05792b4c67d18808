"""How NaN and inf arise, by operation, and what to do about it: `HAZARDS`."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...core import Array, Op, Trait, limits
from ...ops.base import Linear, Multilinear
from ...ops.reductions import Reduction
from .check_registry import declare
from .findings import rounded

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..why import Index
    from .evaluation import Evaluation

_CODES = {
    "log-of-zero": "log(0), or log1p(-1)",
    "log-of-negative": "the logarithm of a negative number",
    "sqrt-of-negative": "the square root of a negative number",
    "zero-over-zero": "0 / 0",
    "division-by-zero": "a number other than 0 is divided by 0, or 0 has a negative exponent",
    "empty-count": "a sum is divided by a count of 0",
    "empty-reduction": "a mean, deviation or extremum of no elements, or of too few",
    "inf-over-inf": "inf / inf",
    "zero-times-inf": "0 * inf",
    "inf-minus-inf": "inf - inf",
    "power-domain": "a negative number to a power that is not an integer",
    "undefined-at-inf": "a function of inf that has no limit there",
    "overflow": "a result beyond the largest number of its dtype",
    "not-a-number": "NaN although no operand is NaN, in an operation without rules of its own",
    "infinite": "inf although all operands are finite, in an operation without rules of its own",
}
for _code, _says in _CODES.items():
    declare(_code, _says)

ABOUT_ONE = 1e-2
"""Probabilities may sum to 1 within this."""

# --- one element ------------------------------------------------------------------------------------------------


class Case:
    """One element where a NaN or inf arose.

    Attributes
    ----------
    node : Node
    op : Op
        With numbers for its dimensions.
    value : float
        The element.
    parts : list of array or None
        What it read of each operand, as float64.
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
        """The number that was read of the first operand; NaN if there were several."""
        return self._single(0)

    @property
    def y(self) -> float:
        """The number that was read of the second operand; NaN if there were several."""
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
        """The terms of a sum of products."""
        product: Array = np.ones(())
        for factor in self.parts:
            product = product * (np.ones(()) if factor is None else factor)
        return product

    @property
    def finite(self) -> bool:
        """Whether all numbers that were read are finite."""
        return bool(np.isfinite(self.numbers).all())

    @property
    def empty(self) -> bool:
        """Whether nothing was read, or too few numbers for a deviation."""
        return self.numbers.size <= getattr(self.op, "ddof", 0)

    def among(self, code: str) -> str:
        """Return a clause that names the terms to blame, if the equation may leave them out because there are many."""
        of_products = code in ("zero-times-inf", "overflow") and self.op.multilinear
        if not (of_products or code == "inf-minus-inf") or self.products.size <= 4:
            return ""
        if code == "inf-minus-inf":
            return ", with inf and -inf among them"
        worst = int(np.argmax(np.isnan(self.products) if code == "zero-times-inf" else np.abs(self.products)))
        factors = [np.broadcast_to(part, self.products.shape).flat[worst] for part in self.parts if part is not None]
        return f", with {' * '.join(rounded(float(factor)) for factor in factors)} among them"

    def source(self, i: int) -> str:
        """Return what made the number of operand `i`: "softmax", or the name of an operation."""
        path = self.run.path_of(self.place, self.index, i)
        if not path:
            return ""
        root = path[-1].node
        return "softmax" if self.run.kind_of_scope(root).lower() == "softmax" else root.op.name

    def comes_through(self, name: str, i: int) -> bool:
        """Return whether the number of operand `i` was passed on by an operation of that name."""
        return any(each.node.op.name == name for each in self.run.path_of(self.place, self.index, i))

    def cancels(self, i: int) -> bool:
        """Return whether operand `i` is a difference like that of a mean of squares and the square of a mean."""
        path = self.run.path_of(self.place, self.index, i)
        root = path[-1].node if path else None
        if root is None or -1 not in root.op.signs or self.run.is_given(root):
            return False
        made = {operand.op.name for operand in root.inputs}
        return bool(made & {"mean", "sum"}) and bool(made & {"square", "multiply", "power"})

    def counts(self, i: int) -> bool:
        """Return whether operand `i` is a count: a sum of bools, of integers or of a mask that is given."""
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
        # A mask holds zeros and ones, and something is multiplied by it; a value divided by its own sum is not a mask.
        other = self.run.path_of(self.place, self.index, 1 - i)
        of_itself = bool(other) and other[-1].node is root and all(e.node.op.powers != (1, 1) for e in other)
        return not of_itself and bool(np.isin(self.run.values[self.run.places[root]], (0, 1)).all())


def moves(op: Op) -> bool:
    """Return whether an operation may come between a probability and its logarithm, or between a mask and its sum."""
    return op.rearranges or op.casts or -1 in op.signs or op.name == "pick"


def _both(numbers: Array) -> bool:
    return bool(np.any(numbers == np.inf) and np.any(numbers == -np.inf))


# --- remedies ---------------------------------------------------------------------------------------------------

_SMALL = {
    2: {"least": "1e-4", "divisor": "1e-2", "step": "1e-3", "low": "-1e4", "most": "9"},
    4: {"least": "1e-12", "divisor": "1e-12", "step": "1e-6", "low": "-1e9", "most": "75"},
    8: {"least": "1e-12", "divisor": "1e-12", "step": "1e-12", "low": "-1e9", "most": "600"},
}
"""Numbers that are small, or large, enough for a dtype and its gradients, by its bytes."""


def fitted(text: str, dtype: np.dtype[Any]) -> str:
    """Return a remedy with numbers that suit a dtype: 1e-12 is 0 in float16."""
    return text.format_map(_SMALL.get(dtype.itemsize, _SMALL[8]))


CANCELLED = (
    "subtracting two large, nearly equal numbers lost their digits: use gn.var, or subtract the mean before you square"
)
_LOG = (
    "keep the input of log above 0: gn.log(gn.maximum(x, {least})); or mask the input of log: gn.log(gn.where(x > 0, "
    "x, 1))"
)
_LOG_OF = {
    "softmax": "use gn.log_softmax(logits), which does not round to 0; as a loss, nn.softmax_crossentropy(logits, "
    "labels)",
    "exp": "do not take exp and then log: log(exp(x)) is x, and the log of a sum of exponentials is gn.logsumexp(x)",
    "sigmoid": "use -gn.softplus(-x), which is log(sigmoid(x)) without rounding; as a loss, "
    "nn.sigmoid_crossentropy(logits, labels)",
    "subtract": "if this is log(1 - p) with p rounded to 1, use nn.sigmoid_crossentropy(logits, labels), or "
    "nn.binary_crossentropy, which clips p; otherwise mask the input of log: gn.log(gn.where(x > 0, x, 1))",
}
"""What to do about the logarithm of a result that was rounded to 0, by the operation that made it."""
_LOG1P = "keep the input of log1p above -1: gn.log1p(gn.maximum(x, -1 + {step}))"
_SQRT = "find out why it is negative; if only by rounding, use gn.sqrt(gn.maximum(x, {least}))"
_DIVIDE = (
    "keep the denominator away from 0: x / gn.maximum(y, {divisor}) if it is never negative, otherwise "
    "x / gn.where(gn.equal(y, 0), 1, y)"
)
_UNDER_A_ROOT = (
    "add a small number inside the square root: x / gn.sqrt(y + {least}); a bound outside of it would leave its slope "
    "infinite at 0, and the gradient NaN"
)
_INVERSE = "keep x away from 0: gn.reciprocal(gn.where(gn.equal(x, 0), 1, x))"
_POWER = (
    "a negative number has no fractional power: use gn.absolute(x) ** y, or keep x above 0: "
    "gn.maximum(x, {divisor}) ** y"
)
_TINY = "keep the denominator away from 0: gn.maximum(y, {divisor}) if it is never negative; or scale it up"
_MASK = (
    "use gn.where(mask, x, 0) instead of multiplying by a mask, because 0 * inf is NaN; and mask the input of the "
    "operation that made the inf, or its gradient is NaN, too"
)
_OVERLAP = (
    "keep one of the infinities out of the sum; if a whole row is masked with -inf, keep one element of it, or mask "
    "with a large finite number such as {low}"
)
EMPTY = "there are no elements to reduce: check the shape of the operand, and skip empty batches"


def _too_few(case: Case) -> str:
    ddof = getattr(case.op, "ddof", 0)
    if not case.numbers.size or not ddof:
        return EMPTY
    return f"ddof={ddof} needs at least {ddof + 1} elements, not {case.numbers.size}: leave ddof out, or add elements"


def _of_log(case: Case) -> str:
    remedy = CANCELLED if case.cancels(0) else _LOG if case.x else _LOG_OF.get(case.source(0), _LOG)
    return fitted(remedy, case.node.dtype)


def _of_denominator(case: Case) -> str:
    remedy = CANCELLED if case.cancels(1) else _UNDER_A_ROOT if case.comes_through("sqrt", 1) else _DIVIDE
    return fitted(remedy, case.node.dtype)


def _unless_cancelled(remedy: str) -> Callable[[Case], str]:
    return lambda case: CANCELLED if case.cancels(0) else fitted(remedy, case.node.dtype)


def too_large(case: Case) -> str:
    """Return what to do about a result that overflows, or nearly does."""
    op, dtype = case.op.name, case.node.dtype
    if dtype == np.float16 and case.node.phase == "backward":
        return "scale the loss down before the gradient is taken, and the gradient up again"
    if op in ("exp", "expm1"):
        bounded = f"gn.{op}(gn.minimum(x, {{most}}))"
        return fitted(f"subtract the maximum first, as gn.softmax and gn.logsumexp do; or bound x: {bounded}", dtype)
    if op == "norm" and case.finite:
        return (
            "the squares overflow before the root is taken: divide by the largest element first, "
            "m * gn.norm(x / m) with m = gn.max(gn.absolute(x))"
        )
    if (op == "divide" and abs(case.x * case.y) < 1) or (op == "reciprocal" and abs(case.x) < 1):
        return fitted(_TINY, dtype)
    if op == "power" and abs(case.x) < 1:
        return fitted("keep x away from 0: gn.maximum(x, {divisor}) ** y", dtype)
    if op == "cast":
        return f"keep it in {case.node.inputs[0].dtype}, or scale the numbers down first"
    if any(operand.trainable for operand in case.node.inputs):
        return "use smaller initial weights, such as those of nn.init.he_normal, or scale the inputs to about 1"
    if dtype.itemsize < 8:
        wider = "float32" if dtype.itemsize == 2 else "float64"
        return f'compute it in {wider}: gn.cast(x, "{wider}"); or scale the numbers down first'
    return "scale the numbers down first, or work with their logarithms"


def largest(dtype: np.dtype[Any]) -> str:
    """Return the largest number of a dtype, in words."""
    return f"{float(limits(dtype).max):.5g}"


# --- NaN and inf, by operation ----------------------------------------------------------------------------------


class Rule(NamedTuple):
    """One way in which a NaN or inf arises in an operation.

    Attributes
    ----------
    code : str
    holds : callable
        Takes a `Case`; returns whether this is what happened.
    remedy : str or callable
        What to do about it, or a function of a `Case` that returns that.
    """

    code: str
    holds: Callable[[Case], bool]
    remedy: str | Callable[[Case], str]

    def remedy_for(self, case: Case) -> str:
        """Return what to do about it."""
        return fitted(self.remedy, case.node.dtype) if isinstance(self.remedy, str) else self.remedy(case)


class Hazard(NamedTuple):
    """The ways in which NaN and inf arise in an operation.

    Attributes
    ----------
    rules : tuple of Rule
        The first that holds counts.
    slope : str
        What to do if its derivative is what is bad; "" if the derivative cannot be.
    """

    rules: tuple[Rule, ...]
    slope: str = ""


_OVERFLOW = Rule("overflow", lambda c: not math.isfinite(c.value) and c.finite, too_large)
_OPPOSED = Rule("inf-minus-inf", lambda c: _both(c.numbers), _OVERLAP)
_NOTHING = Rule("empty-reduction", lambda c: c.empty, _too_few)
_ZERO_INF = Rule("zero-times-inf", lambda c: bool(np.any(c.numbers == 0) and np.isinf(c.numbers).any()), _MASK)
_AT_INF = Rule("undefined-at-inf", lambda c: bool(np.isinf(c.numbers).any()), "keep inf out of the operands")
_SUM = Hazard((_OPPOSED, _OVERFLOW))
_PRODUCTS = Hazard(
    (
        Rule("zero-times-inf", lambda c: bool(np.isnan(c.products).any()), _MASK),
        Rule("inf-minus-inf", lambda c: _both(c.products) and not c.finite, _OVERLAP),
        _OVERFLOW,
    )
)


def _by_zero(sign: str) -> tuple[Rule, ...]:
    """Return the rules of // or %."""
    masked = f"mask the denominator: x {sign} gn.where(gn.equal(y, 0), 1, y)"
    zero = Rule("zero-over-zero", lambda c: sign == "//" and c.x == 0 == c.y, masked)
    return zero, Rule("division-by-zero", lambda c: c.y == 0, masked), _AT_INF, _OVERFLOW


HAZARDS: dict[str, Hazard] = {
    **dict.fromkeys(
        ("log", "log2", "log10"),
        Hazard(
            (Rule("log-of-zero", lambda c: c.x == 0, _of_log), Rule("log-of-negative", lambda c: c.x < 0, _of_log)),
            f"the slope of log is infinite at 0: {_LOG}",
        ),
    ),
    "log1p": Hazard(
        (Rule("log-of-zero", lambda c: c.x == -1, _LOG1P), Rule("log-of-negative", lambda c: c.x < -1, _LOG1P)),
        "the slope of log1p is infinite at -1: gn.log1p(gn.maximum(x, -1 + {step}))",
    ),
    "sqrt": Hazard(
        (Rule("sqrt-of-negative", lambda c: c.x < 0, _unless_cancelled(_SQRT)),),
        "the slope of sqrt is infinite at 0, and times 0 it is NaN: use gn.norm or gn.std, whose gradient is 0 there; "
        "or add a small number inside the root, gn.sqrt(x + {least})",
    ),
    "divide": Hazard(
        (
            Rule(
                "empty-count",
                lambda c: c.y == 0 and c.counts(1),
                "there was nothing to count: divide by gn.maximum(count, 1)",
            ),
            Rule("zero-over-zero", lambda c: c.x == 0 == c.y, _of_denominator),
            Rule("division-by-zero", lambda c: c.y == 0, _of_denominator),
            Rule(
                "inf-over-inf",
                lambda c: math.isinf(c.x) and math.isinf(c.y),
                lambda c: (
                    "subtract the maximum before exp is taken, as gn.softmax(x) does"
                    if c.source(0) == "exp"
                    else "keep inf out of both operands, for example by scaling them down"
                ),
            ),
            _OVERFLOW,
        ),
        _DIVIDE,
    ),
    "divide_by_size": Hazard((Rule("empty-reduction", lambda c: getattr(c.op, "count", 1) == 0, EMPTY), _OVERFLOW)),
    "reciprocal": Hazard((Rule("division-by-zero", lambda c: c.x == 0, _INVERSE), _OVERFLOW), _INVERSE),
    "floor_divide": Hazard(_by_zero("//")),
    **dict.fromkeys(("remainder", "fmod"), Hazard(_by_zero("%"))),
    "subtract": Hazard((Rule("inf-minus-inf", lambda c: math.isinf(c.x) and math.isinf(c.y), _OVERLAP), _OVERFLOW)),
    "power": Hazard(
        (
            Rule("power-domain", lambda c: c.x < 0 and not float(c.y).is_integer(), _unless_cancelled(_POWER)),
            Rule(
                "division-by-zero",
                lambda c: c.x == 0 and c.y < 0,
                "keep x away from 0: gn.where(gn.equal(x, 0), 1, x) ** y",
            ),
            _OVERFLOW,
        ),
        "the slope of x ** y is infinite at 0 if y is below 1: use (x + {least}) ** y",
    ),
    "logsumexp": Hazard((_NOTHING, _OVERFLOW)),
    "mean": Hazard((_NOTHING, _OPPOSED, _OVERFLOW)),
    **dict.fromkeys(("multiply", "matmul", "einsum", "outer", "prelu"), _PRODUCTS),
    **dict.fromkeys(("add", "sum", "sum_to", "cumsum", "index_add", "add_along_axis"), _SUM),
    **dict.fromkeys(("sin", "cos", "tan"), Hazard((_AT_INF,))),
    **dict.fromkeys(("silu", "gelu"), Hazard((_AT_INF, _OVERFLOW))),
    **dict.fromkeys(("var", "std"), Hazard((_NOTHING, _AT_INF, _OVERFLOW))),
    **dict.fromkeys(("prod", "prod_others", "multiply_along_axis"), Hazard((_ZERO_INF, _OVERFLOW))),
    **dict.fromkeys(("max", "min"), Hazard((_NOTHING,))),
}
"""How NaN and inf arise, by operation; for others, `hazard_of` goes by their base and traits."""

_OF_OTHERS = Hazard(
    (
        # The terms and the result are finite; a partial sum was not.
        Rule("overflow", lambda c: c.finite and isinstance(c.op, (Reduction, Multilinear, Linear)), too_large),
        Rule("not-a-number", lambda c: math.isnan(c.value), "check the operands, and the forward of the operation"),
        Rule("infinite", lambda c: True, "check the operands, and the forward of the operation"),
    )
)


def hazard_of(op: Op) -> Hazard:
    """Return how NaN and inf arise in an operation."""
    if op.name in HAZARDS:
        return HAZARDS[op.name]
    if op.multilinear:
        return _PRODUCTS
    if op.linear:
        return _SUM
    return Hazard((_OVERFLOW,)) if Trait.OVERFLOWS in op.traits else _OF_OTHERS


def rule_of(case: Case) -> Rule:
    """Return the rule that says what happened."""
    return next(rule for rule in (*hazard_of(case.op).rules, *_OF_OTHERS.rules) if rule.holds(case))
