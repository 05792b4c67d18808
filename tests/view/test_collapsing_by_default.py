"""Large graphs are collapsed unless asked otherwise, and the picture says what was collapsed."""

from typing import Any

import pytest
from dot_text import told
from svg_geometry import read
from test_diagram import needs_engine
from test_plain import deep

import graphnn as gn
from graphnn import Graph, Node, nn
from graphnn.view import draw


def chain(count: int, block: Any) -> Node:
    h = Graph("chain").placeholder("x", shape=(2,))
    for number in range(count):
        h = block(h, number)
    return h


def alternating(h: Node, number: int) -> Node:
    """Of 2 operations in a scope each, no two neighbours alike."""
    with h.graph.scope("part" if number % 2 else "piece"):
        return gn.tanh(h * float(number))


def test_what_is_small_enough_is_not_collapsed() -> None:
    diagram = draw(chain(30, alternating), limit=91)
    assert repr(diagram) == '<Diagram of "chain": 91 boxes, 90 edges>'
    assert diagram.note == ""


@pytest.mark.parametrize("engine", [None, "plain"])
def test_the_picture_and_the_note_say_what_was_collapsed(engine: str | None) -> None:
    diagram = draw(chain(30, alternating), limit=90, engine=engine, title="Title")
    said = "91 boxes collapsed to 31 (detail=0, repeats=True)"
    assert diagram.note == said
    assert told(diagram.source).headings == ["Title", said]
    assert said in diagram.text()
    assert said in diagram.mermaid()
    assert said in diagram.svg().replace("&quot;", '"')


def test_repeats_come_first_then_layers_then_scopes() -> None:
    # x, a first Dense of another size, a ReLU, the blocks of the others, and the sum.
    assert draw(deep(100), limit=300).note.endswith(" (repeats=True)")
    h = Graph().placeholder("x", shape=("batch", 3))
    for number in range(20):  # no two are alike, but each layer is one box instead of four
        h = nn.Dense(3)(h) * float(number)
    assert draw(h, limit=70).note == '121 boxes collapsed to 61 (detail="layer")'


def test_what_a_user_says_is_not_overruled() -> None:
    y = chain(40, lambda h, number: gn.tanh(h * 2.0))
    assert draw(y, repeats=True, limit=10).note == ""
    assert "×40" in draw(y, repeats=True, limit=1).source
    assert draw(y, "op", limit=10).note == ""
    assert repr(draw(y, "op", limit=10)).startswith('<Diagram of "chain": 121 boxes')
    collapsed = draw(chain(30, alternating), repeats=True, limit=20)
    assert collapsed.note.startswith("91 boxes collapsed to 31")


def test_focus_and_phases_are_of_the_collapsed_picture_too() -> None:
    loss = deep(60)
    fetches = [loss, *gn.grad(loss, list(loss.graph.parameters))]
    diagram = draw(fetches, limit=100, phases="backward")
    assert "collapsed" in diagram.note
    assert all(box.phase == "backward" for box in diagram._picture.boxes)
    assert draw(fetches, limit=100, focus="relu_30", radius=2).note == ""  # few enough as it is


def test_an_overlay_is_laid_over_what_is_collapsed() -> None:
    y = chain(30, alternating)
    diagram = draw(y, limit=90, overlay=dict.fromkeys(gn.schedule(y), 1.0))
    assert {tuple(box.lines[1:]) for box in told(diagram.source).boxes.values() if box.title in ("part", "piece")}
    assert "collapsed" in diagram.note


def test_ten_thousand_nodes_end_in_a_picture() -> None:
    loss = deep(830)
    fetches = [loss, *gn.grad(loss, list(loss.graph.parameters))]
    assert len(gn.schedule(fetches)) > 10_000
    diagram = draw(fetches)
    assert "boxes collapsed to" in diagram.note
    assert diagram.svg().count("<svg") == 1
    assert draw(loss, focus=loss).svg().count("<svg") == 1


def test_what_cannot_be_collapsed_is_drawn_plainly() -> None:
    h = Graph("odd").placeholder("x", shape=(2,))
    for number in range(2100):
        h = h * float(number) if number % 2 else gn.tanh(h)
    diagram = draw(h)
    assert diagram.svg().count("<svg") == 1
    assert len(diagram._picture.boxes) > 2000
    assert diagram.note == ""


@needs_engine
def test_a_bitmap_shows_what_the_svg_shows() -> None:
    diagram = draw(chain(300, alternating))
    diagram.render("png")
    assert diagram.note == ""
    assert len(read(diagram.svg()).boxes) == 901


def test_a_bitmap_has_no_more_pixels_than_programs_open(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def paint(source: str, form: str, dots: float, timeout: float) -> bytes:
        asked.append((form, dots))
        return b"painted"

    monkeypatch.setattr("graphnn.view.diagrams.draw.paint", paint)
    monkeypatch.setattr("graphnn.view.diagrams.draw.find_engine", lambda: "dot")
    monkeypatch.setattr("graphnn.view.diagrams.draw.plain_svg", lambda *picture: '<svg viewBox="0 0 900 33000"></svg>')
    diagram = draw(chain(3, alternating), engine="plain")
    assert diagram.render("png") == b"painted"
    ((form, dots),) = asked
    assert form == "png"
    assert 32_700 < 33_000 / 72 * dots <= 32_767
    assert diagram.note == "drawn with 71 dots an inch, for few programs open more than 32,767 pixels"
