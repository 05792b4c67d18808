"""The pages in docs/replay are what the library makes."""

import importlib

import pytest
from places import ROOT


def test_the_pages_of_the_documentation_are_what_the_library_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ROOT / "docs" / "replay"
    monkeypatch.syspath_prepend(folder)
    make = importlib.import_module("make")
    for name, page in make.pages().items():
        kept, now = (make.told(text) for text in ((folder / f"{name}.html").read_text("utf-8"), page.html))
        again = f"{name}: run `python docs/replay/make.py`"
        assert kept["around"] == now["around"], again
        for key in ("kind", "graph", "nodes", "files", "outputs", "opening"):
            assert kept["data"][key] == now["data"][key], again
        assert [view["titles"] for view in kept["data"]["views"]] == [view["titles"] for view in now["data"]["views"]]
