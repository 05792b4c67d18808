"""Operations: `Spec`, `Op`, the registry, and a function for each operation."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, Protocol, Self, dataclass_transform

import numpy as np

from .._util.call_errors import check_fits, explain_misuse, without_graph, written
from .._util.hints import Absent, attribute_error, elsewhere, instead
from .._util.numpy_warnings import quietly
from .._util.text import with_article
from ..errors import (
    AxisError,
    DtypeError,
    GraphError,
    GraphnnError,
    NoRuleError,
    NotFoundError,
    ShapeError,
    UsageError,
    near,
)
from .arrays import supported_dtype
from .attributes import Dim, Kind, Name, Row, Several, Shape, checked, kinds_of, kinds_of_arguments
from .nested import flatten
from .numeric_traits import Trait
from .provenance import current_provenance
from .storage_dtypes import is_bfloat16
from .symbolic_shapes import Constraint, names_in, product, shape_of, shown, size_of

if TYPE_CHECKING:
    from .graph import Graph
    from .node import Node

Array = np.ndarray[Any, np.dtype[Any]]
_PACKAGE, _MOST_LISTED = __name__.partition(".")[0] + ".", 20  # operands in an error


@dataclass(frozen=True, slots=True)
class Spec:
    """The static shape and dtype of a value, and the constraints on its dimensions.

    A constraint is a pair of dimensions that must have the same size in a run. Specs may be equal and differ in these.
    """

    shape: Shape
    dtype: np.dtype[Any]
    constraints: tuple[Constraint, ...] = field(default=(), compare=False, repr=False)

    def __str__(self) -> str:
        return f"{shown(self.shape)} {self.dtype}"


registry: dict[str, type[Op]] = {}
ALIASES: Mapping[str, str] = {
    "abs": "absolute",
    "acos": "arccos",
    "acosh": "arccosh",
    "asin": "arcsin",
    "asinh": "arcsinh",
    "atan": "arctan",
    "atanh": "arctanh",
    "bitwise_invert": "invert",
    "bitwise_left_shift": "left_shift",
    "bitwise_not": "invert",
    "bitwise_right_shift": "right_shift",
    "concat": "concatenate",
    "mod": "remainder",
    "pow": "power",
    "unstack": "unbind",
}
"""Other names that NumPy has for operations; they work."""
_compositions: dict[str, Callable[..., Any]] = {}
_functions: dict[str, Callable[..., Any]] = {}
"""Those of `fn`, made when they are asked for."""


@elsewhere("node", "a node")
class MissingMethods:
    """The base of `Node`: for each method that arrays have and nodes lack, an error that says what to write instead."""

    __slots__ = ()


def _call_of(name: str) -> str:
    settings = [p for p in inspect.signature(getattr(fn, name)).parameters.values() if p.name != "name"][1:]
    return f"gn.{name}({', '.join(['node', *filter(None, [written(settings)])])})"


def _claim(name: str, new: Any) -> None:
    """Take a name for an operation or a function: refuse one of another module, or of another class of the same.

    From then on, ``node.name`` is an error that says what to write instead.
    """
    known: tuple[Any, ...] = registry.get(name), _compositions.get(name)
    for taken in filter(None, known):
        two_classes = isinstance(taken, type) and isinstance(new, type)
        if taken.__module__ != new.__module__ or (two_classes and taken.__qualname__ != new.__qualname__):
            raise GraphError(
                f'"{name}" is already defined by {taken.__module__}.{taken.__qualname__}; '
                f"give {new.__qualname__} another name"
            )
    setattr(MissingMethods, name, Absent("a node", name, _call_of))


class Account(Protocol):
    """How the elements of one value came about, told by other operations."""

    def reads(self, index: tuple[int, ...]) -> Sequence[Any]:
        """Return which elements of each operand made one, as `Op.reads` does."""

    def read_by(self, cells: Array) -> list[Array]:
        """Return which elements of each operand these places, in C order, were made of, as masks."""

    def reached_by(self, marks: Sequence[Array | None]) -> Array:
        """Return which elements were made of marked ones of the operands, as a mask."""

    def told(self, index: tuple[int, ...]) -> tuple[str, Sequence[str]]:
        """Return the equation of an element, and where numbers in it came from."""


@dataclass_transform(frozen_default=True, eq_default=False)
class Op:
    """A kind of computation; an instance of it holds the attributes of one use.

    A subclass is registered by being defined. Its annotated fields are the attributes, and each value is checked
    against the annotation, wherever it comes from, and becomes plain data of exact types. The names and the number of
    the operands are read from the signature of `forward`. Operands are never changed.

    Required:

    - ``infer(*specs) -> Spec``: the shape and dtype of the result, or an error that says why these operands do not fit.
    - ``forward(*arrays, out=None) -> array``: NumPy, pure. ``out``, where a forward takes it, is an array to write the
      result into and to return; compiled plans pass it.

    For gradients, unless it has ``differentiable = False``:

    - ``vjp(i, cotangent, output, inputs) -> node``: the cotangent of operand i. `cotangent` is that of the result, and
      `output` the node itself; all are nodes.
    - ``jvp(tangents, output, inputs) -> node``: the tangent of the result; None stands for a zero tangent. Elementwise
      and linear operations inherit it.
    - ``flows(i) -> bool``: whether a gradient passes to operand i at all; by default it does.
    - ``vjps(positions, cotangent, output, inputs) -> iterator``: beside `vjp`, for a rule that shares work.

    For explanations:

    - ``formula``: the equation; ``{0}`` is the first operand, ``{axis}`` an attribute.
    - ``equation``: the same for one element, where that reads otherwise.
    - ``reads(index, operands) -> entries``: which elements of each operand made one element of the output.
    - ``flops``, ``traits``, ``bounds``: what profiles, the health check and the training page need to know.

    - ``linear``, ``signs``, ``casts`` and the other properties below: what others need to know of it. They ask for a
      property and not for the class, so an operation of one's own is treated like one of graphnn's. No attribute may
      have the name of one.

    For an operation that holds graphs, as loops do:

    - ``bound_inside(sizes) -> int``: checks the graphs for these sizes, and returns the bytes of the largest value.
    - ``evaluated(sizes) -> int``: how many nodes an evaluation evaluates inside; ``bodies``: the graphs, by name.
    - ``refused_inside(guard, step, prepared) -> error``: what a guard refuses inside of an evaluated step, or None.

    For the tests that every registered operation gets:

    - ``samples(draw)``: an instance with operands; `draw` is a `graphnn.testing.Draw`.
    """

    name: ClassVar[str] = ""
    """The name, NumPy's where NumPy has it; by default made of the class's name."""
    operands: ClassVar[tuple[str, ...]] = ()
    """The operands' names, from the signature of `forward`."""
    attribute_names: ClassVar[tuple[str, ...]] = ()
    """Names of the attributes, in order."""
    variadic: ClassVar[bool] = False
    """Whether it takes any number of operands."""
    _kinds: ClassVar[dict[str, Kind]] = {}
    """What each attribute may hold, from its annotation."""
    sized: ClassVar[tuple[str, ...]] = ()
    """Names of the attributes that hold a shape or a dimension, and so may name dimensions; from their annotations."""
    weak: ClassVar[bool] = False
    """Whether an operand that is a Python number takes the dtype of the others, as with NumPy's ufuncs."""
    differentiable: ClassVar[bool] = True
    """Whether a gradient passes; floor, comparisons and integer operations let none through."""
    elementwise: ClassVar[bool] = False
    """Whether it acts on each element by itself."""
    linear = False
    """Whether it is linear in all operands that pass a gradient, taken together."""
    multilinear = False
    """Whether it is linear in each operand, as products are."""
    rearranges = False
    """Whether it moves elements and computes nothing."""
    signs: ClassVar[tuple[int, ...]] = ()
    """The signs with which it adds up its two operands, if it does: (1, -1) of a difference."""
    powers: ClassVar[tuple[int, ...]] = ()
    """The powers of its two operands whose product it is, if it is one: (1, -1) of a quotient."""
    contracts = False
    """Whether it sums products of its operands' elements along axes."""
    reshapes = False
    """Whether it changes the shape alone: the same elements, in the same order."""
    selects = False
    """Whether its first operand says which of the others each element is taken from."""
    casts = False
    """Whether it changes the dtype, and else nothing."""
    sums_over_batches = False
    """Whether it is the figure that a sum over a batch and a count give."""
    is_random = False
    """Whether it draws random numbers."""
    is_placeholder = False
    """Whether its value is given at each run."""
    is_parameter = False
    """Whether its value is kept in the state of the graph."""
    is_constant = False
    """Whether its value is fixed when the graph is built."""
    is_leaf = False
    """Whether it is one of these three, which are made by methods of the graph."""
    is_variable = False
    """Whether it is a leaf whose value may be another in the next run."""
    is_stored = False
    """Whether it is a leaf whose value the graph keeps."""
    is_unknown = False
    """Whether only its name is known."""
    is_torch_call = False
    """Whether PyTorch computes it, which takes operands of any dtype as they are."""
    holds_bodies = False
    """Whether it holds graphs, as loops do."""
    is_loop_item = False
    """Whether it takes one array out of what a loop gives."""
    computes = True
    """Whether it computes with its operands' numbers: then those of bfloat16 become float32 in front of it."""
    traits: ClassVar[Trait] = Trait(0)
    """What is known about its numbers: `graphnn.core.Trait`."""
    bounds: ClassVar[tuple[float, float] | None] = None
    """The two numbers between which its results lie."""
    formula: ClassVar[str] = ""
    """The equation of the whole result: ``{0}`` is the first operand, ``{axis}`` an attribute."""
    equation: ClassVar[str | None] = None
    """The formula of one element: None if it is `formula`, "" if the element is a copy of an operand's element.

    ``[…]`` marks a term that is repeated, and what stands between ``]`` and ``…`` joins the repetitions:
    ``([{0}] + …) / {count}``. ``{count}`` is their number, ``{factors}`` all operands with a ``·`` between them, and
    ``{row}`` the place of the element, as ``row 7``.
    """
    abstract: ClassVar[bool] = True
    """Whether it is not registered: a base class, or the class of what has no fixed name."""
    public: ClassVar[bool] = True
    """Whether there is a function of its name for users, ``gn.exp``; of what other functions make, there is none."""
    foreign: ClassVar[bool] = False
    """Whether it is defined outside of graphnn. What its methods give is then checked."""

    if TYPE_CHECKING:
        infer: Callable[..., Spec]
        forward: Callable[..., Any]

    def __init_subclass__(cls, abstract: bool = False) -> None:
        super().__init_subclass__()
        dataclass(frozen=True, eq=False, repr=False)(cls)
        cls._kinds = kinds_of(cls)
        cls.attribute_names = tuple(cls._kinds)
        if "sized" in cls.__dict__:
            raise GraphError(
                f"{cls.__name__}: annotate a dimension as graphnn.core.Dim, and a shape as graphnn.core.Shape; "
                "`sized` follows from it"
            )
        if taken := [a for a in cls._kinds if a == "sources" or isinstance(getattr(Op, a, None), bool | tuple)]:
            raise GraphError(f"{cls.__name__}: gn.Op has a property {taken[0]}: give the attribute another name")
        cls.sized = tuple(attribute for attribute, kind in cls._kinds.items() if kind.may_name_dimensions)
        cls.abstract, cls.foreign = abstract, not cls.__module__.startswith(_PACKAGE)
        if abstract:
            return
        if "name" not in cls.__dict__:
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        cls.name = checked(cls.__qualname__, "name", Name(), cls.name)
        if lacking := [method for method in ("infer", "forward") if not hasattr(cls, method)]:
            raise GraphError(f"{cls.__qualname__} has no {' and no '.join(lacking)}: an operation needs both")
        if isinstance(cls.forward, np.ufunc):
            cls.operands = ("x", "y")[: cls.forward.nin]
        else:
            parameters = list(inspect.signature(cls.forward).parameters.values())
            parameters = [p for p in parameters if p.name not in ("self", "out")]
            cls.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
            cls.operands = tuple(p.name for p in parameters)
        _claim(cls.name, cls)
        registry[cls.name] = cls
        _functions.pop(cls.name, None)

    def __post_init__(self) -> None:
        for attribute, kind in self._kinds.items():
            object.__setattr__(self, attribute, checked(self.name, attribute, kind, getattr(self, attribute)))

    @property
    def name_in_files(self) -> str:
        """The name by which a file and `graph.dag` know its class: of a class whose instances differ, that of all."""
        return type(self).name or self.name

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes of this instance, ``{name: value}``."""
        return {attribute: getattr(self, attribute) for attribute in self.attribute_names}

    @property
    def shown_attributes(self) -> dict[str, Any]:
        """The attributes as a person reads them, where they are kept in another form."""
        return self.attributes

    def _key(self) -> tuple[Any, ...]:
        return (type(self), *(_bits(value) for value in self.attributes.values()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Op) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.attributes.items())})"

    def __call__(self, *inputs: Any, name: str | None = None, graph: Graph | None = None) -> Node:
        """Make a node that applies this operation to `inputs`: nodes, or numbers and arrays that become constants."""
        for value in inputs:
            graph = graph or getattr(value, "graph", None)
        if graph is None or not hasattr(graph, "_add"):
            raise without_graph(self.name, inputs, graph, ", or say graph=, a Graph")
        return graph._add(self, inputs, name)

    @property
    def dimension_names(self) -> frozenset[str]:
        """The names of dimensions in its attributes."""
        found: set[str] = set()
        for attribute in self.sized:
            over_dimensions(getattr(self, attribute), lambda dim: found.update(names_in((dim,))))
        return frozenset(found)

    def bound(self, sizes: Mapping[str, int]) -> Self:
        """Return the same operation with the names of dimensions in its attributes replaced by sizes."""
        if not self.dimension_names:
            return self
        numbers = {a: over_dimensions(getattr(self, a), lambda dim: size_of(dim, sizes)) for a in self.sized}
        return replace(self, **numbers)  # type: ignore[type-var]

    def number(self, value: bool | float, dtypes: Sequence[np.dtype[Any]]) -> Array:
        """Return a Python number as an operand next to others of these dtypes; called if the operation is `weak`.

        Raises
        ------
        OverflowError
            When the dtype that it has to take does not hold it.
        """
        dtype = np.result_type(*dtypes, value)
        if value == 0 or 1e-4 < abs(value) < 60_000:  # in the range of every float dtype: NumPy has nothing to warn of
            return np.asarray(value, dtype)
        return quietly(np.asarray, value, dtype)

    def flows(self, i: int) -> bool:
        """Whether a gradient passes to operand `i` at all."""
        return True

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        """Return the cotangent of operand `i`, in nodes; called only for operands whose gradient is needed."""
        raise NoRuleError(f'the operation "{self.name}" has no gradient rule: define {type(self).__name__}.vjp')

    def vjps(self, positions: Sequence[int], cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Iterator[Node]:
        """Return the cotangents of several operands, each made when it is asked for."""
        return (self.vjp(i, cotangent, output, inputs) for i in positions)

    def jvp(self, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
        """Return the tangent of the output, in nodes; at least one of `tangents` is not None."""
        raise NoRuleError(f'the operation "{self.name}" has no forward-mode rule: define {type(self).__name__}.jvp')

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        """Return which elements of each operand made the element `index` of the output: by default all.

        Parameters
        ----------
        index : tuple of int
            One index, counted from 0, for each axis.
        operands : sequence of ndarray

        Returns
        -------
        sequence
            One entry per operand: a NumPy index, so that ``operand[entry]`` is what is read. It is a tuple of ints,
            slices, and arrays of integers or bools; ``...`` for all of the operand, None for none of it. For a sum of
            products, the entries, broadcast with each other, give the factors.
        """
        return (...,) * len(operands)

    def account(self, operands: Sequence[Array]) -> Account | None:
        """Return what tells how elements came about, of an operation that is several others; None of others."""
        return None

    def sources(self, operands: Sequence[Array]) -> tuple[Array, ...] | None:
        """Return for each operand an array like the output: the flat index of the one element read there, or -1.

        None where an element may read several, or where `reads` alone tells.
        """
        return None

    @property
    def element_formula(self) -> str:
        """The formula of one element, for these attributes."""
        return self.formula if self.equation is None else self.equation

    def flops(self, output: Spec, *inputs: Spec) -> Dim:
        """Return the number of floating-point operations: by default one per element of the output."""
        return product(output.shape)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        """Return an instance and legal operands, made from the random choices of `draw`."""
        raise NoRuleError(f'the operation "{cls.name}" gives no samples: define {cls.__name__}.samples')


class _Leaf(Op, abstract=True):
    """An operation without operands, whose nodes are made by a method of the graph."""

    is_leaf = True

    def infer(self) -> Spec:
        """Refuse: the graph's method says the shape."""
        raise UsageError(f"make a {self.name} with graph.{self.name}(…)")

    def forward(self) -> Array:
        """Refuse: there is nothing to compute."""
        raise UsageError(f"the value of a {self.name} is not computed")


class Placeholder(_Leaf):
    """A value given at each run, by the feed."""

    is_placeholder = is_variable = True


class Parameter(_Leaf):
    """A value kept in the graph's state, trained unless it is frozen."""

    is_parameter = is_variable = is_stored = True
    trainable: bool = True


class Constant(_Leaf):
    """A value fixed when the graph is built."""

    is_constant = is_stored = True


_NAME = Name()


class Unknown(Op, abstract=True):
    """What only the name is known of: an operation of a file that nothing here defines, or, in an error, a layer."""

    called: Annotated[str, _NAME]
    attributes_in_file: Annotated[tuple[tuple[str, Any], ...], Several(Row((_NAME, Kind())))] = ()
    variadic = is_unknown = True

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "name", self.called)

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes that the file gives."""
        return dict(self.attributes_in_file)

    def _key(self) -> tuple[Any, ...]:
        return (Unknown, self.called, _bits(self.attributes_in_file))

    def forward(self, *operands: Array) -> Array:
        """Refuse."""
        raise NoRuleError(
            f'the operation "{self.name}" is not defined here: import the module that defines it, then load again'
        )


def over_dimensions(value: Any, function: Callable[[str], Any]) -> Any:
    """Return an attribute with `function` applied to each dimension in it that is not an int."""
    if isinstance(value, tuple):
        return tuple(over_dimensions(part, function) for part in value)
    return function(value) if isinstance(value, str) and value != "..." else value


def _bits(value: Any) -> Any:
    """Return a key in which 0, 0.0 and -0.0 differ, and NaN equals itself."""
    if isinstance(value, tuple):
        return tuple(_bits(part) for part in value)
    return (type(value).__name__, value.hex() if isinstance(value, float) else value)


def inferred(op: Op, specs: Sequence[Spec]) -> Spec:
    """Return what `infer` gives for operands of these specs, with a shape and a dtype of exact types.

    Only a `foreign` operation may give anything else.
    """
    spec: Any = op.infer(*specs)
    whose = f"{type(op).__name__}.infer"
    if not isinstance(spec, Spec):
        raise UsageError(f"{whose} gives {with_article(type(spec).__name__)}: write return gn.Spec(shape, dtype)")
    return Spec(shape_of(spec.shape), supported_dtype(spec.dtype, f"the dtype that {whose} gives"), spec.constraints)


def widens(op: Op, operands: Sequence[Any]) -> bool:
    """Return whether an operation takes operands of bfloat16 as float32.

    Those that compute do, and those that put numbers of several dtypes into one array.
    """
    if op.holds_bodies or op.is_torch_call:  # the graphs inside widen for themselves
        return False
    others = [each.dtype for each in operands if not is_bfloat16(each.dtype)]
    return len(others) < len(operands) and (op.computes or any(dtype.kind == "f" for dtype in others))


def check_wide(op: Op, operands: Sequence[Any]) -> None:
    """Refuse operands that an operation does not take without a cast in front of it.

    Raises
    ------
    DtypeError
    """
    if widens(op, operands):
        raise DtypeError(
            f"{op.name} computes in float32, and an operand is bfloat16: a cast to float32 belongs between, "
            'gn.cast(node, "float32")'
        )


def operation(name: str) -> type[Op]:
    """Return the class of the operation called `name`.

    Raises
    ------
    NotFoundError
        When there is none.

    Examples
    --------
    >>> operation("placeholder").__name__
    'Placeholder'
    """
    try:
        return registry[name]
    except KeyError:
        raise NotFoundError(f'there is no operation "{name}".{near(name, registry)}') from None


def _function_of(cls: type[Op]) -> Callable[..., Any]:
    """Return the public function of an operation: it takes the operands, then the attributes."""
    count = len(cls.operands)
    without_attributes = None if cls.attribute_names or cls.variadic else cls()

    def function(*args: Any, name: str | None = None, graph: Graph | None = None, **kwargs: Any) -> Node:
        if without_attributes is not None and len(args) == count and not kwargs:
            return without_attributes(*args, name=name, graph=graph)
        try:
            operands, op = _operands_and_op(cls, args, kwargs)
        except TypeError as error:
            if not isinstance(error, GraphnnError):
                check_fits(function, args, kwargs if cls.operands else {**kwargs, "graph": graph})
            raise
        return op(*operands, name=name, graph=graph)

    parameters = [inspect.Parameter(o, inspect.Parameter.POSITIONAL_OR_KEYWORD) for o in cls.operands]
    parameters += [p.replace(annotation=p.empty) for p in inspect.signature(cls).parameters.values()]
    parameters.append(inspect.Parameter("name", inspect.Parameter.KEYWORD_ONLY, default=None))
    if not cls.operands:
        parameters.append(inspect.Parameter("graph", inspect.Parameter.KEYWORD_ONLY))
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__name__ = function.__qualname__ = cls.name
    function.__module__, function.__doc__ = _PACKAGE + "functions", cls.__doc__  # pickle looks in that module
    return function


def _operands_and_op(cls: type[Op], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Sequence[Any], Op]:
    """Return the operands among the arguments of a call, and the operation with the other arguments as attributes.

    Raises
    ------
    TypeError
        When the arguments do not fit.
    """
    if cls.variadic:
        # np.concatenate takes its arrays as one sequence, and so do we.
        if not args or not isinstance(args[0], (list, tuple)):
            given = type(args[0]).__name__ if args else "nothing"
            raise UsageError(f"{cls.name} takes its operands as one list or tuple, not {given}")
        return args[0], cls(*args[1:], **kwargs)
    count = len(cls.operands)
    operands = args[:count]
    if named := cls.operands[len(args) :]:
        if not kwargs.keys() >= {*named}:
            raise TypeError  # whoever called compares with the signature
        operands += tuple([kwargs[operand] for operand in named])
        kwargs = {key: value for key, value in kwargs.items() if key not in named}
    return operands, cls(*args[count:], **kwargs)


class Unbuilt(NamedTuple):
    """A node that could not be made: the operation, its operands and its scope.

    Attributes
    ----------
    op : Op
    operands : tuple of Node or ndarray
        An array would have become a constant.
    scope : str
        The path of the scope.
    """

    op: Op
    operands: tuple[Node | Array, ...]
    scope: str


def misfit(op: Op, operands: Sequence[Node | Array], error: GraphnnError) -> GraphnnError:
    """Return the error of a node that could not be made, with its operands, and the `Unbuilt` in `stopped`."""
    lines = []
    for position, operand in enumerate(operands[:_MOST_LISTED]):
        if isinstance(operand, np.ndarray):
            what = f"an array {shown(operand.shape)} {operand.dtype}"
        else:
            what = f'"{operand.title}" {operand.spec}, {with_article(operand.op.name)} made at {operand.origin}'
        lines.append(f"  operand {position}: {what}")
    lines += [f"  and {len(operands) - _MOST_LISTED:,} more operands"] if len(operands) > _MOST_LISTED else []
    graph = next((operand.graph for operand in operands if not isinstance(operand, np.ndarray)), None)
    scope = current_provenance(graph).scope if graph is not None else None
    return error.within(
        "" if error.reason.startswith(op.name) else f"{op.name}: ",
        *lines,
        op=op.name,
        operands=tuple(operands),
        shapes=tuple(operand.shape for operand in operands),
        stopped=None if graph is None else Unbuilt(op, tuple(operands), "" if scope is None else scope.path),
    )


@contextmanager
def fitting(kind: str, given: Any) -> Iterator[None]:
    """Add the operands of a layer or function to the errors of shapes and dtypes that are raised inside.

    Parameters
    ----------
    kind : str
        The name of the layer or function.
    given : list, tuple or dict
        Its arguments, nested or not. The nodes and arrays among them are the operands.

    Raises
    ------
    ShapeError, AxisError, DtypeError
        The error raised inside, with the operands in its message and in ``error.draw()``.
    """
    try:
        yield
    except (ShapeError, AxisError, DtypeError) as error:
        raise _of_operands(kind, given, error) from error.__cause__


def _of_operands(kind: str, given: Any, error: GraphnnError) -> GraphnnError:
    """Return the error with the operands in `given`, or unchanged if an operation inside has named its own."""
    operands = [value for value in flatten(given)[0] if isinstance(value, np.ndarray) or hasattr(value, "spec")]
    return misfit(Unknown(kind), operands, error) if operands and error.op is None else error


class Functions:
    """Every operation as a function: ``fn.exp(x)``. Rules find the operations they need here, by name."""

    def __getattr__(self, name: str) -> Callable[..., Node]:
        name = ALIASES.get(name, name)
        # A composition may share the name of its operation: it takes what people write, such as -1 and lists.
        found = _compositions.get(name) or _functions.get(name)
        if found is None:
            cls = registry.get(name)
            if cls is None:
                raise attribute_error(f'there is no operation "{name}".{instead("gn", name, dir(self))}')
            if cls.__module__ == __name__:
                raise attribute_error(f"a {name} belongs to a graph: write graph.{name}(…)")
            found = _functions[name] = _function_of(cls)
        return found

    def __dir__(self) -> list[str]:
        own = {name for name, cls in registry.items() if cls.__module__ != __name__}
        return sorted({*own, *_compositions, *ALIASES})


fn = Functions()
for _alias in ALIASES:
    setattr(MissingMethods, _alias, Absent("a node", _alias, _call_of))


def composition(function: Callable[..., Any]) -> Callable[..., Any]:
    """Register a function that makes several nodes, so that it is called like an operation: ``fn.softmax(x)``.

    Raises
    ------
    GraphError
        When the name is that of an operation or a function of another module.
    """
    name = function.__name__
    kinds = kinds_of_arguments(function)
    parameters = inspect.signature(function).parameters
    arguments = list(parameters)
    settings = {*kinds, *(p.name for p in parameters.values() if p.kind is p.KEYWORD_ONLY)}
    places = [(arguments.index(setting), setting, kind) for setting, kind in kinds.items()]
    _claim(name, function)

    @wraps(function)
    def with_operands(*args: Any, **kwargs: Any) -> Any:
        given = list(args)
        for place, setting, kind in places:
            if place < len(given):
                given[place] = checked(name, setting, kind, given[place])
            elif setting in kwargs:
                kwargs[setting] = checked(name, setting, kind, kwargs[setting])
        if not args or getattr(args[0], "graph", None) is None:  # else the first operand is a node, as nearly always
            operands = [v for i, v in enumerate(args) if i >= len(arguments) or arguments[i] not in kinds]
            operands += [v for keyword, v in kwargs.items() if keyword not in settings]
            if operands and all(getattr(value, "graph", None) is None for value in operands):
                raise without_graph(name, operands)
        try:
            return function(*given, **kwargs)
        except (ShapeError, AxisError, DtypeError) as error:
            raise _of_operands(name, [*args, *kwargs.values()], error) from error.__cause__

    _compositions[name] = public = explain_misuse(with_operands)
    return public
