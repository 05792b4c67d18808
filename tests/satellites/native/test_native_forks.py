"""A process that is forked while another thread compiles by LLVM."""

import os

import numpy as np
import pytest
from test_forks import Inside, holds_in_a_fork, pytestmark
from test_forks import graph as graph
from test_forks import inside as inside

import graphnn as gn
from graphnn.native import kernel_cache, llvm

__all__ = ["pytestmark"]


def test_a_fork_waits_for_llvm_and_then_compiles(
    graph: gn.Graph, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHNN_CACHE", "off")
    x = graph.placeholder("x", (17,))
    feed = {x: np.linspace(0, 1, 17)}
    own = [gn.compile(gn.square(x) * number + x / number, backend="native") for number in (3, 5, 7)]
    expected = [gn.run(step.fetches[0], feed).tolist() for step in own]
    load = kernel_cache.load

    def slowly(key: str) -> bytes | None:
        inside.here()
        return load(key)

    monkeypatch.setattr(kernel_cache, "load", slowly)

    def check() -> bool:
        # Not the first: the other thread may still hold what it plans it under.
        return [step.plan(feed)(feed[x])[0].tolist() for step in own[1:]] == expected[1:]

    with inside.doing(lambda: own[0].plan(feed)):
        # Called before what was registered earlier: the thread is inside until the fork begins.
        os.register_at_fork(before=inside.left.set)
        llvm.engine()._modules.clear()
        assert holds_in_a_fork(check)
    assert check()
