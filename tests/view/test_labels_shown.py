"""Names for positions are shown: in pictures, heatmaps, tables and findings; and whatever they say is text."""

import warnings
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
from test_hostile_names import HOSTILE

import graphnn as gn
from graphnn import nn
from graphnn.core import labels_along
from graphnn.view import draw, summary
from graphnn.view.heatmap import heatmap, matrix

PETS = ["cat", "dog", "fish"]


def run(labels: Any = PETS, batch: int = 2) -> tuple[gn.Node, gn.Node, gn.Trace]:
    g = gn.Graph("pets")
    x, y = g.placeholder("x", ("batch", 4)), g.placeholder("y", ("batch",), "int64")
    logits = gn.name(nn.Dense(3)(x), "logits")
    loss = nn.softmax_crossentropy(logits, y)
    g.labels[logits, 1] = labels
    g.labels["batch"] = ["first", "second"]
    g.labels["x", 1] = ["age", "weight", "height", "legs"]
    feed = {x: np.random.default_rng(0).normal(size=(batch, 4)), y: np.arange(batch) % 3}
    return logits, loss, gn.trace(loss, feed)


# --- heatmaps -------------------------------------------------------------------------------------------------------


def test_a_heatmap_in_a_terminal_has_them_above_columns_and_before_rows() -> None:
    logits, _, trace = run()
    value = trace[logits].value
    text = matrix(value, labels=labels_along(logits, value.shape))
    assert text.split("\n")[0].split() == PETS
    assert [line.split()[0] for line in text.split("\n")[1:3]] == ["first", "second"]
    assert text.split("\n")[1].split()[1:] == [f"{number:.4g}" for number in value[0]]


def test_names_take_no_more_room_than_there_is() -> None:
    long = [f"{'very ' * 9}long {i}" for i in range(3)]
    for width in (24, 40, 60, 200):
        for value in (np.ones((3, 3)), np.ones((3, 30)), np.ones(3), np.ones((2, 3, 3))):
            labels = [None] * (value.ndim - 1) + [long * (value.shape[-1] // 3)]
            labels[-2:-1] = [long] if value.ndim > 1 else []
            for colour in (False, True):
                lines = matrix(value, width, colour=colour, labels=labels).split("\n")
                assert all(len(line) <= width for line in lines) or colour
    wide = matrix(np.ones((1, 2)), 40, labels=[None, ["層" * 20, "b"]])
    assert "…" in wide.split("\n")[0]


def test_what_is_not_finite_is_said_by_name() -> None:
    assert "1 NaN, at ['b', 'dog']" in matrix([[1.0, 2.0], [3.0, np.nan]], labels=[["a", "b"], ["cat", "dog"]])
    assert "['left', :, :]" in matrix(np.zeros((2, 2, 2)), labels=[["left", "right"], None, None])


def test_a_heatmap_in_a_notebook_has_them() -> None:
    page = ET.fromstring(heatmap([[1.0, 2.0]], [["first"], ["cat", "dog"]]))
    assert [th.text for th in page.iter("th")] == [None, "cat", "dog", "first"]
    wide = heatmap(np.ones((2, 20)), [["a", "b"], [f"c{i}" for i in range(20)]])
    assert "from above: a, b; from the left: c0, c1" in wide
    dbg = gn.debug(run()[0], {"x": np.ones((2, 4))}, echo=None)
    dbg.resume()
    shown = dbg._repr_mimebundle_()["text/html"]
    assert all(f">{name}</th>" in shown for name in (*PETS, "first"))


def test_labels_of_another_number_of_axes_are_no_labels() -> None:
    assert matrix([1.0, 2.0], labels=[None, ["a", "b"]]) == matrix([1.0, 2.0])


# --- pictures -------------------------------------------------------------------------------------------------------


def test_pictures_say_them_below_values_and_in_tooltips() -> None:
    _, loss, trace = run()
    svg = draw(trace, overlay="values", engine="plain").svg()
    assert svg.count(">axis 1: cat, dog, fish<") >= 3  # logits, matmul, weight
    plain = draw(loss, engine="plain").svg()
    assert ">axis 1: cat, dog, fish<" not in plain
    assert "axis 1: cat, dog, fish" in plain  # in tooltips
    assert "cat 0, dog 0, fish 0" in svg  # the bias, whose numbers are written out
    both = draw(loss, {"x": np.ones((2, 4)), "y": [0, 1]}, overlay=["values", "gradients"]).svg()
    assert "axis 1: cat, dog, fish" in both


@pytest.mark.parametrize("text", [text for text in HOSTILE if text.isprintable() and text])
def test_whatever_labels_say_is_text(text: str) -> None:
    logits, loss, trace = run([text, "b", "c"])
    svg = draw(trace, overlay="values", engine="plain").svg()
    tree = ET.fromstring(svg)
    assert not [
        e for e in tree.iter() if e.tag.rpartition("}")[2] in ("script", "image", "foreignObject", "style", "a")
    ]
    said = "".join(tree.itertext())
    assert text[:4].strip() in said
    page = heatmap(trace[logits].value, labels_along(logits, (2, 3)))
    inside = ET.fromstring(page)
    assert {e.tag for e in inside.iter()} <= {"div", "table", "tr", "th", "td", "span"}
    assert text in [th.text for th in inside.iter("th")] or len(text) > 40
    for shown in (str(summary(loss)), str(trace), matrix(trace[logits].value, labels=labels_along(logits, (2, 3)))):
        assert "\x1b" not in shown


# --- tables ---------------------------------------------------------------------------------------------------------


def test_tables_say_them_below() -> None:
    _, loss, trace = run()
    for table in (str(summary(loss)), trace.table() if hasattr(trace, "table") else str(trace)):
        assert "axis 1 of logits: cat, dog, fish" in table
        assert "axis 1 of x: age, weight, height, legs" in table
        assert "batch: first, second" in table
    assert summary(loss).to_dict()["labels"][0] == "axis 1 of logits: cat, dog, fish"
    g = gn.Graph()
    assert summary(abs(g.placeholder("x", (2,)))).to_dict()["labels"] == []


def test_a_short_row_of_numbers_has_the_name_before_each() -> None:
    g = gn.Graph()
    logits = g.placeholder("logits", (3,))
    p = gn.softmax(logits)
    g.labels[logits, 0] = PETS
    dbg = gn.debug(p, {logits: [0.0, 0.0, np.log(2)]}, echo=None)
    dbg.resume()
    assert "cat 0.25, dog 0.25, fish 0.5" in str(dbg)


def test_a_batch_of_another_size_is_numbered() -> None:
    logits, _, trace = run(batch=3)
    assert labels_along(logits, (3, 3)) == [None, tuple(PETS)]
    assert trace.why("logits", (1, "dog")).equation.startswith("logits[1, 'dog'] = ")


# --- findings -------------------------------------------------------------------------------------------------------


def test_findings_name_positions() -> None:
    g = gn.Graph()
    p = g.placeholder("p", ("batch", 3))
    loss = gn.mean(gn.log(p))
    g.labels[p, 1] = PETS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = gn.check_health(gn.trace(loss, {p: [[0.5, 0.0, 0.5]]}))
    assert "log[0, 'dog'] = -inf" in str(found)


def test_numbers_that_are_written_out_have_them_above_columns_and_before_rows() -> None:
    _, loss, _ = run()
    feed = {"x": np.eye(2, 4), "y": [0, 1]}
    for engine in ("plain", "dot"):
        svg = draw(loss, feed, overlay=["values", "gradients"], numbers="all", engine=engine).svg()
        said = [text.text for text in ET.fromstring(svg).iter() if text.tag.endswith("text")]
        assert said.count("cat") == said.count("dog") >= 10  # values and gradients of logits, weight, bias, …
        assert said.count("legs") == 4  # of x and the weight, and of their gradients
        assert said.count("first") >= 5
