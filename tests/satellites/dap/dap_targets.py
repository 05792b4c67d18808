"""What is debugged through the protocol: one network and its training, as a program, in files, as a run."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import graphnn as gn

if TYPE_CHECKING:
    from graphnn.core import Node

PROGRAM = """\
import numpy as np
import graphnn as gn
from graphnn import nn

X = np.random.default_rng(3).normal(size=(5, 4))
LABELS = np.array([0, 2, 1, 1, 0])


def network():
    g = gn.Graph("network")
    x = g.placeholder("x", shape=(5, 4))
    labels = g.placeholder("labels", shape=(5,), dtype=np.int64)
    with g.scope("encoder"):
        hidden = nn.Dense(6, rng=np.random.default_rng(1))(x)  # the line of the first layer
        active = gn.tanh(hidden, name="active")  # the line of active
    logits = nn.Dense(3, rng=np.random.default_rng(2))(active)
    loss = nn.softmax_crossentropy(logits, labels)  # the line of the loss
    g.outputs["loss"] = loss
    return g, logits, loss


def build():
    g, logits, loss = network()
    gradients = gn.grad(loss, list(g.parameters))
    return [logits, loss, *gradients], {g["x"]: X, g["labels"]: LABELS}


def forward():
    g, logits, loss = network()
    return [logits], {g["x"]: X}


def step():
    g, logits, loss = network()
    updates = nn.Adam(0.1).updates(loss)
    return gn.compile([loss], updates=updates), {g["x"]: X, g["labels"]: LABELS}


def broken():
    g = gn.Graph("broken")
    x = g.placeholder("x", shape=(3,))
    shifted = g.subtract(x, 1.0, name="shifted")
    logged = gn.log(shifted, name="logged")  # NaN and infinity begin here
    scaled = g.multiply(logged, 2.0, name="scaled")
    return [gn.sum(scaled, name="total")], {x: np.array([0.5, 1.0, 3.0])}
"""


class DapTarget(NamedTuple):
    """A target, and the run that it stands for.

    Attributes
    ----------
    name : str
    launch : dict
        The arguments of the request ``launch``.
    trace : Trace
        The same run, recorded without any debugger.
    program : Path
        The file of the user's lines.
    """

    name: str
    launch: dict[str, Any]
    trace: gn.Trace
    program: Path

    @property
    def operations(self) -> list[Node]:
        """The nodes that are computed, in the order of the run."""
        return [step.node for step in self.trace if step.node.inputs]

    def value(self, name: str) -> np.ndarray[Any, Any]:
        return np.asarray(self.trace[name])


def program_in(folder: Path) -> Any:
    """Write the program, and return it as a module."""
    path = folder / "dap_program.py"
    path.write_text(PROGRAM, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("dap_program", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def targets_in(folder: Path) -> dict[str, DapTarget]:
    """Write the files of the targets, and return these by name."""
    program = program_in(folder)
    path = Path(program.__file__)
    data = str(folder / "data.npz")
    np.savez(data, x=program.X, labels=program.LABELS)
    fetches, feed = program.build()
    trace = gn.trace(fetches, feed)
    trace.save(folder / "run.gnt")
    _, _, loss = program.network()
    gn.save([loss], folder / "network.gnn")
    (output,), _ = program.forward()
    gn.to_onnx([output], folder / "network.onnx")
    np.savez(folder / "x.npz", x=program.X)
    step, step_feed = program.step()
    saved = gn.load(folder / "network.gnn")
    model = gn.from_onnx(folder / "network.onnx")
    read = model.graph if hasattr(model, "graph") else model
    made = {
        "program": ({"target": f"{path}:build"}, trace),
        "step": ({"target": f"{path}:step", "step": True}, gn.trace(step, step_feed)),
        "graph": (
            {"target": str(folder / "network.gnn"), "data": data},
            gn.trace(saved, {"x": program.X, "labels": program.LABELS}),
        ),
        "run": ({"target": str(folder / "run.gnt")}, gn.load(folder / "run.gnt")),
        "onnx": (
            {"target": str(folder / "network.onnx"), "data": str(folder / "x.npz")},
            gn.trace(list(read.outputs.values()), {"x": program.X}),
        ),
    }
    return {name: DapTarget(name, launch, traced, path) for name, (launch, traced) in made.items()}
