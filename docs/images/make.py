"""Draw the pictures of the documentation.

python docs/images/make.py

Those that Graphviz lays out are kept as DOT text and as SVG, and a test holds the DOT text current. Those that graphnn
lays out itself are the same on every machine; a test holds the SVG current. No test holds the plots, which look a
little different with each matplotlib.
"""

import contextlib
import io
import re
import runpy
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import graphnn as gn
from graphnn import demo, nn
from graphnn.view import Diagram

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"

# The levels at which the forty networks are drawn, and how many boxes a picture has at most.
LEVELS = {"layer": 1000, "leaf": 100, "op": 60}


def diagrams() -> dict[str, Diagram]:
    """Return each picture, by its name."""
    fetches, _ = demo.build()
    return {
        "network": gn.draw(fetches["loss"]),
        "layers": gn.draw(fetches["loss"], detail="layer"),
        "kinds": kinds(),
        "training": training(),
    }


def kinds() -> Diagram:
    """Draw one of each kind of node that a forward pass has."""
    g = gn.Graph("kinds")
    x = g.placeholder("x", shape=("batch", 3))
    h = nn.Dense(2, weight=np.ones((3, 2)))(x)
    scale = g.parameter("scale", [1.0, 2.0], trainable=False)
    target = g.constant(0.5, name="target")
    g.outputs["score"] = gn.sum((h * scale - target) / 2.0, axis=1)
    return gn.draw(g)


def training() -> Diagram:
    """Draw a training step: a loss, its gradient, and the next value of the parameter."""
    g = gn.Graph("training")
    x = g.placeholder("x", shape=("batch",))
    w = g.parameter("w", 1.0)
    g.outputs["loss"] = loss = gn.mean(gn.square(gn.log(1.0 + gn.exp(w * x)) - 2.0))
    updates = nn.SGD(0.1).updates(loss)
    return gn.draw([loss, updates[w]])


def plain() -> dict[str, str]:
    """Return the SVG of each picture that graphnn lays out itself and no page makes, by its name."""
    fetches, _ = demo.build()
    loss = fetches["loss"]
    gradients = gn.grad(loss, loss.graph.parameters)
    found = {"evaluation": gn.draw([loss, *gradients], detail={"": "layer"}).animation()}
    return (
        found
        | {name: diagram.svg() for name, diagram in lessons().items()}
        | {"rooms": runpy.run_path(str(HERE / "rooms.py"))["rooms"]()}
    )


def of_pages() -> dict[str, str]:
    """Run the lines of the pages, and return the SVG of each picture that they make, by its name."""
    return {name: diagram.svg() for page in folders() for name, diagram in shown(page, ran(page), "svg").items()}


def networks() -> dict[str, str]:
    """Return the SVG of forty networks at each level that shows something else, by its name."""
    forty = runpy.run_path(str(HERE.parents[1] / "tests" / "support" / "forty.py"))["FORTY"]
    found: dict[str, str] = {}
    for name, build in forty.items():
        fetches, start, drawn = build(), re.sub(r"\W+", "-", name.lower()), {}
        for level, most in LEVELS.items():
            diagram = gn.draw(fetches, level, engine="plain")
            if len(diagram._picture.boxes) <= most:
                drawn[diagram.svg()] = level  # of two that are the same, the level that shows more
        found |= {f"networks/{start}-{level}": svg for svg, level in drawn.items()}
    return found


def lessons() -> dict[str, Diagram]:
    """Draw backpropagation: value and gradient on each box, for a neuron and for a small network."""
    g = gn.Graph("neuron")
    x1, x2 = g.parameter("x1", 2.0), g.parameter("x2", 0.0)
    w1, w2, b = g.parameter("w1", -3.0), g.parameter("w2", 1.0), g.parameter("b", 6.8813735870195432)
    fetches, feed = demo.build()
    both = ["values", "gradients"]
    return {
        "neuron": gn.draw(gn.tanh(x1 * w1 + x2 * w2 + b), overlay=both, engine="plain"),
        "lesson": gn.draw(fetches["loss"], feed, overlay=both, engine="plain"),
        **({"circuit": circuit()} if (Path(gn.__file__).parent / "interventions").is_dir() else {}),
    }


def circuit() -> Diagram:
    """Draw a circuit: what makes the difference of two runs, beside a value that is read and changes nothing."""
    g = gn.Graph("circuit")
    x, z = g.placeholder("x"), g.placeholder("z")
    gain = gn.multiply(g.parameter("w", 3.0), gn.exp(x), name="gain")
    loss = gn.subtract(x, -z, name="loss")
    ignored = gn.multiply(gn.sin(x), g.parameter("gate", 0.0), name="ignored")
    y = gn.add(gain - loss, ignored, name="y")
    found = gn.circuit(y, {x: 1.0, z: 2.0}, {x: 0.0, z: 2.0}, threshold=1e-9, method="greedy")
    return gn.draw(found, engine="plain")


def gallery() -> dict[str, Diagram]:
    """Run the lines of the gallery, and return its pictures by their names."""
    return shown("gallery", ran("gallery"), "svg")


def plots() -> dict[str, Any]:
    """Run the lines of "Reading a picture" and of the lessons, and return their plots by their names."""
    return {name: plot for page in ("pictures", *told()) for name, plot in shown(page, ran(page), "png").items()}


def told() -> list[str]:
    """Return the names of the pages that are lessons."""
    return sorted(path.stem for path in HERE.parent.glob("lesson-*.md"))


def folders() -> dict[str, str]:
    """Return the folder of the pictures of each page that makes its own."""
    others = {"gallery": "gallery", "pictures": "plots", "bring-your-model": "models", "interventions": "interventions"}
    return dict.fromkeys(told(), "lessons") | others


def ran(page: str) -> dict[str, Any]:
    """Run the lines of a page, and return what they have left, by its names."""
    text = (HERE.parent / f"{page}.md").read_text(encoding="utf-8")
    lines = "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    with tempfile.TemporaryDirectory() as empty, contextlib.chdir(empty):
        program = Path(f"{page.replace('-', '_')}.py")
        for data in EXAMPLES.glob(f"{program.stem}.*"):
            if data.suffix != ".py":
                shutil.copy(data, empty)
        program.write_text(lines, encoding="utf-8")
        with contextlib.redirect_stdout(io.StringIO()):
            return runpy.run_path(str(program))


def shown(page: str, left: dict[str, Any], suffix: str) -> dict[str, Any]:
    """Return what a page shows from its folder of pictures, by the names of the files: of what its lines have left."""
    folder = folders().get(page)
    text = (HERE.parent / f"{page}.md").read_text(encoding="utf-8") if folder else ""
    return {f"{folder}/{name}": left[name] for name in re.findall(rf"images/{folder}/(\w+)\.{suffix}", text)}


if __name__ == "__main__":
    for name, diagram in diagrams().items():
        for suffix in (".dot", ".svg"):
            diagram.save(HERE / f"{name}{suffix}")
    for path in (HERE / "networks").glob("*.svg"):
        path.unlink()
    for name, svg in (plain() | of_pages() | networks()).items():
        (HERE / f"{name}.svg").write_text(svg, encoding="utf-8")
    for name, figure in plots().items():
        figure.savefig(HERE / f"{name}.png")
