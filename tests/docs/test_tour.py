"""The tour: what it promises by name is there when it has run."""

from pathlib import Path

import pages
from places import SHARED
from template import Template

TOUR = Path(__file__).parents[2] / "docs" / "tour.md"

# Runs the tour, then looks at what it left behind.
AFTER = '''
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
import pages
left = pages.run(Path(sys.argv[1]))
gn, nn, g, loss = (left[name] for name in ("gn", "nn", "g", "loss"))

# Names are a promise: pictures, feeds and files speak of them.
for name in """x labels dense_1/weight dense_1/bias dense_1/matmul dense_1/add relu_1 dense_2/add softmax_1/max
        softmax_1/subtract softmax_1/exp softmax_1/sum softmax_1/divide categorical_crossentropy_1/mean""".split():
    assert g[name].name == name, name
assert g["loss"] is loss and g["softmax_1"] is left["probabilities"]
assert {node.phase for node in gn.schedule([loss, *g.updates.values()])} == {"forward", "backward", "update"}
written = {path.name for path in Path().iterdir()}
assert {"g.graphml", "spiral.gnn", "network.svg"} <= written, written

# Where a node was made is a line of the page, never one of the library.
assert all("graphnn/" not in str(node.origin).replace("\\\\", "/") for node in g), "an origin inside the library"
'''


def test_the_tour_keeps_its_promises(tmp_path: Path, template: Template) -> None:
    done = template.run("-c", AFTER, TOUR, *SHARED, cwd=tmp_path, env={"MPLBACKEND": "Agg"})
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_the_tour_shows_what_the_library_promises() -> None:
    code = "\n".join(block.text for block in pages.blocks(TOUR.read_text(encoding="utf-8")))
    for call in (
        "g.placeholder(", "g.parameter(", "g.constant(", "g.outputs[", "g.scope(", "nn.Sequential(", "nn.Dense(",
        "nn.Layer", "nn.categorical_crossentropy(", "gn.summary(", "gn.replace(", "gn.extract(", "g.dag",
        "gn.Graph.from_networkx(", "g.flat()", "gn.run(", "gn.schedule(", "gn.steps(", "gn.grad(", "gn.jvp(", "gn.vjp(",
        "gn.testing.check_grads(", "optimizer.updates(", "gn.compile(", "nn.fit(", "gn.save(", "gn.load(", "gn.draw(",
        "gn.trace(", "gn.recording(", "gn.debug(", "dbg.why(", "gn.check_health(", "gn.compare(", "gn.profile(",
        "$ graphnn demo", "$ graphnn draw", "$ graphnn run", "$ graphnn debug",
    ):  # fmt: skip
        assert call in code, f"the tour does not show {call}"
