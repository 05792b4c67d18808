"""Branches: the side that was taken shows its values, and the other one that it has not run."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from pointing import equation, go, here, settled

import graphnn as gn
from graphnn import nn

Opened = Callable[..., Page]


def state_of(page: Page, title: str, frame: str) -> str:
    """Return the classes of the box of a title inside a frame."""
    found = page.evaluate(
        """([title, frame]) => {
            const at = upTo(nodes.name.length).find((place) => nodes.name[place] === `${frame}/${title}`);
            return picture.boxes[picture.boxOf.get(at)].group.getAttribute("class");
        }""",
        [title, frame],
    )
    return str(found)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_side_that_was_not_taken_is_pending_and_says_so(opened: Opened, theme: str) -> None:
    page = opened("branch", theme=theme)
    go(page, "cond_1@then/log")
    assert "log" in equation(page)
    page.keyboard.press("o")
    settled(page)
    frames = page.locator("g.frame text").all_text_contents()
    assert {"cond_1", "then", "otherwise"} <= set(frames)
    assert "done" in state_of(page, "log", "cond_1@then")
    assert "wait" in state_of(page, "tanh", "cond_1@otherwise")
    go(page, "cond_1@otherwise/tanh")
    expect(page.locator("#about")).to_contain_text("not computed: the other side was taken")
    assert not page.locator("#loop").is_visible(), "a branch has no iterations"


def test_a_number_of_a_branch_leads_into_the_side_that_was_taken(opened: Opened) -> None:
    page = opened("branch")
    go(page, "cond_1/loop_item")
    page.click("#from")
    assert here(page) == "cond_1@then/log"
    ancestors = page.evaluate(
        "[...ancestry(0, placeOf.get('loss') ?? placeOf.get('mean'), 0).keys()].map((at) => nodes.name[at])"
    )
    assert "cond_1@then/log" in ancestors
    assert not [name for name in ancestors if "@otherwise" in name]


def test_steps_pass_over_the_side_that_was_not_taken(opened: Opened) -> None:
    page = opened("branch")
    page.keyboard.press("Home")
    seen = []
    while not seen or here(page) != seen[-1]:
        seen.append(here(page))
        page.keyboard.press("ArrowRight")
    assert "cond_1@then/log" in seen
    assert not [name for name in seen if "@otherwise" in name]


def test_a_link_names_the_side(opened: Opened) -> None:
    page = opened("branch")
    go(page, "cond_1@then/add")
    assert page.locator("#link").get_attribute("href") == "#cond_1%40then%2Fadd"
    page.goto(f"{page.url.partition('#')[0]}#cond_1%40otherwise%2Fmultiply")
    settled(page)
    assert here(page) == "cond_1@otherwise/multiply"


def test_a_loop_beside_a_branch_keeps_the_choice_of_its_iterations(opened: Opened, tmp_path: Path) -> None:
    xs = gn.Graph().placeholder("xs", ("n", 2))
    y = gn.cond(gn.sum(xs) > 0.0, lambda: gn.sin(xs), lambda: gn.cos(xs))
    last, _ = gn.scan(lambda state, x: gn.tanh(state + x), np.zeros(2), y)
    gn.trace(gn.sum(last), {xs: np.ones((3, 2))}).to_html(tmp_path / "both.html")
    page = opened(tmp_path / "both.html")
    chosen = page.locator("#iteration-name")
    expect(chosen).to_have_text("iteration 0 of scan_1 (3 in all)")
    go(page, "cond_1@then/sin")
    expect(chosen).to_have_text("iteration 0 of scan_1 (3 in all)")
    page.keyboard.press(".")
    expect(chosen).to_have_text("iteration 1 of scan_1 (3 in all)")
    assert here(page) == "cond_1@then/sin"


def test_a_film_shows_in_each_step_the_side_that_it_took(opened: Opened, tmp_path: Path) -> None:
    g = gn.Graph("film")
    x, flag = g.placeholder("x", shape=("batch", 2)), g.placeholder("flag", (), bool)
    h = nn.Dense(2, rng=np.random.default_rng(0))(x)
    loss = gn.mean(gn.cond(flag, lambda: gn.tanh(h), lambda: gn.sin(h)) ** 2.0)
    step = gn.compile(loss, nn.SGD(0.1).updates(loss))
    with gn.recording(step) as film:
        step({x: np.ones((3, 2)), flag: True})
        step({x: np.ones((3, 2)), flag: False})
    film.to_html(tmp_path / "film.html")
    page = opened(tmp_path / "film.html")
    for number, (taken, other) in enumerate([("then/tanh", "otherwise/sin"), ("otherwise/sin", "then/tanh")]):
        page.locator("#step").fill(str(number))
        go(page, f"cond_1@{taken}")
        assert not page.get_by_text("not computed").is_visible()
        go(page, f"cond_1@{other}")
        expect(page.get_by_text("not computed: the other side was taken")).to_be_visible()
        go(page, "cond_1/loop_item")
        page.click("#from")
        assert here(page) == f"cond_1@{taken}"
