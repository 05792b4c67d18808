"""Check a wheel and an sdist: what is in them, and that what is installed of the wheel works without the checkout.

The wheel is installed into two environments that hold nothing else: as ``pip install graphnn`` does it, and with all
extras. In a folder apart, the first runs the demo, keeps a graph and a run in files and writes a page; the second runs
the notebook, too. `make dist` builds both and runs this.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE_WHEELS = ("tests", "docs", "examples", ".ci", "build", "dist")
IN_SDISTS = ("README.md", "LICENSE", "SECURITY.md", "CHANGELOG.md", "Makefile", "pyproject.toml", ".ci/run")

FILES = """
import sys
from pathlib import Path

import numpy as np

import graphnn as gn
from graphnn import demo

assert Path(gn.__file__).resolve().is_relative_to(Path(sys.prefix).resolve()), gn.__file__
fetches, feed = demo.build()
loss = fetches["loss"]
expected = gn.run(loss, feed)
gn.save(loss.graph, "model.gnn")
loaded = gn.load("model.gnn")
given = {loaded[node.name]: value for node, value in feed.items()}
assert np.array_equal(gn.run(loaded.outputs["loss"], given), expected)
step = gn.compile(loaded.outputs["loss"], updates=gn.nn.SGD(1.0).updates(loaded.outputs["loss"]))
assert step(given) > step(given)
trace = gn.trace(loss, feed)
trace.save("run.trace")
again = gn.load("run.trace")
assert np.array_equal(again[loss.name].value, expected)
again.to_html("replay.html")
gn.draw(loss).save("network.svg")
page = Path("replay.html").read_text("utf-8")
assert page.lstrip().lower().startswith("<!doctype html>") and "Content-Security-Policy" in page
assert all(part in page for part in ("<script", "<style", "spiral")), "the page lacks a part"
assert "<svg" in Path("network.svg").read_text("utf-8")
print("graph, run, page and picture:", *sorted(path.name for path in Path().glob("*.*")))
"""

NOTEBOOK = """
import sys
import nbformat
from nbclient import NotebookClient

cells = nbformat.read(sys.argv[1], as_version=4)
cells.cells.insert(0, nbformat.v4.new_code_cell("import warnings\\nwarnings.simplefilter('error')"))
done = NotebookClient(cells, timeout=120, kernel_name="python3", resources={"metadata": {"path": "."}}).execute()
print("notebook:", sum(cell.cell_type == "code" for cell in done.cells), "cells")
"""


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def tracked(*folders: str) -> set[str]:
    """Return the files of the checkout that are kept in its history."""
    names = subprocess.run(["git", "ls-files", "-z", *folders], cwd=ROOT, check=True, capture_output=True, text=True)
    return {name for name in names.stdout.split("\0") if name and (ROOT / name).is_file()}


def check(what: str, lacking: Iterable[str], unwanted: Iterable[str]) -> None:
    """End the program where something lacks, or is there and should not be."""
    for told, names in (("lacks", sorted(lacking)), ("holds", sorted(unwanted))):
        if names:
            sys.exit(f"{what} {told} {', '.join(names[:10])}{', …' if len(names) > 10 else ''}")


def check_wheel(path: Path) -> int:
    """Check what is in a wheel: the package as it is kept, its metadata, and nothing else; return the count."""
    with zipfile.ZipFile(path) as wheel:
        names = {name for name in wheel.namelist() if not name.endswith("/")}
        about = {name for name in names if PurePosixPath(name).parts[0].endswith(".dist-info")}
        check(path.name, tracked("graphnn") - names, names - about - tracked("graphnn"))
        check(path.name, (), {name for name in names if PurePosixPath(name).parts[0] in OUTSIDE_WHEELS})
        parts = {PurePosixPath(name).name for name in about}
        check(path.name, {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "LICENSE"} - parts, ())
        for name in names - about:
            if wheel.read(name) != (ROOT / name).read_bytes():
                sys.exit(f"{path.name} has another {name} than the checkout")
    return len(names)


def check_sdist(path: Path) -> int:
    """Check what is in an sdist: the package, its tests, examples and documents; return the count."""
    with tarfile.open(path) as sdist:
        files = {str(PurePosixPath(*PurePosixPath(each.name).parts[1:])) for each in sdist if each.isfile()}
    wanted = tracked("graphnn", "tests", "examples", "docs") | set(IN_SDISTS)
    check(
        path.name, wanted - files, {name for name in files if "__pycache__" in name or name.startswith("docs/_build")}
    )
    return len(files)


def run(where: Path, *command: str | Path) -> None:
    """Run a command in a folder, knowing nothing of the checkout; end the program where it fails."""
    known = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    words = [str(part) for part in command]
    done = subprocess.run(words, cwd=where, env=known, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(words)[:200]} failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    if command[1] != "-m":
        say(f"  {done.stdout.strip().splitlines()[-1]}")


def try_wheel(path: Path, extras: str, wanted: Sequence[str], folder: Path) -> None:
    """Install a wheel into an empty environment, and use it there."""
    say(f"{path.name}{extras} in an environment of its own:")
    environment, work = folder / "environment", folder / "work"
    work.mkdir(parents=True)
    venv.create(environment, with_pip=True)
    programs = environment / ("Scripts" if sys.platform == "win32" else "bin")
    python = programs / "python"
    quiet = ("--disable-pip-version-check", "--quiet", "--no-input")
    run(work, python, "-m", "pip", "install", *quiet, f"{path.resolve()}{extras}", *wanted)
    run(work, python, "-I", "-c", FILES)
    run(work, programs / "graphnn", "demo", "--output", "demo")
    if not (work / "demo" / "replay.html").stat().st_size:
        sys.exit("the demo wrote an empty page")
    if wanted:
        notebook = work / "notebook.ipynb"
        notebook.write_bytes((ROOT / "examples/see_a_network.ipynb").read_bytes())
        run(work, python, "-I", "-c", NOTEBOOK, notebook)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds one wheel and one sdist")
    folder = parser.parse_args().folder
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    say(f"{wheel.name}: {check_wheel(wheel)} files; {sdist.name}: {check_sdist(sdist)} files")
    with TemporaryDirectory() as apart:
        try_wheel(wheel, "", (), Path(apart, "bare"))
        try_wheel(wheel, "[all]", ("nbclient>=0.10",), Path(apart, "all"))


if __name__ == "__main__":
    main()
