"""The engine's operations against NumPy, under node where it is there; the browser's tests do so in any case."""

import re
import shutil
import subprocess
from pathlib import Path

from engine_samples import cases, script

import graphnn.control_flow  # noqa: F401 (registers loops and branches)
from graphnn.core import registry
from graphnn.pages.engine import engine_script, operations

LEAVES = {"constant", "parameter", "placeholder"}


def test_what_is_missing_is_known() -> None:
    own = {name for name, kind in registry.items() if kind.__module__.startswith("graphnn.")}
    assert own - operations() == LEAVES
    assert operations() <= own


def test_no_two_modules_have_a_name_in_common() -> None:
    """They are one script in the page, where the later of two functions would replace the other."""
    names = re.findall(r"^(?:const|let|class|function) (\w+)", engine_script(), re.MULTILINE)
    assert sorted(names) == sorted({*names})
    assert len(names) > 100


def test_every_operation_has_samples() -> None:
    assert {case["nodes"]["op"][-1] for case in cases(1)} == operations()


if node := shutil.which("node"):

    def test_operations_give_what_numpy_gives(tmp_path: Path) -> None:
        path = tmp_path / "samples.js"
        path.write_text(script(4) + "console.log(differences(cases).join('\\n'));")
        done = subprocess.run([node, path], capture_output=True, text=True, check=False)
        assert (done.stdout.strip(), done.stderr) == ("", "")
