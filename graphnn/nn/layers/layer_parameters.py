"""How layers make their parameters, and what they ask of the shape of their input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..._util.text import short_repr
from ...core import Array, Graph, Node, as_array, dtype_named, fn, is_float
from ...core.symbolic_shapes import shown
from ...errors import DtypeError, ShapeError, UsageError
from ..init import Initializer, Rng, checked_rng, drawn
from .layer import Layer


def float_dtype(dtype: Any) -> np.dtype[Any]:
    """Return a dtype that parameters can have."""
    try:
        kind: np.dtype[Any] = dtype_named(dtype)
    except UsageError:
        raise
    except (TypeError, ValueError):
        raise DtypeError(
            f"parameters are floats of 16, 32 or 64 bits, and {short_repr(dtype)} is not a dtype"
        ) from None
    if not is_float(kind) or kind.itemsize > 8:
        raise DtypeError(f"parameters are floats of 16, 32 or 64 bits, or bfloat16, not {kind}")
    return kind


def rng_of(graph: Graph) -> np.random.Generator:
    """Return the default generator of a layer: another one for each layer, but the same in every process."""
    return np.random.default_rng([0, len(graph.state)])


class Weighted(Layer):
    """Base class of the layers that make their parameters by `made`."""

    def __init__(self, rng: Rng | None = None, dtype: Any = None) -> None:
        self.rng = checked_rng(rng, type(self).__name__)
        self.dtype = None if dtype is None else float_dtype(dtype)

    def made(self, graph: Graph, name: str, shape: Sequence[int], init: Initializer, given: Any = None) -> Node:
        """Make a parameter from its initializer, or from the value that the user gave."""
        kind, dtype, sizes = type(self).__name__, self.dtype or graph.dtype, tuple(shape)
        if given is None:

            def draw(rng: Rng) -> Array:
                """Return a first value."""
                return drawn(init, sizes, dtype, rng, f"a {kind} {name}")

            return self._begun(graph.parameter(name, draw(rng_of(graph) if self.rng is None else self.rng)), draw)
        array: Array = as_array(given, f"{kind}: {name}")
        if array.shape != sizes:
            raise ShapeError(f"{kind}: the {name} has shape {shown(sizes)}; the one given has {shown(array.shape)}")
        kept = array.dtype if self.dtype is None and hasattr(given, "dtype") and is_float(array.dtype) else dtype
        return graph.parameter(name, array.astype(kept))

    def sizes(self, x: Node, axes: Sequence[int], what: str = "its parameters") -> tuple[int, ...]:
        """Return the sizes of axes of the input, on which the shapes of parameters depend."""
        return sizes(type(self).__name__, x, axes, what)


def sizes(kind: str, x: Node, axes: Sequence[int], what: str) -> tuple[int, ...]:
    """Return the sizes of axes of an input as numbers.

    Raises
    ------
    ShapeError
        When an axis is missing, or its size is a name.
    """
    found: list[int] = []
    for axis in axes:
        if not -x.ndim <= axis < x.ndim:
            raise ShapeError(
                f'{kind} has features on axis {axis}, and "{x.name}" {shown(x.shape)} has no such axis; the layer '
                "finds the number of features in its input: leave it out"
            )
        size = x.shape[axis]
        if not isinstance(size, int):
            raise ShapeError(
                f'{kind} needs the size of axis {axis} for {what}, and that of "{x.name}" {shown(x.shape)} is the '
                f'name "{size}": make it a number where "{x.name}" is made, at {x.origin}'
            )
        found.append(size)
    return tuple(found)


def check_float(kind: str, x: Node) -> None:
    """Raise an error unless a node has floats."""
    if not is_float(x.dtype):
        raise DtypeError(f'{kind} takes floats, and "{x.name}" is {x.dtype}: gn.cast({x.name}, "float32") makes it so')


def check_axes(kind: str, x: Node, axes: int) -> None:
    """Raise an error unless x has a batch, channels, and so many axes after them."""
    if x.ndim != axes + 2:
        names = {1: "time", 2: "height, width", 3: "depth, height, width"}[axes]
        raise ShapeError(f'{kind} takes (batch, channels, {names}), and "{x.name}" has shape {shown(x.shape)}')


def along(parameter: Node, ndim: int, axes: Sequence[int]) -> Node:
    """Return a parameter with axes of size 1, so that it is broadcast along the others."""
    places = sorted(axis % ndim for axis in axes)
    shape: list[Any] = [1] * (ndim - places[0])
    for place, size in zip(places, parameter.shape, strict=True):
        shape[place - places[0]] = size
    return parameter if len(shape) == parameter.ndim else fn.reshape(parameter, tuple(shape))
