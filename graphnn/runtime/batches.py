"""What is computed batch by batch: batches split from arrays, or as a loader or a generator yields them.

Data of other kinds, which need not be in memory, are read by a higher room.
"""

from __future__ import annotations

import math
import operator
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from copy import copy
from typing import TYPE_CHECKING, Any, NamedTuple

from .._util.callables import check_takes
from .._util.missing import needed
from .._util.ports import Port
from .._util.text import counted
from ..core.attributes import whole
from ..core.fetches import ancestors
from ..core.symbolic_shapes import names_in
from ..errors import ShapeError, UsageError, ValueRangeError
from .feed import Feed, checked_feed

if TYPE_CHECKING:
    import numpy as np

    from ..core import Array, Graph, Node

Data = Feed | Iterable[Any] | Callable[[], Iterable[Any]]
"""A feed of arrays, an iterable of batches, or a function that returns one."""
Batch = tuple[int, Feed]
"""The number of rows, and the feed."""


class _Usual(int):
    """A number that nobody has given."""


USUAL_SIZE = _Usual(32)
"""The rows of a batch by default."""
_MOST_ROWS_SHOWN = 64  # rows of a batch in a message
_OF_A_SHARD = 32  # batches


class Shard(NamedTuple):
    """A part of a set that workers elsewhere can compute, a whole number of batches.

    Attributes
    ----------
    feed : mapping, or what has a method `loaded` that returns one
        In text, what it is of the data; "" for a mapping.
    size : int or None
        Rows of a batch; None: it is one batch.
    rows : int or None
        How many it has; None where that shows only when it is loaded.
    """

    feed: Any
    size: int | None
    rows: int | None

    @property
    def part(self) -> str:
        """Which part of the data it is, where they have parts; else nothing."""
        return "" if isinstance(self.feed, Mapping) else str(self.feed)

    def first_feed(self) -> dict[Any, Any]:
        """Return its first batch, having loaded it."""
        feed = self.feed if isinstance(self.feed, Mapping) else self.feed.loaded()
        return {key: array if self.size is None else array[: self.size] for key, array in feed.items()}


class BatchedData(ABC):
    """Data that say themselves in which batches they are split: what `nn.Loader` is to this room."""

    @abstractmethod
    def _given(self) -> tuple[Any, int | None]:
        """Return the data, and the rows of a batch."""


class Batches(ABC):
    """A set that is gone through batch by batch, pass after pass."""

    once = False
    """Whether there is only one pass."""
    is_whole = False
    """Whether all rows are in one batch."""
    length: int | None = None
    """The number of batches of a pass, if it is known."""

    def __init__(self, what: str, sizes: set[str]) -> None:
        self.what = what
        self.whole: dict[Node, Any] = {}
        """What each batch is fed beside its rows."""
        self.part = ""
        """Which part of the data the present batch is of, where they have parts."""
        self._sizes = sizes  # names of the numbers of rows

    @abstractmethod
    def opened(self, skip: int = 0) -> Generator[Batch]:
        """Begin a pass, and yield its batches from number `skip` on."""

    @abstractmethod
    def division(self) -> dict[str, int]:
        """Return what must be the same where a checkpoint from within an epoch resumes; 0 where it does not apply."""

    @abstractmethod
    def shards(self) -> Iterator[Shard]:
        """Begin a pass, and yield the set in parts, in order, without what is fed whole."""

    def rows_of(self, number: int, size: int) -> str:
        """Return which rows are in a batch of the present pass, for an error."""
        return ""

    def close(self) -> None:  # noqa: B027 - only what comes from a generator has something to close
        """Close a generator that the user gave."""

    def reduced_by(self, node: Node) -> bool:
        """Return whether an operand of a node has the dimension of the rows."""
        return any(not self._sizes.isdisjoint(names_in(operand.shape)) for operand in node.inputs)


class Split(Batches):
    """A set whose rows are split into batches here: in any size, and in any order."""

    size: int
    """The most rows of a batch."""

    @abstractmethod
    def for_training(self, rng: np.random.Generator | np.random.RandomState | None, drop_last: bool) -> Split:
        """Return the same rows, in a new order in each pass if there is a generator of random numbers."""


class Rows(Split):
    """A feed of arrays that is split into batches."""

    def __init__(self, graph: Graph, feed: Feed, batch_size: int | None, what: str, why: str = "") -> None:
        given = checked_feed(graph, feed)[0]
        lengths = {node: len(array) for node, array in given.items() if _is_named(node)}
        differ = len(set(lengths.values())) > 1
        if differ and (why or batch_size is not None):
            listed = ", ".join(f'"{node.name}" {node.spec} has {length:,}' for node, length in lengths.items())
            why = why or (
                "an array is not split if the first dimension of its placeholder is a number, and with "
                "batch_size=None, none is"
            )
            raise ShapeError(f"the arrays of {what} have different lengths: {listed}; {why}")
        self.cut = {} if differ else {node: given[node] for node in lengths}
        super().__init__(what, _row_names(self.cut))
        self.whole = {node: array for node, array in given.items() if node not in self.cut}
        lengths = {node: lengths[node] for node in self.cut}
        self.count: int = next(iter(lengths.values()), 1)
        if not self.count:
            names = ", ".join(f'"{node.name}"' for node in self.cut)
            raise ValueRangeError(f"{what} is empty: no rows for {names}")
        self._graph, self._asked = graph, batch_size
        self._rng: np.random.Generator | np.random.RandomState | None = None
        self._order: Array | None = None
        self._cut_into(batch_size or self.count, self.count)

    def _cut_into(self, size: int, used: int) -> None:
        self.size, self.used = size, used
        self.length = -(-used // size)
        self.is_whole = size >= self.count

    def for_training(self, rng: np.random.Generator | np.random.RandomState | None, drop_last: bool) -> Rows:
        """Return the same rows, in a new order in each pass if there is a generator of random numbers."""
        used = self.count - self.count % self.size if drop_last else self.count
        if not used:
            raise ValueRangeError(f"drop_last leaves nothing of {self.count:,} rows in batches of {self.size:,}")
        rows = copy(self)
        rows._rng = rng
        rows._cut_into(self.size, used)
        return rows

    def split(self, share: float) -> tuple[Rows, Rows]:
        """Return the first rows and the last ones, of which there is this share."""
        if not self.cut:
            listed = ", ".join(
                f'"{node.name}" {node.spec} has shape {array.shape}' for node, array in self.whole.items()
            )
            raise ShapeError(
                f"validation={share:g} takes the last rows of arrays of one length, each of a placeholder whose first "
                f"dimension has a name, and {listed or 'nothing was fed'}: give other arrays as validation="
            )
        first = math.floor(round(self.count * (1.0 - share), 6))  # 10 · (1 - 0.9) is a little less than 1
        if not 0 < first < self.count:
            raise ValueRangeError(
                f"validation={share:g} of {self.count:,} rows leaves nothing to "
                f"{'validate with' if first else 'train on'}"
            )
        feeds = [{node: array[rows] for node, array in self.cut.items()} for rows in (slice(first), slice(first, None))]
        kept, apart = (self.whole | feed for feed in feeds)
        return (
            Rows(self._graph, kept, self._asked, self.what),
            Rows(self._graph, apart, self._asked, "the validation set"),
        )

    def opened(self, skip: int = 0) -> Generator[Batch]:
        """Draw an order of the rows, and yield the batches from number `skip` on."""
        self._order = None if self._rng is None else self._rng.permutation(self.count)
        for first in range(skip * self.size, self.used, self.size):
            rows: Any = slice(first, first + self.size)
            size = min(self.size, self.count - first)
            if self._order is not None:
                rows = self._order[rows]
            yield size, {**self.whole, **{node: array[rows] for node, array in self.cut.items()}}

    def shards(self) -> Iterator[Shard]:
        """Yield some batches at a time."""
        most = self.size * _OF_A_SHARD
        for first in range(0, self.used, most):
            feed = {node: array[first : min(first + most, self.used)] for node, array in self.cut.items()}
            yield Shard(feed, self.size if self.cut else None, min(most, self.used - first))

    def division(self) -> dict[str, int]:
        """Return the numbers of rows."""
        return {"rows": self.count, "batch_size": self.size, "rows in batches": self.used}

    def rows_of(self, number: int, size: int) -> str:
        """Return the rows, by their indices."""
        first = number * self.size
        rows = f"{first:,} to {first + size - 1:,}"
        if self._order is not None:
            taken = self._order[first : first + min(size, _MOST_ROWS_SHOWN)].tolist()
            rows = f"{', '.join(map(str, taken))}{', …' if size > _MOST_ROWS_SHOWN else ''}, in this order"
        return f": rows {rows}"


class Stream(Batches):
    """Batches as a loader, a generator, or what a function returns, yields them.

    A batch is a feed, or a tuple or list of arrays for the placeholders, in their order.
    """

    def __init__(self, graph: Graph, source: Any, placeholders: Sequence[Node], what: str) -> None:
        super().__init__(what, _row_names(placeholders))
        self.once = isinstance(source, Iterator)
        self._graph, self._source, self._placeholders = graph, source, placeholders
        self._came = 0  # batches, of this pass or of the only one
        if isinstance(source, Iterable):
            with suppress(NotImplementedError):
                self.length = operator.length_hint(source, 0) or None

    def opened(self, skip: int = 0) -> Generator[Batch]:
        """Begin to iterate, pass over `skip` batches unless the source goes on by itself, and yield the others."""
        iterator = self._source if self.once else self._begun()
        try:
            if not self.once:
                self._came = 0
                while self._came < skip:
                    if next(iterator, self) is self:
                        raise ValueRangeError(
                            f"the checkpoint was written after {skip:,} batches of {self.what}, which yields only "
                            f"{self._came:,} now: resume with the same data"
                        )
                    self._came += 1
            for batch in iterator:
                self._came += 1
                yield self._batch(batch)
            if not self._came:
                source = self._source
                named = getattr(source, "__qualname__", None) or f"a {type(source).__name__}"
                raise ValueRangeError(f"{self.what} is empty: {named} yielded no batch")
        finally:
            if not self.once:
                _close(iterator)

    def _begun(self) -> Iterator[Any]:
        """Return an iterator that begins anew."""
        source = self._source if isinstance(self._source, Iterable) else self._source()
        if not isinstance(source, Iterable):
            raise UsageError(
                f"the function for {self.what} returns an iterator of batches, not {type(source).__name__}"
            )
        return iter(source)

    def _batch(self, batch: Any) -> Batch:
        feed = batch
        if not isinstance(batch, Mapping):
            arrays = (batch,) if hasattr(batch, "__array__") else batch
            names = ", ".join(f'"{node.name}"' for node in self._placeholders)
            if not isinstance(arrays, (tuple, list)):
                raise UsageError(
                    "a batch is a feed {placeholder: array}, or a tuple or list of the arrays for "
                    f"{names}, not {type(batch).__name__}"
                )
            if len(arrays) != len(self._placeholders):
                told = "a batch {placeholder: array} tells what is what"
                if arrays is not batch:
                    told = f"if {self.what} is not in batches yet, give arrays of all rows: {{placeholder: array}}"
                raise UsageError(
                    f"the batch has {counted(len(arrays), 'array')}, and {len(self._placeholders)} placeholders are to "
                    f"be fed: {names}, in this order; {told}"
                )
            feed = dict(zip(self._placeholders, arrays, strict=True))
        why = (
            'give an array that is not split into rows a first axis of 1, as in placeholder("edges", (1, "m")), '
            "or call step(batch) in a loop of your own"
        )
        rows = Rows(self._graph, feed, None, "the batch", why)
        return rows.count, {**rows.whole, **rows.cut}

    def shards(self) -> Iterator[Shard]:
        """Yield each batch."""
        with closing(self.opened()) as batches:
            for size, feed in batches:
                yield Shard(feed, None, size)

    def division(self) -> dict[str, int]:
        """Return zeros: nothing is known of the rows to come."""
        return {"rows": 0, "batch_size": 0, "rows in batches": 0}

    def close(self) -> None:
        """Close the generator, if it is one."""
        _close(self._source)


def batches_of(
    graph: Graph,
    data: Any,
    placeholders: Sequence[Node],
    what: str,
    batch_size: int | None,
) -> Batches:
    """Return the batches of what a user gave. Of a `Loader`: all rows, in their order.

    Raises
    ------
    UsageError
        When it is neither a feed nor iterable nor a function.
    GraphnnError
        When it is a feed that does not fit the graph.
    """
    if isinstance(data, BatchedData):
        data, batch_size = data._given()
    if "dask" in sys.modules:
        first = next(iter(data), None) if isinstance(data, Sequence) else data
        if holds_chunks(data) or _is_lazy(first):
            chunks = needed(CHUNKS, "what reads data of Dask")(graph, data, placeholders, what, batch_size)
            if chunks is not None:
                return chunks
    if isinstance(data, Mapping):
        return Rows(graph, data, batch_size, what)
    if hasattr(data, "__array__") or not (isinstance(data, Iterable) or callable(data)):
        indexed = ": torch.utils.data.DataLoader makes batches of it" if hasattr(data, "__getitem__") else ""
        raise UsageError(
            f"{what} is a feed {{placeholder: array}}, an iterable of batches such as a loader, or a function that "
            f"returns one, not {type(data).__name__}{'' if hasattr(data, '__array__') else indexed}"
        )
    if not isinstance(data, Iterable):
        check_takes(f"the function for {what}", data)
    return Stream(graph, data, placeholders, what)


CHUNKS: Port[Callable[[Graph, Any, Sequence[Node], str, int | None], Batches | None]] = Port("data in chunks")
"""What returns the batches of data that need not be in memory: it takes what `batches_of` takes."""


def holds_chunks(data: Any) -> bool:
    """Tell whether data are a mapping with values that need not be in memory, as arrays of Dask are."""
    return "dask" in sys.modules and isinstance(data, Mapping) and any(map(_is_lazy, data.values()))


def splits(data: Any) -> bool:
    """Tell whether data are rows to split into batches: a mapping of arrays, or what Dask has in chunks."""
    parts = data if isinstance(data, Sequence) else [data]
    return isinstance(data, Mapping) or ("dask" in sys.modules and len(parts) > 0 and all(map(_is_lazy, parts)))


def named_in(data: Any) -> Mapping[Any, Any]:
    """Return what the keys of a feed, or of the feed in a `Loader`, name; nothing for other data."""
    data = data._given()[0] if isinstance(data, BatchedData) else data
    return data if isinstance(data, Mapping) else {}


def _is_lazy(data: Any) -> bool:
    return hasattr(data, "__dask_graph__") and data.__dask_graph__() is not None


def checked_size(batch_size: Any) -> int | None:
    """Return the rows of a batch, or None for all rows.

    Raises
    ------
    UsageError, ValueRangeError
        When it is neither.
    """
    if batch_size is None or batch_size is USUAL_SIZE:
        return batch_size and int(batch_size)
    return whole("batch_size", batch_size, 1)


def check_applies(what: str, data: Any, **given: bool) -> None:
    """Raise an error if settings of arrays were given for data that are batches, or that have their own settings.

    Raises
    ------
    UsageError
    """
    name = next((name for name, is_given in given.items() if is_given), None)
    if name is not None and isinstance(data, BatchedData):
        raise UsageError(f"{what} is a Loader, which has its own {name}: write nn.Loader(data, {name}=…)")
    if name is not None and not splits(data):
        raise UsageError(f"{name} is for arrays that are split; the batches of {what} come as they are: leave it out")


def needed_placeholders(graph: Graph, nodes: Iterable[Node]) -> list[Node]:
    """Return the placeholders that nodes need, in the order in which they were made."""
    needed = ancestors(nodes)
    return [node for node in graph.placeholders if node in needed]


def _row_names(nodes: Iterable[Node]) -> set[str]:
    return {name for node in nodes if _is_named(node) for name in names_in(node.shape[:1])}


def _is_named(node: Node) -> bool:
    return bool(node.shape) and isinstance(node.shape[0], str)


def _close(iterator: Any) -> None:
    if isinstance(iterator, Generator):
        iterator.close()
