"""The page that computes, as a user uses it: numbers, training, points, tables, tour, exercise, scripting."""

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_samples import of_an_operation_of_its_own, script
from places import ROOT
from playwright.sync_api import Browser, Page, expect
from runs import spiral

import graphnn as gn
from graphnn import nn

Opened = Callable[..., Page]


def step_of(rate: float = 0.1) -> tuple[gn.Graph, gn.Compiled, dict[Any, Any]]:
    g, loss, feed = spiral()
    return g, gn.compile(loss, updates=nn.SGD(rate, momentum=0.9).updates(loss)), feed


@pytest.fixture
def page(opened: Opened, tmp_path: Path) -> Page:
    _, step, feed = step_of()
    gn.playground(step, feed, tmp_path / "play.html")
    return opened(tmp_path / "play.html")


def number(page: Page, name: str, at: int = 0) -> float:
    found: float = page.evaluate("([name, at]) => graphnn.value(name).then((v) => Number(v.data[at]))", [name, at])
    return found


def look_at(page: Page, name: str) -> None:
    page.fill("#search", name)
    page.press("#search", "Enter")


def test_training_in_the_page_is_that_in_python(page: Page) -> None:
    _, step, feed = step_of()
    losses = [float(step(feed)) for _ in range(30)]
    assert page.evaluate("graphnn.unknown") == []
    np.testing.assert_allclose(page.evaluate("graphnn.train(30)"), losses, rtol=1e-9)
    assert page.evaluate("graphnn.loss()") == pytest.approx(float(step(feed)), rel=1e-9)
    page.evaluate("graphnn.reset()")
    assert page.evaluate("graphnn.loss()") == pytest.approx(losses[0], rel=1e-12)


def test_a_number_that_is_typed_changes_what_depends_on_it_and_can_be_taken_back(page: Page) -> None:
    g, step, feed = step_of()
    look_at(page, "dense_1/weight")
    page.focus("#values .heat")
    page.keyboard.press("ArrowRight")
    page.keyboard.type("2.5")
    page.keyboard.press("Enter")
    changed = g["dense_1/weight"].value.copy()
    changed[0, 1] = 2.5
    before = float(gn.run(step.fetches[0], feed))
    g["dense_1/weight"].value = changed
    assert page.evaluate("graphnn.loss()") == pytest.approx(float(gn.run(step.fetches[0], feed)), rel=1e-12)
    expect(page.locator("#same-key")).to_have_text("not recomputed")
    expect(page.locator("#equation")).to_contain_text("when it was recorded")
    page.click("#undo")
    assert page.evaluate("graphnn.loss()") == pytest.approx(before, rel=1e-12)
    expect(page.locator("#same-key")).to_be_hidden()


def test_a_computed_number_that_is_set_stays_set(page: Page) -> None:
    page.evaluate("graphnn.set('relu_1', [0, 0], 7)")
    assert number(page, "relu_1") == 7
    look_at(page, "relu_1")
    expect(page.locator("#equation")).to_contain_text("relu_1[0, 0] = 7, set here")
    page.evaluate("graphnn.set('dense_1/weight', [0, 0], 3)")
    assert number(page, "relu_1") == 7
    page.click("#reset")
    assert number(page, "relu_1") != 7


def test_a_setting_is_changed(page: Page) -> None:
    look_at(page, "categorical_crossentropy_1/clip")
    box = page.locator("#edit-settings input").first
    box.fill("0.5")
    box.press("Enter")
    assert min(page.evaluate("graphnn.value('categorical_crossentropy_1/clip').then((v) => [...v.data])")) == 0.5


@pytest.mark.parametrize(
    ("typed", "says"),
    [("1e999", "too large"), ("abc", "is not a number"), ("", "type a number"), ("<b>1</b>", "is not a number")],
)
def test_what_is_no_number_is_said(page: Page, typed: str, says: str) -> None:
    look_at(page, "dense_1/weight")
    page.fill("#edit-number", typed)
    page.click("#set")
    expect(page.locator("#edit-says")).to_contain_text(says)
    assert np.isfinite(page.evaluate("graphnn.loss()"))


def test_steps_are_made_and_taken_back(page: Page) -> None:
    first = number(page, "dense_1/weight")
    page.click("#train-step")
    second = number(page, "dense_1/weight")
    page.click("#train-step")
    page.click("#train-back")
    assert number(page, "dense_1/weight") == second
    page.click("#train-back")
    assert number(page, "dense_1/weight") == first
    page.click("#train")
    expect(page.locator("#train-says")).to_contain_text("steps made")
    page.keyboard.press("l")
    expect(page.locator("#train")).to_contain_text("Train")
    page.click("#reset")
    assert number(page, "dense_1/weight") == first


def test_what_a_change_did_is_said_also_after_training(page: Page) -> None:
    page.evaluate("graphnn.train(10)")
    expect(page.locator("#train-says")).to_have_text(re.compile(r"^loss = \d\.\d{3}, 10 steps made$"))
    look_at(page, "dense_1/weight")
    loss, weight = page.evaluate("graphnn.loss()"), number(page, "dense_1/weight")
    page.fill("#edit-number", "2.5")
    page.click("#set")
    says = page.locator("#edit-says")
    expect(says).to_contain_text("nodes were set or computed again")
    expect(says).to_contain_text(f"loss {loss:#.4g} → {page.evaluate('graphnn.loss()'):#.4g}")
    expect(page.locator("#equation")).to_contain_text(f"It was {weight:#.4g} before the change.")
    expect(page.locator("#train-says")).to_contain_text("10 steps made, dense_1/weight changed")
    page.click("#undo")
    expect(page.locator("#equation")).not_to_contain_text("before the change")
    page.click("#train-step")
    expect(page.locator("#same-key")).to_be_hidden()


def test_what_an_element_read_is_known_while_what_decides_it_is_as_it_was(page: Page) -> None:
    page.evaluate("graphnn.train(3)")
    look_at(page, "categorical_crossentropy_1/pick")
    page.evaluate("choose(17)")
    label = int(number(page, "labels", 17))
    says = page.locator("#equation")
    expect(says).to_contain_text(f"clip[17, {label}] = ")
    expect(says).to_contain_text(f"labels[17] = {label}")
    masked = page.evaluate("nodes.op.flatMap((op, place) => (op === 'where' ? [place] : []))")
    assert page.evaluate("(all) => all.every((place) => readBy(shown.run, place, 5) !== null)", masked)
    page.evaluate(f"graphnn.set('labels', [17], {(label + 1) % 3})")
    expect(says).to_contain_text(f"clip[17, {(label + 1) % 3}] = ")


READS = """nodes.name.flatMap((name, place) => {
    const size = nodes.kind[place] ? 0 : (valueOf(shown.run, place)?.size ?? 0);
    return [0, 3, 5, size - 1].filter((cell) => cell >= 0 && cell < size).map((cell) => [name, cell,
readBy(shown.run, place, cell)?.map(({ count, places }) => [count, [...places].sort((a, b) => a - b)]) ?? null]);
})"""


def test_what_is_read_of_another_number_of_rows_is_that_of_a_run_of_so_many(opened: Opened, tmp_path: Path) -> None:
    _, step, feed = step_of()
    page_of_60, page_of_7 = tmp_path / "60.html", tmp_path / "7.html"
    gn.playground(step, feed, page_of_60)
    page = opened(page_of_60)
    page.locator("#batch").evaluate("(each) => (each.value = 7, each.dispatchEvent(new Event('change')))")
    rows = page.evaluate("live.fed")
    gn.playground(step, {node: np.asarray(array)[rows] for node, array in feed.items()}, page_of_7)
    followed = page.evaluate(READS)
    for mine, recorded in zip(followed, opened(page_of_7).evaluate(READS), strict=True):
        assert mine[2] is None or mine == recorded
    assert [name for name, _, reads in followed if reads is None] == []


def test_what_a_condition_lets_through_is_read_now(opened: Opened, tmp_path: Path) -> None:
    g = gn.Graph("where")
    x = g.placeholder("x", shape=(3,))
    g.outputs["z"] = z = gn.where(x > 0, x * 2, x * 3, name="z")
    gn.trace(z, {x: [1.0, -1.0, 1.0]}).to_html(tmp_path / "where.html", live=True)
    page = opened(tmp_path / "where.html")
    assert page.evaluate("graphnn.set('x', [0], -4).then(() => graphnn.value('z')).then((v) => [...v.data])") == [
        -12,
        -3,
        2,
    ]
    assert page.evaluate("readBy(shown.run, placeOf.get('z'), 0).map((each) => each.count)") == [1, 0, 1]
    assert page.evaluate("readBy(shown.run, placeOf.get('z'), 2).map((each) => each.count)") == [1, 1, 0]


@pytest.mark.parametrize("size", ["laptop", "phone"])
def test_the_slider_of_the_learning_rate_follows_the_mouse(opened: Opened, tmp_path: Path, size: str) -> None:
    _, step, feed = step_of()
    gn.playground(step, feed, tmp_path / "play.html")
    page = opened(tmp_path / "play.html", size=size)
    page.evaluate("$('live-more').open = true")
    slider = page.locator("#rate")
    slider.scroll_into_view_if_needed()
    before = slider.bounding_box()
    assert before is not None
    x, y = before["x"] + before["width"] * 0.6, before["y"] + before["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    first = float(page.input_value("#rate-number"))
    page.mouse.move(x + 5, y, steps=5)
    page.mouse.up()
    assert slider.bounding_box() == before  # what is said moves nothing
    assert first < float(page.input_value("#rate-number")) < 2 * first


def test_a_learning_rate_is_typed(page: Page) -> None:
    page.fill("#rate-number", "0.0125")
    page.press("#rate-number", "Enter")
    assert number(page, "sgd_1/learning_rate") == 0.0125
    page.fill("#rate-number", "fast")
    page.press("#rate-number", "Enter")
    expect(page.locator("#live-says")).to_have_text("“fast” is not a number.")
    assert number(page, "sgd_1/learning_rate") == 0.0125


def test_batches_are_shuffled_rows_of_the_data(page: Page) -> None:
    page.locator("#batch").evaluate("(each) => (each.value = 20, each.dispatchEvent(new Event('change')))")
    assert page.evaluate("graphnn.value('x').then((v) => v.shape)") == [20, 2]
    losses = page.evaluate("graphnn.train(60)")
    assert np.mean(losses[-20:]) < np.mean(losses[:20])


def test_points_are_dragged_added_and_deleted_also_by_the_keyboard(page: Page) -> None:
    canvas = page.locator("#boundary > canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 212, box["y"] + 8)
    expect(page.locator("#batch-name")).to_have_text("all 61 rows")
    before = number(page, "x", 120)
    page.mouse.move(box["x"] + 212, box["y"] + 8)
    page.mouse.down()
    page.mouse.move(box["x"] + 150, box["y"] + 60, steps=4)
    page.mouse.up()
    dragged = number(page, "x", 120)
    assert dragged < before
    canvas.press("ArrowLeft")
    assert number(page, "x", 120) < dragged
    canvas.press("Delete")
    expect(page.locator("#batch-name")).to_have_text("all 60 rows")


def upload(page: Page, text: str | bytes, name: str = "d.csv") -> None:
    content = text if isinstance(text, bytes) else text.encode()
    page.set_input_files("#table", [{"name": name, "mimeType": "text/csv", "buffer": content}])


def fed(page: Page) -> tuple[list[float], list[int]]:
    found: list[list[float]] = [
        page.evaluate(f"graphnn.value('{name}').then((v) => [...v.data].map(Number))") for name in ("x", "labels")
    ]
    return found[0], [int(label) for label in found[1]]


@pytest.mark.parametrize(
    "table",
    [
        "labels,x1,x0\n1,0.5,0.25\n2,-0.5,-0.25\n",
        "x0,x1,labels\r\n0.25,0.5,1\r\n-0.25,-0.5,2\r\n",
        "x0;x1;labels\n0,25;0,5;1\n-0,25;-0,5;2\n",
        "x0\tx1\tlabels\n0.25\t0.5\t1\n-0.25\t-0.5\t2\n",
        '"x0", "x1", "labels"\n"0.25", "0.5", "1"\n"-0.25", "-0.5", "2"\n',
        "\ufeff0.25,0.5,1\n\n-0.25,-0.5,2",
        ",X0,X1,Labels\n0,0.25,0.5,1\n1,-0.25,-0.5,2\n",
        'what,x_0,x_1,labels\n"a, ""b""",0.25,.5,1\n,-2.5e-1,-0.5,2\n',
    ],
    ids=["order", "windows", "semicolons", "tabs", "quotes", "bare", "index", "more"],
)
def test_a_table_replaces_the_data(page: Page, table: str) -> None:
    upload(page, table)
    expect(page.locator("#live-says")).to_have_text("2 rows of d.csv. Reset goes back to the data before.")
    assert fed(page) == ([0.25, 0.5, -0.25, -0.5], [1, 2])
    page.click("#reset")
    expect(page.locator("#live-says")).to_be_empty()
    assert page.evaluate("graphnn.value('x').then((v) => v.shape)") == [60, 2]


def test_a_broken_table_is_said_and_changes_nothing(page: Page) -> None:
    upload(page, "labels,x1,x0\n1,0.5,0.25\n2,-0.5,-0.25\n")
    for text, says in [
        ("a,b,c\n1,2,3\n", "the file has no column x0: this network takes the columns x0, x1, labels."),
        ("x0,labels\n1,2\n", "the file has no column x1"),
        ("1,2\n", "the file has 2 columns, and this network takes 3: x0, x1, labels."),
        ("", "the file is empty"),
        ("\r\n \r\n", "the file is empty"),
        ("x0,x1,labels\n", "the file has a header and no rows"),
        ("0.1,0.2,7\n", "line 1, column 3 (labels): 7 is not one of 0 to 2."),
        ("0.1,0.2,0.5\n", "line 1, column 3 (labels): int64 takes whole numbers."),
        ("0.1,foo,1\n", "line 1, column 2 (x1): “foo” is not a number."),
        ("labels,x0,x1\n\n1,2,3\n1,2,three\n", "line 4, column 3 (x1): “three” is not a number."),
        ("0.1,,1\n", "line 1, column 2 (x1): the cell is empty."),
        ("0.1,1e999,1", "line 1, column 2 (x1): 1e999 is too large"),
        ("x0,x1,labels\n1,2\n", "line 2 has 2 cells, and the first line 3."),
        (b"PK\x03\x04\x00\x00", "this is no text; save it as CSV."),
    ]:
        upload(page, text)
        expect(page.locator("#live-says")).to_contain_text(f"d.csv: {says}")
    assert fed(page) == ([0.25, 0.5, -0.25, -0.5], [1, 2])


def test_a_table_of_many_rows_is_trained_in_batches_and_drawn_where_its_points_lie(page: Page) -> None:
    rng = np.random.default_rng(0)
    rows = "\n".join(f"{a},{b},{int(a > 100)}" for a, b in 100 + 50 * rng.normal(size=(10_000, 2)))
    upload(page, rows)
    expect(page.locator("#live-says")).to_contain_text("10,000 rows of d.csv.")
    expect(page.locator("#batch-name")).to_have_text("512 of 10,000 rows")
    assert page.evaluate("graphnn.value('x').then((v) => v.shape)") == [512, 2]
    left, right, bottom, top = page.evaluate("data.sight.ends")
    assert left < -50 < 250 < right
    assert bottom < -50 < 250 < top
    assert len(page.evaluate("graphnn.train(3)")) == 3


def test_a_class_that_is_not_there_is_not_taken(page: Page) -> None:
    look_at(page, "labels")
    page.fill("#edit-number", "3")
    page.click("#set")
    expect(page.locator("#edit-says")).to_have_text("3 is not one of 0 to 2.")
    assert "not one of" in page.evaluate("graphnn.set('labels', [0], -1).catch((error) => error.message)")


def test_scripting_knows_names_as_python_does(page: Page) -> None:
    g, _, feed = step_of()
    for name in ("dense_1", "loss", "x"):
        found = page.evaluate("(name) => graphnn.value(name).then((v) => [...v.data])", name)
        np.testing.assert_allclose(found, np.ravel(gn.run(g[name], feed)), rtol=1e-12)


def test_scripting_says_what_is_wrong(page: Page) -> None:
    for call, says in [
        ("graphnn.value('nobody')", "no node is called"),
        ("graphnn.set('dense_1/weight', [9, 9], 1)", "is not an element"),
        ("graphnn.set('dense_1/weight', [0], 1)", "is not an element"),
        ("graphnn.set('labels', [0], 0.5)", "whole numbers"),
        ("graphnn.set('dense_1/weight', [0, 0], '1')", "a number is set"),
        ("graphnn.train(-1)", "a whole number of steps"),
    ]:
        assert says in page.evaluate(f"{call}.then(() => '', (error) => error.message)")


@pytest.mark.parametrize("way", ["cut off", "from a server", "written into the page"])
def test_it_works_in_a_frame_as_the_documentation_has_it(browser: Browser, tmp_path: Path, way: str) -> None:
    _, step, feed = step_of()
    (tmp_path / "replay").mkdir()
    text = gn.playground(step, feed, tmp_path / "replay" / "play.html").html
    told = (ROOT / "docs" / "playground.md").read_text(encoding="utf-8")
    cut_off, scripted = re.findall(r"```html\n(.*?)```", told, re.DOTALL)
    embedding = cut_off if way == "cut off" else scripted
    if way == "written into the page":
        embedding = embedding.replace('src="replay/play.html"', f'srcdoc="{html.escape(text)}"')
    (tmp_path / "around.html").write_text(f"<!doctype html><title>Around it</title>{embedding}", encoding="utf-8")
    page, complaints = browser.new_page(), list[str]()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    if way == "from a server":
        server = "https://lessons.test/"
        page.route("**", lambda route: route.fulfill(path=tmp_path / route.request.url.removeprefix(server)))
        page.goto(f"{server}around.html")
    else:
        page.goto((tmp_path / "around.html").as_uri())
    frame = page.frame_locator("iframe")
    frame.locator("#train-step").click()
    expect(frame.locator("#train-says")).to_contain_text("1 step made")
    losses = [float(step(feed)) for _ in range(12)]
    if way == "cut off":
        reached = "(() => { try { return Boolean(frames[0].graphnn); } catch (error) { return error.name; } })()"
        assert page.evaluate(reached) == "SecurityError"
    else:
        page.get_by_role("button", name="Ten steps").click()
        expect(page.locator("output")).to_have_text(f"{losses[10]:.4f}")
    assert not complaints
    page.close()


def test_a_tour_leads_from_node_to_node(opened: Opened, tmp_path: Path) -> None:
    _, step, feed = step_of()
    tour = [("softmax_1/divide", "Each row adds up to 1."), (step.graph["dense_1/weight"], "<b>learned</b>")]
    gn.trace(step, feed).to_html(tmp_path / "tour.html", tour=tour)
    page = opened(tmp_path / "tour.html")
    expect(page.locator("#tour-says")).to_contain_text("Each row adds up to 1.")
    expect(page.locator("#node")).to_have_text("softmax_1/divide")
    page.click("#tour-next")
    expect(page.locator("#node")).to_have_text("dense_1/weight")
    expect(page.locator("#tour-says")).to_contain_text("<b>learned</b>")
    page.click("#tour-end")
    expect(page.locator("#tour")).to_be_hidden()


def test_an_exercise_says_which_numbers_are_right(opened: Opened, tmp_path: Path) -> None:
    _, step, feed = step_of()
    trace = gn.trace(step, feed)
    trace.to_html(tmp_path / "hide.html", hide=["grad/dense_2/sum_to"])
    page = opened(tmp_path / "hide.html")
    look_at(page, "grad/dense_2/sum_to")
    expect(page.locator("#equation")).to_have_text("This number is for you to find.")
    right = float(trace["grad/dense_2/sum_to"].value[0])
    for typed, says in [("1e999", "too large"), (f"{-right:.4f}", "sign"), (f"{right:.4f}", "Right.")]:
        page.fill("#answer", typed)
        page.press("#answer", "Enter")
        expect(page.locator("#answer-says")).to_contain_text(says)
    expect(page.locator("#equation")).to_contain_text("60 numbers")
    expect(page.locator("#answer-count")).to_have_text("1 right, 0 shown, of 3")


def test_a_page_that_cannot_compute_says_why_in_one_line(opened: Opened, tmp_path: Path) -> None:
    of_an_operation_of_its_own().to_html(tmp_path / "plain.html")
    page = opened(tmp_path / "plain.html")
    expect(page.locator("#live-why")).to_contain_text("does not compute: it has")
    expect(page.locator("#edit")).to_be_hidden()
    assert page.evaluate("graphnn.unknown") == ["halved"]


CUT_OFF = """[...document.querySelectorAll("body *")].filter((each) => {
    const box = each.getBoundingClientRect();
    const scrolls = each.closest("#diagram, .heat, pre, #equation, details:not([open])");
    return box.width && !scrolls && (box.right > innerWidth + 1 || box.left < -1);
}).map((each) => each.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", ["laptop", "phone"])
def test_each_mode_is_accessible_and_nothing_is_cut_off(opened: Opened, tmp_path: Path, size: str, theme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    _, step, feed = step_of()
    trace, tour = gn.trace(step, feed), [("softmax_1/divide", "Each row adds up to 1."), ("relu_1", "Not below 0.")]
    trace.to_html(tmp_path / "run.html", tour=tour, hide=["grad/dense_2/sum_to"])
    gn.playground(step, feed, tmp_path / "play.html")
    gn.playground(*images(), tmp_path / "images.html")
    for file, modes in {
        "run": {
            "tour": "0",
            "recorded": "$('tour-end').click()",
            "exercise": "(go(data.hide[0]), $('answer').value = '1', checkAnswer())",
            "edited": "graphnn.set('dense_1/weight', [0, 0], 3)",
        },
        "play": {
            "playground": "$('live-more').open = true",
            "training": "toggleTraining()",
            "message": "(stopTraining(), tellLive('a.csv: line 3, column 2 (x1): “foo” is not a number.'))",
            "film": "playFilm()",
        },
        "images": {"samples": "(chooseRow(2), graphnn.train(1))"},
    }.items():
        page = opened(tmp_path / f"{file}.html", size=size, theme=theme)
        for mode, what in modes.items():
            page.evaluate(what)
            found = [(each["id"], each["nodes"][0]["html"]) for each in Axe().run(page).response["violations"]]
            assert (mode, found) == (mode, [])
            assert (mode, page.evaluate(CUT_OFF)) == (mode, [])
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def tab_to(page: Page, selector: str, most: int = 150) -> None:
    """Go to a control as one does without a mouse."""
    for _ in range(most):
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"no {most} presses of the tabulator lead to {selector}")


def test_a_whole_session_by_the_keyboard_alone(opened: Opened, tmp_path: Path) -> None:
    _, step, feed = step_of()
    gn.playground(step, feed, tmp_path / "play.html")
    page = opened(tmp_path / "play.html")
    keys = page.keyboard
    first = page.evaluate("graphnn.loss()")

    keys.press("/")  # choose a number, type another, take it back
    keys.type("dense_1/weight")
    keys.press("Enter")
    expect(page.locator("#node")).to_have_text("dense_1/weight")
    tab_to(page, "#values .heat")
    keys.press("ArrowRight")
    keys.press("ArrowDown")
    keys.type("2.5")
    keys.press("Enter")
    assert number(page, "dense_1/weight", 7) == 2.5
    assert page.evaluate("document.activeElement.matches('#values .heat')")
    keys.press("u")
    assert page.evaluate("graphnn.loss()") == pytest.approx(first, rel=1e-12)

    keys.press("l")  # train, stop, a step, back, reset
    expect(page.locator("#train-says")).to_contain_text("steps made")
    keys.press("l")
    expect(page.locator("#train")).to_contain_text("Train")
    steps = page.evaluate("live.steps")
    tab_to(page, "#train-step")
    keys.press("Enter")
    assert page.evaluate("live.steps") == steps + 1
    tab_to(page, "#train-back")
    keys.press("Space")
    assert page.evaluate("live.steps") == steps
    tab_to(page, "#rate")
    rate = page.input_value("#rate-number")
    keys.press("ArrowRight")
    assert page.input_value("#rate-number") != rate
    tab_to(page, "#reset")
    keys.press("Enter")
    assert page.evaluate("graphnn.loss()") == pytest.approx(first, rel=1e-12)
    assert page.input_value("#rate-number") == rate

    tab_to(page, "#boundary > canvas")  # move a point, add one, delete it
    keys.press("Enter")
    before = number(page, "x", 0)
    keys.press("ArrowLeft")
    assert number(page, "x", 0) < before
    tab_to(page, "#point-add")
    keys.press("Enter")
    expect(page.locator("#batch-name")).to_have_text("all 61 rows")
    tab_to(page, "#point-delete")
    keys.press("Enter")
    expect(page.locator("#batch-name")).to_have_text("all 60 rows")
    tab_to(page, ".unit[aria-label='relu_1, unit 3']")
    keys.press("Enter")
    expect(page.locator("#node")).to_have_text("relu_1")


def test_a_tour_and_an_exercise_by_the_keyboard_alone(opened: Opened, tmp_path: Path) -> None:
    _, step, feed = step_of()
    trace = gn.trace(step, feed)
    trace.to_html(
        tmp_path / "tour.html",
        tour=[("softmax_1/divide", "Each row adds up to 1."), ("grad/dense_2/sum_to", "Find these.")],
        hide=["grad/dense_2/sum_to"],
    )
    page = opened(tmp_path / "tour.html")
    keys = page.keyboard
    tab_to(page, "#tour-next")
    keys.press("Enter")
    expect(page.locator("#tour-says")).to_contain_text("Find these.")
    tab_to(page, "#tour-back")  # the one that was pressed is at its end, and the next one is the other
    keys.press("Enter")
    expect(page.locator("#tour-says")).to_contain_text("Each row adds up to 1.")
    tab_to(page, "#tour-next")
    keys.press("Enter")
    tab_to(page, "#answer")
    keys.type(f"{float(trace['grad/dense_2/sum_to'].value[0]):.4f}")
    keys.press("Enter")
    expect(page.locator("#answer-says")).to_have_text("Right.")
    tab_to(page, "#values .result .heat")
    keys.press("ArrowRight")
    keys.press("Enter")
    tab_to(page, "#answer-show")
    keys.press("Enter")
    expect(page.locator("#answer-count")).to_have_text("1 right, 1 shown, of 3")


def test_the_film_goes_forward_and_then_back_over_the_same_boxes(page: Page) -> None:
    page.evaluate("(playFilm(), clearInterval(playing.timer))")
    view = page.input_value("#view")
    page.evaluate("runTo(placeOf.get('relu_1'))")
    there = page.evaluate("boxNow()")
    assert page.locator(".box.graded").count() == 0
    page.evaluate("runTo(nodes.gradient[placeOf.get('relu_1')])")
    assert page.evaluate("boxNow()") == there
    assert page.input_value("#view") == view
    assert page.locator(".box.graded").count() > 0
    page.keyboard.press("g")
    assert page.locator(".box.graded").count() == 0


def test_asking_changes_nothing(page: Page) -> None:
    page.evaluate("graphnn.value('x')")
    page.evaluate("graphnn.loss()")
    expect(page.locator("#train-says")).to_contain_text("no step made yet")


def test_every_operation_gives_what_numpy_gives(page: Page) -> None:
    assert page.evaluate(f"(() => {{ {script(3)}\nreturn differences(cases); }})()") == []


# --- what the network sees


PIXELS = """(canvas, wide, high) => {
    const copy = document.createElement("canvas");
    Object.assign(copy, { width: wide, height: high });
    const pen = copy.getContext("2d", { willReadFrequently: true });
    pen.drawImage(canvas, 0, 0);
    return pen.getImageData(0, 0, wide, high).data;
}"""


def layer(page: Page, name: str) -> Any:
    """What the page computes of a layer at the points of its picture."""
    value = "engineOfSeen(data.sight).value(placeOf.get(name))"
    found = page.evaluate(f"(name) => {{ const v = {value}; return [v.shape, [...v.data].map(Number)]; }}", name)
    return np.reshape(found[1], found[0])


def grid_of(page: Page) -> Any:
    left, right, bottom, top = page.evaluate("data.sight.ends")
    n = page.evaluate("data.sight.grid")
    return np.array([(a, b) for b in np.linspace(bottom, top, n) for a in np.linspace(left, right, n)])


def test_units_are_pictures_over_the_plane_and_follow_the_training(page: Page) -> None:
    for steps in (0, 30):
        page.evaluate(f"graphnn.train({steps})")
        w, b = (
            np.reshape(page.evaluate(f"graphnn.value('dense_1/{name}').then((v) => [...v.data])"), shape)
            for name, shape in (("weight", (2, 6)), ("bias", 6))
        )
        units = np.maximum(grid_of(page) @ w + b, 0)
        np.testing.assert_allclose(layer(page, "relu_1"), units, rtol=1e-12, atol=1e-15)
        # A unit is the stronger orange the larger it is there: the last row of the grid is the first of the picture.
        canvases = page.locator("#units .layer:nth-child(2) canvas")
        assert canvases.count() == 6
        k = int(units.max(axis=0).argmax())
        blues = canvases.nth(k).evaluate(f"(each) => [...({PIXELS})(each, 32, 32)].filter((_, i) => i % 4 === 2)")
        picture = units[:, k].reshape(32, 32)[::-1].ravel()
        assert blues[picture.argmax()] < blues[picture.argmin()]


def test_a_unit_leads_to_its_numbers_and_shows_itself_large(page: Page) -> None:
    unit = page.get_by_role("button", name="relu_1, unit 4", exact=True)
    before = page.evaluate("field.toDataURL()")
    unit.hover()
    assert page.evaluate("field.toDataURL()") != before
    unit.click()
    expect(page.locator("#node")).to_have_text("relu_1")
    assert page.evaluate("shown.cell % 6") == 4
    page.mouse.move(1, 1)
    unit.evaluate("(each) => each.blur()")
    assert page.evaluate("field.toDataURL()") == before


def test_how_many_are_right_is_counted(page: Page) -> None:
    _, step, feed = step_of()
    for _ in range(20):
        step(feed)
    page.evaluate("graphnn.train(20)")
    g = step.graph
    scores = gn.run(g["softmax_1/divide"], {g["x"]: feed[g["x"]]})
    right = int(np.sum(scores.argmax(axis=1) == feed[g["labels"]]))
    expect(page.locator("#seen-right")).to_have_text(f"{right} of 60 right")


def test_all_rows_are_counted_also_of_small_batches(page: Page) -> None:
    page.evaluate("graphnn.train(5)")
    page.locator("#batch").evaluate("(each) => (each.value = 7, each.dispatchEvent(new Event('change')))")
    page.evaluate("graphnn.train(3)")
    x, labels = (
        np.array(page.evaluate(f"[...live.pool.get(numberFor(placeOf.get('{name}')))].map(Number)"))
        for name in ("x", "labels")
    )
    w1, b1, w2, b2 = (
        np.reshape(page.evaluate(f"graphnn.value('{name}').then((v) => [...v.data])"), shape)
        for name, shape in [
            ("dense_1/weight", (2, 6)),
            ("dense_1/bias", 6),
            ("dense_2/weight", (6, 3)),
            ("dense_2/bias", 3),
        ]
    )
    scores = np.maximum(x.reshape(-1, 2) @ w1 + b1, 0) @ w2 + b2
    right = int(np.sum(scores.argmax(axis=1) == labels))
    expect(page.locator("#seen-right")).to_have_text(f"{right} of 60 right")
    expect(page.locator("#train-says")).to_contain_text("batch loss = ")
    assert len(page.evaluate("live.fed")) == 7
    page.evaluate("choosePoint(live.fed[2], true)")
    assert page.evaluate("shown.row") == 2
    expect(page.locator("#point-says")).to_contain_text("row 2 of this batch")


def test_units_that_are_always_0_are_marked(page: Page) -> None:
    page.evaluate("graphnn.set('dense_1/weight', [0, 4], 0).then(() => graphnn.set('dense_1/weight', [1, 4], 0))")
    page.evaluate("graphnn.set('dense_1/bias', [4], -1)")
    expect(page.get_by_role("button", name="relu_1, unit 4, always 0", exact=True)).to_be_visible()
    expect(page.locator("#units .layer", has_text="relu_1")).to_contain_text("1 always 0")
    page.evaluate("graphnn.set('dense_1/bias', [4], 1)")
    expect(page.get_by_role("button", name="relu_1, unit 4", exact=True)).to_be_visible()


def test_a_point_and_its_row_are_one(page: Page) -> None:
    canvas = page.locator("#boundary > canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    spots = page.evaluate("spotsOf(data.sight, livePoints(data.sight).points, ...sizeOfSeen(data.sight))")
    far = [min(np.hypot(a - c, b - d) for c, d in spots if (a, b) != (c, d)) for a, b in spots]
    row = int(np.argmax(far))
    page.mouse.click(box["x"] + spots[row][0], box["y"] + spots[row][1])
    assert page.input_value("#row") == str(row)
    says = page.locator("#point-says")
    expect(says).to_have_text(re.compile(rf"^row {row}; x = \S+, \S+; labels = \d; the network says \d, \d+ %$"))
    kind = int(page.input_value("#point-class"))
    assert number(page, "labels", row) == kind
    page.select_option("#point-class", str((kind + 1) % 3))
    assert number(page, "labels", row) == (kind + 1) % 3
    page.fill("#row", "3")
    page.press("#row", "Enter")
    expect(says).to_contain_text("row 3; ")
    # So near to a dot, another one can be added.
    page.mouse.click(box["x"] + spots[row][0] + 8, box["y"] + spots[row][1])
    expect(page.locator("#batch-name")).to_have_text("all 61 rows")


def test_a_reset_is_taken_back(page: Page) -> None:
    page.evaluate("graphnn.train(5)")
    page.evaluate("moveRow(numberFor(placeOf.get('x')), 0, [0.5, 0.25])")
    loss = page.evaluate("graphnn.loss()")
    page.click("#reset")
    expect(page.locator("#train-says")).to_contain_text("no step made yet")
    assert page.evaluate("graphnn.loss()") != loss
    page.click("#train-step")
    page.click("#train-back")
    page.click("#train-back")
    expect(page.locator("#train-says")).to_contain_text("5 steps made, data changed")
    assert page.evaluate("graphnn.loss()") == loss
    page.click("#train-back")
    expect(page.locator("#train-says")).to_contain_text("4 steps made")
    page.click("#reset")
    page.click("#undo")
    expect(page.locator("#train-says")).to_contain_text("4 steps made")


def test_a_parameter_leads_to_its_next_value(page: Page) -> None:
    look_at(page, "dense_1/weight")
    link = page.locator("#equation .link", has_text="after the next step: ")
    link.click()
    name = page.inner_text("#node")
    following = number(page, name)
    page.click("#train-step")
    assert number(page, "dense_1/weight") == following


def test_a_search_takes_several_words_and_says_what_it_leaves_out(page: Page) -> None:
    page.fill("#search", "dense_2 grad")
    names = page.evaluate("nodes.name.filter((name) => name.includes('dense_2') && name.includes('grad'))")
    found = page.locator("#matches .link").all_inner_texts()
    assert found == names[:12]
    page.fill("#search", "grad")
    more = page.evaluate("nodes.name.filter((name) => name.includes('grad')).length") - 12
    expect(page.locator("#matches li").last).to_contain_text(f"{more} more")


def test_following_a_link_keeps_the_zoom_and_begins_at_the_top(page: Page) -> None:
    page.click("#in")
    page.click("#in")
    scale = page.evaluate("picture.scale")
    page.evaluate("$('operation').scrollTop = 1000")
    page.evaluate("go(placeOf.get('grad/dense_2/sum_to'))")
    assert page.evaluate("picture.scale") == scale
    assert page.evaluate("$('operation').scrollTop") == 0
    page.click("#fit")
    assert page.evaluate("picture.scale") != scale


def test_the_curve_says_the_loss_of_each_step(page: Page) -> None:
    losses = page.evaluate("graphnn.train(40)")
    curve = page.locator("#train-curve")
    curve.focus()
    curve.press("Home")
    curve.press("ArrowRight")
    expect(curve).to_have_attribute("aria-label", re.compile(rf"^step 1: loss {losses[1]:#.4g}, "))
    curve.press("End")
    expect(curve).to_have_attribute(
        "aria-label", re.compile(rf"^step 40: loss {page.evaluate('graphnn.loss()'):#.4g}, ")
    )
    page.click("#reset")
    expect(curve).to_be_visible()
    expect(curve).to_have_attribute("aria-label", re.compile("of the run before the reset"))


def test_a_unit_says_between_what_it_lies(page: Page) -> None:
    unit = page.get_by_role("button", name="relu_1, unit 4", exact=True)
    unit.hover()
    most = float(layer(page, "relu_1")[:, 4].max())
    expect(unit).to_have_attribute("title", f"relu_1, unit 4: from 0 to {most:.3g}; click for its numbers")
    expect(page.locator("#seen-note")).to_contain_text("This is unit 4 of relu_1 at each point")


def test_a_regression_of_one_number_is_a_curve_whose_points_are_dragged(opened: Opened, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    g = gn.Graph("curve")
    x, y = g.placeholder("x", shape=("batch", 1)), g.placeholder("y", shape=("batch", 1))
    made = nn.Sequential(nn.Dense(8, "tanh", rng=rng), nn.Dense(1, rng=rng))(x)
    g.outputs["loss"] = loss = nn.mean_squared_error(made, y)
    X = np.linspace(-2, 1, 12)[:, None]
    step = gn.compile(loss, updates=nn.Adam(0.05).updates(loss))
    gn.playground(step, {x: X, y: np.sin(X)}, tmp_path / "curve.html")
    page = opened(tmp_path / "curve.html")
    page.evaluate("graphnn.train(10)")
    for _ in range(10):
        step({x: X, y: np.sin(X)})
    left, right = page.evaluate("data.sight.ends")[:2]
    along = np.linspace(left, right, 96)[:, None]
    np.testing.assert_allclose(layer(page, made.name), gn.run(made, {x: along}), rtol=1e-9)
    canvas = page.locator("#boundary > canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    [[a, b]] = page.evaluate("spotsOf(data.sight, [livePoints(data.sight).points[5]], ...sizeOfSeen(data.sight))")
    before = number(page, "x", 5), number(page, "y", 5)
    page.mouse.move(box["x"] + a, box["y"] + b)
    page.mouse.down()
    page.mouse.move(box["x"] + a + 20, box["y"] + b - 30, steps=3)
    page.mouse.up()
    assert number(page, "x", 5) > before[0]
    assert number(page, "y", 5) > before[1]
    page.mouse.click(box["x"] + 10, box["y"] + 60)
    expect(page.locator("#batch-name")).to_have_text("all 13 rows")
    assert number(page, "x", 12) < -2


def two_classes() -> tuple[gn.Compiled, dict[Any, Any]]:
    rng = np.random.default_rng(0)
    g = gn.Graph("two")
    x, y = g.placeholder("x", shape=("batch", 2)), g.placeholder("y", shape=("batch", 1))
    p = nn.Sequential(nn.Dense(4, "tanh", rng=rng), nn.Dense(1, rng=rng), nn.Sigmoid())(x)
    g.outputs["loss"] = loss = nn.binary_crossentropy(p, y)
    X = rng.uniform(-1, 1, size=(40, 2))
    return gn.compile(loss, updates=nn.Adam(0.1).updates(loss)), {x: X, y: (X[:, :1] * X[:, 1:] > 0) * 1.0}


def test_one_number_over_the_plane_is_drawn_orange_where_it_is_high(opened: Opened, tmp_path: Path) -> None:
    step, feed = two_classes()
    gn.playground(step, feed, tmp_path / "two.html")
    page = opened(tmp_path / "two.html")
    page.evaluate("graphnn.train(200)")
    expect(page.locator("#seen-right")).to_have_text("40 of 40 right")
    pixels = page.evaluate(f"[...({PIXELS})(field, 32, 32)]")
    left, right, bottom, top = page.evaluate("data.sight.ends")
    for (a, b), warm in [((0.8, 0.8), True), ((-0.8, -0.8), True), ((0.8, -0.8), False), ((-0.8, 0.8), False)]:
        across, down = round((a - left) / (right - left) * 31), round((top - b) / (top - bottom) * 31)
        red, _, blue, _ = pixels[4 * (32 * down + across) :][:4]
        assert (red > blue) == warm
    page.select_option("#point-class", "1")
    page.click("#point-add")
    assert number(page, "y", 40) == 1


def images() -> tuple[gn.Compiled, dict[Any, Any]]:
    """Crosses and squares, as images."""
    rng = np.random.default_rng(0)
    g = gn.Graph("images", dtype="float32")
    x = g.placeholder("x", shape=("batch", 1, 8, 8))
    labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
    network = nn.Sequential(
        nn.Conv2D(4, 3, padding="same", rng=rng), nn.ReLU(), nn.MaxPool2D(2), nn.Flatten(), nn.Dense(2, rng=rng)
    )
    g.outputs["loss"] = loss = nn.softmax_crossentropy(network(x), labels)
    cross, square = np.maximum(np.eye(8), np.eye(8)[::-1]), np.pad(np.zeros((6, 6)), 1, constant_values=1)
    Y = rng.integers(0, 2, size=20)
    X = np.where(Y[:, None, None] == 1, square, cross) + 0.3 * rng.normal(size=(20, 8, 8))
    return gn.compile(loss, updates=nn.Adam(0.01).updates(loss)), {x: X[:, None], labels: Y}


def test_images_are_seen_with_filters_and_maps(opened: Opened, tmp_path: Path) -> None:
    step, feed = images()
    gn.playground(step, feed, tmp_path / "images.html")
    page = opened(tmp_path / "images.html")
    page.evaluate("graphnn.train(40)")
    expect(page.locator("#seen-right")).to_have_text("20 of 20 right")
    assert page.locator("#samples .unit").count() == 12
    assert page.locator("#samples .wrong").count() == 0
    layers = page.locator("#units .layer > p").all_inner_texts()
    assert layers[:3] == ["conv2d_1/weight 4 of 3 × 3", "x 8 × 8", "relu_1 4 of 8 × 8"]
    relu = gn.run(step.graph["relu_1"], {step.graph["x"]: feed[step.graph["x"]][:12]})
    assert layer(page, "relu_1").shape == relu.shape
    page.locator("#samples .unit").nth(3).click()
    assert page.evaluate("shown.row") == 3
    page.get_by_role("button", name="relu_1, unit 2", exact=True).click()
    assert page.evaluate("unravel(shown.cell, [20, 4, 8, 8])") == [3, 2, 0, 0]


def test_the_sight_of_networks() -> None:
    """Which is the input, the output, the target and the layers."""
    found = {}
    for name, (step, feed) in {"two": two_classes(), "images": images(), "spiral": step_of()[1:]}.items():
        seen = gn.playground(step, feed, path=None).data
        names, sight = seen["nodes"]["name"], seen["sight"]
        found[name] = [sight["kind"], sight["through"]]
        found[name] += [names[sight[key]] for key in ("x", "outputs", "targets")]
        found[name].append([names[place] for place in sight["layers"]])
    assert found == {
        "two": ["plane", "", "x", "sigmoid_1", "y", ["x", "tanh_1", "sigmoid_1"]],
        "images": [
            "samples",
            "softmax",
            "x",
            "dense_1/add",
            "labels",
            ["x", "relu_1", "flatten_1", "dense_1/add"],
        ],
        "spiral": ["plane", "", "x", "softmax_1/divide", "labels", ["x", "relu_1", "softmax_1/divide"]],
    }
