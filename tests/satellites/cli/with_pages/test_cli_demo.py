"""The demo writes a page, pictures and what to do next."""

import base64
import json
import math
import re
import xml.etree.ElementTree as ET
import zlib

import pytest
from test_cli import said

import graphnn as gn


def test_the_demo_trains_says_how_long_that_takes_and_ends_with_what_to_do_next(tmp_path, capsys):
    lines = said(capsys, "demo", "-o", str(tmp_path)).out.splitlines()
    training = next(place for place, line in enumerate(lines) if "1,750 steps" in line)
    assert lines[training].endswith("this takes about a second ...")
    took, first, last, right = re.findall(r"\d+\.\d+", lines[training + 1])
    assert float(took) >= 0.0
    assert float(first) > 1.0 > 0.1 > float(last)
    assert float(right) > 95.0
    page, play = tmp_path / "replay.html", tmp_path / "play.html"
    assert lines[-2] == f"Next: open {play} in a browser. Press Train, drag a point, type a number."
    assert lines[-1] == f"{page} replays the training above, number by number."
    assert 'id="data"' in page.read_text(encoding="utf-8")


def told_of(page):
    block = zlib.decompress(base64.b64decode(re.search(r'id="data">(.*?)</script>', page.read_text("utf-8"))[1]))
    return json.loads(block[8 : 8 + int.from_bytes(block[:8], "little")])


@pytest.mark.parametrize("there_is_one", [True, False])
def test_the_demo_opens_a_playground_of_the_network_before_training(tmp_path, capsys, monkeypatch, there_is_one):
    asked = []
    monkeypatch.setattr("webbrowser.open", lambda address: asked.append(address) or there_is_one)
    out = said(capsys, "demo", "--open", "-o", str(tmp_path), code=0 if there_is_one else 1).out
    assert asked == [(tmp_path / "play.html").as_uri()]
    begin = "Opened" if there_is_one else "Next: open"
    assert out.splitlines()[-2].startswith(f"{begin} {tmp_path / 'play.html'}")
    told = told_of(tmp_path / "play.html")
    assert told["live"]["play"]["count"] == 300
    assert re.fullmatch(r"loss = 1\.09\d+.*", told["opening"]["says"])  # ln 3: it has learned nothing yet


def test_the_demo_trains_the_network_that_it_shows(tmp_path, capsys):
    """What is printed, drawn and evaluated is what is trained: layer by layer, and from the same loss on."""
    out = said(capsys, "demo", "-o", str(tmp_path)).out
    shown = dict(re.findall(r"^(dense_\d) \(Dense\) +\([^)]*\) +(\d+) ", out, re.MULTILINE))
    told = told_of(tmp_path / "replay.html")
    nodes = dict(zip(told["nodes"]["name"], told["nodes"]["shape"], strict=True))
    assert nodes["dense_1/weight"] == ["2", "16"]
    assert set(shown) == {"dense_1", "dense_2"}
    for layer, count in shown.items():
        weights, biases = (math.prod(map(int, nodes[f"{layer}/{name}"])) for name in ("weight", "bias"))
        assert int(count) == weights + biases
    evaluated, began = re.search(r"^loss = ([\d.]+)", out, re.MULTILINE)[1], re.search(r"loss ([\d.]+) →", out)[1]
    assert abs(float(evaluated) - float(began)) < 1e-3


def test_the_demo_as_json_is_the_run_itself(tmp_path, capsys):
    told = json.loads(said(capsys, "demo", "--json", "-o", str(tmp_path)).out)
    # Within 6e-5 of the published loss, whatever the points (goldens.json).
    assert told["loss"] == pytest.approx(1.0987351566171433, abs=1e-4)
    assert [step["index"] for step in told["steps"]] == list(range(len(told["steps"])))
    assert told["steps"][-1]["mean"] == told["loss"]
    assert told["training"]["loss"] < 0.1 < told["loss"]
    assert told["files"][-2:] == [str(tmp_path / name) for name in ("replay.html", "play.html")]
    assert told["missing"] == []


@pytest.mark.parametrize("there_is_one", [True, False])
def test_the_demo_draws_where_graphviz_fails_and_where_there_is_none(tmp_path, capsys, monkeypatch, there_is_one):
    def fails(*arguments):
        raise gn.DrawingError("it fails")

    monkeypatch.setattr("graphnn.view.diagrams.draw.find_engine", lambda: "dot" if there_is_one else None)
    monkeypatch.setattr("graphnn.view.diagrams.draw.lay_out", fails)
    out = said(capsys, "demo", "-o", str(tmp_path)).out
    for name in ("network", "layers"):
        assert f"wrote {tmp_path / name}.svg" in out
        assert ET.parse(tmp_path / f"{name}.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert "note:" not in out


def test_the_demo_without_matplotlib_says_that_the_plot_is_missing(tmp_path, capsys, monkeypatch):
    def none(*arguments, **options):
        raise gn.DrawingError("a plot needs matplotlib")

    monkeypatch.setattr("graphnn.view.plots.scatter", none)
    out = said(capsys, "demo", "-o", str(tmp_path)).out
    assert "note: no scatter plot of the data: a plot needs matplotlib\n" in out
    assert "\nNext: open" in out
    assert not (tmp_path / "spiral.svg").exists()
