"""What a client sends, read with care, and what the adapter can do, declared."""

from __future__ import annotations

from typing import Any

from .._util.text import visible

_SHOWN = 80


class Refused(Exception):
    """A request that cannot be done; its text is the one sentence of the answer."""


_CAPABLE = """
supportsConfigurationDoneRequest supportsFunctionBreakpoints supportsConditionalBreakpoints
supportsHitConditionalBreakpoints supportsLogPoints supportsEvaluateForHovers supportsStepBack supportsSetVariable
supportsSetExpression supportsRestartRequest supportsGotoTargetsRequest supportsCompletionsRequest
supportsExceptionInfoRequest supportsDataBreakpoints supportsBreakpointLocationsRequest supportsLoadedSourcesRequest
supportsTerminateRequest supportsCancelRequest supportsSteppingGranularity supportsClipboardContext
supportsDelayedStackTraceLoading supportsExceptionFilterOptions
"""

FILTERS = {
    "nan": ("NaN", "Stop after the operation that makes a NaN of numbers"),
    "inf": ("Infinity", "Stop after the operation that makes an infinity of finite numbers"),
    "guard": ("Guard", "Stop where the guard of the compiled step would refuse a value"),
    "error": ("Error", "Stop before the operation that fails; a run cannot go on there in any case"),
}
"""The exception breakpoints, with their labels and descriptions."""


def capabilities() -> dict[str, Any]:
    """Return what `initialize` answers."""
    able: dict[str, Any] = dict.fromkeys(_CAPABLE.split(), True)
    able["exceptionBreakpointFilters"] = [
        {"filter": name, "label": label, "description": text, "default": name == "error"}
        for name, (label, text) in FILTERS.items()
    ]
    able["completionTriggerCharacters"] = ["/", " "]
    return able


def shown(value: Any) -> str:
    """Return what a client sent, in short, for a message."""
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def readable(text: str) -> str:
    """Return a text of some lines with what cannot be seen in them written out."""
    return "\n".join(visible(line) if line else "" for line in text.split("\n"))


class Arguments:
    """The arguments of a request: each is read with its type, and a wrong one is refused by name."""

    def __init__(self, given: Any) -> None:
        if given is None:
            given = {}
        if not isinstance(given, dict):
            raise Refused(f"arguments is an object, not {shown(given)}")
        self.given: dict[str, Any] = given

    def _read(self, name: str, kind: type | tuple[type, ...], called: str, default: Any) -> Any:
        value = self.given.get(name)
        if value is None:
            if default is ...:
                raise Refused(f'"{name}" is missing: {called}')
            return default
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise Refused(f'"{name}" is {called}, not {shown(value)}')
        return value

    def text(self, name: str, default: Any = ...) -> Any:
        """Return a text."""
        return self._read(name, str, "a text", default)

    def number(self, name: str, default: Any = ..., least: int = 0) -> Any:
        """Return an integer of 53 bits, from `least` on."""
        value = self._read(name, int, "an integer", default)
        if value is not default and not least <= value < 2**53:
            raise Refused(f'"{name}" is an integer from {least} on, not {shown(value)}')
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """Return whether something is asked for."""
        return bool(self._read(name, bool, "true or false", default))

    def objects(self, name: str, default: Any = ...) -> list[Arguments]:
        """Return a list of objects."""
        return [Arguments(each) for each in self._read(name, list, "a list of objects", default)]

    def texts(self, name: str) -> list[str]:
        """Return a list of texts."""
        listed = self._read(name, list, "a list of texts", ...)
        if not all(isinstance(each, str) for each in listed):
            raise Refused(f'"{name}" is a list of texts, not {shown(listed)}')
        return list(listed)

    def part(self, name: str, default: Any = None) -> Arguments:
        """Return an object among the arguments; an empty one where there is none and may be none."""
        return Arguments(self._read(name, dict, "an object", default))
