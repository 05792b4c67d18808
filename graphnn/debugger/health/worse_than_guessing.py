"""Losses far above that of a network that guesses, and where the numbers grow that make them so."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..traces import norm_of
from .attention_weights import factors_of
from .check_registry import check
from .evaluation import CannotTry, Evaluation, dependents
from .findings import at_line, rounded
from .node_roles import Roles
from .training_facts import LARGE_DATA, LEARNT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...core import Node
    from .findings import Finding

FAR_ABOVE = 10.0
"""A loss is far above that of guessing if it is more than so many times as large."""
GROWS = 3.0
"""Numbers grow in a product if its root mean square is so many times that of what it multiplies."""


@check(
    "worse-than-guessing",
    "a loss is more than ten times that of a network whose outputs are all 0, which only guesses",
    "use smaller initial weights there, such as those of nn.init.he_normal or nn.init.glorot_uniform",
)
def worse_than_guessing(run: Evaluation) -> Iterator[Finding]:
    """Look whether a loss is far above what it would be if all outputs of the network were 0."""
    roles = run.part(Roles)
    losses = {node: value for node, value in roles.losses.items() if math.isfinite(value) and value > LEARNT}
    if roles.outputs and roles.losses and all(0 <= value <= LEARNT for value in roles.losses.values()):
        run.checked["loss beside guessing"] = "it is 0"
        return
    if not roles.outputs or not losses or run.failure is not None:
        if roles.outputs and roles.losses:
            finite = all(map(math.isfinite, roles.losses.values()))
            run.unchecked["loss beside guessing"] = "the loss may be below 0" if finite else "the loss is not finite"
        return
    zeros = {node: np.zeros_like(run.value_of(node)) for node in _predictions(run)}
    try:
        guessed = [float(value) for value in run.after(zeros, list(losses))]
    except CannotTry as error:
        run.unchecked["loss beside guessing"] = error.reason
        return
    if not any(math.isfinite(guess) and guess > LEARNT for guess in guessed):
        run.unchecked["loss beside guessing"] = "the loss of outputs that are 0 is not above 0"
        return
    run.checked["loss beside guessing"] = ""
    for (loss, value), guess in zip(losses.items(), guessed, strict=True):
        if math.isfinite(guess) and guess > LEARNT and value > FAR_ABOVE * guess:
            node, why, remedy = _grown_in(run)
            cause = (
                f"{loss.name}{at_line(loss)} = {rounded(value)}, and would be {rounded(guess)} if the network's "
                f"outputs were all 0; {why}"
            )
            severity = "note" if node is None else "warning"
            yield worse_than_guessing.of(loss if node is None else node, cause, severity=severity, remedy=remedy)
            return


def _predictions(run: Evaluation) -> list[Node]:
    """Return the outputs of the network; or the sum, if they are added to data, as to a state for the next one."""
    roles = run.part(Roles)
    mades = list(dict.fromkeys(each.made for each in roles.meetings))
    between = dependents(run.order, roles.outputs).difference(roles.outputs) & run.ancestors(mades).keys()
    added = any(each in run.fed and each not in roles.made for node in between for each in node.inputs)
    return mades if added else roles.outputs


def _grown_in(run: Evaluation) -> tuple[Node | None, str, str]:
    """Return where the numbers of the forward pass grow most, in words, and what to do about it."""
    roles, most, worst = run.part(Roles), GROWS, None
    for node in roles.region:
        factors = factors_of(run, place := run.places[node])
        weights = [each for each in factors if run.order[each] not in run.fed and run.order[each] in roles.trained]
        data = [each for each in factors if run.order[each] in run.fed]
        if len(weights) != 1 or len(data) != 1:
            continue
        before, after = (_size_of(run, each) for each in (data[0], place))
        if before and after > most * before:
            most, worst = after / before, (node, run.order[weights[0]], before, after)
    fed = [element for node in roles.read if (element := run.largest_in(node)) is not None]
    largest = max(fed, key=lambda each: abs(each.value), default=None)
    if largest is not None and abs(largest.value) > LARGE_DATA and (worst is None or abs(largest.value) > most**2):
        scaled = f"scale {largest.node.name} to about 1, as by (x - x.mean(axis=0)) / x.std(axis=0)"
        return largest.node, f"the input is large: {largest}{at_line(largest.node)}", scaled
    if worst is None:
        return None, "the outputs are far from the labels", "scale the labels to about 1, or lower the learning rate"
    node, weight, before, after = worst
    grown = f"from {rounded(before)} to {rounded(after)} (RMS)"
    of = f"the weights {weight.name}{at_line(weight)}" if weight.trainable else weight.name
    why = f"numbers grow {rounded(most)} times in {node.name}{at_line(node)}, {grown}, by {of}"
    return node, why, worse_than_guessing.remedy


def _size_of(run: Evaluation, place: int) -> float:
    """Return the root mean square of a value."""
    value = run.values[place]
    return norm_of(value) / math.sqrt(value.size) if value.size else 0.0
