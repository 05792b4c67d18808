"""What parts of a run are for: its losses, where predictions meet labels, and along which axes the samples lie."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...core import Array, Node, is_float
from .evaluation import Evaluation, dependents
from .training_facts import LOSSES, Training

if TYPE_CHECKING:
    from collections.abc import Iterable

_CHOOSE = frozenset({"pick", "take_along_axis", "gather_nd", "take"})
"""Operations by which labels choose among predictions."""
_LOGARITHMS = frozenset({"log", "log1p", "softplus"})
_MOVES = frozenset({"clip", "reshape", "expand_dims", "squeeze", "cast", "negative", "getitem"})
_BATCHES = ("batch", "b", "n", "rows", "samples")
"""What people call the dimension along which samples lie, where more than one might be it."""


class Meeting(NamedTuple):
    """An operation of a loss in which a prediction meets a label.

    Attributes
    ----------
    node : Node
    made : Node
        The operand that depends on the feed and on trained parameters.
    labels : Node
        The operand that depends on the feed alone.
    """

    node: Node
    made: Node
    labels: Node


class Roles:
    """The losses of a run, its predictions and labels, and its samples."""

    def __init__(self, run: Evaluation) -> None:
        self.run = run

    @cached_property
    def losses(self) -> dict[Node, float]:
        """The scalars that are trained, with their values: those whose gradients the run computes, else its fetches."""
        run, training = self.run, self.run.part(Training)
        found = training.losses_of(run.updates) if run.updates else {}
        fetched = [run.order[place] for place in sorted(run.fetches)]
        if not found:
            results = [node for given in run.graph.cotangents for node, _ in given]
            derived = any(node.phase == "backward" for node in run.order)
            # What is trained need not be computed, as minus a loss that is fetched.
            known = [node for node in results if node in self.made] if derived else []
            values = {node: run.value_of(node) for node in known or fetched if node in self.made}
            found = {node: float(x) for node, x in values.items() if x is not None and not x.ndim}
        inner = [node for node in found if any(node in run.ancestors([o]) for o in found if o is not node)]
        return {node: value for node, value in found.items() if node not in inner and node in run.forward_nodes}

    @cached_property
    def trained(self) -> set[Node]:
        """What depends on trained parameters."""
        return dependents(self.run.order, [node for node in self.run.order if node.trainable])

    @cached_property
    def made(self) -> set[Node]:
        """What the network makes: nodes of the forward pass that depend on the feed and on trained parameters."""
        return {node for node in self.run.forward_nodes if node in self.trained and node in self.run.fed}

    @cached_property
    def region(self) -> list[Node]:
        """The nodes that the losses depend on, and the losses."""
        return [node for node in self.run.ancestors(self.losses) if node in self.run.forward_nodes]

    @cached_property
    def meetings(self) -> list[Meeting]:
        """Where labels meet predictions: after the last parameter, in a way in which labels are compared."""
        found, later = [], set[Node]()
        for node in self.region:
            if not later.isdisjoint(node.inputs):
                later.add(node)  # of the loss: labels that choose what counts, say
                continue
            if node in self.run.met_by_parameters or len(node.inputs) < 2:
                continue
            made = [each for each in node.inputs if each in self.made]
            labels = [each for each in node.inputs if each in self.run.fed and each not in self.trained]
            for one in made[:1]:
                met = [Meeting(node, one, each) for each in labels if self._compares(node, one, each)]
                found += met
                later.update([node] if met else [])
        return found

    def _compares(self, node: Node, made: Node, labels: Node) -> bool:
        """Return whether an operation compares a prediction with a label, and does not merely weigh or mask it."""
        name = node.op.name
        if self.run.value_of(node) is None or not labels.ndim:
            return False
        if name in _CHOOSE:
            return node.inputs[-1] is labels and labels.dtype.kind in "iu"
        if -1 in node.op.signs:
            return True
        if node.op.powers == (1, 1):
            if self.run.kind_of_scope(node) in LOSSES and labels.shape == made.shape:
                return True
            while made.op.name in _MOVES:
                made = made.inputs[0]
            rows = self.run.value_of(labels)
            chooses = (
                labels.shape == made.shape and rows.ndim > 1 and rows.shape[-1] > 1 and np.isin(rows, (0, 1)).all()
            )
            if chooses and (rows.sum(axis=-1) == 1).all():
                return True
            return made.op.name in _LOGARITHMS or self._is_log_softmax(made)
        return self.run.kind_of_scope(node) in LOSSES and node.op.elementwise

    def _is_log_softmax(self, node: Node) -> bool:
        value = self.run.value_of(node)
        return value.ndim > 1 and value.shape[-1] > 1 and sums_to_one(np.exp(np.minimum(value, 1.0)), -1)

    @cached_property
    def targets(self) -> list[Node]:
        """The placeholders whose values are compared with predictions."""
        return self._placeholders(each.labels for each in self.meetings)

    @cached_property
    def read(self) -> list[Node]:
        """The placeholders that the predictions depend on."""
        return self._placeholders(each.made for each in self.meetings)

    def _placeholders(self, nodes: Iterable[Node]) -> list[Node]:
        return [node for node in self.run.ancestors(nodes) if node.op.is_placeholder]

    @cached_property
    def outputs(self) -> list[Node]:
        """The last nodes of the network: a parameter is met there, and in nothing that follows."""
        before = self.run.ancestors(each.made for each in self.meetings)
        last = [node for node in before if node in self.made and node not in self.run.met_by_parameters]
        met = self.run.met_by_parameters
        return [
            node for node in last if any(each.trainable or (each in self.made and each in met) for each in node.inputs)
        ]

    # --- samples

    @cached_property
    def batch(self) -> str | None:
        """The dimension that inputs and labels share, if it has a name."""
        shared = [
            dim
            for dim in dict.fromkeys(dim for node in self.targets for dim in node.shape if isinstance(dim, str))
            if any(dim in node.shape for node in self.read)
        ]
        return next((dim for dim in shared if dim.lower() in _BATCHES), shared[0] if shared else None)

    @cached_property
    def samples(self) -> dict[Node, int]:
        """The placeholders that hold a sample each for the rows of the batch, with the axis; {} if not clear."""
        fed = dict.fromkeys([*self.read, *self.targets])
        if self.batch is not None:
            return {node: node.shape.index(self.batch) for node in fed if node.shape.count(self.batch) == 1}
        rows = {self.run.value_of(node).shape[0] for node in fed if node.ndim}
        return {node: 0 for node in fed if node.ndim} if len(rows) == 1 else {}

    @cached_property
    def rows(self) -> int:
        """The number of samples."""
        return next((self.run.value_of(node).shape[axis] for node, axis in self.samples.items()), 0)

    def axis_of(self, node: Node) -> int | None:
        """Return along which axis of a value the samples lie; None if there is none, or more than one might be it."""
        if self.batch is None:
            return 0 if node.ndim and self.run.value_of(node).shape[0] == self.rows else None
        return node.shape.index(self.batch) if node.shape.count(self.batch) == 1 else None


def sums_to_one(value: Array, axis: int) -> bool:
    """Return whether numbers lie between 0 and 1, and all lines along an axis sum to 1."""
    few = 1e-3 if value.dtype == np.float16 else 1e-5
    if not is_float(value.dtype) or not value.size or not ((value >= 0) & (value <= 1 + few)).all():
        return False
    return bool((np.abs(value.sum(axis=axis, dtype=np.float64) - 1) <= few * 10).all())


def changed(before: Array, after: Array) -> Array:
    """Return which elements differ by more than rounding."""
    if not is_float(before.dtype):
        return np.asarray(before != after)
    few = {2: 1e-2, 4: 1e-5}.get(before.dtype.itemsize, 1e-9)
    size = np.abs(before).max(initial=0.0, where=np.isfinite(before))
    near = np.abs(after - before) <= few * (np.abs(before) + 1e-3 * size)
    return np.asarray(~(near | (before == after) | (np.isnan(before) & np.isnan(after))))


def others_of(value: Array) -> Array:
    """Return other values of the same kind as each of an array's: the next one that it has, or one farther."""
    if value.dtype.kind == "b":
        return ~value
    if value.dtype.kind in "iu":
        known = np.unique(value)
        return known[(np.searchsorted(known, value) + 1) % known.size]
    spread = float(np.std(value, where=np.isfinite(value), dtype=np.float64)) if value.size > 1 else 0.0
    return np.asarray(value + (spread or 1.0), value.dtype)
