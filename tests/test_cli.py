"""The command: what it prints, what it writes, and how it fails."""

import json
import math
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import graphnn as gn
from graphnn import cli

MODEL = """
import numpy as np
import graphnn as gn

def build():
    g = gn.Graph("model")
    x = g.placeholder("x", shape=("batch", 2))
    w = g.parameter("w", [[1.0], [10.0]])
    y = x @ w
    total = gn.sum(y)
    g.outputs["total"] = total
    return {"y": y, "total": total}

def with_feed():
    fetches = build()
    return fetches, {fetches["y"].graph["x"]: np.ones((3, 2))}

def one():
    return build()["y"]

def nonsense():
    return 3

def fails():
    raise RuntimeError("no data today")

def misfit():
    x = build()["y"].graph["x"]
    return x @ np.ones((3, 4))
"""


@pytest.fixture
def model(tmp_path, monkeypatch):
    (tmp_path / "model.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    yield "model.py"
    sys.modules.pop("model", None)
    sys.path[:] = [folder for folder in sys.path if folder != str(tmp_path)]


def said(capsys, *arguments, code=0):
    assert cli.main(arguments) == code
    return capsys.readouterr()


def test_the_demo_evaluates_the_network_in_order_and_draws_it(tmp_path, capsys):
    out = said(capsys, "demo", "-o", str(tmp_path / "out")).out
    rows = [line.split()[1] for line in out.splitlines() if line.strip()[:1].isdigit()]
    assert rows[:6] == ["x", "labels", "dense_1/weight", "dense_1/bias", "dense_1/matmul", "dense_1/add"]
    assert rows.index("softmax_1/exp") < rows.index("softmax_1/sum") < rows.index("softmax_1/divide")
    assert "loss = 1.098" in out
    for name in ("network", "layers", "spiral"):
        path = tmp_path / "out" / f"{name}.svg"
        assert str(path) in out
        assert ET.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_the_demo_as_json_is_the_run_itself(tmp_path, capsys):
    told = json.loads(said(capsys, "demo", "--json", "-o", str(tmp_path)).out)
    # Within 6e-5 of the published loss, whatever the points (goldens.json).
    assert told["loss"] == pytest.approx(1.0987351566171433, abs=1e-4)
    assert [step["index"] for step in told["steps"]] == list(range(len(told["steps"])))
    assert told["steps"][-1]["mean"] == told["loss"]
    assert told["missing"] == []


def test_the_demo_without_an_engine_leaves_dot_text_and_says_what_is_missing(tmp_path, capsys, monkeypatch):
    def none(*arguments):
        raise gn.DrawingError("no engine")

    monkeypatch.setattr("graphnn.view.diagram.lay_out", none)
    out = said(capsys, "demo", "-o", str(tmp_path)).out
    assert (tmp_path / "network.dot").read_text().startswith("digraph")
    assert "no engine" in out
    assert not (tmp_path / "network.svg").exists()


def test_run_takes_the_feed_of_the_function(model, capsys):
    out = said(capsys, "run", f"{model}:with_feed").out
    assert "total = 33." in out


def test_run_takes_arrays_by_name(model, capsys, tmp_path):
    np.savez("data.npz", x=np.array([[1.0, 2.0]]))
    np.save("x.npy", np.array([[3.0, 4.0]]))
    told = json.loads(said(capsys, "run", f"{model}:build", "--feed", "data.npz", "--json").out)
    assert told["values"]["y"] == {"shape": [1, 1], "dtype": "float64", "value": [[21.0]]}
    told = json.loads(said(capsys, "run", f"{model}:one", "--feed", "x=x.npy", "--json", "-o", "out.npz").out)
    assert told["values"]["matmul"]["value"] == [[43.0]]
    assert np.load("out.npz")["matmul"] == 43.0


def test_run_prints_every_step_and_other_fetches(model, capsys):
    out = said(capsys, "run", f"{model}:with_feed", "--steps", "--fetch", "matmul").out
    assert [line.split()[1] for line in out.splitlines() if line[:1].isdigit()] == ["x", "w", "matmul"]


def test_json_holds_what_json_cannot_say_as_text(model, capsys):
    np.save("x.npy", np.array([[math.inf, 0.0]]))
    told = json.loads(said(capsys, "run", f"{model}:build", "--feed", "x=x.npy", "--json").out)
    assert told["values"]["total"]["value"] == "inf"


def test_draw_writes_a_picture_or_dot_text(model, capsys):
    said(capsys, "draw", f"{model}:build", "-o", "m.svg", "--detail", "layer", "--title", "The model")
    assert "The model" in Path("m.svg").read_text(encoding="utf-8")
    assert said(capsys, "draw", f"{model}:build").out.startswith("digraph")
    assert json.loads(said(capsys, "draw", f"{model}:build", "--json").out)["source"].startswith("digraph")


def test_train_leaves_a_graph_that_knows_the_spiral(tmp_path, capsys):
    told = json.loads(said(capsys, "train", "--json", "--epochs", "60", "-o", str(tmp_path)).out)
    assert told["accuracy"] >= 0.98
    assert told["epochs"] == 60
    assert sorted(told["files"]) == sorted(map(str, tmp_path.iterdir()))
    assert {path.name for path in tmp_path.iterdir()} == {"spiral.gnn", "history.json", "history.svg", "boundary.svg"}
    history = json.loads((tmp_path / "history.json").read_text())
    assert history["accuracy"][-1] == told["accuracy"]
    assert len(history["loss"]) == 60
    points, labels = gn.datasets.spiral(100, classes=3, seed=0)
    np.savez(tmp_path / "feed.npz", x=points, labels=labels)
    arguments = ["run", str(tmp_path / "spiral.gnn"), "--feed", str(tmp_path / "feed.npz"), "--json"]
    values = json.loads(said(capsys, *arguments).out)["values"]
    right = np.argmax(values["probabilities"]["value"], axis=1) == labels
    assert right.mean() == pytest.approx(told["accuracy"])


def test_train_prints_progress_and_the_history(tmp_path, capsys):
    told = said(capsys, "train", "--epochs", "3", "-o", str(tmp_path))
    assert "epoch 3/3" in told.err
    assert "after 3 epochs: loss" in told.out
    assert (tmp_path / "spiral.gnn").exists()


def test_a_damaged_graph_file_is_said_to_be_one(tmp_path, capsys):
    (tmp_path / "bad.gnn").write_bytes(b"nothing of ours")
    assert "is no graphnn file" in said(capsys, "summary", str(tmp_path / "bad.gnn"), code=1).err


def test_summary(model, capsys):
    assert "w (parameter)" in said(capsys, "summary", f"{model}:build").out
    assert json.loads(said(capsys, "summary", f"{model}:build", "--json").out)


def test_ops_lists_the_registry(capsys):
    rows = json.loads(said(capsys, "ops", "--json").out)
    assert {"matmul", "add", "relu", "exp", "sum", "log", "clip", "softmax"} <= {row["name"] for row in rows}
    assert "clip(x, lo=None, hi=None)" in said(capsys, "ops").out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", "nowhere.py:build"], 2, ['no file "nowhere.py"']),
        (["run", "model.py"], 2, ["FILE.py:FUNCTION", "FILE.gnn"]),
        (["run", "model.gnn"], 2, ['no file "model.gnn"']),
        (["run", "model.py:build", "--feed", "y=a.npy"], 1, ['"y"', "no placeholder", '"x"']),
        (["run", "model.py:biuld"], 2, ['no function "biuld"', '"build"']),
        (["run", "model.py:nonsense"], 1, ["int", "fetch"]),
        (["run", "model.py:fails"], 1, ["RuntimeError", "no data today"]),
        (["run", "model.py:misfit"], 1, ["matmul cannot multiply (batch, 2) by (3, 4)", "model.py:29"]),
        (["run", "model.py:build"], 1, ["feed lacks", '"x"']),
        (["run", "model.py:build", "--feed", "no.npz"], 2, ['no file "no.npz"']),
        (["run", "model.py:build", "--feed", "model.py"], 1, ["model.py", "no .npy or .npz"]),
        (["run", "model.py:build", "--feed", "a.npy"], 2, ["--feed NAME=a.npy"]),
        (["run", "model.py:with_feed", "--fetch", "totl"], 1, ['"totl"', '"total"']),
        (["draw", "model.py:build", "-o", "m.bmp"], 1, ["svg", "png"]),
    ],
)
def test_what_goes_wrong_is_said_in_one_sentence(model, capsys, arguments, code, words):
    np.save("a.npy", np.ones(2))
    told = said(capsys, *arguments, code=code)
    for word in words:
        assert word in told.err
    assert told.out == ""


def test_objects_in_a_feed_are_refused_and_never_unpickled(model, capsys):
    np.save("x.npy", np.array([{}], dtype=object))
    assert "x.npy" in said(capsys, "run", f"{model}:build", "--feed", "x=x.npy", code=1).err


def test_usage_errors_exit_with_2(capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(["paint"])
    assert exit_.value.code == 2
    assert "invalid choice" in capsys.readouterr().err


def test_a_reader_that_stops_early_is_no_error():
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "graphnn", "ops"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0
