"""A training run in progress: step after step, epoch after epoch."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..._util.source_location import user_origin
from ...core import Node, flatten
from ...errors import GraphnnError, GraphnnWarning, UsageError
from ...runtime.batches import Batches, Split
from .callbacks import Callback, after_each_step, ask_to_stop
from .checkpoint import Checkpoint, save
from .early_stopping import watched
from .evaluate import Evaluation
from .history import History
from .live_run import LivePage, Run
from .progress import Reporter, reporter

if TYPE_CHECKING:
    from ...compiler.compile import Compiled
    from ...runtime.feed import Feed
    from .epochs import Passes


class Figures:
    """The figures of the history, and how they come about.

    On arrays, the metrics are evaluated after each epoch. On batches that come from elsewhere, and perhaps only once,
    each is evaluated just before its step. The validation set is evaluated after each epoch.
    """

    def __init__(
        self,
        step: Compiled,
        batches: Batches,
        metrics: Mapping[str, Node],
        validation: Batches | None,
    ) -> None:
        loss, graph = step.fetches[0], step.graph
        self.columns = {"loss": loss, **metrics}
        """{name in the history: node}."""
        self.amid = Evaluation(graph, list(metrics.values()), batches) if metrics else None
        """What is evaluated batch by batch."""
        self._names, self._after = list(metrics), []
        if self.amid is not None and isinstance(batches, Split):
            self._after.append((self._names, self.amid))
            self.amid.check()
            self.amid = None
        if validation is not None:
            validated = {"val_loss": loss, **{f"val_{name}": node for name, node in metrics.items()}}
            if not validated.keys().isdisjoint(self.columns):
                names = ", ".join([*self.columns, *validated])
                raise UsageError(f"two figures have one name among {names}: rename the metrics")
            self.columns |= validated
            evaluation = Evaluation(graph, list(validated.values()), validation, added=[loss])
            evaluation.check()
            self._after.append((list(validated), evaluation))

    def row(self, loss: float) -> dict[str, Any]:
        """Return the figures of an epoch after its last step."""
        row: dict[str, Any] = {"loss": loss}
        if self.amid is not None:
            row |= zip(self._names, [value.tolist() for value in self.amid.values()], strict=True)
            self.amid.begin()
        for names, evaluation in self._after:
            row |= zip(names, [value.tolist() for value in evaluation()], strict=True)
        return row


class Training:
    """A training run: its parts, its position and its history."""

    def __init__(
        self,
        step: Compiled,
        passes: Passes,
        figures: Figures,
        callbacks: Sequence[Callback],
        epochs: int,
        computed: Callable[[Feed], Any],
    ) -> None:
        self.step, self.graph = step, step.graph
        self.computed = computed
        """What makes a step: the step itself, or its shards."""
        self.passes, self.figures = passes, figures
        self.callbacks, self.watch = callbacks, watched(callbacks, figures.columns)
        self.history = History()
        self.epochs = epochs
        self.batch = 0  # number of steps in this epoch
        self.steps = 0  # number of all steps
        self.loss = 0.0  # sum over the steps of this epoch, each times its rows
        self.rows = 0  # of this epoch
        self._warned = False  # of a loss that is NaN

    def run(
        self,
        checkpoint: Checkpoint | None,
        progress: Any,
        page: LivePage | None,
    ) -> History:
        """Train until the end, and return the history."""
        self._check_passes()
        run = Run(self.step, self.history, self.epochs, self.passes.per_epoch, self.steps, page=page)
        run.steps, run.batch = self.steps, self.batch
        before = self.steps - self.batch
        run.ends = [before * epoch // self.history.epochs for epoch in range(1, self.history.epochs + 1)]
        amid = after_each_step(self.callbacks)
        try:
            with reporter(progress, run) as report:
                finished = self._is_finished()
                while not finished:
                    run.epoch = self.history.epochs + 1
                    stopped = False
                    for _ in self._epoch(run, report):
                        stopped = ask_to_stop(amid, lambda callback: callback.batch(run))
                        if checkpoint is not None and checkpoint.every and self.steps % checkpoint.every == 0:
                            save(self, checkpoint.path)
                        if stopped:
                            break
                    row = self._end_epoch(run, stopped)
                    asked = bool(row) and ask_to_stop(self.callbacks, lambda callback: callback.epoch(run))
                    finished = stopped or asked or self._is_finished()
                    run.batch = 0
                    if checkpoint is not None and (checkpoint.every is None or finished):
                        save(self, checkpoint.path)
                    if row:
                        report.epoch(self.history.epochs, row, finished)
            if self.watch:
                self.graph.state.update(self.watch.values)
        except BaseException as error:
            self.history.trim()
            self.passes.batches.close()
            if not isinstance(error, KeyboardInterrupt):
                with suppress(AttributeError):
                    error.history = self.history  # type: ignore[attr-defined]
                raise
            self.history.interrupted = True
        finally:
            self.passes.end_pass()
        return self.history

    def _check_passes(self) -> None:
        """Raise an error if the batches can be gone through once, and must be more often."""
        left = self.epochs - self.history.epochs
        if self.passes.batches.once and self.passes.steps is None and left > 1:
            raise UsageError(
                f"a generator or iterator can be gone through only once, and there are {left} epochs: give the "
                "function that makes it, nn.fit(step, batches, …) and not batches(), or a list or a loader; or say how "
                "many batches make an epoch, steps_per_epoch="
            )

    def _is_finished(self) -> bool:
        if self.history.exhausted:
            return True
        return self.history.epochs >= self.epochs or (self.watch is not None and self.watch.ran_out)

    def _epoch(self, run: Run, report: Reporter) -> Iterator[None]:
        """Make the remaining steps of an epoch."""
        batches, amid = self.passes.epoch(self.batch), self.figures.amid
        while True:
            try:
                found = next(batches, None)
            except Exception as error:
                error.add_note(f"in {self._place(run)}: the data raised this, and no step was made")
                raise
            if found is None:
                return
            size, batch = found
            try:
                if amid is not None:
                    amid.take_over_state()
                    amid.add(size, batch)
                results = self.computed(batch)
            except GraphnnError as error:
                error.add_note(f"in {self._place(run)}{self.passes.rows_of(size)}")
                raise
            loss = float(flatten(results)[0][0])
            if math.isnan(loss) and not self._warned:
                self._warn_of_nan(run)
            self.loss += loss * size
            self.rows += size
            self.batch += 1
            self.steps += 1
            run.feed, run.results, run.loss, run.batch, run.steps = batch, results, loss, self.batch, self.steps
            report.step(run.epoch, loss)
            yield

    def _warn_of_nan(self, run: Run) -> None:
        self._warned = True
        message = (
            f"the loss is NaN in {self._place(run)}, and the training goes on; a smaller learning rate may help, "
            'gn.compile(…, guard="nan") stops before the first NaN is kept, and gn.check_health tells where it arises'
        )
        warnings.warn_explicit(message, GraphnnWarning, *user_origin())

    def _place(self, run: Run) -> str:
        """Return the epoch and the batch of the current step, for an error."""
        most = run.per_epoch
        of = "" if most is None or most <= self.batch else f" of {most:,}"
        return f"epoch {self.history.epochs + 1:,}, batch {self.batch + 1:,}{of}"

    def _end_epoch(self, run: Run, stopped: bool) -> dict[str, Any]:
        """Record the figures of an epoch after its last step; nothing if it had no step."""
        if self.passes.ran_dry and self.passes.steps is not None:
            self.history.exhausted = True
        if stopped and self.passes.steps is None:
            self.passes.end_pass()
        if not self.batch:
            return {}
        row = self.figures.row(self.loss / self.rows)
        self.history.append(row)
        run.ends.append(self.steps)
        if not stopped and not self.history.exhausted:
            run.per_epoch = self.batch
        self.batch, self.loss, self.rows = 0, 0.0, 0
        if self.watch:
            figure = row[self.watch.stopping.monitor]
            self.watch.see(figure, self.history.epochs, self.graph.state, self.step.updates)
            self.history.best = self.watch.epoch or None
        return row
