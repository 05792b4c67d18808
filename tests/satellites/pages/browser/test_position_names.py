"""Names for positions on a page: the same as in Python, above columns and beside rows, and never markup."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page
from test_safety import HOSTILE

import graphnn as gn
from graphnn import nn

Opened = Callable[..., Page]
PETS = ["cat", "it's a dog", 'a "fish" \\ fin']


def run(labels: list[str] = PETS) -> gn.Trace:
    g = gn.Graph("pets")
    x, y = g.placeholder("x", ("batch", 4)), g.placeholder("y", ("batch",), "int64")
    logits = gn.name(nn.Dense(3)(x), "logits")
    loss = nn.softmax_crossentropy(logits, y)
    predicted = gn.argmax(logits, axis=1)
    g.labels[logits, 1] = labels
    g.labels["batch"] = ["first", "second"]
    g.labels[x, 1] = ["age", "weight", "height", "legs"]
    feed = {x: np.random.default_rng(0).normal(size=(2, 4)), y: [0, 2]}
    return gn.trace([loss, predicted, gn.grad(loss, logits)], feed)


def test_the_equations_are_those_of_python(opened: Opened, tmp_path: Path) -> None:
    trace = run()
    page = opened(trace.to_html().save(tmp_path / "page.html"))
    names = page.evaluate("nodes.name")
    checked = 0
    for record in trace:
        if record.op.is_constant:
            continue
        place = names.index(record.node.title)
        for cell, index in enumerate(np.ndindex(*record.shape)):
            why = trace.why(record.node, index)
            told = page.evaluate(
                """([place, cell]) => ((told) => [told.equation, [...new Set(told.reads.map((each) => each.text))]])
                    (explained(0, place, cell))""",
                [place, cell],
            )
            assert told == [why.equation, list(dict.fromkeys(map(str, why.reads)))]
            checked += "'cat'" in why.equation
    assert checked > 5
    place = names.index("logits")
    assert page.evaluate("(place) => explained(0, place, 4).equation", place).startswith(
        "logits['second', \"it's a dog\"]"
    )


def test_heatmaps_have_them_beside_rows_and_above_columns(opened: Opened, tmp_path: Path) -> None:
    page = opened(run().to_html().save(tmp_path / "page.html"))
    page.evaluate("go(nodes.name.indexOf('logits'))")
    found = page.evaluate("heatmaps.map(({ place, heads, labels }) => [nodes.name[place], heads, labels])")
    assert ["logits", ["cat", "it's a dog", 'a "fish" \\ …'], ["first", "second"]] in found
    assert ["dense_1/bias", ["cat", "it's a dog", 'a "fish" \\ …'], [""]] in found


def test_a_run_of_another_size_is_numbered(opened: Opened, tmp_path: Path) -> None:
    trace = run()
    g = trace.graph
    longer = gn.trace(g["logits"], {g["x"]: np.zeros((3, 4))})
    page = opened(longer.to_html().save(tmp_path / "page.html"))
    place = page.evaluate("nodes.name.indexOf('logits')")
    assert page.evaluate("(place) => explained(0, place, 3).equation", place).startswith("logits[1, 'cat'] = 0")


@pytest.mark.parametrize("text", HOSTILE)
def test_labels_are_shown_as_they_stand(text: str, opened: Opened, tmp_path: Path) -> None:
    page = opened(run([text, "b", "c"]).to_html().save(tmp_path / "page.html"))
    place = page.evaluate("nodes.name.indexOf('logits')")
    page.evaluate("(place) => go(place, 0)", place)
    said = page.locator("#equation .equation").text_content()
    assert said is not None
    mark = '"' if "'" in text else "'"
    assert said.startswith(f"logits['first', {mark}{text if len(text) <= 40 else text[:13]}")
    assert page.evaluate("window.ran") is None
    assert page.locator("script, img, iframe, object, embed").count() == 1
