"""A picture as lines of text: what a line says, and that its rails lead from each value to its readers."""

import numpy as np

import graphnn as gn
from graphnn import nn
from graphnn.graph import Graph, Node
from graphnn.view import draw


def network() -> tuple[Node, list[Node]]:
    g = Graph("network")
    x = g.placeholder("x", shape=("batch", 2))
    y = g.placeholder("y", shape=("batch", 1))
    h = nn.Dense(4, weight=np.ones((2, 4)))(x)
    loss = gn.mean(gn.square(nn.Dense(1, weight=np.ones((4, 1)))(gn.relu(h)) - y))
    g.outputs["loss"] = loss
    return loss, gn.grad(loss, [g["dense_1/weight"]])  # type: ignore[return-value]


# --- what is written ----------------------------------------------------------------------------------------------


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").split("\n")]


def test_operations() -> None:
    loss, _ = network()
    assert lines(draw(loss).text()) == lines("""
○      x                       batch × 2
│ ○    y                       batch × 1
│ │    dense_1  2 → 4, 12 parameters
● │      matmul(x, weight)     batch × 4
● │      add(matmul, bias)     batch × 4
● │    relu(dense_1/add)       batch × 4
│ │    dense_2  4 → 1, 5 parameters
● │      matmul(relu, weight)  batch × 1
● │      add(matmul, bias)     batch × 1
●─╯    subtract(dense_2/add, y)  batch × 1
●      square(subtract)        batch × 1
●      mean(square)            scalar → loss
""") or lines(draw(loss).text()) == lines("""
○      x                         batch × 2
│ ○    y                         batch × 1
│ │    dense_1  2 → 4, 12 parameters
● │      matmul(x, weight)       batch × 4
● │      add(matmul, bias)       batch × 4
● │    relu(dense_1/add)         batch × 4
│ │    dense_2  4 → 1, 5 parameters
● │      matmul(relu, weight)    batch × 1
● │      add(matmul, bias)       batch × 1
●─╯    subtract(dense_2/add, y)  batch × 1
●      square(subtract)          batch × 1
●      mean(square)              scalar → loss
""")


def test_layers_with_a_highlight_and_a_title() -> None:
    loss, _ = network()
    diagram = draw(loss, "layer", title="A network", highlight={"relu": ("failed", "0 / 0"), "x": "warning"})
    assert lines(diagram.text()) == lines("""
A network
✗    x  [warning]               batch × 2
│ ○  y                          batch × 1
● │  dense_1(x)  12 parameters  batch × 4
✗ │  relu(dense_1)  [0 / 0]     batch × 4
● │  dense_2(relu)  5 parameters  batch × 1
●─╯  subtract(dense_2, y)       batch × 1
●    square(subtract)           batch × 1
●    mean(square)               scalar → loss
""") or lines(diagram.text()) == lines("""
A network
✗    x  [warning]                 batch × 2
│ ○  y                            batch × 1
● │  dense_1(x)  12 parameters    batch × 4
✗ │  relu(dense_1)  [0 / 0]       batch × 4
● │  dense_2(relu)  5 parameters  batch × 1
●─╯  subtract(dense_2, y)         batch × 1
●    square(subtract)             batch × 1
●    mean(square)                 scalar → loss
""")
