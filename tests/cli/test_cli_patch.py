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
        ("hh=zero", 'Did you mean "h"', 1),
        ("h->x=zero", '"x" does not read "h"', 1),
        ("h[9]=__import__('os')", "is not a value", 2),
        ("h[(), 0]=1", "h[(), 0]", 1),
    ],
)
def test_a_patch_that_cannot_be_is_refused(model, capsys, patch, says, code):
    assert cli.main(["patch", f"{model}:fed", patch]) == code
    assert says in capsys.readouterr().err
