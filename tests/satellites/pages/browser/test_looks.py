"""At each size, in both themes and on paper it can be read, by people and by what reads to them."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from conftest import SIZES
from playwright.sync_api import Page, expect
from pointing import go, settled, unfold, until

from graphnn.view.heatmap import Scale

Opened = Callable[..., Page]

PAGES = ["step", "film", "hidden_nan", "what_if", "stopped", "large", "attention"]
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PAGES)
def test_nothing_sticks_out(name: str, size: str, opened: Opened) -> None:
    page = opened(name, size=size)
    for key in ("", "End", "Home", "ArrowRight", "t"):
        if key:
            page.keyboard.press(key)
        settled(page)
        wide = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert wide[0] <= wide[1], key
        if size != "phone":
            high = page.evaluate("[document.documentElement.scrollHeight, window.innerHeight]")
            assert high[0] <= high[1], key


@pytest.mark.parametrize("size", SIZES)
def test_nothing_moves_under_the_pointer(size: str, opened: Opened) -> None:
    page = opened("step", size=size)
    go(page, "dense_2/matmul")
    where = "heatmaps.map(({ box }) => box.getBoundingClientRect()).map((seen) => [seen.x, seen.y, seen.right])"
    before = page.evaluate(where)
    for cell in (0, 5, 170):
        page.evaluate("(cell) => hover({ place: shown.place, cell })", cell)
        settled(page)
        assert page.evaluate(where) == before
    page.evaluate("hover({ place: nodes.name.indexOf('dense_2/weight'), cell: 1 })")
    settled(page)
    assert page.evaluate(where) == before


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_its_colours_are_those_of_pictures(theme: str, opened: Opened) -> None:
    page = opened("step", theme=theme)
    for ends in ((-2.0, 1.0), (0.0, 3.0), (1.0, 3.0), (-3.0, -1.0), (1.0, 1.0 + 2**-51)):
        scale, values = Scale.of(np.array(ends), eps=2**-52)._replace(theme=theme), np.linspace(*ends, 7)
        drawn = page.evaluate("([ends, values]) => values.map((x) => coloursOf(ends)(x))", [ends, values.tolist()])
        assert np.abs(np.array(drawn) - scale.colours(scale.fractions(values))).max() <= 1
    assert page.evaluate("[0, 1, 13, -11].map(colourOfClass).map(String)") == ["86,180,233", *["230,159,0"] * 3]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_serious_fault(name: str, theme: str, opened: Opened) -> None:
    page = opened(name, theme=theme)
    page.get_by_role("button", name="Help").click()
    page.get_by_label("What is laid over the diagram").select_option("values")
    page.evaluate(AXE)
    found = page.evaluate("axe.run()")
    serious = [
        f"{each['impact']} {each['id']}: {[node['html'][:200] for node in each['nodes'][:3]]}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]
    assert not serious, "\n".join(serious)
    assert found["passes"]


def test_on_a_small_screen_all_of_it_is_below_each_other(opened: Opened) -> None:
    page = opened("step", size="phone")
    tops = [page.locator(id_).bounding_box() for id_ in ("#picture", "#operation", "aside")]
    assert all(box is not None for box in tops)
    assert [box["y"] for box in tops if box] == sorted(box["y"] for box in tops if box)
    page.locator("#gradient").scroll_into_view_if_needed()
    expect(page.locator("#position")).to_be_in_viewport()  # the timeline stays at hand


def test_it_prints(opened: Opened, tmp_path: Path) -> None:
    page = opened("step", theme="dark")
    go(page, "dense_2/matmul")
    unfold(page)
    where = "JSON.stringify([picture.x, picture.y, picture.scale, picture.svg.style.transform])"
    before = page.evaluate(where)
    page.emulate_media(media="print")
    until(page, "document.documentElement.classList.contains('paper')")
    for gone in (
        page.get_by_role("button", name="Help"),
        page.locator("#map"),
        page.locator("#ticks"),
        page.locator(".bar").first,
    ):
        expect(gone).to_be_hidden()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    # The whole diagram, with all of its text, and the numbers of the value, on a page's width.
    paper = page.evaluate("document.body.getBoundingClientRect().width")
    assert paper <= 720
    for part in ("#diagram svg", "#node", "#values figure", "#source pre"):
        for box in page.locator(part).all():
            found = box.bounding_box()
            assert found is not None
            assert 0 <= found["x"] <= found["x"] + found["width"] <= paper, part
    assert not page.evaluate("picture.svg.classList.contains('titles')")
    assert page.evaluate("chosenHeatmap().numbers && chosenHeatmap().seen[0]") >= 12
    assert page.pdf(path=tmp_path / "page.pdf").startswith(b"%PDF")
    page.emulate_media(media="screen")
    until(page, "document.documentElement.dataset.theme === 'dark'")
    expect(page.get_by_role("button", name="Help")).to_be_visible()
    assert page.evaluate(where) == before


def test_a_reference_to_a_value_far_away_can_be_read(opened: Opened) -> None:
    page = opened("nested")
    unfold(page)
    page.evaluate("fitView()")
    page.evaluate("look(0, 0, 0.9)")
    assert page.evaluate("picture.svg.classList.contains('titles')")
    found = page.evaluate(
        """() => [...document.querySelectorAll('#diagram g[data-name^="r"]')]
        .filter((g) => !g.dataset.name.includes('->'))
        .map((g) => [g.querySelector('text').textContent, g.querySelector('text').getBoundingClientRect().height])"""
    )
    assert found
    assert all(text and height >= 9 for text, height in found), found
