"""Measure the replay page of deep networks, and pages that compute: how large they are, how long a step takes.

python tests/satellites/pages/browser/measure.py

Printed, and held to nothing: how fast a machine is, no test can say.
"""

import re
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import runs
from browser import launched
from playwright.sync_api import Browser

import graphnn as gn
from graphnn.pages.engine import engine_script

sys.path.append(str(Path(__file__).parents[1]))
import page_trainings

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
# From the key that ends a number until the page shows what follows from it.
EDIT = """(number) => new Promise((done) => {
  $("edit-number").focus();
  $("edit-number").value = number;
  const start = performance.now();
  $("edit-number").dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
})"""
TRAIN = """(steps) => Array.from({ length: steps }, () => {
  const start = performance.now();
  trainSteps(1);
  return performance.now() - start;
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


def computing(browser: Browser, path: Path, parameter: str) -> dict[str, Any]:
    """Return how long a page takes for a step of training, and for an edit."""
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]", state="attached")
    page.evaluate("(name) => go(nodes.name.indexOf(name), 0)", parameter)
    edits = [page.evaluate(EDIT, f"{k / 100}") for k in range(STEPS)]
    page.evaluate(TRAIN, STEPS // 4)
    steps = page.evaluate(TRAIN, STEPS)
    page.click("#train")
    page.wait_for_timeout(2000)
    shown = page.evaluate("live.steps") - STEPS - STEPS // 4
    page.close()
    return {
        "MB": f"{path.stat().st_size / 1e6:.2f}",
        "an edit": f"{statistics.median(edits):.0f} ms, at most {max(edits):.0f}",
        "a step of training": f"{statistics.median(steps):.1f} ms, at most {max(steps):.1f}",
        "as it plays": f"{shown / 2:.0f} steps a second",
    }


def engine_size() -> str:
    """Return how much of a page is the engine."""
    text = engine_script()
    code = re.sub(r"\n\s*\n", "\n", re.sub(r"/\*.*?\*/|^\s*//.*?$", "", text, flags=re.DOTALL | re.MULTILINE))
    return f"the engine: {len(code) / 1e3:.0f} kB, {len(text) / 1e3:.0f} with comments"


def main() -> None:
    """Print a line a network."""
    sys.stdout.write(engine_size() + "\n")
    with tempfile.TemporaryDirectory() as folder, launched() as browser:
        for size in SIZES:
            row = measured(browser, runs.chain(size).save(Path(folder) / f"{size}.html"))
            sys.stdout.write("; ".join(f"{key} {value}" for key, value in row.items()) + "\n")
        for name, training, parameter in [
            ("README's network", page_trainings.readme(), "dense_1/weight"),
            ("LeNet, a batch of 32", page_trainings.lenet(32), "conv2d_1/weight"),
            ("a transformer", page_trainings.transformer(), "embedding_1/weight"),
        ]:
            gn.playground(*training, Path(folder) / "play.html")
            row = computing(browser, Path(folder) / "play.html", parameter)
            sys.stdout.write("; ".join([name, *(f"{key} {value}" for key, value in row.items())]) + "\n")


if __name__ == "__main__":
    main()
