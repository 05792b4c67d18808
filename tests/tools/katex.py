"""Hands formulas to KaTeX, strict and without trust: of networks, of every operation, and with hostile names.

KaTeX is installed by npm into a folder of its own, once; node and npm must be here. With ``--pages FOLDER``, the
formulas of each network are also written as a page that a browser shows.

Run: python tests/tools/katex.py [--folder FOLDER] [--pages FOLDER]   (or: make katex)
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(HERE), str(HERE / "tests" / "support")]

import formula_networks  # noqa: E402

import graphnn as gn  # noqa: E402
from graphnn.core.op import registry  # noqa: E402

RENDER = """
const katex = require('katex'), fs = require('fs'), texts = JSON.parse(fs.readFileSync(0, 'utf8')), result = {};
for (const [name, text] of Object.entries(texts)) {
  try {
    result[name] = [katex.renderToString(text, {displayMode: true, strict: 'error', trust: false, maxExpand: 100000})];
  } catch (error) { result[name] = String(error); }
}
console.log(JSON.stringify(result));
"""
LETTERS = "".join(chr(code) for code in [*range(0x20, 0x250), *range(0x370, 0x590), *range(0x1E00, 0x2100)])


def texts() -> dict[str, str]:
    """Return what is handed over, by what it is."""
    found = {}
    for name, build in formula_networks.NETWORKS.items():
        loss, wrt, _ = build()
        fetches = [loss, *gn.grad(loss, wrt)]
        for detail in ("layer", "op"):
            found[f"{name}, {detail}"] = str(gn.latex(fetches, detail=detail))
    for name in formula_networks.HOSTILE:
        found[f"named {name!r}"] = str(formula_networks.hostile(name))
    for start in range(0, len(LETTERS), 8):
        found[f"letters from U+{ord(LETTERS[start]):04X}"] = str(formula_networks.hostile(LETTERS[start : start + 8]))
    for name, cls in registry.items():
        if not cls.__module__.startswith("graphnn.ops"):
            continue
        for seed in range(4):
            op, arrays = cls.samples(gn.testing.Draw(np.random.default_rng(seed)))
            g = gn.Graph()
            inputs = [g.placeholder(f"x{i}", array.shape, array.dtype) for i, array in enumerate(arrays)]
            found[f"{name} {seed}"] = str(gn.latex(op(*inputs, graph=g)))
    return found


def rendered(given: dict[str, str], folder: Path) -> dict[str, list[str] | str]:
    """Return what KaTeX makes of each text: its HTML in a list, or what it says against it."""
    if not (folder / "node_modules" / "katex").exists():
        folder.mkdir(parents=True, exist_ok=True)
        npm = [shutil.which("npm") or "npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "katex"]
        subprocess.run(npm, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    node = [shutil.which("node") or "node", "-e", RENDER]
    result = subprocess.run(node, input=json.dumps(given), capture_output=True, text=True, check=True, cwd=folder)
    found: dict[str, list[str] | str] = json.loads(result.stdout)
    return found


def main() -> None:
    """Hand all over, and say what is refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "graphnn-katex")
    parser.add_argument("--pages", type=Path)
    arguments = parser.parse_args()
    found = rendered(texts(), arguments.folder)
    refused = {name: said for name, said in found.items() if isinstance(said, str)}
    acting = [
        name for name, said in found.items() if isinstance(said, list) and ("href=" in said[0] or "<script" in said[0])
    ]
    if arguments.pages:
        arguments.pages.mkdir(parents=True, exist_ok=True)
        style = (arguments.folder / "node_modules" / "katex" / "dist" / "katex.min.css").resolve().as_uri()
        for name, said in found.items():
            if isinstance(said, list) and name.partition(",")[0] in formula_networks.NETWORKS:
                page = f'<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="{style}">{said[0]}'
                (arguments.pages / f"{name}.html").write_text(page, encoding="utf-8")
    for name, said in refused.items():
        sys.stdout.write(f"{name}: {str(said)[:300]}\n")
    for name in acting:
        sys.stdout.write(f"{name}: a link or a script\n")
    sys.stdout.write(f"KaTeX takes {len(found) - len(refused)} of {len(found)} texts.\n")
    sys.exit(1 if refused or acting else 0)


if __name__ == "__main__":
    main()
