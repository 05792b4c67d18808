"""Files that lie, with right checksums: refused by an error of graphnn, or as good as any; and never run.

`tests/fuzz/fuzz_files.py` tries many more.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import forged_archives
import forging
import long_dimensions
import numpy as np
import pytest

import graphnn as gn

FORGERIES = 300
ARCHIVES = 1200
PARTS = 6


@pytest.fixture(scope="module")
def sound() -> list[forging.Forgery]:
    return forging.sound()


def test_sound_files_work(sound: list[forging.Forgery]) -> None:
    rng = np.random.default_rng(0)
    seen: Counter[str] = Counter()
    for forgery in sound[:12]:
        assert forging.fault_of(forging.written(forgery), rng, seen, uses=7) is None
    assert seen["refused"] == 0
    assert seen["step: done"] >= 8
    assert seen["debugged: done"] == 2
    assert seen["paged: done"] == 3


@pytest.mark.parametrize("part", range(PARTS))
def test_forgeries_are_refused_or_work(sound: list[forging.Forgery], part: int) -> None:
    seen: Counter[str] = Counter()
    for number in range(part, FORGERIES, PARTS):
        rng = np.random.default_rng([2025, number])
        content = forging.written(forging.forged(rng, sound), rng)
        assert forging.fault_of(content, rng, seen, uses=1) is None, f"forgery {number}"
    assert seen["refused"] > 10
    assert seen["loaded Graph"] + seen["loaded Trace"] > 3


def test_a_damaged_file_is_refused_or_holds_the_same(tmp_path: Path) -> None:
    small = forging.small()
    seen: Counter[str] = Counter()
    tried = 0
    for name, content in forging.damaged(small, every=7):
        tried += 1
        fault = forged_archives.fault_of(content, tmp_path / "damaged.gnn", small, seen)
        assert fault is None, name
        if name.startswith("truncated"):
            assert seen == {"refused": tried}
    assert seen.total() == tried > 2 * len(small)
    assert seen["refused"] > 0.9 * tried


@pytest.mark.parametrize("part", range(PARTS))
def test_archives_that_lie_are_refused_or_hold_the_same(tmp_path: Path, part: int) -> None:
    seen: Counter[str] = Counter()
    small = forged_archives.sound()
    for number in range(part, ARCHIVES, PARTS):
        content, same = forged_archives.forged(np.random.default_rng([2026, number]), small)
        fault = forged_archives.fault_of(content, tmp_path / "forged.gnn", small if same else None, seen)
        assert fault is None, f"archive {number}"
    assert seen["refused"] > 100
    assert seen["read"] > 10


def test_what_a_file_has_run_is_seen(monkeypatch: pytest.MonkeyPatch, sound: list[forging.Forgery]) -> None:
    def load(path: Any) -> gn.Graph:
        with pytest.raises(ImportError):
            __import__(forging.CANARY)
        return gn.Graph()

    monkeypatch.setattr(gn, "load", load)
    fault = forging.fault_of(forging.small(), np.random.default_rng(0), Counter(), uses=0)
    assert fault is not None
    assert forging.CANARY in fault


@pytest.mark.parametrize("raised", [TypeError("no"), RecursionError("deep"), MemoryError(), AssertionError("no")])
def test_what_is_no_error_of_graphnn_is_a_fault(monkeypatch: pytest.MonkeyPatch, raised: Exception) -> None:
    def load(path: Any) -> gn.Graph:
        raise raised

    monkeypatch.setattr(gn, "load", load)
    fault = forging.fault_of(forging.small(), np.random.default_rng(0), Counter())
    assert fault is not None
    assert type(raised).__name__ in fault


# --- dimensions that are long -------------------------------------------------------------------------------------

MOST_WORK = 500_000
"""Pairs of terms that are multiplied, terms that are added, and characters that are parsed, of a file of 100 kB."""
REPEATED = ("graph: joints of many", "loop: long sums in dims", "networkx: joints of joints", "graph: random reshaped")


def test_what_long_dimensions_of_a_file_take_is_bounded() -> None:
    kinds: Counter[str] = Counter()
    for long in long_dimensions.forged(few=True):
        with long_dimensions.counted() as work:
            told = long_dimensions.told_of(long)
        assert work.total() < MOST_WORK, (long.kind, work)
        assert len(told) < 3000, long.kind
        kinds[long.kind.partition(":")[0]] += 1
        kinds["loaded" if told.endswith(" nodes") else "refused"] += 1
    assert min(kinds[way] for way in ("graph", "loop", "trace", "networkx")) >= 5
    assert min(kinds["loaded"], kinds["refused"]) >= 6


def test_whether_a_file_is_refused_does_not_depend_on_what_was_read_before() -> None:
    longs = {long.kind: long for long in long_dimensions.forged(few=True)}
    for kind in REPEATED:
        outcomes = []
        for _ in range(2):
            with long_dimensions.counted() as work:
                outcomes.append((long_dimensions.told_of(longs[kind]), work.total()))
        assert outcomes[0] == outcomes[1], kind
        assert outcomes[0][1] > 100
