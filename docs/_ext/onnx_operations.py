"""Which operations of ONNX are read, and which are not, and why."""

from __future__ import annotations

from reference import inline, summary, table

from graphnn.onnx.rule_registry import RULES
from graphnn.onnx.rules.arithmetic import SAME
from graphnn.onnx.rules.refused import CONDITIONS, REFUSED, read, unread


def onnx_read() -> str:
    """Return the table of the operations that are read."""
    return table(("operation", "read as", "to be known"), [_row(*key) for key in read()])


def _row(domain: str, name: str) -> tuple[str, str, str]:
    if not domain and name in SAME:
        how = f"`gn.{SAME[name]}`"
    elif (domain, name) in RULES:
        how = inline(summary(RULES[domain, name].function).removeprefix("Return "))
        how = how if how.startswith(("x ", "alpha ", "gamma ")) else how[0].upper() + how[1:]
    else:
        how = "The operations that ONNX composes it of."
    return f"`{_full(domain, name)}`", how, CONDITIONS.get(name, "")


def _full(domain: str, name: str) -> str:
    return f"{domain}.{name}" if domain else name


def onnx_refused() -> str:
    """Return the table of the operations that are not read, by the reasons."""
    reasons = REFUSED | {("", name): "Nobody has written a rule for it yet" for name in unread()}
    found: dict[str, list[str]] = {}
    for key, why in sorted(reasons.items()):
        found.setdefault(why, []).append(f"`{_full(*key)}`")
    return table(("operations", "why"), [(", ".join(names), why) for why, names in found.items()])
