"""What the lessons ask a reader to try in their pages, tried, and what they say of it."""

import contextlib
import importlib
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from places import ROOT
from playwright.sync_api import Page, expect

Opened = Callable[..., Page]
Array = np.ndarray[Any, Any]


class Tried(NamedTuple):
    """What is typed where, what is looked at, and whether that is what the lesson says."""

    typed: list[tuple[str, list[int], str]]
    seen: str
    holds: Callable[[Array, Array], bool]


def changed(before: Array, after: Array, axis: int = 1) -> list[int]:
    """Return the rows of one sample in which anything differs."""
    rows = np.moveaxis((before != after)[0], axis - 1, 0)
    return [i for i, row in enumerate(rows) if row.any()]


ZEROS = ", ".join(["0"] * 8)
TRIED = {
    "convolution": Tried([("conv2d_1/weight", [0, 0, 1, 2], "3")], "maps", lambda a, b: changed(a, b) == [0]),
    "lenet": Tried(
        [("x", [0, 0, 3, 3], "1, 1"), ("x", [0, 0, 4, 3], "1, 1")],
        "probabilities",
        lambda a, b: round(a[0, 0], 2) == 0.84 and round(b[0, 0], 2) == 0.13 and {*b[0].argsort()[-2:]} == {8, 9},
    ),
    "batch_norm": Tried(
        [("x", [1, 0], "200")], "batch_norm_1", lambda a, b: (a != b).all(axis=0).tolist() == [True, False, False]
    ),
    "transformer": Tried([("characters", [0, 6], "29")], "probabilities", lambda a, b: changed(a, b) == [6, 7, 8]),
    "adding": Tried(
        [("bits", [0, 0, 1], "0")],
        "probabilities",
        lambda a, b: [int((x.ravel() > 0.5) @ 2 ** np.arange(8)) for x in (a, b)] == [64, 63],
    ),
    "vae": Tried(
        [("sampling_1/noise", [0, 0], "0, 0, 0, 0"), ("z", [0, 0], "-2, 2")],
        "z",
        lambda a, b: bool((b[0] == [-2, 2]).all() and (a[1] != b[1]).all()),
    ),
    "induction": Tried(
        [("letters", [0, 3], "0")], "logits", lambda a, b: (a[0, 9].argmax(), b[0, 9].argmax()) == (22, 0)
    ),
    "induction, cut": Tried(
        [("heads_1", [0, head, 3, 0], ZEROS) for head in (1, 2)],
        "logits",
        lambda a, b: a[0, 9].argmax() == 22 != b[0, 9].argmax(),
    ),
    "inner_training": Tried(
        [("rate", [], "0")], "loss", lambda a, b: (round(a.item(), 2), round(b.item(), 2)) == (0.15, 0.65)
    ),
    "ode": Tried([("rates", [0], "1.1, 0.4, 0.1, 0.4")], "loss", lambda a, b: a > 6.0 and 0.07 < b < 0.1),
    "truncation": Tried(
        [("bits", [15, 0, 0], "-1")], "last", lambda a, b: (round(a.item(), 4), round(b.item(), 4)) == (0.2970, 0.2907)
    ),
    "fixed_point": Tried(
        [("x", [5, 0], "2, -2")], "z", lambda a, b: np.nonzero((a != b).any(axis=1))[0].tolist() == [5]
    ),
}


@pytest.fixture(scope="module")
def lessons(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("lessons")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs" / "replay")
        make = importlib.import_module("make")

    def page(name: str) -> Path:
        file = folder / f"{name}.html"
        if not file.exists():
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                getattr(make, name)().save(file)
        return file

    return page


def value(page: Page, name: str) -> Array:
    told = page.evaluate("(name) => graphnn.value(name).then((v) => [v.shape, Array.from(v.data, Number)])", name)
    return np.array(told[1]).reshape(told[0])


def type_in(page: Page, name: str, index: list[int], text: str) -> None:
    page.evaluate(
        """async ([name, index]) => {
          const { shape } = await graphnn.value(name);
          go(data.live.places[numberNamed(name)], ravel(index, shape));
        }""",
        [name, index],
    )
    page.fill("#edit-number", text)
    page.click("#set")


@pytest.mark.parametrize("name", TRIED)
def test_what_a_lesson_asks_to_try_is_seen(opened: Opened, lessons: Callable[[str], Path], name: str) -> None:
    page = opened(lessons(name.partition(",")[0]))
    assert page.evaluate("graphnn.unknown") == []
    if not page.evaluate("data.playground"):
        expect(page.locator("#tour")).to_be_visible()
    tried = TRIED[name]
    before = value(page, tried.seen)
    for node, index, text in tried.typed:
        type_in(page, node, index, text)
        expect(page.locator("#edit-says")).to_contain_text("set or computed again")
    assert tried.holds(before, value(page, tried.seen))


def test_a_row_in_use_depends_on_no_other(opened: Opened, lessons: Callable[[str], Path]) -> None:
    page = opened(lessons("batch_norm"))
    before, mean = value(page, "prediction"), value(page, "batch_norm_1/running_mean")
    type_in(page, "x", [1, 0], "200")
    assert np.nonzero((before != value(page, "prediction")).any(axis=1))[0].tolist() == [1]
    of_batch = value(page, "x").mean(axis=0)
    page.click("#train-step")
    np.testing.assert_allclose(value(page, "batch_norm_1/running_mean"), 0.9 * mean + 0.1 * of_batch, rtol=1e-12)


def test_the_rates_of_hares_and_lynxes_are_found(opened: Opened, lessons: Callable[[str], Path]) -> None:
    page = opened(lessons("ode"))
    page.evaluate("graphnn.train(600)")
    np.testing.assert_allclose(value(page, "rates"), [1.1, 0.4, 0.1, 0.4], atol=0.02)


def test_a_network_of_fixed_points_trains(opened: Opened, lessons: Callable[[str], Path]) -> None:
    page = opened(lessons("fixed_point"))
    losses = page.evaluate("graphnn.train(200)")
    assert losses[-1] < 0.2 < 1.0 < losses[0]


def test_each_lesson_leads_to_a_page_that_is_tried_here() -> None:
    tried = {name.partition(",")[0] for name in TRIED}
    for lesson in sorted((ROOT / "docs").glob("lesson-*.md")):
        led = re.findall(r"<img [^>]*>\]\(replay/(\w+)\.html\)", lesson.read_text(encoding="utf-8"))
        assert led, lesson.name
        assert tried.issuperset(led), lesson.name
