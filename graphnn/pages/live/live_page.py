"""The page of a training run: written again and again while it goes on, whole or not at all."""

from __future__ import annotations

import html
import json
import math
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import FileFormatError, GraphnnError, GraphnnWarning
from ...io.atomic_file import replacing
from ...io.paths import path_of
from ...nn.training.history import numbers_of
from ...nn.training.progress import LIVE_PAGE, Reporter
from ...view.formatting import visible
from ..single_file import one_file, part
from .node_figures import Watched
from .training_curves import Losses, Rows, short

if TYPE_CHECKING:
    from ...debugger.health.findings import Finding
    from ...nn.training.live_run import Run

EVERY = 2.0
"""Seconds between two writings, at least."""
SHARE = 0.012
"""So much of the time of a training run may go into figures and writing, but for the first and the last."""
_SECOND = 1.0  # seconds from the page after the first step to the next
_MOST_TEXT = 600  # characters of an error
_MOST_FAULTS = 20
_LARGEST_PAGE = 2**26  # bytes of a page that is read
_BEGIN, _END = '<script type="application/json" id="data">', "</script>"
_KINDS = ("gradient", "weight", "update", "activation", "rate")


@LIVE_PAGE.give()
class PageWriter(Reporter):
    """Writes the page of a training run, when it begins, every few seconds, and when it ends, however it ends."""

    def __init__(self, run: Run) -> None:
        assert run.page is not None
        self.run, self.page = run, run.page
        self.losses, self.nodes, self.watched = Losses(), Rows(), Watched(run.step)
        self.ends: list[tuple[int, float]] = []  # of the epochs: steps, seconds
        self.faults: dict[str, dict[str, Any]] = {}
        self.note = ""
        self.steps = run.done
        self.started = self.began = self.due = 0.0
        # What it costs, in seconds of the processor: on a busy machine, others take as much of it as of the training.
        self.cpu_began = self.spent = self.written = 0.0  # when it began; in all; by writing alone
        self.figuring = self.writing = 0.0  # the latest figures, the latest writing
        self.looked = run.done  # the last step after which the health check looked
        self._beside: dict[Path, tuple[int, dict[str, Any] | None]] = {}

    def __enter__(self) -> Reporter:
        self.started, self.began, self.cpu_began = time.time(), time.perf_counter(), time.thread_time()
        self.ends = [(end, 0.0) for end in self.run.ends]
        self._write("training", "")  # an error now, and not after the first epoch
        return self

    def step(self, epoch: int, loss: float) -> None:
        """Keep the loss, and write the page when it is due."""
        self.losses.pending.append(loss)
        if time.perf_counter() >= self.due:
            first = not self.due
            if first or self.written + self.writing <= SHARE / 2 * (time.thread_time() - self.cpu_began):
                self._gather()
                if first or self._can_afford_figures():
                    self._take_figures()
                self._try_to_write("training", "")
            if first:  # modules were loaded, and what is found out is kept: the next time costs less
                self.spent = self.written = self.figuring = self.writing = 0.0
            self.due = time.perf_counter() + (_SECOND if first else EVERY)

    def epoch(self, epoch: int, row: Mapping[str, Any], last: bool) -> None:
        """Keep when an epoch ended."""
        self.ends.append((self.steps + len(self.losses.pending), time.perf_counter() - self.began))

    def __exit__(self, *raised: object) -> None:
        """Write how it ended."""
        error = raised[1] if raised else None
        self._gather()
        if error is None and self.steps > self.looked and self._can_afford_figures():
            self._take_figures()
        if error is None:
            self._try_to_write("finished", "")
        elif isinstance(error, KeyboardInterrupt):
            self._try_to_write("stopped", "")
        else:
            said = visible(str(error)[:_MOST_TEXT])
            self._try_to_write("failed", f"{type(error).__name__}: {said}")

    # --- figures

    def _can_afford_figures(self) -> bool:
        return self.spent + self.figuring + self.writing <= SHARE * (time.thread_time() - self.cpu_began)

    def _gather(self) -> None:
        self.steps += len(self.losses.pending)
        self.losses.gather(self.steps, time.perf_counter() - self.began)

    def _take_figures(self) -> None:
        """Evaluate the step once more, with the latest batch, for the figures of its nodes."""
        before = time.thread_time()
        try:
            figures, findings = self.watched.figures(self.run.feed)
        except (GraphnnError, MemoryError) as error:
            self.note = visible(f"no figures of nodes: {error}"[:_MOST_TEXT])
        else:
            self.note = ""
            self.nodes.append({"step": self.steps, "time": time.perf_counter() - self.began, **figures})
            for finding in findings:
                if len(self.faults) < _MOST_FAULTS:
                    self.faults.setdefault(finding.code, self._fault(finding))
        self.looked = self.steps
        self.figuring = time.thread_time() - before
        self.spent += self.figuring

    def _fault(self, finding: Finding) -> dict[str, Any]:
        origin = str(finding.origin) if finding.origin.file else ""
        said = {"code": finding.code, "severity": finding.severity, "place": finding.place, "origin": origin}
        said |= {"cause": finding.cause, "remedy": finding.remedy}
        seen = {"step": self.steps, "after": self.looked, "time": time.perf_counter() - self.began}
        return {**seen, **{name: visible(text)[:_MOST_TEXT] if text else "" for name, text in said.items()}}

    # --- the file

    def plain(self, state: str, says: str) -> dict[str, Any]:
        """Return the training as plain data, as the page holds it."""
        run, history = self.run, self.run.history
        count = min(history.epochs, len(self.ends))  # an interrupt may come between the two
        figures = {visible(name): short(values[:count]) for name, values in numbers_of(history).items()}
        return {
            "name": visible(self.page.name),
            "graph": visible(run.step.graph.name),
            "state": state,
            "says": says,
            "note": self.note,
            "started": self.started,
            "written": time.time(),
            "every": EVERY,
            "epochs": run.epochs,
            "per_epoch": run.per_epoch or 0,
            "done": history.epochs,
            "best": history.best,
            "step": self.steps,
            "losses": self.losses.plain(),
            "bad": self.losses.bad,
            "history": {
                "step": [step for step, _ in self.ends[:count]],
                "time": short([at for _, at in self.ends[:count]]),
                "figures": figures,
            },
            "nodes": {
                "step": [row["step"] for row in self.nodes.rows],
                "time": short([row["time"] for row in self.nodes.rows]),
                **{kind: self.nodes.plain(kind) for kind in _KINDS},
            },
            "faults": list(self.faults.values()),
        }

    def _write(self, state: str, says: str) -> None:
        text = page_of([self.plain(state, says), *self._others()])
        with replacing(self.page.path, durable=False) as file:
            file.write(text.encode())

    def _try_to_write(self, state: str, says: str) -> None:
        """Write the page. A training run does not fail because its page cannot be written."""
        before = time.thread_time()
        try:
            self._write(state, says)
        except OSError as error:
            text = f"the page of the training could not be written: {error}"
            warnings.warn(text, GraphnnWarning, 2)
        self.writing = time.thread_time() - before
        self.spent += self.writing
        self.written += self.writing

    def _others(self) -> list[dict[str, Any]]:
        """Return the training runs beside this one, if their pages can be read; read anew when they have changed."""
        for path in self.page.beside:
            try:
                changed = path.stat().st_mtime_ns
                if path not in self._beside or self._beside[path][0] != changed:
                    self._beside[path] = changed, run_in(path)
            except (OSError, FileFormatError) as error:
                if path not in self._beside:  # said once; a page that is not there yet may come
                    warnings.warn(f"nothing is shown beside the training: {error}", GraphnnWarning, 2)
                    self._beside[path] = 0, None
        return [run for _, run in self._beside.values() if run is not None]


def page_of(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return the page of a training run, as plain data, and of others beside it."""
    data = json.dumps({"runs": list(runs)}, allow_nan=False, separators=(",", ":"), ensure_ascii=True)
    package = __package__
    return one_file(
        part(package, "template.html"),
        part(package, "style.css"),
        part(package, "live.js"),
        title=html.escape(f"{runs[0]['name']} — training"),
        data=data.replace("<", "\\u003c"),
    )


def run_in(path: Path) -> dict[str, Any]:
    """Return the training of a page, checked, as plain data.

    Raises
    ------
    FileFormatError
        When the file is not the page of a training run.
    OSError
        When it cannot be read.
    """
    path = path_of(path)
    if path.stat().st_size > _LARGEST_PAGE:
        raise FileFormatError(f"{str(path)!r} is too large for the page of a training run")
    _, begun, rest = path.read_bytes().decode("utf-8", "replace").partition(_BEGIN)
    text, ended, _ = rest.partition(_END)
    try:
        if not begun or not ended:
            raise ValueError("it has no figures")
        run: dict[str, Any] = json.loads(text, parse_float=_finite, parse_constant=_finite)["runs"][0]
        _check(run)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise FileFormatError(f"{str(path)!r} is not the page of a training run: {error}") from None
    return run


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is not a figure")
    return value


_STATES = ("training", "finished", "stopped", "failed")
_TEXTS = ("name", "graph", "state", "says", "note")
_NUMBERS = ("started", "written", "every", "epochs", "per_epoch", "done", "step")
_OF_FAULT = ("code", "severity", "place", "origin", "cause", "remedy")


def _check(run: dict[str, Any]) -> None:
    """Raise an error where what is read is not of the form that is written."""
    wrong = [name for name in _TEXTS if not isinstance(run[name], str)]
    wrong += [name for name in _NUMBERS if not _is_number(run[name])]
    wrong += [name for name in ("best", "bad") if not (run[name] is None or _is_number(run[name]))]
    wrong += [] if run["state"] in _STATES else ["state"]
    losses, history, nodes = run["losses"], run["history"], run["nodes"]
    columns = [losses[name] for name in ("step", "time", "mean", "low", "high")]
    wrong += [] if _are_columns(columns) else ["losses"]
    columns = [history["step"], history["time"], *history["figures"].values()]
    wrong += [] if _are_columns(columns) else ["history"]
    flat = [values for kind in _KINDS if kind != "activation" for values in nodes[kind].values()]
    wrong += [] if _are_columns([nodes["step"], nodes["time"], *flat]) else ["nodes"]
    spread = list(nodes["activation"].values())
    fives = all(each is None or _are_columns([[0] * 5, each]) for values in spread for each in values)
    wrong += [] if fives and all(len(values) == len(nodes["step"]) for values in spread) else ["activation"]
    for fault in run["faults"]:
        wrong += [name for name in ("step", "after", "time") if not _is_number(fault[name])]
        wrong += [name for name in _OF_FAULT if not isinstance(fault[name], str)]
    if wrong:
        raise ValueError(f"{wrong[0]} is wrong")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _are_columns(columns: Sequence[Any]) -> bool:
    """Return whether all are lists of as many numbers, of which some may not be known."""
    return all(
        isinstance(column, list)
        and len(column) == len(columns[0])
        and all(value is None or _is_number(value) for value in column)
        for column in columns
    )
