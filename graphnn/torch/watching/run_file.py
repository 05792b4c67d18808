"""The file of a run of PyTorch: each recorded step as a trace, read when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...debugger.traces import VERSION as TRACE_VERSION
from ...errors import FileFormatError
from ...io.container import unpack
from ...io.graph_files import LOADERS, Loader
from .recorded_step import LoadedStep
from .watched_run import VERSION, Run

if TYPE_CHECKING:
    from ...core import Array, Node
    from ...debugger.traces import Trace

_MOST_STEPS = 10**9


class UnreadStep:
    """A step that has not been read yet: the bytes of its trace."""

    def __init__(self, number: int, block: Array, losses: list[str]) -> None:
        self._number, self._block, self._losses = number, block, losses

    def read(self) -> LoadedStep:
        """Return the step.

        Raises
        ------
        FileFormatError
            When it is damaged, or says what cannot be.
        """
        try:
            data, arrays = unpack(self._block.tobytes(), "trace", version=TRACE_VERSION)
            trace: Trace = LOADERS.load()["trace"].load(data, arrays)
            losses = [_node(trace, name) for name in self._losses]
        except FileFormatError as error:
            raise error.within(f"step {self._number}: ") from error
        return LoadedStep(trace, losses)


def _node(trace: Trace, name: str) -> Node:
    if name not in trace.graph.dag:
        raise FileFormatError("its loss is a node that is not in its graph")
    return trace.graph[name]


def _from_data(data: Any, arrays: dict[str, Array]) -> Run:
    if type(data) is not dict or data.keys() != {"name", "seen", "steps", "losses"}:
        raise FileFormatError("it does not hold the name, the steps and the losses of a run")
    name, seen, steps, losses = (data[key] for key in ("name", "seen", "steps", "losses"))
    numbers = type(steps) is list and all(type(each) is int and 0 <= each < _MOST_STEPS for each in steps)
    named = type(losses) is list and all(
        type(each) is list and all(type(one) is str for one in each) for each in losses
    )
    if type(name) is not str or type(seen) is not int or not numbers or sorted({*steps}) != steps:
        raise FileFormatError("the name of the model or the numbers of its steps are not valid")
    if not named or len(losses) != len(steps) or not steps[-1:] < [seen]:
        raise FileFormatError("the losses are not names of nodes, or there are fewer steps than it has recorded")
    if list(arrays) != [f"step/{place}" for place in range(len(steps))]:
        raise FileFormatError("it does not hold an array for each step")
    if any(array.dtype != np.uint8 or array.ndim != 1 for array in arrays.values()):
        raise FileFormatError("a step is not held as bytes")
    run = Run(name, {})
    run.seen = seen
    for number, array, each in zip(steps, arrays.values(), losses, strict=True):
        run.add(number, UnreadStep(number, array, each))
    return run


LOADERS.give("run")(Loader(VERSION, _from_data))
