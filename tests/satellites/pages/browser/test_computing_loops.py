"""Loops and branches on a page that computes: training, iterations, other sides, and what does not settle."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from engine_runs import Run, differences, lstm, runs_script
from playwright.sync_api import Page, expect
from test_loops_computed import CASES

import graphnn as gn

Opened = Callable[..., Page]


def value(page: Page, name: str) -> list[float]:
    found: list[float] = page.evaluate("(name) => graphnn.value(name).then((v) => [...v.data].map(Number))", name)
    return found


def look_at(page: Page, name: str) -> None:
    page.fill("#search", name)
    page.press("#search", "Enter")


def test_all_kinds_of_loops_give_what_python_gives(opened: Opened, tmp_path: Path) -> None:
    step, feed = lstm()
    gn.trace(step, feed).to_html(tmp_path / "page.html")
    page = opened(tmp_path / "page.html")
    runs = {name: Run(*make()) for name, make in CASES.items()}
    script = f"(cases) => {{ {runs_script()}\nreturn cases.map(attempted); }}"
    found = page.evaluate(script, [run.told() for run in runs.values()])
    wrong = {name: differences(run, each) for (name, run), each in zip(runs.items(), found, strict=True)}
    assert {name: told[:3] for name, told in wrong.items() if told} == {}


def test_an_lstm_trains_and_its_iterations_follow(opened: Opened, tmp_path: Path) -> None:
    step, feed = lstm()
    gn.trace(step, feed).to_html(tmp_path / "lstm.html", live=True)
    page = opened(tmp_path / "lstm.html")
    losses = [float(step(feed)) for _ in range(100)]
    np.testing.assert_allclose(page.evaluate("graphnn.train(100)"), losses, rtol=1e-6)
    now = gn.trace(step, feed)
    for name in ("scan_1@0/tanh_2", "scan_1@4/multiply_3", "grad/scan_1@2/grad/matmul"):
        np.testing.assert_allclose(value(page, name), now[name].value.reshape(-1), rtol=1e-6, atol=1e-9)
    said = page.evaluate("graphnn.set('scan_1@0/tanh_2', [0, 0], 1).catch((error) => error.message)")
    assert said == "what is inside a loop or a branch follows from its operands: set these"
    look_at(page, "scan_1@0/tanh_2")
    expect(page.locator("#iteration-name")).to_contain_text("of scan_1 (5 in all)")
    first = page.locator("#equation").inner_text()
    assert "when it was recorded" in first
    page.click("#iteration-on")
    expect(page.locator("#iteration-name")).to_contain_text("iteration 1 of scan_1")
    assert page.locator("#equation").inner_text() != first
    page.evaluate("graphnn.set('scan_1/loop_item', [0, 0], 1)")
    expect(page.locator("#same-key")).to_have_text("not recomputed")
    page.click("#reset")
    expect(page.locator("#equation")).not_to_contain_text("when it was recorded")


def test_a_loop_makes_as_many_iterations_as_its_condition_says_now(opened: Opened, tmp_path: Path) -> None:
    g = gn.Graph()
    w = g.parameter("w", 1.5)
    x = g.placeholder("x", ())
    last, count = gn.while_loop(lambda s: s < 10.0, lambda s: s * w + 0.1, x, 30, steps=True)
    g.outputs["last"], g.outputs["count"] = last, count
    fetches, feed = [last, count, gn.grad(last, w)], {x: 1.0}
    gn.trace(fetches, feed).to_html(tmp_path / "while.html", live=True)
    page = opened(tmp_path / "while.html")
    look_at(page, "while_1@2/multiply")
    expect(page.locator("#iteration-name")).to_contain_text(f"({int(gn.run(count, feed))} in all)")
    page.evaluate("graphnn.set('w', [], 1.1)")
    w.value = np.asarray(1.1)
    steps = int(gn.run(count, feed))
    expect(page.locator("#iteration-name")).to_contain_text(f"({steps} in all)")
    for node in fetches:
        assert value(page, node.name) == [pytest.approx(float(gn.run(node, feed)), rel=1e-12)]
    page.evaluate("graphnn.set('x', [], 50)")
    expect(page.locator("#iteration-name")).to_contain_text("no iteration")
    assert value(page, last.name) == [50]
    page.click("#undo")
    expect(page.locator("#iteration-name")).to_contain_text(f"({steps} in all)")
    assert "has not run" in page.evaluate("graphnn.value('while_1@999/multiply').catch((e) => e.message)")


def test_the_other_side_of_a_branch_is_taken(opened: Opened, tmp_path: Path) -> None:
    g = gn.Graph()
    x = g.placeholder("x", ())
    y = gn.cond(x > 0, lambda: gn.exp(x), lambda: gn.tanh(x) * 3.0)
    g.outputs["y"] = y
    gn.trace(y, {x: 1.0}).to_html(tmp_path / "cond.html", live=True)
    page = opened(tmp_path / "cond.html")
    assert value(page, "cond_1@then/exp") == [pytest.approx(np.e, rel=1e-14)]
    page.evaluate("graphnn.set('x', [], -1)")
    assert page.evaluate("graphnn.loss()") == pytest.approx(3 * np.tanh(-1.0), rel=1e-14)
    assert value(page, "cond_1@otherwise/tanh") == [pytest.approx(np.tanh(-1.0), rel=1e-14)]
    assert "has not run" in page.evaluate("graphnn.value('cond_1@then/exp').catch((e) => e.message)")
    look_at(page, "cond_1@otherwise/tanh")
    expect(page.locator("#equation")).to_contain_text("cond_1@otherwise/tanh = -0.7616")
    look_at(page, "cond_1@then/exp")
    expect(page.locator("#about")).to_contain_text("the other side was taken")


def test_a_fixed_point_that_does_not_settle_is_said_and_taken_back(opened: Opened, tmp_path: Path) -> None:
    g = gn.Graph()
    w = g.parameter("w", 0.5)
    g.outputs["z"] = z = gn.fixed_point(lambda z: w * z + 1.0, w * 0.0, max_steps=200)
    gn.trace([z, gn.grad(z, w)], {}).to_html(tmp_path / "fixed.html", live=True)
    page = opened(tmp_path / "fixed.html")
    assert page.evaluate("graphnn.loss()") == pytest.approx(2.0, rel=1e-9)
    said = page.evaluate("graphnn.set('w', [], 1.5).then(() => '', (error) => error.message)")
    assert "does not stay as it is: in step 200 of at most 200" in said
    assert page.evaluate("graphnn.loss()") == pytest.approx(2.0, rel=1e-9)
    page.evaluate("graphnn.set('w', [], 0.75)")
    assert page.evaluate("graphnn.loss()") == pytest.approx(4.0, rel=1e-9)


def test_a_playground_of_layers_in_a_loop_sees_the_plane_and_takes_batches(opened: Opened, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    g = gn.Graph("deep")
    x, y = g.placeholder("x", ("batch", 2)), g.placeholder("y", ("batch",), np.int64)
    w, b = g.parameter("w", rng.normal(size=(3, 2, 2)) + np.eye(2)), g.parameter("b", np.zeros((3, 2)))
    h, _ = gn.scan(lambda h, layer: gn.tanh(h @ layer[0] + layer[1]) * 2.0, x, (w, b))
    g.outputs["loss"] = loss = gn.nn.categorical_crossentropy(gn.softmax(h), y)
    step = gn.compile(loss, updates=gn.nn.Adam(0.05).updates(loss))
    points = rng.normal(size=(60, 2))
    gn.playground(step, {x: points, y: (points[:, 0] > 0).astype(int)}, tmp_path / "play.html")
    page = opened(tmp_path / "play.html")
    expect(page.locator("#boundary > canvas")).to_be_visible()
    page.locator("#batch").evaluate("(each) => (each.value = 20, each.dispatchEvent(new Event('change')))")
    assert page.evaluate("graphnn.value('scan_1@1/tanh').then((v) => v.shape)") == [20, 2]
    losses = page.evaluate("graphnn.train(60)")
    assert np.mean(losses[-20:]) < np.mean(losses[:20])
    scores = page.evaluate("[...engineOfSeen(data.sight).value(data.sight.outputs).data]")
    assert len(set(np.reshape(scores, (-1, 2)).argmax(axis=1))) == 2


def test_names_in_loops_run_nothing(opened: Opened, tmp_path: Path) -> None:
    """The fixture sees every request, dialog and line of the console."""
    g = gn.Graph("</script><script>alert(1)</script>")
    xs = g.placeholder("<img src=x onerror=alert(1)>", ("__proto__", "constructor"))
    w = g.parameter("toString", 2.0)
    last, rows = gn.scan(lambda h, x: (gn.tanh(h * w + x), gn.cond(gn.sum(x) > 0, lambda: x, lambda: h)), xs[0], xs)
    g.outputs["hasOwnProperty"] = loss = gn.sum(last) + gn.sum(rows)
    feed = {xs: np.ones((3, 2))}
    gn.trace([loss, gn.grad(loss, [w, xs])], feed).to_html(tmp_path / "hostile.html", live=True)
    page = opened(tmp_path / "hostile.html")
    assert page.evaluate("graphnn.loss()") == pytest.approx(float(gn.run(loss, feed)), rel=1e-14)
    page.evaluate("graphnn.set('toString', [], 1)")
    for place in page.evaluate("data.loops[0].places"):
        page.evaluate("(place) => go(place, 0)", place)
    for name in ("scan_1@0/__proto__", "__proto__@0/tanh", "scan_1@constructor/tanh", "@/"):
        assert page.evaluate("(name) => graphnn.value(name).catch((error) => error.message)", name)
