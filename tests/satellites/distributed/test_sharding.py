"""How operations treat the rows of a batch, and what of a step that mixes rows is refused."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import Op, nn
from graphnn.core import Array, fn, registry
from graphnn.distributed.sharding import Joined, cut
from graphnn.distributed.training_shards import Alone, Sharded, subtrees
from graphnn.errors import GraphnnError
from graphnn.testing.random_samples import Draw

Places = tuple[tuple[int, int], ...]
"""(operand, axis) of what has the rows."""
SAMPLES = 4  # for each operation; with 120 of them there was nothing else


def rows_in(shapes: Sequence[tuple[int, ...]]) -> list[Places]:
    """Return in which axes of which operands there may be rows."""
    spots = [(i, axis) for i, shape in enumerate(shapes) for axis, n in enumerate(shape) if n >= 2]
    pairs = [(a, b) for a, b in itertools.combinations(spots, 2) if a[0] != b[0]]
    return [*[(a,) for a in spots], *[(a, b) for a, b in pairs if shapes[a[0]][a[1]] == shapes[b[0]][b[1]]]][:6]


def with_names(op: Any, n: int) -> Iterator[Op]:
    """Yield an operation, and the same with the number of rows in the place of a number."""
    yield op
    for name in op.sized:
        value = getattr(op, name)
        for i, dim in enumerate(value if isinstance(value, tuple) else ()):
            if isinstance(dim, int) and dim and dim % n == 0:
                yield replace(op, **{name: (*value[:i], f"{dim // n}*batch", *value[i + 1 :])})


def built(op: Op, operands: Sequence[Array], places: Places) -> tuple[gn.Node, dict[gn.Node, Array]]:
    g = gn.Graph()
    feed: dict[gn.Node, Array] = {}
    nodes = []
    for i, x in enumerate(operands):
        axis = dict(places).get(i)
        if axis is None:
            nodes.append(g.constant(x))
            continue
        rows = np.moveaxis(x, axis, 0)
        fed = g.placeholder(f"p{i}", ("batch", *rows.shape[1:]), x.dtype)
        feed[fed] = rows
        nodes.append(fn.moveaxis(fed, 0, axis))
    return op(*nodes, graph=g), feed


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", [name for name, cls in registry.items() if cls.operands and cls.__module__.startswith("graphnn.ops")]
)
def test_shards_compute_what_the_whole_batch_does_or_refuse(name: str) -> None:
    for seed in range(SAMPLES):
        op, operands = registry[name].samples(Draw(np.random.default_rng(seed)))
        operands = [np.asarray(x) for x in operands]
        for places in rows_in([x.shape for x in operands]):
            n = operands[places[0][0]].shape[places[0][1]]
            for each in with_names(op, n):
                try:
                    y, feed = built(each, operands, places)
                    sharded = Sharded(gn.compile(y, backend="interpreter"), 2, "all", Alone())
                    whole = gn.run(y, feed)
                except GraphnnError:
                    continue
                found = sharded(feed)
                assert (found.shape, found.dtype) == (whole.shape, whole.dtype)
                np.testing.assert_allclose(found, whole, rtol=1e-9, atol=1e-12)


def test_what_is_computed_by_shards() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", ("batch", 3)), g.parameter("w", np.ones((3, 2)))
    h = gn.tanh(x @ w)
    loss = gn.mean(gn.square(h))
    (slope,) = gn.grad(loss, [w])
    found = cut([loss], {w: w - slope}, ["batch"])
    assert found.stages == 1
    assert [node.name for node, part in found.parts.items() if part.joined] == [loss.name, slope.name]
    assert found.parts[slope].joined is Joined.ADD
    assert found.parts[h].axis == 0


def test_rows_that_stand_in_an_axis_with_others() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", "time", 2))
    turned = gn.transpose(x, (1, 0, 2))
    both = gn.reshape(turned, (-1, 2))  # (time*batch, 2): each row stands there `time` times
    product = both.T @ both
    X = np.random.default_rng(0).normal(size=(5, 3, 2))
    sharded = Sharded(gn.compile(product), 2, "all", Alone())
    np.testing.assert_allclose(sharded({x: X}), np.einsum("bti,btj->ij", X, X))
    with pytest.raises(gn.UsageError, match="mixes the rows of a batch"):
        cut([both], {}, ["batch"])  # its rows are not those of one shard after those of another
    with pytest.raises(gn.UsageError, match="mixes the rows of a batch"):
        cut([gn.mean(both.T @ gn.reshape(x, (-1, 2)))], {}, ["batch"])


def test_the_error_of_a_branch_in_shards_says_what_to_write() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", ("batch", 2)), g.parameter("w", 1.0)
    sides = [lambda v: v * 2.0, lambda v: -v]
    words = r"a branch of .*which may mix the rows of a batch.*compute: gn\.where\(flag, then\(x\), otherwise\(x\)\)"
    with pytest.raises(gn.UsageError, match=words):
        cut([gn.mean(gn.cond(w > 0, *sides, x))], {}, ["batch"])
    X = np.arange(10.0).reshape(5, 2)
    sharded = Sharded(gn.compile(gn.mean(gn.where(w > 0, *[side(x) for side in sides]))), 2, "all", Alone())
    np.testing.assert_allclose(sharded({x: X}), 9.0)


@pytest.mark.parametrize("mixing", ["cumsum", "sort", "flip", "roll", "var", "argmax", "first", "pairs"])
def test_what_mixes_rows_is_named(mixing: str) -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 3))
    mixed = {
        "cumsum": lambda: gn.cumsum(x, 0),
        "sort": lambda: gn.sort(x, 0),
        "flip": lambda: gn.flip(x, 0),
        "roll": lambda: gn.roll(x, 1, 0),
        "var": lambda: gn.var(x, 0),
        "argmax": lambda: gn.argmax(x, 0),
        "first": lambda: x[0],
        "pairs": lambda: x @ x.T,
    }[mixing]()
    with pytest.raises(gn.UsageError, match=r"cannot be computed by shards.*made at test_sharding\.py:\d+") as caught:
        cut([gn.mean(mixed)], {}, ["batch"])
    assert caught.value.node.graph is g
    assert ("gn.mean(gn.square(x - gn.mean(x)))" in str(caught.value)) == (mixing == "var")


def test_a_number_of_rows_that_is_fixed_is_refused() -> None:
    g = gn.Graph()
    x, table = g.placeholder("x", ("batch", 3)), g.parameter("table", np.ones((64, 3)))
    with pytest.raises(gn.UsageError, match="holds only where batch = 64"):
        cut([gn.mean(x * table)], {}, ["batch"])


@pytest.mark.parametrize("shards", [1, 2, 3, 7, 8])
def test_the_tree_depends_on_the_number_of_shards_alone(shards: int) -> None:
    (whole,) = subtrees(0, shards, shards)
    assert whole == (0, shards)
    for first, last in itertools.combinations(range(shards + 1), 2):
        parts = list(subtrees(first, last, shards))
        assert [parts[0][0], parts[-1][1]] == [first, last]
        assert all(a[1] == b[0] for a, b in itertools.pairwise(parts))
        assert all(part in list(subtrees(*part, shards)) for part in parts)


def test_the_gradient_of_padded_features_keeps_the_rows() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", ("batch", 3)), g.parameter("w", np.array([1.0, -2.0, 0.5]))
    loss = gn.sum(gn.square(gn.pad(gn.tanh(x * w), ((0, 0), (1, 2))) * np.arange(6.0)))
    rows = np.random.default_rng(0).normal(size=(8, 3))
    step = gn.compile([loss, gn.grad(loss, w)])
    for one, other in zip(step({x: rows}), Sharded(step, 3, "all", Alone())({x: rows}), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)


def test_reductions_other_than_sums_are_put_together() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 3))
    figures = [gn.max(x), gn.min(x, 0), gn.prod(x, 0), gn.any(x > 2.0), gn.all(x > -9.0), gn.logsumexp(x, 0)]
    slopes = gn.grad(gn.max(x) + gn.sum(gn.logsumexp(x, 0)), [x])
    X = np.random.default_rng(1).normal(size=(11, 3))
    step = gn.compile([*figures, *slopes])
    sharded = Sharded(step, 4, "all", Alone())
    for one, other in zip(step({x: X}), sharded({x: X}), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("recompute", [False, True])
def test_loops_over_time(reverse: bool, masked: bool, recompute: bool) -> None:
    g, rng = gn.Graph(), np.random.default_rng(0)
    x, keep = g.placeholder("x", ("batch", "time", 3)), g.placeholder("keep", ("batch", "time"), np.bool_)
    w, u = g.parameter("w", rng.normal(size=(3, 2))), g.parameter("u", rng.normal(size=(2, 2)))

    def step(carried: Any, row: gn.Node) -> Any:
        h, total = carried
        h = gn.tanh(row @ w + h @ u)
        return (h, total + gn.sum(h)), h  # a sum over the rows is carried, too

    def masked_step(h: gn.Node, row: gn.Node) -> Any:
        h = gn.tanh(row @ w + h @ u)
        return h, h

    rows, zeros = gn.transpose(x, (1, 0, 2)), gn.zeros(("batch", 2), graph=g)
    if masked:  # each row has a mask of its own, so all that is carried has rows
        mask = gn.transpose(keep)
        last, each = gn.scan(masked_step, zeros, rows, reverse, mask=mask, recompute=recompute)
        loss = gn.mean(gn.square(last)) + gn.sum(each)
    else:
        (last, total), each = gn.scan(step, (zeros, gn.zeros((), graph=g)), rows, reverse, recompute=recompute)
        loss = gn.mean(gn.square(last)) * gn.tanh(total) + gn.sum(each)
    fetches = [loss, *gn.grad(loss, [w, u])]
    feed: dict[gn.Node, Any] = {x: rng.normal(size=(7, 4, 3))}
    if masked:
        feed[keep] = rng.random((7, 4)) > 0.3
    for one, other in zip(
        gn.compile(fetches)(feed), Sharded(gn.compile(fetches), 3, "all", Alone())(feed), strict=True
    ):
        np.testing.assert_allclose(other, one, rtol=1e-12)


@pytest.mark.parametrize("kind", ["a mean over the rows", "an iteration for each row"])
def test_loops_in_which_rows_meet_are_refused(kind: str) -> None:
    g = gn.Graph()
    x, u = g.placeholder("x", ("batch", 3)), g.parameter("u", np.ones((3, 3)))

    def step(h: gn.Node, row: gn.Node) -> Any:
        return gn.tanh(row + h @ u + gn.mean(h, 0)), h

    if kind == "an iteration for each row":
        last, _ = gn.scan(step, gn.zeros((3,), graph=g), x)
    else:
        last, _ = gn.scan(step, x, gn.zeros((4, 3), graph=g))
    with pytest.raises(gn.UsageError, match=r'"scan_1/loop" cannot be computed by shards'):
        cut([gn.mean(last)], {}, ["batch"])


def test_a_batch_without_rows_is_refused() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", ("batch",)), g.parameter("w", 1.0)
    loss = gn.mean(x * w)
    step = gn.compile(loss, nn.SGD(0.1).updates(loss))
    with pytest.raises(gn.ValueRangeError, match="empty batch"):
        Sharded(step, 2, "all", Alone())({x: np.zeros(0)})
