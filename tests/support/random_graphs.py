"""Random graphs as recipes: drawn once, built wherever they are to be compared.

`random_graph` draws a `Recipe` of a scalar from some inputs; `build` makes it in a graph, and `compute` follows it with
any other table of functions. Operations that have no chooser here are drawn by their own `samples`, so that one
that is new takes part too.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import graphnn as gn
from graphnn.core import fn, operation, registry
from graphnn.testing import Draw

Array = np.ndarray[Any, np.dtype[Any]]

LARGEST, MOST_ELEMENTS, MOST_AXES = 1e3, 96, 4
"""What a value may be like: larger ones would only measure rounding, bigger ones only take time."""
FEWEST_OF_LARGE, MOST_OF_LARGE, LONGEST_SIDE = 2**16, 200_000, 5000
"""How many elements inputs of large graphs have, up to how many other values, and how long a side of several may be."""


@dataclass(frozen=True)
class Input:
    """A float that the result is differentiated by."""

    value: Array


@dataclass(frozen=True)
class Fixed:
    """A constant."""

    value: Array


@dataclass(frozen=True)
class Use:
    """One use of an operation.

    Attributes
    ----------
    op : str
        The operation's or composition's name.
    operands : tuple of int or float
        An int is the place of an earlier line, a float a Python number.
    attributes : dict
        By name; ``part`` says which one, where a composition gives a list.
    """

    op: str
    operands: tuple[int | float, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """Lines that each make one value; the last is the result, of shape ()."""

    lines: tuple[Input | Fixed | Use, ...]

    @property
    def inputs(self) -> list[Array]:
        """The values of the inputs."""
        return [line.value for line in self.lines if isinstance(line, Input)]

    @property
    def ops(self) -> list[str]:
        """The names of the operations used."""
        return [line.op for line in self.lines if isinstance(line, Use)]

    def __str__(self) -> str:
        rows = []
        for place, line in enumerate(self.lines):
            if isinstance(line, Use):
                operands = [f"v{o}" if isinstance(o, int) else repr(o) for o in line.operands]
                settings = [f"{k}={v!r}" for k, v in line.attributes.items()]
                rows.append(f"v{place} = {line.op}({', '.join([*operands, *settings])})")
            else:
                told = line.value.tolist() if line.value.size <= MOST_ELEMENTS else line.value.shape
                rows.append(f"v{place} = {type(line).__name__} {line.value.dtype} {told}")
        return "\n".join(rows)


@dataclass(frozen=True)
class Built:
    """A recipe as nodes."""

    nodes: list[gn.Node]
    inputs: list[gn.Node]
    feed: dict[gn.Node, Array]

    @property
    def result(self) -> gn.Node:
        """The node of the last line."""
        return self.nodes[-1]


def build(recipe: Recipe, graph: gn.Graph) -> Built:
    """Make a recipe's nodes: its inputs are placeholders and parameters, turn about."""
    nodes: list[gn.Node] = []
    inputs: list[gn.Node] = []
    feed: dict[gn.Node, Array] = {}
    for line in recipe.lines:
        if isinstance(line, Use):
            nodes.append(_used(line, nodes, graph))
        elif isinstance(line, Fixed):
            nodes.append(graph.constant(line.value))
        else:
            if len(inputs) % 2:
                node = graph.parameter(f"x{len(inputs)}", line.value)
            else:
                node = graph.placeholder(f"x{len(inputs)}", line.value.shape, line.value.dtype)
                feed[node] = line.value
            inputs.append(node)
            nodes.append(node)
    return Built(nodes, inputs, feed)


def _used(line: Use, nodes: Sequence[gn.Node], graph: gn.Graph) -> gn.Node:
    operands = [nodes[o] if isinstance(o, int) else o for o in line.operands]
    attributes = dict(line.attributes)
    part = attributes.pop("part", None)
    function = getattr(fn, line.op)
    if line.op == "einsum":
        return function(attributes["subscripts"], *operands)
    if line.op in registry and operation(line.op).variadic:
        return function(operands, **attributes)
    made = function(*operands, **attributes, **({} if operands else {"graph": graph}))
    return made if part is None else made[part]


def compute(recipe: Recipe, functions: Callable[[Use], Callable[..., Any]], inputs: Sequence[Any]) -> Any:
    """Follow a recipe with other functions, and return its result."""
    values: list[Any] = []
    rest = iter(inputs)
    for line in recipe.lines:
        if isinstance(line, Use):
            values.append(functions(line)(*[values[o] if isinstance(o, int) else o for o in line.operands]))
        else:
            values.append(next(rest) if isinstance(line, Input) else line.value)
    return values[-1]


# --- drawing ----------------------------------------------------------------------------------------------------


class _RefusedError(Exception):
    """There is nothing here that the operation could be used on, or it would give no fair value."""


class _Writer:
    """A recipe on its way: its lines, their values, how often each is read, and which inputs it has a gradient in."""

    def __init__(self, rng: np.random.Generator, dtype: Any, large: bool = False) -> None:
        self.rng, self.dtype, self.draw = rng, np.dtype(dtype), Draw(rng, dtype)
        self.large = large
        self.most = MOST_OF_LARGE if large else MOST_ELEMENTS
        self.largest = LARGEST**2 if large else LARGEST
        self.lines: list[Input | Fixed | Use] = []
        self.values: list[Array] = []
        self.reads: list[int] = []
        self.carries: list[frozenset[int]] = []
        self.closing = False
        self.shortcuts: set[int] = set()
        """Inputs that lead to the result directly, too: such graphs have a gradient even where all else is flat."""
        self.joins = self.chance(0.7)
        """Whether what is loose at the end is joined and then reduced, or reduced and then added up."""

    # --- lines

    def _append(self, line: Input | Fixed | Use, value: Array) -> int:
        place = len(self.lines)
        carried: frozenset[int] = frozenset([place] if isinstance(line, Input) else [])
        if isinstance(line, Use) and value.dtype.kind == "f":
            carried = carried.union(*[self.carries[o] for i, o in enumerate(line.operands) if _flows(line, i)])
        self.lines.append(line)
        self.values.append(value)
        self.reads.append(0)
        self.carries.append(carried)
        return place

    def new(self, shape: Sequence[int], lo: float = -2.0, hi: float = 2.0) -> int:
        """Write an input, or now and then a constant."""
        value = self.draw.array(shape, lo, hi)
        place = self._append(Fixed(value) if self.lines and self.chance(0.3) else Input(value), value)
        if self.chance(0.4):
            self.shortcuts.add(place)
        return place

    def fixed(self, value: Any) -> int:
        value = np.asarray(value)
        return self._append(Fixed(value), value)

    def use(self, op: str, *operands: int | float, **attributes: Any) -> int:
        line = Use(op, operands, attributes)
        read = [o for o in operands if isinstance(o, int)]
        if self.large and not self.closing and op in registry:  # before it takes the memory
            specs = [gn.core.Spec(np.shape(self.values[o]), self.values[o].dtype) for o in read]
            if len(read) == len(operands) and math.prod(operation(op)(**attributes).infer(*specs).shape) > self.most:
                raise _RefusedError
        with np.errstate(all="ignore"):
            value = _value(line, [self.values[o] if isinstance(o, int) else o for o in operands])
        if not self.closing and (value.size > self.most or value.ndim > MOST_AXES or not value.size):
            raise _RefusedError
        if not self.closing and value.dtype.kind == "f" and not np.all(np.abs(value) <= self.largest):
            raise _RefusedError
        for place in read:
            self.reads[place] += 1
        return self._append(line, value)

    def back_to(self, length: int, reads: list[int]) -> None:
        """Forget the lines after the first so many."""
        del self.lines[length:], self.values[length:], self.carries[length:]
        self.reads[:] = reads
        self.shortcuts = {place for place in self.shortcuts if place < length}

    # --- choices

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def find(self, fits: Callable[[Array], Any] = lambda v: True, kinds: str = "f") -> int:
        """Return the place of a value: more often than not one with a gradient, and one that nothing reads yet."""
        places = [i for i, v in enumerate(self.values) if v.dtype.kind in kinds and fits(v)]
        if not places:
            raise _RefusedError
        if self.chance(0.8):
            places = [i for i in places if self.carries[i]] or places
        if self.chance(0.7):
            places = [i for i in places if not self.reads[i]] or places
        return self.draw.choice(places)

    def tame(self, limit: float = 8.0, fits: Callable[[Array], Any] = lambda v: True) -> int:
        """Return the place of a float within limits, brought there if need be."""
        return self.tamed(self.find(fits), limit)

    def tamed(self, place: int, limit: float = 8.0) -> int:
        largest = float(np.max(np.abs(self.values[place])))
        if largest <= limit:
            return place
        way = self.draw.choice(["divide_by_size", "sin", "cos"])
        return self.use(way, place, **({"count": math.ceil(largest / limit)} if way == "divide_by_size" else {}))

    def positive(self, fits: Callable[[Array], Any] = lambda v: True) -> int:
        """Return the place of a float that is well above zero."""
        place = self.find(fits)
        if np.min(self.values[place]) > 0.1:
            return place
        way = self.draw.choice(["square", "absolute", "sigmoid", "softplus"])
        return self.use("add", self.use(way, self.tamed(place)), 0.25)

    def beside(self, place: int) -> int | float:
        """Return what broadcasts with a value: another, a new one, itself, or a number."""
        shape = self.values[place].shape
        if self.chance(0.15):
            return float(self.draw.choice([-1.5, -0.5, 0.5, 2.0, 3.0]))
        if self.chance(0.8):
            return self.find(lambda v: _broadcasts(v.shape, shape))
        small = tuple(self.draw.choice([n, n, 1]) for n in shape)
        return self.new(small[self.draw.integer(0, len(small)) :] if self.chance(0.5) else small)

    def shape(self) -> tuple[int, ...]:
        if not self.large or self.chance(0.1):
            return self.draw.shape(max_ndim=3, min_side=1, max_side=4)
        size = int(self.rng.integers(FEWEST_OF_LARGE, MOST_OF_LARGE))
        sides: list[int] = []
        for _ in range(self.draw.integer(0, 2)):
            longest = min(LONGEST_SIDE, size)
            sides.append(int(longest ** self.rng.uniform(0.2, 1.0)))
            size //= sides[-1]
        if not sides or (self.chance(0.1) and size <= LONGEST_SIDE):
            return (*sides, size)
        return tuple(self.rng.permutation([*sides, min(size, LONGEST_SIDE)]).tolist())

    def condition(self) -> int:
        """Return the place of a bool."""
        if self.chance(0.5):
            return self.use(self.draw.choice(["greater", "less_equal"]), self.find(), 0.25)
        return self.find(kinds="b")

    def indices(self, shape: Sequence[int], lo: int, hi: int) -> int:
        """Return the place of integers of a shape and range: some that are there, or new ones."""
        there = [
            i
            for i, v in enumerate(self.values)
            if v.dtype.kind == "i" and v.shape == tuple(shape) and v.min() >= lo and v.max() <= hi
        ]
        return self.draw.choice(there) if there else self.fixed(self.draw.integers(shape, lo, hi))


def _flows(line: Use, i: int) -> bool:
    """Return whether a line passes a gradient to its operand."""
    if not isinstance(line.operands[i], int) or line.op in ("zeros_like", "ones_like"):
        return False
    cls = registry.get(line.op)
    return cls is None or (cls.differentiable and cls(**line.attributes).flows(i))


def _broadcasts(*shapes: tuple[int, ...]) -> bool:
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        return False
    return True


def _softmax(x: Array, axis: int = -1) -> Array:
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


_COMPOSITIONS: dict[str, Callable[..., Any]] = {
    "softmax": _softmax,
    "log_softmax": lambda x, axis=-1: np.log(_softmax(x, axis)),
    "swapaxes": np.swapaxes,
    "moveaxis": np.moveaxis,
    "split": lambda x, indices_or_sections, axis, part: np.split(x, indices_or_sections, axis)[part],
    "zeros_like": np.zeros_like,
    "ones_like": np.ones_like,
}


def _value(line: Use, operands: Sequence[Any]) -> Array:
    """Return a line's value, by which later lines are chosen."""
    if line.op in _COMPOSITIONS:
        return np.asarray(_COMPOSITIONS[line.op](*operands, **line.attributes))
    first = next((o for o in operands if isinstance(o, np.ndarray)), None)
    arrays = [o if isinstance(o, np.ndarray) else np.asarray(o, first.dtype) for o in operands if first is not None]
    return np.asarray(operation(line.op)(**line.attributes).forward(*arrays))


# --- how each operation is chosen -------------------------------------------------------------------------------

_CHOOSERS: dict[str, Callable[[_Writer, str], int]] = {}


def _for(*names: str) -> Callable[[Callable[[_Writer, str], int]], Callable[[_Writer, str], int]]:
    def register(chooser: Callable[[_Writer, str], int]) -> Callable[[_Writer, str], int]:
        _CHOOSERS.update(dict.fromkeys(names, chooser))
        return chooser

    return register


@_for("negative", "absolute", "square", "sin", "cos", "softplus", "erf", "relu", "leaky_relu", "elu")
@_for("floor", "ceil", "sign", "stop_gradient", "isnan", "isfinite", "zeros_like", "ones_like")
def _unary(w: _Writer, op: str) -> int:
    return w.use(op, w.tame())


@_for("exp", "expm1", "tanh", "sigmoid", "gelu", "silu")
def _within_bounds(w: _Writer, op: str) -> int:
    """Choose what grows fast, or whose slope is lost in rounding where it is flat."""
    return w.use(op, w.tame(3.0))


@_for("sqrt", "log", "reciprocal", "log1p")
def _of_positive(w: _Writer, op: str) -> int:
    return w.use(op, w.positive())


@_for("clip")
def _clip(w: _Writer, op: str) -> int:
    lo, hi = w.draw.choice([(-1.01, 0.97), (None, 0.51), (-0.53, None)])
    return w.use(op, w.tame(), lo=lo, hi=hi)


@_for("round")
def _round(w: _Writer, op: str) -> int:
    return w.use(op, w.tame(), decimals=w.draw.integer(0, 1))


@_for("cast")
def _cast(w: _Writer, op: str) -> int:
    return w.use(op, w.find(kinds=w.draw.choice(["f", "i", "b", "ib"])), dtype=w.dtype.name)


@_for("divide_by_size")
def _divide_by(w: _Writer, op: str) -> int:
    return w.use(op, w.find(), count=w.draw.integer(2, 7))


@_for("add", "subtract", "multiply", "maximum", "minimum", "prelu")
@_for("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
def _binary(w: _Writer, op: str) -> int:
    x = w.tame()
    pair = [x, w.beside(x)]
    return w.use(op, *(pair[::-1] if w.chance(0.5) else pair))


@_for("divide", "floor_divide", "remainder")
def _over_positive(w: _Writer, op: str) -> int:
    y = w.positive()
    x = w.beside(y)
    return w.use(op, w.tamed(x) if isinstance(x, int) else x, y)


@_for("power")
def _power(w: _Writer, op: str) -> int:
    x = w.positive()
    y = w.draw.choice([2.0, 3.0, -1.5, 0.5]) if w.chance(0.3) else w.beside(x)
    return w.use(op, x, w.tamed(y, 3.0) if isinstance(y, int) else y)


@_for("where")
def _where(w: _Writer, op: str) -> int:
    condition = w.condition()
    shape = w.values[condition].shape
    x = w.find(lambda v: _broadcasts(v.shape, shape))
    shape = np.broadcast_shapes(shape, w.values[x].shape)
    y = 0.5 if w.chance(0.2) else w.find(lambda v: _broadcasts(v.shape, shape))
    return w.use(op, condition, *((x, y) if w.chance(0.5) else (y, x)))


@_for("logical_and", "logical_or")
def _logical(w: _Writer, op: str) -> int:
    x = w.condition()
    return w.use(op, x, w.find(lambda v: _broadcasts(v.shape, w.values[x].shape), kinds="bf"))


@_for("logical_not")
def _logical_not(w: _Writer, op: str) -> int:
    return w.use(op, w.condition())


@_for("any", "all")
def _verdict(w: _Writer, op: str) -> int:
    x = w.condition() if w.chance(0.5) else w.find()
    return w.use(op, x, axis=w.draw.axes(w.values[x].ndim), keepdims=w.chance(0.5))


@_for("sum", "mean", "max", "min", "logsumexp", "prod", "var", "std")
def _reduction(w: _Writer, op: str) -> int:
    spread = op in ("var", "std")
    x = w.tame(2.0 if op == "prod" else 8.0, lambda v: v.ndim and (not spread or v.shape[-1] > 1))
    value = w.values[x]
    axis = w.draw.axes(value.ndim)
    keepdims = w.chance(0.4)
    if op == "prod" and value.size > MOST_ELEMENTS:  # of many factors that are not close to 1, none is left
        x = w.use("add", w.use("divide_by_size", x, count=value.size), 1.0)
    if not spread:
        return w.use(op, x, axis=axis, keepdims=keepdims)
    ddof = w.draw.integer(0, 1)
    # Of numbers that are all alike, the deviation has no derivative.
    if np.min(np.std(value, axis)) < 0.01 or np.size(value) // np.size(np.std(value, axis)) <= ddof:
        raise _RefusedError
    return w.use(op, x, axis=axis, keepdims=keepdims, ddof=ddof)


@_for("argmax", "argmin")
def _position(w: _Writer, op: str) -> int:
    x = w.find(lambda v: v.ndim)
    return w.use(op, x, axis=w.draw.choice([None, w.draw.axis(w.values[x].ndim)]), keepdims=w.chance(0.3))


@_for("cumsum", "prod_others", "softmax", "log_softmax")
def _along_an_axis(w: _Writer, op: str) -> int:
    x = w.tame(3.0, lambda v: v.ndim)
    axis = None if op == "cumsum" and w.chance(0.3) else w.draw.axis(w.values[x].ndim)
    return w.use(op, x, axis=axis)


@_for("norm")
def _norm(w: _Writer, op: str) -> int:
    x = w.tame(8.0, lambda v: v.ndim)
    value = w.values[x]
    order = w.draw.choice([None, None, 1, 2, 3, 1.5, np.inf, -np.inf])
    axis: Any = w.draw.axis(value.ndim)
    if order is None:
        axis = w.draw.choice([axis, None, (0, -1) if value.ndim > 1 else 0])
    if np.min(np.linalg.norm(value, None, axis)) < 0.01:
        raise _RefusedError
    return w.use(op, x, ord=order, axis=axis, keepdims=w.chance(0.4))


@_for("reshape")
def _reshape(w: _Writer, op: str) -> int:
    x = w.find()
    size, shape = w.values[x].size, w.values[x].shape
    options: list[tuple[int, ...]] = [(size,), shape[::-1], (1, size), (*shape, 1)]
    options += [(n, size // n) for n in (2, 3, 4) if size % n == 0]
    return w.use(op, x, shape=w.draw.choice(options))


@_for("transpose", "flip")
def _turned(w: _Writer, op: str) -> int:
    x = w.find(lambda v: v.ndim)
    ndim = w.values[x].ndim
    if op == "flip":
        return w.use(op, x, axis=w.draw.axes(ndim))
    return w.use(op, x, axes=None if w.chance(0.4) else tuple(int(i) for i in w.rng.permutation(ndim)))


@_for("swapaxes")
def _swapaxes(w: _Writer, op: str) -> int:
    x = w.find(lambda v: v.ndim)
    return w.use(op, x, axis1=w.draw.axis(w.values[x].ndim), axis2=w.draw.axis(w.values[x].ndim))


@_for("moveaxis")
def _moveaxis(w: _Writer, op: str) -> int:
    x = w.find(lambda v: v.ndim)
    return w.use(op, x, source=w.draw.axis(w.values[x].ndim), destination=w.draw.axis(w.values[x].ndim))


@_for("expand_dims")
def _expand_dims(w: _Writer, op: str) -> int:
    return w.use(op, w.find(), axis=w.draw.choice([0, -1, (0, -1)]))


@_for("squeeze")
def _squeeze(w: _Writer, op: str) -> int:
    x = w.find()
    if 1 not in w.values[x].shape:
        x = w.use("expand_dims", x, axis=w.draw.axis(w.values[x].ndim + 1))
    ones = [i for i, n in enumerate(w.values[x].shape) if n == 1]
    return w.use(op, x, axis=w.draw.choice(ones) if w.chance(0.7) else tuple(ones))


@_for("broadcast_to")
def _broadcast_to(w: _Writer, op: str) -> int:
    x = w.find()
    shape = tuple(w.draw.integer(1, 3) if n == 1 else n for n in w.values[x].shape)
    return w.use(op, x, shape=(w.draw.integer(1, 3), *shape) if w.chance(0.6) else shape)


@_for("sum_to")
def _sum_to(w: _Writer, op: str) -> int:
    x = w.find(lambda v: v.ndim)
    small = tuple(w.draw.choice([n, 1]) for n in w.values[x].shape)
    return w.use(op, x, shape=small[w.draw.integer(0, len(small)) :])


@_for("concatenate")
def _concatenate(w: _Writer, op: str) -> int:
    x = w.find()
    if not w.values[x].ndim or w.chance(0.2):
        return w.use(op, x, w.find(), axis=None)
    axis = w.draw.axis(w.values[x].ndim)

    def rest(v: Array) -> tuple[int, ...]:
        return tuple(np.delete(v.shape, axis)) if v.ndim else (-1,)

    shape = rest(w.values[x])
    others = [w.find(lambda v: v.ndim == w.values[x].ndim and rest(v) == shape) for _ in range(w.draw.integer(0, 2))]
    return w.use(op, x, *others, axis=axis)


@_for("stack")
def _stack(w: _Writer, op: str) -> int:
    x = w.find(lambda v: v.ndim < MOST_AXES)
    others = [w.find(lambda v: v.shape == w.values[x].shape) for _ in range(w.draw.integer(0, 2))]
    return w.use(op, x, *others, axis=w.draw.axis(w.values[x].ndim + 1))


@_for("split")
def _split(w: _Writer, op: str) -> int:
    x = w.find(lambda v: v.ndim and v.shape[0] > 1)
    value = w.values[x]
    axis = w.draw.choice([i for i, n in enumerate(value.shape) if n > 1])
    length = value.shape[axis]
    sections = w.draw.choice([n for n in range(2, length + 1) if length % n == 0])
    where: Any = sections if w.chance(0.5) else (w.draw.integer(1, length - 1),)
    return w.use(op, x, indices_or_sections=where, axis=axis, part=w.draw.integer(0, 1))


@_for("pad")
def _pad(w: _Writer, op: str) -> int:
    x = w.find(lambda v: v.ndim)
    each = tuple((w.draw.integer(0, 2), w.draw.integer(0, 2)) for _ in w.values[x].shape)
    return w.use(op, x, pad_width=w.draw.choice([1, (0, 2), each]), constant_values=w.draw.choice([0, 1.5]))


@_for("repeat")
def _repeat(w: _Writer, op: str) -> int:
    x = w.find(lambda v: v.ndim)
    return w.use(op, x, repeats=w.draw.integer(1, 3), axis=w.draw.choice([None, w.draw.axis(w.values[x].ndim)]))


@_for("tile")
def _tile(w: _Writer, op: str) -> int:
    return w.use(op, w.find(), reps=w.draw.choice([2, (1, 2), (2, 1)]))


def _index(w: _Writer, shape: Sequence[int]) -> tuple[Any, ...]:
    parts: list[Any] = []
    for n in shape[: w.draw.integer(0, len(shape))]:
        parts.append(w.draw.axis(n) if w.chance(0.3) else w.draw.choice([slice(None), slice(1, None), slice(None, -1)]))
        parts[-1] = slice(None, None, w.draw.choice([2, -1])) if w.chance(0.3) else parts[-1]
    if w.chance(0.2):
        parts.append(None)
    return (*parts, ...) if w.chance(0.5) else tuple(parts)


@_for("getitem")
def _getitem(w: _Writer, op: str) -> int:
    x = w.find(lambda v: v.ndim)
    return w.use(op, x, index=_index(w, w.values[x].shape))


@_for("slice_add")
def _slice_add(w: _Writer, op: str) -> int:
    x = w.find(lambda v: v.ndim)
    shape = tuple(n + w.draw.integer(0, 2) for n in w.values[x].shape)
    starts = [w.draw.integer(0, large - n) for large, n in zip(shape, w.values[x].shape, strict=True)]
    index = tuple(slice(start, start + n) for start, n in zip(starts, w.values[x].shape, strict=True))
    return w.use(op, x, index=index, shape=shape)


@_for("take")
def _take(w: _Writer, op: str) -> int:
    x = w.find(lambda v: v.ndim)
    value = w.values[x]
    axis = w.draw.choice([None, w.draw.axis(value.ndim)])
    n = value.size if axis is None else value.shape[axis]
    return w.use(op, x, w.indices(w.draw.shape(max_ndim=2, min_side=1, max_side=3), -n, n - 1), axis=axis)


@_for("index_add")
def _index_add(w: _Writer, op: str) -> int:
    x = w.find(lambda v: v.ndim)
    shape = w.values[x].shape
    if w.chance(0.3):
        size = w.draw.integer(1, 6)
        return w.use(op, x, w.indices(shape, -size, size - 1), shape=(size,), axis=None)
    axis, size = w.draw.integer(0, len(shape) - 1), w.draw.integer(1, 5)
    indices = w.indices((shape[axis],), -size, size - 1)
    return w.use(op, x, indices, shape=(*shape[:axis], size, *shape[axis + 1 :]), axis=axis)


@_for("take_along_axis", "add_along_axis")
def _along(w: _Writer, op: str) -> int:
    x = w.find(lambda v: v.ndim)
    shape = w.values[x].shape
    axis = w.draw.axis(len(shape))
    place = axis % len(shape)
    count = w.draw.integer(1, 3)
    if op == "take_along_axis":
        side = tuple(count if i == place else n for i, n in enumerate(shape))
        return w.use(op, x, w.indices(side, -shape[axis], shape[axis] - 1), axis=axis)
    whole = tuple(count if i == place else n for i, n in enumerate(shape))
    return w.use(op, x, w.indices(shape, -count, count - 1), shape=whole, axis=axis)


@_for("one_hot")
def _one_hot(w: _Writer, op: str) -> int:
    labels = w.find(lambda v: v.size and v.min() >= 0 and v.max() < 6, kinds="i")
    return w.use(op, labels, depth=int(w.values[labels].max()) + w.draw.integer(1, 2), dtype=w.dtype.name)


@_for("pick")
def _pick(w: _Writer, op: str) -> int:
    x = w.find(lambda v: v.ndim)
    *rest, classes = w.values[x].shape
    return w.use(op, x, w.indices(rest, 0, classes - 1))


@_for("scatter_labels")
def _place(w: _Writer, op: str) -> int:
    x = w.find()
    classes = w.draw.integer(1, 4)
    return w.use(op, x, w.indices(w.values[x].shape, 0, classes - 1), classes=classes)


@_for("matmul")
def _matmul(w: _Writer, op: str) -> int:
    x = w.tame(fits=lambda v: v.ndim)
    shape = w.values[x].shape
    n = shape[-1]
    if w.chance(0.5):  # as a layer does
        wide = w.draw.integer(1, 4)
        y = w.new(w.draw.choice([(n, wide), (n,), (*shape[:-2], n, wide)]))
    else:

        def fits(v: Array) -> bool:
            rows = v.shape[-1 if v.ndim == 1 else -2] if v.ndim else 0
            return rows == n and _broadcasts(v.shape[:-2], shape[:-2])

        y = w.tame(fits=fits)
    return w.use(op, x, y)


@_for("outer")
def _outer(w: _Writer, op: str) -> int:
    return w.use(op, w.tame(), w.tame())


@_for("einsum")
def _einsum(w: _Writer, op: str) -> int:
    x = w.tame(fits=lambda v: 1 <= v.ndim <= 3)
    shape = w.values[x].shape
    mine = "ijk"[: len(shape)]
    if len(shape) == 2 and shape[0] == shape[1] and w.chance(0.5):
        return w.use(op, x, subscripts=w.draw.choice(["ii->i", "ii->"]))
    if w.chance(0.3):
        return w.use(op, x, subscripts=f"{mine}->{mine[:: w.draw.choice([1, -1])][w.draw.integer(0, len(mine)) :]}")
    sizes = dict(zip(mine, shape, strict=True)) | {"z": w.draw.integer(1, 3)}
    other = "".join(letter for letter in (*mine, "z") if w.chance(0.6))
    needed = tuple(sizes[letter] for letter in other)
    there = [i for i, v in enumerate(w.values) if v.dtype.kind == "f" and v.shape == needed]
    y = w.tamed(w.draw.choice(there)) if there and w.chance(0.6) else w.new(needed)
    kept = "".join(letter for letter in dict.fromkeys(mine + other) if w.chance(0.5))
    return w.use(op, x, y, subscripts=f"{mine},{other}->{kept}")


@_for("zeros")
def _zeros(w: _Writer, op: str) -> int:
    return w.use(op, shape=w.shape(), dtype=w.dtype.name)


@_for("arange")
def _arange(w: _Writer, op: str) -> int:
    return w.use(op, start=w.draw.integer(-2, 1), stop=w.draw.integer(2, 4), dtype=w.dtype.name)


@_for("eye")
def _eye(w: _Writer, op: str) -> int:
    return w.use(op, n=w.draw.integer(1, 4), dtype=w.dtype.name)


@_for("random_uniform", "random_normal")
def _random(w: _Writer, op: str) -> int:
    return w.use(op, w.fixed(w.draw.integers((), 0, 9)), shape=w.shape(), seed=w.draw.integer(0, 9), dtype=w.dtype.name)


def _sampled(w: _Writer, op: str) -> int:
    """Choose by the operation's own samples, on operands of its own."""
    made, arrays = operation(op).samples(w.draw)
    if not all(a.size for a in arrays):
        raise _RefusedError
    try:
        made.infer(*[gn.Spec(a.shape, a.dtype) for a in arrays])
    except gn.DtypeError:
        raise _RefusedError from None
    operands = [w._append(Input(a) if a.dtype.kind == "f" else Fixed(a), a) for a in arrays]
    place = w.use(op, *operands, **made.attributes)
    if not w.values[place].size:
        raise _RefusedError
    return place


def _drawable(name: str, cls: type[gn.Op]) -> bool:
    """Return whether an operation is the library's own, and computes something; those of loops read only each other."""
    own = cls.__module__.startswith("graphnn.") and not cls.__module__.startswith("graphnn.control_flow.")
    return name in _CHOOSERS or (own and cls.__module__ != gn.Op.__module__)


NAMES: tuple[str, ...] = (*(name for name, cls in registry.items() if _drawable(name, cls)), *_COMPOSITIONS)
"""All that can be drawn: the library's operations, and its compositions."""


def random_graph(
    rng: np.random.Generator,
    sizes: tuple[int, int] = (2, 30),
    ops: Iterable[str] = NAMES,
    dtype: Any = np.float64,
    large: bool = False,
) -> Recipe:
    """Draw a recipe of a scalar.

    Parameters
    ----------
    rng : numpy.random.Generator
    sizes : pair of int
        The fewest and the most lines.
    ops : iterable of str
        What may be used; what closes the graph may be used in any case.
    dtype : dtype
        Of the floats.
    large : bool
        Whether most inputs have more than 65,536 elements, and sides up to 5,000.
    """
    names = list(ops)
    w = _Writer(rng, dtype, large)
    size = int(rng.integers(*sizes, endpoint=True))
    for _ in range(w.draw.integer(1, 3) if size > 8 else 1):
        w.new(w.shape())
    for _ in range(20 * size):
        if len(w.lines) + _cost(w) >= size:
            break
        length, reads = len(w.lines), list(w.reads)
        op = w.draw.choice(names)
        try:
            _CHOOSERS.get(op, _sampled)(w, op)
            fits = len(w.lines) + _cost(w) <= size
        except (_RefusedError, gn.errors.ShapeError):
            fits = False
        if not fits:
            w.back_to(length, reads)
    _close(w, plain=len(w.lines) + _cost(w) > size)
    return Recipe(tuple(w.lines))


def _loose(w: _Writer) -> list[int]:
    """Return what the result must still be made of: what nothing reads, and inputs that would have no gradient."""
    sinks = [place for place, count in enumerate(w.reads) if not count]
    carried: frozenset[int] = frozenset().union(*[w.carries[place] for place in sinks])
    bare = [i for i, line in enumerate(w.lines) if isinstance(line, Input) and (i in w.shortcuts or i not in carried)]
    return [*dict.fromkeys(sinks + bare)]


def _cost(w: _Writer) -> int:
    """Return how many lines it takes to make one number of all that is loose."""
    loose = [w.values[place] for place in _loose(w)]
    casts = sum(value.dtype.kind != "f" for value in loose)
    if w.joins and len(loose) > 1:
        return casts + 3
    return max(1, casts + len(loose) - 1 + sum(2 for value in loose if value.ndim))


def _close(w: _Writer, plain: bool) -> None:
    """Reduce what is loose to one number: weighted, lest the sum of a softmax have no gradient."""
    w.closing = True
    loose = [w.use("cast", p, dtype=w.dtype.name) if w.values[p].dtype.kind != "f" else p for p in _loose(w)]
    if w.joins and len(loose) > 1:
        loose = [w.use("concatenate", *loose, axis=None)]
    numbers = []
    for place in loose:
        value = w.values[place]
        if value.ndim and plain:
            place = w.use("sum", place)
        elif value.ndim:
            weights = w.fixed(w.draw.array(value.shape, 0.5, 1.5))
            letters = "ijklmn"[: value.ndim]
            place = w.use("einsum", place, weights, subscripts=f"{letters},{letters}->")
        numbers.append(place)
    total = numbers[0]
    for place in numbers[1:]:
        total = w.use("add", total, place)
    if not isinstance(w.lines[-1], Use):
        w.use("sum", total)


def random_graphs(seed: int, count: int, **options: Any) -> Iterator[Recipe]:
    """Yield so many recipes; the n-th is the same however many are asked for."""
    for number in range(count):
        yield random_graph(np.random.default_rng([seed, number]), **options)


_QUADRATIC = ("prod_others",)
"""What has a gradient of as many elements as pairs of its operand's."""


def large_graph(seed: int, number: int, ops: Iterable[str] = NAMES) -> Recipe:
    """Draw a recipe of large arrays; every other one is likely to have a product or a norm."""
    rng = np.random.default_rng([seed, number, 16])
    names = [name for name in ops if name not in _QUADRATIC]
    names += ["prod", "norm"] * (20 if number % 2 else 1)
    return random_graph(rng, (2, 14), names, large=True)
