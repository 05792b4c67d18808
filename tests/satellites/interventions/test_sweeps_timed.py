"""The benchmark of sweeps runs."""

import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parents[2] / "benchmarks"


def test_sweeps_are_timed_beside_whole_runs(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    import sweeps

    monkeypatch.setattr(sweeps, "told", sys.stdout.write)
    loss, *feeds = sweeps.network(1)
    one = sweeps.swept("one node", loss, *feeds, [loss.inputs[0]], 1)
    monkeypatch.setattr(sweeps, "_LONG", 0.0)  # all nodes are gone through once, and not six times
    found = sweeps.swept("nodes", loss, *feeds, "nodes", 1)
    assert (len(one), len(found)) == (1, 127)
    assert [line[:9] for line in capsys.readouterr().out.splitlines()] == ["one node ", "nodes    "]
