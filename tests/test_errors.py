"""Errors: the line of the user's that they know by themselves, their fields, and the way to another process."""

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import Op, Spec, errors, nn
from graphnn.core import op as op_module
from graphnn.core import registry
from graphnn.errors import GraphnnError, restated

CLASSES = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, GraphnnError)]


def line_of(error: BaseException) -> int:
    """Return the line of this file that the innermost of its frames here is at."""
    here, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == __file__:
            here = trace.tb_lineno
        trace = trace.tb_next
    return here


def refused(call: Callable[[], Any]) -> GraphnnError:
    with pytest.raises(GraphnnError) as caught:
        call()
    return caught.value


def model() -> tuple[gn.Node, gn.Node]:
    g = gn.Graph("model")
    return g.placeholder("x", shape=("batch", 2)), g.parameter("w", np.ones((3, 3)))


# --- the line --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_knows_its_line_by_itself(kind: type[GraphnnError]) -> None:
    with pytest.raises(kind) as caught:
        raise kind("it cannot be")
    assert caught.value.origin.line == line_of(caught.value)
    assert str(caught.value) == f"it cannot be\n  at test_errors.py:{line_of(caught.value)}"
    assert caught.value.reason == caught.value.account == "it cannot be"


def test_every_public_call_names_the_line_that_made_it(tmp_path: Any) -> None:
    x, w = model()
    (tmp_path / "text.gnn").write_text("no graph")
    calls: list[Callable[[], Any]] = [
        lambda: x @ w, lambda: x == 3, lambda: bool(x), lambda: x.graph["y"], lambda: gn.grad(x, w),
        lambda: gn.run(x, {x: np.ones((1, 3))}), lambda: gn.run(x, {}, guard="every"), lambda: gn.steps(x),
        lambda: gn.compile(x, threads=-1), lambda: gn.load(tmp_path / "text.gnn"),
        lambda: nn.EarlyStopping(patience=-1), lambda: gn.sum(x, axis="one"), lambda: gn.name(3, "x"),
        lambda: x.graph.dag.add_node("y"), lambda: gn.extract("y"), lambda: gn.trace(x, {}),
    ]  # fmt: skip
    for call in calls:
        error = refused(call)
        assert error.origin == (__file__, call.__code__.co_firstlineno), str(error)
        assert str(error).endswith(f"  at test_errors.py:{call.__code__.co_firstlineno}")


def test_every_public_call_that_does_not_fit_has_a_note_with_its_signature() -> None:
    x, _ = model()
    calls: dict[Callable[[], Any], str] = {
        lambda: nn.Adam(lr=1): "Here it is learning_rate=. The call is Adam(learning_rate=0.001, ",
        lambda: nn.Adam(1).updates(los=x): 'Did you mean "loss"? The call is updates(loss=None, ',
        lambda: x.graph.placeholder(): "The call is placeholder(name, shape=(), dtype=None)",
        lambda: nn.schedules.cosine(): "The call is cosine(learning_rate, steps",
        lambda: nn.init.normal(men=1): 'Did you mean "mean"? The call is normal(mean=0.0, ',
        lambda: gn.testing.check_grads(): "The call is check_grads(",
    }
    for call, says in calls.items():
        with pytest.raises(TypeError) as caught:
            call()
        assert type(caught.value) is TypeError
        (note,) = caught.value.__notes__
        assert note.startswith(says)


@pytest.fixture
def picky() -> Iterator[type[Op]]:
    class Picky(Op):
        def infer(self, x: Spec) -> Spec:
            if x.shape != (2,):
                raise gn.ShapeError(f"it takes two numbers, not {x.shape}")
            return x

        def forward(self, x: Any, out: Any = None) -> Any:
            raise gn.ValueRangeError("not today")

    yield Picky
    del registry["picky"]
    op_module._functions.pop("picky", None)


def test_an_error_of_the_users_own_rule_names_the_line_that_called_the_operation(picky: type[Op]) -> None:
    g = gn.Graph()
    three, two = g.placeholder("three", shape=3), g.placeholder("two", shape=2)
    error = refused(lambda: picky()(three))
    assert error.origin == (__file__, three.origin.line + 1)
    assert str(error).endswith(f"  at test_errors.py:{three.origin.line + 1}")
    assert error.reason == "it takes two numbers, not (3,)"
    assert (error.op, error.operands, error.shapes) == ("picky", (three,), ((3,),))
    made = picky()(two)
    failed = refused(lambda: gn.run(made, {two: [1, 2]}))
    assert failed.origin == made.origin
    assert failed.reason == "not today"
    assert (failed.node, failed.op, failed.operands, failed.shapes) == (made, "picky", (two,), ((2,),))


# --- fields ----------------------------------------------------------------------------------------------------------


def test_errors_carry_what_they_say() -> None:
    x, w = model()
    misfit = refused(lambda: x @ w)
    assert (misfit.op, misfit.operands, misfit.shapes) == ("matmul", (x, w), (x.shape, (3, 3)))
    fed = refused(lambda: gn.run(x, {x: np.ones((4, 3))}))
    assert (fed.node, fed.given, fed.expected) == (x, (4, 3), x.shape)
    assert refused(lambda: gn.run(x, {})).unfed == ("x",)
    attribute = refused(lambda: gn.sum(x, axis="one"))
    assert (attribute.op, attribute.attribute, attribute.given) == ("sum", "axis", "one")
    infinite = refused(lambda: gn.run(x / 0.0, {x: [[1.0, 0.0]]}, guard="finite"))
    assert (infinite.op, infinite.given) == ("divide", np.inf)
    assert "error.debug()" in str(infinite)
    assert "error.debug()" not in infinite.account


def test_what_others_raise_becomes_ours_with_a_context() -> None:
    class Own(gn.ShapeError):
        def __init__(self, first: int, second: int) -> None:
            super().__init__(f"{first} is not {second}")

    told = restated(Own(1, 2), "here: ", "  and there", op="add")
    assert isinstance(told, Own)
    assert str(told).startswith("here: 1 is not 2\n  and there\n  at test_errors.py:")
    assert type(restated(MemoryError("full"))) is gn.MemoryBudgetError
    assert restated(RuntimeError()).reason == "RuntimeError"


# --- to another process ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CLASSES)
def test_errors_of_every_class_survive_pickling(kind: type[GraphnnError]) -> None:
    x, _ = model()
    error = kind("no", node=x, operands=(x, np.ones(2)), shapes=((1, 2),), attribute="axis", given=3, unfed=("x",))
    copied = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert (type(copied), str(copied), copied.origin) == (kind, str(error), error.origin)
    assert (copied.node, copied.operands[0], copied.shapes, copied.attribute) == ("x", "x", ((1, 2),), "axis")
    assert (copied.given, copied.unfed) == (3, ("x",))


def test_errors_as_they_are_met_survive_pickling(picky: type[Op]) -> None:
    x, w = model()
    two = x.graph.placeholder("two", shape=2)
    labels = x.graph.placeholder("labels", shape="batch", dtype=int)
    calls: list[Callable[[], Any]] = [
        lambda: x @ w,
        lambda: nn.Dense(4, weight=np.ones((3, 4)))(x),
        lambda: gn.run(picky()(two), {two: [1, 2]}),
        lambda: gn.run(gn.take(w, labels, axis=0), {labels: [7]}),
        lambda: gn.run(x / 0.0, {x: [[1.0, 0.0]]}, guard="nan"),
        lambda: gn.run(x, {x: np.ones((4, 3))}),
        lambda: gn.compile(gn.take(w, labels, axis=0))({labels: [7]}),
    ]
    for call in calls:
        error = refused(call)
        copied = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
        assert (type(copied), str(copied), copied.op) == (type(error), str(error), error.op)
        assert copied.shapes == error.shapes
        with pytest.raises(gn.UsageError, match="comes from no run"):
            copied.debug()


# --- bad arguments ---------------------------------------------------------------------------------------------------


class Hostile:
    def __array__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("no array today")


INSIDE: list[Any] = []
INSIDE.append(INSIDE)
ARRAY = np.ones(3)
BAD: list[tuple[Callable[[gn.Node], Any], str]] = [
    (lambda x: x + Hostile(), "an operand of add: no array today"),
    (lambda x: gn.run(x, {x: Hostile()}), 'the feed of "x": no array today'),
    (lambda x: x + range(10**15), "an operand of add: "),
    (lambda x: x.graph.placeholder("y", dtype="i4,("), "'i4,(' is not a dtype"),
    (lambda x: gn.Graph(dtype="\ud800"), "is not a dtype"),
    (lambda x: x.graph.placeholder("y", shape=np.array(3)), "a dimension is an int or a name"),
    (lambda x: gn.compile(x, backend=ARRAY), "unknown backend"),
    (lambda x: gn.jacobian(x, x, mode=ARRAY), "the mode of a Jacobian"),
    (lambda x: gn.hvp(gn.sum(x), ARRAY, ARRAY), "the nodes to differentiate with respect to, not ndarray"),
    (lambda x: gn.compare(x, x, feed={x: np.ones((1, 2))}, rtol=10**400), "rtol= is a finite number"),
    # NumPy's generators crash on a list that contains itself.
    (lambda x: gn.testing.check_grads(gn.sum(x), {x: np.ones((1, 2))}, wrt=x, rng=INSIDE), "rng= is an int"),
    (lambda x: gn.testing.check_op(registry["tanh"], rng=INSIDE), "rng= is an int"),
    (lambda x: gn.testing.Draw(np.random.default_rng(0), dtype=True), "True is not a dtype"),
    (lambda x: nn.PReLU(slope_init=ARRAY), "slope_init is an initializer"),
    (lambda x: nn.SinusoidalEncoding(10**400), "base is a number above 1"),
    (lambda x: nn.EarlyStopping("loss", mode=ARRAY), 'mode is "min" or "max"'),
    (lambda x: nn.History(5), "a history is made of a dict of lists"),
    (lambda x: nn.schedules.one_cycle("fast", 5), "learning_rate is a number, not 'fast'"),
    (lambda x: nn.schedules.piecewise(None, [1]), "piecewise takes a list of schedules, not NoneType"),
    (lambda x: gn.datasets.spiral("many"), "points is an int, not 'many'"),
    (lambda x: gn.datasets.spiral(seed=-1), "seed is an int of 0 or more"),
    (lambda x: gn.datasets.spiral(noise="much"), "noise is a number"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_a_bad_argument_is_an_error_of_graphnn(call: Callable[[gn.Node], Any], message: str) -> None:
    x, _ = model()
    assert message in str(refused(lambda: call(x)))
