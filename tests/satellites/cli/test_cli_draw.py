"""`graphnn draw`: every option says the same as the argument of `gn.draw` that it stands for."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn.cli import main

PROGRAM = """
import graphnn as gn
from graphnn import nn


def build():
    g = gn.Graph("stack")
    h = x = g.placeholder("x", shape=("batch", 2))
    for _ in range(3):
        h = nn.ReLU()(nn.Dense(2, weight=[[1.0, 0.0], [0.0, 1.0]])(h))
    loss = gn.mean(h)
    return {"loss": loss, "slope": gn.grad(loss, g.parameters[0])}, {x: [[1.0, 2.0], [3.0, 5.0]]}


def zero():
    x = gn.Graph("zero").placeholder("x", shape=("n",))
    return gn.log(x), {x: [1.0, 0.0]}


def outside():
    x = gn.Graph("outside").placeholder("x", shape=("n",))
    return gn.take(x, [7]), {x: [1.0, 0.0]}
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("model.py").write_text(PROGRAM, encoding="utf-8")
    return "model.py:build"


def built() -> tuple[Any, Any]:
    namespace: dict[str, Any] = {}
    exec(compile(PROGRAM, "model.py", "exec"), namespace)  # noqa: S102
    return namespace["build"]()  # type: ignore[no-any-return]


def drawn(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["draw", *arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ([], {}),
        (["--detail", "layer"], {"detail": "layer"}),
        (["--detail", "0"], {"detail": 0}),
        (["--detail", "layer", "--repeats"], {"detail": "layer", "repeats": True}),
        (["--focus", "dense_2", "--radius", "1"], {"focus": ["dense_2"], "radius": 1}),
        (["--focus", "dense_1", "--focus", "dense_2"], {"focus": ["dense_1", "dense_2"]}),
        (["--phase", "backward"], {"phases": ["backward"]}),
        (["--phase", "backward", "--phase", "forward"], {"phases": ["backward", "forward"]}),
        (["--theme", "dark", "--title", "A stack"], {"theme": "dark", "title": "A stack"}),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, list) else "",
)
def test_an_option_is_an_argument(
    model: str, capsys: pytest.CaptureFixture[str], options: list[str], arguments: dict[str, Any]
) -> None:
    fetches, _ = built()
    text = drawn(capsys, model, "--text", *options)
    assert text == f"{gn.draw(fetches, **arguments).text()}\n"
    if "theme" in arguments:
        assert 'bgcolor="#202226"' in drawn(capsys, model, *options)


def test_overlays_evaluate_what_the_function_feeds(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = drawn(capsys, model, "--overlay", "values", "--text")
    loss = (1.0 + 2.0 + 3.0 + 5.0) / 4.0  # what is positive goes through three identities
    assert f"{loss:g}" in next(line for line in text.splitlines() if "mean(" in line)
    assert "norms of the gradients" in drawn(capsys, model, "--overlay", "gradients")
    both = drawn(capsys, model, "--overlay", "values", "--overlay", "gradients", "--text")
    assert "value 2.75, gradient 1]" in both
    assert "FLOP" in drawn(capsys, model, "--overlay", "flops", "--detail", "layer")
    assert "log-of-zero" in drawn(capsys, "model.py:zero", "--overlay", "health", "--mermaid")
    both = drawn(capsys, "model.py:zero", "--overlay", "health", "--overlay", "values", "--mermaid")
    assert "log-of-zero" in both
    assert "value" in both


def test_overlays_of_other_feeds_and_of_a_trace(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("x.npy", np.full((4, 2), 0.25))
    assert "0.25" in drawn(capsys, model, "--overlay", "values", "--feed", "x=x.npy", "--text")
    fetches, feed = built()
    gn.trace(fetches, feed).save("run.trace")
    assert "2.75" in drawn(capsys, "run.trace", "--overlay", "values", "--text")


def test_what_moves_and_what_graphnn_lays_out(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert drawn(capsys, model, "-o", "moving.svg", "--animate") == "wrote moving.svg\n"
    assert "@keyframes" in Path("moving.svg").read_text(encoding="utf-8")
    drawn(capsys, model, "-o", "plain.svg", "--engine", "plain")
    assert 'data-name="n0"' in Path("plain.svg").read_text(encoding="utf-8")


def test_a_note_says_what_was_collapsed(tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("long.py").write_text(
        "import graphnn as gn\n\ndef build():\n    h = gn.Graph().placeholder('x')\n"
        "    for _ in range(2100):\n        h = gn.tanh(h)\n    return h\n",
        encoding="utf-8",
    )
    out = drawn(capsys, "long.py:build", "-o", "long.svg")
    assert out.splitlines()[1] == "note: 2,101 boxes collapsed to 2 (repeats=True)"
    told = json.loads(drawn(capsys, "long.py:build", "-o", "long.svg", "--json"))
    assert told == {"files": ["long.svg"], "note": "2,101 boxes collapsed to 2 (repeats=True)"}


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--detail", "half"], 2, "half is not op, layer, leaf or a number of levels"),
        (["--radius", "3"], 2, "--radius says how far --focus goes"),
        (["-o", "m.bmp"], 2, "not as 'bmp'"),
        (["--focus", "dense_9"], 2, "dense_9"),
        (["--feed", "x=x.npy"], 2, "only an overlay evaluates what is fed"),
        (["--animate"], 2, "-o FILE.svg"),
        (["--animate", "-o", "m.png"], 2, "only SVG and GIF can be animated"),
        (["--overlay", "digits"], 2, "invalid choice"),
        (["--phase", "sideways"], 2, "invalid choice"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, list) else "",
)
def test_what_cannot_be_drawn_is_told(
    model: str, capsys: pytest.CaptureFixture[str], options: list[str], code: int, says: str
) -> None:
    try:
        left = main(["draw", model, *options])
    except SystemExit as exit:  # argparse
        left = exit.code
    assert left == code
    assert says in capsys.readouterr().err


def test_a_run_that_fails_is_no_misuse_of_the_name_beside_it(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["draw", "model.py:outside", "--focus", "take", "--overlay", "values"]) == 1
    assert 'while evaluating "take"' in capsys.readouterr().err
