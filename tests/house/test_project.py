"""What the project says about itself in two places is the same in both."""

import tomllib
from pathlib import Path

import graphnn as gn

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_version_is_the_same_everywhere() -> None:
    assert gn.__version__ == PROJECT["version"]


def test_all_extra_holds_every_extra() -> None:
    extras = dict(PROJECT["optional-dependencies"])
    (everything,) = extras.pop("all")
    extras.pop("jax")  # it is large, and there is another one for each kind of device
    assert everything == f"graphnn[{','.join(extras)}]"


def test_the_package_is_typed() -> None:
    assert (ROOT / "graphnn" / "py.typed").is_file()
