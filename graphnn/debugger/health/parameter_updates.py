"""What a step does to its parameters: they grow without bound or hardly change, or the loss has no minimum."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Array, Node, Trait, is_float
from ...errors import GraphnnError
from ...runtime.state_updates import moves_of
from ..traces import norm_of
from .check_registry import check
from .evaluation import Evaluation, dependents
from .findings import Element, Finding, at_line, listed, rounded, same_in
from .training_facts import LEARNT, LOSSES, Training, is_scaling

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

HUGE_PARAMETER = 1e8
"""A trained number is huge above this, times the largest fed number if that exceeds 1."""
LARGE_UPDATE = 10.0
"""A step is large if it changes a parameter by more than this times its size, and by more than 1."""
VAST_UPDATE = 1e3
"""Beyond this times its size, or times 1, a large step is a warning; else a note."""
RISEN, RISEN_FAR = 10.0, 1.5
"""A step that changes a parameter by more than its size is too large if the loss grows by the first factor; a large
step, if it grows by the second."""
NO_PROGRESS, STEEP = 1e-7, 1e-2
"""A step makes no progress if it reduces a loss by less than this share, where its slope beside its size is steep."""
HUGE_LOSS, NEGATED_LOSS = 1e12, 1e3
"""A loss is unbounded this far below 0; the second is for one that negates what is never negative."""
_MOST_TERMS = 256  # of one loss
_EXPLAIN = frozenset({"exploding-gradient", "out-of-reach"})
"""Findings that explain a step that is too large."""
_PENALTIES = frozenset(
    {"square", "absolute", "add", "multiply", "divide", "divide_by_size", "norm", "reshape", "getitem"}
)
"""The operations of penalties besides sums: they grow with the parameters without bound."""


@check("huge-parameter", "a parameter has grown beyond reason", "lower the learning rate, or clip the gradients")
def huge(run: Evaluation) -> Iterator[Finding]:
    """Look at the largest number of all parameters."""
    updates = run.part(Updates)
    if (grown := updates.grown) is not None:
        cause, size = f"{grown}: training diverges", run.value_of(grown.node).size
        about: dict[str, Any] = {"index": grown.index, "value": grown.value, "size": size}
        yield huge.of(grown.node, cause, remedy=updates.against_divergence, **about)


@check(
    "not-moved",
    "a step leaves a trained parameter unchanged although its gradient is not 0, or changes all of them too little",
    "check the learning rate: it is 0, or too small to change the parameters",
)
def not_moved(run: Evaluation) -> Iterator[Finding]:
    """Look whether a step makes no progress, or leaves single parameters unchanged."""
    updates, gradients = run.part(Updates), run.part(Training).gradients
    if (share := updates.progress) is not None:
        first = next(iter(updates.steps))
        falls = f"decreases by at most {rounded(share)} of its value" if share else "does not decrease"
        rate = "" if updates.rate is None else f"; {updates.rate_now}"
        cause = f"the step changes {listed(updates.steps)} so little that the loss {falls}{rate}"
        yield not_moved.of(run.updates[first], cause)
        return
    still = [parameter for parameter, step in updates.steps.items() if parameter in gradients and not step.any()]
    if still := [parameter for parameter in still if run.value_of(gradients[parameter]).any()]:
        cause = f"the step does not change {listed(still)}, although the gradient is not 0"
        yield not_moved.of(run.updates[still[0]], cause, severity="note")


@check(
    "large-update",
    "a step changes a parameter by more than 1 and by more than ten times its size; or by more than its size, and "
    "the loss becomes more than ten times as large",
    "lower the learning rate, unless so large a step is intended; or scale the inputs to about 1",
)
def large(run: Evaluation) -> Iterator[Finding]:
    """Look whether a step changes a parameter by much more than its size."""
    yield from list(_risen(run)) or _far(run)


def _risen(run: Evaluation) -> Iterator[Finding]:
    """Look whether the loss is much larger after the step."""
    updates = run.part(Updates)
    far = {p: moved / size for p, (moved, size) in updates.moves.items() if p.ndim > 1 and size and moved > size}
    losses = {node: value for node, value in run.part(Training).losses_of(updates.steps).items() if value > LEARNT}
    if not far or not losses or run.failure is not None or any(each.code in _EXPLAIN for each in run.found):
        return
    state = {node: run.value_of(following) for node, following in run.updates.items() if node in run.places}
    try:
        after = run.after(state, list(losses))
    except GraphnnError:
        return
    parameter = max(far, key=far.__getitem__)
    factor = RISEN_FAR if updates.is_large(parameter) else RISEN
    for (node, before), value in zip(losses.items(), map(float, after), strict=True):
        if not value <= factor * before:
            rate = "" if updates.rate is None else f" at {updates.rate_now}"
            loss = f"{node.name} is {rounded(before)} before it and {rounded(value)} after it"
            yield _too_large(run, parameter, f"the step{rate} {updates.change_of(parameter)}; {loss}")
            return


def _far(run: Evaluation) -> Iterator[Finding]:
    """Look for the parameter that changes most beside its size."""
    updates = run.part(Updates)
    moves = {p: moved / size for p, (moved, size) in updates.moves.items() if size and updates.is_large(p)}
    if moves:
        parameter = max(moves, key=moves.__getitem__)
        moved, size = updates.moves[parameter]
        explained = any(each.code == "exploding-gradient" for each in run.found)
        severity = "warning" if moved > VAST_UPDATE * max(size, 1.0) and not explained else "note"
        others = same_in(other for other in moves if other is not parameter)
        yield _too_large(run, parameter, f"the step {updates.change_of(parameter)}{others}", severity)


def _too_large(run: Evaluation, parameter: Node, cause: str, severity: str = "warning") -> Finding:
    scaled = run.part(Training).scaled_down
    remedy = f"{scaled}; or lower the learning rate" if scaled else large.remedy
    return large.of(run.updates[parameter], cause, severity=severity, remedy=remedy)


@check(
    "scale-overflow",
    "the gradients of a scaled loss overflow, so that the step changes no parameter",
    "nothing to do, if it is seldom: the scale finds the largest that the gradients allow",
)
def scale_overflow(run: Evaluation) -> Iterator[Finding]:
    """Look whether a step is left out because of the scale of its loss."""
    scales = [node for node in run.updates if is_scaling(node) and is_float(node.dtype) and node in run.places]
    for scale in scales:
        alone = [
            node for node in run.order if node.scope == scale.scope and node.op.name == "all" and node.twin is not None
        ]
        if lost := [node for node in alone if (value := run.value_of(node)) is not None and not value]:
            before, after = float(run.value_of(scale)), float(run.value_of(run.updates[scale]))
            smaller = [float(run.value_of(node)) for node in run.order if node.name == f"{scale.scope}/smaller"]
            becomes = f", and becomes {after:g}" if after < before else ""
            becomes = ", and it is never less" if smaller == [before] else becomes
            parameters = [node.twin for node in lost if node.twin is not None]
            cause = (
                f"the gradients of {listed(parameters)} are not finite, so the step changes no parameter; "
                f"{scale.name} is {before:g}{becomes}"
            )
            if before > 1:
                yield scale_overflow.of(lost[0], cause, severity="note")
            else:
                yield scale_overflow.of(lost[0], cause, remedy="look at the loss: its own gradients overflow")


@check(
    "negative-penalty",
    "a loss subtracts a penalty that grows with the parameters without bound: its sign is wrong",
    "add the penalty to the loss, as in loss + nn.l2(parameters, 0.01), with a positive rate",
)
def negative_penalty(run: Evaluation) -> Iterator[Finding]:
    """Look whether a loss subtracts a term that is never negative and depends on parameters alone."""
    trained = run.part(Updates).trained
    of_parameters = dependents(run.order, trained)
    for loss, value in run.part(Training).losses_of(trained).items():
        for term, sign in _terms_of(loss):
            alone = sign < 0 and term in of_parameters and term not in run.fed
            if alone and _is_never_negative(term) and _grows(term, of_parameters) and run.value_of(term).any():
                what = f"{term.name}{at_line(term)} = {rounded(float(run.value_of(term)))}"
                cause = (
                    f"the loss {loss.name} = {rounded(value)} decreases as the parameters grow, because it subtracts "
                    f"{what}"
                )
                yield negative_penalty.of(term, cause)
                return


@check(
    "other-parameters",
    "a metric is computed from parameters that are not trained and that the loss does not depend on",
    "use the same layer for both: a new layer has new parameters",
)
def other_parameters(run: Evaluation) -> Iterator[Finding]:
    """Look whether a metric that is fetched beside a loss is computed from parameters that nothing trains."""
    trained = run.part(Updates).trained
    losses = run.part(Training).losses_of(trained)
    before = run.ancestors(losses)
    for place in run.fetches if losses else ():
        metric = run.order[place]
        if metric in losses or metric.phase != "forward" or metric in run.updates.values() or metric.shape:
            continue
        read = run.ancestors({metric})
        own = [node for node in read if node.trainable and node not in before and node not in run.updates]
        labels = any(node.op.is_placeholder and node in before for node in read)
        if own and labels and trained.isdisjoint(read):
            steps = listed(node for node in run.order if node in trained)
            cause = f"{metric.name}{at_line(metric)} is computed from {listed(own)}, but the step trains {steps}"
            yield other_parameters.of(metric, cause)
            return


@check(
    "unbounded-loss",
    "a loss is so far below 0 that it has no minimum",
    "check its sign: training makes a loss smaller, and this one has no minimum",
)
def unbounded(run: Evaluation) -> Iterator[Finding]:
    """Look whether a loss is too far below 0 to have a minimum."""
    updates = run.part(Updates)
    if updates.grown is None and updates.falling is not None:
        node, value = updates.falling
        yield unbounded.of(node, f"{node.name}{at_line(node)} is {rounded(value)}, and training makes it even smaller")


class Updates:
    """What a step does to its parameters."""

    def __init__(self, run: Evaluation) -> None:
        self.run = run
        self.training = run.part(Training)

    @cached_property
    def grown(self) -> Element | None:
        """The largest number of a trained parameter, if it is huge."""
        elements = [each for node in self.run.order if node.trainable and (each := self.run.largest_in(node))]
        largest = max(elements, key=lambda each: abs(each.value), default=None)
        if largest is None or abs(largest.value) <= HUGE_PARAMETER:
            return None
        fed = map(self.run.largest_in, self.run.prepared.program.placeholders)
        size = max([abs(each.value) for each in fed if each is not None], default=1.0)
        return largest if abs(largest.value) > HUGE_PARAMETER * max(size, 1.0) else None

    @cached_property
    def trained(self) -> set[Node]:
        """The parameters that the step trains; none if one is huge, for then that alone is reported."""
        return {node for node in self.run.updates if node.trainable} if self.grown is None else set()

    @cached_property
    def falling(self) -> tuple[Node, float] | None:
        """The loss that has no minimum, with its value."""
        # Updates that are not an optimizer's may go uphill on purpose.
        descent = {parameter: node for parameter, node in self.run.updates.items() if node.phase == "update"}
        trained = [parameter for parameter in descent if parameter.trainable]
        for node, value in self.training.losses_of(descent).items():
            if value < -NEGATED_LOSS:
                taken = node.inputs[-1:] if node.op.name in ("negative", "subtract") else ()
                negated = [each for each in taken if _is_never_negative(each)]
                bound = HUGE_LOSS if dependents(self.run.order, trained).isdisjoint(negated) else NEGATED_LOSS
                falls = math.isinf(value) or self.training.steepness(trained) > LEARNT * abs(value)
                if value < -bound and falls:
                    return node, value
        return None

    @property
    def against_divergence(self) -> str:
        """What to do if a parameter is huge."""
        if self.falling is None:
            return huge.remedy
        node, value = self.falling
        return unbounded.remedy.replace("its sign", f"the sign of {node.name}, which is {rounded(value)}")

    @cached_property
    def steps(self) -> dict[Node, Array]:
        """The change of each trained parameter, if it is finite and the step is one that moves it."""
        found = {}
        for parameter, following in self.run.updates.items():
            if parameter in self.trained and self.run.places.keys() >= {parameter, following}:
                moves = moves_of(parameter, following)
                if moves is not None and (moved := self.run.value_of(moves)) is not None and not moved:
                    continue
                before, after = self.run.value_of(parameter), self.run.value_of(following)
                if before is not None and after is not None and is_float(before.dtype) and np.isfinite(after).all():
                    found[parameter] = after.astype(np.float64) - before
        return found

    @cached_property
    def moves(self) -> dict[Node, tuple[float, float]]:
        """The sizes of each parameter's change and of its value, as root mean squares."""
        found = {}
        for parameter, step in self.steps.items():
            root = math.sqrt(max(step.size, 1))
            found[parameter] = norm_of(step) / root, norm_of(self.run.value_of(parameter)) / root
        return found

    def is_large(self, parameter: Node) -> bool:
        """Return whether a step changes a parameter by much more than its size."""
        moved, size = self.moves[parameter]
        return moved > LARGE_UPDATE * max(size, 1 / LARGE_UPDATE)

    def change_of(self, parameter: Node) -> str:
        """Return how a step changes a parameter, in words."""
        moved, size = map(rounded, self.moves[parameter])
        return f"changes {parameter.name}{at_line(parameter)} by {moved}, but its values are about {size} (RMS)"

    @cached_property
    def progress(self) -> float | None:
        """The share of the loss that the step takes away at first order, if it is too small to make progress."""
        gradients, steps = self.training.gradients, self.steps
        if not steps or steps.keys() != self.trained or not steps.keys() <= gradients.keys() or self._rate_changes:
            return None
        loss = max(map(abs, self.training.losses_of(steps).values()), default=0.0)
        gain = sum(float(np.abs(step * self.run.value_of(gradients[p])).sum()) for p, step in steps.items())
        if not loss > LEARNT or self.training.steepness(steps) < STEEP * loss or gain > NO_PROGRESS * loss:
            return None
        return gain / loss

    @cached_property
    def _before_steps(self) -> list[Node]:
        """The scalars that the next values of the trained parameters depend on."""
        return [node for node in self.run.ancestors(self.run.updates[each] for each in self.steps) if not node.shape]

    @cached_property
    def rate(self) -> Node | None:
        """The learning rate, if the optimizer keeps it as a number."""
        named = (node for node in self._before_steps if node.name.endswith("learning_rate"))
        return next((node for node in named if node.op.is_parameter and node not in self.run.updates), None)

    @property
    def rate_now(self) -> str:
        """The learning rate with its value."""
        assert self.rate is not None
        return f"{self.rate.name} = {rounded(float(self.run.value_of(self.rate)))}"

    @property
    def _rate_changes(self) -> bool:
        """Whether a schedule changes the rate at each step, and so may begin or end with 0."""
        return self.rate is None and any(node in self.run.updates and not node.trainable for node in self._before_steps)


def _terms_of(loss: Node) -> Iterator[tuple[Node, float]]:
    """Yield the scalars that a loss adds up, each with the sign of its factor."""
    ahead = [(loss, 1.0)]
    for node, factor in ahead:  # grows on the way
        op, inputs = node.op, node.inputs
        if node.shape or len(ahead) > _MOST_TERMS:
            continue
        numbers = [each for each in inputs if each.op.is_constant]
        others = [each for each in inputs if each not in numbers and not each.shape]
        if op.signs:
            ahead += [(each, sign * factor) for each, sign in zip(inputs, op.signs, strict=True) if each in others]
        elif op.name == "negative" and others:
            ahead.append((others[0], -factor))
        elif len(numbers) == len(others) == 1 and op.powers and (op.powers == (1, 1) or numbers[0] is inputs[1]):
            ahead.append((others[0], factor * math.copysign(1.0, float(numbers[0].value))))
        else:
            yield node, factor


def _grows(term: Node, of_parameters: Collection[Node]) -> bool:
    """Return whether a term grows with the parameters, with no bounded operation between them."""
    ahead = [term]
    for each in ahead:
        for operand in each.inputs:
            if operand in of_parameters and not operand.trainable:
                if Trait.ADDS_UP not in operand.op.traits and operand.op.name not in _PENALTIES:
                    return False
                ahead.append(operand)
    return True


def _is_never_negative(node: Node) -> bool:
    made = {node: None}
    for each in (ahead := [node]):
        scope = each.graph.scopes.get(each.scope)
        if (scope is not None and scope.kind in LOSSES) or each.op.name in ("square", "absolute", "norm"):
            continue
        if each.op.powers == (1, 1) and len(set(each.inputs)) == 1:
            continue
        if each.op.is_constant and each is not node:
            if not (each.value >= 0).all():
                return False
        elif each.op.powers or each.op.name in ("mean", "sum", "divide_by_size", "add"):
            fresh = dict.fromkeys(operand for operand in each.inputs if operand not in made)
            made.update(fresh)
            ahead += fresh
        else:
            return False
    return True
