"""Make the replay pages of the documentation.

`python docs/replay/make.py` writes a page anew only if something else in it has changed than how long the operations
took.
"""

import base64
import json
import re
import runpy
import zlib
from pathlib import Path
from typing import Any

import numpy as np

import graphnn as gn
from graphnn import demo, nn
from graphnn.pages.replay import Page

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"


def pages() -> dict[str, Page]:
    """Return each page, by its name."""
    return {
        "spiral": demo.filmed(*demo.build())[0].to_html(),
        "play": play(),
        "nan": hidden_nan().to_html(),
        "convolution": convolution(),
        "lenet": lenet(),
        "batch_norm": batch_norm(),
        "transformer": transformer(),
        "induction": induction(),
        "adding": adding(),
        "vae": vae(),
        "export": export(),
    }


def play() -> Page:
    """Give the network of the demonstration to play with."""
    fetches, feed = demo.build()
    step = gn.compile(fetches["loss"], updates=nn.Adam(0.02).updates(fetches["loss"]))
    return gn.playground(step, feed, path=None)


def hidden_nan() -> gn.Trace:
    """Record a loss that is right, and a gradient that is not."""
    g = gn.Graph("hidden NaN")
    x = g.placeholder("x", shape=("batch",))
    w = g.parameter("w", 1.0)
    logs = gn.where(x > 0, gn.log(x * w), 0.0)  # the log of 0 is left out here, and comes back in the gradient
    g.outputs["loss"] = loss = gn.sum(logs)
    return gn.trace([loss, gn.grad(loss, w)], {x: [4.0, 2.0, 0.0, 1.0]})


def convolution() -> Page:
    """Change an element of a kernel, and show both runs."""
    lesson = runpy.run_path(str(EXAMPLES / "lesson_convolution.py"))
    dbg = gn.debug(lesson["build"](), lesson["feed"], echo=None)
    dbg.resume()
    dbg["conv2d_1/weight"][0, 0, 1, 2] = 3.0
    return dbg.to_html()


def lenet() -> Page:
    """Train the network of the lesson for an epoch, and show how it reads four digits."""
    lesson = runpy.run_path(str(EXAMPLES / "lesson_lenet.py"))
    images, digits = lesson["data"]()
    step, probabilities, _ = lesson["build"](dtype="float64")
    for start in range(4, len(images) - 32, 32):
        step({"x": images[start : start + 32], "labels": digits[start : start + 32]})
    return gn.trace(probabilities, {"x": images[:4]}).to_html()


def batch_norm() -> Page:
    """Show the first steps of the lesson."""
    lesson = runpy.run_path(str(EXAMPLES / "lesson_batch_norm.py"))
    step, _ = lesson["build"]()
    rng = np.random.default_rng(0)
    with gn.recording(step, every=20) as film:
        for _ in range(101):
            step(lesson["batch"](rng))
    return film.to_html()


def transformer() -> Page:
    """Change a character of a text, and show what changes: nothing before it."""
    lesson = runpy.run_path(str(EXAMPLES / "lesson_transformer.py"))
    g, network = lesson["build"]()
    network.load_state_dict(dict(np.load(EXAMPLES / "lesson_transformer.npz")))
    dbg = gn.debug(g.outputs["probabilities"], {"characters": lesson["numbers"]("the value")[None]}, echo=None)
    dbg.resume()
    dbg["characters"][0, 6] = lesson["SYMBOLS"].index("x")
    return dbg.to_html()


def adding() -> Page:
    """Change a bit of a number, and show how the carry goes through all steps."""
    lesson = runpy.run_path(str(EXAMPLES / "lesson_adding.py"))
    g, _ = lesson["build"]()
    lesson["train"](g, 300)
    pair = lesson["binary"]([63, 1], lesson["BITS"]).T[None].astype(float)
    dbg = gn.debug(g.outputs["probabilities"], {"bits": pair}, echo=None)
    dbg.resume()
    dbg["bits"][0, 0, 1] = 0.0
    return dbg.to_html()


def vae() -> Page:
    """Train for some epochs, and show the next step for four images."""
    lesson = runpy.run_path(str(EXAMPLES / "lesson_vae.py"))
    images = lesson["load_digits"](return_X_y=True)[0] / 16
    g = lesson["build"]()
    lesson["train"](g, images, 5)
    step = gn.compile(dict(g.outputs), updates=nn.SGD(0.01).updates(g.outputs["loss"]))
    return gn.trace(step, {"images": images[:4]}).to_html()


def told(file: str) -> dict[str, Any]:
    """Return what a page knows of its run, but for the times; and the page around it."""
    packed = re.search(r'(<script type="text/plain" id="data">)([^<]*)', file)
    assert packed is not None, "it is no replay page"
    block = zlib.decompress(base64.b64decode(packed[2]))
    end = 8 + int.from_bytes(block[:8], "little")
    data = json.loads(block[8:end])
    for run in data["runs"]:
        del run["times"]
    return {"around": file.replace(packed[2], ""), "data": data, "block": block[end:]}


def export() -> Page:
    """Show a model with a fault beside the right one, from the first node that differs."""
    bug = runpy.run_path(str(EXAMPLES / "wrong_export.py"))
    faulty, right = bug["exported"](), bug["exported"](faulty=False)
    feed, _ = bug["of_pytorch"](right)
    return gn.trace(faulty.outputs, feed).to_html(beside=gn.trace(right.outputs, feed))


def induction() -> Page:
    """Take what two heads say about a letter away, and show how it is not found any more."""
    lesson = runpy.run_path(str(EXAMPLES / "lesson_induction.py"))
    g = lesson["build"]()
    for name, value in np.load(EXAMPLES / "lesson_induction.npz").items():
        g[name].value = value
    text = "NETWORK" * 4
    letters = np.array([[lesson["LETTERS"].index(letter) for letter in text[: lesson["LENGTH"]]]])
    dbg = gn.debug(g["logits"], {"letters": letters}, echo=None)
    dbg.resume()
    heads = dbg["heads_1"].value.copy()
    heads[0, 1:3, 3] = 0.0
    dbg.what_if("heads_1", heads)
    return dbg.to_html()


def main() -> None:
    """Write the pages."""
    for name, page in pages().items():
        path = HERE / f"{name}.html"
        if not path.exists() or told(path.read_text(encoding="utf-8")) != told(page.html):
            page.save(path)


if __name__ == "__main__":
    main()
