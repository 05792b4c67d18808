"""An import of a path that a module had before says where it stands now."""

import importlib
import sys
from pathlib import Path

import pytest

import graphnn as gn
from graphnn._util import hints

PACKAGE = Path(gn.__file__).parent
LINES = Path(hints.__file__).with_name("moved.txt").read_text(encoding="utf-8").splitlines()


def _is_there(module: str) -> bool:
    path = PACKAGE.joinpath(*module.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def test_each_place_is_there_and_each_old_path_is_not() -> None:
    rooms = {path.name for path in PACKAGE.iterdir()}
    assert len({line.split()[0] for line in LINES}) == len(LINES)
    for old, *places in map(str.split, LINES):
        assert not _is_there(old), old
        for place in places:
            assert _is_there(place) or place.split(".")[0] not in rooms, (old, place)  # a satellite may be torn out


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("autograd", "autodiff.grad"),
        ("inspector.health", "debugger.health"),
        ("execute.kept", "compiler.plan_cache"),
        ("nn.optimizer", "nn.optim.optimizer"),
        ("nn.slopes", "nn.optim.accumulated_gradients"),
    ],
)
def test_an_import_of_an_old_path_says_the_new_one(old: str, new: str) -> None:
    says = rf"^graphnn\.{old} is now graphnn\.{new}\b"
    with pytest.raises(ModuleNotFoundError, match=says):
        importlib.import_module(f"graphnn.{old}")
    with pytest.raises(ModuleNotFoundError, match=says):
        __import__(f"graphnn.{old}", fromlist=["something"])
    above, _, name = f"graphnn.{old}".rpartition(".")
    with pytest.raises(ModuleNotFoundError, match=says if above in sys.modules else "is now"):
        __import__(above, fromlist=[name])


def test_an_old_module_as_an_attribute_says_the_new_one() -> None:
    with pytest.raises(AttributeError, match=r"^graphnn\.autograd is now graphnn\.autodiff\.grad$"):
        _ = gn.autograd  # type: ignore[attr-defined]
    assert not hasattr(gn, "inspector")


def test_what_never_was_is_refused_as_python_does() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'graphnn\.nonsense'$") as caught:
        importlib.import_module("graphnn.nonsense.more")
    assert caught.value.name == "graphnn.nonsense"
    assert importlib.util.find_spec("graphnn.nonsense") is None
