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


def _lesson(name: str) -> dict[str, Any]:
    """Return what the program of a lesson defines."""
    return runpy.run_path(str(EXAMPLES / f"lesson_{name}.py"))


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
    """Show the lesson's kernels, with the one to change."""
    lesson = _lesson("convolution")
    tour = [
        ("conv2d_1/weight", "Two kernels. Choose the 2 in [0, 0, 1, 2], and type 3."),
        ("conv2d_1/add", "Only the first map changed, where the picture is not 0 under that number."),
    ]
    return gn.trace(lesson["build"](), lesson["feed"]).to_html(tour=tour)


def lenet() -> Page:
    """Train the network of the lesson for an epoch, and show how it reads four digits."""
    lesson = _lesson("lenet")
    images, digits = lesson["data"]()
    step, probabilities, _ = lesson["build"]()
    for start in range(4, len(images) - 32, 32):
        step({"x": images[start : start + 32], "labels": digits[start : start + 32]})
    return gn.trace(probabilities, {"x": images[:4]}).to_html()


def batch_norm() -> Page:
    """Show a step of the lesson, in training and in use."""
    lesson = _lesson("batch_norm")
    step, _ = lesson["build"]()
    return gn.trace(step, lesson["batch"](np.random.default_rng(0))).to_html()


def transformer() -> Page:
    """Show how a text is continued, with the character to change."""
    lesson = _lesson("transformer")
    g, network = lesson["build"]()
    network.load_state_dict(dict(np.load(EXAMPLES / "lesson_transformer.npz")))
    return gn.trace(g.outputs["probabilities"], {"characters": lesson["numbers"]("the value")[None]}).to_html()


def adding() -> Page:
    """Show how the carry of 63 + 1 goes through all steps, with the bit to change."""
    lesson = _lesson("adding")
    g, _ = lesson["build"]()
    lesson["train"](g, 300)
    pair = lesson["binary"]([63, 1], lesson["BITS"]).T[None].astype(float)
    return gn.trace(g.outputs["probabilities"], {"bits": pair}).to_html()


def vae() -> Page:
    """Train for some epochs, and show what is made of two images."""
    lesson = _lesson("vae")
    images = lesson["load_digits"](return_X_y=True)[0] / 16
    g = lesson["build"]()
    lesson["train"](g, images, 5)
    return gn.trace(dict(g.outputs), {"images": images[:2]}).to_html()


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
    """Show how a letter is found that was seen before, with the letter to change."""
    lesson = _lesson("induction")
    g = lesson["build"]()
    for name, value in np.load(EXAMPLES / "lesson_induction.npz").items():
        g[name].value = value
    text = "NETWORK" * 4
    letters = np.array([[lesson["LETTERS"].index(letter) for letter in text[: lesson["LENGTH"]]]])
    return gn.trace(g["logits"], {"letters": letters}).to_html()


def main() -> None:
    """Write the pages."""
    for name, page in pages().items():
        path = HERE / f"{name}.html"
        if not path.exists() or told(path.read_text(encoding="utf-8")) != told(page.html):
            page.save(path)


if __name__ == "__main__":
    main()
