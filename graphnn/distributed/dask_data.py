"""Data that need not fit into memory: arrays and dataframes of Dask, and delayed shards, as batches."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import Node
from ..core.symbolic_shapes import names_in
from ..errors import NotFoundError, ShapeError, UsageError, ValueRangeError, near
from ..runtime.batches import CHUNKS, Batch, Batches, Shard, Split
from ..runtime.feed import checked_feed
from .lazy_chunks import Taken, files_of, rows_in

if TYPE_CHECKING:
    from ..core import Array, Graph


class Chunk:
    """A part of a set, which is loaded when it is needed: here, or by a worker."""

    def __init__(self, part: Any, taken: Taken, number: int, what: str) -> None:
        self.part, self.taken, self.number, self.what = part, taken, number, what

    def loaded(self) -> dict[str, Any]:
        """Load it here.

        Raises
        ------
        Exception
            What reading raises, with a note that names the chunk and its files.
        """
        import dask

        try:
            return self.taken.arrays(dask.compute(self.part)[0])
        except Exception as error:
            error.add_note(f"in {self}, which could not be read")
            raise

    def __str__(self) -> str:
        files = files_of(self.part)
        return f"chunk {self.number:,} of {self.what}{f' ({files})' if files else ''}"


class Chunks(Split):
    """A set in chunks. No batch has rows of two of them, and one chunk at a time is in memory.

    With a generator of random numbers, each pass takes the chunks in another order, and the rows within each.
    """

    def __init__(
        self, graph: Graph, parts: Sequence[Any], taken: Taken, counts: Sequence[int] | None, whole: Any, how: Any
    ) -> None:
        what, batch_size = how
        self.taken = taken
        self.cut = [graph[name] for name in taken.names]
        super().__init__(what, {name for node in self.cut for name in names_in(node.shape[:1])})
        self._graph, self.whole = graph, whole
        self.chunks = [Chunk(part, taken, number, what) for number, part in enumerate(parts)]
        self._counts = counts
        if not parts or (counts is not None and not sum(counts)):
            raise ValueRangeError(f"{what} is empty: it has no rows")
        self._asked = batch_size
        self.size = batch_size or (max(counts) if counts is not None else sys.maxsize)
        self._others: dict[Node, tuple[float, ...]] = {}  # the sizes of the other dimensions
        self._rng: Any = None
        self._drops = False
        self._at = ""  # the rows of the batch that was drawn last
        self._count()

    def _count(self) -> None:
        if self._counts is not None:
            self.length = sum(self._batches_in(count) for count in self._counts)
            self.is_whole = self.length == 1

    def _batches_in(self, rows: int) -> int:
        return rows // self.size if self._drops else -(-rows // self.size)

    def for_training(self, rng: Any, drop_last: bool) -> Chunks:
        """Return the same rows, in a new order in each pass if there is a generator of random numbers."""
        chunks = copy(self)
        chunks._rng, chunks._drops = rng, drop_last
        chunks._count()
        if chunks.length == 0:
            raise ValueRangeError(f"drop_last leaves nothing of chunks that have less than {self.size:,} rows each")
        return chunks

    def opened(self, skip: int = 0) -> Generator[Batch]:
        """Draw an order of the chunks and of their rows, and yield the batches from number `skip` on."""
        rng, came = self._rng, 0
        order = range(len(self.chunks)) if rng is None else rng.permutation(len(self.chunks)).tolist()
        seed = None if rng is None else int.from_bytes(rng.bytes(16), "little")
        for number in order:
            known = None if self._counts is None else self._batches_in(self._counts[number])
            if known is not None and came + known <= skip:
                came += known
                continue
            arrays = self.chunks[number].loaded()
            self.part, rows = str(self.chunks[number]), rows_in(arrays)
            # By indices in any case: a slice is a view, and whoever keeps a batch would keep its chunk.
            permuted = np.arange(rows) if seed is None else np.random.default_rng([seed, number]).permutation(rows)
            for place in range(self._batches_in(rows)):
                came += 1
                if came > skip:
                    first = place * self.size
                    size = min(self.size, rows - first)
                    part = permuted[first : first + size]
                    self._at = f": rows {first:,} to {first + size - 1:,} of {self.part}"
                    if seed is not None:
                        self._at += ", in the order that was drawn"
                    yield size, self._feed({name: array[part] for name, array in arrays.items()})
            del arrays
        if not came:
            raise ValueRangeError(f"{self.what} is empty: its chunks have no rows, or fewer than a batch")

    def _feed(self, arrays: Mapping[str, Any]) -> dict[Node, Array]:
        return {**self.whole, **{self._graph[name]: np.asarray(array) for name, array in arrays.items()}}

    def shapes(self, number: int) -> dict[Node, tuple[float, ...]]:
        """Return the shapes of the arrays of a chunk as far as they are known; NaN where they are not."""
        rows = np.nan if self._counts is None else self._counts[number]
        return {node: (rows, *self._others.get(node, (np.nan,) * (node.ndim - 1))) for node in self.cut}

    def shards(self) -> Iterator[Shard]:
        """Yield the chunks, not loaded."""
        for chunk in self.chunks:
            yield Shard(chunk, self.size, None if self._counts is None else self._counts[chunk.number])

    def rows_of(self, number: int, size: int) -> str:
        """Return the rows and the chunk."""
        return self._at

    def division(self) -> dict[str, int]:
        """Return the numbers of rows; zeros if they are not known."""
        if self._counts is None or self.length is None:
            return {"rows": 0, "batch_size": 0, "rows in batches": 0}
        used = sum(count - count % self.size * self._drops for count in self._counts)
        return {"rows": sum(self._counts), "batch_size": self.size, "rows in batches": used}


@CHUNKS.give()
def chunks_of(
    graph: Graph, data: Any, placeholders: Sequence[Node], what: str, batch_size: int | None
) -> Batches | None:
    """Return the batches of a mapping with arrays or columns of Dask, of a dataframe, or of delayed shards."""
    from dask import is_dask_collection

    how = what, batch_size
    if is_frame(data):
        return _of_columns(graph, data, {node: _column(data, node) for node in placeholders}, {}, how)
    if isinstance(data, Mapping):
        lazy = {key: value for key, value in data.items() if is_dask_collection(value)}
        if not lazy:
            return None
        nodes = {_node(graph, key): value for key, value in lazy.items()}
        given = checked_feed(graph, {key: value for key, value in data.items() if key not in lazy})[0]
        if any(is_frame(value) for value in nodes.values()):
            frame, columns = _one_frame(nodes)
            cut = [node for node in given if _has_rows(node)]
            if cut:
                raise UsageError(f'"{cut[0].name}" is an array, and the others are columns: give it as a column, too')
            return _of_columns(graph, frame, columns, given, how)
        return _of_arrays(graph, nodes, given, how)
    if isinstance(data, Sequence) and data and all(is_dask_collection(part) for part in data):
        return Chunks(graph, list(data), Taken(tuple([node.name for node in placeholders])), None, {}, how)
    if is_dask_collection(data):
        return _of_arrays(graph, {_only(placeholders, data): data}, {}, how)
    return None


def is_frame(data: Any) -> bool:
    """Tell whether data are a dataframe of Dask, or a column of one."""
    return hasattr(type(data), "to_dask_array")  # a delayed thing has attributes of any name


def _node(graph: Graph, key: Any) -> Node:
    """Return the placeholder that a key of a feed means, with the errors of a feed."""
    names = {node.name: node for node in graph.placeholders}
    node = names.get(key) if isinstance(key, str) else key
    if not isinstance(node, Node) or names.get(node.name) is not node:
        checked_feed(graph, {key: 0.0})
    assert isinstance(node, Node)
    return node


def _has_rows(node: Node) -> bool:
    return bool(node.shape) and isinstance(node.shape[0], str)


def _only(placeholders: Sequence[Node], data: Any) -> Node:
    if len(placeholders) != 1:
        names = ", ".join(f'"{node.name}"' for node in placeholders)
        raise UsageError(
            f"one {type(data).__name__} is given for {names}: a mapping {{placeholder: array}} tells what is what"
        )
    return placeholders[0]


# --- arrays -------------------------------------------------------------------------------------------------------


def _of_arrays(graph: Graph, lazy: Mapping[Node, Any], given: Mapping[Node, Any], how: Any) -> Chunks:
    import dask
    import dask.array as da

    wrong = next((node for node, value in lazy.items() if not isinstance(value, da.Array)), None)
    if wrong is not None:
        raise UsageError(
            f'the feed of "{wrong.name}" is a {type(lazy[wrong]).__name__} of Dask: give an array, a column of a '
            "dataframe, or a list of delayed shards as the data"
        )
    cut = {node: value for node, value in lazy.items() if _has_rows(node)}
    whole = {node: array for node, array in given.items() if not _has_rows(node)}
    whole |= {node: value.compute() for node, value in lazy.items() if node not in cut}
    first = next(iter(cut.values()), None)
    if first is None:
        raise UsageError("no array is split into batches: no placeholder has a name as its first dimension")
    rows = first.chunks[0]
    counts = None if any(np.isnan(rows)) else [int(count) for count in rows]
    for node in [node for node in given if _has_rows(node)]:
        if counts is None:
            raise UsageError(
                f'"{node.name}" is an array, and the number of rows in each chunk of the others is unknown: '
                "array.compute_chunk_sizes() finds out"
            )
        cut[node] = da.from_array(given[node], chunks=-1)
    blocks = []
    for node, array in cut.items():
        _check_declared(node, array, first, counts)
        alike = array.rechunk(
            {0: rows if counts is not None else array.chunks[0], **dict.fromkeys(range(1, array.ndim), -1)}
        )
        if len(alike.chunks[0]) != len(rows):
            raise ShapeError(
                f'"{node.name}" has {len(alike.chunks[0])} chunks of rows, and the others {len(rows)}, of sizes that '
                "are not known: array.compute_chunk_sizes() finds out"
            )
        blocks.append(alike.to_delayed().reshape(len(rows), -1)[:, 0])
    parts = [dask.delayed(list)(list(row)) for row in zip(*blocks, strict=True)]
    chunks = Chunks(graph, parts, Taken(tuple([node.name for node in cut])), counts, whole, how)
    chunks._others = {node: array.shape[1:] for node, array in cut.items()}
    return chunks


def _check_declared(node: Node, array: Any, first: Any, counts: Any) -> None:
    """Refuse what no chunk could be fed, before one is loaded."""
    if array.ndim != node.ndim or any(
        isinstance(dim, int) and not np.isnan(size) and dim != size
        for dim, size in zip(node.shape, array.shape, strict=True)
    ):
        raise ShapeError(
            f'the feed of "{node.name}" has shape {array.shape}; expected {node.spec}, as declared at {node.origin}'
        )
    if counts is not None and array.shape[0] != first.shape[0]:
        raise ShapeError(
            f'the arrays have different lengths: "{node.name}" has {array.shape[0]:,} rows, and another one has '
            f"{first.shape[0]:,}"
        )


# --- columns ------------------------------------------------------------------------------------------------------


def _column(frame: Any, node: Node) -> Any:
    """Return the column of the name of a placeholder."""
    known = [str(column) for column in getattr(frame, "columns", [getattr(frame, "name", "")])]
    if node.name not in known:
        raise NotFoundError(
            f'the dataframe has no column "{node.name}", which the placeholder is called.{near(node.name, known)} '
            "A mapping {placeholder: frame[columns]} tells what is what"
        )
    return node.name


def _one_frame(nodes: Mapping[Node, Any]) -> tuple[Any, dict[Node, Any]]:
    """Return the dataframe of which all are columns, and the columns."""
    from dask.dataframe import DataFrame
    from dask.dataframe.dask_expr import new_collection

    found: dict[str, Any] = {}
    columns: dict[Node, Any] = {}
    for node, value in nodes.items():
        if not is_frame(value):
            raise UsageError(
                f'"{node.name}" is a {type(value).__name__}, and others are columns of a dataframe: give all as '
                "columns, or all as arrays, column.to_dask_array(lengths=True)"
            )
        picked = type(value.expr).__name__ == "Projection"
        frame = value.expr.frame if picked else value.expr
        found[frame._name] = frame
        columns[node] = list(value.columns) if isinstance(value, DataFrame) else value.name
        if not picked and not isinstance(value, DataFrame):
            found[f"{frame._name} itself"] = frame
    if len(found) > 1:
        raise UsageError(
            "the columns are of several dataframes, or were computed one by one, and it is unknown whether their "
            "partitions have the same rows: make them columns of one, frame.assign(name=…), and pick them from that, "
            "{x: frame[names], labels: frame[name]}"
        )
    return new_collection(next(iter(found.values()))), columns


def _of_columns(graph: Graph, frame: Any, columns: Mapping[Node, Any], given: Mapping[Node, Any], how: Any) -> Chunks:
    wanted = [name for names in columns.values() for name in (names if isinstance(names, list) else [names])]
    # All columns at once: what reads fewer may put the rows of several files into one partition, or not.
    picked = frame[list(dict.fromkeys(wanted))] if hasattr(frame, "columns") else frame.to_frame()
    taken = Taken(tuple([node.name for node in columns]), tuple(columns.values()))
    return Chunks(graph, picked.to_delayed(), taken, None, given, how)
