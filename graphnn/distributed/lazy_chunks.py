"""Parts of data that are loaded when they are needed: which arrays they hold, and from which files they come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

import numpy as np

from ..errors import NotFoundError, ShapeError, UsageError, near

_MOST_LOOKED_AT = 10_000  # parts of a task, for names of files
_MOST_FILES = 3  # in a message


class Taken(NamedTuple):
    """Which arrays are taken of what is loaded.

    Attributes
    ----------
    names : tuple of str
        The placeholders.
    columns : tuple, optional
        For a dataframe: for each placeholder, a column or a list of them. None: what is loaded is a feed, the arrays in
        this order, or the only one.
    """

    names: tuple[str, ...]
    columns: tuple[Any, ...] | None = None

    def arrays(self, loaded: Any) -> dict[str, Any]:
        """Return the arrays of what was loaded, by placeholder."""
        if self.columns is not None:
            return {name: loaded[columns].to_numpy() for name, columns in zip(self.names, self.columns, strict=True)}
        if isinstance(loaded, Mapping):
            unknown = [name for name in loaded if name not in self.names]
            if unknown:
                raise NotFoundError(f"a shard has {unknown[0]!r}, which is not needed.{near(unknown[0], self.names)}")
            lacking = [name for name in self.names if name not in loaded]
            if lacking:
                raise NotFoundError(f"a shard lacks {', '.join(lacking)}, which are needed")
            return {name: loaded[name] for name in self.names}
        found = [loaded] if hasattr(loaded, "__array__") else loaded
        if not isinstance(found, (tuple, list)) or len(found) != len(self.names):
            what = f"{len(found)} arrays" if isinstance(found, (tuple, list)) else type(found).__name__
            raise UsageError(
                f"a shard is {{name of a placeholder: array}}, or the arrays for {', '.join(self.names)}, in this "
                f"order; {what} came"
            )
        return dict(zip(self.names, found, strict=True))


def rows_in(arrays: Mapping[str, Any]) -> int:
    """Return how many rows arrays have.

    Raises
    ------
    ShapeError
        When they have different numbers.
    """
    lengths = {name: len(array) for name, array in arrays.items()}
    if len({*lengths.values()}) > 1:
        listed = ", ".join(f'"{name}" has {length:,}' for name, length in lengths.items())
        raise ShapeError(f"the arrays of a chunk have different lengths: {listed}")
    return next(iter(lengths.values()))


def in_batches(
    arrays: Mapping[str, Any], size: int | None, rows: int | None, start: int = 0
) -> Iterator[tuple[int, int, int, dict[str, Any]]]:
    """Yield the number of each batch from `start` on, its first row, how many it has, and its arrays.

    Parameters
    ----------
    arrays : mapping of str to array
    size : int or None
        Rows of a batch; None: all is one batch, which has so many `rows`.
    rows : int or None
    start : int
    """
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    if size is None:
        yield from [(0, 0, rows or 0, arrays)][start:]
        return
    rows = rows_in(arrays)
    for number in range(start, -(-rows // size)):
        first = number * size
        yield (
            number,
            first,
            min(size, rows - first),
            {name: array[first : first + size] for name, array in arrays.items()},
        )


def files_of(part: Any) -> str:
    """Return a clause with the files that a delayed part reads, as far as its tasks tell."""
    graph = part.__dask_graph__()
    if hasattr(graph, "cull"):
        graph = graph.cull({*part.__dask_keys__()})
    todo: list[Any] = [_reached(dict(graph), part.__dask_keys__())]
    found: dict[str, None] = {}
    for _ in range(_MOST_LOOKED_AT):
        if not todo:
            break
        each = todo.pop()
        if isinstance(each, str | PurePath) or isinstance(getattr(each, "path", None), str):
            path = str(getattr(each, "path", each)) if not isinstance(each, str | PurePath) else str(each)
            if ("/" in path or "\\" in path) and PurePath(path).suffix and "\n" not in path:
                found[path] = None
        elif isinstance(each, Mapping):
            todo += each.values()
        elif isinstance(each, Sequence | set | frozenset) and not isinstance(each, bytes | range):
            todo += each
        else:
            todo += [getattr(each, name) for name in ("args", "kwargs") if hasattr(each, name)]
    names = list(found)
    return ", ".join(names[:_MOST_FILES]) + (", …" if len(names) > _MOST_FILES else "")


def _reached(graph: Mapping[Any, Any], keys: Sequence[Any]) -> list[Any]:
    """Return the tasks that keys need."""
    todo, seen = [key for key in _flat(keys) if key in graph], {}
    while todo:
        key = todo.pop()
        if key not in seen:
            seen[key] = graph[key]
            todo += [each for each in getattr(graph[key], "dependencies", ()) if each in graph]
    return list(seen.values())


def _flat(keys: Any) -> list[Any]:
    return [each for key in keys for each in (_flat(key) if isinstance(key, list) else [key])]
