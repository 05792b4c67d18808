"""Which tests speak to graphnn only through what is public: they are the contract, and outlive any rebuilding.

python tests/support/contract.py        writes tests/contract.txt, the list of their files
"""

import ast
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
LIST = TESTS / "contract.txt"
MODULES = {
    "graphnn",
    *(f"graphnn.{name}" for name in ("nn", "nn.init", "nn.schedules", "view", "view.plots", "testing")),
}
MODULES |= {"graphnn.datasets", "graphnn.errors", "graphnn.demo"}
ROOMS = {path.stem for path in (TESTS.parent / "graphnn").iterdir()} - {name.partition(".")[2] for name in MODULES}


def is_public(path: Path) -> bool:
    """Tell whether a file imports nothing of graphnn but public modules, and asks `gn` for no other room."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            rooms = [f"graphnn.{alias.name}" for alias in node.names if alias.name in ROOMS]
            names = [node.module, *(rooms if node.module == "graphnn" else [])]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "gn":
            names = [f"graphnn.{node.attr}"] if node.attr in ROOMS else []
        else:
            continue
        if any(name.partition(".")[0] == "graphnn" and name not in MODULES for name in names):
            return False
    return True


def found() -> list[str]:
    """Return the files of tests that are public, relative to this folder's parent."""
    files = (path for path in TESTS.rglob("test_*.py") if not {"benchmarks", "data", "house"} & {*path.parts})
    return sorted(path.relative_to(TESTS).as_posix() for path in files if is_public(path))


def listed() -> list[str]:
    """Return the files that the list names."""
    return LIST.read_text(encoding="utf-8").split()


if __name__ == "__main__":
    LIST.write_text("\n".join(found()) + "\n", encoding="utf-8")
