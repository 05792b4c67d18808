"""The graph is a NetworkX graph: live, read-only, and the way back from one that anybody made."""

import copy
import io
import json
import pickle
import random
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphnn as gn

EDGES = [
    ("x", "matmul", 0),
    ("w", "matmul", 1),
    ("matmul", "head/exp", 0),
    ("head/exp", "head/sum", 0),
    ("head/exp", "head/divide", 0),
    ("head/sum", "head/divide", 1),
    ("head/divide", "add", 0),
    ("head/divide", "add", 1),
    ("add", "multiply", 0),
    ("c", "multiply", 1),
    ("multiply", "loss", 0),
]
NODES = ["x", "w", "c", "matmul", "head/exp", "head/sum", "head/divide", "add", "multiply", "loss", "aside"]


def model() -> gn.Graph:
    """Build a graph with what there is to keep: scopes, an output, state, one operand twice, a node aside."""
    g = gn.Graph("model")
    x = g.placeholder("x", shape=("batch", 2))
    w = g.parameter("w", np.arange(6.0).reshape(2, 3) / 7)
    c = g.constant([1.0, 2.0, 3.0], name="c")
    h = x @ w
    with g.scope("head"):
        powers = gn.exp(h)
        shares = powers / gn.sum(powers, axis=1, keepdims=True)
    g.outputs["loss sum"] = gn.sum((shares + shares) * c, name="loss")
    g.placeholder("aside", dtype=np.int64)
    return g


def plain() -> nx.MultiDiGraph:
    """Return the same edges in a graph of NetworkX's own."""
    dag = nx.MultiDiGraph()
    dag.add_nodes_from(NODES)
    dag.add_edges_from(EDGES)
    return dag


FEED = {"x": np.array([[0.5, -1.0], [2.0, 0.25], [3.0, -3.0]])}


def same_bits(a: Any, b: Any) -> bool:
    return bool(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())


def without_arrays(value: Any) -> Any:
    """Return plain data in which tuples are lists, as JSON has them, and arrays their bits."""
    if isinstance(value, np.ndarray):
        return [value.dtype.name, value.shape, value.tobytes()]
    if isinstance(value, dict) or hasattr(value, "items"):
        return {k: without_arrays(v) for k, v in value.items()}
    return [without_arrays(v) for v in value] if isinstance(value, (list, tuple)) else value


def described(dag: nx.MultiDiGraph) -> dict[str, Any]:
    """Return all that a graph says, in plain data."""
    return {
        "graph": without_arrays(dag.graph),
        "nodes": [(name, without_arrays(data)) for name, data in dag.nodes(data=True)],
        "edges": [(*edge, dict(data)) for *edge, data in dag.edges(keys=True, data=True)],
    }


# --- NetworkX's functions --------------------------------------------------------------------------------------

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "nodes": list,
    "len": len,
    "edges": lambda d: list(d.edges(keys=True)),
    "in_edges": lambda d: sorted(d.in_edges("head/divide", keys=True)),
    "degrees": lambda d: [dict(d.in_degree()), dict(d.out_degree()), dict(d.degree())],
    "neighbours": lambda d: [list(d.successors("head/exp")), list(d.predecessors("head/divide")), "x" in d],
    "number_of_edges": lambda d: [d.number_of_edges(), d.number_of_edges("head/divide", "add"), d.size()],
    "has_edge": lambda d: [d.has_edge("head/divide", "add", 1), d.has_edge("head/divide", "add", 2)],
    "ancestors": lambda d: nx.ancestors(d, "head/divide"),
    "descendants": lambda d: nx.descendants(d, "head/exp"),
    "topological_sort": lambda d: list(nx.topological_sort(d)),
    "lexicographical_topological_sort": lambda d: list(nx.lexicographical_topological_sort(d)),
    "topological_generations": lambda d: [sorted(wave) for wave in nx.topological_generations(d)],
    "dag_longest_path": nx.dag_longest_path,
    "dag_longest_path_length": nx.dag_longest_path_length,
    "is_directed_acyclic_graph": nx.is_directed_acyclic_graph,
    "immediate_dominators": lambda d: nx.immediate_dominators(d, "x"),
    "dominance_frontiers": lambda d: nx.dominance_frontiers(d, "x"),
    "transitive_reduction": lambda d: sorted(nx.transitive_reduction(nx.DiGraph(d)).edges),
    "transitive_closure": lambda d: sorted(nx.transitive_closure(nx.DiGraph(d)).edges),
    "antichains": lambda d: len(list(nx.antichains(nx.DiGraph(d)))),
    "weakly_connected_components": lambda d: sorted(map(sorted, nx.weakly_connected_components(d))),
    "strongly_connected_components": nx.number_strongly_connected_components,
    "condensation": lambda d: sorted(nx.condensation(d).edges),
    "all_simple_paths": lambda d: sorted(nx.all_simple_paths(d, "matmul", "add")),
    "all_simple_edge_paths": lambda d: sorted(nx.all_simple_edge_paths(d, "x", "loss")),
    "shortest_path": lambda d: nx.shortest_path(d, "x", "loss"),
    "shortest_path_length": lambda d: nx.single_source_shortest_path_length(d, "w"),
    "has_path": lambda d: [nx.has_path(d, "x", "loss"), nx.has_path(d, "loss", "x")],
    "bfs_edges": lambda d: list(nx.bfs_edges(d, "x")),
    "dfs_postorder_nodes": lambda d: list(nx.dfs_postorder_nodes(d, "x")),
    "isolates": lambda d: list(nx.isolates(d)),
    "degree_centrality": nx.degree_centrality,
    "to_dict_of_lists": nx.to_dict_of_lists,
    "to_numpy_array": lambda d: nx.to_numpy_array(d).tolist(),
    "generate_edgelist": lambda d: list(nx.generate_edgelist(d, data=False)),
    "node_link_data": lambda d: [
        (e["source"], e["target"], e["key"]) for e in nx.node_link_data(d, edges="edges")["edges"]
    ],
    "reverse": lambda d: [list(d.reverse().edges(keys=True)), list(d.reverse(copy=False).edges(keys=True))],
    "to_undirected": lambda d: [sorted(d.to_undirected().edges(keys=True)), len(d.to_undirected(as_view=True).edges)],
    "to_directed": lambda d: list(d.to_directed().edges(keys=True)),
    "subgraph": lambda d: list(d.subgraph(["x", "w", "matmul"]).edges(keys=True)),
    "edge_subgraph": lambda d: sorted(d.edge_subgraph([("x", "matmul", 0)])),
    "ego_graph": lambda d: sorted(nx.ego_graph(d, "head/exp")),
    "relabel_nodes": lambda d: sorted(nx.relabel_nodes(d, {"x": "input"}).edges(keys=True)),
    "convert_node_labels_to_integers": lambda d: sorted(nx.convert_node_labels_to_integers(d).edges(keys=True)),
    "union": lambda d: sorted(nx.union(d, d, rename=("a ", "b ")).edges(keys=True)),
    "compose": lambda d: sorted(nx.compose(d, nx.MultiDiGraph([("loss", "more")])).edges(keys=True)),
    "line_graph": lambda d: sorted(nx.line_graph(d).edges),
    "contracted_nodes": lambda d: sorted(nx.contracted_nodes(d, "add", "multiply").edges),
    "is_isomorphic": lambda d: nx.is_isomorphic(d, plain()),
    "copy": lambda d: list(d.copy().edges(keys=True)),
    "view": lambda d: list(d.copy(as_view=True).edges(keys=True)),
    "deepcopy": lambda d: list(copy.deepcopy(d).edges(keys=True)),
    "copy.copy": lambda d: list(copy.copy(d).edges(keys=True)),
    "pickle": lambda d: list(pickle.loads(pickle.dumps(d)).edges(keys=True)),  # noqa: S301 - our own
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_algorithms_of_networkx_work_on_the_live_graph(function: Callable[[Any], Any]) -> None:
    assert function(model().dag) == function(plain())


def test_some_answers_worked_by_hand() -> None:
    dag = model().dag
    assert isinstance(dag, nx.MultiDiGraph)
    assert nx.ancestors(dag, "head/sum") == {"x", "w", "matmul", "head/exp"}
    assert nx.dag_longest_path(dag) == [
        "x", "matmul", "head/exp", "head/sum", "head/divide", "add", "multiply", "loss"
    ]  # fmt: skip
    assert nx.immediate_dominators(dag, "matmul")["head/divide"] == "head/exp"
    assert ("head/exp", "head/divide") not in nx.transitive_reduction(nx.DiGraph(dag)).edges
    assert dag.name == "model"


def test_an_operand_twice_is_two_edges() -> None:
    dag = model().dag
    assert list(dag.edges("head/divide", keys=True)) == [("head/divide", "add", 0), ("head/divide", "add", 1)]
    assert dag.in_degree("add") == 2
    assert list(dag["head/divide"]["add"]) == [0, 1]


def test_node_data_are_plain() -> None:
    g = model()
    line = g["head/sum"].origin.line
    assert dict(g.dag.nodes["head/sum"]) == {
        "op": "sum",
        "attributes": {"axis": 1, "keepdims": True},
        "shape": ("batch", 1),
        "dtype": "float64",
        "scope": "head",
        "origin": f"test_networkx.py:{line}",
    }
    assert list(g.dag.nodes["w"]) == ["op", "attributes", "shape", "dtype", "scope", "origin", "value"]
    assert "value" not in g.dag.nodes["x"]
    assert g.dag.nodes["x"].get("value") is None
    assert len(g.dag.nodes["c"]) == 7
    assert nx.get_node_attributes(g.dag, "value").keys() == {"w", "c"}
    assert dict(g.dag.nodes(data="op")) == nx.get_node_attributes(g.dag, "op")
    assert repr(g.dag.nodes["x"]) == repr(dict(g.dag.nodes["x"]))
    allowed = (str, int, float, bool, type(None))

    def check(value: Any) -> None:
        for part in value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ():
            check(part)
        assert isinstance(value, (*allowed, dict, tuple))

    for _, data in g.dag.nodes(data=True):
        for key, value in data.items():
            check(value) if key != "value" else None


def test_the_dag_is_live() -> None:
    g = model()
    dag, nodes, edges, adjacency = g.dag, g.dag.nodes, g.dag.edges, g.dag.adj
    count = len(edges)
    node = g["loss"] + g["loss"]
    assert g.dag is dag
    assert node.name in dag
    assert nodes[node.name]["op"] == "add"
    assert len(edges) == count + 2
    assert list(adjacency["loss"]) == [node.name]
    g.outputs["more"] = node
    g["w"].value = np.ones((2, 3))
    assert dag.graph["outputs"] == {"loss sum": "loss", "more": node.name}
    assert (dag.nodes["w"]["value"] == 1).all()


def test_the_data_of_the_graph() -> None:
    g = model()
    w = g["w"]
    g.updates[w] = w * 0.5
    grad = gn.grad(g["loss"], w)
    data = g.dag.graph
    assert (data["name"], data["dtype"]) == ("model", "float64")
    assert data["updates"] == {"w": "multiply_2"}
    head = data["scopes"]["head"]
    assert (head["kind"], head["phase"], head["parent"], head["result"]) == ("", "forward", "", "head/divide")
    assert head["origin"] == f"test_networkx.py:{g.scopes['head'].origin.line}"
    assert data["scopes"]["grad/head"]["phase"] == "backward"
    assert g.dag.nodes[grad.name]["twin"] == "matmul"


# --- writing ---------------------------------------------------------------------------------------------------

EDGE = ("x", "matmul", 0)
WRITES: dict[str, Callable[[Any], Any]] = {
    "add_node": lambda d: d.add_node("new"),
    "add_node with data": lambda d: d.add_node("x", op="exp"),
    "add_nodes_from": lambda d: d.add_nodes_from(["new"]),
    "add_edge": lambda d: d.add_edge("x", "loss"),
    "add_edges_from": lambda d: d.add_edges_from([("x", "loss")]),
    "add_weighted_edges_from": lambda d: d.add_weighted_edges_from([("x", "loss", 1.0)]),
    "remove_node": lambda d: d.remove_node("loss"),
    "remove_nodes_from": lambda d: d.remove_nodes_from(["loss"]),
    "remove_edge": lambda d: d.remove_edge("x", "matmul"),
    "remove_edges_from": lambda d: d.remove_edges_from([EDGE]),
    "clear": lambda d: d.clear(),
    "clear_edges": lambda d: d.clear_edges(),
    "update": lambda d: d.update(edges=[("x", "loss")]),
    "nodes[n][k]=": lambda d: d.nodes["x"].__setitem__("op", "exp"),
    "nodes[n].update": lambda d: d.nodes["x"].update(op="exp"),
    "nodes[n].pop": lambda d: d.nodes["x"].pop("op"),
    "nodes[n].popitem": lambda d: d.nodes["x"].popitem(),
    "nodes[n].setdefault": lambda d: d.nodes["x"].setdefault("colour", "red"),
    "nodes[n].clear": lambda d: d.nodes["x"].clear(),
    "del nodes[n][k]": lambda d: d.nodes["x"].__delitem__("op"),
    "nodes[n] |=": lambda d: d.nodes["x"].__ior__({"op": "exp"}),
    "nodes(data=True)": lambda d: [data.update(op="exp") for _, data in d.nodes(data=True)],
    "attributes[k]=": lambda d: d.nodes["head/sum"]["attributes"].__setitem__("axis", 0),
    "attributes.clear": lambda d: d.nodes["head/sum"]["attributes"].clear(),
    "edges[e][k]=": lambda d: d.edges[EDGE].__setitem__("w", 1),
    "edges[e].update": lambda d: d.edges[EDGE].update(w=1),
    "edges(data=True)": lambda d: [data.update(w=1) for _, _, data in d.edges(data=True)],
    "adj[u][v][k][a]=": lambda d: d.adj["x"]["matmul"][0].__setitem__("w", 1),
    "d[u][v][k][a]=": lambda d: d["x"]["matmul"][0].__setitem__("w", 1),
    "succ": lambda d: d.succ["x"]["matmul"][0].update(w=1),
    "pred": lambda d: d.pred["matmul"]["x"][0].update(w=1),
    "get_edge_data": lambda d: d.get_edge_data("x", "matmul").clear(),
    "get_edge_data(key)": lambda d: d.get_edge_data(*EDGE).update(w=1),
    "adjacency()": lambda d: [nbrs.clear() for _, nbrs in d.adjacency()],
    "graph[k]=": lambda d: d.graph.__setitem__("name", "other"),
    "del graph[k]": lambda d: d.graph.__delitem__("name"),
    "graph.update": lambda d: d.graph.update(name="other"),
    "graph.clear": lambda d: d.graph.clear(),
    "graph.pop": lambda d: d.graph.pop("name"),
    "graph.popitem": lambda d: d.graph.popitem(),
    "graph.setdefault": lambda d: d.graph.setdefault("k", 1),
    "graph |=": lambda d: d.graph.__ior__({"k": 1}),
    "graph[outputs][k]=": lambda d: d.graph["outputs"].__setitem__("loss sum", "x"),
    "graph[scopes]": lambda d: d.graph["scopes"]["head"].update(kind="Dense"),
    "graph=": lambda d: setattr(d, "graph", {}),
    "name=": lambda d: setattr(d, "name", "other"),
    "nodes=": lambda d: setattr(d, "nodes", {}),
    "adj=": lambda d: setattr(d, "adj", {}),
    "del graph": lambda d: delattr(d, "graph"),
    "add_node=": lambda d: setattr(d, "copy", lambda: None),
    "set_node_attributes": lambda d: nx.set_node_attributes(d, {"x": {"op": "exp"}}),
    "set_node_attributes(value)": lambda d: nx.set_node_attributes(d, "red", "colour"),
    "set_edge_attributes": lambda d: nx.set_edge_attributes(d, {EDGE: {"w": 1}}),
    "set_edge_attributes(value)": lambda d: nx.set_edge_attributes(d, 1, "w"),
    "remove_node_attributes": lambda d: nx.remove_node_attributes(d, "op"),
    "relabel_nodes": lambda d: nx.relabel_nodes(d, {"x": "input"}, copy=False),
    "contracted_nodes": lambda d: nx.contracted_nodes(d, "add", "multiply", copy=False),
    "add_path": lambda d: nx.add_path(d, ["x", "loss"]),
    "add_star": lambda d: nx.add_star(d, ["x", "loss"]),
    "add_cycle": lambda d: nx.add_cycle(d, ["x", "loss"]),
    "nodes of a subgraph": lambda d: d.subgraph(["x"]).nodes["x"].update(op="exp"),
    "graph of a view": lambda d: d.copy(as_view=True).graph.clear(),
    "nodes of a reversed view": lambda d: d.reverse(copy=False).nodes["x"].update(op="exp"),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_every_way_of_writing_is_refused(write: Callable[[Any], Any]) -> None:
    g = model()
    before = described(g.dag)
    with pytest.raises(TypeError, match=r"read-only.*from_networkx") as caught:
        write(g.dag)
    assert isinstance(caught.value, gn.UsageError)
    assert described(g.dag) == before
    assert all(edge in EDGES for edge in g.dag.edges(keys=True))


def test_no_public_method_that_writes_was_forgotten() -> None:
    # What changes an ordinary graph when called without arguments, or with a node or an edge, is in the list above.
    arguments: list[tuple[Any, ...]] = [(), ("x",), (["x"],), ("x", "matmul"), ([EDGE],), ([(*EDGE[:2], 1.0)],)]
    for name in dir(nx.MultiDiGraph):
        if name.startswith("_") or not callable(getattr(nx.MultiDiGraph, name)):
            continue
        for given_ in arguments:
            ordinary = model().dag.copy()
            before = described(ordinary)
            try:
                getattr(ordinary, name)(*given_)
            except (TypeError, nx.NetworkXError, KeyError, ValueError):
                continue
            if described(ordinary) != before:
                assert name in WRITES
                with pytest.raises(gn.UsageError):
                    getattr(model().dag, name)(*given_)


def test_nx_freeze_changes_nothing() -> None:
    g = model()
    assert nx.is_frozen(nx.freeze(g.dag))
    with pytest.raises(nx.NetworkXError, match="Frozen"):
        g.dag.add_node("new")
    assert (-g["loss"]).name in g.dag
    g.dag.copy().add_node("new")


def test_arrays_in_the_data_are_read_only_copies() -> None:
    g = model()
    with pytest.raises(ValueError, match="read-only"):
        g.dag.nodes["w"]["value"][0, 0] = 5
    assert not np.shares_memory(g.dag.nodes["w"]["value"], g.dag.nodes["w"]["value"])


COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": lambda d: d.copy(),
    "deepcopy": copy.deepcopy,
    "copy.copy": copy.copy,
    "pickle": lambda d: pickle.loads(pickle.dumps(d)),  # noqa: S301 - our own
    "reverse": lambda d: d.reverse(),
    "to_undirected": lambda d: d.to_undirected(),
    "to_directed": lambda d: d.to_directed(),
    "MultiDiGraph": nx.MultiDiGraph,
    "DiGraph": nx.DiGraph,
    "Graph": nx.Graph,
    "subgraph": lambda d: d.subgraph(list(d)).copy(),
    "relabel": lambda d: nx.relabel_nodes(d, {"loss": "cost"}),
    "compose": lambda d: nx.compose(d, d),
}


@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES.keys())
def test_copies_are_plain_and_writable(make: Callable[[Any], Any]) -> None:
    g = model()
    before = described(g.dag)
    made = make(g.dag)
    assert type(made).__module__.startswith("networkx.")
    made.add_node("new", op="exp")
    made.add_edge("x", "new")
    made.nodes["x"]["op"] = "exp"
    made.nodes["x"].update(colour="red")
    del made.nodes["w"]["op"]
    made.graph["name"] = "other"
    for *_, data in made.edges(data=True):
        data["w"] = 1.0
    made.remove_node("matmul")
    assert described(g.dag) == before


@pytest.mark.parametrize("make", [COPIES["copy"], copy.deepcopy, COPIES["pickle"]], ids=["copy", "deepcopy", "pickle"])
def test_nested_data_of_a_copy_are_plain(make: Callable[[Any], Any]) -> None:
    g = model()
    before = described(g.dag)
    made = make(g.dag)
    made.nodes["head/sum"]["attributes"]["keepdims"] = False
    made.nodes["head/sum"]["shape"] = ("batch",)
    made.nodes["w"]["value"][0, 0] = 5.0
    made.graph["outputs"]["loss"] = "loss"
    made.graph["scopes"]["head"]["kind"] = "Dense"
    assert described(g.dag) == before
    for dropped in ("head/divide", "add", "multiply", "loss"):
        made.remove_node(dropped)
    made.graph["outputs"] = {"sum": "head/sum"}
    h = gn.Graph.from_networkx(made)
    assert h.outputs["sum"].shape == ("batch",)
    assert h["w"].value[0, 0] == 5.0
    assert h.scopes["head"].kind == "Dense"


# --- for exporters -----------------------------------------------------------------------------------------------


def test_flat_holds_strings_and_numbers_only() -> None:
    g = model()
    flat = g.flat()
    assert type(flat) is nx.MultiDiGraph
    for data in (flat.graph, *(d for _, d in flat.nodes(data=True)), *(d for *_, d in flat.edges(data=True))):
        assert all(type(value) in (str, int, float, bool) for value in data.values())
    assert flat.nodes["head/sum"]["shape"] == "(batch, 1)"
    assert flat.nodes["head/sum"]["attributes"] == "axis=1, keepdims=True"
    assert sorted(flat.edges(keys=True)) == sorted(EDGES)


@pytest.mark.parametrize("name", ['a"b', "<b>x</b>", "dense/kernel:0", r"\N", "</script>", "&amp;", "é漢字", " "])
def test_exporters_of_networkx_take_the_flat_graph(name: str) -> None:
    g = model()
    g.placeholder(name)
    graphml = io.BytesIO()
    nx.write_graphml(g.flat(), graphml)
    back = nx.parse_graphml(graphml.getvalue().decode(), force_multigraph=True)
    assert set(back) == set(g.dag)
    assert back.nodes["matmul"]["op"] == "matmul"
    assert sorted((u, v, d["position"]) for u, v, d in back.edges(data=True)) == sorted(EDGES)
    gml = "\n".join(nx.generate_gml(g.flat()))
    assert set(nx.parse_gml(gml)) == set(g.dag)
    gexf = "\n".join(nx.generate_gexf(g.flat()))
    assert set(nx.read_gexf(io.BytesIO(gexf.encode()), relabel=True)) == set(g.dag)


def test_json_takes_the_dag() -> None:
    g = model()
    data = json.loads(json.dumps(nx.node_link_data(g.dag, edges="edges"), default=lambda array: array.tolist()))
    assert data["graph"]["outputs"] == {"loss sum": "loss"}
    assert next(node for node in data["nodes"] if node["id"] == "x")["shape"] == ["batch", 2]
    json.dumps(nx.adjacency_data(g.dag), default=lambda array: array.tolist())
    json.dumps(nx.cytoscape_data(g.dag), default=lambda array: array.tolist())


# --- the way back ------------------------------------------------------------------------------------------------


def with_gradients() -> gn.Graph:
    g = model()
    w = g["w"]
    steps = g.parameter("steps", 3, trainable=False)
    g.updates.update({w: w - 0.1 * gn.grad(g["loss"], w), steps: steps + 1})
    g.outputs["flags"] = g["matmul"] > 0
    g.parameter("small", np.array([1.5, -2.25], np.float32), trainable=False)
    g.constant(np.zeros((0, 3), np.int16), name="nothing")
    g.constant(np.array([250, 3], np.uint8), name="bytes")
    g.constant(np.array([np.nan, np.inf, -0.0]), name="odd")
    return g


def through_json(dag: Any) -> Any:
    text = json.dumps(nx.node_link_data(dag, edges="edges"), default=lambda array: array.tolist())
    return nx.node_link_graph(json.loads(text), edges="edges")


def with_positions(dag: Any) -> Any:
    simple = nx.DiGraph(**dag.graph)
    simple.add_nodes_from(dag.nodes(data=True))
    simple.add_edges_from((u, v, {"position": k}) for u, v, k in dag.edges(keys=True))
    return simple


WAYS: dict[str, Callable[[Any], Any]] = {
    "the live graph": lambda d: d,
    "a copy": lambda d: d.copy(),
    "a deep copy": copy.deepcopy,
    "pickle": COPIES["pickle"],
    "JSON": through_json,
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_a_graph_read_back_is_the_same(way: Callable[[Any], Any]) -> None:
    g = with_gradients()
    before = described(g.dag)
    h = gn.Graph.from_networkx(way(g.dag))
    assert described(h.dag) == before == described(g.dag)
    assert [type(node.value) for node in h.state] == [np.ndarray] * 3
    assert all(same_bits(g[name].value, h[name].value) for name in ("w", "steps", "small", "nothing", "bytes", "odd"))
    assert (h.parameters, h["small"].trainable) == ((h["w"],), False)
    assert [node.index for node in h] == list(range(len(h)))
    names = ["loss", "flags", *(node.name for node in g.updates.values())]
    assert all(map(same_bits, gn.run(names, FEED, graph=g), gn.run(names, FEED, graph=h)))
    assert h[gn.grad(g["loss"], g["w"]).name].phase == "backward"
    # A step of training goes on from there.
    for graph in (g, h):
        gn.compile(graph["loss"], updates=graph.updates)(FEED)
    assert same_bits(g["w"].value, h["w"].value)
    assert h["steps"].value == 4


@cache
def model_and_results() -> tuple[gn.Graph, dict[str, Any], list[Any]]:
    """Return a graph that nobody changes, all that it says, and what it gives."""
    g = with_gradients()
    return g, described(g.dag), gn.run(["loss", "flags", *(node.name for node in g.updates.values())], FEED, graph=g)


@given(st.randoms(use_true_random=False))
def test_the_order_of_the_nodes_does_not_matter(order: random.Random) -> None:
    g, said, results = model_and_results()
    shuffled = nx.MultiDiGraph(**g.dag.graph)
    shuffled.add_nodes_from(order.sample(list(g.dag.nodes(data=True)), len(g)))
    edges = list(g.dag.edges(keys=True))
    shuffled.add_edges_from(order.sample(edges, len(edges)))
    h = gn.Graph.from_networkx(shuffled)
    assert all(operand.index < node.index for node in h for operand in node.inputs)
    found = described(h.dag)
    assert dict(found["nodes"]) == dict(said["nodes"])
    assert found["graph"] == said["graph"]
    names = ["loss", "flags", *(node.name for node in g.updates.values())]
    assert all(map(same_bits, results, gn.run(names, FEED, graph=h)))


def test_from_a_plain_digraph_with_positions() -> None:
    dag = nx.DiGraph()
    dag.add_node("x", op="placeholder", shape=["batch", 2])
    dag.add_node("w", op="constant", value=[[1.0], [2.0]])
    dag.add_node("y", op="matmul")
    dag.add_node("relu", op="relu", scope="block/inner")
    dag.add_edge("w", "y", position=1)
    dag.add_edge("x", "y", position=0)
    dag.add_edge("y", "relu")  # one operand needs no position
    g = gn.Graph.from_networkx(dag)
    assert g.name == "graph"
    assert g["relu"].shape == ("batch", 1)
    assert (g["relu"].scope, list(g.scopes), g["block"]) == ("block/inner", ["block", "block/inner"], g["relu"])
    assert str(g["relu"].origin).startswith("test_networkx.py:")
    assert gn.run("relu", {"x": [[1.0, 1.0]]}, graph=g).tolist() == [[3.0]]


def test_a_digraph_made_from_the_live_dag_with_positions() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=2)
    y = (x - 1.0) / gn.exp(x)
    h = gn.Graph.from_networkx(with_positions(g.dag))
    assert same_bits(gn.run(y, {x: [1.0, 5.0]}), gn.run(y.name, {"x": [1.0, 5.0]}, graph=h))


def test_the_graphs_dtype_comes_back() -> None:
    g = gn.Graph("half", dtype=np.float32)
    g.placeholder("x")
    h = gn.Graph.from_networkx(through_json(g.dag))
    assert (h.dtype, h["x"].dtype, h.name) == (np.float32, np.float32, "half")


def test_scopes_need_not_follow_from_the_names() -> None:
    g = gn.Graph()
    g.placeholder("a")  # the scope "a/b" has no scope "a" around it
    with g.scope("a/b"):
        node = -g["a"]
    h = gn.Graph.from_networkx(g.dag)
    assert described(h.dag) == described(g.dag)
    assert (list(h.scopes), h[node.name].scope, h["a/b"]) == (["a/b"], "a/b", h[node.name])


def test_a_graph_read_back_can_be_extended() -> None:
    g = model()
    h = gn.Graph.from_networkx(g.dag)
    with h.scope("head"):
        assert (-h["loss"]).name == "head_2/negative"
    assert (h["x"] @ h["w"]).name == "matmul_2"
    assert len(g) == len(NODES)


# --- what is refused on the way back -----------------------------------------------------------------------------


def broken(**changes: Any) -> Any:
    """Return a copy of the model's graph with the data of some nodes changed; None takes an entry away."""
    dag = model().dag.copy()
    for name, data in changes.items():
        for key, value in data.items():
            if value is None:
                del dag.nodes[name][key]
            else:
                dag.nodes[name][key] = value
    return dag


def rewired(remove: list[Any] = [], add: list[Any] = []) -> Any:  # noqa: B006 - never written to
    dag = model().dag.copy()
    dag.remove_edges_from(remove)
    dag.add_edges_from(add)
    return dag


REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "no operation": (lambda: broken(matmul={"op": None}), ValueError, 'node "matmul": its data lack op'),
    "an operation that is no name": (lambda: broken(matmul={"op": 3}), ValueError, 'node "matmul": its data lack op'),
    "an unknown operation": (
        lambda: broken(matmul={"op": "matmull"}),
        KeyError,
        'node "matmul": there is no operation "matmull". Did you mean "matmul"',
    ),
    "no shape": (lambda: broken(x={"shape": None}), ValueError, 'node "x": its data lack shape, which a placeholder'),
    "no value": (lambda: broken(w={"value": None}), ValueError, 'node "w": its data lack value, which a parameter'),
    "a node without data": (
        lambda: rewired(add=[("ghost", "matmul", 2)]),
        ValueError,
        'node "ghost": its data lack op',
    ),
    "an unknown attribute": (
        lambda: broken(loss={"attributes": {"axes": 1}}),
        TypeError,
        'node "loss": sum has no attribute "axes".* Did you mean "axis"',
    ),
    "attributes that are none": (lambda: broken(loss={"attributes": 3}), TypeError, 'node "loss": '),
    "an axis out of range": (
        lambda: broken(loss={"attributes": {"axis": 7}}),
        IndexError,
        'node "loss": sum: axis 7 is out of range for an array of 2 axes: valid are -2 to 1',
    ),
    "a missing operand": (
        lambda: rewired(remove=[("w", "matmul", 1)]),
        ValueError,
        'node "matmul": matmul takes 2 operands, got 1',
    ),
    "an operand too many": (
        lambda: rewired(add=[("c", "matmul", 2)]),
        ValueError,
        'node "matmul": matmul takes 2 operands, got 3',
    ),
    "a position twice": (
        lambda: rewired(add=[("c", "matmul", 1)]),
        ValueError,
        'node "matmul": "w" and "c" are both its operand 1',
    ),
    "a position left out": (
        lambda: rewired(remove=[("w", "matmul", 1)], add=[("w", "matmul", 5)]),
        ValueError,
        'node "matmul": its operands stand at 0, 5, not at 0 to 1',
    ),
    "a position that is none": (
        lambda: rewired(remove=[("w", "matmul", 1)], add=[("w", "matmul", "second")]),
        ValueError,
        'node "matmul": its operands stand at 0, second',
    ),
    "shapes that do not fit": (
        lambda: broken(x={"shape": ("batch", 5)}),
        ValueError,
        r'node "matmul": matmul cannot multiply \(batch, 5\) by \(2, 3\)',
    ),
    "a shape that does not come out": (
        lambda: broken(add={"shape": ("batch", 4)}),
        ValueError,
        r'node "add": it is declared \(batch, 4\) float64, but add gives \(batch, 3\) float64',
    ),
    "a dtype that does not come out": (
        lambda: broken(add={"dtype": "float32"}),
        TypeError,
        r'node "add": it is declared \(batch, 3\) float32, but add gives \(batch, 3\) float64',
    ),
    "a value of another shape": (
        lambda: broken(w={"value": np.ones((3, 3))}),
        ValueError,
        r'node "w": it is declared \(2, 3\) float64, but parameter gives \(3, 3\)',
    ),
    "a value of another dtype": (
        lambda: broken(w={"value": np.ones((2, 3), np.float32)}),
        TypeError,
        'node "w": it is declared .* float64, but parameter gives .* float32',
    ),
    "a value that is none": (lambda: broken(w={"value": [[1.0], [2.0, 3.0]]}), ValueError, 'node "w": .*ragged'),
    "a value of objects": (lambda: broken(w={"value": [object()]}), TypeError, 'node "w": .*dtype object'),
    "a dtype that is none": (
        lambda: broken(x={"dtype": "float99"}),
        TypeError,
        "node \"x\": .*'float99' is not a dtype",
    ),
    "a shape that is none": (lambda: broken(x={"shape": ("2 apples",)}), ValueError, 'node "x": .*is not a dimension'),
    "an undirected graph": (lambda: model().dag.to_undirected(), ValueError, "undirected"),
    "no graph": (lambda: {"x": []}, TypeError, "takes a networkx.MultiDiGraph or DiGraph, not dict"),
    "a cycle": (
        lambda: rewired(remove=[("x", "matmul", 0)], add=[("add", "matmul", 0)]),
        ValueError,
        "cycle: .*matmul → head/exp → .*head/divide → add",
    ),
    "a node that reads itself": (
        lambda: rewired(remove=[("x", "matmul", 0)], add=[("matmul", "matmul", 0)]),
        ValueError,
        "cycle: matmul → matmul",
    ),
    "a name with NUL": (
        lambda: nx.relabel_nodes(model().dag, {"x": "a\0b"}),
        ValueError,
        r'node "a\\x00b": a name cannot hold a NUL character',
    ),
    "a name that is no text": (lambda: nx.relabel_nodes(model().dag, {"x": 7}), TypeError, 'node "7": a name is text'),
    "a name that a scope has": (
        lambda: nx.relabel_nodes(model().dag, {"x": "head"}),
        ValueError,
        'node "head": .*the name "head" is already taken',
    ),
}


@pytest.mark.parametrize(("make", "error", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_a_dag_that_is_not_a_graph_is_refused(make: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        gn.Graph.from_networkx(make())
    assert isinstance(caught.value, gn.GraphnnError)
    assert str(caught.value).count('node "') <= 1


def test_an_output_of_an_unknown_node_is_refused() -> None:
    dag = model().dag.copy()
    dag.graph["outputs"]["loss"] = "lost"
    with pytest.raises(KeyError, match=r'no node, scope or output "lost"\. Did you mean "loss"'):
        gn.Graph.from_networkx(dag)


def test_an_update_that_does_not_fit() -> None:
    dag = model().dag.copy()
    dag.graph["updates"] = {"w": "loss"}
    with pytest.raises(ValueError, match=r'"w" has shape \(2, 3\); its update "loss" has \(\)'):
        gn.Graph.from_networkx(dag)


def chain_of(count: int) -> nx.DiGraph:
    dag = nx.DiGraph()
    dag.add_nodes_from((str(i), {"op": "negative"}) for i in range(count))
    nx.add_path(dag, map(str, range(count)))
    return dag


@pytest.mark.parametrize(
    ("back", "path"),
    [
        (0, r"cycle: .*… 49,?990 more … .*"),  # all of it: only the ends are shown
        (49_997, r"cycle: (?=.*49997)(?=.*49998)(?=.*49999)[^…]*$"),
    ],
)
@pytest.mark.timeout(60)  # some 0.2 s; a quadratic search would take many minutes
def test_a_cycle_in_a_huge_graph_is_found(back: int, path: str) -> None:
    count = 50_000
    dag = chain_of(count)
    dag.add_edge(str(count - 1), str(back))
    limit = sys.getrecursionlimit()
    with pytest.raises(gn.GraphError, match=path) as caught:
        gn.Graph.from_networkx(dag)
    assert len(str(caught.value)) < 300
    assert sys.getrecursionlimit() == limit


def test_a_long_chain_in_the_wrong_order_comes_back() -> None:
    count = 10_000
    dag = nx.DiGraph()
    dag.add_nodes_from((str(i), {"op": "negative"}) for i in reversed(range(1, count)))
    dag.add_node("0", op="placeholder", shape=())
    nx.add_path(dag, map(str, range(count)))
    g = gn.Graph.from_networkx(dag)
    assert [node.name for node in g] == [str(i) for i in range(count)]
    assert gn.run(str(count - 1), {"0": 2.0}, graph=g) == -2.0
