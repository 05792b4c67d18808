"""The measure of the health check: faults are really there, what counts as named, and sound trainings are sound."""

import health_cases
import numpy as np
import pytest
from health_cases import Fault, Training

import graphnn as gn

FAULTS, TRAININGS = health_cases.declared()


def finding() -> gn.Finding:
    """Return log(0) at `tiny`, because `in/masses` is 0."""
    g = gn.Graph()
    with g.scope("in"):
        masses = g.placeholder("masses", ("n",))
    found = gn.check_health(gn.log(masses * 2.0, name="tiny"), {masses: [0.0, 1.0]}).first
    assert found is not None
    assert (found.place, found.code) == ("tiny[0]", "log-of-zero")
    return found


def test_a_fault_is_named_at_its_node_and_by_what_it_is() -> None:
    found = finding()
    assert health_cases.names_it(found, {"tiny", "nowhere"}, r"log\(0\)")
    assert not health_cases.names_it(found, {"tiny"}, "softmax")
    assert not health_cases.names_it(found, {"nowhere"}, r"log\(0\)")


def test_a_node_that_is_told_with_its_place_is_named() -> None:
    found = finding()
    assert "in/masses[0] = 0" in found.cause
    assert health_cases.names_it(found, {"in/masses"}, "log")
    for name in ("masses", "in", "asses", "in/mass", "tin", "log"):  # parts of names are no names
        assert not health_cases.names_it(found, {name}, "log"), name


def test_there_are_enough_of_each_kind() -> None:
    assert len(FAULTS) >= 30
    assert len(TRAININGS) >= 40
    assert {case.variant for case in FAULTS.values()} == {"nn", "hand"}
    assert {"transformer", "cnn", "mlp"} <= {case.family for case in FAULTS.values()}


def outcome(case: Fault, seed: int, right: bool) -> str:
    """Return what one step gives and leaves behind, to the bit, and what it would be fed."""
    training, _ = health_cases.made(case, seed, right)
    feed = [np.asarray(value).tobytes() for value in training.feed.values()]
    try:
        given = training.step(training.feed)
    except gn.GraphnnError as error:
        return repr(error)
    state = {node.name: node.value.tobytes() for node in training.step.graph.state}
    return repr((feed, np.asarray(given).tobytes(), state))


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
