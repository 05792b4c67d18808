# needs: onnx
"""A bug to find: a module of PyTorch is exported, and the model gives other numbers than the module.

A softmax in the model goes over the wrong axis. (PyTorch does not write it so: `exported` plants the fault.) What
PyTorch itself computes on the way is kept by the names of its nodes, as a `torch.fx.Interpreter` of the exported
program sees it; `tests/data/make_torch_modules.py` has the lines.
"""

from pathlib import Path

import numpy as np
import onnx

import graphnn as gn

DATA = Path(__file__).parents[1] / "tests" / "data" / "torch_modules"


def exported(faulty=True):
    model = onnx.load(DATA / "attention.onnx")
    (softmax,) = (node for node in model.graph.node if node.op_type == "Softmax")
    if faulty:
        softmax.attribute[0].i = -2
    return gn.from_onnx(model)


def of_pytorch(g):
    """Return the input, and PyTorch's values of the nodes that the graph has, too."""
    figures = np.load(DATA / "attention.npz")
    values = {key.removeprefix("value/"): figures[key] for key in figures if key.startswith("value/")}
    known = {name: value for name, value in values.items() if name in g.scopes and g[name].shape == value.shape}
    return {"x": figures["input/0"]}, known


def main():
    g = exported()
    feed, theirs = of_pytorch(g)
    print(f"{len(theirs)} values of PyTorch, from {next(iter(theirs))} to {list(theirs)[-1]}\n")
    found = gn.compare(gn.trace(g.outputs, feed), theirs, names=("the model", "PyTorch"))
    print(found)
    first = found.first.node
    program = (DATA.parent / first.origin.file).read_text(encoding="utf-8").splitlines()
    line = program[first.origin.line - 1].strip()
    print(f"\nThe first node at fault is {first.name}, of the PyTorch line {first.origin}:\n    {line}")
    assert first.name == "softmax/divide"
    assert ".softmax(-1)" in line

    print("\nThe health check knows without PyTorch:")
    print(gn.check_health(g.outputs, feed))

    print("\nThe fix: over the last axis.")
    g = exported(faulty=False)
    found = gn.compare(gn.trace(g.outputs, feed), theirs, names=("the model", "PyTorch"))
    print(found)
    assert found.equal


if __name__ == "__main__":
    main()
