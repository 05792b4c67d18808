"""The engine's operations against NumPy, under node where it is there; the browser's tests do so in any case."""

import shutil
import subprocess
from pathlib import Path

from engine_samples import cases, script

from graphnn.core import registry
from graphnn.pages.engine import operations

LEAVES = {"constant", "parameter", "placeholder"}
MISSING = {"random_normal"}
"""Of the operations without graphs of their own; loops and branches are not in the registry."""


def test_what_is_missing_is_known() -> None:
    assert set(registry) - operations() == LEAVES | MISSING
    assert operations() <= set(registry)


def test_every_operation_has_samples() -> None:
    assert {case["nodes"]["op"][-1] for case in cases(1)} == operations()


if node := shutil.which("node"):

    def test_operations_give_what_numpy_gives(tmp_path: Path) -> None:
        path = tmp_path / "samples.js"
        path.write_text(script(4) + "console.log(differences(cases).join('\\n'));")
        done = subprocess.run([node, path], capture_output=True, text=True, check=False)
        assert (done.stdout.strip(), done.stderr) == ("", "")
