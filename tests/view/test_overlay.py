"""What is laid over a diagram: each overlay says on each box what was worked out by hand."""

import html
import math
import re
import xml.etree.ElementTree as ET
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

import forty
import numpy as np
import pytest
from dot_text import Said, Told, told
from svg_geometry import SVG, read

import graphnn as gn
from graphnn import Graph, Node, demo, nn
from graphnn.errors import NotFoundError, UsageError
from graphnn.view import Diagram, draw
from graphnn.view.diagrams.node_marks import OVERLAYS
from graphnn.view.diagrams.style import LOOK

COLD, HOT, WHITE = "#F7F7F7", "#7F2704", "#FFFFFF"  # the middle and the upper end of the scale, and paper
BLUE, ORANGE = "#08306B", "#7F2704"  # its ends

# x @ w = [[1, -2], [3, -4]], relu of that [[1, 0], [3, 0]], and the sum of that 4.
X, W = [[1.0, 2.0], [3.0, 4.0]], [[1.0, 0.0], [0.0, -1.0]]


def small() -> tuple[Node, Node]:
    """Return a loss, and its gradient with respect to w; the product is in a scope."""
    g = Graph("small")
    x, w = g.placeholder("x", shape=("batch", 2)), g.parameter("w", W)
    with g.scope("head"):
        y = gn.relu(x @ w)
    g.outputs["loss"] = loss = gn.sum(y)
    return loss, gn.grad(loss, w)


def traced(**how: Any) -> tuple[list[Node], gn.Trace]:
    fetches = list(small())
    return fetches, gn.trace(fetches, {"x": X}, graph=fetches[0].graph, **how)


def on(picture: Told, title: str) -> list[str]:
    """Return what is said on a box below its title, and below the shape or name under that."""
    return picture.titled(title).lines[1:]


def filled(box: Said) -> str | None:
    return box.look.get("fillcolor")


# --- read from a trace ----------------------------------------------------------------------------------------


def test_values_are_the_numbers_or_where_they_lie_with_a_heatmap() -> None:
    fetches, trace = traced()
    picture = told(draw(fetches[0], overlay="values", trace=trace).source)
    assert picture.titled("loss").name == "t0"
    assert on(picture, "sum") == ["4"]
    assert on(picture, "w") == ["2 × 2", "[[1, 0], [0, -1]]"]
    assert on(picture, "relu") == ["[[1, 0], [3, 0]]"]
    assert not picture.titled("relu").cells
    assert picture.headings[0] == "values"


def test_of_many_numbers_the_range_is_told_and_the_heatmap_shows_the_cells() -> None:
    x = Graph().placeholder("x", shape=(2, 4))
    value = [[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 8.0]]
    picture = told(draw(x * 2.0, trace=gn.trace(x * 2.0, {x: value})).source)
    box = picture.titled("x")
    assert box.lines == ["x", "2 × 4", "0 to 8"]
    assert len(box.cells) == 8
    assert (box.cells[0], box.cells[-1]) == (COLD, HOT)
    assert "each heatmap has its own scale" in picture.headings[1]
    assert "dark red" not in picture.headings[1]


def test_what_is_not_finite_is_counted_before_the_range() -> None:
    x = Graph().placeholder("x", shape=(6,))
    trace = gn.trace(x * 1.0, {x: [1.0, math.nan, math.inf, math.inf, -math.inf, 3.0]})
    picture = told(draw(x * 1.0, trace=trace).source)
    assert on(picture, "x") == ["6", "1 NaN, 2 inf, 1 -inf", "1 to 3"]
    assert any("dark red is NaN or infinite" in heading for heading in picture.headings)
    nothing = gn.trace(x * 1.0, {x: [math.nan] * 6})
    assert on(told(draw(x * 1.0, overlay="statistics", trace=nothing).source), "x") == ["6", "6 NaN"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([1.0] * 6, "all 1"),
        ([math.nan, *[2.0] * 5], "1 NaN|all finite ones 2"),
        ([1.0, 1.0 + 1e-9, 1.0, 1.0, 1.0, 1.0], "all about 1"),
        ([math.inf, 1.0, 1.0 + 1e-9, 1.0, 1.0, 1.0], "1 inf|all finite ones about 1"),
        ([True, False, True, True, True, True], "5 of 6 true"),
        ([False] * 6, "0 of 6 true"),
        ([3.0, 1.0, 2.0, 2.0, 2.0, 2.0], "1 to 3"),
    ],
)
def test_what_all_elements_are_is_said_instead_of_a_range(value: list[Any], said: str) -> None:
    x = Graph().placeholder("x", shape=(6,), dtype=np.array(value).dtype)
    picture = told(draw(gn.where(x, x, x) if x.dtype == bool else x * 1.0, {x: value}).source)
    assert "|".join(on(picture, "x")[1:]) == said


def test_a_box_of_several_shows_its_result() -> None:
    fetches, trace = traced()
    picture = told(draw(fetches[0], 0, trace=trace).source)
    assert on(picture, "head") == ["[[1, 0], [3, 0]]"]
    assert "a box of several operations shows its result" in picture.headings[-1]


def test_statistics_are_mean_spread_zeros_and_range_coloured_by_sign_of_the_mean() -> None:
    fetches, trace = traced()
    picture = told(draw(fetches[0], overlay="statistics", trace=trace).source)
    # (1 + 4 + 1) / 4 = 1.5 is the square of the spread around 1
    assert on(picture, "relu") == ["mean 1", "std 1.225, 50% zeros", "0 to 3"]
    assert on(picture, "matmul") == ["mean -0.5", "std 2.693", "-4 to 3"]
    assert on(picture, "sum") == ["mean 4"]
    assert picture.headings[:2] == ["means of the values", "-4 4"]
    assert filled(picture.titled("sum")) == "#7F2704"  # the greatest: orange
    assert filled(picture.titled("w")) not in (None, WHITE)


@pytest.mark.parametrize(
    ("zeros", "said"), [(0, "std 0"), (1, "under 1% zeros"), (500, "50% zeros"), (999, "over 99% zeros")]
)
def test_a_share_is_neither_nothing_nor_all_if_it_is_not(zeros: int, said: str) -> None:
    x = Graph().placeholder("x", shape=(1000,))
    value = np.ones(1000)
    value[:zeros] = 0.0
    picture = told(draw(x * 1.0, overlay="statistics", trace=gn.trace(x * 1.0, {x: value})).source)
    assert said in on(picture, "x")[2]


def test_gradients_are_norms_on_the_nodes_they_are_for_and_on_themselves() -> None:
    (loss, gradient), trace = traced()
    picture = told(draw([loss, gradient], overlay="gradients", trace=trace).source)
    # ∂loss/∂relu is 1 everywhere, ∂loss/∂matmul [[1, 0], [1, 0]], ∂loss/∂w [[4, 0], [6, 0]].
    assert on(picture, "relu") == ["gradient [[1, 1], [1, 1]]", "norm 2"]
    assert on(picture, "w") == ["2 × 2", "gradient [[4, 0], [6, 0]]", "norm 7.211"]
    forward, backward = (box for box in picture.boxes.values() if box.title == "matmul")
    assert forward.lines[1:] == ["gradient [[1, 0], [1, 0]]", "norm 1.414"]
    assert backward.lines[-1] == "norm 7.211"
    # What is no gradient, such as the transposed input, has no norm; nor has the 1 that all begins with.
    assert not [box for box in picture.boxes.values() if box.title == "1" and len(box.lines) > 1]
    assert not [box for box in picture.boxes.values() if box.title == "transpose" and "norm" in box.lines[-1]]
    assert picture.headings[0] == "norms of the gradients of loss"


def test_a_trace_and_a_compiled_step_are_drawn_as_what_they_are_of() -> None:
    fetches, trace = traced()
    assert draw(trace).source == draw(fetches, trace=trace).source
    assert draw(trace, overlay="statistics").source == draw(fetches, overlay="statistics", trace=trace).source
    assert draw(trace, trace=gn.profile(trace)).source != draw(trace).source
    loss = small()[0]
    step = gn.compile(loss, updates=gn.nn.SGD(0.1).updates(loss))
    assert draw(step).source == draw([loss, *step.updates.values()]).source
    assert str(gn.summary(step)) == str(gn.summary([loss, *step.updates.values()]))


def test_what_a_what_if_set_is_marked_in_the_picture_of_its_trace(tmp_path: Path) -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", shape=("n", 2)), g.parameter("w", [10.0, 20.0])
    y = gn.clip(gn.cumsum(gn.relu(x * w), axis=1), 0.0, 30.0)
    dbg = gn.debug(y, {x: [[1.0, 2.0], [3.0, 4.0]]}, echo=None)
    dbg.resume()
    dbg["w"] = [1.0, 2.0]
    dbg["relu"] = [[4.0, 5.0], [7.0, 7.0]]
    dbg.what_if("cumsum", axis=0)
    dbg.trace().save(tmp_path / "what-if.trace")
    for trace in (dbg.trace(), gn.load(tmp_path / "what-if.trace")):
        boxes = {box.title: box.lines for box in told(draw(trace).source).boxes.values()}
        said = {title: [line for line in lines if "by hand" in line or "now" in line] for title, lines in boxes.items()}
        assert {title: lines for title, lines in said.items() if lines} == {
            "w": ["set by hand"],
            "relu": ["set by hand"],
            "cumsum": ["now axis=0"],
        }
        assert "now axis=0" in trace._repr_mimebundle_()["text/html"]
        assert "now axis=0" in draw(y, overlay=trace).source
        assert "now axis=0" in draw(y, overlay="time", trace=trace).source
        assert "now axis" not in draw(trace, highlight={"relu": "way"}).source


def test_gradients_of_a_loaded_trace_are_those_of_the_trace(tmp_path: Path) -> None:
    (loss, gradient), trace = traced()
    trace.save(tmp_path / "run.trace")
    loaded = gn.load(tmp_path / "run.trace")
    there = [loaded.graph[node.name] for node in (loss, gradient)]
    before, after = (
        draw(fetches, overlay="gradients", trace=seen).source
        for fetches, seen in (((loss, gradient), trace), (there, loaded))
    )
    assert "norm 7.211" in before
    assert after == before


def test_a_list_of_overlays_says_each_on_a_panel_of_its_own() -> None:
    neuron = forty.neuron()
    picture = told(draw(neuron, overlay=["values", "gradients"]).source)
    # Karpathy's micrograd: data and grad of the neuron in its README's notebook.
    published = {"x1": (2, -1.5), "w1": (-3, 1), "x2": (0, 0.5), "w2": (1, 0), "b": (6.881, 0.5)}
    for name, (value, gradient) in published.items():
        assert on(picture, name) == ["scalar", f"value {value}", f"gradient {gradient}"]
    assert on(picture, "tanh") == ["value 0.7071", "gradient 1"]
    assert on(picture, "add_2")[1:] == ["value 0.8814", "gradient 0.5"]
    assert filled(picture.titled("x1")) == LOOK["parameter"]["fillcolor"]  # what it is, and no overlay, fills the box
    assert picture.headings == ["values", "gradients of tanh", "-1.5 1.5"]
    assert (picture.shades[0], picture.shades[-1]) == (BLUE, ORANGE)


@pytest.mark.parametrize("engine", ["dot", "plain"])
def test_panels_are_the_same_in_every_form(engine: str) -> None:
    diagram = draw(forty.neuron(), {}, overlay=["values", "gradients"], engine=engine)
    svg, text, mermaid = html.unescape(diagram.svg()), diagram.text(), diagram.mermaid()
    for line in ("value -3", "gradient -1.5", "gradient 0.5", "value 0.7071"):
        assert line in svg
        assert line in text
        assert line in mermaid
    assert "◇    x1  [value 2, gradient -1.5]" in text
    # The number that is least is on the darkest blue, and on no other box.
    panels = re.findall(rf'fill="{BLUE}"', svg, re.IGNORECASE)
    assert len(panels) == 2  # in the legend, and on x1


def test_gradients_make_no_node_and_leave_names_free() -> None:
    loss, _ = small()
    graph = Graph("fresh")
    x, w = graph.placeholder("x", shape=("batch", 2)), graph.parameter("w", W)
    graph.outputs["loss"] = fresh = gn.sum(gn.relu(x @ w))
    state, count_before = graph.state[w], len(graph)
    assert on(told(draw(fresh, {x: X}).source), "w") == ["2 × 2", "[[1, 0], [0, -1]]"]  # runs it, and shows values
    assert (len(graph), graph.state[w] is state) == (count_before, True)
    picture = told(draw(fresh, {x: X}, overlay=["values", "gradients"]).source)
    assert on(picture, "w") == ["2 × 2", "value [[1, 0], [0, -1]]", "gradient [[4, 0], [6, 0]]", "norm 7.211"]
    assert on(picture, "x") == ["batch × 2", "value [[1, 2], [3, 4]]", "gradient [[1, 0], [1, 0]]", "norm 1.414"]
    assert (len(graph), list(graph.cotangents), graph.state[w] is state) == (count_before, [], True)
    assert gn.grad(fresh, w).name == gn.grad(*alike()).name
    # What the graph has of gradients already is drawn with them, and none is made again.
    count_before = len(loss.graph)
    both = told(draw([loss, gn.grad(loss, "w")], {"x": X}, graph=loss.graph, overlay=["values", "gradients"]).source)
    assert len(loss.graph) == count_before
    assert on(both, "w")[-2:] == ["gradient [[4, 0], [6, 0]]", "norm 7.211"]


def alike() -> tuple[Node, Node]:
    g = Graph("fresh")
    x, w = g.placeholder("x", shape=("batch", 2)), g.parameter("w", W)
    return gn.sum(gn.relu(x @ w)), w


def test_a_compiled_step_a_graph_and_names_have_gradients_too() -> None:
    loss, w = alike()
    loss.graph.outputs["loss"] = loss
    expected = ["2 × 2", "gradient [[4, 0], [6, 0]]", "norm 7.211"]
    for target in (loss, loss.graph, {"loss": loss}, gn.compile(loss), loss.name):
        picture = told(
            draw(target, feed={"x": X}, overlay="gradients", graph=loss.graph if target is loss.name else None).source
        )
        assert on(picture, "w") == expected
    step = gn.compile(loss, updates=nn.SGD(0.1).updates(loss))
    picture = told(draw(step, {"x": X}, overlay=["gradients", "values"]).source)
    assert "gradient [[4, 0], [6, 0]]" in on(picture, "w")
    assert np.array_equal(loss.graph.state[w], W)


def test_gradients_are_drawn_where_more_is_fed_than_is_needed() -> None:
    loss, _ = alike()
    unused = loss.graph.placeholder("unused", ("m",))
    picture = told(draw(loss, {"x": X, unused: np.ones(3)}, overlay="gradients").source)
    assert on(picture, "w") == ["2 × 2", "gradient [[4, 0], [6, 0]]", "norm 7.211"]


def test_gradients_are_of_exactly_one_scalar() -> None:
    loss, _ = alike()
    with pytest.raises(UsageError, match=r'of one scalar, and "relu" is batch × 2: draw the loss, or a sum, as gn.sum'):
        draw(loss.inputs[0], {"x": X}, overlay="gradients")
    other = gn.mean(loss.inputs[0])
    with pytest.raises(UsageError, match='of one scalar, and 2 are drawn, "sum", "mean": draw one of them'):
        draw([loss, other], {"x": X}, overlay=["values", "gradients"])
    g = Graph()
    n = g.placeholder("n", dtype="int64")
    with pytest.raises(NotFoundError, match="depends on no parameter and no placeholder of floats"):
        draw(gn.cast(n, "float64"), {n: 3}, overlay="gradients")
    with pytest.raises(UsageError, match="a list of overlays names at least one"):
        draw(loss, overlay=[])


@pytest.mark.usefixtures("own_operations")
def test_where_an_operation_has_no_gradient_those_behind_it_are_drawn() -> None:
    class Steep(gn.Op):
        """The number itself; it has no rule for a gradient."""

        def infer(self, x: gn.Spec) -> gn.Spec:
            return x

        def forward(self, x: Any, out: Any = None) -> Any:
            return x.copy()

    g = Graph()
    x, w = g.placeholder("x"), g.parameter("w", 3.0)
    loss = Steep()(x) * w
    picture = told(draw(loss, {x: 2.0}, overlay="gradients").source)
    assert on(picture, "w") == ["scalar", "gradient 2"]
    assert on(picture, "x") == ["scalar"]


@pytest.mark.parametrize("engine", ["dot", "plain"])
def test_a_hostile_name_of_what_is_differentiated_is_text(engine: str) -> None:
    g = Graph()
    x = g.parameter('<img src=x onerror=alert(1)>"', np.ones(9))
    g.outputs["</text><script>alert(2)</script>"] = y = gn.sum(x * x)
    diagram = draw(y, overlay=["values", "gradients"], engine=engine)
    svg = diagram.svg()
    assert "<script" not in svg
    assert "<img" not in svg
    assert "</text><script>alert(2)</script>" in "".join(ET.fromstring(svg).itertext())
    assert "<script" not in diagram.mermaid()


def test_what_a_list_shares_is_said_once_and_sources_mix() -> None:
    x, a, _, c = chained()
    health = gn.check_health(c, {x: [1.0, 2.0]})
    picture = told(draw(c, overlay=[{a: "mine"}, {a: 2.5, x: 0}, health]).source)
    assert on(picture, "exp") == ["mine", "2.5"]
    trace = gn.trace(a, {x: [1.0, 2.0]})
    picture = told(draw(c, overlay=["values", "statistics"], trace=trace).source)
    assert on(picture, "cos") == ["not run"]
    assert told(draw(c, overlay=["values"], trace=trace).source) == told(draw(c, overlay="values", trace=trace).source)


def test_gradients_that_are_rounding_stretch_no_scale() -> None:
    g = Graph()
    x, tiny = g.placeholder("x", shape=4), g.parameter("tiny", np.full(6, 1e-30))
    loss = gn.sum(x) + gn.sum(gn.square(tiny))
    picture = told(draw(loss, {x: np.ones(4)}, overlay="gradients").source)
    assert picture.headings[1].split()[0] == "5.439e-16"  # the largest norm, that of six ones, × eps
    assert set(picture.titled("tiny").cells) == {"#F7F7F7"}  # 2e-30 is nothing beside 1


def test_a_heatmap_says_what_of_the_value_it_shows() -> None:
    x = Graph().placeholder("x", shape=("batch", 3, 40))
    trace = gn.trace(x * 1.0, {x: np.ones((5, 3, 40))})
    assert on(told(draw(x * 1.0, trace=trace).source), "x")[-1] == "20 of 40 columns"
    doubled = Graph().placeholder("y", shape=(300, 2)) * 2.0
    small = gn.trace(doubled, {"y": np.ones((300, 2))}, keep=1)  # of the value itself, only a preview is kept
    picture = draw(doubled, trace=small, engine="plain")
    assert on(told(picture.source), "multiply")[-1] == "6 of 300 rows"
    assert "6 of 300 rows" in picture.svg()


def test_class_ids_are_not_coloured_as_if_they_were_amounts() -> None:
    g = Graph()
    labels = g.placeholder("labels", shape="batch", dtype="int64")
    pixels = g.placeholder("pixels", shape="batch", dtype="uint8")
    feed = {labels: [0, 2, 2, 0, 7, 2], pixels: np.array([0, 2, 2, 0, 7, 2], np.uint8)}
    trace = gn.trace([labels, pixels], feed)
    picture = told(draw([labels, pixels], trace=trace).source)
    assert on(picture, "labels") == ["batch · int64", "3 different", "0 to 7"]
    assert not picture.titled("labels").cells
    assert picture.titled("pixels").cells
    picture = told(draw([labels, pixels], overlay="statistics", trace=trace).source)
    assert on(picture, "labels")[1:] == ["3 different", "0 to 7"]
    assert filled(picture.titled("labels")) == WHITE


def test_no_gradients_is_said() -> None:
    loss, _ = small()
    with pytest.raises(NotFoundError, match=r"no gradients in this trace.*gn.trace\(\[loss, \*grads\], feed\)"):
        draw(loss, overlay="gradients", trace=gn.trace(loss, {"x": X}, graph=loss.graph))


def test_many_magnitudes_are_on_a_logarithmic_scale() -> None:
    g = Graph()
    x = g.placeholder("x")
    y = gn.sum(gn.square(x * 1e-4))
    gradient = gn.grad(y, x)
    trace = gn.trace([y, gradient], {x: 1.0})
    picture = told(draw([y, gradient], overlay="gradients", trace=trace).source)
    assert "a logarithmic scale" in picture.headings[-1]
    # y = (1e-4 x)²: ∂y/∂(square) = 1, ∂y/∂(1e-4 x) = 2e-4, ∂y/∂x = 2e-8
    assert picture.headings[1] == "2e-08 1"


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock on which everything takes a millisecond."""
    clock = count()
    # By its path, since the function `recording` stands in the package under the same name.
    module = import_module("graphnn.debugger.traces.recording")
    monkeypatch.setattr(module, "perf_counter", lambda: next(clock) / 1000)


@pytest.mark.usefixtures("ticking")
@pytest.mark.parametrize(("detail", "title", "said"), [("op", "relu", "1 ms"), (0, "head", "2 ms")])
def test_time_of_a_box_is_the_sum_of_what_is_in_it(detail: Any, title: str, said: str) -> None:
    fetches, trace = traced()
    each = {record.node.name: record.time for record in trace}
    assert each["head/relu"] == pytest.approx(0.001)
    picture = told(draw(fetches[0], detail, overlay="time", trace=trace).source)
    assert on(picture, title)[-1] == said
    assert picture.headings[:2] == ["time, 3 ms in all", f"0 µs {said}"]
    assert filled(picture.titled(title)) == HOT
    assert not any("ms" in line for line in on(picture, "x"))


def test_bytes_are_told_of_all_that_is_held() -> None:
    fetches, trace = traced()
    picture = told(draw(fetches[0], 0, overlay="bytes", trace=trace).source)
    assert on(picture, "x") == ["batch × 2", "32 B"]
    assert on(picture, "head") == ["64 B"]
    assert "64 bytes" in picture.titled("head").tip
    assert on(picture, "sum") == ["8 B"]
    assert picture.headings[0] == "bytes of the values, 136 B in all"  # 32 of x and of w, 64, 8


@pytest.mark.parametrize("source", ["trace", "profile"])
def test_flops_are_two_a_product_and_summed_in_a_box(source: str) -> None:
    fetches, trace = traced()
    read_from = trace if source == "trace" else gn.profile(fetches, {"x": X}, graph=fetches[0].graph)
    picture = told(draw(fetches[0], overlay="flops", trace=read_from).source)
    assert on(picture, "matmul") == ["16 FLOP"]  # 2 · 2 · 2 · 2
    assert on(picture, "relu") == ["4 FLOP"]
    collapsed = told(draw(fetches[0], 0, overlay="flops", trace=read_from).source)
    assert on(collapsed, "head") == ["20 FLOP"]
    assert "20 floating-point operations" in collapsed.titled("head").tip


def test_a_profile_tells_time_and_bytes() -> None:
    fetches, _ = traced()
    profile = gn.profile(fetches, {"x": X}, graph=fetches[0].graph)
    assert told(draw(fetches, overlay=profile).source).headings[0].startswith("time, ")
    picture = told(draw(fetches[0], 0, overlay="bytes", trace=profile).source)
    assert on(picture, "head") == ["64 B"]
    assert picture.headings[0].startswith("bytes written, ")


def test_what_did_not_run_is_dotted_and_says_so(tmp_path: Path) -> None:
    g = Graph()
    x = g.placeholder("x", shape=(2,))
    with g.scope("s"):
        y = gn.exp(gn.log(x))
    z = gn.sin(y)
    with pytest.raises(gn.GraphnnError) as info:
        gn.run(z, {x: [1.0, -1.0]}, guard="nan")
    info.value.save(tmp_path / "stopped.trace")
    trace = gn.load(tmp_path / "stopped.trace")
    picture = told(draw(z, overlay="values", trace=trace).source)
    assert on(picture, "x") == ["2", "[1, -1]"]
    assert on(picture, "sin") == ["not run"]
    assert "dotted" in picture.titled("sin").look["style"]
    assert "dotted: not run" in picture.headings[-1]
    # The first of two ran; what it gave is not the result of the box.
    collapsed = told(draw(z, 0, overlay="values", trace=trace).source)
    assert on(collapsed, "s") == ["1 of 2 not run"]
    assert on(told(draw(z, 0, overlay="flops", trace=trace).source), "s") == ["2 FLOP", "1 of 2 not run"]


# --- read from something else -----------------------------------------------------------------------------------


def test_health_marks_where_it_arises_and_says_why_in_the_tooltip() -> None:
    g = Graph()
    x = g.placeholder("x", shape=("batch",))
    with g.scope("s"):
        y = gn.log(x) * 2.0
    loss = gn.sum(y)
    health = gn.check_health(loss, {x: [1.0, 0.0, 2.0]})
    picture = told(draw(loss, overlay=health).source)
    box = picture.titled("log")
    assert box.look["shape"] == "octagon"
    assert box.lines[1].startswith("error: ")
    assert "1 of 3, first at [1]" in box.lines[2]
    assert any("log" in line for line in box.tip[3:])
    assert picture.headings[0].startswith("health of 5 nodes: 1 error")
    collapsed = told(draw(loss, 0, overlay=health).source).titled("s")
    assert collapsed.look["shape"] == "octagon"
    assert "in log" in collapsed.lines
    well = told(draw(loss, overlay=gn.check_health(loss, {x: [1.0, 2.0]})).source)
    assert well.headings == ["health of 5 nodes: 0 errors, 0 warnings, 0 notes"]


def apart() -> tuple[Node, gn.Comparison]:
    g = Graph()
    x, y = g.placeholder("x", shape=(2,)), g.placeholder("y", shape=(2,))
    with g.scope("s"):
        z = gn.sum(gn.square(x) + y)
    return z, gn.compare(z, z, {x: [1.0, 2.0], y: [0.0, 1.0]}, {x: [1.0, 3.0], y: [0.0, 1.0]})


def test_a_difference_is_the_largest_of_an_element_and_marked_where_the_runs_part() -> None:
    z, comparison = apart()
    picture = told(draw(z, overlay=comparison).source)
    assert on(picture, "y") == ["2", "equal"]
    assert on(picture, "x") == ["2", "they part here", "1 apart"]
    assert picture.titled("x").look["peripheries"] == "2"
    assert on(picture, "square") == ["5 apart"]  # 9 − 4
    assert on(picture, "sum") == ["5 apart"]
    assert picture.headings[0] == "largest difference of an element"
    assert "a double line is where the runs first differ" in picture.headings[-1]
    assert on(told(draw(z, 0, overlay=comparison).source), "s")[0] == "5 apart"
    same = gn.compare(z, z, {"x": [1.0, 2.0], "y": [0.0, 1.0]}, graph=z.graph)
    assert not any("double" in line for line in told(draw(z, overlay=same).source).headings)


def test_within_the_tolerance_is_not_called_equal() -> None:
    x = Graph().placeholder("x")
    y = gn.exp(x)
    comparison = gn.compare(y, y, {x: 1.0}, {x: 1.0 + 1e-9}, rtol=1e-3)
    assert comparison.counts.within
    picture = told(draw(y, overlay=comparison).source)
    assert on(picture, "exp") == ["agrees"]


def test_a_difference_goes_by_node_and_not_by_a_name_that_the_other_run_has_elsewhere() -> None:
    def built(first: str, second: str, hi: float) -> tuple[Node, Node]:
        x = Graph().placeholder("x")
        return x, gn.clip(gn.exp(x, name=first), 0.0, hi, name=second)

    (x, y), (x2, y2) = built("a", "b", 2.0), built("b", "a", 1.0)
    picture = told(draw(y, overlay=gn.compare(y, y2, {x: 1.0}, {x2: 1.0})).source)
    assert picture.titled("exp").lines == ["a", "exp", "equal"]
    assert picture.titled("b").lines[2:] == ["they part here", "1 apart"]


def test_nodes_of_one_run_alone_are_told() -> None:
    x = Graph().placeholder("x")
    y = gn.exp(x)
    z = gn.sin(y)
    picture = told(draw([y, z], overlay=gn.compare([y, z], [y], {x: 1.0}, {x: 1.0})).source)
    assert on(picture, "exp") == ["equal"]
    assert on(picture, "sin") == ["only here"]


def test_digits_lost_at_each_node() -> None:
    g = Graph()
    x = g.placeholder("x", shape=(1,))
    y = x * x - x
    comparison = gn.compare(y, feed={x: [1.0001]}, dtypes=("float32", "float64"))
    picture = told(draw(y, overlay="digits", trace=comparison).source)
    lost, left = picture.titled("subtract").lines[1:]
    # 1.0001² − 1.0001 ≈ 1e-4: four digits of seven are gone, less what rounding happens to spare
    assert 2.5 < float(lost.removesuffix(" digits lost")) < 4.5
    assert 2.5 < float(left.removesuffix(" left")) < 4.5
    assert picture.titled("x").lines[-2] == "0.0 digits lost"
    assert picture.headings[0] == "decimal digits lost at each node"


def test_what_the_plan_does_is_told_and_counted_in_a_box() -> None:
    g = Graph()
    x = g.placeholder("x", shape=("batch", 2))
    with g.scope("s"):
        y = gn.exp(gn.transpose(gn.transpose(x) * 2.0)) + gn.sin(g.constant(0.5))
    feed = {x: np.ones((3, 2))}
    explanation = gn.compile(gn.sum(y)).plan(feed).explain()
    picture = told(draw(gn.sum(y), overlay=explanation).source)
    said = {node.name: fate for node, fate in explanation.fates.items()}
    assert picture.titled("sin").lines[1] == "constant"
    assert "dotted" in picture.titled("sin").look["style"]
    assert "dotted: nothing is computed for it" in picture.headings[-1]
    for box in picture.boxes.values():
        if box.tip[0] in said:
            assert said[box.tip[0]] in box.lines
    collapsed = told(draw(gn.sum(y), 0, overlay=explanation).source).titled("s").lines[1]
    counted = [int(part.split()[0]) for part in collapsed.split(", ")]
    assert sum(counted) == sum(name.startswith("s/") for name in said)
    assert "1 constant" in collapsed


# --- the user's own -------------------------------------------------------------------------------------------


def chained() -> tuple[Node, Node, Node, Node]:
    g = Graph()
    x = g.placeholder("x", shape=(2,))
    with g.scope("s"):
        a = gn.exp(x)
        b = gn.sin(a)
    return x, a, b, gn.cos(b)


def test_numbers_of_the_users_own_colour_the_boxes_and_are_printed() -> None:
    x, a, b, c = chained()
    picture = told(draw(c, overlay={x: 0, a: 2.5, "s/sin": np.float32(10), c: 1}).source)
    assert on(picture, "x") == ["2", "0"]
    assert on(picture, "exp") == ["2.5"]
    assert [filled(picture.titled(title)) for title in ("x", "sin")] == [COLD, HOT]
    assert picture.headings == ["0 10"]
    assert len(set(picture.shades)) == 24
    assert (picture.shades[0], picture.shades[-1]) == (COLD, HOT)
    assert b.name == "s/sin"


def test_of_numbers_of_both_signs_nought_is_white() -> None:
    x, a, b, c = chained()
    picture = told(draw(c, overlay={x: -1.0, a: 0.0, b: 4.0}).source)
    assert filled(picture.titled("exp")) == "#F7F7F7"
    assert filled(picture.titled("cos")) == WHITE  # nothing is said of it
    assert picture.headings == ["-4 4"]


def test_text_is_printed_and_colours_nothing() -> None:
    _, a, _, c = chained()
    picture = told(draw(c, overlay={a: "checked\nby hand"}).source)
    assert on(picture, "exp") == ["checked", "by hand"]
    assert filled(picture.titled("exp")) is None
    assert not picture.headings


def test_a_box_of_several_has_the_largest_and_says_where() -> None:
    x, a, b, c = chained()
    picture = told(draw(c, 0, overlay={x: 1.0, a: -7.0, b: 2.0}).source)
    assert on(picture, "s") == ["-7", "in exp"]
    assert "a box of several has the largest of them" in picture.headings
    texts = told(draw(c, 0, overlay={a: "one", b: "two"}).source)
    assert on(texts, "s") == ["one", "in exp", "and 1 more"]
    assert "says how many more there are" in texts.headings[0]


def test_the_largest_of_a_repeated_block_says_in_which() -> None:
    g = Graph()
    h = g.placeholder("x", shape=(2,))
    for _ in range(3):
        with g.scope("block"):
            h = gn.tanh(h * 2.0)
    picture = told(draw(h, repeats=True, overlay={"block_2/tanh": 5.0, "block/tanh": 1.0}).source)
    assert picture.titled("block ×3").lines[2:] == ["5", "in block_2/tanh"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", []),
        ("\n", []),
        ("a\n\nb", ["a", "b"]),
        (True, ["True"]),
        (math.inf, ["inf"]),
        (math.nan, ["nan"]),
        (-0.0, ["-0"]),
        (10**30, [str(10**30)]),
        (1 / 3, ["0.3333"]),
        (1e300, ["1e+300"]),
        (np.float32(0.5), ["0.5"]),
        (np.array(2.0), ["2"]),
    ],
)
def test_what_a_user_may_say_of_a_node(given: Any, said: list[str]) -> None:
    _, a, _, c = chained()
    picture = told(draw(c, overlay={a: given, c: 1e308}).source)
    assert on(picture, "exp") == said
    assert read(draw(c, overlay={a: given, c: -1e308}, engine="plain").svg()).boxes


def test_long_text_is_cut_on_the_box_and_told_in_the_tooltip() -> None:
    _, a, _, c = chained()
    box = told(draw(c, overlay={a: "w" * 10_000}).source).titled("exp")
    assert len(box.lines[1]) == 48
    assert max(map(len, box.tip)) == 1000
    box = told(draw(c, overlay={a: "\n".join(f"line {i}" for i in range(10_000))}).source).titled("exp")
    assert box.lines[-2:] == ["line 5", "… 9,994 more lines"]
    assert "line 20" in box.tip


def test_an_overlay_of_a_loaded_graph_goes_by_name(tmp_path: Path) -> None:
    fetches, trace = traced()
    trace.save(tmp_path / "run.trace")
    loaded = gn.load(tmp_path / "run.trace")
    assert loaded.graph is not fetches[0].graph
    picture = told(draw(fetches[0], trace=loaded).source)
    assert on(picture, "relu") == ["[[1, 0], [3, 0]]"]


def test_it_is_laid_over_the_layers_of_a_network() -> None:
    g = Graph()
    x = g.placeholder("x", shape=("batch", 2))
    y = nn.Sequential(nn.Dense(3, weight=np.ones((2, 3))), nn.ReLU())(x)
    trace = gn.trace(y, {x: X})
    box = told(draw(y, "layer", overlay="flops", trace=trace).source).titled("Dense")
    assert box.lines == ["Dense", "dense_1 · 9 parameters", "x W + b", "30 FLOP"]  # 2 · 2 · 2 · 3, and 6 additions


# --- how it looks -----------------------------------------------------------------------------------------------


OF_A_RUN: list[Any] = [
    "values",
    "statistics",
    "gradients",
    ["values", "gradients"],
    ["statistics", "gradients", "time"],
]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("overlay", [*OF_A_RUN, "time", "bytes", "numbers"], ids=str)
def test_text_is_legible_on_what_is_behind_it(overlay: Any, theme: str) -> None:
    if overlay == "numbers":
        g = Graph()
        nodes = [g.placeholder(f"x{i}") for i in range(24)]
        diagram = draw(nodes, overlay={x: i - 11.0 for i, x in enumerate(nodes)}, theme=theme, engine="plain")
    else:
        fetches, feed = demo.build()
        diagram = draw(fetches["loss"], feed, overlay=overlay, theme=theme, engine="plain")
    seen = contrasts(diagram.svg())
    assert len(seen) > 20
    assert {said: round(ratio, 2) for said, ratio in seen.items() if ratio < 4.5} == {}  # WCAG AA


def contrasts(svg: str) -> dict[str, float]:
    """Return the contrast of each text with what is painted behind it, the least where a text occurs again."""
    found: dict[str, float] = {}
    root = ET.fromstring(svg)
    paper = root.find(f"{SVG}rect").attrib["fill"]  # type: ignore[union-attr]
    for box in root.iter(f"{SVG}g"):
        behind: list[tuple[float, float, str]] = []
        for element in box if re.match(r"[nt]\d+$", box.get("data-name", "")) else ():
            if element.tag == f"{SVG}text":
                y = float(element.attrib["y"])
                back = [fill for top, bottom, fill in behind if top <= y <= bottom] or [paper]
                said, ratio = element.text or "", contrast(element.attrib["fill"], back[-1])
                found[said] = min(ratio, found.get(said, ratio))
            elif element.get("fill", "none") != "none":
                is_panel = bool(behind) and element.tag == f"{SVG}rect"
                top = float(element.attrib["y"]) if is_panel else -math.inf
                behind.append(
                    (top, top + float(element.attrib["height"]) if is_panel else math.inf, element.attrib["fill"])
                )
    for text in root.iterfind(f"{SVG}text"):
        found[text.text or ""] = contrast(text.attrib["fill"], paper)
    return found


def contrast(one: str, other: str) -> float:
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("overlay", OF_A_RUN, ids=str)
def test_a_dark_picture_has_the_scale_of_dark_paper(overlay: Any) -> None:
    fetches, feed = demo.build()
    drawn = {
        theme: told(draw(fetches["loss"], feed, overlay=overlay, theme=theme).source) for theme in ("light", "dark")
    }
    ends = {"light": (BLUE, ORANGE), "dark": ("#9ECAE1", "#FDBE85")}
    for theme, picture in drawn.items():
        colours = {colour for box in picture.boxes.values() for colour in [*box.cells, box.look.get("fillcolor")]}
        colours |= set(picture.shades)
        assert colours & set(ends[theme])
        assert not colours & set(ends["dark" if theme == "light" else "light"])
    said = [{name: box.lines for name, box in picture.boxes.items()} for picture in drawn.values()]
    assert said[0].keys() == said[1].keys()


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_highlight_stays_above_an_overlay() -> None:
    _, a, b, c = chained()
    picture = told(draw(c, overlay={a: 1.0, b: 2.0}, highlight={a: ("failed", "0 / 0"), b: "current"}).source)
    box = picture.titled("exp")
    assert (box.look["shape"], box.lines[1:]) == ("octagon", ["0 / 0", "1"])
    assert picture.titled("sin").look["peripheries"] == "2"


@pytest.mark.parametrize("engine", ["dot", "plain"])
@pytest.mark.parametrize("detail", ["op", "layer", 0, 1, {"s": "layer"}], ids=str)
@pytest.mark.parametrize("name", OVERLAYS)
def test_each_overlay_at_each_detail_says_the_same_in_each_form(name: str, detail: Any, engine: str) -> None:
    g = Graph()
    x = g.placeholder("x", shape=(2,))
    w = g.parameter("w", [1.0, 2.0])
    with g.scope("s"), g.in_scope("s/layer_1", kind="Layer"):
        y = gn.log(x * w)
    loss = gn.sum(y)
    fetches, feed = [loss, gn.grad(loss, w)], {x: [1.0, 0.0]}
    sources: dict[str, Any] = {
        "health": lambda: gn.check_health(fetches, feed),
        "difference": lambda: gn.compare(fetches, fetches, feed, {x: [1.0, 3.0]}),
        "digits": lambda: gn.compare(fetches, feed={x: [1.0, 2.0]}, dtypes=("float32", "float64")),
        "plan": lambda: gn.compile(fetches).plan(feed).explain(),
    }
    diagram = draw(
        fetches,
        detail,
        overlay=name,
        trace=sources.get(name, lambda: gn.trace(fetches, feed))(),
        title="Title",
        engine=engine,
    )
    says_the_same_in_each_form(diagram, engine)


def says_the_same_in_each_form(diagram: Diagram, engine: str) -> None:
    picture = told(diagram.source)
    notes = {line for box in picture.boxes.values() for line in box.lines}
    drawn = read(diagram.svg()) if engine == "plain" else None
    if drawn is not None:
        assert notes <= {text.said for box in drawn.boxes.values() for text in box.texts}
    text, mermaid = diagram.text(None), diagram.mermaid()
    assert "Title" in text
    assert "Title" in mermaid
    for line in picture.headings[1:2]:
        first = line.split()[0]
        assert first in text
        assert first in mermaid


# --- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "error", "said"),
    [
        ({"overlay": "vlaues"}, UsageError, r"""'vlaues' is not an overlay. Did you mean "values"\?"""),
        ({"overlay": "values"}, UsageError, '"values" is read from a Trace, as trace=…, and none is given'),
        (
            {"overlay": 3},
            UsageError,
            r"an overlay is one of values, .*, plan.*; or \{node: number or text\}; or a list of them; not int",
        ),
        ({"overlay": {3: 1.0}}, UsageError, "an overlay is by node or name, not by int"),
        ({"overlay": {"exq": 1.0}}, NotFoundError, r'"exq"\. There is: "x", "s/exp"'),
        ({"overlay": {"x": [1, 2]}}, UsageError, "gives each node a number or a text, not list"),
        ({"overlay": {"x": None}}, UsageError, "gives each node a number or a text, not NoneType"),
        ({"overlay": {"x": 1j}}, UsageError, "gives each node a number or a text, not complex"),
        ({"overlay": {"x": 10**400}}, UsageError, "not a number as large as that"),
        ({"trace": 3}, UsageError, "an overlay is read from one of Trace, .*; not from int"),
        ({"trace": "x"}, UsageError, "not from str"),
    ],
    ids=str,
)
def test_other_overlays_are_refused(how: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        draw(chained()[-1], **how)


def test_an_overlay_is_read_from_one_thing_of_the_right_kind() -> None:
    fetches, trace = traced()
    with pytest.raises(UsageError, match='"health" is read from a Health, as trace=…, not from a Trace'):
        draw(fetches, overlay="health", trace=trace)
    with pytest.raises(UsageError, match="an overlay is read from one thing"):
        draw(fetches, overlay=trace, trace=trace)
    with pytest.raises(UsageError, match="read from nothing else: leave out trace="):
        draw(fetches, overlay={fetches[0]: 1.0}, trace=trace)


def test_an_overlay_of_other_nodes_is_refused() -> None:
    x, a, _, c = chained()
    with pytest.raises(NotFoundError, match="nothing of the overlay is in the picture"):
        draw(a, overlay={c: 1.0})
    with pytest.raises(NotFoundError, match="nothing of the overlay is in the picture"):
        draw(c, overlay={Graph().placeholder("other"): 1.0})
    assert on(told(draw(a, overlay={x: 2.0, c: 1.0}).source), "x") == ["2", "2"]


def test_what_is_fed_is_run_and_drawn_with_its_values() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 2))
    y = gn.sum(x * 2.0)
    g.outputs["y"] = y
    X = np.array([[1.0, 2.0]])
    with_values = gn.draw(y, trace=gn.trace(y, {x: X})).source
    nodes = len(g)
    for drawn in (
        gn.draw(y, {x: X}),
        gn.draw(y, {"x": X}),
        gn.draw(y, {"x": X.tolist()}),
        gn.draw(y, feed={x: X}),
        gn.draw(gn.compile(y), {x: X}),
    ):
        assert drawn.source == with_values
    assert "6" in gn.draw(g, {"x": X}).text().splitlines()[-1]
    assert "6" not in gn.draw(y, {"": "op"}).text().splitlines()[-1]
    assert len(g) == nodes
    assert "µs" in gn.draw(y, {x: X}, overlay="time").text() or "ms" in gn.draw(y, {x: X}, overlay="time").text()
    assert len(gn.draw(y, feed={x: X}, detail="layer").source) < len(with_values) * 2
    with pytest.raises(LookupError, match='"X"'):
        gn.draw(y, {"X": X})
    with pytest.raises(ValueError, match=r'the feed of "x" has shape \(3,\)'):
        gn.draw(y, {x: X[0, 0] * np.ones(3)})
    with pytest.raises(TypeError, match="give one of the two"):
        gn.draw(y, {x: X}, trace=gn.trace(y, {x: X}))
    with pytest.raises(TypeError, match="A detail is"):
        gn.draw(y, {"head": 1})
