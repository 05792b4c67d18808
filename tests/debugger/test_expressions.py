"""Expressions of the values of a run: what NumPy gives, and nothing that runs as code."""

import contextlib
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphnn as gn
from graphnn.debugger.expressions import FUNCTIONS, calculate

RANDOM = np.random.default_rng(3)
VALUES = {
    "x": RANDOM.normal(size=(4, 3)),
    "w": RANDOM.normal(size=(3, 2)),
    "dense_1/z": RANDOM.normal(size=(4, 2)),
    "dense_1": RANDOM.normal(size=(4, 2)),
    "z": np.array(2.0),
    "exp": RANDOM.normal(size=3),
    "k": np.arange(6),
    "scan_1@2/tanh": np.array([0.25, -0.5]),
    "odd name!": np.array([7.0]),
}


def calculated(text):
    return calculate(text, VALUES, VALUES.__getitem__)


NAMES = {name: name for name in ("x", "w", "z", "k")}
LIKE_PYTHON = [
    "x @ w - z",
    "-x ** 2",
    "2.0 ** -1 ** 2",
    "x[1]",
    "x[1, -1]",
    "x[:, 1:]",
    "x[..., 0]",
    "x[::2, ::-1].T",
    "x.T @ x",
    "(x > 0) & (x < 1) | ~(x >= -1)",
    "k // 4 + k % 4 * 2",
    "1e-3 * x / 2 - .5",
    "x - -x",
    "k & 3 == 2",
    "k | 4 & 6",
    "k[1:4][0]",
]


@pytest.mark.parametrize("text", LIKE_PYTHON)
def test_operators_give_what_python_gives(text):
    wanted = eval(text, {name: VALUES[name] for name in NAMES})  # noqa: S307 - the oracle, of texts that stand here
    np.testing.assert_array_equal(calculated(text), wanted)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("max(abs(x))", np.max(np.abs(VALUES["x"]))),
        ("np.sum(x, axis=0)", VALUES["x"].sum(0)),
        ("mean(x, 1)", VALUES["x"].mean(1)),
        ("norm(x)", np.linalg.norm(VALUES["x"])),
        ("where(x > 0, x, 0)", np.where(VALUES["x"] > 0, VALUES["x"], 0)),
        ("maximum(x, 0)", np.maximum(VALUES["x"], 0)),
        ("round(x, 2)", VALUES["x"].round(2)),
        ("shape(x)", [4, 3]),
        ("exp(exp)", np.exp(VALUES["exp"])),
        ("log(-z)", np.nan),
        ("any(isnan(x / 0 - x / 0))", True),
        ("pi", np.pi),
    ],
)
def test_functions_are_numpys(text, wanted):
    np.testing.assert_array_equal(calculated(text), wanted)


def test_the_longest_name_of_a_node_is_meant():
    np.testing.assert_array_equal(calculated("dense_1/z * 2"), VALUES["dense_1/z"] * 2)
    np.testing.assert_array_equal(calculated("dense_1 /z"), VALUES["dense_1"] / 2.0)
    np.testing.assert_array_equal(calculated("x[0]/z"), VALUES["x"][0] / 2.0)
    np.testing.assert_array_equal(calculated("scan_1@2/tanh[1]"), -0.5)
    np.testing.assert_array_equal(calculated("'odd name!' + 1"), [8.0])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "ends where a value should come"),
        ("x +", "ends where a value should come"),
        ("x y", 'has "y" where it should end'),
        ("0 < x < 1", "compares twice"),
        ("(x", 'ends where ")" should come'),
        ("nothing + 1", 'has "nothing", which is neither a node nor a function'),
        ("x[9]", "has an index that is not there"),
        ("x[1.5]", "where an index should come"),
        ("x @ x", "cannot be computed: matmul"),
        ("sum(x, axis=7)", "cannot be computed: sum"),
        ("where(x)", "gives where 1 operands, and it takes 3"),
        ("99999999999999999999", "too large"),
        ("(" * 100 + "x" + ")" * 100, "nested deeper"),
        ("x" * 500, "up to 400 characters"),
        ("x; x", "where it should end"),
        ("__import__('os').system('true')", "neither a node nor a function"),
        ("x.__class__", "where it should end"),
        ("x.tofile('/tmp/x')", "where it should end"),
        ("open('/etc/passwd')", "neither a node nor a function"),
        ("np.load('x')", "neither a node nor a function"),
        ("lambda: x", "neither a node nor a function"),
        ("'nothing'", "there is no node of that name"),
        ("'x", "there is no node of that name"),
    ],
)
def test_what_is_no_expression_is_refused_with_a_sentence(text, told):
    with pytest.raises(gn.ValueRangeError, match=re.escape(told)):
        calculated(text)


def test_what_would_take_all_memory_is_refused():
    values = {"a": np.zeros((100_000, 1)), "b": np.zeros((1, 100_000)), "m": np.zeros((3000, 3000))}
    for text in ("a + b", "a @ b", "m @ m", "maximum(a, b)"):
        with pytest.raises(gn.ValueRangeError, match=r"too large|may make"):
            calculate(text, values, values.__getitem__)


@given(st.text(st.sampled_from("xwzk()[]+-*/@.,:<>=&|~'\" 019e_TMsumax"), max_size=60))
def test_any_text_is_computed_or_refused(text):
    with contextlib.suppress(gn.ValueRangeError):
        calculated(text)


def test_each_function_takes_what_it_should():
    for name in FUNCTIONS:
        operands = {"where": "x > 0, x, x"}.get(
            name, "x, x" if name in ("maximum", "minimum", "equal", "power") else "x"
        )
        assert calculated(f"{name}({operands})") is not None


def test_the_debugger_calculates_with_what_has_run():
    g = gn.Graph()
    x = g.placeholder("x", shape=(2,))
    dbg = gn.debug(gn.functions.exp(x) + 1.0, {x: [1.0, 2.0]})
    dbg.step()
    np.testing.assert_array_equal(dbg.calculate("exp / x"), np.exp([1.0, 2.0]) / [1.0, 2.0])
    with pytest.raises(gn.UsageError, match="has not run yet"):
        dbg.calculate("add * 2")
    dbg["x"] = [0.0, 1.0]
    np.testing.assert_array_equal(dbg.calculate("exp"), np.exp([0.0, 1.0]))
