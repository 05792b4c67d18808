"""The transformer of examples/lesson_induction.py continues what repeats itself, by heads that are found and cut.

Each figure is of a run, and those of cuts are computed a second time without graphnn.
"""

import math
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from template import Template
from threadpoolctl import threadpool_limits

import graphnn as gn

ROOT = Path(__file__).parents[3]
LESSON = runpy.run_path(str(ROOT / "examples" / "lesson_induction.py"))
HEADS = [(layer, head) for layer in (1, 2) for head in range(4)]
MEAN = gn.patches.mean(axis=0)


@pytest.fixture(scope="module", autouse=True)
def one_core() -> Iterator[None]:
    """Multiply on one core: where other workers have the rest, the threads of BLAS wait for each other."""
    with threadpool_limits(1):
        yield


def holding(weights: Path) -> gn.Graph:
    g: gn.Graph = LESSON["build"]()
    with np.load(weights) as kept:
        assert kept.keys() == {node.name for node in g.parameters}
        for name, value in kept.items():
            g[name].value = value
    return g


@pytest.fixture(scope="module")
def trained(template: Template, tmp_path_factory: pytest.TempPathFactory) -> gn.Graph:
    """The graph after a training as a user would run it."""
    weights = tmp_path_factory.mktemp("induction") / "weights.npz"
    done = template.run(
        ROOT / "examples" / "lesson_induction.py", "--keep", weights, cwd=weights.parent, env={"GRAPHNN_BACKEND": ""}
    )
    assert done.returncode == 0, done.stderr
    return holding(weights)


@pytest.fixture(scope="module")
def feed() -> dict[str, Any]:
    found: dict[str, Any] = LESSON["batch"](np.random.default_rng(2), 64)
    return found


@pytest.fixture(scope="module")
def right(trained: gn.Graph, feed: dict[str, Any]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = LESSON["found"](trained, feed)[0]
    return found


def by_hand(
    weights: dict[str, Any], feed: dict[str, Any], cut: Any = (), mean: bool = False
) -> tuple[float, list[Any]]:
    """Compute the gain, and the attention of both layers, in NumPy and float64."""
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    x = w["embedding_1/weight"][feed["letters"]] + w["position_embedding_1/weight"]
    attention = []
    for layer in (1, 2):
        of = f"multi_head_attention_{layer}"
        q, k, v = (np.stack(np.split(x @ w[f"{of}/{part}/weight"], 4, -1), 1) for part in ("query", "key", "value"))
        scores = np.einsum("bhqd,bhkd->bhqk", q, k) / math.sqrt(8)
        scores[..., ~np.tri(24, dtype=bool)] = -np.inf
        attention.append(np.exp(scores) / np.exp(scores).sum(-1, keepdims=True))
        heads = attention[-1] @ v
        for head in (head for at, head in cut if at == layer):
            heads[:, head] = heads[:, head].mean(0) if mean else 0.0
        x = x + np.concatenate(list(heads.swapaxes(0, 1)), -1) @ w[f"{of}/output/weight"]
    logits = x @ w["dense_1/weight"]
    picked = np.take_along_axis(logits, feed["following"][..., None], -1)[..., 0]
    losses = np.log(np.exp(logits).sum(-1)) - picked
    return math.log(26) - losses[feed["repeated"] > 0].mean(), attention


def test_what_is_repeated_is_expected_and_what_is_new_is_not(trained: gn.Graph, feed: dict[str, Any]) -> None:
    losses, gain = gn.run([trained["losses"], trained.outputs["gain"]], feed)
    assert gain > 0.8 * math.log(26)
    assert losses[feed["repeated"] == 0].mean() > 0.95 * math.log(26), "for there is nothing to know"


def test_heads_are_found_by_what_they_attend_to(trained: gn.Graph, feed: dict[str, Any]) -> None:
    scores = LESSON["scores"](trained, feed)
    assert scores[0].max() > 0.6, "a head that looks at the letter before"
    assert scores[1].max() > 0.8, "a head that looks behind the earlier occurrence"
    assert np.all((scores < 0.2) | (scores > 0.4)), "and no head is in doubt"
    untrained = LESSON["scores"](LESSON["build"](), feed)
    assert untrained.max() < 0.2


def test_scores_are_those_of_a_count_by_hand(trained: gn.Graph, feed: dict[str, Any]) -> None:
    one, two = by_hand({node.name: node.value for node in trained.parameters}, feed)[1]
    previous, induction = np.zeros(4), np.zeros(4)
    for row, letters in enumerate(feed["letters"]):
        for i in range(1, 24):
            previous += one[row, :, i, i - 1]
            if feed["repeated"][row, i]:
                places = [j + 1 for j in range(i) if letters[j] == letters[i]]
                induction += two[row][:, i, places].sum(-1)
    expected = [previous / (23 * len(feed["letters"])), induction / feed["repeated"].sum()]
    np.testing.assert_allclose(LESSON["scores"](trained, feed), expected, atol=1e-5)


@pytest.mark.parametrize("layer", [1, 2], ids=["previous-token heads", "induction heads"])
def test_without_its_heads_the_gain_is_lost(
    trained: gn.Graph, feed: dict[str, Any], right: list[tuple[int, int]], layer: int
) -> None:
    heads = [at for at in right if at[0] == layer]
    assert LESSON["cost"](trained, feed, heads) >= 0.8
    assert LESSON["cost"](trained, feed, heads, MEAN) >= (0.7, 0.8)[layer - 1]


def test_without_the_others_it_stays(trained: gn.Graph, feed: dict[str, Any], right: list[tuple[int, int]]) -> None:
    others = [at for at in HEADS if at not in right]
    assert others == LESSON["found"](trained, feed)[1] != []
    for value in (gn.patches.zero, MEAN):
        assert abs(LESSON["cost"](trained, feed, others, value)) <= 0.1
        assert all(abs(LESSON["cost"](trained, feed, [at], value)) <= 0.1 for at in others)


@pytest.mark.parametrize("mean", [False, True], ids=["zero", "mean"])
def test_a_cut_is_that_of_a_network_in_numpy(
    trained: gn.Graph, feed: dict[str, Any], right: list[tuple[int, int]], mean: bool
) -> None:
    weights = {node.name: node.value for node in trained.parameters}
    for heads in ([], [right[0]], [right[-1]], right, [(1, 0), (2, 3)]):
        node = LESSON["cut"](trained, heads, MEAN if mean else gn.patches.zero)
        assert gn.run(node, feed) == pytest.approx(by_hand(weights, feed, heads, mean)[0], abs=1e-4)


def test_the_first_layer_is_seen_through_keys_only(
    trained: gn.Graph, feed: dict[str, Any], right: list[tuple[int, int]]
) -> None:
    before = len(trained)
    shares = LESSON["through"](trained, feed, [at for at in right if at[0] == 1])
    assert shares.pop("key") >= 0.8
    assert shares.keys() == {"query", "value", "stream_2"}
    assert all(abs(share) <= 0.05 for share in shares.values()), shares
    assert len(trained) == before, "nothing was added to the graph"


def test_plans_train_as_the_interpreter_does() -> None:
    states = []
    for backend in ("interpreter", "numpy", None):
        g = LESSON["build"]()
        LESSON["train"](g, 5, backend=backend)
        states.append({node.name: node.value.tobytes() for node in g.parameters})
    assert states[0] == states[1] == states[2]


def test_the_weights_beside_the_program_are_of_such_a_training(feed: dict[str, Any]) -> None:
    g = holding(ROOT / "examples" / "lesson_induction.npz")
    assert LESSON["found"](g, feed)[0] == [(1, 1), (1, 2), (2, 0), (2, 1), (2, 2), (2, 3)]
    assert LESSON["cost"](g, feed, [(1, 1), (1, 2)]) == pytest.approx(0.96, abs=0.03)
    assert LESSON["cost"](g, feed, [(2, head) for head in range(4)]) == pytest.approx(1.03, abs=0.03)
    assert LESSON["cost"](g, feed, [(1, 0), (1, 3)]) == pytest.approx(0.014, abs=0.03)


def test_one_head_restores_what_a_broken_row_has_lost(trained: gn.Graph, right: list[tuple[int, int]]) -> None:
    clean, corrupted = LESSON["pairs"](np.random.default_rng(3))
    assert np.all((clean["letters"] != corrupted["letters"]) == (np.arange(24) == 2))
    assert all(len(set(row)) == 7 for row in clean["letters"].tolist())
    known = -gn.mean(trained["losses"][:, 9])
    heads = [gn.patches.each(trained[f"heads_{layer}"], 1) for layer in (1, 2)]
    found = gn.effects(known, clean, corrupted, over=heads)
    restored = found.grid().values / found.gap
    assert found.clean > -1.0 > -2.5 > found.corrupted
    assert max(restored[0, head] for layer, head in right if layer == 1) >= 0.8
    assert all(abs(restored[0, head]) <= 0.1 for head in range(4) if (1, head) not in right)

    stream = ["embedding_1/take", "multi_head_attention_1/output/matmul", "multi_head_attention_2/output/matmul"]
    positions = gn.effects(known, clean, corrupted, over=[gn.patches.each(trained[name], 1) for name in stream])
    shares = positions.grid().values / positions.gap
    assert [int(row.argmax()) for row in shares] == [2, 3, 9]
    assert np.all(np.partition(shares, -1)[:, -1] >= 0.8)
    assert np.all(np.abs(np.partition(shares, -2)[:, :-1]) <= 0.1)


def test_the_circuit_goes_through_values_and_then_through_keys(trained: gn.Graph) -> None:
    clean, corrupted = LESSON["pairs"](np.random.default_rng(3))
    parts = [f"multi_head_attention_{layer}/{part}/matmul" for layer in (1, 2) for part in ("query", "key", "value")]

    def parts_of(g: gn.Graph, method: str) -> list[str]:
        found = gn.circuit(-gn.mean(g["losses"][:, 9]), clean, corrupted, threshold=0.3, method=method, progress=None)
        assert found.faithfulness == pytest.approx(1.0, abs=0.2)
        return [part for part in parts if part in found.graph]

    assert {parts[2], parts[4]} <= set(parts_of(trained, "greedy")) <= set(parts) - {parts[5]}
    kept = holding(ROOT / "examples" / "lesson_induction.npz")
    assert parts_of(kept, "greedy") == parts_of(kept, "attribution") == [parts[2], parts[4]]
