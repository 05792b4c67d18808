"""Sound numbers that are not what reads them takes them for: logits, probabilities, labels, a batch as a column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np

from ...graph import Constant, Placeholder
from ...graph.dimensions import shown
from ...ops.base import Rearranging
from ...ops.elementwise import Elementwise
from .evaluation import ADDS_UP, only_passes_on
from .findings import Finding, at_line, finding_at, first_of, of_many, said
from .hazards import (
    ABOUT_ONE,
    ABOUT_TARGETS,
    CHOOSES,
    FAR_TARGETS,
    MANY_LABELS,
    MANY_TARGETS,
    MOST_TARGETS,
    ONE_CLASS,
    OUT_OF_REACH,
    RANGES,
    REMEDIES,
    SUM_TO_ONE,
    TAKES_ANOTHER,
    TARGETS,
    finding_of,
)
from .training import made_of

if TYPE_CHECKING:
    from ...graph import Array, Node
    from .evaluation import Evaluation

_READS_FIRST = {
    "categorical_crossentropy": "clip",
    "binary_crossentropy": "clip",
    "softmax_crossentropy": "max",
    "sigmoid_crossentropy": "softplus",
    "log_softmax": "max",
}
"""The operation by which a cross-entropy, or a log_softmax, reads what it is given first."""
_MISTAKEN = frozenset({"not-probabilities", "probabilities-as-logits"})
_MAKES_AXES = frozenset({"expand_dims", "getitem", "reshape"})
"""What makes a column of a row, where someone writes it."""
_MISSES = frozenset({"square", "absolute"})
"""What makes a loss of a difference."""
BY_NUMBERS = frozenset({"add", "subtract", "multiply", "divide", "negative", "cast"})
"""What scales or moves a value by plain numbers, where all other operands are constants."""


class Mistaken:
    """Looks for them in a run, and adds to what was found."""

    def __init__(self, run: Evaluation, found: list[Finding]) -> None:
        self.run = run
        self.found = found
        self._chosen_from: dict[int, int] = {}

    def _add(self, place: int, which: Array, **about: Any) -> None:
        self.found.append(finding_at(self.run, place, which, **about))

    def of_pairs(self, place: int) -> None:
        """Look whether a batch that lies along one axis has been paired with itself, without being asked to."""
        node = self.run.order[place]
        if node.phase != "forward" or not isinstance(node.op, Elementwise):
            return
        crossed = next((dim for dim in node.shape if isinstance(dim, str) and node.shape.count(dim) > 1), None)
        met = [operand for operand in node.inputs if crossed in operand.shape]
        short = [operand for operand in met if len(operand.shape) < len(node.shape)]
        if not short or any(operand.shape.count(crossed) > 1 for operand in met):
            return
        columns = [operand for operand in met if len(operand.shape) == len(node.shape)]
        if any(_is_asked_for(column, short) for column in columns):
            return
        if any(each.code == "every-pair" and set(each.node.inputs) == set(node.inputs) for each in self.found):
            return
        shapes = " and ".join(f"{each.name} {shown(each.shape)}" for each in met)
        self.found.append(
            finding_of(
                "every-pair",
                node,
                f"{shapes} make {node.name} {shown(node.shape)}: each element along {crossed} meets every other",
            )
        )

    def of_axes(self, place: int) -> None:
        """Look whether two axes met that are as long as each other by chance: the one also stands elsewhere."""
        node = self.run.order[place]
        if node.phase != "forward" or not isinstance(node.op, Elementwise) or not node.spec.constraints:
            return
        for long, short in permutations(node.inputs, 2):
            if len(long.shape) <= len(short.shape):
                continue
            for other, dim in zip(reversed(long.shape), reversed(short.shape), strict=False):
                if isinstance(dim, str) and dim != other != 1 and dim in long.shape:
                    self.found.append(
                        finding_of(
                            "other-axis",
                            node,
                            f"in {node.name} {shown(node.shape)}, {dim} of {short.name} {shown(short.shape)} "
                            f"meets {other} of {long.name} {shown(long.shape)}, which is as long by chance",
                        )
                    )
                    return

    def of_loss(self, place: int) -> None:
        """Look whether a cross-entropy is given probabilities where it takes logits, or the other way round."""
        run, node = self.run, self.run.order[place]
        scope = run.graph.scopes.get(node.scope)
        kind = scope.kind if scope is not None and node.phase == "forward" else ""
        if node.op.name != _READS_FIRST.get(kind):
            return
        source = run.inputs[place][0]
        while run.order[source].scope == node.scope and run.order[source].op.name in ("cast", "negative"):
            source = run.inputs[source][0]
        x = run.values[source]
        self._of_targets(source, node.scope, kind)
        if x is None or x.dtype.kind != "f" or not x.ndim or not x.size:
            return
        if any(each.code in _MISTAKEN and each.node is run.order[source] for each in self.found):
            return  # such as a sigmoid's, which is read in two places
        if kind in ("softmax_crossentropy", "sigmoid_crossentropy", "log_softmax"):
            self._of_logits(source, x, kind)
        else:
            self._of_probabilities(source, x, kind)

    def of_loss_by_hand(self, place: int) -> None:
        """Look whether the logarithm of probabilities is taken that are squashed twice, or along the wrong axis."""
        run, node = self.run, self.run.order[place]
        scope = run.graph.scopes.get(node.scope)
        if node.phase != "forward" or (scope is not None and scope.kind in _READS_FIRST):
            return
        source = run.inputs[place][0] if node.op.name in ("log", "pick") else place
        if node.op.name == "log":
            way = [source]
            while run.order[way[-1]].op.name in CHOOSES and way[-1] not in self._chosen_from:
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
                self._add(source, which, code="not-probabilities", severity="warning", cause=cause, remedy=SUM_TO_ONE)

    def of_reach(self, place: int) -> None:
        """Look whether targets lie where what they are compared with never comes."""
        run, node = self.run, self.run.order[place]
        if node.phase != "forward" or node.op.name != "subtract" or not self._is_a_loss(node):
            return
        for targets, made in permutations(map(self._source, run.inputs[place])):
            last = self._squashed_by(made) or run.order[made].op.name
            value = run.values[targets]
            if run.order[made] not in self._trained or last not in RANGES or value.dtype.kind not in "iuf":
                continue
            if run.order[targets] in self._trained or isinstance(run.order[targets].op, Constant) or not value.size:
                continue
            low, high = RANGES[last]
            outside = np.isfinite(value) & ((value < low - FAR_TARGETS) | (value > high + FAR_TARGETS))
            share = MANY_TARGETS if math.isfinite(high) else MOST_TARGETS
            if np.count_nonzero(outside) > share * value.size:
                what = f"{run.element(targets, first_of(outside))}{of_many(outside)}"
                gives = f"{low:g} to {high:g}" if math.isfinite(high) else f"nothing below {low:g}"
                cause = f"{what}, and {last}{at_line(run.order[made])} gives {gives}"
                remedy = OUT_OF_REACH.format(last)
                self._add(targets, outside, code="out-of-reach", severity="warning", cause=cause, remedy=remedy)
                return

    def of_labels(self, met: set[Node]) -> None:
        """Look whether labels equal what the network is fed, or a column of that.

        Parameters
        ----------
        met : set of Node
            What is made of these a trained parameter meets.
        """
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
                self._add(
                    run.places[labels],
                    which,
                    code="labels-are-inputs",
                    severity="warning",
                    cause=cause,
                    remedy=REMEDIES["labels-are-inputs"],
                )
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

    def of_weights(self, place: int) -> None:
        """Look whether a softmax sums to 1 over another axis than the one that is summed of its product."""
        run, node = self.run, self.run.order[place]
        if node.phase != "forward" or node.op.name not in ("matmul", "einsum", "sum"):
            return
        for i, read in enumerate(run.inputs[place]):
            soft, summed = self._weights_in(place, i, read)
            if soft is None or not summed:
                continue
            axis = self._softmax_axis(soft)
            weights = run.order[soft]
            if axis is None or axis in summed or self._is_renormed(weights, summed, node):
                continue
            lengths = [run.values[soft].shape[k] for k in summed]
            batch = {each.shape[0] for each in run.prepared.program.placeholders if each.shape}
            named = [
                weights.shape[k] for k in summed if isinstance(weights.shape[k], str) and weights.shape[k] in batch
            ]
            if named or max(lengths, default=1) <= 1:
                continue
            cause = (
                f"{weights.name}{at_line(weights)} sums to 1 over axis {axis}, and {node.name}{at_line(node)} sums "
                f"over axis {', '.join(map(str, summed))} of it"
            )
            finding = finding_of("softmax-axis", weights, cause)
            finding.remedy = f"gn.softmax(scores, axis={summed[0] - weights.ndim}) sums to 1 where it is summed"
            self.found.append(finding)

    def _weights_in(self, place: int, i: int, read: int) -> tuple[int | None, tuple[int, ...]]:
        """Return the place of a softmax that an operation multiplies and sums over, and over which of its axes."""
        run, node = self.run, self.run.order[place]
        if node.op.name == "sum":
            product = run.order[read]
            if product.op.name != "multiply":
                return None, ()
            ndim = run.values[read].ndim
            over = [k - ndim for k in run.op(place).over(ndim)]  # type: ignore[attr-defined]
            for source in run.inputs[read]:
                axes = [
                    k - run.values[source].ndim for k in range(run.values[source].ndim)
                ]  # of the product, from its end
                while run.op(source).name == "expand_dims":
                    new = run.op(source).axes(run.values[run.inputs[source][0]].ndim)  # type: ignore[attr-defined]
                    axes = [end for k, end in enumerate(axes) if k not in new]
                    source = run.inputs[source][0]
                soft = self._untouched(source)
                if soft is not None:
                    sizes = run.values[soft].shape
                    return soft, tuple(k for k, end in enumerate(axes) if end in over and sizes[k] > 1)
            return None, ()
        soft = self._untouched(read)
        if soft is None or run.values[soft].ndim < 2:
            return None, ()
        ndim = run.values[soft].ndim
        if node.op.name == "matmul":
            return soft, ((ndim - 1,) if i == 0 else (ndim - 2,))
        left, _, right = run.op(place).subscripts.partition("->")  # type: ignore[attr-defined]
        return soft, tuple(k for k, letter in enumerate(left.split(",")[i]) if letter not in right)

    def _untouched(self, place: int) -> int | None:
        """Return the place of the softmax that a value is, as it lies."""
        run = self.run
        while run.op(place).name == "cast":
            place = run.inputs[place][0]
        node = run.order[place]
        if node.op.name != "divide" or node.inputs[0].op.name != "exp" or node.inputs[1].op.name != "sum":
            return None
        return place if node.inputs[1].inputs[0] is node.inputs[0] else None

    def _softmax_axis(self, place: int) -> int | None:
        run = self.run
        over: tuple[int, ...] = run.op(run.inputs[place][1]).over(run.values[place].ndim)  # type: ignore[attr-defined]
        return over[0] if len(over) == 1 else None

    def _is_renormed(self, weights: Node, summed: Sequence[int], but: Node) -> bool:
        """Return whether the weights are added up over those axes by themselves, to be divided by it."""
        for user in weights.users:
            if user in self.run.places and user.op.name in ("sum", "mean") and user is not but:
                over = self.run.op(self.run.places[user]).over(weights.ndim)  # type: ignore[attr-defined]
                if set(summed) <= set(over):
                    return True
        return False

    def _is_a_loss(self, difference: Node) -> bool:
        """Return whether a difference is squared, or taken without its sign, and all of that is added up."""
        misses = [user for user in difference.users if user.phase == "forward" and user in self.run.places]
        squares = [miss for miss in misses if miss.op.name in _MISSES or set(miss.inputs) == {difference}]
        return bool(squares) and len(squares) == len(misses) and all(map(self._is_added_up, squares))

    def _is_added_up(self, node: Node) -> bool:
        """Return whether all of a value is added up to one number, multiplied by others perhaps."""
        while node.shape:
            users = [user for user in node.users if user.phase == "forward" and user in self.run.places]
            if users and all(not user.shape for user in users):
                return True
            if len(users) != 1 or users[0].op.name not in ADDS_UP | BY_NUMBERS:
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
            if any(each.code == "not-probabilities" and each.node is node for each in self.found):
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
                self._add(place, wrong, code="not-probabilities", severity="warning", cause=cause, remedy=remedy)

    def _of_logits(self, place: int, x: Array, kind: str) -> None:
        made, node = self._squashed_by(place), self.run.order[place]
        if kind == "softmax_crossentropy" and node.shape[-1] == 1:
            cause = f"{node.name}{at_line(node)} has a single number a row, whose softmax is 1 whatever that is"
            self.found.append(finding_of("softmax-of-one", node, cause))
        elif made:
            self._add(
                place,
                np.ones(x.shape, bool),
                code="probabilities-as-logits",
                severity="warning",
                cause=f"{node.name}{at_line(node)} holds probabilities, which a {made} gave, and {kind} takes logits",
                remedy=TAKES_ANOTHER[kind].format(made),
            )

    def _of_probabilities(self, place: int, x: Array, kind: str) -> None:
        made = self.run.order[self._source(place)]
        scope = self.run.graph.scopes.get(made.scope)
        if made.op.name == "divide" and scope is not None and scope.kind.lower() == "softmax" and made.shape[-1] == 1:
            cause = f"{made.name}{at_line(made)} is a softmax over a single number, which is 1 whatever that is"
            self.found.append(finding_of("softmax-of-one", made, cause))
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
        self._add(place, wrong, code="not-probabilities", severity="warning", cause=cause, remedy=remedy)

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


def _is_asked_for(column: Node, rows: Sequence[Node]) -> bool:
    """Return whether someone made a column to have pairs: y[:, None], keepdims=True, or of what it meets as a row."""
    if column.op.attributes.get("keepdims"):
        return True
    for row in rows:
        while row is not column and isinstance(row.op, Rearranging) and len(row.inputs) == 1:
            row = row.inputs[0]
        if row is column:
            return True
    return before_numbers(column).op.name in _MAKES_AXES


def before_numbers(node: Node) -> Node:
    """Return what a node was before it was multiplied by plain numbers, or moved by them."""
    while node.op.name in BY_NUMBERS:
        others = [operand for operand in node.inputs if not isinstance(operand.op, Constant)]
        if len(others) != 1 or (node.op.name == "subtract" and node.inputs[0] is not others[0]):
            break
        node = others[0]
    return node
