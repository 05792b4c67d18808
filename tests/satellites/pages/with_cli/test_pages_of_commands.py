"""Pages that commands write."""

import html as markup
from pathlib import Path

import pytest

import graphnn as gn
from graphnn import cli

MODEL = """
import numpy as np
import graphnn as gn

def build():
    g = gn.Graph("model")
    x = g.placeholder("x", shape=("batch",))
    g.outputs["y"] = y = gn.log(x)
    return y, {x: [1.0, 2.0]}

def divides():
    n = gn.Graph("divides").placeholder("n", shape=(2,), dtype=np.int64)
    return 6 // n, {n: np.array([2, 0])}
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("model")
def test_the_command_writes_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["trace", "model.py:build", "-o", "replay.html"]) == 0
    assert "wrote replay.html" in capsys.readouterr().out
    assert Path("replay.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert cli.main(["trace", "model.py:build", "-o", "run.trace"]) == 0
    assert len(gn.load("run.trace")) == 2


@pytest.mark.usefixtures("model")
def test_the_command_writes_a_page_of_what_ran_before_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["trace", "model.py:divides", "-o", "replay.HTML"]) == 1
    assert "wrote replay.HTML: what ran before it; a browser opens it" in capsys.readouterr().err
    assert markup.unescape(Path("replay.HTML").read_text(encoding="utf-8")).count("<script") == 2


def test_the_demo_writes_a_page_of_a_training_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "-o", str(tmp_path)]) == 0
    assert f"wrote {tmp_path / 'replay.html'}" in capsys.readouterr().out
    text = (tmp_path / "replay.html").read_text(encoding="utf-8")
    assert "<title>spiral — replay</title>" in text


def test_the_command_writes_a_playground_of_a_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["playground", "graphnn.demo:build"]) == 0
    told = capsys.readouterr()
    assert "wrote play.html" in told.out
    assert "Adam(0.01) trains it" in told.err
    assert "const { makeEngine" in Path("play.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["model.py:build"], "nothing here is one number"), (["model.py:build", "-o", "play.txt"], "ends in .html")],
)
def test_the_command_says_what_is_no_playground(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["playground", *arguments]) == 2
    assert says in capsys.readouterr().err
