"""`Run`: what `watch` recorded of a PyTorch program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._util.display import Shown
from ..._util.text import counted, quoted
from ...debugger.traces import VERSION as TRACE_VERSION
from ...errors import AxisError, UsageError
from ...io.container import pack, write
from .recorded_step import RecordedStep
from .run_health import checked

if TYPE_CHECKING:
    from ...core import Array, Graph, Node
    from ...debugger.health import Health
    from ...debugger.traces import Trace
    from ...io.paths import StrPath
    from .recorded_step import LoadedStep

VERSION = 1
"""That of the files of runs."""


class Run(Shown):
    """The recorded steps of a PyTorch program. Made by `watch`.

    Attributes
    ----------
    steps : list of int
        The numbers of the steps that were recorded, from 0.
    name : str
        The model's class.
    """

    def __init__(self, name: str, kinds: Mapping[str, str]) -> None:
        self.name = name
        self.steps: list[int] = []
        self._kinds = kinds
        self._recorded: list[Any] = []
        self.seen = 0
        """How many steps there were."""

    def save(self, path: StrPath) -> None:
        """Write it to a file, wholly or not at all: each step with its values, or with what was kept of them.

        Parameters
        ----------
        path : str or path-like
            ``gn.load(path)`` reads it, with PyTorch or without.

        Raises
        ------
        OSError
            When the file cannot be written.
        UsageError
            When nothing was recorded.
        """
        steps = [self.step(place) for place in range(len(self.steps) or 1)]
        losses = [[loss.name for loss in step.losses] for step in steps]
        data = {"name": self.name, "seen": self.seen, "steps": list(self.steps), "losses": losses}
        blocks = [pack("trace", *step.trace.encoded(), version=TRACE_VERSION) for step in steps]
        arrays = {f"step/{place}": np.frombuffer(block, np.uint8) for place, block in enumerate(blocks)}
        write(path, "run", data, arrays, version=VERSION)

    def add(self, number: int, recorder: Any, keep_one: bool = False) -> None:
        """Add a recorded step; with `keep_one`, in the place of the one before."""
        if keep_one:
            self.steps.clear()
            self._recorded.clear()
        self.steps.append(number)
        self._recorded.append(recorder)

    def step(self, place: int = -1) -> RecordedStep | LoadedStep:
        """Return a recorded step, by its place among those recorded."""
        if not self._recorded:
            raise UsageError(
                f"no step of {self.name} is recorded: "
                + (
                    "the block of gn.watch has not called PyTorch"
                    if not self.seen
                    else f"there were {counted(self.seen, 'step')}, and steps= chose none of them"
                )
            )
        try:
            found = self._recorded[place]
        except IndexError:
            raise AxisError(
                f"there is no recorded step {place}: there are {counted(len(self.steps), 'step')}"
            ) from None
        if hasattr(found, "read"):
            found = self._recorded[place] = found.read()
        elif hasattr(found, "calls"):
            found = self._recorded[place] = RecordedStep(found, self.name, self._kinds)
        step: RecordedStep | LoadedStep = found
        return step

    @property
    def graph(self) -> Graph:
        """The graph of the last recorded step: each call of PyTorch is a node."""
        return self.step().graph

    @property
    def trace(self) -> Trace:
        """The trace of the last recorded step."""
        return self.step().trace

    @property
    def traces(self) -> Sequence[Trace]:
        """The traces of all recorded steps, each made when it is asked for."""
        return _Traces(self)

    @property
    def feed(self) -> dict[str, Array]:
        """What the last recorded step was given, by the names of placeholders."""
        return self.step().feed

    @property
    def loss(self) -> Node | list[Node]:
        """What ``backward()`` was called on, in the last recorded step; a list where there were several.

        Raises
        ------
        UsageError
            When it was not called.
        """
        losses = self.step().losses
        if not losses:
            raise UsageError("backward() was not called in the recorded step: run.graph.outputs are its results")
        return losses[0] if len(losses) == 1 else losses

    def check_health(self, thorough: bool = False) -> Health:
        """Return the report about the last recorded step, as `gn.check_health` gives it."""
        return checked(self.step(), thorough)

    def as_trace(self) -> Trace:
        """Return the trace of the last recorded step: what takes a trace takes a run."""
        return self.trace

    def __len__(self) -> int:
        return len(self.steps)

    def __repr__(self) -> str:
        numbers = ", ".join(map(str, self.steps[:6])) + (", …" if len(self.steps) > 6 else "")
        which = f"{'step' if len(self.steps) == 1 else 'steps'} {numbers}" if self.steps else "nothing"
        return f"<Run of {quoted(self.name)}: {which} of {counted(self.seen, 'step')}>"


class _Traces(Sequence["Trace"]):
    def __init__(self, run: Run) -> None:
        self._run = run

    def __len__(self) -> int:
        return len(self._run.steps)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        return self._run.step(place).trace
