"""Where NaN and inf arise, and operations that fail.

A finding names the node that makes a NaN or inf of operands without one, not the nodes that pass it on.
"""

from __future__ import annotations

import math
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import is_float
from ...errors import AxisError, DivisionError, GraphnnError, LabelError, ShapeError
from ...runtime.evaluation_loop import Stop
from .check_registry import CHECKS, Check, check, declare
from .evaluation import Evaluation, only_moves
from .findings import Culprit, Element, Finding, and_more, at_line, first_of, row_or_column
from .numeric_hazards import EMPTY, Case, Rule, fitted, hazard_of, largest, rule_of
from .root_cause import because, chain_of, culprit_of, stopper_of, without_consequences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ...core import Array, Node
    from ..why import Number

_UNEXPLAINED = {"not-a-number": ", although no operand is NaN", "infinite": ", although its operands are finite"}
_SORTED_OUT = 256  # elements of one value whose causes are distinguished
BAD_PARAMETER = (
    "an earlier step caused it: with gn.compile(…, guard='{guard}') training stops before that step, and check_health "
    "can say why; usually a lower learning rate helps"
)
OF_SQUARES = "the gradients are too large to be squared: scale the data, or the loss, down to about 1"
SET_BY_HAND = "it was set by hand: set another value, or return to an earlier run with dbg.use"
SLOPE_OF_EXPONENT = (
    "x ** y has no slope in y where x is not positive: keep x positive, gn.maximum(x, {divisor}) ** y; or stop the "
    "gradient of y, x ** gn.stop_gradient(y)"
)
HALF_OPTIMIZER = (
    "in float16 the squares and the epsilon of an optimizer round to 0: updates(loss, loss_scale=nn.LossScale()) "
    'computes in float32; or train in float32, gn.Graph(dtype="float32")'
)


def _length(shape: Sequence[int], axis: int | None) -> int:
    return math.prod(shape) if axis is None else shape[axis]


LIMITS: dict[str, tuple[int, bool, Callable[[Any, Sequence[Array]], int]]] = {
    "pick": (1, False, lambda op, xs: xs[0].shape[-1]),
    "scatter_labels": (1, False, lambda op, xs: int(op.classes)),
    "one_hot": (0, False, lambda op, xs: int(op.depth)),
    **dict.fromkeys(
        (
            *("take", "take_along_axis", "put_along_axis"),
            *("maximum_along_axis", "minimum_along_axis", "multiply_along_axis"),
        ),
        (1, True, lambda op, xs: _length(xs[0].shape, op.axis)),
    ),
    **dict.fromkeys(("index_add", "add_along_axis"), (1, True, lambda op, xs: _length(op.shape, op.axis))),
    **dict.fromkeys(("floor_divide", "remainder"), (1, False, lambda op, xs: 0)),
}
"""For operations that refuse an element: the operand that holds it, whether negative ones count from the end, and the
limit."""


@check(
    "fed-nan",
    "a fed value, a parameter or a constant holds NaN",
    "clean the data first: use np.nan_to_num, or drop such rows",
)
def bad(run: Evaluation) -> Iterator[Finding]:
    """Look at NaN and inf in what is given, and at where others arise."""
    arising: list[Finding] = []
    masks: list[Finding] = []
    for place, node in enumerate(run.order):
        if not run.bad[place]:
            continue
        mask = _is_a_mask(run, place)
        for each in _of_given(run, place) if run.is_given(node) else _of_bad(run, place):
            (masks if mask and each.code == fed_inf.code else arising).append(each)
    found = without_consequences(run, arising)
    yield from found
    if not any(each.severity == "error" for each in (*run.found, *found)):
        yield from masks  # nothing else is to blame


fed_inf = declare(
    "fed-inf",
    "a parameter is infinite, or a fed infinity spoils a result",
    "clean the data first: use np.nan_to_num, or drop such rows",
)


def _of_given(run: Evaluation, place: int) -> Iterator[Finding]:
    node, value = run.order[place], run.values[place]
    nan, inf = np.isnan(value), np.isinf(value)
    parameter, by_hand = node.op.is_parameter, run.prepared.is_set(node)
    vanishes = run.vanishes[place]
    if nan.any():
        asks = all(
            user.op.selects
            or user.op.name in ("isnan", "isfinite")
            or (user.op.name in ("equal", "not_equal") and set(user.inputs) == {node})
            for user in run.readers(node)
        )
        missing = vanishes and not parameter and asks  # a missing value, which the graph replaces
        yield _given(run, place, nan, bad, "note" if missing else "warning" if vanishes else "error")
    # An infinite constant is intended, and so is a fed inf that does no harm: masks are made of them.
    spoils = (node.op.is_placeholder or by_hand) and any(run.bad[i] for i in run.fetches)
    if inf.any() and (parameter or (spoils and not vanishes)):
        yield _given(run, place, inf, fed_inf, "warning" if vanishes else "error")


def _is_a_mask(run: Evaluation, place: int) -> bool:
    """Return whether a fed value has no infinities but -inf, as the mask of a softmax does."""
    node, value = run.order[place], run.values[place]
    by_hand = run.prepared.is_set(node)
    return node.op.is_placeholder and not by_hand and not np.isposinf(value).any()


def _given(run: Evaluation, place: int, which: Array, each: Check, severity: str) -> Finding:
    node, remedy, guard = run.order[place], each.remedy, "nan" if each is bad else "finite"
    if run.prepared.is_set(node):
        remedy = SET_BY_HAND
    elif node.op.is_parameter:
        of_optimizer = node.twin is not None and each is fed_inf
        remedy = OF_SQUARES if of_optimizer else BAD_PARAMETER.format(guard=guard)
    cause = f"{run.element(place, first_of(which))}, {run.given_as(node)}{and_more(which)}"
    return each.at(run, place, which, cause, severity=severity, remedy=remedy, operands=())


def _of_bad(run: Evaluation, place: int) -> Iterator[Finding]:
    value, operands = run.values[place], run.operands_of(place)
    if only_moves(run.op(place)):
        return
    nan, inf = np.isnan(value), np.isinf(value)
    arises = np.zeros(value.shape, bool)
    for found, strange in ((nan, np.isnan), (inf, _is_not_finite)):
        if found.any():
            marks = [strange(x) if is_float(x.dtype) else np.zeros(x.shape, bool) for x in operands]
            arises |= run.fresh(place, found, marks)
    kinds = [each for kind in (arises & nan, arises & inf) if kind.any() for each in _by_cause(run, place, kind)]
    yield from (_arisen(run, place, kind) for kind in sorted(kinds, key=first_of))


def _is_not_finite(x: Array) -> Array:
    return ~np.isfinite(x)


def _by_cause(run: Evaluation, place: int, arises: Array) -> list[Array]:
    """Split elements by cause; those beyond the limit go with the first."""
    if not run.op(place).elementwise or not arises.ndim:
        return [arises]  # an element of many operands often has several causes
    cells = np.unravel_index(np.flatnonzero(arises)[:_SORTED_OUT], arises.shape)
    found: dict[str, Array] = {}
    for index in zip(*[axis.tolist() for axis in cells], strict=True):
        code = rule_of(Case(run, place, index)).code
        found.setdefault(code, np.zeros(arises.shape, bool))[index] = True
    _, *others = found.values()
    return [arises & ~np.any(others, axis=0), *others] if others else [arises]


def _arisen(run: Evaluation, place: int, arises: Array) -> Finding:
    node = run.order[place]
    index = first_of(arises)
    case = Case(run, place, index)
    rule = rule_of(case)
    paths = [run.path_of(place, index, i) for i in range(len(node.inputs))]
    culprit, hidden_by = None, None
    if node.phase == "backward" and node.twin is not None:
        culprit = culprit_of(run, place, index, paths)
        hidden_by = stopper_of(node, paths)
        if hidden_by is None and _is_hidden(run, culprit):
            hidden_by = run.hider(culprit.node)
    elif run.hidden[place]:
        hidden_by = run.hider(node)
    spoils = culprit is not None or (hidden_by is not None and run.spoils_gradients(node, hidden_by))
    return CHECKS[rule.code].at(
        run,
        place,
        arises,
        _cause(case, rule, paths, culprit, hidden_by, spoils, arises),
        severity="warning" if run.vanishes[place] else "error",
        remedy=_remedy(case, rule, culprit, hidden_by if spoils else None),
        chain=chain_of(run, paths),
        culprit=culprit,
        hidden_by=hidden_by,
    )


def _remedy(case: Case, rule: Rule, culprit: Culprit | None, hidden_by: Node | None) -> str:
    """Return what to do about it; `hidden_by` is what hides it from the result but not from a gradient."""
    node, blamed = case.node, case.node if culprit is None else culprit.node
    if hidden_by is not None and hidden_by.op.selects and blamed.op.elementwise:
        return _mask_the_input(blamed)
    if blamed.op.name == "power" and node.op.name == "log":
        return fitted(SLOPE_OF_EXPONENT, node.dtype)
    if culprit is not None and hazard_of(blamed.op).slope:
        return fitted(hazard_of(blamed.op).slope, node.dtype)
    if node.phase == "update" and node.dtype == np.float16:
        return HALF_OPTIMIZER  # the user cannot change the operation
    return rule.remedy_for(case)


def _cause(
    case: Case,
    rule: Rule,
    paths: Sequence[tuple[Element, ...]],
    culprit: Culprit | None,
    hidden_by: Node | None,
    spoils: bool,
    arises: Array,
) -> str:
    run, value = case.run, case.run.values[case.place]
    parts = [run.why(case.place, case.index).equation + case.among(rule.code)]
    if rule.code == "overflow":
        parts[0] += f", but the largest {case.node.dtype} is {largest(case.node.dtype)}"
    parts[0] += _UNEXPLAINED.get(rule.code, "")
    line = row_or_column(arises & ((value == case.value) | np.isnan(value)))
    if line:
        parts.append(f"so is {line}")
    if culprit is None:
        parts += dict.fromkeys(filter(None, (because(run, path) for path in paths)))
    else:
        bad = next((path[0] for path in paths if path and not math.isfinite(path[0].value)), None)
        of = ", ".join(dict.fromkeys(map(str, culprit.operands)))
        where = f"{of} in {culprit.node.name}{at_line(culprit.node)}".lstrip()
        parts.append(where if bad is None else f"{bad.said} because {where}")
    if hidden_by is not None:
        hides = "hides" if culprit is None else "hid"
        but = ", but its gradient is NaN" if culprit is None and spoils else ""
        parts.append(f"the {hidden_by.op.name}{at_line(hidden_by)} {hides} it in the forward pass{but}")
    return "; ".join(parts)


def _is_hidden(run: Evaluation, culprit: Culprit) -> bool:
    """Return whether the culprit's own value is NaN or inf, and the forward pass hides it."""
    place = run.places.get(culprit.node)
    if place is None or not run.hidden[place]:
        return False
    return culprit.index is None or not math.isfinite(run.values[place][culprit.index])


_QUOTIENTS = {"divide": "/", "floor_divide": "//", "remainder": "%"}


def _mask_the_input(node: Node) -> str:
    """Return what to do if a `where` keeps a node's bad values out of the result, but not out of gradients."""
    name = node.op.name
    both = "both branches of a where are computed, and a gradient of 0 becomes NaN in the hidden one"
    # The name of a node in a layer, such as dense_1/add, cannot be a variable's.
    plain = all(operand.name.isidentifier() for operand in node.inputs)
    x, *others = [operand.name for operand in node.inputs] if plain else ["x", "y"][: len(node.inputs)]
    if name in _QUOTIENTS:
        return f"mask the denominator instead, {x} {_QUOTIENTS[name]} gn.where(condition, {others[0]}, 1): {both}"
    rest = "".join(f", {other}" for other in others)
    return f"mask the input of {name} instead, gn.{name}(gn.where(condition, {x}, 1){rest}): {both}"


@check(
    "raised",
    "an operation raised an error",
    "call error.debug() where you catch the error: it opens the debugger before this operation",
)
def raised(run: Evaluation) -> Iterator[Finding]:
    """Look at the operation that failed."""
    if run.failure is not None:
        yield _of_failure(run, run.failure)


label_out_of_range = declare(
    "label-out-of-range",
    "a label below 0, or not below the number of classes",
    "labels must be integers from 0 to below the number of classes: renumber them, or give the network one output per "
    "class",
)
index_out_of_range = declare(
    "index-out-of-range",
    "an index beyond its axis",
    "check where the index comes from; an embedding table needs one row for each index",
)
_INTEGERS = "integers have no inf: cast to a float, or keep 0 out of the denominator"
_RAISED = (
    (LabelError, label_out_of_range.code, label_out_of_range.remedy),
    (DivisionError, "division-by-zero", _INTEGERS),
    (AxisError, index_out_of_range.code, index_out_of_range.remedy),
    (ShapeError, "empty-reduction", EMPTY),
    (GraphnnError, raised.code, raised.remedy),
)
"""The code and the remedy for each error of an operation."""


def _of_failure(run: Evaluation, error: GraphnnError) -> Finding:
    stop = error.stopped
    if not isinstance(stop, Stop):
        raise error
    node, op = run.order[stop.position], run.op(stop.position)
    operands = run.operands_of(stop.position)
    text = error.reason.partition("\n")[0]
    value: Number | None = None
    read: tuple[Element, ...] = ()
    count = 1
    if op.name in LIMITS and isinstance(error, (LabelError, AxisError, DivisionError)):
        at, wraps, limit = LIMITS[op.name]
        numbers, n = operands[at], limit(op, operands)
        wrong = (numbers < (-n if wraps else 0)) | (numbers >= n) if n or wraps else numbers == 0
        if wrong.any():
            first = run.element(run.inputs[stop.position][at], first_of(wrong))
            count, value, read = int(np.count_nonzero(wrong)), first.value, (first,)
            text += f"; {first}"
    code, remedy = next((code, way) for kind, code, way in _RAISED if isinstance(error, kind))
    cause = error.__cause__
    how = "raised"
    if code == raised.code and cause is not None and not isinstance(cause, GraphnnError):
        last = traceback.extract_tb(cause.__traceback__)[-1]
        how = f"raised {type(cause).__name__} in {last.name} ({Path(last.filename).name}:{last.lineno})"
    return CHECKS[code].of(
        node,
        f"{node.name}{at_line(node)} {how}: {text}",
        severity="error",
        value=value,
        operands=read,
        remedy=remedy,
        count=count,
        size=operands[0].size if operands else 1,
    )
