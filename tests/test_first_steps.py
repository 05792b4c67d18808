"""The lines that a newcomer types first, and what they say."""

import inspect
import re
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn

X = np.linspace(-1.0, 1.0, 8).reshape(4, 2)
Y = np.array([0, 1, 2, 0])
FEED = {"x": X, "y": Y}


def book(output: bool = True) -> gn.Graph:
    """Return the classifier of every book, built by hand."""
    g = gn.Graph("book")
    x = g.placeholder("x", shape=("batch", 2))
    y = g.placeholder("y", shape=("batch",), dtype=np.int64)
    weight, bias = g.parameter("W1", np.eye(2, 3)), g.parameter("b1", np.zeros(3))
    with g.scope("layer1"):
        gn.name(x @ weight + bias, "z1")
        hidden = gn.tanh(g["layer1/z1"])
    loss = -gn.mean(gn.log(gn.pick(gn.softmax(hidden), y)))
    if output:
        g.outputs["loss"] = loss
    return g


def book_loss() -> float:
    hidden = np.tanh(X @ np.eye(2, 3))
    exp = np.exp(hidden)
    return float(-np.log((exp / exp.sum(axis=1, keepdims=True))[range(4), Y]).mean())


# --- a graph stands for its results ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("output", "name"), [(True, "loss"), (False, "negative")])
def test_a_graph_is_run_for_its_results(output: bool, name: str) -> None:
    g = book(output)
    for found in (gn.run(g, FEED), gn.compile(g)(FEED), nn.evaluate(g, FEED)):
        assert list(found) == [name]
        assert found[name] == pytest.approx(book_loss(), rel=1e-12)
    *_, last = gn.steps(g, FEED)
    assert (last.node.name, float(last.value)) == ("negative", pytest.approx(book_loss(), rel=1e-12))


@pytest.mark.parametrize("output", [True, False])
def test_a_graph_is_inspected_as_its_results_are(output: bool) -> None:
    g = book(output)
    loss = g["negative"]
    assert gn.schedule(g) == gn.schedule(loss)
    assert gn.generations(g) == gn.generations(loss)
    assert gn.critical_path(g) == gn.critical_path(loss)
    assert gn.trace(g, FEED).order == gn.trace(loss, FEED).order
    assert gn.debug(g, FEED).order == gn.debug(loss, FEED).order
    costs = [gn.profile(fetches, FEED, repeat=1).by_node for fetches in (g, loss)]
    assert sorted(cost.name for cost in costs[0]) == sorted(cost.name for cost in costs[1])
    assert gn.check_health(g, FEED).count == gn.check_health(loss, FEED).count
    assert gn.check_health(g, FEED, batch_size=2).count == gn.check_health(loss, FEED, batch_size=2).count
    assert gn.testing.check_grads(g, FEED).checked == 9
    assert list(gn.extract(g).dag) == list(gn.extract(loss).dag)
    (replaced,) = gn.replace(g, {"W1": g["W1"]}).values()
    assert replaced.name == "negative"


def test_two_graphs_are_compared_by_their_results() -> None:
    assert gn.compare(book(), book(), FEED).equal
    other = book()
    other["b1"].value = np.ones(3) * 0.5
    found = gn.compare(book(), other, FEED)
    assert found.first.node.name == "b1"
    assert gn.compare(book(), feed=FEED, feed_b={"x": X + 1.0, "y": Y}).first.node.name == "x"
    assert gn.compare(book(), feed=FEED, dtypes=("float32", "float64")).digits


def test_only_what_is_computed_is_a_result_where_there_are_no_outputs() -> None:
    g = book(output=False)
    g.placeholder("later", shape=("batch",))  # it is not fed: nothing reads it yet
    g.parameter("spare", 1.0)
    assert list(gn.run(g, FEED)) == ["negative"]


def test_what_a_loop_tried_is_no_result() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("n",))
    gn.scan(lambda s, x: s + x, 0.0, x)
    assert [value.tolist() for value in gn.run(g, {x: [1.0, 2.0]}).values()] == [3.0, [1.0, 3.0]]


def test_of_a_graph_where_nothing_is_computed_what_is_there_is_run() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=2)
    assert gn.run(g, {x: [1.0, 2.0]})["x"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "ask",
    [gn.run, gn.steps, gn.schedule, gn.compile, gn.trace, gn.debug, gn.profile, gn.check_health, gn.extract],
)
def test_an_empty_graph_says_that_it_is_empty(ask: Callable[[gn.Graph], Any]) -> None:
    with pytest.raises(gn.UsageError, match='the graph "new" is empty: it has no node that could be asked for'):
        ask(gn.Graph("new"))


def test_the_health_of_a_graph_is_that_of_its_training_step() -> None:
    g = book()
    g.updates.update(nn.SGD(1e30).updates(g.outputs["loss"]))
    health = gn.check_health(g, FEED)
    assert (
        health.count == gn.check_health(gn.compile(g, g.updates), FEED).count > gn.check_health(g["loss"], FEED).count
    )
    assert not health


def test_a_graph_beside_another_graph_is_refused() -> None:
    with pytest.raises(gn.UsageError, match='graph= is for fetches by name, and the graph "book" stands for its own'):
        gn.run(book(), FEED, graph=book())


@pytest.mark.parametrize(
    "ask",
    [
        lambda g: gn.grad(g["loss"], g),
        lambda g: gn.jacobian(g["loss"], g),
        lambda g: gn.vjp({g["loss"]: 1.0}, g),
        lambda g: gn.linearize(g["loss"], g, FEED),
        lambda g: gn.testing.check_grads(g["loss"], FEED, wrt=g),
    ],
)
def test_a_graph_is_not_what_is_differentiated_by(ask: Callable[[gn.Graph], Any]) -> None:
    with pytest.raises(gn.UsageError, match=r"Graph; g.outputs are its results, g.parameters what is trained"):
        ask(book())


# --- second names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["z1", "layer1/z1"])
def test_the_debugger_stops_at_a_second_name(name: str) -> None:
    dbg = gn.debug(book(), FEED, echo=None)
    step = dbg.until(name)
    assert step.node is dbg.graph["layer1/add"]
    assert repr(step) == '<Step 5: "layer1/z1", add (4, 3) float64>'
    dbg.goto(0)
    dbg.break_at(name)
    assert dbg.resume() == step
    dbg.watch(name)
    assert dbg.watches == {step.node: "layer1/z1"}
    assert [record.node.title for record in gn.trace(book(), FEED).select(name)] == ["layer1/z1"]


def test_an_operation_goes_before_the_end_of_a_name() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    with g.scope("head"):
        gn.name(gn.sin(x), "exp")
    y = gn.exp(g["head/exp"])
    dbg = gn.debug(y, {x: 1.0}, echo=None)
    assert dbg.until("exp").node is y


@pytest.mark.parametrize(
    "ask",
    [
        lambda g, dbg, seen: g["z1"],
        lambda g, dbg, seen: dbg["z1"],
        lambda g, dbg, seen: dbg.goto("z1"),
        lambda g, dbg, seen: dbg.why("z1"),
        lambda g, dbg, seen: seen["z1"],
        lambda g, dbg, seen: gn.run("z1", FEED, graph=g),
        lambda g, dbg, seen: gn.replace(g, {"z1": g["x"]}),
        lambda g, dbg, seen: g["layer2/z1"],
    ],
)
def test_where_one_node_is_meant_its_full_name_is_suggested(ask: Callable[..., Any]) -> None:
    g = book()
    with pytest.raises(gn.NotFoundError, match=r'Did you mean "layer1/z1"\?'):
        ask(g, gn.debug(g, FEED, echo=None), gn.trace(g, FEED))


def test_the_name_in_another_scope_is_suggested_before_what_is_spelt_alike() -> None:
    g = gn.Graph()
    for scope in ("dense_1", "dense_2", "elsewhere"):
        with g.scope(scope):
            g.parameter("weight", 1.0)
            g.parameter("weigth", 1.0)
    with pytest.raises(
        gn.NotFoundError, match=r'Did you mean "dense_\d/weight" or "dense_\d/weight" or "elsewhere/weight"\?'
    ):
        g["dense_3/weight"]


def test_what_is_printed_has_the_second_name() -> None:
    g, said = book(), list[str]()
    dbg = gn.debug(g, FEED, echo=said.append)
    with pytest.raises(gn.UsageError, match=r'"layer1/z1" has not run yet: .*dbg.until\("layer1/z1"\) runs it'):
        dbg["layer1/add"].value  # noqa: B018
    dbg.resume()
    dbg["layer1/add"] = np.zeros((4, 3))
    assert said[-1].startswith("what-if 1: layer1/z1 changed, recomputed ")
    assert "layer1/z1" in str(gn.profile(g, FEED, repeat=1))
    assert "layer1/add" not in str(gn.profile(g, FEED, repeat=1))
    assert repr(g["layer1/z1"]) == '<Node "layer1/add", called "layer1/z1": add (batch, 3) float64>'
    other = book()
    other["b1"].value = np.ones(3)
    assert "layer1/z1" in str(gn.compare(gn.trace(g, FEED), {"layer1/add": gn.trace(other, FEED)["layer1/add"].value}))


# --- NumPy's indices -------------------------------------------------------------------------------------------------

P = np.arange(12.0).reshape(4, 3)
CUBE = np.arange(24.0).reshape(2, 3, 4)


@pytest.mark.parametrize(
    ("line", "write"),
    [
        ("p[range(n), y]", "gn.pick(p, y)"),
        ("p[list(range(n)), y]", "gn.pick(p, y)"),
        ("p[np.arange(n), y]", "gn.pick(p, y)"),
        ("p[np.arange(len(Y)), Y]", "gn.pick(p, Y)"),
        ("p[gn.arange(n, graph=g), y]", "gn.pick(p, y)"),
        ("p[range(n), [0, 2, 1, 0]]", "gn.pick(p, [0, 2, 1, 0])"),
        ("fixed[[0, 1, 2, 3], Y]", "gn.pick(fixed, Y)"),
        ("p[[0, 1], [1, 2]]", "gn.gather_nd(p, np.stack([[0, 1], [1, 2]], axis=-1))"),
        ("fixed[range(2), [1, 2]]", "gn.gather_nd(fixed, np.stack([range(0, 2), [1, 2]], axis=-1))"),
        ("p[rows, y]", "gn.gather_nd(p, gn.stack([rows, y], axis=-1))"),
        ("p[np.array([3, 3, 0, 1]), y]", "gn.gather_nd(p, gn.stack([i0, y], axis=-1))"),
        ("p[[3, 3, 0, 1], y]", "gn.gather_nd(p, gn.stack([[3, 3, 0, 1], y], axis=-1))"),
        ("p[range(3, -1, -1), y]", "gn.gather_nd(p, gn.stack([range(3, -1, -1), y], axis=-1))"),
        ("cube[range(2), [2, 0]]", "gn.gather_nd(cube, np.stack([range(0, 2), [2, 0]], axis=-1))"),
        ("p[y]", "gn.take(p, y, axis=0)"),
        ("p[Y]", "gn.take(p, Y, axis=0)"),
        ("p[range(2)]", "gn.take(p, range(0, 2), axis=0)"),
        ("p[:, [2, 0]]", "gn.take(p, [2, 0], axis=1)"),
        ("p[..., y]", "gn.take(p, y, axis=-1)"),
        ("cube[..., [2, 0], :]", "gn.take(cube, [2, 0], axis=-2)"),
        ("cube[:, [2, 0], ...]", "gn.take(cube, [2, 0], axis=1)"),
    ],
)
def test_an_index_as_in_numpy_says_what_to_write_for_it(line: str, write: str) -> None:
    g = gn.Graph()
    p, fixed, cube = g.placeholder("p", ("batch", 3)), g.placeholder("fixed", (4, 3)), g.placeholder("cube", CUBE.shape)
    y, rows = g.placeholder("y", ("batch",), np.int64), g.placeholder("rows", ("batch",), np.int64)
    known = {"gn": gn, "np": np, "g": g, "n": 4, "Y": Y, "p": p, "fixed": fixed, "cube": cube, "y": y, "rows": rows}
    with pytest.raises(
        gn.UsageError, match=r"getitem: an index is made of ints, slices, \.\.\. and None, not of "
    ) as error:
        eval(line, known)  # noqa: S307
    assert f". Write {write}" in error.value.reason
    for place, array in enumerate((np.array([3, 3, 0, 1]),)):  # what no variable holds
        known[f"i{place}"] = array
    feed = {p: P, fixed: P, cube: CUBE, y: Y, rows: [1, 1, 0, 3]}
    arrays = {"np": np, "n": 4, "Y": Y, "p": P, "fixed": P, "cube": CUBE, "y": Y, "rows": [1, 1, 0, 3]}
    expected = eval(line.replace("gn.arange(n, graph=g)", "np.arange(n)"), arrays)  # noqa: S307
    np.testing.assert_array_equal(gn.run(eval(write, known), feed), expected)  # noqa: S307


def test_a_mask_as_an_index_says_that_the_shape_stays() -> None:
    p = gn.Graph().placeholder("p", ("batch", 3))
    mask = p > 0.5
    with pytest.raises(gn.UsageError, match=r"Write gn.where\(mask, p, 0\), which has the shape of p: no shape dep"):
        p[mask]
    with pytest.raises(gn.UsageError, match=r"Write gn.where\(condition, p, 0\), which has the shape of p"):
        p[p > 0.5]
    assert gn.run(gn.where(mask, p, 0), {p: [[0.0, 1.0, 0.2]]}).tolist() == [[0.0, 1.0, 0.0]]


@pytest.mark.parametrize(
    "index", [(0, [1]), ([1], None), ([True, False], [0, 1]), ([0], slice(None), [1]), (slice(1), [0])]
)
def test_any_other_index_says_what_there_is(index: Any) -> None:
    x = gn.Graph().placeholder("x", (2, 3, 4))
    with pytest.raises(gn.UsageError, match=r"gn.take\(x, indices, axis\) takes whole rows, gn.pick\(x, labels\) one"):
        x[index]


# --- in place --------------------------------------------------------------------------------------------------------

SIGNS = ["+", "-", "*", "/", "//", "%", "**", "@", "&", "|"]


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("trainable", [True, False])
def test_a_parameter_is_not_changed_in_place(sign: str, trainable: bool) -> None:
    g = gn.Graph()
    W1 = g.parameter("first/weight", np.eye(2) if sign not in "&|" else np.eye(2) > 0, trainable and sign not in "&|")
    known = {"W1": W1}
    with pytest.raises(gn.UsageError) as error:
        exec(f"W1 {sign}= W1", known)  # noqa: S102
    assert isinstance(error.value, TypeError)
    assert known["W1"] is W1
    assert len(g) == 1
    for write in (f"updates={{W1: W1 {sign} …}}", "nn.SGD(0.1).updates(loss)", f"W1.value = W1.value {sign} array"):
        assert write in str(error.value)
    assert 'leave the parameter "first/weight" as it is' in str(error.value)


@pytest.mark.parametrize("sign", SIGNS)
def test_another_node_is_replaced_in_place(sign: str) -> None:
    g = gn.Graph()
    h = g.placeholder("h", (2, 2), bool if sign in "&|" else np.float64)
    known = {"h": h}
    exec(f"h {sign}= h", known)  # noqa: S102
    value = np.eye(2) > 0 if sign in "&|" else np.eye(2) + 1.0
    expected = eval(f"a {sign} a", {"a": value})  # noqa: S307
    np.testing.assert_array_equal(gn.run(known["h"], {h: value}), expected)


# --- which graph -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "args"), [("arange", (300,)), ("arange", (0, 10, 2)), ("zeros", (3,)), ("eye", (3,))])
def test_what_has_no_operand_says_that_it_needs_a_graph(name: str, args: tuple[int, ...]) -> None:
    g = gn.Graph()
    make = getattr(gn, name)
    with pytest.raises(gn.UsageError) as error:
        make(*args)
    for write in (f"write gn.{name}(…, graph=g), or graph=x.graph", f"an array does, too: np.{name}(…)"):
        assert write in str(error.value)
    np.testing.assert_array_equal(gn.run(make(*args, graph=g), {}), getattr(np, name)(*args))
    x = g.placeholder("x")
    np.testing.assert_array_equal(gn.run(x + getattr(np, name)(*args), {x: 1.0}), getattr(np, name)(*args) + 1)


class Reading:
    """Reads a node that it holds, as a layer does."""

    def __init__(self, node: gn.Node) -> None:
        self.held = [{"node": node}]

    def __call__(self, z: gn.Node) -> gn.Node:
        return gn.tanh(z + self.held[0]["node"])

    def method(self, z: gn.Node) -> gn.Node:
        return self(z)


def _with(z: gn.Node, node: gn.Node) -> gn.Node:
    return gn.tanh(z + node)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_loop_may_begin_at_an_array(dtype: Any) -> None:
    g = gn.Graph(dtype=dtype)
    a = g.placeholder("a")
    reading, zeros = Reading(a), np.zeros(3, dtype)

    def inner(z: gn.Node) -> gn.Node:
        return gn.tanh(z + a)

    functions: list[Callable[[gn.Node], gn.Node]] = [
        lambda z: gn.tanh(z + a), reading, reading.method, partial(_with, node=a), lambda z: inner(z),
        lambda z, node=a: gn.tanh(z + node), lambda z: gn.tanh(z + g["a"]),
    ]  # fmt: skip
    expected = 0.0
    for _ in range(200):
        expected = np.tanh(expected + 0.5)
    for function in functions:
        found = gn.run(gn.fixed_point(function, zeros), {a: 0.5})
        np.testing.assert_allclose(found, np.full(3, expected), rtol=1e-4)
        assert found.dtype == dtype
    around: list[Any] = [list(range(100_000)), {"a": a}]
    around.append(around)
    assert gn.run(gn.fixed_point(lambda z: gn.tanh(z + around[1]["a"]), zeros), {a: 0.5}).shape == (3,)
    last, _ = gn.scan(lambda s: (inner(s), None), zeros, length=2)
    np.testing.assert_allclose(gn.run(last, {a: 0.5}), np.full(3, np.tanh(np.tanh(0.5) + 0.5)), rtol=1e-6)
    high = gn.while_loop(lambda s: s < a, lambda s: s + 1.0, 0.0)
    assert gn.run(high, {a: 2.5}) == 3.0


def test_a_loop_that_reads_no_node_or_two_graphs_says_so() -> None:
    a, b = gn.Graph().placeholder("a"), gn.Graph().placeholder("b")
    with pytest.raises(gn.UsageError, match="fixed_point takes nodes, at least one: neither what it is given nor what"):
        gn.fixed_point(lambda z: gn.tanh(z), np.zeros(3))
    with pytest.raises(gn.GraphError, match=r"its functions read nodes of 2 graphs: graph.constant\(array\) says"):
        gn.fixed_point(lambda z: z * a + b, np.zeros(3))


# --- names and arguments ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "name", "write"),
    [
        (nn, "cosine", "nn.schedules.cosine."),
        (nn, "one_cycle", "nn.schedules.one_cycle."),
        (nn, "he_normal", "nn.init.he_normal."),
        (nn.schedules, "CosineAnnealingLR", r"nn.schedules.cosine\(learning_rate, steps\)."),
        (gn, "cosine", 'nn.schedules.cosine, after "from graphnn import nn".'),
        (gn, "Dense", 'nn.Dense, after "from graphnn import nn".'),
        (gn, "spiral", "gn.datasets.spiral."),
        (gn, "check_grads", "gn.testing.check_grads."),
        (gn, "normal", r"gn.random_uniform\(counter, shape\)"),  # another library's word for it comes first
    ],
)
def test_a_name_that_stands_in_a_module_says_where(where: Any, name: str, write: str) -> None:
    with pytest.raises(AttributeError, match=rf'{name}". Write {write}'):
        getattr(where, name)


def test_a_schedule_that_is_misspelt_is_suggested() -> None:
    with pytest.raises(AttributeError, match=r'there is no "nn.schedules.cosin". Did you mean "cosine"\?'):
        nn.schedules.cosin  # noqa: B018


@pytest.mark.parametrize(
    "call",
    [
        lambda **more: gn.draw(book(), **more),
        lambda **more: nn.fit(gn.compile(book()), FEED, **more),
        lambda **more: nn.Dense(3, **more),
    ],
)
def test_of_an_unknown_argument_the_whole_call_is_shown_and_no_part_of_a_list(call: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'zzz'") as error:
        call(zzz=1)
    (note,) = error.value.__notes__
    assert re.match(r"The call is \w+\(", note)
    assert " more" not in note


def test_of_a_long_list_the_nearest_come_first() -> None:
    g = gn.Graph()
    for i in range(30):
        g.placeholder(f"input_{i}")
    g.placeholder("velocity")
    with pytest.raises(gn.NotFoundError, match=r'There is: "velocity", "input_0", .*, and 23 more\.'):
        g["vel"]


@pytest.mark.parametrize("feed", [{"x": X, "y": Y}, {"x": X.tolist()}])
def test_a_summary_that_is_given_a_feed_does_not_print_it(feed: Any) -> None:
    with pytest.raises(gn.UsageError, match=r"looks like a feed: .* a summary takes sizes= instead") as error:
        gn.summary(book(), feed)
    assert "0.7142" not in str(error.value)
    assert "array(" not in str(error.value)


BAD = {
    "array": np.linspace(0.1, 0.9, 900).reshape(30, 30) + 1e-9,
    "rows": (np.linspace(0.1, 0.9, 900).reshape(30, 30) + 1e-9).tolist(),
    "small": np.linspace(0.1, 0.9, 16).reshape(4, 4) + 1e-9,
    "feed": {"x": np.linspace(0.1, 0.9, 900) + 1e-9, "y": np.arange(900)},
}


def _public() -> Iterator[tuple[str, Callable[..., Any]]]:
    for module in (gn, nn, nn.schedules, nn.init, gn.testing, gn.datasets):
        names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
        for name in names:
            thing = getattr(module, name)
            is_error = isinstance(thing, type) and issubclass(thing, (Exception, Warning))
            own = getattr(module, "__all__", None) or getattr(thing, "__module__", "") == module.__name__
            if callable(thing) and not is_error and own and not name.startswith("checked_"):
                yield f"{module.__name__}.{name}", thing
    g = gn.Graph()
    yield from (
        (f"Graph.{name}", getattr(g, name)) for name in ("placeholder", "parameter", "constant", "scope", "add")
    )
    yield from ((f"gn.{name}", getattr(gn, name)) for name in dir(gn.functions))


@pytest.mark.parametrize("kind", BAD)
def test_no_error_prints_an_array_or_a_feed_that_is_given_for_something_else(kind: str) -> None:
    """Every argument of every public function, one by one."""
    bad, told = BAD[kind], list[str]()
    for called, function in _public():
        if called in ("graphnn.datasets", "graphnn.to_onnx", "graphnn.from_torch"):
            continue
        parameters = inspect.signature(function).parameters
        for wrong in parameters.values():
            if wrong.kind in (wrong.VAR_KEYWORD, wrong.VAR_POSITIONAL, wrong.POSITIONAL_ONLY):
                continue
            g = book()
            step = gn.compile(g, {})
            usual = {"fetches": g["loss"], "target": g["loss"], "a": g["loss"], "y": g["loss"], "result": g["loss"]}
            usual |= {"x": g["layer1/tanh"], "feed": FEED, "wrt": g["W1"], "step": step, "data": FEED, "graph": g}
            usual |= {"loss": g["loss"], "name": "name", "value": 1.0, "predicted": g["layer1/tanh"]}
            given = {
                p.name: usual.get(p.name, 1)
                for p in parameters.values()
                if p.default is p.empty and p.kind is not p.VAR_KEYWORD and p.kind is not p.VAR_POSITIONAL
            }
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    made = function(**(given | {wrong.name: bad}))
                    if hasattr(made, "updates") and isinstance(made, nn.Optimizer):
                        made.updates(g["loss"])
                except Exception as error:  # noqa: BLE001 - whatever it says
                    told.append(f"{called}({wrong.name}=): {type(error).__name__}: {error}")
    assert len(told) > 300
    assert [text for text in told if len(re.findall(r"0\.\d{3,}", text)) > 6 or len(text) > 1200] == []


# --- layers that were called -----------------------------------------------------------------------------------------


def test_a_sequential_of_layers_that_were_called_has_their_parameters() -> None:
    x = gn.Graph().placeholder("x", ("batch", 4))
    first, second = nn.Dense(3), nn.Dense(2)
    second(gn.relu(first(x)))
    network = nn.Sequential(first, gn.relu, nn.Sequential(second))
    assert network.parameters == [first.weight, first.bias, second.weight, second.bias]
    assert list(network.state_dict()) == ["0.weight", "0.bias", "2.0.weight", "2.0.bias"]
    network.reinitialize(np.random.default_rng(0))
    whole = nn.Sequential(first, nn.ReLU())
    whole(x)
    assert whole[:1].parameters == [first.weight, first.bias]


def test_a_sequential_says_which_of_its_layers_was_not_called() -> None:
    x = gn.Graph().placeholder("x", ("batch", 4))
    called = nn.Dense(3)
    called(x)
    for ask in (lambda layer: layer.parameters, lambda layer: layer.state_dict()):
        with pytest.raises(
            gn.UsageError, match="Sequential has not all its parameters yet: those of the LSTM in it are"
        ):
            ask(nn.Sequential(called, nn.Sequential(nn.LSTM(2))))
        with pytest.raises(
            gn.UsageError, match=r"Sequential has no (parameters|state) yet: parameters are made when it is"
        ):
            ask(nn.Sequential(nn.Dense(3)))
    with pytest.raises(gn.UsageError, match="Sequential has no parameters yet"):
        nn.Sequential().parameters  # noqa: B018


def test_a_layer_of_ones_own_is_to_be_called_itself() -> None:
    """It may make parameters besides those of its parts."""

    class Net(nn.Layer):
        def __init__(self, inner: nn.Layer) -> None:
            self.inner = inner

        def call(self, x: gn.Node) -> gn.Node:
            return self.inner(x)

    inner = nn.Dense(3)
    inner(gn.Graph().placeholder("x", ("batch", 4)))
    with pytest.raises(gn.UsageError, match="Net has no parameters yet: parameters are made when it is first called"):
        Net(inner).parameters  # noqa: B018


# --- the command line ------------------------------------------------------------------------------------------------
