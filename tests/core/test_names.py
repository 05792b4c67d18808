"""Names that are given to nodes besides their own: they stay, and show wherever a node does."""

import re
from pathlib import Path

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn

FEED = {"x": np.ones((2, 2))}


@pytest.fixture
def g() -> gn.Graph:
    """Return a graph in which an operator's result, a layer's and a loss are called something."""
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 2))
    z = gn.name(x @ g.parameter("w", [[2.0], [3.0]]) + 1.0, "z")
    logits = gn.name(nn.Dense(3)(z), "logits")
    gn.name(gn.mean(gn.square(logits)), "loss")
    return g


def test_a_name_stands_for_its_node(g: gn.Graph) -> None:
    z = g["z"]
    assert (z.name, z.title, z.op.name) == ("add", "z", "add")
    assert (g["logits"].name, g["logits"].title) == ("dense_1/add", "logits")
    assert g["add"] is z
    assert g["w"].title == "w"
    assert "z" in g
    np.testing.assert_array_equal(gn.run("z", FEED, graph=g), [[6.0], [6.0]])
    assert gn.grad("loss", g["z"]).shape == ("batch", 1)
    assert gn.name(z, "z") is z  # a second time changes nothing


def test_a_clash_is_an_error_and_changes_nothing(g: gn.Graph) -> None:
    before = dict(g.names)
    with g.scope("s"):
        inner = gn.name(g["x"] * 2.0, "z")
    assert inner.title == "s/z"
    y = g["x"] * 3.0
    for taken in "z", "x", "add", "dense_1", "s/z", "logits":
        with pytest.raises(gn.GraphError, match=f'"multiply" cannot be called "{taken}": that is the name of the '):
            gn.name(y, taken)
    with pytest.raises(gn.GraphError, match='"add" cannot be called "q": it is "z" already'):
        gn.name(g["z"], "q")
    with pytest.raises(gn.GraphError, match="already taken"):
        g.parameter("z", 1.0)
    with pytest.raises(gn.GraphError, match="the output cannot be called"):
        g.outputs["z"] = y
    with g.scope("z") as scope:
        assert scope.path == "z_2"
    for change in (lambda: g.names.pop("z"), lambda: g.names.clear(), lambda: g.names.__delitem__("z")):
        with pytest.raises(gn.UsageError, match="stays"):
            change()
    with pytest.raises(gn.UsageError, match="takes a node"):
        gn.name(3, "three")  # type: ignore[arg-type]
    with pytest.raises(gn.GraphnnError, match="a name is text, and not empty"):
        gn.name(y, "")
    with pytest.raises(gn.GraphnnError, match="NUL"):
        gn.name(y, "a\0b")
    assert y.title == y.name
    assert dict(g.names) == {**before, "s/z": inner}
    g.outputs["y"] = y
    assert gn.name(y, "y").title == "y"  # as its own output is called


def test_copies_and_files_keep_names(g: gn.Graph, tmp_path: Path) -> None:
    given = {name: node.name for name, node in g.names.items()}
    gn.save(g, tmp_path / "g.gnn")
    copies = [gn.load(tmp_path / "g.gnn"), gn.extract(list(g)), gn.Graph.from_networkx(g.dag)]
    copies.append(gn.Graph.from_networkx(g.dag.copy()))
    for copy in copies:
        assert {name: node.name for name, node in copy.names.items()} == given
        assert copy["z"].title == "z"
    assert list(gn.extract(["z"], g).names) == ["z"]
    replaced = gn.replace("loss", {"z": gn.relu(g["z"])}, graph=g).graph
    assert (replaced["z"].name, replaced["logits"].name) == ("add", "dense_1/add")
    instead = gn.replace("loss", {"z": g["x"] @ g.constant([[1.0], [1.0]])}, graph=g).graph
    assert instead["z"].op.name == "matmul"  # it took the place of what was called so


def test_pictures_and_tables_show_the_second_names(g: gn.Graph) -> None:
    trace = gn.trace("loss", FEED, graph=g)
    dbg = gn.debug("loss", FEED, graph=g)
    dbg.until("z")
    with pytest.raises(gn.ShapeError) as refused:
        gn.matmul(g["z"], np.ones((4, 4)))
    shown = {
        "picture": gn.draw(g["loss"], detail="op").source,
        "folded": gn.draw(g["logits"], detail="layer").source,
        "summary": str(gn.summary(g)),
        "trace": str(trace),
        "record": repr(trace["z"]),
        "why": str(trace.why("z", (0, 0))),
        "debugger": str(dbg),
        "spot": repr(dbg["z"]),
        "error": str(refused.value),
    }
    for name, text in shown.items():
        assert "logits" in text if name == "folded" else "z" in text.replace("size", "").replace("zero", ""), name
    assert re.search(r"<b>z</b>.*>add<", shown["picture"]), "the name that the user gave, and what it is"
    assert "z (add)" in shown["summary"]
    assert shown["record"].startswith('<Record 4: "z"')
    assert shown["why"].startswith("z[0, 0] = 6")
    assert trace.select("z") == trace.select("add")
    assert [record.node.title for record in trace.select("log*")] == ["logits"]


def test_a_name_that_is_that_of_a_node_and_of_an_output_is_listed_once() -> None:
    g = gn.Graph()
    g.outputs["y"] = g.placeholder("y")
    with pytest.raises(gn.NotFoundError, match=r'There is: "y"\.'):
        g["something else"]
