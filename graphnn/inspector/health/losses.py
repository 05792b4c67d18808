"""Sound numbers that are not what a loss takes them for: logits, probabilities, labels, targets out of reach."""

from __future__ import annotations

import math
from functools import cached_property
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from ...graph import Constant, Placeholder, Trait
from .checks import check, declare
from .evaluation import made_of, only_passes_on
from .findings import at_line, first_of, of_many, said
from .hazards import ABOUT_ONE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...graph import Array, Node
    from .evaluation import Evaluation
    from .findings import Finding

ABOUT_TARGETS = 0.1
"""How far from 1 the probabilities of labels may sum up to."""
MANY_LABELS = 8
"""How many labels there must be, and not all the same, before it says something that they equal what is fed."""
FAR_TARGETS, MANY_TARGETS, MOST_TARGETS = 0.1, 0.1, 0.5
"""How far outside of that targets may lie, and what share of them; of a range without end, which is often a guess."""
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
SUM_TO_ONE = "gn.softmax(logits) is over the last axis, that of the classes"
_READS_FIRST = {
    "categorical_crossentropy": "clip",
    "binary_crossentropy": "clip",
    "softmax_crossentropy": "max",
    "sigmoid_crossentropy": "softplus",
    "log_softmax": "max",
}
"""The operation by which a cross-entropy, or a log_softmax, reads what it is given first."""


@check(
    "not-probabilities",
    "a cross-entropy of probabilities is given numbers that are not probabilities",
)
def not_probabilities(run: Evaluation) -> Iterator[Finding]:
    """Look at what each cross-entropy, and each logarithm, is given."""
    losses = run.part(Losses)
    for place, _ in run.forward:
        losses.of_loss(place)
        losses.of_loss_by_hand(place)
    yield from losses.found


@check(
    "out-of-reach",
    "targets lie outside of what the last function of a network can give",
)
def out_of_reach(run: Evaluation) -> Iterator[Finding]:
    """Look whether targets lie where what they are compared with never comes."""
    for place, _ in run.forward:
        if run.order[place].op.name == "subtract":
            yield from run.part(Losses).of_reach(place)


@check(
    "labels-are-inputs",
    "the labels of a loss are what the network is fed, or a column of that",
    "feed the labels, and take them out of what is fed to the network; where a network is to give its input "
    "again, one placeholder for both says so",
)
def labels_are_inputs(run: Evaluation) -> Iterator[Finding]:
    """Look whether labels equal what the network is fed, or a column of that."""
    if run.failure is None:
        yield from run.part(Losses).of_labels()


logits_expected = declare(
    "probabilities-as-logits",
    "a cross-entropy with a softmax or sigmoid of its own is given what comes out of one; or two softmaxes, or "
    "sigmoids, stand one after the other before a loss",
)
softmax_of_one = declare(
    "softmax-of-one",
    "a softmax over a single number, which is always 1",
    "a layer with one output for each class; or nn.sigmoid_crossentropy of a single one",
)


class Losses:
    """The cross-entropies of a run, and what was found of them."""

    def __init__(self, run: Evaluation) -> None:
        self.run = run
        self.found: list[Finding] = []
        self._chosen_from: dict[int, int] = {}

    def of_loss(self, place: int) -> None:
        """Look whether a cross-entropy is given probabilities where it takes logits, or the other way round."""
        run, node = self.run, self.run.order[place]
        scope = run.graph.scopes.get(node.scope)
        kind = scope.kind if scope is not None else ""
        if node.op.name != _READS_FIRST.get(kind):
            return
        source = run.inputs[place][0]
        while run.order[source].scope == node.scope and run.order[source].op.name in ("cast", "negative"):
            source = run.inputs[source][0]
        x = run.values[source]
        self._of_targets(source, node.scope, kind)
        if x is None or x.dtype.kind != "f" or not x.ndim or not x.size:
            return
        if any(each.code != softmax_of_one.code and each.node is run.order[source] for each in self.found):
            return  # such as a sigmoid's, which is read in two places
        if kind in ("softmax_crossentropy", "sigmoid_crossentropy", "log_softmax"):
            self._of_logits(source, x, kind)
        else:
            self._of_probabilities(source, x, kind)

    def of_loss_by_hand(self, place: int) -> None:
        """Look whether the logarithm of probabilities is taken that are squashed twice, or along the wrong axis."""
        run, node = self.run, self.run.order[place]
        scope = run.graph.scopes.get(node.scope)
        if scope is not None and scope.kind in _READS_FIRST:
            return
        source = run.inputs[place][0] if node.op.name in ("log", "pick") else place
        if node.op.name == "log":
            way = [source]
            while Trait.CHOOSES in run.order[way[-1]].op.traits and way[-1] not in self._chosen_from:
                way.append(run.inputs[way[-1]][0])
            chosen_from = self._chosen_from.get(way[-1], way[-1])
            self._chosen_from.update(dict.fromkeys(way, chosen_from))
            self._of_squashed_twice(chosen_from)
        elif node.op.name == "pick":
            chosen, x = run.order[source], run.values[source]
            if x.dtype.kind != "f" or x.ndim != 2 or isinstance(chosen.shape[1], str) or x.shape[0] < 2:
                return
            if (x <= 0).all():
                x = np.exp(x)  # of log_softmax, or a log
            down, across = (np.abs(x.sum(axis=axis, dtype=np.float64) - 1) for axis in (0, 1))
            if (x >= 0).all() and (down <= ABOUT_ONE).all() and (across > ABOUT_ONE).any() and x.shape[1] > 1:
                off = across > ABOUT_ONE
                exp = "" if x is run.values[source] else "exp of "
                told = f"{exp}{_sum_of(chosen, off, x.sum(axis=1))}"
                cause = f"{told}, and each column to 1; {node.name} picks one of a row"
                which = np.broadcast_to(off[:, None], x.shape)
                self.found.append(not_probabilities.at(run, source, which, cause, remedy=SUM_TO_ONE))

    def of_reach(self, place: int) -> Iterator[Finding]:
        """Look whether one difference is of targets that what they are compared with never comes to."""
        run, node = self.run, self.run.order[place]
        if not self._is_a_loss(node):
            return
        for targets, made in permutations(map(self._source, run.inputs[place])):
            last, value = self._squashed_by(made) or run.order[made].op.name, run.values[targets]
            bounds = (0, 1) if last == "softmax" else run.order[made].op.bounds
            if run.order[made] not in self._trained or bounds is None or value.dtype.kind not in "iuf":
                continue
            if run.order[targets] in self._trained or isinstance(run.order[targets].op, Constant) or not value.size:
                continue
            low, high = bounds
            outside = np.isfinite(value) & ((value < low - FAR_TARGETS) | (value > high + FAR_TARGETS))
            share = MANY_TARGETS if math.isfinite(high) else MOST_TARGETS
            if np.count_nonzero(outside) > share * value.size:
                what = f"{run.element(targets, first_of(outside))}{of_many(outside)}"
                gives = f"{low:g} to {high:g}" if math.isfinite(high) else f"nothing below {low:g}"
                cause = f"{what}, and {last}{at_line(run.order[made])} gives {gives}"
                remedy = f"scale the targets into that range, or leave out the last {last}"
                yield out_of_reach.at(run, targets, outside, cause, remedy=remedy)
                return

    def of_labels(self) -> Iterator[Finding]:
        """Look for the first labels that are so."""
        met = self.run.met_by_parameters
        run, given = self.run, self.run.prepared.program.placeholders
        fed = [node for node in given if node.ndim and run.values[run.places[node]].dtype.kind != "b"]
        inputs = [node for node in fed if node in met]
        for labels in fed:
            if labels in met or self._trained.isdisjoint(
                user for each in self._only_moved(labels) for user in each.users
            ):
                continue
            told = next((told for node in inputs if (told := self._equal(labels, node))), "")
            if told:
                which = np.ones(run.values[run.places[labels]].shape, bool)
                cause = f"{labels.name}{at_line(labels)}, which the loss compares with, equals {told}"
                yield labels_are_inputs.at(run, run.places[labels], which, cause)
                return

    def _only_moved(self, node: Node) -> list[Node]:
        """Return a node and what is made of it and constants alone."""
        made = made_of(self.run.order, {node})
        return [each for each in made if each not in self._trained]

    def _equal(self, labels: Node, node: Node) -> str:
        """Return what of a fed input some labels are the same as; "" if nothing is, or it may be meant."""
        run = self.run
        wanted, given = run.values[run.places[labels]], run.values[run.places[node]]
        if wanted.size < MANY_LABELS or not wanted.size or (wanted == wanted.flat[0]).all():
            return ""
        if wanted.shape == given.shape and np.array_equal(wanted, given):
            single = wanted.size == wanted.shape[0] or wanted.dtype.kind in "iu"
            return f"{node.name}, all that the network is fed" if single or not self._is_squeezed(node) else ""
        if given.ndim == 2 and wanted.size == wanted.shape[0] == given.shape[0]:
            same = (given == wanted.reshape(-1, 1)).all(axis=0)
            if same.any():
                return f"{node.name}[:, {int(np.argmax(same))}], a column of what the network is fed"
        return ""

    def _is_squeezed(self, node: Node) -> bool:
        """Return whether less of what is fed goes through a network, or something random: to give it again is work."""
        run = self.run
        width = run.values[run.places[node]][0].size
        for each in made_of(run.order, {node}):
            if each.phase != "forward" or each not in self._trained or not each.shape:
                continue
            value = run.values[run.places[each]]
            if value.ndim and each.op.name in ("matmul", "einsum") and value[..., :1].size and value.shape[-1] < width:
                return True
            if any(not operand.inputs and operand.op.name.startswith("random") for operand in each.inputs):
                return True
        return False

    def _is_a_loss(self, difference: Node) -> bool:
        """Return whether a difference is squared, or taken without its sign, and all of that is added up."""
        misses = [user for user in difference.users if user.phase == "forward" and user in self.run.places]
        squares = [
            miss for miss in misses if miss.op.name in ("square", "absolute") or set(miss.inputs) == {difference}
        ]
        return bool(squares) and len(squares) == len(misses) and all(map(self._is_added_up, squares))

    def _is_added_up(self, node: Node) -> bool:
        """Return whether all of a value is added up to one number, multiplied by others perhaps."""
        while node.shape:
            users = [user for user in node.users if user.phase == "forward" and user in self.run.places]
            if users and all(not user.shape for user in users):
                return True
            if len(users) != 1 or not users[0].op.traits & (Trait.ADDS_UP | Trait.SCALES):
                return False
            node = users[0]
        return True

    @cached_property
    def _trained(self) -> set[Node]:
        """What depends on trained parameters."""
        return made_of(self.run.order, {node for node in self.run.order if node.trainable})

    @cached_property
    def _read_by_scope(self) -> dict[str, dict[int, None]]:
        """The places outside of each scope that it reads."""
        found: dict[str, dict[int, None]] = {}
        for place, node in enumerate(self.run.order):
            for source in self.run.inputs[place]:
                if self.run.order[source].scope != node.scope:
                    found.setdefault(node.scope, {})[source] = None
        return found

    def _of_targets(self, source: int, scope: str, kind: str) -> None:
        """Look whether the labels that a cross-entropy is fed are probabilities."""
        run, shape = self.run, self.run.order[source].shape
        for place in self._read_by_scope.get(scope, ()):
            node, targets = run.order[place], run.values[place]
            if place == source or not isinstance(node.op, Placeholder) or node.shape != shape or not shape:
                continue
            if any(each.code == not_probabilities.code and each.node is node for each in self.found):
                continue
            wide = targets.astype(np.float64)
            wrong = np.isfinite(wide) & ((wide < -ABOUT_ONE) | (wide > 1 + ABOUT_ONE))
            sums = wide.sum(axis=-1)
            off = np.isfinite(sums) & (np.abs(sums - 1) > ABOUT_TARGETS) & (sums != 0)  # of a row of padding it is 0
            told, remedy = f"{run.element(place, first_of(wrong))}" if wrong.any() else "", TARGETS
            if not told and kind in ("categorical_crossentropy", "softmax_crossentropy") and off.any():
                told = _sum_of(node, off, sums)
                wrong, remedy = np.broadcast_to(off[..., None], wide.shape), ONE_CLASS
            if told:
                cause = f"{told}, and the targets of {kind} are probabilities"
                self.found.append(not_probabilities.at(run, place, wrong, cause, remedy=remedy))

    def _of_logits(self, place: int, x: Array, kind: str) -> None:
        made, node = self._squashed_by(place), self.run.order[place]
        if kind == "softmax_crossentropy" and node.shape[-1] == 1:
            cause = f"{node.name}{at_line(node)} has a single number a row, whose softmax is 1 whatever that is"
            self.found.append(softmax_of_one.of(node, cause))
        elif made:
            cause = f"{node.name}{at_line(node)} holds probabilities, which a {made} gave, and {kind} takes logits"
            remedy = TAKES_ANOTHER[kind].format(made)
            every = np.ones(x.shape, bool)
            self.found.append(logits_expected.at(self.run, place, every, cause, remedy=remedy))

    def _of_probabilities(self, place: int, x: Array, kind: str) -> None:
        made = self.run.order[self._source(place)]
        if self.run.is_softmax(made) and made.shape[-1] == 1:
            cause = f"{made.name}{at_line(made)} is a softmax over a single number, which is 1 whatever that is"
            self.found.append(softmax_of_one.of(made, cause))
            return
        node, remedy = self.run.order[place], TAKES_ANOTHER[kind]
        most = 1 + ABOUT_ONE if kind == "binary_crossentropy" else np.inf
        wrong = np.isfinite(x) & ((x < -ABOUT_ONE) | (x > most))
        sums = np.asarray(x.sum(axis=-1, dtype=np.float64))
        off = np.isfinite(sums) & (np.abs(sums - 1) > ABOUT_ONE) & (sums != 0)  # of a row of padding it is 0
        if wrong.any():
            what, more = str(self.run.element(place, first_of(wrong))), of_many(wrong)
        elif kind == "categorical_crossentropy" and off.any():
            what, more = _sum_of(node, off, sums), ", which sum to 1"
            wrong, remedy = np.broadcast_to(off[..., None], x.shape), SUM_TO_ONE
        else:
            self._of_squashed_twice(place)
            return
        cause = f"{what}, and {kind} takes probabilities{more}"
        self.found.append(not_probabilities.at(self.run, place, wrong, cause, remedy=remedy))

    def _of_squashed_twice(self, place: int) -> None:
        """Look whether the probabilities of a loss are the softmax, or sigmoid, of probabilities."""
        made, inputs = self._squashed_by(place), self.run.inputs
        logits = inputs[self._source(place)][0] if made else place
        if made == "softmax":
            shifted = inputs[logits][0]
            logits = inputs[shifted][0] if self.run.order[shifted].op.name == "subtract" else shifted
        if made and self._squashed_by(logits) == made:
            self._of_logits(logits, self.run.values[logits], made)

    def _source(self, place: int) -> int:
        """Return where a value was computed that is only passed on."""
        run = self.run
        while (only_passes_on(run.op(place)) or run.op(place).name == "cast") and len(run.inputs[place]) == 1:
            place = run.inputs[place][0]
        return place

    def _squashed_by(self, place: int) -> str:
        """Return whether a value is what comes out of a "softmax" or "sigmoid"; "" if it is not known to be."""
        run, place = self.run, self._source(place)
        node, value = run.order[place], run.values[place]
        if node.op.name == "sigmoid":
            return "sigmoid"
        if node.op.name != "divide" or node.inputs[0].op.name != "exp":
            return ""
        if not value.size or not value.ndim or value.shape[-1] == 1:
            return ""  # which are no probabilities of several classes
        return "softmax" if (np.abs(value.sum(axis=-1, dtype=np.float64) - 1) <= ABOUT_ONE).all() else ""


def _sum_of(node: Node, which: Array, sums: Array) -> str:
    """Return what the first row that is meant sums to."""
    index = first_of(which)
    return f"{node.name}[{', '.join([*map(str, index), ':'])}]{at_line(node)} sums to {said(float(sums[index]))}"
