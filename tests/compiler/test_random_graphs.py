"""Random graphs against HIPS autograd; `tests/fuzz/fuzz_autograd.py` and `fuzz_large.py` compare many more of them."""

from collections import Counter
from typing import Any

import hips
import numpy as np
import pytest
from random_graphs import NAMES, Recipe, build, large_graph, random_graph, random_graphs

import graphnn as gn
from graphnn.compiler.ir_builder import Builder

KNOWN = [name for name in NAMES if hips.knows(name)]


@pytest.fixture(scope="module")
def recipes() -> list[Recipe]:
    return list(random_graphs(0, 500, ops=KNOWN))


def test_values_and_gradients_are_those_of_autograd(recipes: list[Recipe]) -> None:
    lively = undecided = 0
    looked_at = recipes[:250]
    for number, recipe in enumerate(looked_at):
        found = hips.compared(recipe)
        assert not found.told, f"graph {number}:\n{recipe}\n{found.told}"
        lively += found.lively
        undecided += not found.decided
    assert lively >= 0.9 * len(looked_at), "too many graphs have nothing to compare"
    assert undecided <= 0.02 * len(looked_at)


def test_second_derivatives_are_those_of_autograd(recipes: list[Recipe]) -> None:
    for number, recipe in enumerate(recipes[250:350]):
        found = hips.compared(recipe, order=2)
        assert not found.told, f"graph {number}:\n{recipe}\n{found.told}"


def test_a_wrong_gradient_would_be_found(recipes: list[Recipe], monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(self: gn.Op, i: int, cotangent: gn.Node, output: gn.Node, inputs: tuple[gn.Node, ...]) -> gn.Node:
        return cotangent * (gn.cos(inputs[0]) * 1.001)

    monkeypatch.setattr(gn.ops.elementwise.Sin, "vjp", wrong)
    found = [hips.compared(recipe) for recipe in recipes if "sin" in recipe.ops]
    assert sum(bool(comparison.told) for comparison in found) > 0.5 * len(found) > 12


def test_large_graphs_are_those_of_autograd_and_their_plans_the_interpreter_to_the_bit() -> None:
    recipes = [large_graph(1, number, KNOWN) for number in range(24)]
    for number, recipe in enumerate(recipes):
        found = hips.compared(recipe, plan=True)
        assert not found.told, f"graph {number}:\n{recipe}\n{found.told}"
    assert sum(max(x.size for x in recipe.inputs) > 2**16 for recipe in recipes) > 12
    assert {"prod", "norm"} < {op for recipe in recipes for op in recipe.ops}


def test_a_plan_that_differs_would_be_found(recipes: list[Recipe], monkeypatch: pytest.MonkeyPatch) -> None:
    right = Builder.ufunc

    def wrong(self: Builder, ufunc: np.ufunc, *operands: Any, result: Any) -> Any:
        return right(self, np.cos if ufunc is np.sin else ufunc, *operands, result=result)

    monkeypatch.setattr(Builder, "ufunc", wrong)
    found = [hips.compared(recipe, plan=True).told for recipe in recipes[:200] if "sin" in recipe.ops]
    assert sum("is not the interpreter's" in told for told in found) > 0.5 * len(found) > 4


# --- the generator ----------------------------------------------------------------------------------------------


def test_every_operation_takes_part(recipes: list[Recipe]) -> None:
    used = Counter(op for recipe in recipes for op in recipe.ops)
    assert set(used) == set(KNOWN)


def test_graphs_have_from_2_to_30_lines(recipes: list[Recipe]) -> None:
    sizes = [len(recipe.lines) for recipe in recipes]
    assert (min(sizes), max(sizes)) == (2, 30)


def test_what_many_graphs_have(recipes: list[Recipe]) -> None:
    def share(graphs: list[bool]) -> float:
        return sum(graphs) / len(graphs)

    built = [build(recipe, gn.Graph()) for recipe in recipes]
    assert all(one.result.shape == () for one in built)
    assert share([any(len(node.users) > 1 for node in one.nodes) for one in built]) > 0.5  # fan-out
    assert share([any({i.shape for i in node.inputs} - {node.shape} for node in one.nodes) for one in built]) > 0.8
    assert share([len(one.inputs) > 1 for one in built]) > 0.4


def test_a_number_makes_the_same_graph_every_time() -> None:
    first, second = (str(random_graph(np.random.default_rng([3, 141]))) for _ in range(2))
    assert first == second
    *_, last = random_graphs(3, 142)
    assert str(last) == first


def test_recipes_may_be_of_float32() -> None:
    for recipe in random_graphs(0, 50, dtype=np.float32):
        built = build(recipe, gn.Graph(dtype=np.float32))
        floats = {node.dtype for node in built.nodes if node.dtype.kind == "f"}
        assert floats == {np.dtype(np.float32)}
        assert gn.run(built.result, built.feed).dtype == np.float32
