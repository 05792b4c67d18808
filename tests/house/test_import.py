"""What `import graphnn` loads, what loads later, and that nobody notices."""

import ast
import inspect
import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from template import Template

import graphnn as gn
from graphnn._util import lazy_loading

ROOT = Path(__file__).parents[2]

# All that a graph and its operations are made of. What else is to load at once is a decision: it costs every user.
AT_ONCE = {
    "_util",
    "core",
    "errors",
    "functions",
    "ops",
}


def in_a_process(code: str, *arguments: str) -> Any:
    """Return what the code, run by a Python that has loaded nothing, prints as JSON."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=env, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


LOADED = "print(json.dumps(sorted(m for m in sys.modules if m.startswith('graphnn.'))))"


def test_import_loads_the_ground_and_no_more() -> None:
    loaded = in_a_process(f"import json, sys, graphnn; {LOADED}")
    assert {module.split(".")[1] for module in loaded} == AT_ONCE


def test_a_tool_that_asks_for_a_special_name_loads_nothing() -> None:
    loaded = in_a_process(f"import json, sys; from graphnn import nn; hasattr(nn, '__wrapped__'); {LOADED}")
    assert "graphnn.nn.schedules" not in loaded


def test_names_are_loaded_by_several_threads_at_once(template: Template, tmp_path: Path) -> None:
    code = "import json, sys; from concurrent.futures import ThreadPoolExecutor as Pool; import graphnn as gn; "
    code += "sys.setswitchinterval(1e-6); names = [*gn.__all__, *gn.__all__[::-1]] * 2; "
    code += "print(json.dumps([callable(thing) for thing in Pool(8).map(lambda name: getattr(gn, name), names)]))"
    done = template.run("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert any(json.loads(done.stdout))


def test_import_loads_only_numpy_and_networkx_of_other_packages() -> None:
    code = "import json, sys, numpy, networkx; before = set(sys.modules); import graphnn; "
    code += "print(json.dumps(sorted({m.split('.')[0] for m in set(sys.modules) - before})))"
    others = set(in_a_process(code)) - sys.stdlib_module_names
    assert others == {"graphnn"}


@pytest.mark.parametrize(
    "code",
    [
        "from graphnn import nn; nn.Dense",
        "import graphnn as gn; gn.nn.Dense; gn.datasets.spiral",
        "import graphnn as gn; gn.debugger, gn.runtime, gn.view.plots, gn.testing, gn.io, gn.core, gn.transforms",
        "import graphnn.view.plots",
        "from graphnn import *; check_health; datasets.spiral; view.matrix; name",
        "import graphnn as gn; assert {'draw', 'nn', 'exp', 'Graph', 'check_health'} <= set(dir(gn))",
        "import graphnn as gn; assert all(getattr(gn, name) is not None for name in gn.__all__)",
    ],
)
def test_every_way_to_a_name_works_in_a_fresh_process(code: str, template: Template, tmp_path: Path) -> None:
    done = template.run("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_what_type_checkers_see_is_what_loads() -> None:
    tree = ast.parse(inspect.getsource(gn))
    found = dict(gn._MODULE_OF)
    block = next(node for node in tree.body if isinstance(node, ast.If)).body
    for statement in block:
        assert isinstance(statement, ast.ImportFrom)
        for alias in statement.names:
            if statement.module is None:
                assert alias.name in gn._MODULES
            elif alias.name != "*":
                assert found.pop(alias.name) == statement.module
    assert not found
    assert all(hasattr(gn, name) for name in gn.__all__)


def test_an_unknown_name_is_refused_as_before() -> None:
    with pytest.raises(AttributeError, match=r'Write nn\.Dense, after "from graphnn import nn"'):
        _ = gn.Dense  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match='no operation "sofmax"'):
        _ = gn.sofmax  # type: ignore[attr-defined]


# --- what registers itself ----------------------------------------------------------------------------------------


def test_all_that_is_given_to_a_port_is_found_when_it_is_asked_for() -> None:
    sources = {path: path.read_text("utf-8") for path in sorted((ROOT / "graphnn").rglob("*.py"))}
    ports = {
        port: (name, path)
        for path, text in sources.items()
        for port, name in re.findall(r'^(\w+): Port\[[^=]*?\] = Port\(\s*"([^"]+)"', text, re.MULTILINE)
    }
    named = {name for text in sources.values() for name in re.findall(r' Port\(\s*"([^"]+)"\s*\)', text)}
    assert gn._GIVES.keys() == named - {"length"}  # an example
    count = 0
    for path, text in sources.items():
        module = ".".join(path.relative_to(ROOT / "graphnn").with_suffix("").parts).removesuffix(".__init__")
        for port, kinds in re.findall(r"^ *@?([A-Z_]+)\.give\(([^)]*)\)", text, re.MULTILINE):
            name, home = ports[port]
            # Whoever has a thing of a class has loaded the module of the class.
            is_own = kinds != "" and all(f"\nclass {kind}(" in text for kind in kinds.split(", "))
            assert home == path or is_own or module in gn._GIVES[name], (module, port)
            count += 1
    assert count > 20
    for name in {name for modules in gn._GIVES.values() for name in modules}:
        if lazy_loading.is_there(name):
            import_module(f"graphnn.{name}")


SHOWN = {
    "print(trace)": "t = gn.trace(y, feed); shown = str(t)",
    "print(debugger)": "shown = str(gn.debug(y, feed))",
    "a graph in a notebook": "shown = y.graph._repr_mimebundle_()['image/svg+xml']",
    "a trace in a notebook": "shown = gn.trace(y, feed)._repr_mimebundle_()['text/html']",
    "error.draw()": "shown = failed(lambda: g.constant([1, 2, 3]) @ g.constant([1, 2])).draw().source",
    "error.debug()": "shown = str(failed(lambda: gn.run(z, {'x': [0]})).debug())",
    "load": "shown = str(gn.load(file))",
}
BEGIN = """
import json, sys
import graphnn as gn
def failed(what):
    try:
        what()
    except gn.GraphnnError as error:
        return error
file = sys.argv[1]
g = gn.Graph("small")
x = g.placeholder("x", shape=("batch",), dtype="int64")
y, z, feed = x * 2, 7 // x, {"x": [1, 2]}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("shown") / "run.gnn"
    x = gn.Graph("small").placeholder("x", shape=("batch",))
    gn.trace(x * 2, {"x": [1, 2]}).save(file)
    return file


@pytest.mark.parametrize("how", SHOWN)
def test_a_thing_shows_itself_though_nothing_was_loaded_for_it(how: str, run: Path, template: Template) -> None:
    done = template.run("-c", f"{BEGIN}\n{SHOWN[how]}\nprint(json.dumps(shown))", run, cwd=run.parent)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert "multiply" in shown or "matmul" in shown or "floor_divide" in shown, shown
