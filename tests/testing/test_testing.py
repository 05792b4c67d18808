"""The tester of gradients, tested: what is right passes, and every fault that is planted is found and named."""

import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from test_ops import OPS, Drawn, built, by_hypothesis, quietly, sampled, with_names
from wrong_rules import Rule, bent, differentiated, flowing, planted, scaled, swapped

import graphnn as gn
from graphnn import Node, Op, Spec, nn
from graphnn.core.op import registry
from graphnn.errors import GradientError
from graphnn.ops.elementwise import Elementwise
from graphnn.testing import Draw, check_grads, check_op


def most_flowing(cls: type[Op]) -> int:
    most = 0
    for seed in range(20):
        most = max(most, len(flowing(built(*sampled(cls, Draw(np.random.default_rng(seed))))[0])))
        if most > 1 or (most == len(cls.operands) and not cls.variadic):
            break
    return most


FLOWING = {cls: most_flowing(cls) for cls in OPS}
DIFFERENTIABLE = [cls for cls in OPS if FLOWING[cls]]
FLAT = [cls for cls in OPS if not cls.differentiable and cls.operands and cls.name != "stop_gradient"]


def name_of(thing: Any) -> str:
    return str(getattr(thing, "name", None) or thing.__name__)


# --- what is right passes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", DIFFERENTIABLE, ids=name_of)
def test_gradients_are_right_in_both_modes_at_order_1_and_2(cls: type[Op]) -> None:
    seen = 0

    @by_hypothesis(14)
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        nonlocal seen
        op, operands = sampled(cls, Drawn(data, ["float64"], wild=False, ways=5))
        assume(all(operand.size for operand in operands))
        if data.draw(st.booleans()):
            named, shapes, sizes = with_names(op, operands, alike=data.draw(st.booleans()))
            assume(sizes.keys() <= {dim for shape in shapes for dim in shape})
            node, feed = built(named, operands, shapes)
        else:
            node, feed = built(op, operands)
        wrt = flowing(node)
        assume(wrt and np.size(quietly(gn.run, node, feed)))
        assert check_grads(node, feed, wrt, order=2, modes=("vjp", "jvp"), rtol=1e-6).checked > 0
        seen += 1

    check()
    assert seen >= 14


@pytest.mark.parametrize("cls", FLAT, ids=name_of)
def test_what_passes_no_gradient_is_flat(cls: type[Op]) -> None:
    for seed in range(20):
        op, operands = sampled(cls, Draw(np.random.default_rng(seed)))
        moved = [x + 1e-9 if x.dtype.kind == "f" else x for x in operands]
        assert np.array_equal(op.forward(*operands), op.forward(*moved))


def network(dtype: Any = np.float64) -> tuple[Node, dict[Node, Any]]:
    g = gn.Graph(dtype=dtype)
    rng = np.random.default_rng(0)
    x = g.placeholder("x", shape=("batch", 2))
    labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
    h = x
    for i, size in enumerate((3, 3)):
        with g.scope(f"dense_{i + 1}"):
            weight = g.parameter("weight", rng.normal(size=(2 if i == 0 else 3, size)).astype(dtype))
            h = h @ weight + g.parameter("bias", rng.normal(size=size).astype(dtype))
        h = gn.relu(h) if i == 0 else h
    loss = gn.mean(gn.negative(gn.pick(gn.log_softmax(h), labels)))
    return loss, {x: rng.normal(size=(7, 2)).astype(dtype), labels: rng.integers(0, 3, 7)}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_network_passes_and_stays_as_it_was(dtype: str) -> None:
    loss, feed = network(dtype)
    before = len(loss.graph)
    assert check_grads(loss, feed, order=2) == gn.testing.GradientReport(checked=21, left_out=0)
    assert len(loss.graph) == before


def test_several_results_by_several_nodes_also_inner_ones() -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", shape=("n", 2)), g.placeholder("y", shape=("n", 1))
    h = gn.sin(x)
    report = check_grads({"a": h * y, "b": [gn.sum(h), x]}, {"x": np.ones((3, 2)), y: [[1], [2], [3]]}, wrt=["y", h, x])
    assert report.checked == 3 + 6 + 6


def test_what_is_stopped_is_held() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=3)
    y = gn.stop_gradient(gn.exp(x)) * x + gn.where(gn.greater(x, 0.5), x, gn.floor(x)) * x
    assert check_grads(y, {x: [0.1, 0.7, 2.2]}, x, order=2).checked == 3


def test_what_does_not_depend_is_zero() -> None:
    g = gn.Graph()
    x, y = g.placeholder("x"), g.placeholder("y")
    assert check_grads(gn.exp(x), {x: 1.0, y: 2.0}, [x, y], order=2).checked == 2


@pytest.mark.parametrize("order", [1, 2])
def test_a_size_that_only_what_is_held_has_is_known(order: int) -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", ("n", "time", 3)), g.parameter("w", [0.5, -1.0, 2.0])
    loss = gn.sum(gn.square(gn.mean(x, axis=1) @ w))
    assert check_grads(loss, {x: np.ones((2, 4, 3))}, wrt=[w], order=order).checked == 3


@pytest.mark.usefixtures("own_operations")
def test_an_operation_that_says_no_dtypes_is_told_how() -> None:
    class Halved(Elementwise):
        """x / 2."""

        def forward(self, x: Any, out: Any = None) -> Any:
            return np.divide(x, 2, out=out)

    x = gn.Graph().placeholder("x", (3,))
    with pytest.raises(
        gn.NoRuleError, match=r"halved: forward is not a NumPy ufunc, so set like=, as in like = np.exp"
    ):
        Halved()(x)


@pytest.mark.usefixtures("own_operations")
def test_an_operation_of_a_scalar_is_given_an_array() -> None:
    class Strict(Elementwise):
        """x, which takes nothing but an array."""

        like = np.negative

        def forward(self, x: Any, out: Any = None) -> Any:
            assert type(x) is np.ndarray
            return np.positive(x, out=out)

        def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
            return cotangent

    x = gn.Graph().placeholder("x")
    assert check_grads(Strict()(x), {x: 2.0}, x).checked == 1


# --- kinks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", ["relu", "absolute", "leaky_relu"])
@pytest.mark.parametrize("order", [1, 2])
def test_elements_at_a_kink_are_left_out_and_counted(function: str, order: int) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=(2, 3))
    y = getattr(gn, function)(x)
    report = check_grads(y, {x: [[1.0, 0.0, -2.0], [1e-9, 3.0, -0.0]]}, x, order=order)
    assert (report.checked, report.left_out) == (3, 3)


def test_a_kink_between_the_steps_is_stepped_over() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=3)
    assert check_grads(gn.sum(gn.relu(x)), {x: [1e-4, -3e-6, 1.0]}, x).left_out == 0


def test_the_first_points_of_the_spiral_with_a_zero_bias() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("n", 2))
    weight = g.parameter("weight", np.random.default_rng(0).normal(size=(2, 4)))
    bias = g.parameter("bias", np.zeros(4))
    loss = gn.mean(gn.square(gn.relu(x @ weight + bias) - 1.0))
    report = check_grads(loss, {x: [[0.0, 0.0], [0.3, 0.1], [-0.2, 0.4]]}, order=2)
    assert (report.checked, report.left_out) == (8, 4)  # the weights count for nothing where x is 0


def test_a_fault_beside_a_kink_is_found() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=3)
    with planted(registry["relu"], "vjp", scaled), pytest.raises(GradientError, match=r"at \(2,\) is"):
        check_grads(gn.relu(x), {x: [0.0, 0.0, 1.0]}, x)


def test_where_there_is_nothing_but_kinks_the_search_ends() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=3000)
    with pytest.raises(gn.ValueRangeError, match="nothing could be checked: all elements, 3,000, are left out"):
        check_grads(gn.sum(abs(x)), {x: np.zeros(3000)}, x)


# --- planted faults -------------------------------------------------------------------------------------------


FAULTS = [(fault, cls) for fault in (scaled, bent) for cls in DIFFERENTIABLE]
# Of a sum, either operand's is the same.
FAULTS += [(swapped, cls) for cls in DIFFERENTIABLE if FLOWING[cls] > 1 and cls.name != "add"]


@pytest.mark.parametrize("mode", ["vjp", "jvp"])
@pytest.mark.parametrize(("fault", "cls"), FAULTS, ids=name_of)
def test_a_planted_fault_is_found_and_named(cls: type[Op], mode: str, fault: Rule) -> None:
    # What has no rule of its own for jvp takes that of vjp, and then vjp is told.
    rule = f"{mode}'s own derivative" if fault is bent else mode
    match = rf'^the {rule} of "{cls.name}" \({cls.name}, made at test_testing'
    with planted(cls, mode, fault), pytest.raises(GradientError, match=match) as told:
        check_op(cls, examples=40)
    how = r'wrong for operand \d, "\w+" \(.*\): (the derivative .*is \S+ by finite differences, got|it fails: )'
    assert re.search(how, str(told.value))


def test_swapping_the_operands_of_a_sum_is_no_fault() -> None:
    with planted(registry["add"], "vjp", swapped):
        check_op(registry["add"])


def test_the_node_is_named_with_the_users_line() -> None:
    loss, feed = network()
    line = loss.graph["relu"].origin.line
    with (
        pytest.raises(
            GradientError,
            match=rf'^the vjp of "relu" \(relu, made at test_testing.py:{line}\) is wrong for operand 0, "dense_1/add" '
            r"\(7, 3\): the derivative at \(\d, \d\) is \S+ by finite differences, got \S+\n  at test_testing.py:\d+$",
        ) as told,
        planted(registry["relu"], "vjp", scaled),
    ):
        check_grads(loss, feed)
    assert isinstance(told.value, AssertionError)
    assert isinstance(told.value, gn.GraphnnError)


def test_a_faulty_rule_of_a_gradients_node_is_told_from_its_twins() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=2)
    y = gn.sin(x)
    told = r'^the vjp of "grad/cos" \(cos, for "sin", made at test_testing.py:\d+\)'
    with planted(registry["cos"], "vjp", scaled):
        assert check_grads(y, {x: [0.5, 0.7]}, x).checked == 2
        with pytest.raises(GradientError, match=told):
            check_grads(y, {x: [0.5, 0.7]}, x, order=2)


@pytest.mark.usefixtures("own_operations")
def test_a_rule_that_fails_is_named() -> None:
    class Clumsy(Elementwise):
        """x, with a cotangent that does not fit."""

        like = np.negative

        def forward(self, x: Any, out: Any = None) -> Any:
            return x + 0.0

        def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
            return gn.stack([cotangent, cotangent], axis=-1)

    g = gn.Graph()
    x = g.placeholder("x", shape=3)
    with pytest.raises(GradientError, match=r'^the vjp of "clumsy" .* for operand 0, "exp" \(3,\): it fails: sum_to'):
        check_grads(Clumsy()(gn.exp(x)), {x: np.ones(3)}, x)


@pytest.mark.usefixtures("own_operations")
def test_a_gradient_that_no_rule_is_to_blame_for() -> None:
    class Moody(Elementwise):
        """x, whose rule looks at where x comes from."""

        like = np.negative

        def forward(self, x: Any, out: Any = None) -> Any:
            return x + 0.0

        def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
            return cotangent * (1.0 if inputs[0].op.name == "placeholder" else 2.0)

    g = gn.Graph()
    x = g.placeholder("x", shape=3)
    with pytest.raises(GradientError, match=r'^the vjp of "moody" with respect to "x" is wrong: .*Each node'):
        check_grads(Moody()(gn.exp(x)), {x: np.ones(3)}, x)


# --- asking -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("own_operations")
def test_a_missing_rule_is_told_by_name() -> None:
    class OneWay(Op):
        """x², backwards only."""

        def infer(self, x: Spec) -> Spec:
            return Spec(x.shape, x.dtype)

        def forward(self, x: Any, out: Any = None) -> Any:
            return np.square(x)

        def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
            return cotangent * inputs[0] * 2.0

    g = gn.Graph()
    x = g.placeholder("x")
    assert check_grads(OneWay()(x), {x: 3.0}, x, order=2, modes="vjp").checked == 1
    with pytest.raises(gn.NoRuleError, match="one_way"):
        check_grads(OneWay()(x), {x: 3.0}, x)


@pytest.mark.usefixtures("own_operations")
def test_an_operation_outside_the_library_is_checked_at_a_scalar() -> None:
    class Cubed(Elementwise):
        like = np.square

        def forward(self, x: Any, out: Any = None) -> Any:
            return np.multiply(x * x, x, out=out)

        def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
            return cotangent * (gn.square(inputs[0]) * 3.0)

    x = gn.Graph().placeholder("x")
    assert check_grads(Cubed()(x), {x: 1.5}, x, order=2).checked > 0


@pytest.mark.usefixtures("own_operations")
def test_an_operation_without_a_rule_for_one_mode_is_checked_in_the_other() -> None:
    class Squared(Op):
        """x², backwards only."""

        def infer(self, x: Spec) -> Spec:
            return Spec(x.shape, x.dtype)

        def forward(self, x: Any, out: Any = None) -> Any:
            return np.square(x)

        def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
            return cotangent * inputs[0] * 2.0

        @classmethod
        def samples(cls, draw: Any) -> Any:
            return cls(), (draw.array((2,)),)

    assert check_op(Squared, modes="vjp").checked > 0
    assert check_op(Squared, modes=("vjp",)) == check_op(Squared, modes=["vjp"])
    with pytest.raises(gn.NoRuleError, match="squared"):
        check_op(Squared)
    with planted(Squared, "vjp", scaled), pytest.raises(GradientError, match='the vjp of "squared"'):
        check_op(Squared, modes=("vjp",))
    with pytest.raises(gn.UsageError, match='modes are "vjp" and "jvp"'):
        check_op(Squared, modes=())


def test_a_fault_in_the_mode_that_is_not_asked_for_is_not_told() -> None:
    with planted(registry["exp"], "jvp", scaled):
        assert check_op(registry["exp"], modes="vjp").checked > 0
        with pytest.raises(GradientError, match='the jvp of "exp"'):
            check_op(registry["exp"], modes="jvp")


# --- what rounding hides ------------------------------------------------------------------------------------------


def small_loss(kind: str) -> tuple[Node, dict[Node, Any]]:
    """Return a loss of about 1e-7, the difference of numbers of about 10."""
    g = gn.Graph()
    x = g.placeholder("x", shape=(4, 2))
    w = g.parameter("w", [[8.0, -8.0], [-8.0, 8.0]])
    labels = g.placeholder("labels", shape=(4,), dtype=np.int64)
    logits = gn.tanh(x @ w) @ g.parameter("v", [[4.0, -4.0], [-4.0, 4.0]])
    feed = {x: np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1], [0.1, 1.0]]), labels: [0, 1, 0, 1]}
    if kind == "softmax":
        return nn.softmax_crossentropy(logits, labels), feed
    if kind == "log":
        return gn.negative(gn.mean(gn.log(gn.pick(gn.softmax(logits), labels)))), feed
    return gn.mean(gn.square(gn.pick(logits, labels) - 7.9999)), feed


@pytest.mark.parametrize("kind", ["softmax", "log", "squares"])
def test_a_small_loss_of_large_numbers_is_no_fault(kind: str) -> None:
    loss, feed = small_loss(kind)
    assert 0 < gn.run(loss, feed) < 1e-6
    for seed in range(12):
        assert check_grads(loss, feed, order=1 + (seed == 0), rng=seed).checked == 8


@pytest.mark.parametrize("mode", ["vjp", "jvp"])
@pytest.mark.parametrize("kind", ["softmax", "log", "squares"])
def test_a_fault_that_rounding_hides_in_the_whole_is_found_in_the_node(kind: str, mode: str) -> None:
    loss, feed = small_loss(kind)
    for name in sorted({node.op.name for node in differentiated(loss)}):
        with planted(registry[name], mode, scaled), pytest.raises(GradientError, match=rf'^the {mode} of "\S*{name}'):
            check_grads(loss, feed)


def test_a_kink_that_rounding_hides_is_no_fault() -> None:
    for place in (2.5e-7, 3e-7):
        for number, kink in enumerate(np.geomspace(1e-8, 1e-6, 60)):
            g = gn.Graph()
            x = g.placeholder("x", shape=1)
            y = gn.sum((x * 1e-7 + kink * gn.relu(x - place) + 7.3) - 7.3)
            try:
                check_grads(y, {x: [0.0]}, x, rng=number)
            except gn.ValueRangeError as error:
                assert "stand at kinks" in str(error)  # noqa: PT017 - which is as good


@pytest.mark.parametrize("seed", [46, 620, 984, 1089, 1247, 1371])
def test_several_kinks_that_rounding_hides_are_no_fault(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = gn.Graph().placeholder("x", shape=1)
    places = 10 ** rng.uniform(-7, -6.05, 3) * rng.choice([-1, 1], 3)
    kinks = 10 ** rng.uniform(-8, -6.5, 3) * rng.choice([-1, 1], 3)
    y = gn.sum(gn.sum(kinks * gn.relu(x - places)) + x * 1e-7 + 7.3) - 7.3
    try:
        check_grads(y, {x: [0.0]}, x, rng=seed)
    except gn.ValueRangeError as error:
        assert "stand at kinks" in str(error)  # noqa: PT017 - which is as good


def test_trained_networks_are_right_and_faults_in_them_are_found() -> None:
    script = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "small_losses.py"))
    told: list[str] = []
    for problem, faults in (
        (script["xor"](0), (scaled,)),
        (script["xor"](5), (swapped, bent)),
        (script["digits"](2), (swapped,)),
    ):
        seen = script["examined"](problem, every=400, write=told.append, faults=faults)
        assert (seen["false alarms"], seen["missed"], seen["not learnt"]) == (0, 0, 0), told
        assert seen["checks"] >= 2
        assert seen["faults"] >= 2


def test_what_cannot_be_asked() -> None:
    g = gn.Graph()
    x, k = g.placeholder("x"), g.placeholder("k", dtype=np.int64)
    y = x * x
    with pytest.raises(gn.UsageError, match='"multiply" needs no trainable parameter: say wrt='):
        check_grads(y, {x: 1.0})
    with pytest.raises(gn.UsageError, match="modes"):
        check_grads(y, {x: 1.0}, x, modes=["forward"])
    with pytest.raises(gn.DtypeError, match='"k" is int64'):
        check_grads(y * k, {x: 1.0, k: 2}, k)
    with pytest.raises(gn.DtypeError, match='"multiply_3" is int64'):
        check_grads(k * 2, {k: 2}, x)
    with pytest.raises(gn.NotFoundError, match='lacks "x"'):
        check_grads(y, {}, x)


def test_a_check_of_nothing_is_an_error() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", shape=("n",)), g.parameter("w", [1.0, 2.0])
    y = gn.sum(x) * gn.sum(w)
    for fetch, value, wrt, order, words in [
        (y, [1.0, np.nan], x, 1, "what comes out is not finite"),
        (y, [], x, 1, "all that is fed is empty"),
        (y, [], w, 1, "all that is fed is empty"),
        (y, [1.0], [], 1, "wrt= is empty"),
        (gn.sum(gn.sqrt(x)), [0.0], x, 1, "all elements, 1, are left out"),
    ]:
        with pytest.raises(gn.ValueRangeError, match=f"^nothing could be checked: {words}"):
            check_grads(fetch, {x: value}, wrt, order=order)
    with pytest.raises(gn.ValueRangeError, match="order= is an int of 1 or more, not 0"):
        check_op(registry["exp"], order=0)
    with pytest.raises(gn.UsageError, match=r"order= is an int of 1 or more, not 1\.0"):
        check_grads(y, {x: [1.0]}, x, order=1.0)  # type: ignore[arg-type]


@pytest.mark.usefixtures("own_operations")
@pytest.mark.parametrize(
    ("said", "error"),
    [(Spec((1,), np.dtype(np.float64)), gn.ShapeError), (Spec((), np.dtype(np.float32)), gn.DtypeError)],
)
def test_infer_is_checked(said: Spec, error: type[Exception]) -> None:
    class Liar(Op):
        """0, announced as something else."""

        differentiable = False

        def infer(self, x: Spec) -> Spec:
            return said

        def forward(self, x: Any, out: Any = None) -> Any:
            return np.zeros(())

        @classmethod
        def samples(cls, draw: Any) -> Any:
            return cls(), (draw.array((2,)),)

    with pytest.raises(error, match=r"Liar\(\) of \(2,\) float64: infer says .*, and \(\) float64 comes out"):
        check_op(Liar)


@pytest.mark.usefixtures("own_operations")
def test_samples_that_say_nothing_are_refused() -> None:
    class Hollow(Elementwise):
        """x, never tried on a number."""

        forward = np.positive

        def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
            return cotangent

        @classmethod
        def samples(cls, draw: Any) -> Any:
            return cls(), (draw.array((0,)),)

    with pytest.raises(GradientError, match='nothing of "hollow" could be checked'):
        check_op(Hollow)


def test_draws_are_of_the_dtype_asked_for() -> None:
    for dtype in ("float16", "int8", "uint8", "bool"):
        draw = Draw(np.random.default_rng(0), dtype)
        assert draw.array(()).dtype == draw.array((2, 3)).dtype == dtype
    assert set(Draw(np.random.default_rng(0), bool).array((50,)).tolist()) == {True, False}
