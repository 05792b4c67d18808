"""Formulas: what they say, and that the tree which is printed computes the graph's numbers."""
# ruff: noqa: E501 - formulas stand as they are written

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from formula_networks import HOSTILE, NETWORKS, hostile

import graphnn as gn
from graphnn import nn
from graphnn.core.op import registry
from graphnn.view.formulas.expressions import Letter, Line, Number, Recurrence
from graphnn.view.formulas.naming import escaped

RELATIVE = 1e-12


def differs(formulas: Any, feed: Any) -> dict[str, float]:
    """Return by how much lines differ from the graph's numbers, relative to the largest of each, or of its operands.

    For a number that is 0 but for rounding has no digits to compare: a gradient of what a normalization takes away.
    """
    found = formulas.evaluate(feed)
    graph = formulas._nodes[0].graph
    names = [name for name in found if not name.startswith("<")]
    nodes = [graph[name] for name in names]
    values = gn.run({node: node for node in dict.fromkeys([*nodes, *[i for node in nodes for i in node.inputs]])}, feed)
    differences = {}
    for name, node in zip(names, nodes, strict=True):
        got, want = np.asarray(found[name], float), np.asarray(values[node], float)
        assert got.shape == want.shape, name
        sizes = [np.abs(np.asarray(values[each], float)).max(initial=1e-300) for each in (node, *node.inputs)]
        differences[name] = float(np.abs(got - want).max(initial=0) / max(sizes))
    return differences


def of_network(name: str, **settings: Any) -> tuple[Any, Any, list[gn.Node]]:
    loss, wrt, feed = NETWORKS[name]()
    gradients = gn.grad(loss, wrt)
    return gn.latex([loss, *gradients], **settings), feed, [loss, *gradients]


@pytest.mark.parametrize("detail", ["layer", "op"])
@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_printed_computes_the_numbers_of_the_graph(name: str, detail: str) -> None:
    formulas, feed, fetches = of_network(name, detail=detail)
    differences = differs(formulas, feed)
    assert {node.name for node in fetches} <= differences.keys()
    assert max(differences.values()) <= RELATIVE


def test_another_tree_gives_other_numbers() -> None:
    formulas, feed, _ = of_network("regression")
    (place,) = [i for i, line in enumerate(formulas.lines) if line.symbol.name.base == "L"]
    lines = list(formulas.lines)
    lines[place] = replace(lines[place], tree=replace(lines[place].tree, terms=((1, Number(1.0)),)))
    formulas.lines = tuple(lines)
    assert max(differs(formulas, feed).values()) > 0.01


def test_gradients_alone_bring_the_loss() -> None:
    loss, wrt, feed = NETWORKS["classifier"]()
    formulas = gn.latex(gn.grad(loss, wrt[0]))
    assert "\nL &= " in formulas
    assert max(differs(formulas, feed).values()) <= RELATIVE


# --- what a lecture writes --------------------------------------------------------------------------------------

LECTURES = {
    "logistic": r"""
        p &= \sigma\left(x\, w + b\right)
        L &= -\frac{1}{N} \sum_{n=1}^{N} \left(y_{n}\, \log p_{n} + \left(1 - y_{n}\right)\, \log\left(1 - p_{n}\right)\right)
        \frac{\partial L}{\partial b} &= \sum_{n=1}^{N} \delta_{n}""",
    "classifier": r"""
        z^{(1)} &= x\, W^{(1)} + b^{(1)}
        a^{(1)} &= \max\left(0, z^{(1)}\right)
        z^{(2)} &= a^{(1)}\, W^{(2)} + b^{(2)}
        \hat{y} &= \operatorname{softmax}\left(z^{(2)}\right)
        L &= -\frac{1}{N} \sum_{n=1}^{N} \log \hat{y}_{n, y_{n}}
        \delta^{(2)} &= \frac{1}{N} \left(\hat{y} - \operatorname{onehot}\left(y\right)\right)
        \frac{\partial L}{\partial b^{(2)}} &= \sum_{n=1}^{N} \delta_{n}^{(2)}
        \frac{\partial L}{\partial W^{(2)}} &= a^{(1)\top}\, \delta^{(2)}
        \delta^{(1)} &= \left(\delta^{(2)}\, W^{(2)\top}\right) \odot \mathbf{1}\left[a^{(1)} > 0\right]
        \frac{\partial L}{\partial W^{(1)}} &= x^{\top}\, \delta^{(1)}""",
    "readme": r"""
        L &= -\frac{1}{N} \sum_{n=1}^{N} \log \bar{p}_{n, y_{n}}^{(2)}""",
    "regression": r"""
        \delta^{(2)} &= \frac{2}{N} \left(z^{(2)} - y\right)
        \frac{\partial L}{\partial W^{(1)}} &= 0.01 W^{(1)} + x^{\top}\, \delta^{(1)}""",
    "lenet": r"""
        p_{n, c, i, j}^{(1)} &= \max_{0 \leq u, v \leq 1} a_{n, c, 2i+u-1, 2j+v-1}^{(1)}
        z_{n, k, i, j}^{(2)} &= \sum_{c=1}^{4} \sum_{u=0}^{2} \sum_{v=0}^{2} W_{k, c, u, v}^{(2)}\, p_{n, c, i+u, j+v}^{(1)} + b_{k}^{(2)}
        \frac{\partial L}{\partial W_{k, c, u, v}^{(2)}} &= \sum_{n=1}^{N} \sum_{i=1}^{4} \sum_{j=1}^{4} \delta_{n, k, i, j}^{(2)}\, p_{n, c, i+u, j+v}^{(1)}""",
    "batch_norm": r"""
        \mu^{(2)} &= \frac{1}{N} \sum_{n=1}^{N} z_{n}^{(1)}
        \sigma_{(2)}^{2} &= \frac{1}{N} \sum_{n=1}^{N} \left(z_{n}^{(1)} - \mu^{(2)}\right)^{2}
        \hat{x}^{(2)} &= \frac{z^{(1)} - \mu^{(2)}}{\sqrt{\sigma_{(2)}^{2} + 10^{-5}}}
        \tilde{z}^{(2)} &= \hat{x}^{(2)} \odot \gamma^{(2)} + \beta^{(2)}
        m^{(3)} &= \mathbf{1}\left[u^{(3)} \geq 0.5\right]""",
    "residual": r"""
        \mu_{n}^{(2)} &= \frac{1}{4} \sum_{i=1}^{4} z_{n, i}^{(1)}""",
    "embedding": r"""
        e_{n, i}^{(1)} &= E_{\mathrm{tokens}_{n, i}}^{(1)}""",
    "transformer": r"""
        Q &= x\, W_{Q} + b_{Q}
        A &= \operatorname{softmax}\left(S\right)
        o &= C\, W_{O} + b_{O}
        \frac{\partial L}{\partial W_{V}} &= \sum_{n=1}^{N} x_{n}^{\top}\, \frac{\partial L}{\partial V_{n}}""",
    "lstm": r"""
        c_{t} &= f_{t} \odot c_{t-1} + i_{t} \odot g_{t}
        h_{t} &= o_{t} \odot \tanh\left(c_{t}\right)
        \frac{\partial L}{\partial W_{h}^{(1)}} &= \sum_{t=1}^{T} h_{t-1}^{\top}\, \delta_{t}""",
    "rnn": r"""
        h_{0} &= \mathbf{0}
        h_{t} &= \tanh\left(x_{t}\, W + h_{t-1}\, U + b\right) \qquad t = 1, \dots, T
        \frac{\partial L}{\partial h_{T}} &= \frac{2}{3 N} \left(h_{T} - y\right)
        \delta_{t} &= \frac{\partial L}{\partial h_{t}} \odot \left(1 - h_{t}^{2}\right) \qquad t = T, \dots, 1
        \frac{\partial L}{\partial h_{t-1}} &= \delta_{t}\, U^{\top}
        \frac{\partial L}{\partial U} &= \sum_{t=1}^{T} h_{t-1}^{\top}\, \delta_{t}""",
    "vae": r"""
        \varepsilon &\sim \mathcal{N}\left(0, 1\right)
        z &= \mu + e^{0.5\, \mathrm{log\_var}} \odot \varepsilon""",
}


def _sequence(layer: Any, *sides: Any) -> gn.Node:
    x = gn.Graph().placeholder("x", ("batch", *sides))
    found = layer(x)
    return nn.mean_squared_error(found, x.graph.placeholder("y", found.shape))


def _of_classes(loss: Any, **settings: Any) -> gn.Node:
    g = gn.Graph()
    z = nn.Dense(3, rng=np.random.default_rng(0))(g.placeholder("x", ("batch", 4)))
    return loss(z, g.placeholder("y", ("batch",), int), **settings)


def _of_values(loss: Any) -> gn.Node:
    g = gn.Graph()
    z = nn.Dense(3, rng=np.random.default_rng(0))(g.placeholder("x", ("batch", 4)))
    return loss(z, g.placeholder("y", ("batch", 3)))


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


OTHERS = {
    "GRU": lambda: _sequence(nn.GRU(4, rng=_rng()), "time", 3),
    "two LSTMs": lambda: _sequence(nn.LSTM(4, layers=2, rng=_rng()), "time", 3),
    "both directions": lambda: _sequence(nn.LSTM(4, bidirectional=True, rng=_rng()), "time", 3),
    "unrolled": lambda: _sequence(nn.LSTM(4, rng=_rng()), 3, 3),
    "stride": lambda: _sequence(nn.Conv1D(4, 3, stride=2, rng=_rng()), 3, 9),
    "groups": lambda: _sequence(nn.Conv2D(4, 3, groups=2, rng=_rng()), 4, 6, 6),
    "depthwise": lambda: _sequence(nn.Conv2D(4, 3, groups=4, rng=_rng()), 4, 6, 6),
    "one by one": lambda: _sequence(nn.Conv2D(4, 1, rng=_rng()), 4, 6, 6),
    "one channel": lambda: _sequence(nn.Conv2D(4, (1, 3), rng=_rng()), 1, 6, 6),
    "dilation": lambda: _sequence(nn.Conv2D(4, 2, dilation=2, rng=_rng()), 4, 6, 6),
    "transposed": lambda: _sequence(nn.ConvTranspose2D(2, 3, stride=2, rng=_rng()), 2, 4, 4),
    "windows overlap": lambda: _sequence(
        nn.Sequential(nn.Conv2D(2, 2, rng=_rng()), nn.MaxPool2D(3, stride=2)), 2, 8, 8
    ),
    "windows leave some": lambda: _sequence(nn.Sequential(nn.Conv2D(2, 2, rng=_rng()), nn.AveragePool2D(2)), 2, 8, 8),
    "group norm": lambda: _sequence(nn.Sequential(nn.Conv2D(4, 2, rng=_rng()), nn.GroupNorm(2)), 2, 5, 5),
    "causal": lambda: _sequence(nn.MultiHeadAttention(2, causal=True, rng=_rng()), "time", 4),
    "heads of one unit": lambda: _sequence(nn.MultiHeadAttention(3, causal=True, rng=_rng()), "time", 3),
    "smoothed": lambda: _of_classes(nn.softmax_crossentropy, label_smoothing=0.1),
    "weighted": lambda: _of_classes(nn.softmax_crossentropy, class_weights=[1.0, 2.0, 3.0]),
    "ignored": lambda: _of_classes(nn.softmax_crossentropy, ignore_index=1),
    "summed": lambda: _of_classes(nn.softmax_crossentropy, reduction="sum"),
    "Huber": lambda: _of_values(nn.huber),
    "absolute": lambda: _of_values(nn.mean_absolute_error),
    **{
        name: partial(lambda name: _sequence(nn.Dense(3, name, rng=_rng()), 4), name)
        for name in ("gelu", "silu", "elu", "leaky_relu", "softplus", "sigmoid")
    },
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_layers_and_losses_are_written(name: str) -> None:
    loss = OTHERS[name]()
    g = loss.graph
    sizes = {"batch": 2, "time": 4}
    feed = {}
    for node in g.placeholders:
        shape = tuple(sizes.get(dim, dim) for dim in node.spec.shape)
        feed[node] = np.array([2, 0]) if node.dtype.kind == "i" else _rng().normal(size=shape)
    formulas = gn.latex([loss, *gn.grad(loss, [node for node in g.parameters if node.trainable])])
    assert_well_formed(formulas)
    assert len(set(formulas.symbols.values())) == len(formulas.symbols)
    assert max(differs(formulas, feed).values()) <= RELATIVE


def _letters(tree: Any) -> set[Letter]:
    if isinstance(tree, Letter):
        return {tree}
    if isinstance(tree, tuple):
        return set().union(*map(_letters, tree))
    return set().union(*[_letters(getattr(tree, each.name)) for each in fields(tree)]) if is_dataclass(tree) else set()


@pytest.mark.parametrize("name", NETWORKS)
def test_each_letter_that_is_free_stands_on_the_left(name: str) -> None:
    formulas, _, _ = of_network(name)
    for line in formulas.lines:
        for each in line.lines if isinstance(line, Recurrence) else [line]:
            hidden = {letter for letter, one in zip(each.letters, each.symbol.ones, strict=False) if one}
            assert not hidden & _letters(each.tree)


@pytest.mark.parametrize("name", LECTURES)
def test_formulas_are_those_of_a_lecture(name: str) -> None:
    formulas, _, _ = of_network(name)
    written = [line.strip().removesuffix(r" \\") for line in formulas.split("\n")]
    for line in LECTURES[name].strip().split("\n"):
        assert line.strip() in written, f"{line.strip()} is not in\n{formulas}"


@pytest.mark.parametrize("name", NETWORKS)
def test_no_operation_is_written_by_its_name(name: str) -> None:
    formulas, _, _ = of_network(name)
    words = {word.replace(r"\_", "_") for word in re.findall(r"\\(?:mathrm|operatorname)\*?\{([^}]*)\}", formulas)}
    assert words & registry.keys() <= {"reshape", "clip", "pad"}


def test_details_are_op_and_layer() -> None:
    loss, _, _ = NETWORKS["classifier"]()
    assert len(gn.latex(loss, detail="op").lines) > len(gn.latex(loss).lines)
    with pytest.raises(gn.UsageError, match='detail= is "layer"'):
        gn.latex(loss, detail="ops")


def test_a_layer_that_is_only_called_softmax_is_written_as_what_it_does() -> None:
    class Softmax(nn.Layer):
        def call(self, x: gn.Node) -> gn.Node:
            powers = gn.exp(x)
            return powers / (gn.sum(powers, axis=-1, keepdims=True) + 1.0)

    x = gn.Graph().placeholder("x", ("batch", 3))
    formulas = gn.latex(Softmax()(x))
    assert "softmax" not in formulas
    assert max(differs(formulas, {"x": [[1.0, 2.0, 3.0]]}).values()) <= RELATIVE


def test_a_node_that_something_else_reads_has_its_whole_gradient() -> None:
    # The logits are read by the loss, and by a penalty: the formula of the loss alone would be half of it.
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 3)), g.placeholder("y", ("batch",), int)
    z = nn.Dense(3, rng=np.random.default_rng(0))(x)
    loss = nn.softmax_crossentropy(z, y) + gn.mean(gn.square(z))
    formulas = gn.latex(gn.grad(loss, g["dense_1/weight"]))
    assert max(differs(formulas, {x: np.eye(3), y: [0, 1, 2]}).values()) <= RELATIVE


@pytest.mark.parametrize("norm", ["before", "after"])
def test_a_norm_beside_a_shortcut_has_its_whole_gradient(norm: str) -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", "time", 4)), g.placeholder("y", ("batch", "time", 4))
    e = nn.Dense(4, rng=np.random.default_rng(0))(x)
    block = nn.TransformerBlock(2, 8, norm=norm, causal=True, rng=np.random.default_rng(1))
    loss = nn.mean_squared_error(block(e), y)
    formulas = gn.latex(gn.grad(loss, g["dense_1/weight"]))
    feed = {each: np.random.default_rng(i).normal(size=(2, 3, 4)) for i, each in enumerate((x, y))}
    assert max(differs(formulas, feed).values()) <= RELATIVE


def test_loops_that_only_a_run_ends_are_written_by_their_names() -> None:
    x = gn.Graph().placeholder("x", ("n",))
    doubled = gn.while_loop(lambda h: gn.sum(h) < 10.0, lambda h: h * 2.0, x)
    chosen = gn.cond(gn.sum(x) > 1.0, lambda h: h * 2.0, lambda h: h - 1.0, x)
    formulas = gn.latex([doubled, chosen])
    assert r"\mathrm{while}" in formulas
    assert r"\mathrm{cond}" in formulas
    assert max(differs(formulas, {"x": [1.0, 2.0]}).values()) == 0


def test_a_gradient_of_a_gradient() -> None:
    x = gn.Graph().placeholder("x", ("n", 3))
    slope = gn.grad(gn.sum(gn.tanh(x) * x), x)
    formulas = gn.latex(gn.grad(gn.sum(gn.square(slope)), x))
    feed = {"x": np.random.default_rng(0).normal(size=(2, 3))}
    assert max(differs(formulas, feed).values()) <= RELATIVE


def test_a_deep_graph_is_written() -> None:
    x = gn.Graph().placeholder("x", (2,))
    y = x
    for i in range(3000):
        y = gn.sin(y) if i % 3 == 0 else -y if i % 3 == 1 else gn.reshape(y, (2, 1) if y.ndim == 1 else (2,))
    assert len(gn.latex(gn.sum(y)).lines) > 100


_NOT_WRITTEN = ("loop", "branch", "implicit_loop", "loop_item", "placeholder", "parameter", "constant", "torch_call")


_OWN = {name for name, cls in registry.items() if cls.__module__.startswith(("graphnn.ops", "graphnn.control_flow"))}


@pytest.mark.parametrize("name", sorted(name for name in _OWN - {*_NOT_WRITTEN} if not registry[name].foreign))
def test_every_operation_is_written(name: str) -> None:
    cls = registry[name]
    for seed in range(6):
        op, arrays = cls.samples(gn.testing.Draw(np.random.default_rng(seed)))
        if any(array.dtype.kind == "i" and (array < 0).any() for array in arrays[1:]):
            continue  # places counted from the end are written as they are
        g = gn.Graph()
        inputs = [g.placeholder(f"x{i}", array.shape, array.dtype) for i, array in enumerate(arrays)]
        node = op(*inputs, graph=g)
        feed = dict(zip(inputs, arrays, strict=True))
        wanted = np.asarray(gn.run(node, feed))
        formulas = gn.latex(node)
        if node.dtype.kind == "f" and node.dtype.itemsize < 8:
            continue  # precision is not written
        found = np.asarray(formulas.evaluate(feed)[node.name])
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found.astype(float), wanted.astype(float), rtol=RELATIVE, atol=RELATIVE)
        assert_well_formed(formulas)


# --- names ------------------------------------------------------------------------------------------------------

COMMANDS = {
    *[
        r"begin",
        r"end",
        r"left",
        r"right",
        r"frac",
        r"sum",
        r"max",
        r"min",
        r"prod",
        r"partial",
        r"odot",
        r"cdot",
        r"top",
        r"mathrm",
        r"mathbf",
        r"mathcal",
        r"mathbb",
        r"text",
        r"operatorname",
        r"sigma",
        r"delta",
        r"alpha",
        r"beta",
        r"gamma",
        r"mu",
        r"varepsilon",
        r"lambda",
        r"theta",
        r"Omega",
        r"Gamma",
        r"hat",
        r"bar",
        r"tilde",
        r"log",
        r"exp",
        r"sin",
        r"cos",
        r"tan",
        r"sinh",
        r"cosh",
        r"tanh",
        r"arcsin",
        r"arccos",
        r"arctan",
        r"sqrt",
        r"lVert",
        r"rVert",
        r"lfloor",
        r"rfloor",
        r"lceil",
        r"rceil",
        r"qquad",
        r"quad",
        r"dots",
        r"ell",
        r"sim",
        r"leq",
        r"geq",
        r"neq",
        r"lt",
        r"gt",
        r"vert",
        r"ast",
        r"backslash",
        r"wedge",
        r"prime",
        r"land",
        r"lor",
        r"lnot",
        r"oplus",
        r"bigvee",
        r"bigwedge",
        r"in",
        r"times",
        r"mathbin",
        r"infty",
    ]
}
ESCAPES = {*"_%$#&{},;\\!: "}


def assert_well_formed(text: str) -> None:
    """Hold LaTeX to the commands that formulas are made of, to brackets in pairs, and to no character that acts."""
    commands = re.findall(r"\\([A-Za-z]+|.)", text, re.DOTALL)
    assert {each for each in commands if each not in ESCAPES} <= COMMANDS
    rest = re.sub(r"\\([A-Za-z]+|.)", " ", text, flags=re.DOTALL)
    depth = 0
    for character in rest:
        depth += (character == "{") - (character == "}")
        assert depth >= 0
    assert depth == 0
    assert not set(rest) & set("$#%~\\\x00\x7f")
    assert text.count(r"\left") - text.count(r"\left\l") == text.count(r"\right") - text.count(r"\right\r")
    assert set(re.findall(r"\\(?:begin|end)\{([^}]*)\}", text)) <= {"aligned", "cases"}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_never_becomes_a_command(name: str) -> None:
    formulas = hostile(name)
    assert_well_formed(formulas)
    # An "&" that is not escaped stands in front of the sign of a line, and nowhere else.
    for line in formulas.split("\\\\\n"):
        assert len(re.findall(r"(?<!\\)&", line)) <= 1


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("detail", ["layer", "op"])
def test_formulas_are_well_formed(name: str, detail: str) -> None:
    assert_well_formed(of_network(name, detail=detail)[0])


def test_the_users_names_stay() -> None:
    g = gn.Graph()
    named = {"w": "w", "W_h": "W_{h}", "x1": "x_{1}", "gamma": r"\gamma", "images": r"\mathrm{images}"}
    named |= {"y_hat": r"\hat{y}", "log_var": r"\mathrm{log\_var}", "w_out": r"w_{\mathrm{out}}"}
    nodes = [g.placeholder(name, ("batch",)) for name in named]
    total = nodes[0]
    for node in nodes[1:]:
        total = total + node
    formulas = gn.latex(gn.name(total, "total"))
    assert formulas.symbols == named | {total.name: r"\mathrm{total}"}


def test_two_nodes_never_have_one_name() -> None:
    for build in NETWORKS.values():
        loss, wrt, _ = build()
        symbols = gn.latex([loss, *gn.grad(loss, wrt)], detail="op").symbols
        assert len(set(symbols.values())) == len(symbols)


def test_places_have_letters_that_are_no_names() -> None:
    g = gn.Graph()
    n, t = g.placeholder("n", ("batch", "time")), g.placeholder("t", ("time",))
    assert gn.latex(gn.sum(n * t)).split("\n")[1] == r"L &= \sum_{m=1}^{N} \sum_{s=1}^{T} n_{m, s}\, t_{s}"


def test_text_is_escaped_character_by_character() -> None:
    assert escaped(r"\a{b}$%#&~^_") == r"{\backslash \mathrm{a}\{\mathrm{b}\}\$\%\#\&\sim \wedge \_}"


# --- the object -------------------------------------------------------------------------------------------------


def test_a_notebook_shows_mathematics_and_a_prompt_the_source() -> None:
    formulas, _, _ = of_network("logistic")
    assert formulas._repr_latex_() == f"$$\n{formulas}\n$$"
    assert repr(formulas) == str(formulas) == f"{formulas}"
    assert all(isinstance(line, Line) for line in formulas.lines)


def test_what_is_only_given_is_written_with_its_shape() -> None:
    x = gn.Graph().placeholder("x", ("batch", 2))
    assert r"x &\in \mathbb{R}^{N \times 2}" in gn.latex(x)
