"""The recipes of docs/adding.md, inside the library: each thing is written in one file, and is found everywhere."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pages
import pytest
from places import ROOT, SHARED, TESTS

PAGE = ROOT / "docs" / "adding.md"

# Of each recipe: the file of the library that its class or function goes into, and what then holds.
PLACES = {
    "Cube": (
        "ops/elementwise.py",
        """
        from graphnn.core import registry
        import make_stub, reference
        assert "cube" in registry and "cube" in dir(gn)
        assert "def cube(x: Operand" in make_stub.stub()
        assert "`cube(x)`" in reference.reference()
        """,
    ),
    "Bypass": (
        "nn/layers/dense_and_activations.py",
        """
        import reference
        assert "Bypass" in nn.__all__ and nn.Bypass(2)(gn.Graph().constant([[1.0, 2.0]])).name == "bypass_1/add"
        assert "`nn.Bypass`" in reference.functions() and "classes/nn.Bypass" in reference.pages()
        """,
    ),
    "SignSGD": (
        "nn/optim/sgd_and_adam.py",
        """
        import reference
        assert "SignSGD" in nn.__all__ and nn.SignSGD(0.1).learning_rate == 0.1
        assert "`nn.SignSGD`" in reference.functions()
        """,
    ),
    "all_alike": (
        "debugger/health/overflow.py",
        """
        import made
        assert "all-alike" in made.codes()
        x = gn.Graph().constant([1.0, 1.0])
        assert "all-alike" in [finding.code for finding in gn.check_health(x * 0.5, {}).findings]
        """,
    ),
}
# One process tries each, and ends by saying what went wrong with each that failed.
PROGRAM = """
import json, sys, textwrap, traceback
sys.path[:0] = sys.argv[2:]
import numpy as np
import graphnn as gn
from graphnn import nn
wrong = {}
for name, code in json.loads(sys.argv[1]).items():
    try:
        exec(textwrap.dedent(code), dict(gn=gn, nn=nn, np=np))
    except Exception:
        wrong[name] = traceback.format_exc()
print("wrong:", json.dumps(wrong))
"""


def recipe(name: str) -> str:
    """Return the definition of a name on the page, with its decorators."""
    text = "\n".join(block.text for block in pages.blocks(PAGE.read_text(encoding="utf-8")))
    found = re.search(rf"^(?:@[^\n]*\n)?(?:class|def) {name}\b.*?(?=^\S)", text, re.MULTILINE | re.DOTALL)
    assert found, name
    return found[0]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a copy of the library with all recipes in it."""
    return with_recipes(tmp_path_factory.mktemp("library"), PLACES)


def with_recipes(folder: Path, places: dict[str, tuple[str, str]]) -> Path:
    """Return a folder with a copy of the library with recipes in it."""
    shutil.copytree(ROOT / "graphnn", folder / "graphnn", ignore=shutil.ignore_patterns("__pycache__"))
    for name, (file, _) in places.items():
        path = folder / "graphnn" / file
        before = path.read_text(encoding="utf-8") if path.exists() else "from graphnn import cli\n"
        # Inside the library, operations are `fn.…`, and bases have no module's name before theirs.
        code = recipe(name).replace("nn.Layer", "Layer").replace("nn.Optimizer", "Optimizer")
        code = code.replace("nn.Dense", "Dense").replace("gn.", "fn.")
        path.write_text(f"{before}\n\n{code}", encoding="utf-8")
        if file.startswith("nn/"):
            table, module = folder / "graphnn" / "nn" / "__init__.py", file[3:-3].replace("/", ".")
            before = table.read_text(encoding="utf-8")
            table.write_text(before.replace(f'"{module}": "', f'"{module}": "{name} '), encoding="utf-8")
    return folder


def python(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run Python with that library."""
    paths = [str(folder), *SHARED, *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def wrong(library: Path) -> dict[str, str]:
    return wrong_in(library, PLACES)


def wrong_in(library: Path, places: dict[str, tuple[str, str]]) -> dict[str, str]:
    """Return what is wrong with the claims about that library, by the names of the recipes."""
    claims = json.dumps({name: claim for name, (_, claim) in places.items()})
    done = python(library, "-c", PROGRAM, claims, *SHARED, str(ROOT / "docs" / "_ext"), str(ROOT / "docs"))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    found: dict[str, str] = json.loads(done.stdout.rpartition("wrong:")[2])
    return {name: f"{report}\n{done.stdout}\n{done.stderr}" for name, report in found.items()}


@pytest.mark.parametrize("name", PLACES)
def test_what_is_written_in_one_file_of_the_library_is_found(name: str, wrong: dict[str, str]) -> None:
    assert name not in wrong, wrong[name]


def test_an_operation_of_the_library_without_an_oracle_is_named(library: Path) -> None:
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "-k",
        "compared_with_something and cube",
        str(TESTS / "ops" / "test_ops.py"),
    ]
    done = python(library, "-m", "pytest", *options)
    assert done.returncode == 1, f"{done.stdout}\n{done.stderr}"
    assert (
        'NumPy has no function "cube": add what it is compared with to ORACLES in tests/support/op_oracles.py'
        in done.stdout
    )
