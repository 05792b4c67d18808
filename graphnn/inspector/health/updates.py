"""Parameters that run off or stand still, and losses that are made the wrong way."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ...errors import GraphnnError
from ...graph import Constant, Parameter, Placeholder, Trait
from ..trace import norm_of
from .checks import check
from .evaluation import made_of
from .findings import Finding, at_line, listed, said
from .training import LEARNT, LOSSES, Training

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ...graph import Array, Node
    from .evaluation import Evaluation
    from .findings import Element

HUGE_PARAMETER = 1e8
"""How large a trained number may be, beside 1 and beside what is fed."""
LARGE_UPDATE = 10.0
"""How far a step may move a parameter beside its size, where that is by more than 1."""
VAST_UPDATE = 1e3
"""How far beside its size, or beside 1, so that it is no note any more."""
RISEN, RISEN_FAR = 10.0, 1.5
"""How many times as large a step may have a loss, where it moves parameters further than they are large; or as far as
is noted anyway."""
NO_PROGRESS, STEEP = 1e-9, 1e-2
"""Which share of a loss a step must promise to take away, where the loss is at least so steep beside its size."""
HUGE_LOSS, NEGATED_LOSS = 1e12, 1e3
"""How far below 0 a loss may be; one that negates what is never below 0."""
_MOST_TERMS = 256  # of one loss
_EXPLAIN = frozenset({"exploding-gradient", "out-of-reach"})
"""What explains a step that is too large."""
_PENALTIES = frozenset({"square", "absolute", "add", "multiply", "divide", "divide_by", "norm", "reshape", "getitem"})
"""Of what a penalty is made besides sums: what grows with the parameters without end."""


@check(
    "huge-parameter",
    "a parameter has grown beyond reason",
    "lower the learning rate, or clip the gradients",
)
def huge(run: Evaluation) -> Iterator[Finding]:
    """Look at the largest number of all parameters."""
    updates = run.part(Updates)
    grown = updates.grown
    if grown is not None:
        cause, remedy = f"{grown}: training diverges", updates.against_divergence
        size = updates.training.value_of(grown.node).size
        yield huge.of(grown.node, cause, index=grown.index, value=grown.value, remedy=remedy, size=size)


@check(
    "not-moved",
    "a step leaves a trained parameter as it is, and its gradient is not 0; or moves all of them next to nothing",
    "look at the learning rate, which is 0 or is lost beside the numbers",
)
def not_moved(run: Evaluation) -> Iterator[Finding]:
    """Look whether a step moves nothing, or next to nothing."""
    updates = run.part(Updates)
    if updates.grown is None:
        yield from updates.not_moved()


@check(
    "large-update",
    "a step moves the numbers of a parameter by more than 1, and by more than ten times their size; or by more "
    "than their size, and has the loss be more than ten times as large",
    "a lower learning rate, unless so large a step is meant; or scale the inputs to about 1",
)
def large(run: Evaluation) -> Iterator[Finding]:
    """Look whether a step moves a parameter much further than it is large."""
    updates = run.part(Updates)
    if updates.grown is None:
        found = updates.risen() or updates.far()
        yield from () if found is None else (found,)


@check(
    "negative-penalty",
    "what is subtracted from a loss grows with the parameters and has no end: a penalty of the wrong sign",
    "add the penalty to the loss, as loss + nn.l2(parameters, 0.01) does: a rate is not negative",
)
def negative_penalty(run: Evaluation) -> Iterator[Finding]:
    """Look whether what is never negative and made of parameters alone is subtracted from a loss."""
    updates = run.part(Updates)
    if updates.grown is None:
        yield from updates.penalties()


@check(
    "other-parameters",
    "a metric beside a loss is computed by parameters that are not trained, and that the loss does not depend on",
    "call one layer for both: a layer that is made anew has parameters of its own",
)
def other_parameters(run: Evaluation) -> Iterator[Finding]:
    """Look whether a metric beside a loss is computed by parameters that nothing trains."""
    updates = run.part(Updates)
    if updates.grown is None:
        yield from updates.untrained()


@check(
    "unbounded-loss",
    "a loss has fallen so far below 0 that it has no least value",
    "look at its sign: a loss is made smaller, and this one has no end",
)
def unbounded(run: Evaluation) -> Iterator[Finding]:
    """Look whether a loss has fallen too far for one that has a least value."""
    updates = run.part(Updates)
    if updates.grown is None and updates.falling is not None:
        node, value = updates.falling
        yield unbounded.of(node, f"{node.name}{at_line(node)} is {said(value)}, and training makes it smaller still")


class Updates:
    """What a step makes of its parameters."""

    def __init__(self, run: Evaluation) -> None:
        self.run = run
        self.training = run.part(Training)

    @cached_property
    def grown(self) -> Element | None:
        """The largest number of a parameter, where that is beyond reason, also beside what is fed."""
        trained = [node for node in self.run.order if node.trainable]
        elements = [each for node in trained if (each := self.run.largest_in(node)) is not None]
        largest = max(elements, key=lambda each: abs(each.value), default=None)
        if largest is None or abs(largest.value) <= HUGE_PARAMETER:
            return None
        data = [self.run.largest_in(node) for node in self.run.prepared.program.placeholders]
        size = max([abs(each.value) for each in data if each is not None], default=1.0)
        return largest if abs(largest.value) > HUGE_PARAMETER * max(size, 1.0) else None

    @cached_property
    def falling(self) -> tuple[Node, float] | None:
        """What is made smaller by training, where it is so far below 0 that it has no end."""
        # By hand, one may go up a slope as well as down.
        descent = {parameter: node for parameter, node in self.run.updates.items() if node.phase == "update"}
        trained = [parameter for parameter in descent if parameter.trainable]
        for node, value in self.training.losses_of(descent).items():
            negated = _is_negated(node) and not made_of(self.run.order, trained).isdisjoint(node.inputs[-1:])
            falls = math.isinf(value) or self.training.steepness(trained) > LEARNT * abs(value)
            if value < -(NEGATED_LOSS if negated else HUGE_LOSS) and falls:
                return node, value
        return None

    @property
    def against_divergence(self) -> str:
        """What to do where a parameter has grown beyond reason."""
        if self.falling is None:
            return huge.remedy
        node, value = self.falling
        return unbounded.remedy.replace("its sign", f"the sign of {node.name}, which is {said(value)}")

    def not_moved(self) -> Iterator[Finding]:
        """Look whether it is too little altogether; or else what is not moved, though gradients come there."""
        if (found := self._stands_still) is not None:
            yield found
            return
        still = []
        for parameter, step in self._steps.items():
            gradient = self.training.gradients.get(parameter)
            if not step.any() and gradient is not None and self.training.value_of(gradient).any():
                still.append(parameter)
        if still:
            cause = f"the step moves nothing in {listed(still)}, though gradients come there"
            yield not_moved.of(self.run.updates[still[0]], cause, severity="note")

    def far(self) -> Finding | None:
        """Return what is to be said of the parameter that is moved furthest beside its size."""
        moves = [(moved, size, p) for p, (moved, size) in self._moves.items() if size and _is_large(moved, size)]
        if not moves:
            return None
        moved, size, parameter = max(moves, key=lambda move: move[0] / move[1])
        others = [other for _, _, other in moves if other is not parameter]
        so_too = f"; so it is with {listed(others)}" if others else ""
        cause = (
            f"a step moves the numbers of {parameter.name}{at_line(parameter)} by {said(moved)}, and they are "
            f"{said(size)} large, as the root of their mean square{so_too}"
        )
        explained = any(each.code == "exploding-gradient" for each in self.run.found)
        severity = "warning" if moved > VAST_UPDATE * max(size, 1.0) and not explained else "note"
        return self._too_far(parameter, cause, severity)

    def _too_far(self, parameter: Node, cause: str, severity: str = "warning") -> Finding:
        scaled = self.training.scaled_down
        remedy = f"{scaled}; or a lower learning rate" if scaled else large.remedy
        return large.of(self.run.updates[parameter], cause, severity=severity, remedy=remedy)

    @cached_property
    def _steps(self) -> dict[Node, Array]:
        """By how much each trained parameter is moved, where all of that is finite."""
        found = {}
        for parameter, following in self.run.updates.items():
            if parameter.trainable and self.run.places.keys() >= {parameter, following}:
                before, after = self.training.value_of(parameter), self.training.value_of(following)
                if before is not None and after is not None and before.dtype.kind == "f" and np.isfinite(after).all():
                    found[parameter] = after.astype(np.float64) - before
        return found

    @cached_property
    def _moves(self) -> dict[Node, tuple[float, float]]:
        """How far each parameter is moved, and how large it is, as roots of mean squares."""
        found = {}
        for parameter, step in self._steps.items():
            root = math.sqrt(max(step.size, 1))
            found[parameter] = norm_of(step) / root, norm_of(self.training.value_of(parameter)) / root
        return found

    @cached_property
    def _stands_still(self) -> Finding | None:
        """What is to be said if the rate is so small that the loss would hardly ever fall."""
        if not self._steps or self._steps.keys() != {node for node in self.run.updates if node.trainable}:
            return None
        if not all(parameter in self.training.gradients for parameter in self._steps) or self._rate_changes:
            return None
        losses = self.training.losses_of(self._steps)
        loss = max(map(abs, losses.values()), default=0.0)
        promised = 0.0
        for parameter, step in self._steps.items():
            promised += float(np.abs(step * self.training.value_of(self.training.gradients[parameter])).sum())
        if not loss > LEARNT or self.training.steepness(self._steps) < STEEP * loss or promised > NO_PROGRESS * loss:
            return None
        first, *others = self._steps
        share = "nothing" if not promised else f"at most {said(promised / loss)} of the loss"
        rate = self._rate
        at_rate = "" if rate is None else f"; {rate.name} is {said(float(self.training.value_of(rate)))}"
        cause = f"the step moves {listed([first, *others])} by so little that it takes away {share}{at_rate}"
        return not_moved.of(self.run.updates[first], cause)

    @cached_property
    def _behind_updates(self) -> list[Node]:
        """What the next values of the trained parameters are made of, in the phase of the update."""
        behind = self.run.behind(self.run.updates[parameter] for parameter in self._steps)
        return list(behind)

    @cached_property
    def _rate(self) -> Node | None:
        """The learning rate, if an optimizer keeps it as a number."""
        named = [node for node in self._behind_updates if node.name.endswith("learning_rate") and not node.shape]
        return next((node for node in named if isinstance(node.op, Parameter) and node not in self.run.updates), None)

    @property
    def _rate_changes(self) -> bool:
        """Whether the rate is another one in each step, as that of a schedule is, which may begin or end with 0."""
        counts = [
            node for node in self._behind_updates if node in self.run.updates and not node.trainable and not node.shape
        ]
        return bool(counts) and self._rate is None

    def risen(self) -> Finding | None:
        """Return what is to be said if a step moves parameters so far that the loss is much larger after it."""
        moves = [(moved, size, p) for p, (moved, size) in self._moves.items() if p.ndim > 1]
        far = [(moved / size, moved, size, p) for moved, size, p in moves if size and moved > size]
        losses = self.training.losses_of(self._steps)
        losses = {node: value for node, value in losses.items() if value > LEARNT}
        if (
            not far
            or not losses
            or self.run.failure is not None
            or any(each.code in _EXPLAIN for each in self.run.found)
        ):
            return None
        state = {
            node: self.training.value_of(following)
            for node, following in self.run.updates.items()
            if node in self.run.places
        }
        try:
            after = self.run.after(state, list(losses))
        except GraphnnError:
            return None
        _, moved, size, parameter = max(far, key=lambda each: each[0])
        risen = RISEN_FAR if _is_large(moved, size) else RISEN
        for (node, before), value in zip(losses.items(), map(float, after), strict=True):
            if not value <= risen * before:
                rate = self._rate
                at_rate = "" if rate is None else f" at {rate.name} = {said(float(self.training.value_of(rate)))}"
                cause = (
                    f"a step{at_rate} moves the numbers of {parameter.name}{at_line(parameter)} by {said(moved)}, and "
                    f"they are {said(size)} large; {node.name} is {said(before)} before it and {said(value)} after it"
                )
                return self._too_far(parameter, cause)
        return None

    def penalties(self) -> Iterator[Finding]:
        """Look at what a loss subtracts."""
        trained = {node for node in self.run.updates if node.trainable}
        of_parameters = made_of(self.run.order, trained)
        for loss, value in self.training.losses_of(trained).items():
            for term, sign in _terms_of(loss):
                if sign < 0 and term in of_parameters and term not in self.run.fed and _is_never_negative(term):
                    if not _grows(term, of_parameters) or not self.training.value_of(term).any():
                        continue
                    what = f"{term.name}{at_line(term)}, which is {said(float(self.training.value_of(term)))}"
                    cause = f"{loss.name} = {said(value)} becomes smaller the larger the parameters are, by {what}"
                    yield negative_penalty.of(term, cause)
                    return

    def untrained(self) -> Iterator[Finding]:
        """Look at what is fetched beside a loss."""
        trained = {node for node in self.run.updates if node.trainable}
        losses = set(self.training.losses_of(trained))
        if not losses or not trained:
            return
        behind = self.run.behind(losses)
        fetched = [self.run.order[place] for place in self.run.fetches]
        for metric in fetched:
            if metric in losses or metric.phase != "forward" or metric in self.run.updates.values() or metric.shape:
                continue
            read = self.run.behind({metric})
            own = [node for node in read if node.trainable and node not in behind and node not in self.run.updates]
            labels = [node for node in read if isinstance(node.op, Placeholder) and node in behind]
            if own and labels and trained.isdisjoint(read):
                cause = (
                    f"{metric.name}{at_line(metric)} is computed by {listed(own)}, and the step trains "
                    f"{listed([node for node in self.run.order if node in trained])}"
                )
                yield other_parameters.of(metric, cause)
                return


def _is_large(moved: float, size: float) -> bool:
    """Return whether a step moves numbers much further than they are large."""
    return moved > LARGE_UPDATE * max(size, 1 / LARGE_UPDATE)


def _terms_of(loss: Node) -> Iterator[tuple[Node, float]]:
    """Yield the scalars that a loss adds up, each with the sign of its factor."""
    ahead = [(loss, 1.0)]
    for node, factor in ahead:  # which grows
        name, inputs = node.op.name, node.inputs
        if node.shape or len(ahead) > _MOST_TERMS:
            continue
        numbers = [each for each in inputs if isinstance(each.op, Constant)]
        others = [each for each in inputs if each not in numbers and not each.shape]
        if name in ("add", "subtract"):
            signs = (factor, -factor if name == "subtract" else factor)
            ahead += [(each, sign) for each, sign in zip(inputs, signs, strict=True) if each in others]
        elif name == "negative" and others:
            ahead.append((others[0], -factor))
        elif len(numbers) == len(others) == 1 and (
            name == "multiply" or (name == "divide" and numbers[0] is inputs[1])
        ):
            ahead.append((others[0], factor * math.copysign(1.0, float(numbers[0].value))))
        else:
            yield node, factor


def _grows(term: Node, of_parameters: Collection[Node]) -> bool:
    """Return whether a term is as large as the parameters, and not bounded by something on the way."""
    ahead = [term]
    for each in ahead:
        for operand in each.inputs:
            if operand in of_parameters and not operand.trainable:
                if Trait.ADDS_UP not in operand.op.traits and operand.op.name not in _PENALTIES:
                    return False
                ahead.append(operand)
    return True


def _is_negated(node: Node) -> bool:
    """Return whether a loss is what takes away something that is never below 0."""
    taken = node.inputs[-1:] if node.op.name in ("negative", "subtract") else ()
    return any(map(_is_never_negative, taken))


def _is_never_negative(node: Node) -> bool:
    made = {node: None}
    for each in (ahead := [node]):
        scope = each.graph.scopes.get(each.scope)
        if (scope is not None and scope.kind in LOSSES) or each.op.name in ("square", "absolute", "norm"):
            continue
        if each.op.name == "multiply" and len(set(each.inputs)) == 1:
            continue
        if isinstance(each.op, Constant) and each is not node:
            if not (each.value >= 0).all():
                return False
        elif each.op.name in ("mean", "sum", "divide_by", "multiply", "divide", "add"):
            fresh = dict.fromkeys(operand for operand in each.inputs if operand not in made)
            made.update(fresh)
            ahead += fresh
        else:
            return False
    return True
