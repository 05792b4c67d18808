"""Patched runs on a page, beside those that they came of."""

import math

import numpy as np
from test_replay import place_of, unpacked

import graphnn as gn


def test_a_clean_a_corrupted_and_a_patched_run_stand_side_by_side() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch",))
    y = gn.exp(x, name="y")
    total = gn.sum(gn.tanh(y, name="z"), name="total")
    clean, corrupted = gn.trace(total, {x: [0.0, 1.0]}), gn.trace(total, {x: [0.0, 0.0]})
    other = gn.patched(total, {"y": np.array([1.0, 3.0])})
    patched = gn.trace(other, {"x": [0.0, 0.0]})
    page = unpacked(corrupted.to_html(beside=[patched, clean], names=["corrupted", "patched", "clean"]))
    assert [run["label"] for run in page.data["runs"]] == ["a (corrupted)", "b (patched)", "c (clean)"]
    values = [page.value(run, place_of(page, "y")).tolist() for run in range(3)]
    assert values == [[1.0, 1.0], [1.0, 3.0], [1.0, math.e]]
    at = str(place_of(page, "y"))
    assert [run["set"].get(at, {}).get("given") for run in page.data["runs"]] == [
        None,
        "by a broadcast_to in b (patched)",
        None,
    ]
    assert page.data["runs"][1]["rules"][place_of(page, "y")] == -1
    totals = [np.tanh(each).sum() for each in values]
    assert page.data["pair"]["says"].endswith(f"total: {', then '.join(f'{each:.4g}' for each in totals)}.")
