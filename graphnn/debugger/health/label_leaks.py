"""Labels that reach the predictions: through what the network reads, as one of its features, or ahead of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .attention_weights import Weighings
from .batch_mixing import causes_of, softmax_with
from .check_registry import check
from .evaluation import THOROUGH, CannotTry, Evaluation, dependents
from .findings import Finding, at_line
from .node_roles import Meeting, Roles, changed, others_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...core import Array, Node

FARTHEST = 3
"""Labels may be the inputs shifted by so many positions."""


class Shift(NamedTuple):
    """Labels that are an input, shifted.

    Attributes
    ----------
    meeting : Meeting
    read : Node
        The placeholder that the network reads.
    target : Node or None
        The placeholder of the labels, if it is another one.
    axis : int
        The axis of the positions.
    by : int
        The label at a position is the input so many positions later.
    """

    meeting: Meeting
    read: Node
    target: Node | None
    axis: int
    by: int


@check(
    "future-seen",
    "labels are the inputs shifted in time, and a prediction depends on the input that it should predict",
    "mask what comes later, before the softmax: gn.where(gn.tril(ones) > 0, scores, -inf), or causal=True",
)
def future_seen(run: Evaluation) -> Iterator[Finding]:
    """Change an input, and look whether the prediction of that very input changes."""
    roles = run.part(Roles)
    if not roles.meetings or run.failure is not None:
        return
    for shift in run.part(_shifts):
        size = run.value_of(shift.read).shape[shift.axis]
        places = [*dict.fromkeys([size - 1, size // 2, shift.by])]
        places = places if run.trials < THOROUGH else [*range(shift.by, size)]
        for number, position in enumerate(places):
            try:
                found = _seen_at(run, shift, position, number)
            except CannotTry as error:
                run.unchecked["order in time"] = error.reason
                return
            run.checked["order in time"] = f"{number + 1} of {size:,} positions changed"
            if found is not None:
                yield found
                return


def _shifts(run: Evaluation) -> list[Shift]:
    """Return labels that are inputs shifted in time."""
    roles, found = run.part(Roles), []
    for meeting in roles.meetings:
        made_of = [node for node in run.ancestors([meeting.labels]) if node in run.fed]
        for read in roles.read:
            x = run.value_of(read)
            if x.size < 4 or x.ndim < 1:
                continue
            for node in made_of:
                target = node if not node.inputs else None
                if node is read:
                    continue
                if (how := _shift_of(run, x, run.value_of(node), read, target is not None)) is not None:
                    found.append(Shift(meeting, read, target, *how))
                    break
    unique = {(each.read, each.axis, each.by, each.meeting.labels): each for each in found}
    return list(unique.values())


def _shift_of(run: Evaluation, x: Array, labels: Array, read: Node, fed: bool) -> tuple[int, int] | None:
    """Return the axis along which labels are an array shifted, and by how much; None if they are not."""
    batch = run.part(Roles).samples.get(read)
    for axis in range(x.ndim):
        size = x.shape[axis]
        if axis == batch or size < 3:
            continue
        for by in range(1, min(FARTHEST, size - 2) + 1):
            later = x.take(range(by, size), axis)
            columns = [later]
            if x.ndim > 2 and axis < x.ndim - 1 and x.shape[-1] <= 64:
                columns += [later[..., j] for j in range(x.shape[-1])]
            for column in columns:
                count = size if fed else size - by
                if labels.size * (size - by) != column.size * count:
                    continue
                shape = list(column.shape)
                shape[axis] = count
                mine = labels.reshape(shape).take(range(size - by), axis)
                if np.array_equal(mine, column) and (mine != mine.flat[0]).any():
                    return axis, by
    return None


def _seen_at(run: Evaluation, shift: Shift, position: int, row: int) -> Finding | None:
    """Return a finding if the prediction of an input at a position depends on it."""
    roles, meeting = run.part(Roles), shift.meeting
    x = run.value_of(shift.read)
    rows = roles.samples.get(shift.read)
    changes = {shift.read: _changed_at(x, shift.axis, position, rows, row)}
    if shift.target is not None:
        labels = run.value_of(shift.target)
        layout = x.shape if labels.size == x.size else x.shape[:-1]  # they may be fed flat, or be one of the features
        other = _changed_at(labels.reshape(layout), shift.axis, position - shift.by, rows, row)
        changes[shift.target] = other.reshape(labels.shape)
    after = run.all_after(changes, [meeting.made, meeting.labels])
    wanted = changed(run.value_of(meeting.labels), after[run.places[meeting.labels]])
    if not _overlap(wanted, changed(run.value_of(meeting.made), after[run.places[meeting.made]])):
        return None
    count = x.shape[shift.axis]
    lengths = {count, count - shift.by} if shift.target is None else {count}
    name = shift.read.shape[shift.axis]

    def axis_of(node: Node) -> int | None:
        shape = run.value_of(node).shape
        known = [k for k, dim in enumerate(node.shape) if dim == name] if isinstance(name, str) else []
        known = known or [k for k, n in enumerate(shape) if n in lengths and k != roles.axis_of(node)]
        return known[0] if known else None

    def sees_ahead(node: Node) -> bool:
        axis, place = axis_of(node), run.places[node]
        if axis is None or after[place] is run.values[place]:
            return False
        earlier = np.moveaxis(changed(run.values[place], after[place]), axis, 0)[:position]
        return bool(earlier.any())

    causes = causes_of(run, [meeting.made], after, sees_ahead, lambda node: axis_of(node) is None)
    soft = _attention_between(run, causes, meeting.made)
    node = causes[0] if soft is None else soft
    at = [":"] * x.ndim
    at[shift.axis] = str(position)
    cause = (
        f"the prediction of {shift.read.name}[{', '.join(at)}], which is a label, depends on that very input: "
        f"{node.name}{at_line(node)} {'reads' if soft is None else 'weighs'} what comes later"
    )
    if soft is None:
        remedy = (
            "read only what came before: no layer that runs both ways, no mean over time, padding on the left alone"
        )
        return future_seen.of(node, cause, remedy=remedy)
    return future_seen.of(node, cause)


def _attention_between(run: Evaluation, causes: list[Node], made: Node) -> Node | None:
    """Return the softmax by which attention reads what comes later."""
    found = softmax_with(run, causes)
    if found is not None:
        return found
    on_the_way = dependents(run.order, causes)
    for each in run.part(Weighings).sums:
        soft = run.order[each.soft]
        near = {soft, run.order[each.total], *soft.inputs} | {run.order[place] for place, _ in each.steps}
        scores = run.order[run.part(Weighings).scores_of(each.soft)]
        if not near.isdisjoint(causes) or (
            scores in on_the_way and soft in run.ancestors([made]) and _near(scores, causes)
        ):
            return soft
    return None


def _near(scores: Node, causes: list[Node]) -> bool:
    """Return whether scores come from one of some nodes by elementwise operations and few of them."""
    ahead = [scores]
    for each in ahead:
        if each in causes:
            return True
        if len(ahead) < 32:
            ahead += [operand for operand in each.inputs if operand.ndim == scores.ndim]
    return False


def _changed_at(value: Array, axis: int, position: int, rows: int | None, row: int) -> Array:
    """Return a value with other numbers at a position, in one sample if it has several."""
    index: list[int | slice] = [slice(None)] * value.ndim
    index[axis] = position
    if rows is not None and rows != axis:
        index[rows] = row % value.shape[rows]
    new = value.copy()
    new[tuple(index)] = others_of(value)[tuple(index)]
    return new


def _overlap(labels: Array, made: Array) -> bool:
    """Return whether a prediction changed where its label did; the classes may be a further axis of the prediction."""
    if made.ndim == labels.ndim + 1 and made.shape[:-1] == labels.shape:
        made = np.asarray(made.any(axis=-1))
    if made.shape != labels.shape:
        return False
    return bool((made & labels).any())


# --- through what the network reads -----------------------------------------------------------------------------


@check(
    "labels-seen",
    "the prediction for a sample depends on its own label, which the network reads",
    "keep the labels out of what the network reads: only the loss needs them",
)
def labels_seen(run: Evaluation) -> Iterator[Finding]:
    """Change a label, and look whether the prediction that it is compared with changes."""
    roles = run.part(Roles)
    if not roles.meetings or run.failure is not None:
        return
    inputs = [node for node in roles.read if node not in roles.targets]
    # To give back several numbers that were read is what an autoencoder does.
    both = [node for node in roles.targets if node in roles.read and inputs and _is_of_labels(run, node)]
    shifted = {each.read for each in run.part(_shifts)}
    for labels in both:
        if labels in shifted:
            continue
        plain = _unmixed(run, labels)
        for meeting in roles.meetings:
            if labels not in run.ancestors([meeting.labels]):
                continue
            value = run.value_of(labels)
            index = _counted(run, labels, meeting)
            new = value.copy()
            new[index] = others_of(value)[index]
            try:
                after = run.all_after({labels: new}, [meeting.made, meeting.labels])
            except CannotTry as error:
                run.unchecked["labels in inputs"] = error.reason
                return
            ends = [changed(run.value_of(n), after[run.places[n]]) for n in (meeting.labels, meeting.made)]
            before = run.ancestors([meeting.made])
            # What is added after the last parameter, as a margin by the label, teaches nothing about it.
            readers = [node for node in roles.region if labels in node.inputs and node in before]
            readers = [node for node in readers if node in run.met_by_parameters]
            if readers and _overlap(*ends):
                reader = readers[0]
                cause = (
                    f"the prediction {meeting.made.name}{at_line(meeting.made)} depends on the label that it is "
                    f"compared with: {reader.name}{at_line(reader)} reads {labels.name}{at_line(labels)}"
                )
                severity = "warning" if plain else "note"
                yield labels_seen.of(reader, cause, severity=severity)
                break


def _is_of_labels(run: Evaluation, node: Node) -> bool:
    """Return whether a placeholder has classes, or one number for each sample."""
    value = run.value_of(node)
    if not value.size or not value.ndim:
        return False
    return value.dtype.kind in "iub" or value.size == value.shape[run.part(Roles).samples.get(node, 0)]


def _unmixed(run: Evaluation, labels: Node) -> bool:
    """Return whether labels are read as they are: as classes, or moved and scaled; not added to something else."""
    if labels.dtype.kind in "iub":
        return True
    ahead = [labels]
    for each in ahead:
        for user in run.readers(each):
            if user in run.part(Roles).made:
                return all(operand is each or not operand.inputs for operand in user.inputs)
            if user.op.rearranges or user.op.casts or user.op.name in ("concatenate", "one_hot", "stack"):
                ahead.append(user)
    return False


def _counted(run: Evaluation, labels: Node, meeting: Meeting) -> tuple[int, ...]:
    """Return the index of a label that counts in the loss: its prediction has a gradient, where one is computed."""
    value = run.value_of(labels)
    for derived in run.graph.cotangents.values():
        slope = derived.of.get(meeting.made)
        if slope is not None and slope in run.places and (x := run.value_of(slope)) is not None:
            counts = x.any(axis=-1) if x.ndim == value.ndim + 1 else x != 0
            if counts.shape == value.shape and counts.any():
                return tuple(map(int, np.unravel_index(int(counts.argmax()), value.shape)))
    return (0,) * value.ndim
