"""Native plans beside others: in comparisons of runs, and as overlays of diagrams."""

from typing import Any

import numpy as np
import pytest
from dot_text import told
from test_compare import data as data
from test_compare import first_of, network

import graphnn as gn
from graphnn.native.native_explanation import NativeExplanation
from graphnn.native.native_plan import Native


def test_a_native_plan_is_compared_as_that_of_numpy(data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x, labels, loss = network()
    feed = {x: data[0], labels: data[1]}
    found = gn.compare(loss, None, feed, backends=("interpreter", "native"))
    assert str(found).startswith('"spiral": the interpreter and the native plan are equal to the bit')
    computed = Native.__call__
    monkeypatch.setattr(
        Native, "__call__", lambda plan, *given: [np.asarray(each + 1) for each in computed(plan, *given)]
    )
    found = gn.compare(loss, None, feed, backends=("numpy", "native"))
    assert first_of(found).name == "x"


def test_an_overlay_shows_a_native_plan() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 2))
    y = gn.sum(gn.exp(x * 2.0))
    explanation = gn.compile(y, backend="native").plan({x: np.ones((3, 2))}).explain()
    assert isinstance(explanation, NativeExplanation)
    for given in ({"overlay": explanation}, {"overlay": "plan", "trace": explanation}, {"trace": explanation}):
        boxes = told(gn.draw(y, **given).source)
        for node, fate in explanation.fates.items():
            assert fate in boxes.titled(node.name).lines
