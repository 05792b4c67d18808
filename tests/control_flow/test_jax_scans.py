"""Loops have the values and gradients of jax.lax.scan. The figures are made by tests/data/make_jax_scans.py."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scan_bodies import BODIES

import graphnn as gn

M = SimpleNamespace(
    **{name: getattr(gn, name) for name in dir(gn) if name.islower()},
    slope=lambda function, x: gn.grad(function(x), x),
)
"""What the steps compute with."""


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    with np.load(Path(__file__).parents[1] / "data" / "jax_scans.npz") as file:
        return dict(file)


def leaves(tree: Any) -> list[gn.Node]:
    """Return the leaves in JAX's order: dicts by their keys, and nothing for None."""
    if isinstance(tree, dict):
        tree = [tree[key] for key in sorted(tree)]
    if isinstance(tree, (list, tuple)):
        return [leaf for part in tree for leaf in leaves(part)]
    return [] if tree is None else [tree]


@pytest.mark.parametrize("recompute", [False, 2])
@pytest.mark.parametrize("case", BODIES)
def test_values_and_gradients_are_those_of_jax(case: str, recompute: Any, figures: dict[str, Any]) -> None:
    body, m = BODIES[case], SimpleNamespace(**vars(M))
    g = gn.Graph()
    m.eye = lambda n: gn.eye(n, graph=g)
    given: dict[str, dict[str, gn.Node]] = {"p": {}, "init": {}, "xs": {}}
    for path, array in figures.items():
        if path.startswith(f"{case}/") and path.split("/")[1] in given:
            _, kind, name = path.split("/")
            given[kind][name] = g.parameter(f"{kind}/{name}", array, trainable=array.dtype.kind == "f")
    p, init, xs = given.values()

    def step(state: Any, row: Any = None) -> Any:
        return body.step(m, p, state, row)

    length = None if xs else body.length
    found = leaves(gn.scan(step, init, xs or None, body.reverse, length=length, recompute=recompute))
    loss = sum(gn.sum(gn.sin(x)) for x in found if x.dtype.kind == "f")
    floats = [node for nodes in given.values() for node in nodes.values() if node.dtype.kind == "f"]
    moved = gn.jvp(loss, {node: np.sin(node.value) for node in floats})
    run = gn.run([found, gn.grad(loss, floats), moved])
    for i, array in enumerate(run[0]):
        np.testing.assert_allclose(array, figures[f"{case}/out/{i}"], rtol=1e-10, atol=1e-12)
    for node, array in zip(floats, run[1], strict=True):
        np.testing.assert_allclose(array, figures[f"{case}/slope/{node.name}"], rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(run[2], figures[f"{case}/moved"], rtol=1e-10)
