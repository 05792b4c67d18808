"""Samples of every operation, what NumPy makes of them, and a script that compares what the engine makes of them."""

import json
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

import graphnn as gn
from graphnn.core import Op, Spec, registry
from graphnn.core.symbolic_shapes import concrete
from graphnn.errors import GraphnnError
from graphnn.ops.elementwise import Elementwise
from graphnn.pages.engine import attributes_of, engine_script, operations
from graphnn.pages.replay.live_graph import bodies_told
from graphnn.testing import Draw

DTYPES = [
    "float64",
    "float32",
    "float16",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (64, 32, 16, 8)),
    "bool",
]
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5]
RELATIVE = {"float64": 1e-12, "float32": 1e-6, "float16": 5e-3}
OF_ZEROS = {"maximum", "minimum", "relu", "clip", "elu"}
"""Which of 0 and -0 these give differs between the dtypes and processors of NumPy."""
WITH_RESIDUALS = {"implicit_loop"}
"""These give differences of what they compute, beside it."""
SAME_BITS = {"random_uniform", "random_normal"}


def _listed(array: np.ndarray[Any, Any]) -> list[Any]:
    return [float(x) if array.dtype.kind == "f" else int(x) for x in array.reshape(-1)]


def _sizes(op: Op, operands: tuple[Any, ...], result: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return what an element's error is relative to: the sum of the absolute values of its terms, or itself."""
    sizes = np.abs(result.astype(float))
    if not op.elementwise:
        terms = op.forward(*(np.abs(x) if x.dtype.kind == "f" else x for x in operands))
        sizes = np.maximum(sizes, np.abs(np.asarray(terms, float)))
    sizes = np.where(np.isfinite(sizes), sizes, 0)
    return np.full_like(sizes, sizes.max()) if op.name in WITH_RESIDUALS else sizes


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
        sizes = _sizes(op, operands, result)
    shape = concrete(spec.shape, {})
    assert (result.shape, result.dtype) == (shape, spec.dtype), op
    relative = 0 if op.name in SAME_BITS else RELATIVE.get(spec.dtype.name, 0)
    return {
        "nodes": {
            "op": ["constant"] * len(operands) + [op.name],
            "attributes": [{}] * len(operands) + [attributes_of(op)],
            "inputs": [[]] * len(operands) + [list(range(len(operands)))],
            "shape": [list(x.shape) for x in operands] + [list(shape)],
            "dtype": [x.dtype.name for x in operands] + [spec.dtype.name],
            "bodies": [None] * len(operands) + [bodies_told(op, _listed)],
        },
        "given": [_listed(x) for x in operands],
        "expected": _listed(result),
        "most": [relative * size for size in sizes.reshape(-1).tolist()],
        "zeros": op.name not in OF_ZEROS,
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
const alike = (x, y, most, zeros) =>
  Object.is(x, y) || ((!zeros || x !== 0 || y !== 0) && (x === y || Math.abs(x - y) <= most));
const text = (x) => (Object.is(x, -0) ? "-0" : String(x));
const bodyOf = ({ nodes, given, inputs }) => ({ nodes: withBodies(nodes), given: new Map(given), inputs });
const withBodies = (nodes) => ({ ...nodes, bodies: nodes.bodies.map((inside) => (inside?.graphs ?? []).map(bodyOf)) });
function wrongOf({ nodes, given, expected, most, zeros }) {
  const leaves = new Map(given.map((data, i) => [i, data]));
  const { unknown, run, value } = makeEngine({ nodes: withBodies(nodes), given: leaves, updates: [] });
  if (unknown.length) return [`is unknown: ${unknown}`];
  run();
  const found = [...value(given.length).data].map(Number);
  if (found.length !== expected.length) return [`${found.length} numbers, not ${expected.length}`];
  return expected.flatMap((x, i) =>
    alike(found[i], x, most[i], zeros) ? [] : [`${text(found[i])} at ${i}, not ${text(x)}`]);
}
function differences(cases) {
  return cases.flatMap((each) => {
    let wrong;
    try {
      wrong = wrongOf(each);
    } catch (error) {
      wrong = [error.stack];
    }
    const operands = each.given.map((x) => x.map(text)).join(" and ");
    return wrong.length ? [`${each.said}: of ${operands} ${wrong.slice(0, 5).join("; ")}`] : [];
  });
}
"""


def of_an_operation_of_its_own() -> gn.Trace:
    """Return a run with an operation that is the user's, and that the engine does not have."""

    class Halved(Elementwise):
        formula = "{0} / 2"
        like = np.exp

        def forward(self, x: Any, out: Any = None) -> Any:
            return np.divide(x, 2, out=out)

    del registry["halved"]  # or the tests that walk the registry would try it, too
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch",))
    return gn.trace(Halved()(x), {x: [1.0, 2.0]})


def script(rounds: int) -> str:
    """Return a script whose `differences(cases)` says where the engine is not like NumPy."""
    return f"{engine_script()}\n{COMPARE}\nconst cases = {json.dumps(list(cases(rounds)))};\n"
