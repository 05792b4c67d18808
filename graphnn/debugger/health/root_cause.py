"""The cause of a bad value: why an operand has it, and which forward node makes a gradient bad."""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Node, Trait
from .evaluation import Evaluation, cell_of, count_of
from .findings import Culprit, Element, Finding, at_line, same_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..why import Index

GIVEN = ("fed-nan", "fed-inf")
"""The codes of findings that no operation causes."""


def because(run: Evaluation, path: Sequence[Element]) -> str:
    """Return why an operand's element has its value."""
    if not path:
        return ""
    first, root = path[0], path[-1]
    if run.is_given(root.node):
        kind = run.given_as(root.node)
        kind = "" if kind == "a constant" else f", {kind}"  # the user's line shows it
        if len(path) == 1:
            return f"{root}{kind}" if kind else ""
        return f"{first.said} because {root}{kind}"
    place = run.places[root.node]
    read = run.read_elements(place, root.index)
    of = ", ".join(dict.fromkeys(str(each) for each in read if not isinstance(each.value, bool)))
    if not read and not (root.value and math.isfinite(root.value)):
        # One operand gave many elements: those add up to 0, or some are bad.
        several = run.why(place, root.index).reads
        of = ", ".join(f"{each.node.name}[{each.place}] = {each.said}" for each in several if len(several) == 1)
    if not of:
        return f"{root}{at_line(root.node)}" if len(path) > 1 else ""
    made = f"{of} in {root.node.name}{at_line(root.node)}"
    traits = root.node.op.traits
    lost = root.value == 0 and Trait.UNDERFLOWS in traits and all(math.isfinite(each.value) for each in read)
    if lost and (Trait.FADES in traits or all(each.value != 0 for each in read)):
        return f"0 because {made}, an underflow"
    return f"{first.said} because {made}"


def chain_of(run: Evaluation, paths: Sequence[tuple[Element, ...]]) -> tuple[Element, ...]:
    """Return the path to the worst operand, and what that was made of."""
    way = max(paths, key=lambda path: (bool(path) and not math.isfinite(path[0].value), len(path)), default=())
    if not way or run.is_given(way[-1].node):
        return way
    return (*way, *run.read_elements(run.places[way[-1].node], way[-1].index))


def culprit_of(run: Evaluation, place: int, index: Index, paths: Sequence[tuple[Element, ...]]) -> Culprit:
    """Return the forward node that causes a gradient's bad value."""
    node = run.order[place]
    for path in paths:
        if path and not math.isfinite(path[0].value):
            root: Element = path[-1]
            made = [each for each in path if each.node.phase == "backward"]
            if not run.is_given(root.node):
                if root.node.phase == "forward":
                    return Culprit(root.node, root.index, run.read_elements(run.places[root.node], root.index))
            elif made:  # a given value is not to blame, but the node that used it
                root = made[-1]
            if root.node.phase == "backward" and root.node.twin is not None:
                node, index = root.node, root.index
            break
    assert node.twin is not None, "only nodes of derivatives have a culprit"
    found = _at_twin(run, run.prepared.shape_of(node), index, node.twin)
    own: tuple[Element, ...] = ()
    if found.index is not None and found.node in run.places:
        own = (run.element(run.places[found.node], found.index),)
    for each in own + found.operands:
        if not math.isfinite(each.value):
            # It is bad in the forward pass already: blame the node where it arose.
            first = run.path(run.places[each.node], each.index)[-1]
            if not run.is_given(first.node):
                return Culprit(first.node, first.index, run.read_elements(run.places[first.node], first.index))
            return found._replace(operands=found.operands or (first,))
    return found


def _at_twin(run: Evaluation, shape: Index, index: Index, twin: Node) -> Culprit:
    """Return the element of a forward node that belongs to an element of its gradient, of this shape."""
    there = [run.places[operand] for operand in twin.inputs if operand in run.places]
    own = run.prepared.shape_of(twin)
    steady = Trait.STEADY in twin.op.traits
    alike = tuple(run.element(i, index) for i in dict.fromkeys(there) if run.values[i].shape == shape and not steady)
    if twin.op.elementwise and own == shape:
        if steady or len(there) < len(twin.inputs):
            return Culprit(twin, index, alike)
        operands = [run.values[i] for i in there]
        entries = run.prepared.op_of(twin).reads(index, operands)
        read = [
            run.element(i, cell_of(entry, x.shape))
            for i, entry, x in zip(there, entries, operands, strict=True)
            if entry is not None and count_of(entry, x.shape)
        ]
        return Culprit(twin, index, tuple(read))
    if alike:
        return Culprit(twin, None, alike)
    if [n for n in own if n != 1] == [n for n in shape if n != 1]:
        flat = int(np.ravel_multi_index(index, shape)) if shape else 0
        return Culprit(twin, tuple(map(int, np.unravel_index(flat, own))), ())
    return Culprit(twin, None, ())


def stopper_of(node: Node, paths: Sequence[tuple[Element, ...]]) -> Node | None:
    """Return the `where` of the forward pass that made a gradient 0, which then met an inf."""
    for each in chain.from_iterable(paths):
        slope, twin = each.node, each.node.twin
        made = each.value == 0 and slope.op.selects and slope.phase == "backward"
        if made and twin is not None and twin.phase == "forward" and twin is not node.twin:
            return twin
    return None


def _of_the_culprit(run: Evaluation, culprit: Culprit, found: Sequence[Finding]) -> list[Finding]:
    """Return the findings about the culprit's element, or about elements like it."""
    if culprit.index is None or not found:
        return list(found[:1])
    element = run.element(run.places[culprit.node], culprit.index)
    own = [each for each in found if each.index == culprit.index]
    return own or [each for each in found if not math.isfinite(element.value) and not _is_another(element, each)]


def _is_another(each: Element, source: Finding) -> bool:
    """Return whether a finding about its node does not concern an element."""
    found = source.value
    return (
        found is not None
        and not math.isfinite(found)
        and (math.isfinite(each.value) or math.isnan(each.value) != math.isnan(found))
    )


def _follows(run: Evaluation, finding: Finding, source: Finding) -> bool:
    """Return whether mending an earlier finding also mends a forward one that follows from it.

    Not if the infinity may be intended, such as that of a mask, and the mistake is what is done with it.
    """
    if source.code in GIVEN or source.code == "overflow":
        return True
    if source.code == "division-by-zero" and finding.code == "inf-minus-inf":
        return not finding.node.op.elementwise  # such as a matrix product, which adds up
    if run.hidden[run.places[source.node]] and run.hidden[run.places[finding.node]]:
        return True
    # x * log(x): the infinity comes from the same 0 that it is multiplied with.
    read, its = ({(each.node, each.index) for each in found.operands} for found in (finding, source))
    return finding.code == "zero-times-inf" and not read.isdisjoint(its)


def without_consequences(run: Evaluation, arising: Sequence[Finding]) -> list[Finding]:
    """Return the findings without those that only follow from another one; that one leads to them.

    A gradient's finding goes with the forward one that causes it. But if a `where` hides the forward one, the
    gradient is what is wrong, and the forward one is its culprit.
    """
    kept: dict[Finding, None] = {}
    at: dict[Node, list[Finding]] = {}
    replaced_by: dict[Finding, Finding] = {}

    def heir(finding: Finding) -> Finding:
        while finding in replaced_by:
            finding = replaced_by[finding]
        return finding

    alike: dict[Any, list[Finding]] = {}
    for finding in arising:
        if finding.operands:
            read = tuple([(each.node, each.index) for each in finding.operands])
            kind = finding.code, finding.severity, finding.hidden_by, finding.node.phase, finding.node.op
            twins = alike.setdefault((*kind, read), [])
            twins.append(finding)
            if len(twins) > 1:
                at.setdefault(finding.node, []).append(twins[0])
                continue
        upstream = list(finding.chain)
        if finding.culprit is not None:
            upstream += finding.culprit.operands
        sources = [found for each in upstream for found in at.get(each.node, ()) if not _is_another(each, found)]
        if finding.culprit is not None:
            sources += _of_the_culprit(run, finding.culprit, at.get(finding.culprit.node, []))
        at.setdefault(finding.node, []).append(finding)
        kept[finding] = None
        if not sources:
            continue
        source = sources[-1]
        root = heir(source)
        phase, given = finding.node.phase, source.code in GIVEN
        if phase == "forward" and not _follows(run, finding, source):
            continue
        takes_over = root is source and not given and phase == "backward"
        if source.node.phase == "forward":
            place = run.places[source.node]
            takes_over &= run.hidden[place] or (finding.hidden_by is not None and not run.seen[place])
        else:
            takes_over &= source.code != "overflow" and math.isnan(finding.value or 0)
            takes_over &= not math.isnan(source.value or 0)
        if takes_over:
            del kept[source]
            replaced_by[source] = finding
            finding.leads_to += source.leads_to
            culprit = finding.culprit
            if culprit is not None and culprit.node is source.node and source.index is not None:
                finding.culprit = Culprit(source.node, source.index, source.operands, source.code)
                if not source.node.op.elementwise:
                    finding.remedy = source.remedy
        else:
            del kept[finding]
            replaced_by[finding] = root
            root.leads_to += (finding,)
            if finding.severity == "error":
                root.severity = "error"
    for first, *others in alike.values():
        first.cause += same_in(each.node for each in others)
    return list(kept)
