"""The transformer of examples/lesson_transformer.py learns as the same network does in PyTorch.

The figures are made by tests/data/make_torch_characters.py.
"""

import runpy
from pathlib import Path

import numpy as np

import graphnn as gn
from graphnn import nn

ROOT = Path(__file__).parents[2]
LESSON = runpy.run_path(str(ROOT / "examples" / "lesson_transformer.py"))


def test_the_losses_of_300_steps_are_those_of_pytorch() -> None:
    with np.load(ROOT / "tests" / "data" / "torch_characters.npz") as figures:
        starts, expected = figures["starts"], figures["losses"]
        state = {key.removeprefix("state/"): figures[key] for key in figures.files if key.startswith("state/")}
    length, units = state["1.weight"].shape
    g, network = LESSON["build"](length=length, units=units, heads=2, dtype="float64")
    network.load_state_dict(state, layout="torch")
    loss = g.outputs["loss"]
    step = gn.compile(loss, updates=nn.Adam(0.003).updates(loss))
    text = LESSON["numbers"](LESSON["TEXT"])
    losses = []
    for begin in starts:
        places = begin[:, None] + np.arange(length)
        losses.append(float(step({"characters": text[places], "following": text[places + 1]})))
    assert len(losses) == 300
    assert expected[-1] < 0.75 * expected[0], "it has learned something"
    np.testing.assert_allclose(losses, expected, rtol=0.0, atol=1e-6)
