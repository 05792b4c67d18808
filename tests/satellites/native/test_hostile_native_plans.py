"""Whatever a graph holds, what native plans are compiled from holds names and numbers only."""

from collections import Counter
from pathlib import Path
from typing import Any

import native_texts
import numpy as np
import pytest
import test_hostile_plans as hostile
from forging import CODE
from test_hostile_plans import foreign

import graphnn as gn
from graphnn.native import table_writer

TEXTS: Counter[str] = Counter()


def test_the_detector_knows_what_no_kernel_has() -> None:
    x = gn.Graph().placeholder("x", (3, 40))
    with native_texts.heard() as texts:
        gn.compile(gn.sqrt(gn.maximum(x, 0) * 2), backend="native").plan({x: np.ones((3, 40))})
    (good,) = texts.llvm
    assert native_texts.foreign(good) == []
    for bad in (
        good.replace("@llvm.sqrt", "@system"),
        good.replace("ret void", f"ret void ; {CODE[0]}"),
        good.replace("ret void", 'call void asm "int3", ""()\n  ret void'),
        good + 'module asm "int3"',
        good.replace("i64 0", "i64 123456"),
        good.replace("%args", '%"args"'),
        good.replace("entry:", "entry: }"),
    ):
        assert bad != good
        assert native_texts.foreign(bad), bad


def native(fetches: list[gn.Node], feed: Any, sizes: Any, seen: Counter[str]) -> list[str]:
    """Return what is foreign in what the native plan of fetches is compiled from."""
    with native_texts.heard() as texts:
        try:
            gn.compile(fetches, backend="native").plan(feed, sizes)
        except Exception as error:  # noqa: BLE001 - planted: what is not checked fails anywhere
            seen[type(error).__name__] += 1
    TEXTS["llvm"] += bool(texts.llvm)
    found = [what for text in texts.python for what in foreign(text)]
    return found + [what for text in texts.llvm for what in native_texts.foreign(text)]


@pytest.fixture(autouse=True)
def natively(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look into native plans, too."""
    TEXTS.clear()
    monkeypatch.setattr(hostile, "OTHERS", [native])
    monkeypatch.setattr(hostile, "WRITERS", [*hostile.WRITERS, table_writer])


@pytest.mark.parametrize("part", range(4))
def test_hostile_attributes_never_reach_a_text(part: int) -> None:
    hostile.test_hostile_attributes_never_reach_a_source(part)
    assert TEXTS["llvm"] > 10


def test_names_never_reach_a_text() -> None:
    hostile.test_names_never_reach_a_source()
    assert TEXTS["llvm"] > 10


@pytest.mark.parametrize("part", range(4))
def test_forged_attributes_never_reach_a_text(part: int, tmp_path: Path) -> None:
    hostile.test_forged_attributes_never_reach_a_source(tmp_path, part)
    assert TEXTS["llvm"] > 0


def test_forged_names_never_reach_a_text(tmp_path: Path) -> None:
    hostile.test_forged_names_never_reach_a_source(tmp_path)
    assert TEXTS["llvm"] > 0


@pytest.mark.parametrize("taken_out", [hostile.unchecked, hostile.careless])
def test_each_of_the_checks_alone_keeps_code_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, taken_out: Any
) -> None:
    hostile.test_each_of_the_checks_alone_keeps_code_out(monkeypatch, tmp_path, taken_out)
