"""What the user gets for bad input: of each decision the error's class and the words that matter."""

import re
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import Op, Spec, nn
from graphnn.core import op as op_module
from graphnn.core import registry

LINE = r"test_decisions\.py:\d+"


@contextmanager
def refused(error: type[Exception], *words: str) -> Iterator[Any]:
    """Expect an error of that builtin class that is graphnn's own and has these words, in this order."""
    with pytest.raises(error, match="(?s)" + ".*".join(words)) as caught:
        yield caught
    assert isinstance(caught.value, gn.GraphnnError)


@pytest.fixture
def spy() -> Iterator[Any]:
    """Yield ``spy(x)``, a node that notes in ``spy.log`` that it was evaluated; it has no gradient."""
    log: list[str] = []

    class Spied(Op):
        def infer(self, x: Spec) -> Spec:
            return x

        def forward(self, x: Any, out: Any = None) -> Any:
            log.append("evaluated")
            return x

    def make(x: gn.Node, name: str | None = None) -> gn.Node:
        return Spied()(x, name=name)

    make.log = log  # type: ignore[attr-defined]
    yield make
    del registry["spied"]
    op_module._functions.pop("spied", None)


# --- graph ---------------------------------------------------------------------------------------------------------


def test_a_cycle() -> None:
    dag = gn.Graph().dag.copy()
    dag.add_node("x", op="placeholder", shape=())
    for name, operands in {"a": "xc", "b": "a", "c": "b", "d": "c"}.items():
        dag.add_node(name, op="add" if len(operands) == 2 else "negative")
        dag.add_edges_from((operand, name, i) for i, operand in enumerate(operands))
    with refused(ValueError, r"cycle: (a → b → c → a|b → c → a → b|c → a → b → c)", f"at {LINE}"):
        gn.Graph.from_networkx(dag)


def test_a_name_taken() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    with refused(ValueError, f'the name "x" is already taken by the placeholder made at {x.origin}', f"at {LINE}"):
        gn.exp(x, name="x")


ELSEWHERE: dict[str, Callable[[gn.Node, gn.Node], Any]] = {
    "an operator": lambda x, other: x + other,
    "an operator, the other way": lambda x, other: other * x,
    "a function": lambda x, other: gn.where(x > 0, x, other),
    "many operands": lambda x, other: gn.stack([x, other]),
    "an output": lambda x, other: x.graph.outputs.__setitem__("loss", other),
    "an update": lambda x, other: x.graph.updates.__setitem__(x.graph["w"], other),
    "fetches": lambda x, other: gn.run([x, other], {x: 1.0}),
    "a schedule": lambda x, other: gn.schedule([x, other]),
    "a feed": lambda x, other: gn.run(x, {x: 1.0, other: 1.0}),
    "steps": lambda x, other: gn.steps(x, {other: 1.0}),
    "extract": lambda x, other: gn.extract([x, other]),
    "what is replaced": lambda x, other: gn.replace(x, {other: x}),
    "what replaces it": lambda x, other: gn.replace(x, {x: other}),
    "grad": lambda x, other: gn.grad(x, other),
    "vjp": lambda x, other: gn.vjp({x: other}, x),
    "compile": lambda x, other: gn.compile([x, other]),
}


@pytest.mark.parametrize("use", ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_a_node_of_another_graph(use: Callable[[gn.Node, gn.Node], Any]) -> None:
    g, other = gn.Graph("here"), gn.Graph("there")
    x, y = g.placeholder("x"), other.placeholder("y")
    g.parameter("w", 1.0)
    with refused(ValueError, "") as caught:
        use(x, y)
    assert '"here"' in str(caught.value)
    assert '"there"' in str(caught.value)


def test_a_missing_feed() -> None:
    g = gn.Graph()
    x, y, z = g.placeholder("x", shape=("batch", 2)), g.placeholder("y", dtype=np.int32), g.placeholder("z")
    node = gn.sum(x) * y + z
    words = (r'the feed lacks "x" \(batch, 2\) float64, "z" \(\) float64; they are needed for "add"', f"at {LINE}")
    with refused(KeyError, *words):
        gn.run(node, {y: 1})
    with refused(KeyError, r'the feed lacks "z" \(\) float64; it is needed for "add"'):
        gn.run(node, {x: np.ones((1, 2)), y: 1})
    with refused(KeyError, 'the feed lacks "x"', '"y"', '"z"'):
        gn.run(node)


def test_an_unknown_feed() -> None:
    g = gn.Graph("net")
    x, labels = g.placeholder("x"), g.placeholder("labels")
    y = x + labels
    g.outputs["loss"] = y
    with g.scope("head"):
        gn.exp(x)
    feed = {"x": 1.0, "labels": 2.0}
    with refused(KeyError, r'the feed names "lables", which is not a placeholder of "net"\. Did you mean "labels"\?'):
        gn.run(y, {"x": 1.0, "lables": 2.0})
    for name, what in (("add", r'"add" \(add\)'), ("loss", r'"add" \(add\)'), ("head", r'"head/exp" \(exp\)')):
        with refused(KeyError, f"{what} is not a placeholder, and only placeholders are fed; gn.extract"):
            gn.run(y, {**feed, name: 1.0})
    with refused(KeyError, '"x" is fed twice, as a node and by name'):
        gn.run(y, {x: 1.0, "x": 1.0, labels: 2.0})
    with refused(TypeError, "a feed's keys are placeholders or their names, not int"):
        gn.run(y, {**feed, 3: 1.0})
    for bad in ([1.0], np.ones(3), 5, "x"):
        with refused(TypeError, "a feed is a dict {placeholder: array}, not"):
            gn.run(y, bad)


def test_a_fetch_that_is_no_node() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    for fetch in (None, 3, np.ones(2), [x, 3], {"a": x, "b": 2.5}, object(), [g]):
        for ask in (gn.run, gn.steps, gn.schedule, gn.extract):
            with refused(TypeError, "a fetch is a node or its name", f"at {LINE}"):
                ask(fetch, {x: 1.0}) if ask in (gn.run, gn.steps) else ask(fetch)
    with refused(TypeError, "'x' is a name, and no graph is known: give a node, or graph="):
        gn.run("x", {"x": 1.0})
    with refused(TypeError, "got an empty form"):
        gn.run([])
    with refused(KeyError, 'no node, scope or output "lost"'):
        gn.run("lost", {x: 1.0})


def test_a_gradient_that_cannot_be(spy: Any) -> None:
    g = gn.Graph()
    x, i = g.placeholder("x", shape=("batch", 3)), g.placeholder("i", shape=3, dtype=np.int64)
    with refused(ValueError, r'grad needs a scalar, and "x" has shape \(batch, 3\)', r"gn\.sum", r"gn\.vjp"):
        gn.grad(x, x)
    for wrt in (i, i > 0):
        with refused(TypeError, f'"{wrt.name}", is (int64|bool); only floats have gradients'):
            gn.grad(gn.sum(x * i), wrt)
    w = g.parameter("w", [1.0, 2.0])
    with pytest.warns(gn.GraphnnWarning, match='no derivative passes between "w" and "sum.*"; it is zeros'):
        zeros = gn.grad(gn.sum(x), w)
    assert gn.run(zeros).tolist() == [0, 0]
    culprit = spy(x, name="culprit")
    with refused(NotImplementedError, '"spied" has no gradient rule', f'"culprit" .*made at {culprit.origin}'):
        gn.grad(gn.sum(culprit), x)


def test_a_truth_value() -> None:
    x = gn.Graph().placeholder("x")
    for ask in (bool, lambda x: 1 if x > 0 else 2, lambda x: x and x, lambda x: not x, lambda x: 0 < x < 1):
        with refused(TypeError, "has no truth value before it is run", r"gn\.where", r"gn\.run", f"at {LINE}"):
            ask(x)


# --- shapes --------------------------------------------------------------------------------------------------------

MISFITS: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]], type[Exception], str]] = {
    "matmul": (
        lambda a, b: a @ b,
        [(2, 3), (2, 4)],
        ValueError,
        "matmul cannot multiply (2, 3) by (2, 4): axis 1 of operand 0 is 3, axis 0 of operand 1 is 2",
    ),
    "matmul of vectors": (
        lambda a, b: a @ b,
        [(3,), (4,)],
        ValueError,
        "matmul cannot multiply (3,) by (4,): axis 0 of operand 0 is 3, axis 0 of operand 1 is 4",
    ),
    "batches of matmul": (
        lambda a, b: a @ b,
        [(2, 3, 4), (5, 4, 6)],
        ValueError,
        "matmul cannot multiply (2, 3, 4) by (5, 4, 6): axis 0 of operand 0 is 2, axis 0 of operand 1 is 5",
    ),
    "broadcasting": (
        lambda a, b: a + b,
        [(2, 3), (4,)],
        ValueError,
        "add cannot broadcast (2, 3) with (4,): axis 1 of operand 0 is 3, axis 0 of operand 1 is 4",
    ),
    "broadcasting three": (
        lambda a, b, c: gn.where(a > 0, b, c),
        [(2, 3), (1,), (5, 3)],
        ValueError,
        "where cannot broadcast (2, 3) with (1,) with (5, 3): axis 0 of operand 0 is 2, axis 0 of operand 2 is 5",
    ),
    "reshape": (
        lambda a: gn.reshape(a, (4, 2)),
        [(2, 3)],
        ValueError,
        "reshape cannot turn (2, 3), which has 6 elements, into (4, 2), which has 8",
    ),
    "broadcast_to": (
        lambda a: gn.broadcast_to(a, (4, 3)),
        [(2, 3)],
        ValueError,
        "broadcast_to cannot stretch (2, 3) to (4, 3): axis 0 is 2, and axis 0 is to be 4",
    ),
    "concatenation": (
        lambda a, b: gn.concatenate([a, b], axis=0),
        [(2, 3), (2, 4)],
        ValueError,
        "concatenate along axis 0 cannot join (2, 3) and (2, 4): axis 1 of operand 0 is 3, axis 1 of operand 1 is 4",
    ),
    "stack": (
        lambda a, b: gn.stack([a, b]),
        [(2, 3), (2, 4)],
        ValueError,
        "stack takes operands of one shape, got (2, 3) and (2, 4): axis 1 of operand 0 is 3, axis 1 of operand 1 is 4",
    ),
    "squeeze": (
        lambda a: gn.squeeze(a, 0),
        [(2, 3)],
        ValueError,
        "squeeze cannot take axis 0 out of (2, 3): its size is 2, not 1",
    ),
    "einsum": (
        lambda a, b: gn.einsum("ij,jk->ik", a, b),
        [(2, 3), (4, 5)],
        ValueError,
        'einsum: "j" of "ij,jk->ik" has two sizes: axis 1 of operand 0 is 3, axis 0 of operand 1 is 4',
    ),
    "max of nothing": (
        lambda a: gn.max(a, axis=0),
        [(0, 3)],
        ValueError,
        "max of nothing has no value: the operand has shape (0, 3)",
    ),
    "argmin of nothing": (
        lambda a: gn.argmin(a),
        [(0, 3)],
        ValueError,
        "argmin of nothing has no value: the operand has shape (0, 3)",
    ),
    "an index": (
        lambda a: a[1, 3],
        [(2, 3)],
        IndexError,
        "getitem: index 3 is out of range for axis 1 of size 3: valid are -3 to 2",
    ),
}


@pytest.mark.parametrize(("make", "shapes", "error", "words"), MISFITS.values(), ids=MISFITS.keys())
def test_misfits_are_told_in_the_same_words_early_and_late(
    make: Callable[..., Any], shapes: list[tuple[int, ...]], error: type[Exception], words: str
) -> None:
    # Sizes that are known then: on the line that is written.
    g = gn.Graph()
    nodes = [g.placeholder("abc"[i], shape=shape) for i, shape in enumerate(shapes)]
    with refused(error, re.escape(words)) as early:
        make(*nodes)
    written = f"test_decisions.py:{make.__code__.co_firstlineno}"
    assert str(early.value).endswith(f"\n  at {written}")
    # Sizes by name: when values arrive, before anything is computed where only the sizes matter.
    g = gn.Graph()
    nodes = [
        g.placeholder("abc"[i], shape=[dim if dim == 1 else f"{'abc'[i]}{k}" for k, dim in enumerate(shape)])
        for i, shape in enumerate(shapes)
    ]
    made = make(*nodes)
    feed = {node: np.zeros(shape) for node, shape in zip(nodes, shapes, strict=True)}
    with refused(error, re.escape(words)) as late:
        gn.run(made, feed)
    assert type(late.value) is type(early.value)
    assert written in str(late.value)
    assert made.name in str(late.value)


NEVER: dict[str, tuple[Callable[[gn.Node], Any], type[Exception], str]] = {
    "two -1": (lambda x: gn.reshape(x, (-1, -1)), ValueError, "only one dimension can be -1, not 2 as in (-1, -1)"),
    "-1 of no multiple": (
        lambda x: gn.reshape(x, (4, -1)),
        ValueError,
        "reshape cannot turn (2, 3) into (4, -1): its 6 elements are not a multiple of 4",
    ),
    "an axis": (
        lambda x: gn.sum(x, axis=2),
        IndexError,
        "sum: axis 2 is out of range for an array of 2 axes: valid are -2 to 1",
    ),
    "a negative axis": (
        lambda x: gn.softmax(x, axis=-3),
        IndexError,
        "axis -3 is out of range for an array of 2 axes: valid are -2 to 1",
    ),
    "an axis of what has none": (
        lambda x: gn.sum(x[0, 0], axis=0),
        IndexError,
        "sum: axis 0 is out of range for an array of 0 axes: it has none",
    ),
    "an axis to concatenate along": (
        lambda x: gn.concatenate([x, x], axis=2),
        IndexError,
        "concatenate: axis 2 is out of range",
    ),
    "an axis twice": (lambda x: gn.sum(x, axis=(0, -2)), ValueError, "sum: an axis is named twice in (0, -2)"),
    "an axis twice to transpose": (lambda x: gn.transpose(x, (0, 0)), ValueError, "an axis is named twice in (0, 0)"),
    "an axis that is no int": (
        lambda x: gn.sum(x, axis=1.0),
        TypeError,
        "sum: axis is an int, a tuple of ints or None",
    ),
    "concatenation of other axes": (
        lambda x: gn.concatenate([x, x[0]]),
        ValueError,
        "concatenate cannot join (2, 3) and (3,): the numbers of axes differ",
    ),
    "matmul of a number": (
        lambda x: x @ 2.0,
        ValueError,
        "matmul cannot multiply (2, 3) by (): for a number there is multiply",
    ),
    "too many indices": (lambda x: x[0, 0, 0], IndexError, "getitem: 3 indices are too many for shape (2, 3)"),
    "a split": (
        lambda x: gn.split(x, 2, axis=1),
        ValueError,
        "split: axis 1 of (2, 3) does not divide into 2 equal parts",
    ),
}


@pytest.mark.parametrize(("make", "error", "words"), NEVER.values(), ids=NEVER.keys())
def test_misfits_that_no_size_can_mend(make: Callable[[gn.Node], Any], error: type[Exception], words: str) -> None:
    x = gn.Graph().placeholder("x", shape=(2, 3))
    with refused(error, re.escape(words), re.escape(f"at test_decisions.py:{make.__code__.co_firstlineno}")):
        make(x)


def test_a_misfit_shows_each_operand_and_where_it_was_made() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", shape=("batch", 3)), g.parameter("w", np.ones((2, 4)))
    line = x.origin.line
    with refused(ValueError, "matmul cannot multiply") as caught:
        x @ w
    assert str(caught.value) == (
        "matmul cannot multiply (batch, 3) by (2, 4): axis 1 of operand 0 is 3, axis 0 of operand 1 is 2\n"
        f'  operand 0: "x" (batch, 3) float64, a placeholder made at test_decisions.py:{line}\n'
        f'  operand 1: "w" (2, 4) float64, a parameter made at test_decisions.py:{line}\n'
        f"  at test_decisions.py:{line + 3}"
    )


CLASHES: dict[str, tuple[Callable[[gn.Node, gn.Node, gn.Node], Any], str, tuple[str, str]]] = {
    "an elementwise loss": (
        lambda x, y, _: nn.mean_squared_error(x, y),
        "mean_squared_error compares element by element and broadcasts nothing, got predictions (batch, 4) and "
        "targets (batch, 3): axis 1 of operand 0 is 4, axis 1 of operand 1 is 3",
        ("x", "y"),
    ),
    "by keyword, the other way round": (
        lambda x, y, _: nn.binary_crossentropy(labels=y, probabilities=x),
        "binary_crossentropy compares element by element and broadcasts nothing, got probabilities (batch, 4) and "
        "labels (batch, 3): axis 1 of operand 0 is 4, axis 1 of operand 1 is 3",
        ("x", "y"),
    ),
    "other numbers of axes": (
        lambda x, y, n: nn.sigmoid_crossentropy(x, n),
        "sigmoid_crossentropy compares element by element and broadcasts nothing, got logits (batch, 4) and labels "
        "(batch,): the numbers of axes differ",
        ("x", "n"),
    ),
    "a loss of classes": (
        lambda x, y, _: nn.softmax_crossentropy(x, y),
        "softmax_crossentropy: labels for (batch, 4) are class numbers of shape (batch,) or one-hot rows of shape "
        "(batch, 4); got shape (batch, 3): axis 1 of operand 0 is 4, axis 1 of operand 1 is 3",
        ("x", "y"),
    ),
    "a dtype": (
        lambda x, y, n: nn.categorical_crossentropy(x, gn.cast(n, "float64", name="f")),
        "categorical_crossentropy: labels of shape (batch,) are class numbers, and so integers, not float64; "
        "gn.cast(labels, 'int64') makes them so",
        ("x", "f"),
    ),
    "a metric": (
        lambda x, y, _: nn.accuracy(x, y),
        "accuracy: labels for predictions of shape (batch, 4) are class numbers of shape (batch,) or one-hot rows of "
        "shape (batch, 4); got shape (batch, 3): axis 1 of operand 0 is 4, axis 1 of operand 1 is 3",
        ("x", "y"),
    ),
    "a metric's number of classes": (
        lambda x, y, n: nn.confusion_matrix(x, n, classes=5),
        "confusion_matrix: classes=5, but the operands are of 4 classes",
        ("x", "n"),
    ),
    "a layer": (
        lambda x, y, _: nn.Flatten()(gn.sum(x)),
        'Flatten keeps the first axis, but "sum" has no axis',
        ("sum",),
    ),
    "an optimizer": (
        lambda x, y, _: nn.SGD(x).updates(gn.sum(x.graph.parameter("w", [1.0]))),
        'SGD: a learning rate is a scalar, and "x" has shape (batch, 4)',
        ("x",),
    ),
}


@pytest.mark.parametrize(("make", "words", "names"), CLASHES.values(), ids=CLASHES.keys())
def test_what_losses_metrics_and_layers_refuse_shows_each_operand(
    make: Callable[..., Any], words: str, names: tuple[str, ...]
) -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", shape=("batch", 4)), g.placeholder("y", shape=("batch", 3))
    n = g.placeholder("n", shape=("batch",), dtype=np.int64)
    with refused(Exception, "") as caught:
        make(x, y, n)
    first, *operands, at = str(caught.value).split("\n")
    assert first == words
    assert [line.partition(" made at ")[0] for line in operands] == [
        f'  operand {i}: "{name}" {g[name].spec}, a {g[name].op.name}' for i, name in enumerate(names)
    ]
    assert [line.partition(" made at ")[2] for line in operands] == [str(g[name].origin) for name in names]
    assert re.fullmatch(f"  at {LINE}", at)
    assert caught.value.stopped.operands == tuple(g[name] for name in names)
    assert set(g.scopes) <= {"grad"}  # a name that was refused is free again


def test_an_array_that_is_refused_is_shown_at_its_place() -> None:
    x = gn.Graph().placeholder("x", shape=("batch", 4))
    for operands in ((np.ones((2, 3)), x), (x, np.ones((2, 3)))):
        with refused(ValueError, "axis 1 of operand 0 is [34], axis 1 of operand 1 is [34]") as caught:
            nn.mean_absolute_error(*operands)
        lines = str(caught.value).split("\n")[1:3]
        place = 0 if operands[1] is x else 1
        assert lines[place] == f"  operand {place}: an array (2, 3) float64"
        assert lines[1 - place].startswith(f'  operand {1 - place}: "x" (batch, 4) float64, a placeholder made at')


def test_a_weight_that_does_not_fit_tells_where_it_was_given() -> None:
    x = gn.Graph().placeholder("x", shape=("batch", 4))
    layer = nn.Dense(3, weight=np.ones((5, 3), np.float32))
    with refused(ValueError, "") as caught:
        nn.Sequential(nn.ReLU(), layer)(x)
    line = x.origin.line
    assert str(caught.value) == (
        f"Dense was given a weight (5, 3) float32 at test_decisions.py:{line + 1}, and so takes 5 inputs: "
        "axis 1 of operand 0 is 4, axis 0 of the weight is 5\n"
        f'  operand 0: "relu_1" (batch, 4) float64, a relu made at test_decisions.py:{line + 3}\n'
        f"  at test_decisions.py:{line + 3}"
    )


def test_a_layer_of_the_users_own_refuses_as_ours_do() -> None:
    class Rows(nn.Layer):
        def call(self, x: gn.Node) -> gn.Node:
            raise gn.ShapeError("the rows are of 3")

    x = gn.Graph().placeholder("x", shape=("batch", 4))
    with refused(ValueError, "^Rows: the rows are of 3\n", r'operand 0: "x" \(batch, 4\) float64') as caught:
        nn.Sequential(Rows())(x)
    assert str(caught.value).count("operand") == 1


def test_a_feed_against_its_declared_shape() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 2))
    for shape in ((2,), (2, 3), (1, 2, 2), ()):
        with refused(
            ValueError,
            re.escape(f'the feed of "x" has shape {shape}; expected (batch, 2)'),
            f"as declared at {LINE}",
            f"at {LINE}",
        ):
            gn.run(x, {x: np.zeros(shape)})


def test_two_feeds_that_disagree_about_a_size(spy: Any) -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", shape=("batch", 2)), g.placeholder("y", shape=("batch",))
    node = spy(gn.sum(x)) + gn.sum(y)
    with refused(ValueError, 'the feed of "y" has batch = 1', r"\(1,\) for \(batch,\)", '"x" has batch = 5'):
        gn.run(node, {x: np.zeros((5, 2)), y: [1.0]})
    with refused(ValueError, 'the feed of "x" has batch = 5', "sizes= has batch = 3"):
        gn.run(node, {x: np.zeros((5, 2)), y: [1.0]}, sizes={"batch": 3})
    assert spy.log == []


@pytest.mark.parametrize("size", [1, 4, 0, 6])
def test_a_batch_of_1_where_5_was_meant_is_refused_before_anything_is_computed(spy: Any, size: int) -> None:
    g = gn.Graph()
    x, table = g.placeholder("x", shape=("batch", 3)), g.constant(np.ones((5, 3)), name="table")
    first = spy(x)
    total = gn.sum(first * table)  # NumPy would stretch the 1 silently
    assert (first * table).shape == (5, 3)
    for ask in (gn.run, lambda *a: list(gn.steps(*a)), lambda fetch, feed: gn.compile(fetch)(feed)):
        with refused(
            ValueError,
            f"batch = {size} meets 5, and they must be equal",
            rf'operand 0: "spied" \(batch, 3\) = \({size}, 3\) in this run',
            r'operand 1: "table" \(5, 3\)',
            f'in "multiply", made at {LINE}; nothing was computed',
            f"at {LINE}",
        ):
            ask(total, {x: np.ones((size, 3))})
    assert spy.log == []
    assert gn.run(total, {x: np.ones((5, 3))}) == 15
    assert spy.log == ["evaluated"]
    # Only what is scheduled is checked.
    assert gn.run(first, {x: np.ones((1, 3))}).shape == (1, 3)


def test_two_names_that_turn_out_to_differ(spy: Any) -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", shape=("m", 2)), g.placeholder("y", shape=("n", 2))
    node = spy(x) + y
    assert gn.run(node, {x: np.ones((3, 2)), y: np.ones((3, 2))}).shape == (3, 2)
    for m, n in ((1, 5), (5, 1), (2, 3)):
        with refused(ValueError, f"m = {m} meets n = {n}, and they must be equal"):
            gn.run(node, {x: np.ones((m, 2)), y: np.ones((n, 2))})
    assert spy.log == ["evaluated"]


def test_a_name_that_nothing_binds() -> None:
    g = gn.Graph()
    node = gn.zeros(("batch", 3), graph=g)
    with refused(KeyError, 'nothing gives the dimension "batch" a size: feed a placeholder', r'sizes=\{"batch": …\}'):
        gn.run(node)
    assert gn.run(node, sizes={"batch": 300}).shape == (300, 3)
    for sizes, error, words in (
        ({"batch": -1}, ValueError, "a dimension is 0 or more, not -1"),
        ({"batch": 2.5}, TypeError, "a dimension is an int or a name, not 2.5"),
        ({"batch": "n"}, TypeError, "sizes are given as {name of a dimension: size}"),
        ({3: 3}, TypeError, "sizes are given as {name of a dimension: size}"),
        ([3], TypeError, "sizes are a dict"),
    ):
        with refused(error, words):
            gn.run(node, sizes=sizes)


def test_empty_batches() -> None:
    x = gn.Graph().placeholder("x", shape=("batch", 3))
    empty = {x: np.zeros((0, 3))}
    assert gn.run(gn.sum(x), empty) == 0
    assert gn.run(gn.exp(x), empty).shape == (0, 3)
    with pytest.warns(gn.GraphnnWarning, match=r"mean of nothing: the operand has shape \(0, 3\)"):
        assert np.isnan(gn.run(gn.mean(x), empty))
    with refused(ValueError, "max of nothing has no value"):
        gn.run(gn.max(x), empty)


def test_a_value_beyond_the_memory_budget(spy: Any) -> None:
    g = gn.Graph()
    ones = spy(gn.zeros((2**20,), graph=g)) + 1.0
    node = gn.sum(gn.outer(ones, ones))
    tracemalloc.start()
    with refused(
        MemoryError,
        rf'"outer" \(outer \(1048576, 1048576\) float64, made at {LINE}\) would take 8,796,093,022,208 bytes',
        "the budget is",
        "Nothing was computed",
        f"at {LINE}",
    ):
        gn.run(node)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * 2**20
    assert spy.log == []


def test_the_memory_budget_may_be_set(spy: Any) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch",))
    node = gn.sum(spy(x) * 2.0)
    g.memory_budget = 8_000
    assert gn.run(node, {x: np.ones(1_000)}) == 2_000
    with refused(MemoryError, "would take 8,008 bytes; the budget is 8,000"):
        gn.run(node, {x: np.ones(1_001)})
    with refused(MemoryError, "the budget is 8,000"):  # nothing is copied first
        gn.run(node, {x: np.broadcast_to(1.0, 2**50)})
    assert spy.log == ["evaluated"]
    g.memory_budget = None
    assert gn.run(node, {x: np.ones(1_001)}) == 2_002


def test_a_ragged_list() -> None:
    x = gn.Graph().placeholder("x", shape=("batch", 2))
    with refused(ValueError, 'the feed of "x": the list is ragged, its rows differ in length'):
        gn.run(x, {x: [[1.0, 2.0], [3.0]]})


# --- dtypes --------------------------------------------------------------------------------------------------------

NO_VALUES: dict[str, tuple[Any, str]] = {
    "objects": (np.array([object(), None]), r"is of dtype object \(object\)"),
    "None": (None, r"is of dtype object \(NoneType\)"),
    "no objects": (np.array([], object), "is of dtype object;"),
    "text": (["a", "b"], "is of dtype <U1"),
    "bytes": ([b"a", b"b"], r"is of dtype \|S1"),
    "dates": (np.array(["2020-01-01", "2020-01-02"], "M8[D]"), r"is of dtype datetime64\[D\]"),
    "durations": (np.array([1, 2], "m8[s]"), r"is of dtype timedelta64\[s\]"),
    "complex": ([1j, 2j], "is of dtype complex128"),
    "records": (np.zeros(2, [("a", int)]), "is of dtype"),
    "long doubles": (np.ones(2, np.longdouble), "is of dtype"),
    "a masked array": (np.ma.masked_array([1, 2], [0, 1]), "a masked array's mask would be lost; fill it first"),
    "a masked number": ([np.ma.masked_array(1, 1), 2], "a masked array's mask would be lost"),
    "masked rows": ([[[np.ma.masked_array([1, 2], [1, 0])]]], "a masked array's mask would be lost"),
    "a generator": ((i for i in (1, 2)), r"is of dtype object \(generator\)"),
    "a set": ({1, 2}, "is of dtype object"),
}


@pytest.mark.parametrize(("value", "words"), NO_VALUES.values(), ids=NO_VALUES.keys())
@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_feeds_that_are_no_numbers(value: Any, words: str, dtype: str) -> None:
    x = gn.Graph().placeholder("x", shape=("batch",), dtype=dtype)
    with refused(TypeError, f'the feed of "x":? ?{words}', f"at {LINE}"):
        gn.run(x, {x: value})


def test_a_node_is_no_feed() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x"), g.parameter("w", 1.0)
    with refused(TypeError, 'the feed of "x": "w" is a node, not an array'):
        gn.run(x, {x: w})


KINDS = ["bool", "int8", "int64", "uint8", "uint64", "float16", "float32", "float64"]


@pytest.mark.parametrize("given", KINDS)
@pytest.mark.parametrize("declared", KINDS)
def test_a_feed_is_cast_where_numpy_calls_it_the_same_kind(given: str, declared: str) -> None:
    x = gn.Graph().placeholder("x", shape=2, dtype=declared)
    array = np.array([1, 0], given)
    if np.can_cast(given, declared, "same_kind"):
        value = gn.run(x, {x: array})
        assert (value.dtype, value.tolist()) == (np.dtype(declared), [1, 0])
    else:
        with refused(
            TypeError,
            f'the feed of "x" is {given}, and the placeholder is {declared}',
            rf"array\.astype\('{declared}'\)",
        ):
            gn.run(x, {x: array})


def test_labels_are_never_wrapped() -> None:
    labels = gn.Graph().placeholder("labels", shape=("batch",), dtype=np.int64)
    rows = gn.one_hot(labels, 3)
    assert gn.run(rows, {labels: [2, 0]}).tolist() == [[0, 0, 1], [1, 0, 0]]
    for value, words in ((-1, "is below 0"), (3, "is not below the number of classes, 3"), (2**40, "is not below")):
        with refused(IndexError, 'while evaluating "one_hot"', rf"label {value} at index \(2,\) {words}") as caught:
            gn.run(rows, {labels: [0, 1, value]})
        assert isinstance(caught.value, gn.LabelError)


def test_integers_that_have_no_result() -> None:
    g = gn.Graph()
    i, j = g.placeholder("i", shape=3, dtype=np.int64), g.placeholder("j", shape=3, dtype=np.int64)
    feed = {i: [4, 5, 6], j: [1, 0, -2]}
    with refused(ValueError, f'while evaluating "power" .*made at {LINE}', "an integer to a negative integer power"):
        gn.run(i**j, feed)
    with refused(ValueError, "an integer to a negative integer power"):
        gn.run(i**-1, feed)
    for node in (i // j, i % j):
        with refused(ZeroDivisionError, f'while evaluating "{node.name}"', r"stands at index \(1,\) of operand 1"):
            gn.run(node, feed)
    assert gn.run(i / j, feed)[1] == np.inf
    assert np.isnan(gn.run(gn.cast(i, float) % j, feed)[1])


def overflowing(g: gn.Graph) -> dict[str, gn.Node]:
    x = g.placeholder("x", shape=(2, 2), dtype=np.float16)
    return {
        "multiply": x * x,
        "exp": gn.exp(x),
        "matmul": x @ x,
        "einsum": gn.einsum("ij,jk->ik", x, x),
        "sum": gn.sum(x * 150),
        "cast": gn.cast(gn.cast(x, float) * 1e5, np.float16),
    }


@pytest.mark.parametrize("name", ["multiply", "exp", "matmul", "einsum", "sum", "cast"])
def test_an_overflow_of_float16_warns_once_a_node(name: str) -> None:
    g = gn.Graph(dtype=np.float16)
    node = overflowing(g)[name]
    small, large = {"x": np.full((2, 2), 0.5)}, {"x": np.full((2, 2), 300.0)}
    assert np.isfinite(gn.run(node, small)).all()
    with pytest.warns(gn.GraphnnWarning) as caught:
        assert np.isinf(gn.run(node, large)).all()
    (warning,) = caught
    assert re.search(rf'"{node.name}" \({node.op.name}, made at {LINE}\) overflows float16', str(warning.message))
    gn.run(node, large)  # not again
    again = node + 0
    gn.run(again, large)  # nor where the operand was infinite already


def test_what_is_infinite_in_any_dtype_is_no_overflow_of_float16() -> None:
    x = gn.Graph(dtype=np.float16).placeholder("x")
    for node in (gn.log(x), 1 / x, gn.reciprocal(x), x**-1, x + np.float16(np.inf)):
        assert np.isinf(gn.run(node, {x: 0.0}))


@pytest.mark.parametrize(
    ("dtype", "large", "most"),
    [("float16", 1e6, "65504"), ("float16", 70_000, "65504"), ("float32", [[1.0, -1e39, np.inf]], r"3.4028e\+38")],
)
def test_a_feed_that_overflows_warns_once_too(dtype: str, large: Any, most: str) -> None:
    x = gn.Graph(dtype=dtype).placeholder("x", np.shape(large))
    step = gn.compile(x)
    told = rf'"x" \(placeholder, made at .*\) overflows {dtype}, whose largest number is {most}'
    step({x: np.full(x.shape, np.inf)})
    step({x: np.full(x.shape, np.nan)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(gn.GraphnnWarning, match=told):
            step({x: large})
    gn.run(x, {x: large})  # not again
    x = gn.Graph(dtype=dtype).placeholder("x", np.shape(large))
    with pytest.warns(gn.GraphnnWarning, match=told):
        assert np.isinf(gn.run(x, {x: large})).any()


# --- values --------------------------------------------------------------------------------------------------------


def test_nan_passes_through() -> None:
    x = gn.Graph().placeholder("x", shape=2)
    nan = {x: [np.nan, 1.0]}
    for node in (
        gn.relu(x), gn.maximum(x, 0.0), gn.maximum(0.0, x), gn.minimum(x, 0.0), gn.clip(x, 0, 1), gn.leaky_relu(x)
    ):  # fmt: skip
        value = gn.run(node, nan)
        assert np.isnan(value[0])
        assert not np.isnan(value[1])
    for node in (gn.max(x), gn.min(x), gn.sum(x), gn.mean(x), gn.prod(x)):
        assert np.isnan(gn.run(node, nan))


def test_evaluation_says_nothing_of_floating_point() -> None:
    x = gn.Graph().placeholder("x", shape=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gn.run([1 / x, gn.log(x), gn.exp(x * 1e5), gn.sqrt(x), (x - x) / (x - x)], {x: [0.0, -1.0, 1.0]})


def test_what_is_fed_or_kept_is_a_step_too() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x"), g.parameter("w", 2.0)
    assert [step.node.name for step in gn.steps(x * w + 1.0, {x: 3.0})] == ["x", "w", "multiply", "constant", "add"]


def test_every_message_of_an_evaluation_names_node_operation_shapes_and_line() -> None:
    g = gn.Graph()
    x, i = g.placeholder("x", shape=("batch", 2)), g.placeholder("i", shape=(3,), dtype=np.int64)
    taken = gn.take(x, i, axis=0, name="rows")
    with refused(IndexError, "index 7, at ") as caught:
        gn.run(taken, {x: np.ones((4, 2)), i: [0, 7, 1]})
    assert str(caught.value) == (
        f'while evaluating "rows" (take (3, 2) float64), made at {taken.origin}: '
        "take: index 7, at (1,) of the indices, is out of range for an axis of size 4: valid are -4 to 3\n"
        '  operand 0: "x" (4, 2) float64\n'
        '  operand 1: "i" (3,) int64'
    )


# --- held since they were once found missing ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "value"), [("int8", 256), ("int32", 2**32 + 1), ("uint8", 2**64 - 1), ("int64", 2**63)]
)
def test_an_integer_never_wraps_on_its_way_in(dtype: str, value: int) -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("n",), dtype)
    array = np.array([0, value], np.int64 if value < 2**63 else np.uint64)
    with refused(ValueError, rf'the feed of "x" holds {value} at \(1,\), which does not fit into {dtype}'):
        gn.run(x, {x: array})
    with refused(ValueError, f"which does not fit into {dtype}"):
        g.constant(array, dtype=dtype)
    w = g.parameter("w", np.zeros(2, dtype), trainable=False)
    if value < 2**63:  # beyond, NumPy makes floats of such a list
        with refused(ValueError, rf'the value of "w" holds {value} at \(1,\)'):
            w.value = [0, value]
    assert w.value.tolist() == [0, 0]


def test_a_misspelt_size_is_named() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch",))
    with refused(KeyError, 'sizes= names "bacth", which is not a dimension of "graph".* Did you mean "batch"'):
        gn.run(x, {x: [1.0]}, sizes={"bacth": 1})


def test_slices_of_slices_stay_short_and_what_explodes_is_refused() -> None:
    g = gn.Graph()
    h = g.placeholder("x", ("batch",))
    for _ in range(1000):
        h = h[1:]
    assert h.shape == ("max(batch-1000, 0)",)
    assert gn.run(h, {"x": np.arange(1002.0)}).tolist() == [1000.0, 1001.0]
    text = "n"
    with refused(ValueError, "characters|terms|no dimension"):
        for _ in range(40):
            text = f"({text}//c+a)*(b+e)"
            g.placeholder(f"p{len(text)}", (text,))


def test_no_flag_opens_the_state_to_writing() -> None:
    g = gn.Graph()
    w = g.parameter("w", [1.0, 2.0])
    gn.compile(w, updates={w: w + 1.0})()
    for array in (next(gn.steps(w)).value, next(gn.steps(w * 1.0)).operands, g.state[w]):
        for one in array if isinstance(array, tuple) else [array]:
            with pytest.raises(ValueError, match="WRITEABLE"):
                one.flags.writeable = True
    assert w.value.tolist() == [2.0, 3.0]


def test_a_state_is_in_c_order_so_that_its_sums_are_the_same_after_a_save() -> None:
    g = gn.Graph()
    w = g.parameter("w", np.arange(6.0).reshape(2, 3))
    v = g.constant(np.arange(6.0).reshape(3, 2))
    gn.compile(w, updates={w: gn.sin(gn.transpose(v))})()
    assert g.state[w].flags.c_contiguous


def test_a_dtype_attribute_is_native() -> None:
    g = gn.Graph()
    x = g.placeholder("x", 2)
    assert gn.cast(x, ">f8").op.dtype == "float64"
    assert gn.run(gn.zeros((2,), ">i4", graph=g)).dtype.isnative
    with refused(TypeError, "cast: dtype is bool, int8 to int64, .* or float64, not 'furlong'"):
        gn.cast(x, "furlong")
    with refused(TypeError, "arange: dtype is None or int8 to int64, .* or float64, not 'bool'"):
        gn.arange(1, dtype="bool", graph=g)


def test_no_warning_filter_is_left_behind_and_too_few_numbers_warn() -> None:
    x = gn.Graph().placeholder("x", ("n",))
    before = list(warnings.filters)
    for function, words in ((gn.var, "var of 0 numbers"), (gn.std, "std of 0 numbers"), (gn.mean, "mean of nothing")):
        with pytest.warns(gn.GraphnnWarning, match=words):
            assert np.isnan(gn.run(function(x), {x: np.ones(0)}))
        gn.run(function(x), {x: np.ones(3)})
    assert list(warnings.filters) == before


def test_a_function_of_several_nodes_is_not_replaced_by_an_operation_of_the_same_name() -> None:
    with refused(ValueError, '"softmax" is already defined by graphnn.ops.softmax.softmax; give .*Softmax another'):

        class Softmax(gn.Op):
            """Not the softmax."""

            def infer(self, x):
                return x

            def forward(self, x, out=None):
                return x


def test_nodes_and_layers_count_apart() -> None:
    x = gn.Graph().placeholder("x", 2)
    gn.relu(gn.relu(x))
    assert gn.nn.ReLU()(x).name == "relu_1"


def test_a_name_is_free_again_after_a_layer_failed() -> None:
    g = gn.Graph()
    with pytest.raises(gn.ShapeError):
        gn.nn.Dense(3)(g.placeholder("flat"))
    assert gn.nn.Dense(3)(g.placeholder("x", ("n", 2))).name == "dense_1/add"


@pytest.mark.parametrize(
    ("build", "builtin", "words"),
    [
        (lambda x: gn.random_uniform(x.graph.constant(0), (2,), seed=-1), ValueError, "seed is an int from 0"),
        (
            lambda x: gn.random_uniform(x.graph.constant(0), (2,), dtype="int64"),
            TypeError,
            "dtype is float16",
        ),
        (lambda x: gn.random_uniform(x.graph.constant(0), (-2,)), ValueError, "0 or more, not -2"),
        (lambda x: gn.concatenate(x), TypeError, "takes its operands as one list or tuple, not Node"),
        (lambda x: gn.clip(x, "a", 1), TypeError, "clip: lo is a number or None, not 'a'"),
        (lambda x: gn.grad([x, x], x), TypeError, "grad takes one result"),
        (lambda x: gn.critical_path(x, 3), TypeError, "a cost is a function of a node"),
        (lambda x: gn.critical_path(x, lambda node: None), TypeError, 'the cost of "x" is a number, not None'),
        (lambda x: gn.critical_path(x, {x: "a"}), TypeError, "the cost of \"x\" is a number, not 'a'"),
        (lambda x: gn.critical_path(x, {"y": 1}), KeyError, 'has no node, scope or output "y"'),
        (lambda x: gn.critical_path(x, {1: 1}), TypeError, "a node or its name, not int"),
        (lambda x: x ^ x, TypeError, r"nodes have no operator \^: write gn\.bitwise_xor\(a, b\)"),
        (lambda x: 1 << x, TypeError, r"nodes have no operator <<: write gn\.left_shift\(a, b\)"),
        (lambda x: x >> 1, TypeError, r"nodes have no operator >>: write gn\.right_shift\(a, b\)"),
        (lambda x: gn.Graph("a\0"), ValueError, "NUL"),
        (lambda x: gn.grad(x, x), ValueError, r"shape \(2,\).*\n  at test_decisions.py:"),
    ],
)
def test_refusals_in_words(build, builtin, words) -> None:
    with refused(builtin, words):
        build(gn.Graph().placeholder("x", 2))


def test_a_loop_over_a_graph_may_make_nodes() -> None:
    g = gn.Graph()
    g.placeholder("x")
    assert [(-node).name for node in g] == ["negative"]


def test_an_error_class_of_the_users_own_comes_through_a_layer() -> None:
    class Mine(gn.ShapeError):
        def __init__(self, shape: tuple[int, ...], why: str) -> None:
            super().__init__(f"{why}: {shape}")

    class Picky(nn.Layer):
        def call(self, x: gn.Node) -> gn.Node:
            raise Mine((1, 2), "no")

    with pytest.raises(Mine, match=r"no: \(1, 2\)"):
        Picky()(gn.Graph().placeholder("x", shape=(2,)))


def test_what_is_nested_very_deep_is_refused_in_words() -> None:
    deep: list[Any] = []
    for _ in range(3000):
        deep = [deep]
    with pytest.raises(gn.GraphnnError, match="softmax needs at least one node"):
        gn.softmax(deep)  # type: ignore[arg-type]
