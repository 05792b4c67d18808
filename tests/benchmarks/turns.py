"""Time engines in turn: each in a process of its own, held to its cores and threads, where it waits to be timed.

A process's figure is the least of its rounds; an engine's is the median of its processes. The losses of the first
three steps must agree, or nothing is timed. An engine that is not installed, or does not work here, gets a row that
says so. `training_step.py`, `networks.py` and `trainings.py` are what is timed.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import measure
from measure import told

if TYPE_CHECKING:
    from engines import Engine

DTYPES = ("float32", "float64")
CHECKED = 3
TOLERANCE = 1e-5
SHARED = 1.1
"""How much longer a step may take by the clock on the wall than by the process's, before its core counts as shared."""
EXTRA = 4
"""How many times the rounds there may be for an engine whose core is shared."""
PATIENCE = 600
"""Seconds that an engine may take to come to its first loss, or to be timed once."""


class Suite(NamedTuple):
    """What is timed.

    Attributes
    ----------
    script : str
        The file that makes this suite, and works at it when it is called with ``--work``.
    description : str
    engines : mapping of str to Engine
    problems : mapping of str to callable
        The problem of each name, of a dtype.
    titles : mapping of str to str
        What the problems are called in tables.
    reference : str
        The engine whose losses the others must have.
    unit : str
        The engine whose time is 1.
    usual : mapping of str to Any
        Settings that are not the usual ones.
    quick : mapping of str to Any
        Settings of the quick mode.
    """

    script: str
    description: str
    engines: Mapping[str, Engine]
    problems: Mapping[str, Callable[[str], Any]]
    titles: Mapping[str, str]
    reference: str
    unit: str
    usual: Mapping[str, Any]
    quick: Mapping[str, Any]

    def of(self, problem: str, engines: Iterable[str]) -> list[str]:
        """Return those of the engines that have this problem."""
        return [engine for engine in engines if problem.startswith(self.engines[engine].only)]


class Failed(Exception):
    """An engine gave up; the text says why."""


class Worker:
    """An engine in a process of its own, which makes a few steps at once, and waits to be timed."""

    def __init__(self, suite: Suite, engine: str, problem: str, dtype: str, cores: int, forced: bool) -> None:
        task = {"engine": engine, "problem": problem, "dtype": dtype, "cores": cores}
        self._late = False
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - see close
        self._process = subprocess.Popen(
            [sys.executable, suite.script, "--work", json.dumps(task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=measure.environment(cores, forced),
        )

    def ask(self, question: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a question, if there is one, and return the answer to it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        clock = threading.Timer(PATIENCE, self._give_up)
        clock.start()
        try:
            if question is not None:
                self._process.stdin.write(json.dumps(question) + "\n")
                self._process.stdin.flush()
            for line in self._process.stdout:
                if line.startswith("{"):  # an engine may have printed something, too
                    answer: dict[str, Any] = json.loads(line)
                    return answer
        except BrokenPipeError:
            pass
        finally:
            clock.cancel()
        status = self._process.wait()
        raise Failed(f"took more than {PATIENCE} s" if self._late else self._last_words() or f"ended with {status}")

    def _give_up(self) -> None:
        self._late = True
        self._process.kill()

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()]
        return lines[-1][:200] if lines else ""

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()


def work(suite: Suite, engine: str, problem: str, dtype: str, cores: int) -> None:
    """Be a worker: answer with the first losses, then with a time for each question."""
    measure.pin(cores)
    given = suite.problems[problem](dtype)
    start = time.perf_counter()
    make = suite.engines[engine].load()
    imported = time.perf_counter()
    training = make(given)
    losses = [training.step()]
    first = time.perf_counter()
    losses += [training.step() for _ in range(CHECKED - 1)]
    ready = time.perf_counter()
    _answer({"losses": losses, "import": imported - start, "first": first - imported, "ready": ready - imported})
    calls = 0
    for line in sys.stdin:
        calls = calls or measure.warmed_up(training.step)
        found = measure.least(training.step, calls, json.loads(line)["seconds"])
        _answer({"wall": found.wall, "cpu": found.cpu})


def _answer(what: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def timed(suite: Suite, problem: str, dtype: str, engines: Sequence[str], asked: argparse.Namespace) -> list[Any]:
    """Return a figure for each engine, at one problem and dtype.

    Raises
    ------
    SystemExit
        When losses differ, or what is ours fails.
    """
    found: dict[str, list[dict[str, Any]]] = {engine: [] for engine in engines}
    failed: dict[str, str] = {}
    turns = random.Random(0)
    for _ in range(asked.processes):
        workers: dict[str, Worker] = {}
        try:
            for engine in engines:
                if engine in failed:
                    continue
                workers[engine] = Worker(suite, engine, problem, dtype, asked.cores, asked.forced_kernels)
                _attempt(suite, engine, failed, found, workers[engine])
            check_losses(suite, {engine: found[engine][-1]["losses"] for engine in workers if engine not in failed})
            for turn in range(asked.rounds * EXTRA):
                order = [
                    engine
                    for engine in workers
                    if engine not in failed and (turn < asked.rounds or _busy(found[engine][-1]))
                ]
                turns.shuffle(order)
                for engine in order:
                    _attempt(suite, engine, failed, found, workers[engine], {"seconds": asked.seconds})
        finally:
            for worker in workers.values():
                worker.close()
    return [
        {"engine": engine, "problem": problem, "dtype": dtype}
        | ({"failed": failed[engine]} if engine in failed else _figure(found[engine]))
        for engine in engines
    ]


def _attempt(
    suite: Suite,
    engine: str,
    failed: dict[str, str],
    found: dict[str, list[dict[str, Any]]],
    worker: Worker,
    question: Mapping[str, Any] | None = None,
) -> None:
    try:
        answer = worker.ask(question)
    except Failed as failure:
        if not suite.engines[engine].needs:
            sys.exit(f"{suite.engines[engine].label} fails: {failure}")
        told(f"  {engine} fails: {failure}")
        failed[engine] = str(failure)
        return
    if question is None:
        found[engine].append({**answer, "walls": [], "cpus": []})
    else:
        found[engine][-1]["walls"].append(answer["wall"])
        found[engine][-1]["cpus"].append(answer["cpu"])


def _busy(process: Mapping[str, Any]) -> bool:
    """Tell whether the core did other work, too, even in the best of this process's rounds."""
    return bool(min(process["walls"]) > SHARED * min(process["cpus"]))


def check_losses(suite: Suite, losses: Mapping[str, Sequence[float]]) -> None:
    """End the program if an engine has other losses than the reference."""
    expected = losses[suite.reference]
    wrong = [
        f"  {engine}: {', '.join(f'{loss:.7g}' for loss in own)}"
        for engine, own in losses.items()
        if suite.engines[engine].trains
        and not all(abs(a - b) <= TOLERANCE * max(1, abs(b)) for a, b in zip(own, expected, strict=True))
    ]
    if wrong:
        shown = ", ".join(f"{loss:.7g}" for loss in expected)
        sys.exit("\n".join([f"the first losses differ; {suite.engines[suite.reference].label}: {shown}", *wrong]))


def _figure(processes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    processes = list(processes)
    minima = [min(process["walls"]) for process in processes]
    cpu = statistics.median(min(process["cpus"]) for process in processes)
    seconds = statistics.median(minima)
    return {
        "seconds": seconds,
        "minima": minima,
        "cpu": cpu,
        "import": statistics.median(process["import"] for process in processes),
        "first": statistics.median(process["first"] for process in processes),
        "ready": statistics.median(process["ready"] for process in processes),
        "losses": processes[0]["losses"],
    }


def shared(figure: Mapping[str, Any]) -> bool:
    """Tell whether the core did other work, too, whenever this was timed."""
    return bool(figure["seconds"] > SHARED * figure["cpu"])


def measured(suite: Suite, asked: argparse.Namespace) -> dict[str, Any]:
    """Time all that is asked for; return the figures with their circumstances."""
    engines = [*dict.fromkeys([suite.reference, *asked.engines])]
    missing = {engine: why for engine in engines if (why := suite.engines[engine].missing())}
    present = [engine for engine in engines if engine not in missing]
    needs = sorted({suite.engines[engine].needs for engine in present} - {""})
    result: dict[str, Any] = {
        "circumstances": measure.circumstances(asked.cores, needs, asked.forced_kernels),
        "settings": {"processes": asked.processes, "rounds": asked.rounds, "seconds": asked.seconds},
        "missing": missing,
        "engines": engines,
        "problems": asked.problems,
        "dtypes": asked.dtypes,
        "figures": [],
    }
    for why in missing.values():
        told(why)
    for problem in asked.problems:
        for dtype in asked.dtypes:
            told(f"{suite.titles[problem]} {dtype}; load {measure.shown_load()}")
            figures = timed(suite, problem, dtype, suite.of(problem, present), asked)
            for figure in figures:
                if "seconds" in figure:
                    told(f"  {figure['engine']:<14}{measure.duration(figure['seconds'])}")
            result["figures"] += [{**figure, "load": measure.load()} for figure in figures]
    result["circumstances"]["load after"] = measure.load()
    return result


def tables(suite: Suite, result: Mapping[str, Any]) -> str:
    """Return a Markdown table for each dtype: the time of a step, and its ratio to the engine that is the unit."""
    figures = {(one["engine"], one["problem"], one["dtype"]): one for one in result["figures"]}
    texts, any_shared = [], False
    for dtype in result["dtypes"]:
        rows = []
        for engine in result["engines"]:
            row = {dtype: suite.engines[engine].label}
            for problem in result["problems"]:
                one = figures.get((engine, problem, dtype), {})
                text = "not installed" if engine in result["missing"] else "does not work here" if one else ""
                if "seconds" in one:
                    any_shared = any_shared or shared(one)
                    text = measure.duration(one["seconds"]) + "\\*" * shared(one)
                    if "seconds" in (unit := figures.get((suite.unit, problem, dtype), {})):
                        text += f" ({one['seconds'] / unit['seconds']:.2f})"
                row[suite.titles[problem]] = text
            rows.append(row)
        texts.append(measure.table(rows))
    if any_shared:
        texts.append("\\* The core did other work, too, whenever this was timed.\n")
    return "\n".join(texts)


def settings_from(suite: Suite, arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the settings of the command line."""
    parser = argparse.ArgumentParser(
        description=suite.description, formatter_class=argparse.RawDescriptionHelpFormatter
    )

    def some_of(known: Iterable[str]) -> Any:
        def chosen(text: str) -> list[str]:
            names = text.split(",")
            if unknown := [name for name in names if name not in known]:
                raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)} (known: {', '.join(known)})")
            return names

        return chosen

    parser.add_argument("--problems", "--sizes", "--networks", "--trainings", type=some_of(suite.problems))
    parser.add_argument("--dtypes", "--dtype", type=some_of(DTYPES))
    parser.add_argument("--engines", type=some_of(suite.engines))
    parser.add_argument("--processes", type=int, help="of each engine, one after the other")
    parser.add_argument("--rounds", type=int, help="of each process")
    parser.add_argument("--seconds", type=float, help="that an engine is timed for in one round, at least")
    parser.add_argument("--cores", type=int, default=1, choices=[1, 2])
    parser.add_argument(
        "--forced-kernels", action="store_true", help="keep OPENBLAS_CORETYPE and other variables that force a kernel"
    )
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--table", type=Path, help="where the tables go; they are printed in any case")
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    usual = {"problems": list(suite.problems), "dtypes": list(DTYPES), "engines": list(suite.engines)}
    usual |= {"processes": 3, "rounds": 5, "seconds": 0.2, **suite.usual}
    if asked.quick:
        usual |= suite.quick
    for name, value in usual.items():
        if getattr(asked, name) is None:
            setattr(asked, name, value)
    return asked


def run(
    suite: Suite,
    compared: Callable[[Sequence[str]], Any] | None = None,
    table: Callable[[Mapping[str, Any]], str] | None = None,
) -> None:
    """Measure and tell, as the command line says; also what else is `compared` about the problems, by another table."""
    asked = settings_from(suite)
    if asked.work:
        work(suite, **json.loads(asked.work))
        return
    beside = {"compared": compared(asked.problems)} if compared else {}
    result = measured(suite, asked) | beside
    text = tables(suite, result)
    if table:
        text += "\n" + table(result)
    place = result["circumstances"]
    sys.stdout.write(f"load {place['load before']} before, {place['load after']} after\n\n{text}")
    if asked.table:
        asked.table.write_text(text, encoding="utf-8")
    if asked.json:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
