"""The values of parameters on a device. They stay there from step to step, and come back when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..compiler.compile import updating
from .library import jax

if TYPE_CHECKING:
    from ..core import Array, Graph, Node


class _There(NamedTuple):
    """A value on a device.

    Attributes
    ----------
    here : array
        What the state of the graph has for it: its value, or, if it has moved on, the one before.
    value : jax.Array
    where : object
        On which device, or in which parts on several.
    has_moved : bool
    """

    here: Array
    value: Any
    where: object
    has_moved: bool


class DeviceState:
    """What of a graph's state is on a device; one for each graph. The caller holds the lock of its updates.

    What counts is the array in the state: who puts another one there, as ``parameter.value = …`` does, has set the
    value, and the one on the device is forgotten.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._state: Any = graph.state
        list(self._state.values())  # brings back what another one has, which the graph's caches have forgotten
        self._there: dict[Node, _There] = {}

    def taken(self, nodes: Sequence[Node], where: Any, place: Callable[[Node, Array], Any]) -> list[Any]:
        """Return the values of parameters on a device; what is not there is put there."""
        found = []
        for node in nodes:
            here = dict.__getitem__(self._state, node)
            there = self._there.get(node)
            if there is None or there.here is not here or there.where != where:
                if there is not None and there.here is here and there.has_moved:
                    self.bring_back()
                    here = dict.__getitem__(self._state, node)
                there = self._there[node] = _There(here, place(node, here), where, has_moved=False)
            found.append(there.value)
        return found

    def moved(self, nodes: Sequence[Node], values: Sequence[Any]) -> None:
        """Take the next values of parameters, which `taken` has given before."""
        for node, value in zip(nodes, values, strict=True):
            before = self._there[node]
            self._there[node] = _There(before.here, value, before.where, has_moved=True)
        self._state.lend(self.bring_back)

    def bring_back(self) -> None:
        """Put the values into the state of the graph."""
        with updating(self._graph):
            self._put_back()
            self._state.is_back()

    def _put_back(self) -> None:
        for node, there in self._there.items():
            if there.has_moved and dict.__getitem__(self._state, node) is there.here:
                here = np.array(there.value, node.dtype)
                here.setflags(write=False)
                here = here.view()
                dict.__setitem__(self._state, node, here)
                self._there[node] = _There(here, there.value, there.where, has_moved=False)


def device_state(graph: Graph) -> DeviceState:
    """Return what of a graph's state is on a device."""
    found: DeviceState | None = graph.caches.get("jax")
    if found is None:
        found = graph.caches["jax"] = DeviceState(graph)
    return found


def uploaded(node: Node, value: Array, where: Any) -> Any:
    """Return an array on a device, in memory of its own: a step writes over it."""
    return jax.device_put(value, where, may_alias=False)
