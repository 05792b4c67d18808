"""A network without layers: where its page opens, what it says and draws, and what is on paper."""

import math
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import runs
from conftest import Opened
from pointing import until

# What is drawn with a pen, from now on.
RECORDED = """
window.drawn = [];
const PENS = { fillText: ([text, x, y]) => [text, x, y], arc: ([x, y]) => [x, y], lineTo: ([x, y]) => [x, y] };
for (const [name, keep] of Object.entries(PENS)) {
  const before = CanvasRenderingContext2D.prototype[name];
  CanvasRenderingContext2D.prototype[name] = function (...given) {
    window.drawn.push([this.canvas.id, name, ...keep(given)]);
    return before.apply(this, given);
  };
}
null;
"""
CELLS = (
    "[...document.querySelectorAll('#printed tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"
)
PHASES = "data.views.map(({ label, boxes }) => [label, boxes?.flat().map((place) => nodes.phase[place])])"


def test_it_opens_at_its_forward_pass(opened: Opened) -> None:
    page = opened("by_hand")
    view = page.locator("#view")
    assert re.fullmatch(r"forward operations \(\d+\)", view.locator("option:checked").inner_text())
    told = page.evaluate(PHASES)
    phases = dict(told[:-1])
    assert set(phases["forward operations"]) == {0}
    assert phases["forward operations"].count(0) == phases["operations"].count(0)
    # A node of the backward pass is shown where it is.
    page.evaluate("go(nodes.phase.indexOf(1))")
    assert view.locator("option:checked").inner_text().startswith("operations (")


def test_a_gradient_is_said_once(opened: Opened) -> None:
    page = opened("by_hand")
    said = page.locator("#gradient > p").first
    assert said.inner_text().startswith("This is what is differentiated. Its own gradient:")
    page.evaluate("go(placeOf.get('loss/log'))")
    assert said.inner_text().startswith("∂loss/∂log grad/loss/")
    page.evaluate("go(placeOf.get('W0'))")
    assert said.inner_text().startswith("∂loss/∂W0 grad/")


def test_two_points_are_not_joined(opened: Opened) -> None:
    page = opened("by_hand")
    page.evaluate(RECORDED)
    page.evaluate("drawAll()")
    for chart in ("curve", "series"):
        drawn = [each[1] for each in page.evaluate("window.drawn") if each[0] == chart]
        assert drawn.count("arc") == 3  # one each, and a larger one where one is
        assert "lineTo" not in drawn
    page = opened("film")
    page.evaluate(RECORDED)
    page.evaluate("drawAll()")
    assert [each[1] for each in page.evaluate("window.drawn") if each[0] == "curve"].count("lineTo") == 6


@pytest.mark.parametrize("run", ["by_hand", "film"])
def test_digits_stand_beside_the_dots(opened: Opened, run: str) -> None:
    page = opened(run)
    page.evaluate(RECORDED)
    page.evaluate("drawBoundary()")
    drawn = [each for each in page.evaluate("window.drawn") if each[0] == ""]
    digits, dots = ([each[2:] for each in drawn if each[1] == name] for name in ("fillText", "arc"))
    assert len(dots) == len(page.evaluate("data.boundary.points"))
    assert len(digits) > 10
    assert {digit for digit, *_ in digits} == {"0", "1", "2"}
    for _, x, y in digits:
        assert 5 < x < 215
        assert 5 < y < 215
        # A digit is some 6 wide and 8 high, and a dot has a radius of 2.6.
        assert not [dot for dot in dots if abs(dot[0] - x) < 5.5 and abs(dot[1] - y) < 6.5]


def test_on_paper_there_are_all_operations(opened: Opened, tmp_path: Path) -> None:
    page = opened("by_hand")
    assert not page.locator("#printed").is_visible()
    film = runs.by_hand()
    path = tmp_path / "page.pdf"
    data = page.pdf(path=path, format="A4")
    assert len(re.findall(rb"/Type /Page\b", data)) >= 4
    page.emulate_media(media="print")
    until(page, "document.documentElement.classList.contains('paper')")
    rows = page.evaluate(CELLS)
    order = [node.title for node in film[0].order]
    assert [row[1] for row in rows] == order
    assert [row[0] for row in rows] == [str(number) for number in range(1, len(order) + 1)]
    told: dict[str, Any] = {row[1]: row for row in rows}
    assert told["loss/loss"][2:] == [
        "negative(loss/mean)",
        "scalar float64",
        f"{float(film[0]['loss/loss'].value):.4g}",
    ]
    stats = film[0]["matmul"].stats
    low, high, mean = re.findall(r"-?\d[\d.e-]*", told["matmul"][4])[:3]
    for said, known in ((low, stats.min), (high, stats.max), (mean, stats.mean)):
        assert math.isclose(float(said), known, rel_tol=1e-3)
    page.emulate_media(media="screen")
    until(page, "!document.documentElement.classList.contains('paper')")
    assert page.locator("#printed tr").count() == 0
    if shutil.which("pdftotext"):
        text = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, check=True, text=True).stdout
        assert f"All {len(order)} nodes in the order of the run" in text
