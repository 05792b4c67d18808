"""Eleven trainings, each written twice: as a user of PyTorch writes it, and as a user of graphnn does.

`with_graphnn` and `with_torch` have a module for each. Its function `training` takes the sizes, and returns the model
and the step. A model begins with the values that `start` draws, by the names and shapes that PyTorch has for them, so
graphnn loads them as a `state_dict`. What is random in a step, `batches` draws with NumPy.

`recorded.json` has these shapes, and the first losses of PyTorch at small sizes. `python tests/benchmarks/trainings.py
--record` makes it.
"""

from __future__ import annotations

import ast
import inspect
import io
import json
import math
import os
import tokenize
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import Array, Engine, Training

HERE = Path(__file__).resolve().parent
RECORDED = HERE / "recorded.json"
POOL = 16
"""How many batches are drawn; then the first comes again."""

Batch = dict[str, Any]
Draw = Callable[..., Batch]


class Case(NamedTuple):
    """One of the trainings.

    Attributes
    ----------
    title : str
    draw : callable
        Returns a batch, from a random generator and the sizes.
    sizes : dict of str to int
        What is timed.
    small : dict of str to int
        What the tests run.
    """

    title: str
    draw: Draw
    sizes: dict[str, int]
    small: dict[str, int]


class World:
    """A ring of cells that some walkers go around, one of which is worth reaching; the draws decide what they do."""

    SEEN, MOVES, GOAL = 12, 3, 2

    def __init__(self, draws: Any) -> None:
        self._draws = np.asarray(draws)
        self._cells = np.zeros(self._draws.shape[1], np.int64)
        self._eye = np.eye(self.SEEN, dtype=self._draws.dtype)
        self._seen: list[Array] = []
        self._actions: list[Array] = []
        self._rewards: list[Array] = []

    @property
    def over(self) -> bool:
        """Whether the episode has ended."""
        return len(self._actions) == len(self._draws)

    @property
    def seen(self) -> Array:
        """What each walker sees."""
        return self._eye[self._cells]

    def move(self, probabilities: Array) -> None:
        """Move each walker as drawn from its probabilities."""
        chosen = np.minimum((self._draws[len(self._actions), :, None] > probabilities.cumsum(1)).sum(1), self.MOVES - 1)
        self._seen.append(self.seen)
        self._actions.append(chosen)
        self._cells = (self._cells + chosen - 1) % self.SEEN
        self._rewards.append(self._cells == self.GOAL)

    def played(self) -> tuple[Array, Array, Array]:
        """Return what was seen and done, and what was earned from there on."""
        returns = np.cumsum(np.array(self._rewards[::-1], self._eye.dtype), 0)[::-1]
        return np.concatenate(self._seen), np.concatenate(self._actions), np.concatenate(returns)


# --- batches ------------------------------------------------------------------------------------------------------


def _classified(rng: np.random.Generator, rows: int, inputs: int, classes: int = 10, **_: int) -> Batch:
    teacher, x = np.random.default_rng(0).standard_normal((inputs, classes)), rng.standard_normal((rows, inputs))
    return {"x": x, "labels": (x @ teacher).argmax(1)}


def _texts(rng: np.random.Generator, rows: int, length: int, tokens: int, **_: int) -> Batch:
    text = rng.integers(0, tokens, (rows, length + 1))
    return {"text": text[:, :-1].copy(), "following": text[:, 1:].copy()}


def _sequences(rng: np.random.Generator, rows: int, length: int, inputs: int, **_: int) -> Batch:
    return {"x": rng.standard_normal((rows, length, inputs)), "labels": rng.integers(0, 10, (rows, length))}


def _with_noise(rng: np.random.Generator, rows: int, pixels: int, latent: int, **_: int) -> Batch:
    return {"x": rng.random((rows, pixels)), "noise": rng.standard_normal((rows, latent))}


def _real(rng: np.random.Generator, rows: int, inputs: int, noises: int, **_: int) -> Batch:
    noise = {name: rng.standard_normal((rows, noises)) for name in ("noise", "more_noise")}
    return {"real": 1 + 0.5 * rng.standard_normal((rows, inputs)), **noise}


def _pictures(rng: np.random.Generator, rows: int, channels: int, side: int, **_: int) -> Batch:
    return {"x": rng.standard_normal((rows, channels, side, side)), "labels": rng.integers(0, 10, rows)}


def _points(rng: np.random.Generator, rows: int, **_: int) -> Batch:
    x = rng.uniform(-1, 1, (rows, 1))
    edge = rng.uniform(-1, 1, (rows // 4, 1))
    start = np.concatenate([np.zeros_like(edge), edge], 1)
    return {"t": rng.random((rows, 1)), "x": x, "start": start, "known": -np.sin(math.pi * edge)}


def _tasks(rng: np.random.Generator, tasks: int, shots: int, **_: int) -> Batch:
    size, phase = rng.uniform(0.1, 5, (tasks, 1, 1)), rng.uniform(0, math.pi, (tasks, 1, 1))
    x, new_x = rng.uniform(-5, 5, (2, tasks, shots, 1))
    return {"x": x, "y": size * np.sin(x - phase), "new_x": new_x, "new_y": size * np.sin(new_x - phase)}


def _draws(rng: np.random.Generator, length: int, walkers: int, **_: int) -> Batch:
    return {"draws": rng.random((length, walkers))}


# --- the trainings ------------------------------------------------------------------------------------------------

TRAININGS: dict[str, Case] = {
    "mlp": Case(
        "perceptron, batch and layer norm",
        _classified,
        {"rows": 128, "inputs": 784, "units": 256},
        {"rows": 4, "inputs": 3, "units": 5},
    ),
    "transformer": Case(
        "transformer",
        _texts,
        {"rows": 16, "length": 32, "tokens": 64, "units": 64, "heads": 4, "layers": 2},
        {"rows": 2, "length": 4, "tokens": 5, "units": 8, "heads": 2, "layers": 2},
    ),
    "lstm": Case(
        "LSTM",
        _sequences,
        {"rows": 32, "length": 32, "inputs": 8, "units": 32},
        {"rows": 2, "length": 3, "inputs": 2, "units": 3},
    ),
    "vae": Case(
        "variational autoencoder",
        _with_noise,
        {"rows": 128, "pixels": 784, "units": 256, "latent": 16},
        {"rows": 3, "pixels": 6, "units": 4, "latent": 2},
    ),
    "gan": Case(
        "GAN, two optimizers",
        _real,
        {"rows": 64, "inputs": 32, "noises": 16, "units": 128},
        {"rows": 3, "inputs": 2, "noises": 2, "units": 4},
    ),
    "cnn": Case(
        "convolutional network",
        _pictures,
        {"rows": 32, "channels": 1, "side": 28, "filters": 16},
        {"rows": 2, "channels": 1, "side": 8, "filters": 2},
    ),
    "pinn": Case(
        "physics-informed network",
        _points,
        {"rows": 256, "units": 32},
        {"rows": 4, "units": 3},
    ),
    "newton": Case(
        "Newton–CG",
        _classified,
        {"rows": 128, "inputs": 64, "units": 32, "iterations": 10},
        {"rows": 4, "inputs": 3, "units": 3, "iterations": 3},
    ),
    "maml": Case(
        "MAML",
        _tasks,
        {"tasks": 4, "shots": 10, "units": 40, "steps": 2},
        {"tasks": 2, "shots": 3, "units": 3, "steps": 2},
    ),
    "residual": Case(
        "200 residual blocks",
        _classified,
        {"rows": 32, "inputs": 32, "units": 32, "blocks": 200},
        {"rows": 2, "inputs": 4, "units": 4, "blocks": 3},
    ),
    "policy": Case(
        "policy gradient",
        _draws,
        {"length": 16, "walkers": 16, "units": 32},
        {"length": 8, "walkers": 4, "units": 4},
    ),
}


class Task(NamedTuple):
    """A training to make: its name, a dtype, and whether it is small."""

    name: str
    dtype: str
    small: bool = False

    @property
    def case(self) -> Case:
        """What is trained."""
        return TRAININGS[self.name]

    @property
    def sizes(self) -> dict[str, int]:
        """Its sizes."""
        return self.case.small if self.small else self.case.sizes

    @property
    def size(self) -> str:
        """What its sizes are called."""
        return "small" if self.small else "timed"


def start(task: Task, shapes: Mapping[str, list[int]]) -> dict[str, Array]:
    """Return values to begin with, as a `state_dict` of PyTorch."""
    rng = np.random.default_rng(0)
    found: dict[str, Array] = {}
    for name, shape in shapes.items():
        last = name.rpartition(".")[2]
        drawn = rng.standard_normal(shape)
        if last.startswith("num_"):
            found[name] = np.zeros(shape, np.int64)
            continue
        if last.startswith("running_"):
            drawn = np.zeros(shape) if last.endswith("mean") else np.ones(shape)
        elif len(shape) > 1:
            drawn *= math.prod(shape[1:]) ** -0.5
        else:
            drawn = 0.1 * drawn + ("weight" in last)
        found[name] = drawn.astype(task.dtype)
    return found


def batches(task: Task) -> Iterator[Batch]:
    """Yield batches for ever."""
    # With seed 1, one number of the perceptron's first batch is 9·10⁻⁸ where ReLU jumps, at the timed sizes: its sign,
    # and with it the gradient of a whole unit, depends on how an engine rounds.
    rng = np.random.default_rng(1 if task.small else 2)
    drawn = [task.case.draw(rng, **task.sizes) for _ in range(POOL)]
    fitting = [
        {name: array.astype(task.dtype) if array.dtype.kind == "f" else array for name, array in batch.items()}
        for batch in drawn
    ]
    return cycle(fitting)


def recorded() -> dict[str, Any]:
    """Return what is kept of PyTorch: shapes and losses."""
    found: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return found


def _own(found: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}


# --- engines ------------------------------------------------------------------------------------------------------


def written(engine: str, task: Task, *given: Any) -> tuple[dict[str, Any], Callable[..., Any]]:
    """Return the models of a training, each by what its names begin with here, and the step."""
    program = import_module(f"{__name__}.{engine}.{task.name}").training
    known = inspect.signature(program).parameters
    model, step = program(*given, **{name: size for name, size in task.sizes.items() if name in known})
    return {f"{i}:": one for i, one in enumerate(model)} if isinstance(model, tuple) else {"": model}, step


def _own(found: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}


def in_graphnn(task: Task, backend: str) -> Training:
    """Return a training of graphnn by a backend."""
    os.environ["GRAPHNN_BACKEND"] = backend
    models, step = written("with_graphnn", task, np.dtype(task.dtype))
    begun, drawn = start(task, recorded()[task.name][task.size]), batches(task)
    for prefix, model in models.items():
        model.load_state_dict(_own(begun, prefix), layout="torch")
    return Training(
        lambda: float(step(next(drawn))),
        lambda: [value for each in models.values() for value in each.state_dict().values()],
    )


def in_torch(task: Task, shapes: Mapping[str, list[int]] | None = None) -> Training:
    """Return a training of PyTorch."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    torch.set_default_dtype(getattr(torch, task.dtype))
    models, step = written("with_torch", task)
    begun = start(task, shapes or recorded()[task.name][task.size])
    for prefix, model in models.items():
        model.load_state_dict({name: torch.from_numpy(value) for name, value in _own(begun, prefix).items()})
    batch = ({name: torch.from_numpy(array) for name, array in batch.items()} for batch in batches(task))
    drawn = cycle([next(batch) for _ in range(POOL)])
    states = (each.state_dict() for each in models.values())
    return Training(lambda: step(**next(drawn)).item(), lambda: [v.numpy() for state in states for v in state.values()])


def shapes_of(task: Task) -> dict[str, list[int]]:
    """Return the shapes of a `state_dict` of PyTorch's model."""
    models, _ = written("with_torch", task)
    return {f"{at}{name}": list(value.shape) for at, one in models.items() for name, value in one.state_dict().items()}


ENGINES = {
    "plan": Engine("graphnn, plan", "trainings:planned"),
    "native": Engine("graphnn, native", "trainings:native", "llvmlite"),
    "torch": Engine("PyTorch, eager", "trainings:in_torch", "torch"),
}


def planned(task: Task) -> Training:
    """Return the training by a plan of NumPy."""
    return in_graphnn(task, "numpy")


def native(task: Task) -> Training:
    """Return the training by a native plan."""
    return in_graphnn(task, "native")


# --- lines --------------------------------------------------------------------------------------------------------


def lines(engine: str, name: str) -> int:
    """Return how many lines of code a program has: without comments, docstrings, blank lines and imports."""
    text = (HERE / engine / f"{name}.py").read_text(encoding="utf-8")
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NO_CODE:
            code.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        alone = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)  # a docstring
        if isinstance(node, (ast.Import, ast.ImportFrom)) or alone:
            code.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(code)


_NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
