"""Random loops in native plans, in goes of few iterations, against their iterations written out."""

import pytest
from random_bodies import loop_differences

from graphnn.compiler.plan_cache import PlanCache
from graphnn.native import loop_iterations


@pytest.mark.filterwarnings("ignore::graphnn.errors.GraphnnWarning")
@pytest.mark.parametrize("number", range(7, 60, 10))
def test_random_loops_are_their_iterations_written_out(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PlanCache, "is_due", lambda *_: True)
    monkeypatch.setattr(loop_iterations, "LEAST", 4)
    monkeypatch.setattr(loop_iterations, "IN_ONE_GO", 4)
    assert not loop_differences(0, number, 1, ["native"])
