"""The parameters of a layer under the names by which it holds them, and their values from elsewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._util.numpy_warnings import quietly
from ...compiler.compile import updating
from ...core import Array, Node, as_array, is_immutable, may_become
from ...core.arrays import warn_of_overflow
from ...core.symbolic_shapes import shown
from ...errors import DtypeError, NotFoundError, ShapeError, UsageError, near
from ...io.safetensors import read_safetensors
from ..argument_validation import check_choice

if TYPE_CHECKING:
    from .layer import Layer

LAYOUTS = ("graphnn", "torch")
_MOST_NAMED = 5  # names in a message

# (what it is in, its name there). A path is made of it only where it is wanted: deep in collections, paths are long.
_Place = tuple[()] | tuple["_Place", str]


class Held:
    """What a layer holds, and the layers in it, each under its path: ``blocks.0.attention.query``.

    Attributes
    ----------
    layers : dict of str to Layer
        Each layer once, under its first path. That of the whole is "".
    nodes : dict of str to Node
        Each parameter once, under its first path.
    again : dict of str to str
        {another path of a layer or parameter: its first path}.
    """

    def __init__(self, whole: Layer) -> None:
        self.layers: dict[str, Layer] = {}
        self.nodes: dict[str, Node] = {}
        self.again: dict[str, str] = {}
        first: dict[Any, _Place] = {}
        waiting: list[tuple[_Place, Any]] = [((), whole)]
        while waiting:
            place, thing = waiting.pop()
            if isinstance(thing, Node):
                if thing not in thing.graph.state:
                    continue
                key: Any = thing
            else:
                key = id(thing)
            if key in first:
                self.again[_path(place)] = _path(first[key])
                continue
            first[key] = place
            if isinstance(thing, Node):
                self.nodes[_path(place)] = thing
                continue
            if _is_layer(thing):
                self.layers[_path(place)] = thing
            waiting.extend([((place, name) if place or name else (), part) for name, part in _inside(thing)][::-1])

    def values(self) -> dict[str, Array]:
        """Return the values of the parameters, apart from the counters of random nodes."""
        return {path: node.value for path, node in self.nodes.items() if not _counts(node)}

    def named(self, state: Mapping[str, Any], layout: str) -> dict[str, Array]:
        """Return the arrays of a state under the first paths of what they are for, in the layout used here."""
        given = {path: _as_array(path, value) for path, value in state.items()}
        for other, first in self.again.items():
            for path in [path for path in given if path == other or path.startswith(f"{other}.")]:
                given.setdefault(first + path[len(other) :], given.pop(path))
        if layout == "torch":
            for path, layer in self.layers.items():
                inside = f"{path}." if path else ""
                own = {name[len(inside) :]: given.pop(name) for name in list(given) if name.startswith(inside)}
                given |= {f"{inside}{name}": array for name, array in layer._from_torch(own).items()}
        return given

    def set(self, state: Mapping[str, Any], layout: str) -> None:
        """Set the values of all parameters, or of none."""
        given = self.named(state, layout)
        missing = [path for path, node in self.nodes.items() if path not in given and not _counts(node)]
        unknown = [path for path in given if path not in self.nodes]
        if missing or unknown:
            what = f"lacks {_listed(missing)}" if missing else ""
            more = f"holds {_listed(unknown)}, which the layer does not have" if unknown else ""
            hint = near(unknown[0], missing) if unknown and missing else ""
            raise NotFoundError(f"the state {' and '.join(filter(None, [what, more]))}.{hint}")
        for graph in {node.graph for node in self.nodes.values()}:
            with updating(graph):
                graph.state.update({self.nodes[path]: _fitted(self.nodes[path], path, given[path]) for path in given})


def _path(place: _Place) -> str:
    names = []
    while place:
        place, name = place
        names.append(name)
    return ".".join(reversed(names))


def checked_state(what: str, state: Any, layout: Any) -> Mapping[str, Any]:
    """Return a state, read from a file if a path is given."""
    check_choice(what, "layout", layout, LAYOUTS)
    if isinstance(state, (str, os.PathLike)):
        return read_safetensors(state)
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise UsageError(
            f"{what} takes {{name: array}}, as layer.state_dict() returns it, or the path of a safetensors file, "
            f"not {type(state).__name__}"
        )
    return state


def compact(array: Array) -> Array:
    """Return an array of these values; if they are all alike, it takes the memory of one number."""
    first = array.reshape(-1)[:1].copy()
    return np.broadcast_to(first[0], array.shape) if array.size and (array == first).all() else array


def _inside(thing: Any) -> Iterator[tuple[str, Any]]:
    """Yield the layers, parameters and collections in a layer or a collection."""
    if _is_layer(thing):
        parts = thing._held()
    else:
        parts = thing.items() if isinstance(thing, Mapping) else enumerate(thing)
    for name, part in parts:
        if isinstance(part, (Node, list, tuple, Mapping)) or _is_layer(part):
            yield attribute_name(str(name)), part


def _is_layer(thing: Any) -> bool:
    return hasattr(type(thing), "_held")


def attribute_name(name: str) -> str:
    """Return the name of an attribute without underscores around it.

    Examples
    --------
    >>> [attribute_name(name) for name in ("query", "_query", "_Attention__query")]
    ['query', 'query', 'query']
    """
    return re.sub(r"^_[^_]\w*?__(?=\w)", "", name).strip("_")


def _counts(node: Node) -> bool:
    """Return whether a parameter is a counter, which moves on whenever it is read."""
    return (node, node) in node.graph.advances


def _as_array(path: str, value: Any) -> Array:
    if hasattr(value, "detach"):  # a tensor of PyTorch
        value = value.detach().cpu()
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    return as_array(value, f'"{path}" of the state')


def _fitted(node: Node, path: str, array: Array) -> Array:
    """Return a value as a parameter takes it: of its shape, and of its dtype."""
    if array.shape != node.shape:
        raise ShapeError(f'"{path}" has shape {shown(node.shape)}; the state has {shown(array.shape)} for it')
    if not may_become(array.dtype, node.dtype):
        raise DtypeError(f'"{path}" is {node.dtype}; the state has {array.dtype} for it')
    if array.dtype == node.dtype and is_immutable(array):  # of a mapped file: it stays there
        return array
    fitted: Array = quietly(array.astype, node.dtype)
    warn_of_overflow(array, fitted, f'"{path}" of the state')
    return fitted


def _listed(paths: list[str]) -> str:
    more = f" and {len(paths) - _MOST_NAMED:,} more" if len(paths) > _MOST_NAMED else ""
    return ", ".join(f'"{path}"' for path in paths[:_MOST_NAMED]) + more
