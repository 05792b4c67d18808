"""Train the LeNet of the lesson on digits, in five stratified splits; and time its step beside PyTorch's.

    python tests/benchmarks/lenet.py [--epochs 40] [--seed 0] [--rounds 5] [--only accuracy|step]

The accuracy is that of the fifth that was left out. Each split trains from other weights. Its time is that of the
process on one core, making the network and its plan included. The step is a batch of 64 images of 28 × 28 pixels
through the LeNet-5 of the textbook, with Adam, in float32; and of 8 × 8 pixels through the network of the lesson,
without its dropout. Both engines start from the same weights, and the losses of three steps must agree.
"""

from __future__ import annotations

import argparse
import json
import runpy
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import measure

LESSON = measure.ROOT / "examples" / "lesson_lenet.py"
ENGINES = ("torch", "native", "numpy")
# Of an image: its side. Of the network: the filters, the size of the kernels, the first padding, and the units.
FORMS = {"28 × 28, LeNet-5": (28, (6, 16), 5, 2, (120, 84)), "8 × 8, that of the lesson": (8, (16, 32), 3, 1, (64,))}
BATCH = 64


def accuracies(epochs: int, seed: int) -> None:
    """Train on each split, and write how many of the unseen are told right, and in what time."""
    from sklearn.model_selection import StratifiedKFold  # only this part needs it

    import graphnn as gn
    from graphnn import nn

    lesson = runpy.run_path(str(LESSON))
    images, digits = lesson["data"]()
    found, times = [], []
    splits = StratifiedKFold(5, shuffle=True, random_state=seed).split(images, digits)
    for split, (seen, unseen) in enumerate(splits):
        start = time.process_time()
        step, _, accuracy = lesson["build"](seed=split)
        feed = {"x": images[seen], "labels": digits[seen]}
        nn.fit(step, feed, epochs=epochs, batch_size=32, rng=np.random.default_rng(split))
        times.append(time.process_time() - start)
        found.append(float(gn.run(accuracy, {"x": images[unseen], "labels": digits[unseen]})))
    each = ", ".join(f"{share:.2%} in {seconds:.1f} s" for share, seconds in zip(found, times, strict=True))
    sys.stdout.write(f"mean {statistics.mean(found):.2%} over five stratified splits, {epochs} epochs: {each}\n")


def start(form: str) -> tuple[list[Any], Any, Any]:
    """Return the weights and biases of each layer, and a batch."""
    side, filters, size, padding, units = FORMS[form]
    rng = np.random.default_rng(0)
    shapes: list[tuple[int, ...]] = [(filters[0], 1, size, size), (filters[1], filters[0], size, size)]
    half = side // 2
    left = (half + 2 * (padding if size == 3 else 0) - size + 1) // 2
    sizes = [filters[1] * left * left, *units, 10]
    shapes += list(pairwise(sizes))
    weights = [rng.normal(0, (2 / np.prod(s[1:] if len(s) > 2 else s[:1])) ** 0.5, s).astype("f") for s in shapes]
    return weights, rng.random((BATCH, 1, side, side), "f"), rng.integers(0, 10, BATCH)


def paddings(form: str) -> tuple[int, int]:
    """Return the paddings of the two convolutions: of the textbook's, the second has none."""
    size, padding = FORMS[form][2:4]
    return padding, padding if size == 3 else 0


def with_graphnn(form: str, backend: str) -> Callable[[], float]:
    import graphnn as gn  # only this process needs it
    from graphnn import nn

    weights, images, digits = start(form)
    g = gn.Graph("lenet", dtype="float32")
    x = g.placeholder("x", ("batch", *images.shape[1:]))
    labels = g.placeholder("labels", ("batch",), np.int64)
    size = weights[0].shape[-1]
    parts: list[Any] = []
    for weight, padding in zip(weights[:2], paddings(form), strict=True):
        parts += [nn.Conv2D(len(weight), size, padding=padding, weight=weight), nn.ReLU(), nn.MaxPool2D(2)]
    parts.append(nn.Flatten())
    for weight in weights[2:]:
        parts += [nn.Dense(weight.shape[1], weight=weight), nn.ReLU()]
    loss = nn.softmax_crossentropy(nn.Sequential(*parts[:-1])(x), labels)
    step = gn.compile(loss, nn.Adam(0.001).updates(loss), backend=backend)
    feed = {x: images, labels: digits}
    return lambda: float(step(feed))


def with_torch(form: str) -> Callable[[], float]:
    import torch  # only this process needs it

    torch.set_num_threads(1)
    weights, images, digits = start(form)
    parts: list[torch.nn.Module] = []
    for weight, padding in zip(weights[:2], paddings(form), strict=True):
        parts += [torch.nn.Conv2d(weight.shape[1], len(weight), weight.shape[-1], padding=padding)]
        parts += [torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
    parts.append(torch.nn.Flatten())
    for weight in weights[2:]:
        parts += [torch.nn.Linear(*weight.shape), torch.nn.ReLU()]
    network = torch.nn.Sequential(*parts[:-1])
    own = [part for part in network if hasattr(part, "weight")]
    with torch.no_grad():
        for part, weight in zip(own, weights, strict=True):
            part.weight.copy_(torch.from_numpy(weight if weight.ndim > 2 else weight.T.copy()))
            part.bias.zero_()
    optimizer = torch.optim.Adam(network.parameters(), 0.001, fused=True)
    x, labels = torch.from_numpy(images), torch.from_numpy(digits)

    def step() -> float:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(x), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def work(engine: str, form: str, seconds: float) -> None:
    """Write the losses of the first steps, and the least time of one."""
    measure.pin(1)
    step = with_torch(form) if engine == "torch" else with_graphnn(form, engine)
    losses = [step() for _ in range(3)]
    calls = measure.warmed_up(step)
    sys.stdout.write(json.dumps({"losses": losses, "time": measure.least(step, calls, seconds).cpu}))


def steps(rounds: int, seconds: float) -> None:
    """Write how long a step takes, in milliseconds, and as a ratio to PyTorch's."""
    for form in FORMS:
        least: dict[str, float] = {}
        losses: dict[str, list[float]] = {}
        for _ in range(rounds):
            for engine in ENGINES:
                task = ["--work", engine, "--form", form, "--seconds", str(seconds)]
                made = subprocess.run(
                    [sys.executable, __file__, *task], env=measure.environment(1), stdout=subprocess.PIPE, check=True
                )
                answer = json.loads(made.stdout)
                losses[engine] = answer["losses"]
                least[engine] = min(answer["time"], least.get(engine, answer["time"]))
        for engine in ENGINES:
            np.testing.assert_allclose(losses[engine], losses["torch"], rtol=1e-4)
        ratios = ", ".join(
            f"{engine} {1e3 * least[engine]:.2f} ms ({least[engine] / least['torch']:.2f})" for engine in ENGINES
        )
        sys.stdout.write(f"{form}, batch {BATCH}: {ratios}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0, help="of the splits")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="of each engine, in each round")
    parser.add_argument("--only", choices=["accuracy", "step"])
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--form", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given.work, given.form, given.seconds)
        return
    if given.only != "step":
        measure.pin(1)
        accuracies(given.epochs, given.seed)
    if given.only != "accuracy":
        steps(given.rounds, given.seconds)


if __name__ == "__main__":
    main()
