"""A picture as lines of text: what a line says, and that its rails lead from each value to its readers."""

import re
from typing import Any

import numpy as np
import pytest
from test_collapsed_sums import stack, with_gradients
from test_plain import deep
from test_repeats import chained, plain_block

import graphnn as gn
from graphnn import Graph, Node, nn
from graphnn.core import Constant, Parameter
from graphnn.errors import UsageError
from graphnn.view import draw
from graphnn.view.diagrams.boxes import picture
from graphnn.view.diagrams.picture import Picture
from graphnn.view.formatting import cells_of


def network() -> tuple[Node, Node]:
    """Return a loss, and its gradient with respect to the first of two layers."""
    g = Graph("network")
    x, y = g.placeholder("x", shape=("batch", 2)), g.placeholder("y", shape=("batch", 1))
    h = gn.relu(nn.Dense(4, weight=np.ones((2, 4)))(x))
    loss = gn.mean(gn.square(nn.Dense(1, weight=np.ones((4, 1)))(h) - y))
    g.outputs["loss"] = loss
    return loss, gn.grad(loss, g["dense_1/weight"])


# --- what is written ----------------------------------------------------------------------------------------------


def test_operations_in_their_frames() -> None:
    loss, _ = network()
    assert draw(loss).text() == (
        "○    x                         batch × 2\n"
        "│ ○  y                         batch × 1\n"
        "│ │  dense_1  2 → 4, 12 parameters\n"
        "● │    matmul(x, weight)       batch × 4\n"
        "● │    add(matmul, bias)       batch × 4\n"
        "● │  relu(dense_1/add)         batch × 4\n"
        "│ │  dense_2  4 → 1, 5 parameters\n"
        "● │    matmul(relu, weight)    batch × 1\n"
        "● │    add(matmul, bias)       batch × 1\n"
        "●─╯  subtract(dense_2/add, y)  batch × 1\n"
        "●    square(subtract)          batch × 1\n"
        "●    mean(square)              scalar → loss"
    )


def test_layers_with_a_title_highlights_and_an_overlay() -> None:
    loss, _ = network()
    diagram = draw(
        loss,
        "layer",
        title="A network",
        highlight={"relu": ("failed", "0 / 0"), "x": "warning"},
        overlay={"y": "given", loss: 0.5, "dense_1/matmul": -2},
    )
    assert diagram.text() == (
        "A network\n"
        "-2 … 2\n"
        "a box of several has the largest of them\n"
        "✗    x  [warning]                                batch × 2\n"
        "│ ○  y  [given]                                  batch × 1\n"
        "● │  dense_1(x)  [-2, in matmul]  12 parameters  batch × 4\n"
        "✗ │  relu(dense_1)  [0 / 0]                      batch × 4\n"
        "● │  dense_2(relu)  5 parameters                 batch × 1\n"
        "●─╯  subtract(dense_2, y)                        batch × 1\n"
        "●    square(subtract)                            batch × 1\n"
        "●    mean(square)  [0.5]                         scalar → loss"
    )


def test_a_backward_pass_alone_tells_what_it_reads_from_elsewhere() -> None:
    loss, gradient = network()
    assert draw([loss, gradient], 1, phases="backward").text() == (
        "     grad\n"
        "◆      divide_by_size(1, count=batch)  of mean                  scalar\n"
        "◆      broadcast_to(divide_by_size, shape=(batch, 1))  of mean  batch × 1\n"
        "│ ◆    multiply(… subtract, 2)  of square                       batch × 1\n"
        "◆─╯    multiply_2(broadcast_to, multiply)  of square            batch × 1\n"
        "◆      dense_2(multiply_2, … weight)                            batch × 4\n"
        "│ ◆    greater(… relu, 0)  of relu                              batch × 4 · bool\n"
        "◆─╯    where(greater, dense_2, 0)  of relu                      batch × 4\n"
        "◆      dense_1(where, … x)                                      2 × 4 → fetched"
    )


def test_a_part_tells_what_reads_it_elsewhere() -> None:
    loss, _ = network()
    assert draw(loss, focus="relu", radius=0).text() == "●  relu(… add)  batch × 4 → … matmul"


def test_each_kind_has_a_glyph() -> None:
    g = Graph()
    x, w = g.placeholder("x"), g.parameter("w", 1.0)
    loss = gn.square(w * x)
    updates = nn.SGD(0.1).updates(loss)
    text = draw([w, loss, updates[w]], 0, highlight={"square": "failed"}).text()
    assert re.sub(r"[^○◇●✗◆■]", "", text) == "○◇●✗◆■"


def test_a_constant_or_parameter_has_a_line_only_if_it_is_asked_for() -> None:
    g = Graph()
    w = g.parameter("w", [1.0, 2.0])
    y = w * 3.0
    assert draw([w, y]).text() == "◇  w               2 → fetched\n●  multiply(w, 3)  2 → fetched"
    assert draw(y).text() == "●  multiply(w, 3)  2 → fetched"
    assert draw(g.constant(2.5)).text() == "◇  2.5  scalar → fetched"


def test_repeated_blocks_are_a_line() -> None:
    assert draw(chained(plain_block), repeats=True).text() == (
        "○  x                                             4 × 2\n"
        "●  block … block_3 = block ×3(x)  12 parameters  4 × 2 → fetched"
    )


def test_in_ascii() -> None:
    loss, _ = network()
    assert draw(loss, "layer").text(ascii=True) == (
        "o    x                            batch x 2\n"
        "| o  y                            batch x 1\n"
        "* |  dense_1(x)  12 parameters    batch x 4\n"
        "* |  relu(dense_1)                batch x 4\n"
        "* |  dense_2(relu)  5 parameters  batch x 1\n"
        "*-+  subtract(dense_2, y)         batch x 1\n"
        "*    square(subtract)             batch x 1\n"
        "*    mean(square)                 scalar > loss"
    )


def test_a_value_that_is_read_far_below_is_named_there() -> None:
    h = x = gn.exp(Graph().placeholder("x"))
    for _ in range(30):
        h = gn.sin(h)
    text = draw(h - x).text()
    assert text.split("\n")[-1] == "●  subtract(sin_30, ↑exp)  scalar → fetched"
    assert "│" not in text


# --- rails --------------------------------------------------------------------------------------------------------

GLYPHS, TURNS, DOWN = {*"○◇●◆■✗"}, {*"├┤┼┴╰╯"}, {*"│├┤┼"}


class Rails:
    """The rails of a text, followed sign by sign."""

    def __init__(self, text: str) -> None:
        self.rows = text.split("\n")
        self.glyphs = [next((i for i, sign in enumerate(row) if sign in GLYPHS), -1) for row in self.rows]
        self.boxes = [row for row, at in enumerate(self.glyphs) if at >= 0]

    def lead_to(self, box: int) -> tuple[set[int], set[int]]:
        """Return the boxes that rails lead from, to this one; and where one glyph stands just below another."""
        row = self.boxes[box]
        line, own = self.rows[row], self.glyphs[row]
        turns = {own}
        for step in (-1, 1):
            at = own
            while 0 <= at + step < len(line) and line[at + step] == "─":
                at += 2 * step
                if line[at] in TURNS:
                    turns.add(at)
        found = {(at, self._climbed(row - 1, at)) for at in turns}
        led = {end for at, end in found if end is not None and (at != own or end < row - 1)}
        below = {end for at, end in found if end is not None and at == own and end == row - 1}
        return {self.boxes.index(end) for end in led}, {self.boxes.index(end) for end in below}

    def _climbed(self, row: int, at: int) -> int | None:
        while row >= 0:
            if self.glyphs[row] == at:
                return row
            if self.rows[row][at : at + 1] not in DOWN:
                return None
            row -= 1
        return None


def misled(seen: Picture, text: str) -> list[str]:
    """Return a sentence for each value that no rail and no arrow tells, and for each rail that leads from elsewhere."""
    rails, said = Rails(text), []
    readers = {edge.tail for edge in seen.edges}
    listed = [
        box
        for box in seen.boxes
        if box.scope is not None
        or not isinstance(box.node.op, (Parameter, Constant))
        or box not in readers
        or box.node in seen.fetched
    ]
    if len(listed) != len(rails.boxes):
        return [f"{len(rails.boxes)} lines for {len(listed)} boxes"]
    line_of = {box: line for line, box in enumerate(listed)}
    flows: dict[int, set[int]] = {line: set() for line in range(len(listed))}
    for edge in seen.edges:
        if not isinstance(edge.node.op, (Parameter, Constant)):
            flows[line_of[edge.head]].add(line_of[edge.tail])
    for line, tails in flows.items():
        led, below = rails.lead_to(line)
        named = rails.rows[rails.boxes[line]].count("↑")
        said += [f"a rail leads from {one} to {line}" for one in led - tails]
        if named < len(tails - led - below):
            said.append(f"{line} tells {named} of {tails - led - below}")
    return said


@pytest.mark.parametrize("detail", ["op", "layer", 0, 1], ids=str)
@pytest.mark.parametrize("make", [with_gradients, stack], ids=["scoped", "stack"])
def test_rails_lead_from_each_value_to_its_readers(make: Any, detail: Any) -> None:
    for seed in range(6):
        fetches = make(seed)
        seen = picture(fetches, detail)
        for width in (None, 100):
            text = draw(fetches, detail).text(width)
            if width is None:
                assert misled(seen, text) == [], f"seed {seed}"
            else:  # names may be cut, but not the rails
                assert [said for said in misled(seen, text) if "rail" in said] == [], f"seed {seed}"


def test_a_rail_that_misleads_would_be_seen() -> None:
    x = Graph().placeholder("x")
    y = gn.exp(x)
    z = gn.where(y > 0.0, y, gn.sin(x))
    seen, text = picture(z), draw(z).text(None)
    assert misled(seen, text) == []
    assert text == (
        "○      x                         scalar\n"
        "├─●    exp(x)                    scalar\n"
        "│ ├─●  greater(exp, 0)           scalar · bool\n"
        "● │ │  sin(x)                    scalar\n"
        "●─┴─╯  where(greater, exp, sin)  scalar → fetched"
    )
    for was, planted in (("├", "│"), ("╯", "│"), ("●─", "● "), ("●", "x")):
        assert was in text
        assert misled(seen, text.replace(was, planted, 1)), was


# --- widths -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [40, 41, 60, 80, 120])
def test_lines_keep_to_a_width(width: int) -> None:
    for seed in range(5):
        fetches = stack(seed) if seed % 2 else with_gradients(seed)
        diagram = draw(
            fetches,
            "op" if seed % 3 else "layer",
            overlay={fetches[0]: "a note that is rather long for where it is to stand, and wide: 日本語"},
            title="A title that is a good deal wider than some of the terminals it may be shown in, and 日本語",
        )
        assert max(map(cells_of, diagram.text(width).split("\n"))) <= width
        assert not any(line != line.rstrip() for line in diagram.text(width).split("\n"))


def test_forty_characters_at_least() -> None:
    loss, _ = network()
    assert draw(loss).text(1) == draw(loss).text(-5) == draw(loss).text(40)


def test_without_a_width_nothing_is_cut() -> None:
    g = Graph()
    y = gn.exp(g.placeholder("x", shape=("batch", 2)))
    text = draw(y, overlay={y: "w" * 200}, title="t" * 300).text(None)
    assert "w" * 200 in text
    assert text.startswith("t" * 300 + "\n")


@pytest.mark.parametrize("width", ["80", 80.0, True])
def test_other_widths_are_refused(width: Any) -> None:
    with pytest.raises(UsageError, match="width= is an int, not"):
        draw(network()[0]).text(width)


def test_large_graphs_are_quick() -> None:
    loss = deep(200)
    text = draw([loss, *gn.grad(loss, list(loss.graph.parameters))], "op").text()
    assert text.count("\n") > 1500
