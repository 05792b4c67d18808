"""Which engine draws, where nobody says: a planted Graphviz tells whether it was called."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from forty import random_nodes

import graphnn as gn
from graphnn import nn
from graphnn.errors import DrawingError
from graphnn.view import draw
from graphnn.view.diagrams.fonts import fitted
from graphnn.view.layout.graphviz_engine import Engine

PLANTED = '<svg viewBox="0.00 0.00 100.00 100.00"></svg>'
OWN = '<svg viewBox="0 0 9 9"></svg>'


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What Graphviz was asked to do; graphnn itself lays out nothing either."""
    asked: list[str] = []

    def lay_out(source: str, timeout: float) -> bytes:
        asked.append("svg")
        return PLANTED.encode()

    def paint(source: str, form: str, dots: float, timeout: float) -> bytes:
        asked.append(f"{form} of {re.findall('bb|pos', source)}")
        return b"painted"

    monkeypatch.setattr("graphnn.view.diagrams.draw.find_engine", lambda: Engine("planted", pure=False))
    monkeypatch.setattr("graphnn.view.diagrams.draw.lay_out", lay_out)
    monkeypatch.setattr("graphnn.view.diagrams.draw.paint", paint)
    monkeypatch.setattr("graphnn.view.diagrams.draw.plain_svg", lambda *picture: OWN)
    return asked


def chain(boxes: int) -> gn.Node:
    h = gn.Graph().placeholder("x")
    for _ in range(boxes - 1):
        h = gn.exp(h)
    return h


def apart(boxes: int) -> list[gn.Node]:
    g = gn.Graph()
    return [g.placeholder(f"x_{number}") for number in range(boxes)]


def tangle(boxes: int, readers: int) -> list[gn.Node]:
    """Return what has edges from each of some boxes to each reader."""
    g = gn.Graph()
    given = [g.placeholder(f"x_{number}", shape=(2,)) for number in range(boxes)]
    return [gn.concatenate(given) for _ in range(readers)]


def training(then: Callable[[gn.Node], list[gn.Node]]) -> list[gn.Node]:
    g = gn.Graph()
    x, labels = g.placeholder("x", shape=("batch", 2)), g.placeholder("labels", shape=("batch",), dtype=np.int64)
    loss = nn.softmax_crossentropy(nn.Dense(3)(x), labels)
    return [loss, *then(loss)]


def none(loss: gn.Node) -> list[gn.Node]:
    return []


def gradients(loss: gn.Node) -> list[gn.Node]:
    return gn.grad(loss, list(loss.graph.parameters))


def updates(loss: gn.Node) -> list[gn.Node]:
    return list(nn.SGD(0.1).updates(loss).values())


@pytest.mark.parametrize(
    ("by_graphviz", "build", "detail"),
    [
        pytest.param(True, partial(chain, 43), "op", id="as high as may be"),
        pytest.param(False, partial(chain, 44), "op", id="too high"),
        pytest.param(True, partial(chain, 16), "layer", id="as wide as may be"),
        pytest.param(False, partial(chain, 17), "layer", id="too wide"),
        pytest.param(True, partial(apart, 200), "op", id="as many boxes as may be"),
        pytest.param(False, partial(apart, 201), "op", id="too many boxes"),
        pytest.param(True, partial(tangle, 100, 4), "op", id="as many edges as may be"),
        pytest.param(False, partial(tangle, 67, 6), "op", id="too many edges"),
        pytest.param(False, partial(random_nodes, 1000), "op", id="1,000 random nodes"),
        pytest.param(True, partial(training, none), "layer", id="a loss without frames"),
        pytest.param(False, partial(training, none), "op", id="a loss in frames"),
        pytest.param(True, partial(training, gradients), "op", id="gradients in frames"),
        pytest.param(False, partial(training, updates), "op", id="updates"),
        pytest.param(False, partial(training, updates), "layer", id="updates of layers"),
    ],
)
def test_graphviz_is_called_only_for_what_it_draws_better(
    calls: list[str], by_graphviz: bool, build: Callable[[], Any], detail: str
) -> None:
    diagram = draw(build(), detail)
    drawn = diagram.svg()
    assert calls == ["svg"] * by_graphviz
    assert drawn == (PLANTED if by_graphviz else OWN)
    assert diagram.note == ""


def test_graphviz_draws_what_it_is_asked_to_draw(calls: list[str]) -> None:
    assert draw(chain(300), engine="dot").svg() == PLANTED
    assert calls == ["svg"]


@pytest.mark.parametrize("form", ["svg", "png", "jpg", "pdf", "json"])
@pytest.mark.parametrize(("boxes", "by_graphviz"), [(20, True), (300, False)])
def test_what_lays_out_does_not_depend_on_the_format(
    calls: list[str], boxes: int, by_graphviz: bool, form: str
) -> None:
    draw(chain(boxes)).render(form)
    painted = [f"{form} of ['pos', 'pos']"] * (form in ("png", "jpg"))  # two corners, and nothing to lay out
    assert calls == ["svg"] * by_graphviz + painted


def test_where_lines_of_graphviz_run_over_titles_graphnn_draws(
    calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = '<g class="edge"><title>n0-&gt;n1</title><path d="M{x},0C{x},10 {x},20 {x},40"/></g>'
    frame = '<g class="cluster"><title>cluster_0</title><text x="8" y="12" font-size="9.5">dense_1</text></g>'
    for x, drawn_by in ((20, OWN), (80, PLANTED)):
        svg = PLANTED.replace("></svg>", f">{frame}{edge.format(x=x)}</svg>")
        monkeypatch.setattr("graphnn.view.diagrams.draw.lay_out", lambda source, timeout, svg=svg: svg.encode())
        assert draw(training(gradients)).svg() == (OWN if drawn_by is OWN else fitted(svg))
        assert draw(training(gradients), engine="dot").svg() == fitted(svg)


def test_a_limit_holds_whatever_draws(calls: list[str]) -> None:
    for boxes in (20, 300):
        with pytest.raises(DrawingError, match=f"{boxes} boxes are more than the 10 "):
            draw(chain(boxes), "op", limit=10).svg()
    assert calls == []
