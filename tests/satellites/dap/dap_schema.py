"""The Debug Adapter Protocol's own JSON schema, as debugpy's wheel ships it: every message is held against it."""

from __future__ import annotations

import json
from functools import cache
from importlib.metadata import files
from typing import Any

import jsonschema

BROKEN_RULES = 3
"""How many broken rules a complaint names."""


@cache
def definitions() -> dict[str, Any]:
    """Return the protocol's types by name."""
    (file,) = [path for path in files("debugpy") or () if path.name == "debugProtocol.json"]
    loaded: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["definitions"]
    # That copy is older than these: https://microsoft.github.io/debug-adapter-protocol/specification.html
    loaded.setdefault(
        "InvalidatedEvent",
        {
            "allOf": [
                {"$ref": "#/definitions/Event"},
                {
                    "type": "object",
                    "properties": {
                        "event": {"type": "string", "enum": ["invalidated"]},
                        "body": {
                            "type": "object",
                            "properties": {
                                "areas": {"type": "array", "items": {"type": "string"}},
                                "threadId": {"type": "integer"},
                                "stackFrameId": {"type": "integer"},
                            },
                        },
                    },
                    "required": ["event", "body"],
                },
            ]
        },
    )
    return loaded


@cache
def names(kind: str, field: str) -> dict[str, str]:
    """Return the types of requests by command, or of events by event."""
    made = {}
    for name, definition in definitions().items():
        if name.endswith(kind) and "allOf" in definition:
            for value in definition["allOf"][1].get("properties", {}).get(field, {}).get("enum", ()):
                made[value] = name
    return made


@cache
def _validator(name: str) -> Any:
    return jsonschema.Draft4Validator({"$ref": f"#/definitions/{name}", "definitions": definitions()})


def type_of(message: dict[str, Any]) -> str:
    """Return the name of the type that a message has to have."""
    match message.get("type"):
        case "request":
            return names("Request", "command").get(message["command"], "Request")
        case "event":
            return names("Event", "event")[message["event"]]  # an event of our own is an error
        case "response" if message.get("success"):
            return names("Request", "command")[message["command"]].removesuffix("Request") + "Response"
        case "response":
            return "ErrorResponse"
    return "ProtocolMessage"


def broken_rules(message: dict[str, Any]) -> list[str]:
    """Return what the schema has against a message."""
    return [error.message for error in _validator(type_of(message)).iter_errors(message)]


def check(message: dict[str, Any]) -> None:
    """Fail unless a message is as the protocol has it."""
    broken = broken_rules(message)
    assert not broken, f"{json.dumps(message)[:600]} is no {type_of(message)}: {'; '.join(broken[:BROKEN_RULES])}"
