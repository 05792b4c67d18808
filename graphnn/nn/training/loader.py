"""A loader: arrays in batches, in a new order each time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._util.text import short_repr, with_article
from ...core import Node
from ...errors import UsageError
from ...runtime.batches import BatchedData, Split, batches_of, checked_size, named_in, splits
from ..argument_validation import checked_flag
from ..init import Rng, checked_rng

if TYPE_CHECKING:
    from ...runtime.feed import Feed


@dataclass(frozen=True, eq=False, repr=False)
class Loader(BatchedData):
    """Arrays that are split into batches, in a new order each time: ``nn.fit(step, nn.Loader(data, batch_size=64))``.

    ``for batch in loader`` goes through them once; a batch is a feed, as ``step(batch)`` takes it, and ``len(loader)``
    is how many there are. `fit` trains on the same batches; what is evaluated (its metrics and validation,
    `nn.evaluate`) is evaluated on all rows, in the order in which they were given.

    Parameters
    ----------
    data : mapping of Node or str to array_like
        Arrays whose placeholder has a name as its first dimension are split, all with the same permutation. The others
        are part of each batch as they are. Whoever iterates gives placeholders as keys, at least one.

        For data that do not fit into memory, one chunk at a time is loaded, and no batch has rows of two chunks: a
        mapping with arrays of Dask, or with columns of one dataframe of Dask; such a dataframe, whose columns are
        called like the placeholders; or a list of delayed shards, each a mapping, or a tuple in the order of the
        placeholders. Each pass takes the chunks, and the rows within each, in an order that `rng` draws.
    batch_size : int or None
        Rows of a batch; the last one may have fewer. None: all rows, or those of a chunk, in one batch; then arrays
        may have different lengths.
    shuffle : bool
        Whether each pass takes the rows in another order.
    drop_last : bool
        Whether to leave out the last batch if it is smaller than `batch_size`.
    rng : numpy.random.Generator or numpy.random.RandomState, optional
        Draws one permutation for each pass. By default, ``np.random.default_rng(0)``.

    Raises
    ------
    UsageError
        When `data` are batches already; when an `rng` is given that `shuffle` does not use.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> x = gn.Graph().placeholder("x", ("batch",))
    >>> loader = nn.Loader({x: np.arange(5.0)}, batch_size=2, shuffle=False)
    >>> len(loader), [batch[x].tolist() for batch in loader]
    (3, [[0.0, 1.0], [2.0, 3.0], [4.0]])
    >>> float(nn.evaluate(gn.mean(x), loader))
    2.0
    """

    data: Any
    _: KW_ONLY
    batch_size: int | None = 32
    shuffle: bool = True
    drop_last: bool = False
    rng: Rng | None = None
    _checked: Split | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if not splits(self.data):
            raise UsageError(
                "a Loader splits the rows of arrays, {placeholder: array}, not "
                f"{with_article(type(self.data).__name__)}: give what yields batches to fit as it is"
            )
        rng, shuffle = checked_rng(self.rng, "Loader"), checked_flag("shuffle", self.shuffle)
        if rng is not None and not shuffle:
            raise UsageError("rng draws the order of the rows, and shuffle=False leaves it as it is: leave rng out")
        checked_flag("drop_last", self.drop_last)
        object.__setattr__(self, "batch_size", checked_size(self.batch_size))
        object.__setattr__(self, "rng", rng or (np.random.default_rng(0) if shuffle else None))

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={getattr(self, name)}" for name in ("batch_size", "shuffle", "drop_last"))
        return f"Loader({short_repr(self.data)}, {settings})"

    def __len__(self) -> int:
        length = self._rows().for_training(None, self.drop_last).length
        if length is None:
            raise UsageError("how many batches there are is unknown, since the numbers of rows in the chunks are")
        return length

    def __iter__(self) -> Iterator[Feed]:
        return (feed for _, feed in self._rows().for_training(self.rng, self.drop_last).opened())

    def _given(self) -> tuple[Any, int | None]:
        return self.data, self.batch_size

    def _rows(self) -> Split:
        if self._checked is not None:
            return self._checked
        node = next((key for key in named_in(self) if isinstance(key, Node)), None)
        if node is None:
            raise UsageError(
                "which arrays are split depends on their placeholders, and without one the graph is unknown: to go "
                "through a Loader, give placeholders as keys, {x: X}"
            )
        rows = batches_of(node.graph, self, (), "the data", None)
        assert isinstance(rows, Split)
        object.__setattr__(self, "_checked", rows)
        return rows
