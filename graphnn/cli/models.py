"""Models of ONNX as targets of commands: their sizes, and inputs where none are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import graphnn as gn

from ..graph.dimensions import concrete, names_in
from ..interop.onnx.model import SOURCES
from ..text import visible
from .feeds import existing
from .screen import note

if TYPE_CHECKING:
    from ..graph import Array, Graph, Node

MODEL = ".onnx"
_FIRST, _OTHER = 1, 32
"""What an open size is taken as, on the first axis of an input and on the others."""


def model_of(file: str, sizes: Sequence[tuple[str, int]], trainable: bool) -> Graph:
    """Return the graph of a model in a file, with these sizes."""
    return gn.from_onnx(existing(file), sizes=dict(sizes), trainable=trainable)


def with_inputs(graph: Graph, feed: dict[Any, Any]) -> dict[Any, Any]:
    """Return a feed with random numbers for the inputs of a model that it lacks; say so."""
    missing = [node for node in graph.placeholders if node.name not in feed]
    if graph not in SOURCES or not missing:
        return feed
    sizes = _sizes(graph, feed)
    added = ", ".join(f"{name} = {number}" for name, number in sizes.items())
    note(
        f"random numbers are the input for {', '.join(visible(node.name) for node in missing)}"
        + (f", with {added} (--size says otherwise)" if added else "")
    )
    rng = np.random.default_rng(0)
    return feed | {node.name: _random(node, sizes, rng) for node in missing}


def _sizes(graph: Graph, feed: dict[Any, Any]) -> dict[str, int]:
    """Return a size for each open dimension of the inputs: that of what is fed, or a usual one."""
    sizes: dict[str, int] = {}
    for node in sorted(graph.placeholders, key=lambda node: node.name not in feed):
        given = np.shape(feed.get(node.name, ()))  # of another number of axes, the run says so
        for axis, dim in enumerate(node.spec.shape):
            if axis < len(given) and isinstance(dim, str) and dim.isidentifier():
                sizes.setdefault(dim, given[axis])
            for name in sorted(names_in([dim])):
                sizes.setdefault(name, _OTHER if axis else _FIRST)
    return sizes


def _random(node: Node, sizes: dict[str, int], rng: np.random.Generator) -> Array:
    shape, dtype = concrete(node.spec.shape, sizes), node.spec.dtype
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, 2, shape).astype(dtype)
