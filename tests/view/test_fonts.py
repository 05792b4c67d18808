"""Text keeps to its box where the font is wider than Helvetica, as DejaVu Sans is."""

import re
import xml.etree.ElementTree as ET

import forty
import pytest
from svg_geometry import NEAR, NEAR_BY_GRAPHVIZ, SVG, faults, read, scopes_of
from test_diagram import needs_engine

import graphnn as gn
from graphnn import nn
from graphnn.view import Diagram, draw
from graphnn.view.diagrams.fonts import fitted, text_width

WIDER = 1.2  # DejaVu Sans than Helvetica, in bold
SOME = ["tutorial, SGD", "attention", "GAN", "two inputs, two outputs", "60 random nodes", "siamese", "neuron"]
LONG = "a_name_that_somebody_took_great_care_to_make_as_long_as_it_can_be"


def sticking_out(diagram: Diagram, near: float = NEAR) -> list[str]:
    return faults(read(diagram.svg(), wider=WIDER), scopes_of(diagram._picture), near)


@pytest.mark.parametrize("detail", ["op", "leaf", "layer"])
@pytest.mark.parametrize("name", SOME)
def test_no_text_sticks_out_of_its_box(name: str, detail: str) -> None:
    assert sticking_out(draw(forty.FORTY[name](), detail, engine="plain")) == []


@needs_engine
@pytest.mark.parametrize("name", ["tutorial", "siamese", "neuron"])
def test_nor_in_the_pictures_of_graphviz(name: str) -> None:
    assert sticking_out(draw(forty.FORTY[name](), engine="dot"), NEAR_BY_GRAPHVIZ) == []


def long_titles(**options: object) -> Diagram:
    g = gn.Graph(LONG)
    x = g.placeholder(LONG, shape=("batch", 4))
    with g.scope(f"{LONG}_scope"):
        y = gn.exp(x, name=f"{LONG}_exp")
    g.outputs[f"{LONG}_output"] = total = gn.sum(nn.Dense(2)(y), name=f"{LONG}_sum")
    return draw(g, overlay={y: f"{LONG} is said of it", total: 2.0}, title=LONG, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", ["plain", pytest.param("dot", marks=needs_engine)])
def test_long_titles_are_shortened_and_fit(engine: str) -> None:
    diagram = long_titles(engine=engine)
    assert sticking_out(diagram, NEAR if engine == "plain" else NEAR_BY_GRAPHVIZ) == []
    boxes = read(diagram.svg()).boxes.values()
    assert max(len(text.said) for box in boxes for text in box.texts) <= 48
    assert any("…" in text.said for box in boxes for text in box.texts)


def test_text_that_says_no_width_would_be_seen_to_stick_out() -> None:
    diagram = long_titles(engine="plain")
    bare = re.sub(r' textLength="[^"]*"', "", diagram.svg())
    assert any("sticks out" in fault for fault in faults(read(bare, wider=WIDER), scopes_of(diagram._picture)))
    assert faults(read(bare), scopes_of(diagram._picture)) == []  # in Helvetica there is room


@pytest.mark.parametrize("engine", ["plain", pytest.param("dot", marks=needs_engine)])
def test_text_says_the_width_that_it_has_in_helvetica(engine: str) -> None:
    root = ET.fromstring(draw(forty.tutorial(), engine=engine, title="a < b & “c”").svg())
    texts = [text for text in root.iter(f"{SVG}text") if (text.text or "").strip()]
    assert len(texts) > 30
    for text in texts:
        said, size = text.text or "", float(text.attrib["font-size"])
        if "“" in said:  # nobody knows how wide that is
            assert "textLength" not in text.attrib
            continue
        width = text_width(said, size, text.get("font-weight") == "bold")
        assert float(text.attrib["textLength"]) == pytest.approx(width, abs=0.01)
        assert text.attrib["lengthAdjust"] == "spacingAndGlyphs"


@pytest.mark.parametrize(
    ("shown", "width"),
    [("a &lt; b", "22.52"), ("&#45;1", "8.89"), ("é", "5.56"), ("e\u0301", "5.56"), ("2 µs", "19.1")],
)
def test_what_is_measured_is_what_is_shown(shown: str, width: str) -> None:
    assert f'textLength="{width}"' in fitted(f'<text x="1" font-size="10">{shown}</text>')


@pytest.mark.parametrize("text", ["<text>a</text>", '<text font-size="9"> </text>', '<text font-size="9">日本</text>'])
def test_other_text_stays(text: str) -> None:
    assert fitted(text) == text
