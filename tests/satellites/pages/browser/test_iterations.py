"""The slider of iterations: each control of it does what it says, and elements lead from one iteration to another."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import runs
from playwright.sync_api import Page, expect
from pointing import equation, go, here, settled

import graphnn as gn
from graphnn import Trace

Opened = Callable[..., Page]


@pytest.fixture(scope="module")
def trace() -> Trace:
    return runs.loop()


def slider(page: Page) -> str:
    return page.locator("#iteration-name").text_content() or ""


def test_the_slider_and_the_keys_choose_the_iteration(opened: Opened) -> None:
    page = opened("loop")
    assert slider(page) == "iteration 0 of scan_1 (12 in all)"
    go(page, "scan_1@0/tanh")
    page.keyboard.press(".")
    assert here(page) == "scan_1@1/tanh"
    page.keyboard.press(".")
    page.keyboard.press(",")
    assert slider(page) == "iteration 1 of scan_1 (12 in all)"
    page.locator("#iteration").fill("7")
    assert here(page) == "scan_1@7/tanh"
    page.locator("#iteration").press("ArrowRight")
    assert here(page) == "scan_1@8/tanh"
    page.get_by_role("button", name="The next iteration").click()
    assert here(page) == "scan_1@9/tanh"
    page.locator("#iteration").fill("11")
    assert page.get_by_role("button", name="The next iteration").is_disabled()
    page.keyboard.press(".")
    assert here(page) == "scan_1@11/tanh"


def test_an_element_of_the_last_state_leads_back_to_the_first_iteration(opened: Opened, trace: Trace) -> None:
    page = opened("loop")
    go(page, "scan_1/loop_item")
    last = trace["scan_1/loop_item"].value
    assert equation(page) == f"scan_1/loop_item[0, 0] = {last[0, 0]:#.4g}"
    page.click("#from")
    assert here(page) == "scan_1@11/tanh"
    for t in range(11, 0, -1):
        go(page, f"scan_1@{t}/h0")
        page.click("#from")
        assert here(page) == f"scan_1@{t - 1}/tanh"
    go(page, "scan_1@0/h0")
    page.click("#from")
    assert here(page) == "h0"


def test_an_element_of_the_results_leads_to_its_row_and_a_row_to_its_array(opened: Opened) -> None:
    page = opened("loop")
    go(page, "scan_1/loop_item_2")
    page.evaluate("choose(8 * 5 + 3)")
    settled(page)
    expect(page.locator("#from")).to_have_text("from scan_1@5/multiply[0, 3]")
    page.click("#from")
    assert here(page) == "scan_1@5/multiply"
    go(page, "scan_1@5/x")
    expect(page.locator("#from")).to_have_text("from x[5, 0, 0]")


def test_the_loop_of_the_gradient_goes_with_that_of_the_pass_forwards(opened: Opened) -> None:
    page = opened("loop")
    go(page, "scan_1@0/tanh")
    page.locator("#iteration").fill("4")
    go(page, "grad/scan_1@4/cotangent")
    assert slider(page) == "iteration 4 of grad/scan_1 (12 in all)"
    page.keyboard.press(".")  # on in its own order: to the row before
    assert here(page) == "grad/scan_1@3/cotangent"
    expect(page.locator("#series")).to_have_attribute("aria-label", re.compile("over the iterations"))


def test_a_loop_has_its_time_and_what_is_in_it_has_none(opened: Opened, trace: Trace, tmp_path: Path) -> None:
    trace.to_html(tmp_path / "loop.html")
    page = opened(tmp_path / "loop.html")
    marks = """upTo(nodes.name.length).filter((place) => /scan_1(@|.loop_item)/.test(nodes.name[place]))
        .map((place) => markOfTime(0, place))"""
    assert set(page.evaluate(marks)) == {None}
    whole = "merged(OVERLAYS.time, upTo(nodes.name.length)).number"
    loops = page.evaluate("data.loops.map((loop) => merged(OVERLAYS.time, loop.places).number)")
    assert len(loops) == 2
    of_loops = [record for record in trace if record.op.name in ("loop", "loop_item")]
    assert sum(loops) == pytest.approx(1e9 * sum(record.time for record in of_loops), abs=len(of_loops))
    computed = [record for record in trace if record.op.name not in ("placeholder", "parameter", "constant")]
    assert page.evaluate(whole) == pytest.approx(1e9 * sum(record.time for record in computed), abs=len(trace))


def test_a_finding_names_its_iteration_whichever_is_shown(opened: Opened, tmp_path: Path) -> None:
    xs = gn.Graph("logs").placeholder("xs", shape=("time",))
    _, logs = gn.scan(lambda h, x: (h + x, gn.log(h + x)), np.zeros(()), xs)
    gn.trace(gn.sum(logs), {xs: [1.0, 1.0, 1.0, -5.0, 9.0, 1.0]}).to_html(tmp_path / "logs.html")
    page = opened(tmp_path / "logs.html")
    assert here(page) == "scan_1@3/log"
    page.locator("#iteration").fill("1")
    assert here(page) == "scan_1@1/log"
    expect(page.locator("#findings")).to_have_text("error, log-of-negative: scan_1@3/log")
    page.locator("#findings button").click()
    assert here(page) == "scan_1@3/log"


def test_a_link_names_the_iteration(opened: Opened) -> None:
    page = opened("loop")
    go(page, "scan_1@0/tanh")
    page.locator("#iteration").fill("3")
    link = page.locator("#link").get_attribute("href")
    assert link == "#scan_1%403%2Ftanh"
    page.goto(f"{page.url.partition('#')[0]}#scan_1%406%2Fmultiply")
    settled(page)
    assert here(page) == "scan_1@6/multiply"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_body_is_in_the_diagram_and_without_loops_there_is_no_slider(opened: Opened, theme: str) -> None:
    page = opened("loop", theme=theme)
    go(page, "scan_1@0/tanh")
    page.keyboard.press("o")
    settled(page)
    frames = page.locator("g.frame text").all_text_contents()
    assert "scan_1 ×time" in frames
    assert page.locator("g.box.now text").first.text_content() == "tanh"
    assert not opened("step", theme=theme).locator("#loop").is_visible()
