"""The plain drawing: its geometry as read from the SVG, its look, that names are literal, and when it is made."""

import random
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forty import random_nodes
from random_graphs import Recipe, build, random_graphs
from svg_geometry import NEAR_BY_GRAPHVIZ, SVG, crossed, faults, read, scopes_of
from test_diagram import NAMES, SPELT_OUT, all_kinds, far, in_nested_scopes, named, needs_engine, spiral

import graphnn as gn
from graphnn import Graph, Node, demo, nn
from graphnn.errors import DrawingError, UsageError
from graphnn.view import draw
from graphnn.view.diagrams.boxes import picture
from graphnn.view.diagrams.fonts import text_width
from graphnn.view.diagrams.shapes import Drawing, Manner
from graphnn.view.diagrams.svg import plain_svg
from graphnn.view.layout.graphviz_engine import TookTooLong


def flawless(fetches: Any, detail: Any = "op", **how: Any) -> None:
    """Claim that all is where it must be."""
    seen = picture(fetches, detail)
    drawn = read(plain_svg(seen, Manner(sideways=detail == "layer", **how)))
    assert len(drawn.boxes) >= len(seen.boxes)
    assert len(drawn.edges) >= len(Drawing(seen).arrows)
    assert faults(drawn, scopes_of(seen)) == []
    assert crossed(drawn) == []


# --- geometry -------------------------------------------------------------------------------------------------


def demo_networks() -> Iterator[tuple[str, Any]]:
    fetches, _ = demo.build()
    yield "forward", fetches
    loss = fetches["loss"]
    yield "gradients", [loss, *gn.grad(loss, list(loss.graph.parameters))]
    for optimizer in (nn.SGD(0.1), nn.Adam(0.01)):
        fetches, _ = demo.build()
        yield type(optimizer).__name__, {"loss": fetches["loss"], **named_updates(optimizer, fetches["loss"])}


def named_updates(optimizer: Any, loss: Node) -> dict[str, Node]:
    return {f"next {parameter.name}": node for parameter, node in optimizer.updates(loss).items()}


DEMO = dict(demo_networks())


@pytest.mark.parametrize("detail", ["op", "layer", 0, 1], ids=str)
@pytest.mark.parametrize("name", DEMO)
def test_networks_of_the_demonstration(name: str, detail: Any) -> None:
    flawless(DEMO[name], detail, title="A title that is a good deal wider than some of the pictures below it")


def scoped(seed: int) -> list[Node]:
    """Return the ends of a graph by chance, in scopes that are nested, left and entered again."""
    rng = random.Random(seed)
    g = Graph("chance")
    w = g.parameter("w", np.ones(3))
    nodes, paths = [g.placeholder("x", shape=("batch", 3)) * w], [""]
    for number in range(rng.randrange(3, 12)):
        path = rng.choice(paths)
        if rng.random() < 0.7:
            path = f"{path}/scope {'long ' * rng.randrange(6)}{number}".removeprefix("/")
            paths.append(path)
        with g.in_scope(path or None, kind=rng.choice(["", "Layer"])):
            for _ in range(rng.randrange(1, 6)):
                nodes.append(used(rng, rng.choice(nodes[-5:]), rng.choice(nodes)))
    ends = [node for node in nodes if not node.users]
    g.outputs["result"] = ends[-1]
    return ends


def used(rng: random.Random, one: Node, other: Node) -> Node:
    g, kind = one.graph, rng.randrange(7)
    if kind == 0:
        return one * g.parameter(f"p{len(g)}", np.ones(3), trainable=rng.random() < 0.7)
    if kind == 1:
        return one / g.constant(rng.choice([0.5, [1.0, 2.0, 3.0]]))
    if kind == 2:
        return gn.where(one > 0.0, one, 0.0)
    if kind == 3:
        return gn.clip(one, -1.0, 1.0)
    return one * other if kind == 4 else one - other if kind == 5 else gn.tanh(one)


@pytest.mark.parametrize("seed", range(25))
def test_scoped_graphs_by_chance(seed: int) -> None:
    ends = scoped(seed)
    flawless(ends)
    flawless(ends, "layer")
    total = gn.sum(sum(ends[1:], ends[0]))
    flawless([total, *gn.grad(total, [node for node in gn.schedule(total) if node.name in ("x", "w")])])


@pytest.mark.parametrize("recipe", list(random_graphs(7, 20)), ids=lambda recipe: f"{len(recipe.lines)} lines")
def test_graphs_of_all_operations_by_chance(recipe: Recipe) -> None:
    built = build(recipe, Graph())
    flawless([built.result, *gn.grad(built.result, built.inputs)])


def test_collapsing_that_makes_a_cycle() -> None:
    g = Graph()
    x = g.placeholder("x")
    with g.scope("s"):
        a = gn.exp(x)
    b = gn.sin(a)
    with g.scope("s", reuse=True):
        c = gn.cos(b)
    flawless(c, 0)
    flawless(c)


@pytest.mark.parametrize(
    ("was", "planted", "said"),
    [
        (">relu<", f">{'relu' * 20}<", "sticks out of n"),
        (">x<", f">{'x' * 8}<", "sticks out of the ellipse n0"),
        (">dense_1<", f">{'dense_1' * 20}<", "sticks out of cluster_0"),
        ('<path d="M', '<path d="M9', "away from n"),
        ('data-name="cluster_0"', 'data-name="cluster_9"', "frames ['cluster_1', "),
        ('viewBox="0 0 ', 'viewBox="0 90 ', "n0 is outside the picture"),
    ],
)
def test_a_fault_would_be_seen(was: str, planted: str, said: str) -> None:
    seen = picture(spiral()[1])
    svg = plain_svg(seen)
    assert was in svg
    found = faults(read(svg.replace(was, planted)), scopes_of(seen))
    assert any(said in one for one in found), found


def test_what_is_in_the_wrong_place_would_be_seen() -> None:
    seen = picture(spiral()[1])
    drawn, inside = read(plain_svg(seen)), scopes_of(seen)
    drawn.boxes["n0"] = drawn.boxes["n3"]
    drawn.frames["cluster_2"] = drawn.frames["cluster_1"]
    found = faults(drawn, inside)
    assert {"n0 and n3 overlap", "n0 is in cluster_0", "cluster_1 and cluster_2 overlap"} <= set(found)
    assert any("is not in cluster_2" in one for one in found)
    middle = (drawn.boxes["n9"].place.left + drawn.boxes["n9"].place.right) / 2
    drawn.edges[0].line = [(middle, 0.0), (middle, drawn.size.bottom)]
    assert any("runs over n9" in one for one in crossed(drawn))


@needs_engine
@pytest.mark.parametrize("name", DEMO)
def test_the_pictures_of_graphviz_pass_too(name: str) -> None:
    seen = picture(DEMO[name])
    assert faults(read(draw(DEMO[name], engine="dot").svg()), scopes_of(seen), NEAR_BY_GRAPHVIZ) == []


# --- the look -------------------------------------------------------------------------------------------------


def svg_of(fetches: Any, detail: Any = "op", **how: Any) -> str:
    return draw(fetches, detail, engine="plain", **how).svg()


def group(svg: str, title: str) -> str:
    """Return the group of the box with that title."""
    (found,) = [
        ET.tostring(element, encoding="unicode")
        for element in ET.fromstring(svg).iter(f"{SVG}g")
        if element.get("data-name", "").startswith(("n", "t"))
        and "->" not in element.get("data-name", "")
        and title in [text.text for text in element.iter(f"{SVG}text")]
    ]
    return found


@pytest.mark.parametrize(
    ("title", "look"),
    [
        ("x", ["<ns0:ellipse", "#D6E8F5", "#0072B2", ">batch × 3<"]),
        ("weight", ["<ns0:path", "#FBE3C0", ">3 × 2<"]),
        ("frozen", ["<ns0:path", "#FFFFFF", ">2 · not trained<"]),
        ("matmul", ["<ns0:rect", "rx=", "#FFFFFF", "#3C4043"]),
        ("exp", ["#000000", 'stroke-width="2.2"']),
        ("answer", ["bold"]),
        ("square", ["stroke-dasharray", "#F6E4EE", 'stroke-width="2.2"', ">of exp<"]),
        ("negative", ["#D5EFE3"]),
    ],
)
def test_each_kind_has_its_look(title: str, look: list[str]) -> None:
    found = group(svg_of(all_kinds()), title)
    assert [part for part in look if part not in found] == []


def test_an_update_has_a_double_border_and_a_name_has_none() -> None:
    svg = svg_of(all_kinds())
    assert group(svg, "negative").count("<ns0:rect") == 2
    assert group(svg, "answer").count("<ns0:") == group(svg, "answer").count("<ns0:t") + 1


def test_what_is_highlighted_stands_out() -> None:
    _, loss = spiral()
    svg = svg_of(loss, highlight={"relu_1": ("failed", "0 / 0"), "x": "stale"})
    assert "<ns0:polygon" in group(svg, "relu")
    assert ">0 / 0<" in group(svg, "relu")
    assert 'stroke-dasharray="1,3"' in group(svg, "x")
    seen = picture(loss)
    assert faults(read(svg), scopes_of(seen)) == []


def test_it_says_what_the_picture_of_graphviz_says() -> None:
    _, loss = spiral()
    source = draw(loss).source
    said = [text.text for text in ET.fromstring(svg_of(loss)).iter(f"{SVG}text")]
    assert [text for text in said if text is not None and f">{text}<" not in source and not text.isdigit()] == []
    assert {"2 → 64, 192 parameters", "batch × 64", "lo=1e-07 · hi=0.9999999", "loss"} <= set(said)


def test_long_edge_becomes_a_mark_and_a_reference() -> None:
    assert not any(name.startswith("r") for name in read(svg_of(far())).boxes)  # this one can be followed
    drawn = read(svg_of(far(70)))
    assert "→ 1" in [text.said for text in drawn.boxes["n1"].texts]
    (reference,) = [name for name in drawn.boxes if name.startswith("r")]
    assert [text.said for text in drawn.boxes[reference].texts] == ["1  exp"]
    cut = min(abs(edge.line[0][1] - edge.tip[1]) for edge in drawn.edges if edge.tail == reference)
    assert cut < 100


def test_layers_go_from_left_to_right() -> None:
    size = read(svg_of(spiral()[1], "layer")).size
    assert size.right > 3 * size.bottom
    size = read(svg_of(spiral()[1])).size
    assert size.bottom > 2 * size.right


def test_the_main_path_is_straight() -> None:
    drawn = read(svg_of(spiral()[1]))
    titles = [
        "matmul",
        "add",
        "relu",
        "max",
        "stop_gradient",
        "subtract",
        "exp",
        "sum",
        "divide",
        "clip",
        "pick",
        "mean",
    ]
    middles = [
        (thing.place.left + thing.place.right) / 2
        for thing in drawn.boxes.values()
        if any(text.said in titles for text in thing.texts)
    ]
    assert len(middles) == 14
    assert max(middles) - min(middles) < 1.0


def test_the_backward_pass_is_on_the_right_and_updates_below() -> None:
    _, loss = spiral()
    seen = picture([loss, *nn.SGD(0.1).updates(loss).values()])
    drawn = read(plain_svg(seen))
    frames = {scope.path: drawn.frames[f"cluster_{number}"].place for number, scope in enumerate(seen.open_scopes())}
    assert frames["softmax_1"].right < frames["grad"].left
    assert frames["grad"].bottom < frames["sgd_1"].top


def test_sizes_are_in_pixels_with_a_view_box() -> None:
    root = ET.fromstring(svg_of(spiral()[1]))
    width, height = map(float, root.get("viewBox", "").split()[2:])
    assert float(root.attrib["width"]) == pytest.approx(width * 4 / 3, abs=0.02)
    assert float(root.attrib["height"]) == pytest.approx(height * 4 / 3, abs=0.02)


@pytest.mark.parametrize(
    ("text", "width"),
    [("", 0.0), ("iiii", 8.88), ("WW", 18.88), ("é", 5.56), ("日", 10.0), ("e\u0301", 5.56), ("\U0001f600", 10.0)],
    ids=ascii,
)
def test_widths_of_text(text: str, width: float) -> None:
    assert text_width(text, 10.0) == pytest.approx(width)


# --- names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("detail", ["op", "layer"])
def test_names_are_drawn_literally(detail: str) -> None:
    root = ET.fromstring(svg_of(named(NAMES), detail, title="".join(NAMES)))
    drawn = [text.text for text in root.iter(f"{SVG}text")]
    assert [name for name in NAMES if name not in drawn] == []
    assert "".join(NAMES) in "".join(text or "" for text in drawn)  # on several lines
    tips = [(tip.text or "").split("\n")[0] for tip in root.iter(f"{SVG}title")]
    assert [name for name in NAMES if name not in tips] == []


def test_what_cannot_be_seen_is_spelt_out() -> None:
    drawn = [text.text for text in ET.fromstring(svg_of(named(list(SPELT_OUT)))).iter(f"{SVG}text")]
    assert [shown for shown in SPELT_OUT.values() if shown not in drawn] == []


def test_svg_holds_nothing_that_acts() -> None:
    svg = svg_of(named([*NAMES, *SPELT_OUT]), title="<script>")
    root = ET.fromstring(svg)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        "svg", "g", "title", "text", "path", "polygon", "ellipse", "rect",
    }  # fmt: skip
    assert {name for element in root.iter() for name in element.attrib} <= {
        "width", "height", "viewBox", "font-family", "{http://www.w3.org/XML/1998/namespace}space", "transform",
        "data-name", "x", "y", "rx", "ry", "cx", "cy", "d", "points", "fill", "stroke", "stroke-width",
        "stroke-dasharray", "font-size", "font-weight", "text-anchor", "textLength", "lengthAdjust",
    }  # fmt: skip
    for element in root.iter():
        for name, value in element.attrib.items():
            assert name == "font-family" or not set(value) & set("<&\"'"), (name, value)


def test_long_names_are_cut_in_the_picture_and_told_in_the_tooltip() -> None:
    node = gn.exp(Graph().placeholder("x" * 900 + "y"))
    flawless(node)
    svg = svg_of(node)
    assert f">{'x' * 21}…{'x' * 9}y<" in svg
    assert f"<title>{'x' * 900}y\n" in svg


# --- when it is made ------------------------------------------------------------------------------------------


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphnn.view.layout.graphviz_engine.shutil.which", lambda *names, **where: None)


@pytest.mark.usefixtures("no_engine")
def test_without_graphviz_an_svg_is_drawn_all_the_same(tmp_path: Path) -> None:
    diagram = draw(spiral()[1], "layer", title="plain")
    assert diagram.note == ""
    path = diagram.save(tmp_path / "x.svg")
    assert diagram.note == "there is no Graphviz here"
    assert read(path.read_text(encoding="utf-8")).boxes


@pytest.mark.usefixtures("no_engine")
def test_without_graphviz_there_are_no_bitmaps_but_all_other_formats() -> None:
    for engine in (None, "plain"):
        for form in ("png", "jpg"):
            with pytest.raises(DrawingError, match=r"(?s)no Graphviz.*graphnn\[dot\].*\.svg.*\.source"):
                draw(spiral()[1], engine=engine).render(form)
        assert draw(spiral()[1], engine=engine).render("pdf").startswith(b"%PDF")
        assert draw(spiral()[1], engine=engine).render("json").startswith(b"{")
    with pytest.raises(DrawingError, match="no Graphviz"):
        draw(spiral()[1], engine="dot").svg()


def test_other_engines_are_refused() -> None:
    with pytest.raises(UsageError, match=r"'neato' is not an engine. There is: \"dot\", \"plain\"\."):
        draw(spiral()[1], engine="neato")


def test_of_many_boxes_the_plain_drawing_is_made_unless_told_otherwise() -> None:
    h = Graph().placeholder("x")
    for _ in range(2500):
        h = gn.exp(h)
    diagram = draw(h, "op")
    assert diagram.svg().count("<g data-name") > 5000
    assert diagram.note == ""
    with pytest.raises(DrawingError, match=r"2,501 boxes are more than the 2,000 "):
        draw(h, "op", engine="dot").svg()
    for engine in (None, "plain"):
        with pytest.raises(DrawingError, match=r"2,501 boxes are more than the 300 .*limit=2501"):
            draw(h, "op", engine=engine, limit=300).svg()


def test_where_graphviz_takes_too_long_the_plain_drawing_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def forever(source: str, timeout: float) -> bytes:
        raise TookTooLong("took more than")

    monkeypatch.setattr("graphnn.view.diagrams.draw.find_engine", lambda: "dot")
    monkeypatch.setattr("graphnn.view.diagrams.draw.lay_out", forever)
    diagram = draw(spiral()[1], "layer", timeout=3.0)
    assert read(diagram.svg()).boxes
    assert diagram.note == "Graphviz took more than 3 s"
    with pytest.raises(DrawingError, match="took more than"):
        draw(spiral()[1], engine="dot").svg()


def test_deep_graphs_and_scopes() -> None:
    assert len(read(svg_of(in_nested_scopes(400))).frames) == 401


@pytest.mark.timeout(60)  # 0.2 s on an idle machine
def test_thousands_of_boxes_are_drawn() -> None:
    loss = deep(60)
    assert svg_of([loss, *gn.grad(loss, list(loss.graph.parameters))])


def deep(layers: int) -> Node:
    g = Graph()
    network = nn.Sequential(*[part for _ in range(layers) for part in (nn.Dense(4), nn.ReLU())])
    return gn.sum(network(g.placeholder("x", shape=("batch", 4))))


def test_a_box_without_links_widens_a_picture_by_itself_alone() -> None:
    fetches = random_nodes(60)
    assert isinstance(fetches, list)
    unlinked = [node for node in fetches if not node.inputs]
    without, whole = (
        float(draw(nodes, "op", engine="plain").svg().partition('width="')[2].partition('"')[0])
        for nodes in ([node for node in fetches if node.inputs], fetches)
    )
    assert len(unlinked) == 1
    assert without < whole < without + 100
