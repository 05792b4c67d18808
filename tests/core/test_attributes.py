"""What the attributes of operations may hold: one mechanism, from the annotation of the field."""

import enum
import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
import pytest

import graphnn as gn
from graphnn import Op
from graphnn.core import Count, Dim, DType, Index, Kind, Shape, registry
from graphnn.core.attributes import kind_of
from graphnn.errors import GraphError
from graphnn.nn import ELU, LeakyReLU, Softmax


class Loud(int):
    """An int that does not print as one."""

    def __repr__(self) -> str:
        return "loud"

    __str__ = __repr__


class LoudFloat(float):
    __repr__ = __str__ = lambda self: "loud"  # type: ignore[assignment]


class LoudText(str):
    __slots__ = ()
    __repr__ = __str__ = lambda self: "loud"  # type: ignore[assignment]


class Number(enum.IntEnum):
    ONE = 1


class Disguised:
    """Says that it is an int."""

    __class__ = int  # type: ignore[assignment]


class Raising:
    def __repr__(self) -> str:
        raise RuntimeError

    __iter__ = __array__ = __index__ = __repr__


@pytest.fixture
def x() -> gn.Node:
    return gn.Graph().placeholder("x", shape=(2, 3))


@pytest.mark.parametrize(
    ("call", "builtin", "words"),
    [
        (lambda x: gn.elu(x, "a"), TypeError, "elu: alpha is a number, not 'a'"),
        (lambda x: gn.elu(x, True), TypeError, "elu: alpha is a number, not True"),
        (lambda x: gn.elu(x, 10**400), ValueError, "elu: alpha is a number, not 1000.*: it does not fit into a float"),
        (lambda x: gn.elu(x, 1j), TypeError, "elu: alpha is a number, not 1j"),
        (lambda x: gn.leaky_relu(x, None), TypeError, "leaky_relu: negative_slope is a number, not None"),
        (lambda x: gn.round(x, "a"), TypeError, "round: decimals is an int from -32768 to 32767, not 'a'"),
        (lambda x: gn.round(x, 2**31), ValueError, "round: decimals is an int from -32768 to 32767, not 2147483648"),
        (lambda x: gn.round(x, 1.0), TypeError, "round: decimals is an int .*, not 1.0"),
        (lambda x: gn.var(x, ddof="a"), TypeError, "var: ddof is an int of 64 bits, not 'a'"),
        (lambda x: gn.var(x, ddof=-(10**400)), ValueError, "var: ddof is an int .*: it takes more than 64 bits"),
        (lambda x: gn.sum(x, 0, "no"), TypeError, "sum: keepdims is True or False, not 'no'"),
        (lambda x: gn.sum(x, 0, 1), TypeError, "sum: keepdims is True or False, not 1"),
        (lambda x: gn.max(x, axis=0, keepdims="__import__('os')"), TypeError, "max: keepdims is True or False, not"),
        (lambda x: gn.sum(x, "0"), TypeError, "sum: axis is an int, a tuple of ints or None, not '0'"),
        (lambda x: gn.sum(x, (0, 1.0)), TypeError, r"sum: axis is an int, a tuple of ints or None, not \(0, 1.0\)"),
        (lambda x: gn.sum(x, {0, 1}), TypeError, r"sum: axis is .*, not {0, 1}"),
        (lambda x: gn.sum(x, Disguised()), TypeError, "sum: axis is an int"),
        (lambda x: gn.sum(x, Raising()), TypeError, "sum: axis is .*, not a Raising"),
        (lambda x: gn.argmax(x, (0, 1)), TypeError, r"argmax: axis is an int or None, not \(0, 1\)"),
        (lambda x: gn.take(x, np.array([0]), np.timedelta64(1, "s")), TypeError, "take: axis is an int or None, not "),
        (lambda x: gn.pad(x, 1, constant_values="edge"), TypeError, "pad: constant_values is .* number.*, not 'edge'"),
        (lambda x: gn.pad(x, ((1, [2]), (0, 0))), TypeError, r"pad: pad_width is a dimension, .*, not \(\(1, \["),
        (lambda x: gn.pad(x, ((1, 2), (3, 4), (4, 5))), ValueError, "pad: pad_width is .* for each of 2 axes, not"),
        (lambda x: gn.pad(x, ((1, 2), (3,))), TypeError, "pad: pad_width holds pairs that are all alike"),
        (
            lambda x: gn.pad(x, 1, constant_values=(1, 2, 3)),
            ValueError,
            r"pad: constant_values is one number.* not \(1, 2, 3\)",
        ),
        (lambda x: gn.pad(x, -1), ValueError, "pad: pad_width is .*: a dimension is 0 or more, not -1"),
        (lambda x: gn.repeat(x, -1), ValueError, "repeat: repeats is an int of 0 or more, not -1"),
        (lambda x: gn.tile(x, (2, 1.5)), TypeError, r"tile: reps is an int .*, not \(2, 1.5\)"),
        (lambda x: gn.split(x, 2.0), TypeError, "split: indices_or_sections is an int or a tuple of .*, not 2.0"),
        (lambda x: gn.split(x, 2, "a"), TypeError, "split: axis is an int, not 'a'"),
        (lambda x: gn.split(x, [1.5]), TypeError, r"split: indices_or_sections is .*, not \[1.5\]"),
        (lambda x: gn.swapaxes(x, 0, 1.0), TypeError, "swapaxes: axis2 is an int, not 1.0"),
        (lambda x: gn.moveaxis(x, "a", 0), TypeError, "moveaxis: source is an int, .*, not 'a'"),
        (lambda x: gn.softmax(x, "a"), TypeError, "softmax: axis is an int, not 'a'"),
        (lambda x: gn.log_softmax(x, axis=1.0), TypeError, "log_softmax: axis is an int, not 1.0"),
        (lambda x: gn.squeeze(x, "a"), TypeError, "squeeze: axis is an int, .*, not 'a'"),
        (lambda x: gn.reshape(x, 2.0), TypeError, "reshape: shape is an int or a dimension.*, not 2.0"),
        (lambda x: gn.reshape(x, {2: 3}), TypeError, "reshape: shape is .*, not {2: 3}"),
        (lambda x: gn.broadcast_to(x, None), TypeError, "broadcast_to: shape is a shape, .*, not None"),
        (
            lambda x: gn.broadcast_to(x, (-2,)),
            ValueError,
            "broadcast_to: shape is .*: a dimension is 0 or more",
        ),
        (
            lambda x: gn.clip(x, 0, 10**400),
            ValueError,
            "clip: hi is a number .*: it does not fit into a float",
        ),
        (lambda x: gn.clip(x, [0], 1), TypeError, r"clip: lo is a number or None, not \[0\]"),
        (lambda x: gn.cast(x, "f8,f8"), TypeError, "cast: dtype is bool, int8 .*, not 'f8,f8'"),
        (lambda x: gn.cast(x, object), TypeError, "cast: dtype is bool, int8 "),
        (lambda x: gn.cast(x, None), TypeError, "cast: dtype is bool, int8 .*, not None"),
        (lambda x: gn.norm(x, "fro"), TypeError, "norm: ord is a number or None, not 'fro'"),
        (lambda x: gn.einsum(3, x), TypeError, "einsum: subscripts is text, not 3"),
        (lambda x: gn.einsum("i1->i", x), TypeError, 'einsum: subscripts is text of letters such as "ij,jk->ik", not '),
        (lambda x: gn.zeros((2,), "m8", graph=x.graph), TypeError, "zeros: dtype is bool, int8"),
        (lambda x: gn.eye((2, 2), graph=x.graph), TypeError, r"eye: n is a dimension.*, not \(2, 2\)"),
        (
            lambda x: gn.eye(1 << 20_000, graph=x.graph),
            ValueError,
            "eye: n is a dimension.*, not an int of 20,001 b",
        ),
        (lambda x: x["a b"], ValueError, "getitem: index is an index"),
        (lambda x: x[1 << 20_000], ValueError, "not an int of 20,001 bits: it has more than 10,000 bits"),
        (lambda x: x[x], TypeError, r"getitem: an index is made of ints.* not of Node. Write gn.take\(x, x, axis=0\)"),
        (lambda x: x[::"n"], TypeError, "getitem: index is an index"),
        (lambda x: LeakyReLU("a"), TypeError, "LeakyReLU: negative_slope is a number, not 'a'"),
        (lambda x: ELU(None), TypeError, "ELU: alpha is a number, not None"),
        (lambda x: Softmax(1.0), TypeError, "Softmax: axis is an int, not 1.0"),
    ],
)
def test_a_wrong_attribute_is_refused_where_it_is_written(
    x: gn.Node, call: Callable[[Any], Any], builtin: type[Exception], words: str
) -> None:
    before = len(x.graph)
    with pytest.raises(gn.GraphnnError, match=f"(?s){words}") as caught:
        call(x)
    assert isinstance(caught.value, builtin)
    assert len(str(caught.value)) < 500
    assert len(x.graph) == before


@pytest.mark.parametrize(
    "call",
    [
        lambda m, x: m.reshape(x, np.array([3, 2])),
        lambda m, x: m.reshape(x, np.array(6)),
        lambda m, x: m.reshape(x, (np.int8(-1), 2)),
        lambda m, x: m.reshape(x, range(1, 4)),
        lambda m, x: m.broadcast_to(x, np.array([4, 2, 3])),
        lambda m, x: m.sum(x, axis=np.array(0)),
        lambda m, x: m.sum(x, axis=(np.int64(0), Number.ONE)),
        lambda m, x: m.split(x, np.array([1, 2]), axis=1)[1],
        lambda m, x: m.split(x, [-2], axis=1)[0],
        lambda m, x: m.pad(x, np.array([[1, 2], [0, 1]])),
        lambda m, x: m.pad(x, ((1,), (2,))),
        lambda m, x: m.pad(x, (2,), constant_values=(1.5, -np.float32(2))),
        lambda m, x: m.pad(x, 1, constant_values=((1, 2), (3, 4))),
        lambda m, x: m.tile(x, np.array([2, 1])),
        lambda m, x: m.round(x, np.int32(1)),
        lambda m, x: m.clip(x, np.float64(-0.5), np.int8(1)),
        lambda m, x: m.repeat(x, True + 1, axis=Number.ONE),
        lambda m, x: x[np.int8(1), Loud(0) :],
        lambda m, x: x[: 10**30, -(10**30) :],
    ],
)
def test_attributes_that_numpy_takes_give_the_values_of_numpy(call: Callable[[Any, Any], Any]) -> None:
    value = np.random.default_rng(0).normal(size=(2, 3))
    x = gn.Graph().placeholder("x", shape=(2, 3))
    np.testing.assert_array_equal(gn.run(call(gn, x), {x: value}), call(np, value))


def exact(value: Any) -> Any:
    """Return a value with the exact types of all that it holds."""
    return (type(value), [exact(part) for part in value] if type(value) is tuple else value)


@pytest.mark.parametrize(
    ("annotation", "given", "expected"),
    [
        (int, Loud(3), 3),
        (int, np.array(3), 3),
        (float, LoudFloat(0.5), 0.5),
        (float, np.float32(0.5), 0.5),
        (float, Loud(3), 3),
        (str, LoudText("a"), "a"),
        (str, np.str_("a"), "a"),
        (bool, np.False_, False),
        (int | None, None, None),
        (bool | int, True, True),
        (int | bool, True, True),
        (tuple, [Loud(1), LoudText("a"), (LoudFloat(math.inf),)], (1, "a", (math.inf,))),
        (tuple[int, ...], [Loud(1), 2], (1, 2)),
        (tuple[int, str], (1, LoudText("a")), (1, "a")),
        (Literal["same", "valid", 3], LoudText("valid"), "valid"),
        (Any, {1: 2}.keys() and (Loud(1), slice(Loud(2))), (1, (None, 2, None))),
        (Dim, LoudText("2*n"), "2*n"),
        (Shape, (Loud(2), LoudText("n")), (2, "n")),
        (Shape | None, None, None),
        (DType, np.float32, "float32"),
        (DType, LoudText("f4"), "float32"),
        (Count, Loud(7), 7),
        (Index, (Loud(1), slice(LoudText("n"), Loud(3)), ..., None), (1, ("n", 3, None), "...", None)),
        (Annotated[int, "a note"], Loud(3), 3),
    ],
)
def test_values_become_plain_data_of_exact_types(annotation: Any, given: Any, expected: Any) -> None:
    assert exact(kind_of(annotation).read(given)) == exact(expected)


@pytest.mark.parametrize(
    ("annotation", "given"),
    [
        (int, True),
        (int, 1.0),
        (int, "1"),
        (float, "1"),
        (float, 1 << 2000),
        (bool, 0),
        (str, 3),
        (tuple[int, ...], 3),
        (tuple[int, ...], "12"),
        (tuple[int, str], (1,)),
        (Literal["same"], "other"),
        (Literal[1], True),
        (Any, np.ones(2)),
        (Any, {}),
        (Any, object()),
        (Any, 1j),
        (Shape, (True,)),
        (Count, -1),
    ],
)
def test_a_kind_refuses_what_does_not_fit(annotation: Any, given: Any) -> None:
    with pytest.raises(gn.GraphnnError):
        kind_of(annotation).read(given)


@pytest.mark.usefixtures("own_operations")
def test_the_annotations_of_a_users_operation_are_checked(x: gn.Node) -> None:
    class Odd(Op):
        flag: bool
        count: int = 1
        size: Dim = "n"
        way: Literal["up", "down"] = "up"
        elsewhere: "NotThere" = 0  # type: ignore[name-defined]  # noqa: F821
        row: tuple[float, ...] = ()

        def infer(self, x: gn.Spec) -> gn.Spec:
            return x

        def forward(self, x: Any, out: Any = None) -> Any:
            return x

    class Odder(Odd):
        more: int = 0

    assert Odd.sized == Odder.sized == ("size",)
    node = Odder(True, size=LoudText("k + k"), row=[Loud(1)], elsewhere=[Loud(2)])(x)  # type: ignore[call-arg]
    assert repr(node.op) == ("Odder(flag=True, count=1, size='2*k', way='up', elsewhere=(2,), row=(1,), more=0)")
    assert node.op.dimension_names == {"k"}
    assert node.op.bound({"k": 3}).attributes["size"] == 6
    for wrong, words in [
        ({"flag": 1}, "odder: flag is True or False, not 1"),
        ({"flag": True, "count": 1.0}, "odder: count is an int, not 1.0"),
        ({"flag": True, "way": "left"}, "odder: way is one of 'up', 'down', not 'left'"),
        ({"flag": True, "more": "a"}, "odder: more is an int, not 'a'"),
        ({"flag": True, "row": (None,)}, "odder: row is a tuple of numbers, not "),
        ({"flag": True, "elsewhere": {}}, "odder: elsewhere is plain data"),
    ]:
        with pytest.raises(gn.GraphnnError, match=words):
            Odder(**wrong)  # type: ignore[arg-type]


@pytest.mark.usefixtures("own_operations")
def test_an_operation_that_sets_sized_itself_is_refused() -> None:
    with pytest.raises(gn.GraphError, match=r"Sized: annotate a dimension as graphnn\.core\.Dim"):

        class Sized(Op):
            n: int = 0
            sized = ("n",)


@pytest.mark.usefixtures("own_operations")
@pytest.mark.parametrize("name", ["", "\x1b[31mred", "a\nb", "a" * 201, 3])
def test_the_name_of_an_operation_is_printable(name: Any) -> None:
    with pytest.raises(gn.GraphnnError, match="name is text of 1 to 200 characters that can be printed"):
        type("Odd", (Op,), {"name": name})


def test_every_attribute_of_the_library_has_a_specific_kind() -> None:
    loose = {
        f"{cls.name}.{attribute}"
        for cls in registry.values()
        for attribute, kind in cls._kinds.items()
        if cls.__module__.startswith("graphnn.") and type(kind) is Kind
    }
    assert not loose


def test_an_attribute_cannot_have_the_name_of_a_property_of_operations() -> None:
    with pytest.raises(GraphError, match=r"Turned: gn\.Op has a property linear: give the attribute another name"):

        class Turned(gn.Op, abstract=True):
            linear: bool = True
