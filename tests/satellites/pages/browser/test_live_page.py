"""The page of a training run, watched in a browser while it trains."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import VIOLATIONS
from playwright.sync_api import Browser, Page, expect
from test_looks import AXE

import graphnn as gn
from graphnn import nn
from graphnn.pages.live import live_page as page_module

SCREENS = {"laptop": (1280, 720), "phone": (390, 844)}


class Training:
    """A training run in a thread of its own, which waits after each epoch until it is let go on."""

    def __init__(self, path: Path, epochs: int = 4, rate: float = 0.1, **more: object) -> None:
        g = gn.Graph("spiral")
        x, y = g.placeholder("x", ("batch", 2)), g.placeholder("y", ("batch",), np.int64)
        rng = np.random.default_rng(0)
        scores = nn.Sequential(nn.Dense(8, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng))(x)
        loss = nn.softmax_crossentropy(scores, y)
        step = gn.compile(loss, nn.SGD(rate).updates(loss))
        X, labels = gn.datasets.spiral(16, classes=3, seed=0)
        self.reached, self.going, self.end = threading.Event(), threading.Semaphore(0), False

        def train() -> None:
            nn.fit(
                step,
                {x: X, y: labels},
                epochs=epochs,
                batch_size=8,
                validation={x: X, y: labels},
                metrics={"accuracy": nn.accuracy(scores, y)},
                callbacks=self.wait,
                page=nn.LivePage(path, **more),
            )

        self.thread = threading.Thread(target=train)
        self.thread.start()

    def wait(self, history: nn.History) -> bool:
        self.reached.set()
        self.going.acquire()
        return self.end

    def finish(self) -> None:
        self.end = True
        self.going.release(100)
        self.thread.join()


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have pages written after each step, so that the browser has to wait only for itself."""
    for name in ("EVERY", "_SECOND"):
        monkeypatch.setattr(page_module, name, 0.0)
    monkeypatch.setattr(page_module, "SHARE", 1e9)


Looked = Callable[..., Page]


@pytest.fixture
def looked(browser: Browser) -> Iterator[Looked]:
    """Open a page; when the test ends, none has asked for anything but itself or complained."""
    complaints: list[str] = []
    pages: list[Page] = []

    def look(path: Path, size: str = "laptop", theme: str = "light") -> Page:
        width, height = SCREENS[size]
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=theme, offline=True, has_touch=size == "phone"
        )
        context.add_init_script(VIOLATIONS)
        page = context.new_page()
        page.on("request", lambda request: request.url == path.as_uri() or complaints.append(f"asked {request.url}"))
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        pages.append(page)
        return page

    yield look
    for page in pages:
        complaints += page.evaluate("window.violations")
        page.context.close()
    assert complaints == []


@pytest.mark.usefixtures("often")
def test_it_is_watched_while_it_trains(looked: Looked, tmp_path: Path) -> None:
    path = tmp_path / "run.html"
    training = Training(path)
    try:
        training.reached.wait()
        page = looked(path)
        expect(page.locator("#state")).to_have_text("training")
        expect(page.locator("#position")).to_contain_text("epoch 0 of 4")
        training.going.release()
        expect(page.locator("#position")).to_contain_text("epoch 1 of 4")
        expect(page.locator("#written")).to_contain_text("ago")
        assert page.locator("section.panel").evaluate_all("all => all.map(each => each.dataset.key)") == [
            *("loss", "accuracy", "nodes gradient", "nodes weight", "nodes update", "nodes activation", "rate")
        ]

        # What one has chosen outlives the reload: the zoom, where one is, what is pinned, and the rest.
        page.locator(".names button", has_text="dense_2/weight").first.click()
        page.get_by_label("log scale").check()
        page.get_by_label("over").select_option("epoch")
        page.evaluate("zoomTo([0.25, 0.75]); window.scrollTo(0, 300); window.seen = true; keep()")
        for _ in range(100):
            training.going.release()
        expect(page.locator("#position")).to_contain_text("epoch 4 of 4")
        assert page.evaluate("window.seen") is None, "it was loaded again"
        assert page.evaluate("[view.zoom, window.scrollY, view.log, view.along]") == [[0.25, 0.75], 300, True, "epoch"]
        assert page.evaluate("panels[0].begin") == 0.25
        expect(page.locator(".names button", has_text="dense_2/weight").first).to_have_attribute("aria-pressed", "true")
        training.thread.join()

        # It ends, and the page with it.
        expect(page.locator("#state")).to_have_text("finished")
        expect(page.get_by_role("button", name="Pause")).to_be_hidden()
        page.evaluate("window.seen = true")
        path.unlink()  # to load it again would fail
        page.evaluate("for (let i = 0; i < 100; i++) again()")
        assert page.evaluate("goesOn()") is False
        assert page.evaluate("window.seen") is True
        page.get_by_role("button", name="Whole training").click()
        assert page.evaluate("extent()[1]") == 4
    finally:
        training.finish()


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SCREENS)
def test_it_can_be_read(size: str, theme: str, looked: Looked, tmp_path: Path) -> None:
    Training(tmp_path / "slow.html", rate=1e-3).finish()
    Training(tmp_path / "fast.html", rate=100.0, beside=tmp_path / "slow.html").finish()
    page = looked(tmp_path / "fast.html", size, theme)
    wide = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide[0] <= wide[1]
    smallest = """() => Math.min(...[...document.querySelectorAll("body *")]
        .filter((each) => each.textContent.trim() && each.getClientRects().length && !each.closest("script, option"))
        .map((each) => parseFloat(getComputedStyle(each).fontSize)))"""
    assert page.evaluate(smallest) >= 11
    expect(page.locator("#faults li").first).to_be_visible()
    expect(page.locator("[data-key=loss] .fault-line")).to_have_count(1)
    page.evaluate(AXE)
    serious = [
        f"{each['impact']} {each['id']}: {[node['html'][:200] for node in each['nodes'][:3]]}"
        for each in page.evaluate("axe.run()")["violations"]
        if each["impact"] in ("serious", "critical")
    ]
    assert not serious, "\n".join(serious)


@pytest.mark.usefixtures("often")
def test_a_drag_zooms_and_keys_read(looked: Looked, tmp_path: Path) -> None:
    Training(tmp_path / "run.html").finish()
    page = looked(tmp_path / "run.html")
    curve = page.locator("[data-key=loss] > svg")
    box = curve.bounding_box()
    assert box is not None
    whole = page.evaluate("extent()")
    page.mouse.move(box["x"] + 100, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + 250, box["y"] + 90, steps=4)
    page.mouse.up()
    inside = page.evaluate("extent()")
    assert whole[0] < inside[0] < inside[1] < whole[1]
    curve.dblclick()
    assert page.evaluate("extent()") == whole
    page.mouse.move(0, 0)
    curve.focus()
    for key in ("ArrowRight", "ArrowRight", "+"):
        page.keyboard.press(key)
    assert page.evaluate("pointing") is not None
    inside = page.evaluate("extent()")
    assert inside[1] - inside[0] == pytest.approx((whole[1] - whole[0]) / 2)
    page.keyboard.press("Escape")
    assert page.evaluate("[pointing, view.zoom]") == [None, None]
    page.locator(".names button", has_text="relu_1").hover()
    expect(page.locator("[data-key='nodes activation'] .band")).to_have_count(1)


@pytest.mark.usefixtures("often")
def test_losses_that_differ_much_are_on_a_log_scale_and_the_best_epoch_is_named(looked: Looked, tmp_path: Path) -> None:
    Training(tmp_path / "run.html").finish()
    page = looked(tmp_path / "run.html")
    box = page.get_by_label("log scale")
    expect(box).not_to_be_checked()
    page.evaluate("runs[0].losses.mean[0] = 1e4; runs[0].best = 1; build()")
    expect(box).to_be_checked()
    assert page.evaluate("[panels[0].log, view.log]") == [True, None]
    box.uncheck()
    expect(box).not_to_be_checked()
    assert page.evaluate("[panels[0].log, view.log]") == [False, False]
    expect(page.locator("[data-key=accuracy] .best")).to_have_text("best: epoch 1")
    expect(page.locator(".best")).to_have_count(2)
