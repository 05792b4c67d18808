"""Circuits in a picture: their edges stand out, the rest is pale or left out, and the legend says what lines mean."""

import numpy as np
import pytest
from dot_text import Said, Told, told
from known_circuits import drawn

import graphnn as gn
from graphnn import Circuit, nn
from graphnn.errors import UsageError
from graphnn.view.diagrams.style import DOWN, HIGHLIGHTS, PALE, THEMES, UP

PALE_BOX = HIGHLIGHTS["outside"][0]["color"]


def network() -> Circuit:
    """y = w exp(x) − (x − z) and something of nothing; z is the same in both runs."""
    g = gn.Graph("net")
    x, z, w = g.placeholder("x"), g.placeholder("z"), g.parameter("w", 3.0)
    gain = gn.multiply(w, gn.exp(x), name="gain")
    loss = gn.subtract(x, gn.negative(z), name="loss")
    nothing = gn.multiply(gn.sin(x), g.parameter("dead", 0.0), name="nothing")
    y = gn.add(gn.subtract(gain, loss, name="net"), nothing, name="y")
    return gn.circuit(y, {x: 1.0, z: 2.0}, {x: 0.0, z: 2.0}, threshold=1e-9, method="greedy")


def line(picture: Told, tail: str, head: str) -> dict[str, str]:
    """Return the look of the only line between two boxes."""
    names = picture.titled(tail).name, picture.titled(head).name
    (look,) = [look for a, b, look in picture.edges if (a, b) == names]
    return look


def is_pale(box: Said) -> bool:
    return box.look.get("color") == PALE_BOX


def test_edges_of_a_circuit_are_wide_and_coloured_by_sign_and_the_rest_is_pale() -> None:
    circuit = network()
    picture = told(gn.draw(circuit).source)
    effects = {edge.name: edge.effect for edge in circuit.edges}
    assert effects["exp → gain"] == pytest.approx(3 - 3 * np.e)
    assert effects["loss → net"] == pytest.approx(1)
    widths = {}
    for edge in circuit.edges:
        look = line(picture, edge.node.name, edge.reader.name)
        assert look["color"] == (UP if edge.effect > 0 else DOWN)
        widths[float(look["penwidth"])] = abs(edge.effect)
    order = sorted(widths)
    assert [widths[width] for width in order] == sorted(widths.values())
    assert max(widths) == 5.0
    for tail, head in (("sin", "nothing"), ("nothing", "y"), ("x", "sin"), ("dead", "nothing")):
        assert line(picture, tail, head)["color"] == PALE["color"]
    assert {box.title for box in picture.boxes.values() if is_pale(box)} == {"sin", "nothing", "dead"}
    # What is the same in both runs is as ever.
    for tail, head in (("w", "gain"), ("z", "negative"), ("negative", "loss")):
        assert "color" not in line(picture, tail, head)


def test_the_legend_says_what_width_colour_and_pallor_mean() -> None:
    circuit = network()
    said = " ".join(told(gn.draw(circuit).source).headings)
    assert "circuit: 6 of 9 edges, the others corrupted; faithfulness 1, completeness 1" in said
    most = max(-edge.effect for edge in circuit.edges)
    assert (
        f"width: how far the metric moves if the edge is ablated; orange up, at most 1; blue down, at most {most:.4g}"
        in said
    )
    assert "pale is what was left out" in said
    said = " ".join(told(gn.draw(circuit, alone=True).source).headings)
    assert "pale" not in said
    dark = told(gn.draw(circuit, theme="dark").source)
    assert line(dark, "exp", "gain")["color"] == THEMES["dark"][DOWN]


def test_alone_it_has_no_other_edge_and_no_stubs() -> None:
    circuit = network()
    picture = told(gn.draw(circuit, alone=True).source)
    assert {box.title for box in picture.boxes.values()} == {
        *("x", "exp", "w", "gain", "z", "negative", "loss", "net", "y"),
    }
    assert len([name for name in picture.boxes if name.startswith("n")]) == 9
    assert len([ends for ends in picture.edges if ends[1].startswith("n")]) == 9
    known = drawn(1)
    metric, _ = known.built()
    found = gn.circuit(metric, known.clean, known.corrupted, threshold=1e-9)
    edges = {(a, b) for a, b, _ in told(gn.draw(found, alone=True).source).edges if b.startswith("n")}
    assert len(edges) == len(found.edges) + 1  # and that of a constant
    with pytest.raises(UsageError, match="alone=True draws a circuit alone"):
        gn.draw(metric, alone=True)


def test_a_tooltip_has_the_effect_and_values_may_stand_below() -> None:
    circuit = network()
    picture = told(gn.draw(circuit, {"x": 1.0, "z": 2.0}).source)
    assert picture.titled("exp").lines == ["exp", "value 2.718"]
    assert is_pale(picture.titled("sin"))
    assert "how far the metric moves if the edge is ablated: -5.15485" in line(picture, "exp", "gain")["tooltip"]
    over = told(gn.draw(circuit.metric, overlay="circuit", trace=circuit).source)
    assert line(over, "exp", "gain")["color"] == DOWN
    plain = told(gn.draw(circuit, overlay={"exp": 1.0}).source)
    assert "color" not in line(plain, "exp", "gain")


def test_a_box_of_several_is_pale_only_if_all_are_left_out() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("n",))
    with g.scope("used"), g.scope("inner"):
        a = gn.exp(x) + gn.sin(x) * 0.0
    with g.scope("unused"):
        b = gn.cos(gn.sin(x)) * 0.0
    circuit = gn.circuit(gn.sum(a + b), {x: [1.0, 2.0]}, {x: [0.0, 1.0]}, threshold=1e-9, method="greedy")
    picture = told(gn.draw(circuit, 1).source)
    assert not is_pale(picture.titled("inner"))
    collapsed = told(gn.draw(circuit, 0).source)
    assert not is_pale(collapsed.titled("used"))
    assert is_pale(collapsed.titled("unused"))
    assert line(collapsed, "x", "used")["penwidth"] == line(collapsed, "used", "add")["penwidth"]
    assert line(collapsed, "x", "unused")["color"] == PALE["color"]


def test_every_form_of_a_picture_shows_it() -> None:
    rng = np.random.default_rng(0)
    g = gn.Graph("net")
    block = nn.TransformerBlock(2, 16, rng=rng)(g.placeholder("t", ("batch", 4, 8)))
    clean, corrupted = ({"t": rng.normal(size=(3, 4, 8))} for _ in range(2))
    circuit = gn.circuit(gn.mean(block[:, -1, 0]), clean, corrupted, keep=30)
    picture = gn.draw(circuit, engine="plain")
    svg = picture.svg()
    assert f'stroke="{UP}"' in svg or f'stroke="{DOWN}"' in svg
    assert PALE["color"] in svg
    assert "stroke-width:5.00px" in picture.mermaid()
    assert gn.draw(circuit, alone=True).text().startswith("circuit: ")


def test_a_notebook_shows_it_alone_with_its_numbers() -> None:
    circuit = network()
    page = circuit._repr_mimebundle_()["text/html"]
    assert page.count("<svg") == 1
    assert "nothing" not in page
    assert ">gain<" in page
    assert "faithfulness 1 of the gap" in page
    effects = gn.effects(circuit.metric, {"x": 1.0, "z": 2.0}, {"x": 0.0, "z": 2.0}, progress=False)
    assert "denoise" in effects._repr_mimebundle_()["text/html"]


# --- effects ----------------------------------------------------------------------------------------------------


def test_effects_colour_nodes_and_widen_edges() -> None:
    """y = 3 h − x, with h = exp(x); nothing comes of sin(x)."""
    g = gn.Graph()
    x = g.placeholder("x")
    h = gn.exp(x)
    y = gn.subtract(h * 3.0, x, name="less") + gn.multiply(gn.sin(x), 0.0, name="nothing")
    runs = y, {x: 1.0}, {x: 0.0}
    gap = 3 * np.e - 4
    nodes, edges = (gn.effects(*runs, over=over, progress=False) for over in ("nodes", "edges"))
    picture = told(gn.draw(nodes).source)
    assert picture.titled("exp").lines == ["exp", f"{3 * np.e - 3:.4g}, {(3 * np.e - 3) / gap:.0%}"]
    assert picture.titled("sin").lines == ["sin", "0, 0%"]
    assert picture.titled("exp").look["fillcolor"] == "#7F2704"  # the largest
    assert picture.headings[0] == (
        f"exact effects (denoise): how far the metric moves from 3, and what share of the way to {3 * np.e - 1:.4g}"
    )
    lines = told(gn.draw(edges).source)
    assert (line(lines, "x", "exp")["penwidth"], line(lines, "x", "exp")["color"]) == ("5.00", UP)
    assert line(lines, "x", "less")["color"] == DOWN
    assert line(lines, "x", "sin")["color"] == PALE["color"]
    assert "width: how far the metric moves if the edge is patched" in lines.headings[1]
    both = told(gn.draw(y, overlay=[nodes, edges]).source)
    assert line(both, "x", "exp")["penwidth"] == "5.00"
    assert both.titled("sin").lines == picture.titled("sin").lines


def test_of_parts_the_largest_is_on_the_box() -> None:
    g = gn.Graph()
    x = g.placeholder("x", (3,))
    h = gn.multiply(x, [1.0, -5.0, 2.0], name="h")
    y = gn.sum(h)
    found = gn.effects(y, {x: [1.0] * 3}, {x: [0.0] * 3}, over=gn.patches.each(h, 0), progress=False)
    assert told(gn.draw(found).source).titled("h").lines[-2:] == ["-5, 250%", "of [1]"]
    of_edge = gn.effects(y, {x: [1.0] * 3}, {x: [0.0] * 3}, over=gn.patches.each(h, 0, y), progress=False)
    assert line(told(gn.draw(of_edge).source), "h", "sum")["color"] == DOWN
