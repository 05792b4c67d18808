"""Random graphs of any dtypes, with named sizes that change from call to call: empty, small and large ones."""

import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from random_networks import OPTIMIZERS

import graphnn as gn

Array = np.ndarray[Any, np.dtype[Any]]

DTYPES = ("float64", "float64", "float32", "float32", "float16", "int64", "int32", "int8", "uint8", "uint64", "bool")
SIZES = (0, 1, 1, 2, 3, 7, 8, 33, 64, 130)
LARGE = (1, 2, 129, 1000, 2048, 3001, 40_000)
FEWEST, MOST = 10_001, 100_000
"""Elements of large arrays."""
SPECIAL = (0.0, -0.0, 1.0, np.nan, np.inf, -np.inf, 1e-310, -1e-310, 5e-324, 1e-41, -3e-45, 6e-8)
"""Denormal ones for each dtype among them."""
FAR = (1e4, -7e4, 3e7, 1e20, -1e38, 1e300)
"""Where functions with a period, or that overflow, are computed in another way."""


class Mixed(NamedTuple):
    """What is fetched, fed and updated."""

    fetches: list[gn.Node]
    feeds: list[Mapping[Any, Any]]
    updates: dict[gn.Node, gn.Node]


# --- operands ----------------------------------------------------------------------------------------------------

_BINARY = (gn.add, gn.subtract, gn.multiply, gn.divide, gn.maximum, gn.minimum, gn.power, gn.floor_divide, gn.remainder)
_BINARY += (gn.equal, gn.not_equal, gn.less, gn.less_equal, gn.greater, gn.greater_equal)
_BINARY += (gn.logical_and, gn.logical_or)
_UNARY = (gn.exp, gn.log, gn.tanh, gn.sqrt, gn.sin, gn.cos, gn.sigmoid, gn.softplus, gn.gelu, gn.erf, gn.relu)
_UNARY += (gn.negative, gn.absolute, gn.square, gn.reciprocal, gn.sign, gn.floor, gn.ceil, gn.round, gn.logical_not)
_UNARY += (gn.isnan, gn.isfinite, gn.expm1, gn.log1p, gn.silu, gn.elu)
_REDUCING = (gn.sum, gn.mean, gn.max, gn.min, gn.prod, gn.any, gn.all, gn.argmax, gn.argmin, gn.var, gn.logsumexp)
_ALONG = (gn.cumsum, gn.softmax, gn.log_softmax)


class _Writer:
    """A graph on its way, and the nodes that it has so far."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.graph = gn.Graph(dtype=str(rng.choice(["float32", "float64"])))
        self.nodes: list[gn.Node] = []

    def one(self, kinds: str = "fiub") -> gn.Node:
        """Return a node, more often than not a late one."""
        there = [node for node in self.nodes if node.dtype.kind in kinds]
        late = there[-4:] if self.rng.random() < 0.6 else there
        return late[self.rng.integers(len(late))] if late else gn.cast(self.nodes[0], "float32")

    def axis(self, node: gn.Node) -> int | None:
        return None if not node.ndim or self.rng.random() < 0.25 else int(self.rng.integers(-node.ndim, node.ndim))

    def placed(self) -> None:
        """Make placeholders, parameters and constants, which broadcast with each other."""
        shapes = [("n", "m"), ("n", "m"), ("n", "m"), ("m",), ("n", 1), (), ("n", 3)]
        for i in range(int(self.rng.integers(2, 6))):
            shape = shapes[0 if i == 0 else self.rng.integers(len(shapes))]
            self.nodes.append(self.graph.placeholder(f"p{i}", shape, str(self.rng.choice(DTYPES))))
        for i in range(int(self.rng.integers(1, 3))):
            value = self.rng.integers(-3, 4, [(), (3,), (1, 1)][self.rng.integers(3)])
            dtype = str(self.rng.choice(["float32", "float64", "int64", "int8"]))
            self.nodes.append(self.graph.parameter(f"w{i}", value.astype(dtype)))
        self.nodes.append(self.graph.constant(self.rng.choice(SPECIAL, (1, 1)).astype(np.float32)))

    def write(self) -> gn.Node:
        """Return a node of an operation that is drawn."""
        rng = self.rng
        way = int(rng.integers(0, 20))
        x = self.one()
        if way < 6:
            y: Any = self.one() if rng.random() < 0.8 else [2, -1, 0.5, 3, True][rng.integers(5)]
            return _BINARY[rng.integers(len(_BINARY))](x, y)
        if way < 9:
            return _UNARY[rng.integers(len(_UNARY))](x)
        if way < 12:
            return _REDUCING[rng.integers(len(_REDUCING))](x, self.axis(x), keepdims=bool(rng.random() < 0.5))
        if way == 12:
            return _ALONG[rng.integers(len(_ALONG))](x, self.axis(x) or 0)
        if way == 13:
            return gn.where(self.one("b"), x, self.one())
        if way == 14:
            return gn.clip(self.one("f"), -0.75, 1.5)
        if way == 15:
            return gn.transpose(x)
        if way == 16:
            return x[::-1] if rng.random() < 0.5 else gn.flip(x)
        if way == 17:
            return gn.concatenate([x, self.one()], int(rng.integers(0, max(x.ndim, 1))))
        if way == 18:
            return gn.matmul(x, gn.transpose(x)) if x.dtype.kind == "f" and x.shape[:1] != ("n",) else x[:1]
        return gn.cast(x, str(rng.choice(DTYPES)))


def fed(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return an array with numbers of all kinds in it."""
    if dtype.kind == "b":
        return np.asarray(rng.random(shape) < 0.5)
    if dtype.kind != "f":
        info = np.iinfo(dtype)
        array = np.asarray(rng.integers(0 if dtype.kind == "u" else -4, 5, shape)).astype(dtype)
        if rng.random() < 0.3 and array.size:
            array.flat[rng.integers(array.size)] = [info.min, info.max][rng.integers(2)]
        return array
    array = np.asarray(rng.normal(size=shape) * 2.0 ** rng.integers(-2, 3), dtype)
    with np.errstate(all="ignore"):
        for chance, among in ((0.6, SPECIAL), (0.3, FAR)):
            if rng.random() < chance and array.size:
                places = rng.integers(0, array.size, max(1, int(array.size * rng.choice([0.01, 0.3]))))
                array.flat[places] = rng.choice(among, len(places)).astype(dtype)
    return array


WAYS = 11


def laid(array: Array, way: int) -> Any:
    """Return the same numbers in another layout, or of another kind of array; the first ways leave it as it is."""
    if way == WAYS - 1:
        return np.array(array, order="F")
    if way == WAYS - 2:
        array = array.copy()
        array.flags.writeable = False
    if way == WAYS - 3:
        wide = np.zeros(tuple(3 * n for n in array.shape), array.dtype)[(..., *[slice(None, None, 3)] * array.ndim)]
        wide[...] = array
        return wide
    if way == WAYS - 4:
        return np.flip(np.flip(array).copy()) if array.ndim else array
    if way == WAYS - 5:
        raw = np.zeros(array.nbytes + 1, np.uint8)
        odd = raw[1:].view(array.dtype).reshape(array.shape)
        odd[...] = array
        return odd
    return array


def random_mixed(rng: np.random.Generator, large: bool = False) -> Mixed:
    """Draw a graph, its updates, and feeds for five calls: two of the same sizes, then others."""
    writer = _Writer(rng)
    graph = writer.graph
    writer.placed()
    for _ in range(int(rng.integers(2, 6 if large else 22))):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gn.errors.GraphnnWarning)
            try:
                writer.nodes.append(writer.write())
            except gn.GraphnnError:
                continue
    made = [node for node in writer.nodes if not _is_source(node)]
    fetches = [node for node in made if rng.random() < 0.3] or writer.nodes[-1:]
    floats = [node for node in made if node.dtype.kind == "f"]
    updates: dict[gn.Node, gn.Node] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gn.errors.GraphnnWarning)
        if floats and rng.random() < 0.7:
            trained = [parameter for parameter in graph.parameters if parameter.dtype.kind == "f"]
            loss = gn.mean(gn.cast(floats[-1], graph.dtype))
            for parameter in trained:
                loss = loss + gn.sum(gn.cast(parameter, graph.dtype))
            fetches.append(loss)
            inputs = [node for node in graph.placeholders if node.dtype.kind == "f"]
            fetches += gn.grad(gn.sum(loss), inputs) if inputs else []
            if trained and rng.random() < 0.6:
                updates |= OPTIMIZERS[rng.integers(len(OPTIMIZERS))]().updates(loss, trained)
    for parameter in graph.parameters:
        if parameter not in updates and rng.random() < 0.4:
            updates[parameter] = parameter * 2 if rng.random() < 0.5 else gn.cast(parameter + 1, parameter.dtype)
    return Mixed(fetches, list(_feeds(rng, graph, large)), updates)


def _is_source(node: gn.Node) -> bool:
    return node.op.name in ("placeholder", "parameter", "constant")


def _feeds(rng: np.random.Generator, graph: gn.Graph, large: bool) -> Iterator[Mapping[Any, Any]]:
    sizes: dict[Any, int] = {}
    for call in range(3 if large else 5):
        if call not in (1, 3):
            sizes = {name: int(rng.choice(LARGE if large else SIZES)) for name in ("n", "m")}
            if large:
                sizes["m"] = max(1, int(rng.integers(FEWEST, MOST)) // sizes["n"])
        plain = call in (1, 3) and rng.random() < 0.7
        feed: dict[Any, Any] = {}
        for node in graph.placeholders:
            array = fed(rng, tuple(sizes.get(dim, dim) for dim in node.shape), node.dtype)
            feed[node if plain or rng.random() < 0.8 else node.name] = laid(array, 0 if plain else rng.integers(WAYS))
        yield feed
