"""Patches of PyTorch modules as patches of graphs: what the figures of ``make_torch_patches.py`` are compared with."""

from typing import Any, NamedTuple

import numpy as np

import graphnn as gn


class Case(NamedTuple):
    """A patch.

    Attributes
    ----------
    module : str
    place : str
        The submodule whose output is another, or the input.
    reader : str
        The only submodule that sees it; "" where all do.
    axis, index : int
        The part that is another; an axis of -1 is for the whole.
    seed : int
        Of the value.
    """

    module: str
    place: str
    reader: str
    axis: int
    index: int
    seed: int

    @property
    def part(self) -> tuple[Any, ...]:
        """The index of the part."""
        return (...,) if self.axis < 0 else (*[slice(None)] * self.axis, self.index)

    def value(self, shape: Any) -> np.ndarray:
        """Return what the output of this shape is in the part."""
        return np.random.default_rng(self.seed).normal(size=np.empty(shape)[self.part].shape).astype(np.float32)


def run_patched(graph: gn.Graph, case: Case, given: np.ndarray) -> np.ndarray:
    """Return what the only output of a graph is, patched."""
    paths = {path.replace("/", "."): path for path in graph.scopes}
    node = graph[paths.get(case.place, case.place)]
    readers: list[gn.Node | None] = [None]
    if case.reader:
        inside = f"{paths[case.reader]}/"
        readers = [user for user in node.users if user.name.startswith(inside)]
    assert readers, f"{case.reader} does not read {case.place}"
    value = case.value(node.shape)
    places = [gn.patches.at(node, reader) for reader in readers]
    keys = [place[case.part] if case.axis >= 0 else place for place in places]
    (output,) = graph.outputs.values()
    (x,) = graph.inputs
    return np.asarray(gn.run(gn.patched(output, dict.fromkeys(keys, value)), {x: given}))


def gap(one: np.ndarray, other: np.ndarray) -> float:
    """Return the largest difference; of numbers above 1, relative to the largest of them."""
    return float(np.abs(one - other).max() / max(np.abs(other).max(), 1.0))
