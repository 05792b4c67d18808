"""Every notebook in examples/ runs from start to end, with warnings as errors, and shows what it says that it shows."""

import math
import re
import runpy
from pathlib import Path
from typing import Any

import nbformat
import pytest

EXAMPLES = Path(__file__).parents[3] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


NOTEBOOK = runpy.run_path(str(EXAMPLES.parent / "docs" / "notebook.py"))


@pytest.fixture(scope="module")
def seen() -> Any:
    return NOTEBOOK["made"](EXAMPLES / "see_a_network.ipynb")


def printed(notebook: Any) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    return "\n".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs)


def figure(text: str, before: str) -> float:
    return float(re.search(rf"{before} *(-?[\d.e-]+)", text)[1])  # type: ignore[index]


def test_the_notebook_is_kept_with_what_it_shows_now(seen: Any) -> None:
    kept = nbformat.read(EXAMPLES / "see_a_network.ipynb", as_version=4)
    assert not NOTEBOOK["differs"](kept, seen), "run `python docs/notebook.py`"
    assert [cell.get("execution_count") for cell in kept.cells] == [cell.get("execution_count") for cell in seen.cells]


def test_every_notebook_is_kept_so() -> None:
    assert [path.name for path in NOTEBOOKS] == ["see_a_network.ipynb"]


def a_notebook(*outputs: Any) -> Any:
    cell = nbformat.v4.new_code_cell("1")
    cell.outputs = [nbformat.v4.new_output("display_data", data) for data in outputs]
    return nbformat.v4.new_notebook(cells=[cell])


def test_what_varies_is_no_difference() -> None:
    svg = '<svg><text x="{}">relu</text><text>{}</text></svg>'
    one = a_notebook(
        {"text/plain": "loss 0.5000000001 in 12 ms"}, {"image/png": "AAAA"}, {"image/svg+xml": svg.format(1, 0.25)}
    )
    other = a_notebook(
        {"text/plain": "loss 0.5 in 9.5 ms"}, {"image/png": "BBBB"}, {"image/svg+xml": svg.format(2, 0.26)}
    )
    assert not NOTEBOOK["differs"](one, other)


@pytest.mark.parametrize(
    ("kept", "now"),
    [
        ({"text/plain": "loss 0.5"}, {"text/plain": "loss 0.6"}),
        ({"text/plain": "loss 0.5"}, {"text/plain": "cost 0.5"}),
        ({"text/html": "<b>a</b>"}, {"text/html": "<b>b</b>"}),
        ({"image/svg+xml": "<text>relu</text>"}, {"image/svg+xml": "<text>tanh</text>"}),
        ({"image/png": "AAAA", "text/plain": ""}, {"text/plain": ""}),
    ],
)
def test_what_is_shown_otherwise_is_a_difference(kept: Any, now: Any) -> None:
    assert NOTEBOOK["differs"](a_notebook(kept), a_notebook(now))


def test_links_of_notebooks_lead_somewhere() -> None:
    for notebook in NOTEBOOKS:
        for target in re.findall(r"\]\(([^):#]+)\)", notebook.read_text(encoding="utf-8")):
            assert (EXAMPLES / target).exists(), f"{notebook.name} links to {target}"


def test_what_the_network_computes_is_what_is_said_of_it(seen: Any) -> None:
    text = printed(seen)
    assert figure(text, r"categorical_crossentropy_1/mean +\(\)") == pytest.approx(math.log(3), abs=0.02)
    assert figure(text, "by nodes") == pytest.approx(figure(text, "by differences"), rel=1e-5)
    assert "log-of-zero" in text
    assert "the input is large: x[" in text
    assert figure(text, "accuracy") > 90


def test_every_picture_is_shown(seen: Any) -> None:
    shown = [set(output.data) for cell in seen.cells for output in cell.get("outputs", ()) if "data" in output]
    assert sum("image/svg+xml" in kinds for kinds in shown) == 8  # seven diagrams, and the history
    assert sum("image/png" in kinds for kinds in shown) == 4


def test_the_page_is_shown_in_a_frame_which_is_not_kept(seen: Any) -> None:
    (page,) = [cell for cell in seen.cells if cell.source == "film.to_html()"]
    assert page.outputs[0].data["text/plain"].startswith('<Page of "spiral"')
    assert "text/html" not in page.outputs[0].data
