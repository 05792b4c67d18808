"""Patches of modules of PyTorch that are read as graphs, against PyTorch's own figures.

Outputs of submodules are patched as forward hooks do it; what one reader sees, as in the module written with that path
apart. The figures are made by tests/data/make_torch_patches.py.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch_patches import Case, gap, run_patched

import graphnn as gn

DATA = Path(__file__).parents[3] / "data"
NAMES = ("convolutional", "perceptron", "recurrent", "residual", "transformer")


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    with np.load(DATA / "torch_patches.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def cases(figures: dict[str, Any]) -> list[Case]:
    rows = [text.split("|") for text in figures["cases"].tolist()]
    return [Case(*texts[:3], *map(int, texts[3:])) for texts in rows]


def test_there_are_200_patches_of_nodes_and_100_of_edges(cases: list[Case]) -> None:
    assert Counter(bool(case.reader) for case in cases) == {False: 200, True: 100}
    assert {case.module for case in cases} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_patches_give_what_pytorch_gives(name: str, figures: dict[str, Any], cases: list[Case]) -> None:
    g = gn.from_onnx(DATA / "torch_patches" / f"{name}.onnx")
    given, size = figures[f"input/{name}"], len(g)
    own = [case for case in cases if case.module == name]
    plain = figures[f"output/{name}"]
    changed = 0
    for case, wanted in zip(own, figures[f"patched/{name}"], strict=True):
        assert gap(run_patched(g, case, given), wanted) <= 1e-5, case
        changed += gap(plain, wanted) > 1e-3
    assert changed > len(own) * 0.9, "else the patches show little"
    assert len(g) == size
