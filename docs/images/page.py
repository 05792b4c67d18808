"""Photograph the replay page of docs/replay/spiral.html for README.md: some steps of the training, as a film.

python docs/images/page.py

It needs a Chromium and what `make page` installs. No test holds the film: a browser's fonts are those of its machine.
"""

import io
import runpy
from pathlib import Path
from typing import Any

from PIL import Image

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SIZE = {"width": 1440, "height": 690}
FIRST, EACH, LAST = 2000, 900, 3500  # milliseconds
NODE = "softmax_1/divide"


def frames(page: Any) -> list[Image.Image]:
    """Return the pictures: how the page opens, then the probabilities at each step of the training."""
    taken: list[Image.Image] = []

    def take() -> None:
        page.wait_for_timeout(250)
        taken.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))

    take()
    page.fill("#search", NODE)
    page.press("#search", "Enter")
    page.fill("#search", "")
    page.click("#fit")
    page.evaluate("document.activeElement.blur()")
    take()
    page.locator("#boundary").scroll_into_view_if_needed()
    for _ in range(int(page.get_attribute("#step", "max"))):
        page.keyboard.press("]")
        take()
    return taken


def photographed(browser: Any, theme: str) -> list[Image.Image]:
    """Return the pictures of the page in a theme, light or dark."""
    page = browser.new_page(viewport=SIZE, color_scheme=theme, reduced_motion="reduce")
    page.goto((ROOT / "docs" / "replay" / "spiral.html").as_uri())
    page.wait_for_selector("html[data-ready]", state="attached")
    return frames(page)


def main() -> None:
    """Write page.png, how the page looks at the end of the training, page.gif, how it gets there, and a dark twin."""
    launched = runpy.run_path(str(ROOT / "tests" / "page" / "browser.py"))["launched"]
    with launched() as browser:
        taken = photographed(browser, "light")
        photographed(browser, "dark")[-1].quantize(256).save(HERE / "page-dark.png", optimize=True)
    colours = taken[-1].quantize(128)
    # The loop begins at its end, which says most where it stands still.
    order = [taken[-1], *taken[:-1]]
    first, *rest = [each.quantize(palette=colours, dither=Image.Dither.NONE) for each in order]
    times = [LAST, FIRST, *[EACH] * (len(rest) - 1)]
    first.save(HERE / "page.gif", save_all=True, append_images=rest, duration=times, loop=0, optimize=True)
    taken[-1].quantize(256).save(HERE / "page.png", optimize=True)


if __name__ == "__main__":
    main()
