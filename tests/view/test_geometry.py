"""The geometry of pictures by each engine there is: texts in their boxes, boxes apart, frames around their own."""

import os
import random
import runpy
import shutil
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from svg_geometry import NEAR, NEAR_BY_GRAPHVIZ, crossed, faults, over_titles, read, scopes_of
from test_collapsed_sums import stack
from test_plain import scoped

import graphnn as gn
from graphnn.view import Diagram, draw
from graphnn.view.diagrams.style import HIGHLIGHTS
from graphnn.view.layout.graphviz_engine import Engine

ROOT = Path(__file__).parents[2]


def engines() -> dict[str, Engine | None]:
    """Return all that there is to lay out a picture: the system's Graphviz, the one from a wheel, and graphnn."""
    found: dict[str, Engine | None] = {"plain": None}
    if dot := shutil.which("dot"):
        found["dot"] = Engine(dot, pure=False)
    places = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    if pure := shutil.which("graphviz-pure", path=places):
        found["graphviz-pure"] = Engine(pure, pure=True)
    return found


ENGINES = engines()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name that `draw` knows an engine by; the others are hidden from it."""
    chosen = ENGINES[request.param]
    if chosen is None:
        return "plain"
    monkeypatch.setattr("graphnn.view.layout.graphviz_engine.find_engine", lambda: chosen)
    return "dot"


def flawless(diagram: Diagram, engine: str) -> None:
    """Claim that all is where it must be."""
    svg = diagram.svg()
    assert diagram.note == ""
    drawn = read(svg)
    assert faults(drawn, scopes_of(diagram._picture), NEAR if engine == "plain" else NEAR_BY_GRAPHVIZ) == []
    if engine == "plain":
        assert crossed(drawn) == []
        assert over_titles(drawn) == []


def test_the_gallery(engine: str) -> None:
    pictures = runpy.run_path(str(ROOT / "docs" / "images" / "make.py"))["gallery"]()
    assert len(pictures) > 6
    for diagram in pictures.values():
        # As it is on the page, but laid out by this engine.
        diagram._engine = engine
        flawless(diagram, engine)


def test_no_line_of_the_gallery_runs_over_a_title_whatever_draws() -> None:
    for diagram in runpy.run_path(str(ROOT / "docs" / "images" / "make.py"))["gallery"]().values():
        diagram._engine = None
        assert over_titles(read(diagram.svg())) == []


@pytest.mark.parametrize("seed", range(18))
def test_graphs_by_chance(engine: str, seed: int) -> None:
    fetches = by_chance(seed)
    flawless(draw(fetches, engine=engine, **arguments(fetches, seed)), engine)


def by_chance(seed: int) -> list[gn.Node]:
    if seed % 3 == 0:
        return stack(seed)
    ends = scoped(seed)
    if seed % 3 == 1:
        return ends
    total = gn.sum(sum(ends[1:], ends[0]))
    return [total, *gn.grad(total, [node for node in gn.schedule(total) if node.name in ("x", "w")])]


def arguments(fetches: list[gn.Node], seed: int) -> dict[str, Any]:
    """Return what else is said of a picture, by chance."""
    rng = random.Random(seed)
    names = [node.name for node in gn.schedule(fetches)]
    star = rng.choice(names)  # something is said of it, and it is in the picture in any case
    how: dict[str, Any] = {"detail": rng.choice(["op", "op", "layer", 0, 1])}
    if rng.random() < 0.5:
        how["title"] = "A title " + "that goes on " * rng.randrange(12)
    if rng.random() < 0.5:
        how["overlay"] = {
            name: rng.choice([rng.uniform(-2.0, 2.0), "two\nlines"]) for name in [star, *rng.sample(names, 3)]
        }
    elif rng.random() < 0.5:
        feed = {"x": np.linspace(-1.0, 1.0, 12).reshape(4, 3), "labels": [0, 1, 1, 0]}
        feed = {name: value for name, value in feed.items() if name in names}
        how |= {"trace": gn.trace(fetches, feed, graph=fetches[0].graph), "overlay": rng.choice(["values", "bytes"])}
    if rng.random() < 0.5:
        how["highlight"] = {name: rng.choice(list(HIGHLIGHTS)) for name in [star, *rng.sample(names, 4)]}
    if rng.random() < 0.3:
        how["focus"] = star
    return how | {"repeats": rng.random() < 0.3, "theme": rng.choice(["light", "dark"])}
