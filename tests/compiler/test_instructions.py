"""What a plan is made of: typed instructions, by rules that are the compiler's own, or traced; and one printer."""

import ast
import enum
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_ops import OPS
from test_plan_conformance import SMALL, USUAL, differences, op_differences, random_graph_differences

import graphnn as gn
from graphnn import Compiled, Op
from graphnn.compiler import intermediate_representation as do
from graphnn.compiler import rewrites
from graphnn.compiler.ir_builder import _REWRITES, Builder
from graphnn.compiler.ir_values import Value
from graphnn.compiler.lowering_rules.registry import _CALLED, _RULES, rule_of
from graphnn.compiler.numpy_codegen import literal
from graphnn.compiler.thresholds import Settings
from graphnn.core.op import registry
from graphnn.testing import Draw

ROOM = Path(gn.__file__).parent / "compiler"
COMPILER = [
    *("intermediate_representation", "ir_values", "ir_builder", "rewrites", "elementwise_tracing"),
    *("numpy_codegen", "lowering", "thresholds", "fusion"),
]


def instructions_of(fetches: Any, feed: Any, settings: Settings = USUAL) -> list[do.Instruction]:
    plan = Compiled(fetches, settings=settings).plan(feed)
    return [value.how for value in plan._lowering.values if value.kind not in ("constant", "given")]


# --- typed data -------------------------------------------------------------------------------------------------


KINDS = [kind for kind in vars(do).values() if isinstance(kind, type) and issubclass(kind, do.Instruction)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_instruction_is_frozen_and_has_no_room_for_more(kind: type) -> None:
    assert is_dataclass(kind)
    made = kind(**{field.name: () for field in fields(kind)})
    assert not hasattr(made, "__dict__")
    assert hash(made) == hash(replace(made))
    assert made == replace(made)
    name = fields(kind)[0].name if fields(kind) else "kind"
    with pytest.raises((FrozenInstanceError, AttributeError, TypeError)):
        setattr(made, name, 1)


def files() -> list[Path]:
    return [*[ROOM / f"{name}.py" for name in COMPILER], *sorted((ROOM / "lowering_rules").glob("*.py"))]


@pytest.mark.parametrize("file", files(), ids=lambda file: file.stem)
def test_nothing_of_the_compiler_is_of_any_type(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert "Any" not in names


def test_code_is_written_in_one_place_and_read_in_none() -> None:
    """Text with holes, or taken apart by a pattern, stands in no file of the compiler but the printer's."""
    for file in files():
        tree = ast.parse(file.read_text(encoding="utf-8"))
        modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        if file.stem != "numpy_codegen":
            assert not modules & {"re", "keyword", "ast"}, file.stem
            raised = {id(part) for node in ast.walk(tree) if isinstance(node, ast.Raise) for part in ast.walk(node)}
            text = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) and id(node) not in raised]
            assert len(text) <= (file.stem == "rewrites"), file.stem  # a dtype by its bits


@pytest.mark.parametrize("value", [True, 7, -3, 0.5, -0.0, 1e300, None, (), (3,), (1, (2, 0.25), None)])
def test_numbers_are_written_so_that_they_are_read_again(value: Any) -> None:
    assert repr(ast.literal_eval(literal(value))) == repr(value)


class Sly(int):
    """A number that writes itself as something else."""

    def __repr__(self) -> str:
        return "__import__('os').abort()"


class Colour(enum.IntEnum):
    RED = 1


NO_NUMBERS = ["a", np.float64(1), np.int64(1), Sly(1), Colour.RED, float("inf"), float("nan"), 1j, [1]]


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_what_is_not_exactly_a_number_is_not_written(value: Any) -> None:
    for given in (value, (1, value), ((value,),)):
        with pytest.raises(TypeError, match="a literal is"):
            literal(given)


# --- an operation says what it computes -------------------------------------------------------------------------


def test_no_operation_says_how_a_plan_computes_it() -> None:
    for cls in registry.values():
        assert not {"plan", "in_order", "folds"} & {name for base in cls.__mro__ for name in vars(base)}
    for file in (ROOM.parent / "ops").glob("*.py"):
        tree = ast.parse(file.read_text("utf-8"))
        assert not any("execute" in ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))


def test_a_rule_is_for_a_class_that_there_is() -> None:
    library = {base for cls in registry.values() for base in cls.__mro__}
    assert set(_RULES) <= library
    for cls in OPS:
        assert rule_of(cls) is not None


def test_an_operation_without_a_rule_is_a_call_of_its_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphnn.compiler.lowering.rule_of", lambda op: _CALLED)
    for cls in OPS:
        for number in range(6):
            assert not op_differences(cls, np.random.default_rng([number, 11])), cls.name


CALLS = {"erf", "gelu"}
"""Elementwise operations of more instructions than a plan of NumPy's is to have for one."""


@pytest.mark.parametrize("cls", [cls for cls in OPS if cls.elementwise], ids=lambda cls: cls.name)
def test_elementwise_operations_are_traced(cls: type[Op]) -> None:
    for number in range(12):
        op, arrays = cls.samples(Draw(np.random.default_rng(number)))
        graph = gn.Graph()
        nodes = [graph.placeholder(f"p{i}", np.shape(a), np.asarray(a).dtype) for i, a in enumerate(arrays)]
        feed = {node: np.asarray(array) for node, array in zip(nodes, arrays, strict=True)}
        found = instructions_of(op(*nodes), feed)
        called = cls.name in CALLS and op.attributes.get("approximate") != "tanh"
        assert any(isinstance(how, (do.Call, do.Own)) for how in found) == called, found


@pytest.mark.parametrize("name", ["floor_divide", "remainder", "power"])
def test_whole_numbers_that_an_operation_looks_at_make_it_a_call(name: str) -> None:
    x = gn.Graph().placeholder("x", shape=3, dtype=np.int64)
    (how,) = instructions_of(getattr(gn, name)(x, x), {x: np.array([1, 2, 3])})
    assert isinstance(how, do.Call)
    assert how.name == name
    assert how.elementwise


def test_what_would_be_too_many_instructions_is_a_call() -> None:
    x = gn.Graph().placeholder("x", shape=(4, 3))
    feed = {x: np.linspace(-2, 2, 12).reshape(4, 3)}
    y = gn.sigmoid(x) * 2.0
    assert len(instructions_of(y, feed)) > 5
    assert [type(how) for how in instructions_of(y, feed, Settings(traced=3))] == [do.Call, do.Ufunc]
    assert not differences([y], [feed], settings=Settings(traced=3))


def test_a_plan_goes_on_behind_a_slice_of_what_is_transposed() -> None:
    x = gn.Graph().placeholder("x", shape=(4, 3))
    turned = gn.transpose(x)
    y = gn.slice_add(turned, (slice(1, 4),), (5, 4)) + gn.slices_add([turned, turned], [(0,), (1,)], (2, 3, 4))[0, 0, 0]
    found = instructions_of(y, {x: np.arange(12.0).reshape(4, 3)})
    assert not any(isinstance(how, do.Own) for how in found), found


def test_a_ufunc_says_by_which_loop_it_is_computed() -> None:
    graph = gn.Graph()
    x, n = graph.placeholder("x", 3, np.float32), graph.placeholder("n", 3, np.int8)
    feed = {x: np.ones(3, np.float32), n: np.ones(3, np.int8)}
    (added,) = instructions_of(n + x, feed)
    assert isinstance(added, do.Ufunc)
    assert added.ufunc is np.add
    assert added.loop == (np.dtype("f4"),) * 3
    # forward asks for another loop than that of the operands: they are cast to it.
    found = instructions_of(gn.prelu(n, x), feed)
    loops = [how.loop for how in found if isinstance(how, do.Ufunc) and how.ufunc is np.multiply]
    assert loops == [(np.dtype("f4"),) * 3]


@pytest.mark.usefixtures("own_operations")
def test_an_operation_of_ones_own_is_a_call() -> None:
    class Twice(gn.Op):
        """2 x."""

        elementwise = True

        def infer(self, x: gn.Spec) -> gn.Spec:
            return x

        def forward(self, x: Any) -> Any:
            return x * 2.0

    x = gn.Graph().placeholder("x", shape=3)
    (how,) = instructions_of(Twice()(x), {x: np.ones(3)})
    assert isinstance(how, do.Own)


# --- settings ---------------------------------------------------------------------------------------------------


def test_settings_are_frozen_and_reach_what_is_for_large_arrays() -> None:
    with pytest.raises(FrozenInstanceError):
        USUAL.large = 1  # type: ignore[misc]
    graph = gn.Graph()
    x = graph.placeholder("x", shape=(6, 3))
    fetches = [gn.sum(gn.where(gn.greater(x, 0.0), gn.tanh(x), x) * 2.0)]
    feed = {x: np.linspace(-1, 1, 18).reshape(6, 3)}
    usual, small = (Compiled(fetches, settings=settings).plan(feed).source for settings in (USUAL, SMALL))
    assert "for rows" not in usual
    assert "where=" in usual
    assert "for rows" in small
    assert "bitwise_xor" in small


# --- faults that are planted ------------------------------------------------------------------------------------


def test_a_choice_of_the_wrong_branch_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(build: Builder, how: Any, operands: Any, result: Any) -> Value | None:
        condition, x, y = operands
        return rewrites.masked(build, how, (condition, y, x), result)

    monkeypatch.setitem(_REWRITES, do.Select, wrong)
    found = (number for number in range(1, 240, 2) if random_graph_differences(5, number))
    assert len(list(islice(found, 6))) == 6


def test_columns_that_are_added_in_another_order_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    x = gn.Graph().placeholder("x", shape=(50, 6))
    feed = {x: np.random.default_rng(0).normal(size=(50, 6))}
    assert not differences([gn.sum(x, 1)], [feed])
    right = Builder.view

    def wrong(self: Builder, how: do.View, value: Value, shape: tuple[int, ...]) -> Value:
        if isinstance(how, do.Index) and isinstance(how.parts[-1], int):
            how = do.Index((..., 5 - how.parts[-1]))
        return right(self, how, value, shape)

    monkeypatch.setattr(Builder, "view", wrong)
    assert differences([gn.sum(x, 1)], [feed])
