"""What is asked of this room where it is not installed says so."""

import re
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn._util import ports
from graphnn.nn.training.shards import SHARDED
from graphnn.runtime.batches import CHUNKS
from graphnn.runtime.cluster_port import CLUSTER
from graphnn.runtime.interpreter import BY_CHUNKS

g = gn.Graph()
x, w = g.placeholder("x", ("batch",)), g.parameter("w", 2.0)
loss = gn.mean(x * w)
step = gn.compile(loss, {w: w * 0.5})


class Lazy:
    """What may be a collection of Dask, as an array of xarray is one, or holds an array of NumPy."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph

    def __dask_graph__(self) -> Any:
        return self.graph

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.ones(3, dtype)


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_there", lambda module: not module.startswith("distributed."))
    for port in (SHARDED, CHUNKS, CLUSTER, BY_CHUNKS):
        monkeypatch.setattr(port, "_given", {})
    monkeypatch.setitem(sys.modules, "dask", SimpleNamespace())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ask", "what"),
    [
        (lambda: nn.fit(step, {x: np.ones(4)}, shards=2), "shards="),
        (lambda: nn.evaluate(loss, {x: np.ones(4)}, client=object()), "client="),
        (lambda: gn.check_health(loss, {x: np.ones(4)}, client=object()), "client="),
        (lambda: gn.compare(x * w, x * w, data={x: np.ones(4)}, client=object()), "client="),
        (lambda: gn.run(loss, {x: Lazy({})}), "what runs on data of Dask"),
        (lambda: nn.evaluate(loss, {x: Lazy({})}), "what reads data of Dask"),
        (lambda: nn.evaluate(loss, Lazy({})), "what reads data of Dask"),
        (lambda: nn.fit(step, [Lazy({})]), "what reads data of Dask"),
    ],
)
@pytest.mark.usefixtures("absent")
def test_what_is_asked_of_this_room_says_that_it_is_not_installed(ask: Callable[[], Any], what: str) -> None:
    with pytest.raises(gn.UsageError, match=re.escape(f"{what} is in graphnn/distributed, which is not installed")):
        ask()


@pytest.mark.usefixtures("absent")
def test_an_array_in_memory_that_could_be_one_of_dask_is_an_array() -> None:
    feed: Any = {x: Lazy(None)}
    assert gn.run(loss, feed) == nn.evaluate(loss, feed) == 2.0
    assert nn.fit(step, feed, epochs=1)["loss"] == [2.0]
