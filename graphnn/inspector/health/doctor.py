"""Where the numbers of a run go wrong, why, and what to do about it: `check_health`.

One run is made, by the one loop, and every value kept. The checks look at it, and what comes of one cause is told
once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import UsageError
from ...graph import Array, Graph, Node, Parameter, Unknown
from ..trace import Film, Trace, prepared_for
from . import arising, axes, gradients, losses, sizes, units, updates
from .blame import GIVEN
from .checks import all_checks, findings_of
from .evaluation import Evaluation, made_of
from .findings import Finding, Health, listed, names_of, said

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...execute.feed import Feed
    from ...execute.loop import Prepared

_IN_ORDER = [module.__name__ for module in (axes, sizes, units, losses, arising, gradients, updates)]
"""The families in the order in which they look: later ones ask what earlier ones found. All others come after them."""
REPEATED = frozenset({"saturated", "dead-units", "underflow", "near-overflow"})
"""What is told once of a line that makes many nodes, as a loop does."""
_TOO_LARGE = frozenset(
    {"overflow", "near-overflow", "inf-minus-inf", "inf-over-inf", "zero-times-inf", "undefined-at-inf"}
)
_OF_DIVERGENCE = _TOO_LARGE | {"exploding-gradient", "huge-parameter"}
"""What becomes of parameters that grow without bound."""


def _examine(run: Evaluation) -> list[Finding]:
    """Return what all checks find in a run."""
    families = {name: rank for rank, name in enumerate(_IN_ORDER)}
    looking = [each for each in all_checks().values() if each.look is not None]
    with np.errstate(all="ignore"):
        for each in sorted(looking, key=lambda each: families.get(each.look.__module__, len(families))):
            run.found += findings_of(each, run)
    run.found.sort(key=lambda each: run.places.get(each.node, 0))
    for put_together in (_bad_parameters, _same_place, _divergence, _growth, _repeated):
        put_together(run)
    return run.found


def _bad_parameters(run: Evaluation) -> None:
    """Tell once of parameters that are bad from the start."""
    bad = [each for each in run.found if isinstance(each.node.op, Parameter) and each.code in GIVEN]
    if len(bad) > 1:
        first, *others = bad
        elsewhere = list(dict.fromkeys(each.node for each in others if each.node is not first.node))
        infinite = [each.node for each in others if each.code == "fed-inf" and each.node is not first.node]
        own = [f"; {each.place} = {said(each.value or 0)}" for each in others if each.node is first.node]
        first.cause += "".join(own)
        first.cause += f"; and so are elements of {listed(elsewhere)}" if elsewhere else ""
        if infinite and first.code == "fed-nan":
            first.cause += f"; infinite are some of {listed(infinite)}"
        first.leads_to += tuple(after for each in others for after in each.leads_to)
        _drop(run, others)


def _same_place(run: Evaluation) -> None:
    """Tell once of what two checks say of one place."""
    meant = {each.node for each in run.found if each.code == "not-probabilities"}
    clipped = [each for each in run.found if each.code == "clipped-probability"]
    _drop(run, [each for each in clipped if each.operands[0].node in meant])
    overflows = [each for each in run.found if each.code == "overflow"]
    sources = {source for each in overflows for source in (each.node, *each.node.inputs)}
    _drop(run, [each for each in run.found if each.code == "near-overflow" and each.node in sources])


def _divergence(run: Evaluation) -> None:
    """Tell once of what becomes of parameters that have grown beyond reason."""
    steps = run.part(updates.Updates)
    grown = steps.grown
    if grown is None:
        return
    made_of_it = made_of(run.order, {grown.node})
    of_it = [each for each in run.found if each.code in _OF_DIVERGENCE and each.severity != "note"]
    of_it = [each for each in of_it if each.node in made_of_it]
    worst = next((each for each in of_it if each.severity == "error"), None)
    first = worst or next(each for each in of_it if each.code == "huge-parameter")
    first.remedy = steps.against_divergence
    if first.code != "huge-parameter":
        first.remedy = f"{grown.node.name} has grown to {said(grown.value)}, training diverges: {first.remedy}"
    others = [each for each in of_it if each is not first]
    first.leads_to += tuple([each for each in others if each.code != "huge-parameter"])
    _drop(run, others)


def _growth(run: Evaluation) -> None:
    """Tell of gradients that are too large on the way to one parameter, step by step of a loop, only once."""
    groups: list[tuple[set[Node], list[Finding]]] = []
    for each in run.found:
        twin = each.node.twin
        if each.code not in _TOO_LARGE or each.node.phase != "backward" or twin is None:
            continue
        tied = {node for node in (twin, *twin.inputs) if node.trainable} | {element.node for element in each.chain}
        known, found = next((group for group in groups if not tied.isdisjoint(group[0])), (set[Node](), []))
        if not found:
            groups.append((known, found))
        known |= {each.node, *(node for node in tied if node.trainable)}
        found.append(each)
    for _, found in groups:
        first = min(found, key=lambda each: each.severity != "error")
        others = [each for each in found if each is not first]
        if others:
            first.cause += f"; too large are numbers in {names_of(others)}, too"
            _drop(run, others)


def _repeated(run: Evaluation) -> None:
    """Tell once of what a line says that makes many nodes."""
    halves = [each for each in run.found if each.remedy == arising.HALF_OPTIMIZER]
    if len(halves) > 1:
        halves[0].cause += f"; so it is in {names_of(halves[1:])}"
        _drop(run, halves[1:])
    if any(each.code == "large-update" and each.severity == "warning" for each in run.found):
        # What few units do says nothing beside a step that is far too large.
        _drop(run, [each for each in run.found if each.code in REPEATED and each.severity == "note"])
    lines: dict[Any, list[Finding]] = {}
    for each in run.found:
        if each.code in REPEATED:
            of_line = each.code, each.severity, each.node.op.name, each.node.origin
            lines.setdefault(of_line, []).append(each)
    for first, *others in lines.values():
        if len(others) > 1:
            first.cause += f"; more of the kind in {names_of(others)}"
            _drop(run, others)


def _drop(run: Evaluation, told: Sequence[Finding]) -> None:
    gone = set(told)
    run.found = [each for each in run.found if each not in gone]


def check_health(
    target: Any,
    feed: Feed | None = None,
    *,
    sizes: Mapping[str, int] | None = None,
    graph: Graph | None = None,
) -> Health:
    """Evaluate, and tell where NaN, inf, overflow and their like arise, why, and what to do about it.

    Parameters
    ----------
    target : Node, str, or list, tuple or dict of them, Compiled, Trace, or Film
        Fetches; or a compiled step, whose updates are evaluated and not made; or what a trace is of; or the calls of
        a step that were recorded: the first with an error is told, or else the first with a warning.
    feed, sizes, graph
        As `graphnn.run` takes them.

    Returns
    -------
    Health
        True if all is well; else the findings, the worst first.

    Raises
    ------
    GraphnnError
        When the feed does not fit, as `graphnn.run` does. An operation that fails in the run is a finding.

    Notes
    -----
    A constant of inf is meant so, and one that is fed as long as it spoils no result: masks are made of them.
    The rest is decided by the checks and their thresholds in `graphnn.inspector.health`. All values are kept until it
    returns.

    Examples
    --------
    >>> from graphnn.autograd import grad
    >>> from graphnn.graph import fn
    >>> g = Graph()
    >>> x = g.placeholder("x", shape=("n",))
    >>> y = fn.where(x > 0, fn.log(x), 0.0)
    >>> health = check_health(grad(fn.sum(y), x), {x: [0.0, 2.0]})
    >>> health.ok, health.first.code, health.first.place
    (False, 'zero-over-zero', 'grad/divide[0]')
    >>> health.first.culprit.node.name, health.first.hidden_by.name
    ('log', 'where')
    >>> print(health.first.remedy)
    mask the input of log instead, gn.log(gn.where(condition, x, 1)): both branches of a where are computed, and a
    gradient of 0 becomes NaN in the hidden one
    """
    if not isinstance(target, Film):
        seen = target if isinstance(target, Trace) else ()
        recorded = {record.index: record.value for record in seen if isinstance(record.op, Unknown) and record.kept}
        return _examined(*prepared_for(target, feed, sizes, graph), recorded=recorded)
    if feed is not None or sizes is not None or graph is not None:
        raise UsageError("a film holds the feed of every call: it takes no other, and no sizes= and graph=")
    if not target:
        raise UsageError("the film holds no trace: call the step while gn.recording(step) lasts")
    early: Health | None = None
    warned: Health | None = None
    notes: dict[tuple[str, Node], Finding] = {}
    for call, trace in zip(target.calls, target, strict=True):
        health = _examined(trace.prepared, trace.updates, call)
        if health.errors:
            health.before = early
            return health
        if warned is None and not health.ok:
            warned = health
            warned.before = early
        if early is None and (not health.ok or any(note.code == "large-update" for note in health.notes)):
            early = health
        for note in health.notes:
            if (note.code, note.node) not in notes:
                note.cause += f"; at call {call} first"
                notes[note.code, note.node] = note
    if warned is not None:
        return warned
    return Health(health.graph, health.count, list(notes.values()), calls=len(target))


def _examined(
    prepared: Prepared, steps: Mapping[Node, Node], call: int | None = None, recorded: Mapping[int, Array] = {}
) -> Health:
    run = Evaluation(prepared, recorded, steps)
    return Health(run.graph, run.count, _examine(run), call)
