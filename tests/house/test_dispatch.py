"""What an operation is asked for from outside is a property of it, or a rule registered for its class."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from dispatch import NO_OPERATIONS, OPERATIONS, PACKAGE, REGISTRIES, _Module, _subclasses, figures

from graphnn import Op

MOST = 200
"""Questions after the class or the name of an operation, and class patterns of instructions, together."""
MOST_IN_ALL = 238
"""With all other questions after the class of an instruction."""


def test_operations_are_asked_for_properties_and_not_what_they_are() -> None:
    counted = figures()
    assert counted["operations"] + counted["patterns of instructions"] <= MOST
    assert counted.total() <= MOST_IN_ALL


def test_what_is_left_out_is_there() -> None:
    # A registry that moves must be counted again, or named anew. (A satellite may be missing as a whole.)
    for name in (*OPERATIONS, *REGISTRIES, *NO_OPERATIONS):
        assert (PACKAGE / name).exists() or not (PACKAGE / Path(name).parts[0]).exists()


QUESTIONS = {
    "isinstance(node.op, Constant)": 1,
    "isinstance(node.op, (Constant, Parameter))": 1,
    "type(node.op) is Constant": 1,
    "kind = type(op); kind in (Constant, Parameter)": 1,
    "GIVEN = (Constant, Parameter); isinstance(op, GIVEN)": 1,
    "isinstance(op, Constant | Parameter)": 1,
    "isinstance(op, given)": 1,
    "issubclass(kind, Constant)": 1,
    "node.op.name == 'add'": 1,
    "node.op.name in ('add', 'other')": 1,
    "name = node.op.name; name != 'add'": 1,
    "match op:\n    case Constant() | Parameter(): pass": 2,
    "match op.name:\n    case 'add' | 'other': pass": 1,
    "isinstance(op, Op)": 0,
    "isinstance(value, int)": 0,
    "node.name == 'add'": 1,
    "person.name == 'other'": 0,
    "op.signs == (1, 1)": 0,
}


@pytest.mark.parametrize("text", QUESTIONS)
def test_each_way_to_ask_is_counted(text: str) -> None:
    module = _Module(PACKAGE / "core" / "node.py", {cls.__name__: cls for cls in _subclasses(Op)})
    module.local = dict(_assigned(text))
    assert len(list(module.places(ast.parse(text)))) == QUESTIONS[text]


def _assigned(text: str) -> Iterator[tuple[str, list[ast.expr]]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, [node.value]


def test_the_body_of_an_operation_may_ask() -> None:
    # `core/op.py` defines `Unknown`, which asks for its own class; and it has no other question.
    path = Path(PACKAGE / "core" / "op.py")
    assert "Unknown" in path.read_text(encoding="utf-8")
    assert not list(_Module(path, {cls.__name__: cls for cls in _subclasses(Op)}).places())
