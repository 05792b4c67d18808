"""The command: what it prints, what it writes, and how it fails."""

import importlib
import json
import math
import os
import re
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from places import present

import graphnn as gn
from graphnn import cli
from graphnn.cli import command_registry

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

def nothing():
    return None

def listed():
    return [build()["y"], 3]

def empty():
    return {}

def names():
    return {"sum": "total", "y": build()["y"]}

def only_names():
    return ["total"]

def unknown():
    return [build()["y"], "totl"]

def whole():
    return build()["y"].graph

def bare():
    return gn.Graph("bare")

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
    return "model.py"


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
    assert "is not a graphnn file" in said(capsys, "summary", str(tmp_path / "bad.gnn"), code=1).err


def test_summary(model, capsys):
    assert "w (parameter)" in said(capsys, "summary", f"{model}:build").out
    assert json.loads(said(capsys, "summary", f"{model}:build", "--json").out)


NESTED = """
import graphnn as gn
from graphnn import nn

class Block(nn.Layer):
    def __init__(self):
        self.inner = nn.Dense(4)
    def call(self, x):
        return self.inner(x)

def build():
    return Block()(gn.Graph("nested").placeholder("x", shape=("batch", 4)))
"""


def test_summary_goes_as_deep_as_it_is_told(tmp_path, monkeypatch, capsys):
    (tmp_path / "nested.py").write_text(NESTED)
    monkeypatch.chdir(tmp_path)
    assert re.search(r"\n  inner \(Dense\) +\(batch, 4\) +20  x\n", said(capsys, "summary", "nested.py:build").out)
    assert "inner" not in said(capsys, "summary", "nested.py:build", "--depth", "1").out
    assert "for batch = 32\nflops" in said(capsys, "summary", "nested.py:build", "--size", "batch=32").out
    with pytest.raises(SystemExit):
        cli.main(["summary", "nested.py:build", "--size", "batch"])
    assert "batch is not NAME=N, such as batch=32" in capsys.readouterr().err
    rows = json.loads(said(capsys, "summary", "nested.py:build", "--json").out)["rows"]
    assert [row["depth"] for row in rows] == [0, 0, 1]
    with pytest.raises(SystemExit):
        cli.main(["summary", "nested.py:build", "--depth", "0"])


def test_tables_have_the_width_of_the_terminal_and_in_a_pipe_all_that_they_need(monkeypatch, capsys):
    for columns in (60, 120):
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", str(columns))
        told = said(capsys, "ops").out
        assert max(map(len, told.splitlines())) == columns
        assert "…" in told
    monkeypatch.setattr("sys.stdout.isatty", lambda: False)
    assert "…" not in said(capsys, "ops").out


def test_ops_lists_the_registry(capsys):
    rows = json.loads(said(capsys, "ops", "--json").out)
    assert {"matmul", "add", "relu", "exp", "sum", "log", "clip", "softmax"} <= {row["name"] for row in rows}
    assert "clip(x, lo=None, hi=None)" in said(capsys, "ops").out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", "nowhere.py:build"], 2, ['no file "nowhere.py"']),
        (["run", "model.py"], 2, ["model.py:build, model.py:with_feed", "and 6 more"]),
        (["run", "model.gnn"], 2, ['no file "model.gnn"']),
        (["run", "model.py:build", "--feed", "y=a.npy"], 2, ['"y"', "not a placeholder", '"x"']),
        (["run", "model.py:biuld"], 2, ['no function "biuld"', '"build"']),
        (["run", "model.py:nonsense"], 1, ["model.py:nonsense returned int, not fetches"]),
        (["run", "model.py:nothing"], 1, ["model.py:nothing returned NoneType, not fetches: "]),
        (["draw", "model.py:nothing"], 1, ["model.py:nothing returned NoneType, not fetches: "]),
        (["run", "model.py:listed"], 1, ["model.py:listed returned list of int, not fetches"]),
        (["run", "model.py:empty", "--fetch", "x"], 1, ["model.py:empty returned dict of nothing"]),
        (["run", "model.py:only_names"], 1, ["model.py:only_names", "'total' is a name", "no graph is known"]),
        (["run", "model.py:unknown"], 1, ["model.py:unknown", '"totl"', 'Did you mean "total"']),
        (["run", "model.py:bare"], 1, ["model.py:bare holds no node"]),
        (["run", "model.py:bare", "--fetch", "x"], 2, ['no node, scope or output "x"']),
        (["run", "model.py:with_feed", "-o", "out.txt"], 2, [".npz", '"out.txt"']),
        (["run", "model.py:with_feed", "-o", "no/out.npz"], 1, ['"no/out.npz"', "No such file"]),
        (["run", "model.py:with_feed", "-o", "folder.npz"], 1, ['"folder.npz"', "Is a directory"]),
        (["run", "model.py:build", "--feed", "x=folder.npz"], 2, ['no file "folder.npz"']),
        (["draw", "model.py:build", "-o", "no/m.dot"], 1, ['"no/m.dot"', "No such file"]),
        (["demo", "-o", "a.npy"], 1, ['"a.npy"', "File exists"]),
        (["train", "-o", "a.npy/out"], 1, ["a.npy", "Not a directory"]),
        (["run", "model.py:fails"], 1, ["RuntimeError", "no data today"]),
        (["run", "model.py:misfit"], 1, ["matmul cannot multiply (batch, 2) by (3, 4)", "model.py:53"]),
        (["run", "model.py:build"], 1, ["feed lacks", '"x"']),
        (["run", "model.py:build", "--feed", "no.npz"], 2, ['no file "no.npz"']),
        (["run", "model.py:build", "--feed", "model.py"], 1, ["model.py", "not an .npy or .npz file"]),
        (["run", "model.py:build", "--feed", "a.npy"], 2, ["--feed NAME=a.npy"]),
        (["run", "model.py:with_feed", "--fetch", "totl"], 2, ['"totl"', '"total"']),
        (["draw", "model.py:build", "-o", "m.bmp"], 2, ["svg", "png"]),
    ],
)
def test_what_goes_wrong_is_said_in_one_sentence(model, capsys, arguments, code, words):
    np.save("a.npy", np.ones(2))
    Path("folder.npz").mkdir()
    told = said(capsys, *arguments, code=code)
    for word in words:
        assert word in told.err
    assert told.out == ""


def test_no_name_commands_the_terminal(tmp_path, monkeypatch, capsys):
    (tmp_path / "evil.py").write_text(r"""
import warnings
import graphnn as gn

def build():
    g = gn.Graph("g\x1b[31m")
    y = g.parameter("w\x1b[2J\udc80", [1.0, 2.0]) * 2.0
    g.outputs["out\x9b\ud800\nwrote"] = y
    return y

def warns():
    warnings.warn("beware\x1b[2J")
    return build()

def fails():
    raise RuntimeError("no\x1b[2J\udc80")
""")
    monkeypatch.chdir(tmp_path)
    for arguments in (["run"], ["run", "--steps"], ["draw"], ["summary"], ["run", "--fetch", "no\udc80"]):
        for json_too in ([], ["--json"]):
            cli.main([arguments[0], "evil.py:build", *arguments[1:], *json_too])
            told = capsys.readouterr()
            assert (told.out + told.err).replace("\n", "").isprintable()
            if json_too and told.out:
                json.loads(told.out)
    assert r"out\x9b\ud800\nwrote = [2. 4.]" in said(capsys, "run", "evil.py:build").out
    assert r"no\x1b[2J\udc80" in said(capsys, "run", "evil.py:fails", code=1).err
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert r"beware\x1b[2J" in said(capsys, "run", "evil.py:warns").err


def test_a_terminal_of_few_characters_is_served():
    command = [sys.executable, "-m", "graphnn", "ops"]
    done = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONIOENCODING": "ascii"}, check=True)
    assert done.stdout.isascii()


def header_of(shape, descr="<f8"):
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            header_of((10**12, 2)) + bytes(16),
            "declares an array (1000000000000, 2) of 16,000,000,000,000 bytes and holds 16",
        ),
        (header_of((-1, 2)) + bytes(16), "declares an array (-1, 2)"),
        (header_of((10**18,), "<U0"), "not numbers"),
        (header_of((1,), "|O") + b"cos\nsystem\n", "it holds object, not numbers"),
        (header_of("(((")[:60], "not an .npy or .npz file"),
        (b"\x93NUMPY\x03\x00" + bytes(100), "not an .npy or .npz file"),
        (b"", "not an .npy or .npz file"),
        (b"PK\x03\x04 and no more", "not an .npy or .npz file"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_forged_feed_is_refused_before_anything_is_allocated(model, capsys, content, words, packed):
    if packed:
        words = "not an .npy or .npz file" if content[:2] == b"PK" else words
        with zipfile.ZipFile("x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.npy", content)
    else:
        Path("x.npy").write_bytes(content)
    told = said(capsys, "run", f"{model}:build", "--feed", "x.npz" if packed else "x=x.npy", code=1)
    assert words in told.err
    assert "Traceback" not in told.err


def test_feeds_keep_to_the_memory_budget_all_together(model, capsys, monkeypatch):
    monkeypatch.setattr("graphnn.cli.targets.memory_budget", lambda graph: 4000.0)
    np.savez_compressed("two.npz", x=np.zeros((120, 2)), y=np.zeros((120, 2)))
    assert "would take" in said(capsys, "run", f"{model}:build", "--feed", "two.npz", code=1).err
    np.save("x.npy", np.zeros((120, 2)))
    said(capsys, "run", f"{model}:build", "--feed", "x=x.npy")
    told = said(capsys, "run", f"{model}:build", "--feed", "x=x.npy", "--feed", "y=x.npy", "--feed", "z=x.npy", code=1)
    assert "x.npy would take 1,920 bytes, where 160 are left" in told.err


def test_a_damaged_member_is_said_to_be_one(model, capsys):
    np.savez("x.npz", x=np.ones((3, 2)))
    content = bytearray(Path("x.npz").read_bytes())
    content[content.index(np.ones(1).tobytes())] ^= 1
    Path("x.npz").write_bytes(content)
    assert "x.npz is not an .npy or .npz file" in said(capsys, "run", f"{model}:build", "--feed", "x.npz", code=1).err


def test_values_are_written_under_safe_names(tmp_path, monkeypatch, capsys):
    names = [
        "file",
        "allow_pickle",
        "layer/w",
        "../up",
        "/etc/x",
        "a/../b",
        "c:\\d",
        "a%2Fb",
        "w.npy",
        "w",
        "θ",
        "e\x1b",
        "",
    ]
    g = gn.Graph()
    for i, name in enumerate(names):
        g.outputs[name] = g.parameter(f"p{i}", float(i))
    gn.save(g, tmp_path / "g.gnn")
    monkeypatch.chdir(tmp_path)
    out = said(capsys, "run", "g.gnn", "-o", "out.npz").out
    assert "wrote out.npz" in out
    assert 'note: "../up" is called "%2E%2E%2Fup" in it' in out
    written = np.load("out.npz")
    assert {unquote(name): float(written[name]) for name in written.files} == {name: i for i, name in enumerate(names)}
    assert {"file", "allow_pickle", "layer/w", "θ"} <= set(written.files)
    for name in zipfile.ZipFile("out.npz").namelist():
        assert name.isprintable()
        assert not {"", ".", ".."} & set(name.split("/"))
    told = json.loads(said(capsys, "run", "g.gnn", "-o", "out.npz", "--json").out)
    assert told["files"] == ["out.npz"]
    assert told["members"]["c:\\d"] == "c%3A%5Cd"
    assert json.loads(said(capsys, "compare", "g.gnn", "out.npz", "--json").out)["equal"] is True


def test_names_and_whole_graphs_serve_as_fetches(model, capsys):
    np.save("x.npy", np.ones((1, 2)))
    feed = ["--feed", "x=x.npy", "--json"]
    values = json.loads(said(capsys, "run", f"{model}:names", *feed).out)["values"]
    assert values["sum"]["value"] == 11.0
    assert list(json.loads(said(capsys, "run", f"{model}:whole", *feed).out)["values"]) == ["total"]
    said(capsys, "draw", f"{model}:names")
    said(capsys, "summary", f"{model}:bare")


def test_a_target_takes_no_other_modules_name(tmp_path, monkeypatch, capsys):
    (tmp_path / "beside_it.py").write_text("NUMBER = 7.0\n")
    (tmp_path / "json.py").write_text("""
from __future__ import annotations
import pickle
from dataclasses import dataclass
import graphnn as gn
from beside_it import NUMBER

@dataclass
class Settings:
    number: float

def build():
    import beside_it
    return gn.Graph().parameter("w", pickle.loads(pickle.dumps(Settings(NUMBER))).number)

def fails():
    raise RuntimeError
""")
    monkeypatch.chdir(tmp_path)
    path, modules = list(sys.path), set(sys.modules)
    try:
        assert "w = 7." in said(capsys, "run", "json.py:build").out
        assert sys.modules["json"] is json
        loaded = set(sys.modules)
        said(capsys, "run", "json.py:fails", code=1)
        said(capsys, "run", "json.py:none", code=2)
        assert set(sys.modules) == loaded
        assert sys.path == path
    finally:
        for name in set(sys.modules) - modules:
            if name == "beside_it" or name.startswith("_graphnn_target"):
                del sys.modules[name]


def test_folders_are_checked_before_the_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("graphnn.demo.trained", lambda *_, **__: pytest.fail("worked"))
    monkeypatch.setattr("graphnn.demo.build", lambda: pytest.fail("worked"))
    (tmp_path / "file").touch()
    for verb in ("train", "demo"):
        assert "file" in said(capsys, verb, "-o", str(tmp_path / "file"), code=1).err


def test_a_function_of_an_installed_module_is_a_target(tmp_path, monkeypatch, capsys):
    assert "dense_2" in said(capsys, "summary", "graphnn.demo:build").out
    for target, words in {
        "graphnn.dmeo:build": 'there is no module "graphnn.dmeo"',
        "nowhere.at.all:build": 'there is no module "nowhere.at.all"',
        "graphnn._util.text.deeper:build": 'there is no module "graphnn._util.text.deeper"',
        "graphnn.demo:biuld": 'graphnn.demo has no function "biuld". Did you mean "build"?',
        "graphnn.demo:trained": "cannot be called without arguments",
    }.items():
        assert words in said(capsys, "summary", target, code=2).err
    (tmp_path / "broken.py").write_text("raise RuntimeError('no data today')")
    monkeypatch.syspath_prepend(tmp_path)
    told = said(capsys, "summary", "broken:build", code=1).err
    assert "no data today" in told
    assert "importlib" not in told
    # A file of that name is meant before a module is.
    monkeypatch.chdir(tmp_path)
    gn.save(gn.demo.build()[0]["loss"].graph, "graphnn.demo:build")
    assert "dense_2" in said(capsys, "summary", "graphnn.demo:build").out


def test_usage_errors_exit_with_2(capsys):
    assert cli.main(["paint"]) == 2
    assert 'there is no verb "paint". Did you mean "train"' in capsys.readouterr().err


def test_what_is_misspelt_leads_to_what_there_is(capsys):
    assert cli.main(["drwa", "model.py:build"]) == 2
    assert 'there is no verb "drwa". Did you mean "draw"?' in capsys.readouterr().err
    for wrong, right in (("--overlya", "--overlay"), ("--tite=a", "--title")):
        with pytest.raises(SystemExit) as exit_:
            cli.main(["draw", "model.py:build", wrong])
        assert exit_.value.code == 2
        assert f'draw takes no {wrong}. Did you mean "{right}"' in capsys.readouterr().err


PAGE = (Path(__file__).parents[3] / "docs" / "adding-a-command.md").read_text(encoding="utf-8")
COMMAND = re.search("^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[1]
ENTRY = re.search("^census = .*$", PAGE, re.MULTILINE)[0].replace('"', "")


@pytest.fixture
def other_package(tmp_path, monkeypatch):
    """A package beside graphnn, installed as pip does it, that adds the command of the page."""
    (tmp_path / "graph_census.py").write_text(COMMAND)
    information = tmp_path / "graph_census-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: graph-census\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[graphnn.commands]\n{ENTRY}\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield information
    command_registry._COMMANDS.pop("census", None)
    sys.modules.pop("graph_census", None)


def test_another_package_adds_a_command_by_an_entry_point(model, capsys, other_package):
    counts = json.loads(said(capsys, "census", f"{model}:build", "--json").out)
    assert sum(counts.values()) == 4
    assert "   1  matmul\n" in said(capsys, "census", f"{model}:build").out
    assert said(capsys, "census", f"{model}:build", "--least", "9").out == ""
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert re.search(
        r"^ +census +count the nodes of a graph by their operations$", capsys.readouterr().out, re.MULTILINE
    )
    assert cli.main(["cenus"]) == 2
    assert 'Did you mean "census"?' in capsys.readouterr().err


def test_a_command_of_another_package_that_does_not_load_hides_no_other(model, capsys, other_package):
    (other_package.parent / "graph_census.py").write_text("import no_such_package_at_all\n")
    told = said(capsys, "census", f"{model}:build", code=1).err
    assert 'the command "census" (graph_census:census) does not load: ModuleNotFoundError' in told
    with pytest.raises(SystemExit) as exit_:
        cli.main(["--help"])
    assert exit_.value.code == 0
    told = capsys.readouterr()
    assert "  draw " in told.out
    assert "does not load" in told.err
    (other_package / "entry_points.txt").write_text("[graphnn.commands]\ncensus = math:pi\n")
    assert 'math:pi does not declare the command "census"' in said(capsys, "census", f"{model}:build", code=1).err


def test_a_command_that_a_program_declares_is_there(model, capsys, tmp_path, monkeypatch):
    (tmp_path / "graph_census.py").write_text(COMMAND)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        importlib.import_module("graph_census")
        assert "   1  matmul\n" in said(capsys, "census", f"{model}:build").out
    finally:
        command_registry._COMMANDS.pop("census", None)
        sys.modules.pop("graph_census", None)


def test_each_module_of_commands_declares_the_command_of_its_name():
    folder = Path(cli.__file__).parent / "commands"
    files = sorted(path.stem for path in folder.glob("[a-z]*.py"))
    own = [name for name in files if present(command_registry._NEEDS.get(name, "cli"))]
    assert len(own) >= 10
    for name in own:
        found = command_registry.find(name)
        assert found is not None
        assert found.action.__module__ == f"graphnn.cli.commands.{name}"


def test_an_option_before_the_command_is_refused_by_name(capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(["--josn", "ops"])
    assert exit_.value.code == 2
    assert 'ops takes no --josn. Did you mean "--json"' in capsys.readouterr().err


def test_a_reader_that_stops_early_is_no_error():
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "graphnn", "ops"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0
