"""What can go wrong in which operation, how one tells, and what to do about it.

`HAZARDS` says it of NaN and inf, by operation; the sets and thresholds below say it of what is rounded, saturated,
refused or merely large.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...errors import AxisError, DivisionError, GraphnnError, LabelError, ShapeError
from ...ops.base import Linear, Multilinear
from ...ops.reduce import Reduction
from .findings import Finding, said

if TYPE_CHECKING:
    from ...graph import Array, Node, Op
    from ..why import Index
    from .evaluation import Evaluation
    from .findings import Element

CODES: dict[str, str] = {
    "fed-nan": "a fed value, a parameter or a constant holds NaN",
    "fed-inf": "a parameter is infinite, or a fed infinity spoils a result",
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
    "power-domain": "a negative number to a power that is no integer",
    "undefined-at-inf": "a function that has no limit there, at inf",
    "overflow": "a result beyond the largest number of its dtype",
    "integer-overflow": "a result beyond the integers of its dtype, which wraps around",
    "not-a-number": "NaN of numbers that are none, in an operation that nothing is known of",
    "infinite": "inf of finite numbers, in an operation that nothing is known of",
    "label-out-of-range": "a label below 0, or not below the number of classes",
    "index-out-of-range": "an index beyond its axis",
    "raised": "an operation raised an error",
    "near-overflow": "a number close to the largest of its dtype",
    "underflow": "a result that is not 0 is rounded to 0",
    "saturated": "a sigmoid, tanh or softmax is rounded to its bound, where it passes no gradient",
    "clipped-probability": "a probability lies below the clip of its cross-entropy, which loses its gradient",
    "not-probabilities": "a cross-entropy of probabilities is given numbers that are none",
    "probabilities-as-logits": "a cross-entropy with a softmax or sigmoid of its own is given what comes out of one; "
    "or two softmaxes, or sigmoids, stand one after the other before a loss",
    "out-of-reach": "targets lie outside of what the last function of a network can give",
    "labels-are-inputs": "the labels of a loss are what the network is fed, or a column of that",
    "softmax-axis": "a softmax sums to 1 over another axis than the one that it weighs and that is summed next",
    "every-pair": "a batch as a column meets one as a row: every sample is paired with every other; told of dimensions "
    "that have a name",
    "other-axis": "an axis meets one that it was not made for, and that is as long by chance; so told, too",
    "softmax-of-one": "a softmax over a single number, which is always 1",
    "dead-units": "units of a relu that are 0 for the whole batch, of 32 rows or more",
    "vanishing-gradient": "a layer's gradient is lost beside those of later layers",
    "exploding-gradient": "a layer's gradient is out of all proportion",
    "huge-parameter": "a parameter has grown beyond reason",
    "large-update": "a step moves the numbers of a parameter by more than 1, and by more than ten times their size; or "
    "by more than their size, and has the loss be more than ten times as large",
    "no-gradient": "the gradient of a trained parameter is 0 in every element, or none is made",
    "not-moved": "a step leaves a trained parameter as it is, and its gradient is not 0; or moves all of them next to "
    "nothing",
    "units-alike": "units have the same weights and the same gradients, so that they stay alike",
    "unbounded-loss": "a loss has fallen so far below 0 that it has no least value",
    "negative-penalty": "what is subtracted from a loss grows with the parameters and has no end: a penalty of the "
    "wrong sign",
    "other-parameters": "a metric beside a loss is computed by parameters that are not trained, and that the loss does "
    "not depend on",
}
"""Every code that a finding can have, and what it says."""


GIVEN = ("fed-nan", "fed-inf")
"""The codes of what no operation is to blame for."""

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
UNDERFLOW_SHARE, UNDERFLOW_LEAST = 0.5, 0.05
"""Which share of what is not 0 in a float16 gradient must be rounded to 0 for a warning, and of all; less is a note."""
CLIP = 1e-3
"""A clip whose lower bound is above 0 and at most this guards a logarithm."""
LAYERS = 3
"""How many layers there must be before their gradients are compared."""
LAYER_RATIO = 1e-6
"""How small a layer's gradient may be beside the largest."""
ABOUT_TARGETS = 0.1
"""How far from 1 the probabilities of labels may sum up to."""
ABOUT_ONE = 1e-2
"""How far from 1 probabilities may sum up to."""
HUGE_GRADIENT = 1e8
"""How large a gradient may be beside its parameter, or beside 1."""
LARGE_GRADIENT = 1e3
"""How large it must be beside them, or beside 1, to be called so for being out of proportion to other layers'."""
LARGE_UPDATE = 10.0
"""How far a step may move a parameter beside its size, where that is by more than 1."""
RISEN, RISEN_FAR = 10.0, 1.5
"""How many times as large a step may have a loss, where it moves parameters further than they are large; or as far as
is noted anyway."""
NO_PROGRESS, STEEP = 1e-9, 1e-2
"""Which share of a loss a step must promise to take away, where the loss is at least so steep beside its size."""
MANY_LABELS = 8
"""How many labels there must be, and not all the same, before it says something that they equal what is fed."""
VAST_UPDATE = 1e3
"""How far beside its size, or beside 1, so that it is no note any more."""
HUGE_LOSS, NEGATED_LOSS = 1e12, 1e3
"""How far below 0 a loss may be; one that negates what is never below 0."""
LEARNT = 1e-6
"""How small a loss is that has nothing left to teach: a cross-entropy that clips is never 0."""
LARGE_DATA = 100.0
"""How large what is fed may be before it is to blame for a gradient that explodes."""
MASKED = 1e4
"""How large what is added is where it masks."""
HUGE_PARAMETER = 1e8
"""How large a trained number may be, beside 1 and beside what is fed."""

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
        if not set(names[names.index("sum") + 1 : -1]) <= MOVES:
            return False
        # A mask is of zeros and ones, and something is multiplied by it; what is divided by its own sum is none.
        other = self.run.path_of(self.place, self.index, 1 - i)
        of_itself = bool(other) and other[-1].node is root and all(e.node.op.name != "multiply" for e in other)
        return not of_itself and bool(np.isin(self.run.values[self.run.places[root]], (0, 1)).all())


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
_EMPTY = "it got no elements to reduce: look at the shape of what goes in, and skip an empty batch"


def _too_few(case: Case) -> str:
    ddof = getattr(case.op, "ddof", 0)
    if not case.numbers.size or not ddof:
        return _EMPTY
    return (
        f"with ddof={ddof} it takes at least {ddof + 1} elements, and got {case.numbers.size}: leave ddof out, or give "
        "it more of them"
    )


def too_large(case: Case) -> str:
    """Return what to do where a result is beyond the largest number of its dtype, or close to it."""
    op, dtype = case.op.name, case.node.dtype
    if dtype == np.float16 and case.node.phase == "backward":
        return OVERFLOWN_GRADIENT
    if op in EXPONENTIAL:
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


def too_large_an_integer(op: str, dtype: np.dtype[Any]) -> str:
    """Return what to do where integers wrap around."""
    if op == "cast":
        return "leave it a float, or bound it with gn.clip first"
    wider = "int64" if dtype.itemsize < 8 else "float64"
    return f'compute it in {wider}: gn.cast(x, "{wider}")'


def scaled_down(large: Element) -> str:
    """Return what to do where what is fed is large."""
    return f"scale {large.node.name} to about 1: {large}"


def mask_the_input(node: Node) -> str:
    """Return what to do where a `where` keeps a node's bad values out of the result only."""
    name = node.op.name
    both = "both branches of a where are computed, and a gradient of 0 becomes NaN in the hidden one"
    # The name of a node of a layer, dense_1/add, is none that one could write here.
    plain = all(operand.name.isidentifier() for operand in node.inputs)
    x, *others = [operand.name for operand in node.inputs] if plain else ["x", "y"][: len(node.inputs)]
    if name in _QUOTIENTS:
        return f"mask the denominator instead, {x} {_QUOTIENTS[name]} gn.where(condition, {others[0]}, 1): {both}"
    rest = "".join(f", {other}" for other in others)
    return f"mask the input of {name} instead, gn.{name}(gn.where(condition, {x}, 1){rest}): {both}"


_QUOTIENTS = {"divide": "/", "floor_divide": "//", "remainder": "%"}

REMEDIES: dict[str, str] = {
    "fed-nan": "clean the data first: np.nan_to_num, or leave such rows out",
    "fed-inf": "clean the data first: np.nan_to_num, or leave such rows out",
    "label-out-of-range": "labels run from 0 to below the number of classes: renumber them, or give the network as "
    "many outputs as there are classes",
    "index-out-of-range": "look where the index comes from; a table needs a row for each of them",
    "raised": "error.debug(), where it is raised, opens the debugger before it",
    "underflow": "nothing, unless its logarithm, its inverse or its gradient is wanted",
    "saturated": "smaller weights, or inputs scaled to about 1, keep it off its bounds",
    "every-pair": "give both the same shape, as gn.reshape(y, (-1, 1)) does; where pairs are meant, y[None, :] says so",
    "other-axis": "keepdims=True keeps the axis that was reduced, so that each row meets its own; or write y[:, None]",
    "dead-units": "a lower learning rate, nn.init.he_normal and inputs scaled to about 1 keep them alive; "
    "gn.leaky_relu revives them",
    "vanishing-gradient": "relu in place of a saturating function, nn.init.he_normal, and shortcuts around layers keep "
    "it up",
    "exploding-gradient": "smaller weights to begin with (nn.init.he_normal), clipped gradients, a lower learning "
    "rate, or inputs that are scaled to about 1",
    "huge-parameter": "lower the learning rate, or clip the gradients",
    "large-update": "a lower learning rate, unless so large a step is meant; or scale the inputs to about 1",
    "no-gradient": "nothing, if it is meant to begin so; else weights that are not all 0, and operations with a slope",
    "not-moved": "look at the learning rate, which is 0 or is lost beside the numbers",
    "softmax-of-one": "a layer with one output for each class; or nn.sigmoid_crossentropy of a single one",
    "labels-are-inputs": "feed the labels, and take them out of what is fed to the network; where a network is to give "
    "its input again, one placeholder for both says so",
    "softmax-axis": "let the softmax go over the axis that is summed next, gn.softmax(scores, axis=…)",
    "negative-penalty": "add the penalty to the loss, as loss + nn.l2(parameters, 0.01) does: a rate is not negative",
    "other-parameters": "call one layer for both: a layer that is made anew has parameters of its own",
    "units-alike": "draw the weights at random, as nn.init.glorot_uniform does: what begins alike learns alike",
    "unbounded-loss": "look at its sign: a loss is made smaller, and this one has no end",
}
"""What to do about it, where that is always the same."""

BAD_PARAMETER = (
    "an earlier step made it so: gn.compile(…, guard='{guard}') stops before that, and check_health at the state "
    "before tells why; a lower learning rate is the usual remedy"
)
OF_SQUARES = "its gradients are too large to be squared: scale the data, or the loss, down to about 1"
ZEROS = "weights that are not all 0 to begin with, as nn.init.he_normal draws them"
CANCELLED = (
    "two large numbers that are nearly equal were subtracted, and their digits are lost: gn.var, or subtracting the "
    "mean before the squares are taken, keeps them"
)
SET_BY_HAND = "it was set so by hand: set another value, or return to the run before, as dbg.use does"
NO_WAY = "let the loss depend on it, without argmax, round or gn.stop_gradient on the way; or do not train it"
SLOPE_OF_EXPONENT = (
    "x ** y has no slope in y where x is not above 0: keep it above, gn.maximum(x, {divisor}) ** y, or let no gradient "
    "through, x ** gn.stop_gradient(y)"
)
HALF_OPTIMIZER = (
    'train in float32, gn.Graph(dtype="float32"): what an optimizer squares, and its epsilon, are rounded to 0 in '
    "float16"
)
TAKES_ANOTHER = {
    "categorical_crossentropy": "nn.softmax_crossentropy(logits, labels) takes what is before a softmax",
    "binary_crossentropy": "nn.sigmoid_crossentropy(logits, labels) takes what is before a sigmoid",
    "softmax_crossentropy": "hand it what is before the {}, or use nn.categorical_crossentropy",
    "sigmoid_crossentropy": "hand it what is before the {}, or use nn.binary_crossentropy",
    "log_softmax": "hand it what is before the {}: it has a softmax of its own",
    "softmax": "one {} is enough: of probabilities it makes others that are nearly even, and hardly learns",
    "sigmoid": "one {} is enough: of probabilities it makes others above a half, and hardly learns",
}
TARGETS = "look at the labels: classes that are counted from 1, or are -1 and 1, are no probabilities"
ONE_CLASS = "several classes at once are for nn.sigmoid_crossentropy(logits, labels); those of one class sum to 1"
OUT_OF_REACH = "scale the targets into that range, or leave out the last {}"
SUM_TO_ONE = "gn.softmax(logits) is over the last axis, that of the classes"
LOST_PRODUCT = "add up logarithms instead of multiplying"
OVERFLOWN_GRADIENT = "scale the loss down before the gradient is taken, and the gradient up again"
LOST_GRADIENT = "scale the loss up before the gradient is taken, and the gradient down again"


def finding_of(code: str, node: Node, cause: str, *, severity: str = "warning") -> Finding:
    """Return a finding about a value as a whole, with the remedy of its code."""
    return Finding(code=code, severity=severity, node=node, cause=cause, remedy=REMEDIES[code])


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
    "divide_by": Hazard((Rule("empty-reduction", lambda c: getattr(c.op, "count", 1) == 0, _EMPTY), _OVERFLOW)),
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
        known = _PRODUCTS if isinstance(op, Multilinear) else _SUM if isinstance(op, Linear) else _OF_OTHERS
    return known


def rule_of(case: Case) -> Rule:
    """Return the rule that says what went wrong."""
    return next(rule for rule in (*hazard_of(case.op).rules, *_OF_OTHERS.rules) if rule.holds(case))


# --- what is rounded, wraps around, saturates or refuses --------------------------------------------------------

EXPONENTIAL = frozenset({"exp", "expm1"})
FADING = frozenset({"exp", "sigmoid", "softplus"})
UNDERFLOWS = FADING | {"multiply", "divide", "divide_by", "square", "power", "cast", "prod", "reciprocal"}
"""What can round a result to 0; the fading ones also where an operand is 0."""
SATURATES: dict[str, tuple[float, ...]] = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}
RANGES: dict[str, tuple[float, float]] = {"sigmoid": (0, 1), "softmax": (0, 1), "tanh": (-1, 1)} | dict.fromkeys(
    ("relu", "softplus", "exp", "square"), (0, math.inf)
)
"""What comes out of what may stand last in a network."""
FAR_TARGETS, MANY_TARGETS, MOST_TARGETS = 0.1, 0.1, 0.5
"""How far outside of that targets may lie, and what share of them; of a range without end, which is often a guess."""
WRAPS = frozenset(
    {"add", "subtract", "multiply", "negative", "absolute", "square", "power", "sum", "sum_to", "cumsum", "prod"}
    | {"matmul", "einsum", "outer", "cast", "index_add", "add_along_axis", "floor_divide"}
)
"""What gives integers that may be too large for their dtype."""
CHOOSES = frozenset({"pick", "getitem", "take_along_axis", "clip", "maximum", "minimum"})
"""What may stand between probabilities and the logarithm of some of them."""
REPEATED = frozenset({"saturated", "dead-units", "underflow", "near-overflow"})
"""What is told once of a line that makes many nodes, as a loop does."""
MOVES = frozenset({"pick", "take_along_axis", "getitem", "reshape", "expand_dims", "squeeze", "cast", "subtract"})
"""What may stand between a clip and its logarithm."""

LIMITS: dict[str, tuple[int, bool, Callable[[Any, Sequence[Array]], int]]] = {
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

RAISED: tuple[tuple[type[GraphnnError], str, str], ...] = (
    (LabelError, "label-out-of-range", REMEDIES["label-out-of-range"]),
    (DivisionError, "division-by-zero", "integers have no inf: cast to a float, or keep 0 out of the denominator"),
    (AxisError, "index-out-of-range", REMEDIES["index-out-of-range"]),
    (ShapeError, "empty-reduction", _EMPTY),
)
"""What an operation's error means: the code, and what to do."""
