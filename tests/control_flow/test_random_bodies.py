"""Random loops against their iterations written out; `tests/fuzz/fuzz_loops.py` compares many more of them."""

import numpy as np
import pytest
from random_bodies import Case, derived, loop_differences, map_differences, scanned

import graphnn as gn
from graphnn import nn
from graphnn.compiler.plan_cache import PlanCache


@pytest.mark.filterwarnings("ignore::graphnn.errors.GraphnnWarning")
@pytest.mark.parametrize("part", range(3))
def test_random_loops_are_their_iterations_written_out(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PlanCache, "is_due", lambda *_: True)
    for number in range(20 * part, 20 * (part + 1)):
        backends = ["numpy"] if number % 10 == 0 else []
        assert not loop_differences(0, number, 1 + (number % 6 == 0), backends), f"loop {number}"


@pytest.mark.filterwarnings("ignore::graphnn.errors.GraphnnWarning")
def test_random_loops_over_many_rows_at_once_are_those_of_each_row() -> None:
    compared = 0
    for number in range(10):
        found = map_differences(0, number)
        assert not found, f"loop {number}"
        compared += found is not None
    assert compared > 7


@pytest.mark.filterwarnings("ignore::graphnn.errors.GraphnnWarning")
@pytest.mark.parametrize("number", [4, 8, 12])
def test_random_loops_are_looked_into(number: int) -> None:
    case = Case(9, number)
    built, feed = case.built(scanned, case.lengths[0]), case.feed(case.lengths[0])
    nodes = derived(built, 1)
    updates = nn.SGD(0.1).updates(built.loss, built.trained)  # parameters that a run of the loss does not read
    right, trace = gn.run(nodes, feed, guard="nan"), gn.trace(nodes, feed)
    op = built.loss.graph["scan_1/loop"].op
    for node, value in zip(nodes, right, strict=True):
        np.testing.assert_array_equal(trace[node].value, value)
    if case.lengths[0] and not case.how.masked and isinstance(case.how.recompute, bool):
        end = 0 if case.how.reverse else case.lengths[0] - 1
        for at, value in zip(op.carried, right[1:], strict=False):
            np.testing.assert_array_equal(trace[f"scan_1@{end}/{op.nodes[at].name}"].value, value)
    assert "equal" in str(gn.compare(built.loss, built.loss, feed))
    debugger = gn.debug(nodes, feed, echo=None)
    debugger.resume()
    debugger.back()
    debugger.resume()
    if case.lengths[0]:
        assert str(gn.check_health(gn.compile(built.loss, updates), feed))
    assert str(gn.profile(built.loss, feed)).startswith('"graph"')
