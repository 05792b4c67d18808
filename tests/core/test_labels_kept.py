"""Names for positions are kept: in copies, in files, in models of ONNX; and nothing that lies about them comes in."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.core import labels_along, labels_of
from graphnn.io.graph_files import from_data, to_data

PETS = ("cat", "dog", "fish")
FEATURES = ("age", "weight")


def classifier() -> tuple[gn.Graph, gn.Node]:
    g = gn.Graph("pets")
    x = g.placeholder("x", ("batch", "feature"))
    hidden = gn.tanh(x @ g.parameter("weight", np.ones((2, 4))))
    logits = gn.add(hidden @ g.parameter("last", np.ones((4, 3))), 0.0, name="logits")
    g.outputs["probabilities"] = gn.softmax(logits)
    g.labels["feature"] = FEATURES
    g.labels[logits, 1] = PETS
    return g, logits


def named(g: gn.Graph) -> dict[Any, Any]:
    return {key if isinstance(key, str) else (key[0].name, key[1]): labels for key, labels in g.labels.items()}


ALL = {"feature": FEATURES, ("logits", 1): PETS}


# --- copies ---------------------------------------------------------------------------------------------------------


def test_a_copy_has_them() -> None:
    g, logits = classifier()
    assert named(gn.extract(g)) == named(gn.extract(logits)) == ALL
    assert named(gn.extract(logits, sizes={"batch": 5})) == ALL
    assert named(gn.replace(logits, {"tanh": gn.relu(g["tanh"])}).graph) == ALL


def test_a_copy_in_which_a_dimension_is_called_otherwise_or_is_a_number() -> None:
    _, logits = classifier()
    for size in ("column", 2):
        other = gn.extract(logits, sizes={"feature": size})
        assert labels_of(other["x"], 1) == FEATURES
        assert labels_of(other["weight"], 0) == FEATURES
        assert labels_of(other["logits"], 1) == PETS


def test_of_a_part_the_parameters_keep_theirs() -> None:
    g, _ = classifier()
    part = gn.extract(g["last"] * 2.0)
    assert labels_along(part["last"]) == [None, PETS]
    assert labels_along(gn.extract(g["tanh"])["weight"]) == [FEATURES, None]


def test_what_comes_in_for_a_node_has_its_labels() -> None:
    g, logits = classifier()
    found = gn.replace(g.outputs["probabilities"], {logits: gn.add(logits.inputs[0], 1.0, name="instead")})
    assert labels_along(found) == [None, PETS]


def test_a_dag_of_networkx_has_them() -> None:
    g, _ = classifier()
    assert named(gn.Graph.from_networkx(g.dag)) == ALL
    assert named(gn.Graph.from_networkx(copy.deepcopy(g.dag))) == ALL


@pytest.mark.parametrize(
    "labels",
    [
        [["logits", ["a"]]],
        [[["logits", 1], ["a", "b"]]],
        [[["logits", 1], ["a", "b", "\x1b"]]],
        [["rows", ["a"]]],
        [7],
        [[7, ["a"]]],
    ],
)
def test_a_dag_that_lies_about_them_is_refused(labels: Any) -> None:
    dag = copy.deepcopy(classifier()[0].dag)
    dag.graph["labels"] = labels
    with pytest.raises(gn.GraphnnError):
        gn.Graph.from_networkx(dag)


def test_a_loop_that_is_unrolled_in_a_trace_has_them_outside() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("time", 3))
    _, after = gn.scan(lambda state, row: (state + row, state + row), gn.zeros((3,), graph=g), x)
    g.labels["time"] = ["first", "second"]
    trace = gn.trace(after * 2.0, {x: np.ones((2, 3))})
    assert "'second', 0] = 4" in trace.why(trace.fetches[0], (1, 0)).equation
    assert "'second', 0] = 4" in trace.why(trace.fetches[0], ("second", 0)).equation


# --- files ----------------------------------------------------------------------------------------------------------


def test_a_file_has_them(tmp_path: Path) -> None:
    g, logits = classifier()
    gn.save(g, tmp_path / "pets.gnn")
    assert named(gn.load(tmp_path / "pets.gnn")) == ALL
    gn.save(g["tanh"], tmp_path / "part.gnn")
    assert named(gn.load(tmp_path / "part.gnn")) == {"feature": FEATURES}
    trace = gn.trace(logits, {"x": np.ones((2, 2))})
    trace.save(tmp_path / "pets.gnt")
    assert "'dog'] = " in gn.load(tmp_path / "pets.gnt").why("logits[0, dog]").equation


def test_a_file_without_any_is_as_it_was() -> None:
    g = gn.Graph()
    g.placeholder("x")
    data, _ = to_data(g)
    assert "labels" not in data


def forged(change: Any) -> Any:
    g, _ = classifier()
    data, arrays = to_data(g)
    data = json.loads(json.dumps(data))
    change(data["labels"])
    return from_data(data, arrays)


def column(name: str, row: int, value: Any) -> Any:
    return lambda table: table[name].__setitem__(row, value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (column("names", 1, ["cat", "dog"]), "3 positions along axis 1, and 2 labels are given"),
        (column("names", 1, ["cat", "dog", 3]), "labels are text"),
        (column("names", 1, ["cat", "dog", ["fish"]]), "labels are text"),
        (column("names", 1, ["cat", "dog", "\x1b[31m"]), "that can be printed"),
        (column("names", 1, ["cat", "dog", "a" * 300]), "1 to 200 characters"),
        (column("names", 1, "abc"), "other than list"),
        (column("axis", 1, 2), "no axis 2"),
        (column("axis", 1, -1), "beyond 0"),
        (column("node", 1, 99), "beyond"),
        (column("dimension", 0, "batches"), 'no dimension "batches"'),
        (column("dimension", 0, "__class__"), 'no dimension "__class__"'),
        (lambda table: [column.append(column[-1]) for column in table.values()], "an entry twice"),
        (lambda table: table.pop("axis"), "does not have the columns"),
    ],
)
def test_a_file_that_lies_about_them_is_refused(change: Any, says: str) -> None:
    with pytest.raises(gn.FileFormatError) as caught:
        forged(change)
    assert says in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_a_sound_file_is_not_refused() -> None:
    assert named(forged(lambda table: None)) == ALL


# --- what a model hands on ------------------------------------------------------------------------------------------


def test_a_network_that_was_trained_and_read_back_says_them(tmp_path: Path) -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 2)), g.placeholder("y", ("batch",), "int64")
    logits = nn.Dense(3)(x)
    g.labels[logits, 1] = PETS
    loss = nn.softmax_crossentropy(logits, y)
    step = gn.compile(loss, nn.Adam(0.1).updates(loss))
    step({x: np.ones((4, 2)), y: [0, 1, 2, 0]})
    gn.save(g, tmp_path / "trained.gnn")
    again = gn.load(tmp_path / "trained.gnn")
    assert labels_along(again["adam_1/dense_1/weight/mean"]) == [None, PETS]
    assert gn.core.label_of_number(again["y"], 1) == "dog"
