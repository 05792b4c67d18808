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
        "fixed_point": fixed_point(),
        "inner_training": inner_training(),
        "ode": ode(),
        "truncation": truncation(),
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
    """Show the lesson's kernels, one of which is to be changed."""
    lesson = _lesson("convolution")
    tour = [
        ("conv2d_1/weight", "Two kernels. Choose the 2 in row 1, column 2 of the first one, and type 3."),
        ("maps", "One map has changed: where the picture is not 0 under that number. The other one is as it was."),
    ]
    return gn.trace(lesson["build"](), lesson["feed"]).to_html(tour=tour)


def lenet() -> Page:
    """Train the network of the lesson for an epoch, and show how it reads four digits."""
    lesson = _lesson("lenet")
    images, digits = lesson["data"]()
    step, probabilities, _ = lesson["build"]()
    for start in range(4, len(images) - 32, 32):
        step({"x": images[start : start + 32], "labels": digits[start : start + 32]})
    tour = [
        ("x", "The first image is a 0. Fill its middle: choose row 3, column 3, type 1, 1, and do the same in row 4."),
        ("probabilities", "It was a 0 by 84 %. Now it is rather a 9 or an 8."),
        ("max_pool2d_1", "Which pixel was the largest of its window? Choose any number."),
    ]
    return gn.trace(probabilities, {"x": images[:4]}).to_html(tour=tour)


def batch_norm() -> Page:
    """Show a step of the lesson after 30 others, in training and in use."""
    lesson = _lesson("batch_norm")
    step, _ = lesson["build"]()
    rng = np.random.default_rng(0)
    for _ in range(30):
        step(lesson["batch"](rng))
    loss, prediction = (step.graph.outputs[name] for name in ("loss", "prediction"))
    both = gn.compile([loss, prediction], updates=step.updates)
    tour = [
        ("x", "Choose row 1, column 0, a temperature, and type 200."),
        ("batch_norm_1", "In training, the first column changes in all rows: their mean is another one."),
        ("prediction", "In use, row 1 alone changes."),
        (
            "batch_norm_1/running_mean",
            "Press Step: the running mean goes a tenth of the way to the mean of this batch.",
        ),
    ]
    return gn.trace(both, lesson["batch"](rng)).to_html(tour=tour)


def transformer() -> Page:
    """Show how a text is continued, with a character to change."""
    lesson = _lesson("transformer")
    g, network = lesson["build"]()
    network.load_state_dict(dict(np.load(EXAMPLES / "lesson_transformer.npz")))
    tour = [
        ("characters", "“the value”. Choose the u, number 26 at [0, 6], and type 29: an x."),
        ("probabilities", "Rows 0 to 5 are as they were: they come before the x, and cannot see it."),
        ("transformer_block_1/attention/weights", "Why: nothing above the diagonal, in any head."),
    ]
    return gn.trace(g.outputs["probabilities"], {"characters": lesson["numbers"]("the value")[None]}).to_html(tour=tour)


def adding() -> Page:
    """Show how the carry of 63 + 1 goes through all steps, with the bit to change."""
    lesson = _lesson("adding")
    g, _ = lesson["build"]()
    lesson["train"](g, 300)
    pair = lesson["binary"]([63, 1], lesson["BITS"]).T[None].astype(float)
    tour = [
        (
            "bits",
            "63 + 1, the lowest bits first, a row a step. Choose [0, 0, 1], the 1 at the right of row 0; type 0.",
        ),
        ("probabilities", "It was 64, a 1 in row 6 alone. It is 63: six 1s, and the carry is gone."),
        ("lstm_1", "Column 1 is the carry. It was large in rows 0 to 5."),
    ]
    return gn.trace(g.outputs["probabilities"], {"bits": pair}).to_html(tour=tour)


def vae() -> Page:
    """Train for some epochs, and show what is made of two images."""
    lesson = _lesson("vae")
    images = lesson["load_digits"](return_X_y=True)[0] / 16
    g = lesson["build"]()
    lesson["train"](g, images, 5)
    tour = [
        ("sampling_1/noise", "Two random numbers an image. Choose the first, and type 0, 0, 0, 0."),
        ("z", "Without noise, z is the mean. Now type any point of the plane for the first image, such as -2, 2."),
        ("made", "Row 0 has the 64 pixels of what lies there: at -2, 2 a 1."),
    ]
    return gn.trace(dict(g.outputs), {"images": images[:2]}).to_html(tour=tour)


def fixed_point() -> Page:
    """Give a smaller network of the lesson to play with, and every sixth point."""
    lesson = _lesson("fixed_point")
    g = lesson["build"](units=8)
    loss = g.outputs["loss"]
    step = gn.compile([loss, g.outputs["accuracy"]], updates=nn.Adam(0.02).updates(loss))
    return gn.playground(step, {name: rows[::6] for name, rows in lesson["data"]().items()}, path=None)


def inner_training() -> Page:
    """Train a smaller network of the lesson, and show how it learns a new task in five steps."""
    lesson = _lesson("inner_training")
    g, parameters = lesson["build"](units=8)
    lesson["train"](g, parameters, 600)
    fetches = {name: g.outputs[name] for name in ("loss", "predictions", "before")}
    tour = [
        ("rate", "The rate of the inner steps. Type 0, and they learn nothing."),
        ("loss", "It was 0.15, and is 0.65: that of the weights before any step. Undo it."),
        ("y", "Change a point of the task, and the five steps lead elsewhere."),
        ("predictions", "For each inner step, the predictions after it."),
    ]
    return gn.trace(fetches, lesson["tasks"](np.random.default_rng(5), 1)).to_html(tour=tour)


def ode() -> Page:
    """Find the rates of the lesson from what was counted, in fewer and larger steps."""
    lesson = _lesson("ode")
    g = lesson["build"](50)
    loss = g.outputs["loss"]
    step = gn.compile([loss, g.outputs["path"]], updates=nn.Adam(0.02).updates(loss))
    feed = {"y0": lesson["START"], "seen": lesson["measured"](np.random.default_rng(0), 50)}
    tour = [
        ("rates", "Births, meals, gains, deaths: a guess. Press Train, and watch them for 600 steps."),
        ("loss", "It ends at 0.08, the noise of what was counted."),
        ("rates", "Press Back to the recording, and type the true ones: 1.1, 0.4, 0.1, 0.4."),
        ("path", "Hares and lynxes after each of 50 steps."),
    ]
    return gn.trace(step, feed).to_html(tour=tour)


def truncation() -> Page:
    """Show what a gradient does not reach, with windows of 8."""
    lesson = _lesson("truncation")
    g = lesson["build"](8)
    last = g.outputs["last"]
    feed = lesson["batch"](np.random.default_rng(0), 4)
    slopes = gn.grad(last, g["bits"])
    tour = [
        (slopes, "The gradient of the last result: nothing before iteration 16, where the last window begins."),
        ("bits", "Choose [15, 0, 0], where the gradient is 0, and type -1."),
        ("last", "It changes all the same: the state passes from window to window, the gradient does not."),
    ]
    return gn.trace([last, slopes], feed).to_html(tour=tour)


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
    tour = [
        ("letters", "NETWORK, over and over. Choose the first W, number 22 at [0, 3], and type 0: an A."),
        ("logits", "Row 9 is after the second NET. Its largest number was at 22, a W. It is at 0: an A is expected."),
        ("heads_1", "Undo it. What two heads say at position 3: set [0, 1, 3] and [0, 2, 3] to eight zeros each."),
    ]
    return gn.trace(g["logits"], {"letters": letters}).to_html(tour=tour)


def main() -> None:
    """Write the pages."""
    for name, page in pages().items():
        path = HERE / f"{name}.html"
        if not path.exists() or told(path.read_text(encoding="utf-8")) != told(page.html):
            page.save(path)


if __name__ == "__main__":
    main()
