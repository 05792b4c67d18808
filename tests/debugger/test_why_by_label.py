"""Elements asked for by the labels of their positions, in Python and in the terminal."""

from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.debugger.why import index_parts, split_index

PETS = ["cat", "dog", "a, [fish]"]


def debugger(labels: list[str] = PETS) -> Any:
    g = gn.Graph("pets")
    x, y = g.placeholder("x", ("batch", 2)), g.placeholder("y", ("batch",), "int64")
    logits = gn.name(nn.Dense(3)(x), "logits")
    g.labels[logits, 1] = labels
    g.labels[x, 1] = ["age", "weight"]
    dbg = gn.debug(nn.softmax_crossentropy(logits, y), {x: np.eye(2), y: [0, 2]}, echo=None)
    dbg.resume()
    return dbg


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ("logits[1, dog]", (1, 1)),
        ("logits[ 1,dog ]", (1, 1)),
        ("logits[1, 'dog']", (1, 1)),
        ('logits[-1, "a, [fish]"]', (1, 2)),
        ("logits[1, 1]", (1, 1)),
        ("dense_1/bias[dog]", (1,)),
        ("dense_1/weight[weight, cat]", (1, 0)),
    ],
)
def test_an_element_is_asked_for_by_its_label(asked: str, index: tuple[int, ...]) -> None:
    dbg = debugger()
    name = asked.partition("[")[0]
    for source in (dbg, dbg.trace()):
        why = source.why(asked)
        assert (why.node.title, why.index) == (name, index)
        assert str(why) == str(source.why(name, index))
    assert dbg.ancestry(asked).keys() == dbg.ancestry(name, index).keys()
    assert dbg.influence(asked).keys() == dbg.influence(name, index).keys()


def test_what_is_said_has_the_labels() -> None:
    said = str(debugger().why("logits", (1, "dog")))
    assert said.startswith("logits[1, 'dog'] = ")
    assert "dense_1/bias['dog'] = 0, a parameter" in said
    weights = str(debugger().why("dense_1/matmul", (1, 1)))
    assert "dense_1/weight[:, 'dog'] = " in weights
    assert "x[1, :] = 0, 1, fed" in weights


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        ("logits[1, dgo]", gn.NotFoundError, '"logits" has no position \'dgo\' along axis 1. Did you mean "dog"?'),
        ("logits[one, dog]", gn.NotFoundError, 'the positions along axis 0 of "logits" have no names'),
        ("logits[dog]", gn.UsageError, '"logits", (2, 3), is given by one int or label per axis, not by'),
        ("logits[1, dog", gn.NotFoundError, 'no node, scope or output "logits[1, dog"'),
        ("logit[1, dog]", gn.NotFoundError, "no node"),
        ("logits[1, 7]", gn.AxisError, "so it has no element [1, 7]"),
    ],
)
def test_errors_say_which_labels_there_are(asked: str, error: Any, says: str) -> None:
    with pytest.raises(error) as caught:
        debugger().why(asked)
    assert says in str(caught.value)


def test_a_label_that_is_there_twice_is_refused() -> None:
    with pytest.raises(gn.ValueRangeError, match=r"2 positions along axis 1 .* are called 'cat': 0, 1"):
        debugger(["cat", "cat", "dog"]).why("logits[0, cat]")


def test_a_label_that_is_a_number_stands_in_quotes() -> None:
    dbg = debugger(["2", "1", "0"])
    assert dbg.why("logits[0, 2]").index == (0, 2)
    assert dbg.why("logits[0, '2']").index == (0, 0)
    assert dbg.why("logits", (0, "2")).index == (0, 0)
    assert dbg.why("logits[0, '2']").equation.startswith("logits[0, '2'] = ")


def test_a_node_that_is_called_like_an_element_stays_one() -> None:
    g = gn.Graph()
    x = g.placeholder("x", (2,))
    y = gn.exp(x, name="x[0]")
    dbg = gn.debug(y, {x: [0.0, 1.0]}, echo=None)
    dbg.resume()
    assert dbg.why("x[0]", 1).node is y
    assert dbg.why("x[0][1]").node is y


def test_a_number_that_is_a_class_is_named() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 3))
    best = gn.argmax(x, axis=1)
    g.labels[x, 1] = ["cat", "dog", "fish"]
    why = gn.trace(best, {x: [[0.0, 2.0, 1.0]]}).why(best, 0)
    assert why.equation == "argmax[0] = 1 ('dog') = argmax of 0, 2, 1"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("1", ["1"]),
        ("1, dog", ["1", "dog"]),
        ("'a, b', 2", ["'a, b'", "2"]),
        ('"it\'s", x', ['"it\'s"', "x"]),
        ("it's, x", ["it's", "x"]),
        ("'open, x", ["'open", "x"]),
        ("1,", ["1", ""]),
        ("," * 5000, [""] * 5001),
        ("'" * 5000, ["'" * 5000]),
    ],
)
def test_parts_of_an_index(text: str, parts: list[str]) -> None:
    assert index_parts(text) == parts


def test_a_name_before_brackets_is_the_longest_that_is_known() -> None:
    assert split_index("a[b[c]", {"a", "a[b"}) == ("a[b", "c")
    assert split_index("a[b[c]", {"a"}) == ("a", "b[c")
    assert split_index("a[b]", set()) == ("", "")
