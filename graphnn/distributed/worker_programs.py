"""What a worker computes: a graph in our own format with the names of what is asked of it, as bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..compiler.backends import BACKENDS
from ..compiler.compile import Compiled
from ..errors import FileFormatError
from ..io.container import dtype_of, pack, unpack
from ..io.graph_files import VERSION, from_data, to_data

if TYPE_CHECKING:
    from ..core import Array, Node
    from .bit_reproducibility import Facts

_KIND = "program"


class Program(NamedTuple):
    """A program as it is sent."""

    digest: str
    block: bytes
    facts: Facts | None
    """What the process that sends it computes with, where workers must be like it."""


def packed(fetches: Sequence[Node], backend: str | None, facts: Facts | None) -> Program:
    """Return the program that computes nodes. The values of parameters are not a part of it.

    Examples
    --------
    >>> from graphnn.core import Graph
    >>> w = Graph().parameter("w", [1.0, 2.0])
    >>> step = compiled(packed([w + w], None, None).block)
    >>> step.graph.state[step.graph["w"]] = [4.0, 5.0]
    >>> step()
    [array([ 8., 10.])]
    """
    data, arrays = to_data(list(fetches))
    state = {name: arrays.pop(name) for name in [node.name for node in fetches[0].graph.state] if name in arrays}
    about = {
        "graph": data,
        "format": VERSION,
        "fetches": [node.name for node in fetches],
        "backend": backend,
        "state": [[name, value.dtype.name, list(value.shape)] for name, value in state.items()],
    }
    block = pack(_KIND, about, arrays)
    return Program(blake2b(block, digest_size=16).hexdigest(), block, facts)


def compiled(block: bytes) -> Compiled:
    """Return a program as a compiled step, its parameters zero. The bytes are checked as a file from anybody is.

    Raises
    ------
    FileFormatError
        When they are not a program, or use an operation that is not defined here.
    """
    about, arrays = unpack(block, _KIND)
    match about:
        case {"graph": data, "format": int(version), "fetches": [*names], "backend": backend, "state": [*state]}:
            if version > VERSION or not (backend is None or backend in BACKENDS):
                raise FileFormatError(f"the program is of a newer graphnn: format {version}, backend {backend!r}")
            try:
                graph = from_data(data, arrays | dict(map(_zeros, state)))
                return Compiled([graph[name] for name in names], backend=backend, graph=graph)
            except FileFormatError as error:
                raise error.within(
                    "a worker cannot read the program: ",
                    "an operation of your own is defined on workers by dask worker --preload YOUR_MODULE, or by "
                    "client.run(importlib.import_module, name)",
                ) from None
    raise FileFormatError("the bytes are not a program: they lack its graph or its fetches")


def _zeros(entry: Any) -> tuple[str, Array]:
    match entry:
        case [str(name), str(dtype), [*shape]] if all(type(size) is int for size in shape):
            return name, np.zeros(shape, dtype_of(dtype))
    raise FileFormatError("the program does not tell the shapes of its parameters")


def named(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what is given by nodes, or by their names, by their names."""
    return {getattr(node, "name", node): value for node, value in values.items()}
