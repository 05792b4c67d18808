"""Samples of every operation, what NumPy makes of them, and a script that compares what the engine makes of them."""

import json
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from graphnn.core import Op, Spec, registry
from graphnn.core.symbolic_shapes import concrete
from graphnn.errors import GraphnnError
from graphnn.pages.engine import attributes_of, engine_script, operations
from graphnn.testing import Draw

DTYPES = ["float64", "float32", "float16", "int64", "int32", "int8", "uint8", "bool"]
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, 1.0, -1.0, 0.5]


def _listed(array: np.ndarray[Any, Any]) -> list[Any]:
    return [float(x) if array.dtype.kind == "f" else int(x) for x in array.reshape(-1)]


def _largest(x: np.ndarray[Any, Any]) -> float:
    return float(np.max(np.abs(x.astype(float)), initial=0, where=np.isfinite(x)))


def _case(op: Op, operands: tuple[Any, ...]) -> dict[str, Any] | None:
    """Return a graph of one operation as a page has it, and what NumPy gives; None if it refuses the operands."""
    operands = tuple(np.asarray(x) for x in operands)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            spec = op.infer(*[Spec(x.shape, x.dtype) for x in operands])
            result = np.asarray(op.forward(*operands))
        except GraphnnError:
            return None
    shape = concrete(spec.shape, {})
    assert (result.shape, result.dtype) == (shape, spec.dtype), op
    size = max([_largest(result), *([] if op.elementwise else map(_largest, operands))])
    terms = 1 if op.elementwise else max([1, *(x.size for x in operands)]) ** 0.5
    exact = {"float64": 1e-12, "float32": 1e-6, "float16": 2e-3}.get(spec.dtype.name, 0)
    return {
        "nodes": {
            "op": ["constant"] * len(operands) + [op.name],
            "attributes": [{}] * len(operands) + [attributes_of(op)],
            "inputs": [[]] * len(operands) + [list(range(len(operands)))],
            "shape": [list(x.shape) for x in operands] + [list(shape)],
            "dtype": [x.dtype.name for x in operands] + [spec.dtype.name],
        },
        "given": [_listed(x) for x in operands],
        "expected": _listed(result),
        # A part of the largest number of the result. The order of a sum is the engine's own: there, of the largest
        # number of result and operands, times the root of how many numbers there are.
        "most": 0 if op.name == "random_uniform" else exact * size * terms,
        "said": f"{op!r} of {', '.join(f'{x.dtype}{list(x.shape)}' for x in operands)}",
    }


def cases(rounds: int) -> Iterator[dict[str, Any]]:
    """Yield cases of each operation that the engine has, in each dtype that it takes; of floats special ones, too."""
    for name in sorted(operations() & set(registry)):
        for dtype in DTYPES:
            for k in range(rounds):
                draw = Draw(np.random.default_rng([k, len(name), DTYPES.index(dtype)]), dtype)
                try:
                    op, operands = registry[name].samples(draw)
                except GraphnnError:
                    continue
                found = _case(op, operands)
                if found:
                    yield found
                if k == 0 and dtype.startswith("float") and registry[name].elementwise:
                    count = len(registry[name].operands)
                    grid = np.meshgrid(*[np.array(SPECIAL, dtype)] * count)
                    found = _case(op, tuple(x.reshape(-1) for x in grid))
                    if found:
                        yield found


COMPARE = """
function differences(cases) {
  const alike = (x, y, most) => x === y || (x !== x && y !== y) || Math.abs(x - y) <= most;
  return cases.flatMap(({ nodes, given, expected, most, said }) => {
    try {
      const last = given.length, leaves = new Map(given.map((data, i) => [i, data]));
      const { unknown, run, value } = makeEngine({ nodes, given: leaves, updates: [] });
      if (unknown.length) return [`${said}: unknown`];
      run();
      const found = [...value(last).data];
      const wrong = found.length !== expected.length || found.some((x, i) => !alike(Number(x), expected[i], most));
      return wrong ? [`${said}: ${given.join(" and ")} gives ${found}, not ${expected}`] : [];
    } catch (error) {
      return [`${said}: ${error.stack}`];
    }
  });
}
"""


def script(rounds: int) -> str:
    """Return a script whose `differences(cases)` says where the engine is not like NumPy."""
    return f"{engine_script()}\n{COMPARE}\nconst cases = {json.dumps(list(cases(rounds)))};\n"
