"""Names for positions: what takes them, which axes have them, and what is said of one."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from test_ops import OPS, quietly, sampled

import graphnn as gn
from graphnn import Op, Spec, nn
from graphnn.core import labels_along, labels_of, named_index
from graphnn.core.labels import MOST, _Alike, label_of_number, position_of
from graphnn.testing import Draw

PETS = ("cat", "dog", "fish")
FEATURES = ("age", "weight", "height", "legs")


@pytest.fixture
def pets() -> tuple[gn.Graph, gn.Node, gn.Node]:
    """A classifier of two layers, its logits and its loss."""
    g = gn.Graph("pets")
    x, y = g.placeholder("x", ("batch", 4)), g.placeholder("y", ("batch",), "int64")
    logits = gn.name(nn.Sequential(nn.Dense(5), nn.ReLU(), nn.Dense(3))(x), "logits")
    return g, logits, nn.softmax_crossentropy(logits, y)


# --- the table ------------------------------------------------------------------------------------------------------


def test_labels_are_a_mapping() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 3))
    assert not g.labels
    g.labels[x, -1] = list(PETS)
    g.labels["batch"] = np.array(["a", "b"])
    assert len(g.labels) == 2
    assert list(g.labels) == [(x, 1), "batch"]
    assert g.labels["x", 1] == g.labels[x, 1] == g.labels[x, -1] == PETS
    assert dict(g.labels) == {(x, 1): PETS, "batch": ("a", "b")}
    assert repr(g.labels) == '{("x", 1): cat, dog, fish, "batch": a, b}'
    assert (x, -1) in g.labels
    assert (x, 0) not in g.labels
    assert g.labels.get("batch") == ("a", "b")
    del g.labels["x", -1]
    assert g.labels.pop("batch") == ("a", "b")
    assert not g.labels


def test_a_label_that_is_refused_changes_nothing() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 3))
    g.labels[x, 1] = PETS
    for bad in (["a", "b"], ["a", "b", 3], "cat", {"a": 1}, 3, ["a", "b", ""], ["a", "b", "x" * 201]):
        with pytest.raises(gn.GraphnnError):
            g.labels[x, 1] = bad
    assert g.labels[x, 1] == PETS


@pytest.mark.parametrize(
    ("key", "labels", "error", "says"),
    [
        (("x", 1), ["cat", "dog"], gn.ShapeError, '"x" has 3 positions along axis 1, and 2 labels are given: cat, dog'),
        (("x", 1), ["cat"], gn.ShapeError, "and 1 label is given: cat"),
        ("clas", PETS, gn.NotFoundError, 'has no dimension "clas". Did you mean "class"?'),
        ("rows", PETS, gn.NotFoundError, 'There is: "batch", "class"'),
        (("x", 2), PETS, gn.AxisError, '"x" has shape (batch, 3): it has axes 0 to 1, and no axis 2'),
        (("x", "1"), PETS, gn.UsageError, 'an axis of "x" is an int, not'),
        (("z", 0), PETS, gn.NotFoundError, 'no node, scope or output "z"'),
        (3, PETS, gn.UsageError, "labels[name], or of an axis, labels[node, axis], not 3"),
        (("x", 1), "cat", gn.UsageError, "a list of text"),
        (("x", 1), [1, 2, 3], gn.UsageError, "a label is text of 1 to 200 characters that can be printed, not 1"),
    ],
)
def test_errors_say_what_there_is(key: Any, labels: Any, error: Any, says: str) -> None:
    g = gn.Graph()
    g.placeholder("x", ("batch", 3))
    g.placeholder("p", ("batch", "class"))
    with pytest.raises(error) as caught:
        g.labels[key] = labels
    assert says in str(caught.value)


def test_what_is_not_there_says_what_is() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 3))
    with pytest.raises(gn.NotFoundError, match='no labels of "batch"; there are of: none'):
        g.labels["batch"]
    g.labels[x, 1] = PETS
    with pytest.raises(gn.NotFoundError, match=r'no labels of "batch"; there are of: \("x", 1\)'):
        del g.labels["batch"]


def test_a_node_of_another_graph_is_refused() -> None:
    g, other = gn.Graph("g"), gn.Graph("other")
    with pytest.raises(gn.GraphError, match='a node of "other", not of "g"'):
        g.labels[other.placeholder("x", (3,)), 0] = PETS


def test_a_name_that_must_have_one_size_takes_so_many_labels() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", "class"))
    x + g.parameter("bias", [1.0, 2.0, 3.0])
    with pytest.raises(gn.ShapeError, match='the dimension "class" has 3 positions, and 2 labels are given'):
        g.labels["class"] = ["cat", "dog"]
    g.labels["class"] = PETS
    assert labels_of(g["bias"], 0) == PETS


def test_the_table_cannot_be_exchanged() -> None:
    g = gn.Graph()
    with pytest.raises(gn.UsageError, match="names the positions along a dimension"):
        g.labels = {}  # type: ignore[assignment]


@pytest.mark.parametrize("label", ["a\x1b[31m", "a\nb", "\u202ecat", "a\0", "\ud800", "", "a" * 201])
def test_what_would_command_a_terminal_is_no_label(label: str) -> None:
    g = gn.Graph()
    x = g.placeholder("x", (1,))
    with pytest.raises(gn.ValueRangeError, match="that can be printed") as caught:
        g.labels[x, 0] = [label]
    assert "\x1b" not in str(caught.value)
    assert not g.labels


def test_labels_without_end_are_refused() -> None:
    g = gn.Graph()
    g.placeholder("x", ("n",))
    with pytest.raises(gn.ValueRangeError, match=f"{MOST:,} labels at most"):
        g.labels["n"] = iter(lambda: "a", "b")


def test_a_label_is_plain_text_even_of_a_subclass() -> None:
    class Odd(str):
        def __str__(self) -> str:
            return "\x1b[31m"

    g = gn.Graph()
    x = g.placeholder("x", (1,))
    g.labels[x, 0] = [Odd("cat")]
    assert [type(label) for label in g.labels[x, 0]] == [str]


# --- which axes have them -------------------------------------------------------------------------------------------


def test_a_network_hands_them_on(pets: Any) -> None:
    g, logits, loss = pets
    g.labels[logits, 1] = PETS
    g.labels["x", 1] = FEATURES
    probabilities = gn.softmax(logits)
    gradients = gn.grad(loss, [g["dense_1/weight"], g["dense_2/weight"], g["dense_2/bias"], logits])
    assert labels_along(g["x"]) == [None, FEATURES]
    assert labels_along(probabilities) == labels_along(gn.log(probabilities)) == [None, PETS]
    assert labels_along(g["dense_1/weight"]) == labels_along(gradients[0]) == [FEATURES, None]
    assert labels_along(g["dense_2/weight"]) == labels_along(gradients[1]) == [None, PETS]
    assert labels_along(g["dense_2/bias"]) == labels_along(gradients[2]) == [PETS]
    assert labels_along(gradients[3]) == [None, PETS]
    nn.Adam(0.01).updates(loss)
    assert labels_along(g["adam_1/dense_2/weight/mean"]) == [None, PETS]
    hidden = g["dense_1/add"]
    assert labels_along(hidden) == [None, None]
    assert labels_along(gn.argmax(logits, axis=1)) == [None]


def test_of_a_name_every_axis_has_them_but_those_in_another_order() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", "class"))
    nodes = {
        "same": gn.exp(x),
        "turned": gn.transpose(x),
        "column": gn.expand_dims(gn.sum(x, axis=0), -1),
        "reversed": gn.flip(x, axis=1),
        "of reversed": gn.exp(gn.flip(x, axis=1)),
        "back to front": x[:, ::-1],
        "rolled": gn.roll(x, 1, axis=1),
        "sorted": gn.sort(x, axis=1),
        "ranks": gn.argsort(x, axis=1),
        "less": x[:, 1:],
        "picked": gn.take(x, [2, 1, 0], axis=1),
        "flipped rows": gn.flip(x, axis=0),
        "to the back": gn.moveaxis(x, 1, 0),
    }
    g.labels["class"] = PETS
    assert {name: [labels_of(node, axis) for axis in range(node.ndim)] for name, node in nodes.items()} == {
        "same": [None, PETS],
        "turned": [PETS, None],
        "column": [PETS, None],
        "reversed": [None, None],
        "of reversed": [None, None],
        "back to front": [None, None],
        "rolled": [None, None],
        "sorted": [None, None],
        "ranks": [None, None],
        "less": [None, None],
        "picked": [None, None],
        "flipped rows": [None, PETS],
        "to the back": [PETS, None],
    }


def test_both_axes_of_attention_have_the_tokens() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", "time", 8))
    nn.MultiHeadAttention(2, causal=True)(x)
    g.labels["time"] = PETS
    (weights,) = [node for node in g if node.name.endswith("softmax_1/divide")]
    assert [labels_of(weights, axis) for axis in range(4)] == [None, None, PETS, PETS]


def test_a_reshape_keeps_the_axes_before_which_as_many_elements_stand() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", "time", 3))
    g.labels[x, 2] = PETS
    flat = gn.reshape(x, (-1, 3))
    assert labels_along(flat) == [None, PETS]
    assert labels_along(gn.reshape(flat, ("batch", "time", 3))) == [None, None, PETS]
    assert labels_along(gn.reshape(x, ("batch", -1))) == [None, None]
    square = g.placeholder("square", (3, 3))
    g.labels[square, 0] = ["a", "b", "c"]
    assert labels_along(gn.reshape(square, (9,))) == [None]
    assert labels_along(gn.reshape(square, (3, 1, 3))) == [("a", "b", "c"), None, None]


def test_the_labels_set_last_before_a_node_are_its_own() -> None:
    g = gn.Graph()
    x = g.placeholder("x", (2,))
    a = -x
    b = abs(a)
    c = gn.exp(b)
    g.labels[x, 0] = ["x0", "x1"]
    g.labels[b, 0] = ["b0", "b1"]
    assert [labels_of(node, 0) for node in (x, a, b, c)] == [("x0", "x1")] * 2 + [("b0", "b1")] * 2
    del g.labels[x, 0]
    assert labels_of(x, 0) == ("b0", "b1")


def test_a_size_that_differs_in_a_run_has_no_names() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 3))
    g.labels["batch"] = ["first", "second"]
    assert labels_of(x, 0) == labels_of(x, 0, 2) == ("first", "second")
    assert labels_of(x, 0, 3) is None
    assert named_index(x, (1, 2), (2, 3)) == ["'second'", "2"]
    assert named_index(x, (1, 2), (3, 3)) == ["1", "2"]


def test_nodes_made_later_have_them_too() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 3))
    g.labels[x, 1] = PETS
    assert labels_of(x, 1) == PETS
    node = x
    for _ in range(3000):  # nothing is recursive
        node = node + 1.0
    assert labels_of(node, 1) == PETS


def test_an_operation_of_ones_own_needs_no_rule() -> None:
    class TwiceForLabels(gn.Op):
        def infer(self, x: Spec) -> Spec:
            return Spec((x.shape[1], x.shape[0]), x.dtype)

        def forward(self, x: Any) -> Any:
            return 2 * x.T

    try:
        g = gn.Graph()
        x = g.placeholder("x", (3, 3))
        g.labels[x, 1] = PETS
        assert labels_along(TwiceForLabels()(x)) == [PETS, None]
    finally:
        gn.core.registry.pop("twice_for_labels")


def read_places(op: Any, operand: int, index: tuple[int, ...], operands: Sequence[Any], axis: int) -> set[int]:
    """Return the positions along an axis of an operand that an element was made of."""
    entry = op.reads(index, operands)[operand]
    if entry is None:
        return set()
    shape = operands[operand].shape
    places = np.ravel(np.arange(math.prod(shape)).reshape(shape)[entry])
    return set(np.unravel_index(places, shape)[axis].tolist())


@pytest.mark.parametrize("cls", OPS, ids=lambda cls: cls.name)
def test_positions_that_are_one_go_together(cls: type[Op]) -> None:
    """Operands whose axis is put in another order give the same in that order; or each position reads its own."""
    rng = np.random.default_rng(7)
    for _ in range(30):
        op, operands = sampled(cls, Draw(rng))
        value = np.asarray(quietly(op.forward, *operands))
        alike = _Alike(op, [Spec(x.shape, x.dtype) for x in operands], value.shape)
        for group in alike.groups:
            outputs = [axis for i, axis in group if i < 0]
            ((i, axis), *_) = [place for place in group if place[0] >= 0]
            n = operands[i].shape[axis]
            assert all((value if k < 0 else operands[k]).shape[a] == n for k, a in group)
            order = rng.permutation(n)
            moved, expected = list(operands), value
            for k, a in group:
                if k >= 0:
                    moved[k] = np.take(moved[k], order, a)
                else:
                    expected = np.take(expected, order, a)
            try:
                found = np.asarray(quietly(op.forward, *moved))
            except (gn.GraphnnError, np.linalg.LinAlgError):
                found = None
            if found is not None and np.allclose(found, expected, rtol=1e-6, atol=1e-9, equal_nan=True):
                continue
            for out in outputs:
                for p in range(n if value.size else 0):
                    at = tuple(p if each == out else 0 for each in range(value.ndim))
                    read = read_places(op, i, at, operands, axis)
                    assert p in read or not read, (op, group, p)
            # Of several that are put in one place the last counts, and so their order does.
            assert outputs or cls.name == "put_along_axis", (op, group)


# --- what is said of a position -------------------------------------------------------------------------------------


def test_a_position_is_found_by_its_label() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 3))
    with pytest.raises(gn.NotFoundError, match="have no names"):
        position_of(x, 1, "dog")
    g.labels[x, 1] = ["cat", "dog", "cat"]
    assert position_of(x, 1, "dog") == 1
    with pytest.raises(gn.NotFoundError, match=r"no position 'dgo' along axis 1\. Did you mean \"dog\"\?"):
        position_of(x, 1, "dgo")
    with pytest.raises(gn.ValueRangeError, match=r"2 positions along axis 1 .* are called 'cat': 0, 2"):
        position_of(x, 1, "cat")


def test_an_index_says_the_label_in_quotes() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 2))
    g.labels[x, 1] = ["it's", "l" * 90]
    assert named_index(x, (3, 0)) == ["3", '"it\'s"']
    assert len(named_index(x, (3, 1))[1]) == 42


# --- numbers that are positions -------------------------------------------------------------------------------------


def test_the_numbers_of_classes_have_their_names(pets: Any) -> None:
    g, logits, _ = pets  # the loss picks by y
    predicted = gn.argmax(gn.softmax(logits), axis=1)
    order = gn.argsort(logits, axis=1)
    as_int32, some = gn.cast(predicted, "int32"), gn.reshape(predicted, (-1, 1))[1:]
    g.labels[logits, 1] = PETS
    for node in (predicted, order, as_int32, some, g["y"]):
        assert [label_of_number(node, i) for i in (0, 2, 3, -1)] == ["cat", "fish", "", ""]
    assert label_of_number(logits, 1) == label_of_number(predicted + 1, 1) == ""
    assert labels_along(gn.one_hot(predicted, 3)) == [None, PETS]
    assert labels_along(gn.take(g.parameter("weights", [1.0, 2.0, 3.0]), predicted)) == [None]


def test_an_index_that_is_a_constant_names_nothing() -> None:
    g = gn.Graph()
    x, z, first = g.placeholder("x", (3,)), g.placeholder("z", (3,)), g.constant([0, 1])
    gn.take(x, first, axis=0), gn.take(z, first, axis=0)
    g.labels[x, 0] = PETS
    assert labels_of(z, 0) is None


@pytest.mark.parametrize("metric", [nn.confusion_matrix, lambda p, y: nn.recall(p, y, average=None)])
@pytest.mark.parametrize("one_hot", [False, True])
def test_metrics_name_their_classes(pets: Any, metric: Any, one_hot: bool) -> None:
    g, logits, _ = pets
    y = g.placeholder("hot", ("batch", 3)) if one_hot else g.placeholder("other", ("batch",), "int32")
    found = metric(gn.softmax(logits), y)
    g.labels[logits, 1] = PETS
    assert labels_along(found) == [PETS] * found.ndim
