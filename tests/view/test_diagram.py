"""Diagrams: what is drawn, how each kind looks, that names are literal, and what happens without an engine."""

import contextlib
import importlib.metadata
import os
import re
import sys
import time
import tracemalloc
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import Graph, Node, nn
from graphnn.errors import DrawingError, NotFoundError, UsageError
from graphnn.view import draw
from graphnn.view.diagrams import svg as plain
from graphnn.view.layout.graphviz_engine import find_engine
from graphnn.view.layout.layered import Arrangement, arrange

needs_engine = pytest.mark.skipif(
    find_engine() is None, reason="needs Graphviz, or graphviz-pure, which the tests install"
)
needs_sh = pytest.mark.skipif(os.name != "posix", reason="the engine is a script here")


def test_the_engine_that_the_tests_install_is_found() -> None:
    """Or the pictures below would be passed over where they should be looked at."""
    try:
        importlib.metadata.version("graphviz-pure")
    except importlib.metadata.PackageNotFoundError:
        return  # a platform for which it has no wheel
    assert find_engine() is not None


SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"


def spiral(units: int = 64) -> tuple[Graph, Node]:
    g = Graph("spiral")
    x = g.placeholder("x", shape=("batch", 2))
    labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
    rng = np.random.default_rng(0)
    network = nn.Sequential(nn.Dense(units, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng), nn.Softmax())
    loss = nn.categorical_crossentropy(network(x), labels)
    g.outputs["loss"] = loss
    return g, loss


def statement(source: str, title: str) -> str:
    """Return the statement of the box with that title."""
    (line,) = [line for line in source.splitlines() if f"<b>{title}</b>" in line and re.match(r"\s*[nt]\d+ ", line)]
    return line.strip()


def name_of(source: str, title: str) -> str:
    return statement(source, title).split()[0]


def edges(source: str) -> list[str]:
    return [line.strip() for line in source.splitlines() if " -> " in line and "label=<<b>" not in line]


def frames(source: str) -> dict[str, str]:
    """Return the label of each frame, and the text between its braces."""
    found, stack = {}, []
    for line in source.splitlines():
        if match := re.match(r"\s*subgraph (cluster_\d+)? ?\{", line):
            stack.append([match[1], ""])
        elif line.strip() == "}" and stack:
            cluster, body = stack.pop()
            if cluster is not None:
                label = re.search(r"label=<(.*?)> labeljust", body)
                assert label is not None
                found["|".join(text for text in re.split(r"<.*?>", label[1]) if text.strip())] = body
        for entry in stack:
            entry[1] += line + "\n"
    return found


# --- kinds ----------------------------------------------------------------------------------------------------


def all_kinds() -> list[Node]:
    g = Graph("kinds")
    x = g.placeholder("x", shape=("batch", 3))
    weight, frozen = g.parameter("weight", np.ones((3, 2))), g.parameter("frozen", np.zeros(2), trainable=False)
    g.outputs["answer"] = y = gn.exp(x @ weight + frozen)
    with g.in_scope("grad", kind="grad", phase="backward"), g.in_scope(None, twin=y):
        dy = gn.square(y)
    with g.in_scope("sgd_1", kind="SGD", phase="update"):
        new = gn.negative(weight)
    return [y, dy, new]


@pytest.mark.parametrize(
    ("title", "look"),
    [
        ("x", ["shape=ellipse", "#D6E8F5", ">batch × 3<"]),
        ("weight", ["shape=cylinder", "#FBE3C0", ">3 × 2<"]),
        ("frozen", ["shape=cylinder", ">2 · not trained<"]),
        ("exp", ["#000000", "penwidth=2.2"]),
        ("answer", ["t0", "shape=plaintext"]),
        ("square", ["dashed", "#F6E4EE", ">of exp<"]),
        ("negative", ["peripheries=2", "#D5EFE3"]),
    ],
)
def test_each_kind_has_its_look(title: str, look: list[str]) -> None:
    line = statement(draw(all_kinds()).source, title)
    assert [part for part in look if part not in line] == []


def test_operation_has_the_plain_look() -> None:
    assert not re.search('shape=|color="#[0-9A-F]+" fill|penwidth', statement(draw(all_kinds()).source, "matmul"))


def test_fetched_gradient_stays_dashed_and_has_the_heavy_line() -> None:
    line = statement(draw(all_kinds()).source, "square")
    assert "dashed" in line
    assert "penwidth=2.2" in line


def test_values_that_the_backward_pass_borrows_are_dotted() -> None:
    source = draw(all_kinds()).source
    exp, square = name_of(source, "exp"), name_of(source, "square")
    (edge,) = [edge for edge in edges(source) if edge.startswith(f"{exp} -> {square} ")]
    assert "style=dotted" in edge
    assert "weight=0" in edge


@pytest.mark.parametrize(
    ("value", "name", "label"),
    [
        (2.0, None, "2"),
        (1e-7, None, "1e-07"),
        ([1.0, 2.5], None, "[1, 2.5]"),
        ([1.0, 2.5], "c", "c = [1, 2.5]"),
        (np.ones((4, 5)), None, "4 × 5"),
        (np.ones((4, 5)), "constants", "constants = 4 × 5"),
    ],
)
def test_constants_are_text_with_the_value_where_it_is_small(value: Any, name: str | None, label: str) -> None:
    g = Graph()
    source = draw(gn.exp(g.constant(value, name=name))).source
    (line,) = [line for line in source.splitlines() if line.strip().startswith("n0 [")]
    assert f">{label}</font>" in line
    assert "shape=plaintext" in line


def test_second_line_has_the_name_and_the_settings_that_are_not_default() -> None:
    g = Graph()
    x = g.placeholder("x", shape=("batch", 4))
    source = draw(
        [gn.sum(x, axis=1, keepdims=True, name="total"), gn.sum(x), x[1:, ::2, None], gn.exp(gn.exp(x))]
    ).source
    assert "<b>total</b>" in source
    assert ">sum · axis=1 · keepdims<" in source.replace("(1,)", "1")
    assert ">[1:, ::2, None]<" in source
    assert ">exp_2<" in source
    assert "axis=None" not in re.sub('tooltip="[^"]*"', "", source)


# --- what is drawn --------------------------------------------------------------------------------------------


def test_only_what_the_fetches_need() -> None:
    g = Graph()
    x = g.placeholder("x")
    y, unused = gn.exp(x), gn.sin(x)
    assert "<b>sin</b>" not in draw(y).source
    assert "<b>exp</b>" not in draw({"a": [unused]}).source


def test_graph_is_drawn_by_its_outputs_else_by_all_that_nothing_reads() -> None:
    g = Graph()
    x = g.placeholder("x")
    y = gn.exp(gn.sin(x))
    gn.cos(x)
    assert "<b>cos</b>" in draw(g).source
    g.outputs["y"] = y
    assert "<b>cos</b>" not in draw(g).source
    assert draw(g).source == draw(y).source == draw("y", graph=g).source


def test_keys_of_a_dict_name_what_is_fetched() -> None:
    source = draw({"answer": gn.exp(Graph().placeholder("x"))}).source
    assert f"{name_of(source, 'exp')} -> {name_of(source, 'answer')} " in source


def test_what_is_no_node_is_refused() -> None:
    with pytest.raises(UsageError, match="node or its name"):
        draw(3)


def test_empty_graph() -> None:
    assert " -> " not in draw(Graph()).source
    assert "image/svg+xml" not in Graph()._repr_mimebundle_()


def test_operand_used_twice_has_two_edges() -> None:
    g = Graph()
    x = g.placeholder("x")
    assert len(edges(draw(x - x).source)) == 2


def test_positions_stand_only_where_the_order_matters() -> None:
    g = Graph()
    x, y = g.placeholder("x"), g.placeholder("y")
    assert re.findall(r"headlabel=(\d)", draw(x - y).source) == ["0", "1"]
    assert re.findall(r"headlabel=(\d)", draw(gn.where(x > y, x, y)).source) == ["0", "1", "0", "1", "2"]
    assert "headlabel" not in draw(gn.exp(x + y) * x).source.split("]", 3)[-1]


def test_shape_is_told_once_where_it_changes() -> None:
    g = Graph()
    x = g.placeholder("x", shape=("batch", 4))
    total = gn.sum(gn.exp(x), axis=1)
    source = draw(gn.sin(total) + gn.cos(total)).source
    assert [re.search(r"<td>.*>(.*)</font>", edge)[1] for edge in edges(source) if "<td>" in edge] == ["batch"]  # type: ignore[index]


# --- details --------------------------------------------------------------------------------------------------


def test_op_detail_frames_each_layer_with_its_parameters() -> None:
    g, loss = spiral()
    source = draw(loss).source
    found = frames(source)
    assert list(found) == [
        "dense_1|2 → 64, 192 parameters",
        "dense_2|64 → 3, 195 parameters",
        "softmax_1",
        "categorical_crossentropy_1|2 inputs → 1 output",
    ]
    assert "<b>weight</b>" in found["dense_1|2 → 64, 192 parameters"]
    assert statement(source, "relu") not in "".join(found.values())
    assert "rankdir=TB" in source
    assert all(f'tooltip="{node.name}' in source for node in gn.schedule(loss))
    assert "test_diagram.py:" in statement(source, "relu")
    assert g.outputs["loss"] is loss


def test_the_frame_of_a_convolution_shows_all_axes_that_change() -> None:
    g = Graph("convolutions")
    x = g.placeholder("x", shape=("batch", 1, 8, 8))
    wide = nn.Conv2D(4, 3, padding="same")(x)
    found = frames(draw(nn.Conv2D(2, 3)(gn.relu(wide))).source)
    assert [each for each in found if "parameters" in each] == [
        "conv2d_1|1 × 8 × 8 → 4 × 8 × 8, 40 parameters",
        "conv2d_2|4 × 8 × 8 → 2 × 6 × 6, 74 parameters",
    ]


def test_a_layer_names_its_value_as_the_scope_around_it_does() -> None:
    g = Graph("named")
    with g.scope("part"):
        gn.name(gn.softmax(g.placeholder("x", shape=(3,))), "shares")
    assert "softmax_1 · shares<" in draw(g, detail="leaf").source
    block = nn.TransformerBlock(2, 16)(g.placeholder("y", shape=(1, 5, 8)))
    assert "transformer_block_1 · 600 parameters<" in draw(block, detail="layer").source, "not what is named in it"
    inner = {"transformer_block_1": "op", "transformer_block_1/attention": "layer"}
    assert "MultiHeadAttention · 288 parameters<" in draw(block, detail=inner).source


def test_layer_detail_has_a_box_a_layer() -> None:
    _, loss = spiral()
    source = draw(loss, "layer").source
    assert re.findall(r"<b>(\w+)</b>", source) == [
        "x", "labels", "Dense", "relu", "Dense", "Softmax", "categorical_crossentropy", "loss",
    ]  # fmt: skip
    assert ">dense_1 · 192 parameters<" in source
    assert "#FBE3C0" in next(line for line in source.splitlines() if "dense_1" in line)
    assert ">relu_1<" in source
    assert ">batch × 64<" in source
    assert "subgraph cluster" not in source
    assert "rankdir=LR" in source


def nested() -> tuple[Graph, Node]:
    g = Graph("nested")
    x = g.placeholder("x", shape=("batch", 4))
    with g.scope("head"), g.in_scope("head/block_1", kind="Block"):
        h = gn.exp(x)
        with g.in_scope("head/block_1/softmax_1", kind="softmax"):
            h = gn.sin(h)
    return g, gn.cos(h)


@pytest.mark.parametrize(
    ("detail", "titles", "framed"),
    [
        ("op", ["x", "exp", "sin", "cos"], ["head", "block_1", "softmax_1"]),
        ("layer", ["x", "Block", "cos"], ["head"]),
        (0, ["x", "head", "cos"], []),
        (1, ["x", "Block", "cos"], ["head"]),
        (2, ["x", "exp", "softmax", "cos"], ["head", "block_1"]),
        (9, ["x", "exp", "sin", "cos"], ["head", "block_1", "softmax_1"]),
        ({}, ["x", "Block", "cos"], ["head"]),
        ({"": "op"}, ["x", "exp", "sin", "cos"], ["head", "block_1", "softmax_1"]),
        ({"head": "layer"}, ["x", "head", "cos"], []),
        ({"head/block_1": "op"}, ["x", "exp", "sin", "cos"], ["head", "block_1", "softmax_1"]),
        (
            {"head/block_1": "op", "head/block_1/softmax_1": "layer"},
            ["x", "exp", "softmax", "cos"],
            ["head", "block_1"],
        ),
        ({"": "op", "head/block_1": "layer"}, ["x", "Block", "cos"], ["head"]),
    ],
    ids=str,
)
def test_detail_says_which_scopes_are_collapsed(detail: Any, titles: list[str], framed: list[str]) -> None:
    _, y = nested()
    source = draw(y, detail).source
    boxes = [line for line in source.splitlines() if re.match(r"\s*n\d+ \[", line)]
    written = {match[1] for line in boxes if (match := re.search(r"<b>(.*?)</b>", line))}
    assert written == set(titles)
    assert sorted(frames(source)) == sorted(framed)


@pytest.mark.parametrize("detail", ["ops", -1, True, 1.5, {"head": "open"}, {"head": 1}], ids=str)
def test_other_details_are_refused(detail: Any) -> None:
    with pytest.raises(UsageError, match='"op", "leaf", "layer", the number of levels'):
        draw(nested()[1], detail)


def test_collapsing_an_unknown_scope_is_refused() -> None:
    with pytest.raises(NotFoundError, match=r'no scope "haed".*"head"'):
        draw(nested()[1], {"haed": "op"})


def test_layer_detail_opens_the_whole_backward_pass() -> None:
    g, loss = spiral()
    source = draw(gn.grad(loss, list(g.parameters)), "layer").source
    body = frames(source)["grad"]
    assert body.count("<b>Dense</b>") == 2
    assert "#F6E4EE" in body
    assert "dashed" in body


def test_collapsing_that_makes_a_cycle_is_drawn_all_the_same() -> None:
    g = Graph()
    x = g.placeholder("x")
    with g.scope("s"):
        a = gn.exp(x)
    b = gn.sin(a)
    with g.scope("s", reuse=True):
        c = gn.cos(b)
    source = draw(c, 0).source
    s, sin = name_of(source, "s"), name_of(source, "sin")
    assert f"{s} -> {sin} " in source
    assert f"{sin} -> {s} " in source


def in_nested_scopes(depth: int) -> Node:
    """Return the last of operations, each in a scope within that of the one before."""
    g = Graph()
    x = g.placeholder("x")
    path = "s"
    with g.in_scope("s"):
        pass
    for _ in range(depth):
        parent, path = path, f"{path}/s"
        with g.in_scope(parent), g.in_scope(path):
            x = gn.exp(x)
    return x


def test_scopes_nested_deep() -> None:
    x = in_nested_scopes(400)
    assert draw(x).source.count("subgraph cluster_") == 401
    assert draw(x, "layer").source.count("subgraph cluster_") == 401


def test_title() -> None:
    source = draw(spiral()[1], title='The <b>spiral</b> & "co" \\N').source
    assert 'The &lt;b&gt;spiral&lt;/b&gt; &amp; \\"co\\" \\\\N'.replace('\\"', '"') in source


# --- long edges -----------------------------------------------------------------------------------------------


def far(rows: int = 30) -> Node:
    h = x = gn.exp(Graph().placeholder("x"))
    for _ in range(rows):
        h = gn.sin(h)
    return h - x


def test_long_edge_becomes_a_mark_and_a_reference() -> None:
    source = draw(far()).source
    last = name_of(source, "subtract")
    exp = name_of(source, "exp")
    assert ">→ 1<" in statement(source, "exp")
    assert f"{exp} -> {last} " not in source
    (edge,) = [edge for edge in edges(source) if edge.startswith(f"r1_{last[1:]} -> {last} ")]
    assert "headlabel=1" in edge
    assert re.search(rf"r1_{last[1:]} \[label=<.*>1  exp<.*dotted", source)


def test_short_edges_are_left_alone() -> None:
    g = Graph()
    h = x = g.placeholder("x")
    for _ in range(10):
        h = gn.sin(h)
    assert "→" not in draw(h - x).source


def test_parameter_used_late_is_not_far_away() -> None:
    g = Graph()
    h = g.placeholder("x")
    w = g.parameter("w", 1.0)
    for _ in range(30):
        h = gn.sin(h)
    assert "→" not in draw(h * -w).source


@needs_engine
def test_a_thousand_boxes_that_are_all_different_are_drawn() -> None:
    g = Graph()
    rng = np.random.default_rng(0)
    nodes = [g.placeholder("x")]
    while len(g) < 1000:
        a, b = rng.integers(max(0, len(nodes) - 30), len(nodes)), rng.integers(0, len(nodes))
        nodes.append(nodes[a] + nodes[b])
    shown = draw(g).svg()
    assert all(node.name in shown for node in g)


# --- names ----------------------------------------------------------------------------------------------------

NAMES = [
    'a"b', "<b>x</b>", "dense/kernel:0", "\\N", "\\\\G", "a\\", '\\"', "</script>", "<script>alert(1)</script>",
    "&amp;", "&lt;b&gt;", "&#65;", "]]>", "--", "{a|b}", "n0:e -> n1;", "javascript:alert(1)", "%s $HOME `id`",
    "<", ">", "naïve ∂x", "日本語", "onload=x", "subgraph", "a'b",
]  # fmt: skip
SPELT_OUT = {"": '""', "a\nb": r"a\nb", "\x1b[31m": r"\x1b[31m", "\ud800": r"\ud800", "a\u202eb": r"a\u202eb"}


def named(names: list[str]) -> Node:
    """Return a graph in which every name names a placeholder, a scope, its kind, an output and an op's value."""
    g = Graph(names[0])
    total = None
    for number, name in enumerate(names):
        x = g.placeholder(name)
        with g.scope(f"{name}{number}"), g.in_scope(f"{name}{number}/{name}", kind=name):
            total = gn.exp(x) if total is None else total + x
    assert total is not None
    for name in names:
        if name not in g.outputs and name not in g:
            g.outputs[name] = total
    return total


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


@needs_engine
@pytest.mark.parametrize("detail", ["op", "layer"])
def test_names_are_drawn_literally(detail: str) -> None:
    svg = draw(named(NAMES), detail, title="".join(NAMES)).svg()
    drawn = [text.replace("\xa0", " ") for text in texts(svg)]
    assert [name for name in NAMES if name not in drawn] == []
    assert "".join(NAMES) in "".join(drawn)  # on several lines


@needs_engine
def test_what_cannot_be_seen_is_spelt_out() -> None:
    drawn = texts(draw(named(list(SPELT_OUT))).svg())
    assert [shown for shown in SPELT_OUT.values() if shown not in drawn] == []


@needs_engine
def test_svg_holds_nothing_that_acts() -> None:
    root = ET.fromstring(draw(named([*NAMES, *SPELT_OUT]), title="<script>", engine="dot").svg())
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        "svg", "g", "title", "text", "a", "path", "polygon", "polyline", "ellipse", "rect",
    }  # fmt: skip
    attributes = {name for element in root.iter() for name in element.attrib}
    assert not [name for name in attributes if name.startswith("on") or name.endswith("href") or name == "style"]


@needs_engine
@pytest.mark.parametrize("name", NAMES)
def test_tooltips_are_literal_too(name: str) -> None:
    root = ET.fromstring(draw(gn.exp(Graph().placeholder(name))).svg())
    tips = [element.get(f"{XLINK}title") for element in root.iter(f"{SVG}a")]
    assert name in [tip.split("\n")[0] for tip in tips if tip]


def test_long_name_is_cut_in_the_picture_and_told_in_the_tooltip() -> None:
    source = draw(gn.exp(Graph().placeholder("x" * 900 + "y"))).source
    assert f"<b>{'x' * 21}…{'x' * 9}y</b>" in source
    assert f'tooltip="{"x" * 900}y&#10;' in source
    assert max(map(len, draw(gn.exp(Graph().placeholder("x" * 100_000))).source.splitlines())) < 3000


def test_ids_are_numbers() -> None:
    source = draw(named([*NAMES, *SPELT_OUT])).source
    for line in source.splitlines()[4:]:
        assert re.match(
            r"\s*([ntr]\d+(_\d+)?( -> [nt]\d+)?( \[.*\])?|subgraph (cluster_\d+ )?\{|graph \[.*\]|rank=same|\})$", line
        ), line


# --- engines --------------------------------------------------------------------------------------------------


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    monkeypatch.setattr("sysconfig.get_path", lambda *names: str(empty))


@pytest.fixture
def engine(no_engine: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that puts a Python script in the place of an engine."""

    def put(script: str, name: str = "dot") -> Path:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        path = folder / name
        path.write_text(f"#!{sys.executable} -S\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        return path

    return put


@pytest.mark.usefixtures("no_engine")
def test_without_an_engine_the_error_says_how_to_get_one_and_the_source_is_there(tmp_path: Path) -> None:
    diagram = draw(spiral()[1])
    with pytest.raises(DrawingError, match=r"(?s)pip install 'graphnn\[dot\]'.*apt install graphviz.*\.source") as info:
        diagram.save(tmp_path / "x.png")
    assert isinstance(info.value, RuntimeError)
    assert not (tmp_path / "x.png").exists()
    assert diagram.save(tmp_path / "x.dot").read_text(encoding="utf-8") == diagram.source
    assert diagram.render("gv").decode() == diagram.source


@pytest.mark.usefixtures("no_engine")
def test_without_an_engine_a_notebook_shows_the_plain_drawing() -> None:
    g, loss = spiral()
    shown = draw(loss)._repr_mimebundle_()
    assert shown["text/plain"] == '<Diagram of "spiral": 22 boxes, 23 edges>'
    plain = draw(loss, engine="plain").svg()
    # In its cell, a picture is as wide as there is room.
    assert shown["image/svg+xml"] == plain.replace("<svg ", '<svg style="max-width:100%;height:auto" ', 1)
    assert "Dense" in g._repr_mimebundle_()["image/svg+xml"]


def test_a_picture_that_graphviz_makes_too_wide_is_folded(engine: Callable[..., Path]) -> None:
    loss = spiral()[1]
    engine("""print('<svg viewBox="0.00 0.00 1700.00 90.00"></svg>')""")
    assert draw(loss, "layer").svg() == draw(loss, "layer", engine="plain").svg()
    engine("""print('<svg viewBox="0.00 0.00 1500.00 90.00"></svg>')""")
    assert "1500" in draw(loss, "layer").svg()


@needs_sh
def test_the_systems_dot_lays_out_before_the_wheel_which_paints_before_it(engine: Callable[..., Path]) -> None:
    engine("import sys; print('pure', sys.argv[1:])", "graphviz-pure")
    assert draw(spiral()[1], "layer").render("svg").startswith(b"pure")
    engine("import sys; print('system', sys.argv[1:], sys.stdin.read(8))")
    assert draw(spiral()[1], "layer").render("svg") == b"system ['-Kdot', '-Tsvg'] digraph \n"
    painted = draw(spiral()[1], engine="plain").render("png")
    assert painted == b"pure ['-Kneato', '-n2', '-Tpng', '-Gdpi=144']\n"  # it has the font that boxes are made for


@needs_sh
def test_the_systems_dot_paints_where_there_is_no_wheel(engine: Callable[..., Path]) -> None:
    engine("import sys; print('system', sys.argv[1:], sys.stdin.read(8))")
    painted = draw(spiral()[1], engine="plain").render("png")
    assert painted == b"system ['-Kneato', '-n2', '-Tpng', '-Gdpi=144'] digraph \n"


@needs_sh
def test_time_limit(engine: Callable[..., Path], tmp_path: Path) -> None:
    # It has started a program itself, which holds the pipes open.
    engine(
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(tmp_path / 'child')!r}, 'w').write(str(child.pid))\n"
        "time.sleep(600)"
    )
    start = time.perf_counter()
    with pytest.raises(DrawingError, match=r"(?s)took more than 2 s.*detail=\"layer\".*timeout=.*\.source"):
        draw(spiral()[1], timeout=2.0, engine="dot").svg()
    assert time.perf_counter() - start < 30
    child = int((tmp_path / "child").read_text())
    deadline = time.perf_counter() + 10
    while alive(child) and time.perf_counter() < deadline:
        time.sleep(0.05)
    assert not alive(child)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


@needs_sh
def test_engine_that_does_not_read_is_no_hang(engine: Callable[..., Path]) -> None:
    engine("import time; time.sleep(600)")
    g = Graph()
    with pytest.raises(DrawingError, match="took more than"):
        draw([g.placeholder(f"{i}" * 500) for i in range(200)], timeout=0.2, engine="dot").svg()


@needs_sh
@pytest.mark.parametrize("script", ["import sys; print('syntax error in line 1', file=sys.stderr); sys.exit(1)"])
def test_engine_that_fails_is_quoted(engine: Callable[..., Path], script: str) -> None:
    engine(script)
    with pytest.raises(DrawingError, match="could not lay out the picture: syntax error in line 1"):
        draw(spiral()[1], engine="dot").svg()
    diagram = draw(spiral()[1], "layer")
    assert diagram.svg() == draw(spiral()[1], "layer", engine="plain").svg()
    assert diagram.note == "Graphviz failed here"


@needs_sh
def test_engine_that_says_nothing_is_an_error(engine: Callable[..., Path]) -> None:
    engine("")
    with pytest.raises(DrawingError, match="could not lay out the picture: exit status 0"):
        draw(spiral()[1], engine="dot").svg()


@needs_sh
def test_engine_that_cannot_start(engine: Callable[..., Path]) -> None:
    engine("").write_bytes(b"\x7fELF not a program")
    with pytest.raises(DrawingError, match="could not be started"):
        draw(spiral()[1], engine="dot").svg()


def test_too_large_a_picture_is_refused_before_it_is_laid_out() -> None:
    h = Graph().placeholder("x")
    for _ in range(20):
        h = gn.exp(h)
    diagram = draw(h, "op", limit=20)
    with pytest.raises(DrawingError, match=r"21 boxes are more than the 20 .*detail=\"layer\".*limit=21.*\.source"):
        diagram.svg()
    assert diagram.source.count("<b>exp</b>") == 20
    assert diagram.render("dot")
    assert list(diagram._repr_mimebundle_()) == ["text/plain"]


@needs_engine
def test_large_picture_on_request() -> None:
    h = Graph().placeholder("x")
    for _ in range(20):
        h = gn.exp(h)
    assert draw(h, limit=21).svg()


@needs_engine
@pytest.mark.parametrize(
    ("suffix", "start"),
    [
        ("svg", b"<?xml"),
        ("png", b"\x89PNG"),
        ("jpg", b"\xff\xd8\xff"),
        ("JPEG", b"\xff\xd8\xff"),
        ("pdf", b"%PDF-"),
        ("json", b"{"),
        ("gv", b"digraph"),
    ],
)
def test_suffix_says_the_format(suffix: str, start: bytes, tmp_path: Path) -> None:
    path = draw(spiral()[1]).save(str(tmp_path / f"x.{suffix}"))
    assert path.read_bytes().startswith(start)


@pytest.mark.parametrize("name", ["x.bmp", "x.doc", "x"])
def test_other_suffixes_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"svg, .*png"):
        draw(spiral()[1]).save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@needs_engine
@pytest.mark.parametrize("detail", ["op", "layer", 0, {"softmax_1": "op"}], ids=str)
def test_svg_is_xml_and_says_what_the_graph_says(detail: Any) -> None:
    g, loss = spiral()
    drawn = texts(draw([loss, *gn.grad(loss, list(g.parameters))], detail).svg())
    assert {"x", "labels", "batch · int64"} <= set(drawn)


@needs_engine
def test_notebook_shows_svg() -> None:
    g, loss = spiral()
    assert "categorical_crossentropy" in draw(loss)._repr_mimebundle_()["image/svg+xml"]
    shown = g._repr_mimebundle_()["image/svg+xml"]
    assert "Dense" in shown
    assert "matmul" not in shown


# --- scopes within scopes ----------------------------------------------------------------------------------------


def within_scopes(depth: int) -> tuple[Node, Node]:
    g = Graph()
    with contextlib.ExitStack() as stack:
        for _ in range(depth):
            stack.enter_context(g.scope("s"))
        x = g.placeholder("x", (2,))
        return x, gn.exp(x)


SHOWN: dict[str, Callable[[Node, Node], Any]] = {
    "dot": lambda x, y: draw(y).source,
    "layers": lambda x, y: draw(y, detail="layer").source,
    "some open": lambda x, y: draw(y, detail=125).source,
    "values": lambda x, y: draw(y, trace=gn.trace(y, {x: [1, 2]})).source,
    "plain": lambda x, y: draw(y, engine="plain").svg(),
    "plain layers": lambda x, y: draw(y, detail="layer", engine="plain").svg(),
    "mermaid": lambda x, y: draw(y).mermaid(),
    "outline": lambda x, y: draw(y).text(None),
    "summary": lambda x, y: str(gn.summary(y)),
    "table": lambda x, y: str(gn.trace(y, {x: [1, 2]})),
}


@pytest.mark.parametrize("shown", SHOWN)
def test_250_scopes_within_each_other_cost_little_memory(shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text that each level copies would take 50 MB."""
    x, y = within_scopes(250)
    # The plain drawing is laid out beforehand, since that has no text, and watching memory makes it ten times as long.
    placed: list[Arrangement] = []
    monkeypatch.setattr(plain, "arrange", lambda *given: placed.append(arrange(*given)) or placed[-1])
    SHOWN[shown](x, y)
    monkeypatch.setattr(plain, "arrange", lambda *given: placed.pop(0))
    tracemalloc.start()
    try:
        SHOWN[shown](x, y)
        assert tracemalloc.get_traced_memory()[1] < 15e6
        assert not placed
    finally:
        tracemalloc.stop()


@needs_engine
def test_graphviz_lays_out_a_thousand_scopes_within_each_other() -> None:
    drawn = draw(within_scopes(1000)[1], engine="dot").svg()
    assert drawn.count('class="cluster"') == 1000


def test_frames_stand_in_the_frames_around_them() -> None:
    g = Graph()
    with g.scope("a"):
        x = g.placeholder("x")
        with g.scope("b"):
            y = gn.exp(x)
        with g.scope("c"):
            y = gn.sin(y)
    with g.scope("d"):
        y = gn.cos(y)
    source = draw(y).source
    found = re.findall(r"^(\t*)(?:(subgraph cluster)|.*<b>(\w+)</b>|(})$)", source, re.MULTILINE)
    told = [(len(tabs), "{" if opened else title or closed) for tabs, opened, title, closed in found]
    assert told == [
        *[(1, "{"), (2, "a"), (2, "x")],
        *[(2, "{"), (3, "b"), (3, "exp"), (2, "}")],
        *[(2, "{"), (3, "c"), (3, "sin"), (2, "}")],
        (1, "}"),
        *[(1, "{"), (2, "d"), (2, "cos"), (1, "}")],
        (0, "}"),
    ]
