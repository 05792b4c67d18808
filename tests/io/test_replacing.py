"""Files that take the place of others: at whatever line Ctrl-C hits, nothing is left open, and nothing beside them."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphnn.io import atomic_file

if TYPE_CHECKING:
    import pytest


def test_ctrl_c_at_any_line_leaves_no_open_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unclosed: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", unclosed.append)
    target, lines = tmp_path / "file", 0

    def interrupted(moment: int) -> None:
        nonlocal lines
        lines = 0

        def press(frame: Any, event: str, _: Any) -> Any:
            nonlocal lines
            if event == "line" and frame.f_code.co_filename == atomic_file.__file__:
                lines += 1
                if lines == moment:
                    raise KeyboardInterrupt
            return press

        before = sys.gettrace()
        sys.settrace(press)
        try:
            with atomic_file.replacing(target, durable=False) as file:
                file.write(b"whole")
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        gc.collect()

    interrupted(0)
    assert lines > 20
    for moment in range(1, lines + 1):
        interrupted(moment)
        assert not unclosed, f"line {moment} of {lines}"
        assert [path.name for path in tmp_path.iterdir()] == ["file"]
        assert target.read_bytes() == b"whole"
