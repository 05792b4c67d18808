"""Print what the dependency group `bench` of pyproject.toml wants installed, one a line."""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))
sys.stdout.write("".join(f"{wanted}\n" for wanted in project["dependency-groups"]["bench"]))
