"""Jacobians, Hessians and their products with vectors: nodes of the graph, with the values of torch.func.

The figures are made by tests/data/make_torch_jacobians.py.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import Spec, nn
from graphnn.core import registry
from graphnn.errors import DtypeError, GraphnnWarning, NoRuleError, ShapeError, UsageError

LABELS = np.array([2, 0, 1])


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    with np.load(Path(__file__).parents[1] / "data" / "torch_jacobians.npz") as file:
        return dict(file)


def logits_of(x: Any, w: Any, b: Any, out: Any) -> Any:
    return gn.tanh(x @ w + b) @ out


def layer_norm(x: Any, weight: Any, bias: Any) -> Any:
    centered = x - gn.mean(x, -1, keepdims=True)
    return centered / gn.sqrt(gn.mean(gn.square(centered), -1, keepdims=True) + 1e-5) * weight + bias


def attention(query: Any, key: Any, value: Any) -> Any:
    return gn.softmax(query @ gn.swapaxes(key, -1, -2) / 2.0) @ value


CASES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "perceptron": (logits_of, lambda y: nn.softmax_crossentropy(y, LABELS)),
    "crossentropy": (gn.log_softmax, lambda y: -gn.mean(gn.pick(y, LABELS))),
    "layer_norm": (layer_norm, lambda y: gn.sum(y**3.0)),
    "convolution": (lambda x, w: gn.conv(x, w, stride=2, padding=1), lambda y: gn.sum(gn.sigmoid(y))),
    "attention": (attention, lambda y: gn.mean(gn.square(y))),
}


@pytest.mark.parametrize("case", CASES)
def test_the_values_are_those_of_torch(case: str, figures: dict[str, Any]) -> None:
    given = {name.removeprefix(f"{case}/"): array for name, array in figures.items() if name.startswith(f"{case}/")}
    result, loss = CASES[case]
    count = sum(name.startswith("in") for name in given)
    g = gn.Graph()
    x = [g.parameter(f"x{i}", given[f"in{i}"]) for i in range(count)]
    y = result(*x)
    scalar = loss(y)
    found = {f"y{i}": block for i, block in enumerate(gn.jacobian(y, x, mode="reverse"))}
    found |= {f"forward y{i}": block for i, block in enumerate(gn.jacobian(y, x, mode="forward"))}
    found |= {f"h{i}{j}": block for i, row in enumerate(gn.hessian(scalar, x)) for j, block in enumerate(row)}
    found |= {f"v{i}": product for i, product in enumerate(gn.hvp(scalar, x, [given[f"u{i}"] for i in range(count)]))}
    assert len(found) == 3 * count + count**2
    values = gn.run(found)
    for name, value in values.items():
        wanted = given[name.removeprefix("forward ")]
        assert value.shape == found[name].shape == wanted.shape
        np.testing.assert_allclose(value, wanted, rtol=1e-10, atol=1e-10)
    step = gn.compile(found)
    for name, value in step().items():
        assert np.array_equal(value, values[name])


def test_sizes_that_have_names() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 2))
    y = logits_of(x, np.ones((2, 4)), 0.1, np.arange(12.0).reshape(4, 3))
    for mode in ("reverse", "forward"):
        found = gn.jacobian(y, x, mode=mode)
        assert found.shape == ("batch", 3, "batch", 2)
        for batch in (1, 3):
            given = np.arange(2.0 * batch).reshape(batch, 2) / 4
            value = gn.run(found, {x: given})
            for i in range(batch):
                for j in range(batch):
                    alone = gn.run(found, {x: given[i : i + 1]})[0, :, 0] if i == j else np.zeros((3, 2))
                    np.testing.assert_allclose(value[i, :, j], alone, atol=1e-15)


def test_the_mode_with_fewer_rows_is_taken() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", shape=2), g.placeholder("w", shape=(2, 5))
    y = x @ w
    rows = [node.shape for by in (x, w) for node in [gn.jacobian(y, by)] for node in list(g) if node.op.name == "eye"]
    assert rows == [(2, 2), (2, 2), (5, 5)]


def test_forms_within_forms() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", shape=2), g.placeholder("w", shape=3)
    found = gn.jacobian({"outer": gn.outer(x, w), "sum": gn.sum(x) * w}, (x, [w]))
    shapes = {name: (by_x.shape, by_w.shape) for name, (by_x, [by_w]) in found.items()}
    assert shapes == {"outer": ((2, 3, 2), (2, 3, 3)), "sum": ((3, 2), (3, 3))}
    assert gn.jacobian("x", x).shape == (2, 2)


def test_one_node_may_be_the_result_and_what_it_is_differentiated_by() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=(2, 2))
    assert np.array_equal(gn.run(gn.jacobian(x, x), {x: np.zeros((2, 2))}), np.eye(4).reshape(2, 2, 2, 2))


def test_a_hessian_is_forward_over_reverse_where_sizes_are_known() -> None:
    for shape in (3, "batch"):
        x = gn.Graph().placeholder("x", shape=shape)
        turned = gn.hessian(gn.sum(gn.sin(x)), x).op.name == "transpose"  # columns, of tangents
        assert turned == (shape == 3)


def test_a_hessian_makes_some_ten_nodes_for_each_pair() -> None:
    g = gn.Graph()
    h = g.constant(np.ones((5, 3)))
    w = [g.parameter(f"w{i}", np.ones((3, 3))) for i in range(8)]
    for each in w:
        h = gn.tanh(h @ each)
    loss = gn.sum(h * h)
    gn.grad(loss, w)
    before = len(g)
    gn.hessian(loss, w)
    assert 5 < (len(g) - before) / len(w) ** 2 < 15


def test_what_does_not_depend_is_zeros_with_a_warning() -> None:
    g = gn.Graph()
    x, z = g.placeholder("x", shape=2), g.placeholder("z", shape=3)
    with pytest.warns(GraphnnWarning, match='no derivative passes between "z" and "square"'):
        found = gn.jacobian(gn.square(x), z, mode="reverse")
    assert not gn.run(found).any()
    assert found.shape == (2, 3)


def test_gradients_pass_through_a_hessian() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=3)
    curvature = gn.sum(gn.square(gn.hessian(gn.sum(gn.sin(x)) * gn.prod(x), x)))
    gn.testing.check_grads(curvature, {x: [0.3, -0.5, 0.8]}, wrt=x)
    third = gn.jacobian(gn.hessian(gn.sum(x**4.0), x), x)
    assert np.array_equal(gn.run(third, {x: [1.0, 2.0, 3.0]})[[0, 1, 2], [0, 1, 2], [0, 1, 2]], [24.0, 48.0, 72.0])


def test_the_nodes_are_made_for_those_that_they_differentiate() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 2))
    y = nn.Sequential(nn.Dense(3), nn.Softmax())(x)
    before = list(g)
    found = gn.jacobian(y, x)
    made = list(g)[len(before) :]
    assert {node.phase for node in made} == {"backward"}
    assert {node.scope for node in made} == {"jacobian", "jacobian/dense_1", "jacobian/softmax_1"}
    assert {node.twin for node in made} - {None} <= set(before)
    assert not [node.name for node in g if not node.users and node not in (found, y)], "and nothing is left over"


# --- operations that take no stacks ---------------------------------------------------------------------------


@pytest.fixture
def cubed() -> Any:
    class Cubed(gn.Op):
        """x³, of a vector."""

        def infer(self, x: Spec) -> Spec:
            assert len(x.shape) == 1
            return x

        def forward(self, x: Any) -> Any:
            return x**3

        def vjp(self, i: int, cotangent: Any, output: Any, inputs: Any) -> Any:
            return TimesSquare()(cotangent, inputs[0])

    class TimesSquare(gn.Op):
        """3 c x², of vectors."""

        def infer(self, c: Spec, x: Spec) -> Spec:
            assert len(c.shape) == 1
            return x

        def forward(self, c: Any, x: Any) -> Any:
            return 3 * c * x**2

    yield Cubed()
    del registry["cubed"], registry["times_square"]


def test_an_operation_that_takes_no_stacks_is_made_for_each_row(cubed: Any) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=3)
    found = gn.jacobian(cubed(x), x)
    assert np.array_equal(gn.run(found, {x: [1.0, 2.0, 3.0]}), np.diag([3.0, 12.0, 27.0]))
    with pytest.raises(NoRuleError, match=r'"cubed" has no forward-mode rule'):
        gn.jacobian(cubed(x), x, mode="forward")
    with pytest.raises(NoRuleError, match=r'"times_square" has no gradient rule'):
        gn.hessian(gn.sum(cubed(x)), x)
    results = [gn.sin(x), gn.grad(gn.sum(cubed(x)), x)]
    before = list(g)
    with pytest.raises(NoRuleError, match=r'"times_square" has no gradient rule'):
        gn.jacobian(results, x, mode="reverse")
    assert list(g) == before, "an error leaves nothing"


def test_then_the_number_of_rows_must_be_known(cubed: Any) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape="batch")
    y = cubed(x)
    for results in (y, [gn.sin(x), y]):
        before = list(g)
        with pytest.raises(
            ShapeError, match=r'"times_square", for "cubed", is made once for each row.* and it is batch'
        ):
            gn.jacobian(results, x)
        assert list(g) == before


# --- what is refused ------------------------------------------------------------------------------------------


def test_what_is_refused() -> None:
    g = gn.Graph()
    x, n = g.placeholder("x", shape=2), g.placeholder("n", shape=2, dtype="int64")
    with pytest.raises(UsageError, match='the mode of a Jacobian is "reverse" or "forward", not \'backward\''):
        gn.jacobian(x, x, mode="backward")  # type: ignore[arg-type]
    with pytest.raises(DtypeError, match='"n", is int64'):
        gn.jacobian(x * gn.cast(n, "float64"), n)
    with pytest.raises(ShapeError, match="grad needs a scalar"):
        gn.hessian(x, x)
    words = "in the form of what to differentiate by, one for each node: a list of 1, not an? "
    for vectors, given in [
        ([[1.0, 2.0], [3.0, 4.0]], "list of 2$"),
        (np.ones(2), "ndarray$"),
        ({"x": 1, "y": [2]}, r"dict of \['x', 'y'\]"),
        (2, "int$"),
    ]:
        with pytest.raises(UsageError, match=f"(?m){words}{given}"):
            gn.hvp(gn.sum(x), [x], vectors)
    with pytest.raises(UsageError, match="hvp: wrt is empty"):
        gn.hvp(gn.sum(x), [], [])
    with pytest.raises(ShapeError, match=r'the tangent of "x" has shape \(3,\)'):
        gn.hvp(gn.sum(x * x), x, [1.0, 2.0, 3.0])
