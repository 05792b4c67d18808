"""Commands on pages run, and must succeed."""

from pathlib import Path

import pytest
from test_docs import ran


def test_a_command_must_succeed(tmp_path: Path) -> None:
    ran("```console\n$ graphnn ops --json\n$ rm -rf nothing-else-runs\n```\n", tmp_path)
    with pytest.raises(AssertionError, match="line 2"):
        ran("```console\n$ graphnn draw no-such-file.py:build\n```\n", tmp_path)
    ran("```console\n$ graphnn draw no-such-file.py:build  # → 2\n```\n", tmp_path)
    with pytest.raises(AssertionError, match="line 2"):
        ran("```console\n$ graphnn ops  # → 2\n```\n", tmp_path)
