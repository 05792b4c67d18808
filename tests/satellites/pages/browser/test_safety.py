"""What names, values, errors and source lines say is shown as it stands, and nothing of it runs."""

import html
import importlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import runs
from conftest import VIOLATIONS
from playwright.sync_api import Browser, Page, expect
from pointing import go, here

import graphnn as gn

Opened = Callable[..., Page]

HOSTILE = [
    "</script><script>window.ran = 1</script>",
    "<img src=x onerror=window.ran=1>",
    '"><svg onload="window.ran=1">',
    "<!--<script>",
    "]]></svg><script>window.ran=1</script>",
    "@@data@@ @@script@@",
    "__proto__",
    "javascript:window.ran=1",
]

MODEL = """
import graphnn as gn

def build():
    g = gn.Graph("<i>graph</i>")
    x = g.placeholder("x", shape=("batch",))
    # </script><script>window.ran = 1</script> <b>
    return gn.exp(x, name="</title><b>"), {x: [1.0]}  # <img src=x onerror=window.ran=1> &lt; "'`
"""


@pytest.mark.parametrize("text", HOSTILE)
def test_names_are_shown_as_they_stand(text: str, opened: Opened, tmp_path: Path) -> None:
    g = gn.Graph(text)
    x = g.placeholder("x", shape=("batch", 2))
    with g.scope(text.replace("/", "|")):
        y = gn.exp(x, name=text.replace("/", "|"))
    g.outputs[f"{text}!"] = y
    path = gn.trace([y, gn.sum(y)], {x: np.ones((3, 2))}).to_html().save(tmp_path / "page.html")
    page = opened(path)
    expect(page.locator("h1")).to_have_text(text)
    page.evaluate("(name) => go(nodes.name.indexOf(name))", y.name)
    assert here(page) == y.name
    assert page.locator("#equation .equation").text_content() == f"{y.name}[0, 0] = 2.718 = exp(1)"
    for view in range(page.evaluate("data.views.length")):
        page.evaluate("(view) => changeView(view)", view)
        assert page.locator("#diagram script, #diagram img, #diagram a, #diagram foreignObject").count() == 0
    page.get_by_label("What is laid over the diagram").select_option("values")
    page.fill("#search", y.name[-5:])
    assert y.name in page.locator("#matches").text_content()
    page.evaluate("(asking.places = askedFor('all', ''), toPaper(true))")
    assert page.locator(".card h2").first.text_content().endswith(y.name)
    assert page.evaluate("[...document.querySelectorAll('#printed *')].every((each) => !each.hasAttribute('onload'))")
    assert page.locator("script, img, iframe, object, embed").count() == 1  # the script of the page
    assert page.evaluate("window.ran") is None


def test_source_lines_are_shown_as_they_stand(opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hostile_model.py").write_text(MODEL)
    monkeypatch.syspath_prepend(tmp_path)
    fetches, feed = importlib.import_module("hostile_model").build()
    page = opened(gn.trace(fetches, feed).to_html().save(tmp_path / "page.html"))
    go(page, "</title><b>")
    line = page.locator("#source .line.here span").last.text_content() or ""
    assert line.strip() == MODEL.splitlines()[7].strip()
    expect(page.locator("#source")).to_contain_text("# </script><script>window.ran = 1</script> <b>")
    assert page.evaluate("window.ran") is None


def test_errors_are_shown_as_they_stand(opened: Opened, tmp_path: Path) -> None:
    g = gn.Graph("errors")
    n = g.placeholder("<b>n</b>", shape=(2,), dtype=np.int64)
    with pytest.raises(gn.GraphnnError) as caught:
        gn.trace(gn.negative(6 // n, name="<script>window.ran=1<"), {n: [2, 0]})
    page = opened(caught.value.debug().to_html().save(tmp_path / "page.html"))
    text = page.locator("body").text_content() or ""
    assert "<b>n</b>" in text
    assert page.locator("b", has_text="n</b>").count() == 0
    assert page.evaluate("window.ran") is None


def test_what_is_planted_in_the_file_does_not_run(browser: Browser, tmp_path: Path) -> None:
    file = runs.hidden_nan().to_html().html
    planted = file.replace("<noscript>", "<script>window.ran = 1</script><img src=x onerror='window.ran=1'><noscript>")
    assert planted != file
    (tmp_path / "page.html").write_text(planted, encoding="utf-8")
    page = browser.new_page()
    page.add_init_script(VIOLATIONS)
    page.goto((tmp_path / "page.html").as_uri())
    expect(page.locator("#node")).to_have_text("grad/divide", timeout=15_000)
    assert page.evaluate("window.ran") is None
    assert {"script-src-elem", "img-src"} <= set(page.evaluate("window.violations"))
    page.close()


def test_in_the_frame_of_a_notebook_it_works(browser: Browser) -> None:
    bundle = runs.hidden_nan().to_html()._repr_mimebundle_()
    page = browser.new_page(offline=True)
    page.set_content(f"<!DOCTYPE html><title>notebook</title><p>{html.escape(bundle['text/plain'])}</p>")
    page.evaluate("(html) => document.body.insertAdjacentHTML('beforeend', html)", bundle["text/html"])
    frame = page.frame_locator("iframe")
    expect(frame.locator("#node")).to_have_text("grad/divide", timeout=15_000)
    frame.get_by_role("button", name="One operation back").click()
    expect(frame.locator("#node")).to_have_text("grad/where")
    page.close()


def test_without_what_it_needs_it_says_so(browser: Browser, tmp_path: Path) -> None:
    path = runs.hidden_nan().to_html().save(tmp_path / "page.html")
    page = browser.new_page()
    page.add_init_script("delete window.DecompressionStream;")
    page.goto(path.as_uri())
    expect(page.get_by_role("alert")).to_contain_text("It needs a browser of 2023 or later", timeout=15_000)
    page.close()
