"""Checkpoints: everything that a training run needs to go on as if it had not been interrupted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._util.text import quoted, with_article
from ...core import Array, Graph, Node, sealed
from ...core.attributes import whole
from ...core.symbolic_shapes import shown
from ...errors import FileFormatError, GraphnnError, UsageError, ValueRangeError
from ...io.atomic_file import replacing
from ...io.container import read, write
from ...io.graph_files import to_data
from ...io.paths import StrPath, path_of
from ..random_state import set_state
from .history import History

if TYPE_CHECKING:
    from .epochs import Passes
    from .evaluate import Evaluation
    from .training_run import Training

_KIND, _VERSION = "checkpoint", 3
_MOST = 2**63  # of what is counted
_OPTIONAL = (dict, type(None))


@dataclass(frozen=True)
class Checkpoint:
    """A file for everything that a training run needs to go on: ``nn.fit(..., checkpoint=nn.Checkpoint(path))``.

    It holds graph, state, random generator, position and history, and is written completely or not at all.

    Parameters
    ----------
    path : str or path-like
        The file that is written.
    every : int, optional
        Write it after this many steps, and at the end. By default, after each epoch.
    resume : bool, str or path-like
        True: go on from `path` where there is such a file, and begin anew where there is none. So a script that is
        started again goes on where it was, and one that was done is done. A path: go on from that file, which there
        must be. False: begin anew; the first checkpoint replaces a file that is there.

    Notes
    -----
    A run is resumed with the same arguments of `fit`; `epochs` counts those before, too, and may be more. The results
    are the same, to the bit, as without the interruption, if the data are the same. Batches that were used are passed
    over; an iterator just goes on, and so cannot resume within an epoch. Resuming sets the state of the graph, and that
    of the random generator. A file that is damaged, or of another graph, is an error, and nothing begins anew.

    Examples
    --------
    >>> Checkpoint("run.ckpt", every=500, resume=True)
    Checkpoint(path='run.ckpt', every=500, resume=True)
    """

    path: StrPath
    every: int | None = None
    resume: bool | StrPath = False

    def __post_init__(self) -> None:
        path_of(self.path)
        if self.every is not None:
            whole("every", self.every, 1)
        if isinstance(self.resume, np.bool_):
            object.__setattr__(self, "resume", bool(self.resume))
        if not isinstance(self.resume, bool):
            path_of(self.resume)


def checked_checkpoint(given: Any) -> Checkpoint | None:
    """Return a checkpoint that can be written, if one is asked for.

    Raises
    ------
    OSError
        What writing it would raise.
    """
    if given is None:
        return None
    checkpoint = given if isinstance(given, Checkpoint) else Checkpoint(given)
    with suppress(_OnlyTried), replacing(path_of(checkpoint.path)):
        raise _OnlyTried
    return checkpoint


class _OnlyTried(Exception):
    """Raised before anything is written."""


def save(training: Training, path: StrPath) -> None:
    """Write a checkpoint, completely or not at all."""
    graph, arrays = to_data(training.graph)
    watch, passes, amid = training.watch, training.passes, training.figures.amid
    position = {"steps": training.steps, "batch": training.batch, "loss": training.loss, "seen": training.rows}
    data = {
        "graph": graph,
        "state": [node.name for node in list(training.graph.state)],
        "shuffling": passes.state,
        "columns": list(training.figures.columns),
        "history": {name: _plain(name, values) for name, values in training.history.items()},
        "position": {**position, "drawn": passes.drawn, **passes.division()},
        "watch": watch and {"best": float(watch.best), "epoch": watch.epoch, "waited": watch.waited, **watch.goal},
    }
    stored = {f"graph/{name}": array for name, array in arrays.items()}
    if watch:
        stored |= {f"best/{node.name}": value for node, value in watch.values.items()}
    if amid is not None and training.batch:
        stored |= {f"metrics/{place}": np.asarray(total) for place, total in _totals(amid)}
    write(path, _KIND, data, stored, version=_VERSION)


def _plain(name: str, figures: Any) -> list[Any]:
    """Return figures as plain data, also those that a callback added."""
    if not isinstance(figures, list):
        raise UsageError(f"a history has lists, and {quoted(str(name))} is {with_article(type(figures).__name__)}")
    return [each.tolist() if isinstance(each, (np.generic, np.ndarray)) else each for each in figures]


def _totals(amid: Evaluation) -> Iterator[tuple[str, Any]]:
    """Yield what was added up for the metrics in this epoch, and its place."""
    for number, parts in enumerate(amid.totals):
        for part, total in enumerate(parts):
            yield f"{number}/{part}", total


def resume(training: Training, checkpoint: Checkpoint) -> None:
    """Continue from a checkpoint, if there is one to continue from.

    Raises
    ------
    FileFormatError
        When it is not a checkpoint, or is one of another graph. Then nothing has changed.
    GraphnnError
        When this training would not go on as that one.
    """
    if checkpoint.resume is False:
        return
    path = checkpoint.path if checkpoint.resume is True else checkpoint.resume
    try:
        data, arrays = read(path, _KIND, version=_VERSION)
    except FileNotFoundError:
        if checkpoint.resume is True:
            return  # the first run of a script that may be started again
        raise
    try:
        _restore(training, data, arrays)
    except FileFormatError as error:
        raise error.within(f"{str(path)!r}: ") from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        if isinstance(error, GraphnnError):
            raise
        raise FileFormatError(f"{str(path)!r} is not a checkpoint: {type(error).__name__}: {error}") from error


@dataclass
class _Position:
    """Where a training run was."""

    steps: int
    batch: int
    loss: float
    seen: int
    drawn: int
    division: dict[str, int]

    @classmethod
    def of(cls, position: Any, now: Mapping[str, int]) -> _Position:
        """Return the checked position of a checkpoint; `now` has the keys of a division."""
        division = dict(zip(now, fields(position, **dict.fromkeys(now, int)), strict=True))
        steps, batch, loss, seen, drawn = fields(position, steps=int, batch=int, loss=float, seen=int, drawn=int)
        return cls(steps, batch, loss, seen, drawn, division)

    def check(self, passes: Passes, epochs: int) -> None:
        """Raise an error unless a training run that has made this many epochs can go on here."""
        now = passes.division()
        holds = self.seen > 0 if self.batch else self.seen == self.loss == 0  # amid an epoch, a loss may be NaN
        if self.steps < self.batch + epochs or not holds:
            raise FileFormatError("its position is not valid")
        if (self.batch or self.drawn) and self.division != now:
            raise ValueRangeError(
                f"the checkpoint was written within an epoch with {_listed(self.division)}, "
                f"but this call has {_listed(now)}: "
                "resume with the same data, batch_size, drop_last and steps_per_epoch"
            )
        if self.batch and passes.batches.once:
            raise ValueRangeError(
                f"the checkpoint was written within an epoch, after {self.batch:,} steps of it, and which batch of a "
                "generator or iterator comes next is unknown: resume with the function that makes it, or with a list "
                "or a loader, of which the batches that were used are passed over"
            )
        # Rows that are more than the batches hold would weigh what comes too little.
        most = self.batch * now["batch_size"] if now["rows"] else _MOST
        if self.seen > most:
            raise FileFormatError("its position is not valid")
        longest = passes.steps or (passes.batches.length if now["rows"] else None)
        if longest is not None and self.batch > longest:
            raise FileFormatError(f"it was written after step {self.batch:,} of an epoch of {longest:,}")
        within = passes.batches.length if now["rows"] else None
        if (passes.steps is None and self.drawn != self.batch) or (within is not None and self.drawn > within):
            raise FileFormatError("its position is not valid")


def _listed(division: Mapping[str, int]) -> str:
    """Return what applies of how an epoch is divided, for an error."""
    known = [f"{name} = {number:,}" for name, number in division.items() if number]
    return ", ".join(known if division["rows"] else ["batches that are not split from arrays", *known])


def _restore(training: Training, data: Any, arrays: Mapping[str, Array]) -> None:
    """Check all of a checkpoint, then take it over."""
    watch, passes, columns = training.watch, training.passes, training.figures.columns
    described, state, shuffling, recorded, stored, watched = fields(
        data, graph=dict, state=list, shuffling=_OPTIONAL, history=dict, position=dict, watch=_OPTIONAL
    )
    names = fields(data, columns=list)[0]
    position = _Position.of(stored, passes.division())
    best, epoch, waited = math.nan, 0, 0
    if watched is not None:
        best, epoch, waited = fields(watched, best=float, epoch=int, waited=int)

    values = _values(training.graph, state, arrays)
    bests = _bests(training, watched, epoch, arrays) if watch and watched is not None else {}
    history = _history(recorded, names, columns)
    epochs = history.epochs
    position.check(passes, epochs)
    totals = _stored_totals(training.figures.amid, arrays) if position.batch else None
    known = {f"graph/{name}" for name in described["nodes"]["name"]}
    known |= {f"best/{node.name}" for node in values}
    known |= {f"metrics/{number}/{part}" for number, parts in enumerate(totals or []) for part in range(len(parts))}
    unknown = [name for name in arrays if name not in known]
    if unknown:
        raise FileFormatError(f"its array {unknown[0][:80]!r} belongs to no parameter")
    possible = epoch + waited == epochs if epoch else waited <= epochs
    if not possible or (epoch > 0) == math.isnan(best):
        raise FileFormatError("its position is not valid")
    if (shuffling is None) != (passes.rng is None):
        made = f"shuffle={shuffling is not None}" if position.division["rows"] else f"rng={shuffling and 'a generator'}"
        raise ValueRangeError(f"the checkpoint was made with {made}")

    if passes.rng is not None:
        set_state(passes.rng, shuffling)
    training.graph.state.update(values)
    training.history, passes.drawn = history, position.drawn
    training.steps, training.batch = position.steps, position.batch
    training.loss, training.rows = position.loss, position.seen
    if training.figures.amid is not None and totals is not None:
        training.figures.amid.totals, training.figures.amid.rows = totals, position.seen
    if watch and watched is not None:
        watch.best, watch.epoch, watch.waited, watch.values = best, epoch, waited, bests
        history.best = epoch or None


def _bests(training: Training, watched: Any, epoch: int, arrays: Mapping[str, Array]) -> dict[Node, Array]:
    """Return the values of the best epoch, if they are to be restored, from a checkpoint with this early stopping."""
    assert training.watch is not None
    goal = training.watch.goal
    before = dict(zip(goal, fields(watched, monitor=str, mode=str), strict=True))
    if before != goal:
        raise UsageError(
            f"early stopping of the checkpoint monitors {_aim(**before)}, but that of this call {_aim(**goal)}: "
            "resume with the same monitor and mode"
        )
    if not epoch or not training.watch.stopping.restore_best:
        return {}
    if not any(name.startswith("best/") for name in arrays):
        raise UsageError(
            f"the checkpoint was made with restore_best=False, and has no values of the best epoch, {epoch:,}: "
            "resume with EarlyStopping(restore_best=False)"
        )
    return {node: stored_value(node, arrays[f"best/{node.name}"]) for node in training.step.updates}


def _aim(monitor: str, mode: str) -> str:
    return f"{quoted(monitor)} (mode={quoted(mode)})"


def _history(recorded: Mapping[str, Any], names: Sequence[Any], columns: Mapping[str, Node]) -> History:
    """Return the checked history: the figures of the training, and what callbacks added to it."""
    own = [name for name in recorded if name in names]
    if "loss" not in names or (own and own != names):
        raise FileFormatError('its entry "columns" is not valid')
    if names != list(columns):
        raise UsageError(
            f"the checkpoint records {', '.join(map(str, names))}, but this call {', '.join(columns)}: "
            "resume with the same metrics and validation"
        )
    for name in own:
        check_figures(name, recorded[name], (len(recorded["loss"]), *columns[name].shape))
    history = History({name: recorded[name] for name in own})
    added = {name: figures for name, figures in recorded.items() if name not in own}
    for name, figures in added.items():
        if type(figures) is not list:
            raise FileFormatError(f"its figures {quoted(name)} are not valid")
    history.update(added)
    return history


def _values(graph: Graph, state: Sequence[str], arrays: Mapping[str, Array]) -> dict[Node, Array]:
    """Return the values of the parameters, by the names of those that the checkpoint has."""
    names = {node.name: node for node in list(graph.state)}
    for name in sorted(names.keys() ^ set(state)):
        where = "only in the graph" if name in names else "not in the graph"
        raise FileFormatError(f'it is a checkpoint of another graph: the parameter "{name}" is {where}')
    return {node: stored_value(node, arrays[f"graph/{name}"]) for name, node in names.items()}


def _stored_totals(amid: Evaluation | None, arrays: Mapping[str, Array]) -> list[list[Any]] | None:
    """Return what was added up for the metrics in the epoch."""
    if amid is None:
        return None
    found = []
    for number, specs in enumerate(amid.specs):
        found.append([arrays[f"metrics/{number}/{part}"] for part in range(len(specs))])
        if [(total.shape, total.dtype) for total in found[-1]] != specs:
            raise FileFormatError("its totals of the metrics are not valid")
    return found


def fields(data: Any, **kinds: type | tuple[type, ...]) -> list[Any]:
    """Return entries of what was read, by the types they must have; an int must count something."""
    values = [data[name] for name in kinds]
    for (name, kind), value in zip(kinds.items(), values, strict=True):
        counts = type(value) is not int or 0 <= value < _MOST
        if type(value) not in (kind if isinstance(kind, tuple) else (kind,)) or not counts:
            raise FileFormatError(f'its entry "{name}" is not valid')
    return values


def check_figures(name: str, values: Any, shape: tuple[Any, ...]) -> None:
    """Raise an error unless these are the figures of as many epochs, each of the right shape."""
    found = np.asarray(values)
    if type(values) is not list or found.shape != shape or found.dtype.kind not in "biuf":
        raise FileFormatError(f'its figures "{name}" are not valid')


def stored_value(node: Node, array: Array) -> Array:
    """Return an array of a checkpoint as the value of a node.

    Raises
    ------
    FileFormatError
        When it does not have the shape and dtype of the node.
    """
    if array.shape != node.shape or array.dtype != node.dtype:
        raise FileFormatError(
            f'it is a checkpoint of another graph: there, "{node.name}" is {shown(array.shape)} {array.dtype}, '
            f"and here {node.spec}"
        )
    return sealed(array)
