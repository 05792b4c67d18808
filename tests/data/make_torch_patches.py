"""Patches of five PyTorch modules: by hooks, and by the modules written with a path apart.

Without arguments, it writes ``torch_patches.npz`` and the folder ``torch_patches`` beside itself: the modules as
models, what is patched, and what PyTorch gives then. The values of patches are drawn from seeds, as in the test that
reads this, ``tests/satellites/interventions/with_onnx/test_torch_patches.py``. With ``--check``, it reads the modules
by `gn.from_torch`, and prints how far patches differ. Needs torch and onnxscript.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import graphnn as gn

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "satellites" / "interventions" / "with_onnx"))
from torch_patches import Case, gap, run_patched  # noqa: E402

_APART: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {}


def to(reader: str, value: torch.Tensor) -> torch.Tensor:
    """Return what a reader, the submodule of this name, sees of a value: if the path is apart, something else."""
    return _APART[reader](value) if reader in _APART else value


class Add(nn.Module):
    """A sum as a module, so that hooks see it."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x + y


class Minus(nn.Module):
    """A difference as a module."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x - y


class Times(nn.Module):
    """A product as a module."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x * y


class Concatenated(nn.Module):
    """A concatenation as a module."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, y], -1)


class Perceptron(nn.Module):
    """A dense network, whose head reads both hidden layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(5, 8), nn.Linear(8, 6)
        self.relu, self.tanh = nn.ReLU(), nn.Tanh()
        self.both, self.norm, self.head = Concatenated(), nn.LayerNorm(14), nn.Linear(14, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one = self.relu(self.first(x))
        two = self.tanh(self.second(to("second", one)))
        return self.head(self.norm(self.both(to("both", one), two)))


class Convolutional(nn.Module):
    """Convolutions, batch norm and pooling, with two branches that are multiplied."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.relu = nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.wide, self.point = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 1)
        self.sigmoid, self.times = nn.Sigmoid(), Times()
        self.flat, self.head = nn.Flatten(), nn.Linear(4 * 4 * 4, 4)
        with torch.no_grad():
            self.norm.running_mean.normal_(0, 0.2)
            self.norm.running_var.uniform_(0.5, 1.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.pool(self.relu(self.norm(self.first(x))))
        gate = self.sigmoid(self.point(to("point", h)))
        return self.head(self.flat(self.times(self.wide(to("wide", h)), gate)))


class Step(nn.Module):
    """A step of a gated recurrent unit; all steps share the weights.

    No submodule is called as an operation of the step is, ``add``: the exporter gives that name to the operation.
    """

    def __init__(self, name: str, weights: nn.ModuleDict) -> None:
        super().__init__()
        self.name, self.weights = name, [weights]  # a list, as the weights belong to the network
        self.reset, self.update, self.kept = nn.Sigmoid(), nn.Sigmoid(), Times()
        self.tanh, self.blend, self.change, self.next = nn.Tanh(), Times(), Minus(), Add()

    def forward(self, x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        (weights,), name = self.weights, self.name
        both = weights["state"](h)
        reset = self.reset(weights["x_reset"](x) + both[:, :4])
        update = self.update(weights["x_update"](x) + both[:, 4:])
        new = self.tanh(weights["x_new"](x) + weights["new"](self.kept(reset, to(f"{name}.kept", h))))
        change = self.change(new, to(f"{name}.change", h))
        return self.next(to(f"{name}.next", h), self.blend(update, change))


class Recurrent(nn.Module):
    """A gated recurrent unit, by steps."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.ModuleDict(
            {
                "state": nn.Linear(4, 8),
                "new": nn.Linear(4, 4),
                **{f"x_{gate}": nn.Linear(3, 4) for gate in ("reset", "update", "new")},
            }
        )
        self.begin = nn.Linear(3, 4)
        self.steps = nn.ModuleList([Step(f"steps.{t}", self.weights) for t in range(4)])
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.begin(x.mean(1))
        for t, step in enumerate(self.steps):
            h = step(x[:, t], h)
        return self.head(h)


class Attention(nn.Module):
    """Attention of two heads."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.query, self.key, self.value, self.out = (nn.Linear(8, 8) for _ in range(4))
        self.softmax = nn.Softmax(-1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            each(to(f"{self.name}.{name}", x)).unflatten(-1, (2, 4)).transpose(1, 2)
            for name, each in (("query", self.query), ("key", self.key), ("value", self.value))
        )
        weights = self.softmax(q @ k.transpose(-1, -2) / 2)
        return self.out((weights @ v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    """A block of a transformer."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.norm1, self.attention, self.add1 = nn.LayerNorm(8), Attention(f"{name}.attention"), Add()
        self.norm2, self.up, self.gelu, self.down, self.add2 = (
            *(nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU()),
            *(nn.Linear(16, 8), Add()),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        name = self.name
        x = self.add1(to(f"{name}.add1", x), self.attention(self.norm1(to(f"{name}.norm1", x))))
        return self.add2(to(f"{name}.add2", x), self.down(self.gelu(self.up(self.norm2(to(f"{name}.norm2", x))))))


class Transformer(nn.Module):
    """A transformer encoder of two blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 8)
        self.blocks = nn.ModuleList([Block(f"blocks.{i}") for i in range(2)])
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.embed(x)
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h))


class Residual(nn.Module):
    """Convolutions with ways around them, group norm, and a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.norm1, self.silu = nn.Conv2d(3, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.SiLU()
        self.two, self.norm2, self.add = nn.Conv2d(4, 4, 3, padding=1), nn.GroupNorm(4, 4), Add()
        self.sigmoid, self.times = nn.Sigmoid(), Times()
        self.last, self.pool = nn.Conv2d(4, 3, 2, stride=2), nn.AdaptiveAvgPool2d(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.silu(self.norm1(self.one(x)))
        h = self.add(to("add", h), self.norm2(self.two(to("two", h))))
        h = self.times(to("times", h), self.sigmoid(to("sigmoid", h)))
        return self.pool(self.last(h)).flatten(1)


def modules() -> dict[str, tuple[nn.Module, torch.Tensor]]:
    """Return each module, and its input."""
    torch.manual_seed(0)
    return {
        "perceptron": (Perceptron().eval(), torch.randn(3, 5)),
        "convolutional": (Convolutional().eval(), torch.randn(2, 1, 8, 8)),
        "recurrent": (Recurrent().eval(), torch.randn(3, 4, 3)),
        "transformer": (Transformer().eval(), torch.randn(2, 5, 3)),
        "residual": (Residual().eval(), torch.randn(2, 3, 6, 6)),
    }


# {module: {what reads a value: what it reads}}, of values that are read more than once.
PATHS = {
    "perceptron": {"second": "relu", "both": "relu"},
    "convolutional": {"point": "pool", "wide": "pool"},
    "recurrent": {
        f"steps.{t}.{reader}": f"steps.{t - 1}" if t else "begin"
        for t in range(4)
        for reader in ("kept", "change", "next")
    },
    "transformer": {
        f"blocks.{i}.{reader}": f"blocks.{i}.{read}" if read else f"blocks.{i - 1}" if i else "embed"
        for i in range(2)
        for reader, read in (
            *(("norm1", ""), ("add1", ""), ("attention.query", "norm1"), ("attention.key", "norm1")),
            *(("attention.value", "norm1"), ("norm2", "add1"), ("add2", "add1")),
        )
    },
    "residual": {"two": "silu", "add": "silu", "sigmoid": "add", "times": "add"},
}


def shapes_of(module: nn.Module, x: torch.Tensor) -> dict[str, tuple[int, ...]]:
    """Return the shape of the output of each submodule that is called once."""
    found: dict[str, tuple[int, ...]] = {}
    calls: Counter[str] = Counter()

    def hook(name: str) -> Any:
        def called(module: nn.Module, given: Any, output: torch.Tensor) -> None:
            found[name] = tuple(output.shape)
            calls[name] += 1

        return called

    handles = [each.register_forward_hook(hook(name)) for name, each in module.named_modules() if name]
    module(x)
    for handle in handles:
        handle.remove()
    return {name: shape for name, shape in found.items() if calls[name] == 1}


def cases() -> Iterator[tuple[Case, np.ndarray]]:
    """Yield patches that are drawn at random, 200 of submodules and 100 of paths, with PyTorch's outputs."""
    known = modules()
    shapes = {name: shapes_of(*each) for name, each in known.items()}
    rng = np.random.default_rng(0)
    for seed in range(300):
        name = str(rng.choice(list(known)))
        reader = str(rng.choice(list(PATHS[name]))) if seed >= 200 else ""
        place = PATHS[name][reader] if reader else str(rng.choice(list(shapes[name])))
        shape = shapes[name][place]
        axis = int(rng.integers(-1, len(shape)))
        case = Case(name, place, reader, axis, int(rng.integers(shape[axis])), seed)
        module, x = known[name]
        yield case, (apart if reader else hooked)(module, x, case).detach().numpy()


def put(case: Case, value: torch.Tensor) -> torch.Tensor:
    """Return a value with its part another."""
    value = value.clone()
    value[case.part] = torch.from_numpy(case.value(value.shape))
    return value


def hooked(module: nn.Module, x: torch.Tensor, case: Case) -> torch.Tensor:
    """Return the output of a module where a hook changes the output of a submodule."""
    hook = module.get_submodule(case.place).register_forward_hook(lambda _, __, output: put(case, output))
    try:
        return module(x)
    finally:
        hook.remove()


def apart(module: nn.Module, x: torch.Tensor, case: Case) -> torch.Tensor:
    """Return the output of a module with a path apart."""
    _APART[case.reader] = lambda value: put(case, value)
    try:
        return module(x)
    finally:
        _APART.clear()


def model_of(module: nn.Module, x: torch.Tensor) -> Any:
    """Return a module as an ONNX model, without what is not needed to read it."""
    model = torch.onnx.export(module, (x,), dynamo=True, optimize=False, verbose=False).model_proto
    for node in model.graph.node:
        scopes = [entry.value for entry in node.metadata_props if entry.key == "pkg.torch.onnx.name_scopes"]
        del node.metadata_props[:]
        node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=scopes[0] if scopes else "")
    del model.graph.value_info[:]
    del model.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
    return model


def check() -> Iterator[str]:
    """Yield how far patches of graphs are from those of the modules."""
    graphs = {name: gn.from_torch(*each) for name, each in modules().items()}
    given = {name: x.numpy() for name, (_, x) in modules().items()}
    worst: dict[tuple[str, str], list[float]] = {}
    for case, wanted in cases():
        found = gap(run_patched(graphs[case.module], case, given[case.module]), wanted)
        worst.setdefault((case.module, "paths" if case.reader else "outputs"), []).append(found)
    for (name, what), gaps in sorted(worst.items()):
        yield f"{name:14} {len(gaps):4} patches of {what:8} worst {max(gaps):.1e}\n"


def write() -> None:
    """Keep the modules, and what PyTorch gives."""
    kept: dict[str, Any] = {}
    for name, (module, x) in modules().items():
        (HERE / "torch_patches").mkdir(exist_ok=True)
        (HERE / "torch_patches" / f"{name}.onnx").write_bytes(model_of(module, x).SerializeToString())
        kept |= {f"input/{name}": x.numpy(), f"output/{name}": module(x).detach().numpy()}
    drawn = list(cases())
    kept["cases"] = np.array(["|".join(map(str, case)) for case, _ in drawn])
    for name in modules():
        kept[f"patched/{name}"] = np.stack([output for case, output in drawn if case.module == name])
    np.savez_compressed(HERE / "torch_patches.npz", **kept)


def main() -> None:
    """Write the data, or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    if not parser.parse_args().check:
        write()
        return
    for line in check():
        sys.stdout.write(line)


if __name__ == "__main__":
    main()
