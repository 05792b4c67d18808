"""Every file in examples/ runs as a user would run it, with warnings as errors."""

from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_example_runs(example: Path, runs_clean: Callable[..., None]) -> None:
    runs_clean(example)
