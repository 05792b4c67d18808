"""The evaluation as a moving picture: what lights up when, and that it is an SVG with rules of style and no script."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from svg_geometry import SVG
from test_diagram import spiral
from test_plain import deep

import graphnn as gn
from graphnn import Graph, Node
from graphnn.errors import DrawingError, UsageError
from graphnn.view import draw


def line() -> list[Node]:
    """Return x → exp → sin, and sin − x."""
    x = Graph().placeholder("x", shape=(2,))
    exp = gn.exp(x)
    sin = gn.sin(exp)
    return [x, exp, sin, sin - x]


class Moving:
    """What an animated SVG says: which group has which beat, and when that lights up and goes out, in seconds."""

    def __init__(self, svg: str) -> None:
        root = ET.fromstring(svg)
        self.style = "".join(element.text or "" for element in root.iter(f"{SVG}style"))
        self.beats: dict[str, int] = {}
        self.still: set[str] = set()
        for group in root.iter(f"{SVG}g"):
            name, beat = group.get("data-name"), re.match(r"b(\d+)", group.get("class", ""))
            if name is not None and beat is not None:
                self.beats[name] = int(beat[1])
            elif name is not None:
                self.still.add(name)
        self.lit: dict[int, float] = {}
        self.out: dict[int, float] = {}
        for beat, body in re.findall(r"@keyframes k(\d+)\{(.*?)\}\}", self.style):
            whole = float(re.search(rf"\.b{beat}\{{animation:k{beat} ([\d.]+)s infinite\}}", self.style)[1])  # type: ignore[index]
            dim = re.match(r"0%,([\d.]+)%,100%\{opacity:0\.\d+", body)
            bright = re.search(r"\}([\d.]+)%,([\d.]+)%\{opacity:1$", body)
            assert dim is not None
            assert bright is not None
            self.lit[int(beat)] = float(dim[1]) / 100 * whole
            self.out[int(beat)] = float(bright[2]) / 100 * whole
            assert float(dim[1]) <= float(bright[1]) <= float(bright[2]) <= 100
            self.whole = whole


def test_boxes_light_up_in_the_order_of_the_schedule_with_the_arrows_that_lead_to_them() -> None:
    moving = Moving(draw({"y": line()[-1]}).animation())
    assert moving.beats == {
        "n1": 0, "n0->n1": 0, "n2": 1, "n1->n2": 1, "n3": 2, "n2->n3": 2, "n0->n3": 2, "t0": 2, "n3->t0": 2,
    }  # fmt: skip
    assert moving.still == {"n0"}  # what is given is there from the beginning
    assert moving.lit == pytest.approx({0: 0.6, 1: 1.05, 2: 1.5}, abs=0.01)
    assert moving.whole == pytest.approx(0.6 + 3 * 0.45 + 3.0, abs=0.01)
    assert all(moving.whole - 0.6 < out < moving.whole for out in moving.out.values())


@pytest.mark.parametrize("detail", ["op", "layer", 0], ids=str)
def test_nothing_lights_up_before_what_it_is_computed_from(detail: Any) -> None:
    g, loss = spiral()
    diagram = draw([loss, *gn.grad(loss, list(g.parameters))], detail)
    moving = Moving(diagram.animation())
    for edge in diagram._picture.edges:
        tail, head = (moving.beats.get(f"n{box.place}", -1) for box in (edge.tail, edge.head))
        assert tail <= head
    for name, beat in moving.beats.items():
        tail, _, head = name.rpartition("->")
        assert moving.beats.get(head, beat) == beat
        if tail.startswith("r"):
            assert moving.beats[tail] == beat  # a reference comes with its reader
    assert sorted(set(moving.beats.values())) == list(range(len(moving.lit)))


def test_the_one_that_has_just_been_computed_has_an_orange_line() -> None:
    svg = draw(line()[-1]).animation()
    starts = re.findall(r'data-name="n\d+" class="b\d+ box" style="--at:([\d.]+)s"', svg)
    assert starts == ["0.60", "1.05", "1.50"]
    assert ".box>:nth-child(2){animation:now" in svg
    (first, second) = list(ET.fromstring(svg).iter(f"{SVG}g"))[-1][:2]
    assert (first.tag, second.tag) == (f"{SVG}title", f"{SVG}rect")


@pytest.mark.parametrize("overlay", ["values", "statistics", "bytes"])
def test_a_box_is_empty_until_it_is_computed(overlay: str) -> None:
    nodes = line()
    trace = gn.trace(nodes[-1], {nodes[0]: [1.0, 2.0]})
    svg = draw(nodes[-1], trace=trace, overlay=overlay).animation()
    moving, root = Moving(svg), ET.fromstring(svg)
    assert len(moving.lit) == 3
    for number, lit in moving.lit.items():
        # What is known of the run is hidden as long as the box is dim, and so is the colour that stands for it.
        for name, what, where in (("v", "opacity", " .told"), ("f", "fill-opacity", ".box>:nth-child(2)")):
            hidden = re.search(rf"@keyframes {name}{number}\{{0%,([\d.]+)%,100%\{{{what}:0\}}", svg)
            assert hidden is not None
            assert float(hidden[1]) / 100 * moving.whole == pytest.approx(lit, abs=0.01)
            assert f".b{number}{where}{{animation:{name}{number} " in svg
    for group in root.iter(f"{SVG}g"):
        if re.fullmatch(r"n\d+", group.get("data-name", "")):
            bare = [text.text for text in group.findall(f"{SVG}text")]
            told = [text.text for part in group.findall(f"{SVG}g[@class='told']") for text in part.iter(f"{SVG}text")]
            assert bare[0] in ("x", "exp", "sin", "subtract")
            assert not any(re.search(r"\d", said or "") for said in bare if said != "2")  # its shape
            assert any(re.search(r"\d", said or "") for said in told) or not told
    assert draw(nodes[-1]).animation().count("fill-opacity") == 0


def test_it_stands_still_on_paper_and_where_motion_is_unwelcome() -> None:
    style = Moving(draw(line()[-1]).animation()).style
    assert "@media print,(prefers-reduced-motion:reduce){*{animation:none!important}}" in style
    # Without animation everything is fully visible: only keyframes dim it.
    assert "opacity" not in re.sub(r"@keyframes \w+\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}", "", style)


def test_many_boxes_take_no_more_than_half_a_minute() -> None:
    loss = deep(60)
    moving = Moving(draw([loss, *gn.grad(loss, list(loss.graph.parameters))], "op").animation())
    assert len(moving.lit) > 300
    assert moving.whole <= 0.6 + 24.0 + 3.0 + 0.01


def test_nothing_to_compute() -> None:
    moving = Moving(draw(Graph().placeholder("x")).animation())
    assert moving.beats == {}
    assert moving.still == {"n0"}


def test_it_is_the_plain_drawing_in_all_else() -> None:
    nodes = line()
    diagram = draw(nodes[-1], title="Title", theme="dark", overlay={nodes[1]: 2.0}, highlight={nodes[2]: "failed"})
    svg = re.sub(r"\n<style>.*?</style>", "", diagram.animation(), flags=re.DOTALL)
    svg = re.sub(r' class="b\d+( box)?"( style="--at:[\d.]+s(;--ink:#\w+)?")?', "", svg)
    plain = draw(
        nodes[-1], title="Title", theme="dark", overlay={nodes[1]: 2.0}, highlight={nodes[2]: "failed"}, engine="plain"
    )
    assert svg == plain.svg()


@pytest.mark.parametrize("how", [{"focus": "sin", "radius": 0}, {"repeats": True}, {"phases": "forward"}], ids=str)
def test_parts_and_collapsed_scopes_move_too(how: dict[str, Any]) -> None:
    moving = Moving(draw(gn.exp(line()[-1]), **how).animation())
    assert moving.lit
    assert moving.beats.keys().isdisjoint(moving.still)


def test_what_is_cut_off_comes_with_the_box_that_it_is_told_at() -> None:
    moving = Moving(draw(line()[-1], focus="sin", radius=0).animation())
    assert moving.beats == {"n0": 0, "r0_0": 0, "r0_0->n0": 0, "n0->t0": 0, "t0": 0}


def test_it_is_small_enough_for_a_readme() -> None:
    g, loss = spiral()
    svg = draw([loss, *gn.grad(loss, list(g.parameters))], {"": "layer"}).animation()
    assert len(svg.encode()) < 40_000


def test_it_is_written_to_svg_only(tmp_path: Path) -> None:
    diagram = draw(line()[-1])
    path = diagram.save(tmp_path / "x.svg", animate=True)
    assert path.read_text(encoding="utf-8") == diagram.animation()
    with pytest.raises(UsageError, match=r'only SVG and GIF can be animated, not ".*x\.png"'):
        diagram.save(tmp_path / "x.png", animate=True)
    with pytest.raises(DrawingError, match="4 boxes are more than the 3 that are laid out"):
        draw(line()[-1], limit=3, detail="op").animation()
