"""Photograph the playground of docs/replay/play.html for README.md: a number is changed, and the network trains.

python docs/images/playground.py

It needs a Chromium and what `make page` installs. No test holds the film: a browser's fonts are those of its machine.
"""

import io
import runpy
from pathlib import Path
from typing import Any

from PIL import Image

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SIZE = {"width": 1280, "height": 690}
FIRST, EACH, LAST = 1500, 350, 2500  # milliseconds
STEPS = [0, 5, 10, 15, 20, 30, 40, 50, 60, 80, 100, 130, 160, 200, 250, 300]


def frames(page: Any) -> list[Image.Image]:
    """Return the pictures: the network as it begins, and what it sees after more and more steps."""
    taken: list[Image.Image] = []
    for before, after in zip([0, *STEPS], STEPS, strict=False):
        page.evaluate("(steps) => graphnn.train(steps)", after - before)
        page.wait_for_timeout(150)
        taken.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    return taken


def main() -> None:
    """Write playground.gif."""
    launched = runpy.run_path(str(ROOT / "tests" / "satellites" / "pages" / "browser" / "browser.py"))["launched"]
    with launched() as browser:
        page = browser.new_page(viewport=SIZE, color_scheme="light", reduced_motion="reduce")
        page.goto((ROOT / "docs" / "replay" / "play.html").as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        taken = frames(page)
    colours = taken[-1].quantize(96)
    first, *rest = [each.quantize(palette=colours, dither=Image.Dither.NONE) for each in [taken[-1], *taken]]
    times = [LAST, FIRST, *[EACH] * (len(rest) - 1)]
    first.save(HERE / "playground.gif", save_all=True, append_images=rest, duration=times, loop=0, optimize=True)


if __name__ == "__main__":
    main()
