"""Time one whole training step, forwards, backwards and update, in graphnn and in other engines.

    python tests/benchmarks/training_step.py [--sizes T,S,M,L] [--dtypes float32,float64] [--engines numpy,plan,...]
        [--processes 3] [--rounds 5] [--cores 1] [--json FILE] [--table FILE] [--quick]

Each engine works in a process of its own, held to one core and one thread, and waits there for its turn: they are timed
one after the other, round after round. A process's figure is the least of its rounds; an engine's is the median of its
processes. The losses of the first three steps must agree, or nothing is timed. An engine that is not installed, or
does not work here, gets a row that says so.
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
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import measure
from engines import ENGINES, REFERENCE, SIZES, drawn
from measure import told

DTYPES = ("float32", "float64")
CHECKED = 3
TOLERANCE = 1e-5
SHARED = 1.1
"""How much longer a step may take by the clock on the wall than by the process's, before its core counts as shared."""
EXTRA = 4
"""How many times the rounds there may be for an engine whose core is shared."""
PATIENCE = 600
"""Seconds that an engine may take to come to its first loss, or to be timed once."""


class Failed(Exception):
    """An engine gave up; the text says why."""


class Worker:
    """An engine in a process of its own, which makes a few steps at once, and waits to be timed."""

    def __init__(self, engine: str, size: str, dtype: str, cores: int, forced: bool) -> None:
        task = {"engine": engine, "size": size, "dtype": dtype, "cores": cores}
        self._late = False
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - see close
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--work", json.dumps(task)],
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


def work(engine: str, size: str, dtype: str, cores: int) -> None:
    """Be a worker: answer with the first losses, then with a time for each question."""
    measure.pin(cores)
    problem = drawn(SIZES[size], dtype)
    start = time.perf_counter()
    make = ENGINES[engine].load()
    imported = time.perf_counter()
    training = make(problem)
    losses = [training.step()]
    first = time.perf_counter()
    losses += [training.step() for _ in range(CHECKED - 1)]
    _answer({"losses": losses, "import": imported - start, "first": first - imported})
    calls = 0
    for line in sys.stdin:
        calls = calls or measure.warmed_up(training.step)
        found = measure.least(training.step, calls, json.loads(line)["seconds"])
        _answer({"wall": found.wall, "cpu": found.cpu})


def _answer(what: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def timed(
    engines: Sequence[str],
    size: str,
    dtype: str,
    *,
    processes: int,
    rounds: int,
    seconds: float,
    cores: int = 1,
    forced: bool = False,
) -> list[dict[str, Any]]:
    """Return a figure for each engine, at one size and dtype.

    Raises
    ------
    SystemExit
        When losses differ, or what is ours fails.
    """
    found: dict[str, list[dict[str, Any]]] = {engine: [] for engine in engines}
    failed: dict[str, str] = {}
    turns = random.Random(0)
    for _ in range(processes):
        workers: dict[str, Worker] = {}
        try:
            for engine in engines:
                if engine in failed:
                    continue
                workers[engine] = Worker(engine, size, dtype, cores, forced)
                _attempt(engine, failed, found, workers[engine])
            _check_losses({engine: found[engine][-1]["losses"] for engine in workers if engine not in failed})
            for turn in range(rounds * EXTRA):
                order = [
                    engine for engine in workers if engine not in failed and (turn < rounds or _busy(found[engine][-1]))
                ]
                turns.shuffle(order)
                for engine in order:
                    _attempt(engine, failed, found, workers[engine], {"seconds": seconds})
        finally:
            for worker in workers.values():
                worker.close()
    return [
        {"engine": engine, "size": size, "dtype": dtype}
        | ({"failed": failed[engine]} if engine in failed else _figure(found[engine]))
        for engine in engines
    ]


def _attempt(
    engine: str,
    failed: dict[str, str],
    found: dict[str, list[dict[str, Any]]],
    worker: Worker,
    question: Mapping[str, Any] | None = None,
) -> None:
    try:
        answer = worker.ask(question)
    except Failed as failure:
        if not ENGINES[engine].needs:
            sys.exit(f"{ENGINES[engine].label} fails: {failure}")
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


def _check_losses(losses: Mapping[str, Sequence[float]]) -> None:
    expected = losses[REFERENCE]
    wrong = [
        f"  {engine}: {', '.join(f'{loss:.7g}' for loss in own)}"
        for engine, own in losses.items()
        if ENGINES[engine].trains
        and not all(abs(a - b) <= TOLERANCE * max(1, abs(b)) for a, b in zip(own, expected, strict=True))
    ]
    if wrong:
        shown = ", ".join(f"{loss:.7g}" for loss in expected)
        sys.exit("\n".join([f"the first losses differ; {ENGINES[REFERENCE].label}: {shown}", *wrong]))


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
        "losses": processes[0]["losses"],
    }


def shared(figure: Mapping[str, Any]) -> bool:
    """Tell whether the core did other work, too, whenever this was timed."""
    return bool(figure["seconds"] > SHARED * figure["cpu"])


def measured(settings: argparse.Namespace) -> dict[str, Any]:
    """Time all that the settings ask for; return the figures with their circumstances."""
    engines = [*dict.fromkeys([REFERENCE, *settings.engines])]
    missing = {engine: why for engine in engines if (why := ENGINES[engine].missing())}
    present = [engine for engine in engines if engine not in missing]
    needs = sorted({ENGINES[engine].needs for engine in present} - {""})
    result: dict[str, Any] = {
        "circumstances": measure.circumstances(settings.cores, needs, settings.forced_kernels),
        "settings": {"processes": settings.processes, "rounds": settings.rounds, "seconds": settings.seconds},
        "missing": missing,
        "engines": engines,
        "sizes": settings.sizes,
        "dtypes": settings.dtypes,
        "figures": [],
    }
    for why in missing.values():
        told(why)
    for size in settings.sizes:
        for dtype in settings.dtypes:
            told(f"{size} {SIZES[size]} {dtype}; load {measure.shown_load()}")
            figures = timed(
                present,
                size,
                dtype,
                processes=settings.processes,
                rounds=settings.rounds,
                seconds=settings.seconds,
                cores=settings.cores,
                forced=settings.forced_kernels,
            )
            for figure in figures:
                if "seconds" in figure:
                    told(f"  {figure['engine']:<14}{measure.duration(figure['seconds'])}")
            result["figures"] += [{**figure, "load": measure.load()} for figure in figures]
    result["circumstances"]["load after"] = measure.load()
    return result


def tables(result: Mapping[str, Any]) -> str:
    """Return a Markdown table for each dtype: the time of a step, and its ratio to NumPy written by hand."""
    figures = {(one["engine"], one["size"], one["dtype"]): one for one in result["figures"]}
    texts, any_shared = [], False
    for dtype in result["dtypes"]:
        rows = []
        for engine in result["engines"]:
            row = {dtype: ENGINES[engine].label}
            for size in result["sizes"]:
                one = figures.get((engine, size, dtype), {})
                text = "not installed" if engine in result["missing"] else "does not work here"
                if "seconds" in one:
                    any_shared = any_shared or shared(one)
                    ratio = one["seconds"] / figures[REFERENCE, size, dtype]["seconds"]
                    mark = "\\*" if shared(one) else ""
                    text = f"{measure.duration(one['seconds'])}{mark} ({ratio:.2f})"
                row[f"{size} {SIZES[size]}"] = text
            rows.append(row)
        texts.append(measure.table(rows))
    if any_shared:
        texts.append("\\* The core did other work, too, whenever this was timed.\n")
    return "\n".join(texts)


def settings_from(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the settings of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def some_of(known: Iterable[str]) -> Any:
        def chosen(text: str) -> list[str]:
            names = text.split(",")
            if unknown := [name for name in names if name not in known]:
                raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)} (known: {', '.join(known)})")
            return names

        return chosen

    parser.add_argument("--sizes", type=some_of(SIZES))
    parser.add_argument("--dtypes", "--dtype", type=some_of(DTYPES))
    parser.add_argument("--engines", type=some_of(ENGINES))
    parser.add_argument("--processes", type=int, help="of each engine, one after the other")
    parser.add_argument("--rounds", type=int, help="of each process")
    parser.add_argument("--seconds", type=float, help="that an engine is timed for in one round, at least")
    parser.add_argument("--cores", type=int, default=1, choices=[1, 2])
    parser.add_argument(
        "--forced-kernels", action="store_true", help="keep OPENBLAS_CORETYPE and other variables that force a kernel"
    )
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--table", type=Path, help="where the tables go; they are printed in any case")
    parser.add_argument("--quick", action="store_true", help="less of everything: some ten seconds")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    settings = parser.parse_args(arguments)
    usual: dict[str, Any] = {
        "sizes": list(SIZES),
        "dtypes": list(DTYPES),
        "engines": list(ENGINES),
        "processes": 3,
        "rounds": 5,
        "seconds": 0.2,
    }
    if settings.quick:
        quick = [name for name, engine in ENGINES.items() if engine.quick]
        usual |= {"sizes": ["T", "S", "M"], "dtypes": ["float32"], "engines": quick, "processes": 1, "rounds": 3}
    for name, value in usual.items():
        if getattr(settings, name) is None:
            setattr(settings, name, value)
    return settings


def main() -> None:
    """Measure and tell."""
    settings = settings_from()
    if settings.work:
        work(**json.loads(settings.work))
        return
    result = measured(settings)
    text = tables(result)
    place = result["circumstances"]
    sys.stdout.write(f"load {place['load before']} before, {place['load after']} after\n\n{text}")
    if settings.table:
        settings.table.write_text(text, encoding="utf-8")
    if settings.json:
        settings.json.parent.mkdir(parents=True, exist_ok=True)
        settings.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
