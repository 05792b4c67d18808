"""Time scalar recurrences of many steps by `gn.scan`, forward and with a gradient, beside loops that Numba compiles.

    python tests/benchmarks/recurrence.py [--problems tanh,smoothing,logistic] [--engines numba,native] [--steps 100000]
        [--processes 3]

Forward gives all states; the gradient is of the mean of their squares, by the factor and by the rows. Each engine is in
processes of its own, on one core, and the least time counts. All must give the states and slopes of a loop in NumPy.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import measure

Array = np.ndarray[Any, np.dtype[np.float64]]
Numbers = Sequence[Array]
Engine = Callable[..., Callable[[], Numbers]]


class Problem(NamedTuple):
    """A recurrence: the next state of a factor, the state before, and a row.

    Attributes
    ----------
    a, start : float
        The factor, and the first state.
    following : callable
        Takes tanh, the factor, the state, and the row.
    slopes : callable
        Takes the factor, the state before, the row and the next state; returns its slopes by the state, the factor and
        the row.
    """

    a: float
    start: float
    following: Callable[..., Any]
    slopes: Callable[..., Any]


PROBLEMS = {
    "tanh": Problem(
        0.7,
        0.0,
        lambda tanh, a, h, x: tanh(a * h + x),
        lambda a, h, x, y: (a * (1 - y * y), h * (1 - y * y), 1 - y * y),
    ),
    "smoothing": Problem(0.05, 0.0, lambda tanh, a, h, x: h + a * (x - h), lambda a, h, x, y: (1 - a, x - h, a)),
    "logistic": Problem(
        3.3,
        0.4,
        lambda tanh, a, h, x: a * h * (1 - h) + 0.001 * x,
        lambda a, h, x, y: (a * (1 - 2 * h), h * (1 - h), 0.001),
    ),
}
"""The factor of the logistic map gives a cycle of two states: with chaos, two engines would differ in all digits."""


def loops(problem: Problem, x: Array, compiled: Callable[[Any], Any], tanh: Any) -> tuple[Any, Any]:
    """Return the functions forward and with a gradient, written out."""
    a, start = problem.a, problem.start
    following, slopes = compiled(problem.following), compiled(problem.slopes)
    tanh_ = compiled(tanh) if compiled is not _same else tanh

    @compiled
    def forward() -> Any:
        states = np.empty(len(x))
        h = start
        for t in range(len(x)):
            h = following(tanh_, a, h, x[t])
            states[t] = h
        return (states,)

    @compiled
    def gradient() -> Any:
        n = len(x)
        states = np.empty(n)
        by_row = np.empty(n)
        h, total = start, 0.0
        for t in range(n):
            h = following(tanh_, a, h, x[t])
            states[t] = h
            total += h * h
        arriving, by_factor = 0.0, 0.0
        for t in range(n - 1, -1, -1):
            slope = arriving + 2 * states[t] / n
            before = states[t - 1] if t else start
            by_state, by_a, by_x = slopes(a, before, x[t], states[t])
            by_factor += slope * by_a
            by_row[t] = slope * by_x
            arriving = slope * by_state
        return np.array([total / n]), np.array([by_factor]), by_row

    return forward, gradient


def _same(function: Any) -> Any:
    return function


def with_numpy(problem: Problem, x: Array) -> tuple[Any, Any]:
    """Return the loops in Python."""
    return loops(problem, x, _same, np.tanh)


def with_numba(problem: Problem, x: Array) -> tuple[Any, Any]:
    """Return the loops that Numba compiles."""
    import numba

    return loops(problem, x, numba.njit, lambda z: np.tanh(z))


def with_graphnn(problem: Problem, x: Array, backend: str = "native") -> tuple[Any, Any]:
    """Return compiled steps of a scan."""
    import graphnn as gn

    g = gn.Graph()
    rows = g.placeholder("x", ("time",))
    a = g.parameter("a", np.array(problem.a))
    start = g.placeholder("start", ())

    def step(h: gn.Node, row: gn.Node) -> tuple[gn.Node, gn.Node]:
        h = problem.following(gn.tanh, a, h, row)
        return h, h

    _, states = gn.scan(step, start, rows)
    loss = gn.mean(gn.square(states))
    feed = {rows: x, start: np.array(problem.start)}
    steps = []
    for fetches in ([states], [loss, *gn.grad(loss, [a, rows])]):
        compiled = gn.compile(fetches, backend=backend)
        compiled.plan(feed)
        steps.append(lambda compiled=compiled: [np.atleast_1d(value) for value in compiled(feed)])
    return steps[0], steps[1]


ENGINES: dict[str, Callable[[Problem, Array], tuple[Any, Any]]] = {
    "numpy": with_numpy,
    "numba": with_numba,
    "native": with_graphnn,
    "plan": lambda problem, x: with_graphnn(problem, x, "numpy"),
}


def measured(problem: str, engine: str, steps: int) -> list[float]:
    """Return the times of a problem in an engine in seconds: forward, and with the gradient."""
    measure.pin(1)
    x = np.random.default_rng(0).normal(size=steps)
    times = []
    reference = with_numpy(PROBLEMS[problem], x)
    for function, expected in zip(ENGINES[engine](PROBLEMS[problem], x), reference, strict=True):
        for value, right in zip(function(), expected(), strict=True):
            np.testing.assert_allclose(value, right, rtol=1e-8, atol=1e-12)
        times.append(measure.least(function, measure.warmed_up(function), 0.6).wall)
    return times


def main() -> None:
    """Time all, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", default=",".join(PROBLEMS))
    parser.add_argument("--engines", default="numba,native")
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--one", action="store_true", help="print the times of one engine and problem as JSON")
    given = parser.parse_args()
    if given.one:
        sys.stdout.write(json.dumps(measured(given.problems, given.engines, given.steps)))
        return
    engines = given.engines.split(",")
    for problem in given.problems.split(","):
        least = dict.fromkeys(engines, (float("inf"), float("inf")))
        for _ in range(given.processes):
            for engine in engines:
                least[engine] = tuple(map(min, least[engine], _in_a_process(problem, engine, given.steps)))
        for engine, (forward, gradient) in least.items():
            ratios = [time / first for time, first in zip((forward, gradient), least[engines[0]], strict=True)]
            sys.stdout.write(
                f"{problem:10} {engine:8} forward {forward * 1e3:8.3f} ms ({ratios[0]:.2f})  "
                f"with gradient {gradient * 1e3:8.3f} ms ({ratios[1]:.2f})\n"
            )


def _in_a_process(problem: str, engine: str, steps: int) -> list[float]:
    command = [sys.executable, __file__, "--one", "--problems", problem, "--engines", engine, "--steps", str(steps)]
    done = subprocess.run(command, env=measure.environment(1), capture_output=True, text=True, check=True)
    times: list[float] = json.loads(done.stdout)
    return times


if __name__ == "__main__":
    main()
