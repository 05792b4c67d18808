"""Layers one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import UsageError
from ..graph import Graph, Node, fn
from .layer import Layer, takes, training_now


class Sequential(Layer):
    """Layers one after the other; this opens no scope.

    Parameters
    ----------
    *layers : Layer or callable
        Or one list of them. A function of a node, such as ``gn.tanh``, is accepted too.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> network = nn.Sequential(nn.Dense(8), nn.ReLU(), nn.Dense(3), nn.Softmax())
    >>> network(gn.Graph().placeholder("x", shape=("batch", 2)))
    <Node "softmax_1/divide": divide (batch, 3) float64>
    >>> len(network), network[1]
    (4, <ReLU, "relu_1">)
    """

    def __init__(self, *layers: Any) -> None:
        self.layers: list[Any] = []
        for layer in layers[0] if len(layers) == 1 and isinstance(layers[0], (list, tuple)) else layers:
            self.add(layer)

    def add(self, layer: Any) -> None:
        """Append a layer.

        Raises
        ------
        UsageError
            When it is not callable, or is a class.
        """
        if isinstance(layer, type):
            raise UsageError(f"Sequential takes layers, and {layer.__name__} is a class: write {layer.__name__}(…)")
        if not callable(layer):
            what = repr(layer) if isinstance(layer, str) else type(layer).__name__
            hint = f": write gn.{layer}" if isinstance(layer, str) and layer in dir(fn) else ""
            raise UsageError(f"Sequential takes layers, or functions of a node, not {what}{hint}")
        self.layers.append(layer)

    def call(self, x: Any) -> Any:
        """Return what the last layer returns."""
        around: dict[Sequential, Iterator[Any]] = {self: iter(self.layers)}
        while around:  # not by recursion: they may be nested to any depth
            network = next(reversed(around))
            layer = next(around[network], None)
            if layer is None:
                del around[network]
                if network is not self and isinstance(x, Node):
                    network._called_in(x.graph)
            elif type(layer) is Sequential and isinstance(x, Node):
                if layer in around:
                    raise UsageError("a Sequential that contains itself has no end: put each layer in once")
                around[layer] = iter(layer.layers)
            else:
                handed_on = not isinstance(layer, Layer) and takes(layer, "training")
                x = layer(x, training=training_now.get()) if handed_on else layer(x)
        return x

    def _make_nodes(self, graph: Graph, inputs: tuple[Any, ...]) -> Any:
        return self.call(*inputs)

    def __len__(self) -> int:
        return len(self.layers)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        return iter(self.layers)

    def __getitem__(self, index: int | slice) -> Any:
        return Sequential(*self.layers[index]) if isinstance(index, slice) else self.layers[index]

    def __repr__(self) -> str:
        parts = ["Sequential("]
        open_now: dict[Sequential, Iterator[Any]] = {self: iter(self.layers)}
        while open_now:  # not by recursion, as in `call`
            layer = next(open_now[next(reversed(open_now))], None)
            if layer is None:
                open_now.popitem()
                parts.append(")")
                continue
            if parts[-1] != "Sequential(":
                parts.append(", ")
            if not isinstance(layer, Sequential) or type(layer).__repr__ is not Sequential.__repr__:
                parts.append(repr(layer))
            elif layer in open_now:
                parts.append("Sequential(…)")
            else:
                open_now[layer] = iter(layer.layers)
                parts.append("Sequential(")
        return "".join(parts)
