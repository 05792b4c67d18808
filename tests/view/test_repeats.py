"""Repeated blocks as one box: only where they are the same but for the numbers of their parameters."""

import random
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from dot_text import told

import graphnn as gn
from graphnn import Graph, Node, nn
from graphnn.view import draw
from graphnn.view.diagrams import repeated_blocks
from graphnn.view.diagrams.boxes import picture
from graphnn.view.diagrams.repeated_blocks import repeated

Block = Callable[[Node, int], Node]


def plain_block(h: Node, number: int) -> Node:
    with h.graph.scope("block"):
        weight = h.graph.parameter("weight", np.full((2, 2), float(number)))
        return gn.tanh((h @ weight) * 2.0)


def chained(block: Block, count: int = 3) -> Node:
    h = Graph("chain").placeholder("x", shape=(4, 2))
    for number in range(count):
        h = block(h, number)
    return h


def merged(fetches: Any, detail: Any = "op") -> list[str]:
    """Return what is told of each box that stands for several blocks."""
    seen = told(draw(fetches, detail, repeats=True).source)
    return [box.title for box in seen.boxes.values() if "×" in box.title]


def test_blocks_that_differ_in_their_numbers_are_one_box() -> None:
    y = chained(plain_block)
    seen = told(draw(y, repeats=True).source)
    assert seen.lines() == [["x", "4 × 2"], ["block ×3", "block … block_3 · 12 parameters"]]
    assert seen.titled("block ×3").tip[1] == "block ×3, 9 operations, 12 parameters"
    assert [edge[:2] for edge in seen.edges] == [("n0", "n1")]


@pytest.mark.parametrize("count", [1, 2, 3, 40])
def test_the_number_of_blocks_is_told(count: int) -> None:
    assert merged(chained(plain_block, count)) == ([f"block ×{count}"] if count > 1 else [])


def test_layers_without_a_scope_of_their_own_are_a_block_of_several() -> None:
    g = Graph()
    h = g.placeholder("x", shape=("batch", 3))
    for _ in range(4):
        h = nn.ReLU()(nn.Dense(3)(h))
    seen = told(draw(nn.Dense(2)(h), "layer", repeats=True).source)
    assert [box[0] for box in seen.lines()] == ["x", "Dense → relu ×4", "Dense"]
    assert seen.titled("Dense → relu ×4").lines[1] == "dense_1 … relu_4 · 48 parameters"


def test_a_chain_of_single_operations_is_a_block_of_one() -> None:
    x = Graph().placeholder("x")
    assert merged(gn.exp(gn.exp(gn.exp(x)))) == ["exp ×3"]


# --- what is not the same -----------------------------------------------------------------------------------------


def varied(kind: str) -> Block:
    """Return a block of which the one in the middle of three differs in one thing."""
    kept: dict[str, Node] = {}

    def block(h: Node, number: int) -> Node:
        g, other = h.graph, number == 1
        if number == 0:
            kept["shared"] = g.parameter("shared", np.ones(2))
        with g.scope("other" if kind == "scope" and other else "block"):
            weight = g.parameter("weight", np.ones((2, 2)), trainable=not (kind == "trainable" and other))
            match kind if other else "":
                case "operation":
                    return gn.sin((h @ weight) * 2.0)
                case "attribute":
                    return gn.tanh(gn.clip(h @ weight, -1.0, 2.0))
                case "constant":
                    return gn.tanh((h @ weight) * 3.0)
                case "zero's sign":
                    return gn.tanh((h @ weight) * -0.0)
                case "wiring":
                    return gn.tanh((weight @ (h @ weight).T).T * 2.0)
                case "outside":
                    return gn.tanh((h @ weight) * kept["shared"])
                case "kind":
                    with g.in_scope("block_2/inner", kind="Inner"):
                        return gn.tanh((h @ weight) * 2.0)
            if kind == "attribute":
                return gn.tanh(gn.clip(h @ weight, -1.0, 1.0))
            if kind == "zero's sign":
                return gn.tanh((h @ weight) * 0.0)
            return gn.tanh((h @ weight) * 2.0)

    return block


KINDS = [
    "operation", "attribute", "constant", "zero's sign", "wiring", "outside", "kind", "scope", "trainable",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_differs_is_not_merged_with_the_others(kind: str) -> None:
    assert merged(chained(varied(kind))) == []
    assert merged(chained(varied(""))) == ["block ×3"]


def test_sizes_that_differ_are_not_the_same() -> None:
    g = Graph()
    h = g.placeholder("x", shape=("batch", 4))
    for units in (4, 4, 3, 3, 3):
        h = nn.Dense(units)(h)
    assert merged(h, "layer") == ["Dense ×2", "Dense ×2"]  # 4 → 4 twice, 4 → 3, and 3 → 3 twice


def test_dtypes_that_differ_are_not_the_same() -> None:
    x = Graph().placeholder("x", shape=(2,), dtype=np.float32)
    y = gn.exp(gn.cast(gn.exp(x), "float64"))
    assert merged(y) == []


def test_what_is_read_by_others_or_has_a_name_ends_a_chain() -> None:
    h = Graph().placeholder("x", shape=(4, 2))
    made = []
    for number in range(4):
        h = plain_block(h, number)
        made.append(h)
    assert merged(h) == ["block ×4"]
    assert merged(h + made[0]) == ["block_2 ×3"]
    assert merged({"first": made[1], "last": h}) == ["block ×2", "block_3 ×2"]
    assert merged([made[2], h]) == ["block ×3"]


def test_blocks_side_by_side_are_no_chain() -> None:
    x = Graph().placeholder("x", shape=(4, 2))
    assert merged(gn.concatenate([plain_block(x, number) for number in range(3)])) == []


def test_a_skip_over_two_blocks_keeps_them_apart() -> None:
    x = Graph().placeholder("x", shape=(4, 2))
    before, h = x, plain_block(x, 0)
    for _number in range(1, 4):
        with x.graph.scope("skip"):
            before, h = h, gn.tanh(h) + before
    assert not [title for title in merged(h) if title.startswith("skip")]


def test_what_blocks_read_from_outside_must_be_the_same() -> None:
    x = h = Graph().placeholder("x", shape=(4, 2))
    one, other = (x.graph.parameter(name, np.ones(2)) for name in ("one", "other"))
    for shared in (one, one, one, other, other):
        with x.graph.scope("block"):
            h = gn.tanh(h * shared)
    assert merged(h) == ["block ×3", "block_4 ×2"]


def test_values_of_other_blocks_must_be_read_in_turn() -> None:
    def backwards(order: tuple[int, ...]) -> list[str]:
        h = Graph().placeholder("x", shape=(4, 2))
        made = []
        for number in range(4):
            h = plain_block(h, number)
            made.append(h)
        with h.graph.in_scope("grad", kind="grad", phase="backward"):
            pass
        for number in order:
            with h.graph.in_scope("grad"):
                h = gn.sin(h * made[number])
        return [title for title in merged(h) if not title.startswith("block")]

    assert backwards((3, 2, 1, 0)) == ["multiply → sin ×4"]
    assert backwards((0, 1, 2, 3)) == ["multiply → sin ×4"]
    assert backwards((3, 2, 0, 1)) != ["multiply → sin ×4"]


def test_what_all_blocks_read_may_be_shared() -> None:
    x = Graph().placeholder("x", shape=(4, 2))
    shared, h = x.graph.parameter("shared", np.ones((2, 2))), x
    for _ in range(3):
        with x.graph.scope("step"):
            h = gn.tanh(h @ shared)
    seen = told(draw(h, repeats=True).source)
    assert seen.lines()[-1] == ["step ×3", "step … step_3"]
    assert [box[0] for box in seen.lines()] == ["x", "shared", "step ×3"]


# --- with all else -------------------------------------------------------------------------------------------------


def test_the_backward_pass_is_merged_with_the_forward_one() -> None:
    y = chained(plain_block, 5)
    loss = gn.sum(y)
    assert merged([loss, *gn.grad(loss, list(y.graph.parameters))], 1) != []
    seen = told(draw([loss, *gn.grad(loss, list(y.graph.parameters))], repeats=True).source)
    forward, backward = (box for box in seen.boxes.values() if "×" in box.title)
    assert forward.title == "block ×5"
    assert re.fullmatch(r"block.* ×[45]", backward.title)
    assert backward.inside == ("grad",)


def test_merging_twice_is_merging_once() -> None:
    once = repeated(picture(chained(plain_block)))
    assert [box.nodes for box in repeated(once).boxes] == [box.nodes for box in once.boxes]


def test_a_long_chain_that_reads_one_value_everywhere_is_merged_quickly() -> None:
    x = h = Graph().placeholder("x")
    for _ in range(10_000):
        h = h + x
    assert merged(h) == ["add ×10000"]


@pytest.mark.parametrize("adds_up", [True, False], ids=["one after the other", "side by side"])
def test_what_is_alike_and_does_not_repeat_is_hardly_looked_into(
    adds_up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of these was held against the next some 150 times, and a page of 100,000 took minutes."""
    x = total = Graph().placeholder("x")
    values = [gn.sin(x * 2.0) for _ in range(500)]
    for value in values:
        total = total + value
    looked = 0
    run_from = repeated_blocks._Merger._run_from

    def counting(*arguments: Any) -> Any:
        nonlocal looked
        looked += 1
        return run_from(*arguments)

    monkeypatch.setattr(repeated_blocks._Merger, "_run_from", counting)
    assert merged(total) == []
    assert looked < 10 * len(values)


@pytest.mark.parametrize("seed", range(20))
def test_every_node_is_in_one_box(seed: int) -> None:
    rng = random.Random(seed)
    h = Graph().placeholder("x", shape=(4, 2))
    for number in range(rng.randrange(3, 12)):
        h = varied(rng.choice(["", "", "constant", "operation"]))(h, number) if number else plain_block(h, number)
    loss = gn.sum(h)
    fetches = [loss, *gn.grad(loss, list(h.graph.parameters))]
    seen = told(draw(fetches, repeats=True).source)
    counted = 0
    for name, box in seen.boxes.items():
        if name.startswith("n"):
            found = re.search(r"([\d,]+) operation", box.tip[1])
            counted += int(found[1].replace(",", "")) if found else not box.tip[1].startswith(("P", "Const"))
    assert counted == sum(bool(node.inputs) for node in gn.schedule(fetches))
