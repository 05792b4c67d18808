"""What SECURITY.md says, where it can be tried, is so."""

import base64
import importlib
import linecache
import re
import zlib
from pathlib import Path

import networkx as nx
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
    assert container.MAX_HEADER == 2**30
    for limit in (
        "A header has at most 1 GiB",
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


def _all_that_is_told(graph: gn.Graph, folder: Path) -> dict[str, str]:
    """Return, by where it stands, all that graphnn shows of a run of a graph and writes of it."""
    y, feed = graph["log"], {"x": -np.ones((2, 3))}
    seen = gn.trace(y, feed)
    seen.save(folder / "own.trace")
    page = seen.to_html()
    packed = re.search(r'id="data"[^>]*>([^<]+)<', page.html)
    assert packed is not None
    dbg = gn.debug(gn.load(folder / "own.trace"), echo=None)
    dbg.resume()
    step = gn.compile(y)
    with gn.recording(step) as recorded:
        step(feed)
    with pytest.raises(GraphnnError) as refused:
        gn.run(y, {"x": np.ones((2, 4))})
    return {
        "record": f"{seen[y].source} {seen[y]} {seen.sources}",
        "why": f"{seen.why(y, (0, 0))}",
        "debugger": f"{dbg.source_of('log')} {dbg.sources}",
        "film": f"{recorded[0].sources} {recorded.to_html().data}",
        "health": str(gn.check_health(y, feed)),
        "error": str(refused.value),
        "picture": gn.draw(graph).svg(),
        "page": page.html,
        "page, unpacked": zlib.decompress(base64.b64decode(packed[1])).decode("latin-1"),
        "trace file": (folder / "own.trace").read_bytes().decode("latin-1"),
    }


@pytest.mark.parametrize("way", ["load", "from_data", "from_networkx"])
def test_a_graph_cannot_quote_the_files_of_who_loads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    module = tmp_path / f"settings_{way}.py"
    module.write_text('DEBUG = True\nSECRET_KEY = "hunter2"\nPORT = 80\n', "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module(module.stem)
    assert "hunter2" in linecache.getline(str(module), 2)  # a traceback showed it once

    g = gn.Graph()
    g.outputs["y"] = gn.log(g.placeholder("x", ("n", 3)))
    if way == "from_networkx":
        dag = nx.MultiDiGraph(g.dag)
        for data in dag.nodes.values():
            data["origin"] = f"{module}:2"
        graph = gn.Graph.from_networkx(dag)
    else:
        data, arrays = graph_files.to_data(g)
        lines = data["lines"]
        lines["file"], lines["number"] = [str(module)] * len(lines["file"]), [2] * len(lines["number"])
        container.write(tmp_path / "evil.gnn", "graph", data, arrays, version=graph_files.VERSION)
        graph = gn.load(tmp_path / "evil.gnn") if way == "load" else graph_files.from_data(data, arrays)
    assert graph["log"].origin == (str(module), 2)
    told = _all_that_is_told(graph, tmp_path)
    assert [where for where, text in told.items() if re.search("hunter2|SECRET|PORT", text)] == []


def test_a_graph_that_this_process_built_too_quotes_its_lines(tmp_path: Path) -> None:
    g = gn.Graph()
    g.outputs["y"] = gn.log(g.parameter("w", [1.0]))
    gn.save(g, tmp_path / "own.gnn")
    seen = gn.trace(gn.load(tmp_path / "own.gnn").outputs["y"])
    assert seen["log"].source == 'g.outputs["y"] = gn.log(g.parameter("w", [1.0]))'
