"""Units of a relu, or of another operation that dies, that are 0 for a whole batch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..._util.text import counted
from ...core import Array, Node, Trait
from .check_registry import check
from .evaluation import CannotTry, Evaluation, before_constants, cell_of, count_of, dependents
from .findings import at_line, first_of, indexed, rounded
from .node_roles import Roles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .findings import Finding

DEAD_BATCH = 32
"""A unit that is 0 for a whole batch is dead if it has so many numbers there. It takes so many rows for a warning."""
FEW_UNITS = 8
"""The units of a smaller layer that the data pass by, as those of a gate, may be dead."""
DEAD_SHARE, NEARLY_ALL = 0.5, 0.9
"""From this share of a layer's units on, dead units are a warning; the first is for units that a bias keeps dead. Fewer
are a note: many networks learn well with some."""
ZEROS = "start with weights that are not all 0, such as those of nn.init.he_normal"
_FEW_SUMMED = 64  # nodes of one sum


@check(
    "dead-units",
    "units of a relu that are 0 for the whole batch, of 32 rows or more",
    "lower the learning rate, use nn.init.he_normal, or scale the inputs to about 1; gn.leaky_relu revives dead units",
)
def dead(run: Evaluation) -> Iterator[Finding]:
    """Look at each layer that ends with a relu, or with another operation that dies."""
    few: list[int] = []  # how many numbers units have that are too few to tell
    for place, value in run.forward:
        node = run.order[place]
        if not _dies(node) or value.ndim < 2:
            continue
        samples = _axis_of_samples(node)
        rows = value.shape[samples]
        if not _is_of_a_layer(run, node):
            continue
        along = _axes_of_units(run, place) or (value.ndim - 1 if samples != value.ndim - 1 else 0,)
        each = value.size // max(math.prod(value.shape[axis] for axis in along), 1)
        if each < DEAD_BATCH:
            few.append(each)
            continue
        run.checked["units"] = ""
        # Where no weights tell them, the units are along the last axis; others, such as time, may be padded.
        others = tuple(axis for axis in range(value.ndim) if axis not in along)
        gone: Array = np.asarray(~value.any(axis=others))
        if not gone.any():
            continue
        made_by = _made_by(node)
        uses = run.part(_uses).get(made_by, [])
        if uses and uses[0] != place:
            continue  # units that are used several times are reported at their first use
        later = [again for again in uses[1:] if run.values[again] is not None]
        alike = [run.order[again] for again in later if run.values[again].shape == value.shape]
        for again in alike:
            gone &= ~run.value_of(again).any(axis=others)
        if count := int(np.count_nonzero(gone)):
            first, index = first_of(gone), [0] * value.ndim
            for axis, at in zip(along, first, strict=True):
                index[axis] = at
            kernels = {each for each, times, _ in _weights_of(run, place, tuple(index)) if times}
            weighted = not kernels or any(run.values[each].any() for each in kernels)
            why, remedy = _reason(run, place, gone, along, [node, *alike])
            yield dead.of(
                node,
                f"{count:,} of {gone.size:,} units of {node.name} are 0 for all {rows:,} "
                f"{'columns' if samples else 'rows'} of the batch, and get no gradient{why}",
                severity="warning" if rows >= DEAD_BATCH and _matters(run, node, gone, bool(why)) else "note",
                index=tuple(index),
                value=0.0,
                remedy=(remedy or dead.remedy) if weighted else ZEROS,
                count=count,
                size=gone.size,
            )
    if few and "units" not in run.checked:
        run.unchecked["units"] = f"{counted(max(few), 'number')} of a unit; {DEAD_BATCH} are enough"


def _dies(node: Node) -> bool:
    """Return whether a node is a relu, or another operation that dies; maximum(x, 0) is one."""
    if node.op.name == "maximum":
        return any(each.op.is_constant and each.value.size == 1 and not each.value.any() for each in node.inputs)
    return Trait.DIES in node.op.traits


def _matters(run: Evaluation, node: Node, gone: Array, blamed: bool) -> bool:
    """Return whether dead units are many enough to matter: not some, and not all of a gate that the data pass by."""
    if np.count_nonzero(gone) < (DEAD_SHARE if blamed and gone.size >= FEW_UNITS else NEARLY_ALL) * gone.size:
        return False
    roles = run.part(Roles)
    around = dependents([each for each in run.forward_nodes if each is not node], roles.read)
    return blamed or gone.size >= FEW_UNITS or around.isdisjoint(each.made for each in roles.meetings)


def _axes_of_units(run: Evaluation, place: int) -> tuple[int, ...]:
    """Return along which axes of a relu's result the units lie: those along which other weights, or biases, make it.

    () if nothing tells.
    """
    shape = run.values[place].shape
    start = _weights_of(run, place, (0,) * len(shape))
    kernels = {each for each in start if each[1]}
    found = []
    for axis, length in enumerate(shape):
        if length > 1:
            other = _weights_of(run, place, tuple(int(k == axis) for k in range(len(shape))))
            if {each for each in other if each[1]}.isdisjoint(kernels) if kernels else other.isdisjoint(start):
                found.append(axis)
    return tuple(found) if start else ()


def _weights_of(run: Evaluation, place: int, index: tuple[int, ...]) -> set[tuple[int, bool, tuple[int, ...]]]:
    """Return the trained numbers that make an element, one of each operand: place, whether multiplied, and index."""
    found: set[tuple[int, bool, tuple[int, ...]]] = set()
    waiting: list[tuple[int, tuple[int, ...], bool]] = [(place, index, False)]
    while waiting and len(found) < _FEW_SUMMED:
        here, at, times = waiting.pop()
        node, op = run.order[here], run.op(here)
        if node.trainable:
            found.add((here, times, at))
            continue
        onward = here == place or times or Trait.SCALES in op.traits or op.casts or op.contracts
        if not (onward or op.rearranges) or run.is_given(node):
            continue
        multiplies = times or op.contracts
        for source, entry in zip(run.inputs[here], run.reads(here, at), strict=True):
            operand = run.order[source]
            if times and not (operand.trainable or operand.op.rearranges or operand.op.casts):
                continue
            if op.contracts and operand in run.fed:
                continue  # the data
            array = run.values[source]
            if entry is not None and array is not None and count_of(entry, array.shape):
                waiting.append((source, cell_of(entry, array.shape), multiplies))
    return found


def _reason(run: Evaluation, place: int, gone: Array, along: tuple[int, ...], uses: Sequence[Node]) -> tuple[str, str]:
    """Return why units are dead, and what to do: whether they would live if their bias, or its sign, were another."""
    shape = run.values[place].shape
    index = [0] * len(shape)
    for axis, at in zip(along, first_of(gone), strict=True):
        index[axis] = at
    for source, times, cell in sorted(_weights_of(run, place, tuple(index))):
        bias = run.order[source]
        value = run.values[source]
        if times or not value[cell] < 0:
            continue
        without = value.copy()
        without[without < 0] = 0
        try:
            after = run.after({bias: without}, uses)
        except CannotTry:
            return "", ""
        others = tuple(axis for axis in range(len(shape)) if axis not in along)
        revived = np.logical_or.reduce([each.any(axis=others) for each in after]) & gone
        if revived.all(where=gone):
            name = indexed(bias, cell)
            why = (
                f"; their bias is to blame: {name}{at_line(bias)} = {rounded(value[cell].item())}, and with 0 they live"
            )
            return why, "let biases begin at 0; if they fell so low in training, lower the learning rate"
    for source, times, _ in sorted(_weights_of(run, place, tuple(index))):
        kernel = run.order[source]
        if times and (run.values[source] <= 0).all():
            return f"; all weights of {kernel.name}{at_line(kernel)} are negative", dead.remedy
    return "", ""


def _axis_of_samples(node: Node) -> int:
    """Return along which axis of a relu's result the samples lie: the named one, or that without weights."""
    named = [axis for axis, dim in enumerate(node.shape) if isinstance(dim, str)]
    if node.ndim != 2 or len(named) > 1:
        return 0
    if named:
        return named[0]
    product = next((each for each in _summands(node) if each.op.name == "matmul"), None)
    return int(product is not None and [_before_moves(x).trainable for x in product.inputs] == [True, False])


def _made_by(node: Node) -> frozenset[Node]:
    """Return the trained parameters that make a relu's input, with no other function in between."""
    factors = [x for each in _summands(node) for x in (each.inputs if each.op.contracts else (each,))]
    return frozenset(factor for factor in map(_before_moves, factors) if factor.trainable)


def _uses(run: Evaluation) -> dict[frozenset[Node], list[int]]:
    """Return the places of the relus of the same units, by the parameters that make them."""
    found: dict[frozenset[Node], list[int]] = {}
    for node, place in run.forward_nodes.items():
        if _dies(node) and (made_by := _made_by(node)):
            found.setdefault(made_by, []).append(place)
    return found


def _is_of_a_layer(run: Evaluation, node: Node) -> bool:
    """Return whether a relu is part of a network, not of a loss.

    It is if a trained parameter meets it later, or if it alone reads what a parameter makes of the feed. A relu of a
    loss is a penalty on outputs that are used without it, or on the parameters themselves.
    """
    read = before_constants(next(each for each in node.inputs if not each.op.is_constant))
    made = read in run.fed and any(operand.trainable for operand in read.inputs)
    return (made and len(run.readers(read)) == 1) or node in run.met_by_parameters


def _summands(node: Node) -> list[Node]:
    """Return a node's inputs, and all that those are sums of."""
    ahead = list(node.inputs)
    for each in ahead:
        if Trait.SCALES in each.op.traits and len(ahead) < _FEW_SUMMED:
            ahead += each.inputs
    return ahead


def _before_moves(node: Node) -> Node:
    """Return the node before it was transposed, sliced or cast."""
    while len(node.inputs) == 1 and (node.op.rearranges or node.op.casts):
        node = node.inputs[0]
    return node
