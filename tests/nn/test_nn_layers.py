"""Layers: names, scopes, origins, sharing, and what they refuse."""

import inspect
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import datasets, nn

GOLDENS = json.loads((Path(__file__).parents[1] / "goldens.json").read_text(encoding="utf-8"))


def line() -> int:
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def inputs(features: int = 2, graph: gn.Graph | None = None) -> gn.Node:
    return (graph or gn.Graph("g")).placeholder("x", shape=("batch", features))


class Residual(nn.Layer):
    def __init__(self, units: int) -> None:
        self.inner = nn.Dense(units)

    def call(self, h: gn.Node, training: bool = False) -> gn.Node:
        return h + self.inner(gn.relu(h))


class Told(nn.Layer):
    """Notes what training= says."""

    def __init__(self) -> None:
        self.heard: list[bool] = []

    def call(self, x: gn.Node, training: bool = False) -> gn.Node:
        self.heard.append(training)
        return -x


# --- names and scopes -----------------------------------------------------------------------------------------


def test_the_network_of_the_tour() -> None:
    g = gn.Graph("spiral")
    x = g.placeholder("x", shape=("batch", 2))
    labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
    rng = np.random.default_rng(0)
    network = nn.Sequential(nn.Dense(64, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng), nn.Softmax())
    probabilities = network(x)
    loss = nn.categorical_crossentropy(probabilities, labels)
    assert [node.name for node in g if node.op.name != "constant"] == [
        "x",
        "labels",
        "dense_1/weight",
        "dense_1/bias",
        "dense_1/matmul",
        "dense_1/add",
        "relu_1",
        "dense_2/weight",
        "dense_2/bias",
        "dense_2/matmul",
        "dense_2/add",
        "softmax_1/max",
        "softmax_1/stop_gradient",
        "softmax_1/subtract",
        "softmax_1/exp",
        "softmax_1/sum",
        "softmax_1/divide",
        "categorical_crossentropy_1/clip",
        "categorical_crossentropy_1/pick",
        "categorical_crossentropy_1/log",
        "categorical_crossentropy_1/negative",
        "categorical_crossentropy_1/mean",
    ]
    assert {path: scope.kind for path, scope in g.scopes.items()} == {
        "dense_1": "Dense",
        "dense_2": "Dense",
        "softmax_1": "Softmax",
        "categorical_crossentropy_1": "categorical_crossentropy",
    }
    assert probabilities is g["softmax_1"]
    assert probabilities.shape == ("batch", 3)
    assert loss.shape == ()
    assert g["relu_1"].scope == ""
    assert g["dense_1/add"].scope == "dense_1"
    assert [p.name for p in network.parameters] == [
        "dense_1/weight",
        "dense_1/bias",
        "dense_2/weight",
        "dense_2/bias",
    ]

    network(x, training=True)
    assert {"dense_1_2", "dense_2_2", "softmax_1_2"} < set(g.scopes)
    assert g["relu_1_2"].inputs == (g["dense_1_2/add"],)
    assert "dense_1_2/weight" not in g
    assert g["dense_1_2/matmul"].inputs[1] is g["dense_1/weight"]
    assert len(g.parameters) == 4
    network(x)
    assert {"dense_1_3", "softmax_1_3"} < set(g.scopes)
    assert "relu_1_3" in g


@pytest.mark.parametrize(
    ("layer", "name", "op"),
    [
        (nn.ReLU(), "relu_1", "relu"),
        (nn.LeakyReLU(0.2), "leaky_relu_1", "leaky_relu"),
        (nn.ELU(2.0), "elu_1", "elu"),
        (nn.Sigmoid(), "sigmoid_1", "sigmoid"),
        (nn.Tanh(), "tanh_1", "tanh"),
        (nn.Flatten(), "flatten_1", "reshape"),
    ],
)
def test_a_layer_of_one_operation_is_one_node(layer: nn.Layer, name: str, op: str) -> None:
    x = inputs()
    node = layer(x)
    assert (node.name, node.op.name, node.scope, node.inputs) == (name, op, "", (x,))
    assert layer(x).name == f"{name}_2"
    assert not x.graph.scopes
    assert layer.parameters == []


def test_another_layer_takes_the_next_number() -> None:
    x = inputs()
    assert [nn.ReLU()(x).name for _ in range(3)] == ["relu_1", "relu_2", "relu_3"]
    assert [nn.Dense(2)(x).scope for _ in range(3)] == ["dense_1", "dense_2", "dense_3"]


def test_a_name_in_use_is_passed_over() -> None:
    x = inputs()
    x.graph.constant(1.0, name="dense_1")
    with x.graph.scope("relu_1"):
        gn.exp(x)
    layer = nn.Dense(2)
    assert layer(x).scope == "dense_2"
    assert layer(x).scope == "dense_2_2"
    assert nn.ReLU()(x).name == "relu_2"


def test_a_layer_keeps_its_name_in_another_scope() -> None:
    x = inputs()
    layer, relu = nn.Dense(2), nn.ReLU()
    nn.Dense(2)(x)
    assert layer(x).name == "dense_2/add"
    assert relu(x).name == "relu_1"
    with x.graph.scope("head"):
        assert layer(x).name == "head/dense_2/add"
        assert relu(x).name == "head/relu_1"
        assert layer(x).name == "head/dense_2_2/add"
        assert nn.Dense(2)(x).name == "head/dense_1/add"


def test_a_layer_first_called_in_a_scope_keeps_its_name_outside() -> None:
    x = inputs()
    layer = nn.Dense(2)
    with x.graph.scope("head"):
        layer(x)
    assert layer(x).name == "dense_1/add"
    assert [p.name for p in layer.parameters] == ["head/dense_1/weight", "head/dense_1/bias"]


def test_a_layer_of_ones_own() -> None:
    x = inputs(4)
    block = Residual(4)
    assert block(x).name == "residual_1/add"
    assert x.graph["residual_1/relu"].inputs == (x,)
    assert [p.name for p in block.parameters] == ["residual_1/inner/weight", "residual_1/inner/bias"]
    assert block(x).name == "residual_1_2/add"
    assert x.graph["residual_1_2/inner/matmul"].inputs[1] is block.parameters[0]
    assert Residual(4)(x).name == "residual_2/add"
    scopes = x.graph.scopes
    assert [scopes[s].kind for s in ("residual_1", "residual_1/inner")] == ["Residual", "Dense"]
    assert scopes["residual_1/inner"].parent is scopes["residual_1"]


def test_a_layer_has_the_name_of_the_attribute_that_holds_it() -> None:
    class Head(nn.Layer):
        def __init__(self) -> None:
            self._first, self.__second = nn.Dense(2), nn.Dense(2, "relu")
            self.act, self.drop, self.several = nn.ReLU(), nn.Dropout(0.5), [nn.Dense(2)]
            self.twice = self.once = nn.Dense(2)
            setattr(self, "no/name", nn.Dense(2))

        def call(self, x: gn.Node) -> gn.Node:
            with x.graph.scope("mine"):
                x = self._first(x)
            x = self.twice(self.twice(self.drop(self.act(self.__second(x)))))
            return getattr(self, "no/name")(nn.Sequential(nn.Dense(2), self.several[0])(x))

    x, other = inputs(), inputs(graph=gn.Graph("other"))
    Head()(x, training=True)
    paths = [path.removeprefix("head_1/") for path in x.graph.scopes]
    assert paths == [
        "head_1",
        "mine",
        "mine/first",
        "second",
        "drop",
        "twice",
        "twice_2",
        "dense_1",
        "dense_2",
        "dense_3",
    ]
    assert x.graph["head_1/act"].op.name == "relu"
    assert x.graph["head_1/relu_1"].inputs == (x.graph["head_1/second/add"],)  # of Dense itself

    class Elsewhere(nn.Layer):
        part = nn.Dense(2)

        def call(self, x: gn.Node) -> gn.Node:
            self.own = nn.Dense(2)
            self.own(other)
            return self.part(x)

    assert Elsewhere()(x).name == "elsewhere_1/dense_1/add"  # the class's, not its own
    assert list(other.graph.scopes) == ["dense_1"]


def test_a_subclass_of_a_layer_of_one_operation_that_does_more_has_a_scope() -> None:
    class Doubled(nn.ReLU):
        def call(self, x: gn.Node) -> gn.Node:  # type: ignore[override]
            return super().call(x) * 2.0

    class Renamed(nn.Tanh):
        pass

    x = inputs()
    assert Doubled()(x).name == "doubled_1/multiply"
    assert x.graph["doubled_1/relu"].op.name == "relu"
    assert Renamed()(x).name == "renamed_1"


# --- origins --------------------------------------------------------------------------------------------------


def test_a_scope_knows_the_line_that_constructed_the_layer() -> None:
    x = inputs(4)
    layer, made = nn.Dense(4), line()
    block, made_block = Residual(4), line()
    layer(x)
    block(layer(x))
    node, called = block(x), line()
    scopes = x.graph.scopes
    assert scopes["dense_1"].origin == (__file__, made)
    assert scopes["dense_1_2"].origin == (__file__, made)
    assert scopes["residual_1"].origin == (__file__, made_block)
    inside = inspect.getsourcelines(Residual.__init__)[1] + 1
    assert scopes["residual_1/inner"].origin == (__file__, inside)
    assert node.origin == (__file__, inspect.getsourcelines(Residual.call)[1] + 1)
    assert x.graph["residual_1_2/inner/add"].origin == node.origin
    assert called


def test_in_a_sequence_each_layer_has_its_own_line() -> None:
    x = inputs()
    network = nn.Sequential(
        nn.Dense(3),
        nn.Softmax(),
    )
    first = line() - 3
    node, called = network(x), line()
    assert x.graph.scopes["dense_1"].origin == (__file__, first)
    assert x.graph.scopes["softmax_1"].origin == (__file__, first + 1)
    assert node.origin == x.graph["dense_1/weight"].origin == (__file__, called)


# --- parameters -----------------------------------------------------------------------------------------------


def test_parameters_before_the_first_call() -> None:
    for layer in (nn.Dense(2), nn.Sequential(nn.Dense(2)), Residual(2), nn.ReLU()):
        with pytest.raises(gn.UsageError, match="made when it is first called"):
            _ = layer.parameters


def test_parameters_are_found_in_lists_tuples_and_dicts_once_each() -> None:
    class Tree(nn.Layer):
        def __init__(self) -> None:
            self.branches = {"late": [nn.Dense(2), (nn.Dense(2),)]}
            self.early = nn.Dense(2)
            self.again = self.early
            self.mine: gn.Node | None = None
            self.frozen: gn.Node | None = None
            self.number, self.text, self.circle = 3, "text", [self]

        def call(self, x: gn.Node) -> gn.Node:
            if self.mine is None:
                self.mine = x.graph.parameter("mine", np.ones(2))
                self.frozen = x.graph.parameter("frozen", np.ones(2), trainable=False)
            x = self.early(x) * self.mine
            for branch in (self.branches["late"][0], *self.branches["late"][1]):
                x = branch(x)
            return x

    tree = Tree()
    tree(inputs())
    assert [p.name for p in tree.parameters] == [
        "tree_1/mine",
        "tree_1/early/weight",
        "tree_1/early/bias",
        "tree_1/dense_1/weight",
        "tree_1/dense_1/bias",
        "tree_1/dense_2/weight",
        "tree_1/dense_2/bias",
    ]


def test_a_deep_nest_of_layers_needs_no_recursion() -> None:
    nest: Any = [nn.Dense(2)]
    layer = nest[0]
    for _ in range(100_000):
        nest = [nest]
    holder = nn.Sequential(layer)
    holder.nest = nest  # type: ignore[attr-defined]
    holder(inputs())
    assert len(holder.parameters) == 2


def test_a_dataclass_can_be_a_layer() -> None:
    @dataclass
    class Scaled(nn.Layer):
        factor: float

        def call(self, x: gn.Node) -> gn.Node:
            return x * self.factor

    layer = Scaled(2.0)
    assert layer(inputs()).name == "scaled_1/multiply"
    assert layer.parameters == []


def test_a_layer_stays_in_its_graph() -> None:
    layer = nn.Dense(2)
    block = nn.Sequential(layer, nn.ReLU())
    block(inputs(graph=gn.Graph("first")))
    other = inputs(graph=gn.Graph("second"))
    for again in (layer, block):
        with pytest.raises(gn.GraphError, match=r'in the graph "first" \("dense_1/weight".*called in "second"'):
            again(other)
    assert [node.name for node in other.graph] == ["x"]
    assert not other.graph.scopes


def test_a_layer_without_parameters_begins_anew_in_another_graph() -> None:
    relu = nn.ReLU()
    first, second = inputs(), inputs()
    relu(first)
    nn.ReLU()(second)
    assert relu(second).name == "relu_2"
    assert relu(second).name == "relu_2_2"


# --- training= ------------------------------------------------------------------------------------------------


def test_training_reaches_the_layers_that_care() -> None:
    x, told = inputs(2), Told()

    class Around(nn.Layer):
        def __init__(self) -> None:
            self.told = told

        def call(self, h: gn.Node) -> gn.Node:
            return self.told(h)

    heard: list[bool] = []

    def function(h: gn.Node, training: bool = False) -> gn.Node:
        heard.append(training)
        return h

    network = nn.Sequential(told, nn.Dense(2), Around(), nn.Sequential(told), function, gn.tanh)
    network(x)
    network(x, training=True)
    assert told.heard == [False] * 3 + [True] * 3
    assert heard == [False, True]
    told.heard.clear()
    told(x)
    assert told.heard == [False]


def test_what_is_said_inside_goes_before_what_is_said_outside() -> None:
    told = Told()

    class Frozen(nn.Layer):
        def call(self, h: gn.Node) -> gn.Node:
            return told(told(h, training=False))

    Frozen()(inputs(), training=True)
    assert told.heard == [False, True]


def test_training_is_forgotten_after_an_error() -> None:
    class Broken(nn.Layer):
        def call(self, h: gn.Node) -> gn.Node:
            raise RuntimeError("broken")

    told = Told()
    with pytest.raises(RuntimeError, match="broken"):
        Broken()(inputs(), training=True)
    told(inputs())
    assert told.heard == [False]


# --- Sequential -----------------------------------------------------------------------------------------------


def test_sequential_is_a_list_of_layers() -> None:
    first, second = nn.Dense(2), nn.ReLU()
    for network in (nn.Sequential(first, second), nn.Sequential([first, second])):
        assert list(network) == [first, second]
        assert len(network) == 2
        assert network[0] is first
        assert network[-1] is second
        network.add(nn.Softmax())
        assert [type(layer) for layer in network[1:]] == [nn.ReLU, nn.Softmax]
        assert isinstance(network[1:], nn.Sequential)


def test_an_empty_sequence_changes_nothing() -> None:
    x = inputs()
    assert nn.Sequential()(x) is x
    assert nn.Sequential()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Sequential(nn.ReLU), r"ReLU is a class: write ReLU\(…\)"),
        (lambda: nn.Sequential("relu"), "not 'relu'"),
        (lambda: nn.Sequential(3, 4), "not int"),
        (lambda: nn.Sequential(inputs()), "not Node"),
        (lambda: nn.Sequential(nn.ReLU()).add([nn.ReLU()]), "not list"),
    ],
)
def test_what_sequential_refuses(make: Any, words: str) -> None:
    with pytest.raises(gn.UsageError, match=words):
        make()


# --- Dense ----------------------------------------------------------------------------------------------------


def test_dense_reproduces_the_published_figures() -> None:
    golden = GOLDENS["dense"]
    rng = np.random.RandomState(golden["seed"])
    x = gn.Graph().placeholder("x", shape=("batch", 4))
    first, second = [nn.Dense(n, weight_init=nn.init.uniform(0.0, 0.1), rng=rng) for _, n in golden["layers"]]
    one = first(x)
    values = gn.run([one, second(one)], {x: golden["input"]})
    np.testing.assert_allclose(values[0], golden["output_1"], rtol=0, atol=5.1e-9)
    np.testing.assert_allclose(values[1], golden["output_2"], rtol=0, atol=5.1e-9)


def test_dense_reproduces_the_published_figures_with_given_arrays() -> None:
    golden = GOLDENS["dense"]
    random = np.random.RandomState(golden["seed"])
    given = [(0.1 * random.rand(*shape), np.zeros((1, shape[1]))) for shape in golden["layers"]]
    x = gn.Graph().placeholder("x", shape=("batch", 4))
    network = nn.Sequential(*[nn.Dense(w.shape[1], weight=w, bias=b) for w, b in given])
    value = gn.run(network(x), {x: golden["input"]})
    np.testing.assert_allclose(value, golden["output_2"], rtol=0, atol=5.1e-9)


def spiral_network(x: gn.Node) -> gn.Node:
    rng = np.random.RandomState(42)
    dense = [nn.Dense(3, weight_init=nn.init.uniform(0.0, 0.1), rng=rng) for _ in range(2)]
    return nn.Sequential(dense[0], nn.ReLU(), dense[1], nn.Softmax())(x)  # type: ignore[no-any-return]


def test_the_spiral_network_reproduces_the_published_figures() -> None:
    golden = GOLDENS["spiral"]
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 2))
    y = g.placeholder("y", shape=("batch",), dtype=np.uint8)
    probabilities = spiral_network(x)
    loss = nn.categorical_crossentropy(probabilities, y)
    radius, t = np.array([0, 1, 3, 4]) / 99, np.array([0.0, -0.01151, 0.25205, 0.38226])
    rows = gn.run(probabilities, {x: np.column_stack([radius * np.sin(t), radius * np.cos(t)])})
    printed = np.array(golden["first_five_probabilities"])[[0, 1, 3, 4]]
    np.testing.assert_allclose(rows, printed, rtol=0, atol=5.1e-9)
    X, labels = datasets.spiral(100, classes=3, seed=0)
    assert abs(float(gn.run(loss, {x: X, y: labels.astype(np.uint8)})) - golden["loss"]) < 1e-4


def test_dense_draws_in_the_order_of_making() -> None:
    rng, same = np.random.default_rng(3), np.random.default_rng(3)
    uniform = nn.init.uniform(-1.0, 1.0)
    layers = [nn.Dense(n, weight_init=uniform, bias_init=uniform, rng=rng) for n in (3, 2)]
    nn.Sequential(*layers)(inputs(4))
    for layer, shape in zip(layers, [(4, 3), (3, 2)], strict=True):
        weight, bias = layer.parameters
        np.testing.assert_array_equal(weight.value, same.uniform(-1, 1, shape))
        np.testing.assert_array_equal(bias.value, same.uniform(-1, 1, shape[1:]))


def test_without_a_generator_the_same_build_gives_the_same_numbers() -> None:
    def built() -> list[gn.Node]:
        network = nn.Sequential(nn.Dense(3), nn.Dense(3), nn.Dense(3))
        network(inputs(3))
        return network.parameters

    one, other = built(), built()
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.value, b.value)
    weights = [p.value for p in one if p.ndim == 2]
    assert len({w.tobytes() for w in weights}) == 3
    limit = np.sqrt(6 / 6)
    np.testing.assert_array_equal(weights[1], np.random.default_rng([0, 2]).uniform(-limit, limit, (3, 3)))


def test_given_arrays_are_copied() -> None:
    weight, bias = np.ones((2, 3)), np.ones(3)
    layer = nn.Dense(3, weight=weight, bias=bias)
    weight[:] = bias[:] = 7.0
    layer(inputs())
    assert [p.value.max() for p in layer.parameters] == [1.0, 1.0]


@pytest.mark.parametrize("bias", [np.arange(3.0), np.arange(3.0)[None], [0.0, 1.0, 2.0], [[0, 1, 2]], range(3)])
def test_a_given_bias_is_kept_as_one_row(bias: Any) -> None:
    x = inputs()
    layer = nn.Dense(3, weight=np.zeros((2, 3)), bias=bias)
    layer(x)
    assert x.graph["dense_1/bias"].dtype == np.float64
    np.testing.assert_array_equal(x.graph["dense_1/bias"].value, [0.0, 1.0, 2.0])


def test_dtypes() -> None:
    g = gn.Graph(dtype=np.float32)
    x = g.placeholder("x", shape=("batch", 2))
    lists = nn.Dense(1, weight=[[1], [2]], bias=[0.5])
    assert lists(x).dtype == np.float32
    assert [p.dtype for p in lists.parameters] == [np.float32] * 2
    arrays = nn.Dense(1, weight=np.ones((2, 1)), bias=np.ones(1, np.int8))
    arrays(x)
    assert [p.dtype for p in arrays.parameters] == [np.float64, np.float32]
    told = nn.Dense(1, weight=np.ones((2, 1)), dtype=np.float16)
    told(x)
    assert [p.dtype for p in told.parameters] == [np.float16] * 2
    drawn = nn.Dense(1)
    assert drawn(x).dtype == np.float32


def test_dense_without_a_bias() -> None:
    x = inputs()
    layer = nn.Dense(3, use_bias=False)
    assert layer(x).name == "dense_1/matmul"
    assert layer.bias is None
    assert layer.parameters == [layer.weight]


@pytest.mark.parametrize("shape", [(4,), (5, 4), ("batch", 3, 4), (0, 4)])
def test_dense_works_on_the_last_axis(shape: Any) -> None:
    x = gn.Graph().placeholder("x", shape=shape)
    layer = nn.Dense(2, rng=np.random.default_rng(0), bias=[[1.0, 2.0]])
    node = layer(x)
    assert node.shape == (*shape[:-1], 2)
    X = np.random.default_rng(1).normal(size=[2 if n == "batch" else n for n in shape])
    weight, bias = (p.value for p in layer.parameters)
    np.testing.assert_allclose(gn.run(node, {x: X}), X @ weight + bias, rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda x: nn.Dense("64"), TypeError, "units is an int of 1 or more, not '64'"),
        (lambda x: nn.Dense(True), TypeError, "not True"),
        (lambda x: nn.Dense(0), ValueError, "1 or more, not 0"),
        (lambda x: nn.Dense(3, weight=np.ones((3, 2))), ValueError, r"shape \(inputs, 3\).*has \(3, 2\)"),
        (lambda x: nn.Dense(3, weight=np.ones(3)), ValueError, r"has \(3,\)"),
        (lambda x: nn.Dense(3, bias=np.ones(2)), ValueError, r"\(3,\) or \(1, 3\).*has \(2,\)"),
        (lambda x: nn.Dense(3, bias=np.ones((3, 1))), ValueError, r"has \(3, 1\)"),
        (lambda x: nn.Dense(3, bias=np.ones(3), use_bias=False), TypeError, "use_bias=False"),
        (lambda x: nn.Dense(3, weight=[["a"]]), TypeError, "Dense: weight is of dtype <U1"),
        (lambda x: nn.Dense(3, weight=x), TypeError, '"x" is a node'),
        (lambda x: nn.Dense(3, dtype=np.int64), TypeError, "parameters are floats"),
        (lambda x: nn.Dense(3, weight=np.ones((4, 3)))(x), ValueError, r"\(4, 3\) float64 at .*takes 4 inputs"),
        (lambda x: nn.Dense(3)(x.graph.placeholder("n", ("batch", "n"))), ValueError, 'is the name "n"'),
        (lambda x: nn.Dense(3)(x.graph.placeholder("s")), ValueError, '"s" has no axis'),
        (lambda x: nn.Dense(3)(np.ones((4, 2))), TypeError, "called on a node, not on ndarray"),
        (lambda x: nn.Dense(3)("x"), TypeError, "called on a node, not on str"),
        (lambda x: nn.Dense(3)(), TypeError, "not on nothing"),
        (lambda x: nn.Dense(3)([x]), TypeError, "called on one node, not on list"),
        (lambda x: nn.ReLU()(x, x), TypeError, "called on one node, not on tuple"),
        (lambda x: nn.Softmax()([x]), TypeError, "called on one node"),
        (lambda x: nn.Softmax(axis=2)(x), IndexError, "axis 2 is out of range"),
        (lambda x: nn.Flatten()(x.graph.placeholder("s")), ValueError, '"s" has no axis'),
        (lambda x: nn.PReLU("n"), ValueError, "must not contain names"),
        (lambda x: nn.Layer()(x), NotImplementedError, r"define call\(self, x\)"),
        (lambda x: nn.ReLU(0.1), TypeError, "positional argument"),
    ],
)
def test_refusals(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make(inputs())


def test_a_refused_call_can_be_made_again() -> None:
    layer = nn.Dense(3)
    g = gn.Graph()
    with pytest.raises(gn.ShapeError, match="is the name"):
        layer(g.placeholder("n", ("batch", "n")))
    with pytest.raises(gn.UsageError, match="made when it is first called"):
        _ = layer.parameters
    assert layer(g.placeholder("x", ("batch", 2))).shape == ("batch", 3)
    assert len(layer.parameters) == 2


def test_a_second_call_must_fit_the_first() -> None:
    g = gn.Graph()
    layer = nn.Dense(3)
    layer(g.placeholder("x", ("batch", 2)))
    with pytest.raises(gn.ShapeError, match="dense_1/weight"):
        layer(g.placeholder("z", ("batch", 4)))


def test_a_call_must_return_nodes() -> None:
    class Forgetful(nn.Layer):
        def call(self, x: gn.Node) -> None:
            gn.exp(x)

    class Twofold(nn.Layer):
        def call(self, x: gn.Node) -> dict[str, gn.Node]:
            return {"up": x + 1.0, "down": x - 1.0}

    with pytest.raises(gn.UsageError, match=r"Forgetful.call returned NoneType; it returns the node"):
        Forgetful()(inputs())
    assert Twofold()(inputs())["down"].name == "twofold_1/subtract"


def test_several_inputs_in_any_form() -> None:
    class Joined(nn.Layer):
        def call(self, parts: list[gn.Node], scale: float) -> gn.Node:
            return (parts[0] + parts[1]) * scale

    x = inputs()
    assert Joined()([x, -x], 3.0).name == "joined_1/multiply"


# --- activations ----------------------------------------------------------------------------------------------


def test_values_of_activations() -> None:
    X = np.array([[-2.0, -0.5], [0.0, 3.0]])
    x = inputs()
    expected = {
        nn.ReLU(): np.maximum(X, 0),
        nn.LeakyReLU(0.1): np.where(X > 0, X, 0.1 * X),
        nn.ELU(2.0): np.where(X > 0, X, 2 * np.expm1(X)),
        nn.Sigmoid(): 1 / (1 + np.exp(-X)),
        nn.Tanh(): np.tanh(X),
        nn.PReLU(): np.where(X > 0, X, 0.25 * X),
        nn.PReLU(2, slope_init=nn.init.constant(0.5)): np.where(X > 0, X, 0.5 * X),
        nn.Softmax(): np.exp(X) / np.exp(X).sum(axis=1, keepdims=True),
        nn.Softmax(axis=0): np.exp(X) / np.exp(X).sum(axis=0, keepdims=True),
        nn.Flatten(): X,
    }
    values = gn.run([layer(x) for layer in expected], {x: X})
    for value, wanted in zip(values, expected.values(), strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-14, atol=0)


def test_softmax_reproduces_the_published_figures() -> None:
    for name in ("softmax_vector", "softmax_rows"):
        golden = GOLDENS[name]
        node = nn.Softmax()(gn.Graph().constant(golden["input"]))
        np.testing.assert_allclose(gn.run(node), golden["output"], rtol=0, atol=5.1e-9)


def test_prelu_has_a_parameter_and_so_a_scope() -> None:
    x = inputs()
    layer = nn.PReLU()
    assert layer(x).name == "prelu_1/prelu"
    assert layer(x).name == "prelu_1_2/prelu"
    assert [(p.name, p.shape) for p in layer.parameters] == [("prelu_1/slope", ())]


@pytest.mark.parametrize(
    ("shape", "flat"),
    [(("batch", 3, 4), ("batch", 12)), (("batch", "n", 2), ("batch", "2*n")), ((5,), (5, 1)), ((2, 0, 3), (2, 0))],
)
def test_flatten_keeps_the_first_axis(shape: Any, flat: Any) -> None:
    assert nn.Flatten()(gn.Graph().placeholder("x", shape)).shape == flat


def test_reprs() -> None:
    layer = nn.Dense(3)
    assert repr(layer) == "<Dense, not called yet>"
    layer(inputs())
    assert repr(nn.Sequential(layer, gn.tanh))[:31] == 'Sequential(<Dense, "dense_1">, '


ACTIVATIONS = ("relu", "sigmoid", "tanh", "softmax", "gelu", "elu", "silu", "swish", "softplus", "leaky_relu")


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_what_the_layer_behind_would_be(name: str) -> None:
    X = np.random.default_rng(0).normal(size=(5, 3))
    x = gn.Graph().placeholder("x", ("batch", 3))
    made = nn.Dense(4, activation=name)(x)
    plain = gn.Graph().placeholder("x", ("batch", 3))
    function = getattr(gn, "silu" if name == "swish" else name)
    assert np.array_equal(gn.run(made, {x: X}), gn.run(function(nn.Dense(4)(plain)), {plain: X}))
    assert not made.scope.startswith("dense_1")
    rows = [row.name for row in gn.summary(made).rows]
    assert rows[:2] == ["x", "dense_1"]
    assert len(rows) == 3


def test_an_activation_is_a_name_a_layer_or_a_function() -> None:
    x = gn.Graph().placeholder("x", ("batch", 3))
    assert nn.Dense(4, "relu")(x).name == "relu_1"
    assert nn.Dense(4, None)(x).name == "dense_2/add"
    assert nn.Dense(4, "linear")(x).name == "dense_3/add"
    assert nn.Dense(4, gn.tanh)(x).name == "tanh"
    layer = nn.Dense(4, nn.PReLU())
    assert layer(x).name == "prelu_1/prelu"
    assert [node.name for node in layer.parameters] == ["dense_5/weight", "dense_5/bias", "prelu_1/slope"]
    assert layer(x).name == "prelu_1_2/prelu"
    assert [node.name for node in layer.parameters][2:] == ["prelu_1/slope"]
    for wrong, error, words in (
        ("rleu", KeyError, 'Dense: activation: there is no activation "rleu".* Did you mean "relu"'),
        (nn.ReLU, TypeError, r"ReLU is a class: write ReLU\(…\)"),
        (3, TypeError, "is a name, a layer or a function of a node, not int"),
    ):
        with pytest.raises(error, match=words):
            nn.Dense(4, wrong)
