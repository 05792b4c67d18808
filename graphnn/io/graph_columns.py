"""The tables of a file of a graph, and what each of their columns holds."""

from __future__ import annotations

from .._util.ports import Port
from ..core import Op, registry

# What a column holds: text, integers from 0 up, lists, dicts; or rows of the table named, with "?" also none.
TABLES: dict[str, dict[str, type | str]] = {
    # Attributes as they are, tuples as lists. The module is told in a message, if the operation is not graphnn's own
    # and missing; nothing is imported by it.
    "operations": {"name": str, "module": str, "operands": int, "attributes": dict},
    "specs": {"dtype": str, "shape": list},
    "lines": {"file": str, "number": int},
    "scopes": {"path": str, "kind": str, "phase": str, "line": "lines", "parent": "scopes?", "result": "nodes?"},
    "nodes": {
        "name": str,
        "operation": "operations",
        "spec": "specs",
        "scope": "scopes?",
        "line": "lines",
        "twin": "nodes?",
    },
    # The operands of all nodes, one after the other: for each node as many as its operation says.
    "inputs": {"node": "nodes"},
    "outputs": {"name": str, "node": "nodes"},
    "names": {"name": str, "node": "nodes"},
    "updates": {"parameter": "nodes", "node": "nodes"},
    "advances": {"parameter": "nodes", "at": "nodes", "node": "nodes"},
    # What a layer made for training alone, and what takes its place in evaluation; the layers that do nothing there.
    "evaluating": {"training": "nodes", "node": "nodes"},
    "idle": {"path": str, "node": "nodes"},
    # What has been differentiated: in which scope, backwards or forwards; the results and their cotangents, or what
    # moves and its tangents; and what each node that was reached has come to.
    "derivatives": {"scope": "scopes", "backwards": bool},
    "given": {"in": "derivatives", "node": "nodes", "derivative": "nodes?"},
    "derived": {"in": "derivatives", "node": "nodes", "derivative": "nodes"},
    # Where the numbers in the names of new nodes and scopes go on.
    "counters": {"path": str, "number": int},
}


OPERATIONS: Port[type[Op]] = Port("operations")
"""Operations that are not loaded with `ops`: registered by being loaded, or given by their names in files."""


def class_of(operation: str) -> type[Op] | None:
    """Return the class of an operation, which may be in a module that is loaded only now."""
    if operation in registry:
        return registry[operation]
    given = OPERATIONS.load()
    return registry.get(operation) or given.get(operation)
