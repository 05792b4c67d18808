"""Dropout: random, and yet the same bits wherever and whenever it is run again."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DtypeError, UsageError, ValueRangeError
from ..graph import Graph, Node, fn
from ..graph.attributes import whole
from .layer import Layer, only_node, training_now

_MOST = 2**64 - 1


class Dropout(Layer):
    """In training, sets elements to 0 by chance and scales the others up; else it is the identity and makes no node.

    In training it makes ``x * mask / (1 - rate)``, where ``mask = random_uniform(counter + 1) >= rate``. The numbers
    are a pure function of the seed, of the stream, which is the index of their node in its graph, so that no two
    calls share one, and of the counter: a parameter that is not trained, ``dropout_1/counter``. A compiled step with
    updates moves the counter on by itself, so every step has another mask; `run` uses the counter as it stands.

    What it makes in training has its input as its entry in ``graph.evaluating``: so `fit` and `evaluate` take their
    figures without dropout, and ``gn.replace(fetches, graph.evaluating)`` makes a network to evaluate of one to train.

    Parameters
    ----------
    rate : float
        The chance of an element to become 0, from 0 up to but not including 1.
    seed : int
        The same graph built with another seed has other masks.

    Attributes
    ----------
    counter : Node or None
        None before the first call in training.

    Raises
    ------
    ValueRangeError
        When the rate or the seed is out of range.

    Notes
    -----
    N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15 (2014); the
    scale is applied in training, so that nothing is to be done afterwards.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> x = gn.Graph().constant(np.ones(8))
    >>> layer = nn.Dropout(0.25)
    >>> layer(x) is x
    True
    >>> gn.run(layer(x, training=True)).round(3)
    array([0.   , 1.333, 0.   , 1.333, 1.333, 0.   , 1.333, 1.333])
    """

    def __init__(self, rate: float, seed: int = 0) -> None:
        if not isinstance(rate, (int, float, np.number)):
            raise UsageError(f"Dropout: the rate is a number, not {type(rate).__name__}")
        if not 0 <= rate < 1:
            raise ValueRangeError(f"Dropout: the rate is from 0 up to but not including 1, not {rate}")
        self.seed = whole("Dropout: the seed", seed)
        if not 0 <= self.seed <= _MOST:
            raise ValueRangeError(f"Dropout: the seed is from 0 to 2**64 - 1, not {seed}")
        self.rate = float(rate)
        self.counter: Node | None = None
        self._next: Node | None = None
        self._idle_at: tuple[Graph, str] | None = None  # where it was called for evaluation, before any training

    def call(self, x: Node) -> Node:
        """Return x with some elements 0 and the others scaled up."""
        if x.dtype.kind != "f":
            raise DtypeError(f'Dropout scales what it keeps, and so takes floats; "{x.name}" is {x.dtype}')
        graph = x.graph
        if self.counter is None:
            counter = graph.parameter("counter", np.int64(0), trainable=False)
            # Read below, so that it comes along wherever a part of the graph is copied to.
            self._next = graph.advances[counter] = fn.add(counter, 1, name="next")
            self.counter = counter  # last: it says that all is made
        chance = fn.random_uniform(self._next, x.shape, seed=self.seed, stream=len(graph))
        mask = fn.greater_equal(chance, self.rate, name="mask")
        dropped = x * mask / (1.0 - self.rate)
        graph.evaluating[dropped] = x
        if self._idle_at is not None and self._idle_at[0] is graph:
            graph.idle[self.counter.scope] = graph.idle.pop(self._idle_at[1], x)
            self._idle_at = None
        return dropped

    def _make_nodes(self, graph: Graph, inputs: tuple[Any, ...]) -> Any:
        x = only_node(self, *inputs)
        if training_now.get():
            return super()._make_nodes(graph, inputs)
        if self.counter is not None:
            graph.idle.setdefault(self.counter.scope, x)
        elif self._idle_at is None or self._idle_at[0] is not graph:
            # Its number is taken now, so that it does not depend on when training begins.
            self._idle_at = graph, self._free_path(graph)
            graph.idle[self._idle_at[1]] = x
        return x

    def __repr__(self) -> str:
        return f"<Dropout, rate {self.rate:g}>"
