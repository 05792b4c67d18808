"""Circuits and effects over pictures, in notebooks, as plots and as tables."""

import re
import sys
from typing import Any

import numpy as np
import pytest
from test_notebook import html_of, parsed
from test_overlay import says_the_same_in_each_form

import graphnn as gn
from graphnn.view import plots
from graphnn.view.heatmap import heatmap


def test_two_layers_with_one_title_say_it_once() -> None:
    g = gn.Graph()
    x = g.placeholder("x", 2)
    total = gn.sum(x * 2.0 + gn.exp(x))
    runs = ({x: [1.0, 1.0]}, {x: [0.0, 0.0]})
    both = [gn.effects(total, *runs), gn.effects(total, *runs, over="edges")]
    shown = gn.draw(total, overlay=both, engine="plain").svg()
    assert shown.count("how far the metric moves from") == 1
    assert "width: how far the metric moves if the edge is patched" in shown


def test_effects_of_parts_are_a_heatmap_with_names() -> None:
    g = gn.Graph()
    x = g.placeholder("x", 3)
    low, high = gn.multiply(x, [1.0, 2.0, 3.0], name="<b>low"), gn.multiply(x, [4.0, 5.0, 6.0], name="high")
    metric = gn.sum(low + high, name="metric")
    feeds = {x: np.ones(3)}, {x: np.zeros(3)}
    parts = [gn.patches.each(low, 0), gn.patches.each(high, 0)[:2]]
    page = html_of(gn.effects(metric, *feeds, parts, progress=False))
    parsed(page)
    rows = [re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", page)]
    assert rows == [["", "0", "1", "2"], ["&lt;b&gt;low", "1", "2", "3"], ["high", "4", "5", "nan"]]
    assert "<table" not in html_of(gn.effects(metric, *feeds, progress=False))
    wide = heatmap(np.arange(24.0).reshape(2, 12), [["<i>a", "b"], None])
    assert "from above: &lt;i&gt;a, b" in wide
    assert "<svg" in wide


def test_effects_of_heads_and_layers_are_a_table() -> None:
    g = gn.Graph()
    x = g.placeholder("x", (2, 3))
    one, two = gn.multiply(x, np.arange(3.0), name="one"), gn.multiply(x, -1.0, name="two")
    total = gn.sum(one[:, :2]) + gn.sum(two)
    places = [gn.patches.each(node, 1) for node in (one, two)]
    found = gn.effects(total, {x: np.ones((2, 3))}, {x: np.zeros((2, 3))}, over=places)
    figure = plots.effects(found)
    (axes,) = figure.axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["one", "two"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "1", "2"]
    written = {tuple(map(int, text.get_position())): text.get_text() for text in axes.texts}
    assert written == {(0, 0): "0", (1, 0): "2", (2, 0): "0", (0, 1): "-2", (1, 1): "-2", (2, 1): "-2"}
    with pytest.raises(gn.UsageError, match="a grid is of parts along an axis"):
        plots.effects(gn.effects(total, {x: np.ones((2, 3))}, {x: np.zeros((2, 3))}))


def test_a_large_table_of_effects_has_a_key_and_no_numbers() -> None:
    g = gn.Graph()
    x = g.placeholder("x", (60, 4))
    rows = [gn.multiply(x, float(i), name=f"a_long_name_of_a_scope/of_the_row_number_{i}/multiply") for i in range(5)]
    total = gn.sum(sum(rows[1:], rows[0]))
    places = [gn.patches.each(node, 0) for node in rows]
    figure = plots.effects(
        gn.effects(total, {x: np.ones((60, 4))}, {x: np.zeros((60, 4))}, over=places), title="by position"
    )
    axes, key = figure.axes
    assert not axes.texts
    assert key.get_ylim() == (0.0, 16.0)
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    assert len(set(names)) == 5
    assert max(map(len, names)) <= 32


def test_the_width_of_a_table_is_an_int() -> None:
    x = gn.Graph().placeholder("x", 2)
    feed = {x: np.ones(2)}
    y = gn.sum(x)
    for found in (gn.profile(y, feed, repeat=1), gn.summary(y), gn.effects(y, feed, {x: np.zeros(2)})):
        for width in (float("nan"), "wide"):
            with pytest.raises(gn.UsageError, match="width= is an int"):
                found.table(width)


@pytest.mark.parametrize("engine", ["dot", "plain"])
@pytest.mark.parametrize("detail", ["op", "layer", 0, 1, {"s": "layer"}], ids=str)
@pytest.mark.parametrize("name", ["effects", "circuit"])
def test_each_overlay_at_each_detail_says_the_same_in_each_form(name: str, detail: Any, engine: str) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=(2,))
    w = g.parameter("w", [1.0, 2.0])
    with g.scope("s"), g.in_scope("s/layer_1", kind="Layer"):
        y = gn.log(x * w)
    loss = gn.sum(y)
    feeds = {x: [1.0, 2.0]}, {x: [1.0, 3.0]}
    found = gn.effects(loss, *feeds) if name == "effects" else gn.circuit(loss, *feeds, keep=9)
    fetches = [loss, gn.grad(loss, w)]
    says_the_same_in_each_form(
        gn.draw(fetches, detail, overlay=name, trace=found, title="Title", engine=engine), engine
    )


def test_overlays_and_plots_of_this_room_are_known_by_name() -> None:
    x = gn.Graph().placeholder("x")
    with pytest.raises(gn.UsageError, match=r"an overlay is one of values, .*, circuit, effects; or"):
        gn.draw(x, overlay=3)
    with pytest.raises(gn.UsageError, match=r"is read from one of Trace, .*, Circuit, Effects; not from int"):
        gn.draw(x, trace=3)
    assert "effects" in dir(plots)


def test_a_plot_of_effects_refuses_what_is_none() -> None:
    with pytest.raises(gn.UsageError, match=r"what gn\.effects gives, not int"):
        plots.effects(3)
    with pytest.raises(TypeError, match=r"The call is effects\(found"):
        plots.effects()


def test_without_matplotlib_the_way_to_install_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    x = gn.Graph().placeholder("x", shape=("batch", 2))
    points = np.arange(8.0).reshape(4, 2)
    found = gn.effects(gn.sum(x), {x: points}, {x: -points}, over=gn.patches.each(x, 1), progress=False)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(gn.DrawingError, match=r'pip install "graphnn\[plot\]"'):
        plots.effects(found)
