"""Pages of graphs whose names, texts and numbers come from someone who means harm: each number is another page."""

import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

import graphnn as gn
from graphnn import nn

TEXTS = [
    "<img src=x onerror=window.ran=1>",
    "</script><script>window.ran=1</script>",
    "<script>window.ran=1",
    "<!--<script>",
    "-->",
    "]]></svg><script>window.ran=1</script>",
    "javascript:window.ran=1",
    "__proto__",
    "constructor",
    "toString",
    "hasOwnProperty",
    "then",
    "${window.ran=1}",
    "{constructor.constructor('window.ran=1')()}",
    "'\"`--><svg onload=window.ran=1>",
    "&lt;b&gt;&#x3c;script&#x3e;",
    "@@script@@ @@data@@ @@policy@@",
    "url(http://example.invalid/x)",
    "<a href=http://example.invalid/>x</a>",
    "<link rel=stylesheet href=//example.invalid>",
    "\u202e\ufeff\u2028\u2029\x1b[31m",
    "\\u003cscript\\u003e",
    "%3Cscript%3E",
    "1e999",
    "NaN",
    "=cmd|' /C calc'!A0",
    "x" * 3000,
    "scan_1@0/x",
    "",
    " ",
]
DIMENSIONS = ["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf", "maximum", "length", "é", "batch"]
NUMBERS = [1e308, -1e308, np.nan, np.inf, -np.inf, 5e-324, -0.0, 1.0]


class Hostile:
    """A page of the kind that its number says, and what a reader types, uploads and follows there."""

    def __init__(self, number: int) -> None:
        self.rng = random.Random(number)
        self.kind = ("run", "playground", "loop", "film", "beside")[number % 5]
        g = gn.Graph(self.text())
        self.dim = self.rng.choice(DIMENSIONS)
        x = self.named(lambda name: g.placeholder(name, (self.dim, 2)), "x")
        labels = self.named(lambda name: g.placeholder(name, (self.dim,), np.int64), "labels")
        w = self.named(lambda name: g.parameter(name, [[self.number(), 1.0, 0.5], [1.0, self.number(), 0.25]]), "w")
        with g.scope(self.text().replace("/", "|") or "s"):
            y = self.named(lambda name: gn.matmul(x, w, name=name), "y")
        if self.kind == "loop":
            y = gn.scan(lambda state: gn.tanh(state) * 0.5, y, length=3)[0]
        loss = self.named(lambda name: gn.name(nn.softmax_crossentropy(y, labels), name), "loss")
        with suppress(gn.GraphnnError):  # where a node has the name
            g.outputs[self.text()] = loss
        self.nodes = [x, labels, w, y, loss]
        self.step = gn.compile(loss, updates=nn.SGD(0.1, momentum=0.9).updates(loss))
        self.feed = {x: [[self.number(), 1.0], [2.0, 3.0], [0.0, self.number()]], labels: [0, 1, 2]}

    def text(self) -> str:
        return "".join(self.rng.choice(TEXTS) for _ in range(self.rng.randint(1, 2)))

    def number(self) -> float:
        return self.rng.choice(NUMBERS)

    def named(self, make: Any, usual: str) -> gn.Node:
        """Make a node with a name of theirs, or with the usual one if that is refused or was there."""
        try:
            node = make(self.text())
        except gn.GraphnnError:
            node = make(usual)
        assert isinstance(node, gn.Node)
        return node

    def save(self, path: Path) -> Path:
        """Write the page."""
        with np.errstate(all="ignore"):
            if self.kind == "playground":
                gn.playground(self.step, self.feed, path)
            elif self.kind == "film":
                with gn.recording(self.step, every=1) as film:
                    for _ in range(2):
                        self.step(self.feed)
                film.to_html(path)
            elif self.kind == "beside":
                first, second = (gn.trace(self.step, self.feed) for _ in range(2))
                first.to_html(path, beside=second, names=[self.text(), self.text() + "2"])
            else:
                tour = [(node, self.text()[:4000]) for node in self.rng.sample(self.nodes, 3)]
                gn.trace(self.step, self.feed).to_html(path, tour=tour, hide=self.rng.sample(self.nodes, 2))
        return path

    def table(self) -> str:
        """Return a file with commas, more or less."""
        right = "0.5,-0.5,1\n1e-3,2,0\n"
        rows = [[self.text() for _ in range(self.rng.randint(1, 4))] for _ in range(3)]
        wrong = "\n".join(self.rng.choice(",;\t").join(row) for row in rows)
        return self.rng.choice([right, wrong, wrong + "\n" + right, right + wrong, right.replace("2", self.text())])
