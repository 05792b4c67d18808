"""The health check of models that were read: planted faults are there and are named, sound trainings are sound."""

import health_cases
import pytest
from health_cases import Fault, Training, tried
from test_health_cases import outcome

FAULTS, TRAININGS = health_cases.declared("models_read")


def test_there_are_enough_of_each_kind() -> None:
    assert len(FAULTS) >= 9
    assert len(TRAININGS) >= 4
    assert {case.variant for case in FAULTS.values()} == {"onnx"}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_where_it_says_and_makes_a_difference(name: str) -> None:
    case, seed = FAULTS[name], 3
    planted, _ = health_cases.made(case, seed)
    assert planted.at
    assert planted.at <= set(planted.step.graph.dag)
    assert outcome(case, seed, right=False) == outcome(case, seed, right=False)
    assert outcome(case, seed, right=False) != outcome(case, seed, right=True)


@pytest.mark.parametrize("name", [name for name, case in TRAININGS.items() if case.fixed])
def test_a_sound_training_learns_and_has_no_finding(name: str) -> None:
    case: Training = TRAININGS[name]
    row = health_cases.trained(case, seed=1)
    assert row.learned, row.losses
    assert row.findings == []
    assert [each.spoiled for each in row.looks] == ["", ""]


@pytest.mark.parametrize("name", [name for name, case in FAULTS.items() if case.fixed])
def test_a_planted_fault_is_named_at_its_node(name: str) -> None:
    case: Fault = FAULTS[name]
    row = tried(case, seed=2)
    assert row.named, row
    assert [each.spoiled for each in row.looks] == ["", ""]
    assert max(each.evaluations or 0 for each in row.looks) <= 20
