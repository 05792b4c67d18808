"""What SECURITY.md says, where it can be tried, is so."""

import re
from pathlib import Path

import numpy as np
import pytest

import graphnn as gn
from graphnn.errors import FileFormatError, GraphnnError, MemoryBudgetError
from graphnn.io import container, graph_files

ROOT = Path(__file__).parents[2]
SAID = " ".join((ROOT / "SECURITY.md").read_text("utf-8").split())


def test_the_readme_leads_to_it() -> None:
    assert "(SECURITY.md)" in (ROOT / "README.md").read_text("utf-8")


def test_the_limits_are_those_of_the_code() -> None:
    assert container.MAX_JSON == 2**30
    for limit in (
        "A file has at most 1 GiB of JSON",
        f"JSON is nested at most {container.MAX_DEPTH} deep",
        f"at most {container.MAX_ARRAYS:,} arrays",
        f"scopes lie at most {graph_files.MAX_NESTING:,} deep",
    ):
        assert limit in SAID


def test_the_files_it_names_stand() -> None:
    for target in re.findall(r"\]\(([^):#]+)\)", SAID):
        assert (ROOT / target).exists()


def test_an_operation_is_not_imported_for_a_file(tmp_path: Path) -> None:
    (tmp_path / "stranger.py").write_text("raise SystemExit('imported')", "utf-8")
    data, arrays = graph_files.to_data(-gn.Graph().parameter("w", [1.0]))
    row = data["operations"]["name"].index("negative")
    data["operations"]["name"][row] = "stranger.op"
    data["operations"]["module"][row] = "stranger"
    container.write(tmp_path / "model.gnn", "graph", data, arrays)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        with pytest.raises(FileFormatError, match="is not defined: import the module that defines it"):
            gn.load(tmp_path / "model.gnn")


def test_pickles_are_not_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "model.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(FileFormatError, match="is not a graphnn file"):
        gn.load(tmp_path / "model.npy")


def test_a_huge_value_is_refused_before_it_is_allocated(tmp_path: Path) -> None:
    g = gn.Graph()
    g.outputs["huge"] = gn.broadcast_to(g.parameter("w", [1.0]), (2**20, 2**20)) + 1.0
    gn.save(g, tmp_path / "model.gnn")
    assert (tmp_path / "model.gnn").stat().st_size < 10_000
    loaded = gn.load(tmp_path / "model.gnn")
    with pytest.raises(MemoryBudgetError):
        gn.run(loaded.outputs["huge"], {})


def test_the_budget_of_a_file_is_replaced_by_ones_own(tmp_path: Path) -> None:
    g = gn.Graph()
    g.memory_budget = 2**62
    g.outputs["large"] = gn.broadcast_to(g.parameter("w", [1.0]), (1000, 1000)) + 1.0
    gn.save(g, tmp_path / "model.gnn")
    loaded = gn.load(tmp_path / "model.gnn")
    assert loaded.memory_budget == 2**62
    loaded.memory_budget = 10**6
    with pytest.raises(MemoryBudgetError):
        gn.run(loaded.outputs["large"], {})


def test_a_condition_is_not_evaluated_by_python(tmp_path: Path) -> None:
    g = gn.Graph()
    y = -g.parameter("w", [1.0])
    dbg = gn.debug(y)
    marker = tmp_path / "written"
    with pytest.raises(GraphnnError):
        dbg.break_at(y, f"open({str(marker)!r}, 'w')")
    assert not marker.exists()


def test_a_graph_that_this_process_built_too_quotes_its_lines(tmp_path: Path) -> None:
    g = gn.Graph()
    g.outputs["y"] = gn.log(g.parameter("w", [1.0]))
    gn.save(g, tmp_path / "own.gnn")
    seen = gn.trace(gn.load(tmp_path / "own.gnn").outputs["y"])
    assert seen["log"].source == 'g.outputs["y"] = gn.log(g.parameter("w", [1.0]))'
