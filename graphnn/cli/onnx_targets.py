"""Models of ONNX as targets of commands: their sizes, and inputs where none are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import graphnn as gn

from .._util.text import visible
from ..core.symbolic_shapes import concrete, names_in
from ..errors import GraphnnError
from .command_registry import Misuse, Value
from .feed_files import existing
from .screen import note

if TYPE_CHECKING:
    from ..core import Array, Graph, Node

MODEL = ".onnx"
_FIRST = 1
"""What an open size is taken as on the first axis of an input."""
_OTHERS = 32, 64, 48, 224, 512, 1024, 1280, 4096, 16000, *range(1, 32)
"""What it is taken as on the other axes: the first of these that the model takes."""


def model_of(file: str, given: Sequence[tuple[str, int] | Value], trainable: bool) -> Graph:
    """Return the graph of a model in a file, with these sizes, and values of inputs."""
    values = {each.name: each.number for each in given if isinstance(each, Value)}
    sizes = dict(each for each in given if not isinstance(each, Value))
    return gn.from_onnx(existing(file), sizes=sizes, values=values, trainable=trainable)


def with_inputs(graph: Graph, feed: dict[Any, Any]) -> dict[Any, Any]:
    """Return a feed with random numbers for the inputs of a model that it lacks; say so."""
    missing = [node for node in graph.placeholders if node.name not in feed]
    if not missing or "source" not in graph.caches:  # it was read from no model
        return feed
    sizes = _taken(graph, feed)
    added = ", ".join(f"{name} = {number}" for name, number in sizes.items())
    note(
        f"random numbers are the input for {', '.join(visible(node.name) for node in missing)}"
        + (f", with {added} (--size says otherwise)" if added else "")
    )
    rng = np.random.default_rng(0)
    return feed | {node.name: _random(node, sizes, rng) for node in missing}


def _taken(graph: Graph, feed: dict[Any, Any]) -> dict[str, int]:
    """Return a size for each open dimension of the inputs, such that the shapes in the model fit each other.

    Raises
    ------
    Misuse
        When none of those that are tried do.
    """
    usual, *others = [_sizes(graph, feed, other) for other in _OTHERS]
    if usual == others[0]:
        return usual  # what is fed says them all, or they are numbers
    why = _misfit(graph, usual)
    if why is None:
        return usual
    found = next((sizes for sizes in others if _misfit(graph, sizes) is None), None)
    if found is None:
        asked = [name for name, number in usual.items() if number != others[0][name]]
        raise Misuse(
            f"the model does not take the usual sizes for {', '.join(asked)}: give "
            f"{' '.join(f'--size {name}=N' for name in asked)}, or inputs with --feed. Where "
            f"{', '.join(f'{name} = {number}' for name, number in usual.items())}, {why}"
        )
    return found


def _misfit(graph: Graph, sizes: dict[str, int]) -> str | None:
    """Return why the shapes in a graph do not fit at these sizes, or None if they do."""
    try:
        gn.extract(graph.outputs, sizes=sizes)
    except GraphnnError as error:
        return error.account
    return None


def _sizes(graph: Graph, feed: dict[Any, Any], other: int) -> dict[str, int]:
    """Return a size for each open dimension of the inputs: that of what is fed, or one of a batch, or the other one."""
    sizes: dict[str, int] = {}
    for node in sorted(graph.placeholders, key=lambda node: node.name not in feed):
        given = np.shape(feed[node.name]) if node.name in feed else ()  # of another number of axes, the run says so
        for axis, dim in enumerate(node.spec.shape):
            if axis < len(given) and isinstance(dim, str) and dim.isidentifier():
                sizes.setdefault(dim, given[axis])
            for name in sorted(names_in([dim])):
                sizes.setdefault(name, other if axis else _FIRST)
    return sizes


def _random(node: Node, sizes: dict[str, int], rng: np.random.Generator) -> Array:
    shape, dtype = concrete(node.spec.shape, sizes), node.spec.dtype
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, 2, shape).astype(dtype)
