"""A graph from elsewhere cannot have a page, a picture or a message quote the files of who loads it."""

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
from graphnn.errors import GraphnnError
from graphnn.io import container, graph_files


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
