"""The pages in docs/replay are what the library makes, and those of the lessons compute."""

import importlib
import re
from typing import Any

import pytest
from places import ROOT


@pytest.fixture(scope="module")
def make() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs" / "replay")
        return importlib.import_module("make")


@pytest.fixture(scope="module")
def pages(make: Any) -> Any:
    return make.pages()


def test_the_pages_of_the_documentation_are_what_the_library_makes(make: Any, pages: Any) -> None:
    folder = ROOT / "docs" / "replay"
    assert {path.stem for path in folder.glob("*.html")} == {*pages}
    for name, page in pages.items():
        kept, now = (make.told(text) for text in ((folder / f"{name}.html").read_text("utf-8"), page.html))
        again = f"{name}: run `python docs/replay/make.py`"
        assert kept["around"] == now["around"], again
        assert str(ROOT) not in str(now), "a page names a folder of this machine"
        for key in ("kind", "graph", "nodes", "files", "outputs", "opening", "tour"):
            assert kept["data"].get(key) == now["data"].get(key), again
        assert [view["titles"] for view in kept["data"]["views"]] == [view["titles"] for view in now["data"]["views"]]


def test_each_lesson_shows_a_page_that_computes(pages: Any) -> None:
    for lesson in sorted((ROOT / "docs").glob("lesson-*.md")):
        shown = re.findall(r"<img [^>]*>\]\(replay/(\w+)\.html\)", lesson.read_text(encoding="utf-8"))
        assert shown, f"{lesson.name} shows no page"
        for name in shown:
            live = pages[name].data["live"]
            assert "nodes" in live, f"{lesson.name}: {live['why']}"
