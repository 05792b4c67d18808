"""`fit` by shards: here, or on the workers of a client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..nn.training.shards import SHARDED, Shards
from .blas_threads import one_blas_thread
from .dask_cluster import opened
from .training_shards import Alone, Sharded
from .training_workers import DaskCrew

if TYPE_CHECKING:
    from ..compiler.compile import Compiled


@SHARDED.give()
@contextmanager
def sharded(step: Compiled, shards: Shards, client: Any) -> Iterator[Sharded]:
    """Give what makes a step by shards.

    Raises
    ------
    UsageError
        When the step cannot be cut.
    ClusterError
        When the workers may compute other bits.
    """
    if client is None:
        with one_blas_thread():
            yield Sharded(step, shards.count, shards.statistics, Alone())
        return
    with opened(client, shards.exact) as cluster:
        yield Sharded(step, shards.count, shards.statistics, DaskCrew(cluster))
