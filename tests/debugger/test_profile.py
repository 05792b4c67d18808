import json
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from random_graphs import build, random_graphs

import graphnn as gn
from graphnn import Profile, nn, profile
from graphnn._util.text import short_names
from graphnn.debugger.profile import Cost


def network() -> tuple[gn.Node, dict[str, Any]]:
    g = gn.Graph("spiral")
    x = g.placeholder("x", shape=("batch", 2))
    labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
    rng = np.random.default_rng(0)
    layers = nn.Sequential(nn.Dense(8, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng), nn.Softmax())
    array, classes = gn.datasets.spiral(20, classes=3, seed=0)
    return nn.categorical_crossentropy(layers(x), labels), {"x": array, "labels": classes}


@pytest.fixture(scope="module")
def training() -> Profile:
    loss, feed = network()
    return profile(gn.compile(loss, updates=nn.SGD(learning_rate=0.1).updates(loss)), feed, repeat=2)


def by_name(costs: list[Cost]) -> dict[str, Cost]:
    return {cost.name: cost for cost in costs}


# --- floating-point operations and bytes ------------------------------------------------------------------------


def test_the_operations_of_a_network_are_those_counted_by_hand() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("n", 5))
    with g.scope("first"):
        h = gn.relu(x @ np.ones((5, 7)) + np.ones(7))
    with g.scope("second"):
        y = h @ np.ones((7, 3))
    found = profile(y, {x: np.ones((11, 5))}, repeat=1)
    nodes, scopes = by_name(found.by_node), by_name(found.by_scope)
    assert nodes["first/matmul"].flops == 2 * 11 * 7 * 5
    assert nodes["second/matmul"].flops == 2 * 11 * 3 * 7
    assert nodes["first/add"].flops == nodes["first/relu"].flops == 11 * 7
    assert by_name(found.by_op)["matmul"].flops == 2 * 11 * 7 * (5 + 3)
    assert by_name(found.by_op)["matmul"].calls == 2
    assert scopes["first"].flops == 2 * 11 * 7 * 5 + 2 * 11 * 7
    assert scopes["second"].flops == 2 * 11 * 3 * 7
    assert found.flops == 2 * 11 * 7 * 8 + 2 * 11 * 7
    assert nodes["first/matmul"].written == 11 * 7 * 8
    assert nodes["first/matmul"].read == (11 * 5 + 5 * 7) * 8


@pytest.mark.parametrize(
    ("build", "flops"),
    [
        (lambda x: gn.exp(x), 7 * 5),
        (lambda x: x * x + x, 2 * 7 * 5),
        (lambda x: gn.sum(x), 7 * 5),
        (lambda x: gn.mean(x, axis=0), 7 * 5),
        (lambda x: gn.max(x, axis=1, keepdims=True), 7 * 5),
        (lambda x: gn.norm(x), 2 * 7 * 5),  # squares, and their sum
        (lambda x: gn.var(x, axis=0), 4 * 7 * 5),  # sum, difference, square, sum
        (lambda x: gn.logsumexp(x, axis=1), 4 * 7 * 5),  # largest, difference, exp, sum
        (lambda x: gn.softmax(x), 5 * 7 * 5),  # largest, difference, exp, sum, quotient
        (lambda x: nn.Softmax()(x), 5 * 7 * 5),
        (lambda x: nn.Dense(3)(x), 2 * 7 * 5 * 3 + 7 * 3),
        (lambda x: nn.Dense(3, use_bias=False)(x), 2 * 7 * 5 * 3),
        (lambda x: x @ x.T, 2 * 7 * 7 * 5),
        (lambda x: x @ np.ones(5), 2 * 7 * 5),
        (lambda x: gn.einsum("ij,ik->jk", x, x), 2 * 7 * 5 * 5),
        (lambda x: gn.einsum("ij,ij->ij", x, x), 7 * 5),
        (lambda x: gn.einsum("ij,ij,ij->i", x, x, x), 3 * 7 * 5),
        (lambda x: gn.einsum("ij->ji", x), 0),
        (lambda x: gn.einsum("ij->", x), 7 * 5),
        (lambda x: gn.argmax(x, axis=1), 7 * 5),
        (lambda x: gn.transpose(gn.reshape(x, (5, 7)))[2:], 0),
        (lambda x: gn.stop_gradient(gn.broadcast_to(x, (2, 7, 5))), 0),
    ],
)
def test_floating_point_operations_counted_by_hand(build: Any, flops: int) -> None:
    x = gn.Graph().placeholder("x", shape=("n", 5))
    assert profile(build(x), {x: np.ones((7, 5))}, repeat=1).flops == flops


def test_a_view_writes_and_reads_nothing_and_an_operand_is_read_once() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=(4, 6))
    found = by_name(profile(gn.transpose(x) * gn.transpose(x), {x: np.ones((4, 6))}, repeat=1).by_node)
    assert (found["transpose"].written, found["transpose"].read) == (0, 0)
    assert (found["multiply"].written, found["multiply"].read) == (192, 2 * 192)
    y = x * x
    assert by_name(profile(y, {x: np.ones((4, 6))}, repeat=1).by_node)[y.name].read == 192


def test_sizes_that_no_feed_tells() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    found = profile(gn.broadcast_to(x, ("n", 3)) + 1.0, {x: 2.0}, sizes={"n": 5}, repeat=1)
    assert by_name(found.by_op)["add"].flops == 15


# --- the parts and the whole ------------------------------------------------------------------------------------


def assert_sums(found: Profile) -> None:
    for table in (found.by_node, found.by_op, found.by_scope, found.by_phase):
        assert math.isclose(sum(cost.time for cost in table), found.time)
        assert math.isclose(sum(cost.share for cost in table), 1.0)
        for what in ("flops", "written", "read", "calls"):
            assert sum(getattr(cost, what) for cost in table) == getattr(found.total, what)
        nodes = [node for cost in table for node in cost.nodes]
        assert len(nodes) == len(set(nodes)) == found.total.calls
        assert [cost.time for cost in table] == sorted((cost.time for cost in table), reverse=True)


def test_the_parts_add_up_to_the_whole(training: Profile) -> None:
    assert_sums(training)
    assert {cost.name for cost in training.by_phase} == {"forward", "backward", "update"}
    assert {"dense_1", "relu_1", "softmax_1"} - {cost.name for cost in training.by_scope} == {"relu_1"}
    assert training.total.flops_per_second == training.flops / training.time


def test_the_parts_of_random_graphs_add_up() -> None:
    for recipe in random_graphs(5, 30):
        built = build(recipe, gn.Graph())
        found = profile(built.result, built.feed, repeat=1)
        assert_sums(found)
        assert found.total.calls == sum(bool(node.inputs) or not given(node) for node in gn.schedule(built.result))
        assert found.critical_time <= found.time * (1 + 1e-9)
        assert found.parallelism >= 1 - 1e-9


def given(node: gn.Node) -> bool:
    return node.op.name in ("placeholder", "parameter", "constant")


def test_the_critical_path_is_a_chain_and_as_long_as_its_nodes(training: Profile) -> None:
    times = {cost.nodes[0]: cost.time for cost in training.by_node}
    path = training.critical_path
    assert all(before in after.inputs for before, after in pairwise(path))
    assert math.isclose(training.critical_time, sum(times[node] for node in path))


def test_a_chain_has_no_parallelism() -> None:
    x = gn.Graph().placeholder("x")
    found = profile(gn.sin(gn.cos(gn.exp(x))), {x: 1.0})
    assert [node.name for node in found.critical_path] == ["exp", "cos", "sin"]
    assert math.isclose(found.parallelism, 1.0)


# --- memory -----------------------------------------------------------------------------------------------------


def root(array: np.ndarray) -> np.ndarray:
    base: Any = array
    while (base := getattr(base, "base", None)) is not None:
        array = base
    return array


def counted_peak(result: gn.Node, feed: Any) -> tuple[int, int]:
    """Return the most bytes held, and by what is given: all values kept, and each step's live ones counted anew."""
    steps = list(gn.steps(result, feed))
    order = [step.node for step in steps]
    roots = [root(step.value) for step in steps]
    always = {id(roots[i]): roots[i].nbytes for i, node in enumerate(order) if given(node)}
    most = 0
    for now in range(len(order)):
        held = dict(always)
        for i in range(now + 1):
            read_later = any(order[i] in reader.inputs for reader in order[now:])
            if i == now or read_later or order[i] is result:
                held[id(roots[i])] = roots[i].nbytes
        most = max(most, sum(held.values()))
    return most, sum(always.values())


def test_the_peak_is_that_of_counting_every_step() -> None:
    views = 0
    for recipe in random_graphs(17, 100, sizes=(8, 40)):
        built = build(recipe, gn.Graph())
        peak = profile(built.result, built.feed, repeat=1).peak
        assert (peak.bytes, peak.given) == counted_peak(built.result, built.feed)
        assert sum(holder.bytes for holder in peak.holders) == peak.bytes
        views += sum(op in ("transpose", "reshape", "getitem", "broadcast_to") for op in recipe.ops)
    assert views > 30


def test_who_holds_the_peak() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=(100,))
    h = gn.exp(x)
    turned = gn.reshape(h, (10, 10))
    y = gn.sum(turned * 2.0)
    peak = profile(y + h[0], {x: np.zeros(100)}, repeat=1).peak
    assert (peak.bytes, peak.given, peak.node.name) == (3 * 800 + 2 * 8, 808, "sum")
    assert [(node.name, size) for node, size in peak.holders] == [
        ("x", 800),
        ("exp", 800),
        ("multiply", 800),
        ("constant", 8),
        ("sum", 8),
    ]
    # Where nothing else reads it any more, the view is what holds it.
    peak = profile(y, {x: np.zeros(100)}, repeat=1).peak
    assert [node.name for node, _ in peak.holders] == ["x", "reshape", "multiply", "constant"]


# --- the calls --------------------------------------------------------------------------------------------------


def test_fetches_steps_and_traces() -> None:
    loss, feed = network()
    step = gn.compile(loss, updates=nn.SGD(learning_rate=0.1).updates(loss))
    before = loss.graph["dense_1/weight"].value
    counts = [
        profile(target, given, repeat=1).total.calls
        for target, given in ((loss, feed), ([loss, loss], feed), (gn.trace(loss, feed), None), (step, feed))
    ]
    assert counts[0] == counts[1] == counts[2] < counts[3]
    assert profile("loss", feed, graph=with_output(loss), repeat=1).total.calls == counts[0]
    np.testing.assert_array_equal(loss.graph["dense_1/weight"].value, before)


def with_output(loss: gn.Node) -> gn.Graph:
    loss.graph.outputs["loss"] = loss
    return loss.graph


def test_a_film_is_many_traces() -> None:
    w = gn.Graph().parameter("w", 1.0)
    step = gn.compile(gn.exp(w), updates={w: w * 0.5})
    with gn.recording(step) as film:
        step()
    with pytest.raises(gn.UsageError, match="such as film"):
        profile(film)
    assert profile(film[0], repeat=1).total.calls == 2


def test_nothing_to_compute() -> None:
    w = gn.Graph().parameter("w", [1.0, 2.0])
    found = profile(w)
    assert (found.time, found.flops, found.by_node, found.critical_path, found.parallelism) == (0.0, 0, [], [], 1.0)
    assert (found.peak.bytes, found.peak.given) == (16, 16)
    assert "0 operations" in str(found)
    assert found.total.flops_per_second == 0.0


@pytest.mark.parametrize("repeat", [0, -1, 1.5, True, "3"])
def test_repeat_is_a_number_of_runs(repeat: Any) -> None:
    w = gn.Graph().parameter("w", 1.0)
    with pytest.raises((gn.ValueRangeError, gn.UsageError), match="repeat= is an int of 1 or more, not"):
        profile(w, repeat=repeat)


def test_as_text_and_data(training: Profile) -> None:
    text = str(training)
    assert max(map(len, text.splitlines())) <= 80
    for word in ("operations in", "median of 2 runs", "GFLOP/s", "critical path:", "peak memory:", "matmul ×"):
        assert word in text
    told = json.loads(json.dumps(training.to_dict()))
    assert told["total"]["flops"] == training.flops
    assert [row["name"] for row in told["by_op"]] == [cost.name for cost in training.by_op]
    assert told["peak"]["holders"][0]["bytes"] == training.peak.holders[0].bytes
    assert repr(training).startswith('<Profile of "spiral": ')
    assert repr(training.by_op[0]).startswith("<Cost of ")


def test_the_critical_path_is_printed_with_what_is_left_out() -> None:
    x = gn.Graph().placeholder("x", shape=("n",))
    h = x
    for _ in range(30):
        h = gn.sin(h)
    found = profile(h, {x: np.ones(10)}, repeat=1)
    line = str(found).split("could run at once\n")[1].split("peak memory")[0]
    told = " ".join(line.split()).split(" → ")
    path = [node.name for node in found.critical_path]
    named = [name for name in told if name != "…"]
    assert named == [name for name in path if name in named]
    assert len(named) == 10
    for before, after in pairwise(told):
        if "…" not in (before, after):
            assert path.index(after) == path.index(before) + 1
    assert all("…" in pair or path.index(pair[1]) - path.index(pair[0]) == 1 for pair in pairwise(told))
    assert ("…", "…") not in pairwise(told)


def test_names_are_safe_in_a_terminal() -> None:
    x = gn.Graph("\x1b[31m").placeholder("x\x1b" * 50)
    text = str(profile(gn.exp(x, name="y\x1b[2J" * 20), {x: 1.0}, repeat=1))
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_scope_with_all_that_is_in_it() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("n", 4))
    rng = np.random.default_rng(0)
    h = x
    for part in ("encoder", "decoder"):
        with g.scope(part):
            h = nn.Dense(4, rng=rng)(gn.tanh(nn.Dense(4, rng=rng)(h)))
    loss = gn.mean(gn.square(h - x))
    step = gn.compile(loss, updates=nn.Adam(0.1).updates(loss))
    found = gn.profile(step, {x: np.ones((8, 4))}, repeat=3)
    whole = by_name(found.by_outer_scope)
    assert {"encoder", "decoder", "grad", "adam_1"} <= set(whole)
    assert not {"encoder/dense_1", "decoder/dense_1"} & set(whole)  # which hold no others
    for path, cost in whole.items():
        inside = {node for node in found.total.nodes if f"{node.scope}/".startswith(f"{path}/")}
        assert set(cost.nodes) == inside
        assert cost.time == pytest.approx(sum(each.time for each in found.by_node if each.nodes[0] in inside))
    printed = str(found)
    assert "  scope, without those in it\n" in printed
    assert "  scope, with those in it\n" in printed
    plain = gn.profile(gn.tanh(x), {x: np.ones((8, 4))}, repeat=3)
    assert plain.by_outer_scope == []
    assert "  scope\n" in str(plain)


def test_rows_of_a_table_can_be_reported_apart() -> None:
    g = gn.Graph()
    h = g.placeholder("x", shape=("n", 4))
    for part in ("encoder", "decoder"):
        with g.scope("a_network_with_a_long_name"), g.scope(part), g.scope("block"), g.scope("attention_of_one_head"):
            h = gn.tanh(h)
    rows = [line.split("  ")[-1] for line in str(gn.profile(h, {"x": np.ones((2, 4))}, repeat=3)).split("\n")]
    heads = [row for row in rows if row.endswith("head/tanh") and "→" not in row]
    assert len(set(heads)) == len(heads) == 4, heads  # of operations, and of what holds memory


@pytest.mark.parametrize("most", [1, 2, 16, 40])
def test_names_of_scopes_nested_very_deep_are_shortened(most: int) -> None:
    names = ["/".join(["block"] * depth + ["add"]) for depth in range(1, 1500, 5)]
    short = short_names(names, most)
    assert max(map(len, short)) <= most
    few = names[:6]
    assert most < 40 or len(set(short_names(few, 24))) == len(few)
    assert short_names(["a/b/c"], 40) == ["a/b/c"]


def test_what_was_set_by_hand_waits_for_nothing() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("n",))
    h = gn.exp(gn.exp(gn.exp(x)))
    dbg = gn.debug(gn.sum(h), {x: np.zeros(10_000)}, echo=None)
    dbg.resume()
    dbg[h] = np.ones(10_000)
    path = gn.profile(dbg.trace(), repeat=3).critical_path
    assert not {"exp_2", "sum"} <= {node.name for node in path}


def test_its_tables_have_the_width_that_there_is_and_without_one_all_rows_and_whole_names() -> None:
    x = gn.Graph("wide").placeholder("x")
    name = "a_name_that_is_longer_than_a_line_of_a_terminal_" * 2
    nodes = [gn.exp(x, name=f"{name}{i}") for i in range(20)]
    found = profile(nodes, {x: 1.0}, repeat=1)
    for width in (80, 120):
        lines = found.table(width).split("\n")
        assert width - 4 <= max(map(len, lines)) <= width
        assert sum("in 10 more" in line for line in lines) == 1
    assert found.table() == found.table(80) == str(found)
    whole = found.table(None)
    assert "more" not in whole
    assert all(f"  {node.name}\n" in whole for node in nodes)
