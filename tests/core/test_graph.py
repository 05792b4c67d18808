"""Building: names, scopes, how things show themselves, operators and their dtypes, state."""

import copy
import operator
import pickle
import re
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphnn as gn
from graphnn.core import operation


def here(offset: int = 0) -> str:
    """Return the caller's line as messages show it."""
    import sys

    return f"test_graph.py:{sys._getframe(1).f_lineno + offset}"


def names(g: gn.Graph) -> list[str]:
    return [node.name for node in g]


def same_bits(a: Any, b: Any) -> bool:
    return bool(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())


# --- names -------------------------------------------------------------------------------------------------------


def test_a_node_is_called_after_its_operation() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=(2, 2))
    gn.exp(x @ x + 1.0)
    gn.exp(x @ x + 1.0)
    gn.maximum(x, x, name="larger")
    x - [1.0, 2.0]
    assert names(g) == [
        "x", "matmul", "constant", "add", "exp", "matmul_2", "constant_2", "add_2", "exp_2", "larger",
        "constant_3", "subtract",
    ]  # fmt: skip


def test_a_composition_has_a_scope_with_a_running_number() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 3))
    gn.softmax(x)
    gn.softmax(x)
    inside = ["max", "stop_gradient", "subtract", "exp", "sum", "divide"]
    assert names(g) == ["x", *(f"softmax_1/{n}" for n in inside), *(f"softmax_2/{n}" for n in inside)]
    assert (g.scopes["softmax_1"].kind, g["softmax_2"].name) == ("softmax", "softmax_2/divide")


def test_scopes() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    with g.scope("head") as scope:
        gn.softplus(x)
        with g.scope("inner"):
            gn.exp(x)
    with g.scope("head"):
        gn.softplus(x)
    with g.scope("head", reuse=True):
        gn.softplus(x)
        with g.scope("inner"):
            gn.exp(x)
        with g.scope("inner", reuse=True):
            gn.exp(x, name="e")
            g.placeholder("y")
    with g.scope("fresh", reuse=True):
        gn.exp(x)
    assert names(g) == [
        "x", "head/softplus", "head/inner/exp", "head_2/softplus", "head/softplus_2", "head/inner_2/exp",
        "head/inner/e", "head/inner/y", "fresh/exp",
    ]  # fmt: skip
    assert list(g.scopes) == ["head", "head/inner", "head_2", "head/inner_2", "fresh"]
    assert (scope.path, scope.kind, scope.parent, scope.phase) == ("head", "", None, "forward")
    assert g.scopes["head/inner"].parent is scope
    assert scope.result is g["head/inner/y"]
    assert [node.scope for node in g][:3] == ["", "head", "head/inner"]


def test_a_scope_clashes_with_a_node_and_a_node_with_a_scope() -> None:
    g = gn.Graph()
    x = g.placeholder("exp")
    with g.scope("exp"):
        gn.sin(x)
    with g.scope("sin", reuse=True):
        gn.sin(x)
    assert [gn.exp(x).name, gn.sin(x).name] == ["exp_3", "sin_2"]
    assert list(g.scopes) == ["exp_2", "sin"]


def test_a_scope_is_left_when_what_is_in_it_fails() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=2)

    def failing() -> None:
        with g.scope("head"):
            x @ x.T @ x

    with pytest.raises(gn.ShapeError):
        failing()
    assert gn.exp(x).name == "exp"
    with pytest.raises(gn.AxisError):
        gn.softmax(x, axis=5)
    assert gn.softmax(x).name == "softmax_1/divide"


def test_a_name_given_twice_is_an_error_that_shows_both_lines() -> None:
    g = gn.Graph()
    g.placeholder("x")
    made = here(-1)
    with g.scope("head"):
        g.constant(1.0, name="x")
    for again in (
        lambda: g.placeholder("x"),
        lambda: g.parameter("x", 1.0),
        lambda: g.constant(1.0, name="x"),
        lambda: gn.exp(g["x"], name="x"),
    ):
        with pytest.raises(ValueError, match='the name "x" is already taken by the placeholder made at ') as caught:
            again()
        assert isinstance(caught.value, gn.GraphError)
        assert made in str(caught.value)
        assert re.search(r"\n  at test_graph.py:\d+$", str(caught.value))
    with pytest.raises(gn.GraphError, match='the name "head" is already taken by the constant'):
        g.placeholder("head")
    assert names(g) == ["x", "head/x"]


@pytest.mark.parametrize(
    "name",
    ['a"b', "<b>x</b>", "dense/kernel:0", r"\N", "", "x" * 10_000, "</script>", "a b\n", "漢字", "\x1b[31m", "0", "-1"],
    ids=lambda name: ascii(name[:12]),
)
def test_names_are_kept(name: str) -> None:
    g = gn.Graph(name)
    x = g.placeholder(name)
    y = gn.exp(x, name=name + "'")
    g.outputs[name + "''"] = y
    assert (x.name, g[name], g[name + "'"], g[name + "''"]) == (name, x, y, y)
    assert gn.run(y, {name: 0.0}) == 1.0
    assert gn.Graph.from_networkx(g.dag)[name + "'"].inputs[0].name == name
    assert len(repr(x)) < 200


@pytest.mark.parametrize("make", ["placeholder", "scope", "output", "operation", "constant"])
@pytest.mark.parametrize(("name", "error"), [("a\0b", ValueError), (3, TypeError), (b"x", TypeError)])
def test_what_is_not_a_name_is_refused(make: str, name: Any, error: type[Exception]) -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    ways: dict[str, Callable[[], Any]] = {
        "placeholder": lambda: g.placeholder(name),
        "scope": lambda: g.scope(name).__enter__(),
        "output": lambda: g.outputs.__setitem__(name, x),
        "operation": lambda: gn.exp(x, name=name),
        "constant": lambda: g.constant(1.0, name=name),
    }
    with pytest.raises(error, match=r"a name (cannot hold a NUL|is text, not (int|bytes))") as caught:
        ways[make]()
    assert isinstance(caught.value, gn.GraphnnError)
    assert names(g) == ["x"]


def test_a_scope_has_a_name() -> None:
    with pytest.raises(ValueError, match="a scope needs a name"):
        gn.Graph().scope("").__enter__()


def test_looking_up() -> None:
    g = gn.Graph("line")
    x = g.placeholder("x")
    with g.scope("head"):
        y = gn.exp(x)
        z = gn.sin(y)
    g.outputs["loss"] = y
    assert (g["x"], g["head/exp"], g["head"], g["loss"]) == (x, y, z, y)
    assert "x" in g
    assert "head" in g
    assert "loss" in g
    assert x in g
    assert "tail" not in g
    assert gn.Graph().placeholder("x") not in g
    assert 3 not in g
    for name in ("heat", "lass"):
        with pytest.raises(KeyError, match=r'the graph "line" has no node, scope or output .*Did you mean "'):
            g[name]
    with pytest.raises(TypeError, match="looked up by its name, not by int"):
        g[0]


def test_outputs_clash() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    y = gn.exp(x)
    with g.scope("head"):
        z = gn.sin(x)
    g.outputs["exp"] = y  # the node of that name
    g.outputs["loss"] = y
    g.outputs["loss"] = z
    for taken in ("x", "head", "head/sin"):
        with pytest.raises(ValueError, match=f'the output cannot be called "{taken}": a node or scope has that name'):
            g.outputs[taken] = y
    with pytest.raises(ValueError, match='"loss" is already taken by the sin'):
        g.placeholder("loss")
    assert [gn.exp(x).name, gn.sin(x, name="free").name] == ["exp_2", "free"]
    with g.scope("loss"):
        assert gn.exp(x).name == "loss_2/exp"
    assert dict(g.outputs) == {"exp": y, "loss": z}


def test_outputs_and_updates_take_over_every_entry_or_none() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x"), g.parameter("w", 1.0)
    for put in (
        lambda table, entries: table.update(entries),
        lambda table, entries: operator.ior(table, entries),
        lambda table, entries: [table.setdefault(k, v) for k, v in reversed(list(entries.items()))],
    ):
        with pytest.raises(TypeError, match='the output "b" is a node, not int'):
            put(g.outputs, {"a": x, "b": 3})
        with pytest.raises(TypeError, match='only parameters are updated; "x" is a placeholder'):
            put(g.updates, {w: x, x: w})
        assert (dict(g.outputs), dict(g.updates)) == ({}, {})
    g.outputs |= {"a": "x"}  # names serve as nodes do
    assert g.outputs.setdefault("a", w) is x
    g.updates.update({"w": w * 2.0})
    assert g.updates == {w: g["multiply"]}
    with pytest.raises(ValueError, match=r'"w" has shape \(\); its update "v" has \(2,\)'):
        g.updates[w] = g.constant([1.0, 2.0], name="v")
    with pytest.raises(TypeError, match='"w" is float64; its update "i" is int64'):
        g.updates[w] = g.constant(1, name="i")


# --- how things show themselves ----------------------------------------------------------------------------------


def test_reprs() -> None:
    g = gn.Graph("spiral")
    assert repr(g) == '<Graph "spiral": 0 nodes, 0 parameters (0 numbers)>'
    x = g.placeholder("x", shape=("batch", 2))
    w = g.parameter("w", np.ones((2, 3), np.float32))
    y = gn.sum(x @ w, axis=-1)
    g.outputs["rows"] = y
    assert repr(x) == '<Node "x": placeholder (batch, 2) float64>'
    assert repr(w) == '<Node "w": parameter (2, 3) float32>'
    assert repr(y) == '<Node "sum": sum (batch,) float64>'
    assert str([y]) == '[<Node "sum": sum (batch,) float64>]'
    assert repr(g) == '<Graph "spiral": 4 nodes, 1 parameter (6 numbers), outputs rows>'
    assert repr(y.op) == "Sum(axis=-1, keepdims=False)"
    assert str(y.spec) == "(batch,) float64"
    assert str(y.origin) == here(-9)
    assert repr(g.placeholder("n" * 200)) == f'<Node "{"n" * 77}...": placeholder () float64>'
    big = gn.Graph("big")
    big.parameter("w", np.zeros((1000, 1234)))
    assert repr(big) == '<Graph "big": 1 node, 1 parameter (1,234,000 numbers)>'


def test_a_notebook_shows_at_least_text() -> None:
    g = gn.Graph("spiral")
    x = g.placeholder("x")
    for thing in (g, x):
        assert thing._repr_mimebundle_()["text/plain"] == repr(thing)


def test_the_attributes_of_a_node() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 3))
    line = here(-1)
    w = g.parameter("w", np.ones((3, 2)), trainable=False)
    y = x @ w
    z = y + y
    assert (y.graph, y.inputs, y.users, z.inputs) == (g, (x, w), (z,), (y, y))
    assert (x.shape, x.dtype, x.ndim, x.index, z.index) == (("batch", 3), np.float64, 2, 0, 3)
    assert (x.op.name, y.op.attributes, x.scope, x.phase, x.twin) == ("placeholder", {}, "", "forward", None)
    assert (str(x.origin), x.origin.line) == (line, int(line.partition(":")[2]))
    assert (x.trainable, w.trainable, w.has_value, y.has_value) == (False, False, True, False)
    assert (y.T.shape, y.T.op.name) == ((2, "batch"), "transpose")
    assert (g.parameters, list(g.state), g.placeholders) == ((), [w], [x])


def test_a_graph_is_a_collection_of_its_nodes() -> None:
    g = gn.Graph()
    assert bool(g)
    assert (len(g), list(g)) == (0, [])
    x = g.placeholder("x")
    y = -x
    assert (len(g), list(g)) == (2, [x, y])


# --- what a node is not --------------------------------------------------------------------------------------------

NOT_TO_DO: dict[str, tuple[Callable[[Any], Any], str]] = {
    "bool": (bool, r'"x" has no truth value.*gn\.where.*gn\.run.*is not None'),
    "if": (lambda x: 1 if x else 2, r"no truth value"),
    "and": (lambda x: x and x, r"no truth value"),
    "not": (operator.not_, r"no truth value"),
    "a < b < c": (lambda x: 0 < x < 3, r'"greater" has no truth value'),
    "== number": (lambda x: x == 3, r'"x" was compared with int: write gn\.equal\(a, b\)'),
    "number ==": (lambda x: x == 3, r"gn\.equal"),
    "== None": (lambda x: x == None, r"compared with NoneType: .*gn\.equal"),  # noqa: E711
    "!= array": (lambda x: x != np.ones(2), r"compared with ndarray: .*gn\.equal"),
    "array ==": (lambda x: np.ones(2) == x, r"compared with ndarray: .*gn\.equal"),
    "iter": (iter, "not iterable"),
    "for": (lambda x: [a for a in x], "not iterable"),  # noqa: C416
    "list": (list, "not iterable"),
    "unpack": (lambda x: (lambda a, b: None)(*x), "iterable"),
    "reversed": (reversed, "not reversible"),
    "in": (lambda x: 1 in x, "not (a container|iterable)"),
    "np.asarray": (np.asarray, r'"x" is a node, not an array: use gn\'s functions.*gn\.run'),
    "np.array([x])": (lambda x: np.array([x, x]), "is a node, not an array"),
    "np.mean": (np.mean, r'np\.mean computes with arrays, and "x" is a node: write gn\.mean instead'),
    "np.exp": (np.exp, r"np\.exp computes with arrays.*write gn\.exp instead"),
    "np.exp where": (lambda x: np.exp(x, where=True), r"write gn\.exp instead"),
    "np.abs": (np.abs, r"write gn\.absolute instead"),
    "np.sum": (np.sum, r"np\.sum computes .*write gn\.sum instead"),
    "np.add.reduce": (np.add.reduce, r"np\.add\.reduce computes .*write gn\.sum instead"),
    "np.dot": (lambda x: np.dot(np.ones(2), x), r"write gn\.matmul instead"),
    "np.where": (lambda x: np.where(np.ones(2) > 0, 1, x), r"write gn\.where instead"),
    "np.stack": (lambda x: np.stack([x, x]), r"write gn\.stack instead"),
    "np.linalg.norm": (np.linalg.norm, r"np\.linalg\.norm computes .*write gn\.norm instead"),
    "np.unique": (np.unique, r"np\.unique computes .*gn's functions.*gn\.run"),
    "np.add.at": (lambda x: np.add.at(x, 0, 1.0), r"np\.add\.at computes .*gn's functions"),
    "+=": (lambda x: operator.iadd(np.ones(2), x), "np.add computes with arrays"),
    "^": (lambda x: np.ones(2, bool) ^ x, "np.bitwise_xor computes with arrays"),
    "float": (float, r'"x" is not a number before it is run: gn\.run'),
    "int": (int, "is not a number before it is run"),
    "format": (lambda x: f"{x:.3f}", r'cannot be written as "\.3f": gn\.run'),
    "x[0] =": (lambda x: operator.setitem(x, 0, 1.0), r'"x" is a node, and nodes never change: gn\.where'),
    "index": (lambda x: [1, 2][x], "not Node"),
    "deepcopy": (copy.deepcopy, r"gn\.extract"),
    "deepcopy of a list": (lambda x: copy.deepcopy([x]), r"gn\.extract"),
    "copy": (copy.copy, r"gn\.save"),
    "pickle": (pickle.dumps, r"gn\.save writes a graph to a file that holds no code"),
    "pickle a graph": (lambda x: pickle.dumps(x.graph), r"gn\.save"),
    "deepcopy a graph": (lambda x: copy.deepcopy(x.graph), r"gn\.extract"),
}


@pytest.mark.parametrize(("do", "words"), NOT_TO_DO.values(), ids=NOT_TO_DO.keys())
@pytest.mark.timeout(20)
def test_a_node_is_not_an_array_or_a_number(do: Callable[[Any], Any], words: str) -> None:
    x = gn.Graph().placeholder("x", shape=2)
    with pytest.raises(TypeError, match=words):
        do(x)


OPERATORS = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "lt", "le", "gt", "ge", "and_", "or_")


@pytest.mark.parametrize("name", OPERATORS)
def test_an_array_and_a_node_meet_in_an_operator_and_make_a_node(name: str) -> None:
    g = gn.Graph()
    of, kind = getattr(operator, name), bool if name.endswith("_") else float
    a, b = np.array([[3, 1], [2, 5]], kind), np.array([[2, 2], [0.5, 1]]).astype(kind)
    x = g.placeholder("x", (2, 2), kind)
    for made, value in ((of(a, x), of(a, b)), (of(x, a), of(b, a))):
        assert isinstance(made, gn.Node)
        assert np.array_equal(gn.run(made, {x: b}), value)
    if name != "matmul":
        for number in (a[0, 0], a[0, :1].reshape(())):  # a NumPy scalar, and an array without axes
            made = of(number, x)
            assert (made.op.name, made.dtype) == (of(a, x).op.name, of(number, b).dtype)
            assert np.array_equal(gn.run(made, {x: b}), of(number, b))


def test_np_shape_and_np_ndim_take_a_node() -> None:
    x = gn.Graph().placeholder("x", ("batch", 2))
    assert (np.shape(x), np.ndim(x)) == (("batch", 2), 2)
    assert f"{x}" == str(x)
    assert np.array_equal(gn.run(round(x, 1), {x: [[0.26, 1.0]]}), [[0.3, 1.0]])


def test_the_length_is_the_first_size_if_it_is_known() -> None:
    g = gn.Graph()
    assert len(g.placeholder("a", shape=(3, "batch"))) == 3
    for node in (g.placeholder("b", shape=("batch", 3)), g.placeholder("c")):
        with pytest.raises(TypeError, match="its length is not known before a run"):
            len(node)


def test_nodes_serve_in_lists_sets_and_dicts() -> None:
    g = gn.Graph()
    x, y, z = (g.placeholder(name) for name in "xyz")
    nodes = [x, y, x]
    assert y in nodes
    assert z not in nodes
    assert (nodes.index(y), nodes.count(x)) == (1, 2)
    nodes.remove(x)
    assert nodes == [y, x]
    assert {x, y, x} == {y, x}
    assert {x: 1, y: 2}[y] == 2
    assert x == nodes[1]
    assert x != y
    assert (x, y) == (x, y)
    assert len({*g, *g}) == 3


# --- operators -----------------------------------------------------------------------------------------------------

BINARY = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "@": operator.matmul,
}
DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32"]
DTYPES.append("float64")

arrays = st.builds(lambda dtype: np.array([3, 1, 2]).astype(dtype), st.sampled_from(DTYPES))
numbers = st.one_of(
    st.sampled_from([1, 2, 3, True, False, 0.5, 2.0, 1.25]),
    st.builds(lambda dtype, n: np.dtype(dtype).type(n), st.sampled_from(DTYPES), st.sampled_from([1, 2, 3])),
    st.builds(lambda dtype: np.array(2, dtype), st.sampled_from(DTYPES)),
    arrays,
)


@given(st.sampled_from(sorted(BINARY)), arrays, numbers, st.booleans())
def test_operators_give_the_values_and_dtypes_of_numpy(symbol: str, array: Any, other: Any, swapped: bool) -> None:
    # Whatever stands beside the node: a Python number is weak, a NumPy scalar is not (NEP 50).
    check_operator(symbol, array, other, swapped)


@pytest.mark.parametrize("symbol", sorted(BINARY))
def test_every_dtype_beside_a_python_number(symbol: str) -> None:
    for dtype in DTYPES:
        for number in (0, 1, 2, 3, -1, True, False, 0.5, -1.0, 2.0):
            for swapped in (False, True):
                if type(number) is not int or number >= 0 or not dtype.startswith("uint"):
                    check_operator(symbol, np.array([3, 1, 2]).astype(dtype), number, swapped)


def check_operator(symbol: str, array: Any, other: Any, swapped: bool) -> None:
    operate = BINARY[symbol]
    by_numpy = operate
    # The operator of NumPy 2.2 squares where a number is 2, and keeps the dtype of the array; its function does not.
    is_number = isinstance(other, (np.ndarray, np.generic)) and other.ndim == 0
    if symbol == "**" and not swapped and (is_number or (array.dtype == bool and type(other) is float and other == 2)):
        by_numpy = np.power
    g = gn.Graph()
    x = g.placeholder("x", shape=3, dtype=array.dtype)
    pair, nodes = ((other, array), (other, x)) if swapped else ((array, other), (x, other))
    try:
        with np.errstate(all="ignore"):
            expected = np.asarray(by_numpy(*pair))
    except (TypeError, ValueError, ZeroDivisionError) as error:
        with pytest.raises(type(error)):
            gn.run(operate(*nodes), {x: array})
        return
    if symbol in ("//", "%") and expected.dtype.kind in "biu" and not np.all(pair[1]):
        with pytest.raises(ZeroDivisionError):
            gn.run(operate(*nodes), {x: array})
        return
    node = operate(*nodes)
    assert (node.shape, node.dtype) == (expected.shape, expected.dtype)
    assert same_bits(gn.run(node, {x: array}), expected)


@given(st.sampled_from(sorted(BINARY)), arrays, arrays)
def test_two_nodes_promote_as_two_arrays(symbol: str, a: Any, b: Any) -> None:
    operate = BINARY[symbol]
    g = gn.Graph()
    x, y = (g.placeholder(name, shape=3, dtype=array.dtype) for name, array in (("x", a), ("y", b)))
    try:
        with np.errstate(all="ignore"):
            expected = np.asarray(operate(a, b))
    except TypeError as error:
        with pytest.raises(type(error)):
            operate(x, y)
        return
    assert same_bits(gn.run(operate(x, y), {x: a, y: b}), expected)


@pytest.mark.parametrize("operate", [operator.neg, abs, lambda x: x[1:], lambda x: x[-1], lambda x: x[None, ..., 0]])
@pytest.mark.parametrize("dtype", DTYPES)
def test_unary_operators(operate: Callable[[Any], Any], dtype: str) -> None:
    array = np.array([3, 0, 2]).astype(dtype)
    x = gn.Graph().placeholder("x", shape=3, dtype=dtype)
    try:
        expected = np.asarray(operate(array))
    except TypeError:
        with pytest.raises(TypeError, match="negative does not take bool"):
            operate(x)
    else:
        assert same_bits(gn.run(operate(x), {x: array}), expected)


def test_a_python_number_never_widens_and_a_numpy_scalar_does() -> None:
    g = gn.Graph(dtype=np.float32)
    x = g.placeholder("x", shape=2)
    assert [(x * 2.5).dtype, (2 / x).dtype, (x + True).dtype, (x**2).dtype] == [np.float32] * 4
    assert [(x * np.float64(2.5)).dtype, (np.float64(2) / x).dtype] == [np.float64] * 2
    assert (x * [1.0, 2.0]).dtype == np.float32  # a list of floats takes the graph's dtype
    assert (x + np.ones(2)).dtype == np.float64
    assert (np.float16(1) + x).dtype == np.float32
    i = g.placeholder("i", dtype=np.uint8)
    assert [(i + 1).dtype, (i + 1.0).dtype, (i + np.int64(1)).dtype] == [np.uint8, np.float64, np.int64]
    with pytest.raises(ValueError, match=r"add: the number 300 does not fit into uint8; cast the other operand first"):
        i + 300


def test_a_number_that_overflows_a_dtype_warns_on_the_line_that_writes_it() -> None:
    g = gn.Graph(dtype=np.float16)
    x = g.placeholder("x", shape=2)
    for write, what in (
        (lambda: gn.where(x > 0, x, -1e9), "an operand of where holds -1e+09, which is -inf in float16"),
        (lambda: x + 10**6, "an operand of add holds 1e+06, which is inf in float16"),
        (lambda: g.constant([1.0, 1e5]), "a constant holds 100000, which is inf in float16"),
        (lambda: g.parameter("w", 1e5), 'parameter "w" holds 100000, which is inf in float16'),
        (lambda: gn.cast(x, "float32") * 1e39, "1e+39, which is inf in float32: that ends at 3.4028e+38"),
    ):
        with pytest.warns(gn.GraphnnWarning, match=rf"{re.escape(what)}.*\(at test_graph.py:\d+\)") as warned:
            write()
        assert warned[0].filename == __file__
    assert np.isinf((x * np.inf).inputs[1].value)  # which says what it is
    with pytest.warns(gn.GraphnnWarning, match=r'the value of "w" holds 100000, which is inf in float16'):
        g["w"].value = 1e5


def test_the_operation_that_an_operator_makes() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=2)
    made = [
        x**2, x**2.0, x**0.5, x**-1, x**3, 2**x, x**x, -x, abs(x), x < 1, np.ones(2) < x, x >= x, 1 - x, x @ x
    ]  # fmt: skip
    assert [node.op.name for node in made] == [
        "square", "square", "sqrt", "reciprocal", "power", "power", "power", "negative", "absolute", "less",
        "greater", "greater_equal", "subtract", "matmul",
    ]  # fmt: skip
    i = g.placeholder("i", dtype=np.int64)
    assert [(i**2).op.name, (i**3).op.name, (x ** np.float64(2)).op.name] == ["square", "power", "power"]
    assert made[-2].inputs[1] is x


def test_and_or_not_are_for_bools() -> None:
    g = gn.Graph()
    a, b = (g.placeholder(name, shape=4, dtype=bool) for name in "ab")
    i = g.placeholder("i", shape=4, dtype=np.int64)
    p, q = np.array([0, 0, 1, 1], bool), np.array([0, 1, 0, 1], bool)
    made = [a & b, a | b, ~a, a & True, True | b, q & a, [False, False, True, True] | b, (i > 0) & ~b]
    expected = [p & q, p | q, ~p, p, np.ones(4, bool), q & p, p | q, p & ~q]
    for node, value in zip(made, expected, strict=True):
        assert same_bits(gn.run(node, {a: p, b: q, i: p * 2}), value)
    # On integers NumPy's operators work on the bits: silently something else.
    for symbol, bad in (("&", lambda: a & i), ("&", lambda: i & a), (r"\|", lambda: i | 1), ("~", lambda: ~i)):
        with pytest.raises(TypeError, match=rf'{symbol} is for bools, and "i" is int64: gn\.logical_'):
            bad()
    with pytest.raises(TypeError, match=r"& is for bools, and an operand is int64: gn.logical_and"):
        a & 1


def test_a_column_of_pandas_beside_a_node_is_an_operand_on_either_side() -> None:
    pandas = pytest.importorskip("pandas")
    x = gn.Graph().placeholder("x", shape=2)
    column = pandas.Series([3.0, 5.0])
    assert gn.run(column - x, {x: [1.0, 1.0]}).tolist() == [2.0, 4.0]
    assert gn.run(x - column, {x: [1.0, 1.0]}).tolist() == [-2.0, -4.0]
    assert gn.run(column.to_frame() * x, {x: [1.0, 2.0]}).tolist() == [[3.0, 6.0], [5.0, 10.0]]


def test_two_graphs_of_one_name_are_told_apart() -> None:
    x, y = (gn.Graph("model").placeholder(name) for name in "xy")
    for bad, words in (
        (lambda: gn.run([x, y]), '"y" is in "model", others in another, "model"'),
        (lambda: x + y, '"y" is in "model" .*, others in another, "model"'),
    ):
        with pytest.raises(gn.GraphError, match=words):
            bad()


def test_wrong_operands_are_refused() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=2)
    for bad, error, words in (
        (1j, TypeError, "an operand of subtract is of dtype complex128"),
        ("a", TypeError, "an operand of subtract is of dtype <U1"),
        (None, TypeError, "an operand of subtract is of dtype object"),
        ([[1], [2, 3]], ValueError, "an operand of subtract: the list is ragged"),
        (np.ma.masked_array([1.0, 2.0], [0, 1]), TypeError, "an operand of subtract: a masked array"),
    ):
        for pair in ((x, bad), (bad, x)):
            if isinstance(pair[0], np.ma.MaskedArray):
                words = '"x" is a node, not an array'  # its own operator asks for an array
            with pytest.raises(error, match=words) as caught:
                operator.sub(*pair)
            assert isinstance(caught.value, gn.GraphnnError)
            assert str(caught.value).endswith(f"\n  at {here(-2)}")
    assert names(g) == ["x"]


# --- calling operations --------------------------------------------------------------------------------------------


def test_functions_take_operands_then_attributes_as_in_numpy() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=(2, 3))
    assert gn.sum(x, 1, True).shape == gn.sum(x=x, axis=1, keepdims=True).shape == (2, 1)
    assert gn.concatenate([x, x], axis=1).shape == (2, 6)
    assert gn.matmul(np.ones((4, 2)), x).inputs[1] is x
    assert gn.zeros((2, "n"), graph=g).shape == (2, "n")
    assert gn.abs(x).op.name == "absolute"


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: gn.pad(x, -1), ValueError, r"pad: pad_width is .*, not -1\n  at "),
        (lambda x: gn.exp(3.0), TypeError, "exp needs at least one node among its operands, got float"),
        (lambda x: gn.sum(x, axis=x), TypeError, "sum: axis is an int, a tuple of ints or None, not <Node"),
        (lambda x: gn.sum(x, axis=np.arange(2.0)), TypeError, r"a tuple of ints or None, not array\(\[0"),
        (lambda x: x.graph.add(operation("exp")(), [x, x]), ValueError, r"exp takes 1 operand \(x\), got 2"),
        (lambda x: x.graph.add("exp", [x]), TypeError, r"add takes an operation, .* ops.activations.Relu\(\), not str"),
        (lambda x: x.graph.add(operation("exp"), [x]), TypeError, "add takes an operation, .*, not type"),
        (lambda x: gn.zeros((2,), graph=x), TypeError, "graph= is a graph, such as x.graph of a node x, not Node"),
        (lambda x: x.graph.add(operation("concatenate")(), []), ValueError, "concatenate needs at least one operand"),
        (lambda x: gn.softmax(np.ones(3)), TypeError, "softmax needs at least one node"),
    ],
)  # fmt: skip
def test_wrong_calls_are_refused(call: Callable[[Any], Any], error: type[Exception], words: str) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=(2, 3))
    before = len(g)
    with pytest.raises(error, match=words) as caught:
        call(x)
    assert isinstance(caught.value, gn.GraphnnError)
    assert "at test_graph.py:" in str(caught.value)
    assert len(g) == before


@pytest.mark.parametrize(
    ("call", "says", "note"),
    [
        (lambda x: gn.exp(), "exp(): missing a required argument: 'x'", "The call is exp(x, *, name=None)"),
        (lambda x: gn.add(x), "add(): missing a required argument: 'y'", "The call is add(x, y, *, name=None)"),
        (lambda x: gn.exp(x, 3), "exp(): too many positional arguments", "The call is exp(x, *, name=None)"),
        (
            lambda x: gn.sum(x, axes=1),
            "sum(): got an unexpected keyword argument 'axes'",
            "Here it is axis=. The call is sum(x, axis=None, keepdims=False, *, name=None)",
        ),
        (
            lambda x: gn.softmax(x, dim=1),
            "softmax() got an unexpected keyword argument 'dim'",
            "Here it is axis=. The call is softmax(x, axis=-1)",
        ),
        (
            lambda x: gn.cumsum(x, 0, 1, 2),
            "cumsum(): too many positional arguments",
            "The call is cumsum(x, axis=None, *, name=None)",
        ),
        (lambda x: gn.zeros(), "zeros(): missing a required argument: 'shape'", "The call is zeros(shape, "),
    ],
)
def test_a_call_that_does_not_fit_is_a_type_error_with_the_signature(
    call: Callable[[Any], Any], says: str, note: str
) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=(2, 3))
    with pytest.raises(TypeError) as caught:
        call(x)
    assert str(caught.value).startswith(says)  # later versions of Python add a guess
    (told,) = caught.value.__notes__
    assert told.startswith(note)
    assert "".join(traceback.format_exception_only(caught.value)).endswith(f"\n{told}\n")  # what a terminal shows
    assert len(g) == 1


def test_an_unknown_operation_is_an_error() -> None:
    with pytest.raises(AttributeError, match=r'there is no operation "sofmax".*"softmax"'):
        operator.attrgetter("sofmax")(gn)
    assert not hasattr(gn, "placeholder")


# --- values and dtypes ---------------------------------------------------------------------------------------------


def test_the_dtypes_of_lists_and_of_arrays() -> None:
    g = gn.Graph(dtype=np.float32)
    for make in (lambda value, name: g.constant(value, name=name), lambda value, name: g.parameter(name, value)):
        kind = make.__code__.co_names[0]
        assert make([1.0, 2.0], f"{kind} a").dtype == np.float32
        assert make(1.5, f"{kind} b").dtype == np.float32
        assert make([1, 2], f"{kind} c").dtype == np.int64
        assert make([True], f"{kind} d").dtype == np.bool_
        assert make(np.ones(2), f"{kind} e").dtype == np.float64
        assert make(np.float64(1), f"{kind} f").dtype == np.float64
        assert make(np.ones(2, ">f4"), f"{kind} g").value.dtype == np.dtype("=f4")
        assert make(np.arange(6).reshape(2, 3).T, f"{kind} h").value.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert g.placeholder("x").dtype == np.float32
    assert g.placeholder("i", dtype=int).dtype == np.int64
    assert g.constant([1, 2], dtype=np.uint8).dtype == np.uint8
    assert g.constant([1.0, 2.0], dtype=int).value.tolist() == [1, 2]
    assert gn.Graph().placeholder("x").dtype == np.float64


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda g: g.constant([1.5], dtype=int), TypeError, "int64 would change its values"),
        (lambda g: g.constant(np.ones(2), dtype=int), TypeError, "cast it yourself"),
        (lambda g: g.placeholder("x", dtype="float99"), TypeError, "'float99' is not a dtype"),
        (lambda g: g.placeholder("x", dtype=complex), TypeError, "complex128; values are bool, integers, and floats"),
        (lambda g: g.placeholder("x", dtype=object), TypeError, "dtype object"),
        (lambda g: g.placeholder("x", dtype=np.longdouble), TypeError, "floats of 16, 32 or 64 bits"),
        (lambda g: g.parameter("w", [[1], [2, 3]]), ValueError, 'parameter "w": the list is ragged'),
        (lambda g: g.parameter("w", "text"), TypeError, 'parameter "w" is of dtype <U4'),
        (lambda g: g.parameter("w", np.array(["2020"], "M8[Y]")), TypeError, r"dtype datetime64\[Y\]"),
        (lambda g: g.parameter("w", [object()]), TypeError, "dtype object"),
        (lambda g: g.parameter("w", {1: 2}), TypeError, "dtype object"),
        (lambda g: g.parameter("w", np.ma.ones(3)), TypeError, r"a masked array's mask would be lost; fill it first"),
        (lambda g: g.parameter("w", [np.ma.ones(3)]), TypeError, "masked"),
        (lambda g: g.parameter("w", g.placeholder("y")), TypeError, '"y" is a node, not an array'),
        (lambda g: g.constant([g.placeholder("y")]), TypeError, '"y" is a node, not an array'),
        (lambda g: g.constant([10**400, 1.0]), TypeError, "dtype object"),
        (lambda g: gn.Graph(dtype=int), TypeError, "a graph's dtype is a float, not int64"),
    ],
)
def test_wrong_values_are_refused(make: Callable[[gn.Graph], Any], error: type[Exception], words: str) -> None:
    g = gn.Graph()
    with pytest.raises(error, match=words) as caught:
        make(g)
    assert isinstance(caught.value, gn.GraphnnError)
    assert not g.state


def test_a_parameters_value_is_read_and_set() -> None:
    g = gn.Graph(dtype=np.float32)
    w = g.parameter("w", [[1.0, 2.0]])
    first = w.value
    w.value = [[3, 4]]
    w.value = np.array([[5.0, 6.0]], np.float32)
    assert first.tolist() == [[1, 2]]
    assert w.value.tolist() == [[5, 6]]
    with pytest.raises(ValueError, match="read-only"):
        w.value[0, 0] = 9
    with pytest.raises(ValueError, match=r'"w" has shape \(1, 2\); the value given has \(2,\)'):
        w.value = [1.0, 2.0]
    with pytest.raises(TypeError, match=r'"w" is float32; the value given is float64: write value.astype'):
        w.value = np.ones((1, 2))
    with pytest.raises(TypeError, match="masked"):
        w.value = np.ma.ones((1, 2), np.float32)
    i = g.parameter("i", 3)
    with pytest.raises(TypeError, match='"i" is int64; the value given is float64'):
        i.value = 2.5
    assert (w.value.tolist(), i.value) == ([[5, 6]], 3)


def test_nodes_without_a_value_say_so() -> None:
    g = gn.Graph()
    x, c = g.placeholder("x"), g.constant([1.0], name="c")
    assert c.value.tolist() == [1]
    with pytest.raises(TypeError, match=r'"x" is a placeholder: its value is known only in a run; gn\.run'):
        operator.attrgetter("value")(x)
    for node in (x, c, -x):
        with pytest.raises(TypeError, match=f'only a parameter\'s value can be set; "{node.name}" is a'):
            node.value = 1.0


def test_values_are_copied() -> None:
    g = gn.Graph()
    given_ = np.ones(3)
    w, c = g.parameter("w", given_), g.constant(given_, name="c")
    node = w + given_
    given_[:] = 7
    assert (w.value.tolist(), c.value.tolist(), gn.run(node).tolist()) == ([1] * 3, [1] * 3, [2] * 3)
    w.value = given_
    given_[:] = 9
    assert w.value.tolist() == [7] * 3
    assert given_.flags.writeable


# --- depth -----------------------------------------------------------------------------------------------------------


def test_the_order_of_making_is_a_topological_order() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    y = x * 2.0 + x
    gn.grad(y * y, x)
    assert [node.index for node in g] == list(range(len(g)))
    assert all(operand.index < node.index for node in g for operand in node.inputs)
    assert g.dag.number_of_edges() == sum(len(node.inputs) for node in g)
