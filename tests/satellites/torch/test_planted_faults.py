"""The scripts with planted faults: they run as ordinary PyTorch, and a watched run has the planted line."""

import math

import planted_faults as planted
import pytest
import torch

import graphnn as gn

IN_THE_SCRIPT = {"labels_shifted", "layer_left_out", "ascent"}
"""Those whose planted line makes no call in the step: it makes the labels or the optimizer."""


def calls_from(run, line):
    return [node for node in run.graph if node.op.name.startswith("aten.") and node.origin.line == line]


@pytest.mark.parametrize("script", planted.SCRIPTS, ids=lambda script: script.__name__)
@pytest.mark.parametrize("faulty", [True, False])
def test_script_runs_unwatched(script, faulty):
    assert script(planted.unwatched, faulty) is None


@pytest.mark.parametrize("script", planted.SCRIPTS, ids=lambda script: script.__name__)
def test_healthy_twin_has_a_finite_loss(script):
    run = script(gn.watch, False)
    assert math.isfinite(float(run.trace[run.loss].value))


def test_masks_and_halves_overflow_as_planted():
    for script in (planted.zero_times_inf, planted.overflow_float16):
        run = script(gn.watch, True)
        assert not math.isfinite(float(run.trace[run.loss].value)), script.__name__


@pytest.mark.parametrize(
    "script", [s for s in planted.SCRIPTS if s.__name__ not in IN_THE_SCRIPT], ids=lambda script: script.__name__
)
def test_planted_line_is_recorded(script):
    assert calls_from(script(gn.watch, True), planted.planted_line(script.__name__))
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("script", planted.SCRIPTS, ids=lambda script: script.__name__)
@pytest.mark.parametrize("faulty", [True, False])
def test_facts_of_the_script(script, faulty):
    known = {"never_zeroed": "not-zeroed", "layer_left_out": "left-out", "detached_branch": "left-out"}
    found = {each.code: each for each in gn.check_health(script(gn.watch, faulty)).findings}
    expected = {known[script.__name__]} if faulty and script.__name__ in known else set()
    assert set(known.values()) & set(found) == expected


def test_gradients_that_were_not_zeroed_are_named_with_the_line_of_backward():
    health = gn.check_health(planted.never_zeroed(gn.watch, True))
    (found,) = health.findings
    assert found.node.origin.line == planted.planted_line("never_zeroed")
    assert "optimizer.zero_grad()" in found.remedy


def test_parameters_outside_the_optimizer_are_named():
    (found,) = gn.check_health(planted.layer_left_out(gn.watch, True)).findings
    assert "2.weight, 2.bias" in found.cause
    assert "optimizer = AdamW(model.parameters())" in found.remedy
