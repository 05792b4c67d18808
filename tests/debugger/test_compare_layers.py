"""A whole layer removed or added: what stands for what is known from the construction."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import graphnn as gn
from graphnn import Comparison, nn
from graphnn.debugger.diff import compare

ACTIVATIONS: dict[str, Callable[[gn.Node], gn.Node]] = {
    "tanh": gn.tanh,
    "sigmoid": gn.sigmoid,
    "softplus": gn.softplus,
    "halved": lambda h: h * 0.5,  # of which the constants are all alike
    "none": lambda h: h,
}


class Shape(NamedTuple):
    """What a net is made of."""

    seed: int = 0
    width: int = 4
    depth: int = 5
    activation: str = "tanh"
    bias: str = "zeros"
    named: bool = True
    """By hand; else by `nn.Dense`, whose names shift where a layer is missing."""


class Net(NamedTuple):
    """A net, of which some layer may be left out."""

    target: Any
    nodes: dict[Any, list[gn.Node]]
    """What each layer is made of, and "x" and "loss"."""
    results: dict[Any, gn.Node]
    """What comes out of each layer; of -1, what goes into the first."""

    def order(self) -> list[gn.Node]:
        compiled = isinstance(self.target, gn.Compiled)
        return gn.schedule([*self.target.fetches, *self.target.updates.values()] if compiled else self.target)

    def whose(self) -> dict[gn.Node, Any]:
        """Return for each node that is made for one by itself: of which layer it is, and which one there."""
        return {node: (layer, i) for layer, nodes in self.nodes.items() for i, node in enumerate(nodes)}

    def of_layer(self, layer: int) -> set[gn.Node]:
        """Return all that is there for a layer alone, with its gradients and updates."""
        order, whose, found = self.order(), self.whose(), set[gn.Node]()
        for node in order:
            root = made_for(node)
            read = {whose.get(made_for(operand), (None,))[0] for operand in node.inputs}
            if whose.get(root, (layer if layer in read and root.phase == "update" else None,))[0] == layer:
                found.add(node)
        if layer == 0:  # nothing asks for the gradient by the input of what is the first layer then
            product = next(node for node in self.nodes[1] if node.op.name == "matmul")
            turned = {node for node in order if node.twin is product and node.inputs == (product.inputs[1],)}
            found |= turned | {node for node in order if not turned.isdisjoint(node.inputs)}
        return found


def made_for(node: gn.Node) -> gn.Node:
    while node.twin is not None:
        node = node.twin
    return node


def built(shape: Shape, form: str, without: int | None = None) -> Net:
    rng = np.random.default_rng(shape.seed)
    g = gn.Graph("net")
    size = (shape.width, shape.width)
    x, y = g.placeholder("x", ("n", shape.width)), g.placeholder("y", ("n", shape.width))
    nodes: dict[Any, list[gn.Node]] = {"x": [x, y]}
    results, parameters = {-1: x}, dict[str, gn.Node]()
    h = x
    for i in range(shape.depth):
        weight = rng.normal(size=size)
        bias = rng.normal(size=size[:1]) if shape.bias == "drawn" else np.zeros(size[:1])
        if i == without:
            continue
        before = len(g)
        if shape.named:
            made = [g.parameter(f"w{i}", weight)]
            h = gn.matmul(h, made[0])
            if shape.bias != "none":
                made.append(g.parameter(f"b{i}", bias))
                h = h + made[1]
        else:
            layer = nn.Dense(
                shape.width, weight=weight, **({"use_bias": False} if shape.bias == "none" else {"bias": bias})
            )
            h = layer(h)
            made = layer.parameters
        parameters |= {f"{i}.{k}": parameter for k, parameter in enumerate(made)}
        h = results[i] = ACTIVATIONS[shape.activation](h)
        nodes[i] = [*g][before:]
    before = len(g)
    loss = nn.mean_squared_error(h, y)
    nodes["loss"] = [*g][before:]
    return Net(FORMS[form](loss, parameters), nodes, results)


def gradients(loss: gn.Node, parameters: dict[str, gn.Node]) -> dict[str, gn.Node]:
    return {name: gn.grad(loss, parameter) for name, parameter in parameters.items()}


FORMS: dict[str, Callable[[gn.Node, dict[str, gn.Node]], Any]] = {
    "loss": lambda loss, parameters: loss,
    "list": lambda loss, parameters: [loss, *gradients(loss, parameters).values()],
    "dict": lambda loss, parameters: {"loss": loss, **gradients(loss, parameters)},
    "gradients": lambda loss, parameters: gradients(loss, parameters),
    "by hand": lambda loss, parameters: gn.compile(loss, {p: p - 0.1 * gn.grad(loss, p) for p in parameters.values()}),
    "SGD": lambda loss, parameters: gn.compile(loss, nn.SGD(0.1, momentum=0.5).updates(loss)),
    "Adam": lambda loss, parameters: gn.compile(loss, nn.Adam(0.1).updates(loss)),
}


def check(shape: Shape, form: str, layer: int, added: bool) -> Comparison:
    """Compare a net with the one that has a layer less, and hold what is found to what is known."""
    whole, less = built(shape, form), built(shape, form, layer)
    rng = np.random.default_rng([shape.seed, 1])
    feed = {name: rng.normal(size=(3, shape.width)) for name in ("x", "y")}
    a, b = (less, whole) if added else (whole, less)
    found = compare(a.target, b.target, feed)
    more, fewer = (found.only_b, found.only_a) if added else (found.only_a, found.only_b)
    own = whole.of_layer(layer)
    if form != "by hand":  # of its updates, the constants are made for no node
        assert {*more} == own & {*whole.order()}
    assert fewer == []
    pairs = {(its if added else mine): (mine if added else its) for mine, its in found.pairs}
    whose, others = whole.whose(), less.whose()
    for mine, its in pairs.items():
        assert its is not None
        assert mine.op.name == its.op.name
        assert whose.get(mine) == others.get(its)
        if mine.twin in pairs:
            assert pairs[mine.twin] is its.twin
    before, after = (
        next(k for k in reversed(whole.results) if k < layer),
        layer + 1 if layer < shape.depth - 1 else "loss",
    )
    first = found.first
    assert first is not None
    assert first.node in a.nodes[after]
    assert first.other in b.nodes[after]
    gone, left = whole.results[layer], less.results[before]
    told = f'"{gone.name}" ({gone.op.name}, {"added" if added else "removed"})', f'"{left.name}"'
    assert first.edits == ("operand 0 changed: {} → {}".format(*(reversed(told) if added else told)),)
    return found


@pytest.mark.parametrize("added", [False, True], ids=["removed", "added"])
@pytest.mark.parametrize("layer", [0, 2, 4], ids=["start", "middle", "end"])
@pytest.mark.parametrize("named", [True, False], ids=["by hand", "Dense"])
@pytest.mark.parametrize("form", FORMS)
def test_a_layer_that_only_one_has_hides_no_counterpart(form: str, named: bool, layer: int, added: bool) -> None:
    check(Shape(named=named), form, layer, added)


def test_a_layer_that_only_one_has_is_found_in_any_net() -> None:
    rng = np.random.default_rng(0)
    for seed in range(100):
        shape = Shape(
            seed,
            width=int(rng.integers(2, 6)),
            depth=int(rng.integers(2, 8)),
            activation=str(rng.choice([*ACTIVATIONS])),
            bias=str(rng.choice(["none", "zeros", "drawn"])),
            named=bool(rng.integers(2)),
        )
        check(shape, str(rng.choice([*FORMS])), int(rng.integers(shape.depth)), bool(rng.integers(2)))


def changes(found: Comparison) -> list[str]:
    return [edit for difference in found.differences for edit in difference.edits]


def test_the_norm_of_all_gradients_is_that_of_fewer() -> None:
    def clipped(without: int | None = None) -> gn.Compiled:
        loss = built(Shape(named=False), "loss", without).target
        return gn.compile(loss, nn.Adam(0.1, clip_norm=1.0).updates(loss))

    feed = {"x": np.ones((3, 4)), "y": np.zeros((3, 4))}
    for layer in range(5):
        found = compare(clipped(), clipped(layer), feed)
        assert not any("op changed" in edit for edit in changes(found))
        assert sorted(node.op.name for node in found.only_a if "clip_norm" in node.scope and node.twin is None) == [
            "add",
            "add",
        ]
        assert found.only_b == []


def test_a_layer_that_only_one_has_is_found_where_the_loss_is_another() -> None:
    def step(without: int | None, loss_of: Callable[[gn.Node, gn.Node], gn.Node]) -> gn.Compiled:
        net = built(Shape(named=False), "loss", without)
        (_, target), h = net.nodes["x"], [*net.results.values()][-1]
        loss = loss_of(h, target)
        return gn.compile(loss, nn.SGD(0.1).updates(loss))

    a = step(None, lambda h, y: gn.mean(gn.square(h - y)))
    b = step(2, lambda h, y: gn.mean(gn.absolute(h - y)) * 2.0)
    found = compare(a, b, {"x": np.ones((3, 4)), "y": np.zeros((3, 4))})
    assert changes(found)[:2] == [
        'operand 0 changed: "tanh_3" (tanh, removed) → "tanh_2"',
        "op changed: square → absolute",
    ]
    assert [node.name for node in found.only_a][:5] == [
        "dense_3/weight",
        "dense_3/bias",
        "dense_3/matmul",
        "dense_3/add",
        "tanh_3",
    ]


def test_gradients_of_a_list_are_not_reported_apart_by_their_number() -> None:
    feed = {"x": np.ones((3, 4)), "y": np.zeros((3, 4))}
    found = compare(built(Shape(), "list").target, built(Shape(), "list", 2).target, feed)
    assert not any("parameter" in edit for edit in changes(found))
    named = {mine.name: None if its is None else its.name for mine, its in found.pairs}
    assert (named["w3"], named["w4"]) == ("w3", "w4")
    assert {difference.node for difference in found.differences}.isdisjoint(found.only_a)


def test_gradients_in_another_order_are_reported() -> None:
    g = gn.Graph()
    v, w = g.parameter("v", [1.0, 2.0]), g.parameter("w", [3.0, 4.0])
    loss = gn.sum(v * w)
    p, q = gn.grad(loss, v), gn.grad(loss, w)
    assert compare([loss, p, q], [loss, p, q])
    assert not compare([loss, p, q], [loss, q, p])


def test_parameters_are_found_by_value_where_no_name_is_left() -> None:
    def net(prefix: str, without: int | None = None) -> gn.Node:
        rng = np.random.default_rng(0)
        g = gn.Graph()
        h = x = g.placeholder("x", ("n", 3))
        for i in range(4):
            weight = rng.normal(size=(3, 3))
            if i != without:
                h = gn.tanh(h @ g.parameter(f"{prefix}{i}", weight))
        return gn.mean(h * x)

    found = compare(net("v"), net("w", 1), {"x": np.ones((2, 3))})
    assert [node.name for node in found.only_a] == ["v1", "matmul_2", "tanh_2"]
    named = {mine.name: None if its is None else its.name for mine, its in found.pairs}
    assert [named[f"v{i}"] for i in (0, 2, 3)] == ["w0", "w2", "w3"]


def test_updates_in_another_order_belong_together() -> None:
    def step(turned: bool) -> gn.Compiled:
        loss = built(Shape(named=False), "loss").target
        updates = nn.Adam(0.1).updates(loss)
        return gn.compile(loss, dict(reversed(updates.items())) if turned else updates)

    assert compare(step(False), step(True), {"x": np.ones((3, 4)), "y": np.zeros((3, 4))})


@pytest.mark.parametrize("turned", [False, True])
def test_a_sum_that_was_added_is_not_taken_for_that_of_the_bias(turned: bool) -> None:
    def net(residual: bool) -> gn.Node:
        rng = np.random.default_rng(0)
        g = gn.Graph("net")
        h = g.placeholder("x", shape=("n", 4))
        w, b = g.parameter("w0", rng.normal(size=(4, 4))), g.parameter("b0", rng.normal(size=4))
        h = h * 1.0 if residual else h
        z = h @ w + b
        return gn.tanh(z + h if residual else z)

    found = gn.compare(*[net(turned), net(not turned)], {"x": np.random.default_rng(1).normal(size=(3, 4))})
    assert found.first is not None
    assert found.first.node.name == "tanh"
    assert [edit.partition(":")[0] for edit in found.first.edits] == ["operand 0 changed"]
    matched = {a.name: b.name for a, b in found.pairs if b is not None}
    assert "b0" in matched
    bias_sums = [next(user for user in g["b0"].users) for g in (found.pairs[0][0].graph, found.pairs[0][1].graph)]
    assert matched[bias_sums[0].name] == bias_sums[1].name


def test_a_constant_is_no_counterpart_of_an_operation() -> None:
    def step(by_hand: bool) -> gn.Node:
        g = gn.Graph("net")
        x, w = g.placeholder("x", shape=("n", 2)), g.parameter("w", [[1.0], [2.0]])
        loss = gn.mean(gn.square(x @ w - 1.0))
        updates = {w: w - 0.1 * gn.grad(loss, w)} if by_hand else nn.Adam(0.1).updates(loss)
        return gn.compile(loss, updates=updates)

    found = gn.compare(step(True), step(False), {"x": np.eye(2)})
    for each in found.differences:
        assert each.other is not None
        assert bool(each.node.inputs) is bool(each.other.inputs), each


def test_what_stops_a_gradient_is_no_counterpart_of_what_made_it() -> None:
    def step(stopped: bool) -> gn.Compiled:
        g = gn.Graph()
        x, w, v = g.placeholder("x", ("n", 3)), g.parameter("w", np.eye(3) * 0.5), g.parameter("v", np.eye(3) * 0.4)
        h = gn.tanh(x @ w)
        loss = gn.mean(gn.square((gn.stop_gradient(h) if stopped else h) @ v - x))
        return gn.compile(loss, updates=nn.SGD(0.1).updates(loss))

    with pytest.warns(gn.GraphnnWarning, match="no derivative passes between"):
        cut = step(True)
    told = compare(step(False), cut, {"x": np.random.default_rng(0).normal(size=(4, 3))})
    assert [node.name for node in told.only_b] == ["stop_gradient", "grad/zeros"]
    assert {node.phase for node in told.only_a} == {"backward"}
    assert told.first is not None
    assert told.first.node.name == "sgd_1/w/multiply"


@pytest.mark.parametrize(
    ("before", "after", "first"),
    [
        ((nn.Tanh, nn.Sigmoid), (nn.Sigmoid, nn.Tanh), "tanh → sigmoid"),
        ((nn.Tanh, nn.ReLU), (nn.Sigmoid, nn.Tanh), "tanh → sigmoid"),
    ],
)
def test_what_has_changed_places_is_no_counterpart(before: Any, after: Any, first: str) -> None:
    def net(one: Any, other: Any) -> gn.Node:
        rng = np.random.default_rng(0)
        g = gn.Graph()
        layers = (nn.Dense(5, rng=rng), one(), nn.Dense(4, rng=rng), other(), nn.Dense(2, rng=rng))
        return gn.mean(gn.square(nn.Sequential(*layers)(g.placeholder("x", ("n", 3)))))

    found = compare(net(*before), net(*after), {"x": np.random.default_rng(0).normal(size=(4, 3))})
    assert not found.only_a
    assert not found.only_b
    assert found.first is not None
    assert f"op changed: {first}" in str(found.first)


def test_operations_that_have_changed_places_are_reported_where_the_first_stands() -> None:
    def two(inner: Any, outer: Any) -> gn.Node:
        return outer(gn.sum(inner(gn.Graph().placeholder("x", (4, 3))), axis=1))

    found = compare(two(gn.sin, gn.cos), two(gn.cos, gn.sin), {"x": np.ones((4, 3))})
    assert "op changed: sin → cos" in str(found.first)


def test_a_constant_that_was_changed_is_reported_whatever_else_was() -> None:
    def net(number: float, f: Any) -> gn.Node:
        return gn.mean(f(gn.Graph().parameter("w", np.arange(3.0)) * number))

    found = compare(net(2.0, gn.sin), net(3.0, gn.cos), {})
    assert found.first is not None
    assert (found.first.node.name, found.only_a, found.only_b) == ("constant", [], [])
