"""What recorded calls of PyTorch mean in graphnn's operations. The oracle is PyTorch's own kernels."""

from __future__ import annotations

import dataclasses
import re
import warnings
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from watched_networks import NETWORKS

import graphnn as gn
from graphnn.errors import NoRuleError
from graphnn.runtime.interpreter import run as evaluated
from graphnn.torch.watching.torch_call import TorchCall
from graphnn.torch.watching.translation import translate_into, translated

_NONE = {"empty", "empty_like", "new_empty_strided", "bernoulli_", "randn_like"}
"""Calls that mean nothing in operations: memory as it is, and random numbers."""


@cache
def _run(network: Any) -> Any:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what PyTorch says of its own arguments
        return network()


def _calls(network: Any) -> Any:
    trace = _run(network).trace
    for record in trace:
        if not record.op.is_leaf:
            yield record, [trace[node].value for node in record.node.inputs]


def _is_near(op: Any, found: Any, expected: Any, operands: Any) -> bool:
    """Compare with the kernel's result, up to rounding; where it cancels, with the kernel in float64."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return False
    if expected.dtype.kind in "biu":
        return np.array_equal(found, expected)
    is_short = "bfloat16" in {each.dtype.name for each in (*operands, expected)}
    eps = 2**-5 if is_short else 64 * float(np.finfo(expected.dtype).eps)
    ours, its = found.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(its)
    if not np.array_equal(np.isfinite(ours), finite) or not np.array_equal(ours[~finite], its[~finite], equal_nan=True):
        return False
    if not finite.any():
        return True
    error = np.abs(ours - its)[finite].max()
    if error <= eps * np.abs(its[finite]).max():
        return True
    wide = [each.astype(np.float64) if each.dtype == np.float32 else each for each in operands]
    exact = dataclasses.replace(op, dtype="float64").recorded_from(op._recorded).forward(*wide)
    return bool(np.abs(ours - exact).max() <= 4 * np.abs(its - exact).max())


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.__name__)
def test_a_translation_computes_what_the_kernel_gave(network: Any) -> None:
    for record, operands in _calls(network):
        try:
            small = translated(record.op, [node.spec for node in record.node.inputs])
        except NoRuleError:
            workspace = record.op.short_name == "mkldnn_rnn_layer" and record.op.result == 3
            assert workspace or record.op.short_name in _NONE, record.name
            continue
        found = evaluated(small.result, dict(zip(small.operands, operands, strict=True)))
        assert _is_near(record.op, found, record.value, operands), record.name


def test_translations_are_there_for_two_hundred_kinds_of_calls() -> None:
    kinds = {record.op.short_name for network in NETWORKS for record, _ in _calls(network)}
    assert len(kinds - _NONE) >= 200


def test_a_call_is_put_into_a_graph() -> None:
    addmm = _run(NETWORKS[0]).graph["10/addmm"]
    graph = gn.Graph()
    operands = [graph.placeholder(f"x{i}", node.shape, node.dtype) for i, node in enumerate(addmm.inputs)]
    made = translate_into(graph, addmm.op, operands)
    assert made.spec == addmm.spec
    arrays = [np.random.default_rng(i).normal(size=node.shape).astype(np.float32) for i, node in enumerate(operands)]
    expected = torch.addmm(*map(torch.from_numpy, arrays)).numpy()
    np.testing.assert_allclose(evaluated(made, dict(zip(operands, arrays, strict=True))), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("offset", "strides", "size", "stride", "first"),
    [(0, (4, 1), (2, 2), (4, 2), 1), (3, (1, 3), (4,), (3,), None), (0, (4, 1), (3, 2), (1, 1), 0)],
)
def test_as_strided_reads_memory_by_the_layout_of_its_operand(
    offset: int, strides: Any, size: Any, stride: Any, first: Any
) -> None:
    memory = torch.arange(20.0)
    x = torch.as_strided(memory, (3, 4), strides, offset)
    expected = torch.as_strided(x, size, stride, first).numpy()
    arguments = (("tensor", 0), ("list", *size), ("list", *stride), first)
    op = TorchCall("aten::as_strided", arguments, (), 0, size, "float32", ((offset, *strides),))
    small = translated(op, [gn.core.Spec((3, 4), np.dtype(np.float32))])
    np.testing.assert_array_equal(evaluated(small.result, {small.operands[0]: x.numpy()}), expected)


def test_equal_arguments_of_other_types_are_other_calls() -> None:
    spec = gn.core.Spec((2,), np.dtype(np.float32))
    for divisor in (0.0, -0.0):
        op = TorchCall("aten::div.Tensor", (("tensor", 0), divisor), (), 0, (2,), "float32", (None,))
        small = translated(op, [spec])
        with np.errstate(all="ignore"):
            found = evaluated(small.result, {small.operands[0]: np.ones(2, np.float32)})
        assert found[0] == (np.inf if str(divisor) == "0.0" else -np.inf)


@pytest.mark.parametrize(
    ("call", "arguments", "said"),
    [
        ("aten::from_file", ("/etc/passwd",), "no rule for aten::from_file"),
        ("aten::empty.memory_format", (("list", 2),), "memory as it is"),
        ("prims::add", (), "has no prims::add"),
        ("aten::relu.__class__", (("tensor", 0),), "has no aten::relu.__class__"),
        ("aten::__class__", (("tensor", 0),), "has no aten::__class__"),
    ],
)
def test_what_has_no_translation_is_refused_by_name(call: str, arguments: Any, said: str) -> None:
    count = 1 if ("tensor", 0) in arguments else 0
    op = TorchCall(call, arguments, (), 0, (2,), "float32", (None,) * count)
    with pytest.raises(NoRuleError, match=said):
        translated(op, [gn.core.Spec((2,), np.dtype(np.float32))] * count)


@pytest.mark.parametrize("first", [-1, 10**12])
def test_a_forged_view_of_memory_is_refused_before_there_is_memory_for_it(first: int) -> None:
    arguments = (("tensor", 0), ("list", 2), ("list", 1), first)
    op = TorchCall("aten::as_strided", arguments, (), 0, (2,), "float32", (None,))
    with pytest.raises(NoRuleError, match="no translation"):
        translated(op, [gn.core.Spec((4,), np.dtype(np.float32))])


# --- equations ------------------------------------------------------------------------------------------------------

_FUNCTIONS = {
    **{name: getattr(np, name) for name in ("exp", "log", "tanh", "sin", "cos", "sqrt", "clip", "arctan", "sign")},
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "max": max,
    "min": min,
    "root": np.sqrt,
    "None": None,
}
_NUMBER = re.compile(r"(?<![\w.])(?:\d+\.?\d*(?:e[-+]?\d+)?)")


def _computed(formula: str, rng: Any) -> float | None:
    """Return what a formula gives, its numbers changed by less than their rounding; None where some are left out."""
    if "…" in formula or "‖" in formula or "|" in formula or "⌊" in formula or "?" in formula:
        return None
    text = re.sub(r"√(\(|[\d.e-]+)", lambda m: f"root{m[1]}" if m[1] == "(" else f"root({m[1]})", formula)
    text = re.sub(r"(max|min) of ([^()]*)", r"\1(\2)", text)
    text = text.replace("·", "*").replace("²", "**2").replace("^", "**")
    if set(re.findall(r"[A-Za-z_]\w*", _NUMBER.sub("", text))) - _FUNCTIONS.keys():
        return None
    moved = _NUMBER.sub(lambda m: f"({float(m[0])!r}*{1 + rng.uniform(-6e-4, 6e-4)!r})" if "." in m[0] else m[0], text)
    with np.errstate(all="ignore"):
        return float(eval(moved, {"__builtins__": {}}, _FUNCTIONS))  # noqa: S307 - a test's own text


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.__name__)
def test_the_left_of_an_equation_is_what_its_right_gives(network: Any) -> None:
    trace, rng, asked, checked = _run(network).trace, np.random.default_rng(0), set(), 0
    for record, operands in _calls(network):
        key = record.op.call, record.op.result
        if key in asked or not record.value.size or any(each.dtype.name == "bfloat16" for each in operands):
            continue
        asked.add(key)
        index = tuple(n // 2 for n in record.value.shape)
        why = trace.why(record.name, index)
        value = float(record.value[index])
        assert why.value == value or np.isnan(value)
        lines = [why.equation.partition(" = ")[2], *(part for step in why.steps for part in step.split(", where "))]
        for line in lines:
            left, _, right = line.partition(" = ")
            if not right or left in ("True", "False") or not np.isfinite(float(left.replace(",", ""))):
                continue
            found = [_computed(right, rng) for _ in range(30)]
            if None in found:
                continue
            checked += 1
            spread = max(found) - min(found)
            assert abs(float(left.replace(",", "")) - np.mean(found)) <= 3 * spread + 1e-3 * abs(np.mean(found)), (
                f"{record.name}: {line}"
            )
    assert checked >= 10


def test_an_equation_of_a_call_is_read_as_one_would_write_it() -> None:
    x = torch.tensor([[1.0, 2.0, 0.5]])
    model = torch.nn.Linear(3, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 0.5, -2.0], [0.25, 1.0, 4.0]]))
        model.bias.copy_(torch.tensor([0.5, -1.0]))
    with gn.watch(model) as run:
        torch.softmax(model(x), -1)
    why = run.trace.why("addmm", (0, 1))
    assert why.equation == "addmm[0, 1] = 3.25 = -1 + 1·0.25 + 2·1 + 0.5·4"
    assert {str(read).partition(" = ")[0] for read in why.reads} == {"bias[1]", "x[0, :]", "t[:, 1]"}
    why = run.trace.why("_softmax", (0, 1))
    assert why.equation == "_softmax[0, 1] = 0.8520 = exp(3.25 - 3.25) / 1.174"
    assert why.steps == ("3.25 = max of 1.5, 3.25", "1.174 = 0.1738 + 1, where 0.1738 = exp(1.5 - 3.25)")


def test_a_call_reads_the_elements_that_made_one() -> None:
    run = _run(NETWORKS[0])
    record = run.trace["0/convolution"]
    operands = [run.trace[node].value for node in record.node.inputs]
    window, kernel, bias = record.op.reads((2, 3, 0, 6), operands)
    # At the upper edge a kernel of 3 sees two rows of x; the third is padding.
    assert sorted(set(zip(*[axis.tolist() for axis in window], strict=True))) == [
        (2, channel, row, column) for channel in range(3) for row in (0, 1) for column in (5, 6, 7)
    ]
    assert set(kernel[0].tolist()) == {3}
    assert bias[0].tolist() == [3]
