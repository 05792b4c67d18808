"""`fit`: trains with a compiled step, in batches, epoch after epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..container import StrPath, path_of, read, write
from ..errors import FileFormatError, GraphnnError, LookupFailure, ShapeError, UsageError, ValueRangeError, near
from ..execute.compiled import Compiled
from ..execute.feed import Feed, prepare
from ..files import to_data
from ..graph import Array, Graph, Node, flatten
from ..graph.attributes import whole
from ..graph.dimensions import shown
from ..graph.fetches import resolve
from ..replacing import replacing
from .batches import Rows
from .checkpoint import check_figures, fields, listed, plain_state, renamed, set_state, stored_value
from .checks import checked_flag, checked_number
from .evaluating import Evaluation
from .history import History
from .init import Rng, checked_rng
from .live import LivePage, Run, checked_page
from .progress import Reporter, reporter

_KIND, _VERSION = "checkpoint", 1
_OPTIONAL = (dict, type(None))
_MOST_ROWS_SHOWN = 64  # rows of a batch in a message


@dataclass(frozen=True)
class EarlyStopping:
    """When to stop a training early: when a figure of the history has not improved for some epochs.

    Parameters
    ----------
    monitor : str
        A figure of the history, such as ``"val_loss"`` or ``"val_accuracy"``.
    patience : int
        After how many epochs without an improvement to stop.
    min_delta : float
        The smallest change that counts as an improvement.
    mode : {"min", "max"}, optional
        Whether smaller or larger figures are better. Optional if the name of the figure ends with "loss".
    restore_best : bool
        Whether to restore the values of the best epoch at the end, unless Ctrl-C ended the training.

    Examples
    --------
    >>> EarlyStopping("val_accuracy", patience=3, mode="max")
    EarlyStopping(monitor='val_accuracy', patience=3, min_delta=0.0, mode='max', restore_best=True)
    """

    monitor: str = "val_loss"
    patience: int = 5
    min_delta: float = 0.0
    mode: str | None = None
    restore_best: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.monitor, str):
            raise UsageError(f"EarlyStopping: monitor is the name of a figure, not {type(self.monitor).__name__}")
        if self.mode is None and not self.monitor.endswith("loss"):
            raise UsageError(f'EarlyStopping: write mode="min" or mode="max", whichever is better for "{self.monitor}"')
        if self.mode not in (None, "min", "max"):
            raise ValueRangeError(f'EarlyStopping: mode is "min" or "max", not {self.mode!r}')
        whole("EarlyStopping: patience", self.patience, 1)
        checked_number("EarlyStopping: min_delta", self.min_delta, 0)
        checked_flag("EarlyStopping: restore_best", self.restore_best)


def fit(
    step: Compiled,
    feed: Feed,
    *,
    epochs: int = 1,
    batch_size: int | None = 32,
    shuffle: bool = True,
    rng: Rng | None = None,
    drop_last: bool = False,
    validation: Feed | None = None,
    metrics: Mapping[str, Any] | None = None,
    callbacks: Callable[[History], Any] | Iterable[Callable[[History], Any]] = (),
    early_stopping: EarlyStopping | None = None,
    checkpoint: StrPath | None = None,
    checkpoint_every: int | None = None,
    resume: StrPath | None = None,
    progress: Any = False,
    page: LivePage | StrPath | None = None,
) -> History:
    """Train a network: call a compiled step with one batch after another, for some epochs.

    Ctrl-C ends the training cleanly: the current step is discarded, all earlier steps are kept, and
    ``history.interrupted`` is True.

    Parameters
    ----------
    step : Compiled
        From ``gn.compile(loss, updates)``. Its first fetch is the loss, a scalar.
    feed : mapping of Node or str to array_like
        The training set. Arrays whose placeholder has a name as its first dimension are split into batches, all with
        the same permutation. The others are passed whole.
    epochs : int
        How often to go through the training set, including the epochs before a `resume`.
    batch_size : int or None
        Rows per batch. None: all rows in one batch.
    shuffle : bool
        Whether each epoch uses another order of the rows.
    rng : numpy.random.Generator or numpy.random.RandomState, optional
        Draws one permutation per epoch. By default, ``np.random.default_rng(0)``. Not used without `shuffle`.
    drop_last : bool
        Whether to leave out the last batch if it is smaller than `batch_size`.
    validation : mapping of Node or str to array_like, optional
        Another set, which is evaluated after each epoch, without updates. The history has its loss as ``val_loss``, a
        metric as ``val_accuracy`` and so on, in the evaluating form (see Notes). If the loss is a sum over the batch,
        the sums of the batches are added.
    metrics : mapping of str to Node or str, optional
        Evaluated on the whole training set after each epoch, as by `evaluate`.
    callbacks : callable or iterable of them
        Called with the history after each epoch. If one returns True (of Python or NumPy), the training ends.
    early_stopping : EarlyStopping, optional
    checkpoint : str or path-like, optional
        A file for everything that is needed to resume: graph, state, random generator, position and history. It is
        written after each epoch, completely or not at all.
    checkpoint_every : int, optional
        Write the checkpoint after this many steps instead of after each epoch, and at the end.
    resume : str or path-like, optional
        A checkpoint from which to continue, with the same arguments. The results are the same, to the bit, as without
        the interruption. It sets the state of the graph, and that of `rng`.
    progress : bool, stream or callable
        True: curves below the cell in a notebook; a progress bar and curves if standard error is a terminal and rich is
        installed; else lines of text on standard error, on a terminal with the curve of the loss. A stream gets the
        lines written to it. A callable is called with each line.
    page : str, path-like or LivePage, optional
        A file of HTML to open in a browser, which shows the training while it goes on and reloads itself until it ends:
        losses and metrics, the norms of gradients, weights and updates, how activations spread, the learning rate, and
        the first step at which `graphnn.check_health` finds something. It is written every few seconds, completely or
        not at all. For its figures a step is evaluated again now and then, so seldom that it takes less than 2 %
        of the time. Random nodes draw in it as in the next step. A `LivePage` shows several trainings over each other.

    Returns
    -------
    History
        A dict of lists. ``loss`` is the mean over the steps of an epoch, weighted by the size of the batches.

    Raises
    ------
    UsageError
        When the step makes no updates, its loss is not a scalar, or a metric is a sum over the batch or similar; when
        a figure would be random in evaluation.
    ValueRangeError
        When the training set is empty, or `drop_last` leaves no batch.
    ShapeError
        When the arrays to split have different lengths.
    LookupFailure
        When a feed is missing, or early stopping monitors an unknown figure.
    FileFormatError
        When `resume` is not a checkpoint of this graph.
    GraphnnError
        When a step fails, as in `graphnn.run`. A note names the epoch and the rows of the batch.
    OSError
        When `resume` cannot be read, or `checkpoint` or `page` cannot be written. All are found before training begins.

    Notes
    -----
    The validation loss and all metrics are computed with the evaluating form of the network, without dropout, even if
    they were made from the result of ``network(x, training=True)``. For this, each node that is only for training is
    replaced by its entry in ``graph.evaluating``, in a copy of the graph that uses the current state. The ``loss`` of
    the history is that of the training steps, with dropout.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> g = gn.Graph("xor")
    >>> x, y = g.placeholder("x", ("batch", 2)), g.placeholder("y", ("batch",), np.int64)
    >>> scores = nn.Sequential(nn.Dense(8), nn.Tanh(), nn.Dense(2))(x)
    >>> loss = nn.softmax_crossentropy(scores, y)
    >>> step = gn.compile(loss, nn.Adam(0.1).updates(loss))
    >>> X, Y = gn.datasets.gates("xor")
    >>> history = nn.fit(step, {x: X, y: Y}, epochs=50, batch_size=2, metrics={"accuracy": nn.accuracy(scores, y)})
    >>> history.epochs, history["accuracy"][-1]
    (50, 1.0)
    """
    graph = _checked_step(step).graph
    whole("epochs", epochs, 1)
    if checkpoint_every is not None:
        whole("checkpoint_every", checkpoint_every, 1)
        if checkpoint is None:
            raise UsageError("checkpoint_every needs checkpoint=, the file to write")
    if checkpoint is not None:
        _check_writable(checkpoint)  # an error now, and not after the first epoch
    shuffle, drop_last = checked_flag("shuffle", shuffle), checked_flag("drop_last", drop_last)
    given, shown_on = checked_rng(rng, "fit"), checked_page(page)
    rows = Rows(graph, feed, batch_size, "the training set")
    checked = None if validation is None else Rows(graph, validation, batch_size, "the validation set")
    order = (given or np.random.default_rng(0)) if shuffle else None
    training = _Training(step, rows, checked, metrics, order, drop_last, early_stopping)
    called = _checked_callbacks(callbacks)
    if resume is not None:
        training.resume(resume)
    return training.run(epochs, called, checkpoint, checkpoint_every, progress, shown_on)


# --- training -------------------------------------------------------------------------------------------------


class _Watch:
    """The state of early stopping."""

    def __init__(self, stopping: EarlyStopping) -> None:
        self.stopping = stopping
        self.best = math.nan
        self.epoch = 0  # of the best figure, from 1; 0: there is none yet
        self.waited = 0
        self.values: dict[Node, Array] = {}

    @property
    def ran_out(self) -> bool:
        return self.waited >= self.stopping.patience

    def see(self, figure: float, epoch: int, state: Mapping[Node, Array], updated: Iterable[Node]) -> None:
        """Compare the figure of an epoch with the best one. If it is better, keep the state."""
        gain = figure - self.best if self.stopping.mode == "max" else self.best - figure
        if gain > self.stopping.min_delta or (self.epoch == 0 and not math.isnan(figure)):
            self.best, self.epoch, self.waited = figure, epoch, 0
            if self.stopping.restore_best:
                self.values = {node: state[node] for node in updated}
        else:
            self.waited += 1


class _Training:
    """A training in progress: its parts and its position."""

    def __init__(
        self,
        step: Compiled,
        rows: Rows,
        validation: Rows | None,
        metrics: Mapping[str, Any] | None,
        rng: Rng | None,
        drop_last: bool,
        stopping: EarlyStopping | None,
    ) -> None:
        self.step, self.graph, self.rows = step, step.graph, rows
        self.rng, self.drop_last = rng, drop_last
        self.used = rows.used(drop_last)
        if not self.used:
            raise ValueRangeError(f"drop_last leaves nothing of {rows.count:,} rows in batches of {rows.size:,}")
        self.columns = {"loss": step.fetches[0], **_checked_metrics(self.graph, metrics)}  # the figures of the history
        evaluated = [(rows, list(self.columns)[1:])]  # the loss on the training set is known from the steps
        if validation is not None:
            validated = {f"val_{name}": node for name, node in self.columns.items()}
            if not validated.keys().isdisjoint(self.columns):
                names = ", ".join([*self.columns, *validated])
                raise UsageError(f"two figures have one name among {names}: rename the metrics")
            self.columns |= validated
            evaluated.append((validation, list(validated)))
        self.evaluations = [
            (names, Evaluation(self.graph, [self.columns[name] for name in names], on, added=step.fetches[:1]))
            for on, names in evaluated
            if names
        ]
        prepare(self.graph, step.fetches, next(rows.batches())[1])
        for _, evaluation in self.evaluations:
            evaluation.check()
        self.watch = self._watching(stopping)
        self.history = History()
        self.batch = 0  # number of steps in this epoch
        self.steps = 0  # number of all steps
        self.loss = 0.0  # weighted sum over the steps of this epoch
        self.shuffling = plain_state(self.rng)  # before this epoch's permutation is drawn

    def _watching(self, stopping: EarlyStopping | None) -> _Watch | None:
        if stopping is None:
            return None
        if not isinstance(stopping, EarlyStopping):
            raise UsageError(f"early_stopping is an nn.EarlyStopping, not {type(stopping).__name__}")
        node = self.columns.get(stopping.monitor)
        if node is None:
            hint = "" if "val_loss" in self.columns else "; figures called val_… need validation="
            raise LookupFailure(
                f'early stopping monitors "{stopping.monitor}", which is not recorded{hint}.'
                f"{near(stopping.monitor, self.columns)}"
            )
        if node.shape != ():
            raise ShapeError(f'early stopping needs a number, but "{stopping.monitor}" has shape {shown(node.shape)}')
        return _Watch(stopping)

    def run(
        self,
        epochs: int,
        callbacks: Sequence[Callable[[History], Any]],
        checkpoint: StrPath | None,
        every: int | None,
        progress: Any,
        page: LivePage | None,
    ) -> History:
        """Train until there are this many epochs, and return the history."""
        per_epoch = self._steps_per_epoch()
        done = self.history.epochs * per_epoch + self.batch
        self.seen = run = Run(self.step, self.history, epochs, per_epoch, done, page=page)
        try:
            with reporter(progress, run) as report:
                finished = self._is_finished(epochs)
                while not finished:
                    for _ in self._epoch(report):
                        if checkpoint is not None and every is not None and self.steps % every == 0:
                            self._save(checkpoint)
                    row = self._end_epoch()
                    answers = [callback(self.history) for callback in callbacks]
                    finished = any(map(_is_true, answers)) or self._is_finished(epochs)
                    self.shuffling = plain_state(self.rng)
                    if checkpoint is not None and (every is None or finished):
                        self._save(checkpoint)
                    report.epoch(self.history.epochs, row, finished)
            if self.watch:
                self.graph.state.update(self.watch.values)
        except KeyboardInterrupt:
            self.history.trim()
            self.history.interrupted = True
        return self.history

    def _steps_per_epoch(self) -> int:
        """Return the number of steps in an epoch."""
        return -(-self.used // self.rows.size)

    def _is_finished(self, epochs: int) -> bool:
        return self.history.epochs >= epochs or (self.watch is not None and self.watch.ran_out)

    def _epoch(self, report: Reporter) -> Iterator[None]:
        """Make the remaining steps of an epoch."""
        order = None if self.rng is None else self.rng.permutation(self.rows.count)
        for size, batch in self.rows.batches(order, self.drop_last, start=self.batch):
            try:
                loss = float(flatten(self.step(batch))[0][0])
            except GraphnnError as error:
                error.add_note(self._step_description(order, size))
                raise
            self.loss += loss * (size / self.used)
            self.batch += 1
            self.steps += 1
            self.seen.feed = batch
            report.step(self.history.epochs + 1, loss)
            yield

    def _step_description(self, order: Array | None, size: int) -> str:
        """Return the epoch, the batch and the rows of the current step, for an error."""
        first = self.batch * self.rows.size
        rows = f"{first:,} to {first + size - 1:,}"
        if order is not None:
            taken = order[first : first + min(size, _MOST_ROWS_SHOWN)].tolist()
            rows = f"{', '.join(map(str, taken))}{', …' * (size > _MOST_ROWS_SHOWN)}, in this order"
        batch = f"batch {self.batch + 1:,} of {self._steps_per_epoch():,}"
        return f"in epoch {self.history.epochs + 1:,}, {batch}: rows {rows}"

    def _end_epoch(self) -> dict[str, Any]:
        """Record the figures of an epoch after its last step."""
        row: dict[str, Any] = {"loss": self.loss}
        for names, evaluation in self.evaluations:
            row |= zip(names, [value.tolist() for value in evaluation()], strict=True)
        self.history.append(row)
        self.batch, self.loss = 0, 0.0
        if self.watch:
            figure = row[self.watch.stopping.monitor]
            self.watch.see(figure, self.history.epochs, self.graph.state, self.step.updates)
            self.history.best = self.watch.epoch or None
        return row

    # --- checkpoints

    def _division(self) -> dict[str, int]:
        return {"rows": self.rows.count, "batch_size": self.rows.size, "rows in batches": self.used}

    def _save(self, path: StrPath) -> None:
        graph, arrays = to_data(self.graph)
        watch = self.watch
        data = {
            "graph": graph,
            "state": [node.name for node in self.graph.state],
            "shuffling": self.shuffling,
            "history": dict(self.history),
            "position": {"steps": self.steps, "batch": self.batch, "loss": self.loss, **self._division()},
            "watch": watch and {"best": float(watch.best), "epoch": watch.epoch, "waited": watch.waited},
        }
        best = {f"best/{node.name}": value for node, value in watch.values.items()} if watch else {}
        write(path, _KIND, data, {**{f"graph/{name}": a for name, a in arrays.items()}, **best}, version=_VERSION)

    def resume(self, path: StrPath) -> None:
        """Continue from a checkpoint."""
        data, arrays = read(path, _KIND, version=_VERSION)
        try:
            self._restore(data, arrays)
        except FileFormatError as error:
            raise error.within(f"{str(path)!r}: ") from None
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            if isinstance(error, GraphnnError):
                raise
            raise FileFormatError(f"{str(path)!r} is not a checkpoint: {type(error).__name__}: {error}") from error

    def _restore(self, data: Any, arrays: Mapping[str, Array]) -> None:
        graph, watch = self.graph, self.watch
        described, state, shuffling, columns, position, watched = fields(
            data, graph=dict, state=list, shuffling=_OPTIONAL, history=dict, position=dict, watch=_OPTIONAL
        )
        steps, batch, loss = fields(position, steps=int, batch=int, loss=float)
        division = dict(zip(self._division(), fields(position, **dict.fromkeys(self._division(), int)), strict=True))
        best, epoch, waited = math.nan, 0, 0
        if watched is not None:
            best, epoch, waited = fields(watched, best=float, epoch=int, waited=int)

        now = renamed(state, graph)
        state = [now.get(name, name) for name in state]
        places = {f"{part}/{old}": f"{part}/{name}" for part in ("graph", "best") for old, name in now.items()}
        arrays = {places.get(place, place): array for place, array in arrays.items()}
        names = {node.name: node for node in graph.state}
        for name in sorted(names.keys() ^ set(state)):
            where = "only in the graph" if name in names else "not in the graph"
            raise FileFormatError(f'it is a checkpoint of another graph: the parameter "{name}" is {where}')
        values = {node: stored_value(node, arrays[f"graph/{name}"]) for name, node in names.items()}
        bests = {}
        if watch and epoch and watch.stopping.restore_best:
            bests = {node: stored_value(node, arrays[f"best/{node.name}"]) for node in self.step.updates}
        known = {f"graph/{now.get(name, name)}" for name in described["nodes"]["name"]}
        known |= {f"best/{name}" for name in names}
        unknown = [name for name in arrays if name not in known]
        if unknown:
            raise FileFormatError(f"its array {unknown[0][:80]!r} belongs to no parameter")
        if columns and list(columns) != list(self.columns):
            raise UsageError(
                f"the checkpoint records {', '.join(columns)}, but this call {', '.join(self.columns)}: "
                "resume with the same metrics and validation"
            )
        epochs = 0
        for name, figures in columns.items():
            epochs = epochs or len(columns["loss"])
            check_figures(name, figures, (epochs, *self.columns[name].shape))
        history = History(columns)
        if steps < batch + epochs or max(epoch, waited) > epochs:
            raise FileFormatError("its position is impossible")
        if batch and division != self._division():
            raise ValueRangeError(
                f"the checkpoint was written within an epoch with {listed(division)}, "
                f"but this call has {listed(self._division())}: "
                "resume with the same feed, batch_size and drop_last"
            )
        if batch > self._steps_per_epoch():
            raise FileFormatError(f"it was written after step {batch:,} of an epoch of {self._steps_per_epoch():,}")
        if (shuffling is None) != (self.rng is None):
            raise ValueRangeError(f"the checkpoint was made with shuffle={shuffling is not None}")

        if self.rng is not None:
            set_state(self.rng, shuffling)
        graph.state.update(values)
        self.history, self.shuffling = history, shuffling
        self.steps, self.batch, self.loss = steps, batch, loss
        if watch and watched is not None:
            watch.best, watch.epoch, watch.waited, watch.values = best, epoch, waited, bests
            history.best = epoch or None


# --- checks ---------------------------------------------------------------------------------------------------


def _checked_step(step: Any) -> Compiled:
    if not isinstance(step, Compiled):
        raise UsageError(f"fit trains what gn.compile(loss, updates) returns, not {type(step).__name__}")
    if not step.updates:
        raise UsageError(
            "the step makes no updates: gn.compile(loss, updates=optimizer.updates(loss)) makes one that does"
        )
    if not step.fetches:
        raise UsageError("the step has no fetches; the first is the loss: gn.compile(loss, updates)")
    loss = step.fetches[0]
    if loss.shape != () or loss.dtype.kind != "f":
        raise UsageError(f'the first fetch of the step is the loss, a float scalar; "{loss.name}" is {loss.spec}')
    return step


def _checked_metrics(graph: Graph, metrics: Any) -> dict[str, Node]:
    if not isinstance(metrics or {}, Mapping) or not all(isinstance(name, str) for name in metrics or {}):
        raise UsageError(
            'metrics are {name: node}, such as {"accuracy": nn.accuracy(scores, labels)}, '
            f"not {type(metrics).__name__}"
        )
    if not metrics:
        return {}
    if "loss" in metrics:
        raise UsageError('"loss" is what the step returns: rename the metric')
    return dict(zip(metrics, resolve(list(metrics.values()), graph)[1], strict=True))


class _OnlyTried(Exception):
    """Raised to stop `_check_writable` before anything is written."""


def _check_writable(path: Any) -> None:
    """Raise the error that writing a checkpoint there would raise."""
    with suppress(_OnlyTried), replacing(path_of(path)):
        raise _OnlyTried


def _is_true(answer: Any) -> bool:
    """Return whether the result of a callback is True, of Python or NumPy."""
    if isinstance(answer, (np.bool_, np.ndarray)):
        return answer.dtype == bool and answer.shape == () and bool(answer)
    return answer is True


def _checked_callbacks(given: Any) -> list[Callable[[History], Any]]:
    if not callable(given) and not isinstance(given, Iterable):
        raise UsageError(f"callbacks are functions of the history, not {type(given).__name__}")
    found = [given] if callable(given) else list(given)
    for callback in found:
        if not callable(callback):
            hint = ": it is given as early_stopping=" if isinstance(callback, EarlyStopping) else ""
            raise UsageError(f"a callback is a function of the history, not {type(callback).__name__}{hint}")
    return found
