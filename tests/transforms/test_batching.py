"""Nodes made again with a leading axis: of every operation, each row is what the operation gives for it alone."""

from typing import Any

import numpy as np
import pytest
from test_ops import OPS

import graphnn as gn
from graphnn.core import registry
from graphnn.testing import Draw
from graphnn.transforms.batching_rules import batched

FACTORS = (1.0, 0.75, 1.25)
# Of the random numbers, each row has a counter of its own.
FOR_EACH_ROW = {"random_normal", "random_uniform"}


def check_rows(op: gn.Op, operands: Any, many: set[int]) -> set[str]:
    """Check an operation with a leading axis before some of its operands; return which operations that takes."""
    one, other = gn.Graph(), gn.Graph()
    single = [one.placeholder(f"x{i}", x.shape, x.dtype) for i, x in enumerate(operands)]
    values: list[Any] = []
    for i, x in enumerate(operands):
        factors = np.array(FACTORS if x.dtype.kind == "f" else [1, 0, 1]).astype(x.dtype)
        values.append(np.multiply.outer(factors, x) if i in many else x)
    made = [other.placeholder(f"x{i}", x.shape, x.dtype) for i, x in enumerate(values)]
    pairs = list(enumerate(zip(single, made, strict=True)))
    y = op(*single, graph=one)
    plain, rows = (dict(pair for i, pair in pairs if (i in many) is rowed) for rowed in (False, True))
    (found,) = batched([y], plain, rows, len(FACTORS), lambda node: None)
    assert (found.shape, found.dtype) == ((len(FACTORS), *y.shape), y.dtype)
    given = gn.run(found, dict(zip(made, values, strict=True)))
    for row in range(len(FACTORS)):
        alone = {node: x[row] if i in many else x for i, (node, x) in enumerate(zip(single, values, strict=True))}
        np.testing.assert_allclose(given[row], gn.run(y, alone), rtol=1e-12, atol=1e-12)
    return {node.op.name for node in other}


@pytest.mark.parametrize("name", sorted(cls.name for cls in OPS if cls.operands or cls.variadic))
def test_each_row_is_what_the_operation_gives_for_it_alone(name: str) -> None:
    for seed in range(2 if registry[name].elementwise or name in FOR_EACH_ROW else 9):
        op, operands = registry[name].samples(Draw(np.random.default_rng(seed)))
        flows = [i for i in range(len(operands)) if op.flows(i)] or [0]
        taken = check_rows(op, operands, ({flows[0]}, {flows[-1]}, set(flows))[seed % 3])
        one_by_one = name not in ("getitem", "stack") and {"getitem", "stack"} <= taken
        assert one_by_one == (name in FOR_EACH_ROW)


@pytest.mark.parametrize("shapes", [((3, 1), (1, 4)), ((2, 3, 1), (1, 4)), ((1,), (1, 4)), ((3, 1), (2, 1, 4))])
@pytest.mark.parametrize("many", [{1}, {0, 1}])
def test_columns_times_rows_are_multiplied_and_not_added_up(
    shapes: tuple[tuple[int, ...], ...], many: set[int]
) -> None:
    operands = [np.random.default_rng(0).normal(size=shape) for shape in shapes]
    assert "matmul" not in check_rows(gn.ops.linalg.Matmul(), operands, many)


def test_single_rows_times_one_matrix_are_one_product() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 4, 4))
    taken = check_rows(gn.ops.linalg.Matmul(), (x[:1], y), {0})
    assert taken == {"placeholder", "squeeze", "matmul", "reshape"}


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_indices_that_differ_from_row_to_row_take_from_one_array_at_once(axis: int | None) -> None:
    operands = np.arange(6.0).reshape(3, 2), np.array([[1, 0], [0, 1], [1, 1]])
    assert "stack" not in check_rows(gn.ops.indexing.Take(axis), operands, {1})


@pytest.mark.parametrize("op", [gn.ops.indexing.Take(0), gn.ops.indexing.Take(None), gn.ops.indexing.TakeAlongAxis(1)])
def test_indices_that_differ_from_row_to_row_take_of_rows_at_once(op: gn.Op) -> None:
    indices = np.array([[1, 0], [0, 1], [1, 1]])
    assert "stack" not in check_rows(op, (np.arange(6.0).reshape(3, 2), indices), {0, 1})


def test_several_indices_that_differ_from_row_to_row_are_taken_one_by_one() -> None:
    indices = np.array([1, 0])
    assert "stack" in check_rows(gn.ops.scatter.GatherNd(), (np.arange(6.0).reshape(3, 2), indices), {0, 1})


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_rows_of_indices_take_of_one_array_at_once(axis: int | None) -> None:
    indices = np.array([[1, 0, 1], [0, 0, 1]])
    assert "stack" not in check_rows(gn.ops.indexing.Take(axis), (np.arange(6.0).reshape(3, 2), indices), {1})
