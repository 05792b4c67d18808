"""Where a node was made: the user's own line, wherever the user writes, and through whatever stands between."""

import code
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn._util.source_location import origin_of

ROOT = Path(__file__).parents[2]

# What a user writes. A comment names the nodes that are made on its line: all there are.
SOURCE = """\
import numpy as np
import graphnn as gn
from graphnn import nn

g = gn.Graph("spiral")
x = g.placeholder("x", shape=("batch", 2))  #: x
rng = np.random.default_rng(0)
network = nn.Sequential(
    nn.Dense(4, rng=rng),
    nn.ReLU(),
)
h = network(x)  #: dense_1/weight dense_1/bias dense_1/matmul dense_1/add relu_1
y = 2.0 * h + 1.0  #: constant multiply constant_2 add
squares = [
    gn.square(y) for _ in range(2)  #: square square_2
]
total = sum(squares, start=squares[0])  #: add_2 add_3


def wrapped(value):
    return (lambda v: gn.exp(v))(value)  #: exp


class Residual(nn.Layer):
    def __init__(self, units):
        self.inner = nn.Dense(units, rng=rng)

    def call(self, h, training=False):
        part = self.inner(gn.relu(h))  #: residual_1/relu residual_1/inner/weight residual_1/inner/bias residual_1/inner/matmul residual_1/inner/add
        return h + part  #: residual_1/add


block = Residual(4)
out = wrapped(block(
    total,
))
with g.scope("head"):
    out = gn.softmax(  #: head/softmax_1/max head/softmax_1/stop_gradient head/softmax_1/subtract head/softmax_1/exp head/softmax_1/sum head/softmax_1/divide
        out,
    )
made = list(map(gn.negative, [out]))  #: negative
loss = gn.mean(out, axis=None)  #: mean
"""  # noqa: E501

REPORT = """
import json
print("RESULT", json.dumps([
    [(n.name, str(n.origin)) for n in g], [(s.path, str(s.origin)) for s in g.scopes.values()]
]))
"""

SCOPES = {"dense_1": 9, "relu_1": 10, "residual_1": 33, "residual_1/inner": 26, "head": 37, "head/softmax_1": 38}


def expected(source: str = SOURCE) -> dict[str, int]:
    """Return the line of each node, as the comments say."""
    lines = {}
    for number, line in enumerate(source.splitlines(), 1):
        for name in line.partition("#:")[2].split():
            lines[name] = number
    return lines


def python(*arguments: str, **options: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Run Python in a process of its own, and return what it reports of nodes and scopes."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **options.pop("env", {})}
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=False, env=env, **options
    )
    assert done.returncode == 0, done.stderr
    report = next(line for line in done.stdout.splitlines() if "RESULT" in line)
    nodes, scopes = json.loads(report.partition("RESULT")[2])
    return dict(nodes), dict(scopes)


def check(report: tuple[dict[str, str], dict[str, str]], file: str) -> None:
    nodes, scopes = report
    assert nodes == {name: f"{file}:{line}" for name, line in expected().items()}
    assert scopes == {path: f"{file}:{SCOPES[path]}" for path in scopes}
    assert {"dense_1", "residual_1", "head", "head/softmax_1"} <= scopes.keys()


# --- where one writes ----------------------------------------------------------------------------------------------


def test_a_script(tmp_path: Path) -> None:
    (tmp_path / "spiral.py").write_text(SOURCE + REPORT)
    check(python("-W", "error", "spiral.py", cwd=tmp_path), "spiral.py")


def test_a_script_in_a_folder_called_like_the_library(tmp_path: Path) -> None:
    script = tmp_path / "graphnn" / "graph" / "spiral.py"
    script.parent.mkdir(parents=True)
    script.write_text(SOURCE + REPORT)
    check(python(str(script)), "spiral.py")


def test_a_module(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "net.py").write_text(SOURCE)
    report = "from models.net import g\n" + REPORT
    check(python("-c", report, cwd=tmp_path, env={"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}), "net.py")
    # The library may stand on a relative path, and the module may be run as a program.
    (tmp_path / "models" / "net.py").write_text(SOURCE + REPORT)
    env = {"PYTHONPATH": os.pathsep.join([os.path.relpath(ROOT, tmp_path), "."])}
    check(python("-m", "models.net", cwd=tmp_path, env=env), "net.py")


def test_code_that_is_executed() -> None:
    space: dict[str, Any] = {}
    exec(SOURCE, space)  # noqa: S102 - our own
    assert {n.name: str(n.origin) for n in space["g"]} == {k: f"<string>:{v}" for k, v in expected().items()}
    space = {}
    exec(compile(SOURCE, "<my template>", "exec"), space)  # noqa: S102 - our own
    assert str(space["g"]["add"].origin) == f"<my template>:{expected()['add']}"
    made = eval("gn.exp(x)", {"gn": gn, "x": space["x"]})  # noqa: S307 - our own
    assert str(made.origin) == "<string>:1"


def test_the_interactive_prompt() -> None:
    session = """
import graphnn as gn
g = gn.Graph()
x = g.placeholder("x")
y = (x +
  1.0)
for i in range(2):
    z = gn.exp(x)

with g.scope("head"):
    u = -x

"""
    report = REPORT.strip().replace("import json\n", "import json; ").replace("\n", " ") + "\n"
    nodes, scopes = python("-i", "-q", input=session + report)
    # Each statement starts at line 1 of its own.
    lines = {"x": 1, "constant": 1, "add": 1, "exp": 2, "exp_2": 2, "head/negative": 2}
    assert set(nodes) == set(lines)
    for name, line in lines.items():
        file, _, number = nodes[name].rpartition(":")
        # "<stdin>", in Python 3.13 "<stdin>-1", and in Python 3.14 "<stdin-1>".
        assert re.fullmatch(r"<stdin(-\d+)?>(-\d+)?", file)
        assert int(number) == line
    assert re.fullmatch(r"<stdin(-\d+)?>(-\d+)?:1", scopes["head"])


def test_a_console_of_ones_own() -> None:
    console = code.InteractiveConsole()
    for line in ("import graphnn as gn", "x = gn.Graph().placeholder('x')", "y = -x"):
        console.push(line)
    assert str(console.locals["y"].origin) == "<console>:1"


NOTEBOOK = """
import json, sys
cells = json.load(sys.stdin)
SHELL
for cell in cells:
    result = shell.run_cell(cell, store_history=True)
    result.raise_error()
g = shell.user_ns["g"]
assert FILE in g["x"].origin.file, g["x"].origin
"""
SHELLS = {
    "IPython": """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
FILE = "<ipython-input-1-"
""",
    "Jupyter": """
from ipykernel.compiler import XCachingCompiler
from ipykernel.zmqshell import ZMQInteractiveShell
shell = ZMQInteractiveShell.instance(compiler_class=XCachingCompiler)
FILE = "ipykernel_"
""",
}


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS.keys())
def test_a_notebook_cell(tmp_path: Path, shell: str) -> None:
    cells = [
        "import graphnn as gn\ng = gn.Graph()\n\nx = g.placeholder('x')",
        "def twice(v):\n    return v + v",
        "with g.scope('head'):\n    y = twice(x)\n    gn.softmax(g.constant([1.0]))",
        "y = twice(y)\ng.outputs['y'] = y\n\nz = -y",
    ]
    nodes, scopes = python(
        "-c",
        NOTEBOOK.replace("SHELL", shell) + REPORT,
        input=json.dumps(cells),
        cwd=tmp_path,
        env={"IPYTHONDIR": str(tmp_path), "HOME": str(tmp_path), "PYTHONWARNINGS": "default"},
    )
    assert nodes["x"] == "cell 1:4"
    assert (nodes["head/add"], nodes["head/constant"], nodes["add"]) == ("cell 2:2", "cell 3:3", "cell 2:2")
    assert nodes["negative"] == "cell 4:4"
    assert scopes == {"head": "cell 3:1", "head/softmax_1": "cell 3:3"}


# --- what stands between -------------------------------------------------------------------------------------------


def here(offset: int = 0) -> tuple[str, int]:
    return __file__, sys._getframe(1).f_lineno + offset


def test_an_origin_is_a_file_and_a_line() -> None:
    x = gn.Graph().placeholder("x")
    assert x.origin == here(-1)
    assert (x.origin.file, x.origin.line, str(x.origin)) == (__file__, here()[1] - 2, f"test_origin.py:{here()[1] - 2}")


def test_every_way_of_making_a_node() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", shape=(2, 2)), g.parameter("w", np.ones((2, 2)))
    made = [
        x, w, g.constant(1.0), x + w, 2.0 * x, np.ones(2) - x, x[0], x.T, x @ w, -x, abs(x), x**2, x > 0,
        gn.exp(x), gn.concatenate([x, w]), gn.reshape(x, -1), gn.split(x, 2)[0], gn.softmax(x), gn.einsum("ii->i", x),
        gn.add(x, w, name="named"), gn.zeros(2, graph=g), g.add(x.T.op, [x]), x.T.op(x),
    ]  # fmt: skip
    assert {node.origin.line for node in made} <= set(range(here()[1] - 6, here()[1]))
    assert {node.origin.file for node in g} == {__file__}


@contextmanager
def block(g: gn.Graph, name: str) -> Iterator[None]:
    """Be a context of the user's own, around a scope."""
    with g.scope(name):
        yield


def generated(x: gn.Node) -> Iterator[gn.Node]:
    """Make nodes in a generator."""
    while True:
        x = gn.sin(x)
        yield x


def test_contexts_and_generators_of_the_users_own() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    with block(g, "a"):
        y = -x
        line = here(-1)
    assert y.origin == line
    assert g.scopes["a"].origin == (__file__, block.__wrapped__.__code__.co_firstlineno + 3)
    with g.scope("b"), g.scope("c"):
        opened = here(-1)
        gn.log_softmax(g.constant([1.0, 2.0]))
    assert g.scopes["b"].origin == g.scopes["b/c"].origin == opened
    assert g.scopes["b/c/log_softmax_1"].origin == (__file__, opened[1] + 2)
    steps = generated(x)
    next(steps)
    assert next(steps).origin == (__file__, generated.__code__.co_firstlineno + 3)


def test_an_operation_of_the_users_own() -> None:
    # A rule's nodes are made for the forward node, not at the rule's line.
    class Doubled(gn.Op):
        def infer(self, x: gn.Spec) -> gn.Spec:
            return x

        def forward(self, x: Any, out: Any = None) -> Any:
            return x * 2

        def vjp(self, i: int, cotangent: gn.Node, output: gn.Node, inputs: tuple[gn.Node, ...]) -> gn.Node:
            return cotangent * 2.0

    try:
        x = gn.Graph().placeholder("x")
        y = Doubled()(x)
        line = here(-1)
        grad = gn.grad(y, x)
        assert (y.origin, grad.origin, grad.twin) == (line, line, y)
    finally:
        del gn.core.registry["doubled"]


class Residual(nn.Layer):
    """A layer of the user's own, with another in it."""

    def __init__(self, units: int, rng: Any) -> None:
        self.inner = nn.Dense(units, rng=rng)
        self.inside = here(-1)

    def call(self, h: gn.Node, training: bool = False) -> gn.Node:
        return h + self.inner(gn.relu(h))

    line = (__file__, call.__code__.co_firstlineno + 1)


def trained() -> tuple[gn.Graph, gn.Node, dict[str, tuple[str, int]]]:
    g = gn.Graph()
    rng = np.random.default_rng(0)
    x, labels = g.placeholder("x", shape=("batch", 2)), g.placeholder("labels", shape="batch", dtype=np.int64)
    lines = {"block": here(1), "network": here(3)}
    layer = Residual(8, rng)
    lines["inside"] = layer.inside
    network = nn.Sequential(nn.Dense(8, rng=rng), nn.Tanh(), layer, nn.Dense(3, rng=rng), nn.Softmax())
    probabilities = network(x)
    lines["call"] = here(-1)
    loss = nn.categorical_crossentropy(probabilities, labels)
    lines["loss"] = here(-1)
    return g, loss, lines


def test_layers() -> None:
    g, loss, lines = trained()
    for name in ("dense_1/weight", "dense_1/add", "dense_2/matmul", "tanh_1", "softmax_1/exp", "softmax_1/max"):
        assert g[name].origin == lines["call"]
    assert loss.origin == g.scopes["categorical_crossentropy_1"].origin == lines["loss"]
    assert {node.origin for node in g if node.scope.startswith("categorical")} == {lines["loss"]}
    for name in ("residual_1/relu", "residual_1/add", "residual_1/inner/matmul", "residual_1/inner/weight"):
        assert g[name].origin == Residual.line
    assert g.scopes["residual_1"].origin == lines["block"]
    assert g.scopes["residual_1/inner"].origin == lines["inside"]
    assert g.scopes["dense_1"].origin == g.scopes["softmax_1"].origin == lines["network"]


def test_a_gradient_node_has_the_origin_of_the_forward_node_it_was_made_for() -> None:
    g, loss, _ = trained()
    forward = set(g)
    gn.grad(loss, list(g.parameters))
    second = gn.grad(gn.sum(gn.square(gn.grad(loss, g["dense_1/weight"]))), g["residual_1/inner/weight"])
    gn.jvp(loss, {g["dense_1/weight"]: np.ones((2, 8))})
    with pytest.warns(gn.GraphnnWarning):
        gn.grad(loss, g.parameter("unused", 1.0))
    derived = [node for node in g if node.phase == "backward"]
    assert second in derived
    assert len(derived) > 3 * len(forward)
    for node in derived:
        assert node.twin is not None
        assert node.origin == node.twin.origin
        assert node.scope.partition("/")[2] == node.twin.scope or node.twin.scope in node.scope
    # Of a gradient's gradient the twin may be a gradient node itself; in the end there is a forward one.
    for node in derived:
        while node.twin is not None:
            node = node.twin
        assert node.phase == "forward"
    lines = {node.origin for node in forward}
    assert {node.origin for node in g if node.twin is not None and node.twin in forward} <= lines


def test_no_node_was_made_inside_the_library() -> None:
    g, loss, _ = trained()
    for optimizer in (nn.SGD(0.1, momentum=0.9), nn.Adam()):
        optimizer.updates(loss)
    nn.accuracy(g["softmax_1"], g["labels"])
    small = gn.extract(loss)
    replaced = gn.replace(loss, {g["tanh_1"]: gn.relu(g["dense_1/add"])}).graph
    back = gn.Graph.from_networkx(g.dag)
    for graph in (g, small, replaced, back):
        places = {node.origin.file for node in graph} | {scope.origin.file for scope in graph.scopes.values()}
        assert places <= {__file__, "test_origin.py"}
    assert [str(node.origin) for node in back] == [str(node.origin) for node in g]


def test_a_shown_origin_is_read_back() -> None:
    assert origin_of("spiral.py:12") == ("spiral.py", 12)
    assert origin_of("cell 3:1") == ("cell 3", 1)
    assert origin_of("<stdin>:1") == ("<stdin>", 1)
    for text in ("spiral.py", "spiral.py:", ":3", "a:b", "", None, 3, "a:-1"):
        assert origin_of(text) is None
