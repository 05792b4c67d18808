"""The curves of a training in a terminal and in a notebook: what is drawn, and that it is left in order."""

import io
import re
import sys
import xml.etree.ElementTree as ET
from contextlib import redirect_stderr
from types import SimpleNamespace
from typing import Any

import IPython
import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.nn import Run
from graphnn.pages.live import live_progress
from graphnn.pages.live.charts import Curve, dots, svg

HOSTILE = '</text><script>alert(1)</script>"\x1b[31m[red]'


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name in ("NO_COLOR", "TTY_INTERACTIVE", "TTY_COMPATIBLE", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "30"}.items():
        monkeypatch.setenv(name, value)
    return Terminal()


def trained(on: Terminal | None = None, *, epochs: int = 3, callbacks: Any = (), name: str = "accuracy") -> nn.History:
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 2)), g.placeholder("y", ("batch",), np.int64)
    scores = nn.Dense(3, rng=np.random.default_rng(0))(x)
    loss = nn.softmax_crossentropy(scores, y)
    step = gn.compile(loss, nn.SGD(0.1).updates(loss))
    X, labels = gn.datasets.spiral(8, classes=3, seed=0)
    metrics = {name: nn.accuracy(scores, y)}
    with redirect_stderr(on or sys.stderr):
        return nn.fit(step, {x: X, y: labels}, epochs=epochs, metrics=metrics, callbacks=callbacks, progress=True)


def last_picture(screen: Terminal) -> list[str]:
    text = screen.getvalue()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "")
    return plain[[found.start() for found in re.finditer(r"epoch \d+/", plain)][-1] :].splitlines()


def test_a_terminal_shows_curves_below_the_bar(screen: Terminal) -> None:
    history = trained(screen, epochs=6)
    lines = last_picture(screen)
    assert lines[0].startswith("epoch 6/6 ")
    assert "loss 0.9" in lines[1]
    assert f"accuracy {history['accuracy'][-1]:.4g}" in lines[1]
    assert [line.count("│") for line in lines[2:11]] == [2] * 8 + [0]
    assert re.fullmatch(r"(   epoch 1 +6  ){2}", lines[10])
    assert re.search("[\u2801-\u28ff]", "".join(lines))
    assert screen.getvalue().rstrip().endswith("\x1b[?25h"), "the cursor is shown again"


def test_a_small_terminal_shows_one_chart_or_none(screen: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    history = trained(screen)
    lines = last_picture(screen)
    assert max(map(len, lines)) <= 80
    assert f"accuracy {history['accuracy'][-1]:.4g}" in lines[1], "what is not drawn is said"
    assert len([line for line in lines if line.count("│") == 1]) == 8
    monkeypatch.setenv("LINES", "10")
    trained(small := Terminal())
    assert "│" not in small.getvalue()
    assert "accuracy 0." in small.getvalue()


def test_ctrl_c_leaves_the_terminal_as_it_was(screen: Terminal) -> None:
    def interrupt(history: nn.History) -> None:
        raise KeyboardInterrupt

    assert trained(screen, callbacks=interrupt).interrupted
    assert screen.getvalue().rstrip().endswith("\x1b[?25h")


def test_names_command_nothing_in_the_terminal(screen: Terminal) -> None:
    trained(screen, name="[red]\x1b]0;title\x07")
    text = screen.getvalue()
    assert "\x1b]0;" not in text
    assert "[red]\\x1b]0;title\\x07 0." in text


# --- in a notebook ------------------------------------------------------------------------------------------------


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, str]]]:
    """Return what is displayed, by its name: as in a notebook."""
    found: list[tuple[str, dict[str, str]]] = []

    def display(bundle: dict[str, str], *, raw: bool, display_id: str) -> None:
        assert raw
        found.append((display_id, bundle))

    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr("IPython.display.update_display", display)
    return found


def test_a_notebook_shows_curves(shown: list[tuple[str, dict[str, str]]], capsys: pytest.CaptureFixture[str]) -> None:
    trained(epochs=4)
    assert len({name for name, _ in shown}) == 1
    assert shown[0][1]["text/plain"] == "epoch 0 of 4, 0 steps"
    last = shown[-1][1]
    assert last["text/plain"].startswith("finished after epoch 4 of 4, 4 steps in 0:00  loss 0.")
    page = ET.fromstring(last["text/html"])
    assert len(page.findall(".//{*}polyline")) == 2
    assert capsys.readouterr().err == ""


def test_pictures_come_seldom_in_a_notebook(
    shown: list[tuple[str, dict[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(live_progress, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    run = Run(SimpleNamespace(), nn.History(), 4, 1000, 0)  # type: ignore[arg-type]
    made = live_progress.progress_of(run)
    assert made is not None
    with made:
        for _ in range(640):
            now[0] += 1 / 64
            made.step(1, 1.0)
    assert len(shown) == 2 + 10  # at the beginning, at the end, and every second


def test_it_says_how_a_training_ended(shown: list[tuple[str, dict[str, str]]]) -> None:
    def interrupt(history: nn.History) -> None:
        raise KeyboardInterrupt

    trained(callbacks=interrupt)
    assert shown[-1][1]["text/plain"].startswith("stopped after epoch 1 of 3")

    def fail(history: nn.History) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        trained(callbacks=fail)
    assert shown[-1][1]["text/plain"].startswith("failed after epoch 1 of 3")


def test_names_do_nothing_in_a_notebook(shown: list[tuple[str, dict[str, str]]]) -> None:
    trained(name=HOSTILE)
    page = ET.fromstring(shown[-1][1]["text/html"])
    assert {element.tag.rpartition("}")[2] for element in page.iter()} == {
        *("div", "svg", "g", "line", "polyline", "text")
    }
    assert "\x1b" not in shown[-1][1]["text/html"]
    assert "<script>alert(1)" in "".join(page.itertext())


# --- what is drawn ------------------------------------------------------------------------------------------------


def test_gaps_and_single_points_are_drawn() -> None:
    for ys in ([], [1.0], [None, None], [1.0, None, 3.0], [2.0, 2.0], [float("inf"), 1.0], [1e-300, 1e300]):
        curve = Curve("a", [*range(len(ys))], ys)
        rows = dots([curve, curve], 30, 3)
        assert [sum(map(len, (cell for cell, _ in row))) for row in rows] == [30] * 4
        ET.fromstring(svg([[curve], [curve], [curve]]))


def test_a_line_goes_from_corner_to_corner() -> None:
    rows = dots([Curve("a", [*range(10)], [float(y) for y in range(10)])], 21, 4)
    text = ["".join(cell for cell, _ in row)[9:] for row in rows]
    assert text.pop().split() == ["0", "9"]
    assert text[-1][0] != " "
    assert text[0][-1] != " "
    assert text[0][0] == text[-1][-1] == " "
    columns = [any(row[column] != " " for row in text) for column in range(len(text[0]))]
    assert all(columns), "it has no gap"


def test_curves_can_be_told_apart_without_their_colours() -> None:
    xs = [*range(40)]
    rows = dots([Curve("a", xs, [1.0] * 40), Curve("b", xs, [0.0] * 40)], 30, 2)
    first, second = ("".join(cell for cell, _ in row)[9:] for row in rows[:2])
    assert " " not in first
    assert 4 < second.count(" ") < 10
