"""The health of a watched program: that of its step in graphnn's operations, and what its script does around it."""

from __future__ import annotations

import re
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
        known |= {"no-gradient", "not-updated", "partly-updated"}
    others = [each for each in (*inner.findings, *inner.notes) if each.code not in known]
    for each in others:
        each.remedy = in_torch(each.code, each.remedy)
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


_REMEDIES = {
    "labels-are-inputs": "take other labels, such as what comes next, y = tokens[:, 1:]; keep them out of the input",
    "overflow": "compute it in float32, x.float(); or scale the numbers down first",
    "uphill": "descend: leave maximize=True out of the optimizer, or turn the sign of the loss",
    "unscaled-scores": "divide the scores: q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])",
    "zero-times-inf": "mask by scores.masked_fill(mask, -torch.inf), not by a product with infinity",
}
"""What a PyTorch program writes, by the codes of findings."""


def in_torch(code: str, remedy: str) -> str:
    """Return a remedy as a PyTorch program writes it."""
    known = _REMEDIES.get(code)
    if known is not None:
        return known
    remedy = remedy.replace('gn.cast(x, "float32")', "x.float()").replace("gn.", "torch.")
    return re.sub(
        r"torch\.(max|min)imum\((\w+), ([\d.e+-]+)\)", lambda at: f"{at[2]}.clamp({_BOUND[at[1]]}={at[3]})", remedy
    )


_EXTREME = re.compile(r"torch\.(max|min)imum\((\w+), ([\d.e+-]+)\)")
_BOUND = {"max": "min", "min": "max"}
