"""A picture as Mermaid text: shapes, frames, arrows and looks, and what is said on them."""

import re
from typing import Any

import numpy as np
import pytest
from test_diagram import all_kinds, spiral
from test_repeats import chained, plain_block

import graphnn as gn
from graphnn import Graph, Node
from graphnn.view import draw


def small() -> tuple[Node, Node]:
    g = Graph("small")
    x = g.placeholder("x", shape=("batch", 2))
    with g.scope("head"):
        y = (x @ g.parameter("w", np.ones((2, 3)))) - 1.0
    g.outputs["y"] = y
    return x, y


def test_the_whole_text() -> None:
    _, y = small()
    assert draw(y).mermaid() == "\n".join([
        "flowchart TB",
        'n0(["<b>x</b><br/>batch × 2"])',
        't0["<b>y</b>"]',
        'subgraph c0["<b>head</b> · 2 → 3, 6 parameters"]',
        'n1[("<b>w</b><br/>2 × 3")]',
        'n2("<b>matmul</b>")',
        'n3["<i>1</i>"]',
        'n4("<b>subtract</b>")',
        "end",
        'n0 -->|"0"| n2',
        'n1 -->|"1"| n2',
        'n2 -->|"0 · batch × 3"| n4',
        'n3 -->|"1"| n4',
        "n4 --> t0",
        "classDef placeholder fill:#D6E8F5,stroke:#0072B2,color:#202124",
        "class n0 placeholder",
        "classDef parameter fill:#FBE3C0,stroke:#9C5B00,color:#202124",
        "class n1 parameter",
        "classDef operation fill:#FFFFFF,stroke:#3C4043,color:#202124",
        "class n2 operation",
        "classDef constant fill:none,stroke:none,color:#5F6368",
        "class n3 constant",
        "classDef operation2 fill:#FFFFFF,stroke:#000000,color:#202124,stroke-width:2.2px",
        "class n4 operation2",
        "classDef name fill:none,stroke:none,color:#202124",
        "class t0 name",
        "classDef forward fill:#F4F5F7,stroke:#C4C9D1,color:#3C4043",
        "class c0 forward",
        "linkStyle 4 stroke:#000000,stroke-width:1.4px",
        "",
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("title", "brackets", "look"),
    [
        ("x", ("([", "])"), "#D6E8F5"),
        ("weight", ("[(", ")]"), "#FBE3C0"),
        ("frozen", ("[(", ")]"), "fill:#FFFFFF,stroke:#9C5B00"),
        ("matmul", ("(", ")"), "fill:#FFFFFF,stroke:#3C4043"),
        ("square", ("(", ")"), "stroke-dasharray:5 3"),
        ("negative", ("[[", "]]"), "#D5EFE3"),
    ],
)
def test_each_kind_has_its_look(title: str, brackets: tuple[str, str], look: str) -> None:
    text = draw(all_kinds()).mermaid()
    found = re.search(rf'^(n\d+)(\W+?)"<b>{title}</b>[^"]*"(\W+)$', text, re.MULTILINE)
    assert found is not None
    assert (found[2], found[3]) == brackets
    assert look in look_of(text, found[1])


def look_of(text: str, name: str) -> str:
    (kind,) = [line.split()[2] for line in text.split("\n") if re.match(rf"class (\w+,)*{name}(,\w+)* ", line)]
    (look,) = [line for line in text.split("\n") if line.startswith(f"classDef {kind} ")]
    return look


def test_every_shape_has_one_class_and_every_arrow_two_shapes() -> None:
    g, loss = spiral()
    for detail in ("op", "layer", 0):
        text = draw([loss, *gn.grad(loss, list(g.parameters))], detail).mermaid()
        shapes = re.findall(r"^([nt]\d+)\W", text, re.MULTILINE)
        made = [name for name in dict.fromkeys(shapes) if re.search(rf'^{name}[\[({{]+"', text, re.MULTILINE)]
        classed = [name for names in re.findall(r"^class ([\w,]+) ", text, re.MULTILINE) for name in names.split(",")]
        assert sorted(classed) == sorted([*made, *re.findall(r"subgraph (c\d+)", text)])
        ends = re.findall(r"^(\w+) (?:-->|-\.->)(?:\|.*\|)? (\w+)$", text, re.MULTILINE)
        assert {end for pair in ends for end in pair} <= set(made)
        assert text.count("subgraph") == text.count("\nend")


def test_values_that_are_borrowed_are_dotted() -> None:
    g, loss = spiral()
    text = draw([loss, *gn.grad(loss, list(g.parameters))], 0).mermaid()
    assert re.search(r"^n\d+ -\.-> n\d+$", text, re.MULTILINE)
    assert "-.->" not in draw(loss).mermaid()


def test_layers_go_from_left_to_right() -> None:
    assert draw(spiral()[1], "layer").mermaid().startswith("flowchart LR\n")


def test_a_title_and_a_legend_stand_in_front() -> None:
    x, y = small()
    text = draw(y, title='The "net"', overlay={x: 1.0, y: "by hand"}).mermaid()
    assert text.split("\n")[:4] == ["---", r'title: "The \"net\" · 0 … 1"', "---", "flowchart TB"]
    assert '(["<b>x</b><br/>batch × 2<br/>1"])' in text
    assert "<b>subtract</b><br/>by hand" in text


def test_what_is_set_apart_looks_so() -> None:
    x, y = small()
    text = draw(y, highlight={y: ("failed", "0 / 0"), x: "stale"}).mermaid()
    assert 'n4{{"<b>subtract</b><br/>0 / 0"}}' in text
    assert "stroke-width:2.5px" in look_of(text, "n4")
    assert "stroke-dasharray:1 3" in look_of(text, "n0")
    way = draw(y, highlight=[x, "head/matmul", y]).mermaid()
    assert "linkStyle 0,2 stroke:#D55E00,stroke-width:2.6px" in way


def test_parts_repeats_and_dark_paper() -> None:
    _, y = small()
    text = draw(y, focus=y, radius=0, theme="dark").mermaid()
    assert '["<i>… 2 more</i>"]' in text
    assert "#202226" in text
    collapsed = draw(chained(plain_block), repeats=True).mermaid()
    assert "<b>block ×3</b><br/>block … block_3 · 12 parameters" in collapsed


def test_the_same_in_a_file(tmp_path: Any) -> None:
    diagram = draw(small()[1])
    path = diagram.save(tmp_path / "x.mmd")
    assert path.read_text(encoding="utf-8") == diagram.mermaid() == diagram.render("mmd").decode()
