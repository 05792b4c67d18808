"""`graphnn patch`: the same fetches, with other values of nodes."""

import json

import numpy as np
import pytest

import graphnn as gn
from graphnn import cli

MODEL = """
import numpy as np
import graphnn as gn

X = np.array([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]])

def fed():
    g = gn.Graph("model")
    x = g.placeholder("x", ("batch", 3))
    h = gn.relu(x, name="h")
    left, right = gn.multiply(h, 2.0, name="left"), gn.multiply(h, 10.0, name="right")
    return {"total": gn.sum(left + right, axis=1)}, {x: X}

def other():
    fetches, feed = fed()
    return fetches, {"x": X + 1.0}
"""
H = np.array([[1.0, 0.0, 3.0], [4.0, 5.0, 0.0]])


@pytest.fixture
def model(tmp_path):
    (tmp_path / "model.py").write_text(MODEL, encoding="utf-8")
    return str(tmp_path / "model.py")


def changed(part, value):
    h = H.copy()
    h[part] = value
    return h


@pytest.mark.parametrize(
    ("patches", "left", "right"),
    [
        (["h=zero"], 0 * H, 0 * H),
        (["h=2"], 0 * H + 2, 0 * H + 2),
        (["h[:, 1]=-1.5"], changed(np.s_[:, 1], -1.5), changed(np.s_[:, 1], -1.5)),
        (["h->right=zero"], H, 0 * H),
        (["h[0] -> right = mean", "h->left=1e1"], 0 * H + 10, changed(0, H.mean(axis=0))),
        (["h=mean"], np.tile(H.mean(axis=0), (2, 1)), np.tile(H.mean(axis=0), (2, 1))),
    ],
)
def test_a_patch_gives_what_numpy_computes_with_the_value_exchanged(model, capsys, patches, left, right):
    assert cli.main(["patch", f"{model}:fed", *patches, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    values = shown["values"]["total"]
    before, after = 12 * H.sum(axis=1), (2 * left + 10 * right).sum(axis=1)
    assert values["before"]["value"] == pytest.approx(before)
    assert values["after"]["value"] == pytest.approx(after)
    assert values["largest_change"] == pytest.approx(np.abs(after - before).max())
    assert shown["patches"] == patches


def test_arrays_and_traces_are_read_from_files_and_the_graph_is_written(model, capsys, tmp_path):
    np.save(tmp_path / "h.npy", np.full((2, 3), 7.0))
    assert cli.main(["trace", f"{model}:other", "-o", str(tmp_path / "other.trace")]) == 0
    capsys.readouterr()
    file = str(tmp_path / "patched.gnn")
    patches = [f"h->left={tmp_path}/h.npy", f"h->right={tmp_path}/other.trace"]
    assert cli.main(["patch", f"{model}:fed", *patches, "-o", file]) == 0
    assert "wrote" in capsys.readouterr().out
    x = np.array([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]])
    wanted = (2 * 7.0 + 10 * np.maximum(x + 1, 0)).sum(axis=1)
    np.testing.assert_allclose(gn.run(gn.load(file).outputs["total"], {"x": x}), wanted)


def test_fetches_are_written_by_names_that_are_free(model, capsys, tmp_path):
    (tmp_path / "scoped.py").write_text(
        "import graphnn as gn\n"
        "def fed():\n"
        "    x = gn.Graph().placeholder('x', 2)\n"
        "    with x.graph.scope('block'):\n"
        "        y = gn.tanh(gn.exp(x))\n"
        "    return gn.sum(y), {x: [1.0, 2.0]}\n",
        encoding="utf-8",
    )
    file = str(tmp_path / "patched.gnn")
    fetches = ["--fetch", "block", "--fetch", "x"]
    assert cli.main(["patch", f"{tmp_path}/scoped.py:fed", "block/exp=0", "x=3", *fetches, "-o", file]) == 0
    found = gn.run(gn.load(file).outputs, {"x": [1.0, 2.0]})
    assert [value.tolist() for value in found.values()] == [[0.0, 0.0], [3.0, 3.0]]


def test_what_changes_is_printed_as_a_table(model, capsys):
    assert cli.main(["patch", f"{model}:fed", "h[0, 0]=2", "--fetch", "left", "--fetch", "h"]) == 0
    shown = capsys.readouterr().out
    assert [line.split()[0] for line in shown.splitlines()[2:]] == ["left", "h"]
    assert [line.split()[-1] for line in shown.splitlines()[2:]] == ["2", "1"]


@pytest.mark.parametrize(
    ("patch", "says", "code"),
    [
        ("h", "is not a patch: write NODE=VALUE", 2),
        ("=3", "is not a patch", 2),
        ("h=much", "is not a value to patch with", 2),
        ("h=nowhere.npy", "nowhere.npy", 2),
        ("hh=zero", 'Did you mean "h"', 2),
        ("h->x=zero", '"x" does not read "h"', 2),
        ("h[9]=__import__('os')", "is not a value", 2),
        ("h[(), 0]=1", "h[(), 0]", 2),
    ],
)
def test_a_patch_that_cannot_be_is_refused(model, capsys, patch, says, code):
    assert cli.main(["patch", f"{model}:fed", patch]) == code
    assert says in capsys.readouterr().err


# --- effects --------------------------------------------------------------------------------------------------

TWO_PATHS = """
import numpy as np
import graphnn as gn

def fed():
    g = gn.Graph("paths")
    x = g.placeholder("x", ("batch", 3))
    left, right = gn.multiply(x, 2.0, name="left"), gn.multiply(x, 10.0, name="right")
    total = gn.sum(left + right, name="total")
    return {"total": total, "both": left + right}, {x: np.ones((2, 3))}
"""


@pytest.fixture
def paths(tmp_path):
    (tmp_path / "paths.py").write_text(TWO_PATHS, encoding="utf-8")
    np.save(tmp_path / "zeros.npy", np.zeros((2, 3)))
    return f"{tmp_path}/paths.py:fed", f"x={tmp_path}/zeros.npy"


def effects(capsys, *arguments):
    assert cli.main(["effects", *arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    return found, {each["place"]: each["value"] for each in found["effects"]}


def test_effects_of_two_paths_are_their_shares(paths, capsys, tmp_path):
    target, zeros = paths
    found, values = effects(capsys, target, "--metric", "total", "--corrupted", zeros)
    assert (found["clean"], found["corrupted"]) == (72.0, 0.0)
    assert values == {"x": 72.0, "left": 12.0, "right": 60.0, "add": 72.0}
    more = ["--over", "edges", "--direction", "noise", "--method", "attribution", "--steps", "2"]
    _, values = effects(capsys, target, "--metric", "total", "--corrupted", zeros, *more)
    assert values["x → left"] == pytest.approx(-12.0)
    assert values["x → right"] == pytest.approx(-60.0)
    _, values = effects(capsys, target, "--metric", "total", "--corrupted", zeros, "--parts", "right", "1")
    assert values == {f"right[:, {i}]": 20.0 for i in range(3)}
    assert cli.main(["trace", target, "--feed", zeros, "-o", str(tmp_path / "zeros.trace")]) == 0
    capsys.readouterr()
    other = ["--corrupted", f"{tmp_path}/zeros.trace", "--over", "left", "--over", "right[0]", "--over", "x->left"]
    _, values = effects(capsys, target, "--metric", "total", *other)
    assert values == {"left": 12.0, "right[0]": 30.0, "x → left": 12.0}


def test_one_element_is_a_metric(paths, capsys):
    target, zeros = paths
    found, values = effects(capsys, target, "--metric", "both[1, 2]", "--corrupted", zeros, "--over", "left")
    assert (found["clean"], found["corrupted"]) == (12.0, 0.0)
    assert values == {"left": 2.0}


def test_effects_are_printed_largest_first(paths, capsys):
    target, zeros = paths
    assert cli.main(["effects", target, "--metric", "total", "--corrupted", zeros, "--over", "nodes", "--all"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "72 clean, 0 corrupted" in lines[0]
    assert [line.split()[-1] for line in lines[2:]] == ["x", "add", "right", "left"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--metric", "total"], "say what differs in the other run"),
        (["--metric", "total", "--corrupted", "x.npz", "--steps", "2"], "they go with --method attribution"),
        (["--corrupted", "ZEROS"], "--metric NAME"),
        (["--corrupted", "ZEROS", "--metric", "both"], "a metric is one number"),
        (["--corrupted", "ZEROS", "--metric", "total", "--parts", "right", "x"], "whole number"),
        (["--corrupted", "ZEROS", "--metric", "total", "--over", "rigth"], 'Did you mean "right"'),
        (["--corrupted", "ZEROS", "--metric", "both[1]"], "a metric is one number"),
        (["--corrupted", "ZEROS", "--metric", "both[1, 3]"], '[1, 3]": getitem: index 3 is out of range'),
        (["--corrupted", "ZEROS", "--metric", "x -> left"], "is not one number"),
        (["--corrupted", "none.trace", "--metric", "total"], "none.trace"),
    ],
)
def test_effects_that_cannot_be_measured_are_refused(paths, capsys, arguments, says):
    target, zeros = paths
    assert cli.main(["effects", target, *[zeros if each == "ZEROS" else each for each in arguments]]) != 0
    assert says in capsys.readouterr().err
