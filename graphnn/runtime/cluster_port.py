"""What computes elsewhere for us: clusters of other processes. Higher rooms register how to reach them.

The modules that do are listed in `later`, under ``"cluster"``, and load when a client is first given.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from .._util.lazy_loading import load_registrars
from .._util.text import short_repr
from ..errors import UsageError

if TYPE_CHECKING:
    from ..core import Array, Node
    from .batches import Shard


class Cluster(Protocol):
    """Workers that compute programs. What `program`, `state`, `submit` and `added` return stays with them."""

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

    def submit(self, program: Any, state: Any, feed: Mapping[Any, Any], *, name: str = "run") -> Any:
        """Let a worker compute a program.

        Parameters
        ----------
        program, state
            From `program`, and `state`; None for a program without parameters.
        feed : mapping of Node or str to array or future
            By placeholder. What the workers hold already is given as they know it.
        name : str
            What the task is called on the dashboard.

        Returns
        -------
        future
            Of the values of the fetches, in order.
        """

    def added(self, left: Any, right: Any) -> Any:
        """Let a worker add what two futures have, each value of one to that of the other; return the future."""

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

    def crew(self) -> AbstractContextManager[Any]:
        """Return a block in which workers compute the shards of a training run; it gives a `Crew`."""

    @property
    def work(self) -> dict[str, Any]:
        """What each worker did, by its address: tasks, seconds of computing, bytes read and returned."""


_Opener = Callable[[Any, bool], "AbstractContextManager[Cluster] | None"]
_O = TypeVar("_O", bound=_Opener)
_openers: list[_Opener] = []


def opens_cluster(opener: _O) -> _O:
    """Register the decorated function: it returns the cluster of a client, or None where it does not know it.

    It takes the client, and whether all processes must compute the same bits.
    """
    _openers.append(opener)
    return opener


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
        When `client` is none.
    ClusterError
        When a worker may compute other bits, or cannot be reached.
    """
    load_registrars("cluster")
    for opener in _openers:
        found = opener(client, exact)
        if found is not None:
            return found
    raise UsageError(
        f"client= is a client of Dask, dask.distributed.Client(…), not {type(client).__name__}; "
        'pip install "graphnn[dask]" brings it'
    )
