"""Check the gradients of networks while they train to a loss below 1e-6, and plant faults in them at the end.

    python tests/benchmarks/small_losses.py [--xor 100] [--digits 20] [--every 100] [--planted 16] [--seed 0]

A gradient is right, so each finding of `check_grads` before that is a false alarm. At the end a fault is planted in
each rule of each operation that the gradient passes through, in both modes: one that is a thousandth too large, one of
the other operand, one whose own derivative is wrong.
"""

import argparse
import functools
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_digits

sys.path.extend(map(str, Path(__file__).parents[1].iterdir()))

from wrong_rules import bent, differentiated, flowing, planted, scaled, swapped

import graphnn as gn
from graphnn import nn
from graphnn.core.op import registry
from graphnn.testing import check_grads

SMALL = 1e-6
MOST_STEPS = 10_000


class Problem(NamedTuple):
    """A network to train."""

    name: str
    loss: gn.Node
    feed: dict[gn.Node, Any]
    step: Callable[..., Any]


def xor(seed: int) -> Problem:
    """Return a small network for XOR; the activation and the loss come turn about."""
    rng = np.random.default_rng([seed, 0])
    points, classes = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0, 1, 1, 0])
    return _problem(f"xor {seed}", seed, rng, points, classes, units=int(rng.integers(8, 17)), rate=0.1)


def digits(seed: int) -> Problem:
    """Return a small network for some of the handwritten digits."""
    rng = np.random.default_rng([seed, 1])
    images, classes = load_digits(return_X_y=True)
    chosen = rng.permutation(len(images))[:60]
    return _problem(f"digits {seed}", seed, rng, images[chosen] / 16, classes[chosen], units=12, rate=0.05)


def _problem(
    name: str, seed: int, rng: np.random.Generator, points: Any, classes: Any, units: int, rate: float
) -> Problem:
    graph = gn.Graph(name)
    count, wide = int(classes.max()) + 1, points.shape[1]
    x = graph.placeholder("x", shape=("batch", wide))
    act = (gn.tanh, gn.sigmoid, gn.softplus, lambda h: gn.leaky_relu(h, 0.1))[seed % 4]
    h = act(nn.Dense(units, rng=rng)(x))
    kind = ("softmax", "squares", "log", "sigmoid")[seed // 4 % 4]
    made = nn.Dense(count, rng=rng)(h)
    if kind in ("softmax", "log"):
        y = graph.placeholder("y", shape=("batch",), dtype=np.int64)
        labels = classes
        if kind == "softmax":
            loss = nn.softmax_crossentropy(made, y)
        else:
            loss = gn.mean(gn.negative(gn.log(gn.pick(gn.softmax(made), y))))
    else:
        y = graph.placeholder("y", shape=("batch", count))
        labels = np.eye(count)[classes]
        loss = nn.mean_squared_error(made, y) if kind == "squares" else nn.sigmoid_crossentropy(made, y)
    return Problem(name, loss, {x: points, y: labels}, gn.compile(loss, nn.Adam(rate).updates(loss)))


def examined(
    problem: Problem, every: int, write: Callable[[str], Any], faults: Sequence[Any] = (scaled, swapped, bent)
) -> Counter[str]:
    """Train, check the gradients on the way, plant the faults at the end; return how many of what there were."""
    seen: Counter[str] = Counter()
    for number in range(MOST_STEPS + 1):
        value = float(problem.step(problem.feed))
        small = value < SMALL
        if number % every == 0 or small:
            seen["checks"] += 1
            try:
                report = check_grads(problem.loss, problem.feed, rng=number)
            except gn.GradientError as error:
                seen["false alarms"] += 1
                write(f"{problem.name}, step {number}, loss {value:.3g}: {error}\n")
            else:
                seen["checked"] += report.checked
                seen["left out"] += report.left_out
        if small:
            break
    else:
        seen["not learnt"] += 1
        write(f"{problem.name}: the loss is still {value:.3g}\n")
        return seen
    right = _derivatives(problem) if faults else []
    for name, mode, fault in _faults_of(problem.loss):
        if fault not in faults:
            continue
        order = 2 if fault is bent else 1
        with planted(registry[name], mode, fault):
            try:
                check_grads(problem.loss, problem.feed, order=order)
            except gn.GradientError:
                seen["faults"] += 1
                continue
            if not _parts(right[: 2 * order], _derivatives(problem)):
                seen["of no consequence"] += 1
                continue
        seen["faults"] += 1
        seen["missed"] += 1
        write(f"{problem.name}, loss {value:.3g}: missed that the {mode} of {name} is {fault.__name__}\n")
    return seen


def _derivatives(problem: Problem) -> list[list[Any]]:
    """Return the gradient, a slope along a direction, and the gradient of that slope, in both modes."""
    loss = gn.extract(problem.loss)[problem.loss.name]
    rng = np.random.default_rng(0)
    wrt = [node for node in loss.graph.parameters if node.trainable]
    direction = {node: rng.uniform(0.5, 1, node.shape) for node in wrt}
    gradients = gn.grad(loss, wrt)
    backwards = functools.reduce(
        gn.add, [gn.sum(slope * direction[node]) for node, slope in zip(wrt, gradients, strict=True)]
    )
    forwards = gn.jvp(loss, direction)
    fetches = [gradients, [forwards], gn.grad(backwards, wrt), gn.grad(forwards, wrt)]
    feed = {node.name: value for node, value in problem.feed.items()}
    return gn.run(fetches, feed)  # type: ignore[no-any-return]


def _parts(right: list[list[Any]], found: list[list[Any]]) -> bool:
    """Return whether derivatives are off by more than `check_grads` is asked to tell of all that they add up from."""
    for a, b in zip(right, found, strict=False):
        size = sum(np.abs(each).sum() for each in a)
        if sum(np.abs(x - y).sum() for x, y in zip(a, b, strict=True)) > 1e-5 * size:
            return True
    return False


def _faults_of(loss: gn.Node) -> list[tuple[str, str, Any]]:
    found: dict[tuple[str, str, Any], None] = {}
    for node in differentiated(loss):
        name = node.op.name
        faults = [scaled, bent]
        if len(flowing(node)) > 1 and name != "add":  # of a sum, either operand's is the same
            faults.append(swapped)
        found.update(dict.fromkeys((name, mode, fault) for fault in faults for mode in ("vjp", "jvp")))
    return sorted(found, key=lambda each: (each[0], each[1], each[2].__name__))


def main() -> int:
    """Train and check them all; the exit status says whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--xor", type=int, default=100)
    parser.add_argument("--digits", type=int, default=20)
    parser.add_argument("--every", type=int, default=100)
    parser.add_argument("--planted", type=int, default=16, help="of each, so many have faults planted at the end")
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    start, wrong = time.perf_counter(), 0
    for make, count in ((xor, settings.xor), (digits, settings.digits)):
        seen: Counter[str] = Counter()
        seed = settings.seed
        while seen["trained"] < count:
            faults = (scaled, swapped, bent) if seen["trained"] < settings.planted else ()
            found = examined(make(seed), settings.every, sys.stdout.write, faults)
            seen += found
            seen["trained"] += not found["not learnt"]
            seed += 1
        wrong += seen["false alarms"] + seen["missed"]
        sys.stdout.write(
            f"{make.__name__}: {seen['trained']} networks below {SMALL:g}, {seen['checks']:,} checks of "
            f"{seen['checked']:,} elements ({seen['left out']:,} left out): {seen['false alarms']} false alarms; "
            f"{seen['faults']:,} faults planted: {seen['missed']} missed; "
            f"{seen['of no consequence']:,} more change no derivative; {seen['not learnt']} more did not learn\n"
        )
    sys.stdout.write(f"{time.perf_counter() - start:.0f} s\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
