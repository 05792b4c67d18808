"""Where the numbers of a run go wrong, why, and what to do about it: `check_health`.

One run is made, by the one loop, and every value kept. A node is named where NaN, inf or a loss of precision *arises*:
it makes them of operands that have none. What only passes them on is not. What can go wrong in which operation stands
in `hazards`.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import AxisError, DivisionError, GraphnnError, LabelError, UsageError
from ...execute.interpreter import Feed, Prepared, Stop
from ...graph import Array, Graph, Node, Parameter, Placeholder, Unknown
from ...ops.elementwise import Elementwise
from ..trace import Film, Trace, prepared_for
from .blame import because, chain_of, culprit_of, stopper_of, told_once
from .evaluation import LISTED, Evaluation, cell_of, only_passes_on
from .findings import (
    Culprit,
    Element,
    Finding,
    Health,
    at_line,
    finding_at,
    first_of,
    listed,
    lying,
    names_of,
    of_many,
    said,
)
from .hazards import (
    ABOUT_ONE,
    BAD_PARAMETER,
    CLIP,
    DEAD_BATCH,
    DEAD_SHARE,
    FADING,
    GIVEN,
    HALF_OPTIMIZER,
    LIMITS,
    LOST_GRADIENT,
    LOST_PRODUCT,
    MASKED,
    MOVES,
    NEAR_OVERFLOW,
    OF_SQUARES,
    RAISED,
    REMEDIES,
    REPEATED,
    SATURATED_SHARE,
    SATURATED_SIZE,
    SATURATES,
    SET_BY_HAND,
    SLOPE_OF_EXPONENT,
    UNDERFLOW_LEAST,
    UNDERFLOW_SHARE,
    UNDERFLOWS,
    WRAPS,
    ZEROS,
    Case,
    Rule,
    fitted,
    hazard_of,
    mask_the_input,
    rule_of,
    too_large,
    too_large_an_integer,
)
from .mistaken import BY_NUMBERS, Mistaken, before_numbers
from .training import Training, made_of

if TYPE_CHECKING:
    from ..why import Index, Number

_SORTED_OUT = 256  # elements whose causes are told apart
_FEW_SUMMED = 64  # nodes of one sum


class _Doctor:
    """Looks at a run, and writes down what it finds."""

    def __init__(self, run: Evaluation, updates: Mapping[Node, Node]) -> None:
        self.run = run
        self.found: list[Finding] = []
        self.mistaken = Mistaken(run, self.found)
        self.training = Training(run, updates, self.found)
        self.masks: set[Node] = set()
        """What is fed with infinities of which all are -inf, as they keep a softmax from looking."""

    def examine(self) -> list[Finding]:
        run = self.run
        arising: list[Finding] = []
        with np.errstate(all="ignore"):
            for place, (node, value) in enumerate(zip(run.order, run.values, strict=True)):
                if value is None or not value.size:
                    continue
                self.mistaken.of_pairs(place)
                self.mistaken.of_axes(place)
                if value.dtype.kind != "f":
                    self._of_wrapping(place, value)
                elif run.is_given(node):
                    arising += self._of_given(place, value)
                else:
                    if run.bad[place]:
                        arising += self._of_bad(place, value)
                    self._of_sizes(place, value)
                    self.mistaken.of_loss(place)
                    self.mistaken.of_loss_by_hand(place)
                    self.mistaken.of_reach(place)
                    self.mistaken.of_weights(place)
            masks = [each for each in arising if each.code == "fed-inf" and each.node in self.masks]
            self.found += told_once(run, [each for each in arising if each not in masks])
            if not any(each.severity == "error" for each in self.found):
                self.found += masks  # nothing else is to blame
            if run.failure is not None:
                self.found += self._of_failure(run.failure)
            self.training.look()
            if run.failure is None:
                self.mistaken.of_labels(self._met_by_parameters)
        self.found.sort(key=lambda each: run.places.get(each.node, 0))
        self._put_together()
        return self.found

    # --- NaN and inf

    def _of_given(self, place: int, value: Array) -> Iterator[Finding]:
        run, node = self.run, self.run.order[place]
        if not run.bad[place]:
            return
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
            yield self._given("fed-nan", "note" if known else severity, place, nan)
        # A constant of inf is meant, and so is one that is fed and does no harm: masks are made of them.
        by_hand = run.prepared.is_set(node)
        spoils = (isinstance(node.op, Placeholder) or by_hand) and any(run.bad[i] for i in run.fetches)
        if inf.any() and (parameter or spoils):
            if not parameter and not by_hand and not (value > 0)[inf].any():
                self.masks.add(node)
            if parameter or not run.vanishes[place]:
                yield self._given("fed-inf", severity, place, inf)

    def _given(self, code: str, severity: str, place: int, bad: Array) -> Finding:
        run, node, index = self.run, self.run.order[place], first_of(bad)
        remedy = SET_BY_HAND if run.prepared.is_set(node) else REMEDIES[code]
        if isinstance(node.op, Parameter) and not run.prepared.is_set(node):
            remedy = BAD_PARAMETER.format(guard="nan" if code == "fed-nan" else "finite")
            if node.twin is not None and code == "fed-inf":
                remedy = OF_SQUARES  # an optimizer keeps it
        return Finding(
            code=code,
            severity=severity,
            node=node,
            index=index,
            value=run.values[place][index].item(),
            cause=f"{run.element(place, index)}, {run.given_as(node)}{of_many(bad)}",
            remedy=remedy,
            count=int(np.count_nonzero(bad)),
            size=bad.size,
        )

    def _of_bad(self, place: int, value: Array) -> Iterator[Finding]:
        run = self.run
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
        kinds = [each for kind in (arises & nan, arises & inf) if kind.any() for each in self._by_cause(place, kind)]
        yield from (self._arisen(place, kind) for kind in sorted(kinds, key=first_of))

    def _by_cause(self, place: int, arises: Array) -> list[Array]:
        """Return which elements have one cause each; what is not looked at goes with the first."""
        if not isinstance(self.run.op(place), Elementwise):
            return [arises]  # of many operands, several causes are often one
        if not arises.ndim:
            return [arises]
        cells = np.unravel_index(np.flatnonzero(arises)[:_SORTED_OUT], arises.shape)
        found: dict[str, Array] = {}
        for index in zip(*[axis.tolist() for axis in cells], strict=True):
            code = rule_of(Case(self.run, place, index)).code
            found.setdefault(code, np.zeros(arises.shape, bool))[index] = True
        _, *others = found.values()
        return [arises & ~np.any(others, axis=0), *others] if others else [arises]

    def _arisen(self, place: int, arises: Array) -> Finding:
        run, node = self.run, self.run.order[place]
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
        blamed = culprit.node if culprit is not None else node
        spoils = culprit is not None or (hidden_by is not None and run.spoils_gradients(node, hidden_by))
        if hidden_by is not None and spoils and hidden_by.op.name == "where" and isinstance(blamed.op, Elementwise):
            remedy = mask_the_input(blamed)
        elif blamed.op.name == "power" and node.op.name == "log":
            remedy = fitted(SLOPE_OF_EXPONENT, node.dtype)
        elif culprit is not None and hazard_of(blamed.op).slope:
            remedy = fitted(hazard_of(blamed.op).slope, node.dtype)
        elif node.phase == "update" and node.dtype == np.float16:
            remedy = HALF_OPTIMIZER  # the operation is not the user's
        else:
            remedy = rule.remedy_for(case)
        return Finding(
            code=rule.code,
            severity="warning" if run.vanishes[place] else "error",
            node=node,
            index=index,
            value=case.value,
            operands=run.read_elements(place, index),
            cause=self._cause(case, rule, paths, culprit, hidden_by, spoils, arises),
            remedy=remedy,
            count=int(np.count_nonzero(arises)),
            size=arises.size,
            chain=chain_of(run, paths),
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
        spoils: bool,
        arises: Array,
    ) -> str:
        run, value = self.run, self.run.values[case.place]
        parts = [run.why(case.place, case.index).equation + case.among(rule.code)]
        if rule.code == "overflow":
            parts[0] += f", and {case.node.dtype} ends at {_largest(case.node.dtype)}"
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

    def _of_failure(self, error: GraphnnError) -> Iterator[Finding]:
        run, stop = self.run, error.stopped
        if not isinstance(stop, Stop):
            raise error
        node, op = run.order[stop.place], run.op(stop.place)
        operands = run.operands_of(stop.place)
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
                wrong_one = run.element(run.inputs[stop.place][at], first_of(wrong))
                read, value = (wrong_one,), wrong_one.value
                text += f"; {wrong_one}"
        code, remedy = "raised", REMEDIES["raised"]
        for kind, named, way in RAISED:
            if isinstance(error, kind):
                code, remedy = named, way
                break
        cause = error.__cause__
        how = "raised"
        if code == "raised" and cause is not None and not isinstance(cause, GraphnnError):
            last = traceback.extract_tb(cause.__traceback__)[-1]
            how = f"raised {type(cause).__name__} in {last.name} ({Path(last.filename).name}:{last.lineno})"
        yield Finding(
            code=code,
            severity="error",
            node=node,
            value=value,
            operands=read,
            cause=f"{node.name}{at_line(node)} {how}: {text}",
            remedy=remedy,
            count=count,
            size=operands[0].size if operands else 1,
        )

    # --- sizes: wrapped around, near overflow, rounded away, flat

    def _of_wrapping(self, place: int, value: Array) -> None:
        """Look whether integers were too large for their dtype: the same in float64 is far off then."""
        run, node = self.run, self.run.order[place]
        if value.dtype.kind not in "iu" or node.op.name not in WRAPS or run.is_given(node):
            return
        operands, limits = run.operands_of(place), np.iinfo(value.dtype)
        operands = [x.astype(np.float64) if run.op(place).flows(i) else x for i, x in enumerate(operands)]
        if node.op.name == "cast":
            exact = np.trunc(operands[0])
            wrong = ~((exact >= float(limits.min)) & (exact < float(limits.max) + 1))
        else:
            # What wraps around is off by all the numbers of the dtype, or more: float64 sees that at any size.
            exact = np.asarray(run.op(place).forward(*operands))
            wrong = np.abs(exact - value.astype(np.float64)) > (limits.max - limits.min) // 2
        if not wrong.any():
            return
        index = first_of(wrong)
        number = exact[index]
        bound = f"ends at {limits.max}" if number > 0 else f"begins at {limits.min}"
        bound = bound if math.isfinite(number) else f"has no {said(float(number))}"
        self._add(
            place,
            wrong,
            code="integer-overflow",
            # Of unsigned ones it may be meant.
            severity="error" if value.dtype.kind == "i" else "warning",
            cause=f"{run.why(place, index).equation}; it would be {said(float(number))}, and {value.dtype} {bound}",
            remedy=too_large_an_integer(node.op.name, value.dtype),
        )

    def _of_sizes(self, place: int, value: Array) -> None:
        run, node = self.run, self.run.order[place]
        name = node.op.name
        limit = _near(value.dtype)
        if not np.abs(value).max() <= limit:
            self._of_near_overflow(place, value, limit)
        if name in UNDERFLOWS and np.count_nonzero(value) < value.size:
            self._of_underflow(place, value)
        if name in SATURATES and node.phase == "forward":
            flat = np.isin(value, SATURATES[name]) & np.isfinite(run.operands_of(place)[0]) & ~self._masked(place)
            self._of_saturation(place, value, flat)
        elif name == "divide" and (scope := run.graph.scopes.get(node.scope)) and scope.kind.lower() == "softmax":
            if node.phase == "forward" and value.ndim and value.shape[-1] > 1:
                self._of_rows(place, value)
        elif name == "log" and node.phase == "forward":
            self._of_clip(place)
        elif name == "relu" and value.ndim > 1 and node.phase == "forward":
            self._of_dead_units(place, value)

    def _add(self, place: int, which: Array, **about: Any) -> None:
        self.found.append(finding_at(self.run, place, which, **about))

    def _of_near_overflow(self, place: int, value: Array, limit: float) -> None:
        run = self.run
        large = np.isfinite(value) & (np.abs(value) > limit)
        if not large.any() or only_passes_on(run.op(place)):
            return
        marks = [~(np.abs(x.astype(np.float64, copy=False)) <= limit) for x in run.operands_of(place)]
        large = run.fresh(place, large, marks)
        if large.any():
            index = first_of(large)
            self._add(
                place,
                large,
                code="near-overflow",
                severity="warning",
                cause=f"{run.why(place, index).equation}, and {value.dtype} ends at {_largest(value.dtype)}",
                remedy=too_large(Case(run, place, index)),
            )

    def _of_underflow(self, place: int, value: Array) -> None:
        run, node = self.run, self.run.order[place]
        name, operands = node.op.name, run.operands_of(place)
        if operands[0].dtype.kind != "f":
            return
        zeros = [~np.isfinite(x) if name in FADING else ~np.isfinite(x) | (x == 0) for x in operands]
        lost = (value == 0) & run.fresh(place, value == 0, zeros)
        if not lost.any():
            return
        count = int(np.count_nonzero(lost))
        of = value.size - int(np.count_nonzero((value == 0) & ~lost))
        serious = name == "prod" or (
            value.dtype == np.float16
            and node in self._scaled_by_the_loss
            and count >= max(UNDERFLOW_SHARE * of, UNDERFLOW_LEAST * value.size)
        )
        remedy = LOST_PRODUCT if name == "prod" else LOST_GRADIENT if serious else REMEDIES["underflow"]
        self._add(
            place,
            lost,
            code="underflow",
            severity="warning" if serious else "note",
            cause=f"{run.why(place, first_of(lost)).equation}, rounded to 0{of_many(lost)}",
            remedy=remedy,
        )

    @cached_property
    def _scaled_by_the_loss(self) -> set[Node]:
        """The cotangents, and what is made of them in the backward pass."""
        found = set(self.training.cotangents)
        for node in self.run.order:
            if node.phase == "backward" and not found.isdisjoint(node.inputs):
                found.add(node)
        return found

    def _of_rows(self, place: int, value: Array) -> None:
        """Look for rows of a softmax that are 0 and 1 but for rounding, where that is not since all else is masked."""
        run, ones = self.run, value == 1
        shifted = run.inputs[run.inputs[place][0]][0] if run.inputs[run.inputs[place][0]] else place
        if run.order[shifted].op.name == "subtract":
            masked = self._masked(shifted)
            if masked.shape == value.shape:
                ones &= np.count_nonzero(~masked, axis=-1, keepdims=True) > 1
        if ones.any():
            rows = f"{np.count_nonzero(ones):,} of {value.size // value.shape[-1]:,} rows of {run.order[place].name}"
            cause = f"{rows} are 0 and 1 but for rounding, where hardly a gradient passes"
            self._add(place, ones, code="saturated", severity="note", cause=cause, remedy=REMEDIES["saturated"])

    def _of_saturation(self, place: int, value: Array, flat: Array) -> None:
        count = int(np.count_nonzero(flat))
        if not count:
            return
        node = self.run.order[place]
        serious = value.size >= SATURATED_SIZE and count >= SATURATED_SHARE * value.size
        self._add(
            place,
            flat,
            code="saturated",
            severity="warning" if serious else "note",
            cause=f"{count:,} of {value.size:,} elements of {node.name} are exactly on its bound, the first "
            f"{said(value[first_of(flat)].item())}, where no gradient passes",
            remedy=REMEDIES["saturated"],
        )

    def _masked(self, place: int) -> Array:
        """Return which elements of what a node reads come of a large negative number that is given, as a mask is."""
        run = self.run
        source = run.inputs[place][0]
        read, name = run.values[source], run.order[source].op.name
        masked = np.zeros(read.shape, bool)
        if name in ("add", "where"):
            for each in run.inputs[source]:
                if run.is_given(run.order[each]) and run.order[each].dtype.kind == "f":
                    low = run.values[each] <= -MASKED
                    masked |= low & (read == run.values[each]) if name == "where" else low
        return masked

    def _of_dead_units(self, place: int, value: Array) -> None:
        node = self.run.order[place]
        samples = self._axis_of_samples(node)
        rows = value.shape[samples]
        if rows < DEAD_BATCH or not self._is_of_a_layer(node):
            return
        # Of several axes, as of time and features, the units are along the last: the others may be padded.
        last = value.ndim - 1 if samples != value.ndim - 1 else 0
        others = tuple(axis for axis in range(value.ndim) if axis != last)
        dead = np.all(value == 0, axis=others)
        uses = self._uses[self._made_by(node)] if dead.any() else []
        if uses and uses[0] != place:
            return  # units that are used more than once are told of at their first use
        for again in uses[1:]:
            if self.run.values[again] is not None and self.run.values[again].shape == value.shape:
                dead &= np.all(self.run.values[again] == 0, axis=others)
        count = int(np.count_nonzero(dead))
        if not count:
            return
        index = tuple(int(np.argmax(dead)) if axis == last else 0 for axis in range(value.ndim))
        self.found.append(
            Finding(
                code="dead-units",
                severity="warning" if count >= DEAD_SHARE * dead.size else "note",
                node=node,
                index=index,
                value=0.0,
                cause=f"{count:,} of {dead.size:,} units of {node.name} are 0 for all {rows:,} "
                f"{'columns' if samples else 'rows'} of the batch, and get no gradient",
                remedy=REMEDIES["dead-units"] if any(map(self._has_numbers, self._made_by(node))) else ZEROS,
                count=count,
                size=dead.size,
            )
        )

    def _axis_of_samples(self, node: Node) -> int:
        """Return along which axis of what a relu gives the samples lie: the named one, or that of no weights."""
        named = [axis for axis, dim in enumerate(node.shape) if isinstance(dim, str)]
        if node.ndim != 2 or len(named) > 1:
            return 0
        if named:
            return named[0]
        product = next((each for each in _summands(node) if each.op.name == "matmul"), None)
        return int(product is not None and [_as_it_lies(x).trainable for x in product.inputs] == [True, False])

    def _made_by(self, node: Node) -> frozenset[Node]:
        """Return the trained parameters that make what a relu reads, without another function between."""
        found: set[Node] = set()
        for each in _summands(node):
            factors = map(_as_it_lies, each.inputs if each.op.name in ("matmul", "einsum") else (each,))
            found.update(factor for factor in factors if factor.trainable)
        return frozenset(found)

    def _has_numbers(self, parameter: Node) -> bool:
        return parameter.ndim > 1 and bool(self.run.values[self.run.places[parameter]].any())

    @cached_property
    def _uses(self) -> dict[frozenset[Node], list[int]]:
        """The places of the relus of the same units, by the parameters that make them."""
        found: dict[frozenset[Node], list[int]] = {frozenset(): []}
        for place, node in enumerate(self.run.order):
            if node.op.name == "relu" and node.phase == "forward" and (made_by := self._made_by(node)):
                found.setdefault(made_by, []).append(place)
        return found

    def _is_of_a_layer(self, node: Node) -> bool:
        """Return whether a trained parameter meets a node later, or makes what it alone reads of what is fed.

        Else it is part of a loss: as a penalty is, of outputs that go on without it, or of the parameters themselves.
        """
        read = before_numbers(node.inputs[0])
        made = read in self.training.fed and any(operand.trainable for operand in read.inputs)
        users = [user for user in read.users if user.phase == "forward" and user in self.run.places]
        return (made and len(users) == 1) or node in self._met_by_parameters

    @cached_property
    def _met_by_parameters(self) -> set[Node]:
        """What is made of these a trained parameter meets, in the forward pass."""
        found: set[Node] = set()
        for node in reversed(self.run.order):
            if node.phase == "forward" and (node in found or any(operand.trainable for operand in node.inputs)):
                found.update(node.inputs)
        return found

    def _of_clip(self, place: int) -> None:
        """Look whether a logarithm gets a probability that a clip has cut off, and with it the gradient."""
        run = self.run
        way = [place]
        while (name := run.order[way[-1]].op.name) != "clip":
            if way[-1] != place and name not in MOVES:
                return
            sources = [s for s in run.inputs[way[-1]] if not run.is_given(run.order[s])]
            if not sources or (name == "subtract" and len(sources) > 1):
                return
            way.append(sources[0])
        lo, hi = run.op(way[-1]).lo, run.op(way[-1]).hi  # type: ignore[attr-defined]
        if lo is None or not 0 < lo <= CLIP:
            return
        turned = any(run.order[i].op.name == "subtract" for i in way)
        if turned and hi is None:
            return
        argument = run.operands_of(place)[0]
        raw_place = run.inputs[way[-1]][0]
        raw = run.values[raw_place]
        if not (turned or np.nanmax(raw, initial=0.0) <= 1 + ABOUT_ONE):
            return  # these are no probabilities
        # In float32, 1 less than the bound is rounded as much as it is large.
        edge = argument <= (1 - float(hi) + np.finfo(argument.dtype).eps if turned else lo * (1 + 1e-6))
        edge &= self._matters(place, edge)
        lost: dict[Index, None] = {}
        for start in map(tuple, np.argwhere(edge)[:LISTED].tolist()):
            index: Index = start
            for here, there in pairwise(way):
                entry = run.reads(here, index)[run.inputs[here].index(there)]
                index = cell_of(entry, run.values[there].shape)
            if (raw[index] > hi) if turned else (raw[index] < lo):
                lost[index] = None
        if not lost:
            return
        index = next(iter(lost))
        clip = run.order[way[-1]]
        binary = turned or "binary" in clip.scope
        fused = "nn.sigmoid_crossentropy" if binary else "nn.softmax_crossentropy"
        bound = f"above 1 - {said(1 - hi)}" if turned else f"below {said(lo)}"
        self.found.append(
            Finding(
                code="clipped-probability",
                severity="warning",
                node=clip,
                index=index,
                value=run.values[way[-1]][index].item(),
                operands=(run.element(raw_place, index),),
                cause=f"{run.element(raw_place, index)} lies {bound}, where {clip.name}{at_line(clip)} cuts it off: "
                f"{len(lost):,} of {argument.size:,} are so far off, and get no gradient",
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

    # --- what is one and the same

    def _put_together(self) -> None:
        """Tell once what comes of one cause, and would be mended with it."""
        bad = [each for each in self.found if isinstance(each.node.op, Parameter) and each.code in GIVEN]
        if len(bad) > 1:
            first, *others = bad
            elsewhere = list(dict.fromkeys(each.node for each in others if each.node is not first.node))
            infinite = [each.node for each in others if each.code == "fed-inf" and each.node is not first.node]
            own = [f"; {each.place} = {said(each.value or 0)}" for each in others if each.node is first.node]
            first.cause += "".join(own)
            first.cause += f"; and so are elements of {listed(elsewhere)}" if elsewhere else ""
            if infinite and first.code == "fed-nan":
                first.cause += f"; infinite are some of {listed(infinite)}"
            first.leads_to += tuple(after for each in others for after in each.leads_to)
            self._drop(others)
        meant = {each.node for each in self.found if each.code == "not-probabilities"}
        clipped = [each for each in self.found if each.code == "clipped-probability"]
        self._drop([each for each in clipped if each.operands[0].node in meant])
        overflows = [each for each in self.found if each.code == "overflow"]
        sources = {source for each in overflows for source in (each.node, *each.node.inputs)}
        self._drop([each for each in self.found if each.code == "near-overflow" and each.node in sources])
        grown = self.training.grown
        if grown is not None:
            made_of_it = made_of(self.run.order, {grown.node})
            of_it = [each for each in self.found if each.code in _OF_DIVERGENCE and each.severity != "note"]
            of_it = [each for each in of_it if each.node in made_of_it]
            worst = next((each for each in of_it if each.severity == "error"), None)
            first = worst or next(each for each in of_it if each.code == "huge-parameter")
            first.remedy = self.training.against_divergence
            if first.code != "huge-parameter":
                first.remedy = f"{grown.node.name} has grown to {said(grown.value)}, training diverges: {first.remedy}"
            others = [each for each in of_it if each is not first]
            first.leads_to += tuple([each for each in others if each.code != "huge-parameter"])
            self._drop(others)
        self._tell_growth_once()
        halves = [each for each in self.found if each.remedy == HALF_OPTIMIZER]
        if len(halves) > 1:
            halves[0].cause += f"; so it is in {names_of(halves[1:])}"
            self._drop(halves[1:])
        if any(each.code == "large-update" and each.severity == "warning" for each in self.found):
            # What few units do says nothing beside a step that is far too large.
            self._drop([each for each in self.found if each.code in REPEATED and each.severity == "note"])
        lines: dict[Any, list[Finding]] = {}
        for each in self.found:
            if each.code in REPEATED:
                of_line = each.code, each.severity, each.node.op.name, each.node.origin
                lines.setdefault(of_line, []).append(each)
        for first, *others in lines.values():
            if len(others) > 1:
                first.cause += f"; more of the kind in {names_of(others)}"
                self._drop(others)

    def _tell_growth_once(self) -> None:
        """Tell of gradients that are too large on the way to one parameter, step by step of a loop, only once."""
        groups: list[tuple[set[Node], list[Finding]]] = []
        for each in self.found:
            twin = each.node.twin
            if each.code not in _TOO_LARGE or each.node.phase != "backward" or twin is None:
                continue
            tied = {node for node in (twin, *twin.inputs) if node.trainable} | {element.node for element in each.chain}
            known, found = next((group for group in groups if not tied.isdisjoint(group[0])), (set[Node](), []))
            if not found:
                groups.append((known, found))
            known |= {each.node, *(node for node in tied if node.trainable)}
            found.append(each)
        for _, found in groups:
            first = min(found, key=lambda each: each.severity != "error")
            others = [each for each in found if each is not first]
            if others:
                first.cause += f"; too large are numbers in {names_of(others)}, too"
                self._drop(others)

    def _drop(self, told: Sequence[Finding]) -> None:
        gone = set(told)
        self.found = [each for each in self.found if each not in gone]


def _summands(node: Node) -> list[Node]:
    """Return what a node reads, and what that is a sum of, or of numbers."""
    ahead = list(node.inputs)
    for each in ahead:
        if each.op.name in BY_NUMBERS and len(ahead) < _FEW_SUMMED:
            ahead += each.inputs
    return ahead


def _as_it_lies(node: Node) -> Node:
    """Return what a node only turns, cuts or casts."""
    while node.op.name in _TURNS:
        node = node.inputs[0]
    return node


_TURNS = frozenset({"transpose", "reshape", "expand_dims", "squeeze", "getitem", "flip", "cast"})
_TOO_LARGE = frozenset(
    {"overflow", "near-overflow", "inf-minus-inf", "inf-over-inf", "zero-times-inf", "undefined-at-inf"}
)
_OF_DIVERGENCE = _TOO_LARGE | {"exploding-gradient", "huge-parameter"}
"""What becomes of parameters that grow without bound."""


def _is_hidden(run: Evaluation, culprit: Culprit) -> bool:
    """Return whether the culprit's own value is not finite, which the forward pass does not show."""
    place = run.places.get(culprit.node)
    if place is None or not run.hidden[place]:
        return False
    return culprit.index is None or not math.isfinite(run.values[place][culprit.index])


def _near(dtype: np.dtype[Any]) -> float:
    return math.pow(float(np.finfo(dtype).max), NEAR_OVERFLOW)


def _largest(dtype: np.dtype[Any]) -> str:
    return f"{float(np.finfo(dtype).max):.5g}"


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
    target : Node, str, or list, tuple or dict of them, Compiled, Trace, or Film
        Fetches; or a compiled step, whose updates are evaluated and not made; or what a trace is of; or the calls of
        a step that were recorded: the first with an error is told, or else the first with a warning.
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
    A constant of inf is meant so, and one that is fed as long as it spoils no result: masks are made of them.
    The rest is decided by the checks and their thresholds in `graphnn.inspector.health`. All values are kept until it
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
    mask the input of log instead, gn.log(gn.where(condition, x, 1)): both branches of a where are computed, and a
    gradient of 0 becomes NaN in the hidden one
    """
    if not isinstance(target, Film):
        seen = target if isinstance(target, Trace) else ()
        recorded = {record.index: record.value for record in seen if isinstance(record.op, Unknown) and record.kept}
        return _examined(*prepared_for(target, feed, sizes, graph), recorded=recorded)
    if feed is not None or sizes is not None or graph is not None:
        raise UsageError("a film holds the feed of every call: it takes no other, and no sizes= and graph=")
    if not target:
        raise UsageError("the film holds no trace: call the step while gn.recording(step) lasts")
    early: Health | None = None
    warned: Health | None = None
    notes: dict[tuple[str, Node], Finding] = {}
    for call, trace in zip(target.calls, target, strict=True):
        health = _examined(trace.prepared, trace.updates, call)
        if health.errors:
            health.before = early
            return health
        if warned is None and not health.ok:
            warned = health
            warned.before = early
        if early is None and (not health.ok or any(note.code == "large-update" for note in health.notes)):
            early = health
        for note in health.notes:
            if (note.code, note.node) not in notes:
                note.cause += f"; at call {call} first"
                notes[note.code, note.node] = note
    if warned is not None:
        return warned
    return Health(health.graph, health.count, list(notes.values()), calls=len(target))


def _examined(
    prepared: Prepared, updates: Mapping[Node, Node], call: int | None = None, recorded: Mapping[int, Array] = {}
) -> Health:
    run = Evaluation(prepared, recorded)
    return Health(run.graph, run.count, _Doctor(run, updates).examine(), call)
