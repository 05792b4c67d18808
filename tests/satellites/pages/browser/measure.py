"""Measure the replay page of deep networks: how large it is, when it is seen, how long a step takes.

python tests/satellites/pages/browser/measure.py

Printed, and held to nothing: how fast a machine is, no test can say.
"""

import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import runs
from browser import launched
from playwright.sync_api import Browser

SIZES = (3_000, 10_000)
STEPS = 40

# From the press of a key until what it led to is on the screen.
PRESS = """(key) => new Promise((done) => {
  const start = performance.now();
  document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
})"""
UNFOLD = """() => new Promise((done) => {
  const start = performance.now();
  changeView(0);
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
})"""
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


def measured(browser: Browser, path: Path) -> dict[str, Any]:
    """Return what there is to say of a page."""
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.add_init_script(
        """new MutationObserver((_, seen) => {
             if (!document.documentElement?.dataset.ready) return;
             seen.disconnect();
             requestAnimationFrame(() => setTimeout(() => (window.readyAt = performance.now())));
           }).observe(document, { attributes: true, subtree: true, attributeFilter: ["data-ready"] });"""
    )
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]", state="attached")
    nodes, boxes = page.evaluate("[nodes.name.length, picture.boxes.length]")
    keys = (
        ["ArrowLeft"] * (STEPS // 2) + ["Home"] + ["ArrowRight"] * (STEPS // 4) + ["End"] + ["ArrowLeft"] * (STEPS // 4)
    )
    steps = [page.evaluate(PRESS, key) for key in keys]
    unfold = page.evaluate(UNFOLD)
    unfolded = page.evaluate("picture.boxes.length")
    steps_unfolded = [page.evaluate(PRESS, "ArrowLeft") for _ in range(STEPS // 2)]
    row = {
        "nodes": f"{nodes:,}",
        "boxes": f"{boxes:,}",
        "MB": f"{path.stat().st_size / 1e6:.2f}",
        "first paint": f"{page.evaluate(PAINT):.0f} ms",
        "all there": f"{page.evaluate('window.readyAt'):.0f} ms",
        "a step": f"{statistics.median(steps):.0f} ms",
        "slowest": f"{max(steps):.0f} ms",
        "unfolded": f"{unfolded:,} boxes in {unfold:.0f} ms",
        "a step in them": f"{statistics.median(steps_unfolded):.0f} ms, at most {max(steps_unfolded):.0f}",
    }
    page.close()
    return row


def main() -> None:
    """Print a line a network."""
    with tempfile.TemporaryDirectory() as folder, launched() as browser:
        for size in SIZES:
            row = measured(browser, runs.chain(size).save(Path(folder) / f"{size}.html"))
            sys.stdout.write("; ".join(f"{key} {value}" for key, value in row.items()) + "\n")


if __name__ == "__main__":
    main()
