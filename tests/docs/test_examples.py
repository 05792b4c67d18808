"""Every file in examples/ runs as a user would run it, with warnings as errors."""

from collections.abc import Callable
from pathlib import Path

import pages
import pytest
from places import TESTS

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))

# These run elsewhere, and more is asked of what they leave behind.
ELSEWHERE = {"lesson_induction.py": "satellites/interventions/test_induction.py"}


@pytest.mark.parametrize(
    "example", [path for path in pages.testable(EXAMPLES) if path.name not in ELSEWHERE], ids=lambda path: path.name
)
def test_example_runs(example: Path, runs_clean: Callable[..., None]) -> None:
    runs_clean(example)


def test_no_example_is_left_out() -> None:
    for example, module in ELSEWHERE.items():
        test = TESTS / module
        assert not test.parent.is_dir() or f'"examples" / "{example}"' in test.read_text(encoding="utf-8")
        assert example in [path.name for path in EXAMPLES]
