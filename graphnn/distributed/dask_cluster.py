"""The workers of a client: what is sent to them, and what comes back."""

from __future__ import annotations

import asyncio
import sys
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count, islice
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from .._util.text import in_bytes
from ..errors import ClusterError, GraphnnError, GraphnnWarning, UsageError
from ..runtime.cluster_port import CLUSTER
from . import worker
from .bit_reproducibility import differing, facts, told
from .blas_threads import one_blas_thread
from .worker_programs import named, packed

if TYPE_CHECKING:
    from ..core import Array, Node
    from ..runtime.batches import Shard

MOST_LOST_WORKERS = 10
"""How many workers a task may lose before it is given up. Dask's own default is 3."""
_PATIENCE = 10.0
"""Seconds of waiting, after which the scheduler is asked whether it is there."""
_LOST_AFTER = 20.0
"""Seconds in which it must answer."""
_WITHOUT_WORKERS = 120.0
"""Seconds after which what is to be computed is given up if there is no worker."""
_QUIETER = {
    "distributed.admin.large-graph-warning-threshold": "1 TiB",  # a state is sent once, and as a task on purpose
    "distributed.diagnostics.computations.nframes": 0,
}


@dataclass
class Tally:
    """What a worker did."""

    tasks: int = 0
    seconds: float = 0.0
    read: int = 0
    returned: int = 0

    def __str__(self) -> str:
        return (
            f"{self.tasks:,} tasks, {self.seconds:.2f} s, read {in_bytes(self.read)}, "
            f"returned {in_bytes(self.returned)}"
        )


class DaskCluster:
    """The workers of a client."""

    def __init__(self, client: Any, same: bool) -> None:
        self._client, self._facts = client, facts() if same else None
        self._prefix, self._number = f"graphnn-{token_hex(4)}", count()
        self.work: dict[str, Tally] = {}
        """What each worker did, by its address."""
        self._shards: dict[str, Shard] = {}
        self.is_lost = False
        """Whether the scheduler has not answered."""

    @property
    def threads(self) -> int:
        """How many tasks are computed at once."""
        return max(len(self.slots), 1)

    @property
    def slots(self) -> list[str]:
        """The address of its worker for each thread of them."""
        threads: dict[str, int] = _answered(self._client, self._client.nthreads)
        return [address for address in sorted(threads) for _ in range(threads[address])]

    def program(self, fetches: Sequence[Node], backend: str | None = None) -> Any:
        """Send what computes some nodes."""
        return self._task("program", worker.keep, packed(fetches, backend, self._facts))

    def state(self, values: Mapping[Any, Array], at: str | None = None) -> Any:
        """Send a version of the values of parameters."""
        return self._task("state", worker.keep, self.version(values), at=at)

    def handed_on(self, state: Any, at: str | None) -> Any:
        """Let a worker have what another one has."""
        return self._task("state", worker.keep, state, at=at)

    def version(self, values: Mapping[Any, Array]) -> worker.State:
        """Return a version of the values of parameters as it is, to be sent with a task."""
        return worker.State(f"{self._prefix}-state-{next(self._number)}", named(values))

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
        fed = named(feed)
        return self._task(name, worker.evaluate, program, state, list(fed), *fed.values())

    def sent(self, feed: Mapping[Any, Any]) -> Any:
        """Send arrays, once."""
        return self._task("feed", worker.keep, named(feed))

    def through(
        self,
        shard: Shard,
        judge: worker.Judge,
        sent: Sequence[tuple[Any, Any]],
        whole: Any,
        *args: Any,
        start: int = 0,
    ) -> Any:
        """Let a worker go through the batches of a shard."""
        chunk = None if isinstance(shard.feed, Mapping) else shard.feed
        part = worker.Part(None if chunk is None else chunk.taken, shard.size, shard.rows, start)
        with _explained():
            loaded = named(shard.feed) if chunk is None else self._client.compute(chunk.part)
        each = [thing for pair in sent for thing in pair]
        future = self._task(judge.__name__, worker.through, part, judge, args, whole, loaded, *each)
        self._shards[future.key] = shard
        return future

    def call(self, function: Callable[..., worker.Answer], *args: Any, name: str, at: str | None = None) -> Any:
        """Let a worker call a function of ours, which returns an answer; if it can be, the one at this address."""
        return self._task(name, function, *args, at=at)

    def _task(self, name: str, function: Callable[..., Any], *args: Any, at: str | None = None) -> Any:
        key = f"{self._prefix}-{name}-{next(self._number)}"
        where = {} if at is None else {"workers": [at], "allow_other_workers": True}
        with _explained():
            return self._client.submit(function, *args, key=key, pure=False, **where)

    def gather(self, futures: Sequence[Any]) -> list[list[Any]]:
        """Wait for futures, and return the values of each."""
        try:
            answers = self._gathered(futures)
        except Exception as error:
            parts = [shard.part for future in futures if (shard := self._shards.get(future.key)) is not None]
            if any(parts):
                error.add_note(f"in {', '.join(parts)}")
            raise
        for future in futures:
            self._shards.pop(future.key, None)
        for work in [work for answer in answers for work in answer.work]:
            tally = self.work.setdefault(work.worker, Tally())
            tally.tasks += 1
            tally.seconds += work.seconds
            tally.read += work.read
            tally.returned += work.returned
        return [answer.values for answer in answers]

    def in_order(self, futures: Iterator[Any], ahead: int | None = None) -> Generator[list[Any]]:
        """Yield the values of futures in their order, with a few under way for each thread of the workers."""
        futures, waiting = iter(futures), deque[Any]()
        most = ahead or 2 * self.threads + 1
        try:
            while True:
                waiting.extend(islice(futures, most - len(waiting)))
                if not waiting:
                    return
                yield self.gather([waiting.popleft()])[0]
        finally:
            if waiting and not self.is_lost:
                with suppress(ClusterError):
                    _answered(self._client, self._client.cancel, list(waiting))

    def _gathered(self, futures: Sequence[Any]) -> list[worker.Answer]:
        """Wait for futures; ask the scheduler now and then whether anybody computes them."""
        gathering = self._client.gather(list(futures), asynchronous=True)
        found = asyncio.run_coroutine_threadsafe(gathering, self._client.loop.asyncio_loop)
        without = 0.0
        try:
            while True:
                try:
                    answers: list[worker.Answer] = found.result(_PATIENCE)
                    return answers
                except TimeoutError:
                    if found.done():
                        raise
                except Exception as error:
                    if any(future.status == "error" for future in futures) and not _is_of_dask(error):
                        # A task raised it, on a worker, where the user's line is not on the stack.
                        if isinstance(error, GraphnnError):
                            raise error.within("") from error.__cause__
                        raise
                    with _explained():
                        raise
                without = 0.0 if self._ping() else without + _PATIENCE
                if without >= _WITHOUT_WORKERS:
                    raise ClusterError(
                        f"all workers are lost, and none has come for {without:.0f} s: start workers again, and go on "
                        "from the last checkpoint, nn.fit(…, checkpoint=nn.Checkpoint(path, resume=True))"
                    )
        finally:
            found.cancel()

    def _ping(self) -> int:
        """Return how many workers there are; raise an error if the scheduler does not answer."""
        try:
            return int(_answered(self._client, _asked, self._client))
        except ClusterError:
            self.is_lost = True
            raise


def _answered(client: Any, question: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call what asks the scheduler; raise an error if that does not answer.

    Raises
    ------
    ClusterError
    """

    async def asking() -> Any:
        return await question(*args, **kwargs)

    with _explained():
        try:
            return client.sync(asking, callback_timeout=_LOST_AFTER)
        except TimeoutError:
            raise _lost(f"it has not answered for {_LOST_AFTER:.0f} s") from None


async def _asked(client: Any) -> int:
    if client.scheduler is None or client.scheduler_comm is None:
        await asyncio.sleep(_LOST_AFTER)  # Dask connects again meanwhile, or gives up
    told = await client.scheduler.identity(n_workers=0)
    return int(told.get("n_workers", 1))


def _lost(why: object) -> ClusterError:
    return ClusterError(
        f"the scheduler of the workers is lost: {why}. What was under way is lost with it: start a cluster again, and "
        "go on from the last checkpoint, nn.fit(…, checkpoint=nn.Checkpoint(path, resume=True))"
    )


@contextmanager
def _explained() -> Iterator[None]:
    """Raise what Dask says of lost workers and schedulers as errors of ours."""
    from distributed import CancelledError, KilledWorker
    from distributed.client import FutureCancelledError, FuturesCancelledError
    from distributed.comm.core import CommClosedError

    try:
        yield
    except GraphnnError:
        raise
    except KilledWorker as error:
        raise ClusterError(
            f"{error.allowed_failures + 1} workers died while they computed {error.task!r}, the last one at "
            f"{getattr(error.last_worker, 'address', 'an unknown address')}: often for lack of memory. Give smaller "
            "shards or batches, or workers with more memory; their logs say more, client.get_worker_logs()"
        ) from error
    except (FutureCancelledError, FuturesCancelledError, CancelledError, CommClosedError) as error:
        raise _lost(str(error).strip().rstrip(".").replace("\n", " ") or type(error).__name__) from error
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, TimeoutError) or not _is_about_the_connection(error):
            raise
        raise _lost(error) from error


def _is_of_dask(error: Exception) -> bool:
    return type(error).__module__.startswith("distributed")


def _is_about_the_connection(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, ConnectionError) or "not running" in text or "client is closed" in text


@CLUSTER.give()
def opened(client: Any, exact: bool) -> AbstractContextManager[DaskCluster]:
    """Return the block in which the workers of a client of Dask compute."""
    distributed = sys.modules.get("distributed")
    if distributed is None or not isinstance(client, distributed.Client):
        raise UsageError(
            f"client= is a client of Dask, dask.distributed.Client(…), not {type(client).__name__}; "
            'pip install "graphnn[dask]" brings it'
        )
    if client.status in ("closing", "closed"):
        raise ClusterError("the client is closed: call this inside its with block, or make another one")
    if client.asynchronous:
        raise UsageError("client= is asynchronous, and is waited for here: give one made with asynchronous=False")
    return _opened(client, exact)


@contextmanager
def _opened(client: Any, exact: bool) -> Iterator[DaskCluster]:
    import dask

    with ExitStack() as stack:
        stack.enter_context(dask.config.set(_QUIETER))
        stack.enter_context(one_blas_thread())
        _check_alike(client, exact)
        before = _answered(client, client.run_on_scheduler, worker.allow_failures, MOST_LOST_WORKERS)
        cluster = DaskCluster(client, exact)
        try:
            yield cluster
        finally:
            if client.status == "running" and not cluster.is_lost:
                with suppress(ClusterError):
                    _answered(client, client.run_on_scheduler, worker.allow_failures, before, at_least=False)


def _check_alike(client: Any, exact: bool) -> None:
    """Compare what workers compute with to what this process does."""
    with _explained():
        try:
            client.wait_for_workers(1, timeout=_LOST_AFTER)
        except TimeoutError:
            raise ClusterError(
                f"no worker has come for {_LOST_AFTER:.0f} s: start some, dask worker {client.scheduler.address}"
            ) from None
    here = facts()
    found: Iterable[tuple[str, Any]] = _answered(client, client.run, worker.report, on_error="return").items()
    # A worker that is lost while it is asked is none of them any more, and one that comes is asked by its first task.
    unlike = {
        address: [str(there)] if isinstance(there, Exception) else differing(here, there)
        for address, there in found
        if not isinstance(there, OSError)
    }
    unlike = {address: clauses for address, clauses in unlike.items() if clauses}
    if not unlike:
        return
    if exact:
        raise ClusterError(
            f"client and workers may compute different bits: {told(unlike)}. Give them the same, or allow for it with "
            "exact=False, for fit in nn.Shards(count, exact=False)"
        )
    warnings.warn(f"client and workers may compute different bits: {told(unlike)}", GraphnnWarning, stacklevel=4)
