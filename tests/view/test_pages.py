"""Pictures for slides and sheets: what fills a page, what takes several, and every number of small values."""

import math
import re
import struct
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from forty import FORTY
from svg_geometry import NEAR, crossed, faults, over_titles, read, scopes_of

import graphnn as gn
from graphnn import nn
from graphnn.view import Diagram
from graphnn.view.diagrams import animation
from graphnn.view.diagrams.svg_painting import painted

Drawn = tuple[Any, dict[Any, Any]]
SLIDE = (1280.0, 720.0)
RNG = np.random.default_rng(0)


def seed_network() -> Drawn:
    """Two samples through 2 → 3 → 3, and the gradients of all."""
    g = gn.Graph("seed")
    x, labels = g.placeholder("x", ("batch", 2)), g.placeholder("labels", ("batch",), dtype="int64")
    loss = nn.softmax_crossentropy(nn.Sequential(nn.Dense(3), nn.ReLU(), nn.Dense(3))(x), labels)
    g.outputs["loss"] = loss
    return loss, {x: np.array([[1.0, -0.5], [0.25, 2.0]]), labels: np.array([0, 2])}


def convolution() -> Drawn:
    g = gn.Graph("convolution")
    image = g.placeholder("image", ("batch", 1, 6, 6))
    return nn.Conv2D(1, 3)(image), {image: RNG.integers(0, 3, (1, 1, 6, 6)).astype(float)}


def lstm_cell() -> Drawn:
    g = gn.Graph("LSTM cell")
    x, h, c = (g.placeholder(name, ("batch", 2)) for name in "xhc")
    both = gn.concatenate([x, h], axis=1)
    gates = [nn.Dense(2)(both) for _ in range(4)]
    f, i, o = (gn.sigmoid(gates[k]) for k in (0, 1, 3))
    kept = f * c + i * gn.tanh(gates[2])
    return {"c": kept, "h": o * gn.tanh(kept)}, {node: RNG.normal(size=(1, 2)) for node in (x, h, c)}


def batch_norm() -> Drawn:
    g = gn.Graph("batch norm")
    x = g.placeholder("x", ("batch", 3))
    spread = gn.sqrt(gn.var(x, axis=0) + 1e-5)
    gamma, beta = g.parameter("gamma", np.ones(3)), g.parameter("beta", np.zeros(3))
    return (x - gn.mean(x, axis=0)) / spread * gamma + beta, {x: RNG.normal(size=(4, 3))}


def attention() -> Drawn:
    g = gn.Graph("attention")
    x = g.placeholder("x", ("batch", 4, 4))
    return nn.MultiHeadAttention(2)(x), {x: RNG.normal(size=(1, 4, 4))}


FIGURES: list[tuple[Callable[[], Drawn], dict[str, Any], int]] = [
    (seed_network, {"overlay": ["values", "gradients"], "direction": "right"}, 1),
    (convolution, {}, 1),
    (lstm_cell, {"detail": "leaf"}, 2),
    (batch_norm, {}, 1),
    (attention, {"detail": "leaf"}, 2),
]


def flawless(diagram: Diagram) -> None:
    """Claim that each page has its size, all is where it must be, and the smallest text has 9 pixels."""
    for page in diagram.pages:
        svg = page.svg()
        drawn = read(svg)
        assert faults(drawn, scopes_of(page._picture), NEAR) == []
        assert over_titles(drawn) == []
        assert crossed(drawn) == []
        width, _, wide, high = sizes(svg)
        texts = [text for group in painted(svg).groups for text in group.texts]
        assert min(text.size for text in texts) * width / wide >= 8.99
        for text in texts:
            left, top, right, bottom = text.around
            assert left >= 0
            assert top >= 0
            assert right <= wide
            assert bottom <= high


def sizes(svg: str) -> tuple[float, ...]:
    found = re.search(r'<svg [^>]*width="([\d.]+)" height="([\d.]+)" viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert found is not None
    return tuple(map(float, found.groups()))


def numbers_said(diagram: Diagram) -> Counter[str]:
    """Return all texts of the pages that are numbers."""
    return sum((numbers_of(page.svg()) for page in diagram.pages), Counter[str]())


def numbers_of(svg: str) -> Counter[str]:
    texts = [text.said for group in painted(svg).groups for text in group.texts]
    return Counter(text for text in texts if re.fullmatch(r"-?[\d.]+(e[-+]\d+)?", text))


@pytest.mark.parametrize(("build", "asked", "most"), FIGURES, ids=lambda one: getattr(one, "__name__", ""))
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_class_can_recompute_it_from_a_slide(
    build: Callable[[], Drawn], asked: dict[str, Any], most: int, theme: str
) -> None:
    fetches, feed = build()
    diagram = gn.draw(fetches, feed, numbers="all", fit=(16, 9), theme=theme, **asked)
    assert len(diagram.pages) <= most
    for page in diagram.pages:
        assert sizes(page.svg())[:2] == pytest.approx(SLIDE, abs=0.1)
    flawless(diagram)


def test_every_number_of_the_seed_network_is_there() -> None:
    loss, feed = seed_network()
    diagram = gn.draw(loss, feed, overlay=["values", "gradients"], numbers="all", fit=(16, 9))
    said = [float(text) for text, count in numbers_said(diagram).items() for _ in range(count)]
    copy_loss, copy_feed = seed_network()
    parameters = list(copy_loss.graph.parameters)
    values = gn.run([node for node in gn.schedule(copy_loss) if not node.op.is_constant], copy_feed)
    slopes = gn.run(gn.grad(copy_loss, parameters), copy_feed)
    for array in [*values, *slopes]:
        for number in np.ravel(array).tolist():
            near = min(said, key=lambda one: abs(one - number))
            assert abs(near - number) <= 0.0006
            said.remove(near)  # each text stands for one number


def test_a_gradient_is_in_another_colour_and_named_above() -> None:
    loss, feed = seed_network()
    groups = painted(gn.draw(loss, feed, overlay=["values", "gradients"], numbers="all", fit=(16, 9)).svg()).groups
    head = {text.said: text.colour for text in groups[0].texts}
    assert head["gradients of loss"] != head["values"]
    weight = next(group for group in groups if any(text.said == "weight" for text in group.texts))
    colours = [text.colour for text in weight.texts if re.fullmatch(r"-?\d\.\d+", text.said)]
    assert Counter(colours)[head["gradients of loss"]] == 6


def test_direction_says_where_values_go() -> None:
    fetches = FORTY["tutorial"]()
    for direction, axis in (("right", 0), ("down", 1)):
        for more in ({}, {"fit": (16, 9)}):
            svg = gn.draw(fetches, direction=direction, engine="plain" if not more else None, **more).svg()
            box_of = {group.name: group.outlines[0].around for group in painted(svg).groups if group.outlines}
            ends = [name.split("->") for name in box_of if "->" in name]
            ahead = [box_of[head][axis] > box_of[tail][axis] for tail, head in ends]
            assert np.mean(ahead) > 0.7  # others go up a band, or stand beside


def test_what_is_too_much_for_a_page_takes_several_and_each_box_is_on_one() -> None:
    fetches, feed = attention()
    diagram = gn.draw(fetches, feed, numbers="all", fit="A5")
    assert len(diagram.pages) > 2
    names = [node.name for page in diagram.pages for box in page._picture.boxes for node in box.nodes]
    assert sorted(names) == sorted(node.name for box in diagram._picture.boxes for node in box.nodes)
    assert {round(sizes(page.svg())[2]) for page in diagram.pages} == {round(sizes(diagram.pages[0].svg())[2])}
    flawless(diagram)
    diagram.svg()
    assert f"on {len(diagram.pages)} pages" in diagram.note
    data = diagram.render("pdf")
    assert f"/Count {len(diagram.pages)} >>".encode() in data
    assert data.count(b"/MediaBox [0 0 419.") == len(diagram.pages)


def test_what_is_too_small_to_read_is_said() -> None:
    g = gn.Graph()
    total = sum((g.placeholder(f"input_with_a_long_name_{k}", ("batch",)) for k in range(40)), g.constant(0.0))
    alone = gn.concatenate([gn.stack([node], axis=1) for node in total.graph.placeholders], axis=1)
    diagram = gn.draw(alone, "op", fit=(1, 8))
    diagram.svg()
    assert "too small to read" in diagram.note


def test_scopes_are_collapsed_where_nobody_says_how_much_detail() -> None:
    fetches = FORTY["8 residual blocks"]()
    folded, whole = gn.draw(fetches, fit="A4"), gn.draw(fetches, "op", fit="A4")
    assert len(folded.pages) <= 2 < len(whole.pages)
    assert "collapsed" in folded.note
    flawless(folded)


SMALL = ["tutorial", "tutorial, gradients", "tutorial, by hand", "attention"]


@pytest.mark.parametrize("fit", [(16, 9), "A4"])
@pytest.mark.parametrize("name", SMALL)
def test_networks_on_pages(name: str, fit: Any) -> None:
    flawless(gn.draw(FORTY[name](), fit=fit))


def test_a_bitmap_has_the_dots_that_are_asked_for() -> None:
    loss, feed = seed_network()
    diagram = gn.draw(loss, feed, fit="A4 landscape")
    assert len(diagram.pages) == 1
    width, height = struct.unpack(">II", diagram.render("png", dpi=300)[16:24])
    assert (width, height) == pytest.approx((3508, 2480), abs=8)  # 297 and 210 millimetres
    for wrong in (0, -1, 1e9, "300", True, math.nan):
        with pytest.raises(gn.ValueRangeError, match="dots an inch"):
            diagram.render("png", dpi=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [(16,), (0, 9), (16, -9), "A9", "portrait", 16, (1e9, 1), (math.nan, 1), [1, 2, 3]])
def test_a_page_that_is_none_says_which_there_are(wrong: Any) -> None:
    loss, _ = seed_network()
    with pytest.raises(gn.UsageError, match="A4"):
        gn.draw(loss, fit=wrong)


def test_arguments_that_do_not_go_together() -> None:
    loss, feed = seed_network()
    with pytest.raises(gn.UsageError, match="right"):
        gn.draw(loss, direction="left")
    with pytest.raises(gn.UsageError, match="all"):
        gn.draw(loss, feed, numbers="some")
    with pytest.raises(gn.UsageError, match="numbers= writes out what a run gave"):
        gn.draw(loss, numbers="all")
    with pytest.raises(gn.UsageError, match="fit="):
        gn.draw(loss, fit="A4", engine="dot")


def test_products_and_windows_say_what_they_do() -> None:
    g = gn.Graph()
    image = g.placeholder("image", ("batch", 2, 6, 6))
    y = nn.Conv2D(4, 3, stride=2)(image)
    texts = [text.said for group in painted(gn.draw(y, fit=(16, 9)).svg()).groups for text in group.texts]
    assert "3 × 3, stride 2" in texts
    assert not [text for text in texts if "->" in text or "…)" in text]
    layer = painted(gn.draw(y, "layer", engine="plain").svg())
    assert "Σ over 3 × 3 window and 2 channels" in [text.said for group in layer.groups for text in group.texts]


def test_feature_maps_are_square_and_side_by_side() -> None:
    g = gn.Graph()
    maps = g.placeholder("maps", ("batch", 4, 20, 20))
    svg = gn.draw(maps * 2.0, {maps: RNG.normal(size=(1, 4, 20, 20))}, engine="plain").svg()
    box = next(group for group in painted(svg).groups if any(text.said == "multiply" for text in group.texts))
    rim = box.outlines[-1].around
    wide, high = rim[2] - rim[0], rim[3] - rim[1]
    assert wide / high == pytest.approx(83 / 20, rel=0.05)  # four maps of 20 pixels, and three lines between them


def test_a_gif_shows_the_evaluation_and_what_is_to_come_is_empty(tmp_path: Any) -> None:
    image = pytest.importorskip("PIL.Image")
    loss, feed = seed_network()
    diagram = gn.draw(loss, feed, numbers="all", fit=(16, 9))
    stills = list(animation.stills(diagram.svg(), diagram._picture))
    operations = sum(bool(node.inputs) for node in gn.schedule(loss))
    assert len(stills) == operations + 2  # nothing computed, each operation, and all of it for a while
    said = [numbers_of(svg) for svg, _ in stills]
    assert [len(one) for one in said] == sorted(len(one) for one in said)
    assert said[-1] == numbers_of(diagram.svg()) > said[0]  # at first only what is given
    given = gn.run([node for node in gn.schedule(loss) if node.op.is_variable or node.op.is_placeholder], feed)
    assert sum(said[0].values()) >= sum(np.size(value) for value in given)
    with image.open(diagram.save(tmp_path / "seed.gif")) as moving:
        assert moving.n_frames == len(stills)
        assert moving.size == pytest.approx((960, 540), abs=2)


def test_a_box_says_a_formula_only_where_it_computes_that() -> None:
    def said(layer: Any) -> list[str]:
        x = gn.Graph().placeholder("x", ("batch", 4))
        drawn = painted(gn.draw(layer(x), "layer", engine="plain").svg())
        return [text.said for group in drawn.groups for text in group.texts]

    assert "x W + b" in said(nn.Dense(3))
    assert "x W" in said(nn.Dense(3, use_bias=False))
    assert {"x W + b", "tanh"} <= {*said(nn.Dense(3, gn.tanh))}  # the activation is a box of its own
    assert not [text for text in said(nn.Dropout(0.5)) if "mask" in text]  # it is not in training
