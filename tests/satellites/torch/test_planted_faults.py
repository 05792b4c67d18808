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


CODES = {
    "zero_times_inf": "zero-times-inf",
    "wrong_axis": "softmax-axis",
    "missing_scale": "unscaled-scores",
    "labels_shifted": "labels-are-inputs",
    "layer_left_out": "left-out",
    "ascent": "uphill",
    "detached_branch": "detached",
    "double_softmax": "probabilities-as-logits",
    "eval_batch_norm": "evaluating",
    "never_zeroed": "not-zeroed",
    "tied_by_accident": "one-module",
    "overflow_float16": "overflow",
}


@pytest.mark.parametrize("script", planted.SCRIPTS, ids=lambda script: script.__name__)
def test_each_fault_is_named_with_its_line(script):
    found = {each.code: each for each in gn.check_health(script(gn.watch, True)).findings}
    code = CODES[script.__name__]
    assert code in found
    assert found[code].node.origin.line == planted.planted_line(script.__name__)
    assert "gn." not in found[code].remedy


@pytest.mark.parametrize("script", planted.SCRIPTS, ids=lambda script: script.__name__)
def test_healthy_twins_are_clean(script):
    health = gn.check_health(script(gn.watch, False))
    assert health.ok, str(health)
    assert "the script" in health.checked
    assert "gradients" in health.checked


def test_what_a_finding_says():
    (found,) = gn.check_health(planted.never_zeroed(gn.watch, True)).findings
    assert "optimizer.zero_grad()" in found.remedy
    (found,) = gn.check_health(planted.layer_left_out(gn.watch, True)).findings
    assert "2.weight, 2.bias" in found.cause
    assert "optimizer = AdamW(model.parameters())" in found.remedy
    (found,) = gn.check_health(planted.detached_branch(gn.watch, True)).findings
    assert "x.detach()" in found.remedy


def test_a_run_takes_no_feed():
    with pytest.raises(gn.UsageError, match="a run holds what it was given"):
        gn.check_health(planted.ascent(gn.watch, False), {"x": 1})


def test_a_run_of_digests_has_its_script_checked(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    optimizer = torch.optim.SGD(model[0].parameters(), 0.1)
    with gn.watch(model, optimizer, keep="digests") as run:
        model(torch.ones(2, 8)).sum().backward()
        optimizer.step()
    health = gn.check_health(run)
    assert [each.code for each in health.findings] == ["left-out"]
    assert "digests" in health.unchecked["values"]
    run.save(tmp_path / "a.gnt")
    assert [each.code for each in gn.check_health(gn.load(tmp_path / "a.gnt")).findings] == ["left-out"]
