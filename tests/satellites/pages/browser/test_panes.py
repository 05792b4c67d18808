"""Panes are as wide as one wants them, the address names the node, and what is seen can be saved."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import runs
from conftest import SIZES
from playwright.sync_api import Page, expect
from pointing import boxes, go, here, settled, unfold, until

Opened = Callable[..., Page]

# --- widths -----------------------------------------------------------------------------------------------------


def width(page: Page, pane: str) -> float:
    box = page.locator(pane).bounding_box()
    assert box is not None
    return box["width"]


@pytest.mark.parametrize(("bar", "pane", "sign"), [("#left", "#picture", 1), ("#right", "aside", -1)])
def test_a_pane_is_dragged_wider_and_narrower(bar: str, pane: str, sign: int, opened: Opened) -> None:
    page = opened("step")
    before, middle, where = width(page, pane), width(page, "#operation"), page.locator(bar).bounding_box()
    assert where is not None
    x, y = where["x"] + where["width"] / 2, where["y"] + where["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - sign * 50, y)
    page.mouse.up()
    settled(page)
    assert width(page, pane) == pytest.approx(before - 50, abs=1)
    assert width(page, "#operation") == pytest.approx(middle + 50, abs=1)
    page.locator(bar).focus()
    page.keyboard.press("ArrowRight" if sign > 0 else "ArrowLeft")
    settled(page)
    wide = width(page, pane)
    assert wide > before - 50
    expect(page.locator(bar)).to_have_attribute("aria-valuenow", str(round(wide)))
    page.mouse.move(x, y)
    page.locator(bar).dblclick()
    settled(page)
    assert width(page, pane) == pytest.approx(before, abs=1)


def test_no_pane_is_dragged_away(opened: Opened) -> None:
    page = opened("step")
    for bar, key in (("#left", "ArrowRight"), ("#right", "ArrowLeft")):
        page.locator(bar).focus()
        for _ in range(60):
            page.keyboard.press(key)
    settled(page)
    assert all(width(page, pane) >= 100 for pane in ("#picture", "#operation", "aside"))
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_pane_fills_the_page_until_escape(opened: Opened) -> None:
    page = opened("step")
    page.get_by_role("button", name="The diagram alone").click()
    expect(page.locator("#operation")).to_be_hidden()
    assert width(page, "#picture") > 1200
    assert page.evaluate("picture.room[0]") > 1200
    page.keyboard.press("Escape")
    expect(page.locator("#operation")).to_be_visible()
    page.get_by_role("button", name="The operation alone").click()
    expect(page.locator("#picture")).to_be_hidden()
    page.get_by_role("button", name="The operation alone").click()
    expect(page.locator("#picture")).to_be_visible()


# --- the map ----------------------------------------------------------------------------------------------------


def test_a_map_says_where_in_the_diagram_one_is(opened: Opened) -> None:
    page = opened("step")
    expect(page.locator("#map")).to_be_hidden()  # all of it is in sight
    unfold(page)
    expect(page.locator("#map")).to_be_visible()
    where = page.locator("#map").bounding_box()
    assert where is not None
    page.mouse.click(where["x"] + where["width"] * 0.5, where["y"] + where["height"] * 0.8)
    middle = page.evaluate("(picture.y + picture.room[1] / picture.scale / 2) / picture.height")
    assert middle == pytest.approx(0.8, abs=0.02)
    page.get_by_role("button", name="Fit").click()
    expect(page.locator("#map")).to_be_hidden()


# --- links ------------------------------------------------------------------------------------------------------


def test_the_address_names_the_node_and_leads_to_it(opened: Opened) -> None:
    page = opened("film")
    go(page, "dense_2/matmul")
    page.evaluate("go(shown.place, 7)")
    page.keyboard.press("]")
    until(page, "location.hash === '#dense_2%2Fmatmul&cell=7&step=1'")
    assert page.get_by_role("link", name="link").get_attribute("href") == "#dense_2%2Fmatmul&cell=7&step=1"
    page.evaluate("location.hash = '#dense_1%2Fadd&cell=3'")
    expect(page.locator("#node")).to_have_text("dense_1/add")
    assert page.evaluate("[shown.cell, shown.run]") == [3, 1]
    page.evaluate("location.hash = '#dense_1%2Fadd&step=2'")
    until(page, "shown.run === 2")


def test_an_address_opens_the_page_at_its_node(opened: Opened, files: Callable[[str], Path]) -> None:
    page = opened("step")
    gradient = page.evaluate("nodes.name[nodes.gradient[nodes.name.indexOf('dense_2/matmul')]]")
    page.goto("about:blank")
    page.goto(f"{files('step').as_uri()}#{gradient.replace('/', '%2F')}")
    page.wait_for_selector("html[data-ready]", state="attached")
    assert here(page) == gradient
    assert not page.evaluate("isPending(shown.place)")


@pytest.mark.parametrize(
    "address", ["#nobody", "#%E0%A4%A", "#__proto__", "#x&cell=1e9", "#x&cell=-3&step=zz", "#&&=&"]
)
def test_an_address_that_is_none_does_no_harm(address: str, opened: Opened) -> None:
    page = opened("step")
    page.evaluate("(address) => { location.hash = address; goToLink(); }", address)
    assert here(page) in ("x", "categorical_crossentropy_1/mean")
    page.keyboard.press("ArrowLeft")
    assert here(page) == "categorical_crossentropy_1/negative"


# --- what can be saved ------------------------------------------------------------------------------------------


def saved(page: Page, name: str, tmp_path: Path) -> Path:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=name, exact=True).click()
    path = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


@pytest.mark.parametrize("name", ["dense_2/matmul", "labels", "categorical_crossentropy_1/mean"])
def test_a_value_is_saved_to_the_bit(name: str, opened: Opened, tmp_path: Path) -> None:
    page = opened("step")
    go(page, name)
    value = runs.step()[name].value
    array = np.load(saved(page, ".npy", tmp_path))
    assert (array.dtype, array.shape) == (value.dtype, value.shape)
    np.testing.assert_array_equal(array, value)
    table = np.loadtxt(saved(page, ".csv", tmp_path), delimiter=",", dtype=value.dtype)
    np.testing.assert_array_equal(table.reshape(value.shape), value)


def test_the_picture_is_saved_as_one_sees_it(opened: Opened, tmp_path: Path) -> None:
    page = opened("step", theme="dark")
    page.get_by_label("What is laid over the diagram").select_option("values")
    path = saved(page, "SVG", tmp_path)
    root = ET.parse(path).getroot()
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "Softmax" in texts
    assert f"{runs.step()['loss'].value:.4g}" in texts
    assert "script" not in path.read_text(encoding="utf-8")
    assert len(root.findall(".//{http://www.w3.org/2000/svg}g")) >= len(boxes(page, "box"))
    strokes = set(re.findall(r"stroke: ([^;]+);", path.read_text(encoding="utf-8")))
    assert "rgb(124, 176, 255)" in strokes  # the ancestors, in the dark


def test_the_picture_is_saved_as_png_with_its_colours(opened: Opened, tmp_path: Path) -> None:
    page = opened("step")
    unfold(page)
    page.keyboard.press("End")
    page.get_by_role("button", name="Fit").click()
    page.evaluate("window.sizes = [picture.svg.getAttribute('class'), picture.svg.getAttribute('style')].join()")
    png = saved(page, "PNG", tmp_path).read_bytes()
    assert png.startswith(b"\x89PNG")
    size = [int.from_bytes(png[at : at + 4]) for at in (16, 20)]
    assert size == page.evaluate("[picture.width, picture.height].map((each) => Math.ceil(2 * each))")
    # What one sees is as it was before.
    assert page.evaluate("sizes === [picture.svg.getAttribute('class'), picture.svg.getAttribute('style')].join()")
    found = page.evaluate(
        """() => {
          const canvas = inFull(pictureCanvas), { width } = canvas;
          const { data: pixels } = canvas.getContext("2d").getImageData(0, 0, width, canvas.height);
          const at = (x, y) => 4 * (Math.round(2 * y) * width + Math.round(2 * x));
          const seen = (x, y) => [...pixels.subarray(at(x, y)).subarray(0, 3)];
          // Updates have a double border.
          const plain = ({ places: [place], group }) => nodes.phase[place] < 2 && !group.matches(".now");
          return picture.boxes.filter(plain).filter((box) => partsOf(box).form?.tagName === "rect").map((box) => {
            const [x, y, wide] = extentOf(box), [left, top] = picture.moved;
            const inside = seen(left + x + wide / 2, top + y + 3.5);
            return [`rgb(${inside.join(", ")})`, getComputedStyle(partsOf(box).form).fill];
          });
        }"""
    )
    assert len({fill for _, fill in found}) > 1
    assert [each for each in found if each[0] != each[1]] == []


# --- text -------------------------------------------------------------------------------------------------------


SMALL_TEXTS = """() => {
  const written = (each) => [...each.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
  const size = (each) => parseFloat(getComputedStyle(each).fontSize) * (each.closest("svg") ? picture.scale : 1);
  return [...document.querySelectorAll("body *")]
    .filter((each) => !["SCRIPT", "OPTION", "title"].includes(each.tagName))
    .filter((each) => written(each) && each.getClientRects().length && size(each) < 10.95)
    .map((each) => [each.textContent, size(each)]);
}"""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["step", "film", "hidden_nan", "what_if", "nested"])
def test_no_text_is_smaller_than_11_pixels(name: str, size: str, opened: Opened) -> None:
    page = opened(name, size=size)
    page.get_by_role("button", name="Help").click()
    small = page.evaluate(SMALL_TEXTS)
    assert small == []
    fonts = page.evaluate("""[...document.scripts].at(-1).textContent.match(/font = "[^"]*?[0-9]+px/g)""")
    assert fonts
    assert all(int(re.findall("[0-9]+", font)[-1]) >= 11 for font in fonts)
