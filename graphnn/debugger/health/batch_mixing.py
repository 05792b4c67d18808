"""Rows that mix: samples of a batch whose predictions depend on one another."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np

from ...core import Array, Node, is_float
from ...core.symbolic_shapes import shown
from ...ops.cumulative import Running
from ...ops.reductions import Norm, Reduction
from .attention_weights import Weighings
from .check_registry import check
from .evaluation import THOROUGH, CannotTry, Evaluation
from .findings import Finding, at_line, listed
from .node_roles import Roles, changed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

_NORMALIZES = re.compile(r"batch_?norm|(^|/|_)bn(_?\d+)?(/|$)", re.IGNORECASE)
"""Scopes that normalize over a batch on purpose."""
_NORMALIZING = frozenset(
    {"subtract", "divide", "multiply", "add", "sqrt", "square", "mean", "power", "reciprocal", "cast"}
)
"""The operations of a normalization."""
_ROUNDS = 3
"""So often a row is changed again with what mixed the rows held fixed, to see whether something else does, too."""


@check(
    "rows-mixed",
    "the prediction for one sample depends on the other samples of its batch, and no batch normalization does it",
    "use the axis of the features, not of the samples: axis=-1; over a batch, use nn.BatchNorm",
)
def rows_mixed(run: Evaluation) -> Iterator[Finding]:
    """Change one sample, and look whether the predictions for others change."""
    roles = run.part(Roles)
    if not roles.losses or not roles.meetings or run.failure is not None:
        return
    if roles.rows < 2 or roles.samples.keys().isdisjoint(roles.read):
        few = {0: "there is no sample", 1: "there is one sample"} if roles.samples else {}
        why = few.get(roles.rows, "which axis has the samples is not clear")
        run.unchecked["rows"] = why
        return
    rows = [0, roles.rows // 2] if run.trials < THOROUGH else [*range(0, roles.rows, max(roles.rows // 10, 1))]
    held, told = _by_name(run), set[Node]()
    try:
        for row in rows:
            for _ in range(_ROUNDS):
                after = _with_row_changed(run, row, held)
                causes = [each for each in _causes(run, row, after) if each not in told]
                if not causes:
                    break
                told.update(causes)
                held |= {node: run.value_of(node) for node in causes}
                yield _of(run, causes, row)
    except CannotTry as error:
        run.unchecked["rows"] = error.reason
    else:
        run.checked["rows"] = f"{len(rows)} of {roles.rows:,} changed"


def _with_row_changed(run: Evaluation, row: int, held: Mapping[Node, Array]) -> list[Array]:
    """Return all values as they would be if one sample of what the network reads were another one of the batch."""
    roles = run.part(Roles)
    changes = dict(held)
    for node, axis in roles.samples.items():
        if node in roles.read:
            changes[node] = new = run.value_of(node).copy()
            rows = np.moveaxis(new, axis, 0)
            differ = [k for k in range(len(rows)) if not (rows[k] == rows[row]).all()]
            # Larger than the others, too: a maximum shows only what is largest.
            far = 3 * np.std(rows, axis=0) if is_float(rows.dtype) else 0
            rows[row] = rows[differ[0] if differ else row] + far
    return run.all_after(changes, [each.made for each in roles.meetings])


def _by_name(run: Evaluation) -> dict[Node, Array]:
    """Return the statistics of batches that layers compute which are called so, with their values."""
    found = {}
    for node in run.part(Roles).region:
        if _NORMALIZES.search(f"{node.scope}/{run.kind_of_scope(node)}") and _is_lost(run, node):
            found[node] = run.value_of(node)
    return found


def _is_lost(run: Evaluation, node: Node) -> bool:
    """Return whether a node reduces the axis of the samples, which one of its operands has."""
    if node not in run.fed or not node.inputs:
        return False
    return _rows_in(run, node) is None and any(_rows_in(run, each) is not None for each in node.inputs)


def _rows_in(run: Evaluation, node: Node) -> int | None:
    """Return along which axis of a value the samples lie; None if there is none, or more than one might be it."""
    roles = run.part(Roles)
    if roles.batch is None and node.ndim and not isinstance(node.shape[0], str):
        return 0 if run.value_of(node) is not None and node in run.fed and node.shape[0] == roles.rows else None
    return roles.axis_of(node) if node in run.fed else None


def _is_mixed(run: Evaluation, node: Node, row: int, after: list[Array]) -> bool:
    """Return whether a change of one sample changed what belongs to others."""
    axis, place = _rows_in(run, node), run.places[node]
    if axis is None or after[place] is run.values[place]:
        return False
    differs = np.moveaxis(changed(run.values[place], after[place]), axis, 0)
    return bool(differs[:row].any() or differs[row + 1 :].any())


def _causes(run: Evaluation, row: int, after: list[Array]) -> list[Node]:
    """Return the nodes in which samples mix, on the way to predictions."""
    starts = []
    for made in dict.fromkeys(each.made for each in run.part(Roles).meetings):
        lost = _rows_in(run, made) is None and not _may_have_rows(run, made)
        if _is_mixed(run, made, row, after) or (lost and differs_in(run, made, after)):
            starts.append(made)
    return causes_of(
        run,
        starts,
        after,
        lambda node: _is_mixed(run, node, row, after),
        lambda node: _rows_in(run, node) is None,
    )


def differs_in(run: Evaluation, node: Node, after: list[Array]) -> bool:
    """Return whether a value is another one after a change."""
    before, now = run.values[run.places[node]], after[run.places[node]]
    return now is not before and bool(changed(before, now).any())


def causes_of(
    run: Evaluation,
    starts: Iterable[Node],
    after: list[Array],
    is_wrong: Callable[[Node], bool],
    is_free: Callable[[Node], bool],
) -> list[Node]:
    """Return where a change came to values that it should not reach.

    Parameters
    ----------
    run : Evaluation
    starts : iterable of Node
        Nodes that it should not have reached.
    after : list of array
        All values after the change, by place.
    is_wrong : callable
        Whether the change reached elements of a node that it should not reach.
    is_free : callable
        Whether a node has no elements that it should not reach, as it lacks the axis.
    """
    waiting = list(starts)
    seen, found = set(waiting), dict[Node, None]()
    while waiting:
        node = waiting.pop()
        read = [each for each in node.inputs if each in run.fed and each.inputs]
        wrong = [each for each in read if is_wrong(each)]
        wrong = wrong or [each for each in read if is_free(each) and differs_in(run, each, after)]
        if not wrong:
            found[node] = None
        waiting += [each for each in wrong if each not in seen]
        seen.update(wrong)
    return sorted(found, key=lambda node: run.places[node])


def _may_have_rows(run: Evaluation, node: Node) -> bool:
    """Return whether samples may lie along an axis of a value together with something else."""
    batch, rows = run.part(Roles).batch, run.part(Roles).rows
    if batch is not None:
        return any(isinstance(dim, str) and re.search(rf"\b{re.escape(batch)}\b", dim) for dim in node.shape)
    return any(n % rows == 0 for n in run.value_of(node).shape)


def _of(run: Evaluation, causes: list[Node], row: int) -> Finding:
    """Return the finding about nodes in which samples mix: a note, if they may well do so on purpose."""
    batch, node, softmax = run.part(Roles).batch, causes[0], softmax_with(run, causes)
    pairs = batch is not None and any(each.shape.count(batch) > 1 for each in run.order if each in run.fed)
    mixes = f"a change of sample {row} changes the predictions for other samples"
    if pairs or not all(isinstance(each.op, (Reduction, Norm, Running)) for each in causes):
        remedy = "nothing to do, if samples belong together, as the nodes of a graph do"
        return rows_mixed.of(node, f"{mixes}, through {listed(causes)}{at_line(node)}", severity="note", remedy=remedy)
    named, does = (node, "works") if softmax is None else (softmax, "normalizes")
    along = "axis 0" if batch is None else batch
    source = node.inputs[0]
    cause = f"{mixes}: {named.name}{at_line(named)} {does} along {along} of {source.name} {shown(source.shape)}"
    if _is_batch_norm(run, causes):
        remedy = "nothing to do, if it is a batch normalization; a layer normalization uses axis=-1"
        return rows_mixed.of(named, cause, severity="note", remedy=remedy)
    return rows_mixed.of(named, cause)


def softmax_with(run: Evaluation, nodes: Collection[Node]) -> Node | None:
    """Return the result of a softmax whose maximum, exponentials or sum are among some nodes, or it itself."""
    for soft in run.part(Weighings).softmaxes:
        node = run.order[soft]
        exp, total = node.inputs
        own = {node, exp, total, exp.inputs[0]}
        shifted = exp.inputs[0]
        if -1 in shifted.op.signs:
            shift = shifted.inputs[1]
            own.add(shift)
            while shift.op.name == "stop_gradient":
                shift = shift.inputs[0]
                own.add(shift)
        if not own.isdisjoint(nodes):
            return node
    return None


def _forward_to(run: Evaluation, following: Node) -> set[Node]:
    """Return what the next value of a running mean is made of, up to the network."""
    ahead = [following] if following in run.forward_nodes else []
    for each in ahead:
        ahead += [node for node in each.inputs if node in run.forward_nodes and node not in ahead and len(ahead) < 16]
    return set(ahead)


def _is_batch_norm(run: Evaluation, causes: list[Node]) -> bool:
    """Return whether statistics of a batch are those of a batch normalization that is written out.

    They are kept for evaluation, or what they normalize is scaled or shifted by trained numbers for each feature, or
    it is data that no parameter has met.
    """
    kept = {node for p, after in run.updates.items() if not p.trainable for node in _forward_to(run, after)}
    for node in causes:
        source = node.inputs[0]
        if source not in run.part(Roles).trained or node in kept:
            return True
        normalized = run.ancestors(user for user in run.readers(source) if -1 in user.op.signs + user.op.powers)
        if node not in normalized and node.op.name not in ("var", "std") and source.op.name != "square":
            return False
        ahead = [node]
        for each in ahead:
            users = run.readers(each)
            if any(_is_scaled(user, source) and _rows_in(run, user) is not None for user in users):
                return True
            ahead += [user for user in users if user.op.name in _NORMALIZING and user not in ahead and len(ahead) < 32]
    return False


def _is_scaled(node: Node, source: Node) -> bool:
    """Return whether a node scales or shifts by trained numbers, one for each feature of another one."""
    numbers = [each for each in node.inputs if each.trainable] if (1, 1) in (node.op.signs, node.op.powers) else []
    features = source.shape[-1] if source.ndim else 1
    return any(math.prod(n for n in each.shape if isinstance(n, int)) == features for each in numbers)
