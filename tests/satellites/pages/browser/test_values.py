"""Values of many axes, of many rows, of one number; and what their colours mean."""

import re
from collections.abc import Callable

import numpy as np
import pytest
import runs
from playwright.sync_api import Page, expect
from pointing import equation, go, here, place_of, settled

Opened = Callable[..., Page]
WEIGHTS = "attention/softmax_1/divide"


def pick(page: Page, axis: str, at: str) -> None:
    """Choose the place along an axis of the result; "": all of them."""
    page.locator("#values figure").last.get_by_role("spinbutton", name=axis).fill(at)
    page.keyboard.press("Enter")


def tables(page: Page, name: str) -> list[list[list[float]]]:
    """Return the numbers of each table of a value, row by row."""
    found: list[list[list[float]]] = page.evaluate(
        """(place) => heatmaps.filter((heat) => heat.place === place && !heat.besides).map((heat) => {
             const number = (r, c) => heat.value.number(heat.cellAt(r, c));
             return heat.rows.map((_, r) => heat.columns.map((_, c) => number(r, c)));
           })""",
        place_of(page, name),
    )
    return found


def test_values_of_four_axes_are_tables_side_by_side(opened: Opened) -> None:
    page = opened("attention")
    value = runs.attention()[WEIGHTS].value
    go(page, WEIGHTS)
    np.testing.assert_array_equal(tables(page, WEIGHTS), value[0])
    result = page.locator("#values figure").last
    assert result.locator(".more").all_text_contents() == [f"axis 1 = {head}" for head in range(4)]
    assert "batch 3 × 4 × 12 × 12" in (result.locator("figcaption").text_content() or "")
    pick(page, "batch", "2")
    np.testing.assert_array_equal(tables(page, WEIGHTS), value[2])
    # What is chosen along an axis is chosen of all values that have it.
    np.testing.assert_array_equal(
        tables(page, "attention/softmax_1/exp"), runs.attention()["attention/softmax_1/exp"].value[2]
    )
    pick(page, "axis 1", "3")
    np.testing.assert_array_equal(tables(page, WEIGHTS), value[2, 3][None])
    pick(page, "batch", "")
    np.testing.assert_array_equal(tables(page, WEIGHTS), value[:, 3])


def test_of_too_many_tables_some_are_shown_and_the_picker_leads_to_the_others(opened: Opened) -> None:
    page = opened("many_heads")
    go(page, WEIGHTS)
    value = runs.many_heads()[WEIGHTS].value
    np.testing.assert_array_equal(tables(page, WEIGHTS), value[0, :12])
    expect(page.locator("#values figure").last).to_contain_text("12 of 16 side by side")
    pick(page, "axis 1", "15")
    np.testing.assert_array_equal(tables(page, WEIGHTS), value[0, 15][None])


def test_the_table_of_the_element_that_is_asked_for_comes_into_sight(opened: Opened) -> None:
    page = opened("attention")
    value = runs.attention()[WEIGHTS].value
    cell = int(np.ravel_multi_index((1, 2, 3, 4), value.shape))
    page.evaluate("([place, cell]) => go(place, cell)", [place_of(page, WEIGHTS), cell])
    settled(page)
    assert equation(page).startswith(f"{WEIGHTS}[1, 2, 3, 4] = ")
    np.testing.assert_array_equal(tables(page, WEIGHTS), value[1, 2][None])
    page.locator("#values figure").last.get_by_label(re.compile("result.*Arrow keys")).focus()
    page.keyboard.press("ArrowDown")
    settled(page)
    assert equation(page).startswith(f"{WEIGHTS}[1, 2, 4, 4] = ")


def test_the_row_that_is_chosen_is_that_of_the_tables(opened: Opened) -> None:
    page = opened("attention")
    go(page, WEIGHTS)
    page.get_by_label("row of batch").fill("1")
    page.keyboard.press("Enter")
    np.testing.assert_array_equal(tables(page, WEIGHTS), runs.attention()[WEIGHTS].value[1])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_large_map_is_seen_whole(theme: str, opened: Opened) -> None:
    page = opened("long_attention", theme=theme)
    name = here(page)
    heat = page.locator("#values figure").last.locator(".heat")
    assert heat.evaluate("(box) => box.scrollWidth > box.clientWidth")
    page.locator("#values figure").last.get_by_role("button", name="see all of it").click()
    assert heat.evaluate("(box) => box.scrollWidth <= box.clientWidth && box.scrollHeight <= box.clientHeight")
    found = page.evaluate(
        """() => {
          const heat = chosenHeatmap(), { canvas } = heat, scale = canvas.width / canvas.clientWidth;
          const pen = canvas.getContext("2d"), { value } = heat;
          const peak = value.told.peak, [r, c] = heat.find(peak);
          const x = heat.gutter + (c + 0.5) * heat.cellWidth, y = heat.header + (r + 0.5) * heat.cellHeight;
          const seen = [...pen.getImageData(x * scale, y * scale, 1, 1).data.slice(0, 3)];
          return [seen, coloursOf(heat.range)(value.number(peak))];
        }"""
    )
    assert found[0] == pytest.approx(found[1], abs=3)
    size = page.evaluate("[chosenHeatmap().cellWidth, chosenHeatmap().rows.length]")
    assert size[0] < 3
    assert size[1] == runs.long_attention()[name].value.shape[0]
    page.locator("#values figure").last.get_by_role("button", name="with numbers").click()
    assert page.evaluate("chosenHeatmap().cellWidth") > 3


def test_operands_and_result_have_one_scale_unless_one_is_far_larger(opened: Opened) -> None:
    page = opened("step")
    go(page, "dense_2/add")
    ranges = "heatmaps.filter((heat) => !heat.besides).map((heat) => heat.range)"
    values = [runs.step()[name].value for name in ("dense_2/matmul", "dense_2/bias", "dense_2/add")]
    together = [min(value.min() for value in values), max(value.max() for value in values)]
    one = page.get_by_label("one scale of colours")
    if not one.is_checked():
        one.check()
    assert page.evaluate(ranges) == pytest.approx([pytest.approx(together)] * 3)
    page.get_by_label("one scale of colours").uncheck()
    assert page.evaluate(ranges) == [pytest.approx([value.min(), value.max()]) for value in values]
    other = opened("long_attention")
    expect(other.get_by_label("one scale of colours")).not_to_be_checked()


def test_a_number_says_what_it_was_computed_from(opened: Opened) -> None:
    page = opened("step")
    value = runs.step()["categorical_crossentropy_1/negative"].value
    expect(page.locator("#made-of")).to_contain_text("its 60 numbers, negative:")
    expect(page.locator("#made-of")).to_contain_text(f"largest: [{value.argmax()}] = {value.max():.4g}")
    way = page.locator("#way").get_by_role("button").all_text_contents()
    assert way[-3:] == ["pick", "log", "negative"]
    page.locator("#made-of").get_by_role("button").first.click()
    assert here(page) == "categorical_crossentropy_1/negative"
    assert page.evaluate("shown.cell") == value.argmax()
    film = opened("film")
    expect(film.locator("#series")).to_have_attribute("aria-label", re.compile(" over the steps, from "))
