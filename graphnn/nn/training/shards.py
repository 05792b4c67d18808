"""Shards: how a batch is split among what computes it, here or elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..._util.missing import needed
from ..._util.ports import Port
from ..._util.text import short_repr
from ...core.attributes import whole
from ...errors import UsageError
from ...runtime.cluster_port import check_exact
from ..argument_validation import checked_flag

if TYPE_CHECKING:
    from ...compiler.compile import Compiled
    from ...runtime.feed import Feed
    from .history import WorkerReport


@dataclass(frozen=True)
class Shards:
    """How each batch is split into shards: ``nn.fit(step, data, shards=nn.Shards(8, statistics="shard"))``.

    The sizes of shards differ by one row at most. What has rows is computed by shards, the sums over rows are added two
    by two, means are divided by the number of all rows, and what follows runs once. So the function is the same, up to
    rounding, but for random numbers, of which each shard draws its own.

    Parameters
    ----------
    count : int
        How many shards there are.
    statistics : {"all", "shard"}
        Over which rows `BatchNorm` takes mean and variance in training: over all rows, for which the shards meet
        several times in a step; or over those of each shard, as if it were a batch. Then its running statistics move
        by the mean over the shards, weighted by their rows.
    exact : bool
        Whether to refuse workers that may compute other bits, because versions or processors differ. Else only warn.

    Examples
    --------
    >>> Shards(8, exact=False)
    Shards(count=8, statistics='all', exact=False)
    """

    count: int
    statistics: str = "all"
    exact: bool = True

    def __post_init__(self) -> None:
        whole("shards", self.count, 1)
        if self.statistics not in ("all", "shard"):
            raise UsageError(
                f'statistics= must be those of "all" rows or of each "shard", not {short_repr(self.statistics)}'
            )
        checked_flag("exact", self.exact)


class Sharded(Protocol):
    """What makes a step by shards of a batch, called as the step is."""

    def __call__(self, batch: Feed) -> Any: ...

    @property
    def workers(self) -> dict[str, WorkerReport]:
        """What each worker did, by its address."""


SHARDED: Port[Callable[[Compiled, Shards, Any], AbstractContextManager[Sharded]]] = Port("shards")
"""What gives a step by shards; it takes the step, the shards, and the client or None."""


def computed(step: Compiled, shards: Any, client: Any) -> AbstractContextManager[Compiled | Sharded]:
    """Return a block that gives what makes a step: itself, or shards of it."""
    if shards is not None:
        shards = shards if isinstance(shards, Shards) else Shards(shards)
        check_exact(client, shards.exact)
        return needed(SHARDED, "shards=")(step, shards, client)
    if client is not None:
        raise UsageError(
            "client= needs shards=, into how many a batch is split; any number of workers will do, but the results "
            "depend on shards= to the bit"
        )
    return nullcontext(step)
