"""The models of ONNX that the benchmarks run: where they are, which sizes and inputs they take, how results differ."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import graphnn as gn
from graphnn.core.symbolic_shapes import concrete, names_in

SIZES: dict[str, dict[str, tuple[int, int]]] = {
    "silero_vad": {
        "sequence": (512, 576),
        "input_0": (2, 3),
        "input_1": (512, 576),
        "state_1": (2, 3),
        "sequence_length": (3, 5),
    },
    "melspectrogram": {"samples": (4000, 4800)},
    "onnx_asr": {"N": (4000, 4808)},
    "det_infer": {"p2o_DynamicDimension_1": (64, 96), "p2o_DynamicDimension_2": (96, 128)},
    "rec_infer": {"x_2": (48, 48), "p2o_DynamicDimension_1": (48, 64)},
    "cls_infer": {"x_2": (48, 48), "x_3": (192, 256)},
    "mtcnn": {"M1": (24, 32), "M2": (32, 40)},
    "brainmaze": {"time": (40, 48)},
    "LEADER": {"unk__6927": (64, 96), "unk__6928": (64, 96)},
    "ddddocr": {"image_width": (96, 128)},
}
"""{part of a path: {dimension: its two sizes}}; others are 2 and 3 on the first axis, 32 and 40 on the next ones."""

BELOW: dict[str, dict[str, int]] = {
    "magika": {"bytes": 257},
    "minilm": {"input_ids": 30000},
    "rxnmap": {"atoms": 121, "neighbors": 17, "distances": 13, "roles": 4},
    "attacut": {"input": 139},
    "deepcut": {"": 12},
    "oskut": {"": 12},
    "arabic": {"src": 148, "prefix": 148},
    "persian": {"src": 148, "prefix": 148},
}
"""{part of a path: {input, or "" for all: its numbers are integers below this}}; other integers are 0 and 1."""

FIXED: dict[str, dict[str, Any]] = {"silero_vad": {"sr": 16000}}
"""{part of a path: {input: the value that the model is read with}}."""


class Model(NamedTuple):
    """A model that was read.

    Attributes
    ----------
    graph : Graph
    is_open : bool
        Whether its sizes are what the file says: open, or numbers.
    values : dict of str to array
        The inputs that were fixed.
    """

    graph: gn.Graph
    is_open: bool
    values: dict[str, Any]


def files_in(folder: Path) -> dict[str, Path]:
    """Return {package/file: path} of the models in a folder of packages, and of those in the package onnx."""
    import onnx

    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.onnx")):
        inner = path.relative_to(folder)
        short = f"{inner.parts[0]}/{inner.name}" if len(inner.parts) > 1 else inner.name
        found[short if short not in found else inner.as_posix()] = path
    carried = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    return found | {f"onnx/{path.name}": path for path in sorted(carried.glob("*.onnx"))}


def of(path: Path, table: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the entries of a table that are for this model."""
    found: dict[str, Any] = {}
    for part, entries in table.items():
        if part in path.as_posix():
            found |= entries
    return found


def size(path: Path, name: str, axis: int, which: int) -> int:
    """Return the first or the second size of a dimension."""
    usual = (32, 40) if axis else (2, 3)
    return of(path, SIZES).get(re.sub(r"\W+", "_", name), usual)[which]


def read(path: Path, which: int = 0) -> Model:
    """Return a model with open sizes if it can be read so, else with the first or the second ones."""
    import onnx

    inputs = onnx.load(str(path), load_external_data=False).graph.input
    fixed = of(path, FIXED)
    values = {value.name: np.asarray(fixed[value.name]) for value in inputs if value.name in fixed}
    try:
        return Model(gn.from_onnx(path, values=values), True, values)
    except gn.GraphnnError:
        sizes: dict[str, int] = {}
        for value in inputs:
            for axis, dim in enumerate(value.type.tensor_type.shape.dim):
                name = dim.dim_param or (f"{value.name}_{axis}" if dim.dim_value < 1 else "")
                if name:
                    sizes.setdefault(name, size(path, name, axis, which))
        return Model(gn.from_onnx(path, sizes=sizes, values=values), False, values)


def feed_of(graph: gn.Graph, path: Path, which: int = 0) -> dict[str, Any]:
    """Return random inputs of the first or the second sizes."""
    rng = np.random.default_rng(0)
    sizes: dict[str, int] = {}
    for node in graph.placeholders:
        for axis, dim in enumerate(node.spec.shape):
            for name in names_in([dim]):
                sizes.setdefault(name, size(path, name, axis, which))
    below, feed = of(path, BELOW), {}
    for node in graph.placeholders:
        shape, most = concrete(node.spec.shape, sizes), below.get(node.name, below.get(""))
        is_whole = most is not None or node.spec.dtype.kind != "f"
        drawn = rng.integers(0, most or 2, shape) if is_whole else rng.standard_normal(shape) * 0.5
        feed[node.name] = np.asarray(drawn).astype(node.spec.dtype)
    if "waveforms_lens" in feed:  # the first is whole, each next one shorter
        rows, length = feed["waveforms"].shape
        feed["waveforms_lens"] = length - 160 * np.arange(rows)
    return feed


def session(path: Path) -> Any:
    """Return a session of ONNX Runtime on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])


def gap(one: np.ndarray, other: np.ndarray) -> float:
    """Return the largest difference of two outputs, relative to the largest element of the second."""
    if one.shape != other.shape:
        return float("inf")
    a, b = one.astype(np.float64), other.astype(np.float64)
    with np.errstate(invalid="ignore"):
        difference = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0, np.abs(a - b))
    most = float(np.nan_to_num(difference, nan=np.inf).max(initial=0))
    return most / max(float(np.abs(b[np.isfinite(b)]).max(initial=0)), np.finfo(np.float64).tiny)
