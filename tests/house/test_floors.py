"""The house: which room of graphnn may import which.

A floor imports only the floors below it. Rooms on one floor do not import each other; files of one room may,
one way, and so may the folders in a room. There is no cycle, and no import inside a function except of an optional
third-party package. What is imported only for type checkers does not run, so it makes no cycle but between folders;
and it points up no more than the rest.

The imports are read from the source, nothing is imported.
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import networkx as nx
import pytest

PACKAGE = "graphnn"

# A room is a file or a folder directly under graphnn/. A new one is given its floor here.
FLOORS: dict[str, int] = {
    "origin": 0,
    "errors": 0,
    "calls": 0,
    "callables": 0,
    "habits": 0,
    "later": 0,
    "locks": 0,
    "show": 0,
    "text": 0,
    "container": 0,
    "polynomials": 0,
    "replacing": 0,
    "datasets": 0,
    "graph": 1,
    "ops": 2,
    "functions": 2,
    "copying": 2,
    "autograd": 3,
    "batching": 3,
    "order": 3,
    "files": 3,
    "tables": 3,
    "transform": 3,
    "changes": 3,
    "execute": 4,
    "jacobians": 4,
    "mapped": 4,
    "sharding": 4,
    "loops": 5,
    "linearized": 6,
    "nn": 6,
    "inspector": 6,
    "testing": 6,
    "view": 7,
    "interop": 7,
    "terminal": 8,
    "cli": 9,
    "__main__": 9,
    "demo": 9,
}
# graphnn/__init__.py hands on the names of everything below it; only the command, above it, may use them.
FLOORS[PACKAGE] = 8

# Rooms of one floor that may import each other all the same: {(who, whom): why}.
NEIGHBOURS: dict[tuple[str, str], str] = {
    ("container", "replacing"): "a file is written beside the one that it replaces",
    ("replacing", "errors"): "what cannot be replaced is refused",
    ("transform", "changes"): "what a copy of a graph has otherwise",
    ("files", "tables"): "what a file of a graph holds",
    ("container", "errors"): "a damaged file is an error like any other",
    ("container", "text"): "and what it quotes may be anything",
    ("datasets", "errors"): "so is an unknown data set",
    ("datasets", "text"): "whatever it is that was given",
    ("habits", "errors"): "and so is a name that others use: what is spelt alike is found in one place",
    ("later", "locks"): "one thread loads at a time",
    ("show", "later"): "the hook loads what registers itself with it",
    ("errors", "show"): "an error shows itself through the hook, too",
    ("errors", "origin"): "and knows the line of the user's that it is of",
    ("calls", "errors"): "a call that does not fit is an error",
    ("calls", "habits"): "and says how an argument is called here",
    ("callables", "errors"): "and so is a function that takes something else than it is given",
    ("callables", "calls"): "its parameters are written as those of any call",
    ("errors", "text"): "and what it says may hold anybody's names",
    ("__main__", "cli"): "`python -m graphnn` is the command",
    ("cli", "demo"): "`graphnn demo` is a verb of the command",
}

# Third-party packages that are always there. What may be missing is imported where it is used; not all systems have
# readline.
REQUIRED = {"numpy", "networkx", "graphviz"}
OPTIONAL = {"readline", "rich", "matplotlib", "IPython", "numba", "onnx", "dask", "pandas", "llvmlite", "sklearn"}
OPTIONAL |= {"distributed", "threadpoolctl"}  # with Dask
OPTIONAL |= {"torch", "onnxscript", "onnxruntime"}  # only for users who have modules of PyTorch, or compare


@dataclass(frozen=True)
class Import:
    """One import as it stands in a file: `module` imports `target`, on `line`."""

    module: str
    target: str
    line: int
    in_function: bool
    for_types: bool  # under `if TYPE_CHECKING:`

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def modules_under(folder: Path) -> dict[str, Path]:
    """Return {dotted name: file} of every module of the package in `folder`."""
    modules = {}
    for path in sorted(folder.rglob("*.py")):
        parts = (PACKAGE, *path.relative_to(folder).with_suffix("").parts)
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def imports_of(module: str, path: Path, modules: dict[str, Path]) -> Iterator[Import]:
    """Yield what the file at `path` imports, each target as the module that is really loaded for it."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    todo = [(node, False, False) for node in ast.parse(path.read_text(encoding="utf-8"), str(path)).body]
    while todo:
        node, in_function, for_types = todo.pop()
        for target in _targets(node, package, modules):
            yield Import(module, target, node.lineno, in_function, for_types)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            in_function = True
        checking = _type_checking_branch(node)
        todo += [(child, in_function, for_types or child in checking) for child in ast.iter_child_nodes(node)]


def _type_checking_branch(node: ast.AST) -> list[ast.stmt]:
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"), body=body):
            return body
        case ast.If(
            test=ast.UnaryOp(op=ast.Not(), operand=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")),
            orelse=orelse,
        ):
            return orelse
    return []


def _targets(node: ast.AST, package: str, modules: dict[str, Path]) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=source, names=names, level=level):
            if level:
                above = package.split(".")[: len(package.split(".")) - level + 1]
                source = ".".join([*above, source] if source else above)
            assert source is not None
            # `from package import name` loads package.name if that is a module, else takes a name of package
            return list(
                dict.fromkeys(inner if (inner := f"{source}.{alias.name}") in modules else source for alias in names)
            )
        # an import in disguise
        case ast.Call(
            func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            return [package + name if name.startswith(".") else name]
    return []


def room_of(module: str) -> str:
    """Return the room of a module of the package: its file or folder directly under graphnn/."""
    return module.split(".")[1] if "." in module else module


def complaints(folder: Path) -> list[str]:
    """Return a sentence for each breach of the rules by the package in `folder`."""
    modules = modules_under(folder)
    found = [f"{module} belongs to no room: give it a floor" for module in modules if room_of(module) not in FLOORS]
    runtime, between = nx.DiGraph(), nx.DiGraph()
    for module, path in modules.items():
        for one in sorted(imports_of(module, path, modules), key=lambda one: one.line):
            found += _breaches(one, modules)
            if one.target in modules and not one.for_types:
                runtime.add_edge(one.module, one.target)
            here, there = folder_of(module, modules), folder_of(one.target, modules)
            if here and there and here != there and room_of(here) == room_of(there):
                between.add_edge(here, there)
    found += [f"a cycle of imports: {loop}" for loop in _loops(runtime)]
    return found + [f"a cycle of folders: {loop}" for loop in _loops(between)]


def folder_of(module: str, modules: dict[str, Path]) -> str:
    """Return the folder inside a room in which a module is, such as graphnn.view.layout; nothing, if in none."""
    folder = ".".join(module.split(".")[:3])
    return folder if folder in modules and modules[folder].name == "__init__.py" and folder.count(".") == 2 else ""


def _loops(imports: "nx.DiGraph[str]") -> Iterator[str]:
    for knot in nx.strongly_connected_components(imports):
        inside = imports.subgraph(knot)
        if inside.size():
            loop = [edge[0] for edge in nx.find_cycle(inside, source=min(knot))]
            first = loop.index(min(loop))
            yield " → ".join([*loop[first:], *loop[:first], loop[first]])


def _breaches(one: Import, modules: dict[str, Path]) -> Iterator[str]:
    top = one.target.split(".")[0]
    if top != PACKAGE:
        if top in OPTIONAL:
            if not one.in_function and not one.for_types:
                yield f"{one} at the top, but it may be missing: import it where it is used"
        elif top not in REQUIRED and top not in sys.stdlib_module_names:
            yield f"{one}, which graphnn does not depend on"
        elif one.in_function:
            yield f"{one} inside a function"
        return
    if one.target not in modules:
        yield f"{one}, which is no module"
        return
    if one.in_function:
        yield f"{one} inside a function"
    here, there = room_of(one.module), room_of(one.target)
    if here in (PACKAGE, there) or not {here, there} <= FLOORS.keys():
        return  # an __init__.py may import everything; files of one room are held by the search for cycles
    if FLOORS[there] > FLOORS[here]:
        yield f"{one}: up, from floor {FLOORS[here]} to floor {FLOORS[there]}"
    elif FLOORS[there] == FLOORS[here] and not one.for_types and (here, there) not in NEIGHBOURS:
        yield f"{one}: its neighbour on floor {FLOORS[here]}"


def test_the_house_stands() -> None:
    folder = Path(__file__).parents[2] / PACKAGE
    assert PACKAGE in modules_under(folder)
    assert complaints(folder) == []


def test_the_page_on_the_design_puts_every_room_on_its_floor() -> None:
    page = (Path(__file__).parents[2] / "docs" / "design.md").read_text(encoding="utf-8")
    rows = {int(floor): text for floor, text in re.findall(r"^\| (\d) \| (.*) \|$", page, re.MULTILINE)}
    rooms = {room_of(module) for module in modules_under(Path(__file__).parents[2] / PACKAGE)} - {PACKAGE}
    missing = [room for room in sorted(rooms) if f"`{room}`" not in rows[FLOORS[room]]]
    assert missing == []


# The tester, tested: a small house, sound as it is, and one fault at a time.

SOUND = {
    "__init__.py": "from . import view\nfrom .graph import Node\n",
    "errors.py": "class GraphnnError(Exception): ...\n",
    "graph/__init__.py": "from .node import Node\n",
    "graph/spec.py": "import numpy as np\nfrom .. import errors\n",
    "graph/node.py": "from __future__ import annotations\nfrom graphnn.core.spec import np\n",
    "ops/__init__.py": "",
    "ops/elementwise.py": "from ..graph import Node\n",
    "order.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .graph.node import Node\n",
    "view/__init__.py": "from .table import show\n",
    "view/table.py": "def show():\n    from rich.table import Table\n    import matplotlib.pyplot as plt\n",
    "cli.py": "import graphnn as gn\n",
}


RUNTIME_ONLY = """
from typing import TYPE_CHECKING
if not TYPE_CHECKING:
    from . import files
"""


def build(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_a_sound_house_has_no_complaints(tmp_path: Path) -> None:
    assert complaints(build(tmp_path, SOUND)) == []


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        pytest.param(
            {"errors.py": "\nfrom .graph import Node\n"},
            "graphnn.errors:2 imports graphnn.core: up, from floor 0 to floor 1",
            id="upward",
        ),
        pytest.param(
            {"graph/spec.py": "from ..view import table\n"},
            "graphnn.core.spec:1 imports graphnn.view.table: up, from floor 1 to floor 7",
            id="upward-from-a-folder",
        ),
        pytest.param(
            {"order.py": "from graphnn import Node\n"},
            "graphnn.core.topological_order:1 imports graphnn: up, from floor 3 to floor 8",
            id="upward-to-the-package-itself",
        ),
        pytest.param(
            {"order.py": "import typing\nif typing.TYPE_CHECKING:\n    from .view.table import show\n"},
            "graphnn.core.topological_order:3 imports graphnn.view.table: up, from floor 3 to floor 7",
            id="upward-for-types",
        ),
        pytest.param(
            {"order.py": "from . import files\n", "files.py": ""},
            "graphnn.core.topological_order:1 imports graphnn.io.graph_files: its neighbour on floor 3",
            id="sideways",
        ),
        pytest.param(
            {"order.py": RUNTIME_ONLY, "files.py": ""},
            "graphnn.core.topological_order:4 imports graphnn.io.graph_files: its neighbour on floor 3",
            id="sideways-but-not-for-types",
        ),
        pytest.param(
            {"graph/spec.py": "from .node import Node\n"},
            "a cycle of imports: graphnn.core.node → graphnn.core.spec → graphnn.core.node",
            id="cycle-of-two-files",
        ),
        pytest.param(
            {"graph/spec.py": "from . import Node\n"},
            "a cycle of imports: graphnn.core → graphnn.core.node → graphnn.core.spec → graphnn.core",
            id="cycle-through-the-folder",
        ),
        pytest.param(
            {"graph/spec.py": "import graphnn.core.spec\n"},
            "a cycle of imports: graphnn.core.spec → graphnn.core.spec",
            id="imports-itself",
        ),
        pytest.param(
            {
                "view/a/__init__.py": "",
                "view/a/one.py": "from ..b import two\n",
                "view/a/other.py": "",
                "view/b/__init__.py": "",
                "view/b/two.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..a import other\n",
            },
            "a cycle of folders: graphnn.view.a → graphnn.view.b → graphnn.view.a",
            id="cycle-of-folders",
        ),
        pytest.param(
            {"order.py": "class A:\n    def f(self):\n        from .graph import Node\n"},
            "graphnn.core.topological_order:3 imports graphnn.core inside a function",
            id="in-a-function",
        ),
        pytest.param(
            {"order.py": "async def f():\n    if True:\n        import json\n"},
            "graphnn.core.topological_order:3 imports json inside a function",
            id="standard-library-in-a-function",
        ),
        pytest.param(
            {"order.py": "import importlib\nf = lambda: importlib.import_module('.view', 'graphnn')\n"},
            "graphnn.core.topological_order:2 imports graphnn.view: up, from floor 3 to floor 7",
            id="in-disguise",
        ),
        pytest.param(
            {"view/table.py": "try:\n    import rich\nexcept ImportError:\n    rich = None\n"},
            "graphnn.view.table:2 imports rich at the top, but it may be missing: import it where it is used",
            id="optional-at-the-top",
        ),
        pytest.param(
            {"order.py": "import scipy.special\n"},
            "graphnn.core.topological_order:1 imports scipy.special, which graphnn does not depend on",
            id="undeclared",
        ),
        pytest.param({"attic/box.py": ""}, "graphnn.attic.box belongs to no room: give it a floor", id="unknown-room"),
        pytest.param(
            {"order.py": "from .grpah import Node\n"},
            "graphnn.core.topological_order:1 imports graphnn.grpah, which is no module",
            id="no-module",
        ),
    ],
)
def test_a_fault_is_reported(tmp_path: Path, fault: dict[str, str], complaint: str) -> None:
    assert complaint in complaints(build(tmp_path, SOUND | fault))


def test_a_cycle_for_types_only_is_none(tmp_path: Path) -> None:
    hint = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .node import Node\n"
    assert complaints(build(tmp_path, SOUND | {"graph/spec.py": hint})) == []
