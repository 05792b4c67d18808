"""Dimensions: sizes by name, in one canonical form, against Python's ints and NumPy's broadcasting."""

import copy
import dataclasses
import json
import math
import operator
import pickle
import random
from collections import Counter
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import graphnn as gn
from graphnn.core import symbolic_shapes as dims
from graphnn.core.polynomials import times

NAMES = ("a", "b", "batch", "n")
Expr = Any  # an int, a name, or (operation, left, right)

OPERATIONS = {
    "+": (dims.add, lambda x, y: x + y),
    "-": (dims.subtract, lambda x, y: x - y),
    "*": (dims.multiply, lambda x, y: x * y),
    "//": (dims.floor_divide, lambda x, y: x // y),
    "min": (dims.minimum, min),
    "max0": (lambda x, y: dims.clamp(dims.subtract(x, y)), lambda x, y: max(x - y, 0)),
}

leaves = st.one_of(st.integers(0, 6), st.sampled_from(NAMES))
expressions = st.recursive(
    leaves, lambda inner: st.tuples(st.sampled_from(sorted(OPERATIONS)), inner, inner), max_leaves=8
)
sizes_of = st.fixed_dictionaries({name: st.integers(0, 7) for name in NAMES})


def built(expression: Expr) -> Any:
    """Return the dimension that the arithmetic under test makes."""
    if not isinstance(expression, tuple):
        return expression
    operation, left, right = expression
    return OPERATIONS[operation][0](built(left), built(right))


def counted(expression: Expr, sizes: dict[str, int]) -> int:
    """Return the value by Python's own ints."""
    if isinstance(expression, tuple):
        operation, left, right = expression
        return OPERATIONS[operation][1](counted(left, sizes), counted(right, sizes))
    return sizes[expression] if isinstance(expression, str) else expression


def divisors(expression: Expr, sizes: dict[str, int]) -> list[int]:
    if not isinstance(expression, tuple):
        return []
    operation, left, right = expression
    inner = [*divisors(left, sizes), *divisors(right, sizes)]
    return [*inner, counted(right, sizes)] if operation == "//" and 0 not in inner else inner


@given(expressions, sizes_of)
def test_arithmetic_is_that_of_pythons_ints(expression: Expr, sizes: dict[str, int]) -> None:
    assume(0 not in divisors(expression, sizes))
    assert dims.size_of(built(expression), sizes) == counted(expression, sizes)


@given(expressions)
def test_the_canonical_text_is_what_its_parsing_gives(expression: Expr) -> None:
    try:
        dim = built(expression)
    except gn.ShapeError:
        assume(False)  # divided by a literal 0
    assume(isinstance(dim, str))
    assert dims.dimension(dim) == dim
    assert dims.names_in((dim,)) <= set(NAMES)


@given(expressions, sizes_of)
def test_an_expression_has_the_value_that_python_gives_it(expression: Expr, sizes: dict[str, int]) -> None:
    assume(0 not in divisors(expression, sizes))
    dim = built(expression)
    assume(isinstance(dim, str))
    try:
        meant = eval(dim, {"max": max}, dict(sizes))  # noqa: S307 - our own text, and Python is the oracle
    except ZeroDivisionError:
        assume(False)
    assert dims.size_of(dim, sizes) == meant


@given(expressions, st.dictionaries(st.sampled_from(NAMES), expressions), sizes_of)
def test_what_is_substituted_has_the_size_that_composed_sizes_give(
    expression: Expr, others: dict[str, Expr], sizes: dict[str, int]
) -> None:
    given_to = sizes | {name: counted_or_skipped(other, sizes) for name, other in others.items()}
    assume(min(given_to.values()) >= 0 and 0 not in divisors(expression, given_to))
    try:
        found = dims.substitute(built(expression), {name: built(other) for name, other in others.items()})
    except gn.ShapeError:  # negative, or divided by a literal 0 that cancels otherwise
        assume(False)
    assert dims.size_of(found, sizes) == counted(expression, given_to)


def counted_or_skipped(expression: Expr, sizes: dict[str, int]) -> int:
    assume(0 not in divisors(expression, sizes))
    return counted(expression, sizes)


@pytest.mark.parametrize(
    ("dim", "sizes", "found"),
    [
        ("a*b", {"a": "b", "b": "a+1"}, "a*b+b"),  # all at once
        ("max(a-1, 0)", {"a": 0}, 0),
        ("max(a-b, 0)", {"b": 0}, "a"),
        ("(a+1)//2", {"a": "2*n+1"}, "n+1"),
        ("a*max(n-1, 0)", {"a": 0}, 0),
        ("m", {"a": 5}, "m"),
        (4, {"a": 5}, 4),
    ],
)
def test_names_are_substituted_all_at_once_and_inside_of_maxima_and_quotients(dim: Any, sizes: Any, found: Any) -> None:
    assert dims.substitute(dim, sizes) == found


def test_what_is_substituted_is_bounded_as_what_is_parsed() -> None:
    with pytest.raises(gn.ShapeError, match="divides by zero"):
        dims.substitute("n//a", {"a": 0})
    with pytest.raises(gn.ShapeError, match="a dimension is 0 or more, not -3"):
        dims.substitute("a-5", {"a": 2})
    with pytest.raises(gn.ShapeError, match="more than"):
        dims.substitute("*".join("a" * 90), {"a": "b+c"})
    deep = dims.dimension("max(" * 60 + "a-b" + "-b, 0)*b" * 60)
    assert "b" not in dims.names_in((dims.substitute(deep, {"b": 2}),))
    with pytest.raises(gn.ShapeError, match="more than 100 parts are nested"):
        dims.substitute(deep, {"a": deep})


terms = st.lists(st.tuples(st.integers(-4, 4), st.lists(st.sampled_from(NAMES), max_size=3)), max_size=5)


def summed(polynomial: list[tuple[int, list[str]]], order: random.Random) -> Any:
    total: Any = 0
    for coefficient, factors in order.sample(polynomial, len(polynomial)):
        term: Any = coefficient
        for factor in order.sample(factors, len(factors)):
            term = dims.multiply(factor, term) if order.random() < 0.5 else dims.multiply(term, factor)
        total = dims.add(term, total) if order.random() < 0.5 else dims.add(total, term)
    return total


def collected(polynomial: list[tuple[int, list[str]]]) -> dict[tuple[str, ...], int]:
    counts: Counter[tuple[str, ...]] = Counter()
    for coefficient, factors in polynomial:
        counts[tuple(sorted(factors))] += coefficient
    return {factors: count for factors, count in counts.items() if count}


@given(terms, terms, st.randoms(use_true_random=False))
def test_polynomials_are_equal_exactly_if_their_texts_are(
    p: list[tuple[int, list[str]]], q: list[tuple[int, list[str]]], order: random.Random
) -> None:
    assert summed(p, order) == summed(p, order)
    assert (summed(p, order) == summed(q, order)) == (collected(p) == collected(q))
    difference = dims.subtract(summed(p, order), summed(p, order))
    assert difference == 0
    assert type(difference) is int


@given(terms, st.integers(-5, 5), st.randoms(use_true_random=False))
def test_a_multiple_divides_to_its_factor_in_whatever_order_it_is_written(
    p: list[tuple[int, list[str]]], factor: int, order: random.Random
) -> None:
    assume(collected(p))
    multiple = [(factor * coefficient, factors) for coefficient, factors in p]
    assert dims.floor_divide(summed(multiple, order), summed(p, order)) == factor
    written, divisor = (
        " + ".join("*".join([f"({n})", *names]) for n, names in order.sample(q, len(q))) for q in (multiple, p)
    )
    assert dims.dimension(f"max(({written})//({divisor}), 0)") == max(factor, 0)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("batch", "batch"),
        (" batch ".strip(), "batch"),
        ("2*batch + batch*2", "4*batch"),
        ("n*batch - batch*n", 0),
        ("3*4", 12),
        ("(batch+1)*(batch-1)", "batch*batch-1"),
        ("(4*batch)//2", "2*batch"),
        ("(2*batch+3)//2", "batch+1"),
        ("(batch*n)//n", "batch"),
        ("(batch+n+1)//2", "(batch+n+1)//2"),
        ("max(batch-1, 0)", "max(batch-1, 0)"),
        ("max(batch+1, 0)", "batch+1"),
        ("max(-batch, 0)", 0),
        ("größe", "größe"),
    ],
)
def test_canonical_form(text: str, canonical: Any) -> None:
    assert dims.dimension(text) == canonical


@pytest.mark.parametrize(
    "text",
    ["", "batch size", "a b", "1.5", "a/b", "a**2", "f(a)", "max(a, 1)", "max", "max(a)", "a if b else c", "[a]", "a.b",
     "lambda: 0", "a[0]", "'a'", "None", "True", "a\nb", "a;b", "__import__('os').system('true')",
     "(" * 1900 + "a" + ")" * 1900, "-" * 3900 + "a"],
)  # fmt: skip
def test_what_is_not_a_dimension_is_refused(text: str) -> None:
    with pytest.raises(gn.ShapeError, match="is not a dimension: give an int, a name") as caught:
        gn.Graph().placeholder("x", shape=(text,))
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (-1, ValueError, "a dimension is 0 or more, not -1"),
        ("2-5", ValueError, "a dimension is 0 or more, not -3"),
        (None, TypeError, "give an unknown size a name, such as 'batch'"),
        (2.0, TypeError, "a dimension is an int or a name, not 2.0"),
        (True, TypeError, "a dimension is an int or a name, not True"),
        ((2, [3]), TypeError, "a dimension is an int or a name"),
        ("a//0", ValueError, "divides by zero"),
    ],
)
def test_what_is_not_a_size_is_refused(value: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        gn.Graph().placeholder("x", shape=value)
    assert isinstance(caught.value, gn.GraphnnError)


def test_a_name_may_be_a_word_of_pythons() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", "class"))
    twice = gn.concatenate([x, x], axis=1)
    assert twice.shape == ("batch", "2*class")
    assert twice[:, 1:].shape == ("batch", "max(2*class-1, 0)")
    assert dims.dimension("class * 2 + class") == "3*class"
    assert dims.dimension("import//lambda") == "import//lambda"
    step = gn.compile(gn.grad(gn.sum(twice**2), x))
    for _ in range(2):
        assert np.array_equal(step({x: np.ones((2, 3))}), np.full((2, 3), 4.0))
    for text in ("class class", "not a", "a if b else c", "lambda a", "True", "class\u01c3", "a\u01c3", "yield a"):
        with pytest.raises(gn.ShapeError, match="is not a dimension"):
            dims.dimension(text)


def test_a_shape_is_an_int_a_name_or_a_sequence() -> None:
    g = gn.Graph()
    assert g.placeholder("a", shape=3).shape == (3,)
    assert g.placeholder("b", shape="batch").shape == ("batch",)
    assert g.placeholder("c", shape=[np.int64(2), "n+n"]).shape == (2, "2*n")
    assert type(g["c"].shape[0]) is int
    assert g.placeholder("d").shape == ()


def test_a_name_without_a_size_is_an_error() -> None:
    with pytest.raises(KeyError, match='nothing gives the dimension "batch" a size') as caught:
        dims.size_of("max(batch-1, 0)", {"n": 1})
    assert isinstance(caught.value, gn.NotFoundError)


def test_a_dimension_that_outgrows_its_use_is_refused() -> None:
    with pytest.raises(gn.ShapeError, match="more than 4000 characters"):
        dims.dimension("a" * 5000)
    with pytest.raises(gn.ShapeError, match="more than 1000 terms"):
        dims.dimension("*".join(f"({'+'.join(x + str(i) for i in range(40))})" for x in "abc"))
    with pytest.raises(gn.ShapeError, match="more than"):
        dims.product([f"a{i}+1" for i in range(20)])


shapes = st.lists(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3), min_size=1, max_size=5)


@given(shapes | hnp.mutually_broadcastable_shapes(num_shapes=4, min_side=0).map(lambda made: list(made.input_shapes)))
def test_ints_broadcast_as_in_numpy(shapes: list[tuple[int, ...]]) -> None:
    try:
        expected = np.broadcast_shapes(*shapes)
    except ValueError:
        assert dims.broadcast(shapes) is None
    else:
        assert dims.broadcast(shapes) == (expected, ())


named_shapes = st.lists(
    st.lists(st.sampled_from([1, 2, 3, "a", "b", "a+1", "2*a"]), max_size=3).map(tuple), min_size=1, max_size=5
)


@given(named_shapes, st.fixed_dictionaries({"a": st.sampled_from([2, 3]), "b": st.sampled_from([0, 2, 3, 4])}))
def test_names_broadcast_where_the_sizes_do(shapes: list[tuple[Any, ...]], sizes: dict[str, int]) -> None:
    # None of the sizes is 1: a name never stands for what is stretched.
    met = dims.broadcast(shapes)
    try:
        expected = np.broadcast_shapes(*[dims.concrete(shape, sizes) for shape in shapes])
    except ValueError:
        holds = met is not None and all(dims.size_of(a, sizes) == dims.size_of(b, sizes) for a, b in met[1])
        assert not holds
    else:
        assert met is not None
        assert all(dims.size_of(a, sizes) == dims.size_of(b, sizes) for a, b in met[1])
        assert dims.concrete(met[0], sizes) == expected


def test_a_name_that_turns_out_to_be_1_is_not_stretched() -> None:
    assert dims.broadcast([("batch", 3), (5, 3)]) == ((5, 3), (("batch", 5),))
    assert dims.broadcast([("batch",), ("n",)]) == (("batch",), (("batch", "n"),))
    assert dims.broadcast([("batch",), (1,)]) == (("batch",), ())


def test_numbers_at_both_ends_do_not_hide_what_is_between() -> None:
    assert dims.broadcast([(), (3,), (3,), ()]) == ((3,), ())
    assert dims.broadcast([(), (3,), (4,), ()]) is None


def test_sizes_that_can_never_be_equal() -> None:
    assert dims.unify("batch", "batch+1") is None
    assert dims.unify(2, 3) is None
    assert dims.unify("batch", "batch") == ("batch", ())
    assert dims.unify("batch", 3) == (3, (("batch", 3),))


def test_messages_show_shapes_without_quotes() -> None:
    assert dims.shown(("batch", 64)) == "(batch, 64)"
    assert dims.shown(("batch",)) == "(batch,)"
    assert dims.shown(()) == "()"


# --- what the shape of a node gives -----------------------------------------------------------------------------


@given(expressions, sizes_of)
def test_the_dimensions_of_a_shape_are_computed_with_as_all_dimensions(expression: Expr, sizes: dict[str, int]) -> None:
    shape = dict(zip(NAMES, gn.Graph().placeholder("x", NAMES).shape, strict=True))

    def computed(part: Expr) -> Any:
        if not isinstance(part, tuple):
            return shape.get(part, part)
        operation, left, right = part
        if operation in ("min", "max0"):
            return dims.as_dimensions((OPERATIONS[operation][0](computed(left), computed(right)),))[0]
        return OPERATIONS[operation][1](computed(left), computed(right))

    try:
        wanted = built(expression)
    except gn.errors.ShapeError:  # a division by 0
        with pytest.raises((gn.errors.ShapeError, ZeroDivisionError)):
            computed(expression)
        return
    except ZeroDivisionError:
        assume(False)
    found = computed(expression)
    assert found == wanted
    assert dims.size_of(found, sizes) == dims.size_of(wanted, sizes)


def test_reshaping_by_the_dimensions_of_a_shape() -> None:
    x = gn.Graph().placeholder("x", ("batch", 3, "time", 4))
    n, three, t, d = x.shape
    given_values = np.arange(2 * 3 * 5 * 4.0).reshape(2, 3, 5, 4)
    for shape, numbers in [
        ((n * three, t * d), (6, 20)),
        ((three * n * t, d), (30, 4)),
        ((n * t, three * 4), (10, 12)),
        ((d * n * t // 2, 6), (20, 6)),
        ((np.int64(3) * n, t + t + 2 * t), (6, 20)),
        ((n, -1), (2, 60)),
    ]:
        np.testing.assert_array_equal(gn.run(gn.reshape(x, shape), {x: given_values}), given_values.reshape(numbers))
    assert gn.run(x[: n - 1], {x: given_values}).shape == (1, 3, 5, 4)
    assert math.prod(x.shape) == "12*batch*time"
    assert sum(x.shape) == "batch+time+7"


def test_a_dimension_of_a_shape_is_its_text() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 64))
    assert x.shape == ("batch", 64)
    assert repr(x.shape) == "('batch', 64)"
    assert {x.shape: 1}["batch", 64] == 1
    assert json.dumps(x.shape) == '["batch", 64]'
    n = x.shape[0]
    assert (f"{n}", hash(n), ["batch"].index(n), operator.mod("%s", n)) == ("batch", hash("batch"), 0, "batch")
    assert copy.deepcopy(n) == pickle.loads(pickle.dumps(n)) == "batch"  # noqa: S301 - made here
    y = gn.reshape(x, (n * 2, 32))
    # What others read is plain text, however it was computed.
    for held in (y.spec.shape, y.op.attributes["shape"], g.dag.nodes[y.name]["shape"]):
        assert held == ("2*batch", 32)
        assert [type(dim) for dim in held] == [str, int]
    assert gn.reshape(x, ("2*batch", 32)).op == y.op


def test_what_a_dimension_cannot_be_added_to_or_divided_by_is_an_error() -> None:
    n, t = gn.Graph().placeholder("x", ("batch", "time")).shape
    for wrong in (lambda: n / 2, lambda: 2 / n, lambda: n / t):
        with pytest.raises(gn.errors.UsageError, match="//"):
            wrong()
    with pytest.raises(TypeError, match="Dimension"):
        n - None
    with pytest.raises(gn.errors.ShapeError, match="divides by zero"):
        n // 0
    with pytest.raises(gn.errors.ShapeError, match="is not a dimension"):
        "n = " + n


@pytest.mark.parametrize(
    ("made", "negative"),
    [
        (lambda x, n: gn.reshape(x, (n - 5, -1)), "n-5 = -3"),
        (lambda x, n: gn.reshape(x, (n * -1, 3)), "-n = -2"),
        (lambda x, n: gn.broadcast_to(x, (n - 7, n, 3)), "n-7 = -5"),
        (lambda x, n: gn.one_hot(gn.argmax(x, axis=1), n - 3), "n-3 = -1"),
    ],
)
@pytest.mark.parametrize("evaluate", [gn.run, lambda fetches, feed: gn.compile(fetches)(feed)])
def test_a_dimension_that_is_negative_in_a_run_names_its_node(made: Any, negative: str, evaluate: Any) -> None:
    x = gn.Graph().placeholder("x", ("n", 3))
    node = made(x, x.shape[0])
    with pytest.raises(gn.ShapeError) as caught:
        evaluate(gn.exp(node), {x: np.ones((2, 3))})
    error = caught.value
    text = str(error)
    assert error.node is node
    assert error.op == node.op.name
    assert error.origin == node.origin
    assert text.startswith(f"{node.op.name}: ")
    assert negative in text
    assert "where n = 2" in text
    assert f'"{node.name}", made at {node.origin}' in text
    assert "dataclasses" not in text
    assert error.origin.file == __file__


def test_dataclasses_replace_is_not_the_users_line() -> None:
    x = gn.Graph().placeholder("x", ("n", 3))
    op = gn.broadcast_to(x, (x.shape[0], 3)).op
    with pytest.raises(gn.ShapeError) as caught:
        dataclasses.replace(op, shape=(-1, 3))  # type: ignore[type-var]
    assert caught.value.origin.file == __file__


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (lambda n, t: n % 2, "batch % 2"),
        (lambda n, t: -n, "-batch"),
        (lambda n, t: +n, "+batch"),
        (lambda n, t: abs(n), "abs(batch)"),
        (lambda n, t: round(n), "round(batch)"),
        (lambda n, t: n**2, "batch ** 2"),
        (lambda n, t: 2**n, "2 ** batch"),
        (lambda n, t: divmod(n, 2), "divmod(batch, 2)"),
        (lambda n, t: n / 2, "batch / 2"),
        (lambda n, t: 2 / n, "2 / batch"),
        (lambda n, t: n * 2.0, "batch * 2.0"),
        (lambda n, t: 0.5 * n, "0.5 * batch"),
        (lambda n, t: n + True, "batch + True"),
        (lambda n, t: n * np.float32(2), "batch * "),
        (lambda n, t: np.float64(2) * n, " * batch"),
        (lambda n, t: n > 3, "batch > 3"),
        (lambda n, t: operator.gt(3, n), "batch < 3"),
        (lambda n, t: n <= t, "batch <= time"),
        (lambda n, t: n >= "time", "batch >= 'time'"),
        (lambda n, t: max(n, 2), "batch < 2"),
        (lambda n, t: sorted([n, t]), "time < batch"),
        (lambda n, t: int(n), "int(batch)"),
        (lambda n, t: float(n), "float(batch)"),
        (lambda n, t: range(n), "batch in the place of an int"),
    ],
)
def test_an_operator_that_a_dimension_lacks_is_an_error_that_shows_it(asked: Any, said: str) -> None:
    n, t = gn.Graph().placeholder("x", ("batch", "time")).shape
    with pytest.raises(gn.UsageError, match=r"a dimension is a number only in a run; .* \+, -, \* and //") as caught:
        asked(n, t)
    assert said in str(caught.value).partition(": a dimension")[0]


@pytest.mark.parametrize(
    "asked",
    [
        lambda x, n: gn.sum(x) / n,
        lambda x, n: x * n,
        lambda x, n: n * x,
        lambda x, n: n - x,
        lambda x, n: n / x,
        lambda x, n: x // n,
        lambda x, n: n**x,
        lambda x, n: n > x,
        lambda x, n: gn.maximum(x, n),
        lambda x, n: gn.add(x, [n]),
        lambda x, n: x.graph.constant(n),
    ],
)
def test_a_dimension_is_not_an_operand_and_the_error_says_what_to_write(asked: Any) -> None:
    x = gn.Graph().placeholder("x", ("n", 3))
    with pytest.raises(gn.UsageError, match=r'the dimension "n", which is a number only in a run: write gn\.mean'):
        asked(x, x.shape[0])
    value = np.arange(6.0).reshape(2, 3)
    assert gn.run(gn.sum(gn.ones_like(x), 0), {x: value}).tolist() == [2, 2, 2]  # as it advises


def test_a_product_of_too_many_terms_is_not_multiplied_out() -> None:
    x, y = ({(f"{letter}{i}",): 1 for i in range(300)} for letter in "xy")
    assert len(times(x, y)) == 300 * 300
    assert 1000 < len(times(x, y, 1000)) <= 1000 + 300
    ones = {(): 1, ("x0",): 1}, {(): 1, ("x0",): -1}
    assert times(*ones, 2) == {(): 1, ("x0", "x0"): -1}  # a term that vanishes does not count
