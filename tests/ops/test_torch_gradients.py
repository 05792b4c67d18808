"""Gradients of the first and second order against PyTorch's, which data/make_torch_operations.py has written down."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import Node

TORCH = json.loads((Path(__file__).parents[1] / "data" / "torch_operations.json").read_text(encoding="utf-8"))

PLACES = np.array([[0, 2], [3, 1]])
REPEATED = np.array([[0, 0, 2, 2, 1], [1, 1, 3, 1, 3]])
THREE = np.array([[0, 0, 2, 2, 0], [1, 1, 3, 3, 3], [0, 0, 0, 1, 1]])

# The same as in data/make_torch_operations.py, where that is not the function of the same name.
CASES: dict[str, Callable[..., Node]] = {
    "gelu by tanh": lambda x: gn.gelu(x, approximate="tanh"),
    "tril": lambda x: gn.tril(x, 1),
    "triu": lambda x: gn.triu(x, -1),
    "diag of a vector": lambda x: gn.diag(x, 1) ** 2,
    "diag of a matrix": lambda x: gn.diag(x, -1) ** 2,
    "roll": lambda x: gn.roll(x, (1, -2), (0, 1)) ** 3,
    "sort": lambda x: gn.sort(x) ** 2,
    "sort from the largest": lambda x: gn.sort(x, descending=True) ** 2,
    "topk": lambda x: gn.topk(x, 2, 0)[0] ** 3,
    "cumprod": lambda x: gn.cumprod(x, 1),
    "gather_nd": lambda x: gn.gather_nd(x, PLACES) ** 2,
    "scatter_nd": lambda x: gn.scatter_nd(x, PLACES, (4, 3)) ** 3,
    "put_along_axis": lambda x, v: gn.put_along_axis(x, PLACES, v, 1) ** 2,
    "unbind": lambda x: gn.stack([part * (i + 1) for i, part in enumerate(gn.unbind(x, 1))]) ** 3,
    "solve for a vector": gn.solve,
    "maximum_along_axis": lambda x, v: gn.put_along_axis(x, REPEATED, v, 1, reduce="maximum") ** 2,
    "minimum_along_axis": lambda x, v: gn.put_along_axis(x, REPEATED, v, 1, reduce="minimum") ** 2,
    "multiply_along_axis": lambda x, v: gn.put_along_axis(x, THREE, v, 1, reduce="multiply"),
}


@pytest.mark.parametrize("name", TORCH)
def test_gradients_of_both_orders_are_those_of_torch(name: str) -> None:
    figures: dict[str, Any] = TORCH[name]
    g = gn.Graph()
    operands = [g.placeholder(f"p{i}", np.shape(value)) for i, value in enumerate(figures["operands"])]
    result = CASES.get(name, getattr(gn, name, None))(*operands)  # type: ignore[misc]
    first = gn.vjp({result: np.array(figures["c"])}, operands)
    pairs = zip(first, figures["d"], strict=True)
    weighed = [gn.sum(slope * np.array(d)) for slope, d in pairs]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*no derivative passes between", gn.errors.GraphnnWarning)
        second = gn.grad(sum(weighed[1:], weighed[0]), operands)
    ours = gn.run([result, *first, *second], dict(zip(operands, figures["operands"], strict=True)))
    theirs = [figures["result"], *figures["first"], *figures["second"]]
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-10, atol=1e-12)
