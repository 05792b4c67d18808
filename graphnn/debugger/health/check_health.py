"""Where the numbers of a run go wrong, why, and what to do about it: `check_health`.

It makes one run and keeps every value. The checks look at it; findings with one cause are reported as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np

from ...compiler.compile import Compiled
from ...control_flow.unrolled_run import counterpart, has_loops
from ...core import Array, Graph, Node
from ...errors import UsageError
from ...runtime.batches import holds_chunks
from ...runtime.cluster_port import check_exact
from ..iteration_traces import with_fault
from ..traces import Recording, Trace, prepared_for
from . import (
    attention_checks,
    batch_mixing,
    dead_units,
    gradients,
    gradients_over_time,
    input_data,
    label_leaks,
    loss_inputs,
    mixed_axes,
    nan_inf,
    parameter_updates,
    update_direction,
    worse_than_guessing,
)
from . import overflow as sizes
from .batch_search import Search
from .check_registry import all_checks, findings_of
from .evaluation import THOROUGH, TRIALS, Evaluation, dependents
from .findings import Finding, Health, listed, rounded, same_in
from .node_roles import Roles
from .root_cause import GIVEN
from .training_facts import Training

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...runtime.batches import Data
    from ...runtime.evaluation_loop import Prepared

_FAMILIES = [
    module.__name__
    for modules in (
        (mixed_axes, attention_checks, sizes, dead_units, loss_inputs, input_data, label_leaks, batch_mixing),
        (nan_inf, worse_than_guessing, gradients, gradients_over_time, parameter_updates, update_direction),
    )
    for module in modules
]
"""The modules of checks in the order in which they look: later ones use what earlier ones found. Others come last."""
REPEATED = frozenset(
    {"saturated", "dead-units", "underflow", "near-overflow"}
    | {"softmax-axis", "unscaled-scores", "mask-after-softmax", "row-masked"}
)
"""Findings that are reported once per line, as a line in a loop makes many nodes."""
_TOO_LARGE = frozenset(
    {"overflow", "near-overflow", "inf-minus-inf", "inf-over-inf", "zero-times-inf", "undefined-at-inf"}
)
_OF_DIVERGENCE = _TOO_LARGE | {"exploding-gradient", "huge-parameter"}
"""Findings that follow when parameters grow without bound."""
_OF_ADDED_MASKS = _OF_DIVERGENCE | {
    "large-update",
    "worse-than-guessing",
    "saturated",
    "units-alike",
    "vanishing-gradient",
}
"""Findings that follow when a mask of large negative numbers is added to weights."""
_OF_SOFTMAXES = frozenset({"softmax-axis", "not-probabilities", "mask-after-softmax", "row-masked"})
"""Findings about a softmax that say why samples mix in it, or why what comes later is seen."""
_EXPLAINS_LOSSES = frozenset({"every-pair", "other-axis", "out-of-reach", "not-probabilities", "huge-parameter"})
"""Findings that say why a loss is worse than that of guessing."""
_OF_MASKED_ROWS = frozenset({"inf-minus-inf", "zero-over-zero"})
"""Findings in a softmax that follow when a row of its scores is masked whole."""


def _examine(run: Evaluation) -> list[Finding]:
    """Return what all checks find in a run."""
    ranks = {name: rank for rank, name in enumerate(_FAMILIES)}
    looking = [each for each in all_checks().values() if each.look is not None]
    with np.errstate(all="ignore"):
        for each in sorted(looking, key=lambda each: ranks.get(each.look.__module__, len(ranks))):
            run.found += findings_of(each, run)
    run.found.sort(key=lambda each: run.places.get(each.node, 0))
    for put_together in (
        (_bad_parameters, _same_place, _explained, _divergence, _growth, _repeated) if run.found else ()
    ):
        put_together(run)
    return run.found


def _cover(run: Evaluation) -> None:
    """Say which kinds of checks ran, beside those that said so themselves, and which could not, and why."""
    run.checked = {"values": "", **run.checked}
    parameters = [node for node in run.order if node.op.is_parameter]
    if not parameters:
        return
    forward_only = "forward only: give a compiled step for gradients and updates"
    if not any(node.trainable for node in parameters):
        forward_only = "nothing is trained"
    elif run.updates:
        forward_only = "the step computes none"
    if run.part(Training).slopes:
        run.checked["gradients"] = ""
    else:
        run.unchecked["gradients"] = forward_only
    if any(node.trainable for node in run.updates):
        run.checked["updates"] = ""
    else:
        alone = "no updates: give a compiled step"
        run.unchecked["updates"] = forward_only if "gradients" in run.unchecked else alone
    asked = ("labels in inputs", "rows", "loss beside guessing")
    for name in asked if run.part(Roles).losses or run.updates else ():
        if name not in run.checked:
            why = "an operation fails" if run.failure is not None else "no label meets a prediction in the loss"
            run.unchecked.setdefault(name, why)


def _bad_parameters(run: Evaluation) -> None:
    """Put together parameters that have NaN or inf from the start."""
    found = [each for each in run.found if each.node.op.is_parameter and each.code in GIVEN]
    if len(found) > 1:
        first, *others = found
        own = [f"; {each.place} = {rounded(each.value or 0)}" for each in others if each.node is first.node]
        elsewhere = dict.fromkeys(each.node for each in others if each.node is not first.node)
        has = "has" if len(elsewhere) == 1 else "have"
        first.cause += "".join(own) + (f"; {listed(elsewhere)} {has} NaN or inf, too" if elsewhere else "")
        first.leads_to += tuple(after for each in others for after in each.leads_to)
        _drop(run, others)


def _same_place(run: Evaluation) -> None:
    """Put together what two checks find in one place."""
    known = {each.node for each in run.found if each.code == "not-probabilities"}
    _drop(run, [each for each in run.found if each.code == "clipped-probability" and each.operands[0].node in known])
    overflows = [each.node for each in run.found if each.code == "overflow"]
    sources = {source for node in overflows for source in (node, *node.inputs)}
    _drop(run, [each for each in run.found if each.code == "near-overflow" and each.node in sources])
    rows = [each for each in run.found if each.code == "row-masked"]
    masked = {node: each for each in rows for node in attention_checks.softmax_of(run, each.node)}
    follow = [each for each in run.found if each.code in _OF_MASKED_ROWS and each.node in masked]
    for each in follow:
        masked[each.node].leads_to += each.leads_to
    _drop(run, follow)


def _explained(run: Evaluation) -> None:
    """Put what another finding explains below it, or leave it out."""
    added = next((each for each in run.found if each.code == "mask-after-softmax" and each.node.op.signs), None)
    if added is not None:
        after = dependents(run.order, {added.node})
        grown = [each for each in run.found if each.code in _OF_ADDED_MASKS and each.node in after]
        added.leads_to += tuple(each for each in grown if each.severity != "note")
        _drop(run, grown)
    softmaxes = [each for each in run.found if each.code in _OF_SOFTMAXES]
    mixed = [each for each in run.found if each.code in ("rows-mixed", "future-seen")]
    around = {node for each in softmaxes for node in (each.node, *each.node.inputs)} | {
        node for each in softmaxes for node in run.order if each.node.scope and node.scope == each.node.scope
    }
    around |= {node for each in softmaxes for node in attention_checks.softmax_of(run, each.node)}
    _drop(run, [each for each in mixed if not around.isdisjoint({each.node, *each.node.inputs})])
    if any(each.code in _EXPLAINS_LOSSES for each in run.found):
        _drop(run, [each for each in run.found if each.code == "worse-than-guessing"])
    upward = next((each for each in run.found if each.code == "uphill" and each.severity != "note"), None)
    if upward is not None:
        upward.leads_to += tuple(each for each in run.found if each.code == "worse-than-guessing")
        _drop(run, upward.leads_to)
    if any(each.code == "uphill" for each in run.found):
        _drop(run, [each for each in run.found if each.code == "likelihood-falls"])
    larger = next((each for each in run.found if each.code == "worse-than-guessing"), None)
    if larger is not None:
        exploded = [each for each in run.found if each.code == "exploding-gradient"]
        larger.leads_to += tuple(exploded)
        _drop(run, exploded)


def _divergence(run: Evaluation) -> None:
    """Put together what follows from a parameter that has grown beyond reason."""
    steps = run.part(parameter_updates.Updates)
    grown = steps.grown
    if grown is None:
        return
    after = dependents(run.order, {grown.node})
    found = [each for each in run.found if each.code in _OF_DIVERGENCE and each.severity != "note"]
    found = [each for each in found if each.node in after]
    worst = next((each for each in found if each.severity == "error"), None)
    first = worst or next(each for each in found if each.code == "huge-parameter")
    first.remedy = steps.against_divergence
    if first.code != "huge-parameter":
        first.remedy = f"{grown.node.name} has grown to {rounded(grown.value)}, so training diverges: {first.remedy}"
    others = [each for each in found if each is not first]
    first.leads_to += tuple([each for each in others if each.code != "huge-parameter"])
    _drop(run, others)


def _growth(run: Evaluation) -> None:
    """Put together gradients that are too large on the way to one parameter, as at each step of a loop."""
    groups: list[tuple[set[Node], list[Finding]]] = []
    for each in run.found:
        twin = each.node.twin
        if each.code not in _TOO_LARGE or each.node.phase != "backward" or twin is None:
            continue
        trained = {node for node in (twin, *twin.inputs) if node.trainable}
        tied = trained | {element.node for element in each.chain}
        known, found = next((group for group in groups if not tied.isdisjoint(group[0])), (set[Node](), []))
        if not found:
            groups.append((known, found))
        known |= {each.node} | trained
        found.append(each)
    for _, found in groups:
        first = min(found, key=lambda each: each.severity != "error")
        if others := [each for each in found if each is not first]:
            first.cause += f"; numbers in {listed(each.node for each in others)} are too large, too"
            _drop(run, others)


def _repeated(run: Evaluation) -> None:
    """Put together what is found at each node of one line."""
    _merge(run, [each for each in run.found if each.remedy == nan_inf.HALF_OPTIMIZER])
    if any(each.code == "large-update" and each.severity == "warning" for each in run.found):
        # After a step that is far too large, single units say nothing.
        _drop(run, [each for each in run.found if each.code in REPEATED and each.severity == "note"])
    lines: dict[Any, list[Finding]] = {}
    for each in run.found:
        if each.code in REPEATED:
            lines.setdefault((each.code, each.severity, each.node.op.name, each.node.origin), []).append(each)
    for found in lines.values():
        if len(found) > 2:
            _merge(run, found)


def _merge(run: Evaluation, found: Sequence[Finding]) -> None:
    """Report several findings as the first of them."""
    if len(found) > 1:
        found[0].cause += same_in(each.node for each in found[1:])
        _drop(run, found[1:])


def _drop(run: Evaluation, found: Sequence[Finding]) -> None:
    gone = set(found)
    run.found = [each for each in run.found if each not in gone]


def check_health(
    target: Any,
    feed: Data | None = None,
    *,
    sizes: Mapping[str, int] | None = None,
    graph: Graph | None = None,
    batch_size: int | None = None,
    client: Any = None,
    exact: bool = True,
    thorough: bool = False,
) -> Health:
    """Make a run, and report where NaN, inf, overflow and the like arise, why, and what to do about it.

    With many batches, it looks for the first one in which NaN or inf arises or an operation fails, and for the sample
    that does it.

    Parameters
    ----------
    target : Node, str, or list, tuple or dict of them, Graph, Compiled, Trace, Recording, or Run
        Fetches; a graph, for its results and its updates; a compiled step, whose updates are evaluated but not made; a
        trace; or a film, the recorded calls of a step, of which the first with an error is reported, or else the first
        with a warning; or a run of `gn.watch`, whose last recorded step is looked at, and what its script does around
        it.
    feed : mapping of Node or str to array_like, iterable of batches, or function
        What one run is fed, as `graphnn.run` takes it. Or many batches, to be searched: from a loader, a generator, or
        a function that returns one, or of arrays, columns or shards of Dask, as `nn.evaluate` takes them; or of a
        mapping, with `batch_size` or `client`.
    sizes, graph
        As `graphnn.run` takes them.
    batch_size : int, optional
        Split the arrays of `feed` whose placeholder has a name as its first dimension into batches of so many rows, and
        search them. The others are passed whole. By default 1,024, where arrays or shards are searched.
    client : distributed.Client, optional
        Let the workers of this client of Dask search. The report is the same; what is found is looked into here. For
        this, the batch with the fault is sent here.
    exact : bool
        With a client: refuse workers that may compute other bits than this process. If False, only warn.
    thorough : bool
        Evaluate the run up to 200 times with something changed, not 20: more samples, and all positions in time.

    Returns
    -------
    Health
        True if it has no findings; else it holds them, worst first. It says what was checked and what could not be, and
        why. For many batches it is about the first one
        with an error, or else the first with a warning: `batch` and `sample` say where, the findings are those of the
        sample alone, as a batch of one row, and `trace` is its run. Where no sample alone has the fault, as when a sum
        over the batch overflows, `sample` is None, and the finding says how many have it together.

    Raises
    ------
    GraphnnError
        When the feed does not fit, as in `graphnn.run`. An operation that fails in the run is a finding.
    UsageError
        When many batches are given with a trace or a film, or `batch_size` with data that come in batches.
    ClusterError
        When workers may compute other bits, or they or the scheduler are lost.

    Notes
    -----
    A search computes the batches by a compiled plan, with the present parameters and without updates, and looks only at
    values that show every NaN and inf that there is. Only a batch that has one is looked at node by node, and split in
    half again and again. What is infinite or NaN and no fault, like the infinities of a mask, is not looked at again
    in the same node.

    Some checks try: they evaluate the run again, forward, with one sample, one position, one label or the sign of the
    gradients changed, and look what changes with it. State and feed stay as they are, and random numbers, as those of
    dropout, are the same in each trial.

    An infinite constant is taken as intended, and so is a fed inf that spoils no result: masks are made of them.
    The thresholds of the checks are in `graphnn.debugger.health`. All values are kept until it returns.

    Examples
    --------
    >>> from graphnn.autodiff.grad import grad
    >>> from graphnn.core import fn
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

    For many batches:

    >>> rows = np.ones(1000)
    >>> rows[700] = -1.0
    >>> health = check_health(fn.log(x), {x: rows}, batch_size=64)
    >>> health.batch, health.sample, health.first.code, float(health.trace["x"].value[0])
    (10, 700, 'log-of-negative', -1.0)
    """
    check_exact(client, exact)
    own = getattr(target, "check_health", None)  # of a run of PyTorch
    if own is not None:
        if feed or sizes or graph is not None or batch_size is not None or client is not None:
            raise UsageError("a run holds what it was given: it takes no feed, sizes=, graph=, batch_size= or client=")
        return own(thorough)  # type: ignore[no-any-return]
    if isinstance(target, Graph) and target.updates:
        target = Compiled(target, target.updates, graph=graph)
    if batch_size is not None or client is not None or not isinstance(feed, (Mapping, NoneType)) or holds_chunks(feed):
        if thorough:
            raise UsageError("thorough= is for one run: many batches are only searched for NaN and inf")
        return Search(target, feed, sizes, graph, batch_size, examined, client, exact)()
    if not isinstance(target, Recording):
        seen = target if isinstance(target, Trace) else ()
        recorded = {record.index: record.value for record in seen if record.op.is_unknown and record.kept}
        trials = THOROUGH if thorough else TRIALS
        return examined(*prepared_for(target, feed, sizes, graph), recorded=recorded, trials=trials)[1]
    if feed is not None or sizes is not None or graph is not None:
        raise UsageError("a film holds the feed of every call: do not pass a feed, sizes= or graph=")
    if not target:
        raise UsageError("the film holds no trace: call the step inside the block of gn.recording(step)")
    early: Health | None = None
    warned: Health | None = None
    notes: dict[tuple[str, Node], Finding] = {}
    first: Health | None = None
    for number, (call, trace) in enumerate(zip(target.calls, target, strict=True)):
        trials = 0 if number else THOROUGH if thorough else TRIALS  # what they show does not depend on the call
        health = examined(trace.checked_run(), trace.updates, call, trials=trials)[1]
        first = first or health
        if health.errors or (warned is None and not health.ok):
            health.before, warned = early, health
            if health.errors:
                return health
        if early is None and (not health.ok or any(note.code == "large-update" for note in health.notes)):
            early = health
        for note in health.notes:
            if notes.setdefault((note.code, note.node), note) is note:
                note.cause += f"; first at call {call}"
    if warned is not None:
        return warned
    found = Health(health.graph, health.count, list(notes.values()), calls=len(target))
    assert first is not None
    found.checked, found.unchecked, found.evaluations = first.checked, first.unchecked, first.evaluations
    return found


def examined(
    prepared: Prepared,
    steps: Mapping[Node, Node],
    call: int | None = None,
    recorded: Mapping[Any, Array] = {},
    trials: int = TRIALS,
) -> tuple[Evaluation, Health]:
    """Make a run, with the iterations of loops as nodes; return it with its values, and the report about it."""
    if has_loops(prepared):
        recorded = {prepared.program.order[place]: value for place, value in recorded.items()}
        prepared = with_fault(prepared)
        graph, places = prepared.program.graph, {node: i for i, node in enumerate(prepared.program.order)}
        steps = {counterpart(parameter, graph): counterpart(node, graph) for parameter, node in steps.items()}
        recorded = {places[counterpart(node, graph)]: value for node, value in recorded.items()}
    run = Evaluation(prepared, recorded, steps, trials)
    found = _examine(run)
    _cover(run)
    health = Health(run.graph, run.count, found, call)
    health.checked, health.unchecked, health.evaluations = run.checked, run.unchecked, run.tried
    run.parts.clear()  # they refer to the run: the cycle would keep all values until garbage is collected
    return run, health
