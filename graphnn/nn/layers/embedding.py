"""Layers that turn numbers of words into vectors, and tell positions apart."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from ..._util.text import short_repr
from ...core import Node, fn
from ...core.attributes import whole
from ...core.symbolic_shapes import shown
from ...errors import DtypeError, ShapeError, UsageError
from ..init import Rng, checked_initializer, normal
from .layer import Layer, only_node
from .layer_parameters import Weighted, check_float, sizes


class Embedding(Weighted):
    """The rows of a table of vectors: one vector for each number.

    Parameters
    ----------
    count : int
        How many vectors there are: the numbers are 0 to ``count - 1``. Negative ones count from the end, as in
        NumPy; others are an error.
    units : int
        The size of a vector.
    weight_init : initializer
        From `nn.init`, or any function ``(shape, dtype, rng) -> array``. By default, normal numbers of variance 1, as
        in PyTorch.
    weight : array_like, optional
        The initial value, (count, units), instead of a random one.
    rng : numpy.random.Generator or numpy.random.RandomState, optional
        As in `Dense`.
    dtype : dtype, optional
        The dtype of the table, as in `Dense`.

    Attributes
    ----------
    weight : Node or None
        (count, units). None before the first call.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> words = gn.Graph().constant([[0, 2], [1, 1]])
    >>> gn.run(nn.Embedding(3, 2, weight=[[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])(words)).tolist()
    [[[0.0, 1.0], [4.0, 5.0]], [[2.0, 3.0], [2.0, 3.0]]]
    """

    def __init__(
        self,
        count: int,
        units: int,
        *,
        weight_init: Any = None,
        weight: Any = None,
        rng: Rng | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(rng, dtype)
        self.count = whole("Embedding: count", count, 1)
        self.units = whole("Embedding: units", units, 1)
        self.weight_init = checked_initializer(
            normal(0.0, 1.0) if weight_init is None else weight_init, "Embedding: weight_init"
        )
        self.weight: Node | None = None
        self._given = weight

    def call(self, x: Node) -> Node:
        """Return the vectors of the numbers in x, along a new last axis."""
        if only_node(self, x).dtype.kind not in "iu":
            raise DtypeError(f'Embedding takes the numbers of vectors, and so integers; "{x.name}" is {x.dtype}')
        if self.weight is None:
            self.weight = self.made(x.graph, "weight", (self.count, self.units), self.weight_init, self._given)
        return fn.take(self.weight, x, axis=0)


class PositionEmbedding(Weighted):
    """Add a vector to each position, which is trained: to x of shape (batch, time, units).

    With ``start=``, an integer from 0 up or an integer node, the first position of x is that one, as where a text is
    generated bit by bit.

    Parameters
    ----------
    length : int
        The number of positions. The time of the input may be shorter.
    weight_init : initializer
        By default, normal numbers of standard deviation 0.02.
    rng : numpy.random.Generator or numpy.random.RandomState, optional
        As in `Dense`.
    dtype : dtype, optional
        The dtype of the vectors, as in `Dense`.

    Attributes
    ----------
    weight : Node or None
        (length, units). None before the first call.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> nn.PositionEmbedding(16)(gn.Graph().placeholder("x", ("batch", 10, 4)))
    <Node "position_embedding_1/add": add (batch, 10, 4) float64>
    """

    def __init__(self, length: int, *, weight_init: Any = None, rng: Rng | None = None, dtype: Any = None) -> None:
        super().__init__(rng, dtype)
        self.length = whole("PositionEmbedding: length", length, 1)
        self.weight_init = checked_initializer(
            normal(0.0, 0.02) if weight_init is None else weight_init, "PositionEmbedding: weight_init"
        )
        self.weight: Node | None = None

    def call(self, x: Node, start: Node | int | None = None) -> Node:
        """Return x plus the vectors of its positions, the first of which is 0, or `start`."""
        (units,) = self.sizes(only_node(self, x), [-1])
        time = _time("PositionEmbedding", x)
        if isinstance(time, int) and time > self.length:
            raise ShapeError(
                f'PositionEmbedding has {self.length} positions, and "{x.name}" {shown(x.shape)} has {time}'
            )
        if self.weight is None:
            self.weight = self.made(x.graph, "weight", (self.length, units), self.weight_init)
        if start is not None:
            first = _first("PositionEmbedding", start)
            return x + fn.take(self.weight, fn.arange(time, graph=x.graph) + first, axis=0)
        return x + (self.weight if time == self.length else self.weight[:time])


class SinusoidalEncoding(Layer):
    """Add sines and cosines of the position to x of shape (batch, time, units); nothing is trained.

    Element 2i of a position p gets sin(p / base^(2i / units)), and element 2i + 1 the cosine of the same. ``start=`` is
    as in `PositionEmbedding`.

    Parameters
    ----------
    base : float

    Notes
    -----
    A. Vaswani et al., "Attention is all you need", NeurIPS 2017.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> x = gn.Graph().constant(np.zeros((1, 2, 4)))
    >>> gn.run(nn.SinusoidalEncoding()(x)).round(2).tolist()
    [[[0.0, 1.0, 0.0, 1.0], [0.84, 0.54, 0.01, 1.0]]]
    """

    def __init__(self, base: float = 10_000.0) -> None:
        if not isinstance(base, (int, float)) or not 1 < base <= sys.float_info.max:
            raise UsageError(f"SinusoidalEncoding: base is a number above 1, not {short_repr(base)}")
        self.base = float(base)

    def call(self, x: Node, start: Node | int | None = None) -> Node:
        """Return x plus the encoding of its positions, the first of which is 0, or `start`."""
        check_float("SinusoidalEncoding", only_node(self, x))
        time = _time("SinusoidalEncoding", x)
        (units,) = sizes("SinusoidalEncoding", x, [-1], "the frequencies")
        half = (units + 1) // 2
        frequencies = self.base ** (np.arange(half) * (-2.0 / max(units, 1)))
        positions = fn.arange(time, dtype="float64", graph=x.graph)
        positions = positions if start is None else positions + _first("SinusoidalEncoding", start)
        angles = fn.outer(positions, frequencies, name="angles")
        pairs = fn.stack([fn.sin(angles), fn.cos(angles)], axis=-1)
        encoding = fn.reshape(pairs, (time, 2 * half))
        encoding = encoding if units == 2 * half else encoding[:, :units]
        return x + fn.cast(encoding, x.dtype, name="encoding")


def _time(kind: str, x: Node) -> Any:
    if x.ndim < 2:
        raise ShapeError(f'{kind} takes (batch, time, units), and "{x.name}" has shape {shown(x.shape)}')
    return x.shape[-2]


def _first(kind: str, start: Any) -> Node | int:
    """Return the position at which an input begins, one for all rows."""
    if not isinstance(start, Node):
        return whole(f"{kind}: start", start, 0)
    if start.ndim or start.dtype.kind not in "iu":
        raise UsageError(f'{kind}: start is one integer for all rows, and "{start.name}" is {start.spec}')
    return start
