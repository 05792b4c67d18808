"""Values that a loss takes for something else: logits, probabilities, labels, or targets that are out of reach."""

from __future__ import annotations

import math
from functools import cached_property
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from ...core import Array, Node, Trait, is_float
from .check_registry import check, declare
from .evaluation import CannotTry, Evaluation, dependents, only_moves
from .findings import Finding, and_more, at_line, first_of, rounded
from .node_roles import Roles, sums_to_one
from .numeric_hazards import ABOUT_ONE

if TYPE_CHECKING:
    from collections.abc import Iterator

ABOUT_TARGETS = 0.1
"""The probabilities of labels may sum to 1 within this."""
FAR_TARGETS, MANY_TARGETS, MOST_TARGETS = 0.1, 0.1, 0.25
"""Targets may lie this far outside a range, and this share of them may; the last is the share for a half-open range."""
REMEDIES = {
    "categorical_crossentropy": "use nn.softmax_crossentropy(logits, labels), which takes logits",
    "binary_crossentropy": "use nn.sigmoid_crossentropy(logits, labels), which takes logits",
    "softmax_crossentropy": "pass the logits, the input of the {}, or use nn.categorical_crossentropy",
    "sigmoid_crossentropy": "pass the logits, the input of the {}, or use nn.binary_crossentropy",
    "log_softmax": "pass the logits, the input of the {}: log_softmax includes a softmax",
    "softmax": "use one {} only: a second makes all probabilities nearly equal, and the network hardly learns",
    "sigmoid": "use one {} only: a second makes all probabilities at least 0.5, and the network hardly learns",
}
TARGETS = "check the labels: classes that count from 1, or -1 and 1, are not probabilities"
ONE_CLASS = "use nn.sigmoid_crossentropy(logits, labels) for several classes at once; else make each row sum to 1"
SUM_TO_ONE = "use gn.softmax(logits), which runs over the last axis: that of the classes"
_READS_FIRST = {
    "categorical_crossentropy": "clip",
    "binary_crossentropy": "clip",
    "softmax_crossentropy": "max",
    "sigmoid_crossentropy": "softplus",
    "log_softmax": "max",
}
"""The first operation that each cross-entropy, and log_softmax, applies to its input."""


@check("not-probabilities", "a cross-entropy of probabilities is given numbers that are not probabilities")
def not_probabilities(run: Evaluation) -> Iterator[Finding]:
    """Look at the input of each cross-entropy, and of each logarithm."""
    losses = run.part(Losses)
    for place, _ in run.forward:
        losses.look_at(place)
    losses.look_at_softmaxes()
    losses.look_at_likelihoods()
    yield from losses.found


logits_expected = declare(
    "probabilities-as-logits",
    "a cross-entropy that includes a softmax or sigmoid is given the output of one; or two softmaxes or sigmoids "
    "follow each other before a loss",
)
LIKELIHOOD = "use nn.softmax_crossentropy(logits, labels), or gn.log_softmax(logits) first"
not_logarithms = declare(
    "not-log-probabilities",
    "a log-likelihood is taken of probabilities or of logits, not of logarithms of probabilities",
    LIKELIHOOD,
)
unlikely = declare(
    "likelihood-falls",
    "a loss is the log-likelihood of the labels, and training makes it smaller",
    "the loss is minus the log-likelihood: -gn.mean(gn.pick(gn.log_softmax(logits), labels))",
)
softmax_of_one = declare(
    "softmax-of-one",
    "a softmax over a single number, which is always 1",
    "use one output for each class, or nn.sigmoid_crossentropy with a single output",
)


@check("out-of-reach", "targets lie outside the range of the network's last function")
def out_of_reach(run: Evaluation) -> Iterator[Finding]:
    """Look for targets that the values they are compared with can never reach."""
    losses, trained = run.part(Losses), run.part(Roles).trained
    for place, _ in run.forward:
        node = run.order[place]
        if -1 not in node.op.signs or not _is_a_loss(run, node):
            continue
        for targets, made in permutations(map(losses.source, run.inputs[place])):
            op, value = run.order[made].op, run.values[targets]
            last = losses.squashed_by(made) or op.name
            bounds = (0, 1) if last == "softmax" else op.bounds
            if run.order[made] not in trained or bounds is None or value.dtype.kind not in "iuf":
                continue
            if run.order[targets] in trained or run.order[targets].op.is_constant or not value.size:
                continue
            low, high = bounds
            outside = np.isfinite(value) & ((value < low - FAR_TARGETS) | (value > high + FAR_TARGETS))
            share = MANY_TARGETS if math.isfinite(high) else MOST_TARGETS
            if np.count_nonzero(outside) > share * value.size:
                what = f"{run.element(targets, first_of(outside))}{and_more(outside)}"
                gives = f"values from {low:g} to {high:g}" if math.isfinite(high) else f"values of at least {low:g}"
                cause = f"the target {what} is out of reach: {last}{at_line(run.order[made])} only gives {gives}"
                remedy = f"scale the targets into that range, or leave out the last {last}"
                yield out_of_reach.at(run, targets, outside, cause, remedy=remedy)
                break


def _is_a_loss(run: Evaluation, difference: Node) -> bool:
    """Return whether a difference is squared, or its absolute value taken, and all of that is added up."""
    misses = run.readers(difference)
    squares = [each for each in misses if each.op.name in ("square", "absolute") or set(each.inputs) == {difference}]
    return bool(squares) and len(squares) == len(misses) and all(_is_added_up(run, each) for each in squares)


def _is_added_up(run: Evaluation, node: Node) -> bool:
    """Return whether all of a value is added up to one number, perhaps with weights."""
    while node.shape:
        users = run.readers(node)
        if users and all(not user.shape for user in users):
            return True
        if len(users) != 1 or not users[0].op.traits & (Trait.ADDS_UP | Trait.SCALES):
            return False
        node = users[0]
    return True


class Losses:
    """The cross-entropies of a run, and what was found about them."""

    def __init__(self, run: Evaluation) -> None:
        self.run = run
        self.found: list[Finding] = []
        self._chosen_from: dict[int, int] = {}

    @cached_property
    def _read_by_scope(self) -> dict[str, dict[int, None]]:
        """The places outside of each scope that its nodes read."""
        found: dict[str, dict[int, None]] = {}
        for place, node in enumerate(self.run.order):
            for source in self.run.inputs[place]:
                if self.run.order[source].scope != node.scope:
                    found.setdefault(node.scope, {})[source] = None
        return found

    def look_at(self, place: int) -> None:
        """Look whether a node reads the input of a cross-entropy, or takes a logarithm of probabilities."""
        run, node = self.run, self.run.order[place]
        name, kind = node.op.name, run.kind_of_scope(node)
        if kind not in _READS_FIRST:
            if name == "log":
                self._of_squashed_twice(self._choice_of(run.inputs[place][0]))
            elif name == "pick":
                self._of_picked(place)
        elif name == _READS_FIRST[kind]:
            source = run.inputs[place][0]
            while run.order[source].scope == node.scope and run.order[source].op.name in ("cast", "negative"):
                source = run.inputs[source][0]
            self._of_targets(source, node.scope, kind)
            x = run.values[source]
            # The sigmoid of a loss is read in two places.
            known = any(each.code != softmax_of_one.code and each.node is run.order[source] for each in self.found)
            if x is not None and is_float(x.dtype) and x.ndim and x.size and not known:
                look = self._of_probabilities if _READS_FIRST[kind] == "clip" else self._of_logits
                look(source, x, kind)

    def look_at_softmaxes(self) -> None:
        """Look for softmaxes, however written, of what is the result of one already: the values show it."""
        run, made = self.run, self.run.part(Roles).made
        for logits, axis, node in self._softmaxes():
            x, shape = run.values[logits], run.order[logits].shape
            if x.size > x.shape[axis] == 1 and isinstance(shape[axis], int):
                known = {each.node for each in self.found if each.code == softmax_of_one.code}
                if known.isdisjoint({*run.ancestors([node]), *dependents(run.order, [node])}):
                    cause = f"{node.name}{at_line(node)} takes a softmax of single numbers, which is always 1"
                    self.found.append(softmax_of_one.of(node, cause))
            elif x.shape[axis] > 1 and run.order[logits] in made and sums_to_one(x, axis):
                self._of_rows(self.source(logits), node)

    def _softmaxes(self) -> Iterator[tuple[int, int, Node]]:
        """Yield the place of what each softmax, or its logarithm, is taken of, the axis, and a node of it."""
        run = self.run
        for place, value in run.forward:
            node, (logits, *_) = run.order[place], run.inputs[place] or (place,)
            sums = [node] if node.op.name == "logsumexp" else []
            if node.op.name == "exp":
                sums = [each for each in run.readers(node) if each.op.name == "sum" and self._divides(node, each)]
                if -1 in run.order[logits].op.signs and run.values[run.inputs[logits][0]].shape == value.shape:
                    logits = run.inputs[logits][0]
            for each in sums:
                over = run.op(run.places[each]).over(run.values[logits].ndim)  # type: ignore[attr-defined]
                if len(over) == 1 and node in run.part(Roles).made:
                    yield logits, over[0], node

    def _of_rows(self, place: int, softmax: Node) -> None:
        """Tell that a softmax, or its logarithm, is taken of probabilities."""
        run, x, made = self.run, self.run.values[place], self.run.order[place]
        twice = [each.node for each in self.found if each.code == logits_expected.code]
        known = {*twice, *[run.order[self.source(run.places[node])] for node in twice]}
        if not np.isin(x, (0, 1)).all() and made not in known:
            cause = (
                f"{made.name}{at_line(made)} holds probabilities, as each row sums to 1, but "
                f"{softmax.name}{at_line(softmax)} takes a softmax of them"
            )
            remedy = REMEDIES["softmax"].format("softmax")
            self.found.append(logits_expected.at(run, place, np.ones(x.shape, bool), cause, remedy=remedy))

    def _divides(self, exp: Node, total: Node) -> bool:
        """Return whether exponentials are divided by their sum, or the logarithm of the sum is taken."""
        users = [total, *self.run.readers(total)]
        return any(
            user.op.name == "log" or (-1 in user.op.powers and user.inputs[0] is exp)
            for each in users
            for user in self.run.readers(each)
        )

    def look_at_likelihoods(self) -> None:
        """Look whether what a loss takes at the labels, as it is, holds logarithms of probabilities."""
        run, roles = self.run, self.run.part(Roles)
        for meeting in roles.meetings:
            made, x = meeting.made, run.value_of(meeting.made)
            chosen = (
                meeting.node.op.name in ("pick", "take_along_axis") or x.shape == run.value_of(meeting.labels).shape
            )
            if not chosen or -1 in meeting.node.op.signs or x.ndim < 2 or x.shape[-1] < 2 or not is_float(x.dtype):
                continue
            if (x <= 0).all() and sums_to_one(np.exp(x), -1):
                if self._falls_with(made):
                    cause = (
                        f"the loss grows with {made.name}{at_line(made)}, the logarithms of probabilities, at the "
                        "labels: a step makes what should be likely less so"
                    )
                    self.found.append(unlikely.of(made, cause))
                continue
            if any(each.node in (made, run.order[self.source(run.places[made])]) for each in self.found):
                continue
            if any(user.op.name in ("log", "clip") for user in run.readers(meeting.node)):
                continue
            losses = [node for node in roles.losses if node in dependents(run.order, [meeting.node])]
            if not losses or run.failure is not None:
                continue
            try:
                once, twice = (
                    float(run.after({made: x + step}, losses[:1])[0]) - roles.losses[losses[0]] for step in (0.5, 1.0)
                )
            except CannotTry:
                return
            # Of logarithms of probabilities, a loss is minus those at the labels: it falls by as much as they rise.
            enough = 1e-6 * (1 + abs(roles.losses[losses[0]]))  # a loss that does not depend on it is rounded otherwise
            if once < -enough and abs(twice - 2 * once) <= 1e-4 * abs(twice):
                probable = sums_to_one(x, -1)
                what = "probabilities, as each row sums to 1" if probable else "numbers that are no logarithms of them"
                cause = (
                    f"{meeting.node.name}{at_line(meeting.node)} takes {made.name}{at_line(made)} at the labels as the "
                    f"logarithms of probabilities, but it holds {what}"
                )
                remedy = LIKELIHOOD if not probable else f"take their logarithm, or {LIKELIHOOD}"
                about = {"index": (0,) * x.ndim, "value": x.flat[0].item(), "remedy": remedy}
                self.found.append(not_logarithms.of(made, cause, **about))

    def _falls_with(self, made: Node) -> bool:
        """Return whether a loss grows with the logarithms of probabilities at the labels, for each by the same."""
        for derived in self.run.graph.cotangents.values():
            slope = derived.of.get(made)
            if slope is not None and slope in self.run.places and (x := self.run.value_of(slope)) is not None:
                reached = x[x != 0]
                rows = x.size // x.shape[-1]
                return bool(reached.size == rows > 1 and reached.min() > 0 and np.ptp(reached) <= 1e-6 * reached.max())
        return False

    def _choice_of(self, place: int) -> int:
        """Return where a value comes from of which elements were only chosen."""
        way = [place]
        while Trait.CHOOSES in self.run.order[way[-1]].op.traits and way[-1] not in self._chosen_from:
            way.append(self.run.inputs[way[-1]][0])
        chosen_from = self._chosen_from.get(way[-1], way[-1])
        self._chosen_from.update(dict.fromkeys(way, chosen_from))
        return chosen_from

    def _of_picked(self, place: int) -> None:
        """Look whether one of each row is picked where the columns sum to 1."""
        run, source = self.run, self.run.inputs[place][0]
        chosen, x = run.order[source], run.values[source]
        if not is_float(x.dtype) or x.ndim != 2 or isinstance(chosen.shape[1], str) or min(x.shape) < 2:
            return
        exp = "exp of " if (x <= 0).all() else ""
        x = np.exp(x) if exp else x  # of log_softmax, or a log
        down, across = (np.abs(x.sum(axis=axis, dtype=np.float64) - 1) for axis in (0, 1))
        off = across > ABOUT_ONE
        if (x >= 0).all() and (down <= ABOUT_ONE).all() and off.any():
            row = _sum_of(chosen, off, x.sum(axis=1))
            cause = f"{exp}{row} and each column to 1, but {run.order[place].name} picks one element of each row"
            which = np.broadcast_to(off[:, None], x.shape)
            self.found.append(not_probabilities.at(run, source, which, cause, remedy=SUM_TO_ONE))

    def _of_targets(self, source: int, scope: str, kind: str) -> None:
        """Look whether the labels that are fed to a cross-entropy are probabilities."""
        run, shape = self.run, self.run.order[source].shape
        for place in self._read_by_scope.get(scope, ()):
            node, targets = run.order[place], run.values[place]
            if place == source or not node.op.is_placeholder or node.shape != shape or not shape:
                continue
            if any(each.code == not_probabilities.code and each.node is node for each in self.found):
                continue
            wide = targets.astype(np.float64)
            wrong = np.isfinite(wide) & ((wide < -ABOUT_ONE) | (wide > 1 + ABOUT_ONE))
            sums = wide.sum(axis=-1)
            off = _off(sums, ABOUT_TARGETS)
            what, remedy = f"{run.element(place, first_of(wrong))}" if wrong.any() else "", TARGETS
            if not what and kind in ("categorical_crossentropy", "softmax_crossentropy") and off.any():
                what = _sum_of(node, off, sums)
                wrong, remedy = np.broadcast_to(off[..., None], wide.shape), ONE_CLASS
            if what:
                cause = f"{what}, but the targets of {kind} are probabilities"
                self.found.append(not_probabilities.at(run, place, wrong, cause, remedy=remedy))

    def _of_logits(self, place: int, x: Array, kind: str) -> None:
        """Look whether what takes logits is given probabilities."""
        made, node = self.squashed_by(place), self.run.order[place]
        if kind == "softmax_crossentropy" and node.shape[-1] == 1:
            cause = f"{node.name}{at_line(node)} has one number per row, and the softmax of one number is always 1"
            self.found.append(softmax_of_one.of(node, cause))
        elif made:
            cause = f"{node.name}{at_line(node)} holds probabilities, the output of a {made}, but {kind} takes logits"
            every = np.ones(x.shape, bool)
            remedy = REMEDIES[kind].format(made)
            self.found.append(logits_expected.at(self.run, place, every, cause, remedy=remedy))

    def _of_probabilities(self, place: int, x: Array, kind: str) -> None:
        """Look whether what takes probabilities is given others numbers."""
        made = self.run.order[self.source(place)]
        if self.run.is_softmax(made) and made.shape[-1] == 1:
            cause = f"{made.name}{at_line(made)} is the softmax of a single number, which is always 1"
            self.found.append(softmax_of_one.of(made, cause))
            return
        remedy, takes = REMEDIES[kind], "probabilities"
        most = 1 + ABOUT_ONE if kind == "binary_crossentropy" else np.inf
        wrong = np.isfinite(x) & ((x < -ABOUT_ONE) | (x > most))
        sums = np.asarray(x.sum(axis=-1, dtype=np.float64))
        off = _off(sums, ABOUT_ONE)
        if wrong.any():
            what = f"{self.run.element(place, first_of(wrong))}{and_more(wrong)}"
        elif kind == "categorical_crossentropy" and off.any():
            what, takes = _sum_of(self.run.order[place], off, sums), "probabilities, which sum to 1"
            wrong, remedy = np.broadcast_to(off[..., None], x.shape), SUM_TO_ONE
        else:
            self._of_squashed_twice(place)
            return
        cause = f"{what}, but {kind} takes {takes}"
        self.found.append(not_probabilities.at(self.run, place, wrong, cause, remedy=remedy))

    def _of_squashed_twice(self, place: int) -> None:
        """Look whether probabilities are the softmax, or sigmoid, of probabilities."""
        made, inputs = self.squashed_by(place), self.run.inputs
        if not made:
            return
        logits = inputs[self.source(place)][0]
        if made == "softmax":
            shifted = inputs[logits][0]
            logits = inputs[shifted][0] if -1 in self.run.order[shifted].op.signs else shifted
        if self.squashed_by(logits) == made:
            self._of_logits(logits, self.run.values[logits], made)

    def source(self, place: int) -> int:
        """Return where a value was computed that was only moved or cast since."""
        run = self.run
        while (only_moves(run.op(place)) or run.op(place).casts) and len(run.inputs[place]) == 1:
            place = run.inputs[place][0]
        return place

    def squashed_by(self, place: int) -> str:
        """Return "softmax" or "sigmoid" if a value is known to be the result of one, else ""."""
        place = self.source(place)
        node, value = self.run.order[place], self.run.values[place]
        if node.op.name == "sigmoid":
            return "sigmoid"
        if -1 not in node.op.powers or node.inputs[0].op.name != "exp":
            return ""
        if not value.size or not value.ndim or value.shape[-1] == 1:
            return ""  # not probabilities of several classes
        return "softmax" if (np.abs(value.sum(axis=-1, dtype=np.float64) - 1) <= ABOUT_ONE).all() else ""


def _off(sums: Array, most: float) -> Array:
    """Return which sums of probabilities are not 1. A row of padding sums to 0."""
    return np.asarray(np.isfinite(sums) & (np.abs(sums - 1) > most) & (sums != 0))


def _sum_of(node: Node, which: Array, sums: Array) -> str:
    """Return what the first of some rows sums to."""
    index = first_of(which)
    return f"{node.name}[{', '.join([*map(str, index), ':'])}]{at_line(node)} sums to {rounded(float(sums[index]))}"
