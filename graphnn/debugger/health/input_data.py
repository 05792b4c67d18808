"""What the network reads: labels among it, and data that vary no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...core import is_float
from .check_registry import check
from .evaluation import Evaluation, dependents
from .findings import at_line, rounded
from .node_roles import Roles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...core import Array, Node
    from .findings import Finding

MANY_LABELS = 8
"""Labels that equal the input are reported if there are at least this many, and not all equal."""
MANY_ROWS = 8
"""A feature tells the labels only if there are at least so many samples."""
MOST_ROWS, FEWEST_ROWS, MOST_NUMBERS = 4096, 256, 2**24
"""So many samples are compared with the labels; fewer, down to the second, if they have more numbers than the third."""


@check(
    "labels-are-inputs",
    "the labels of a loss equal the network's input, or a column of it",
    "feed the labels, and keep them out of the network's input; for a network that reproduces its input, use one "
    "placeholder for both",
)
def labels_are_inputs(run: Evaluation) -> Iterator[Finding]:
    """Look whether labels equal the network's input, or a column of it."""
    if run.failure is not None:
        return
    met, trained = run.met_by_parameters, run.part(Roles).trained
    given = run.prepared.program.placeholders
    fed = [node for node in given if node.ndim and run.value_of(node).dtype.kind != "b"]
    for labels in fed:
        untrained = [each for each in dependents(run.order, {labels}) if each not in trained]
        if labels in met or trained.isdisjoint(user for each in untrained for user in each.users):
            continue
        equal = next(filter(None, (_equal(run, labels, node) for node in fed if node in met)), "")
        if equal:
            which = np.ones(run.value_of(labels).shape, bool)
            cause = f"{labels.name}{at_line(labels)}, the labels of a loss, equal {equal}"
            yield labels_are_inputs.at(run, run.places[labels], which, cause)
            return
    yield from _told(run)


def _told(run: Evaluation) -> Iterator[Finding]:
    """Look whether some features of an input tell the labels, or are the labels of the next position."""
    roles = run.part(Roles)
    if roles.meetings:
        compared = min([_compared(run, node) for node in roles.read if node in roles.samples], default=roles.rows)
        run.checked["labels in inputs"] = "" if compared == roles.rows else f"{compared:,} of {roles.rows:,} rows"
    for labels in roles.targets:
        for node in [node for node in roles.read if node not in roles.targets]:
            features, whole = told_by(run, labels, node)
            later = _is_next(run.value_of(labels), run.value_of(node))
            if not features and not later:
                continue
            where = f"{labels.name}{at_line(labels)}, the labels of a loss"
            if features:
                cause = f"{features} of {node.name}{at_line(node)}, which the network reads, tells {where}"
                remedy = f"leave it out of {node.name}: the network learns to copy it, and nothing else"
            else:
                cause = f"{where}, are {node.name} shifted the wrong way: each is what the network read just before"
                remedy = f"feed x[:, :-1] as {node.name} and x[:, 1:] as {labels.name}: the label is what comes next"
            severity = "note" if whole else "warning"
            about = {"index": (0,) * labels.ndim, "value": run.value_of(labels).flat[0].item(), "remedy": remedy}
            yield labels_are_inputs.of(labels, cause, severity=severity, **about)
            return


def _is_next(labels: Array, read: Array) -> bool:
    """Return whether each label of a sequence is what was read one position earlier, and so is nothing to predict."""
    if (
        labels.shape != read.shape
        or labels.ndim < 2
        or labels.dtype.kind != "i"
        or labels.shape[1] < 3
        or not labels.size
    ):
        return False
    # To repeat what was read is a task of its own, which begins with something else, the same for all.
    begins_alike = bool((labels[:, 0] == labels[0, 0]).all())
    return not begins_alike and np.array_equal(labels[:, 1:], read[:, :-1])


def _equal(run: Evaluation, labels: Node, node: Node) -> str:
    """Return which part of a fed input some labels equal; "" if none, or if it may be intended."""
    wanted, given = run.value_of(labels), run.value_of(node)
    if wanted.size < MANY_LABELS or (wanted == wanted.flat[0]).all():
        return ""
    if wanted.shape == given.shape and np.array_equal(wanted, given):
        single = wanted.size == wanted.shape[0] or wanted.dtype.kind in "iu"
        return f"{node.name}, the network's input" if single or not _is_squeezed(run, node) else ""
    if given.ndim == 2 and wanted.size == wanted.shape[0] == given.shape[0]:
        same = (given == wanted.reshape(-1, 1)).all(axis=0)
        if same.any():
            return f"{node.name}[:, {int(np.argmax(same))}], a column of the network's input"
    return ""


def _is_squeezed(run: Evaluation, node: Node) -> bool:
    """Return whether a network makes its input narrower or random on the way: then to reproduce it is a real task."""
    width = run.value_of(node)[0].size
    trained = run.part(Roles).trained
    for each in dependents(run.order, {node}):
        if each in run.forward_nodes and each in trained and each.shape:
            value = run.value_of(each)
            if value.ndim and each.op.contracts and value[..., :1].size and value.shape[-1] < width:
                return True
            if any(not operand.inputs and operand.op.name.startswith("random") for operand in each.inputs):
                return True
    return False


@check(
    "constant-input",
    "what is made of the fed data, before any parameter, is the same number everywhere",
    "check that operation: an integer divided by //, or cast before it is divided, becomes 0",
)
def constant_input(run: Evaluation) -> Iterator[Finding]:
    """Look whether data that vary become one number before a trained parameter meets them."""
    trained = run.part(Roles).trained
    for node, place in run.forward_nodes.items():
        value = run.values[place]
        if node in trained or node not in run.fed or not node.inputs or value is None or value.size < MANY_LABELS:
            continue
        read = [each for each in node.inputs if each in run.fed and run.value_of(each).size >= MANY_LABELS]
        is_data = value.dtype.kind in "iuf" and any(each.dtype.kind in "iuf" for each in read)
        if not is_data or (value != value.flat[0]).any() or node not in run.met_by_parameters:
            continue
        varied = [each for each in read if (run.value_of(each) != run.value_of(each).flat[0]).any()]
        if varied and node.op.name not in ("stop_gradient", "max", "min", "argmax", "argmin"):
            cause = (
                f"{varied[0].name}{at_line(varied[0])} varies, but all {value.size:,} elements of {node.name}"
                f"{at_line(node)} are {rounded(value.flat[0].item())}"
            )
            yield constant_input.of(node, cause)
            return


def told_by(run: Evaluation, labels: Node, read: Node) -> tuple[str, bool]:
    """Return which features of what a network reads tell the labels; and whether those are integers.

    A class is told where some features have one value in each class, and different ones in different classes. A number
    is told by a feature that is the same up to scale and shift.
    """
    roles = run.part(Roles)
    if labels not in roles.samples or read not in roles.samples:
        return "", False
    rows = _compared(run, read)
    wanted, given = (np.moveaxis(run.value_of(node), roles.samples[node], 0)[:rows] for node in (labels, read))
    if rows < MANY_ROWS:
        return "", False
    y, x = wanted.reshape(rows, -1), given.reshape(rows, -1)
    if x.dtype.kind not in "iuf" or y.dtype.kind not in "biuf" or not x.shape[1] or rows != len(x):
        return "", False
    if not np.isfinite(x).all() or not np.isfinite(y).all():
        return "", False
    x = x.astype(np.float64)
    if y.shape[1] > 1:
        if not ((y == 0) | (y == 1)).all() or not (y.sum(axis=1) == 1).all():
            return "", False
        y = y.argmax(axis=1)[:, None]
    y = y[:, 0]
    classes, of = np.unique(y, return_inverse=True)
    tells: list[int] = []
    if 2 <= len(classes) <= max(2, rows // 4):
        low = np.stack([x[of == c].min(axis=0) for c in range(len(classes))])
        high = np.stack([x[of == c].max(axis=0) for c in range(len(classes))])
        size = np.abs(x).max(axis=0) + np.finfo(float).tiny
        steady = ((high - low) <= 1e-6 * size).all(axis=0) & ((low.max(axis=0) - low.min(axis=0)) > 1e-3 * size)
        kept = np.flatnonzero(steady)
        if kept.size:
            known = np.round(low[:, kept] / size[kept], 6)
            if len(np.unique(known, axis=0)) == len(classes):
                single = [j for j in range(kept.size) if len(np.unique(known[:, j])) == len(classes)]
                tells = [int(kept[single[0]])] if single else [int(k) for k in kept]
    elif is_float(y.dtype) and x.shape[1] > 1 and len(classes) > 2:
        centred, line = x - x.mean(axis=0), y.astype(np.float64) - y.mean(dtype=np.float64)
        lengths = np.sqrt(np.square(centred).sum(axis=0)) * np.sqrt(np.square(line).sum())
        few = 1e-5 if np.float32 in (given.dtype, wanted.dtype) else 1e-9
        along = np.abs(line @ centred) / np.where(lengths > 0, lengths, np.inf)
        if (along >= 1 - few).any():
            tells = [int(along.argmax())]
    if not tells:
        return "", False
    return _features(run, read, tells, given.shape[1:]), given.dtype.kind in "iu"


def _compared(run: Evaluation, read: Node) -> int:
    """Return how many samples of what a network reads are compared with the labels."""
    roles = run.part(Roles)
    features = run.value_of(read).size // max(roles.rows, 1)
    return min(roles.rows, MOST_ROWS, max(FEWEST_ROWS, MOST_NUMBERS // max(features, 1)))


def _features(run: Evaluation, read: Node, tells: list[int], shape: tuple[int, ...]) -> str:
    """Return features as one would index them."""
    axis, named = run.part(Roles).samples[read], []
    for each in tells[:3]:
        index = [str(int(k)) for k in np.unravel_index(each, shape)] if shape else []
        index.insert(axis, ":")
        named.append(f"{read.name}[{', '.join(index)}]")
    more = f" and {len(tells) - 3:,} more" if len(tells) > 3 else ""
    return ", ".join(named) + more
