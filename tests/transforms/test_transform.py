"""New graphs from old: what they hold, what they share with the old one (nothing), what is refused."""

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphnn as gn
from graphnn import nn


def same_bits(a: Any, b: Any) -> bool:
    return bool(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())


def names(graph: gn.Graph) -> list[str]:
    return [node.name for node in graph]


def network() -> tuple[gn.Graph, gn.Node]:
    """Build a small classifier with an optimizer, gradients and things aside."""
    g = gn.Graph("net", dtype=np.float32)
    rng = np.random.default_rng(0)
    x, labels = g.placeholder("x", shape=("batch", 2)), g.placeholder("labels", shape="batch", dtype=np.int64)
    model = nn.Sequential(nn.Dense(4, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng), nn.Softmax())
    probabilities = model(x)
    loss = nn.categorical_crossentropy(probabilities, labels)
    g.outputs.update(probabilities=probabilities, loss=loss)
    g.parameter("aside", 1.0)
    gn.exp(x)
    nn.SGD(0.5, momentum=0.9).updates(loss)
    return g, loss


def feed(rows: int = 5) -> dict[str, Any]:
    rng = np.random.default_rng(rows)
    return {"x": rng.normal(size=(rows, 2)).astype(np.float32), "labels": rng.integers(0, 3, rows)}


def twin_of(node: gn.Node) -> str | None:
    return node.twin.name if node.twin is not None else None


def told(node: gn.Node) -> tuple[Any, ...]:
    """Return what a node says of itself, its relations by name."""
    inputs = [operand.name for operand in node.inputs]
    return node.name, node.op, inputs, node.spec, node.scope, node.origin, node.phase, twin_of(node), node.trainable


# --- extract -------------------------------------------------------------------------------------------------------


def test_what_the_fetches_need_comes_along_as_it_was() -> None:
    g, loss = network()
    small = gn.extract(loss)
    assert names(small) == [node.name for node in gn.schedule(loss)]
    assert "aside" not in small
    assert "exp" not in small
    assert [told(node) for node in small] == [told(g[node.name]) for node in small]
    assert all(node.graph is small for node in small)
    assert [node.index for node in small] == list(range(len(small)))
    assert (small.name, small.dtype, small.memory_budget) == ("net", np.float32, None)
    assert {k: v.name for k, v in small.outputs.items()} == {"probabilities": "softmax_1/divide", "loss": loss.name}
    assert small.updates == {}  # their nodes were not asked for
    assert [node.name for node in small.parameters] == [node.name for node in g.parameters if node.name != "aside"]
    assert same_bits(gn.run("loss", feed(), graph=small), gn.run(loss, feed()))


def test_scopes_come_along() -> None:
    g, loss = network()
    small = gn.extract([loss, *g.updates.values()])
    assert {"dense_1", "softmax_1", "grad", "grad/dense_1"} <= small.scopes.keys()
    for path, scope in small.scopes.items():
        old = g.scopes[path]
        assert (scope.kind, scope.phase, scope.origin) == (old.kind, old.phase, old.origin)
        assert (scope.parent and scope.parent.path) == (old.parent and old.parent.path)
        assert scope is not old
    assert small["softmax_1"].name == "softmax_1/divide"


def test_updates_come_along_with_what_they_update_and_training_goes_on_to_the_bit() -> None:
    g, loss = network()
    step = gn.compile(loss, updates=g.updates)
    for _ in range(3):
        step(feed())
    small = gn.extract([loss, *g.updates.values(), *g.updates])
    assert {p.name: n.name for p, n in small.updates.items()} == {p.name: n.name for p, n in g.updates.items()}
    again = gn.compile(small["loss"], updates=small.updates)
    for _ in range(3):
        assert same_bits(step(feed()), again(feed()))
    assert all(same_bits(small[p.name].value, p.value) for p in g.updates)


def test_the_state_is_a_copy() -> None:
    g, loss = network()
    small = gn.extract(loss)
    before = g["dense_1/bias"].value
    small["dense_1/bias"].value = np.ones(4, np.float32)
    assert same_bits(g["dense_1/bias"].value, before)
    g["dense_2/bias"].value = np.full(3, 7, np.float32)
    assert (small["dense_2/bias"].value == 0).all()
    gn.compile(loss, updates=g.updates)(feed())
    assert (small["dense_1/bias"].value == 1).all()


def test_the_old_graph_does_not_change() -> None:
    g, loss = network()
    before = [told(node) for node in g], dict(g.outputs), dict(g.updates), list(g.scopes)
    gn.extract(loss)
    gn.replace(loss, {g["relu_1"]: gn.tanh(g["dense_1/add"], name="tanh")})
    after = [told(node) for node in g if node.name != "tanh"], dict(g.outputs), dict(g.updates), list(g.scopes)
    assert after == before


def test_the_old_graph_may_go() -> None:
    g, loss = network()
    expected = gn.run(loss, feed())
    small = gn.extract(loss)
    del g, loss
    gc.collect()
    assert same_bits(gn.run("loss", feed(), graph=small), expected)


def test_counters_of_random_nodes_come_along() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 50))
    w = g.parameter("w", np.ones(50))
    dropped = nn.Dropout(0.5)(x * w, training=True)
    loss = gn.sum(dropped)
    small = gn.extract([loss, *g.advances.values()])
    assert len(small.advances) == len(g.advances) == 1
    array = {"x": np.ones((1, 50))}
    made = [gn.compile(graph["sum"], updates={graph["w"]: graph["w"] * 1.0}) for graph in (g, small)]
    values = [[float(step(array)) for _ in range(5)] for step in made]
    assert values[0] == values[1]
    assert len(set(values[0])) > 1


def test_what_is_made_afterwards_finds_free_names() -> None:
    _, loss = network()
    small = gn.extract(loss)
    assert (small["x"] @ small["dense_1/weight"]).name == "matmul"
    assert gn.softmax(small["x"]).name == "softmax_2/divide"
    with small.scope("dense_1"):
        assert gn.exp(small["x"]).name == "dense_1_2/exp"
    assert gn.grad(small["loss"], small["dense_1/weight"]).phase == "backward"


def test_extract_takes_any_form_and_names() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    y, z = -x, abs(x)
    assert names(gn.extract({"a": [y]})) == ["x", "negative"]
    assert names(gn.extract("absolute", g)) == ["x", "absolute"]
    assert names(gn.extract([z, y])) == ["x", "negative", "absolute"]
    assert names(gn.extract([], g)) == []


@st.composite
def random_graph(draw: st.DrawFn) -> gn.Graph:
    g = gn.Graph()
    nodes = [g.placeholder("x", shape=2), g.placeholder("y", shape=2), g.parameter("w", [0.5, -0.25])]
    for _ in range(draw(st.integers(1, 20))):
        a, b = draw(st.sampled_from(nodes)), draw(st.sampled_from(nodes))
        op = draw(st.sampled_from(["add", "multiply", "maximum", "sin", "softmax"]))
        if draw(st.booleans()):
            with g.scope(draw(st.sampled_from(["s", "t"])), reuse=draw(st.booleans())):
                nodes.append(getattr(gn, op)(*(a, b)[: 1 if op in ("sin", "softmax") else 2]))
        else:
            nodes.append(getattr(gn, op)(*(a, b)[: 1 if op in ("sin", "softmax") else 2]))
    return g


FED = {"x": [0.3, -1.7], "y": [2.1, 0.9]}


def fed(graph: gn.Graph) -> dict[gn.Node, Any]:
    return {node: FED[node.name] for node in graph.placeholders}


@given(st.data())
def test_an_extract_runs_to_the_same_bits(draw: st.DataObject) -> None:
    g = draw.draw(random_graph())
    fetches = draw.draw(st.lists(st.sampled_from(list(g)), min_size=1, max_size=3))
    small = gn.extract(fetches)
    assert names(small) == [node.name for node in gn.schedule(fetches)]
    assert [told(node) for node in small] == [told(g[node.name]) for node in small]
    asked = [node.name for node in fetches]
    assert all(map(same_bits, gn.run(asked, fed(small), graph=small), gn.run(fetches, fed(g))))


# --- replace -------------------------------------------------------------------------------------------------------


def test_a_part_is_exchanged() -> None:
    g, loss = network()
    exchanged = gn.replace(loss, {g["relu_1"]: gn.tanh(g["dense_1/add"])})
    new = exchanged.graph
    assert new is not g
    assert "relu_1" not in new
    assert new["dense_2/matmul"].inputs[0] is new["tanh"]
    w1, b1, w2, b2 = (g[f"dense_{i}/{what}"].value for i in (1, 2) for what in ("weight", "bias"))
    given_ = feed()
    logits = np.tanh(given_["x"] @ w1 + b1) @ w2 + b2
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -np.log(shares[np.arange(5), given_["labels"]]).mean()
    np.testing.assert_allclose(gn.run(exchanged, given_), expected, rtol=1e-6)
    assert new.outputs["loss"] is exchanged


def test_a_node_may_be_wrapped_in_something_that_reads_it() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    h = x * 2.0
    y, z = h + 1.0, h - 1.0
    wrapped = gn.replace([y, z, h], {h: gn.square(h)})
    assert [float(v) for v in gn.run(wrapped, {"x": 3.0})] == [37, 35, 36]
    assert wrapped[2].name == "square"
    assert wrapped[2].inputs[0].name == "multiply"
    assert [float(v) for v in gn.run([y, z, h], {x: 3.0})] == [7, 5, 6]


def test_several_parts_at_once() -> None:
    g = gn.Graph()
    x, y = g.placeholder("x"), g.placeholder("y")
    a, b = gn.exp(x), gn.sin(x)
    total = a * 10.0 + b
    exchanged = gn.replace(total, {a: b, b: y, "x": "y"})
    # The reader of b reads y; that of a reads b itself, which is made of what x gave way to.
    assert gn.run(exchanged, {"y": 0.5}) == pytest.approx(np.sin(0.5) * 10 + 0.5)
    chained = gn.replace(total, {a: gn.cos(b)})
    assert gn.run(chained, {"x": 0.5}) == pytest.approx(np.cos(np.sin(0.5)) * 10 + np.sin(0.5))


def test_a_later_node_may_take_an_earlier_ones_place() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    early = gn.exp(x, name="early")
    middle = early + 1.0
    late = gn.sin(g.placeholder("y"), name="late")
    exchanged = gn.replace(middle, {early: late})
    assert names(exchanged.graph) == ["constant", "y", "late", "add"]
    assert all(operand.index < node.index for node in exchanged.graph for operand in node.inputs)
    assert gn.run(exchanged, {"y": 0.0}) == 1


def test_shapes_and_dtypes_follow() -> None:
    g = gn.Graph()
    x, wide = g.placeholder("x", shape=("batch", 2)), g.placeholder("wide", shape=("n", 7), dtype=np.float32)
    total = gn.sum(gn.exp(x) * np.float32(2), axis=0)
    exchanged = gn.replace(total, {x: wide})
    assert (total.shape, total.dtype) == ((2,), np.float64)
    assert (exchanged.shape, exchanged.dtype) == ((7,), np.float32)
    assert gn.run(exchanged, {"wide": np.zeros((3, 7), np.float32)}).tolist() == [6] * 7


def test_what_comes_in_must_fit() -> None:
    g, loss = network()
    with pytest.raises(
        ValueError,
        match=r"matmul cannot multiply \(batch, 2\) by \(4, 3\): axis 1 of operand 0 is 2, axis 0 of operand 1 is 4",
    ):
        gn.replace(loss, {g["relu_1"]: g["x"]})
    with pytest.raises(TypeError, match="labels are integers"):
        gn.replace(loss, {g["labels"]: gn.cast(g["labels"], float)})


def test_outputs_and_updates_read_what_came_in() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x"), g.parameter("w", 1.0)
    h = x * w
    slower, faster = w - 0.1, w - 1.0
    g.outputs.update(h=h, y=h + 1.0)
    g.updates[w] = slower
    exchanged = gn.replace([h, slower], {h: gn.exp(h), slower: faster})
    new = exchanged[0].graph
    assert {k: v.name for k, v in new.outputs.items()} == {"h": "exp"}
    assert new.updates == {new["w"]: exchanged[1]}
    assert exchanged[1].name == faster.name


def test_the_fetches_come_back_in_their_form() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    y = -x
    back = gn.replace({"a": [y, "x"], "b": (y,)}, {}, graph=g)
    assert (back["a"][0].name, back["a"][1].name) == ("negative", "x")
    assert back["a"][0] is back["b"][0]
    assert back["a"][0].graph is not g
    assert gn.replace("negative", {"x": "x"}, graph=g).name == "negative"


def test_origins_twins_and_scopes_are_kept() -> None:
    g, loss = network()
    wanted = [loss, *g.updates.values()]
    exchanged = gn.replace(wanted, {g["dense_1/add"]: gn.clip(g["dense_1/add"], -5.0, 5.0)})
    new = exchanged[0].graph
    for node in new:
        old = g[node.name]
        assert (node.origin, node.scope, node.phase) == (old.origin, old.scope, old.phase)
        assert twin_of(node) == twin_of(old)
        assert node.twin is None or node.twin.graph is new
    assert any(node.twin is not None for node in new)


def test_a_twin_that_comes_later_than_before() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    h = gn.sin(x)
    y = gn.exp(h)
    slope = gn.grad(y, x)
    late = gn.tanh(g.placeholder("z"))
    exchanged = gn.replace([y, slope], {h: late})
    new = exchanged[0].graph
    assert any(node.twin is not None and node.twin.index > node.index for node in new)
    for node in new:
        twin = twin_of(g[node.name])
        assert twin_of(node) == (twin if twin is not None and twin in new else None)


CYCLES: dict[str, Callable[[dict[str, gn.Node]], dict[Any, Any]]] = {
    "two that read each other": lambda n: {n["b"]: gn.exp(n["c"]), n["c"]: gn.sin(n["b"])},
    "through a third": lambda n: {n["b"]: -n["c"], n["c"]: -n["d"], n["d"]: -n["b"]},
}


@pytest.mark.parametrize("make", CYCLES.values(), ids=CYCLES.keys())
def test_an_exchange_that_would_make_a_cycle(make: Callable[..., Any]) -> None:
    g = gn.Graph()
    a = g.placeholder("a")
    nodes = {name: gn.multiply(a, float(i), name=name) for i, name in enumerate("bcd", 2)}
    total = nodes["b"] + nodes["c"] + nodes["d"]
    with pytest.raises(ValueError, match=r'the exchange would make a cycle: ".*" would come to depend on itself') as e:
        gn.replace(total, make(nodes))
    assert isinstance(e.value, gn.GraphError)


@pytest.mark.parametrize(
    ("exchanged", "error", "words"),
    [
        (lambda x: [x], TypeError, "what is exchanged is given as {old: new}, not as list"),
        (lambda x: {x: 3.0}, TypeError, "what comes in is a node, not float"),
        (lambda x: {x: [x, x]}, TypeError, "what comes in is a node, not list"),
        (lambda x: {3: x}, TypeError, "what is exchanged is a node, not int"),
        (lambda x: {"lost": x}, KeyError, 'no node, scope or output "lost"'),
        (lambda x: {x: gn.Graph("b").placeholder("y")}, ValueError, '"y" is a node of "b", not of "a"'),
    ],
)
def test_exchanges_that_cannot_be(exchanged: Callable[..., Any], error: type[Exception], words: str) -> None:
    x = gn.Graph("a").placeholder("x")
    with pytest.raises(error, match=words) as caught:
        gn.replace(-x, exchanged(x))
    assert isinstance(caught.value, gn.GraphnnError)


@given(st.data())
def test_replacing_by_an_equal_changes_no_bit(draw: st.DataObject) -> None:
    g = draw.draw(random_graph())
    before = list(g)
    fetches = draw.draw(st.lists(st.sampled_from(before), min_size=1, max_size=3))
    expected = gn.run(fetches, fed(g))
    chosen = draw.draw(st.lists(st.sampled_from(before), max_size=3, unique=True))
    wrapped = {node: gn.stop_gradient(node) for node in chosen}
    exchanged = gn.replace(fetches, wrapped)
    assert all(map(same_bits, gn.run(exchanged, fed(exchanged[0].graph)), expected))
    for old, new in zip(fetches, exchanged, strict=True):
        assert new.op.name == ("stop_gradient" if old in wrapped else old.op.name)
    readers = [node for node in exchanged[0].graph if node.name in {n.name for n in before}]
    assert not any(g[operand.name] in wrapped for node in readers for operand in node.inputs)


@given(st.data())
def test_replacing_is_substitution(draw: st.DataObject) -> None:
    # One node made by other means: what is computed is what NumPy computes with that value in its place.
    g = draw.draw(random_graph())
    order = list(g)
    old = draw.draw(st.sampled_from(order))
    new = g.constant([1.25, -3.5]) if old.shape == (2,) else g.constant(0.75)
    exchanged = gn.replace(order[-1], {old: new})
    known: dict[gn.Node, Any] = {}
    for node in order:
        if node is old:
            known[node] = new.value
        elif node.inputs:
            known[node] = node.op.forward(*[known[operand] for operand in node.inputs])
        else:
            known[node] = np.asarray(FED[node.name]) if node.name in FED else node.value
    assert same_bits(gn.run(exchanged, fed(exchanged.graph)), np.asarray(known[order[-1]]))


def test_deep_chains() -> None:
    g = gn.Graph()
    x, y = g.placeholder("x"), g.placeholder("y")
    h = x
    for _ in range(20_000):
        h = -h
    assert len(gn.extract(h)) == 20_001
    exchanged = gn.replace(h, {x: y})
    assert gn.run(exchanged, {"y": 5.0}) == 5
    assert "x" not in exchanged.graph


# --- extract with changes: what is fed, sizes, names ---------------------------------------------------------------


def test_a_node_is_cut_and_what_only_it_needs_stays_behind() -> None:
    g, loss = network()
    hidden, rows = g["relu_1"], feed()
    cut = gn.extract(loss, inputs=[hidden])
    assert {node.name for node in cut.placeholders} == {"relu_1", "labels"}
    assert "dense_1/weight" not in cut
    value = gn.run(hidden, rows)
    assert same_bits(gn.run(cut["loss"], {"relu_1": value, "labels": rows["labels"]}), gn.run(loss, rows))
    weight = gn.extract(g.outputs["probabilities"], inputs=["x", "dense_1/weight"])
    doubled = gn.run(weight.outputs["probabilities"], {"x": rows["x"], "dense_1/weight": g["dense_1/weight"].value * 2})
    replaced = gn.replace(g.outputs["probabilities"], {g["dense_1/weight"]: g["dense_1/weight"] * 2.0})
    assert same_bits(doubled, gn.run(replaced, {"x": rows["x"]}))


def test_what_is_cut_has_no_updates_and_no_derivatives_behind_it() -> None:
    g, loss = network()
    assert g.updates
    assert not set(map(str, gn.extract([loss, *g.updates.values()], inputs=["dense_1/weight"]).updates)) - set(
        map(str, g.updates)
    )
    slope = gn.grad(loss, g["dense_1/weight"])
    cut = gn.extract([loss, slope], inputs=["relu_1"])
    assert not cut.cotangents
    assert gn.extract([loss, slope]).cotangents
    dropped = nn.Dropout(0.5)(g["x"], training=True)
    assert gn.extract(dropped * 2.0).advances
    assert not gn.extract(dropped * 2.0, inputs=[dropped]).advances


def test_a_dimension_gets_a_size_or_another_name_everywhere() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 4))
    y = gn.mean(gn.concatenate([gn.reshape(x, ("batch", 2, 2)), gn.reshape(x, (-1, 2, 2))]), axis=0) + gn.sum(x[1:]) / 2
    g.outputs["y"] = y
    g.outputs["slope"] = gn.grad(gn.sum(y), x)
    data = np.random.default_rng(0).normal(size=(8, 4))
    for sizes, shape in (({"batch": 8}, (8, 4)), ({"batch": "n"}, ("n", 4)), ({"batch": "2*n"}, ("2*n", 4))):
        by_size = gn.extract([y, g.outputs["slope"]], sizes=sizes)
        by_shape = gn.extract([y, g.outputs["slope"]], inputs={"x": shape})
        for changed in (by_size, by_shape):
            assert changed["x"].shape == shape
            assert not any("batch" in str(dim) for node in changed for dim in node.shape)
            for name in ("y", "slope"):
                given = gn.run(changed.outputs[name], {"x": data}, sizes={"n": 4} if shape == ("2*n", 4) else None)
                assert same_bits(given, gn.run(g.outputs[name], {x: data}))
    with pytest.raises(gn.ShapeError, match="expected"):
        gn.run(gn.extract(y, sizes={"batch": 8}).outputs["y"], {"x": data[:5]})


def test_all_placeholders_follow_a_name_that_changes() -> None:
    _, loss = network()
    fixed = gn.extract(loss, inputs={"x": (5, 2)})
    assert fixed["labels"].shape == (5,)
    assert same_bits(gn.run(fixed["loss"], feed()), gn.run(loss, feed()))


def test_a_number_becomes_another_one_or_a_name_and_all_shapes_follow() -> None:
    g = gn.Graph()
    x = g.placeholder("x", (4, 6))
    y = gn.softmax(gn.tanh(x @ np.ones((6, 3))), axis=1)
    g.outputs["y"] = gn.mean(y, axis=0) + 0.0
    data = np.random.default_rng(0).normal(size=(9, 6))
    for shape in ((9, 6), ("n", 6)):
        changed = gn.extract(g.outputs["y"], inputs={x: shape})
        assert changed["softmax/exp" if "softmax/exp" in changed else "tanh"].shape == (shape[0], 3)
        exact = np.exp(np.tanh(data @ np.ones((6, 3))))
        exact = (exact / exact.sum(axis=1, keepdims=True)).mean(axis=0)
        assert np.allclose(gn.run(changed.outputs["y"], {"x": data}), exact)


def _fixed() -> tuple[gn.Graph, gn.Node]:
    g = gn.Graph("fixed")
    x = g.placeholder("x", (4, 6))
    return g, x


@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (
            lambda g, x: gn.reshape(x * 2.0, (4, 3, 2)),
            ("n", 6),
            r'\(4, 6\) becomes \(n, 6\): "reshape" \(reshape, shape',
        ),
        (
            lambda g, x: gn.reshape(x * 2.0, (4, 3, 2)),
            (8, 6),
            r'becomes \(8, 6\), "reshape" does not fit: reshape cannot',
        ),
        (lambda g, x: x + np.ones((4, 6)), ("n", 6), r'"add" .* makes n = 4'),
        (lambda g, x: x + np.ones((4, 6)), (8, 6), r'becomes \(8, 6\), "add" does not fit'),
        (lambda g, x: x @ np.ones((6, 3)), (4, "d"), r'"matmul" .* makes d = 6'),
        (lambda g, x: gn.grad(gn.sum(x * x), x), ("n", 6), "is of the backward pass, which holds such numbers"),
        (lambda g, x: gn.divide_by_size(gn.sum(x), 4), (8, 6), "divides by 4, which may be such a number"),
    ],
)
def test_a_number_that_came_from_a_size_is_named(make: Any, shape: Any, message: str) -> None:
    g, x = _fixed()
    y = make(g, x)
    with pytest.raises(gn.ShapeError, match=message):
        gn.extract(y, inputs={x: shape})


def test_nodes_get_other_names() -> None:
    g, _ = network()
    renamed = gn.extract(g.outputs["probabilities"], names={"x": "images", g["relu_1"]: "code"})
    assert renamed.placeholders[0].name == "images"
    assert renamed["code"].op.name == "relu"
    assert renamed["code"].inputs[0].name == "dense_1/add"
    assert same_bits(
        gn.run(renamed.outputs["probabilities"], {"images": feed()["x"]}),
        gn.run(g.outputs["probabilities"], {"x": feed()["x"]}),
    )
    swapped = gn.extract(g["relu_1"] * 1.0, names={"relu_1": "dense_1/add", "dense_1/add": "relu_1"})
    assert swapped["dense_1/add"].op.name == "relu"


def test_a_probe_behind_a_node_is_read_by_all_that_reads_it() -> None:
    g, loss = network()
    hidden = g["relu_1"]
    probe = gn.stop_gradient(hidden)
    probed = gn.replace(loss, {hidden: probe})
    assert [user.name for user in probed.graph["relu_1"].users] == [probe.name]
    assert same_bits(gn.run(probed, feed()), gn.run(loss, feed()))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"inputs": "x"}, gn.UsageError, "inputs= must be a list of nodes"),
        ({"inputs": np.array(0)}, gn.UsageError, "inputs= must be a list of nodes"),
        ({"inputs": [["x"]]}, gn.UsageError, "what is fed is a node, not list"),
        ({"inputs": ["nothing"]}, gn.NotFoundError, "nothing"),
        ({"inputs": {"relu_1": (4, 4)}}, gn.UsageError, "only a placeholder can get another shape"),
        ({"inputs": {"x": (4,)}}, gn.ShapeError, "has other axes"),
        ({"inputs": {"x": (4, 2), "labels": (5,)}}, gn.ShapeError, "cannot become both 4 and 5"),
        ({"inputs": {"x": (4, 2)}, "sizes": {"batch": 5}}, gn.ShapeError, "cannot become both 5 and 4"),
        ({"sizes": {"time": 5}}, gn.UsageError, '"time", which is not a dimension'),
        ({"sizes": {"batch": -5}}, gn.ShapeError, "0 or more"),
        ({"sizes": [5]}, gn.UsageError, "sizes= must be a dict"),
        ({"names": {"x": "labels"}}, gn.GraphError, 'cannot be renamed to "labels"'),
        ({"names": {"x": "dense_1"}}, gn.GraphError, 'cannot be renamed to "dense_1"'),
        ({"names": {"x": "loss"}}, gn.GraphError, 'cannot be renamed to "loss"'),
        ({"names": {"x": ""}}, gn.GraphError, "cannot be renamed"),
        ({"names": {"x": 1}}, gn.UsageError, "a name is text"),
        ({"names": {"x": "a", "labels": "a"}}, gn.GraphError, 'cannot be renamed to "a"'),
    ],
)
def test_changes_that_cannot_be(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    _, loss = network()
    with pytest.raises(error, match=message):
        gn.extract(loss, **changes)
