"""Bundles: several arrays as one value. A node has one value, and a loop gives several arrays.

A bundle is one flat array, and its items lie in it one after the other. Only `loop_item` reads it. Floats are kept as
numbers, so cotangents of bundles add up as those of any array do.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from functools import cached_property, reduce
from typing import Any, NamedTuple

import numpy as np

from ..core import Array, Dim, DType, Node, Op, Shape, Spec, computed_in, fn, is_float
from ..core.symbolic_shapes import add, floor_divide, multiply, product
from ..ops.base import Linear, no_flops


class Place(NamedTuple):
    """Where an item lies in a bundle: from which word on, and as what."""

    start: Dim
    shape: Shape
    dtype: np.dtype[Any]


class Layout:
    """Where the items of a bundle lie.

    Floats are kept as the widest of their dtypes, bfloat16 as float32, and everything else by its bytes, from a
    multiple of 8 bytes on. The places of the first items do not depend on how many more there are.

    Attributes
    ----------
    places : list of Place
    size : int or str
        How many words the bundle has.
    dtype : dtype
        Of the words; uint8 if no item is a float.
    """

    def __init__(self, items: Sequence[tuple[Shape, np.dtype[Any]]], word: np.dtype[Any] | None = None) -> None:
        floats = [computed_in(dtype) for _, dtype in items if is_float(dtype)]
        self.dtype = word or (max(floats, key=lambda dtype: dtype.itemsize) if floats else np.dtype(np.uint8))
        self.places: list[Place] = []
        self.size: Dim = 0
        width = self.dtype.itemsize
        for shape, dtype in items:
            words = product(shape)
            if not is_float(dtype):
                # Where numbers of 8 bytes begin at a multiple of 8, any dtype is aligned.
                self.size = multiply(floor_divide(add(multiply(self.size, width), 7), 8), 8 // width)
                words = floor_divide(add(multiply(words, dtype.itemsize), width - 1), width)
            self.places.append(Place(self.size, shape, dtype))
            self.size = add(self.size, words)

    @property
    def spec(self) -> Spec:
        """The shape and dtype of the bundle."""
        return Spec((self.size,), self.dtype)

    @cached_property
    def _gaps(self) -> list[slice]:
        """Bytes in which no item lies, where all sizes are known."""
        width = self.dtype.itemsize
        found, end = [], 0
        for start, shape, dtype in [*self.places, Place(self.size, (0,), self.dtype)]:
            begin = int(start) * width
            if begin > end:
                found.append(slice(end, begin))
            sizes: Any = shape
            end = begin + math.prod(sizes) * (width if is_float(dtype) else dtype.itemsize)
        return found

    def words(self, out: Array | None) -> Array:
        """Return a bundle to write the items into, with zeros between them, or two equal ones would differ."""
        words = np.empty(int(self.size), self.dtype) if out is None else out
        for gap in self._gaps:
            words.view(np.uint8)[gap] = 0
        return words


def shown_in(words: Array, place: Place) -> Array:
    """Return the view of an item whose dtype is that of the words, or which is kept by its bytes."""
    shape: Any = place.shape
    start: Any = place.start
    count = math.prod(shape)
    if place.dtype == words.dtype:
        return words[start : start + count].reshape(shape)
    return words[start:].view(np.uint8)[: count * place.dtype.itemsize].view(place.dtype).reshape(shape)


def read(words: Array, place: Place) -> Array:
    """Return an item of a bundle; a view where it can be one."""
    if is_float(place.dtype) and place.dtype != words.dtype:
        return shown_in(words, place._replace(dtype=words.dtype)).astype(place.dtype)
    return shown_in(words, place)


def place_to_write(words: Array, place: Place) -> Array:
    """Return the view of a bundle to write an item into: it may have a wider dtype."""
    return shown_in(words, place_written(place, words.dtype))


def place_written(place: Place, dtype: np.dtype[Any]) -> Place:
    """Return the place of what is written into words of a dtype: floats are kept as words."""
    return place._replace(dtype=dtype) if is_float(place.dtype) else place


class LoopItem(Op):
    """One of the arrays that a loop gives: a part of its bundle."""

    is_loop_item = True
    public = computes = False
    start: Dim
    shape: Shape
    dtype: DType
    formula = "{0} from {start}"
    equation = ""
    flops = no_flops

    @property
    def place(self) -> Place:
        """Where it lies."""
        return Place(self.start, self.shape, np.dtype(self.dtype))

    def infer(self, bundle: Spec) -> Spec:
        """Return the shape and dtype of the item."""
        return Spec(self.shape, np.dtype(self.dtype))

    def forward(self, bundle: Array) -> Array:
        """Show it."""
        return read(bundle, self.place)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        """Put the cotangent into a bundle of zeros."""
        (bundle,) = inputs
        return LoopBundle(self.start, bundle.shape[0], bundle.dtype.name)(cotangent)

    def jvp(self, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
        """Take the item of the tangents."""
        (tangent,) = tangents
        assert tangent is not None
        return item(tangent, self.place)

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        """Return the word of the element; of what is kept by its bytes, all."""
        if self.dtype != operands[0].dtype:
            return (...,)
        return ((int(self.start) + int(np.ravel_multi_index(index, self.shape)),),)  # type: ignore[arg-type]

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        """Draw a bundle and a part of it."""
        shape = draw.shape()
        start, more = draw.integer(0, 3), draw.integer(0, 3)
        x = draw.array((start + int(np.prod(shape, dtype=int)) + more,))
        return cls(start, shape, x.dtype.name), (x,)


def _nothing(*asked: Any) -> None:
    """Refuse nothing: the numbers of a bundle say nothing."""


class LoopBundle(Linear):
    """A bundle that holds one array at its place, and zeros."""

    public = computes = False
    start: Dim
    size: Dim
    dtype: DType
    refused_inside = staticmethod(_nothing)
    formula = "{0} at {start} of {size} words"
    equation = ""
    flops = no_flops

    def infer(self, x: Spec) -> Spec:
        """Return the bundle."""
        return Spec((self.size,), np.dtype(self.dtype))

    def forward(self, x: Array, out: Array | None = None) -> Array:
        """Put it there."""
        words = np.empty(int(self.size), self.dtype) if out is None else out
        words.fill(0)
        place_to_write(words, Place(self.start, x.shape, x.dtype))[...] = x
        return words

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        """Take the item of the cotangent."""
        return item(cotangent, Place(self.start, inputs[0].shape, inputs[0].dtype))

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        """Return the element that lies at the place, if one does."""
        at = index[0] - int(self.start)
        inside = 0 <= at < operands[0].size
        return (tuple(map(int, np.unravel_index(at, operands[0].shape))) if inside else None,)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        """Draw an array and a larger bundle."""
        x = draw.array(draw.shape())
        start, more = draw.integer(0, 3), draw.integer(0, 3)
        return cls(start, start + x.size + more, x.dtype.name), (x,)


def item_of(bundle: Node, place: Place) -> Node:
    """Return the node that reads an item of a bundle."""
    return LoopItem(place.start, place.shape, place.dtype.name)(bundle)


def item(bundle: Node, place: Place) -> Node:
    """Return an item of a bundle; of one that was just made of items, the item itself."""
    found = found_in(bundle, place)
    return fn.zeros(place.shape, place.dtype, graph=bundle.graph) if found is None else found


def found_in(bundle: Node, place: Place) -> Node | None:
    """Return an item of a bundle, or None if it is known to be zeros; of a sum of bundles, the sum of their items."""
    known, others = _terms(bundle)
    terms = heapq.merge(known.get(place, ()), others, key=lambda term: term[0])  # in the order of the sum
    parts = [
        LoopItem(place.start, place.shape, place.dtype.name)(node) if is_bundle else node
        for _, node, is_bundle in terms
    ]
    return reduce(fn.add, parts) if parts else None


_Term = tuple[int, Node, bool]
"""Its number in a sum of bundles, a node, and whether that is a bundle: else it is the item."""


def _terms(bundle: Node) -> tuple[dict[Place, list[_Term]], list[_Term]]:
    """Return what a sum of bundles has at each place, and the bundles in it of which no more is known.

    All items of a bundle are asked for, and all ask this.
    """
    cache = bundle.graph.caches.setdefault("bundles", {})
    if (found := cache.get(bundle)) is None:
        known: dict[Place, list[_Term]] = {}
        others: list[_Term] = []
        waiting, number = [bundle], 0
        while waiting:
            node = waiting.pop()
            if node.op.signs == (1, 1):
                waiting.extend(reversed(node.inputs))
            elif isinstance(node.op, LoopBundle):
                inside = node.inputs[0]  # an empty one may begin where another one does
                known.setdefault(Place(node.op.start, inside.shape, inside.dtype), []).append((number, inside, False))
            elif node.op.bounds != (0, 0):
                others.append((number, node, True))
            number += 1
        found = cache[bundle] = known, others
    return found  # type: ignore[no-any-return]
