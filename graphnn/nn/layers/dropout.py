"""Dropout: random, but with the same bits in every run of the same program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...core import Graph, Node, fn, is_float
from ...core.attributes import whole
from ...errors import DtypeError, UsageError, ValueRangeError
from ..evaluation_mode import note_evaluation
from ..init import Rng, checked_rng
from .layer import Layer, evaluation_meant, only_node, training_now

_MOST = 2**64 - 1


class Dropout(Layer):
    """In training, set random elements to 0 and scale up the others. Otherwise the identity, which makes no node.

    In training, the result is ``x * mask / (1 - rate)``, where ``mask = random_uniform(counter + 1) >= rate``. The
    random numbers are a pure function of the seed, of the stream, and of the counter. The stream is the index of their
    node in the graph, so no two calls share one. The counter is a parameter that is not trained, ``dropout_1/counter``.
    A compiled step with updates increments the counter, so every step has another mask. `run` does not change it.

    In ``graph.evaluation``, the result in training is mapped to the input. So `fit` and `evaluate` leave dropout
    out, and ``gn.replace(fetches, graph.evaluation)`` turns a network for training into one for evaluation.

    Parameters
    ----------
    rate : float
        The probability that an element becomes 0, from 0 up to but not including 1.
    seed : int
        The seed of the masks.
    rng : numpy.random.Generator or numpy.random.RandomState, optional
        Draws the seed, once, here. So one generator can drive all that is random in a training run.

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
    scale is applied in training, so that evaluation needs no scaling.

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

    def __init__(self, rate: float, seed: int = 0, *, rng: Rng | None = None) -> None:
        if not isinstance(rate, (int, float, np.number)):
            raise UsageError(f"Dropout: the rate is a number, not {type(rate).__name__}")
        if not 0 <= rate < 1:
            raise ValueRangeError(f"Dropout: the rate is from 0 up to but not including 1, not {rate}")
        self.seed = whole("Dropout: the seed", seed)
        if not 0 <= self.seed <= _MOST:
            raise ValueRangeError(f"Dropout: the seed is from 0 to 2**64 - 1, not {seed}")
        given = checked_rng(rng, "Dropout")
        if given is not None:
            if seed:
                raise UsageError("Dropout: seed= and rng=, which draws a seed, exclude each other")
            self.seed = int.from_bytes(given.bytes(8), "little")
        self.rate = float(rate)
        self.counter: Node | None = None
        self._next: Node | None = None
        self._idle_at: tuple[Graph, str] | None = (
            None  # graph and path of a call for evaluation before any for training
        )

    def call(self, x: Node) -> Node:
        """Return x with some elements 0 and the others scaled up."""
        if not is_float(x.dtype):
            raise DtypeError(f'Dropout scales what it keeps, and so takes floats; "{x.name}" is {x.dtype}')
        graph = x.graph
        if self.counter is None:
            counter = graph.parameter("counter", np.int64(0), trainable=False)
            # The random numbers read it, so that it is copied with them.
            self._next = graph.advances[counter, counter] = fn.add(counter, 1, name="next")
            self.counter = counter  # last: when it is set, everything is made
        chance = fn.random_uniform(self._next, x.shape, seed=self.seed, stream=len(graph))
        mask = fn.greater_equal(chance, self.rate, name="mask")
        dropped = x * mask / (1.0 - self.rate)
        graph.evaluation[dropped] = x
        if self._idle_at is not None and self._idle_at[0] is graph:
            graph.idle[self.counter.scope] = graph.idle.pop(self._idle_at[1], x)
            self._idle_at = None
        return dropped

    def _make_nodes(self, graph: Graph, inputs: tuple[Any, ...], settings: Mapping[str, Any]) -> Any:
        x = only_node(self, *inputs)
        if training_now.get() or settings:
            return super()._make_nodes(graph, inputs, settings)
        if self.counter is not None:
            path = self.counter.scope
        else:
            if self._idle_at is None or self._idle_at[0] is not graph:
                # Take the name now, so that it does not depend on when training begins.
                self._idle_at = graph, self._free_path(graph)
            path = self._idle_at[1]
        graph.idle.setdefault(path, x)
        note_evaluation(graph, path, self.rate == 0 or evaluation_meant.get())
        return x

    def __repr__(self) -> str:
        return f"<Dropout, rate {self.rate:g}>"
