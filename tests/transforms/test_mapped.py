"""`vmap`: functions of one row, applied to all. The oracle is the function itself, row by row."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphnn as gn
from graphnn import nn
from graphnn.errors import AxisError, ShapeError, UsageError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 3))
Y = RNG.normal(size=(5, 3))
W = RNG.normal(size=(3, 3))


def row_by_row(function, *arrays, axes=0):
    """What a NumPy function gives for each row."""
    axes = axes if isinstance(axes, tuple) else (axes,) * len(arrays)
    count = next(a.shape[axis] for a, axis in zip(arrays, axes, strict=True) if axis is not None)
    rows = [
        function(*[a if axis is None else np.take(a, i, axis) for a, axis in zip(arrays, axes, strict=True)])
        for i in range(count)
    ]
    return np.stack(rows)


def slope_of_taken(x, weights):
    """The gradient of sum(outer(x, x)[:, order] * weights), where the order is that of x but for the least."""
    order = np.argsort(x)[1:]
    slope = weights @ x[order]
    np.add.at(slope, order, weights.T @ x)
    return slope


def put_at_least(x):
    """The least element replaced by nine times the first."""
    x = x.copy()
    x[np.argmin(x)] = x[0] * 9
    return x


@pytest.mark.parametrize(
    ("function", "in_numpy"),
    [
        (lambda x: gn.sum(x), lambda x: x.sum()),
        (lambda x: x * 2.0 - gn.max(x), lambda x: x * 2 - x.max()),
        (lambda x: x @ W, lambda x: x @ W),
        (lambda x: gn.outer(x, x), lambda x: np.outer(x, x)),
        (lambda x: gn.cumsum(x, 0)[1:], lambda x: np.cumsum(x)[1:]),
        (lambda x: gn.sort(x), np.sort),
        (lambda x: gn.grad(gn.sum(gn.sort(x) * W[0]), x), lambda x: W[0][np.argsort(np.argsort(x))]),
        (lambda x: gn.put_along_axis(x, gn.argsort(x)[:1], x[:1] * 9.0, 0), put_at_least),
        (lambda x: gn.take(x, gn.argmax(x)), np.max),
        (lambda x: gn.take(x, gn.argsort(x)), np.sort),
        (lambda x: gn.take(gn.outer(x, x), gn.argsort(x)[1:], 1), lambda x: np.outer(x, x)[:, np.argsort(x)[1:]]),
        (lambda x: gn.grad(gn.sum(gn.take(x, gn.argsort(x)) * W[0]), x), lambda x: W[0][np.argsort(np.argsort(x))]),
        (
            lambda x: gn.grad(gn.sum(gn.take(gn.outer(x, x), gn.argsort(x)[1:], 1) * W[:, 1:]), x),
            lambda x: slope_of_taken(x, W[:, 1:]),
        ),
        (lambda x: gn.reshape(gn.concatenate([x, x], 0), (2, 3)).T, lambda x: np.concatenate([x, x]).reshape(2, 3).T),
        (lambda x: gn.where(x > gn.mean(x), x, 0.0), lambda x: np.where(x > x.mean(), x, 0)),
    ],
)
@pytest.mark.parametrize("size", ["batch", 5])
def test_each_row_gets_what_the_function_gives_for_it(function, in_numpy, size):
    x = gn.Graph().placeholder("x", (size, 3))
    np.testing.assert_allclose(gn.run(gn.vmap(function)(x), {x: X}), row_by_row(in_numpy, X), rtol=1e-13)


@pytest.mark.parametrize("axes", [0, (0, None), (None, 0), (1, 0), (-1, None), (0, 1)])
def test_rows_lie_along_the_axes_that_are_named(axes):
    a, b = RNG.normal(size=(4, 4)), RNG.normal(size=(4, 4))
    g = gn.Graph()
    x, y = g.placeholder("x", (4, 4)), g.placeholder("y", (4, 4))
    pair = axes if isinstance(axes, tuple) else (axes, axes)
    found = gn.vmap(lambda p, q: gn.sum(p * 2.0) + q @ gn.ones_like(q), axes)(x, y)
    wanted = row_by_row(lambda p, q: (p * 2).sum() + q @ np.ones_like(q), a, b, axes=pair)
    np.testing.assert_allclose(gn.run(found, {x: a, y: b}), wanted, rtol=1e-13)


@pytest.mark.parametrize("length", [1, 2, "m"])
def test_matrices_of_a_number_that_only_a_run_tells_are_multiplied(length):
    x = gn.Graph().placeholder("x", ("n", length, 3))
    found = gn.vmap(lambda p: p @ W)(x)
    assert found.shape == ("n", length, 3)
    given = RNG.normal(size=(4, 1 if length == 1 else 2, 3))
    np.testing.assert_allclose(gn.run(found, {x: given}), given @ W, rtol=1e-13)


def test_forms_go_in_and_come_out():
    g = gn.Graph()
    x, y = g.placeholder("x", ("n", 3)), g.placeholder("y", ("n", 3))
    found = gn.vmap(lambda pair, scale: {"sum": pair["a"] + pair["b"], "all": [pair["a"] * scale, 7.0]}, (0, None))(
        {"a": x, "b": y}, 3.0
    )
    values = gn.run(found, {x: X, y: Y})
    np.testing.assert_allclose(values["sum"], X + Y)
    np.testing.assert_allclose(values["all"][0], 3 * X)
    np.testing.assert_array_equal(values["all"][1], np.full(5, 7.0))


def test_gradients_inside_are_those_of_each_row():
    g = gn.Graph()
    x, labels = g.placeholder("x", ("batch", 3)), g.placeholder("labels", ("batch",), "int64")
    rng = np.random.default_rng(1)
    net = nn.Sequential(nn.Dense(4, rng=rng), nn.LayerNorm(), nn.Tanh(), nn.Dense(2, rng=rng))
    whole = nn.softmax_crossentropy(net(x), labels)
    weights = list(g.parameters)

    def slopes(row, label):
        return gn.grad(nn.softmax_crossentropy(net(gn.expand_dims(row, 0)), gn.expand_dims(label, 0)), weights)

    found = gn.vmap(slopes)(x, labels)
    t = np.array([0, 1, 1, 0, 1])
    values = gn.run(found, {x: X, labels: t})
    for i in range(5):
        one = gn.run(gn.grad(whole, weights), {x: X[i : i + 1], labels: t[i : i + 1]})
        for all_rows, row in zip(values, one, strict=True):
            np.testing.assert_allclose(all_rows[i], row, atol=1e-12)
    for mean, all_rows in zip(gn.run(gn.grad(whole, weights), {x: X, labels: t}), values, strict=True):
        np.testing.assert_allclose(all_rows.mean(axis=0), mean, atol=1e-12)
    np.testing.assert_allclose(gn.compile(found)({x: X, labels: t})[0], values[0], atol=1e-12)


def test_what_comes_out_is_differentiated_and_mapped_again():
    g = gn.Graph()
    x, w = g.placeholder("x", ("n", 3)), g.parameter("w", W)
    y = gn.vmap(lambda row: gn.tanh(row @ w))(x)
    gn.testing.check_grads(gn.sum(y * y), {x: X}, [w])
    both = gn.vmap(lambda p: gn.vmap(lambda q: gn.sum(p * q))(x))(x)
    np.testing.assert_allclose(gn.run(both, {x: X}), X @ X.T, rtol=1e-13)


def test_a_users_own_operation_is_made_for_each_row_of_a_known_number():
    class Halved(gn.Op):
        """Half of it, of vectors alone."""

        def infer(self, x):
            assert len(x.shape) == 1
            return x

        def forward(self, x):
            return x / 2

    try:
        x = gn.Graph().placeholder("x", (5, 3))
        np.testing.assert_array_equal(gn.run(gn.vmap(lambda row: Halved()(row) + 1.0)(x), {x: X}), X / 2 + 1)
        named = gn.Graph().placeholder("x", ("n", 3))
        with pytest.raises(ShapeError, match="the number of rows must be known"):
            gn.vmap(lambda row: Halved()(row))(named)
    finally:
        gn.core.registry.pop("halved", None)


def test_the_row_stays_to_be_looked_at_and_names_mirror_it():
    g = gn.Graph()
    x = g.placeholder("x", ("n", 3))
    y = gn.vmap(lambda row: gn.softmax(row))(x)
    assert y.name.startswith("vmap_1/softmax_1/")
    assert y.twin.name.startswith("row_1/softmax_1/")
    np.testing.assert_allclose(gn.run(y.twin, {x: X}), gn.run(y, {x: X})[0])


def test_random_numbers_are_the_same_in_all_rows():
    g = gn.Graph()
    x = g.placeholder("x", ("n", 3))
    y = gn.vmap(lambda row: row + gn.random_uniform(g.constant(0), (3,), seed=1))(x)
    noise = gn.run(y, {x: X}) - X
    np.testing.assert_allclose(noise, np.tile(noise[0], (5, 1)))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_drawn_functions_equal_themselves_row_by_row(data):
    g = gn.Graph()
    x, w = g.placeholder("x", ("n", 4)), g.parameter("w", np.linspace(-1, 1, 4))
    unary = [gn.tanh, gn.negative, gn.exp, lambda a: gn.cumsum(a, 0), lambda a: a / (1.0 + gn.sum(a * a)), gn.flip]
    draws = [data.draw(st.integers(0, 99)) for _ in range(6)]

    def function(row):
        nodes = [row, w]
        for i in range(0, 6, 2):
            a, b = nodes[draws[i] % len(nodes)], nodes[draws[i + 1] % len(nodes)]
            nodes.append(unary[draws[i] % len(unary)](a) * b - gn.mean(b))
        return nodes[-1]

    rows = np.random.default_rng(draws[0]).normal(size=(3, 4))
    found = gn.run(gn.vmap(function)(x), {x: rows})
    single = g.placeholder("single", (4,))
    y = function(single)
    np.testing.assert_allclose(found, [gn.run(y, {single: row}) for row in rows], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("mapped", "error", "says"),
    [
        (lambda x, y: gn.vmap(3), UsageError, "takes a function, not an int"),
        (lambda x, y: gn.vmap(gn.add, (0,))(x, y), UsageError, "1 entries, and the function is called with 2"),
        (lambda x, y: gn.vmap(gn.add, (None, None))(x, y), UsageError, "no argument has rows"),
        (lambda x, y: gn.vmap(gn.add, "0")(x, y), UsageError, "an int or None"),
        (lambda x, y: gn.vmap(gn.add, True)(x, y), UsageError, "an int or None"),
        (lambda x, y: gn.vmap(gn.add, (0, 2))(x, y), AxisError, "no axis 2: its shape is \\(4, 3\\)"),
        (lambda x, y: gn.vmap(gn.add)(x, y), ShapeError, 'different numbers of rows: "x" has n, "y" has 4'),
        (lambda x, y: gn.vmap(gn.tanh)(X), UsageError, "takes nodes, at least one"),
        (lambda x, y: gn.vmap(lambda a: gn.ones_like(a) @ y)(x), ShapeError, "matmul"),
        (
            lambda x, y: gn.vmap(lambda a, b: a)(x),
            UsageError,
            "called with one argument, argument 0, and takes \\(a, b\\)",
        ),
        (lambda x, y: gn.vmap(gn.tanh)(a=x), UsageError, "by position, not by name: a"),
        (lambda x, y: gn.vmap(lambda a: None)(x), UsageError, "what the function returns is a node, .* not None"),
        (lambda x, y: gn.vmap(lambda a: {"a": a, "b": "b"})(x), UsageError, "returns is a node, .* not 'b'"),
        (lambda x, y: gn.vmap(gn.add)(x, None), UsageError, "an argument is a node, .* not None"),
    ],
)
def test_what_cannot_be_mapped_is_refused(mapped, error, says):
    g = gn.Graph()
    x, y = g.placeholder("x", ("n", 3)), g.placeholder("y", (4, 3))
    with pytest.raises(error, match=says):
        mapped(x, y)


@pytest.mark.parametrize("size", [0, "n"])
def test_no_rows_give_no_rows(size):
    g = gn.Graph()
    x = g.placeholder("x", (3, size))
    slopes = gn.vmap(lambda row: gn.grad(gn.sum(gn.sort(row @ W) ** 2.0), row), 1)(x)
    assert slopes.shape == (size, 3)
    assert gn.run(slopes, {x: np.zeros((3, 0))}).shape == (0, 3)
    assert gn.run(gn.vmap(lambda row: gn.outer(row, row), 1)(x), {x: np.zeros((3, 0))}).shape == (0, 3, 3)


def test_a_column_is_not_multiplied_by_more_than_one_row():
    g = gn.Graph()
    columns, matrices = g.placeholder("x", ("n", "k", 1)), g.placeholder("y", ("n", "k", 3))
    products = gn.vmap(gn.matmul)(columns, matrices)
    x, y = RNG.normal(size=(2, 4, 1)), RNG.normal(size=(2, 4, 3))
    np.testing.assert_allclose(gn.run(products, {columns: x[:, :1], matrices: y[:, :1]}), x[:, :1] @ y[:, :1])
    with pytest.raises(ShapeError, match="1 meets k = 4"):
        gn.run(products, {columns: x, matrices: y})


def test_updates_inside_are_refused():
    g = gn.Graph()
    x = g.placeholder("x", ("n", 4, 3))
    norm = nn.BatchNorm()
    with pytest.raises(UsageError, match="makes updates"):
        gn.vmap(lambda rows: norm(rows, training=True))(x)
