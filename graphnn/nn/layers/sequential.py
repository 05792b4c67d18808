"""Layers one after the other."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...core import Graph, Node, fn, user_origin
from ...errors import GraphnnWarning, UsageError
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
        self._layers: list[Any] = []
        for layer in layers[0] if len(layers) == 1 and isinstance(layers[0], (list, tuple)) else layers:
            self.add(layer)

    @property
    def layers(self) -> tuple[Any, ...]:
        """The layers, as a tuple. To append one, write ``sequential.add(layer)``."""
        return tuple(self._layers)

    def add(self, layer: Any) -> None:
        """Append a layer. There is a warning after a call, since its nodes were made without this layer.

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
        if self._was_called():
            warnings.warn_explicit(
                "a layer is added to a Sequential after it was called: nodes that were made are without it; only calls "
                "from now on have it",
                GraphnnWarning,
                *user_origin(),
            )
        self._layers.append(layer)

    def call(self, x: Any, **settings: Any) -> Any:
        """Return what the last layer returns. Each layer is given the settings that it takes."""
        unused = set(settings)
        around: dict[Sequential, Iterator[Any]] = {self: iter(self._layers)}
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
                around[layer] = iter(layer._layers)
            else:
                called = layer.call if isinstance(layer, Layer) else layer
                given = {name: value for name, value in settings.items() if takes(called, name)}
                unused.difference_update(given)
                if not isinstance(layer, Layer) and takes(layer, "training"):
                    given["training"] = training_now.get()
                x = layer(x, **given)
        if unused:
            raise UsageError(f'Sequential: none of its layers takes an argument "{min(unused)}"')
        return x

    def _make_nodes(self, graph: Graph, inputs: tuple[Any, ...], settings: Mapping[str, Any]) -> Any:
        return self.call(*inputs, **settings)

    def _to_be_called(self) -> Layer | None:
        waiting: list[Layer] = [self]
        seen: set[int] = set()
        while waiting:
            layer = waiting.pop()
            if layer._was_called() or id(layer) in seen:
                continue
            if type(layer) is not Sequential or not layer._layers:
                return layer
            seen.add(id(layer))
            waiting += [part for part in reversed(layer._layers) if isinstance(part, Layer)]
        return None

    def _held(self) -> Iterable[tuple[str, Any]]:
        own = [(name, value) for name, value in super()._held() if name != "_layers"]
        return [*((str(i), layer) for i, layer in enumerate(self._layers)), *own]

    def __len__(self) -> int:
        return len(self._layers)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        return iter(self._layers)

    def __getitem__(self, index: int | slice) -> Any:
        return Sequential(*self._layers[index]) if isinstance(index, slice) else self._layers[index]

    def __repr__(self) -> str:
        parts = ["Sequential("]
        open_now: dict[Sequential, Iterator[Any]] = {self: iter(self._layers)}
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
                open_now[layer] = iter(layer._layers)
                parts.append("Sequential(")
        return "".join(parts)
