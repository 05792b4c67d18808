"""Write torch_scatter.json: what PyTorch's scatter_reduce gives for numbers of several dtypes.

    python tests/data/make_torch_scatter.py

Needs PyTorch.
"""

import json
from pathlib import Path
from typing import Any

import torch

INDEX = [[0, 2, 2, 0], [1, 1, 1, 3]]
X = [[5, -3, 7, 0, 2], [-5, 3, 1, 6, 2]]
SRC = [[-7, 2, 6, -9], [1, -4, 9, 2]]
KINDS = "sum", "prod", "mean", "amax", "amin"
DTYPES = "float32", "float64", "int64", "int32"


def main() -> None:
    cases: list[dict[str, Any]] = []
    for dtype in DTYPES:
        for kind in KINDS:
            for include in (True, False):
                x, src = (torch.tensor(numbers, dtype=getattr(torch, dtype)) for numbers in (X, SRC))
                found = x.scatter_reduce(1, torch.tensor(INDEX), src, kind, include_self=include)
                cases.append({"dtype": dtype, "kind": kind, "include": include, "result": found.tolist()})
    figures = {"torch": torch.__version__.partition("+")[0], "index": INDEX, "x": X, "src": SRC, "cases": cases}
    text = json.dumps(figures, separators=(",", ":")).replace('{"dtype"', '\n{"dtype"')
    Path(__file__).with_name("torch_scatter.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
