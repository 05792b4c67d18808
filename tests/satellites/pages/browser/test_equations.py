"""The equation under the pointer is that of the values, for every operation."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page
from pointing import equation, hover
from test_ops import OPS, quietly
from test_reads import drawn, named

import graphnn as gn
from graphnn import Op

Opened = Callable[..., Page]

DTYPES = ["float64", "float32", "float16", "int64", "bool"]
SPECIAL = [0.0, -0.0, 0.5, -2.5, 1e-7, 12345.678, 1e308, np.nan, np.inf, -np.inf]


def runs_of(dtype: str) -> tuple[gn.Trace, dict[str, list[tuple[Op, gn.Node]]]]:
    """Return one run with some nodes of every operation, and those nodes by operation."""
    g = gn.Graph("operations")
    feed: dict[Any, Any] = {}
    found: dict[str, list[tuple[Op, gn.Node]]] = {}
    for cls in OPS:
        for seed in range(4):
            op, operands, indices, _ = drawn(cls, seed, dtype)
            if indices and np.asarray(quietly(op.forward, *operands)).size <= 200:
                inputs = [g.placeholder(f"p{len(feed) + i}", x.shape, x.dtype) for i, x in enumerate(operands)]
                feed |= dict(zip(inputs, operands, strict=True))
                found.setdefault(cls.name, []).append((op, op(*inputs, graph=g)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nodes = [node for group in found.values() for _, node in group]
        return gn.trace(nodes, feed), found


def saved(trace: gn.Trace, folder: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path: Path = trace.to_html().save(folder / "page.html")
        return path


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_equation_of_every_element_of_every_operation(dtype: str, opened: Opened, tmp_path: Path) -> None:
    trace, found = runs_of(dtype)
    assert len(found) == len(OPS) or dtype in ("float16", "int64", "bool")
    page = opened(saved(trace, tmp_path))
    names = page.evaluate("nodes.name")
    asked, expected = [], []
    for group in found.values():
        for op, node in group:
            place, value = names.index(node.name), trace[node].value
            operands = [trace[operand].value for operand in node.inputs]
            for cell, index in enumerate(np.ndindex(*value.shape)):
                why = trace.why(node, index)
                bound = op.bound(trace.prepared.sizes)
                reads = [
                    named(entry, operand.shape)
                    for entry, operand in zip(bound.reads(index, operands), operands, strict=True)
                ]
                asked.append([place, cell])
                expected.append([why.equation, list(dict.fromkeys(map(str, why.reads))), reads])
    told = page.evaluate(
        """(asked) => asked.map(([place, cell]) => {
          const told = explained(0, place, cell), read = readBy(0, place, cell);
          const places = read.map((each) => [...new Set(each.places)].sort((a, b) => a - b));
          return [told.equation, [...new Set(told.reads.map((each) => each.text))], places];
        })""",
        asked,
    )
    wrong = [f"{theirs}\n  instead of {ours}" for theirs, ours in zip(told, expected, strict=True) if theirs != ours]
    assert not wrong, f"{len(wrong)} of {len(expected)}: " + "\n".join(wrong[:5])


def test_pointing_at_an_element_of_each_operation(opened: Opened, tmp_path: Path) -> None:
    trace, found = runs_of("float64")
    page = opened(saved(trace, tmp_path), size="screen")
    for name, group in found.items():
        node = group[0][1]
        index = tuple(n - 1 for n in trace[node].shape)
        page.evaluate("(name) => go(nodes.name.indexOf(name))", node.name)
        hover(page, node.name, index)
        assert equation(page) == trace.why(node, index).equation, name


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_numbers_are_written_as_the_library_writes_them(dtype: str, opened: Opened, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    numbers = np.concatenate([
        SPECIAL, rng.normal(size=300), 10.0 ** rng.uniform(-12, 12, 300), rng.integers(-20_000, 20_000, 100) / 8,
        np.array([0.15625, 2.5, 1234.5, 1235.5, 9999.5, 99995.0, 0.00012345, 1000, 20000, 123456]),
    ])  # fmt: skip
    with np.errstate(over="ignore"):
        array = numbers.astype(dtype)
    x = gn.Graph().placeholder("x", shape=(len(array),), dtype=dtype)
    trace = gn.trace(x, {x: array})
    page = opened(saved(trace, tmp_path))
    told = page.evaluate("Array.from({ length: valueOf(0, 0).size }, (_, cell) => explained(0, 0, cell).equation)")
    assert told == [trace.why(x, (i,)).equation for i in range(len(array))]
