"""Measure the pictures of forty graphs: size, crossings, bends, length of edges, and the smallest text on a page.

    python tests/benchmarks/pictures.py [--detail layer,leaf,op] [--engine plain,dot,default] [--only TEXT]
        [--save FOLDER]

A row is a picture; the engine `default` is what a user gets who names none. Sizes and lengths are in points. A crossing
is where two edges without a common end meet; `over` counts edges over boxes, `titles` edges over titles of frames;
bends are turns of a line, 90° each. The smallest text is in pixels, where the picture fits into a page of 1,200 pixels.

At the end stand sums over the pictures that Graphviz makes no wider than 1,600 points and no higher than 2,600: with an
update, with a backward pass alone, and with neither, which have frames or none. Those that are larger are left out.
"""

import argparse
import math
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.extend(map(str, Path(__file__).parents[1].iterdir()))

from forty import FORTY
from svg_geometry import Drawn, crossed, over_titles, read

import graphnn as gn
from graphnn.view import Diagram

PAGE, WIDEST, HIGHEST = 1200, 1600, 2600
told = sys.stdout.write


class Measured(NamedTuple):
    """What a picture is like."""

    boxes: int
    edges: int
    width: float
    height: float
    crossings: int
    over_boxes: int
    over_titles: int
    bends: float
    length: float
    text: float

    def __str__(self) -> str:
        size = f"{self.width:6.0f} × {self.height:6.0f}"
        lines = f"{self.crossings:6} {self.over_boxes:5} {self.over_titles:6} {self.bends:7.0f} {self.length:9.0f}"
        return f"{self.boxes:5} {self.edges:5} {size} {lines} {self.text:6.1f}"


SUMMED = ("crossings", "over_boxes", "over_titles", "bends", "length")
HEADER = "boxes edges   width × height   cross  over titles   bends    length  text px"


def measured(svg: str) -> Measured:
    """Return the measures of a picture."""
    drawn = read(svg)
    lines = [[*edge.line, edge.tip] for edge in drawn.edges]
    width, height = drawn.size.right - drawn.size.left, drawn.size.bottom - drawn.size.top
    things = [*drawn.boxes.values(), *drawn.frames.values(), *drawn.edges]
    sizes = [text.size for thing in things for text in thing.texts]
    return Measured(
        len(drawn.boxes),
        len(drawn.edges),
        width,
        height,
        crossings(drawn),
        len(crossed(drawn)),
        len(over_titles(drawn)),
        sum(map(_turns, lines)),
        sum(math.dist(one, other) for line in lines for one, other in pairwise(line)),
        min(sizes, default=math.nan) * min(1.0, PAGE / width),
    )


def crossings(drawn: Drawn) -> int:
    """Return at how many places edges that share no end meet; those that run together meet another at one place."""
    parts: list[tuple[int, Any]] = []
    for number, edge in enumerate(drawn.edges):
        parts += [(number, (*one, *other)) for one, other in pairwise([*edge.line, edge.tip]) if one != other]
    if not parts:
        return 0
    owner = np.array([number for number, _ in parts])
    ax, ay, bx, by = np.array([part for _, part in parts]).T
    ends = [{edge.tail, edge.head} for edge in drawn.edges]
    left, right, top, bottom = np.minimum(ax, bx), np.maximum(ax, bx), np.minimum(ay, by), np.maximum(ay, by)
    places = set()
    for i in range(len(parts)):
        near = np.flatnonzero((left < right[i]) & (right > left[i]) & (top < bottom[i]) & (bottom > top[i]))
        near = near[owner[near] > owner[i]]
        dx, dy = bx[i] - ax[i], by[i] - ay[i]
        one = (ax[near] - ax[i]) * dy - (ay[near] - ay[i]) * dx
        other = (bx[near] - ax[i]) * dy - (by[near] - ay[i]) * dx
        ex, ey = bx[near] - ax[near], by[near] - ay[near]
        third = (ax[i] - ax[near]) * ey - (ay[i] - ay[near]) * ex
        fourth = (bx[i] - ax[near]) * ey - (by[i] - ay[near]) * ex
        for j in near[(one * other < 0) & (third * fourth < 0)]:
            pair = (int(owner[i]), int(owner[j]))
            if ends[pair[0]].isdisjoint(ends[pair[1]]):
                share = ((ax[j] - ax[i]) * (by[j] - ay[j]) - (ay[j] - ay[i]) * (bx[j] - ax[j])) / (
                    dx * (by[j] - ay[j]) - dy * (bx[j] - ax[j])
                )
                places.add((round(ax[i] + share * dx), round(ay[i] + share * dy)))
    return len(places)


def _turns(line: list[tuple[float, float]]) -> float:
    headings = [math.atan2(y1 - y0, x1 - x0) for (x0, y0), (x1, y1) in pairwise(line) if (x0, y0) != (x1, y1)]
    turns = (abs((b - a + math.pi) % math.tau - math.pi) for a, b in pairwise(headings))
    return sum(turn for turn in turns if turn < 3) / (math.pi / 2)  # what turns back is an arrowhead


def kind(diagram: Diagram) -> str:
    """Return what a picture shows: an update, else a backward pass, else frames, or layers and operations alone."""
    seen = diagram._picture
    phases = {box.phase for box in seen.boxes}
    found = next((phase for phase in ("update", "backward") if phase in phases), "")
    return found or ("frames" if seen.open_scopes() else "no frames")


def sums(found: dict[tuple[str, str, str, str], Measured]) -> Iterator[str]:
    """Return lines with sums over the pictures that Graphviz makes small enough, by kind and detail."""
    totals: dict[tuple[str, str], dict[str, list[Measured]]] = {}
    for (name, what, detail, engine), plain in found.items():
        other = found.get((name, what, detail, "dot"))
        if engine == "plain" and other and other.width <= WIDEST and other.height <= HIGHEST:
            group = totals.setdefault((what, detail), {"plain": [], "dot": []})
            group["plain"].append(plain)
            group["dot"].append(other)
    for (what, detail), group in sorted(totals.items()):
        for engine, measures in group.items():
            total = [sum(getattr(each, key) for each in measures) for key in SUMMED]
            numbers = " ".join(f"{number:8.0f}" for number in total)
            area = sum(each.width * each.height for each in measures) / 1e6
            yield f"{what:10} {detail:6} {len(measures):3} pictures {engine:6} {numbers} {area:8.2f}"


def main() -> None:
    """Measure, and keep the pictures if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detail", default="layer,op")
    parser.add_argument("--engine", default="plain,dot")
    parser.add_argument("--only", default="")
    parser.add_argument("--save", type=Path)
    options = parser.parse_args()
    if options.save:
        options.save.mkdir(parents=True, exist_ok=True)
    told(f"{'':50}{HEADER}\n")
    found: dict[tuple[str, str, str, str], Measured] = {}
    for name, build in FORTY.items():
        if options.only not in name:
            continue
        fetches = build()
        for detail in options.detail.split(","):
            for engine in options.engine.split(","):
                diagram = gn.draw(fetches, detail, engine=None if engine == "default" else engine)
                svg = diagram.svg()
                measures = found[name, kind(diagram), detail, engine] = measured(svg)
                told(f"{name:32} {detail:6} {engine:8}  {measures}\n")
                sys.stdout.flush()
                if options.save:
                    (options.save / f"{name.replace(',', '').replace(' ', '-')}-{detail}-{engine}.svg").write_text(svg)
    told(f"\n{'':36}" + " ".join(f"{key:>8}" for key in [*SUMMED, "area"]) + "\n")
    for line in sums(found):
        told(f"{line}\n")


if __name__ == "__main__":
    main()
