"""Text that anybody may have chosen is shown literally, wherever it stands and in whatever form; nothing of it acts."""

import html
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dot_text import told
from test_diagram import NAMES, SPELT_OUT, SVG, XLINK, needs_engine

import graphnn as gn
from graphnn import Graph, Node, Op, Spec
from graphnn._util.text import visible
from graphnn.core.op import registry
from graphnn.view import Diagram, draw
from graphnn.view.formatting import cells_of

HOSTILE = [
    *NAMES,
    *SPELT_OUT,
    '<img src=x onerror="alert(1)">',
    "</text><script>alert(1)</script>",
    "</title><svg onload=alert(1)>",
    "]]><!--",
    "--><b>",
    "<![CDATA[",
    "<?xml?>",
    "<!ENTITY x 'y'>",
    "&x;",
    "<style>*{}</style>",
    "<a href='x'>y</a>",
    "a:0",
    "\\N\\G\\L",
    "\\l\\r",
    "a\\",
    '"];x[label="',
    ">]; x [label=<",
    "<table><tr><td>",
    "<br/>",
    "{a|{b|c}}",
    '"]\nclick n0 "javascript:alert(1)"',
    "%%{init: {}}%%",
    "---\ntitle: x\n---",
    "end",
    "subgraph x",
    "style n0 x:y",
    "#quot;",
    "#35;",
    "#",
    ";",
    "`x`",
    "**b**",
    "_i_",
    "~~s~~",
    "[a](javascript:alert(1))",
    "1. one",
    "- item",
    "# head",
    "> q",
    "$$x$$",
    "fa:fa-ban",
    "https://example.org/x",
    "url(javascript:alert(1))",
    "\x01",
    "\r\n",
    "\t",
    "\x7f\x9b2J",
    "\u2028",
    "a\u0301",
    "שלום",
    "\U0001f600",
    "e\ufe0f",
    "\ufffe",
    " lead",
    "trail ",
    "a  b",
    " ",
]
LONG = {
    "letters": "x",
    "markup": "<b>",
    "quotes": '"',
    "backslashes": "\\",
    "ampersands": "&",
    "ends": "]]>",
    "controls": "\x1b",
    "wide": "日",
    "accents": "\u0301",
    "blanks": " ",
    "lines": "\n",
    "newlines and words": "a b\n",
}


@pytest.fixture(scope="module", autouse=True)
def setting() -> Iterator[type[Op]]:
    """An operation with an attribute that is any text."""

    class Labelled(Op):
        label: str = ""

        def infer(self, x: Spec) -> Spec:
            return x

        def forward(self, x: Any, out: Any = None) -> Any:
            return x

    yield Labelled
    registry.pop("labelled", None)


@cache
def diagram(setting: type[Op], text: str, engine: str | None = None, detail: str = "op") -> Diagram:
    """Return a picture in which everything that can be named is named so, and everything that is said is said so."""
    g = Graph(text)
    x = g.placeholder(text)
    with g.scope(f"{text}0"), g.in_scope(f"{text}0/{text}", kind=text):
        y: Node = setting(text)(gn.exp(x))  # type: ignore[call-arg]
        z = gn.exp(y, name=text)
    total = gn.exp(z)
    return draw(
        {text: total, "other": y},
        detail,
        overlay={x: text, total: text},
        highlight={y: ("failed", text)},
        title=f"Title {text}",
        engine=engine,
        limit=50,
    )


def one_line(text: str) -> str:
    return " ".join(text.split())


def notes_of(text: str) -> list[str]:
    """Return how an overlay shows it: line by line, without empty ones."""
    return [visible(line) for line in text.split("\n") if line]


# --- DOT ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_dot_text(setting: type[Op], text: str) -> None:
    source = diagram(setting, text).source
    picture = told(source)
    shown = visible(text).strip()
    written = [line for box in picture.boxes.values() for line in box.lines]
    assert shown in written or not shown
    assert len(shown) > 24 or any(f"label={visible(text)}".rstrip() in line for line in written) or not text
    assert [line for line in notes_of(text) if line.strip() and line.strip() not in written] == []
    assert one_line(visible(f"Title {text}")) in picture.headings
    assert any(box.tip[0] == visible(text) for box in picture.boxes.values())
    # Nothing of it is a statement, an attribute or a name of Graphviz's.
    assert {name for name in picture.boxes if not re.fullmatch(r"[nt]\d+", name)} == set()
    assert all(re.fullmatch(r"[nt]\d+", end) for edge in picture.edges for end in edge[:2])
    attributes = {name for box in picture.boxes.values() for name in box.look}
    assert attributes <= {
        "shape",
        "style",
        "fillcolor",
        "color",
        "fontcolor",
        "margin",
        "height",
        "width",
        "penwidth",
        "peripheries",
    }


# --- SVG ------------------------------------------------------------------------------------------------------------

ELEMENTS = {"svg", "g", "title", "text", "a", "path", "polygon", "polyline", "ellipse", "rect", "style"}


def acting(svg: str) -> list[str]:
    """Return what could act in an SVG: elements, attributes, addresses, and instructions outside of elements."""
    root = ET.fromstring(svg)
    found = [element.tag for element in root.iter() if element.tag.removeprefix(SVG) not in ELEMENTS]
    for element in root.iter():
        for name, value in element.attrib.items():
            own_style = name == "style" and re.fullmatch(r"--at:[\d.]+s(;--ink:#[\dA-Fa-f]{6})?", value)
            if name.startswith("on") or name.endswith("href") or (name == "style" and not own_style):
                found.append(f"{name}={value}")
            if name != f"{XLINK}title" and re.search(r"url\s*\(|script:|data:|&#|expression", value):
                found.append(f"{name}={value}")
    comments = re.findall(r"<!--(.*?)-->", svg, re.DOTALL)
    found += [comment for comment in comments if not re.fullmatch(r"[\w\s.:&#;()-]*", comment)]
    found += re.findall(r"<!\[CDATA|<\?(?!xml version)|<!ENTITY", svg)
    return found


def texts(svg: str) -> list[str]:
    return [
        (element.text or "").replace("\xa0", " ") for element in ET.fromstring(svg).iter(f"{SVG}text") if element.text
    ]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_plain_svg(setting: type[Op], text: str) -> None:
    assert acting(diagram(setting, text, "plain", "layer").svg()) == []
    svg = diagram(setting, text, "plain").svg()
    assert acting(svg) == []
    assert visible(text) in texts(svg)
    assert [line for line in notes_of(text) if line not in texts(svg)] == []
    assert any((tip.text or "").split("\n")[0] == visible(text) for tip in ET.fromstring(svg).iter(f"{SVG}title"))


@needs_engine
@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_svg_of_graphviz(setting: type[Op], text: str) -> None:
    drawn = diagram(setting, text, "dot")
    svg = drawn.svg()
    assert drawn.note == ""
    assert acting(svg) == []
    found = {one_line(line) for line in texts(svg)}
    assert one_line(visible(text)) in found | {""}
    assert [line for line in notes_of(text) if one_line(line) not in found | {""}] == []
    tips = [element.get(f"{XLINK}title", "") for element in ET.fromstring(svg).iter(f"{SVG}a")]
    assert any(one_line(tip.split("\n")[0]) == one_line(visible(text)) for tip in tips)


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_animation(setting: type[Op], text: str) -> None:
    svg = diagram(setting, text).animation()
    assert acting(svg) == []
    (style,) = ET.fromstring(svg).iter(f"{SVG}style")
    assert re.fullmatch(r"[\w\s@{}%:;.,#()>*!-]*", style.text or "")
    assert "url" not in (style.text or "")


def test_what_would_act_would_be_seen(setting: type[Op]) -> None:
    svg = diagram(setting, "x", "plain").svg()
    for planted in (
        "<script>alert(1)</script>", '<a href="x"/>', '<g onload="x"/>', '<g style="x:y"/>', "<image/>",
        '<rect fill="url(#x)"/>', "<!-- <script> -->", "<?xml-stylesheet x?>",
    ):  # fmt: skip
        assert acting(svg.replace("</svg>", f"{planted}</svg>")), planted


# --- Mermaid --------------------------------------------------------------------------------------------------------

# What a label may hold: our own markup, letters of all languages, harmless signs, and others by number.
_SAFE = r"(?:</?[bi]>|<br/>|#\d+;|[^\W_]|(?<=[^\W_])_(?=[^\W_])|[ ,.()\[\]=+/?×·→↑−∂…\u200b-])*"
_LABEL = rf'"{_SAFE}"'
_LINES = [
    r"flowchart (TB|LR)",
    rf"[nt]\d+(\(\[|\[\(|\[\[|\(|\[|\{{\{{){_LABEL}(\]\)|\)\]|\]\]|\)|\]|\}}\}})",
    rf"subgraph c\d+\[{_LABEL}\]",
    r"end",
    rf"[nt]\d+ -?-[.-]->(\|{_LABEL}\|)? [nt]\d+".replace("-?-[.-]->", "(-->|-\\.->)"),
    r"classDef \w+ [\w#:,.\s-]+",
    r"class [\w,]+ \w+",
    r"linkStyle [\d,]+ [\w#:,.-]+",
]


def unnumbered(label: str) -> list[str]:
    """Return the lines of a label as Mermaid shows them."""
    lines = re.sub(r"</?[bi]>", "", label).split("<br/>")
    return [re.sub(r"#(\d+);", lambda found: chr(int(found[1])), line).replace("\u200b", "") for line in lines]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
@pytest.mark.parametrize("detail", ["op", "layer"])
def test_mermaid(setting: type[Op], text: str, detail: str) -> None:
    head, title, foot, *lines = diagram(setting, text, detail=detail).mermaid().split("\n")
    assert (head, foot) == ("---", "---")
    assert re.fullmatch(r'title: "Title ?(?:[^"\\<]|\\.)*"', title)
    assert [line for line in lines if line and not any(re.fullmatch(form, line) for form in _LINES)] == []
    shown = [line for label in re.findall(r'"([^"]*)"', "\n".join(lines)) for line in unnumbered(label)]
    assert visible(text) in shown
    assert [line for line in notes_of(text) if line not in shown] == []


def test_mermaid_that_acts_would_be_seen() -> None:
    for planted in ('n0("a"b")', 'n0("<script>")', 'click n0 "x"', 'n0("#quot;")', 'n0("`a`")', 'n0("**a**")', "%%x"):
        assert not any(re.fullmatch(form, planted) for form in _LINES), planted


# --- lines of text --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_lines_of_text(setting: type[Op], text: str) -> None:
    drawn = diagram(setting, text)
    for width in (None, 80):
        lines = drawn.text(width).split("\n")
        assert all(line.isprintable() for line in lines)
        assert len(lines) == 8  # the title, two frames, five boxes
    whole = drawn.text(None)
    assert visible(text).strip() in whole
    assert [line for line in notes_of(text) if line not in whole] == []
    assert max(map(cells_of, lines)) <= 80


# --- overlays of a run, at the level of innermost layers --------------------------------------------------------------


@cache
def lesson(setting: type[Op], text: str, engine: str = "plain") -> Diagram:
    """Return a picture with values and gradients, one line for several values, a badge, and calls drawn as one."""
    g = Graph(text)
    x = g.placeholder(text, shape=("batch", 2, 20))
    w = g.parameter(f"{text}w", np.eye(20) / 2)
    path = f"{text}0"
    with g.scope(path):
        with g.in_scope(f"{path}/{text}", kind=text):
            parts = [gn.exp(x, name=text), gn.sin(x, name=f"{text}2"), gn.cos(x, name=f"{text}3")]
        with g.in_scope(f"{path}/{text}4", kind=text):
            h = parts[0] * parts[1] + parts[2]
        for number in range(3):
            with g.in_scope(f"{path}/{text}call_{number}", kind=text):
                h = gn.tanh(h @ w)
    loss = gn.mean(h @ w @ w @ w, name=f"{text}5")
    feed = {x: np.linspace(-1.0, 1.0, 280).reshape(7, 2, 20)}
    return draw({text: loss}, "leaf", feed=feed, overlay=["values", "gradients", {loss: text}], engine=engine)


def test_the_lesson_has_what_a_picture_may_say(setting: type[Op]) -> None:
    diagram = lesson(setting, "name")
    svg = diagram.svg()
    for said in (
        "namecall_0 ×3",
        "3 values",
        "read by 4",
        "↑ namew",
        "gradient ",
        "value ",
        "gradients of name",
    ):
        assert said in svg, said
    for said in ("×3", "3 values", "gradient "):
        assert said in diagram.mermaid(), said
        assert said in diagram.text(None), said


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_overlays_badges_and_joint_lines(setting: type[Op], text: str) -> None:
    diagram = lesson(setting, text)
    svg = diagram.svg()
    assert acting(svg) == []
    assert acting(diagram.animation()) == []
    shown = texts(svg)
    assert [line for line in notes_of(text) if line not in shown] == []
    picture = told(diagram.source)
    assert {name for name in picture.boxes if not re.fullmatch(r"[nt]\d+", name)} == set()
    assert all(re.fullmatch(r"[nt]\d+", end) for edge in picture.edges for end in edge[:2])
    lines = diagram.mermaid().split("\n")[3:]
    assert [line for line in lines if line and not any(re.fullmatch(form, line) for form in _LINES)] == []
    assert all(line.isprintable() and cells_of(line) <= 80 for line in diagram.text().split("\n"))
    if not text:  # a scope of the kind "" is no layer, so nothing is joint
        return
    assert any(line.endswith("×3") for line in shown)
    tips = [(tip.text or "").split("\n") for tip in ET.fromstring(svg).iter(f"{SVG}title")]
    joint = [visible(f"{text}0/{text}/{name}") for name in (text, f"{text}2", f"{text}3")]
    assert any(all(any(line.startswith(name) for line in tip) for name in joint) for tip in tips)
    assert any(any(line.startswith(f"reads {visible(text)}w ") for line in tip) for tip in tips)


@needs_engine
@pytest.mark.parametrize("text", HOSTILE[::4], ids=ascii)
def test_overlays_badges_and_joint_lines_by_graphviz(setting: type[Op], text: str) -> None:
    drawn = lesson(setting, text, "dot")
    svg = drawn.svg()
    assert drawn.note == ""
    assert acting(svg) == []
    found = {one_line(line) for line in texts(svg)}
    assert [line for line in notes_of(text) if one_line(line) not in found | {""}] == []


# --- ten thousand characters -----------------------------------------------------------------------------------------


@needs_engine
@pytest.mark.parametrize("engine", ["dot", "plain"])
@pytest.mark.parametrize("name", LONG)
def test_ten_thousand_characters(setting: type[Op], name: str, engine: str) -> None:
    text = (LONG[name] * 10_000)[:10_000]
    drawn = diagram(setting, text, engine)
    svg = drawn.svg()
    assert drawn.note == ""
    assert acting(svg) == []
    assert len(svg) < 200_000
    assert max(map(len, texts(svg))) < 500
    tips = [tip.text or "" for tip in ET.fromstring(svg).iter(f"{SVG}title")]
    tips += [element.get(f"{XLINK}title", "") for element in ET.fromstring(svg).iter(f"{SVG}a")]
    begin = visible(text)[:100]
    assert any(one_line(tip).startswith(one_line(begin)[:90]) for tip in tips)
    assert max(map(len, drawn.source.split("\n"))) < 60_000
    assert max(map(cells_of, drawn.text().split("\n"))) <= 80
    assert len(drawn.mermaid()) < 60_000


# --- and files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["svg", "dot", "mmd", "txt"])
def test_files_are_utf_8(setting: type[Op], form: str, tmp_path: Path) -> None:
    path = diagram(setting, "日本語 \ud800 \x01 é", "plain").save(tmp_path / f"x.{form}")
    text = path.read_text(encoding="utf-8")
    assert r"\ud800 \x01 é" in html.unescape(text).replace("\\\\", "\\") or form == "mmd"
