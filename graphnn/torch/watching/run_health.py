"""The health of a watched program: that of its step in graphnn's operations, and what its script does around it."""

from __future__ import annotations

from typing import Any

from ...debugger.health import Health, check_health
from ...errors import GraphnnError
from .script_checks import of_script
from .translated_run import TranslatedRun


def checked(step: Any, thorough: bool) -> Health:
    """Return the report about a recorded step."""
    own = list(of_script(step))
    if not step.trace.has_values:
        found = Health(step.graph, len(step.graph), own)
        found.checked["the script"] = ""
        found.unchecked["values"] = 'the run has kept digests: record it without keep="digests"'
        return found
    translated: TranslatedRun | None = TranslatedRun(step)
    assert translated is not None
    try:
        inner = check_health(translated.graph, translated.feed, thorough=thorough)
    except GraphnnError:
        translated, inner = None, check_health(step.trace)
    known = {each.code for each in own}
    if known & {"detached", "left-out"}:  # which say the same, with the script's words
        known |= {"no-gradient", "not-updated"}
    others = [each for each in (*inner.findings, *inner.notes) if each.code not in known]
    found = Health(inner.graph, inner.count, [*own, *others])
    found.checked, found.unchecked = dict(inner.checked), dict(inner.unchecked)
    found.evaluations = inner.evaluations
    found.checked["the script"] = ""
    if translated is None:
        found.unchecked["calls"] = "the step cannot be computed by graphnn's operations"
        return found
    if translated.untranslated:
        kinds = sorted({node.op.name for node in translated.untranslated})
        found.unchecked["calls"] = f"graphnn has no operations for {', '.join(kinds[:6])}"
    if translated.not_updated:
        name, why = next(iter(translated.not_updated.items()))
        found.unchecked["updates"] = f"{len(translated.not_updated)} are left out; that of {name}, since {why}"
    return found
