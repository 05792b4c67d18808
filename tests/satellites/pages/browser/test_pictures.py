"""Pictures in a browser, which may have neither Helvetica nor Arial: text stays in its box."""

import re
from typing import Any

import forty
import pytest
from playwright.sync_api import Browser

import graphnn as gn
from graphnn import demo
from graphnn.view import Diagram

# Of each box, the lines of text that reach beyond its outline.
STICKING_OUT = """() => [...document.querySelectorAll('g[data-name^="n"]:not([data-name*="->"])')].flatMap((box) => {
  const outline = box.querySelector("rect, ellipse, path, polygon")?.getBBox();
  return !outline ? [] : [...box.querySelectorAll("text")].filter((text) => {
    const { x, width } = text.getBBox();
    return x < outline.x - 0.5 || x + width > outline.x + outline.width + 0.5;
  }).map((text) => text.textContent);
})"""


def pictures() -> dict[str, Diagram]:
    fetches, feed = demo.build()
    both: dict[str, Any] = {"overlay": ["values", "gradients"], "engine": "plain"}
    return {
        "neuron": gn.draw(forty.neuron(), **both),
        "network, dark": gn.draw(fetches["loss"], feed, theme="dark", **both),
        "transformer": gn.draw(forty.transformer(2), "leaf", engine="plain"),
        "siamese": gn.draw(forty.siamese(), engine="plain"),
    }


@pytest.fixture(scope="module")
def drawn() -> dict[str, str]:
    return {name: diagram.svg() for name, diagram in pictures().items()}


@pytest.mark.parametrize("name", ["neuron", "network, dark", "transformer", "siamese"])
def test_text_stays_in_its_box_in_a_wide_font(name: str, browser: Browser, drawn: dict[str, str]) -> None:
    svg = drawn[name][drawn[name].index("<svg") :]
    wide = re.sub('font-family="[^"]*"', 'font-family="DejaVu Sans,Verdana,monospace"', svg)
    with browser.new_page() as page:
        for shown in (svg, wide):
            page.set_content(shown)
            assert page.locator("g[data-name^=n] text").count() > 10
            assert page.evaluate(STICKING_OUT) == []
        page.set_content(re.sub(' textLength="[^"]*"', "", wide))
        assert name != "transformer" or page.evaluate(STICKING_OUT) != []  # so it would be seen
