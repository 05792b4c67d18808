"""Every control of the replay page does what it says."""

import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import runs
from playwright.sync_api import Page, expect
from pointing import boxes, click, equation, go, here, hover, lit, place_of, settled, shown_values, spot, unfold, until

import graphnn as gn

Opened = Callable[..., Page]

LOSS = "categorical_crossentropy_1/mean"


IN_SIGHT = """() => {
  const seen = $("diagram").getBoundingClientRect();
  return picture.boxes.every(({ group }) => {
    const { left, right, top, bottom } = group.getBoundingClientRect();
    return left >= seen.left && right <= seen.right && top >= seen.top && bottom <= seen.bottom;
  });
}"""

# --- where it opens ---------------------------------------------------------------------------------------------


def test_it_opens_on_the_loss_with_a_true_sentence(opened: Opened) -> None:
    page = opened("step")
    value = runs.step()[LOSS].value
    expect(page.locator("#opening")).to_have_text(
        f"loss = {value:.4g}; that of guessing among 3 classes is ln 3 = {math.log(3):.4g}."
    )
    assert here(page) == LOSS
    assert page.title() == "spiral — replay"
    ring, mean = page.locator("rect.ring"), page.locator("g.box.now")
    assert ring.bounding_box() is not None
    assert mean.locator("text").first.text_content() == "categorical_crossentropy"
    # The forward pass as layers, all of it in sight, and one line of what to do.
    expect(page.get_by_label("How far the diagram is folded").locator("option:checked")).to_have_text(
        re.compile("^forward layers")
    )
    assert page.evaluate(IN_SIGHT)
    expect(page.locator("#hint")).to_have_text(
        "A run recorded by graphnn. Click a box to see its numbers, and a number to see what made it. "
        "← → go one operation back or on."
    )


def test_it_opens_on_the_first_finding(opened: Opened) -> None:
    page = opened("hidden_nan")
    assert here(page) == "grad/divide"
    assert equation(page) == "grad/divide[2] = nan = 0 / 0"
    expect(page.locator("#about")).to_contain_text("error, zero-over-zero")
    expect(page.locator("#findings")).to_contain_text("error, zero-over-zero: grad/divide")


def test_it_opens_on_what_differs_first(opened: Opened) -> None:
    page = opened("what_if")
    assert here(page) == "dense_1/bias"
    expect(page.locator("#opening")).to_contain_text("operations were recomputed. loss: ")
    assert equation(page) == "a (run): dense_1/bias[0] = 0, a parameter"


def test_a_run_that_was_stopped_shows_where(opened: Opened) -> None:
    page = opened("stopped")
    assert boxes(page, "broke")
    assert "error, overflow" in (page.locator("#about").text_content() or "")
    page.keyboard.press("End")
    assert place_of(page, here(page)) == page.evaluate("runs[0].stopped")
    expect(page.locator("#values")).to_contain_text("It has not run.") if page.evaluate(
        "valueOf(0, shown.place) === null"
    ) else None


# --- along the timeline -----------------------------------------------------------------------------------------


def test_an_arrow_un_computes_the_loss_and_computes_it_again(opened: Opened) -> None:
    page = opened("step")
    unfold(page)
    assert LOSS in boxes(page, "done")
    page.keyboard.press("ArrowLeft")
    assert here(page) == "categorical_crossentropy_1/negative"
    assert LOSS in boxes(page, "wait")
    page.keyboard.press("ArrowRight")
    assert here(page) == LOSS
    assert LOSS in boxes(page, "done")


def test_home_and_end_and_the_buttons_lead_as_far_as_they_say(opened: Opened) -> None:
    page = opened("step")
    count = page.evaluate("nodes.name.length")
    page.keyboard.press("End")
    expect(page.locator("#place")).to_have_text(f"operation {count} of {count}")
    assert not boxes(page, "wait")
    page.keyboard.press("Home")
    expect(page.locator("#place")).to_have_text(f"operation 1 of {count}")
    page.get_by_role("button", name="To the end").click()
    expect(page.locator("#place")).to_have_text(f"operation {count} of {count}")
    page.get_by_role("button", name="To the beginning").click()
    page.get_by_role("button", name="One operation on").click()
    assert here(page) == "dense_1/matmul"  # the first that is computed
    page.get_by_role("button", name="One operation back").click()
    expect(page.locator("#place")).to_have_text(f"operation 1 of {count}")


def test_the_space_bar_plays_and_stops(opened: Opened) -> None:
    page = opened("step")
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    until(page, "shown.place > 5")
    page.keyboard.press("Space")
    expect(page.locator("#play")).to_have_attribute("aria-label", "Play")
    at = page.evaluate("shown.place")
    page.locator("#play").click()
    until(page, f"shown.place !== {at}")
    page.locator("#play").click()


def test_it_plays_to_the_end_and_stops_there(opened: Opened) -> None:
    page = opened("hidden_nan")
    page.keyboard.press("Space")
    expect(page.locator("#play")).to_have_attribute("aria-label", "Play")  # which it is again, when it has stopped
    assert page.evaluate("shown.place") == page.evaluate("nodes.name.length - 1")


def test_the_slider_and_a_click_on_a_tick_lead_there(opened: Opened) -> None:
    page = opened("step")
    slider = page.get_by_role("slider", name="Timeline")
    slider.fill("8")
    assert page.evaluate("shown.place") == 8
    expect(slider).to_have_attribute("aria-valuetext", re.compile(f"^{re.escape(here(page))}, 9 of "))
    box = page.locator("#ticks").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] - 9, box["y"] + 20)
    assert page.evaluate("shown.place") == page.evaluate("nodes.name.length - 1")


TICKS = """() => {
  const canvas = $("ticks"), scale = canvas.width / canvas.clientWidth;
  const { data: pixels, width } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const x = (place) => MARGIN + ((canvas.clientWidth - 2 * MARGIN) * place) / (nodes.name.length - 1);
  const pixel = (across, down) => {
    const at = 4 * (Math.round(down * scale) * width + Math.floor(across * scale));
    return [...pixels.subarray(at, at + 4)];
  };
  return nodes.name.map((_, place) => ({
    place, phase: nodes.phase[place], now: place === shown.place,
    lanes: [0, 1, 2].filter((lane) => pixel(x(place), 18.5 + lane * LANE)[3] > 0),
    left: pixel(x(place) - 2, 40),
  }));
}"""


def test_the_timeline_has_a_band_a_phase_and_a_red_tick_where_something_was_found(opened: Opened) -> None:
    ticks = [tick for tick in opened("step").evaluate(TICKS) if not tick["now"]]
    assert {tick["phase"] for tick in ticks} == {0, 1, 2}
    assert all(tick["lanes"] == [tick["phase"]] for tick in ticks)
    page = opened("hidden_nan")
    red = [t["place"] for t in page.evaluate(TICKS) if t["left"][0] > 150 and t["left"][1] < 80 and t["left"][2] < 80]
    assert red == page.evaluate("runs[0].findings.map(({ place }) => place)")


# --- the diagram ------------------------------------------------------------------------------------------------


def test_a_box_leads_to_its_operation(opened: Opened) -> None:
    page = opened("step")
    unfold(page)
    page.locator("g.box", has=page.locator("title", has_text=re.compile(r"^categorical_crossentropy_1/log\b"))).click()
    assert here(page) == "categorical_crossentropy_1/log"


def test_the_current_box_stays_in_sight(opened: Opened) -> None:
    page = opened("step")
    unfold(page)
    page.keyboard.press("Home")
    frame = page.locator("#diagram").bounding_box()
    assert frame is not None
    for _ in range(page.evaluate("operations.length")):
        page.keyboard.press("ArrowRight")
        box = page.locator("rect.ring").bounding_box()
        assert box is not None
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        assert frame["x"] <= middle[0] <= frame["x"] + frame["width"]
        assert frame["y"] <= middle[1] <= frame["y"] + frame["height"]


def test_it_folds_and_unfolds(opened: Opened) -> None:
    page = opened("step")
    unfold(page)
    view = page.get_by_label("How far the diagram is folded")
    operations = page.evaluate("picture.boxes.length")
    assert view.locator("option").all_text_contents()[0] == f"operations ({operations})"
    view.select_option(index=1)
    assert page.evaluate("picture.boxes.length") < operations
    assert "categorical_crossentropy_1" in boxes(page, "now")
    page.locator("#diagram").focus()
    page.keyboard.press("f")
    expect(view.locator("option:checked")).to_have_text(re.compile("^forward layers"))
    page.keyboard.press("f")
    expect(view.locator("option:checked")).to_have_text("around here")
    page.keyboard.press("f")
    assert page.evaluate("picture.boxes.length") == operations
    page.keyboard.press("f")
    assert page.evaluate("picture.boxes.length") < operations


def test_a_layer_opens_and_closes_among_folded_ones(opened: Opened) -> None:
    page = opened("step")
    folded = page.evaluate("picture.boxes.length")
    page.locator("g.box", has=page.locator("text", has_text=re.compile("^Softmax$"))).first.click()
    assert page.evaluate("picture.boxes.length") > folded
    assert here(page) == "softmax_1/divide"
    assert {"softmax_1/exp", "dense_1", "dense_2"} <= boxes(page, "box")
    page.locator("g.frame text", has_text="softmax_1").first.dispatch_event("click")
    assert page.evaluate("picture.boxes.length") == folded
    page.get_by_role("button", name="Open layer").click()
    assert "softmax_1/exp" in boxes(page, "box")
    page.get_by_role("button", name="Close layer").click()
    assert page.evaluate("picture.boxes.length") == folded
    page.locator("#diagram").focus()
    page.keyboard.press("o")
    assert "softmax_1/exp" in boxes(page, "box")


def test_a_click_opens_one_level_of_layers_in_layers(opened: Opened) -> None:
    page = opened("nested")
    assert boxes(page, "box") >= {"block_1"}
    page.locator("g.box", has=page.locator("text", has_text=re.compile("^Block$"))).first.click()
    assert boxes(page, "box") >= {"block_1/dense_1", "block_1/dense_2", "block_1/add"}
    page.locator("g.box", has=page.locator("title", has_text=re.compile("^block_1/dense_1"))).first.click()
    assert boxes(page, "box") >= {"block_1/dense_1/matmul", "block_1/dense_2"}
    page.locator("g.frame text", has_text="dense_1").first.dispatch_event("click")
    assert boxes(page, "box") >= {"block_1/dense_1", "block_1/dense_2"}
    page.locator("g.frame text", has_text="block_1").first.dispatch_event("click")
    assert boxes(page, "box") >= {"block_1"}


def test_calls_of_one_layer_are_one_box_that_knows_how_many_have_run(opened: Opened) -> None:
    page = opened("recurrent")
    unfold(page, "layers")
    cell = page.locator("g.box", has=page.locator("title", has_text=re.compile("^cell_1[^_]")))
    expect(cell).to_have_count(1)
    expect(cell).to_contain_text("Cell ×6")
    page.evaluate("runTo(nodes.name.indexOf('cell_1_4/recurrent/matmul'))")
    expect(cell).to_have_class(re.compile(r"\bpart\b.*\bnow\b"))
    expect(page.locator("#about")).to_contain_text("call 4 of 6")
    page.get_by_role("button", name="The same in the next call").click()
    assert here(page) == "cell_1_5/recurrent/matmul"
    expect(page.locator("#about")).to_contain_text("pending at this time")
    expect(cell).to_have_class(re.compile(r"\bpart\b.*\bnow\b"))  # the time has stayed where it was
    page.get_by_role("button", name="The same in the next call").click()
    expect(page.get_by_role("button", name="The same in the next call")).to_be_disabled()
    assert page.locator("g:is(.lit, .way):not(.box)").count() > 0  # edges, though their tooltips name the first call
    page.get_by_label("How far the diagram is folded").select_option(label="innermost layers (18)")
    expect(page.locator("g.frame text", has_text="cell_1 ×6").first).to_be_visible()
    assert boxes(page, "box") >= {"cell_1/input", "cell_1/recurrent"}
    assert boxes(page, "now") == {"cell_1/recurrent"}
    page.evaluate("runTo(nodes.name.indexOf('cell_1_2/tanh'))")
    inner = page.locator("g.box", has=page.locator("title", has_text=re.compile("^cell_1/recurrent")))
    inner.click()
    assert here(page) == "cell_1_2/recurrent/add"  # of the last call that has run
    assert boxes(page, "box") >= {"cell_1/recurrent/matmul", "cell_1/input"}  # it is open, all else as it was
    page.get_by_role("button", name="Close layer").click()
    assert boxes(page, "now") == {"cell_1/recurrent"}
    page.locator("g.frame text", has_text="cell_1 ×6").first.dispatch_event("click")
    expect(page.get_by_label("How far the diagram is folded").locator("option:checked")).to_have_text(
        re.compile("^forward layers")
    )


def test_of_what_the_picture_does_not_show_another_one_is_shown(opened: Opened) -> None:
    page = opened("step")
    page.keyboard.press("End")
    expect(page.get_by_label("How far the diagram is folded").locator("option:checked")).to_have_text(
        re.compile("^layers")
    )
    assert boxes(page, "now")


def test_what_is_looked_at_does_not_move_the_time(opened: Opened) -> None:
    page = opened("step")
    time = page.locator("#place").text_content()
    page.locator("g.box", has=page.locator("text", has_text=re.compile("^relu$"))).first.click()
    go(page, "dense_2/matmul")
    page.keyboard.press("t")
    assert page.evaluate("nodes.phase[shown.place]") == 1
    assert page.locator("#place").text_content() == time
    expect(page.locator("#about")).to_contain_text("pending at this time")
    page.get_by_role("button", name="Run to here").click()
    assert page.evaluate("shown.time === shown.place")
    expect(page.locator("#about")).not_to_contain_text("pending")
    page.keyboard.press("t")
    page.keyboard.press("h")
    assert here(page) == "dense_2/matmul"
    assert page.evaluate("shown.time === shown.place")


def test_current_ancestors_and_pending_differ_by_outline_and_colour(opened: Opened) -> None:
    for theme in ("light", "dark"):
        page = opened("step", theme=theme)
        unfold(page)
        page.evaluate("runTo(nodes.name.indexOf('dense_2/matmul'))")
        settled(page)
        seen = page.evaluate(
            """() => ["way", "lit", "wait", "done"].map((state) => {
                 const box = document.querySelector(`g.box.${state}:not(.now)`);
                 const form = box.querySelector("rect, path, ellipse");
                 const { stroke, strokeDasharray, strokeWidth } = getComputedStyle(form);
                 return [stroke, strokeDasharray, strokeWidth];
               })"""
        )
        way, direct, pending, _ = seen
        ring = page.evaluate("getComputedStyle(picture.ring).stroke")
        assert way[0] == direct[0]
        assert float(direct[2].rstrip("px")) > float(way[2].rstrip("px"))
        assert len({way[0], pending[0], ring}) == 3
        assert pending[1] != "none"
        assert page.locator(".legend .k:visible").all_text_contents() == ["current", "its ancestors", "done", "pending"]


def test_of_a_graph_of_any_size_what_is_near_can_be_seen(opened: Opened) -> None:
    page = opened("step")
    graph = runs.step().graph
    page.get_by_label("How far the diagram is folded").select_option("around here")
    for name in (LOSS, "dense_2/matmul", "x"):
        go(page, name)
        near = {name}
        for way in ("inputs", "users"):
            one = set(getattr(graph[name], way))
            near |= {node.name for node in one} | {other.name for node in one for other in getattr(node, way)}
        ran = set(page.evaluate("nodes.name"))
        assert boxes(page, "box") == near & ran
        assert boxes(page, "now") == {name}
    hover(page, "x", (0, 0))
    go(page, "dense_1/add")
    assert boxes(page, "lit") == {"dense_1/matmul", "dense_1/bias"}
    page.locator("g.box", has=page.locator("title", has_text="dense_1/weight")).first.click()
    assert here(page) == "dense_1/weight"
    page.get_by_label("What is laid over the diagram").select_option("memory")
    assert "of values" in (page.locator("#overlay-legend").text_content() or "")


def test_it_zooms_and_moves_and_fits(opened: Opened) -> None:
    page = opened("step")
    scale = page.evaluate("picture.scale")
    page.get_by_role("button", name="Larger").click()
    assert page.evaluate("picture.scale") > scale
    page.get_by_role("button", name="Smaller").click()
    assert page.evaluate("picture.scale") == pytest.approx(scale)
    frame = page.locator("#diagram").bounding_box()
    assert frame is not None
    page.mouse.move(frame["x"] + 60, frame["y"] + 60)
    under = "() => [picture.x + 60 / picture.scale, picture.y + 60 / picture.scale]"
    before = page.evaluate(under)
    page.mouse.wheel(0, -100)
    until(page, f"picture.scale > {scale}")
    assert page.evaluate(under) == pytest.approx(before, abs=1)  # what is under the pointer stays there
    x, y, scale = page.evaluate("[picture.x, picture.y, picture.scale]")
    page.mouse.down()
    page.mouse.move(frame["x"] + 110, frame["y"] + 90)
    page.mouse.up()
    assert page.evaluate("[picture.x, picture.y]") == pytest.approx([x - 50 / scale, y - 30 / scale])
    page.get_by_role("button", name="Fit").click()
    outer = page.evaluate("[picture.width * picture.scale, picture.height * picture.scale]")
    assert outer[0] <= frame["width"] + 1
    assert outer[1] <= frame["height"] + 1
    page.locator("#diagram").focus()
    left = page.evaluate("picture.x")
    page.keyboard.press("Shift+ArrowRight")
    assert page.evaluate("picture.x") > left
    page.keyboard.press("+")
    assert page.evaluate("picture.scale") > 0


def test_the_search_finds_nodes_by_name_and_operation(opened: Opened) -> None:
    page = opened("step")
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("softmax_1/exp")
    found = page.get_by_role("list", name="Nodes found").get_by_role("button")
    assert "softmax_1/exp" in found.all_text_contents()
    page.keyboard.press("Enter")
    assert here(page) == "softmax_1/exp"
    expect(page.locator("#matches")).to_be_hidden()
    page.keyboard.press("ArrowLeft")  # the search has let go of the keyboard
    assert here(page) == "categorical_crossentropy_1/negative"
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    expect(page.locator("#search")).not_to_be_focused()
    page.keyboard.press("ArrowRight")
    assert here(page) == LOSS
    page.keyboard.press("/")
    page.keyboard.type("softmax_1")
    for key in ("ArrowDown", "ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
    chosen = found.first.text_content()
    page.keyboard.press("Enter")
    assert here(page) == chosen
    page.fill("#search", "log")
    found.first.click()
    assert page.evaluate("nodes.op[shown.place]") == "log"
    page.fill("#search", "no such node")
    expect(page.locator("#matches")).to_have_text("No node is called that.")
    page.keyboard.press("Escape")
    expect(page.locator("#matches")).to_be_hidden()


# --- the operation ----------------------------------------------------------------------------------------------


def test_operands_and_result_stand_there_with_their_numbers(opened: Opened) -> None:
    page = opened("step")
    trace = runs.step()
    go(page, "dense_2/matmul")
    for name in ("dense_2/weight", "dense_2/matmul"):
        value = trace[name].value
        assert [float(text) for text in shown_values(page, name)] == pytest.approx(value.reshape(-1), rel=1e-3)
    captions = page.locator("#values figcaption").all_text_contents()
    assert captions == [
        "relu_1 operand 0 · batch 60 × 6 float64",
        "weight operand 1 · 6 × 3 float64",
        "matmul result · batch 60 × 3 float64",
    ]


def test_statistics_and_histogram_are_those_of_the_value(opened: Opened) -> None:
    page = opened("step")
    go(page, "dense_2/matmul")
    value = runs.step()["dense_2/matmul"].value
    told = dict(
        zip(page.locator(".stats dt").all_text_contents(), page.locator(".stats dd").all_text_contents(), strict=True)
    )
    expected = {"min": value.min(), "max": value.max(), "mean": value.mean(), "std": value.std()}
    assert {key: float(told[key]) for key in expected} == pytest.approx(expected, rel=1e-3)
    assert told["zeros"] == str(np.count_nonzero(value == 0))
    label = page.locator(".histogram").get_attribute("aria-label") or ""
    counts = [int(n) for n in label.rpartition(": ")[2].split(", ")]
    assert counts == np.histogram(value, bins=24)[0].tolist()


def test_it_names_the_largest_element_and_the_largest_row(opened: Opened) -> None:
    page = opened("step")
    trace = runs.step()
    gradient = page.evaluate("nodes.name[nodes.gradient[nodes.name.indexOf('dense_2/matmul')]]")
    go(page, gradient)
    value = trace[gradient].value
    norms = np.linalg.norm(value, axis=1)
    peak = [int(i) for i in np.unravel_index(abs(value).argmax(), value.shape)]
    text = page.locator("#details .largest").text_content() or ""
    said = "largest" if value[tuple(peak)] > 0 else "largest magnitude"
    assert f"{said}: [{peak[0]}, {peak[1]}] = " in text
    assert f"largest row: {norms.argmax()}, norm {norms.max():.4g}" in text
    page.locator("#details .largest").get_by_role("button").first.click()
    settled(page)
    assert equation(page).startswith(f"{gradient}[{peak[0]}, {peak[1]}] = ")


def test_pointing_at_a_number_tells_its_equation_and_lights_up_what_it_read(opened: Opened) -> None:
    page = opened("step")
    unfold(page)
    go(page, "softmax_1/divide")
    hover(page, "softmax_1/divide", (17, 2))
    trace = runs.step()
    assert equation(page) == trace.why("softmax_1/divide", (17, 2)).equation
    assert lit(page) == {"softmax_1/exp": [17 * 3 + 2], "softmax_1/sum": [17]}
    assert boxes(page, "lit") == {"softmax_1/exp", "softmax_1/sum"}
    # And the way by which it came: all that the node was made of.
    graph = trace.graph
    way = {node.name for node in gn.schedule(graph["softmax_1/divide"])} - {"softmax_1/divide"}
    assert boxes(page, "way") | boxes(page, "lit") == way
    assert page.locator("#diagram g.lit:not(.box)").count() == 2  # the two edges
    page.mouse.move(5, 5)
    settled(page)
    assert equation(page) == trace.why("softmax_1/divide", (0, 0)).equation


def test_clicks_lead_from_the_loss_down_to_what_was_fed(opened: Opened) -> None:
    page = opened("step")
    click(page, "categorical_crossentropy_1/negative", (17,))
    assert here(page) == "categorical_crossentropy_1/negative"
    click(page, "categorical_crossentropy_1/log", (17,))
    click(page, "categorical_crossentropy_1/pick", (17,))
    label = int(runs.step()["labels"].value[17])
    assert [len(cells) for cells in lit(page).values()] == [1, 1]
    click(page, "categorical_crossentropy_1/clip", (17, label))
    click(page, "softmax_1/divide", (17, label))
    click(page, "softmax_1/exp", (17, label))
    for name in ("softmax_1/subtract", "dense_2/add", "dense_2/matmul"):
        click(page, name, (17, label))
        assert here(page) == name
    assert lit(page)["dense_2/weight"] == [label, 3 + label, 6 + label, 9 + label, 12 + label, 15 + label]
    click(page, "relu_1", (17, 4))
    click(page, "dense_1/add", (17, 4))
    click(page, "dense_1/matmul", (17, 4))
    click(page, "x", (17, 1))
    assert equation(page) == runs.step().why("x", (17, 1)).equation
    for _ in range(11):
        page.keyboard.press("Backspace")
    assert here(page) == "categorical_crossentropy_1/log"


def test_what_was_read_is_a_link_too(opened: Opened) -> None:
    page = opened("step")
    go(page, "softmax_1/divide")
    page.get_by_role("list", name="What it read").get_by_role("button").nth(1).click()
    assert here(page) == "softmax_1/sum"
    page.locator("#values").get_by_role("button", name="exp").click()
    assert here(page) == "softmax_1/exp"


def test_a_click_on_the_result_chooses_an_element(opened: Opened) -> None:
    page = opened("step")
    go(page, "softmax_1/divide")
    click(page, "softmax_1/divide", (3, 1))
    page.mouse.move(5, 5)
    settled(page)
    assert here(page) == "softmax_1/divide"
    assert equation(page).startswith("softmax_1/divide[3, 1] = ")
    assert "[3, 1] = " in (page.locator("#gradient").text_content() or "")


def test_t_leads_to_the_gradient_of_the_same_element_and_back(opened: Opened) -> None:
    page = opened("step")
    go(page, "dense_2/matmul")
    click(page, "dense_2/matmul", (17, 2))
    expect(page.locator("#gradient")).to_contain_text("∂loss/∂dense_2/matmul")
    page.keyboard.press("t")
    there = here(page)
    assert page.evaluate("nodes.phase[shown.place]") == 1
    page.mouse.move(5, 5)
    settled(page)
    assert equation(page).startswith(f"{there}[17, 2] = ")
    # ∂loss/∂logits of a softmax with cross-entropy: (p − y) / n.
    trace = runs.step()
    p, y = trace["softmax_1/divide"].value[17, 2], float(trace["labels"].value[17] == 2)
    assert trace[there].value[17, 2] == pytest.approx((p - y) / 60)
    page.keyboard.press("t")
    assert here(page) == "dense_2/matmul"
    assert page.evaluate("shown.cell") == 17 * 3 + 2
    page.locator("#twin").click()
    assert here(page) == there


def test_a_chosen_row_stays_chosen_everywhere(opened: Opened) -> None:
    page = opened("step")
    trace = runs.step()
    page.get_by_label("row of batch").fill("17")
    page.keyboard.press("Enter")
    page.locator("h1").click()
    assert [float(text) for text in shown_values(page, "categorical_crossentropy_1/negative")] == pytest.approx(
        [trace["categorical_crossentropy_1/negative"].value[17]], rel=1e-3
    )
    page.keyboard.press("Home")
    for _ in range(page.evaluate("operations.length")):
        page.keyboard.press("ArrowRight")
        rows = page.evaluate(
            """() => heatmaps.filter((heat) => batchAxis(heat.place) === 0).map((heat) => heat.labels)"""
        )
        assert all(labels == ["17"] for labels in rows)
    go(page, "dense_1/add")
    assert equation(page) == trace.why("dense_1/add", (17, 0)).equation
    page.locator("h1").click()
    page.keyboard.press("r")
    assert page.evaluate("shown.row") is None
    assert len(shown_values(page, "dense_1/add")) == 60 * 6
    page.keyboard.press("r")
    assert page.get_by_label("row of batch").input_value() == "17"


def test_n_leads_to_the_next_finding_and_the_list_to_each(opened: Opened) -> None:
    page = opened("stopped")
    found = page.evaluate("runs[0].findings.map(({ place }) => nodes.name[place])")
    page.keyboard.press("Home")
    page.keyboard.press("n")
    assert here(page) in found
    page.keyboard.press("Home")
    page.locator("#findings").get_by_role("button").last.click()
    assert here(page) == found[-1]


def test_of_large_values_a_part_is_shown_and_said_to_be_one(opened: Opened) -> None:
    page = opened("large")
    go(page, "exp")
    text = page.locator("#values").text_content() or ""
    assert len(re.findall(r"preview: \d[\d,]* of 1,400,000", text)) == 2
    row, column = page.evaluate("heatmaps[0].value.axes.map((kept) => kept[3])")
    hover(page, "exp", (row, column))
    assert equation(page) == runs.large().why("exp", (row, column)).equation
    page.keyboard.press("h")
    page.keyboard.press("ArrowRight")
    assert equation(page) == runs.large().why("sum").equation
    kept = page.evaluate("heatmaps[0].value.axes[0]")
    missing = next(i for i in range(2000) if i not in kept)
    page.evaluate("(cell) => go(nodes.name.indexOf('exp'), cell)", missing * 700)
    expect(page.locator("#equation")).to_have_text("This element is not kept.")
    page.get_by_label("row of batch").fill(str(missing))
    page.keyboard.press("Enter")
    expect(page.locator("#values")).to_contain_text(f"Row {missing} is not kept of it.")


# --- beside it --------------------------------------------------------------------------------------------------


def test_the_source_stands_there_with_its_line_marked(opened: Opened) -> None:
    page = opened("hidden_nan")
    go(page, "log")
    line = page.locator("#source .line.here")
    assert "gn.where(x > 0, gn.log(x * w), 0.0)" in (line.text_content() or "")
    expect(page.locator("#source")).to_contain_text('g = gn.Graph("hidden")')
    assert re.search(r"46 \n", page.locator("#source").text_content() or "")  # what is empty is empty
    expect(page.locator("#source")).to_contain_text("runs.py:")


def test_the_overlays_tell_what_the_trace_knows(opened: Opened) -> None:
    page = opened("step")
    unfold(page)
    trace = runs.step()
    times = dict(page.evaluate("nodes.name.map((name, place) => [name, runs[0].times[place] / 1e9])"))
    choose = page.get_by_label("What is laid over the diagram")
    before = page.evaluate("picture.svg.outerHTML")

    def written(name: str) -> str:
        texts: list[str] = page.evaluate(
            """(name) => [...picture.boxes[picture.boxOf.get(nodes.name.indexOf(name))].group.querySelectorAll("text")]
                 .map((text) => text.textContent)""",
            name,
        )
        return texts[1]

    def legend() -> str:
        return page.locator("#overlay-legend").text_content() or ""

    choose.select_option("values")
    assert written(LOSS) == f"{trace[LOSS].value:.4g}"
    # The legend says that it is a mean; where there is room, so does the box.
    assert written("dense_1/matmul") == f"{trace['dense_1/matmul'].value.mean():.3g}"
    assert written("dense_1/bias") == f"mean {trace['dense_1/bias'].value.mean():.3g}"
    choose.select_option("gradients")
    gradient = page.evaluate("nodes.name[nodes.gradient[nodes.name.indexOf('dense_1/weight')]]")
    assert written("dense_1/weight") == f"{np.linalg.norm(trace[gradient].value):.3g}"
    choose.select_option("memory")
    assert written("relu_1") == f"{60 * 6 * 8 / 1024:.3g} KiB"
    total = sum(record.bytes for record in trace if not isinstance(record.op, gn.core.Constant))
    assert legend().startswith(f"memory {total / 1024:.3g} KiB of values; the most, ")
    choose.select_option("time")
    most = max(times, key=lambda name: times[name] if trace.graph[name].inputs else 0.0)
    assert most in legend()
    page.locator("#overlay-legend").get_by_role("button").click()
    assert here(page) == most
    choose.select_option("health")
    assert "findings in this run: 0" in legend()
    choose.select_option("")
    expect(page.locator("#overlay-legend")).to_be_hidden()
    go(page, LOSS)
    strip = re.compile(r' (style|dy)="[^"]*"| ?class="[^"]*"|<rect class="ring.*?</rect>|<rect [^>]*ring[^>]*/?>')
    assert strip.sub("", page.evaluate("picture.svg.outerHTML")) == strip.sub("", before)
    page.locator("h1").click()
    page.keyboard.press("v")
    expect(choose).to_have_value("values")


def test_folded_boxes_have_the_sum_of_the_times_in_them(opened: Opened) -> None:
    page = opened("step")
    unfold(page, "layers")
    page.get_by_label("What is laid over the diagram").select_option("time")
    inside = page.evaluate(
        """() => nodes.name.map((name, place) => [name, runs[0].times[place], nodes.kind[place]])
             .filter(([name, , kind]) => name.startsWith("dense_1/") && !kind)
             .reduce((sum, [, time]) => sum + time, 0)"""
    )
    text = page.locator("g.box", has=page.locator("title", has_text=re.compile("^dense_1"))).first.text_content() or ""
    said = re.search(r"([\d.]+) (s|ms|µs)$", text)
    assert said
    assert float(said[1]) * {"s": 1e9, "ms": 1e6, "µs": 1e3}[said[2]] == pytest.approx(inside, rel=5e-3)


def test_what_an_overlay_fills_is_not_covered(opened: Opened) -> None:
    page = opened("step")
    unfold(page)
    page.get_by_label("What is laid over the diagram").select_option("time")
    fills = page.evaluate(
        """picture.boxes.filter((box) => box.group.querySelectorAll("rect").length > 1)
             .map((box) => [...box.group.querySelectorAll("rect")].map((rect) => getComputedStyle(rect).fill))"""
    )
    assert fills  # updates have a double border
    assert all(inner == "none" != outer for outer, inner in fills)


def test_a_number_that_is_wider_than_its_box_can_be_read_beside_it(opened: Opened) -> None:
    page = opened("step")
    unfold(page)
    outlines = """([text, row]) => {
        const box = picture.boxes[picture.boxOf.get(nodes.name.indexOf("relu_1"))];
        dress(box, { text, number: 1 }, row);
        const style = getComputedStyle(box.group.querySelectorAll("text")[1]);
        return [style.stroke, style.paintOrder];
    }"""
    assert page.evaluate(outlines, ["1.234567890123456789e-05", [120, 20, 10]]) == ["rgb(120, 20, 10)", "stroke"]
    assert page.evaluate(outlines, ["1", [120, 20, 10]])[0] == "none"


def test_what_was_found_is_marked_in_the_diagram(opened: Opened) -> None:
    page = opened("hidden_nan")
    assert boxes(page, "bad") == {"grad/divide"}
    page.get_by_label("What is laid over the diagram").select_option("health")
    assert boxes(page, "bad") == {"grad/divide"}
    page.keyboard.press("Home")
    assert boxes(page, "bad") == {"grad/divide"}


def test_light_and_dark(opened: Opened) -> None:
    page = opened("step", theme="dark")
    ground = "() => getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_role("button", name="Light").click()
    assert page.evaluate(ground) != dark
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate(ground) == dark
    page.emulate_media(color_scheme="light")
    until(page, "document.documentElement.dataset.theme === 'light'")


def test_the_keys_are_told(opened: Opened) -> None:
    page = opened("step")
    button = page.get_by_role("button", name="Help")
    expect(button).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("?")
    expect(page.get_by_role("region", name="Help")).to_be_visible()
    expect(button).to_have_attribute("aria-expanded", "true")
    told = set(page.locator("#help kbd").all_text_contents())
    assert {"t", "n", "r", "f", "o", "v", "/"} <= told
    assert "[" not in page.locator("#help").inner_text()  # there are no steps here
    button.click()
    expect(page.get_by_role("region", name="Help")).to_be_hidden()


# --- several runs -----------------------------------------------------------------------------------------------


def test_the_second_slider_leads_through_the_steps(opened: Opened) -> None:
    page = opened("film")
    film = runs.film()
    slider = page.locator("#step")
    go(page, "dense_1/weight")
    seen = []
    for run in (0, 3, 5):
        slider.fill(str(run))
        values = film[run]["dense_1/weight"].value
        assert [float(text) for text in shown_values(page, "dense_1/weight")] == pytest.approx(
            values.reshape(-1), rel=1e-3
        )
        expect(page.locator("#step-name")).to_have_text(
            f"recorded step {run + 1} of 6: call {film.calls[run]}, loss = {float(film[run]['loss'].value):.4g}"
        )
        seen.append(page.evaluate("$('boundary').firstChild.toDataURL()"))
    assert len(set(seen)) == 3
    gradient = page.evaluate("nodes.gradient[shown.place]")
    assert page.evaluate("([run, place]) => valueOf(run, place).number(0)", [5, gradient]) == pytest.approx(
        film[5].records[gradient].value.flat[0]
    )
    first, last = (float(film[run]["dense_1/weight"].value[0, 0]) for run in (0, 5))
    assert f"from {first:.4g} to {last:.4g}" in (page.locator("#series").get_attribute("aria-label") or "")


def test_the_steps_play_and_have_keys(opened: Opened) -> None:
    page = opened("film")
    page.keyboard.press("]")
    assert page.evaluate("shown.run") == 1
    page.keyboard.press("[")
    assert page.evaluate("shown.run") == 0
    page.keyboard.press("p")
    expect(page.locator("#play-steps")).to_have_attribute("aria-label", "Play the steps")  # when it is at the end
    assert page.evaluate("shown.run") == 5
    page.get_by_role("button", name="Play the steps").click()
    until(page, "shown.run > 0 && shown.run < 5")
    page.get_by_role("button", name="Stop").click()


def test_of_a_gradient_the_panel_beside_it_shows_the_value_and_says_so(opened: Opened) -> None:
    page = opened("step")
    go(page, "dense_2/matmul")
    expect(page.locator("#gradient-title")).to_have_text("Gradient")
    page.keyboard.press("t")
    expect(page.locator("#gradient-title")).to_have_text("The value it is the gradient of")


@pytest.mark.parametrize("name", ["hidden_nan", "step", "what_if"])
def test_it_opens_with_the_current_node_and_what_it_reads_in_sight(name: str, opened: Opened) -> None:
    page = opened(name)
    assert page.evaluate("""() => {
        const seen = $("diagram").getBoundingClientRect();
        const places = [shown.place, ...nodes.inputs[shown.place]];
        const boxes = places.map((place) => picture.boxes[picture.boxOf.get(place)]).filter(Boolean);
        return boxes.length > 0 && boxes.every(({ group }) => {
            const { left, right, top, bottom } = group.getBoundingClientRect();
            return left >= seen.left && right <= seen.right && top >= seen.top && bottom <= seen.bottom;
        });
    }""")


def test_the_legend_says_what_a_red_outline_means_while_there_is_one(opened: Opened) -> None:
    expect(opened("step").locator("#bad-key")).to_be_hidden()
    expect(opened("hidden_nan").locator("#bad-key")).to_have_text("finding")
    expect(opened("stopped").locator("#bad-key")).to_have_text("stopped here, finding")


def test_a_table_says_how_much_of_it_one_sees(opened: Opened) -> None:
    page = opened("step")
    go(page, "dense_2/matmul")
    found = [
        re.match(r"(\d+) of (\d+) rows in sight", part) for part in page.locator("#values .more").all_text_contents()
    ]
    rows = [(int(each[1]), int(each[2])) for each in found if each]
    assert 60 in {all_of_them for _, all_of_them in rows}
    assert all(0 < seen < all_of_them for seen, all_of_them in rows)


def test_three_runs_stand_side_by_side(opened: Opened) -> None:
    page = opened("three")
    expect(page.locator("#same-key")).to_have_text("the same in a and b")
    go(page, "relu_1")
    captions = page.locator("#values figcaption").all_text_contents()
    results = [text for text in captions if "result" in text or "difference" in text]
    assert [re.sub(r" · .*", "", text) for text in results] == [
        "relu_1 result, a (corrupted)",
        "relu_1 result, b (patched)",
        "relu_1 result, c (clean)",
        "difference b − a",
    ]
    lines = page.locator("#equation .equation").all_text_contents()
    assert [line[:3] for line in lines] == ["a (", "b (", "c ("]
    assert lines[1].endswith("by a reshape in b (patched)")
    value = [re.search(r"= (\S+?),? ", line + " ")[1] for line in lines]  # type: ignore[index]
    assert value[1] == value[2]
    go(page, "dense_2/matmul")
    captions = page.locator("#values figcaption").all_text_contents()
    assert "c (clean)" in " ".join(captions)


def test_two_runs_stand_side_by_side_and_what_was_not_recomputed_is_grey(opened: Opened) -> None:
    page = opened("what_if")
    unfold(page)
    dbg = runs.what_if()
    depends = {node.name for node in dbg.order} & set(_later(dbg.graph, "dense_1/bias"))
    assert boxes(page, "same") == {node.name for node in dbg.order} - depends - {"dense_1/bias"}
    expect(page.locator("#same-key")).to_have_text("not recomputed")
    go(page, "dense_1/add")
    captions = page.locator("#values figcaption").all_text_contents()
    assert [re.sub(r" · .*", "", text) for text in captions] == [
        "matmul operand 0, the same in both",
        "bias operand 1, a (run)",
        "bias operand 1, b (what-if 1)",
        "add result, a (run)",
        "add result, b (what-if 1)",
        "difference b − a",
    ]
    place = place_of(page, "dense_1/add")
    apart = page.evaluate(
        "(place) => heatmaps.filter((heat) => heat.place === place).map((heat) => heat.value.number(0))",
        place,
    )
    assert apart[2] == pytest.approx(apart[1] - apart[0]) == pytest.approx(1.0)
    # The same difference everywhere is yet one: it is orange, not the grey of none.
    red, _, blue = page.evaluate("coloursOf(heatmaps.find((heat) => heat.derived).range)(1)")
    assert red > 2 * blue
    changes = page.locator("#changes").text_content() or ""
    before, after = dbg.trace("run")["loss"].value, dbg.trace()["loss"].value
    assert f"loss: {before:.4g} → {after:.4g}" in changes
    page.locator("#changes").get_by_role("button").nth(1).click()
    assert here(page) == LOSS
    page.get_by_label("What is laid over the diagram").select_option("difference")
    assert "how far the runs are apart" in (page.locator("#overlay-legend").text_content() or "")


def test_what_was_set_by_hand_is_said_where_it_is_read(opened: Opened, tmp_path: Path) -> None:
    dbg = runs.what_if()
    dbg["x"] = np.ones(dbg["x"].value.shape)
    both, alone = opened(dbg.to_html().save(tmp_path / "both.html")), dbg.trace()
    page = opened(alone.to_html().save(tmp_path / "alone.html"))
    for each, run, why in ((both, 1, dbg.why), (page, 0, alone.why)):
        for name in ("dense_1/add", "dense_1/matmul"):
            place = place_of(each, name)
            told = each.evaluate(
                "([run, place]) => explained(run, place, 0).reads.map(({ text }) => text)", [run, place]
            )
            assert [text.replace("b (what-if 2)", "what-if 2") for text in told] == list(
                map(str, why(name, (0, 0)).reads)
            )
            assert any("set by hand" in text or "set in b (what-if 2)" in text for text in told)


def _later(graph: gn.Graph, name: str) -> list[str]:
    """Return what depends on a node."""
    found, waiting = set(), [graph[name]]
    while waiting:
        for user in waiting.pop().users:
            if user.name not in found:
                found.add(user.name)
                waiting.append(user)
    return sorted(found)


# --- without a mouse --------------------------------------------------------------------------------------------


def test_a_heatmap_works_by_keyboard(opened: Opened) -> None:
    page = opened("step")
    go(page, "softmax_1/divide")
    heat = page.get_by_label(re.compile("^softmax_1/exp, operand 0"))
    heat.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    settled(page)
    assert equation(page) == runs.step().why("softmax_1/exp", (2, 1)).equation
    page.keyboard.press("Enter")
    assert here(page) == "softmax_1/exp"
    assert page.evaluate("shown.cell") == 2 * 3 + 1
    # The focus is not lost: it goes on from there.
    expect(page.get_by_label(re.compile("^softmax_1/exp, result"))).to_be_focused()
    page.keyboard.press("ArrowDown")
    settled(page)
    assert equation(page).startswith("softmax_1/exp[3, 1] = ")


def test_all_controls_have_names_and_can_be_focused(opened: Opened) -> None:
    page = opened("film")
    controls = page.locator("button:visible, input:visible, select:visible, [tabindex='0']:visible")
    names = controls.evaluate_all(
        """(found) => found.map((each) => each.getAttribute("aria-label") || each.textContent.trim()
             || [...(each.labels ?? [])].map((label) => label.textContent).join(" ").trim())"""
    )
    assert all(names)
    page.keyboard.press("Tab")
    focused = set()
    for _ in range(len(names) + 2):
        focused.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
        page.keyboard.press("Tab")
    assert {"row", "theme", "keys", "search", "overlay", "view", "diagram", "step", "position", "play"} <= focused


def test_what_is_said_is_announced(opened: Opened) -> None:
    page = opened("step")
    expect(page.locator("#equation")).to_have_attribute("aria-live", "polite")
    expect(page.get_by_role("status").first).to_contain_text("loss = ")
    for name in ("Diagram", "Source and gradient"):
        assert page.get_by_label(name, exact=True).count() == 1


def test_a_finger_asks_first_and_goes_then(opened: Opened) -> None:
    page = opened("step", size="phone", has_touch=True)
    at = spot(page, place_of(page, "categorical_crossentropy_1/negative"), (3,))
    page.touchscreen.tap(*at)
    settled(page)
    assert equation(page).startswith("categorical_crossentropy_1/negative[3] = ")
    assert here(page) == LOSS
    page.touchscreen.tap(*at)
    settled(page)
    assert here(page) == "categorical_crossentropy_1/negative"
