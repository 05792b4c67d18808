"""The health check: faults planted in random graphs, sound graphs, each kind of fault, and the report."""

import json
import re
import sys
import warnings
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest
from planted import FAULTS, Planted, clean, planted
from random_graphs import build, random_graphs

import graphnn as gn
from graphnn import Finding, Health, nn
from graphnn.core import Trait
from graphnn.debugger.health import CHECKS, check_health, evaluation, findings, nan_inf
from graphnn.debugger.health.numeric_hazards import HAZARDS
from graphnn.ops.elementwise import Elementwise

COUNT = 200
SOUND = 120  # random graphs without a fault


# --- faults in random graphs ------------------------------------------------------------------------------------


def _names(finding: Finding, case: Planted) -> bool:
    """Whether a finding is the planted fault, or a gradient whose culprit it is."""
    if finding.node is case.node:
        return (finding.index, finding.code) == (case.index, case.code)
    culprit = finding.culprit
    return culprit is not None and (culprit.node, culprit.index) == (case.node, case.index)


@pytest.fixture(scope="module")
def checked() -> list[tuple[Planted, Health]]:
    return [(case, check_health(case.fetches, case.feed)) for case in map(planted, range(COUNT))]


def test_the_first_finding_is_the_planted_fault(checked: list[tuple[Planted, Health]]) -> None:
    missed = [f"{case}\n{health}" for case, health in checked if not (health.first and _names(health.first, case))]
    assert not missed, f"{len(missed)} of {COUNT}\n" + "\n\n".join(missed[:3])


def test_errors_are_at_the_planted_fault_or_follow_from_it(checked: list[tuple[Planted, Health]]) -> None:
    for case, health in checked:
        assert case.node is not None
        below = nx.descendants(case.node.graph.dag, case.node.name) | {case.node.name}
        for finding in health.errors:
            assert finding.node.name in below or finding.node.phase == "backward", f"{case}\n{health}"


def test_a_fault_that_is_not_hidden_is_found_at_its_own_node(checked: list[tuple[Planted, Health]]) -> None:
    direct = [(case, health.first) for case, health in checked if not case.hidden]
    there = [finding is not None and finding.node is case.node for case, finding in direct]
    assert sum(there) > 0.8 * len(there)  # others are hidden by a random `where`
    led_back = [health.first for case, health in checked if case.hidden and case.gradients]
    assert sum(finding is not None and finding.culprit is not None for finding in led_back) > 20


def test_the_planted_graphs_cover_every_fault_shape_scope_and_gradient(checked: list[tuple[Planted, Health]]) -> None:
    cases = [case for case, _ in checked]
    assert {case.code for case in cases} == {code for code, _ in FAULTS}
    assert {code for code, _ in FAULTS} <= set(CHECKS)
    for kind in ("hidden", "gradients"):
        assert 0.2 * COUNT < sum(getattr(case, kind) for case in cases) < 0.8 * COUNT
    assert len({case.node.shape for case in cases if case.node is not None}) > 20
    assert sum(case.node is not None and case.node.scope != "" for case in cases) > 0.3 * COUNT


def test_graphs_without_a_fault_have_no_finding() -> None:
    for case in map(clean, range(SOUND)):
        health = check_health(case.fetches, case.feed)
        assert health.ok, f"{case}\n{health}"


def test_random_graphs_with_their_gradients_have_no_finding() -> None:
    for number, recipe in enumerate(random_graphs(0, SOUND)):
        built = build(recipe, gn.Graph())
        health = check_health([built.result, *gn.grad(built.result, built.inputs)], built.feed)
        assert health.ok, f"graph {number}\n{recipe}\n{health}"


# --- what is sound -----------------------------------------------------------------------------------------------


def _network(dtype: Any = np.float64) -> tuple[gn.Node, dict[gn.Node, Any]]:
    g = gn.Graph(dtype=dtype)
    x, labels = g.placeholder("x", shape=("batch", 2)), g.placeholder("labels", shape=("batch",), dtype=np.int64)
    rng = np.random.default_rng(0)
    network = nn.Sequential(nn.Dense(64, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng), nn.Softmax())
    points, kinds = gn.datasets.spiral(100, classes=3, seed=0)
    return nn.categorical_crossentropy(network(x), labels), {x: points.astype(dtype), labels: kinds}


@pytest.mark.parametrize("optimizer", [nn.SGD(learning_rate=1.0, momentum=0.9), nn.Adam(0.01), nn.RMSProp(0.01)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_network_has_no_finding_while_it_trains(optimizer: Any, dtype: Any) -> None:
    loss, feed = _network(dtype)
    step = gn.compile(loss, updates=optimizer.updates(loss))
    for _ in range(5):
        assert check_health(step, feed).ok
        for _ in range(40):
            step(feed)


@pytest.mark.parametrize("fed", [False, True])
def test_masks_of_minus_inf_are_no_finding(fed: bool) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("n", 3))
    mask = np.array([[0.0, -np.inf, 0.0], [0.0, 0.0, -np.inf]])
    given = g.placeholder("mask", shape=("n", 3)) if fed else g.constant(mask)
    attention = gn.softmax(x + given)
    result = gn.sum(gn.square(attention))
    feed = {x: np.arange(6.0).reshape(2, 3)} | ({given: mask} if fed else {})
    assert check_health([result, gn.grad(result, x)], feed).ok
    biggest = gn.max(gn.where(g.constant(mask == 0), x, -np.inf), axis=1)
    assert check_health([biggest, gn.grad(gn.sum(biggest), x)], feed if not fed else {x: feed[x]}).ok


def test_a_row_masked_whole_is_found_where_it_is_masked() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("n", 2))
    mask = np.array([[0.0, 0.0], [-np.inf, -np.inf]])
    health = check_health(gn.softmax(x + g.constant(mask)), {x: np.ones((2, 2))})
    assert health.first is not None
    assert (health.first.code, health.first.place) == ("row-masked", "add[1, 0]")
    assert "leave each query a key" in health.first.remedy


def test_nan_that_a_where_replaces_is_a_note() -> None:
    x = gn.Graph().placeholder("x", shape=("n",))
    known = gn.where(gn.isnan(x), 0.0, x)
    health = check_health([gn.sum(known), gn.grad(gn.sum(known), x)], {x: [1.0, np.nan]})
    assert health.ok
    assert [note.code for note in health.notes] == ["fed-nan"]


def test_harmless_underflow_is_a_note() -> None:
    x = gn.Graph().placeholder("x", shape=("n",))
    health = check_health(gn.exp(x) + 1.0, {x: [-1000.0, -np.inf, 0.0]})
    assert health.ok
    assert [(note.code, note.place, note.count) for note in health.notes] == [("underflow", "exp[0]", 1)]


# --- each fault -------------------------------------------------------------------------------------------------


def _first(health: Health) -> Finding:
    assert health.first is not None, str(health)
    return health.first


def test_a_gradient_finding_names_its_culprit_its_operands_and_the_where() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("n",))
    with g.scope("head"):
        y = gn.where(x > 0, gn.power(x, 0.5), 0.0)
    finding = _first(check_health(gn.grad(gn.sum(y), x), {x: [0.0, 4.0]}))
    assert (finding.code, finding.place) == ("zero-times-inf", "grad/head/multiply_2[0]")
    assert finding.culprit is not None
    assert (finding.culprit.node.name, finding.culprit.index) == ("head/power", (0,))
    assert [str(each) for each in finding.operands] == ["grad/head/where[0] = 0", "grad/head/where_3[0] = inf"]
    assert finding.hidden_by is g["head/where"]
    assert "x[0] = 0" in finding.cause
    assert "the where" in finding.cause
    assert finding.origin.line == g["head/power"].origin.line


def test_without_a_gradient_a_hidden_inf_is_a_warning() -> None:
    x = gn.Graph().placeholder("x", shape=("n",))
    y = gn.sum(gn.where(x > 0, gn.log(x), 0.0))
    health = check_health(y, {x: [0.0, 2.0]})
    assert [each.code for each in health.warnings] == ["log-of-zero"]
    assert not health.errors
    assert _first(health).hidden_by is not None
    both = check_health([y, gn.grad(y, x)], {x: [0.0, 2.0]})
    assert len(both) == 1, "the forward finding is the cause of the gradient's, and not listed twice"
    assert _first(both).severity == "error"
    assert _first(both).culprit is not None
    assert _first(both).culprit.code == "log-of-zero"  # type: ignore[union-attr]


def test_a_bad_gradient_is_listed_under_the_forward_finding() -> None:
    x = gn.Graph().placeholder("x", shape=("n",))
    y = gn.sum(gn.log(x))
    health = check_health([y, gn.grad(y, x)], {x: [0.0, 2.0]})
    assert [each.code for each in health] == ["log-of-zero"]
    assert [each.node.phase for each in _first(health).leads_to] == ["backward"]


def test_the_culprit_may_be_a_node_that_was_not_run() -> None:
    x = gn.Graph().placeholder("x", shape=("n",))
    y = gn.sum(gn.log(x))
    finding = _first(check_health(gn.grad(y, x), {x: [1.0, 0.0]}))
    assert finding.code == "division-by-zero"
    assert finding.culprit is not None
    assert (finding.culprit.node.name, finding.culprit.index) == ("log", (1,))
    assert "slope of log is infinite" in finding.remedy


def test_nan_in_a_parameter() -> None:
    g = gn.Graph()
    w = g.parameter("w", [[1.0, np.nan], [np.nan, 1.0]])
    finding = _first(check_health(gn.sum(w * 2.0)))
    assert (finding.code, finding.severity, finding.place, finding.count) == ("fed-nan", "error", "w[0, 1]", 2)
    assert "an earlier step" in finding.remedy


def test_a_cast_to_float32_that_overflows() -> None:
    x = gn.Graph().placeholder("x", shape=("n",))
    finding = _first(check_health(gn.cast(x, "float32"), {x: [1.0, 1e39]}))
    assert (finding.code, finding.place) == ("overflow", "cast[1]")
    assert "the largest float32 is 3.4028e+38" in finding.cause


def test_a_later_run_still_warns_of_overflow() -> None:
    x = gn.Graph(dtype=np.float16).placeholder("x", shape=("n",))
    y = x * np.float16(1000)
    finding = _first(check_health(y, {x: [100.0]}))
    assert finding.code == "overflow"
    assert "the largest float16 is 65504" in finding.cause
    with pytest.warns(gn.GraphnnWarning, match="overflows float16"):
        gn.run(y, {x: [100.0]})


def test_numbers_near_overflow() -> None:
    g = gn.Graph(dtype=np.float32)
    x = g.placeholder("x", shape=("n",))
    health = check_health(gn.sum(gn.exp(x)), {x: [1.0, 85.0]})
    assert [(each.code, each.place) for each in health] == [("near-overflow", "exp[1]")]
    assert check_health(gn.sum(gn.exp(x)), {x: [1.0, 70.0]}).ok


def test_an_operation_that_raises_is_a_finding() -> None:
    g = gn.Graph()
    x, i = g.placeholder("x", shape=("n",)), g.placeholder("i", shape=("k",), dtype=np.int64)
    finding = _first(check_health(gn.log(gn.take(x, i, 0)), {x: [1.0, 2.0], i: [0, -2, 2]}))
    assert (finding.code, finding.place) == ("index-out-of-range", "take")  # which has no value; the operand has
    assert str(finding.operands[0]) == "i[2] = 2"
    empty = _first(check_health(gn.max(x), {x: []}))
    assert empty.code == "empty-reduction"
    negative = _first(check_health(gn.one_hot(i, 3), {i: [2, -1]}))
    assert (negative.code, negative.operands[0].index, negative.value) == ("label-out-of-range", (1,), -1)


def test_findings_before_a_failing_operation_are_reported() -> None:
    g = gn.Graph()
    x, i = g.placeholder("x", shape=("n",)), g.placeholder("i", shape=(), dtype=np.int64)
    health = check_health(gn.take(gn.log(x), i), {x: [0.0], i: 5})
    assert [each.code for each in health.errors] == ["log-of-zero", "index-out-of-range"]


def test_a_feed_that_does_not_fit_raises() -> None:
    x = gn.Graph().placeholder("x", shape=(2,))
    with pytest.raises(gn.ShapeError):
        check_health(gn.log(x), {x: [1.0]})


@pytest.mark.parametrize("look", [check_health, gn.profile])
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda look, y, x: look(None), gn.UsageError, "a fetch is a node or its name"),
        (lambda look, y, x: look([]), gn.UsageError, "an empty form"),
        (lambda look, y, x: look("sum"), gn.UsageError, "no graph is known"),
        (lambda look, y, x: look("summ", graph=y.graph), gn.NotFoundError, 'Did you mean "sum"'),
        (lambda look, y, x: look(y), gn.NotFoundError, 'the feed lacks "x"'),
        (lambda look, y, x: look(y, [1.0]), gn.UsageError, "a feed is a dict|a batch is a feed"),
        (lambda look, y, x: look(y, {"q": 1.0}), gn.NotFoundError, 'the feed names "q"'),
        (lambda look, y, x: look(y, {x: [None]}), gn.DtypeError, "dtype object"),
        (lambda look, y, x: look(y, {x: [1j]}), gn.DtypeError, "complex128"),
        (lambda look, y, x: look(y, {x: [[1.0]]}), gn.ShapeError, "expected \\(n,\\)"),
        (lambda look, y, x: look(y, {x: [[1.0], []]}), gn.ShapeError, "ragged"),
        (lambda look, y, x: look(y, {gn.Graph("other").placeholder("x"): 1.0}), gn.GraphError, 'of the graph "other"'),
        (lambda look, y, x: look(gn.trace(y, {x: [1.0]}), {x: [1.0]}), gn.UsageError, "a trace has its own feed"),
        (
            lambda look, y, x: look(gn.trace(y, {x: [1.0]}), graph=gn.Graph()),
            gn.UsageError,
            "a trace has its own graph",
        ),
    ],
)
def test_wrong_arguments_raise(look: Any, call: Any, error: type[Exception], message: str) -> None:
    x = gn.Graph().placeholder("x", shape=("n",))
    with pytest.raises(error, match=message):
        call(look, gn.sum(x), x)


def test_empty_values_integers_and_single_parameters_are_sound() -> None:
    g = gn.Graph()
    x, i = g.placeholder("x", shape=("n", 2)), g.placeholder("i", shape=("n",), dtype=np.int64)
    assert check_health([gn.exp(x), gn.sum(x, axis=1)], {x: np.zeros((0, 2))}).ok
    assert check_health([gn.equal(i, 2), i + 1, i], {i: [1, 2]}).ok
    assert check_health(gn.trace(gn.exp(x), {x: np.ones((3, 2))}, keep=0)).ok
    assert check_health(g.parameter("w", [1.0])).ok


@pytest.mark.parametrize("one_hot", [False, True])
def test_a_clipped_probability_of_several_classes(one_hot: bool) -> None:
    g = gn.Graph()
    z = g.placeholder("z", shape=("n", 2))
    labels = np.array([0, 1])
    loss = nn.categorical_crossentropy(gn.softmax(z), np.eye(2)[labels] if one_hot else labels)
    finding = _first(check_health([loss, gn.grad(loss, z)], {z: [[0.0, 200.0], [0.0, 1.0]]}))
    assert (finding.code, finding.severity) == ("clipped-probability", "warning")
    assert (finding.place, finding.count) == ("categorical_crossentropy_1/clip[0, 0]", 1)
    assert "nn.softmax_crossentropy" in finding.remedy
    assert check_health(loss, {z: [[200.0, 0.0], [0.0, 200.0]]}).ok, "a right answer loses nothing"


def test_a_clipped_probability_of_two_classes() -> None:
    g = gn.Graph()
    z, y = g.placeholder("z", shape=("n",)), g.placeholder("y", shape=("n",))
    loss = nn.binary_crossentropy(gn.sigmoid(z), y)
    for sure in (-40.0, 40.0):
        finding = _first(check_health(loss, {z: [0.5, sure], y: [1.0, float(sure < 0)]}))
        assert (finding.code, finding.index) == ("clipped-probability", (1,))
        assert "nn.sigmoid_crossentropy" in finding.remedy
        assert check_health(loss, {z: [0.5, sure], y: [1.0, float(sure > 0)]}).ok


def test_dead_units() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 2))
    bias = np.where(np.arange(8) < 5, -100.0, 0.0)
    y = nn.ReLU()(nn.Dense(8, bias=bias, rng=np.random.default_rng(0))(x))
    rows = np.random.default_rng(1).normal(size=(64, 2))
    finding = _first(check_health(y, {x: rows}))
    assert (finding.code, finding.count, finding.size) == ("dead-units", 5, 8)
    assert "5 of 8 units" in finding.cause
    assert check_health(y, {x: rows[:4]}).ok, "a small batch says nothing"


def test_dead_units_of_an_operation_of_ones_own() -> None:
    class Capped(Elementwise):
        """min(max(x, 0), 6)."""

        traits = Trait.DIES
        like = np.negative

        def forward(self, x: np.ndarray) -> np.ndarray:
            return np.clip(x, 0, 6)

    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 2))
    bias = np.where(np.arange(8) < 5, -100.0, 0.0)
    y = Capped()(nn.Dense(8, bias=bias, rng=np.random.default_rng(0))(x))
    finding = _first(check_health(y, {x: np.random.default_rng(1).normal(size=(64, 2))}))
    assert (finding.code, finding.count, finding.size) == ("dead-units", 5, 8)
    assert "5 of 8 units of capped" in finding.cause


def test_saturated_units() -> None:
    x = gn.Graph().placeholder("x", shape=("n",))
    health = check_health(gn.tanh(x), {x: [-100.0, 100.0] * 4})
    assert [(each.code, each.count) for each in health] == [("saturated", 8)]
    few = check_health(gn.tanh(x), {x: [0.0] * 9 + [100.0]})
    assert few.ok
    assert [note.code for note in few.notes] == ["saturated"]


def _deep(initial: float, act: Any) -> tuple[gn.Node, gn.Node]:
    x = gn.Graph().placeholder("x", shape=("batch", 8))
    h = x
    for _ in range(12):
        h = act(nn.Dense(8, weight_init=nn.init.normal(0.0, initial), rng=np.random.default_rng(3))(h))
    return x, gn.mean(gn.square(h))


@pytest.mark.parametrize(
    ("initial", "act", "code"),
    [
        (0.1, gn.sigmoid, "vanishing-gradient"),
        (8.0, lambda h: h, "exploding-gradient"),
        (0.4, gn.tanh, None),
    ],
)
def test_vanishing_and_exploding_gradients_of_layers(initial: float, act: Any, code: str | None) -> None:
    x, loss = _deep(initial, act)
    rows = np.random.default_rng(0).normal(size=(16, 8))
    grads = gn.grad(loss, loss.graph.parameters)
    step = gn.compile(loss, updates=nn.SGD(0.1).updates(loss))
    for health in (check_health([loss, *grads], {x: rows}), check_health(step, {x: rows})):
        assert {each.code for each in health} == ({code} if code else set()), str(health)


@pytest.mark.parametrize(
    ("scale", "act", "told"),
    [
        (0.1, gn.sigmoid, ("vanishing-gradient", "the gradient of w0 (", r"from \S+ in w0 to \S+ in w11$")),
        (
            8.0,
            lambda h: h,
            ("exploding-gradient", "the gradient of ", r"; the same is true of [wb]\d+, [wb]\d+, [wb]\d+ and 20 more$"),
        ),
        (0.4, gn.tanh, None),
    ],
)
def test_vanishing_and_exploding_gradients_of_layers_written_by_hand(scale: float, act: Any, told: Any) -> None:
    rng = np.random.default_rng(3)
    g = gn.Graph()
    h = x = g.placeholder("x", shape=("batch", 8))
    for number in range(12):
        w = g.parameter(f"w{number}", rng.normal(size=(8, 8)) * scale)
        h = act(h @ w + g.parameter(f"b{number}", np.zeros(8)))
    loss = gn.mean(gn.square(h))
    health = check_health([loss, *gn.grad(loss, g.parameters)], {x: rng.normal(size=(16, 8))})
    assert len(health) == (told is not None), str(health)
    if told is not None:
        code, start, end = told
        (finding,) = health
        assert finding.code == code
        assert finding.cause.startswith(start)
        assert re.search(end, finding.cause)


def _trained(loss: gn.Node, feed: Any, rate: float = 0.1) -> Health:
    return check_health(gn.compile(loss, updates=nn.SGD(rate).updates(loss)), feed)


def _rows(*shape: int) -> Any:
    return np.random.default_rng(1).normal(size=shape)


def _dense(units: int, seed: int = 0, **how: Any) -> nn.Dense:
    return nn.Dense(units, rng=np.random.default_rng(seed), **how)


def test_nan_and_inf_in_one_parameter_are_one_finding() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", shape=(2, 3)), g.parameter("w", [np.nan, np.inf, 1.0])
    (finding,) = check_health(gn.mean(x * w), {x: [[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]]})
    assert (finding.code, finding.cause) == ("fed-nan", "w[0] = nan, a parameter; w[1] = inf")
    assert [each.code for each in finding.leads_to] == ["zero-times-inf"]
    y = g.placeholder("y", shape=(2, 2))
    fed = check_health(gn.sum(y @ np.eye(2)), {y: [[np.nan, 1.0], [np.inf, 1.0]]})
    assert [(each.code, each.place) for each in fed] == [("fed-nan", "y[0, 0]"), ("fed-inf", "y[1, 0]")]


def test_a_value_set_by_hand_is_not_blamed_on_the_learning_rate() -> None:
    g = gn.Graph()
    w = g.parameter("w", [1.0, 2.0])
    dbg = gn.debug(w * 2.0, echo=None)
    dbg["w"] = [np.nan, 1.0]
    dbg.resume()
    assert "learning rate" not in _first(check_health(dbg.trace())).remedy


@pytest.mark.parametrize("spread", [gn.std, gn.var])
def test_a_deviation_of_equal_numbers_is_0_because_of_these_numbers(spread: Any) -> None:
    a = gn.Graph().placeholder("a", shape=("n", 2))
    for number in (0.0, 21.5):
        finding = _first(check_health(1.0 / spread(a, axis=1), {a: [[number, number], [1.0, 2.0]]}))
        assert f"0 because a[0, :] = {number:g}, {number:g} in {spread.__name__}" in finding.cause


def test_a_trace_with_an_operation_that_is_not_defined_is_checked(tmp_path: Any) -> None:
    class SnakeOfElsewhere(Elementwise):
        """x + sin(x)²."""

        like = np.exp

        def forward(self, x: Any, out: Any = None) -> Any:
            return np.add(x, np.sin(x) ** 2, out=out)

    x = gn.Graph().placeholder("x", shape=(3,))
    gn.trace(gn.log(SnakeOfElsewhere()(x)), {x: [0.0, 1.0, 2.0]}).save(tmp_path / "own.trace")
    del gn.core.registry[SnakeOfElsewhere.name]
    (finding,) = check_health(gn.load(tmp_path / "own.trace"))
    assert (finding.code, finding.place) == ("log-of-zero", "log[0]")


@pytest.mark.parametrize("how", ["scope", "layer of matrices", "large inputs"])
def test_gradients_vanish_in_one_scope_and_behind_large_inputs(how: str) -> None:
    rng = np.random.default_rng(3)
    g = gn.Graph()
    h = x = g.placeholder("x", shape=("batch", 8))

    def deep(h: gn.Node) -> gn.Node:
        for number in range(12):
            scale = 1e-6 if how == "large inputs" and not number else 0.1
            w = g.parameter(f"w{number}", rng.normal(size=(8, 8)) * scale)
            h = gn.sigmoid(h @ w + g.parameter(f"b{number}", np.zeros(8)))
        return h

    if how == "large inputs":
        h = deep(h)
    else:
        with g.scope("net"):
            h = deep(h)
    loss = gn.mean(gn.square(h))
    health = check_health(
        [loss, *gn.grad(loss, g.parameters)], {x: _rows(16, 8) * (1e6 if how == "large inputs" else 1)}
    )
    assert [each.code for each in health] == ["vanishing-gradient"], str(health)


@pytest.mark.parametrize("network", ["scaled branches", "attention", "small head", "at rest"])
def test_a_small_gradient_beside_another_path_has_not_vanished(network: str) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 8))
    h: gn.Node = x
    if network == "scaled branches":
        for number in range(4):
            h = h + g.parameter(f"scale{number}", np.full(8, 1e-7)) * _dense(8)(gn.relu(_dense(8)(h)))
        loss = gn.mean(gn.square(_dense(1)(h) - 1.0))
    elif network == "attention":
        q, k, v, out = (g.parameter(name, 0.001 * _rows(8, 8)) for name in ("q", "k", "v", "out"))
        loss = gn.mean(gn.square(gn.softmax((x @ q) @ (x @ k).T) @ (x @ v) @ out - 1.0))
    elif network == "small head":
        h = gn.tanh(_dense(8)(gn.tanh(_dense(8)(x))))
        loss = gn.mean(gn.square(_dense(1)(h) - 1.0)) + 1e-8 * gn.mean(gn.square(_dense(1, 5)(h) - 1.0))
    else:
        h = gn.tanh(_dense(8)(gn.tanh(_dense(8)(x))))
        last = _dense(1)
        y = last(h)
        features = np.c_[gn.run(h, {x: _rows(40, 8)}), np.ones(40)]
        best = np.linalg.lstsq(features, _rows(40, 1), rcond=None)[0]
        last.weight.value, last.bias.value = best[:-1], best[-1]
        loss = gn.mean(gn.square(y - _rows(40, 1)))
    health = check_health([loss, *gn.grad(loss, g.parameters)], {x: _rows(40, 8)})
    assert health.ok, str(health)


def _of_spirals(make: Callable[[gn.Node, gn.Node], gn.Node], weights: Any = None, rate: float = 0.1) -> Health:
    points, classes = gn.datasets.spiral(20, classes=3, seed=0)
    g = gn.Graph()
    x, y = g.placeholder("x", shape=("batch", 2)), g.placeholder("y", shape=("batch",), dtype=np.int64)
    how = {"weight_init": weights or nn.init.glorot_uniform()}
    hidden = gn.tanh(_dense(8, **how)(x))
    return _trained(make(_dense(3, **how)(hidden), y), {x: points, y: classes}, rate)


def test_parameters_without_a_gradient() -> None:
    health = _of_spirals(nn.softmax_crossentropy, nn.init.zeros())
    assert [(each.code, each.severity) for each in health] == [("no-gradient", "warning")] * 2
    assert [re.sub(r" \(.*?\)", "", each.cause) for each in health] == [
        "no gradient reaches dense_1/weight, dense_1/bias: it becomes 0 in dense_2/matmul, because dense_2/weight is 0",
        "no gradient reaches dense_2/weight: it becomes 0 in dense_2/matmul, because tanh is 0",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gn.GraphnnWarning)
        (finding,) = _of_spirals(lambda logits, labels: nn.softmax_crossentropy(gn.round(logits), labels))
    assert (finding.code, finding.severity) == ("no-gradient", "warning")
    assert re.search(r": it ends at round \(\S+\), because round passes no gradient on$", finding.cause)
    (finding,) = _of_spirals(lambda logits, labels: nn.softmax_crossentropy(logits * 0.0, labels))
    assert (finding.code, finding.severity) == ("no-gradient", "warning")


def test_no_gradient_is_not_reported_after_learning_or_beside_an_error() -> None:
    x = gn.Graph().placeholder("x", shape=("batch", 2))
    layer = _dense(1)
    loss = gn.mean(gn.relu(1.0 - layer(x)))  # a hinge
    step = gn.compile(loss, updates=nn.SGD(0.1).updates(loss))
    layer.bias.value = [100.0]
    satisfied = check_health(step, {x: _rows(40, 2)})
    assert not [each for each in (*satisfied, *satisfied.notes) if each.code == "no-gradient"], str(satisfied)
    layer.bias.value = [np.nan]
    broken = check_health(step, {x: _rows(40, 2)})
    assert [each.code for each in (*broken, *broken.notes)] == ["fed-nan"]


def test_a_step_that_makes_no_progress() -> None:
    for rate in (0.0, 1e-12):
        (finding,) = _of_spirals(nn.softmax_crossentropy, rate=rate)
        assert (finding.code, finding.severity) == ("not-moved", "warning")
        falls = r"decreases by at most \S+e-1\d of its value" if rate else "does not decrease"
        assert re.search(rf"so little that the loss {falls}; sgd_1/learning_rate = {rate or 0}$", finding.cause)


def test_units_with_equal_weights() -> None:
    (finding,) = _of_spirals(nn.softmax_crossentropy, nn.init.constant(0.1))
    assert finding.code == "units-alike"
    x = gn.Graph().placeholder("x", shape=("batch", 4))
    loss = gn.mean(gn.square(_dense(3, weight_init=nn.init.ones())(x) - [1.0, 2.0, 3.0]))
    assert _trained(loss, {x: _rows(10, 4)}, 0.01).ok  # each with a target of its own


def test_a_loss_with_the_wrong_sign() -> None:
    found = _of_spirals(lambda logits, labels: -nn.softmax_crossentropy(logits * 1e16, labels))
    assert found.first is not None
    assert found.first.code == "unbounded-loss"
    x = gn.Graph().placeholder("x", shape=("batch", 2))
    layer = _dense(1)
    step = gn.compile(loss := -gn.mean(gn.square(layer(x) - 1.0)), updates=nn.SGD(0.1).updates(loss))
    layer.weight.value = [[1e20], [1e20]]
    finding = _first(check_health(step, {x: _rows(10, 2)}))
    assert "check the sign of negative, which is -" in finding.remedy


@pytest.mark.parametrize(
    ("made", "bounds"), [(gn.sigmoid, "0 to 1"), (gn.tanh, "-1 to 1"), (lambda h: gn.softmax(h), "0 to 1")]
)
def test_targets_out_of_reach(made: Any, bounds: str) -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", shape=("batch", 4)), g.placeholder("y", shape=("batch", 2))
    loss = gn.mean(gn.square(made(_dense(2)(x)) - y))
    finding = _first(_trained(loss, {x: _rows(10, 4), y: np.full((10, 2), 50.0)}))
    assert finding.code == "out-of-reach"
    assert finding.cause.endswith(bounds)
    assert _trained(loss, {x: _rows(10, 4), y: np.eye(2)[[0, 1] * 5] * 0.9 + 0.05}).ok


@pytest.mark.parametrize("last", [gn.relu, gn.softplus, gn.exp, gn.square])
def test_negative_targets_of_a_function_that_is_never_negative(last: Any) -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", shape=("batch", 4)), g.placeholder("y", shape=("batch", 2))
    loss = gn.mean(gn.square(last(_dense(2)(x)) - y))
    finding = _first(_trained(loss, {x: _rows(10, 4), y: np.full((10, 2), -5.0)}))
    assert finding.code == "out-of-reach"
    assert re.search(rf": {last.__name__} \(test_health.py:\d+\) only gives values of at least 0$", finding.cause)
    feed = {x: _rows(10, 4), y: np.where(_rows(10, 2) > 1, -0.5, 0.5)}
    assert _trained(loss, feed, 0.01).ok  # at 0.1 that of exp comes to infinity


def test_a_layer_in_the_side_of_a_branch_that_was_not_taken_is_not_reported() -> None:
    g = gn.Graph()
    x, flag = g.placeholder("x", shape=("batch", 2)), g.placeholder("flag", (), bool)
    one, other = _dense(1), _dense(1)
    loss = gn.mean(gn.cond(flag, lambda: gn.tanh(one(x)), lambda: other(x)) ** 2.0)
    step = gn.compile(loss, updates=nn.SGD(0.1).updates(loss))
    for taken in (True, False):
        health = check_health(step, {x: _rows(4, 2), flag: taken})
        assert "no-gradient" not in {each.code for each in (*health, *health.notes)}, str(health)


def test_a_gradient_that_cancels_to_0_is_not_reported() -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", shape=("batch", 2)), g.placeholder("y", shape=("batch", 1))
    layer = _dense(1)
    step = gn.compile(loss := gn.mean(gn.absolute(layer(x) - y)), updates=nn.SGD(0.1).updates(loss))
    layer.weight.value = [[1.0], [1.0]]
    rows = _rows(4, 2)
    feed = {x: rows, y: rows.sum(axis=1, keepdims=True) + np.array([[1], [-1], [1], [-1]])}
    health = check_health(step, feed)
    assert gn.run(gn.grad(loss, layer.bias), feed) == 0
    assert health.ok
    assert "no-gradient" not in {note.code for note in health.notes}


def test_one_hot_rows_of_a_softmax_are_counted_unless_masked() -> None:
    x = gn.Graph().placeholder("x", shape=("n", 6))
    scores = np.random.default_rng(0).normal(size=(96, 6)) * 2500
    (note,) = [each for each in check_health(gn.softmax(x), {x: scores}).notes if each.code == "saturated"]
    ones = int((np.sort(scores, axis=1)[:, -1] - np.sort(scores, axis=1)[:, -2] > 40).sum())
    assert note.cause.startswith(f"{ones} of 96 rows of softmax_1/divide are one-hot up to rounding")
    causal = np.where(np.tri(6, dtype=bool), 0.0, -1e9)
    masked = gn.Graph().placeholder("x", shape=(6, 6))
    health = check_health(gn.softmax(masked + causal), {masked: np.zeros((6, 6))})
    assert "saturated" not in {each.code for each in health.notes}


@pytest.mark.parametrize(
    ("loss", "code"),
    [
        (lambda o, y: -gn.mean(gn.pick(gn.log_softmax(gn.softmax(o)), y)), "probabilities-as-logits"),
        (lambda o, y: -gn.mean(gn.log(gn.pick(gn.softmax(gn.softmax(o)), y))), "probabilities-as-logits"),
        (lambda o, y: -gn.mean(gn.log(gn.pick(gn.softmax(o, axis=0), y))), "not-probabilities"),
        (lambda o, y: -gn.mean(gn.log(gn.pick(gn.exp(o) / gn.sum(gn.exp(o), axis=0), y))), "not-probabilities"),
        (lambda o, y: -gn.mean(gn.log(gn.pick(gn.softmax(o), y))), None),
        (lambda o, y: -gn.mean(gn.pick(gn.log_softmax(o), y)), None),
        (lambda o, y: -gn.mean(gn.log(gn.sigmoid(gn.sigmoid(o)))), "probabilities-as-logits"),
    ],
)
def test_losses_written_by_hand_are_checked(loss: Any, code: str | None) -> None:
    assert [each.code for each in _of_spirals(loss)] == ([code] if code else [])


def test_a_vast_step_is_a_warning_and_a_large_one_comes_before_the_error() -> None:
    (finding,) = _of_spirals(nn.softmax_crossentropy, rate=1e6)
    assert (finding.code, finding.severity) == ("large-update", "warning")
    x = gn.Graph().placeholder("x", shape=("batch", 4))
    loss = gn.mean(gn.square(_dense(1)(gn.relu(_dense(8)(x))) - 1.0))
    step = gn.compile(loss, updates=nn.SGD(300.0).updates(loss))
    with gn.recording(step) as film:
        step({x: _rows(40, 4)})
    health = check_health(film)
    assert (health.call, [each.code for each in health], health.notes) == (0, ["large-update"], ())
    assert re.search(r"; mean is 2\.\d+ before it and 1\.\d+e\+10 after it$", _first(health).cause)
    with gn.recording(step) as film:
        for _ in range(6):
            step({x: _rows(40, 4)})
    health = check_health(film)
    assert _first(health).severity == "error"
    assert re.search(r"earlier, at call \d: ", str(health))


def test_large_inputs_are_blamed_for_an_exploding_gradient() -> None:
    x = gn.Graph().placeholder("x", shape=("batch", 4))
    loss = gn.mean(gn.square(_dense(1)(gn.relu(_dense(8)(x)))))
    finding = _first(_trained(loss, {x: _rows(40, 4) * 1e7}))
    assert finding.code == "exploding-gradient"
    assert re.match(r"scale x to about 1: x\[\d+, \d\] = -?\d", finding.remedy)


def test_inputs_that_are_compared_with_no_network_are_not_targets() -> None:
    g = gn.Graph()
    x, y, w = g.placeholder("x", shape=("n", 2)), g.placeholder("y", shape=("n", 2)), g.parameter("w", np.ones((2, 2)))
    feed = {x: _rows(10, 2) * 50, y: _rows(10, 2) * 50}
    assert "out-of-reach" not in _codes(gn.mean(gn.square(y - gn.tanh(x))), feed)
    features = gn.square(x - gn.sigmoid(gn.mean(x @ w, axis=1, keepdims=True)))
    assert "out-of-reach" not in _codes(gn.mean(gn.square(features @ w)), feed)


@pytest.mark.parametrize("how", ["autoencoder", "made of what is fed", "multiplied with itself"])
def test_targets_out_of_reach_in_common_forms_of_losses(how: str) -> None:
    x = gn.Graph().placeholder("x", shape=("n", 4))
    made = gn.sigmoid(_dense(4)(gn.tanh(_dense(3)(x / 255.0))))
    apart = made - (x / 255.0 * 100.0 if how == "made of what is fed" else x)
    loss = gn.mean(apart * apart if how == "multiplied with itself" else gn.square(apart))
    health = _trained(loss, {x: np.random.default_rng(0).integers(0, 256, (20, 4))}, 0.01)
    assert "out-of-reach" in {each.code for each in health}, str(health)


def test_units_that_are_used_twice_are_dead_only_if_dead_in_both_uses() -> None:
    g = gn.Graph()
    a, b = g.placeholder("a", shape=("n", 2)), g.placeholder("b", shape=("n", 2))
    hidden, out = _dense(16), _dense(1)
    loss = gn.mean(gn.softplus(-out(gn.relu(hidden(a))))) + gn.mean(gn.softplus(out(gn.relu(hidden(b)))))
    feed = {a: _rows(64, 2) + 8.0, b: _rows(64, 2) - 8.0}
    health = _trained(loss, feed)
    assert "dead-units" not in {each.code for each in (*health, *health.notes)}
    hidden.bias.value = np.where(np.arange(16) < 9, -1e3, 0.0)
    (finding,) = _trained(loss, feed)
    assert (finding.code, finding.count) == ("dead-units", 9)


def test_zero_weights_are_reported_with_any_activation() -> None:
    points, classes = gn.datasets.spiral(40, classes=3, seed=0)
    for act in (gn.relu, gn.leaky_relu):
        g = gn.Graph()
        x, y = g.placeholder("x", shape=("batch", 2)), g.placeholder("y", shape=("batch",), dtype=np.int64)
        zeros = nn.init.zeros()
        logits = _dense(3, weight_init=zeros)(act(_dense(16, weight_init=zeros)(x)))
        finding = _first(_trained(nn.softmax_crossentropy(logits, y), {x: points, y: classes}))
        assert finding.code == ("dead-units" if act is gn.relu else "no-gradient")
        assert "weights that are not all 0" in finding.remedy


def test_a_clipped_loss_at_its_minimum_has_lost_no_gradient() -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", shape=("n", 2)), g.placeholder("y", shape=("n", 1))
    layer = _dense(1)
    loss = nn.binary_crossentropy(gn.sigmoid(layer(x)), y)
    step = gn.compile(loss, updates=nn.SGD(0.1).updates(loss))
    layer.weight.value = [[1e3], [0.0]]
    rows = np.c_[np.repeat([-1.0, 1.0], 20), np.ones(40)]
    health = check_health(step, {x: rows, y: rows[:, :1] > 0})
    assert "no-gradient" not in {each.code for each in (*health, *health.notes)}, str(health)


def test_a_bias_whose_gradient_cancels_by_design_is_sound() -> None:
    g = gn.Graph()
    a, b = g.placeholder("a", shape=("n", 2)), g.placeholder("b", shape=("n", 2))
    critic = _dense(1)
    loss = gn.mean(critic(a)) - gn.mean(critic(b))
    health = _trained(loss, {a: _rows(16, 2), b: _rows(16, 2) + 1.0})
    assert "no-gradient" not in {each.code for each in (*health, *health.notes)}


def test_a_softmax_over_a_single_number() -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", shape=("n", 2)), g.placeholder("y", shape=("n", 1))
    loss = nn.binary_crossentropy(gn.softmax(_dense(1)(x)), y)
    health = _trained(loss, {x: _rows(20, 2), y: _rows(20, 1) > 0})
    assert "softmax-of-one" in {each.code for each in health}


def test_a_variance_that_cancels_to_0() -> None:
    x = gn.Graph(dtype="float32").placeholder("x", shape=("n", 3))
    mean = gn.mean(x, axis=0)
    scaled = (x - mean) / gn.sqrt(gn.mean(gn.square(x), axis=0) - gn.square(mean))
    # In float32, the mean of their squares and the square of their mean are both rounded to 4096.5² - 0.25.
    feed = {x: np.full((2, 3), [[4096.0], [4097.0]], np.float32)}
    finding = _first(check_health(scaled, feed))
    assert finding.code == "division-by-zero"
    assert "lost their digits: use gn.var" in finding.remedy
    assert check_health((x - mean) / gn.sqrt(gn.var(x, axis=0)), feed).ok


@pytest.mark.parametrize("f", [gn.sqrt, gn.log, lambda v: v**0.5, lambda v: v**0.3])
def test_a_variance_that_cancels_to_less_than_0(f: Callable[[gn.Node], gn.Node]) -> None:
    x = gn.Graph().placeholder("x", shape=("n", 3))
    rows = np.random.default_rng(0).normal(size=(40, 3)) * 1e-3 + 1e5
    health = check_health(f(gn.mean(gn.square(x), axis=0) - gn.square(gn.mean(x, axis=0))), {x: rows})
    assert list(health)
    assert all("lost their digits: use gn.var" in finding.remedy for finding in health), str(health)
    assert check_health(f(gn.var(x, axis=0)), {x: rows}).ok


@pytest.mark.filterwarnings("ignore:Adam. epsilon=1e-08 is 0 in float16")
def test_an_optimizer_in_float16_is_one_finding() -> None:
    rng = np.random.default_rng(0)
    g = gn.Graph(dtype=np.float16)
    x = h = g.placeholder("x", ("n", 4))
    for name in "uvw":
        h = h @ g.parameter(name, (rng.normal(size=(4, 4)) * 0.3).astype(np.float16))
    step = gn.compile(loss := gn.mean(gn.square(h)) * 1e-3, updates=nn.Adam(0.01).updates(loss))
    (error,) = check_health(step, {x: rng.normal(size=(16, 4)).astype(np.float16)}).errors
    assert "the same is true of adam_1/u/" in error.cause
    number = error.operands[0].said
    assert f"{number} / 0; {number} because" in error.cause  # and not in two ways


@pytest.mark.parametrize(
    "given",
    [
        lambda w: (w.T, gn.transpose),  # as PyTorch has them
        lambda w: (np.stack([w, w]), lambda kernel: kernel[1]),
        lambda w: (w.astype(np.float32), lambda narrow: gn.cast(narrow, "float64")),
    ],
)
def test_transposed_or_sliced_weights_are_known_not_to_be_0(given: Any) -> None:
    rng = np.random.default_rng(0)
    g = gn.Graph()
    x, price = g.placeholder("x", ("n", 3)), g.placeholder("price", ("n", 1))
    weights, taken = given(rng.normal(size=(3, 16)) * 0.3)
    w, b, v = g.parameter("w", weights), g.parameter("b", np.zeros(16)), g.parameter("v", rng.normal(size=(16, 1)))
    loss = gn.mean(gn.square(gn.relu(x @ taken(w) + b) @ v - price))
    rows = rng.uniform([40.0, 1.0, 0.0], [200.0, 6.0, 60.0], size=(64, 3))
    b.value = np.full(16, -1e4)  # as a step that is far too large leaves it
    health = check_health([loss, *gn.grad(loss, [w, b, v])], {x: rows, price: rows[:, :1]})
    (finding,) = [each for each in health if each.code == "dead-units"]
    assert finding.remedy.startswith("lower the learning rate")


def test_an_infinite_square_in_an_optimizer_is_blamed_on_large_gradients() -> None:
    x = gn.Graph(dtype="float32").placeholder("x", shape=("n", 2))
    loss = gn.mean(gn.square(_dense(1)(x) - 1e17))
    step = gn.compile(loss, updates=nn.Adam(1e-9).updates(loss))
    feed = {x: np.ones((8, 2), np.float32) * 1e6}
    step(feed)
    told = [each for each in check_health(step, feed) if each.code == "fed-inf"]
    assert told
    assert "too large to be squared" in told[0].remedy


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        (lambda o, y: -nn.softmax_crossentropy(o * 1e6, y), True),
        (lambda o, y: nn.softmax_crossentropy(o, y) - 0.5 * gn.mean(gn.square(o * 1e3)), True),
        (lambda o, y: gn.mean(o) * 1e6 - gn.mean(o[:, 0]) * 3e6, False),
    ],
)
def test_a_loss_that_negates_a_term_that_is_never_negative(loss: Any, told: bool) -> None:
    assert ("unbounded-loss" in {each.code for each in _of_spirals(loss)}) is told


def test_the_operation_that_passes_no_gradient_is_named() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gn.GraphnnWarning)
        for stop in (gn.round, gn.stop_gradient):
            (finding,) = _of_spirals(lambda o, y, stop=stop: nn.softmax_crossentropy(stop(o), y))  # type: ignore[misc]
            assert re.search(
                rf": it ends at {stop.__name__} \(\S+\), because {stop.__name__} passes no gradient on", finding.cause
            )


def test_only_a_loss_can_have_the_wrong_sign() -> None:
    g = gn.Graph()
    a = g.parameter("a", [1e13, 1.0])
    score = -gn.sum(gn.square(a))
    ascent = gn.compile(score, updates={a: a + 0.1 * gn.grad(score, a)})
    assert "unbounded-loss" not in {each.code for each in check_health(ascent)}
    b = g.parameter("b", [1.0, 1.0])
    loss = gn.sum(gn.square(b - 3.0))
    step = gn.compile([loss, gn.grad(score, a)], updates=nn.SGD(0.1).updates(loss, parameters=[b]))
    assert "unbounded-loss" not in {each.code for each in check_health(step)}


def test_sound_steps_by_hand_and_with_a_gradient_in_the_loss() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", shape=("n", 2)), g.parameter("w", [[1.0], [1.0]])
    loss = gn.mean(gn.square(x @ w - gn.sum(x, axis=1, keepdims=True)))
    by_hand = gn.compile(loss, updates={w: w - 0.1 * gn.grad(loss, w)})
    health = check_health(by_hand, {x: np.eye(2)})
    assert not [*health, *health.notes], str(health)
    h = gn.Graph()
    y, u = h.placeholder("y", shape=("n", 2)), h.parameter("u", [[-1e13], [1.0]])
    inner = gn.sum(gn.tanh(y) @ u)
    outer = gn.mean(gn.square(gn.grad(inner, y) - 2.0))
    step = gn.compile([outer, inner], updates=nn.SGD(1e-30).updates(outer))
    told = check_health(step, {y: np.ones((3, 2))})
    assert not any("sign" in each.remedy or each.code == "unbounded-loss" for each in told), str(told)


def test_a_lost_gradient_is_followed_in_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    x = gn.Graph().placeholder("x", shape=("n", 4))
    h = x
    for _ in range(60):
        h = gn.tanh(_dense(4, weight_init=nn.init.zeros())(h))
    loss = gn.mean(gn.square(h - 1.0))
    step = gn.compile(loss, updates=nn.SGD(0.1).updates(loss))
    asked: list[gn.Node] = []
    plain = evaluation.Evaluation.value_of
    monkeypatch.setattr(evaluation.Evaluation, "value_of", lambda run, node: asked.append(node) or plain(run, node))
    assert "no-gradient" in {each.code for each in check_health(step, {x: _rows(8, 4)})}
    assert len(asked) < 4 * len(gn.schedule([*step.fetches, *step.updates.values()]))


def test_saturation_at_each_step_of_a_loop_is_one_finding() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", shape=("batch", 4)), g.parameter("w", 1e3 * _rows(4, 4))
    h = x
    for _ in range(30):
        h = gn.tanh(h @ w + x)
    (finding,) = check_health(h, {x: _rows(40, 4)})
    assert finding.code == "saturated"
    assert re.search(r"; the same is true of tanh_2, tanh_3, tanh_4 and \d+ more$", finding.cause)


@pytest.mark.parametrize("shortcut", [False, True])
def test_a_small_branch_beside_a_skip_connection_is_sound(shortcut: bool) -> None:
    rng = np.random.default_rng(3)
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 8))
    h = nn.Dense(8, rng=rng)(x)
    for number in range(4):
        branch = g.parameter(f"scale{number}", np.full(8, 1e-6)) * nn.Dense(8, rng=rng)(h)
        h = h + branch if shortcut else branch
    loss = gn.mean(gn.square(nn.Dense(8, rng=rng)(h) - 1.0))
    health = check_health([loss, *gn.grad(loss, g.parameters)], {x: rng.normal(size=(16, 8))})
    assert [each.code for each in health] == ([] if shortcut else ["vanishing-gradient"])


def test_overflows_of_two_gradients_are_one_finding() -> None:
    g = gn.Graph()
    x, w, u = g.placeholder("x", shape=("batch", 2)), g.parameter("w", [[1e120]]), g.parameter("u", [[1.0], [1.0]])
    loss = gn.sum(x @ u @ w * 1e-60 * [[1e260], [-1e260]])
    (finding,) = check_health(gn.grad(loss, [w, u]), {x: [[1e150, 1.0], [-1e150, 1.0]]})
    assert (finding.code, finding.place, finding.leads_to[0].code) == ("overflow", "grad/matmul[0, 0]", "inf-minus-inf")
    assert "numbers in grad/matmul_2 are too large, too" in finding.cause


def test_a_loss_scaled_too_far_up_overflows_in_float16() -> None:
    g = gn.Graph(dtype=np.float32)
    x, w = g.placeholder("x", shape=("batch", 2)), g.parameter("w", [[0.5, -1.0], [1.0, 2.0]])
    h = gn.relu(gn.cast(x, "float16") @ gn.cast(w, "float16"))
    loss = gn.sum(gn.square(gn.cast(h, "float32"))) * 1e6
    health = check_health(gn.grad(loss, w), {x: [[1.0, 2.0], [-2.0, 1.0]]})
    finding = _first(health)
    assert (finding.code, finding.node.op.name, finding.node.phase) == ("overflow", "cast", "backward")
    assert finding.remedy.startswith("scale the loss down before the gradient is taken")
    assert (
        "the largest float16 is 65504; in cast_3 (test_health.py:" in finding.cause
    )  # and no number that has no part in it


def test_underflow_that_no_loss_scale_prevents_is_a_note() -> None:
    g = gn.Graph(dtype=np.float16)
    z, y = g.placeholder("z", ("n", 6)), g.placeholder("y", ("n",), np.int64)
    w = g.parameter("w", np.eye(6, dtype="f2"))
    logits, classes = z @ w, np.arange(40) % 6
    loss = gn.mean(gn.logsumexp(logits, axis=1) - gn.pick(logits, y))
    sure = np.linspace(28, 32, 40, dtype=np.float16)[:, None] * np.eye(6, dtype=np.float16)[classes]
    health = check_health([loss, gn.grad(loss, w)], {z: sure, y: classes})  # its gradient has a softmax, exp(-30)
    assert health.ok, str(health)
    assert "underflow" in {note.code for note in health.notes}


def test_underflow_of_one_element_is_a_note() -> None:
    g = gn.Graph(dtype=np.float16)
    x, t, w = g.placeholder("x", ("n", 6)), g.placeholder("t", ("n", 6)), g.parameter("w", np.eye(6, dtype="f2"))
    p = gn.softmax(x @ w)
    loss = gn.mean(gn.square(p - t))
    rows = np.arange(40) % 6
    given, aims = 40.0 * np.eye(6)[rows], np.eye(6)[rows]
    given[0], aims[0, 1] = [16, 0, -30, -30, -30, -30], 0.01
    health = check_health([loss, gn.grad(loss, w)], {x: given.astype(np.float16), t: aims.astype(np.float16)})
    assert health.ok, str(health)
    assert "underflow" in {note.code for note in health.notes}


@pytest.mark.parametrize(("scale", "codes"), [(2.0, ["worse-than-guessing"]), (1e5, ["overflow", "overflow"])])
def test_numbers_that_grow_in_a_loop_are_one_finding(scale: float, codes: list[str]) -> None:
    rng = np.random.default_rng(0)
    g = gn.Graph()
    x, y = g.placeholder("x", shape=("batch", 40, 3)), g.placeholder("y", shape=("batch", 8))
    w, u = g.parameter("w", rng.normal(size=(8, 8)) * scale), g.parameter("u", rng.normal(size=(3, 8)))
    h = gn.zeros_like(y)
    for moment in range(40):
        h = h @ w + x[:, moment] @ u
    loss = gn.mean(gn.square(h - y))
    feed = {x: rng.normal(size=(5, 40, 3)), y: rng.normal(size=(5, 8))}
    health = check_health([loss, *gn.grad(loss, [w, u])], feed)
    assert [each.code for each in health] == codes, str(health)
    if len(codes) == 1:
        assert [each.code for each in health[0].leads_to] == ["exploding-gradient"]
    if len(codes) == 2:
        forward, backward = health
        assert (forward.node.name, backward.node.phase) == ("square", "backward")
        assert re.search(r"; numbers in (grad/\S+, ){2}grad/\S+ and \d+ more are too large, too$", backward.cause)


def test_unrelated_overflows_of_gradients_are_two_findings() -> None:
    g = gn.Graph(dtype="float32")
    a, b = g.placeholder("a", shape=(2,)), g.placeholder("b", shape=(2,))

    def gain(x: gn.Node, by: float) -> gn.Node:
        return x * by

    loss = gn.sum(gain(gain(a * 1e-10, 1e25), 1e25)) + gn.sum(gain(gain(b * 1e-10, 1e25), 1e25))
    health = check_health(gn.grad(loss, [a, b]), {a: [1e-30, 0.0], b: [1e-30, 0.0]})
    assert [each.code for each in health] == ["overflow", "overflow"]


def test_an_unrelated_later_overflow_is_a_finding_of_its_own() -> None:
    x = gn.Graph().placeholder("x", shape=(2,))

    def grown(value: gn.Node) -> gn.Node:
        return gn.exp(value)

    health = check_health(gn.mean(grown(1.0 / (1.0 + grown(-x)) * 1000.0)), {x: [-1000.0, 5.0]})
    assert [(each.code, each.severity, each.index) for each in health] == [
        ("overflow", "error", (1,)),
        ("overflow", "warning", (0,)),
    ]


def test_products_of_finite_numbers_overflow_whatever_their_signs() -> None:
    x = gn.Graph().placeholder("x", shape=(1, 2))
    for product in (x @ [[1e200], [-1e200]], gn.sum(x * np.array([1e200, -1e200])), gn.outer(x[0], x[0])):
        health = check_health(product, {x: [[1e200, 1e200]]})
        assert {each.code for each in health} == {"overflow"}, str(health)


def test_a_fed_nan_is_blamed_only_for_what_follows_from_it() -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", shape=(3,)), g.placeholder("y", shape=(3,))
    health = check_health(gn.sum(x / y), {x: [0.0, 1.0, np.nan], y: [0.0, 0.0, 1.0]})
    assert [(each.code, each.place) for each in health] == [
        ("fed-nan", "x[2]"),
        ("zero-over-zero", "divide[0]"),
        ("division-by-zero", "divide[1]"),
    ]
    health = check_health(gn.sum(gn.log(gn.exp(x)) / y), {x: [1e6, 0.0, 1.0], y: [1.0, 0.0, 1.0]})
    assert [(each.code, each.place) for each in health] == [("overflow", "exp[0]"), ("zero-over-zero", "divide_2[1]")]


def test_a_whole_row_or_column_is_named() -> None:
    x = gn.Graph().placeholder("x", shape=("n", 3))
    rows = np.arange(12.0).reshape(4, 3)
    rows[:, 1] = 5.0
    scaled = (x - gn.mean(x, axis=0)) / gn.std(x, axis=0)
    assert "divide[0, 1] = nan = 0 / 0; so is all of [:, 1]; 0 because" in _first(check_health(scaled, {x: rows})).cause
    rows[2] = np.nan
    assert "(and 2 more of 12 elements: all of [2, :])" in _first(check_health(x * 1.0, {x: rows})).cause
    rows[0, 0] = np.nan
    assert _first(check_health(x * 1.0, {x: rows})).cause.endswith("(and 3 more of 12 elements)")


@pytest.mark.parametrize("reduce", [gn.max, gn.min])
@pytest.mark.parametrize("with_result", [True, False])
def test_the_gradient_of_an_extremum_of_nan_is_blamed_on_the_nan(reduce: Any, with_result: bool) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=(2, 3))
    result = gn.sum(reduce(x, axis=1))
    slope = gn.grad(result, x)
    health = check_health([result, slope] if with_result else slope, {x: [[np.nan, 1.0, 2.0], [3.0, 4.0, 5.0]]})
    (finding,) = health
    assert (finding.code, finding.place, finding.severity) == ("fed-nan", "x[0, 0]", "error")
    assert [each.node.name for each in finding.leads_to] == ["grad/divide", "grad/multiply"]
    assert f"x[0, 0] = nan in {reduce.__name__}" in finding.leads_to[1].cause


def _of_a_batch(loss: Any, labels: Any = ("batch",)) -> Health:
    """Return the health of a loss, and of its gradients, of 3 features of 8 rows, `x`, and labels, `y`."""
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 3))
    y = g.placeholder("y", shape=labels, dtype=np.int64 if labels == ("batch",) else None)
    result = loss(x, y) + 0.0 * gn.sum(x)
    classes = np.arange(8) % 3
    feed = {x: np.random.default_rng(0).normal(size=(8, 3)), y: classes if labels == ("batch",) else np.eye(3)[classes]}
    return check_health([result, *gn.grad(result, [x])], feed)


@pytest.mark.parametrize(
    ("loss", "labels", "code", "node", "words"),
    [
        (
            lambda x, y: gn.mean(gn.square(x @ np.ones((3, 1)) - y)),
            ("batch",),
            "every-pair",
            "subtract",
            r"matmul \(batch, 1\) and y \(batch,\) broadcast to subtract \(batch, batch\).*gn.reshape\(y, \(-1, 1\)\)",
        ),
        (
            lambda x, y: nn.categorical_crossentropy(gn.softmax(x, axis=0), y),
            ("batch",),
            "not-probabilities",
            "softmax_1/divide",
            r"softmax_1/divide\[0, :\].* sums to .*, which sum to 1; use gn.softmax\(logits\), which",
        ),
        (
            lambda x, y: nn.categorical_crossentropy(x, y),
            ("batch", 3),
            "not-probabilities",
            "x",
            r"x\[0, 1\] = -0.1321 .*, but categorical_crossentropy takes probabilities.*softmax_crossentropy\(logits",
        ),
        (
            lambda x, y: nn.binary_crossentropy(x + 2.0, y),
            ("batch", 3),
            "not-probabilities",
            "add",
            r"add\[0, 0\] = 2.126 .*, but binary_crossentropy takes probabilities.*sigmoid_crossentropy\(logits",
        ),
        (
            lambda x, y: nn.softmax_crossentropy(gn.softmax(x), y),
            ("batch", 3),
            "probabilities-as-logits",
            "softmax_1/divide",
            "holds probabilities, the output of a softmax, but softmax_crossentropy takes logits; pass the logits",
        ),
        (
            lambda x, y: nn.sigmoid_crossentropy(gn.sigmoid(x), y),
            ("batch", 3),
            "probabilities-as-logits",
            "sigmoid",
            "holds probabilities, the output of a sigmoid, but sigmoid_crossentropy takes logits; pass the logits",
        ),
    ],
)
def test_losses_that_get_the_wrong_kind_of_numbers(loss: Any, labels: Any, code: str, node: str, words: str) -> None:
    (finding,) = _of_a_batch(loss, labels)
    assert (finding.code, finding.severity, finding.node.name) == (code, "warning", node)
    assert re.search(words, finding.sentence.replace("\n", " ")), finding.sentence


@pytest.mark.parametrize(
    ("loss", "labels", "code"),
    [
        (
            lambda x, y: gn.mean(gn.cast(gn.equal(x @ np.ones((3, 1)), y), x.dtype)),
            ("batch",),
            "every-pair",
        ),
        (
            lambda x, y: nn.sigmoid_crossentropy(gn.cast(gn.sigmoid(x), "float32"), y),
            ("batch", 3),
            "probabilities-as-logits",
        ),
        (
            lambda x, y: nn.sigmoid_crossentropy(gn.reshape(gn.sigmoid(x), (-1,)), gn.reshape(y, (-1,))),
            ("batch", 3),
            "probabilities-as-logits",
        ),
        (lambda x, y: nn.sigmoid_crossentropy(gn.softmax(x), y), ("batch", 3), "probabilities-as-logits"),
        (lambda x, y: nn.softmax_crossentropy(gn.sigmoid(x), y), ("batch", 3), "probabilities-as-logits"),
        (lambda x, y: nn.softmax_crossentropy(gn.softmax(x[:1]), y[:1]), ("batch",), "probabilities-as-logits"),
        (
            lambda x, y: nn.categorical_crossentropy(gn.softmax(nn.Softmax()(x)), y),
            ("batch",),
            "probabilities-as-logits",
        ),
        # Not for what is beyond 1 by rounding.
        (lambda x, y: nn.binary_crossentropy(1.0 + x * 1e-9, y), ("batch", 3), "clipped-probability"),
    ],
)
def test_losses_that_get_the_wrong_kind_of_numbers_after_casts_and_reshapes(loss: Any, labels: Any, code: str) -> None:
    assert [each.code for each in _of_a_batch(loss, labels)] == [code]


def test_logits_beside_a_nan_are_still_found() -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", shape=("batch", 3)), g.placeholder("y", shape=("batch",), dtype=np.int64)
    health = check_health(nn.categorical_crossentropy(x, y), {x: [[np.nan, 1.0, 2.0], [-2.0, 0.0, 3.0]], y: [0, 0]})
    assert [(each.code, each.place) for each in health] == [("fed-nan", "x[0, 0]"), ("not-probabilities", "x[1, 0]")]


def test_a_mask_is_blamed_only_if_nothing_else_is() -> None:
    g = gn.Graph()
    x, mask = g.placeholder("x", shape=(2, 2)), g.placeholder("mask", shape=(2, 2))
    attention = gn.softmax(x + mask)
    hidden = [[0.0, -np.inf], [0.0, 0.0]]
    assert check_health(attention, {x: np.ones((2, 2)), mask: hidden}).ok
    (finding,) = check_health(attention, {x: [[1.0, 2.0], [np.nan, 2.0]], mask: hidden})
    assert (finding.code, finding.place) == ("fed-nan", "x[1, 0]")
    (finding,) = check_health(attention, {x: np.ones((2, 2)), mask: [[0.0, -np.inf], [-np.inf, -np.inf]]})
    assert (finding.code, finding.index) == ("row-masked", (1, 0))
    (finding,) = check_health(x + mask, {x: np.ones((2, 2)), mask: hidden})
    assert (finding.code, finding.place) == ("fed-inf", "mask[0, 1]")  # what else could it be
    (finding,) = check_health(attention, {x: [[1.0, np.inf], [1.0, 2.0]], mask: np.zeros((2, 2))})
    assert (finding.code, finding.place) == ("fed-inf", "x[0, 1]")


def test_the_culprit_of_a_gradient_is_its_own_element() -> None:
    x = gn.Graph().placeholder("x", shape=("n",))
    y = gn.sum(gn.where(x >= 0.0, gn.sqrt(x), 0.0))
    health = check_health([y, gn.grad(y, x)], {x: [-1.0, 0.0, 4.0]})
    finding = next(each for each in health if each.node.phase == "backward")
    assert (finding.index, finding.hidden_by, finding.culprit and finding.culprit.index) == ((1,), None, (1,))
    assert "gn.where(condition" not in finding.remedy
    y = gn.sum(gn.log(x))
    health = check_health([y, gn.grad(y, x)], {x: [-1.0, 0.0]})
    told = {each.code: [after.node.name for after in each.leads_to] for each in health}
    assert set(told) == {"log-of-negative", "log-of-zero"}
    assert told["log-of-negative"] == []
    assert len(told["log-of-zero"]) == 1


@pytest.mark.parametrize(
    ("expression", "fed", "cause"),
    [
        (lambda x: gn.sqrt(x + 1.0), [-2.0], "sqrt[0] = nan = √(-1); -1 because x[0] = -2, constant = 1 in add"),
        (lambda x: gn.log(x * -1.0), [1.0], "log[0] = nan = log(-1); -1 because x[0] = 1, constant = -1 in multiply"),
        (lambda x: gn.log(gn.sum(x[:, None], axis=1)), [-2.0], "log(-2); -2 because x[0] = -2, fed"),
        (lambda x: gn.log(-x), [1.0], "log[0] = nan = log(-1); -1 because x[0] = 1, fed"),
        (lambda x: gn.log(x), [[0.0, -1.0, -1.0]], "log[0, 0] = -inf = log(0); x[0, 0] = 0, fed"),
        (
            lambda x: gn.exp(x),
            [[800.0, 900.0], [1.0, 2.0]],
            "is 1.7977e+308; so is all of [0, :]; x[0, 0] = 800",
        ),
    ],
)
def test_a_cause_names_the_numbers_and_the_operation(expression: Any, fed: Any, cause: str) -> None:
    x = gn.Graph().placeholder("x", shape=np.shape(fed))
    found = _first(check_health(expression(x), {x: fed})).cause
    assert cause in re.sub(r" \(test_health.py:\d+\)", "", found)


@pytest.mark.parametrize(
    ("loss", "labels"),
    [
        (lambda x, y: gn.mean(gn.square(gn.sum(x, axis=1)[:, None] - y[None, :])), ("batch",)),
        (lambda x, y: gn.mean(gn.square(gn.sum(x, axis=1)[:, None] - gn.sum(x, axis=1))), ("batch",)),
        (lambda x, y: gn.mean(gn.square(gn.expand_dims(gn.sum(x, axis=1), 1) - gn.sum(x, axis=1))), ("batch",)),
        (lambda x, y: nn.softmax_crossentropy(x * 0.0 + 1.0 / 3.0, y), ("batch", 3)),
        (lambda x, y: nn.softmax_crossentropy(y, y), ("batch", 3)),
        (lambda x, y: nn.softmax_crossentropy(gn.exp(x) / gn.max(gn.exp(x)), y), ("batch", 3)),
        (lambda x, y: gn.mean(gn.sum(x * x, axis=1, keepdims=True) + gn.sum(x * x, axis=1)), ("batch",)),
        (lambda x, y: nn.softmax_crossentropy(gn.pad(gn.softmax(x[:0]), ((0, 8), (0, 0))), y), ("batch", 3)),
        (lambda x, y: gn.mean(gn.square(x @ gn.transpose(x) + gn.sum(x, axis=1))), ("batch",)),
        (lambda x, y: nn.mean_squared_error(x, y), ("batch", 3)),
        (lambda x, y: nn.categorical_crossentropy(gn.softmax(x), y), ("batch",)),
        (lambda x, y: nn.categorical_crossentropy(gn.softmax(x), y), ("batch", 3)),
        (lambda x, y: nn.binary_crossentropy(gn.sigmoid(x), y), ("batch", 3)),
        (lambda x, y: nn.softmax_crossentropy(x, y), ("batch",)),
        (lambda x, y: nn.softmax_crossentropy(x * 0.0, y), ("batch", 3)),
        (lambda x, y: nn.sigmoid_crossentropy(gn.sigmoid(x) * 9.0 - 4.0, y), ("batch", 3)),
    ],
)
def test_intended_losses_have_no_finding(loss: Any, labels: Any) -> None:
    health = _of_a_batch(loss, labels)
    assert health.ok, str(health)


def test_a_vanishing_gradient_in_a_loaded_graph(tmp_path: Any) -> None:
    _, loss = _deep(0.1, gn.sigmoid)
    loss.graph.outputs["loss"] = loss
    nn.SGD(0.1).updates(loss)
    gn.save(loss.graph, tmp_path / "deep.gnn")
    g = gn.load(tmp_path / "deep.gnn")
    step = gn.compile(g.outputs["loss"], updates=g.updates)
    health = check_health(step, {"x": np.random.default_rng(0).normal(size=(16, 8))})
    assert [each.code for each in health] == ["vanishing-gradient"]


def test_a_product_of_many_small_numbers() -> None:
    x = gn.Graph().placeholder("x", shape=("n",))
    finding = _first(check_health(gn.prod(x), {x: [1e-3] * 200}))
    assert (finding.code, finding.severity) == ("underflow", "warning")
    assert "logarithms" in finding.remedy


def test_a_float16_gradient_that_underflows() -> None:
    g = gn.Graph(dtype=np.float16)
    x = g.placeholder("x", shape=("n",))
    y = gn.mean(x * np.float16(1e-4) * np.float16(1e-3))
    finding = _first(check_health(gn.grad(y, x), {x: np.ones(10, np.float16)}))
    assert (finding.code, finding.severity) == ("underflow", "warning")
    assert "scale the loss" in finding.remedy


@pytest.mark.filterwarnings("ignore:Adam. epsilon=1e-08 is 0 in float16")
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_an_optimizer_in_float16_divides_by_0(dtype: Any) -> None:
    g = gn.Graph(dtype=dtype)
    x = g.placeholder("x", shape=("n", 8))
    loss = gn.mean(gn.square(nn.Dense(4, rng=np.random.default_rng(0))(x) * 0.01))
    step = gn.compile(loss, updates=nn.Adam(0.01).updates(loss))
    health = check_health(step, {x: np.random.default_rng(0).normal(size=(16, 8)).astype(dtype)})
    if dtype is np.float32:
        assert health.ok, str(health)
    else:
        divided = next(each for each in health.errors if each.code in ("division-by-zero", "zero-over-zero"))
        assert divided.node.phase == "update"
        assert "loss_scale=nn.LossScale()" in divided.remedy


def test_nan_and_inf_in_an_operation_without_rules() -> None:
    class Odd(gn.Op):
        """inf where x is 1, NaN where it is 2."""

        def infer(self, x: gn.Spec) -> gn.Spec:
            return x

        def forward(self, x: Any) -> Any:
            return np.where(x == 1, np.inf, np.where(x == 2, np.nan, x))

    try:
        for number, code, cause in (
            (1.0, "infinite", "inf, although its operands are finite"),
            (2.0, "not-a-number", "nan, although no operand is NaN"),
        ):
            x = gn.Graph().placeholder("x", shape=("n",))
            finding = _first(check_health(Odd()(x), {x: [0.0, number]}))
            assert (finding.code, finding.place) == (code, "odd[1]")
            assert finding.cause == f"odd[1] = {cause}"
    finally:
        del gn.core.registry["odd"]


# --- one cause is one finding --------- -------------------------------------------------------------------------


def test_a_logarithm_that_a_where_hides_is_one_finding() -> None:
    p = gn.Graph().placeholder("p", shape=("n",))
    entropy = gn.sum(gn.where(p > 0, p * gn.log(p), 0.0))
    for fetches in (entropy, [entropy, gn.grad(entropy, p)], gn.grad(entropy, p)):
        health = check_health(fetches, {p: [0.0, 0.5]})
        assert len(health) == 1, str(health)
        assert "mask the input of log instead" in _first(health).remedy
    both = _first(check_health([entropy, gn.grad(entropy, p)], {p: [0.0, 0.5]}))
    assert {each.node.name for each in both.leads_to} == {"multiply", "grad/divide"}


def test_consequences_of_an_overflow_are_listed_under_it() -> None:
    x = gn.Graph().placeholder("x", shape=("n",))
    health = check_health(gn.exp(x) / gn.sum(gn.exp(x)), {x: [1000.0, 0.0]})
    assert [each.code for each in health] == ["overflow"]
    assert "; the same is true of exp_2" in _first(health).cause
    assert [each.node.name for each in _first(health).leads_to] == ["divide"]


def test_near_overflow_before_an_overflow_is_not_reported() -> None:
    x = gn.Graph(dtype=np.float16).placeholder("x", shape=("n",))
    assert [each.code for each in check_health(gn.sum(x * x), {x: np.full(2, 200.0, np.float16)})] == ["overflow"]


def test_a_zero_is_traced_to_the_numbers_that_add_up_to_it() -> None:
    x = gn.Graph().placeholder("x", shape=("n", 3))
    finding = _first(check_health(x / gn.sum(x, axis=1, keepdims=True), {x: [[1.0, -1.0, 0.0]]}))
    assert finding.code == "division-by-zero"
    assert "0 because x[0, :] = 1, -1, 0 in sum (test_health.py:" in finding.cause


def test_the_terms_to_blame_are_named_among_many() -> None:
    x = gn.Graph().placeholder("x", shape=("n",))
    finding = _first(check_health(gn.sum(x), {x: [0.0, 1.0, np.inf, 2.0, -np.inf, 3.0]}))
    assert (finding.code, finding.node.name) == ("fed-inf", "x")
    w = x.graph.constant([1.0, 1.0, np.inf, 1.0, 1.0, 1.0])
    told = _first(check_health(w @ x, {x: [1.0, 2.0, 0.0, 3.0, 4.0, 5.0]}))
    assert told.code == "zero-times-inf"
    assert "with inf * 0 among them" in told.cause
    told = _first(check_health(x @ (w * 0 + 1e200), {x: [1.0, 2.0, 3e200, 3.0, 4.0, 5.0]}))
    assert told.code == "zero-times-inf", "w * 0 comes first"


# --- training that diverges ---------------------------------------------------------------------------------------


def _diverging() -> tuple[Any, dict[gn.Node, Any]]:
    g = gn.Graph("net")
    x, y = g.placeholder("x", shape=("batch", 3)), g.placeholder("y", shape=("batch", 1))
    rng = np.random.default_rng(0)
    network = nn.Sequential(nn.Dense(8, rng=rng), nn.ReLU(), nn.Dense(1, rng=rng))
    loss = nn.mean_squared_error(network(x), y)
    step = gn.compile(loss, updates=nn.SGD(3.0).updates(loss))
    return step, {x: rng.normal(size=(20, 3)), y: rng.normal(size=(20, 1))}


def test_a_film_is_reported_at_the_call_where_it_goes_wrong() -> None:
    step, feed = _diverging()
    losses: list[float] = []
    with gn.recording(step) as film:
        while not losses or not np.isnan(losses[-1]):
            losses.append(float(step(feed)))
    call = losses.index(np.inf)
    health = check_health(film)
    assert (health.call, health.to_dict()["call"]) == (call, call)
    assert [each.code for each in health] == ["overflow"], str(health)
    assert "training diverges: lower the learning rate" in _first(health).remedy
    assert str(health).startswith(f'"net", call {call}: 1 error in ')
    assert check_health(step, feed).call is None
    with gn.recording(step) as later:
        step(feed)
        step(feed)
    spoilt = check_health(later)
    assert (spoilt.call, [each.code for each in spoilt]) == (0, ["fed-nan"])
    assert "; dense_1/bias, dense_2/weight, dense_2/bias have NaN or inf, too" in _first(spoilt).cause


# --- integers -----------------------------------------------------------------------------------------------------

_INTEGER_OPS: dict[str, Any] = {
    "add": lambda m, a, b: a + b,
    "subtract": lambda m, a, b: a - b,
    "multiply": lambda m, a, b: a * b,
    "negative": lambda m, a, b: -a,
    "absolute": lambda m, a, b: abs(a),
    "square": lambda m, a, b: m.square(a),
    "sum": lambda m, a, b: m.sum(a),
    "cumsum": lambda m, a, b: m.cumsum(a),
    "prod": lambda m, a, b: m.prod(a),
    "matmul": lambda m, a, b: a @ b,
    "outer": lambda m, a, b: m.outer(a, b),
}


@pytest.mark.parametrize("dtype", ["i1", "i4", "i8", "u1", "u4"])
@pytest.mark.parametrize("name", _INTEGER_OPS)
def test_integer_overflow_is_found_wherever_exact_integers_differ(name: str, dtype: str) -> None:
    """Beside Python's integers, which have no end."""
    rng = np.random.default_rng([ord(c) for c in name + dtype])
    info = np.iinfo(dtype)
    wrapped = 0
    for bits in (2, info.bits // 2, info.bits):
        low, high = max(info.min, -(2**bits)), min(info.max, 2**bits)
        a, b = (rng.integers(low, high, 5, dtype=dtype, endpoint=True) for _ in range(2))
        a[-1], b[-1] = low, high
        g = gn.Graph()
        x, y = g.placeholder("x", shape=(5,), dtype=dtype), g.placeholder("y", shape=(5,), dtype=dtype)
        result = _INTEGER_OPS[name](gn, x, y)
        exact = np.asarray(_INTEGER_OPS[name](np, a.astype(object), b.astype(object)))
        limits = np.iinfo(result.dtype)
        wrong = np.asarray((exact < limits.min) | (exact > limits.max), bool)
        health = check_health([result, x, y], {x: a, y: b})
        assert [each.code for each in health] == ["integer-overflow"] * bool(wrong.any()), str(health)
        if wrong.any():
            wrapped += 1
            finding = _first(health)
            assert (finding.node, finding.count) == (result, np.count_nonzero(wrong))
            assert finding.index == tuple(np.argwhere(wrong)[0])
            assert finding.severity == ("error" if result.dtype.kind == "i" else "warning")
    assert wrapped or result.dtype.itemsize > np.dtype(dtype).itemsize or (name, info.min) == ("absolute", 0)


def test_the_remedy_for_an_integer_that_wraps_around() -> None:
    x = gn.Graph().placeholder("x", shape=("n",), dtype=np.int32)
    finding = _first(check_health(x * x, {x: [100_000, 2]}))
    assert "the exact result is 1e+10, but the largest int32 is 2147483647" in finding.cause
    assert 'gn.cast(x, "int64")' in finding.remedy
    assert check_health(gn.square(gn.cast(x, "int64")), {x: [100_000, 2]}).ok
    pixels = gn.Graph().placeholder("pixels", shape=("n",), dtype=np.uint8)
    finding = _first(check_health(pixels - pixels[::-1], {pixels: np.array([0, 5], np.uint8)}))
    assert "the exact result is -5, but the smallest uint8 is 0" in finding.cause
    wide = gn.cast(pixels, "int64")
    assert check_health(wide - wide[::-1], {pixels: np.array([0, 5], np.uint8)}).ok


@pytest.mark.parametrize(
    ("number", "told"), [(3e9, "the largest int32 is"), (-3e9, "the smallest int32 is"), (np.nan, "int32 has no nan")]
)
def test_a_float_that_no_integer_can_hold(number: float, told: str) -> None:
    x = gn.Graph().placeholder("x", shape=("n",))
    health = check_health(gn.cast(x, "int32"), {x: [1.5, number]})
    assert "integer-overflow" in [each.code for each in health]
    finding = next(each for each in health if each.code == "integer-overflow")
    assert (finding.place, told in finding.cause) == ("cast[1]", True)


# --- the report -------------------------------------------------------------------------------------------------


def _sick() -> Health:
    g = gn.Graph("sick")
    x = g.placeholder("x", shape=("n",))
    y = gn.sum(gn.log(x)) + gn.sum(gn.where(x > 0, 1.0 / x, 0.0)) + gn.sum(gn.exp(x - 1000.0))
    return check_health([y, gn.grad(y, x)], {x: [0.0, 2.0]})


def test_a_report_reads_as_a_list() -> None:
    health = _sick()
    assert not health
    assert len(health) == len(list(health)) == len(health.errors) + len(health.warnings)
    assert health.first is health[0]
    assert health.errors[0].code == "log-of-zero"
    assert [note.code for note in health.notes][:1] == ["underflow"]
    text = str(health)
    assert max(map(len, text.splitlines())) <= 90
    assert text.startswith('"sick": ')
    assert "error: log-of-zero  log[0]  test_health.py:" in text
    assert "leads to" in text
    assert "note: underflow" in text
    assert repr(health).startswith('<Health of "sick": ')
    assert repr(health.first) == "<error log-of-zero: log[0]>"


def test_a_report_without_findings() -> None:
    x = gn.Graph("fine").placeholder("x", shape=("n",))
    health = check_health(gn.log(x), {x: [1.0]})
    assert health
    assert health.first is None
    assert str(health) == '"fine": nothing wrong in 2 nodes\n\nchecked: values, shapes'


def test_a_long_report_is_cut() -> None:
    x = gn.Graph().placeholder("x", shape=("n",))
    total: Any = 0.0
    for i in range(findings.SHOWN + 3):
        total = total + gn.sum(gn.log(x * float(i)))
    text = str(check_health(total, {x: [0.0]}))
    assert text.count("log-of-zero") == findings.SHOWN
    assert "and 3 findings more" in text


def test_a_report_has_the_width_that_there_is_and_without_one_all_findings_and_whole_sentences() -> None:
    x = gn.Graph().placeholder("x", shape=("n",))
    total: Any = 0.0
    for i in range(findings.SHOWN + 3):
        total = total + gn.sum(gn.log(x * float(i)))
    health = check_health(total, {x: [0.0]})
    for width in (60, 130):
        assert width - 20 < max(map(len, health.text(width).split("\n"))) <= width
    whole = health.text(None)
    assert whole.count("error: log-of-zero") == findings.SHOWN + 3
    assert all(f"\n  {each.cause}\n  → {each.remedy}" in whole for each in health)
    with pytest.raises(gn.UsageError, match="width="):
        health.text("wide")  # type: ignore[arg-type]


def test_a_report_is_plain_data() -> None:
    data = json.loads(json.dumps(_sick().to_dict(), allow_nan=False))
    assert (data["graph"], data["ok"]) == ("sick", False)
    first = data["findings"][0]
    assert (first["code"], first["node"], first["index"], first["value"]) == ("log-of-zero", "log", [0], "-inf")
    assert first["operands"] == [{"node": "x", "index": [0], "value": 0.0}]


def test_control_characters_in_names_are_escaped() -> None:
    g = gn.Graph("bell\x07")
    x = g.placeholder("x\x1b[31m", shape=("n",))
    health = check_health(gn.log(x), {x: [0.0]})
    assert "\x1b" not in str(health) + repr(health) + str(health.first) + repr(health.first)
    assert "x\x1b[31m" in _first(health).cause, "a view makes it safe in its own way"


def test_long_names_are_shortened_in_a_report() -> None:
    x = gn.Graph("g" * 10_000).placeholder("x" * 10_000, shape=("n",))
    text = str(check_health(gn.exp(gn.log(x, name="y" * 10_000)) / 0.0, {x: [0.0]}))
    assert max(map(len, text.splitlines())) <= 80
    assert len(text) < 3000


def test_steps_traces_fetches_and_names_are_checked() -> None:
    loss, feed = _network()
    step = gn.compile(loss, updates=nn.SGD(0.1).updates(loss))
    before = {node: node.value for node in loss.graph.parameters}
    trace = gn.trace(step, feed)
    for health in (check_health(step, feed), check_health(trace), check_health(loss, feed)):
        assert health.ok
    assert check_health(trace).count == len(trace)
    assert check_health("categorical_crossentropy_1", feed).ok
    for node, value in before.items():
        assert np.array_equal(node.value, value), "no update is made"
    with pytest.raises(gn.UsageError, match="has its own feed"):
        check_health(trace, feed)


def test_the_tables_name_existing_operations_and_codes() -> None:
    assert set(HAZARDS) <= set(gn.core.registry)
    for hazard in HAZARDS.values():
        assert {rule.code for rule in hazard.rules} <= set(CHECKS)
    assert set(nan_inf.LIMITS) <= set(gn.core.registry)


def test_a_deep_graph_is_checked_without_recursion() -> None:
    x = gn.Graph().placeholder("x", shape=("n", 4))
    h = gn.log(x)
    for _ in range(2500):
        h = gn.absolute(h * 0.5 - 1.0)
    y = gn.sum(h)
    health = check_health([y, gn.grad(y, x)], {x: np.zeros((3, 4))})
    assert health.count > 10_000
    assert [each.code for each in health] == ["log-of-zero"]


def test_different_causes_in_one_node_are_different_findings() -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", shape=(6,)), g.placeholder("y", shape=(6,))
    feed = {x: [1.0, 1e300, 3.0, 0.0, 4.0, 2e300], y: [0.0, 1e-300, 0.0, 0.0, 2.0, 1e-300]}
    found = [(each.code, each.index, each.count) for each in gn.check_health(x / y, feed).errors]
    assert found == [("division-by-zero", (0,), 2), ("overflow", (1,), 2), ("zero-over-zero", (3,), 1)]


def test_of_very_many_elements_only_the_first_are_sorted_by_cause() -> None:
    x = gn.Graph().placeholder("x", shape=("n",))
    last = np.r_[np.zeros(100_000), 1e-320]
    (finding,) = gn.check_health(1.0 / x, {x: last}).errors
    assert (finding.code, finding.index, finding.count) == ("division-by-zero", (0,), 100_001)


def test_a_huge_parameter_is_blamed_only_for_what_depends_on_it() -> None:
    g = gn.Graph()
    x, m = g.placeholder("x", shape=(2,)), g.placeholder("m", shape=(2,))
    u, w = g.parameter("u", [1.0, 1.0]), g.parameter("w", [1e9])
    loss = gn.sum(gn.exp(x * 800.0) * u) + gn.sum(w * 0.5) + gn.sum(m * (1.0 / x))
    health = check_health([loss, *gn.grad(loss, [u, w])], {x: [0.0, 1.0], m: [0.0, 1.0]})
    told = {each.node.name: each for each in health}
    assert {told[name].code for name in ("exp", "w")} == {"overflow", "huge-parameter"}
    assert "w has grown" not in told["exp"].remedy
    assert not any(each.leads_to for each in health)


@pytest.mark.parametrize(
    ("hidden", "x"),
    [
        (gn.exp, 800.0),
        (gn.square, 1e200),
        (lambda x: x * x * 1e200, 1e100),
        (lambda x: gn.log(x) * -1.0, 0.0),
        (lambda x: 1.0 / x, 0.0),
        (lambda x: gn.stop_gradient(1.0 / x), 0.0),
        (lambda x: gn.exp(gn.stop_gradient(x)) + x, 800.0),
        (lambda x: gn.sqrt(gn.exp(x)), 800.0),
        (lambda x: x + x, 1.7e308),
        (lambda x: x**3.0, 1e150),
        (lambda x: gn.exp(x) * 2.0 + 1.0, 800.0),
    ],
)
@pytest.mark.parametrize("hide", ["minimum", "where"])
def test_a_hidden_inf_is_said_to_spoil_the_gradient_only_if_it_does(
    hide: str, hidden: Callable[[gn.Node], gn.Node], x: float
) -> None:
    at = gn.Graph().placeholder("at", shape=(2,))
    bad = hidden(at)
    kept = gn.sum(gn.minimum(bad, 5.0) if hide == "minimum" else gn.where(gn.isfinite(bad), bad, 0.0))
    feed = {at: [x, 0.5]}
    (finding,) = check_health(kept, feed)
    spoilt = bool(np.isnan(gn.run(gn.grad(kept, at), feed)).any()) if "stop" not in bad.op.name else False
    assert finding.hidden_by is not None
    assert ("but its gradient is NaN" in finding.cause.replace("\n", " ")) == spoilt
    assert ("becomes NaN in the hidden one" in finding.remedy) == (spoilt and hide == "where")


@pytest.mark.parametrize(
    ("make", "feed", "code", "words"),
    [
        (gn.reciprocal, [1e-320, 1.0, 1.0], "overflow", "or scale it up"),
        (lambda x: 1e10 / x, [1e-305, 1.0, 1.0], "overflow", "or scale it up"),
        (lambda x: 1e-200 * x**-2.0, [1e-200, 1.0, 1.0], "overflow", "keep x away from 0"),
        (lambda x: 1e300 / x, [0.5, 1e-9, 1.0], "overflow", "scale the numbers down first"),
        (gn.prod, [1e200, 1e200, 0.0], "overflow", "scale the numbers down"),
        (lambda x: gn.concatenate([x, x]) @ np.array([1.0] * 4 + [-1.0] * 2), [1.2e308] * 3, "overflow", "down first"),
        (lambda x: gn.grad(gn.sum(np.array([-2.0, 1.0, 1.0]) ** x), x), [2.0] * 3, "log-of-negative", "no slope in y"),
    ],
)
def test_the_remedy_suits_the_numbers(make: Any, feed: Any, code: str, words: str) -> None:
    x = gn.Graph().placeholder("x", shape=(3,))
    (finding,) = check_health(make(x), {x: feed}).errors
    assert (finding.code, words in finding.remedy) == (code, True), finding


@pytest.mark.parametrize(
    ("make", "feed", "found"),
    [
        (
            lambda x: gn.index_add(x, np.array([0, 0]), shape=(2,)),
            np.int8([100, 100]),
            "the exact result is 200, but the largest int8 is 127",
        ),
        (lambda x: x // np.int8(-1), np.int8([-128, 1]), "the exact result is 128, but the largest int8 is 127"),
    ],
)
def test_integer_overflow_of_index_add_and_floor_divide(make: Any, feed: Any, found: str) -> None:
    x = gn.Graph().placeholder("x", shape=(2,), dtype="int8")
    (finding,) = check_health(make(x), {x: feed}).errors
    assert finding.code == "integer-overflow"
    assert found in finding.cause


@pytest.mark.parametrize(("rate", "found"), [(1000.0, ["large-update"]), (0.1, [])])
@pytest.mark.parametrize("optimizer", [nn.SGD, nn.Adam])
def test_a_step_that_is_far_too_large(optimizer: Any, rate: float, found: list[str]) -> None:
    g = gn.Graph("spiral")
    x, labels = g.placeholder("x", shape=("batch", 2)), g.placeholder("labels", shape=("batch",), dtype=np.int64)
    rng = np.random.default_rng(0)
    network = nn.Sequential(nn.Dense(16, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng))
    loss = nn.softmax_crossentropy(network(x), labels)
    points, classes = gn.datasets.spiral(20, classes=3, seed=0)
    step, feed = gn.compile(loss, updates=optimizer(rate).updates(loss)), {x: points, labels: classes}
    health = check_health(step, feed)
    assert [each.code for each in health] == found
    assert not health.notes
    with gn.recording(step) as film:
        step(feed)
    assert [each.code for each in check_health(film)] == found
    if found:
        cause = _first(health).cause
        told = (
            r"the step at \w+/learning_rate = 1000 changes dense_\d/weight .* by \d+\.?\d*, but its values are about 0"
        )
        assert re.match(told, cause), cause


# --- what looks wrong, and is sound -----------------------------------------------------------------------------


def _batch(*shapes: tuple[Any, ...]) -> tuple[gn.Node, ...]:
    g = gn.Graph()
    return tuple(g.placeholder(f"x{i}", shape=shape) for i, shape in enumerate(shapes))


def _codes(*found: Any) -> list[str]:
    health = check_health(*found)
    return [each.code for each in (*health, *health.notes)]


def test_a_clip_of_numbers_above_1_is_not_of_probabilities() -> None:
    (x,) = _batch((3,))
    logarithm = gn.log(gn.clip(x, 1e-5, None))
    assert _codes(logarithm, {x: [0.0, 5.0, 2.0]}) == []
    assert _codes(logarithm, {x: [0.0, 0.5, 0.5]}) == ["clipped-probability"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_clip_near_1_is_found_in_every_dtype(dtype: str) -> None:
    g = gn.Graph(dtype=dtype)
    z, y = g.placeholder("z", shape=("n",)), g.placeholder("y", shape=("n",))
    loss = nn.binary_crossentropy(gn.sigmoid(z), y)
    feed = {z: np.array([17.0, 0.0], dtype), y: np.array([0.0, 1.0], dtype)}
    lost = gn.run(gn.grad(loss, z), feed)[0] == 0
    assert ("clipped-probability" in _codes(loss, feed)) == lost


def test_a_relu_in_a_loss_has_no_dead_units() -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", shape=("batch", 2)), g.placeholder("y", shape=("batch", 1))
    z = nn.Dense(1, rng=np.random.default_rng(0))(x)
    hinge = gn.mean(gn.relu(1.0 - y * (z + 100.0)))
    feed = {x: np.zeros((40, 2)), y: np.ones((40, 1))}
    assert _codes(hinge, feed) == []


def test_units_are_counted_by_features_and_samples_by_the_named_axis() -> None:
    g = gn.Graph()
    x, mask = g.placeholder("x", shape=("batch", 5, 3)), g.placeholder("mask", shape=("batch", 5, 1))
    layer = nn.Dense(4, bias=np.full(4, 9.0), rng=np.random.default_rng(0))
    padded = np.ones((40, 5, 1))
    padded[:, 3:] = 0.0
    points = np.random.default_rng(1).normal(size=(40, 5, 3))
    assert _codes(gn.relu(layer(x) * mask) @ g.parameter("w", np.ones((4, 2))), {x: points, mask: padded}) == []
    g = gn.Graph()
    x, w = g.placeholder("x", shape=(3, "m")), g.parameter("w", -np.ones((6, 3)))
    (finding,) = check_health(gn.relu(w @ x), {x: np.ones((3, 50))})
    assert "6 of 6 units of relu are 0 for all 50 columns of the batch" in finding.cause


def test_a_parameter_is_huge_compared_with_the_feed() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", shape=("n",)), g.parameter("w", [1.4e9])
    loss = gn.mean(gn.square(x - w))
    assert _codes(loss, {x: [3e9, 2e9]}) == []
    assert _codes(loss, {x: [3.0, 2.0]}) == ["huge-parameter"]
    assert _codes(gn.compile(gn.sum(w), updates={w: w * 1.0})) == ["huge-parameter"]


def test_a_hidden_inf_before_no_trained_parameter_spoils_no_gradient() -> None:
    g = gn.Graph()
    x, mask, w = (
        g.placeholder("x", shape=(2, 2)),
        g.placeholder("mask", shape=(2, 2)),
        g.parameter("w", np.ones((2, 2))),
    )
    loss = gn.sum(gn.softmax(x @ w + gn.log(mask)))
    feed = {x: np.eye(2), mask: [[1.0, 0.0], [1.0, 1.0]]}
    for asked in (loss, [loss, gn.grad(loss, w)]):
        (finding,) = check_health(asked, feed)
        assert "its gradient is NaN" not in finding.cause
    alone = check_health(gn.sum(gn.where(mask > 0, gn.log(mask), 0.0)), feed)
    assert alone.first is not None
    assert "its gradient is NaN" in alone.first.cause


def test_gradients_of_parallel_layers_are_not_compared() -> None:
    g = gn.Graph()
    x, r = g.placeholder("x", shape=("batch", 4)), g.placeholder("r", shape=("batch", 1))
    rng = np.random.default_rng(0)
    actor = nn.Sequential(nn.Dense(8, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng))(x)
    critic = nn.Sequential(nn.Dense(8, rng=rng), nn.ReLU(), nn.Dense(1, rng=rng))(x)
    labels = g.placeholder("a", shape=("batch",), dtype=np.int64)
    loss = 1e-6 * nn.softmax_crossentropy(actor, labels) + nn.mean_squared_error(critic, r)
    feed = {x: rng.normal(size=(16, 4)), r: np.full((16, 1), 5e3), labels: np.zeros(16, int)}
    assert _codes([loss, *gn.grad(loss, list(g.parameters))], feed) == []


def test_intended_pairs_are_recognized_some_operations_later() -> None:
    (s, h) = _batch(("batch",), ("batch", 3))
    norms = gn.sqrt(gn.sum(h * h, axis=1, keepdims=True))
    feed = {s: np.arange(1.0, 5.0), h: np.ones((4, 3))}
    assert _codes(2.0 * gn.expand_dims(s, 1) - 2.0 * s, feed) == []
    assert _codes(norms * gn.squeeze(norms, axis=1), feed) == []
    assert _codes(norms @ np.ones((1, 1)) - s, feed) == ["every-pair"]


def test_a_sigmoid_is_not_saturated_where_it_is_masked() -> None:
    (x, mask) = _batch((4, 4), (4, 4))
    feed = {x: np.zeros((4, 4)), mask: np.where(np.eye(4) > 0, 0.0, -1e9)}
    assert "saturated" not in _codes(gn.sigmoid(x + mask), feed)
    assert "saturated" in _codes(gn.sigmoid(x + mask), feed | {mask: np.where(np.eye(4) > 0, 0.0, -800.0)})


def test_saturated_units_beside_masked_ones_are_counted() -> None:
    g = gn.Graph()
    x, seen = g.placeholder("x", shape=(4, 4)), g.placeholder("seen", shape=(4, 4), dtype="bool")
    scores = gn.tanh(gn.where(seen, x, -1e9))
    (finding,) = check_health(scores, {x: np.full((4, 4), 500.0), seen: np.eye(4) == 0})
    assert (finding.code, finding.count, finding.value) == ("saturated", 12, 1.0)
    assert "saturated" not in _codes(scores, {x: np.full((4, 4), 0.5), seen: np.eye(4) == 0})


def test_nan_that_is_detected_by_comparing_with_itself_is_a_note() -> None:
    (y,) = _batch(("n",))
    health = check_health(gn.sum(gn.where(gn.equal(y, y), y, 0.0)), {y: [1.0, np.nan]})
    assert [note.code for note in health.notes] == ["fed-nan"]
    assert health.ok


@pytest.mark.parametrize(
    ("loss", "shape", "labels", "place"),
    [
        (nn.sigmoid_crossentropy, ("batch",), [2.0, 1.0, 0.0], "y[0]"),
        (nn.sigmoid_crossentropy, ("batch",), [1.0, -1.0, 0.0], "y[1]"),
        (lambda z, y: nn.binary_crossentropy(gn.sigmoid(z), y), ("batch",), [1.0, 255.0, 0.0], "y[1]"),
        (nn.softmax_crossentropy, ("batch", 2), [[1.0, 0.0], [0.5, 0.5], [3.0, 6.0]], "y[2, 0]"),
        (
            lambda z, y: nn.categorical_crossentropy(gn.softmax(z), y),
            ("batch", 2),
            [[1.0, 0.0]] * 2 + [[1.0, 1.0]],
            "y[2, 0]",
        ),
    ],
)
def test_targets_that_are_not_probabilities(loss: Any, shape: Any, labels: Any, place: str) -> None:
    g = gn.Graph()
    z, y = g.placeholder("z", shape=shape), g.placeholder("y", shape=shape)
    feed = {z: np.zeros(np.shape(labels)) + 0.5, y: labels}
    (finding,) = check_health(loss(z, y), feed)
    assert (finding.code, finding.place) == ("not-probabilities", place)
    sound = np.full(np.shape(labels), 0.5)
    assert _codes(loss(z, y), feed | {y: sound}) == []


def test_a_sigmoid_of_a_sigmoid_before_a_loss() -> None:
    (z, y) = _batch(("batch",), ("batch",))
    loss = nn.binary_crossentropy(gn.sigmoid(gn.sigmoid(z)), y)
    assert _codes(loss, {z: [0.1, 0.2], y: [0.0, 1.0]}) == ["probabilities-as-logits"]


def test_the_notes_of_a_film_are_those_of_all_its_calls() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", shape=()), g.parameter("w", 1.0)
    step = gn.compile(gn.exp(x) * w, updates={w: w * 0.5})
    with gn.recording(step) as film:
        for number in (-1000.0, 0.0):
            step({x: number})
    (note,) = check_health(film).notes
    assert note.code == "underflow"
    assert note.cause.endswith("; first at call 0")


def test_updates_of_every_dtype_are_checked() -> None:
    g = gn.Graph()
    w, b = g.parameter("w", 1.0), g.parameter("b", [True, False])
    h = g.parameter("h", np.float16([-4e4]))
    assert _codes(gn.compile(w * 2.0, updates={b: gn.logical_not(b), h: -h})) == []


def test_a_hidden_overflow_does_not_warn() -> None:
    x = gn.Graph(dtype="float16").placeholder("x", shape=(3,))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (finding,) = check_health(gn.where(x < 5.0, gn.exp(x), 0.0), {x: [0.0, 50.0, 2.0]})
    assert finding.code == "overflow"


def test_derivatives_of_hidden_nodes_are_tried_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    x = gn.Graph().placeholder("x", shape=(2,))
    total = gn.log(x)
    for number in range(1, 40):
        total = total + gn.log(x - float(number))
    asked: list[int] = []
    plain = evaluation.Evaluation._makes_nan_of_0
    monkeypatch.setattr(
        evaluation.Evaluation, "_makes_nan_of_0", lambda run, place: asked.append(place) or plain(run, place)
    )
    assert len(check_health(gn.sum(gn.where(x > 1e9, total, 0.0)), {x: [-1.0, -2.0]})) == 40
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize("critic_first", [False, True])
def test_vanishing_gradients_are_found_beside_a_parallel_layer(critic_first: bool) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 8))

    def towers(deep: bool) -> gn.Node:
        h = x
        for _ in range(12 if deep else 1):
            initial = nn.init.normal(0.0, 0.1)
            h = gn.sigmoid(nn.Dense(8, weight_init=initial, rng=np.random.default_rng(3))(h))
        return gn.mean(gn.square(h)) * (1.0 if deep else 1e6)

    parts = [towers(deep) for deep in ((False, True) if critic_first else (True, False))]
    loss = parts[0] + parts[1]
    (finding,) = check_health([loss, *gn.grad(loss, list(g.parameters))], {x: np.ones((4, 8))})
    assert finding.code == "vanishing-gradient"
    first, last = (f"dense_{2 if critic_first else 1}", f"dense_{13 if critic_first else 12}")
    assert re.search(rf"from \S+ in {first} to \S+ in {last}$", finding.cause), finding.cause


def test_a_column_of_predictions_and_a_row_of_labels_are_found() -> None:
    g = gn.Graph()
    x, features, y = (
        g.placeholder("x", shape=("n",)),
        g.placeholder("f", shape=("n", 3)),
        g.placeholder("y", shape=("n",)),
    )
    w, b, v = g.parameter("w", 1.0), g.parameter("b", 0.5), g.parameter("v", [1.0, 2.0, 3.0])
    feed = {x: np.arange(4.0), y: np.arange(4.0) / 4, features: np.ones((4, 3))}
    for column in (
        x[:, None] * w + b,
        gn.sum(features * v, axis=1, keepdims=True) + 0.5,
        gn.sigmoid(gn.sum(features * v, axis=1, keepdims=True)),
        gn.reshape(x, (-1, 1)) * w,
    ):
        assert _codes(gn.mean(gn.square(column - y)), feed) == ["every-pair"]


@pytest.mark.parametrize("act", [gn.tanh, gn.sigmoid])
def test_large_inputs_saturate_every_unit(act: Any) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("n", 4))
    health = check_health(act(nn.Dense(16, rng=np.random.default_rng(0))(x)), {x: np.full((40, 4), 1e7)})
    assert [(each.code, each.count) for each in health] == [("saturated", 640)]


def test_dead_units_after_scaling_by_a_constant() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", shape=("n", 3)), g.parameter("w", -np.ones((3, 2)))
    assert _codes(gn.relu((x @ w) / 2.0), {x: np.ones((40, 3))}) == ["dead-units"]
    assert _codes(gn.mean(gn.relu(1.0 - gn.square(x @ w))), {x: np.ones((40, 3))}) == []


def test_a_clip_without_an_upper_bound_may_be_subtracted() -> None:
    (p,) = _batch((2,))
    assert "clipped-probability" not in _codes(gn.log(2.0 - gn.clip(p, 1e-7, None)), {p: [1.0, 0.5]})


def test_weighted_and_smoothed_labels_are_sound() -> None:
    g = gn.Graph()
    z, y = g.placeholder("z", shape=("n", 3)), g.placeholder("y", shape=("n", 3))
    feed = {z: np.zeros((3, 3)), y: np.eye(3)}
    for labels in (y * np.array([1.0, 2.0, 0.5]), y * -1.0, y * 0.9 + 0.1 / 3):
        assert _codes(nn.softmax_crossentropy(z, labels), feed) == []
    several = [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]]
    (finding,) = check_health(nn.softmax_crossentropy(z, y), feed | {y: several})
    assert re.match(r"y\[1, :\] \(test_health.py:\d+\) sums to 2, but the targets of softmax_cross", finding.cause)
    assert "use nn.sigmoid_crossentropy(logits, labels) for several classes at once" in finding.remedy


def test_a_gradient_elsewhere_does_not_decide_about_a_hidden_inf() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", shape=(2,)), g.parameter("w", [1.0, 1.0])
    hidden, other = gn.sum(gn.where(x > 0, gn.log(w * x), 0.0)), gn.sum(w * w)
    (finding,) = check_health([hidden, gn.grad(other, w)], {x: [0.0, 1.0]})
    assert "but its gradient is NaN" in finding.cause


def test_a_nan_in_a_product_is_not_a_missing_value() -> None:
    (x, m) = _batch(("n",), ("n",))
    feed = {x: [1.0, np.nan], m: [1.0, 0.0]}
    assert not check_health(gn.sum(gn.where(m > 0, x * x, 0.0)), feed).ok


def test_axes_that_are_broadcast_by_chance() -> None:
    g = gn.Graph()
    x, s = g.placeholder("x", shape=("batch", 4)), g.placeholder("s", shape=("t", "u"))
    feed = {x: np.arange(16.0).reshape(4, 4), s: np.ones((3, 3))}
    for made in (x - gn.mean(x, axis=1), gn.exp(s) / gn.sum(gn.exp(s), axis=1)):
        (finding,) = check_health(made, feed)
        assert (finding.code, finding.node) == ("other-axis", made)
        assert "keepdims=True" in finding.remedy
    assert (
        "(batch,) meets 4 of x (batch, 4), which has the same length by chance"
        in check_health(x - gn.mean(x, axis=1), feed)[0].cause
    )
    for sound in (
        x - gn.mean(x, axis=1, keepdims=True),
        x - gn.mean(x, axis=0),
        s + gn.transpose(s),
        x * np.ones((4, 4)),
    ):
        assert check_health(sound, feed).ok


def test_an_error_in_a_users_operation_names_its_line() -> None:
    def fail(self: Any, x: Any, out: Any = None) -> Any:
        raise RuntimeError("kaputt")

    x = gn.Graph().placeholder("x", shape=(2,))
    node = type("Booms", (Elementwise,), {"like": np.exp, "forward": fail})()(x)
    (finding,) = check_health(node, {x: [1.0, 2.0]})
    line = fail.__code__.co_firstlineno + 1
    assert finding.code == "raised"
    assert finding.cause.endswith(f" raised RuntimeError in fail (test_health.py:{line}): kaputt")


def test_a_norm_of_many_bad_numbers_is_not_blamed() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("n", 3))
    y = gn.sum(gn.norm(gn.log(x), axis=1))
    for n in (5, 5000):
        assert [(each.code, each.node.op.name) for each in check_health(y, {x: -np.ones((n, 3))})] == [
            ("log-of-negative", "log")
        ]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_unbounded_loss_of_a_very_deep_sum(sign: float) -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", ("n",)), g.parameter("w", 1e7)
    total = gn.mean(gn.square(x * w))
    for _ in range(2000):
        total = total + total  # of which there are 2 ** 2000 ways down
        total = total / 2.0
    loss = -(sign * total)
    health = check_health(gn.compile(loss, updates=nn.SGD(1e-9).updates(loss)), {x: [1.0, 2.0]})
    assert ("unbounded-loss" in {each.code for each in health}) is (sign > 0), str(health)


@pytest.mark.parametrize("node", ["log", "matmul", "w", "x"])
@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_values_set_by_hand_are_named_as_such(node: str, value: float) -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", ("n", 3)), g.parameter("w", np.ones((3, 3)))
    dbg = gn.debug(gn.mean(gn.log(x @ w)), {x: np.ones((4, 3))}, echo=None)
    dbg.resume()
    dbg[node] = np.full(dbg[node].value.shape, value)
    finding = _first(check_health(dbg.trace()))
    assert (finding.node.name, finding.severity) == (node, "error")
    assert finding.remedy.startswith("it was set by hand")


def test_an_overflow_among_very_many_bad_numbers() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("n", 2))
    rows = np.full((6000, 2), 1e200)
    rows[0] = np.inf
    (finding,) = [each for each in check_health(gn.norm(x, axis=1), {x: rows}) if each.code == "overflow"]
    assert (finding.index, finding.count, finding.size) == ((1,), 5999, 6000)


def test_a_softmax_of_one_logit_in_a_crossentropy() -> None:
    g = gn.Graph()
    x, t = g.placeholder("x", ("n", 5)), g.placeholder("t", ("n", 1))
    loss = nn.softmax_crossentropy(_dense(1)(x), t)
    assert [each.code for each in _trained(loss, {x: _rows(20, 5), t: _rows(20, 1) > 0})] == ["softmax-of-one"]


@pytest.mark.parametrize(
    "picked",
    [
        lambda z, t: gn.pick(gn.log_softmax(z, axis=0), t),
        lambda z, t: gn.pick(gn.log(gn.softmax(z, axis=0)), t),
        lambda z, t: gn.log(gn.pick(gn.softmax(z, axis=0), t)),
    ],
)
def test_a_softmax_over_the_batch_before_any_logarithm(picked: Any) -> None:
    g = gn.Graph()
    x, t = g.placeholder("x", ("n", 5)), g.placeholder("t", ("n",), np.int64)
    loss = -gn.mean(picked(_dense(3)(x), t))
    health = _trained(loss, {x: _rows(20, 5), t: np.arange(20) % 3})
    assert [each.code for each in health] == ["not-probabilities"], str(health)
    assert "sums to" in _first(health).cause
    sound = -gn.mean(gn.pick(gn.log_softmax(_dense(3)(x)), t))
    assert _trained(sound, {x: _rows(20, 5), t: np.arange(20) % 3}).ok


def test_a_relu_penalty_has_no_dead_units() -> None:
    g = gn.Graph()
    x, t, w = g.placeholder("x", ("n", 5)), g.placeholder("t", ("n", 3)), g.parameter("w", _rows(5, 3) * 0.1)
    z = x @ w
    feed = {x: _rows(64, 5), t: _rows(64, 3)}
    for penalty in (gn.mean(gn.relu(z - 9.0)), gn.sum(gn.relu(gn.absolute(w) - 9.0))):
        assert _trained(nn.mean_squared_error(z, t) + penalty, feed).ok
    last = _trained(nn.mean_squared_error(gn.relu(z - 99.0), t), feed)  # of which nothing goes on without it
    assert "dead-units" in {each.code for each in last}


def test_a_negated_loss_with_a_minimum_is_not_unbounded() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(128, 5)) * [60.0, 40.0, 10.0, 5.0, 1.0]
    rows -= rows.mean(axis=0)
    g = gn.Graph()
    x, w = g.placeholder("x", ("n", 5)), g.parameter("w", rng.normal(size=5))
    component = -gn.mean(gn.square(x @ (w / gn.norm(w))))
    w.value = np.linalg.eigh(rows.T @ rows)[1][:, -1].copy()
    assert "unbounded-loss" not in {each.code for each in _trained(component, {x: rows})}
    w.value = rng.normal(size=5)
    assert "unbounded-loss" in {each.code for each in _trained(-gn.mean(gn.square(x @ w)), {x: rows})}
    t = g.placeholder("t", ("n",))
    explained = gn.mean(gn.square(x @ w - t)) - gn.mean(gn.square(t * 1e3))
    assert "unbounded-loss" not in {each.code for each in _trained(explained, {x: rows, t: rows[:, 0]})}


def test_a_final_vector_of_zeros_is_a_note_as_a_matrix_is() -> None:
    for shape in ((16,), (16, 1)):
        g = gn.Graph()
        x, t = g.placeholder("x", ("n", 5)), g.placeholder("t", ("n", *shape[1:]))
        w, v = g.parameter("w", _rows(5, 16) * 0.5), g.parameter("v", np.zeros(shape))
        loss = gn.mean(gn.square(gn.tanh(x @ w) @ v - t))
        health = _trained(loss, {x: _rows(40, 5), t: _rows(40, 1).reshape(-1, *shape[1:])})
        assert health.ok, str(health)
        assert "no-gradient" in {each.code for each in health.notes}


@pytest.mark.parametrize("rate", [None, 1e-3, 0.0])
@pytest.mark.parametrize(("stops", "name"), [(gn.stop_gradient, "stop_gradient"), (gn.round, "round")])
def test_a_network_without_a_gradient_is_found_beside_a_penalty(stops: Any, name: str, rate: float | None) -> None:
    g = gn.Graph()
    x, t = g.placeholder("x", ("n", 5)), g.placeholder("t", ("n", 1))
    net = nn.Sequential(_dense(8), nn.ReLU(), _dense(1))
    feed = {x: _rows(64, 5), t: _rows(64, 1)}
    for output, code in ((stops(net(x)), "no-gradient"), (net(x), None)):
        loss = nn.mean_squared_error(output, t)
        if rate is not None:
            loss = loss + nn.l2(net.parameters, rate)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gn.GraphnnWarning)
            health = _trained(loss, feed)
        assert [each.code for each in health] == ([code] if code else []), str(health)
        if code:
            assert f"it ends at {name}" in _first(health).cause


def test_a_parameter_that_never_meets_the_feed_is_sound() -> None:
    g = gn.Graph()
    x, w, v = g.placeholder("x", ("n", 5)), g.parameter("w", _rows(5, 2)), g.parameter("v", _rows(3, 3))
    loss = gn.mean(gn.square(x @ w)) + gn.mean(gn.square(v))
    assert _trained(loss, {x: _rows(64, 5)}).ok


@pytest.mark.parametrize(
    "loss",
    [
        lambda d: gn.mean(gn.square(d)),
        lambda d: gn.mean(0.5 * gn.square(d)),
        lambda d: gn.mean(gn.sum(gn.square(d), axis=1)),
        lambda d: gn.mean(gn.sqrt(gn.square(d) + 1e-6)),
    ],
)
def test_targets_out_of_reach_in_any_mean_of_squares(loss: Any) -> None:
    g = gn.Graph()
    x, t = g.placeholder("x", ("n", 5)), g.placeholder("t", ("n", 1))
    difference = gn.sigmoid(_dense(1)(x)) - t
    told = [each.code for each in _trained(loss(difference), {x: _rows(40, 5), t: _rows(40, 1) + 30.0})]
    assert told == (["out-of-reach"] if "sqrt" not in {node.op.name for node in g} else [])
    assert _trained(loss(difference), {x: _rows(40, 5), t: np.full((40, 1), 0.5)}).ok


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("dead", [64, 60])
def test_units_are_counted_if_each_column_is_a_sample(dead: int, named: bool) -> None:
    g = gn.Graph()
    a, t = g.placeholder("a", (5, "n" if named else 100)), g.placeholder("t", (1, "n" if named else 100))
    w, v = g.parameter("w", _rows(64, 5)), g.parameter("v", _rows(1, 64))
    b = g.parameter("b", np.where(np.arange(64) < dead, -100.0, 0.0)[:, None])
    loss = nn.mean_squared_error(v @ gn.relu(w @ a + b), t)
    (finding,) = [each for each in _trained(loss, {a: _rows(5, 100), t: _rows(1, 100)}) if each.code == "dead-units"]
    assert finding.cause.startswith(f"{dead} of 64 units of relu are 0 for all 100 columns of the batch")


def test_a_deeper_network_takes_time_in_proportion() -> None:
    def lines_run(layers: int) -> int:
        """Return how many lines of Python an examination of a network of so many layers runs."""
        x = y = gn.Graph().placeholder("x", ("batch", 4))
        for _ in range(layers):
            y = gn.tanh(nn.Dense(4, rng=np.random.default_rng(0))(y))
        loss = gn.mean(y * y)
        trace = gn.trace([loss, *gn.grad(loss, list(x.graph.parameters))], {x: np.ones((3, 4), np.float32)})
        lines = 0

        def count(frame: object, event: str, argument: object) -> Any:
            nonlocal lines
            lines += event == "line"
            return count

        before = sys.gettrace()
        sys.settrace(count)
        try:
            check_health(trace)
        finally:
            sys.settrace(before)
        return lines

    assert lines_run(240) < 3.3 * lines_run(80)  # more than four times as many if each layer looks at all nodes
