"""What others have written is data of a page, never a part of it; some of the pages that the browser's tests open."""

import html
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hostile import TEXTS, Hostile
from page_trainings import losses, losses_of_page

import graphnn as gn


class Parts(HTMLParser):
    """The tags of a file with their attributes, and its texts but for the title and the packed data."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.parts: list[object] = []
        self.apart = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.parts.append((tag, attrs))
        self.apart = tag == "title" or ("id", "data") in attrs

    def handle_endtag(self, tag: str) -> None:
        self.parts.append(f"/{tag}")
        self.apart = False

    def handle_data(self, data: str) -> None:
        if not self.apart:
            self.parts.append(data)


@pytest.mark.parametrize("number", range(25))
def test_names_and_texts_are_data_of_the_page(number: int, tmp_path: Path) -> None:
    hostile = Hostile(number)
    x = gn.Graph("plain").placeholder("x", ("batch",))
    usual = gn.trace(gn.exp(x), {x: [1.0]}).to_html(live=hostile.kind != "beside")
    assert Parts(hostile.save(tmp_path / "page.html").read_text("utf-8")).parts == Parts(usual.html).parts


@pytest.mark.parametrize("text", TEXTS)
def test_a_title_is_text(text: str) -> None:
    g = gn.Graph(text)
    x = g.placeholder("x", ("batch",))
    page = gn.trace(gn.exp(x), {x: [1.0]}).to_html().html
    assert page.index("</title>") == page.index("<title>") + len("<title>") + len(
        page.split("<title>")[1].split("<")[0]
    )
    assert html.unescape(page.split("<title>")[1].split("<")[0]).endswith(" — replay")


if node := shutil.which("node"):

    @pytest.mark.parametrize("number", range(0, 25, 5))
    def test_names_do_not_change_what_is_computed(number: int, tmp_path: Path) -> None:
        hostile = Hostile(number)
        found = losses_of_page(node, hostile.save(tmp_path / "page.html"), 3)
        with np.errstate(all="ignore"):
            expected = losses((hostile.step, hostile.feed), 3)
        np.testing.assert_allclose([float("nan") if x is None else x for x in found], expected, rtol=1e-10)
