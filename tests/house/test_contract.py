"""The list of the tests that speak only through the public API is complete, and true."""

from pathlib import Path

import contract
import pytest
from places import SATELLITES, present


def test_the_list_is_what_the_files_say() -> None:
    absent = {name for name in SATELLITES if not present(name)}

    def there(names: list[str]) -> list[str]:
        """Return those that need no satellite that is absent."""
        return [name for name in names if not absent & {part.removeprefix("with_") for part in Path(name).parts}]

    assert there(contract.found()) == there(contract.listed()), "run `python tests/support/contract.py`"


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("import graphnn as gn\nfrom graphnn import nn\ngn.draw", True),
        ("from graphnn.errors import UsageError", True),
        ("from graphnn.core import Graph", False),
        ("from graphnn import core", False),
        ("import graphnn.runtime.feed", False),
        ("import graphnn as gn\ngn.core.registry", False),
    ],
)
def test_what_is_public_is_told_from_what_is_not(text: str, public: bool, tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(text, encoding="utf-8")
    assert contract.is_public(tmp_path / "test_some.py") is public
