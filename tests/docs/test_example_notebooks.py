"""Every notebook in examples/ runs from start to end, with warnings as errors, and shows what it says that it shows."""

import math
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


def executed(notebook: Path, folder: Path) -> Any:
    cells = nbformat.read(notebook, as_version=4)
    strict = nbformat.v4.new_code_cell("import warnings\nwarnings.simplefilter('error')")
    cells.cells.insert(0, strict)
    client = NotebookClient(cells, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    return client.execute()


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return executed(EXAMPLES / "see_a_network.ipynb", tmp_path_factory.mktemp("notebook"))


def printed(notebook: Any) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    return "\n".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs)


def figure(text: str, before: str) -> float:
    return float(re.search(rf"{before} *(-?[\d.e-]+)", text)[1])  # type: ignore[index]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_are_kept_without_outputs(notebook: Path) -> None:
    for cell in nbformat.read(notebook, as_version=4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_links_of_notebooks_lead_somewhere() -> None:
    for notebook in NOTEBOOKS:
        for target in re.findall(r"\]\(([^):#]+)\)", notebook.read_text(encoding="utf-8")):
            assert (EXAMPLES / target).exists(), f"{notebook.name} links to {target}"


def test_what_the_network_computes_is_what_is_said_of_it(seen: Any) -> None:
    text = printed(seen)
    assert figure(text, r"categorical_crossentropy_1/mean +\(\)") == pytest.approx(math.log(3), abs=0.02)
    assert figure(text, "by nodes") == pytest.approx(figure(text, "by differences"), rel=1e-5)
    assert "log-of-zero" in text
    assert "nothing wrong" in text
    assert figure(text, "accuracy") > 90


def test_every_picture_is_shown(seen: Any) -> None:
    shown = [set(output.data) for cell in seen.cells for output in cell.get("outputs", ()) if "data" in output]
    assert sum("image/svg+xml" in kinds for kinds in shown) == 8  # seven diagrams, and the history
    assert sum("image/png" in kinds for kinds in shown) == 4
