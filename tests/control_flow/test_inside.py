"""Nodes in iterations: their names, their values against the iterations written out, errors and guards inside."""

from dataclasses import replace

import numpy as np
import pytest
from everywhere import BACKENDS
from random_bodies import Case, derived, scanned

import graphnn as gn
from graphnn.control_flow import unroll
from graphnn.control_flow.unrolled_run import count_of, unrolled
from graphnn.debugger.iteration_traces import with_fault
from graphnn.runtime.evaluation_loop import collect
from graphnn.runtime.feed import prepare

RNG = np.random.default_rng(0)
T, N = 12, 3


def nested(reverse=False):
    """Return a graph with a loop in a loop, and what is fetched of it."""
    g = gn.Graph()
    xs, w = g.placeholder("xs", ("time", N)), g.parameter("w", np.eye(N) * 0.5)

    def step(h, x):
        h = gn.tanh(h @ w + x)
        total, _ = gn.scan(
            lambda s: s * 0.5 + gn.sum(h) + gn.random_uniform(g.constant(3), (), 3), g.constant(0.0), length=3
        )
        return h, h * total

    last, ys = gn.scan(step, np.ones(N), xs, reverse)
    loss = gn.sum(ys) + gn.sum(last)
    return g, xs, [loss, ys, last, *gn.grad(loss, [w, xs])]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("most", [20_000, 30])
def test_a_run_without_loops_gives_the_same_bits(reverse, most, monkeypatch):
    monkeypatch.setattr(unroll, "_MOST", most)
    monkeypatch.setattr(unroll, "_FEWEST", 3)
    g, xs, fetches = nested(reverse)
    run = prepare(g, fetches, {xs: RNG.normal(size=(T, N))}, None)
    flat = unrolled(run, {"scan_1": 5})
    assert flat.program.graph is not g
    assert unrolled(flat) is flat
    for value, other in zip(collect(run), collect(flat), strict=True):
        np.testing.assert_array_equal(value, other)
    names = {node.name.partition("/")[0] for node in flat.program.order if node.name.startswith("scan_1@")}
    loops = [node for node in flat.program.order if node.op.name == "loop"]
    assert "scan_1@5" in names
    assert (len(names) == T) == (not loops) == (most == 20_000)


def test_a_loop_that_ends_early_has_the_iterations_that_it_made():
    g = gn.Graph()
    n, x = g.placeholder("n", (), np.int64), g.placeholder("x")
    last, _ = gn.scan(lambda s: s * 2.0, x, length=5)
    op = last.inputs[0].op
    counted = type(op)(op.body, op.names, op.dims, op.length, op.carried, op.rows, op.kept, op.indexed, True)
    bundle = counted(n, *last.inputs[0].inputs)
    item = type(last.op)
    places = counted.layout.places
    fetches = [item(place.start, place.shape, place.dtype.name)(bundle) for place in places]
    for count in (0, 3, 9):
        run = prepare(g, fetches, {n: count, x: 1.0}, None)
        flat = unrolled(run)
        assert count_of(flat.program.graph, bundle.name) == min(count, 5)
        for value, other in zip(collect(run), collect(flat), strict=True):
            np.testing.assert_array_equal(value, other)


def test_a_trace_gives_any_node_of_any_iteration():
    g, xs, fetches = nested()
    x = RNG.normal(size=(T, N))
    trace = gn.trace(fetches, {xs: x})
    h = np.ones(N)
    for t in range(T):
        before, h = h, np.tanh(h @ np.eye(N) * 0.5 + x[t])
        found = trace[f"scan_1@{t}/tanh"]
        np.testing.assert_array_equal(found.value, h)
        assert found.name == f"scan_1@{t}/tanh"
        assert found.origin.file.endswith("test_inside.py")
        np.testing.assert_array_equal(trace[f"scan_1@{t}/getitem"].value, before)  # what is carried into it
    node = g["scan_1@7/scan_1@2/add_2"]
    assert node.name == "scan_1@7/scan_1@2/add_2"
    assert node.op.name == "add"
    assert trace[node].value == trace["scan_1@7/scan_1@2/add_2"].value
    assert trace["grad/scan_1@1/grad/matmul"].shape == (N, 1)
    assert [record.name for record in trace.select("scan_1@*/tanh")] == [f"scan_1@{t}/tanh" for t in range(T)]
    assert {record.op.name for record in trace.select(scope="scan_1@3", op="tanh")} == {"tanh"}
    with pytest.raises(gn.UsageError, match="its value is trace"):
        gn.run(node)


def test_why_goes_through_the_iterations_to_what_was_fed():
    _, xs, fetches = nested()
    trace = gn.trace(fetches[:3], {xs: RNG.normal(size=(T, N))})
    why = trace.why(fetches[1], (4, 1))
    seen = []
    while why.reads:
        seen.append(why.node.name)
        read = why.reads[0]
        why = trace.why(read.node.name, read.indices[0])
    assert seen[:5] == [fetches[1].name, "scan_1@4/multiply", "scan_1@4/tanh", "scan_1@4/add", "scan_1@3/tanh"]
    assert seen[-1] == "scan_1@0/add"
    with pytest.raises(gn.UsageError, match='is all that a loop gives: ask of one of "scan_1/loop_item"'):
        trace.why("scan_1/loop")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("scan_1@99/tanh", "made 12 iterations in this run, from 0: there is none 99"),
        ("scan_1@2/tangh", 'the body of "scan_1" has no node or scope "tangh". Did you mean "tanh"'),
        ("scan_3@2/tanh", 'has no loop or branch "scan_3". Did you mean "scan_1"'),
    ],
)
def test_names_that_mean_nothing_are_refused(name, words):
    _, xs, fetches = nested()
    with pytest.raises(gn.GraphnnError, match=words):
        gn.trace(fetches[:3], {xs: np.ones((T, N))})[name]


def test_a_graph_knows_how_many_iterations_there_are_at_most():
    g = gn.Graph()
    gn.scan(lambda s: s + 1.0, g.constant(0.0), length=3)
    assert repr(g["scan_1@2/add"]) == '<NodeInside "scan_1@2/add": add () float64>'
    with pytest.raises(gn.AxisError, match="has iterations 0 to 2, not 3"):
        g["scan_1@3/add"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_operation_that_fails_names_its_iteration(backend):
    g = gn.Graph()
    table, ids = g.parameter("table", np.eye(3)), g.placeholder("ids", ("time",), np.int64)
    _, rows = gn.scan(lambda s, i: (s, gn.take(table, i, axis=0)), 0.0, ids)
    step = gn.compile(rows, backend=backend)
    step({ids: [0, 1, 2]})
    with pytest.raises(
        gn.AxisError, match=r'while evaluating "scan_1@2/take" .*, made at test_inside.py:\d+: '
    ) as caught:
        step({ids: [0, 1, 7]})
    assert caught.value.node is not None
    assert caught.value.node.name == "scan_1@2/take"
    assert 'operand 0: "table" (3, 3) float64' in str(caught.value)


@pytest.mark.parametrize("guard", ["nan", "finite"])
def test_a_guard_looks_into_iterations(guard):
    g = gn.Graph()
    xs = g.placeholder("xs", ("time",))

    def step(h, x):
        root = gn.sqrt(x)
        return gn.where(x > 0.0, root, h), root

    last, _ = gn.scan(step, 1.0, xs)  # the NaN does not come out
    run = gn.compile(last, guard=guard)
    assert run({xs: [1.0, 4.0]}) == 2.0
    with pytest.raises(gn.ValueRangeError, match=r'"scan_1@2/sqrt" \(sqrt, made at test_inside.py:\d+\) is NaN'):
        run({xs: [1.0, 4.0, -1.0, 4.0]})


def test_a_bundle_is_not_looked_at_as_numbers():
    g = gn.Graph()
    xs = g.placeholder("xs", ("time",))
    # An int whose bytes are those of a NaN lies in the bundle beside floats.
    (count, total), _ = gn.scan(lambda s, x: ((s[0] * 1, s[1] + x), s[1]), (np.int64(-1), 0.0), xs)
    assert np.isnan(gn.trace([count, total], {xs: [1.0]})["scan_1/loop"].value).any()
    assert gn.compile([count, total], guard="nan")({xs: [1.0, 2.0]})[1] == 3.0
    assert gn.check_health([count, total], {xs: [1.0, 2.0]}).ok
    record = gn.trace([count, total], {xs: [1.0]})["scan_1/loop"]
    assert (record.stats.nans, np.isnan(record.stats.max)) == (0, True)


def network(steps=4):
    """Return a step of training with a loop."""
    g = gn.Graph()
    xs, w = g.placeholder("xs", ("batch", steps, N)), g.parameter("w", np.eye(N) * 0.5)

    def step(h, x):
        h = gn.tanh(h @ w + x)
        return h, gn.log(gn.sum(h, axis=-1) + 2.0)

    _, ys = gn.scan(step, gn.zeros((xs.shape[0], N), graph=g), gn.transpose(xs, (1, 0, 2)))
    loss = gn.mean(ys)
    return xs, gn.compile(loss, gn.nn.SGD(0.1).updates(loss), guard="nan")


def test_the_debugger_steps_through_iterations_and_back():
    xs, step = network()
    dbg = gn.debug(step, {xs: np.zeros((2, 4, N))}, echo=None)
    dbg.goto("scan_1@2/tanh")
    assert dbg.current.name == "scan_1@2/tanh"
    assert dbg.next.scope == "scan_1@2"
    dbg.back(2)
    assert dbg.current.name == "scan_1@2/matmul"
    dbg.out()
    assert (dbg.current.scope, dbg.next.scope) == ("scan_1@2", "scan_1@3")
    dbg.over()
    assert dbg.next.scope == "scan_1"  # all of the last iteration has run
    dbg.goto("scan_1@1/add")
    dbg.out()
    assert dbg.next.scope == "scan_1@2"
    dbg.restart()
    dbg.until("scan_1@3")
    assert dbg.current.scope == "scan_1@3"


def test_breakpoints_stop_in_an_iteration_where_a_condition_holds():
    xs, step = network()
    x = np.zeros((2, 4, N))
    x[1, 2, 0] = 5.0
    dbg = gn.debug(step, {xs: x}, echo=None)
    dbg.break_at("scan_1@*/add", when="above 3")
    dbg.resume()
    assert dbg.current.name == "scan_1@2/add"
    dbg.clear()
    dbg.break_at("scan_1@3/tanh")
    dbg.resume()
    assert dbg.current.name == "scan_1@3/tanh"


def test_a_what_if_in_an_iteration_goes_on_to_the_next_and_is_committed():
    xs, step = network()
    x = RNG.uniform(size=(2, 4, N))
    graph = step.graph
    w = graph["w"]
    before = w.value
    dbg = gn.debug(step, {xs: x}, echo=None)
    dbg.resume()
    dbg["scan_1@1/tanh"] = np.zeros((2, N))
    np.testing.assert_array_equal(dbg["scan_1@2/matmul"].value, 0.0)
    assert dbg.compare("run").first.name == "scan_1@1/tanh"
    assert "scan_1@0/tanh" not in {node.name for node in dbg.ancestry("scan_1@2/log", 0)}
    dbg.use("run")
    assert "scan_1@0/tanh" in {node.name for node in dbg.ancestry("scan_1@2/log", 0)}
    assert dbg[graph["scan_1@1/tanh"]].known
    dbg.commit()
    after = w.value
    w.value = before
    step({xs: x})
    np.testing.assert_array_equal(w.value, after)


def test_an_error_opens_the_debugger_in_its_iteration(tmp_path):
    xs, step = network()
    x = np.zeros((2, 4, N))
    x[1, 2] = -9.0
    with pytest.raises(gn.ValueRangeError, match='"scan_1@2/log"') as caught:
        step({xs: x})
    caught.value.save(tmp_path / "fault.trace")
    for dbg in (caught.value.debug(), gn.debug(gn.load(tmp_path / "fault.trace"))):
        assert dbg.here().name == "scan_1@2/log"
        assert np.isnan(dbg.why().value)
        assert dbg.why().index == (1,)


def test_a_long_loop_opens_at_the_iteration_that_is_asked_for(monkeypatch):
    monkeypatch.setattr(unroll, "_MOST", 60)
    xs, step = network(steps=40)
    x = RNG.uniform(size=(2, 40, N))
    dbg = gn.debug(step, {xs: x}, at="scan_1@20", echo=None)
    dbg.goto("scan_1@20/tanh")
    trace = gn.trace(step, {xs: x})
    np.testing.assert_array_equal(dbg["scan_1@20/tanh"].value, trace["scan_1@20/tanh"].value)
    with pytest.raises(gn.NotFoundError, match=r'are one node here; gn.debug\(…, at="scan_1@12"\) has this one'):
        dbg["scan_1@12/tanh"]
    dbg.resume()
    with pytest.raises(gn.UsageError, match="at= is the name of an iteration"):
        gn.debug(step, {xs: x}, at=3)
    with pytest.raises(gn.UsageError, match="not 'scan_1'"):
        gn.debug(step, {xs: x}, at="scan_1")
    with pytest.raises(gn.NotFoundError, match='"scan_1" made 40 iterations in this run, from 0: there is none 40'):
        gn.debug(step, {xs: x}, at="scan_1@40")
    with pytest.raises(gn.NotFoundError, match='no node, scope or output "while_1@3"'):
        gn.debug(step, {xs: x}, at="while_1@3")


def test_compare_names_the_first_iteration_that_differs():
    xs, step = network()
    x, other = np.zeros((2, 4, N)), np.zeros((2, 4, N))
    other[0, 2, 1] = 1.0
    for a, b, feeds in (
        (step, None, {"feed": {xs: x}, "feed_b": {xs: other}}),
        (gn.trace(step, {xs: x}), gn.trace(step, {xs: other}), {}),
    ):
        found = gn.compare(a, b, **feeds)
        inside = [each.name for each in found.differences if "@" in each.name and "getitem" not in each.name]
        assert inside[0] == "scan_1@2/add"
    assert gn.compare(step, network()[1], {"xs": other}).differences == []


def test_profile_adds_up_the_iterations():
    xs, step = network()
    found = gn.profile(step, {xs: np.zeros((2, 4, N))}, repeat=1)
    costs = {cost.name: cost for cost in found.by_node}
    assert costs["scan_1@*/tanh"].calls == 4
    assert costs["scan_1@*/matmul"].flops == 4 * 2 * 2 * N * N
    assert "scan_1@*" in {cost.name for cost in found.by_scope}


def test_a_search_through_batches_names_iteration_and_sample():
    xs, step = network()
    x = np.zeros((60, 4, N))
    x[37, 2] = -9.0
    health = gn.check_health(step, {xs: x}, batch_size=8)
    assert (health.batch, health.sample) == (4, 37)
    assert health.first.node.name == "scan_1@2/log"


def test_a_long_loop_is_looked_at_where_it_goes_wrong(monkeypatch):
    monkeypatch.setattr(unroll, "_MOST", 60)
    xs, step = network(steps=60)
    x = np.zeros((2, 60, N))
    x[1, 33] = -9.0
    assert gn.check_health(step, {xs: x}).first.node.name == "scan_1@33/log"


def test_the_debugger_goes_to_an_iteration_by_its_number():
    xs, step = network()
    dbg = gn.debug(step, {xs: np.zeros((2, 4, N))}, echo=None)
    dbg.goto("scan_1@3/tanh")
    dbg.iteration(1)
    assert (dbg.current.scope, dbg.next.scope) == ("scan_1@0", "scan_1@1")
    dbg.goto("grad/scan_1@2/grad/matmul")
    dbg.iteration(1)
    assert dbg.next.scope.startswith("grad/scan_1@1")
    with pytest.raises(gn.NotFoundError, match='"grad/scan_1" made 4 iterations in this run, from 0: there is none 4'):
        dbg.iteration(4)
    dbg.restart()
    with pytest.raises(gn.UsageError, match='it stands in no loop: go into one first, "scan_1@0", "grad/scan_1@0"'):
        dbg.iteration(1)
    with pytest.raises(gn.UsageError, match="this run has no loops"):
        gn.debug(gn.Graph().constant(1.0) + 1.0).iteration(0)


def test_what_a_value_decides_stays_in_a_what_if():
    g = gn.Graph()
    x = g.placeholder("x")
    (last, _), _ = gn.scan(lambda s: (s[0] * 2.0, s[0] < 10.0), (x, True), length=9)
    op = replace(last.inputs[0].op, while_=last.inputs[0].op.carried[1])
    bundle = op(*last.inputs[0].inputs)
    place = op.layout.places[0]
    fetch = type(last.op)(place.start, place.shape, place.dtype.name)(bundle)
    assert gn.run(fetch, {x: 1.0}) == 32.0
    said = []
    dbg = gn.debug(fetch, {x: 1.0}, echo=said.append)
    dbg.resume()
    assert dbg[fetch].value == 32.0
    dbg["x"] = 2.0
    assert said[-1] == "loop keeps to the number of iterations that it made before"
    assert dbg[fetch].value == 64.0


def test_a_branch_keeps_its_side_in_a_what_if_and_the_condition_has_run():
    g = gn.Graph()
    x, w = g.placeholder("x"), g.parameter("w", 1.0)
    last = gn.while_loop(lambda v: v < 9.0, lambda v: v * 2.0, x)
    y = gn.cond(gn.sin(x) > 0.0, gn.exp, gn.cos, last * w)
    said = []
    dbg = gn.debug(y, {x: 1.0}, echo=said.append)
    dbg.resume()
    dbg["x"] = 2.0
    kept = ["number of iterations that it made", "side that it took"]
    assert said[-2:] == [
        f"{name} keeps to the {how} before" for name, how in zip(("while_1", "cond_1"), kept, strict=True)
    ]
    for overlay in ("time", "flops"):
        text = gn.draw(y, overlay=overlay, trace=gn.profile(y, {x: 1.0}, repeat=1)).source
        assert "not run" not in text
        assert text.count("not measured") == 3  # sin, and the two comparisons
    z = gn.cond(w > 0.0, gn.exp, gn.cos, x)
    dbg = gn.debug(z, {x: 1.0}, echo=None)
    w.value = -1.0
    with pytest.raises(gn.UsageError, match='the side of "cond_2" may depend on it'):
        dbg.restart()


def choosing():
    """Return a loop in whose iterations one of two sides is taken, and a branch outside."""
    g = gn.Graph()
    xs, w = g.placeholder("xs", ("time",)), g.parameter("w", 2.0)

    def step(h, x):
        y = gn.cond(x > 0.0, lambda: gn.log(x) * w, lambda: gn.sqrt(x + 1.0))
        return h + y, y

    last, ys = gn.scan(step, 0.0, xs)
    out = gn.cond(last > 0.0, lambda: gn.exp(last), lambda: last * w)
    loss = out + gn.sum(ys)
    return g, xs, [loss, *gn.grad(loss, [w, xs])]


def test_branches_are_looked_into():
    g, xs, fetches = choosing()
    x = np.array([2.0, -0.5, 3.0])
    run = prepare(g, fetches, {xs: x}, None)
    flat = unrolled(run)
    assert not {"loop", "branch"} & {node.op.name for node in flat.program.order}
    for value, other in zip(collect(run), collect(flat), strict=True):
        np.testing.assert_array_equal(value, other)
    trace = gn.trace(fetches, {xs: x})
    assert trace["scan_1@2/cond_1@then/log"].value == np.log(3.0)
    assert trace[g["scan_1@1/cond_1@otherwise/sqrt"]].value == np.sqrt(0.5)
    assert trace["cond_1@then/exp"].value == np.exp(2 * np.log(2) + np.sqrt(0.5) + 2 * np.log(3))
    assert g["cond_1@otherwise/multiply"].name == "cond_1@otherwise/multiply"
    why = trace.why("cond_1/loop_item")
    assert why.reads[0].node.name == "cond_1@then/exp"
    with pytest.raises(gn.GraphnnError, match='"cond_1" took the side "then" in this run'):
        trace["cond_1@otherwise/multiply"]
    with pytest.raises(gn.AxisError, match="is a branch, with the sides cond_1@then and cond_1@otherwise"):
        trace["cond_1@3/exp"]


def test_errors_guards_and_health_look_into_branches():
    _, xs, fetches = choosing()
    with pytest.raises(gn.ValueRangeError, match=r'"scan_1@1/cond_1@otherwise/sqrt" .* is NaN') as caught:
        gn.compile(fetches, guard="nan")({xs: [1.0, -3.0]})
    assert caught.value.debug().here().name == "scan_1@1/cond_1@otherwise/sqrt"
    assert gn.check_health(fetches, {xs: [1.0, -3.0]}).first.node.name == "scan_1@1/cond_1@otherwise/sqrt"
    g = gn.Graph()
    flag, ids = g.placeholder("flag", (), bool), g.placeholder("ids", (2,), np.int64)
    taken = gn.cond(flag, lambda: gn.take(g.constant(np.eye(3)), ids, axis=0), lambda: gn.zeros((2, 3), graph=g))
    assert not gn.run(taken, {flag: False, ids: [0, 9]}).any()
    for backend in BACKENDS:
        step = gn.compile(taken, backend=backend)
        step({flag: True, ids: [0, 1]})
        with pytest.raises(gn.AxisError, match='while evaluating "cond_1@then/take"') as caught:
            step({flag: True, ids: [0, 9]})
        assert caught.value.debug().failed.name == "cond_1@then/take"


def test_loops_that_end_when_they_like_are_looked_into():
    g = gn.Graph()
    a = g.placeholder("a")
    last = gn.while_loop(lambda s: s < 100.0, lambda s: s * gn.sqrt(s * 0.0 + a), a)
    z = gn.fixed_point(lambda z: 0.5 * (z + a / z), 1.0 + 0.0 * a)
    fetches = [last, z, gn.grad(z, a)]
    run = prepare(g, fetches, {a: 4.0}, None)
    flat = unrolled(run)
    assert not any(node.op.name in ("loop", "implicit_loop") for node in flat.program.order)
    for value, other in zip(collect(run), collect(flat), strict=True):
        np.testing.assert_array_equal(value, other)
    trace = gn.trace(fetches, {a: 4.0})
    assert [trace[f"while_1@{k}/multiply_2"].value for k in range(5)] == [8.0, 16.0, 32.0, 64.0, 128.0]
    with pytest.raises(gn.AxisError, match='"while_1" made 5 iterations in this run, from 0: there is none 5'):
        trace["while_1@5/multiply_2"]
    assert trace["fixed_point_1@0/multiply"].value == 2.5
    dbg = gn.debug(fetches, {a: 4.0}, echo=None)
    dbg.goto("fixed_point_1@1/multiply")
    assert gn.check_health(fetches, {a: 4.0}).ok
    with pytest.raises(gn.EvaluationError, match="fixed_point_1/implicit_loop") as caught:
        gn.run(z, {a: -1.0})
    assert caught.value.debug().failed.name == "fixed_point_1/implicit_loop"
    assert gn.check_health(z, {a: -1.0}).first.code == "raised"
    with pytest.raises(gn.ValueRangeError, match='"while_1@0/sqrt" '):
        gn.compile(last, guard="nan")({a: -4.0})


@pytest.mark.filterwarnings("ignore::graphnn.errors.GraphnnWarning")
@pytest.mark.parametrize("most", [20_000, 1])
def test_random_runs_without_loops_give_the_same_bits(most, monkeypatch):
    monkeypatch.setattr(unroll, "_MOST", most)
    monkeypatch.setattr(unroll, "_FEWEST", min(most, 8))
    for number in range(10):
        case = Case(3, number)
        built = case.built(scanned, case.lengths[0])
        fetches = derived(built, 1 + (number % 6 == 0))
        run = prepare(built.loss.graph, fetches, case.feed(case.lengths[0]), None)
        for node, value, other in zip(fetches, collect(run), collect(unrolled(run)), strict=True):
            assert value.dtype == other.dtype
            np.testing.assert_array_equal(value, other, err_msg=f"case {number}, {node.name}")


def test_what_is_found_in_iterations_is_drawn_in_the_frame_of_the_loop():
    xs, step = network()
    x = np.zeros((2, 4, N))
    x[1, 2] = -9.0
    loss = step.fetches[0]
    drawn = gn.draw(loss, trace=gn.check_health(loss, {xs: x})).source
    assert "log-of-negative" in drawn
    assert "in scan_1@2" in drawn
    found = gn.compare(loss, feed={xs: np.zeros((2, 4, N))}, feed_b={xs: x + 10.0})
    assert "apart" in gn.draw(loss, trace=found).source
    assert gn.draw(loss, trace=gn.profile(loss, {xs: x}, repeat=1)).source


def test_branches_in_a_loop_of_which_some_iterations_are_nodes_give_the_same_bits(monkeypatch):
    monkeypatch.setattr(unroll, "_MOST", 1)
    monkeypatch.setattr(unroll, "_FEWEST", 1)
    g = gn.Graph()
    xs, w = g.placeholder("xs", ("time", N)), g.parameter("w", np.eye(N))

    def step(h, x):
        # What a gradient reads of one side has another shape than what it reads of the other.
        y = gn.cond(gn.sum(x) > 0.0, lambda: gn.sum(gn.tanh(x @ w) * h), lambda: gn.exp(gn.sum(h)) * 0.1)
        return gn.tanh(h + y), y

    _, ys = gn.scan(step, np.zeros(N), xs)
    loss = gn.sum(ys**2.0)
    slopes = gn.grad(loss, [w, xs])
    fetches = [loss, *slopes, *gn.grad(gn.sum(slopes[0] ** 2.0), [w, xs])]
    run = prepare(g, fetches, {xs: RNG.normal(size=(7, N))}, None)
    for value, other in zip(collect(run), collect(unrolled(run)), strict=True):
        np.testing.assert_array_equal(value, other)


@pytest.mark.parametrize(("value", "where"), [(-9.0, 41), (-2.0 / 3.0, 20)])
def test_of_a_long_loop_a_nan_is_looked_for_before_an_infinity(value, where, monkeypatch):
    monkeypatch.setattr(unroll, "_MOST", 60)
    g = gn.Graph()
    xs = g.placeholder("xs", ("time",))
    _, ys = gn.scan(lambda h, x: (gn.tanh(h + x), gn.log(x * x) + gn.sqrt(x + 2.0)), 0.0, xs)
    x = np.ones(60)
    x[20], x[41] = 0.0, value  # log(0) is infinite, and may be meant
    shown = with_fault(prepare(g, [ys], {xs: x}, None)).program.graph
    assert f"scan_1@{where}/log" in shown


def test_what_a_debugger_saves_of_a_run_with_loops_is_read_again(tmp_path):
    xs, step = network("time")
    dbg = gn.debug(step, {xs: RNG.uniform(size=(2, 4, N))}, echo=None)
    dbg.goto("scan_1@2/tanh")
    dbg.trace().save(tmp_path / "paused.trace")
    again = gn.debug(gn.load(tmp_path / "paused.trace"), echo=None)
    assert again.position <= dbg.position
    assert again.next.name.startswith("scan_1")
    again.goto("scan_1@2/tanh")
    np.testing.assert_array_equal(again["scan_1@2/tanh"].value, dbg["scan_1@2/tanh"].value)
    dbg.resume()
    dbg.trace().save(tmp_path / "whole.trace")
    whole = gn.load(tmp_path / "whole.trace")
    assert (len(whole), whole.stopped) == (len(gn.trace(step, {xs: np.ones((2, 4, N))})), None)
    dbg["scan_1@1/tanh"] = np.zeros((2, N))
    with pytest.raises(gn.UsageError, match=r'over "time" cannot be saved, .* save the run from which'):
        dbg.trace().save(tmp_path / "what_if.trace")
    dbg.trace("run").save(tmp_path / "whole.trace")
    assert gn.compare(gn.load(tmp_path / "whole.trace"), whole).equal
