"""Parts of a picture, what is set apart in it, and its paper: focus, phases, highlight, theme."""

from typing import Any

import numpy as np
import pytest
from dot_text import Told, told

import graphnn as gn
from graphnn import Graph, Node, nn
from graphnn.errors import NotFoundError, UsageError, ValueRangeError
from graphnn.view import draw
from graphnn.view.diagrams.style import HIGHLIGHTS, THEMES


def line() -> list[Node]:
    """Return x → exp → sin → cos → tanh, with sin and cos in a scope."""
    g = Graph("line")
    x = g.placeholder("x", shape=(2,))
    exp = gn.exp(x)
    with g.scope("s"):
        sin = gn.sin(exp)
        cos = gn.cos(sin)
    return [x, exp, sin, cos, gn.tanh(cos)]


def step() -> tuple[Node, list[Node]]:
    """Return a loss, and the next value of its parameter."""
    g = Graph("step")
    x, w = g.placeholder("x", shape=(2,)), g.parameter("w", 1.0)
    loss = gn.sum(gn.square(w * x))
    return loss, list(nn.SGD(0.1).updates(loss).values())


def titles(picture: Told) -> list[str]:
    """Return the titles of the boxes, without what stands for others."""
    return [box[0] for box in picture.lines()]


def stubs(picture: Told) -> dict[str, list[str]]:
    """Return what is told as cut off, above and below, by the title of the box that reads it or is read."""
    found: dict[str, list[str]] = {}
    for tail, head, _ in picture.edges:
        for one, other, where in ((tail, head, "above"), (head, tail, "below")):
            box = picture.boxes[one]
            if box.title.startswith("…"):
                found.setdefault(picture.boxes[other].title, []).append(f"{where} {box.title}")
    return found


# --- focus -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("radius", "seen", "cut"),
    [
        (0, ["sin"], {"sin": ["above … exp", "below … cos"]}),
        (1, ["exp", "sin", "cos"], {"exp": ["above … x"], "cos": ["below … tanh"]}),
        (2, ["x", "exp", "sin", "cos", "tanh"], {}),
        (9, ["x", "exp", "sin", "cos", "tanh"], {}),
    ],
)
def test_the_neighbourhood_of_a_node(radius: int, seen: list[str], cut: dict[str, list[str]]) -> None:
    nodes = line()
    picture = told(draw(nodes[-1], focus=nodes[2], radius=radius).source)
    assert titles(picture) == seen
    assert {title: sorted(found) for title, found in stubs(picture).items()} == cut


def test_two_edges_are_gone_unless_told_otherwise() -> None:
    nodes = line()
    assert titles(told(draw(nodes[-1], focus=nodes[0]).source)) == ["x", "exp", "sin"]


@pytest.mark.parametrize(
    ("focus", "seen"),
    [
        ("s/sin", ["sin"]),
        ("s", ["sin", "cos"]),
        ("s/*", ["sin", "cos"]),
        ("tanh", ["tanh"]),
        ("result", ["tanh"]),
        (["x", "s/cos"], ["x", "cos"]),
        (("x", "tanh"), ["x", "tanh"]),
    ],
    ids=str,
)
def test_it_is_meant_by_name_scope_pattern_operation_or_output(focus: Any, seen: list[str]) -> None:
    nodes = line()
    nodes[0].graph.outputs["result"] = nodes[-1]
    assert titles(told(draw(nodes[-1], focus=focus, radius=0).source)) == seen


def test_a_collapsed_scope_is_in_focus_with_what_is_in_it() -> None:
    nodes = line()
    picture = told(draw(nodes[-1], 0, focus="s/cos", radius=1).source)
    assert titles(picture) == ["exp", "s", "tanh"]
    assert stubs(picture) == {"exp": ["above … x"]}


def test_of_many_that_are_cut_off_the_number_is_told() -> None:
    x = Graph().placeholder("x")
    y = gn.where(x > 0.0, gn.exp(x), gn.sin(x))
    picture = told(draw(y, focus=y, radius=0).source)
    assert stubs(picture) == {"where": ["above … 3 more"]}
    stub = next(box for box in picture.boxes.values() if box.title.startswith("…"))
    assert [tip.split()[0] for tip in stub.tip] == ["greater", "exp", "sin"]


def test_a_frame_tells_of_the_whole_scope_though_a_part_of_it_is_drawn() -> None:
    g = Graph()
    y = nn.Dense(3)(g.placeholder("x", shape=("batch", 2)))
    picture = told(draw(y, focus=y, radius=0).source)
    assert picture.frames["dense_1",].lines[1] == "2 → 3, 9 parameters"


# --- phases ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("detail", ["op", "layer", 0], ids=str)
@pytest.mark.parametrize("phases", ["forward", "backward", "update", ("backward", "update"), ["forward", "update"]])
def test_a_phase_alone(phases: Any, detail: Any) -> None:
    loss, updates = step()
    picture = told(draw([loss, *updates], detail, phases=phases).source)
    nodes = gn.schedule([loss, *updates])
    wanted = {node.name for node in nodes if node.phase in phases}
    if detail == "op":
        assert {box.tip[0] for box in picture.boxes.values() if box.name.startswith("n")} == wanted
    assert titles(picture)
    # What is read from another phase is told: the forward pass reads from none.
    assert any("above" in stub for found in stubs(picture).values() for stub in found) == (phases != "forward")
    assert not any("below" in stub for found in stubs(picture).values() for stub in found)


def test_a_scope_with_several_phases_belongs_to_each() -> None:
    g = Graph()
    x = g.placeholder("x", shape=(2,))
    with g.scope("train"):
        loss = gn.sum(gn.square(x * g.parameter("w", 1.0)))
        gradient = gn.grad(loss, g["train/w"])
    for phases in ("forward", "backward"):
        assert "train" in titles(told(draw([loss, gradient], 0, phases=phases).source))


def test_phases_and_focus_go_together() -> None:
    loss, updates = step()
    picture = told(draw([loss, *updates], phases="forward", focus="w", radius=1).source)
    assert titles(picture) == ["w", "multiply"]
    with pytest.raises(NotFoundError, match='"w" is not in this picture: it is forward'):
        draw([loss, *updates], phases="backward", focus=loss.graph["w"])


# --- highlight ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", HIGHLIGHTS)
def test_each_highlight_has_its_look_and_says_what_it_is(kind: str) -> None:
    look, said = HIGHLIGHTS[kind]
    nodes = line()
    box = told(draw(nodes[-1], highlight={"s/sin": kind}).source).titled("sin")
    assert box.lines[1:] == ([said] if said else [])
    assert {key: box.look[key] for key in look} == look
    box = told(draw(nodes[-1], highlight={nodes[2]: (kind, "a < b", "& so on")}).source).titled("sin")
    assert box.lines[1:] == ["a < b", "& so on"]


def test_looks_differ_in_more_than_colour() -> None:
    shapes = {
        kind: tuple(
            sorted((key, value) for key, value in look.items() if key not in ("color", "fillcolor", "fontcolor"))
        )
        for kind, (look, _) in HIGHLIGHTS.items()
    }
    told_by_shape = {kind: (shape, HIGHLIGHTS[kind][1]) for kind, shape in shapes.items()}
    marked = [kind for kind in HIGHLIGHTS if kind not in ("done", "fed")]
    assert len({told_by_shape[kind] for kind in marked}) == len(marked)


def way(picture: Told) -> set[tuple[str, str]]:
    """Return the edges that are drawn as a way, by titles."""
    return {
        (picture.boxes[tail].title, picture.boxes[head].title)
        for tail, head, look in picture.edges
        if look.get("penwidth") == "2.6"
    }


def test_a_list_is_a_way_with_the_edges_from_each_to_the_next() -> None:
    nodes = line()
    picture = told(draw(nodes[-1], highlight=[nodes[0], "exp", nodes[2]]).source)
    assert way(picture) == {("x", "exp"), ("exp", "sin")}
    assert [box.title for box in picture.boxes.values() if box.look.get("penwidth") == "3"] == ["x", "exp", "sin"]
    assert way(told(draw(nodes[-1], highlight=nodes[2::-1]).source)) == way(picture)  # backwards, too
    assert way(told(draw(nodes[-1], highlight=[nodes[0], nodes[2]]).source)) == set()
    assert way(told(draw(nodes[-1], highlight=nodes[3]).source)) == set()


def test_a_set_is_all_edges_between_its_nodes() -> None:
    x, exp, sin, cos, tanh = line()
    picture = told(draw(tanh, highlight={cos, x, exp, tanh}).source)
    assert way(picture) == {("x", "exp"), ("cos", "tanh")}
    assert sin.name == "s/sin"


def test_a_way_through_a_collapsed_scope_takes_the_edges_of_its_box() -> None:
    nodes = line()
    assert way(told(draw(nodes[-1], 0, highlight=nodes).source)) == {("x", "exp"), ("exp", "s"), ("s", "tanh")}


def test_an_ancestry_can_be_highlighted() -> None:
    loss, updates = step()
    picture = told(draw([loss, *updates], highlight=gn.schedule(loss)).source)
    assert ("square", "sum") in way(picture)


# --- paper --------------------------------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", THEMES)
def test_what_is_written_is_legible_on_its_box(theme: str) -> None:
    loss, updates = step()
    x = loss.graph["x"]
    picture = told(draw([loss, *updates], highlight={x: "failed"}, theme=theme, title="Title").source)
    ink = {"light": "#202124", "dark": "#ECEEF1"}[theme]
    soft = {"light": "#5F6368", "dark": "#A6ABB2"}[theme]
    paper = picture.look.get("bgcolor", "#FFFFFF")
    for box in picture.boxes.values():
        fill = box.look.get("fillcolor", paper) if box.look.get("style", "filled") else paper
        assert contrast(box.look.get("fontcolor", ink), fill) >= 4.5, box.lines
        assert contrast(soft, fill) >= 4.0, box.lines


def test_dark_paper_is_dark_in_both_engines() -> None:
    loss, _ = step()
    assert 'bgcolor="#202226"' in draw(loss, theme="dark").source
    assert '#202226"' in draw(loss, theme="dark", engine="plain").svg().split("</rect>")[0].split("<g")[0]
    light, dark = draw(loss).source, draw(loss, theme="dark").source
    assert "#D6E8F5" in light
    assert "#D6E8F5" not in dark


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "error", "said"),
    [
        ({"focus": "s/sim"}, NotFoundError, 'nothing in this picture matches "s/sim". Did you mean "s/sin"'),
        ({"focus": 3}, UsageError, "nodes are given by node, name, pattern or operation, not by int"),
        ({"focus": []}, UsageError, "focus= names nothing"),
        ({"focus": "x", "radius": -1}, ValueRangeError, "radius= is an int of 0 or more, not -1"),
        ({"focus": "x", "radius": 1.5}, UsageError, "not 1.5"),
        ({"focus": "x", "radius": True}, UsageError, "not True"),
        ({"focus": "x", "radius": None}, UsageError, "not None"),
        ({"radius": 3}, UsageError, "radius= says how far focus= goes, and there is no focus="),
        ({"phases": "bakward"}, UsageError, """'bakward' is not a phase. Did you mean "backward"?"""),
        ({"phases": ()}, UsageError, "None is not a phase"),
        ({"phases": 3}, UsageError, "3 is not a phase"),
        ({"phases": b"forward"}, UsageError, "is not a phase"),
        ({"phases": "update"}, NotFoundError, 'nothing that the fetches need is update. There is: "forward".'),
        ({"highlight": 3}, UsageError, "highlight= is a dict of nodes or a list of them, not int"),
        ({"highlight": [3]}, UsageError, "what is highlighted is a node or its name, not int"),
        ({"highlight": {3: "way"}}, UsageError, "what is highlighted is a node or its name, not int"),
        ({"highlight": "s/sim"}, NotFoundError, '"s/sim". Did you mean "s/sin"'),
        ({"highlight": {"x": "faild"}}, UsageError, """highlighted as 'faild'. Did you mean "failed"?"""),
        ({"highlight": {"x": ()}}, UsageError, "no node can be highlighted as ()"),
        ({"highlight": {"x": None}}, UsageError, "no node can be highlighted as None"),
        ({"highlight": {"x": ("failed", 3)}}, UsageError, """as in ("failed", "0 / 0"); got ('failed', 3)"""),
        ({"theme": "drak"}, UsageError, """'drak' is not a theme. Did you mean "dark"?"""),
        ({"theme": None}, UsageError, "None is not a theme"),
        ({"theme": ["dark"]}, UsageError, "['dark'] is not a theme"),
        ({"engine": "plane"}, UsageError, """'plane' is not an engine. Did you mean "plain"?"""),
        ({"engine": np.array(["dot"])}, UsageError, "is not an engine"),
        ({"title": 3}, UsageError, "title= is a text, not int"),
        ({"repeats": "yes"}, UsageError, "repeats= is True or False, not 'yes'"),
        ({"limit": 0}, ValueRangeError, "limit= is an int of 1 or more, not 0"),
        ({"limit": "3"}, UsageError, "not '3'"),
        ({"limit": 2.5}, UsageError, "not 2.5"),
        ({"timeout": 0}, ValueRangeError, "timeout= is a number of seconds, more than 0 and at most a day, not 0"),
        ({"timeout": None}, ValueRangeError, "not None"),
        ({"timeout": float("nan")}, ValueRangeError, "not nan"),
        ({"timeout": float("inf")}, ValueRangeError, "not inf"),
        ({"timeout": "60"}, ValueRangeError, "not '60'"),
        ({"graph": "line"}, UsageError, "graph= is a graph, not str"),
        ({"detail": {"t": "op"}}, NotFoundError, 'has no scope "t"'),
    ],
    ids=str,
)
def test_other_arguments_are_refused(how: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error) as info:
        draw(line()[-1], **how)
    assert said in str(info.value)
    assert "test_crop.py" in str(info.value)


def test_what_is_of_another_graph_is_refused() -> None:
    other, nodes = Graph("other").placeholder("x"), line()
    for how in ({"focus": other}, {"highlight": [other]}, {"highlight": {other: "way"}}):
        with pytest.raises(NotFoundError, match='"x" is a node of "other", and this picture is of "line"'):
            draw(nodes[-1], **how)  # type: ignore[arg-type]
    with pytest.raises(NotFoundError, match="nothing that is highlighted is in the picture"):
        draw(nodes[1], highlight=nodes[2])


def test_sizes_of_numpy_are_sizes() -> None:
    nodes = line()
    one = np.int64(1)
    diagram = draw(nodes[-1], one, focus=nodes[2], radius=one, limit=np.int32(50), timeout=np.float64(9))
    assert titles(told(diagram.source)) == ["exp", "sin", "cos"]
