"""Trainings in the engine of pages and in Python, of the same file, under node where it is there."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from trainings import OF_DIGITS, TRAININGS, losses

import graphnn as gn
from graphnn.pages import replay
from graphnn.pages.engine import engine_script
from graphnn.pages.single_file import part

SHORT = {"lenet": 2}
"""So many steps of it here, and 20 of the others; the browser's tests make 100 of each."""

TRAIN = """
(async () => {
  const text = require("node:fs").readFileSync(file, "utf-8").match(/id="data">([^<]*)</)[1];
  [data, arrays] = await unpacked(text);
  const graph = boundGraph(data.live.sizes, new Map(data.live.given.map(([i, number]) => [i, arrays[number]])));
  const engine = makeEngine(graph), losses = [];
  for (let k = 0; k < steps; k++) {
    engine.run();
    losses.push(Number(engine.value(graph.fetches[0]).data[0]));
    engine.commit();
  }
  console.log(JSON.stringify(losses));
})();
"""


@pytest.mark.parametrize("name", [name for name in TRAININGS if name not in OF_DIGITS])
def test_no_training_is_chaotic(name: str) -> None:
    """Of 100 steps, the losses part no further than rounding if each parameter is changed in its last bit."""
    changed, feed = TRAININGS[name]()
    for parameter in changed.graph.parameters:
        if parameter.value.dtype.kind == "f":
            parameter.value = parameter.value * (1 + 2**-52)
    np.testing.assert_allclose(losses((changed, feed), 100), losses(TRAININGS[name](), 100), rtol=1e-11)


if node := shutil.which("node"):

    @pytest.mark.parametrize("name", TRAININGS)
    def test_a_page_trains_as_python_does(name: str, tmp_path: Path) -> None:
        if name in OF_DIGITS:
            pytest.importorskip("sklearn")
        step, feed = TRAININGS[name]()
        steps = SHORT.get(name, 20)
        path, script = tmp_path / "page.html", tmp_path / "train.js"
        gn.trace(step, feed).to_html(path, live=True)
        parts = [engine_script(), *(part(replay.__name__, f"script/{each}.js") for each in ("data", "live")), TRAIN]
        script.write_text("\n".join([f"const file = {json.dumps(str(path))}, steps = {steps};", *parts]))
        done = subprocess.run([node, script], capture_output=True, text=True, check=False)
        assert done.stderr == ""
        np.testing.assert_allclose(json.loads(done.stdout), losses((step, feed), steps), rtol=1e-10)
