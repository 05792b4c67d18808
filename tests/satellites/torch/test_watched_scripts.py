"""Ordinary scripts compute the same bits watched or not, and each of their calls can be had again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import watched_scripts
from watched_scripts import SCRIPTS, gpt

import graphnn as gn


@contextmanager
def _nothing(*watched: Any, **settings: Any) -> Iterator[None]:
    yield None


def _state(models: list[Any], optimizers: list[Any]) -> list[bytes]:
    """Return all that training has changed, to the bit."""
    tensors = [each for model in models for each in model.state_dict().values()]
    for optimizer in optimizers:
        for state in optimizer.state.values():
            tensors += [each for each in state.values() if isinstance(each, torch.Tensor)]
    return [each.detach().numpy().tobytes() for each in tensors]


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_compute_the_same_bits(name: str) -> None:
    script = SCRIPTS[name]
    _, *plain = script(_nothing)
    for settings in ({}, {"steps": "all", "guard": "nan"}, {"steps": 2, "keep": "digests"}):
        run, *watched = script(partial(gn.watch, **settings))
        assert _state(*watched) == _state(*plain)
        assert run.steps == ([0] if not settings else [0, 1, 2, 3] if "guard" in settings else [0, 2])


_MEMORY_AS_IT_IS = {"aten.mkldnn_rnn_layer"}
"""Calls that give back memory that nobody has written to: the workspace of a recurrent kernel has gaps."""


def _not_again(trace: Any) -> Counter[str]:
    """Return which calls PyTorch's kernel does not give again, of the recorded operands, to the bit."""
    wrong: Counter[str] = Counter()
    for record in trace:
        if not record.op.is_leaf:
            value = record.op.forward(*[trace[node].value for node in record.node.inputs])
            if value.dtype != record.value.dtype or value.tobytes() != record.value.tobytes():
                wrong[record.op.name] += 1
    return wrong


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_call_has_its_line_its_module_and_its_bits(name: str) -> None:
    run, models, _ = SCRIPTS[name](partial(gn.watch, steps="all"))
    for trace in (run.traces[0], run.traces[-1]):
        calls = [record for record in trace if not record.op.is_leaf]
        assert [each.name for each in calls if each.origin.file != watched_scripts.__file__] == []
        wrong = _not_again(trace)
        assert set(wrong) <= _MEMORY_AS_IT_IS
        assert sum(wrong.values()) <= 0.02 * len(calls)
        paths = {"", *(path for model in models for path, _ in model.named_modules())}
        within = {each.name.rpartition("/")[0] for each in calls if each.node.scope}
        assert within <= set(trace.graph.scopes)
        assert {each.node.phase for each in calls} == {"forward", "backward", "update"}
        if len(models) == 1:
            scopes = {each.node.scope.removeprefix("grad").removeprefix("update").removeprefix("/") for each in calls}
            assert scopes <= paths


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_step_is_replayed_from_its_feed(name: str) -> None:
    run, *_ = SCRIPTS[name](gn.watch)
    visited = set()
    for step in gn.steps(list(run.graph.outputs.values()), run.feed):
        visited.add(step.node)
        if step.value.tobytes() != run.trace[step.node].value.tobytes():
            assert step.node.op.name in _MEMORY_AS_IT_IS
    assert {node for node in run.graph if not node.op.is_leaf} <= visited


def test_both_ways_of_recomputation() -> None:
    for reentrant in (False, True):
        _, *plain = gpt(_nothing, reentrant)
        run, *watched = gpt(gn.watch, reentrant)
        assert _state(*watched) == _state(*plain)
        calls = [node for node in run.graph if not node.op.is_leaf]
        assert [node.name for node in calls if node.origin.file != watched_scripts.__file__] == []
        again = [node for node in run.graph if node.phase == "backward" and node.op.name == "aten.gelu"]
        assert len(again) == 1
        assert not _not_again(run.trace)


def test_calls_of_a_backward_pass_know_their_forward_call() -> None:
    run, *_ = SCRIPTS["vit"](gn.watch)
    for name in ("convolution", "gelu", "native_layer_norm"):
        backward = [node for node in run.graph if node.op.name == f"aten.{name}_backward"]
        assert backward
        for node in backward:
            assert node.twin is not None
            assert node.twin.op.name == f"aten.{name}"
            assert node.origin == node.twin.origin
            assert node.scope == f"grad/{node.twin.scope}".rstrip("/")


def test_a_gradient_is_the_one_that_pytorch_gives() -> None:
    run, *_ = SCRIPTS["siamese"](gn.watch)
    torch.manual_seed(0)
    encoder = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.PReLU(), torch.nn.Linear(8, 3))
    a, b, c = torch.randn(3, 6, 4)
    F = torch.nn.functional
    anchor, near, far = (F.normalize(encoder(each), dim=-1) for each in (a, b, c))
    (F.triplet_margin_loss(anchor, near, far) + (1 - F.cosine_similarity(anchor, near)).mean()).backward()
    weight = run.graph["2.weight"]
    found = [node for node in run.graph if node.twin is weight]
    np.testing.assert_array_equal(run.trace[found[-1]].value, encoder[2].weight.grad.numpy())
