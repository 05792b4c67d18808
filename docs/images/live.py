"""Photograph the page of a training run for the documentation: while it goes on, beside one that has ended.

python docs/images/live.py

It needs a Chromium and what `make page` installs. No test holds the film: a browser's fonts are those of its machine.
"""

import io
import runpy
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import graphnn as gn
from graphnn import nn
from graphnn.pages.live import live_page as live

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SIZE = {"width": 1120, "height": 960}
EPOCHS, SHOWN = 40, (1, 3, 8, 18)
EACH, LAST = 1200, 4000  # milliseconds


def train(page: nn.LivePage, optimizer: Any, callback: Callable[[nn.History], None] | None = None) -> None:
    """Train on the spiral data, and write a page."""
    rng = np.random.default_rng(0)
    g = gn.Graph("spiral")
    x = g.placeholder("x", shape=("batch", 2))
    y = g.placeholder("y", shape=("batch",), dtype=np.int64)
    layers = [nn.Dense(64, rng=rng), nn.ReLU(), nn.Dense(64, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng)]
    scores = nn.Sequential(*layers)(x)
    loss = nn.softmax_crossentropy(scores, y)
    step = gn.compile(loss, updates=optimizer.updates(loss))
    (points, classes), (others, theirs) = (gn.datasets.spiral(100, classes=3, seed=seed) for seed in (0, 1))
    nn.fit(
        step,
        {x: points, y: classes},
        epochs=EPOCHS,
        validation={x: others, y: theirs},
        metrics={"accuracy": nn.accuracy(scores, y)},
        callbacks=callback or (),
        page=page,
    )


def main() -> None:
    """Write live.gif."""
    live.EVERY = live._SECOND = 0.1  # seconds
    live.SHARE = 1e9
    taken: list[Image.Image] = []
    launched = runpy.run_path(str(ROOT / "tests" / "page" / "browser.py"))["launched"]
    with tempfile.TemporaryDirectory() as folder, launched() as browser:
        before, now = Path(folder) / "sgd.html", Path(folder) / "adam.html"

        def take() -> None:
            seen = browser.new_page(viewport=SIZE, color_scheme="light", reduced_motion="reduce")
            seen.goto(now.as_uri())
            seen.wait_for_selector("html[data-ready]", state="attached")
            taken.append(Image.open(io.BytesIO(seen.screenshot())).convert("RGB"))
            seen.close()

        def look(history: nn.History) -> None:
            if history.epochs in SHOWN:
                take()

        train(nn.LivePage(before, name="SGD"), nn.SGD(0.2))
        train(nn.LivePage(now, name="Adam", beside=before), nn.Adam(0.01), look)
        take()
    colours = taken[-1].quantize(80)
    # The loop begins at its end, which says most where it stands still.
    first, *rest = [each.quantize(palette=colours, dither=Image.Dither.NONE) for each in (taken[-1], *taken[:-1])]
    times = [LAST, *[EACH] * len(rest)]
    first.save(HERE / "live.gif", save_all=True, append_images=rest, duration=times, loop=0, optimize=True)


if __name__ == "__main__":
    main()
