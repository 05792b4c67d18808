"""What is debugged through the protocol: one network and its training, as a program, in files, as a run."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import places

import graphnn as gn
from graphnn.errors import NotFoundError

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


def loops():
    g = gn.Graph("loops")
    xs = g.placeholder("xs", shape=(4, 3))
    last, _ = gn.scan(lambda state, row: gn.tanh(state * 0.5 + row, name="next"), np.zeros(3), xs)
    root = gn.cond(gn.sum(last) > 0.0, lambda: gn.square(last, name="squared"), lambda: last)
    return [root], {xs: np.arange(12.0).reshape(4, 3) / 10.0}


def broken():
    g = gn.Graph("broken")
    x = g.placeholder("x", shape=(3,))
    shifted = gn.subtract(x, 1.0, name="shifted")
    logged = gn.log(shifted, name="logged")  # NaN and infinity begin here
    scaled = gn.multiply(logged, 2.0, name="scaled")
    return [gn.sum(scaled, name="total")], {x: np.array([0.5, 1.0, 3.0])}
"""


class DapTarget(NamedTuple):
    """A target, and the run that it stands for.

    Attributes
    ----------
    name : str
    launch : dict
        The arguments of the request ``launch``.
    run, feed
        The same, as `graphnn.debug` takes it.
    trace : Trace
        The same run, recorded without any debugger.
    program : Path
        The file of the user's lines.
    """

    name: str
    launch: dict[str, Any]
    run: Any
    feed: Any
    trace: gn.Trace
    program: Path

    def load(self, arguments: dict[str, Any]) -> gn.Debugger:
        """Return the debugger that ``launch`` asks for; only this target is there."""
        if arguments["target"] != self.launch["target"]:
            raise NotFoundError(f'there is no target "{arguments["target"][:80]}"')
        return gn.debug(self.run, self.feed, echo=None)

    @property
    def operations(self) -> list[Node]:
        """The nodes that are computed, in the order of the run."""
        return [step.node for step in self.trace if step.node.inputs]

    def value(self, name: str) -> np.ndarray[Any, Any]:
        return np.asarray(self.trace[name].value)


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
    data = {"x": program.X, "labels": program.LABELS}
    np.savez(folder / "data.npz", **data)
    np.savez(folder / "x.npz", x=program.X)
    _, _, loss = program.network()
    gn.save([loss], folder / "network.gnn")
    gn.trace(*program.build()).save(folder / "run.gnt")
    made: dict[str, tuple[dict[str, Any], Any, Any]] = {
        "program": ({"target": f"{path}:build"}, *program.build()),
        "step": ({"target": f"{path}:step", "step": True}, *program.step()),
        "graph": (
            {"target": str(folder / "network.gnn"), "data": str(folder / "data.npz")},
            gn.load(folder / "network.gnn"),
            data,
        ),
        "run": ({"target": str(folder / "run.gnt")}, gn.load(folder / "run.gnt"), None),
    }
    if places.present("onnx"):
        (output,), _ = program.forward()
        gn.to_onnx([output], folder / "network.onnx")
        read = list(gn.from_onnx(folder / "network.onnx").outputs.values())
        launch = {"target": str(folder / "network.onnx"), "data": str(folder / "x.npz")}
        made["onnx"] = (launch, read, {"x": program.X})
    return {
        name: DapTarget(name, launch, run, feed, run if isinstance(run, gn.Trace) else gn.trace(run, feed), path)
        for name, (launch, run, feed) in made.items()
    }
