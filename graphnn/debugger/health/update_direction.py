"""Updates that go the wrong way: up the gradient, or away from 0 where they should decay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...core import is_float, limits
from .check_registry import check, declare
from .evaluation import CannotTry, Evaluation, dependents
from .findings import Finding, at_line, listed, rounded, same_in
from .node_roles import changed
from .parameter_updates import Updates
from .training_facts import Training

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ...core import Array, Node

MUCH_DECAY = 0.1
"""Decay is too strong if it takes this share of a parameter in each step."""
_SIGN = "check its sign: descent subtracts the gradient, w - rate * gradient"
_DECAY = "check its sign: weight decay makes weights smaller, w - rate * (gradient + decay * w)"


@check(
    "uphill", "an update goes up the gradient, so that the loss grows, or makes weights grow that should decay", _SIGN
)
def uphill(run: Evaluation) -> Iterator[Finding]:
    """Look at the direction of each update: turn the gradients round, then the parameters, and see what changes.

    The part of a step that belongs to the gradient is odd in it, whatever momentum an optimizer has: half the
    difference of the steps for g and -g. The same holds for decay and the parameter.
    """
    training, steps = run.part(Training), run.part(Updates).steps
    slopes = {p: node for p, node in training.gradients.items() if p in steps and run.value_of(node).any()}
    if not slopes or run.failure is not None:
        yield from _negated(run)
        return
    following = [run.updates[p] for p in slopes]
    given = _gradients_read(run, following)
    try:
        turned = run.after({node: -value for node, value in given.items()}, following)
        mirrored = run.after({**given, **{p: -run.value_of(p) for p in slopes}}, following)
        wrong = [p for p, after in zip(slopes, turned, strict=True) if _goes_up(run, p, slopes[p], after)]
        if 0 < len(wrong) < len(slopes):
            wrong = [p for p in wrong if not _is_multiplier(run, p, slopes[p])]
    except CannotTry as error:
        run.unchecked["direction of the updates"] = error.reason
        return
    run.checked["direction of the updates"] = ""
    if wrong:
        risen = list(training.losses_of(wrong).values())
        objective = len(wrong) == len(slopes) and bool(risen) and max(risen) < 0
        yield _of_ascent(run, wrong, slopes, "note" if objective else "warning")
    else:
        yield from _negated(run)
    yield from _of_decay(run, given, dict(zip(slopes, mirrored, strict=True)))


def _gradients_read(run: Evaluation, following: list[Node]) -> dict[Node, Array]:
    """Return the gradients from which next values are computed, by nodes that are no gradients, with their values."""
    needed = run.ancestors(following)
    read = {each for node in needed if node.phase != "backward" for each in node.inputs if each.phase == "backward"}
    return {node: run.value_of(node) for node in needed if node in read and is_float(node.dtype)}


def _goes_up(run: Evaluation, parameter: Node, slope: Node, turned: Array) -> bool:
    """Return whether an update adds the gradient, as what it would be for the opposite one shows."""
    after, direction = run.value_of(run.updates[parameter]), run.value_of(slope).astype(np.float64)
    rounding = 8 * float(limits(after.dtype).eps) * float(np.abs(after).max()) * float(np.abs(direction).sum())
    return float(np.vdot(direction, 0.5 * (after.astype(np.float64) - turned))) > rounding


def _is_multiplier(run: Evaluation, parameter: Node, slope: Node) -> bool:
    """Return whether a loss is linear in a parameter, as in a multiplier of Lagrange, which goes up on purpose."""
    value, before = run.value_of(parameter), run.value_of(slope)
    # Not the same for all, for that may not matter, as to a softmax.
    far = 0.3 * max(float(np.abs(value).max()), 0.3) * np.cos(np.arange(value.size)).reshape(value.shape)
    (after,) = run.after({parameter: np.asarray(value + far, value.dtype)}, [slope])
    return not changed(before, after).any()


def _of_decay(run: Evaluation, given: Mapping[Node, Array], mirrored: Mapping[Node, Array]) -> Iterator[Finding]:
    """Look whether updates make parameters grow or shrink, as what they would be for the opposite ones shows."""
    grows, shrinks = {}, {}
    for p, after in mirrored.items():
        value, following = run.value_of(p).astype(np.float64), run.value_of(run.updates[p])
        if not value.any():
            continue
        # A step that is far larger than the parameter is rounded by as much as that.
        far = float(np.abs(following).max()) / float(np.abs(value).max())
        few = 8 * float(limits(following.dtype).eps) * (1 + far)
        share = _share(0.5 * (following.astype(np.float64) - after), value)
        if share > 1 + few:
            grows[p] = share
        elif share < 1 - MUCH_DECAY - few:
            shrinks[p] = share
    _only_proportional(run, given, grows)
    _only_proportional(run, given, shrinks)
    for found, each, does in ((grows, uphill, "makes {} grow by {} %"), (shrinks, decays, "makes {} smaller by {} %")):
        if found:
            first, *others = found
            node, percent = run.updates[first], rounded(100 * abs(found[first] - 1))
            cause = f"{node.name}{at_line(node)} {does.format(first.name, percent)} of itself in each step"
            remedy = _DECAY if each is uphill else decays.remedy
            yield each.of(node, f"{cause}, whatever its gradient is{same_in(others)}", remedy=remedy)


decays = declare(
    "strong-decay",
    "decay takes so much of a parameter in each step that hardly anything is left after some",
    "lower weight_decay: in each step it takes weight_decay times the learning rate, and 1e-4 of it is much",
)


def _only_proportional(run: Evaluation, given: Mapping[Node, Array], shares: dict[Node, float]) -> None:
    """Leave only parameters of which the step takes the same share from 0 on: what a clip bounds is not in decay."""
    if not shares:
        return
    try:
        zeros = {p: np.zeros_like(run.value_of(p)) for p in shares}
        after = run.after({**given, **zeros}, [run.updates[p] for p in shares])
    except CannotTry:
        shares.clear()
        return
    for p, low in zip(list(shares), after, strict=True):
        value, following = run.value_of(p).astype(np.float64), run.value_of(run.updates[p])
        share = _share(following.astype(np.float64) - low, value)
        if abs(share - shares[p]) > 1e-2 * abs(shares[p] - 1) + 1e-6:
            del shares[p]


def _share(vector: Array, along: Array) -> float:
    """Return the factor of one vector in another: the projection."""
    return float(np.vdot(along, vector)) / max(float(np.vdot(along, along)), np.finfo(float).tiny)


def _of_ascent(run: Evaluation, wrong: list[Node], slopes: Mapping[Node, Node], severity: str) -> Finding:
    """Return the finding; a note for what is below 0, as a log-likelihood that is to be made larger."""
    losses = run.part(Training).losses_of(wrong)
    loss = listed(losses) or "the loss"
    first, *others = wrong
    node = run.updates[first]
    count = f", and {listed(others)} likewise" if others else ""
    which = "all parameters" if len(wrong) == len(slopes) > 1 else f"{first.name}{count}"
    cause = (
        f"{node.name}{at_line(node)} adds the gradient of {loss} to {first.name}, where descent subtracts it: the step "
        f"takes {which} uphill"
    )
    return uphill.of(node, cause, severity=severity)


_NEVER_BELOW_0 = frozenset(
    {"categorical_crossentropy", "softmax_crossentropy", "binary_crossentropy", "sigmoid_crossentropy"}
    | {"mean_squared_error", "mean_absolute_error", "huber", "smooth_l1", "hinge"}
)


def _negated(run: Evaluation) -> Iterator[Finding]:
    """Look whether what is made smaller is minus a loss, which then grows."""
    needed = run.ancestors(run.updates[parameter] for parameter in run.updates)
    asked = {node for given in run.graph.cotangents for node, _ in given}
    for given, derived in run.graph.cotangents.items():
        # What is trained need not be computed: its gradient does not depend on it.
        result = given[0][0]
        if result.op.name != "negative" or not any(derived.of.get(p) in needed for p in run.updates):
            continue
        (loss,) = result.inputs
        scope = run.graph.scopes.get(loss.scope)
        if loss not in asked and run.places.get(loss) in run.fetches and scope and scope.kind in _NEVER_BELOW_0:
            cause = (
                f"the step makes {result.name}{at_line(result)} smaller, which is minus "
                f"{loss.name}{at_line(loss)}: that loss grows, uphill"
            )
            yield uphill.of(result, cause, remedy=f"train {loss.name} itself: nn.SGD(0.1).updates(loss)")
            return


not_updated = declare(
    "not-updated",
    "a parameter that the loss depends on is not updated, while others are",
    "give it an update, too: updates[parameter] = …; or make it with trainable=False, if it should stay as it is",
)


@check(
    "partly-updated",
    "some parameters of the model are updated and others are not, as when a backbone is frozen",
    "nothing to do, if they should stay as they are",
)
def partly_updated(run: Evaluation) -> Iterator[Finding]:
    """Look for parameters that a loss passes a gradient to and that no step updates, while it updates others."""
    updated = {p for p in run.updates if p.trainable}
    elsewhere = set(run.graph.updates)
    losses = run.part(Training).losses_of(updated) if updated else {}
    reached = _reached(run, losses)
    left = [p for p in run.order if p.trainable and p in reached and p not in updated and p not in elsewhere]
    if not left or run.failure is not None:
        return
    asked = {p for given, derived in run.graph.cotangents.items() if given[0][0] in losses for p in derived.of}
    scopes = {p.scope for p in updated if p.scope}
    few = 3 * len(left) <= len(updated)
    forgotten = [p for p in left if p in asked or p.scope in scopes or (few and _is_between(run, p, updated))]
    for group, each in ((forgotten, not_updated), ([p for p in left if p not in forgotten], partly_updated)):
        if group:
            first = group[0]
            has = "gets a gradient and no update" if first in asked else "is part of the loss and gets no update"
            others = listed(p for p in run.order if p in updated)
            cause = f"{first.name}{at_line(first)} {has}, while the step updates {others}"
            severity = "warning" if each is not_updated and len(group) < len(updated) else "note"
            yield each.of(first, cause + same_in(group[1:]), severity=severity)


def _is_between(run: Evaluation, parameter: Node, updated: set[Node]) -> bool:
    """Return whether a parameter meets what updated ones make, and others follow: it is no body that stays as it is."""
    readers = run.readers(parameter)
    after = dependents(list(run.forward_nodes), readers)
    follows = any(not after.isdisjoint(run.readers(p)) and p not in run.ancestors(readers) for p in updated)
    return follows and not updated.isdisjoint(run.ancestors(readers))


def _reached(run: Evaluation, losses: Mapping[Node, float]) -> set[Node]:
    """Return what losses pass a gradient to."""
    found = set(losses)
    for node in reversed(run.forward_nodes):
        if node in found and node.op.differentiable:
            found |= {operand for i, operand in enumerate(node.inputs) if node.op.flows(i)}
    return found
