"""Three hundred pages of those who mean harm: nothing of theirs runs, asks for anything, or breaks the script."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import hostile_operations
import numpy as np
import pytest
from hostile import TEXTS, Hostile
from playwright.sync_api import Page, expect

import graphnn as gn

CHUNKS, SIZE = 20, 15

# Everything that may be handed to a function of `graphnn`; what is refused is refused by an Error.
CALLS = """async (names) => {
  const odd = [
    undefined, null, NaN, 1e999, -1, 1e308, 0.5, -0, true, "", "x", "__proto__", "constructor", "toString", "1e999",
    ...names, 0, 10n ** 400n, Symbol("s"), {}, Object.create(null), { toString: null, valueOf: null },
    { get length() { throw new Error("mine"); } }, () => (window.ran = 1), "x".repeat(1e5), document.body, window,
  ];
  const indices = [...odd, [], [0, 0], [-1, 1e999], ["0", "0"], [[0]], [, 0], new Array(1e4).fill(0), [{}, []], [0n]];
  const numbers = [1, 1e308, -0, NaN, 1e999, -1e999, ...odd];
  const pick = (list, k) => list[k % list.length], found = [];
  const ask = async (name, ...given) => {
    try {
      await graphnn[name](...given);
    } catch (error) {
      if (!(error instanceof Error)) found.push(`${name} throws what is no error`);
    }
  };
  for (let k = 0; k < 60; k++) {
    await ask("value", pick(odd, k));
    await ask("set", pick(names, k), pick(indices, 7 * k), pick(numbers, 3 * k));
    await ask("set", pick(odd, k), pick(indices, 5 * k), pick(numbers, k));
    if (pick(odd, k) !== 1e308) await ask("train", pick(odd, k));
  }
  await ask("train", 2);
  await ask("loss");
  try { graphnn.value = 1; } catch {}
  if (!Object.isFrozen(graphnn) || !Array.isArray(graphnn.unknown)) found.push("graphnn was changed");
  await ask("reset");
  return found;
}"""


def used(page: Page, hostile: Hostile) -> None:
    """Type, upload, call and follow what the number of the page says."""
    rng = hostile.rng
    page.evaluate("(number) => go(number % nodes.name.length)", rng.randrange(100))
    page.evaluate("drawAll()")
    for field in ["#edit-number", "#answer"]:
        if page.locator(field).is_visible() and page.locator(field).is_enabled():
            page.fill(field, hostile.text().replace("\n", " ")[:500])
            page.press(field, "Enter")
    for button in ["#tour-next", "#train-step", "#undo", "#train-back", "#play-film"]:
        if page.locator(button).is_visible() and page.locator(button).is_enabled():
            page.click(button)
    page.fill("#search", hostile.text()[:200])
    page.evaluate("(asking.places = askedFor('all', ''), toPaper(true), (asking.places = null), toPaper(false))")
    page.press("#search", "Enter")
    page.evaluate(
        "(hash) => void (location.hash = hash)",
        f"{hostile.text()[:200]}&cell={hostile.text()[:20]}&step=1e999&__proto__=1",
    )
    if page.locator("#table").is_visible():
        name = rng.choice(["a.csv", "<b>.csv", "</script>.csv", "__proto__"])
        page.set_input_files("#table", [{"name": name, "mimeType": "text/csv", "buffer": hostile.table().encode()}])
        expect(page.locator("#live-says")).not_to_be_empty()
    for overlay in ["values", "gradients"]:
        page.get_by_label("What is laid over the diagram").select_option(overlay)
    saved = {
        each.tag.rpartition("}")[2] for each in ElementTree.fromstring(page.evaluate("inFull(pictureText)")).iter()
    }
    assert saved <= {"svg", "g", "title", "rect", "ellipse", "path", "polygon", "text", "tspan"}
    names = [node.name for node in hostile.nodes]
    assert page.evaluate(CALLS, names) == []


CHECKS = """() => {
  const all = [...document.querySelectorAll("*")], attributes = all.flatMap((each) => [...each.attributes]);
  const leads = ({ name, value }) => /^(href|src|action|xlink:href)$/i.test(name) && !value.startsWith("#");
  const strange = "img, iframe, object, embed, link, base, form, foreignObject, #diagram a, #diagram script";
  return {
    ran: window.ran !== undefined,
    scripts: document.scripts.length,
    strangers: document.querySelectorAll(strange).length,
    handlers: attributes.filter((each) => /^on/i.test(each.name) || leads(each)).length,
    polluted: Object.keys(Object.prototype).length,
    failed: !document.querySelector("#failed").hidden,
  };
}"""
FINE = {"ran": False, "scripts": 1, "strangers": 0, "handlers": 0, "polluted": 0, "failed": False}


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_hostile_pages_run_nothing(chunk: int, opened: Callable[..., Page], tmp_path: Path) -> None:
    """The fixture sees every request, dialog, violation of the policy and line of the console."""
    page: Any = None
    for number in range(chunk * SIZE, (chunk + 1) * SIZE):
        hostile = Hostile(number)
        path = hostile.save(tmp_path / "hostile.html")
        if page is None:
            page = opened(path)
        else:
            page.goto("about:blank")
            page.goto(path.as_uri())
            page.wait_for_selector("html[data-ready]", state="attached")
        used(page, hostile)
        assert (number, page.evaluate(CHECKS)) == (number, FINE)


@pytest.mark.parametrize("text", TEXTS)
def test_settings_of_operations_are_text(text: str, opened: Callable[..., Page], tmp_path: Path) -> None:
    x = gn.Graph().placeholder("x", ("batch", 2))
    y = hostile_operations.HostileOperation(text=text, constructor=text)(x)
    gn.trace(y, {x: np.ones((3, 2))}).to_html(tmp_path / "page.html")
    page = opened(tmp_path / "page.html")
    page.evaluate("go(placeOf.get('hostile_operation'), 0)")
    expect(page.locator("#equation")).to_contain_text("</script><b>")
    expect(page.locator("#live-why")).to_contain_text("it has hostile_operation, which")
    assert page.evaluate("graphnn.unknown") == ["hostile_operation"]
    assert page.evaluate(CHECKS) == FINE
