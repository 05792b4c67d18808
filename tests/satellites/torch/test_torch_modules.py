"""Networks of the kinds that people write: values and gradients as PyTorch's, at three sizes; and what is refused."""

from __future__ import annotations

import copy
import dataclasses
import re
import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import modules_2026  # noqa: E402

import graphnn as gn  # noqa: E402

CLOSE = dict.fromkeys(modules_2026.CASES, 1e-9)
CLOSE["MobileNetV3"] = 1e-7  # PyTorch's slope of hardsigmoid is 1/6 in float32, in float64, too


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def made(case: modules_2026.Case) -> Any:
    """Return a network none of whose weights is 0 or 1."""
    torch.manual_seed(0)
    module = case.make()
    with torch.no_grad():
        for weight in module.parameters():
            if not weight.is_complex():
                weight.add_(0.1 * torch.randn(weight.shape))
    return module


def tensors(given: Any) -> list[Any]:
    """Return the tensors in containers, in order."""
    if isinstance(given, torch.Tensor):
        return [given]
    if dataclasses.is_dataclass(given):
        given = [getattr(given, each.name) for each in dataclasses.fields(given)]
    values = given.values() if isinstance(given, dict) else given if isinstance(given, (list, tuple)) else []
    return [inner for each in values for inner in tensors(each)]


def by_torch(module: Any, given: Any) -> tuple[list[Any], list[Any], dict[str, Any]]:
    """Return the results of a copy of a module, cotangents of them, and the gradients of weights and inputs."""
    module = copy.deepcopy(module)
    inputs = tensors(given)
    for each in inputs:
        each.requires_grad_(each.is_floating_point())
    results = tensors(module(*given))
    cotangents = [torch.randn(each.shape) if each.is_floating_point() else None for each in results]
    total = sum((each * w).sum() for each, w in zip(results, cotangents, strict=True) if w is not None)
    wrt = {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
    wrt |= {str(place): each for place, each in enumerate(inputs) if each.requires_grad}
    slopes = torch.autograd.grad(total, list(wrt.values()), allow_unused=True)
    return results, cotangents, dict(zip(wrt, slopes, strict=True))


def assert_equal(graph: gn.Graph, module: Any, given: Any, close: float) -> None:
    """Hold values and all gradients against PyTorch's."""
    feed = {name: each.detach().numpy().copy() for name, each in zip(graph.inputs, tensors(given), strict=True)}
    results, cotangents, slopes = by_torch(module, given)
    nodes = list(graph.outputs.values())
    places = list(graph.inputs.values())
    seeds = {node: w.numpy() for node, w in zip(nodes, cotangents, strict=True) if w is not None}
    copied = gn.extract(nodes)
    wrt = [graph[name] if not name.isdigit() else places[int(name)] for name in slopes]
    there = [node for node in wrt if node.name in copied.dag]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gn.GraphnnWarning)
        derivatives = gn.vjp({copied[node.name]: w for node, w in seeds.items()}, [copied[node.name] for node in there])
    values = gn.run(
        [*(copied[node.name] for node in nodes), *derivatives], {k: v for k, v in feed.items() if k in copied.dag}
    )
    for value, expected in zip(values, results, strict=False):
        expected = expected.detach().numpy()
        assert value.dtype == expected.dtype
        assert value.shape == expected.shape
        if expected.dtype.kind != "f":
            assert np.array_equal(value, expected)
        else:
            np.testing.assert_allclose(value, expected, rtol=0, atol=close * np.abs(expected).max(initial=1e-300))
    found = dict(zip(there, values[len(nodes) :], strict=True))
    most = max(float(each.abs().max()) for each in slopes.values() if each is not None)
    for (name, expected), node in zip(slopes.items(), wrt, strict=True):
        if expected is None or node not in found:
            assert expected is None or not expected.any(), name
            assert node not in found or not found[node].any(), name
            continue
        expected = expected.numpy()
        scale = max(float(np.abs(expected).max(initial=0.0)), 1e-3 * most)
        np.testing.assert_allclose(found[node], expected, rtol=0, atol=close * scale, err_msg=name)


@pytest.mark.parametrize("name", modules_2026.CASES)
def test_values_and_gradients_are_pytorchs_at_three_sizes(name: str) -> None:
    case = modules_2026.CASES[name]
    module = made(case)
    with pytest.warns(gn.GraphnnWarning, match="writes to its weight") if name == "Written" else nullcontext():
        graph = gn.from_torch(copy.deepcopy(module), *case.batch(**case.sizes[0]), dims=case.dims or None)
    for sizes in case.sizes:
        assert_equal(graph, module, case.batch(**sizes), CLOSE[name])


@pytest.mark.parametrize("name", ["Gqa", "GptTied", "MoeIndexAdd", "Swin", "Gat", "Tcn", "Quantized", "Bags"])
def test_without_named_sizes(name: str) -> None:
    case = modules_2026.CASES[name]
    module = made(case)
    graph = gn.from_torch(copy.deepcopy(module), *case.batch(**case.sizes[0]))
    assert not [dim for node in graph for dim in node.spec.shape if isinstance(dim, str)]
    assert_equal(graph, module, case.batch(**case.sizes[0]), CLOSE[name])


@pytest.mark.parametrize("name", modules_2026.REFUSED)
def test_a_refusal_names_the_line_and_what_to_write(name: str) -> None:
    case = modules_2026.REFUSED[name]
    with pytest.raises(gn.GraphnnError, match=case.refused) as caught:
        gn.from_torch(made(case), *case.batch())
    lines = [int(line) for line in re.findall(r"modules_2026\.py:(\d+)", str(caught.value))]
    assert lines
    source = Path(modules_2026.__file__).read_text(encoding="utf-8").splitlines()
    first = next(place for place, line in enumerate(source) if line.startswith(f"class {name}("))
    last = next((place for place in range(first + 1, len(source)) if source[place].startswith("@case")), len(source))
    assert first < lines[0] <= last


def test_scopes_are_the_paths_of_modules() -> None:
    case = modules_2026.CASES["Llama"]
    graph = gn.from_torch(made(case), *case.batch(**case.sizes[0]), dims=case.dims)
    kinds = {path: scope.kind for path, scope in graph.scopes.items()}
    assert kinds["blocks.0.attn"] == "GroupedAttention"
    assert kinds["blocks.1.mlp.gate"] == "Linear"
    weight = graph["blocks.0.attn.q.weight"]
    assert weight.op.is_parameter
    assert weight.scope == "blocks.0.attn.q"
    known = {name for name, _ in case.make().named_modules()}
    assert {kind for path, kind in kinds.items() if path not in known} == {"softmax"}
    lines = {node.origin.file for node in graph if not (node.op.is_constant or node.op.is_placeholder)}
    assert {file.rpartition("/")[2] for file in lines} == {"modules_2026.py"}
