"""The limits that keep the code readable; `house.py` counts."""

import statistics
from collections.abc import Iterator
from pathlib import Path

import house
import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "graphnn"


@pytest.fixture(scope="module", autouse=True)
def read_once() -> Iterator[None]:
    yield
    house.sources.cache_clear()  # trees of all modules: every later search for garbage would go through them


def test_no_class_or_function_is_too_large_to_read() -> None:
    assert list(house.too_large(PACKAGE)) == []


def test_what_is_too_large_is_named(tmp_path: Path) -> None:
    room = tmp_path / "graphnn"
    room.mkdir()
    methods = "\n".join(f"    def m{i}(self): ..." for i in range(41))
    (room / "large.py").write_text(f"class C:\n{methods}\ndef f():\n" + "    x = 1\n" * 400, encoding="utf-8")
    (room / "sound.py").write_text('"""Of one line."""\n# and a comment\nx = """a\nb"""\n', encoding="utf-8")
    assert list(house.too_large(room)) == [
        "graphnn/large.py: C has 41 methods",
        "graphnn/large.py: f has 401 lines of code",
    ]
    assert house.rooms(room)["sound.py"] == 2
    (room / "texts.py").write_text('x = f"""\n\n# of {1} text"""\ny = ("a"\n\n# no text\n "b")\n', encoding="utf-8")
    house.sources.cache_clear()
    assert house.rooms(room)["texts.py"] == 5


def test_operations_stay_short() -> None:
    lines = house.operations(PACKAGE)
    assert len(lines) > 80
    assert statistics.median(lines.values()) <= house.MOST_OPERATION
