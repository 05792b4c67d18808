"""Write torch_convolutions.json: what PyTorch's convolutions and pools give, and their gradients.

Needs PyTorch, which the tests do not: ``pip install torch``, then ``python tests/data/make_torch_convolutions.py``.

All operands are quarters, so that products and sums are exact, in whatever order they are added up.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

CASES: list[dict[str, Any]] = [
    {"name": "conv", "x": [2, 3, 5, 6], "w": [4, 3, 3, 2]},
    {"name": "conv", "x": [2, 3, 5, 6], "w": [4, 3, 3, 3], "padding": "same"},
    {"name": "conv", "x": [1, 2, 5, 6], "w": [3, 2, 2, 3], "padding": "same", "dilation": [2, 1]},
    {"name": "conv", "x": [2, 2, 7, 6], "w": [3, 2, 3, 3], "stride": 2, "padding": 1},
    {"name": "conv", "x": [2, 2, 7, 8], "w": [3, 2, 3, 2], "stride": [3, 2], "padding": [2, 1], "dilation": [2, 3]},
    {"name": "conv", "x": [2, 4, 5, 5], "w": [6, 2, 3, 3], "groups": 2, "padding": 1},
    {"name": "conv", "x": [2, 3, 5, 5], "w": [3, 1, 3, 3], "groups": 3, "padding": 1},
    {"name": "conv", "x": [2, 3, 6, 5], "w": [6, 1, 3, 3], "groups": 3, "stride": 2, "padding": 1, "dilation": 2},
    {"name": "conv", "x": [2, 3, 4, 5], "w": [4, 3, 1, 1]},
    {"name": "conv", "x": [2, 4, 4, 5], "w": [4, 2, 1, 1], "groups": 2, "stride": [2, 3]},
    {"name": "conv", "x": [2, 3, 7], "w": [4, 3, 3], "stride": 2, "padding": 1},
    {"name": "conv", "x": [1, 2, 3, 4, 4], "w": [2, 2, 2, 3, 2], "padding": [1, 0, 1]},
    {"name": "conv_transpose", "x": [2, 3, 3, 4], "w": [3, 2, 3, 2]},
    {"name": "conv_transpose", "x": [2, 3, 3, 4], "w": [3, 2, 3, 3], "stride": 2, "padding": 1, "output_padding": 1},
    {"name": "conv_transpose", "x": [1, 4, 3, 3], "w": [4, 2, 2, 3], "stride": [2, 1], "groups": 2, "dilation": [3, 2]},
    {"name": "conv_transpose", "x": [1, 2, 3, 3], "w": [2, 2, 2, 2], "dilation": 4, "output_padding": 3, "padding": 1},
    {"name": "conv_transpose", "x": [1, 2, 3, 2, 3], "w": [2, 3, 2, 2, 2], "stride": 2},
    {"name": "max_pool", "x": [2, 2, 5, 6], "size": 2},
    {"name": "max_pool", "x": [2, 2, 5, 6], "size": 3, "stride": 2, "padding": 1},
    {"name": "max_pool", "x": [2, 2, 6, 7], "size": [3, 2], "stride": [1, 2], "dilation": [2, 3]},
    {"name": "average_pool", "x": [2, 2, 5, 6], "size": 2},
    {"name": "average_pool", "x": [2, 2, 5, 6], "size": 4, "stride": 2, "padding": 2},
    {"name": "average_pool", "x": [2, 2, 5, 6], "size": 4, "stride": 2, "padding": 2, "count_include_pad": False},
    {"name": "adaptive_max_pool", "x": [2, 2, 7, 6], "size": [3, 4]},
    {"name": "adaptive_max_pool", "x": [2, 2, 6, 4], "size": [3, 1]},
    {"name": "adaptive_average_pool", "x": [2, 2, 7, 6], "size": [3, 4]},
    {"name": "adaptive_average_pool", "x": [2, 2, 6, 4], "size": 1},
]
THEIRS = {
    "conv": "conv{}d",
    "conv_transpose": "conv_transpose{}d",
    "max_pool": "max_pool{}d",
    "average_pool": "avg_pool{}d",
    "adaptive_max_pool": "adaptive_max_pool{}d",
    "adaptive_average_pool": "adaptive_avg_pool{}d",
}


def operands(case: dict[str, Any]) -> list[np.ndarray[Any, Any]]:
    """Return x and the kernel; of few numbers, so that many tie."""
    rng = np.random.default_rng(5)
    return [rng.integers(-4, 5, case[operand]) / 4 for operand in ("x", "w") if operand in case]


def made(case: dict[str, Any]) -> dict[str, Any]:
    inputs = [torch.tensor(each, requires_grad=True) for each in operands(case)]
    settings = {key: value for key, value in case.items() if key not in ("name", "x", "w", "size")}
    settings |= {} if "size" not in case else {"kernel_size": case["size"]}
    if case["name"].startswith("adaptive"):
        settings = {"output_size": case["size"]}
    function = getattr(functional, THEIRS[case["name"]].format(len(case["x"]) - 2))
    y = function(*inputs, **settings)
    cotangent = torch.tensor(np.random.default_rng(6).integers(-4, 5, y.shape) / 4)
    found = [y, *torch.autograd.grad(y, inputs, cotangent)]
    return {**case, "shape": list(y.shape), "found": [each.detach().reshape(-1).tolist() for each in found]}


if __name__ == "__main__":
    rows = ",\n".join(json.dumps(made(case), separators=(",", ":")) for case in CASES)
    Path(__file__).with_name("torch_convolutions.json").write_text(f"[\n{rows}\n]\n", encoding="utf-8")
