"""What a trace of digests keeps: of each value statistics, a hash and a few elements, in a row of 144 bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from struct import Struct
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ...core import Array, Graph, Node
from ...errors import FileFormatError, NotFoundError
from ...io.container import dtype_of
from .value_statistics import SAMPLE, Condensed, Stats, digest_of, is_valid, preview_of, stats_of, strides

if TYPE_CHECKING:
    from ...runtime.evaluation_loop import Prepared

DIGESTS = "digests"
"""What ``keep=`` is given for such a trace."""
_ROW = Struct("<4d4q16s64s")  # statistics, counts, hash, elements
_LEAVES = ("parameter", "constant")


class Digests(Sequence[Any]):
    """What is kept of each value, by its place in the schedule: an array of up to `SAMPLE` elements, or `Condensed`.

    Parameters
    ----------
    prepared : Prepared
        The run; what it was given is not kept.
    rows : bytes
        Those of a file.
    """

    def __init__(self, prepared: Prepared, rows: bytes = b"") -> None:
        self.prepared = prepared._replace(given={}, before={})
        self._rows = bytearray(rows)

    def append(self, value: Array) -> None:
        """Take the next value: what is kept of it."""
        self._rows += row_of(value)

    def __len__(self) -> int:
        return len(self._rows) // _ROW.size

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        node = self.prepared.program.order[place]
        shape = self.prepared.shape_of(node)
        *numbers, digest, raw = _ROW.unpack_from(self._rows, place * _ROW.size)
        sizes = strides(shape, SAMPLE)[1]
        part = np.frombuffer(raw, node.dtype.newbyteorder("<"), math.prod(sizes)).reshape(sizes)
        # A file may hold other bools than 0 and 1.
        part = np.asarray(part.view(np.uint8) != 0) if node.dtype.kind == "b" else part.astype(node.dtype)
        part.flags.writeable = False
        size = math.prod(shape)
        return part if size <= SAMPLE else Condensed(Stats._make((*numbers, size)), part, digest.hex())

    def __iter__(self) -> Iterator[Any]:
        return map(self.__getitem__, range(len(self)))

    def encoded(self) -> Array:
        """Return the rows, as a file holds them."""
        return np.frombuffer(bytes(self._rows), np.uint8).reshape(-1, _ROW.size)


def row_of(value: Array) -> bytes:
    """Return what is kept of a value: a row of bytes."""
    stats, part = stats_of(value), preview_of(value, SAMPLE)
    sample = part.astype(part.dtype.newbyteorder("<"), copy=False).tobytes()
    return _ROW.pack(*stats[:8], bytes.fromhex(digest_of(value)), sample)


def decoded(prepared: Prepared, rows: Array) -> Digests:
    """Return what a file has kept, checked.

    Raises
    ------
    FileFormatError
    """
    if rows.dtype != np.uint8 or rows.shape[1:] != (_ROW.size,) or len(rows) > len(prepared.program.order):
        raise FileFormatError("its digests are not a row for each node")
    found = Digests(prepared, rows.tobytes())
    for place, kept in enumerate(found):
        if isinstance(kept, Condensed) and not is_valid(kept.stats, prepared.shape_of(prepared.program.order[place])):
            raise FileFormatError(f"the statistics of node {place} are not valid")
    return found


# --- a graph whose values are not kept ------------------------------------------------------------------------


def blanks(graph: Graph) -> dict[Node, Array]:
    """Return arrays of no memory in the place of the values of parameters and constants."""
    return {node: _blank(node.dtype, node.shape) for node in graph if node.has_value}


def blanks_of(data: Mapping[str, Any]) -> dict[str, Array]:
    """Return the same by name, from the data of a graph."""
    nodes, specs, names = data["nodes"], data["specs"], data["operations"]["name"]
    return {
        name: _blank(dtype_of(specs["dtype"][spec]), specs["shape"][spec])
        for name, operation, spec in zip(nodes["name"], nodes["operation"], nodes["spec"], strict=True)
        if names[operation] in _LEAVES
    }


def _blank(dtype: np.dtype[Any], shape: Sequence[Any]) -> Array:
    return np.broadcast_to(np.zeros((), dtype), tuple(shape))


def forget_values(graph: Graph, known: Mapping[Node, Array]) -> None:
    """Let a graph that was read with blanks have no values but the `known` ones of constants."""
    constants = {node: value for node, value in known.items() if node.op.is_constant}
    # The graph has these tables for good; it makes no others.
    object.__setattr__(graph, "state", _Forgotten(graph.name))
    object.__setattr__(graph, "_constants", _Forgotten(graph.name, constants))


class _Forgotten(dict[Node, Array]):
    """A table whose values nobody has kept: asking for one is refused, and so is a run, which asks for all."""

    def __init__(self, name: str, known: Mapping[Node, Array] = {}) -> None:
        super().__init__(known)
        self._name = name

    def _refused(self, what: str) -> NoReturn:
        raise NotFoundError(
            f'{what} not known: "{self._name}" was read from a file of digests, which holds no values; '
            "build the graph, or load it from its own file, to run it"
        )

    def __missing__(self, node: Node) -> NoReturn:
        kind = "parameter" if node.op.is_parameter else "constant"
        self._refused(f'the value of the {kind} "{node.name}" is')

    def __or__(self, other: Any) -> NoReturn:
        self._refused("the values of the parameters are")
