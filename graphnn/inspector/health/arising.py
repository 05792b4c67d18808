"""Where NaN and inf arise, and operations that fail.

A node is named where it makes them of operands that have none. What only passes them on is not.
"""

from __future__ import annotations

import math
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import AxisError, DivisionError, GraphnnError, LabelError, ShapeError
from ...execute.loop import Stop
from ...graph import Parameter, Placeholder
from ...ops.elementwise import Elementwise
from .blame import because, chain_of, culprit_of, stopper_of, told_once
from .checks import CHECKS, check, declare
from .evaluation import only_passes_on
from .findings import at_line, first_of, lying, of_many
from .hazards import EMPTY, Case, Rule, fitted, hazard_of, largest, rule_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ...graph import Array, Node
    from ..why import Number
    from .evaluation import Evaluation
    from .findings import Culprit, Element, Finding

_SORTED_OUT = 256  # elements whose causes are told apart
BAD_PARAMETER = (
    "an earlier step made it so: gn.compile(…, guard='{guard}') stops before that, and check_health at the state "
    "before tells why; a lower learning rate is the usual remedy"
)
OF_SQUARES = "its gradients are too large to be squared: scale the data, or the loss, down to about 1"
SET_BY_HAND = "it was set so by hand: set another value, or return to the run before, as dbg.use does"
SLOPE_OF_EXPONENT = (
    "x ** y has no slope in y where x is not above 0: keep it above, gn.maximum(x, {divisor}) ** y, or let no gradient "
    "through, x ** gn.stop_gradient(y)"
)
HALF_OPTIMIZER = (
    'train in float32, gn.Graph(dtype="float32"): what an optimizer squares, and its epsilon, are rounded to 0 in '
    "float16"
)
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


@check(
    "fed-nan",
    "a fed value, a parameter or a constant holds NaN",
    "clean the data first: np.nan_to_num, or leave such rows out",
)
def bad(run: Evaluation) -> Iterator[Finding]:
    """Look at all that is given, and at what is made of that."""
    arising: list[Finding] = []
    masks: list[Finding] = []
    for place, node in enumerate(run.order):
        if not run.bad[place]:
            continue
        if run.is_given(node):
            found = list(_of_given(run, place))
            arising += found
            if _is_a_mask(run, place):
                masks += [each for each in found if each.code == fed_inf.code]
        else:
            arising += _of_bad(run, place)
    found = told_once(run, [each for each in arising if each not in masks])
    yield from found
    if not any(each.severity == "error" for each in (*run.found, *found)):
        yield from masks  # nothing else is to blame


fed_inf = declare(
    "fed-inf",
    "a parameter is infinite, or a fed infinity spoils a result",
    "clean the data first: np.nan_to_num, or leave such rows out",
)
_GIVEN = {"nan": bad, "finite": fed_inf}
"""By the guard that stops a step before it."""


def _of_given(run: Evaluation, place: int) -> Iterator[Finding]:
    node, value = run.order[place], run.values[place]
    nan, inf = np.isnan(value), np.isinf(value)
    parameter, severity = isinstance(node.op, Parameter), "warning" if run.vanishes[place] else "error"
    if nan.any():
        readers = [user for user in node.users if user in run.places and user.phase == "forward"]
        asks = all(
            user.op.name in ("isnan", "isfinite", "where")
            or (user.op.name in ("equal", "not_equal") and set(user.inputs) == {node})
            for user in readers
        )
        known = severity == "warning" and not parameter and asks  # a value that is missing, and is meant to be
        yield _given(run, place, nan, "nan", "note" if known else severity)
    # A constant of inf is meant, and so is one that is fed and does no harm: masks are made of them.
    spoils = (isinstance(node.op, Placeholder) or run.prepared.is_set(node)) and any(run.bad[i] for i in run.fetches)
    if inf.any() and (parameter or (spoils and not run.vanishes[place])):
        yield _given(run, place, inf, "finite", severity)


def _is_a_mask(run: Evaluation, place: int) -> bool:
    """Return whether what is fed has infinities of which all are -inf, as they keep a softmax from looking."""
    node, value = run.order[place], run.values[place]
    by_hand = run.prepared.is_set(node)
    return isinstance(node.op, Placeholder) and not by_hand and not np.isposinf(value).any()


def _given(run: Evaluation, place: int, bad: Array, guard: str, severity: str) -> Finding:
    node, each = run.order[place], _GIVEN[guard]
    remedy = SET_BY_HAND if run.prepared.is_set(node) else each.remedy
    if isinstance(node.op, Parameter) and not run.prepared.is_set(node):
        remedy = BAD_PARAMETER.format(guard=guard)
        if node.twin is not None and guard == "finite":
            remedy = OF_SQUARES  # an optimizer keeps it
    cause = f"{run.element(place, first_of(bad))}, {run.given_as(node)}{of_many(bad)}"
    return each.at(run, place, bad, cause, severity=severity, remedy=remedy, operands=())


def _of_bad(run: Evaluation, place: int) -> Iterator[Finding]:
    value = run.values[place]
    if only_passes_on(run.op(place)):
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
    kinds = [each for kind in (arises & nan, arises & inf) if kind.any() for each in _by_cause(run, place, kind)]
    yield from (_arisen(run, place, kind) for kind in sorted(kinds, key=first_of))


def _by_cause(run: Evaluation, place: int, arises: Array) -> list[Array]:
    """Return which elements have one cause each; what is not looked at goes with the first."""
    if not isinstance(run.op(place), Elementwise):
        return [arises]  # of many operands, several causes are often one
    if not arises.ndim:
        return [arises]
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
    """Return what to do about it, where `hidden_by` hides it from the result and not from a gradient."""
    node, blamed = case.node, case.node if culprit is None else culprit.node
    if hidden_by is not None and hidden_by.op.name == "where" and isinstance(blamed.op, Elementwise):
        return _mask_the_input(blamed)
    if blamed.op.name == "power" and node.op.name == "log":
        return fitted(SLOPE_OF_EXPONENT, node.dtype)
    if culprit is not None and hazard_of(blamed.op).slope:
        return fitted(hazard_of(blamed.op).slope, node.dtype)
    if node.phase == "update" and node.dtype == np.float16:
        return HALF_OPTIMIZER  # the operation is not the user's
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
        parts[0] += f", and {case.node.dtype} ends at {largest(case.node.dtype)}"
    line = lying(arises & ((value == case.value) | np.isnan(value)))
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
        verb = "hid" if culprit is not None else "hides"
        what = "the where" if hidden_by.op.name == "where" else f"the {hidden_by.op.name}"
        parts.append(f"{what}{at_line(hidden_by)} {verb} it")
        if culprit is None and spoils:
            parts[-1] += ", but not from a gradient"
    return "; ".join(parts)


def _is_hidden(run: Evaluation, culprit: Culprit) -> bool:
    """Return whether the culprit's own value is not finite, which the forward pass does not show."""
    place = run.places.get(culprit.node)
    if place is None or not run.hidden[place]:
        return False
    return culprit.index is None or not math.isfinite(run.values[place][culprit.index])


_QUOTIENTS = {"divide": "/", "floor_divide": "//", "remainder": "%"}


def _mask_the_input(node: Node) -> str:
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


@check(
    "raised",
    "an operation raised an error",
    "error.debug(), where it is raised, opens the debugger before it",
)
def raised(run: Evaluation) -> Iterator[Finding]:
    """Look at the operation that failed."""
    if run.failure is not None:
        yield _of_failure(run, run.failure)


label_out_of_range = declare(
    "label-out-of-range",
    "a label below 0, or not below the number of classes",
    "labels run from 0 to below the number of classes: renumber them, or give the network as many outputs as "
    "there are classes",
)
index_out_of_range = declare(
    "index-out-of-range",
    "an index beyond its axis",
    "look where the index comes from; a table needs a row for each of them",
)
_INTEGERS = "integers have no inf: cast to a float, or keep 0 out of the denominator"
_RAISED = (
    (LabelError, label_out_of_range.code, label_out_of_range.remedy),
    (DivisionError, "division-by-zero", _INTEGERS),
    (AxisError, index_out_of_range.code, index_out_of_range.remedy),
    (ShapeError, "empty-reduction", EMPTY),
    (GraphnnError, raised.code, raised.remedy),
)
"""What an operation's error means: the code, and what to do."""


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
        n = limit(op, operands)
        numbers = operands[at]
        wrong = (numbers < (-n if wraps else 0)) | (numbers >= n) if n or wraps else numbers == 0
        if wrong.any():
            count = int(np.count_nonzero(wrong))
            wrong_one = run.element(run.inputs[stop.position][at], first_of(wrong))
            read, value = (wrong_one,), wrong_one.value
            text += f"; {wrong_one}"
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
