"""What a reader asks to print: cards, two to a sheet, with nothing cut and nothing to press."""

import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import runs
from conftest import SIZES, Opened
from playwright.sync_api import Page, expect
from pointing import settled, until

import graphnn as gn

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
# A browser's own dialog would stay open: what it tells the page first is all that is left of it.
NO_DIALOG = "() => { window.print = () => { window.dispatchEvent(new Event('beforeprint')); }; }"
ENDED = "() => { window.dispatchEvent(new Event('afterprint')); }"
CUT = """() => [...document.querySelectorAll(".card")].flatMap((card) => {
  const room = card.getBoundingClientRect(), parts = [...card.querySelectorAll("*")];
  const out = parts.filter((part) => {
    const seen = part.getBoundingClientRect(), from = Math.min(seen.left - room.left, seen.top - room.top);
    return from < -1 || seen.right > room.right + 1 || seen.bottom > room.bottom + 1;
  });
  return out.map((part) => [card.querySelector("h2").textContent, part.tagName, part.className, part.textContent]);
})"""
LAID_OVER = """() => [...document.querySelectorAll(".card .inside")].flatMap((inside) => {
  const boxes = [...inside.children].map((part) => part.getBoundingClientRect());
  return boxes.flatMap((box, i) => (i && box.top < boxes[i - 1].bottom - 1 ? [inside.textContent] : []));
})"""


def ask(page: Page, which: str = "all", text: str = "") -> str:
    """Open the dialog, choose, and return what it says of that."""
    page.get_by_role("button", name="Print", exact=True).click()
    if text:
        page.get_by_label("Search the operations to print").fill(text)
    else:
        page.locator(f"#print-what [value={which}]").check()
    return page.locator("#print-says").inner_text()


def cards(page: Page, which: str = "all", text: str = "") -> list[str]:
    """Print, and return the titles of the cards; the page stays as it is on paper."""
    page.evaluate(NO_DIALOG)
    ask(page, which, text)
    page.locator("#print-now").click()
    until(page, "document.documentElement.classList.contains('cards')")
    titles: list[str] = page.locator(".card h2").all_inner_texts()
    return titles


def sheets(data: bytes) -> int:
    return len(re.findall(rb"/Type /Page\b", data))


def titles_of(trace: gn.Trace) -> list[str]:
    """Return what is above the cards of a run: the place of each operation in the order of evaluation, and its name."""
    return [f"{number} {node.name}" for number, node in enumerate(trace.order, 1) if node.inputs]


@pytest.mark.parametrize("paper", ["A4", "Letter", "A3"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_operations_are_there_in_order_two_to_a_sheet(
    paper: str, theme: str, opened: Opened, tmp_path: Path
) -> None:
    titles = titles_of(runs.step())
    assert len(titles) % 2 == 1, "of an odd number one card stands alone"
    page = opened("step", theme=theme)
    assert cards(page) == titles
    count = (len(titles) + 1) // 2
    path = tmp_path / "page.pdf"
    assert sheets(page.pdf(path=path, format=paper)) == count
    if shutil.which("pdftotext"):
        text = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, check=True, text=True).stdout
        pages = text.split("\f")[:-1]
        assert len(pages) == count
        for number, told in enumerate(pages):
            found = [title for title in titles if re.search(rf"^\s*{re.escape(title)}$", told, re.MULTILINE)]
            assert found == titles[2 * number : 2 * number + 2]
            assert f"sheet {number + 1} of {count}" in told
    # That was printed: the page is as before, and prints as before.
    until(page, f"document.documentElement.dataset.theme === '{theme}'")
    assert not page.locator(".card").count()
    expect(page.get_by_role("button", name="Help")).to_be_visible()
    page.evaluate("() => { window.dispatchEvent(new Event('beforeprint')); }")
    assert page.locator("#printed tbody tr").count() == len(runs.step().order)
    assert not page.locator(".card").count()


def test_it_says_how_many_that_is(opened: Opened) -> None:
    page = opened("step")
    count = len(titles_of(runs.step()))
    assert ask(page) == f"{count} operations on {(count + 1) // 2} sheets."
    says, search = page.locator("#print-says"), page.get_by_label("Search the operations to print")
    of_layer = [title for title in titles_of(runs.step()) if "dense_1/" in title]
    for text, told in [
        ("dense_1/", f"{len(of_layer)} operations on {(len(of_layer) + 1) // 2} sheets."),
        (" RELU ", "1 operation on 1 sheet."),
        ("unheard", "No operation that has run is called that."),
        ("", "Type a part of a name, or an operation."),
    ]:
        search.fill(text)
        expect(says).to_have_text(told)
        assert page.locator("#print-what [value=named]").is_checked()
        assert page.locator("#print-now").is_disabled() == (told[-7:] not in ("sheets.", " sheet."))
    page.locator("#print-what [value=here]").check()
    expect(says).to_have_text("1 operation on 1 sheet.")
    expect(page.locator("#print-here")).to_have_text(page.locator("#node").inner_text())
    expect(page.locator("#print-tour")).to_be_hidden()


def test_what_a_search_finds_is_printed(opened: Opened) -> None:
    page = opened("step")
    assert cards(page, text="dense_1/") == [title for title in titles_of(runs.step()) if "dense_1/" in title]
    page.evaluate(ENDED)
    page.evaluate("go(placeOf.get('dense_2/weight'))")
    assert [title.split()[1] for title in cards(page, "here")] == ["dense_2/weight"]


def test_what_is_on_a_card(opened: Opened) -> None:
    """Of the logarithm of x · w, with a w of 1, an element is masked: the gradient is 1/x, and 0/0 at the mask."""
    page = opened("hidden_nan")
    cards(page)
    card = page.locator(".card", has=page.locator("h2", has_text=re.compile(r"^\d+ multiply$")))
    figures = card.locator("figure")
    assert [figure.locator("b").inner_text() for figure in figures.all()] == ["x", "w", "multiply", "gradient"]
    numbers = [figure.locator("svg text[text-anchor=middle]").all_text_contents() for figure in figures.all()]
    assert numbers == [["1", "2", "0", "4"], ["1"], ["1", "2", "0", "4"], ["1", "0.5", "nan", "0.25"]]
    expect(card.locator(".equation").first).to_have_text("multiply[0] = 1 = 1 * 1")
    expect(card.locator(".about")).to_contain_text("multiply(x, w)")
    expect(card.locator(".gradient")).to_contain_text("∂loss/∂multiply: grad/divide")
    source = Path(runs.__file__).read_text(encoding="utf-8")
    line = 'g.outputs["loss"] = loss = gn.sum(gn.where(x > 0, gn.log(x * w), 0.0))'
    number = source[: source.index(line)].count("\n") + 1
    expect(card.locator(".source")).to_have_text(f"runs.py:{number} {line}")
    # The element of the equation and what it read have a line about them.
    assert figures.locator("svg rect[fill=none]").count() == 4
    finding = page.locator(".card", has=page.locator("h2", has_text="grad/divide"))
    expect(finding.locator(".finding")).to_contain_text("error, zero-over-zero")


@pytest.mark.parametrize(
    "name",
    ["step", "film", "hidden_nan", "what_if", "three", "stopped", "large", "many_heads", "long_attention", "loop"],
)
def test_nothing_is_cut_and_nothing_can_be_pressed(name: str, opened: Opened) -> None:
    page = opened(name, theme="dark")
    assert cards(page)
    assert page.evaluate(CUT) == []
    assert page.evaluate(LAID_OVER) == []
    assert page.locator(".card :is(button, input, a, select, [tabindex])").count() == 0
    shown = page.evaluate(
        "[...document.body.children].filter((each) => each.getClientRects().length).map(({ id }) => id)"
    )
    assert shown == ["printed"]
    colours = "(({ color, backgroundColor }) => [color, backgroundColor])"
    assert page.evaluate(f"{colours}(getComputedStyle(document.querySelector('.card h2')))")[0] == "rgb(0, 0, 0)"
    assert page.evaluate(f"{colours}(getComputedStyle(document.body))")[1] == "rgb(255, 255, 255)"


def test_what_is_too_long_says_what_is_left_out(opened: Opened, tmp_path: Path) -> None:
    g = gn.Graph("crowded")
    rows = [g.placeholder(f"{'n' * 500}{number}", shape=("batch", 9)) for number in range(12)]
    g.outputs["all"] = joined = gn.concatenate(rows, axis=1)
    feed = {row: np.random.default_rng(0).normal(size=(40, 9)) for row in rows}
    gn.trace(joined, feed).to_html(tmp_path / "crowded.html")
    page = opened(tmp_path / "crowded.html")
    assert len(cards(page)) == 1
    assert page.evaluate(CUT) == []
    card = page.locator(".card")
    expect(card).to_contain_text("4 more operands are left out")
    expect(card.locator("figcaption").first).to_contain_text("more letters)")
    assert sheets(page.pdf(format="A4")) == 1


def test_of_very_many_the_first_are_printed(opened: Opened, tmp_path: Path) -> None:
    runs.chain(800).save(tmp_path / "deep.html")
    page = opened(tmp_path / "deep.html")
    count = page.evaluate("operations.length")
    assert count > 200
    assert ask(page) == f"{count} operations: of so many the first 200 are printed, on 100 sheets."
    page.keyboard.press("Escape")
    printed = cards(page)
    assert len(printed) == 200
    assert printed == sorted(printed, key=lambda title: int(title.split()[0]))
    foot = page.locator(".sheet .foot")
    expect(foot.last).to_contain_text(f"sheet 100 of 100 · {count - 200} operations more")
    expect(foot.first).not_to_contain_text("left out")
    assert sheets(page.pdf(format="Letter")) == 100


def test_a_tour_is_printed_with_its_text(opened: Opened, tmp_path: Path) -> None:
    _, loss, feed = runs.spiral()
    tour = [("softmax_1/divide", "Each row adds up to 1."), ("dense_1/matmul", "<b>first</b>"), ("relu_1", "then")]
    gn.trace(loss, feed).to_html(tmp_path / "tour.html", tour=tour)
    page = opened(tmp_path / "tour.html")
    # In the order of evaluation, whatever the order of the tour is.
    assert [title.split()[1] for title in cards(page, "tour")] == ["dense_1/matmul", "relu_1", "softmax_1/divide"]
    assert page.locator(".card .station").all_inner_texts() == ["<b>first</b>", "then", "Each row adds up to 1."]


def test_numbers_that_are_to_be_found_are_not_told(opened: Opened, tmp_path: Path) -> None:
    g = gn.Graph("exercise")
    x = g.placeholder("x", shape=("batch",))
    g.outputs["y"] = y = gn.sum(x * 3.0)
    gn.trace(y, {x: [1111.0, 2222.0]}).to_html(tmp_path / "hide.html", hide=["multiply"])
    page = opened(tmp_path / "hide.html")
    assert len(cards(page)) == 2
    told = page.locator("#printed").text_content() or ""
    assert "This number is for you to find." in told
    assert "1111" in told
    assert "3333" not in told
    assert "6666" not in told


def test_the_keyboard_is_enough(opened: Opened) -> None:
    page = opened("step")
    page.evaluate(NO_DIALOG)
    here = page.locator("#node").inner_text()
    button = page.get_by_role("button", name="Print", exact=True)
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Print operations, two to a sheet")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.type("fold/f t")  # of the page's own keys none does anything here
    page.keyboard.press("Escape")  # empties the search, as it does everywhere
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(button).to_be_focused()
    assert page.locator("#node").inner_text() == here
    page.keyboard.press("Enter")
    page.get_by_label("Search the operations to print").focus()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("relu")
    page.keyboard.press("Enter")
    until(page, "document.querySelectorAll('.card').length > 0")
    assert all("relu" in title for title in page.locator(".card h2").all_inner_texts())


def test_where_the_browser_does_not_print_it_says_so(opened: Opened) -> None:
    """In a frame of a notebook, nothing comes of it."""
    page = opened("step")
    page.evaluate("() => { window.print = () => {}; }")
    ask(page)
    page.locator("#print-now").click()
    expect(page.locator("#print-says")).to_have_text(
        "The browser does not print from here. Open the page in a window of its own."
    )
    page.keyboard.press("Escape")
    page.evaluate("() => { window.dispatchEvent(new Event('beforeprint')); }")
    assert not page.locator(".card").count()


def test_the_diagram_is_where_it_was(opened: Opened) -> None:
    page = opened("nested")
    where = (
        "JSON.stringify([picture.view, picture.x, picture.y, picture.scale, shown.place, shown.cell, heatmaps.length])"
    )
    before = page.evaluate(where)
    cards(page)
    # A browser may make the window narrower for paper; the page waits a moment after that, and this one as long.
    page.evaluate(
        """() => new Promise((done) => {
          window.dispatchEvent(new Event("resize"));
          setTimeout(done, 100);
        })"""
    )
    page.evaluate(ENDED)
    settled(page)
    assert page.evaluate(where) == before


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_dialog_is_in_sight_and_axe_finds_no_fault_in_it(size: str, theme: str, opened: Opened) -> None:
    page = opened("step", size=size, theme=theme)
    ask(page, text="relu")
    seen = page.locator("#print-what").bounding_box()
    wide, high = SIZES[size]
    assert seen is not None
    assert 0 <= seen["x"] <= seen["x"] + seen["width"] <= wide
    assert 0 <= seen["y"] <= seen["y"] + seen["height"] <= high
    page.evaluate(AXE)
    found = page.evaluate("axe.run('#print-what')")
    assert [(each["impact"], each["id"]) for each in found["violations"]] == []
    assert found["passes"]
