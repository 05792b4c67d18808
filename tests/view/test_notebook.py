"""What a notebook shows of traces and debuggers: parsed, without a script, and true."""

import re
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import Graph, nn
from graphnn.demo import build
from graphnn.errors import DrawingError
from graphnn.view import notebook
from graphnn.view.layout.graphviz_engine import find_engine

needs_engine = pytest.mark.skipif(
    find_engine() is None, reason="needs Graphviz, or graphviz-pure, which the tests install"
)

BAD_NAMES = [
    "</script><script>alert(1)</script>",
    "\x1b[31mred",
    "a\nb",
    'a" onload="alert(1)',
    "<b>x</b>",
    "&amp;",
    "long" * 2500,
]
HARMLESS = {
    "div", "span", "code", "table", "tr", "th", "td",
    "svg", "g", "a", "title", "path", "polygon", "ellipse", "polyline", "text", "rect", "line", "circle", "style",
}  # fmt: skip


def html_of(thing: Any) -> str:
    html = thing._repr_mimebundle_()["text/html"]
    assert isinstance(html, str)
    return html


def parsed(html: str) -> ET.Element:
    """Return the page, which is well-formed and has nothing in it that acts."""
    page = ET.fromstring(html)
    for element in page.iter():
        assert element.tag.rpartition("}")[2] in HARMLESS
        for key, value in element.attrib.items():
            local = key.rpartition("}")[2].lower()
            assert not local.startswith("on")
            assert local not in ("href", "src", "srcdoc", "action")
            assert "url(" not in value or local not in ("style", "fill")
        assert "@import" not in (element.text or "")
    return page


def words(page: ET.Element) -> str:
    return " ".join("".join(page.itertext()).split())


def debugger() -> gn.Debugger:
    fetches, feed = build()
    loss = fetches["loss"]
    return gn.debug(gn.compile(loss, updates=nn.Adam(0.1).updates(loss)), feed, echo=None)


@needs_engine
def test_a_debugger_shows_where_it_is() -> None:
    dbg = debugger()
    dbg.until("softmax_1/exp")
    page = parsed(html_of(dbg))
    text = words(page)
    assert "after softmax_1/exp, 9 of " in text
    assert "next: softmax_1/sum (demo.py:35)" in text
    assert "softmax_1/exp = exp(softmax_1/subtract), 300 × 3 float64" in text
    assert "demo.py:35: probabilities = network(x)" in text
    assert "current" in {"".join(element.itertext()) for element in page.iter("{http://www.w3.org/2000/svg}text")}
    cells = [float(cell.text or "") for cell in page.iter("td")]
    value = dbg["softmax_1/exp"].value[::25].ravel()
    np.testing.assert_allclose(cells, value, rtol=1e-3)


@needs_engine
def test_at_the_beginning_and_at_the_end() -> None:
    dbg = debugger()
    assert "before the first of " in words(parsed(html_of(dbg)))
    dbg.resume()
    assert ", the last of " in words(parsed(html_of(dbg)))


@needs_engine
def test_the_layer_of_the_current_node_is_open_and_others_are_not() -> None:
    dbg = debugger()
    dbg.until("dense_1/add")
    titles = [element.text for element in parsed(html_of(dbg)).iter("{http://www.w3.org/2000/svg}text")]
    assert "matmul" in titles
    assert titles.count("Dense") >= 1
    assert "stop_gradient" not in titles


@needs_engine
def test_a_failure_shows_the_node_and_its_operands() -> None:
    fetches, feed = build()
    feed = {node: value + 1 if node.name == "labels" else value for node, value in feed.items()}
    with pytest.raises(IndexError) as caught:
        gn.run(fetches["loss"], feed)
    page = parsed(html_of(caught.value.debug()))  # type: ignore[attr-defined]
    assert "label 3 at index" in words(page)
    assert "labels, placeholder, 300 int64" in words(page)
    assert "failed" in [element.text for element in page.iter("{http://www.w3.org/2000/svg}text")]


def test_one_number_is_explained() -> None:
    g = Graph()
    x = g.placeholder("x", shape=(2,))
    dbg = gn.debug(gn.sum(x), {x: [1.0, 2.0]})
    dbg.resume()
    assert "sum = 3 = 1 + 2" in words(parsed(html_of(dbg)))


def test_without_a_picture_the_schedule_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise DrawingError("no engine")

    monkeypatch.setattr(notebook, "draw", refuse)
    dbg = debugger()
    dbg.step(5)
    html = html_of(dbg)
    text = words(parsed(html))
    assert "<svg" not in html
    assert "--> 5 C dense_2/add add 300 × 3" in text
    assert "D done, C current" in text


def test_a_graph_too_large_for_a_glance_is_listed() -> None:
    x = y = Graph().placeholder("x")
    for _ in range(3000):
        y = -y
    dbg = gn.debug(y, {x: 1.0})
    dbg.step(1500)
    assert "--> 1500 C negative_1500" in words(parsed(html_of(dbg)))
    assert len(html_of(gn.trace(y, {x: 1.0}))) < 200_000


@needs_engine
def test_a_trace_is_a_diagram_and_a_table() -> None:
    fetches, feed = build()
    trace = gn.trace(fetches["loss"], feed)
    page = parsed(html_of(trace))
    rows = [[cell.text for cell in row.iter("td")] for row in page.iter("tr")][1:]
    assert [row[1] for row in rows] == [record.name for record in trace]
    heads = [cell.text for cell in page.iter("th")]
    column = heads.index("mean")
    means = [float(row[column] or "") for row in rows]
    np.testing.assert_allclose(means, [record.value.mean() for record in trace], rtol=1e-3, atol=1e-12)
    assert "16 operations in 22 nodes, " in words(page)


@needs_engine
def test_a_trace_that_was_stopped_says_so() -> None:
    g = Graph()
    n = g.placeholder("n", dtype=np.int64)
    with pytest.raises(ZeroDivisionError) as caught:
        gn.run(-(10 // n), {n: 0})
    trace = caught.value.debug().trace()  # type: ignore[attr-defined]
    page = parsed(html_of(trace))
    assert "an integer is divided by 0" in words(page)
    assert "failed" in [element.text for element in page.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", BAD_NAMES, ids=range(len(BAD_NAMES)))
def test_no_name_acts(name: str) -> None:
    g = Graph(name)
    x = g.placeholder(name, shape=("n",))
    with g.scope(name):
        y = gn.exp(x, name="in" + name)
    g.outputs["out" + name] = y
    dbg = gn.debug([-y], {x: [1.0, 2.0]}, echo=None)
    dbg.step()
    dbg.what_if(x, [3.0, 4.0], name="another" + name)
    for html in (html_of(dbg), html_of(gn.trace([-y], {x: [1.0, np.nan]}))):
        text = words(parsed(html))
        assert not re.search(r"<script|<b>", html.replace("&lt;", ""))
        assert all(c.isprintable() or c == "\n" for c in html)
        assert len(html) < 120_000
        if len(name) < 40 and name.isprintable():
            assert name in text


@needs_engine
def test_the_picture_begins_at_the_current_node() -> None:
    dbg = debugger()
    dbg.until("softmax_1/sum")
    html = html_of(dbg)
    (left, top) = re.findall(r"left:([\d.]+)%;top:([\d.]+)%;[^>]*scroll-initial-target", html)[0]
    assert 0 < float(left) < 100
    assert 0 < float(top) < 100
    svg = html[html.index("<svg") : html.index("</svg>")]
    extent = [float(n) for n in re.search(r'viewBox="([^"]+)"', svg)[1].split()]  # type: ignore[index]
    moved = [float(n) for n in re.search(r"translate\(([^)]+)\)", svg)[1].split()]  # type: ignore[index]
    x, y = re.search(r'x="([^"]+)" y="([^"]+)"[^>]*>current<', svg).groups()  # type: ignore[union-attr]
    assert float(left) == pytest.approx(100 * (float(x) + moved[0] - extent[0]) / extent[2], abs=0.1)
    assert float(top) == pytest.approx(100 * (float(y) + moved[1] - extent[1]) / extent[3], abs=0.1)


def test_what_is_printed_as_a_text_is_shown_as_one() -> None:
    fetches, feed = build()
    step = gn.compile(fetches["loss"])
    trace = gn.trace(step, feed)
    for thing in (
        gn.check_health(trace),
        gn.compare(trace),
        gn.profile(trace, repeat=1),
        step.plan(feed).explain(),
    ):
        assert words(parsed(html_of(thing))) == " ".join(str(thing).split())
    with gn.recording(step) as film:
        assert words(parsed(html_of(film))) == repr(film)
        step(feed)
    assert words(parsed(html_of(film))) == f"{film!r}film[0] is the trace of the first; film.to_html() replays them all"


def test_names_in_a_text_are_harmless_too() -> None:
    for name in BAD_NAMES:
        x = gn.Graph().placeholder(name, shape=(2,))
        trace = gn.trace(gn.log(x), {x: [0.0, 1.0]})
        for thing in (gn.check_health(trace), gn.compare(trace, {name: [0.0, 2.0]}), gn.profile(trace, repeat=1)):
            parsed(html_of(thing))


@needs_engine
def test_the_picture_of_a_whole_trace_begins_at_its_first_box() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 2))
    loss = gn.mean(gn.square(nn.Sequential(nn.Dense(4), nn.ReLU(), nn.Dense(3))(x)))
    step = gn.compile(loss, updates=nn.SGD(0.1).updates(loss))
    shown = html_of(gn.trace(step, {x: np.ones((3, 2))}))
    left, top = map(float, re.findall(r"position:absolute;left:([\d.]+)%;top:([\d.]+)%", shown)[0])
    width, height = map(float, re.findall(r'viewBox="-?[\d.]+ -?[\d.]+ ([\d.]+) ([\d.]+)"', shown)[0])
    moved = [float(part) for part in re.findall(r"translate\((-?[\d.]+) (-?[\d.]+)\)", shown)[0]]
    box = next(found for found in re.finditer(r'<text [^>]*x="(-?[\d.]+)" y="(-?[\d.]+)"[^>]*>x</text>', shown))
    assert left == pytest.approx(100 * (float(box[1]) + moved[0]) / width, abs=2)
    assert top == pytest.approx(100 * (float(box[2]) + moved[1]) / height, abs=2)
