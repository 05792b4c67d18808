"""What computes elsewhere for us: clusters of other processes. A higher room gives how to reach them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from .._util.missing import needed
from .._util.ports import Port
from .._util.text import short_repr
from ..errors import UsageError

if TYPE_CHECKING:
    from ..core import Array, Node
    from .batches import Shard


class Cluster(Protocol):
    """Workers that compute programs. What `program`, `state` and `sent` return stays with them."""

    def program(self, fetches: Sequence[Node], backend: str | None = None) -> Any:
        """Send what computes some nodes, as data in our own format, and return it as it is known there.

        Parameters
        ----------
        fetches : sequence of Node
        backend : str, optional
            As `graphnn.compile` takes it.
        """

    def state(self, values: Mapping[Node, Array]) -> Any:
        """Send a version of the values of parameters, to each worker once, and only where it is needed."""

    def sent(self, feed: Mapping[Any, Any]) -> Any:
        """Send arrays, once, and return them as they are known there."""

    def through(
        self,
        shard: Shard,
        judge: Callable[..., list[Any]],
        sent: Sequence[tuple[Any, Any]],
        whole: Any,
        *args: Any,
        start: int = 0,
    ) -> Any:
        """Let a worker go through the batches of a shard.

        Parameters
        ----------
        shard : Shard
        judge : callable
            A function of a module of ours. It takes an iterator of batches, each its number, first row, number of rows
            and feed, then a list of compiled steps, then `args`. It returns a list of arrays and plain data.
        sent : sequence of pairs
            Programs with their states; what the steps are made of.
        whole
            From `sent`: what each batch is fed beside its rows.
        *args : object
            Plain data.
        start : int
            The batch of the shard to begin with.

        Returns
        -------
        future
        """

    def gather(self, futures: Sequence[Any]) -> list[list[Any]]:
        """Wait for futures, and return the values of each.

        Raises
        ------
        ClusterError
            When the scheduler is lost, in less than a minute, or when workers die again and again.
        GraphnnError
            What a worker raised.
        """

    def in_order(self, futures: Iterator[Any], ahead: int | None = None) -> Generator[list[Any]]:
        """Yield the values of futures in their order, with no more under way than the workers need."""


CLUSTER: Port[Callable[[Any, bool], AbstractContextManager[Cluster]]] = Port("cluster")
"""What returns the cluster of a client, given whether all processes must compute the same bits."""


def check_exact(client: Any, exact: Any) -> None:
    """Refuse an `exact` that is not a bool, or that is given without a client.

    Raises
    ------
    UsageError
    """
    if not isinstance(exact, bool) or (client is None and not exact):
        raise UsageError(
            "exact= says whether workers that may compute other bits are refused: a bool, with client=, not "
            f"{short_repr(exact)}"
        )


def opened_cluster(client: Any, exact: bool = True) -> AbstractContextManager[Cluster]:
    """Return a block in which the workers of a client compute for us; it gives the `Cluster`.

    Parameters
    ----------
    client : distributed.Client
    exact : bool
        Whether a worker that may compute other bits than this process is refused. Else only warn.

    Raises
    ------
    UsageError
        When `client` is none, or nothing that reaches one is installed.
    ClusterError
        When a worker may compute other bits, or cannot be reached.
    """
    return needed(CLUSTER, "client=")(client, exact)
