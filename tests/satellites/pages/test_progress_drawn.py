"""Progress of a training run on a terminal, with a bar and curves."""

import io
import re
import sys
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.nn import Run
from graphnn.nn.training.progress import reporter

X, Y = gn.datasets.spiral(20, classes=3, seed=0)


class Problem:
    """A small network on the spiral's 60 points."""

    def __init__(self, optimizer: nn.Optimizer | None = None, dropout: float = 0.25) -> None:
        self.graph = g = gn.Graph("spiral")
        self.x, self.y = g.placeholder("x", ("batch", 2)), g.placeholder("y", ("batch",), np.int64)
        network = nn.Sequential(nn.Dense(8), nn.Tanh(), nn.Dropout(dropout), nn.Dense(3))
        self.loss = nn.softmax_crossentropy(network(self.x, training=True), self.y)
        self.scores = network(self.x)
        self.accuracy = nn.accuracy(self.scores, self.y)
        self.step = gn.compile(self.loss, (optimizer or nn.Adam(0.05)).updates(self.loss))
        self.feed = {self.x: X, self.y: Y}
        self.settings: dict[str, Any] = {
            "batch_size": 16,
            "metrics": {"accuracy": self.accuracy},
            "callbacks": [nn.EarlyStopping("accuracy", patience=50, mode="max")],
        }

    def state(self) -> dict[str, bytes]:
        return {node.name: value.tobytes() for node, value in self.graph.state.items()}


class Terminal(io.StringIO):
    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__()
        self.said = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.said

    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "TTY_INTERACTIVE", "TTY_COMPATIBLE", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    p = Problem()
    nn.fit(p.step, p.feed, epochs=3, metrics={"[red]accuracy": p.accuracy}, progress=True)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    assert "epoch 3/3" in text
    assert re.search(r"\d:\d\d:\d\d elapsed, \S+ (steps/s|s/step)", text), "each clock says what it shows"
    assert "[red]accuracy 0." in text
    assert screen.getvalue().rstrip().endswith("\x1b[?25h"), "the cursor is shown again"

    monkeypatch.setitem(sys.modules, "rich.progress", None)
    screen.seek(0)
    screen.truncate()
    nn.fit(p.step, p.feed, epochs=3, progress=True)
    lines = screen.getvalue().splitlines()
    assert [line.partition("  loss ")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert all(line[-1] in "▁█" for line in lines), "each ends with the curve of the losses so far"

    monkeypatch.setattr(sys, "stderr", screen := Terminal(encoding="ascii"))
    nn.fit(p.step, p.feed, epochs=3, progress=True)
    assert screen.getvalue().isascii()


def test_a_bar_goes_away_when_training_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    tell = reporter(True, Run(Problem().step, nn.History(), 1, 1, 0))
    with pytest.raises(ZeroDivisionError), tell:
        tell.step(1, 1 / 0)
    assert screen.getvalue().rstrip().endswith("\x1b[?25h")
