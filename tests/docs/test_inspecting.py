"""The page on inspecting runs: what it shows of the examples, of a session and of tables is so."""

import re
from pathlib import Path

import pytest

from graphnn.debugger.breakpoint_conditions import Condition

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "inspecting.md").read_text(encoding="utf-8")


def test_every_bug_among_the_examples_is_on_the_page() -> None:
    shown = set(re.findall(r"<!-- made: code (\w+) -->", PAGE))
    assert shown == {path.stem for path in (ROOT / "examples").glob("bug_*.py")}


def test_a_line_that_is_quoted_is_that_line() -> None:
    quoted = re.findall(r"^  at (bug_\w+\.py):(\d+): (.+)", PAGE, re.MULTILINE)
    assert quoted
    for file, number, text in quoted:
        lines = (ROOT / "examples" / file).read_text(encoding="utf-8").splitlines()
        assert lines[int(number) - 1].strip() == text, f"{file}:{number}"


def test_the_session_goes_into_80_columns() -> None:
    session = re.search(r"<!-- made: session -->(.*?)<!-- end -->", PAGE, re.DOTALL)
    assert session is not None
    assert max(map(len, session[1].splitlines())) <= 80


@pytest.mark.parametrize("text", [*Condition.FLAGS, "above 3", "below -3", "nan or (max > 1 and not zero)"])
def test_the_page_tells_of_every_condition(text: str) -> None:
    assert f"`{text}`" in PAGE
    Condition(text)
